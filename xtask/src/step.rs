//! What a step is, and how it may end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::child;
use crate::workspace::{Workspace, cargo};

/// One thing `cargo xtask check` does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) about: &'static str,
    /// Does it.
    pub(crate) run: fn(&mut Bench) -> Ending,
}

/// How a step ended, where it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well; a remark, or nothing.
    Passed(String),
    /// A tool is missing; how to get it. In CI that is a failure.
    Skipped(String),
    /// Cannot be checked on this machine, and nothing one could install from a
    /// registry would change that; why.
    NotHere(String),
}

/// What a step returns.
pub(crate) type Ending = Result<Outcome, Broken>;

/// A step that found something wrong.
#[derive(Debug)]
pub(crate) struct Broken {
    /// What is wrong, in a line.
    pub(crate) why: String,
    /// What the command printed.
    pub(crate) output: String,
}

impl Broken {
    /// A failure that needs no output to be understood.
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Broken { why: why.into(), output: String::new() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Broken {
    fn from(error: E) -> Self {
        Broken::new(format!("{:#}", error.into()))
    }
}

/// Tests that ran, over all runs of `cargo test`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
}

impl Tally {
    /// Counts what a test run printed.
    pub(crate) fn of(output: &str) -> Self {
        let mut tally = Tally::default();
        for line in output.lines() {
            let Some((_, counts)) =
                line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
            else {
                continue;
            };
            for count in counts.split(';') {
                let mut words = count.split_whitespace();
                let number = words.next().and_then(|word| word.parse::<usize>().ok());
                match (number, words.next()) {
                    (Some(number), Some("passed")) => tally.passed += number,
                    (Some(number), Some("failed")) => tally.failed += number,
                    _ => {}
                }
            }
        }
        tally
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// What a step works with.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    /// What cargo knows.
    pub(crate) workspace: &'a Workspace,
    /// Where the output of the step's commands goes.
    pub(crate) log: PathBuf,
    /// Tests so far.
    pub(crate) tally: Tally,
}

impl<'a> Bench<'a> {
    /// A bench for the step `name`, with an empty log.
    pub(crate) fn new(workspace: &'a Workspace, name: &str) -> Self {
        let log = workspace.target.join("xtask").join(format!("{name}.log"));
        let _ = fs::remove_file(&log);
        Bench { workspace, log, tally: Tally::default() }
    }

    /// The root of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.workspace.root
    }

    /// Cargo, to be run at the root; `words` are its arguments.
    pub(crate) fn cargo(&self, words: &str) -> Command {
        let mut command = cargo();
        command.current_dir(self.root()).args(words.split_whitespace());
        command
    }

    /// Runs `command`, which must end well; returns what it printed.
    pub(crate) fn must(&mut self, command: &mut Command) -> Result<String, Broken> {
        self.must_within(command, child::BOUND)
    }

    /// The same with a bound of its own.
    pub(crate) fn must_within(
        &mut self,
        command: &mut Command,
        bound: Duration,
    ) -> Result<String, Broken> {
        let ended = child::finish(command, bound, &self.log)?;
        match ended.trouble {
            None => Ok(ended.output),
            Some(why) => Err(Broken { why, output: ended.output }),
        }
    }

    /// Runs a `cargo test` and counts its tests, also when it fails.
    pub(crate) fn test(&mut self, command: &mut Command) -> Result<Tally, Broken> {
        let ended = child::finish(command, child::BOUND, &self.log)?;
        let mut tally = Tally::of(&ended.output);
        if ended.trouble.is_some() && tally.failed == 0 {
            // A test that took its whole program down printed no result.
            tally.failed = 1;
        }
        self.tally.add(tally);
        match ended.trouble {
            None => Ok(tally),
            Some(why) => Err(Broken { why, output: ended.output }),
        }
    }

    /// Whether `cargo VERB` is there.
    pub(crate) fn has_cargo(&self, verb: &str) -> bool {
        answers(cargo().args([verb, "--version"]))
    }
}

/// Whether a command can be run and says yes.
pub(crate) fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_line_is_counted() {
        let output = "\
running 2 tests
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
a line that says 9 passed; 9 failed
";
        let counted = Tally { passed: 7, failed: 1 };
        assert_eq!(Tally::of(output), counted);
    }
}
