//! Receiving: who may, what fits, and what the buffer holds then.

use std::sync::Arc;
use std::vec::IntoIter;

use pillarbox::{
    Message, Notification, Right, SendRight, SetReceiveError, heed_signals, hold_in_wait,
};

use crate::codes::*;
use crate::edge::memory;
use crate::letter::{self, Descriptor, put, word};
use crate::names::{DEAD, NULL, Name};
use crate::send::{COMPLEX, HEADER, deadline, ended_early};
use crate::space::{Mouth, Space};
use crate::trailer::{self, Trailer};
use crate::{destroy, with};

/// Receives on `name` into `room` bytes at `address`.
pub(crate) fn receive(address: u64, room: u32, name: Name, options: i32, timeout: u32) -> Code {
    let room = room as usize;
    let waits = deadline(options & option::RCV_TIMEOUT != 0, timeout);
    let beside = trailer::size(options);
    let keeps = options & option::RCV_LARGE != 0;
    let interrupted = options & option::RCV_INTERRUPT != 0;
    // What cannot fit into so little is longer than nothing.
    let most = match room.checked_sub(HEADER + beside) {
        _ if !keeps => usize::MAX,
        Some(inline) => inline,
        None => 0,
    };
    let Some(mouth) = with(|space| {
        space.look(name)?;
        let mouth = space.mouth(name)?;
        if waits != pillarbox::Deadline::Now {
            space.listen(&mouth);
        }
        Some(mouth)
    }) else {
        return RCV_INVALID_NAME;
    };
    let leave = |mouth: Arc<Mouth>| with(|space| space.listen_no_more(&mouth));
    let (mouth, mut taken) = hold_in_wait(mouth, leave, |mouth| {
        loop {
            let taken = match interrupted {
                true => heed_signals(|| mouth.set.receive_within(most, waits)),
                false => mouth.set.receive_within(most, waits),
            };
            if matches!(taken, Err(SetReceiveError::Deadline)) && !interrupted && ended_early(waits)
            {
                // Who calls may heed signals itself.
                continue;
            }
            if let Ok((member, news)) = &taken
                && mouth.is_event(member.port())
            {
                with(|space| space.heed(news));
                continue;
            }
            return taken;
        }
    });
    if let Ok((_, message)) = &mut taken
        && must_settle(message)
    {
        let held = std::mem::replace(message, Message::new(Vec::new()));
        *message = hold_in_wait(held, drop, |message| settle_rights(message)).0;
    }
    with(|space| {
        if waits != pillarbox::Deadline::Now {
            space.listen_no_more(&mouth);
        }
        match taken {
            Ok((member, message)) => {
                let from = space.name_of(member.port()).unwrap_or(NULL);
                Arrived { message, from, options, room, address }.deliver(space)
            }
            Err(SetReceiveError::TooLong { member, bytes }) => {
                let size = (bytes + HEADER) as u32;
                let from = space.name_of(member.port()).unwrap_or(NULL);
                if room >= 8 {
                    let _ = memory::write(address + 4, &size.to_ne_bytes());
                }
                if options & option::RCV_LARGE_IDENTITY != 0 && room >= 16 {
                    let _ = memory::write(address + 12, &from.to_ne_bytes());
                }
                RCV_TOO_LARGE
            }
            Err(SetReceiveError::Closed) => RCV_PORT_CHANGED,
            Err(SetReceiveError::Forked) => RCV_INVALID_NAME,
            Err(_) if interrupted && ended_early(waits) => RCV_INTERRUPTED,
            Err(_) => RCV_TIMED_OUT,
        }
    })
}

/// Rights that others gave us are one port under one name only once their owners have
/// said so. Most have: these are the others.
fn to_settle(message: &Message) -> impl Iterator<Item = &SendRight> {
    let sender = message.sender().map(|sender| sender.task);
    message.rights().iter().filter_map(move |right| match right {
        Right::Send(right) if right.port_id().is_none() && right.owner() != sender => Some(right),
        _ => None,
    })
}

/// Whether something is to be asked before what a message carries is given names.
fn must_settle(message: &Message) -> bool {
    let receives = |right: &Right| matches!(right, Right::Receive(_));
    message.rights().iter().any(receives) || to_settle(message).next().is_some()
}

