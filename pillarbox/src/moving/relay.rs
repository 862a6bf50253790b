//! Promises that an old owner passes on.
//!
//! Who keeps such a promise writes to us, and who waits for it is elsewhere. So as
//! long as any is out our peers ring, as they do where a future waits: our threads may
//! never come into the library again.

use std::sync::atomic::Ordering;

use super::gone::Gone;
use crate::background::Job;

impl Gone {
    /// Promises are out whose word is to be passed on. May be called under any lock.
    pub(crate) fn begin_to_relay(&self) {
        if !self.relays.swap(true, Ordering::Relaxed) {
            let task = &self.link.task;
            // Relaxed: the job is handed over after it.
            task.sleepers.futures.fetch_add(1, Ordering::Relaxed);
            // There the bells are listened for.
            task.job(Job::Bequests);
        }
    }

    /// None is out any more, or nobody is there to hear of them.
    pub(crate) fn end_relay(&self) {
        if self.relays.swap(false, Ordering::Relaxed) {
            self.link.task.sleepers.futures.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
