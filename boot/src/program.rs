//! A program that provides names when they are asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use pillarbox::bootstrap::BOOTSTRAP;
use pillarbox::{SendRight, Spawn, Task};

use crate::limits::{BACK_OFF, BACK_OFF_MOST};

/// Which program of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProgramId(pub(crate) usize);

/// A child of ours, not reaped yet.
struct Started {
    number: u64,
    child: Child,
    /// Which names it has checked in so far.
    checked_in: BTreeSet<String>,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct End {
    /// Which names it had checked in.
    pub(crate) checked_in: BTreeSet<String>,
    pub(crate) reason: String,
}

/// A program, and the child that runs it now.
pub(crate) struct Program {
    command: Box<dyn FnMut() -> Command + Send>,
    pub(crate) names: Vec<String>,
    started: Option<Started>,
    failures: Failures,
}

impl fmt::Debug for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Program")
            .field("names", &self.names)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

impl Program {
    pub(crate) fn new(
        names: Vec<String>,
        command: impl FnMut() -> Command + Send + 'static,
    ) -> Self {
        Program { command: Box::new(command), names, started: None, failures: Failures::default() }
    }

    /// The child that runs it.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.started.as_ref().and_then(|started| pid_of(&started.child))
    }

    /// Whether the child that runs it is the one with this number.
    pub(crate) fn is_child(&self, number: u64) -> bool {
        self.started.as_ref().is_some_and(|started| started.number == number)
    }

    /// Why it must not be started just now.
    pub(crate) fn held_back(&self, now: Instant) -> Option<String> {
        self.failures.held_back(now)
    }

    /// Starts it with the bootstrap right. `watch` is told of the child before
    /// anything else happens to it.
    pub(crate) fn start(
        &mut self,
        task: &Task,
        right: &SendRight,
        number: u64,
        watch: impl FnOnce(&Child) -> std::io::Result<()>,
    ) -> Result<(), String> {
        let started = Spawn::new((self.command)())
            .right(BOOTSTRAP, right.clone())
            .spawn_in(task)
            .map_err(|error| error.reason.to_string())
            .and_then(|mut child| match watch(&child) {
                Ok(()) => Ok(child),
                // Nobody would hear of its end.
                Err(error) => {
                    end(&mut child);
                    Err(format!("its process could not be watched: {error}"))
                }
            });
        match started {
            Ok(child) => {
                self.started = Some(Started { number, child, checked_in: BTreeSet::new() });
                Ok(())
            }
            Err(reason) => {
                self.failures.add(&reason, Instant::now());
                Err(reason)
            }
        }
    }

    /// Its child has checked in `name`.
    pub(crate) fn checked_in(&mut self, name: &str) {
        self.failures = Failures::default();
        if let Some(started) = &mut self.started {
            started.checked_in.insert(name.to_owned());
        }
    }

    /// Reaps the child, which has ended.
    pub(crate) fn reap(&mut self) -> Option<End> {
        let mut started = self.started.take()?;
        let reason = match started.child.wait() {
            Ok(status) => ended(status),
            Err(error) => format!("it could not be waited for: {error}"),
        };
        if started.checked_in.is_empty() {
            self.failures.add(&reason, Instant::now());
        }
        Some(End { checked_in: started.checked_in, reason })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(started) = &mut self.started {
            end(&mut started.child);
        }
    }
}

fn pid_of(child: &Child) -> Option<i32> {
    i32::try_from(child.id()).ok()
}

/// Kills a child and reaps it.
fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

fn ended(status: ExitStatus) -> String {
    format!("it ended before it checked in, with {status}")
}

/// How often in a row a start came to nothing.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    last: String,
    until: Option<Instant>,
}

impl Failures {
    fn add(&mut self, reason: &str, now: Instant) {
        self.count = self.count.saturating_add(1);
        self.last = reason.to_owned();
        self.until = now.checked_add(pause_after(self.count));
    }

    fn held_back(&self, now: Instant) -> Option<String> {
        let left = self.until?.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let (count, last) = (self.count, &self.last);
        let left = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(0) + 1);
        Some(format!("it failed {count} times in a row and is started again in {left:?}; {last}"))
    }
}

/// The first failure may be an accident; from the second on each pause is twice
/// the one before.
fn pause_after(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => BACK_OFF.saturating_mul(1 << (more - 2).min(16)).min(BACK_OFF_MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u128> = (0..5).map(|count| pause_after(count).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 100, 200, 400]);
        assert_eq!(pause_after(11), BACK_OFF_MOST);
        assert_eq!(pause_after(u32::MAX), BACK_OFF_MOST);
    }

    #[test]
    fn a_program_is_held_back_from_the_second_failure_on() {
        let mut failures = Failures::default();
        let now = Instant::now();
        failures.add("no", now);
        assert_eq!(failures.held_back(now), None);
        failures.add("no", now);
        assert_eq!(
            failures.held_back(now).unwrap(),
            "it failed 2 times in a row and is started again in 101ms; no"
        );
        assert_eq!(failures.held_back(now + BACK_OFF), None);
    }
}
