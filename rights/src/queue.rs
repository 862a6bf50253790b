//! What waits, in order, each entry found at once.
//!
//! Entries lie in a slab and are strung on chains: one in the order they are
//! taken, and, from the first time somebody asks that way, one for each id and
//! one for each tag. Adding, taking the first, and finding the first of an id
//! or a tag cost the same however many entries wait; with priorities they cost
//! what looking up one of the occupied levels does.
//!
//! An entry may be *lent*: its item is out of the queue, its place is kept, and
//! everybody else passes it by until it is given back or ended. At most one
//! entry is lent for each thread that looks, so passing by is cheap.

mod chain;
mod scan;

use std::collections::HashMap;
use std::hash::Hash;

pub use self::scan::Scan;

use self::chain::{AGE, Heads, ID, List, NONE, ORDER, Slab, TAG};

/// In which order messages are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// As they came.
    #[default]
    Fifo,
    /// The higher priority first; those of one priority as they came.
    Priority,
}

/// What the queue goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Label {
    /// The level, in a queue with priorities.
    pub priority: u16,
    /// To be found by.
    pub id: i32,
    /// To be found by.
    pub tag: u64,
}

/// Something that can be queued.
pub trait Labelled {
    /// What the queue goes by. It must not change while it waits.
    fn label(&self) -> Label {
        Label::default()
    }

    /// Whether this pulse and an earlier one of the same holder may become one.
    fn equals(&self, earlier: &Self) -> bool {
        self.label() == earlier.label()
    }
}

/// One entry of a queue. It names nothing once the entry has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    slot: usize,
    turn: u64,
}

/// Chains by a key.
#[allow(clippy::box_collection, reason = "most queues have none")]
type Index<Key> = Box<HashMap<Key, Heads>>;

/// A queue of entries with labels.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    slab: Slab<T>,
    order: Heads,
    /// By age; in a plain queue that is the order itself.
    age: List,
    ids: Option<Index<i32>>,
    tags: Option<Index<u64>>,
    len: usize,
    lent: usize,
    newest: u64,
}

impl<T> Queue<T> {
    /// An empty queue. It allocates nothing before the first entry.
    pub const fn new(order: Order) -> Self {
        Queue {
            slab: Slab::new(),
            order: Heads::new(order),
            age: List::EMPTY,
            ids: None,
            tags: None,
            len: 0,
            lent: 0,
            newest: 0,
        }
    }

    /// In which order it is.
    pub const fn order(&self) -> Order {
        self.order.order()
    }

    /// How many entries wait, the lent ones among them.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many entries are lent.
    pub const fn lent(&self) -> usize {
        self.lent
    }

    /// How many links were followed so far: what an operation costs, without a
    /// clock.
    pub const fn steps(&self) -> u64 {
        self.slab.steps
    }

    /// Adds an entry at the end of its level.
    pub fn push(&mut self, label: Label, item: T) -> Spot {
        self.newest += 1;
        self.len += 1;
        let level = match self.order() {
            Order::Fifo => 0,
            Order::Priority => label.priority,
        };
        let slot = self.slab.add(label, level, self.newest, item);
        self.order.push(&mut self.slab, ORDER, slot);
        if self.order() == Order::Priority {
            self.slab.link_last(AGE, &mut self.age, slot);
        }
        let order = self.order();
        if let Some(ids) = &mut self.ids {
            let heads = ids.entry(label.id).or_insert_with(|| Heads::new(order));
            heads.push(&mut self.slab, ID, slot);
        }
        if let Some(tags) = &mut self.tags {
            let heads = tags.entry(label.tag).or_insert_with(|| Heads::new(order));
            heads.push(&mut self.slab, TAG, slot);
        }
        Spot { slot, turn: self.newest }
    }

    /// The first entry that is not lent.
    pub fn first(&mut self) -> Option<Spot> {
        self.order.first(&mut self.slab, ORDER).map(|slot| self.spot(slot))
    }

    /// The first entry with this id that is not lent. The first call strings
    /// what waits by id, and what comes from then on.
    pub fn first_with_id(&mut self, id: i32) -> Option<Spot> {
        let Queue { slab, order, .. } = self;
        let ids =
            self.ids.get_or_insert_with(|| Box::new(strung(slab, order, ID, |label| label.id)));
        ids.get(&id)?.first(slab, ID).map(|slot| self.spot(slot))
    }

