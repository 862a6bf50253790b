//! Programs that were started on request, at the task that started them.
//!
//! Each has a port of its own, which the library serves as it does the kernel
//! port: a right to it is the right to end the program and to hear how it ended.
//! The background thread starts it, and sees its end in `epoll`. What is known of
//! it goes when it has ended and nobody holds such a right.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::serve::{Response, request};
use super::{Answer, Exit, Identity, Refused, Request, Start, ids};
use crate::background::Job;
use crate::core::TaskCore;
use crate::error::{SpawnError, SpawnFailure};
use crate::limits::{self, Limit};
use crate::message::{Message, Notification};
use crate::port::{Capacity, PortCore, PortOptions, ReceiveRight};
use crate::right::{SendOnceRight, SendRight, Sink};
use crate::spawn::Spawn;
use crate::task::Task;
use crate::wait::parking::{Mutex, lock};

/// The programs of one task, by the numbers of their ports.
#[derive(Debug, Default)]
pub(crate) struct Children(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Those that are about to be started.
    starting: usize,
    started: HashMap<u64, Arc<Child>>,
}

/// A request to start one, which the background thread is to do.
#[derive(Debug)]
pub(crate) struct Starting {
    start: Start,
    message: Message,
}

/// One that was started.
#[derive(Debug)]
pub(crate) struct Child {
    number: u64,
    identity: Identity,
    pidfd: OwnedFd,
    state: Mutex<State>,
    /// The port that stands for it. The right leads to the port, and so does the
    /// port's owner, as long as the table has it.
    port: ReceiveRight,
}

#[derive(Debug)]
struct State {
    child: std::process::Child,
    exit: Option<Exit>,
    waiting: Vec<SendOnceRight>,
    /// Nobody holds a right to it any more.
    alone: bool,
}

impl TaskCore {
    /// The program a served port stands for; none for the kernel port.
    pub(crate) fn child(&self, port: u64) -> Option<Arc<Child>> {
        lock(&self.children.0).started.get(&port).cloned()
    }

    /// Leaves a program to be started by the background thread.
    pub(super) fn start_program(self: &Arc<Self>, start: Start, message: Message) {
        let mut starting = Starting { start, message };
        if !self.take_place() {
            self.counters.refuse(Limit::Started);
            return starting.refuse(Refused::TooMany);
        }
        match self.start_background() {
            Ok(_) => self.job(Job::Start(Box::new(starting))),
            Err(error) => {
                lock(&self.children.0).starting -= 1;
                starting.refuse(Response::system(&error));
            }
        }
    }

    /// One more of as many as may be.
    fn take_place(&self) -> bool {
        let mut table = lock(&self.children.0);
        let free = table.starting + table.started.len() < self.limits.started;
        table.starting += usize::from(free);
        free
    }

    /// Starts a program, and answers.
    pub(crate) fn start_now(self: &Arc<Self>, mut starting: Starting) -> Option<Arc<Child>> {
        let started = starting.start(self);
        let child = {
            let mut table = lock(&self.children.0);
            table.starting -= 1;
            started.map(|child| {
                let child = Arc::new(child);
                table.started.insert(child.port.id(), Arc::clone(&child));
                child
            })
        };
        match child {
            Ok(child) => {
                child.introduce(starting.message);
                Some(child)
            }
            Err(refused) => {
                starting.refuse(refused);
                None
            }
        }
    }

    /// Nothing more can be asked of a program.
    fn forget_child(&self, child: &Child) {
        let gone = lock(&self.children.0).started.remove(&child.port.id());
        drop(gone);
    }

    /// The task ends: what it has started goes on, and nobody can ask for it.
    pub(crate) fn end_children(&self) {
        let gone = std::mem::take(&mut lock(&self.children.0).started);
        drop(gone);
    }
}

impl Starting {
    /// Says that nothing was started. The rights go back.
    fn refuse(&mut self, why: Refused) {
        let (id, rights) = (self.message.id(), self.message.take_rights());
        if let Some(right) = self.message.take_reply() {
            let _ = Response { rights, ..why.into() }.send(right, id);
        }
    }

    fn start(&mut self, task: &Arc<TaskCore>) -> Result<Child, Refused> {
        let command = self.command()?;
        let mut rights = self.message.take_rights();
        if rights.len() != self.start.names.len() {
            self.message.rights = rights;
            return Err(Refused::Names);
        }
        let names = std::mem::take(&mut self.start.names);
        let mut spawn = Spawn::new(command);
        for (name, right) in names.into_iter().zip(rights.drain(..)) {
            spawn = spawn.right(name, right);
        }
        let port = PortOptions::new(Capacity::Bounded(limits::KERNEL_REQUESTS)).pulses(0);
        let started = spawn.spawn_in(&Task { core: Arc::clone(task) });
        let mut child = match started {
            Ok(child) => child,
            Err(SpawnError { reason, rights }) => {
                self.message.rights = rights.into_iter().map(|(_, right)| right).collect();
                return Err(match reason {
                    SpawnFailure::Offer(_) => Refused::Names,
                    SpawnFailure::System(error) => Response::system(&error),
                    _ => Refused::BadRequest,
                });
            }
        };
        let (pidfd, process) = match shm::spawn::watch(&child) {
            Ok(watched) => watched,
            Err(error) => {
                // Nobody would hear of its end.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Response::system(&error));
            }
        };
        let us = task.own_identity();
        let identity = Identity {
            process,
            number: 0,
            pid: i32::try_from(child.id()).unwrap_or(0),
            uid: us.uid,
            gid: us.gid,
        };
        let port = PortCore::new(task, &port);
        port.be_served();
        let state = State { child, exit: None, waiting: Vec::new(), alone: false };
        let number = task.next_id();
        let port = ReceiveRight::new(port);
        Ok(Child { number, identity, pidfd, state: Mutex::new(state), port })
    }

