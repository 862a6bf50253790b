//! `chaos`: real processes that are killed and stopped.
//!
//! | module      | idea                                                       |
//! |-------------|------------------------------------------------------------|
//! | [`kills`]   | tasks that exchange rights while they are killed at random |
//! | [`log`]     | what a process did, readable after its SIGKILL             |
//! | [`residue`] | what a process holds of the system's                       |
//! | [`watchdog`]| where the threads of a process are                         |
//! | [`chance`]  | numbers that look random and come again from their seed    |
//!
//! Each command ends with one line of figures. It exits with 0 where every
//! promise was kept, 1 where one was not, 2 where the arguments make no sense.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports to its caller"
)]

mod chance;
mod kills;
mod log;
mod residue;
mod watchdog;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Real processes that are killed and stopped.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Kills and stops tasks at random while they exchange rights.
    Kills(kills::Options),
    #[command(hide = true)]
    Worker(kills::worker::Options),
}

fn main() -> ExitCode {
    let done = match Line::parse().verb {
        Verb::Kills(options) => kills::run(&options),
        Verb::Worker(options) => kills::worker::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            eprintln!("{violation}");
            ExitCode::FAILURE
        }
    }
}
