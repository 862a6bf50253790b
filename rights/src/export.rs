//! What one peer holds of ours, counted.
//!
//! Each link has one [`Exports`]. A slot of it stands for one right of the
//! peer's: for a port it is the same slot however often the right is sent, with
//! a count; for a send-once right it is a slot of its own.
//!
//! Releases carry counts. A release that crosses a new grant of the same right
//! on the wire takes away what it says and leaves what it had not seen.

use std::collections::HashMap;
use std::hash::Hash;

use abi::right::Kind;
use abi::{Offence, Slot, limits};

use crate::table::{Table, TableFull};

/// One right of the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export<P> {
    /// What the right leads to.
    pub port: P,
    /// Whether it may be used once or often.
    pub kind: Kind,
    /// How many times the peer was given it and has not given it back.
    pub count: u64,
    /// A send-once right that the peer has given on and not yet let go of: the
    /// promise is the next holder's.
    pub given: bool,
}

/// What a release left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the last release of a right ends what it held"]
pub enum Released<P> {
    /// The peer still holds the right.
    Held,
    /// It was the last: the slot is free again.
    Last(Export<P>),
}

/// A right just granted to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an export that is not sent must be taken back"]
pub struct Exported {
    /// The slot it has.
    pub slot: Slot,
    /// Whether the slot is new to the peer and must be put on the board.
    pub first: bool,
}

/// Everything one peer holds of ours.
#[derive(Clone, Debug)]
pub struct Exports<P> {
    table: Table<Export<P>>,
    by_port: HashMap<P, Slot>,
}

impl<P: Copy + Eq + Hash> Default for Exports<P> {
    fn default() -> Self {
        Exports { table: Table::new(limits::SLOTS), by_port: HashMap::new() }
    }
}

impl<P: Copy + Eq + Hash> Exports<P> {
    /// Gives the peer one more send right to `port`.
    ///
    /// # Errors
    /// [`TableFull`]: the peer holds as many rights as a link may carry.
    pub fn send(&mut self, port: P) -> Result<Exported, TableFull> {
        if let Some(&slot) = self.by_port.get(&port)
            && let Ok(export) = self.table.get_mut(slot)
        {
            export.count += 1;
            return Ok(Exported { slot, first: false });
        }
        let slot = self.table.insert(Export { port, kind: Kind::Send, count: 1, given: false })?;
        self.by_port.insert(port, slot);
        Ok(Exported { slot, first: true })
    }

    /// Gives the peer a send-once right to `port`.
    ///
    /// # Errors
    /// [`TableFull`].
    pub fn send_once(&mut self, port: P) -> Result<Slot, TableFull> {
        self.table.insert(Export { port, kind: Kind::SendOnce, count: 1, given: false })
    }

    /// What `slot` stands for.
    ///
    /// # Errors
    /// [`Offence::NeverExported`], [`Offence::GenerationStale`].
    pub fn get(&self, slot: Slot) -> Result<&Export<P>, Offence> {
        self.table.get(slot)
    }

    /// The slot `port` has with this peer.
    pub fn slot_of(&self, port: P) -> Option<Slot> {
        self.by_port.get(&port).copied()
    }

    /// Takes `count` rights back.
    ///
    /// A send-once right comes back this way after it was given on. While it is
    /// [`Export::given`] the promise lives elsewhere and the slot ends silently.
    /// Where the give has come back in between (its receiver died) the promise
    /// is in this slot again, and this release breaks it aloud.
    ///
    /// # Errors
    /// [`Offence::ReleasedTooMany`] and those of [`Exports::get`]. Nothing has
    /// changed then.
    pub fn release(&mut self, slot: Slot, count: u64) -> Result<Released<P>, Offence> {
        let export = self.table.get_mut(slot)?;
        if count == 0 || count > export.count {
            return Err(Offence::ReleasedTooMany);
        }
        if count < export.count {
            export.count -= count;
            return Ok(Released::Held);
        }
        let export = self.table.remove(slot)?;
        if export.kind == Kind::Send {
            self.by_port.remove(&export.port);
        }
        Ok(Released::Last(export))
    }

