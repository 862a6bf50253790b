//! What a server granted and refused: the last of each, within a bound.
//!
//! Grants and refusals are kept apart, so that what is granted all day pushes out no
//! refusal. Each holds [`crate::limits::AUDIT_ENTRIES`]. The same again is
//! counted, not kept again. Where one more does not fit, the user with the most entries
//! loses the oldest of its task with the most: who floods the log pushes out its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pillarbox::{Identity, SendOnceRight, TaskId};
use serde::{Deserialize, Serialize};

use crate::admin::Told;
use crate::authority::{Caller, Ground, Verdict};
use crate::limits::{AUDIT_ENTRIES, AUDIT_WAITING, PAGE_ENTRIES};
use crate::orders::tell;

/// How many of the last entries are looked at for the same.
const ALIKE: usize = 16;

/// What somebody wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Attempt {
    /// To look a name up.
    LookUp,
    /// To check in under a name.
    CheckIn,
    /// To put a right under a name.
    Register,
    /// To take it away.
    Unregister,
    /// To read a queue.
    Attend,
    /// To be told when it comes and goes.
    Watch,
    /// To make a restricted right that lists it.
    Subset,
    /// To know which services there are, and what each is doing.
    Services,
    /// To have a service started.
    Start,
    /// To have it stopped.
    Stop,
    /// To have it restarted.
    Restart,
    /// To read what it has said.
    Logs,
    /// To read what was granted and refused. Grants of it are not kept.
    Audit,
    /// To look at tasks. Grants of it are not kept.
    Look,
    /// To end the server.
    End,
    /// To have the service files read anew.
    Reload,
    /// To take the server's place.
    Replace,
}

/// One thing that was granted or refused, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Numbers grow: what comes later has a higher one.
    pub number: u64,
    /// When it happened last, in milliseconds since 1970.
    pub at_ms: u64,
    /// What was wanted.
    pub attempt: Attempt,
    /// Of which name, or service.
    pub name: String,
    /// Whether it was granted.
    pub granted: bool,
    /// By which rule.
    pub rule: String,
    /// Whose process it was, as the server sees it.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The service that the process was started for.
    pub service: Option<String>,
    /// How often it happened in a row.
    pub times: u64,
}

/// Some of what was granted and refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entries {
    /// In the order it happened.
    pub entries: Vec<Entry>,
    /// How many there were that are not kept any more.
    pub lost: u64,
    /// Whether there are more after these.
    pub more: bool,
}

#[derive(Debug)]
struct Record {
    at_ms: u64,
    who: Identity,
    service: Option<Arc<str>>,
    attempt: Attempt,
    name: String,
    ground: Ground,
    times: u64,
}

impl Record {
    fn is_like(&self, other: &Record) -> bool {
        self.who == other.who
            && self.attempt == other.attempt
            && self.name == other.name
            && self.ground.is_as(&other.ground)
    }

    fn entry(&self, number: u64, granted: bool) -> Entry {
        Entry {
            number,
            at_ms: self.at_ms,
            attempt: self.attempt,
            name: self.name.clone(),
            granted,
            rule: self.ground.to_string(),
            pid: self.who.pid,
            uid: self.who.uid,
            gid: self.who.gid,
            service: self.service.as_deref().map(str::to_owned),
            times: self.times,
        }
    }
}

/// An entry on its way to the next server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    task: (u64, u64),
    entry: Entry,
}

/// The last of one kind.
#[derive(Debug, Default)]
struct Kind {
    all: BTreeMap<u64, Record>,
    /// The numbers of a task's, and of how many there are of a user's.
    of_task: HashMap<(u32, TaskId), VecDeque<u64>>,
    of_user: HashMap<u32, usize>,
    /// The tasks of each user, that with the most entries last; of those with as many that
    /// whose oldest is older.
    by_most: BTreeSet<Most>,
    lost: u64,
}

/// A user, how many entries one of its tasks has, the oldest of them, and that task.
type Most = (u32, usize, Reverse<u64>, TaskId);

impl Kind {
    fn add(&mut self, number: u64, mut record: Record) {
        let alike = self.all.iter().rev().take(ALIKE).find(|(_, one)| one.is_like(&record));
        if let Some(before) = alike.map(|(number, _)| *number)
            && let Some(one) = self.remove(before)
        {
            record.times += one.times;
        } else if self.all.len() >= AUDIT_ENTRIES {
            self.lose_one();
        }
        let key = (record.who.uid, record.who.task);
        self.change(key, |numbers| numbers.push_back(number));
        *self.of_user.entry(key.0).or_default() += 1;
        self.all.insert(number, record);
    }

