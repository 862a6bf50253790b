//! A call under way, to be waited for or withdrawn.

use std::sync::Arc;
use std::task::{Context, Poll};

use rights::reply::Gone;

use super::{ReplyCell, Seen};
use crate::deadline::Deadline;
use crate::error::CallError;
use crate::future::Standing;
use crate::link::Link;
use crate::message::Message;

/// How a request is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Withdraw {
    /// The server is asked to come to an end. The call goes on until it answers,
    /// and its answer, whatever it is, is accepted.
    Ask,
    /// The call is over, with or without the server's consent. An answer is
    /// refused.
    Done,
}

/// A call that was sent and is not answered yet.
///
/// It is waited for with [`PendingCall::wait`], or as a future.
///
/// # Rights
/// Dropping it withdraws the request: the server sees that nobody waits.
#[derive(Debug)]
#[must_use = "a pending call that is dropped is withdrawn"]
pub struct PendingCall {
    cell: Arc<ReplyCell>,
    link: Option<Arc<Link>>,
    /// Once it was polled as a future.
    standing: Option<Standing>,
}

impl PendingCall {
    pub(crate) fn new(cell: Arc<ReplyCell>, link: Option<Arc<Link>>) -> Self {
        PendingCall { cell, link, standing: None }
    }

    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, CallError>> {
        let task = &self.cell.task;
        if task.check().is_err() {
            return Poll::Ready(Err(CallError::Forked));
        }
        if self.standing.is_none()
            && let Some(link) = &self.link
            && let Some(answer) = self.cell.answer_awake(Deadline::Never, link)
        {
            return Poll::Ready(answer);
        }
        let standing = self.standing.get_or_insert_default();
        let polled = standing.poll(task, cx, |waiter| self.cell.look(Some(waiter)));
        match (&polled, &self.link) {
            (Poll::Ready(_), _) => self.standing = None,
            (Poll::Pending, Some(link)) => task.be_patient(link),
            (Poll::Pending, None) => {}
        }
        polled.map(Seen::verdict)
    }

    /// Waits for the answer.
    ///
    /// # Rights
    /// The rights in the answer are this task's.
    ///
    /// # Errors
    /// [`CallError::Deadline`] leaves the call as it was: it can be waited for
    /// again. [`CallError::Withdrawn`] where it was withdrawn, or its answer was
    /// taken before, [`CallError::Forked`] in a forked child. Else see [`CallError`].
    ///
    /// # Blocking
    /// Sleeps until the answer comes, at most until `deadline`. A server that
    /// dies ends the wait. [`Deadline::Now`] takes the answer if it is here.
    pub fn wait(&mut self, deadline: Deadline) -> Result<Message, CallError> {
        if self.cell.task.check().is_err() {
            return Err(CallError::Forked);
        }
        self.standing = None;
        self.cell.wait(deadline, self.link.as_deref())
    }

    /// Whether [`PendingCall::wait`] would return at once.
    ///
    /// Looks at what other tasks have written, and never sleeps.
    pub fn is_ready(&self) -> bool {
        if self.cell.task.check().is_err() || self.cell.is_ready() {
            return true;
        }
        let _ = self.cell.task.drain();
        self.cell.is_ready()
    }

    /// Withdraws the request. The server sees it at once, wherever the reply
    /// right has been given on to.
    ///
    /// Returns whether that is news: false where the answer is here already, and
    /// stays to be taken, or where the request was withdrawn before.
    pub fn withdraw(&self, how: Withdraw) -> bool {
        withdraw(&self.cell, how)
    }

    /// What another thread withdraws this call with, while one waits for it.
    ///
    /// # Rights
    /// None: it keeps the call from nothing, and outlives it to no effect.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{CallError, Capacity, Deadline, Message, Task, Withdraw};
    /// let port = Task::current()?.port(Capacity::Bounded(1));
    /// let mut call = port.make_send()?.start_call(Message::new("ask"), Deadline::Never)?;
    /// let withdrawer = call.withdrawer();
    /// std::thread::spawn(move || withdrawer.withdraw(Withdraw::Done));
    /// assert!(matches!(call.wait(Deadline::Never), Err(CallError::Withdrawn)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn withdrawer(&self) -> Withdrawer {
        Withdrawer { cell: Arc::clone(&self.cell) }
    }
}

/// Withdraws a call that somebody else waits for. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Withdrawer {
    cell: Arc<ReplyCell>,
}

impl Withdrawer {
    /// As [`PendingCall::withdraw`]. After [`Withdraw::Done`], if it was news, who waits
    /// for the call is woken and told [`CallError::Withdrawn`].
    pub fn withdraw(&self, how: Withdraw) -> bool {
        withdraw(&self.cell, how)
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        // What a forked child inherited is its parent's to withdraw.
        if self.cell.task.check().is_ok() {
            let _ = self.cell.end(Gone::Withdrawn);
        }
    }
}

/// A call whose answer goes to a port.
///
/// Dropping it changes nothing: the answer still comes.
#[derive(Debug)]
pub struct StartedCall {
    cell: Arc<ReplyCell>,
}

impl StartedCall {
    pub(crate) fn new(cell: Arc<ReplyCell>) -> Self {
        StartedCall { cell }
    }

    /// Whether the answer, or the news that none will come, has been delivered,
    /// or the request was withdrawn.
    pub fn is_over(&self) -> bool {
        self.cell.task.check().is_err() || self.cell.is_ready()
    }

    /// Withdraws the request, as [`PendingCall::withdraw`]. After
    /// [`Withdraw::Done`], if it was news, nothing comes to the port.
    pub fn withdraw(&self, how: Withdraw) -> bool {
        withdraw(&self.cell, how)
    }
}

fn withdraw(cell: &ReplyCell, how: Withdraw) -> bool {
    if cell.task.check().is_err() {
        return false;
    }
    match how {
        Withdraw::Ask => cell.ask_to_end(),
        Withdraw::Done => cell.end(Gone::Withdrawn),
    }
}
