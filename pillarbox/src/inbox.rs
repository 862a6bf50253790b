//! Direct addressing: a task reaches another one that it is linked with without
//! a right it was given, if that one has opened its inbox.
//!
//! The question for an inbox is a claim in which the owner is named as the giver:
//! no right was ever given so, and the owner's library answers it as any other
//! claim, whatever its threads are doing. What it hands out is an ordinary send
//! right, kept with the connection.

use std::sync::{Arc, Weak};

use abi::right::{Address, Kind as RightKind};
use abi::{TaskId, Ticket};

use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{SendFailure, TaskError};
use crate::link::{Join, Joined, Link};
use crate::message::Message;
use crate::peer::{Peer, PeerCore};
use crate::port::{After, PortCore, PortOptions, ReceiveRight, Search};
use crate::right::{SendRight, Sink};
use crate::task::Task;
use crate::wait::parking::lock;

/// Who may reach an inbox, of the tasks its owner is linked with.
///
/// It is asked when a task first sends there. Who has been let in may go on
/// sending for as long as that inbox is open.
///
/// # Examples
/// ```
/// use pillarbox::{Callers, Capacity, Task};
/// let task = Task::new();
/// let inbox = task.open_inbox(Capacity::Bounded(8), Callers::none().parent().user(1000))?;
/// assert_eq!(inbox.status().queued, 0);
/// assert!(task.open_inbox(Capacity::Bounded(8), Callers::anyone()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    anyone: bool,
    parent: bool,
    children: bool,
    users: Vec<u32>,
    groups: Vec<u32>,
    tasks: Vec<TaskId>,
}

impl Callers {
    /// Nobody yet.
    pub fn none() -> Self {
        Callers::default()
    }

    /// Every task there is a link with.
    pub fn anyone() -> Self {
        Callers { anyone: true, ..Callers::default() }
    }

    /// The task that spawned this one, too.
    #[must_use]
    pub fn parent(mut self) -> Self {
        self.parent = true;
        self
    }

    /// The tasks that this one has spawned, too.
    #[must_use]
    pub fn children(mut self) -> Self {
        self.children = true;
        self
    }

    /// The tasks of this user, too.
    #[must_use]
    pub fn user(mut self, uid: u32) -> Self {
        self.users.push(uid);
        self
    }

    /// The tasks of this group, too.
    #[must_use]
    pub fn group(mut self, gid: u32) -> Self {
        self.groups.push(gid);
        self
    }

    /// This task, too.
    #[must_use]
    pub fn task(mut self, task: TaskId) -> Self {
        self.tasks.push(task);
        self
    }

    fn include(&self, task: &TaskCore, peer: &PeerCore) -> bool {
        let who = peer.sender;
        self.anyone
            || (self.parent && task.parent.get() == Some(&Some(who.task)))
            || (self.children && peer.is_child())
            || self.users.contains(&who.uid)
            || self.groups.contains(&who.gid)
            || self.tasks.contains(&who.task)
    }
}

/// The default port of a task, while it is open.
#[derive(Debug)]
pub(crate) struct OpenInbox {
    port: Weak<PortCore>,
    callers: Callers,
}

/// Why a task has not opened its inbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// It is open.
    #[error("the inbox of this task is open already")]
    Open,
    /// The task belongs to the process this one was forked from.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Why a task was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendToFailure {
    /// The task has no open inbox, or none for this one.
    #[error("the task has no inbox for this one")]
    NoInbox,
    /// The connection has ended, or there never was one.
    #[error("the task is gone, or there is no connection with it")]
    Gone,
    /// The task did not say before the deadline whether it has an inbox.
    #[error("the task did not answer before the deadline")]
    Unanswered,
    /// It has one, and the message was not sent.
    #[error(transparent)]
    Unsent(SendFailure),
}

/// A message that was not sent to a task, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SendToError {
    /// Why.
    #[source]
    pub reason: SendToFailure,
    /// The message, whole, with every right in it.
    pub message: Box<Message>,
}

/// Why no message of a peer's was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveFromError {
    /// None came before the deadline.
    #[error("no message of that task came before the deadline")]
    Deadline,
    /// The connection has ended, and everything that task had sent is taken.
    #[error("the task is gone, and nothing of it is left")]
    Gone,
    /// The port belongs to the process this one was forked from.
    #[error("the port belongs to the parent of this process")]
    Forked,
}

impl TaskCore {
    /// What a peer that asks for the inbox may have.
    pub(crate) fn inbox_for(&self, peer: &PeerCore) -> Option<Sink> {
        let inbox = lock(&self.inbox);
        let inbox = inbox.as_ref().filter(|inbox| inbox.callers.include(self, peer))?;
        let port = inbox.port.upgrade()?;
        // Dropped after the lock, as the sink it becomes.
        port.is_alive().then_some(Sink::Port(port))
    }

    /// Asks the peer of `link` for its inbox.
    pub(crate) fn begin_inbox(self: &Arc<Self>, link: &Arc<Link>) -> Arc<Join> {
        let owner = link.peer_task();
        let ticket = Ticket(self.next_id());
        let join = Join::new(self, RightKind::Send, owner, Address::default(), owner, ticket);
        let mut after = After::default();
        link.claim(Arc::clone(&join), &mut after);
        after.run();
        join
    }

    fn ask_inbox(
        self: &Arc<Self>,
        link: &Arc<Link>,
        deadline: Deadline,
    ) -> Result<SendRight, SendToFailure> {
        let join = self.begin_inbox(link);
        join.wait(deadline).map_err(|_| SendToFailure::Unanswered)?;
        inbox_answer(link, join)
    }

