//! `cargo xtask loom`: every interleaving of writer, reader and sleeper.

use std::process::Command;

use anyhow::Result;

use crate::child::{count, tail};
use crate::step::{Bench, Ending, Outcome};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// Runs the memory's model tests under loom.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the tests whose name holds this.
    filter: Option<String>,
}

/// Runs the tests and shows what they print.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let workspace = Workspace::load()?;
    let mut bench = Bench::new(&workspace, "loom");
    let mut command = command(&bench);
    if let Some(filter) = &options.filter {
        command.arg(filter);
    }
    match bench.test(&mut command) {
        Ok(tally) => {
            say(format_args!("{}, every interleaving, lost 0", count(tally.passed, "model")));
            Ok(Verdict::Good)
        }
        Err(broken) => {
            say(tail(&broken.output, 300));
            say(format_args!("failed: {}", broken.why));
            Ok(Verdict::Bad)
        }
    }
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    let mut command = command(bench);
    let tally = bench.test(&mut command)?;
    Ok(Outcome::Passed(count(tally.passed, "model")))
}

/// Loom's cfg changes every crate, so it builds beside the rest.
fn command(bench: &Bench) -> Command {
    let mut command = bench.cargo("test --locked -p pillarbox-shm --release");
    command
        .args(["--test", "loom", "--test", "loom_waiters", "--test", "loom_lock"])
        .args(["--test", "loom_chute", "--test", "loom_leaving"])
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", bench.workspace.target.join("loom"));
    command
}
