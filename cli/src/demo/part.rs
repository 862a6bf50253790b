//! The result of one part, and how it travels.
//!
//! A part's result holds its counts, its words with their frequencies, and the
//! two runs cut off at its edges, which only its neighbours can complete. It is
//! computed by a worker, which may be out of order, out of its mind or hostile.
//! [`PartResult::decode`] takes any bytes; what it accepts adds up: no more
//! words and lines than the part has bytes for. That the counts are true
//! nobody can check without counting again.
//!
//! | field    | bytes    | says                                             |
//! |----------|----------|--------------------------------------------------|
//! | version  | 1        | 1                                                |
//! | bytes    | 1 to 3   | length of the part                               |
//! | shape    | 1        | 0: one run, no blank, no more fields; 1: all     |
//! | first    | 2 to 52  | the run before the first blank, or the one run   |
//! | last     | 2 to 52  | the run after the last blank                     |
//! | lines    | 1 to 3   | newlines                                         |
//! | bare     | 1 to 3   | whole runs that are no words                     |
//! | words    | the rest | for each: kind, key, count                       |
//!
//! A run is its length, whether it is a word (0 or 1), up to 32 bytes of its
//! beginning, and two hashes if it is longer. Kind and key are those of
//! [`tally`](super::tally). Numbers are LEB128 in the shortest form; hashes and
//! the numbers in a key are little-endian.
//!
//! A word that occurs once in the part costs it `n + 1` bytes and the result at
//! most half as many again; a word that occurs more often is cheaper. Hence
//! [`RESULT_BYTES_MAX`].

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::indexing_slicing, clippy::unwrap_used)
)]

use super::tally::Tally;
use super::wire::{Offence, Reader, Room, put_number, put_run};
use super::words::{Key, Run};

/// The length of a part, but for the file's last one.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// No result is longer than this when encoded.
pub(crate) const RESULT_BYTES_MAX: usize = PART_BYTES + PART_BYTES / 2 + 128;

const VERSION: u8 = 1;

/// What `wc` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Newline bytes, as `wc -l` counts them.
    pub(crate) lines: u64,
    /// Runs with a printable byte, as `LC_ALL=C wc -w` of coreutils 9.1 counts.
    pub(crate) words: u64,
    /// Bytes, as `wc -c` counts them.
    pub(crate) bytes: u64,
    /// Runs without a printable byte.
    pub(crate) bare: u64,
}

impl Counts {
    /// Returns what `LC_ALL=C wc -w` of today's coreutils says.
    ///
    /// There a run is a word whatever it is made of. In English text there is
    /// no difference.
    pub(crate) fn words_bare_included(&self) -> u64 {
        self.words + self.bare
    }
}

/// The runs a part shares with its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edges {
    /// The part has no blank and is one run, which may be empty.
    Whole(Run),
    /// The runs before the first and after the last blank, which may be empty.
    Split { first: Run, last: Run },
}

/// What a worker found in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartResult {
    /// The words between the edges are counted here, the edges are not.
    pub(super) counts: Counts,
    pub(super) edges: Edges,
    /// The words with their counts, encoded.
    words: Vec<u8>,
}

impl PartResult {
    /// Encodes the words of `tally`.
    pub(super) fn new(counts: Counts, edges: Edges, tally: &Tally) -> Self {
        // A record is longer than the word is when encoded.
        let mut words = Vec::with_capacity(tally.arena_bytes());
        for entry in tally.entries() {
            match entry.key {
                Key::Short(bytes) => {
                    words.extend(u8::try_from(bytes.len()));
                    words.extend_from_slice(bytes);
                }
                Key::Long(long) => {
                    words.push(0);
                    words.extend_from_slice(&long.to_bytes());
                }
            }
            put_number(&mut words, entry.count);
        }
        Self { counts, edges, words }
    }

