//! Messages of this face for programs in Rust: what they carry, without names.
//!
//! A program in Rust has the library's own rights, which are values and no numbers. What
//! it needs beside them is the form in which programs in C write their messages, to talk
//! with those:
//!
//! | in C                         | in Rust                                             |
//! |------------------------------|-----------------------------------------------------|
//! | `mach_port_allocate`         | `task.port(Capacity::Bounded(5))`                   |
//! | `MAKE_SEND`, `COPY_SEND`     | `port.make_send()`, `right.clone()`                 |
//! | `mach_msg` to send           | `right.send(message.into(), deadline)`              |
//! | `mach_msg` for both          | `right.call(message.into(), deadline)`              |
//! | `mach_msg` to receive        | `Message::open(port.receive(deadline)?)`            |
//! | `mach_port_insert_member`    | `set.add(&port)`, and `set.receive(deadline)`       |
//! | `request_notification`       | `right.notify_dead`, `port.notify_no_senders`       |
//! | `bootstrap_look_up`          | `bootstrap(deadline)?.look_up(name, deadline)`      |

use pillarbox::{Identity, Right, SendRight};

use crate::codes::disposition;
use crate::letter::{self, Descriptor as Wire, put, word};
use crate::names::{DEAD, NULL, Name};

/// A right as a message carries it.
#[derive(Debug)]
pub enum Carried {
    /// The right itself.
    Right(Right),
    /// None: `MACH_PORT_NULL`.
    Null,
    /// One whose port had ended: `MACH_PORT_DEAD`.
    Dead,
}

impl Carried {
    /// The right, if it is one.
    ///
    /// # Rights
    /// The right is the caller's.
    pub fn into_right(self) -> Option<Right> {
        match self {
            Carried::Right(right) => Some(right),
            Carried::Null | Carried::Dead => None,
        }
    }

    /// The send right, if it is one; another right is dropped.
    ///
    /// # Rights
    /// The right is the caller's.
    pub fn into_send(self) -> Option<SendRight> {
        self.into_right()?.into_send().ok()
    }
}

impl<R: Into<Right>> From<R> for Carried {
    fn from(right: R) -> Self {
        Carried::Right(right.into())
    }
}

/// What a message carries beside its bytes, in its order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Descriptor {
    /// A right, as in `mach_msg_port_descriptor_t`.
    Port(Carried),
    /// Memory out of line, as in `mach_msg_ool_descriptor_t`.
    Memory(Vec<u8>),
    /// Rights out of line, as in `mach_msg_ool_ports_descriptor_t`.
    Ports(Vec<Carried>),
}

/// A message as programs in C write it with `mach_msg`.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Task};
/// use pillarbox_mach::{Descriptor, Message};
/// let task = Task::current()?;
/// let (port, gift) = (task.port(Capacity::Bounded(5)), task.port(Capacity::Bounded(5)));
/// let message = Message::new(7, *b"four").with_port(gift.make_send()?).with_memory("more");
/// port.make_send()?.send(message.into(), Deadline::Never)?;
///
/// let came = Message::open(port.receive(Deadline::Never)?).map_err(|_| "not one of ours")?;
/// assert_eq!((came.id, &came.body[..]), (7, &b"four"[..]));
/// let mut carried = came.descriptors.into_iter();
/// let Some(Descriptor::Port(right)) = carried.next() else { panic!("no port") };
/// let Some(Descriptor::Memory(memory)) = carried.next() else { panic!("no memory") };
/// assert_eq!(memory, b"more");
/// let right = right.into_send().ok_or("no send right")?;
/// right.send(Message::new(8, "").into(), Deadline::Never)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// `msgh_id`.
    pub id: i32,
    /// What stands behind the header and the descriptors. Sent, zeros are added until its
    /// bytes are a multiple of four.
    pub body: Vec<u8>,
    /// What it carries.
    pub descriptors: Vec<Descriptor>,
    /// Where an answer goes, as the sender said in its `msgh_local_port`. Of a message that
    /// was sent by [`SendRight::call`] it is the right to answer that call.
    pub reply: Carried,
    /// Who sent it: the kernel's word. `None` of one that was not received.
    pub sender: Option<Identity>,
}

impl Message {
    /// A message with nothing but bytes.
    pub fn new(id: i32, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Message { id, body, descriptors: Vec::new(), reply: Carried::Null, sender: None }
    }

    /// Adds a right.
    ///
    /// # Rights
    /// The right goes with the message.
    #[must_use]
    pub fn with_port(mut self, right: impl Into<Carried>) -> Self {
        self.descriptors.push(Descriptor::Port(right.into()));
        self
    }

    /// Adds memory out of line.
    #[must_use]
    pub fn with_memory(mut self, memory: impl Into<Vec<u8>>) -> Self {
        self.descriptors.push(Descriptor::Memory(memory.into()));
        self
    }

    /// Adds send rights out of line: one array has rights of one kind.
    ///
    /// # Rights
    /// The rights go with the message.
    #[must_use]
    pub fn with_ports(mut self, rights: impl IntoIterator<Item = SendRight>) -> Self {
        let rights = rights.into_iter().map(Carried::from).collect();
        self.descriptors.push(Descriptor::Ports(rights));
        self
    }

    /// Says where an answer goes: a send or a send-once right.
    ///
    /// # Rights
    /// The right goes with the message.
    #[must_use]
    pub fn with_reply(mut self, right: impl Into<Carried>) -> Self {
        self.reply = right.into();
        self
    }

