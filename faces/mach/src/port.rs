//! Names and rights: what the calls `mach_port_…` do.

use pillarbox::Right;

use crate::codes::*;
use crate::names::{DEAD, Misshapen, NULL, Name, is_valid, shape};
use crate::space::{Held, NotTaken, PortRights, Receive, Space, Taken};

/// The most places of a port.
pub(crate) const QLIMIT_MAX: u32 = 1024;

fn as_code(why: NotTaken) -> Code {
    match why {
        NotTaken::Name => KERN_INVALID_NAME,
        NotTaken::Right => KERN_INVALID_RIGHT,
        NotTaken::Disposition => KERN_INVALID_VALUE,
    }
}

/// The receive right of a name that is one.
fn receive(space: &mut Space, name: Name) -> Result<&mut Receive, Code> {
    if !is_valid(name) {
        return Err(KERN_INVALID_NAME);
    }
    space.receive(name).map_err(as_code)
}

/// Makes a right under `name`, or under a new one.
pub(crate) fn allocate(space: &mut Space, right: u32, name: Option<Name>) -> Result<Name, Code> {
    if let Some(name) = name {
        if !is_valid(name) {
            return Err(KERN_INVALID_VALUE);
        }
        match shape(name) {
            Ok(()) => {}
            Err(Misshapen::Index) => return Err(KERN_FAILURE),
            Err(Misshapen::Bits) => return Err(KERN_INVALID_VALUE),
        }
        if !space.is_free(name) {
            return Err(KERN_NAME_EXISTS);
        }
    }
    let held = match right {
        right::RECEIVE => space.new_port(),
        right::PORT_SET => Held::Set(space.new_mouth(), Default::default()),
        right::DEAD_NAME => Held::Dead(1),
        _ => return Err(KERN_INVALID_VALUE),
    };
    space.put_new(name, held).ok_or(KERN_NO_SPACE)
}

/// Drops one reference.
pub(crate) fn deallocate(space: &mut Space, name: Name) -> Code {
    if !is_valid(name) {
        return KERN_SUCCESS;
    }
    let Some(entry) = space.look(name) else { return KERN_INVALID_NAME };
    match &entry.held {
        Held::Port(PortRights { send: None, .. }) => KERN_INVALID_RIGHT,
        Held::Port(_) | Held::Dead(_) => {
            let _ = space.change_urefs(name, -1);
            KERN_SUCCESS
        }
        Held::Once(_) | Held::Set(..) => {
            drop(space.free(name));
            KERN_SUCCESS
        }
    }
}

/// Drops everything a name stands for.
pub(crate) fn destroy(space: &mut Space, name: Name) -> Code {
    if !is_valid(name) {
        return KERN_SUCCESS;
    }
    let Some(entry) = space.look(name) else { return KERN_INVALID_NAME };
    if let Held::Port(PortRights { receive: Some(receive), send, .. }) = &mut entry.held {
        if receive.guarded {
            return KERN_INVALID_RIGHT;
        }
        // The send rights go first: nothing dead is left of the name.
        drop(send.take());
        space.end_receive(name);
    }
    drop(space.free(name));
    KERN_SUCCESS
}

