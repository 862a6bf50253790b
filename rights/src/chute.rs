//! A chute: the way past a plain queue, for messages that need nothing of it.
//!
//! The chute has two ends, each to be held by itself: senders put in at the top,
//! receivers take out at the bottom. The ends meet only when the bottom has run empty,
//! and takes over all that was put in meanwhile. While the chute is open it *is* the
//! queue: nothing else waits, and nobody but senders and receivers of our own.
//!
//! Who finds no place stands in line at the top, with its message. Who finds no message
//! waits there too, to be called: whoever puts a message in calls one of them.
//!
//! It is shut when anybody wants more of the queue than its first message: what was in
//! it lies in the queue then, in its order; who stood in line stands there, and who
//! waited waits there. It is opened again with all of them.
//!
//! Places are counted by two numbers that only grow: `sent` at the top, `taken` at the
//! bottom. The top asks for `taken` when it has used what it knew of. The bottom announces
//! it by eighths of the places, so that the ends do not meet at it for each message; who
//! must know better asks the bottom.

use std::collections::VecDeque;

/// The end where messages are put in. `S` is who waits for a place, `R` who waits for a
/// message.
#[derive(Clone, Debug)]
pub struct Top<M, S, R> {
    posted: VecDeque<M>,
    line: VecDeque<(S, M)>,
    receivers: VecDeque<R>,
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
    announced: u64,
    /// It is announced after so many.
    stride: u64,
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

/// Everything and everybody in a chute: of one that was shut, or for one that is opened.
#[derive(Clone, Debug)]
#[must_use = "what was in the chute is nowhere else"]
pub struct Contents<M, S, R> {
    /// The messages, in their order.
    pub messages: VecDeque<M>,
    /// Who stands in line, with their messages.
    pub line: VecDeque<(S, M)>,
    /// Who waits for a message.
    pub receivers: VecDeque<R>,
    /// The number of the last turn.
    pub turns: u64,
}

impl<M, S, R> Default for Contents<M, S, R> {
    fn default() -> Self {
        let (messages, line, receivers) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Contents { messages, line, receivers, turns: 0 }
    }
}

impl<M, S, R> Default for Top<M, S, R> {
    fn default() -> Self {
        let (posted, line, receivers) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Top { posted, line, receivers, open: false, places: 0, sent: 0, until: 0 }
    }
}

impl<M> Default for Bottom<M> {
    fn default() -> Self {
        Bottom { ready: VecDeque::new(), taken: 0, announced: 0, stride: 1, turns: 0 }
    }
}

impl<M, S, R> Top<M, S, R> {
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

    /// How many stand in line, each with a message.
    pub fn standing(&self) -> usize {
        self.line.len()
    }

    /// How many wait for a message.
    pub fn waiting(&self) -> usize {
        self.receivers.len()
    }

    fn has_place(&mut self, taken: impl FnOnce() -> u64) -> bool {
        if self.sent == self.until {
            // What was announced may be older than what was known before.
            self.until = self.until.max(taken() + self.places);
        }
        self.sent != self.until
    }

    fn put(&mut self, message: M) {
        self.posted.push_back(message);
        self.sent += 1;
    }

    // ---- senders ---------------------------------------------------------

    /// Puts in the message that `make` makes, if there is a place for it and nobody
    /// stands in line. `taken` says how many were taken, now or earlier. Somebody is to
    /// be called then.
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
    pub fn stand(&mut self, who: S, message: M) {
        self.line.push_back((who, message));
    }

    /// Whether one of those in line is meant.
    pub fn stands(&self, who: impl Fn(&S) -> bool) -> bool {
        self.line.iter().any(|(one, _)| who(one))
    }

    /// Leaves the line. `None` where it does not stand there any more.
    pub fn leave(&mut self, who: impl Fn(&S) -> bool) -> Option<M> {
        let place = self.line.iter().position(|(one, _)| who(one))?;
        self.line.remove(place).map(|(_, message)| message)
    }

    /// Puts in the message of who is first in line, if there is a place for it. Returns
    /// who that was. Somebody is to be called then.
    #[must_use = "who stood in line must be told"]
    pub fn admit(&mut self, taken: impl FnOnce() -> u64) -> Option<S> {
        if self.line.is_empty() || !self.has_place(taken) {
            return None;
        }
        let (who, message) = self.line.pop_front()?;
        self.put(message);
        Some(who)
    }

