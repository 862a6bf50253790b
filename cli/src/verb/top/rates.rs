//! Two looks, and what happened between them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pillarbox::TaskId;
use pillarbox::kernel::{Latencies, PortCounts};

use crate::watch::Watched;

/// The looks so far: the last is kept.
#[derive(Debug, Default)]
pub(super) struct Looks {
    before: HashMap<TaskId, Before>,
}

/// What is remembered of a task.
#[derive(Debug)]
struct Before {
    at: Instant,
    at_ns: u64,
    sent: u64,
    bytes_in: u64,
    bytes_out: u64,
    came: HashMap<u64, u64>,
    calling: Latencies,
    answering: Latencies,
}

/// What happened between two looks.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) tasks: Vec<Task>,
}

/// One task, and what it did.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) watched: Watched,
    /// `None` where it was not asked before, or has not answered.
    pub(super) rates: Option<Rates>,
    pub(super) calling: Quantiles,
    pub(super) answering: Quantiles,
}

/// What a task did for each second.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) span: Duration,
    pub(super) messages_in: f64,
    pub(super) messages_out: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    /// By port: messages that came.
    pub(super) ports: HashMap<u64, f64>,
}

/// How long calls took, of those that were timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quantiles {
    pub(super) half_ns: Option<u64>,
    pub(super) most_ns: Option<u64>,
}

impl Quantiles {
    /// Of those since `before`, or of all where there are none.
    fn of(now: &Latencies, before: Option<&Latencies>) -> Self {
        let since = before.map(|before| now.since(before)).filter(|since| since.count() > 0);
        let these = since.as_ref().unwrap_or(now);
        Quantiles { half_ns: these.quantile_ns(0.5), most_ns: these.quantile_ns(0.99) }
    }
}

impl Looks {
    /// Takes one look more. Returns what happened since the one before.
    pub(super) fn add(&mut self, watched: Vec<Watched>) -> Interval {
        let mut before = std::mem::take(&mut self.before);
        let tasks = watched
            .into_iter()
            .map(|watched| {
                let before = before.remove(&watched.task);
                let task = Task::since(watched, before.as_ref());
                // Who does not answer now may do so again.
                if let Some(seen) = Before::of(&task.watched).or(before) {
                    self.before.insert(task.watched.task, seen);
                }
                task
            })
            .collect();
        Interval { tasks }
    }
}

impl Before {
    fn of(watched: &Watched) -> Option<Self> {
        let counts = &watched.told()?.counts;
        Some(Before {
            at: watched.at,
            at_ns: counts.at_ns,
            sent: counts.messages_sent,
            bytes_in: counts.bytes_read,
            bytes_out: counts.bytes_written,
            came: counts.ports.iter().map(|port| (port.port, port.came())).collect(),
            calling: counts.calling.clone(),
            answering: counts.answering.clone(),
        })
    }
}

impl Task {
    fn since(watched: Watched, before: Option<&Before>) -> Self {
        let Some(told) = watched.told() else {
            let none = Quantiles::default();
            return Task { watched, rates: None, calling: none, answering: none };
        };
        let counts = &told.counts;
        let calling = Quantiles::of(&counts.calling, before.map(|before| &before.calling));
        let answering = Quantiles::of(&counts.answering, before.map(|before| &before.answering));
        let rates = before.map(|before| {
            // Its own clock, if that says anything: it was read with the counts.
            let own = Duration::from_nanos(counts.at_ns.saturating_sub(before.at_ns));
            let ours = watched.at.saturating_duration_since(before.at);
            let span = if own.is_zero() { ours } else { own }.max(Duration::from_millis(1));
            let rate = |now: u64, before: u64| per_second(now.saturating_sub(before), span);
            let came = |port: &PortCounts| {
                let before = before.came.get(&port.port).copied().unwrap_or(0);
                (port.port, rate(port.came(), before))
            };
            let ports: HashMap<u64, f64> = counts.ports.iter().map(came).collect();
            Rates {
                span,
                messages_in: watched.own_ports().filter_map(|port| ports.get(&port.port)).sum(),
                messages_out: rate(counts.messages_sent, before.sent),
                bytes_in: rate(counts.bytes_read, before.bytes_in),
                bytes_out: rate(counts.bytes_written, before.bytes_out),
                ports,
            }
        });
        Task { rates, calling, answering, watched }
    }
}

fn per_second(count: u64, span: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a rate is no more exact")]
    let count = count as f64;
    count / span.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use pillarbox::kernel::Counts;

    use super::*;
    use crate::watch::{Memory, Said, Told};

    fn look(at_ns: u64, came: u64, took: Latencies) -> Watched {
        let port = PortCounts { port: 3, taken: came, ..PortCounts::default() };
        let counts = Counts { at_ns, ports: vec![port], answering: took, ..Counts::default() };
        let told = Told { counts, kernel: None, rights: Vec::new(), peers: Vec::new() };
        Watched {
            task: TaskId { process: 1, number: 0 },
            pid: 1,
            uid: 0,
            names: Vec::new(),
            said: Said::All(Box::new(told)),
            memory: Memory::default(),
            at: Instant::now(),
        }
    }

    #[test]
    fn a_rate_is_what_happened_between_two_looks() {
        let mut looks = Looks::default();
        let mut took = Latencies::default();
        took.add(1_000_000);
        let first = looks.add(vec![look(0, 1_000, took.clone())]);
        assert!(first.tasks[0].rates.is_none(), "nothing is known yet");
        assert!(first.tasks[0].answering.half_ns.is_some_and(|ns| ns >= 1_000_000));
        took.add(1_000);
        let second = looks.add(vec![look(2_000_000_000, 1_500, took.clone())]);
        let rates = second.tasks[0].rates.as_ref().unwrap();
        assert!((rates.messages_in - 250.0).abs() < 1e-9);
        assert!(second.tasks[0].answering.most_ns.is_some_and(|ns| ns < 2_000), "the last one");
        // None was timed since: those of before are told again.
        let third = looks.add(vec![look(3_000_000_000, 1_500, took)]);
        assert!(third.tasks[0].answering.most_ns.is_some_and(|ns| ns >= 1_000_000));
    }

    #[test]
    fn who_counts_backwards_does_nothing() {
        let mut looks = Looks::default();
        let none = Latencies::default;
        let _ = looks.add(vec![look(5, u64::MAX, none())]);
        let lie = looks.add(vec![look(1, 0, none())]);
        let rates = lie.tasks[0].rates.as_ref().unwrap();
        assert_eq!(rates.messages_in.to_bits(), 0.0_f64.to_bits());
        assert!(rates.span >= Duration::from_millis(1));
    }

    #[test]
    fn who_is_silent_once_is_compared_with_the_last_that_it_said() {
        let mut looks = Looks::default();
        let none = Latencies::default;
        let _ = looks.add(vec![look(0, 0, none())]);
        let silent = Watched { said: Said::Nothing, ..look(0, 0, none()) };
        assert!(looks.add(vec![silent]).tasks[0].rates.is_none());
        let again = looks.add(vec![look(10_000_000_000, 100, none())]);
        let rates = again.tasks[0].rates.as_ref().unwrap();
        assert!((rates.messages_in - 10.0).abs() < 1e-9);
    }
}
