//! The names of one task: what a number stands for here, and nowhere else.
//!
//! ```text
//!  31                    8 7        2 1 0
//! +-----------------------+----------+---+
//! |         index         |generation|1 1|
//! +-----------------------+----------+---+
//! ```
//!
//! A new name takes the next index, from a place drawn at random for each task on,
//! and with the generation drawn beside it; so a name that was freed is not used
//! again before all others were, and a number from another task is not a name here.
//! No clock, no lock and no right is known here: what a name stands for is the
//! caller's.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What is found by a number of our own.
pub(crate) type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<Mixed>>;

/// One multiplication: nobody else chooses the numbers, so nobody can have them collide.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The highest bits are the best, and a table looks at the lowest, too.
        self.0 = mixed ^ mixed >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A name: what C programs call `mach_port_name_t`.
pub(crate) type Name = u32;

/// No right.
pub(crate) const NULL: Name = 0;

/// The right of a port that has ended.
pub(crate) const DEAD: Name = !0;

/// The highest number of user references there may be.
pub(crate) const UREFS_MAX: u32 = 65535;

const INDEX_BITS: u32 = 24;
const INDEX_MAX: u32 = (1 << INDEX_BITS) - 1;

/// Whether a name is one at all: neither of the two that stand for no name.
pub(crate) const fn is_valid(name: Name) -> bool {
    name != NULL && name != DEAD
}

/// What is wrong with a name that somebody chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misshapen {
    /// Its index is none.
    Index,
    /// Its lowest bits are not set.
    Bits,
}

/// Looks at a name that somebody chose.
pub(crate) const fn shape(name: Name) -> Result<(), Misshapen> {
    if name & 3 != 3 {
        return Err(Misshapen::Bits);
    }
    let index = name >> 8;
    if index == 0 || index == INDEX_MAX { Err(Misshapen::Index) } else { Ok(()) }
}

/// References after `delta` was added to `urefs`; `None` where there would be fewer
/// than none. At the highest number they stay: only taking all of them away counts.
pub(crate) fn add_urefs(urefs: u32, delta: i32) -> Option<u32> {
    if urefs == UREFS_MAX {
        return match i64::from(delta) {
            delta if delta == -i64::from(UREFS_MAX) => Some(0),
            delta if delta < -i64::from(UREFS_MAX) => None,
            _ => Some(UREFS_MAX),
        };
    }
    let sum = i64::from(urefs) + i64::from(delta);
    (sum >= 0).then(|| u32::try_from(sum).unwrap_or(UREFS_MAX).min(UREFS_MAX))
}

/// The names of one task and what each stands for.
#[derive(Debug)]
pub(crate) struct Names<T> {
    entries: ByNumber<Name, T>,
    next: u32,
    generation: u32,
}

impl<T> Names<T> {
    /// An empty table whose first name is drawn from `seed`.
    pub(crate) fn drawn(seed: u64) -> Self {
        let next = (seed as u32) & INDEX_MAX;
        let generation = ((seed >> 32) as u32 & 0x3f) << 2 | 3;
        Names { entries: ByNumber::default(), next, generation }
    }

    /// A name that stands for nothing yet; `None` where each stands for something.
    pub(crate) fn draw(&mut self) -> Option<Name> {
        for _ in 0..=INDEX_MAX {
            self.next = (self.next + 1) & INDEX_MAX;
            if self.next == 0 {
                // All were used once.
                self.generation = (self.generation + 4) & 0xff;
            }
            let name = self.next << 8 | self.generation;
            if shape(name).is_ok() && !self.entries.contains_key(&name) {
                return Some(name);
            }
        }
        None
    }

    /// Lets a name stand for `entry`, and returns what it stood for.
    pub(crate) fn put(&mut self, name: Name, entry: T) -> Option<T> {
        self.entries.insert(name, entry)
    }

    /// What a name stands for.
    pub(crate) fn get(&self, name: Name) -> Option<&T> {
        self.entries.get(&name)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, name: Name) -> Option<&mut T> {
        self.entries.get_mut(&name)
    }

    /// Frees a name.
    pub(crate) fn free(&mut self, name: Name) -> Option<T> {
        self.entries.remove(&name)
    }

    /// Every name, in ascending order.
    pub(crate) fn sorted(&self) -> Vec<Name> {
        let mut names: Vec<Name> = self.entries.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// Every name and what it stands for, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Name, &T)> {
        self.entries.iter().map(|(name, entry)| (*name, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_shape_and_are_not_used_again_soon() {
        for seed in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let mut names = Names::drawn(seed);
            let mut seen = std::collections::HashSet::new();
            for _ in 0..10_000 {
                let name = names.draw().unwrap();
                assert_eq!(shape(name), Ok(()), "{name:#x}");
                assert!(seen.insert(name), "{name:#x} twice");
                names.put(name, ());
                names.free(name);
            }
        }
    }

    #[test]
    fn a_name_in_use_is_passed_over() {
        let mut names: Names<()> = Names::drawn(7);
        let first = names.draw().unwrap();
        let mut again: Names<()> = Names::drawn(7);
        again.put(first, ());
        assert_ne!(again.draw().unwrap(), first);
    }

    #[test]
    fn what_is_no_name_is_told() {
        assert_eq!(shape(0x103), Ok(()));
        assert_eq!(shape(0x3), Err(Misshapen::Index));
        assert_eq!(shape(0xffff_ff03), Err(Misshapen::Index));
        assert_eq!(shape(0x102), Err(Misshapen::Bits));
        assert!(!is_valid(NULL) && !is_valid(DEAD) && is_valid(0x103));
    }

    #[test]
    fn references_stay_at_the_highest_number() {
        assert_eq!(add_urefs(1, -1), Some(0));
        assert_eq!(add_urefs(1, -2), None);
        assert_eq!(add_urefs(65534, 1), Some(65535));
        assert_eq!(add_urefs(65534, i32::MAX), Some(65535));
        assert_eq!(add_urefs(65535, -1), Some(65535));
        assert_eq!(add_urefs(65535, -65535), Some(0));
        assert_eq!(add_urefs(65535, -65536), None);
    }

    /// In ten thousand pairs of tasks no name of the one is a name of the other.
    #[test]
    fn a_number_of_another_task_is_no_name_here() {
        let seed = |n: u64| {
            // SplitMix64: as good as drawn, and the same each time.
            let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        for pair in 1..=10_000 {
            let (mut one, mut two) =
                (Names::drawn(seed(2 * pair)), Names::drawn(seed(2 * pair + 1)));
            for _ in 0..8 {
                let name = one.draw().unwrap();
                one.put(name, ());
                let name = two.draw().unwrap();
                two.put(name, ());
            }
            assert!(one.sorted().iter().all(|name| two.get(*name).is_none()), "pair {pair}");
        }
    }
}
