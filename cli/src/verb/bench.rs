//! `pillarbox bench`: how fast this machine is with us, beside what it can do at best.

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use rows::{Effort, PLAN, command, json};

use crate::failure::Failure;
use crate::output;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
Every row is measured beside its limit, in short slices that take turns: while both
ends are awake a bare ring in shared memory, where they sleep the best of futex,
eventfd, pipe and socket. Where a ratio is the goal it is that of one round after
another. It takes under 20 s; run it on a machine that does nothing else.

Examples:
  pillarbox bench
  pillarbox bench --row call-awake call-asleep-two-cores
  pillarbox bench --json | jq -r '.[] | select(.pass | not).row'

Exit codes:
  0   every row has a figure, good or not
  1   a row could not be measured

JSON, one list: {\"row\":\"call-awake\",\"unit\":\"ns\",\"ours\":900,\"limit\":550,\"ratio\":1.64,
  \"goal\":1.5,\"pass\":false,\"peers\":{},\"p99\":1200,\"p999\":9000,\"cpu_ns_per_op\":1800,
  \"runs\":7}; what a row does not have is null.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure these rows only
    #[arg(long = "row", value_name = "NAME", num_args = 1.., value_parser = names())]
    rows: Vec<String>,
    /// Print one list of objects
    #[arg(long)]
    pub(crate) json: bool,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(PLAN.rows.iter().map(|row| row.name))
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let options = command::Options { rows: arguments.rows, ..command::Options::default() };
    let watched = !arguments.json && output::is_terminal();
    let outcome = command::run(PLAN, &options, &Effort::SHORT, &[], |row, _, _| {
        if watched {
            output::line(row.name);
        }
    })?;
    let text = if arguments.json { json(&outcome.measured)? } else { outcome.told() };
    let _ = output::bytes(&[text.as_bytes()])?;
    if arguments.json {
        for (row, why) in &outcome.failed {
            output::say(&format!("{} was not measured: {why}", row.name));
        }
    }
    Ok(ExitCode::from(u8::from(!outcome.failed.is_empty())))
}
