//! Sending, and what must be true where a send fails.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pillarbox::{CallError, Deadline, Message, SendError, SendFailure, SendRight};

use super::{Held, Own, lock};
use crate::chance::Chance;
use crate::kills::ledger::kind;
use crate::kills::letter::{Letter, PortId, Sort, Stream};

/// How long a send may wait.
const SEND: Duration = Duration::from_secs(2);

/// How long a call may take before it counts as neither answered nor told: no
/// stop and no keeping takes a tenth of it.
const CALL: Duration = Duration::from_secs(30);

/// How long a right may take to be confirmed by its owner.
const JOIN: Duration = Duration::from_secs(15);

/// One thread that sends.
pub(super) struct Voice {
    pub(super) own: Arc<Own>,
    pub(super) thread: u8,
    pub(super) chance: Chance,
    numbers: HashMap<PortId, u64>,
}

/// What a message brings beside its body.
#[derive(Debug, Default)]
pub(super) struct Cargo {
    pub(super) rights: Vec<Held>,
    pub(super) descriptors: Vec<OwnedFd>,
    pub(super) fill: u32,
    /// What the descriptors hold, and an answer must say again.
    pub(super) nonce: u64,
}

impl Voice {
    pub(super) fn new(own: &Arc<Own>, seed: u64, thread: u8) -> Self {
        let number = u64::from(own.life) << 8 | u64::from(thread);
        let chance = Chance::of(seed, number);
        Voice { own: Arc::clone(own), thread, chance, numbers: HashMap::new() }
    }

    fn letter(&self, sort: Sort, to: PortId, cargo: &Cargo) -> Letter {
        Letter {
            sort,
            from: Stream::new(self.own.life, self.thread),
            pid: self.own.pid,
            to,
            number: self.numbers.get(&to).copied().unwrap_or(0) + 1,
            nonce: cargo.nonce,
            rights: cargo.rights.iter().map(Held::named).collect(),
            fill: cargo.fill,
        }
    }

    fn accepted(&mut self, letter: &Letter) {
        self.numbers.insert(letter.to, letter.number);
        self.own.log.add(kind::SENT, [letter.to.0, letter.from.0, letter.number]);
        self.own.count("messages");
        self.own.count_many("rights", letter.rights.len() as u64);
    }

    /// Sends a letter. What was not sent is among what we hold again.
    pub(super) fn post(&mut self, right: &SendRight, to: PortId, since: Instant, cargo: Cargo) {
        let letter = self.letter(Sort::Plain, to, &cargo);
        let now = self.chance.one_in(8);
        let deadline = if now { Deadline::Now } else { Deadline::after(SEND) };
        match right.send(message(&letter, cargo), deadline) {
            Ok(()) => self.accepted(&letter),
            Err(error) => self.came_back(&letter, since, error),
        }
    }

    /// Sends a request and waits until it is answered or told.
    pub(super) fn call(&mut self, right: &SendRight, to: PortId, since: Instant, mut cargo: Cargo) {
        cargo.nonce = self.own.nonce();
        let letter = self.letter(Sort::Request, to, &cargo);
        let answer = right.call(message(&letter, cargo), Deadline::after(CALL));
        match answer {
            Err(CallError::Unsent(error)) => return self.came_back(&letter, since, error),
            Ok(answer) => match Letter::decode(answer.body()) {
                Some(said) if said.sort == Sort::Answer && said.nonce == letter.nonce => {
                    self.own.count("answered");
                }
                said => self.own.broken(format_args!("a wrong answer to {letter:?}: {said:?}")),
            },
            Err(CallError::Dropped) => self.own.count("dropped"),
            Err(CallError::Died) => {
                self.own.count("died");
                self.own.log.add(kind::DIED, [0; 3]);
            }
            Err(CallError::Deadline) => {
                self.own.broken(format_args!("neither answered nor told: {letter:?}"));
            }
            Err(other) => self.own.broken(format_args!("a call failed: {other}")),
        }
        self.own.count("calls");
        self.accepted(&letter);
    }

