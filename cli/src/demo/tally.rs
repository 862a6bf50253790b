//! How often each word occurs, in a table of bounded size.
//!
//! Words lie one after another in an arena of chunks; a table of 8-byte slots
//! with linear probing finds them. Nothing is ever reallocated but the slots.
//!
//! | record  | bytes   | says                                           |
//! |---------|---------|------------------------------------------------|
//! | `count` | 8       | occurrences seen since the word entered        |
//! | `slack` | 4       | occurrences it may have had before it entered  |
//! | `kind`  | 1       | length of a short word, 0 for a long one       |
//! | `key`   | 1 to 48 | the word, or what we keep of a long one        |
//!
//! A record takes at most 61 bytes, and a million of them 58.2 MiB. The slots
//! are at most three quarters full, 2^21 for a million words: 16 MiB. While
//! they double, 8 MiB more, but the arena is then smaller by 12 MiB or more. So
//! a full table takes **75 MiB**, and about 36 MiB when the words are as short
//! as English ones.
//!
//! When a word over the limit arrives, we let the rarer half go, as *lossy
//! counting* does (Manku and Motwani, 2002), but only when we must. `floor`
//! becomes the largest `count + slack` among those that go, and a newcomer's
//! slack is the floor at its entry. Hence for every word, always:
//!
//! * in the table: it occurred `count` times at least, `count + slack` at most;
//! * not in the table: it occurred `floor` times at most.
//!
//! Each time, half the records lose as much above the floor as the floor rises,
//! and a word adds one to what all the records have above the floor. The floor
//! thus stays below a 500,000th of the words counted.

use super::keys::Keys;
use super::words::{Key, LONG_BYTES, Long, SHORT_MAX};

/// How many distinct words are counted exactly.
pub(crate) const WORDS_MAX: usize = 1_000_000;

/// The arena grows by this much. A record's place fits 32 bits.
const CHUNK_BYTES: usize = 64 * 1024;

const SLOTS_AT_FIRST_BITS: u32 = 12;

const SLACK_AT: usize = 8;
const KIND_AT: usize = 12;
const KEY_AT: usize = 13;

/// Every limit that [`Tally`] is used with fits its slots and its places.
const _: () = assert!(WORDS_MAX * (KEY_AT + LONG_BYTES) < u32::MAX as usize / 2);
const _: () = assert!(LONG_BYTES > SHORT_MAX && SHORT_MAX < 256);

/// A word and how often it occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Key<'a>,
    pub(crate) count: u64,
    pub(crate) slack: u32,
}

impl Entry<'_> {
    /// Returns how often the word may have occurred.
    pub(crate) fn at_most(&self) -> u64 {
        self.count + u64::from(self.slack)
    }
}

/// Words and their frequencies.
pub(crate) struct Tally {
    seeds: [u64; 3],
    /// Zero, or the word's tag above its place. A tag is odd and thus not zero.
    slots: Vec<u64>,
    bits: u32,
    chunks: Vec<Vec<u8>>,
    len: usize,
    limit: usize,
    floor: u64,
}

impl Tally {
    /// Makes an empty table that keeps up to `limit` words.
    ///
    /// Panics if `limit` is zero or above [`WORDS_MAX`].
    pub(crate) fn new(keys: &Keys, limit: usize) -> Self {
        assert!((1..=WORDS_MAX).contains(&limit), "a table of {limit} words");
        let seed = keys.table_seed();
        Self {
            seeds: [seed, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, seed.rotate_left(32) | 1],
            slots: vec![0; 1 << SLOTS_AT_FIRST_BITS],
            bits: SLOTS_AT_FIRST_BITS,
            chunks: Vec::new(),
            len: 0,
            limit,
            floor: 0,
        }
    }

    /// Returns how many words are in the table.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns how often a word may have occurred that is not in the table.
    ///
    /// Zero as long as every count is exact.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Returns the bytes the records take.
    pub(crate) fn arena_bytes(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// Walks through all words, in no order that means anything.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.chunks.iter().flat_map(|chunk| entries_of(chunk))
    }

