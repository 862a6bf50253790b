//! Receiving from a set into so much room, and ending every wait at a set.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Member, PortSet, SetCore};
use crate::deadline::Deadline;
use crate::error::ReceiveError;
use crate::future::Standing;
use crate::message::Message;
use crate::port::After;
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// Why nothing was received from a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetReceiveError {
    /// No message before the deadline.
    #[error("no message came before the deadline")]
    Deadline,
    /// The first message of the member whose turn it is does not fit. It is still
    /// there.
    #[error("the first message is {bytes} bytes long, and there is no room for it")]
    TooLong {
        /// The member.
        member: Member,
        /// How long its body is.
        bytes: usize,
    },
    /// The set was closed.
    #[error("the set is closed")]
    Closed,
    /// The set belongs to the process this one was forked from.
    #[error("the set belongs to the parent of this process")]
    Forked,
}

impl From<SetReceiveError> for ReceiveError {
    fn from(error: SetReceiveError) -> Self {
        match error {
            SetReceiveError::Deadline => ReceiveError::Deadline,
            SetReceiveError::TooLong { bytes, .. } => ReceiveError::TooLong { bytes },
            SetReceiveError::Closed => ReceiveError::Closed,
            SetReceiveError::Forked => ReceiveError::Forked,
        }
    }
}

impl SetCore {
    fn receive_within(
        self: &Arc<Self>,
        room: usize,
        deadline: Deadline,
    ) -> Result<(Member, Message), SetReceiveError> {
        self.task.check().map_err(|_| SetReceiveError::Forked)?;
        if let Some(came) = self.receive_awake(room, deadline) {
            return Ok(came);
        }
        let (waiting, found) = shm::jump::held(
            false,
            |waiting| self.jumped(waiting),
            |waiting| {
                self.task.wait(deadline, None, |waiter| self.poll_within(room, waiter, waiting))
            },
        );
        if found.is_none() && waiting {
            // What somebody brought to a rendezvous meanwhile stays there: it may be
            // too long.
            self.leave(&Waiter::mine(), false);
        }
        found.unwrap_or(Err(SetReceiveError::Deadline))
    }

    /// A handler has jumped out of a wait here.
    pub(super) fn jumped(&self, waiting: bool) {
        if waiting {
            let _ = self.leave(&Waiter::mine(), false);
        }
    }

    /// Nobody waits here any more.
    fn close(&self) {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            state.closed = true;
            for one in &state.waiting {
                after.wake(Arc::clone(&one.waiter));
            }
        }
        after.run();
    }
}

impl PortSet {
    /// As [`PortSet::receive`], for who has so much room: a body of more than `room`
    /// bytes stays where it is, and the error tells how long it is and with which
    /// member it waits.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// See [`SetReceiveError`].
    ///
    /// # Blocking
    /// As [`PortSet::receive`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, SetReceiveError, Task};
    /// let task = Task::new();
    /// let inbox = task.port(Capacity::Bounded(8));
    /// let set = task.port_set();
    /// let member = set.add(&inbox)?;
    /// inbox.make_send()?.send(Message::new("hello"), Deadline::Never)?;
    /// let short = set.receive_within(4, Deadline::Now).unwrap_err();
    /// assert_eq!(short, SetReceiveError::TooLong { member, bytes: 5 });
    /// assert_eq!(set.receive_within(5, Deadline::Now)?.1.body(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_within(
        &self,
        room: usize,
        deadline: Deadline,
    ) -> Result<(Member, Message), SetReceiveError> {
        self.core().receive_within(room, deadline)
    }

    /// Takes the next message as [`PortSet::receive_within`] does, without a thread
    /// that waits.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// See [`SetReceiveError`]; never [`SetReceiveError::Deadline`].
    ///
    /// # Blocking
    /// Never. It has no deadline: drop it, or wrap it in a timeout of your runtime.
    ///
    /// # Cancel safety
    /// It takes a message in the poll that returns it. Dropped before that it has
    /// taken nothing, and the next who waits is told.
    pub fn receive_within_async(&self, room: usize) -> SetReceiveWithinFuture<'_> {
        let (standing, waiting) = (Standing::default(), false);
        SetReceiveWithinFuture { set: self.core(), room, standing, waiting }
    }

    /// Ends every wait at the set, in whichever thread, with
    /// [`SetReceiveError::Closed`], and every later one. Its members stay what they
    /// are; what waits with them can be received from them and from their other sets.
    pub fn close(&self) {
        if self.core().task.check().is_ok() {
            self.core().close();
        }
    }
}

/// What [`PortSet::receive_within_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct SetReceiveWithinFuture<'a> {
    set: &'a Arc<SetCore>,
    room: usize,
    standing: Standing,
    waiting: bool,
}

impl Future for SetReceiveWithinFuture<'_> {
    type Output = Result<(Member, Message), SetReceiveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { set, room, standing, waiting } = &mut *self;
        if set.task.check().is_err() {
            return Poll::Ready(Err(SetReceiveError::Forked));
        }
        standing.poll(&set.task, cx, |waiter| set.poll_within(*room, waiter, waiting))
    }
}

impl Drop for SetReceiveWithinFuture<'_> {
    fn drop(&mut self) {
        if self.waiting && self.set.task.check().is_ok() {
            let _ = self.set.leave(self.standing.waiter(), false);
        }
    }
}
