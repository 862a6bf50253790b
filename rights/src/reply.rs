//! What a caller still wants of the answer it was promised.
//!
//! A promise of a reply is open until its one message or notification comes, or
//! until the caller wants it no more. What the caller wants is state, not an
//! event: it is written in the slot of the reply right, where its holder reads
//! it at any time. The state belongs to that slot's life, so it ends in the same
//! step as the reply and is never seen on the next promise.
//!
//! | state          | the holder sees          | a message that comes        |
//! |----------------|--------------------------|-----------------------------|
//! | open           | wanted                   | is the answer               |
//! | open, asked    | asked to come to an end  | is the answer               |
//! | kept           | nothing: the slot is gone| is the second, and dropped  |
//! | ended          | gone, and why            | crossed the end: dropped    |
//!
//! Two tasks that share no word both may write cannot settle a race. So nobody
//! is blamed for a message or a part that crosses the end.

use std::fmt;

use abi::Offence;
use abi::board::State;

/// Why no answer is wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gone {
    /// The caller withdrew the request.
    Withdrawn,
    /// The caller's deadline has passed.
    TimedOut,
    /// The caller, or the port the answer was to go to, is gone.
    Died,
}

/// Whether an answer is wanted, as its giver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyState {
    /// The caller waits.
    Wanted,
    /// The caller waits, and asks that the request come to an end.
    Asked,
    /// Nobody waits: an answer is refused.
    Gone(Gone),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gone::Withdrawn => "the caller has withdrawn its request",
            Gone::TimedOut => "the caller's deadline has passed",
            Gone::Died => "the caller is gone",
        })
    }
}

impl ReplyState {
    /// What the slot of the reply right says. A wanted answer needs no word: a
    /// slot that was not written in this life says the same.
    pub const fn on_board(self) -> State {
        match self {
            ReplyState::Wanted => State::Live,
            ReplyState::Asked => State::Asked,
            ReplyState::Gone(Gone::Withdrawn) => State::Withdrawn,
            ReplyState::Gone(Gone::TimedOut) => State::TimedOut,
            ReplyState::Gone(Gone::Died) => State::Dead,
        }
    }

    /// What a slot in the life of the reply right means.
    pub const fn of_board(state: State) -> Self {
        match state {
            State::Free | State::Live => ReplyState::Wanted,
            State::Asked => ReplyState::Asked,
            State::Withdrawn => ReplyState::Gone(Gone::Withdrawn),
            State::TimedOut => ReplyState::Gone(Gone::TimedOut),
            _ => ReplyState::Gone(Gone::Died),
        }
    }

    /// Whether nobody waits.
    pub const fn is_gone(self) -> bool {
        matches!(self, ReplyState::Gone(_))
    }
}

/// What comes for a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what comes too late must be dropped"]
pub enum Comes {
    /// It is what was promised.
    Kept,
    /// The promise had ended: it goes nowhere.
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Open { asked: bool },
    Kept,
    Ended(Gone),
}

/// One promise of a reply, at the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Promised {
    at: At,
    room: u64,
    written: u64,
}

impl Promised {
    /// A promise just made. Parts of the answer may be written into the first
    /// `room` bytes.
    #[inline]
    pub const fn new(room: u64) -> Self {
        Promised { at: At::Open { asked: false }, room, written: 0 }
    }

    /// Whether nothing has come and something still may.
    #[inline]
    pub const fn is_open(&self) -> bool {
        matches!(self.at, At::Open { .. })
    }

    /// What the holder of the reply right is to see.
    #[inline]
    pub const fn state(&self) -> ReplyState {
        match self.at {
            At::Open { asked: true } => ReplyState::Asked,
            At::Open { asked: false } | At::Kept => ReplyState::Wanted,
            At::Ended(why) => ReplyState::Gone(why),
        }
    }

    /// Bytes parts may be written into.
    pub const fn room(&self) -> u64 {
        self.room
    }

