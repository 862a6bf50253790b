//! Processes whose names came from the server before us, as long as they may still be about
//! to link with us.
//!
//! Of a task that is linked the kernel tells the end by a hang-up. One that has not followed
//! yet has no link with us: its process is watched, which was not handed over, but is found
//! by its number. The number may be another's by now, so it counts only where the process
//! names itself as the first server had it from the kernel.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use pillarbox::Identity;

use crate::limits::HAND_OVER;

/// What has become of a process, as far as can be seen.
#[derive(Debug)]
pub(crate) enum Fate {
    /// Its end can be watched.
    Lives(OwnedFd),
    /// It has ended, and is reaped.
    Ended,
    /// It is of another namespace, or the kernel does not name its processes.
    Unknown,
}

/// Before Linux 6.9 processes are named by something else than their inode, with this in it.
const NO_INODE: u64 = 1 << 63;

/// Finds the process of a task, by what the kernel said of it.
pub(crate) fn find(who: Identity) -> Fate {
    if who.task.process & NO_INODE != 0 {
        return Fate::Unknown;
    }
    let Some(pid) = Pid::from_raw(who.pid) else { return Fate::Unknown };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => match rustix::fs::fstat(&process) {
            Ok(about) if about.st_ino == who.task.process => Fate::Lives(process),
            // Its number is another's, so it has gone.
            Ok(_) => Fate::Ended,
            Err(_) => Fate::Unknown,
        },
        Err(Errno::SRCH) => Fate::Ended,
        Err(_) => Fate::Unknown,
    }
}

/// Those that are watched, by what names them among tasks, with the numbers by which their
/// end is told.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    watched: HashMap<u64, u64>,
    until: Option<Instant>,
}

impl Expected {
    /// Until when they are.
    pub(crate) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether this one is watched.
    pub(crate) fn has(&self, process: u64) -> bool {
        self.watched.contains_key(&process)
    }

    /// Its end is told by this number.
    pub(crate) fn watch(&mut self, process: u64, number: u64, now: Instant) {
        self.watched.insert(process, number);
        self.until = Some(now + HAND_OVER);
    }

    /// The process of this number has ended.
    pub(crate) fn ended(&mut self, number: u64) -> Option<u64> {
        let (&process, _) = self.watched.iter().find(|(_, watched)| **watched == number)?;
        self.watched.remove(&process);
        Some(process)
    }

    /// Those that are expected no more: who is not linked by now has been given up.
    pub(crate) fn take_late(&mut self, now: Instant) -> Vec<u64> {
        if self.until.is_none_or(|until| now < until) {
            return Vec::new();
        }
        self.until = None;
        self.watched.drain().map(|(_, number)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use pillarbox::{Task, process_of};

    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_its_name_together() {
        let own = Task::new().identity();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let of = |process| {
            let mut who = Identity { pid, ..own };
            who.task.process = process;
            who
        };
        let named = process_of(&child).unwrap();
        if named & NO_INODE != 0 {
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(matches!(find(of(named)), Fate::Unknown));
            return;
        }
        assert!(matches!(find(of(named)), Fate::Lives(_)));
        assert!(matches!(find(of(named + 1)), Fate::Ended), "the number is another's");
        assert!(matches!(find(of(named | NO_INODE)), Fate::Unknown));
        assert!(matches!(find(Identity { pid: 0, ..of(named) }), Fate::Unknown));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(find(of(named)), Fate::Ended));
    }

    #[test]
    fn who_has_not_come_in_time_is_watched_no_more() {
        let (mut expected, now) = (Expected::default(), Instant::now());
        expected.watch(7, 1, now);
        expected.watch(8, 2, now);
        assert!(expected.has(7) && !expected.has(1));
        assert_eq!(expected.ended(1), Some(7));
        assert_eq!(expected.ended(1), None);
        assert!(expected.take_late(now).is_empty());
        assert_eq!(expected.take_late(now + HAND_OVER), [2]);
        assert_eq!((expected.until(), expected.has(8)), (None, false));
    }
}