    fn lose_one(&mut self) {
        let user = self.of_user.iter().max_by_key(|(_, count)| **count).map(|(user, _)| *user);
        let Some(user) = user else { return };
        let last = TaskId { process: u64::MAX, number: u64::MAX };
        let its = ..=(user, usize::MAX, Reverse(0), last);
        if let Some((_, _, Reverse(oldest), _)) = self.by_most.range(its).next_back().copied() {
            let _ = self.remove(oldest);
            self.lost += 1;
        }
    }

    fn remove(&mut self, number: u64) -> Option<Record> {
        let record = self.all.remove(&number)?;
        let key = (record.who.uid, record.who.task);
        self.change(key, |numbers| {
            // Most often it is the last, since the same was asked again, or the oldest.
            if numbers.back() == Some(&number) {
                numbers.pop_back();
            } else if numbers.front() == Some(&number) {
                numbers.pop_front();
            } else {
                numbers.retain(|one| *one != number);
            }
        });
        if let Some(count) = self.of_user.get_mut(&key.0) {
            *count -= 1;
            if *count == 0 {
                self.of_user.remove(&key.0);
            }
        }
        Some(record)
    }

    /// Changes the numbers of a task, and puts it where it stands then.
    fn change(&mut self, key: (u32, TaskId), change: impl FnOnce(&mut VecDeque<u64>)) {
        let place = |numbers: &VecDeque<u64>| {
            numbers.front().map(|oldest| (key.0, numbers.len(), Reverse(*oldest), key.1))
        };
        let numbers = self.of_task.entry(key).or_default();
        if let Some(was) = place(numbers) {
            self.by_most.remove(&was);
        }
        change(numbers);
        match place(numbers) {
            Some(now) => drop(self.by_most.insert(now)),
            None => drop(self.of_task.remove(&key)),
        }
    }
}

/// What was granted and refused, and who waits for more of it.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    granted: Kind,
    refused: Kind,
    number: u64,
    waiting: Vec<(u64, SendOnceRight)>,
}

