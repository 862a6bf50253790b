//! How long a call may wait.

use std::time::{Duration, Instant};

/// How long a call may wait. Every waiting call takes one.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use pillarbox::Deadline;
/// let soon = Deadline::after(Duration::from_millis(5));
/// assert!(!soon.has_passed());
/// assert!(Deadline::Now.has_passed());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Wait until it happens, or until a death makes it impossible.
    Never,
    /// Do not wait: fail at once where it cannot be done now.
    Now,
    /// Wait until then.
    At(Instant),
}

impl Deadline {
    /// The deadline `span` from now. A span beyond what the clock can say is
    /// [`Deadline::Never`].
    pub fn after(span: Duration) -> Self {
        Instant::now().checked_add(span).map_or(Deadline::Never, Deadline::At)
    }

    /// Whether it is over.
    pub fn has_passed(self) -> bool {
        match self {
            Deadline::Never => false,
            Deadline::Now => true,
            Deadline::At(when) => Instant::now() >= when,
        }
    }

    /// How long is left; `None` for [`Deadline::Never`].
    pub fn left(self) -> Option<Duration> {
        match self {
            Deadline::Never => None,
            Deadline::Now => Some(Duration::ZERO),
            Deadline::At(when) => Some(when.saturating_duration_since(Instant::now())),
        }
    }

    /// The earlier of this deadline and `when`.
    pub(crate) fn instant_or(self, when: Instant) -> Instant {
        match self {
            Deadline::At(own) => own.min(when),
            Deadline::Now | Deadline::Never => when,
        }
    }

    /// The deadline as an instant, where it is one.
    pub(crate) fn instant(self) -> Option<Instant> {
        match self {
            Deadline::At(when) => Some(when),
            Deadline::Never | Deadline::Now => None,
        }
    }
}
