//! Starting a child with exactly the rights it should have.

use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus};

use abi::hello::Purpose;
use shm::socket::LinkSocket;

use crate::error::{LinkError, SpawnError, SpawnFailure};
use crate::greeting::{self, Offer, Welcome};
use crate::message::Right;
use crate::offer;
use crate::task::Task;

/// A program to start, and the rights it is given.
///
/// The child finds them with [`Task::inherited`]. It needs no bootstrap server
/// and no name in the file system, and it can reach nothing else through this
/// library.
///
/// # Examples
/// ```no_run
/// use std::process::Command;
/// use pillarbox::{Capacity, Spawn, Task};
/// let log = Task::current()?.port(Capacity::Bounded(64));
/// let mut child = Spawn::new(Command::new("worker")).right("log", log.make_send()?).spawn()?;
/// child.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Spawn {
    command: Command,
    rights: Vec<(String, Right)>,
}

/// What names the process of `child` among tasks: the
/// [`process`](crate::TaskId::process) of every task in it, by the kernel's word, and
/// never that of another one.
///
/// So who started a program knows it again by what its messages say of their sender. A
/// number of a process is not enough for that: it is used again, and a message may be
/// older than the child. `child` must not have been waited for.
///
/// # Errors
/// What the system says.
///
/// # Examples
/// ```
/// use std::process::Command;
/// let mut child = Command::new("true").spawn()?;
/// assert_ne!(pillarbox::process_of(&child)?, pillarbox::Task::current()?.identity().task.process);
/// child.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn process_of(child: &Child) -> std::io::Result<u64> {
    match shm::spawn::watch(child)? {
        (_, 0) => Err(std::io::ErrorKind::Unsupported.into()),
        (_, process) => Ok(process),
    }
}

/// How the process of a pidfd has ended, which need be no child of ours. Only its parent
/// waits for it; what the kernel keeps with the pidfd is there once the parent has. None
/// while it runs or is not reaped, and where the kernel keeps nothing: before Linux 6.15.
///
/// # Errors
/// What the system says, where the descriptor is no pidfd or the kernel is older.
///
/// # Examples
/// ```
/// use std::process::Command;
/// use rustix::process::{Pid, PidfdFlags, pidfd_open};
/// let mut child = Command::new("false").spawn()?;
/// let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
/// let status = child.wait()?;
/// if let Ok(Some(told)) = pillarbox::exit_of(&pidfd) {
///     assert_eq!(told, status);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn exit_of(pidfd: impl AsFd) -> std::io::Result<Option<ExitStatus>> {
    shm::exit::exit_of(pidfd.as_fd())
}

impl Spawn {
    /// The program, with its arguments, environment and standard streams.
    pub fn new(command: Command) -> Self {
        Spawn { command, rights: Vec::new() }
    }

    /// Gives the child `right` under `name`.
    ///
    /// # Rights
    /// Moves the right, to the child once it is started; else it comes back in the
    /// error.
    #[must_use]
    pub fn right(mut self, name: impl Into<String>, right: impl Into<Right>) -> Self {
        self.rights.push((name.into(), right.into()));
        self
    }

    /// Starts the child as a child of [`Task::current`].
    ///
    /// # Rights
    /// The child's, once it is started. If it ends before it has taken them they
    /// end as any right of a dead task does.
    ///
    /// # Errors
    /// No child was started; the rights come back.
    ///
    /// # Blocking
    /// As `std::process::Command::spawn`: until the program is loaded.
    pub fn spawn(self) -> Result<Child, SpawnError> {
        match Task::current() {
            Ok(task) => self.spawn_in(&task),
            Err(_) => Err(SpawnError { reason: SpawnFailure::Forked, rights: self.rights }),
        }
    }

    /// Starts the child as a child of `task`.
    ///
    /// # Errors
    /// As [`Spawn::spawn`].
    pub fn spawn_in(mut self, task: &Task) -> Result<Child, SpawnError> {
        match self.start(task) {
            Ok(child) => Ok(child),
            Err(reason) => Err(SpawnError { reason, rights: self.rights }),
        }
    }

    fn start(&mut self, task: &Task) -> Result<Child, SpawnFailure> {
        task.core.check().map_err(|_| SpawnFailure::Forked)?;
        if task.core.is_closed() {
            return Err(SpawnFailure::Closed);
        }
        let offered = self.rights.iter().map(|(name, right)| (name.as_str(), right.task()));
        offer::check(&task.core, offered)?;
        let _ = task.core.start_background()?;
        let (socket, theirs) = LinkSocket::pair()?;
        // Our hello lies in the socket before the child exists.
        let (own, writer) =
            greeting::open(&task.core, &socket, Purpose::Child).map_err(|error| match error {
                LinkError::System(error) => SpawnFailure::System(error),
                _ => SpawnFailure::System(std::io::ErrorKind::BrokenPipe.into()),
            })?;
        let child = shm::spawn::spawn(&mut self.command, theirs)?;
        let (names, rights) = std::mem::take(&mut self.rights).into_iter().unzip();
        // Past this point the rights are the child's: if its link cannot be
        // watched they end with it.
        let offer = Offer { names, rights, to_caller: false };
        let _ = task.offer(Welcome { socket, own, writer, offer });
        Ok(child)
    }
}
