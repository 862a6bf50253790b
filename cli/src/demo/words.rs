//! What a word is, and how we tell two of them apart.
//!
//! A *run* is a longest stretch of bytes without a blank. A run is a *word* if
//! one of its bytes is printable ASCII. That is the rule of `LC_ALL=C wc -w` in
//! coreutils 9.1. Today's coreutils take every run for a word, see
//! [`Counts::words_bare_included`](super::part::Counts::words_bare_included).
//!
//! A word of up to [`SHORT_MAX`] bytes is known by its bytes. A longer one is
//! known by its length and a hash of all its bytes, so a word of 500 MB takes
//! no more room than one of 33. [`Keys`] says what such a hash is worth.

use std::cmp::Ordering;
use std::fmt;

use super::keys::{Keys, word_at};

/// A word of up to this many bytes is known by its bytes.
pub(crate) const SHORT_MAX: usize = 32;

/// How many bytes of a longer word are kept for display.
pub(crate) const PREFIX_BYTES: usize = 24;

/// A long word when stored or sent: length, two hashes, prefix.
pub(crate) const LONG_BYTES: usize = 8 + 16 + PREFIX_BYTES;

pub(crate) const PRINTABLE: u8 = 1;
pub(crate) const BLANK: u8 = 2;

/// What each byte is in the C locale: printable, blank or neither.
///
/// The space is both for `isprint` and `isspace`; here it is a blank.
pub(crate) const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0x21;
    while byte <= 0x7e {
        class[byte] = PRINTABLE;
        byte += 1;
    }
    let blanks = b" \t\n\x0b\x0c\r";
    let mut at = 0;
    while at < blanks.len() {
        class[blanks[at] as usize] = BLANK;
        at += 1;
    }
    class
};

/// Returns the length of the run `bytes` begins with, and whether it is a word.
#[inline]
pub(crate) fn measure(bytes: &[u8]) -> (usize, bool) {
    let mut seen = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let class = CLASS[usize::from(byte)];
        if class & BLANK != 0 {
            return (at, seen != 0);
        }
        seen |= class;
    }
    (bytes.len(), seen != 0)
}

/// A run, or a piece of one that is cut at the edge of a chunk or a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) len: u64,
    /// Whether a byte of it is printable, which makes it a word.
    pub(crate) printable: bool,
    /// Its first bytes, as many as there are; the rest is zero.
    pub(crate) head: [u8; SHORT_MAX],
    /// Zero while `head` holds the whole run.
    pub(crate) hash: [u64; 2],
}

impl Run {
    /// Returns the bytes we know one by one.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head[..self.head_len()]
    }

    fn head_len(&self) -> usize {
        usize::try_from(self.len).map_or(SHORT_MAX, |len| len.min(SHORT_MAX))
    }

    fn is_short(&self) -> bool {
        self.len <= SHORT_MAX as u64
    }

    fn full_hash(&self, keys: &Keys) -> [u64; 2] {
        if self.is_short() { keys.extend([0; 2], self.head()) } else { self.hash }
    }

    /// Adds `bytes`, which hold no blank, at the end.
    pub(crate) fn extend(&mut self, keys: &Keys, bytes: &[u8], printable: bool) {
        let known = self.head_len();
        let len = self.len + bytes.len() as u64;
        if len > SHORT_MAX as u64 {
            self.hash = keys.extend(self.full_hash(keys), bytes);
        }
        let fits = bytes.len().min(SHORT_MAX - known);
        self.head[known..known + fits].copy_from_slice(&bytes[..fits]);
        self.len = len;
        self.printable |= printable;
    }

    /// Adds the run that follows in the file.
    pub(crate) fn join(&mut self, keys: &Keys, next: &Self) {
        if next.is_short() {
            self.extend(keys, next.head(), next.printable);
            return;
        }
        let known = self.head_len();
        self.hash = keys.join(self.full_hash(keys), next.hash, next.len);
        self.head[known..].copy_from_slice(&next.head[..SHORT_MAX - known]);
        self.len += next.len;
        self.printable |= next.printable;
    }

    /// Returns what tells this run from others.
    pub(crate) fn key(&self) -> Key<'_> {
        if self.is_short() {
            return Key::Short(self.head());
        }
        let mut prefix = [0; PREFIX_BYTES];
        prefix.copy_from_slice(&self.head[..PREFIX_BYTES]);
        Key::Long(Long { len: self.len, hash: self.hash, prefix })
    }
}