    /// Counts `n` occurrences of a word.
    #[inline]
    pub(crate) fn add(&mut self, key: Key<'_>, n: u64) {
        let mut space = [0; LONG_BYTES];
        let (kind, key) = kind_and_key(&key, &mut space);
        self.add_record(kind, key, n);
    }

    #[inline]
    fn add_record(&mut self, kind: u8, key: &[u8], n: u64) {
        let tag = self.tag(kind, key);
        let mask = self.slots.len() - 1;
        let mut at = self.home(tag);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                self.enter(tag, kind, key, n);
                return;
            }
            if (slot >> 32) as u32 == tag {
                let record = record_mut(&mut self.chunks, slot as u32);
                if record[KIND_AT] == kind && record[KEY_AT..].starts_with(key) {
                    add_to_count(record, n);
                    return;
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// Puts a word into the table that is not there yet.
    #[cold]
    fn enter(&mut self, tag: u32, kind: u8, key: &[u8], n: u64) {
        if self.len == self.limit {
            self.let_go();
        } else if self.len >= self.slots.len() / 4 * 3 {
            self.double();
        }
        let slack = u32::try_from(self.floor).unwrap_or(u32::MAX);
        self.put(tag, kind, key, n, slack);
    }

    fn put(&mut self, tag: u32, kind: u8, key: &[u8], count: u64, slack: u32) {
        let place = append(&mut self.chunks, count, slack, kind, key);
        self.take_slot(tag, place);
        self.len += 1;
    }

    fn take_slot(&mut self, tag: u32, place: u32) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(tag);
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = u64::from(tag) << 32 | u64::from(place);
    }

    fn double(&mut self) {
        self.bits += 1;
        let doubled = vec![0; 1 << self.bits];
        for slot in std::mem::replace(&mut self.slots, doubled) {
            if slot != 0 {
                self.take_slot((slot >> 32) as u32, slot as u32);
            }
        }
    }

    /// Raises the floor to the median and lets go of the words below it.
    ///
    /// Takes no memory: the median is found in the slots, which are then filled
    /// anew, and each chunk is given back once its survivors have moved.
    fn let_go(&mut self) {
        let mut highs = std::mem::take(&mut self.slots);
        for (high, entry) in highs.iter_mut().zip(self.entries()) {
            *high = entry.at_most();
        }
        let (_, median, _) = highs[..self.len].select_nth_unstable((self.len - 1) / 2);
        self.floor = *median;
        highs.fill(0);
        self.slots = highs;

        self.len = 0;
        for chunk in std::mem::take(&mut self.chunks) {
            for entry in entries_of(&chunk) {
                if entry.at_most() > self.floor {
                    let mut space = [0; LONG_BYTES];
                    let (kind, key) = kind_and_key(&entry.key, &mut space);
                    self.put(self.tag(kind, key), kind, key, entry.count, entry.slack);
                }
            }
        }
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        (tag >> (32 - self.bits)) as usize
    }

    /// Hashes a key: its ends are mixed with secrets and multiplied.
    ///
    /// The ends overlap or touch in a short word, so every byte has its say. In
    /// a long word's record they are its length, its hash and its prefix.
    #[inline]
    fn tag(&self, kind: u8, key: &[u8]) -> u32 {
        let [first, second, third] = self.seeds;
        let mut state = first ^ u64::from(kind);
        let (low, high) = if let (Some(low), Some(high)) = (key.first_chunk(), key.last_chunk()) {
            let (low, high) = (u128::from_le_bytes(*low), u128::from_le_bytes(*high));
            state = fold(low as u64 ^ state, (low >> 64) as u64 ^ third);
            (high as u64, (high >> 64) as u64)
        } else if let (Some(low), Some(high)) = (key.first_chunk(), key.last_chunk()) {
            (u64::from_le_bytes(*low), u64::from_le_bytes(*high))
        } else if let (Some(low), Some(high)) = (key.first_chunk(), key.last_chunk()) {
            (u32::from_le_bytes(*low).into(), u32::from_le_bytes(*high).into())
        } else if let (Some(low), Some(high)) = (key.first_chunk(), key.last_chunk()) {
            (u16::from_le_bytes(*low).into(), u16::from_le_bytes(*high).into())
        } else {
            (key.first().copied().unwrap_or(0).into(), 0)
        };
        let hash = fold(fold(low ^ state, high ^ second), third);
        (hash >> 32) as u32 | 1
    }
}

/// Returns a key as its record holds it. A long one is written to `space`.
#[inline]
fn kind_and_key<'a>(key: &Key<'a>, space: &'a mut [u8; LONG_BYTES]) -> (u8, &'a [u8]) {
    match key {
        Key::Short(bytes) => (bytes.len() as u8, bytes),
        Key::Long(long) => {
            *space = long.to_bytes();
            (0, space)
        }
    }
}

