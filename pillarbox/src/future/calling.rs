//! Calling, starting a call, and waiting for its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rights::reply::Gone;

use super::sending::Sending;
use crate::call::{Completion, PendingCall, ReplyCell, StartedCall};
use crate::deadline::Deadline;
use crate::error::{CallError, SendError};
use crate::message::Message;
use crate::port::ReceiveRight;
use crate::right::{SendOnceRight, SendRight};

/// A call that is not sent yet, between two polls. Dropped, it is withdrawn.
#[derive(Debug)]
pub(crate) struct Starting {
    /// Nothing was done.
    new: Option<(Message, Option<Completion>)>,
    /// It is being sent, with a reply right to this cell.
    cell: Option<Arc<ReplyCell>>,
    sending: Option<Box<Sending>>,
    /// The reply right the caller had put in.
    before: Option<SendOnceRight>,
}

impl Starting {
    pub(crate) fn new(request: Message, to: Option<Completion>) -> Self {
        Starting { new: Some((request, to)), cell: None, sending: None, before: None }
    }

    /// The request, if it was not accepted, with the reply right it had before.
    pub(crate) fn into_message(mut self) -> Option<Message> {
        if let Some((request, _)) = self.new.take() {
            return Some(request);
        }
        withdraw(self.cell.take());
        let mut request = self.sending.take()?.into_message()?;
        request.reply = self.before.take();
        Some(request)
    }

    pub(crate) fn poll(
        &mut self,
        right: &SendRight,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Arc<ReplyCell>, SendError>> {
        if let Some((mut request, to)) = self.new.take() {
            if let Some(reason) = right.may_call(&request) {
                return Poll::Ready(Err(SendError { reason, message: Box::new(request) }));
            }
            let (cell, before) = right.promise_reply(&mut request, to);
            if let Some(Ok(())) = right.send_at_once(&mut request, Deadline::Now) {
                request.let_go();
                return Poll::Ready(Ok(cell));
            }
            (self.cell, self.before) = (Some(cell), before);
            self.sending = Some(Box::new(Sending::new(request)));
        }
        let Some(sending) = &mut self.sending else { return Poll::Pending };
        let sent = ready!(sending.poll(right, cx));
        self.sending = None;
        let before = self.before.take();
        Poll::Ready(match (sent, self.cell.take()) {
            (Ok(()), Some(cell)) => Ok(cell),
            (Ok(()), None) => return Poll::Pending,
            (Err(mut error), cell) => {
                withdraw(cell);
                // The caller gets back what it put in, not the reply right we
                // made.
                error.message.reply = before;
                Err(error)
            }
        })
    }
}

/// The call was not sent.
fn withdraw(cell: Option<Arc<ReplyCell>>) {
    if let Some(cell) = cell
        && cell.task.check().is_ok()
    {
        let _ = cell.end(Gone::Withdrawn);
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // Before the message goes, with the reply right in it.
        withdraw(self.cell.take());
    }
}

/// What [`SendRight::call_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct CallFuture<'a> {
    right: &'a SendRight,
    starting: Starting,
    answer: Option<PendingCall>,
}

impl Future for CallFuture<'_> {
    type Output = Result<Message, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let CallFuture { right, starting, answer } = &mut *self;
        let pending = match answer {
            Some(pending) => pending,
            None => {
                let cell = ready!(starting.poll(right, cx))?;
                answer.insert(PendingCall::new(cell, right.link_to_owner()))
            }
        };
        let answered = ready!(Pin::new(pending).poll(cx));
        *answer = None;
        Poll::Ready(answered)
    }
}

/// What [`SendRight::start_call_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct StartCallFuture<'a> {
    right: &'a SendRight,
    starting: Starting,
}

impl Future for StartCallFuture<'_> {
    type Output = Result<PendingCall, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let StartCallFuture { right, starting } = &mut *self;
        let cell = ready!(starting.poll(right, cx))?;
        Poll::Ready(Ok(PendingCall::new(cell, right.link_to_owner())))
    }
}

/// What [`SendRight::start_call_to_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct StartCallToFuture<'a> {
    right: &'a SendRight,
    starting: Starting,
}

