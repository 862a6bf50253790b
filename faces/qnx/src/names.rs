//! Names for channels, by way of the bootstrap server: `qnx/PID/CHID` for each channel,
//! and `qnx/local/NAME` for those that were given a name. Both lead to the clerk of
//! their process.

use std::time::Duration;

use pillarbox::bootstrap::{Bootstrap, BootstrapError, NameState, Refused};
use pillarbox::{Deadline, SendRight, StatusError, hold_in_wait};

use crate::clerk::{self, Request};
use crate::codes::{EAGAIN, EBUSY, EINVAL, ENAMETOOLONG, ENOENT, EPERM, ESRCH, Errno, chf};
use crate::connection::{self, long, patience};
use crate::{channel, with};

/// The most bytes of a name.
const NAME_BYTES: usize = 200;

fn numbered(pid: i32, chid: i32) -> String {
    format!("qnx/{pid}/{chid}")
}

fn named(name: &str) -> String {
    format!("qnx/local/{name}")
}

/// How often a server is asked that goes meanwhile: another may be in its place.
const ASKED: u32 = 3;

/// How long a number may still be that of a program which this process ran before.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// The bootstrap server. `None` where there is none, which is no error.
///
/// # Errors
/// `EAGAIN`: there is one, and it was not reached.
fn server() -> Result<Option<Bootstrap>, Errno> {
    let kept = with(|space| space.bootstrap.clone());
    if let Some(server) = kept.filter(|server| !server.right().is_dead()) {
        return Ok(Some(server));
    }
    match pillarbox::bootstrap(long()) {
        Ok(found) => {
            with(|space| space.bootstrap = Some(found.clone()));
            Ok(Some(found))
        }
        // Who may share no task with others is alone as well.
        Err(BootstrapError::NoServer(_) | BootstrapError::Task(_)) => Ok(None),
        Err(_) => Err(EAGAIN),
    }
}

/// Asks the bootstrap server, or who comes in its place, about something; `None` where
/// there is none.
fn ask<A, T>(
    about: A,
    question: impl Fn(&Bootstrap, &A) -> Result<T, BootstrapError>,
) -> Result<Option<T>, BootstrapError> {
    let (mut about, mut asked) = (about, 0);
    loop {
        let (given, server) = hold_in_wait(about, drop, |_| server());
        let Some(server) = server.map_err(|_| BootstrapError::Deadline)? else { return Ok(None) };
        let ((_, given), answer) =
            hold_in_wait((server, given), drop, |(server, about)| question(server, about));
        (about, asked) = (given, asked + 1);
        match answer {
            Err(BootstrapError::Died) if asked < ASKED => {}
            other => return other.map(Some),
        }
    }
}

/// Puts a clerk under a name.
fn register(name: String, clerk: SendRight) -> Result<Option<()>, BootstrapError> {
    ask((name, clerk), |server, (name, clerk)| server.register(name, clerk.clone(), long()))
}

/// The clerk under a name. `None` without a server.
fn look_up(name: String) -> Result<Option<SendRight>, BootstrapError> {
    ask(name, |server, name| server.look_up_running(name, long()))
}

/// Has a channel found by its number. Without a server it is this process's own.
///
/// # Errors
/// `EPERM` where the server lets nobody find it, `EAGAIN` where it could not be asked, or
/// has another under this number.
pub(crate) fn publish(chid: i32) -> Result<(), Errno> {
    if server()?.is_none() {
        return Ok(());
    }
    let clerk = clerk::ensure().ok_or(EAGAIN)?;
    let pid = with(|space| space.identity().pid);
    let (name, again) = (numbered(pid, chid), clerk.clone());
    let told = match register(name, clerk) {
        Err(BootstrapError::Refused { name, reason: Refused::InUse }) if becomes_free(&name) => {
            register(name, again)
        }
        other => other,
    };
    told.map(drop).map_err(|error| match as_errno(&error) {
        EPERM => EPERM,
        _ => EAGAIN,
    })
}

