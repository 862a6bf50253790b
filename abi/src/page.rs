//! The outbound page: which word lies where.
//!
//! Each task creates one memfd per link and is the only one that writes it
//! (I1). It holds this page, the first board, and the lane's bytes. Words that
//! are written at different times lie 128 bytes apart, so that no store of one
//! kind takes away the line another kind is read from.
//!
//! | offset | word      | says                                              |
//! |--------|-----------|---------------------------------------------------|
//! | 0      | magic     | what this is; written before the seal             |
//! | 128    | `head`    | bytes below this have been filled (lane I write)  |
//! | 136    | `spilled` | messages spilled, in all                          |
//! | 256    | `tail`    | bytes below this are free again (lane I read)     |
//! | 264    | `granted` | bytes you may have sent to my queues, in all      |
//! | 384    | `sleep`   | how my reader waits, and a number (see [`Sleep`]) |
//! | 392    | `change`  | how often a slot of mine changed its state        |
//! | 400    | `want`    | counts up when my writer begins to wait for room  |
//! | 512    | `returned`| for each loan of yours: the last one I returned   |
//!
//! All counts only grow. Each is 64 bits, little-endian, 8-aligned, and read
//! with one load. The low half of `head` is the word a reader sleeps on.

use crate::limits;

/// What the first word of a page says: `PBpage1\0`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PBpage1\0");

/// Offset of the magic word.
pub const MAGIC_AT: usize = 0;
/// Offset of `head`.
pub const HEAD_AT: usize = 128;
/// Offset of `spilled`: read with the head.
pub const SPILLED_AT: usize = 136;
/// Offset of `tail`.
pub const TAIL_AT: usize = 256;
/// Offset of `granted`.
pub const GRANTED_AT: usize = 264;
/// Offset of `sleep`.
pub const SLEEP_AT: usize = 384;
/// Offset of `change`.
pub const CHANGE_AT: usize = 392;
/// Offset of `want`.
pub const WANT_AT: usize = 400;
/// Offset of the words that say which loans were returned, one for each place.
pub const RETURNED_AT: usize = 512;
/// Offset of the first board.
pub const BOARD_AT: usize = 4096;

/// Bytes of the first board.
pub const BOARD_BYTES: usize = limits::BOARD_SLOTS as usize * crate::board::SLOT_BYTES;

/// Offset of the lane's bytes.
pub const LANE_AT: usize = BOARD_AT + BOARD_BYTES;

/// Bytes of an outbound memory with a lane of `lane_bytes`.
pub const fn memory_bytes(lane_bytes: u32) -> usize {
    LANE_AT + lane_bytes as usize
}

/// How a reader waits, as announced in its own page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Somebody is looking, or nobody waits: ring nothing.
    Awake,
    /// A thread sleeps on your `head`: wake it with a futex.
    Asleep(u64),
    /// A thread sleeps in `epoll`: send one byte on the socket.
    Bell(u64),
}

impl Sleep {
    /// The word: the number above, the way of waiting in the low two bits.
    #[inline]
    pub const fn encode(self) -> u64 {
        match self {
            Sleep::Awake => 0,
            Sleep::Asleep(number) => number << 2 | 1,
            Sleep::Bell(number) => number << 2 | 2,
        }
    }

    /// What the word says. A word we do not know reads as `Bell`, which is
    /// always safe: it costs the liar's link a byte.
    #[inline]
    pub const fn decode(word: u64) -> Self {
        match word & 3 {
            0 => Sleep::Awake,
            1 => Sleep::Asleep(word >> 2),
            _ => Sleep::Bell(word >> 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_words_come_back() {
        for sleep in [Sleep::Awake, Sleep::Asleep(7), Sleep::Bell(u64::MAX >> 2)] {
            assert_eq!(Sleep::decode(sleep.encode()), sleep);
        }
    }

    #[test]
    fn words_written_apart_lie_apart() {
        let lines = [MAGIC_AT, HEAD_AT, TAIL_AT, SLEEP_AT].map(|at| at / 128);
        assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(HEAD_AT / 128, SPILLED_AT / 128);
        assert_eq!(TAIL_AT / 128, GRANTED_AT / 128);
        assert_eq!(SLEEP_AT / 128, CHANGE_AT / 128);
        const { assert!(WANT_AT / 128 < RETURNED_AT / 128) };
        assert_eq!(RETURNED_AT + 8 * limits::LOANS as usize, BOARD_AT);
    }
}
