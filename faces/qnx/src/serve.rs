//! What a server does: receives, reads, writes, and replies.

use std::sync::Arc;

use pillarbox::{Deadline, Message, hold_in_wait};

use crate::channel::Channel;
use crate::codes::{EFAULT, EINVAL, ESRCH, ESRVRFAULT, Errno, chf, mi, timeout_in};
use crate::edge::memory::Parts;
use crate::held::{Held, Taken};
use crate::letter::{From, Info, Outcome, PulseId, PulseIn};
use crate::thread::{self, Timeout};
use crate::with;

/// What was received.
#[derive(Debug)]
pub(crate) enum Received {
    Pulse(PulseIn),
    Request(i32, Info),
}

/// Takes what is next at a channel, and copies it to the caller.
pub(crate) fn receive(chid: i32, to: &Parts, pulses_only: bool) -> Result<Received, Errno> {
    let timeout = thread::take_timeout();
    if chid == -1 {
        thread::serves_none();
        return Err(ESRCH);
    }
    let channel = with(|space| space.channel(chid)).ok_or(ESRCH)?;
    let deadline = Timeout::within(timeout, timeout_in::RECEIVE).unwrap_or(Deadline::Never);
    thread::serves(chid);
    let inherits = channel.flags & chf::FIXED_PRIORITY == 0;
    if inherits {
        thread::wait_above_all();
    } else {
        thread::lend_priority(None);
    }
    let jumped = |channel| {
        thread::lend_priority(None);
        drop::<Arc<Channel>>(channel);
    };
    let (channel, received) =
        hold_in_wait(channel, jumped, |channel| receive_at(channel, to, pulses_only, deadline));
    if inherits {
        let priority = received.as_ref().ok().map(Received::priority);
        thread::lend_priority(priority);
        if let Some(priority) = priority {
            thread::begin_work(&channel, priority);
        }
    }
    received
}

fn receive_at(
    channel: &Channel,
    to: &Parts,
    pulses_only: bool,
    deadline: Deadline,
) -> Result<Received, Errno> {
    loop {
        let message = channel.take(pulses_only, deadline)?;
        // What is of somebody who has left, or of nobody, is nothing: then the next.
        if let Some(received) = take(channel, message, to)? {
            return Ok(received);
        }
    }
}

impl Received {
    fn priority(&self) -> u16 {
        match self {
            Received::Pulse(pulse) => pulse.priority.max(1),
            Received::Request(_, info) => info.priority.max(1),
        }
    }
}

/// What a message is to the server. `None` where it is nothing.
fn take(channel: &Channel, message: Message, to: &Parts) -> Result<Option<Received>, Errno> {
    if message.reply_right().is_none() {
        return take_pulse(&message, to);
    }
    let Some(sender) = message.sender() else { return Ok(None) };
    let from = From::of(message.tag());
    let held = with(|space| space.held_of(from.scoid, sender.task, from.thread));
    let Some(held) = held.ok().filter(|held| held.chid == channel.chid) else { return Ok(None) };
    let room = message.reply_right().map_or(0, |reply| reply.reply_room());
    let info = Info {
        pid: sender.pid,
        thread: from.thread,
        chid: channel.chid,
        scoid: from.scoid,
        coid: message.id(),
        priority: message.priority(),
        flags: mi::BITS_64,
        room,
        ..Info::default()
    };
    let unblocks = channel.flags & chf::UNBLOCK != 0;
    let (taken, before) = held.put(from.request, message, info, unblocks);
    drop(before);
    match taken {
        Taken::Nobody(left) => {
            drop(left);
            return Ok(None);
        }
        Taken::HeldAndTell => channel.tell_unblock(&held),
        Taken::Held => {}
    }
    if held.deliver(|bytes| to.write(bytes)).is_none() {
        // The client hears whose fault it was.
        let _ = reply_to(&held, Outcome::Error(ESRVRFAULT.0), Vec::new());
        return Err(EFAULT);
    }
    Ok(Some(Received::Request(held.rcvid, held.info())))
}

