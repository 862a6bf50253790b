//! A board in memory: the words a task writes about what it exports to one
//! peer. Stores are seen at once and outlive their writer.

use std::collections::BTreeMap;

use abi::Slot;
use abi::board::{Life, State};

/// The slots of one board. A slot nobody wrote is zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    slots: BTreeMap<u32, (u64, u64)>,
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

    /// The slot's life is over.
    pub(crate) fn free(&mut self, slot: Slot) {
        self.set(slot, State::Free, 0);
    }

    pub(crate) fn raise(&mut self, slot: Slot, grant: u64) {
        if let Some((_, word)) = self.slots.get_mut(&slot.index) {
            *word = grant;
        }
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
        if life.generation == slot.generation && life.state == State::Live {
            (State::Live, grant)
        } else {
            (State::Dead, 0)
        }
    }
}
