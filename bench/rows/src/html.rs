//! The table as a page, and under it what each contender of a row came to, and how long
//! its single operations took.
//!
//! Bars are medians. A plot has one line for each contender with samples: from left to
//! right the fraction of its operations, every step to the right a tenth of what is left;
//! upwards how long the slowest of that fraction took. Both are logarithmic, so tails can
//! be seen. The page needs nothing from elsewhere.

use std::fmt::Write;

use crate::figure::{Series, quantile};
use crate::report::{Measured, goal, shown};
use crate::row::{Goal, State, Unit};
use crate::runner::Side;

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\">\
<title>Pillarbox: the benchmark</title><style>\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#667;--line:#d8dce2;--page:#fff;--box:#f6f7f9}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa3b0;--line:#3a414b;\
--page:#14171b;--box:#1c2026}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;\
color:var(--ink);background:var(--page)}\
a{color:inherit}h1{margin-bottom:.2rem}h2{margin:2.5rem 0 .2rem;font-size:1.15rem}\
p{margin:.3rem 0;max-width:46rem}.soft{color:var(--soft)}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
td,th{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line);\
white-space:nowrap}th{font-weight:600}td:first-child,th:first-child{text-align:left}\
.bars td{border:0;padding:.1rem .7rem}.bars td:last-child{width:60%;text-align:left}\
.bar{display:block;height:.8rem;min-width:1px;border-radius:2px}\
.pass{color:#1f8a45}.short{color:#c8453b}\
svg{background:var(--box);border:1px solid var(--line);border-radius:4px;max-width:100%;\
height:auto;margin:.6rem 0}svg text{fill:var(--ink);font:12px system-ui,sans-serif}\
svg .grid{stroke:var(--line)}</style><h1>Pillarbox: the benchmark</h1>";

/// Ours first, limits grey, and one for each peer.
const OURS: &str = "#1f6feb";
const LIMITS: [&str; 4] = ["#8a929d", "#a9b0ba", "#6d7580", "#c0c6ce"];
const PEERS: [&str; 7] =
    ["#d1720f", "#8250df", "#1a9c5b", "#d03592", "#b59f00", "#0f9fb5", "#a0522d"];

const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 240.0;
/// Room for the words at the left, and for those at the right.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 14.0;

/// The last fraction that is drawn: one of a thousand is beyond it.
const NINES: f64 = 3.0;

/// Text as a page may hold it.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The colour of each contender, in their order.
fn colours(series: &[(String, Side, Series)]) -> Vec<&'static str> {
    let (mut limits, mut peers) = (LIMITS.iter().cycle(), PEERS.iter().cycle());
    let colour = |side: &Side| match side {
        Side::Ours => Some(&OURS),
        Side::Limit => limits.next(),
        Side::Peer | Side::PeerAndLimit => peers.next(),
    };
    let mut colour = colour;
    series.iter().map(|(_, side, _)| colour(side).copied().unwrap_or(OURS)).collect()
}

/// What was measured on, as the kernel says.
fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let all = read("/proc/cpuinfo");
    let name = all.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("a processor without a name", |(_, name)| name).to_owned();
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{count} processors ({}), Linux {}", plain(name.trim()), plain(kernel.trim()))
}

/// All rows as one page.
pub fn html(rows: &[Measured]) -> String {
    let mut page = HEAD.to_owned();
    let _ = write!(
        page,
        "<p class=\"soft\">{}.</p><p>Medians. All contenders of a row took short slices in turn \
         within one run; the <em>ratio</em> is the median of the ratios of each round, of ours to \
         the best limit. p99 and p99.9 are of our single operations, cpu/op is the processor time \
         of all our processes.</p><div class=\"wide\"><table><tr><th>row<th>state<th>ours<th>limit\
         <th>which<th>ratio<th>goal<th><th>p99<th>p99.9<th>cpu/op",
        machine(),
    );
    for one in rows {
        let (row, unit) = (one.row, one.row.unit);
        let or_dash =
            |value: Option<f64>, unit| value.map_or("–".into(), |value| shown(value, unit));
        let verdict = verdict(one);
        let _ = write!(
            page,
            "<tr title=\"{}\"><td><a href=\"#{}\">{}</a><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}\
             <td class=\"{verdict}\">{verdict}<td>{}<td>{}<td>{}",
            plain(row.about),
            row.name,
            row.name,
            row.state.word(),
            shown(one.ours, unit),
            or_dash(one.limit, unit),
            one.limit_name.as_deref().map_or("–".into(), plain),
            one.ratio.map_or("–".into(), |ratio| format!("{ratio:.2}")),
            plain(&goal(one.goal, unit)),
            or_dash(one.p99, Unit::Nanoseconds),
            or_dash(one.p999, Unit::Nanoseconds),
            or_dash(one.cpu_ns_per_op, Unit::Nanoseconds),
        );
    }
    page += "</table></div>";
    for one in rows {
        page += &section(one);
    }
    page + "</html>\n"
}

fn verdict(one: &Measured) -> &'static str {
    match (one.goal, one.pass) {
        (Goal::Stated, _) => "",
        (_, true) => "pass",
        (_, false) => "short",
    }
}

