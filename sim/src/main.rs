//! `sim`: runs seed after seed and says what it saw.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that reports to its caller"
)]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use sim::{Failure, Fault, Figures, Size, run, run_traced};

/// Runs the whole system in one thread, once for each seed.
///
/// Exits with 0 where every invariant held, 1 where one did not, 2 where the
/// arguments make no sense.
#[derive(Debug, Parser)]
#[command(name = "sim", version)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
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
    /// Threads that run seeds: as many as there are cores where it is not said.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Has every task break this rule on purpose: the run is to fail.
    #[arg(long, value_name = "RULE", value_parser = fault)]
    fault: Option<Fault>,
    /// Runs one seed, and says what everybody said, heard and received in it, and at a
    /// failure what was in every port.
    #[arg(long, conflicts_with_all = ["seeds", "jobs"])]
    trace: bool,
}

/// A broken rule, by the name it has in the source.
fn fault(name: &str) -> Result<Fault, String> {
    let mut all = Fault::BY_CHANCE.into_iter();
    all.find(|fault| format!("{fault:?}") == name).ok_or_else(|| {
        let all = Fault::BY_CHANCE.map(|fault| format!("{fault:?}"));
        format!("it is one of {}", all.join(", "))
    })
}

fn main() -> ExitCode {
    let options = Options::parse();
    let size = Size { tasks: options.tasks as usize, steps: options.steps };
    let ended = if options.trace { traced(&options, size) } else { all(&options, size) };
    let all = match ended {
        Ok(all) => all,
        Err(failure) => {
            report(&failure, &options);
            return ExitCode::FAILURE;
        }
    };
    println!(
        "{} seeds, {} steps, {} messages ({} spilled, {} over the limit), {} rights moved ({} given, {} of them unconfirmed), \
         {} introductions, {} ports moved, {} rights followed, {} sent again, {} circles, \
         {} calls ({} withdrawn, {} parts), {} left, {} questions for room, \
         {} pulses ({} merged, {} no room), {} dropped, \
         {} handed to readers ({} back), {} out of sets, {} kills, {} refused, {} offences, lost 0",
        if options.trace { 1 } else { options.seeds },
        all.steps,
        all.messages,
        all.spilled,
        all.over_limit,
        all.rights,
        all.gives,
        all.given_on,
        all.introductions,
        all.moves,
        all.follows,
        all.again,
        all.circles,
        all.calls,
        all.withdrawn,
        all.parts,
        all.left,
        all.rooms,
        all.pulses,
        all.merged,
        all.no_room,
        all.dropped,
        all.handed,
        all.back,
        all.from_sets,
        all.kills,
        all.refused,
        all.offences
    );
    ExitCode::SUCCESS
}

/// One seed, told line by line.
fn traced(options: &Options, size: Size) -> Result<Figures, Failure> {
    let (ended, lines) = run_traced(options.seed, size, options.fault);
    let mut out = std::io::stdout().lock();
    for line in lines {
        // Who has read enough closes the pipe.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    ended
}

/// Every seed, shared among the cores. Each run is one thread's own.
fn all(options: &Options, size: Size) -> Result<Figures, Failure> {
    let next = AtomicU64::new(0);
    let whole = Mutex::new((Figures::default(), None::<Failure>));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let jobs = options.jobs.unwrap_or(cores);
    let work = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= options.seeds {
                return;
            }
            let one = run(options.seed.wrapping_add(nth), size, options.fault);
            let mut whole = whole.lock().unwrap_or_else(PoisonError::into_inner);
            match one {
                Ok(figures) => add(&mut whole.0, figures),
                Err(failure) => {
                    // The others end with the seed they are at; the lowest is told.
                    next.store(options.seeds, Ordering::Relaxed);
                    if whole.1.as_ref().is_none_or(|known| failure.seed < known.seed) {
                        whole.1 = Some(failure);
                    }
                }
            }
            progress(nth + 1, options.seeds);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
        }
        work();
    });
    let (figures, failure) = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(figures), Err)
}

/// Says how far we are, to who sits at a terminal.
fn progress(done: u64, seeds: u64) {
    let mut out = std::io::stderr();
    if done.is_multiple_of(100) && out.is_terminal() {
        let _ = write!(out, "\r{done} of {seeds} seeds ");
        let _ = out.flush();
    }
}

fn add(all: &mut Figures, one: Figures) {
    all.steps += one.steps;
    all.messages += one.messages;
    all.rights += one.rights;
    all.kills += one.kills;
    all.offences += one.offences;
    all.gives += one.gives;
    all.given_on += one.given_on;
    all.introductions += one.introductions;
    all.refused += one.refused;
    all.moves += one.moves;
    all.follows += one.follows;
    all.again += one.again;
    all.circles += one.circles;
    all.calls += one.calls;
    all.withdrawn += one.withdrawn;
    all.parts += one.parts;
    all.left += one.left;
    all.rooms += one.rooms;
    all.pulses += one.pulses;
    all.merged += one.merged;
    all.no_room += one.no_room;
    all.dropped += one.dropped;
    all.handed += one.handed;
    all.back += one.back;
    all.from_sets += one.from_sets;
    all.spilled += one.spilled;
    all.over_limit += one.over_limit;
}

fn report(failure: &Failure, options: &Options) {
    let Failure { seed, step, violation } = failure;
    eprintln!(
        "seed {seed}, step {step}: {} does not hold: {}",
        violation.invariant, violation.what
    );
    let broken = options.fault.map(|fault| format!(" --fault {fault:?}")).unwrap_or_default();
    eprintln!(
        "replay: cargo run --release -p pillarbox-sim -- --trace --seed {seed} --tasks {} --steps {}{broken}",
        options.tasks, options.steps
    );
}
