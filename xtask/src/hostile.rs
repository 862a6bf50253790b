//! `cargo xtask hostile`: a task that is lied to, and serves the honest.

use anyhow::Result;

use crate::Verdict;
use crate::program::Program;
use crate::step::{Bench, Ending};

/// Frames of `cargo xtask check`.
const FRAMES: u64 = 2_000_000;

/// Lies to a real task, which serves an honest client meanwhile.
///
/// Hostile processes write frames, packets, greetings and words of every sort; the task
/// is to notice nothing, and neither is its client.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many frames the task is to read.
    #[arg(long, value_name = "N", default_value_t = FRAMES)]
    frames: u64,
    /// Hostile processes at a time.
    #[arg(long, value_name = "E", default_value_t = 2)]
    enemies: u64,
    /// Where chance begins; another each time where none is given.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

fn program(options: &Options) -> Program {
    let mut arguments = vec![
        "hostile".to_owned(),
        format!("--frames={}", options.frames),
        format!("--enemies={}", options.enemies),
    ];
    arguments.extend(options.seed.map(|seed| format!("--seed={seed}")));
    Program { package: "pillarbox-chaos", name: "chaos", arguments }
}

/// Throws as many as were asked for.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    program(options).run()
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    program(&Options { frames: FRAMES, enemies: 2, seed: None }).step(bench)
}
