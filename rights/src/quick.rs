//! Maps by numbers of our own making.
//!
//! The hash of the standard library withstands keys that somebody chose to collide,
//! and costs more than all else of a look-up by a number. Keys here are never a
//! peer's to choose.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by numbers that no peer chooses.
pub type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// One multiplication for each word of a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quick(u64);

/// An odd number without a pattern: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Quick {
    const fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        // The last bits choose the place; the multiplication fills the first.
        self.0.rotate_left(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash};

    fn hash(key: impl Hash) -> u64 {
        BuildHasherDefault::<Quick>::default().hash_one(key)
    }

    #[test]
    fn neighbours_fall_far_from_each_other() {
        // As many places as keys: by chance some 632 of 1,000 are used.
        let places = |keys: Vec<u64>| {
            let places: HashSet<u64> = keys.into_iter().map(|key| key % 1_024).collect();
            places.len()
        };
        assert!(places((0..1_024_u64).map(hash).collect()) > 632);
        assert!(places((0..1_024_u64).map(|key| hash(key << 32)).collect()) > 632);
        let pairs = (0..1_024_u32).map(|key| hash((key % 32, u64::from(key / 32))));
        assert!(places(pairs.collect()) > 632);
    }

    #[test]
    fn every_part_of_a_key_counts() {
        assert_ne!(hash((1_u32, 2_u64)), hash((2_u32, 1_u64)));
        assert_ne!(hash("one"), hash("two"));
        assert_ne!(hash(1_u8), hash(2_u8));
    }
}
