//! A call that comes from the loop itself, again and again: as long as it comes,
//! requests are answered. A watchdog is told by it.

use std::fmt;
use std::time::{Duration, Instant};

/// What is called, and when next.
pub(crate) struct Pulse {
    every: Duration,
    next: Instant,
    beat: Box<dyn FnMut() + Send>,
}

impl fmt::Debug for Pulse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pulse").field("every", &self.every).finish_non_exhaustive()
    }
}

impl Pulse {
    pub(crate) fn new(every: Duration, beat: impl FnMut() + Send + 'static) -> Self {
        // A span the clock cannot say never ends; a day is as good.
        let every = every.clamp(Duration::from_millis(1), Duration::from_secs(24 * 3600));
        Pulse { every, next: Instant::now(), beat: Box::new(beat) }
    }

    /// When it comes next.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Calls, if it is time to.
    pub(crate) fn turn(&mut self, now: Instant) {
        if self.next <= now {
            self.next = now + self.every;
            (self.beat)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn it_comes_once_in_its_span_however_often_it_is_looked_at() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let span = Duration::from_secs(2);
        let mut pulse = Pulse::new(span, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let start = pulse.next();
        for (after_s, beats) in [(0, 1), (0, 1), (1, 1), (2, 2), (3, 2), (60, 3), (61, 3)] {
            pulse.turn(start + Duration::from_secs(after_s));
            assert_eq!(count.load(Ordering::Relaxed), beats, "after {after_s} s");
        }
    }
}
