//! Real processes that act a part.
//!
//! A test starts its own binary again and asks it to run one test only, the
//! part, which does nothing unless the environment asks for it. What a part
//! must tell its test it writes to a pipe or sends in a message; a test never
//! waits for a time to pass.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod asker;
pub(crate) mod placed;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use boot::admin::{Admin, ServiceReport};
use boot::service::ServiceFile;
use boot::{Server, Serving};
use pillarbox::bootstrap::{Answer, Bootstrap, BootstrapError, Refused, Request};
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, SendRight, Spawn, Task};

/// The variable that names the part.
const PART: &str = "PILLARBOX_TEST_PART";

/// The name most tests use.
pub(crate) const NAME: &str = "com.example.part";

/// A deadline no healthy run reaches.
pub(crate) fn long() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// A command that acts `part`, which is the name of a test in this binary.
pub(crate) fn command(part: &str) -> Command {
    let own = std::env::current_exe().expect("a test knows its binary");
    let mut command = Command::new(own);
    command
        .args(["--exact", part, "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A child that will act `part`.
pub(crate) fn act(part: &str) -> Spawn {
    Spawn::new(command(part))
}

/// Whether this process was started to act `part`.
pub(crate) fn acting(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|asked| asked == part)
}

/// The task of this test or part.
pub(crate) fn task() -> Task {
    Task::current().expect("a test has a task")
}

/// A send right the parent gave this child.
pub(crate) fn given(name: &str) -> SendRight {
    let right = task().inherited(name, long()).expect("the parent gave this right");
    right.into_send().expect("it is a send right")
}

/// The server this part was given by its parent.
pub(crate) fn parents_server() -> Bootstrap {
    pillarbox::bootstrap(long()).expect("the parent gave a bootstrap right")
}

/// A server that provides nothing, on a thread.
pub(crate) fn server() -> (Serving, Bootstrap) {
    started(Server::new(&task()).expect("there is a task"))
}

/// A server that provides [`NAME`] by `part`.
pub(crate) fn server_of(part: &'static str) -> (Serving, Bootstrap) {
    let server = Server::new(&task()).expect("there is a task");
    started(server.on_demand(NAME, move || command(part)).expect("the name is good"))
}

/// A service file that starts this binary as `part`, with more lines.
pub(crate) fn file_of(part: &str, names: &[&str], more: &str) -> String {
    let own = std::env::current_exe().expect("a test knows its binary");
    format!(
        "program = {own:?}\narguments = [\"--exact\", {part:?}, \"--nocapture\", \
         \"--test-threads=1\"]\nnames = {names:?}\n{more}\n[environment]\n{PART} = {part:?}\n"
    )
}

/// A service file that starts this binary as `part`, with a queue.
pub(crate) fn queue_file(part: &str, queue: &str, more: &str) -> String {
    let more = format!("queues = [{queue:?}]\n{more}");
    file_of(part, &[], &more)
}

/// A file that starts a shell.
pub(crate) fn shell_file(script: &str, more: &str) -> String {
    format!("program = \"/bin/sh\"\narguments = [\"-c\", {script:?}]\nnames = [{NAME:?}]\n{more}\n")
}

/// A server with the service `part`, which a file of this text declares.
pub(crate) fn declared(text: &str) -> (Serving, Bootstrap, Admin) {
    let file = ServiceFile::read(text).unwrap_or_else(|wrong| panic!("{wrong:?}: {text}"));
    let server = Server::new(&task()).expect("there is a task");
    let (serving, names) = started(server.service("part", file).expect("the names are free"));
    let admin = Admin::new(&names);
    (serving, names, admin)
}

/// What is known of the only service.
pub(crate) fn report(admin: &Admin) -> ServiceReport {
    let mut services = admin.services(long()).expect("the server answers");
    assert_eq!(services.len(), 1);
    services.remove(0)
}

/// Starts `server`.
pub(crate) fn started(server: Server) -> (Serving, Bootstrap) {
    let serving = server.start().expect("there is a thread");
    let names = Bootstrap::new(serving.right().clone());
    (serving, names)
}

/// Why the server refused.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, BootstrapError>) -> Refused {
    match outcome {
        Err(BootstrapError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// By which rule it was not allowed.
pub(crate) fn not_allowed<T: std::fmt::Debug>(outcome: Result<T, BootstrapError>) -> String {
    match refused(outcome) {
        Refused::NotAllowed(rule) => rule,
        other => panic!("refused for another reason: {other:?}"),
    }
}

/// The process number of the service behind `right`, which must be a
/// [`tell_pid`].
pub(crate) fn pid_of(right: &SendRight) -> i32 {
    let answer = right.call(Message::new(""), long()).expect("the service answers");
    String::from_utf8_lossy(answer.body()).parse().expect("a number")
}

/// Answers every call with this process's number, until the caller is gone or
/// the process is killed.
pub(crate) fn tell_pid(port: &ReceiveRight) -> ! {
    loop {
        let mut request = port.receive(Deadline::Never).expect("a service receives");
        let answer = Message::new(std::process::id().to_string());
        // A caller that is gone needs no answer.
        let _ = request.reply(answer, long());
    }
}

/// Acts `part`, if it was asked to: a service that checks in as [`NAME`] and
/// tells its number.
pub(crate) fn serve_if_acting(part: &str) {
    if acting(part) {
        let port = task().port(Capacity::Bounded(64));
        parents_server().check_in(NAME, &port, long()).expect("the name is ours");
        tell_pid(&port);
    }
}

/// Waits until the port behind `right` is gone.
pub(crate) fn wait_dead(right: &SendRight) {
    let port = task().port(Capacity::Bounded(1));
    let once = port.make_send_once().expect("there is a task");
    right.notify_dead(once).expect("there is a task");
    let news = port.receive(long()).expect("the news of a death comes");
    assert_eq!(news.notification(), Some(Notification::DeadName));
}

/// Sends a signal to a process, by its number.
pub(crate) fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a number of a process");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// Stops a process, and waits until each of its threads has: the signal alone is a wish.
pub(crate) fn stop(pid: i32) {
    signal(pid, rustix::process::Signal::STOP);
    let is_stopped = |stat: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(stat.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    };
    until(|| {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is there");
        threads.flatten().all(is_stopped)
    });
}

/// Whether this process has a child of this number that is not reaped.
pub(crate) fn is_child(pid: i32) -> bool {
    children().iter().any(|(child, _)| *child == pid)
}

/// The children of this process, with their states.
pub(crate) fn children() -> Vec<(i32, char)> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("there is a /proc").flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The command is in parentheses and may hold anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let mut fields = rest.split(' ');
        let state = fields.next().and_then(|state| state.chars().next());
        if fields.next() == Some(&own) {
            found.push((pid, state.unwrap_or('?')));
        }
    }
    found
}

/// A directory of this test's own, mode 0700, removed at its end.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Place {
        use std::os::unix::fs::DirBuilderExt;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pillarbox-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a place of our own");
        Place(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What lies in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the place is there").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Ends a child that is waited for in any case.
#[derive(Debug)]
pub(crate) struct Reaped(pub(crate) Child);

impl Reaped {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("numbers of processes are small")
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again until it is so. Only for what nobody can be told of; it gives the
/// processor away meanwhile.
pub(crate) fn until(mut so: impl FnMut() -> bool) {
    let end = long();
    while !so() {
        assert!(!end.has_passed(), "it was not so in time");
        std::thread::yield_now();
    }
}

/// A right to a service that is about to check in by itself.
pub(crate) fn look_up_soon(names: &Bootstrap, name: &str) -> SendRight {
    let mut found = None;
    until(|| {
        found = names.look_up_running(name, long()).ok();
        found.is_some()
    });
    found.expect("it was found")
}

/// A request as its bytes, to be sent in ways the library's client does not.
pub(crate) fn request(request: &Request) -> Message {
    Message::new(postcard::to_stdvec(request).expect("a request has bytes"))
}

/// A look-up that starts the service and waits for ever.
pub(crate) fn look_up_request(name: &str) -> Message {
    request(&Request::LookUp { name: name.to_owned(), start: true, wait_ns: None })
}

/// What an answer says.
pub(crate) fn answer(message: &Message) -> Answer {
    postcard::from_bytes(message.body()).expect("the server answers in its own words")
}

/// Sends a message to the server and returns what it answers.
pub(crate) fn ask(names: &Bootstrap, message: Message) -> Answer {
    answer(&names.right().call(message, long()).expect("the server answers"))
}
