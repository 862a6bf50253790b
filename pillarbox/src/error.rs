//! What can go wrong, one small enum per operation.
//!
//! What went in comes back: a failed send returns the message with every right
//! in it. Blame is in the type: an outcome to expect, an [`Offence`] of the
//! peer's, or the system under us.

use abi::{Offence, TaskId, limits};
use rights::reply::Gone;

use crate::facet::FacetError;
use crate::message::Message;
use crate::offer::OfferError;
use crate::right::SendOnceRight;

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendFailure {
    /// No room before the deadline.
    #[error("the mailbox is full")]
    Full,
    /// The port is unbounded, and what waits for its receiver takes as much memory
    /// of this task as its limits allow.
    #[error("what waits for the receiver takes as much memory as this task allows")]
    OverLimit,
    /// A message was left with the port already and has not been taken.
    #[error("a message of this task is left with the mailbox already")]
    NotifyPending,
    /// The receive right is gone, or its task is.
    #[error("the receiver is gone")]
    Dead,
    /// The answer is not wanted any more: the caller has withdrawn its request,
    /// or its deadline has passed.
    #[error("the answer is not wanted any more: {0}")]
    Withdrawn(Gone),
    /// The receiver broke the protocol, and how.
    #[error("the receiver broke the protocol: {0}")]
    Fault(Offence),
    /// The body is longer than a message may be.
    #[error("the body is {bytes} bytes long, more than this task may send")]
    TooLong {
        /// How long it is.
        bytes: u64,
    },
    /// A priority above the highest.
    #[error("the priority is {0}, the highest is {highest}", highest = limits::PRIORITY_MAX)]
    PriorityTooHigh(u16),
    /// More rights than a message may carry.
    #[error("the message carries {0} rights, more than this task may send")]
    TooManyRights(usize),
    /// More descriptors than a message may carry; or more messages with descriptors,
    /// in the queue of a port that goes with it, than may be on their way at a time.
    #[error("the message carries {0} descriptors, more than this task may send")]
    TooManyDescriptors(usize),
    /// More regions than a message may carry.
    #[error("the message carries {0} regions, more than this task may send")]
    TooManyRegions(usize),
    /// A descriptor of the message was lost on an earlier way.
    #[error("a descriptor of the message is lost")]
    DescriptorLost,
    /// A region of the message was lost on an earlier way, or has no bytes.
    #[error("a region of the message is lost or has no bytes")]
    RegionLost,
    /// The user has as many descriptors in flight as the kernel allows.
    #[error("too many descriptors of this user are in flight")]
    DescriptorsInFlight,
    /// A right in the message, or the right it is sent on, was given to us by
    /// another task and its owner has not confirmed it before the deadline.
    #[error("the owner of the right, task {0}, has not confirmed it in time")]
    NotJoined(TaskId),
    /// A receive right in the message came here from another task, and before the
    /// deadline not everybody who holds a right to its port had come after it; or
    /// messages spilled for it are still on their way.
    #[error("rights to the port are still on their way from its last owner")]
    Unsettled,
    /// Ports lie in the queues of ports that lie in queues, and so on, deeper than a
    /// port may move.
    #[error("ports lie in one another's queues more than {limit} deep", limit = limits::BAG_DEPTH)]
    NestedTooDeep,
    /// More send-once rights to a port that is to move are out than may be.
    #[error("{0} send-once rights to the port are out, {limit} may be when it moves", limit = limits::MOVED_PROMISES)]
    TooManyPromises(u64),
    /// A receive right in the message is of a port with rights on terms, which do
    /// not move, or with messages that came in through a membrane.
    #[error("the port has send rights with terms, and cannot go to another task")]
    HasTerms,
    /// The receiver holds as many rights of ours as one link carries; or so many ports
    /// went to it that others have not followed yet, that no further one may.
    #[error("the receiver holds as many rights of this task as one peer may")]
    RightsExhausted,
    /// The right was revoked, its time is over, or its messages are used up.
    #[error("the right was revoked, or its terms have ended")]
    Revoked,
    /// The right permits no message with this id.
    #[error("the right permits no message with id {0}")]
    NotPermitted(i32),
    /// A right in the message must go out through a membrane and cannot.
    #[error("a right in the message cannot be wrapped in its membrane: {0}")]
    NotWrapped(FacetError),
    /// The right belongs to the process this one was forked from.
    #[error("the right belongs to the parent of this process")]
    Forked,
    /// A right in the message is held by another task of this process.
    #[error("a right in the message is held by another task of this process")]
    OtherTask,
    /// The system refused memory or a descriptor.
    #[error("the system refused: {0}")]
    System(std::io::ErrorKind),
}

/// Why a pulse was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PulseError {
    /// As many pulses of ours wait as the owner of the port grants, or the way
    /// to it is full.
    #[error("there is no room for another pulse")]
    NoRoom,
    /// The receive right is gone, or its task is.
    #[error("the receiver is gone")]
    Dead,
    /// The receiver broke the protocol, and how.
    #[error("the receiver broke the protocol: {0}")]
    Fault(Offence),
    /// A priority above the highest.
    #[error("the priority is {0}, the highest is {highest}", highest = limits::PRIORITY_MAX)]
    PriorityTooHigh(u16),
    /// The right was taken back, or its terms are used up.
    #[error("the right was taken back or is used up")]
    Revoked,
    /// The terms of the right do not permit this id.
    #[error("the right does not permit id {0}")]
    NotPermitted(i32),
    /// Our system refused what the way to the receiver cannot do without.
    #[error("the system refused: {0}")]
    System(std::io::ErrorKind),
    /// The right was given to us by another task, and its owner has not confirmed
    /// it yet.
    #[error("the owner of the right, task {0}, has not confirmed it yet")]
    NotJoined(TaskId),
    /// The right belongs to the process this one was forked from.
    #[error("the right belongs to the parent of this process")]
    Forked,
}

