//! Words that two tasks share: who may load, who may store, and the fences.
//!
//! The lane is written over these traits, so that one source runs on mapped
//! memory and under loom. Of a peer's memory only relaxed loads of eight bytes
//! are made, since that is all Rust allows on read-only pages; what must be
//! ordered is ordered by explicit fences.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

/// A word somebody else may be storing to.
pub trait Look {
    /// Loads the word; orders nothing.
    fn look(&self) -> u64;

    /// Orders loads before this with everything after it.
    fn acquire();

    /// Orders everything before this with everything after it, in one order for
    /// all tasks.
    fn full();
}

/// A word we alone store to.
pub trait Word: Look {
    /// Stores the word; orders nothing.
    fn set(&self, value: u64);

    /// Stores the word after everything before it.
    fn publish(&self, value: u64);
}

impl Look for AtomicU64 {
    #[inline(always)]
    fn look(&self) -> u64 {
        AtomicU64::load(self, Relaxed)
    }

    #[inline(always)]
    fn acquire() {
        fence(Acquire); // pairs: caller
    }

    #[inline(always)]
    fn full() {
        // SeqCst: two tasks each store one word and then look at the other's
        // (head and sleep, tail and want). Only a fence of one order for all
        // keeps both from looking too early. See `full_fence`.
        fence(SeqCst); // pairs: link.look
    }
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn set(&self, value: u64) {
        AtomicU64::store(self, value, Relaxed);
    }

    #[inline(always)]
    fn publish(&self, value: u64) {
        AtomicU64::store(self, value, Release); // pairs: caller
    }
}

/// A word in memory we may only read.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Shown(AtomicU64);

impl Look for Shown {
    #[inline(always)]
    fn look(&self) -> u64 {
        // Relaxed: all that is allowed on read-only pages.
        self.0.load(Relaxed)
    }

    #[inline(always)]
    fn acquire() {
        <AtomicU64 as Look>::acquire();
    }

    #[inline(always)]
    fn full() {
        <AtomicU64 as Look>::full();
    }
}

#[cfg(loom)]
mod model {
    use super::{Look, Word};
    use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
    use loom::sync::atomic::{AtomicU64, fence};

    impl Look for AtomicU64 {
        fn look(&self) -> u64 {
            AtomicU64::load(self, Relaxed)
        }

        fn acquire() {
            fence(Acquire); // pairs: caller
        }

        fn full() {
            fence(SeqCst); // pairs: link.look
        }
    }

    impl Word for AtomicU64 {
        fn set(&self, value: u64) {
            AtomicU64::store(self, value, Relaxed);
        }

        fn publish(&self, value: u64) {
            AtomicU64::store(self, value, Release); // pairs: caller
        }
    }
}

/// Orders a store of ours before a look at a word of the peer's.
///
/// Needed where each side stores and then looks: a writer publishes its head and
/// looks whether the reader sleeps; a reader says that it sleeps and looks at
/// the head. Without the fence both may look too early, and the reader sleeps on
/// a message.
#[inline]
pub fn full_fence() {
    <AtomicU64 as Look>::full();
}
