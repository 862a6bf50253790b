//! `cargo xtask bench`: the rows of the benchmark beside their limits, and beside what
//! one would pick instead.
//!
//! The rows are a member of the workspace; the peers are a package outside of it, with
//! a lock file of its own. Whoever asks for a quick run gets the rows alone, so that
//! `cargo xtask check` builds no peer: there the rows run once, and whether each still
//! gives a figure is all that is asked. Whether the figures are good is for people to
//! judge, on a machine that does nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::child::tail;
use crate::program::Program;
use crate::step::{Bench, Ending};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// The package of the peers, and where it is built.
const PEERS: &str = "bench/peers";

/// Measures every row beside its limit, in short slices in turn.
///
/// Ends well whether rows pass or are short, and badly where one could not be
/// measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Under 40 s in all, and without peers unless they are asked for.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// As long as it takes to be sure.
    #[arg(long)]
    full: bool,
    /// With every peer; without this, those that rows depend on.
    #[arg(long)]
    peers: bool,
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

impl Options {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let flags = [(self.quick, "--quick"), (self.full, "--full"), (self.peers, "--peers")];
        for (_, flag) in flags.iter().filter(|(asked, _)| *asked) {
            arguments.push((*flag).to_owned());
        }
        arguments.extend(self.rows.iter().map(|row| format!("--row={row}")));
        for (path, flag) in [(&self.json, "--json"), (&self.html, "--html")] {
            // Seen from where we were called; the program runs at the root.
            let path = path.as_ref().map(|path| std::path::absolute(path).unwrap_or(path.clone()));
            arguments.extend(path.map(|path| format!("{flag}={}", path.display())));
        }
        arguments
    }
}

fn rows(options: &Options) -> Program {
    let arguments = options.arguments();
    Program { package: "pillarbox-bench-rows", name: "rows", arguments }
}

/// Runs the rows and shows the table.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    if options.quick && !options.peers {
        return rows(options).run();
    }
    let workspace = Workspace::load()?;
    let mut bench = Bench::new(&workspace, "bench-peers");
    let dir = workspace.root.join(PEERS);
    let mut build = bench.cargo("build --quiet --release --locked");
    build.arg("--manifest-path").arg(dir.join("Cargo.toml"));
    if let Err(broken) = bench.must(build.arg("--target-dir").arg(dir.join("target"))) {
        say(tail(&broken.output, 60));
        say(format_args!("failed: {}", broken.why));
        return Ok(Verdict::Bad);
    }
    let mut command = Command::new(dir.join(Path::new("target/release/peers")));
    let status = command.args(options.arguments()).current_dir(&workspace.root).status()?;
    Ok(Verdict::good_if(status.success()))
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    let quick =
        Options { quick: true, full: false, peers: false, rows: vec![], json: None, html: None };
    rows(&quick).step(bench)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn what_is_asked_for_is_passed_on() {
        let words = ["bench", "--quick", "--row", "call-awake", "copy-1m", "--json", "/tmp/x.json"];
        let line = Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            line.options.arguments(),
            ["--quick", "--row=call-awake", "--row=copy-1m", "--json=/tmp/x.json"]
        );
        assert!(Line::try_parse_from(["bench", "--quick", "--full"]).is_err());
    }
}
