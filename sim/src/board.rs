//! A board in memory: the words a task writes about what it exports to one
//! peer. Stores are seen at once and outlive their writer.

use std::collections::BTreeMap;

use abi::board::{Life, State};
use abi::{Slot, Ticket};
use rights::reply::ReplyState;

use crate::task::TaskNumber;

/// The slots of one board. A slot nobody wrote is zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    slots: BTreeMap<u32, (u64, u64)>,
    moved: BTreeMap<u32, Moved>,
    pulses: BTreeMap<u32, u64>,
}

/// Where the port of a slot has gone, or is about to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) owner: TaskNumber,
    pub(crate) ticket: Ticket,
}

impl Board {
    pub(crate) fn set(&mut self, slot: Slot, state: State, grant: u64) {
        let life = Life { generation: slot.generation, state };
        self.slots.insert(slot.index, (life.encode(), grant));
    }

    /// The port is gone; what was granted is no use any more.
    pub(crate) fn die(&mut self, slot: Slot) {
        self.set(slot, State::Dead, 0);
    }

    /// The port has gone, or is about to go, to another task.
    pub(crate) fn mark(&mut self, slot: Slot, moved: Moved) {
        self.moved.insert(slot.index, moved);
        self.state(slot, State::Moved);
    }

    /// It is where it was.
    pub(crate) fn unmark(&mut self, slot: Slot) {
        self.state(slot, State::Live);
    }

    fn state(&mut self, slot: Slot, state: State) {
        let grant = self.slots.get(&slot.index).map_or(0, |(_, grant)| *grant);
        self.set(slot, state, grant);
    }

    /// Where the port of a marked slot goes.
    pub(crate) fn moved(&self, slot: Slot) -> Option<Moved> {
        (self.read(slot).0 == State::Moved).then(|| self.moved.get(&slot.index).copied())?
    }

    /// The marked slots of a board: what a liar may read of its own.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Moved> {
        self.moved.values().copied()
    }

    /// The slot's life is over.
    pub(crate) fn free(&mut self, slot: Slot) {
        self.set(slot, State::Free, 0);
    }

    pub(crate) fn raise(&mut self, slot: Slot, grant: u64) {
        if let Some((_, word)) = self.slots.get_mut(&slot.index) {
            *word = grant;
        }
    }

    /// What a send-once slot says of the answer. Nothing was written in another
    /// life.
    pub(crate) fn reply(&self, slot: Slot) -> ReplyState {
        let (life, _) = self.slots.get(&slot.index).copied().unwrap_or_default();
        let life = Life::decode(life);
        let here = life.generation == slot.generation;
        if here { ReplyState::of_board(life.state) } else { ReplyState::Wanted }
    }

    /// Bytes of the answer that may be written in parts.
    pub(crate) fn room(&self, slot: Slot) -> u64 {
        let (life, room) = self.slots.get(&slot.index).copied().unwrap_or_default();
        if Life::decode(life).generation == slot.generation { room } else { 0 }
    }

    /// So many pulses may have been sent on a slot in all.
    pub(crate) fn set_pulses(&mut self, slot: Slot, granted: u64) {
        self.pulses.insert(slot.index, granted);
    }

    pub(crate) fn pulses(&self, slot: Slot) -> u64 {
        self.pulses.get(&slot.index).copied().unwrap_or(0)
    }

    /// Words of a liar.
    pub(crate) fn scribble(&mut self, index: u32, life: u64, grant: u64) {
        self.slots.insert(index, (life, grant));
    }

    /// What the board says of `slot`: its state and grant. Another life of the
    /// slot reads as dead.
    pub(crate) fn read(&self, slot: Slot) -> (State, u64) {
        let (life, grant) = self.slots.get(&slot.index).copied().unwrap_or_default();
        let life = Life::decode(life);
        match life.state {
            State::Live | State::Moved if life.generation == slot.generation => (life.state, grant),
            _ => (State::Dead, 0),
        }
    }
}
