//! The children of this process, whoever of its threads started them.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

/// The pids of all children, those that have died and were not waited for
/// included.
pub(super) fn pids() -> Vec<u32> {
    listed().unwrap_or_else(searched)
}

/// As the kernel lists them, for each thread those it started. Not every kernel
/// is built to.
fn listed() -> Option<Vec<u32>> {
    let mut pids: Vec<u32> = Vec::new();
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let path = thread.ok()?.path().join("children");
        match fs::read_to_string(&path) {
            Ok(list) => {
                pids.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            // The thread has ended since; another has its children now.
            Err(_) if !path.parent().is_some_and(|thread| thread.exists()) => {}
            Err(_) => return None,
        }
    }
    Some(pids)
}

/// Among all processes, those that say we are their parent.
fn searched() -> Vec<u32> {
    let own = std::process::id();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| parent_of(pid) == Some(own))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // In the name, which is in brackets, anything may stand.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Kills and reaps every child that is left.
pub(super) fn end_all() {
    for pid in pids() {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        // A child that we have not waited for keeps its pid. Where another
        // thread of ours waits for it, both calls may find it gone.
        if let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
        }
        let _ =
            rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(pid), WaitOptions::empty()));
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_child_is_found_both_ways() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(searched().contains(&child.id()));
        assert!(listed().is_none_or(|pids| pids.contains(&child.id())));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!pids().contains(&child.id()));
    }
}