/// A message that was not sent, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    /// Why.
    pub reason: SendFailure,
    /// The message, whole, with every right in it.
    pub message: Box<Message>,
}

/// A message of several that was not sent, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}, after {sent} were sent")]
pub struct SendManyError {
    /// How many were sent before it.
    pub sent: usize,
    /// Why.
    pub reason: SendFailure,
    /// The message, whole, and those behind it that were at hand.
    pub unsent: Vec<Message>,
}

/// A message that was not sent on a send-once right, which is still unused.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SendOnceError {
    /// Why.
    pub reason: SendFailure,
    /// The message, whole.
    pub message: Box<Message>,
    /// The right, to be used again.
    pub right: SendOnceRight,
}

/// A message that was neither sent nor left, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct LeaveError {
    /// Why.
    pub reason: SendFailure,
    /// The message, whole.
    pub message: Box<Message>,
    /// The right to be told on, unused.
    pub accepted: Option<SendOnceRight>,
}

/// Why nobody is told of something, and the right to be told on.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct NotifyError {
    /// Why.
    pub reason: SendFailure,
    /// The right, unused.
    pub right: SendOnceRight,
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// No message before the deadline.
    #[error("no message came before the deadline")]
    Deadline,
    /// The first message does not fit into the buffer. It is still there.
    #[error("the first message is {bytes} bytes long and does not fit into the buffer")]
    TooLong {
        /// How long its body is.
        bytes: usize,
    },
    /// The set it was to come from was closed.
    #[error("the set is closed")]
    Closed,
    /// The port belongs to the process this one was forked from.
    #[error("the port belongs to the parent of this process")]
    Forked,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The request was not sent; it is here, whole.
    #[error("the request was not sent: {0}")]
    Unsent(#[from] SendError),
    /// The request was sent, and no answer came before the deadline. The server
    /// may still do what was asked.
    #[error("no answer came before the deadline")]
    Deadline,
    /// The server dropped the reply right without using it.
    #[error("the server dropped the request without an answer")]
    Dropped,
    /// The task that held the reply right died before it answered. What was
    /// asked may or may not have been done.
    #[error("the server died before it answered")]
    Died,
    /// The call belongs to the process this one was forked from.
    #[error("the call belongs to the parent of this process")]
    Forked,
    /// The request was refused when it arrived: the right it was sent on had been
    /// revoked, its terms had ended, or they do not permit it. Nothing was done.
    #[error("the right does not permit the request")]
    Refused,
    /// The call was withdrawn, or its answer was taken already.
    #[error("the call was withdrawn, or its answer was taken already")]
    Withdrawn,
}

/// Why a reply was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The message came without a reply right, or was answered already.
    #[error("the message asks for no reply")]
    NoReply(Box<Message>),
    /// The reply was not sent; both are here.
    #[error(transparent)]
    Unsent(#[from] Box<SendOnceError>),
}

/// Why a right could not be watched or asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The receive right is gone.
    #[error("the receiver is gone")]
    Dead,
    /// The owner did not answer before the deadline.
    #[error("the owner did not answer before the deadline")]
    Deadline,
    /// Too many questions of ours are open at that owner.
    #[error("too many questions are open")]
    Busy,
    /// The right belongs to the process this one was forked from.
    #[error("the right belongs to the parent of this process")]
    Forked,
}

/// Why there is no task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The task belongs to the process this one was forked from.
    #[error("the task belongs to the parent of this process")]
    Forked,
    /// The task of this process has been made, and its limits with it.
    #[error("the task of this process has been made already")]
    TooLate,
    /// The system refused memory, a descriptor or a thread.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}

/// Why two tasks could not be linked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nobody listens there.
    #[error("nobody listens at {0}")]
    NobodyThere(std::path::PathBuf),
    /// The other side refused, and said why.
    #[error("the other side refused: {0}")]
    Refused(abi::hello::Refusal),
    /// The other side broke the protocol.
    #[error("the other side broke the protocol: {0}")]
    Fault(Offence),
    /// The other side went away during the greeting.
    #[error("the other side went away during the greeting")]
    Died,
    /// The other side did not greet before the deadline.
    #[error("the other side did not greet before the deadline")]
    Deadline,
    /// The task belongs to the process this one was forked from.
    #[error("the task belongs to the parent of this process")]
    Forked,
    /// The task has been closed.
    #[error("the task has been closed")]
    Closed,
    /// What was to be offered cannot be.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// Another task listens at that path.
    #[error("the socket at {0} is in use")]
    InUse(std::path::PathBuf),
    /// The system refused.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}

/// Why a child was not started with its rights.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SpawnError {
    /// Why.
    pub reason: SpawnFailure,
    /// The rights it was to have.
    pub rights: Vec<(String, crate::Right)>,
}

/// Why a child was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnFailure {
    /// The rights cannot be given under their names.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The task has been closed.
    #[error("the task has been closed")]
    Closed,
    /// The task belongs to the process this one was forked from.
    #[error("the task belongs to the parent of this process")]
    Forked,
    /// The program could not be started.
    #[error("the program could not be started: {0}")]
    System(#[from] std::io::Error),
}