/// Changes the references of one kind of right.
pub(crate) fn mod_refs(space: &mut Space, name: Name, right: u32, delta: i32) -> Code {
    if right >= right::NUMBER {
        return KERN_INVALID_VALUE;
    }
    if !is_valid(name) {
        return match right {
            right::SEND | right::SEND_ONCE => KERN_SUCCESS,
            _ => KERN_INVALID_NAME,
        };
    }
    let Some(entry) = space.look(name) else { return KERN_INVALID_NAME };
    let guarded = matches!(
        &entry.held,
        Held::Port(PortRights { receive: Some(receive), .. }) if receive.guarded
    );
    match (right, &entry.held) {
        (right::RECEIVE, Held::Port(PortRights { receive: Some(_), .. })) => match delta {
            0 => KERN_SUCCESS,
            -1 if guarded => KERN_INVALID_RIGHT,
            -1 => {
                space.end_receive(name);
                KERN_SUCCESS
            }
            _ => KERN_INVALID_VALUE,
        },
        (right::PORT_SET, Held::Set(..)) | (right::SEND_ONCE, Held::Once(_)) => match delta {
            0 => KERN_SUCCESS,
            -1 => {
                drop(space.free(name));
                KERN_SUCCESS
            }
            _ => KERN_INVALID_VALUE,
        },
        (right::SEND, Held::Port(PortRights { send: Some(_), .. }))
        | (right::DEAD_NAME, Held::Dead(_)) => match space.change_urefs(name, delta) {
            true => KERN_SUCCESS,
            false => KERN_INVALID_VALUE,
        },
        _ => KERN_INVALID_RIGHT,
    }
}

/// How many references of one kind there are.
pub(crate) fn get_refs(space: &mut Space, name: Name, right: u32) -> Result<u32, Code> {
    if right >= right::NUMBER {
        return Err(KERN_INVALID_VALUE);
    }
    if !is_valid(name) {
        return match right {
            right::SEND | right::SEND_ONCE => Ok(1),
            _ => Err(KERN_INVALID_NAME),
        };
    }
    let entry = space.look(name).ok_or(KERN_INVALID_NAME)?;
    Ok(match (right, &entry.held) {
        (right::RECEIVE, Held::Port(PortRights { receive: Some(_), .. }))
        | (right::SEND_ONCE, Held::Once(_))
        | (right::PORT_SET, Held::Set(..)) => 1,
        (right::SEND, Held::Port(port)) => port.urefs,
        (right::DEAD_NAME, Held::Dead(urefs)) => *urefs,
        _ => 0,
    })
}

/// What a name stands for, in bits.
pub(crate) fn kind(space: &mut Space, name: Name) -> Result<u32, Code> {
    if name == DEAD {
        return Ok(right::kind(right::DEAD_NAME));
    }
    let entry = space.look(name).ok_or(KERN_INVALID_NAME)?;
    let held = match &entry.held {
        Held::Port(port) => {
            let send = if port.send.is_some() { right::kind(right::SEND) } else { 0 };
            let receive = if port.receive.is_some() { right::kind(right::RECEIVE) } else { 0 };
            send | receive
        }
        Held::Once(_) => right::kind(right::SEND_ONCE),
        Held::Set(..) => right::kind(right::PORT_SET),
        Held::Dead(_) => right::kind(right::DEAD_NAME),
    };
    let request = entry.request.as_ref().map_or(0, |request| match (request.room, request.armed) {
        (false, _) => right::DNREQUEST,
        (true, true) => right::SPREQUEST,
        (true, false) => right::SPREQUEST_DELAYED,
    });
    Ok(held | request)
}

/// Every name, and what each stands for.
pub(crate) fn names(space: &mut Space) -> (Vec<Name>, Vec<u32>) {
    let all = space.sorted().into_iter();
    all.filter_map(|name| Some((name, kind(space, name).ok()?))).unzip()
}

const fn is_disposition(how: u8) -> bool {
    disposition::MOVE_RECEIVE <= how && how <= disposition::MAKE_SEND_ONCE
}

/// Gives a right that the caller has to a name of the same space.
pub(crate) fn insert_right(space: &mut Space, name: Name, right: Name, how: u8) -> Code {
    match take_for(space, name, right, how) {
        Ok(right) => place(space, name, right),
        Err(code) => code,
    }
}

/// Takes a right that is to be given to a name of some space.
pub(crate) fn take_for(space: &mut Space, name: Name, right: Name, how: u8) -> Result<Right, Code> {
    if !is_valid(name) || !is_disposition(how) {
        return Err(KERN_INVALID_VALUE);
    }
    if !is_valid(right) {
        return Err(KERN_INVALID_CAPABILITY);
    }
    match space.take(right, how) {
        Ok(Taken::Right(taken)) => Ok(taken),
        Ok(Taken::Null | Taken::Dead) => Err(KERN_INVALID_CAPABILITY),
        Err(why) => Err(as_code(why)),
    }
}