    /// Uses up a send-once right: by a message, by its being dropped, or by its
    /// coming home.
    ///
    /// # Errors
    /// [`Offence::RightKind`] for a send right or one already given on, and
    /// those of [`Exports::get`].
    pub fn consume(&mut self, slot: Slot) -> Result<P, Offence> {
        let export = self.table.get(slot)?;
        if export.kind != Kind::SendOnce || export.given {
            return Err(Offence::RightKind);
        }
        Ok(self.table.remove(slot)?.port)
    }

    /// The peer gives its right to another task. A send-once right is then no
    /// longer the peer's to use.
    ///
    /// # Errors
    /// [`Offence::RightKind`] for a send-once right given twice, and those of
    /// [`Exports::get`].
    pub fn give(&mut self, slot: Slot) -> Result<Export<P>, Offence> {
        let export = self.table.get_mut(slot)?;
        let before = *export;
        if export.kind == Kind::SendOnce {
            if export.given {
                return Err(Offence::RightKind);
            }
            export.given = true;
        }
        Ok(before)
    }

    /// A give failed on its way: the right is the peer's own again.
    ///
    /// # Errors
    /// Those of [`Exports::get`].
    pub fn take_back(&mut self, slot: Slot) -> Result<(), Offence> {
        self.table.get_mut(slot)?.given = false;
        Ok(())
    }

    /// Every right the peer holds.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Export<P>)> {
        self.table.iter()
    }

    /// How many slots are in use.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the peer holds nothing.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_crosses_a_grant_leaves_the_grant() {
        let mut exports = Exports::default();
        let first = exports.send('p').unwrap();
        // The peer lets go of the one it knows while another is on its way.
        let second = exports.send('p').unwrap();
        assert_eq!(first.slot, second.slot);
        assert!(first.first && !second.first);
        assert_eq!(exports.release(first.slot, 1), Ok(Released::Held));
        let Ok(Released::Last(export)) = exports.release(first.slot, 1) else { panic!() };
        assert_eq!(export.port, 'p');
        assert_eq!(exports.release(first.slot, 1), Err(Offence::GenerationStale));
        assert!(exports.is_empty());
    }

    #[test]
    fn more_releases_than_rights_are_an_offence() {
        let mut exports = Exports::default();
        let slot = exports.send('p').unwrap().slot;
        assert_eq!(exports.release(slot, 2), Err(Offence::ReleasedTooMany));
        assert_eq!(exports.release(slot, 0), Err(Offence::ReleasedTooMany));
        assert_eq!(exports.get(slot).unwrap().count, 1);
    }

    #[test]
    fn a_send_once_right_is_used_once() {
        let mut exports = Exports::default();
        let slot = exports.send_once('r').unwrap();
        assert_eq!(exports.consume(slot), Ok('r'));
        assert_eq!(exports.consume(slot), Err(Offence::GenerationStale));
    }

    #[test]
    fn a_send_once_right_given_on_is_not_the_givers_to_use() {
        let mut exports = Exports::default();
        let slot = exports.send_once('r').unwrap();
        exports.give(slot).unwrap();
        assert_eq!(exports.consume(slot), Err(Offence::RightKind));
        assert_eq!(exports.give(slot), Err(Offence::RightKind));
        exports.take_back(slot).unwrap();
        assert_eq!(exports.consume(slot), Ok('r'));
        let slot = exports.send_once('s').unwrap();
        exports.give(slot).unwrap();
        assert!(matches!(exports.release(slot, 1), Ok(Released::Last(_))));
    }

    #[test]
    fn a_release_after_the_give_came_back_breaks_the_promise_aloud() {
        let mut exports = Exports::default();
        let slot = exports.send_once('r').unwrap();
        exports.give(slot).unwrap();
        exports.take_back(slot).unwrap();
        let Ok(Released::Last(export)) = exports.release(slot, 1) else { panic!() };
        assert!(!export.given);
    }

    #[test]
    fn a_send_right_is_not_used_up() {
        let mut exports = Exports::default();
        let slot = exports.send('p').unwrap().slot;
        assert_eq!(exports.consume(slot), Err(Offence::RightKind));
    }
}
