//! Memory of the caller's: copied by the kernel, which says where there is none.
//!
//! Reading and writing through `process_vm_readv` on ourselves costs some 300 ns a
//! call, whatever the number of parts, and an address that is not mapped is an error
//! and no signal. Where a filter forbids the call, bytes are copied plainly, and a bad
//! address is what it is to any function of C. Both directions are reads, with the
//! roles changed: of those, tools that follow memory know what they do.

use std::io::Error;

/// Parts of a message, as a caller lists them: where each begins, and how long it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    parts: Vec<(u64, usize)>,
    bytes: usize,
}

/// The most parts of one list.
const MOST_PARTS: usize = 1024 * 1024;

/// As many parts as the kernel takes at once.
const AT_ONCE: usize = 1024;

impl Parts {
    /// One part. A buffer of no bytes lies nowhere.
    pub(crate) fn flat(address: u64, bytes: usize) -> Option<Self> {
        Parts::of(vec![(address, bytes)])
    }

    fn of(mut parts: Vec<(u64, usize)>) -> Option<Self> {
        parts.retain(|(_, bytes)| *bytes > 0);
        let sum = parts.iter().try_fold(0usize, |sum, (_, bytes)| sum.checked_add(*bytes))?;
        isize::try_from(sum).ok()?;
        Some(Parts { parts, bytes: sum })
    }

    /// The parts that a list of the caller's names.
    pub(crate) fn listed(address: u64, count: usize) -> Result<Self, BadList> {
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
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Copies all of them, one behind the other.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        // No more is asked for than can be there.
        if self.bytes > crate::MESSAGE_BYTES {
            return None;
        }
        let mut bytes = vec![0u8; self.bytes];
        let mut rest = bytes.as_mut_slice();
        for some in self.parts.chunks(AT_ONCE) {
            let length: usize = some.iter().map(|(_, bytes)| bytes).sum();
            let (now, later) = rest.split_at_mut_checked(length)?;
            let own = [(now.as_mut_ptr() as u64, length)];
            if !copy(&own, some, length) {
                return None;
            }
            rest = later;
        }
        Some(bytes)
    }

    /// Copies the first of them, at most so many bytes.
    pub(crate) fn read_up_to(&self, most: usize) -> Option<Vec<u8>> {
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
    pub(crate) fn write(&self, bytes: &[u8]) -> Option<usize> {
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
            if length > 0 && !copy(&to, &[(now.as_ptr() as u64, length)], length) {
                return None;
            }
            rest = later;
        }
        Some(all)
    }
}

/// What is wrong with a list of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadList {
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

/// Copies so many bytes from one list to another. False where they are not all there.
fn copy(to: &[(u64, usize)], from: &[(u64, usize)], bytes: usize) -> bool {
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

/// The same, where the kernel may not be asked.
fn copy_plainly(to: &[(u64, usize)], from: &[(u64, usize)]) -> bool {
    if to.iter().chain(from).any(|(address, _)| *address == 0) {
        return false;
    }
    let (mut to, mut from) = (to.iter().copied(), from.iter().copied());
    let (mut into, mut out_of) = (to.next(), from.next());
    while let (Some((here, room)), Some((there, there_are))) = (into, out_of) {
        let bytes = room.min(there_are);
        // SAFETY: the kernel may not be asked; the caller says that these bytes are its own.
        unsafe { std::ptr::copy(there as *const u8, here as *mut u8, bytes) };
        let left =
            |address: u64, all: usize| (all > bytes).then(|| (address + bytes as u64, all - bytes));
        into = left(here, room).or_else(|| to.next());
        out_of = left(there, there_are).or_else(|| from.next());
    }
    true
}

/// Copies `size` bytes at `address`; `None` where they are not all there.
pub(crate) fn read(address: u64, size: usize) -> Option<Vec<u8>> {
    Parts::flat(address, size)?.read()
}

/// Copies bytes to `address`. False where they do not all go there.
pub(crate) fn write(address: u64, bytes: &[u8]) -> bool {
    let parts = Parts::flat(address, bytes.len());
    parts.and_then(|parts| parts.write(bytes)) == Some(bytes.len())
}

/// Text of the caller's up to its end, at most so many bytes. `None` where it is not
/// there, or longer.
pub(crate) fn text(from: u64, most: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < most {
        let at = from.checked_add(text.len() as u64)?;
        // Never over the end of a page that is there into one that may not be.
        let here = (4096 - at % 4096).min((most - text.len()) as u64).min(64);
        let bytes = read(at, here as usize)?;
        match bytes.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(bytes.get(..end)?);
                return Some(text);
            }
            None => text.extend_from_slice(&bytes),
        }
    }
    None
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
        assert_eq!(text(at(b"name\0"), 10), Some(b"name".to_vec()));
        assert_eq!(text(at(b"a longer one\0"), 4), None);
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
