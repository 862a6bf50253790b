//! One writer, one reader, a power-of-two ring of frames: the counting and the
//! copying, over any words.
//!
//! The peer owns one word each side reads and may be lying about it. What we
//! read is copied once, checked once, and not looked at again.
//!
//! | word   | written by | says                              |
//! |--------|------------|-----------------------------------|
//! | `head` | the writer | bytes below this have been filled |
//! | `tail` | the reader | bytes below this are free again   |
//!
//! Each side counts in private memory and only *announces* its count. A peer
//! that scribbles on its word, or on its bytes, gets an offence or garbage; no
//! count of ours moves because of it, and no index is taken from it unchecked.
//!
//! Races, numbered here and in `tests/loom.rs`:
//!
//! 1. The reader loads `head` while the writer fills: `lane.head`. Who sees a
//!    head sees the bytes below it.
//! 2. The writer fills again what the reader has just copied: `lane.tail`. Who
//!    sees a tail overwrites nothing that is still being read.
//! 3. The reader goes to sleep while the writer publishes: `link.look`. One of
//!    the two sees the other.
//! 4. The writer begins to wait for room while the reader frees: `link.look`,
//!    the same with `tail` and `want`.

use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::{Offence, Slot, limits};

use crate::word::{Look, Word};

const HEADER: u64 = HEADER_BYTES as u64;

/// Why a frame was not written. Nothing of it is in the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The lane has no room now.
    #[error("the lane has no room")]
    NoRoom,
    /// The reader lied about its tail.
    #[error("the lane's reader broke the protocol: {0}")]
    Offence(Offence),
    /// The header's length is not that of the parts, or no lane takes it: a
    /// mistake of ours.
    #[error("the frame's length is not what its header says, or is beyond the limit")]
    Length,
    /// This process was forked from the one the lane belongs to.
    #[error("the lane belongs to the process this one was forked from")]
    Forked,
}

/// Bytes `header` takes in the lane. Other than [`Header::room`], right for any
/// length a peer can say.
fn room(header: &Header) -> u64 {
    u64::from(header.length).next_multiple_of(8)
}

/// The writer's private side of a lane.
#[derive(Debug)]
pub struct Filler {
    size: u64,
    /// Bytes filled, in all.
    position: u64,
    /// Bytes filled and announced.
    published: u64,
    /// The last tail believed.
    tail: u64,
}

impl Filler {
    /// An empty lane of `size` bytes, a power of two.
    pub fn new(size: u32) -> Filler {
        Filler {
            size: u64::from(size),
            position: 0,
            published: 0,
            tail: 0,
        }
    }