    /// Reads a message that was received.
    ///
    /// Whatever its sender made up, a descriptor that does not add up comes as nothing,
    /// and a body whose descriptors do not fit comes as bytes.
    ///
    /// # Rights
    /// The rights in the message are the caller's; those that no descriptor names are
    /// dropped.
    ///
    /// # Errors
    /// What is no message of this face comes back whole: news, which
    /// [`pillarbox::Message::notification`] tells, or what somebody sent who knows nothing
    /// of it.
    pub fn open(mut message: pillarbox::Message) -> Result<Self, Box<pillarbox::Message>> {
        let Some((flags, _, inline)) = letter::open(&message) else {
            return Err(Box::new(message));
        };
        let inline = inline.to_vec();
        let mut rights = message.take_rights().into_iter();
        let mut reply = match flags & (letter::REPLY | letter::REPLY_DEAD) {
            letter::REPLY_DEAD => Carried::Dead,
            0 => Carried::Null,
            _ => rights.next().map_or(Carried::Null, Carried::Right),
        };
        if let Some(answer) = message.take_reply() {
            reply = Carried::from(answer);
        }
        let mut opened = Message {
            id: message.id(),
            reply,
            sender: message.sender(),
            ..Message::new(0, inline)
        };
        let walk = match flags & letter::COMPLEX {
            0 => None,
            _ => letter::walk(&opened.body).filter(|walk| !walk.strange),
        };
        let Some(walk) = walk else { return Ok(opened) };
        let region = message.take_regions().first().map(|region| region.to_vec());
        let region = region.unwrap_or_default();
        let mut rest = region.as_slice();
        let mut take = |bytes: usize| {
            let (these, behind) = rest.split_at_checked(bytes).unwrap_or((&[], &[]));
            rest = behind;
            these
        };
        let mut right = |travels: Name| match travels {
            letter::TRAVELS => rights.next().map_or(Carried::Null, Carried::Right),
            DEAD => Carried::Dead,
            _ => Carried::Null,
        };
        let mut end = 4;
        for wire in walk.descriptors {
            let (at, bytes, descriptor) = match wire {
                Wire::Port { at, name, .. } => (at, 12, Descriptor::Port(right(name))),
                Wire::Guarded { at, name, .. } => (at, 16, Descriptor::Port(right(name))),
                Wire::Memory { at, size, .. } => {
                    (at, 16, Descriptor::Memory(take(size as usize).to_vec()))
                }
                Wire::Ports { at, count, .. } => {
                    let travel = take((count as usize).saturating_mul(4));
                    let rights = travel.chunks_exact(4).map(|four| right(word(four, 0)));
                    (at, 16, Descriptor::Ports(rights.collect()))
                }
            };
            end = at + bytes;
            opened.descriptors.push(descriptor);
        }
        opened.body.drain(..end.min(opened.body.len()));
        Ok(opened)
    }
}

/// What a right is called in a descriptor.
fn kind(right: &Right) -> u8 {
    match right {
        Right::Receive(_) => disposition::MOVE_RECEIVE,
        Right::SendOnce(_) => disposition::MOVE_SEND_ONCE,
        _ => disposition::MOVE_SEND,
    }
}

/// What goes beside the bytes.
#[derive(Debug, Default)]
struct Cargo {
    rights: Vec<Right>,
    memory: Vec<u8>,
}

impl Cargo {
    /// Takes a right along. Returns what stands for it, and what kind it is.
    fn load(&mut self, carried: Carried) -> (Name, u8) {
        match carried {
            Carried::Right(right) => {
                let kind = kind(&right);
                self.rights.push(right);
                (letter::TRAVELS, kind)
            }
            Carried::Null => (NULL, disposition::MOVE_SEND),
            Carried::Dead => (DEAD, disposition::MOVE_SEND),
        }
    }
}

impl From<Message> for pillarbox::Message {
    /// The message as it travels. What it carries goes with it.
    fn from(message: Message) -> Self {
        let Message { id, mut body, descriptors, reply, sender: _ } = message;
        let mut cargo = Cargo::default();
        let mut flags = match reply {
            Carried::Null => 0,
            Carried::Dead => letter::REPLY_DEAD,
            Carried::Right(right) => {
                cargo.rights.push(right);
                letter::REPLY
            }
        };
        let mut inline = Vec::new();
        if !descriptors.is_empty() {
            flags |= letter::COMPLEX;
            inline.extend_from_slice(&(descriptors.len() as u32).to_ne_bytes());
        }
        for descriptor in descriptors {
            let mut wire = [0; 16];
            let size = match descriptor {
                Descriptor::Port(carried) => {
                    let (travels, kind) = cargo.load(carried);
                    put(&mut wire, 0, &travels.to_ne_bytes());
                    put(&mut wire, 10, &[kind, 0]);
                    12
                }
                Descriptor::Memory(memory) => {
                    put(&mut wire, 8, &[1, 1, 0, 1]);
                    put(&mut wire, 12, &(memory.len() as u32).to_ne_bytes());
                    cargo.memory.extend_from_slice(&memory);
                    16
                }
                Descriptor::Ports(carried) => {
                    let mut of = disposition::MOVE_SEND;
                    put(&mut wire, 12, &(carried.len() as u32).to_ne_bytes());
                    for carried in carried {
                        let (travels, kind) = cargo.load(carried);
                        of = if travels == letter::TRAVELS { kind } else { of };
                        cargo.memory.extend_from_slice(&travels.to_ne_bytes());
                    }
                    put(&mut wire, 8, &[1, 1, of, 2]);
                    16
                }
            };
            inline.extend_from_slice(wire.get(..size).unwrap_or_default());
        }
        inline.append(&mut body);
        inline.resize(inline.len().next_multiple_of(4), 0);
        let mut sealed = letter::seal(flags, 0, &inline, id);
        for right in cargo.rights {
            sealed = sealed.with_right(right);
        }
        if !cargo.memory.is_empty() {
            sealed = sealed.with_region(cargo.memory);
        }
        sealed
    }
}
