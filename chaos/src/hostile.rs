//! Peers that say anything to a task that serves the honest.
//!
//! | module     | idea                                                      |
//! |------------|-----------------------------------------------------------|
//! | [`victim`] | the task that is lied to, and what must be left of it     |
//! | [`client`] | the honest client it serves meanwhile                     |
//! | [`readers`] | mailboxes that the hostile may read, and an honest reader |
//! | [`enemy`]  | one hostile link after another                            |
//! | [`story`]  | frames: most as an honest peer writes them, some wrong    |
//! | [`mover`]  | ports that the hostile move to the victim                 |
//! | [`answerer`] | calls, long requests, answers in parts                  |
//! | [`link`]   | a connection by hand; memory whose every byte was chosen  |
//! | [`live`]   | one that goes on, and reads what it is told               |
//!
//! A frame counts when the victim has read it: it frees the room of what it has
//! read, and its tail says so. What is checked: the victim neither ends nor
//! panics; the honest client's messages come in order, none missing, and its
//! calls are answered; every hello is answered, and every lane read or its link
//! ended, in time; the victim's memory stays within a bound; and in the end
//! nothing is left in its census, its descriptors, its mappings.

mod answerer;
pub(crate) mod client;
pub(crate) mod enemy;
mod link;
mod live;
mod mover;
mod readers;
mod story;
pub(crate) mod victim;

use std::fs::Permissions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::log::{Reading, now_ns};
use crate::residue::resident_bytes;
use crate::watchdog::threads_of;

/// Throws hostile frames at a task that serves honest ones.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How many frames the victim is to read.
    #[arg(long, default_value_t = 1_000_000)]
    frames: u64,
    /// Hostile processes at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    enemies: u64,
    /// Where chance begins; another each time where none is given.
    #[arg(long)]
    seed: Option<u64>,
}

/// How long the victim or the client may do nothing, and no healthy wait is as long:
/// all of them may be stopped for two minutes, and have hardly any processor then.
const PATIENCE: Duration = Duration::from_secs(240);

/// The user that every other of the hostile is, where we may choose: nobody.
const OTHER_USER: u64 = 65534;

/// What the victim may have resident beyond its start: of every enemy what one
/// link may queue and what a link is mapped with, some links at a time, and
/// gives of links that have ended.
const MEMORY: u64 = 512 << 20;

/// A process and its log.
struct Part {
    name: &'static str,
    child: Child,
    log: Reading,
}

impl Part {
    fn start(name: &'static str, path: &Path, more: &[(&str, u64)]) -> Result<Part, String> {
        let said = |error: std::io::Error| format!("no {name}: {error}");
        let log = Reading::new().map_err(said)?;
        let mut command = Command::new(std::env::current_exe().map_err(said)?);
        command.arg(name).arg("--path").arg(path).stdin(log.for_child().map_err(said)?);
        for (name, value) in more {
            command.arg(name).arg(value.to_string());
        }
        Ok(Part { name, child: command.spawn().map_err(said)?, log })
    }

    fn must_live(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("the {} has ended: {status}", self.name)),
            Err(error) => Err(format!("the {}: {error}", self.name)),
        }
    }

    fn must_end_well(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the {} ended: {status}", self.name)),
                Ok(None) if Instant::now() < until => {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                Ok(None) => return Err(self.hanging()),
                Err(error) => return Err(format!("the {}: {error}", self.name)),
            }
        }
    }

    fn hanging(&self) -> String {
        let pid = self.child.id();
        format!("the {} (process {pid}) does not move:\n{}", self.name, threads_of(pid))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What was thrown and what became of it.
#[derive(Default)]
struct Figures {
    enemies: [u64; 6],
    honest: u64,
    answered: u64,
    taken: u64,
    ports: u64,
    called: u64,
    inbox: u64,
    read: u64,
    longest: Duration,
    resident: u64,
}

/// Throws as many frames as were asked for.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let seed = options.seed.unwrap_or_else(|| now_ns() & 0xffff_ffff);
    let done = all(options, seed).map_err(|what| {
        format!("{what}\nagain: cargo xtask hostile --frames {} --seed {seed}", options.frames)
    })?;
    let [frames, links, ended, packets, greetings, _] = done.enemies;
    println!(
        "{frames} hostile frames, {packets} packets and {greetings} greetings on {links} links \
         (seed {seed}), {ended} of them ended and the others legal, {} of their messages taken, \
         {} of them to the inbox, {} ports, {} calls that they answered; \
         {} honest messages, {} calls and {} readings meanwhile, the longest wait {:.1?}, \
         {} MiB resident at most, lost 0",
        done.taken,
        done.inbox,
        done.ports,
        done.called,
        done.honest,
        done.answered,
        done.read,
        done.longest,
        done.resident >> 20,
    );
    Ok(())
}

