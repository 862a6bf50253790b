//! Names for rights: the client side of the bootstrap server.
//!
//! A bootstrap right is a send right to a server that keeps names. Which server
//! that is depends on who gave the right: a parent may be the server of its own
//! children, a machine may have one at a path in the file system. What a task
//! can look up is what its server lets it see.
//!
//! The server is asked by messages; [`Request`] and [`Answer`] are their bodies,
//! in postcard's format. It is in no message's way afterwards.

mod answered;
mod asking;
mod presence;
mod subset;
mod watching;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use abi::hello::Refusal;

use self::answered::{Answered, Listing, again, done, found, question, read};
pub use self::presence::Presence;
pub use self::subset::Listed;
pub use self::watching::{NameState, Watch};
pub use self::words::{
    Answer, Refused, Request, Service, ServiceState, decode_request, encode_answer,
};
use crate::deadline::Deadline;
use crate::error::{LinkError, SendFailure, TaskError};
use crate::message::{Message, Right};
use crate::port::ReceiveRight;
use crate::right::SendRight;
use crate::task::Task;
use crate::wait::hold_in_wait;

/// A connection that was refused for want of room is tried again with pauses up to this,
/// half a second in all.
const DISPLACED: Duration = Duration::from_millis(256);

/// The name under which a parent or a socket offers a bootstrap right.
pub const BOOTSTRAP: &str = "bootstrap";

/// The variable that names the server's socket.
pub const SOCKET_VARIABLE: &str = "PILLARBOX_SOCKET";

/// Why a bootstrap server was not reached or did not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// There is none: no parent gave one, and nobody listens at this path.
    #[error("no bootstrap server at {0}")]
    NoServer(PathBuf),
    /// The server refused, and why.
    #[error("{name}: {reason}")]
    Refused {
        /// The name that was asked about.
        name: String,
        /// Why.
        reason: Refused,
    },
    /// The text is not a name.
    #[error("not a valid name: {0}")]
    Name(#[from] abi::name::NameError),
    /// The server did not answer before the deadline.
    #[error("the bootstrap server did not answer before the deadline")]
    Deadline,
    /// The server is gone.
    #[error("the bootstrap server is gone")]
    Died,
    /// The server gave no answer that we understand.
    #[error("the bootstrap server gave an answer that makes no sense")]
    BadAnswer,
    /// The request could not be sent.
    #[error("the bootstrap server could not be asked: {0}")]
    Unsent(SendFailure),
    /// The server could not be linked with.
    #[error("the bootstrap server could not be reached: {0}")]
    Link(#[from] LinkError),
    /// There is no task to ask for.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Where the bootstrap server of this user listens: `$PILLARBOX_SOCKET`, else
/// `$XDG_RUNTIME_DIR/pillarbox/boot.sock`, else
/// `/tmp/pillarbox-UID/boot.sock`.
pub fn socket_path() -> PathBuf {
    if let Some(path) = std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()) {
        return path.into();
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    match runtime {
        Some(runtime) => PathBuf::from(runtime).join("pillarbox/boot.sock"),
        None => {
            let (_, uid, _) = shm::socket::own_credentials();
            PathBuf::from(format!("/tmp/pillarbox-{uid}/boot.sock"))
        }
    }
}

/// The bootstrap right of this process: what its parent gave it under the name
/// `bootstrap`, else that of the server at [`socket_path`].
///
/// # Errors
/// See [`BootstrapError`].
///
/// # Blocking
/// Waits for the parent or the server until `deadline`.
///
/// # Examples
/// ```no_run
/// use pillarbox::{Deadline, Message, bootstrap};
/// let server = bootstrap(Deadline::Never)?;
/// let echo = server.look_up("com.example.echo", Deadline::Never)?;
/// echo.send(Message::new("hello"), Deadline::Never)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bootstrap(deadline: Deadline) -> Result<Bootstrap, BootstrapError> {
    let task = Task::current()?;
    if let Some(right) = task.inherited_bootstrap(deadline) {
        return Ok(Bootstrap::new(right));
    }
    Bootstrap::at(socket_path(), deadline)
}

/// A bootstrap right, and what it can be asked.
///
/// Whoever checks in, registers or attends with it also gives the server a right to look
/// at this task ([`Task::looking`]), so that the user who runs the services may watch
/// them; nobody else is given it. [`Bootstrap::unseen`] is without that.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    right: SendRight,
    unseen: bool,
}

impl Bootstrap {
    /// Takes a send right that leads to a bootstrap server.
    ///
    /// # Rights
    /// The right is the client's from now on.
    pub fn new(right: SendRight) -> Self {
        Bootstrap { right, unseen: false }
    }

