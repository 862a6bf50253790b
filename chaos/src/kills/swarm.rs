//! The workers there are: started, introduced, stopped, killed, replaced.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendFailure, SendRight, Spawn, Task};
use rustix::process::{Pid, Signal, kill_process};

use super::Options;
use super::ledger::{Ledger, kind};
use super::letter::{Letter, Named, PortId, Sort, Stream};
use super::worker::{CONTROL, COUNTS_AT, NAMES, THREADS};
use crate::chance::Chance;
use crate::log::{Reading, Record, now_ns};
use crate::watchdog::threads_of;

/// How long a worker that is not stopped may do nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest stop.
const STOP_MICROS: u64 = 200_000;

/// A worker, as who started it sees it.
#[derive(Debug)]
struct Worker {
    life: u32,
    child: Child,
    log: Reading,
    /// A right to its port, once it has greeted, and how many letters went there.
    main: Option<(SendRight, u64)>,
    /// Rights to read its mailboxes.
    readers: Vec<(SendRight, PortId)>,
    stopped_until: Option<Instant>,
    steps: [u64; THREADS],
    moved: Instant,
}

/// What was done and seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) kills: u64,
    pub(super) stops: u64,
    pub(super) lives: u64,
    pub(super) counts: [u64; NAMES.len()],
}

/// All of them.
#[derive(Debug)]
pub(super) struct Swarm {
    seed: u64,
    pace: u64,
    mailboxes: bool,
    chance: Chance,
    control: ReceiveRight,
    workers: Vec<Worker>,
    pub(super) ledger: Ledger,
    pub(super) figures: Figures,
    next_life: u32,
    /// The first lives are stopped and never killed: what was accepted for them
    /// from all the killed ones must have come in the end.
    spared: u32,
}

impl Swarm {
    pub(super) fn new(task: &Task, options: &Options, seed: u64) -> Swarm {
        Swarm {
            seed,
            pace: options.pace,
            mailboxes: options.mailboxes,
            chance: Chance::new(seed),
            control: task.port(Capacity::Unbounded),
            workers: Vec::new(),
            ledger: Ledger::default(),
            figures: Figures::default(),
            next_life: 1,
            spared: (options.tasks / 4) as u32,
        }
    }

    /// Starts one more.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| format!("a worker does not start: {error}");
        let life = self.next_life;
        self.next_life += 1;
        let log = Reading::new().map_err(|error| said(&error))?;
        let own = std::env::current_exe().map_err(|error| said(&error))?;
        let mut command = Command::new(own);
        command.arg("worker");
        command.args(["--life", &life.to_string(), "--seed", &self.seed.to_string()]);
        command.args(["--pace", &self.pace.to_string()]);
        if self.mailboxes {
            command.arg("--mailboxes");
        }
        command.stdin(log.for_child().map_err(|error| said(&error))?);
        let control = self.control.make_send().map_err(|error| said(&error))?;
        let child = Spawn::new(command).right(CONTROL, control).spawn();
        let child = child.map_err(|error| said(&error))?;
        self.figures.lives += 1;
        self.workers.push(Worker {
            life,
            child,
            log,
            main: None,
            readers: Vec::new(),
            stopped_until: None,
            steps: [0; THREADS],
            moved: Instant::now(),
        });
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Whether every worker has greeted.
    pub(super) fn is_whole(&self) -> bool {
        self.workers.iter().all(|worker| worker.main.is_some())
    }

    /// Takes greetings until `deadline`, and introduces who greeted.
    pub(super) fn hear(&mut self, deadline: Deadline) -> Result<(), String> {
        let mut deadline = deadline;
        while let Ok(mut message) = self.control.receive(deadline) {
            deadline = Deadline::Now;
            let letter = Letter::decode(message.body()).ok_or("a greeting is no letter")?;
            let life = letter.from.life();
            let named = letter.rights.iter().zip(message.take_rights());
            let mut rights = named.filter_map(|(named, right)| match named {
                Named::Send(port) => Some((right.into_send().ok()?, *port)),
                Named::Receive(_) | Named::Once(_) => None,
            });
            let main = rights.next().filter(|(_, port)| port.is_main());
            let (right, _) = main.ok_or_else(|| format!("life {life} greeted without a right"))?;
            // It may be dead by now.
            if let Some(at) = self.workers.iter().position(|worker| worker.life == life) {
                self.workers[at].main = Some((right, 0));
                self.workers[at].readers = rights.collect();
                self.introduce(at);
            }
        }
        Ok(())
    }

