//! Sending: the checks in their order, what each failure leaves, and what comes back.
//!
//! A fault of the header touches nothing. A fault of the body destroys the message
//! with every right in it. Where the queue stays full, everything comes back as if it
//! had been received.

use std::sync::Arc;
use std::time::Duration;

use pillarbox::{
    Deadline, Left, Message, Right, SendError, SendFailure, SendOnceRight, SendRight, heed_signals,
    hold_in_wait,
};

use crate::codes::*;
use crate::edge::memory;
use crate::letter::{self, Descriptor, put, word};
use crate::names::{DEAD, NULL, Name, is_valid};
use crate::space::{NotTaken, Space, Taken};
use crate::{receive, with};

/// Bytes of a header.
pub(crate) const HEADER: usize = 24;

/// Has descriptors.
pub(crate) const COMPLEX: u32 = 0x8000_0000;

/// The bits of a header that a sender may set.
const USER_BITS: u32 = 0x801f_1f1f;

/// So many bytes are read into a frame of ours.
const FEW: usize = 256;

/// The most bytes of one message.
const MOST: usize = 64 << 20;

/// The most rights of one array.
const MOST_PORTS: u32 = 16_383;

/// Where a message goes.
#[derive(Debug)]
enum Way {
    Send(Arc<SendRight>),
    Once(SendOnceRight),
}

/// What came of a send, and the buffer as it is to be then, if it changes.
pub(crate) type Sent = (Code, Option<Vec<u8>>);

/// A deadline of so many milliseconds, where it is one.
pub(crate) fn deadline(limited: bool, timeout: u32) -> Deadline {
    match (limited, timeout) {
        (false, _) => Deadline::Never,
        (true, 0) => Deadline::Now,
        (true, timeout) => Deadline::after(Duration::from_millis(u64::from(timeout))),
    }
}

/// Sends what lies at `address`.
pub(crate) fn send(address: u64, size: u32, options: i32, timeout: u32) -> Sent {
    let size = size as usize;
    if size < HEADER || !size.is_multiple_of(4) {
        return (SEND_MSG_TOO_SMALL, None);
    }
    if size > MOST {
        return (SEND_TOO_LARGE, None);
    }
    // Most are short, and need no memory of their own on their way.
    if size <= FEW {
        let mut few = [0; FEW];
        let raw = few.get_mut(..size).unwrap_or_default();
        if !memory::read_into(address, raw) {
            return (SEND_INVALID_DATA, None);
        }
        return send_read(raw, options, timeout);
    }
    match memory::read(address, size) {
        Some(many) => hold_in_wait(many, drop, |many| send_read(many, options, timeout)).1,
        None => (SEND_INVALID_DATA, None),
    }
}

/// Sends what was read.
fn send_read(raw: &[u8], options: i32, timeout: u32) -> Sent {
    if options & option::SEND_TRAILER != 0 {
        return (SEND_INVALID_TRAILER, None);
    }
    match prepare(raw) {
        Err(code) => (code, None),
        Ok(prepared) => prepared.go(raw, options, timeout),
    }
}

/// A message whose rights are taken, on its way.
#[derive(Debug)]
struct Prepared {
    way: Way,
    name: Name,
    message: Message,
}

