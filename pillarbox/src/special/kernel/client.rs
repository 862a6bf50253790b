//! Asking a task.

use std::os::fd::OwnedFd;

use super::{
    Answer, Counts, Identity, KernelError, Line, Program, Refused, Request, Shape, StartError,
    Started,
};
use crate::deadline::Deadline;
use crate::error::{CallError, SendFailure};
use crate::message::{Descriptor, Message, Right};
use crate::port::{PortOptions, ReceiveRight};
use crate::right::SendRight;

/// A right to a kernel port, and what the task can be asked with it.
///
/// Each call fails with [`KernelError::NotPermitted`] where the right was
/// narrowed and does not permit it, and with [`KernelError::Deadline`] where the
/// task has not answered in time; what it does about a request it has taken in is
/// then not known. None waits for the threads of the task that is asked.
///
/// Without waiting the same is asked with [`Request::message`], which any call
/// takes: [`SendRight::start_call_to`] has the answer come to a port.
///
/// # Rights
/// Holds one send right; its calls borrow it. A clone holds a right of its own.
///
/// # Examples
/// ```
/// use pillarbox::kernel::{Kernel, ids};
/// use pillarbox::{Deadline, Task, Terms};
/// let task = Task::new();
/// // Who is given this may have ports made and do nothing else.
/// let terms = Terms::new().ids_listed([ids::MAKE_PORT]);
/// let maker = Kernel::new(task.kernel()?.attenuate(&terms)?);
/// assert!(maker.make_port(pillarbox::Capacity::Unbounded, Deadline::Never).is_ok());
/// assert!(maker.make_region(1, Deadline::Never).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Kernel {
    right: SendRight,
}

impl Kernel {
    /// Takes a send right that leads to a kernel port.
    ///
    /// # Rights
    /// Keeps it.
    pub fn new(right: SendRight) -> Self {
        Kernel { right }
    }

    /// The send right itself, to be given on.
    ///
    /// # Rights
    /// Borrows it; a clone is to be given.
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
    /// [`limits`](mod@crate::limits), offences by theirs, and what went over its links.
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
    /// [`KERNEL_ROWS`](crate::limits::KERNEL_ROWS) lines; what moves meanwhile may be counted twice or
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