/// Gives a right to a name.
pub(crate) fn place(space: &mut Space, name: Name, taken: Right) -> Code {
    if !is_valid(name) {
        return KERN_INVALID_VALUE;
    }
    let known = match &taken {
        Right::Send(right) => space.known(right),
        Right::Receive(right) => space.name_of(right.id()),
        _ => None,
    };
    // What is not put in is gone: a send-once right says so.
    match taken {
        Right::SendOnce(_) if !space.is_free(name) => KERN_NAME_EXISTS,
        Right::SendOnce(right) => {
            let _ = space.give_once(right, Some(name));
            KERN_SUCCESS
        }
        _ if known.is_some_and(|known| known != name) => KERN_RIGHT_EXISTS,
        _ if known.is_none() && !space.is_free(name) => KERN_NAME_EXISTS,
        Right::Receive(right) => {
            let _ = space.give_receive(right, Some(name));
            KERN_SUCCESS
        }
        Right::Send(right) if known.is_some() => {
            let _ = space.give_send(right);
            KERN_SUCCESS
        }
        // One that is known under no name has left its own: the name is new.
        Right::Send(right) => {
            space.put_send(name, right);
            KERN_SUCCESS
        }
        _ => KERN_INVALID_VALUE,
    }
}

/// Whether a right may be taken from under a name like that.
pub(crate) const fn may_extract(name: Name, how: u8) -> Result<(), Code> {
    if !is_disposition(how) {
        return Err(KERN_INVALID_VALUE);
    }
    if is_valid(name) { Ok(()) } else { Err(KERN_INVALID_RIGHT) }
}

/// Takes a right from under a name, or makes one there.
pub(crate) fn take(space: &mut Space, name: Name, how: u8) -> Result<Taken, Code> {
    may_extract(name, how)?;
    space.take(name, how).map_err(as_code)
}

/// The same for the caller, who is told its name.
pub(crate) fn extract_right(space: &mut Space, name: Name, how: u8) -> Result<(Name, u8), Code> {
    match take(space, name, how)? {
        Taken::Right(right) => Ok(space.give(right)),
        Taken::Null | Taken::Dead => Ok((DEAD, how)),
    }
}

// ---- port sets -------------------------------------------------------------

/// Makes a port a member of a set.
pub(crate) fn insert_member(space: &mut Space, member: Name, set: Name) -> Code {
    let at = match space.look(set).map(|entry| &entry.held) {
        None => return KERN_INVALID_NAME,
        Some(Held::Set(mouth, _)) => std::sync::Arc::clone(mouth),
        Some(_) => return KERN_INVALID_RIGHT,
    };
    let receive = match receive(space, member) {
        Ok(receive) => receive,
        Err(code) => return code,
    };
    if receive.sets.contains(&set) {
        return KERN_ALREADY_IN_SET;
    }
    if at.set.add(&receive.right).is_err() {
        return KERN_RESOURCE_SHORTAGE;
    }
    receive.sets.insert(set);
    if let Some(Held::Set(_, members)) = space.look(set).map(|entry| &mut entry.held) {
        members.insert(member);
    }
    KERN_SUCCESS
}

/// Takes a member out of a set.
pub(crate) fn extract_member(space: &mut Space, member: Name, set: Name) -> Code {
    match space.look(set).map(|entry| &entry.held) {
        None => return KERN_INVALID_NAME,
        Some(Held::Set(..)) => {}
        Some(_) => return KERN_INVALID_RIGHT,
    }
    let receive = match receive(space, member) {
        Ok(receive) => receive,
        Err(code) => return code,
    };
    if !receive.sets.remove(&set) {
        return KERN_NOT_IN_SET;
    }
    let id = (&receive.right).into();
    if let Some(Held::Set(mouth, members)) = space.look(set).map(|entry| &mut entry.held) {
        members.remove(&member);
        let _ = mouth.set.remove(id);
    }
    KERN_SUCCESS
}

