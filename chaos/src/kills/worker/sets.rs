//! Receiving from any of the ports of a worker, while they come, end and go to
//! other workers.
//!
//! Each port is in two sets. From one the worker receives, and a port is taken out
//! of it before it goes. Out of the other it falls by going.

use std::sync::{Arc, Mutex};

use pillarbox::{Deadline, Member, PortSet, Task};

use super::{Own, OwnPort, hear, lock};
use crate::chance::Chance;

/// The sets of a worker.
#[derive(Debug)]
pub(in crate::kills) struct Sets {
    received: PortSet,
    left: PortSet,
    members: Mutex<Vec<(Member, Arc<OwnPort>)>>,
    /// Held from the taking of a message until it was heard.
    pub(super) hearing: Mutex<()>,
}

impl Sets {
    pub(super) fn new(task: &Task) -> Sets {
        let (received, left) = (task.port_set(), task.port_set());
        Sets { received, left, members: Mutex::default(), hearing: Mutex::default() }
    }
}

/// A port has come, perhaps with messages in it.
pub(super) fn join(own: &Own, port: &Arc<OwnPort>) {
    // Held until its number is known: who takes one of its messages at once looks for
    // whose it is.
    let mut members = lock(&own.sets.members);
    let added = own.sets.received.add(&port.right);
    match added.and_then(|at| own.sets.left.add(&port.right).map(|_| at)) {
        Ok(member) => members.push((member, Arc::clone(port))),
        Err(error) => own.broken(format_args!("{:?} cannot be in a set: {error}", port.id)),
    }
}

/// A port is about to go or to end.
pub(super) fn leave(own: &Own, port: &OwnPort) {
    let mut members = lock(&own.sets.members);
    if let Some(at) = members.iter().position(|(_, other)| other.id == port.id) {
        let (member, _) = members.swap_remove(at);
        if !own.sets.received.remove(member) {
            own.broken(format_args!("{:?} was no member of its set", port.id));
        }
    }
}

/// Takes some messages, of whichever ports have any.
pub(super) fn listen(own: &Own, deadline: Deadline, chance: &mut Chance) {
    let mut deadline = deadline;
    for _ in 0..16 {
        let _hearing = lock(&own.sets.hearing);
        let Ok((member, message)) = own.sets.received.receive(deadline) else { return };
        deadline = Deadline::Now;
        let members = lock(&own.sets.members);
        let found = members.iter().find(|(other, _)| *other == member);
        let port = found.map(|(_, port)| Arc::clone(port));
        drop(members);
        match port {
            Some(port) => hear::take(own, &port, message, chance),
            // It was about to end, whatever came.
            None => hear::leave_unheard(own, &message),
        }
    }
}
