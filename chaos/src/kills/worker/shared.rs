//! Mailboxes that several workers read.
//!
//! Some workers own one of each sort: each message goes to one reader in turn, to the
//! reader of its key, or to all. The swarm gives rights to read them to others, who
//! attach, keep some of what they are handed for a while, give some back, leave, and
//! are stopped and killed meanwhile. What they took and acknowledged stands in their
//! logs; [`readings`](crate::kills::readings) says what must hold.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pillarbox::shared::{
    AcknowledgeError, AttachError, Delivery, Policy, SharedMailbox, SharedReader,
};
use pillarbox::{CallError, Capacity, Deadline, Message, SendFailure, SendRight, Task};

use super::{Own, PATIENCE, lock};
use crate::chance::Chance;
use crate::kills::ledger::kind;
use crate::kills::letter::{Letter, Named, PortId};
use crate::kills::readings::{Sort, key_of};

/// The number of the thread that reads.
const THREAD: u8 = 4;

/// One worker in so many owns mailboxes.
const OWNERS: u32 = 3;

/// Mailboxes of others that a worker may read, and readers it has at a time.
const RIGHTS: usize = 8;
const READERS: usize = 6;

/// How long a word to an owner may take, who may be stopped.
const SAY: Duration = Duration::from_millis(500);

/// What the threads of a worker share about them.
#[derive(Debug, Default)]
pub(in crate::kills) struct Shared {
    /// Rights to read what is our own.
    own: Mutex<Vec<(PortId, SendRight)>>,
    /// And what others own.
    rights: Mutex<Vec<(PortId, SendRight)>>,
    /// Our own are at their end, or there are none.
    over: AtomicBool,
}

impl Shared {
    /// It may read its own as well.
    pub(super) fn keep_own(&self, named: Vec<(PortId, SendRight)>) {
        *lock(&self.own) = named;
    }

    /// The swarm has sent rights to read what others own.
    pub(super) fn offer(&self, named: Vec<(PortId, SendRight)>) {
        let mut rights = lock(&self.rights);
        rights.splice(0..0, named);
        let gone = rights.len().min(RIGHTS);
        let gone = rights.split_off(gone);
        drop(rights);
        drop(gone);
    }

    /// Its owner does not answer, or the mailbox is `gone`.
    fn forget(&self, port: PortId, gone: bool) {
        lock(&self.rights).retain(|(other, _)| *other != port);
        if gone {
            lock(&self.own).retain(|(other, _)| *other != port);
        }
    }
}

/// A mailbox of our own.
#[derive(Debug)]
pub(super) struct Mailbox {
    port: PortId,
    mailbox: SharedMailbox,
    post: SendRight,
    posted: u64,
}

/// The mailboxes that a worker of this life owns, where any are to be owned.
pub(super) fn mailboxes(task: &Task, life: Option<u32>) -> Result<Vec<Mailbox>, SendFailure> {
    let Some(life) = life.filter(|life| life % OWNERS == 1) else { return Ok(Vec::new()) };
    let make = |sort: Sort| {
        let policy = match sort {
            Sort::InTurn => Policy::RoundRobin,
            Sort::ByKey => Policy::by_tag(),
            Sort::ToAll => Policy::All,
        };
        let port = task.port(Capacity::Bounded(32));
        let post = port.make_send()?;
        let mailbox = SharedMailbox::new(port, policy);
        Ok(Mailbox { port: PortId::shared(life, sort), mailbox, post, posted: 0 })
    };
    Sort::ALL.into_iter().map(make).collect()
}

/// Rights to read them, for others.
pub(super) fn rights(all: &[Mailbox]) -> Result<Vec<(PortId, SendRight)>, SendFailure> {
    all.iter().map(|one| Ok((one.port, one.mailbox.reader_right()?))).collect()
}

// ---- as the owner ---------------------------------------------------------------

/// Posts and hands out until the worker rests and all was acknowledged.
pub(super) fn serve(own: &Own, mut all: Vec<Mailbox>, seed: u64) {
    let mut chance = Chance::of(seed, u64::from(own.life) << 8 | 5);
    let mut rests = None;
    while !all.is_empty() {
        for one in &mut all {
            if !own.is_resting() && chance.one_in(2) {
                one.post(own, &mut chance);
            }
            if let Err(error) = one.mailbox.serve(Deadline::after(Duration::from_millis(1))) {
                own.broken(format_args!("{:?} is not served: {error}", one.port));
            }
        }
        if !own.is_resting() {
            continue;
        }
        all.retain(|one| !one.ends(own));
        if rests.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            for one in &all {
                let (status, port) = (one.mailbox.status(), one.mailbox.port().status());
                own.broken(format_args!(
                    "{:?} is not read to its end: {status:?}, {port:?}",
                    one.port
                ));
            }
            break;
        }
    }
    own.shared.over.store(true, Ordering::Release);
}

