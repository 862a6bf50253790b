//! A row of the table: what is measured, against what, and what is to be reached.

use anyhow::Result;

use crate::figure::Reading;
use crate::place::Place;
use crate::runner::{Effort, Entrant};

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Row {
    /// What it is called, in the table, in JSON and on the command line.
    pub name: &'static str,
    /// What its figures count.
    pub unit: Unit,
    /// What is measured.
    pub about: &'static str,
    /// What the machine can do, or what else ours is compared with.
    pub limit: &'static str,
    /// What is to be reached.
    pub goal: Goal,
    /// Whether the ends sleep between operations.
    pub state: State,
    /// Where the ends run.
    pub place: Place,
    /// Measured once, and not in rounds: it takes a fixed time, or counts what does
    /// not vary.
    pub once: bool,
    /// Makes everybody ready.
    pub make: fn(&Row, &Effort) -> Result<Vec<Entrant>>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the figures of a row count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds: the fewer, the better.
    Nanoseconds,
    /// Operations in a second: the more, the better.
    PerSecond,
    /// Bytes: the fewer, the better.
    Bytes,
    /// How often a thread ran: the less, the better.
    Runs,
}

impl Unit {
    /// As it is written in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::PerSecond => "1/s",
            Unit::Bytes => "bytes",
            Unit::Runs => "runs",
        }
    }

    pub(crate) const fn reading(self) -> Reading {
        match self {
            Unit::Nanoseconds => Reading::Latency,
            Unit::PerSecond => Reading::Rate,
            Unit::Bytes | Unit::Runs => Reading::Value,
        }
    }

    /// Whether `one` is better than `other`.
    pub(crate) fn better(self, one: f64, other: f64) -> bool {
        match self {
            Unit::PerSecond => one > other,
            Unit::Nanoseconds | Unit::Bytes | Unit::Runs => one < other,
        }
    }
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Ours is at most so many times the limit.
    RatioAtMost(f64),
    /// Ours is at least so many times the limit.
    RatioAtLeast(f64),
    /// The median is at most this.
    AtMost(f64),
    /// The 99th of 100 is at most this.
    Nearly(f64),
    /// Ours is at least so many times what the peer of this name has. Where that does
    /// not run, at least so many times the limit.
    Beside(&'static str, f64, f64),
    /// Nothing: the figure is stated.
    Stated,
}

impl Goal {
    /// The number in it.
    pub const fn number(self) -> Option<f64> {
        match self {
            Goal::RatioAtMost(number)
            | Goal::RatioAtLeast(number)
            | Goal::AtMost(number)
            | Goal::Nearly(number)
            | Goal::Beside(_, number, _) => Some(number),
            Goal::Stated => None,
        }
    }

    /// What it comes to where such peers run: whose figures are the limit, if it is one
    /// of theirs, and the goal.
    pub(crate) fn beside(self, runs: impl Fn(&str) -> bool) -> (Option<&'static str>, Goal) {
        match self {
            Goal::Beside(name, least, _) if runs(name) => (Some(name), Goal::RatioAtLeast(least)),
            Goal::Beside(_, _, least) => (None, Goal::RatioAtLeast(least)),
            other => (None, other),
        }
    }

    /// Whether it is about a ratio.
    pub(crate) const fn is_ratio(self) -> bool {
        matches!(self, Goal::RatioAtMost(_) | Goal::RatioAtLeast(_) | Goal::Beside(..))
    }

    /// Whether it is reached. A figure that is missing reaches nothing.
    pub(crate) fn reached(self, ours: f64, ratio: Option<f64>, p99: Option<f64>) -> bool {
        match self {
            Goal::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
            Goal::RatioAtLeast(least) | Goal::Beside(_, _, least) => {
                ratio.is_some_and(|ratio| ratio >= least)
            }
            Goal::AtMost(most) => ours <= most,
            Goal::Nearly(most) => p99.is_some_and(|p99| p99 <= most),
            Goal::Stated => true,
        }
    }
}

/// Whether the ends of a row sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Operations follow one another: whoever waits finds the answer while it spins.
    Awake,
    /// Between two operations both ends have gone to sleep.
    Asleep,
    /// Everything within one task.
    Local,
    /// Of no matter.
    Either,
}

impl State {
    /// As the table says it.
    pub const fn word(self) -> &'static str {
        match self {
            State::Awake => "awake",
            State::Asleep => "asleep",
            State::Local => "in-process",
            State::Either => "-",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_reached_from_their_side() {
        assert!(Goal::RatioAtMost(1.3).reached(9.0, Some(1.3), None));
        assert!(!Goal::RatioAtMost(1.3).reached(9.0, Some(1.31), None));
        assert!(Goal::RatioAtLeast(0.4).reached(9.0, Some(0.4), None));
        assert!(!Goal::RatioAtLeast(0.4).reached(9.0, Some(0.39), None));
        assert!(!Goal::RatioAtLeast(0.4).reached(9.0, None, None));
        assert!(Goal::AtMost(9.0).reached(9.0, None, Some(99.0)));
        assert!(!Goal::Nearly(9.0).reached(1.0, None, Some(9.5)));
        assert!(!Goal::Nearly(9.0).reached(1.0, None, None));
        assert!(Goal::Stated.reached(1.0, None, None));
    }

    #[test]
    fn a_goal_beside_a_peer_is_one_beside_the_limit_where_that_does_not_run() {
        let goal = Goal::Beside("it", 1.2, 0.9);
        assert_eq!(goal.beside(|peer| peer == "it"), (Some("it"), Goal::RatioAtLeast(1.2)));
        assert_eq!(goal.beside(|_| false), (None, Goal::RatioAtLeast(0.9)));
        assert_eq!(Goal::Stated.beside(|_| true), (None, Goal::Stated));
    }

    #[test]
    fn more_is_better_where_it_is_a_rate() {
        assert!(Unit::PerSecond.better(2.0, 1.0) && !Unit::PerSecond.better(1.0, 2.0));
        assert!(Unit::Nanoseconds.better(1.0, 2.0) && Unit::Bytes.better(1.0, 2.0));
    }
}
