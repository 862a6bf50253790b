//! Looking names up, and listing them.

use std::ops::Bound;
use std::time::{Duration, Instant};

use pillarbox::bootstrap::{Answer, NameState, Refused, Service, ServiceState, encode_answer};
use pillarbox::{Message, SendOnceRight, SendRight, TaskId};

use super::Keeper;
use super::narrowing::Pass;
use crate::audit::Attempt;
use crate::authority::{Caller, may_look_up};
use crate::limits::PAGE_NAMES;
use crate::names::{Holder, Name};
use crate::program::ProgramId;
use crate::step::{self, Rule};
use crate::supervision::Doing;

impl Keeper {
    /// Finds a right. With patience, what can be started is started and waited for, so
    /// long or for ever.
    pub(super) fn look_up(
        &mut self,
        name: &str,
        patience: Option<Option<u64>>,
        caller: &Caller,
        pass: Pass,
        reply: Option<SendOnceRight>,
    ) {
        let known = self.names.get(name);
        let guard = known.and_then(|known| known.guard.as_deref());
        let verdict = pass.or(|| may_look_up(guard, name, caller));
        // That nobody has a name is no grant of anything.
        if known.is_some() || verdict.is_err() {
            self.audit.note(caller, Attempt::LookUp, name, &verdict);
        }
        if let Err(ground) = verdict {
            return self.answers.refuse(reply, ground.refusal());
        }
        let Some(known) = known else {
            return self.answers.refuse(reply, Refused::NoSuchName);
        };
        if let (Some(queue), Some(id)) = (known.queue, known.program) {
            let right = pass.right.or_else(|| self.queues.right(queue).cloned());
            return self.look_up_queue(id, right, patience.is_some(), reply);
        }
        let right = known.holder.as_ref().map(|holder| &holder.right);
        match (pass.right.or(right.cloned()), known.program, patience) {
            (Some(right), _, _) => self.send_right(reply, right),
            (None, Some(id), Some(wait_ns)) => {
                self.wait_for(name, id, wait_ns, caller.who.task, reply);
            }
            (None, _, _) => self.answers.refuse(reply, Refused::NoSuchName),
        }
    }

    /// A send right to a queue, at once. Its service is started when something is in it.
    fn look_up_queue(
        &mut self,
        id: ProgramId,
        right: Option<SendRight>,
        start: bool,
        reply: Option<SendOnceRight>,
    ) {
        let Some(supervision) = self.programs.get(id.0).map(|program| &program.supervision) else {
            return;
        };
        let now = Instant::now();
        let doing = supervision.doing(now);
        let right = right.filter(|_| start || doing == Doing::Up);
        let held_back = supervision.held_back(now).filter(|_| start);
        match (held_back, right) {
            (Some(reason), _) => self.answers.refuse(reply, Refused::NotStarted(reason)),
            (None, Some(right)) => self.send_right(reply, right),
            (None, None) => self.answers.refuse(reply, Refused::NoSuchName),
        }
    }

    /// Tells how it stands with a name, when that is other than is known.
    pub(super) fn watch(
        &mut self,
        name: &str,
        known: Option<NameState>,
        caller: &Caller,
        pass: &Pass,
        reply: Option<SendOnceRight>,
    ) {
        let guard = self.names.get(name).and_then(|known| known.guard.as_deref());
        let verdict = pass.or(|| may_look_up(guard, name, caller));
        // Each wait is a question; the first stands for all.
        if known.is_none() || verdict.is_err() {
            self.audit.note(caller, Attempt::Watch, name, &verdict);
        }
        if let Err(ground) = verdict {
            return self.answers.refuse(reply, ground.refusal());
        }
        let Some(reply) = reply else { return };
        let now = self.names.state(name);
        if known != Some(now) {
            return self.answers.send(Some(reply), &Answer::Name(now));
        }
        if let Err(reply) = self.watches.add(name, caller.who.task, now, reply) {
            self.answers.refuse(Some(reply), Refused::NoRoom);
        }
    }

    /// Somebody has a name, or nobody has it any more.
    pub(super) fn tell_watchers(&mut self, name: &str) {
        let now = self.names.state(name);
        for reply in self.watches.take(name, now) {
            self.answers.send(Some(reply), &Answer::Name(now));
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
        if runs && !step::holds(Rule::OneChild) {
            self.start(id);
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
        let mut seen: Box<dyn Iterator<Item = (&str, &Name, Pass)>> = match &caller.view {
            None => Box::new(self.names.after(after).map(|(name, known)| {
                let pass = Pass::default();
                (name, known, pass)
            })),
            Some(view) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let listed = view.names.range::<str, _>((from, Bound::Unbounded));
                Box::new(listed.filter_map(|(alias, listing)| {
                    let known = self.names.known(&listing.name)?;
                    Some((alias.as_str(), known, listing.pass(view.by)))
                }))
            }
        };
        let may = |name: &str, known: &Name, pass: &Pass| {
            pass.or(|| may_look_up(known.guard.as_deref(), name, caller)).is_ok()
        };
        let mut page = Vec::new();
        let mut rights = Vec::new();
        let mut more = false;
        for (name, known, pass) in seen.by_ref() {
            if !may(name, known, &pass) {
                continue;
            }
            if page.len() == PAGE_NAMES {
                more = true;
                break;
            }
            let (service, right) = self.service(name, known);
            page.push(service);
            rights.extend(right.map(|whole| pass.right.unwrap_or(whole)));
        }
        drop(seen);
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
