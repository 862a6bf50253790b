//! What we hold of one peer's, counted.

/// One right of ours to a peer's port.
///
/// The owner's board says how many messages we may have sent in all; we say
/// nothing and count. The board is read when what we saw there is used up.
///
/// What we counted belongs to the slot's life, not to our holding it. A release
/// may cross the same right coming anew: then the slot lives on, with its grant
/// and its count of arrivals, and so must our count of what we sent. So an
/// import that was let go is kept, with no count, until its slot is seen in
/// another generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// How many times the right came to us and was not given back.
    pub count: u64,
    /// Messages sent on it, and places handed back unused.
    pub sent: u64,
    /// Messages and pulses sent on it: where its port goes to another task, that one
    /// waits for so many.
    pub published: u64,
    /// What the board said last.
    pub grant: u64,
    /// The pulses sent on it, counted as long.
    pub pulses: PulseCount,
    /// A message was left with the owner, who has not said that it was taken.
    pub left: bool,
}

/// How many pulses were sent on one right, and how many may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PulseCount {
    sent: u64,
    granted: u64,
}

impl PulseCount {
    /// Counts one pulse more if it may be sent. `board` says what the board says,
    /// and is asked only where what it said before is used up.
    #[must_use = "what may not be sent must not be"]
    pub fn send(&mut self, board: impl FnOnce() -> u64) -> bool {
        if self.sent >= self.granted {
            self.granted = self.granted.max(board());
        }
        let may = self.sent < self.granted;
        self.sent += u64::from(may);
        may
    }

    /// The one counted last was not published.
    pub fn not_sent(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }
}

impl Import {
    /// The right came once more.
    pub fn learn(&mut self) {
        self.count += 1;
    }

    /// We hold the right no more: how many times it came, to be released.
    #[must_use = "the owner must be told how many rights come back"]
    pub fn let_go(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }

    /// Whether one more message may be sent by what was seen so far.
    #[inline]
    pub const fn may_send(&self) -> bool {
        self.sent < self.grant
    }

    /// Takes note of what the board says now. A grant never shrinks; a board
    /// that says less is a lie that changes nothing.
    #[inline]
    pub fn look(&mut self, board: u64) {
        self.grant = self.grant.max(board);
    }

    /// A message was published that the owner keeps without a place.
    pub fn was_left(&mut self) {
        self.published += 1;
    }

    /// A pulse was published, which takes no place.
    pub fn pulsed(&mut self) {
        self.published += 1;
    }

    /// One message was published.
    #[inline]
    pub fn sent(&mut self) {
        self.sent += 1;
        self.published += 1;
    }

    /// Up to `places` were granted for what is not sent after all, beside those for
    /// `messages` that are. How many of them go back.
    #[must_use = "the owner must be told how many places come back"]
    pub fn give_up(&mut self, places: u64, messages: u64) -> u64 {
        if self.grant == u64::MAX {
            return 0;
        }
        let unused = self.grant.saturating_sub(self.sent);
        let back = unused.saturating_sub(messages).min(places);
        self.sent += back;
        back
    }

    /// Hands the unused places back: how many there are.
    #[must_use = "the owner must be told how many places come back"]
    pub fn hand_back(&mut self) -> u64 {
        // A port without a limit grants everything: nothing of it comes back.
        if self.grant == u64::MAX {
            return 0;
        }
        let unused = self.grant.saturating_sub(self.sent);
        self.sent += unused;
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_counted_beyond_the_letting_go() {
        let mut import = Import::default();
        import.learn();
        import.learn();
        import.look(1);
        import.sent();
        assert_eq!(import.let_go(), 2);
        // The release crossed the same right: the slot is in the same life.
        import.learn();
        import.look(1);
        assert!(!import.may_send());
        assert_eq!(import.let_go(), 1);
    }

    #[test]
    fn pulses_are_counted_beyond_the_letting_go_too() {
        let mut import = Import::default();
        import.learn();
        assert!(import.pulses.send(|| 2) && import.pulses.send(|| 9));
        let _ = import.let_go();
        import.learn();
        // The board is looked at when what it said is used up, and never shrinks.
        assert!(!import.pulses.send(|| 2) && !import.pulses.send(|| 1));
        assert!(import.pulses.send(|| 3));
        import.pulses.not_sent();
        assert!(import.pulses.send(|| 0) && !import.pulses.send(|| 3));
    }

    #[test]
    fn places_for_pulses_go_back_and_those_for_messages_stay() {
        let granted = |grant| Import { sent: 4, grant, ..Import::default() };
        assert_eq!(granted(9).give_up(3, 2), 3);
        assert_eq!(granted(7).give_up(3, 2), 1);
        assert_eq!(granted(4).give_up(3, 2), 0);
        assert_eq!(granted(u64::MAX).give_up(3, 2), 0);
        let mut import = granted(9);
        let _ = import.give_up(3, 2);
        assert_eq!((import.sent, import.may_send()), (7, true));
    }

    #[test]
    fn a_grant_never_shrinks_and_unused_places_go_back() {
        let mut import = Import::default();
        assert!(!import.may_send());
        import.look(3);
        import.look(1);
        import.sent();
        assert_eq!(import.hand_back(), 2);
        assert!(!import.may_send());
        import.look(u64::MAX);
        assert_eq!(import.hand_back(), 0);
        assert!(import.may_send());
    }
}
