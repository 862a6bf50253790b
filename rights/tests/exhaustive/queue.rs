//! The queue of one port, against a plain list.
//!
//! Messages and pulses come; some are taken as the first or by id, and two who
//! choose look at one after the other, give it back, or keep it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rights::port::{Lent, Port, PulseArrived, Taken};
use rights::queue::{Label, Labelled, Order, Scan};
use rights::window::Capacity;

use crate::search;

/// Pulses that may wait.
const PULSES: u32 = 2;

/// Who sends pulses.
const HOLDER: u8 = 1;

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// A message of this priority and id comes.
    Send(u16, i32),
    /// A pulse of this priority comes.
    Pulse(u16),
    /// The first is taken.
    Take,
    /// The first with this id is taken.
    TakeId(i32),
    /// One who chooses looks at the next.
    Look(usize),
    /// It does not want it.
    GiveBack(usize),
    /// It takes it.
    Keep(usize),
}

#[derive(Clone, Debug)]
struct Mail {
    number: u64,
    label: Label,
}

impl Labelled for Mail {
    fn label(&self) -> Label {
        self.label
    }
}

/// One entry of the plain list.
#[derive(Clone, Debug)]
struct Waiting {
    number: u64,
    label: Label,
    /// How many pulses it stands for; zero for a message.
    pulses: u64,
    lent: bool,
}

/// One who chooses.
#[derive(Clone, Debug, Default)]
struct Chooser {
    scan: Scan,
    lent: Option<Lent<Mail, u8>>,
    offered: BTreeSet<u64>,
    /// The newest entry of the pass it is in.
    pass: Option<u64>,
    /// The newest entry of the pass before.
    before: u64,
}

/// What is broken on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A lent message goes to the end when it is given back.
    GivenBackLast,
    /// A search begins anew with each pass.
    SavePointForgotten,
    /// Whatever is first is taken for what was asked for by id.
    AnyId,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] =
        [Fault::GivenBackLast, Fault::SavePointForgotten, Fault::AnyId];
}

/// A port, its plain list, and who chooses from it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    port: Port<Mail, u8>,
    order: Order,
    merges: bool,
    list: Vec<Waiting>,
    newest: u64,
    taken: u64,
    /// Pulses that may come and that came.
    pulses: (u64, u64),
    choosers: [Chooser; 2],
    fault: Option<Fault>,
}

impl World {
    /// The same world with one rule broken.
    pub(crate) fn broken(self, fault: Fault) -> Self {
        World { fault: Some(fault), ..self }
    }

    pub(crate) fn new(order: Order, merges: bool) -> Self {
        World {
            port: Port::new(Capacity::Unbounded).ordered(order).with_pulses(PULSES, merges),
            order,
            merges,
            list: Vec::new(),
            newest: 0,
            taken: 0,
            pulses: (u64::from(PULSES), 0),
            choosers: [Chooser::default(), Chooser::default()],
            fault: None,
        }
    }

    fn level(&self, label: Label) -> u16 {
        if self.order == Order::Fifo { 0 } else { label.priority }
    }

