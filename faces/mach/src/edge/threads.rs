//! Threads: who goes first is the system's to say.

use std::time::Duration;

use super::guarded;
use crate::codes::*;
use crate::names::{Name, is_valid};
use crate::with;

/// Lets others go first. False: whether there were any is not known.
#[unsafe(no_mangle)]
extern "C" fn swtch() -> i32 {
    std::thread::yield_now();
    0
}

#[unsafe(no_mangle)]
extern "C" fn swtch_pri(_priority: i32) -> i32 {
    swtch()
}

#[unsafe(no_mangle)]
extern "C" fn thread_switch(_to: Name, option: i32, milliseconds: u32) -> Code {
    const NONE: i32 = 0;
    const DEPRESS: i32 = 1;
    const WAIT: i32 = 2;
    guarded(KERN_FAILURE, || {
        match option {
            NONE | DEPRESS => std::thread::yield_now(),
            WAIT => std::thread::sleep(Duration::from_millis(u64::from(milliseconds))),
            _ => return KERN_INVALID_ARGUMENT,
        }
        KERN_SUCCESS
    })
}

/// Takes note of nothing: priorities are set as on Linux.
#[unsafe(no_mangle)]
extern "C" fn thread_policy_set(
    thread: Name,
    _flavor: u32,
    _policy: *const i32,
    _count: u32,
) -> Code {
    guarded(KERN_FAILURE, || {
        if is_valid(thread) && with(|space| space.copied(thread).is_some()) {
            KERN_SUCCESS
        } else {
            KERN_INVALID_ARGUMENT
        }
    })
}
