//! Which life of the process this is, and what a forked child must not keep.
//!
//! A forked child has no task. It inherits our numbers, pointers and locks, and
//! none of them is its own: the sockets belong to its parent's links, and the
//! mappings are not there at all (`MADV_DONTFORK`). So every object of this
//! crate remembers the *epoch* it was made in, and does nothing in another.
//!
//! The epoch is one word in a page that the kernel wipes in a child
//! (`MADV_WIPEONFORK`). Zero says: forked, and not yet begun anew. A child that
//! wants tasks of its own calls [`renew`].
//!
//! Descriptors are closed in the child by a `pthread_atfork` handler, which
//! walks a bitmap of the ones we own. A process made by a bare `clone` runs no
//! such handler: the word is wiped all the same, and [`renew`] closes what the
//! handler did not. What is not covered: a descriptor that another thread has
//! made and not yet noted when the fork comes. It is lost to the child until
//! the child executes another program.
#![allow(unsafe_code, reason = "maps the wiped page, hooks fork, closes by number (M5, M6)")]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU64};

/// What the word says in a forked child.
const FORKED: u64 = 0;
/// What the word says while a child begins anew.
const RENEWING: u64 = u64::MAX - 1;
/// The number of an epoch that is never current.
const NEVER: u64 = u64::MAX;

/// The word in the wiped page; null before the first epoch.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// The word where no page could be had: only the handler wipes it.
static PLAIN: AtomicU64 = AtomicU64::new(FORKED);
/// The last number given. Inherited by a child, so that no number comes twice
/// in one line of descent.
static LAST: AtomicU64 = AtomicU64::new(FORKED);

/// One life of the process: from its start, or from [`renew`], to the next fork.
#[derive(Clone, Copy)]
pub struct Epoch {
    word: &'static AtomicU64,
    number: u64,
}

impl Epoch {
    /// The epoch we are in. In a forked child that has not called [`renew`], an
    /// epoch that is never current.
    pub fn current() -> Epoch {
        let word = word();
        let number = match word.load(Relaxed) {
            FORKED | RENEWING => NEVER,
            number => number,
        };
        Epoch { word, number }
    }

    /// Whether we are still in this epoch: one load and a compare.
    #[inline]
    pub fn is_current(&self) -> bool {
        // Relaxed: the word changes only by a fork or in a child of one thread,
        // and nothing is published with it.
        self.word.load(Relaxed) == self.number
    }
}

impl PartialEq for Epoch {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Epoch {}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            NEVER => f.write_str("Epoch(forked)"),
            number => write!(f, "Epoch({number})"),
        }
    }
}

/// Whether this process was forked and has not begun a life of its own.
pub fn is_forked() -> bool {
    matches!(word().load(Relaxed), FORKED | RENEWING)
}

/// Begins a life of its own in a forked child; elsewhere changes nothing.
///
/// What was inherited stays dead. Only a child may call this that could go on
/// as a normal program: one forked from a process with a single thread, or one
/// whose other threads held no lock it needs.
pub fn renew() -> Epoch {
    let word = word();
    // Of several threads that come here one closes what is left, and the others
    // wait: what they make next must not be taken for a leftover.
    // pairs: fork.renewed
    match word.compare_exchange(FORKED, RENEWING, Acquire, Acquire) {
        Ok(_) => {
            close_registered();
            word.store(next_number(), Release); // pairs: fork.renewed
        }
        Err(_) => {
            // pairs: fork.renewed
            while word.load(Acquire) == RENEWING {
                std::thread::yield_now();
            }
        }
    }
    Epoch::current()
}

/// An epoch to make something in, or an error in a forked child.
pub(crate) fn epoch_to_create_in() -> io::Result<Epoch> {
    let epoch = Epoch::current();
    if epoch.is_current() {
        Ok(epoch)
    } else {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this process was forked and has not begun a life of its own",
        ))
    }
}

fn next_number() -> u64 {
    LAST.fetch_add(1, Relaxed) + 1
}

