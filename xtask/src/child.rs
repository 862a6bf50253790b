//! Running a command: its log, its bound, its tail.
//!
//! What a command prints goes to a file, so that nothing is lost and nobody
//! has to read it while all is well. A command that is still running at its
//! bound is killed with everything it started, and the processes that were
//! there are named: one of them is the test that hangs.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How long a command may take where nothing else is said.
pub(crate) const BOUND: Duration = Duration::from_secs(30 * 60);

/// What cargo and tests say while all is well.
const WELL: [&str; 10] = [
    "Checking ",
    "Compiling ",
    "Doc-tests ",
    "Documenting ",
    "Downloaded ",
    "Downloading ",
    "Running ",
    "all doctests ran in ",
    "running ",
    "test result: ok",
];

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` where all went well.
    pub(crate) trouble: Option<String>,
    /// What it printed, both streams.
    pub(crate) output: String,
}

/// Runs `command` to its end or to `bound`, and appends to `log`.
pub(crate) fn finish(command: &mut Command, bound: Duration, log: &Path) -> Result<Ended> {
    if let Some(dir) = log.parent() {
        fs::create_dir_all(dir)?;
    }
    let before = fs::metadata(log).map_or(0, |meta| meta.len());
    let file = OpenOptions::new().create(true).append(true).open(log)?;
    let line = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot run {line}"))?;
    let id = child.id();
    let (ended, end) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let status = child.wait();
        let _ = ended.send(());
        status
    });
    let mut hanging = Vec::new();
    if end.recv_timeout(bound).is_err() {
        hanging = family(id);
        for member in &hanging {
            kill(member.0);
        }
    }
    let status = waiter.join().map_err(|_| anyhow::anyhow!("the waiting thread died"))??;
    let trouble = if !hanging.is_empty() {
        let names: Vec<_> = hanging.iter().map(|member| member.1.as_str()).collect();
        let bound = seconds(bound);
        Some(format!("still running after {bound}: {}", names.join(", ")))
    } else if status.success() {
        None
    } else {
        Some(format!("{line} ended with {status}"))
    };
    Ok(Ended { trouble, output: read_from(log, before)? })
}

fn read_from(log: &Path, start: u64) -> Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A process and all it started that still hang together, with their names.
fn family(id: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut next = vec![id];
    while let Some(id) = next.pop() {
        let Ok(name) = fs::read_to_string(format!("/proc/{id}/comm")) else {
            continue;
        };
        found.push((id, format!("{} ({id})", name.trim())));
        let tasks = fs::read_dir(format!("/proc/{id}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children"));
            next.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
    }
    found
}

fn kill(id: u32) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", key.to_string_lossy(), quoted(value)));
        }
    }
    let program = Path::new(command.get_program());
    words.push(quoted(match program.file_name() {
        Some(name) if name == "cargo" => name,
        _ => program.as_os_str(),
    }));
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains([' ', '"', '$', '*', '\\', ';', '&', '|', '(', '<']) {
        format!("'{word}'")
    } else {
        word.into_owned()
    }
}

/// The last `lines` lines of what is of interest, and a word about what was left
/// out.
pub(crate) fn tail(output: &str, lines: usize) -> String {
    let mut all: Vec<&str> = output.lines().filter(|line| !is_well(line)).collect();
    all.dedup_by(|next, last| next.trim().is_empty() && last.trim().is_empty());
    while all.last().is_some_and(|line| line.trim().is_empty()) {
        all.pop();
    }
    let left_out = all.len().saturating_sub(lines);
    let shown = all[left_out..].join("\n");
    if left_out == 0 { shown } else { format!("({left_out} lines left out)\n{shown}") }
}

fn is_well(line: &str) -> bool {
    let line = line.trim_start();
    WELL.iter().any(|word| line.starts_with(word))
        || line.starts_with("test ") && line.ends_with(" ... ok")
}

/// A duration as people say it.
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole >= 60 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A number of things.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, bound: Duration, name: &str) -> Result<Ended> {
        let log = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        let ended = finish(Command::new("sh").args(["-c", script]), bound, &log);
        let _ = fs::remove_file(log);
        ended
    }

    #[test]
    fn both_streams_and_the_exit_code_are_kept() -> Result<()> {
        let ended = shell("echo out; echo err >&2; exit 3", BOUND, "exit")?;
        assert_eq!(ended.output, "out\nerr\n");
        let trouble = ended.trouble.unwrap_or_default();
        assert!(trouble.ends_with("exit status: 3"), "{trouble}");
        Ok(())
    }

    #[test]
    fn what_hangs_is_killed_and_named() -> Result<()> {
        let ended = shell("sleep 1000 & wait", Duration::from_millis(300), "hang")?;
        let trouble = ended.trouble.unwrap_or_default();
        assert!(trouble.starts_with("still running after 0.3 s: sh ("), "{trouble}");
        Ok(())
    }

    #[test]
    fn a_long_output_is_cut_at_its_front() {
        assert_eq!(tail("a\nb\nc\n", 2), "(1 lines left out)\nb\nc");
        assert_eq!(tail("a\n", 2), "a");
        assert_eq!(tail("  Compiling x v1\na\n\n\ntest b ... ok\nc\n", 9), "a\n\nc");
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("/somewhere/cargo");
        command.env("RUSTFLAGS", "--cfg loom").arg("test");
        assert_eq!(shown(&command), "RUSTFLAGS='--cfg loom' cargo test");
    }
}
