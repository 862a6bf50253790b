//! A message that is a body and nothing else, as it lies in a chute.

use abi::limits;

use super::{Body, Message};
use crate::core::TaskCore;

/// A message that is a body and nothing else: a third of what a message is.
#[derive(Debug)]
pub(crate) struct Letter {
    id: i32,
    priority: u16,
    tag: u64,
    body: Body,
}

impl Message {
    /// Whether it is a body and nothing else, and `task` may send it.
    #[inline]
    pub(crate) fn is_letter(&self, task: &TaskCore) -> bool {
        self.rights.is_empty()
            && self.reply.is_none()
            && self.descriptors.is_empty()
            && self.regions.is_none()
            && self.note.is_none()
            && self.accepted.is_none()
            && self.within.is_none()
            && self.charge.is_none()
            && self.via.is_none()
            && self.notification.is_none()
            && self.pulses == 0
            && !self.is_rest
            && self.priority <= limits::PRIORITY_MAX
            && self.body.plain().is_some_and(|body| body.len() as u64 <= task.limits.message_bytes)
    }
}

impl Letter {
    /// What a message says, taken out of it.
    #[inline]
    pub(crate) fn of(message: &mut Message) -> Self {
        let body = std::mem::replace(&mut message.body, Body::NONE);
        Letter { id: message.id, priority: message.priority, tag: message.tag, body }
    }

    /// Its body.
    pub(crate) fn into_body(self) -> Body {
        self.body
    }

    /// The message that was received.
    #[inline]
    pub(crate) fn into_message(self) -> Message {
        let Letter { id, priority, tag, body } = self;
        Message { id, priority, tag, body, ..Message::default() }
    }
}
