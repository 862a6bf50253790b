//! A queue that goes to another owner: what is taken out here, and put in there.

use std::hash::Hash;

use abi::Offence;

use super::{Place, Port, Queued};
use crate::queue::Labelled;

/// A message out of the queue of a port that moves, with the place it had.
#[derive(Debug)]
#[must_use = "what was unloaded is nowhere else"]
pub struct Unloaded<M, K> {
    queued: Queued<M, K>,
    /// It stood in line beside the queue.
    in_line: bool,
}

impl<M, K> Unloaded<M, K> {
    /// The message, to be named for another task. Its label must stay as it is.
    pub const fn message_mut(&mut self) -> &mut M {
        &mut self.queued.message
    }

    /// The message alone.
    pub fn into_message(self) -> M {
        self.queued.message
    }

    /// Whether it took its place when its right was made.
    pub const fn is_beyond(&self) -> bool {
        matches!(self.queued.place, Place::Beyond)
    }

    /// How many equal pulses it stands for; zero for what is none.
    pub const fn pulses(&self) -> u64 {
        match self.queued.place {
            Place::Pulse(_, count) => count,
            Place::Holder(_) | Place::Own | Place::Left(..) | Place::Beyond => 0,
        }
    }
}

impl<M: Labelled, K: Copy + Eq + Hash> Port<M, K> {
    /// Turns taken so far.
    pub const fn turns(&self) -> u64 {
        self.sequence
    }

    /// Turns, and messages dropped, are counted on from here: the port was another
    /// task's before.
    pub const fn go_on_from(&mut self, turns: u64, dropped: u64) {
        self.sequence = turns;
        self.dropping.count = dropped;
    }

    /// A message of `holder` comes for a port that has gone to another task.
    /// Nothing more is granted: what was granted may still come, once.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`].
    pub fn pass_on(&mut self, holder: K) -> Result<(), Offence> {
        self.window.arrive(holder).map(|_| ())
    }

    /// The same for one that is left.
    ///
    /// # Errors
    /// [`Offence::LeftTwice`].
    pub fn pass_on_left(&mut self, holder: K) -> Result<(), Offence> {
        match self.left.get_or_insert_default().note(holder).1 {
            None => Ok(()),
            Some(_) => Err(Offence::LeftTwice),
        }
    }

    /// Takes everything out, in order. The window still counts it, and nobody enters from
    /// the line before who was taken out of it is back.
    pub fn unload(&mut self) -> Vec<Unloaded<M, K>> {
        self.line_out += self.line.len();
        let queued = self.queue.drain().map(|queued| Unloaded { queued, in_line: false });
        let line = self.line.drain(..).map(|queued| Unloaded { queued, in_line: true });
        queued.chain(line).collect()
    }

    /// Puts what was unloaded back. What is free then is to be handed out.
    pub fn reload(&mut self, unloaded: impl IntoIterator<Item = Unloaded<M, K>>) {
        for Unloaded { queued, in_line } in unloaded {
            self.line_out = self.line_out.saturating_sub(usize::from(in_line));
            if !in_line {
                // Who is out of the line, or has come into it since, was behind it.
                self.push(queued);
            } else if queued.place.is_free() {
                self.push_or_stand(queued);
            } else {
                self.stand_in_line(queued);
            }
        }
    }

    /// Queues a message that had its place when the port was another task's.
    pub fn adopt(&mut self, message: M) {
        let queued = Queued { message, place: Place::Own };
        if self.window.adopt() {
            self.push_placed(queued);
        } else {
            self.stand_in_line(queued);
        }
    }

    /// Queues pulses that stood in the queue when the port was another task's. They
    /// are nobody's here: no count is raised when they leave.
    pub fn adopt_pulses(&mut self, nobody: K, message: M, count: u64) {
        self.push_or_stand(Queued { message, place: Place::Pulse(nobody, count) });
    }
}

#[cfg(test)]
mod tests {
    use crate::port::{Overflow, Port};
    use crate::queue::Labelled;
    use crate::window::{Arrival, Capacity, Raise};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Number(u32);

    impl Labelled for Number {}

    type Numbers = Port<Number, char>;

    fn taken(port: &mut Numbers) -> Option<u32> {
        let mut raises: Vec<Raise<char>> = Vec::new();
        port.hand_out(0, &mut raises);
        port.take(0, &mut raises).map(|taken| taken.message.0)
    }

    #[test]
    fn who_comes_while_the_line_is_out_stays_behind_it() {
        let mut port = Numbers::new(Capacity::Bounded(2));
        let _ = port.window.join('a');
        let mut raises = Vec::new();
        port.enter(Number(1)).unwrap();
        port.window.ask('a', 0);
        port.hand_out(0, &mut raises);
        port.leave('a', Number(2)).unwrap();
        // The queue is about to go to another task.
        let unloaded = port.unload();
        assert_eq!(port.arrive('a', Number(3)), Ok(Arrival::Beside));
        port.enter_beyond(Number(4));
        port.hand_out(0, &mut raises);
        assert!(port.is_empty(), "nobody enters before who is out");
        let since = port.unload();
        port.reload(unloaded.into_iter().chain(since));
        for number in 1..=4 {
            assert_eq!(taken(&mut port), Some(number));
        }
        assert!(port.holds_nothing());
    }

    #[test]
    fn what_came_beyond_the_capacity_is_put_back_where_it_was() {
        let mut port = Numbers::new(Capacity::Bounded(1));
        let _ = port.window.join('a');
        port.enter_beyond(Number(1));
        port.enter(Number(2)).unwrap();
        let unloaded = port.unload();
        // Somebody stands in line when the queue is put back.
        port.leave('a', Number(3)).unwrap();
        let since = port.unload();
        port.reload(unloaded.into_iter().chain(since));
        for number in 1..=3 {
            assert_eq!(taken(&mut port), Some(number));
        }
        assert!(port.holds_nothing());
    }

    #[test]
    fn what_is_left_where_the_owner_drops_enters_in_its_turn() {
        for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
            let mut port = Numbers::new(Capacity::Bounded(2)).overflowing(overflow);
            let _ = port.window.join('a');
            port.enter(Number(1)).unwrap();
            port.enter(Number(2)).unwrap();
            port.leave('a', Number(3)).unwrap();
            assert_eq!(port.arrive('a', Number(4)), Ok(Arrival::Queue));
            let kept = if overflow == Overflow::DropOldest { [3, 4] } else { [1, 2] };
            assert_eq!((port.dropped(), port.fallen().len()), (2, 2));
            // Dropped is as good as taken: another may be left.
            let dropped = overflow == Overflow::DropNewest;
            assert_eq!(port.left_taken().len(), usize::from(dropped));
            assert_eq!([taken(&mut port), taken(&mut port)], kept.map(Some), "{overflow:?}");
            assert_eq!(port.left_taken().len(), usize::from(!dropped));
            port.leave('a', Number(5)).unwrap();
            assert_eq!(taken(&mut port), Some(5));
        }
    }

    #[test]
    fn what_was_taken_out_and_put_back_may_be_dropped_still() {
        let mut port = Numbers::new(Capacity::Bounded(2)).overflowing(Overflow::DropOldest);
        port.enter(Number(1)).unwrap();
        port.enter(Number(2)).unwrap();
        let unloaded = port.unload();
        port.reload(unloaded);
        port.enter(Number(3)).unwrap();
        assert_eq!([taken(&mut port), taken(&mut port)], [Some(2), Some(3)]);
    }
}
