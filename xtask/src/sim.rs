//! `cargo xtask sim`: the whole system in one thread, seed after seed.

use anyhow::Result;

use crate::Verdict;
use crate::program::Program;
use crate::step::{Bench, Ending};

/// Seeds that `cargo xtask check` runs.
const SEEDS: u64 = 500;

/// Runs the simulator, optimized: seeds S to S+N-1.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = SEEDS,
          value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Tasks in each run.
    #[arg(long, value_name = "T")]
    tasks: Option<u64>,
    /// Threads: as many as there are cores where it is not said.
    #[arg(long, value_name = "J")]
    jobs: Option<u64>,
}

fn program(options: &Options) -> Program {
    let mut arguments =
        vec![format!("--seeds={}", options.seeds), format!("--seed={}", options.seed)];
    arguments.extend(options.tasks.map(|tasks| format!("--tasks={tasks}")));
    arguments.extend(options.jobs.map(|jobs| format!("--jobs={jobs}")));
    Program { package: "pillarbox-sim", name: "sim", arguments }
}

/// Runs the seeds and shows what the simulator says.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    program(options).run()
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    program(&Options { seeds: SEEDS, seed: 1, tasks: None, jobs: None }).step(bench)
}
