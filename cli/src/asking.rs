//! How long owners and tasks may take that are asked how they are.
//!
//! All are asked at once and have the same time. One that is stopped has no more than a
//! moment; one that the kernel says may run is only slow, on a machine that does much
//! else, and has more.

use std::time::Duration;

use pillarbox::Deadline;

/// What everybody has.
const MOMENT: Duration = Duration::from_millis(200);

/// What those have that are not stopped.
const WHILE: Duration = Duration::from_secs(2);

/// The time that all who are asked share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    moment: Deadline,
    more: Option<Deadline>,
}

impl Asking {
    /// For an answer that is given once.
    pub(crate) fn of_a_list() -> Self {
        Asking { moment: Deadline::after(MOMENT), more: Some(Deadline::after(WHILE)) }
    }

    /// For a screen that is drawn again soon.
    pub(crate) fn of_a_screen() -> Self {
        Asking { moment: Deadline::after(MOMENT), more: None }
    }

    /// Asks, and asks once more where `silent` and the process may run.
    pub(crate) fn ask<T>(
        self,
        pid: Option<i32>,
        ask: impl Fn(Deadline) -> T,
        silent: impl Fn(&T) -> bool,
    ) -> T {
        let answer = ask(self.moment);
        match self.more {
            Some(more) if silent(&answer) && pid.is_some_and(may_run) => ask(more),
            _ => answer,
        }
    }
}

/// Whether a process is there, for all we may see, and neither stopped nor dead.
fn may_run(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command before it may have any sign in it.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'T' | 't' | 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn times_asked(asking: Asking, pid: Option<i32>, is_silent: bool) -> u32 {
        let times = Cell::new(0);
        asking.ask(pid, |_| times.set(times.get() + 1), |()| is_silent);
        times.get()
    }

    #[test]
    fn who_is_slow_is_asked_again_and_nobody_else() {
        let own = i32::try_from(std::process::id()).ok();
        assert_eq!(times_asked(Asking::of_a_list(), own, true), 2);
        assert_eq!(times_asked(Asking::of_a_list(), own, false), 1);
        assert_eq!(times_asked(Asking::of_a_list(), None, true), 1);
        assert_eq!(times_asked(Asking::of_a_list(), Some(i32::MAX), true), 1);
        assert_eq!(times_asked(Asking::of_a_screen(), own, true), 1);
    }
}
