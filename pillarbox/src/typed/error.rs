//! What can go wrong with a typed message, and who is to blame.

use std::fmt;

use crate::error::{CallError, ReceiveError, SendFailure};
use crate::message::{Identity, Message, Notification, Pulse};

/// How deep a value may be nested.
pub const DEPTH: usize = 128;

/// How many elements of sequences and maps in one value may take no bytes.
pub const EMPTY: usize = 1 << 16;

/// What is wrong with a message that is no value of the expected type.
///
/// The bytes are the sender's, and so is the blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedOffence {
    /// The bytes end inside the value.
    #[error("the bytes end inside the value")]
    Truncated,
    /// Something follows the value.
    #[error("{0} bytes follow the value")]
    BytesLeftOver(usize),
    /// A number does not fit its type.
    #[error("a number does not fit its type")]
    NumberTooLarge,
    /// The byte of a truth value or of an option is neither 0 nor 1.
    #[error("a byte that must be 0 or 1 is {0}")]
    NotTrueOrFalse(u8),
    /// Text that is not UTF-8, or a character that is not one.
    #[error("a text is not UTF-8")]
    NotText,
    /// Nested so deep that reading it could overflow the stack.
    #[error("the value is nested deeper than {DEPTH} levels")]
    TooDeep,
    /// So many elements that take no bytes that reading them could go on for
    /// ever.
    #[error("the value has more than {EMPTY} elements that take no bytes")]
    TooManyEmpty,
    /// The type knows no such value: a variant it does not have, say.
    #[error("the type knows no such value")]
    NoSuchValue,
    /// The value names a right that the message does not carry.
    #[error("the value names right {0}, which the message does not carry")]
    RightMissing(u32),
    /// The value names one right in two places.
    #[error("the value names right {0} twice")]
    RightTwice(u32),
    /// The right is of another kind than the value says.
    #[error("right {0} is of another kind than the value says")]
    RightOfWrongKind(u32),
    /// The value names a descriptor that the message does not carry.
    #[error("the value names descriptor {0}, which the message does not carry")]
    DescriptorMissing(u32),
    /// The value names one descriptor in two places.
    #[error("the value names descriptor {0} twice")]
    DescriptorTwice(u32),
    /// The message carries rights or descriptors that the value does not name.
    #[error("the message carries {0} rights and descriptors that the value does not name")]
    RightsLeftOver(usize),
    /// The body has another size than the type.
    #[error("the body is {bytes} bytes long, the type takes {expected}")]
    WrongSize {
        /// How long it is.
        bytes: usize,
        /// How long it must be.
        expected: usize,
    },
    /// The list ends before a value that must be there.
    #[error("a value that must be there is missing")]
    Missing,
}

/// Why a value could not be made a message. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value's own `Serialize` refused.
    #[error("the value cannot be serialised")]
    Refused,
    /// A sequence or map that does not say how long it is.
    #[error("the value has a sequence that does not know its length")]
    UnknownLength,
    /// Nested deeper than a receiver reads.
    #[error("the value is nested deeper than {DEPTH} levels")]
    TooDeep,
    /// More elements that take no bytes than a receiver reads.
    #[error("the value has more than {EMPTY} elements that take no bytes")]
    TooManyEmpty,
    /// A [`super::Carry`] that is empty, or that stands in the value twice.
    #[error("a right in the value was given away already")]
    GivenAway,
    /// Named fields that are longer together than their length can say.
    #[error("the value has fields of more than 4 GiB together")]
    TooLong,
}

/// Why a typed message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedSendFailure {
    /// The message was made and not sent.
    #[error(transparent)]
    Unsent(#[from] SendFailure),
    /// The value could not be made a message.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A value that was not sent, and why. Values that are their own bytes have one
/// reason less (`fixed::FixedSendError`).
#[derive(thiserror::Error)]
#[error("{reason}")]
pub struct TypedSendError<T, R = TypedSendFailure> {
    /// Why.
    pub reason: R,
    /// The value, whole, with every right in it.
    pub value: T,
}

/// A value that was not sent on a send-once right, which is still unused.
#[derive(thiserror::Error)]
#[error("{reason}")]
pub struct TypedSendOnceError<T> {
    /// Why.
    pub reason: TypedSendFailure,
    /// The value, whole.
    pub value: T,
    /// The right, to be used again.
    pub right: super::SenderOnce<T>,
}

/// Why a typed reply was not sent.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TypedReplyError<A, R = TypedSendFailure> {
    /// The message came without a reply right, or was answered already.
    #[error("the message asks for no reply")]
    NoReply(A),
    /// The reply was not sent; the answer is here, and the right is the
    /// message's again.
    #[error("the reply was not sent: {0}")]
    Unsent(TypedSendError<A, R>),
}

