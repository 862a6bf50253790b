//! What systemd and we say to each other: sockets it hands over, what it wants to
//! know of us, and how its journal likes its lines.
//!
//! All of it is in the environment it starts a program with. Where there is nothing of
//! it, nothing is done: a server in a terminal or a container does the same work.
//!
//! The one crate for this waits where the manager does not read, and knows no abstract
//! names; ours is told from the thread that answers requests.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::net::{SocketAddrUnix, getsockname};

use crate::failure::Failure;

/// A socket that was bound for us.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) socket: OwnedFd,
    pub(crate) path: PathBuf,
}

/// The socket systemd hands to us, if it does.
pub(crate) fn handed() -> Result<Option<Handed>, Failure> {
    let mut sockets = pillarbox::handed_sockets();
    let Some(socket) = sockets.pop() else { return Ok(None) };
    let hint = "the socket unit names one: ListenSequentialPacket=%t/pillarbox/boot.sock";
    if !sockets.is_empty() {
        let many = sockets.len() + 1;
        return Err(Failure::usage(format!("{many} sockets were handed over")).hint(hint));
    }
    let name = getsockname(&socket).ok().and_then(|name| SocketAddrUnix::try_from(name).ok());
    let path = name.as_ref().and_then(|name| name.path_bytes());
    match path {
        Some(path) => {
            let path = PathBuf::from(OsStr::from_bytes(path));
            Ok(Some(Handed { socket, path }))
        }
        None => Err(Failure::usage("the socket that was handed over has no path").hint(hint)),
    }
}

/// The server answers.
pub(crate) const READY: &str = "READY=1";
/// It is about to end.
pub(crate) const STOPPING: &str = "STOPPING=1";
/// It is still there.
pub(crate) const WATCHDOG: &str = "WATCHDOG=1";

/// The time that goes with the news of a reload.
pub(crate) fn now() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    format!("MONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000)
}

/// Says some lines to whoever manages us, if anybody does. Who does not read now is not
/// waited for: what counts is said again.
pub(crate) fn say(lines: &[&str]) {
    if let Some(place) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = say_at(&place, &lines.join("\n"));
    }
}

fn say_at(place: &OsStr, text: &str) -> io::Result<usize> {
    // As sd_notify(3) has it.
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(place)?,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text.as_bytes(), &address)
}

/// How often a watchdog wants to hear of us: twice in the time after which it bites.
pub(crate) fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let ours = match std::env::var_os("WATCHDOG_PID") {
        None => true,
        Some(_) => number("WATCHDOG_PID") == Some(std::process::id().into()),
    };
    let span_us = number("WATCHDOG_USEC").filter(|span_us| ours && *span_us > 0)?;
    Some(Duration::from_micros(span_us) / 2)
}

/// How grave a line is, as the journal counts it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

impl Level {
    /// What goes before a line: its level where the journal reads it, else nothing.
    pub(crate) fn mark(self) -> String {
        if is_journal() { format!("<{}>", self as u8) } else { String::new() }
    }
}

/// Whether standard error is a stream of the journal's: the very one it says.
pub(crate) fn is_journal() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
        let stat = rustix::fs::fstat(std::io::stderr());
        stat.is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
    })
}
