//! Ports as streams and sinks (feature `stream`).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use futures_sink::Sink;

use super::receiving::Receiving;
use super::sending::Sending;
use crate::error::{ReceiveError, SendError};
use crate::message::Message;
use crate::port::ReceiveRight;
use crate::right::SendRight;

/// The messages of a port, one after the other.
///
/// It ends after an error only: a port waits for messages as long as its receive
/// right lives. Dropping it has taken nothing but what it gave out.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Messages<R> {
    right: R,
    receiving: Receiving,
    ended: bool,
}

impl<R: AsRef<ReceiveRight>> Messages<R> {
    fn new(right: R) -> Self {
        Messages { right, receiving: Receiving::default(), ended: false }
    }

    /// The receive right.
    ///
    /// # Rights
    /// Borrows it.
    pub fn right(&self) -> &ReceiveRight {
        self.right.as_ref()
    }
}

impl Messages<ReceiveRight> {
    /// The receive right; what the stream has not given out is still in the
    /// queue.
    ///
    /// # Rights
    /// Moves it out of the stream or sink.
    pub fn into_right(self) -> ReceiveRight {
        self.right
    }
}

impl AsRef<ReceiveRight> for ReceiveRight {
    fn as_ref(&self) -> &ReceiveRight {
        self
    }
}

impl<R: AsRef<ReceiveRight> + Unpin> Stream for Messages<R> {
    type Item = Result<Message, ReceiveError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let received = ready!(this.receiving.poll(this.right.as_ref().core(), cx));
        this.ended = received.is_err();
        Poll::Ready(Some(received))
    }
}

impl<R: AsRef<ReceiveRight> + Unpin> FusedStream for Messages<R> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl ReceiveRight {
    /// The messages of this port as a stream.
    ///
    /// # Rights
    /// Borrows the receive right.
    ///
    /// # Examples
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// use futures_core::Stream;
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(2));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut messages = pin!(inbox.messages());
    /// assert!(messages.as_mut().poll_next(&mut cx).is_pending());
    /// post.send(Message::new("hello"), Deadline::Never)?;
    /// let Poll::Ready(Some(message)) = messages.poll_next(&mut cx) else { panic!("it came") };
    /// assert_eq!(message?.body(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn messages(&self) -> Messages<&ReceiveRight> {
        Messages::new(self)
    }

    /// As [`ReceiveRight::messages`], with the right in it: dropping the stream
    /// ends the port.
    ///
    /// # Rights
    /// Moves the receive right into the stream.
    pub fn into_stream(self) -> Messages<ReceiveRight> {
        Messages::new(self)
    }
}

/// A send right as a sink of messages.
///
/// It holds one message at most, which is not accepted yet: flush it to know
/// that it was. Dropping the sink drops that message unsent.
#[derive(Debug)]
#[must_use = "a sink does nothing unless it is polled"]
pub struct Post {
    // Before the right: what was counted for a peer is counted back first.
    sending: Option<Sending>,
    right: SendRight,
}

impl Post {
    /// The send right, and the message that was not accepted yet.
    ///
    /// # Rights
    /// Moves it out of the stream or sink.
    pub fn into_right(mut self) -> (SendRight, Option<Message>) {
        let message = self.sending.take().and_then(Sending::into_message);
        (self.right.clone(), message)
    }

    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        let sent = ready!(sending.poll(&self.right, cx));
        self.sending = None;
        Poll::Ready(sent)
    }
}

impl Sink<Message> for Post {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_accepted(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        // Without `poll_ready` before, an earlier message would be lost: that is
        // the caller's mistake, and this message comes back.
        let this = self.get_mut();
        if this.sending.is_some() {
            let reason = crate::error::SendFailure::Full;
            return Err(SendError { reason, message: Box::new(message) });
        }
        this.sending = Some(Sending::new(message));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_accepted(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_accepted(cx)
    }
}

impl SendRight {
    /// This right as a sink.
    ///
    /// # Errors
    /// Those of the sink are those of [`SendRight::send_async`]; the message
    /// comes back in them, and the sink may be used again.
    ///
    /// # Examples
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// use futures_sink::Sink;
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(2));
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut post = pin!(inbox.make_send()?.into_sink());
    /// assert!(post.as_mut().poll_ready(&mut cx).is_ready());
    /// post.as_mut().start_send(Message::new("hello"))?;
    /// assert!(matches!(post.poll_flush(&mut cx), Poll::Ready(Ok(()))));
    /// assert_eq!(inbox.receive(Deadline::Now)?.body(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_sink(self) -> Post {
        Post { sending: None, right: self }
    }
}
