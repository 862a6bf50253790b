//! The bare limit: a memory that two processes may both write, and nothing of the
//! protocol on top of it.
//!
//! For measuring what the machine can do. The benchmark builds its rings of these
//! words; no link, lane or right ever lies in such a memory, and nothing here
//! defends against a peer that lies: both ends are the benchmark's own.
#![allow(unsafe_code, reason = "prefetches, copies bytes, names a word to the kernel (M1, M12)")]

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use rustix::thread::futex;
use rustix::time::Timespec;

use crate::memory::SharedMemory;
use crate::region;

/// A memory that two processes may both write.
#[derive(Debug)]
pub struct BareMemory(SharedMemory);

impl BareMemory {
    /// Makes a memory of `bytes` zeros, and the descriptor another process opens
    /// it by.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(bytes: usize) -> io::Result<(BareMemory, OwnedFd)> {
        let fd = region::create(bytes as u64)?;
        let memory = SharedMemory::open(&fd)?;
        Ok((BareMemory(memory), fd))
    }

    /// Maps a memory that another process made. Its size cannot change.
    ///
    /// # Errors
    /// `InvalidInput` where the descriptor is none of [`BareMemory::create`]; else
    /// what the system says.
    pub fn open(fd: &OwnedFd) -> io::Result<BareMemory> {
        SharedMemory::open(fd).map(BareMemory)
    }

    /// All of it, as words; none in a forked child.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        self.0.words()
    }

    /// Sleeps while the low half of the word at `index` is `seen`, at most for
    /// `span`. May return for no reason.
    pub fn sleep(&self, index: usize, seen: u32, span: Duration) {
        let span = Timespec::try_from(span).ok();
        if let Some(half) = self.half(index) {
            let _ = futex::wait(half, futex::Flags::empty(), seen, span.as_ref());
        }
    }

    /// Wakes whoever sleeps on the low half of the word at `index`.
    pub fn wake(&self, index: usize) {
        if let Some(half) = self.half(index) {
            let _ = futex::wake(half, futex::Flags::empty(), i32::MAX as u32);
        }
    }

    /// The half of a word that a thread can sleep on. Only the kernel uses it, by
    /// its address.
    fn half(&self, index: usize) -> Option<&AtomicU32> {
        let word = self.words().get(index)?;
        // SAFETY: M1, M12: the front of an aligned word of ours that lives as long
        // as the borrow; no load or store of four bytes is made through it.
        Some(unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) })
    }
}

/// Asks the processor to have the line of `word` ready to be written. Where it
/// cannot be asked this does nothing.
#[inline(always)]
pub fn prefetch_to_write(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        let at = word.as_ptr().cast::<i8>();
        // SAFETY: M12: a hint; it neither reads nor writes.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast_const()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

/// Copies `from` into the front of `to`, as fast as this machine copies; what does
/// not fit is left out. No other process may use those words meanwhile.
pub fn copy_in(to: &[AtomicU64], from: &[u8]) {
    let bytes = from.len().min(size_of_val(to));
    #[cfg(target_arch = "x86_64")]
    copy(to.as_ptr().cast_mut().cast(), from.as_ptr(), bytes);
    #[cfg(not(target_arch = "x86_64"))]
    for (word, from) in to.iter().zip(from[..bytes].chunks(8)) {
        let mut whole = [0; 8];
        whole[..from.len()].copy_from_slice(from);
        // Relaxed: who counts publishes.
        word.store(u64::from_ne_bytes(whole), std::sync::atomic::Ordering::Relaxed);
    }
}

/// Copies the front of `from` into `to`; what is not there is left as it was. No
/// other process may write those words meanwhile.
pub fn copy_out(to: &mut [u8], from: &[AtomicU64]) {
    let bytes = to.len().min(size_of_val(from));
    #[cfg(target_arch = "x86_64")]
    copy(to.as_mut_ptr(), from.as_ptr().cast(), bytes);
    #[cfg(not(target_arch = "x86_64"))]
    for (to, word) in to[..bytes].chunks_mut(8).zip(from) {
        // Relaxed: who counts has acquired.
        let whole = word.load(std::sync::atomic::Ordering::Relaxed).to_ne_bytes();
        to.copy_from_slice(&whole[..to.len()]);
    }
}

/// An opaque copy: the compiler learns nothing about the memory it goes through,
/// which another process maps as well. `to` and `from` have `bytes` each.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn copy(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: M1, M12: both callers have cut `bytes` to what both ends have, and
    // one end is private memory; the direction flag is clear by the ABI.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn both_ends_see_the_same_words() {
        let (one, fd) = BareMemory::create(8192).expect("memory");
        let two = BareMemory::open(&fd).expect("the same memory");
        assert_eq!((one.words().len(), two.words().len()), (1024, 1024));
        one.words()[3].store(7, Relaxed);
        assert_eq!(two.words()[3].load(Relaxed), 7);
        prefetch_to_write(&one.words()[3]);
        assert_eq!(two.words()[3].load(Relaxed), 7);
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let (memory, _fd) = BareMemory::create(4096).expect("memory");
        for length in [0, 1, 7, 8, 9, 64, 4096] {
            let sent: Vec<u8> = (0..length).map(|at| at as u8 | 1).collect();
            copy_in(memory.words(), &sent);
            let mut came = vec![0; length];
            copy_out(&mut came, memory.words());
            assert_eq!(came, sent, "{length} bytes");
        }
        // What does not fit stays out.
        copy_in(&memory.words()[510..], &[9; 100]);
        let mut came = [0; 100];
        copy_out(&mut came, &memory.words()[510..]);
        assert_eq!((came[15], came[16]), (9, 0));
    }

    #[test]
    fn only_a_memory_of_fixed_size_is_opened() {
        let file = crate::memory::memfd().expect("a file");
        rustix::fs::ftruncate(&file, 4096).expect("it grows");
        let error = BareMemory::open(&file).expect_err("it could shrink under us");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_sleep_on_another_value_ends_at_once() {
        let (memory, _fd) = BareMemory::create(4096).expect("memory");
        memory.words()[0].store(1, Relaxed);
        memory.sleep(0, 2, Duration::from_secs(60));
        memory.wake(0);
    }
}
