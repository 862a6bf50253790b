//! What was sent to an unbounded port and found no room.
//!
//! It lies in memory of its sender's, a *spill* for each slot, and is accepted
//! there: it outlives its sender. The lane goes on beside it, so two things must
//! be kept: the order of what one task sends to one port (I5), and that no frame
//! ends a right that something in a spill still needs.
//!
//! Spilled messages are numbered over the whole link, and each says how far the lane
//! was filled before it. A *mark* in the lane says: everything up to this number was
//! spilled before what follows here. So
//!
//! 1. a spilled message is taken only when the lane was read so far: what was sent
//!    before it has come;
//! 2. what comes in the lane for a port to which marked messages are not taken yet
//!    is *held* until they are: they were sent before it;
//! 3. while a slot has spilled messages that the reader has not said it took,
//!    everything on that slot is spilled, and what ends the right waits;
//! 4. of several spills that lead to one port the lowest number is taken first;
//! 5. once the writer is dead and its lane read, every spilled message is taken.
//!
//! The reader needs no help of the writer's for any of this: what was accepted
//! reaches it whatever the writer does next.
//!
//! | who        | machine      |
//! |------------|--------------|
//! | the sender | [`Outgoing`] |
//! | the owner  | [`Incoming`] |

use std::collections::BTreeMap;

use abi::Offence;

/// What the board grants a holder of an unbounded port: as many messages as it
/// likes, and it may spill.
pub const SPILLING: u64 = u64::MAX;

/// What the board grants a holder of a port whose owner drops, or that is about to
/// go to another task: as many messages as it likes, through the lane.
pub const NOT_SPILLING: u64 = u64::MAX - 1;

/// What the sender of one link knows of what it spilled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing<S> {
    /// The number of the last spilled message.
    last: u64,
    /// The number the last mark said.
    marked: u64,
    runs: BTreeMap<S, Run>,
    /// Slots of the reader's that spilled messages name, by the slots those were
    /// sent on and their numbers.
    named: BTreeMap<S, Vec<(S, u64)>>,
}

/// The spilled messages of one slot that the reader has not said it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Run {
    last: u64,
    emptied: u64,
}

impl<S> Default for Outgoing<S> {
    fn default() -> Self {
        Outgoing { last: 0, marked: 0, runs: BTreeMap::new(), named: BTreeMap::new() }
    }
}

/// What follows from the reader's word that it took spilled messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "what waits for a run to be over must go on"]
pub enum Emptied {
    /// More was spilled meanwhile.
    GoesOn,
    /// The slot has no spilled message any more: its messages go by the lane.
    Over,
}

impl<S: Copy + Ord> Outgoing<S> {
    /// Whether what is sent on `slot` must be spilled (rule 3).
    pub fn is_spilled(&self, slot: S) -> bool {
        !self.runs.is_empty() && self.runs.contains_key(&slot)
    }

    /// Whether nothing is spilled.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The number of the next spilled message.
    pub const fn next(&self) -> u64 {
        self.last + 1
    }

    /// A message was spilled on `slot`, under the [`next`](Outgoing::next) number.
    pub fn spilled(&mut self, slot: S) {
        self.last += 1;
        self.runs.entry(slot).or_default().last = self.last;
    }

    /// The message spilled last, on `on`, gives the reader back a right of its own.
    pub fn names(&mut self, slot: S, on: S) {
        let last = self.last;
        let all = self.named.entry(slot).or_default();
        match all.iter_mut().find(|(other, _)| *other == on) {
            Some((_, number)) => *number = last,
            None => all.push((on, last)),
        }
    }

    /// Whether a frame that ends our right to `slot`, or gives it away, must wait:
    /// a spilled message goes to it or names it.
    pub fn holds_back(&self, slot: S) -> bool {
        self.is_spilled(slot) || self.named.contains_key(&slot)
    }

    /// The mark that must be written before anything whose order matters.
    pub const fn unmarked(&self) -> Option<u64> {
        if self.last > self.marked { Some(self.last) } else { None }
    }

