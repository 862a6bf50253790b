//! Answers to claims that their claimer may not hear of by itself.
//!
//! Who claimed a right most often waits for the answer and reads it while it spins: a
//! bell would only wake its background thread, which finds nothing. But the right may
//! have been let go meanwhile, nobody there wait for anything, and others depend on what
//! is done with the answer. So who has answered rings where the answer is still unread
//! before it goes back to its user, or once it has slept for
//! [`limits::PATIENCE_NS`](abi::limits::PATIENCE_NS).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use abi::limits;

use crate::core::TaskCore;
use crate::link::Link;
use crate::wait::parking::{Mutex, lock};

/// Links with answers that may be unread, each once.
#[derive(Debug, Default)]
pub(crate) struct Unheard {
    any: AtomicBool,
    answered: Mutex<Answered>,
}

#[derive(Debug, Default)]
struct Answered {
    links: Vec<Weak<Link>>,
    /// When they are rung for at the latest, once somebody has asked.
    due: Option<Instant>,
}

impl TaskCore {
    /// A claim of the peer's was answered. Whoever ends the turn calls
    /// [`TaskCore::ring_unheard`], or bounds its sleep by [`TaskCore::heard_by`].
    pub(crate) fn ring_later(&self, link: &Arc<Link>) {
        let mut answered = lock(&self.unheard.answered);
        if !answered.links.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(link))) {
            answered.links.push(Arc::downgrade(link));
        }
        // Relaxed: it is looked at again by this thread, and whoever finds the list empty
        // came after somebody who rang.
        self.unheard.any.store(true, Ordering::Relaxed);
    }

    /// Rings where an answer has not been read.
    pub(crate) fn ring_unheard(&self) {
        if !self.unheard.any.load(Ordering::Relaxed) {
            return;
        }
        self.unheard.any.store(false, Ordering::Relaxed);
        let answered = std::mem::take(&mut *lock(&self.unheard.answered));
        for link in answered.links.iter().filter_map(Weak::upgrade) {
            if link.is_unread() {
                link.ring_awake();
            }
        }
    }

    /// Until when a thread may sleep that would sleep until then: where answers are
    /// unread, no longer than our patience. When that is over it rings.
    pub(crate) fn heard_by(&self, until: Option<Instant>) -> Option<Instant> {
        if !self.unheard.any.load(Ordering::Relaxed) {
            return until;
        }
        let due = {
            let mut answered = lock(&self.unheard.answered);
            answered.links.retain(|link| link.upgrade().is_some_and(|link| link.is_unread()));
            if answered.links.is_empty() {
                answered.due = None;
                self.unheard.any.store(false, Ordering::Relaxed);
                return until;
            }
            let now = Instant::now();
            let patience = Duration::from_nanos(limits::PATIENCE_NS);
            Some(*answered.due.get_or_insert(now + patience)).filter(|due| *due > now)
        };
        let Some(due) = due else {
            self.ring_unheard();
            return until;
        };
        Some(until.map_or(due, |until| until.min(due)))
    }
}
