//! What a file holds: counts and the most frequent words.
//!
//! The counts are always exact. Frequencies are exact while the file has up to
//! [`WORDS_MAX`](super::tally::WORDS_MAX) distinct words. Beyond, each comes
//! with the two numbers it lies between.

use std::cmp::Ordering;
use std::fmt;

use super::part::Counts;
use super::tally::{Entry, Tally};
use super::words::Word;

/// How many words a report names.
pub(crate) const TOP: usize = 10;

/// A word among the most frequent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frequent {
    pub(crate) word: Word,
    pub(crate) at_least: u64,
    /// Equal to `at_least` unless the file has too many distinct words.
    pub(crate) at_most: u64,
}

impl fmt::Display for Frequent {
    /// Shows a count that is not exact as `120..125`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word, self.at_least)?;
        if self.at_most > self.at_least { write!(f, "..{}", self.at_most) } else { Ok(()) }
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Always exact.
    pub(crate) counts: Counts,
    /// The number of distinct words, unless there are too many to be exact.
    pub(crate) distinct: Option<u64>,
    /// The most frequent words, up to [`TOP`]. The most frequent comes first;
    /// words of one frequency are in bytewise order.
    pub(crate) top: Vec<Frequent>,
    /// No word outside `top` occurs more often than this.
    pub(crate) others_at_most: u64,
}

impl Report {
    pub(super) fn new(counts: Counts, tally: &Tally) -> Self {
        let mut top: Vec<Entry<'_>> = Vec::with_capacity(TOP + 1);
        let mut others_at_most = tally.floor();
        for entry in tally.entries() {
            let rank = top.partition_point(|other| compare(other, &entry) == Ordering::Less);
            if rank < TOP {
                top.insert(rank, entry);
            } else {
                others_at_most = others_at_most.max(entry.at_most());
            }
            if top.len() > TOP {
                others_at_most = others_at_most.max(top.pop().map_or(0, |last| last.at_most()));
            }
        }
        let frequent = |entry: &Entry<'_>| Frequent {
            word: entry.key.into(),
            at_least: entry.count,
            at_most: entry.at_most(),
        };
        Self {
            counts,
            distinct: (tally.floor() == 0).then(|| tally.len() as u64),
            top: top.iter().map(frequent).collect(),
            others_at_most,
        }
    }

    /// Returns whether every frequency is exact.
    pub(crate) fn is_exact(&self) -> bool {
        self.distinct.is_some()
    }

    /// Returns by how much an `at_most` of `top` may be too high.
    pub(crate) fn max_overcount(&self) -> u64 {
        self.top.iter().map(|word| word.at_most - word.at_least).max().unwrap_or(0)
    }

    /// Returns whether `top` certainly names the most frequent words, though
    /// perhaps not in their order.
    pub(crate) fn top_is_certain(&self) -> bool {
        let least = self.top.iter().map(|word| word.at_least).min();
        self.is_exact() || least.is_some_and(|least| least >= self.others_at_most)
    }
}

fn compare(a: &Entry<'_>, b: &Entry<'_>) -> Ordering {
    b.count.cmp(&a.count).then_with(|| a.key.compare(&b.key))
}
