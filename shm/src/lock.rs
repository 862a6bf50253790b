//! A lock that is let go without a locked instruction.
//!
//! The hot path takes five locks for a message, and nobody else wants them. What it
//! costs then are two locked instructions each: one to take it, one to let it go and see
//! at the same moment who sleeps. The second is not needed where whoever goes to sleep
//! has the kernel put a barrier into every thread of this process first: `membarrier`.
//! It costs microseconds, and is paid only before a sleep.
//!
//! Races, numbered here and in `tests/loom_lock.rs`:
//!
//! 9. Who lets go frees the lock and then looks for sleepers; who is about to sleep says
//!    so and then looks at the lock: `lock.sleep`. One of the two sees the other.
//! 10. Who lets go takes the note of one sleeper and rings, and another one hears it:
//!     `lock.bell`. Whoever sleeps left a note after it had read the bell.

#![allow(unsafe_code, reason = "the value of a lock is its holder's (M14)")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU32, compiler_fence, fence};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::{MembarrierCommand, futex, membarrier};
use rustix::time::Timespec;

use crate::refuse::{self, Call};

/// How long who cannot be sure to be woken sleeps at a time.
const UNSURE: Duration = Duration::from_millis(1);

/// What the lock is made of. One source runs on the kernel and under loom.
pub trait Ground {
    /// A number that threads share.
    type Count: Count;
    /// What threads sleep on.
    type Bell: Bell;
    /// Looks at a lock that another thread holds before this one sleeps.
    const LOOKS: u32;

    /// Orders, with a [`heavy`](Ground::heavy) one of another thread, a store before
    /// it with a load after it.
    fn light();

    /// The other side of it. False where it may not have worked.
    fn heavy() -> bool;

    /// Another thread is about to let go, perhaps.
    fn pause();
}

/// A number that threads share.
pub trait Count: Default {
    /// Loads it; orders nothing.
    fn look(&self) -> u32;
    /// Makes one of zero; what was done before the last [`put`](Count::put) is seen.
    fn take(&self) -> bool;
    /// Makes it zero, after all that was done before.
    fn put(&self);
    /// One more; orders nothing.
    fn add(&self);
    /// One less, if there is any; orders nothing.
    fn subtract(&self) -> bool;
}

/// A count that threads sleep on.
pub trait Bell: Default {
    /// How often it was rung.
    fn now(&self) -> u32;
    /// Rings it, and wakes one that sleeps.
    fn ring(&self);
    /// Sleeps while it has been rung as often as was `seen`; not long where nobody is
    /// `sure` to ring.
    fn sleep(&self, seen: u32, sure: bool);
}

/// Who holds a lock, and who waits for it.
///
/// | word     | says                                                            |
/// |----------|-----------------------------------------------------------------|
/// | `held`   | one while somebody holds it                                     |
/// | `asleep` | at least so many sleep, or are about to: one for each that is to be rung for |
/// | `bell`   | how often somebody was woken                                    |
#[derive(Debug)]
pub struct Raw<G: Ground> {
    held: G::Count,
    asleep: G::Count,
    bell: G::Bell,
}

impl<G: Ground> Default for Raw<G> {
    fn default() -> Self {
        Raw { held: G::Count::default(), asleep: G::Count::default(), bell: G::Bell::default() }
    }
}

impl<G: Ground> Raw<G> {
    /// Takes the lock, if nobody holds it.
    #[inline]
    pub fn try_lock(&self) -> bool {
        self.held.take() // pairs: lock.held
    }