/// What tells one word from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// All its bytes.
    Short(&'a [u8]),
    /// What we keep of a word of more than [`SHORT_MAX`] bytes.
    Long(Long),
}

impl Key<'_> {
    /// Returns the word's length in the file.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Short(bytes) => bytes.len() as u64,
            Self::Long(long) => long.len,
        }
    }

    /// Compares bytewise as far as the bytes are known.
    ///
    /// Long words that agree in their prefix come after the short ones and are
    /// ordered by length, then by hash: an order, though of no meaning.
    pub(crate) fn compare(&self, other: &Key<'_>) -> Ordering {
        let start = self.start().cmp(other.start());
        start.then_with(|| match (self, other) {
            (Self::Short(a), Key::Short(b)) => a.cmp(b),
            (Self::Short(_), Key::Long(_)) => Ordering::Less,
            (Self::Long(_), Key::Short(_)) => Ordering::Greater,
            (Self::Long(a), Key::Long(b)) => (a.len, a.hash).cmp(&(b.len, b.hash)),
        })
    }

    fn start(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => &bytes[..bytes.len().min(PREFIX_BYTES)],
            Self::Long(long) => &long.prefix,
        }
    }
}

impl fmt::Display for Key<'_> {
    /// Shows text as it is and everything else escaped.
    ///
    /// Nothing shown can move a terminal's cursor or change its colour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(bytes) => show(f, bytes),
            Self::Long(long) => {
                show(f, without_cut_character(&long.prefix))?;
                write!(f, "… ({} bytes)", long.len)
            }
        }
    }
}

fn show(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            // Quotes are text here; `escape_debug` thinks of string literals.
            match character {
                '\'' | '"' => write!(f, "{character}")?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}

/// Returns `prefix` without the character our own cut has split.
fn without_cut_character(prefix: &[u8]) -> &[u8] {
    match std::str::from_utf8(prefix) {
        Err(error) if error.error_len().is_none() => &prefix[..error.valid_up_to()],
        Ok(_) | Err(_) => prefix,
    }
}

/// A word of more than [`SHORT_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Long {
    pub(crate) len: u64,
    pub(crate) hash: [u64; 2],
    pub(crate) prefix: [u8; PREFIX_BYTES],
}

impl Long {
    pub(crate) fn to_bytes(self) -> [u8; LONG_BYTES] {
        let mut bytes = [0; LONG_BYTES];
        bytes[..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.hash[0].to_le_bytes());
        bytes[16..24].copy_from_slice(&self.hash[1].to_le_bytes());
        bytes[24..].copy_from_slice(&self.prefix);
        bytes
    }

    /// Takes any bytes; whether they make sense is the caller's to check.
    pub(crate) fn from_bytes(bytes: &[u8; LONG_BYTES]) -> Self {
        let mut prefix = [0; PREFIX_BYTES];
        prefix.copy_from_slice(&bytes[24..]);
        let hash = [word_at(bytes, 8), word_at(bytes, 16)];
        Self { len: word_at(bytes, 0), hash, prefix }
    }
}

/// A word that has left the table, for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// All its bytes.
    Short(Box<[u8]>),
    /// What we keep of a word of more than [`SHORT_MAX`] bytes.
    Long(Long),
}

impl Word {
    /// Borrows what tells this word from others.
    pub(crate) fn key(&self) -> Key<'_> {
        match self {
            Self::Short(bytes) => Key::Short(bytes),
            Self::Long(long) => Key::Long(*long),
        }
    }
}

