//! A bootstrap right for a whole tree of processes: a socket that only its own
//! descendants are told of, and that leaves nothing behind.
//!
//! A right that a parent gives is its child's alone; the programs which that one starts
//! would find the server at the usual place, and with it all its names. So all of them are
//! told of another place. The socket's file is removed as soon as it is made; what keeps
//! it reachable is a descriptor of ours, under `/proc`, to processes of our own user.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;

use boot::socket;
use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap, SOCKET_VARIABLE};
use pillarbox::{LinkError, Listening, Task};
use rustix::fs::{Mode, OFlags};

use crate::failure::{Failure, Kind};

/// It is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Door {
    _listening: Listening,
    socket: OwnedFd,
}

impl Door {
    /// Opens one to whom this right leads.
    pub(crate) fn open(server: &Bootstrap) -> Result<Self, Failure> {
        let own = std::process::id();
        let directory = std::env::temp_dir().join(format!("pillarbox-run-{own}"));
        let unmade = |error: io::Error| Failure::system("no socket could be made", error);
        let place = socket::prepare(directory.join("boot.sock")).map_err(|error| {
            Failure::new(Kind::Refused, "there is no place for a socket").because(error)
        })?;
        let task = Task::current().map_err(|error| Failure::system("there is no task", error))?;
        let offer = vec![(BOOTSTRAP.to_owned(), server.right().clone())];
        let listening = task.listen(place.path(), offer).map_err(|error| match error {
            LinkError::System(error) => unmade(error),
            other => Failure::system("no socket could be made", other),
        })?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let socket = rustix::fs::open(place.path(), flags, Mode::empty());
        // The directory goes with the place.
        std::fs::remove_file(place.path()).map_err(unmade)?;
        Ok(Door { _listening: listening, socket: socket.map_err(|error| unmade(error.into()))? })
    }

    /// Where it is reached.
    fn path(&self) -> PathBuf {
        let (pid, number) = (std::process::id(), self.socket.as_raw_fd());
        PathBuf::from(format!("/proc/{pid}/fd/{number}"))
    }

    /// Has a program, and those it starts, find it.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env(SOCKET_VARIABLE, self.path());
    }
}
