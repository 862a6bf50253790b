//! Memory of the caller's: copied by the kernel, which says where there is none.
//!
//! Reading and writing through `process_vm_readv` on ourselves costs some 300 ns a
//! call, whatever the number of parts, and an address that is not mapped is an error
//! and no signal. Where a filter forbids the call, bytes are copied plainly, and a bad
//! address is what it is to any function of C. Both directions are reads, with the
//! roles changed: of those, tools that follow memory know what they do.
//!
//! What lies in the stack of the thread that calls is copied without the kernel.

use std::io::Error;

use crate::stack;

/// Parts of a message, as a caller lists them: where each begins, and how long it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    parts: Vec<(u64, usize)>,
    bytes: usize,
}

/// The most parts of one list.
const MOST_PARTS: usize = 1024 * 1024;

/// The most bytes that are read at once.
pub const MOST: usize = 4 << 30;

/// Of a part that is longer it is seen that it is there before room is made for it.
const LARGE: usize = 1 << 20;

/// As many parts as the kernel takes at once.
const AT_ONCE: usize = 1024;

impl Parts {
    /// One part. A buffer of no bytes lies nowhere. `None` for more bytes than memory has.
    pub fn flat(address: u64, bytes: usize) -> Option<Self> {
        Parts::of(vec![(address, bytes)])
    }

    fn of(mut parts: Vec<(u64, usize)>) -> Option<Self> {
        parts.retain(|(_, bytes)| *bytes > 0);
        let sum = parts.iter().try_fold(0usize, |sum, (_, bytes)| sum.checked_add(*bytes))?;
        isize::try_from(sum).ok()?;
        Some(Parts { parts, bytes: sum })
    }

    /// The parts that a list of the caller's names.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub fn listed(address: u64, count: usize) -> Result<Self, BadList> {
        if count > MOST_PARTS {
            return Err(BadList::TooLong);
        }
        let list = read(address, count * 16).ok_or(BadList::NotThere)?;
        let number = |at: usize| -> u64 {
            let eight = list.get(at..at + 8).and_then(|eight| eight.try_into().ok());
            eight.map_or(0, u64::from_ne_bytes)
        };
        let parts = (0..count).map(|at| (number(at * 16), number(at * 16 + 8) as usize));
        Parts::of(parts.collect()).ok_or(BadList::TooLong)
    }

    /// How many bytes they have together.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies all of them, one behind the other. `None` where they are not there, or more
    /// than [`MOST`].
    pub fn read(&self) -> Option<Vec<u8>> {
        if self.bytes > MOST || !self.may_be_there() {
            return None;
        }
        let mut bytes = vec![0u8; self.bytes];
        let mut rest = bytes.as_mut_slice();
        for some in self.parts.chunks(AT_ONCE) {
            let length: usize = some.iter().map(|(_, bytes)| bytes).sum();
            let (now, later) = rest.split_at_mut_checked(length)?;
            if !copy_in(now, some) {
                return None;
            }
            rest = later;
        }
        Some(bytes)
    }

    /// Whether the last byte of each large part is there: before there is room for them.
    fn may_be_there(&self) -> bool {
        let large = self.parts.iter().filter(|(_, bytes)| *bytes > LARGE);
        large.into_iter().all(|(address, bytes)| {
            let last = address.checked_add(*bytes as u64 - 1);
            last.is_some_and(|last| copy_in(&mut [0], &[(last, 1)]))
        })
    }

    /// Copies the first of them, at most so many bytes.
    pub fn read_up_to(&self, most: usize) -> Option<Vec<u8>> {
        if self.bytes <= most {
            return self.read();
        }
        let mut left = most;
        let some = self.parts.iter().map(|(address, bytes)| {
            let these = left.min(*bytes);
            left -= these;
            (*address, these)
        });
        Parts::of(some.collect())?.read()
    }

    /// Copies `bytes` to them, as far as both go. `None` where they are not there.
    pub fn write(&self, bytes: &[u8]) -> Option<usize> {
        let all = bytes.len().min(self.bytes);
        let mut rest = bytes.get(..all).unwrap_or_default();
        for some in self.parts.chunks(AT_ONCE) {
            let mut length = 0;
            let mut to = Vec::with_capacity(some.len());
            for (address, most) in some {
                let these = (*most).min(rest.len() - length);
                if these > 0 {
                    to.push((*address, these));
                    length += these;
                }
            }
            let (now, later) = rest.split_at_checked(length)?;
            if length > 0 && !copy_out(&to, now) {
                return None;
            }
            rest = later;
        }
        Some(all)
    }
}

