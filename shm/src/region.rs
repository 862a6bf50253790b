//! Memory that more than one task may write: the users' own, and nothing of ours
//! believes it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::SealFlags;

use crate::memory::memfd;
use crate::refuse::{self, Call};

/// Makes a memory of `bytes` zeros whose size nobody can change any more: who maps
/// it is not cut off by another. Its pages are charged to who first touches them.
///
/// # Errors
/// What the system says.
pub fn create(bytes: u64) -> io::Result<OwnedFd> {
    let fd = memfd()?;
    refuse::at(Call::Fallocate)?;
    rustix::fs::ftruncate(&fd, bytes)?;
    refuse::at(Call::SealAdd)?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_size_for_ever() {
        let fd = create(5_000).expect("memory");
        assert_eq!(rustix::fs::fstat(&fd).expect("a file").st_size, 5_000);
        assert_eq!(rustix::io::pwrite(&fd, b"seen", 4_996), Ok(4));
        for bytes in [0, 4_999, 5_001] {
            assert!(rustix::fs::ftruncate(&fd, bytes).is_err());
        }
    }
}
