//! Pulses in the queue: counted by holder, and merged with an equal neighbour.

use std::hash::Hash;

use abi::{Offence, TaskId};

use super::{Place, Port, Queued};
use crate::pulses::PulseRaise;
use crate::queue::Labelled;

/// What became of a pulse.
#[derive(Debug)]
#[must_use = "a raised count must reach its holder"]
pub enum PulseArrived<M, K> {
    /// It is in the queue.
    Queued,
    /// Its equal neighbour counts it; it is not needed itself.
    Merged(M, Option<PulseRaise<K>>),
}

impl<M: Labelled, K: Copy + Eq + Hash> Port<M, K> {
    /// Queues a pulse of `holder`, or counts it with its equal neighbour.
    ///
    /// # Errors
    /// [`Offence::PulsesExceeded`], with the pulse.
    pub fn pulse(&mut self, holder: K, message: M) -> Result<PulseArrived<M, K>, (Offence, M)> {
        if let Err(offence) = self.pulses.arrive(holder) {
            return Err((offence, message));
        }
        if let Some(count) = self.equal_neighbour(holder, &message) {
            *count += 1;
            return Ok(PulseArrived::Merged(message, self.pulses.left_queue(holder)));
        }
        self.push_or_stand(Queued { message, place: Place::Pulse(holder, 1) });
        Ok(PulseArrived::Queued)
    }

    /// As [`Port::pulse`], for a pulse of `who`.
    ///
    /// # Errors
    /// [`Offence::PulsesExceeded`], with the pulse.
    pub fn pulse_of(
        &mut self,
        who: TaskId,
        holder: K,
        message: M,
    ) -> Result<PulseArrived<M, K>, (Offence, M)> {
        if !self.waits_for(who) {
            return self.pulse(holder, message);
        }
        if let Err(offence) = self.pulses.arrive(holder) {
            return Err((offence, message));
        }
        self.stand_behind(who, Queued { message, place: Place::Pulse(holder, 1) }, false);
        Ok(PulseArrived::Queued)
    }

    /// A pulse of `holder` came and is not to be queued.
    ///
    /// # Errors
    /// [`Offence::PulsesExceeded`].
    pub fn refuse_pulse(&mut self, holder: K) -> Result<Option<PulseRaise<K>>, Offence> {
        self.pulses.arrive(holder)?;
        Ok(self.pulses.left_queue(holder))
    }

    /// The count of the last pulse of its level, where it is the same from the
    /// same holder.
    fn equal_neighbour(&mut self, holder: K, pulse: &M) -> Option<&mut u64> {
        if !self.pulses.merges() || !self.line.is_empty() {
            return None;
        }
        let last = self.queue.last(pulse.label().priority)?;
        match self.queue.get_mut(last)? {
            Queued { message, place: Place::Pulse(by, count) }
                if *by == holder && pulse.equals(message) =>
            {
                Some(count)
            }
            _ => None,
        }
    }
}
