//! Queues that are kept for services: who reads them, when a service is wanted because
//! of them, and when it has been idle.

use std::time::Instant;

use pillarbox::bootstrap::{Refused, Service, ServiceState};
use pillarbox::{SendOnceRight, SendRight};

use super::Keeper;
use crate::audit::Attempt;
use crate::authority::{Caller, Ground};
use crate::names::Name;
use crate::program::ProgramId;
use crate::queues::QueueId;
use crate::supervision::Doing;

/// A service that waits until what the last reader had is back.
#[derive(Debug)]
pub(super) struct Attending {
    program: ProgramId,
    queue: QueueId,
    name: String,
    pub(super) reply: SendOnceRight,
}

impl Keeper {
    /// Lets a service read a queue, when nobody else reads it any more.
    pub(super) fn attend(&mut self, name: &str, caller: &Caller, reply: Option<SendOnceRight>) {
        let known = self.names.get(name);
        let Some((queue, program)) = known.and_then(|known| Some((known.queue?, known.program?)))
        else {
            return self.answers.refuse(reply, Refused::NoSuchName);
        };
        let own = caller.program == Some(program);
        let verdict = if own { Ok(Ground::Started) } else { Err(Ground::Program) };
        self.audit.note(caller, Attempt::Attend, name, &verdict);
        if let Err(ground) = verdict {
            return self.answers.refuse(reply, ground.refusal());
        }
        let Some(reply) = reply else { return };
        self.attending.retain(|other| other.queue != queue);
        self.attending.push(Attending { program, queue, name: name.to_owned(), reply });
        self.let_attend();
    }

    /// Answers those whose queue nobody else reads.
    fn let_attend(&mut self) {
        let mut due = Vec::new();
        for attending in std::mem::take(&mut self.attending) {
            let state = self.queues.state(attending.queue);
            let program = self.programs.get(attending.program.0);
            let again = program.is_some_and(|program| program.has_checked_in(&attending.name));
            if again || state.is_some_and(|state| !state.read) {
                due.push(attending);
            } else {
                self.attending.push(attending);
            }
        }
        for Attending { program: id, queue, name, reply } in due {
            let Some(right) = self.queues.reader(queue).cloned() else { continue };
            self.send_right(Some(reply), right);
            self.is_ready(id, &name);
        }
    }

    /// The child of a program has ended: it attends to nothing any more.
    pub(super) fn attends_no_more(&mut self, id: ProgramId) {
        self.attending.retain(|attending| attending.program != id);
    }

    /// What a list says of a name that is one of a queue.
    pub(super) fn queue_service(
        &self,
        name: &str,
        known: &Name,
    ) -> Option<(Service, Option<SendRight>)> {
        let (queue, id) = (known.queue?, known.program?);
        let program = self.programs.get(id.0)?;
        let (state, right) = match program.supervision.doing(Instant::now()) {
            Doing::Up => (ServiceState::Running, self.queues.right(queue).cloned()),
            Doing::Starting => (ServiceState::Starting, None),
            _ => (ServiceState::OnDemand, None),
        };
        let pid = program.pid().filter(|_| right.is_some());
        let uid = pid.map(|_| self.task.identity().uid);
        Some((Service { name: name.to_owned(), state, pid, uid }, right))
    }

    /// Looks after the queues.
    pub(super) fn look_after_queues(&mut self, now: Instant) {
        self.queues.turn(&self.port);
        if !self.attending.is_empty() {
            self.let_attend();
        }
        for program in &mut self.programs {
            let states = program.queues.iter().filter_map(|queue| self.queues.state(*queue));
            let (mut waits, mut busy, mut last) = (false, false, None);
            for state in states {
                waits |= state.held > 0 && !state.read;
                busy |= state.held > 0;
                last = last.max(Some(state.last));
            }
            let doing = program.supervision.doing(now);
            if waits && doing != Doing::Stopped {
                program.supervision.want();
            }
            program.supervision.is_busy_until(if busy { None } else { last });
        }
    }
}
