//! How long calls take, of some of them.
//!
//! To look at the clock twice costs more than a message may. So the first calls are
//! timed, and of the rest one in [`ONE_OF`].

use crate::core::TaskCore;
use crate::metrics::Latencies;
use crate::wait::parking::{Mutex, lock};

/// The first so many are timed.
const FIRST: u64 = 64;

/// Then, one of so many.
const ONE_OF: u64 = 32;

/// A reading of the clock, or none where the time is not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Since(u64);

/// How long the calls of one task took.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// Those it made, until the answer was here.
    pub(crate) calling: Mutex<Latencies>,
    /// Those of other tasks, from when they were read to when the answer was written.
    pub(crate) answering: Mutex<Latencies>,
}

impl Since {
    /// The time is not taken.
    pub(crate) const NEVER: Since = Since(0);

    /// Now, if the call with this number is to be timed.
    #[inline]
    pub(crate) fn of(number: u64, task: &TaskCore) -> Since {
        if number < FIRST || number.is_multiple_of(ONE_OF) {
            Since::now(task)
        } else {
            Since::NEVER
        }
    }

    #[cold]
    fn now(task: &TaskCore) -> Since {
        Since(task.now_ns().max(1))
    }

    /// The call is over.
    #[inline]
    pub(crate) fn over(self, task: &TaskCore, took: impl Fn(&Times) -> &Mutex<Latencies>) {
        if self != Since::NEVER {
            self.count(task, took(&task.counters.times));
        }
    }

    #[cold]
    fn count(self, task: &TaskCore, took: &Mutex<Latencies>) {
        let now_ns = task.now_ns();
        lock(took).add(now_ns.saturating_sub(self.0));
    }
}