    /// Gives the new one rights to some of the others, and them one to it.
    fn introduce(&mut self, at: usize) {
        for _ in 0..6 {
            let other = self.chance.place(self.workers.len());
            self.give(at, other);
            if self.chance.one_in(2) {
                self.give(other, at);
            }
            self.let_read(at, other);
            self.let_read(other, at);
        }
    }

    /// One of them may read a mailbox of the other's.
    fn let_read(&mut self, to: usize, of: usize) {
        let readers = &self.workers[of].readers;
        let Some((right, port)) = readers.get(self.chance.place(readers.len())) else { return };
        let right = (right.clone(), *port);
        let _ =
            self.post(to, Sort::Readers, Some(right), Deadline::after(Duration::from_millis(20)));
    }

    fn give(&mut self, to: usize, of: usize) {
        let Some((right, _)) = &self.workers[of].main else { return };
        let (right, port) = (right.clone(), PortId::new(self.workers[of].life, 0));
        let deadline = Deadline::after(Duration::from_millis(20));
        let _ = self.post(to, Sort::Plain, Some((right, port)), deadline);
    }

    /// Sends a letter of our own; false where it was not accepted.
    fn post(
        &mut self,
        to: usize,
        sort: Sort,
        right: Option<(SendRight, PortId)>,
        deadline: Deadline,
    ) -> bool {
        let worker = &mut self.workers[to];
        let port = PortId::new(worker.life, 0);
        let Some((main, count)) = &mut worker.main else { return false };
        let letter = Letter {
            sort,
            from: Stream::new(0, 0),
            pid: std::process::id(),
            to: port,
            number: *count + 1,
            nonce: 0,
            rights: right.iter().map(|(_, port)| Named::Send(*port)).collect(),
            baggage: Vec::new(),
            fill: 0,
        };
        let mut message = Message::new(letter.encode());
        if let Some((right, _)) = right {
            message = message.with_right(right);
        }
        let record = |kind, numbers| Record { kind, numbers, time_ns: now_ns() };
        match main.send(message, deadline) {
            Ok(()) => {
                *count += 1;
                let numbers = [port.0, letter.from.0, letter.number];
                self.ledger.take(0, record(kind::SENT, numbers));
                true
            }
            Err(error) => {
                if error.reason == SendFailure::Dead {
                    self.ledger.take(0, record(kind::DEAD, [port.0, 0, 1]));
                }
                false
            }
        }
    }

    // ---- violence --------------------------------------------------------------

    /// Kills one, most often one that is in the middle of something.
    pub(super) fn kill_one(&mut self) -> Result<(), String> {
        let mortal: Vec<usize> =
            (0..self.workers.len()).filter(|at| self.workers[*at].life > self.spared).collect();
        if mortal.is_empty() {
            return Ok(());
        }
        let mut at = mortal[self.chance.place(mortal.len())];
        if self.workers[at].main.is_none() && !self.chance.one_in(8) {
            at = mortal[self.chance.place(mortal.len())];
        }
        let mut worker = self.workers.swap_remove(at);
        self.ledger.killed(worker.life, now_ns());
        let done = worker.child.kill().and_then(|()| worker.child.wait());
        self.figures.kills += 1;
        self.read(&mut worker, true);
        self.add_counts(&worker);
        match done {
            Ok(status) if status.signal() == Some(Signal::KILL.as_raw()) => Ok(()),
            Ok(status) => Err(format!("life {} had ended by itself: {status}", worker.life)),
            Err(error) => Err(format!("life {} cannot be killed: {error}", worker.life)),
        }
    }