/// Waits until nobody has a name: the program that this process ran before is gone, and
/// the server has only not heard of it.
fn becomes_free(name: &str) -> bool {
    let Ok(Some(server)) = server() else { return false };
    let Ok(mut watch) = server.watch(name) else { return false };
    let soon = Deadline::after(LEFT_BEHIND);
    loop {
        match watch.next(soon) {
            Ok(NameState::Free) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// It is found no more, and by none of its names.
pub(crate) fn unpublish(chid: i32, names: &[String]) {
    let (server, pid) = with(|space| (space.bootstrap.clone(), space.identity().pid));
    let Some(server) = server.filter(|server| !server.right().is_dead()) else { return };
    let _ = server.unregister(&numbered(pid, chid), patience());
    for name in names {
        let _ = server.unregister(&named(name), patience());
    }
}

/// How often one is met that the server says is there. On a machine with much to do the
/// server's right may come to nothing, because its owner was not scheduled in time.
const MEETINGS: u32 = 5;

/// The clerk of a process that has such a channel.
pub(crate) fn find(pid: i32, chid: i32) -> Result<SendRight, Errno> {
    let mut met = 0;
    loop {
        let found = look_up(numbered(pid, chid));
        let right = found.map_err(|error| unfound(&error, ESRCH))?.ok_or(ESRCH)?;
        let (right, of) = hold_in_wait(right, drop, |right| pid_of(right));
        met += 1;
        match of {
            // A name says who it is of. The kernel knows.
            Ok(of) => return if of == pid { Ok(right) } else { Err(ESRCH) },
            Err(ESRCH) if met < MEETINGS => {}
            Err(error) => return Err(error),
        }
    }
}

/// The process that a right leads to.
///
/// # Errors
/// `ESRCH` where it is gone, `EAGAIN` where it has not met us in all that time.
pub(crate) fn pid_of(right: &SendRight) -> Result<i32, Errno> {
    if right.port_id().is_none() {
        // Until its owner has said that it is ours we know nothing of it.
        // Whose it is may be known also where it is dead.
        if right.status(long()) == Err(StatusError::Deadline) {
            return Err(EAGAIN);
        }
    }
    let owner = right.owner().ok_or(ESRCH)?;
    with(|space| {
        if space.is_own(owner) {
            return Ok(space.identity().pid);
        }
        Ok(space.task.peer(owner).ok_or(ESRCH)?.identity().pid)
    })
}

fn check(name: &str) -> Result<(), Errno> {
    if name.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(EINVAL);
    }
    if name.len() > NAME_BYTES { Err(ENAMETOOLONG) } else { Ok(()) }
}

/// Makes a channel that is found by a name.
pub(crate) fn attach(name: &str) -> Result<i32, Errno> {
    check(name)?;
    server()?.ok_or(ENOENT)?;
    let clerk = clerk::ensure().ok_or(EAGAIN)?;
    if with(|space| space.names.contains_key(name)) {
        return Err(EBUSY);
    }
    let chid = channel::create(chf::DISCONNECT | chf::COID_DISCONNECT | chf::UNBLOCK)?;
    let free = with(|space| {
        let free = !space.names.contains_key(name);
        if free {
            space.names.insert(name.to_owned(), chid);
        }
        free
    });
    let taken = match free {
        true => match register(named(name), clerk) {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(ENOENT),
            Err(error) => Err(as_errno(&error)),
        },
        false => Err(EBUSY),
    };
    if let Err(error) = taken {
        if free {
            with(|space| space.names.remove(name));
        }
        let _ = channel::destroy(chid);
        return Err(error);
    }
    Ok(chid)
}

/// Connects with the channel that has a name.
pub(crate) fn open(name: &str) -> Result<i32, Errno> {
    check(name)?;
    let found = look_up(named(name));
    let clerk = found.map_err(|error| unfound(&error, ENOENT))?.ok_or(ENOENT)?;
    let request = Request::Attach { chid: 0, flags: 0, name: name.to_owned() };
    match hold_in_wait(request, drop, |request| connection::attach_named(request, clerk, 0)).1 {
        Err(ESRCH) => Err(ENOENT),
        other => other,
    }
}

/// Why a name was not taken.
fn as_errno(error: &BootstrapError) -> Errno {
    match error {
        BootstrapError::Refused { reason: Refused::InUse, .. } => EBUSY,
        BootstrapError::Refused { reason: Refused::NotAllowed(_), .. } => EPERM,
        BootstrapError::Name(_) => EINVAL,
        _ => EAGAIN,
    }
}

/// Why a name was not found: who may not look it up sees none.
fn unfound(error: &BootstrapError, none: Errno) -> Errno {
    match error {
        BootstrapError::Refused { .. } | BootstrapError::Name(_) => none,
        _ => EAGAIN,
    }
}
