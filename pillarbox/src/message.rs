//! What is sent: a body, a few numbers, rights and descriptors.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::TaskId;
use rights::queue::{Label, Labelled};

use crate::call::{CallNote, InParts};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::ReplyError;
use crate::link::Charge;
use crate::membrane::Within;
use crate::peer::PeerCore;
use crate::port::ReceiveRight;
use crate::right::{SendOnceRight, SendRight};

/// A right in a message or in a space.
#[derive(Debug)]
#[non_exhaustive]
pub enum Right {
    /// A send right.
    Send(SendRight),
    /// A send-once right.
    SendOnce(SendOnceRight),
    /// A receive right: the port goes with the message.
    Receive(ReceiveRight),
}

impl Right {
    /// The task that holds it; `None` for one that leads nowhere.
    pub(crate) fn task(&self) -> Option<&Arc<TaskCore>> {
        match self {
            Right::Send(right) => Some(right.task()),
            Right::SendOnce(right) => right.task(),
            Right::Receive(right) => Some(&right.core().task),
        }
    }

    /// The send right, or the right back.
    ///
    /// # Rights
    /// Moves it.
    ///
    /// # Errors
    /// The right itself, where it is another kind.
    pub fn into_send(self) -> Result<SendRight, Right> {
        match self {
            Right::Send(right) => Ok(right),
            other => Err(other),
        }
    }

    /// The send-once right, or the right back.
    ///
    /// # Rights
    /// Moves it.
    ///
    /// # Errors
    /// The right itself, where it is another kind.
    pub fn into_send_once(self) -> Result<SendOnceRight, Right> {
        match self {
            Right::SendOnce(right) => Ok(right),
            other => Err(other),
        }
    }
}

impl Right {
    /// The receive right, or the right back.
    ///
    /// # Rights
    /// Moves it.
    ///
    /// # Errors
    /// The right itself, where it is another kind.
    pub fn into_receive(self) -> Result<ReceiveRight, Right> {
        match self {
            Right::Receive(right) => Ok(right),
            other => Err(other),
        }
    }
}

impl From<ReceiveRight> for Right {
    fn from(right: ReceiveRight) -> Self {
        Right::Receive(right)
    }
}

impl From<SendRight> for Right {
    fn from(right: SendRight) -> Self {
        Right::Send(right)
    }
}

impl From<SendOnceRight> for Right {
    fn from(right: SendOnceRight) -> Self {
        Right::SendOnce(right)
    }
}

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

/// What became of something we asked to be told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notification {
    /// The port of a send right of ours is gone.
    DeadName,
    /// Nobody can send to a port of ours any more.
    NoSenders,
    /// A send-once right was dropped unused.
    SendOnceDropped,
    /// The task that held a send-once right died before it used it.
    SendOnceDied,
    /// The message that carried a send-once right as its reply right was refused:
    /// the right it was sent on was revoked, its terms had ended, or they did
    /// not permit it.
    Refused,
    /// The caller asks that its request come to an end, or waits no longer.
    Withdrawn,
    /// Nobody waits for the answer any more.
    Unwanted,
    /// A task we were linked with is gone.
    PeerGone,
    /// The last right of ours to a port of another task was let go, and with it
    /// the request to be told of the port's end, or of room in it.
    LetGo,
    /// A port that we asked about has room for a message.
    SendPossible,
    /// A message that was left with a full port has been taken from its queue.
    MessageAccepted,
    /// A receive right was let go, and is in this message: its port lives on.
    PortDestroyed,
}

impl Notification {
    pub(crate) const fn id(self) -> i32 {
        match self {
            Notification::DeadName => 1,
            Notification::NoSenders => 2,
            Notification::SendOnceDropped => 3,
            Notification::SendOnceDied => 4,
            Notification::Refused => 5,
            Notification::Withdrawn => 6,
            Notification::Unwanted => 7,
            Notification::PeerGone => 8,
            Notification::LetGo => 9,
            Notification::SendPossible => 10,
            Notification::MessageAccepted => 11,
            Notification::PortDestroyed => 12,
        }
    }

