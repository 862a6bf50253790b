//! `sim`: runs seed after seed and says what it saw.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports to its caller"
)]

use std::process::ExitCode;

use clap::Parser;
use sim::{Failure, Figures, Size, run};

/// Runs the whole system in one thread, once for each seed.
///
/// Exits with 0 where every invariant held, 1 where one did not, 2 where the
/// arguments make no sense.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tasks in each run.
    #[arg(long, default_value_t = Size::default().tasks as u64,
          value_parser = clap::value_parser!(u64).range(2..=64))]
    tasks: u64,
    /// Steps of each run before it is wound down.
    #[arg(long, default_value_t = Size::default().steps)]
    steps: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let size = Size { tasks: options.tasks as usize, steps: options.steps };
    let mut all = Figures::default();
    for nth in 0..options.seeds {
        match run(options.seed.wrapping_add(nth), size, None) {
            Ok(figures) => add(&mut all, figures),
            Err(failure) => {
                report(&failure, size);
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{} seeds, {} steps, {} messages, {} rights moved ({} given on), \
         {} introductions, {} kills, {} offences, lost 0",
        options.seeds,
        all.steps,
        all.messages,
        all.rights,
        all.gives,
        all.introductions,
        all.kills,
        all.offences
    );
    ExitCode::SUCCESS
}

fn add(all: &mut Figures, one: Figures) {
    all.steps += one.steps;
    all.messages += one.messages;
    all.rights += one.rights;
    all.kills += one.kills;
    all.offences += one.offences;
    all.gives += one.gives;
    all.introductions += one.introductions;
}

fn report(failure: &Failure, size: Size) {
    let Failure { seed, step, violation } = failure;
    eprintln!(
        "seed {seed}, step {step}: {} does not hold: {}",
        violation.invariant, violation.what
    );
    eprintln!(
        "replay: cargo run --release -p pillarbox-sim -- --seeds 1 --seed {seed} --tasks {} --steps {}",
        size.tasks, size.steps
    );
}