fn all(options: &Options, seed: u64) -> Result<Figures, String> {
    let dir = std::env::temp_dir().join(format!("pillarbox-hostile-{}", std::process::id()));
    std::fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let folder = Folder(dir);
    let path = folder.0.join("door");
    let mut victim = Part::start("victim", &path, &[("--seed", seed)])?;
    let until = Instant::now() + PATIENCE;
    while victim.log.counter(victim::counter::READY) == 0 {
        victim.must_live()?;
        if Instant::now() > until {
            return Err(victim.hanging());
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let mut client = Part::start("client", &path, &[])?;
    let [process, number] =
        [victim::counter::PROCESS, victim::counter::NUMBER].map(|at| victim.log.counter(at));
    let chooses = rustix::process::geteuid().is_root();
    if chooses {
        // The door is the victim's user's, who opens it to all.
        std::fs::set_permissions(&path, Permissions::from_mode(0o777))
            .map_err(|error| format!("the door: {error}"))?;
    }
    let mut enemies = (0..options.enemies)
        .map(|enemy| {
            let seed = seed.wrapping_add(enemy.wrapping_mul(0x9e37));
            let user = if chooses && enemy % 2 == 1 { OTHER_USER } else { 0 };
            let who = [("--process", process), ("--number", number), ("--user", user)];
            let more: Vec<_> = [("--seed", seed)].into_iter().chain(who).collect();
            Part::start("enemy", &path, &more)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut figures = Figures::default();
    fight(options, &mut figures, &mut victim, &mut client, &mut enemies)?;

    for enemy in &mut enemies {
        enemy.log.ask(enemy::counter::ENOUGH);
        enemy.must_end_well()?;
    }
    figures.enemies = thrown(&enemies);
    client.log.ask(client::counter::ENOUGH);
    client.must_end_well()?;
    figures.honest = client.log.counter(client::counter::SENT);
    figures.answered = client.log.counter(client::counter::ANSWERED);
    figures.longest = Duration::from_nanos(client.log.counter(client::counter::LONGEST_NS));
    let until = Instant::now() + PATIENCE;
    while victim.log.counter(victim::counter::HEARD) < figures.honest && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(2));
    }
    let heard = victim.log.counter(victim::counter::HEARD);
    if heard != figures.honest {
        return Err(format!("{} honest messages were accepted, {heard} came", figures.honest));
    }
    victim.log.ask(victim::counter::ENOUGH);
    victim.must_end_well()?;
    figures.taken = victim.log.counter(victim::counter::TAKEN);
    figures.ports = victim.log.counter(victim::counter::PORTS);
    figures.called = victim.log.counter(victim::counter::CALLED);
    figures.inbox = victim.log.counter(victim::counter::INBOX);
    figures.read = victim.log.counter(victim::counter::READ);
    if victim.log.counter(victim::counter::BROKEN) > 0 {
        return Err("the victim found something broken, see above".to_owned());
    }
    Ok(figures)
}

fn thrown(enemies: &[Part]) -> [u64; 6] {
    let mut sums = [0; 6];
    for enemy in enemies {
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum += enemy.log.counter(at);
        }
    }
    sums
}

/// Until enough was read, or something is wrong.
fn fight(
    options: &Options,
    figures: &mut Figures,
    victim: &mut Part,
    client: &mut Part,
    enemies: &mut [Part],
) -> Result<(), String> {
    let before = victim.log.counter(victim::counter::BEFORE);
    let mut told = Instant::now();
    let mut moved = (Instant::now(), 0);
    loop {
        std::thread::park_timeout(Duration::from_millis(10));
        victim.must_live()?;
        client.must_live()?;
        for enemy in &mut *enemies {
            enemy.must_live().map_err(|what| format!("{what}\n{}", victim.hanging()))?;
        }
        let frames = thrown(enemies)[enemy::counter::FRAMES];
        let resident = resident_bytes(victim.child.id());
        figures.resident = figures.resident.max(resident);
        if resident > before + MEMORY {
            return Err(format!("the victim has {} MiB resident", resident >> 20));
        }
        if victim.log.counter(victim::counter::BROKEN) > 0 {
            return Err("the victim found something broken, see above".to_owned());
        }
        let answered = client.log.counter(client::counter::ANSWERED);
        if answered != moved.1 {
            moved = (Instant::now(), answered);
        } else if moved.0.elapsed() > PATIENCE {
            return Err(format!("{}{}", client.hanging(), victim.hanging()));
        }
        if frames >= options.frames {
            return Ok(());
        }
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            progress(frames, options.frames, resident);
        }
    }
}

fn progress(frames: u64, all: u64, resident: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let _ = write!(out, "\r{frames} of {all} frames, {} MiB resident ", resident >> 20);
        let _ = out.flush();
    }
}
