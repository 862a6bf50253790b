//! One task of many: it makes rights, gives them away, uses them, and is killed.
//!
//! | module    | idea                                                         |
//! |-----------|--------------------------------------------------------------|
//! | [`drive`] | what a thread does next, by chance                           |
//! | [`facets`] | rights on terms, and taking them back                        |
//! | [`full`]  | leaving a letter with a full port, and asking for room       |
//! | [`futures`] | the same as futures, and an event loop                      |
//! | [`hear`]  | what comes is the right letter, whole, in order              |
//! | [`held`]  | rights it holds, and what it knows about them                |
//! | [`keep`]  | ports of its own, and answers it waits for, until each ends  |
//! | [`moves`] | ports that go from one worker to another                     |
//! | [`pending`] | calls that are open beside each other, and withdrawn       |
//! | [`pulses`] | messages that are all header                                 |
//! | [`sets`]  | receiving from any of its ports, while they come and go      |
//! | [`shared`] | mailboxes that several read                                 |
//! | [`voice`] | sending, and what must be true where a send fails            |
//!
//! What it finds broken it says at once; all else goes into its log.

pub(super) mod drive;
pub(super) mod facets;
pub(super) mod full;
pub(super) mod futures;
pub(super) mod hear;
pub(super) mod held;
pub(super) mod keep;
pub(super) mod moves;
pub(super) mod pending;
pub(super) mod pulses;
pub(super) mod sets;
pub(super) mod shared;
pub(super) mod voice;

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pillarbox::{Capacity, Deadline, ReceiveRight, SendRight, Task};

use self::facets::Facet;
use self::held::{Held, Trust};
use self::keep::Promise;
use self::pending::Open;
use self::sets::Sets;
use self::shared::{Mailbox, Shared};
use self::voice::Voice;
use super::ledger::kind;
use super::letter::{Letter, Named, PortId, Sort, Stream};
use crate::log::Log;

/// The right every worker is born with.
pub(crate) const CONTROL: &str = "control";

/// What a worker counts, beside the steps of its threads.
pub(crate) const NAMES: [&str; 24] = [
    "messages",
    "rights",
    "calls",
    "answered",
    "dropped",
    "died",
    "promises",
    "watches",
    "descriptors",
    "long bodies",
    "came back",
    "heard",
    "ports moved",
    "ports taken",
    "pulses",
    "left",
    "left taken",
    "room told",
    "withdrawn",
    "facets",
    "revoked",
    "refused",
    "readings",
    "read again",
];

/// Where in the log these counters begin; the steps of the threads are before.
pub(crate) const COUNTS_AT: usize = 8;

/// Threads whose steps are counted.
pub(crate) const THREADS: usize = 5;

/// How long a resting worker waits for the last news before it says what is
/// missing.
const PATIENCE: Duration = Duration::from_secs(40);

/// One worker.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which life it is.
    #[arg(long)]
    life: u32,
    /// Where chance begins.
    #[arg(long)]
    seed: u64,
    /// Microseconds between two steps of a thread, at most.
    #[arg(long)]
    pace: u64,
    /// Every third owns mailboxes that several read.
    #[arg(long)]
    mailboxes: bool,
}

/// A port of the worker's own.
#[derive(Debug)]
pub(super) struct OwnPort {
    pub(super) id: PortId,
    pub(super) right: ReceiveRight,
    /// How often it went from one worker to another.
    pub(super) ways: u64,
    /// The processes that had it.
    pub(super) past: Vec<u32>,
    pub(super) state: Mutex<Hearing>,
}

impl OwnPort {
    pub(super) fn new(id: PortId, right: ReceiveRight) -> OwnPort {
        OwnPort { id, right, ways: 0, past: Vec::new(), state: Mutex::default() }
    }
}

/// What came to a port.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    pub(super) last: HashMap<Stream, u64>,
    pub(super) facets: HashMap<PortId, Facet>,
    /// The port is about to end, and they were told.
    pub(super) facets_ended: bool,
    /// All letters and pulses.
    pub(super) heard: u64,
    /// The news came that nobody can send any more.
    pub(super) alone: bool,
    /// It was closed, one way or the other.
    pub(super) closed: bool,
}

