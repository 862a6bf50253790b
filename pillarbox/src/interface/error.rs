//! What can go wrong between a client and a server.

use std::fmt;

use crate::error::{CallError, SendFailure};
use crate::message::{Identity, Notification, Pulse};
use crate::typed::leaving::Leaving;
use crate::typed::{
    EncodeError, TypedOffence, TypedReceiveError, TypedSendError, TypedSendFailure,
};

/// Why a method of a client has no result.
///
/// `A` is the tuple of the method's arguments: they come back where nothing was
/// sent. [`ClientError::without_arguments`] lets them go.
///
/// # Examples
/// ```
/// use pillarbox::interface::ClientError;
/// use pillarbox::{Capacity, Deadline, SendFailure, Task};
///
/// #[pillarbox::interface(name = "org.example.Log", version = 1)]
/// trait Log {
///     #[id(1)]
///     #[oneway]
///     fn line(&self, text: String);
/// }
///
/// let inbox = Task::current()?.port(Capacity::Bounded(1));
/// let log = LogClient::new(inbox.make_send()?);
/// drop(inbox);
/// let error = log.line("hello".into(), Deadline::Never).unwrap_err();
/// let ClientError::Unsent { reason, arguments: (text,) } = error else { panic!("{error}") };
/// assert_eq!((reason, &*text), (SendFailure::Dead.into(), "hello"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ClientError<A = ()> {
    /// The request was not sent; the arguments are here, whole.
    #[error("the request was not sent: {reason}")]
    Unsent {
        /// Why.
        reason: TypedSendFailure,
        /// What was to be sent, with every right in it.
        arguments: A,
    },
    /// The request was sent, and no answer came before the deadline. The server
    /// may still do what was asked.
    #[error("no answer came before the deadline")]
    Deadline,
    /// The server dropped the request without an answer: it panicked, say.
    #[error("the server dropped the request without an answer")]
    Dropped,
    /// The server died before it answered. What was asked may or may not have
    /// been done.
    #[error("the server died before it answered")]
    Died,
    /// The call belongs to the process this one was forked from.
    #[error("the call belongs to the parent of this process")]
    Forked,
    /// The right was revoked, or its terms do not permit this method, which the
    /// owner found when the request was there; nothing was done.
    #[error("the right does not permit the request")]
    Refused,
    /// The server has no such method; nothing was done.
    #[error(
        "the server has no method {method}: it serves version {server_version}, \
         the client is of version {client_version}"
    )]
    UnknownMethod {
        /// The id of the method.
        method: i32,
        /// The version of the client.
        client_version: u32,
        /// The version of the server.
        server_version: u32,
    },
    /// The server serves another interface; nothing was done.
    #[error("the server serves another interface")]
    WrongInterface,
    /// The server found no arguments of the method in the request; nothing was
    /// done. The two sides take the interface for different things.
    #[error("the server cannot read the request: {}", Blame(.argument, .offence))]
    Rejected {
        /// Which argument, counted from 0.
        argument: Option<u32>,
        /// What is wrong with it, where this version knows the word for it.
        offence: Option<TypedOffence>,
    },
    /// An answer came that is none of the method's, or could not be read here.
    #[error("the answer cannot be read: {0}")]
    Answer(TypedReceiveError),
}

impl<A> ClientError<A> {
    /// The same error without what was to be sent.
    ///
    /// # Rights
    /// Drops the rights in the arguments.
    #[must_use]
    pub fn without_arguments(self) -> ClientError {
        match self {
            ClientError::Unsent { reason, .. } => ClientError::Unsent { reason, arguments: () },
            ClientError::Deadline => ClientError::Deadline,
            ClientError::Dropped => ClientError::Dropped,
            ClientError::Died => ClientError::Died,
            ClientError::Forked => ClientError::Forked,
            ClientError::Refused => ClientError::Refused,
            ClientError::UnknownMethod { method, client_version, server_version } => {
                ClientError::UnknownMethod { method, client_version, server_version }
            }
            ClientError::WrongInterface => ClientError::WrongInterface,
            ClientError::Rejected { argument, offence } => {
                ClientError::Rejected { argument, offence }
            }
            ClientError::Answer(error) => ClientError::Answer(error),
        }
    }

    /// The request was not sent.
    pub(super) fn unsent(error: TypedSendError<A>) -> Self {
        ClientError::Unsent { reason: error.reason, arguments: error.value }
    }

