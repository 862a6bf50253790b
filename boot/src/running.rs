//! The process that runs a program: a child of ours, or one that the server before us has
//! started and handed on.

use std::os::fd::OwnedFd;
use std::process::Child;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

/// How one has ended that an older kernel says nothing of.
const UNKNOWN: &str = "an unknown status: the server before this one had started it";

/// Such a process, which nobody but its parent has reaped.
#[derive(Debug)]
pub(crate) enum Running {
    /// Ours to reap.
    Child(Child),
    /// It is no child of ours: its descriptor tells when it has ended, and how where the
    /// kernel keeps that.
    HandedOn { pid: i32, process: OwnedFd },
}

impl Running {
    /// Its number.
    pub(crate) fn pid(&self) -> Option<i32> {
        match self {
            Running::Child(child) => i32::try_from(child.id()).ok(),
            Running::HandedOn { pid, .. } => Some(*pid),
        }
    }

    /// What is readable when it has ended.
    pub(crate) fn watched(&self) -> std::io::Result<OwnedFd> {
        match self {
            Running::Child(child) => Ok(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?),
            Running::HandedOn { process, .. } => process.try_clone(),
        }
    }

    /// Tells it to end.
    pub(crate) fn terminate(&self) {
        match self {
            // It is not reaped, so nobody else has its number.
            Running::Child(child) => {
                let _ = rustix::process::kill_process(Pid::from_child(child), Signal::TERM);
            }
            Running::HandedOn { process, .. } => {
                let _ = pidfd_send_signal(process, Signal::TERM);
            }
        }
    }

    /// Kills it, and all of the group it leads. It may have ended by itself.
    pub(crate) fn kill(&mut self, leads: bool) {
        match self {
            Running::Child(child) => {
                if leads {
                    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
                }
                let _ = child.kill();
            }
            Running::HandedOn { pid, process } => {
                // Its number is its own while it is there, and its group's while that has
                // a member. A process that has the number now is another.
                let is_there = pidfd_send_signal(&*process, Signal::KILL).is_ok();
                let is_free = || !std::path::Path::new(&format!("/proc/{pid}")).exists();
                if leads
                    && (is_there || is_free())
                    && let Some(group) = Pid::from_raw(*pid)
                {
                    let _ = kill_process_group(group, Signal::KILL);
                }
            }
        }
    }

    /// How it has ended, in words of the system, and whether well. Waits for a child.
    pub(crate) fn reap(&mut self) -> (String, bool) {
        match self {
            Running::Child(child) => match child.wait() {
                Ok(status) => (status.to_string(), status.success()),
                Err(error) => (format!("an unknown status: {error}"), false),
            },
            Running::HandedOn { process, .. } => match pillarbox::exit_of(&*process) {
                Ok(Some(status)) => (status.to_string(), status.success()),
                Ok(None) | Err(_) => (UNKNOWN.to_owned(), false),
            },
        }
    }
}
