//! Semaphores: ports whose messages are what was signalled, and say nothing else.
//!
//! To signal is to send, to wait is to receive; how much was signalled is how many
//! messages there are. Who waits does so at a set with this one port in it: closing that
//! lets all of them go at once, and who comes later waits at another.

use std::sync::Arc;

use pillarbox::{
    Capacity, Deadline, Message, PortSet, ReceiveRight, SendRight, SetReceiveError, hold_in_wait,
};

use crate::codes::*;
use crate::names::Name;
use crate::space::{Entry, Held, Space};
use crate::with;

/// The most that may be signalled and not waited for.
const MOST: u32 = 65_536;

/// The highest number of a policy. Whatever it is, threads go in the order in which they
/// came.
const POLICIES: i32 = 7;

/// A semaphore of this task.
#[derive(Debug)]
pub(crate) struct Semaphore {
    port: ReceiveRight,
    post: SendRight,
    /// Where threads wait now.
    set: Arc<PortSet>,
}

impl Space {
    /// The semaphore that a name stands for, and its port's number.
    fn semaphore(&mut self, name: Name) -> Result<(u64, &mut Semaphore), Code> {
        let right = match self.look(name) {
            None => return Err(KERN_INVALID_NAME),
            Some(Entry { held: Held::Dead(_), .. }) => return Err(KERN_TERMINATED),
            Some(_) => self.copied(name).ok_or(KERN_INVALID_ARGUMENT)?,
        };
        let id = right.port_id().ok_or(KERN_INVALID_ARGUMENT)?;
        Ok((id, self.semaphores.get_mut(&id).ok_or(KERN_INVALID_ARGUMENT)?))
    }

    /// A set with the semaphore's port in it.
    fn waiting_at(&self, port: &ReceiveRight) -> Result<Arc<PortSet>, Code> {
        let set = self.task.port_set();
        let _ = set.add(port).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        Ok(Arc::new(set))
    }
}

fn token() -> Message {
    Message::new(Vec::new())
}

/// Makes a semaphore that was signalled so often.
pub(crate) fn create(policy: i32, value: i32) -> Result<Name, Code> {
    let value = u32::try_from(value).map_err(|_| KERN_INVALID_ARGUMENT)?;
    if !(0..=POLICIES).contains(&policy) {
        return Err(KERN_INVALID_ARGUMENT);
    }
    if value > MOST {
        return Err(KERN_RESOURCE_SHORTAGE);
    }
    let port = with(|space| space.task.port(Capacity::Bounded(MOST)));
    let post = port.make_send().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
    for _ in 0..value {
        post.send(token(), Deadline::Now).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
    }
    with(|space| -> Result<_, Code> {
        let set = space.waiting_at(&port)?;
        let name = space.give_send(post.clone());
        space.semaphores.insert(port.id(), Semaphore { port, post, set });
        Ok(name)
    })
}

/// Ends a semaphore, and takes one reference of its name. Who waits there is told.
pub(crate) fn destroy(name: Name) -> Result<(), Code> {
    let ended = with(|space| -> Result<_, Code> {
        let (id, _) = space.semaphore(name)?;
        let ended = space.semaphores.remove(&id);
        let _ = space.change_urefs(name, -1);
        Ok(ended)
    })?;
    if let Some(Semaphore { port, set, .. }) = ended {
        drop(port);
        set.close();
    }
    Ok(())
}

/// Lets one thread go that waits, or the next that comes.
pub(crate) fn signal(name: Name) -> Result<(), Code> {
    let post = with(|space| space.semaphore(name).map(|(_, it)| it.post.clone()))?;
    match post.send(token(), Deadline::Now) {
        Ok(()) => Ok(()),
        Err(_) if post.is_dead() => Err(KERN_TERMINATED),
        Err(_) => Err(KERN_RESOURCE_SHORTAGE),
    }
}

/// Lets every thread go that waits now.
pub(crate) fn signal_all(name: Name) -> Result<(), Code> {
    let before = with(|space| -> Result<_, Code> {
        // In two sets for a moment: who finds either finds what is signalled.
        let (id, _) = space.semaphore(name)?;
        let port = &space.semaphores.get(&id).ok_or(KERN_TERMINATED)?.port;
        let fresh = space.waiting_at(port)?;
        let it = space.semaphores.get_mut(&id).ok_or(KERN_TERMINATED)?;
        let before = std::mem::replace(&mut it.set, fresh);
        let _ = before.remove((&it.port).into());
        Ok(before)
    })?;
    before.close();
    Ok(())
}

/// Waits until it is signalled, at most until `deadline`.
pub(crate) fn wait(name: Name, deadline: Deadline) -> Result<(), Code> {
    let (id, set) = with(|space| space.semaphore(name).map(|(id, it)| (id, Arc::clone(&it.set))))?;
    let (_, signalled) = hold_in_wait(set, drop, |set| set.receive_within(usize::MAX, deadline));
    match signalled {
        Ok(_) => Ok(()),
        Err(SetReceiveError::Closed) => match with(|space| space.semaphores.contains_key(&id)) {
            true => Ok(()),
            false => Err(KERN_TERMINATED),
        },
        Err(SetReceiveError::Forked) => Err(KERN_INVALID_NAME),
        Err(_) => Err(KERN_OPERATION_TIMED_OUT),
    }
}