/// The word, made on first use. Takes no lock: a fork may come at any moment,
/// and a lock that another thread holds then is held for ever in the child.
fn word() -> &'static AtomicU64 {
    let seen = WORD.load(Acquire); // pairs: fork.word
    if seen.is_null() {
        return first_word();
    }
    // SAFETY: M5: a non-null `WORD` points at a word that is never unmapped.
    unsafe { &*seen }
}

#[cold]
fn first_word() -> &'static AtomicU64 {
    // The handler first: an epoch without it would leak sockets to children.
    // Twice, if two threads come here at once, does no harm.
    // SAFETY: the handler is a plain function that lives as long as the crate.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    let made = wiped_page().unwrap_or_else(|_| ptr::from_ref(&PLAIN).cast_mut());
    // SAFETY: M5: the page is mapped or static, zeroed, aligned, and kept.
    let word = unsafe { &*made };
    let _ = word.compare_exchange(FORKED, next_number(), Relaxed, Relaxed);
    // pairs: fork.word
    match WORD.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire) {
        Ok(_) => word,
        Err(other) => {
            // The loser's page is left mapped: 4 KiB, once, in a race.
            // SAFETY: M5: as in `word`.
            unsafe { &*other }
        }
    }
}

fn wiped_page() -> io::Result<*mut AtomicU64> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
    let bytes = rustix::param::page_size();
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh anonymous mapping at an address the kernel chooses.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), bytes, protection, MapFlags::PRIVATE) }?;
    // SAFETY: the range is the mapping just made.
    unsafe { madvise(page, bytes, Advice::LinuxWipeOnFork) }?;
    Ok(page.cast())
}

/// Runs in the child of every `fork`. Async-signal-safe: loads, stores, `close`.
extern "C" fn in_child() {
    let word = WORD.load(Acquire); // pairs: fork.word
    if word.is_null() {
        return;
    }
    // SAFETY: M5: as in `word`.
    unsafe { &*word }.store(FORKED, Relaxed);
    close_registered();
}

/// Descriptors in one leaf of the bitmap.
const LEAF_BITS: usize = 1 << 16;
/// Leaves there may be: enough for every number a descriptor can have.
const LEAVES: usize = 1 << 15;

type Leaf = [AtomicU64; LEAF_BITS / 64];

/// Which descriptors are ours: a bit for each number, in leaves that are made
/// when first needed and never freed.
static REGISTRY: [AtomicPtr<Leaf>; LEAVES] = [const { AtomicPtr::new(ptr::null_mut()) }; LEAVES];

/// The word and the bit of `raw`. `None` for a number no descriptor can have.
fn registered_bit(raw: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(raw).ok()?;
    let root = REGISTRY.get(number / LEAF_BITS)?;
    let mut leaf = root.load(Acquire); // pairs: fork.leaf
    if leaf.is_null() {
        let fresh = Box::into_raw(Box::new([const { AtomicU64::new(0) }; LEAF_BITS / 64]));
        // pairs: fork.leaf
        leaf = match root.compare_exchange(ptr::null_mut(), fresh, AcqRel, Acquire) {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: `fresh` came from `Box::into_raw` and was not shared.
                drop(unsafe { Box::from_raw(fresh) });
                other
            }
        };
    }
    // SAFETY: M6: a non-null root points at a leaf that is never freed.
    let leaf = unsafe { &*leaf };
    let word = leaf.get(number % LEAF_BITS / 64)?;
    Some((word, 1 << (number % 64)))
}

/// Closes every descriptor noted, and forgets it.
fn close_registered() {
    for (high, root) in REGISTRY.iter().enumerate() {
        let leaf = root.load(Acquire); // pairs: fork.leaf
        if leaf.is_null() {
            continue;
        }
        // SAFETY: M6: as in `registered_bit`.
        let leaf = unsafe { &*leaf };
        for (middle, word) in leaf.iter().enumerate() {
            let mut bits = match word.load(Relaxed) {
                0 => continue,
                // Relaxed: a child has one thread when it comes here.
                _ => word.swap(0, Relaxed),
            };
            while bits != 0 {
                let low = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let number = high * LEAF_BITS + middle * 64 + low;
                // Not rustix's, which takes a failure for a mistake: a number
                // noted by another thread while the fork was under way is not
                // open here.
                // SAFETY: M6: the bit says that the number is ours; whoever held
                // it in the parent's life sees that that is over.
                unsafe { libc::close(number as RawFd) };
            }
        }
    }
}

