//! Looking at declared services, and giving orders about them.

use std::time::Instant;

use pillarbox::{Message, SendOnceRight, SendRight, TaskId};

use super::Keeper;
use crate::admin::{Log, Order, Question, ServicePhase, ServiceReport, Told, answer, read};
use crate::answers::at_once;
use crate::audit::Attempt;
use crate::authority::Caller;
use crate::limits::{PAGE_SERVICES, REQUEST_BYTES};
use crate::orders::tell;
use crate::program::{Program, ProgramId};
use crate::supervision::Doing;

impl Keeper {
    /// Answers a question about services, or does what is ordered.
    pub(super) fn manage(
        &mut self,
        mut message: Message,
        caller: &Caller,
        reply: Option<SendOnceRight>,
    ) {
        let long = message.body().len() > REQUEST_BYTES || message.is_body_lost();
        let question = if long { None } else { read(&message) };
        let mut rights = message.take_rights();
        let takes = usize::from(matches!(question, Some(Question::Replace { .. })));
        let question = question.filter(|_| rights.len() == takes);
        let Some(question) = question else {
            if let Some(reply) = reply {
                tell(reply, &Told::BadRequest);
            }
            return;
        };
        let verdict = caller.may_order();
        let (attempt, about) = asked(&question);
        // Who reads the log, or looks on, does not fill it.
        if verdict.is_err()
            || !matches!(attempt, Attempt::Audit | Attempt::Services | Attempt::Look)
        {
            self.audit.note(caller, attempt, about, &verdict);
        }
        let told = match question {
            _ if verdict.is_err() => Told::NotAllowed,
            Question::Services { after } => self.services(after.as_deref()),
            Question::Seen { after } => return self.tell_seen(after, reply),
            Question::Audit { after, wait: false } => Told::Entries(self.audit.after(after)),
            Question::Audit { after, wait: true } => {
                if let Some(reply) = reply {
                    self.audit.wait(after, reply);
                }
                return;
            }
            Question::Order { order, service } => match self.called(&service) {
                Some(id) => return self.order(order, id, reply),
                None => Told::NoSuchService,
            },
            Question::Reload => match self.reload() {
                Some(reloaded) => Told::Reloaded(reloaded),
                None => Told::NothingToReload,
            },
            Question::Replace { version, namespace } => {
                let heir = rights.pop().map(pillarbox::Right::into_send);
                if let (Some(reply), Some(Ok(heir))) = (reply, heir) {
                    self.leave_to((version, namespace), heir, caller.who.pid, reply);
                }
                return;
            }
            Question::Log { service } => match self.called(&service) {
                Some(id) => {
                    let (bytes, lost) = self.logs.of(id.0);
                    Told::Log(Log { bytes, lost })
                }
                None => Told::NoSuchService,
            },
        };
        if let Some(reply) = reply {
            tell(reply, &told);
        }
    }

    /// Keeps the right to look at a task that is one of our children's.
    pub(super) fn see_child(&mut self, looking: Option<SendRight>, caller: &Caller) {
        if let Some(looking) = looking.filter(|_| caller.program.is_some()) {
            self.seen.note(looking, caller.who);
        }
    }

    /// Gives the rights to look at those who have shown themselves, and at the server.
    fn tell_seen(&mut self, after: Option<(u64, u64)>, reply: Option<SendOnceRight>) {
        let Some(reply) = reply else { return };
        if let Ok(own) = self.task.looking() {
            self.seen.note(own, self.task.identity());
        }
        self.seen.free_dead();
        let after = after.map(|(process, number)| TaskId { process, number });
        let (page, more) = self.seen.after(after);
        let tasks = page.iter().map(|task| task.who.into()).collect();
        let message = answer(&Told::Seen { tasks, more });
        let message = page.iter().map(|task| task.right.clone()).fold(message, Message::with_right);
        if let Err(error) = reply.send(message, at_once()) {
            tell(error.right, &Told::NoRoom);
        }
    }

    /// The declared service that is called so, or provides such a name.
    fn called(&mut self, service: &str) -> Option<ProgramId> {
        let labelled =
            |program: &Program| !program.withdrawn && program.label.as_deref() == Some(service);
        if let Some(id) = self.programs.iter().position(labelled) {
            return Some(ProgramId(id));
        }
        let id = self.names.get(service)?.program?;
        self.programs.get(id.0).filter(|program| program.label.is_some()).map(|_| id)
    }

