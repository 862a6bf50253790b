//! The calls of the oldest systems, said in those of today.
//!
//! | word | their header                     | ours                    |
//! |------|----------------------------------|-------------------------|
//! | 0    | highest byte: without descriptors | bits                    |
//! | 1    | size                             | size                    |
//! | 2    | type, which nobody looks at      | remote                  |
//! | 3    | local                            | local                   |
//! | 4    | remote                           | voucher: here the type  |
//! | 5    | id                               | id                      |
//!
//! A name there stands for all that a task may do with a port. So what is sent to is
//! copied, or made where only the receive right is held.

use pillarbox::Right;

use crate::codes::*;
use crate::letter::{put, word};
use crate::names::{NULL, Name, is_valid};
use crate::send::{self, COMPLEX, HEADER};
use crate::space::{Held, PortRights, Space, Taken, ToldAt};
use crate::{destroy, port, receive, with};

/// The codes of these calls.
pub(crate) mod code {
    use super::Code;

    pub(crate) const SUCCESS: Code = 0;
    pub(crate) const SEND_INVALID_MEMORY: Code = -101;
    pub(crate) const SEND_INVALID_PORT: Code = -102;
    pub(crate) const SEND_TIMED_OUT: Code = -103;
    pub(crate) const SEND_WILL_NOTIFY: Code = -105;
    pub(crate) const SEND_NOTIFY_IN_PROGRESS: Code = -106;
    pub(crate) const SEND_KERNEL_REFUSED: Code = -107;
    pub(crate) const SEND_MSG_TOO_LARGE: Code = -109;
    pub(crate) const SEND_MSG_TOO_SMALL: Code = -110;
    pub(crate) const RCV_INVALID_MEMORY: Code = -201;
    pub(crate) const RCV_INVALID_PORT: Code = -202;
    pub(crate) const RCV_TIMED_OUT: Code = -203;
    pub(crate) const RCV_TOO_LARGE: Code = -204;
    pub(crate) const RCV_NOT_ENOUGH_MEMORY: Code = -205;
    pub(crate) const RCV_PORT_CHANGE: Code = -208;
}

/// Options of these calls: the same numbers say another thing to each half.
const TIMEOUT: i32 = 1;
const NOTIFY: i32 = 2;
const LARGE: i32 = 8;

/// It has no descriptors.
const SIMPLE: u32 = 1 << 24;

/// The most bytes of a message.
const MOST: u32 = 8192;

/// The most places of a port.
const BACKLOG: u32 = 16;

/// How a name is sent to.
fn way(space: &mut Space, name: Name) -> Option<u8> {
    match &space.look(name)?.held {
        Held::Port(PortRights { send: Some(_), .. }) => Some(disposition::COPY_SEND),
        Held::Port(PortRights { receive: Some(_), .. }) => Some(disposition::MAKE_SEND),
        Held::Once(_) => Some(disposition::MOVE_SEND_ONCE),
        Held::Port(_) | Held::Set(..) | Held::Dead(_) => None,
    }
}

fn sent(code: Code) -> Code {
    match code {
        KERN_SUCCESS => code::SUCCESS,
        SEND_WILL_NOTIFY => code::SEND_WILL_NOTIFY,
        SEND_NOTIFY_IN_PROGRESS => code::SEND_NOTIFY_IN_PROGRESS,
        SEND_TIMED_OUT => code::SEND_TIMED_OUT,
        SEND_INVALID_DATA | SEND_INVALID_MEMORY => code::SEND_INVALID_MEMORY,
        SEND_TOO_LARGE | SEND_NO_BUFFER => code::SEND_MSG_TOO_LARGE,
        SEND_MSG_TOO_SMALL => code::SEND_MSG_TOO_SMALL,
        _ => code::SEND_INVALID_PORT,
    }
}