    /// Returns the length of the part, which must be that of the part handed
    /// out. The client compares; we cannot know.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes
    }

    /// Walks through the words between the edges, with their counts.
    pub(super) fn words(&self) -> impl Iterator<Item = (Key<'_>, u64)> {
        let mut rest = Reader(&self.words);
        // What we hold is checked, so only the end is an error.
        std::iter::from_fn(move || rest.word().ok())
    }

    /// Encodes the result into at most [`RESULT_BYTES_MAX`] bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128 + self.words.len());
        bytes.push(VERSION);
        put_number(&mut bytes, self.counts.bytes);
        match &self.edges {
            Edges::Whole(run) => {
                bytes.push(0);
                put_run(&mut bytes, run);
            }
            Edges::Split { first, last } => {
                bytes.push(1);
                put_run(&mut bytes, first);
                put_run(&mut bytes, last);
                put_number(&mut bytes, self.counts.lines);
                put_number(&mut bytes, self.counts.bare);
                bytes.extend_from_slice(&self.words);
            }
        }
        bytes
    }

    /// Takes what a worker has sent.
    ///
    /// Allocates no more than `bytes` is long.
    ///
    /// # Errors
    /// The [`Offence`] says what is wrong with it. The part is to be counted
    /// again, by another worker.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Offence> {
        if bytes.len() > RESULT_BYTES_MAX {
            return Err(Offence::TooLong);
        }
        let mut rest = Reader(bytes);
        if rest.byte()? != VERSION {
            return Err(Offence::Version);
        }
        let counts = Counts { bytes: rest.number()?, ..Counts::default() };
        if counts.bytes > PART_BYTES as u64 {
            return Err(Offence::PartTooLong);
        }
        match rest.byte()? {
            0 => Self::decode_whole(rest, counts),
            1 => Self::decode_split(rest, counts),
            _ => Err(Offence::Shape),
        }
    }

    fn decode_whole(mut rest: Reader<'_>, counts: Counts) -> Result<Self, Offence> {
        let run = rest.run()?;
        if !rest.0.is_empty() {
            return Err(Offence::Surplus);
        }
        if run.len != counts.bytes {
            return Err(Offence::RunLength);
        }
        Ok(Self { counts, edges: Edges::Whole(run), words: Vec::new() })
    }

    fn decode_split(mut rest: Reader<'_>, mut counts: Counts) -> Result<Self, Offence> {
        let (first, last) = (rest.run()?, rest.run()?);
        counts.lines = rest.number()?;
        counts.bare = rest.number()?;
        let words = rest.0.to_vec();

        // Each run has a blank after it, and the first blank is before them.
        let mut room = Room(counts.bytes);
        room.spend(1, first.len)?;
        room.spend(1, last.len)?;
        room.spend(1, 1)?;
        room.spend(counts.bare, 2)?;
        while !rest.0.is_empty() {
            let (key, count) = rest.word()?;
            room.spend(count, key.len().saturating_add(1))?;
            counts.words += count;
        }
        if counts.lines > 1 + counts.bare + counts.words + room.0 {
            return Err(Offence::Lines);
        }
        Ok(Self { counts, edges: Edges::Split { first, last }, words })
    }
}

#[cfg(test)]
mod tests {
    use super::super::count::Counter;
    use super::super::keys::PRIME;
    use super::super::keys::tests::Dice;
    use super::super::words::{BLANK, CLASS, LONG_BYTES, measure};
    use super::*;

    fn count(bytes: &[u8]) -> PartResult {
        let mut counter = Counter::new(&Dice(1).keys());
        counter.push(bytes).unwrap();
        counter.finish()
    }

    /// An honest result: two lines, three words, one of them long, one bare run.
    fn honest() -> Vec<u8> {
        let long = [b'x'; 40];
        count(&[b"ab cd \x01\n", &long[..], b" cd\nef"].concat()).encode()
    }

    #[test]
    fn a_result_comes_back_as_it_went() {
        for bytes in [&b""[..], b"x", b"\xff", b" ", b"ab cd cd\n\x01 e", &[b'x'; 40], &[7; 999]] {
            let result = count(bytes);
            assert_eq!(result.bytes(), bytes.len() as u64);
            assert_eq!(PartResult::decode(&result.encode()), Ok(result));
        }
        assert!(PartResult::decode(&honest()).is_ok());
    }

