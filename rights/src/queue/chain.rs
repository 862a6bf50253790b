//! A slab of entries, and the chains they are strung on.
//!
//! A chain is a list whose links lie in the entries themselves: taking one out
//! of the middle costs as much as taking the first.

use std::collections::BTreeMap;

use super::{Label, Order, Spot};

/// No entry.
pub(super) const NONE: usize = usize::MAX;

/// The chain of the order entries are taken in.
pub(super) const ORDER: usize = 0;
/// The chains by id.
pub(super) const ID: usize = 1;
/// The chains by tag.
pub(super) const TAG: usize = 2;
/// The chain by age, in a queue with priorities.
pub(super) const AGE: usize = 3;

/// Neighbours on one chain.
#[derive(Clone, Copy, Debug)]
struct Links {
    before: usize,
    after: usize,
}

const UNLINKED: Links = Links { before: NONE, after: NONE };

/// One place of the slab.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) label: Label,
    /// Its level in this queue: zero in a plain one.
    pub(super) level: u16,
    /// Which entry of the queue it is, counted from 1; zero for a free place.
    pub(super) turn: u64,
    /// `None` while it is lent.
    pub(super) item: Option<T>,
    /// Somebody found it lent and went on.
    pub(super) passed_by: bool,
    links: [Links; 4],
}

/// The entries of one queue.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// Free places, strung by their first links.
    unused: usize,
    /// Links followed so far.
    pub(super) steps: u64,
}

/// The ends of a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) first: usize,
    pub(super) last: usize,
}

impl List {
    pub(super) const EMPTY: List = List { first: NONE, last: NONE };
}

impl<T> Slab<T> {
    #[inline]
    pub(super) const fn new() -> Self {
        Slab { entries: Vec::new(), unused: NONE, steps: 0 }
    }

    pub(super) fn at(&self, slot: usize) -> &Entry<T> {
        &self.entries[slot]
    }

    pub(super) fn at_mut(&mut self, slot: usize) -> &mut Entry<T> {
        &mut self.entries[slot]
    }

    /// The entry a spot names, while it is in the queue.
    pub(super) fn get(&self, spot: Spot) -> Option<&Entry<T>> {
        self.entries.get(spot.slot).filter(|entry| entry.turn == spot.turn)
    }

    pub(super) fn get_mut(&mut self, spot: Spot) -> Option<&mut Entry<T>> {
        self.entries.get_mut(spot.slot).filter(|entry| entry.turn == spot.turn)
    }

    /// Puts an entry into a free place, on no chain yet.
    pub(super) fn add(&mut self, label: Label, level: u16, turn: u64, item: T) -> usize {
        let entry =
            Entry { label, level, turn, item: Some(item), passed_by: false, links: [UNLINKED; 4] };
        let slot = self.unused;
        if slot == NONE {
            self.entries.push(entry);
            return self.entries.len() - 1;
        }
        self.unused = self.entries[slot].links[ORDER].after;
        self.entries[slot] = entry;
        slot
    }

    /// Frees the place of an entry that is on no chain any more.
    pub(super) fn free(&mut self, slot: usize) {
        let unused = self.unused;
        let entry = self.at_mut(slot);
        entry.turn = 0;
        entry.links = [UNLINKED; 4];
        entry.links[ORDER].after = unused;
        self.unused = slot;
    }

    /// What follows on the chain.
    pub(super) fn after(&mut self, chain: usize, slot: usize) -> usize {
        self.steps += 1;
        self.entries[slot].links[chain].after
    }

    /// What goes before on the chain.
    pub(super) fn before(&mut self, chain: usize, slot: usize) -> usize {
        self.steps += 1;
        self.entries[slot].links[chain].before
    }

    pub(super) fn link_last(&mut self, chain: usize, list: &mut List, slot: usize) {
        self.entries[slot].links[chain] = Links { before: list.last, after: NONE };
        if list.last == NONE {
            list.first = slot;
        } else {
            self.entries[list.last].links[chain].after = slot;
        }
        list.last = slot;
        self.steps += 1;
    }

    pub(super) fn unlink(&mut self, chain: usize, list: &mut List, slot: usize) {
        let Links { before, after } =
            std::mem::replace(&mut self.entries[slot].links[chain], UNLINKED);
        if before == NONE {
            list.first = after;
        } else {
            self.entries[before].links[chain].after = after;
        }
        if after == NONE {
            list.last = before;
        } else {
            self.entries[after].links[chain].before = before;
        }
        self.steps += 1;
    }

