//! What readers of shared mailboxes took and acknowledged, held against what must be.
//!
//! | record          | written by | says                                              |
//! |-----------------|------------|---------------------------------------------------|
//! | `ATTACHING`     | a reader   | it may be one from now on                         |
//! | `READ`          | a reader   | it came, having gone back so often before         |
//! | `ACKNOWLEDGING` | a reader   | it is about to say that it is done                |
//! | `ACKNOWLEDGED`  | a reader   | it has said so                                    |
//! | `GAVE_BACK`     | a reader   | it is about to give it back                       |
//! | `LEFT`          | a reader   | it is about to leave, or has                      |
//! | `ALL_READ`      | the owner  | so many were posted, and all is acknowledged      |
//!
//! Each record but the last says which reader: its life, and a number of its own.

use std::collections::{BTreeMap, HashMap};

use super::ledger::kind;
use super::letter::PortId;
use crate::log::Record;

/// To whom a mailbox hands what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    InTurn,
    ByKey,
    ToAll,
}

impl Sort {
    pub(super) const ALL: [Sort; 3] = [Sort::InTurn, Sort::ByKey, Sort::ToAll];

    fn of(port: PortId) -> Sort {
        Sort::ALL
            .into_iter()
            .find(|sort| port == PortId::shared(port.life(), *sort))
            .unwrap_or(Sort::InTurn)
    }
}

/// Keys there are.
pub(super) const KEYS: u64 = 5;

/// The key of what has this number.
pub(super) const fn key_of(number: u64) -> u64 {
    number % KEYS
}

/// Something a reader wrote.
#[derive(Clone, Copy, Debug)]
struct Event {
    time_ns: u64,
    kind: u64,
    number: u64,
    times: u64,
    reader: u64,
}

/// What is known of one mailbox.
#[derive(Debug, Default)]
struct Book {
    events: Vec<Event>,
    /// How many it says were posted and are all acknowledged.
    all_read: Option<u64>,
}

/// The checker.
#[derive(Debug, Default)]
pub(super) struct Readings {
    books: HashMap<PortId, Book>,
    killed: HashMap<u32, u64>,
    /// Messages that were acknowledged once, of mailboxes that were read to their end.
    pub(super) verified: u64,
}

impl Readings {
    pub(super) fn killed(&mut self, life: u32, time_ns: u64) {
        self.killed.insert(life, time_ns);
    }

    /// Takes what was written. False where it is of no shared mailbox.
    pub(super) fn take(&mut self, record: Record) -> bool {
        let [port, number, reader] = record.numbers;
        let (times, number) = match record.kind {
            kind::READ => (number >> 48, number & ((1 << 48) - 1)),
            _ => (0, number),
        };
        if !(kind::READ..=kind::ALL_READ).contains(&record.kind) {
            return false;
        }
        let book = self.books.entry(PortId(port)).or_default();
        if record.kind == kind::ALL_READ {
            book.all_read = Some(number);
        } else {
            let Record { kind, time_ns, .. } = record;
            book.events.push(Event { time_ns, kind, number, times, reader });
        }
        true
    }

