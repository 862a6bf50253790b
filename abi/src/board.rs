//! The slot: the truth about one exported right.
//!
//! What I export to you is a slot in my own outbound memory, which you map
//! read-only. It needs no room in a lane, waits for nobody, and is still
//! readable when I am dead.
//!
//! | offset | word    | says                                             |
//! |--------|---------|--------------------------------------------------|
//! | 0      | `life`  | generation in the low half, state in the high    |
//! | 8      | `grant` | messages you may have sent on this slot, in all; |
//! |        |         | of a send-once slot: bytes of room for parts     |
//! | 16     | `moved` | for a port that moved: the importer's ticket     |
//! | 24     | `pulses`| pulses you may have sent on this slot, in all    |
//! | 32     | `moved` | whose it is now, two words                       |
//! | 48     | `moved` | where that task listens, two words               |

use crate::right::Address;
use crate::{TaskId, Ticket, limits};

/// Bytes of one slot.
pub const SLOT_BYTES: usize = 64;
/// Offset of `life` in a slot.
pub const LIFE_AT: usize = 0;
/// Offset of `grant` in a slot.
pub const GRANT_AT: usize = 8;
/// Offsets of the words of `moved` in a slot.
pub const MOVED_AT: [usize; MOVED_WORDS] = [16, 32, 40, 48, 56];
/// Words of `moved`.
pub const MOVED_WORDS: usize = 5;

/// Offset of `pulses` in a slot.
pub const PULSES_AT: usize = 24;

/// What has become of an exported right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is exported here.
    Free,
    /// The port is there.
    Live,
    /// The receive right is gone.
    Dead,
    /// The port may be there, but this right to it was revoked, or its terms
    /// have ended.
    Revoked,
    /// Of a send-once slot: the caller waits, and asks that its request come to
    /// an end.
    Asked,
    /// Of a send-once slot: the caller has withdrawn its request.
    Withdrawn,
    /// Of a send-once slot: the caller's deadline has passed.
    TimedOut,
    /// The receive right has gone, or is about to go, to another task.
    Moved,
}

/// The first word of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Which life of the slot.
    pub generation: u32,
    /// What has become of it.
    pub state: State,
}

impl Life {
    /// The word as it lies on the board.
    #[inline]
    pub const fn encode(self) -> u64 {
        let state = match self.state {
            State::Free => 0,
            State::Live => 1,
            State::Dead => 2,
            State::Revoked => 3,
            State::Asked => 4,
            State::Withdrawn => 5,
            State::TimedOut => 6,
            State::Moved => 7,
        };
        (state << 32) | self.generation as u64
    }

    /// What a word on a peer's board says. A state we do not know reads as
    /// dead: the peer can only hurt its own port with it.
    #[inline]
    pub const fn decode(word: u64) -> Self {
        let state = match word >> 32 {
            0 => State::Free,
            1 => State::Live,
            3 => State::Revoked,
            4 => State::Asked,
            5 => State::Withdrawn,
            6 => State::TimedOut,
            7 => State::Moved,
            _ => State::Dead,
        };
        Life { generation: word as u32, state }
    }
}

/// Where a port went, for one of its importers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What the importer claims its right by.
    pub ticket: Ticket,
    /// The new owner.
    pub owner: TaskId,
    /// Where the new owner listens.
    pub address: Address,
}

impl Moved {
    /// The words as they lie on the board.
    #[inline]
    pub fn encode(&self) -> [u64; MOVED_WORDS] {
        let mut address = [0; 16];
        address[..15].copy_from_slice(&self.address.0);
        let (low, high) = address.split_at(8);
        let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        [self.ticket.0, self.owner.process, self.owner.number, word(low), word(high)]
    }

    /// What the words on a peer's board say.
    #[inline]
    pub fn decode(words: [u64; MOVED_WORDS]) -> Self {
        let [ticket, process, number, low, high] = words;
        let mut address = Address::default();
        let bytes = low.to_le_bytes().into_iter().chain(high.to_le_bytes());
        for (to, from) in address.0.iter_mut().zip(bytes) {
            *to = from;
        }
        Moved { ticket: Ticket(ticket), owner: TaskId { process, number }, address }
    }
}

/// Which board a slot is on, and which place of that board.
///
/// The first board has [`limits::BOARD_SLOTS`] slots; each further one has as
/// many as all before it together. `None` for an index past the last board.
#[inline]
pub const fn place(index: u32) -> Option<(u32, u32)> {
    if index >= limits::SLOTS {
        return None;
    }
    if index < limits::BOARD_SLOTS {
        return Some((0, index));
    }
    let board = (index / limits::BOARD_SLOTS).ilog2() + 1;
    Some((board, index - board_start(board)))
}

/// The index of the first slot on `board`.
pub const fn board_start(board: u32) -> u32 {
    if board == 0 { 0 } else { limits::BOARD_SLOTS << (board - 1) }
}

/// How many slots `board` has.
pub const fn board_slots(board: u32) -> u32 {
    if board == 0 { limits::BOARD_SLOTS } else { limits::BOARD_SLOTS << (board - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_cover_every_index_once() {
        let mut next = 0;
        for board in 0..limits::BOARDS {
            assert_eq!(board_start(board), next);
            assert_eq!(place(next), Some((board, 0)));
            next += board_slots(board);
            assert_eq!(place(next - 1), Some((board, board_slots(board) - 1)));
        }
        assert_eq!(next, limits::SLOTS);
        assert_eq!(place(next), None);
    }

    #[test]
    fn life_words_come_back() {
        let of_replies = [State::Asked, State::Withdrawn, State::TimedOut];
        let of_ports = [State::Free, State::Live, State::Dead, State::Revoked];
        for state in of_ports.into_iter().chain(of_replies) {
            let life = Life { generation: 0xfeed_f00d, state };
            assert_eq!(Life::decode(life.encode()), life);
        }
        assert_eq!(Life::decode(9 << 32).state, State::Dead);
    }

    #[test]
    fn where_a_port_went_comes_back() {
        let moved = Moved {
            ticket: Ticket(u64::MAX),
            owner: TaskId { process: 1 << 40, number: 3 },
            address: Address::new(b"0123456789abcde").unwrap_or_default(),
        };
        assert_eq!(Moved::decode(moved.encode()), moved);
    }
}
