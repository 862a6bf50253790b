//! `cargo xtask bench`: the rows of the benchmark beside their limits, and beside what
//! one would pick instead.
//!
//! The rows of the library are a member of the workspace, those of a face are a bench of
//! the face, and they run after them; the peers are a package outside of it, with
//! a lock file of its own. Whoever asks for a quick run gets the rows alone, so that
//! `cargo xtask check` builds no peer: there the rows run once, and whether each still
//! gives a figure is all that is asked. Whether the figures are good is for people to
//! judge, on a machine that does nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::child::tail;
use crate::program::Program;
use crate::step::{Bench, Ending, Outcome};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// The faces that have rows: what those begin with, and the package.
const FACES: [(&str, &str); 2] = [("mach", "pillarbox-mach"), ("qnx", "pillarbox-qnx")];

/// The package of the peers, and where it is built.
const PEERS: &str = "bench/peers";

/// How long the rows of a face may take in `cargo xtask check`, their build included.
const LONG: Duration = Duration::from_secs(1800);

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
    /// What of it is about the rows of a face, or about those of the library; nothing
    /// where only others were asked for. Each writes files of its own.
    fn of(&self, face: Option<&str>) -> Option<Options> {
        let whose = |row: &str| {
            FACES.map(|(face, _)| face).into_iter().find(|face| {
                row.strip_prefix(face).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
        };
        let rows: Vec<String> =
            self.rows.iter().filter(|row| whose(row) == face).cloned().collect();
        if rows.is_empty() && !self.rows.is_empty() {
            return None;
        }
        let named = |path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            let Some(face) = face else { return Some(path.clone()) };
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            Some(path.with_extension(format!("{face}.{ending}")))
        };
        let (json, html) = (named(&self.json), named(&self.html));
        Some(Options { rows, json, html, peers: self.peers && face.is_none(), ..*self })
    }

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

/// Runs the rows of the library, then those of each face, and shows their tables.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let mut good = true;
    if let Some(own) = options.of(None) {
        good &= run_own(&own)? == Verdict::Good;
    }
    let workspace = Workspace::load()?;
    for (face, package) in FACES {
        let Some(options) = options.of(Some(face)) else { continue };
        let mut command = of_face(&Bench::new(&workspace, "bench"), package, &options);
        good &= command.status()?.success();
    }
    Ok(Verdict::good_if(good))
}

/// The rows of a face: a bench, which cargo builds and runs.
fn of_face(bench: &Bench<'_>, package: &str, options: &Options) -> Command {
    let mut command = bench.cargo("bench --quiet --locked");
    command.args(["-p", package, "--bench", "rows", "--"]).args(options.arguments());
    command
}

fn run_own(options: &Options) -> Result<Verdict> {
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
    let mut ended = rows(&quick).step(bench)?;
    for (face, package) in FACES {
        let mut command = of_face(bench, package, &quick);
        let output = bench.must_within(&mut command, LONG)?;
        let last = output.trim_end().lines().last().unwrap_or_default();
        if let Outcome::Passed(told) = &mut ended {
            told.push_str(&format!("; {face}: {last}"));
        }
    }
    Ok(ended)
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

    #[test]
    fn each_program_runs_the_rows_it_has() {
        let options = |rows: &[&str]| {
            let words = [&["bench", "--json=x.json"], rows].concat();
            Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).options
        };
        let all = options(&[]);
        for (face, file) in [(None, "x.json"), (Some("mach"), "x.mach.json")] {
            let of = all.of(face).unwrap_or_else(|| panic!("rows of {face:?}"));
            assert_eq!((of.rows.len(), of.json), (0, Some(PathBuf::from(file))));
        }
        let some = options(&["--row=call-awake", "--row=qnx-send-awake", "--row=qnx"]);
        assert_eq!(some.of(None).map(|of| of.rows), Some(vec!["call-awake".to_owned()]));
        assert_eq!(some.of(Some("qnx")).map(|of| of.rows.len()), Some(2));
        assert!(some.of(Some("mach")).is_none());
    }
}