impl Mailbox {
    fn post(&mut self, own: &Own, chance: &mut Chance) {
        for _ in 0..chance.below(4) {
            let number = self.posted + 1;
            let mut body = number.to_le_bytes().to_vec();
            body.resize(8 + chance.place(200), number as u8);
            let message = Message::new(body).with_tag(key_of(number));
            match self.post.send(message, Deadline::Now) {
                Ok(()) => self.posted = number,
                Err(error) if error.reason == SendFailure::Full => return,
                Err(error) => {
                    own.broken(format_args!("nothing is posted to {:?}: {error}", self.port));
                    return;
                }
            }
        }
    }

    /// All that was posted is acknowledged: it ends.
    fn ends(&self, own: &Own) -> bool {
        let over = self.mailbox.status().held == 0 && self.mailbox.port().status().queued == 0;
        if over {
            // First the log: who sees it end must find it there.
            own.log.add(kind::ALL_READ, [self.port.0, self.posted, 0]);
            own.log.add(kind::ENDED, [self.port.0, 0, 0]);
        }
        over
    }
}

// ---- as a reader ----------------------------------------------------------------

/// One reader of a mailbox, and what it keeps for a while.
struct Reader {
    port: PortId,
    serial: u64,
    reader: SharedReader,
    kept: Vec<(u64, Delivery)>,
    /// The mailbox has ended.
    over: bool,
}

/// What the swarm sends: rights to read what others own.
pub(super) fn offered(own: &Own, letter: &Letter, message: &mut Message) {
    let rights = message.take_rights();
    let all = rights.len() == letter.rights.len();
    let named = letter.rights.iter().zip(rights).filter_map(|(named, right)| match named {
        Named::Send(port) => Some((*port, right.into_send().ok()?)),
        Named::Receive(_) | Named::Once(_) => None,
    });
    let named: Vec<_> = named.collect();
    if !all || named.len() != letter.rights.len() {
        own.broken(format_args!("{} rights to read came with {letter:?}", named.len()));
    }
    if !own.is_resting() {
        own.shared.offer(named);
    }
}