/// A descriptor that a forked child does not keep.
///
/// It is closed in the child at the fork. There the value left over is empty:
/// dropping it closes nothing, and borrowing it gives a descriptor on which
/// every operation fails.
pub struct Fd {
    raw: RawFd,
    epoch: Epoch,
}

impl Fd {
    /// Takes `fd` and notes it.
    ///
    /// # Errors
    /// In a forked child without a life of its own; `fd` is closed.
    pub fn new(fd: OwnedFd) -> io::Result<Fd> {
        let epoch = epoch_to_create_in()?;
        let Some((word, bit)) = registered_bit(fd.as_raw_fd()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // Relaxed: the thread that forks sees its own notes, and others' as far
        // as they have come; no more is promised.
        word.fetch_or(bit, Relaxed);
        Ok(Fd { raw: fd.into_raw_fd(), epoch })
    }

    /// Lets it go unclosed: a forked child keeps it from now on, as it does any other.
    /// `None` in a forked child, where it is not open.
    pub fn into_owned(self) -> Option<OwnedFd> {
        if !self.epoch.is_current() {
            return None;
        }
        // Before anybody else may close the number and get it anew.
        if let Some((word, bit)) = registered_bit(self.raw) {
            // Relaxed: as when it is dropped.
            word.fetch_and(!bit, Relaxed);
        }
        let raw = std::mem::ManuallyDrop::new(self).raw;
        // SAFETY: M6: open and ours, and `self` closes nothing any more.
        Some(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        if self.epoch.is_current() {
            // SAFETY: M6: open, ours, and not closed before `self` is dropped.
            unsafe { BorrowedFd::borrow_raw(self.raw) }
        } else {
            // Names no open file: EBADF to whoever tries.
            rustix::fs::CWD
        }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        if !self.epoch.is_current() {
            return;
        }
        // Forgotten first: a fork in between leaks it to the child, the other
        // order would close somebody else's descriptor there.
        if let Some((word, bit)) = registered_bit(self.raw) {
            // Relaxed: the kernel's lock on the table, which both the close and
            // the fork take, keeps this before the close.
            word.fetch_and(!bit, Relaxed);
        }
        // SAFETY: M6: open and ours, and nobody uses it after this.
        unsafe { libc::close(self.raw) };
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fd({})", self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(raw: RawFd) -> bool {
        registered_bit(raw).is_some_and(|(word, bit)| word.load(Relaxed) & bit != 0)
    }

    fn null() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_descriptor_is_noted_while_it_is_ours() {
        // A number that no other test comes by.
        let high = rustix::io::fcntl_dupfd_cloexec(null(), 10_000).unwrap();
        let raw = high.as_raw_fd();
        let fd = Fd::new(high).unwrap();
        assert!(noted(raw) && !noted(raw + 1));
        let owned = fd.into_owned().unwrap();
        assert!(!noted(raw));
        let fd = Fd::new(owned).unwrap();
        assert!(noted(raw));
        drop(fd);
        assert!(!noted(raw));
        // There is a bit for every number there can be.
        assert!(registered_bit(-1).is_none());
        assert!(registered_bit(RawFd::MAX).is_some());
    }

    /// A fork in another thread may catch a number noted and not open here.
    #[test]
    fn a_noted_number_that_is_not_open_is_passed_over() {
        let epoch = Epoch::current();
        let raw = 20_011;
        let (noted, bit) = registered_bit(raw).unwrap();
        noted.fetch_or(bit, Relaxed);
        // SAFETY: the child looks at a word and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(epoch.is_current())) };
        }
        noted.fetch_and(!bit, Relaxed);
        let mut status = 0;
        // SAFETY: fills the status of our own child.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
    }

    #[test]
    fn an_epoch_that_never_was_is_never_current() {
        let never = Epoch { word: word(), number: NEVER };
        assert!(!never.is_current());
        assert_eq!(format!("{never:?}"), "Epoch(forked)");
    }
}
