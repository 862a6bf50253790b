//! Memory that is the caller's to free, or that it gives away. Copying from the caller
//! and to it is the crate `edge`'s.

use std::sync::OnceLock;

pub(crate) use ::edge::memory::{read, read_into, text, write};

/// The bytes of a page.
pub(crate) fn page() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    *PAGE.get_or_init(|| {
        // SAFETY: it reads a number of the system's.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(page).unwrap_or(4096)
    })
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

/// Fresh memory whose address is a multiple of `step`, a power of two above a page.
pub(crate) fn allocate_aligned(size: usize, step: u64) -> Option<u64> {
    let size = size.checked_next_multiple_of(page())?;
    let whole = size.checked_add(usize::try_from(step).ok()?)?;
    let start = allocate(whole, None)?;
    let got = start.next_multiple_of(step);
    // Only what is used stays.
    let (before, end) = ((got - start) as usize, got + size as u64);
    release(start, before);
    release(end, (start + whole as u64 - end) as usize);
    Some(got)
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
