//! What there is to be known of the machine.

use super::{code, get, guarded, memory, put};
use crate::codes::*;
use crate::names::{Name, is_valid};
use crate::with;

/// Whether a name is the one of the machine.
pub(super) fn is_host(host: Name) -> bool {
    is_valid(host) && with(|space| space.host == host && !space.is_free(host))
}

/// A number of the system's; 0 where it says nothing.
fn number(which: i32) -> u64 {
    // SAFETY: it reads a number of the system's.
    u64::try_from(unsafe { libc::sysconf(which) }).unwrap_or(0)
}

#[unsafe(no_mangle)]
extern "C" fn host_page_size(host: Name, size: *mut usize) -> Code {
    guarded(KERN_FAILURE, || {
        if !is_host(host) {
            return KERN_INVALID_ARGUMENT;
        }
        code(put(size, memory::page()))
    })
}

/// Kinds of processors, as programs know them: of the two that Mach ran on as well.
const PROCESSOR: (u32, u32) = match cfg!(target_arch = "aarch64") {
    true => (0x0100_000c, 0),
    false => (0x0100_0007, 3),
};

/// Words of what is told of a host, and of what was told once.
const WORDS: u32 = 12;
const OLD_WORDS: u32 = 5;

#[unsafe(no_mangle)]
extern "C" fn host_info(host: Name, flavor: i32, info: *mut u8, count: *mut u32) -> Code {
    const BASIC: i32 = 1;
    guarded(KERN_FAILURE, || {
        if !is_host(host) {
            return KERN_INVALID_HOST;
        }
        if flavor != BASIC {
            return KERN_INVALID_ARGUMENT;
        }
        let room = match get(count) {
            Ok(room) if room >= OLD_WORDS => room,
            Ok(_) => return KERN_FAILURE,
            Err(code) => return code,
        };
        let words = if room < WORDS { OLD_WORDS } else { WORDS };
        let (there, here) =
            (number(libc::_SC_NPROCESSORS_CONF), number(libc::_SC_NPROCESSORS_ONLN));
        let (there, here) = (there.max(1) as u32, here.max(1) as u32);
        let bytes = number(libc::_SC_PHYS_PAGES) * memory::page() as u64;
        // Programs of 32 bits are told of 2 GiB at most.
        let small = bytes.min(1 << 31) as u32;
        let (kind, subkind) = PROCESSOR;
        let told = [there, here, small, kind, subkind, 0, here, there, here, there];
        let mut all: Vec<u8> = told.iter().flat_map(|word| word.to_ne_bytes()).collect();
        all.extend_from_slice(&bytes.to_ne_bytes());
        all.truncate(words as usize * 4);
        if !memory::write(info as u64, &all) {
            return KERN_INVALID_ADDRESS;
        }
        code(put(count, words))
    })
}
