//! Real child processes that act a part.
//!
//! A test starts its own binary again and asks it to run one test only, the
//! part, which does nothing unless it was asked to by the environment.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::process::{Child, Command};
use std::time::Duration;

use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Spawn, Task};

pub(crate) mod bags;
pub(crate) mod hand;
pub(crate) mod linked;
pub(crate) mod member;
pub(crate) mod raw;
pub(crate) mod residue;
pub(crate) mod tally;

/// The variable that names the part.
pub(crate) const PART: &str = "PILLARBOX_TEST_PART";

/// Generous: a test that needs it fails anyway.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A deadline no healthy run reaches.
pub(crate) fn long() -> Deadline {
    Deadline::after(LONG)
}

/// A child that will act `part`, which is the name of a test in this binary.
pub(crate) fn act(part: &str) -> Spawn {
    act_with(part, |_| ())
}

/// As [`act`], with something about the command changed.
pub(crate) fn act_with(part: &str, change: impl FnOnce(&mut Command)) -> Spawn {
    let own = std::env::current_exe().expect("a test knows its binary");
    let mut command = Command::new(own);
    command
        .args(["--exact", part, "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .stdout(std::process::Stdio::null());
    change(&mut command);
    Spawn::new(command)
}

/// Whether this process was started to act `part`.
pub(crate) fn acting(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|asked| asked == part)
}

/// Whether this process was started to act any part.
pub(crate) fn is_part() -> bool {
    std::env::var_os(PART).is_some()
}

/// A send right the parent gave this child.
pub(crate) fn given(name: &str) -> SendRight {
    let task = Task::current().expect("a child has a task");
    let right = task.inherited(name, long()).expect("the parent gave this right");
    right.into_send().expect("it is a send right")
}

/// A port with room enough for what has no need to be exact.
pub(crate) fn inbox() -> ReceiveRight {
    Task::current().expect("a process has a task").port(Capacity::Bounded(16))
}

/// The same and its first send right.
pub(crate) fn port() -> (ReceiveRight, SendRight) {
    let inbox = inbox();
    let post = inbox.make_send().expect("a port of this process");
    (inbox, post)
}

/// Offers the parent a send right to each of `ports`: what a child has to say
/// first.
pub(crate) fn offer(ports: &[&ReceiveRight]) -> SendRight {
    let rights = ports.iter().map(|port| port.make_send().expect("a port of this process"));
    let hello = rights.fold(Message::new(""), Message::with_right);
    let parent = given("parent");
    parent.send(hello, long()).expect("the parent waits for it");
    parent
}

/// Begins a part that does as it is told: its task, the port for its orders, and its
/// parent. `None` for who plays another part.
pub(crate) fn begin(part: &str) -> Option<(Task, ReceiveRight, SendRight)> {
    if !acting(part) {
        return None;
    }
    let task = Task::current().unwrap();
    let orders = task.port(Capacity::Unbounded);
    let parent = offer(&[&orders]);
    Some((task, orders, parent))
}

/// Starts `child`, which may send to `inbox`, and takes what it offers.
pub(crate) fn meet<const N: usize>(child: Spawn, inbox: &ReceiveRight) -> (Reaped, [SendRight; N]) {
    let to_us = inbox.make_send().expect("a port of this process");
    let child = Reaped(child.right("parent", to_us).spawn().expect("a child can be had"));
    let mut hello = inbox.receive(long()).expect("the child says hello");
    assert_eq!(hello.sender().map(|sender| sender.pid), Some(child.pid()));
    assert_eq!(hello.rights().len(), N);
    let mut rights = hello.take_rights().into_iter();
    let next = |_| rights.next().and_then(|right| right.into_send().ok()).expect("a send right");
    (child, std::array::from_fn(next))
}

/// Ends a child that is waited for in any case.
#[derive(Debug)]
pub(crate) struct Reaped(pub(crate) Child);

impl Reaped {
    /// Kills it and waits until the kernel has done so.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("it is ours to kill");
        self.0.wait().expect("it is ours to wait for");
    }

    /// Waits until it has ended by itself, and says whether it was content.
    pub(crate) fn ended_well(&mut self) -> bool {
        self.0.wait().expect("it is ours to wait for").success()
    }

    /// Stops it, and waits until the kernel has.
    pub(crate) fn stop(&self) {
        use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("it has a pid");
        kill_process(pid, Signal::STOP).expect("it is ours to stop");
        let stopped = waitpid(Some(pid), WaitOptions::UNTRACED).expect("it is ours to wait for");
        assert!(stopped.is_some_and(|(_, status)| status.stopped()));
    }

    /// Lets it run again.
    pub(crate) fn resume(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = Pid::from_raw(self.pid()).expect("it has a pid");
        kill_process(pid, Signal::CONT).expect("it is ours to resume");
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid fits")
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `holds` says so: for what the kernel or another process brings
/// about and tells nobody. Panics with what it was at last.
pub(crate) fn settled<T: std::fmt::Debug>(mut now: impl FnMut() -> T, holds: impl Fn(&T) -> bool) {
    let until = long();
    loop {
        let seen = now();
        if holds(&seen) {
            return;
        }
        assert!(!until.has_passed(), "it does not settle: {seen:?}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Says a figure that nobody checks, beside the results.
pub(crate) fn tell(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Numbers that look random and come again from the same seed.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn micros(&mut self, below: u64) -> Duration {
        Duration::from_micros(self.below(below))
    }
}

/// The seed of this run: `PILLARBOX_SEED`, or another each time.
pub(crate) fn seed() -> u64 {
    let asked = std::env::var("PILLARBOX_SEED").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| u64::from(now.subsec_nanos()) << 20 | u64::from(std::process::id()))
    })
}

/// Runs `work` in a thread whose name tells the seed, where it panics.
pub(crate) fn seeded<T: Send + 'static>(
    seed: u64,
    work: impl FnOnce(Random) -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::Builder::new()
        .name(format!("PILLARBOX_SEED={seed}"))
        .spawn(move || work(Random::new(seed)))
        .expect("a thread can be had")
}