    /// The same, but the server is given no right to look at this task: what the task
    /// does then shows in no `pillarbox top`.
    ///
    /// # Rights
    /// Keeps the right.
    #[must_use]
    pub fn unseen(self) -> Self {
        Bootstrap { unseen: true, ..self }
    }

    /// The server that listens at `path`.
    ///
    /// # Errors
    /// [`BootstrapError::NoServer`], [`BootstrapError::Link`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn at(path: impl Into<PathBuf>, deadline: Deadline) -> Result<Self, BootstrapError> {
        let path = path.into();
        let task = Task::current()?;
        let mut pause = Duration::from_millis(1);
        let mut offered = loop {
            match task.connect(&path, deadline) {
                Ok(offered) => break offered,
                // A crowd of our own user's pushed us out before we had spoken, or the server
                // was just dying: the next look tells.
                Err(LinkError::Died | LinkError::Refused(Refusal::Busy))
                    if pause < DISPLACED && !deadline.has_passed() =>
                {
                    // sleep: there is no news of a crowd that has gone
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                Err(LinkError::NobodyThere(path)) => return Err(BootstrapError::NoServer(path)),
                Err(LinkError::Deadline) => return Err(BootstrapError::Deadline),
                Err(other) => return Err(BootstrapError::Link(other)),
            }
        };
        match offered.remove(BOOTSTRAP) {
            Some(Right::Send(right)) => Ok(Bootstrap::new(right)),
            Some(Right::SendOnce(_) | Right::Receive(_)) | None => Err(BootstrapError::BadAnswer),
        }
    }

    /// The send right itself, to be given to a child under the name
    /// [`BOOTSTRAP`].
    ///
    /// # Rights
    /// Borrows it.
    pub fn right(&self) -> &SendRight {
        &self.right
    }

