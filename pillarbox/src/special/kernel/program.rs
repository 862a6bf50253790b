//! Having a program started by another task.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use super::client::{read, unanswered};
use super::{Answer, Exit, Identity, Kernel, KernelError, Request, Start};
use crate::deadline::Deadline;
use crate::error::CallError;
use crate::message::{Message, Right};
use crate::right::SendRight;

/// A program that a task is asked to start: [`Kernel::start`].
///
/// It has the arguments, environment, descriptors and rights that are stated here
/// and nothing else: no variable of the task's, and standard streams that lead
/// nowhere unless they are given.
#[derive(Debug, Default)]
pub struct Program {
    start: Start,
    rights: Vec<Right>,
    streams: [Option<OwnedFd>; 3],
}

/// The bytes of a path or an argument.
fn bytes(text: impl Into<OsString>) -> Vec<u8> {
    text.into().into_vec()
}

impl Program {
    /// The program at `path`, as the task sees the file system. One without a slash
    /// is looked for along the `PATH` of [`Program::variable`].
    pub fn new(path: impl Into<OsString>) -> Self {
        let start = Start { program: bytes(path), ..Start::default() };
        Program { start, ..Program::default() }
    }

    /// One argument more.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.start.arguments.push(bytes(argument));
        self
    }

    /// One variable more in its environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.start.environment.push((bytes(name), bytes(value)));
        self
    }

    /// The directory it begins in, the task's own unless it is said.
    #[must_use]
    pub fn directory(mut self, path: impl Into<OsString>) -> Self {
        self.start.directory = Some(bytes(path));
        self
    }

    /// Gives it `right` under `name`: it finds it with
    /// [`Task::inherited`](crate::Task::inherited).
    ///
    /// # Rights
    /// Moves it. [`StartError`] says when it comes back.
    #[must_use]
    pub fn right(mut self, name: impl Into<String>, right: impl Into<Right>) -> Self {
        self.start.names.push(name.into());
        self.rights.push(right.into());
        self
    }

    /// What it reads as its standard input.
    #[must_use]
    pub fn input(mut self, fd: OwnedFd) -> Self {
        self.streams[0] = Some(fd);
        self
    }

    /// Where its standard output goes.
    #[must_use]
    pub fn output(mut self, fd: OwnedFd) -> Self {
        self.streams[1] = Some(fd);
        self
    }

    /// Where its standard error goes.
    #[must_use]
    pub fn error(mut self, fd: OwnedFd) -> Self {
        self.streams[2] = Some(fd);
        self
    }

    /// The rights it is given, by name.
    ///
    /// # Rights
    /// Borrows them.
    pub fn rights(&self) -> impl Iterator<Item = (&str, &Right)> {
        self.start.names.iter().map(String::as_str).zip(&self.rights)
    }

    pub(super) fn message(&mut self) -> Message {
        self.start.streams = self.streams.each_ref().map(Option::is_some);
        let mut message = Request::Start(self.start.clone()).message();
        message.rights = std::mem::take(&mut self.rights);
        for fd in self.streams.iter_mut().filter_map(Option::take) {
            message = message.with_descriptor(fd);
        }
        message
    }

    /// What was not sent, or came back.
    fn come_back(&mut self, message: &mut Message) {
        let mut rights = message.take_rights();
        if rights.len() == self.start.names.len() {
            self.rights = std::mem::take(&mut rights);
        } else {
            self.start.names.clear();
        }
        let mut came = message.take_descriptors().into_iter();
        for (there, place) in self.start.streams.iter().zip(&mut self.streams) {
            if *there {
                *place = came.next().and_then(crate::message::Descriptor::take);
            }
        }
    }

    pub(super) fn started(
        mut self,
        answered: Result<Message, CallError>,
    ) -> Result<Started, StartError> {
        let (reason, mut back) = match answered {
            Ok(mut answer) => match Answer::of(&answer) {
                Ok(Answer::Started(identity)) => match answer.take_rights().pop() {
                    Some(Right::Send(right)) => return Ok(Started { right, identity }),
                    _ => (KernelError::BadAnswer, answer),
                },
                Ok(_) => (KernelError::BadAnswer, answer),
                Err(reason) => (reason, answer),
            },
            Err(error) => {
                let reason = unanswered(&error);
                let back = match error {
                    CallError::Unsent(error) => *error.message,
                    _ => Message::default(),
                };
                (reason, back)
            }
        };
        self.come_back(&mut back);
        Err(StartError { reason, program: Box::new(self) })
    }
}

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
#[error("the program was not started: {reason}")]
pub struct StartError {
    /// Why.
    #[source]
    pub reason: KernelError,
    /// The program, with the rights that came back: all of them where the request
    /// was not sent or the task refused it. With [`KernelError::Deadline`] and
    /// [`KernelError::Died`] they are gone; a program that was started for an
    /// answer that nobody took is ended at once.
    pub program: Box<Program>,
}

/// A program that was started by a task on our request: the right to end it and to
/// hear of its end. Dropping it lets the program go on.
#[derive(Clone, Debug)]
pub struct Started {
    right: SendRight,
    identity: Identity,
}

impl Started {
    /// Who it is. The number of its task is not known, and said to be zero; its pid
    /// is in the pid namespace of the task that started it.
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// The right itself, to be given on: a send right to a port that understands
    /// [`Request::Identity`], [`Request::End`] and [`Request::Wait`], and that may
    /// be narrowed as any other. [`Kernel::identity`] and [`Kernel::end`] work on
    /// it.
    ///
    /// # Rights
    /// Borrows it; a clone is to be given.
    pub const fn right(&self) -> &SendRight {
        &self.right
    }

    /// Kills the program, if it has not ended.
    ///
    /// # Errors
    /// See [`KernelError`]; [`KernelError::Died`] where the task that started it is
    /// gone.
    ///
    /// # Blocking
    /// Waits for that task until `deadline`, not for the end of the program.
    pub fn end(&self, deadline: Deadline) -> Result<(), KernelError> {
        Kernel::new(self.right.clone()).end(deadline)
    }

    /// Waits for the end of the program.
    ///
    /// To hear of it without waiting, start a call of [`Request::Wait`] to a port,
    /// as [`Request::message`] shows.
    ///
    /// # Errors
    /// See [`KernelError`]; [`KernelError::Died`] where the task that started it is
    /// gone: then nobody knows.
    ///
    /// # Blocking
    /// Until `deadline`.
    pub fn wait(&self, deadline: Deadline) -> Result<Exit, KernelError> {
        exit(self.right.call(Request::Wait.message(), deadline))
    }
}

/// How the program has ended.
pub(super) fn exit(answered: Result<Message, CallError>) -> Result<Exit, KernelError> {
    match read(answered)? {
        (Answer::Exited(exit), _) => Ok(exit),
        _ => Err(KernelError::BadAnswer),
    }
}