    fn command(&mut self) -> Result<Command, Refused> {
        let Start { program, arguments, environment, directory, streams, .. } = &mut self.start;
        let text = |bytes: &mut Vec<u8>| OsStringExt::from_vec(std::mem::take(bytes));
        let mut command = Command::new::<std::ffi::OsString>(text(program));
        for argument in arguments {
            command.arg::<std::ffi::OsString>(text(argument));
        }
        command.env_clear();
        for (name, value) in environment {
            command.env::<std::ffi::OsString, std::ffi::OsString>(text(name), text(value));
        }
        if let Some(directory) = directory {
            command.current_dir::<std::ffi::OsString>(text(directory));
        }
        let mut came = self.message.take_descriptors().into_iter();
        let mut stream = |there: bool| {
            if !there {
                return Ok(Stdio::null());
            }
            let fd = came.next().ok_or(Refused::BadRequest)?;
            fd.take().map(Stdio::from).ok_or(Refused::DescriptorLost)
        };
        let [input, output, error] = streams.map(&mut stream);
        command.stdin(input?).stdout(output?).stderr(error?);
        if came.next().is_some() { Err(Refused::BadRequest) } else { Ok(command) }
    }
}

impl Child {
    /// What it is known by here.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// What is readable when it has ended.
    pub(crate) const fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Gives whoever had it started the right to it.
    fn introduce(&self, mut request: Message) {
        let port = self.port.core();
        port.count_made();
        let right = SendRight::own(port);
        // When that and all copies are gone, the port hears so itself.
        port.add_once();
        port.watch_no_senders(SendOnceRight::own(Sink::Port(Arc::clone(port))), 0);
        let response =
            Response { rights: vec![right.into()], ..Ok(Answer::Started(self.identity)).into() };
        let answered = request.take_reply().is_some_and(|to| response.send(to, ids::START));
        if !answered {
            // Nobody would ever know of it.
            self.kill();
        }
    }

    fn kill(&self) {
        let mut state = lock(&self.state);
        if state.exit.is_none() {
            let _ = state.child.kill();
        }
    }

    /// Answers what comes to its port.
    pub(super) fn answer(&self, mut message: Message) {
        if message.is_own_notification() {
            if message.notification() == Some(Notification::NoSenders) {
                self.left_alone();
            }
            return;
        }
        let id = message.id();
        let response = match request(&message) {
            Ok(Request::Identity) => Ok(Answer::Identity(self.identity)).into(),
            Ok(Request::End) => {
                self.kill();
                Ok(Answer::Ends).into()
            }
            Ok(Request::Wait) => match self.wait(&mut message) {
                Some(response) => response,
                None => return,
            },
            Ok(_) => Refused::BadRequest.into(),
            Err(refused) => refused.into(),
        };
        if let Some(right) = message.take_reply() {
            let _ = response.send(right, id);
        }
    }

    /// Whoever waits is answered at the end.
    fn wait(&self, message: &mut Message) -> Option<Response> {
        let mut gone = Vec::new();
        let mut state = lock(&self.state);
        if let Some(exit) = state.exit {
            return Some(Ok(Answer::Exited(exit)).into());
        }
        if state.waiting.len() >= limits::KERNEL_WAITS {
            gone.extend(state.waiting.extract_if(.., |right| right.state().is_gone()));
        }
        let full = state.waiting.len() >= limits::KERNEL_WAITS;
        if !full {
            state.waiting.extend(message.take_reply());
        }
        drop(state);
        drop(gone);
        full.then(|| Refused::TooMany.into())
    }

    /// It may have ended. Returns whether it has.
    pub(crate) fn ended(&self) -> bool {
        let (exit, waiting, alone) = {
            let mut state = lock(&self.state);
            let status = match state.child.try_wait() {
                // Not yet: the event was another's.
                Ok(None) => return false,
                Ok(status) => status,
                // Somebody else has waited for it.
                Err(_) => None,
            };
            let exit = Exit {
                code: status.and_then(|status| status.code()),
                signal: status.and_then(|status| status.signal()),
            };
            state.exit = Some(exit);
            (exit, std::mem::take(&mut state.waiting), state.alone)
        };
        for right in waiting {
            let _ = Response::from(Ok(Answer::Exited(exit))).send(right, ids::WAIT);
        }
        if alone {
            self.port.core().task.forget_child(self);
        }
        true
    }

    fn left_alone(&self) {
        let ended = {
            let mut state = lock(&self.state);
            state.alone = true;
            state.exit.is_some()
        };
        if ended {
            self.port.core().task.forget_child(self);
        }
    }
}