fn take_pulse(message: &Message, to: &Parts) -> Result<Option<Received>, Errno> {
    let id = PulseId::of(message.id());
    let Some(sender) = message.sender() else { return Ok(None) };
    let is_ours = with(|space| {
        // What is not a pulse, and what a pulse says of another's connection, is nobody's.
        space.is_own(sender.task)
            || message.pulse().is_some() && {
                !id.ends && space.client_of(id.scoid, sender.task).is_some()
            }
    });
    if !is_ours || id.ends {
        return Ok(None);
    }
    let (value, priority, pid) = (message.tag(), message.priority(), sender.pid);
    let pulse = PulseIn { id, value, priority, pid };
    if to.bytes() < PulseIn::BYTES || to.write(&pulse.bytes()).is_none() {
        return Err(EFAULT);
    }
    Ok(Some(Received::Pulse(pulse)))
}

/// The request that a number stands for.
fn held(rcvid: i64) -> Result<Arc<Held>, Errno> {
    let rcvid = i32::try_from(rcvid).map_err(|_| ESRCH)?;
    with(|space| space.held.get(&rcvid).map(Arc::clone)).ok_or(ESRCH)
}

fn reply_to(held: &Held, outcome: Outcome, body: Vec<u8>) -> Result<(), Errno> {
    let (sent, told) = held.answer(outcome, body);
    if told {
        // Its client may be gone, and that be told now.
        drop(with(|space| space.settle(held.scoid)));
    }
    sent
}

/// Replies with a status, and so many of these bytes as the client has room for.
pub(crate) fn reply(rcvid: i64, status: i64, from: &Parts) -> Result<(), Errno> {
    let held = held(rcvid)?;
    if !held.waits() {
        return Err(ESRCH);
    }
    let Some(body) = from.read_up_to(held.room()) else {
        return match reply_to(&held, Outcome::Error(ESRVRFAULT.0), Vec::new()) {
            Ok(()) => Err(ESRVRFAULT),
            Err(error) => Err(error),
        };
    };
    hold_in_wait(held, drop, |held| reply_to(held, Outcome::Status(status), body)).1
}

/// Replies with an error, and nothing else.
pub(crate) fn error(rcvid: i64, error: i32) -> Result<(), Errno> {
    reply_to(&*held(rcvid)?, Outcome::Error(error), Vec::new())
}

/// Copies bytes of the request to the caller.
pub(crate) fn read(rcvid: i64, to: &Parts, offset: usize) -> Result<usize, Errno> {
    held(rcvid)?.read(offset, |bytes| to.write(bytes)).map_err(as_servers_fault)
}

/// Copies bytes of the caller's to the client's reply.
pub(crate) fn write(rcvid: i64, from: &Parts, offset: usize) -> Result<usize, Errno> {
    let held = held(rcvid)?;
    if !held.waits() {
        return Err(ESRCH);
    }
    let room = held.room().saturating_sub(offset);
    let bytes = from.read_up_to(room).ok_or(ESRVRFAULT)?;
    hold_in_wait((held, bytes), drop, |(held, bytes)| held.write(offset as u64, bytes)).1
}

fn as_servers_fault(error: Errno) -> Errno {
    if error == EFAULT { ESRVRFAULT } else { error }
}

/// What is known of a request.
pub(crate) fn info(rcvid: i64) -> Result<Info, Errno> {
    Ok(held(rcvid)?.info())
}

/// This thread serves that request's channel again, for its client.
pub(crate) fn current(rcvid: i64) -> Result<(), Errno> {
    let held = held(rcvid)?;
    if !held.waits() {
        return Err(ESRCH);
    }
    let channel = with(|space| space.channel(held.chid)).ok_or(EINVAL)?;
    thread::serves(held.chid);
    if channel.flags & chf::FIXED_PRIORITY == 0 {
        let priority = held.info().priority.max(1);
        thread::lend_priority(Some(priority));
        thread::begin_work(&channel, priority);
    }
    Ok(())
}

/// Puts a request aside until what it needs of its client can be had. Here that is always
/// so: the server is told to go on at once.
pub(crate) fn pause(rcvid: i64, cookie: u32) -> Result<(), Errno> {
    let held = held(rcvid)?;
    if !held.waits() {
        return Err(ESRCH);
    }
    let channel = with(|space| space.channel(held.chid)).ok_or(ESRCH)?;
    if channel.flags & chf::MSG_PAUSING == 0 {
        return Err(EINVAL);
    }
    channel.tell_restart(&held, cookie);
    Ok(())
}
