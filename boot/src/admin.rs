//! Asking a server about the services that are declared to it, and starting and
//! ending them.
//!
//! The questions go on the bootstrap right, like all others, in messages with an id
//! of their own. Only the server's own user may ask, give orders, and look at tasks.

use pillarbox::bootstrap::Bootstrap;
use pillarbox::kernel::{Identity, Kernel};
use pillarbox::{CallError, Deadline, Message, Right, SendFailure, SendRight};
use serde::{Deserialize, Serialize};

use crate::audit::Entries;

/// The id of these messages.
pub(crate) const ID: i32 = 1;

/// How often a server may say that it was replaced meanwhile.
const ASKED_AGAIN: u32 = 64;

/// What a service is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Order {
    /// Be started at once, whatever held it back.
    Start,
    /// End, and stay ended until it is started by hand.
    Stop,
    /// End if it runs, then be started.
    Restart,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    Services {
        after: Option<String>,
    },
    Order {
        order: Order,
        service: String,
    },
    Log {
        service: String,
    },
    Audit {
        after: u64,
        wait: bool,
    },
    Seen {
        after: Option<(u64, u64)>,
    },
    Reload,
    /// The message carries a send right to where the next server waits.
    Replace {
        version: u32,
        /// Where numbers of processes are the same.
        namespace: Option<(u64, u64)>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    Services {
        services: Vec<ServiceReport>,
        more: bool,
    },
    Done,
    Log(Log),
    NoSuchService,
    NotAllowed,
    NotStarted(String),
    NoRoom,
    BadRequest,
    Reloaded(Reloaded),
    NothingToReload,
    Entries(Entries),
    Seen {
        tasks: Vec<Identity>,
        more: bool,
    },
    /// It was replaced: the next server was not asked.
    Replaced,
    /// It was replaced while an order was carried out, which the next one goes on with.
    GoesOn,
    NotReplaced(String),
}

/// A task that may be looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeenTask {
    /// Who it is, by the kernel's word to the server.
    pub identity: Identity,
    /// To look at it with, and for nothing else.
    pub kernel: Kernel,
}

/// What a service is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServicePhase {
    /// Nothing: it is started when it is wanted.
    Down,
    /// It was ended by hand, and is started by hand only.
    Stopped,
    /// It failed, and is not started before so many milliseconds.
    BackingOff {
        /// How long from now.
        left_ms: u64,
    },
    /// It was started, and has not checked in under all of its names.
    Starting,
    /// It has.
    Up,
    /// It was told to end.
    Ending,
}

/// What is known of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceReport {
    /// What it is called.
    pub label: String,
    /// The names it provides.
    pub names: Vec<String>,
    /// What it is doing.
    pub phase: ServicePhase,
    /// Its process, as the server sees it.
    pub pid: Option<i32>,
    /// How often it was started.
    pub starts: u64,
    /// Why it ended the last time, or was not started.
    pub last_end: Option<String>,
}

/// What a service has said on standard output and standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Log {
    /// The last of it.
    pub bytes: Vec<u8>,
    /// How many bytes came before that and are not kept.
    pub lost: u64,
}

/// What came of reading the service files anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reloaded {
    /// Services that were not there before.
    pub added: Vec<String>,
    /// Services that are declared otherwise than before.
    pub changed: Vec<String>,
    /// Services whose files are gone. They are told to end.
    pub gone: Vec<String>,
    /// What is wrong, and where. What such a file declared before stays.
    pub wrong: Vec<String>,
}

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// No file declares this service.
    #[error("no service is called so, and none provides such a name")]
    NoSuchService,
    /// For another user's server.
    #[error("not allowed: a server is asked this by its own user only")]
    NotAllowed,
    /// It was not started, or ended before it had checked in.
    #[error("it did not start: {0}")]
    NotStarted(String),
    /// The server was not told where service files lie.
    #[error("the server reads no service files")]
    NothingToReload,
    /// As many orders are waited for as a server keeps.
    #[error("the server has no room for another order")]
    NoRoom,
    /// It did not happen before the deadline. It may happen yet.
    #[error("it was not done before the deadline")]
    Deadline,
    /// The server is gone.
    #[error("the bootstrap server is gone")]
    Died,
    /// The server gave no answer that we understand.
    #[error("the bootstrap server gave an answer that makes no sense")]
    BadAnswer,
    /// The question could not be sent.
    #[error("the bootstrap server could not be asked: {0}")]
    Unsent(SendFailure),
    /// Another server may not take over from it, and why.
    #[error("it is not replaced: {0}")]
    NotReplaced(String),
}

