//! What one peer holds of ours, counted.
//!
//! Each link has one [`Exports`]. A slot of it stands for one right of the
//! peer's: for a port it is the same slot however often the right is sent, with
//! a count; for a send-once right it is a slot of its own.
//!
//! Releases carry counts. A release that crosses a new grant of the same right
//! on the wire takes away what it says and leaves what it had not seen.
//!
//! A right is counted before the message that names it is published, which may
//! fail. Until it is published the peer has not been given it: whoever guesses
//! its slot uses a right that was never exported.

use std::hash::Hash;

use abi::right::Kind;
use abi::{Offence, Slot, limits};

use crate::quick::QuickMap;
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
    /// How many of these are in messages that are not published yet.
    pub unsent: u64,
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

/// Everything one peer holds of ours. Ports are named by numbers that no peer chooses.
#[derive(Clone, Debug)]
pub struct Exports<P> {
    table: Table<Export<P>>,
    by_port: QuickMap<P, Slot>,
    unsent: u64,
}

impl<P: Copy + Eq + Hash> Default for Exports<P> {
    fn default() -> Self {
        Exports { table: Table::new(limits::SLOTS), by_port: QuickMap::default(), unsent: 0 }
    }
}

impl<P: Copy + Eq + Hash> Exports<P> {
    /// Gives the peer one more send right to `port`: it is the peer's once it is
    /// [`published`](Exports::published).
    ///
    /// # Errors
    /// [`TableFull`]: the peer holds as many rights as a link may carry.
    pub fn send(&mut self, port: P) -> Result<Exported, TableFull> {
        if let Some(&slot) = self.by_port.get(&port)
            && let Ok(export) = self.table.get_mut(slot)
        {
            export.count += 1;
            export.unsent += 1;
            self.unsent += 1;
            return Ok(Exported { slot, first: false });
        }
        let slot = self.insert(port, Kind::Send)?;
        self.by_port.insert(port, slot);
        Ok(Exported { slot, first: true })
    }

    /// Gives the peer a send-once right to `port`: it is the peer's once it is
    /// [`published`](Exports::published).
    ///
    /// # Errors
    /// [`TableFull`].
    pub fn send_once(&mut self, port: P) -> Result<Slot, TableFull> {
        self.insert(port, Kind::SendOnce)
    }

    fn insert(&mut self, port: P, kind: Kind) -> Result<Slot, TableFull> {
        let slot = self.table.insert(Export { port, kind, count: 1, unsent: 1, given: false })?;
        self.unsent += 1;
        Ok(slot)
    }

    /// A message that names `slot` was published: one right of it is the peer's.
    /// Nothing happens where the slot has ended since, with its link.
    pub fn published(&mut self, slot: Slot) {
        if let Ok(export) = self.table.get_mut(slot)
            && export.unsent > 0
        {
            export.unsent -= 1;
            self.unsent -= 1;
        }
    }

    /// A message that names `slot` was not sent: one right of it comes back.
    ///
    /// # Errors
    /// [`Offence::NeverExported`] where all of them were published, and those of
    /// [`Exports::get`]: our own mistake, or the slot has ended with its link.
    pub fn withdraw(&mut self, slot: Slot) -> Result<Released<P>, Offence> {
        let export = self.table.get_mut(slot)?;
        export.unsent = export.unsent.checked_sub(1).ok_or(Offence::NeverExported)?;
        export.count -= 1;
        self.unsent -= 1;
        if export.count > 0 {
            return Ok(Released::Held);
        }
        Ok(Released::Last(self.remove(slot)?))
    }

    /// How many rights are in messages that are not published yet.
    pub const fn unsent(&self) -> u64 {
        self.unsent
    }

    fn remove(&mut self, slot: Slot) -> Result<Export<P>, Offence> {
        let export = self.table.remove(slot)?;
        if export.kind == Kind::Send {
            self.by_port.remove(&export.port);
        }
        Ok(export)
    }

    /// What `slot` stands for, to the peer.
    ///
    /// # Errors
    /// [`Offence::NeverExported`] also where no message that names it is
    /// published yet, [`Offence::GenerationStale`].
    pub fn get(&self, slot: Slot) -> Result<&Export<P>, Offence> {
        let export = self.table.get(slot)?;
        if export.unsent == export.count {
            return Err(Offence::NeverExported);
        }
        Ok(export)
    }

    /// Whether `slot` stands for a right, be the message that names it published or
    /// not.
    pub fn is_held(&self, slot: Slot) -> bool {
        self.table.get(slot).is_ok()
    }

    fn get_mut(&mut self, slot: Slot) -> Result<&mut Export<P>, Offence> {
        self.get(slot)?;
        self.table.get_mut(slot)
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
        let export = self.get_mut(slot)?;
        if count == 0 || count > export.count - export.unsent {
            return Err(Offence::ReleasedTooMany);
        }
        if count < export.count {
            export.count -= count;
            return Ok(Released::Held);
        }
        Ok(Released::Last(self.remove(slot)?))
    }

