//! How a process has ended that is no child of ours.
//!
//! Only a parent waits for a process. Since Linux 6.15 the kernel keeps with a pidfd how
//! its process has ended, for whoever has it, once the parent has reaped it.
#![allow(unsafe_code, reason = "an ioctl with a struct that the kernel fills (M10)")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// `struct pidfd_info` as of its first version, which every later kernel takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    /// Numbers and users, which are not asked for.
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`: how it has ended, once it is reaped.
const EXIT: u64 = 1 << 3;

/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const GET_INFO: u32 = 3 << 30 | (mem::size_of::<Info>() as u32) << 16 | 0xFF << 8 | 11;

/// How the process of this pidfd has ended. None while it runs or is not reaped yet, and
/// where it was reaped before anybody had a pidfd of it.
///
/// # Errors
/// What the system says: `NOTTY` before Linux 6.13, `INVAL` or none before 6.15.
pub fn exit_of(pidfd: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    let mut info = Info { mask: EXIT, ..Info::default() };
    // SAFETY: M10: the struct lives through the call and is as long as the number says.
    let done = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO as _, &raw mut info) };
    match done {
        0 if info.mask & EXIT != 0 => Ok(Some(ExitStatus::from_raw(info.exit_code))),
        0 => Ok(None),
        _ => match io::Error::last_os_error() {
            // It is reaped, and nothing was kept.
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn how_a_process_has_ended_is_known_to_who_has_its_pidfd() {
        assert_eq!((mem::size_of::<Info>(), GET_INFO), (64, 0xC040_FF0B));
        for script in ["exit 7", "exit 0", "kill -9 $$"] {
            let mut child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let (pidfd, _) = crate::who::child(child.id()).unwrap();
            let status = child.wait().unwrap();
            match exit_of(pidfd.as_fd()) {
                Ok(Some(told)) => assert_eq!(told, status, "{script}"),
                // An older kernel keeps nothing: that is what it must say.
                Ok(None) | Err(_) => assert!(!keeps(), "{script}"),
            }
        }
        let (own, _) = crate::who::child(std::process::id()).unwrap();
        assert!(!matches!(exit_of(own.as_fd()), Ok(Some(_))), "it has not ended");
    }

    /// Whether this kernel is 6.15 or newer.
    fn keeps() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 15)
    }
}
