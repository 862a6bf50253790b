//! `cargo xtask exhaustive`: every sequence of operations up to a length.

use std::process::Command;

use anyhow::Result;

use crate::child::tail;
use crate::step::{Bench, Broken, Ending, Outcome};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// The length in `cargo xtask check`: each world further than its own test goes
/// in a debug build would take too long there, so it is the tests' own.
const OPS: u32 = 5;

/// Runs every sequence of operations of two and three tasks up to a length.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The length.
    #[arg(long, value_name = "K", default_value_t = OPS,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    ops: u32,
    /// Only the worlds whose test's name holds this.
    filter: Option<String>,
}

/// Walks, and shows how far.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let workspace = Workspace::load()?;
    let mut bench = Bench::new(&workspace, "exhaustive");
    let mut command = command(&bench, options);
    // The longest walks take hours: they end when they end.
    match bench.must_within(&mut command, std::time::Duration::MAX) {
        Ok(output) => {
            for line in walked(&output) {
                say(line);
            }
            say(figures(&output));
            Ok(Verdict::Good)
        }
        Err(broken) => {
            say(tail(&broken.output, 100));
            say(format_args!("failed: up to {} operations: {}", options.ops, broken.why));
            Ok(Verdict::Bad)
        }
    }
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    let mut command = command(bench, &Options { ops: OPS, filter: None });
    let output = bench.must(&mut command)?;
    if walked(&output).next().is_none() {
        return Err(Broken { why: "nothing was walked".to_owned(), output });
    }
    Ok(Outcome::Passed(figures(&output)))
}

fn command(bench: &Bench, options: &Options) -> Command {
    let mut command = bench.cargo("test --release --locked -p pillarbox-rights --test exhaustive");
    command.arg("--").arg("--nocapture").args(&options.filter);
    command.env("PILLARBOX_OPS", options.ops.to_string());
    command
}

/// What the walks said, one line each.
fn walked(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter(|line| line.contains(": every sequence of up to "))
}

/// The sum of it.
fn figures(output: &str) -> String {
    let (mut worlds, mut sequences, mut states) = (0, 0, 0);
    for line in walked(output) {
        let number = |word: &str| {
            let words: Vec<_> = line.split_whitespace().collect();
            let at = words.iter().position(|known| *known == word)?;
            words.get(at.checked_sub(1)?)?.parse::<u128>().ok()
        };
        worlds += 1;
        sequences += number("sequences").unwrap_or(0);
        states += number("states").unwrap_or(0);
    }
    format!("{worlds} worlds, {sequences} sequences through {states} states, lost 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walks_are_summed() {
        let output = "\
running 2 tests
a: every sequence of up to 3 operations: 10 sequences through 4 states
test a ... b, c: every sequence of up to 3 operations: 1 sequences through 1 states
";
        assert_eq!(figures(output), "2 worlds, 11 sequences through 5 states, lost 0");
    }
}
