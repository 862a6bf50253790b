//! A port that several tasks read: its owner hands each message to one of them,
//! or to all.
//!
//! | file         | part                                                       |
//! |--------------|------------------------------------------------------------|
//! | this one     | what the two sides say to each other                       |
//! | `mailbox.rs` | the owner: hands out, takes back, forwards answers          |
//! | `out.rs`     | what is on its way to a reader or a caller                  |
//! | `handing.rs` | a mailbox that stops, and goes on elsewhere                |
//! | `copy.rs`    | what a reader is sent, and what the owner keeps             |
//! | `reader.rs`  | a reader, and what it is handed                             |
//!
//! All of it is made of ports and rights. A *reader right* is a send right to a
//! port of the owner's: to attach is a call on it, and what a reader says of its
//! hand-outs are pulses, which never wait. Who gets what is the rule
//! [`rights::sharing`].
//!
//! # What comes back when a reader dies
//!
//! The owner keeps each message until a reader has acknowledged it. The body is
//! shared if it is long, send rights are cloned, descriptors duplicated. The reply
//! right stays with the owner, who forwards the answer: a caller waits on, and is
//! answered once. Any other send-once right goes out with the first hand-out and
//! is not there in later ones. If the owner dies, so does the mailbox.

mod copy;
mod handing;
mod mailbox;
mod out;
mod reader;

use abi::limits;
use serde::{Deserialize, Serialize};

pub use self::handing::Held;
pub use self::mailbox::{Policy, SharedMailbox, SharedStatus};
pub use self::reader::{AcknowledgeError, AttachError, Delivery, SharedReader};

/// A call: the message carries a send right to the reader's port.
const ATTACH: i32 = 1;
/// A pulse, or a message with the number as its tag.
const DONE: i32 = 2;
/// The same: the hand-out goes back.
const BACK: i32 = 3;
/// The same: the reader with this number leaves.
const LEAVE: i32 = 4;
/// To a reader: what the next message is.
const ABOUT: i32 = 5;

/// Hand-outs a reader may say of at once, over all readers of one task.
const WORDS: u32 = limits::SHARED_PREFETCH * limits::SHARED_READERS_EACH + 64;

/// What a reader asks for.
#[derive(Debug, Serialize, Deserialize)]
struct Attach {
    prefetch: u32,
}

/// What the owner answers.
#[derive(Debug, Serialize, Deserialize)]
enum Attached {
    As(u64),
    TooMany,
}

/// What goes before each message that is handed out.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct About {
    number: u64,
    times: u32,
    /// Task, pid, uid, gid: the owner's word.
    origin: Option<([u64; 2], i32, u32, u32)>,
    badge: Option<u64>,
}
