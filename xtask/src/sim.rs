//! `cargo xtask sim`: the whole system in one thread, seed after seed.

use anyhow::Result;

use crate::child::tail;
use crate::step::{Bench, Broken, Ending, Outcome};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// Seeds that `cargo xtask check` runs.
const SEEDS: u64 = 200;

/// Runs the simulator.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = SEEDS)]
    seeds: u64,
    /// The first of them.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the seeds and shows what the simulator says.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let workspace = Workspace::load()?;
    let mut bench = Bench::new(&workspace, "sim");
    match simulate(&mut bench, options.seeds, options.seed) {
        Ok(output) => {
            say(tail(&output, 20));
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
    let output = simulate(bench, SEEDS, None)?;
    let last = output.trim_end().lines().last().unwrap_or_default();
    Ok(Outcome::Passed(last.trim().to_owned()))
}

fn simulate(bench: &mut Bench, seeds: u64, seed: Option<u64>) -> Result<String, Broken> {
    let mut command = bench.cargo("run --quiet --release --locked -p pillarbox-sim --");
    command.arg("--seeds").arg(seeds.to_string());
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    bench.must(&mut command)
}
