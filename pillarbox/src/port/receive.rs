//! The ways to receive: the first, by id or tag, into a buffer; and a look that
//! takes nothing.

use std::sync::Arc;

use super::after::After;
use super::chute::Look;
use super::state::{PortState, Wants};
use super::{PortCore, ReceiveRight};
use crate::deadline::Deadline;
use crate::error::ReceiveError;
use crate::message::{Body, Envelope, Message, Notification};
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// What becomes of a message that is longer than the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Short {
    /// It is taken, and what does not fit is lost.
    Truncate,
    /// It stays where it is, and the error tells how long it is.
    Keep,
    /// What fits is taken. The rest stays where the message was, as the rest of
    /// that message, and is received next.
    Split,
}

/// A message whose body lies in the caller's buffer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Part {
    /// All of the message but its body. The rights, descriptors and the reply
    /// right come with its first part.
    pub message: Message,
    /// How many bytes were put into the buffer.
    pub bytes: usize,
    /// How many were not: lost with [`Short::Truncate`], still in the queue with
    /// [`Short::Split`].
    pub left: usize,
}

impl Part {
    /// Puts the body of a message that was taken into `buffer`.
    fn of(mut message: Message, buffer: &mut [u8]) -> Self {
        let body = std::mem::replace(&mut message.body, Body::NONE);
        let bytes = body.copy_to(buffer);
        Part { message, bytes, left: body.len() - bytes }
    }
}

/// What is taken, and how.
#[derive(Clone, Copy, Debug)]
enum Taking {
    /// The first message of those wanted.
    First(Wants),
    /// The first message, into a buffer of so many bytes.
    Into(usize, Short),
}

impl Taking {
    fn wants(self) -> Wants {
        match self {
            Taking::First(wants) => wants,
            Taking::Into(..) => Wants::Any,
        }
    }

    /// Whether a message that is first is taken as it is.
    fn suits(self, bytes: impl FnOnce() -> usize) -> bool {
        match self {
            Taking::First(wants) => wants == Wants::Any,
            Taking::Into(_, Short::Truncate) => true,
            Taking::Into(room, Short::Keep | Short::Split) => bytes() <= room,
        }
    }

    /// Takes it from the queue.
    fn take(
        self,
        state: &mut PortState,
        now_ns: u64,
        after: &mut After,
    ) -> Option<Result<Message, ReceiveError>> {
        match self {
            Taking::First(wants) => state.take(wants, now_ns, after).map(Ok),
            Taking::Into(room, short) => state.take_into(room, short, now_ns, after),
        }
    }
}

