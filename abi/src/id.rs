//! Tasks, slots, tickets: the names the protocol gives to things.

use crate::{Offence, u64_at};

/// A task: a process, as the kernel names it, and a number the task chose.
///
/// `process` is the inode of the process's pidfd (on kernels without pidfs, a
/// mix of pid and start time). The reader takes it from its own kernel; what a
/// peer *says* its process is, is never believed. `number` tells several tasks
/// of one process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The process.
    pub process: u64,
    /// Which task of that process.
    pub number: u64,
}

impl TaskId {
    /// Bytes of an encoded id.
    pub const BYTES: usize = 16;

    /// The id as it lies in a frame.
    pub fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.process.to_le_bytes());
        bytes[8..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    /// Reads an id from the front of `bytes`.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`] where the bytes end too early.
    pub fn decode(bytes: &[u8]) -> Result<Self, Offence> {
        let process = u64_at(bytes, 0).ok_or(Offence::FrameTruncated)?;
        let number = u64_at(bytes, 8).ok_or(Offence::FrameTruncated)?;
        Ok(TaskId { process, number })
    }
}

impl core::fmt::Display for TaskId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:x}.{:x}", self.process, self.number)
    }
}

/// A place on a board and which of its lives is meant.
///
/// A slot is used again when every count on it has come back, with the next
/// generation, so a name from an earlier life reaches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot {
    /// The place on the board.
    pub index: u32,
    /// The life of that place. Never zero.
    pub generation: u32,
}

impl core::fmt::Display for Slot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}", self.index, self.generation)
    }
}

/// What names a give: a number of the giver's, good for one receiver only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);