fn prepare(raw: &[u8]) -> Result<Prepared, Code> {
    let (bits, remote, local) = (word(raw, 0), word(raw, 8), word(raw, 12));
    let (voucher, id) = (word(raw, 16), word(raw, 20) as i32);
    let plain = raw.get(HEADER..).unwrap_or_default();
    let (walk, mut inline) = match bits & COMPLEX {
        0 => (letter::Walk::default(), Vec::new()),
        _ => (letter::walk(plain).ok_or(SEND_MSG_TOO_SMALL)?, plain.to_vec()),
    };
    let (how, reply_how) = dispositions(bits, local)?;
    if !is_valid(remote) || (remote == local && one_is_once(how, reply_how)) {
        return Err(SEND_INVALID_DEST);
    }
    if bits & 0x1f_0000 != 0 && is_valid(voucher) {
        return Err(SEND_INVALID_VOUCHER);
    }
    with(|space| {
        let (way, reply) = take_header(space, (remote, how), (local, reply_how))?;
        // Past the point of no return: on a fault the message ends with all its rights.
        let mut flags = if bits & COMPLEX != 0 { letter::COMPLEX } else { 0 };
        if matches!(way, Way::Once(_)) {
            flags |= letter::ONCE;
        }
        let mut cargo = Cargo::default();
        match reply {
            Taken::Right(right) => {
                flags |= letter::REPLY;
                cargo.rights.push(right);
            }
            Taken::Dead => {
                let once =
                    matches!(reply_how, disposition::MOVE_SEND_ONCE | disposition::MAKE_SEND_ONCE);
                flags |= letter::REPLY_DEAD | if once { letter::REPLY_ONCE } else { 0 };
            }
            Taken::Null => {}
        }
        for descriptor in &walk.descriptors {
            cargo.load(space, &mut inline, *descriptor)?;
        }
        if walk.strange {
            return Err(SEND_INVALID_TYPE);
        }
        for (address, size) in cargo.released {
            memory::release(address, size);
        }
        // With descriptors the body says other names than the buffer.
        let body = if bits & COMPLEX == 0 { plain } else { &inline };
        let mut message = letter::seal(flags, voucher, body, id);
        for right in cargo.rights {
            message = message.with_right(right);
        }
        if !cargo.memory.is_empty() {
            message = message.with_region(cargo.memory);
        }
        Ok(Prepared { way, name: remote, message })
    })
}

/// The dispositions of a header, if they are such.
fn dispositions(bits: u32, local: Name) -> Result<(u8, u8), Code> {
    let (how, reply) = ((bits & 0x1f) as u8, (bits >> 8 & 0x1f) as u8);
    let sends = |how| (disposition::MOVE_SEND..=disposition::MAKE_SEND_ONCE).contains(&how);
    let fits = if reply == 0 { local == NULL } else { sends(reply) };
    if bits & !USER_BITS != 0 || !fits || !sends(how) {
        return Err(SEND_INVALID_HEADER);
    }
    Ok((how, reply))
}

const fn one_is_once(how: u8, reply: u8) -> bool {
    how == disposition::MOVE_SEND_ONCE || reply == disposition::MOVE_SEND_ONCE
}

/// Takes both rights of a header, or neither.
fn take_header(
    space: &mut Space,
    (remote, how): (Name, u8),
    (local, reply_how): (Name, u8),
) -> Result<(Way, Taken), Code> {
    let dead = |space: &mut Space, name| {
        matches!(
            space.look(name),
            Some(crate::space::Entry { held: crate::space::Held::Dead(_), .. })
        )
    };
    if space.may_take(remote, how).is_err() || dead(space, remote) {
        return Err(SEND_INVALID_DEST);
    }
    if is_valid(local) {
        space.may_take(local, reply_how).map_err(|_| SEND_INVALID_REPLY)?;
    }
    if remote == local && how == disposition::MOVE_SEND && reply_how == disposition::MOVE_SEND {
        let urefs = match space.look(remote).map(|entry| &entry.held) {
            Some(crate::space::Held::Port(port)) => port.urefs,
            _ => 0,
        };
        if urefs < 2 {
            return Err(SEND_INVALID_DEST);
        }
    }
    let take_reply = |space: &mut Space| match reply_how {
        0 => Ok(Taken::Null),
        how => space.take(local, how).map_err(|_| SEND_INVALID_REPLY),
    };
    // What is copied or made comes before what is moved away.
    let moves = how == disposition::MOVE_SEND || how == disposition::MOVE_SEND_ONCE;
    let early = if moves { Some(take_reply(space)?) } else { None };
    let way = match how {
        disposition::COPY_SEND => space.copied(remote).map(Way::Send),
        how => match space.take(remote, how) {
            Ok(Taken::Right(Right::Send(right))) => Some(Way::Send(Arc::new(right))),
            Ok(Taken::Right(Right::SendOnce(right))) => Some(Way::Once(right)),
            _ => None,
        },
    };
    let way = way.ok_or(SEND_INVALID_DEST)?;
    let reply = match early {
        Some(reply) => reply,
        None => take_reply(space)?,
    };
    Ok((way, reply))
}

/// What a body carries beside its bytes.
#[derive(Debug, Default)]
struct Cargo {
    rights: Vec<Right>,
    memory: Vec<u8>,
    /// Memory of the sender's that it gave away.
    released: Vec<(u64, usize)>,
}

fn as_code(why: NotTaken) -> Code {
    match why {
        NotTaken::Name | NotTaken::Right => SEND_INVALID_RIGHT,
        NotTaken::Disposition => SEND_INVALID_TYPE,
    }
}

