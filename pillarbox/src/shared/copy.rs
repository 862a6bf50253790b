//! What a reader is sent, and what the owner keeps.

use std::sync::Arc;

use abi::TaskId;

use super::About;
use super::handing::Held;
use crate::message::{Body, Identity, Message, Right};

impl About {
    pub(super) fn of(held: &Held, number: u64, times: u32) -> Self {
        let origin =
            held.origin.map(|who| ([who.task.process, who.task.number], who.pid, who.uid, who.gid));
        About { number, times, origin, badge: held.badge }
    }

    pub(super) fn sender(&self) -> Option<Identity> {
        self.origin.map(|([process, number], pid, uid, gid)| Identity {
            task: TaskId { process, number },
            pid,
            uid,
            gid,
        })
    }
}

/// A copy for a reader. What cannot be copied goes with it, and comes back only
/// if it is not sent.
///
/// # Errors
/// The system had no descriptor for a duplicate.
pub(super) fn copy_of(kept: &mut Message) -> std::io::Result<Message> {
    let mut copy =
        Message::default().with_id(kept.id).with_priority(kept.priority).with_tag(kept.tag);
    for fd in kept.descriptors().iter().filter_map(|descriptor| descriptor.as_ref()) {
        copy = copy.with_descriptor(fd.try_clone()?);
    }
    copy.body = match &mut kept.body {
        Body::Sealed(body) => Body::Sealed(Arc::clone(body)),
        Body::Shared(bytes) => Body::Shared(Arc::clone(bytes)),
        other => Body::copied(other.as_slice()),
    };
    copy.put_regions(kept.regions().to_vec());
    for right in std::mem::take(&mut kept.rights) {
        match right {
            Right::Send(right) => {
                copy.rights.push(Right::Send(right.clone()));
                kept.rights.push(Right::Send(right));
            }
            once => copy.rights.push(once),
        }
    }
    Ok(copy)
}

/// The copy was not sent: what could not be copied is the owner's again.
pub(super) fn come_back(kept: &mut Message, copy: Message) {
    // In the order of the copy, which is that of the message.
    kept.rights = copy.rights;
}
