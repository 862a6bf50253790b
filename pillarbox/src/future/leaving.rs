//! What else may be done about a full port: leaving one message there, and being
//! told of room.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::standing::Standing;
use crate::error::{LeaveError, NotifyError, SendFailure};
use crate::full::Left;
use crate::link::{Entry, Join, Posting};
use crate::membrane::Passed;
use crate::message::Message;
use crate::right::{SendOnceRight, SendRight, Settled};
use crate::wait::Waiter;

/// Where the leaving of a message stands between two polls.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Nowhere,
    /// With a right that its owner has not confirmed.
    Joining(Arc<Join>),
    /// A peer is asked for a place.
    Sending(Arc<Entry>, Box<Posting>),
    /// It has none, and keeps the message when there is room in its lane.
    Leaving(Arc<Entry>, Box<Posting>),
}

/// What [`SendRight::leave_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct LeaveFuture<'a> {
    right: &'a SendRight,
    standing: Standing,
    // Before the message: what was counted for a peer is counted back first.
    place: Place,
    /// Once it has passed the membranes on its way.
    passed: Option<Passed>,
    message: Option<Message>,
    accepted: Option<SendOnceRight>,
}

impl Place {
    /// The message is with us again.
    fn leave(&mut self, waiter: &Arc<Waiter>) {
        match std::mem::take(self) {
            Place::Nowhere | Place::Sending(..) => {}
            Place::Joining(join) => join.forget(waiter),
            Place::Leaving(entry, posting) => {
                drop(posting);
                entry.left_nothing();
            }
        }
    }
}

impl LeaveFuture<'_> {
    fn begin(&mut self) -> Result<(), SendFailure> {
        let Some(message) = &mut self.message else { return Ok(()) };
        if self.passed.is_none() {
            self.passed = Some(Passed::on(self.right, message)?);
            message.check_limits(self.right.task())?;
        }
        Ok(())
    }

    fn fail(&mut self, reason: SendFailure) -> LeaveError {
        if reason != SendFailure::Forked {
            self.place.leave(self.standing.waiter());
        }
        let mut message = self.message.take().unwrap_or_default();
        if let Some(passed) = self.passed.take() {
            passed.come_back(&mut message);
        }
        let left = message.take_accepted();
        let accepted = self.accepted.take().or(left);
        LeaveError { reason, message: Box::new(message), accepted }
    }
}

impl Future for LeaveFuture<'_> {
    type Output = Result<Left, LeaveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.message.is_none() {
            return Poll::Pending;
        }
        let task = self.right.task();
        if task.check().is_err() {
            return Poll::Ready(Err(self.fail(SendFailure::Forked)));
        }
        if let Err(reason) = self.begin() {
            return Poll::Ready(Err(self.fail(reason)));
        }
        let LeaveFuture { right, standing, place, passed, message, accepted } = &mut *self;
        let right = passed.as_ref().map_or(*right, |passed| passed.right(right));
        let polled =
            standing.poll(task, cx, |waiter| look(right, place, message, accepted, waiter));
        match &self.place {
            Place::Nowhere => {}
            Place::Joining(join) => join.be_patient(),
            Place::Sending(_, posting) | Place::Leaving(_, posting) => posting.be_patient(),
        }
        match ready!(polled) {
            Ok(Done::Left(left)) => Poll::Ready(Ok(left)),
            Ok(Done::Published) => {
                let left = match (std::mem::take(&mut self.place), self.message.take()) {
                    (Place::Sending(_, posting), Some(message)) => {
                        posting.finish(message);
                        self.accepted.take().map(Left::Sent)
                    }
                    (Place::Leaving(_, posting), Some(message)) => {
                        posting.finish(message);
                        None
                    }
                    _ => None,
                };
                Poll::Ready(Ok(left.unwrap_or(Left::Waiting)))
            }
            Err(reason) => Poll::Ready(Err(self.fail(reason))),
        }
    }
}

impl Drop for LeaveFuture<'_> {
    fn drop(&mut self) {
        if self.right.task().check().is_ok() {
            self.place.leave(self.standing.waiter());
        }
    }
}

/// What a look has done.
enum Done {
    /// The message is with a port of our own.
    Left(Left),
    /// The message is published.
    Published,
}

