//! Real child processes that act a part.
//!
//! A test starts its own binary again and asks it to run one test only, the
//! part, which does nothing unless it was asked to by the environment.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::process::{Child, Command};
use std::time::Duration;

use pillarbox::{Deadline, SendRight, Spawn, Task};

/// The variable that names the part.
const PART: &str = "PILLARBOX_TEST_PART";

/// Generous: a test that needs it fails anyway.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A deadline no healthy run reaches.
pub(crate) fn long() -> Deadline {
    Deadline::after(LONG)
}

/// A child that will act `part`, which is the name of a test in this binary.
pub(crate) fn act(part: &str) -> Spawn {
    let own = std::env::current_exe().expect("a test knows its binary");
    let mut command = Command::new(own);
    command
        .args(["--exact", part, "--nocapture", "--test-threads=1"])
        .env(PART, part)
        .stdout(std::process::Stdio::null());
    Spawn::new(command)
}

/// Whether this process was started to act `part`.
pub(crate) fn acting(part: &str) -> bool {
    std::env::var(PART).is_ok_and(|asked| asked == part)
}

/// A send right the parent gave this child.
pub(crate) fn given(name: &str) -> SendRight {
    let task = Task::current().expect("a child has a task");
    let right = task.inherited(name, long()).expect("the parent gave this right");
    right.into_send().expect("it is a send right")
}

/// Ends a child that is waited for in any case.
#[derive(Debug)]
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
