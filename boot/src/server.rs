//! What a server provides and where it is reached.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::bootstrap::BOOTSTRAP;
use pillarbox::{
    Capacity, LinkError, Listening, NameError, ReceiveRight, SendFailure, SendRight, Task,
    check_name,
};

use crate::authority::Guard;
use crate::cgroup::{CgroupError, Cgroups};
use crate::event::{Event, Listener};
use crate::limits::{NAMES, REQUESTS_WAITING};
use crate::names::Names;
use crate::program::{Program, ProgramId};
use crate::pulse::Pulse;
use crate::queues::Queues;
use crate::service::{Found, ServiceFile};
use crate::stopper::Stopper;
use crate::succession::{Inherited, Place};

/// Why a program does not provide a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnDemandError {
    /// The text is not a name.
    #[error("not a valid name: {0}")]
    Name(#[from] NameError),
    /// A program provides it already.
    #[error("two programs provide {0}")]
    Twice(String),
    /// More names than a server keeps.
    #[error("a server keeps at most {NAMES} names")]
    TooMany,
    /// A queue could not be made: the task is that of the process this one was forked
    /// from.
    #[error("no queue could be made: {0}")]
    Queue(#[from] SendFailure),
}

/// A bootstrap server that does not run yet.
///
/// # Examples
/// ```no_run
/// use std::process::Command;
/// use pillarbox::Task;
/// let server = boot::Server::new(&Task::current()?)?
///     .on_demand("com.example.echo", || Command::new("/usr/libexec/echo-service"))?
///     .listen("/run/user/1000/pillarbox/boot.sock")?;
/// server.serve();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    pub(crate) task: Task,
    pub(crate) port: ReceiveRight,
    pub(crate) right: SendRight,
    pub(crate) stopper: Stopper,
    pub(crate) names: Names,
    pub(crate) queues: Queues,
    pub(crate) programs: Vec<Program>,
    pub(crate) listening: Vec<Listening>,
    pub(crate) idle_exit: Option<Duration>,
    pub(crate) pulse: Option<Pulse>,
    pub(crate) told: Option<Listener>,
    pub(crate) source: Option<Source>,
    /// What is handed on to a successor beside the doors.
    pub(crate) place: Option<Place>,
    /// Files of doors that are the server's to remove.
    pub(crate) owned: Vec<PathBuf>,
    /// Doors that could not be opened here, and why.
    pub(crate) shut: Vec<String>,
    pub(crate) inherited: Option<Inherited>,
    /// Where services get cgroups of their own, or why they do not.
    pub(crate) cgroups: Result<Cgroups, String>,
}

/// Of a server that nobody has told of any.
const NO_CGROUPS: &str = "the server was started without a cgroup to divide";

/// Where declared services come from.
pub(crate) struct Source(pub(crate) Box<dyn FnMut() -> std::io::Result<Vec<Found>> + Send>);

impl std::fmt::Debug for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Source")
    }
}

impl Server {
    /// A server that belongs to `task` and provides nothing yet.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] where the task is that of the process this one
    /// was forked from.
    pub fn new(task: &Task) -> Result<Server, SendFailure> {
        let port = task.port(Capacity::Bounded(REQUESTS_WAITING));
        Ok(Server {
            task: task.clone(),
            right: port.make_send()?,
            stopper: Stopper::new(port.make_send_once()?),
            port,
            names: Names::default(),
            queues: Queues::default(),
            programs: Vec::new(),
            listening: Vec::new(),
            idle_exit: None,
            pulse: None,
            told: None,
            source: None,
            place: None,
            owned: Vec::new(),
            shut: Vec::new(),
            inherited: None,
            cgroups: Err(NO_CGROUPS.to_owned()),
        })
    }

    /// Says which program provides `name`. It is started at the first look-up,
    /// as a child of this process, with the bootstrap right as its only right,
    /// under the name `bootstrap`; and again when it has ended and the name is
    /// looked up once more. `program` makes the command for each start.
    ///
    /// The name is the program's alone: who else checks it in is refused. The
    /// process that checks in must be the one that was started, not a child of
    /// it.
    ///
    /// A program that ends before it has checked in has failed; from the second
    /// failure in a row on, look-ups are refused for a while, which doubles up
    /// to [`BACK_OFF_MOST`](crate::limits::BACK_OFF_MOST).
    ///
    /// # Errors
    /// See [`OnDemandError`].
    ///
    /// # Blocking
    /// Here it does not. At its start the server waits until the program is
    /// loaded, as [`Command::spawn`] does.
    pub fn on_demand(
        self,
        name: &str,
        program: impl FnMut() -> Command + Send + 'static,
    ) -> Result<Server, OnDemandError> {
        self.on_demand_many(&[name], program)
    }

    /// As [`Server::on_demand`], for a program that provides several names. One
    /// child provides them all; whichever is looked up first starts it.
    ///
    /// # Errors
    /// See [`OnDemandError`].
    pub fn on_demand_many(
        mut self,
        names: &[&str],
        program: impl FnMut() -> Command + Send + 'static,
    ) -> Result<Server, OnDemandError> {
        let id = ProgramId(self.programs.len());
        let mut provided = Vec::new();
        for &name in names {
            check_name(name.as_bytes())?;
            if self.names.get(name).is_some() {
                return Err(OnDemandError::Twice(name.to_owned()));
            }
            if !self.names.provide(name, id, None) {
                return Err(OnDemandError::TooMany);
            }
            provided.push(name.to_owned());
        }
        self.programs.push(Program::new(provided, program));
        Ok(self)
    }

