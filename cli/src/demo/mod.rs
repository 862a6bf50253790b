//! `pillarbox demo FILE`: the whole path on a real file, in one command.
//!
//! One process becomes a private tree. Nothing of it has a name in the file
//! system, and nothing is left when it ends.
//!
//! | process | who starts it                   | what it does                       | file        |
//! |---------|---------------------------------|------------------------------------|-------------|
//! | parent  | the user                        | names, children, memory            | `parent.rs` |
//! | client  | the parent                      | reads FILE, asks, adds up, tells   | `client.rs` |
//! | counter | the look-up of its name         | counts a part of the file          | `worker.rs` |
//! | guest   | the look-up of its name         | uses a right that it was given     | `guest.rs`  |
//! | forger  | the parent, without any right   | claims rights that it never had    | `forger.rs` |
//!
//! They are one program in several roles. Each but the forger hears of the
//! parent's death from the library and ends then; the forger ends by itself.
//!
//! The counting knows nothing of mailboxes and stands alone: `count`, `part`,
//! `wire`, `total`, `report`, `tally`, `words`, `keys`. What the processes say
//! to each other is in `ask`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::failure::Failure;

mod ask;
mod children;
mod client;
mod clock;
mod count;
mod counters;
mod forger;
mod guest;
mod keys;
mod parent;
mod part;
mod peak;
mod progress;
mod report;
mod show;
mod source;
mod story;
mod stream;
mod tally;
mod total;
mod wire;
mod words;
mod worker;

/// Counts the lines, words and bytes of a file with a tree of processes that
/// talk through mailboxes, and shows what such mailboxes can do.
///
/// The file is a regular file or a pipe; it is read once, and counted as it is
/// while it is read. Exit code 2 where it cannot be read.
#[derive(Debug, clap::Args)]
#[command(override_usage = "pillarbox demo [--json] FILE")]
pub(crate) struct Arguments {
    /// The file to count: any bytes, of any length.
    #[arg(value_name = "FILE", required_unless_present = "role")]
    file: Option<PathBuf>,
    /// Print one JSON object with every figure.
    #[arg(long)]
    json: bool,
    /// What a child process of the demo is.
    #[arg(long, hide = true, value_enum)]
    role: Option<Role>,
    /// The name under which a service checks in.
    #[arg(long, hide = true, default_value = "")]
    name: String,
    /// What a forger is told.
    #[arg(long, hide = true, default_value = "")]
    told: String,
}

/// What a process of the demo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    Client,
    Counter,
    Guest,
    Forger,
}

impl Role {
    /// `program`, which is this one, in this role.
    fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["demo", "--role"]).arg(match self {
            Role::Client => "client",
            Role::Counter => "counter",
            Role::Guest => "guest",
            Role::Forger => "forger",
        });
        command
    }
}

/// Runs the demo, or one of its roles.
///
/// # Errors
/// Whatever kept the demo from its end. What is wrong with FILE is told here and
/// is exit code 2.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { file, json, role, name, told } = arguments;
    match (role, file) {
        (None, Some(file)) => parent::run(&file, json),
        (Some(Role::Client), Some(file)) => client::run(&file, json),
        (Some(Role::Counter), _) => worker::run(&name),
        (Some(Role::Guest), _) => guest::run(&name),
        (Some(Role::Forger), _) => forger::run(&told),
        (None | Some(Role::Client), None) => Ok(Failure::usage("which file?").tell(json)),
    }
}