    /// Stops one for a while.
    pub(super) fn stop_one(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let at = self.chance.place(self.workers.len());
        let span = self.chance.micros(STOP_MICROS);
        let worker = &mut self.workers[at];
        if worker.stopped_until.is_none() && signal(&worker.child, Signal::STOP) {
            worker.stopped_until = Some(Instant::now() + span);
            self.figures.stops += 1;
        }
    }

    /// Lets those run again whose time has come, or all.
    pub(super) fn resume(&mut self, all: bool) {
        for worker in &mut self.workers {
            if worker.stopped_until.is_some_and(|until| all || until <= Instant::now()) {
                let _ = signal(&worker.child, Signal::CONT);
                worker.stopped_until = None;
                worker.moved = Instant::now();
            }
        }
    }

    // ---- looking ---------------------------------------------------------------

    /// Reads every log, and judges what is due.
    pub(super) fn look(&mut self) -> Result<(), String> {
        let mut workers = std::mem::take(&mut self.workers);
        for worker in &mut workers {
            self.read(worker, false);
        }
        self.workers = workers;
        self.ledger.judge()?;
        for worker in &mut self.workers {
            if let Ok(Some(status)) = worker.child.try_wait() {
                return Err(format!("life {} has ended by itself: {status}", worker.life));
            }
            let mut steps = [0; THREADS];
            for (counter, step) in steps.iter_mut().enumerate() {
                *step = worker.log.counter(counter);
            }
            let all = steps.iter().zip(&worker.steps).all(|(now, then)| now != then);
            if all || worker.stopped_until.is_some() {
                worker.steps = steps;
                worker.moved = Instant::now();
            } else if worker.moved.elapsed() > PATIENCE {
                return Err(hanging(worker));
            }
        }
        Ok(())
    }

    fn read(&mut self, worker: &mut Worker, over: bool) {
        let life = worker.life;
        let ledger = &mut self.ledger;
        worker.log.news(over, |record| ledger.take(life, record));
    }

    fn add_counts(&mut self, worker: &Worker) {
        for (at, count) in self.figures.counts.iter_mut().enumerate() {
            *count += worker.log.counter(COUNTS_AT + at);
        }
    }

    /// What all lives have counted so far.
    pub(super) fn counts(&self) -> [u64; NAMES.len()] {
        let mut counts = self.figures.counts;
        for worker in &self.workers {
            for (at, count) in counts.iter_mut().enumerate() {
                *count += worker.log.counter(COUNTS_AT + at);
            }
        }
        counts
    }

    // ---- the end ---------------------------------------------------------------

    /// Tells all to rest, lets their rights go, and waits until each has ended
    /// well by itself.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.resume(true);
        let until = Instant::now() + PATIENCE;
        while !self.is_whole() {
            self.hear(Deadline::after(Duration::from_millis(20)))?;
            self.look()?;
            if Instant::now() > until {
                return Err("not every worker has greeted".to_owned());
            }
        }
        for at in 0..self.workers.len() {
            if !self.post(at, Sort::Rest, None, Deadline::after(PATIENCE)) {
                return Err(format!("{} cannot be told to rest", hanging(&self.workers[at])));
            }
        }
        for worker in &mut self.workers {
            worker.main = None;
            worker.readers.clear();
        }
        let until = Instant::now() + 2 * PATIENCE;
        while let Some(mut worker) = self.workers.pop() {
            let status = loop {
                match worker.child.try_wait() {
                    Ok(Some(status)) => break status,
                    Ok(None) if Instant::now() > until => return Err(hanging(&worker)),
                    Ok(None) => std::thread::park_timeout(Duration::from_millis(2)),
                    Err(error) => return Err(format!("life {}: {error}", worker.life)),
                }
            };
            self.read(&mut worker, true);
            self.add_counts(&worker);
            if !status.success() {
                return Err(format!("life {} ended badly: {status}", worker.life));
            }
        }
        self.ledger.finish()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

fn hanging(worker: &Worker) -> String {
    let pid = worker.child.id();
    let steps: Vec<_> = (0..THREADS).map(|at| worker.log.counter(at)).collect();
    format!(
        "life {} (process {pid}) does not move, after {steps:?} steps:\n{}",
        worker.life,
        threads_of(pid)
    )
}

fn signal(child: &Child, signal: Signal) -> bool {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}