/// Reads what it may until the worker rests; then what its own have left.
pub(super) fn read(own: &Own, seed: u64) {
    let mut chance = Chance::of(seed, u64::from(own.life) << 8 | u64::from(THREAD));
    let mut readers: Vec<Reader> = Vec::new();
    loop {
        own.step(THREAD);
        let rests = own.is_resting();
        if rests {
            lock(&own.shared.rights).clear();
            leave(own, &mut readers, |one| one.port.life() != own.life);
            if own.shared.over.load(Ordering::Acquire) {
                break;
            }
        }
        attach(own, &mut readers, &mut chance, rests);
        let patient = chance.place(readers.len().max(1));
        for (at, one) in readers.iter_mut().enumerate() {
            let wait = if at == patient { 1 } else { 0 };
            one.hear(own, Deadline::after(Duration::from_millis(wait)), &mut chance, rests);
        }
        for gone in readers.extract_if(.., |one| one.over) {
            own.shared.forget(gone.port, true);
        }
        if !rests && chance.one_in(200) && !readers.is_empty() {
            let which = readers[chance.place(readers.len())].serial;
            leave(own, &mut readers, |one| one.serial == which);
        }
        if readers.is_empty() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    leave(own, &mut readers, |_| true);
    lock(&own.shared.own).clear();
    lock(&own.shared.rights).clear();
}

/// Attaches one more. Who rests sees that each of its own mailboxes is read.
fn attach(own: &Own, readers: &mut Vec<Reader>, chance: &mut Chance, rests: bool) {
    if !rests && (readers.len() >= READERS || !chance.one_in(20)) {
        return;
    }
    let found = {
        let is_read = |port: PortId| readers.iter().any(|one| one.port == port);
        let (ours, others) = (lock(&own.shared.own), lock(&own.shared.rights));
        let all: Vec<_> = ours.iter().chain(others.iter()).collect();
        let some = chance.place(all.len());
        let wanted = match rests {
            true => ours.iter().find(|(port, _)| !is_read(*port)),
            false => all.get(some).copied(),
        };
        wanted.cloned()
    };
    let Some((port, right)) = found else { return };
    let serial = u64::from(own.life) << 32 | u64::from(own.next());
    let prefetch = 1 + chance.below(6) as u32;
    own.log.add(kind::ATTACHING, [port.0, 0, serial]);
    match SharedReader::attach(&own.task, right, prefetch, Deadline::after(SAY)) {
        Ok(reader) => readers.push(Reader { port, serial, reader, kept: Vec::new(), over: false }),
        Err(error) => {
            // If the owner has made a reader of it, that one goes.
            own.log.add(kind::LEFT, [port.0, 0, serial]);
            if is_gone(&error) {
                own.log.add(kind::DEAD, [port.0, 0, 1]);
            }
            own.shared.forget(port, is_gone(&error));
            if !is_excused(&error) {
                own.broken(format_args!("no reader of {port:?}: {error}"));
            }
        }
    }
}

/// Nobody will ever attach to it.
fn is_gone(error: &AttachError) -> bool {
    match error {
        AttachError::Call(CallError::Unsent(unsent)) => unsent.reason == SendFailure::Dead,
        AttachError::Call(CallError::Died) | AttachError::Unsent(SendFailure::Dead) => true,
        _ => false,
    }
}

/// The owner is dead, or was stopped.
fn is_excused(error: &AttachError) -> bool {
    let may_be = |why: &SendFailure| {
        matches!(why, SendFailure::Dead | SendFailure::Full | SendFailure::NotJoined(_))
    };
    match error {
        AttachError::Call(CallError::Unsent(unsent)) => may_be(&unsent.reason),
        AttachError::Call(CallError::Died | CallError::Deadline | CallError::Dropped) => true,
        AttachError::Unsent(why) => may_be(why),
        _ => false,
    }
}

fn leave(own: &Own, readers: &mut Vec<Reader>, which: impl Fn(&Reader) -> bool) {
    for mut one in readers.extract_if(.., |one| which(one)) {
        for (number, delivery) in one.kept.drain(..) {
            own.log.add(kind::GAVE_BACK, [one.port.0, number, one.serial]);
            drop(delivery);
        }
        own.log.add(kind::LEFT, [one.port.0, 0, one.serial]);
    }
}

impl Reader {
    fn hear(&mut self, own: &Own, mut deadline: Deadline, chance: &mut Chance, rests: bool) {
        while let Ok(came) = self.reader.receive(deadline) {
            deadline = Deadline::Now;
            let Some(delivery) = came else {
                own.log.add(kind::DEAD, [self.port.0, 0, 1]);
                self.kept.clear();
                self.over = true;
                return;
            };
            self.take(own, delivery);
        }
        while !self.kept.is_empty() {
            match chance.below(16) {
                // Kept for a while: who is killed now has acknowledged nothing.
                0..4 if !rests => return,
                4 if !rests => {
                    let (number, delivery) = self.kept.swap_remove(chance.place(self.kept.len()));
                    own.log.add(kind::GAVE_BACK, [self.port.0, number, self.serial]);
                    drop(delivery);
                }
                _ => {
                    let (number, delivery) = self.kept.swap_remove(chance.place(self.kept.len()));
                    self.acknowledge(own, number, delivery);
                }
            }
        }
    }

    fn take(&mut self, own: &Own, delivery: Delivery) {
        let body = delivery.message().body();
        let number = body.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let times = u64::from(delivery.redelivered());
        // First the log: whoever gets it after us must find it there.
        own.log.add(kind::READ, [self.port.0, number | times << 48, self.serial]);
        let whole = body.iter().skip(8).all(|byte| *byte == number as u8);
        let key = delivery.message().tag() == key_of(number);
        let from = delivery.origin().map(|who| who.task.process);
        let owner = delivery.message().sender().map(|who| who.task.process);
        if !whole || !key || (from.is_some() && from != owner) {
            own.broken(format_args!("{number} of {:?} is not what was posted", self.port));
        }
        own.count("readings");
        if times > 0 {
            own.count("read again");
        }
        self.kept.push((number, delivery));
    }

    fn acknowledge(&self, own: &Own, number: u64, delivery: Delivery) {
        own.log.add(kind::ACKNOWLEDGING, [self.port.0, number, self.serial]);
        match delivery.acknowledge(Deadline::after(SAY)) {
            Ok(()) => own.log.add(kind::ACKNOWLEDGED, [self.port.0, number, self.serial]),
            Err(AcknowledgeError::Unsent(SendFailure::Dead)) => {
                own.log.add(kind::DEAD, [self.port.0, 0, 1]);
            }
            Err(AcknowledgeError::Unsent(SendFailure::Full | SendFailure::NotJoined(_))) => {}
            Err(error) => {
                own.broken(format_args!(
                    "{number} of {:?} is not acknowledged: {error}",
                    self.port
                ));
            }
        }
    }
}