impl From<Key<'_>> for Word {
    fn from(key: Key<'_>) -> Self {
        match key {
            Key::Short(bytes) => Self::Short(bytes.into()),
            Key::Long(long) => Self::Long(long),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::Dice;
    use super::*;

    fn run(keys: &Keys, bytes: &[u8]) -> Run {
        let mut run = Run::default();
        run.extend(keys, bytes, measure(bytes).1);
        run
    }

    #[test]
    fn bytes_are_classed_as_the_c_locale_does() {
        for byte in 0..=255u8 {
            let blank = matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
            let want = if blank { BLANK } else { u8::from(byte.is_ascii_graphic()) };
            assert_eq!(CLASS[usize::from(byte)], want, "{byte:#x}");
        }
    }

    #[test]
    fn a_run_cut_anywhere_is_the_same_run() {
        let mut dice = Dice(3);
        for _ in 0..2000 {
            let keys = dice.keys();
            let size = [8, 40, 200][dice.below(3)];
            let bytes: Vec<u8> = (0..dice.below(size)).map(|_| dice.byte() | 0x80).collect();
            let a = dice.below(bytes.len() + 1);
            let b = a + dice.below(bytes.len() - a + 1);
            let whole = run(&keys, &bytes);

            let mut extended = run(&keys, &bytes[..a]);
            extended.extend(&keys, &bytes[a..b], false);
            extended.extend(&keys, &bytes[b..], false);
            assert_eq!(extended, whole);

            let mut left = run(&keys, &bytes[..a]);
            left.join(&keys, &run(&keys, &bytes[a..b]));
            left.join(&keys, &run(&keys, &bytes[b..]));
            assert_eq!(left, whole);

            let mut right = run(&keys, &bytes[a..b]);
            right.join(&keys, &run(&keys, &bytes[b..]));
            let mut first = run(&keys, &bytes[..a]);
            first.join(&keys, &right);
            assert_eq!(first, whole);
        }
    }

    #[test]
    fn long_words_of_one_prefix_are_told_apart() {
        let keys = Dice(4).keys();
        let mut seen = std::collections::HashSet::new();
        for len in [33, 34, 100] {
            for at in 24..len {
                for byte in [b'b', 0, 0xff] {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    assert!(seen.insert((len as u64, run(&keys, &bytes).hash)));
                }
            }
        }
    }

    #[test]
    fn words_are_shown_so_that_a_terminal_survives() {
        let keys = Dice(5).keys();
        let cases: &[(&[u8], &str)] = &[
            (b"the", "the"),
            (b"don't", "don't"),
            (b"\"So", "\"So"),
            (b"a\\n", "a\\\\n"),
            (b"\x1b[31mred", "\\u{1b}[31mred"),
            (b"nul\0", "nul\\0"),
            ("naïve".as_bytes(), "naïve"),
            ("\u{202e}txt".as_bytes(), "\\u{202e}txt"),
            (b"caf\xe9!", "caf\\xe9!"),
            (&[b'x'; 32], "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            (&[b'x'; 33], "xxxxxxxxxxxxxxxxxxxxxxxx… (33 bytes)"),
            ("aéééééééééééééééééééé".as_bytes(), "aééééééééééé… (41 bytes)"),
        ];
        for (bytes, shown) in cases {
            let run = run(&keys, bytes);
            assert_eq!(run.key().to_string(), *shown);
            assert_eq!(Word::from(run.key()).to_string(), *shown);
            assert_eq!(Word::from(run.key()).key(), run.key());
        }
    }

    #[test]
    fn words_are_in_one_order() {
        let keys = Dice(6).keys();
        let x = |n| vec![b'x'; n];
        let sorted: Vec<Vec<u8>> = vec![
            b"a".to_vec(),
            b"ab".to_vec(),
            [b"b".as_slice(), &x(60)].concat(),
            b"c".to_vec(),
            x(23),
            x(24),
            x(32),
            x(33),
            x(40),
            b"y".to_vec(),
        ];
        let runs: Vec<Run> = sorted.iter().map(|word| run(&keys, word)).collect();
        for (i, a) in runs.iter().enumerate() {
            for (j, b) in runs.iter().enumerate() {
                assert_eq!(a.key().compare(&b.key()), i.cmp(&j), "{i} {j}");
            }
        }
    }
}
