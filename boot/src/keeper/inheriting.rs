//! Taking in what the server before us had.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::time::Instant;

use pillarbox::shared::Held;
use pillarbox::{Deadline, Descriptor, Identity, Message, ReceiveRight, Right, SendRight, TaskId};

use super::Keeper;
use crate::event::Event;
use crate::expected::{self, Fate};
use crate::limits::HAND_OVER;
use crate::names::Holder;
use crate::program::{Program, ProgramId};
use crate::running::Running;
use crate::step::{self, Rule, Step};
use crate::subsets::{By, Listing, View};
use crate::succession::{Inherited, Lists, Part, Runs, SaidRule};
use crate::supervision::{Carried, End};

/// How one has ended whose process did not come along.
const LOST: &str = "an unknown status: its process was lost on the way to this server";

impl Keeper {
    /// Goes on where another has ended, and tells it so.
    pub(super) fn inherit(&mut self, inherited: Inherited) {
        let Inherited { parts, before, taken } = inherited;
        self.before = Some(before);
        self.take_in(parts, Some(before));
        if let Some(taken) = taken {
            step::before(Step::Word);
            // It ends without the word, too, a while later.
            let _ = taken.send(Message::default(), Deadline::after(HAND_OVER));
        }
    }

    /// Takes back all that lies in the queue of a port, and what there was no room for.
    pub(super) fn take_in_all(&mut self, rest: ReceiveRight, left: Vec<Message>) {
        let parts = std::iter::from_fn(|| rest.receive(Deadline::Now).ok());
        self.take_in(parts.chain(left).collect(), None);
    }

    fn take_in(&mut self, parts: Vec<Message>, before: Option<TaskId>) {
        let mut parts = parts.into_iter();
        while let Some(mut message) = parts.next() {
            // What is said in other words than ours is passed over.
            let Some(part) = Part::read(&message) else { continue };
            step::before(Step::TakeIn);
            match part {
                Part::Name { name, who, since } => {
                    if let Some(right) = send_right(&mut message) {
                        let expected = Some(Instant::now() + HAND_OVER);
                        let who = who.into();
                        self.take_in_name(&name, Holder { right, who, since, expected });
                    }
                }
                Part::Seen { who } => {
                    if let Some(right) = send_right(&mut message) {
                        self.seen.adopt(right, who.into());
                    }
                }
                Part::Program { label, names, leads, runs, supervision, said } => {
                    let key = (label, names);
                    let came = descriptors(&mut message);
                    self.take_in_program(key, leads, runs, supervision, said, came);
                }
                Part::Audited { kept, lost } => self.audit.adopt(kept, lost),
                Part::Subset { maker, by, lists } => {
                    self.take_in_subset((maker, by, lists), before.is_some(), message);
                }
                Part::Queue { name, held } => {
                    let port = message.take_rights().pop().map(Right::into_receive);
                    let held = take_held(&mut parts, held);
                    let queue = self.names.known(&name).and_then(|known| known.queue);
                    // Of one that is declared no more the end is told by that of its port.
                    if let (Some(Ok(port)), Some(queue)) = (port, queue) {
                        self.queues.put_in(queue, (port, held), before);
                    }
                }
                Part::Begin | Part::Held { .. } => {}
            }
        }
    }

    fn take_in_name(&mut self, name: &str, holder: Holder) {
        if let Ok(bell) = self.port.make_send_once() {
            let _ = holder.right.notify_dead(bell);
        }
        if !step::holds(Rule::NamesGoAlong) {
            return;
        }
        let who = holder.who;
        self.names.adopt(name, holder);
        if who.task.process != self.task.identity().task.process {
            self.watch_expected(who);
        }
    }

    /// Has the end of a process told that is not linked with us yet: no hang-up tells it.
    fn watch_expected(&mut self, who: Identity) {
        let process = who.task.process;
        if self.expected.has(process) {
            return;
        }
        match expected::find(who) {
            Fate::Lives(its) => {
                let Ok(bell) = self.port.make_send_once() else { return };
                self.children += 1;
                // Where it cannot be watched it is given up after a while, as ever.
                if self.reaper.watch(self.children, (its, false), bell).is_ok() {
                    self.expected.watch(process, self.children, Instant::now());
                }
            }
            Fate::Ended => {
                self.names.free_all_of(process);
                self.seen.free_of(process);
            }
            Fate::Unknown => {}
        }
    }

