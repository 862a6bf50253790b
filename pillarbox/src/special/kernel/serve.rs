//! Who answers, and what.
//!
//! Whoever takes a request in answers it when all locks are let go; one thread
//! at a time for each port, in order. Starting a program is left to the
//! background thread: it may take as long as the file system does.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::{Answer, Line, Refused, Reply, Request, ids};
use crate::background::Job;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::facet::{FacetError, Terms};
use crate::limits::{self, Limit};
use crate::message::{Message, Right};
use crate::metrics::{Metrics, Since};
use crate::port::{Capacity, PortCore, PortOptions, ReceiveRight};
use crate::right::{SendOnceRight, SendRight};
use crate::task::Task;
use crate::wait::parking::{Mutex, lock};

/// The port the library serves, and the right to look. Both are made when they are
/// first asked for, and end with the task.
#[derive(Debug, Default)]
pub(crate) struct KernelPort {
    port: Mutex<Option<ReceiveRight>>,
    looking: Mutex<Option<SendRight>>,
    /// Where the program reads what the library does not answer.
    program: Mutex<Weak<PortCore>>,
}

/// How many requests one thread answers before the background thread goes on.
const TURN: usize = 16;

/// The number of an error that has none.
const EIO: i32 = 5;

/// An answer, and what comes with it.
pub(super) struct Response {
    pub(super) reply: Reply,
    pub(super) rights: Vec<Right>,
    pub(super) descriptor: Option<OwnedFd>,
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        Response { reply, rights: Vec::new(), descriptor: None }
    }
}

impl From<Refused> for Response {
    fn from(refused: Refused) -> Self {
        Err(refused).into()
    }
}

impl Response {
    pub(super) fn system(error: &std::io::Error) -> Refused {
        match error.raw_os_error() {
            Some(errno) => Refused::System { errno },
            // The arguments were odd.
            None if error.kind() == std::io::ErrorKind::InvalidInput => Refused::BadRequest,
            // Whoever found it did not keep the number.
            None => Refused::System { errno: EIO },
        }
    }

    /// Sends the answer. False where nobody has it: then what comes with it ends.
    pub(super) fn send(self, to: SendOnceRight, id: i32) -> bool {
        let refused = self.reply.is_err();
        let body = postcard::to_stdvec(&self.reply).unwrap_or_default();
        let mut message = Message::new(body.clone()).with_id(id);
        message.rights = self.rights;
        if let Some(fd) = self.descriptor {
            message = message.with_descriptor(fd);
        }
        // Who leaves no room for its answer is told that it was dropped.
        match to.send(message, Deadline::Now) {
            Ok(()) => true,
            // What a refusal brings back may be what cannot be sent.
            Err(back) if refused && !back.message.rights().is_empty() => {
                back.right.send(Message::new(body).with_id(id), Deadline::Now).is_ok()
            }
            Err(_) => false,
        }
    }
}

impl TaskCore {
    /// The task ends: nobody may ask it any more.
    pub(crate) fn end_kernel_port(&self) {
        let port = lock(&self.kernel.port).take();
        let looking = lock(&self.kernel.looking).take();
        drop((port, looking));
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
            let Some(mut request) = port.next_to_serve() else { return };
            // What who looks on asks is nothing the task does.
            if let Some(reply) = &mut request.reply {
                reply.read_since(Since::NEVER);
            }
            match port.task.child(port.id) {
                Some(child) => child.answer(request),
                None => answer(&port.task, request),
            }
        }
        if port.task.background().is_some() {
            port.task.job(Job::Serve(Arc::clone(port)));
            return;
        }
    }
}

/// The request a message is: one that its id says, too.
pub(super) fn request(message: &Message) -> Result<Request, Refused> {
    if message.body_len() > limits::KERNEL_BYTES {
        return Err(Refused::TooLarge);
    }
    let request = postcard::from_bytes::<Request>(message.body()).ok();
    let request = request.filter(|request| request.id() == message.id());
    request.filter(|_| !message.is_own_notification()).ok_or(Refused::BadRequest)
}

/// Hands on what the program is to answer. Where nobody is to, or too much waits for who is,
/// it is dropped, and who asked is told so.
fn hand_on(task: &TaskCore, mut message: Message) {
    let port = lock(&task.kernel.program).upgrade();
    if let Some(port) = port
        && message.body_len() <= limits::KERNEL_BYTES
    {
        drop(message.break_circles(&port));
        // It is dropped with no lock held.
        drop(port.send_own(None, message, Deadline::Now));
    }
}

fn answer(task: &Arc<TaskCore>, mut message: Message) {
    if message.id() >= ids::PROGRAM && !message.is_own_notification() {
        return hand_on(task, message);
    }
    let (id, asked) = (message.id(), request(&message));
    if let Ok(Request::Start(start)) = asked {
        return task.start_program(start, message);
    }
    let ends = asked == Ok(Request::End);
    let response = match asked {
        Ok(request) => act(task, request, message.rights()),
        // What was not understood comes back with the answer.
        Err(why) => Response { rights: message.take_rights(), ..why.into() },
    };
    if let Some(right) = message.take_reply() {
        let _ = response.send(right, id);
    }
    drop(message);
    if ends {
        Task { core: Arc::clone(task) }.close();
    }
}