    /// Says that the service `name` is ready and reads `port`. The name is free
    /// again when the port is gone.
    ///
    /// # Rights
    /// Makes a send right to `port` and gives it to the server, with one to look at the
    /// task.
    ///
    /// # Errors
    /// [`Refused::InUse`] where another task has the name.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn check_in(
        &self,
        name: &str,
        port: &ReceiveRight,
        deadline: Deadline,
    ) -> Result<(), BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let right = port.make_send().map_err(BootstrapError::Unsent)?;
        self.check_in_right(name, right, deadline)
    }

    fn check_in_right(
        &self,
        name: &str,
        right: SendRight,
        deadline: Deadline,
    ) -> Result<(), BootstrapError> {
        let request = Request::CheckIn { name: name.to_owned() };
        done(self.ask_seen(name, request, Some(right), deadline)?)
    }

    /// Says that the service is ready to read the queue `name`, which the server keeps
    /// for it, and asks for the right to do so: attach a
    /// [`SharedReader`](crate::shared::SharedReader) with it.
    ///
    /// What the service has not answered or acknowledged when it ends is handed to its
    /// successor, in order and marked; its callers wait on, with rights that stay good.
    ///
    /// # Rights
    /// The reader right is this task's.
    ///
    /// # Errors
    /// [`Refused::NoSuchName`] where the server keeps no such queue,
    /// [`Refused::NotAllowed`] for who is not the service it was declared for.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`: it answers when all that the last reader
    /// had is back.
    ///
    /// # Examples
    /// ```no_run
    /// use pillarbox::shared::SharedReader;
    /// use pillarbox::{Deadline, Message, Task, bootstrap};
    /// let right = bootstrap(Deadline::Never)?.attend("com.example.jobs", Deadline::Never)?;
    /// let mut jobs = SharedReader::attach(&Task::current()?, right, 1, Deadline::Never)?;
    /// while let Some(job) = jobs.receive(Deadline::Never)? {
    ///     let answer = job.message().body().to_ascii_uppercase();
    ///     job.reply(Message::new(answer), Deadline::Never)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attend(&self, name: &str, deadline: Deadline) -> Result<SendRight, BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let request = Request::Attend { name: name.to_owned() };
        found(self.ask_seen(name, request, None, deadline)?)
    }

    /// Puts any send right under a name.
    ///
    /// # Rights
    /// Gives `right` to the server, with one to look at the task; where it is not taken
    /// it is dropped.
    ///
    /// # Errors
    /// [`Refused::InUse`] where another task has the name.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn register(
        &self,
        name: &str,
        right: SendRight,
        deadline: Deadline,
    ) -> Result<(), BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let request = Request::Register { name: name.to_owned() };
        done(self.ask_seen(name, request, Some(right), deadline)?)
    }

    /// Frees a name that this task checked in or registered.
    ///
    /// # Errors
    /// [`Refused::NoSuchName`], [`Refused::NotAllowed`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn unregister(&self, name: &str, deadline: Deadline) -> Result<(), BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let request = Request::Unregister { name: name.to_owned() };
        done(self.ask(name, request, deadline)?)
    }

    /// A send right to the service `name`. One that can be started is started,
    /// and waited for.
    ///
    /// A name may say a version and an instance: `echo@2`, `echo/3`, `echo@2/3`. A look-up
    /// may take a range of them, written as in Rust: `echo@2..` finds the newest version
    /// from 2 on that runs, and where none does, the newest that is declared.
    ///
    /// # Rights
    /// The right is this task's.
    ///
    /// # Errors
    /// [`Refused::NoSuchName`], [`Refused::NotStarted`], [`Refused::Deadline`].
    ///
    /// # Blocking
    /// Waits until the service has checked in, at most until `deadline`.
    pub fn look_up(&self, name: &str, deadline: Deadline) -> Result<SendRight, BootstrapError> {
        self.find(name, true, deadline)
    }

    /// A send right to the service `name` if it is running now.
    ///
    /// # Rights
    /// The right is this task's.
    ///
    /// # Errors
    /// [`Refused::NoSuchName`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn look_up_running(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<SendRight, BootstrapError> {
        self.find(name, false, deadline)
    }

    fn find(
        &self,
        name: &str,
        start: bool,
        deadline: Deadline,
    ) -> Result<SendRight, BootstrapError> {
        abi::name::check(name.as_bytes())?;
        let wait_ns =
            deadline.left().map(|left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        let request = Request::LookUp { name: name.to_owned(), start, wait_ns };
        // The server keeps the deadline; we give it a little longer to say so.
        let patient = match deadline.left() {
            Some(left) => Deadline::after(left + Duration::from_millis(200)),
            None => Deadline::Never,
        };
        found(self.ask(name, request, patient)?)
    }

    /// Every name this right can see, in order, with a send right to each that
    /// is running.
    ///
    /// # Rights
    /// The rights are this task's.
    ///
    /// # Errors
    /// See [`BootstrapError`].
    ///
    /// # Blocking
    /// Waits for the server until `deadline`, once for each page.
    pub fn list(
        &self,
        deadline: Deadline,
    ) -> Result<Vec<(Service, Option<SendRight>)>, BootstrapError> {
        let (listing, listed) = hold_in_wait(Listing::default(), drop, |listing| {
            while listing.goes_on(self.ask("", listing.next(), deadline)?)? {}
            Ok(())
        });
        listed.map(|()| listing.all)
    }

    /// Asks the server to end.
    ///
    /// # Errors
    /// [`Refused::NotAllowed`] for another user's server.
    ///
    /// # Blocking
    /// Waits for the server until `deadline`.
    pub fn stop(&self, deadline: Deadline) -> Result<(), BootstrapError> {
        done(self.ask("", Request::Stop, deadline)?)
    }

    fn ask(
        &self,
        name: &str,
        request: Request,
        deadline: Deadline,
    ) -> Result<Answered, BootstrapError> {
        let mut asked = 0;
        let (_, answered) = hold_in_wait(request, drop, |request| {
            loop {
                let answered = read(name, self.right.call(question(request)?, deadline));
                if !again(&answered, &mut asked) {
                    return answered;
                }
            }
        });
        answered
    }

    /// Asks for something that makes this task one that others depend on: the server may
    /// look at it.
    fn ask_seen(
        &self,
        name: &str,
        request: Request,
        right: Option<SendRight>,
        deadline: Deadline,
    ) -> Result<Answered, BootstrapError> {
        let mut asked = 0;
        let (_, answered) = hold_in_wait((request, right), drop, |(request, right)| {
            loop {
                let message = self.seen(request, right.clone())?;
                let answered = read(name, self.right.call(message, deadline));
                if !again(&answered, &mut asked) {
                    return answered;
                }
            }
        });
        answered
    }

    fn seen(&self, request: &Request, right: Option<SendRight>) -> Result<Message, BootstrapError> {
        let mut message = question(request)?;
        let task = Task { core: Arc::clone(self.right.task()) };
        // Where there can be none, it is not seen.
        let looking = if self.unseen { None } else { task.looking().ok() };
        message.rights = right.into_iter().chain(looking).map(Right::Send).collect();
        Ok(message)
    }
}
