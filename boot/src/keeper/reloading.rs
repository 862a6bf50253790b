//! Service files that are read anew: what came, what changed, and what is gone.
//!
//! What runs goes on running. A service that has changed is what its file says from its
//! next start on; of its names and rules that is so at once, also where somebody made a
//! restricted right by other rules. One whose file is gone is
//! ended. A file with a mistake changes nothing: what was declared before stays.

use std::sync::Arc;
use std::time::Instant;

use super::Keeper;
use crate::admin::Reloaded;
use crate::authority::Guard;
use crate::program::{Program, ProgramId};
use crate::queues::QueueId;
use crate::service::{Found, Problem, ServiceFile};

impl Keeper {
    /// Reads the files, and does what they say. None where there is nothing to read.
    pub(super) fn reload(&mut self) -> Option<Reloaded> {
        let found = (self.source.as_mut()?.0)();
        let mut done = Reloaded::default();
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                done.wrong.push(format!("the service files cannot be read: {error}"));
                return Some(done);
            }
        };
        let is_gone = |program: &Program| {
            let label = program.label.as_deref();
            label.is_some_and(|label| found.iter().all(|found| found.label != label))
        };
        for id in (0..self.programs.len()).map(ProgramId) {
            let Some(program) = self.programs.get(id.0) else { continue };
            if !program.withdrawn && is_gone(program) {
                done.gone.push(program.called().to_owned());
                self.withdraw(id);
            }
        }
        for Found { path, label, file } in found {
            let shown = path.display();
            let file = match file {
                Ok(file) => file,
                Err(problems) => {
                    let told = problems.iter().map(|Problem { line, column, what, .. }| {
                        format!("{shown}:{line}:{column}: {what}")
                    });
                    done.wrong.extend(told);
                    continue;
                }
            };
            match self.declare(&label, file) {
                Ok(None) => {}
                Ok(Some(true)) => done.added.push(label),
                Ok(Some(false)) => done.changed.push(label),
                Err(why) => done.wrong.push(format!("{shown}:1:1: {why}")),
            }
        }
        Some(done)
    }

    /// Declares a service, or declares it anew. Whether it was added; none where it is what
    /// it was.
    fn declare(&mut self, label: &str, file: ServiceFile) -> Result<Option<bool>, String> {
        let declared = self
            .programs
            .iter()
            .position(|program| !program.withdrawn && program.label.as_deref() == Some(label));
        let before = declared.and_then(|id| self.programs.get(id));
        if before.is_some_and(|program| program.file.as_deref() == Some(&file)) {
            return Ok(None);
        }
        // A name that was a queue's and is a port's now is another.
        let kept = |name: &String, queue: bool| {
            before.and_then(|program| program.file.as_deref()).is_some_and(|before| {
                let before = if queue { before.queues() } else { before.names() };
                before.contains(name)
            })
        };
        let ports = file.names().iter().map(|name| (name.clone(), false));
        let queues = file.queues().iter().map(|name| (name.clone(), true));
        let (same, new): (Vec<_>, Vec<_>) =
            ports.chain(queues).partition(|(name, queue)| kept(name, *queue));
        let own = before.map(|program| program.names.clone()).unwrap_or_default();
        let before_file = before.and_then(|program| program.file.clone());
        for (name, _) in new.iter().filter(|(name, _)| !own.contains(name)) {
            if self.names.get(name).is_some() {
                return Err(format!("{name} is somebody else's"));
            }
        }
        if !self.names.has_room(new.len()) {
            return Err(crate::OnDemandError::TooMany.to_string());
        }
        let id = match declared {
            Some(id) => ProgramId(id),
            None => self.place(),
        };
        for name in own.iter().filter(|name| same.iter().all(|(same, _)| same != *name)) {
            self.let_name_go(name, "its file does not name it any more");
        }
        for (name, queue) in &new {
            let queue = match queue {
                true => Some(
                    self.queues
                        .add(&self.task, file.queue_messages)
                        .map_err(|error| format!("no queue could be made: {error}"))?,
                ),
                false => None,
            };
            let _ = self.names.provide(name, id, queue);
        }
        let rules = |before: &ServiceFile| before.access.look_up != file.access.look_up;
        if before_file.is_some_and(|before| rules(&before)) {
            // Who made a restricted right might not be let in by the rules of now.
            self.subsets.close(&file.all_names().cloned().collect::<Vec<_>>());
        }
        let guard = Arc::new(Guard { label: label.into(), access: file.access.clone() });
        file.all_names().for_each(|name| self.names.guard(name, &guard));
        let queue_of = |name: &String| self.names.get(name)?.queue;
        let queues: Vec<QueueId> = file.queues().iter().filter_map(queue_of).collect();
        let added = declared.is_none();
        match self.programs.get_mut(id.0) {
            Some(program) if !added => program.declare_anew(file, queues),
            Some(place) => *place = Program::declared(label.to_owned(), file, queues),
            None => self.programs.push(Program::declared(label.to_owned(), file, queues)),
        }
        Ok(Some(added))
    }

    /// Where the next program goes: the place of one that is withdrawn and has ended, so
    /// that reading the files again and again fills nothing.
    fn place(&mut self) -> ProgramId {
        let free = |program: &Program| program.withdrawn && program.pid().is_none();
        match self.programs.iter().position(free) {
            Some(id) => {
                self.logs.forget(id);
                ProgramId(id)
            }
            None => ProgramId(self.programs.len()),
        }
    }

    /// The file of a service is gone: so are its names, and it is told to end.
    fn withdraw(&mut self, id: ProgramId) {
        let Some(program) = self.programs.get_mut(id.0) else { return };
        program.withdrawn = true;
        program.queues.clear();
        let now = Instant::now();
        program.supervision.stop(now);
        for name in std::mem::take(&mut program.names) {
            self.let_name_go(&name, "its file is gone");
        }
        self.attends_no_more(id);
        self.supervise(id, now);
    }

    /// A name is no service's any more. Who waits for it is told; what is in its queue
    /// ends with the queue.
    fn let_name_go(&mut self, name: &str, why: &str) {
        self.tell_not_started(name, why);
        if let Some(queue) = self.names.withdraw(name) {
            self.queues.close(queue);
        }
    }
}
