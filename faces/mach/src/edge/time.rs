//! Time: nanoseconds of the monotonic clock.

use super::{guarded, memory};
use crate::codes::*;

fn now() -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the one value of our own.
    let _ = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now
}

#[unsafe(no_mangle)]
extern "C" fn mach_absolute_time() -> u64 {
    let now = now();
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

#[unsafe(no_mangle)]
extern "C" fn mach_timebase_info(info: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        let one = 1u32.to_ne_bytes();
        let both = [one, one].concat();
        if memory::write(info as u64, &both) { KERN_SUCCESS } else { KERN_INVALID_ADDRESS }
    })
}

#[unsafe(no_mangle)]
extern "C" fn mach_wait_until(deadline: u64) -> Code {
    guarded(KERN_FAILURE, || {
        let left = deadline.saturating_sub(mach_absolute_time());
        std::thread::sleep(std::time::Duration::from_nanos(left));
        KERN_SUCCESS
    })
}