/// A receive right may come to a port of which there is a send right here. Where that leads
/// to the port's old owner still, it is to have followed.
fn follow_receives(message: &Message) {
    let from = message.sender().map(|sender| sender.task);
    if !message.rights().iter().any(|right| matches!(right, Right::Receive(_))) {
        return;
    }
    let soon = pillarbox::Deadline::after(std::time::Duration::from_millis(500));
    let (own, held) = with(|space| (space.task.identity().task, space.unnumbered()));
    hold_in_wait(held, drop, |held| {
        // One that follows already leads to us, and is not confirmed.
        let may_follow = |right: &SendRight| {
            let owner = right.owner();
            right.port_id().is_none() && (owner.is_none() || owner == from || owner == Some(own))
        };
        for right in held.iter().filter(|right| may_follow(right)) {
            let _ = right.status(soon);
        }
    });
}

/// Asks their owners.
pub(crate) fn settle_rights(message: &Message) {
    follow_receives(message);
    for right in to_settle(message) {
        let soon = pillarbox::Deadline::after(std::time::Duration::from_millis(50));
        let _ = right.status(soon);
    }
}

/// A message on its way into a buffer.
#[derive(Debug)]
struct Arrived {
    message: Message,
    from: Name,
    options: i32,
    room: usize,
    address: u64,
}

/// A message as this face knows it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) flags: u32,
    voucher: u32,
    pub(crate) id: i32,
}

/// The news of the library in the words of this face.
fn translate(news: Notification, message: &Message) -> (i32, Vec<u8>, bool) {
    let made = message.make_sends().unwrap_or_default() as u32;
    let (id, number) = match news {
        Notification::NoSenders => (notify::NO_SENDERS, made),
        Notification::PortDestroyed => {
            // One descriptor of a port.
            let mut bytes = vec![0; 16];
            put(&mut bytes, 0, &1u32.to_ne_bytes());
            put(&mut bytes, 4, &letter::TRAVELS.to_ne_bytes());
            put(&mut bytes, 14, &[disposition::MOVE_RECEIVE]);
            return (notify::PORT_DESTROYED, bytes, true);
        }
        _ => (notify::SEND_ONCE, 0),
    };
    (id, letter::notification_bytes(id, number), false)
}

impl Known {
    /// What is known of a message. What stands behind the header goes behind `bytes`.
    pub(crate) fn of(message: &Message, bytes: &mut Vec<u8>) -> Self {
        if let Some(news) = message.notification() {
            let (id, inline, complex) = translate(news, message);
            let flags = letter::ONCE | if complex { letter::COMPLEX } else { 0 };
            bytes.extend_from_slice(&inline);
            return Known { flags, voucher: 0, id };
        }
        let id = message.id();
        match letter::open(message) {
            Some((flags, voucher, inline)) => {
                bytes.extend_from_slice(inline);
                Known { flags, voucher, id }
            }
            None => {
                // From somebody who knows nothing of this face: its bytes.
                bytes.extend_from_slice(message.body());
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                Known { flags: 0, voucher: 0, id }
            }
        }
    }
}

/// The reply right of a message: its name here, and what kind it is.
pub(crate) fn reply_of(space: &mut Space, flags: u32, rights: &mut IntoIter<Right>) -> (Name, u8) {
    if flags & letter::REPLY != 0
        && let Some(right) = rights.next()
    {
        return space.give(right);
    }
    if flags & letter::REPLY_DEAD == 0 {
        return (NULL, 0);
    }
    let once = flags & letter::REPLY_ONCE != 0;
    (DEAD, if once { disposition::MOVE_SEND_ONCE } else { disposition::MOVE_SEND })
}

/// How descriptors with guards are received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guards {
    wanted: bool,
    context: u64,
}

