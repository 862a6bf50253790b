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

    /// Takes everything out, in order. The window still counts it.
    pub fn unload(&mut self) -> Vec<Unloaded<M, K>> {
        let queued = self.queue.drain().map(|queued| Unloaded { queued, in_line: false });
        let line = self.line.drain(..).map(|queued| Unloaded { queued, in_line: true });
        queued.chain(line).collect()
    }

    /// Puts what was unloaded back. What is free then is to be handed out.
    pub fn reload(&mut self, unloaded: impl IntoIterator<Item = Unloaded<M, K>>) {
        for Unloaded { queued, in_line } in unloaded {
            if queued.place.is_free() {
                self.push_or_stand(queued);
            } else if in_line {
                self.stand_in_line(queued);
            } else {
                self.push(queued);
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
