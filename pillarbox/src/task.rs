//! A task: a party that holds rights. Normally one per process.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use abi::TaskId;
use rights::census::Census;

use crate::background::Job;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{LinkError, TaskError};
use crate::greeting::{self, Welcome};
use crate::limits::{Limit, Limits};
use crate::message::{Identity, Right};
use crate::metrics::Metrics;
use crate::port::{Capacity, PortCore, PortOptions, ReceiveRight};
use crate::right::SendRight;
use crate::wait::parking::{Mutex, lock};

/// A task: a party that holds rights.
///
/// Normally there is one per process, [`Task::current`]. Its threads share its
/// rights. It has at most one background thread, which is started with the
/// first link to another task, blocks all signals, and only does what no other
/// thread is there to do.
#[derive(Clone, Debug)]
pub struct Task {
    pub(crate) core: Arc<TaskCore>,
}

/// One task for each fork between the first process and this one.
static TASKS: [OnceLock<Task>; 64] = [const { OnceLock::new() }; 64];
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// What [`Task::configure`] was given.
static CONFIGURED: Mutex<Option<Limits>> = Mutex::new(None);

impl Task {
    /// The task of this process, made at the first call.
    ///
    /// A process that was started with [`crate::Spawn`] is linked with its
    /// parent from then on. In a forked child the call begins a new task with an
    /// empty space.
    ///
    /// # Errors
    /// [`TaskError::System`] where the link with the parent cannot be made,
    /// [`TaskError::Forked`] after 64 forks one inside the other.
    pub fn current() -> Result<Task, TaskError> {
        loop {
            let depth = DEPTH.load(Ordering::Relaxed);
            let place = TASKS.get(depth).ok_or(TaskError::Forked)?;
            if place.get().is_none() && shm::fork::is_forked() {
                let _ = shm::fork::renew();
            }
            let task = match place.get() {
                Some(task) => task,
                None => {
                    let process = shm::socket::sure_process()?;
                    let limits = lock(&CONFIGURED).unwrap_or_default();
                    place.get_or_init(|| Task { core: TaskCore::new(process, limits) })
                }
            };
            if task.core.check().is_ok() {
                task.adopt_parent()?;
                return Ok(task.clone());
            }
            // Ours is the parent's: this process was forked since.
            let _ = DEPTH.compare_exchange(depth, depth + 1, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Another task in this process, with a space of its own: what two such
    /// tasks do with each other is what two processes do.
    ///
    /// It lasts until [`Task::close`]. One made while the process could have no
    /// descriptor, not even for a moment, is of use in this process alone: whatever
    /// needs a link says so.
    pub fn new() -> Task {
        Task::new_with(Limits::default())
    }

    /// As [`Task::new`], with limits of its own.
    pub fn new_with(limits: Limits) -> Task {
        if shm::fork::is_forked() {
            let _ = shm::fork::renew();
        }
        Task { core: TaskCore::new(shm::socket::own_process(), limits) }
    }

    /// Gives [`Task::current`] limits, before it is first asked for. In a child
    /// forked afterwards they hold as well.
    ///
    /// # Errors
    /// [`TaskError::TooLate`] where it has been made already.
    pub fn configure(limits: Limits) -> Result<(), TaskError> {
        let mut configured = lock(&CONFIGURED);
        let place = TASKS.get(DEPTH.load(Ordering::Relaxed)).ok_or(TaskError::Forked)?;
        if place.get().is_some_and(|task| task.core.check().is_ok()) {
            return Err(TaskError::TooLate);
        }
        *configured = Some(limits);
        Ok(())
    }

    /// The limits of this task.
    pub fn limits(&self) -> Limits {
        self.core.limits
    }

    /// What this task has counted since it was made. Each count is true when it is
    /// read; in a forked child they are all zero.
    pub fn metrics(&self) -> Metrics {
        if self.core.check().is_ok() { self.core.metrics() } else { Metrics::default() }
    }

    /// Ends the task: its links hang up, its peers see it die. Rights that are
    /// left over lead nowhere.
    pub fn close(&self) {
        if self.core.check().is_ok() && !self.core.closed.swap(true, Ordering::Relaxed) {
            self.core.end_notify_port();
            self.core.end_kernel_port();
            self.core.end_children();
            self.core.end_bequests();
            self.core.job(Job::Close);
        }
    }

    /// Links a child with the parent that spawned it.
    fn adopt_parent(&self) -> Result<(), TaskError> {
        if self.core.parent.get().is_some() {
            return Ok(());
        }
        if shm::spawn::is_inherited() {
            // What the link needs first: it is there to be taken once.
            let _ = self.core.start_background()?;
        }
        let parent = match shm::spawn::inherited() {
            None => None,
            Some(socket) => {
                match greeting::greet_parent(&self.core, socket) {
                    Ok(parent) => Some(parent),
                    // Without its parent the child still is a task.
                    Err(LinkError::System(error)) => return Err(TaskError::System(error)),
                    Err(_) => None,
                }
            }
        };
        let _ = self.core.parent.set(parent);
        Ok(())
    }

    /// Makes a port and returns its receive right. A port that has never left
    /// its task is a plain queue in memory: no descriptor, no system call.
    ///
    /// # Rights
    /// The receive right is this task's.
    pub fn port(&self, options: impl Into<PortOptions>) -> ReceiveRight {
        let mut options = options.into();
        let most = self.core.limits.capacity_messages;
        if let Capacity::Bounded(places) = &mut options.capacity
            && *places > most
        {
            self.core.counters.refuse(Limit::CapacityMessages);
            *places = most;
        }
        ReceiveRight::new(PortCore::new(&self.core, &options))
    }

    /// This task as the receivers of its messages see it; its
    /// [`task`](Identity::task) is what names it.
    pub fn identity(&self) -> Identity {
        self.core.identity
    }

    /// The rights of this task by kind, port and peer.
    ///
    /// Each count is true at the moment it is read; the whole is true where
    /// nothing moves meanwhile.
    pub fn census(&self) -> Census {
        // What a forked child inherited is not its own.
        if self.core.check().is_ok() { self.core.census() } else { Census::default() }
    }

    /// Takes a right that the parent gave this task at its start.
    ///
    /// `None` where the parent gave none of that name, where it was taken
    /// already, where the parent is gone, or where it said nothing before the
    /// deadline.
    ///
    /// # Rights
    /// The right is the caller's.
    ///
    /// # Blocking
    /// Waits until the parent's rights have come, at most until `deadline`.
    pub fn inherited(&self, name: &str, deadline: Deadline) -> Option<Right> {
        self.core.check().ok()?;
        let parent = (*self.core.parent.get()?)?;
        let take = |came: &mut HashMap<TaskId, HashMap<String, Right>>| {
            came.get_mut(&parent).map(|rights| rights.remove(name))
        };
        self.core.wait_welcome(parent, deadline, take).flatten()
    }

    /// A copy of the bootstrap right the parent gave.
    pub(crate) fn inherited_bootstrap(&self, deadline: Deadline) -> Option<SendRight> {
        let parent = (*self.core.parent.get()?)?;
        let copy = |came: &mut HashMap<TaskId, HashMap<String, Right>>| {
            let right = came.get(&parent)?.get(crate::bootstrap::BOOTSTRAP);
            Some(match right {
                Some(Right::Send(right)) => Some(right.clone()),
                Some(Right::SendOnce(_) | Right::Receive(_)) | None => None,
            })
        };
        self.core.wait_welcome(parent, deadline, copy).flatten()
    }

    /// The names of the rights the parent gave, those taken left out.
    ///
    /// # Blocking
    /// As [`Task::inherited`].
    pub fn inherited_names(&self, deadline: Deadline) -> Vec<String> {
        let Some(Some(parent)) = self.core.parent.get().copied() else { return Vec::new() };
        if self.core.check().is_err() {
            return Vec::new();
        }
        let names = |came: &mut HashMap<TaskId, HashMap<String, Right>>| {
            came.get(&parent).map(|rights| rights.keys().cloned().collect())
        };
        let mut names: Vec<String> =
            self.core.wait_welcome(parent, deadline, names).unwrap_or_default();
        names.sort_unstable();
        names
    }

    /// Listens at `path`: whoever may connect there is given `offer`.
    ///
    /// The file is removed when the [`crate::Listening`] is dropped.
    ///
    /// # Rights
    /// Keeps those in `offer`, and gives each caller copies.
    ///
    /// # Errors
    /// [`LinkError::InUse`] where something lies at `path`, [`LinkError::Offer`]
    /// where names or rights are not such as can be offered, [`LinkError::Closed`],
    /// [`LinkError::System`].
    pub fn listen(
        &self,
        path: impl AsRef<Path>,
        offer: Vec<(String, SendRight)>,
    ) -> Result<crate::Listening, LinkError> {
        self.may_offer(&offer)?;
        crate::listen::listen(&self.core, path.as_ref(), offer)
    }

    /// Listens at a socket that somebody else has bound to a path: one that was
    /// [handed to this process](crate::handed_sockets), or was
    /// [handed on](crate::Listening::hand_on). Whoever waits there already is let in.
    ///
    /// The file is not removed when the [`crate::Listening`] is dropped.
    ///
    /// # Rights
    /// Keeps those in `offer`, and gives each caller copies.
    ///
    /// # Errors
    /// As [`Task::listen`]; [`LinkError::System`] with `InvalidInput` where it is no
    /// `SOCK_SEQPACKET` UNIX socket that listens at a path.
    pub fn listen_at(
        &self,
        socket: OwnedFd,
        offer: Vec<(String, SendRight)>,
    ) -> Result<crate::Listening, LinkError> {
        self.may_offer(&offer)?;
        crate::listen::listen_at(&self.core, socket, offer)
    }

    fn may_offer(&self, offer: &[(String, SendRight)]) -> Result<(), LinkError> {
        self.core.check().map_err(|_| LinkError::Forked)?;
        if self.core.is_closed() {
            return Err(LinkError::Closed);
        }
        let offered = offer.iter().map(|(name, right)| (name.as_str(), Some(right.task())));
        Ok(crate::offer::check(&self.core, offered)?)
    }

    /// Connects to the task that listens at `path` and takes what it offers.
    ///
    /// # Rights
    /// The rights offered are the caller's.
    ///
    /// # Errors
    /// See [`LinkError`].
    ///
    /// # Blocking
    /// Waits for the other side until `deadline`.
    pub fn connect(
        &self,
        path: impl AsRef<Path>,
        deadline: Deadline,
    ) -> Result<HashMap<String, Right>, LinkError> {
        self.core.check().map_err(|_| LinkError::Forked)?;
        if self.core.is_closed() {
            return Err(LinkError::Closed);
        }
        let peer = greeting::connect(&self.core, path.as_ref(), deadline)?;
        let none = || if deadline.has_passed() { LinkError::Deadline } else { LinkError::Died };
        self.core.wait_offer(peer, deadline).ok_or_else(none)
    }

    pub(crate) fn offer(&self, welcome: Welcome) -> Result<(), std::io::Error> {
        self.core.start_background()?;
        self.core.job(Job::Greet(Box::new(welcome.into_greeting())));
        Ok(())
    }
}

impl Default for Task {
    fn default() -> Self {
        Task::new()
    }
}
