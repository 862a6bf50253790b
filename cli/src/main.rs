//! The command `pillarbox`: mailboxes between processes, named and called.
//!
//! | file           | for                                                      |
//! |----------------|----------------------------------------------------------|
//! | `verb/NAME.rs` | one verb: its arguments, its help, what it does          |
//! | `demo/`        | the verb `demo`, a private tree of processes             |
//! | `server.rs`    | finding the bootstrap server, starting one               |
//! | `standing.rs`  | staying at the server, whichever it is                   |
//! | `reply.rs`     | what a reply of `serve` looks like                       |
//! | `door.rs`      | a server's names for a tree of processes, and few of them |
//! | `run.rs`       | running a program: bytes in, bytes out                   |
//! | `stream.rs`    | one program that is kept and exchanges lines             |
//! | `keeper.rs`    | no program of `serve` outlives it                        |
//! | `survey.rs`    | what every owner says of its port, asked at once         |
//! | `watch.rs`     | what every task says of itself, asked at once            |
//! | `services.rs`  | what there is to say of declared services                |
//! | `systemd.rs`   | what systemd and we say to each other                    |
//! | `argument.rs`  | names, spans of time, bodies                             |
//! | `output.rs`    | everything that is printed                               |
//! | `failure.rs`   | what went wrong, and the exit code that says so          |
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod argument;
mod asking;
mod demo;
mod door;
mod failure;
mod keeper;
mod output;
mod reply;
mod run;
mod server;
mod services;
mod standing;
mod stream;
mod survey;
mod systemd;
mod table;
mod verb;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use boot::admin::Order;
use clap::{CommandFactory, Parser, Subcommand};

use failure::{EXIT_CODES, Failure};
use server::Place;

/// Mailboxes between processes, named and called.
///
/// Any program becomes a service with `pillarbox serve NAME -- CMD`, and is used
/// with `pillarbox call NAME`. Rights are capabilities, messages go straight
/// from task to task through shared memory, and nothing is left behind when a
/// process is killed.
#[derive(Debug, Parser)]
#[command(name = "pillarbox", version, after_help = EXIT_CODES, max_term_width = 100,
          arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    /// The socket of the bootstrap server [default: $PILLARBOX_SOCKET, else
    /// $XDG_RUNTIME_DIR/pillarbox/boot.sock, else /tmp/pillarbox-UID/boot.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the bootstrap server, which keeps names, in the foreground
    #[command(after_long_help = verb::boot::HELP)]
    Boot(verb::boot::Arguments),
    /// Make any program a service
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::serve::HELP))]
    Serve(verb::serve::Arguments),
    /// Send a message to a service and print its reply
    #[command(after_long_help = verb::call::HELP)]
    Call(verb::call::Arguments),
    /// Send a message to a mailbox, and expect no reply
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::send::HELP))]
    Send(verb::send::Arguments),
    /// Open a mailbox and print what comes
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::recv::HELP))]
    Recv(verb::recv::Arguments),
    /// List the names there are
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::ls::HELP))]
    Ls(verb::ls::Arguments),
    /// Show everything known of one name, or of the names of one process
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::show::HELP))]
    Show(verb::show::Arguments),
    /// Show who holds which rights to what, what is queued, and who waits
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::tree::HELP))]
    Tree(verb::tree::Arguments),
    /// Watch what every task does
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::top::HELP))]
    Top(verb::top::Arguments),
    /// Say what is not as it should be here, and what to do about it
    #[command(after_long_help = verb::doctor::HELP)]
    Doctor(verb::doctor::Arguments),
    /// Start a declared service
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::order::HELP))]
    Start(verb::order::Arguments),
    /// End a declared service, until it is started again by hand
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::order::HELP))]
    Stop(verb::order::Arguments),
    /// End a declared service and start it again
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::order::HELP))]
    Restart(verb::order::Arguments),
    /// Print what a declared service has said
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::logs::HELP))]
    Logs(verb::logs::Arguments),
    /// Run a program that finds the names listed and no others
    #[command(after_long_help = verb::run::HELP)]
    Run(verb::run::Arguments),
    /// Print what the server granted and refused, to whom and by which rule
    #[command(after_long_help = format!("{}\n\n{EXIT_CODES}", verb::audit::HELP))]
    Audit(verb::audit::Arguments),
    /// Check service files, and say what is wrong where
    #[command(after_long_help = verb::check::HELP)]
    Check(verb::check::Arguments),
    /// Have systemd start the bootstrap server when somebody connects
    #[command(after_long_help = verb::install::HELP)]
    Install(verb::install::Arguments),
    /// Take back what `install` has written
    #[command(after_long_help = verb::install::UNHELP)]
    Uninstall(verb::install::Arguments),
    /// Count a file with a private tree of processes, and show what rights do
    Demo(demo::Arguments),
    /// Measure how fast this machine is, beside what it can do
    #[command(after_long_help = verb::bench::HELP)]
    Bench(verb::bench::Arguments),
    /// Print the completions of a shell
    #[command(after_long_help = verb::completions::HELP)]
    Completions(verb::completions::Arguments),
    /// Print the manual page, or write all of them into a directory
    #[command(after_long_help = verb::man::HELP)]
    Man(verb::man::Arguments),
    /// Become a program that can do less
    #[command(name = verb::confine::VERB, hide = true)]
    Confine(verb::confine::Arguments),
    /// Keep the runs of `serve`
    #[command(name = keeper::VERB, hide = true)]
    Keep,
}

