//! Counts one part of a file, chunk by chunk.
//!
//! This is all a worker does. Chunks may be of any size and cut words anywhere.
//! The words at the edges of the part stay open; [`Total`](super::total::Total)
//! joins them with the neighbours'.
//!
//! A counter takes at most 9 MiB: a part has room for 271,732 distinct words,
//! whose records take 4.2 MiB, and the slots 4 MiB. Its result takes up to 1.5
//! MiB more, and as much again once encoded.

use std::error::Error;
use std::fmt;

use super::keys::Keys;
use super::part::{Counts, Edges, PART_BYTES, PartResult};
use super::tally::{Tally, WORDS_MAX};
use super::words::{Key, Run, SHORT_MAX, measure};

/// A part has too few words to fill a table, whose counts are thus exact.
const _: () = assert!(PART_BYTES.div_ceil(2) <= WORDS_MAX);

/// Counts the lines, words and bytes of one part, and each word.
pub(crate) struct Counter {
    keys: Keys,
    counts: Counts,
    /// The run before the first blank, once that blank has come.
    first: Option<Run>,
    /// The run that the last chunk has left open.
    open: Run,
    tally: Tally,
}

impl Counter {
    /// Begins a part. All counters of a file take the same keys.
    pub(crate) fn new(keys: &Keys) -> Self {
        Self {
            keys: *keys,
            counts: Counts::default(),
            first: None,
            open: Run::default(),
            tally: Tally::new(keys, WORDS_MAX),
        }
    }

    /// Counts the next bytes of the part.
    ///
    /// # Errors
    /// [`PartFull`] if the part were longer than [`PART_BYTES`] with them.
    /// Nothing of the chunk is counted then.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), PartFull> {
        let bytes = self.counts.bytes + chunk.len() as u64;
        if bytes > PART_BYTES as u64 {
            return Err(PartFull);
        }
        self.counts.bytes = bytes;

        let mut rest = self.extend_open(chunk);
        while let Some((blank, after)) = rest.split_first() {
            self.counts.lines += u64::from(*blank == b'\n');
            let (len, printable) = measure(after);
            if len == after.len() {
                self.open.extend(&self.keys, after, printable);
                return Ok(());
            }
            let (run, from_blank) = after.split_at(len);
            if len > 0 {
                self.add(run, printable);
            }
            rest = from_blank;
        }
        Ok(())
    }

    /// Goes on with the open run and closes it if a blank comes.
    ///
    /// Returns the chunk from that blank on.
    fn extend_open<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let (len, printable) = measure(chunk);
        let (run, from_blank) = chunk.split_at(len);
        self.open.extend(&self.keys, run, printable);
        if from_blank.is_empty() {
            return from_blank;
        }
        let run = std::mem::take(&mut self.open);
        if self.first.is_none() {
            self.first = Some(run);
        } else if run.len > 0 {
            self.add_run(&run);
        }
        from_blank
    }

    #[inline]
    fn add(&mut self, bytes: &[u8], printable: bool) {
        if printable && bytes.len() <= SHORT_MAX {
            self.counts.words += 1;
            self.tally.add(Key::Short(bytes), 1);
        } else {
            let mut run = Run::default();
            run.extend(&self.keys, bytes, printable);
            self.add_run(&run);
        }
    }

    #[cold]
    fn add_run(&mut self, run: &Run) {
        if run.printable {
            self.counts.words += 1;
            self.tally.add(run.key(), 1);
        } else {
            self.counts.bare += 1;
        }
    }

    /// Ends the part.
    pub(crate) fn finish(self) -> PartResult {
        let edges = match self.first {
            None => Edges::Whole(self.open),
            Some(first) => Edges::Split { first, last: self.open },
        };
        PartResult::new(self.counts, edges, &self.tally)
    }
}

/// The chunk does not fit the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartFull;

impl fmt::Display for PartFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a part is longer than {PART_BYTES} bytes")
    }
}

impl Error for PartFull {}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::Dice;
    use super::*;

    fn count(chunks: &[&[u8]]) -> PartResult {
        let mut counter = Counter::new(&Dice(1).keys());
        for chunk in chunks {
            counter.push(chunk).unwrap();
        }
        counter.finish()
    }

    #[test]
    fn the_edges_are_left_to_the_neighbours() {
        let run = |bytes: &[u8]| {
            let mut run = Run::default();
            run.extend(&Dice(1).keys(), bytes, measure(bytes).1);
            run
        };
        let split = |first: &[u8], last: &[u8]| Edges::Split { first: run(first), last: run(last) };
        // Part, edges, lines, words and bare runs between the edges.
        let cases: &[(&[u8], Edges, u64, u64, u64)] = &[
            (b"", Edges::Whole(run(b"")), 0, 0, 0),
            (b"word", Edges::Whole(run(b"word")), 0, 0, 0),
            (b"\n", split(b"", b""), 1, 0, 0),
            (b"one two", split(b"one", b"two"), 0, 0, 0),
            (b"one  two\n", split(b"one", b""), 1, 1, 0),
            (b" one\x0btwo\x0c\x00\rthree ", split(b"", b""), 0, 3, 1),
            (b"\xff a\x01 \x01\x7f \x80b \xfe", split(b"\xff", b"\xfe"), 0, 2, 1),
        ];
        for (bytes, edges, lines, words, bare) in cases {
            let result = count(&[bytes]);
            let counts =
                Counts { lines: *lines, words: *words, bytes: bytes.len() as u64, bare: *bare };
            assert_eq!((result.counts, result.edges), (counts, *edges), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let bytes = b" one\ntwo \x01 a-word-of-more-than-thirty-two-bytes two\n\nend";
        let whole = count(&[bytes]);
        for a in 0..=bytes.len() {
            for b in a..=bytes.len() {
                assert_eq!(count(&[&bytes[..a], &bytes[a..b], &bytes[b..]]), whole, "{a} {b}");
            }
        }
        assert_eq!(count(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn a_part_has_an_end() {
        let mut counter = Counter::new(&Dice(1).keys());
        let half = vec![b'x'; PART_BYTES / 2];
        counter.push(&half).unwrap();
        counter.push(&half).unwrap();
        assert_eq!(counter.push(b"y"), Err(PartFull));
        counter.push(b"").unwrap();
        assert_eq!(counter.finish().bytes(), PART_BYTES as u64);
    }
}
