//! Threads that are known to be asleep, without sleeping ourselves.
//!
//! The kernel says what a thread does. Between telling its number and waiting at
//! a port, a thread of these tests has nothing to sleep for but the port.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::{JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use pillarbox::Deadline;

/// Generous: a test that needs it fails anyway.
const LONG: Duration = Duration::from_secs(60);

/// A deadline no healthy run reaches.
pub(crate) fn long() -> Deadline {
    Deadline::after(LONG)
}

/// A thread's number, once it has told it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Number(Arc<AtomicI32>);

impl Number {
    /// Says that the calling thread is the one.
    pub(crate) fn tell(&self) {
        let number = rustix::thread::gettid().as_raw_nonzero().get();
        self.0.store(number, Ordering::Release);
    }

    /// Waits until the thread sleeps.
    pub(crate) fn asleep(&self) {
        let end = Instant::now() + LONG;
        while Instant::now() < end {
            let number = self.0.load(Ordering::Acquire);
            let stat = std::fs::read_to_string(format!("/proc/self/task/{number}/stat"));
            // The state follows the name, which ends in the last parenthesis.
            let state = stat.ok().and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
            if state == Some('S') {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the thread does not sleep");
    }
}

/// Starts a thread and returns when it sleeps.
pub(crate) fn spawn_asleep<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    act: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let number = Number::default();
    let told = number.clone();
    let thread = scope.spawn(move || {
        told.tell();
        act()
    });
    number.asleep();
    thread
}

/// As [`spawn_asleep`], for a thread that may outlive the test's frame.
pub(crate) fn spawn_asleep_free<T: Send + 'static>(
    act: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let number = Number::default();
    let told = number.clone();
    let thread = std::thread::spawn(move || {
        told.tell();
        act()
    });
    number.asleep();
    thread
}
