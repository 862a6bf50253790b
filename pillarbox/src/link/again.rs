//! What dead owners had not read, on its way to the new ones.
//!
//! It was accepted before anything that is sent now, and goes before that. One thread
//! at a time sends it: two would pass each other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::entry::Held;
use super::{Joined, Link};
use crate::message::Message;
use crate::port::After;
use crate::wait::parking::lock;

/// A message that a dead owner had not read, to be sent to the new one.
#[derive(Debug)]
pub(super) struct Again {
    /// The right does not go home before it.
    pub(super) to: Held,
    pub(super) message: Message,
}

/// All that goes to one peer, in order.
#[derive(Debug, Default)]
pub(super) struct AgainQueue {
    waiting: VecDeque<Again>,
    /// A thread sends the first.
    busy: bool,
    /// Another one came meanwhile, perhaps with news of room.
    called: bool,
}

impl Link {
    pub(super) fn keep_again(
        self: &Arc<Self>,
        all: impl Iterator<Item = Again>,
        after: &mut After,
    ) {
        let mut again = lock(&self.again);
        again.waiting.extend(all);
        if !again.waiting.is_empty() {
            self.has_again.store(true, Ordering::Relaxed);
            after.send_again(self);
        }
    }

    /// Whether something goes before what is sent now.
    pub(super) fn has_again(&self) -> bool {
        self.has_again.load(Ordering::Relaxed)
    }

    /// Sends what dead owners had not read, as far as there is room.
    pub(crate) fn push_again(self: &Arc<Self>) {
        loop {
            let Again { to, mut message } = {
                let mut again = lock(&self.again);
                again.called = true;
                if again.busy {
                    return;
                }
                let Some(next) = again.waiting.pop_front() else {
                    // Only now: what is sent after this look is sent after the last.
                    self.has_again.store(false, Ordering::Relaxed);
                    return;
                };
                (again.busy, again.called) = (true, false);
                next
            };
            if message.accepted.is_some() {
                lock(&to.entry().import).left = true;
            }
            let back = match self.send_at_once(to.entry(), message) {
                Ok(()) | Err(None) => None,
                Err(Some(back)) => Some(back),
            };
            let mut again = lock(&self.again);
            again.busy = false;
            let Some(back) = back else { continue };
            message = back;
            again.waiting.push_front(Again { to, message });
            if !again.called {
                return;
            }
        }
    }

    /// The peer is dead: nobody takes it.
    pub(super) fn end_again(&self, after: &mut After) {
        let waiting = std::mem::take(&mut lock(&self.again).waiting);
        for Again { to, message } in waiting {
            after.drop_later(message);
            after.drop_joined(Joined::Send(to));
        }
    }
}
