//! `rows`: the benchmark without peers.
#![forbid(unsafe_code)]

use std::process::ExitCode;

// Nothing but rows.
#[derive(Debug, clap::Args)]
struct Alone {}

fn main() -> ExitCode {
    let command = clap::Command::new("rows").version(env!("CARGO_PKG_VERSION"));
    let command = command.about("Measures the rows of the benchmark.");
    rows::program(command, rows::PLAN, &[], |Alone {}| Vec::new())
}
