//! Who of several readers gets which message of a shared mailbox.
//!
//! The machine knows messages by a number that only grows. What a reader held
//! and did not finish goes back under its old number, and so to the front, in
//! order. A hand-out has a number of its own, used once: what a reader says of
//! one that was taken back from it meanwhile is about nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How messages are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Share {
    /// Each message to one reader, in turn.
    RoundRobin,
    /// Each message to the reader that has the fewest.
    LeastLoaded,
    /// Messages of one key to one reader while it stays.
    ByKey,
    /// Each message to every reader that is there when it is taken.
    All,
}

/// The most that one mailbox holds in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Messages taken from the port that wait for the reader of their key.
    pub waiting: usize,
    /// Keys whose reader is remembered.
    pub keys: usize,
    /// Messages a reader may be behind the others, where each gets all.
    pub behind: usize,
}

/// A message goes to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOut {
    /// Its number.
    pub number: u64,
    /// The message.
    pub item: u64,
    /// The reader.
    pub reader: u64,
    /// How often it was handed out before, and came back.
    pub times: u32,
}

#[derive(Clone, Debug)]
struct Reader {
    credit: usize,
    out: BTreeSet<u64>,
    /// Where each gets all: what it has not been handed yet, and how often it was.
    due: BTreeMap<u64, u32>,
}

impl Reader {
    fn is_free(&self) -> bool {
        self.out.len() < self.credit
    }
}

#[derive(Clone, Debug)]
struct Item {
    key: u64,
    times: u32,
    /// Readers that have not finished with it, where each gets all.
    left: usize,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    item: u64,
    reader: u64,
    times: u32,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    reader: u64,
    /// Messages of it that are out.
    out: usize,
    used: u64,
}

/// The readers of one mailbox, and what each has.
#[derive(Clone, Debug)]
pub struct Sharing {
    share: Share,
    bounds: Bounds,
    readers: BTreeMap<u64, Reader>,
    items: BTreeMap<u64, Item>,
    waiting: BTreeSet<u64>,
    out: HashMap<u64, Out>,
    keys: HashMap<u64, Key>,
    /// Keys of which nothing is out, the longest unused first.
    idle: BTreeMap<u64, u64>,
    last: u64,
    next: u64,
}

