//! A chute: the way past a plain queue, for messages that need nothing of it.
//!
//! The chute has two ends, each to be held by itself: senders put in at the top,
//! receivers take out at the bottom. The ends meet only when the bottom has run empty,
//! and takes over all that was put in meanwhile. While the chute is open it *is* the
//! queue: nothing else waits, and nobody but senders of our own. It is shut when
//! anybody wants more of the queue than its first message; what was in it lies in the
//! queue then, in its order, and who stood in line stands there.
//!
//! Places are counted by two numbers that only grow: `sent` at the top, `taken` at the
//! bottom. The top asks for `taken` when it has used what it knew of.

use std::collections::VecDeque;

/// The end where messages are put in. `W` is who waits for a place.
#[derive(Clone, Debug)]
pub struct Top<M, W> {
    posted: VecDeque<M>,
    line: VecDeque<(W, M)>,
    open: bool,
    places: u64,
    sent: u64,
    /// It may go on until `sent` is this.
    until: u64,
}

/// The end where messages are taken out.
#[derive(Clone, Debug)]
pub struct Bottom<M> {
    ready: VecDeque<M>,
    taken: u64,
    turns: u64,
}

/// Why a message was not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The chute is shut: the queue decides.
    Shut,
    /// No place is free, or others wait for one.
    Full,
}

/// What was in a chute that was shut.
#[derive(Clone, Debug)]
#[must_use = "what was in the chute is nowhere else"]
pub struct Shut<M, W> {
    /// The messages, in their order.
    pub messages: VecDeque<M>,
    /// Who stands in line, with their messages.
    pub line: VecDeque<(W, M)>,
    /// The number of the last turn.
    pub turns: u64,
}

impl<M, W> Default for Top<M, W> {
    fn default() -> Self {
        let (posted, line) = (VecDeque::new(), VecDeque::new());
        Top { posted, line, open: false, places: 0, sent: 0, until: 0 }
    }
}

impl<M> Default for Bottom<M> {
    fn default() -> Self {
        Bottom { ready: VecDeque::new(), taken: 0, turns: 0 }
    }
}

impl<M, W> Top<M, W> {
    /// Whether messages may be put in.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// How many were put in so far.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether anybody stands in line.
    pub fn has_line(&self) -> bool {
        !self.line.is_empty()
    }

    fn has_place(&mut self, taken: impl FnOnce() -> u64) -> bool {
        if self.sent == self.until {
            self.until = taken() + self.places;
        }
        self.sent != self.until
    }

    fn put(&mut self, message: M) {
        self.posted.push_back(message);
        self.sent += 1;
    }

    /// Puts in the message that `make` makes, if there is a place for it and nobody
    /// stands in line. `taken` says how many were taken so far.
    ///
    /// # Errors
    /// Why it was not made.
    #[inline]
    pub fn post(
        &mut self,
        taken: impl FnOnce() -> u64,
        make: impl FnOnce() -> M,
    ) -> Result<(), Refused> {
        if !self.open {
            return Err(Refused::Shut);
        }
        if !self.line.is_empty() || !self.has_place(taken) {
            return Err(Refused::Full);
        }
        self.put(make());
        Ok(())
    }

    /// Stands in line with a message that found no place.
    pub fn stand(&mut self, who: W, message: M) {
        self.line.push_back((who, message));
    }

    /// Whether one of those in line is meant.
    pub fn stands(&self, who: impl Fn(&W) -> bool) -> bool {
        self.line.iter().any(|(one, _)| who(one))
    }

    /// Leaves the line. `None` where it does not stand there any more.
    pub fn leave(&mut self, who: impl Fn(&W) -> bool) -> Option<M> {
        let place = self.line.iter().position(|(one, _)| who(one))?;
        self.line.remove(place).map(|(_, message)| message)
    }

    /// Puts in the message of who is first in line, if there is a place for it. Returns
    /// who that was.
    #[must_use = "who stood in line must be told"]
    pub fn admit(&mut self, taken: impl FnOnce() -> u64) -> Option<W> {
        if self.line.is_empty() || !self.has_place(taken) {
            return None;
        }
        let (who, message) = self.line.pop_front()?;
        self.put(message);
        Some(who)
    }
}

impl<M> Bottom<M> {
    /// How many were taken so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the first message that is here, with the number of its turn.
    #[inline]
    pub fn take(&mut self) -> Option<(u64, M)> {
        let first = self.ready.pop_front()?;
        self.taken += 1;
        self.turns += 1;
        Some((self.turns, first))
    }

    /// Takes over what was put in, once nothing is left here.
    pub fn refill<W>(&mut self, top: &mut Top<M, W>) {
        debug_assert!(self.ready.is_empty(), "what is here goes before what is above");
        std::mem::swap(&mut self.ready, &mut top.posted);
    }

    /// Opens the chute of a queue that holds nothing, has so many places, and whose
    /// last turn had this number.
    pub fn open<W>(&mut self, top: &mut Top<M, W>, places: u64, turns: u64) {
        debug_assert!(self.ready.is_empty() && top.posted.is_empty() && top.line.is_empty());
        self.turns = turns;
        top.places = places;
        top.until = self.taken + places;
        top.open = true;
    }

