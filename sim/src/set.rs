//! Sets of ports: of those that have something each is taken from in turn.
//!
//! A task has one set. Ports join it when they are made or later, and leave it when
//! they go to another task, or end, or at any time.

use std::collections::{BTreeMap, BTreeSet};

use rights::ready::Ready;
use rights::window::Capacity;

use crate::fault::Fault;
use crate::task::TaskNumber;
use crate::world::World;

/// The ports of one set, and who was taken from while each had something.
#[derive(Debug, Default)]
pub(crate) struct PortSet {
    pub(crate) ready: Ready<u32>,
    passed: BTreeMap<u32, BTreeSet<u32>>,
}

impl World {
    /// Something may be ready in a member of a set.
    pub(crate) fn note_ready(&mut self, me: TaskNumber, port: u32) {
        let ready = self.port(me, port).is_some_and(|state| state.queue.has_ready());
        if ready && !self.is(Fault::ReadyUnnoted) {
            self.tasks[me].set.ready.note(port);
        }
    }

    /// A port becomes a member, with all that waits there.
    pub(crate) fn join_set(&mut self, me: TaskNumber, port: u32) {
        let shared = self.tasks[me].shared.as_ref().is_some_and(|shared| shared.port == port);
        let state = self.port(me, port);
        if !shared && state.is_some_and(|state| state.options.capacity != Capacity::Rendezvous) {
            self.tasks[me].set.ready.add(port);
            self.note_ready(me, port);
        }
    }

    /// A port joins the set, or one leaves it.
    fn some_member(&mut self, me: TaskNumber) {
        let Some(port) = self.some_own_port(me) else { return };
        if self.tasks[me].set.ready.iter().any(|member| member == port) {
            self.leave_set(me, port);
        } else {
            self.join_set(me, port);
        }
    }

    pub(crate) fn leave_set(&mut self, me: TaskNumber, port: u32) {
        self.tasks[me].set.ready.remove(port);
        self.tasks[me].set.passed.remove(&port);
    }

    /// Members that have something, and that the user can receive from.
    fn members_with_mail(&self, me: TaskNumber) -> Vec<u32> {
        let task = &self.tasks[me];
        let mut members: Vec<u32> = task
            .set
            .ready
            .iter()
            .filter(|port| {
                task.ports.get(port).is_some_and(|state| {
                    state.alive && state.queue.has_ready() && task.space.contains(&state.receive)
                })
            })
            .collect();
        members.sort_unstable();
        members
    }

    /// Receives from whichever member has its turn.
    pub(crate) fn receive_from_set(&mut self, me: TaskNumber) {
        if self.chance.below(16) == 0 {
            self.some_member(me);
        }
        let waiting = self.members_with_mail(me);
        let mut aside = Vec::new();
        let mut from = None;
        while let Some(port) = self.tasks[me].set.ready.turn() {
            if waiting.contains(&port) {
                from = Some(port);
                break;
            }
            aside.push(port);
        }
        for port in aside {
            // Its receive right is on its way out; if it comes back it is last in line.
            self.tasks[me].set.passed.remove(&port);
            self.note_ready(me, port);
        }
        let Some(from) = from else {
            if let Some(port) = waiting.first() {
                let what = format!("port {port} has a message, and its set of task {me} none");
                self.violated("I6", what);
            }
            return;
        };
        let times = if self.is(Fault::SetGreedy) { 9 } else { 1 };
        for _ in 0..times {
            self.receive(me, from);
            self.figures.from_sets += 1;
            let set = &mut self.tasks[me].set;
            set.passed.remove(&from);
            for port in waiting.iter().filter(|&&port| port != from) {
                if !set.passed.entry(*port).or_default().insert(from) {
                    let what = format!("port {from} of task {me} has two turns before {port}");
                    return self.violated("I6", what);
                }
            }
            if !self.members_with_mail(me).contains(&from) {
                break;
            }
        }
        // Who has nothing is passed by at no cost.
        let now = self.members_with_mail(me);
        self.tasks[me].set.passed.retain(|port, _| now.contains(port));
        self.note_ready(me, from);
    }
}
