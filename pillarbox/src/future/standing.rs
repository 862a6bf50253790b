//! How a future waits: look, drain, spin, stand, and no thread.
//!
//! A future that ends a poll with `Pending` stands with its waker where its
//! waker will be found: at the port, the reply cell, the link. It takes no
//! thread and no timer. While threads of the task sleep, their sentinel drains
//! for it. While none does, every link is announced as `bell`, the peers ring,
//! and the background thread, or who calls [`crate::Task::turn`], drains.
//!
//! Races, each between one that waits and one that would wake it:
//!
//! 1. *What is looked for comes between the look and the `Pending`.* The waiter
//!    stands in its place from the look on, under the lock of what it looks at.
//!    Who brings something raises its word, then takes its waker; we leave the
//!    waker, then look at the word.
//! 2. *A frame is published between the last look at the heads and the
//!    announcement.* Announce, fence, look: the pair `lane.sleep`, as for a
//!    sentinel. What is seen is drained by us; what is not is rung for.
//! 3. *A bell was rung and its number is used up.* Its byte lies in the socket
//!    until somebody has read it: the background thread, a turn, or who takes a
//!    frame with descriptors. Whoever has read it announces anew, under
//!    `sleepers.seat`, if a future waits by then; a future that comes later finds
//!    `on_bells` false there and announces itself.
//! 4. *A sentinel leaves, which has announced itself awake.* It empties the seat
//!    after that, under the same lock. A future that came before is seen by it
//!    in `leave_wait`; one that comes after finds the seat empty.
//! 5. *A thread looks into the lanes by itself, and has told the peers to be silent.* It
//!    announces the bells again when it ends, before it does anything else: announce,
//!    fence, look, as in 2. Another that ends before it lets bells ring for nothing.
//! 6. *A future that was told is dropped, or never polled again.* Dropped, it
//!    tells the next of its port. While it lives unpolled, a second message
//!    goes to the next.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use abi::limits;
use abi::page::Sleep;

use crate::core::TaskCore;
use crate::link::Link;
use crate::wait::parking::lock;
use crate::wait::{Spin, Waiter};

/// A future's place among those that wait.
#[derive(Debug)]
pub(crate) struct Standing {
    waiter: Arc<Waiter>,
    /// The task among whose waiting futures it is counted.
    counted: Option<Arc<TaskCore>>,
    /// When it was last left to its waker.
    left_at: Option<Instant>,
}

impl Default for Standing {
    fn default() -> Self {
        Standing { waiter: Waiter::of_future(), counted: None, left_at: None }
    }
}

impl Standing {
    pub(crate) fn waiter(&self) -> &Arc<Waiter> {
        &self.waiter
    }

    /// Looks as a waiting thread does, but for the sleep.
    ///
    /// `look` must leave the waiter where its waker will find it.
    pub(crate) fn poll<T>(
        &mut self,
        task: &Arc<TaskCore>,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&Arc<Waiter>) -> Option<T>,
    ) -> Poll<T> {
        // What is brought while we run wakes nobody: we look again.
        let seen = self.waiter.come();
        let left_at = self.left_at.take();
        if let Some(found) = look(&self.waiter) {
            if let Some(left_at) = left_at {
                Spin::slept(left_at.elapsed());
            }
            self.leave();
            return Poll::Ready(found);
        }
        let drained = task.drain() || task.spin(&self.waiter, seen) && task.drain();
        if drained && let Some(found) = look(&self.waiter) {
            self.leave();
            return Poll::Ready(found);
        }
        self.waiter.set_waker(Some(cx.waker()));
        if self.counted.is_none() {
            task.sleepers.futures.fetch_add(1, Ordering::Relaxed);
            self.counted = Some(Arc::clone(task));
        }
        task.listen_for_bells();
        // Only one who was raised since has anything to find.
        if self.waiter.now() != seen
            && let Some(found) = look(&self.waiter)
        {
            self.leave();
            return Poll::Ready(found);
        }
        self.left_at = Some(Instant::now());
        Poll::Pending
    }

    /// Waits no more.
    pub(crate) fn leave(&mut self) {
        if let Some(task) = self.counted.take() {
            task.sleepers.futures.fetch_sub(1, Ordering::Relaxed);
        }
        self.waiter.set_waker(None);
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        // In a forked child somebody may have held the waker's lock for ever.
        if self.counted.as_ref().is_none_or(|task| task.check().is_ok()) {
            self.leave();
        }
    }
}

/// Turns of draining before the rest is left to the background thread: a peer
/// that writes as fast as we read does not keep a poll from its end.
const TURNS: u32 = 8;

/// So many links are told of a thread that looks by itself.
const HUSHED: usize = 16;

