//! Where C calls in: the only unsafe code of this face.
//!
//! | invariant | says                                                              |
//! |-----------|-------------------------------------------------------------------|
//! | C1        | memory of a caller is reached as the crate `edge` reaches it      |
//! | C2        | a descriptor is closed only while it is the one that was made here |
//! | C3        | nothing that panics leaves this edge                              |
//! | C4        | what C is handed lives for ever, or is the caller's to free       |
//! | C5        | a function that a caller names is called as the call says         |
//!
//! An address that a caller passes is a number here. Only the crate `edge` acts on it.
#![allow(
    unsafe_code,
    non_snake_case,
    reason = "C finds functions by their bare names, and passes addresses; see docs/soundness.md"
)]

mod channels;
mod events;
mod messages;
mod process;
mod reserved;
mod schedule;
mod time;

use ::edge::guarded;
pub(crate) use ::edge::memory;
use pillarbox::let_handlers_jump;

pub(crate) use ::edge::without_signals;

pub(crate) use self::process::{is_main_thread, kernel_thread, signal, wait_readable, watch_forks};
pub(crate) use self::reserved::Reserved;
pub(crate) use self::schedule::{real_priority, schedule, schedule_above_all, schedule_this};
use crate::codes::{EAGAIN, Errno};
use crate::thread;

/// What a call returns.
trait Returned {
    fn number(self) -> i64;
}

macro_rules! returned {
    ($($kind:ty)*) => {
        $(impl Returned for $kind {
            fn number(self) -> i64 {
                self as i64
            }
        })*
    };
}

returned!(i32 u32 i64 usize);

impl Returned for () {
    fn number(self) -> i64 {
        0
    }
}

/// Runs a call. A timeout that was set for it is over with it. A handler may jump out of
/// it where it sleeps.
fn call<R: Returned>(act: impl FnOnce() -> Result<R, Errno>) -> Result<i64, Errno> {
    guarded(Err(EAGAIN), || {
        let done = let_handlers_jump(act);
        thread::set_timeout(None);
        done.map(R::number)
    })
}

/// How C is told what a call failed with: −1, and `errno`.
fn with_errno(done: Result<i64, Errno>) -> i64 {
    done.unwrap_or_else(|error| {
        set_errno(error);
        -1
    })
}

/// Sets what this thread's last call failed with.
fn set_errno(Errno(error): Errno) {
    // SAFETY: it says where this thread's own number lies.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: that lives as long as the thread.
    unsafe { *place = error };
}

/// Functions of C that return −1 and set `errno`, each with its twin that returns the
/// error itself, below zero.
macro_rules! calls {
    ($($name:ident $twin:ident ($($arg:ident: $kind:ty),* $(,)?) -> $out:ty = $act:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($($arg: $kind),*) -> $out {
                super::with_errno(super::call(|| $act)) as $out
            }

            #[unsafe(no_mangle)]
            extern "C" fn $twin($($arg: $kind),*) -> $out {
                super::call(|| $act).unwrap_or_else(|error| i64::from(-error.0)) as $out
            }
        )*
    };
}

use calls;

/// Writes bytes where the caller wants them, if it does.
fn put(to: *mut u8, bytes: &[u8]) -> Result<(), Errno> {
    if to.is_null() || memory::write(to as u64, bytes) { Ok(()) } else { Err(crate::codes::EFAULT) }
}
