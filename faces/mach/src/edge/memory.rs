//! Memory of the caller's: copied by the kernel, which says where there is none.
//!
//! Reading and writing through `process_vm_readv` on ourselves costs some 300 ns a
//! call, and an address that is not mapped is an error and no signal. Where a filter
//! forbids the call, bytes are copied plainly, and a bad address is what it is to any
//! function of C. Both directions are reads, with the roles changed: of those tools
//! that follow memory know what they do.

use std::io::Error;
use std::sync::OnceLock;

/// The bytes of a page.
pub(crate) fn page() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    *PAGE.get_or_init(|| {
        // SAFETY: it reads a number of the system's.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(page).unwrap_or(4096)
    })
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

fn own_pid() -> i32 {
    // SAFETY: it reads a number of the kernel's.
    unsafe { libc::getpid() }
}

/// Copies `size` bytes at `address`; `None` where they are not all there.
pub(crate) fn read(address: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; size];
    if size == 0 {
        return Some(bytes);
    }
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: size };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size };
    // SAFETY: C1. The kernel writes `size` bytes of our own vector, and reads the others
    // or fails.
    let copied = unsafe { libc::process_vm_readv(own_pid(), &local, 1, &remote, 1, 0) };
    if copied >= 0 {
        return (copied as usize == size).then_some(bytes);
    }
    if !is_forbidden(&Error::last_os_error()) || address == 0 {
        return None;
    }
    // SAFETY: the kernel may not be asked; the caller says that these bytes are its own.
    unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), size) };
    Some(bytes)
}

/// Copies bytes to `address`. False where they do not all go there.
pub(crate) fn write(address: u64, bytes: &[u8]) -> bool {
    let size = bytes.len();
    if size == 0 {
        return true;
    }
    let local = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size };
    let remote = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: size };
    // SAFETY: C1. The kernel reads our own bytes, and writes those the caller says are
    // its own, or fails.
    let copied = unsafe { libc::process_vm_readv(own_pid(), &local, 1, &remote, 1, 0) };
    if copied >= 0 {
        return copied as usize == size;
    }
    if !is_forbidden(&Error::last_os_error()) || address == 0 {
        return false;
    }
    // SAFETY: the kernel may not be asked; the caller says that these bytes are its own.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, size) };
    true
}

/// Fresh memory, zeroed, in whole pages: anywhere, or exactly at `place`.
pub(crate) fn allocate(size: usize, place: Option<u64>) -> Option<u64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let (at, flags) = match place {
        Some(at) => (at, flags | libc::MAP_FIXED_NOREPLACE),
        None => (0, flags),
    };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let size = size.checked_next_multiple_of(page())?;
    // SAFETY: it maps what nobody else has: nothing that is mapped is replaced.
    let got = unsafe { libc::mmap(at as *mut libc::c_void, size, protection, flags, -1, 0) };
    if got == libc::MAP_FAILED {
        return None;
    }
    if place.is_some_and(|at| got as u64 != at) {
        release(got as u64, size);
        return None;
    }
    Some(got as u64)
}

/// Fresh memory with these bytes, which becomes the caller's (C4).
pub(crate) fn allocate_filled(bytes: &[u8]) -> Option<u64> {
    let address = allocate(bytes.len(), None)?;
    // SAFETY: it was mapped just now, is as long, and nobody else knows it.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
    Some(address)
}

/// The whole pages that bytes lie in: where they begin, and how long they are.
fn pages(address: u64, size: usize) -> Option<(u64, usize)> {
    let page = page() as u64;
    let start = address & !(page - 1);
    let end = address.checked_add(size as u64)?.checked_next_multiple_of(page)?;
    Some((start, usize::try_from(end - start).ok()?))
}

/// Unmaps every page of a range that its owner gives away (C2).
pub(crate) fn release(address: u64, size: usize) -> bool {
    if size == 0 {
        return true;
    }
    let Some((start, size)) = pages(address, size) else { return false };
    // SAFETY: C2. The caller owns the range and says in this call that it is done with it.
    unsafe { libc::munmap(start as *mut libc::c_void, size) == 0 }
}

/// Changes what may be done with pages of the caller's: bits as of `mmap`.
pub(crate) fn protect(address: u64, size: usize, protection: i32) -> bool {
    let Some((start, size)) = pages(address, size) else { return false };
    // SAFETY: C2. The caller owns the range and asks for this.
    unsafe { libc::mprotect(start as *mut libc::c_void, size, protection) == 0 }
}
