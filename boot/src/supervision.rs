//! When a program is started, and when it is ended: the rule, with no process and
//! no clock. The keeper tells it what happened and does what it says.
//!
//! | phase    | what is there                      | what ends it                     |
//! |----------|------------------------------------|----------------------------------|
//! | down     | nothing                            | somebody wants it, and it may    |
//! | starting | a child that has not checked in    | its last name, its end, too long |
//! | up       | a child that has                   | its end, a stop                  |
//! | ending   | a child that was told to end       | its end; too long, and it is killed |
//!
//! However many want it, there is one child at a time, and between two starts lies
//! at least the throttle: there is nothing a flood of look-ups could multiply.

mod carried;

use std::time::{Duration, Instant};

use crate::limits::{BACK_OFF, BACK_OFF_MOST};

pub(crate) use self::carried::Carried;

/// Which ends are followed by another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    Never,
    OnFailure,
    Always,
}

/// What was laid down for one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Wanted from the beginning.
    pub(crate) at_start: bool,
    pub(crate) keep_alive: KeepAlive,
    /// From one start to the next at least.
    pub(crate) throttle: Duration,
    /// The pause after the second failed start in a row; it doubles.
    pub(crate) back_off: Duration,
    pub(crate) back_off_most: Duration,
    /// How long it may take to check in.
    pub(crate) check_in_within: Option<Duration>,
    /// From being told to end to being killed.
    pub(crate) exit_timeout: Duration,
    /// How long there may be nothing to do before it is told to end.
    pub(crate) idle_exit: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            at_start: false,
            keep_alive: KeepAlive::Never,
            throttle: Duration::ZERO,
            back_off: BACK_OFF,
            back_off_most: BACK_OFF_MOST,
            check_in_within: None,
            exit_timeout: Duration::from_secs(5),
            idle_exit: None,
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Act {
    Start,
    /// Tell it to end.
    Terminate,
    Kill,
}

/// When it is to be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Never,
    Now,
    At(Instant),
}

impl Due {
    fn is_by(self, now: Instant) -> bool {
        match self {
            Due::Never => false,
            Due::Now => true,
            Due::At(due) => due <= now,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    Starting { since: Instant },
    Up,
    Ending { since: Instant, told: bool, killed: bool },
}

/// What a program is doing, for those who look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Down,
    /// Ended by hand: nothing but a hand starts it.
    Stopped,
    /// It failed, and is not started before this long from now.
    BackingOff(Duration),
    Starting,
    Up,
    Ending,
}

/// The supervision of one program.
#[derive(Debug)]
pub(crate) struct Supervision {
    rules: Rules,
    phase: Phase,
    /// It is started as soon as it may be.
    wanted: bool,
    stopped: bool,
    /// Since when it has had nothing to do, as far as is known.
    idle: Option<Instant>,
    failures: u32,
    starts: u64,
    /// No start before this, because of the throttle.
    throttled: Option<Instant>,
    /// Nor before this, because it failed.
    backing_off: Option<Instant>,
    last_end: Option<String>,
    /// Why we ended it, which says more than its status.
    ended_for: Option<String>,
}

impl Supervision {
    pub(crate) fn new(rules: Rules) -> Self {
        Supervision {
            wanted: rules.at_start,
            rules,
            phase: Phase::Down,
            stopped: false,
            idle: None,
            failures: 0,
            starts: 0,
            throttled: None,
            backing_off: None,
            last_end: None,
            ended_for: None,
        }
    }

    /// Other rules are laid down, for all that comes.
    pub(crate) fn rule_by(&mut self, rules: Rules) {
        let never_started = self.starts == 0 && matches!(self.phase, Phase::Down);
        self.wanted |= rules.at_start && never_started && !self.stopped;
        self.rules = rules;
    }

    /// Somebody needs it.
    pub(crate) fn want(&mut self) {
        self.wanted |= matches!(self.phase, Phase::Down | Phase::Ending { .. }) && !self.stopped;
    }

