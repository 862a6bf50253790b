//! `pillarbox confine`: takes rights from itself, and becomes a program.
//!
//! The bootstrap server starts it for a service whose file has a `[sandbox]`. People need
//! not know it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use boot::confine::{Confinement, SystemCalls};

use crate::failure::Failure;

/// The verb it runs as.
pub(crate) const VERB: &str = "confine";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What it may read and run
    #[arg(long)]
    read: Vec<PathBuf>,
    /// What it may write too
    #[arg(long)]
    write: Vec<PathBuf>,
    /// Which system calls fail
    #[arg(long)]
    system_calls: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut confinement = Confinement::default();
    (confinement.read, confinement.write) = (arguments.read, arguments.write);
    if let Some(name) = &arguments.system_calls {
        let calls = SystemCalls::named(name);
        confinement.system_calls =
            Some(calls.ok_or_else(|| Failure::usage(format!("there is no profile {name}")))?);
    }
    let mut words = arguments.command.into_iter();
    let program = words.next().unwrap_or_default();
    // Between this and the program nothing else is done.
    confinement.enter().map_err(|error| Failure::system("the service is not confined", error))?;
    let error = Command::new(&program).args(words).exec();
    let what = format!("{} cannot be started as its sandbox is", program.to_string_lossy());
    Err(Failure::system(what, error))
}
