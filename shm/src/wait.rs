//! Sleeping: on a word of our own, and on the heads of a few peers.
//!
//! Never on a peer's word alone. The owner of a word can requeue whoever sleeps
//! on it to where nobody wakes them; the private word always gets through.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU32};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::{ClockId, Timespec};

use crate::jump;
use crate::page::PeerPage;
use crate::refuse::{self, Call};

/// The most heads one sleep waits on. What more there are is not slept on.
pub const HEADS: usize = 127;

/// A counter that one thread sleeps on and others of the same process raise.
///
/// | word       | says                                     |
/// |------------|------------------------------------------|
/// | `count`    | how often it was raised                  |
/// | `sleepers` | how many are asleep, or about to be      |
///
/// Both are `SeqCst`: who raises stores `count` and looks at `sleepers`, who
/// sleeps stores `sleepers` and (in the kernel) looks at `count`. In one order
/// of all four, one of them sees the other, and a raise that nobody sleeps
/// through costs no system call.
#[derive(Debug, Default)]
pub struct WakeWord {
    count: AtomicU32,
    sleepers: AtomicU32,
}

impl WakeWord {
    /// A word nobody has raised.
    pub const fn new() -> WakeWord {
        WakeWord { count: AtomicU32::new(0), sleepers: AtomicU32::new(0) }
    }

    /// The count. Read it before looking for work, and sleep with what was read.
    #[inline]
    pub fn now(&self) -> u32 {
        self.count.load(SeqCst) // pairs: wake.count
    }

