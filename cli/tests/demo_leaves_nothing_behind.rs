//! Whatever ends the demo, nothing of it is left: no process, no file, nothing
//! in /dev/shm.

mod demo;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use demo::{Place, demo, text};

/// Generous: a test that needs it fails anyway.
const LONG: Duration = Duration::from_secs(20);

fn entries(directory: &Path) -> BTreeSet<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeSet::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Every process of the group `group`: its pid, its parent and its command line.
/// The dead count only until their parent, or init, has waited for them; we do
/// not count them.
fn group(group: u32) -> Vec<(u32, u32, String)> {
    let processes = entries(Path::new("/proc"));
    let pids = processes.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let (state, parent, of) = (*fields.first()?, fields.get(1)?, fields.get(2)?);
        let is_member = of.parse() == Ok(group) && state != "Z" && state != "X";
        is_member.then(|| (pid, parent.parse().unwrap_or(0), command.replace('\0', " ")))
    })
    .collect()
}

/// Waits until `what` is so.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        // sleep: between two looks at what other processes have done.
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn all_gone(group_of: u32) {
    let mut left = Vec::new();
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        left = group(group_of);
        if left.is_empty() {
            return;
        }
        // sleep: between two looks at what other processes have done.
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{left:?}");
}

/// A demo in a process group of its own, over a pipe that never ends, as far as
/// its counters.
fn endless(place: &Place) -> (Child, u32) {
    let mut child = demo()
        .arg("/dev/stdin")
        .current_dir(place.path())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    std::thread::spawn(move || {
        use std::io::Write;
        let text = text(1 << 16);
        // Until nobody reads any more.
        while pipe.write_all(&text).is_ok() {}
    });
    let pid = child.id();
    until("counters are started", || {
        let counters = group(pid).iter().filter(|process| process.2.contains("counter")).count();
        (counters >= 2).then_some(())
    });
    (child, pid)
}

fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[test]
fn after_it_has_ended_by_itself() {
    let place = Place::new();
    let file = place.file("file", &text(3 << 20));
    let runtime = place.path().join("runtime");
    fs::create_dir(&runtime).expect("a directory");
    let before = (entries(place.path()), entries(Path::new("/dev/shm")));
    let mut child = demo()
        .arg(&file)
        .current_dir(place.path())
        .env("TMPDIR", place.path())
        .env("HOME", place.path())
        .env("XDG_RUNTIME_DIR", &runtime)
        .process_group(0)
        .stdout(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let pid = child.id();
    assert!(child.wait().expect("it ends").success());
    // At once, not soon.
    assert_eq!(group(pid), []);
    assert_eq!((entries(place.path()), entries(Path::new("/dev/shm"))), before);
    assert_eq!(entries(&runtime), BTreeSet::new());
}

#[test]
fn after_the_parent_was_killed() {
    for signal in ["KILL", "TERM"] {
        let place = Place::new();
        let (mut child, pid) = endless(&place);
        kill(signal, pid);
        assert!(!child.wait().expect("it ends").success());
        all_gone(pid);
        assert_eq!(entries(place.path()), BTreeSet::new());
    }
}

#[test]
fn after_the_client_was_killed() {
    let place = Place::new();
    let (mut child, pid) = endless(&place);
    let client = until("there is a client", || {
        let of_role = |process: &(u32, u32, String)| process.2.contains("--role client");
        group(pid).into_iter().find(of_role).map(|process| process.0)
    });
    kill("KILL", client);
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(1));
    assert_eq!(group(pid), []);
}

#[test]
fn after_a_counter_was_killed_from_outside_the_counts_go_on() {
    let place = Place::new();
    let file = place.file("file", &text(48 << 20));
    let mut child = demo()
        .arg("--json")
        .arg(&file)
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    let pid = child.id();
    let counter = until("there is a counter", || {
        if !matches!(child.try_wait(), Ok(None)) {
            return Some(None);
        }
        let of_role = |process: &(u32, u32, String)| process.2.contains("--role counter");
        group(pid).into_iter().find(of_role).map(|process| Some(process.0))
    });
    if let Some(counter) = counter {
        // It may have ended since.
        let _ = Command::new("kill").args(["-s", "KILL", &counter.to_string()]).status();
    }
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(group(pid), []);
    assert!(output.status.success());
    let figures = demo::parsed(&output.stdout);
    assert_eq!(demo::number(&figures, "bytes"), fs::metadata(&file).expect("a file").len());
}
