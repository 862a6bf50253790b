//! A message that is a body and nothing else, as it lies in a chute.

use abi::limits;

use super::{Body, Identity, Message, Part};

/// A message that is a body and nothing else: a third of what a message is.
#[derive(Debug)]
pub(crate) struct Letter {
    id: i32,
    priority: u16,
    tag: u64,
    body: Body,
}

impl Message {
    /// Whether it is a body in our own memory and nothing else.
    #[inline]
    pub(crate) fn is_letter(&self) -> bool {
        self.rights.is_empty()
            && self.reply.is_none()
            && self.has_nothing_aside()
            && self.charge.is_none()
            && self.via.is_none()
            && self.notification.is_none()
            && self.pulses == 0
            && self.part == Part::Whole
            && self.priority <= limits::PRIORITY_MAX
            && self.body.plain().is_some()
    }
}

impl Letter {
    /// What a message says, taken out of it.
    #[inline]
    pub(crate) fn of(message: &mut Message) -> Self {
        let body = std::mem::replace(&mut message.body, Body::NONE);
        Letter { id: message.id, priority: message.priority, tag: message.tag, body }
    }

    /// How long its body is.
    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The message it is, of this sender and with the number of its turn.
    #[inline]
    pub(crate) fn into_message(self, sender: Identity, sequence: u64) -> Message {
        // Written out: a message is large, and made once.
        Message {
            id: self.id,
            priority: self.priority,
            tag: self.tag,
            body: self.body,
            rights: Vec::new(),
            reply: None,
            sender: Some(sender),
            notification: None,
            sequence,
            badge: None,
            pulses: 0,
            part: Part::Whole,
            charge: None,
            via: None,
            aside: None,
        }
    }
}
