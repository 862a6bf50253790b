//! Who is on the other side, by the kernel's word.
//!
//! A pid is used again; the inode of a pidfd is not. So a process is named by
//! that inode where pidfds have one of their own (pidfs, Linux 6.9), and else by
//! a mix of pid and start time.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid};

use crate::refuse::{self, Call};

/// `f_type` of pidfs, where every process's pidfd has an inode of its own.
const PIDFS_MAGIC: u64 = 0x5049_4446;

/// Who sent a packet.
pub struct Credentials {
    /// The sender's pid, in our pid namespace; zero where it has none there.
    pub pid: i32,
    /// The sender's user.
    pub uid: u32,
    /// The sender's group.
    pub gid: u32,
    /// What names the process: the same for all packets of one process, and
    /// never another's. Zero where the kernel did not say.
    pub process: u64,
    /// The process itself: readable when it has ended. Survives a reuse of the
    /// pid.
    pub pidfd: Option<OwnedFd>,
}

impl Credentials {
    /// Completes what came with a packet. On a kernel that sends no pidfds one
    /// is opened by the pid; of a sender that has died since there is none.
    pub(crate) fn new(
        pid: i32,
        uid: u32,
        gid: u32,
        pidfd: Option<OwnedFd>,
        kernel_sends_pidfds: bool,
    ) -> Credentials {
        let pidfd = match pidfd {
            None if !kernel_sends_pidfds => open_process(pid),
            came => came,
        };
        let process = pidfd.as_ref().map_or(0, |pidfd| process_of(pidfd.as_fd(), pid));
        Credentials { pid, uid, gid, process, pidfd }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("pid", &self.pid)
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .field("process", &format_args!("{:x}", self.process))
            .finish_non_exhaustive()
    }
}

/// This process as a receiver of ours would see it: pid, uid, gid.
pub fn own_credentials() -> (i32, u32, u32) {
    let pid = getpid().as_raw_nonzero().get();
    (pid, rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// What names this process, as [`own_process`] does, or why it cannot be said
/// now: for want of a descriptor or of memory the answer would be another than
/// our peers get.
///
/// # Errors
/// What the system says.
pub fn sure_process() -> io::Result<u64> {
    let pid = getpid();
    match pidfd_open(pid) {
        Ok(pidfd) => Ok(process_of(pidfd.as_fd(), pid.as_raw_nonzero().get())),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(errno.into()),
        Err(_) => Ok(pid_and_start(pid.as_raw_nonzero().get())),
    }
}

/// A child of ours that was not waited for yet: what is readable when it has ended,
/// and what names it.
///
/// # Errors
/// What the system says.
pub(crate) fn child(pid: u32) -> io::Result<(OwnedFd, u64)> {
    let raw = i32::try_from(pid).map_err(|_| Errno::SRCH)?;
    let pidfd = pidfd_open(Pid::from_raw(raw).ok_or(Errno::SRCH)?)?;
    let process = process_of(pidfd.as_fd(), raw);
    Ok((pidfd, process))
}

/// What names this process, by the rule of [`Credentials::process`]. Zero only
/// where neither pidfds nor `/proc` are to be had.
pub fn own_process() -> u64 {
    let pid = getpid();
    match pidfd_open(pid) {
        Ok(pidfd) => process_of(pidfd.as_fd(), pid.as_raw_nonzero().get()),
        Err(_) => pid_and_start(pid.as_raw_nonzero().get()),
    }
}

fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    refuse::at(Call::PidfdOpen)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty())
}

fn process_of(pidfd: BorrowedFd<'_>, pid: i32) -> u64 {
    let own_inodes = rustix::fs::fstatfs(pidfd).is_ok_and(|fs| fs.f_type as u64 == PIDFS_MAGIC);
    match rustix::fs::fstat(pidfd) {
        Ok(stat) if own_inodes => stat.st_ino,
        _ => pid_and_start(pid),
    }
}

/// The pid below a start time in clock ticks, marked so that no inode equals it.
fn pid_and_start(pid: i32) -> u64 {
    const MARK: u64 = 1 << 63;
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return 0;
    };
    start_time(&stat).map_or(0, |ticks| MARK | ticks << 22 | u64::from(pid.unsigned_abs()))
}

/// The 22nd field of `/proc/<pid>/stat`. The second is the program's name in
/// brackets, in which anything may stand, brackets and blanks too.
fn start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Whether `path` goes through what is under `/proc` of a process that has ended. That is
/// root's until it is reaped, so anybody else hears that it may not look.
pub(crate) fn leads_through_the_dead(path: &Path) -> bool {
    let Some(process) = path.strip_prefix("/proc").ok().and_then(|rest| rest.iter().next()) else {
        return false;
    };
    // Who has ended has no memory, a little before it is a zombie.
    match std::fs::read_to_string(Path::new("/proc").join(process).join("statm")) {
        Ok(pages) => pages.starts_with("0 "),
        Err(error) => {
            let gone = Errno::SRCH.raw_os_error();
            error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(gone)
        }
    }
}

/// Opens the process that `pid` names now.
fn open_process(pid: i32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(pid)?;
    pidfd_open(pid).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let stat = |name: &str| {
            format!("12 ({name}) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20\n")
        };
        for name in ["cat", "a b", "x) S 1 (y", ")", ""] {
            assert_eq!(start_time(&stat(name)), Some(77), "{name}");
        }
        assert_eq!(start_time(""), None);
        assert_eq!(start_time("12 (cat) S 1"), None);
    }

    #[test]
    fn a_process_has_one_name_whichever_way_it_is_asked() {
        let pid = getpid().as_raw_nonzero().get();
        assert_ne!(own_process(), 0);
        assert_eq!(own_process(), own_process());
        assert_eq!(pid_and_start(pid), pid_and_start(pid));
        assert_ne!(pid_and_start(pid), own_process() & !(1 << 63));
        assert_eq!(pid_and_start(i32::MAX), 0);
    }

    #[test]
    fn without_pidfds_in_packets_one_is_opened_by_the_pid() {
        let pid = getpid().as_raw_nonzero().get();
        let who = Credentials::new(pid, 0, 0, None, false);
        assert_eq!(who.process, own_process());
        assert!(who.pidfd.is_some());
        let nobody = Credentials::new(0, 0, 0, None, false);
        assert_eq!(nobody.process, 0);
    }

    #[test]
    fn we_look_to_others_as_we_say() {
        let (pid, uid, gid) = own_credentials();
        assert_eq!(pid.unsigned_abs(), std::process::id());
        assert_eq!(uid, rustix::process::geteuid().as_raw());
        assert_eq!(gid, rustix::process::getegid().as_raw());
    }
}