    /// That mark is written.
    pub const fn mark(&mut self) {
        self.marked = self.last;
    }

    /// The reader says that it took what was spilled on `slot`, up to `number`.
    ///
    /// # Errors
    /// [`Offence::EmptiedImpossible`]: so much was not spilled there, or it has said
    /// so before.
    pub fn emptied(&mut self, slot: S, number: u64) -> Result<Emptied, Offence> {
        let run = self.runs.get_mut(&slot).ok_or(Offence::EmptiedImpossible)?;
        if number > run.last || number <= run.emptied {
            return Err(Offence::EmptiedImpossible);
        }
        run.emptied = number;
        let over = run.last == number;
        self.named.retain(|_, all| {
            all.retain(|(on, named)| *on != slot || *named > number);
            !all.is_empty()
        });
        if !over {
            return Ok(Emptied::GoesOn);
        }
        self.runs.remove(&slot);
        Ok(Emptied::Over)
    }
}

/// What the owner knows of what one peer has spilled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incoming<S, P> {
    /// Up to this number all spills were looked at: one of them may show a higher
    /// number before another shows a lower, which was written before it was looked at.
    looked: u64,
    marked: u64,
    ended: bool,
    spills: BTreeMap<S, Spill<P>>,
}

/// The spill of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Spill<P> {
    port: P,
    /// The first message that is not taken, as far as it was seen.
    next: Option<u64>,
    /// How far the lane was filled before it.
    after: u64,
    taken: u64,
    /// What the writer was told.
    said: u64,
}

impl<S, P> Default for Incoming<S, P> {
    fn default() -> Self {
        Incoming { marked: 0, looked: 0, ended: false, spills: BTreeMap::new() }
    }
}

impl<S: Copy + Ord, P: Copy + Eq> Incoming<S, P> {
    /// Whether there is no spill.
    pub fn is_empty(&self) -> bool {
        self.spills.is_empty()
    }

    /// Memory was offered for `slot`, a right to `port`.
    pub fn offered(&mut self, slot: S, port: P) {
        let spill = Spill { port, next: None, after: 0, taken: 0, said: 0 };
        self.spills.entry(slot).or_insert(spill);
    }

    /// A mark was read.
    ///
    /// # Errors
    /// [`Offence::SpillMalformed`]: it says no more than the last.
    pub const fn mark(&mut self, number: u64) -> Result<(), Offence> {
        if number <= self.marked {
            return Err(Offence::SpillMalformed);
        }
        self.marked = number;
        Ok(())
    }

    /// Every spill was looked at after the writer had shown this number.
    pub const fn looked(&mut self, number: u64) {
        if number > self.looked {
            self.looked = number;
        }
    }

    /// The writer is dead and its lane read to the end (rule 5).
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// Slots of which no message is seen that is not taken: they must be looked at
    /// again when a mark was read, or more was spilled.
    pub fn unseen(&self) -> Vec<S> {
        let unseen = self.spills.iter().filter(|(_, spill)| spill.next.is_none());
        unseen.map(|(slot, _)| *slot).collect()
    }

    /// The first message in the spill of `slot` that is not taken has this number,
    /// and was spilled `after` so many bytes of the lane.
    ///
    /// # Errors
    /// [`Offence::SpillMalformed`]: numbers only grow.
    pub fn seen(&mut self, slot: S, number: u64, after: u64) -> Result<(), Offence> {
        let spill = self.spills.get_mut(&slot).ok_or(Offence::SpillMalformed)?;
        if number <= spill.taken {
            return Err(Offence::SpillMalformed);
        }
        spill.next = Some(number);
        spill.after = after;
        Ok(())
    }

