//! News with a number: what was asked for is told once, or taken back.
//!
//! Whoever asks for news hands in a send-once right, which ends in the news. One
//! made here leads to a port by way of a cell, as that of a call whose answer
//! goes to a port: so the news comes with the number of the request, wherever the
//! right has been meanwhile, and the request can be taken back.

use std::sync::Arc;

use abi::limits;
use rights::reply::Gone;

use crate::call::{Completion, ReplyCell};
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::message::{Message, Notification};
use crate::peer::Peer;
use crate::port::{Capacity, PortCore, PortOptions, ReceiveRight};
use crate::right::{SendOnceRight, SendRight, Sink};
use crate::task::Task;
use crate::wait::parking::{Mutex, lock};

/// Where news comes for which no port was named. It is made when it is first
/// asked for, and ends with the task.
pub(crate) type NotifyPort = Mutex<Option<Arc<ReceiveRight>>>;

/// Puts a watcher into a list. Returns those of the list that were taken back
/// meanwhile, to be dropped without a lock; so a list is never much longer than
/// the requests that stand.
#[must_use = "a right is dropped without a lock"]
pub(crate) fn keep_watcher(
    list: &mut Vec<SendOnceRight>,
    watcher: SendOnceRight,
) -> Vec<SendOnceRight> {
    let mut gone = Vec::new();
    if list.len() == list.capacity() {
        gone.extend(list.extract_if(.., |watcher| watcher.is_taken_back()));
        // Looked through again when it has doubled.
        list.reserve(list.len().max(4));
    }
    list.push(watcher);
    gone
}

/// A request for news, which can be taken back.
///
/// Dropping it changes nothing: the news still comes.
#[derive(Debug)]
pub struct Armed {
    cell: Arc<ReplyCell>,
}

impl Armed {
    /// Takes the request back. Returns whether that is so: then nothing comes of
    /// it. Else the news has come.
    pub fn cancel(&self) -> bool {
        self.cell.task.check().is_ok() && self.cell.end(Gone::Withdrawn)
    }

    /// Whether the news has come, or the request was taken back.
    pub fn is_over(&self) -> bool {
        self.cell.task.check().is_err() || self.cell.is_ready()
    }
}

/// Why news cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewsError {
    /// As many requests are open, or their news not taken, as may be.
    #[error("{limit} requests for news are open or not taken, which is the limit", limit = limits::NEWS)]
    TooMany,
    /// The task was closed.
    #[error("the task is closed")]
    Closed,
    /// The right belongs to the process this one was forked from.
    #[error("the right belongs to the parent of this process")]
    Forked,
}

impl From<SendFailure> for NewsError {
    fn from(_: SendFailure) -> Self {
        // Whoever asks for news fails for no other reason.
        NewsError::Forked
    }
}

fn news_to(port: &Arc<PortCore>, number: u64) -> (SendOnceRight, Armed) {
    let completion = Completion { port: Arc::clone(port), number };
    let cell = ReplyCell::new(&port.task, 0, Some(completion), None);
    (SendOnceRight::own(Sink::Reply(Arc::clone(&cell))), Armed { cell })
}

impl TaskCore {
    fn notify_port(self: &Arc<Self>) -> Result<Arc<ReceiveRight>, NewsError> {
        self.check().map_err(|_| NewsError::Forked)?;
        let mut port = lock(&self.notify);
        if self.closed.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(NewsError::Closed);
        }
        let port = port.get_or_insert_with(|| {
            let options = PortOptions::new(Capacity::Bounded(1));
            Arc::new(ReceiveRight::new(PortCore::new(self, &options)))
        });
        Ok(Arc::clone(port))
    }

    /// A request whose news comes to the notify port.
    pub(super) fn ask_for_news(
        self: &Arc<Self>,
        number: u64,
    ) -> Result<(SendOnceRight, Armed), NewsError> {
        let port = self.notify_port()?;
        if !port.core().add_once_below(limits::NEWS) {
            return Err(NewsError::TooMany);
        }
        Ok(news_to(port.core(), number))
    }

    /// The task ends: nobody will read the news.
    pub(crate) fn end_notify_port(&self) {
        let port = lock(&self.notify).take();
        drop(port);
    }
}