    fn send_to(
        self: &Arc<Self>,
        peer: &Peer,
        message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendToFailure, Message)> {
        if self.check().is_err() {
            return Err((SendToFailure::Unsent(SendFailure::Forked), message));
        }
        let mut message = message;
        // One more attempt for an inbox that was closed and opened meanwhile.
        for last in [false, true] {
            let Some(link) = self.link_with(peer.task()).filter(|link| !link.is_dead()) else {
                return Err((SendToFailure::Gone, message));
            };
            let kept = link.peer_core().inbox();
            let right = match kept.filter(|right| !right.is_dead()) {
                Some(right) => right,
                None => match self.ask_inbox(&link, deadline) {
                    Ok(right) => right,
                    Err(reason) => return Err((reason, message)),
                },
            };
            match right.send(message, deadline) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    message = *error.message;
                    if let Some(reason) = unsent(error.reason, &link, last) {
                        return Err((reason, message));
                    }
                }
            }
        }
        Err((SendToFailure::NoInbox, message))
    }
}

/// What the owner of an inbox has answered. A right to it is kept.
pub(crate) fn inbox_answer(link: &Link, join: Arc<Join>) -> Result<SendRight, SendToFailure> {
    match join.result() {
        Some(Joined::Send(_)) => {
            let right = SendRight::joining(join);
            link.peer_core().keep_inbox(right.clone());
            Ok(right)
        }
        _ if link.is_dead() => Err(SendToFailure::Gone),
        _ => Err(SendToFailure::NoInbox),
    }
}

/// What a send to an inbox failed with; `None` where the inbox was closed, and
/// another may have been opened.
pub(crate) fn unsent(reason: SendFailure, link: &Link, last: bool) -> Option<SendToFailure> {
    match reason {
        SendFailure::Dead if link.is_dead() => Some(SendToFailure::Gone),
        SendFailure::Dead if last => Some(SendToFailure::NoInbox),
        SendFailure::Dead => None,
        reason => Some(SendToFailure::Unsent(reason)),
    }
}

impl Task {
    /// Opens the inbox of this task: a port that tasks it is linked with reach by
    /// [`Task::send_to`], if they are among `callers`.
    ///
    /// A task that has not opened its inbox is reached by nobody who was not given
    /// a right. The inbox is closed by dropping it, as any port ends; then another
    /// may be opened.
    ///
    /// # Rights
    /// The receive right is this task's. Each task that has sent here holds a send
    /// right for as long as the connection lasts.
    ///
    /// # Errors
    /// [`InboxError::Open`] where there is one.
    pub fn open_inbox(
        &self,
        options: impl Into<PortOptions>,
        callers: Callers,
    ) -> Result<ReceiveRight, InboxError> {
        self.core.check()?;
        let mut inbox = lock(&self.core.inbox);
        let before = inbox.as_ref().and_then(|inbox| inbox.port.upgrade());
        if before.is_some_and(|port| port.is_alive()) {
            return Err(InboxError::Open);
        }
        let right = self.port(options);
        *inbox = Some(OpenInbox { port: Arc::downgrade(right.core()), callers });
        Ok(right)
    }

    /// Sends `message` to the inbox of a task that this one is linked with.
    ///
    /// The receiver learns who sent it by [`Message::sender`] and
    /// [`Message::peer`], and may answer in the same way. Messages of one task come
    /// in the order sent.
    ///
    /// The first message to a task asks it for its inbox. The library over there
    /// answers, whatever its threads are doing. Each send to a task without one asks
    /// again.
    ///
    /// # Rights
    /// As [`SendRight::send`].
    ///
    /// # Errors
    /// On any error nothing was sent and the message comes back whole. See
    /// [`SendToFailure`]. A task that has died is gone, also where another process
    /// has its pid.
    ///
    /// # Blocking
    /// Waits for the answer and for room until `deadline`. With [`Deadline::Now`] it
    /// does not wait for the answer: it must have sent there before.
    pub fn send_to(
        &self,
        peer: &Peer,
        message: Message,
        deadline: Deadline,
    ) -> Result<(), SendToError> {
        self.core
            .send_to(peer, message, deadline)
            .map_err(|(reason, message)| SendToError { reason, message: Box::new(message) })
    }

    /// The task that spawned this one, while there is a connection with it.
    pub fn parent(&self) -> Option<Peer> {
        self.peer((*self.core.parent.get()?)?)
    }
}

impl ReceiveRight {
    /// Takes the first message that `peer` sent, and leaves the others as they are.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive`].
    ///
    /// # Errors
    /// See [`ReceiveFromError`]. That the task is gone is told after everything it
    /// had sent.
    ///
    /// # Blocking
    /// Sleeps until a message of `peer` comes or the connection with it has ended, at
    /// most until `deadline`. As [`ReceiveRight::receive_where`] it looks at each
    /// waiting message once.
    pub fn receive_from(
        &self,
        peer: &Peer,
        deadline: Deadline,
    ) -> Result<Message, ReceiveFromError> {
        let task = &self.core().task;
        task.check().map_err(|_| ReceiveFromError::Forked)?;
        let wanted =
            |message: &Message| message.sender().is_some_and(|sender| sender.task == peer.task());
        // Looked at before the queue: what is not there then never comes.
        let search = Search::until_gone(task.link_with(peer.task()));
        let found = self.core().search_until(search, wanted, || peer.is_gone(), deadline);
        match found {
            Some(Some(message)) => Ok(message),
            Some(None) => Err(ReceiveFromError::Gone),
            None => Err(ReceiveFromError::Deadline),
        }
    }
}
