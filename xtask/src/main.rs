//! What the developers run: `cargo xtask check`, and each part of it alone.
//!
//! | module        | holds                                                   |
//! |---------------|---------------------------------------------------------|
//! | [`check`]     | every step in order: what CI runs, word for word        |
//! | [`step`]      | what a step is, and how it may end                      |
//! | [`steps`]     | the steps that only run a command or two                |
//! | [`as_user`]   | the step that repeats tests without privileges          |
//! | [`tidy`]      | the house rules as code, one file for each kind         |
//! | [`fuzz`]      | coverage-guided fuzzing on the stable toolchain         |
//! | [`program`]   | programs that prove something: sim, chaos, hostile      |
//! | [`exhaustive`]| every sequence of operations up to a length             |
//! | [`mod@bench`] | the benchmark: rows, limits, peers                      |
//! | [`instructions`] | what the hot path costs in instructions              |
//! | [`faces`]     | libraries and headers for C programs                    |
//! | [`loom`]      | every interleaving of the memory's models               |
//! | [`child`]     | running a command: its log, its bound, its tail         |
//! | [`workspace`] | what cargo knows about this workspace                   |
//!
//! Exit code 1 says that something is wrong with the tree, 2 that the command
//! line was not understood.
#![forbid(unsafe_code)]

mod as_user;
mod bench;
mod chaos;
mod check;
mod child;
mod exhaustive;
mod faces;
mod fuzz;
mod hostile;
mod instructions;
mod loom;
mod program;
mod sim;
mod step;
mod steps;
mod tidy;
mod workspace;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the developers of Pillarbox run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Options),
    Tidy(tidy::Options),
    Fuzz(fuzz::Options),
    Loom(loom::Options),
    Sim(sim::Options),
    Exhaustive(exhaustive::Options),
    Hostile(hostile::Options),
    Chaos(chaos::Options),
    Bench(bench::Options),
    Instructions(instructions::Options),
    InstallFaces(faces::Options),
}

/// Whether what was looked at is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
}

impl Verdict {
    fn good_if(good: bool) -> Self {
        if good { Verdict::Good } else { Verdict::Bad }
    }
}

/// Writes one line. A reader that has gone away does not stop a check.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let verdict = match line.verb {
        Verb::Check(options) => check::run(&options),
        Verb::Tidy(options) => tidy::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Loom(options) => loom::run(&options),
        Verb::Sim(options) => sim::run(&options),
        Verb::Exhaustive(options) => exhaustive::run(&options),
        Verb::Hostile(options) => hostile::run(&options),
        Verb::Chaos(options) => chaos::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::Instructions(options) => instructions::run(&options),
        Verb::InstallFaces(options) => faces::run(&options),
    };
    match verdict {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
            ExitCode::from(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Line::command().debug_assert();
    }

    #[test]
    fn an_unknown_step_is_a_usage_error() {
        assert!(Line::try_parse_from(["xtask", "check", "--only", "nothing"]).is_err());
        assert!(Line::try_parse_from(["xtask", "check", "--only", "tidy,doc"]).is_ok());
    }
}
