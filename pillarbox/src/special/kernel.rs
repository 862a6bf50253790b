//! The kernel port: what a task can be asked to tell of itself, or to do.
//!
//! A send right to it is as good as the task itself, so nobody has one who was
//! not given it, and it may be narrowed by ids ([`ids`]) before it is given. The
//! library answers, in whatever thread takes the request in; [`Request`] and
//! [`Reply`] are the bodies, in postcard's format, and the id of the message is
//! that of the request, or it is none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use rights::census::Row;
use serde::{Deserialize, Serialize};

use crate::background::Job;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{CallError, SendFailure};
use crate::limits::{self, Limit};
use crate::message::{Message, Sender};
use crate::metrics::Metrics;
use crate::port::{Capacity, PortCore, PortOptions, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;
use crate::wait::parking::lock;

/// The port the library serves. It is made when it is first asked for, and ends
/// with the task.
pub(crate) type KernelPort = Mutex<Option<ReceiveRight>>;

/// The ids of the requests, for [`Terms::ids`](crate::Terms::ids). None is ever
/// used again for something else.
pub mod ids {
    /// Who the task is.
    pub const IDENTITY: i32 = 1;
    /// The limits it keeps.
    pub const LIMITS: i32 = 2;
    /// The rights it has.
    pub const CENSUS: i32 = 3;
    /// The tasks it is linked with.
    pub const PEERS: i32 = 4;
    /// End the task.
    pub const END: i32 = 5;
    /// What it has counted.
    pub const METRICS: i32 = 6;
}

/// What a task can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request {
    /// Who are you?
    Identity,
    /// Which limits do you keep?
    Limits,
    /// Which rights do you have? At most [`limits::KERNEL_ROWS`] lines, after so
    /// many.
    Census {
        /// How many lines are known.
        after: u64,
    },
    /// Which tasks are you linked with? At most [`limits::KERNEL_ROWS`], after so
    /// many.
    Peers {
        /// How many are known.
        after: u64,
    },
    /// The task shall end, as by [`Task::close`].
    End,
    /// What have you counted?
    Metrics,
}

impl Request {
    /// The id of the message it comes in.
    pub const fn id(self) -> i32 {
        match self {
            Request::Identity => ids::IDENTITY,
            Request::Limits => ids::LIMITS,
            Request::Census { .. } => ids::CENSUS,
            Request::Peers { .. } => ids::PEERS,
            Request::End => ids::END,
            Request::Metrics => ids::METRICS,
        }
    }
}

/// What a task answers, or why it does not.
pub type Reply = Result<Answer, Refused>;

/// What a task answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// Who it is.
    Identity(Identity),
    /// Names and values.
    Limits(Vec<(String, u64)>),
    /// Some lines of its census, and whether there are more.
    Census(Vec<Line>, bool),
    /// Some of its peers, and whether there are more.
    Peers(Vec<Identity>, bool),
    /// It ends.
    Ends,
    /// Names and counts.
    Metrics(Vec<(String, u64)>),
}

/// Who a task is, as it sees itself or a peer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its process, as links know it.
    pub process: u64,
    /// Which task of its process.
    pub number: u64,
    /// Its process, in the pid namespace of who answers.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl From<Sender> for Identity {
    fn from(sender: Sender) -> Self {
        let Sender { task, pid, uid, gid } = sender;
        Identity { process: task.process, number: task.number, pid, uid, gid }
    }
}

/// A line of a census: see [`Row`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is held, by [its name](crate::Holding::name).
    pub holding: String,
    /// Which port.
    pub port: u64,
    /// The peer it concerns: its process and its number there.
    pub peer: Option<(u64, u64)>,
    /// How many.
    pub count: u64,
}

impl From<&Row> for Line {
    fn from(row: &Row) -> Self {
        Line {
            holding: row.holding.name().to_owned(),
            port: row.port,
            peer: row.peer.map(|peer| (peer.process, peer.number)),
            count: row.count,
        }
    }
}

/// Why a task did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The message was not a request, or not the one its id says.
    #[error("the task did not understand the request")]
    BadRequest,
}

/// Why a task was not reached or did not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The right does not permit this request, or was revoked.
    #[error("the right does not permit the request")]
    NotPermitted,
    /// It refused, and why.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It did not answer before the deadline.
    #[error("the task did not answer before the deadline")]
    Deadline,
    /// It is gone, or had no room for its answer in our link.
    #[error("the task is gone, or could not answer")]
    Died,
    /// It gave no answer that we understand.
    #[error("the task gave an answer that makes no sense")]
    BadAnswer,
    /// The request could not be sent.
    #[error("the task could not be asked: {0}")]
    Unsent(SendFailure),
}

