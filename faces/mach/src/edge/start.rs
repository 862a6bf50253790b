//! What is there before the first call: the data that programs read, and what a fork
//! does to it.
#![allow(non_upper_case_globals, reason = "C programs read them by these names")]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::memory;
use crate::names::{NULL, Name, Names};

/// The name of the task itself.
#[unsafe(no_mangle)]
static mach_task_self_: AtomicU32 = AtomicU32::new(NULL);

/// The name of the bootstrap port.
#[unsafe(no_mangle)]
static bootstrap_port: AtomicU32 = AtomicU32::new(NULL);

/// The same, as older systems name it.
#[unsafe(no_mangle)]
static name_server_port: AtomicU32 = AtomicU32::new(NULL);

#[unsafe(no_mangle)]
static vm_page_size: AtomicUsize = AtomicUsize::new(4096);
#[unsafe(no_mangle)]
static vm_page_mask: AtomicUsize = AtomicUsize::new(4095);
#[unsafe(no_mangle)]
static vm_page_shift: AtomicU32 = AtomicU32::new(12);

/// How numbers lie in messages of interfaces.
#[unsafe(no_mangle)]
static NDR_record: [u8; 8] = [0, 0, 0, 0, cfg!(target_endian = "little") as u8, 0, 0, 0];

/// The bootstrap port that was drawn: programs may write to theirs.
static BOOTSTRAP: AtomicU32 = AtomicU32::new(NULL);

/// Runs before `main`, so that programs may read the data above at once. No task is
/// made yet: it is at the first call.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    super::guarded((), draw);
}

/// A number nobody can guess.
pub(crate) fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the kernel writes at most these eight bytes of our own.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), 8, 0) };
    if got == 8 {
        return u64::from_ne_bytes(bytes);
    }
    // Where a filter forbids it: where we lie was drawn at random, too.
    let place = &raw const bytes as u64;
    place.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ std::process::id() as u64
}

fn draw() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut names = Names::drawn(random());
        let task = names.draw().unwrap_or(0x103);
        names.put(task, ());
        let boot = names.draw().unwrap_or(0x203);
        mach_task_self_.store(task, Ordering::Relaxed);
        bootstrap_port.store(boot, Ordering::Relaxed);
        name_server_port.store(boot, Ordering::Relaxed);
        BOOTSTRAP.store(boot, Ordering::Relaxed);
        let page = memory::page();
        vm_page_size.store(page, Ordering::Relaxed);
        vm_page_mask.store(page - 1, Ordering::Relaxed);
        vm_page_shift.store(page.trailing_zeros(), Ordering::Relaxed);
        // SAFETY: the handler is a function of ours that only counts.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// In a forked child the space is empty, but for the task itself and its bootstrap
/// port, which have the names they had.
unsafe extern "C" fn in_child() {
    crate::forked();
    super::messages::forget_reply_port();
}

/// The names of this task and of its bootstrap port.
pub(crate) fn own_names() -> (Name, Name) {
    // Where this is a static library, what names START keeps it.
    let _ = std::hint::black_box(&START);
    draw();
    (mach_task_self_.load(Ordering::Relaxed), BOOTSTRAP.load(Ordering::Relaxed))
}

/// What `mach_task_self()` is.
#[unsafe(no_mangle)]
extern "C" fn pillarbox_mach_task_self() -> Name {
    super::guarded(NULL, || own_names().0)
}
