//! A door in the file system.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shm::socket::Listener;

use crate::background::Job;
use crate::core::TaskCore;
use crate::error::LinkError;
use crate::right::SendRight;

/// A task that listens at a path, until this is dropped.
#[derive(Debug)]
pub struct Listening {
    core: Arc<TaskCore>,
    number: u64,
    path: PathBuf,
    /// The file is ours to remove.
    ours: bool,
}

impl Listening {
    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stops listening without an end to the socket: who connects waits for the one that
    /// listens at it next, with [`Task::listen_at`](crate::Task::listen_at). The file stays.
    ///
    /// # Errors
    /// [`LinkError::Forked`], [`LinkError::Closed`].
    ///
    /// # Blocking
    /// Until the background thread of the task has let it go.
    pub fn hand_on(mut self) -> Result<OwnedFd, LinkError> {
        self.core.check().map_err(|_| LinkError::Forked)?;
        self.ours = false;
        let (gives, gets) = std::sync::mpsc::channel();
        self.core.job(Job::HandOn(self.number, gives));
        gets.recv().ok().and_then(Listener::into_fd).ok_or(LinkError::Closed)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.core.check().is_ok() {
            if self.ours {
                // Somebody may have removed it already.
                let _ = std::fs::remove_file(&self.path);
            }
            self.core.job(Job::Unlisten(self.number));
        }
    }
}

/// The sockets that a manager of services has opened for this process and hands to it:
/// systemd does, and says so in `$LISTEN_PID` and `$LISTEN_FDS`. They are there once;
/// later there are none, nor in a process they were not meant for.
///
/// # Examples
/// ```
/// use pillarbox::{Task, handed_sockets};
/// let task = Task::current()?;
/// for socket in handed_sockets() {
///     let _listening = task.listen_at(socket, Vec::new())?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn handed_sockets() -> Vec<OwnedFd> {
    shm::spawn::handed()
}

pub(crate) fn listen(
    core: &Arc<TaskCore>,
    path: &Path,
    offer: Vec<(String, SendRight)>,
) -> Result<Listening, LinkError> {
    core.start_background()?;
    let listener = Listener::bind_path(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => LinkError::InUse(path.to_path_buf()),
        _ => LinkError::System(error),
    })?;
    let number = core.next_id();
    core.job(Job::Listen(number, listener, Arc::new(offer)));
    Ok(Listening { core: Arc::clone(core), number, path: path.to_path_buf(), ours: true })
}

pub(crate) fn listen_at(
    core: &Arc<TaskCore>,
    socket: OwnedFd,
    offer: Vec<(String, SendRight)>,
) -> Result<Listening, LinkError> {
    core.start_background()?;
    let listener = Listener::from_fd(socket)?;
    let path = listener.path().ok_or(std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
    let number = core.next_id();
    core.job(Job::Listen(number, listener, Arc::new(offer)));
    Ok(Listening { core: Arc::clone(core), number, path, ours: false })
}
