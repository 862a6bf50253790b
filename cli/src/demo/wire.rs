//! The fields of a result on their way between two processes.
//!
//! What we read here a worker has sent, and it may be lying. Nothing panics,
//! nothing is allocated, and every offence is raised in one place. The format
//! is drawn in [`part`](super::part).

#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::indexing_slicing, clippy::unwrap_used)
)]

use std::error::Error;
use std::fmt;

use super::keys::PRIME;
use super::words::{Key, LONG_BYTES, Long, Run, SHORT_MAX, measure};

pub(super) fn put_number(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    bytes.push(n.to_le_bytes()[0]);
}

pub(super) fn put_run(bytes: &mut Vec<u8>, run: &Run) {
    put_number(bytes, run.len);
    bytes.push(run.printable.into());
    bytes.extend_from_slice(run.head());
    if run.len > SHORT_MAX as u64 {
        bytes.extend(run.hash.iter().flat_map(|hash| hash.to_le_bytes()));
    }
}

/// What is left to decode.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Offence> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Offence::CutShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Offence> {
        let mut array = [0; LEN];
        array.copy_from_slice(self.take(LEN)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Offence> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Offence> {
        let mut n = 0;
        // Nine bytes hold 63 bits, far more than anything we count in a part.
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(Offence::Number) } else { Ok(n) };
            }
        }
        Err(Offence::Number)
    }

    pub(super) fn run(&mut self) -> Result<Run, Offence> {
        let len = self.number()?;
        let said = self.byte()?;
        let known = usize::try_from(len).map_or(SHORT_MAX, |len| len.min(SHORT_MAX));
        let text = self.take(known)?;
        let seen = check_text(text)?;
        let long = len > SHORT_MAX as u64;
        let printable = match (said, seen, long) {
            (0, false, _) => false,
            (1, true, _) | (1, false, true) => true,
            _ => return Err(Offence::Printable),
        };
        let mut head = [0; SHORT_MAX];
        for (to, from) in head.iter_mut().zip(text) {
            *to = *from;
        }
        let mut hash = [0; 2];
        if long {
            hash = [u64::from_le_bytes(self.array()?), u64::from_le_bytes(self.array()?)];
            check_hash(hash)?;
        }
        Ok(Run { len, printable, head, hash })
    }

    pub(super) fn word(&mut self) -> Result<(Key<'a>, u64), Offence> {
        let key = match usize::from(self.byte()?) {
            0 => Key::Long(self.long()?),
            len @ 1..=SHORT_MAX => {
                let text = self.take(len)?;
                if !check_text(text)? {
                    return Err(Offence::NotAWord);
                }
                Key::Short(text)
            }
            _ => return Err(Offence::Kind),
        };
        match self.number()? {
            0 => Err(Offence::NoOccurrence),
            count => Ok((key, count)),
        }
    }

    fn long(&mut self) -> Result<Long, Offence> {
        let long = Long::from_bytes(&self.array::<LONG_BYTES>()?);
        if long.len <= SHORT_MAX as u64 {
            return Err(Offence::NotLong);
        }
        check_hash(long.hash)?;
        check_text(&long.prefix)?;
        Ok(long)
    }
}

/// Checks that no blank is among `text`, and says whether it is a word.
fn check_text(text: &[u8]) -> Result<bool, Offence> {
    let (run, printable) = measure(text);
    if run < text.len() { Err(Offence::Blank) } else { Ok(printable) }
}

fn check_hash(hash: [u64; 2]) -> Result<(), Offence> {
    if hash.iter().all(|half| *half < PRIME) { Ok(()) } else { Err(Offence::Hash) }
}

/// The bytes of the part that nothing has claimed yet.
pub(super) struct Room(pub(super) u64);

impl Room {
    pub(super) fn spend(&mut self, n: u64, each: u64) -> Result<(), Offence> {
        let left = n.checked_mul(each).and_then(|all| self.0.checked_sub(all));
        self.0 = left.ok_or(Offence::Crowded)?;
        Ok(())
    }
}

/// What is wrong with a worker's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Offence {
    /// More than [`RESULT_BYTES_MAX`](super::part::RESULT_BYTES_MAX) bytes.
    TooLong,
    /// A version we do not know.
    Version,
    /// It ends inside a field.
    CutShort,
    /// A number that is padded or has no end.
    Number,
    /// A part of more than [`PART_BYTES`](super::part::PART_BYTES).
    PartTooLong,
    /// A shape we do not know.
    Shape,
    /// Something follows the single run.
    Surplus,
    /// A single run of another length than its part.
    RunLength,
    /// A run is called a word and is none, or the other way round.
    Printable,
    /// A blank inside a word.
    Blank,
    /// A hash that is no remainder of [`PRIME`].
    Hash,
    /// A kind of word we do not know.
    Kind,
    /// A word without a printable byte.
    NotAWord,
    /// A long word that is short.
    NotLong,
    /// A word that does not occur.
    NoOccurrence,
    /// More words than the part has bytes for.
    Crowded,
    /// More lines than the part has blanks for.
    Lines,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a worker's result is longer than any part's can be",
            Self::Version => "a worker's result is of a version we do not know",
            Self::CutShort => "a worker's result ends too early",
            Self::Number => "a worker's result holds a malformed number",
            Self::PartTooLong => "a worker's result is about a part that is too long",
            Self::Shape => "a worker's result is of an unknown shape",
            Self::Surplus => "a worker's result goes on after its end",
            Self::RunLength => "a worker's result is about one run of the wrong length",
            Self::Printable => "a worker's result takes a run for what it is not",
            Self::Blank => "a worker's result has a word with a blank in it",
            Self::Hash => "a worker's result holds an impossible hash",
            Self::Kind => "a worker's result holds a word of an unknown kind",
            Self::NotAWord => "a worker's result counts as a word what is none",
            Self::NotLong => "a worker's result calls a short word long",
            Self::NoOccurrence => "a worker's result holds a word that does not occur",
            Self::Crowded => "a worker's result has more words than its part has bytes for",
            Self::Lines => "a worker's result has more lines than its part has blanks",
        })
    }
}

impl Error for Offence {}
