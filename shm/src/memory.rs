//! Memory that leaves the process, and memory that comes in.
//!
//! Ours: a memfd, wholly written with zeros, mapped for writing, then sealed
//! so that nobody else can ever map it for writing. A peer's: a descriptor that
//! says it is such a memory, checked before it is believed, mapped read-only.
//!
//! No reference into a mapping leaves this crate, and none of plain bytes is
//! ever made here: only words, loaded and stored one by one (M1, M2).
#![allow(unsafe_code, reason = "maps, unmaps, and turns offsets into words (M1-M5, M12)")]

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};

use abi::Offence;
use rustix::fs::{FallocateFlags, FileType, MemfdFlags, SealFlags, SeekFrom};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use crate::fork::{Epoch, epoch_to_create_in};
use crate::refuse::{self, Call};
use crate::word::{Look, Shown};

/// Why memory that a peer passed was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The memory is not what it must be: the peer's doing.
    #[error("the peer's memory was refused: {0}")]
    Offence(#[from] Offence),
    /// The system could not map it: not the peer's doing.
    #[error("the peer's memory could not be mapped")]
    System(#[from] io::Error),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        OpenError::System(errno.into())
    }
}

/// Seals of an outbound memory when it leaves.
const OUTBOUND: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// Seals of a body when it leaves.
const BODY: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);

/// Seals a peer's outbound memory must have. `FUTURE_WRITE` also keeps its owner
/// from punching holes, as `WRITE` does for a body.
const OUTBOUND_NEEDED: SealFlags = OUTBOUND.difference(SealFlags::SEAL);

/// Seals a peer's body must have.
const BODY_NEEDED: SealFlags = BODY.difference(SealFlags::SEAL);

/// `f_type` of tmpfs, which is what a memfd lies on.
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// A range of addresses that is ours while `self` lives and the epoch lasts.
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    epoch: Epoch,
}