    /// Bytes filled, in all.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Fills in a frame. See [`LaneWriter::write`](crate::LaneWriter::write).
    ///
    /// `tail` loads the reader's word; it is called only when the tail last
    /// believed leaves no room.
    ///
    /// # Errors
    /// All of [`WriteError`] but `Forked`.
    #[inline]
    pub fn write<W: Word>(
        &mut self,
        lane: &[W],
        head: &W,
        header: &Header,
        parts: &[&[u8]],
        keep: u32,
        tail: impl FnOnce() -> u64,
    ) -> Result<(), WriteError> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + HEADER_BYTES;
        if header.length as usize != length || header.kind == Kind::Skip {
            return Err(WriteError::Length);
        }
        let room = room(header);
        self.make_room(lane, head, header.length, keep, tail)?;
        self.fill(lane, header, parts);
        self.position = self.position.wrapping_add(room);
        Ok(())
    }

    /// Makes sure that a frame of `length` bytes fits, skipping to the front of
    /// the ring where it must.
    ///
    /// # Errors
    /// All of [`WriteError`] but `Forked`.
    #[inline]
    pub fn make_room<W: Word>(
        &mut self,
        lane: &[W],
        head: &W,
        length: u32,
        keep: u32,
        tail: impl FnOnce() -> u64,
    ) -> Result<(), WriteError> {
        let room = u64::from(length).next_multiple_of(8);
        let keep = u64::from(keep);
        if length as usize > limits::FRAME_BYTES || room + keep > self.size {
            return Err(WriteError::Length);
        }
        let rest = self.size - self.offset();
        let skip = if room > rest { rest } else { 0 };
        if skip + room + keep > self.free() {
            self.look_at_tail::<W>(tail())?;
            let free = self.free();
            if skip + room + keep > free {
                // A frame longer than half the lane may find room only at its
                // front. So the way to the front is filled as soon as it can be.
                if skip > 0 && skip + keep <= free {
                    self.skip(lane, skip);
                    self.publish(head);
                }
                return Err(WriteError::NoRoom);
            }
        }
        if skip > 0 {
            self.skip(lane, skip);
        }
        Ok(())
    }

    /// Announces what has been filled.
    #[inline]
    pub fn publish<W: Word>(&mut self, head: &W) {
        self.published = self.position;
        // Publish last. Whoever sees this head also sees the frames below it.
        head.publish(self.position.to_le()); // pairs: lane.head (race 1)
    }

    #[inline]
    fn offset(&self) -> u64 {
        self.position & (self.size - 1)
    }

    #[inline]
    fn free(&self) -> u64 {
        self.size - self.position.wrapping_sub(self.tail)
    }

    /// Believes a tail that lies between the last one and what was announced.
    #[cold]
    fn look_at_tail<W: Word>(&mut self, tail: u64) -> Result<(), WriteError> {
        if tail.wrapping_sub(self.tail) > self.published.wrapping_sub(self.tail) {
            return Err(WriteError::Offence(Offence::TailImpossible));
        }
        W::acquire(); // pairs: lane.tail (race 2)
        self.tail = tail;
        Ok(())
    }

    /// Fills the ring to its end: with a frame, or with nothing where not even
    /// a header fits.
    #[cold]
    fn skip<W: Word>(&mut self, lane: &[W], bytes: u64) {
        if bytes >= HEADER {
            let nowhere = Slot {
                index: 0,
                generation: 0,
            };
            let header = Header {
                length: bytes as u32,
                ..Header::new(Kind::Skip, nowhere)
            };
            self.fill(lane, &header, &[]);
        }
        self.position = self.position.wrapping_add(bytes);
    }

    /// Stores a header and what follows it at the position.
    #[inline]
    fn fill<W: Word>(&self, lane: &[W], header: &Header, parts: &[&[u8]]) {
        let start = self.offset() as usize / 8;
        let mut words = lane.get(start..).unwrap_or_default().iter();
        // A word not yet full, and how many bytes of it there are.
        let mut begun = ([0; 8], 0);
        put(&mut words, &mut begun, &header.encode());
        for part in parts {
            put(&mut words, &mut begun, part);
        }
        if begun.1 > 0
            && let Some(word) = words.next()
        {
            word.set(u64::from_ne_bytes(begun.0));
        }
    }
}

/// Stores `bytes` word by word, beginning inside a word where the last part
/// ended.
#[inline]
fn put<'lane, W: Word + 'lane>(
    words: &mut impl Iterator<Item = &'lane W>,
    begun: &mut ([u8; 8], usize),
    mut bytes: &[u8],
) {
    let (partial, filled) = begun;
    if *filled > 0 {
        let (front, back) = bytes.split_at(bytes.len().min(8 - *filled));
        for (to, from) in partial.iter_mut().skip(*filled).zip(front) {
            *to = *from;
        }
        *filled += front.len();
        bytes = back;
        if *filled < 8 {
            return;
        }
        if let Some(word) = words.next() {
            word.set(u64::from_ne_bytes(*partial));
        }
    }
    let (whole, back) = bytes.as_chunks::<8>();
    // The bytes first: a `zip` takes from its first side even where the second
    // has no more, and a word taken so would be left out.
    for (bytes, word) in whole.iter().zip(&mut *words) {
        word.set(u64::from_ne_bytes(*bytes));
    }
    *partial = [0; 8];
    for (to, from) in partial.iter_mut().zip(back) {
        *to = *from;
    }
    *filled = back.len();
}

/// The reader's private side of a lane.
#[derive(Debug)]
pub struct Emptier {
    size: u64,
    /// Bytes consumed, in all.
    position: u64,
    /// The last head believed.
    head: u64,
}

impl Emptier {
    /// An empty lane of `size` bytes, a power of two.
    pub fn new(size: u32) -> Emptier {
        Emptier {
            size: u64::from(size),
            position: 0,
            head: 0,
        }
    }

    /// Bytes consumed, in all.
    #[inline]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether there is anything past the position, given what `head` loads.
    #[inline]
    pub fn pending(&self, head: impl FnOnce() -> u64) -> bool {
        self.head != self.position || head() != self.position
    }

