//! Everything the demo has measured: what `--json` prints, and what the plain
//! text is made of.

use serde::Serialize;

use super::ask::{Forgery, Memory, Visit};
use super::report::Frequent;

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    pub(super) file: String,
    pub(super) lines: u64,
    pub(super) words: u64,
    pub(super) bytes: u64,
    /// What today's `wc` counts as words: runs of bytes without a blank, though
    /// none of them be printable. That of coreutils 9.1 does not.
    pub(super) words_unprintable_included: u64,
    /// How many different words there are. Known exactly when every frequency is.
    pub(super) distinct_words: Option<u64>,
    /// Whether no word that is not listed is more frequent than one that is.
    pub(super) top_is_certain: bool,
    /// By how much the `at_most` of a listed word may be too high.
    pub(super) top_error_at_most: u64,
    pub(super) top: Vec<Top>,
    /// No other word occurs more often than this.
    pub(super) others_at_most: u64,
    pub(super) client_pid: u32,
    pub(super) stream: Stream,
    /// `None` where the file was empty: then there was no part to lose.
    pub(super) killed: Option<Killed>,
    pub(super) call: Call,
    pub(super) gift: Gift,
    pub(super) forgery: Forged,
    pub(super) memory: Memory,
}

/// One of the most frequent words.
#[derive(Debug, Serialize)]
pub(super) struct Top {
    pub(super) word: String,
    pub(super) at_least: u64,
    pub(super) at_most: u64,
}

impl From<&Frequent> for Top {
    fn from(frequent: &Frequent) -> Self {
        Top {
            word: frequent.word.to_string(),
            at_least: frequent.at_least,
            at_most: frequent.at_most,
        }
    }
}

/// A service that was started because its name was looked up.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Started {
    pub(super) name: String,
    pub(super) pid: i32,
    /// From the look-up to the right, the start of the program included.
    pub(super) ready_ns: u64,
}

/// How the file went through the mailboxes.
#[derive(Debug, Serialize)]
pub(super) struct Stream {
    pub(super) counters: Vec<Started>,
    pub(super) parts: u64,
    pub(super) part_bytes: usize,
    /// From the first byte read to the last result added.
    pub(super) span_ns: u64,
    pub(super) megabytes_per_second: f64,
    /// How the length of the file differed from what it was at the start.
    pub(super) expected_bytes: Option<u64>,
}

/// A counter that was killed while it held parts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Killed {
    pub(super) pid: i32,
    pub(super) resident_bytes: u64,
    /// From the signal until its pidfd was readable in the parent.
    pub(super) kernel_knew_ns: u64,
    /// From the signal until the client's call had failed.
    pub(super) client_knew_ns: u64,
    /// The part that it was in the middle of.
    pub(super) part: u64,
    pub(super) part_bytes: u64,
    /// Parts that it held, the one above included.
    pub(super) parts_lost: u64,
    /// Who counted that part in the end.
    pub(super) done_by: i32,
    /// From the news of the death to the result.
    pub(super) done_after_ns: u64,
    /// Who was started in its place, when its name was looked up again.
    pub(super) successor: Option<Started>,
}

/// Calls and their answers.
#[derive(Debug, Serialize)]
pub(super) struct Call {
    pub(super) server_pid: i32,
    pub(super) bytes: usize,
    pub(super) awake_calls: usize,
    pub(super) awake_median_ns: u64,
    pub(super) asleep_calls: usize,
    pub(super) asleep_median_ns: u64,
    pub(super) silence_ms: u64,
}

/// A right that was given away and used.
#[derive(Debug, Serialize)]
pub(super) struct Gift {
    pub(super) guest: Started,
    pub(super) owner_pid: i32,
    pub(super) visit: Visit,
}

/// Rights that were claimed and never given.
#[derive(Debug, Serialize)]
pub(super) struct Forged {
    #[serde(flatten)]
    pub(super) forgery: Forgery,
    /// Tasks the victim was linked with before and afterwards.
    pub(super) links_before: usize,
    pub(super) links_after: usize,
}
