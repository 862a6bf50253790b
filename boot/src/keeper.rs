//! The loop: one message after the other, and never a wait for anybody.
//!
//! Every notification the library makes here is only a bell: that a port is
//! gone, that a child has ended, that we should stop. What happened is read from
//! the state, so a bell too many costs a look. What a peer *says* is a
//! notification is a request like any other, and a bad one.

mod managing;
mod queueing;

use std::time::{Duration, Instant};

use pillarbox::bootstrap::{
    Answer, Refused, Request, Service, ServiceState, decode_request, encode_answer,
};
use pillarbox::{
    Deadline, Identity, Listening, Message, ReceiveError, ReceiveRight, SendOnceRight, SendRight,
    Task, check_name,
};

use crate::Server;
use crate::admin;
use crate::answers::Answers;
use crate::limits::{PAGE_NAMES, REQUEST_BYTES};
use crate::logs::Logs;
use crate::names::{Holder, Name, Names};
use crate::orders::Orders;
use crate::program::{Program, ProgramId, no_log};
use crate::queues::{self, QueueId, Queues};
use crate::reaper::Reaper;
use crate::stopper::{Ended, Stopper};
use crate::supervision::{Act, Doing, Due};
use crate::waits::Waits;
use queueing::Attending;

/// Messages that are read before a bell is followed, where they keep coming:
/// many deaths at once cost one look.
const LOOK_AFTER: u32 = 64;

/// A server that runs. The fields are dropped in this order: nobody comes any
/// more, who waits is told, the port ends, then the children.
#[derive(Debug)]
pub(crate) struct Keeper {
    listening: Vec<Listening>,
    waits: Waits,
    answers: Answers,
    port: ReceiveRight,
    names: Names,
    programs: Vec<Program>,
    queues: Queues,
    attending: Vec<Attending>,
    orders: Orders,
    logs: Logs,
    reaper: Reaper,
    right: SendRight,
    task: Task,
    stopper: Stopper,
    idle: Option<Idle>,
    children: u64,
    bell: Option<u32>,
    ended: Option<Ended>,
}

impl Keeper {
    pub(crate) fn new(server: Server) -> Self {
        let Server { task, port, right, stopper, names, queues, programs, listening, idle_exit } =
            server;
        Keeper {
            listening,
            waits: Waits::default(),
            answers: Answers::default(),
            port,
            names,
            programs,
            queues,
            attending: Vec::new(),
            orders: Orders::default(),
            logs: Logs::default(),
            reaper: Reaper::default(),
            right,
            task,
            stopper,
            idle: idle_exit.map(Idle::new),
            children: 0,
            bell: None,
            ended: None,
        }
    }

    pub(crate) fn run(mut self) -> Ended {
        self.do_what_is_due(Instant::now());
        loop {
            match self.port.receive(self.deadline()) {
                Ok(message) => self.take(message),
                Err(ReceiveError::Deadline) => self.look(),
                Err(_) => return Ended::Forked,
            }
            self.do_what_is_due(Instant::now());
            if self.stopper.is_asked() {
                self.ended = Some(Ended::Stopped);
            }
            if let Some(ended) = self.ended {
                self.listening.clear();
                return ended;
            }
        }
    }

    /// How long the next message may take.
    fn deadline(&self) -> Deadline {
        if self.bell.is_some() {
            return Deadline::Now;
        }
        let idle = self.idle.as_ref().map(|idle| idle.next);
        let mut first =
            [self.waits.next_due(), self.answers.next_due(), idle].into_iter().flatten().min();
        for program in &self.programs {
            match program.supervision.due() {
                Due::Never => {}
                Due::Now => return Deadline::Now,
                Due::At(due) => first = Some(first.map_or(due, |first| first.min(due))),
            }
        }
        first.map_or(Deadline::Never, Deadline::At)
    }

    fn do_what_is_due(&mut self, now: Instant) {
        for reply in self.waits.take_late(now) {
            self.answers.refuse(Some(reply), Refused::Deadline);
        }
        self.answers.retry(now);
        self.look_after_queues(now);
        for id in 0..self.programs.len() {
            self.supervise(ProgramId(id), now);
        }
        if let Some(idle) = &mut self.idle
            && idle.next <= now
            && idle.is_over(now, self.task.peers().is_empty() && !self.queues.hold_anything())
        {
            self.ended = Some(Ended::Idle);
        }
    }

    fn take(&mut self, mut message: Message) {
        let bell = match message.sender() {
            // The queues are looked after in any case.
            None if message.completion() == Some(queues::NEWS) => self.bell,
            None => Some(self.bell.unwrap_or(0)),
            Some(sender) => {
                let reply = message.take_reply();
                if message.id() == admin::ID {
                    self.manage(&message, sender, reply);
                } else {
                    self.answer(message, sender, reply);
                }
                self.bell
            }
        };
        match bell {
            Some(passed) if passed >= LOOK_AFTER => self.look(),
            bell => self.bell = bell.map(|passed| passed + 1),
        }
    }