/// One row: what it is, what everybody came to, and the distributions.
fn section(one: &Measured) -> String {
    let row = one.row;
    let mut text = format!("<h2 id=\"{}\">{}</h2><p>{}", row.name, row.name, plain(row.about));
    let _ = write!(text, "; {}", row.place.words());
    if matches!(row.state, State::Awake | State::Asleep) {
        let _ = write!(text, "; {}", row.state.word());
    }
    let better = if row.unit == Unit::PerSecond { "more" } else { "less" };
    let _ = write!(text, ".</p><p class=\"soft\">Goal: {}; {better} is better.", {
        plain(&goal(one.goal, row.unit))
    });
    for (name, why) in &one.missing {
        let _ = write!(text, " {} could not be had: {}.", plain(name), plain(why));
    }
    text += "</p>";
    text += &bars(&one.series, row.unit);
    text + &plot(&one.series)
}

/// The medians of all contenders.
fn bars(series: &[(String, Side, Series)], unit: Unit) -> String {
    let colours = colours(series);
    let medians: Vec<_> = series
        .iter()
        .zip(colours)
        .filter_map(|((name, _, one), colour)| Some((name, one.median()?, colour)))
        .collect();
    let most = medians.iter().map(|(_, value, _)| *value).fold(0.0, f64::max);
    let mut text = "<table class=\"bars\">".to_owned();
    for (name, value, colour) in medians {
        let part = if most > 0.0 { 100.0 * value / most } else { 0.0 };
        let _ = write!(
            text,
            "<tr><td>{}<td>{}<td><span class=\"bar\" style=\"width:{part:.1}%;\
             background:{colour}\"></span>",
            plain(name),
            shown(value, unit),
        );
    }
    text + "</table>"
}

/// Where a fraction lies from left to right.
fn across(part: f64) -> f64 {
    LEFT + (-(1.0 - part).max(1e-9).log10()).min(NINES) / NINES * WIDTH
}

/// The distributions of those that have samples; nothing where none has.
fn plot(series: &[(String, Side, Series)]) -> String {
    let colours = colours(series);
    let sampled: Vec<_> = series
        .iter()
        .zip(colours)
        .filter(|((_, _, series), _)| !series.samples.is_empty())
        .map(|((name, _, one), colour)| (name, one, colour))
        .collect();
    let ends = |part| sampled.iter().filter_map(move |(_, one, _)| quantile(&one.samples, part));
    let Some(least) = ends(0.0).reduce(f64::min) else { return String::new() };
    let most = ends(0.999).fold(least, f64::max).max(least + 1.0);
    let (from, to) = (least.max(1.0).log10(), most.max(2.0).log10());
    let up = |value: f64| {
        let part = (value.max(1.0).log10() - from) / (to - from).max(1e-3);
        TOP + HEIGHT * (1.0 - part.clamp(0.0, 1.0))
    };
    let (whole, below) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {whole} {}\" width=\"{whole}\" role=\"img\" \
         aria-label=\"how long operations took\">",
        below + 28.0
    );
    for (part, words) in
        [(0.0, "fastest"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")]
    {
        let x = across(part);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} {TOP}V{below}\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{words}</text>",
            below + 18.0,
        );
    }
    for power in (from.floor() as i32)..=(to.ceil() as i32) {
        for step in [1.0, 2.0, 5.0] {
            let value = step * 10_f64.powi(power);
            // Few lines where there are many powers.
            if !(from..=to).contains(&value.log10()) || (step != 1.0 && to - from > 2.0) {
                continue;
            }
            let y = up(value);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.0}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT + WIDTH,
                LEFT - 6.0,
                y + 4.0,
                shown(value, Unit::Nanoseconds),
            );
        }
    }
    for (number, (name, one, colour)) in sampled.iter().enumerate() {
        let mut path = String::new();
        for step in 0..=300 {
            let part = 1.0 - 10_f64.powf(-f64::from(step) / 100.0);
            let Some(value) = quantile(&one.samples, part) else { continue };
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", across(part), up(value));
        }
        let _ = write!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <circle cx=\"{0:.0}\" cy=\"{1:.0}\" r=\"4\" fill=\"{colour}\"/>\
             <text x=\"{2:.0}\" y=\"{3:.0}\">{4}</text>",
            LEFT + WIDTH + 18.0,
            TOP + 8.0 + 18.0 * number as f64,
            LEFT + WIDTH + 28.0,
            TOP + 12.0 + 18.0 * number as f64,
            plain(name),
        );
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Weighed;

    fn series() -> Series {
        let values = vec![Weighed { value: 500.0, weight: 1 }];
        Series { samples: (100..1100).collect(), values, ..Series::default() }
    }

    #[test]
    fn a_distribution_becomes_a_line() {
        let drawn = plot(&[("us & <them>".to_owned(), Side::Ours, series())]);
        let left = format!("<path d=\"M{LEFT:.1} {:.1}", TOP + HEIGHT);
        assert!(drawn.contains(&left), "it begins at the least: {drawn}");
        assert!(drawn.contains("us &amp; &lt;them&gt;") && drawn.ends_with("</svg>"));
        assert_eq!((across(0.0), across(0.999_999)), (LEFT, LEFT + WIDTH));
    }

    #[test]
    fn what_has_no_samples_has_a_bar_and_no_plot() {
        let without = Series { samples: Vec::new(), ..series() };
        let all = [("us".to_owned(), Side::Ours, without)];
        assert_eq!(plot(&all), "");
        assert!(bars(&all, Unit::Nanoseconds).contains("width:100.0%"));
        assert_eq!(plot(&[]), "");
    }

    #[test]
    fn everybody_has_a_colour_of_their_own() {
        let of = |name: &str, side| (name.to_owned(), side, Series::default());
        let all = [of("we", Side::Ours), of("ring", Side::Limit), of("it", Side::Peer)];
        assert_eq!(colours(&all), [OURS, LIMITS[0], PEERS[0]]);
    }
}
