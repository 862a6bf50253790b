//! Programs, from their start to their end: what is due for each, and what a bell has told.

use std::time::Instant;

use pillarbox::Listening;
use pillarbox::bootstrap::Refused;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Keeper;
use crate::cgroup::{Bounded, Cgroups};
use crate::event::Event;
use crate::program::{Program, ProgramId, Start, no_log};
use crate::step::{self, Rule, Step};
use crate::supervision::Act;

impl Keeper {
    /// A bell was rung: what has happened?
    pub(super) fn look(&mut self) {
        if self.bell.take().is_none() {
            return;
        }
        for number in self.reaper.ended() {
            if let Some(id) = self.programs.iter().position(|program| program.is_child(number)) {
                self.child_ended(ProgramId(id));
            } else if let Some(process) = self.expected.ended(number) {
                self.names.free_all_of(process);
                self.seen.free_of(process);
            }
        }
        self.names.free_dead();
        self.seen.free_dead();
    }

    pub(super) fn child_ended(&mut self, id: ProgramId) {
        let Some(program) = self.programs.get_mut(id.0) else { return };
        step::before(Step::Reap);
        let Some(end) = program.reap() else { return };
        self.running.remove(&end.process);
        let now = Instant::now();
        if let Some(told) = &mut self.told {
            let was_ready = !end.checked_in.is_empty();
            let service = program.called();
            (told.0)(&Event::Ended { service, reason: &end.reason, was_ready });
        }
        self.orders.down(id, program.supervision.starts(), &end.reason);
        self.attends_no_more(id);
        let Some(program) = self.programs.get(id.0) else { return };
        let held_back = program.supervision.held_back(now);
        let mut again = false;
        for name in program.names.clone() {
            // The port may die a moment after its process.
            self.names.free_of(&name, end.process);
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
    pub(super) fn supervise(&mut self, id: ProgramId, now: Instant) {
        let Some(program) = self.programs.get_mut(id.0) else { return };
        match program.supervision.act(now) {
            None => {}
            Some(Act::Start) => self.start(id),
            Some(act) => {
                step::before(Step::End);
                if act == Act::Terminate { program.terminate() } else { program.kill() }
            }
        }
    }

    /// Starts a program; where that fails, everybody who waits is told.
    pub(super) fn start(&mut self, id: ProgramId) {
        self.children += 1;
        let number = self.children;
        let Some(right) = self.right_of(id) else { return };
        let Some(program) = self.programs.get_mut(id.0) else { return };
        let Ok(bell) = self.port.make_send_once() else { return };
        let log = program.log_bytes.map(|most| self.logs.open(id.0, most)).transpose();
        step::before(Step::Start);
        let reaper = &mut self.reaper;
        let place = self.listening.first().map(Listening::path);
        let started = match log {
            Ok(log) => {
                let bounded = bounded(&mut self.cgroups, program);
                if let (Some(told), Some(reason)) = (&mut self.told, bounded.reason())
                    && !program.is_bound()
                {
                    let service = program.called();
                    (told.0)(&Event::Unbounded { service, reason: &reason });
                }
                let task = &self.task;
                let start = Start { task, right: &right, number, place, log, bounded };
                program.start(start, |child| {
                    step::before(Step::Watch);
                    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
                    reaper.watch(number, (process, false), bell)
                })
            }
            Err(error) => Err(program.not_started(&no_log(&error))),
        };
        if let Some(process) = program.process() {
            self.running.insert(process, id);
        }
        if let Some(told) = &mut self.told {
            let service = program.called();
            (told.0)(&match (&started, program.pid()) {
                (Err(reason), _) => Event::NotStarted { service, reason },
                (Ok(()), pid) => Event::Started { service, pid: pid.unwrap_or(0) },
            });
        }
        if let Err(reason) = started {
            self.orders.down(id, program.supervision.starts() + 1, &reason);
            for name in program.names.clone() {
                self.tell_not_started(&name, &reason);
            }
        }
    }

    pub(super) fn tell_not_started(&mut self, name: &str, reason: &str) {
        if !step::holds(Rule::WaitersAreTold) {
            return;
        }
        for reply in self.waits.take(name) {
            self.answers.refuse(Some(reply), Refused::NotStarted(reason.to_owned()));
        }
    }
}

/// The leaf that a program is started in, where its file asks for one.
fn bounded(cgroups: &mut Result<Cgroups, String>, program: &Program) -> Bounded {
    let bounds = program.file.as_ref().and_then(|file| file.bounds.as_ref());
    match (bounds, cgroups) {
        (None, _) => Bounded::default(),
        (Some(_), Err(why)) => Bounded::lacking(why.clone()),
        (Some(bounds), Ok(cgroups)) => cgroups.leaf(program.called(), bounds),
    }
}