    // ---- bells -------------------------------------------------------------

    /// A bell was rung: what has happened?
    fn look(&mut self) {
        if self.bell.take().is_none() {
            return;
        }
        for number in self.reaper.ended() {
            if let Some(id) = self.programs.iter().position(|program| program.is_child(number)) {
                self.child_ended(ProgramId(id));
            }
        }
        self.names.free_dead();
    }

    fn child_ended(&mut self, id: ProgramId) {
        let Some(program) = self.programs.get_mut(id.0) else { return };
        let Some(end) = program.reap() else { return };
        let now = Instant::now();
        self.orders.down(id, program.supervision.starts(), &end.reason);
        self.attends_no_more(id);
        let Some(program) = self.programs.get(id.0) else { return };
        let held_back = program.supervision.held_back(now);
        let mut again = false;
        for name in program.names.clone() {
            // The port may die a moment after its process.
            self.names.free(&name);
            if !end.checked_in.contains(&name) {
                self.tell_not_started(&name, &end.reason);
            } else if let Some(reason) = &held_back {
                self.tell_not_started(&name, reason);
            } else {
                // It was ready once. Who asked since then asked for the next.
                again |= self.waits.any(&name);
            }
        }
        if again && let Some(program) = self.programs.get_mut(id.0) {
            program.supervision.want();
        }
        self.supervise(id, now);
    }

    /// Does what is due for a program.
    fn supervise(&mut self, id: ProgramId, now: Instant) {
        let Some(program) = self.programs.get_mut(id.0) else { return };
        match program.supervision.act(now) {
            None => {}
            Some(Act::Start) => self.start(id),
            Some(Act::Terminate) => program.terminate(),
            Some(Act::Kill) => program.kill(),
        }
    }

    /// Starts a program; where that fails, everybody who waits is told.
    fn start(&mut self, id: ProgramId) {
        self.children += 1;
        let number = self.children;
        let Some(program) = self.programs.get_mut(id.0) else { return };
        let Ok(bell) = self.port.make_send_once() else { return };
        let log = program.log_bytes.map(|most| self.logs.open(id.0, most)).transpose();
        let reaper = &mut self.reaper;
        let started = match log {
            Ok(log) => program.start(&self.task, &self.right, number, log, |child| {
                reaper.watch(number, child, bell)
            }),
            Err(error) => Err(program.not_started(&no_log(&error))),
        };
        if let Err(reason) = started {
            self.orders.down(id, program.supervision.starts() + 1, &reason);
            for name in program.names.clone() {
                self.tell_not_started(&name, &reason);
            }
        }
    }

    fn tell_not_started(&mut self, name: &str, reason: &str) {
        for reply in self.waits.take(name) {
            self.answers.refuse(Some(reply), Refused::NotStarted(reason.to_owned()));
        }
    }

    // ---- requests ------------------------------------------------------------

    fn answer(&mut self, mut message: Message, sender: Identity, reply: Option<SendOnceRight>) {
        let outcome = match read(&mut message) {
            Ok((Request::CheckIn { name }, Some(right))) => self.check_in(&name, right, sender),
            Ok((Request::Register { name }, Some(right))) => self.hold(&name, right, sender),
            Ok((Request::Unregister { name }, None)) => self.unregister(&name, sender),
            Ok((Request::LookUp { name, start, wait_ns }, None)) => {
                self.look_up(&name, start, wait_ns, sender, reply);
                return;
            }
            Ok((Request::Attend { name }, None)) => {
                self.attend(&name, sender, reply);
                return;
            }
            Ok((Request::List { after }, None)) => {
                self.list(after.as_deref(), reply);
                return;
            }
            Ok((Request::Stop, None)) => self.stop(sender),
            Ok(_) => Err(Refused::BadRequest),
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(()) => self.answers.send(reply, &Answer::Done),
            Err(reason) => self.answers.refuse(reply, reason),
        }
    }

    fn check_in(&mut self, name: &str, right: SendRight, sender: Identity) -> Result<(), Refused> {
        // Ready is who reads the port, and nobody else can say so.
        if !right.is_dead() && right.owner() != Some(sender.task) {
            return Err(Refused::NotAllowed);
        }
        self.hold(name, right, sender)
    }

    fn hold(&mut self, name: &str, right: SendRight, sender: Identity) -> Result<(), Refused> {
        let program = self.may_take(name, sender)?;
        if right.is_dead() {
            // It was ready, and ended before we heard of it.
            self.names.free(name);
            return Ok(());
        }
        if self.names.hold(name, right.clone(), sender)?
            && let Ok(bell) = self.port.make_send_once()
        {
            // It fails only in a forked child, which does not come here.
            let _ = right.notify_dead(bell);
        }
        if let Some(id) = program {
            self.is_ready(id, name);
        }
        for reply in self.waits.take(name) {
            self.send_right(Some(reply), right.clone());
        }
        Ok(())
    }

