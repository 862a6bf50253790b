//! Taking a message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::standing::Standing;
use crate::deadline::Deadline;
use crate::error::ReceiveError;
use crate::message::Message;
use crate::port::{Part, PortCore, ReceiveRight, Short, Wants};
use crate::wait::Waiter;

/// A receive between two polls. It has taken nothing before it is ready.
#[derive(Debug, Default)]
pub(crate) struct Receiving {
    standing: Standing,
    /// Where it stands, if it does.
    port: Option<Arc<PortCore>>,
}

impl Receiving {
    /// Takes whatever comes first.
    pub(crate) fn poll(
        &mut self,
        port: &Arc<PortCore>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Message, ReceiveError>> {
        if port.task.check().is_err() {
            return Poll::Ready(Err(ReceiveError::Forked));
        }
        self.poll_by(port, cx, |waiter, waiting| port.poll_receive(waiter, waiting).map(Ok))
    }

    /// Takes what `look` finds, which joins the receivers of the port where it
    /// finds nothing, and leaves them where it does. Not in a forked child.
    pub(crate) fn poll_by<T>(
        &mut self,
        port: &Arc<PortCore>,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&Arc<Waiter>, &mut bool) -> Option<T>,
    ) -> Poll<T> {
        let mut waiting = self.port.is_some();
        let polled = self.standing.poll(&port.task, cx, |waiter| look(waiter, &mut waiting));
        self.port = waiting.then(|| Arc::clone(port));
        polled
    }

    /// Who is told of what comes.
    pub(crate) fn waiter(&self) -> &Arc<Waiter> {
        self.standing.waiter()
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

/// What [`ReceiveRight::receive_async`], [`ReceiveRight::receive_id_async`] and
/// [`ReceiveRight::receive_tag_async`] return.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct ReceiveFuture<'a> {
    port: &'a Arc<PortCore>,
    wants: Wants,
    receiving: Receiving,
}

impl Future for ReceiveFuture<'_> {
    type Output = Result<Message, ReceiveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (port, wants) = (self.port, self.wants);
        if port.task.check().is_err() {
            return Poll::Ready(Err(ReceiveError::Forked));
        }
        if self.receiving.port.is_none()
            && matches!(wants, Wants::Any)
            && let Some(message) = port.receive_awake(Deadline::Never)
        {
            return Poll::Ready(Ok(message));
        }
        self.receiving.poll_by(port, cx, |waiter, waiting| {
            port.poll_receive_wanted(wants, waiter, waiting).map(Ok)
        })
    }
}

/// What [`ReceiveRight::receive_into_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct ReceiveIntoFuture<'a> {
    port: &'a Arc<PortCore>,
    buffer: &'a mut [u8],
    short: Short,
    receiving: Receiving,
}

impl Future for ReceiveIntoFuture<'_> {
    type Output = Result<Part, ReceiveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { port, buffer, short, receiving } = &mut *self;
        if port.task.check().is_err() {
            return Poll::Ready(Err(ReceiveError::Forked));
        }
        receiving.poll_by(port, cx, |waiter, waiting| {
            port.poll_receive_into(buffer, *short, waiter, waiting)
        })
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
        self.wanted_async(Wants::Any)
    }

    /// Takes the first message with this id, as [`ReceiveRight::receive_id`] does,
    /// without a thread that waits.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Errors
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(8));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut receive = pin!(inbox.receive_id_async(2));
    /// post.send(Message::new("one").with_id(1), Deadline::Never)?;
    /// assert!(receive.as_mut().poll(&mut cx).is_pending());
    /// post.send(Message::new("two").with_id(2), Deadline::Never)?;
    /// let Poll::Ready(message) = receive.poll(&mut cx) else { panic!("it came") };
    /// assert_eq!(message?.body(), b"two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_id_async(&self, id: i32) -> ReceiveFuture<'_> {
        self.wanted_async(Wants::Id(id))
    }

    /// Takes the first message with this tag, as [`ReceiveRight::receive_tag`]
    /// does, without a thread that waits.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Errors
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(8));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut receive = pin!(inbox.receive_tag_async(8));
    /// post.send(Message::new("request 7").with_tag(7), Deadline::Never)?;
    /// assert!(receive.as_mut().poll(&mut cx).is_pending());
    /// post.send(Message::new("request 8").with_tag(8), Deadline::Never)?;
    /// let Poll::Ready(message) = receive.poll(&mut cx) else { panic!("it came") };
    /// assert_eq!(message?.body(), b"request 8");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_tag_async(&self, tag: u64) -> ReceiveFuture<'_> {
        self.wanted_async(Wants::Tag(tag))
    }

    fn wanted_async(&self, wants: Wants) -> ReceiveFuture<'_> {
        ReceiveFuture { port: self.core(), wants, receiving: Receiving::default() }
    }

    /// Takes the next message and puts its body into `buffer`, as
    /// [`ReceiveRight::receive_into`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive_into`].
    ///
    /// # Errors
    /// [`ReceiveError::TooLong`] with [`Short::Keep`], [`ReceiveError::Forked`] in a
    /// forked child.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`ReceiveRight::receive_async`]. Dropped before it is ready it has written
    /// nothing into the buffer, and split no message.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Short, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut buffer = [0; 6];
    /// {
    ///     let mut receive = pin!(inbox.receive_into_async(&mut buffer, Short::Split));
    ///     assert!(receive.as_mut().poll(&mut cx).is_pending());
    ///     inbox.make_send()?.send(Message::new("letterbox"), Deadline::Never)?;
    ///     let Poll::Ready(part) = receive.poll(&mut cx) else { panic!("it came") };
    ///     assert_eq!(part?.left, 3);
    /// }
    /// assert_eq!(&buffer, b"letter");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_into_async<'a>(
        &'a self,
        buffer: &'a mut [u8],
        short: Short,
    ) -> ReceiveIntoFuture<'a> {
        let receiving = Receiving::default();
        ReceiveIntoFuture { port: self.core(), buffer, short, receiving }
    }
}