    /// Raises the count and wakes every sleeper.
    #[inline]
    pub fn raise(&self) {
        self.count.fetch_add(1, SeqCst); // pairs: wake.count
        if self.sleepers.load(SeqCst) != 0 {
            // pairs: wake.sleepers
            let _ = futex::wake(&self.count, futex::Flags::PRIVATE, i32::MAX as u32);
        }
    }
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woke {
    /// Something may have happened: look.
    Maybe,
    /// The deadline has passed.
    Deadline,
    /// A signal was handled.
    Signal,
}

/// Sleeps until `own` is no longer `seen`, or one of `heads` is no longer at the
/// position beside it, or the deadline passes. May return for no reason.
///
/// Announce the sleep, fence and look before calling this. Where
/// [`can_wait_on_heads`] says no, the heads are not slept on: announce
/// `Sleep::Bell` and have the bell raise `own`.
pub fn sleep(
    own: &WakeWord,
    seen: u32,
    heads: &[(&PeerPage, u64)],
    deadline: Option<Instant>,
) -> Woke {
    if own.now() != seen || heads.iter().any(|(page, at)| page.head() != *at) {
        return Woke::Maybe;
    }
    let Ok(until) = deadline.map(monotonic).transpose() else {
        return Woke::Deadline;
    };
    own.sleepers.fetch_add(1, SeqCst); // pairs: wake.sleepers
    let wakes = |own: &WakeWord| {
        own.sleepers.fetch_sub(1, SeqCst); // pairs: wake.sleepers
    };
    let (own, woken) = jump::held(own, wakes, |own| {
        if heads.is_empty() || !can_wait_on_heads() {
            let flags = futex::Flags::PRIVATE;
            refuse::at(Call::FutexWait).and_then(|()| {
                jump::asleep(|| {
                    futex::wait_bitset(&own.count, flags, seen, until.as_ref(), NonZeroU32::MAX)
                })
            })
        } else {
            wait_on_all(own, seen, heads, until.as_ref())
        }
    });
    wakes(own);
    match woken {
        Err(Errno::TIMEDOUT) => Woke::Deadline,
        Err(Errno::INTR) => Woke::Signal,
        _ => Woke::Maybe,
    }
}

/// What is known of `futex_waitv`. Not a `OnceLock`: a fork in the middle would
/// leave it locked for ever.
static CAN: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

/// Whether this kernel lets a thread sleep on several words at once.
pub fn can_wait_on_heads() -> bool {
    // Relaxed: whoever asks the kernel again hears the same.
    match CAN.load(Relaxed) {
        UNKNOWN => {
            // No words at all: EINVAL from a kernel that knows the call.
            let none = futex::WaitvFlags::empty();
            let nothing = futex::waitv(&[], none, None, ClockId::Monotonic);
            let can = !matches!(nothing, Err(Errno::NOSYS | Errno::PERM));
            CAN.store(if can { YES } else { NO }, Relaxed);
            can
        }
        answer => answer == YES,
    }
}

fn wait_on_all(
    own: &WakeWord,
    seen: u32,
    heads: &[(&PeerPage, u64)],
    until: Option<&Timespec>,
) -> Result<(), Errno> {
    let mut waiters = [futex::Wait::new(); HEADS + 1];
    let mut count = 0;
    let count_address = own.count.as_ptr().cast();
    let own_word = std::iter::once((count_address, seen, futex::WaitFlags::PRIVATE));
    let peers = heads.iter().filter_map(|(page, at)| {
        // The low half of the word as it lies in memory, which is its front.
        let front = (*at as u32).to_le();
        Some((page.head_address()?, front, futex::WaitFlags::empty()))
    });
    for (waiter, (address, value, kind)) in waiters.iter_mut().zip(own_word.chain(peers)) {
        waiter.val = u64::from(value);
        waiter.uaddr = futex::WaitPtr::new(address);
        waiter.flags = futex::WaitFlags::SIZE_U32 | kind;
        count += 1;
    }
    // The call is safe in rustix: the kernel only reads at the addresses, and
    // answers EFAULT where nothing is mapped.
    let waiters = waiters.get(..count).unwrap_or_default();
    let flags = futex::WaitvFlags::empty();
    let woken = refuse::at(Call::FutexWaitv)
        .and_then(|()| jump::asleep(|| futex::waitv(waiters, flags, until, ClockId::Monotonic)));
    // Barred since we asked: the heads are slept on no more.
    if matches!(woken, Err(Errno::NOSYS | Errno::PERM)) {
        CAN.store(NO, Relaxed);
    }
    woken.map(|_| ())
}

/// The point of `CLOCK_MONOTONIC` that `deadline` is; an error if it has passed.
pub(crate) fn monotonic(deadline: Instant) -> Result<Timespec, Woke> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Woke::Deadline);
    }
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    // Past the end of the clock is as good as never.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let left = Timespec::try_from(left.min(CENTURY)).map_err(|_| Woke::Maybe);
    Ok(left.map_or(now, |left| now + left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnPage;
    use abi::frame::{Header, Kind};
    use std::sync::Arc;

    const LANE: u32 = abi::limits::LANE_BYTES_MIN;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn a_sleep_with_nothing_to_come_ends_at_its_deadline() {
        let own = WakeWord::new();
        let (_page, _writer, fd) = OwnPage::create(LANE).unwrap();
        let (peer, _reader) = PeerPage::open(fd, LANE).unwrap();
        for heads in [&[][..], &[(&*peer, 0)][..]] {
            let until = soon();
            while sleep(&own, own.now(), heads, Some(until)) == Woke::Maybe {}
            assert!(Instant::now() >= until);
        }
        let past = Instant::now() - Duration::from_secs(1);
        assert_eq!(sleep(&own, own.now(), &[], Some(past)), Woke::Deadline);
    }

    #[test]
    fn what_has_moved_already_lets_nobody_sleep() {
        let own = WakeWord::new();
        let seen = own.now();
        own.raise();
        assert_eq!(sleep(&own, seen, &[], None), Woke::Maybe);
        let (_page, mut writer, fd) = OwnPage::create(LANE).unwrap();
        let (peer, reader) = PeerPage::open(fd, LANE).unwrap();
        let slot = abi::Slot { index: 0, generation: 1 };
        writer.write(&Header::new(Kind::Ask, slot), &[], 0, &peer).unwrap();
        writer.publish();
        let heads = [(&*peer, reader.position())];
        assert_eq!(sleep(&own, own.now(), &heads, None), Woke::Maybe);
    }

    #[test]
    fn a_raise_wakes_every_sleeper() {
        let own = Arc::new(WakeWord::new());
        let seen = own.now();
        let sleepers: Vec<_> = (0..4)
            .map(|_| {
                let own = Arc::clone(&own);
                std::thread::spawn(move || {
                    while own.now() == seen {
                        sleep(&own, seen, &[], None);
                    }
                })
            })
            .collect();
        own.raise();
        for sleeper in sleepers {
            sleeper.join().unwrap();
        }
    }

    #[test]
    fn more_heads_than_a_sleep_takes_do_no_harm() {
        let own = WakeWord::new();
        let (_page, _writer, fd) = OwnPage::create(LANE).unwrap();
        let (peer, _reader) = PeerPage::open(fd, LANE).unwrap();
        let heads = vec![(&*peer, 0); HEADS + 10];
        let until = soon();
        while sleep(&own, own.now(), &heads, Some(until)) == Woke::Maybe {}
    }

    #[test]
    fn a_deadline_beyond_the_clock_is_none() {
        let far = Instant::now() + Duration::from_secs(1 << 40);
        assert!(monotonic(far).is_ok());
    }
}