/// Lets a port be a member of this set and of no other, or of none.
pub(crate) fn move_member(space: &mut Space, member: Name, set: Name) -> Code {
    let sets = match receive(space, member) {
        Ok(receive) => receive.sets.clone(),
        Err(code) => return code,
    };
    if set == DEAD {
        return KERN_INVALID_RIGHT;
    }
    if set != NULL {
        match space.look(set).map(|entry| &entry.held) {
            None => return KERN_INVALID_NAME,
            Some(Held::Set(..)) => {}
            Some(_) => return KERN_INVALID_RIGHT,
        }
    } else if sets.is_empty() {
        return KERN_NOT_IN_SET;
    }
    for other in sets.iter().filter(|other| **other != set) {
        let _ = extract_member(space, member, *other);
    }
    if set == NULL || sets.contains(&set) {
        return KERN_SUCCESS;
    }
    insert_member(space, member, set)
}

/// The members of a set, in order.
pub(crate) fn set_status(space: &mut Space, set: Name) -> Result<Vec<Name>, Code> {
    if !is_valid(set) {
        return Err(KERN_INVALID_NAME);
    }
    match &space.look(set).ok_or(KERN_INVALID_NAME)?.held {
        Held::Set(_, members) => Ok(members.iter().copied().collect()),
        _ => Err(KERN_INVALID_RIGHT),
    }
}

// ---- attributes ------------------------------------------------------------

/// Numbers of a receive right's state.
pub(crate) fn attributes(space: &mut Space, name: Name, flavor: i32) -> Result<Vec<u32>, Code> {
    const LIMITS: i32 = 1;
    const STATUS: i32 = 2;
    const REQUESTS: i32 = 3;
    if !is_valid(name) {
        return if flavor == LIMITS { Ok(Vec::new()) } else { Err(KERN_INVALID_RIGHT) };
    }
    let receive = receive(space, name)?;
    let status = receive.right.status();
    let qlimit = u32::try_from(status.capacity).unwrap_or(u32::MAX);
    match flavor {
        LIMITS => Ok(vec![qlimit]),
        STATUS => {
            let flags = u32::from(receive.guarded) << 1
                | u32::from(receive.strict) << 2
                | u32::from(receive.immovable) << 6;
            Ok(vec![
                u32::from(!receive.sets.is_empty()),
                receive.next_seqno(),
                receive.right.make_sends() as u32,
                qlimit,
                u32::try_from(status.queued).unwrap_or(u32::MAX),
                u32::try_from(receive.right.promises()).unwrap_or(u32::MAX),
                u32::from(status.senders > 0),
                u32::from(receive.right.is_bequeathed()),
                u32::from(receive.right.is_watched_for_no_senders()),
                flags,
            ])
        }
        REQUESTS => Ok(vec![1]),
        _ => Err(KERN_INVALID_ARGUMENT),
    }
}

/// Lets a port hold so many messages.
pub(crate) fn set_qlimit(space: &mut Space, name: Name, qlimit: u32) -> Code {
    let receive = match receive(space, name) {
        Ok(receive) => receive,
        Err(code) => return code,
    };
    if qlimit > QLIMIT_MAX {
        return KERN_INVALID_VALUE;
    }
    if receive.right.set_capacity(qlimit) { KERN_SUCCESS } else { KERN_FAILURE }
}

/// How many send rights there are, as far as its owner counts them.
pub(crate) fn senders(space: &mut Space, name: Name) -> Result<u32, Code> {
    let receive = receive(space, name)?;
    Ok(u32::try_from(receive.right.status().senders).unwrap_or(u32::MAX))
}