    // ---- receivers -------------------------------------------------------

    /// Waits for a message, where it does not wait already; one that was `called`
    /// before and came too late is the next.
    pub fn wait(&mut self, who: R, is_me: impl Fn(&R) -> bool, called: bool) {
        if self.receivers.iter().any(is_me) {
            return;
        }
        if called {
            self.receivers.push_front(who);
        } else {
            self.receivers.push_back(who);
        }
    }

    /// Waits no more, if it still did.
    pub fn go(&mut self, is_me: impl Fn(&R) -> bool) {
        // The last: one may wait in the midst of a wait.
        if let Some(place) = self.receivers.iter().rposition(is_me) {
            self.receivers.remove(place);
        }
    }

    /// Calls one of those who wait, for a message that was put in: it waits no more.
    /// Who was `told` of something already and has not come keeps it from nobody else.
    #[inline]
    #[must_use = "who is called must be told"]
    pub fn call(&mut self, told: impl Fn(&R) -> bool) -> Option<R> {
        if self.receivers.is_empty() {
            return None;
        }
        let next = self.receivers.iter().position(|one| !told(one)).unwrap_or(0);
        self.receivers.remove(next)
    }
}

impl<M> Bottom<M> {
    /// How many were taken so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// The number of the last turn.
    pub const fn turns(&self) -> u64 {
        self.turns
    }

    /// Whether none is here: there may be some above.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// How many were taken, where that is to be announced now: by eighths, and when
    /// nothing is left here, so that what was announced and what was sent tell whether
    /// there is any above.
    #[inline]
    pub fn announce(&mut self) -> Option<u64> {
        let due = self.ready.is_empty() || self.taken - self.announced >= self.stride;
        due.then(|| {
            self.announced = self.taken;
            self.taken
        })
    }

    /// The first message that is here.
    #[inline]
    pub fn first(&self) -> Option<&M> {
        self.ready.front()
    }

    /// Takes the first message that is here, with the number of its turn.
    #[inline]
    pub fn take(&mut self) -> Option<(u64, M)> {
        let first = self.ready.pop_front()?;
        self.taken += 1;
        self.turns += 1;
        Some((self.turns, first))
    }

    /// Takes over what was put in, where nothing is left here.
    pub fn refill<S, R>(&mut self, top: &mut Top<M, S, R>) {
        if self.ready.is_empty() {
            std::mem::swap(&mut self.ready, &mut top.posted);
        }
    }

    /// Opens the chute of a queue that has so many places, with what was in that.
    pub fn open<S, R>(&mut self, top: &mut Top<M, S, R>, places: u64, contents: Contents<M, S, R>) {
        debug_assert!(self.ready.is_empty() && top.posted.is_empty() && top.line.is_empty());
        debug_assert!(self.taken == top.sent && top.receivers.is_empty(), "it was shut");
        let Contents { messages, line, receivers, turns } = contents;
        self.turns = turns;
        self.stride = (places / 8).max(1);
        top.places = places;
        top.until = self.taken + places;
        top.sent += messages.len() as u64;
        self.ready = messages;
        top.line = line;
        top.receivers = receivers;
        top.open = true;
    }

    /// Shuts it. Who may be admitted must have been.
    pub fn shut<S, R>(&mut self, top: &mut Top<M, S, R>) -> Contents<M, S, R> {
        top.open = false;
        let mut messages = std::mem::take(&mut self.ready);
        messages.append(&mut top.posted);
        self.taken = top.sent;
        self.announced = self.taken;
        Contents {
            messages,
            line: std::mem::take(&mut top.line),
            receivers: std::mem::take(&mut top.receivers),
            turns: self.turns,
        }
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
        top: Top<Number, u32, u32>,
        bottom: Bottom<Number>,
        /// Those who wait beside the chute's queue, while it is shut.
        waiting: VecDeque<(u32, Number)>,
        announced: u64,
        shuts: u32,
        /// Opened with something in it.
        full: u32,
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
            self.announced = self.bottom.taken();
            queue.go_on_from(shut.turns, 0);
            for message in shut.messages {
                assert!(queue.enter(message).is_ok(), "there was a place for it");
            }
            self.shuts += 1;
        }

