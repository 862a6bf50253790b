//! The tasks the server may look at, and who it lets look.
//!
//! Who checks in gives the server a right to look at its task, which permits nothing
//! else. The server asks nothing with it: it keeps it for the user it belongs to.

use std::collections::BTreeMap;
use std::ops::Bound;

use pillarbox::{Identity, SendRight, TaskId};

use crate::limits::{PAGE_SEEN, SEEN};

/// A task, and the right to look at it.
#[derive(Debug)]
pub(crate) struct SeenTask {
    pub(crate) who: Identity,
    pub(crate) right: SendRight,
}

/// All of them, in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    tasks: BTreeMap<TaskId, SeenTask>,
}

impl Seen {
    /// Keeps the right to look at a task, if that is the one it leads to. Who comes when
    /// there is no room is not seen.
    pub(crate) fn note(&mut self, right: SendRight, who: Identity) {
        if right.owner() != Some(who.task) {
            return;
        }
        if self.tasks.len() >= SEEN {
            self.free_dead();
        }
        if self.tasks.len() < SEEN {
            self.tasks.entry(who.task).or_insert(SeenTask { who, right });
        }
    }

    /// Lets go of those that are gone.
    pub(crate) fn free_dead(&mut self) {
        self.tasks.retain(|_, task| !task.right.is_dead());
    }

    /// Lets go of those of a process that has ended.
    pub(crate) fn free_of(&mut self, process: u64) {
        self.tasks.retain(|task, _| task.process != process);
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SeenTask> {
        self.tasks.values()
    }

    /// One that the server before this one had seen.
    pub(crate) fn adopt(&mut self, right: SendRight, who: Identity) {
        if self.tasks.len() < SEEN {
            self.tasks.insert(who.task, SeenTask { who, right });
        }
    }

    /// Those after this one that are there, and whether there are more.
    pub(crate) fn after(&self, task: Option<TaskId>) -> (Vec<&SeenTask>, bool) {
        let from = task.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.tasks.range((from, Bound::Unbounded)).map(|(_, task)| task);
        let page = rest.by_ref().take(PAGE_SEEN).collect();
        (page, rest.next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use pillarbox::Task;

    use super::*;

    #[test]
    fn a_task_shows_itself_once_and_no_other() {
        let (one, two) = (Task::new(), Task::new());
        let mut seen = Seen::default();
        seen.note(one.looking().unwrap(), two.identity());
        assert!(seen.after(None).0.is_empty());
        for _ in 0..3 {
            seen.note(one.looking().unwrap(), one.identity());
        }
        let (page, more) = seen.after(None);
        assert_eq!((page.len(), more), (1, false));
        assert_eq!(page[0].who.task, one.identity().task);
        one.close();
        seen.free_dead();
        assert!(seen.after(None).0.is_empty());
    }

    #[test]
    fn they_come_in_pages() {
        let tasks: Vec<Task> = (0..PAGE_SEEN + 3).map(|_| Task::new()).collect();
        let mut seen = Seen::default();
        for task in &tasks {
            seen.note(task.looking().unwrap(), task.identity());
        }
        let (page, more) = seen.after(None);
        assert_eq!((page.len(), more), (PAGE_SEEN, true));
        let last = page[PAGE_SEEN - 1].who.task;
        let (page, more) = seen.after(Some(last));
        assert_eq!((page.len(), more), (3, false));
    }
}