    /// Provides what a service file declares; `label` is what the service is called,
    /// beside the names it provides. It is started and ended as the file says, as the leader of a process group that
    /// ends with it. Else as [`Server::on_demand_many`].
    ///
    /// # Errors
    /// See [`OnDemandError`].
    pub fn service(
        mut self,
        label: impl Into<String>,
        file: ServiceFile,
    ) -> Result<Server, OnDemandError> {
        if let Some(why) = self.refuses(&file) {
            return Err(why);
        }
        let label = label.into();
        let id = ProgramId(self.programs.len());
        for name in file.names() {
            let _ = self.names.provide(name, id, None);
        }
        let mut queues = Vec::new();
        for name in file.queues() {
            let queue = self.queues.add(&self.task, file.queue_messages)?;
            let _ = self.names.provide(name, id, Some(queue));
            queues.push(queue);
        }
        let guard = Guard { label: label.as_str().into(), access: file.access.clone() };
        let guard = Arc::new(guard);
        file.all_names().for_each(|name| self.names.guard(name, &guard));
        self.programs.push(Program::declared(label, file, queues));
        Ok(self)
    }

    /// Why [`Server::service`] would not take this one.
    pub fn refuses(&mut self, file: &ServiceFile) -> Option<OnDemandError> {
        if let Some(taken) = file.all_names().find(|name| self.names.get(name).is_some()) {
            return Some(OnDemandError::Twice(taken.clone()));
        }
        (!self.names.has_room(file.all_names().count())).then_some(OnDemandError::TooMany)
    }

    /// Offers the bootstrap right at `path`, to whoever may connect there.
    ///
    /// Who may is decided by the directory: see [`crate::socket::prepare`]. The
    /// file is removed when the server ends.
    ///
    /// # Errors
    /// [`LinkError::InUse`] where something lies at `path`;
    /// [`LinkError::System`].
    pub fn listen(mut self, path: impl AsRef<Path>) -> Result<Server, LinkError> {
        let offer = vec![(BOOTSTRAP.to_owned(), self.right.clone())];
        let listening = self.task.listen(path, offer)?;
        self.owned.push(listening.path().to_path_buf());
        self.listening.push(listening);
        Ok(self)
    }

    /// Offers the bootstrap right at a socket that somebody else has bound to a path, and
    /// keeps: see [`Task::listen_at`]. The file stays when the server ends.
    ///
    /// # Errors
    /// As [`Task::listen_at`].
    pub fn listen_at(mut self, socket: OwnedFd) -> Result<Server, LinkError> {
        let offer = vec![(BOOTSTRAP.to_owned(), self.right.clone())];
        self.listening.push(self.task.listen_at(socket, offer)?);
        Ok(self)
    }

    /// Where it listens.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.listening.iter().map(Listening::path)
    }

    /// Says where service files come from when they are to be read anew, which
    /// [`Admin::reload`](crate::admin::Admin::reload) asks for: all that are declared then,
    /// also those of [`Server::service`]. One that is not among them is gone.
    ///
    /// What runs goes on running. What a file that has changed says is so from the next
    /// start on, and of names and rules at once; a service whose file is gone is told to
    /// end, and what is in its queues ends with them.
    ///
    /// # Errors
    /// None here: what `source` says is told to who asks.
    ///
    /// # Blocking
    /// `source` is called in the thread that answers requests, which wait for it.
    #[must_use]
    pub fn reload_from(
        mut self,
        source: impl FnMut() -> std::io::Result<Vec<Found>> + Send + 'static,
    ) -> Server {
        self.source = Some(Source(Box::new(source)));
        self
    }

    /// Calls `beat` once in `span`, in the thread that answers requests and between two
    /// of them: while it is called, the server does its work. It must not wait.
    #[must_use]
    pub fn pulse(mut self, span: Duration, beat: impl FnMut() + Send + 'static) -> Server {
        self.pulse = Some(Pulse::new(span, beat));
        self
    }

    /// Gives services whose files say `[cgroup]` leaves of these. Where there are none, such
    /// a service is told why in its log, and is started all the same unless its file says
    /// `required`.
    #[must_use]
    pub fn bounded(mut self, cgroups: Result<Cgroups, CgroupError>) -> Server {
        self.cgroups = cgroups.map_err(|why| why.to_string());
        self
    }

    /// Tells `told` what happens to services, in the thread that answers requests. It
    /// must not wait.
    #[must_use]
    pub fn tell(mut self, told: impl FnMut(&Event<'_>) + Send + 'static) -> Server {
        self.told = Some(Listener(Box::new(told)));
        self
    }

    /// Ends the server once no other task has been linked with its own for
    /// `span`: no client, no service.
    ///
    /// A task is not told when a link ends, so while there are any the server
    /// looks once in an eighth of `span`. Without this it never wakes by itself.
    #[must_use]
    pub fn idle_exit(mut self, span: Duration) -> Server {
        self.idle_exit = Some(span);
        self
    }

    /// A bootstrap right, to be given to a child under the name
    /// [`BOOTSTRAP`]. Requests wait until the server runs.
    ///
    /// # Rights
    /// Borrows it; a clone is to be given.
    pub const fn right(&self) -> &SendRight {
        &self.right
    }

    /// What ends the server from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}