/// What a right is once it is received.
pub(crate) const fn received(how: u8) -> u8 {
    match how {
        disposition::COPY_SEND | disposition::MAKE_SEND => disposition::MOVE_SEND,
        disposition::MAKE_SEND_ONCE => disposition::MOVE_SEND_ONCE,
        how => how,
    }
}

impl Cargo {
    fn take(&mut self, space: &mut Space, name: Name, how: u8) -> Result<Name, Code> {
        if !(disposition::MOVE_RECEIVE..=disposition::MAKE_SEND_ONCE).contains(&how) {
            return Err(SEND_INVALID_TYPE);
        }
        Ok(match space.take(name, how).map_err(as_code)? {
            Taken::Right(right) => {
                self.rights.push(right);
                letter::TRAVELS
            }
            Taken::Null => NULL,
            Taken::Dead => DEAD,
        })
    }

    /// Takes what a descriptor names, and writes it as it travels.
    fn load(
        &mut self,
        space: &mut Space,
        inline: &mut [u8],
        descriptor: Descriptor,
    ) -> Result<(), Code> {
        match descriptor {
            Descriptor::Port { at, name, how } => {
                let travels = self.take(space, name, how)?;
                put(inline, at, &travels.to_ne_bytes());
                put(inline, at + 10, &[received(how)]);
            }
            Descriptor::Memory { at, address, size, deallocate, copy } => {
                if copy > 2 {
                    return Err(SEND_INVALID_TYPE);
                }
                if size > 0 {
                    let bytes = memory::read(address, size as usize).ok_or(SEND_INVALID_MEMORY)?;
                    self.memory.extend_from_slice(&bytes);
                    if deallocate {
                        self.released.push((address, size as usize));
                    }
                }
                put(inline, at, &0u64.to_ne_bytes());
            }
            Descriptor::Ports { at, address, count, deallocate, how } => {
                if count > MOST_PORTS {
                    return Err(SEND_INVALID_TYPE);
                }
                let bytes = count as usize * 4;
                let names = match count {
                    0 => Vec::new(),
                    _ => memory::read(address, bytes).ok_or(SEND_INVALID_MEMORY)?,
                };
                for at in 0..count as usize {
                    let travels = self.take(space, word(&names, at * 4), how)?;
                    self.memory.extend_from_slice(&travels.to_ne_bytes());
                }
                if deallocate && count > 0 {
                    self.released.push((address, bytes));
                }
                put(inline, at, &0u64.to_ne_bytes());
                put(inline, at + 10, &[received(how)]);
            }
            Descriptor::Guarded { at, context, flags, name, how } => {
                if how != disposition::MOVE_RECEIVE || flags == 0 || flags & !3 != 0 {
                    return Err(SEND_INVALID_TYPE);
                }
                if flags & 2 != 0 && context != 0 {
                    return Err(SEND_INVALID_TYPE);
                }
                if is_valid(name) {
                    let receive = space.receive(name).map_err(as_code)?;
                    if receive.guarded && flags & 2 == 0 && receive.context != context {
                        return Err(SEND_INVALID_RIGHT);
                    }
                }
                let travels = self.take(space, name, how)?;
                put(inline, at, &0u64.to_ne_bytes());
                put(inline, at + 12, &travels.to_ne_bytes());
            }
        }
        Ok(())
    }
}

