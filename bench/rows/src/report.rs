//! What came out: of one row, and of all, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::figure::{Series, ratio};
use crate::row::{Goal, Row, Unit};
use crate::runner::Side;

/// A row that was measured.
#[derive(Debug)]
pub struct Measured {
    /// Which.
    pub row: &'static Row,
    /// Ours: the median over all slices.
    pub ours: f64,
    /// The best limit, likewise.
    pub limit: Option<f64>,
    /// Which limit that was.
    pub limit_name: Option<String>,
    /// The median over all rounds of ours by the limit.
    pub ratio: Option<f64>,
    /// The row's goal, as it is where these peers run.
    pub goal: Goal,
    /// Whether it is reached.
    pub pass: bool,
    /// Each peer's median.
    pub peers: BTreeMap<String, f64>,
    /// Peers that could not be had, and why.
    pub missing: Vec<(String, String)>,
    /// Of our samples, where there are any.
    pub p99: Option<f64>,
    /// Of our samples, where there are any.
    pub p999: Option<f64>,
    /// Nanoseconds of processor time of all our processes for one operation.
    pub cpu_ns_per_op: Option<f64>,
    /// How many slices.
    pub runs: usize,
    /// Everybody's slices and samples, for plots.
    pub(crate) series: Vec<(String, Side, Series)>,
}

impl Measured {
    pub(crate) fn of(
        row: &'static Row,
        series: Vec<((String, Side), Series)>,
        missing: Vec<(String, String)>,
    ) -> Result<Measured> {
        let series: Vec<_> =
            series.into_iter().map(|((name, side), series)| (name, side, series)).collect();
        let (_, _, ours) =
            series.iter().find(|(_, side, _)| *side == Side::Ours).context("nothing of ours")?;
        let (beside, goal) = row.goal.beside(|peer| series.iter().any(|(name, _, _)| name == peer));
        let mut limit: Option<(f64, &str, &Series)> = None;
        let mut peers = BTreeMap::new();
        for (name, side, series) in &series {
            let Some(value) = series.median() else { continue };
            if matches!(side, Side::Peer | Side::PeerAndLimit) {
                peers.insert(name.clone(), value);
            }
            let is_limit = match beside {
                Some(peer) => name == peer,
                None => matches!(side, Side::Limit | Side::PeerAndLimit),
            };
            // What would be the limit without that peer stands beside it.
            if beside.is_some() && !is_limit && *side == Side::Limit {
                peers.insert(name.clone(), value);
            }
            if is_limit && limit.is_none_or(|(best, _, _)| row.unit.better(value, best)) {
                limit = Some((value, name, series));
            }
        }
        let value = ours.median().context("ours has no figure")?;
        let ratio = limit
            .filter(|_| goal.is_ratio())
            .and_then(|(_, _, series)| ratio(&ours.values, &series.values));
        let p99 = ours.quantile(0.99);
        Ok(Measured {
            row,
            ours: value,
            limit: limit.map(|(value, _, _)| value),
            limit_name: limit.map(|(_, name, _)| name.to_owned()),
            ratio,
            goal,
            pass: goal.reached(value, ratio, p99),
            peers,
            missing,
            p99,
            p999: ours.quantile(0.999),
            cpu_ns_per_op: ours.cpu_ns_per_op(),
            runs: ours.values.len(),
            series,
        })
    }
}

/// A row as JSON has it.
#[derive(Serialize)]
struct Json<'a> {
    row: &'a str,
    unit: &'a str,
    ours: f64,
    limit: Option<f64>,
    ratio: Option<f64>,
    goal: Option<f64>,
    pass: bool,
    peers: BTreeMap<&'a str, f64>,
    p99: Option<f64>,
    p999: Option<f64>,
    cpu_ns_per_op: Option<f64>,
    runs: usize,
}

/// A number with as many digits as were measured.
fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 4 - value.abs().log10().floor() as i32;
    let unit = 10_f64.powi(digits.clamp(0, 6));
    (value * unit).round() / unit
}

