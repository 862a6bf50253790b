//! The names of a server: who holds each, and which program provides it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use pillarbox::bootstrap::{NameState, Refused};
use pillarbox::{Identity, SendRight, TaskId};

use crate::authority::Guard;
use crate::limits::{NAMES, NAMES_PER_TASK};
use crate::program::ProgramId;
use crate::queues::QueueId;

/// The right under a name, and who put it there.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) right: SendRight,
    pub(crate) who: Identity,
    /// Grows with each right that is put under a name.
    pub(crate) since: u64,
    /// Where the server before us put it there: until when its task may still be about to
    /// link with us, and is not taken for dead.
    pub(crate) expected: Option<Instant>,
}

/// A name. It has a holder, or a program, or both; or a queue and a program.
#[derive(Debug, Default)]
pub(crate) struct Name {
    pub(crate) holder: Option<Holder>,
    pub(crate) program: Option<ProgramId>,
    /// The queue that is kept under it.
    pub(crate) queue: Option<QueueId>,
    /// The rules of the service whose name it is.
    pub(crate) guard: Option<Arc<Guard>>,
}

/// All names, in order.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: BTreeMap<String, Name>,
    /// Rights that were put under a name so far.
    holders: u64,
    /// Names that others have, or nobody has, than when this was asked for last.
    changed: BTreeSet<String>,
}

impl Names {
    /// Provides `name` by a program, which reads that queue or checks in. False where it
    /// is taken or one too many.
    pub(crate) fn provide(
        &mut self,
        name: &str,
        program: ProgramId,
        queue: Option<QueueId>,
    ) -> bool {
        if self.all.contains_key(name) || self.all.len() >= NAMES {
            return false;
        }
        let known = Name { program: Some(program), queue, ..Name::default() };
        self.all.insert(name.to_owned(), known);
        true
    }

    /// Has these rules decide who may look the name up, and check in.
    pub(crate) fn guard(&mut self, name: &str, guard: &Arc<Guard>) {
        if let Some(known) = self.all.get_mut(name) {
            known.guard = Some(Arc::clone(guard));
        }
    }

    /// Forgets a name, whoever holds it. Returns the queue that was kept under it.
    pub(crate) fn withdraw(&mut self, name: &str) -> Option<QueueId> {
        let known = self.all.remove(name)?;
        self.changed.insert(name.to_owned());
        known.queue
    }