/// What is wrong with a list of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadList {
    /// It is not in memory.
    NotThere,
    /// It, or what it lists, is longer than memory is.
    TooLong,
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

fn own_pid() -> i32 {
    // SAFETY: it reads a number of the kernel's.
    unsafe { libc::getpid() }
}

fn vectors(parts: &[(u64, usize)]) -> Vec<libc::iovec> {
    let vector = |(address, bytes): &(u64, usize)| libc::iovec {
        iov_base: *address as *mut libc::c_void,
        iov_len: *bytes,
    };
    parts.iter().map(vector).collect()
}

/// Copies bytes of the caller's into our own. False where they are not all there.
fn copy_in(own: &mut [u8], callers: &[(u64, usize)]) -> bool {
    let own = (own.as_mut_ptr() as u64, own.len());
    match are_there(callers, own.1) {
        true => copy_plainly(&[own], callers),
        false => copy_by_kernel(&[own], callers, own.1),
    }
}

/// Copies bytes of our own to the caller. False where they do not all go there.
fn copy_out(callers: &[(u64, usize)], own: &[u8]) -> bool {
    let own = (own.as_ptr() as u64, own.len());
    match are_there(callers, own.1) {
        true => copy_plainly(callers, &[own]),
        false => copy_by_kernel(callers, &[own], own.1),
    }
}

/// Whether all of a caller's parts are there without a doubt. Of many bytes that is not
/// asked: the kernel's call is nothing beside copying them.
fn are_there(callers: &[(u64, usize)], bytes: usize) -> bool {
    bytes <= LARGE && callers.iter().all(|&(address, bytes)| stack::holds(address, bytes))
}

/// Copies so many bytes from one list to another. False where they are not all there.
fn copy_by_kernel(to: &[(u64, usize)], from: &[(u64, usize)], bytes: usize) -> bool {
    let (local, remote) = (vectors(to), vectors(from));
    let (locals, remotes) = (local.len() as libc::c_ulong, remote.len() as libc::c_ulong);
    // SAFETY: C1. The kernel reads what is there of one list and writes what is there of
    // the other, or fails; one of the two is our own, and as long as it says.
    let copied = unsafe {
        libc::process_vm_readv(own_pid(), local.as_ptr(), locals, remote.as_ptr(), remotes, 0)
    };
    if copied >= 0 {
        return copied as usize == bytes;
    }
    if !is_forbidden(&Error::last_os_error()) {
        return false;
    }
    copy_plainly(to, from)
}

/// The same, where the kernel may not be asked, or need not.
fn copy_plainly(to: &[(u64, usize)], from: &[(u64, usize)]) -> bool {
    if to.iter().chain(from).any(|(address, _)| *address == 0) {
        return false;
    }
    let (mut to, mut from) = (to.iter().copied(), from.iter().copied());
    let (mut into, mut out_of) = (to.next(), from.next());
    while let (Some((here, room)), Some((there, there_are))) = (into, out_of) {
        let bytes = room.min(there_are);
        // SAFETY: C1. They lie in the caller's frames; or the kernel may not be asked, and
        // the caller says that these bytes are its own.
        unsafe { std::ptr::copy(there as *const u8, here as *mut u8, bytes) };
        let left =
            |address: u64, all: usize| (all > bytes).then(|| (address + bytes as u64, all - bytes));
        into = left(here, room).or_else(|| to.next());
        out_of = left(there, there_are).or_else(|| from.next());
    }
    true
}

/// Copies `size` bytes at `address`; `None` where they are not all there.
pub fn read(address: u64, size: usize) -> Option<Vec<u8>> {
    if size > LARGE {
        return Parts::flat(address, size)?.read();
    }
    let mut bytes = vec![0; size];
    read_into(address, &mut bytes).then_some(bytes)
}

/// Copies as many bytes at `address` as `to` has. False where they are not all there.
pub fn read_into(address: u64, to: &mut [u8]) -> bool {
    let bytes = to.len();
    bytes == 0 || copy_in(to, &[(address, bytes)])
}