/// How many requests one thread answers before the background thread goes on.
const TURN: usize = 16;

impl TaskCore {
    /// The task ends: nobody may ask it any more.
    pub(crate) fn end_kernel_port(&self) {
        let port = lock(&self.kernel).take();
        drop(port);
    }
}

/// Requests have come. One thread answers them, one after the other: what an
/// answer brings about may be another request.
pub(crate) fn serve(port: &Arc<PortCore>) {
    if port.begin_serving() {
        go_on_serving(port);
    }
}

/// Answers until nothing is left; a flood is left to the background thread.
pub(crate) fn go_on_serving(port: &Arc<PortCore>) {
    loop {
        for _ in 0..TURN {
            let Some(request) = port.next_to_serve() else { return };
            answer(&port.task, request);
        }
        if port.task.background().is_some() {
            port.task.job(Job::Serve(Arc::clone(port)));
            return;
        }
    }
}

fn answer(task: &Arc<TaskCore>, mut message: Message) {
    let id = message.id();
    let request = postcard::from_bytes::<Request>(message.body()).ok();
    let request = request.filter(|request| request.id() == id && !message.is_own_notification());
    let reply: Reply = request.map(|request| act(task, request)).ok_or(Refused::BadRequest);
    if let Some(right) = message.take_reply()
        && let Ok(body) = postcard::to_stdvec(&reply)
    {
        // Who leaves no room for its answer is told that it was dropped.
        let _ = right.send(Message::new(body).with_id(id), Deadline::Now);
    }
    drop(message);
    if request == Some(Request::End) {
        Task { core: Arc::clone(task) }.close();
    }
}

fn act(task: &TaskCore, request: Request) -> Answer {
    match request {
        Request::Identity => Answer::Identity(task.own_identity().into()),
        Request::Limits => {
            let name = |one: &Limit| (one.constant().to_owned(), task.limits.value(*one));
            Answer::Limits(Limit::ALL.iter().map(name).collect())
        }
        Request::Census { after } => {
            let rows = task.census().rows;
            let (lines, more) = page(&rows, after);
            Answer::Census(lines.iter().map(Line::from).collect(), more)
        }
        Request::Peers { after } => {
            let links = task.links();
            let (links, more) = page(&links, after);
            Answer::Peers(links.iter().map(|link| link.peer().into()).collect(), more)
        }
        Request::End => Answer::Ends,
        Request::Metrics => Answer::Metrics(counted(&task.metrics())),
    }
}

/// The next of `all` after so many, and whether more follow.
fn page<T>(all: &[T], after: u64) -> (&[T], bool) {
    let rest = usize::try_from(after).ok().and_then(|after| all.get(after..)).unwrap_or_default();
    let here = rest.get(..limits::KERNEL_ROWS).unwrap_or(rest);
    (here, here.len() < rest.len())
}

/// What a task has counted, by name.
fn counted(metrics: &Metrics) -> Vec<(String, u64)> {
    let own = |name: &str, value| (name.to_owned(), value);
    let Metrics { refused, offences, lost, broken_links, traffic } = metrics;
    let refused = refused.iter().map(|(limit, count)| own(limit.constant(), *count));
    let offences = offences.iter().map(|(name, count)| own(name, *count));
    let others = [
        own("lost", *lost),
        own("broken_links", *broken_links),
        own("messages_sent", traffic.messages_sent),
        own("frames_read", traffic.frames_read),
        own("bytes_written", traffic.bytes_written),
        own("bytes_read", traffic.bytes_read),
        own("bells_rung", traffic.bells_rung),
    ];
    refused.chain(offences).chain(others).collect()
}

impl Task {
    /// A send right to the task's kernel port: whoever is given it may ask the
    /// task about itself and end it. See [`Kernel`] for what can be asked.
    ///
    /// The library answers, whatever the task's own threads do. Nobody can reach
    /// the port who was not given a right to it.
    ///
    /// # Errors
    /// [`SendFailure::Dead`] after [`Task::close`], [`SendFailure::Forked`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::kernel::{Kernel, KernelError, ids};
    /// use pillarbox::{Deadline, Task, Terms};
    /// let task = Task::new();
    /// let reader = task.kernel()?.attenuate(&Terms::new().ids_listed([ids::CENSUS]))?;
    /// let reader = Kernel::new(reader);
    /// assert!(!reader.census(Deadline::Never)?.is_empty());
    /// assert_eq!(reader.end(Deadline::Never), Err(KernelError::NotPermitted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kernel(&self) -> Result<SendRight, SendFailure> {
        self.core.check().map_err(|_| SendFailure::Forked)?;
        let mut port = self.core.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        if self.core.closed.load(Ordering::Relaxed) {
            return Err(SendFailure::Dead);
        }
        let port = port.get_or_insert_with(|| {
            let options = PortOptions::new(Capacity::Bounded(limits::KERNEL_REQUESTS)).pulses(0);
            let port = PortCore::new(&self.core, &options);
            port.be_served();
            ReceiveRight::new(port)
        });
        port.make_send()
    }
}

