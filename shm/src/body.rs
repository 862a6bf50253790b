//! A sealed region: bytes nobody can change, shared without a copy.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use crate::memory::{OpenError, SealedMemory, create_sealed, verify_sealed};

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

/// A sealed region that is mapped when it is first looked at, and can be passed on.
///
/// Its descriptor is kept. In a forked child it is empty.
#[derive(Debug)]
pub struct Sealed {
    fd: OwnedFd,
    bytes: u64,
    /// None where the system had no room to map it.
    mapped: OnceLock<Option<Body>>,
}

impl Sealed {
    /// Makes one that holds `bytes`.
    ///
    /// # Errors
    /// What the system says, and `InvalidInput` where there are no bytes, or more than
    /// `abi::limits::MESSAGE_BYTES`.
    pub fn create(bytes: &[u8]) -> io::Result<Sealed> {
        if bytes.len() as u64 > abi::limits::MESSAGE_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let fd = create_sealed(&[bytes])?;
        Ok(Sealed { fd, bytes: bytes.len() as u64, mapped: OnceLock::new() })
    }

    /// Checks a region of exactly `bytes` that a peer passed.
    ///
    /// # Errors
    /// As for [`Body::open`].
    pub fn open(fd: OwnedFd, bytes: u64) -> Result<Sealed, OpenError> {
        if bytes == 0 || bytes > abi::limits::MESSAGE_BYTES {
            return Err(abi::Offence::MemorySize.into());
        }
        verify_sealed(&fd, bytes)?;
        Ok(Sealed { fd, bytes, mapped: OnceLock::new() })
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.bytes as usize
    }

    /// Never: nothing is not sealed.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The bytes. `None` where the system has no room to map them: it was tried once.
    pub fn bytes(&self) -> Option<&[u8]> {
        let map = || Body::open(self.fd.try_clone().ok()?, self.bytes).ok();
        self.mapped.get_or_init(map).as_deref()
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
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
