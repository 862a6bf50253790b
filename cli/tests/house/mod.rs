//! A place for one test: a private directory with a socket in it, the real
//! binary, and at the end the proof that nothing is left.
//!
//! Every process that is started here has the socket's path in its environment,
//! so what is left behind can be found, whoever its parent is.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How long anything may take before the test fails. Nothing here should come
/// near it.
pub(crate) const LONG: Duration = Duration::from_secs(40);

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct House {
    directory: PathBuf,
    closed: bool,
}

impl House {
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("pillarbox-cli-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
        House { directory, closed: false }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("boot.sock")
    }

    /// A file with these bytes.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The binary, with this house's server. Who runs the tests in the background of a
    /// script has them ignore Ctrl-C; `env` gives it back its meaning.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_pillarbox")]);
        command.args(words).env("PILLARBOX_SOCKET", self.socket()).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Told {
        Told::of(self.command(words).output().unwrap())
    }

    /// Runs it to its end with this standard input.
    pub(crate) fn run_with<S: AsRef<OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Told {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // It may not want all of it.
            scope.spawn(move || drop(pipe.write_all(input)));
            Told::of(child.wait_with_output().unwrap())
        })
    }

    /// Calls a service; no call takes for ever.
    pub(crate) fn call(&self, name: &str, body: &[u8]) -> Told {
        self.run_with(["call", name, "-", "--deadline", "40s"], body)
    }

    /// Starts it and goes on.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Running {
        let mut command = self.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: Some(command.spawn().unwrap()) }
    }

    /// Starts `serve` and waits until it is ready.
    pub(crate) fn serve(&self, words: &[&str]) -> Running {
        let mut words = words.to_vec();
        words.splice(0..0, ["serve", "--json"]);
        let mut running = self.start(words);
        running.wait_ready();
        running
    }

    /// Starts a bootstrap server and waits until it is ready.
    pub(crate) fn boot(&self) -> Running {
        let mut running = self.start(["boot", "--json"]);
        running.wait_ready();
        running
    }

    /// The names there are.
    pub(crate) fn names(&self) -> Vec<String> {
        let told = self.run(["ls"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        told.text().lines().map(str::to_owned).collect()
    }

    /// What `ls --long` prints, in cells.
    pub(crate) fn long(&self) -> Vec<Vec<String>> {
        let told = self.run(["ls", "--long"]);
        assert_eq!(told.code, Some(0), "{told:?}");
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        told.text().lines().map(cells).collect()
    }

    /// The processes of this house, but ours.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mark = self.directory.as_os_str().as_encoded_bytes();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // Gone meanwhile, or not ours to see.
            let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
            if environment.windows(mark.len()).any(|part| part == mark) {
                found.push(pid);
            }
        }
        found
    }

    /// Those among them whose command has this word.
    pub(crate) fn processes_with(&self, word: &str) -> Vec<i32> {
        let has = |pid: &i32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|other| other == word.as_bytes())
        };
        self.processes().into_iter().filter(has).collect()
    }

    /// Proves that nothing is left: ends the server if there is one, then no
    /// process and no file of ours may remain.
    pub(crate) fn close(mut self) {
        let told = self.run(["boot", "--stop"]);
        assert!(matches!(told.code, Some(0 | 65)), "{told:?}");
        wait_until("no process is left", || self.processes().is_empty());
        let left: Vec<_> = std::fs::read_dir(&self.directory).unwrap().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        std::fs::remove_dir(&self.directory).unwrap();
        self.closed = true;
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        for pid in self.processes() {
            signal(pid, Signal::KILL);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What a process said, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Told {
    fn of(output: Output) -> Self {
        Told {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as one object.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output as one object a line.
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts a failure of ours: its code, and a word its text has.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, word: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.starts_with("pillarbox: "), "{self:?}");
        assert!(self.stderr.contains(word), "{word} is not in {self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }
}

/// A process of this test, which does not outlive it.
pub(crate) struct Running {
    child: Option<Child>,
}

impl Running {
    /// Starts a command of the test's own making.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: Some(command.spawn().unwrap()) }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(crate) fn pid(&mut self) -> i32 {
        i32::try_from(self.child().id()).unwrap()
    }

    pub(crate) fn signal(&mut self, what: Signal) {
        let pid = self.pid();
        signal(pid, what);
    }

    /// Stops it, and waits until the kernel has stopped each of its threads: the
    /// signal alone is a wish.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_raw(self.pid()).unwrap();
        let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "{stopped:?}");
    }

    /// One line of its standard output.
    pub(crate) fn wait_line(&mut self) -> String {
        let mut line = Vec::new();
        let child = self.child();
        // Byte by byte: what follows is for whoever asks next.
        let pipe = child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while pipe.read(&mut byte).unwrap() == 1 {
            line.push(byte[0]);
            if byte[0] == b'\n' {
                return String::from_utf8(line).unwrap();
            }
        }
        let mut words = String::new();
        child.stderr.as_mut().unwrap().read_to_string(&mut words).unwrap();
        panic!("it ended and said {words}");
    }

    /// Its first line, which says that it is ready and not why it is not.
    pub(crate) fn wait_ready(&mut self) -> serde_json::Value {
        let line = self.wait_line();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(ready.get("ok").is_none_or(|ok| ok == true), "{line}");
        ready
    }

    /// One line of its standard error.
    pub(crate) fn wait_error_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::with_capacity(1, self.child().stderr.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        line
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child().try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Told {
        Told::of(self.child.take().unwrap().wait_with_output().unwrap())
    }

    pub(crate) fn end_status(mut self) -> ExitStatus {
        self.child.take().unwrap().wait().unwrap()
    }

    /// Ends it, now.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn signal(pid: i32, what: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended.
        let _ = kill_process(pid, what);
    }
}

/// Waits until something is so, which must be soon.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "it never came that {what}");
        // sleep: other processes tell us nothing; we look again
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Words as arguments, some of which are no text.
pub(crate) fn words(words: &[&[u8]]) -> Vec<OsString> {
    use std::os::unix::ffi::OsStringExt;
    words.iter().map(|word| OsString::from_vec(word.to_vec())).collect()
}

/// Bytes of every value, without a pattern that a line or a page would hide.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn is_installed(program: &str) -> bool {
    let places = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&places).any(|place| Path::new(&place).join(program).is_file())
}

/// What is not tried is said, and counted by who runs all tests.
pub(crate) fn skipped(why: &str) {
    // Not captured: it is no failure, and nobody would see it.
    let _ = writeln!(std::io::stderr().lock(), "skipped: {why}");
}
