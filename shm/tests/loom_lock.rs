//! Every interleaving of threads that want one lock, under loom.
//!
//! The lock is the very source of `src/lock.rs`; the numbers are those of its races. A
//! barrier that the kernel puts into other threads is a fence on either side here: that is
//! what it comes to, wherever it falls. What the twins leave out, and must fail without:
//!
//! | race | between                                              | twin               |
//! |------|------------------------------------------------------|--------------------|
//! | 9    | who lets go, and who lies down                       | no fences          |
//! | 10   | a ring for one sleeper, and another that lies down   | no count of rings  |
//!
//! Run: `cargo xtask loom`
#![cfg(loom)]

mod twin;

use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Arc, Mutex, Notify};
use loom::thread;
use shm::lock::{Bell, Count, Ground, Raw};

/// A number of the model's.
#[derive(Debug, Default)]
struct Number(AtomicU32);

impl Count for Number {
    fn look(&self) -> u32 {
        self.0.load(Relaxed)
    }

    fn take(&self) -> bool {
        self.0.compare_exchange(0, 1, Acquire, Relaxed).is_ok()
    }

    fn put(&self) {
        self.0.store(0, Release);
    }

    fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn subtract(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1)).is_ok()
    }
}

/// A futex: compare and sleep under one lock of the kernel's, which nobody holds while
/// asleep, so that a model that comes to a standstill unwinds. `COUNTED` as it is;
/// otherwise a ring that comes before the sleep is not noticed.
#[derive(Debug, Default)]
struct Futex<const COUNTED: bool> {
    kernel: Mutex<Kernel>,
    wakes: [Notify; 3],
}

#[derive(Debug, Default)]
struct Kernel {
    rung: u32,
    asleep: [bool; 3],
}

impl<const COUNTED: bool> Bell for Futex<COUNTED> {
    fn now(&self) -> u32 {
        self.kernel.lock().unwrap().rung
    }

    fn ring(&self) {
        let woken = {
            let mut kernel = self.kernel.lock().unwrap();
            kernel.rung += 1;
            let woken = kernel.asleep.iter().position(|asleep| *asleep);
            if let Some(woken) = woken {
                kernel.asleep[woken] = false;
            }
            woken
        };
        if let Some(woken) = woken {
            self.wakes[woken].notify();
        }
    }

    fn sleep(&self, seen: u32, sure: bool) {
        assert!(sure, "the model's fence always works");
        let me = {
            let mut kernel = self.kernel.lock().unwrap();
            if COUNTED && kernel.rung != seen {
                return;
            }
            let me = kernel.asleep.iter().position(|asleep| !asleep).expect("a bed");
            kernel.asleep[me] = true;
            me
        };
        loop {
            self.wakes[me].wait();
            if !self.kernel.lock().unwrap().asleep[me] {
                return;
            }
        }
    }
}

/// The lock as it is, or without one of its steps.
#[derive(Debug)]
enum Model<const FENCED: bool, const COUNTED: bool> {}

impl<const FENCED: bool, const COUNTED: bool> Ground for Model<FENCED, COUNTED> {
    type Count = Number;
    type Bell = Futex<COUNTED>;
    const LOOKS: u32 = 0;

    fn light() {
        if FENCED {
            fence(SeqCst);
        }
    }

    fn heavy() -> bool {
        if FENCED {
            fence(SeqCst);
        }
        true
    }

    fn pause() {}
}

/// So many threads take the lock once, beside this one.
fn crowd<G: Ground + 'static>(others: u64)
where
    Raw<G>: Send + Sync,
{
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let shared = Arc::new((Raw::<G>::default(), AtomicU64::new(0)));
        // Two steps, which only the lock makes one, and only it orders.
        let step = |(lock, count): &(Raw<G>, AtomicU64)| {
            lock.lock();
            let seen = count.load(Relaxed);
            count.store(seen + 1, Relaxed);
            lock.unlock();
        };
        let threads: Vec<_> = (0..others)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || step(&shared))
            })
            .collect();
        step(&shared);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(shared.1.load(Relaxed), others + 1);
    });
}

/// Race 9.
#[test]
fn two_threads_have_it_one_after_the_other() {
    crowd::<Model<true, true>>(1);
}

/// Races 9 and 10.
#[test]
fn three_threads_have_it_one_after_the_other() {
    crowd::<Model<true, true>>(2);
}

/// Acts for the tests below; alone it does nothing.
#[test]
fn a_twin() {
    match twin::asked().as_deref() {
        Some("fences") => crowd::<Model<false, true>>(1),
        Some("counts") => crowd::<Model<true, false>>(1),
        _ => {}
    }
}

/// Race 9 without what settles it.
#[test]
fn without_fences_one_sleeps_beside_a_free_lock() {
    twin::comes_to_a_standstill("fences");
}

/// Race 10 without what settles it.
#[test]
fn without_a_count_of_rings_one_sleeps_beside_a_free_lock() {
    twin::comes_to_a_standstill("counts");
}
