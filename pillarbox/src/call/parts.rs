//! An answer that is written in parts.
//!
//! The parts are placed by the waiting side itself, into memory it has declared
//! and is charged for: in pieces, so that a part at the far end of a large room
//! costs one piece and no time. They become one body when somebody looks at it,
//! which is never the thread that drains.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::message::Body;
use crate::wait::parking::{Mutex, lock};

/// Bytes of one piece.
const PIECE: u64 = 64 * 1024;

/// What was written so far.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pieces: BTreeMap<u64, Box<[u8]>>,
    /// Where the furthest part ends.
    end: u64,
}

impl Parts {
    /// Places `bytes` at `offset`, which is within the room.
    pub(crate) fn place(&mut self, room: u64, mut offset: u64, mut bytes: &[u8]) {
        self.end = self.end.max(offset + bytes.len() as u64);
        while !bytes.is_empty() {
            let start = offset - offset % PIECE;
            let piece = self.pieces.entry(start).or_insert_with(|| {
                let length = room.saturating_sub(start).min(PIECE);
                vec![0; length as usize].into_boxed_slice()
            });
            let Some(place) = piece.get_mut((offset - start) as usize..) else { return };
            let count = place.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            let Some(place) = place.get_mut(..count) else { return };
            place.copy_from_slice(now);
            if count == 0 {
                return;
            }
            offset += count as u64;
            bytes = later;
        }
    }

    /// One body: the parts, with zeros where none was written, then `last`.
    /// `None` where there is no memory for it.
    fn joined(&self, last: &[u8]) -> Option<Vec<u8>> {
        let end = usize::try_from(self.end).ok()?;
        let mut whole = Vec::new();
        whole.try_reserve_exact(end.checked_add(last.len())?).ok()?;
        for (start, piece) in &self.pieces {
            let start = usize::try_from(*start).ok()?;
            whole.resize(start, 0);
            let length = piece.len().min(end - start);
            whole.extend_from_slice(piece.get(..length)?);
        }
        whole.resize(end, 0);
        whole.extend_from_slice(last);
        Some(whole)
    }
}

/// A body in parts, made one at the first look.
#[derive(Debug)]
pub(crate) struct InParts {
    apart: Mutex<Option<(Parts, Body)>>,
    whole: OnceLock<Option<Vec<u8>>>,
}

impl InParts {
    pub(crate) fn new(parts: Parts, last: Body) -> Self {
        InParts { apart: Mutex::new(Some((parts, last))), whole: OnceLock::new() }
    }

    /// The body; `None` where it was lost.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        let join = || {
            let (parts, last) = lock(&self.apart).take()?;
            if last.is_lost() { None } else { parts.joined(last.as_slice()) }
        };
        self.whole.get_or_init(join).as_deref()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let _ = self.whole();
        self.whole.into_inner().flatten().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_become_one_body() {
        let room = 3 * PIECE + 100;
        let all: Vec<u8> = (0..room - 7).map(|at| (at % 251) as u8).collect();
        let mut parts = Parts::default();
        let mut starts: Vec<usize> = (0..all.len()).step_by(30_011).collect();
        starts.reverse();
        for start in starts {
            let end = all.len().min(start + 30_011);
            parts.place(room, start as u64, &all[start..end]);
        }
        let mut expected = all.clone();
        expected.extend_from_slice(b"and the last");
        let body = InParts::new(parts, Body::Bytes(b"and the last".to_vec()));
        assert_eq!(body.whole(), Some(&expected[..]));
        assert_eq!(body.into_bytes(), expected);
    }

    #[test]
    fn what_was_not_written_is_zero_and_costs_one_piece() {
        let room = abi::limits::MESSAGE_BYTES;
        let mut parts = Parts::default();
        parts.place(room, room - 1, b"x");
        assert_eq!(parts.pieces.len(), 1);
        let mut parts = Parts::default();
        parts.place(10, 4, b"x");
        parts.place(10, 2, b"y");
        assert_eq!(parts.joined(b""), Some(b"\0\0y\0x".to_vec()));
    }
}