    fn came_back(&self, letter: &Letter, since: Instant, error: SendError) {
        let SendError { reason, mut message } = error;
        self.own.count("came back");
        if message.body() != letter.encode() {
            self.own.broken(format_args!("another message came back: {letter:?}"));
        }
        let rights = message.take_rights();
        if rights.len() != letter.rights.len() {
            self.own.broken(format_args!("{} rights of {letter:?} came back", rights.len()));
        }
        for (named, right) in letter.rights.iter().zip(rights) {
            match Held::of(*named, right) {
                Some(held) => self.own.hold(held),
                None => self.own.broken(format_args!("another right of {letter:?} came back")),
            }
        }
        self.failed(reason, letter.to, since);
    }

    fn failed(&self, reason: SendFailure, port: PortId, since: Instant) {
        match reason {
            SendFailure::Full | SendFailure::DescriptorsInFlight => {}
            SendFailure::Dead => self.own.saw_dead(port),
            SendFailure::NotJoined(owner) => {
                if since.elapsed() > JOIN {
                    self.own.broken(format_args!(
                        "{port:?} of life {} is not confirmed by task {owner} in {:?}",
                        port.life(),
                        since.elapsed()
                    ));
                }
            }
            other => self.own.broken(format_args!("a send to {port:?} failed: {other}")),
        }
    }

    /// Uses a send-once right, or one answer we owe.
    pub(super) fn answer(&mut self, held: Held) {
        let Held::Once { right, nonce, since } = held else { return self.own.hold(held) };
        let letter = answer_to(&self.own, nonce, self.chance.below(400) as u32);
        if let Err(error) = right.send(Message::new(letter.encode()), Deadline::after(SEND)) {
            match error.reason {
                SendFailure::Dead => self.own.saw_owner_dead(nonce),
                // The caller's deadline has passed.
                SendFailure::Withdrawn(_) => {}
                // Its promise is broken aloud where it is dropped.
                SendFailure::NotJoined(_) | SendFailure::Full => {
                    self.own.hold(Held::Once { right: error.right, nonce, since });
                }
                other => self.own.broken(format_args!("an answer was not sent: {other}")),
            }
        }
    }

    /// Takes a right we hold out of the pool.
    pub(super) fn draw(&mut self, wanted: impl Fn(&Held) -> bool) -> Option<Held> {
        let mut pool = lock(&self.own.pool);
        if pool.is_empty() {
            return None;
        }
        let start = self.chance.place(pool.len());
        let place = (0..pool.len()).map(|at| (start + at) % pool.len());
        let found = place.into_iter().find(|at| pool.get(*at).is_some_and(&wanted))?;
        Some(pool.swap_remove(found))
    }

    /// A copy of some send right we hold.
    pub(super) fn some_send(&mut self) -> Option<(SendRight, PortId, Instant)> {
        match self.draw(|held| matches!(held, Held::Send { .. })) {
            Some(Held::Send { right, port, since }) => {
                let copy = right.clone();
                self.own.hold(Held::Send { right, port, since });
                Some((copy, port, since))
            }
            _ => None,
        }
    }
}

/// The letter that answers `nonce`.
pub(super) fn answer_to(own: &Own, nonce: u64, fill: u32) -> Letter {
    Letter {
        sort: Sort::Answer,
        from: Stream::new(own.life, 0),
        pid: own.pid,
        to: PortId::new((nonce >> 32) as u32, 0),
        number: 0,
        nonce,
        rights: Vec::new(),
        fill,
    }
}

fn message(letter: &Letter, cargo: Cargo) -> Message {
    let mut message = Message::new(letter.encode());
    for held in cargo.rights {
        message = message.with_right(held.into_right());
    }
    for fd in cargo.descriptors {
        message = message.with_descriptor(fd);
    }
    message
}