    /// Where the entries stand in the list, in the order they are to be taken.
    fn in_order(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.list.len()).collect();
        places.sort_by_key(|&at| (Reverse(self.level(self.list[at].label)), self.list[at].number));
        places
    }

    fn first(&self, wanted: impl Fn(&Waiting) -> bool) -> Option<usize> {
        self.in_order().into_iter().find(|&at| !self.list[at].lent && wanted(&self.list[at]))
    }

    fn mail(&mut self, priority: u16, id: i32, pulses: u64) -> (Mail, Waiting) {
        self.newest += 1;
        let label = Label { priority, id, tag: 0 };
        let number = self.newest;
        (Mail { number, label }, Waiting { number, label, pulses, lent: false })
    }

    /// One has left the queue: it must be the one at this place of the list.
    fn left(&mut self, at: Option<usize>, taken: Option<Taken<Mail, u8>>) -> Result<(), String> {
        let (Some(at), Some(taken)) = (at, &taken) else {
            return match (at, taken) {
                (None, None) => Ok(()),
                (at, taken) => Err(format!("{taken:?} was taken instead of {at:?}")),
            };
        };
        let due = self.list.remove(at);
        if (due.number, due.pulses) != (taken.message.number, taken.pulses) {
            return Err(format!("{taken:?} was taken instead of {due:?}"));
        }
        self.taken += 1;
        if taken.sequence != self.taken {
            return Err(format!("turn {} where {} was due", taken.sequence, self.taken));
        }
        let granted = taken.raise.map(|raise| raise.granted);
        if due.pulses > 0 {
            self.raised(granted)
        } else if granted.is_some() {
            Err("a message raised the pulses".into())
        } else {
            Ok(())
        }
    }

    fn raised(&mut self, granted: Option<u64>) -> Result<(), String> {
        self.pulses.0 += 1;
        match granted {
            Some(granted) if granted == self.pulses.0 => Ok(()),
            _ => Err(format!("{granted:?} pulses granted where {} are due", self.pulses.0)),
        }
    }

    fn pulse(&mut self, priority: u16) -> Result<(), String> {
        let (mail, waiting) = self.mail(priority, 9, 1);
        let may = self.pulses.1 < self.pulses.0;
        let level = self.level(waiting.label);
        let last = (0..self.list.len())
            .filter(|&at| self.level(self.list[at].label) == level)
            .max_by_key(|&at| self.list[at].number);
        let equal = last.filter(|&at| {
            let last = &self.list[at];
            self.merges && !last.lent && last.pulses > 0 && last.label == waiting.label
        });
        match (self.port.pulse(HOLDER, mail), may, equal) {
            (Err(_), false, _) => {
                // It never was in the queue.
                self.newest -= 1;
                Ok(())
            }
            (Ok(PulseArrived::Queued), true, None) => {
                self.pulses.1 += 1;
                self.list.push(waiting);
                Ok(())
            }
            (Ok(PulseArrived::Merged(_, raise)), true, Some(at)) => {
                self.newest -= 1;
                self.pulses.1 += 1;
                self.list[at].pulses += 1;
                self.raised(raise.map(|raise| raise.granted))
            }
            (result, ..) => Err(format!("{result:?} where may is {may} and equal is {equal:?}")),
        }
    }

    fn look(&mut self, who: usize) -> Result<(), String> {
        let newest = self.list.iter().map(|entry| entry.number).max().unwrap_or(0);
        let chooser = &mut self.choosers[who];
        if chooser.pass.is_none() {
            if self.fault == Some(Fault::SavePointForgotten) {
                chooser.scan = Scan::default();
            }
            self.port.begin_pass(&mut chooser.scan);
            chooser.pass = Some(newest.max(chooser.before));
        }
        let pass = chooser.pass.unwrap_or(0);
        let lent = self.port.lend_next(&mut chooser.scan);
        let (offered, before) = (chooser.offered.clone(), chooser.before);
        let due = |from: u64, to: u64| {
            self.first(|entry| {
                from < entry.number && entry.number <= to && !offered.contains(&entry.number)
            })
        };
        // What was lent in an earlier pass first, then what came since.
        let at = match (&lent, due(before, pass)) {
            (Some(lent), _) if lent.message().number <= before => {
                self.first(|entry| entry.number == lent.message().number)
            }
            (_, due_now) => due(0, before).or(due_now),
        };
        match (lent, at) {
            (None, None) => {
                let chooser = &mut self.choosers[who];
                chooser.before = pass;
                chooser.pass = None;
                Ok(())
            }
            (Some(lent), Some(at)) if lent.message().number == self.list[at].number => {
                self.list[at].lent = true;
                let fresh = self.choosers[who].offered.insert(lent.message().number);
                self.choosers[who].lent = Some(lent);
                if fresh { Ok(()) } else { Err("one was offered twice".into()) }
            }
            (lent, at) => Err(format!("{lent:?} was offered instead of {at:?} of {:?}", self.list)),
        }
    }

    fn borrowed(&mut self, who: usize) -> Option<(Lent<Mail, u8>, usize)> {
        let lent = self.choosers[who].lent.take()?;
        let number = lent.message().number;
        let at = self.list.iter().position(|entry| entry.number == number)?;
        Some((lent, at))
    }

    fn give_back(&mut self, who: usize) {
        if let Some((lent, at)) = self.borrowed(who) {
            self.list[at].lent = false;
            if self.fault == Some(Fault::GivenBackLast) {
                let taken = self.port.keep(lent, 0, &mut Vec::new());
                let _ = self.port.enter(taken.message);
            } else {
                let _ = self.port.give_back(lent);
            }
        }
    }
}

