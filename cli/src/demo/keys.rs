//! Hashes of long words that can be put together like the words themselves.
//!
//! A hash reads the bytes as the digits of a number in a secret base, modulo
//! the prime 2^61 - 1, in two bases at once. Two neighbours' hashes join into
//! the hash of both together:
//!
//! ```text
//! hash(a b) = hash(a) * base ^ length(b) + hash(b)
//! ```
//!
//! Two different words of length n have equal hashes for fewer than n of the
//! 2^61 values of each base. Words of length n cost the file n bytes each, so
//! in a file of N bytes any two words are confused with a probability below
//! (N / 2^61)^2 / 2: 2^-65 for 500 MB. This holds for a file made by an
//! adversary, because the bases are drawn after the file was written.

use std::fs::File;
use std::io::{self, Read};

/// The prime 2^61 - 1.
pub(crate) const PRIME: u64 = (1 << 61) - 1;

/// The secrets of one session, drawn by the client and told to each worker.
///
/// They guard against whoever wrote the file, not against a worker: a worker
/// may lie about its counts without breaking any hash.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    bytes: [u8; Keys::BYTES],
    /// The powers 0 to 8 of each base.
    powers: [[u64; 9]; 2],
}

impl Keys {
    /// Keys when sent.
    pub(crate) const BYTES: usize = 24;

    /// Draws keys from the kernel's random source.
    pub(crate) fn draw() -> io::Result<Self> {
        let mut bytes = [0; Self::BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Takes the keys another process has drawn. Any bytes will do.
    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let powers = [0, 1].map(|which| {
            // A base of 0 would forget all bytes but the last, a base of 1
            // their order.
            let base = 2 + word_at(&bytes, 8 * which) % (PRIME - 2);
            let mut powers = [1; 9];
            for at in 1..powers.len() {
                powers[at] = reduce(u128::from(powers[at - 1]) * u128::from(base));
            }
            powers
        });
        Self { bytes, powers }
    }

    /// Returns the keys as a worker takes them.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        self.bytes
    }

    /// Returns the secret of the hash tables.
    pub(crate) fn table_seed(&self) -> u64 {
        word_at(&self.bytes, 16)
    }

    /// Returns the hashes of a run whose hashes were `hash`, with `bytes` added.
    pub(super) fn extend(&self, hash: [u64; 2], bytes: &[u8]) -> [u64; 2] {
        let [mut first, mut second] = hash;
        let [a, b] = &self.powers;
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            first = shift_in(first, eight, a);
            second = shift_in(second, eight, b);
        }
        for &byte in rest {
            first = reduce(u128::from(first) * u128::from(a[1]) + u128::from(byte));
            second = reduce(u128::from(second) * u128::from(b[1]) + u128::from(byte));
        }
        [first, second]
    }

    /// Returns the hashes of two runs put together, the second `len` bytes long.
    pub(super) fn join(&self, first: [u64; 2], second: [u64; 2], len: u64) -> [u64; 2] {
        [0, 1].map(|which| {
            let shift = power(self.powers[which][1], len);
            reduce(u128::from(first[which]) * u128::from(shift) + u128::from(second[which]))
        })
    }
}

/// Adds eight digits to `hash`.
///
/// Nine products, the largest below 2^122, so their sum fits.
#[inline]
fn shift_in(hash: u64, eight: &[u8; 8], powers: &[u64; 9]) -> u64 {
    let mut sum = u128::from(hash) * u128::from(powers[8]);
    for (at, &byte) in eight.iter().enumerate() {
        sum += u128::from(byte) * u128::from(powers[7 - at]);
    }
    reduce(sum)
}

/// Returns `n` modulo [`PRIME`], for `n` below 2^123.
#[inline]
fn reduce(n: u128) -> u64 {
    // 2^61 is 1 here, so the high digits are added to the low ones.
    let once = (n as u64 & PRIME) + (n >> 61) as u64;
    let twice = (once & PRIME) + (once >> 61);
    if twice >= PRIME { twice - PRIME } else { twice }
}

fn power(base: u64, mut exponent: u64) -> u64 {
    let (mut result, mut square) = (1, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = reduce(u128::from(result) * u128::from(square));
        }
        square = reduce(u128::from(square) * u128::from(square));
        exponent >>= 1;
    }
    result
}

/// Reads the eight bytes at `at`. Panics if there are fewer.
pub(super) fn word_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small seeded source of chance (splitmix64).
    pub(crate) struct Dice(pub(crate) u64);

    impl Dice {
        pub(crate) fn roll(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        pub(crate) fn below(&mut self, n: usize) -> usize {
            usize::try_from(self.roll() % n as u64).unwrap()
        }

        pub(crate) fn byte(&mut self) -> u8 {
            self.roll().to_le_bytes()[7]
        }

        pub(crate) fn keys(&mut self) -> Keys {
            Keys::from_bytes(std::array::from_fn(|_| self.byte()))
        }
    }

    #[test]
    fn reduce_is_the_remainder() {
        let mut dice = Dice(1);
        let edges = [0, 1, u128::from(PRIME) - 1, u128::from(PRIME), u128::from(PRIME) + 1];
        let random = (0..1000).map(|_| {
            ((u128::from(dice.roll()) << 64) | u128::from(dice.roll())) >> (5 + dice.below(64))
        });
        for n in edges.into_iter().chain([(1 << 123) - 1]).chain(random.collect::<Vec<_>>()) {
            assert_eq!(u128::from(reduce(n)), n % u128::from(PRIME), "{n}");
        }
    }

    #[test]
    fn a_hash_is_the_number_its_bytes_spell() {
        let mut dice = Dice(2);
        for len in 0..100 {
            let keys = dice.keys();
            let bytes: Vec<u8> = (0..len).map(|_| dice.byte()).collect();
            for (which, hash) in keys.extend([0; 2], &bytes).into_iter().enumerate() {
                let base = u128::from(keys.powers[which][1]);
                let spelled = bytes
                    .iter()
                    .fold(0, |n, &byte| (n * base + u128::from(byte)) % u128::from(PRIME));
                assert_eq!(u128::from(hash), spelled);
            }
        }
    }

    #[test]
    fn keys_travel_as_bytes() {
        let keys = Keys::draw().unwrap();
        let told = Keys::from_bytes(keys.to_bytes());
        assert_eq!(told.powers, keys.powers);
        assert_eq!(told.table_seed(), keys.table_seed());
        for extreme in [[0; Keys::BYTES], [255; Keys::BYTES]] {
            let keys = Keys::from_bytes(extreme);
            assert!(keys.powers.iter().all(|powers| (2..PRIME).contains(&powers[1])));
        }
    }
}