fn act(task: &Arc<TaskCore>, request: Request, rights: &[Right]) -> Response {
    let answer = match request {
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
        Request::Counts { after } => Answer::Counts(task.counts(after, rights)),
        Request::MakePort(shape) => {
            let Some(options) = shape.options() else { return Refused::BadRequest.into() };
            let port = Task { core: Arc::clone(task) }.port(options);
            return Response { rights: vec![port.into()], ..Ok(Answer::Port).into() };
        }
        Request::MakeRegion { bytes } => return make_region(task, bytes),
        // The one is answered elsewhere, the other is for another port.
        Request::Start(_) | Request::Wait => return Refused::BadRequest.into(),
    };
    Ok(answer).into()
}

fn make_region(task: &TaskCore, bytes: u64) -> Response {
    if bytes == 0 {
        return Refused::BadRequest.into();
    }
    if bytes > task.limits.region_bytes {
        task.counters.refuse(Limit::RegionBytes);
        return Refused::TooLarge.into();
    }
    match shm::region::create(bytes) {
        Ok(fd) => Response { descriptor: Some(fd), ..Ok(Answer::Region).into() },
        Err(error) => Response::system(&error).into(),
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
    /// task about itself, have it make ports and memory, have it *start programs*
    /// as the user it runs as, and end it. See
    /// [`Kernel`](super::Kernel) for what can be asked.
    ///
    /// So the right is all the power the task has: give it on narrowed to the
    /// requests that are meant, by their [`ids`](super::ids). The library answers,
    /// whatever the task's own threads do. Nobody can reach the port who was not
    /// given a right to it.
    ///
    /// # Rights
    /// A right of its own each time; while any is left the port can be asked.
    ///
    /// # Errors
    /// [`SendFailure::Dead`] after [`Task::close`], [`SendFailure::Forked`].
    ///
    /// # Blocking
    /// Never.
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
        let mut port = lock(&self.core.kernel.port);
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

    /// From now on the requests that the library does not know come to `port`: those whose
    /// ids are at least [`ids::PROGRAM`], as they were sent, with their rights and
    /// who sent them. So a program may be asked more than the library answers, by
    /// whoever has a right from [`Task::kernel`] that permits the id.
    ///
    /// A request that finds `port` full or gone, or is longer than
    /// [`KERNEL_BYTES`](crate::limits::KERNEL_BYTES), is dropped, and so is each while there is no such
    /// port: who asks is told [`CallError::Dropped`](crate::CallError::Dropped). Nobody
    /// waits for room.
    ///
    /// # Rights
    /// Borrows the receive right. The port that was named last counts.
    ///
    /// # Errors
    /// [`SendFailure::Forked`]; [`SendFailure::OtherTask`] for a port that is not this
    /// task's.
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::kernel::ids;
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let task = Task::new();
    /// let asked = task.port(Capacity::Bounded(16));
    /// task.answer_requests(&asked)?;
    /// let right = task.kernel()?;
    /// let question = Message::new("how are you?").with_id(ids::PROGRAM);
    /// let mut answer = right.start_call(question, Deadline::Never)?;
    /// asked.receive(Deadline::Never)?.reply(Message::new("well"), Deadline::Never)?;
    /// assert_eq!(answer.wait(Deadline::Never)?.body(), b"well");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer_requests(&self, port: &ReceiveRight) -> Result<(), SendFailure> {
        self.core.check().map_err(|_| SendFailure::Forked)?;
        if !Arc::ptr_eq(&port.core().task, &self.core) {
            return Err(SendFailure::OtherTask);
        }
        *lock(&self.core.kernel.program) = Arc::downgrade(port.core());
        Ok(())
    }

    /// A send right to the kernel port with which the task can be looked at and nothing
    /// be changed: it permits the requests in [`ids::LOOKING`].
    ///
    /// [`Bootstrap::check_in`](crate::Bootstrap::check_in) gives it to the server, so
    /// that the user who runs the services may watch them.
    ///
    /// # Rights
    /// A copy each time of one and the same right.
    ///
    /// # Errors
    /// See [`FacetError`]; [`FacetError::Ended`] after [`Task::close`].
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::kernel::{Kernel, KernelError};
    /// use pillarbox::{Deadline, Task};
    /// let task = Task::new();
    /// let looking = Kernel::new(task.looking()?);
    /// assert!(looking.identity(Deadline::Never).is_ok());
    /// assert_eq!(looking.end(Deadline::Never), Err(KernelError::NotPermitted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn looking(&self) -> Result<SendRight, FacetError> {
        let whole = self.kernel().map_err(|failure| match failure {
            SendFailure::Forked => FacetError::Forked,
            _ => FacetError::Ended,
        })?;
        let mut looking = lock(&self.core.kernel.looking);
        if let Some(looking) = &*looking {
            return Ok(looking.clone());
        }
        let made = whole.attenuate(&Terms::new().ids_listed(ids::LOOKING))?;
        // A task that has closed meanwhile would keep it for ever.
        if !self.core.closed.load(Ordering::Relaxed) {
            *looking = Some(made.clone());
        }
        Ok(made)
    }
}
