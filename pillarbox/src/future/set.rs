//! Taking a message from a port set.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::standing::Standing;
use crate::error::ReceiveError;
use crate::message::Message;
use crate::set::{Member, PortSet, SetCore};

/// What [`PortSet::receive_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct SetReceiveFuture<'a> {
    set: &'a Arc<SetCore>,
    standing: Standing,
    waiting: bool,
}

impl Future for SetReceiveFuture<'_> {
    type Output = Result<(Member, Message), ReceiveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { set, standing, waiting } = &mut *self;
        if set.task.check().is_err() {
            return Poll::Ready(Err(ReceiveError::Forked));
        }
        standing.poll(&set.task, cx, |waiter| set.poll_receive(waiter, waiting))
    }
}

impl Drop for SetReceiveFuture<'_> {
    fn drop(&mut self) {
        if self.waiting && self.set.task.check().is_ok() {
            let _ = self.set.leave(self.standing.waiter(), false);
        }
    }
}

impl PortSet {
    /// Takes the next message of the member whose turn it is, as
    /// [`PortSet::receive`] does, without a thread that waits.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// [`ReceiveError::Closed`] once the set is closed, [`ReceiveError::Forked`] in a
    /// forked child.
    ///
    /// # Blocking
    /// Never. It has no deadline: drop it, or wrap it in a timeout of your
    /// runtime.
    ///
    /// # Cancel safety
    /// It takes a message in the poll that returns it. Dropped before that it
    /// has taken nothing, and the next who waits is told.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let task = Task::new();
    /// let inbox = task.port(Capacity::Bounded(8));
    /// let set = task.port_set();
    /// let member = set.add(&inbox)?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut receive = pin!(set.receive_async());
    /// assert!(receive.as_mut().poll(&mut cx).is_pending());
    /// inbox.make_send()?.send(Message::new("hello"), Deadline::Never)?;
    /// let Poll::Ready(taken) = receive.poll(&mut cx) else { panic!("it came") };
    /// assert_eq!(taken?.0, member);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_async(&self) -> SetReceiveFuture<'_> {
        SetReceiveFuture { set: self.core(), standing: Standing::default(), waiting: false }
    }
}