impl Prepared {
    fn go(self, raw: &[u8], options: i32, timeout: u32) -> Sent {
        let Prepared { way, name, message } = self;
        let deadline = deadline(options & option::SEND_TIMEOUT != 0, timeout);
        let interrupted = options & option::SEND_INTERRUPT != 0;
        let (reason, message, way) = match way {
            Way::Send(right) => {
                let (right, posted) =
                    hold_in_wait(right, drop, |right| post(right, message, deadline, interrupted));
                match posted {
                    Ok(()) => return (KERN_SUCCESS, None),
                    Err(error) => (error.reason, error.message, Way::Send(right)),
                }
            }
            Way::Once(right) => match right.send(message, deadline) {
                Ok(()) => return (KERN_SUCCESS, None),
                Err(error) => (error.reason, error.message, Way::Once(error.right)),
            },
        };
        let (reason, message) = match (&way, reason) {
            (Way::Send(right), SendFailure::Full) if options & option::LEAVE != 0 => {
                match leave(right, name, *message) {
                    Ok(code) => return (code, None),
                    Err((reason, message)) => (reason, message),
                }
            }
            (_, reason) => (reason, message),
        };
        let code = match reason {
            SendFailure::NotifyPending => SEND_NOTIFY_IN_PROGRESS,
            SendFailure::Full if interrupted && ended_early(deadline) => SEND_INTERRUPTED,
            SendFailure::Full | SendFailure::NotJoined(_) => SEND_TIMED_OUT,
            // The port ended after its right was taken: the message went there.
            SendFailure::Dead
            | SendFailure::Revoked
            | SendFailure::Withdrawn(_)
            | SendFailure::Fault(_) => {
                if let Way::Once(right) = way {
                    // It was used.
                    drop(right);
                }
                return (KERN_SUCCESS, None);
            }
            SendFailure::TooLong { .. } => SEND_TOO_LARGE,
            _ => SEND_NO_BUFFER,
        };
        let raw = with(|space| {
            let raw = take_back(space, way, *message, raw.to_vec());
            let waits = option::SEND_NOTIFY | option::SEND_TIMEOUT;
            if code == SEND_TIMED_OUT && options & waits == waits {
                space.arm(name);
            }
            raw
        });
        (code, Some(raw))
    }
}

/// Whether a wait was over before its time: a signal ended it.
pub(crate) fn ended_early(deadline: Deadline) -> bool {
    deadline != Deadline::Now && !deadline.has_passed()
}

/// Sends on a right that is kept. Only who asked for it is told of a signal.
fn post(
    right: &SendRight,
    mut message: Message,
    deadline: Deadline,
    interrupted: bool,
) -> Result<(), SendError> {
    if interrupted {
        return heed_signals(|| right.send(message, deadline));
    }
    loop {
        match right.send(message, deadline) {
            // Who calls may heed signals itself.
            Err(error) if error.reason == SendFailure::Full && ended_early(deadline) => {
                message = *error.message;
            }
            done => return done,
        }
    }
}

/// Leaves what found no room with the owner of the port; this task is told when it is
/// taken.
fn leave(
    right: &SendRight,
    name: Name,
    message: Message,
) -> Result<Code, (SendFailure, Box<Message>)> {
    let Some((accepted, number)) = with(|space| space.expect_left(name)) else {
        return Err((SendFailure::Full, Box::new(message)));
    };
    match right.leave(message, accepted) {
        Ok(Left::Waiting) => Ok(SEND_WILL_NOTIFY),
        // There was room after all.
        Ok(Left::Sent(unused)) => {
            with(|space| space.forget_left(number));
            drop(unused);
            Ok(KERN_SUCCESS)
        }
        Err(error) => {
            with(|space| space.forget_left(number));
            drop(error.accepted);
            Err((error.reason, error.message))
        }
    }
}

/// Puts everything back into the space, as if it had been received: but the header
/// is not turned round.
fn take_back(space: &mut Space, way: Way, mut message: Message, mut raw: Vec<u8>) -> Vec<u8> {
    let mut rights = message.take_rights().into_iter();
    let (remote, how) = match way {
        Way::Send(right) => {
            let right = Arc::try_unwrap(right).unwrap_or_else(|shared| (*shared).clone());
            (space.give_send(right), disposition::MOVE_SEND)
        }
        Way::Once(right) => (space.give_once(right, None), disposition::MOVE_SEND_ONCE),
    };
    let flags = letter::open(&message).map_or(0, |(flags, ..)| flags);
    let (local, reply_how) = receive::reply_of(space, flags, &mut rights);
    let bits = word(&raw, 0);
    let bits = bits & !0x1f1f | u32::from(how) | u32::from(reply_how) << 8;
    put(&mut raw, 0, &bits.to_ne_bytes());
    put(&mut raw, 8, &remote.to_ne_bytes());
    put(&mut raw, 12, &local.to_ne_bytes());
    if flags & letter::COMPLEX != 0 {
        let inline = letter::open(&message).map(|(.., inline)| inline.to_vec());
        let mut inline = inline.unwrap_or_default();
        let region = message.take_regions().first().map(|region| region.to_vec());
        receive::unload(space, &mut inline, rights, &region.unwrap_or_default(), None);
        put(&mut raw, HEADER, &inline);
    }
    raw
}