    /// The header of the frame at the position. See
    /// [`LaneReader::next`](crate::LaneReader::next).
    ///
    /// `head` loads the writer's word; it is called only when all that was last
    /// seen has been consumed, and at most twice.
    ///
    /// # Errors
    /// What the writer did wrong.
    #[inline]
    pub fn next<L: Look>(
        &mut self,
        lane: &[L],
        head: impl Fn() -> u64,
    ) -> Result<Option<Header>, Offence> {
        // At most twice: once past a skip, which never begins at the front.
        loop {
            if self.position == self.head && !self.look_at_head::<L>(head())? {
                return Ok(None);
            }
            let shown = self.head.wrapping_sub(self.position);
            let offset = self.offset();
            let rest = self.size - offset;
            if shown < rest.min(HEADER) {
                return Err(Offence::FrameTruncated);
            }
            if rest < HEADER {
                self.position = self.position.wrapping_add(rest);
                continue;
            }
            let mut bytes = [0; HEADER_BYTES];
            copy_out(lane, offset as usize, &mut bytes);
            let header = Header::decode(&bytes)?;
            let room = room(&header);
            if room > shown || room > rest {
                return Err(Offence::FrameOversized);
            }
            if header.kind != Kind::Skip {
                return Ok(Some(header));
            }
            // A skip reaches the end, and nobody skips a whole lane.
            if room != rest || offset == 0 {
                return Err(Offence::FrameOversized);
            }
            self.position = self.position.wrapping_add(room);
        }
    }

    /// Copies what lies `skip` bytes behind the header into `out`, as far as
    /// the ring goes. Returns how many bytes that was.
    #[inline]
    pub fn copy<L: Look>(&self, lane: &[L], skip: usize, out: &mut [u8]) -> usize {
        let start = (self.offset() as usize + HEADER_BYTES).saturating_add(skip);
        let there = (self.size as usize).saturating_sub(start);
        let count = out.len().min(there);
        if let Some(out) = out.get_mut(..count) {
            copy_out(lane, start, out);
        }
        count
    }

    /// Leaves the frame behind.
    #[inline]
    pub fn finish(&mut self, header: &Header) {
        let shown = self.head.wrapping_sub(self.position);
        self.position = self.position.wrapping_add(room(header).min(shown));
    }

    #[inline]
    fn offset(&self) -> u64 {
        self.position & (self.size - 1)
    }

    /// Believes a head that lies within one lap of the position. `false` where
    /// nothing is new.
    #[inline]
    fn look_at_head<L: Look>(&mut self, head: u64) -> Result<bool, Offence> {
        if head == self.position {
            return Ok(false);
        }
        if head.wrapping_sub(self.position) > self.size || !head.is_multiple_of(8) {
            return Err(Offence::HeadImpossible);
        }
        L::acquire(); // pairs: lane.head (race 1)
        self.head = head;
        Ok(true)
    }
}