/// Copies bytes to `address`. False where they do not all go there.
pub fn write(address: u64, bytes: &[u8]) -> bool {
    bytes.is_empty() || copy_out(&[(address, bytes.len())], bytes)
}

/// Text of the caller's up to its end, at most so many bytes; and whether it ended there.
/// `None` where it is not there.
pub fn text(from: u64, most: usize) -> Option<(Vec<u8>, bool)> {
    let mut text = Vec::new();
    while text.len() < most {
        let at = from.checked_add(text.len() as u64)?;
        // Never over the end of a page that is there into one that may not be.
        let here = (4096 - at % 4096).min((most - text.len()) as u64).min(64);
        let bytes = read(at, here as usize)?;
        match bytes.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(bytes.get(..end)?);
                return Some((text, true));
            }
            None => text.extend_from_slice(&bytes),
        }
    }
    Some((text, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bytes: &[u8]) -> u64 {
        bytes.as_ptr() as u64
    }

    #[test]
    fn parts_are_read_and_written_one_behind_the_other() {
        let (one, two) = (*b"abc", *b"defg");
        let parts = Parts::of(vec![(at(&one), 3), (0, 0), (at(&two), 4)]).unwrap();
        assert_eq!(parts.read().unwrap(), b"abcdefg");
        let mut room = [0u8; 6];
        let start = room.as_mut_ptr() as u64;
        let parts = Parts::of(vec![(start, 1), (start + 3, 3)]).unwrap();
        assert_eq!(parts.write(b"xyz"), Some(3));
        assert_eq!(&room, b"x\0\0yz\0");
    }

    #[test]
    fn more_parts_than_the_kernel_takes_at_once_are_no_matter() {
        let bytes: Vec<u8> = (0..3000u32).map(|at| at as u8).collect();
        let each = (0..3000).map(|index| (at(&bytes) + index, 1)).collect();
        let parts = Parts::of(each).unwrap();
        assert_eq!(parts.read().unwrap(), bytes);
        assert_eq!(parts.write(&bytes[..2500]), Some(2500));
    }

    #[test]
    fn what_is_not_there_is_told() {
        assert_eq!(read(8, 4), None);
        assert!(!write(8, b"text"));
        assert_eq!(Parts::listed(8, 1), Err(BadList::NotThere));
        assert_eq!(Parts::listed(8, usize::MAX), Err(BadList::TooLong));
        let endless = [0u64, usize::MAX as u64];
        assert_eq!(Parts::listed(endless.as_ptr() as u64, 1), Err(BadList::TooLong));
        assert_eq!(read(0, 0), Some(Vec::new()));
        assert_eq!(text(8, 10), None);
        assert_eq!(text(at(b"name\0"), 10), Some((b"name".to_vec(), true)));
        assert_eq!(text(at(b"a longer one\0"), 4), Some((b"a lo".to_vec(), false)));
        // However much is asked for, there is no room made for what is not there.
        assert_eq!(read(8, MOST), None);
        assert_eq!(read(8, usize::MAX / 2), None);
        assert_eq!(Parts::flat(8, usize::MAX), None);
    }

    #[test]
    fn the_kernel_and_plain_copies_do_the_same() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut held = [0u8; 100];
        assert!(write(held.as_mut_ptr() as u64, &bytes));
        assert_eq!(held.as_slice(), bytes);
        assert_eq!(read(at(&held), 100).unwrap(), bytes);
        // What of ours lies in a frame says nothing of where the caller has it.
        assert!(!copy_out(&[(8, 100)], &held) && !copy_in(&mut held, &[(8, 100)]));
        let mut apart = vec![0u8; 100];
        let start = apart.as_mut_ptr() as u64;
        assert!(copy_by_kernel(&[(start, 100)], &[(at(&held), 100)], 100));
        assert_eq!(apart, bytes);
        assert!(!copy_by_kernel(&[(start, 100)], &[(8, 100)], 100));
    }

    #[test]
    fn plain_copies_do_the_same() {
        let (one, two) = (*b"abc", *b"defg");
        let mut room = [0u8; 7];
        let start = room.as_mut_ptr() as u64;
        assert!(copy_plainly(&[(start, 5), (start + 5, 2)], &[(at(&one), 3), (at(&two), 4)]));
        assert_eq!(&room, b"abcdefg");
        assert!(!copy_plainly(&[(0, 1)], &[(at(&one), 1)]));
    }
}
