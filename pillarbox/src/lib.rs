//! Mailboxes between threads and processes, with capability security at
//! shared-memory speed.
//!
//! A *port* is a queue with one receive right. Whoever holds a *send right* may
//! post; a *send-once right* is good for one message, mostly a reply. Rights
//! travel in messages. There is no broker in the data path and nothing in the
//! file system: what a task may reach is what it was given.
//!
//! ```
//! use pillarbox::{Capacity, Deadline, Message, Task};
//!
//! let inbox = Task::current()?.port(Capacity::Bounded(16));
//! let post = inbox.make_send()?;
//!
//! std::thread::spawn(move || post.send(Message::new("hello"), Deadline::Never));
//! assert_eq!(inbox.receive(Deadline::Never)?.body(), b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module or type     | for                                               |
//! |--------------------|---------------------------------------------------|
//! | [`Task`]           | the party that holds rights; one per process      |
//! | [`ReceiveRight`], [`SendRight`], [`SendOnceRight`] | the rights        |
//! | [`Message`]        | what is sent                                      |
//! | [`Spawn`]          | a child with exactly the rights it should have    |
//! | [`mod@bootstrap`]  | names for rights, and services that start when asked |
//! | [`mod@typed`]      | channels of any serde type, or of a fixed size    |
//! | [`mod@future`]     | the same operations as futures, for any executor  |
//! | [`mod@shared`]     | one mailbox that several tasks read               |
//! | [`mod@interface`]  | a trait as a typed client and a server            |
//! | [`Deadline`]       | how long a call may wait                          |
//!
//! Linux 5.16 or newer; see the repository's ARCHITECTURE.md for the map.
#![forbid(unsafe_code)]

mod background;
pub mod bootstrap;
mod call;
mod claims;
mod core;
mod deadline;
mod drain;
mod error;
mod facet;
mod full;
pub mod future;
mod giving;
mod greeting;
mod inbox;
pub mod interface;
pub mod limits;
mod link;
mod listen;
mod meeting;
mod membrane;
mod message;
mod metrics;
mod moving;
mod offer;
mod peer;
mod port;
pub mod region;
mod right;
mod set;
pub mod shared;
mod spawn;
mod special;
mod task;
pub mod typed;
mod unheard;
mod wait;
mod welcome;

#[cfg(feature = "interface")]
pub use ::interface::interface;
pub use abi::frame::PortStatus;
pub use abi::hello::Refusal;
pub use abi::name::{NameError, check as check_name};
pub use abi::{Offence, TaskId};
pub use bootstrap::{Bootstrap, bootstrap};
pub use call::{PartError, PendingCall, StartedCall, Withdraw, Withdrawer};
pub use deadline::Deadline;
pub use error::{
    CallError, LeaveError, LinkError, NotifyError, PulseError, ReceiveError, ReplyError, SendError,
    SendFailure, SendManyError, SendOnceError, SpawnError, SpawnFailure, StatusError, TaskError,
};
pub use facet::{FacetError, Revoker, Terms};
pub use full::Left;
pub use inbox::{Callers, InboxError, ReceiveFromError, SendToError, SendToFailure};
pub use limits::{Limit, Limits};
pub use listen::{Listening, handed_sockets};
pub use membrane::Membrane;
pub use message::{
    Descriptor, Envelope, Identity, Message, MessageBody, Notification, Pulse, Right,
};
pub use metrics::{Metrics, Traffic};
pub use offer::OfferError;
pub use peer::Peer;
pub use port::{Capacity, Order, Overflow, Part, PortOptions, ReceiveRight, Short};
pub use region::{Loan, LoanError, Region};
pub use right::{SendOnceRight, SendRight};
pub use rights::census::{Census, Holding, Row};
pub use rights::reply::{Gone, ReplyState};
pub use set::{Member, PortSet, SetError, SetReceiveError, SetStatus};
pub use spawn::{Spawn, exit_of, process_of};
pub use special::{Armed, NewsError, kernel};
pub use task::Task;
pub use typed::channel;
pub use wait::{heed_signals, hold_in_wait, let_handlers_jump};

/// The programs in the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// So is that of the page on what can be seen.
#[cfg(doctest)]
#[doc = include_str!("../../docs/seeing.md")]
pub struct Seeing;

/// So is that of the attribute.
#[cfg(all(doctest, feature = "interface"))]
#[doc = include_str!("../../interface/README.md")]
pub struct InterfaceReadme;