/// A bootstrap right, and what it can be asked about declared services.
///
/// # Examples
/// ```
/// use boot::admin::Admin;
/// use boot::service::ServiceFile;
/// use pillarbox::{Bootstrap, Deadline, Task};
///
/// let file = ServiceFile::read("program = \"/bin/true\"\nnames = [\"a\"]").unwrap();
/// let serving = boot::Server::new(&Task::current()?)?.service("one", file)?.start()?;
/// let admin = Admin::new(&Bootstrap::new(serving.right().clone()));
/// let services = admin.services(Deadline::Never)?;
/// assert_eq!((services[0].label.as_str(), services[0].starts), ("one", 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    right: SendRight,
}

impl Admin {
    /// Asks the server that this right leads to.
    ///
    /// # Rights
    /// Clones the bootstrap right.
    pub fn new(server: &Bootstrap) -> Self {
        Admin { right: server.right().clone() }
    }

    /// Every declared service, in the order of what they are called.
    ///
    /// # Errors
    /// See [`AdminError`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`, once for each page.
    pub fn services(&self, deadline: Deadline) -> Result<Vec<ServiceReport>, AdminError> {
        let mut all: Vec<ServiceReport> = Vec::new();
        loop {
            let after = all.last().map(|last| last.label.clone());
            match self.ask(&Question::Services { after: after.clone() }, deadline)? {
                Told::Services { services, more } => {
                    let goes_on = services.last().map(|last| &last.label) > after.as_ref();
                    all.extend(services);
                    if !more || !goes_on {
                        return Ok(all);
                    }
                }
                other => return Err(other.into()),
            }
        }
    }

    /// Has a service start or end. `service` is what it is called, or a name it
    /// provides.
    ///
    /// # Errors
    /// [`AdminError::NotStarted`] with the reason, [`AdminError::NotAllowed`] for
    /// another user's server, [`AdminError::NoSuchService`].
    ///
    /// # Blocking
    /// Until it has checked in under all of its names, or has ended, at most until
    /// `deadline`.
    pub fn order(&self, order: Order, service: &str, deadline: Deadline) -> Result<(), AdminError> {
        let mut order = order;
        loop {
            let question = Question::Order { order, service: service.to_owned() };
            match self.ask(&question, deadline)? {
                Told::Done => return Ok(()),
                // It ends once.
                Told::GoesOn if order == Order::Restart => order = Order::Start,
                Told::GoesOn => {}
                other => return Err(other.into()),
            }
        }
    }