    /// Shuts it. Who may be admitted must have been.
    pub fn shut<W>(&mut self, top: &mut Top<M, W>) -> Shut<M, W> {
        top.open = false;
        let mut messages = std::mem::take(&mut self.ready);
        messages.append(&mut top.posted);
        self.taken = top.sent;
        Shut { messages, line: std::mem::take(&mut top.line), turns: self.turns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Port;
    use crate::queue::Labelled;
    use crate::window::Capacity;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Number(u32);

    impl Labelled for Number {}

    /// A queue, and the same with a chute that is shut and opened again at random.
    #[derive(Default)]
    struct Both {
        top: Top<Number, u32>,
        bottom: Bottom<Number>,
        /// Those who wait beside the chute's queue, while it is shut.
        waiting: VecDeque<(u32, Number)>,
        shuts: u32,
    }

    impl Both {
        fn taken(&self) -> u64 {
            self.bottom.taken()
        }

        fn admit(&mut self) -> Vec<u32> {
            let taken = self.taken();
            std::iter::from_fn(|| self.top.admit(|| taken)).collect()
        }

        fn shut(&mut self, queue: &mut Port<Number, u32>) {
            if !self.top.is_open() {
                return;
            }
            let shut = self.bottom.shut(&mut self.top);
            assert!(self.waiting.is_empty());
            self.waiting = shut.line;
            queue.go_on_from(shut.turns, 0);
            for message in shut.messages {
                assert!(queue.enter(message).is_ok(), "there was a place for it");
            }
            self.shuts += 1;
        }

        fn open(&mut self, queue: &Port<Number, u32>, places: u32) {
            if !self.top.is_open() && queue.is_plain() && self.waiting.is_empty() {
                self.bottom.open(&mut self.top, u64::from(places), queue.turns());
            }
        }
    }

    fn random(state: &mut u64, below: u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*state >> 33) % below
    }

    #[test]
    fn to_go_down_the_chute_is_to_be_queued_and_taken() {
        for places in [1, 2, 7] {
            let mut plain: Port<Number, u32> = Port::new(Capacity::Bounded(places));
            let mut behind = plain.clone();
            let mut line: VecDeque<(u32, Number)> = VecDeque::new();
            let mut both = Both::default();
            let (mut seed, mut raises, mut down) = (u64::from(places), Vec::new(), 0);
            for next in 0..20_000 {
                let message = Number(next);
                // Somewhat more is taken than sent, so that the queue runs empty and may open.
                match random(&mut seed, 17) {
                    0..6 => {
                        // One sends, and waits in line where there is no place.
                        if !line.is_empty() || plain.enter(message).is_err() {
                            line.push_back((next, message));
                        }
                        let taken = both.taken();
                        match both.top.post(|| taken, || message) {
                            Ok(()) => down += 1,
                            Err(Refused::Full) => {
                                both.top.stand(next, message);
                                assert_eq!(both.admit(), [], "it was not full");
                            }
                            Err(Refused::Shut) => {
                                if !both.waiting.is_empty() || behind.enter(message).is_err() {
                                    both.waiting.push_back((next, message));
                                }
                            }
                        }
                    }
                    6..13 => {
                        let expected = plain.take(0, &mut raises);
                        let mut let_in = Vec::new();
                        while let Some((who, message)) = line.pop_front() {
                            if plain.enter(message).is_err() {
                                line.push_front((who, message));
                                break;
                            }
                            let_in.push(who);
                        }
                        let mut taken = None;
                        let mut admitted = Vec::new();
                        if both.top.is_open() {
                            taken = both.bottom.take();
                            if taken.is_none() {
                                both.bottom.refill(&mut both.top);
                                taken = both.bottom.take();
                            }
                            admitted = both.admit();
                        } else {
                            let first = behind.take(0, &mut raises);
                            taken = first.map(|first| (first.sequence, first.message)).or(taken);
                            while let Some((who, message)) = both.waiting.pop_front() {
                                if behind.enter(message).is_err() {
                                    both.waiting.push_front((who, message));
                                    break;
                                }
                                admitted.push(who);
                            }
                        }
                        let expected = expected.map(|first| (first.sequence, first.message));
                        assert_eq!((taken, admitted), (expected, let_in));
                    }
                    13 => both.shut(&mut behind),
                    14 => {
                        // Who waits in the midst of the line gives up.
                        let middle = line.get(line.len() / 2).map(|(who, _)| *who);
                        let Some(middle) = middle else { continue };
                        line.retain(|(who, _)| *who != middle);
                        if both.top.leave(|who| *who == middle).is_none() {
                            both.waiting.retain(|(who, _)| *who != middle);
                        }
                    }
                    _ => both.open(&behind, places),
                }
                let here = if both.top.is_open() {
                    both.top.sent() - both.taken()
                } else {
                    behind.len() as u64
                };
                assert_eq!(here, plain.len() as u64);
                assert!(here <= u64::from(places));
            }
            assert!(down > 500 && both.shuts > 100, "{down} went down, {} shut", both.shuts);
        }
    }
}
