//! Sending, and what must be true where a send fails.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::{CallError, Deadline, Message, SendError, SendFailure};

use super::held::{Held, Known};
use super::{Own, OwnPort, futures, lock, moves};
use crate::chance::Chance;
use crate::kills::ledger::kind;
use crate::kills::letter::{Letter, PortId, Sort, Stream};
use crate::kills::sends::How;

/// How long a send may wait.
const SEND: Duration = Duration::from_secs(2);

/// How long a call may take before it counts as neither answered nor told: no
/// stop and no keeping takes a tenth of it.
const CALL: Duration = Duration::from_secs(30);

/// One thread that sends.
pub(super) struct Voice {
    pub(super) own: Arc<Own>,
    pub(super) thread: u8,
    pub(super) chance: Chance,
    numbers: HashMap<(PortId, Stream), u64>,
}

/// What a message brings beside its body.
#[derive(Debug, Default)]
pub(super) struct Cargo {
    pub(super) rights: Vec<Held>,
    pub(super) descriptors: Vec<OwnedFd>,
    /// What a port among the rights brings along.
    pub(super) baggage: Vec<u64>,
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

    /// The number of what is sent next with this priority.
    pub(super) fn next_number(&self, to: &Known, priority: u16) -> (Stream, u64) {
        let from = Stream::new(self.own.life, self.thread).with_priority(priority);
        (from, self.numbers.get(&(to.port, from)).copied().unwrap_or(0) + 1)
    }

    fn letter(&mut self, sort: Sort, to: &Known, cargo: &Cargo) -> Letter {
        let priority = if self.chance.one_in(6) { self.chance.below(4) as u16 } else { 0 };
        let (from, number) = self.next_number(to, priority);
        Letter {
            sort,
            from,
            pid: self.own.pid,
            to: to.port,
            number,
            nonce: cargo.nonce,
            rights: cargo.rights.iter().map(Held::named).collect(),
            baggage: cargo.baggage.clone(),
            fill: cargo.fill,
        }
    }

    /// A letter as it is to be sent.
    pub(super) fn written(&mut self, to: &Known, cargo: Cargo) -> (Letter, Message) {
        self.written_as(Sort::Plain, to, cargo)
    }

    pub(super) fn written_as(&mut self, sort: Sort, to: &Known, cargo: Cargo) -> (Letter, Message) {
        let letter = self.letter(sort, to, &cargo);
        let message = message(&letter, cargo);
        (letter, message)
    }

    pub(super) fn was_accepted(&mut self, to: PortId, from: Stream, number: u64, how: How) {
        self.numbers.insert((to, from), number);
        self.own.log.add(kind::SENT, [to.0, from.0, how.with(number)]);
    }

    pub(super) fn accepted(&mut self, letter: &Letter, how: How) {
        self.was_accepted(letter.to, letter.from, letter.number, how);
        self.own.count("messages");
        self.own.count_many("rights", letter.rights.len() as u64);
    }

    /// Sends a letter. What was not sent is among what we hold again.
    pub(super) fn post(&mut self, to: &Known, cargo: Cargo) -> bool {
        let certain = cargo.baggage.is_empty();
        let (letter, message) = self.written(to, cargo);
        let now = self.chance.one_in(8);
        let deadline = if now { Deadline::Now } else { Deadline::after(SEND) };
        let mut how = if now { How::AtOnce } else { How::Waiting };
        let sent = if certain && self.chance.one_in(6) {
            how = How::Future;
            // Dropped before it is ready it has sent nothing.
            let span = self.chance.micros(200_000);
            match futures::within(span, to.right.send_async(message)) {
                Some(sent) => sent,
                None => return false,
            }
        } else {
            to.right.send(message, deadline)
        };
        match sent {
            Ok(()) => {
                to.confirm();
                self.accepted(&letter, how);
                true
            }
            Err(error) => {
                self.came_back(&letter, to, error);
                false
            }
        }
    }

