//! The calls `semaphore_…`.

use std::time::Duration;

use pillarbox::Deadline;

use super::{code, guarded, messages, put};
use crate::codes::*;
use crate::names::Name;
use crate::semaphore;

/// A span of time, as C passes it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Span {
    seconds: u32,
    nanoseconds: i32,
}

impl Span {
    fn deadline(self) -> Result<Deadline, Code> {
        let nanoseconds = u32::try_from(self.nanoseconds).map_err(|_| KERN_INVALID_VALUE)?;
        if nanoseconds >= 1_000_000_000 {
            return Err(KERN_INVALID_VALUE);
        }
        let span = Duration::new(u64::from(self.seconds), nanoseconds);
        Ok(if span.is_zero() { Deadline::Now } else { Deadline::after(span) })
    }
}

#[unsafe(no_mangle)]
extern "C" fn semaphore_create(task: Name, made: *mut Name, policy: i32, value: i32) -> Code {
    guarded(KERN_FAILURE, || {
        if !messages::is_own(task) {
            return KERN_INVALID_ARGUMENT;
        }
        code(semaphore::create(policy, value).and_then(|name| {
            put(made, name).inspect_err(|_| {
                let _ = semaphore::destroy(name);
            })
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn semaphore_destroy(task: Name, semaphore: Name) -> Code {
    guarded(KERN_FAILURE, || {
        if !messages::is_own(task) {
            return KERN_INVALID_ARGUMENT;
        }
        code(semaphore::destroy(semaphore))
    })
}

#[unsafe(no_mangle)]
extern "C" fn semaphore_signal(semaphore: Name) -> Code {
    guarded(KERN_FAILURE, || code(semaphore::signal(semaphore)))
}

#[unsafe(no_mangle)]
extern "C" fn semaphore_signal_all(semaphore: Name) -> Code {
    guarded(KERN_FAILURE, || code(semaphore::signal_all(semaphore)))
}

#[unsafe(no_mangle)]
extern "C" fn semaphore_wait(semaphore: Name) -> Code {
    guarded(KERN_FAILURE, || code(semaphore::wait(semaphore, Deadline::Never)))
}

#[unsafe(no_mangle)]
extern "C" fn semaphore_timedwait(semaphore: Name, span: Span) -> Code {
    guarded(KERN_FAILURE, || {
        code(span.deadline().and_then(|deadline| semaphore::wait(semaphore, deadline)))
    })
}

/// Signals one, and waits at another.
#[unsafe(no_mangle)]
extern "C" fn semaphore_wait_signal(wait: Name, signal: Name) -> Code {
    guarded(KERN_FAILURE, || {
        code(semaphore::signal(signal).and_then(|()| semaphore::wait(wait, Deadline::Never)))
    })
}
