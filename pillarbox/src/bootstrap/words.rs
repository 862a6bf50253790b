//! What is said to a bootstrap server, and what it says: the bodies of messages.

use serde::{Deserialize, Serialize};

use super::{Listed, NameState};
use crate::message::Message;

/// What can be asked of a bootstrap server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request {
    /// A service is ready: the message carries a send right to its port, and may carry
    /// a right to look at the task.
    CheckIn {
        /// The name it provides.
        name: String,
    },
    /// The right in the message shall be found under this name. Another may be one to
    /// look at the task.
    Register {
        /// The name.
        name: String,
    },
    /// The name shall be free again.
    Unregister {
        /// The name.
        name: String,
    },
    /// A send right, please.
    LookUp {
        /// The name.
        name: String,
        /// Start the service if it can be started, and wait until it is ready.
        start: bool,
        /// How long the server should wait; `None` for as long as it takes.
        wait_ns: Option<u64>,
    },
    /// Which names are there? At most 256 after `after`; the answer carries a
    /// send right for each that is running.
    List {
        /// Names after this one, in order.
        after: Option<String>,
    },
    /// The server shall end.
    Stop,
    /// A service is ready to read a queue that the server keeps: the answer carries a
    /// reader right. The message may carry a right to look at the task.
    Attend {
        /// The name of the queue.
        name: String,
    },
    /// A bootstrap right that leads to these names and to nothing else, please.
    Subset {
        /// The names.
        names: Vec<Listed>,
    },
    /// Does anybody have this name? Answered when that is other than was known.
    Watch {
        /// The name.
        name: String,
        /// What was known; `None` for nothing yet.
        known: Option<NameState>,
    },
}

/// What a bootstrap server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// It is done.
    Done,
    /// The message carries the right.
    Right,
    /// Some names, in order, and whether there are more.
    Names {
        /// The names.
        names: Vec<Service>,
        /// Whether to ask again.
        more: bool,
    },
    /// It is not.
    Refused(Refused),
    /// Whether somebody has the name.
    Name(NameState),
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The name.
    pub name: String,
    /// What it is doing.
    pub state: ServiceState,
    /// The process that checked in, as the server sees it.
    pub pid: Option<i32>,
    /// Its user.
    pub uid: Option<u32>,
}

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServiceState {
    /// It has checked in.
    Running,
    /// It was started and has not checked in yet.
    Starting,
    /// It is started when somebody looks it up.
    OnDemand,
}

/// Why a bootstrap server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Nobody has this name.
    #[error("no such name")]
    NoSuchName,
    /// Somebody else has this name.
    #[error("the name is in use")]
    InUse,
    /// Not for this caller, and by which rule.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// The text is not a name.
    #[error("not a valid name")]
    BadName,
    /// The program could not be started, or ended before it checked in.
    #[error("the service did not start: {0}")]
    NotStarted(String),
    /// It did not check in in time.
    #[error("the service was not ready in time")]
    Deadline,
    /// The message was not a request.
    #[error("the server did not understand the request")]
    BadRequest,
    /// The server keeps as many names as it may.
    #[error("the server has no room for another name")]
    NoRoom,
    /// The server was replaced while this was on its way, and the next one was not asked.
    /// A [`Bootstrap`](super::Bootstrap) asks again by itself.
    #[error("the server was replaced meanwhile: ask again")]
    Replaced,
}

/// Reads a request, for a server.
///
/// # Errors
/// [`Refused::BadRequest`].
pub fn decode_request(message: &Message) -> Result<Request, Refused> {
    postcard::from_bytes(message.body()).map_err(|_| Refused::BadRequest)
}

/// An answer as a message, for a server.
///
/// # Rights
/// None: the server adds those that go with the answer.
pub fn encode_answer(answer: &Answer) -> Message {
    // The only error is a sequence of unknown length, and there is none.
    Message::new(postcard::to_stdvec(answer).unwrap_or_default())
}
