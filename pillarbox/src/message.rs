//! What is sent: a body, a few numbers, rights and descriptors.

mod aside;
mod body;
mod descriptor;
mod envelope;
mod letter;
mod notification;
mod right;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::frame::flag;
use rights::queue::{Label, Labelled};

pub(crate) use self::aside::Aside;
pub(crate) use self::body::Body;
pub use self::body::MessageBody;
pub use self::descriptor::Descriptor;
pub use self::envelope::{Envelope, Identity, Pulse};
pub(crate) use self::letter::Letter;
pub use self::notification::Notification;
pub use self::right::Right;
use crate::deadline::Deadline;
use crate::error::ReplyError;
use crate::link::Charge;
use crate::peer::PeerCore;
use crate::right::SendOnceRight;

/// A message: on its way out or received.
///
/// # Examples
/// ```
/// use pillarbox::Message;
/// let message = Message::new("count these words").with_id(7);
/// assert_eq!(message.body(), b"count these words");
/// assert_eq!(message.id(), 7);
/// ```
#[derive(Debug)]
pub struct Message {
    pub(crate) id: i32,
    pub(crate) priority: u16,
    pub(crate) tag: u64,
    pub(crate) body: Body,
    pub(crate) rights: Vec<Right>,
    pub(crate) reply: Option<SendOnceRight>,
    pub(crate) sender: Option<Identity>,
    pub(crate) notification: Option<Notification>,
    pub(crate) sequence: u64,
    pub(crate) badge: Option<u64>,
    /// How many equal pulses it stands for; zero for what is none.
    pub(crate) pulses: u64,
    pub(crate) part: Part,
    /// What it counts against its sender's link while it waits.
    pub(crate) charge: Option<Charge>,
    /// Who sent it, where that is another task.
    pub(crate) via: Option<Arc<PeerCore>>,
    pub(crate) aside: Option<Box<Aside>>,
}

// A message is moved several times. Beyond this the C library copies in a loop, which is
// more than twice as many instructions.
const _: () = assert!(size_of::<Message>() <= 256);

/// How much of a message it is. One byte: a message is large enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    #[default]
    Whole,
    /// Parts of it were taken before.
    Rest,
    /// All of it, on its way in: its sender sends it again, as a dead owner of the port had
    /// not read it.
    Again,
}

impl Part {
    /// Of a message whose frame has these flags.
    pub(crate) const fn of(flags: u8) -> Part {
        if flags & flag::AGAIN == 0 { Part::Whole } else { Part::Again }
    }

    /// Whether it is sent again; from now on it is a message like any other.
    pub(crate) fn take_again(&mut self) -> bool {
        let again = *self == Part::Again;
        if again {
            *self = Part::Whole;
        }
        again
    }
}

impl Default for Message {
    fn default() -> Self {
        Message::new(MessageBody(Body::NONE))
    }
}

impl Message {
    /// A message with this body and nothing else.
    #[inline]
    pub fn new(body: impl Into<MessageBody>) -> Self {
        Message {
            id: 0,
            priority: 0,
            tag: 0,
            body: body.into().0,
            rights: Vec::new(),
            reply: None,
            sender: None,
            notification: None,
            sequence: 0,
            badge: None,
            pulses: 0,
            part: Part::Whole,
            charge: None,
            via: None,
            aside: None,
        }
    }

    /// The same message with this id.
    #[must_use]
    pub fn with_id(mut self, id: i32) -> Self {
        self.id = id;
        self
    }

    /// The same message with this priority, at most
    /// [`crate::limits::PRIORITY_MAX`]. A port made with
    /// [`crate::Order::Priority`] is read in the order of priorities; to any other
    /// it is only carried.
    #[must_use]
    pub fn with_priority(mut self, priority: u16) -> Self {
        self.priority = priority;
        self
    }

    /// The same message with this tag: a number free for the user.
    #[must_use]
    pub fn with_tag(mut self, tag: u64) -> Self {
        self.tag = tag;
        self
    }

    /// The same message carrying one right more. The right is the message's
    /// from now on: to keep a send right, clone it first.
    ///
    /// # Rights
    /// Moves the right into the message.
    #[must_use]
    pub fn with_right(mut self, right: impl Into<Right>) -> Self {
        self.rights.push(right.into());
        self
    }

