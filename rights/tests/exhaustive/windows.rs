//! One port and its window: who may send how many messages.
//!
//! Holders ask, look, send, give up and go; each speaks to the owner through
//! its own lane, while grants lie on the board and are seen at once. The owner
//! sends to its own port, receives, and writes places off.

use std::collections::VecDeque;

use abi::limits;
use rights::import::Import;
use rights::port::Port;
use rights::queue::Labelled;
use rights::window::{Capacity, Raise};

use crate::search;

/// A holder of the right, and which of its lives.
type Key = (usize, u32);

/// A message: which holder's, and which of its messages.
#[derive(Clone, Debug)]
struct Mail(Option<usize>, u64);

impl Labelled for Mail {}

#[derive(Clone, Copy, Debug)]
enum Frame {
    Message(u64),
    Ask,
    Return(u64, bool),
    Release,
    Left(u64),
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// A holder wants to send: sends, or asks and sleeps.
    Want(usize),
    /// A sleeper was told to look.
    Wake(usize),
    /// A sleeper's deadline came.
    GiveUp(usize),
    /// One who does not wait hands its places back.
    HandBack(usize),
    /// The owner reads one frame.
    Deliver(usize),
    /// A holder leaves a message with the owner.
    LeaveOne(usize),
    /// A holder lets its right go.
    Leave(usize),
    /// It gets the right again.
    Join(usize),
    /// The owner sends to its own port.
    Enter,
    /// The owner receives.
    Take,
    /// A receiver comes to wait, or goes.
    Receivers(u64),
    /// Long enough for a place to be written off.
    Idle,
}

#[derive(Clone, Debug)]
struct Holder {
    key: Key,
    /// Whether it has the right.
    has: bool,
    import: Import,
    board: u64,
    lane: VecDeque<Frame>,
    asked: bool,
    woken: bool,
    next: u64,
    arrived: u64,
    last: u64,
}

/// A port and its holders.
#[derive(Clone, Debug)]
pub(crate) struct World {
    port: Port<Mail, Key>,
    capacity: Capacity,
    holders: Vec<Holder>,
    own: u64,
    receivers: u64,
    now_ns: u64,
    /// Whether holders leave messages, too.
    leaving: bool,
}

impl World {
    pub(crate) fn new(holders: usize, capacity: Capacity) -> Self {
        let mut world = World {
            port: Port::new(capacity),
            capacity,
            holders: Vec::new(),
            own: 0,
            receivers: 0,
            now_ns: 0,
            leaving: false,
        };
        for place in 0..holders {
            world.holders.push(Holder {
                key: (place, 0),
                has: false,
                import: Import::default(),
                board: 0,
                lane: VecDeque::new(),
                asked: false,
                woken: false,
                next: 0,
                arrived: 0,
                last: 0,
            });
            world.join(place);
        }
        world
    }

    /// The same world where holders leave messages as well.
    pub(crate) fn leaving(mut self) -> Self {
        self.leaving = true;
        self
    }

    fn join(&mut self, place: usize) {
        let holder = &mut self.holders[place];
        holder.key.1 += 1;
        holder.has = true;
        holder.import = Import::default();
        holder.arrived = 0;
        // Where others come it is as one that joins among them.
        holder.board = self.port.window.join_alone(holder.key);
    }

    /// Sends if it may.
    fn send(&mut self, place: usize) -> bool {
        let holder = &mut self.holders[place];
        holder.import.look(holder.board);
        if !holder.import.may_send() {
            return false;
        }
        holder.import.sent();
        holder.next += 1;
        holder.lane.push_back(Frame::Message(holder.next));
        true
    }

    fn raise(&mut self, raises: Vec<Raise<Key>>) -> Result<(), String> {
        for raise in raises {
            let holder = &mut self.holders[raise.holder.0];
            if holder.key != raise.holder || raise.grant < holder.board {
                return Err(format!("a grant that shrinks or has no holder: {raise:?}"));
            }
            if raise.grant > holder.board && self.port.window.beside() > 0 {
                return Err(format!("{raise:?} comes before who stands in line"));
            }
            holder.board = raise.grant;
            holder.woken |= raise.asked;
        }
        Ok(())
    }

