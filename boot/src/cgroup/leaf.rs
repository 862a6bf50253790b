//! One service's own cgroup: made before its process, and removed after the last of what
//! that has started.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FlockOperation, flock};

use super::{Controller, write};

/// How long the end of what was killed is waited for, before the directory is left to
/// whoever cleans up next.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// A leaf that is ours while this is there. It goes with [`Leaf::remove`]; a drop leaves
/// it to who has the service from then on.
#[derive(Debug)]
pub(crate) struct Leaf {
    path: PathBuf,
    /// Locked: another server in the same subtree does not take it for one that was left.
    /// The lock of a server that was killed is gone.
    _lock: File,
}

impl Leaf {
    pub(super) fn make(path: &Path) -> io::Result<Leaf> {
        std::fs::create_dir(path)?;
        Ok(Leaf { path: path.to_path_buf(), _lock: lock(path)? })
    }

    /// The leaf of a service that another server has started. That one may have it still.
    pub(super) fn take_over(path: &Path) -> io::Result<Leaf> {
        let lock = File::open(path)?;
        // Without it all goes well too: nobody removes one that somebody is in.
        let _ = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        Ok(Leaf { path: path.to_path_buf(), _lock: lock })
    }

    /// Sets a limit.
    pub(super) fn set(&self, controller: Controller, value: &str) -> io::Result<()> {
        write(&self.path.join(controller.file()), value)
    }

    /// What a process writes `0` into to be in it. The rights that count are those of who
    /// opens it here.
    pub(crate) fn door(&self) -> io::Result<File> {
        File::options().write(true).open(self.path.join("cgroup.procs"))
    }

    /// Kills all that is in it.
    pub(crate) fn kill(&self) {
        // Where nobody is left there is nobody to kill.
        let _ = write(&self.path.join("cgroup.kill"), "1");
    }

    /// Kills what is left in it and removes it, from another thread where that takes a
    /// moment: what was killed is in it until it has ended.
    pub(crate) fn remove(self) {
        self.kill();
        if remove_tree(&self.path).is_ok() {
            return;
        }
        let name = std::thread::Builder::new().name("pillarbox-leaf".to_owned());
        // Without a thread it is left to the next start.
        let _ = name.spawn(move || self.remove_when_empty());
    }

    /// The same, here.
    pub(crate) fn remove_now(self) {
        self.kill();
        if remove_tree(&self.path).is_err() {
            self.remove_when_empty();
        }
    }

    fn remove_when_empty(self) {
        let Ok(mut events) = File::open(self.path.join("cgroup.events")) else { return };
        let end = Instant::now() + EMPTY_WITHIN;
        loop {
            // Read first: the kernel rings for what changes after that.
            let mut text = String::new();
            if events.rewind().and_then(|()| events.read_to_string(&mut text)).is_err()
                || remove_tree(&self.path).is_ok()
            {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else { return };
            let mut changes = [PollFd::new(&events, PollFlags::PRI)];
            match rustix::event::poll(&mut changes, Some(&left)) {
                Ok(0) => return,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Removes one that no server has and no process is in.
pub(super) fn remove_if_left(path: &Path) {
    // Who has it holds the lock. The kernel keeps one that a process is in, but not the
    // empty ones that this process has made below.
    let events = std::fs::read_to_string(path.join("cgroup.events")).unwrap_or_default();
    if !events.lines().any(|line| line == "populated 1")
        && let Ok(_lock) = lock(path)
    {
        let _ = remove_tree(path);
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let directory = File::open(path)?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}

/// Removes a cgroup and those that a service has made in it. It fails where a process is
/// in any of them.
fn remove_tree(path: &Path) -> io::Result<()> {
    // All names first: one directory is open at a time, however deep they lie.
    let mut below = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            below.push(entry.path());
        }
    }
    below.iter().try_for_each(|path| remove_tree(path))?;
    std::fs::remove_dir(path)
}
