//! Answers that come before the news they are made of.
//!
//! A new owner that has fewer of our messages than we sent says with that that the
//! old owner is dead. We may hear of the death later than it did. What the old owner
//! had not read lies in our lane to it, and is taken back when we bury it; so the
//! answer waits until then. Taken at once it would let what we send now go before,
//! and what was unread would be nobody's.

use std::sync::Arc;

use super::{Join, Joined, Link};
use crate::port::After;
use crate::wait::parking::lock;

/// The answers that wait for the burial of one peer.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// What it had not read was taken back.
    over: bool,
    waiting: Vec<(Arc<Join>, Joined, u64)>,
}

impl Link {
    /// Keeps the answer to a claim until the peer, which had the port before, is
    /// buried. Gives it back where it is.
    pub(super) fn keep_early(
        &self,
        join: &Arc<Join>,
        joined: Joined,
        have: u64,
    ) -> Result<(), Joined> {
        let mut early = lock(&self.early);
        if early.over {
            return Err(joined);
        }
        early.waiting.push((Arc::clone(join), joined, have));
        Ok(())
    }

    /// What the peer had not read was taken back: the answers that waited for that
    /// count now.
    pub(super) fn end_early(&self, after: &mut After) {
        let waiting = {
            let mut early = lock(&self.early);
            early.over = true;
            std::mem::take(&mut early.waiting)
        };
        for (join, joined, have) in waiting {
            join.follow_joined(joined, have, after);
        }
    }

    /// The peer says that it is alive, and something else of the port: the answer was
    /// none. Returns whether there was one.
    pub(super) fn forget_early(&self, join: &Arc<Join>, after: &mut After) -> bool {
        let mut early = lock(&self.early);
        let place = early.waiting.iter().position(|(other, ..)| Arc::ptr_eq(other, join));
        let Some(place) = place else { return false };
        let (_, joined, _) = early.waiting.swap_remove(place);
        drop(early);
        after.drop_joined(joined);
        true
    }
}