    fn deliver(&mut self, place: usize) -> Result<(), String> {
        let holder = &mut self.holders[place];
        let Some(frame) = holder.lane.pop_front() else {
            return Ok(());
        };
        let key = holder.key;
        match frame {
            Frame::Message(number) => {
                holder.arrived += 1;
                let _ = self
                    .port
                    .arrive(key, Mail(Some(place), number))
                    .map_err(|(offence, _)| format!("an honest sender is blamed: {offence}"))?;
            }
            Frame::Left(number) => self
                .port
                .leave(key, Mail(Some(place), number))
                .map_err(|_| "an honest holder left two messages".to_string())?,
            Frame::Ask => self.port.window.ask(key, 0),
            Frame::Return(places, stop) => {
                holder.arrived += if self.capacity == Capacity::Unbounded { 0 } else { places };
                self.port
                    .window
                    .hand_back(key, places, stop)
                    .map_err(|offence| format!("an honest holder is blamed: {offence}"))?;
            }
            Frame::Release => {
                self.port.forget(key);
                holder.board = 0;
                holder.arrived = 0;
            }
        }
        self.hand_out()
    }

    fn hand_out(&mut self) -> Result<(), String> {
        let mut raises = Vec::new();
        self.port.hand_out(self.now_ns, &mut raises);
        self.raise(raises)
    }

    fn take(&mut self) -> Result<(), String> {
        let mut raises = Vec::new();
        let Some(taken) = self.port.take(self.now_ns, &mut raises) else {
            return Ok(());
        };
        let Mail(sender, number) = taken.message;
        match sender {
            Some(place) => {
                let holder = &mut self.holders[place];
                if number <= holder.last {
                    return Err(format!("message {number} of {place} came out of order"));
                }
                holder.last = number;
            }
            None => self.own -= 1,
        }
        for key in self.port.left_taken() {
            let holder = &mut self.holders[key.0];
            if holder.key != key || !holder.import.left {
                return Err(format!("{key:?} is told of a message it has not left"));
            }
            holder.import.left = false;
        }
        self.raise(raises)?;
        // Who took it is gone with its place.
        self.receivers = 0;
        self.port.window.set_receivers(0);
        self.hand_out()
    }

    fn idle(&mut self) -> Result<(), String> {
        self.now_ns += limits::GRANT_IDLE_NS;
        self.port.window.write_off(self.now_ns);
        self.hand_out()
    }

    fn wake(&mut self, place: usize) {
        self.holders[place].woken = false;
        if self.send(place) {
            self.holders[place].asked = false;
        }
    }

    fn gives_up(&mut self, place: usize) {
        let holder = &mut self.holders[place];
        let places = holder.import.hand_back();
        holder.lane.push_back(Frame::Return(places, true));
        holder.asked = false;
        holder.woken = false;
    }
}

impl search::World for World {
    type Operation = Operation;