    /// The slot whose first message is taken next, with the lane read up to `read`:
    /// the lowest number of those that were sent before what is not read, and that
    /// `may` be taken; but none to a port one of whose earlier messages may not
    /// (rules 1 and 4).
    pub fn first(&self, read: u64, mut may: impl FnMut(S) -> bool) -> Option<S> {
        let whole = self.looked.max(self.marked);
        let here = |spill: &Spill<P>| {
            self.ended || (spill.after <= read && spill.next.is_some_and(|next| next <= whole))
        };
        let mut ready: Vec<(u64, S, P)> = self
            .spills
            .iter()
            .filter(|(_, spill)| here(spill))
            .filter_map(|(slot, spill)| Some((spill.next?, *slot, spill.port)))
            .collect();
        ready.sort_unstable_by_key(|(number, ..)| *number);
        let mut barred = Vec::new();
        for (_, slot, port) in ready {
            if barred.contains(&port) {
                continue;
            }
            if may(slot) {
                return Some(slot);
            }
            barred.push(port);
        }
        None
    }

    /// The message seen first in the spill of `slot` was taken.
    pub fn took(&mut self, slot: S) {
        if let Some(spill) = self.spills.get_mut(&slot)
            && let Some(number) = spill.next.take()
        {
            spill.taken = number;
        }
    }

    /// What was taken of `slot`, where the writer does not know it yet. It is told
    /// when no more is seen, or when memory was let go.
    #[must_use = "the writer must be told"]
    pub fn emptied(&mut self, slot: S) -> Option<u64> {
        let spill = self.spills.get_mut(&slot)?;
        let news = spill.taken > spill.said;
        spill.said = spill.taken;
        news.then_some(spill.taken)
    }

    /// The port that what is spilled on `slot` is for.
    pub fn port(&self, slot: S) -> Option<P> {
        self.spills.get(&slot).map(|spill| spill.port)
    }

    /// How far `slot` was taken.
    pub fn taken(&self, slot: S) -> u64 {
        self.spills.get(&slot).map_or(0, |spill| spill.taken)
    }

    /// Whether a message of `slot` is seen and not taken.
    pub fn has_more(&self, slot: S) -> bool {
        self.spills.get(&slot).is_some_and(|spill| spill.next.is_some())
    }

    /// The spill of `slot` is let go.
    pub fn forget(&mut self, slot: S) {
        self.spills.remove(&slot);
    }

    /// Whether what comes in the lane for `port` must be held (rule 2), and until
    /// which number was taken.
    pub fn holds(&self, port: P) -> Option<u64> {
        self.open(port, self.marked).then_some(self.marked)
    }

    /// Whether what was held for `port` may go on.
    pub fn lets_go(&self, port: P, until: u64) -> bool {
        !self.open(port, until)
    }

    /// Whether a message to `port` is seen and not taken.
    pub fn is_open(&self, port: P) -> bool {
        self.open(port, u64::MAX)
    }

