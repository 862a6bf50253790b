//! One call between three tasks: A asked S, who may give the reply right on to
//! B, who has never met A. A may ask for an end or withdraw at any moment,
//! either holder may write parts, answer, drop the right, or die.
//!
//! The promise ends once; nobody honest is blamed for what crosses; and the
//! holder reads on A's board what A wants, wherever the right has gone.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use abi::board::State;
use abi::right::Kind;
use abi::{Offence, Slot, TaskId, Ticket};
use rights::export::{Exports, Released};
use rights::give::{GiveName, Given, Gives};
use rights::reply::{Comes, Gone, Promised, ReplyState};

use crate::search;

/// S and B, as A's peers.
const S: usize = 0;
const B: usize = 1;
const CALL: u8 = 0;
const ROOM: u64 = 8;

const fn id(peer: usize) -> TaskId {
    TaskId { process: 10 + peer as u64, number: 0 }
}

/// A rule broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The slot of the next holder is born without what A wants.
    BornWithoutState,
    /// A change is not written in the slots.
    NotShown,
    /// A withdrawal ends the slot, though its use may be on the way.
    SlotEndsAtOnce,
    /// A part that crosses the withdrawal is blamed.
    PartBlamed,
    /// What comes after the withdrawal is taken for the answer.
    LateIsKept,
    /// A dead holder's promise is forgotten.
    SilentDeath,
}

impl Fault {
    pub(crate) const ALL: [Fault; 6] = [
        Fault::BornWithoutState,
        Fault::NotShown,
        Fault::SlotEndsAtOnce,
        Fault::PartBlamed,
        Fault::LateIsKept,
        Fault::SilentDeath,
    ];
}

/// What a holder says to A.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// The message, or its being dropped.
    Last(Slot),
    Part(Slot),
    Give(Slot, Ticket),
    TakeBack(Slot, Ticket),
    /// S knows that B is dead: all that was given to it comes back.
    TakeAllBack,
    Release(Slot),
    Claim(Ticket),
}

/// What a peer of A's has of the reply right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Nothing,
    Has(Slot),
    Joining,
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Ask,
    Withdraw,
    Part(usize),
    /// Answers, or drops the right: A cannot tell which it was by the rules.
    Last(usize),
    Give,
    GiveFails,
    /// S is killed between the give and the message.
    GiveAndDie,
    Die(usize),
    /// A reads the next frame of a peer's.
    Read(usize),
    /// B takes the message that names the ticket, and claims.
    Take,
    /// B hears of its claim.
    Hear,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    fault: Option<Fault>,
    promised: Promised,
    exports: [Exports<u8>; 2],
    gives: Gives<u8>,
    /// A's boards: the word of each slot that was written.
    boards: [BTreeMap<u32, (u32, State)>; 2],
    places: Vec<(usize, Slot)>,
    lanes: [VecDeque<Frame>; 2],
    to_b: VecDeque<Ticket>,
    heard: VecDeque<Option<Slot>>,
    holds: [Hold; 2],
    alive: [bool; 2],
    tickets: u64,
    parts: u8,
    kept: u8,
    withdrawn: bool,
}