/// Multiplies to 128 bits and folds the halves.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Appends a record and returns its place.
fn append(chunks: &mut Vec<Vec<u8>>, count: u64, slack: u32, kind: u8, key: &[u8]) -> u32 {
    if chunks.last().is_none_or(|last| last.len() + KEY_AT + key.len() > CHUNK_BYTES) {
        chunks.push(Vec::with_capacity(CHUNK_BYTES));
    }
    let number = chunks.len() - 1;
    let last = &mut chunks[number];
    let place = number * CHUNK_BYTES + last.len();
    last.extend_from_slice(&count.to_le_bytes());
    last.extend_from_slice(&slack.to_le_bytes());
    last.push(kind);
    last.extend_from_slice(key);
    place as u32
}

/// Borrows the record at `place` and all that follows in its chunk.
#[inline]
fn record_mut(chunks: &mut [Vec<u8>], place: u32) -> &mut [u8] {
    let place = place as usize;
    &mut chunks[place / CHUNK_BYTES][place % CHUNK_BYTES..]
}

#[inline]
fn add_to_count(record: &mut [u8], n: u64) {
    if let Some(count) = record.first_chunk_mut::<SLACK_AT>() {
        *count = (u64::from_le_bytes(*count) + n).to_le_bytes();
    }
}

