//! A receiver that leaves a rendezvous.
//!
//! Its place may have been granted to a sender of another task, which is a round
//! trip away: that sender has published its message already, or will the moment
//! it looks, or has given up and says so. Until it has spoken nobody knows
//! whether the receiver met it. So a receiver whose deadline comes waits for that
//! word, as a sender that may not wait does, and no longer. A place that is still
//! out then is written off: its message, if it comes, is the next receiver's.

use std::sync::Arc;

use rights::window::Capacity;

use super::after::After;
use super::state::PortState;
use super::{Deadline, PortCore, WORD, Waiter, lock};

impl PortState {
    /// Whether a place that a receiver opened is granted and not yet used.
    fn awaits_word(&self) -> bool {
        let window = &self.queue.window;
        window.capacity() == Capacity::Rendezvous && window.promised() > 0
    }

    /// A place came back unused: a receiver may be waiting to hear just that.
    pub(super) fn wake_for_word(&self, after: &mut After) {
        if self.queue.window.capacity() == Capacity::Rendezvous {
            for receiver in &self.receivers {
                after.wake(Arc::clone(&receiver.waiter));
            }
        }
    }
}

impl PortCore {
    /// Waits for the word of a sender that has the place this receiver opened.
    pub(super) fn wait_for_word<R>(
        &self,
        mut look: impl FnMut(&Arc<Waiter>) -> Option<R>,
    ) -> Option<R> {
        if !lock(&self.state).awaits_word() {
            return None;
        }
        let word = |waiter: &Arc<Waiter>| match look(waiter) {
            Some(found) => Some(Some(found)),
            None if lock(&self.state).awaits_word() => None,
            None => Some(None),
        };
        self.task.wait(Deadline::after(WORD), None, word).flatten()
    }
}