    /// Why it must not be waited for just now.
    pub(crate) fn held_back(&self, now: Instant) -> Option<String> {
        if self.stopped {
            return Some("it was stopped by hand".to_owned());
        }
        let left = left(self.backing_off?, now)?;
        let (count, last) = (self.failures, self.last_end.as_deref().unwrap_or_default());
        let left = Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(0) + 1);
        Some(format!("it failed {count} times in a row and is started again in {left:?}; {last}"))
    }

    /// What is to be done now, if anything.
    pub(crate) fn act(&mut self, now: Instant) -> Option<Act> {
        if !self.due().is_by(now) {
            return None;
        }
        match self.phase {
            Phase::Down => Some(Act::Start),
            Phase::Starting { .. } => {
                let within = self.rules.check_in_within.unwrap_or_default();
                self.ended_for = Some(format!("it did not check in within {within:?}"));
                self.end(now);
                self.act(now)
            }
            Phase::Up => {
                self.ended_for = Some("it was told to end, being idle".to_owned());
                self.end(now);
                self.act(now)
            }
            Phase::Ending { since, told: false, .. } => {
                self.phase = Phase::Ending { since, told: true, killed: false };
                Some(Act::Terminate)
            }
            Phase::Ending { since, told: true, .. } => {
                self.phase = Phase::Ending { since, told: true, killed: true };
                Some(Act::Kill)
            }
        }
    }

    /// When there is something to be done, as things stand.
    pub(crate) fn due(&self) -> Due {
        let after = |since: Instant, span| since.checked_add(span).map_or(Due::Never, Due::At);
        match self.phase {
            Phase::Down if self.wanted && !self.stopped => {
                self.throttled.max(self.backing_off).map_or(Due::Now, Due::At)
            }
            Phase::Up => match (self.rules.idle_exit, self.idle) {
                (Some(span), Some(since)) => after(since, span),
                _ => Due::Never,
            },
            Phase::Down => Due::Never,
            Phase::Starting { since } => {
                self.rules.check_in_within.map_or(Due::Never, |within| after(since, within))
            }
            Phase::Ending { told: false, .. } => Due::Now,
            Phase::Ending { since, killed: false, .. } => after(since, self.rules.exit_timeout),
            Phase::Ending { .. } => Due::Never,
        }
    }

    /// Since when it has had nothing to do; none where it has.
    pub(crate) fn is_busy_until(&mut self, idle: Option<Instant>) {
        self.idle = idle;
    }

    /// It was started.
    pub(crate) fn started(&mut self, now: Instant) {
        self.starts += 1;
        self.wanted = false;
        self.phase = Phase::Starting { since: now };
        self.throttled = now.checked_add(self.rules.throttle);
    }

    /// It was not, and why.
    pub(crate) fn not_started(&mut self, reason: &str, now: Instant) {
        self.throttled = now.checked_add(self.rules.throttle);
        self.wanted = self.rules.keep_alive != KeepAlive::Never;
        self.failed(reason, now);
    }

    /// It has checked in; with `all`, under each of its names.
    pub(crate) fn checked_in(&mut self, all: bool) {
        self.failures = 0;
        self.backing_off = None;
        if all && matches!(self.phase, Phase::Starting { .. }) {
            self.phase = Phase::Up;
            self.idle = None;
        }
    }

    /// Its child has ended. Returns the reason to be told.
    pub(crate) fn ended(&mut self, end: End<'_>, now: Instant) -> String {
        let asked = matches!(self.phase, Phase::Ending { .. });
        self.phase = Phase::Down;
        let reason = match self.ended_for.take() {
            Some(reason) => reason,
            None if end.was_ready => format!("it ended with {}", end.status),
            None => format!("it ended before it checked in, with {}", end.status),
        };
        self.wanted |= match self.rules.keep_alive {
            KeepAlive::Never => false,
            KeepAlive::OnFailure => !end.success && !asked || !end.was_ready,
            KeepAlive::Always => true,
        };
        self.wanted &= !self.stopped;
        if end.was_ready || self.stopped {
            self.last_end = Some(reason.clone());
        } else {
            self.failed(&reason, now);
        }
        reason
    }