impl PortCore {
    /// Takes something, or waits at the port. `waiting` says whether this
    /// thread does.
    fn poll_take(
        &self,
        taking: Taking,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Option<Result<Message, ReceiveError>> {
        if taking.wants() == Wants::Any
            && let Some(chute) = self.state.open_chute()
        {
            match chute.look(|first| taking.suits(|| first.body_len()), waiter, waiting) {
                Look::Taken(first) => return Some(Ok(chute.received(first))),
                Look::Waits => return None,
                Look::Shut => {}
            }
        }
        let mut after = After::default();
        let taken = {
            let mut state = lock(&self.state);
            let now_ns = self.now_ns(&state);
            let mut taken = taking.take(&mut state, now_ns, &mut after);
            // One that waited at the chute and was called waits nowhere.
            if taken.is_none() && !(*waiting && state.is_receiver(waiter, taking.wants())) {
                *waiting = true;
                state.join_receivers(waiter, taking.wants(), now_ns, &mut after);
                // A receiver at a rendezvous may have brought a message in.
                taken = taking.take(&mut state, now_ns, &mut after);
            }
            if taken.is_some() {
                state.leave_receivers(waiter, waiting, now_ns, &mut after);
            }
            taken
        };
        after.run();
        taken
    }

    /// Takes the first message, or waits at the port.
    pub(crate) fn poll_receive(&self, waiter: &Arc<Waiter>, waiting: &mut bool) -> Option<Message> {
        self.poll_receive_wanted(Wants::Any, waiter, waiting)
    }

    /// Takes the first message of those wanted, or waits at the port.
    pub(crate) fn poll_receive_wanted(
        &self,
        wants: Wants,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Option<Message> {
        let taken = self.poll_take(Taking::First(wants), waiter, waiting)?;
        taken.ok().map(taken_out)
    }

    /// Takes the first message into `buffer`, or waits at the port.
    pub(crate) fn poll_receive_into(
        &self,
        buffer: &mut [u8],
        short: Short,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Option<Result<Part, ReceiveError>> {
        let taken = self.poll_take(Taking::Into(buffer.len(), short), waiter, waiting)?;
        Some(taken.map(|message| Part::of(taken_out(message), buffer)))
    }

    /// Ends a wait at its deadline. What came since the last look is taken.
    fn stop_receiving(
        &self,
        taking: Taking,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Option<Result<Message, ReceiveError>> {
        let mut after = After::default();
        let taken = {
            let mut state = lock(&self.state);
            let now_ns = self.now_ns(&state);
            let taken = taking.take(&mut state, now_ns, &mut after);
            state.leave_receivers(waiter, waiting, now_ns, &mut after);
            taken
        };
        after.run();
        taken
    }

    fn receive(&self, taking: Taking, deadline: Deadline) -> Result<Message, ReceiveError> {
        self.task.check().map_err(|_| ReceiveError::Forked)?;
        let jumped = |mut waiting| self.leave_receivers(&Waiter::mine(), &mut waiting);
        let (mut waiting, found) = shm::jump::held(false, jumped, |waiting| {
            self.task.wait(deadline, None, |waiter| self.poll_take(taking, waiter, waiting))
        });
        let found = match found {
            // What came since the last look is still ours to take.
            None if waiting => self.stop_waiting(taking, &mut waiting),
            found => found,
        };
        found.unwrap_or(Err(ReceiveError::Deadline)).map(taken_out)
    }

    fn stop_waiting(
        &self,
        taking: Taking,
        waiting: &mut bool,
    ) -> Option<Result<Message, ReceiveError>> {
        let waiter = Waiter::mine();
        // At a chute the last look was the last: who is called now calls the next.
        if self.state.open_chute().is_some_and(|chute| chute.go(&waiter)) {
            return None;
        }
        let word = self.wait_for_word(|waiter| self.poll_take(taking, waiter, waiting));
        word.or_else(|| self.stop_receiving(taking, &waiter, waiting))
    }
}

impl PortState {
    /// Takes the first message for a buffer of `room` bytes.
    fn take_into(
        &mut self,
        room: usize,
        short: Short,
        now_ns: u64,
        after: &mut After,
    ) -> Option<Result<Message, ReceiveError>> {
        let spot = self.queue.first()?;
        let (sequence, message) = self.queue.get_mut(spot)?;
        let bytes = message.body_len();
        match short {
            Short::Keep if bytes > room => Some(Err(ReceiveError::TooLong { bytes })),
            Short::Split if bytes > room => {
                let mut part = message.split_off_front(room);
                part.sequence = sequence;
                Some(Ok(part))
            }
            _ => self.take_at(spot, now_ns, after).map(Ok),
        }
    }
}

/// The bytes of a message that has left the queue are the sender's again, and
/// whoever left it is told.
pub(crate) fn taken_out(mut message: Message) -> Message {
    message.leave_queue();
    message
}

impl Message {
    /// The same, where it lies.
    pub(super) fn leave_queue(&mut self) {
        self.charge = None;
        if let Some(accepted) = self.take_accepted() {
            accepted.notify(Notification::MessageAccepted);
        }
        self.pass_inside();
    }
}

impl ReceiveRight {
    /// Takes the next message.
    ///
    /// Messages of one sender come in the order it sent them; on a port made with
    /// [`crate::Order::Priority`], within one priority. Several threads may
    /// receive from one port; each message goes to one of them.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// [`ReceiveError::Deadline`] where none came in time,
    /// [`ReceiveError::Forked`] in a forked child.
    ///
    /// # Blocking
    /// Sleeps until a message comes, at most until `deadline`. With
    /// [`Deadline::Now`] it looks once. At a rendezvous where a sender of another
    /// task waits it takes that message: it opens a place for it and waits for
    /// the sender's word, at most 50 ms beyond the deadline.
    pub fn receive(&self, deadline: Deadline) -> Result<Message, ReceiveError> {
        self.receive_wanted(Wants::Any, deadline)
    }

    /// Takes the first message with this id, and leaves the others as they are.
    ///
    /// It costs the same however many messages wait. The first call on a port
    /// looks through what waits once.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive`].
    ///
    /// # Errors
    /// As [`ReceiveRight::receive`].
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive`]. At a rendezvous a message with another id
    /// keeps the place of the receiver it came to, until somebody takes it.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(2));
    /// let post = inbox.make_send()?;
    /// post.send(Message::new("one").with_id(1), Deadline::Never)?;
    /// post.send(Message::new("two").with_id(2), Deadline::Never)?;
    /// assert_eq!(inbox.receive_id(2, Deadline::Never)?.body(), b"two");
    /// assert_eq!(inbox.receive(Deadline::Never)?.body(), b"one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_id(&self, id: i32, deadline: Deadline) -> Result<Message, ReceiveError> {
        self.receive_wanted(Wants::Id(id), deadline)
    }

    /// Takes the first message with this tag, and leaves the others as they are.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive`].
    ///
    /// # Errors
    /// As [`ReceiveRight::receive`].
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive_id`], which says what it costs, too.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(2));
    /// let post = inbox.make_send()?;
    /// post.send(Message::new("request 7").with_tag(7), Deadline::Never)?;
    /// post.send(Message::new("request 8").with_tag(8), Deadline::Never)?;
    /// assert_eq!(inbox.receive_tag(8, Deadline::Never)?.body(), b"request 8");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_tag(&self, tag: u64, deadline: Deadline) -> Result<Message, ReceiveError> {
        self.receive_wanted(Wants::Tag(tag), deadline)
    }

    #[inline]
    fn receive_wanted(&self, wants: Wants, deadline: Deadline) -> Result<Message, ReceiveError> {
        if wants == Wants::Any && self.core.task.check().is_ok() {
            // The message is made where the caller wants it.
            if let Some(chute) = self.core.state.open_chute()
                && let Some(first) = chute.take()
            {
                return Ok(chute.received(first));
            }
            if let Some(message) = self.core.receive_awake(deadline) {
                return Ok(message);
            }
        }
        self.core.receive(Taking::First(wants), deadline)
    }

    /// Takes the next message and puts its body into `buffer`. `short` says what
    /// becomes of one that does not fit.
    ///
    /// A message that was split is still first in the queue, for whichever thread
    /// and by whichever call receives next, and keeps its place until its last
    /// byte is taken. Into a buffer of no bytes a message that has some is split
    /// into its rights and all of its body.
    ///
    /// # Rights
    /// Every right in the message is now this task's. They come with the first
    /// part.
    ///
    /// # Errors
    /// [`ReceiveError::TooLong`] with [`Short::Keep`], and as
    /// [`ReceiveRight::receive`].
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Short, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(1));
    /// inbox.make_send()?.send(Message::new("letterbox"), Deadline::Never)?;
    /// let mut buffer = [0; 6];
    /// let first = inbox.receive_into(&mut buffer, Short::Split, Deadline::Never)?;
    /// assert_eq!((&buffer[..first.bytes], first.left), (&b"letter"[..], 3));
    /// let rest = inbox.receive_into(&mut buffer, Short::Split, Deadline::Never)?;
    /// assert_eq!((&buffer[..rest.bytes], rest.left), (&b"box"[..], 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_into(
        &self,
        buffer: &mut [u8],
        short: Short,
        deadline: Deadline,
    ) -> Result<Part, ReceiveError> {
        let message = self.core.receive(Taking::Into(buffer.len(), short), deadline)?;
        Ok(Part::of(message, buffer))
    }

    /// What the next message is like. It stays where it is, for whoever receives
    /// next. `None` where nothing waits, and in a forked child.
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(1));
    /// assert!(inbox.peek().is_none());
    /// inbox.make_send()?.send(Message::new("hello").with_id(4), Deadline::Never)?;
    /// let next = inbox.peek().ok_or("nothing came")?;
    /// assert_eq!((next.id, next.bytes), (4, 5));
    /// assert_eq!(inbox.receive(Deadline::Never)?.body(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peek(&self) -> Option<Envelope> {
        self.core.task.check().ok()?;
        self.core.task.wait(Deadline::Now, None, |_| {
            let mut state = lock(&self.core.state);
            let first = state.queue.first()?;
            let (message, pulses) = state.queue.get(first)?;
            Some(Envelope { pulses, ..message.envelope() })
        })
    }
}
