//! One port, one peer that sends it pulses, and a right that comes and goes.
//!
//! Both count for themselves: the peer what it sent on the slot, the owner what
//! came. A release may cross the same right coming again.

use std::collections::VecDeque;

use abi::Slot;
use rights::export::{Exports, Released};
use rights::import::Import;
use rights::port::{Port, PulseArrived};
use rights::pulses::PulseRaise;
use rights::queue::Labelled;
use rights::window::Capacity;

use crate::search;

const PORT: u8 = 7;
const PEER: u8 = 1;

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// The owner gives the peer the right.
    Give,
    /// The peer reads that.
    Learn,
    /// The peer sends a pulse, if it may.
    Pulse,
    /// The peer lets go of the right.
    LetGo,
    /// The owner reads one frame.
    Deliver,
    /// The owner takes one pulse.
    Take,
}

/// What is broken on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What was sent is forgotten with the last right.
    SentForgotten,
    /// A pulse that was taken does not show on the board.
    RaiseUntold,
    /// What waits from an earlier life is forgotten.
    OldLifeFree,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] =
        [Fault::SentForgotten, Fault::RaiseUntold, Fault::OldLifeFree];
}

#[derive(Clone, Copy, Debug)]
enum Frame {
    Pulse(Slot),
    Release(Slot, u64),
}

#[derive(Clone, Debug)]
struct Mail;

impl Labelled for Mail {}

/// The owner, the peer, and what is between them.
#[derive(Clone, Debug)]
pub(crate) struct World {
    port: Port<Mail, u8>,
    exports: Exports<u8>,
    board: u64,
    limit: u64,
    merges: bool,
    /// To the owner.
    frames: VecDeque<Frame>,
    /// To the peer.
    rights: VecDeque<Slot>,
    holds: bool,
    import: (Slot, Import),
    fault: Option<Fault>,
}

impl World {
    /// The same world with one rule broken.
    pub(crate) fn broken(self, fault: Fault) -> Self {
        World { fault: Some(fault), ..self }
    }

    pub(crate) fn new(merges: bool) -> Self {
        let limit = if merges { 2 } else { 1 };
        World {
            port: Port::new(Capacity::Bounded(1)).with_pulses(limit, merges),
            exports: Exports::default(),
            board: 0,
            limit: u64::from(limit),
            merges,
            frames: VecDeque::new(),
            rights: VecDeque::new(),
            holds: false,
            import: (Slot { index: 0, generation: 0 }, Import::default()),
            fault: None,
        }
    }

    fn give(&mut self) -> Result<(), String> {
        let exported = self.exports.send(PORT).map_err(|error| error.to_string())?;
        self.exports.published(exported.slot);
        if exported.first {
            let granted = self.port.pulses.join(PEER);
            let forgets = self.fault == Some(Fault::OldLifeFree);
            self.board = if forgets { self.limit } else { granted };
        }
        self.rights.push_back(exported.slot);
        Ok(())
    }

    fn learn(&mut self) {
        let Some(slot) = self.rights.pop_front() else { return };
        if self.import.0 != slot {
            self.import = (slot, Import::default());
        }
        self.import.1.learn();
        self.holds = true;
    }

    fn pulse(&mut self) -> bool {
        let board = self.board;
        let may = self.holds && self.import.1.pulses.send(|| board);
        if may {
            self.frames.push_back(Frame::Pulse(self.import.0));
        }
        may
    }

    fn let_go(&mut self) {
        let (slot, import) = &mut self.import;
        let count = import.let_go();
        if self.fault == Some(Fault::SentForgotten) {
            *import = Import::default();
        }
        self.frames.push_back(Frame::Release(*slot, count));
        self.holds = false;
    }

    fn deliver(&mut self) -> Result<(), String> {
        let blamed = |offence| format!("an honest peer is blamed: {offence}");
        match self.frames.pop_front() {
            None => Ok(()),
            Some(Frame::Pulse(slot)) => {
                self.exports.get(slot).map_err(blamed)?;
                match self.port.pulse(PEER, Mail) {
                    Ok(PulseArrived::Queued) => Ok(()),
                    Ok(PulseArrived::Merged(Mail, raise)) => {
                        if !self.merges {
                            return Err("merged unasked".into());
                        }
                        self.raise(raise)
                    }
                    Err((offence, Mail)) => Err(blamed(offence)),
                }
            }
            Some(Frame::Release(slot, count)) => {
                match self.exports.release(slot, count).map_err(blamed)? {
                    Released::Held => {}
                    Released::Last(_) => self.port.pulses.leave(PEER),
                }
                Ok(())
            }
        }
    }

    fn raise(&mut self, raise: Option<PulseRaise<u8>>) -> Result<(), String> {
        let Some(PulseRaise { granted, .. }) = raise else {
            return match self.exports.slot_of(PORT) {
                Some(_) => Err("the peer is there and is not told".into()),
                None => Ok(()),
            };
        };
        if granted <= self.board && self.fault.is_none() {
            return Err(format!("{granted} granted after {}", self.board));
        }
        if self.fault != Some(Fault::RaiseUntold) {
            self.board = granted;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<(), String> {
        match self.port.take(0, &mut Vec::new()) {
            None => Err("a pulse is gone".into()),
            Some(taken) if taken.pulses == 0 => Err("a pulse stands for none".into()),
            Some(taken) => self.raise(taken.raise),
        }
    }
}

impl search::World for World {
    type Operation = Operation;

    fn possible(&self) -> Vec<Operation> {
        let may = self.holds && self.import.1.pulses.clone().send(|| self.board);
        let all = [
            (Operation::Give, self.rights.len() < 2),
            (Operation::Learn, !self.rights.is_empty()),
            (Operation::Pulse, may),
            (Operation::LetGo, self.holds),
            (Operation::Deliver, !self.frames.is_empty()),
            (Operation::Take, !self.port.is_empty()),
        ];
        all.into_iter().filter(|(_, can)| *can).map(|(operation, _)| operation).collect()
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Give => return self.give(),
            Operation::Learn => self.learn(),
            Operation::Pulse => {
                let _ = self.pulse();
            }
            Operation::LetGo => self.let_go(),
            Operation::Deliver => return self.deliver(),
            Operation::Take => return self.take(),
        }
        Ok(())
    }

    fn census(&self) -> Result<(), String> {
        if self.port.len() as u64 > self.limit {
            return Err(format!("{} pulses wait, {} may", self.port.len(), self.limit));
        }
        if self.port.window.queued() != 0 {
            return Err("a pulse took a place".into());
        }
        Ok(())
    }

    fn settle(mut self) -> Result<(), String> {
        while !self.rights.is_empty() {
            self.learn();
        }
        while !self.frames.is_empty() {
            self.deliver()?;
            self.census()?;
        }
        while !self.port.is_empty() {
            self.take()?;
        }
        // Now it may send as many as ever, and not one more.
        let more = (0..=self.limit).take_while(|_| self.pulse()).count() as u64;
        let due = if self.holds { self.limit } else { 0 };
        if more == due { Ok(()) } else { Err(format!("{more} pulses may be sent, {due} are due")) }
    }

    fn fingerprint(&self) -> Option<u128> {
        None
    }
}