    fn take_in_program(
        &mut self,
        key: (Option<String>, Vec<String>),
        leads: bool,
        runs: Option<Runs>,
        carried: Carried,
        said: Option<(Vec<u8>, u64)>,
        came: Vec<OwnedFd>,
    ) {
        let (label, names) = key;
        let same = |program: &Program| {
            let own = program.key();
            !program.withdrawn && own == (label.as_deref(), names.as_slice())
        };
        let now = Instant::now();
        let found = self.programs.iter().position(same);
        let Some(id) = found.or_else(|| {
            // It is ended, and seen to its end.
            runs.is_some().then(|| {
                self.programs.push(Program::left_over(label.clone(), leads));
                self.programs.len() - 1
            })
        }) else {
            return;
        };
        let mut came = came.into_iter();
        let process = runs.as_ref().and_then(|_| came.next());
        let Some(program) = self.programs.get_mut(id) else { return };
        if let (Some((bytes, lost)), Some(most)) = (said, program.log_bytes) {
            let _ = self.logs.adopt(id, most, (bytes, lost, came.next()));
        }
        program.supervision.go_on_from(carried, now);
        if let (Some(runs), None) = (&runs, &process) {
            // It came without its process: for want of a descriptor of ours, say. It cannot
            // be told to end, and a name that it holds is its own until its port is gone.
            let end = End { status: LOST, success: false, was_ready: !runs.checked_in.is_empty() };
            program.supervision.ended(end, now);
            if let Some(told) = &mut self.told {
                (told.0)(&Event::Lost { service: program.called() });
            }
        }
        if let (Some(runs), Some(process)) = (runs, process) {
            self.children += 1;
            let Runs { pid, process: named, checked_in } = runs;
            let checked_in: BTreeSet<String> = checked_in.into_iter().collect();
            let bell = self.port.make_send_once();
            let leaf = self.cgroups.as_ref().ok().and_then(|it| it.leaf_of(pid, &process));
            let watched = process.try_clone();
            let child = Running::HandedOn { pid, process };
            program.adopt(self.children, child, named, checked_in, leaf);
            self.running.insert(named, ProgramId(id));
            if let (Ok(bell), Ok(watched)) = (bell, watched) {
                let _ = self.reaper.watch(self.children, (watched, true), bell);
            }
        }
        if found.is_none() {
            program.supervision.stop(now);
        }
    }

    fn take_in_subset(
        &mut self,
        (maker, by, lists): (Option<(u64, u64)>, Option<i32>, Vec<Lists>),
        came: bool,
        mut message: Message,
    ) {
        let mut rights = message.take_rights().into_iter();
        let Some(Ok(port)) = rights.next().map(Right::into_receive) else { return };
        let by = by.map_or(By::Rules, By::Maker);
        let mut names = BTreeMap::new();
        for Lists { alias, name, provides, narrowed, rules } in lists {
            let right = if narrowed { rights.next() } else { None };
            let right = right.and_then(|right| right.into_send().ok());
            // By other rules its maker might not be let in: as where they are read anew.
            if came && by != By::Rules && self.rules_of(&name) != rules {
                continue;
            }
            names.insert(alias, Listing { name, right, revoker: None, provides });
        }
        // What was ours and is again is what it was, with what takes it back.
        let names = match self.packed.remove(&port.id()) {
            Some(view) => view.names.clone(),
            None => names,
        };
        let view = View { by, names };
        let maker = maker.map(|(process, number)| TaskId { process, number });
        // It fails only in a forked child.
        let _ = self.keep_open(port, view, maker);
    }
}

impl Keeper {
    /// The rules of who may look a name up, as they can be compared.
    pub(super) fn rules_of(&self, name: &str) -> Vec<SaidRule> {
        let guard = self.names.known(name).and_then(|known| known.guard.as_deref());
        guard.map_or_else(Vec::new, |guard| {
            guard.access.look_up.iter().map(SaidRule::from).collect()
        })
    }

