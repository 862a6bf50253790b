//! A forked child has nothing of its parent's (M5, M6, M9).
//!
//! Each test forks and asks in the child; the answer is the child's exit code.
//! The children allocate, which glibc makes safe after a fork; after a bare
//! `clone` it is safe because each test's thread has an arena to itself and only
//! one test runs at a time. They print nothing.
#![cfg(not(loom))]
#![allow(unsafe_code, reason = "forks, and looks at raw descriptor numbers")]

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use abi::board::{Life, State};
use abi::frame::{Header, Kind};
use abi::page::Sleep;
use abi::{Slot, limits};
use shm::socket::Received;
use shm::{
    Body, Epoch, EventFd, LaneReader, LaneWriter, LinkSocket, OwnPage, PeerPage, WriteError,
};

const LANE: u32 = limits::LANE_BYTES_MIN;

/// Forks of one test would carry off the descriptors of another.
static ALONE: Mutex<()> = Mutex::new(());

#[derive(Clone, Copy)]
enum How {
    /// `fork`, which runs the handlers.
    Fork,
    /// A bare `clone`, which runs none.
    Clone,
}

/// A child that has answered once it is waited for.
struct Child(libc::pid_t);

impl Child {
    fn start(how: How, run: impl FnOnce() -> bool) -> Child {
        let pid = match how {
            // SAFETY: the child runs `run` and ends.
            How::Fork => unsafe { libc::fork() },
            // SAFETY: as above; the flags make it a fork.
            How::Clone => unsafe {
                libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t
            },
        };
        assert!(pid >= 0);
        if pid == 0 {
            let right = catch_unwind(AssertUnwindSafe(run)).unwrap_or(false);
            // SAFETY: ends the child without running the parent's clean-up.
            unsafe { libc::_exit(if right { 0 } else { 1 }) };
        }
        Child(pid)
    }