    /// A program has checked in.
    fn is_ready(&mut self, id: ProgramId, name: &str) {
        let Some(program) = self.programs.get_mut(id.0) else { return };
        program.checked_in(name);
        if program.supervision.doing(Instant::now()) == Doing::Up {
            self.orders.up(id, program.supervision.starts());
        }
    }

    /// Whether `sender` may put a right under `name`, and for which program.
    fn may_take(&mut self, name: &str, sender: Identity) -> Result<Option<ProgramId>, Refused> {
        let Some(known) = self.names.get(name) else { return Ok(None) };
        if known.queue.is_some() {
            // The port is the server's own.
            return Err(Refused::NotAllowed);
        }
        let program = known.program;
        let other = known.holder.as_ref().filter(|holder| !holder.is(sender.task));
        let other = other.map(|holder| holder.who.task);
        if let Some(id) = program {
            // The child is not reaped, so nobody else has its number.
            let child = self.programs.get(id.0).and_then(Program::pid);
            if child != Some(sender.pid) {
                return Err(Refused::NotAllowed);
            }
        }
        let lives = |task| {
            task == self.task.identity().task
                || self.task.peers().iter().any(|peer| peer.identity().task == task)
        };
        if other.is_some_and(lives) { Err(Refused::InUse) } else { Ok(program) }
    }

    fn unregister(&mut self, name: &str, sender: Identity) -> Result<(), Refused> {
        let holder = self.names.get(name).and_then(|known| known.holder.as_ref());
        if !holder.ok_or(Refused::NoSuchName)?.is(sender.task) {
            return Err(Refused::NotAllowed);
        }
        self.names.free(name);
        Ok(())
    }

    fn look_up(
        &mut self,
        name: &str,
        start: bool,
        wait_ns: Option<u64>,
        sender: Identity,
        reply: Option<SendOnceRight>,
    ) {
        let known = self.names.get(name);
        if let Some((queue, id)) = known.and_then(|known| Some((known.queue?, known.program?))) {
            self.look_up_queue(queue, id, start, reply);
            return;
        }
        let right =
            known.and_then(|known| known.holder.as_ref()).map(|holder| holder.right.clone());
        let program = known.and_then(|known| known.program);
        match (right, program) {
            (Some(right), _) => self.send_right(reply, right),
            (None, Some(id)) if start => self.wait_for(name, id, wait_ns, sender, reply),
            (None, _) => self.answers.refuse(reply, Refused::NoSuchName),
        }
    }

    /// A send right to a queue, at once. Its service is started when something is in it.
    fn look_up_queue(
        &mut self,
        queue: QueueId,
        id: ProgramId,
        start: bool,
        reply: Option<SendOnceRight>,
    ) {
        let Some(supervision) = self.programs.get(id.0).map(|program| &program.supervision) else {
            return;
        };
        let now = Instant::now();
        let doing = supervision.doing(now);
        let right = self.queues.right(queue).filter(|_| start || doing == Doing::Up).cloned();
        let held_back = supervision.held_back(now).filter(|_| start);
        match (held_back, right) {
            (Some(reason), _) => self.answers.refuse(reply, Refused::NotStarted(reason)),
            (None, Some(right)) => self.send_right(reply, right),
            (None, None) => self.answers.refuse(reply, Refused::NoSuchName),
        }
    }

    /// Lets a look-up wait, and starts the program if it does not run.
    fn wait_for(
        &mut self,
        name: &str,
        id: ProgramId,
        wait_ns: Option<u64>,
        sender: Identity,
        reply: Option<SendOnceRight>,
    ) {
        let (Some(reply), Some(program)) = (reply, self.programs.get(id.0)) else { return };
        let now = Instant::now();
        let runs = program.pid().is_some();
        if !runs && let Some(reason) = program.supervision.held_back(now) {
            self.answers.refuse(Some(reply), Refused::NotStarted(reason));
            return;
        }
        // A span the clock cannot say is as good as none.
        let due = wait_ns.and_then(|ns| now.checked_add(Duration::from_nanos(ns)));
        if let Err(reply) = self.waits.add(name, sender.task, due, reply) {
            self.answers.refuse(Some(reply), Refused::NoRoom);
            return;
        }
        if let Some(program) = self.programs.get_mut(id.0) {
            program.supervision.want();
        }
        self.supervise(id, now);
    }

    fn send_right(&mut self, reply: Option<SendOnceRight>, right: SendRight) {
        let message = encode_answer(&Answer::Right).with_right(right);
        self.answers.send_rights(reply, message, Answer::Refused(Refused::Deadline));
    }

