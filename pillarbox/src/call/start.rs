//! Calling, and starting a call.

use std::sync::Arc;

use abi::limits;
use rights::reply::Gone;

use super::{Completion, PendingCall, ReplyCell, StartedCall};
use crate::deadline::Deadline;
use crate::error::{CallError, SendError, SendFailure};
use crate::link::Link;
use crate::membrane::Resolved;
use crate::message::Message;
use crate::port::ReceiveRight;
use crate::right::{SendOnceRight, SendRight, Settled, Sink};

impl SendRight {
    /// Sends `request` with a reply right and waits for the answer.
    ///
    /// # Rights
    /// As [`SendRight::send`]; the rights in the answer are this task's.
    ///
    /// # Errors
    /// See [`CallError`]: it tells whether the request was sent, and what became
    /// of the promise of a reply. At the deadline the request is withdrawn: its
    /// server sees that it timed out, and an answer is refused.
    ///
    /// # Blocking
    /// Waits for room and for the answer until `deadline`. A server that dies
    /// ends the wait.
    pub fn call(&self, request: Message, deadline: Deadline) -> Result<Message, CallError> {
        let cell = self.ask(request, deadline, None)?;
        let jumped = |(cell, _): (Arc<ReplyCell>, Resolved<'_>)| ReplyCell::jumped(cell);
        let ((cell, _), seen) = shm::jump::held((cell, self.resolve()), jumped, |(cell, right)| {
            cell.wait(deadline, right.link().map(|link| &**link))
        });
        match seen {
            Err(CallError::Deadline) if cell.end(Gone::TimedOut) => Err(CallError::Deadline),
            // It came since the last look.
            Err(CallError::Deadline) => cell.try_take().unwrap_or(Err(CallError::Deadline)),
            other => other,
        }
    }

    /// Sends `request` with a reply right and returns at once: the answer is
    /// waited for later.
    ///
    /// Any number of calls may be under way on one right, and may be answered in
    /// any order. None of them needs a thread.
    ///
    /// # Rights
    /// As [`SendRight::send`].
    ///
    /// # Errors
    /// As [`SendRight::send`]: on any error nothing was sent and the request
    /// comes back whole.
    ///
    /// # Blocking
    /// Waits for room until `deadline`, never for the answer.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(8));
    /// let service = inbox.make_send()?;
    /// let mut one = service.start_call(Message::new("one"), Deadline::Never)?;
    /// let mut two = service.start_call(Message::new("two"), Deadline::Never)?;
    ///
    /// let mut first = inbox.receive(Deadline::Never)?;
    /// let mut second = inbox.receive(Deadline::Never)?;
    /// second.reply(Message::new("2"), Deadline::Never)?;
    /// first.reply(Message::new("1"), Deadline::Never)?;
    ///
    /// assert_eq!(one.wait(Deadline::Never)?.body(), b"1");
    /// assert_eq!(two.wait(Deadline::Never)?.body(), b"2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_call(
        &self,
        request: Message,
        deadline: Deadline,
    ) -> Result<PendingCall, SendError> {
        let cell = self.ask(request, deadline, None)?;
        Ok(PendingCall::new(cell, self.link_to_owner()))
    }

    /// Sends `request` with a reply right; the answer is delivered to `to`, a
    /// port of this task, like any other message.
    ///
    /// [`Message::completion`] of what arrives there is `number`, whatever the
    /// server says. Where the promise of an answer is broken, its notification
    /// comes with that number too. It is exactly one of the two, unless the
    /// request is withdrawn: then nothing comes.
    ///
    /// # Rights
    /// As [`SendRight::send`].
    ///
    /// # Errors
    /// As [`SendRight::send`].
    ///
    /// # Blocking
    /// Waits for room until `deadline`, never for the answer. The answer never
    /// waits for room in `to`.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let task = Task::current()?;
    /// let inbox = task.port(Capacity::Bounded(8));
    /// let done = task.port(Capacity::Bounded(8));
    /// inbox.make_send()?.start_call_to(Message::new("work"), &done, 7, Deadline::Never)?;
    /// inbox.receive(Deadline::Never)?.reply(Message::new("well"), Deadline::Never)?;
    /// assert_eq!(done.receive(Deadline::Never)?.completion(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_call_to(
        &self,
        request: Message,
        to: &ReceiveRight,
        number: u64,
        deadline: Deadline,
    ) -> Result<StartedCall, SendError> {
        let completion = Completion { port: Arc::clone(to.core()), number };
        let cell = self.ask(request, deadline, Some(completion))?;
        if let Settled::Import(entry) = self.resolve().settled() {
            // No thread of ours waits for that peer: if all of its threads are in
            // user code, somebody must ring.
            entry.link.task.be_patient(&entry.link);
        }
        Ok(StartedCall::new(cell))
    }

    /// Sends the request with a reply right to a cell of its own.
    fn ask(
        &self,
        mut request: Message,
        deadline: Deadline,
        to: Option<Completion>,
    ) -> Result<Arc<ReplyCell>, SendError> {
        if let Some(reason) = self.may_call(&request) {
            return Err(SendError { reason, message: Box::new(request) });
        }
        let promised = self.promise_reply(&mut request, to);
        let jumped = |(cell, _): (Arc<ReplyCell>, Option<SendOnceRight>)| ReplyCell::jumped(cell);
        let ((cell, before), sent) =
            shm::jump::held(promised, jumped, |_| self.send(request, deadline));
        if let Err(mut error) = sent {
            // The caller gets back what it put in, not the reply right we made.
            let _ = cell.end(Gone::Withdrawn);
            error.message.reply = before;
            return Err(error);
        }
        drop(before);
        Ok(cell)
    }

    /// Puts a reply right to a cell of its own into the request. Returns the right
    /// that was there before.
    pub(crate) fn promise_reply(
        &self,
        request: &mut Message,
        to: Option<Completion>,
    ) -> (Arc<ReplyCell>, Option<SendOnceRight>) {
        if let Some(completion) = &to {
            completion.port.add_once();
        }
        let within = self.passage().map(|passage| passage.within());
        let cell = ReplyCell::new(self.task(), request.room(), to, within);
        let right = SendOnceRight::own(Sink::Reply(Arc::clone(&cell)));
        let before = request.reply.replace(right);
        (cell, before)
    }

    /// As [`SendRight::link`], to be kept.
    pub(crate) fn link_to_owner(&self) -> Option<Arc<Link>> {
        self.resolve().link().map(Arc::clone)
    }

    /// Why the request cannot be one.
    pub(crate) fn may_call(&self, request: &Message) -> Option<SendFailure> {
        if self.task().check().is_err() {
            return Some(SendFailure::Forked);
        }
        let bytes = request.room();
        (bytes > limits::MESSAGE_BYTES).then_some(SendFailure::TooLong { bytes })
    }

    /// The link whose peer will answer, where it is known.
    fn link(&self) -> Option<&Arc<Link>> {
        match self.settled() {
            Settled::Import(entry) => Some(&entry.link),
            Settled::Own(_) | Settled::Facet(_) | Settled::Joining(_) | Settled::Dead => None,
        }
    }
}