impl World {
    /// With a rule broken, or none.
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        let mut exports: [Exports<u8>; 2] = Default::default();
        let slot = exports[S].send_once(CALL).expect("an empty table");
        exports[S].published(slot);
        World {
            fault,
            promised: Promised::new(ROOM),
            exports,
            gives: Gives::default(),
            boards: Default::default(),
            places: vec![(S, slot)],
            lanes: Default::default(),
            to_b: VecDeque::new(),
            heard: VecDeque::new(),
            holds: [Hold::Has(slot), Hold::Nothing],
            alive: [true; 2],
            tickets: 0,
            parts: 0,
            kept: 0,
            withdrawn: false,
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    // ---- A -----------------------------------------------------------------

    /// The message or the notification the promise ends in.
    fn comes(&mut self) -> Result<(), String> {
        match self.promised.comes() {
            Comes::Kept => self.kept += 1,
            Comes::Late if self.is(Fault::LateIsKept) => self.kept += 1,
            Comes::Late => {}
        }
        match (self.kept, self.withdrawn) {
            (0, _) | (1, false) => Ok(()),
            _ => Err(String::from("I7: the promise ended twice")),
        }
    }

    fn show(&mut self) {
        if self.is(Fault::NotShown) {
            return;
        }
        let state = self.promised.state().on_board();
        for &(peer, slot) in &self.places {
            if self.exports[peer].get(slot).is_ok() {
                self.boards[peer].insert(slot.index, (slot.generation, state));
            }
        }
        if self.is(Fault::SlotEndsAtOnce) && self.promised.state().is_gone() {
            for &(peer, slot) in &self.places {
                let _ = self.exports[peer].consume(slot);
            }
        }
    }

    fn reads(&self, peer: usize, slot: Slot) -> ReplyState {
        match self.boards[peer].get(&slot.index) {
            Some(&(generation, state)) if generation == slot.generation => {
                ReplyState::of_board(state)
            }
            _ => ReplyState::Wanted,
        }
    }

    fn read(&mut self, from: usize) -> Result<(), String> {
        match self.lanes[from].pop_front() {
            None => Ok(()),
            Some(frame) => self
                .take_frame(from, frame)?
                .map_err(|offence| format!("I2: {frame:?} was blamed: {offence}")),
        }
    }

    fn take_frame(&mut self, from: usize, frame: Frame) -> Result<Result<(), Offence>, String> {
        let name = |ticket| GiveName { giver: id(S), to: id(B), ticket };
        Ok(match frame {
            Frame::Last(slot) => match self.exports[from].get(slot).map(|export| export.given) {
                Ok(true) => self.exports[from].release(slot, 1).map(|_| ()),
                Ok(false) => {
                    let used = self.exports[from].consume(slot).map(|_| ());
                    self.comes()?;
                    used
                }
                Err(offence) => Err(offence),
            },
            Frame::Part(slot) => match self.exports[from].get(slot).map(|export| export.given) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    let before = self.promised.written();
                    let open = self.promised.is_open();
                    let placed = self.promised.part(0, ROOM);
                    if !open && self.promised.written() != before {
                        return Err(String::from("a part was placed after the end"));
                    }
                    match placed {
                        Ok(Comes::Late) if self.is(Fault::PartBlamed) => Err(Offence::RightKind),
                        other => other.map(|_| ()),
                    }
                }
                Err(offence) => Err(offence),
            },
            Frame::Give(slot, ticket) => self.exports[from].give(slot).and_then(|_| {
                self.gives.give(name(ticket), Given { port: CALL, kind: Kind::SendOnce, slot })
            }),
            Frame::TakeBack(slot, ticket) => {
                if self.gives.take(name(ticket)).is_some() {
                    let _ = self.exports[from].take_back(slot);
                }
                Ok(())
            }
            Frame::TakeAllBack => {
                let ended = self.gives.come_back(id(B), Some(id(S)));
                let ended: Vec<_> = ended.into_iter().map(|(_, given)| given).collect();
                self.end_gives(&ended)?;
                Ok(())
            }
            Frame::Release(slot) => match self.exports[from].release(slot, 1) {
                Ok(Released::Last(export)) if !export.given => {
                    self.comes()?;
                    Ok(())
                }
                other => other.map(|_| ()),
            },
            Frame::Claim(ticket) => {
                // Whoever saw the message can see the give.
                while !self.lanes[S].is_empty() {
                    self.read(S)?;
                }
                let slot = match self.gives.take(name(ticket)) {
                    Some(_) if self.alive[B] => self.exports[B].send_once(CALL).ok(),
                    Some(_) => {
                        self.comes()?;
                        None
                    }
                    None => None,
                };
                if let Some(slot) = slot {
                    self.exports[B].published(slot);
                    self.places.push((B, slot));
                    let state = self.promised.state();
                    if state != ReplyState::Wanted && !self.is(Fault::BornWithoutState) {
                        self.boards[B].insert(slot.index, (slot.generation, state.on_board()));
                    }
                }
                self.heard.push_back(slot);
                Ok(())
            }
        })
    }

    /// Reads what the dead had said to the end; then its promises are broken.
    fn bury(&mut self, peer: usize) -> Result<(), String> {
        self.alive[peer] = false;
        self.holds[peer] = Hold::Nothing;
        while !self.lanes[peer].is_empty() {
            self.read(peer)?;
        }
        let all: Vec<_> = self.exports[peer].iter().map(|(_, export)| export.given).collect();
        self.exports[peer] = Exports::default();
        let broken = all.iter().filter(|given| !**given).count();
        if !self.is(Fault::SilentDeath) {
            for _ in 0..broken {
                self.comes()?;
            }
        }
        if peer == B {
            self.to_b.clear();
            self.heard.clear();
            if self.alive[S] {
                self.lanes[S].push_back(Frame::TakeAllBack);
            }
        }
        let ended = self.gives.task_died(id(peer), 0);
        self.end_gives(&ended)
    }

    fn end_gives(&mut self, ended: &[Given<u8>]) -> Result<(), String> {
        for given in ended {
            // The promise goes back into its giver's slot while there is one.
            if !self.alive[S] || self.exports[S].take_back(given.slot).is_err() {
                self.comes()?;
            }
        }
        Ok(())
    }

    // ---- the holders -----------------------------------------------------------

    fn give(&mut self) -> Option<(Slot, Ticket)> {
        let Hold::Has(slot) = self.holds[S] else { return None };
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.lanes[S].push_back(Frame::Give(slot, ticket));
        Some((slot, ticket))
    }

    /// Ends the right of a holder, in a message where one is wanted.
    fn last(&mut self, peer: usize) {
        if let Hold::Has(slot) = self.holds[peer] {
            self.holds[peer] = Hold::Nothing;
            self.lanes[peer].push_back(Frame::Last(slot));
        }
    }
}