    fn failed(&mut self, reason: &str, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.last_end = Some(reason.to_owned());
        self.backing_off = now.checked_add(self.pause());
    }

    /// The first failure may be an accident; from the second on each pause is twice
    /// the one before.
    fn pause(&self) -> Duration {
        match self.failures {
            0 | 1 => Duration::ZERO,
            more => {
                let doubled = self.rules.back_off.saturating_mul(1 << (more - 2).min(16));
                doubled.min(self.rules.back_off_most)
            }
        }
    }

    /// It is to end, if it is there.
    pub(crate) fn end(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Starting { .. } | Phase::Up) {
            self.phase = Phase::Ending { since: now, told: false, killed: false };
        }
    }

    /// It is ended by hand, and stays so.
    pub(crate) fn stop(&mut self, now: Instant) {
        (self.stopped, self.wanted) = (true, false);
        if matches!(self.phase, Phase::Starting { .. } | Phase::Up) {
            self.ended_for = Some("it was stopped by hand".to_owned());
        }
        self.end(now);
    }

    /// It is started by hand: at once, whatever held it back.
    pub(crate) fn start(&mut self) {
        self.stopped = false;
        self.failures = 0;
        (self.throttled, self.backing_off) = (None, None);
        self.want();
    }

    /// It is ended by hand, and then started.
    pub(crate) fn restart(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Starting { .. } | Phase::Up) {
            self.ended_for = Some("it was restarted by hand".to_owned());
        }
        self.end(now);
        self.start();
    }

    /// What it is doing.
    pub(crate) fn doing(&self, now: Instant) -> Doing {
        match self.phase {
            Phase::Down if self.stopped => Doing::Stopped,
            Phase::Down => match self.backing_off.and_then(|until| left(until, now)) {
                Some(left) => Doing::BackingOff(left),
                None => Doing::Down,
            },
            Phase::Starting { .. } => Doing::Starting,
            Phase::Up => Doing::Up,
            Phase::Ending { .. } => Doing::Ending,
        }
    }

    /// How often it was started.
    pub(crate) const fn starts(&self) -> u64 {
        self.starts
    }

    /// Why it ended the last time, or was not started.
    pub(crate) fn last_end(&self) -> Option<&str> {
        self.last_end.as_deref()
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    /// In words of the system.
    pub(crate) status: &'a str,
    pub(crate) success: bool,
    /// It had checked in, under one name at least.
    pub(crate) was_ready: bool,
}

