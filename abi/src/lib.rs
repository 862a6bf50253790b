//! The bytes two tasks agree on.
//!
//! Everything here is a value: layouts, numbers, and functions from bytes to
//! types and back. There is no memory, no socket and no clock in this crate.
//! What a peer wrote is an *allegation*; `decode` is the one door through which
//! it becomes something the rest of the house may believe, and what does not
//! pass the door is an [`Offence`] of the peer's.
//!
//! | module      | holds                                                     |
//! |-------------|-----------------------------------------------------------|
//! | [`limits`]  | every limit, as a sum with its holders named              |
//! | [`id`]      | tasks, slots, tickets                                     |
//! | [`page`]    | the outbound page: which word lies where                  |
//! | [`board`]   | the slot: the truth about one exported right              |
//! | [`hello`]   | the first packet each way                                 |
//! | [`frame`]   | what lies in a lane                                       |
//! | [`bag`]     | what a port is when its receive right goes away           |
//! | [`loan`]    | how memory that is lent is named inside a message         |
//! | [`right`]   | how a right is named inside a message                     |
//! | [`name`]    | names of services: checked text                           |
//! | [`offence`] | what a peer can do wrong, one word for each               |
#![forbid(unsafe_code)]

pub mod bag;
pub mod board;
pub mod frame;
pub mod hello;
pub mod id;
pub mod limits;
pub mod loan;
pub mod name;
pub mod offence;
pub mod page;
pub mod right;

pub use id::{Slot, TaskId, Ticket};
pub use offence::Offence;

/// Reads a little-endian integer at `at`, or `None` where the bytes end.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

/// The same of a number of four bytes.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// The number at offset `at` of what a peer wrote, if there is one.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