    pub(crate) const fn from_id(id: i32) -> Option<Self> {
        match id {
            1 => Some(Notification::DeadName),
            2 => Some(Notification::NoSenders),
            3 => Some(Notification::SendOnceDropped),
            4 => Some(Notification::SendOnceDied),
            5 => Some(Notification::Refused),
            6 => Some(Notification::Withdrawn),
            7 => Some(Notification::Unwanted),
            8 => Some(Notification::PeerGone),
            9 => Some(Notification::LetGo),
            10 => Some(Notification::SendPossible),
            11 => Some(Notification::MessageAccepted),
            12 => Some(Notification::PortDestroyed),
            _ => None,
        }
    }
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

/// A descriptor in a message.
///
/// One that could not be installed here, because the table of descriptors was
/// full, arrives as lost in its place.
#[derive(Debug)]
pub struct Descriptor {
    fd: Option<OwnedFd>,
    /// It came from another task.
    foreign: bool,
}

impl Descriptor {
    pub(crate) fn own(fd: OwnedFd) -> Self {
        Descriptor { fd: Some(fd), foreign: false }
    }

    pub(crate) fn foreign(fd: Option<OwnedFd>) -> Self {
        Descriptor { fd, foreign: true }
    }

    pub(crate) fn as_ref(&self) -> Option<&OwnedFd> {
        self.fd.as_ref()
    }

    /// The descriptor, or `None` where it was lost on the way.
    pub fn take(mut self) -> Option<OwnedFd> {
        self.fd.take()
    }

    /// Whether it was lost on the way.
    pub const fn is_lost(&self) -> bool {
        self.fd.is_none()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // Closing what another task made may block for as long as it likes.
        if self.foreign {
            shm::close::close_later(self.fd.take().into_iter().collect());
        }
    }
}

/// The bytes of a message: short ones are copied, long ones are sealed memory
/// that is read where it lies.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    Sealed(Arc<shm::body::Body>),
    /// What is left of a body from this byte on, after parts of it were taken.
    Rest(Arc<Body>, usize),
    /// It came in parts.
    Parts(Box<InParts>),
    /// It was sealed memory that could not be mapped here.
    Lost,
}

impl Body {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Body::Bytes(bytes) => bytes,
            Body::Sealed(body) => body,
            Body::Rest(whole, from) => whole.as_slice().get(*from..).unwrap_or_default(),
            Body::Parts(parts) => parts.whole().unwrap_or_default(),
            Body::Lost => &[],
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Body::Bytes(_) | Body::Sealed(_) => false,
            Body::Rest(whole, _) => whole.is_lost(),
            Body::Parts(parts) => parts.whole().is_none(),
            Body::Lost => true,
        }
    }
}

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
    pub(crate) descriptors: Vec<Descriptor>,
    pub(crate) reply: Option<SendOnceRight>,
    pub(crate) sender: Option<Identity>,
    pub(crate) notification: Option<Notification>,
    pub(crate) sequence: u64,
    pub(crate) badge: Option<u64>,
    /// How many equal pulses it stands for; zero for what is none.
    pub(crate) pulses: u64,
    /// Parts of it were taken before.
    pub(crate) is_rest: bool,
    /// The membranes it comes in through, until it is taken from the queue; on its
    /// way out, those it goes out through.
    pub(crate) within: Option<Within>,
    /// Who is told that it was taken, where it was left with a full port.
    pub(crate) accepted: Option<Box<SendOnceRight>>,
    /// What it counts against its sender's link while it waits.
    pub(crate) charge: Option<Charge>,
    /// Who sent it, where that is another task.
    pub(crate) via: Option<Arc<PeerCore>>,
    /// Of a call it belongs to.
    pub(crate) note: Option<Box<CallNote>>,
}

impl Default for Message {
    fn default() -> Self {
        Message::new(Vec::new())
    }
}

