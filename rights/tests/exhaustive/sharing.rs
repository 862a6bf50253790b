//! One shared mailbox, two readers at a time that come, finish and die.

use std::collections::{BTreeMap, BTreeSet};

use rights::sharing::{Bounds, HandOut, Share, Sharing};

use crate::search;

const READERS: usize = 2;
const ITEMS: usize = 4;
const BOUNDS: Bounds = Bounds { waiting: 2, keys: 1, behind: 9 };

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// A reader comes, with so much credit.
    Join(usize),
    /// A message of this key is taken from the port.
    Accept(u64),
    /// The next goes to a reader.
    HandOut,
    /// A reader finishes its first, or its last.
    Finish(u64, bool),
    /// A reader's first goes back: it could not be sent, or was.
    GiveBack(u64, bool),
    /// A reader dies.
    Die(u64),
    /// A reader speaks of what was taken back from it.
    Late,
}

/// What is broken on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What a dead reader held is taken for finished.
    DeadFinishes,
    /// What goes back comes in as if it were new.
    BackAsNew,
    /// What the dead may have seen is handed out as if nobody had.
    Unflagged,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] = [Fault::DeadFinishes, Fault::BackAsNew, Fault::Unflagged];
}

/// What we know of a message.
#[derive(Clone, Debug, Default)]
struct Known {
    key: u64,
    /// Who was there when it was accepted and has neither finished it nor gone.
    due: BTreeSet<u64>,
    finished: u32,
    /// How often it may have been seen by whom it was taken back from.
    back: BTreeMap<u64, u32>,
}

/// The mailbox, and what a plain list knows of it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    share: Share,
    sharing: Sharing,
    credit: BTreeMap<u64, usize>,
    items: BTreeMap<u64, Known>,
    out: Vec<HandOut>,
    /// Hand-outs that were taken back or finished.
    late: Vec<HandOut>,
    fault: Option<Fault>,
}

impl World {
    pub(crate) fn new(share: Share, fault: Option<Fault>) -> Self {
        World {
            share,
            sharing: Sharing::new(share, BOUNDS),
            credit: BTreeMap::new(),
            items: BTreeMap::new(),
            out: Vec::new(),
            late: Vec::new(),
            fault,
        }
    }

    fn accept(&mut self, key: u64) {
        let item = self.sharing.accept(key);
        let due = self.credit.keys().copied().collect();
        self.items.insert(item, Known { key, due, ..Known::default() });
    }

    fn first_of(&self, reader: u64, last: bool) -> Option<usize> {
        let mut held = (0..self.out.len()).filter(|&at| self.out[at].reader == reader);
        if last { held.next_back() } else { held.next() }
    }

    fn hand_out(&mut self) -> Result<bool, String> {
        let Some(next) = self.sharing.hand_out() else {
            return Ok(false);
        };
        let held = self.out.iter().filter(|out| out.reader == next.reader).count();
        if self.credit.get(&next.reader).is_none_or(|credit| held >= *credit) {
            return Err(format!("{next:?} goes to a reader that has no room"));
        }
        let all = self.share == Share::All;
        let known = self.items.get(&next.item).ok_or("an item nobody accepted")?;
        let twice = |out: &&HandOut| out.item == next.item && (!all || out.reader == next.reader);
        if self.out.iter().any(|out| twice(&out)) || (!all && known.finished > 0) {
            return Err(format!("{next:?} is handed out twice"));
        }
        let back = known.back.get(&if all { next.reader } else { 0 }).copied().unwrap_or(0);
        if back != next.times {
            return Err(format!("{next:?}, and it came back {back} times"));
        }
        self.in_order(next, known)?;
        self.out.push(next);
        Ok(true)
    }

    /// Nothing that should go first is passed by.
    fn in_order(&self, next: HandOut, known: &Known) -> Result<(), String> {
        let earlier = self.items.range(..next.item).any(|(item, other)| {
            let is_out = |out: &HandOut| {
                out.item == *item && (self.share != Share::All || out.reader == next.reader)
            };
            let waits = !self.out.iter().any(is_out);
            waits
                && match self.share {
                    Share::All => other.due.contains(&next.reader),
                    Share::ByKey => other.finished == 0 && other.key == known.key,
                    _ => other.finished == 0,
                }
        });
        if earlier {
            return Err(format!("{next:?} overtakes"));
        }
        let mates = self
            .out
            .iter()
            .filter(|out| self.items.get(&out.item).is_some_and(|other| other.key == known.key));
        if self.share == Share::ByKey && mates.clone().any(|out| out.reader != next.reader) {
            return Err(format!("{next:?}: its key is with another"));
        }
        Ok(())
    }

