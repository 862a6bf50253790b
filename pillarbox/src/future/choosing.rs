//! Taking a message by choice, or one of a peer's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::receiving::Receiving;
use crate::error::ReceiveError;
use crate::inbox::ReceiveFromError;
use crate::message::Message;
use crate::peer::Peer;
use crate::port::{Found, PortCore, ReceiveRight, Search};

/// A search between two polls. It has taken nothing before it is ready.
#[derive(Debug, Default)]
struct Choosing {
    receiving: Receiving,
    search: Search,
}

impl Choosing {
    fn poll(
        &mut self,
        port: &Arc<PortCore>,
        cx: &mut Context<'_>,
        wanted: &mut impl FnMut(&Message) -> bool,
        over: impl Fn() -> bool,
    ) -> Poll<Option<Message>> {
        let Choosing { receiving, search } = self;
        let found = receiving.poll_by(port, cx, |waiter, waiting| {
            port.poll_search(search, wanted, &over, waiter, waiting)
        });
        found.map(Found::resume)
    }

    /// It waits no more at a link.
    fn leave(&mut self, port: &PortCore) {
        if port.task.check().is_ok() {
            self.search.leave_link(self.receiving.waiter());
        }
    }
}

/// What [`ReceiveRight::receive_where_async`] returns.
#[must_use = "a future does nothing unless it is polled"]
pub struct ReceiveWhereFuture<'a, F> {
    port: &'a Arc<PortCore>,
    wanted: F,
    choosing: Choosing,
}

// Nothing in it is pinned.
impl<F> Unpin for ReceiveWhereFuture<'_, F> {}

impl<F: FnMut(&Message) -> bool> Future for ReceiveWhereFuture<'_, F> {
    type Output = Result<Message, ReceiveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { port, wanted, choosing } = &mut *self;
        if port.task.check().is_err() {
            return Poll::Ready(Err(ReceiveError::Forked));
        }
        match choosing.poll(port, cx, wanted, || false) {
            Poll::Ready(Some(message)) => Poll::Ready(Ok(message)),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for ReceiveWhereFuture<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveWhereFuture")
            .field("choosing", &self.choosing)
            .finish_non_exhaustive()
    }
}

/// What [`ReceiveRight::receive_from_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct ReceiveFromFuture<'a> {
    port: &'a Arc<PortCore>,
    peer: &'a Peer,
    /// Once it was polled.
    choosing: Option<Choosing>,
}

impl Future for ReceiveFromFuture<'_> {
    type Output = Result<Message, ReceiveFromError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { port, peer, choosing } = &mut *self;
        if port.task.check().is_err() {
            return Poll::Ready(Err(ReceiveFromError::Forked));
        }
        let of_peer = peer.task();
        let choosing = choosing.get_or_insert_with(|| {
            // Looked at before the queue: what is not there then never comes.
            let search = Search::until_gone(port.task.link_with(of_peer));
            Choosing { search, ..Choosing::default() }
        });
        let mut wanted =
            |message: &Message| message.sender().is_some_and(|sender| sender.task == of_peer);
        choosing
            .poll(port, cx, &mut wanted, || peer.is_gone())
            .map(|found| found.ok_or(ReceiveFromError::Gone))
    }
}

impl Drop for ReceiveFromFuture<'_> {
    fn drop(&mut self) {
        if let Some(choosing) = &mut self.choosing {
            choosing.leave(self.port);
        }
    }
}

impl ReceiveRight {
    /// Takes the first message of which `wanted` says so, as
    /// [`ReceiveRight::receive_where`] does, without a thread that waits.
    ///
    /// `wanted` is called in a poll, and no message is shown to it twice.
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
    /// As [`ReceiveRight::receive_async`]: what `wanted` has looked at is in its
    /// place.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(2));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut long = pin!(inbox.receive_where_async(|message| message.body().len() > 8));
    /// post.send(Message::new("short"), Deadline::Never)?;
    /// assert!(long.as_mut().poll(&mut cx).is_pending());
    /// post.send(Message::new("a longer one"), Deadline::Never)?;
    /// let Poll::Ready(message) = long.poll(&mut cx) else { panic!("it came") };
    /// assert_eq!(message?.body(), b"a longer one");
    /// assert_eq!(inbox.receive(Deadline::Now)?.body(), b"short");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_where_async<F: FnMut(&Message) -> bool>(
        &self,
        wanted: F,
    ) -> ReceiveWhereFuture<'_, F> {
        ReceiveWhereFuture { port: self.core(), wanted, choosing: Choosing::default() }
    }

    /// Takes the first message that `peer` sent, as [`ReceiveRight::receive_from`]
    /// does, without a thread that waits.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Errors
    /// See [`ReceiveFromError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline; the end of the connection ends it.
    ///
    /// # Cancel safety
    /// As [`ReceiveRight::receive_async`].
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::Pin, task::{Context, Waker}};
    /// use pillarbox::{Message, Peer, ReceiveFromError, ReceiveRight};
    ///
    /// /// What the client says next, whatever others send meanwhile.
    /// async fn next_word(inbox: &ReceiveRight, client: &Peer) -> Option<Message> {
    ///     match inbox.receive_from_async(client).await {
    ///         Ok(message) => Some(message),
    ///         Err(ReceiveFromError::Gone) => None,
    ///         Err(error) => panic!("{error}"),
    ///     }
    /// }
    /// # let _ = next_word;
    /// ```
    pub fn receive_from_async<'a>(&'a self, peer: &'a Peer) -> ReceiveFromFuture<'a> {
        ReceiveFromFuture { port: self.core(), peer, choosing: None }
    }
}