/// Counts messages, or made send rights, from here on.
pub(crate) fn set_seqno(space: &mut Space, name: Name, seqno: u32) -> Code {
    match receive(space, name) {
        Ok(receive) => {
            receive.set_seqno(seqno);
            KERN_SUCCESS
        }
        Err(code) => code,
    }
}

pub(crate) fn set_mscount(space: &mut Space, name: Name, mscount: u32) -> Code {
    match receive(space, name) {
        Ok(receive) => {
            receive.right.set_make_sends(u64::from(mscount));
            KERN_SUCCESS
        }
        Err(code) => code,
    }
}

// ---- guards ----------------------------------------------------------------

pub(crate) fn context(space: &mut Space, name: Name) -> Result<u64, Code> {
    let receive = receive(space, name)?;
    Ok(if receive.guarded && receive.strict { 0 } else { receive.context })
}

pub(crate) fn set_context(space: &mut Space, name: Name, context: u64) -> Code {
    match receive(space, name) {
        Ok(receive) if receive.guarded && receive.strict => KERN_INVALID_ARGUMENT,
        Ok(receive) => {
            receive.context = context;
            KERN_SUCCESS
        }
        Err(code) => code,
    }
}

/// How a receive right is guarded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) value: u64,
    pub(crate) strict: bool,
    pub(crate) immovable: bool,
}

pub(crate) fn guard(space: &mut Space, name: Name, guard: Guard) -> Code {
    match receive(space, name) {
        Ok(receive) if receive.context != 0 || receive.guarded => KERN_INVALID_ARGUMENT,
        Ok(receive) => {
            receive.context = guard.value;
            receive.guarded = true;
            receive.strict = guard.strict;
            receive.immovable |= guard.immovable;
            KERN_SUCCESS
        }
        Err(code) => code,
    }
}

pub(crate) fn unguard(space: &mut Space, name: Name, value: u64) -> Code {
    match receive(space, name) {
        Ok(receive) if !receive.guarded || receive.context != value => KERN_INVALID_ARGUMENT,
        Ok(receive) => {
            receive.context = 0;
            (receive.guarded, receive.strict) = (false, false);
            KERN_SUCCESS
        }
        Err(code) => code,
    }
}

pub(crate) fn swap_guard(space: &mut Space, name: Name, old: u64, new: u64) -> Code {
    match receive(space, name) {
        Ok(receive) if !receive.guarded || receive.strict || receive.context != old => {
            KERN_INVALID_ARGUMENT
        }
        Ok(receive) => {
            receive.context = new;
            KERN_SUCCESS
        }
        Err(code) => code,
    }
}

pub(crate) fn is_guarded_with(space: &mut Space, name: Name, value: u64) -> Code {
    match receive(space, name) {
        Ok(receive) if receive.guarded && receive.strict && receive.context == value => {
            KERN_SUCCESS
        }
        Ok(_) => KERN_INVALID_ARGUMENT,
        Err(code) => code,
    }
}

/// Ends a receive right and some references of the send right in one step.
pub(crate) fn destruct(space: &mut Space, name: Name, delta: i32, guard: u64) -> Code {
    if let Err(code) = receive(space, name) {
        return code;
    }
    let Some(Held::Port(port)) = space.look(name).map(|entry| &entry.held) else {
        return KERN_INVALID_RIGHT;
    };
    let Some(receive) = &port.receive else { return KERN_INVALID_RIGHT };
    if delta != 0 && port.send.is_none() {
        return KERN_INVALID_RIGHT;
    }
    if delta > 0 {
        return KERN_INVALID_VALUE;
    }
    if receive.guarded && receive.context != guard {
        return KERN_INVALID_ARGUMENT;
    }
    if crate::names::add_urefs(port.urefs, delta).is_none() {
        return KERN_INVALID_VALUE;
    }
    if delta != 0 {
        let _ = space.change_urefs(name, delta);
    }
    space.end_receive(name);
    KERN_SUCCESS
}

/// What a port is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Construct {
    pub(crate) flags: u32,
    pub(crate) qlimit: u32,
    pub(crate) context: u64,
}

