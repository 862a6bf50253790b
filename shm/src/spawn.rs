//! A child that is born with one end of a link.
//!
//! The descriptor crosses `exec` in that child alone: it is marked in the child,
//! between fork and exec, so no other process started meanwhile gets it. An
//! environment variable says which number it has, and which socket must be
//! found there: a grandchild that inherited only the variable finds another, or
//! none.
#![allow(
    unsafe_code,
    reason = "runs between fork and exec; adopts an inherited descriptor (M6, M11)"
)]

use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI32};

use rustix::fs::FileType;
use rustix::io::FdFlags;

use crate::refuse::{self, Call};
use crate::socket::LinkSocket;

/// The variable that tells a child of its link: `<descriptor>:<inode>`.
pub const LINK_VARIABLE: &str = "PILLARBOX_LINK";

/// No descriptor.
const NONE: RawFd = -1;

/// Starts `command` with `link`, the child's end of a pair, and closes our copy
/// of it.
///
/// The command may be used again afterwards; the next child gets no link unless
/// it is started by this, too.
///
/// # Errors
/// What the system says; then `link` is closed and nothing was started.
pub fn spawn(command: &mut Command, link: OwnedFd) -> io::Result<Child> {
    // Above the standard three, which the child's own are put over.
    refuse::at(Call::Dup)?;
    let link = rustix::io::fcntl_dupfd_cloexec(&link, 3)?;
    refuse::at(Call::Spawn)?;
    let inode = rustix::fs::fstat(&link)?.st_ino;
    // The command keeps the closure for ever, so it is told when to stop.
    let inherit = Arc::new(AtomicI32::new(link.as_raw_fd()));
    let in_child = Arc::clone(&inherit);
    let mark = move || {
        // Relaxed: stored before the fork by the thread that forks.
        let raw = in_child.load(Relaxed);
        if raw == NONE {
            return Ok(());
        }
        // SAFETY: M11: open in the child, as it was in the parent at the fork.
        let link = unsafe { BorrowedFd::borrow_raw(raw) };
        rustix::io::fcntl_setfd(link, FdFlags::empty())?;
        Ok(())
    };
    // SAFETY: M11: `mark` loads an atomic and makes one system call; it takes no
    // lock and no memory.
    unsafe { command.pre_exec(mark) };
    command.env(LINK_VARIABLE, format!("{}:{inode}", link.as_raw_fd()));
    let child = command.spawn();
    inherit.store(NONE, Relaxed);
    command.env_remove(LINK_VARIABLE);
    child
}

/// What is readable when `child` has ended, and what names it to its peers. It must
/// not have been waited for.
///
/// # Errors
/// What the system says.
pub fn watch(child: &Child) -> io::Result<(OwnedFd, u64)> {
    crate::who::child(child.id())
}

/// The link this process was started with: the first time it is asked for, and
/// only in the very child that [`spawn`] started.
pub fn inherited() -> Option<LinkSocket> {
    let raw = waiting()?;
    if TAKEN.swap(true, Relaxed) {
        return None;
    }
    // SAFETY: M11: the descriptor our parent meant for us, taken this once.
    let link = unsafe { OwnedFd::from_raw_fd(raw) };
    LinkSocket::from_fd(link).ok()
}

/// Whether [`inherited`] would find a link: for who must prepare for one.
pub fn is_inherited() -> bool {
    waiting().is_some()
}

static TAKEN: AtomicBool = AtomicBool::new(false);

fn waiting() -> Option<RawFd> {
    if TAKEN.load(Relaxed) {
        return None;
    }
    let value = env::var(LINK_VARIABLE).ok()?;
    let (raw, inode) = parse(&value)?;
    // SAFETY: M11: only looked at, by calls that fail on what is not open.
    let seen = unsafe { BorrowedFd::borrow_raw(raw) };
    // Whatever Rust opens is closed on exec. What is not, was inherited, or
    // made by someone who does not care; the inode tells which.
    let crossed_exec = rustix::io::fcntl_getfd(seen).is_ok_and(|flags| flags.is_empty());
    (crossed_exec && is_socket(seen, inode)).then_some(raw)
}

fn parse(value: &str) -> Option<(RawFd, u64)> {
    let (raw, inode) = value.split_once(':')?;
    let raw: RawFd = raw.parse().ok()?;
    (raw > 2).then_some((raw, inode.parse().ok()?))
}

fn is_socket(fd: BorrowedFd<'_>, inode: u64) -> bool {
    rustix::fs::fstat(fd.as_fd()).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::Socket && stat.st_ino == inode
    })
}

/// The first descriptor of those that a manager of services hands to a program.
const FIRST_HANDED: RawFd = 3;

/// More than these are not looked for.
const HANDED_MOST: RawFd = 64;

/// The sockets that a manager of services has opened for this process, as
/// `$LISTEN_PID` and `$LISTEN_FDS` say: once, and only to the process they are for.
///
/// What stands in the variables is not believed: only what crossed exec, which nothing
/// does that Rust opens, and is a socket that listens is taken; the first that is not
/// ends the list.
pub fn handed() -> Vec<OwnedFd> {
    let number = |name: &str| env::var(name).ok()?.parse::<RawFd>().ok();
    let own = rustix::process::getpid().as_raw_pid();
    let count = number("LISTEN_FDS").filter(|_| number("LISTEN_PID") == Some(own)).unwrap_or(0);
    if HANDED.swap(true, Relaxed) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for raw in FIRST_HANDED..FIRST_HANDED + count.clamp(0, HANDED_MOST) {
        // SAFETY: M11: only looked at, by calls that fail on what is not open.
        let seen = unsafe { BorrowedFd::borrow_raw(raw) };
        let crossed_exec = rustix::io::fcntl_getfd(seen).is_ok_and(|flags| flags.is_empty());
        if !crossed_exec || rustix::net::sockopt::socket_acceptconn(seen) != Ok(true) {
            break;
        }
        // SAFETY: M11: the descriptor that was meant for this process, taken this once.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        // It is for us and not for those we start.
        if rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC).is_ok() {
            found.push(fd);
        }
    }
    found
}

static HANDED: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_and_an_inode_name_a_link() {
        assert_eq!(parse("7:123"), Some((7, 123)));
        for wrong in ["", "7", "7:", ":123", "2:123", "-1:123", "7:x", "7:1:2"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