    /// A door could not be opened.
    pub(super) fn tell_shut(&mut self, reason: &str) {
        if let Some(told) = &mut self.told {
            (told.0)(&Event::Shut { reason });
        }
    }
}

fn send_right(message: &mut Message) -> Option<SendRight> {
    message.take_rights().pop()?.into_send().ok()
}

fn descriptors(message: &mut Message) -> Vec<OwnedFd> {
    message.take_descriptors().into_iter().filter_map(Descriptor::take).collect()
}

/// What was in a queue: of each message what is known of it, then the message.
fn take_held(parts: &mut std::vec::IntoIter<Message>, count: usize) -> Vec<Held> {
    let mut held = Vec::new();
    for _ in 0..count {
        let Some(Part::Held { redelivered, origin, badge }) =
            parts.next().as_ref().and_then(Part::read)
        else {
            break;
        };
        let Some(message) = parts.next() else { break };
        held.push(Held { message, redelivered, origin: origin.map(Into::into), badge });
    }
    held
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use pillarbox::{Capacity, Task};

    use super::*;
    use crate::Server;
    use crate::authority::Ground;

    #[test]
    fn who_had_a_name_has_it_before_it_is_linked_with_us() {
        let (task, holder, other) = (Task::new(), Task::new(), Task::new());
        let mut keeper = Keeper::new(Server::new(&task).unwrap());
        let port = task.port(Capacity::Bounded(1));
        let part = Part::Name { name: "a".to_owned(), who: holder.identity().into(), since: 1 };
        let part = part.message().with_right(port.make_send().unwrap());
        keeper.take_in(vec![part], Some(holder.identity().task));
        let caller = keeper.caller(0, other.identity());
        assert!(matches!(keeper.may_take("a", &caller), Err(Ground::Held(_))));
        // It has not come to us in time.
        keeper.names.expect("a", Instant::now());
        assert!(keeper.may_take("a", &caller).is_ok());
    }

    /// A part that says so of this process, and what names it; none where the kernel does
    /// not name processes so that they can be found.
    fn part_of(child: &Child, task: &Task, port: &ReceiveRight, name: &str) -> Option<Message> {
        let process = pillarbox::process_of(child).unwrap();
        if process >> 63 != 0 {
            return None;
        }
        let pid = i32::try_from(child.id()).unwrap();
        let task = TaskId { process, number: 1 + task.identity().task.number };
        let who = Identity { task, pid, uid: 0, gid: 0 };
        let part = Part::Name { name: name.to_owned(), who: who.into(), since: 1 };
        Some(part.message().with_right(port.make_send().unwrap()))
    }

    #[test]
    fn who_dies_before_it_is_linked_with_us_loses_its_names_at_once() {
        let task = Task::new();
        let mut keeper = Keeper::new(Server::new(&task).unwrap());
        let port = task.port(Capacity::Bounded(1));
        let sleep = || Command::new("sleep").arg("1000").spawn().unwrap();
        let (mut dies, mut died) = (sleep(), sleep());
        let of = |child: &Child, name| part_of(child, &task, &port, name);
        let (Some(one), Some(two)) = (of(&dies, "one"), of(&dies, "two")) else {
            return [dies, died].iter_mut().for_each(|child| child.kill().unwrap());
        };
        let gone = of(&died, "gone").unwrap();
        died.kill().unwrap();
        died.wait().unwrap();
        keeper.take_in(vec![one, two, gone], Some(task.identity().task));
        assert!(keeper.names.known("gone").is_none(), "it was dead when its name came");
        for name in ["one", "two"] {
            // Not by the clock.
            keeper.names.expect(name, Instant::now() + 100 * HAND_OVER);
        }
        dies.kill().unwrap();
        while keeper.names.known("one").is_some() {
            let (member, message) = keeper.set.receive(Deadline::after(HAND_OVER)).unwrap();
            keeper.take(member.port(), message);
            keeper.look();
        }
        assert!(keeper.names.known("two").is_none());
        dies.wait().unwrap();
    }
}
