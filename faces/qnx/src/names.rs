//! Names for channels, by way of the bootstrap server: `qnx/PID/CHID` for each channel,
//! and `qnx/local/NAME` for those that were given a name. Both lead to the clerk of
//! their process.

use pillarbox::bootstrap::{Bootstrap, BootstrapError, Refused};
use pillarbox::{Deadline, SendRight, hold_in_wait};

use crate::clerk::{self, Request};
use crate::codes::{EBUSY, EINVAL, ENAMETOOLONG, ENOENT, EPERM, ESRCH, Errno, chf};
use crate::connection::{self, patience};
use crate::{channel, with};

/// The most bytes of a name.
const NAME_BYTES: usize = 200;

fn numbered(pid: i32, chid: i32) -> String {
    format!("qnx/{pid}/{chid}")
}

fn named(name: &str) -> String {
    format!("qnx/local/{name}")
}

/// The bootstrap server, if there is one.
fn server() -> Option<Bootstrap> {
    let kept = with(|space| space.bootstrap.clone());
    if let Some(server) = kept.filter(|server| !server.right().is_dead()) {
        return Some(server);
    }
    let found = pillarbox::bootstrap(patience()).ok()?;
    with(|space| space.bootstrap = Some(found.clone()));
    Some(found)
}

/// Has a channel found by its number. Without a server it is this process's own.
pub(crate) fn publish(chid: i32) {
    let Some(server) = server() else { return };
    let Some(clerk) = clerk::ensure() else { return };
    let pid = with(|space| space.identity().pid);
    let _ = server.register(&numbered(pid, chid), clerk, patience());
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

/// The clerk of a process that has such a channel.
pub(crate) fn find(pid: i32, chid: i32) -> Result<SendRight, Errno> {
    let server = server().ok_or(ESRCH)?;
    let right = server.look_up_running(&numbered(pid, chid), patience()).map_err(|_| ESRCH)?;
    // A name says who it is of. The kernel knows.
    if pid_of(&right) == Some(pid) { Ok(right) } else { Err(ESRCH) }
}

/// The process that a right leads to.
pub(crate) fn pid_of(right: &SendRight) -> Option<i32> {
    if right.port_id().is_none() {
        // Until its owner has said that it is ours we know nothing of it.
        let _ = right.status(Deadline::after(std::time::Duration::from_secs(2)));
    }
    let owner = right.owner()?;
    with(|space| {
        if space.is_own(owner) {
            return Some(space.identity().pid);
        }
        Some(space.task.peer(owner)?.identity().pid)
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
    let server = server().ok_or(ENOENT)?;
    let clerk = clerk::ensure().ok_or(ENOENT)?;
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
        true => server.register(&named(name), clerk, patience()).map_err(|error| as_errno(&error)),
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
    let server = server().ok_or(ENOENT)?;
    let (_, found) = hold_in_wait((server, named(name)), drop, |(server, name)| {
        server.look_up_running(name, patience())
    });
    let clerk = found.map_err(|_| ENOENT)?;
    let request = Request::Attach { chid: 0, flags: 0, name: name.to_owned() };
    match hold_in_wait(request, drop, |request| connection::attach_named(request, clerk, 0)).1 {
        Err(ESRCH) => Err(ENOENT),
        other => other,
    }
}

fn as_errno(error: &BootstrapError) -> Errno {
    match error {
        BootstrapError::Refused { reason: Refused::InUse, .. } => EBUSY,
        BootstrapError::Refused { reason: Refused::NotAllowed(_), .. } => EPERM,
        BootstrapError::Name(_) => EINVAL,
        _ => ENOENT,
    }
}