pub(crate) fn construct(space: &mut Space, how: Construct) -> Result<Name, Code> {
    const GUARDED: u32 = 1;
    const QLIMIT: u32 = 2;
    const INSERT: u32 = 0x10;
    const STRICT: u32 = 0x20;
    const IMMOVABLE: u32 = 0x80;
    const ALL: u32 = 0xffff;
    if how.flags & !ALL != 0 {
        return Err(KERN_INVALID_ARGUMENT);
    }
    if how.flags & QLIMIT != 0 && how.qlimit > QLIMIT_MAX {
        return Err(KERN_INVALID_VALUE);
    }
    let name = allocate(space, right::RECEIVE, None)?;
    if how.flags & QLIMIT != 0 {
        let _ = set_qlimit(space, name, how.qlimit);
    }
    if let Ok(receive) = space.receive(name) {
        receive.context = how.context;
        receive.guarded = how.flags & GUARDED != 0;
        receive.strict = how.flags & STRICT != 0;
        receive.immovable = how.flags & IMMOVABLE != 0;
    }
    if how.flags & INSERT != 0 {
        let code = insert_right(space, name, name, disposition::MAKE_SEND);
        if code != KERN_SUCCESS {
            return Err(code);
        }
    }
    Ok(name)
}

// ---- who is told -----------------------------------------------------------

/// Asks to be told of something. Returns the name of who was to be told before.
pub(crate) fn request_notification(
    space: &mut Space,
    name: Name,
    id: i32,
    sync: u32,
    (to, how): (Name, u8),
) -> Result<Name, Code> {
    if how != disposition::MAKE_SEND_ONCE && how != disposition::MOVE_SEND_ONCE {
        return Err(KERN_INVALID_VALUE);
    }
    // Whatever comes of it: what was passed is used.
    let to = match space.take(to, how) {
        Ok(Taken::Right(Right::SendOnce(to))) => Some(to),
        Ok(Taken::Null) => None,
        Ok(_) => return Err(KERN_INVALID_CAPABILITY),
        Err(NotTaken::Name) => return Err(KERN_INVALID_NAME),
        Err(_) => return Err(KERN_INVALID_RIGHT),
    };
    let before = match id {
        notify::NO_SENDERS => {
            let receive = receive(space, name)?;
            let before = receive.right.take_no_senders();
            if let Some(to) = to {
                let told = receive.right.notify_no_senders_since(to, u64::from(sync));
                told.map_err(|_| KERN_FAILURE)?;
            }
            before
        }
        notify::PORT_DESTROYED => {
            if sync != 0 {
                return Err(KERN_INVALID_VALUE);
            }
            let receive = receive(space, name)?;
            if receive.right.is_bequeathed() {
                return Err(KERN_FAILURE);
            }
            if let Some(to) = to {
                receive.right.notify_destroyed(to).map_err(|_| KERN_FAILURE)?;
            }
            None
        }
        notify::DEAD_NAME | notify::SEND_POSSIBLE => {
            if !is_valid(name) {
                return Err(KERN_INVALID_ARGUMENT);
            }
            let entry = space.look(name).ok_or(KERN_INVALID_NAME)?;
            match (&entry.held, to) {
                (Held::Set(..), _) => return Err(KERN_INVALID_RIGHT),
                (Held::Dead(_), Some(to)) if sync != 0 => {
                    space.tell_dead(name, to);
                    None
                }
                (Held::Dead(_), _) => return Err(KERN_INVALID_ARGUMENT),
                (_, to) => {
                    let before = space.take_request(name);
                    let room = id == notify::SEND_POSSIBLE;
                    if let Some(to) = to {
                        space.ask(name, to, room);
                        if room && sync != 0 {
                            space.arm(name);
                        }
                    }
                    before
                }
            }
        }
        _ => return Err(KERN_INVALID_VALUE),
    };
    Ok(before.map_or(NULL, |right| space.give_once(right, None)))
}
