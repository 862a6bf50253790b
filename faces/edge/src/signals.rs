//! Threads that no signal of the program's is for.

use std::mem::MaybeUninit;

/// Starts what `start` starts with every signal blocked there: signals are for the threads of
/// the program.
///
/// ```
/// let thread = edge::without_signals(|| std::thread::spawn(|| 7));
/// assert_eq!(thread.join().unwrap(), 7);
/// ```
pub fn without_signals<R>(start: impl FnOnce() -> R) -> R {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: it fills in our own value.
    let _ = unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: both are values of our own, as long as the call.
    let _ = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    let started = start();
    // SAFETY: it is what the call above has filled in, or no signal at all.
    let _ =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    started
}