impl Message {
    /// A message with this body and nothing else.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Message {
            id: 0,
            priority: 0,
            tag: 0,
            body: Body::Bytes(body.into()),
            rights: Vec::new(),
            descriptors: Vec::new(),
            reply: None,
            accepted: None,
            sender: None,
            notification: None,
            sequence: 0,
            badge: None,
            pulses: 0,
            is_rest: false,
            within: None,
            charge: None,
            via: None,
            note: None,
        }
    }

    pub(crate) fn pulse_of(id: i32, value: u64, priority: u16, sender: Identity) -> Self {
        let mut message = Message::new(Vec::new()).with_id(id).with_tag(value);
        message.priority = priority;
        message.sender = Some(sender);
        message
    }

    pub(crate) fn notification_of(what: Notification) -> Self {
        let mut message = Message::new(Vec::new()).with_id(what.id());
        message.notification = Some(what);
        message
    }

    /// Whether it is a notification the library made itself, and not one that
    /// another task says it is.
    pub(crate) const fn is_own_notification(&self) -> bool {
        self.notification.is_some() && self.sender.is_none()
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
        self.descriptors.push(Descriptor::own(fd));
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

    /// The body. Long bodies lie in sealed memory, which nobody can write any
    /// more, not even the sender.
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }

    /// Whether the body was lost: it was long, and this process had no
    /// descriptor or address space left to map it.
    pub fn is_body_lost(&self) -> bool {
        self.body.is_lost()
    }

    /// The body, taken out; copied only where it lies in sealed memory.
    pub fn into_body(self) -> Vec<u8> {
        match self.body {
            Body::Bytes(bytes) => bytes,
            Body::Sealed(body) => body.to_vec(),
            rest @ Body::Rest(..) => rest.as_slice().to_vec(),
            Body::Parts(parts) => parts.into_bytes(),
            Body::Lost => Vec::new(),
        }
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

    /// The descriptors, in the order they were put in.
    pub fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }

    /// The descriptors, taken out.
    pub fn take_descriptors(&mut self) -> Vec<Descriptor> {
        std::mem::take(&mut self.descriptors)
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

    /// The message may not enter. Who waits for an answer is told why there is none.
    pub(crate) fn refuse(mut self) {
        if let Some(reply) = self.reply.take() {
            reply.notify(Notification::Refused);
        }
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

    /// Whether earlier parts of this message were taken before it, by
    /// [`crate::ReceiveRight::receive_into`].
    pub const fn is_rest(&self) -> bool {
        self.is_rest
    }

    /// What there is to know of the message without taking it apart.
    pub(crate) fn envelope(&self) -> Envelope {
        Envelope {
            id: self.id,
            priority: self.priority,
            tag: self.tag,
            bytes: self.body().len(),
            rights: self.rights.len(),
            descriptors: self.descriptors.len(),
            wants_reply: self.reply.is_some(),
            sender: self.sender,
            notification: self.notification,
            badge: self.badge,
            pulses: self.pulses,
            is_rest: self.is_rest,
        }
    }

    /// Parts the message after so many bytes of its body. Everything that is no
    /// body goes with the part; the rest stays here. Copies nothing: the part
    /// can see the whole of what is left.
    pub(crate) fn split_off_front(&mut self, bytes: usize) -> Message {
        let body = std::mem::replace(&mut self.body, Body::Lost);
        let (whole, from) = match body {
            Body::Rest(whole, from) => (whole, from),
            whole => (Arc::new(whole), 0),
        };
        self.body = Body::Rest(Arc::clone(&whole), from + bytes);
        Message {
            body: Body::Rest(whole, from),
            rights: std::mem::take(&mut self.rights),
            descriptors: std::mem::take(&mut self.descriptors),
            reply: self.reply.take(),
            is_rest: std::mem::replace(&mut self.is_rest, true),
            within: self.within.take(),
            // Told with the last part.
            accepted: None,
            charge: None,
            via: self.via.clone(),
            note: self.note.take(),
            ..*self
        }
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