// SAFETY: M2: the range is shared memory by nature; all access to it is by
// atomic words, or to bytes that never change (M4).
unsafe impl Send for Mapping {}
// SAFETY: M2: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of `fd`.
    ///
    /// Born without any right and not inherited by a child; only then made
    /// readable or writable. So a fork in between hands on nothing (M5).
    fn new(
        fd: BorrowedFd<'_>,
        bytes: usize,
        kind: MapFlags,
        access: MprotectFlags,
    ) -> Result<Mapping, Errno> {
        let epoch = epoch_to_create_in().map_err(|_| Errno::NOTSUP)?;
        refuse::at(Call::Mmap)?;
        // SAFETY: a fresh mapping at an address the kernel chooses.
        let base =
            unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, ProtFlags::empty(), kind, fd, 0) }?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(Errno::NOMEM)?;
        let mapping = Mapping { base, bytes, epoch };
        let start = mapping.base.as_ptr().cast();
        refuse::at(Call::DontFork)?;
        // SAFETY: the range is the mapping just made.
        unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxDontFork) }?;
        refuse::at(Call::Mprotect)?;
        // SAFETY: the range is the mapping just made, and nothing points into it.
        unsafe { rustix::mm::mprotect(start, bytes, access) }?;
        Ok(mapping)
    }

    /// The address of `count` words at offset `at`, if they lie in the mapping
    /// and the mapping is there.
    #[inline(always)]
    fn words_at(&self, at: usize, count: usize) -> Option<*mut u8> {
        let bytes = count.checked_mul(8)?;
        let end = at.checked_add(bytes)?;
        if !at.is_multiple_of(8) || end > self.bytes || !self.epoch.is_current() {
            return None;
        }
        // SAFETY: M1: `at` lies within the mapping.
        Some(unsafe { self.base.as_ptr().add(at) })
    }

    /// The address of `count` bytes at offset `at`, if they lie in the mapping and the
    /// mapping is there.
    fn bytes_at(&self, at: usize, count: usize) -> Option<*mut u8> {
        if at.checked_add(count)? > self.bytes || !self.epoch.is_current() {
            return None;
        }
        // SAFETY: M1: `at` lies within the mapping, or at its end.
        Some(unsafe { self.base.as_ptr().add(at) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // In a forked child the addresses may be somebody else's by now (M5).
        if self.epoch.is_current() {
            // SAFETY: M1: the range is ours, and every reference into it
            // borrowed `self`.
            let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Memory we alone write.
#[derive(Debug)]
pub(crate) struct OwnMemory(Mapping);

impl OwnMemory {
    /// Makes a memory of `bytes` zeros and the descriptor a peer maps it by.
    ///
    /// `fill` writes what must be there before the seal.
    pub(crate) fn create(
        bytes: usize,
        fill: impl FnOnce(&OwnMemory),
    ) -> io::Result<(OwnMemory, OwnedFd)> {
        let fd = memfd()?;
        write_zeros(&fd, bytes)?;
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        let memory = OwnMemory(Mapping::new(fd.as_fd(), bytes, MapFlags::SHARED, access)?);
        fill(&memory);
        // The last step before the descriptor exists for anybody else: who
        // holds one early could seal `SEAL` and keep us from this.
        refuse::at(Call::SealAdd)?;
        rustix::fs::fcntl_add_seals(&fd, OUTBOUND)?;
        Ok((memory, fd))
    }

    /// The word at offset `at`. `None` past the end, and in a forked child.
    #[inline(always)]
    pub(crate) fn word(&self, at: usize) -> Option<&AtomicU64> {
        let word = self.0.words_at(at, 1)?;
        // SAFETY: M1, M2: eight bytes of a writable mapping, aligned, accessed
        // by nobody else but through loads.
        Some(unsafe { AtomicU64::from_ptr(word.cast()) })
    }

    /// `count` words from offset `at`. `None` past the end, and in a forked
    /// child.
    #[inline(always)]
    pub(crate) fn words(&self, at: usize, count: usize) -> Option<&[AtomicU64]> {
        let words = self.0.words_at(at, count)?;
        // SAFETY: M1, M2: as in `word`, for each of them.
        Some(unsafe { std::slice::from_raw_parts(words.cast(), count) })
    }

    /// The address of `count` bytes at offset `at`. `None` past the end, and in a
    /// forked child. For memory in which there are no words.
    pub(crate) fn bytes_at(&self, at: usize, count: usize) -> Option<*mut u8> {
        self.0.bytes_at(at, count)
    }

    /// Wakes every thread, of any process, that sleeps on the low half of the
    /// word at `at`. Errors mean that nobody can be woken so, and are ignored:
    /// a peer can make this fail, and only its own threads sleep here.
    pub(crate) fn wake(&self, at: usize) {
        use rustix::thread::futex;
        let Some(word) = self.0.words_at(at, 1) else {
            return;
        };
        // SAFETY: M1, M2: in bounds and aligned. Only the kernel uses it, by its
        // address; no load or store of four bytes is ever made through it.
        let half = unsafe { AtomicU32::from_ptr(word.cast()) };
        let _ = futex::wake(half, futex::Flags::empty(), i32::MAX as u32);
    }
}

/// Memory a peer writes and we only read.
#[derive(Debug)]
pub(crate) struct PeerMemory(Mapping);

impl PeerMemory {
    /// Checks and maps a peer's outbound memory of exactly `bytes`.
    pub(crate) fn open(fd: OwnedFd, bytes: usize) -> Result<PeerMemory, OpenError> {
        verify(fd.as_fd(), OUTBOUND_NEEDED, bytes as u64)?;
        let mapping = map_foreign(fd.as_fd(), bytes, MapFlags::SHARED)?;
        Ok(PeerMemory(mapping))
    }

    /// What the word at offset `at` says. `None` past the end, and in a forked
    /// child.
    #[inline(always)]
    pub(crate) fn load(&self, at: usize) -> Option<u64> {
        let word = self.0.words_at(at, 1)?;
        // SAFETY: M1, M3: eight bytes of a readable mapping, aligned; only
        // relaxed loads are made through a `Shown`.
        let word = unsafe { &*word.cast::<Shown>() };
        Some(u64::from_le(word.look()))
    }

    /// How many bytes it has.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// Asks the processor for the line of the word at `at`, which is about to be looked
    /// at. Where it cannot be asked this does nothing.
    #[inline(always)]
    pub(crate) fn prefetch(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(word) = self.0.words_at(at, 1) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: M1, M3: within the mapping; a hint, which loads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(word.cast_const().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    /// `count` words from offset `at`. `None` past the end, and in a forked
    /// child.
    #[inline(always)]
    pub(crate) fn words(&self, at: usize, count: usize) -> Option<&[Shown]> {
        let words = self.0.words_at(at, count)?;
        // SAFETY: M1, M3: as in `load`, for each of them.
        Some(unsafe { std::slice::from_raw_parts(words.cast(), count) })
    }

    /// The address of `count` bytes at offset `at`, to be copied by a copy the
    /// compiler sees nothing of. `None` past the end, and in a forked child.
    pub(crate) fn bytes_at(&self, at: usize, count: usize) -> Option<*const u8> {
        self.0.bytes_at(at, count).map(<*mut u8>::cast_const)
    }

    /// The address a thread can sleep on: the low half of the word at `at`.
    pub(crate) fn sleep_address(&self, at: usize) -> Option<*mut libc::c_void> {
        self.0.words_at(at, 1).map(|word| word.cast())
    }
}

/// Memory that more than one process of the same program may write: the limits the
/// benchmark compares with, and nothing of the protocol.
#[derive(Debug)]
pub(crate) struct SharedMemory(Mapping);

impl SharedMemory {
    /// Maps a memory whose size nobody can change.
    pub(crate) fn open(fd: &OwnedFd) -> io::Result<SharedMemory> {
        refuse::at(Call::Verify)?;
        let fixed = SealFlags::SHRINK | SealFlags::GROW;
        let seals = rustix::fs::fcntl_get_seals(fd)?;
        let bytes = size_of(fd)?;
        if !seals.contains(fixed) || bytes == 0 || !bytes.is_multiple_of(8) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        Ok(SharedMemory(Mapping::new(fd.as_fd(), bytes as usize, MapFlags::SHARED, access)?))
    }

    /// All of it; none in a forked child.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let count = self.0.bytes / 8;
        let Some(words) = self.0.words_at(0, count) else { return &[] };
        // SAFETY: M1, M12: the whole mapping, aligned and writable, which lives as
        // long as the borrow; every process that maps it uses atomics, or the one
        // opaque copy of `bare.rs`.
        unsafe { std::slice::from_raw_parts(words.cast(), count) }
    }
}

/// Bytes that nobody can change any more.
pub(crate) struct SealedMemory(Mapping);

impl SealedMemory {
    /// Checks and maps a sealed memory of exactly `bytes`, which is not zero.
    pub(crate) fn open(fd: OwnedFd, bytes: u64) -> Result<SealedMemory, OpenError> {
        verify(fd.as_fd(), BODY_NEEDED, bytes)?;
        let bytes = usize::try_from(bytes).map_err(|_| Offence::MemorySize)?;
        // Private: an unwritten page of a private mapping is the file's page,
        // and older kernels refuse any shared mapping of a write-sealed file.
        let mapping = map_foreign(fd.as_fd(), bytes, MapFlags::PRIVATE)?;
        Ok(SealedMemory(mapping))
    }

    /// The bytes; none in a forked child, where they are not mapped.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        if !self.0.epoch.is_current() {
            return &[];
        }
        // SAFETY: M1, M4: the mapping is this long, and its file is sealed
        // against writing, shrinking and holes, so the bytes never change.
        unsafe { std::slice::from_raw_parts(self.0.base.as_ptr(), self.0.bytes) }
    }
}

/// Checks that `fd` is a sealed memory of exactly `bytes`.
pub(crate) fn verify_sealed(fd: &OwnedFd, bytes: u64) -> Result<(), OpenError> {
    verify(fd.as_fd(), BODY_NEEDED, bytes)
}

/// Makes a sealed memory that holds `parts`, one after another.
pub(crate) fn create_sealed(parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    if total == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let fd = memfd()?;
    allocate(&fd, total)?;
    let mut at = 0;
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| {
                refuse::at(Call::Write)?;
                rustix::io::pwrite(&fd, rest, at)
            })?;
            at += written as u64;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
    refuse::at(Call::SealAdd)?;
    rustix::fs::fcntl_add_seals(&fd, BODY)?;
    Ok(fd)
}

/// A fresh, empty memfd: closed on exec, sealable, not executable where the
/// kernel knows how to say so.
pub(crate) fn memfd() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let create = |flags| {
        refuse::at(Call::MemfdCreate)?;
        rustix::fs::memfd_create(c"pillarbox", flags)
    };
    match create(flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(Errno::INVAL) => Ok(create(flags)?),
        made => Ok(made?),
    }
}

/// Makes `fd` as long as `bytes` by writing zeros: every page of it is there now, on our
/// account, and none is a hole to whoever looks for one. That is half of what it takes to
/// allocate them and touch each through a mapping: a page that is used is mapped when it
/// is, and most of a lane never is.
fn write_zeros(fd: &OwnedFd, bytes: usize) -> Result<(), Errno> {
    static ZEROS: [u8; 4096] = [0; 4096];
    look_at_limit(bytes)?;
    let slices = [IoSlice::new(&ZEROS); 64];
    let mut written = 0;
    while written < bytes {
        let rest = bytes - written;
        let (whole, last) = (rest / ZEROS.len(), IoSlice::new(&ZEROS[..rest % ZEROS.len()]));
        let parts = if whole == 0 { &[last][..] } else { &slices[..whole.min(slices.len())] };
        let more = rustix::io::retry_on_intr(|| {
            refuse::at(Call::Write)?;
            rustix::io::pwritev(fd, parts, written as u64)
        })?;
        // Nothing of something: there is no more room, whatever it is called.
        if more == 0 {
            return Err(Errno::NOSPC);
        }
        written += more;
    }
    Ok(())
}

/// Beyond this limit the kernel would send SIGXFSZ, which ends the host.
fn look_at_limit(bytes: usize) -> Result<(), Errno> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize);
    if limit.current.is_some_and(|limit| limit < bytes as u64) {
        return Err(Errno::FBIG);
    }
    Ok(())
}

