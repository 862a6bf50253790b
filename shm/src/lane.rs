//! A lane over two mapped memories: the ring of [`crate::ring`], our page and
//! the peer's.
//!
//! Both ends are used by one thread at a time (`&mut`). In a forked child they
//! are inert: nothing is written, nothing is there to read (M5).

use std::sync::Arc;

use abi::Offence;
use abi::frame::Header;

use crate::page::{OwnPage, PeerPage};
use crate::ring::{Emptier, Filler, WriteError};

/// The end of a lane that we fill.
#[derive(Debug)]
pub struct LaneWriter {
    page: Arc<OwnPage>,
    bytes: u32,
    filler: Filler,
}

impl LaneWriter {
    pub(crate) fn new(page: Arc<OwnPage>, bytes: u32) -> LaneWriter {
        LaneWriter { page, bytes, filler: Filler::new(bytes) }
    }

    /// Fills in a frame: `header`, then `parts` one after another.
    ///
    /// Leaves `keep` bytes of the lane free: `abi::limits::LANE_RESERVE` for a
    /// message, zero for what the protocol itself must say. The reader sees
    /// nothing before [`publish`](LaneWriter::publish).
    ///
    /// # Errors
    /// Nothing of the frame is in the lane.
    /// * `NoRoom`: the reader has not freed enough. The ring may have been
    ///   filled to its end all the same, and that published with everything
    ///   filled in before: look and ring as after a `publish`.
    /// * `Offence`: the reader announced a tail it cannot have reached.
    /// * `Length`: the header does not say `32 +` the bytes of the parts, or
    ///   says more than a lane or a peer takes.
    /// * `Forked`: the lane is our parent's.
    #[inline]
    pub fn write(
        &mut self,
        header: &Header,
        parts: &[&[u8]],
        keep: u32,
        peer: &PeerPage,
    ) -> Result<(), WriteError> {
        let page = &self.page;
        let (Some(lane), Some(head)) = (page.lane(self.bytes), page.head_word()) else {
            return Err(WriteError::Forked);
        };
        let tail = || peer.tail();
        self.filler.write(lane, head, header, parts, keep, tail)
    }

    /// Makes sure that a frame of `length` bytes would fit now, so that what
    /// must be done before it is written can be done.
    ///
    /// # Errors
    /// As for [`write`](LaneWriter::write).
    #[inline]
    pub fn make_room(&mut self, length: u32, keep: u32, peer: &PeerPage) -> Result<(), WriteError> {
        let page = &self.page;
        let (Some(lane), Some(head)) = (page.lane(self.bytes), page.head_word()) else {
            return Err(WriteError::Forked);
        };
        self.filler.make_room(lane, head, length, keep, || peer.tail())
    }

    /// Fills in a frame of a lane that nobody empties: a bag. It is full once,
    /// and for good.
    ///
    /// # Errors
    /// As for [`write`](LaneWriter::write).
    pub fn append(&mut self, header: &Header, parts: &[&[u8]]) -> Result<(), WriteError> {
        let page = &self.page;
        let (Some(lane), Some(head)) = (page.lane(self.bytes), page.head_word()) else {
            return Err(WriteError::Forked);
        };
        self.filler.write(lane, head, header, parts, 0, || 0)
    }

    /// The frames we have announced and the reader, as it says, has not freed:
    /// header, and what follows it. They are our own bytes.
    pub fn unread(&self, peer: &PeerPage) -> Vec<(Header, Vec<u8>)> {
        let Some(lane) = self.page.lane(self.bytes) else {
            return Vec::new();
        };
        self.filler.read_back(lane, peer.tail())
    }

    /// The frames announced of a lane that nobody empties.
    pub fn announced(&self) -> Vec<(Header, Vec<u8>)> {
        let Some(lane) = self.page.lane(self.bytes) else {
            return Vec::new();
        };
        self.filler.read_back(lane, 0)
    }

    /// Announces everything filled in so far.
    ///
    /// Before the look at how the reader waits, call
    /// [`full_fence`](crate::full_fence).
    #[inline]
    pub fn publish(&mut self) {
        if let Some(head) = self.page.head_word() {
            self.filler.publish(head);
        }
    }

