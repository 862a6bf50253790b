//! The same operations as futures, on the smallest executor there can be: one
//! future, one thread, and a task whose descriptor is waited at.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use pillarbox::Message;
use pillarbox::future::Events;
use rustix::event::{PollFd, PollFlags, poll};

use super::Own;

/// Wakes the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What `future` returns within `span`. Else it is dropped, as by a timeout.
pub(super) fn within<T>(span: Duration, future: impl Future<Output = T>) -> Option<T> {
    let until = Instant::now() + span;
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return Some(result);
        }
        let left = until.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left);
    }
}

/// Receives at the first port as an event loop would: nothing but the descriptor of
/// the task is waited at, and the future is polled when that tells.
pub(super) fn receive(own: &Own, events: &Events, span: Duration) -> Option<Message> {
    let until = Instant::now() + span;
    let mut cx = Context::from_waker(Waker::noop());
    let mut coming = pin!(own.main.right.receive_async());
    loop {
        events.turn();
        if let Poll::Ready(result) = coming.as_mut().poll(&mut cx) {
            return result.ok();
        }
        let left = until.checked_duration_since(Instant::now())?;
        let left = rustix::time::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let _ = poll(&mut [PollFd::new(events, PollFlags::IN)], Some(&left));
    }
}