    /// The first on the chain from `slot` on that is not lent. Those that are,
    /// are told that they were passed by.
    fn first_here(&mut self, chain: usize, mut slot: usize) -> Option<usize> {
        while slot != NONE {
            let entry = self.at_mut(slot);
            if entry.item.is_some() {
                self.steps += 1;
                return Some(slot);
            }
            entry.passed_by = true;
            slot = self.after(chain, slot);
        }
        None
    }
}

/// The ends of the chains that make up one order: one, or one for each level
/// that has entries.
#[derive(Clone, Debug)]
pub(super) enum Heads {
    Plain(List),
    Levels(BTreeMap<u16, List>),
}

impl Heads {
    #[inline]
    pub(super) const fn new(order: Order) -> Self {
        match order {
            Order::Fifo => Heads::Plain(List::EMPTY),
            Order::Priority => Heads::Levels(BTreeMap::new()),
        }
    }

    pub(super) const fn order(&self) -> Order {
        match self {
            Heads::Plain(_) => Order::Fifo,
            Heads::Levels(_) => Order::Priority,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Heads::Plain(list) => list.first == NONE,
            Heads::Levels(levels) => levels.is_empty(),
        }
    }

    pub(super) fn push<T>(&mut self, slab: &mut Slab<T>, chain: usize, slot: usize) {
        match self {
            Heads::Plain(list) => slab.link_last(chain, list, slot),
            Heads::Levels(levels) => {
                let level = slab.at(slot).level;
                slab.link_last(chain, levels.entry(level).or_insert(List::EMPTY), slot);
            }
        }
    }

    pub(super) fn remove<T>(&mut self, slab: &mut Slab<T>, chain: usize, slot: usize) {
        match self {
            Heads::Plain(list) => slab.unlink(chain, list, slot),
            Heads::Levels(levels) => {
                let level = slab.at(slot).level;
                if let Some(list) = levels.get_mut(&level) {
                    slab.unlink(chain, list, slot);
                    if list.first == NONE {
                        levels.remove(&level);
                    }
                }
            }
        }
    }

    /// The first entry that is not lent.
    pub(super) fn first<T>(&self, slab: &mut Slab<T>, chain: usize) -> Option<usize> {
        match self {
            Heads::Plain(list) => slab.first_here(chain, list.first),
            Heads::Levels(levels) => {
                levels.values().rev().find_map(|list| slab.first_here(chain, list.first))
            }
        }
    }

    /// The last entry of the level of `priority`.
    pub(super) fn last(&self, priority: u16) -> Option<usize> {
        let last = match self {
            Heads::Plain(list) => list.last,
            Heads::Levels(levels) => levels.get(&priority)?.last,
        };
        (last != NONE).then_some(last)
    }

    /// The chain of one level.
    pub(super) fn level(&self, level: u16) -> List {
        match self {
            Heads::Plain(list) => *list,
            Heads::Levels(levels) => levels.get(&level).copied().unwrap_or(List::EMPTY),
        }
    }

    /// The highest level with entries, below `above` where that is given.
    pub(super) fn highest(&self, above: Option<u16>) -> Option<u16> {
        match (self, above) {
            (Heads::Plain(_), None) => Some(0),
            (Heads::Plain(_), Some(_)) => None,
            (Heads::Levels(levels), None) => levels.last_key_value().map(|(level, _)| *level),
            (Heads::Levels(levels), Some(above)) => {
                levels.range(..above).next_back().map(|(level, _)| *level)
            }
        }
    }

    /// Every entry, lent or not, in order.
    pub(super) fn slots<'a, T>(
        &'a self,
        slab: &'a Slab<T>,
        chain: usize,
    ) -> impl Iterator<Item = usize> + 'a {
        let mut level = self.highest(None);
        let mut next = level.map_or(NONE, |level| self.level(level).first);
        std::iter::from_fn(move || {
            while next == NONE {
                level = self.highest(Some(level?));
                next = self.level(level?).first;
            }
            let slot = next;
            next = slab.at(slot).links[chain].after;
            Some(slot)
        })
    }
}
