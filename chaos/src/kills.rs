//! Tasks that exchange rights while they are stopped and killed at random.
//!
//! | module     | idea                                                     |
//! |------------|----------------------------------------------------------|
//! | [`swarm`]  | the processes: started, introduced, stopped, killed      |
//! | [`worker`] | what each of them does                                   |
//! | [`letter`] | what lies in their messages                              |
//! | [`places`] | where the ports are                                      |
//! | [`ledger`] | what all did, held against what they must have seen      |
//! | [`sends`]  | how and when they were sent                              |
//! | [`readings`] | the same of mailboxes that several read                |
//!
//! What is checked: each message comes once, whole, in the order of its sender,
//! with its rights and descriptors, from whom the kernel says; what was accepted
//! for a port that was closed after the news of no senders was received; that
//! news is never early and never missing; each call and each send-once right
//! ends in one message or one notification; nobody sees a death that was none;
//! what was not sent comes back whole; what several readers share is acknowledged
//! once, and goes to others where a reader is gone. In the end everybody ends by itself, and
//! nothing is left: no right, descriptor, mapping, thread, name or process.

mod ledger;
mod letter;
mod places;
mod readings;
mod sends;
mod swarm;
pub(crate) mod worker;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use pillarbox::{Deadline, Task};

use self::swarm::{Figures, Swarm};
use self::worker::NAMES;
use crate::chance::Chance;
use crate::residue::Residue;

/// Kills and stops tasks at random while they exchange rights.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How many are killed.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Tasks at a time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=200))]
    tasks: u64,
    /// Where chance begins; another each time where none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Microseconds between two kills, on the average.
    #[arg(long, default_value_t = 25_000)]
    every: u64,
    /// Microseconds between two steps of a worker's thread, at most.
    #[arg(long, default_value_t = 5_000)]
    pace: u64,
    /// Some own mailboxes that several read.
    #[arg(long)]
    mailboxes: bool,
}

/// How often the logs are read.
const LOOK: Duration = Duration::from_millis(100);

/// How long what is left over may take to go.
const SETTLE: Duration = Duration::from_secs(20);

/// Kills as many as were asked for.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let seed = options.seed.unwrap_or_else(|| crate::log::now_ns() & 0xffff_ffff);
    let again = format!(
        "again: cargo xtask chaos --kills {} --tasks {} --seed {seed}{}",
        options.kills,
        options.tasks,
        if options.mailboxes { "" } else { " --without-mailboxes" },
    );
    let figures = all(options, seed).map_err(|what| format!("{what}\n{again}"))?;
    let (done, verified, deaths) = figures;
    let counts: Vec<_> =
        NAMES.iter().zip(done.counts).map(|(name, count)| format!("{count} {name}")).collect();
    println!(
        "{} kills and {} stops of {} tasks in {} lives (seed {seed}): {}, {deaths} deaths seen, \
         {verified} messages checked at the end of their ports, lost 0",
        done.kills,
        done.stops,
        options.tasks,
        done.lives,
        counts.join(", "),
    );
    Ok(())
}

fn all(options: &Options, seed: u64) -> Result<(Figures, u64, u64), String> {
    let task = Task::current().map_err(|error| error.to_string())?;
    // The first round makes what stays: threads, sockets of our own.
    let calm = Options { kills: 0, tasks: 2, ..options.clone() };
    round(&task, &calm, seed)?;
    settle(|| task.peers().is_empty(), || format!("peers are left: {:?}", task.peers()))?;
    let before = Residue::now();
    let figures = round(&task, options, seed)?;
    settle(|| task.peers().is_empty(), || format!("peers are left: {:?}", task.peers()))?;
    settle(
        || task.census().rows.iter().all(|row| row.count == 0),
        || format!("rights are left: {:?}", task.census()),
    )?;
    settle(
        || Residue::now().is_within(&before),
        || format!("left of the system's: {:?}, before {before:?}", Residue::now()),
    )?;
    Ok(figures)
}

fn settle(holds: impl Fn() -> bool, what: impl Fn() -> String) -> Result<(), String> {
    let until = Instant::now() + SETTLE;
    while !holds() {
        if Instant::now() > until {
            return Err(what());
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    Ok(())
}

/// From the first worker to the end of the last.
fn round(task: &Task, options: &Options, seed: u64) -> Result<(Figures, u64, u64), String> {
    let mut swarm = Swarm::new(task, options, seed);
    let mut chance = Chance::of(seed, 1);
    let mut looked = Instant::now();
    let mut told = Instant::now();
    let mut kill_at = Instant::now() + Duration::from_secs(1);
    let mut stop_at = kill_at;
    while swarm.figures.kills < options.kills || !swarm.is_whole() || swarm.count() == 0 {
        while (swarm.count() as u64) < options.tasks {
            swarm.start()?;
        }
        swarm.hear(Deadline::after(Duration::from_millis(2)))?;
        let now = Instant::now();
        let more = swarm.figures.kills < options.kills;
        if more && now >= kill_at {
            swarm.kill_one()?;
            kill_at = now + chance.micros(2 * options.every);
        }
        if more && now >= stop_at {
            swarm.stop_one();
            stop_at = now + chance.micros(2 * options.every);
        }
        swarm.resume(false);
        if looked.elapsed() >= LOOK {
            swarm.look()?;
            looked = Instant::now();
        }
        if told.elapsed() >= Duration::from_secs(1) {
            progress(&swarm, options.kills);
            told = Instant::now();
        }
    }
    swarm.rest()?;
    Ok((swarm.figures.clone(), swarm.ledger.verified, swarm.ledger.deaths))
}

fn progress(swarm: &Swarm, kills: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let messages = swarm.counts()[0];
        let done = swarm.figures.kills;
        let _ = write!(out, "\r{done} of {kills} kills, {messages} messages ");
        let _ = out.flush();
    }
}
