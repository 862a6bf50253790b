//! Memory that goes with a message and is not copied through the lane.
//!
//! | made by | the receiver has | cost |
//! |---|---|---|
//! | [`SendRight::loan`](crate::SendRight::loan) | memory of the sender's, until it drops it | no copy, no system call |
//! | [`Region::sealed`] | memory that nobody can write any more | made once, then sent to as many as one likes |
//! | [`Region::from`] bytes | as of a loan, copied there once | one copy |
//!
//! A loan is read by copies, since its sender could still write it; what is sealed is
//! a plain slice. A loan that goes on to a third task is copied on its way, a sealed
//! region is not.
//!
//! # Examples
//! ```
//! use pillarbox::region::Region;
//! use pillarbox::{Capacity, Deadline, Message, Task};
//! let task = Task::new();
//! let inbox = task.port(Capacity::Bounded(1));
//! let post = inbox.make_send()?;
//! let mut loan = post.loan(6, Deadline::Now)?;
//! loan.as_mut_slice().copy_from_slice(b"pixels");
//! let sealed = Region::sealed(b"for everybody")?;
//! post.send(Message::new("look").with_region(loan).with_region(sealed), Deadline::Now)?;
//! let mut message = inbox.receive(Deadline::Now)?;
//! let regions = message.take_regions();
//! assert_eq!(regions[0].to_vec(), b"pixels");
//! assert_eq!(regions[1].as_slice(), Some(&b"for everybody"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod loan;
mod waiting;

use std::fmt;
use std::io;
use std::sync::Arc;

use shm::arena::Chunk;
pub use shm::arena::Lent;
use shm::body::Sealed;

pub use self::loan::{Loan, LoanError};
pub use self::waiting::LoanFuture;
use crate::link::OnLoan;
use crate::wait::parking::{Mutex, lock};

/// Memory that goes with a message.
pub struct Region {
    pub(crate) memory: Memory,
}

/// Where a region lies.
#[derive(Debug)]
pub(crate) enum Memory {
    /// In an arena of ours, until it is sent. No slice of it is handed out.
    Chunk(Mutex<Option<Chunk>>, usize),
    /// In this task alone.
    Bytes(Arc<[u8]>),
    /// In a peer's arena.
    Lent(OnLoan),
    /// Where nobody can write it.
    Sealed(Arc<Sealed>),
    /// Nowhere: it could not be had here.
    Lost(usize),
}

impl Region {
    /// Makes a sealed region that holds these bytes. Nobody can change it any more, not
    /// even who made it, so its receivers have a plain slice; a [`clone`](Region::clone)
    /// of it is cheap and may go to another receiver.
    ///
    /// # Errors
    /// What the system says, and `InvalidInput` where there are no bytes, or more than
    /// [`MESSAGE_BYTES`](crate::limits::MESSAGE_BYTES).
    pub fn sealed(bytes: &[u8]) -> io::Result<Region> {
        Ok(Memory::Sealed(Arc::new(Sealed::create(bytes)?)).into())
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        match &self.memory {
            Memory::Chunk(_, bytes) | Memory::Lost(bytes) => *bytes,
            Memory::Bytes(bytes) => bytes.len(),
            Memory::Lent(on_loan) => on_loan.len(),
            Memory::Sealed(sealed) => sealed.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it was lost on its way: this process had no descriptor or address space
    /// left for it. Or it was sealed, and a task that had the port before died with the
    /// message unread.
    pub const fn is_lost(&self) -> bool {
        matches!(self.memory, Memory::Lost(_))
    }

    /// Whether it is sealed: it never changes.
    pub const fn is_sealed(&self) -> bool {
        matches!(self.memory, Memory::Sealed(_))
    }

    /// Copies bytes from `offset` on into `buffer`. Returns how many there were: fewer
    /// than asked for at the end of the region, none behind it or where it is lost.
    ///
    /// What a sender lends it may still write: two copies of the same bytes may differ.
    pub fn copy_to(&self, offset: usize, buffer: &mut [u8]) -> usize {
        match &self.memory {
            Memory::Chunk(chunk, _) => {
                lock(chunk).as_ref().map_or(0, |chunk| part(chunk.bytes(), offset, buffer))
            }
            Memory::Lent(on_loan) => on_loan.lent().map_or(0, |lent| lent.copy_to(offset, buffer)),
            _ => part(self.as_slice().unwrap_or_default(), offset, buffer),
        }
    }

    /// A copy of all of it; empty where it is lost.
    pub fn to_vec(&self) -> Vec<u8> {
        match &self.memory {
            Memory::Chunk(chunk, _) => {
                lock(chunk).as_ref().map(|chunk| chunk.bytes().to_vec()).unwrap_or_default()
            }
            Memory::Lent(on_loan) => on_loan.lent().map(|lent| lent.to_vec(0)).unwrap_or_default(),
            _ => self.as_slice().unwrap_or_default().to_vec(),
        }
    }

    /// The bytes where they lie, if nobody can change them: of a sealed region, and of
    /// one that never left this task. `None` of what is lent or lost, and where the
    /// system has no room to map it.
    pub fn as_slice(&self) -> Option<&[u8]> {
        match &self.memory {
            Memory::Bytes(bytes) => Some(bytes),
            Memory::Sealed(sealed) => sealed.bytes(),
            Memory::Chunk(..) | Memory::Lent(_) | Memory::Lost(_) => None,
        }
    }

    /// What a peer lends, where it does. To one that trusts the peer,
    /// [`Lent::as_slice`] is the memory itself.
    pub fn lent(&self) -> Option<&Lent> {
        match &self.memory {
            Memory::Lent(on_loan) => on_loan.lent(),
            _ => None,
        }
    }
}

/// Copies what fits of `from` behind `offset`.
fn part(from: &[u8], offset: usize, to: &mut [u8]) -> usize {
    let from = from.get(offset..).unwrap_or_default();
    let count = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
        to.copy_from_slice(from);
    }
    count
}

/// A sealed region and one of this task alone are shared; of any other the bytes are
/// copied.
impl Clone for Region {
    fn clone(&self) -> Self {
        match &self.memory {
            Memory::Bytes(bytes) => Memory::Bytes(Arc::clone(bytes)).into(),
            Memory::Sealed(sealed) => Memory::Sealed(Arc::clone(sealed)).into(),
            Memory::Lost(bytes) => Memory::Lost(*bytes).into(),
            Memory::Chunk(..) | Memory::Lent(_) => self.to_vec().into(),
        }
    }
}

impl From<Vec<u8>> for Region {
    fn from(bytes: Vec<u8>) -> Self {
        Memory::Bytes(bytes.into()).into()
    }
}

impl From<Memory> for Region {
    fn from(memory: Memory) -> Self {
        Region { memory }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.memory {
            Memory::Chunk(..) => "to lend",
            Memory::Bytes(_) => "of this task",
            Memory::Lent(_) => "lent",
            Memory::Sealed(_) => "sealed",
            Memory::Lost(_) => "lost",
        };
        write!(f, "Region({} bytes, {kind})", self.len())
    }
}
