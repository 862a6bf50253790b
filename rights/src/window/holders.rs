//! Who may send to a port, and how far each has come.
//!
//! Most ports have one holder or a few: among those nobody is looked up by a hash.

use std::hash::Hash;

use super::Holder;
use crate::quick::QuickMap;

/// So many are looked through one by one.
const FEW: usize = 4;

/// The holders of one port.
#[derive(Clone, Debug)]
pub(super) struct Holders<K> {
    all: Vec<(K, Holder)>,
    /// Where each of them stands, while there are more than a few.
    #[allow(clippy::box_collection, reason = "most ports have few, and any port is larger for it")]
    places: Option<Box<QuickMap<K, u32>>>,
}

impl<K> Default for Holders<K> {
    fn default() -> Self {
        Holders { all: Vec::new(), places: None }
    }
}

impl<K: Copy + Eq + Hash> Holders<K> {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Holder> {
        self.all.iter().map(|(_, holder)| holder)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Holder> {
        self.all.iter_mut().map(|(_, holder)| holder)
    }

    #[inline]
    fn find(&self, key: &K) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(key).map(|&at| at as usize),
            None => self.all.iter().position(|(other, _)| other == key),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&Holder> {
        Some(&self.all.get(self.find(key)?)?.1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut Holder> {
        let at = self.find(key)?;
        Some(&mut self.all.get_mut(at)?.1)
    }

    /// One more, or in place of what it was.
    pub(super) fn insert(&mut self, key: K, holder: Holder) {
        if let Some(known) = self.get_mut(&key) {
            *known = holder;
            return;
        }
        let at = self.all.len();
        self.all.push((key, holder));
        match &mut self.places {
            Some(places) => {
                places.insert(key, at as u32);
            }
            None if at >= FEW => self.places = Some(Box::new(self.all_places())),
            None => {}
        }
    }

    fn all_places(&self) -> QuickMap<K, u32> {
        (0..).zip(&self.all).map(|(at, (key, _))| (*key, at)).collect()
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<Holder> {
        let at = self.find(key)?;
        let (_, gone) = self.all.swap_remove(at);
        if let Some(places) = &mut self.places {
            places.remove(key);
            if let Some((moved, _)) = self.all.get(at) {
                places.insert(*moved, at as u32);
            }
            // Not at once: who comes and goes at the border pays for it each time.
            if self.all.len() <= FEW / 2 {
                self.places = None;
            }
        }
        Some(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn holder(number: u64) -> Holder {
        Holder { number, ..Holder::default() }
    }

    #[test]
    fn each_is_found_whoever_came_and_went_before() {
        let (mut holders, mut known) = (Holders::default(), HashMap::new());
        let mut random = 1_u64;
        let mut most = 0;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Now few, now many.
            let keys = if step / 1_000 % 2 == 0 { 5 } else { 40 };
            let key = (random >> 33) % keys;
            match (random >> 60) % 4 {
                0 => {
                    holders.insert(key, holder(step));
                    known.insert(key, step);
                }
                1 => {
                    let gone = holders.remove(&key).map(|gone| gone.number);
                    assert_eq!(gone, known.remove(&key));
                }
                2 => {
                    let found = holders.get_mut(&key).map(|found| {
                        found.number += 1;
                        found.number
                    });
                    let expected = known.get_mut(&key).map(|number| {
                        *number += 1;
                        *number
                    });
                    assert_eq!(found, expected);
                }
                _ => {
                    let found = holders.get(&key).map(|found| found.number);
                    assert_eq!(found, known.get(&key).copied());
                }
            }
            most = most.max(holders.len());
            assert_eq!(holders.len(), known.len());
            let mut all: Vec<_> = holders.values().map(|one| one.number).collect();
            let mut expected: Vec<_> = known.values().copied().collect();
            all.sort_unstable();
            expected.sort_unstable();
            assert_eq!(all, expected);
        }
        assert!(most > 4 * FEW, "there were many at once");
    }
}
