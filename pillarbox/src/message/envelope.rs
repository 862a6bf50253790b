//! What is known of a message beside its body: who sent it, its numbers, and how
//! much it carries.

use abi::TaskId;

use super::{Message, Notification};

/// Who sent a message: the kernel's word, as of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The task.
    pub task: TaskId,
    /// Its process, in our own pid namespace; 0 where it has none there.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A few bytes that never wait, as they arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pulse {
    /// The id.
    pub id: i32,
    /// The value.
    pub value: u64,
    /// The priority.
    pub priority: u16,
    /// How many equal pulses of one sender it stands for: more than one only
    /// where the port was made with [`crate::PortOptions::merge_pulses`].
    pub count: u64,
}

/// What there is to know of a message without taking it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The id.
    pub id: i32,
    /// The priority.
    pub priority: u16,
    /// The tag; the value of a pulse.
    pub tag: u64,
    /// Bytes of the body.
    pub bytes: usize,
    /// How many rights it carries, the reply right not counted.
    pub rights: usize,
    /// How many descriptors it carries.
    pub descriptors: usize,
    /// How many regions it carries.
    pub regions: usize,
    /// Whether the sender waits for a reply.
    pub wants_reply: bool,
    /// Who sent it.
    pub sender: Option<Identity>,
    /// The notification it is.
    pub notification: Option<Notification>,
    /// The badge of the right it was sent on.
    pub badge: Option<u64>,
    /// How many equal pulses it stands for; zero for what is none.
    pub pulses: u64,
    /// Whether earlier parts of it were taken before.
    pub is_rest: bool,
}

impl Message {
    pub(crate) fn pulse_of(id: i32, value: u64, priority: u16, sender: Identity) -> Self {
        let mut message = Message::new(Vec::new()).with_id(id).with_tag(value);
        message.priority = priority;
        message.sender = Some(sender);
        message
    }

    /// The pulse this message is. It has no body and carries no rights.
    pub fn pulse(&self) -> Option<Pulse> {
        (self.pulses > 0).then_some(Pulse {
            id: self.id,
            value: self.tag,
            priority: self.priority,
            count: self.pulses,
        })
    }

    /// What there is to know of the message without taking it apart.
    pub(crate) fn envelope(&self) -> Envelope {
        Envelope {
            id: self.id,
            priority: self.priority,
            tag: self.tag,
            bytes: self.body_len(),
            rights: self.rights.len(),
            descriptors: self.descriptors().len(),
            regions: self.regions().len(),
            wants_reply: self.reply.is_some(),
            sender: self.sender,
            notification: self.notification,
            badge: self.badge,
            pulses: self.pulses,
            is_rest: self.is_rest(),
        }
    }
}