    fn finish(&mut self, at: usize) -> Result<(), String> {
        let out = self.out.remove(at);
        self.late.push(out);
        let (item, over) = self.sharing.finish(out.number, out.reader).ok_or("it was not his")?;
        let known = self.items.get_mut(&item).ok_or("an item nobody accepted")?;
        known.finished += 1;
        known.due.remove(&out.reader);
        if over != (self.share != Share::All || known.due.is_empty()) {
            return Err(format!("{out:?} is over: {over}, still due to {:?}", known.due));
        }
        Ok(())
    }

    fn taken_back(&mut self, out: HandOut, seen: bool) {
        self.late.push(out);
        let whose = if self.share == Share::All { out.reader } else { 0 };
        if let Some(known) = self.items.get_mut(&out.item) {
            *known.back.entry(whose).or_default() += u32::from(seen);
        }
    }

    fn die(&mut self, reader: u64) {
        let held: Vec<HandOut> = self.out.extract_if(.., |out| out.reader == reader).collect();
        for out in held {
            match self.fault {
                Some(Fault::DeadFinishes) => {
                    let _ = self.sharing.finish(out.number, reader);
                }
                Some(Fault::Unflagged) => {
                    let _ = self.sharing.give_back(out.number, reader, false);
                }
                Some(Fault::BackAsNew) => {
                    let _ = self.sharing.finish(out.number, reader);
                    if let Some(known) = self.items.remove(&out.item) {
                        let item = self.sharing.accept(known.key);
                        self.items.insert(item, known);
                    }
                }
                None => {}
            }
            self.taken_back(out, true);
        }
        self.credit.remove(&reader);
        let _ = self.sharing.leave(reader);
        for known in self.items.values_mut() {
            known.due.remove(&reader);
        }
    }
}

impl search::World for World {
    type Operation = Operation;

    fn possible(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        if self.credit.len() < READERS {
            all.extend([Operation::Join(1), Operation::Join(2)]);
        }
        if self.items.len() < ITEMS && self.sharing.wants() {
            all.push(Operation::Accept(1));
            if self.share == Share::ByKey {
                all.push(Operation::Accept(2));
            }
        }
        all.push(Operation::HandOut);
        for &reader in self.credit.keys() {
            all.push(Operation::Die(reader));
            if self.first_of(reader, false).is_some() {
                all.extend([false, true].map(|last| Operation::Finish(reader, last)));
                all.extend([false, true].map(|seen| Operation::GiveBack(reader, seen)));
            }
        }
        if !self.late.is_empty() {
            all.push(Operation::Late);
        }
        all
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Join(credit) => {
                let reader = self.sharing.join(credit);
                self.credit.insert(reader, credit);
            }
            Operation::Accept(key) => self.accept(key),
            Operation::HandOut => {
                self.hand_out()?;
            }
            Operation::Finish(reader, last) => {
                if let Some(at) = self.first_of(reader, last) {
                    self.finish(at)?;
                }
            }
            Operation::GiveBack(reader, seen) => {
                if let Some(at) = self.first_of(reader, false) {
                    let out = self.out.remove(at);
                    if !self.sharing.give_back(out.number, reader, seen) {
                        return Err("it was not his to give back".into());
                    }
                    self.taken_back(out, seen);
                }
            }
            Operation::Die(reader) => self.die(reader),
            Operation::Late => {
                for out in &self.late {
                    if self.sharing.finish(out.number, out.reader).is_some()
                        || self.sharing.give_back(out.number, out.reader, true)
                    {
                        return Err(format!("{out:?} is over, and was believed"));
                    }
                }
            }
        }
        Ok(())
    }

    fn census(&self) -> Result<(), String> {
        let open = |known: &&Known| match self.share {
            Share::All => !known.due.is_empty(),
            _ => known.finished == 0,
        };
        let open = self.items.values().filter(open).count();
        // Where nobody was there to get it, it waits for ever: none is accepted then.
        if self.sharing.held() != open {
            return Err(format!("{} are held, {open} are open", self.sharing.held()));
        }
        for out in &self.out {
            if self.sharing.holder(out.number) != Some((out.item, out.reader)) {
                return Err(format!("{out:?} is not where it is"));
            }
        }
        Ok(())
    }

    fn settle(mut self) -> Result<(), String> {
        if self.credit.is_empty() {
            self.apply(Operation::Join(1))?;
        }
        loop {
            let handed = self.hand_out()?;
            if !handed && self.out.is_empty() {
                break;
            }
            if !self.out.is_empty() {
                self.finish(0)?;
            }
        }
        if self.sharing.held() > 0 {
            return Err(format!("{} wait though a reader is free", self.sharing.held()));
        }
        Ok(())
    }

    fn fingerprint(&self) -> Option<u128> {
        None
    }
}
