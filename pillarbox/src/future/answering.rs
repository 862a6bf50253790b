//! Answering, at once or in parts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use abi::Slot;

use super::sending::SendOnceFuture;
use super::standing::Standing;
use crate::call::PartError;
use crate::error::ReplyError;
use crate::link::{Join, Link};
use crate::message::Message;
use crate::right::SendOnceRight;

/// What [`Message::reply_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct ReplyFuture<'a> {
    /// Where the reply right is taken from, and where it comes back to.
    right: &'a mut Option<SendOnceRight>,
    answer: Option<Box<Message>>,
    sending: Option<Box<SendOnceFuture>>,
}

impl<'a> ReplyFuture<'a> {
    pub(crate) fn new(right: &'a mut Option<SendOnceRight>, answer: Message) -> Self {
        ReplyFuture { right, answer: Some(Box::new(answer)), sending: None }
    }
}

impl Future for ReplyFuture<'_> {
    type Output = Result<(), ReplyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(answer) = self.answer.take() {
            let Some(mut right) = self.right.take() else {
                return Poll::Ready(Err(ReplyError::NoReply(answer)));
            };
            if right.send_at_once(&answer) {
                return Poll::Ready(Ok(()));
            }
            self.sending = Some(Box::new(right.send_async(*answer)));
        }
        let Some(sending) = &mut self.sending else { return Poll::Pending };
        let sent = ready!(Pin::new(&mut **sending).poll(cx));
        self.sending = None;
        Poll::Ready(sent.map_err(|error| ReplyError::Unsent(Box::new(error))))
    }
}

impl Drop for ReplyFuture<'_> {
    fn drop(&mut self) {
        // Not answered yet: it can be answered still.
        if let Some(sending) = self.sending.take() {
            *self.right = sending.into_right();
        }
    }
}

impl Message {
    /// Answers the message, as [`Message::reply`] does, without a thread that
    /// waits. It can be answered once.
    ///
    /// # Rights
    /// As [`Message::reply`].
    ///
    /// # Errors
    /// As [`Message::reply`]; `Full` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline, and waits for room in the lane only.
    ///
    /// # Cancel safety
    /// Dropped before it is ready nothing was sent, the answer is dropped with the
    /// future, and the message has its reply right again: it can still be answered.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let mut call = inbox.make_send()?.start_call(Message::new("6 x 7"), Deadline::Now)?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut request = inbox.receive(Deadline::Now)?;
    /// drop(request.reply_async(Message::new("never polled")));
    /// let answered = pin!(request.reply_async(Message::new("42"))).poll(&mut cx);
    /// assert!(matches!(answered, Poll::Ready(Ok(()))));
    /// assert_eq!(call.wait(Deadline::Now)?.body(), b"42");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reply_async(&mut self, answer: Message) -> ReplyFuture<'_> {
        ReplyFuture::new(&mut self.reply, answer)
    }
}

/// Where the writing of a part stands.
#[derive(Debug)]
enum Part {
    New,
    Joining(Arc<Join>),
    Writing { link: Arc<Link>, slot: Slot, at_link: bool },
    Done,
}

/// What [`SendOnceRight::write_at_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct WriteAtFuture<'a> {
    right: &'a mut SendOnceRight,
    offset: u64,
    bytes: &'a [u8],
    written: usize,
    standing: Standing,
    part: Part,
}

impl Part {
    fn leave(&mut self, standing: &Standing) {
        match std::mem::replace(self, Part::Done) {
            Part::Joining(join) => join.forget(standing.waiter()),
            Part::Writing { link, at_link: true, .. } => link.remove_waiter(standing.waiter()),
            Part::Writing { at_link: false, .. } | Part::New | Part::Done => {}
        }
    }
}

impl Future for WriteAtFuture<'_> {
    type Output = Result<(), PartError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let WriteAtFuture { right, offset, bytes, written, standing, part } = &mut *self;
        let Some(task) = right.task().filter(|task| task.check().is_ok()).cloned() else {
            return Poll::Ready(Err(PartError::Forked));
        };
        if matches!(part, Part::New)
            && let Some(join) = right.joining_to()
        {
            *part = Part::Joining(join);
        }
        if let Part::Joining(join) = part {
            if standing.poll(&task, cx, |waiter| join.stand(waiter)).is_pending() {
                join.be_patient();
                return Poll::Pending;
            }
            *part = Part::New;
        }
        if matches!(part, Part::New) {
            match right.begin_part(*offset, bytes) {
                Ok(Some((link, slot))) => *part = Part::Writing { link, slot, at_link: false },
                done => {
                    *part = Part::Done;
                    return Poll::Ready(done.map(|_| ()));
                }
            }
        }
        let Part::Writing { link, slot, at_link } = part else { return Poll::Pending };
        let polled = standing.poll(&task, cx, |waiter| {
            if !std::mem::replace(at_link, true) {
                link.add_waiter(waiter);
            }
            link.write_part_now(*slot, *offset, bytes, written, || right.state())
        });
        if polled.is_pending() {
            task.be_patient(link);
        } else {
            part.leave(standing);
        }
        polled
    }
}

impl Drop for WriteAtFuture<'_> {
    fn drop(&mut self) {
        if self.right.task().is_some_and(|task| task.check().is_ok()) {
            self.part.leave(&self.standing);
        }
    }
}

impl SendOnceRight {
    /// Writes `bytes` of the answer at `offset`, as [`SendOnceRight::write_at`]
    /// does, without a thread that waits.
    ///
    /// # Rights
    /// Borrows the right, which is still to be used.
    ///
    /// # Errors
    /// See [`PartError`]; `Full` and `NotJoined` are none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline; a caller that goes ends it.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the first bytes of the part may have been written
    /// and the others not. The part may be written again, whole: parts may cover
    /// each other.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let request = Message::new("two halves, please").with_reply_room(8);
    /// let mut call = inbox.make_send()?.start_call(request, Deadline::Now)?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// let mut request = inbox.receive(Deadline::Now)?;
    /// let reply = request.reply_right_mut().ok_or("it is a call")?;
    /// assert!(matches!(pin!(reply.write_at_async(4, b"half")).poll(&mut cx), Poll::Ready(Ok(()))));
    /// assert!(matches!(pin!(reply.write_at_async(0, b"one ")).poll(&mut cx), Poll::Ready(Ok(()))));
    /// request.reply(Message::new(""), Deadline::Now)?;
    /// assert_eq!(call.wait(Deadline::Now)?.body(), b"one half");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_at_async<'a>(&'a mut self, offset: u64, bytes: &'a [u8]) -> WriteAtFuture<'a> {
        let standing = Standing::default();
        WriteAtFuture { right: self, offset, bytes, written: 0, standing, part: Part::New }
    }
}
