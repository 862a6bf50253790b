//! A safe place for a server's socket in the file system.
//!
//! Who may connect is decided by the directory: it must be this user's and
//! closed to everybody else. At most one server runs in it. What keeps the
//! second out is a lock on the directory itself, so there is no lock file to be
//! left behind: the kernel lets the lock go with the process, and the socket of
//! a server that was killed is recognised, because nobody answers, and replaced.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::succession::Place;

/// How long those are waited for who only look whether a place is free.
const LOOKS_WITHIN: Duration = Duration::from_secs(1);

/// Why a server does not get this place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The path names no file in a directory.
    #[error("{0} is not a path for a socket: name a file in a directory")]
    NotAPath(PathBuf),
    /// The directory is not there and could not be made.
    #[error("the directory {directory} could not be made: {error}")]
    NotMade {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// It is a symbolic link, or no directory at all.
    #[error("{0} is not a directory, or a symbolic link to one: name the directory itself")]
    NotADirectory(PathBuf),
    /// The directory is somebody else's.
    #[error(
        "the directory {directory} belongs to user {owner}, not to {own}: name one of your own"
    )]
    NotOurs {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// The directory is open to others.
    #[error("the directory {directory} has mode {mode:04o}: run chmod 700 {directory}")]
    Open {
        /// The directory.
        directory: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A server runs there.
    #[error("a server runs at {0}: stop it first, or choose another path")]
    InUse(PathBuf),
    /// What lies at the path is no socket.
    #[error("{0} is not a socket and is left alone: remove it, or choose another path")]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("{path} could not be used: {error}")]
    System {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// A place that is ours until this is dropped: keep it as long as the server
/// runs.
#[derive(Debug)]
pub struct Locked {
    path: PathBuf,
    directory: PathBuf,
    lock: OwnedFd,
    made: bool,
}

impl Locked {
    /// Where the server listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same lock again, for a successor: it is let go when nobody has it any more.
    pub(crate) fn share(&self) -> io::Result<Place> {
        let lock = self.lock.try_clone()?;
        Ok(Place { path: self.path.clone(), made: self.made, lock })
    }

    /// A place whose lock came from the server before.
    pub(crate) fn handed_on(path: PathBuf, lock: OwnedFd, made: bool) -> Option<Locked> {
        let directory = directory_of(&path)?;
        Some(Locked { path, directory, lock, made })
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if self.made && is_there(&self.directory, &self.lock) {
            // Still under the lock. Where anything lies in it, it stays.
            let _ = std::fs::remove_dir(&self.directory);
        }
    }
}

/// Makes `path` ready for a server's socket, and keeps every other server away
/// from its directory.
///
/// The directory is made if it is missing, its parent is not. One that was made
/// here is removed with the [`Locked`] if nothing is left in it. The socket of a
/// dead server is removed.
///
/// # Errors
/// See [`SocketError`]; each says what to do about it.
///
/// # Examples
/// ```no_run
/// use pillarbox::{Task, bootstrap::socket_path};
/// let place = boot::socket::prepare(socket_path())?;
/// boot::Server::new(&Task::current()?)?.listen(place.path())?.serve();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prepare(path: impl Into<PathBuf>) -> Result<Locked, SocketError> {
    let locked = lock(path)?;
    remove_stale(&locked.path)?;
    Ok(locked)
}

/// Keeps every other server away from the directory of a socket that lies there already,
/// because a manager of services has bound it for us. Else as [`prepare`].
///
/// # Errors
/// As [`prepare`].
pub fn lock(path: impl Into<PathBuf>) -> Result<Locked, SocketError> {
    let path = path.into();
    let Some(directory) = directory_of(&path) else { return Err(SocketError::NotAPath(path)) };
    let end = Instant::now() + LOOKS_WITHIN;
    loop {
        let made = make(&directory)?;
        let lock = match open(&directory) {
            // Its last server took it away just now.
            Err(SocketError::System { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            lock => lock?,
        };
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // Who looks whether the place is free shares its lock, and a server does not.
            Err(Errno::WOULDBLOCK) if Instant::now() < end && is_looked_at(&lock) => {
                // sleep: a look is over in less, and tells nobody
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(Errno::WOULDBLOCK) => return Err(SocketError::InUse(path)),
            Err(error) => return Err(system(&directory, error)),
        }
        // A directory that was taken away before we had the lock guards nothing.
        if is_there(&directory, &lock) {
            return Ok(Locked { path, directory, lock, made });
        }
    }
}

/// Whether no server has this place: not one that runs, nor one that is just ending. It
/// takes no place from a server that starts meanwhile for longer than the look.
///
/// # Errors
/// [`SocketError::NotAPath`], [`SocketError::System`].
pub fn is_free(path: impl Into<PathBuf>) -> Result<bool, SocketError> {
    let path = path.into();
    let Some(directory) = directory_of(&path) else { return Err(SocketError::NotAPath(path)) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(&directory, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(true),
        Err(error) => return Err(system(&directory, error)),
    };
    // Shared: two who look see the same.
    match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(system(&directory, error)),
    }
}

/// Whether those who have a lock of this directory only look. Ours goes with its descriptor.
fn is_looked_at(directory: &OwnedFd) -> bool {
    rustix::fs::flock(directory, FlockOperation::NonBlockingLockShared).is_ok()
}

fn directory_of(path: &Path) -> Option<PathBuf> {
    match (path.file_name(), path.parent()) {
        (Some(_), Some(parent)) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        (Some(_), Some(parent)) => Some(parent.to_path_buf()),
        _ => None,
    }
}

/// Makes the directory. False where it is there already.
fn make(directory: &Path) -> Result<bool, SocketError> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(SocketError::NotMade { directory: directory.to_path_buf(), error }),
    }
}

/// Opens the directory and checks, on what was opened, that it is ours alone.
fn open(directory: &Path) -> Result<OwnedFd, SocketError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(directory, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Err(SocketError::NotADirectory(directory.to_path_buf()));
        }
        Err(error) => return Err(refused(directory, error)),
    };
    let stat = rustix::fs::fstat(&opened).map_err(|error| system(directory, error))?;
    check(directory, &stat)?;
    Ok(opened)
}

