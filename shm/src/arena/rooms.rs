//! Which pages of one memory are lent: halves of halves, all in private memory.
//!
//! A chunk is a power of two of pages and begins at a multiple of its own size. The
//! lowest that fits is taken, so that a memory little used is used at its front, and
//! what was returned last is often still in the caches. Nothing a peer says comes
//! here but through a check.

use std::collections::BTreeSet;

/// The chunks of one memory.
#[derive(Debug)]
pub(super) struct Rooms {
    /// Of each order, the first pages of the chunks that are free.
    free: Vec<BTreeSet<u32>>,
}

impl Rooms {
    /// All of `1 << order` pages, free.
    pub(super) fn new(order: u32) -> Rooms {
        let mut free = vec![BTreeSet::new(); order as usize + 1];
        if let Some(whole) = free.last_mut() {
            whole.insert(0);
        }
        Rooms { free }
    }

    /// Takes `1 << order` pages. Returns the first of them.
    pub(super) fn take(&mut self, order: u32) -> Option<u32> {
        let order = order as usize;
        let from = (order..self.free.len()).find(|from| !self.free[*from].is_empty())?;
        let page = self.free[from].pop_first()?;
        for half in (order..from).rev() {
            self.free[half].insert(page + (1 << half));
        }
        Some(page)
    }

    /// Gives back `1 << order` pages from `page`, which were taken as one.
    pub(super) fn give_back(&mut self, mut page: u32, order: u32) {
        let mut order = order as usize;
        while order + 1 < self.free.len() && self.free[order].remove(&(page ^ (1 << order))) {
            page &= !(1 << order);
            order += 1;
        }
        let new = self.free.get_mut(order).is_some_and(|free| free.insert(page));
        debug_assert!(new, "given back once");
    }

    /// Whether nothing of it is taken.
    pub(super) fn are_all_free(&self) -> bool {
        self.free.last().is_some_and(|whole| !whole.is_empty())
    }
}

/// The order of the smallest chunk of `bytes`.
pub(super) fn order_of(bytes: usize) -> u32 {
    let pages = bytes.div_ceil(abi::loan::PAGE as usize).max(1);
    pages.next_power_of_two().ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_as_large_as_it_must_be() {
        let orders = [(0, 0), (1, 0), (4096, 0), (4097, 1), (65_536, 4), (65_537, 5)];
        assert!(orders.iter().all(|(bytes, order)| order_of(*bytes) == *order));
    }

    #[test]
    fn halves_become_whole_again() {
        let mut rooms = Rooms::new(2);
        let taken: Vec<_> = (0..4).map(|_| rooms.take(0)).collect();
        assert_eq!(taken, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!((rooms.take(0), rooms.are_all_free()), (None, false));
        for page in [2, 0, 3] {
            rooms.give_back(page, 0);
        }
        assert_eq!((rooms.take(2), rooms.take(1)), (None, Some(2)));
        rooms.give_back(2, 1);
        rooms.give_back(1, 0);
        assert!(rooms.are_all_free());
        assert_eq!((rooms.take(3), rooms.take(2)), (None, Some(0)));
    }

    /// Any order of taking and giving back: chunks never overlap, none is beyond the
    /// end, and when all are back the memory is whole.
    #[test]
    fn chunks_never_overlap_and_all_come_back() {
        const ORDER: u32 = 8;
        for seed in 1..=64_u64 {
            let mut random = seed;
            let mut next = |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let mut rooms = Rooms::new(ORDER);
            let mut out: Vec<(u32, u32)> = Vec::new();
            for _ in 0..2_000 {
                if next(2) == 0 && !out.is_empty() {
                    let (page, order) = out.swap_remove(next(out.len() as u64) as usize);
                    rooms.give_back(page, order);
                    continue;
                }
                let order = next(u64::from(ORDER) + 1) as u32;
                let Some(page) = rooms.take(order) else {
                    // Free pages may lie apart; of none at all there is nothing to take.
                    let taken: u32 = out.iter().map(|(_, order)| 1 << order).sum();
                    assert!(order > 0 || taken == 1 << ORDER, "seed {seed}");
                    continue;
                };
                let end = page + (1 << order);
                assert!(page.is_multiple_of(1 << order) && end <= 1 << ORDER, "seed {seed}");
                let apart =
                    |(other, size): &(u32, u32)| end <= *other || other + (1 << size) <= page;
                assert!(out.iter().all(apart), "seed {seed}");
                out.push((page, order));
            }
            for (page, order) in out {
                rooms.give_back(page, order);
            }
            assert!(rooms.are_all_free(), "seed {seed}");
        }
    }
}