impl search::World for World {
    type Operation = Operation;

    fn possible(&self) -> Vec<Operation> {
        let mut out = vec![
            Operation::Send(0, 1),
            Operation::Send(1, 1),
            Operation::Send(0, 2),
            Operation::Pulse(0),
        ];
        if !self.list.is_empty() {
            out.extend([Operation::Take, Operation::TakeId(1)]);
        }
        for (who, chooser) in self.choosers.iter().enumerate() {
            if chooser.lent.is_some() {
                out.extend([Operation::GiveBack(who), Operation::Keep(who)]);
            } else if !self.list.is_empty() {
                out.push(Operation::Look(who));
            }
        }
        out
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        let mut raises = Vec::new();
        match operation {
            Operation::Send(priority, id) => {
                let (mail, waiting) = self.mail(priority, id, 0);
                self.list.push(waiting);
                self.port.enter(mail).map_err(|mail| format!("no room for {mail:?}"))
            }
            Operation::Pulse(priority) => self.pulse(priority),
            Operation::Take => {
                let taken = self.port.take(0, &mut raises);
                self.left(self.first(|_| true), taken)
            }
            Operation::TakeId(id) => {
                let mut spot = self.port.first_with_id(id);
                if self.fault == Some(Fault::AnyId) {
                    spot = self.port.first();
                }
                let taken = spot.and_then(|spot| self.port.take_at(spot, 0, &mut raises));
                self.left(self.first(|entry| entry.label.id == id), taken)
            }
            Operation::Look(who) => self.look(who),
            Operation::GiveBack(who) => {
                self.give_back(who);
                Ok(())
            }
            Operation::Keep(who) => match self.borrowed(who) {
                Some((lent, at)) => {
                    let taken = self.port.keep(lent, 0, &mut raises);
                    self.left(Some(at), Some(taken))
                }
                None => Err("what was lent is gone".into()),
            },
        }
    }

    fn census(&self) -> Result<(), String> {
        let here = self.in_order().into_iter().filter(|&at| !self.list[at].lent);
        let here: Vec<u64> = here.map(|at| self.list[at].number).collect();
        let there: Vec<u64> = self.port.iter().map(|mail| mail.number).collect();
        if here != there {
            return Err(format!("{there:?} wait instead of {here:?}"));
        }
        if self.port.len() != self.list.len() || self.port.has_ready() == here.is_empty() {
            return Err(format!("{} wait instead of {}", self.port.len(), self.list.len()));
        }
        let messages = self.list.iter().filter(|entry| entry.pulses == 0).count() as u64;
        if self.port.window.queued() != messages {
            return Err(format!("{} places for {messages}", self.port.window.queued()));
        }
        Ok(())
    }

    fn settle(mut self) -> Result<(), String> {
        for who in 0..self.choosers.len() {
            self.give_back(who);
        }
        while !self.list.is_empty() {
            self.apply(Operation::Take)?;
        }
        if self.port.is_empty() { Ok(()) } else { Err("something is left".into()) }
    }

    fn fingerprint(&self) -> Option<u128> {
        // Where entries lie in the slab is part of the state.
        None
    }
}