    /// What the task and its ports have counted, one page of at most
    /// [`KERNEL_ROWS`](crate::limits::KERNEL_ROWS) ports: first after none, then after
    /// [`Counts::next`] of the page before. And to which of its ports these rights lead,
    /// of which there may be as many as a message carries.
    ///
    /// To look costs the task what it takes to answer one message. Nobody who sends or
    /// receives there is held up, and where nobody looks there is nothing to pay for.
    ///
    /// # Rights
    /// Clones of `of` go to the task, which drops them.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::kernel::Kernel;
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let task = Task::new();
    /// let inbox = task.port(Capacity::Bounded(8));
    /// let post = inbox.make_send()?;
    /// post.send(Message::new("hello"), Deadline::Never)?;
    /// let kernel = Kernel::new(task.kernel()?);
    /// let counts = kernel.counts(0, &[post], Deadline::Never)?;
    /// assert_eq!(counts.asked, [Some(inbox.id())]);
    /// let port = counts.ports.iter().find(|port| port.port == inbox.id()).unwrap();
    /// assert_eq!((port.queued, port.taken, port.came()), (1, 0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counts(
        &self,
        after: u64,
        of: &[SendRight],
        deadline: Deadline,
    ) -> Result<Counts, KernelError> {
        counted(self.exchange(question(after, of), deadline)?.0)
    }

    /// Ends the task, as [`Task::close`](crate::Task::close) does.
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

    /// Has the task make a port, and takes it over: the receive right is ours from
    /// then on, and the task has no part in it.
    ///
    /// # Rights
    /// Returns the receive right of the new port.
    ///
    /// # Errors
    /// See [`KernelError`].
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::kernel::Kernel;
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let kernel = Kernel::new(Task::current()?.kernel()?);
    /// let inbox = kernel.make_port(Capacity::Bounded(4), Deadline::Never)?;
    /// inbox.make_send()?.send(Message::new("hello"), Deadline::Never)?;
    /// assert_eq!(inbox.receive(Deadline::Never)?.body(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn make_port(
        &self,
        options: impl Into<PortOptions>,
        deadline: Deadline,
    ) -> Result<ReceiveRight, KernelError> {
        let request = Request::MakePort(Shape::from(&options.into()));
        port(self.exchange(request.message(), deadline)?)
    }

    /// Has the task make memory of so many bytes, all zero, whose size nobody can
    /// change; whoever has the descriptor may map it and write to it.
    ///
    /// The task keeps nothing of it. Its pages are charged to who first touches
    /// them, and on the way the descriptor counts against our own window with the
    /// task.
    ///
    /// # Errors
    /// See [`KernelError`]; [`Refused::TooLarge`] beyond the task's
    /// [`Limits::region_bytes`](crate::Limits::region_bytes).
    ///
    /// # Blocking
    /// As [`Kernel::identity`].
    ///
    /// # Examples
    /// ```
    /// use std::os::unix::fs::FileExt;
    /// use pillarbox::kernel::Kernel;
    /// use pillarbox::{Deadline, Task};
    /// let kernel = Kernel::new(Task::current()?.kernel()?);
    /// let region = std::fs::File::from(kernel.make_region(4096, Deadline::Never)?);
    /// region.write_all_at(b"shared", 100)?;
    /// assert_eq!(region.metadata()?.len(), 4096);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn make_region(&self, bytes: u64, deadline: Deadline) -> Result<OwnedFd, KernelError> {
        let request = Request::MakeRegion { bytes };
        region(self.exchange(request.message(), deadline)?)
    }

    /// Has the task start a program, with rights of ours.
    ///
    /// The program is the task's child, not ours, and runs as its user; it finds
    /// its rights as any child that was started with [`Spawn`](crate::Spawn).
    ///
    /// # Rights
    /// The program's, once it is started. Returns the right to end it.
    ///
    /// # Errors
    /// The program was not started, or nobody knows: see [`StartError`]. Rights
    /// that did not leave, or that the task gave back, are in its `program`.
    ///
    /// # Blocking
    /// As [`Kernel::identity`]; the task answers when the program is loaded.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::kernel::{Kernel, Program};
    /// use pillarbox::{Deadline, Task};
    /// let kernel = Kernel::new(Task::current()?.kernel()?);
    /// let program = Program::new("/bin/sh").argument("-c").argument("exit 3");
    /// let started = kernel.start(program, Deadline::Never)?;
    /// assert_eq!(started.wait(Deadline::Never)?.code, Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(&self, program: Program, deadline: Deadline) -> Result<Started, StartError> {
        let mut program = program;
        let answered = self.right.call(program.message(), deadline);
        program.started(answered)
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
        self.exchange(request.message(), deadline).map(|(answer, _)| answer)
    }

    fn exchange(
        &self,
        message: Message,
        deadline: Deadline,
    ) -> Result<(Answer, Message), KernelError> {
        read(self.right.call(message, deadline))
    }
}

/// A question about counts, and about where these rights lead.
pub(super) fn question(after: u64, of: &[SendRight]) -> Message {
    of.iter().cloned().fold(Request::Counts { after }.message(), Message::with_right)
}

/// What was counted.
pub(super) fn counted(answer: Answer) -> Result<Counts, KernelError> {
    match answer {
        Answer::Counts(counts) => Ok(counts),
        _ => Err(KernelError::BadAnswer),
    }
}

/// What has become of a request.
pub(super) fn read(answered: Result<Message, CallError>) -> Result<(Answer, Message), KernelError> {
    let answer = answered.map_err(|error| unanswered(&error))?;
    Ok((Answer::of(&answer)?, answer))
}

/// The port that was made.
pub(super) fn port((answer, mut message): (Answer, Message)) -> Result<ReceiveRight, KernelError> {
    match (answer, message.take_rights().pop()) {
        (Answer::Port, Some(Right::Receive(port))) => Ok(port),
        _ => Err(KernelError::BadAnswer),
    }
}

/// The memory that was made.
pub(super) fn region((answer, mut message): (Answer, Message)) -> Result<OwnedFd, KernelError> {
    let fd = message.take_descriptors().pop().and_then(Descriptor::take);
    match (answer, fd) {
        (Answer::Region, Some(fd)) => Ok(fd),
        (Answer::Region, None) => Err(Refused::DescriptorLost.into()),
        _ => Err(KernelError::BadAnswer),
    }
}

/// Why a call brought no answer.
pub(super) fn unanswered(error: &CallError) -> KernelError {
    match error {
        CallError::Unsent(error) => match error.reason {
            SendFailure::Dead => KernelError::Died,
            SendFailure::Revoked | SendFailure::NotPermitted(_) => KernelError::NotPermitted,
            other => KernelError::Unsent(other),
        },
        CallError::Refused => KernelError::NotPermitted,
        CallError::Deadline => KernelError::Deadline,
        _ => KernelError::Died,
    }
}
