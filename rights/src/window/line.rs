//! Messages that come: into the queue, or beside it into the line.

use std::cmp::Reverse;
use std::hash::Hash;

use abi::Offence;

use super::{Arrival, Window};

impl<K: Copy + Eq + Hash> Window<K> {
    /// A message of `holder` has come.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`]: it was not granted.
    pub fn arrive(&mut self, holder: K) -> Result<Arrival, Offence> {
        let entry = self.holders.get_mut(&holder).ok_or(Offence::WindowExceeded)?;
        if self.open {
            self.queued += 1;
            return Ok(Arrival::Queue);
        }
        if entry.unused() == 0 {
            return Err(Offence::WindowExceeded);
        }
        let ready = entry.ready() > 0;
        entry.arrived += 1;
        entry.asked_since = None;
        if ready {
            self.promised -= 1;
        } else {
            entry.written_off -= 1;
        }
        if ready && self.beside == 0 {
            self.queued += 1;
            return Ok(Arrival::Queue);
        }
        // Its place goes to who is first in line.
        self.beside += 1;
        Ok(Arrival::Beside)
    }

    /// A message was left, which has no place. Returns whether it may enter the queue; else
    /// it stands in line.
    #[must_use = "without a place it must not enter"]
    pub fn let_in_left(&mut self) -> bool {
        if self.open {
            self.queued += 1;
        } else {
            self.beside += 1;
        }
        self.open
    }

    /// Whether the first message beside the queue may enter it now. Where the queue
    /// is `empty` it may whatever was granted: nobody's idle place keeps an accepted
    /// message from its receiver.
    #[must_use = "a message that is let in must enter"]
    pub fn admit(&mut self, empty: bool) -> bool {
        let may =
            self.free() > 0 || self.reclaim() || empty && self.places() > 0 && self.displace();
        if may {
            self.queued += 1;
            self.beside = self.beside.saturating_sub(1);
        }
        may
    }

    /// Writes off one place of the largest reserve. False where there is none.
    pub(super) fn reclaim(&mut self) -> bool {
        if self.promised == 0 {
            return false;
        }
        let reserves = self.holders.values_mut().filter(|entry| entry.reserve() > 0);
        let Some(entry) = reserves.max_by_key(|entry| (entry.reserve(), Reverse(entry.number)))
        else {
            return false;
        };
        entry.written_off += 1;
        self.promised -= 1;
        true
    }

    /// Writes off the place that was asked for longest ago. False where there is
    /// none.
    pub(super) fn displace(&mut self) -> bool {
        if self.promised == 0 {
            return false;
        }
        let asked = self.holders.values_mut().filter(|entry| entry.asked_since.is_some());
        let Some(entry) = asked.min_by_key(|entry| (entry.asked_since, entry.number)) else {
            return false;
        };
        entry.asked_since = None;
        entry.written_off += 1;
        self.promised -= 1;
        true
    }

    /// A sender of our own task takes a place at once, if one is free and
    /// nobody was there before it. One who lets a reserve lie is not before it.
    #[must_use = "without a place nothing may be queued"]
    pub fn enter(&mut self) -> bool {
        let first = self.beside == 0 && self.asking.is_empty();
        let may = self.open || first && (self.free() > 0 || self.reclaim());
        if may {
            self.queued += 1;
        }
        may
    }

    /// A message came with the port from another task. Returns whether it may
    /// enter the queue; else it stands in line.
    #[must_use = "without a place it must not enter"]
    pub fn adopt(&mut self) -> bool {
        let may = self.open || self.beside == 0 && (self.free() > 0 || self.reclaim());
        if may {
            self.queued += 1;
        } else {
            self.beside += 1;
        }
        may
    }

    /// A message of `holder` has come that waits behind others. Returns whether its place
    /// is kept for it: nobody else gets it.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`]: it was not granted.
    pub(crate) fn keep_place(&mut self, holder: K) -> Result<bool, Offence> {
        let entry = self.holders.get_mut(&holder).ok_or(Offence::WindowExceeded)?;
        if self.open {
            return Ok(false);
        }
        if entry.unused() == 0 {
            return Err(Offence::WindowExceeded);
        }
        let ready = entry.ready() > 0;
        entry.arrived += 1;
        entry.asked_since = None;
        if !ready {
            entry.written_off -= 1;
        }
        Ok(ready)
    }

    /// The same for a sender of our own task. `None` where no place is free.
    pub(crate) fn keep_own_place(&mut self) -> Option<bool> {
        if !self.enter() {
            return None;
        }
        self.queued -= 1;
        self.promised += u64::from(!self.open);
        Some(!self.open)
    }

    /// A place that was kept is free.
    pub(crate) const fn give_up_place(&mut self) {
        self.promised -= 1;
    }

    /// A message waits behind nobody any more. Returns whether it may enter the queue;
    /// else it stands in line.
    #[must_use = "without a place it must not enter"]
    pub(crate) fn let_in(&mut self, kept: bool) -> bool {
        self.promised -= u64::from(kept);
        let may = self.open || self.beside == 0 && self.free() > 0;
        if may {
            self.queued += 1;
        } else {
            self.beside += 1;
        }
        may
    }
}