/// The size in a header, and the bytes of the message, read with `read`.
pub(crate) fn outgoing(
    header: &[u8],
    read: impl FnOnce(usize) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, Code> {
    let size = word(header, 4);
    if (size as usize) < HEADER {
        return Err(code::SEND_MSG_TOO_SMALL);
    }
    if size > MOST {
        return Err(code::SEND_MSG_TOO_LARGE);
    }
    if word(header, 0) & 0xff << 24 == 0 {
        // It says that it has typed descriptors, which are not known here.
        return Err(code::SEND_KERNEL_REFUSED);
    }
    let mut bytes = read(size as usize).ok_or(code::SEND_INVALID_MEMORY)?;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes)
}

/// Sends a message. What names in its header changed comes back.
pub(crate) fn send(mut message: Vec<u8>, option: i32, timeout: u32) -> (Code, [Name; 2]) {
    let (local, remote) = (word(&message, 12), word(&message, 16));
    let unchanged = [local, remote];
    let ways = with(|space| {
        let to = way(space, remote);
        let reply = if is_valid(local) { way(space, local) } else { Some(0) };
        to.zip(reply)
    });
    let Some((to, reply)) = ways else { return (code::SEND_INVALID_PORT, unchanged) };
    let bits = u32::from(to) | u32::from(reply) << 8;
    let reply = if reply == 0 { NULL } else { local };
    for (at, value) in [(0, bits), (16, word(&message, 8)), (8, remote), (12, reply)] {
        put(&mut message, at, &value.to_ne_bytes());
    }
    let options = match option & (TIMEOUT | NOTIFY) {
        0 => option::SEND_MSG,
        TIMEOUT => option::SEND_MSG | option::SEND_TIMEOUT,
        // What would wait is left: at once, or when the time is over.
        _ => option::SEND_MSG | option::SEND_TIMEOUT | option::LEAVE,
    };
    let timeout = if option & TIMEOUT != 0 { timeout } else { 0 };
    let (code, back) = send::send(message.as_ptr() as u64, message.len() as u32, options, timeout);
    let Some(back) = back else { return (sent(code), unchanged) };
    // What was copied is let go again; what was moved has a new name.
    let came = |at: usize, how: u8, before: Name| match how {
        0 => before,
        disposition::MOVE_SEND_ONCE => word(&back, at),
        _ => {
            let _ = with(|space| port::deallocate(space, word(&back, at)));
            before
        }
    };
    let (how, reply_how) = (to, (bits >> 8) as u8);
    let remote = came(8, how, remote);
    (sent(code), [came(12, reply_how, local), remote])
}

fn received(code: Code) -> Code {
    match code {
        KERN_SUCCESS => code::SUCCESS,
        RCV_TIMED_OUT => code::RCV_TIMED_OUT,
        RCV_TOO_LARGE => code::RCV_TOO_LARGE,
        RCV_PORT_CHANGED => code::RCV_PORT_CHANGE,
        RCV_INVALID_DATA => code::RCV_INVALID_MEMORY,
        _ => code::RCV_INVALID_PORT,
    }
}

/// Receives at `name` into at most `room` bytes. With what came, or as much of its header
/// as is known.
pub(crate) fn receive(name: Name, room: u32, option: i32, timeout: u32) -> (Code, Option<Vec<u8>>) {
    /// What stands behind every message.
    const TRAILER: usize = 8;
    if (room as usize) < HEADER {
        return (code::RCV_TOO_LARGE, None);
    }
    let room = room.min(MOST) as usize + TRAILER;
    let mut buffer: Vec<u8> = Vec::new();
    if buffer.try_reserve_exact(room).is_err() {
        return (code::RCV_NOT_ENOUGH_MEMORY, None);
    }
    buffer.resize(room, 0);
    let mut options = option::RCV_MSG;
    if option & TIMEOUT != 0 {
        options |= option::RCV_TIMEOUT;
    }
    if option & LARGE != 0 {
        options |= option::RCV_LARGE;
    }
    // The bytes are written by the kernel, as those of any caller.
    let into = buffer.as_mut_ptr();
    let code = receive::receive(into as u64, room as u32, name, options, timeout);
    let message = crate::edge::memory::read(into as u64, room).unwrap_or_default();
    match code {
        KERN_SUCCESS => (code::SUCCESS, Some(incoming(message))),
        RCV_TOO_LARGE => {
            let mut header = vec![0; HEADER];
            put(&mut header, 4, &word(&message, 4).to_ne_bytes());
            put(&mut header, 12, &name.to_ne_bytes());
            (code::RCV_TOO_LARGE, Some(header))
        }
        code => (received(code), None),
    }
}