    /// Sends a request and waits until it is answered or told.
    pub(super) fn call(&mut self, to: &Known, mut cargo: Cargo) {
        cargo.nonce = self.own.nonce();
        let (letter, message) = self.written_as(Sort::Request, to, cargo);
        let answer = if self.chance.one_in(4) {
            futures::within(CALL, to.right.call_async(message)).unwrap_or(Err(CallError::Deadline))
        } else {
            to.right.call(message, Deadline::after(CALL))
        };
        match answer {
            Err(CallError::Unsent(error)) => return self.came_back(&letter, to, error),
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
            Err(CallError::Refused) if to.port.is_facet() => self.own.count("refused"),
            Err(CallError::Deadline) => {
                self.own.broken(format_args!("neither answered nor told: {letter:?}"));
            }
            Err(other) => self.own.broken(format_args!("a call failed: {other}")),
        }
        self.own.count("calls");
        to.confirm();
        self.accepted(&letter, How::Call);
    }

    fn came_back(&self, letter: &Letter, to: &Known, error: SendError) {
        let SendError { reason, message } = error;
        self.message_came_back(letter, to, reason, *message);
    }

    pub(super) fn message_came_back(
        &self,
        letter: &Letter,
        to: &Known,
        reason: SendFailure,
        mut message: Message,
    ) {
        self.own.count("came back");
        if message.body() != letter.encode() {
            self.own.broken(format_args!("another message came back: {letter:?}"));
        }
        let rights = message.take_rights();
        if rights.len() != letter.rights.len() {
            self.own.broken(format_args!("{} rights of {letter:?} came back", rights.len()));
        }
        for (named, right) in letter.rights.iter().zip(rights) {
            match Held::of(letter, *named, right, None) {
                Some(Held::Receive(port)) => moves::take_back(&self.own, *port),
                Some(held) => self.own.hold(held),
                None => self.own.broken(format_args!("another right of {letter:?} came back")),
            }
        }
        // One that is still waited for elsewhere cannot go on yet.
        if reason != SendFailure::Unsettled || letter.baggage.is_empty() {
            self.failed_plainly(reason, to);
        }
    }

    pub(super) fn failed_plainly(&self, reason: SendFailure, to: &Known) {
        match reason {
            SendFailure::Full
            | SendFailure::OverLimit
            | SendFailure::DescriptorsInFlight
            | SendFailure::NotifyPending => {}
            SendFailure::Dead => self.own.saw_dead(&to.trust()),
            SendFailure::Revoked if to.port.is_facet() => self.own.saw_dead(&to.trust()),
            SendFailure::NotJoined(owner) => {
                // It may be the right it was sent on, or one of those in it.
                if to.is_unjoined_too_long() {
                    self.own.broken(format_args!(
                        "{:?} of life {} is not confirmed by task {owner}",
                        to.port,
                        to.port.life(),
                    ));
                }
            }
            other => self.own.broken(format_args!("a send to {:?} failed: {other}", to.port)),
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

    /// Some port of ours.
    pub(super) fn with_port(&mut self, fits: impl Fn(&OwnPort) -> bool) -> Option<Arc<OwnPort>> {
        let ports = lock(&self.own.ports);
        let start = self.chance.place(ports.len());
        let mut places = (start..ports.len()).chain(0..start);
        places.find_map(|at| ports.get(at).filter(|port| fits(port)).cloned())
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
    pub(super) fn some_send(&mut self) -> Option<Known> {
        self.some_send_that(|_| true)
    }

    /// The same, of one that may be given on.
    pub(super) fn some_send_to_give(&mut self) -> Option<Known> {
        self.some_send_that(Held::is_fit_to_give)
    }

    fn some_send_that(&mut self, fits: impl Fn(&Held) -> bool) -> Option<Known> {
        match self.draw(|held| matches!(held, Held::Send(_)) && fits(held)) {
            Some(Held::Send(known)) => {
                self.own.hold(Held::Send(known.clone()));
                Some(known)
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
        baggage: Vec::new(),
        fill,
    }
}

fn message(letter: &Letter, cargo: Cargo) -> Message {
    let mut message = Message::new(letter.encode()).with_priority(letter.from.priority());
    for held in cargo.rights {
        message = message.with_right(held.into_right());
    }
    for fd in cargo.descriptors {
        message = message.with_descriptor(fd);
    }
    message
}
