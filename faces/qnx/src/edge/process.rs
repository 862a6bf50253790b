//! The process itself: its threads, its signals, and what a fork does.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Once;

use crate::codes::{EINVAL, Errno};

/// Whether this thread runs `main`.
pub(crate) fn is_main_thread() -> bool {
    kernel_thread() == std::process::id() as i32
}

/// The kernel's number for this thread.
pub(crate) fn kernel_thread() -> i32 {
    // SAFETY: it reads a number of the kernel's.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    thread as i32
}

/// Sleeps until a descriptor can be read from.
pub(crate) fn wait_readable(what: &impl AsFd) {
    let fd = what.as_fd().as_raw_fd();
    let mut asked = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the kernel reads and writes the one value of our own, and the descriptor is
    // open for as long as it is borrowed.
    let _ = unsafe { libc::poll(&raw mut asked, 1, -1) };
}

/// Has a forked child begin with nothing.
pub(crate) fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler is a function of ours that only counts and forgets.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

unsafe extern "C" fn in_child() {
    crate::forked();
}

/// Sends this process a signal, with a value where there is one.
pub(crate) fn signal(number: i32, value: Option<u64>) -> Result<(), Errno> {
    let own = std::process::id() as i32;
    let sent = match value {
        // SAFETY: it sends a number to ourselves.
        None => unsafe { libc::kill(own, number) },
        Some(value) => {
            let value = libc::sigval { sival_ptr: value as *mut c_void };
            // SAFETY: it sends two numbers to ourselves.
            unsafe { libc::sigqueue(own, number, value) }
        }
    };
    if sent == 0 { Ok(()) } else { Err(EINVAL) }
}

// ---- threads ---------------------------------------------------------------------------

type Start = extern "C" fn(*mut c_void) -> *mut c_void;

unsafe extern "C" {
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const c_void,
        start: Start,
        argument: *mut c_void,
    ) -> i32;
}

/// Makes a thread, also for who does not want to know which.
#[unsafe(no_mangle)]
extern "C" fn pillarbox_qnx_pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> i32 {
    let mut unnamed: libc::pthread_t = 0;
    let thread = if thread.is_null() { &raw mut unnamed } else { thread };
    // SAFETY: C5. It is what the caller asks for, and where the number goes is the
    // caller's or our own.
    unsafe { pthread_create(thread, attributes, start, argument) }
}

/// Sleeps so many thousandths of a second. Returns what was left when a signal came.
#[unsafe(no_mangle)]
extern "C" fn delay(milliseconds: u32) -> u32 {
    let mut left = libc::timespec {
        tv_sec: i64::from(milliseconds / 1000),
        tv_nsec: i64::from(milliseconds % 1000) * 1_000_000,
    };
    let asked = &raw const left;
    // SAFETY: the kernel reads one value of our own and writes the same.
    let slept = unsafe { libc::nanosleep(asked, &raw mut left) };
    if slept == 0 { 0 } else { (left.tv_sec * 1000 + left.tv_nsec / 1_000_000) as u32 }
}
