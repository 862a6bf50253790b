//! One clock for all processes of the demo, and spans of time in words.
//!
//! The monotonic clock is the machine's, so a moment one process has noted can
//! be compared with another's.

use std::time::Duration;

use pillarbox::Deadline;
use rustix::time::{ClockId, clock_gettime};

/// A deadline no healthy run comes near, even on a machine with other work.
pub(super) fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// Nanoseconds since the machine was started.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, rest) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Says how long something took, with two or three digits that mean something.
pub(super) fn span(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = if value < 10.0 { 1 } else { 0 };
    let digits = if unit == "s" { 2 } else { digits };
    format!("{value:.digits$} {unit}")
}

/// The middle one of some spans.
pub(super) fn median(spans: &mut [u64]) -> u64 {
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_their_unit() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_540, "1.5 µs"),
            (15_400, "15 µs"),
            (2_340_000, "2.3 ms"),
            (76_000_000, "76 ms"),
            (1_234_000_000, "1.23 s"),
        ];
        for (ns, said) in cases {
            assert_eq!(span(ns), said);
        }
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&mut [9, 1, 5]), 5);
        assert_eq!(median(&mut []), 0);
    }
}
