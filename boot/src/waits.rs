//! Look-ups that wait until a service has checked in.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use pillarbox::{SendOnceRight, TaskId};

use crate::limits::{WAITS_PER_NAME, WAITS_PER_TASK};

#[derive(Debug)]
struct Wait {
    number: u64,
    from: TaskId,
    due: Option<Instant>,
    reply: SendOnceRight,
}

/// Everybody who waits, by name and by deadline.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    by_name: HashMap<String, Vec<Wait>>,
    by_due: BTreeMap<(Instant, u64), String>,
    by_task: HashMap<TaskId, usize>,
    next: u64,
}

impl Waits {
    /// Lets `from` wait for `name` until `due`.
    ///
    /// The reply right comes back where one too many waits already.
    pub(crate) fn add(
        &mut self,
        name: &str,
        from: TaskId,
        due: Option<Instant>,
        reply: SendOnceRight,
    ) -> Result<(), SendOnceRight> {
        let full = self.by_name.get(name).is_some_and(|waits| waits.len() >= WAITS_PER_NAME);
        if full || self.of_task(from) >= WAITS_PER_TASK {
            // Whoever died or gave up holds a place for nothing.
            self.forget_dead();
            let waiting = self.by_name.get(name).map_or(0, Vec::len);
            if waiting >= WAITS_PER_NAME || self.of_task(from) >= WAITS_PER_TASK {
                return Err(reply);
            }
        }
        self.next += 1;
        let wait = Wait { number: self.next, from, due, reply };
        if let Some(due) = due {
            self.by_due.insert((due, wait.number), name.to_owned());
        }
        *self.by_task.entry(from).or_default() += 1;
        self.by_name.entry(name.to_owned()).or_default().push(wait);
        Ok(())
    }

    /// Whether anybody waits for `name`.
    pub(crate) fn any(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Everybody who waits for `name`, in the order they came.
    pub(crate) fn take(&mut self, name: &str) -> Vec<SendOnceRight> {
        let waits = self.by_name.remove(name).unwrap_or_default();
        waits.into_iter().map(|wait| self.let_go(wait)).collect()
    }

    /// Those whose deadline has passed.
    pub(crate) fn take_late(&mut self, now: Instant) -> Vec<SendOnceRight> {
        let mut late = Vec::new();
        while let Some(entry) = self.by_due.first_entry() {
            let (due, number) = *entry.key();
            if due > now {
                break;
            }
            let name = entry.remove();
            let Some(waits) = self.by_name.get_mut(&name) else { continue };
            let Some(place) = waits.iter().position(|wait| wait.number == number) else { continue };
            let wait = waits.remove(place);
            if waits.is_empty() {
                self.by_name.remove(&name);
            }
            late.push(self.let_go(wait));
        }
        late
    }

    /// Everybody.
    pub(crate) fn take_all(&mut self) -> Vec<SendOnceRight> {
        let all = std::mem::take(self).by_name.into_values().flatten();
        all.map(|wait| wait.reply).collect()
    }

    /// When the next deadline passes.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.by_due.first_key_value().map(|((due, _), _)| *due)
    }

    fn of_task(&self, task: TaskId) -> usize {
        self.by_task.get(&task).copied().unwrap_or(0)
    }

    fn forget_dead(&mut self) {
        let mut dead = Vec::new();
        self.by_name.retain(|_, waits| {
            dead.extend(waits.extract_if(.., |wait| wait.reply.state().is_gone()));
            !waits.is_empty()
        });
        for wait in dead {
            drop(self.let_go(wait));
        }
    }

    fn let_go(&mut self, wait: Wait) -> SendOnceRight {
        if let Some(due) = wait.due {
            self.by_due.remove(&(due, wait.number));
        }
        if let Some(count) = self.by_task.get_mut(&wait.from) {
            *count -= 1;
            if *count == 0 {
                self.by_task.remove(&wait.from);
            }
        }
        wait.reply
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pillarbox::{Capacity, ReceiveRight, Task};

    use super::*;

    fn task(number: u64) -> TaskId {
        TaskId { process: 1, number }
    }

    fn reply(port: &ReceiveRight) -> SendOnceRight {
        port.make_send_once().unwrap()
    }

    #[test]
    fn those_who_are_late_leave_in_order() {
        let port = Task::new().port(Capacity::Unbounded);
        let mut waits = Waits::default();
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        waits.add("b", task(1), Some(later), reply(&port)).unwrap();
        waits.add("a", task(1), Some(now), reply(&port)).unwrap();
        waits.add("a", task(2), None, reply(&port)).unwrap();
        assert_eq!(waits.next_due(), Some(now));
        assert_eq!(waits.take_late(now).len(), 1);
        assert_eq!(waits.next_due(), Some(later));
        assert_eq!(waits.take("a").len(), 1);
        assert_eq!(waits.take("a").len(), 0);
        assert!(waits.any("b"));
        assert_eq!(waits.take_late(later).len(), 1);
        assert!(waits.next_due().is_none() && waits.by_task.is_empty() && waits.by_name.is_empty());
    }

    #[test]
    fn one_task_does_not_take_every_place() {
        let port = Task::new().port(Capacity::Unbounded);
        let mut waits = Waits::default();
        for _ in 0..WAITS_PER_TASK {
            waits.add("a", task(1), None, reply(&port)).unwrap();
        }
        assert!(waits.add("b", task(1), None, reply(&port)).is_err());
        for other in 2..=4 {
            for _ in 0..WAITS_PER_TASK {
                waits.add("a", task(other), None, reply(&port)).unwrap();
            }
        }
        assert!(waits.add("a", task(5), None, reply(&port)).is_err());
        waits.add("b", task(5), None, reply(&port)).unwrap();
    }

    #[test]
    fn the_dead_make_room() {
        let port = Task::new().port(Capacity::Unbounded);
        let mut waits = Waits::default();
        for _ in 0..WAITS_PER_TASK {
            waits.add("a", task(1), None, reply(&port)).unwrap();
        }
        drop(port);
        let port = Task::new().port(Capacity::Unbounded);
        waits.add("a", task(1), None, reply(&port)).unwrap();
        assert_eq!(waits.take("a").len(), 1);
    }
}