    /// Has the server read its service files anew: see
    /// [`Server::reload_from`](crate::Server::reload_from).
    ///
    /// # Errors
    /// [`AdminError::NotAllowed`] for another user's server,
    /// [`AdminError::NothingToReload`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn reload(&self, deadline: Deadline) -> Result<Reloaded, AdminError> {
        match self.ask(&Question::Reload, deadline)? {
            Told::Reloaded(reloaded) => Ok(reloaded),
            other => Err(other.into()),
        }
    }

    /// What a service has said, as far as it is kept.
    ///
    /// # Errors
    /// As [`Admin::order`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn log(&self, service: &str, deadline: Deadline) -> Result<Log, AdminError> {
        match self.ask(&Question::Log { service: service.to_owned() }, deadline)? {
            Told::Log(log) => Ok(log),
            other => Err(other.into()),
        }
    }

    /// What was granted and refused after the entry of this number, or from the first
    /// that is kept: at most 64, and whether there are more.
    ///
    /// # Errors
    /// As [`Admin::order`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn audit(&self, after: u64, deadline: Deadline) -> Result<Entries, AdminError> {
        self.entries(&Question::Audit { after, wait: false }, deadline)
    }

    /// As [`Admin::audit`], and where there is none yet it waits for the next.
    ///
    /// # Errors
    /// As [`Admin::order`]; [`AdminError::Deadline`] where there was none.
    ///
    /// # Blocking
    /// Waits for an entry until `deadline`.
    pub fn next_audit(&self, after: u64, deadline: Deadline) -> Result<Entries, AdminError> {
        self.entries(&Question::Audit { after, wait: true }, deadline)
    }

    fn entries(&self, question: &Question, deadline: Deadline) -> Result<Entries, AdminError> {
        match self.ask(question, deadline)? {
            Told::Entries(entries) => Ok(entries),
            other => Err(other.into()),
        }
    }

    /// The tasks that may be looked at: the server's own, and those that have checked in,
    /// registered a name or attend to a queue, unless they chose not to be seen.
    ///
    /// # Rights
    /// One for each, to look with: [`Task::looking`](pillarbox::Task::looking).
    ///
    /// # Errors
    /// [`AdminError::NotAllowed`] for another user's server. [`AdminError::NoRoom`] where
    /// the rights could not be sent.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`, once for each page.
    ///
    /// # Examples
    /// ```
    /// use boot::admin::Admin;
    /// use pillarbox::{Bootstrap, Deadline, Task};
    ///
    /// let task = Task::current()?;
    /// let serving = boot::Server::new(&task)?.start()?;
    /// let admin = Admin::new(&Bootstrap::new(serving.right().clone()));
    /// let seen = admin.seen(Deadline::Never)?;
    /// assert_eq!(seen[0].identity.pid, std::process::id() as i32);
    /// let counts = seen[0].kernel.counts(0, &[], Deadline::Never)?;
    /// assert!(counts.ports.iter().any(|port| port.taken > 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seen(&self, deadline: Deadline) -> Result<Vec<SeenTask>, AdminError> {
        let mut all: Vec<SeenTask> = Vec::new();
        loop {
            let after = all.last().map(|last| (last.identity.process, last.identity.number));
            let mut answer = self.exchange(&Question::Seen { after }, deadline)?;
            let rights = answer.take_rights().into_iter().map(Right::into_send);
            let Told::Seen { tasks, more } = said(&answer)? else {
                return Err(said(&answer)?.into());
            };
            let last = tasks.last().map(|last| (last.process, last.number));
            if tasks.len() != rights.len() || last.is_some() && last <= after {
                return Err(AdminError::BadAnswer);
            }
            for (identity, right) in tasks.into_iter().zip(rights) {
                let right = right.map_err(|_| AdminError::BadAnswer)?;
                all.push(SeenTask { identity, kernel: Kernel::new(right) });
            }
            if !more || last.is_none() {
                return Ok(all);
            }
        }
    }

    fn ask(&self, question: &Question, deadline: Deadline) -> Result<Told, AdminError> {
        said(&self.exchange(question, deadline)?)
    }

    fn exchange(&self, question: &Question, deadline: Deadline) -> Result<Message, AdminError> {
        let body = postcard::to_stdvec(question).map_err(|_| AdminError::BadAnswer)?;
        let mut answer = Err(CallError::Died);
        for _ in 0..ASKED_AGAIN {
            answer = self.right.call(Message::new(body.clone()).with_id(ID), deadline);
            if !answer.as_ref().is_ok_and(|answer| matches!(said(answer), Ok(Told::Replaced))) {
                break;
            }
        }
        answer.map_err(|error| match error {
            CallError::Unsent(error) if error.reason == SendFailure::Dead => AdminError::Died,
            CallError::Unsent(error) => AdminError::Unsent(error.reason),
            CallError::Deadline | CallError::Withdrawn => AdminError::Deadline,
            CallError::Dropped | CallError::Died => AdminError::Died,
            CallError::Refused => AdminError::Unsent(SendFailure::Revoked),
            CallError::Forked => AdminError::Unsent(SendFailure::Forked),
            _ => AdminError::BadAnswer,
        })
    }
}

/// What an answer says.
fn said(answer: &Message) -> Result<Told, AdminError> {
    postcard::from_bytes(answer.body()).map_err(|_| AdminError::BadAnswer)
}

impl From<Told> for AdminError {
    fn from(told: Told) -> Self {
        match told {
            Told::NoSuchService => AdminError::NoSuchService,
            Told::NotAllowed => AdminError::NotAllowed,
            Told::NotStarted(reason) => AdminError::NotStarted(reason),
            Told::NoRoom => AdminError::NoRoom,
            Told::NothingToReload => AdminError::NothingToReload,
            Told::NotReplaced(reason) => AdminError::NotReplaced(reason),
            Told::Replaced | Told::GoesOn => AdminError::Died,
            Told::Services { .. }
            | Told::Reloaded(_)
            | Told::Done
            | Told::Log(_)
            | Told::Entries(_)
            | Told::Seen { .. }
            | Told::BadRequest => AdminError::BadAnswer,
        }
    }
}

/// Reads a question, for the server.
pub(crate) fn read(message: &Message) -> Option<Question> {
    postcard::from_bytes(message.body()).ok()
}

/// An answer as a message.
pub(crate) fn answer(told: &Told) -> Message {
    // The only error is a sequence of unknown length, and there is none.
    Message::new(postcard::to_stdvec(told).unwrap_or_default())
}
