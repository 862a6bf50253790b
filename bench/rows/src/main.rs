//! `rows`: the benchmark without peers.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports to its caller"
)]

use std::process::ExitCode;

use clap::Parser;
use rows::{Effort, Row, command};

/// Measures the rows of the benchmark.
#[derive(Debug, Parser)]
#[command(name = "rows", version)]
struct Line {
    /// Under 40 s in all.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// As long as it takes.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    options: command::Options,
}

fn main() -> ExitCode {
    if let Some(ended) = rows::act(&[]) {
        return match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("a part of the benchmark: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let line = Line::parse();
    let effort = match (line.quick, line.full) {
        (true, _) => Effort::QUICK,
        (_, true) => Effort::FULL,
        _ => Effort::USUAL,
    };
    let begun = |row: &Row, at, of| eprintln!("{at} of {of}: {}", row.name);
    match command::run(&line.options, &effort, &[], begun) {
        Ok(outcome) => {
            print!("{}", outcome.told());
            ExitCode::from(u8::from(!outcome.failed.is_empty()))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
