//! A sealed region: bytes nobody can change, shared without a copy.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;

use crate::memory::{OpenError, SealedMemory, create_sealed};

/// The bytes of a sealed region.
///
/// Safe to borrow though another process made it: its seals were checked, and
/// keep everybody from writing, shrinking or punching it for as long as it
/// lives. In a forked child it is empty.
pub struct Body {
    memory: SealedMemory,
}

impl Body {
    /// Makes a region that holds `parts`, one after another, and seals it.
    ///
    /// # Errors
    /// What the system says, and `InvalidInput` where there are no bytes.
    pub fn create(parts: &[&[u8]]) -> io::Result<OwnedFd> {
        create_sealed(parts)
    }

    /// Checks and maps a region of exactly `bytes`, and closes `fd`.
    ///
    /// # Errors
    /// [`OpenError::Offence`] where it is not what it must be: as for
    /// [`PeerPage::open`](crate::PeerPage::open), and `MemorySize` where `bytes`
    /// is zero or beyond `abi::limits::MESSAGE_BYTES`.
    pub fn open(fd: OwnedFd, bytes: u64) -> Result<Body, OpenError> {
        if bytes == 0 || bytes > abi::limits::MESSAGE_BYTES {
            return Err(abi::Offence::MemorySize.into());
        }
        Ok(Body { memory: SealedMemory::open(fd, bytes)? })
    }
}

impl Deref for Body {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.memory.bytes()
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}
