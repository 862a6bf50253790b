//! Looking names up, and listing them.

use std::time::{Duration, Instant};

use pillarbox::bootstrap::{Answer, Refused, Service, ServiceState, encode_answer};
use pillarbox::{Message, SendOnceRight, SendRight, TaskId};

use super::Keeper;
use crate::audit::Attempt;
use crate::authority::{Caller, may_look_up};
use crate::limits::PAGE_NAMES;
use crate::names::{Holder, Name};
use crate::program::ProgramId;
use crate::queues::QueueId;
use crate::supervision::Doing;

impl Keeper {
    pub(super) fn look_up(
        &mut self,
        name: &str,
        start: bool,
        wait_ns: Option<u64>,
        caller: &Caller,
        reply: Option<SendOnceRight>,
    ) {
        let known = self.names.get(name);
        let verdict = may_look_up(known.and_then(|known| known.guard.as_deref()), name, caller);
        // That nobody has a name is no grant of anything.
        if known.is_some() || verdict.is_err() {
            self.audit.note(caller, Attempt::LookUp, name, &verdict);
        }
        if let Err(ground) = verdict {
            return self.answers.refuse(reply, ground.refusal());
        }
        if let Some((queue, id)) = known.and_then(|known| Some((known.queue?, known.program?))) {
            self.look_up_queue(queue, id, start, reply);
            return;
        }
        let right =
            known.and_then(|known| known.holder.as_ref()).map(|holder| holder.right.clone());
        let program = known.and_then(|known| known.program);
        match (right, program) {
            (Some(right), _) => self.send_right(reply, right),
            (None, Some(id)) if start => self.wait_for(name, id, wait_ns, caller.who.task, reply),
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
        from: TaskId,
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
        if let Err(reply) = self.waits.add(name, from, due, reply) {
            self.answers.refuse(Some(reply), Refused::NoRoom);
            return;
        }
        if let Some(program) = self.programs.get_mut(id.0) {
            program.supervision.want();
        }
        self.supervise(id, now);
    }

    pub(super) fn send_right(&mut self, reply: Option<SendOnceRight>, right: SendRight) {
        let message = encode_answer(&Answer::Right).with_right(right);
        self.answers.send_rights(reply, message, Answer::Refused(Refused::Deadline));
    }

    /// The names that the caller may look up.
    pub(super) fn list(
        &mut self,
        after: Option<&str>,
        caller: &Caller,
        reply: Option<SendOnceRight>,
    ) {
        // Their bells may not have been followed yet.
        self.names.free_dead();
        let seen = |(name, known): &(&str, &Name)| {
            may_look_up(known.guard.as_deref(), name, caller).is_ok()
        };
        let mut names = self.names.after(after).filter(seen);
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
}
