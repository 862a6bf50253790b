//! What a queued message counts against who sent it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::Link;

/// What a queued message counts against its sender, in bytes. Dropping it gives them
/// back.
// No message is longer than four bytes say, and each message is larger by this.
#[derive(Debug)]
pub(crate) enum Charge {
    /// The window of a peer.
    Lane(u32, Arc<Link>),
    /// What a bag of a peer's brought.
    Bag(u32, Arc<Link>),
    /// What a peer spilled.
    Spill(u32, Arc<SlotQueue>),
    /// Our own task, in its unbounded ports.
    Own(u32, Arc<AtomicU64>),
}

/// What waits in our queues of what was spilled on one right.
#[derive(Debug)]
pub(crate) struct SlotQueue {
    pub(super) link: Weak<Link>,
    pub(super) bytes: AtomicU64,
}

const _: () = assert!(abi::limits::MESSAGE_BYTES < u32::MAX as u64 / 2);

fn in_four(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Charge {
    pub(super) fn lane(link: &Arc<Link>, bytes: u64) -> Self {
        Charge::Lane(in_four(bytes), Arc::clone(link))
    }

    pub(super) fn bag(link: &Arc<Link>, bytes: u64) -> Self {
        Charge::Bag(in_four(bytes), Arc::clone(link))
    }

    pub(super) fn spilled(queue: &Arc<SlotQueue>, bytes: u64) -> Self {
        Charge::Spill(in_four(bytes), Arc::clone(queue))
    }

    /// Charges our own task, unless that would be more than `most`.
    pub(crate) fn own(queued: &Arc<AtomicU64>, bytes: u64, most: u64) -> Option<Self> {
        let charge = in_four(bytes);
        // Nothing is published by this count.
        let before = queued.fetch_add(u64::from(charge), Ordering::Relaxed);
        let charge = Charge::Own(charge, Arc::clone(queued));
        (before.saturating_add(bytes) <= most).then_some(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        match self {
            Charge::Lane(bytes, link) => {
                if link.task.check().is_ok() {
                    link.return_bytes(u64::from(*bytes));
                }
            }
            Charge::Bag(bytes, link) => {
                link.bag_bytes.fetch_sub(u64::from(*bytes), Ordering::Relaxed);
            }
            Charge::Spill(bytes, queue) => {
                if let Some(link) = queue.link.upgrade().filter(|link| link.task.check().is_ok()) {
                    link.return_spilled(u64::from(*bytes), &queue.bytes);
                }
            }
            Charge::Own(bytes, queued) => {
                queued.fetch_sub(u64::from(*bytes), Ordering::Relaxed);
            }
        }
    }
}
