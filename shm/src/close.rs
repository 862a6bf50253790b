//! Closing what a peer sent and nobody took.
//!
//! The last close of a foreign descriptor may wait for whoever is behind it: a
//! file system in user space, a tape, a lingering socket. So it is done by a
//! thread that nothing waits for. It is started when first needed, sleeps when
//! there is nothing to close, and stays.
#![allow(unsafe_code, reason = "one pointer to a value that is never freed (M9)")]

use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::fork::{Epoch, epoch_to_create_in};
use crate::thread::spawn_quiet;

/// Batches that may wait to be closed: the descriptors of as many messages.
const BATCHES: usize = 1024;

struct Closer {
    epoch: Epoch,
    queue: SyncSender<Vec<OwnedFd>>,
}

/// The thread of this epoch. Never freed: one per life of the process.
static CLOSER: AtomicPtr<Closer> = AtomicPtr::new(ptr::null_mut());

/// Closes `descriptors` soon, elsewhere.
///
/// Where no thread can be had, or a thousand batches wait already because one
/// blocks, they are closed here and now.
pub fn close_later(descriptors: Vec<OwnedFd>) {
    if descriptors.is_empty() {
        return;
    }
    match closer() {
        // What cannot be queued comes back and is dropped, which closes it.
        Some(closer) => drop(closer.queue.try_send(descriptors)),
        None => drop(descriptors),
    }
}

fn closer() -> Option<&'static Closer> {
    let seen = CLOSER.load(Acquire); // pairs: close.closer
    if !seen.is_null() {
        // SAFETY: M9: a non-null `CLOSER` is never freed.
        let closer = unsafe { &*seen };
        // A forked child has the queue of its parent, and not the thread.
        if closer.epoch.is_current() {
            return Some(closer);
        }
    }
    let epoch = epoch_to_create_in().ok()?;
    let (queue, arrivals) = sync_channel::<Vec<OwnedFd>>(BATCHES);
    spawn_quiet("pillarbox-close", move || {
        for descriptors in arrivals {
            drop(descriptors);
        }
    })
    .ok()?;
    let made = Box::into_raw(Box::new(Closer { epoch, queue }));
    // pairs: close.closer
    let kept = match CLOSER.compare_exchange(seen, made, AcqRel, Acquire) {
        Ok(_) => made,
        Err(other) => {
            // Another thread was first. Ours ends when its queue is gone.
            // SAFETY: M9: from `Box::into_raw`, and never shared.
            drop(unsafe { Box::from_raw(made) });
            other
        }
    };
    // SAFETY: M9: as above.
    Some(unsafe { &*kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    #[test]
    fn what_is_left_to_the_thread_is_closed() {
        close_later(Vec::new());
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        close_later(vec![writing]);
        // The pipe hangs up when its other end is closed; until then we wait.
        let mut watched = [PollFd::new(&reading, PollFlags::IN)];
        poll(&mut watched, None).unwrap();
        assert!(watched[0].revents().contains(PollFlags::HUP));
    }
}