    fn services(&self, after: Option<&str>) -> Told {
        let now = Instant::now();
        let mut services: Vec<(&str, &Program)> = self
            .programs
            .iter()
            .filter(|program| !program.withdrawn)
            .filter_map(|program| Some((program.label.as_deref()?, program)))
            .filter(|(label, _)| after.is_none_or(|after| *label > after))
            .collect();
        services.sort_by_key(|(label, _)| *label);
        let more = services.len() > PAGE_SERVICES;
        let page = services.iter().take(PAGE_SERVICES);
        let services = page.map(|(label, program)| report(label, program, now)).collect();
        Told::Services { services, more }
    }

    fn order(&mut self, order: Order, id: ProgramId, reply: Option<SendOnceRight>) {
        let now = Instant::now();
        let Some(program) = self.programs.get_mut(id.0) else { return };
        let supervision = &mut program.supervision;
        let before = supervision.doing(now);
        // The start that this is about.
        let mut start = supervision.starts() + 1;
        let done = match order {
            Order::Start => {
                supervision.start();
                if before == Doing::Starting {
                    start -= 1;
                }
                before == Doing::Up
            }
            Order::Stop => {
                supervision.stop(now);
                program.pid().is_none()
            }
            Order::Restart => {
                supervision.restart(now);
                false
            }
        };
        match reply {
            Some(reply) if done => tell(reply, &Told::Done),
            Some(reply) => self.orders.add(id, order, start, reply),
            None => {}
        }
        if order == Order::Stop {
            for name in program.names.clone() {
                self.tell_not_started(&name, "it was stopped by hand");
            }
        }
        self.supervise(id, now);
    }
}

/// What is wanted, and of which service.
fn asked(question: &Question) -> (Attempt, &str) {
    match question {
        Question::Services { .. } => (Attempt::Services, ""),
        Question::Audit { .. } => (Attempt::Audit, ""),
        Question::Seen { .. } => (Attempt::Look, ""),
        Question::Reload => (Attempt::Reload, ""),
        Question::Replace { .. } => (Attempt::Replace, ""),
        Question::Log { service } => (Attempt::Logs, service),
        Question::Order { order, service } => {
            let attempt = match order {
                Order::Start => Attempt::Start,
                Order::Stop => Attempt::Stop,
                Order::Restart => Attempt::Restart,
            };
            (attempt, service)
        }
    }
}

fn report(label: &str, program: &Program, now: Instant) -> ServiceReport {
    let supervision = &program.supervision;
    ServiceReport {
        label: label.to_owned(),
        names: program.names.clone(),
        phase: match supervision.doing(now) {
            Doing::Down => ServicePhase::Down,
            Doing::Stopped => ServicePhase::Stopped,
            Doing::BackingOff(left) => {
                let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                ServicePhase::BackingOff { left_ms }
            }
            Doing::Starting => ServicePhase::Starting,
            Doing::Up => ServicePhase::Up,
            Doing::Ending => ServicePhase::Ending,
        },
        pid: program.pid(),
        starts: supervision.starts(),
        last_end: supervision.last_end().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use pillarbox::{Capacity, Deadline, Identity, Task};

    use super::*;
    use crate::Server;
    use crate::admin::ID;

    #[test]
    fn another_user_looks_at_no_task() {
        let task = Task::new();
        let mut keeper = Keeper::new(Server::new(&task).unwrap());
        let inbox = task.port(Capacity::Bounded(2));
        let own = task.identity();
        let other = Identity { uid: own.uid + 1, ..own };
        let question = || {
            let body = postcard::to_stdvec(&Question::Seen { after: None }).unwrap();
            Message::new(body).with_id(ID)
        };
        let mut told = |sender| {
            let caller = keeper.caller(0, sender);
            keeper.manage(question(), &caller, Some(inbox.make_send_once().unwrap()));
            let answer = inbox.receive(Deadline::Now).unwrap();
            (postcard::from_bytes::<Told>(answer.body()).unwrap(), answer.rights().len())
        };
        assert_eq!(told(other), (Told::NotAllowed, 0));
        let (seen, rights) = told(own);
        assert!(matches!(seen, Told::Seen { tasks, more: false } if tasks.len() == 1));
        assert_eq!(rights, 1);
    }
}
