//! Who may send how many pulses to a port.
//!
//! Each holder has the port's limit for itself. The number of pulses it may
//! have sent in all is a count that only grows: it begins with the limit, and
//! each pulse that is taken, dropped or merged raises it by one. A sender that
//! has used it up is told *no room*; it never waits.

use std::hash::Hash;

use abi::Offence;

use crate::quick::QuickMap;

/// What one holder may have sent, and what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    here: bool,
    granted: u64,
    arrived: u64,
    /// In the queue, from this life of its right and from earlier ones.
    queued: u64,
}

/// A holder may have sent so many pulses in all from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a raised count must reach its holder"]
pub struct PulseRaise<K> {
    /// Whose count.
    pub holder: K,
    /// The new count.
    pub granted: u64,
}

/// The pulses of one port. A holder that sends none costs nothing.
#[derive(Clone, Debug)]
pub struct Pulses<K> {
    limit: u64,
    merge: bool,
    holders: QuickMap<K, Holder>,
}

impl<K: Copy + Eq + Hash> Pulses<K> {
    /// So many for each holder, and whether equal neighbours become one.
    pub fn new(limit: u32, merge: bool) -> Self {
        Pulses { limit: u64::from(limit), merge, holders: QuickMap::default() }
    }

    /// Whether equal neighbours become one.
    pub const fn merges(&self) -> bool {
        self.merge
    }

    /// A new holder comes: what it may send. What it has in the queue from an
    /// earlier life of its right counts against the limit still.
    pub fn join(&mut self, holder: K) -> u64 {
        match self.holders.get_mut(&holder) {
            None => self.limit,
            Some(entry) => {
                let granted = self.limit.saturating_sub(entry.queued);
                *entry = Holder { here: true, granted, arrived: 0, queued: entry.queued };
                granted
            }
        }
    }

    /// A holder goes. What it has in the queue stays there.
    pub fn leave(&mut self, holder: K) {
        if let Some(entry) = self.holders.get_mut(&holder) {
            entry.here = false;
            if entry.queued == 0 {
                self.holders.remove(&holder);
            }
        }
    }

    /// A pulse of `holder` has come.
    ///
    /// # Errors
    /// [`Offence::PulsesExceeded`]: it was not granted.
    pub fn arrive(&mut self, holder: K) -> Result<(), Offence> {
        let fresh = Holder { here: true, granted: self.limit, arrived: 0, queued: 0 };
        let known = self.holders.get(&holder).copied().unwrap_or(fresh);
        if known.arrived >= known.granted {
            return Err(Offence::PulsesExceeded);
        }
        let now = Holder { arrived: known.arrived + 1, queued: known.queued + 1, ..known };
        self.holders.insert(holder, now);
        Ok(())
    }

    /// A pulse of `holder` is in the queue no more. Its count, where it is there
    /// to see it.
    pub fn left_queue(&mut self, holder: K) -> Option<PulseRaise<K>> {
        let entry = self.holders.get_mut(&holder)?;
        entry.queued = entry.queued.saturating_sub(1);
        if entry.here {
            entry.granted += 1;
            return Some(PulseRaise { holder, granted: entry.granted });
        }
        if entry.queued == 0 {
            self.holders.remove(&holder);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_has_the_limit_for_itself() {
        let mut pulses = Pulses::new(2, false);
        assert_eq!((pulses.join(1), pulses.join(2)), (2, 2));
        for holder in [1, 2] {
            assert_eq!(pulses.arrive(holder), Ok(()));
            assert_eq!(pulses.arrive(holder), Ok(()));
            assert_eq!(pulses.arrive(holder), Err(Offence::PulsesExceeded));
        }
        let raise = PulseRaise { holder: 1, granted: 3 };
        assert_eq!(pulses.left_queue(1), Some(raise));
        assert_eq!(pulses.arrive(1), Ok(()));
        assert_eq!(pulses.arrive(1), Err(Offence::PulsesExceeded));
        assert_eq!(pulses.arrive(2), Err(Offence::PulsesExceeded));
    }

    #[test]
    fn what_waits_from_an_earlier_life_still_counts() {
        let mut pulses = Pulses::new(3, false);
        assert_eq!(pulses.join(1), 3);
        for _ in 0..2 {
            pulses.arrive(1).unwrap();
        }
        pulses.leave(1);
        assert_eq!(pulses.join(1), 1);
        pulses.arrive(1).unwrap();
        assert_eq!(pulses.arrive(1), Err(Offence::PulsesExceeded));
        assert_eq!(pulses.left_queue(1), Some(PulseRaise { holder: 1, granted: 2 }));
        pulses.leave(1);
        assert_eq!((pulses.left_queue(1), pulses.left_queue(1)), (None, None));
        assert!(pulses.holders.is_empty());
    }

    #[test]
    fn a_port_without_pulses_takes_none() {
        let mut pulses = Pulses::new(0, true);
        assert_eq!(pulses.join('a'), 0);
        assert_eq!(pulses.arrive('a'), Err(Offence::PulsesExceeded));
    }
}
