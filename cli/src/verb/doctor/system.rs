//! The kernel and limits.

use std::fs;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};
use rustix::thread::{ClockId, futex};

use super::Look;

/// The oldest kernel that is good enough, and the one from which a task knows its peers by
/// what the kernel says of them at once.
const OLDEST: (u32, u32) = (5, 16);
const BETTER: (u32, u32) = (6, 5);

/// Links that a server should have room for: each takes four descriptors or so.
const DESCRIPTORS: u64 = 4096;

pub(super) fn looks() -> Vec<Look> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim().to_owned();
    vec![
        kernel(&release),
        waitv(),
        pidfd(),
        scm_pidfd(&release),
        memfd(),
        landlock(fs::read_to_string("/sys/kernel/security/lsm").ok().as_deref()),
        descriptors(),
        memlock(),
        processors(),
        tracing(fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().as_deref()),
    ]
}

/// The first two numbers of a release: `6.8.0-45-generic` is 6.8.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|one: char| !one.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(release: &str) -> Look {
    match version(release) {
        Some(found) if found >= OLDEST => Look::ok("kernel", format!("Linux {release}")),
        Some(_) => Look::bad(
            "kernel",
            format!("Linux {release}"),
            format!("use Linux {}.{} or newer", OLDEST.0, OLDEST.1),
        ),
        None => Look::unknown("kernel", format!("Linux {release}")),
    }
}

/// Asked about nothing, a kernel that has it says that this is no question.
fn waitv() -> Look {
    match futex::waitv(&[], futex::WaitvFlags::empty(), None, ClockId::Monotonic) {
        Err(Errno::NOSYS | Errno::PERM) => Look::bad(
            "futex_waitv",
            "the kernel, or a filter of system calls, does not permit it",
            "use Linux 5.16 or newer; in a container, permit system call 449",
        ),
        _ => Look::ok("futex_waitv", "permitted"),
    }
}

fn pidfd() -> Look {
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => Look::ok("pidfd", "permitted"),
        Err(error) => Look::bad(
            "pidfd",
            format!("a process cannot be watched: {error}"),
            "in a container, permit system call 434",
        ),
    }
}

fn scm_pidfd(release: &str) -> Look {
    match version(release) {
        Some(found) if found >= BETTER => Look::ok("SCM_PIDFD", "by the version of the kernel"),
        Some(_) => Look::note(
            "SCM_PIDFD",
            "not before Linux 6.5: a peer is known by its number and when it began",
            "nothing; with a newer kernel a number that is used again deceives nobody at all",
        ),
        None => Look::unknown("SCM_PIDFD", "the version of the kernel is not known"),
    }
}

fn memfd() -> Look {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create("pillarbox-doctor", flags) {
        Ok(_) => Look::ok("memfd", "memory can be made and sealed"),
        Err(error) => Look::bad(
            "memfd",
            format!("no memory can be made: {error}"),
            "raise the limit of descriptors or memory; in a container, permit system call 319",
        ),
    }
}

fn landlock(modules: Option<&str>) -> Look {
    match modules {
        Some(modules) if modules.trim().split(',').any(|module| module == "landlock") => {
            Look::ok("landlock", "on")
        }
        Some(_) => Look::note(
            "landlock",
            "off: a service cannot be kept to paths",
            "add landlock to the kernel's list of lsm=",
        ),
        None => Look::unknown("landlock", "/sys/kernel/security/lsm cannot be read"),
    }
}

fn descriptors() -> Look {
    let limit = getrlimit(Resource::Nofile);
    let said = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |most| most.to_string());
    let found = format!("{} now, {} at most", said(limit.current), said(limit.maximum));
    if limit.current.is_none_or(|now| now >= DESCRIPTORS) {
        return Look::ok("descriptors", found);
    }
    let cure = if limit.maximum.is_none_or(|most| most >= DESCRIPTORS) {
        format!("ulimit -n {}", limit.maximum.map_or(DESCRIPTORS, |most| most.min(1 << 20)))
    } else {
        "have the administrator raise nofile in limits.conf, or LimitNOFILE= in the unit".to_owned()
    };
    Look::note("descriptors", found, cure)
}

fn memlock() -> Look {
    let limit = getrlimit(Resource::Memlock).current;
    let found = limit.map_or("no limit".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    Look::ok("memlock", format!("{found}; nothing is locked here"))
}

fn processors() -> Look {
    match std::thread::available_parallelism() {
        Ok(count) if count.get() > 1 => Look::ok("processors", count.to_string()),
        Ok(_) => Look::note(
            "processors",
            "1: who waits sleeps at once, and each message costs a change of threads",
            "give a service and its callers a processor each where they are to be quick",
        ),
        Err(error) => Look::unknown("processors", error.to_string()),
    }
}

fn tracing(scope: Option<&str>) -> Look {
    match scope.map(str::trim) {
        Some("0") | None => Look::note(
            "ptrace_scope",
            "a process of the same user may trace another, and owns its memory then",
            "sysctl kernel.yama.ptrace_scope=1, or run what is not trusted as another user",
        ),
        Some(scope) => Look::ok("ptrace_scope", scope),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_release_has_two_numbers() {
        for (release, found) in [
            ("6.8.0-45-generic", Some((6, 8))),
            ("5.15.0", Some((5, 15))),
            ("6.18.44-fc-v657", Some((6, 18))),
            ("6.8", Some((6, 8))),
            ("new", None),
            ("", None),
        ] {
            assert_eq!(version(release), found, "{release}");
        }
        assert_eq!(kernel("5.15.0").state, State::Bad);
        assert_eq!(kernel("5.16.0").state, State::Ok);
        assert_eq!(kernel("?").state, State::Unknown);
        assert_eq!(scm_pidfd("6.4.9").state, State::Note);
    }

    #[test]
    fn what_the_kernel_says_is_read_as_it_says_it() {
        assert_eq!(landlock(Some("capability,landlock,yama\n")).state, State::Ok);
        assert_eq!(landlock(Some("capability,landlocked\n")).state, State::Note);
        assert_eq!(landlock(None).state, State::Unknown);
        assert_eq!(tracing(Some("1\n")).state, State::Ok);
        assert_eq!(tracing(Some("0\n")).state, State::Note);
    }
}
