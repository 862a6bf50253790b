//! Where the threads of a process are: for one that does not move.

use std::fmt::Write;
use std::fs;

/// What the kernel says about each thread of `pid`: its name, its state, the
/// system call it is in, and where in the kernel it waits.
pub(crate) fn threads_of(pid: u32) -> String {
    let mut text = String::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return format!("process {pid} is gone");
    };
    for thread in threads.flatten() {
        let read = |name: &str| {
            fs::read_to_string(thread.path().join(name)).unwrap_or_default().trim().to_owned()
        };
        let status = read("status");
        let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  thread {} {}: {state}, in {}, call {}",
            thread.file_name().to_string_lossy(),
            read("comm"),
            read("wchan"),
            read("syscall"),
        );
        for line in read("stack").lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
