//! A lane in memory: bytes that one task writes and one reads.
//!
//! Publishing is one step: who sees the head sees the frame. What is published
//! stays readable when its writer is dead. Frames wrap nowhere here; the ring
//! itself is `shm`'s business.

use std::cell::OnceCell;
use std::collections::VecDeque;

use abi::Offence;
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::right::RightRef;

/// Bytes of a lane: a few messages, so that lanes are often full.
pub(crate) const LANE_BYTES: usize = 2048;
/// The part that only the protocol's own frames may fill.
pub(crate) const RESERVE_BYTES: usize = 512;

/// One frame as bytes: the header, then what follows it.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) rest: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(mut header: Header, rest: Vec<u8>) -> Self {
        header.length = (HEADER_BYTES + rest.len()) as u32;
        Frame { header, rest }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.encode().to_vec();
        bytes.extend_from_slice(&self.rest);
        bytes.resize(self.header.room() as usize, 0);
        bytes
    }

    pub(crate) fn room(&self) -> usize {
        self.header.room() as usize
    }

    /// The rights it names.
    pub(crate) fn references(&self) -> impl Iterator<Item = RightRef> {
        let named = matches!(self.header.kind, Kind::Message | Kind::Welcome | Kind::Port);
        let attached = named.then(|| Attached::decode(self.header.flags, self.parts().0));
        let attached = attached.and_then(Result::ok).unwrap_or_default();
        attached.reply.into_iter().chain(attached.accepted).chain(attached.rights)
    }

    /// The bytes that name rights, and the body.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        self.rest.split_at_checked(self.header.extra as usize).unwrap_or((&self.rest, &[]))
    }
}

/// The lane and its two counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    bytes: VecDeque<u8>,
    /// Read, but their space not freed: the writer still has them.
    read: VecDeque<Frame>,
    read_bytes: usize,
    head: u64,
    tail: u64,
    /// What is in it: found when it is asked for, forgotten when anything changes.
    known: OnceCell<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    frames: Vec<Frame>,
    references: Vec<RightRef>,
}

impl Lane {
    /// Bytes below this have been filled.
    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    /// Bytes below this have been read.
    pub(crate) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Whether so many bytes have room; the protocol's own may use the reserve.
    pub(crate) fn has_room(&self, bytes: usize, own: bool) -> bool {
        let end = if own { LANE_BYTES } else { LANE_BYTES - RESERVE_BYTES };
        self.bytes.len() + self.read_bytes + bytes <= end
    }

    /// Fills and publishes. The caller has looked for room.
    pub(crate) fn publish(&mut self, bytes: &[u8]) {
        self.known.take();
        self.bytes.extend(bytes);
        self.head += bytes.len() as u64;
    }

    /// Reads the first frame. The bytes may be anything.
    pub(crate) fn take(&mut self) -> Result<Option<Frame>, Offence> {
        self.known.take();
        let Some(frame) = read(self.bytes.make_contiguous())? else {
            return Ok(None);
        };
        let _ = self.bytes.drain(..frame.room());
        self.tail += frame.room() as u64;
        self.read_bytes += frame.room();
        self.read.push_back(frame.clone());
        Ok(Some(frame))
    }

    /// Frees the space of all that was read.
    pub(crate) fn announce(&mut self) {
        self.read.clear();
        self.read_bytes = 0;
    }

    /// Which messages were read, their space not freed.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let messages = self.read.iter().filter(|frame| frame.header.kind == Kind::Message);
        messages.map(crate::moving::number_of)
    }

    /// What the writer still has: read or not, its space was not freed.
    pub(crate) fn unfreed(&self) -> Vec<Frame> {
        let mut frames: Vec<Frame> = self.read.iter().cloned().collect();
        frames.extend_from_slice(self.frames());
        frames
    }

    /// The frames in the lane, up to the first that is none.
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.known().frames
    }

    /// The rights that these name.
    pub(crate) fn references(&self) -> &[RightRef] {
        &self.known().references
    }

    fn known(&self) -> &Known {
        self.known.get_or_init(|| {
            let all: Vec<u8> = self.bytes.iter().copied().collect();
            let mut rest = all.as_slice();
            let mut known = Known::default();
            while let Ok(Some(frame)) = read(rest) {
                rest = rest.get(frame.room()..).unwrap_or_default();
                known.references.extend(frame.references());
                known.frames.push(frame);
            }
            known
        })
    }
}

/// Copies the first frame out, checked once.
fn read(bytes: &[u8]) -> Result<Option<Frame>, Offence> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(Offence::HeadImpossible)?;
    let header = Header::decode(head)?;
    if header.room() as usize > bytes.len() {
        return Err(Offence::HeadImpossible);
    }
    let rest = bytes.get(HEADER_BYTES..header.length as usize).ok_or(Offence::FrameTruncated)?;
    Ok(Some(Frame { header, rest: rest.to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::Slot;

    const SLOT: Slot = Slot { index: 1, generation: 1 };

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut lane = Lane::default();
        for length in [0, 1, 8] {
            let frame = Frame::new(Header::new(Kind::Message, SLOT), vec![7; length]);
            lane.publish(&frame.encode());
        }
        assert_eq!(lane.frames().len(), 3);
        assert_eq!(lane.take().unwrap().unwrap().rest, []);
        assert_eq!(lane.take().unwrap().unwrap().rest, [7]);
        assert_eq!(lane.take().unwrap().unwrap().rest, [7; 8]);
        assert_eq!(lane.head(), lane.tail());
    }

    #[test]
    fn bytes_that_are_no_frame_are_an_offence() {
        let mut lane = Lane::default();
        lane.publish(&[1; 16]);
        assert_eq!(lane.take().unwrap_err(), Offence::HeadImpossible);
        let mut lane = Lane::default();
        let long = Frame::new(Header::new(Kind::Message, SLOT), vec![0; 64]);
        lane.publish(&long.encode()[..40]);
        assert_eq!(lane.take().unwrap_err(), Offence::HeadImpossible);
    }
}