/// Why no value was received.
///
/// Except for [`TypedReceiveError::Receive`], a message was taken, and every
/// right it carried has been released: whoever waits for its reply is told that
/// it was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedReceiveError {
    /// No message came.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// What came is no value of the type. The fault is the sender's.
    #[error("task {} sent a malformed message: {offence}", Name(.sender))]
    Fault {
        /// What is wrong with it.
        offence: TypedOffence,
        /// Who sent it.
        sender: Option<Identity>,
    },
    /// What came is a pulse.
    #[error("a pulse came: {0:?}")]
    Pulse(Pulse),
    /// What came is a notification.
    #[error("a notification came: {0:?}")]
    Notification(Notification),
    /// The body was long, and this process had no descriptor or address space
    /// left to map it.
    #[error("the body of the message was lost for want of memory or descriptors")]
    BodyLost,
    /// The type cannot be read from any bytes: it wants to be told by them what
    /// they are, as an untagged enum does.
    #[error("the type cannot be read from a format that does not describe itself")]
    Unreadable,
}

/// Why a typed call has no answer.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TypedCallError<T, R = TypedSendFailure> {
    /// The request was not sent; it is here, whole.
    #[error("the request was not sent: {0}")]
    Unsent(TypedSendError<T, R>),
    /// The request was sent, and no answer came before the deadline.
    #[error("no answer came before the deadline")]
    Deadline,
    /// The server dropped the reply right without using it.
    #[error("the server dropped the request without an answer")]
    Dropped,
    /// The task that held the reply right died before it answered.
    #[error("the server died before it answered")]
    Died,
    /// The call belongs to the process this one was forked from.
    #[error("the call belongs to the parent of this process")]
    Forked,
    /// The right did not permit the request when it arrived. Nothing was done.
    #[error("the right does not permit the request")]
    Refused,
    /// An answer came that is no value of the expected type, or could not be
    /// read here.
    #[error("the answer cannot be read: {0}")]
    Answer(TypedReceiveError),
}

impl TypedReceiveError {
    /// What comes instead of a value.
    pub(super) fn instead(message: &Message) -> Result<(), Self> {
        if let Some(what) = message.notification() {
            return Err(TypedReceiveError::Notification(what));
        }
        message.pulse().map_or(Ok(()), |pulse| Err(TypedReceiveError::Pulse(pulse)))
    }
}

impl<T> TypedSendError<T> {
    /// It was to be sent on `right`, which is unused.
    pub(super) fn on(self, right: super::SenderOnce<T>) -> TypedSendOnceError<T> {
        TypedSendOnceError { reason: self.reason, value: self.value, right }
    }
}

impl<T, R: From<SendFailure>> TypedCallError<T, R> {
    /// What became of a call whose request was made of `value`.
    pub(super) fn of_call(
        error: CallError,
        value: T,
        come_back: impl FnOnce(&mut Message),
    ) -> Self {
        match error {
            CallError::Unsent(mut error) => {
                come_back(&mut error.message);
                let reason = error.reason.into();
                TypedCallError::Unsent(TypedSendError { reason, value })
            }
            CallError::Deadline | CallError::Withdrawn => TypedCallError::Deadline,
            CallError::Dropped => TypedCallError::Dropped,
            CallError::Died => TypedCallError::Died,
            CallError::Forked => TypedCallError::Forked,
            CallError::Refused => TypedCallError::Refused,
        }
    }
}

struct Name<'a>(&'a Option<Identity>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(sender) => write!(f, "{}", sender.task),
            None => f.write_str("unknown"),
        }
    }
}

// By hand, so that a value which cannot be printed has errors all the same.

impl<T, R: fmt::Debug> fmt::Debug for TypedSendError<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSendError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for TypedSendOnceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSendOnceError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<A, R: fmt::Debug> fmt::Debug for TypedReplyError<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypedReplyError::NoReply(_) => f.debug_tuple("NoReply").finish_non_exhaustive(),
            TypedReplyError::Unsent(error) => f.debug_tuple("Unsent").field(error).finish(),
        }
    }
}

impl<T, R: fmt::Debug> fmt::Debug for TypedCallError<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypedCallError::Unsent(error) => f.debug_tuple("Unsent").field(error).finish(),
            TypedCallError::Deadline => f.write_str("Deadline"),
            TypedCallError::Dropped => f.write_str("Dropped"),
            TypedCallError::Died => f.write_str("Died"),
            TypedCallError::Forked => f.write_str("Forked"),
            TypedCallError::Refused => f.write_str("Refused"),
            TypedCallError::Answer(error) => f.debug_tuple("Answer").field(error).finish(),
        }
    }
}
