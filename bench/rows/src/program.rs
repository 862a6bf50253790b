//! A program that runs rows: its line, and its end. It is its own children, too.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Command, FromArgMatches};

use crate::child::{Part, act};
use crate::command::{self, Plan};
use crate::row::Row;
use crate::runner::{Effort, Peer};

// What such a program is told. No doc comment: that would be what its help begins with.
#[derive(Debug, Args)]
struct Line {
    /// Short slices: enough for a figure, and all rows under 40 s.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// As long as it takes.
    #[arg(long)]
    full: bool,
    /// What `cargo bench` says to every program it runs.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(flatten)]
    options: command::Options,
}

impl Line {
    const fn effort(&self) -> Effort {
        match (self.quick, self.full) {
            (true, _) => Effort::QUICK,
            (_, true) => Effort::FULL,
            _ => Effort::USUAL,
        }
    }
}

/// Acts the part this process was started for, one of ours or one of `parts`. Without
/// one it runs the rows of `plan` that its line asks for, beside the peers that `peers` makes of
/// the rest of the line, and prints the table.
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports to its caller"
)]
pub fn program<More: Args + FromArgMatches>(
    command: Command,
    plan: Plan,
    parts: &[Part],
    peers: impl FnOnce(More) -> Vec<Peer>,
) -> ExitCode {
    if let Some(ended) = act(parts) {
        return told(ended.map(|()| true), "a part of the benchmark");
    }
    let words = Line::augment_args(More::augment_args(command)).get_matches();
    let line = Line::from_arg_matches(&words).and_then(|line| {
        let more = More::from_arg_matches(&words)?;
        Ok((line, more))
    });
    let (line, more) = line.unwrap_or_else(|error| error.exit());
    let begun = |row: &Row, at, of| eprintln!("{at} of {of}: {}", row.name);
    let ran = command::run(plan, &line.options, &line.effort(), &peers(more), begun);
    told(
        ran.map(|outcome| {
            print!("{}", outcome.told());
            outcome.failed.is_empty()
        }),
        "error",
    )
}

#[allow(clippy::print_stderr, reason = "a command that reports to its caller")]
fn told(ended: Result<bool>, who: &str) -> ExitCode {
    match ended {
        Ok(well) => ExitCode::from(u8::from(!well)),
        Err(error) => {
            eprintln!("{who}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_effort_is_the_line_s() {
        let line = |words: &[&str]| {
            let command = Line::augment_args(Command::new("rows").no_binary_name(true));
            let words = command.try_get_matches_from(words)?;
            Line::from_arg_matches(&words)
        };
        assert_eq!(line(&[]).unwrap().effort(), Effort::USUAL);
        assert_eq!(line(&["--quick"]).unwrap().effort(), Effort::QUICK);
        assert_eq!(line(&["--full"]).unwrap().effort(), Effort::FULL);
        assert!(line(&["--quick", "--full"]).is_err());
    }
}