    fn open(&self, port: P, until: u64) -> bool {
        let mut here = self.spills.values().filter(|spill| spill.port == port);
        here.any(|spill| spill.next.is_some_and(|next| next <= until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_spilled_until_its_reader_has_it_all() {
        let mut out = Outgoing::default();
        assert!(!out.is_spilled(7));
        assert_eq!(out.next(), 1);
        out.spilled(7);
        out.spilled(7);
        assert_eq!(out.unmarked(), Some(2));
        out.mark();
        assert_eq!(out.unmarked(), None);
        assert_eq!(out.emptied(7, 1), Ok(Emptied::GoesOn));
        out.spilled(7);
        assert_eq!(out.emptied(7, 2), Ok(Emptied::GoesOn));
        assert!(out.is_spilled(7) && !out.is_spilled(8));
        assert_eq!(out.emptied(7, 3), Ok(Emptied::Over));
        assert!(!out.is_spilled(7) && out.is_empty());
    }

    #[test]
    fn nobody_has_taken_what_was_not_spilled() {
        let mut out = Outgoing::default();
        assert_eq!(out.emptied(7, 1), Err(Offence::EmptiedImpossible));
        out.spilled(7);
        out.spilled(8);
        assert_eq!(out.emptied(7, 2), Err(Offence::EmptiedImpossible));
        assert_eq!(out.emptied(7, 0), Err(Offence::EmptiedImpossible));
        assert_eq!(out.emptied(8, 2), Ok(Emptied::Over));
        assert_eq!(out.emptied(8, 2), Err(Offence::EmptiedImpossible));
    }

    #[test]
    fn a_right_that_a_spilled_message_names_does_not_end_before_it() {
        let mut out = Outgoing::default();
        out.spilled(7);
        out.names(9, 7);
        out.spilled(8);
        out.names(9, 8);
        assert!(out.holds_back(7) && out.holds_back(9) && !out.holds_back(6));
        let _ = out.emptied(7, 1).unwrap();
        assert!(out.holds_back(9) && !out.holds_back(7));
        let _ = out.emptied(8, 2).unwrap();
        assert!(!out.holds_back(9));
    }

    #[test]
    fn what_was_sent_before_comes_before_and_the_lowest_first() {
        let mut inn: Incoming<u32, char> = Incoming::default();
        inn.offered(1, 'p');
        inn.offered(2, 'p');
        inn.offered(3, 'q');
        inn.seen(1, 2, 100).unwrap();
        inn.seen(2, 1, 100).unwrap();
        inn.seen(3, 3, 200).unwrap();
        inn.looked(3);
        assert_eq!(inn.first(99, |_| true), None);
        assert_eq!(inn.first(100, |_| true), Some(2));
        // The lowest may not: what is behind it may not either, another port's may.
        assert_eq!(inn.first(199, |slot| slot != 2), None);
        assert_eq!(inn.first(200, |slot| slot != 2), Some(3));
        inn.took(2);
        assert_eq!(inn.first(100, |_| true), Some(1));
        assert_eq!(inn.emptied(2), Some(1));
        assert_eq!(inn.emptied(2), None);
        inn.took(1);
        assert_eq!(inn.first(0, |_| true), None);
        inn.end();
        assert_eq!(inn.first(0, |_| true), Some(3));
    }

    #[test]
    fn what_one_spill_shows_waits_until_all_were_looked_at() {
        let mut inn: Incoming<u32, char> = Incoming::default();
        inn.offered(1, 'p');
        inn.offered(2, 'p');
        // The first was looked at before the writer put number 1 there.
        inn.looked(0);
        inn.seen(2, 2, 0).unwrap();
        assert_eq!(inn.first(0, |_| true), None);
        inn.seen(1, 1, 0).unwrap();
        inn.looked(2);
        assert_eq!(inn.first(0, |_| true), Some(1));
    }

    #[test]
    fn what_comes_after_a_mark_is_held_until_its_port_has_what_was_before() {
        let mut inn: Incoming<u32, char> = Incoming::default();
        inn.offered(1, 'p');
        inn.seen(1, 1, 0).unwrap();
        assert_eq!(inn.holds('p'), None);
        inn.mark(1).unwrap();
        assert_eq!((inn.holds('p'), inn.holds('q')), (Some(1), None));
        inn.took(1);
        assert!(inn.lets_go('p', 1));
        inn.seen(1, 2, 0).unwrap();
        assert!(inn.lets_go('p', 1) && inn.holds('p').is_none() && inn.is_open('p'));
    }

    #[test]
    fn numbers_and_marks_only_grow() {
        let mut inn: Incoming<u32, char> = Incoming::default();
        assert_eq!(inn.seen(1, 1, 0), Err(Offence::SpillMalformed));
        inn.offered(1, 'p');
        assert_eq!(inn.seen(1, 0, 0), Err(Offence::SpillMalformed));
        inn.seen(1, 5, 0).unwrap();
        inn.took(1);
        assert_eq!(inn.seen(1, 5, 0), Err(Offence::SpillMalformed));
        inn.mark(5).unwrap();
        assert_eq!(inn.mark(5), Err(Offence::SpillMalformed));
    }
}