    /// The first entry with this tag that is not lent. The first call strings
    /// what waits by tag, and what comes from then on.
    pub fn first_with_tag(&mut self, tag: u64) -> Option<Spot> {
        let Queue { slab, order, .. } = self;
        let tags =
            self.tags.get_or_insert_with(|| Box::new(strung(slab, order, TAG, |label| label.tag)));
        tags.get(&tag)?.first(slab, TAG).map(|slot| self.spot(slot))
    }

    /// The entry that came last to the level of `priority`, where it is not
    /// lent.
    pub fn last(&self, priority: u16) -> Option<Spot> {
        let slot = self.order.last(priority)?;
        self.slab.at(slot).item.is_some().then(|| self.spot(slot))
    }

    /// Whether an entry still waits, lent or not.
    pub fn holds(&self, spot: Spot) -> bool {
        self.slab.get(spot).is_some()
    }

    /// The item of an entry that is here.
    pub fn get(&self, spot: Spot) -> Option<&T> {
        self.slab.get(spot)?.item.as_ref()
    }

    /// The item of an entry that is here, to be changed where it lies.
    pub fn get_mut(&mut self, spot: Spot) -> Option<&mut T> {
        self.slab.get_mut(spot)?.item.as_mut()
    }

    /// Takes an entry out. `None` where it is lent or has left.
    pub fn remove(&mut self, spot: Spot) -> Option<T> {
        let item = self.slab.get_mut(spot)?.item.take()?;
        self.unchain(spot.slot);
        Some(item)
    }

    /// Lends an entry: its item is out, its place is kept. `None` where it is
    /// lent already or has left.
    #[must_use = "what is lent must be given back or ended"]
    pub fn lend(&mut self, spot: Spot) -> Option<T> {
        let item = self.slab.get_mut(spot)?.item.take()?;
        self.lent += 1;
        Some(item)
    }

    /// Puts a lent item back in its place. Returns whether somebody has passed
    /// it by meanwhile, who must look again.
    #[must_use = "who passed it by must look again"]
    pub fn give_back(&mut self, spot: Spot, item: T) -> bool {
        let Some(entry) = self.slab.get_mut(spot).filter(|entry| entry.item.is_none()) else {
            debug_assert!(false, "what is given back was not lent");
            return false;
        };
        entry.item = Some(item);
        let passed_by = std::mem::take(&mut entry.passed_by);
        self.lent -= 1;
        passed_by
    }

    /// Ends a lent entry: its item has gone elsewhere.
    pub fn end(&mut self, spot: Spot) {
        if self.slab.get(spot).is_some_and(|entry| entry.item.is_none()) {
            self.lent -= 1;
            self.unchain(spot.slot);
        }
    }

    /// The items that are here, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.order.slots(&self.slab, ORDER).filter_map(|slot| self.slab.at(slot).item.as_ref())
    }

    /// Empties the queue, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| {
            let first = self.first()?;
            self.remove(first)
        })
    }

    fn spot(&self, slot: usize) -> Spot {
        Spot { slot, turn: self.slab.at(slot).turn }
    }

    fn unchain(&mut self, slot: usize) {
        let label = self.slab.at(slot).label;
        self.order.remove(&mut self.slab, ORDER, slot);
        if self.order() == Order::Priority {
            self.slab.unlink(AGE, &mut self.age, slot);
        }
        drop_from(&mut self.ids, label.id, &mut self.slab, ID, slot);
        drop_from(&mut self.tags, label.tag, &mut self.slab, TAG, slot);
        self.slab.free(slot);
        self.len -= 1;
    }
}

/// Strings what waits on chains by `key`.
fn strung<T, Key: Eq + Hash>(
    slab: &mut Slab<T>,
    order: &Heads,
    chain: usize,
    key: impl Fn(&Label) -> Key,
) -> HashMap<Key, Heads> {
    let mut heads: HashMap<Key, Heads> = HashMap::new();
    let slots: Vec<usize> = order.slots(slab, ORDER).collect();
    for slot in slots {
        let key = key(&slab.at(slot).label);
        let head = heads.entry(key).or_insert_with(|| Heads::new(order.order()));
        head.push(slab, chain, slot);
    }
    heads
}

/// Takes an entry off the chain of its key, and the chain away with its last.
fn drop_from<T, Key: Eq + Hash>(
    index: &mut Option<Index<Key>>,
    key: Key,
    slab: &mut Slab<T>,
    chain: usize,
    slot: usize,
) {
    if let Some(index) = index
        && let Some(heads) = index.get_mut(&key)
    {
        heads.remove(slab, chain, slot);
        if heads.is_empty() {
            index.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
