//! Calling, and asking how full a port is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use abi::frame::PortStatus;
use rights::reply::Gone;

use super::sending::Sending;
use super::standing::Standing;
use crate::call::ReplyCell;
use crate::error::{CallError, SendError, StatusError};
use crate::link::{AskedStatus, Join, Link};
use crate::message::Message;
use crate::right::{SendOnceRight, SendRight, Settled, Sink};

/// A call between two polls.
#[derive(Debug)]
enum Calling {
    /// Nothing was done.
    New(Option<Message>),
    Sending {
        sending: Box<Sending>,
        cell: Arc<ReplyCell>,
        /// The reply right the caller had put in.
        before: Option<SendOnceRight>,
    },
    Waiting(Arc<ReplyCell>, Option<Arc<Link>>),
    Done,
}

/// What [`SendRight::call_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct CallFuture<'a> {
    right: &'a SendRight,
    standing: Standing,
    calling: Calling,
}

impl Future for CallFuture<'_> {
    type Output = Result<Message, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let CallFuture { right, standing, calling } = &mut *self;
        let task = right.task();
        loop {
            match calling {
                Calling::New(request) => {
                    let Some(mut request) = request.take() else { return Poll::Pending };
                    if let Some(reason) = right.may_call(&request) {
                        let message = Box::new(request);
                        return Poll::Ready(Err(SendError { reason, message }.into()));
                    }
                    let cell = right.reply_cell(request.room(), None);
                    let reply = SendOnceRight::own(Sink::Reply(Arc::clone(&cell)));
                    let before = request.reply.replace(reply);
                    let sending = Box::new(Sending::new(request));
                    *calling = Calling::Sending { sending, cell, before };
                }
                Calling::Sending { sending, cell, before } => match sending.poll(right, cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(mut error)) => {
                        // The caller gets back what it put in, not the reply
                        // right we made.
                        if task.check().is_ok() {
                            let _ = cell.end(Gone::Withdrawn);
                        }
                        error.message.reply = before.take();
                        *calling = Calling::Done;
                        return Poll::Ready(Err(error.into()));
                    }
                    Poll::Ready(Ok(())) => {
                        let link = match right.resolve().settled() {
                            Settled::Import(entry) => Some(Arc::clone(&entry.link)),
                            _ => None,
                        };
                        *calling = Calling::Waiting(Arc::clone(cell), link);
                    }
                },
                Calling::Waiting(cell, link) => {
                    if task.check().is_err() {
                        *calling = Calling::Done;
                        return Poll::Ready(Err(CallError::Forked));
                    }
                    let Poll::Ready(answer) =
                        standing.poll(task, cx, |waiter| cell.look(Some(waiter)))
                    else {
                        if let Some(link) = link {
                            task.be_patient(link);
                        }
                        return Poll::Pending;
                    };
                    *calling = Calling::Done;
                    return Poll::Ready(answer.verdict());
                }
                Calling::Done => return Poll::Pending,
            }
        }
    }
}

impl Drop for CallFuture<'_> {
    fn drop(&mut self) {
        if let Calling::Sending { cell, .. } | Calling::Waiting(cell, _) = &self.calling
            && self.right.task().check().is_ok()
        {
            let _ = cell.end(Gone::Withdrawn);
        }
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
        CallFuture {
            right: self,
            standing: Standing::default(),
            calling: Calling::New(Some(request)),
        }
    }
}

/// What [`SendRight::status_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct StatusFuture<'a> {
    right: &'a SendRight,
    standing: Standing,
    joining: Option<Arc<Join>>,
    asked: Option<AskedStatus>,
}

impl Future for StatusFuture<'_> {
    type Output = Result<PortStatus, StatusError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let StatusFuture { right, standing, joining, asked } = &mut *self;
        let task = right.task();
        let right = right.resolve();
        if task.check().is_err() {
            return Poll::Ready(Err(StatusError::Forked));
        }
        let polled = standing.poll(task, cx, |waiter| {
            loop {
                if let Some(question) = asked {
                    let answer = question.look(waiter)?;
                    if answer != Err(StatusError::Dead) || !right.leads_elsewhere() {
                        return Some(answer);
                    }
                    // The port went to another task meanwhile: that one knows.
                    *asked = None;
                }
                match right.settled() {
                    Settled::Own(port) if port.is_alive() => return Some(Ok(port.status())),
                    Settled::Facet(facet) if facet.port.is_alive() && !facet.has_ended() => {
                        return Some(Ok(facet.port.status()));
                    }
                    Settled::Own(_) | Settled::Facet(_) | Settled::Dead => {
                        return Some(Err(StatusError::Dead));
                    }
                    Settled::Joining(join) => {
                        *joining = Some(Arc::clone(join));
                        join.stand(waiter)?;
                    }
                    Settled::Import(entry) => match entry.ask_status() {
                        Ok(question) => *asked = Some(question),
                        Err(error) => return Some(Err(error)),
                    },
                }
            }
        });
        if polled.is_ready() {
            *asked = None;
        }
        match (asked, joining) {
            (Some(asked), _) => task.be_patient(&asked.link),
            (None, Some(join)) if polled.is_pending() => join.be_patient(),
            (None, _) => {}
        }
        polled
    }
}

impl Drop for StatusFuture<'_> {
    fn drop(&mut self) {
        if let Some(join) = self.joining.take()
            && join.task.check().is_ok()
        {
            join.forget(self.standing.waiter());
        }
    }
}

impl SendRight {
    /// Asks the owner how full the port is, as [`SendRight::status`] does,
    /// without a thread that waits.
    ///
    /// # Errors
    /// See [`StatusError`]; `Deadline` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline.
    ///
    /// # Cancel safety
    /// Dropped, the question is withdrawn; nothing else happens.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(3));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let status = pin!(post.status_async()).poll(&mut cx);
    /// assert!(matches!(status, Poll::Ready(Ok(status)) if status.capacity == 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status_async(&self) -> StatusFuture<'_> {
        StatusFuture { right: self, standing: Standing::default(), joining: None, asked: None }
    }
}