    /// Takes the lock; waits for whoever holds it.
    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    /// Lets it go.
    #[inline]
    pub fn unlock(&self) {
        self.held.put(); // pairs: lock.held
        G::light(); // pairs: lock.sleep (race 9)
        if self.asleep.look() != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wait(&self) {
        for _ in 0..G::LOOKS {
            if self.held.look() == 0 && self.try_lock() {
                return;
            }
            G::pause();
        }
        loop {
            let seen = self.bell.now(); // pairs: lock.bell (race 10)
            self.asleep.add();
            let sure = G::heavy(); // pairs: lock.sleep (race 9)
            // Whoever takes it here leaves its note: to take that back might be to take
            // another's. It costs a ring that nobody hears.
            if self.try_lock() {
                return;
            }
            self.bell.sleep(seen, sure);
            if self.try_lock() {
                return;
            }
        }
    }

    #[cold]
    fn wake(&self) {
        if self.asleep.subtract() {
            self.bell.ring(); // pairs: lock.bell (race 10)
        }
    }
}

/// The kernel under it.
#[derive(Debug)]
pub enum Linux {}

/// Whether threads that let go may leave out their fence.
static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
/// Who sleeps has the kernel make a barrier.
const ASYMMETRIC: u8 = 1;
/// The kernel does not know how, or may not: everybody makes their own.
const SYMMETRIC: u8 = 2;

/// Asks the kernel whether it will put barriers into our threads. Who looked at [`MODE`]
/// before makes a fence, which is right either way.
#[cold]
fn find_out() {
    let can = register().is_ok() && barrier().is_ok();
    // Relaxed: whoever sees the old value makes a fence.
    MODE.store(if can { ASYMMETRIC } else { SYMMETRIC }, Relaxed);
}

fn register() -> Result<(), Errno> {
    refuse::at(Call::Membarrier)?;
    membarrier(MembarrierCommand::RegisterPrivateExpedited)
}

fn barrier() -> Result<(), Errno> {
    refuse::at(Call::Membarrier)?;
    membarrier(MembarrierCommand::PrivateExpedited)
}

impl Ground for Linux {
    type Count = AtomicU32;
    type Bell = Ring;
    const LOOKS: u32 = 100;

    #[inline]
    fn light() {
        // Relaxed: see `find_out`.
        match MODE.load(Relaxed) {
            ASYMMETRIC => compiler_fence(SeqCst), // pairs: lock.sleep
            mode => {
                fence(SeqCst); // pairs: lock.sleep
                if mode == UNKNOWN {
                    find_out();
                }
            }
        }
    }

    fn heavy() -> bool {
        fence(SeqCst); // pairs: lock.sleep
        match MODE.load(Relaxed) {
            // Whoever lets go makes a fence.
            SYMMETRIC => true,
            // A child of a fork, or a filter on system calls that came later.
            _ => barrier().or_else(|_| register().and_then(|()| barrier())).is_ok(),
        }
    }

    #[inline]
    fn pause() {
        std::hint::spin_loop();
    }
}

impl Count for AtomicU32 {
    #[inline]
    fn look(&self) -> u32 {
        self.load(Relaxed)
    }

    #[inline]
    fn take(&self) -> bool {
        self.compare_exchange(0, 1, Acquire, Relaxed).is_ok() // pairs: lock.held
    }

    #[inline]
    fn put(&self) {
        self.store(0, Release); // pairs: lock.held
    }

    fn add(&self) {
        self.fetch_add(1, Relaxed);
    }

    fn subtract(&self) -> bool {
        self.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1)).is_ok()
    }
}

/// A bell that is a futex.
#[derive(Debug, Default)]
pub struct Ring(AtomicU32);

impl Bell for Ring {
    fn now(&self) -> u32 {
        self.0.load(Acquire) // pairs: lock.bell
    }

    fn ring(&self) {
        self.0.fetch_add(1, Release); // pairs: lock.bell
        let _ = futex::wake(&self.0, futex::Flags::PRIVATE, 1);
    }

    fn sleep(&self, seen: u32, sure: bool) {
        let while_unsure = Timespec::try_from(UNSURE).ok().filter(|_| !sure);
        let _ = refuse::at(Call::FutexWait).and_then(|()| {
            futex::wait(&self.0, futex::Flags::PRIVATE, seen, while_unsure.as_ref())
        });
    }
}

