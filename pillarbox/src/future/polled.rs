//! One descriptor that tells of everything, for a foreign event loop.
//!
//! It is an `epoll` of every link's socket, in which peers ring, and of a bell
//! of our own, which is rung for what else there is to see. So a bell of a
//! peer's reaches whoever polls it without a hop through the background thread.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use shm::poll::{Epoll, EventFd};

use crate::core::TaskCore;
use crate::error::TaskError;
use crate::link::Link;
use crate::task::Task;
use crate::wait::parking::{Mutex, lock};

/// The token of our own bell; links have their numbers.
const NEWS: u64 = u64::MAX;

/// Sockets looked at in one turn; the others are looked at in the next.
const ROOM: usize = 64;

/// What whoever polls for a task polls.
#[derive(Debug)]
pub(crate) struct Polled {
    core: Arc<TaskCore>,
    epoll: Epoll,
    news: EventFd,
    /// Our own bell is rung and not yet seen.
    rung: AtomicBool,
    /// Our own bell is rung for every message, not for turns that are due only.
    tells_all: bool,
}

impl Polled {
    fn tell(&self) {
        // What there is to see came before; who takes this back sees it.
        if !self.rung.swap(true, Ordering::AcqRel) {
            // pairs: polled.rung
            self.news.raise();
        }
    }

    /// Silences our own bell. First the bell, then the word: a ring in between
    /// is seen by the turn that follows.
    fn clear(&self) {
        self.news.clear();
        self.rung.swap(false, Ordering::AcqRel); // pairs: polled.rung
    }

    /// Takes in what the bells tell of.
    pub(crate) fn turn(&self) {
        self.clear();
        let mut events = shm::poll::Events::with_room(ROOM);
        if self.epoll.wait(&mut events, Some(Instant::now())).is_err() {
            return;
        }
        let links = self.core.links();
        let mut rung = Vec::new();
        for event in events.iter().filter(|event| event.token != NEWS) {
            let number = event.token;
            let Some(link) = links.iter().find(|link| u64::from(link.number) == number) else {
                continue;
            };
            if event.hangup {
                // Its end is the background thread's to see to, and is told then.
                let _ = self.epoll.remove(link.socket());
            } else {
                rung.push(Arc::clone(link));
            }
        }
        let _ = self.core.take_in(&rung);
        if events.len() == ROOM || self.core.links().iter().any(|link| link.has_frames()) {
            self.tell();
        }
    }
}