/// Reads a chunk's records one after another.
fn entries_of(chunk: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = chunk;
    std::iter::from_fn(move || {
        let (count, tail) = rest.split_first_chunk()?;
        let (slack, tail) = tail.split_first_chunk()?;
        let (kind, tail) = tail.split_first()?;
        let key;
        (key, rest) = match kind {
            0 => {
                let (long, tail) = tail.split_first_chunk()?;
                (Key::Long(Long::from_bytes(long)), tail)
            }
            len => {
                let (short, tail) = tail.split_at_checked(usize::from(*len))?;
                (Key::Short(short), tail)
            }
        };
        Some(Entry { key, count: u64::from_le_bytes(*count), slack: u32::from_le_bytes(*slack) })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::keys::tests::Dice;
    use super::super::words::Run;
    use super::*;

    fn short(n: u64, len: usize) -> Vec<u8> {
        let mut word = n.to_string().into_bytes();
        word.resize(len.max(word.len()), b'.');
        word
    }

    #[test]
    fn counts_are_exact_up_to_the_limit() {
        let mut dice = Dice(1);
        for (limit, words, rounds) in [(1, 1, 10), (10, 10, 1000), (40_000, 40_000, 200_000)] {
            let keys = dice.keys();
            let mut tally = Tally::new(&keys, limit);
            let mut naive: HashMap<Vec<u8>, u64> = HashMap::new();
            for _ in 0..rounds {
                let word = short(dice.below(words) as u64, 1 + dice.below(2) * 31);
                if naive.len() == limit && !naive.contains_key(&word) {
                    continue;
                }
                let n = 1 + dice.below(3) as u64;
                tally.add(Key::Short(&word), n);
                *naive.entry(word).or_default() += n;
            }
            assert_eq!(tally.floor(), 0);
            assert_eq!(tally.len(), naive.len());
            let mut seen = 0;
            for entry in tally.entries() {
                let Key::Short(word) = entry.key else { panic!("{entry:?}") };
                assert_eq!((entry.count, entry.slack), (naive[word], 0));
                seen += 1;
            }
            assert_eq!(seen, naive.len());
        }
    }

    #[test]
    fn words_of_every_length_are_told_apart() {
        let keys = Dice(2).keys();
        let mut tally = Tally::new(&keys, WORDS_MAX);
        let words: Vec<Vec<u8>> = (1..=100)
            .flat_map(|len| {
                (0..len).flat_map(move |at| {
                    [b'a', b'b'].map(|byte| {
                        let mut word = vec![b'x'; len];
                        word[at] = byte;
                        word
                    })
                })
            })
            .collect();
        for _ in 0..3 {
            for word in &words {
                let mut run = Run::default();
                run.extend(&keys, word, true);
                tally.add(run.key(), 1);
            }
        }
        assert_eq!(tally.len(), words.len());
        assert!(tally.entries().all(|entry| entry.count == 3));
    }

    #[test]
    fn every_count_lies_within_its_bounds() {
        let mut dice = Dice(3);
        for round in 0..30 {
            let limit = 1 + dice.below(200);
            let keys = dice.keys();
            let mut tally = Tally::new(&keys, limit);
            let mut naive: HashMap<Vec<u8>, u64> = HashMap::new();
            let spread = 1 + dice.below(10 * limit);
            let mut total = 0;
            for _ in 0..5000 {
                // A square makes small numbers frequent.
                let number = dice.below(spread) * dice.below(spread) / spread;
                let word = short(number as u64, 1 + 31 * (number % 2));
                let n = if round % 2 == 0 { 1 } else { 1 + dice.below(50) as u64 };
                tally.add(Key::Short(&word), n);
                *naive.entry(word).or_default() += n;
                total += n;
                assert!(tally.len() <= limit);
            }
            assert_eq!(tally.floor() == 0, naive.len() <= limit);
            assert!(tally.floor() <= 2 * total / limit as u64, "{} {total}", tally.floor());
            for entry in tally.entries() {
                let Key::Short(word) = entry.key else { panic!("{entry:?}") };
                let count = naive.remove(word).unwrap();
                assert!((entry.count..=entry.at_most()).contains(&count), "{entry:?} {count}");
            }
            assert!(naive.values().all(|count| *count <= tally.floor()));
        }
    }

    #[test]
    fn long_words_outlive_the_letting_go() {
        let mut dice = Dice(4);
        let keys = dice.keys();
        let mut tally = Tally::new(&keys, 100);
        let mut run = Run::default();
        run.extend(&keys, &[b'x'; 1000], true);
        for n in 0..10_000 {
            tally.add(run.key(), 1);
            tally.add(Key::Short(&short(n, 10)), 1);
        }
        let found = tally.entries().find(|entry| entry.key == run.key()).unwrap();
        assert_eq!((found.count, found.slack), (10_000, 0));
    }

    #[test]
    fn a_full_table_takes_75_mib() {
        let keys = Dice(5).keys();
        let mut tally = Tally::new(&keys, WORDS_MAX);
        for n in 0..=WORDS_MAX as u64 {
            let long = Long { len: 33 + n, hash: [n, n], prefix: [b'x'; PREFIX] };
            if tally.len() == WORDS_MAX {
                let bytes = tally.chunks.len() * CHUNK_BYTES + tally.slots.len() * 8;
                assert!(bytes <= 75 << 20, "{bytes}");
            }
            tally.add(Key::Long(long), 1);
        }
        // All words occurred once, so all of them went when the last one came.
        assert_eq!((tally.len(), tally.floor()), (1, 1));
    }

    const PREFIX: usize = super::super::words::PREFIX_BYTES;
}
