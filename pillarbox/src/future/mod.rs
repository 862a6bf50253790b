//! The same operations as futures, for any executor.
//!
//! Each waiting operation has a twin whose name ends in `_async`. It does the
//! same, returns the same, and takes no deadline: drop the future, or wrap it
//! in a timeout of your runtime. No runtime is needed and none is hidden here.
//! There is no blocking, no timer and no thread for each future: what peers
//! send while no thread of the task waits is taken in by the task's one
//! background thread, which wakes the futures it concerns.
//!
//! A future does nothing before it is first polled.
//!
//! # What it means to drop one
//!
//! | operation | dropped before it is ready |
//! |---|---|
//! | [`ReceiveRight::receive_async`], by id, by tag, by choice, from a peer | has taken nothing; messages stay in the queue, in order |
//! | [`ReceiveRight::receive_into_async`] | the same, and the buffer is as it was |
//! | [`PortSet::receive_async`] | has taken nothing, from no member |
//! | [`SendRight::send_async`] | nothing was sent; the message and its rights are dropped |
//! | [`SendOnceRight::send_async`] | nothing was sent; message and right are dropped, and the right tells who waits |
//! | [`SendRight::leave_async`] | nothing was sent and nothing left; the message and the right to be told on are dropped |
//! | [`SendRight::notify_room_async`] | nothing was asked for; the right to be told on is dropped |
//! | [`Task::send_to_async`] | nothing was sent; the message and its rights are dropped |
//! | [`Message::reply_async`] | nothing was sent; the answer is dropped, and the message can still be answered |
//! | [`SendOnceRight::write_at_async`] | some of the part may have been written; it may be written again |
//! | [`SendRight::start_call_async`], [`SendRight::start_call_to_async`] | nothing was sent; no answer is wanted |
//! | `&mut` of a [`PendingCall`] | the call is as it was; dropping the call itself withdraws it |
//! | [`SendRight::call_async`] | the request is withdrawn: the server sees that, an answer is refused or dropped; whether it was sent is not told |
//! | [`SendRight::status_async`] | the question is withdrawn |
//! | [`SendRight::loan_async`] | it has taken nothing |
//!
//! docs/async.md of the repository has every operation that waits and its twin, or
//! why it has none.
//!
//! A message is *accepted* in the poll that returns `Ok`, and at no other time.
//! So a send that lost a `select` was not sent, and one that was ready was.
//!
//! # What it means not to poll one
//!
//! A receive that was woken and is not polled leaves its message in the queue;
//! the next message wakes the next who waits. A send to a full mailbox is
//! granted a place in turn, and keeps it until it is polled; while others wait
//! for one, a place that is not used within
//! [`GRANT_IDLE_NS`](crate::limits::GRANT_IDLE_NS) goes to them. (That needs the
//! background thread, which a task has from its first link on: among the
//! futures of a task without any link it stays theirs.)
//!
//! # In an event loop
//!
//! [`Task::events`](crate::Task::events) is one descriptor that tells when the
//! task has something to do, for `poll` or the event loop of another library.
//! With the feature `tokio`, `Task::drive` does the same on a tokio runtime. Both
//! save a hop from thread to thread and neither is needed.
//!
//! With the feature `stream`, a receive right is a `Stream` and a send right a
//! `Sink`, of the crates `futures-core` and `futures-sink`.
//!
//! # After a fork
//!
//! A future of the parent's that is polled in a forked child returns the error
//! `Forked`.

mod addressing;
mod answering;
mod asking;
mod calling;
mod choosing;
#[cfg(feature = "tokio")]
mod driving;
mod inheriting;
mod leaving;
mod polled;
mod receiving;
mod sending;
mod set;
mod standing;
#[cfg(feature = "stream")]
mod stream;

pub use self::addressing::SendToFuture;
pub use self::answering::{ReplyFuture, WriteAtFuture};
pub use self::asking::StatusFuture;
pub(crate) use self::calling::Starting;
pub use self::calling::{CallFuture, StartCallFuture, StartCallToFuture};
pub use self::choosing::{ReceiveFromFuture, ReceiveWhereFuture};
pub use self::leaving::{LeaveFuture, NotifyRoomFuture};
pub use self::polled::Events;
pub(crate) use self::polled::Pollers;
pub(crate) use self::receiving::Receiving;
pub use self::receiving::{ReceiveFuture, ReceiveIntoFuture};
pub(crate) use self::sending::Sending;
pub use self::sending::{SendFuture, SendOnceFuture};
pub use self::set::SetReceiveFuture;
pub(crate) use self::standing::{Patience, Standing};
#[cfg(feature = "stream")]
pub use self::stream::{Messages, Post};

#[cfg(doc)]
use crate::{Message, PendingCall, PortSet, ReceiveRight, SendOnceRight, SendRight, Task};
