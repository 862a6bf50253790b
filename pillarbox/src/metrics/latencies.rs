//! How long things took: a histogram of a fixed size.
//!
//! Four buckets for each doubling, from 256 ns to 4 s: a quantile is told as the end of
//! its bucket, at most a quarter more than it was.

use serde::{Deserialize, Serialize};

/// Doublings, the first of which ends at twice [`LEAST_NS`].
const DOUBLINGS: u32 = 24;

/// Buckets for each doubling, as a power of two.
const PARTS_BITS: u32 = 2;

/// What takes less is as quick as this.
const LEAST_NS: u64 = 1 << LEAST_BITS;
const LEAST_BITS: u32 = 8;

/// How many buckets there are.
const BUCKETS: usize = (DOUBLINGS << PARTS_BITS) as usize;

/// How long things took.
///
/// # Examples
/// ```
/// use pillarbox::kernel::Latencies;
/// let mut took = Latencies::default();
/// for _ in 0..99 {
///     took.add(1_000);
/// }
/// took.add(1_000_000);
/// let middle = took.quantile_ns(0.5).unwrap();
/// assert!((1_000..=1_250).contains(&middle));
/// assert!(took.quantile_ns(1.0).unwrap() >= 1_000_000);
/// assert_eq!(Latencies::default().quantile_ns(0.5), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// One count for each bucket, as far as any was needed.
    counts: Vec<u64>,
}

impl Latencies {
    /// Counts one that took so long.
    pub fn add(&mut self, took_ns: u64) {
        let bucket = bucket_of(took_ns);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        // Another task may say what it likes.
        self.counts.iter().take(BUCKETS).fold(0, |all, count| all.saturating_add(*count))
    }

    /// How long that share of them took at most: 0.5 for the median, 0.99 for all but
    /// one in a hundred. `None` where none was counted.
    pub fn quantile_ns(&self, share: f64) -> Option<u64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "a share of a count is no more exact")]
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within count")]
        let wanted = ((all as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, all);
        let mut seen = 0_u64;
        let mut counts = self.counts.iter().take(BUCKETS);
        let bucket = counts.position(|count| {
            seen = seen.saturating_add(*count);
            seen >= wanted
        });
        bucket.map(end_of)
    }

    /// What was counted since `earlier` was read of the same task.
    #[must_use]
    pub fn since(&self, earlier: &Latencies) -> Latencies {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().take(BUCKETS).zip(before);
        Latencies { counts: counts.map(|(now, before)| now.saturating_sub(before)).collect() }
    }
}

fn bucket_of(took_ns: u64) -> usize {
    let took = took_ns.max(LEAST_NS);
    let doubling = took.ilog2();
    let part = (took >> (doubling - PARTS_BITS)) & ((1 << PARTS_BITS) - 1);
    let bucket = (u64::from(doubling - LEAST_BITS) << PARTS_BITS) + part;
    usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest that falls into this bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doubling = LEAST_BITS as u64 + (bucket >> PARTS_BITS);
    let part = (bucket & ((1 << PARTS_BITS) - 1)) + (1 << PARTS_BITS) + 1;
    (part << (doubling - u64::from(PARTS_BITS))) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_a_quarter_more_than_it_was() {
        for took in [256, 257, 319, 320, 1_000, 4_095, 4_096, 99_999, 1 << 30, (1 << 32) - 1] {
            let mut one = Latencies::default();
            one.add(took);
            let told = one.quantile_ns(0.5).unwrap();
            assert!(took <= told && told <= took + took / 4, "{took} {told}");
        }
    }

    #[test]
    fn what_is_quicker_or_slower_than_all_buckets_is_in_the_first_or_the_last() {
        let mut took = Latencies::default();
        took.add(0);
        took.add(u64::MAX);
        assert_eq!((took.count(), took.counts.len()), (2, BUCKETS));
        assert_eq!(took.quantile_ns(0.0), Some(319));
        assert_eq!(took.quantile_ns(1.0), Some((1 << 32) - 1));
    }

    #[test]
    fn what_another_task_says_is_bounded() {
        let lies = Latencies { counts: vec![u64::MAX; 10 * BUCKETS] };
        assert_eq!(lies.count(), u64::MAX);
        assert_eq!(lies.quantile_ns(f64::NAN), Some(319));
        assert_eq!(lies.since(&lies).count(), 0);
        assert!(Latencies::default().since(&lies).quantile_ns(0.5).is_none());
    }

    #[test]
    fn a_span_is_what_was_counted_in_it() {
        let mut took = Latencies::default();
        took.add(1_000);
        let before = took.clone();
        took.add(1 << 20);
        let since = took.since(&before);
        assert_eq!(since.count(), 1);
        assert!(since.quantile_ns(0.01).unwrap() >= 1 << 20);
    }
}
