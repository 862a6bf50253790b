//! `cargo xtask check`: every step in order, as CI runs it.
//!
//! Stops at the first step that fails, with the end of its output and the
//! command that runs it alone. With `CI=true` in the environment a step whose
//! tool is missing counts as failed.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::child::{seconds, tail};
use crate::step::{Bench, Outcome, Step, Tally};
use crate::steps::STEPS;
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// Lines of a failed command's output that are shown.
const TAIL_LINES: usize = 150;

/// Runs what CI runs, word for word.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only name the steps.
    #[arg(long)]
    list: bool,
    /// Run these steps only, in the usual order.
    #[arg(long, value_name = "STEP", value_delimiter = ',', value_parser = names())]
    only: Vec<String>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(STEPS.iter().map(|step| step.name))
}

/// What became of a step.
struct Line {
    name: &'static str,
    time: Duration,
    fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Done(Outcome),
    Failed,
}

/// Runs the steps that were asked for.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    if options.list {
        for step in STEPS {
            say(format_args!("{:<9} {}", step.name, step.about));
        }
        return Ok(Verdict::Good);
    }
    let workspace = Workspace::load()?;
    let mut tally = Tally::default();
    let mut lines = Vec::new();
    let chosen = STEPS.iter().filter(|step| {
        options.only.is_empty() || options.only.iter().any(|name| name == step.name)
    });
    for step in chosen {
        let line = one(step, &workspace, &mut tally);
        let failed = line.fate == Fate::Failed;
        lines.push(line);
        if failed {
            break;
        }
    }
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    let verdict = verdict(&lines, strict);
    summarize(&lines, strict);
    say("");
    say(format_args!("{} passed, {} failed", tally.passed, tally.failed));
    Ok(verdict)
}

fn one(step: &Step, workspace: &Workspace, tally: &mut Tally) -> Line {
    let name = step.name;
    say(format_args!("{name:<9} {}", step.about));
    let start = Instant::now();
    let mut bench = Bench::new(workspace, name);
    let ending = (step.run)(&mut bench);
    let time = start.elapsed();
    tally.add(bench.tally);
    let fate = match ending {
        Ok(outcome) => {
            say(match &outcome {
                Outcome::Passed(remark) if remark.is_empty() => {
                    format!("{:<9} ok in {}", "", seconds(time))
                }
                Outcome::Passed(remark) => format!("{:<9} ok in {}: {remark}", "", seconds(time)),
                Outcome::Skipped(how) => format!("skipped: {name} ({how})"),
                Outcome::NotHere(why) => format!("not checked here: {name} ({why})"),
            });
            Fate::Done(outcome)
        }
        Err(broken) => {
            if !broken.output.trim().is_empty() {
                say(tail(&broken.output, TAIL_LINES));
            }
            say(format_args!("failed: {name} after {}: {}", seconds(time), broken.why));
            if bench.log.exists() {
                let log = bench.log.strip_prefix(bench.root()).unwrap_or(&bench.log);
                say(format_args!("whole output: {}", log.display()));
            }
            say(format_args!("again: cargo xtask check --only {name}"));
            Fate::Failed
        }
    };
    Line { name, time, fate }
}

fn verdict(lines: &[Line], strict: bool) -> Verdict {
    Verdict::good_if(lines.iter().all(|line| match line.fate {
        Fate::Failed => false,
        Fate::Done(Outcome::Skipped(_)) => !strict,
        Fate::Done(_) => true,
    }))
}

fn summarize(lines: &[Line], strict: bool) {
    say("");
    say(format_args!("{:<9} {:>13}  ended", "step", "time"));
    let mut whole = Duration::ZERO;
    for line in lines {
        whole += line.time;
        let end = match &line.fate {
            Fate::Failed => "failed".to_owned(),
            Fate::Done(Outcome::Passed(_)) => "ok".to_owned(),
            Fate::Done(Outcome::Skipped(how)) if strict => {
                format!("skipped, which fails in CI ({how})")
            }
            Fate::Done(Outcome::Skipped(how)) => format!("skipped ({how})"),
            Fate::Done(Outcome::NotHere(why)) => format!("not checked here ({why})"),
        };
        say(format_args!("{:<9} {:>13}  {end}", line.name, seconds(line.time)));
    }
    say(format_args!("{:<9} {:>13}", "", seconds(whole)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fate: Fate) -> Line {
        Line { name: "x", time: Duration::ZERO, fate }
    }

    #[test]
    fn a_skipped_step_fails_in_ci_only() {
        let skipped = [line(Fate::Done(Outcome::Skipped("apt install g++".into())))];
        assert_eq!(verdict(&skipped, false), Verdict::Good);
        assert_eq!(verdict(&skipped, true), Verdict::Bad);
        let not_here = [line(Fate::Done(Outcome::NotHere("no target".into())))];
        assert_eq!(verdict(&not_here, true), Verdict::Good);
        assert_eq!(verdict(&[line(Fate::Failed)], false), Verdict::Bad);
    }

    #[test]
    fn no_two_steps_share_a_name() {
        for (at, step) in STEPS.iter().enumerate() {
            assert!(STEPS[at + 1..].iter().all(|other| other.name != step.name));
        }
    }
}