impl AsRawFd for Polled {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_fd().as_raw_fd()
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        if self.core.check().is_ok() {
            self.core.sleepers.futures.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Who polls for a task: one that is told of everything, one that drives
/// futures.
#[derive(Debug, Default)]
pub(crate) struct Pollers {
    any: AtomicBool,
    list: Mutex<Vec<Weak<Polled>>>,
}

impl TaskCore {
    /// A descriptor to poll for this task; one is shared by all who want the
    /// same of it.
    pub(crate) fn polled(&self, tells_all: bool) -> Result<Arc<Polled>, TaskError> {
        self.check()?;
        let core = self.arc().ok_or(TaskError::Forked)?;
        let mut list = lock(&self.pollers.list);
        list.retain(|polled| polled.strong_count() > 0);
        let same = list.iter().filter_map(Weak::upgrade).find(|one| one.tells_all == tells_all);
        if let Some(polled) = same {
            return Ok(polled);
        }
        let (epoll, news) = (Epoll::new()?, EventFd::new()?);
        epoll.add(&news, NEWS)?;
        // As a future that waits always: the links stay announced as `bell`.
        self.sleepers.futures.fetch_add(1, Ordering::Relaxed);
        let rung = AtomicBool::new(false);
        let polled = Arc::new(Polled { core, epoll, news, rung, tells_all });
        list.push(Arc::downgrade(&polled));
        self.pollers.any.store(true, Ordering::Relaxed);
        // A link that is made from now on finds it in the list.
        for link in self.links().iter() {
            let _ = polled.epoll.add(link.socket(), u64::from(link.number));
        }
        drop(list);
        self.listen_for_bells();
        // There may be something already.
        polled.tell();
        Ok(polled)
    }

    fn pollers(&self) -> Vec<Arc<Polled>> {
        if !self.is_polled() {
            return Vec::new();
        }
        let list = lock(&self.pollers.list);
        let pollers: Vec<_> = list.iter().filter_map(Weak::upgrade).collect();
        if pollers.is_empty() {
            self.pollers.any.store(false, Ordering::Relaxed);
        }
        pollers
    }

    /// Whether anybody polls for this task.
    pub(crate) fn is_polled(&self) -> bool {
        // Relaxed: who begins to poll looks for himself first.
        self.pollers.any.load(Ordering::Relaxed)
    }

    /// Something came that whoever polls has not seen.
    pub(crate) fn tell_pollers(&self) {
        for polled in self.pollers() {
            if polled.tells_all {
                polled.tell();
            }
        }
    }

    /// A link was made.
    pub(crate) fn poll_link(&self, link: &Link) {
        for polled in self.pollers() {
            let _ = polled.epoll.add(link.socket(), u64::from(link.number));
            polled.tell();
        }
    }

    /// A link has ended.
    pub(crate) fn unpoll_link(&self, link: &Link) {
        for polled in self.pollers() {
            let _ = polled.epoll.remove(link.socket());
            polled.tell();
        }
    }
}

/// One descriptor that tells when a task has something to do: for `poll`,
/// `epoll`, or the event loop of another library.
///
/// It is *level-triggered*. It is readable
/// * while a peer has rung and nobody has taken in what it sent;
/// * from when something happened that no [`Events::turn`] has seen: a message
///   or a notification entered a port of the task, a reply came, a link was made
///   or ended, whoever took it in.
///
/// It is silenced by [`Events::turn`] and by nothing else. After a turn, look at
/// what you wait for: receive with [`Deadline::Now`](crate::Deadline::Now) until
/// there is nothing, or poll the futures that were woken. It may be readable
/// with nothing to see; it is never silent with something.
///
/// Dropping it closes the descriptor, when it is the last of the task's.
///
/// # Examples
/// ```
/// use std::os::fd::AsFd;
/// use pillarbox::{Capacity, Deadline, Message, Task};
///
/// let task = Task::new();
/// let inbox = task.port(Capacity::Bounded(8));
/// let events = task.events()?;
/// let readable = |events: &pillarbox::future::Events| {
///     let mut fds = [rustix::event::PollFd::new(events, rustix::event::PollFlags::IN)];
///     rustix::event::poll(&mut fds, Some(&Default::default())).unwrap() == 1
/// };
/// events.turn();
/// assert!(!readable(&events));
/// inbox.make_send()?.send(Message::new("hello"), Deadline::Never)?;
/// assert!(readable(&events));
/// events.turn();
/// assert!(!readable(&events));
/// assert_eq!(inbox.receive(Deadline::Now)?.body(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Events(Arc<Polled>);

impl Events {
    /// Takes in what peers have sent, wakes the futures it concerns, and silences
    /// the descriptor. Where a peer sends faster than this takes in, or very many
    /// ring at once, the descriptor stays readable.
    ///
    /// In a forked child it does nothing.
    ///
    /// # Blocking
    /// Never.
    pub fn turn(&self) {
        if self.0.core.check().is_ok() {
            self.0.turn();
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.epoll.as_fd()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").field(&self.0.as_raw_fd()).finish()
    }
}

impl Task {
    /// One descriptor that tells when this task has something to do. See
    /// [`Events`](crate::future::Events).
    ///
    /// # Errors
    /// [`TaskError::Forked`] in a forked child, [`TaskError::System`] where the
    /// system refuses a descriptor.
    pub fn events(&self) -> Result<crate::future::Events, TaskError> {
        self.core.polled(true).map(Events)
    }
}
