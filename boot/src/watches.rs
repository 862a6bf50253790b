//! Those who watch names: each waits for one answer, when its name has come or gone.

use std::collections::HashMap;

use pillarbox::bootstrap::NameState;
use pillarbox::{SendOnceRight, TaskId};

use crate::limits::{WATCHES, WATCHES_PER_TASK};

#[derive(Debug)]
struct Watch {
    from: TaskId,
    known: NameState,
    reply: SendOnceRight,
}

/// All of them, by name.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_name: HashMap<String, Vec<Watch>>,
    of_task: HashMap<TaskId, usize>,
    count: usize,
}

impl Watches {
    /// Lets `from` wait until it stands otherwise with the name than it knows. The reply
    /// right comes back where one too many waits already.
    pub(crate) fn add(
        &mut self,
        name: &str,
        from: TaskId,
        known: NameState,
        reply: SendOnceRight,
    ) -> Result<(), SendOnceRight> {
        if self.is_full(from) {
            // Whoever died or gave up holds a place for nothing.
            self.take_if(|_, watch| watch.reply.state().is_gone());
        }
        if self.is_full(from) {
            return Err(reply);
        }
        self.count += 1;
        *self.of_task.entry(from).or_default() += 1;
        let watch = Watch { from, known, reply };
        self.by_name.entry(name.to_owned()).or_default().push(watch);
        Ok(())
    }

    fn is_full(&self, from: TaskId) -> bool {
        self.count >= WATCHES
            || self.of_task.get(&from).is_some_and(|count| *count >= WATCHES_PER_TASK)
    }

    /// Those to whom this is news.
    pub(crate) fn take(&mut self, name: &str, now: NameState) -> Vec<SendOnceRight> {
        let Some(watches) = self.by_name.get_mut(name) else { return Vec::new() };
        let told: Vec<Watch> = watches.extract_if(.., |watch| watch.known != now).collect();
        if watches.is_empty() {
            self.by_name.remove(name);
        }
        told.into_iter().map(|watch| self.let_go(watch)).collect()
    }

    /// Everybody.
    pub(crate) fn take_all(&mut self) -> Vec<SendOnceRight> {
        let all = std::mem::take(self).by_name.into_values().flatten();
        all.map(|watch| watch.reply).collect()
    }

    fn take_if(&mut self, mut so: impl FnMut(&str, &Watch) -> bool) {
        let mut gone = Vec::new();
        self.by_name.retain(|name, watches| {
            gone.extend(watches.extract_if(.., |watch| so(name, watch)));
            !watches.is_empty()
        });
        for watch in gone {
            drop(self.let_go(watch));
        }
    }

    fn let_go(&mut self, watch: Watch) -> SendOnceRight {
        self.count -= 1;
        if let Some(count) = self.of_task.get_mut(&watch.from) {
            *count -= 1;
            if *count == 0 {
                self.of_task.remove(&watch.from);
            }
        }
        watch.reply
    }
}

#[cfg(test)]
mod tests {
    use pillarbox::{Capacity, Task};

    use super::*;

    const ABSENT: NameState = NameState::Free;

    #[test]
    fn one_task_does_not_take_every_place_and_the_dead_make_room() {
        let port = Task::new().port(Capacity::Unbounded);
        let reply = || port.make_send_once().unwrap();
        let task = |number| TaskId { process: 1, number };
        let mut watches = Watches::default();
        for _ in 0..WATCHES_PER_TASK {
            watches.add("a", task(1), ABSENT, reply()).unwrap();
        }
        assert!(watches.add("b", task(1), ABSENT, reply()).is_err());
        for number in 0..(WATCHES - WATCHES_PER_TASK) as u64 {
            watches.add("b", task(number + 2), ABSENT, reply()).unwrap();
        }
        assert!(watches.add("c", task(9999), ABSENT, reply()).is_err());
        drop(port);
        let port = Task::new().port(Capacity::Unbounded);
        watches.add("c", task(1), ABSENT, port.make_send_once().unwrap()).unwrap();
        assert_eq!((watches.count, watches.by_name.len(), watches.of_task.len()), (1, 1, 1));
        assert_eq!(watches.take("c", ABSENT).len(), 0);
        assert_eq!(watches.take("c", NameState::Taken { since: 1 }).len(), 1);
        assert!(watches.count == 0 && watches.by_name.is_empty() && watches.of_task.is_empty());
    }
}