impl search::World for World {
    type Operation = Operation;

    fn possible(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        if self.promised.is_open() {
            all.push(Operation::Withdraw);
            if self.promised.state() == ReplyState::Wanted {
                all.push(Operation::Ask);
            }
        }
        for peer in [S, B] {
            if let Hold::Has(slot) = self.holds[peer] {
                all.push(Operation::Last(peer));
                if self.parts < 2 && !self.reads(peer, slot).is_gone() {
                    all.push(Operation::Part(peer));
                }
            }
            if self.alive[peer] {
                all.push(Operation::Die(peer));
            }
            if !self.lanes[peer].is_empty() {
                all.push(Operation::Read(peer));
            }
        }
        if matches!(self.holds[S], Hold::Has(_)) {
            all.push(Operation::GiveFails);
            all.push(Operation::GiveAndDie);
            if self.alive[B] {
                all.push(Operation::Give);
            }
        }
        if !self.to_b.is_empty() {
            all.push(Operation::Take);
        }
        if !self.heard.is_empty() {
            all.push(Operation::Hear);
        }
        all
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Ask => {
                if self.promised.ask() {
                    self.show();
                }
            }
            Operation::Withdraw => {
                if self.promised.end(Gone::Withdrawn) {
                    self.withdrawn = true;
                    self.show();
                }
            }
            Operation::Part(peer) => {
                if let Hold::Has(slot) = self.holds[peer] {
                    self.parts += 1;
                    self.lanes[peer].push_back(Frame::Part(slot));
                }
            }
            Operation::Last(peer) => self.last(peer),
            Operation::Give => {
                if let Some((slot, ticket)) = self.give() {
                    self.to_b.push_back(ticket);
                    self.lanes[S].push_back(Frame::Release(slot));
                    self.holds[S] = Hold::Nothing;
                }
            }
            Operation::GiveFails => {
                if let Some((slot, ticket)) = self.give() {
                    self.lanes[S].push_back(Frame::TakeBack(slot, ticket));
                }
            }
            Operation::GiveAndDie => {
                let _ = self.give();
                return self.bury(S);
            }
            Operation::Die(peer) => return self.bury(peer),
            Operation::Read(peer) => return self.read(peer),
            Operation::Take => {
                if let Some(ticket) = self.to_b.pop_front() {
                    self.holds[B] = Hold::Joining;
                    self.lanes[B].push_back(Frame::Claim(ticket));
                }
            }
            Operation::Hear => {
                if let Some(answer) = self.heard.pop_front() {
                    self.holds[B] = answer.map_or(Hold::Nothing, Hold::Has);
                }
            }
        }
        Ok(())
    }

    fn census(&self) -> Result<(), String> {
        for peer in [S, B] {
            let Hold::Has(slot) = self.holds[peer] else { continue };
            let Ok(export) = self.exports[peer].get(slot) else {
                return Err(format!("I3: the right of peer {peer} stands for nothing"));
            };
            let seen = self.reads(peer, slot);
            if !export.given && seen != self.promised.state() {
                return Err(format!("peer {peer} reads {seen:?}: {:?}", self.promised));
            }
        }
        let slots = self.exports.iter().flat_map(Exports::iter);
        let places = slots.filter(|(_, export)| !export.given).count() + self.gives.len();
        match (self.promised.is_open(), places) {
            (true, 1) | (false, 0 | 1) => Ok(()),
            (open, places) => Err(format!("I3: open {open}, in {places} places")),
        }
    }

    fn settle(mut self) -> Result<(), String> {
        loop {
            let next = self.possible().into_iter().find(|operation| {
                matches!(operation, Operation::Read(_) | Operation::Take | Operation::Hear)
            });
            match next {
                Some(operation) => self.apply(operation)?,
                None if self.holds.iter().any(|hold| matches!(hold, Hold::Has(_))) => {
                    self.last(S);
                    self.last(B);
                }
                None => break,
            }
        }
        let late = self.gives.expire(u64::MAX);
        self.end_gives(&late)?;
        if self.promised.is_open() {
            return Err(String::from("I7: the promise never ended"));
        }
        if self.exports.iter().any(|exports| !exports.is_empty()) || !self.gives.is_empty() {
            return Err(String::from("I3: a right is left over"));
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<u128> {
        let text = format!("{self:?}");
        let half = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            (salt, &text).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Some(half(1) << 64 | half(2))
    }
}
