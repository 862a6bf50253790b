//! The ring between two honest ends, and with each lie alone.

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
        let written = self.filler.write(&self.lane, &self.head, &header, parts, keep, || tail);
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
    let slot = Slot { index: 1, generation: 1 };
    Header { length: length as u32, ..Header::new(Kind::Message, slot) }
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
        pair.filler.write(&pair.lane, &pair.head, header, parts, 0, || 0)
    };
    let wrong = Err(WriteError::Length);
    assert_eq!(attempt(&mut pair, &message(33), &[]), wrong);
    assert_eq!(attempt(&mut pair, &message(32), &[b"x"]), wrong);
    let skip = Header { kind: Kind::Skip, ..message(32) };
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
        assert_eq!(pair.write(&[&[0; 480]], 0), Err(WriteError::Offence(Offence::TailImpossible)));
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
    pair.write(&[&[0; SIZE as usize - 16 - HEADER_BYTES]], 0).unwrap();
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
        let skip = Header { kind: Kind::Skip, ..message(length as usize) };
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