    fn possible(&self) -> Vec<Operation> {
        let mut out = Vec::new();
        for (place, holder) in self.holders.iter().enumerate() {
            if !holder.lane.is_empty() {
                out.push(Operation::Deliver(place));
            }
            if self.leaving && holder.has && !holder.import.left && holder.lane.len() < 3 {
                out.push(Operation::LeaveOne(place));
            }
            if holder.asked {
                out.push(Operation::GiveUp(place));
                if holder.woken {
                    out.push(Operation::Wake(place));
                }
            } else if holder.has {
                if holder.lane.len() < 3 {
                    out.push(Operation::Want(place));
                }
                if holder.import.sent < holder.board && holder.board < u64::MAX {
                    out.push(Operation::HandBack(place));
                }
                out.push(Operation::Leave(place));
            } else if holder.lane.is_empty() {
                out.push(Operation::Join(place));
            }
        }
        if self.own < 2 {
            out.push(Operation::Enter);
        }
        if !self.port.is_empty() {
            out.push(Operation::Take);
        }
        if self.port.window.asking() > 0 || self.port.window.beside() > 0 {
            out.push(Operation::Idle);
        }
        if self.capacity == Capacity::Rendezvous {
            out.push(Operation::Receivers(1 - self.receivers.min(1)));
        }
        out
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Want(place) => {
                if !self.send(place) {
                    let holder = &mut self.holders[place];
                    holder.asked = true;
                    holder.woken = false;
                    holder.lane.push_back(Frame::Ask);
                }
            }
            Operation::Wake(place) => self.wake(place),
            Operation::GiveUp(place) => self.gives_up(place),
            Operation::HandBack(place) => {
                let holder = &mut self.holders[place];
                holder.import.look(holder.board);
                let places = holder.import.hand_back();
                holder.lane.push_back(Frame::Return(places, false));
            }
            Operation::Deliver(place) => self.deliver(place)?,
            Operation::LeaveOne(place) => {
                let holder = &mut self.holders[place];
                holder.import.left = true;
                holder.next += 1;
                holder.lane.push_back(Frame::Left(holder.next));
            }
            Operation::Leave(place) => {
                let holder = &mut self.holders[place];
                holder.has = false;
                holder.lane.push_back(Frame::Release);
            }
            Operation::Join(place) => self.join(place),
            Operation::Enter => {
                if self.port.enter(Mail(None, 0)).is_ok() {
                    self.own += 1;
                }
            }
            Operation::Take => self.take()?,
            Operation::Receivers(receivers) => {
                // Who leaves takes what came for it.
                while receivers == 0 && !self.port.is_empty() {
                    self.take()?;
                }
                self.receivers = receivers;
                self.port.window.set_receivers(receivers);
                self.hand_out()?;
            }
            Operation::Idle => self.idle()?,
        }
        Ok(())
    }

    fn census(&self) -> Result<(), String> {
        let window = &self.port.window;
        if window.queued() != self.port.len() as u64 {
            return Err(format!("{} queued of {}", window.queued(), self.port.len()));
        }
        let accepted = self.port.iter().count() as u64;
        if window.queued() + window.beside() != accepted {
            return Err(format!(
                "{} queued and {} beside of {accepted}",
                window.queued(),
                window.beside()
            ));
        }
        if self.capacity == Capacity::Unbounded {
            return Ok(());
        }
        let unused: u64 = self.holders.iter().map(|holder| holder.board - holder.arrived).sum();
        if window.promised() + window.written_off() != unused {
            return Err(format!(
                "{} promised and {} written off, {unused} granted and unused",
                window.promised(),
                window.written_off()
            ));
        }
        let (queued, promised) = (window.queued(), window.promised());
        if queued + promised > window.places() {
            return Err(format!("{queued} queued and {promised} promised of {}", window.places()));
        }
        if window.beside() > 0 && queued == 0 && window.places() > 0 {
            return Err("an accepted message is kept from an empty queue".to_string());
        }
        Ok(())
    }

    /// A receiver takes everything, time passes, and nobody sleeps for ever.
    fn settle(mut self) -> Result<(), String> {
        if self.capacity == Capacity::Rendezvous && self.receivers == 0 {
            self.apply(Operation::Receivers(1))?;
        }
        for _ in 0..8 {
            for place in 0..self.holders.len() {
                while !self.holders[place].lane.is_empty() {
                    self.deliver(place)?;
                    self.census()?;
                }
            }
            while !self.port.is_empty() {
                self.take()?;
                self.census()?;
            }
            for place in 0..self.holders.len() {
                if self.holders[place].asked && self.holders[place].woken {
                    self.wake(place);
                }
            }
            self.idle()?;
            self.apply(Operation::Receivers(1))?;
        }
        match self.holders.iter().position(|holder| holder.asked) {
            Some(place) => Err(format!("holder {place} sleeps for ever")),
            None => Ok(()),
        }
    }

    fn fingerprint(&self) -> Option<u128> {
        None
    }
}