impl Future for StartCallToFuture<'_> {
    type Output = Result<StartedCall, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let StartCallToFuture { right, starting } = &mut *self;
        let cell = ready!(starting.poll(right, cx))?;
        Poll::Ready(Ok(StartedCall::new(cell)))
    }
}

impl SendRight {
    /// Sends `request` with a reply right and waits for the answer, as
    /// [`SendRight::call`] does, without a thread that waits.
    ///
    /// Any number of calls may be outstanding on one right; they are answered in
    /// any order.
    ///
    /// # Rights
    /// As [`SendRight::send_async`]; the rights in the answer are this task's.
    ///
    /// # Errors
    /// See [`CallError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A server that dies ends the wait.
    ///
    /// # Cancel safety
    /// Dropped before the request was accepted, nothing was sent. Dropped later,
    /// the request is withdrawn: the server sees that, may still do what was
    /// asked, and its answer is refused; one that crosses is dropped.
    /// Who must know which of the two it was sends with
    /// [`SendRight::send_async`] and a reply right of its own.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut call = pin!(post.call_async(Message::new("6 x 7")));
    /// assert!(call.as_mut().poll(&mut cx).is_pending());
    /// inbox.receive(Deadline::Now)?.reply(Message::new("42"), Deadline::Now)?;
    /// let Poll::Ready(answer) = call.poll(&mut cx) else { panic!("it was answered") };
    /// assert_eq!(answer?.body(), b"42");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_async(&self, request: Message) -> CallFuture<'_> {
        CallFuture { right: self, starting: Starting::new(request, None), answer: None }
    }

    /// Sends `request` with a reply right, as [`SendRight::start_call`] does,
    /// without a thread that waits for room. The answer is waited for later: the
    /// [`PendingCall`] is a future itself.
    ///
    /// # Rights
    /// As [`SendRight::send_async`].
    ///
    /// # Errors
    /// As [`SendRight::send_async`]: on any error nothing was sent and the request
    /// comes back whole.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`SendRight::send_async`]: dropped before it is ready, nothing was sent.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::{Pin, pin}, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(8));
    /// let service = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let started = pin!(service.start_call_async(Message::new("work"))).poll(&mut cx);
    /// let Poll::Ready(Ok(mut call)) = started else { panic!("there is room") };
    /// assert!(Pin::new(&mut call).poll(&mut cx).is_pending());
    /// inbox.receive(Deadline::Now)?.reply(Message::new("well"), Deadline::Now)?;
    /// let Poll::Ready(answer) = Pin::new(&mut call).poll(&mut cx) else { panic!("answered") };
    /// assert_eq!(answer?.body(), b"well");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_call_async(&self, request: Message) -> StartCallFuture<'_> {
        StartCallFuture { right: self, starting: Starting::new(request, None) }
    }

    /// Sends `request` with a reply right to `to`, as [`SendRight::start_call_to`]
    /// does, without a thread that waits for room.
    ///
    /// # Rights
    /// As [`SendRight::send_async`].
    ///
    /// # Errors
    /// As [`SendRight::send_async`].
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// As [`SendRight::send_async`]: dropped before it is ready, nothing was sent,
    /// and nothing comes to `to`.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let task = Task::new();
    /// let (inbox, done) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
    /// let service = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let start = pin!(service.start_call_to_async(Message::new("work"), &done, 7));
    /// assert!(start.poll(&mut cx).is_ready());
    /// inbox.receive(Deadline::Now)?.reply(Message::new("well"), Deadline::Now)?;
    /// assert_eq!(done.receive(Deadline::Now)?.completion(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_call_to_async(
        &self,
        request: Message,
        to: &ReceiveRight,
        number: u64,
    ) -> StartCallToFuture<'_> {
        let completion = Completion { port: Arc::clone(to.core()), number };
        StartCallToFuture { right: self, starting: Starting::new(request, Some(completion)) }
    }
}

/// The answer. It may be waited for by [`PendingCall::wait`] and as a future in
/// turn; `&mut` of it is a future, too.
///
/// # Errors
/// As [`PendingCall::wait`]; `Deadline` is none of them.
///
/// # Cancel safety
/// A future of `&mut` of it that is dropped leaves the call as it was, and has not
/// taken the answer. Dropping the call itself withdraws the request.
impl Future for PendingCall {
    type Output = Result<Message, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_answer(cx)
    }
}