/// Puts what travels with a message into the space and into memory, and says in the
/// descriptors where. What does not add up comes as nothing.
pub(crate) fn unload(
    space: &mut Space,
    inline: &mut [u8],
    mut rights: IntoIter<Right>,
    memory: &[u8],
    guards: Option<Guards>,
) {
    let walk = letter::walk(inline).unwrap_or_default();
    let mut rest = memory;
    let mut take_memory = |bytes: usize| -> &[u8] {
        let (these, behind) = rest.split_at_checked(bytes).unwrap_or((&[], &[]));
        rest = behind;
        these
    };
    let mut give = |space: &mut Space, travels: Name, how: u8| match travels {
        letter::TRAVELS => rights.next().map_or((NULL, how), |right| space.give(right)),
        DEAD => (DEAD, how),
        _ => (NULL, how),
    };
    for descriptor in walk.descriptors {
        match descriptor {
            Descriptor::Port { at, name, how } => {
                let (name, how) = give(space, name, how);
                put(inline, at, &name.to_ne_bytes());
                put(inline, at + 10, &[how]);
            }
            Descriptor::Memory { at, size, .. } => {
                let bytes = take_memory(size as usize);
                let address = if size == 0 { Some(0) } else { memory::allocate_filled(bytes) };
                let size = if address.is_some() && bytes.len() == size as usize { size } else { 0 };
                put(inline, at, &address.unwrap_or(0).to_ne_bytes());
                put(inline, at + 8, &[1]);
                put(inline, at + 12, &size.to_ne_bytes());
            }
            Descriptor::Ports { at, count, how, .. } => {
                let travel = take_memory((count as usize).saturating_mul(4)).to_vec();
                let mut names = Vec::with_capacity(travel.len());
                for at in (0..travel.len()).step_by(4) {
                    let (name, _) = give(space, word(&travel, at), how);
                    names.extend_from_slice(&name.to_ne_bytes());
                }
                let address =
                    if names.is_empty() { Some(0) } else { memory::allocate_filled(&names) };
                let count = if address.is_some() { (names.len() / 4) as u32 } else { 0 };
                put(inline, at, &address.unwrap_or(0).to_ne_bytes());
                put(inline, at + 8, &[1]);
                put(inline, at + 12, &count.to_ne_bytes());
            }
            Descriptor::Guarded { at, flags, name, how, .. } => {
                let (mut name, _) = give(space, name, how);
                let mut context = 0;
                match guards {
                    Some(Guards { wanted: false, .. }) => {
                        space.end_receive(name);
                        name = NULL;
                    }
                    Some(Guards { wanted: true, context: at }) if flags & 1 != 0 => {
                        if let Ok(receive) = space.receive(name) {
                            (receive.guarded, receive.strict, receive.immovable) =
                                (true, true, true);
                            receive.context = at;
                            context = at;
                        }
                    }
                    _ => {}
                }
                put(inline, at, &context.to_ne_bytes());
                put(inline, at + 12, &name.to_ne_bytes());
            }
        }
    }
}

impl Arrived {
    fn deliver(self, space: &mut Space) -> Code {
        let Arrived { mut message, from, options, room, address } = self;
        // The whole of it in one piece of memory: header, body, trailer.
        let beside = HEADER + trailer::size(options);
        let mut bytes = Vec::with_capacity(message.body().len() + beside + 4);
        bytes.resize(HEADER, 0);
        let Known { flags, voucher, id } = Known::of(&message, &mut bytes);
        let (seqno, context) = space
            .receive(from)
            .map_or((0, 0), |port| (port.seqno(message.sequence()), port.context));
        let trailer = Trailer {
            seqno,
            context,
            sender: message.sender(),
            is_news: flags & letter::NEWS != 0,
        };
        let own = space.task.identity().task;
        let size = bytes.len();
        let sent_as = match flags & letter::ONCE {
            0 => disposition::MOVE_SEND,
            _ => disposition::MOVE_SEND_ONCE,
        };
        put(&mut bytes, 4, &(size as u32).to_ne_bytes());
        put(&mut bytes, 12, &from.to_ne_bytes());
        put(&mut bytes, 20, &id.to_ne_bytes());
        if size - HEADER + beside > room {
            // It is gone, and with it all rights.
            drop(message);
            let bits = u32::from(sent_as) << 8;
            put(&mut bytes, 0, &bits.to_ne_bytes());
            bytes.truncate(HEADER);
            if beside <= room {
                trailer.put_behind(&mut bytes, options, own);
            }
            bytes.truncate(room);
            let _ = memory::write(address, &bytes);
            return RCV_TOO_LARGE;
        }
        let mut rights = message.take_rights().into_iter();
        let (mut remote, mut how) = reply_of(space, flags, &mut rights);
        if let Some(reply) = message.take_reply() {
            // Of a call by somebody who knows nothing of this face.
            (remote, how) = space.give(Right::SendOnce(reply));
        }
        let mut bits = u32::from(how) | u32::from(sent_as) << 8;
        let inline = bytes.get_mut(HEADER..).unwrap_or_default();
        if flags & letter::COMPLEX != 0 && letter::walk(inline).is_some_and(|walk| !walk.strange) {
            bits |= COMPLEX;
            let memory = message.take_regions().first().map(|region| region.to_vec());
            let wanted = options & option::RCV_GUARDED_DESC != 0;
            let guards = Some(Guards { wanted, context: address });
            unload(space, inline, rights, &memory.unwrap_or_default(), guards);
        }
        put(&mut bytes, 0, &bits.to_ne_bytes());
        put(&mut bytes, 8, &remote.to_ne_bytes());
        put(&mut bytes, 16, &voucher.to_ne_bytes());
        trailer.put_behind(&mut bytes, options, own);
        if memory::write(address, &bytes) {
            return KERN_SUCCESS;
        }
        bytes.truncate(size);
        destroy::rights_of(space, &bytes);
        RCV_INVALID_DATA
    }
}