    /// Where the parts that were written end.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Asks that the request come to an end. Returns whether that is news, to be
    /// written in the slots.
    #[must_use = "the holder must see it"]
    pub fn ask(&mut self) -> bool {
        let news = self.at == At::Open { asked: false };
        if news {
            self.at = At::Open { asked: true };
        }
        news
    }

    /// Ends the promise: no answer is wanted. Returns whether that is news, to
    /// be written in the slots; an answer that came before stays.
    #[must_use = "the holder must see it"]
    #[inline]
    pub fn end(&mut self, why: Gone) -> bool {
        let news = self.is_open();
        if news {
            self.at = At::Ended(why);
        }
        news
    }

    /// The message or the notification the right ends in has come.
    #[inline]
    pub fn comes(&mut self) -> Comes {
        if self.is_open() {
            self.at = At::Kept;
            Comes::Kept
        } else {
            Comes::Late
        }
    }

    /// A part of the answer has come: whether it is to be kept. What crosses the
    /// end of the promise vanishes.
    ///
    /// # Errors
    /// [`Offence::PartBeyondRoom`], also where no room was declared. The room is
    /// as old as the slot, so no honest writer can miss it.
    pub fn part(&mut self, offset: u64, bytes: u64) -> Result<Comes, Offence> {
        let end = offset.checked_add(bytes).filter(|end| *end <= self.room);
        let end = end.ok_or(Offence::PartBeyondRoom)?;
        if !self.is_open() {
            return Ok(Comes::Late);
        }
        self.written = self.written.max(end);
        Ok(Comes::Kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: [Gone; 3] = [Gone::Withdrawn, Gone::TimedOut, Gone::Died];

    #[test]
    fn a_promise_ends_once() {
        for why in WHY {
            let mut promised = Promised::new(0);
            assert!(promised.end(why));
            assert!(!promised.end(Gone::Died) && !promised.ask());
            assert_eq!(promised.state(), ReplyState::Gone(why));
            assert_eq!(promised.comes(), Comes::Late);
        }
        let mut promised = Promised::new(0);
        assert_eq!(promised.comes(), Comes::Kept);
        assert_eq!(promised.comes(), Comes::Late);
        assert!(!promised.end(Gone::Withdrawn) && !promised.ask());
    }

    #[test]
    fn asking_is_told_once_and_ends_with_the_reply() {
        let mut promised = Promised::new(0);
        assert!(promised.ask());
        assert!(!promised.ask());
        assert_eq!(promised.state(), ReplyState::Asked);
        assert_eq!(promised.comes(), Comes::Kept);
        assert_eq!(promised.state(), ReplyState::Wanted);
    }

    #[test]
    fn asked_may_still_be_ended() {
        let mut promised = Promised::new(0);
        assert!(promised.ask() && promised.end(Gone::TimedOut));
        assert_eq!(promised.state(), ReplyState::Gone(Gone::TimedOut));
    }

    #[test]
    fn parts_stay_in_their_room_and_vanish_after_the_end() {
        let mut promised = Promised::new(10);
        assert_eq!(promised.part(4, 6), Ok(Comes::Kept));
        assert_eq!(promised.part(0, 2), Ok(Comes::Kept));
        assert_eq!(promised.written(), 10);
        for (offset, bytes) in [(4, 7), (11, 0), (u64::MAX, 2)] {
            assert_eq!(promised.part(offset, bytes), Err(Offence::PartBeyondRoom));
        }
        assert!(promised.end(Gone::Withdrawn));
        assert_eq!(promised.part(0, 2), Ok(Comes::Late));
        assert_eq!(promised.part(4, 7), Err(Offence::PartBeyondRoom));
        assert_eq!(Promised::new(0).part(0, 1), Err(Offence::PartBeyondRoom));
    }

    #[test]
    fn what_is_on_the_board_is_what_the_holder_sees() {
        let gone = WHY.map(ReplyState::Gone);
        for state in gone.into_iter().chain([ReplyState::Wanted, ReplyState::Asked]) {
            assert_eq!(ReplyState::of_board(state.on_board()), state);
        }
    }
}