impl Sharing {
    /// A mailbox without readers.
    pub fn new(share: Share, bounds: Bounds) -> Self {
        Sharing {
            share,
            bounds,
            readers: BTreeMap::new(),
            items: BTreeMap::new(),
            waiting: BTreeSet::new(),
            out: HashMap::new(),
            keys: HashMap::new(),
            idle: BTreeMap::new(),
            last: 0,
            next: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A reader comes that takes `credit` messages before it finishes one.
    pub fn join(&mut self, credit: usize) -> u64 {
        let reader = self.number();
        let due = BTreeMap::new();
        self.readers.insert(reader, Reader { credit, out: BTreeSet::new(), due });
        reader
    }

    /// Whether another message would find a reader.
    pub fn wants(&self) -> bool {
        let mut free = self.readers.values().filter(|reader| reader.is_free());
        match self.share {
            Share::RoundRobin | Share::LeastLoaded => {
                self.waiting.is_empty() && free.next().is_some()
            }
            Share::ByKey => self.waiting.len() < self.bounds.waiting && free.next().is_some(),
            Share::All => free.any(|reader| reader.due.is_empty()),
        }
    }

    /// A message was taken from the port.
    pub fn accept(&mut self, key: u64) -> u64 {
        let item = self.number();
        let mut left = 0;
        if self.share == Share::All {
            left = self.readers.len();
            for reader in self.readers.values_mut() {
                reader.due.insert(item, 0);
            }
        }
        if left == 0 {
            self.waiting.insert(item);
        }
        self.items.insert(item, Item { key, times: 0, left });
        item
    }

    /// A reader that is further behind the others than it may be.
    pub fn laggard(&self) -> Option<u64> {
        let behind = |reader: &Reader| reader.due.len() > self.bounds.behind;
        self.readers.iter().find(|(_, reader)| behind(reader)).map(|(id, _)| *id)
    }

    fn choose(&self) -> Option<(u64, u64)> {
        let free = || self.readers.iter().filter(|(_, reader)| reader.is_free());
        let least = || free().min_by_key(|(_, reader)| reader.out.len()).map(|(id, _)| *id);
        match self.share {
            Share::All => {
                let mut due =
                    free().filter_map(|(id, reader)| Some((*reader.due.keys().next()?, *id)));
                due.next()
            }
            Share::RoundRobin => {
                let item = *self.waiting.first()?;
                let after = free().find(|(id, _)| **id > self.last).or_else(|| free().next());
                Some((item, *after?.0))
            }
            Share::LeastLoaded => Some((*self.waiting.first()?, least()?)),
            Share::ByKey => self.waiting.iter().find_map(|item| {
                let key = self.items.get(item)?.key;
                let reader = match self.keys.get(&key) {
                    Some(known) => {
                        free().find(|(id, _)| **id == known.reader).map(|(id, _)| *id)?
                    }
                    None if self.keys.len() < self.bounds.keys || !self.idle.is_empty() => least()?,
                    None => return None,
                };
                Some((*item, reader))
            }),
        }
    }

    /// The next message that goes to a reader. It is out from now on.
    pub fn hand_out(&mut self) -> Option<HandOut> {
        let (item, reader) = self.choose()?;
        let number = self.number();
        let kept = self.items.get(&item)?;
        let (key, mut times) = (kept.key, kept.times);
        self.waiting.remove(&item);
        self.last = reader;
        let to = self.readers.get_mut(&reader)?;
        if self.share == Share::All {
            times = to.due.remove(&item).unwrap_or_default();
        }
        to.out.insert(number);
        self.out.insert(number, Out { item, reader, times });
        if self.share == Share::ByKey {
            self.use_key(key, reader, number);
        }
        Some(HandOut { number, item, reader, times })
    }

    fn use_key(&mut self, key: u64, reader: u64, used: u64) {
        if !self.keys.contains_key(&key)
            && self.keys.len() >= self.bounds.keys
            && let Some((_, oldest)) = self.idle.pop_first()
        {
            self.keys.remove(&oldest);
        }
        let known = self.keys.entry(key).or_insert(Key { reader, out: 0, used });
        if known.out == 0 {
            self.idle.remove(&known.used);
        }
        known.out += 1;
        known.used = used;
    }

    fn leave_key(&mut self, key: u64) {
        if let Some(known) = self.keys.get_mut(&key) {
            known.out = known.out.saturating_sub(1);
            if known.out == 0 {
                self.idle.insert(known.used, key);
            }
        }
    }

    /// Takes a hand-out from who says it has it: `None` where it has not.
    fn take(&mut self, number: u64, reader: u64) -> Option<Out> {
        let holder = self.readers.get_mut(&reader)?;
        if !holder.out.remove(&number) {
            return None;
        }
        let out = self.out.remove(&number)?;
        if self.share == Share::ByKey
            && let Some(item) = self.items.get(&out.item)
        {
            let key = item.key;
            self.leave_key(key);
        }
        Some(out)
    }

    /// `reader` is done with what it was handed. `None` where it was not handed
    /// that, or has it no more; else the message, and whether nobody needs it now.
    pub fn finish(&mut self, number: u64, reader: u64) -> Option<(u64, bool)> {
        let out = self.take(number, reader)?;
        let over = self.let_go(out.item);
        Some((out.item, over))
    }

    /// One reader fewer needs the message. Whether none is left.
    fn let_go(&mut self, item: u64) -> bool {
        let Some(kept) = self.items.get_mut(&item) else { return false };
        kept.left = kept.left.saturating_sub(1);
        let over = kept.left == 0;
        if over {
            self.items.remove(&item);
            self.waiting.remove(&item);
        }
        over
    }

    /// `reader` did not finish it: it goes back to the front. `sent` says whether
    /// it may have seen it. False where it had no such thing.
    pub fn give_back(&mut self, number: u64, reader: u64, sent: bool) -> bool {
        let Some(out) = self.take(number, reader) else { return false };
        let times = out.times.saturating_add(u32::from(sent));
        if self.share == Share::All
            && let Some(back) = self.readers.get_mut(&reader)
        {
            back.due.insert(out.item, times);
            return true;
        }
        if let Some(kept) = self.items.get_mut(&out.item) {
            kept.times = times;
            self.waiting.insert(out.item);
        }
        true
    }

    /// `reader` is gone. What it held goes back; returned is what nobody needs any
    /// more, where each had its own.
    pub fn leave(&mut self, reader: u64) -> Vec<u64> {
        let Some(gone) = self.readers.get(&reader) else { return Vec::new() };
        let held: Vec<u64> = gone.out.iter().copied().collect();
        for number in held {
            let _ = self.give_back(number, reader, true);
        }
        let due = self.readers.remove(&reader).map(|gone| gone.due).unwrap_or_default();
        self.keys.retain(|_, key| key.reader != reader);
        let keys = &self.keys;
        self.idle.retain(|_, key| keys.contains_key(key));
        due.into_keys().filter(|item| self.let_go(*item)).collect()
    }

    /// The message and reader of a hand-out that is out.
    pub fn holder(&self, number: u64) -> Option<(u64, u64)> {
        self.out.get(&number).map(|out| (out.item, out.reader))
    }

    /// A message that is not new: it was handed out so often before it came here.
    pub fn accept_again(&mut self, key: u64, times: u32) -> u64 {
        let item = self.accept(key);
        if let Some(kept) = self.items.get_mut(&item) {
            kept.times = times;
        }
        item
    }

    /// What waits for a reader, in order, and how often each was handed out before.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, u32)> {
        let times = |item: &u64| self.items.get(item).map(|kept| (*item, kept.times));
        self.waiting.iter().filter_map(times)
    }

    /// Whether no reader has anything.
    pub fn is_at_rest(&self) -> bool {
        self.out.is_empty()
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// How many messages are held: out, or waiting for a reader.
    pub fn held(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { waiting: 4, keys: 2, behind: 2 };

    fn drain(sharing: &mut Sharing) -> Vec<HandOut> {
        std::iter::from_fn(|| sharing.hand_out()).collect()
    }

    #[test]
    fn each_goes_to_one_in_turn_and_no_further_than_credit() {
        let mut sharing = Sharing::new(Share::RoundRobin, BOUNDS);
        assert!(!sharing.wants());
        let readers = [sharing.join(1), sharing.join(2)];
        let mut handed = Vec::new();
        while sharing.wants() {
            let _ = sharing.accept(0);
            handed.extend(drain(&mut sharing));
        }
        let to: Vec<u64> = handed.iter().map(|out| out.reader).collect();
        assert_eq!(to, [readers[0], readers[1], readers[1]]);
        assert!(sharing.finish(handed[0].number, readers[1]).is_none(), "it is not his");
        assert_eq!(sharing.finish(handed[0].number, readers[0]), Some((handed[0].item, true)));
        assert!(sharing.finish(handed[0].number, readers[0]).is_none(), "it is done once");
        assert!(sharing.wants());
    }

    #[test]
    fn what_the_gone_held_goes_back_in_order_and_is_flagged() {
        for share in [Share::RoundRobin, Share::LeastLoaded, Share::ByKey] {
            let mut sharing = Sharing::new(share, BOUNDS);
            let gone = sharing.join(3);
            let items = [1, 1, 1].map(|key| sharing.accept(key));
            let first = drain(&mut sharing);
            assert_eq!(sharing.finish(first[1].number, gone), Some((items[1], true)));
            let late = sharing.accept(1);
            assert!(sharing.leave(gone).is_empty());
            let heir = sharing.join(9);
            let again = drain(&mut sharing);
            let seen: Vec<_> = again.iter().map(|out| (out.item, out.times)).collect();
            assert_eq!(seen[..2], [(items[0], 1), (items[2], 1)], "{share:?}");
            assert_eq!(seen[2].0, late);
            assert!(sharing.finish(first[0].number, gone).is_none());
            assert!(sharing.finish(first[0].number, heir).is_none());
        }
    }

    #[test]
    fn what_came_from_elsewhere_is_flagged_as_it_was_there() {
        let mut sharing = Sharing::new(Share::RoundRobin, BOUNDS);
        let items = [sharing.accept_again(0, 2), sharing.accept(0)];
        assert_eq!(sharing.waiting().collect::<Vec<_>>(), [(items[0], 2), (items[1], 0)]);
        let reader = sharing.join(1);
        let out = sharing.hand_out().unwrap();
        assert_eq!((out.item, out.times), (items[0], 2));
        assert!(!sharing.is_at_rest());
        assert_eq!(sharing.finish(out.number, reader), Some((items[0], true)));
        assert!(sharing.is_at_rest());
    }

    #[test]
    fn what_was_not_sent_is_not_flagged() {
        let mut sharing = Sharing::new(Share::RoundRobin, BOUNDS);
        let reader = sharing.join(1);
        let _ = sharing.accept(0);
        let out = sharing.hand_out().unwrap();
        assert!(sharing.give_back(out.number, reader, false));
        assert_eq!(sharing.hand_out().unwrap().times, 0);
    }

    #[test]
    fn one_key_stays_with_one_reader_and_keys_are_bounded() {
        let mut sharing = Sharing::new(Share::ByKey, BOUNDS);
        let readers = [sharing.join(1), sharing.join(1)];
        let items = [7, 7, 8].map(|key| sharing.accept(key));
        let handed = drain(&mut sharing);
        assert_eq!(handed.len(), 2);
        assert_eq!((handed[0].item, handed[1].item), (items[0], items[2]));
        assert_ne!(handed[0].reader, handed[1].reader);
        // The other one is free, and the key is not his.
        let _ = sharing.finish(handed[1].number, handed[1].reader);
        assert!(sharing.hand_out().is_none());
        let _ = sharing.finish(handed[0].number, handed[0].reader);
        let next = sharing.hand_out().unwrap();
        assert_eq!((next.item, next.reader), (items[1], handed[0].reader));
        let _ = sharing.finish(next.number, next.reader);
        for key in 0..100 {
            let _ = sharing.accept(key);
            let out = sharing.hand_out().unwrap();
            assert!(readers.contains(&out.reader));
            let _ = sharing.finish(out.number, out.reader);
            assert!(sharing.keys.len() <= 2 && sharing.idle.len() <= 2);
        }
        assert_eq!(sharing.held(), 0);
    }

    #[test]
    fn every_reader_gets_each_and_who_lags_is_known() {
        let mut sharing = Sharing::new(Share::All, BOUNDS);
        let [quick, slow] = [sharing.join(1), sharing.join(1)];
        for round in 0..4 {
            assert!(sharing.wants());
            let item = sharing.accept(0);
            let handed = drain(&mut sharing);
            assert_eq!(handed.len(), if round == 0 { 2 } else { 1 });
            assert_eq!((handed[0].item, handed[0].reader), (item, quick));
            assert_eq!(sharing.finish(handed[0].number, quick), Some((item, false)));
            assert_eq!(sharing.laggard().is_some(), round == 3);
        }
        assert_eq!(sharing.laggard(), Some(slow));
        let _ = sharing.leave(slow);
        // What it held in its hand was its own copy.
        assert_eq!(sharing.held(), 0);
    }
}