    #[test]
    fn the_longest_result_fits() {
        let mut dice = Dice(2);
        // All distinct words, shortest first, make the most of the room.
        let mut crowd = Vec::with_capacity(PART_BYTES);
        'fill: for len in 1..=3 {
            for n in 0..250u32.pow(len) {
                let digits = (0..len).map(|at| 250u32.pow(at)).map(|unit| n / unit % 250);
                let word: Vec<u8> = digits
                    .map(|digit| {
                        (0..=255)
                            .filter(|b| CLASS[usize::from(*b)] != BLANK)
                            .nth(digit as usize)
                            .unwrap()
                    })
                    .collect();
                if !measure(&word).1 {
                    continue;
                }
                if crowd.len() + word.len() + 1 > PART_BYTES {
                    break 'fill;
                }
                crowd.extend(word);
                crowd.push(b' ');
            }
        }
        // Words that are just long.
        let long: Vec<u8> = (0..PART_BYTES)
            .map(|at| if at % 34 == 33 { b'\n' } else { 0x80 | dice.byte() | 1 })
            .map(|byte| if byte == 0x85 { b'a' } else { byte })
            .collect();
        let single = vec![b'x'; PART_BYTES];
        for bytes in [crowd, long, single] {
            let result = count(&bytes).encode();
            assert!(result.len() <= RESULT_BYTES_MAX, "{}", result.len());
            assert!(PartResult::decode(&result).is_ok());
        }
    }

    /// Edits an honest result and expects `offence`.
    fn refused(offence: Offence, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = honest();
        edit(&mut bytes);
        assert_eq!(PartResult::decode(&bytes), Err(offence));
        assert!(offence.to_string().starts_with("a worker's result"));
    }

    // Where the fields of the honest result are.
    const BYTES: usize = 1;
    const SHAPE: usize = 2;
    const FIRST: usize = 3;
    const LAST: usize = 7;
    const LINES: usize = 11;
    const BARE: usize = 12;
    const CD: usize = 13;
    const CD_COUNT: usize = 16;
    const LONG: usize = 17;

    #[test]
    fn the_honest_result_is_as_drawn() {
        let bytes = honest();
        assert_eq!(bytes[..FIRST], [1, 54, 1]);
        assert_eq!(bytes[FIRST..LINES], [2, 1, b'a', b'b', 2, 1, b'e', b'f']);
        assert_eq!(bytes[LINES..CD], [2, 1]);
        assert_eq!(bytes[CD..LONG], [2, b'c', b'd', 2]);
        assert_eq!(bytes[LONG..LONG + 9], [0, 40, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes.len(), LONG + 1 + LONG_BYTES + 1);
    }

    #[test]
    fn too_long() {
        refused(Offence::TooLong, |bytes| bytes.resize(RESULT_BYTES_MAX + 1, 0));
    }

    #[test]
    fn version() {
        refused(Offence::Version, |bytes| bytes[0] = 2);
    }

    #[test]
    fn cut_short() {
        let bytes = honest();
        for len in 0..bytes.len() {
            match PartResult::decode(&bytes[..len]) {
                // After a word, an end is as good as another: the rest of the
                // part might be blank.
                Ok(_) => assert!([CD, LONG].contains(&len)),
                Err(offence) => assert_eq!(offence, Offence::CutShort),
            }
        }
    }

    #[test]
    fn number() {
        refused(Offence::Number, |bytes| drop(bytes.splice(BYTES..=BYTES, [0xb8, 0x00])));
        refused(Offence::Number, |bytes| drop(bytes.splice(BYTES..=BYTES, [0xff; 9])));
    }

    #[test]
    fn part_too_long() {
        refused(Offence::PartTooLong, |bytes| {
            drop(bytes.splice(BYTES..=BYTES, [0x81, 0x80, 0x40]))
        });
    }

    #[test]
    fn shape() {
        refused(Offence::Shape, |bytes| bytes[SHAPE] = 2);
    }

    #[test]
    fn surplus() {
        refused(Offence::Surplus, |bytes| bytes[SHAPE] = 0);
    }

    #[test]
    fn run_length() {
        refused(Offence::RunLength, |bytes| {
            bytes[SHAPE] = 0;
            bytes.truncate(LAST);
        });
    }

    #[test]
    fn printable() {
        refused(Offence::Printable, |bytes| bytes[FIRST + 1] = 0);
        refused(Offence::Printable, |bytes| bytes[FIRST + 1] = 2);
        refused(Offence::Printable, |bytes| bytes[FIRST + 2..FIRST + 4].fill(1));
    }

    #[test]
    fn blank() {
        refused(Offence::Blank, |bytes| bytes[FIRST + 2] = b' ');
        refused(Offence::Blank, |bytes| bytes[CD + 1] = b'\n');
        refused(Offence::Blank, |bytes| bytes[LONG + 1 + 24] = b'\t');
    }

    #[test]
    fn hash() {
        refused(Offence::Hash, |bytes| bytes[LONG + 9..LONG + 17].fill(0xff));
        refused(Offence::Hash, |bytes| {
            bytes[LONG + 17..LONG + 25].copy_from_slice(&PRIME.to_le_bytes());
        });
    }

    #[test]
    fn kind() {
        refused(Offence::Kind, |bytes| bytes[CD] = 33);
    }

    #[test]
    fn not_a_word() {
        refused(Offence::NotAWord, |bytes| bytes[CD + 1..CD + 3].fill(0xff));
    }

    #[test]
    fn not_long() {
        refused(Offence::NotLong, |bytes| bytes[LONG + 1] = 32);
    }

    #[test]
    fn no_occurrence() {
        refused(Offence::NoOccurrence, |bytes| bytes[CD_COUNT] = 0);
    }

    #[test]
    fn crowded() {
        refused(Offence::Crowded, |bytes| bytes[BYTES] = 53);
        refused(Offence::Crowded, |bytes| bytes[BARE] = 2);
        refused(Offence::Crowded, |bytes| bytes[CD_COUNT] = 3);
        refused(Offence::Crowded, |bytes| bytes[LONG + 1] = 41);
        refused(Offence::Crowded, |bytes| bytes[LONG + 1..LONG + 9].fill(0xff));
    }

    #[test]
    fn lines() {
        refused(Offence::Lines, |bytes| bytes[LINES] = 6);
    }

    #[test]
    fn garbage_is_refused_or_adds_up() {
        let mut dice = Dice(3);
        let honest = honest();
        for _ in 0..200_000 {
            let mut bytes = honest.clone();
            match dice.below(3) {
                0 => bytes = (0..dice.below(100)).map(|_| dice.byte()).collect(),
                1 => bytes.truncate(dice.below(honest.len())),
                _ => {}
            }
            for _ in 0..dice.below(4) {
                let at = dice.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte =
                        if dice.below(2) == 0 { dice.byte() } else { *byte ^ (1 << dice.below(8)) };
                }
            }
            if let Ok(result) = PartResult::decode(&bytes) {
                assert_eq!(result.encode(), bytes);
                assert_eq!(result.words().map(|(_, n)| n).sum::<u64>(), result.counts.words);
                assert!(result.counts.words + result.counts.bare <= result.bytes() / 2 + 1);
            }
        }
    }
}
