//! When nobody can send any more.

/// The send rights of one port, wherever they are, counted by its owner: those
/// in its own space, one for each peer that holds some, and one for each give
/// on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    count: u64,
    armed: bool,
    made: u64,
}

/// Nobody can send any more, and somebody asked to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an armed notification must be delivered"]
pub enum NoSenders {
    /// Deliver the notification now; it is no longer armed.
    Fires,
    /// Nothing to tell.
    Quiet,
}

impl Senders {
    /// How many there are.
    #[inline]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many were made from the receive right, ever. Copies do not count.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// The port was another task's before, and so many were made there.
    pub const fn go_on_from(&mut self, made: u64) {
        self.made = made;
    }

    /// One was made from the receive right. It is counted as a sender apart.
    pub fn make(&mut self) {
        self.made += 1;
    }

    /// One more.
    #[inline]
    pub fn add(&mut self) {
        self.count += 1;
    }

    /// One less.
    #[inline]
    pub fn remove(&mut self) -> NoSenders {
        debug_assert!(self.count > 0, "a send right ended twice");
        self.count = self.count.saturating_sub(1);
        self.look()
    }

    /// Asks to be told. Fires at once where there is nobody already.
    pub fn arm(&mut self) -> NoSenders {
        self.armed = true;
        self.look()
    }

    /// As [`Senders::arm`], but fires at once only where at least `made` were
    /// made: else somebody is still to be given the first of them.
    pub fn arm_since(&mut self, made: u64) -> NoSenders {
        self.armed = true;
        if self.made >= made { self.look() } else { NoSenders::Quiet }
    }

    /// Whether somebody asked and has not been told.
    pub const fn is_armed(&self) -> bool {
        self.armed
    }

    /// Asks no more.
    pub fn disarm(&mut self) {
        self.armed = false;
    }

    fn look(&mut self) -> NoSenders {
        if self.count == 0 && std::mem::take(&mut self.armed) {
            NoSenders::Fires
        } else {
            NoSenders::Quiet
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_yet_is_not_nobody_any_more() {
        let mut senders = Senders::default();
        assert_eq!(senders.arm_since(1), NoSenders::Quiet);
        senders.make();
        senders.add();
        // A copy.
        senders.add();
        assert_eq!(senders.remove(), NoSenders::Quiet);
        assert_eq!(senders.remove(), NoSenders::Fires);
        assert_eq!((senders.made(), senders.arm_since(1)), (1, NoSenders::Fires));
        // It is the number at the request that counts.
        assert_eq!(senders.arm_since(2), NoSenders::Quiet);
        senders.add();
        assert_eq!(senders.remove(), NoSenders::Fires);
    }

    #[test]
    fn no_senders_fires_once_and_never_early() {
        let mut senders = Senders::default();
        senders.add();
        senders.add();
        assert_eq!(senders.arm(), NoSenders::Quiet);
        assert_eq!(senders.remove(), NoSenders::Quiet);
        assert_eq!(senders.remove(), NoSenders::Fires);
        senders.add();
        assert_eq!(senders.remove(), NoSenders::Quiet);
        assert_eq!(senders.arm(), NoSenders::Fires);
    }
}