/// Copies bytes from offset `at` of the lane, each word loaded once.
#[inline]
fn copy_out<L: Look>(lane: &[L], at: usize, mut out: &mut [u8]) {
    let mut words = lane.get(at / 8..).unwrap_or_default().iter();
    let inside = at % 8;
    if inside > 0
        && let Some(word) = words.next()
    {
        let bytes = word.look().to_ne_bytes();
        let (front, back) = out.split_at_mut(out.len().min(8 - inside));
        for (to, from) in front.iter_mut().zip(bytes.iter().skip(inside)) {
            *to = *from;
        }
        out = back;
    }
    let (whole, back) = out.as_chunks_mut::<8>();
    for (bytes, word) in whole.iter_mut().zip(&mut words) {
        *bytes = word.look().to_ne_bytes();
    }
    if !back.is_empty()
        && let Some(word) = words.next()
    {
        let bytes = word.look().to_ne_bytes();
        for (to, from) in back.iter_mut().zip(&bytes) {
            *to = *from;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    const SIZE: u32 = 1024;

    /// A lane whose two ends are at hand, and whose words can be lied about.
    struct Pair {
        lane: Vec<AtomicU64>,
        head: AtomicU64,
        tail: u64,
        filler: Filler,
        emptier: Emptier,
    }

    impl Pair {
        fn new() -> Pair {
            Pair {
                lane: (0..SIZE / 8).map(|_| AtomicU64::new(0)).collect(),
                head: AtomicU64::new(0),
                tail: 0,
                filler: Filler::new(SIZE),
                emptier: Emptier::new(SIZE),
            }
        }

        fn write(&mut self, parts: &[&[u8]], keep: u32) -> Result<(), WriteError> {
            let bytes: usize = parts.iter().map(|part| part.len()).sum();
            let header = message(HEADER_BYTES + bytes);
            let tail = self.tail;
            let written = self
                .filler
                .write(&self.lane, &self.head, &header, parts, keep, || tail);
            if written.is_ok() {
                self.filler.publish(&self.head);
            }
            written
        }

        fn next(&mut self) -> Result<Option<Header>, Offence> {
            let head = Look::look(&self.head);
            self.emptier.next(&self.lane, || head)
        }

        fn read(&mut self) -> Option<Vec<u8>> {
            let header = self.next().expect("an honest writer")?;
            let mut body = vec![0; header.body_bytes()];
            let copied = self.emptier.copy(&self.lane, 0, &mut body);
            assert_eq!(copied, body.len());
            self.emptier.finish(&header);
            Some(body)
        }

        fn free(&mut self) {
            self.tail = self.emptier.position();
        }

        /// Puts a header where the reader looks next, and shows `bytes` of it.
        fn forge(&mut self, header: [u8; HEADER_BYTES], bytes: u64) {
            let at = self.emptier.offset() as usize / 8;
            for (word, bytes) in self.lane[at..].iter().zip(header.as_chunks::<8>().0) {
                word.set(u64::from_ne_bytes(*bytes));
            }
            self.head.publish(self.emptier.position() + bytes);
        }
    }

    fn message(length: usize) -> Header {
        let slot = Slot {
            index: 1,
            generation: 1,
        };
        Header {
            length: length as u32,
            ..Header::new(Kind::Message, slot)
        }
    }

    #[test]
    fn every_length_and_every_split_comes_back() {
        let mut pair = Pair::new();
        let bytes: Vec<u8> = (1..=100).collect();
        for length in 0..bytes.len() {
            for split in 0..=length {
                let (front, back) = bytes[..length].split_at(split);
                let (left, middle) = front.split_at(split / 2);
                pair.write(&[left, middle, &[], back], 0).unwrap();
                assert_eq!(pair.read().unwrap(), &bytes[..length]);
                pair.free();
            }
        }
    }

    #[test]
    fn a_copy_may_begin_and_end_anywhere() {
        let mut pair = Pair::new();
        let bytes: Vec<u8> = (1..=64).collect();
        pair.write(&[&bytes], 0).unwrap();
        pair.next().unwrap();
        for skip in 0..bytes.len() {
            for end in skip..=bytes.len() {
                let mut out = vec![0; end - skip];
                pair.emptier.copy(&pair.lane, skip, &mut out);
                assert_eq!(out, &bytes[skip..end]);
            }
        }
        // Past the end of the ring there is nothing.
        let mut out = [7; 8];
        let copy = |skip, out: &mut [u8]| pair.emptier.copy(&pair.lane, skip, out);
        assert_eq!(copy(SIZE as usize - HEADER_BYTES - 3, &mut out), 3);
        assert_eq!(copy(SIZE as usize, &mut out), 0);
        assert_eq!(copy(usize::MAX, &mut out), 0);
    }

    #[test]
    fn what_has_no_room_is_not_written() {
        let mut pair = Pair::new();
        let mut written = 0;
        while pair.write(&[&[9; 32]], 128).is_ok() {
            written += 1;
        }
        assert_eq!(written, (SIZE - 128) / 64);
        // The reserve is there for who may use it.
        pair.write(&[&[9; 32]], 0).unwrap();
        pair.write(&[&[9; 32]], 0).unwrap();
        assert_eq!(pair.write(&[], 0), Err(WriteError::NoRoom));
        for _ in 0..written + 2 {
            assert_eq!(pair.read().unwrap(), [9; 32]);
        }
        assert_eq!(pair.read(), None);
    }

    #[test]
    fn the_longest_frame_gets_through_from_every_place() {
        for start in (32..=SIZE).step_by(8) {
            let mut pair = Pair::new();
            let before = vec![1; start as usize - HEADER_BYTES];
            pair.write(&[&before], 0).unwrap();
            pair.read().unwrap();
            pair.free();
            let long = vec![2; SIZE as usize - HEADER_BYTES];
            if let Err(error) = pair.write(&[&long], 0) {
                // Not in one step: the ring was filled to its end, and shown.
                assert_eq!(error, WriteError::NoRoom);
                assert_eq!(pair.read(), None);
                pair.free();
                pair.write(&[&long], 0).unwrap();
            }
            assert_eq!(pair.read().unwrap(), long);
        }
    }

    #[test]
    fn a_length_that_is_not_true_is_our_own_mistake() {
        let mut pair = Pair::new();
        let attempt = |pair: &mut Pair, header: &Header, parts: &[&[u8]]| {
            pair.filler
                .write(&pair.lane, &pair.head, header, parts, 0, || 0)
        };
        let wrong = Err(WriteError::Length);
        assert_eq!(attempt(&mut pair, &message(33), &[]), wrong);
        assert_eq!(attempt(&mut pair, &message(32), &[b"x"]), wrong);
        let skip = Header {
            kind: Kind::Skip,
            ..message(32)
        };
        assert_eq!(attempt(&mut pair, &skip, &[]), wrong);
        let long = vec![0; SIZE as usize];
        let header = message(HEADER_BYTES + long.len());
        assert_eq!(attempt(&mut pair, &header, &[&long]), wrong);
    }

    #[test]
    fn tail_impossible() {
        for lie in [1, 63, u64::MAX / 2, 1 << 40, SIZE.into()] {
            let mut pair = Pair::new();
            pair.write(&[&[0; 512]], 0).unwrap();
            pair.write(&[&[0; 256]], 0).unwrap();
            pair.read().unwrap();
            pair.tail = 512 + 32;
            pair.write(&[&[0; 480]], 0).unwrap();
            // Back behind what was said, or past what was announced.
            pair.tail = match lie {
                1 | 63 => lie,
                _ => pair.filler.position().wrapping_add(lie),
            };
            assert_eq!(
                pair.write(&[&[0; 480]], 0),
                Err(WriteError::Offence(Offence::TailImpossible))
            );
        }
    }

    #[test]
    fn head_impossible() {
        for lie in [1, 33, u64::from(SIZE) + 8, u64::MAX - 7, 1 << 63] {
            let mut pair = Pair::new();
            pair.head.publish(lie);
            assert_eq!(pair.next(), Err(Offence::HeadImpossible));
        }
    }

    #[test]
    fn frame_truncated() {
        let mut pair = Pair::new();
        pair.forge(message(32).encode(), 24);
        assert_eq!(pair.next(), Err(Offence::FrameTruncated));
        // At the end of the ring, where no header fits, the rest is skipped
        // whole or not at all.
        let mut pair = Pair::new();
        pair.write(&[&[0; SIZE as usize - 16 - HEADER_BYTES]], 0)
            .unwrap();
        pair.read().unwrap();
        pair.head.publish(pair.emptier.position() + 8);
        assert_eq!(pair.next(), Err(Offence::FrameTruncated));
    }

    #[test]
    fn frame_oversized() {
        // Longer than what was announced.
        let mut pair = Pair::new();
        pair.forge(message(48).encode(), 40);
        assert_eq!(pair.next(), Err(Offence::FrameOversized));
        // Past the end of the ring.
        let mut pair = Pair::new();
        pair.write(&[&[0; 512]], 0).unwrap();
        pair.read().unwrap();
        pair.forge(message(1000).encode(), 1008);
        assert_eq!(pair.next(), Err(Offence::FrameOversized));
        // Skips that go nowhere, round the whole ring, or beyond any count.
        for length in [32, SIZE, u32::MAX, u32::MAX - 7] {
            let mut pair = Pair::new();
            let skip = Header {
                kind: Kind::Skip,
                ..message(length as usize)
            };
            pair.forge(skip.encode(), SIZE.into());
            assert_eq!(pair.next(), Err(Offence::FrameOversized), "{length}");
        }
    }

    #[test]
    fn a_frame_stays_until_it_is_finished_and_no_further() {
        let mut pair = Pair::new();
        pair.write(&[b"one"], 0).unwrap();
        let header = pair.next().unwrap().unwrap();
        assert_eq!(pair.next(), Ok(Some(header)));
        // A header that is not of this frame moves nothing past the head.
        pair.emptier.finish(&message(SIZE as usize));
        assert_eq!(pair.emptier.position(), pair.filler.position());
        assert_eq!(pair.next(), Ok(None));
    }
}
