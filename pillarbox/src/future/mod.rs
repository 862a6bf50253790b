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
//! | [`ReceiveRight::receive_async`] | has taken nothing; messages stay in the queue, in order |
//! | [`SendRight::send_async`] | nothing was sent; the message and its rights are dropped |
//! | [`SendOnceRight::send_async`] | nothing was sent; message and right are dropped, and the right tells who waits |
//! | [`SendRight::call_async`] | the interest is withdrawn: an answer that comes is dropped; whether the request was sent is not told |
//! | [`SendRight::status_async`] | the question is withdrawn |
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
//! # After a fork
//!
//! A future of the parent's that is polled in a forked child returns the error
//! `Forked`.

mod calling;
mod receiving;
mod sending;
mod standing;

pub use self::calling::{CallFuture, StatusFuture};
pub use self::receiving::ReceiveFuture;
pub use self::sending::{SendFuture, SendOnceFuture};
pub(crate) use self::standing::Patience;

#[cfg(doc)]
use crate::{ReceiveRight, SendOnceRight, SendRight};