    /// What became of a call whose arguments were `leaving`.
    pub(super) fn of_call(error: CallError, leaving: Leaving<A>) -> Self {
        match error {
            CallError::Unsent(mut error) => {
                ClientError::unsent(leaving.unsent(error.reason, &mut error.message))
            }
            CallError::Deadline | CallError::Withdrawn => ClientError::Deadline,
            CallError::Dropped => ClientError::Dropped,
            CallError::Died => ClientError::Died,
            CallError::Forked => ClientError::Forked,
            CallError::Refused => ClientError::Refused,
        }
    }
}

/// Why a message was not answered as it should be.
///
/// Whoever sent it has been told already; a server may go on with the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// It is no request: the library says that something happened to a right of
    /// the port's.
    #[error("a notification came: {0:?}")]
    Notification(Notification),
    /// The message is a pulse, and no request.
    #[error("a pulse came: {0:?}")]
    Pulse(Pulse),
    /// The client asks for a method this server does not have: a newer one, or
    /// one that was removed.
    #[error(
        "{} asks for method {method} of version {client_version}, we serve version {server_version}",
        Who(.sender)
    )]
    UnknownMethod {
        /// The id of the method.
        method: i32,
        /// The version of the client.
        client_version: u32,
        /// The version of the server.
        server_version: u32,
        /// Who asks.
        sender: Option<Identity>,
    },
    /// The request is of another interface.
    #[error("{} asks for another interface", Who(.sender))]
    WrongInterface {
        /// Who asks.
        sender: Option<Identity>,
    },
    /// The arguments are none of the method. The fault is the sender's.
    #[error("{} sent a malformed request for method {method}: {}", Who(.sender), Blame(.argument, .offence))]
    Malformed {
        /// The id of the method.
        method: i32,
        /// Which argument, counted from 0.
        argument: Option<u32>,
        /// What is wrong with it; `None` where the type of the argument cannot be
        /// read from any bytes, which is this side's fault.
        offence: Option<TypedOffence>,
        /// Who sent it.
        sender: Option<Identity>,
    },
    /// A method that is answered was asked for with no way to answer it. It was
    /// not run.
    #[error("{} wants no answer of method {method}", Who(.sender))]
    NoReply {
        /// The id of the method.
        method: i32,
        /// Who asks.
        sender: Option<Identity>,
    },
    /// The body of the request was lost for want of memory or descriptors. The
    /// client was told that it was dropped.
    #[error("the body of a request was lost for want of memory or descriptors")]
    BodyLost,
    /// The method was run and its result could not be sent. The client was told
    /// that there will be no answer.
    #[error("the answer was not sent: {0}")]
    Unanswered(TypedSendFailure),
}

impl From<SendFailure> for DispatchError {
    fn from(reason: SendFailure) -> Self {
        DispatchError::Unanswered(reason.into())
    }
}

impl From<EncodeError> for DispatchError {
    fn from(reason: EncodeError) -> Self {
        DispatchError::Unanswered(reason.into())
    }
}

struct Who<'a>(&'a Option<Identity>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(sender) => write!(f, "task {}", sender.task),
            None => f.write_str("an unknown task"),
        }
    }
}

struct Blame<'a>(&'a Option<u32>, &'a Option<TypedOffence>);

impl fmt::Display for Blame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(argument) = self.0 {
            write!(f, "argument {argument}: ")?;
        }
        match self.1 {
            Some(offence) => offence.fmt(f),
            None => f.write_str("it cannot be read"),
        }
    }
}

// By hand, so that arguments which cannot be printed have errors all the same.
impl<A> fmt::Debug for ClientError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Unsent { reason, .. } => {
                f.debug_struct("Unsent").field("reason", reason).finish_non_exhaustive()
            }
            ClientError::Deadline => f.write_str("Deadline"),
            ClientError::Dropped => f.write_str("Dropped"),
            ClientError::Died => f.write_str("Died"),
            ClientError::Forked => f.write_str("Forked"),
            ClientError::Refused => f.write_str("Refused"),
            ClientError::UnknownMethod { method, client_version, server_version } => f
                .debug_struct("UnknownMethod")
                .field("method", method)
                .field("client_version", client_version)
                .field("server_version", server_version)
                .finish(),
            ClientError::WrongInterface => f.write_str("WrongInterface"),
            ClientError::Rejected { argument, offence } => f
                .debug_struct("Rejected")
                .field("argument", argument)
                .field("offence", offence)
                .finish(),
            ClientError::Answer(error) => f.debug_tuple("Answer").field(error).finish(),
        }
    }
}
