//! What is known of a program, on its way to the next server.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Phase, Supervision, left};

/// Where a program is, with spans instead of moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum At {
    Down,
    Starting { since: Duration },
    Up,
    Ending { since: Duration, told: bool, killed: bool },
}

/// All that supervision has learned of one program. What its file says is read anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    at: At,
    wanted: bool,
    stopped: bool,
    failures: u32,
    starts: u64,
    throttled: Option<Duration>,
    backing_off: Option<Duration>,
    last_end: Option<String>,
    ended_for: Option<String>,
}

impl Supervision {
    /// What the next server goes on with.
    pub(crate) fn carried(&self, now: Instant) -> Carried {
        let ago = |since: Instant| now.saturating_duration_since(since);
        let until = |until: Option<Instant>| until.and_then(|until| left(until, now));
        Carried {
            at: match self.phase {
                Phase::Down => At::Down,
                Phase::Starting { since } => At::Starting { since: ago(since) },
                Phase::Up => At::Up,
                Phase::Ending { since, told, killed } => {
                    At::Ending { since: ago(since), told, killed }
                }
            },
            wanted: self.wanted,
            stopped: self.stopped,
            failures: self.failures,
            starts: self.starts,
            throttled: until(self.throttled),
            backing_off: until(self.backing_off),
            last_end: self.last_end.clone(),
            ended_for: self.ended_for.clone(),
        }
    }

    /// Goes on where the server before this one was.
    pub(crate) fn go_on_from(&mut self, carried: Carried, now: Instant) {
        let since = |span| now.checked_sub(span).unwrap_or(now);
        let until = |span: Option<Duration>| span.and_then(|span| now.checked_add(span));
        self.phase = match carried.at {
            At::Down => Phase::Down,
            At::Starting { since: span } => Phase::Starting { since: since(span) },
            At::Up => Phase::Up,
            At::Ending { since: span, told, killed } => {
                Phase::Ending { since: since(span), told, killed }
            }
        };
        self.idle = None;
        self.wanted = carried.wanted;
        self.stopped = carried.stopped;
        self.failures = carried.failures;
        self.starts = carried.starts;
        self.throttled = until(carried.throttled);
        self.backing_off = until(carried.backing_off);
        self.last_end = carried.last_end;
        self.ended_for = carried.ended_for;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Act, Doing, Due, End, Rules};
    use super::*;

    const FAILED: End<'_> = End { status: "exit status: 1", success: false, was_ready: false };

    #[test]
    fn the_next_server_goes_on_with_each_phase() {
        let rules = || Rules {
            check_in_within: Some(Duration::from_secs(9)),
            throttle: Duration::from_secs(1),
            ..Rules::default()
        };
        let second = Duration::from_secs(1);
        let (start, mut one) = (Instant::now() + 60 * second, Supervision::new(rules()));
        let next = |one: &Supervision, now| {
            let mut next = Supervision::new(rules());
            // A moment later, by another clock.
            let carried: Vec<u8> = postcard::to_stdvec(&one.carried(now)).unwrap();
            next.go_on_from(postcard::from_bytes(&carried).unwrap(), now);
            next
        };
        one.want();
        one.started(start);
        let now = start + 4 * second;
        assert_eq!(next(&one, now).due(), Due::At(start + 9 * second));
        assert_eq!(next(&one, now).doing(now), Doing::Starting);
        one.checked_in(true);
        assert_eq!((next(&one, now).doing(now), next(&one, now).starts()), (Doing::Up, 1));
        one.stop(now);
        assert_eq!(one.act(now), Some(Act::Terminate));
        let mut ending = next(&one, now);
        assert_eq!((ending.act(now), ending.act(now + 5 * second)), (None, Some(Act::Kill)));
        assert_eq!(ending.ended(FAILED, now), "it was stopped by hand");
        assert_eq!(ending.doing(now), Doing::Stopped);
        one.ended(FAILED, now);
        one.start();
        one.started(now);
        one.ended(FAILED, now);
        one.not_started("no", now);
        assert_eq!(next(&one, now).held_back(now), one.held_back(now));
        assert!(one.held_back(now).is_some());
    }
}