    /// Bytes filled in, in all.
    #[inline]
    pub fn head(&self) -> u64 {
        self.filler.position()
    }

    /// Bytes of the lane.
    #[inline]
    pub fn lane_bytes(&self) -> u32 {
        self.bytes
    }
}

/// The end of a lane that we empty.
#[derive(Debug)]
pub struct LaneReader {
    page: Arc<PeerPage>,
    bytes: u32,
    emptier: Emptier,
}

impl LaneReader {
    pub(crate) fn new(page: Arc<PeerPage>, bytes: u32) -> LaneReader {
        LaneReader { page, bytes, emptier: Emptier::new(bytes) }
    }

    /// The header of the next frame, if there is one. The frame stays until
    /// [`finish`](LaneReader::finish).
    ///
    /// Skips are consumed on the way, so the position may move even where there
    /// is no frame.
    ///
    /// # Errors
    /// What the peer did wrong; the lane is of no use afterwards.
    /// [`Offence::HeadImpossible`], [`Offence::FrameTruncated`],
    /// [`Offence::FrameOversized`], [`Offence::FrameKind`],
    /// [`Offence::FrameFlags`].
    #[allow(
        clippy::should_implement_trait,
        reason = "no iterator: a frame comes again until it is finished"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Header>, Offence> {
        let Some(lane) = self.page.lane(self.bytes) else {
            return Ok(None);
        };
        self.emptier.next(lane, || self.page.head())
    }

    /// Appends a copy of the bytes between header and body.
    #[inline]
    pub fn extra(&mut self, header: &Header, out: &mut Vec<u8>) {
        self.append(0, header.extra as usize, out);
    }

    /// Copies the bytes between header and body, as far as `out` has room. Returns the
    /// bytes copied.
    #[inline]
    pub fn extra_into(&mut self, header: &Header, out: &mut [u8]) -> usize {
        let count = (header.extra as usize).min(out.len());
        match (self.page.lane(self.bytes), out.get_mut(..count)) {
            (Some(lane), Some(out)) => self.emptier.copy(lane, 0, out),
            _ => 0,
        }
    }

    /// Appends a copy of the body.
    #[inline]
    pub fn body(&mut self, header: &Header, out: &mut Vec<u8>) {
        self.append(header.extra as usize, header.body_bytes(), out);
    }

    /// Copies the body, as far as `out` has room. Returns the bytes copied.
    #[inline]
    pub fn body_into(&mut self, header: &Header, out: &mut [u8]) -> usize {
        let count = header.body_bytes().min(out.len());
        match (self.page.lane(self.bytes), out.get_mut(..count)) {
            (Some(lane), Some(out)) => self.emptier.copy(lane, header.extra as usize, out),
            _ => 0,
        }
    }

    /// Leaves the frame behind. Its room is the writer's again once the
    /// [`position`](LaneReader::position) is announced.
    #[inline]
    pub fn finish(&mut self, header: &Header) {
        self.emptier.finish(header);
    }

    /// Bytes consumed, in all: what the caller announces by
    /// [`OwnPage::set_tail`].
    #[inline]
    pub fn position(&self) -> u64 {
        self.emptier.position()
    }

    /// How far the peer had filled its lane when that was looked at last.
    #[inline]
    pub fn shown(&self) -> u64 {
        self.emptier.shown()
    }

    /// Whether the peer's head is past our position, for the look before a
    /// sleep. Call [`full_fence`](crate::full_fence) before it.
    #[inline]
    pub fn pending(&self) -> bool {
        self.page.lane(self.bytes).is_some() && self.emptier.pending(|| self.page.head())
    }

    /// Bytes of the lane.
    #[inline]
    pub fn lane_bytes(&self) -> u32 {
        self.bytes
    }

    fn append(&self, skip: usize, count: usize, out: &mut Vec<u8>) {
        let Some(lane) = self.page.lane(self.bytes) else {
            return;
        };
        let before = out.len();
        out.resize(before + count.min(self.bytes as usize), 0);
        let copied = match out.get_mut(before..) {
            Some(out) => self.emptier.copy(lane, skip, out),
            None => 0,
        };
        out.truncate(before + copied);
    }
}
