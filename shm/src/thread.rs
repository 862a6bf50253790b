//! Threads of our own, which no signal of the host's reaches.
#![allow(unsafe_code, reason = "sets the signal mask (M8)")]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread::JoinHandle;

use crate::refuse::{self, Call};

/// Starts a thread with every signal blocked from birth, so that the host's
/// handlers run on the host's threads.
///
/// # Errors
/// What the system says when it has no thread to give.
pub fn spawn_quiet(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    refuse::at(Call::Thread)?;
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // A thread is born with the mask of the one that makes it, so it is ours
    // that changes, and changes back.
    // SAFETY: M8: reads one valid set and fills the other.
    let refused =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    if refused != 0 {
        return Err(io::Error::from_raw_os_error(refused));
    }
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    // SAFETY: M8: `before` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    thread
}

/// How many processors this thread may run on, at least one.
pub fn cores() -> usize {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (set.count() as usize).max(1),
        // More processors than the set holds.
        Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// The mask of the calling thread, as the kernel tells it.
    fn blocked() -> String {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("SigBlk:"));
        line.unwrap().to_owned()
    }

    #[test]
    fn a_quiet_thread_blocks_signals_and_its_maker_does_not() {
        let before = blocked();
        let (tell, told) = channel();
        let thread = spawn_quiet("quiet", move || {
            let name = std::thread::current().name().map(str::to_owned);
            tell.send((blocked(), name)).unwrap();
        });
        thread.unwrap().join().unwrap();
        let (mask, name) = told.recv().unwrap();
        assert_eq!(blocked(), before);
        assert_eq!(name.as_deref(), Some("quiet"));
        // All but KILL, STOP, and the two that the C library keeps.
        let mask = u64::from_str_radix(mask.trim_start_matches("SigBlk:").trim(), 16).unwrap();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGUSR1] {
            assert_ne!(mask & 1 << (signal - 1), 0, "{signal}");
        }
    }

    #[test]
    fn there_is_a_processor_to_run_on() {
        assert!(cores() >= 1);
    }
}