impl Verb {
    /// Whether failures are told as JSON.
    const fn json(&self) -> bool {
        match self {
            Verb::Boot(arguments) => arguments.json,
            Verb::Serve(arguments) => arguments.json,
            Verb::Call(arguments) => arguments.json,
            Verb::Send(arguments) => arguments.json,
            Verb::Recv(arguments) => arguments.json,
            Verb::Ls(arguments) => arguments.json,
            Verb::Show(arguments) => arguments.json,
            Verb::Tree(arguments) => arguments.json,
            Verb::Top(arguments) => arguments.json,
            Verb::Doctor(arguments) => arguments.json,
            Verb::Start(arguments) | Verb::Stop(arguments) | Verb::Restart(arguments) => {
                arguments.json
            }
            Verb::Logs(arguments) => arguments.json,
            Verb::Audit(arguments) => arguments.json,
            Verb::Check(arguments) => arguments.json,
            Verb::Install(arguments) | Verb::Uninstall(arguments) => arguments.json,
            Verb::Bench(arguments) => arguments.json,
            Verb::Run(_)
            | Verb::Demo(_)
            | Verb::Completions(_)
            | Verb::Man(_)
            | Verb::Confine(_)
            | Verb::Keep => false,
        }
    }
}

fn main() -> ExitCode {
    // `bench` is measured between processes, which are this program as well.
    if let Some(acted) = rows::act(&[]) {
        return acted.map_or_else(|error| Failure::from(error).tell(false), |()| ExitCode::SUCCESS);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output and is no error; nobody may read it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = arguments.verb.json();
    run(arguments).unwrap_or_else(|failure| failure.tell(json))
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let place = Place::new(arguments.socket);
    match arguments.verb {
        Verb::Boot(arguments) => verb::boot::run(&arguments, &place),
        Verb::Serve(arguments) => verb::serve::run(&arguments, &place),
        Verb::Call(arguments) => verb::call::run(&arguments, &place),
        Verb::Send(arguments) => verb::send::run(&arguments, &place),
        Verb::Recv(arguments) => verb::recv::run(&arguments, &place),
        Verb::Ls(arguments) => verb::ls::run(&arguments, &place),
        Verb::Show(arguments) => verb::show::run(&arguments, &place),
        Verb::Tree(arguments) => verb::tree::run(&arguments, &place),
        Verb::Top(arguments) => verb::top::run(&arguments, &place),
        Verb::Doctor(arguments) => verb::doctor::run(&arguments, &place),
        Verb::Start(arguments) => verb::order::run(Order::Start, &arguments, &place),
        Verb::Stop(arguments) => verb::order::run(Order::Stop, &arguments, &place),
        Verb::Restart(arguments) => verb::order::run(Order::Restart, &arguments, &place),
        Verb::Logs(arguments) => verb::logs::run(&arguments, &place),
        Verb::Run(arguments) => verb::run::run(&arguments, &place),
        Verb::Audit(arguments) => verb::audit::run(&arguments, &place),
        Verb::Check(arguments) => verb::check::run(&arguments),
        Verb::Install(arguments) => verb::install::install(&arguments),
        Verb::Uninstall(arguments) => verb::install::uninstall(&arguments),
        Verb::Demo(arguments) => Ok(demo::run(arguments)?),
        Verb::Bench(arguments) => verb::bench::run(arguments),
        Verb::Completions(arguments) => verb::completions::run(&arguments, Arguments::command()),
        Verb::Man(arguments) => verb::man::run(&arguments, Arguments::command()),
        Verb::Confine(arguments) => verb::confine::run(arguments),
        Verb::Keep => keeper::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
