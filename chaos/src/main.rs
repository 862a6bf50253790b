//! `chaos`: real processes that are killed, stopped and lied to.
//!
//! | module      | idea                                                       |
//! |-------------|------------------------------------------------------------|
//! | [`kills`]   | tasks that exchange rights while they are killed at random |
//! | [`service`] | a service that is killed while clients use its queue        |
//! | [`hostile`] | peers that say anything to a task that serves the honest   |
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
mod hostile;
mod kills;
mod log;
mod residue;
mod service;
mod watchdog;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Real processes that are killed, stopped and lied to.
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
    /// Kills a service under load, and checks every call.
    Service(service::Options),
    /// Throws hostile frames at a task that serves honest ones.
    Hostile(hostile::Options),
    #[command(hide = true)]
    ServiceWorker(service::worker::Options),
    #[command(hide = true)]
    ServiceClient(service::client::Options),
    #[command(hide = true)]
    Worker(kills::worker::Options),
    #[command(hide = true)]
    Enemy(hostile::enemy::Options),
    #[command(hide = true)]
    Victim(hostile::victim::Options),
    #[command(hide = true)]
    Client(hostile::client::Options),
}

fn main() -> ExitCode {
    let done = match Line::parse().verb {
        Verb::Kills(options) => kills::run(&options),
        Verb::Service(options) => service::run(&options),
        Verb::ServiceWorker(options) => service::worker::run(&options),
        Verb::ServiceClient(options) => service::client::run(&options),
        Verb::Hostile(options) => hostile::run(&options),
        Verb::Worker(options) => kills::worker::run(&options),
        Verb::Enemy(options) => hostile::enemy::run(&options),
        Verb::Victim(options) => hostile::victim::run(&options),
        Verb::Client(options) => hostile::client::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(violation) => {
            eprintln!("{violation}");
            ExitCode::FAILURE
        }
    }
}
