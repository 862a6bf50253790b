//! What a full queue does with one message more.
//!
//! A queue that drops grants without limit: its owner drops, and counts. What
//! came on a send-once right, notifications and pulses have their room already
//! and are never dropped.

use std::collections::{BTreeMap, VecDeque};

use crate::queue::Spot;

/// What a full queue does with one message more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// It takes none: the sender waits, or is told that it is full.
    #[default]
    Refuse,
    /// The message that has waited longest is dropped; on a port with
    /// priorities, the one that has waited longest with the lowest, which may be
    /// the new one.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

/// What a queue drops, and has dropped.
#[derive(Clone, Debug)]
pub(super) struct Dropping<M> {
    pub(super) overflow: Overflow,
    /// How many messages were dropped.
    pub(super) count: u64,
    /// Those the shell has not taken over yet.
    pub(super) fallen: Vec<M>,
    /// What may be dropped, by level, the oldest first. Some have left since.
    pub(super) ages: BTreeMap<u16, VecDeque<Spot>>,
}

impl<M> Dropping<M> {
    pub(super) const fn new(overflow: Overflow) -> Self {
        Dropping { overflow, count: 0, fallen: Vec::new(), ages: BTreeMap::new() }
    }

    /// A message is dropped.
    pub(super) fn fell(&mut self, message: M) {
        self.count += 1;
        self.fallen.push(message);
    }

    /// A message that may be dropped has entered. `holds` says of an earlier one
    /// whether it still waits.
    pub(super) fn note(&mut self, level: u16, spot: Spot, holds: impl Fn(Spot) -> bool) {
        let ages = self.ages.entry(level).or_default();
        while ages.front().is_some_and(|old| !holds(*old)) {
            ages.pop_front();
        }
        // Those in the midst that were chosen by a receiver: forgotten when they
        // are the most.
        if ages.len() == ages.capacity() {
            ages.retain(|old| holds(*old));
        }
        ages.push_back(spot);
    }
}