impl Audit {
    /// Keeps what was decided.
    pub(crate) fn note(
        &mut self,
        caller: &Caller,
        attempt: Attempt,
        name: &str,
        verdict: &Verdict,
    ) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (kept, ground) = match verdict {
            Ok(ground) => (&mut self.granted, ground),
            Err(ground) => (&mut self.refused, ground),
        };
        self.number += 1;
        let record = Record {
            at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            who: caller.who,
            service: caller.service.clone(),
            attempt,
            name: name.to_owned(),
            ground: ground.clone(),
            times: 1,
        };
        kept.add(self.number, record);
        for (after, reply) in std::mem::take(&mut self.waiting) {
            tell(reply, &Told::Entries(self.after(after)));
        }
    }

    /// What came after this number: a page of it.
    pub(crate) fn after(&self, after: u64) -> Entries {
        let from = after.saturating_add(1)..;
        let granted = self.granted.all.range(from.clone()).take(PAGE_ENTRIES + 1);
        let refused = self.refused.all.range(from).take(PAGE_ENTRIES + 1);
        let mut entries: Vec<Entry> = granted
            .map(|(number, record)| record.entry(*number, true))
            .chain(refused.map(|(number, record)| record.entry(*number, false)))
            .collect();
        entries.sort_by_key(|entry| entry.number);
        let more = entries.len() > PAGE_ENTRIES;
        entries.truncate(PAGE_ENTRIES);
        Entries { entries, lost: self.granted.lost + self.refused.lost, more }
    }

    /// All that is kept, for the next server, and how much is not any more.
    pub(crate) fn carried(&self) -> impl Iterator<Item = Kept> + '_ {
        let kinds = [(&self.granted, true), (&self.refused, false)];
        kinds.into_iter().flat_map(|(kind, granted)| {
            kind.all.iter().map(move |(number, record)| Kept {
                task: (record.who.task.process, record.who.task.number),
                entry: record.entry(*number, granted),
            })
        })
    }

    /// How many grants and refusals are not kept any more.
    pub(crate) const fn lost(&self) -> (u64, u64) {
        (self.granted.lost, self.refused.lost)
    }

    /// Goes on with what the server before this one had kept.
    pub(crate) fn adopt(&mut self, kept: Vec<Kept>, (granted, refused): (u64, u64)) {
        (self.granted.lost, self.refused.lost) = (granted, refused);
        for Kept { task, entry } in kept {
            let task = TaskId { process: task.0, number: task.1 };
            let record = Record {
                at_ms: entry.at_ms,
                who: Identity { task, pid: entry.pid, uid: entry.uid, gid: entry.gid },
                service: entry.service.map(Into::into),
                attempt: entry.attempt,
                name: entry.name,
                ground: Ground::Before(entry.rule.into()),
                times: entry.times,
            };
            self.number = self.number.max(entry.number);
            let kind = if entry.granted { &mut self.granted } else { &mut self.refused };
            kind.add(entry.number, record);
        }
    }

    /// Whoever waits for more is to ask the next server.
    pub(crate) fn end_waiting(&mut self) {
        for (_, reply) in self.waiting.drain(..) {
            tell(reply, &Told::Replaced);
        }
    }

    /// Answers when there is something after this number.
    pub(crate) fn wait(&mut self, after: u64, reply: SendOnceRight) {
        if after < self.number {
            return tell(reply, &Told::Entries(self.after(after)));
        }
        if self.waiting.len() >= AUDIT_WAITING {
            self.waiting.retain(|(_, reply)| !reply.state().is_gone());
        }
        if self.waiting.len() >= AUDIT_WAITING {
            return tell(reply, &Told::NoRoom);
        }
        self.waiting.push((after, reply));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(task: u64, uid: u32) -> Caller {
        let task = TaskId { process: task, number: 1 };
        Caller::stranger(Identity { task, pid: 7, uid, gid: uid }, 0)
    }

    fn refuse(audit: &mut Audit, caller: &Caller, name: &str) {
        audit.note(caller, Attempt::LookUp, name, &Err(Ground::OwnUser(0)));
    }

    fn all(audit: &Audit) -> Vec<Entry> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let page = audit.after(all.last().map_or(0, |last| last.number));
            all.extend(page.entries);
            if !page.more {
                return all;
            }
        }
    }

    #[test]
    fn the_same_again_is_counted() {
        let mut audit = Audit::default();
        for _ in 0..10 {
            refuse(&mut audit, &caller(1, 5), "a");
            refuse(&mut audit, &caller(1, 5), "b");
        }
        audit.note(&caller(1, 5), Attempt::LookUp, "a", &Ok(Ground::OwnUser(0)));
        let told: Vec<(String, bool, u64)> =
            all(&audit).into_iter().map(|entry| (entry.name, entry.granted, entry.times)).collect();
        let row = |name: &str, granted, times| (name.to_owned(), granted, times);
        assert_eq!(told, [row("a", false, 10), row("b", false, 10), row("a", true, 1)]);
        assert_eq!(audit.after(0).lost, 0);
    }

    #[test]
    fn the_next_server_goes_on_counting() {
        let mut audit = Audit::default();
        refuse(&mut audit, &caller(1, 5), "a");
        audit.note(&caller(1, 5), Attempt::LookUp, "a", &Ok(Ground::OwnUser(0)));
        let mut next = Audit::default();
        let carried: Vec<u8> = postcard::to_stdvec(&audit.carried().collect::<Vec<_>>()).unwrap();
        next.adopt(postcard::from_bytes(&carried).unwrap(), (3, 4));
        assert_eq!(all(&next), all(&audit));
        refuse(&mut next, &caller(1, 5), "a");
        let told: Vec<(u64, bool, u64)> =
            all(&next).into_iter().map(|one| (one.number, one.granted, one.times)).collect();
        assert_eq!(told, [(2, true, 1), (3, false, 2)]);
        assert_eq!(next.after(0).lost, 7);
    }

    #[test]
    fn who_floods_it_pushes_out_its_own() {
        let mut audit = Audit::default();
        refuse(&mut audit, &caller(1, 5), "early");
        audit.note(&caller(1, 5), Attempt::LookUp, "granted", &Ok(Ground::OwnUser(0)));
        refuse(&mut audit, &caller(2, 6), "of the same user");
        for number in 0..3 * AUDIT_ENTRIES {
            refuse(&mut audit, &caller(3, 6), &number.to_string());
        }
        let told = all(&audit);
        assert_eq!(told.len(), AUDIT_ENTRIES + 1);
        let names: Vec<&str> = told.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names[..3], ["early", "granted", "of the same user"]);
        assert_eq!(audit.after(0).lost as usize, 2 * AUDIT_ENTRIES + 2);
        // By many tasks it pushes out those of its user alone.
        for number in 0..3 * AUDIT_ENTRIES {
            refuse(&mut audit, &caller(number as u64 + 10, 6), &number.to_string());
        }
        let told = all(&audit);
        assert_eq!((told[0].name.as_str(), told[1].name.as_str()), ("early", "granted"));
        assert_eq!(told.len(), AUDIT_ENTRIES + 1);
        assert_eq!(audit.refused.by_most.len(), audit.refused.of_task.len());
        assert_eq!(audit.refused.of_user.values().sum::<usize>(), AUDIT_ENTRIES);
        assert_eq!(audit.refused.of_task.values().map(VecDeque::len).sum::<usize>(), AUDIT_ENTRIES);
    }
}