impl Task {
    /// The port where news comes for which no port was named: of requests made
    /// with [`SendRight::watch_dead`], [`ReceiveRight::watch_no_senders`] and
    /// [`Peer::watch_gone`], and of calls started with
    /// [`SendRight::start_call_to`] this port. It is a port as any other, and
    /// may be put into a port set.
    ///
    /// Whoever notifies never waits, and no news is lost: its place is taken by
    /// the request. So it is the requests that are limited, to [`limits::NEWS`]
    /// that are open or whose news was not taken.
    ///
    /// [`Message::completion`] tells the number the request was given.
    ///
    /// # Rights
    /// The receive right is the task's, and shared by all who ask for it.
    ///
    /// # Errors
    /// [`NewsError::Closed`] after [`Task::close`], [`NewsError::Forked`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Notification, Task};
    /// let task = Task::new();
    /// let inbox = task.port(Capacity::Bounded(8));
    /// let post = inbox.make_send()?;
    /// let _ = post.watch_dead(7)?;
    /// drop(inbox);
    /// let news = task.notify()?.receive(Deadline::Never)?;
    /// assert_eq!(news.notification(), Some(Notification::DeadName));
    /// assert_eq!(news.completion(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify(&self) -> Result<Arc<ReceiveRight>, NewsError> {
        self.core.notify_port()
    }
}

impl ReceiveRight {
    /// Makes a send-once right for a request: what it ends in comes to this port
    /// with `number` as its [`Message::completion`], even where the queue is
    /// full, and the request can be taken back. It may be given to any of the
    /// calls that ask for news, and travel as any other.
    ///
    /// # Rights
    /// Makes a send-once right.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Task};
    /// let task = Task::new();
    /// let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    /// let post = inbox.make_send()?;
    /// let (to, armed) = news.make_news(1)?;
    /// post.notify_dead(to)?;
    /// assert!(armed.cancel());
    /// drop(inbox);
    /// assert!(news.receive(Deadline::Now).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn make_news(&self, number: u64) -> Result<(SendOnceRight, Armed), SendFailure> {
        self.core().task.check().map_err(|_| SendFailure::Forked)?;
        self.core().add_once();
        Ok(news_to(self.core(), number))
    }

    /// As [`ReceiveRight::notify_no_senders`]; the news comes to
    /// [`Task::notify`] with this number. Replaces an earlier request.
    ///
    /// # Errors
    /// See [`NewsError`].
    pub fn watch_no_senders(&self, number: u64) -> Result<Armed, NewsError> {
        let (to, armed) = self.core().task.ask_for_news(number)?;
        self.notify_no_senders(to)?;
        Ok(armed)
    }

    /// How many send rights were made with [`ReceiveRight::make_send`] and its
    /// kind. Copies do not count.
    pub fn make_sends(&self) -> u64 {
        if self.core().task.check().is_ok() { self.core().make_sends() } else { 0 }
    }

    /// As [`ReceiveRight::notify_no_senders`], but where nobody can send *now*,
    /// the news comes at once only if at least `sync` rights were made. So one who
    /// has made a right that is still to be given out, or that it believes was
    /// never used, is not told too early: Mach's make-send count.
    ///
    /// [`Message::make_sends`] of the news tells how many there were made.
    ///
    /// # Rights
    /// Consumes `to`.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Task};
    /// let task = Task::new();
    /// let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    /// inbox.notify_no_senders_since(news.make_send_once()?, 1)?;
    /// assert!(news.receive(Deadline::Now).is_err(), "none was made yet");
    /// drop(inbox.make_send()?);
    /// assert_eq!(news.receive(Deadline::Now)?.make_sends(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_no_senders_since(&self, to: SendOnceRight, sync: u64) -> Result<(), SendFailure> {
        self.core().task.check().map_err(|_| SendFailure::Forked)?;
        self.core().watch_no_senders(to, sync);
        Ok(())
    }
}

impl SendRight {
    /// As [`SendRight::notify_dead`]; the news comes to [`Task::notify`] with this
    /// number.
    ///
    /// # Errors
    /// See [`NewsError`].
    pub fn watch_dead(&self, number: u64) -> Result<Armed, NewsError> {
        let (to, armed) = self.task().ask_for_news(number)?;
        self.notify_dead(to)?;
        Ok(armed)
    }
}

impl Peer {
    /// As [`Peer::notify_gone`]; the news comes to [`Task::notify`] with this
    /// number.
    ///
    /// # Errors
    /// See [`NewsError`].
    pub fn watch_gone(&self, number: u64) -> Result<Armed, NewsError> {
        let (to, armed) = self.task_core().ask_for_news(number)?;
        self.notify_gone(to)?;
        Ok(armed)
    }
}

impl SendOnceRight {
    /// Whether it is of a request that was taken back. Looks at its cell only, so
    /// it may be asked under the lock of a port.
    pub(super) fn is_taken_back(&self) -> bool {
        match self.target() {
            Some(crate::right::Once::Own(Sink::Reply(cell))) => cell.state().is_gone(),
            _ => false,
        }
    }
}

impl Message {
    /// How many send rights to the port were ever made from its receive right,
    /// where this is the news that nobody can send any more.
    pub fn make_sends(&self) -> Option<u64> {
        (self.notification() == Some(Notification::NoSenders)).then(|| self.tag())
    }
}