/// All rows as a JSON list.
///
/// # Errors
/// A figure that is no number.
pub fn json(rows: &[Measured]) -> Result<String> {
    let list: Vec<_> = rows
        .iter()
        .map(|one| Json {
            row: one.row.name,
            unit: one.row.unit.name(),
            ours: short(one.ours),
            limit: one.limit.map(short),
            ratio: one.ratio.map(short),
            goal: one.goal.number(),
            pass: one.pass,
            peers: one.peers.iter().map(|(name, value)| (&**name, short(*value))).collect(),
            p99: one.p99.map(short),
            p999: one.p999.map(short),
            cpu_ns_per_op: one.cpu_ns_per_op.map(short),
            runs: one.runs,
        })
        .collect();
    Ok(serde_json::to_string_pretty(&list)? + "\n")
}

/// A figure as a person reads it.
pub(crate) fn shown(value: f64, unit: Unit) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let step = steps.iter().find(|(from, _)| value.abs() >= *from).or(steps.last());
        let (by, name) = step.copied().unwrap_or((1.0, ""));
        let value = value / by;
        let digits = match value {
            value if value == 0.0 || value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            _ => 2,
        };
        format!("{value:.digits$} {name}")
    };
    match unit {
        Unit::Nanoseconds => scaled(&[(1e6, "ms"), (1e3, "µs"), (1.0, "ns")]),
        Unit::PerSecond => scaled(&[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")]),
        Unit::Bytes => scaled(&[(1024.0 * 1024.0, "MiB"), (1024.0, "KiB"), (1.0, "B")]),
        Unit::Runs => format!("{value:.0}"),
    }
}

pub(crate) fn goal(goal: Goal, unit: Unit) -> String {
    match goal {
        Goal::RatioAtMost(number) => format!("≤ {number} ×"),
        Goal::RatioAtLeast(number) => format!("≥ {number} ×"),
        Goal::Beside(peer, number, _) => format!("≥ {number} × {peer}"),
        Goal::AtMost(number) => format!("≤ {}", shown(number, unit)),
        Goal::Nearly(number) => format!("p99 ≤ {}", shown(number, unit)),
        Goal::Stated => "stated".to_owned(),
    }
}

const HEAD: [&str; 11] =
    ["row", "state", "ours", "limit", "which", "ratio", "goal", "", "p99", "p99.9", "cpu/op"];

/// All rows as a table, under each the peers it has.
pub fn table(rows: &[Measured]) -> String {
    let mut lines: Vec<Vec<String>> = vec![HEAD.iter().map(ToString::to_string).collect()];
    for one in rows {
        let unit = one.row.unit;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        lines.push(vec![
            one.row.name.to_owned(),
            one.row.state.word().to_owned(),
            shown(one.ours, unit),
            or_dash(one.limit.map(|limit| shown(limit, unit))),
            or_dash(one.limit_name.clone()),
            or_dash(one.ratio.map(|ratio| format!("{ratio:.2}"))),
            goal(one.goal, unit),
            if one.goal == Goal::Stated {
                String::new()
            } else {
                if one.pass { "pass" } else { "short" }.to_owned()
            },
            or_dash(one.p99.map(|p99| shown(p99, Unit::Nanoseconds))),
            or_dash(one.p999.map(|p999| shown(p999, Unit::Nanoseconds))),
            or_dash(one.cpu_ns_per_op.map(|cpu| shown(cpu, Unit::Nanoseconds))),
        ]);
    }
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
        let Some(one) = number.checked_sub(1).and_then(|at| rows.get(at)) else { continue };
        if !one.peers.is_empty() {
            let each = one.peers.iter();
            let each = each.map(|(name, value)| format!("{name} {}", shown(*value, one.row.unit)));
            let _ = writeln!(text, "    {}", each.collect::<Vec<_>>().join(", "));
        }
        for (name, why) in &one.missing {
            let _ = writeln!(text, "    {name} could not be had: {why}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Weighed;
    use crate::rows::ROWS;

    fn series(values: &[f64], samples: &[u32]) -> Series {
        Series {
            values: values.iter().map(|&value| Weighed { value, weight: 1 }).collect(),
            samples: samples.to_vec(),
            operations: 10,
            cpu_ns: 25_000,
        }
    }

    fn measured(name: &str) -> Measured {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        let samples: Vec<u32> = (1..=1000).map(|at| at * 10).collect();
        let all = vec![
            (("pillarbox".to_owned(), Side::Ours), series(&[1200.0, 1100.0, 1300.0], &samples)),
            (("futex".to_owned(), Side::Limit), series(&[1000.0, 1100.0, 1000.0], &[])),
            (("pipe".to_owned(), Side::Limit), series(&[2000.0; 3], &[])),
            (("iceoryx2".to_owned(), Side::Peer), series(&[500.0; 3], &[])),
        ];
        Measured::of(row, all, vec![("zeromq".to_owned(), "no such library".to_owned())]).unwrap()
    }

    #[test]
    fn the_json_is_as_it_was_agreed() {
        let text = json(&[measured("call-asleep-two-cores")]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!([{
            "row": "call-asleep-two-cores", "unit": "ns", "ours": 1200.0, "limit": 1000.0,
            "ratio": 1.2, "goal": 1.1, "pass": false, "peers": {"iceoryx2": 500.0},
            "p99": 9900.0, "p999": 9990.0, "cpu_ns_per_op": 2500.0, "runs": 3,
        }]);
        assert_eq!(value, expected);
        // In the order agreed, too.
        let keys: Vec<usize> = ["\"row\"", "\"unit\"", "\"ours\"", "\"runs\""]
            .iter()
            .map(|key| text.find(key).unwrap())
            .collect();
        assert!(keys.is_sorted());
    }

    #[test]
    fn a_goal_beside_a_peer_takes_that_peer_for_the_limit() {
        let row = ROWS.iter().find(|row| row.name == "loan-1m").unwrap();
        let all = |peer: &str| {
            vec![
                (("pillarbox".to_owned(), Side::Ours), series(&[1000.0; 3], &[])),
                (("bare ring".to_owned(), Side::Limit), series(&[1100.0; 3], &[])),
                ((peer.to_owned(), Side::Peer), series(&[800.0; 3], &[])),
            ]
        };
        let one = Measured::of(row, all("iceoryx2"), Vec::new()).unwrap();
        assert_eq!((one.ratio, one.limit_name.as_deref()), (Some(1.25), Some("iceoryx2")));
        assert!(one.pass && one.peers.contains_key("bare ring"));
        let alone = Measured::of(row, all("other"), Vec::new()).unwrap();
        assert_eq!((alone.goal, alone.limit), (Goal::RatioAtLeast(0.9), Some(1100.0)));
    }

    #[test]
    fn what_has_no_ratio_says_null() {
        let text = json(&[measured("local-create")]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value[0]["ratio"].is_null());
        assert_eq!(value[0]["goal"], 150.0);
    }

    #[test]
    fn the_best_limit_counts_and_peers_are_told() {
        let one = measured("call-asleep-two-cores");
        assert_eq!(one.limit_name.as_deref(), Some("futex"));
        let text = table(&[one]);
        for part in ["1.20 µs", "1.00 µs", "futex", "short", "iceoryx2 500 ns", "no such library"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn figures_are_shown_in_their_size() {
        for (value, unit, text) in [
            (553.4, Unit::Nanoseconds, "553 ns"),
            (12_345.0, Unit::Nanoseconds, "12.3 µs"),
            (2.5e6, Unit::Nanoseconds, "2.50 ms"),
            (0.4, Unit::Nanoseconds, "0.40 ns"),
            (6.7e6, Unit::PerSecond, "6.70 M/s"),
            (2048.0, Unit::Bytes, "2.00 KiB"),
            (0.0, Unit::Runs, "0"),
        ] {
            assert_eq!(shown(value, unit), text);
        }
        assert_eq!((short(0.123_456_7), short(123_456.7), short(0.0)), (0.123_46, 123_457.0, 0.0));
    }
}