    /// Whether the child said yes. A child that crashed did not.
    fn said_yes(self) -> bool {
        let mut status = 0;
        // SAFETY: fills the status of our own child.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        waited == self.0 && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

fn child_says_yes(how: How, run: impl FnOnce() -> bool) -> bool {
    Child::start(how, run).said_yes()
}

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// Both ends of a link, in one process.
struct Link {
    own: std::sync::Arc<OwnPage>,
    writer: LaneWriter,
    peer: std::sync::Arc<PeerPage>,
    reader: LaneReader,
    socket: LinkSocket,
    far: LinkSocket,
}

fn link() -> Link {
    let (own, writer, fd) = OwnPage::create(LANE).unwrap();
    let (peer, reader) = PeerPage::open(fd, LANE).unwrap();
    let (socket, far) = LinkSocket::pair().unwrap();
    let far = LinkSocket::from_fd(far).unwrap();
    Link { own, writer, peer, reader, socket, far }
}

fn header() -> Header {
    let slot = Slot { index: 1, generation: 1 };
    Header::new(Kind::Ask, slot)
}

fn is_open(raw: RawFd) -> bool {
    // SAFETY: asks about a number, which need not be open.
    unsafe { libc::fcntl(raw, libc::F_GETFD) >= 0 }
}

#[test]
fn a_child_knows_that_it_is_one() {
    let _alone = alone();
    let epoch = Epoch::current();
    assert!(epoch.is_current() && !shm::fork::is_forked());
    for how in [How::Fork, How::Clone] {
        assert!(child_says_yes(how, || {
            shm::fork::is_forked()
                && !epoch.is_current()
                && !Epoch::current().is_current()
                && Epoch::current() != epoch
        }));
    }
    assert!(epoch.is_current() && Epoch::current() == epoch);
}

#[test]
fn a_parent_that_renews_stays_as_it_is() {
    let _alone = alone();
    let epoch = Epoch::current();
    assert_eq!(shm::fork::renew(), epoch);
    assert!(epoch.is_current());
}

#[test]
fn every_life_of_a_line_has_a_number_of_its_own() {
    let _alone = alone();
    let first = Epoch::current();
    assert!(child_says_yes(How::Fork, || {
        let second = shm::fork::renew();
        let grandchild = child_says_yes(How::Fork, || {
            let third = shm::fork::renew();
            third.is_current() && third != first && third != second
        });
        grandchild && second.is_current() && second != first && !first.is_current()
    }));
}

#[test]
fn what_a_child_inherits_does_nothing() {
    let _alone = alone();
    let mut link = link();
    link.writer.write(&header(), &[], 0, &link.peer).expect("an empty lane");
    link.writer.publish();
    let body = Body::open(Body::create(&[b"sealed"]).unwrap(), 6).unwrap();
    for how in [How::Fork, How::Clone] {
        assert!(child_says_yes(how, || {
            link.own.set_tail(77);
            link.own.announce(Sleep::Bell(7));
            link.own.bump_change();
            link.own.wake_head();
            link.writer.publish();
            let life = Life { generation: 1, state: State::Live };
            let nowhere = !link.own.set_life(0, life) && link.own.raise_want() == 0;
            let refused = link.writer.write(&header(), &[], 0, &link.peer);
            let mut buf = [0; 8];
            nowhere
                && refused == Err(WriteError::Forked)
                && link.reader.next() == Ok(None)
                && !link.reader.pending()
                && link.peer.head() == 0
                && link.peer.life(0).is_none()
                && body.is_empty()
                && link.own.add_board().is_err()
                && OwnPage::create(LANE).is_err()
                && EventFd::new().is_err()
                && matches!(link.socket.receive(&mut buf), Received::Failed(_) | Received::End)
                && link.socket.send(b"x", &[]).is_err()
        }));
    }
    // And the parent saw none of it.
    assert_eq!((link.peer.tail(), link.peer.change()), (0, 0));
    assert_eq!(link.reader.next(), Ok(Some(header())));
    assert_eq!(&*body, b"sealed");
    let mut buf = [0; 8];
    assert!(matches!(link.far.receive(&mut buf), Received::Empty));
}

#[test]
fn no_mapping_reaches_a_child() {
    let _alone = alone();
    let link = link();
    link.own.add_board().unwrap();
    let body = Body::open(Body::create(&[b"sealed"]).unwrap(), 6).unwrap();
    let mapped = || std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(mapped().contains("memfd:pillarbox"));
    for how in [How::Fork, How::Clone] {
        assert!(child_says_yes(how, || !mapped().contains("memfd:pillarbox")));
    }
    assert_eq!(body.len(), 6);
}

#[test]
fn dropping_what_was_inherited_harms_nobody() {
    let _alone = alone();
    for how in [How::Fork, How::Clone] {
        let link = link();
        let raw = link.socket.as_fd().as_raw_fd();
        assert!(child_says_yes(how, move || {
            // The same number, now a file of the child's; and, where the
            // mappings were, memory of the child's.
            // SAFETY: whatever has this number is replaced.
            let copied = unsafe { libc::dup2(2, raw) };
            let memory: Vec<Vec<u8>> = (0..64).map(|byte| vec![byte; 1 << 16]).collect();
            drop(link);
            let whole = memory
                .iter()
                .enumerate()
                .all(|(byte, memory)| memory.iter().all(|seen| usize::from(*seen) == byte));
            copied == raw && is_open(raw) && whole
        }));
    }
}

#[test]
fn a_fork_closes_sockets_so_that_death_is_seen() {
    let _alone = alone();
    let (near, far) = LinkSocket::pair().unwrap();
    let far = LinkSocket::from_fd(far).unwrap();
    let raw = near.as_fd().as_raw_fd();
    let (told, tell) = rustix::pipe::pipe().unwrap();
    let (ready, say_ready) = rustix::pipe::pipe().unwrap();
    let far_raw = far.as_fd().as_raw_fd();
    // The child lives on, and holds neither end.
    let child = Child::start(How::Fork, move || {
        let closed = !is_open(raw) && !is_open(far_raw);
        let mut byte = [0];
        let said = rustix::io::write(&say_ready, b"r").is_ok();
        closed && said && rustix::io::read(&told, &mut byte) == Ok(1)
    });
    assert_eq!(rustix::io::read(&ready, &mut [0]), Ok(1));
    drop(near);
    assert!(matches!(far.receive(&mut [0; 8]), Received::End));
    rustix::io::write(&tell, b"t").unwrap();
    assert!(child.said_yes());
}

#[test]
fn a_renewed_child_has_links_of_its_own() {
    let _alone = alone();
    for how in [How::Fork, How::Clone] {
        let mut old = link();
        let raw = old.socket.as_fd().as_raw_fd();
        assert!(child_says_yes(how, || {
            shm::fork::renew();
            let closed = !is_open(raw);
            let mut new = link();
            let written = new.writer.write(&header(), &[], 0, &new.peer).is_ok();
            new.writer.publish();
            let read = new.reader.next() == Ok(Some(header()));
            new.socket.ring();
            let rung = matches!(
                new.far.receive(&mut [0; 8]),
                Received::Packet { bytes: 1, who: Some(who), .. }
                    if who.process == shm::socket::own_process()
            );
            // The old ones are as dead as before.
            let refused = old.writer.write(&header(), &[], 0, &old.peer);
            shm::close_later(vec![Body::create(&[b"x"]).unwrap()]);
            closed && written && read && rung && refused == Err(WriteError::Forked)
        }));
    }
}

#[test]
fn threads_that_renew_at_once_close_nothing_of_each_other() {
    let _alone = alone();
    let _old = link();
    for _ in 0..50 {
        assert!(child_says_yes(How::Fork, || {
            let start = std::sync::Barrier::new(4);
            let renew = || {
                start.wait();
                let epoch = shm::fork::renew();
                Some((epoch, EventFd::new().ok()?))
            };
            let made: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(renew)).collect();
                threads.into_iter().map(|thread| thread.join()).collect()
            });
            made.iter().all(|made| {
                matches!(made, Ok(Some((epoch, bell)))
                    if epoch.is_current() && is_open(bell.as_fd().as_raw_fd()))
            })
        }));
    }
}

#[test]
fn a_descriptor_is_closed_once_and_forgotten() {
    let _alone = alone();
    let bell = EventFd::new().unwrap();
    let raw = bell.as_fd().as_raw_fd();
    drop(bell);
    assert!(!is_open(raw));
    // The number is used again by somebody who is not registered.
    let error = std::io::stderr();
    let other = rustix::io::fcntl_dupfd_cloexec(error, raw).unwrap();
    let raw = other.as_raw_fd();
    assert!(child_says_yes(How::Fork, || is_open(raw)));
}