    /// The same message carrying one descriptor more.
    #[must_use]
    pub fn with_descriptor(mut self, fd: OwnedFd) -> Self {
        self.push_descriptor(Descriptor::own(fd));
        self
    }

    /// The same message asking for a reply on this right.
    ///
    /// # Rights
    /// Moves the right into the message; one that was there is dropped, which
    /// tells.
    #[must_use]
    pub fn with_reply(mut self, reply: SendOnceRight) -> Self {
        self.reply = Some(reply);
        self
    }

    /// The id.
    pub const fn id(&self) -> i32 {
        self.id
    }

    /// The priority.
    pub const fn priority(&self) -> u16 {
        self.priority
    }

    /// The tag.
    pub const fn tag(&self) -> u64 {
        self.tag
    }

    /// The rights, in the order they were put in.
    ///
    /// # Rights
    /// Borrows them.
    pub fn rights(&self) -> &[Right] {
        &self.rights
    }

    /// The rights, taken out.
    ///
    /// # Rights
    /// Moves them out of the message; those in a message that is dropped are let go.
    pub fn take_rights(&mut self) -> Vec<Right> {
        std::mem::take(&mut self.rights)
    }

    /// The reply right, taken out, to be used later or given on.
    ///
    /// # Rights
    /// Moves the right out of the message.
    pub fn take_reply(&mut self) -> Option<SendOnceRight> {
        self.reply.take()
    }

    /// Who sent it. `None` for a message that was not received yet, and for
    /// notifications the library made itself.
    pub const fn sender(&self) -> Option<Identity> {
        self.sender
    }

    /// The notification this message is. What another task *says* is a
    /// notification has a [`Message::sender`] too.
    pub const fn notification(&self) -> Option<Notification> {
        self.notification
    }

    /// The badge of the right it was sent on: [`crate::Terms::badge`]. `None` for a
    /// message that was not received yet, for one that came on a right without a
    /// badge, and for what came on a send-once right.
    pub const fn badge(&self) -> Option<u64> {
        self.badge
    }

    /// Which message of its port this was, counted from 1.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Drops what was sent as a body and nothing else; most often there is nothing to
    /// drop, and it takes less to see that than to look for each.
    #[inline]
    #[allow(clippy::mem_forget, reason = "what owns nothing leaves nothing behind")]
    pub(crate) fn let_go(self) {
        // Each by its name: a field that is added has to be thought of here.
        let Message {
            id: _,
            priority: _,
            tag: _,
            body,
            rights,
            reply,
            sender: _,
            notification: _,
            sequence: _,
            badge: _,
            pulses: _,
            part: _,
            charge,
            via,
            aside,
        } = &self;
        let owns = !matches!(body, Body::Small(_))
            || rights.capacity() > 0
            || via.is_some()
            || charge.is_some()
            || reply.is_some()
            || aside.is_some();
        if owns {
            drop(self);
        } else {
            std::mem::forget(self);
        }
    }

    /// The message may not enter. Who waits for an answer is told why there is none.
    pub(crate) fn refuse(mut self) {
        if let Some(reply) = self.reply.take() {
            reply.notify(Notification::Refused);
        }
    }

    /// Whether earlier parts of this message were taken before it, by
    /// [`crate::ReceiveRight::receive_into`].
    pub const fn is_rest(&self) -> bool {
        matches!(self.part, Part::Rest)
    }

    /// Answers the message. It can be answered once.
    ///
    /// # Rights
    /// Consumes the reply right of the message, and gives away every right in
    /// `answer`.
    ///
    /// # Errors
    /// [`ReplyError::NoReply`] where the message asks for none. On a failed send
    /// the answer and the unused reply right come back in the error.
    ///
    /// # Blocking
    /// Waits for room in the lane until `deadline`; a reply never waits for room
    /// in a queue.
    pub fn reply(&mut self, answer: Message, deadline: Deadline) -> Result<(), ReplyError> {
        let Some(right) = self.reply.take() else {
            return Err(ReplyError::NoReply(Box::new(answer)));
        };
        right.send(answer, deadline).map_err(|error| ReplyError::Unsent(Box::new(error)))
    }
}

impl Labelled for Message {
    fn label(&self) -> Label {
        Label { priority: self.priority, id: self.id, tag: self.tag }
    }

    fn equals(&self, earlier: &Self) -> bool {
        self.label() == earlier.label() && self.badge == earlier.badge
    }
}