/// Makes `fd` as long as `bytes`, every page of it allocated now and not when it
/// is first touched.
fn allocate(fd: &OwnedFd, bytes: usize) -> Result<(), Errno> {
    look_at_limit(bytes)?;
    let whole = || {
        refuse::at(Call::Fallocate)?;
        rustix::fs::fallocate(fd, FallocateFlags::empty(), 0, bytes as u64)
    };
    rustix::io::retry_on_intr(whole)
}

/// Checks that `fd` is memory as it must be: a file on tmpfs with the `needed`
/// seals, of exactly `bytes`, without holes.
///
/// Huge pages are refused with the rest: a hole in them kills its reader, and
/// the kernel does not say where one is.
fn verify(fd: BorrowedFd<'_>, needed: SealFlags, bytes: u64) -> Result<(), OpenError> {
    refuse::at(Call::Verify)?;
    let stat = rustix::fs::fstat(fd)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !regular || rustix::fs::fstatfs(fd)?.f_type as u64 != TMPFS_MAGIC {
        return Err(Offence::MemoryKind.into());
    }
    let seals = match rustix::fs::fcntl_get_seals(fd) {
        Ok(seals) => seals,
        // A name without a file (O_PATH), or a file that knows no seals.
        Err(Errno::BADF | Errno::INVAL) => return Err(Offence::MemoryKind.into()),
        Err(errno) => return Err(errno.into()),
    };
    if !seals.contains(needed) {
        return Err(Offence::SealMissing.into());
    }
    // Only now do size and blocks stand still: the seals hold them. What was
    // seen before the seals were may have changed, so it is looked at again.
    let stat = rustix::fs::fstat(fd)?;
    if stat.st_size as u64 != bytes {
        return Err(Offence::MemorySize.into());
    }
    let allocated = (stat.st_blocks as u64).saturating_mul(512);
    // Blocks may lie past the end, where they fill no hole, so the count is not
    // enough. A page that was allocated and never touched counts as a hole here.
    if allocated < bytes || rustix::fs::seek(fd, SeekFrom::Hole(0)) != Ok(bytes) {
        return Err(Offence::MemoryHoles.into());
    }
    Ok(())
}

/// Bytes `fd` says it is long. Believed by nobody: the memory is checked against it.
pub(crate) fn size_of(fd: &OwnedFd) -> Result<u64, Errno> {
    Ok(rustix::fs::fstat(fd)?.st_size as u64)
}

/// Maps a peer's memory, read-only.
fn map_foreign(fd: BorrowedFd<'_>, bytes: usize, kind: MapFlags) -> Result<Mapping, OpenError> {
    match Mapping::new(fd, bytes, kind, MprotectFlags::READ) {
        Ok(mapping) => Ok(mapping),
        // Opened for writing only, or for nothing.
        Err(Errno::ACCESS | Errno::BADF | Errno::NODEV | Errno::PERM) => {
            Err(Offence::MemoryKind.into())
        }
        Err(errno) => Err(errno.into()),
    }
}
