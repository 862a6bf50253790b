//! `cargo xtask bench`: the rows of the benchmark beside their limits.
//!
//! In `cargo xtask check` the rows run once, quickly: whether each still gives a
//! figure. Whether the figures are good is for people to judge, on a machine that
//! does nothing else.

use std::path::PathBuf;

use anyhow::Result;

use crate::Verdict;
use crate::program::Program;
use crate::step::{Bench, Ending};

/// Measures every row beside its limit, in short slices in turn.
///
/// Ends well whether rows pass or are short, and badly where one could not be
/// measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Under 40 s in all.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// As long as it takes to be sure: a quarter of an hour.
    #[arg(long)]
    full: bool,
    /// Measure these rows only.
    #[arg(long = "row", value_name = "NAME", num_args = 1..)]
    rows: Vec<String>,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with the table and the distributions.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn program(options: &Options) -> Program {
    let mut arguments = Vec::new();
    for (asked, flag) in [(options.quick, "--quick"), (options.full, "--full")] {
        if asked {
            arguments.push(flag.to_owned());
        }
    }
    arguments.extend(options.rows.iter().map(|row| format!("--row={row}")));
    for (path, flag) in [(&options.json, "--json"), (&options.html, "--html")] {
        // Seen from where we were called; the program runs at the root.
        let path = path.as_ref().map(|path| std::path::absolute(path).unwrap_or(path.clone()));
        arguments.extend(path.map(|path| format!("{flag}={}", path.display())));
    }
    Program { package: "pillarbox-bench-rows", name: "rows", arguments }
}

/// Runs the rows and shows the table.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    program(options).run()
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    let quick = Options { quick: true, full: false, rows: Vec::new(), json: None, html: None };
    program(&quick).step(bench)
}