fn check(directory: &Path, stat: &Stat) -> Result<(), SocketError> {
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != own {
        let directory = directory.to_path_buf();
        return Err(SocketError::NotOurs { directory, owner: stat.st_uid, own });
    }
    let mode = stat.st_mode & 0o7777;
    if mode != 0o700 {
        return Err(SocketError::Open { directory: directory.to_path_buf(), mode });
    }
    Ok(())
}

/// What may not be opened may still be looked at, which makes a better error.
fn refused(directory: &Path, error: Errno) -> SocketError {
    match rustix::fs::lstat(directory) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            check(directory, &stat).err().unwrap_or_else(|| system(directory, error))
        }
        _ => system(directory, error),
    }
}

/// Whether the directory at this path is the one that is open.
fn is_there(directory: &Path, open: &OwnedFd) -> bool {
    match (rustix::fs::lstat(directory), rustix::fs::fstat(open)) {
        (Ok(there), Ok(open)) => (there.st_dev, there.st_ino) == (open.st_dev, open.st_ino),
        _ => false,
    }
}

/// Removes the socket of a server that is dead. Nobody else removes or makes one
/// meanwhile: we have the lock.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketError::System { path: path.to_path_buf(), error }),
    };
    if !kind.is_socket() {
        return Err(SocketError::NotASocket(path.to_path_buf()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        // A living socket, of whatever type: one of ours is not a stream.
        Ok(_) | Err(_) => return Err(SocketError::InUse(path.to_path_buf())),
    }
    std::fs::remove_file(path)
        .map_err(|error| SocketError::System { path: path.to_path_buf(), error })
}

fn system(path: &Path, error: Errno) -> SocketError {
    SocketError::System { path: path.to_path_buf(), error: error.into() }
}
