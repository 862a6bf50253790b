//! Taking a message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::standing::Standing;
use crate::error::ReceiveError;
use crate::message::Message;
use crate::port::{PortCore, ReceiveRight};

/// A receive between two polls. It has taken nothing before it is ready.
#[derive(Debug, Default)]
pub(crate) struct Receiving {
    standing: Standing,
    /// Where it stands, if it does.
    port: Option<Arc<PortCore>>,
}

impl Receiving {
    pub(crate) fn poll(
        &mut self,
        port: &Arc<PortCore>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Message, ReceiveError>> {
        if port.task.check().is_err() {
            return Poll::Ready(Err(ReceiveError::Forked));
        }
        let mut waiting = self.port.is_some();
        let polled = self
            .standing
            .poll(&port.task, cx, |waiter| port.poll_receive(waiter, &mut waiting).map(Ok));
        self.port = waiting.then(|| Arc::clone(port));
        polled
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if let Some(port) = self.port.take()
            && port.task.check().is_ok()
        {
            port.leave_receivers(self.standing.waiter(), &mut true);
        }
    }
}

/// What [`ReceiveRight::receive_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct ReceiveFuture<'a> {
    port: &'a Arc<PortCore>,
    receiving: Receiving,
}

impl Future for ReceiveFuture<'_> {
    type Output = Result<Message, ReceiveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let port = self.port;
        self.receiving.poll(port, cx)
    }
}

impl ReceiveRight {
    /// Takes the next message, as [`ReceiveRight::receive`] does, without a
    /// thread that waits.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// [`ReceiveError::Forked`] in a forked child.
    ///
    /// # Blocking
    /// Never. It has no deadline: drop it, or wrap it in a timeout of your
    /// runtime.
    ///
    /// # Cancel safety
    /// It takes a message in the poll that returns it. Dropped before that it
    /// has taken nothing: every message is still in the queue, and the next who
    /// waits at the port is told of it.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(8));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut receive = pin!(inbox.receive_async());
    /// assert!(receive.as_mut().poll(&mut cx).is_pending());
    /// post.send(Message::new("hello"), Deadline::Never)?;
    /// let Poll::Ready(message) = receive.poll(&mut cx) else { panic!("it came") };
    /// assert_eq!(message?.body(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_async(&self) -> ReceiveFuture<'_> {
        ReceiveFuture { port: self.core(), receiving: Receiving::default() }
    }
}