fn left(until: Instant, now: Instant) -> Option<Duration> {
    until.checked_duration_since(now).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: End<'_> = End { status: "exit status: 0", success: true, was_ready: true };
    const FAILED: End<'_> = End { status: "exit status: 1", success: false, was_ready: false };

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn of(rules: Rules) -> (Supervision, Instant) {
        (Supervision::new(rules), Instant::now())
    }

    #[test]
    fn however_many_want_it_it_is_started_once() {
        let (mut one, now) = of(Rules::default());
        assert_eq!(one.act(now), None);
        one.want();
        one.want();
        assert_eq!(one.act(now), Some(Act::Start));
        one.started(now);
        one.want();
        assert_eq!(one.act(now), None);
        one.checked_in(true);
        one.want();
        assert_eq!((one.act(now), one.doing(now), one.starts()), (None, Doing::Up, 1));
        one.ended(READY, now);
        assert_eq!(one.act(now), None, "nobody wanted it since");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (mut one, now) = of(Rules::default());
        let mut pauses = Vec::new();
        for _ in 0..30 {
            one.want();
            one.started(now);
            one.ended(FAILED, now);
            pauses.push(one.pause());
        }
        assert_eq!(pauses[..4], [ms(0), ms(100), ms(200), ms(400)]);
        assert_eq!(pauses[29], BACK_OFF_MOST);
        one.want();
        assert_eq!(one.act(now), None);
        assert_eq!(one.act(now + BACK_OFF_MOST), Some(Act::Start));
    }

    #[test]
    fn it_is_held_back_from_the_second_failure_on() {
        let (mut one, now) = of(Rules::default());
        one.started(now);
        let told = one.ended(FAILED, now);
        assert_eq!(told, "it ended before it checked in, with exit status: 1");
        assert_eq!(one.held_back(now), None);
        one.not_started("no", now);
        assert_eq!(
            one.held_back(now).unwrap(),
            "it failed 2 times in a row and is started again in 101ms; no"
        );
        assert_eq!(one.held_back(now + BACK_OFF), None);
    }

    #[test]
    fn the_throttle_lies_between_two_starts_and_keep_alive_after_an_end() {
        let rules = Rules {
            at_start: true,
            keep_alive: KeepAlive::Always,
            throttle: ms(500),
            ..Rules::default()
        };
        let (mut one, now) = of(rules);
        assert_eq!(one.act(now), Some(Act::Start));
        one.started(now);
        one.checked_in(true);
        one.ended(READY, now + ms(1));
        assert_eq!(one.act(now + ms(499)), None);
        assert_eq!(one.act(now + ms(500)), Some(Act::Start));
    }

    #[test]
    fn on_failure_means_after_a_failure_only() {
        let rules = || Rules { keep_alive: KeepAlive::OnFailure, ..Rules::default() };
        let crashed = End { status: "signal: 9", success: false, was_ready: true };
        for (end, again) in [(READY, None), (crashed, Some(Act::Start)), (FAILED, Some(Act::Start))]
        {
            let (mut one, now) = of(rules());
            one.started(now);
            one.checked_in(end.was_ready);
            one.ended(end, now);
            assert_eq!(one.act(now), again, "{end:?}");
        }
    }

    #[test]
    fn one_that_does_not_check_in_is_told_to_end_and_then_killed() {
        let rules =
            Rules { check_in_within: Some(ms(10)), exit_timeout: ms(5), ..Rules::default() };
        let (mut one, now) = of(rules);
        one.want();
        one.started(now);
        one.checked_in(false);
        assert_eq!(one.act(now + ms(9)), None);
        assert_eq!(one.act(now + ms(10)), Some(Act::Terminate));
        assert_eq!(one.act(now + ms(14)), None);
        assert_eq!(one.act(now + ms(15)), Some(Act::Kill));
        assert_eq!((one.act(now + ms(99)), one.due()), (None, Due::Never));
        let end = End { status: "signal: 9", ..FAILED };
        assert_eq!(one.ended(end, now + ms(99)), "it did not check in within 10ms");
    }

    #[test]
    fn one_that_is_idle_is_told_to_end_and_started_when_it_is_wanted() {
        let (mut one, now) = of(Rules { idle_exit: Some(ms(10)), ..Rules::default() });
        one.want();
        one.started(now);
        one.is_busy_until(Some(now));
        assert_eq!(one.due(), Due::Never, "it has not checked in");
        one.checked_in(true);
        one.is_busy_until(None);
        assert_eq!(one.due(), Due::Never);
        one.is_busy_until(Some(now + ms(1)));
        assert_eq!(one.act(now + ms(10)), None);
        assert_eq!(one.act(now + ms(11)), Some(Act::Terminate));
        one.want();
        assert_eq!(one.ended(READY, now + ms(12)), "it was told to end, being idle");
        assert_eq!(one.act(now + ms(12)), Some(Act::Start));
    }

    #[test]
    fn what_is_stopped_by_hand_is_started_by_hand_only() {
        let (mut one, now) = of(Rules { keep_alive: KeepAlive::Always, ..Rules::default() });
        one.want();
        one.started(now);
        one.checked_in(true);
        one.stop(now);
        assert_eq!(one.act(now), Some(Act::Terminate));
        assert_eq!(one.ended(READY, now), "it was stopped by hand");
        one.want();
        assert_eq!((one.act(now), one.doing(now)), (None, Doing::Stopped));
        assert!(one.held_back(now).is_some());
        one.start();
        assert_eq!(one.act(now), Some(Act::Start));
        one.started(now);
        one.restart(now);
        assert_eq!(one.act(now), Some(Act::Terminate));
        one.ended(READY, now);
        assert_eq!(one.act(now), Some(Act::Start));
    }
}
