//! What is shown of each task and each port, and in which order.

use std::cmp::Reverse;

use pillarbox::kernel::PortCounts;
use serde::Serialize;

use super::Sort;
use super::rates::{Interval, Quantiles, Task};
use crate::table::table;
use crate::watch::{self, Said};

/// The columns of tasks.
pub(super) const TASKS: [&str; 13] = [
    "PID",
    "IN/s",
    "OUT/s",
    "CALL p50",
    "p99",
    "ANSWER p50",
    "p99",
    "QUEUED",
    "WAIT",
    "IDLE",
    "DROPS",
    "MEM",
    "NAMES",
];

/// The columns of ports.
pub(super) const PORTS: [&str; 10] =
    ["PID", "PORT", "IN/s", "QUEUED", "OF", "SENDERS", "WAIT", "IDLE", "DROPS", "NAMES"];

/// The object `--json` prints for each task.
#[derive(Serialize)]
pub(super) struct Object<'a> {
    task: String,
    pid: i32,
    uid: u32,
    names: Vec<&'a str>,
    seen: bool,
    answered: bool,
    interval_ms: Option<u64>,
    in_per_s: Option<f64>,
    out_per_s: Option<f64>,
    bytes_in_per_s: Option<f64>,
    bytes_out_per_s: Option<f64>,
    call_p50_ns: Option<u64>,
    call_p99_ns: Option<u64>,
    answer_p50_ns: Option<u64>,
    answer_p99_ns: Option<u64>,
    queued: u64,
    waiting_senders: u64,
    waiting_receivers: u64,
    dropped: u64,
    refused: u64,
    links: Option<u64>,
    resident_bytes: Option<u64>,
    shared_bytes: Option<u64>,
    more_ports: bool,
    ports: Vec<Port<'a>>,
}

#[derive(Serialize)]
struct Port<'a> {
    port: u64,
    names: Vec<&'a str>,
    in_per_s: Option<f64>,
    queued: u64,
    capacity: Option<u64>,
    senders: u64,
    waiting_senders: u64,
    waiting_receivers: u64,
    taken: u64,
    dropped: u64,
    refused: u64,
}

/// The tasks, what is asked for first.
fn sorted(interval: &Interval, sort: Sort) -> Vec<&Task> {
    let mut tasks: Vec<&Task> = interval.tasks.iter().collect();
    // They come in the order of their processes, and equal ones stay so.
    match sort {
        Sort::In => {
            let rate = |task: &Task| task.rates.as_ref().map_or(0.0, |rates| rates.messages_in);
            tasks.sort_by(|one, two| rate(two).total_cmp(&rate(one)));
        }
        Sort::Queued => tasks.sort_by_key(|task| Reverse(task.watched.sum(|port| port.queued))),
        Sort::Wait => {
            tasks.sort_by_key(|task| Reverse(task.watched.sum(|port| port.waiting_senders)));
        }
        Sort::Answer => tasks.sort_by_key(|task| Reverse(task.answering.most_ns)),
        Sort::Mem => tasks.sort_by_key(|task| Reverse(task.watched.memory.resident_bytes)),
        Sort::Pid => {}
    }
    tasks
}

pub(super) fn objects(interval: &Interval, sort: Sort) -> Vec<Object<'_>> {
    sorted(interval, sort).into_iter().map(object).collect()
}

fn object(task: &Task) -> Object<'_> {
    let Task { watched, rates, calling, answering } = task;
    let rate = |of: fn(&super::rates::Rates) -> f64| rates.as_ref().map(of);
    let millis = |rates: &super::rates::Rates| u64::try_from(rates.span.as_millis()).ok();
    let ports = watched.ports().iter().map(|port| Port {
        port: port.port,
        names: watched.names_of(port.port),
        in_per_s: rates.as_ref().and_then(|rates| rates.ports.get(&port.port).copied()),
        queued: port.queued,
        capacity: port.capacity,
        senders: port.senders,
        waiting_senders: port.waiting_senders,
        waiting_receivers: port.waiting_receivers,
        taken: port.taken,
        dropped: port.dropped,
        refused: port.refused,
    });
    Object {
        task: watched.task.to_string(),
        pid: watched.pid,
        uid: watched.uid,
        names: watched.names.iter().map(|name| name.name.as_str()).collect(),
        seen: !matches!(watched.said, Said::Unseen),
        answered: watched.told().is_some(),
        interval_ms: rates.as_ref().and_then(millis),
        in_per_s: rate(|rates| rates.messages_in),
        out_per_s: rate(|rates| rates.messages_out),
        bytes_in_per_s: rate(|rates| rates.bytes_in),
        bytes_out_per_s: rate(|rates| rates.bytes_out),
        call_p50_ns: calling.half_ns,
        call_p99_ns: calling.most_ns,
        answer_p50_ns: answering.half_ns,
        answer_p99_ns: answering.most_ns,
        queued: watched.sum(|port| port.queued),
        waiting_senders: watched.sum(|port| port.waiting_senders),
        waiting_receivers: watched.sum(|port| port.waiting_receivers),
        dropped: watched.sum(|port| port.dropped),
        refused: watched.sum(|port| port.refused),
        links: watched.told().map(|told| told.counts.links),
        resident_bytes: watched.memory.resident_bytes,
        shared_bytes: watched.memory.shared_bytes,
        more_ports: watched.told().is_some_and(|told| told.counts.next.is_some()),
        ports: ports.collect(),
    }
}

