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

use abi::frame::{HEADER_BYTES, HEADER_WORDS, Header, Kind};
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
#[inline]
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
        Filler { size: u64::from(size), position: 0, published: 0, tail: 0 }
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

    /// The frames from `tail`, which the reader says, to what was announced. A
    /// tail that cannot be is taken for the last one believed.
    pub fn read_back<W: Word>(&self, lane: &[W], tail: u64) -> Vec<(Header, Vec<u8>)> {
        let believed = tail.wrapping_sub(self.tail) <= self.published.wrapping_sub(self.tail);
        let position = if believed { tail } else { self.tail };
        let mut back = Emptier { size: self.size, position, head: position };
        let mut frames = Vec::new();
        // A tail inside of a frame shows bytes that are none, and ends it.
        while let Ok(Some(header)) = back.next(lane, || self.published) {
            let mut rest = vec![0; header.length as usize - HEADER_BYTES];
            let copied = back.copy(lane, 0, &mut rest);
            rest.truncate(copied);
            back.finish(&header);
            frames.push((header, rest));
        }
        frames
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
            let nowhere = Slot { index: 0, generation: 0 };
            let header = Header { length: bytes as u32, ..Header::new(Kind::Skip, nowhere) };
            self.fill(lane, &header, &[]);
        }
        self.position = self.position.wrapping_add(bytes);
    }

    /// Stores a header and what follows it at the position.
    #[inline]
    fn fill<W: Word>(&self, lane: &[W], header: &Header, parts: &[&[u8]]) {
        let start = self.offset() as usize / 8;
        let there = lane.get(start..start + room(header) as usize / 8).unwrap_or_default();
        let (first, mut words) = there.split_at(HEADER_WORDS.min(there.len()));
        for (word, value) in first.iter().zip(header.words()) {
            word.set(value.to_le());
        }
        let mut parts = parts.iter();
        for part in &mut parts {
            let (whole, rest) = part.as_chunks::<8>();
            let (to, behind) = words.split_at(whole.len().min(words.len()));
            for (word, bytes) in to.iter().zip(whole) {
                word.set(u64::from_ne_bytes(*bytes));
            }
            words = behind;
            if !rest.is_empty() {
                put_behind(words, rest, parts.as_slice());
                break;
            }
        }
    }
}

/// Stores `rest`, which does not fill a word, and the parts behind it.
#[inline]
fn put_behind<W: Word>(words: &[W], rest: &[u8], parts: &[&[u8]]) {
    let mut words = words.iter();
    // A word not yet full, and how many bytes of it there are.
    let mut begun = ([0; 8], 0);
    put(&mut words, &mut begun, rest);
    for part in parts {
        put(&mut words, &mut begun, part);
    }
    if begun.1 > 0
        && let Some(word) = words.next()
    {
        word.set(u64::from_ne_bytes(begun.0));
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
        Emptier { size: u64::from(size), position: 0, head: 0 }
    }

    /// Bytes consumed, in all.
    #[inline]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The last head seen.
    #[inline]
    pub fn shown(&self) -> u64 {
        self.head
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
            let mut words = [0; HEADER_WORDS];
            let start = offset as usize / 8;
            let there = lane.get(start..start + HEADER_WORDS).unwrap_or_default();
            for (to, word) in words.iter_mut().zip(there) {
                *to = u64::from_le(word.look());
            }
            let header = Header::from_words(words)?;
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
    let words = lane.get(at / 8..).unwrap_or_default();
    let inside = at % 8;
    if inside == 0 {
        let (whole, back) = out.as_chunks_mut::<8>();
        let (front, behind) = words.split_at(whole.len().min(words.len()));
        for (bytes, word) in whole.iter_mut().zip(front) {
            *bytes = word.look().to_ne_bytes();
        }
        if let Some(word) = behind.first() {
            for (to, from) in back.iter_mut().zip(word.look().to_ne_bytes()) {
                *to = from;
            }
        }
        return;
    }
    let mut words = words.iter();
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
mod tests;
