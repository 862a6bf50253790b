//! Memory that is written in place and then goes with a message.

use std::fmt;
use std::sync::Arc;

use abi::{Offence, limits};
use shm::arena::{Chunk, TakeError};

use super::{Memory, Region};
use crate::deadline::Deadline;
use crate::link::{End, Link};
use crate::right::{SendRight, Settled};
use crate::wait::parking::Mutex;

/// Why memory was not lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoanError {
    /// The receiver holds all that may be lent to it, and returned none before the
    /// deadline.
    #[error("the receiver has not returned what was lent to it")]
    Full,
    /// Of no bytes, or of more than a message may have.
    #[error("{bytes} bytes cannot be lent")]
    Length {
        /// How many were asked for.
        bytes: usize,
    },
    /// The receiver is gone.
    #[error("the receiver is gone")]
    Dead,
    /// The receiver broke the protocol, and how.
    #[error("the receiver broke the protocol: {0}")]
    Fault(Offence),
    /// The system refused the link what it cannot do without.
    #[error("the system refused: {0}")]
    System(std::io::ErrorKind),
    /// The right belongs to the process this one was forked from.
    #[error("the right belongs to the parent of this process")]
    Forked,
}

impl From<End> for LoanError {
    fn from(end: End) -> Self {
        match end {
            End::Died => LoanError::Dead,
            End::Fault(offence) => LoanError::Fault(offence),
            End::System(kind) => LoanError::System(kind),
        }
    }
}

/// Memory to be written in place, for a message to one receiver. Dropped unsent, it is
/// free again.
pub struct Loan {
    memory: Writable,
}

enum Writable {
    /// Of the arena of the link with the receiver.
    Chunk(Chunk),
    Bytes(Vec<u8>),
}

impl Loan {
    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there are none: in a forked child.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it holds: at first what the last loan left there.
    pub fn as_slice(&self) -> &[u8] {
        match &self.memory {
            Writable::Chunk(chunk) => chunk.bytes(),
            Writable::Bytes(bytes) => bytes,
        }
    }

    /// The same, to be written: nobody else writes it, and nobody was told of it yet.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Writable::Chunk(chunk) => chunk.bytes_mut(),
            Writable::Bytes(bytes) => bytes,
        }
    }

    /// Copies `bytes` to `offset`, as far as there is room. Returns how many that was.
    pub fn write_at(&mut self, bytes: &[u8], offset: usize) -> usize {
        let to = match &mut self.memory {
            Writable::Chunk(chunk) => return chunk.write_at(bytes, offset),
            Writable::Bytes(to) => to.get_mut(offset..).unwrap_or_default(),
        };
        let count = to.len().min(bytes.len());
        if let (Some(to), Some(from)) = (to.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        count
    }
}

impl From<Loan> for Region {
    fn from(loan: Loan) -> Self {
        match loan.memory {
            Writable::Chunk(chunk) => {
                let bytes = chunk.len();
                Memory::Chunk(Mutex::new(Some(chunk)), bytes).into()
            }
            Writable::Bytes(bytes) => bytes.into(),
        }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan({} bytes)", self.len())
    }
}

impl SendRight {
    /// Memory to be written in place and sent on this right with
    /// [`Message::with_region`](crate::Message::with_region). The receiver reads it where
    /// it lies: nothing is copied, and no system call is made.
    ///
    /// It may be sent on any other right as well, and is then copied. For a port of this
    /// task, for a right whose owner is not known yet, and for more than
    /// [`CHUNK_BYTES`](limits::CHUNK_BYTES) it is plain memory, which is copied where it
    /// must be.
    ///
    /// What it holds at first is what was last written there, for this receiver or none.
    ///
    /// The first memory that is free is lent. Where the receiver's port has few places it
    /// is soon the same again: a mebibyte of four is still in the processor's caches, one of
    /// thirty-two is not, and takes twice the time.
    ///
    /// # Errors
    /// [`LoanError::Full`] where the receiver returned nothing before the deadline;
    /// [`LoanError::Length`] for no bytes, or more than a message may have; `Dead`,
    /// `Fault`, `System` where the link with the receiver has ended;
    /// [`LoanError::Forked`] in a forked child.
    ///
    /// # Blocking
    /// Where all that may be lent to the receiver is out, waits until it returns some, at
    /// most until `deadline`.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let post = inbox.make_send()?;
    /// let mut loan = post.loan(5, Deadline::Now)?;
    /// assert_eq!(loan.write_at(b"lent", 1), 4);
    /// post.send(Message::new("").with_region(loan), Deadline::Now)?;
    /// assert_eq!(inbox.receive(Deadline::Now)?.take_regions()[0].to_vec(), b"\0lent");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan(&self, bytes: usize, deadline: Deadline) -> Result<Loan, LoanError> {
        match self.lender(bytes)? {
            Some(link) => Loan::taken(bytes, link.lend_chunk(bytes, deadline)),
            None => Ok(Loan::plain(bytes)),
        }
    }

    /// The link whose peer is to read so many bytes, where they can be lent.
    pub(super) fn lender(&self, bytes: usize) -> Result<Option<Arc<Link>>, LoanError> {
        let task = self.task();
        if task.check().is_err() {
            return Err(LoanError::Forked);
        }
        let most = task.limits.message_bytes.min(limits::MESSAGE_BYTES);
        if bytes == 0 || bytes as u64 > most {
            return Err(LoanError::Length { bytes });
        }
        let chunk = (bytes as u64).next_power_of_two().max(limits::ARENA_MEMORY_MIN);
        let never = bytes > limits::CHUNK_BYTES || chunk > task.limits.arena_bytes;
        Ok(match self.resolve().settled() {
            Settled::Import(entry) if !never => Some(Arc::clone(&entry.link)),
            _ => None,
        })
    }
}

impl Loan {
    /// Memory of this task's.
    pub(super) fn plain(bytes: usize) -> Loan {
        Loan { memory: Writable::Bytes(vec![0; bytes]) }
    }

    /// What came of asking for a chunk.
    pub(super) fn taken(
        bytes: usize,
        taken: Result<Result<Chunk, TakeError>, End>,
    ) -> Result<Loan, LoanError> {
        match taken? {
            Ok(chunk) => Ok(Loan { memory: Writable::Chunk(chunk) }),
            Err(TakeError::Full) => Err(LoanError::Full),
            Err(TakeError::Offence(offence)) => Err(LoanError::Fault(offence)),
            // The system has no such memory: it may have other.
            Err(TakeError::TooLong | TakeError::System(_)) => Ok(Loan::plain(bytes)),
        }
    }
}
