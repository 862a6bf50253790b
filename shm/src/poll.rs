//! Waiting for descriptors: sockets, deaths, and a bell of our own.
#![allow(unsafe_code, reason = "the older call that waits, which rustix leaves out (M10)")]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Instant;

use rustix::event::{EventfdFlags, epoll};
use rustix::io::Errno;

use crate::fork::Fd;
use crate::refuse::{self, Call};

/// Descriptors to wait on, each with a token of the caller's choice.
///
/// Level-triggered: what is not dealt with is told again.
#[derive(Debug)]
pub struct Epoll {
    fd: Fd,
}

/// What became of one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token it was added with.
    pub token: u64,
    /// Something can be read. For a pidfd: the process has ended.
    pub readable: bool,
    /// The other end is closed, or broken. What it sent before can still be
    /// read.
    pub hangup: bool,
}

/// Room for the events of one wait.
pub struct Events {
    list: Vec<epoll::Event>,
}

impl Events {
    /// Room for `room` events, at least one.
    pub fn with_room(room: usize) -> Events {
        Events { list: Vec::with_capacity(room.max(1)) }
    }

    /// What the last wait brought.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        use epoll::EventFlags;
        self.list.iter().map(|event| {
            let flags = event.flags;
            Event {
                token: event.data.u64(),
                readable: flags.contains(EventFlags::IN),
                hangup: flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR),
            }
        })
    }

    /// How many events the last wait brought.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the last wait brought nothing.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Epoll> {
        refuse::at(Call::EpollCreate)?;
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Epoll { fd: Fd::new(fd)? })
    }

    /// Adds `fd`, to be told by `token` when it can be read or hangs up.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` for one that is in the set.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        refuse::at(Call::EpollAdd)?;
        Ok(epoll::add(&self.fd, fd, data, flags)?)
    }

    /// Takes `fd` out. Do so before it is closed: a copy of it elsewhere would
    /// keep its events coming.
    ///
    /// # Errors
    /// What the system says; `NotFound` for one that is not in the set.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, fd)?)
    }

    /// Waits until something happens or the deadline passes, and puts what
    /// happened in `events`. Without a deadline, for ever. Returns early, with
    /// nothing, when a signal was handled.
    ///
    /// # Errors
    /// What the system says, and in a forked child.
    pub fn wait(&self, events: &mut Events, deadline: Option<Instant>) -> io::Result<()> {
        let left = deadline.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            rustix::time::Timespec::try_from(left).unwrap_or(FAR)
        });
        events.list.clear();
        let room = rustix::buffer::spare_capacity(&mut events.list);
        let waited = refuse::at(Call::EpollWait)
            .and_then(|()| epoll::wait(&self.fd, room, left.as_ref()).map(|_| ()));
        match waited {
            Ok(()) | Err(Errno::INTR) => Ok(()),
            // Filters on system calls that are older than the call.
            Err(Errno::PERM | Errno::NOSYS) => self.wait_coarsely(events, deadline),
            Err(errno) => Err(errno.into()),
        }
    }

    /// As [`wait`](Epoll::wait), by the older call, whose deadlines are in whole
    /// milliseconds: not early, up to one late.
    fn wait_coarsely(&self, events: &mut Events, deadline: Option<Instant>) -> io::Result<()> {
        let left = deadline.map_or(-1, |at| {
            let left = at.saturating_duration_since(Instant::now());
            let left = left.as_nanos().div_ceil(1_000_000);
            libc::c_int::try_from(left).unwrap_or(libc::c_int::MAX)
        });
        let mut room = vec![libc::epoll_event { events: 0, u64: 0 }; events.list.capacity().max(1)];
        let most = libc::c_int::try_from(room.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: M10: the kernel fills at most `most` events, which are there.
        let came =
            unsafe { libc::epoll_wait(self.fd.as_fd().as_raw_fd(), room.as_mut_ptr(), most, left) };
        let Ok(came) = usize::try_from(came) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        };
        events.list.extend(room.into_iter().take(came).map(|event| epoll::Event {
            flags: epoll::EventFlags::from_bits_retain(event.events),
            data: epoll::EventData::new_u64(event.u64),
        }));
        Ok(())
    }
}

/// Readable while a wait would bring something: it can be polled itself.
impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// As long as the kernel counts.
const FAR: rustix::time::Timespec = rustix::time::Timespec { tv_sec: i64::MAX, tv_nsec: 0 };

/// A bell of our own, for a thread that waits in [`Epoll`].
#[derive(Debug)]
pub struct EventFd {
    fd: Fd,
}

impl EventFd {
    /// A bell that has not rung.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<EventFd> {
        refuse::at(Call::Eventfd)?;
        let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(EventFd { fd: Fd::new(fd)? })
    }

    /// Rings. It stays readable until [`clear`](EventFd::clear).
    pub fn raise(&self) {
        // The only refusal is a counter that is full, which is rung enough.
        let _ = rustix::io::retry_on_intr(|| {
            refuse::at(Call::EventfdUse)?;
            rustix::io::write(&self.fd, &1_u64.to_ne_bytes())
        });
    }

    /// Silences it. Clear first, then look for work.
    pub fn clear(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::retry_on_intr(|| {
            refuse::at(Call::EventfdUse)?;
            rustix::io::read(&self.fd, &mut count)
        });
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkSocket;
    use std::time::Duration;

    #[test]
    fn a_bell_is_told_until_it_is_cleared() {
        let (epoll, bell) = (Epoll::new().unwrap(), EventFd::new().unwrap());
        epoll.add(&bell, 42).unwrap();
        let mut events = Events::with_room(0);
        let now = Some(Instant::now());
        epoll.wait(&mut events, now).unwrap();
        assert!(events.is_empty());
        bell.raise();
        bell.raise();
        let told = Event { token: 42, readable: true, hangup: false };
        for _ in 0..2 {
            epoll.wait(&mut events, None).unwrap();
            assert_eq!(events.iter().collect::<Vec<_>>(), [told]);
        }
        bell.clear();
        epoll.wait(&mut events, now).unwrap();
        assert_eq!(events.len(), 0);
        bell.raise();
        epoll.remove(&bell).unwrap();
        epoll.wait(&mut events, now).unwrap();
        assert!(events.is_empty() && epoll.remove(&bell).is_err());
    }

    #[test]
    fn a_hang_up_is_told_apart_from_a_packet() {
        let epoll = Epoll::new().unwrap();
        let (near, far) = LinkSocket::pair().unwrap();
        epoll.add(&near, 1).unwrap();
        assert!(epoll.add(&near, 2).is_err());
        let mut events = Events::with_room(8);
        let far = LinkSocket::from_fd(far).unwrap();
        far.ring();
        epoll.wait(&mut events, None).unwrap();
        assert!(events.iter().all(|event| event.readable && !event.hangup));
        drop(far);
        // At once, or when a child that another test forked has closed its copy.
        while !events.iter().any(|event| event.readable && event.hangup) {
            epoll.wait(&mut events, None).unwrap();
        }
    }

    #[test]
    fn a_deadline_keeps_its_nanoseconds() {
        let epoll = Epoll::new().unwrap();
        let mut events = Events::with_room(1);
        let until = Instant::now() + Duration::from_micros(1500);
        while Instant::now() < until {
            epoll.wait(&mut events, Some(until)).unwrap();
            assert!(events.is_empty());
        }
    }
}
