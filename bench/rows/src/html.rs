//! The table as a page, and under it how the samples of each row are distributed.
//!
//! A plot has one line for each contender: how many of a hundred operations took at
//! most so long, on a logarithmic scale. The page needs nothing from elsewhere.

use std::fmt::Write;

use crate::figure::{Series, quantile};
use crate::report::{Measured, goal, shown};
use crate::row::{Goal, Unit};
use crate::runner::Side;

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<title>Pillarbox: the benchmark</title><style>\
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:right;\
border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}\
.pass{color:#17692e}.short{color:#a33}svg{background:#fafafa;border:1px solid #ddd}\
</style><h1>Pillarbox: the benchmark</h1>\
<p>Medians; every contender of a row took short slices in turn within one run.</p>";

const COLOURS: [&str; 6] = ["#1f6feb", "#555555", "#b35900", "#8250df", "#1a7f37", "#bf3989"];

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;

/// Text as a page may hold it.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// All rows as one page.
pub fn html(rows: &[Measured]) -> String {
    let mut page = HEAD.to_owned();
    page += "<table><tr><th>row<th>ours<th>limit<th>ratio<th>goal<th><th>p99<th>p99.9<th>peers";
    for one in rows {
        let (row, unit) = (one.row, one.row.unit);
        let or_dash =
            |value: Option<f64>, unit| value.map_or("–".into(), |value| shown(value, unit));
        let verdict = match (row.goal, one.pass) {
            (Goal::Stated, _) => "",
            (_, true) => "pass",
            (_, false) => "short",
        };
        let peers: Vec<_> = one
            .peers
            .iter()
            .map(|(name, value)| format!("{} {}", plain(name), shown(*value, unit)))
            .collect();
        let _ = write!(
            page,
            "<tr title=\"{}\"><td><a href=\"#{}\">{}</a><td>{}<td>{}<td>{}<td>{}\
             <td class=\"{verdict}\">{verdict}<td>{}<td>{}<td>{}",
            plain(row.about),
            row.name,
            row.name,
            shown(one.ours, unit),
            or_dash(one.limit, unit),
            one.ratio.map_or("–".into(), |ratio| format!("{ratio:.2}")),
            plain(&goal(row)),
            or_dash(one.p99, Unit::Nanoseconds),
            or_dash(one.p999, Unit::Nanoseconds),
            peers.join(", "),
        );
    }
    page += "</table>";
    for one in rows {
        let _ = write!(page, "<h2 id=\"{}\">{}</h2>", one.row.name, one.row.name);
        let _ = write!(page, "<p>{}; {}.</p>", plain(one.row.about), one.row.place.words());
        page += &plot(&one.series);
    }
    page + "</html>\n"
}

/// The distributions of those that have samples; nothing where none has.
fn plot(series: &[(String, Side, Series)]) -> String {
    let sampled: Vec<_> =
        series.iter().filter(|(_, _, series)| !series.samples.is_empty()).collect();
    let ends = |part| sampled.iter().filter_map(move |(_, _, one)| quantile(&one.samples, part));
    let Some(least) = ends(0.0).reduce(f64::min) else { return String::new() };
    let most = ends(0.999).fold(least, f64::max).max(least + 1.0);
    let (from, to) = (least.max(1.0).log10(), most.max(2.0).log10());
    let across = |value: f64| (value.max(1.0).log10() - from) / (to - from).max(1e-3) * WIDTH;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" width=\"{WIDTH}\" role=\"img\">",
        HEIGHT + 20.0 + 16.0 * sampled.len() as f64
    );
    for power in (from.floor() as i32)..=(to.ceil() as i32) {
        let value = 10_f64.powi(power);
        let x = across(value);
        if (0.0..=WIDTH).contains(&x) {
            let _ = write!(
                svg,
                "<path d=\"M{x:.1} 0V{HEIGHT}\" stroke=\"#ddd\"/>\
                 <text x=\"{x:.1}\" y=\"{:.0}\" font-size=\"11\">{}</text>",
                HEIGHT + 14.0,
                shown(value, Unit::Nanoseconds),
            );
        }
    }
    for (number, (name, _, one)) in sampled.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let mut path = String::new();
        for step in 0..=1000 {
            let part = f64::from(step) / 1000.0;
            let Some(value) = quantile(&one.samples, part) else { continue };
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let (x, y) = (across(value).min(WIDTH), HEIGHT * (1.0 - part));
            let _ = write!(path, "{letter}{x:.1} {y:.1}");
        }
        let below = HEIGHT + 30.0 + 16.0 * number as f64;
        let _ = write!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"0\" y=\"{below:.0}\" font-size=\"13\" fill=\"{colour}\">{}</text>",
            plain(name),
        );
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_becomes_a_line() {
        let series = Series { samples: (100..1000).collect(), ..Series::default() };
        let drawn = plot(&[("us & <them>".to_owned(), Side::Ours, series)]);
        assert!(drawn.contains("<path d=\"M0.0 220.0"), "it begins at the least: {drawn}");
        assert!(drawn.contains("us &amp; &lt;them&gt;") && drawn.ends_with("</svg>"));
    }

    #[test]
    fn what_has_no_samples_has_no_plot() {
        assert_eq!(plot(&[("us".to_owned(), Side::Ours, Series::default())]), "");
        assert_eq!(plot(&[]), "");
    }
}