    fn list(&mut self, after: Option<&str>, reply: Option<SendOnceRight>) {
        // Their bells may not have been followed yet.
        self.names.free_dead();
        let mut names = self.names.after(after);
        let mut page = Vec::new();
        let mut rights = Vec::new();
        for (name, known) in names.by_ref().take(PAGE_NAMES) {
            let (service, right) = self.service(name, known);
            page.push(service);
            rights.extend(right);
        }
        let more = names.next().is_some();
        drop(names);
        let answer = Answer::Names { names: page, more };
        let message = rights.into_iter().fold(encode_answer(&answer), Message::with_right);
        // One owner that does not listen keeps no list from anybody: then it
        // comes without rights.
        self.answers.send_rights(reply, message, answer);
    }

    fn service(&self, name: &str, known: &Name) -> (Service, Option<SendRight>) {
        let holder = known.holder.as_ref();
        if let Some(service) = self.queue_service(name, known) {
            return service;
        }
        let right = holder.filter(|holder| holder.is_confirmed()).map(|holder| &holder.right);
        let runs = known
            .program
            .and_then(|id| self.programs.get(id.0))
            .is_some_and(|program| program.pid().is_some());
        let state = match (right, holder) {
            (Some(_), _) => ServiceState::Running,
            // It has a holder, whose owner has not said yes to us.
            (None, Some(_)) => ServiceState::Starting,
            (None, None) if runs => ServiceState::Starting,
            (None, None) => ServiceState::OnDemand,
        };
        let who = right.and(holder).map(|holder: &Holder| holder.who);
        let service = Service {
            name: name.to_owned(),
            state,
            pid: who.map(|who| who.pid),
            uid: who.map(|who| who.uid),
        };
        (service, right.cloned())
    }

    fn stop(&mut self, sender: Identity) -> Result<(), Refused> {
        if sender.uid != self.task.identity().uid {
            return Err(Refused::NotAllowed);
        }
        self.ended = Some(Ended::Stopped);
        Ok(())
    }
}

/// Reads a request, and the right that came with it.
fn read(message: &mut Message) -> Result<(Request, Option<SendRight>), Refused> {
    let long = message.body().len() > REQUEST_BYTES;
    if long || message.is_body_lost() || !message.descriptors().is_empty() {
        return Err(Refused::BadRequest);
    }
    let request = decode_request(message)?;
    match &request {
        Request::CheckIn { name }
        | Request::Register { name }
        | Request::Unregister { name }
        | Request::Attend { name }
        | Request::LookUp { name, .. }
        | Request::List { after: Some(name) } => {
            check_name(name.as_bytes()).map_err(|_| Refused::BadName)?;
        }
        _ => {}
    }
    let mut rights = message.take_rights();
    let right = rights.pop();
    match (right.map(pillarbox::Right::into_send), rights.is_empty()) {
        (None, _) => Ok((request, None)),
        (Some(Ok(right)), true) => Ok((request, Some(right))),
        (Some(_), _) => Err(Refused::BadRequest),
    }
}

/// When there has been nobody long enough.
#[derive(Debug)]
struct Idle {
    span: Duration,
    /// Since when there has been nobody, as far as was looked.
    since: Option<Instant>,
    next: Instant,
}

impl Idle {
    fn new(span: Duration) -> Self {
        let now = Instant::now();
        // A span the clock cannot say never ends; a year is as good.
        let span = span.min(Duration::from_secs(365 * 24 * 3600));
        Idle { span, since: Some(now), next: now + span }
    }

    /// Notes whether anybody is there, and when to look again.
    fn is_over(&mut self, now: Instant, nobody: bool) -> bool {
        if !nobody {
            self.since = None;
            self.next = now + (self.span / 8).max(Duration::from_millis(1));
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.next = since + self.span;
        self.next <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_over_a_span_after_the_last_look_that_found_somebody() {
        let span = Duration::from_secs(8);
        let mut idle = Idle::new(span);
        let start = idle.next - span;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!idle.is_over(at(1), false));
        assert_eq!(idle.next, at(2));
        assert!(!idle.is_over(at(2), true));
        assert_eq!(idle.next, at(10));
        assert!(!idle.is_over(at(9), true));
        assert!(idle.is_over(at(10), true));
    }

    #[test]
    fn another_user_does_not_stop_the_server() {
        let task = Task::new();
        let mut keeper = Keeper::new(Server::new(&task).unwrap());
        let own = task.identity();
        let other = Identity { uid: own.uid + 1, ..own };
        assert_eq!(keeper.stop(other), Err(Refused::NotAllowed));
        assert_eq!(keeper.ended, None);
        assert_eq!(keeper.stop(own), Ok(()));
        assert_eq!(keeper.ended, Some(Ended::Stopped));
    }
}