/// A value that one thread reaches at a time. It knows no poison: a holder that panics
/// lets go, and what it left is what the next one finds.
///
/// # Examples
/// ```
/// let count = shm::lock::Mutex::new(1);
/// *count.lock() += 1;
/// assert_eq!(*count.lock(), 2);
/// assert!(count.try_lock().is_some());
/// ```
#[derive(Default)]
pub struct Mutex<T> {
    raw: Raw<Linux>,
    value: UnsafeCell<T>,
}

// SAFETY: M14: one thread at a time has the value, as if it had been sent there.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: M14: as above; a shared mutex gives out the value to one holder at a time.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A value that nobody holds.
    pub const fn new(value: T) -> Mutex<T> {
        let [held, asleep, bell] = [const { AtomicU32::new(0) }; 3];
        Mutex { raw: Raw { held, asleep, bell: Ring(bell) }, value: UnsafeCell::new(value) }
    }

    /// Waits until nobody holds it, and holds it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.raw.lock();
        MutexGuard { mutex: self, _stays: PhantomData }
    }

    /// Holds it, if nobody does.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // Not before it is held: a guard that is dropped lets go.
        self.raw.try_lock().then(|| MutexGuard { mutex: self, _stays: PhantomData })
    }

    /// The value, which nobody can hold.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_tuple("Mutex").field(&*guard).finish(),
            None => f.write_str("Mutex(held)"),
        }
    }
}

/// Holds a [`Mutex`] while it lives. It stays with its thread.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    _stays: PhantomData<*const ()>,
}

// SAFETY: M14: to share the guard is to share what it gives, a `&T`.
unsafe impl<T: Sync> Sync for MutexGuard<'_, T> {}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: M14: this guard holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: M14: this guard holds the lock, and is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn no_step_of_many_threads_is_lost() {
        const EACH: u64 = 20_000;
        let count = Arc::new(Mutex::new((0_u64, 0_u64)));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    for step in 0..EACH {
                        let mut count = count.lock();
                        count.0 += 1;
                        // Now and then the holder goes away, and the others sleep.
                        if step.is_multiple_of(512) {
                            thread::yield_now();
                        }
                        count.1 += 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*count.lock(), (8 * EACH, 8 * EACH));
    }

    #[test]
    fn who_sleeps_is_woken() {
        let mutex = Arc::new(Mutex::new(0));
        for round in 1..200 {
            let held = mutex.lock();
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let mutex = Arc::clone(&mutex);
                    thread::spawn(move || *mutex.lock() += 1)
                })
                .collect();
            while mutex.raw.asleep.look() < 1 + u32::from(round % 2 == 0) {
                thread::yield_now();
            }
            drop(held);
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(*mutex.lock(), round * 3);
        }
    }

    /// A kernel that makes no barrier, after it had promised to.
    #[derive(Debug)]
    enum Barred {}

    impl Ground for Barred {
        type Count = AtomicU32;
        type Bell = Ring;
        const LOOKS: u32 = 1;

        fn light() {}

        fn heavy() -> bool {
            false
        }

        fn pause() {}
    }

    #[test]
    fn who_cannot_be_sure_to_be_woken_looks_again() {
        let lock = Arc::new(Raw::<Barred>::default());
        lock.lock();
        let other = Arc::clone(&lock);
        let waiter = thread::spawn(move || other.lock());
        while lock.asleep.look() == 0 {
            thread::yield_now();
        }
        // Let go without a look at who sleeps.
        lock.held.put();
        waiter.join().unwrap();
        assert!(!lock.try_lock());
    }

    #[test]
    fn a_holder_that_panics_lets_go() {
        let mutex = Arc::new(Mutex::new(1));
        let other = Arc::clone(&mutex);
        let panicked = thread::spawn(move || {
            let mut held = other.lock();
            *held = 2;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(*mutex.lock(), 2);
    }

    #[test]
    fn it_is_held_by_one() {
        let mutex = Mutex::new(());
        let held = mutex.lock();
        assert!(mutex.try_lock().is_none());
        assert_eq!(format!("{mutex:?}"), "Mutex(held)");
        drop(held);
        assert!(mutex.try_lock().is_some());
    }
}
