//! Time: nanoseconds of the monotonic clock.

use super::{code, guarded, host, memory, put};
use crate::codes::*;
use crate::names::{NULL, Name};
use crate::with;

fn now(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the one value of our own.
    let _ = unsafe { libc::clock_gettime(clock, &mut now) };
    now
}

#[unsafe(no_mangle)]
extern "C" fn mach_absolute_time() -> u64 {
    let now = now(libc::CLOCK_MONOTONIC);
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

/// Gives a name of a clock: 0 for the one that only goes on, 1 for that of the calendar.
#[unsafe(no_mangle)]
extern "C" fn host_get_clock_service(of: Name, which: i32, clock: *mut Name) -> Code {
    guarded(KERN_FAILURE, || {
        if !host::is_host(of) {
            return KERN_INVALID_HOST;
        }
        let clock_of = match which {
            0 => libc::CLOCK_MONOTONIC,
            1 => libc::CLOCK_REALTIME,
            _ => return KERN_INVALID_ARGUMENT,
        };
        let made = with(|space| {
            let known = space.clocks.iter().find(|(_, known)| **known == clock_of);
            if let Some(name) = known.map(|(name, _)| *name) {
                if space.change_urefs(name, 1) {
                    return name;
                }
                space.clocks.remove(&name);
            }
            let name = space.new_stand_in();
            if name != NULL {
                space.clocks.insert(name, clock_of);
            }
            name
        });
        if made == NULL { KERN_NO_SPACE } else { code(put(clock, made)) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn clock_get_time(clock: Name, time: *mut u32) -> Code {
    guarded(KERN_FAILURE, || {
        let clock_of = with(|space| match space.is_free(clock) {
            true => None,
            false => space.clocks.get(&clock).copied(),
        });
        let Some(clock_of) = clock_of else { return KERN_INVALID_ARGUMENT };
        let now = now(clock_of);
        let both = [(now.tv_sec as u32).to_ne_bytes(), (now.tv_nsec as u32).to_ne_bytes()];
        if memory::write(time as u64, &both.concat()) { KERN_SUCCESS } else { KERN_INVALID_ADDRESS }
    })
}