pub(super) fn tasks_table(interval: &Interval, sort: Sort) -> String {
    table(TASKS, 0..12, task_rows(interval, sort))
}

pub(super) fn ports_table(interval: &Interval, sort: Sort) -> String {
    table(PORTS, 0..9, port_rows(interval, sort))
}

/// A line for each task.
pub(super) fn task_rows(interval: &Interval, sort: Sort) -> Vec<[String; 13]> {
    sorted(interval, sort).into_iter().map(task_row).collect()
}

fn task_row(task: &Task) -> [String; 13] {
    let Task { watched, rates, calling, answering } = task;
    let unknown = match watched.said {
        Said::Unseen => "-",
        Said::All(_) | Said::Nothing => "?",
    };
    let told = |text: String| if watched.told().is_some() { text } else { unknown.to_owned() };
    let rate = |of: fn(&super::rates::Rates) -> f64| match rates {
        Some(rates) => count(of(rates)),
        None => unknown.to_owned(),
    };
    let sum = |of: fn(&PortCounts) -> u64| told(watched.sum(of).to_string());
    let took = |quantile: Option<u64>| told(quantile.map_or("-".to_owned(), time));
    let Quantiles { half_ns: call_half, most_ns: call_most } = *calling;
    let Quantiles { half_ns: answer_half, most_ns: answer_most } = *answering;
    let names: Vec<&str> = watched.names.iter().map(|name| name.name.as_str()).collect();
    [
        watched.pid.to_string(),
        rate(|rates| rates.messages_in),
        rate(|rates| rates.messages_out),
        took(call_half),
        took(call_most),
        took(answer_half),
        took(answer_most),
        sum(|port| port.queued),
        sum(|port| port.waiting_senders),
        sum(|port| port.waiting_receivers),
        sum(|port| port.dropped),
        memory(watched.memory.resident_bytes, watched.memory.shared_bytes),
        match watch::called(watched.pid) {
            Some(called) if names.is_empty() => format!("({called})"),
            None if names.is_empty() => "-".to_owned(),
            _ => names.join(" "),
        },
    ]
}

/// A line for each port that has a name, or at which anything happens.
pub(super) fn port_rows(interval: &Interval, sort: Sort) -> Vec<[String; 10]> {
    let mut rows = Vec::new();
    for task in sorted(interval, sort) {
        for port in task.watched.ports() {
            let names = task.watched.names_of(port.port);
            let rate = task.rates.as_ref().and_then(|rates| rates.ports.get(&port.port));
            let stirs =
                port.queued + port.waiting_senders > 0 || rate.is_some_and(|rate| *rate > 0.0);
            if names.is_empty() && !stirs {
                continue;
            }
            let kernel = task.watched.told().is_some_and(|told| told.kernel == Some(port.port));
            rows.push([
                task.watched.pid.to_string(),
                port.port.to_string(),
                rate.map_or("?".to_owned(), |rate| count(*rate)),
                port.queued.to_string(),
                port.capacity.map_or("∞".to_owned(), |places| places.to_string()),
                port.senders.to_string(),
                port.waiting_senders.to_string(),
                port.waiting_receivers.to_string(),
                port.dropped.to_string(),
                match names.is_empty() {
                    true if kernel => "(kernel)".to_owned(),
                    true => "-".to_owned(),
                    false => names.join(" "),
                },
            ]);
        }
    }
    rows
}

/// A count, short.
fn count(number: f64) -> String {
    match number {
        number if number >= 1e9 => format!("{:.1}G", number / 1e9),
        number if number >= 1e6 => format!("{:.1}M", number / 1e6),
        number if number >= 1e4 => format!("{:.1}k", number / 1e3),
        number if number >= 10.0 || number == 0.0 => format!("{number:.0}"),
        number => format!("{number:.1}"),
    }
}

/// A span of time, short.
fn time(ns: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let number = ns as f64;
    match ns {
        0..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{:.1}µs", number / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}ms", number / 1e6),
        _ => format!("{:.1}s", number / 1e9),
    }
}

/// Memory in all, and what of it is shared.
fn memory(resident: Option<u64>, shared: Option<u64>) -> String {
    let mib = |bytes: u64| {
        #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
        let mib = bytes as f64 / (1024.0 * 1024.0);
        if mib >= 100.0 { format!("{mib:.0}M") } else { format!("{mib:.1}M") }
    };
    match (resident, shared) {
        (Some(resident), Some(shared)) => format!("{}/{}", mib(resident), mib(shared)),
        (Some(resident), None) => mib(resident),
        (None, _) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0"), (0.25, "0.2"), (12.4, "12"), (9_999.0, "9999")];
        let large = [(12_345.0, "12.3k"), (3.4e6, "3.4M"), (5e9, "5.0G")];
        for (number, text) in cases.into_iter().chain(large) {
            assert_eq!(count(number), text);
        }
        let times =
            [(999, "999ns"), (1_500, "1.5µs"), (2_000_000, "2.0ms"), (u64::MAX, "18446744073.7s")];
        for (ns, text) in times {
            assert_eq!(time(ns), text);
        }
        assert_eq!(memory(Some(3 << 20), Some(1 << 19)), "3.0M/0.5M");
        assert_eq!(memory(None, None), "?");
    }
}