/// A right to a kernel port, and what the task can be asked with it.
///
/// Each call fails with [`KernelError::NotPermitted`] where the right was
/// narrowed and does not permit it.
#[derive(Clone, Debug)]
pub struct Kernel {
    right: SendRight,
}

impl Kernel {
    /// Takes a send right that leads to a kernel port.
    pub fn new(right: SendRight) -> Self {
        Kernel { right }
    }

    /// The send right itself, to be given on.
    pub fn right(&self) -> &SendRight {
        &self.right
    }

    /// Who the task is.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// Waits for the task until `deadline`.
    pub fn identity(&self, deadline: Deadline) -> Result<Identity, KernelError> {
        match self.ask(Request::Identity, deadline)? {
            Answer::Identity(identity) => Ok(identity),
            _ => Err(KernelError::BadAnswer),
        }
    }

    /// The limits the task keeps, by name.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    pub fn limits(&self, deadline: Deadline) -> Result<Vec<(String, u64)>, KernelError> {
        match self.ask(Request::Limits, deadline)? {
            Answer::Limits(limits) => Ok(limits),
            _ => Err(KernelError::BadAnswer),
        }
    }

    /// What the task has counted: limits that were hit by their names in
    /// [`limits`], offences by theirs, and what went over its links.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    pub fn metrics(&self, deadline: Deadline) -> Result<Vec<(String, u64)>, KernelError> {
        match self.ask(Request::Metrics, deadline)? {
            Answer::Metrics(counts) => Ok(counts),
            _ => Err(KernelError::BadAnswer),
        }
    }

    /// The rights the task has. It is asked as often as there are
    /// [`limits::KERNEL_ROWS`] lines; what moves meanwhile may be counted twice or
    /// not at all.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    pub fn census(&self, deadline: Deadline) -> Result<Vec<Line>, KernelError> {
        self.pages(
            deadline,
            |after| Request::Census { after },
            |answer| match answer {
                Answer::Census(lines, more) => Some((lines, more)),
                _ => None,
            },
        )
    }

    /// The tasks it is linked with, as it sees them.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    pub fn peers(&self, deadline: Deadline) -> Result<Vec<Identity>, KernelError> {
        self.pages(
            deadline,
            |after| Request::Peers { after },
            |answer| match answer {
                Answer::Peers(peers, more) => Some((peers, more)),
                _ => None,
            },
        )
    }

    /// Ends the task, as [`Task::close`] does.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    pub fn end(&self, deadline: Deadline) -> Result<(), KernelError> {
        match self.ask(Request::End, deadline)? {
            Answer::Ends => Ok(()),
            _ => Err(KernelError::BadAnswer),
        }
    }

    fn pages<T>(
        &self,
        deadline: Deadline,
        request: impl Fn(u64) -> Request,
        read: impl Fn(Answer) -> Option<(Vec<T>, bool)>,
    ) -> Result<Vec<T>, KernelError> {
        let mut all = Vec::new();
        loop {
            let answer = self.ask(request(all.len() as u64), deadline)?;
            let (mut page, more) = read(answer).ok_or(KernelError::BadAnswer)?;
            // An empty page that promises more does not go on.
            let more = more && !page.is_empty();
            all.append(&mut page);
            if !more {
                return Ok(all);
            }
        }
    }

    fn ask(&self, request: Request, deadline: Deadline) -> Result<Answer, KernelError> {
        let body = postcard::to_stdvec(&request).map_err(|_| KernelError::BadAnswer)?;
        let message = Message::new(body).with_id(request.id());
        let answer = self.right.call(message, deadline).map_err(|error| match error {
            CallError::Unsent(error) => match error.reason {
                SendFailure::Dead => KernelError::Died,
                SendFailure::Revoked | SendFailure::NotPermitted(_) => KernelError::NotPermitted,
                other => KernelError::Unsent(other),
            },
            CallError::Refused => KernelError::NotPermitted,
            CallError::Deadline => KernelError::Deadline,
            _ => KernelError::Died,
        })?;
        let reply = postcard::from_bytes::<Reply>(answer.body());
        Ok(reply.map_err(|_| KernelError::BadAnswer)??)
    }
}