/// A message as it is received today, in their words.
fn incoming(mut message: Vec<u8>) -> Vec<u8> {
    let bits = word(&message, 0);
    let (size, remote, kind) = (word(&message, 4), word(&message, 8), word(&message, 16));
    message.truncate(size as usize);
    let simple = if bits & COMPLEX == 0 { SIMPLE } else { 0 };
    put(&mut message, 8, &kind.to_ne_bytes());
    put(&mut message, 16, &remote.to_ne_bytes());
    put(&mut message, 0, &simple.to_ne_bytes());
    let id = word(&message, 20) as i32;
    let once = bits >> 8 & 0x1f == u32::from(disposition::MOVE_SEND_ONCE);
    let named = [notify::PORT_DELETED, notify::SEND_POSSIBLE, notify::DEAD_NAME];
    if once && size as usize == HEADER + 12 && named.contains(&id) {
        // News of a name: they have one word before it.
        let name = word(&message, HEADER + 8);
        put(&mut message, HEADER, &0u32.to_ne_bytes());
        put(&mut message, HEADER + 4, &name.to_ne_bytes());
        message.truncate(HEADER + 8);
        put(&mut message, 4, &((HEADER + 8) as u32).to_ne_bytes());
        if id == notify::DEAD_NAME {
            put(&mut message, 20, &notify::PORT_DELETED.to_ne_bytes());
        }
    }
    message
}

/// Lets go of what lies in a message that could not be handed over.
pub(crate) fn drop_message(message: &[u8]) {
    let remote = word(message, 16);
    let mut today = message.to_vec();
    let bits = if word(message, 0) & SIMPLE == 0 { COMPLEX } else { 0 };
    put(&mut today, 0, &(bits | u32::from(disposition::MOVE_SEND)).to_ne_bytes());
    put(&mut today, 8, &remote.to_ne_bytes());
    with(|space| destroy::rights_of(space, &today));
}

/// Where this task is told what became of what it left with others.
pub(crate) fn notify_port(space: &mut Space) -> Name {
    match &space.told_at {
        ToldAt::Own => {}
        ToldAt::Port(right) => return space.known(right).unwrap_or(NULL),
        ToldAt::Nowhere => return NULL,
    }
    if space.notify == NULL || space.receive(space.notify).is_err() {
        space.notify = port::allocate(space, right::RECEIVE, None).unwrap_or(NULL);
    }
    space.notify
}

/// A send right to where this task is told.
pub(crate) fn notify_right(space: &mut Space) -> Name {
    let own = notify_port(space);
    let right = match &space.told_at {
        ToldAt::Port(right) => Some(right.clone()),
        ToldAt::Own => space.receive(own).ok().and_then(|port| port.right.make_send().ok()),
        ToldAt::Nowhere => None,
    };
    right.map_or(NULL, |right| space.give_send(right))
}

/// This task is told at another port from now on, or nowhere.
pub(crate) fn tell_at(space: &mut Space, port: Name) -> Code {
    space.told_at = match space.take(port, disposition::COPY_SEND) {
        Ok(Taken::Right(Right::Send(right))) => ToldAt::Port(right),
        Ok(Taken::Null | Taken::Dead) => ToldAt::Nowhere,
        _ => return KERN_INVALID_RIGHT,
    };
    KERN_SUCCESS
}

/// Lets a port hold so many messages.
pub(crate) fn set_backlog(space: &mut Space, name: Name, backlog: i32) -> Code {
    match u32::try_from(backlog) {
        Ok(backlog @ 1..=BACKLOG) => port::set_qlimit(space, name, backlog),
        _ => KERN_INVALID_ARGUMENT,
    }
}
