//! Messages that are lent to who chooses among them, and given back or kept.

use std::hash::Hash;

use super::{Place, Port, Queued, Taken};
use crate::queue::{Labelled, Scan, Spot};
use crate::window::Raise;

/// A message that is lent: out of the queue while somebody looks at it, with
/// its place kept.
#[derive(Clone, Debug)]
#[must_use = "what is lent must be given back or kept"]
pub struct Lent<M, K> {
    spot: Spot,
    queued: Queued<M, K>,
}

impl<M, K> Lent<M, K> {
    /// The message.
    pub const fn message(&self) -> &M {
        &self.queued.message
    }

    /// The message, to be changed. Its label must stay as it is.
    pub const fn message_mut(&mut self) -> &mut M {
        &mut self.queued.message
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
    /// Begins the next pass of a search.
    pub fn begin_pass(&mut self, scan: &mut Scan) {
        self.queue.begin_pass(scan);
    }

    /// Lends the next message of a search to who looks. Others pass it by.
    pub fn lend_next(&mut self, scan: &mut Scan) -> Option<Lent<M, K>> {
        let spot = self.queue.next(scan)?;
        let queued = self.queue.lend(spot)?;
        Some(Lent { spot, queued })
    }

    /// Puts a lent message back in its place. Returns whether somebody has
    /// passed it by meanwhile.
    #[must_use = "who passed it by must look again"]
    pub fn give_back(&mut self, lent: Lent<M, K>) -> bool {
        self.queue.give_back(lent.spot, lent.queued)
    }

    /// Takes a lent message for good.
    pub fn keep(
        &mut self,
        lent: Lent<M, K>,
        now_ns: u64,
        raises: &mut Vec<Raise<K>>,
    ) -> Taken<M, K> {
        self.queue.end(lent.spot);
        self.taken(lent.queued, now_ns, raises)
    }
}