/// A look into the lanes during which futures that wait need no bell. When it ends the
/// bells are listened for again, and what came since is read.
#[derive(Debug)]
#[must_use = "the bells are silent only as long as it lives"]
pub(crate) struct Hush<'a>(Option<&'a TaskCore>);

impl Drop for Hush<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.0 {
            task.listen_for_bells();
        }
    }
}

/// Links whose bell is rung once where their peer has not read in time what
/// futures wait for. A thread rings after so long itself.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    due_ns: Option<u64>,
    links: Vec<Weak<Link>>,
    /// Who tries again what the system has refused.
    again: Vec<Arc<Waiter>>,
}

impl TaskCore {
    /// Sees to it that somebody hears of what comes next, where futures wait and
    /// no thread sits on the heads.
    pub(crate) fn listen_for_bells(&self) {
        // Relaxed: who counted itself under the lock below before we held it is
        // seen; who does so after us sees what we left.
        if self.sleepers.futures.load(Ordering::Relaxed) == 0 {
            return;
        }
        let links = self.links();
        {
            let mut seat = lock(&self.sleepers.seat);
            if seat.sentinel.is_some() || seat.on_bells {
                return;
            }
            seat.on_bells = true;
            seat.number += 1;
            for link in links.iter() {
                link.announce_bell(seat.number);
            }
        }
        // Announce, fence, look; the writer publishes, fences, looks.
        shm::full_fence(); // pairs: lane.sleep
        for _ in 0..TURNS {
            if !links.iter().any(|link| link.has_frames()) {
                return;
            }
            self.drain();
        }
        self.poke();
    }

    /// Somebody looks into the lanes itself for a while: no bell need be rung meanwhile.
    /// `None` where futures wait and there are too many links to tell.
    #[inline]
    pub(crate) fn hush(&self) -> Option<Hush<'_>> {
        // Relaxed: a future that comes meanwhile announces itself.
        match self.sleepers.futures.load(Ordering::Relaxed) {
            0 => Some(Hush(None)),
            _ => self.hush_bells(),
        }
    }

    fn hush_bells(&self) -> Option<Hush<'_>> {
        let links = self.links();
        if links.len() > HUSHED {
            return None;
        }
        let mut seat = lock(&self.sleepers.seat);
        if seat.sentinel.is_none() && std::mem::take(&mut seat.on_bells) {
            links.iter().for_each(|link| link.announce(Sleep::Awake));
        }
        Some(Hush(Some(self)))
    }

    /// The background thread's part: what a flood left in the lanes.
    pub(crate) fn drain_for_futures(&self) {
        if self.sleepers.futures.load(Ordering::Relaxed) > 0
            && self.links().iter().any(|link| link.has_frames())
        {
            self.drain_after_bell(&[]);
        }
    }

    /// A future waits for something of this peer's. If the peer neither reads what was
    /// written nor was woken to do so, all its threads may be in user code: then its bell
    /// is rung, once, after [`limits::PATIENCE_NS`].
    pub(crate) fn be_patient(&self, link: &Arc<Link>) {
        if link.will_be_read() {
            return;
        }
        let first = {
            let mut patience = lock(&self.patience);
            if !patience.links.iter().any(|other| std::ptr::eq(other.as_ptr(), &raw const **link)) {
                patience.links.push(Arc::downgrade(link));
            }
            let first = patience.due_ns.is_none();
            patience.due_ns.get_or_insert(self.now_ns().saturating_add(limits::PATIENCE_NS));
            first
        };
        if first {
            self.poke();
        }
    }

    /// A future tries again, in [`limits::PATIENCE_NS`], what the system has refused:
    /// nobody says when it would not.
    pub(crate) fn wake_soon(&self, waiter: &Arc<Waiter>) {
        let first = {
            let mut patience = lock(&self.patience);
            if !patience.again.iter().any(|other| Arc::ptr_eq(other, waiter)) {
                patience.again.push(Arc::clone(waiter));
            }
            let first = patience.due_ns.is_none();
            patience.due_ns.get_or_insert(self.now_ns().saturating_add(limits::PATIENCE_NS));
            first
        };
        if first && self.start_background().is_ok() {
            self.poke();
        }
    }

    /// Rings where patience is at its end. Returns when it will be.
    pub(crate) fn lose_patience(&self) -> Option<u64> {
        let (links, again) = {
            let mut patience = lock(&self.patience);
            let due = patience.due_ns?;
            if due > self.now_ns() {
                return Some(due);
            }
            patience.due_ns = None;
            (std::mem::take(&mut patience.links), std::mem::take(&mut patience.again))
        };
        for waiter in again {
            waiter.raise();
        }
        for link in links.iter().filter_map(Weak::upgrade) {
            if link.is_unread() {
                link.ring_now();
            }
        }
        None
    }
}