    /// Whether there is room for so many names more.
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.all.len() + more <= NAMES
    }

    /// The name, after a look whether its port is still there.
    pub(crate) fn get(&mut self, name: &str) -> Option<&Name> {
        let known = self.all.get_mut(name)?;
        if known.holder.as_ref().is_some_and(|holder| holder.right.is_dead()) {
            known.holder = None;
            self.changed.insert(name.to_owned());
            if known.program.is_none() {
                self.all.remove(name);
                return None;
            }
        }
        self.all.get(name)
    }

    /// The name, as it stood at the last look.
    pub(crate) fn known(&self, name: &str) -> Option<&Name> {
        self.all.get(name)
    }

    /// Whether somebody has the name. The port of a queue is always there.
    pub(crate) fn state(&mut self, name: &str) -> NameState {
        match self.get(name) {
            Some(Name { queue: Some(_), .. }) => NameState::Taken { since: 0 },
            Some(Name { holder: Some(holder), .. }) => NameState::Taken { since: holder.since },
            _ => NameState::Free,
        }
    }

    /// Those of which that has changed since this was asked last.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed)
    }

    /// Puts a right under a name. Returns whether its death must be watched for:
    /// one watch for each port is enough.
    pub(crate) fn hold(
        &mut self,
        name: &str,
        right: SendRight,
        who: Identity,
    ) -> Result<bool, Refused> {
        let holders = self.all.values().filter_map(|known| known.holder.as_ref());
        let (mut of_task, mut watched) = (0, false);
        for holder in holders.filter(|holder| holder.who.task == who.task) {
            of_task += 1;
            watched |= holder.right.same_port(&right);
        }
        let own = self.all.get(name).and_then(|known| known.holder.as_ref());
        let again = own.is_some_and(|holder| holder.who.task == who.task);
        let room = self.all.len() < NAMES || self.all.contains_key(name);
        if !room || (of_task >= NAMES_PER_TASK && !again) {
            return Err(Refused::NoRoom);
        }
        let known = self.all.entry(name.to_owned()).or_default();
        self.holders += 1;
        known.holder = Some(Holder { right, who, since: self.holders, expected: None });
        self.changed.insert(name.to_owned());
        Ok(!watched)
    }

    /// Goes on with what the server before this one had under a name, with its number.
    pub(crate) fn adopt(&mut self, name: &str, holder: Holder) {
        let is_queue = self.all.get(name).is_some_and(|known| known.queue.is_some());
        if is_queue || self.all.len() >= NAMES && !self.all.contains_key(name) {
            return;
        }
        self.holders = self.holders.max(holder.since);
        self.all.entry(name.to_owned()).or_default().holder = Some(holder);
    }

    /// Says until when the task of a name is expected.
    #[cfg(test)]
    pub(crate) fn expect(&mut self, name: &str, until: Instant) {
        let holder = self.all.get_mut(name).and_then(|known| known.holder.as_mut());
        holder.unwrap().expected = Some(until);
    }

    /// Frees a name, if it is this process that has it.
    pub(crate) fn free_of(&mut self, name: &str, process: u64) {
        let holder = self.all.get(name).and_then(|known| known.holder.as_ref());
        if holder.is_some_and(|holder| holder.who.task.process == process) {
            self.free(name);
        }
    }

    /// Frees every name that this process has.
    pub(crate) fn free_all_of(&mut self, process: u64) {
        let of = |known: &Name| {
            known.holder.as_ref().is_some_and(|holder| holder.who.task.process == process)
        };
        let its = self.all.iter().filter(|(_, known)| of(known));
        let its: Vec<String> = its.map(|(name, _)| name.clone()).collect();
        its.iter().for_each(|name| self.free(name));
    }

    /// Frees a name.
    pub(crate) fn free(&mut self, name: &str) {
        let Some(known) = self.all.get_mut(name) else { return };
        if known.holder.take().is_some() {
            self.changed.insert(name.to_owned());
        }
        if known.program.is_none() {
            self.all.remove(name);
        }
    }

    /// Frees every name whose port is gone.
    pub(crate) fn free_dead(&mut self) {
        self.all.retain(|name, known| {
            if known.holder.as_ref().is_some_and(|holder| holder.right.is_dead()) {
                known.holder = None;
                self.changed.insert(name.clone());
            }
            known.holder.is_some() || known.program.is_some()
        });
    }

    /// The names that begin so, in order.
    pub(crate) fn beginning(&self, start: &str) -> impl Iterator<Item = (&str, &Name)> {
        self.all
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(start))
            .map(|(name, known)| (name.as_str(), known))
    }

    /// The names after this one, in order.
    pub(crate) fn after(&self, name: Option<&str>) -> impl Iterator<Item = (&str, &Name)> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.all
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(name, known)| (name.as_str(), known))
    }
}

impl Holder {
    /// Whether this task put the right there.
    pub(crate) fn is(&self, task: TaskId) -> bool {
        self.who.task == task
    }

    /// Whether the port's owner has confirmed that we may send to it. A right
    /// that another task gave us leads nowhere yet, not even to itself.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.right.same_port(&self.right)
    }
}

#[cfg(test)]
mod tests {
    use pillarbox::{Capacity, Task};

    use super::*;

    #[test]
    fn a_name_without_a_program_goes_with_its_port() {
        let task = Task::new();
        let port = task.port(Capacity::Bounded(4));
        let right = port.make_send().unwrap();
        let mut names = Names::default();
        assert!(names.provide("b", ProgramId(0), None));
        assert!(!names.provide("b", ProgramId(1), None));
        assert_eq!(names.hold("a", right.clone(), task.identity()), Ok(true));
        assert_eq!(names.hold("b", right, task.identity()), Ok(false));
        assert!(names.get("a").unwrap().holder.is_some());
        drop(port);
        assert!(names.get("a").is_none());
        assert!(names.get("b").unwrap().holder.is_none());
        names.free_dead();
        assert_eq!(names.after(None).count(), 1);
    }

    #[test]
    fn one_task_does_not_take_every_name() {
        let task = Task::new();
        let port = task.port(Capacity::Bounded(4));
        let right = port.make_send().unwrap();
        let mut names = Names::default();
        for number in 0..NAMES_PER_TASK {
            names.hold(&format!("{number:04}"), right.clone(), task.identity()).unwrap();
        }
        let more = names.hold("more", right.clone(), task.identity());
        assert_eq!(more, Err(Refused::NoRoom));
        assert_eq!(names.hold("0000", right.clone(), task.identity()), Ok(false));
        let other = Task::new();
        assert_eq!(names.hold("more", right, other.identity()), Ok(true));
        let last_but_one = format!("{:04}", NAMES_PER_TASK - 2);
        assert_eq!(names.after(Some(&last_but_one)).count(), 2);
    }
}