    /// Uses up a send-once right: by a message, by its being dropped, or by its
    /// coming home.
    ///
    /// # Errors
    /// [`Offence::RightKind`] for a send right or one already given on, and
    /// those of [`Exports::get`].
    pub fn consume(&mut self, slot: Slot) -> Result<P, Offence> {
        let export = self.get(slot)?;
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
        let export = self.get_mut(slot)?;
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
        self.get_mut(slot)?.given = false;
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

    fn sent(exports: &mut Exports<char>) -> Exported {
        let exported = exports.send('p').unwrap();
        exports.published(exported.slot);
        exported
    }

    fn sent_once(exports: &mut Exports<char>, port: char) -> Slot {
        let slot = exports.send_once(port).unwrap();
        exports.published(slot);
        slot
    }

    #[test]
    fn a_right_is_nobodys_to_use_before_it_is_sent() {
        let mut exports = Exports::default();
        let once = exports.send_once('r').unwrap();
        let often = exports.send('p').unwrap().slot;
        for slot in [once, often] {
            assert_eq!(exports.get(slot), Err(Offence::NeverExported));
            assert_eq!(exports.consume(slot), Err(Offence::NeverExported));
            assert_eq!(exports.give(slot), Err(Offence::NeverExported));
            assert_eq!(exports.release(slot, 1), Err(Offence::NeverExported));
            assert_eq!(exports.take_back(slot), Err(Offence::NeverExported));
        }
        exports.published(once);
        assert_eq!(exports.consume(once), Ok('r'));
        assert!(matches!(exports.withdraw(often), Ok(Released::Last(_))));
        assert_eq!((exports.unsent(), exports.len()), (0, 0));
    }

    #[test]
    fn what_is_not_sent_yet_is_not_the_peers_to_release() {
        let mut exports = Exports::default();
        let slot = sent(&mut exports).slot;
        assert!(!exports.send('p').unwrap().first);
        assert_eq!(exports.release(slot, 2), Err(Offence::ReleasedTooMany));
        assert_eq!(exports.release(slot, 1), Ok(Released::Held));
        // Now the slot is all ours again, until the message is out or has failed.
        assert_eq!(exports.release(slot, 1), Err(Offence::NeverExported));
        assert!(matches!(exports.withdraw(slot), Ok(Released::Last(_))));
        assert_eq!(exports.withdraw(slot), Err(Offence::GenerationStale));
        let slot = sent(&mut exports).slot;
        assert_eq!(exports.withdraw(slot), Err(Offence::NeverExported));
    }

    #[test]
    fn a_release_that_crosses_a_grant_leaves_the_grant() {
        let mut exports = Exports::default();
        let first = sent(&mut exports);
        // The peer lets go of the one it knows while another is on its way.
        let second = sent(&mut exports);
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
        let slot = sent(&mut exports).slot;
        assert_eq!(exports.release(slot, 2), Err(Offence::ReleasedTooMany));
        assert_eq!(exports.release(slot, 0), Err(Offence::ReleasedTooMany));
        assert_eq!(exports.get(slot).unwrap().count, 1);
    }

    #[test]
    fn a_send_once_right_is_used_once() {
        let mut exports = Exports::default();
        let slot = sent_once(&mut exports, 'r');
        assert_eq!(exports.consume(slot), Ok('r'));
        assert_eq!(exports.consume(slot), Err(Offence::GenerationStale));
    }

    #[test]
    fn a_send_once_right_given_on_is_not_the_givers_to_use() {
        let mut exports = Exports::default();
        let slot = sent_once(&mut exports, 'r');
        exports.give(slot).unwrap();
        assert_eq!(exports.consume(slot), Err(Offence::RightKind));
        assert_eq!(exports.give(slot), Err(Offence::RightKind));
        exports.take_back(slot).unwrap();
        assert_eq!(exports.consume(slot), Ok('r'));
        let slot = sent_once(&mut exports, 's');
        exports.give(slot).unwrap();
        assert!(matches!(exports.release(slot, 1), Ok(Released::Last(_))));
    }

    #[test]
    fn a_release_after_the_give_came_back_breaks_the_promise_aloud() {
        let mut exports = Exports::default();
        let slot = sent_once(&mut exports, 'r');
        exports.give(slot).unwrap();
        exports.take_back(slot).unwrap();
        let Ok(Released::Last(export)) = exports.release(slot, 1) else { panic!() };
        assert!(!export.given);
    }

    #[test]
    fn a_send_right_is_not_used_up() {
        let mut exports = Exports::default();
        let slot = sent(&mut exports).slot;
        assert_eq!(exports.consume(slot), Err(Offence::RightKind));
    }
}