/// One look: `None` where it must wait.
fn look(
    right: &SendRight,
    place: &mut Place,
    message: &mut Option<Message>,
    accepted: &mut Option<SendOnceRight>,
    waiter: &Arc<Waiter>,
) -> Option<Result<Done, SendFailure>> {
    loop {
        let (reason, moved) = match place {
            Place::Joining(join) => {
                join.stand(waiter)?;
                *place = Place::Nowhere;
                continue;
            }
            Place::Nowhere => match right.settled() {
                Settled::Own(port) => match leave_own(message, accepted, |message, to| {
                    port.leave_own(None, message, to)
                })? {
                    Err(SendFailure::Dead) if right.leads_elsewhere(None) => continue,
                    left => return Some(left.map(Done::Left)),
                },
                Settled::Facet(facet) => {
                    let left = leave_own(message, accepted, |message, to| {
                        facet.port.leave_own(Some(facet.id), message, to)
                    })?;
                    return Some(left.map(Done::Left));
                }
                Settled::Import(entry) => {
                    let posting = Posting::to_port(entry, waiter).that_asks_once();
                    *place = Place::Sending(Arc::clone(entry), Box::new(posting));
                    continue;
                }
                Settled::Joining(join) => {
                    *place = Place::Joining(Arc::clone(join));
                    continue;
                }
                Settled::Dead => return Some(Err(SendFailure::Dead)),
            },
            Place::Sending(entry, posting) => match posting.attempt(message.as_mut()?)? {
                Ok(()) => return Some(Ok(Done::Published)),
                Err(SendFailure::Full) => {
                    let entry = Arc::clone(entry);
                    place.leave(waiter);
                    if !entry.may_leave() {
                        return Some(Err(SendFailure::NotifyPending));
                    }
                    message.as_mut()?.put_accepted(accepted.take());
                    let posting = Posting::to_port(&entry, waiter);
                    *place = Place::Leaving(entry, Box::new(posting));
                    continue;
                }
                Err(reason) => (reason, right.leads_elsewhere(posting.entry())),
            },
            Place::Leaving(_, posting) => match posting.attempt(message.as_mut()?)? {
                Ok(()) => return Some(Ok(Done::Published)),
                Err(reason) => (reason, right.leads_elsewhere(posting.entry())),
            },
        };
        if reason != SendFailure::Dead || !moved {
            return Some(Err(reason));
        }
        // The port went to another task: the right goes after it, and the message
        // with its word.
        place.leave(waiter);
        let back = message.as_mut()?.take_accepted();
        *accepted = accepted.take().or(back);
    }
}

/// Leaves it with a port of our own task, which waits for nothing.
fn leave_own(
    message: &mut Option<Message>,
    accepted: &mut Option<SendOnceRight>,
    leave: impl FnOnce(Message, SendOnceRight) -> Result<Left, LeaveError>,
) -> Option<Result<Left, SendFailure>> {
    Some(leave(message.take()?, accepted.take()?).map_err(|error| {
        (*message, *accepted) = (Some(*error.message), error.accepted);
        error.reason
    }))
}

/// What [`SendRight::notify_room_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct NotifyRoomFuture<'a> {
    right: &'a SendRight,
    to: Option<SendOnceRight>,
    standing: Standing,
    joining: Option<Arc<Join>>,
}

impl Future for NotifyRoomFuture<'_> {
    type Output = Result<(), NotifyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let NotifyRoomFuture { right, to, standing, joining } = &mut *self;
        let task = right.task();
        if task.check().is_ok()
            && let Settled::Joining(join) = right.resolve().settled()
        {
            *joining = Some(Arc::clone(join));
            if standing.poll(task, cx, |waiter| join.stand(waiter)).is_pending() {
                join.be_patient();
                return Poll::Pending;
            }
        }
        let Some(to) = to.take() else { return Poll::Pending };
        // It is confirmed, and waits for nobody.
        Poll::Ready(right.notify_room(to))
    }
}

impl Drop for NotifyRoomFuture<'_> {
    fn drop(&mut self) {
        if let Some(join) = self.joining.take()
            && join.task.check().is_ok()
        {
            join.forget(self.standing.waiter());
        }
    }
}

impl SendRight {
    /// Sends `message` if a place is free, and leaves it with the owner of the port
    /// otherwise, as [`SendRight::leave`] does, without a thread that waits for the
    /// owner's word.
    ///
    /// # Rights
    /// As [`SendRight::leave`].
    ///
    /// # Errors
    /// As [`SendRight::leave`]; `Full` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline: an owner that does not read its lane says nothing.
    ///
    /// # Cancel safety
    /// The message is sent or left in the poll that says so. Dropped before that,
    /// neither was done: the message is dropped with the future, and so is
    /// `accepted`, which tells who waits for it.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Left, Message, Task};
    /// let task = Task::new();
    /// let (small, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Unbounded));
    /// let post = small.make_send()?;
    /// post.send(Message::new("one"), Deadline::Now)?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let left = pin!(post.leave_async(Message::new("two"), news.make_send_once()?)).poll(&mut cx);
    /// assert!(matches!(left, Poll::Ready(Ok(Left::Waiting))));
    /// assert_eq!(small.receive(Deadline::Now)?.body(), b"one");
    /// assert_eq!(small.receive(Deadline::Now)?.body(), b"two");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn leave_async(&self, message: Message, accepted: SendOnceRight) -> LeaveFuture<'_> {
        LeaveFuture {
            right: self,
            standing: Standing::default(),
            place: Place::Nowhere,
            passed: None,
            message: Some(message),
            accepted: Some(accepted),
        }
    }

    /// Tells `to` when the port has room, as [`SendRight::notify_room`] does,
    /// without a thread that waits for a right which its owner has not confirmed.
    ///
    /// # Rights
    /// Consumes `to`.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child; the right comes back.
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, nothing was asked for, and `to` is dropped with
    /// it, which tells who waits for it. Once it is ready the request stands.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Notification, Task};
    /// let task = Task::new();
    /// let (small, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Unbounded));
    /// let post = small.make_send()?;
    /// post.send(Message::new("the only one"), Deadline::Now)?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// assert!(pin!(post.notify_room_async(news.make_send_once()?)).poll(&mut cx).is_ready());
    /// small.receive(Deadline::Now)?;
    /// let told = news.receive(Deadline::Now)?;
    /// assert_eq!(told.notification(), Some(Notification::SendPossible));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_room_async(&self, to: SendOnceRight) -> NotifyRoomFuture<'_> {
        let standing = Standing::default();
        NotifyRoomFuture { right: self, to: Some(to), standing, joining: None }
    }
}