/// What the threads of a worker share.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) life: u32,
    pub(super) pid: u32,
    pub(super) pace: u64,
    pub(super) log: Log,
    pub(super) task: Task,
    pub(super) main: OwnPort,
    pub(super) pool: Mutex<Vec<Held>>,
    pub(super) ports: Mutex<Vec<Arc<OwnPort>>>,
    pub(super) promises: Mutex<Vec<Promise>>,
    pub(super) open: Mutex<Vec<Open>>,
    pub(super) sets: Sets,
    pub(super) shared: Shared,
    pub(super) resting: AtomicBool,
    next: AtomicU64,
    counts: [AtomicU64; NAMES.len()],
    steps: [AtomicU64; THREADS],
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Own {
    /// Says what must not be.
    pub(super) fn broken(&self, what: impl std::fmt::Display) {
        // Others speak as well: in one piece, or it cannot be read.
        let line = format!("life {} (process {}): {what}\n", self.life, self.pid);
        let _ = std::io::stderr().write_all(line.as_bytes());
        self.log.add(kind::BROKEN, [0; 3]);
    }

    pub(super) fn count(&self, name: &str) {
        self.count_many(name, 1);
    }

    pub(super) fn count_many(&self, name: &str, more: u64) {
        let Some(place) = NAMES.iter().position(|known| *known == name) else { return };
        if let Some(count) = self.counts.get(place) {
            let now = count.fetch_add(more, Ordering::Relaxed) + more;
            self.log.set(COUNTS_AT + place, now);
        }
    }

    /// The thread has done one more thing: it does not hang.
    pub(super) fn step(&self, thread: u8) {
        if let Some(steps) = self.steps.get(usize::from(thread)) {
            self.log.set(usize::from(thread), steps.fetch_add(1, Ordering::Relaxed) + 1);
        }
    }

    pub(super) fn next(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed) as u32
    }

    /// A number for an answer of ours, which nobody else gives.
    pub(super) fn nonce(&self) -> u64 {
        u64::from(self.life) << 32 | u64::from(self.next())
    }

    pub(super) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed)
    }

    /// Somebody saw the owner of this answer dead.
    pub(super) fn saw_owner_dead(&self, nonce: u64) {
        let main = PortId::new((nonce >> 32) as u32, 0);
        self.log.add(kind::DEAD, [main.0, 0, 1]);
    }

    pub(super) fn saw_dead(&self, trust: &Trust) {
        self.log.add(kind::DEAD, trust.seen_dead());
    }

    /// Puts a port among those that are received from.
    pub(super) fn receive_from(&self, port: OwnPort) -> Arc<OwnPort> {
        let port = Arc::new(port);
        lock(&self.ports).push(Arc::clone(&port));
        sets::join(self, &port);
        port
    }

    /// Puts a right among those we hold; a resting worker holds none but the ports
    /// that came to it, until they end.
    pub(super) fn hold(&self, held: Held) {
        match held {
            Held::Receive(port) => moves::take_in(self, *port),
            held if self.is_resting() => drop(held),
            held => lock(&self.pool).push(held),
        }
    }
}

/// Runs one worker to its end.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| format!("life {}: {error}", options.life);
    let log = Log::of_parent().map_err(|error| said(&error))?;
    let task = Task::current().map_err(|error| said(&error))?;
    let sets = Sets::new(&task);
    let main = OwnPort::new(PortId::new(options.life, 0), task.port(Capacity::Bounded(64)));
    let own = Arc::new(Own {
        life: options.life,
        pid: std::process::id(),
        pace: options.pace,
        log,
        task,
        main,
        pool: Mutex::default(),
        ports: Mutex::default(),
        promises: Mutex::default(),
        open: Mutex::default(),
        sets,
        shared: Shared::default(),
        resting: AtomicBool::new(false),
        next: AtomicU64::new(1),
        counts: Default::default(),
        steps: Default::default(),
    });
    let panicking = Arc::clone(&own);
    std::panic::set_hook(Box::new(move |info| panicking.broken(info)));
    live(&own, options);
    Ok(())
}

fn live(own: &Arc<Own>, options: &Options) {
    let seed = options.seed;
    let deadline = Deadline::after(Duration::from_secs(20));
    let control = own.task.inherited(CONTROL, deadline).and_then(|right| right.into_send().ok());
    let Some(control) = control else { return own.broken("it was not given its right") };
    let life = options.mailboxes.then_some(own.life);
    let mailboxes = match shared::mailboxes(&own.task, life) {
        Ok(mailboxes) => mailboxes,
        Err(error) => return own.broken(format_args!("it has no mailboxes: {error}")),
    };
    if let Err(what) = greet(own, &control, &mailboxes) {
        return own.broken(what);
    }
    std::thread::scope(|scope| {
        for thread in [1, 2] {
            scope.spawn(move || drive::run(&mut Voice::new(own, seed, thread)));
        }
        scope.spawn(|| keep::run(own, seed));
        scope.spawn(|| shared::serve(own, mailboxes, seed));
        scope.spawn(|| shared::read(own, seed));
        hear::run(own);
        // The others end when they see that it rests and nothing is left.
    });
    keep::close_clean(own, &own.main);
    keep::nothing_is_left(own);
    own.log.add(kind::DONE, [0; 3]);
}

/// Says that it is there, with a right to its port, and rights to read its mailboxes.
fn greet(own: &Own, control: &SendRight, mailboxes: &[Mailbox]) -> Result<(), String> {
    let main = own.main.right.make_send().map_err(|error| error.to_string())?;
    let news = own.main.right.make_send_once().map_err(|error| error.to_string())?;
    own.main.right.notify_no_senders(news).map_err(|error| error.to_string())?;
    let readers = shared::rights(mailboxes).map_err(|error| error.to_string())?;
    own.shared.keep_own(readers.clone());
    let mut rights = vec![Named::Send(own.main.id)];
    rights.extend(readers.iter().map(|(port, _)| Named::Send(*port)));
    let letter = Letter {
        sort: Sort::Hello,
        from: Stream::new(own.life, 0),
        pid: own.pid,
        to: PortId::new(0, 0),
        number: 0,
        nonce: 0,
        rights,
        baggage: Vec::new(),
        fill: 0,
    };
    let mut message = pillarbox::Message::new(letter.encode()).with_right(main);
    for (_, right) in readers {
        message = message.with_right(right);
    }
    control
        .send(message, Deadline::after(Duration::from_secs(20)))
        .map_err(|error| format!("its greeting: {error}"))
}