        fn open(&mut self, queue: &mut Port<Number, u32>, places: u32) {
            if self.top.is_open() || !queue.is_plain() {
                return;
            }
            let Some(messages) = queue.hand_over(|_| true) else { return };
            self.full += u32::from(!messages.is_empty());
            let line = std::mem::take(&mut self.waiting);
            let turns = queue.turns();
            let contents = Contents { messages, line, turns, ..Contents::default() };
            self.bottom.open(&mut self.top, u64::from(places), contents);
            assert!(queue.holds_nothing() && queue.window.queued() == 0);
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
                // Somewhat more is taken than sent, so that the queue runs empty at times.
                match random(&mut seed, 17) {
                    0..6 => {
                        // One sends, and waits in line where there is no place.
                        if !line.is_empty() || plain.enter(message).is_err() {
                            line.push_back((next, message));
                        }
                        let (known, taken) = (both.announced, both.taken());
                        let posted = match both.top.post(|| known, || message) {
                            Err(Refused::Full) => both.top.post(|| taken, || message),
                            other => other,
                        };
                        match posted {
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
                            both.bottom.refill(&mut both.top);
                            let first = both.bottom.first().copied();
                            taken = both.bottom.take();
                            if let Some(announced) = both.bottom.announce() {
                                both.announced = announced;
                            }
                            let above = both.announced < both.top.sent();
                            assert!(
                                above || both.top.sent() == both.taken(),
                                "it tells too little"
                            );
                            assert_eq!(taken.map(|(_, message)| message), first);
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
                    _ => both.open(&mut behind, places),
                }
                let here = if both.top.is_open() {
                    both.top.sent() - both.taken()
                } else {
                    behind.len() as u64
                };
                assert_eq!(here, plain.len() as u64);
                assert!(here <= u64::from(places));
            }
            let Both { shuts, full, .. } = both;
            assert!(down > 500 && shuts > 100 && full > 100, "{down} down, {shuts} {full}");
        }
    }

    /// One who receives: away, waiting, or called and not yet come.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Receiver {
        Away,
        Waits,
        Called,
    }

    #[test]
    fn nobody_waits_beside_a_message_that_nobody_comes_for() {
        use Receiver::{Away, Called, Waits};
        const PLACES: u64 = 2;
        let mut top: Top<Number, u32, usize> = Top::default();
        let mut bottom = Bottom::default();
        bottom.open(&mut top, PLACES, Contents::default());
        let mut receivers = [Away; 3];
        let (mut seed, mut calls) = (7, 0);
        for next in 0..50_000 {
            let me = random(&mut seed, 3) as usize;
            let mut puts = 0;
            let mut leaves = false;
            match random(&mut seed, 8) {
                0..3 => {
                    let taken = bottom.taken();
                    match top.post(|| taken, || Number(next)) {
                        Ok(()) => puts = 1,
                        Err(Refused::Full) if !top.has_line() => top.stand(next, Number(next)),
                        Err(_) => {}
                    }
                }
                // One gives up, or its future is dropped.
                3 => leaves = receivers[me] != Away,
                4 => {
                    // The chute is shut, and opened with what was in it.
                    let contents = bottom.shut(&mut top);
                    bottom.open(&mut top, PLACES, contents);
                }
                // One looks.
                _ => {
                    bottom.refill(&mut top);
                    if bottom.take().is_some() {
                        leaves = receivers[me] != Away;
                        let taken = bottom.taken();
                        puts = std::iter::from_fn(|| top.admit(|| taken)).count();
                    } else {
                        top.wait(me, |one| *one == me, receivers[me] == Called);
                        receivers[me] = Waits;
                    }
                }
            }
            if leaves {
                top.go(|one| *one == me);
                receivers[me] = Away;
                // What it was called for may be here still.
                puts += usize::from(top.sent() > bottom.taken());
            }
            for _ in 0..puts {
                // Whom nobody polls is called last.
                if let Some(called) = top.call(|one| *one == 2) {
                    assert!(called != 2 || receivers[0] != Waits && receivers[1] != Waits);
                    receivers[called] = Called;
                    calls += 1;
                }
            }
            let waits = receivers.contains(&Waits);
            let here = top.sent() > bottom.taken();
            assert!(!waits || !here || receivers.contains(&Called), "one sleeps beside a message");
        }
        assert!(calls > 1_000, "{calls} were called");
    }
}