    /// Whether all was as it must be, when everybody has ended.
    pub(super) fn judge(&mut self) -> Result<(), String> {
        let mut broken = Vec::new();
        for (port, book) in &mut self.books {
            book.events.sort_by_key(|event| event.time_ns);
            let said = match Sort::of(*port) {
                // What came for readers that are gone nobody needs.
                Sort::ToAll => to_all(book).map(|()| 0),
                sort => to_one(book, sort, &self.killed).and_then(|()| all_acknowledged(book)),
            };
            match said {
                Ok(verified) => self.verified += verified,
                Err(what) => broken.push(format!("mailbox {:x}: {what}", port.0)),
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
    }
}

/// Each message to one reader: to another one only when the first is gone or gave it
/// back, to nobody when it is acknowledged; in order.
fn to_one(book: &Book, sort: Sort, killed: &HashMap<u32, u64>) -> Result<(), String> {
    // Who had a message last, and whether it may have given it up by now.
    let mut held: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
    let mut unflagged: HashMap<u64, u64> = HashMap::new();
    let mut acknowledging: HashMap<u64, u64> = HashMap::new();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    let mut left: HashMap<u64, u64> = HashMap::new();
    let mut last: HashMap<(u64, u64), u64> = HashMap::new();
    let is_dead = |reader: u64, time_ns: u64| {
        killed.get(&((reader >> 32) as u32)).is_some_and(|end| *end <= time_ns)
    };
    // The highest of each key that was read, and by whom.
    let mut highest: HashMap<u64, u64> = HashMap::new();
    for event in &book.events {
        let Event { number, reader, times, time_ns, .. } = *event;
        match event.kind {
            kind::READ => {
                if let Some(by) = acknowledged.get(&number) {
                    return Err(format!(
                        "{number} came to {reader:x}, and {by:x} had acknowledged it"
                    ));
                }
                if times == 0 && unflagged.insert(number, reader).is_some() {
                    return Err(format!("{number} came twice, and was not flagged"));
                }
                if let Some((by, gave_back)) = held.get(&number).copied()
                    && !gave_back
                    && !is_dead(by, time_ns)
                    && !left.contains_key(&by)
                {
                    return Err(format!("{number} came to {reader:x}, and {by:x} had it"));
                }
                // What was on its way to one that is gone comes late, and may be unseen.
                let someone_left = || {
                    !left.is_empty()
                        || book.events.iter().any(|other| is_dead(other.reader, time_ns))
                };
                let lane = if sort == Sort::ByKey { key_of(number) } else { 0 };
                let before = last.entry((reader, lane)).or_default();
                let late = std::mem::replace(before, number.max(*before)) > number;
                if times == 0 && late && (sort == Sort::ByKey || !someone_left()) {
                    return Err(format!("{number} came to {reader:x} behind a later one"));
                }
                if sort == Sort::ByKey {
                    let key = key_of(number);
                    let first = if key == 0 { KEYS } else { key };
                    let before = highest.get(&key).copied().unwrap_or(first);
                    for lower in (before..number).step_by(KEYS as usize) {
                        let theirs = held.get(&lower).is_some_and(|(by, _)| *by == reader);
                        if !theirs && !acknowledging.contains_key(&lower) {
                            return Err(format!(
                                "{number} came to {reader:x} before {lower} was done"
                            ));
                        }
                    }
                    highest.insert(key, before.max(number));
                }
                held.insert(number, (reader, false));
            }
            kind::GAVE_BACK => {
                if let Some(have) = held.get_mut(&number).filter(|have| have.0 == reader) {
                    have.1 = true;
                }
            }
            kind::ACKNOWLEDGING => {
                acknowledging.insert(number, reader);
            }
            kind::ACKNOWLEDGED => {
                if let Some(by) = acknowledged.insert(number, reader) {
                    return Err(format!("{number} was acknowledged by {by:x} and by {reader:x}"));
                }
            }
            kind::LEFT => {
                left.insert(reader, time_ns);
            }
            // Only that it was there counts: it may be killed before it reads.
            _ => {}
        }
    }
    Ok(())
}

/// Every message to each reader that is there: one after the other.
fn to_all(book: &Book) -> Result<(), String> {
    let mut last: HashMap<u64, u64> = HashMap::new();
    for event in book.events.iter().filter(|event| event.kind == kind::READ && event.times == 0) {
        let before = last.insert(event.reader, event.number);
        if before.is_some_and(|before| event.number != before + 1) {
            return Err(format!("{} came to {:x} after {before:?}", event.number, event.reader));
        }
    }
    Ok(())
}

/// What was read to its end lost nothing. How many messages that were.
fn all_acknowledged(book: &Book) -> Result<u64, String> {
    let Some(posted) = book.all_read else { return Ok(0) };
    let said = |event: &&Event| event.kind == kind::ACKNOWLEDGING;
    let mut numbers: Vec<u64> = book.events.iter().filter(said).map(|event| event.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    match (1..=posted).find(|number| numbers.binary_search(number).is_err()) {
        Some(lost) => Err(format!("{lost} of {posted} was acknowledged by nobody")),
        None => Ok(posted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u64 = 2 << 32 | 1;
    const TWO: u64 = 3 << 32 | 1;

    /// Judges what was written, one after the other.
    fn judge(
        sort: Sort,
        events: &[(u64, u64, u64)],
        killed: Option<(u32, u64)>,
    ) -> Result<u64, String> {
        let port = PortId::shared(1, sort).0;
        let mut readings = Readings::default();
        for (at, (kind, number, reader)) in events.iter().enumerate() {
            let record =
                Record { kind: *kind, numbers: [port, *number, *reader], time_ns: at as u64 };
            assert!(readings.take(record));
        }
        if let Some((life, time_ns)) = killed {
            readings.killed(life, time_ns);
        }
        readings.judge().map(|()| readings.verified)
    }

    const READ: u64 = kind::READ;
    const COMES: u64 = kind::ATTACHING;
    const SAYS: u64 = kind::ACKNOWLEDGING;
    const SAID: u64 = kind::ACKNOWLEDGED;
    const AGAIN: u64 = 1 << 48;

    #[test]
    fn what_is_read_once_and_acknowledged_is_well() {
        let events = [(READ, 1, ONE), (READ, 2, TWO), (SAYS, 2, TWO), (SAID, 2, TWO)];
        assert_eq!(judge(Sort::InTurn, &events, None), Ok(0));
        let all = [&events[..], &[(SAYS, 1, ONE), (SAID, 1, ONE), (kind::ALL_READ, 2, 0)]].concat();
        assert_eq!(judge(Sort::InTurn, &all, None), Ok(2));
        let lost = [&events[..], &[(kind::ALL_READ, 2, 0)]].concat();
        assert!(judge(Sort::InTurn, &lost, None).is_err());
    }

    #[test]
    fn what_a_living_reader_has_goes_to_nobody_else() {
        let events = [(READ, 1, ONE), (READ, 1 | AGAIN, TWO)];
        assert!(judge(Sort::InTurn, &events, None).is_err());
        assert!(judge(Sort::InTurn, &events, Some((2, 1))).is_ok());
        assert!(judge(Sort::InTurn, &events, Some((2, 2))).is_err(), "it died later");
        let back = [(READ, 1, ONE), (kind::GAVE_BACK, 1, ONE), (READ, 1 | AGAIN, TWO)];
        assert!(judge(Sort::InTurn, &back, None).is_ok());
        let left = [(READ, 1, ONE), (kind::LEFT, 0, ONE), (READ, 1 | AGAIN, TWO)];
        assert!(judge(Sort::InTurn, &left, None).is_ok());
    }

    #[test]
    fn what_comes_again_is_flagged_and_not_acknowledged() {
        let events = [(READ, 1, ONE), (kind::LEFT, 0, ONE), (READ, 1, TWO)];
        assert!(judge(Sort::InTurn, &events, None).is_err());
        let events = [(READ, 1, ONE), (SAYS, 1, ONE), (SAID, 1, ONE), (READ, 1 | AGAIN, TWO)];
        assert!(judge(Sort::InTurn, &events, Some((2, 3))).is_err());
        let twice = [(READ, 1, ONE), (SAID, 1, ONE), (SAID, 1, TWO)];
        assert!(judge(Sort::InTurn, &twice, None).is_err());
    }

    #[test]
    fn order_is_kept_for_each_reader_and_each_key() {
        let behind = [(READ, 2, ONE), (READ, 1, ONE)];
        assert!(judge(Sort::InTurn, &behind, None).is_err());
        assert!(judge(Sort::InTurn, &behind, Some((3, 0))).is_err(), "it was no reader");
        let died = [&[(COMES, 0, TWO)], &behind[..]].concat();
        assert!(judge(Sort::InTurn, &died, Some((3, 1))).is_ok(), "it was to have the first");
        assert!(judge(Sort::InTurn, &died, None).is_err(), "it has it, or will");
        let late = [(READ, 3, TWO), (READ, 2, ONE), (kind::LEFT, 0, TWO), (READ, 1, ONE)];
        assert!(judge(Sort::InTurn, &late, None).is_ok(), "it was on its way to the other");
        assert!(judge(Sort::InTurn, &[(READ, 2, ONE), (READ, 1, TWO)], None).is_ok());
        let (first, next) = (1, 1 + KEYS);
        assert!(judge(Sort::ByKey, &[(READ, first, ONE), (READ, next, ONE)], None).is_ok());
        assert!(judge(Sort::ByKey, &[(READ, next, ONE), (READ, first, TWO)], None).is_err());
        assert!(judge(Sort::ByKey, &[(READ, first, ONE), (READ, next, TWO)], None).is_err());
        assert!(judge(Sort::ByKey, &[(READ, 2, ONE), (READ, 1, TWO)], None).is_ok());
    }

    #[test]
    fn where_each_gets_all_nothing_is_left_out() {
        let events = [(READ, 4, ONE), (READ, 5, ONE), (READ, 4 | AGAIN, ONE), (READ, 6, ONE)];
        assert!(judge(Sort::ToAll, &events, None).is_ok());
        assert!(judge(Sort::ToAll, &[(READ, 4, ONE), (READ, 6, ONE)], None).is_err());
        assert!(judge(Sort::ToAll, &[(READ, 4, ONE), (READ, 9, TWO)], None).is_ok());
    }
}
