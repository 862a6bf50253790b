//! Every interleaving of a thread that wakes and goes with a peer that writes, under
//! loom.
//!
//! The protocol is that of `pillarbox/src/wait.rs`. A thread has said that it sleeps on
//! the heads. Another thread of its task brings what it waits for; it wakes, says that it
//! is awake, and goes back to its user. A peer that publishes a frame and finds it asleep
//! wakes it by the head, and rings no bell: it takes the thread's word that it will look.
//!
//! | race | between                                                            |
//! |------|--------------------------------------------------------------------|
//! | 15   | who is woken by another and goes, and a peer that publishes         |
//!
//! It is settled by a look into the lanes after the word is taken back, with a fence
//! between. The twins leave out the one or the other, and must fail.
//!
//! Run: `cargo xtask loom`
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU64, fence};
use loom::thread;

/// The words of a reader that sleeps on the head.
const ASLEEP: u64 = 1;
const AWAKE: u64 = 0;

/// Which steps are left out.
#[derive(Clone, Copy, Default)]
struct Without {
    /// Who goes looks at nothing.
    look: bool,
    /// It looks, and what it said may be seen after that.
    fence: bool,
}

#[derive(Default)]
struct Words {
    /// The peer's: how many frames it has published.
    head: AtomicU64,
    /// Ours: how we wait.
    sleep: AtomicU64,
    /// Somebody else brought what the thread waits for.
    raised: AtomicBool,
    /// A bell, which another thread of ours hears.
    bell: AtomicBool,
}

fn run(without: Without) {
    loom::model(move || {
        let words = Arc::new(Words::default());
        // It has announced its sleep, and looked.
        words.sleep.store(ASLEEP, Relaxed);
        let peer = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                words.head.store(1, Release);
                fence(SeqCst);
                if words.sleep.load(Relaxed) == AWAKE {
                    words.bell.store(true, Relaxed);
                }
            })
        };
        let other = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.raised.store(true, Release))
        };
        // Awake by whatever came first, or by nothing: a futex may return at any time.
        let found = words.raised.load(Acquire);
        words.sleep.store(AWAKE, Relaxed);
        if !without.fence {
            fence(SeqCst);
        }
        // Who has found nothing looks in any case.
        let read = (!found || !without.look) && words.head.load(Acquire) > 0;
        peer.join().unwrap();
        other.join().unwrap();
        assert!(read || words.bell.load(Relaxed), "the frame lies there unread");
    });
}

/// Race 15: the frame is read, or a bell was rung for it.
#[test]
fn a_frame_that_nobody_rang_for_is_read() {
    run(Without::default());
}

#[test]
#[should_panic(expected = "the frame lies there unread")]
fn without_a_look_a_frame_lies_unread() {
    run(Without { look: true, ..Without::default() });
}

#[test]
#[should_panic(expected = "the frame lies there unread")]
fn without_a_fence_a_frame_lies_unread() {
    run(Without { fence: true, ..Without::default() });
}
