//! Looking through a queue with a save point.

use super::chain::{AGE, ORDER};
use super::{NONE, Order, Queue, Spot};

/// How far somebody has looked through a queue for an entry to their liking.
///
/// The first pass goes through what waits, in order. Each further pass looks at
/// what came since, also in order, and at what was lent when the search came by.
/// No entry is offered twice.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    walk: Walk,
    /// Entries up to this turn were offered, or are the walk's, in `news` or in
    /// `missed`.
    seen: u64,
    /// The turn of the newest entry of the first pass.
    until: u64,
    /// What came since, the last to be offered first.
    news: Vec<Spot>,
    /// What was lent when its turn came.
    missed: Vec<Spot>,
}

/// The first pass.
#[derive(Clone, Copy, Debug, Default)]
enum Walk {
    #[default]
    Start,
    /// The entry offered last, and its level.
    At(u16, Spot),
    Done,
}

impl<T> Queue<T> {
    /// Begins the next pass: what comes after this call is the next pass's. So
    /// a pass ends, however fast entries come.
    pub fn begin_pass(&mut self, scan: &mut Scan) {
        if matches!(scan.walk, Walk::Start) {
            scan.until = self.newest;
            scan.seen = self.newest;
            return;
        }
        let (chain, list) = match self.order() {
            Order::Fifo => (ORDER, self.order.level(0)),
            Order::Priority => (AGE, self.age),
        };
        let mut slot = list.last;
        let mut came = Vec::new();
        while slot != NONE && self.slab.at(slot).turn > scan.seen {
            came.push(self.spot(slot));
            slot = self.slab.before(chain, slot);
        }
        scan.seen = self.newest;
        // What is left of the last pass has come before.
        scan.news.splice(..0, came);
        let level = |spot: &Spot| self.slab.get(*spot).map_or(0, |entry| entry.level);
        scan.news
            .sort_by(|one, two| level(one).cmp(&level(two)).then_with(|| two.turn.cmp(&one.turn)));
    }

    /// The next entry of this pass.
    pub fn next(&mut self, scan: &mut Scan) -> Option<Spot> {
        if let Some(spot) = self.come_back(scan) {
            return Some(spot);
        }
        while let Some(spot) = self.walk(scan).or_else(|| scan.news.pop()) {
            let Some(entry) = self.slab.get_mut(spot) else { continue };
            if entry.item.is_some() {
                return Some(spot);
            }
            entry.passed_by = true;
            scan.missed.push(spot);
        }
        None
    }

    /// One that was lent when its turn came, and is not any more.
    fn come_back(&self, scan: &mut Scan) -> Option<Spot> {
        scan.missed.retain(|spot| self.slab.get(*spot).is_some());
        let here = scan.missed.iter().position(|spot| self.get(*spot).is_some())?;
        Some(scan.missed.remove(here))
    }

    /// The next entry of the first pass.
    fn walk(&mut self, scan: &mut Scan) -> Option<Spot> {
        let (mut level, mut slot) = match scan.walk {
            Walk::Start => {
                let level = self.order.highest(None);
                (level, level.map_or(NONE, |level| self.order.level(level).first))
            }
            Walk::At(level, spot) => (Some(level), self.follows(level, spot)),
            Walk::Done => return None,
        };
        loop {
            // One level is in the order of turns: the rest of it came later.
            if slot != NONE && self.slab.at(slot).turn <= scan.until {
                let spot = self.spot(slot);
                scan.walk = Walk::At(level.unwrap_or(0), spot);
                return Some(spot);
            }
            level = level.and_then(|above| self.order.highest(Some(above)));
            let Some(lower) = level else {
                scan.walk = Walk::Done;
                return None;
            };
            slot = self.order.level(lower).first;
            self.slab.steps += 1;
        }
    }

    /// The first entry of `level` that came after `spot`, whether or not that
    /// is still here.
    fn follows(&mut self, level: u16, spot: Spot) -> usize {
        if self.slab.get(spot).is_some() {
            return self.slab.after(ORDER, spot.slot);
        }
        // It has been taken, most likely by who takes the first: so have those
        // before it. Else it lies as near to one end as to the other.
        let list = self.order.level(level);
        let (mut front, mut back) = (list.first, list.last);
        let mut found = NONE;
        while front != NONE && back != NONE {
            if self.slab.at(front).turn > spot.turn {
                return front;
            }
            if self.slab.at(back).turn < spot.turn {
                return found;
            }
            found = back;
            front = self.slab.after(ORDER, front);
            back = self.slab.before(ORDER, back);
        }
        found
    }
}
