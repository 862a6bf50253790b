//! `cargo xtask fuzz`: coverage-guided fuzzing on the stable toolchain.
//!
//! A target is a file `fuzz/src/bin/NAME.rs`; cargo finds it by itself, and so
//! do we. What a run learns stays under `target/fuzz`; the seeds it starts from
//! are in `fuzz/corpus/NAME`, and what is worth keeping is copied there by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::child::{BOUND, tail};
use crate::step::{Bench, Broken, Ending, Outcome, answers};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// What makes a program report its coverage to libFuzzer, and every access to
/// memory it does not own. The explicit target keeps build scripts out of it.
const FLAGS: &[&str] = &[
    "--cfg fuzzing",
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Seconds a target gets in `cargo xtask check`.
const SECONDS: u64 = 5;

/// Targets that get more there: what a peer's bytes meet first.
const LONGER: &[(&str, u64)] = &[("frames", 20), ("link", 20)];

/// Looks for bytes of a peer's that break a decoder, a lane or a task.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which one, of those `--list` names; without it, all of them in turn.
    target: Option<String>,
    /// How long each is to run.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only run this one input, such as the one a failure left.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Only name the targets.
    #[arg(long)]
    list: bool,
}

/// Fuzzes what was asked for.
pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let workspace = Workspace::load()?;
    let known = targets(&workspace.root)?;
    if options.list {
        for name in known {
            say(name);
        }
        return Ok(Verdict::Good);
    }
    let chosen = match &options.target {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => bail!("there is no fuzz target {name}; there are {}", known.join(", ")),
    };
    if !has_compiler() {
        say("skipped: fuzz (apt install g++)");
        return Ok(Verdict::Bad);
    }
    let mut bench = Bench::new(&workspace, "fuzz");
    for name in chosen {
        let done = match &options.input {
            Some(input) => replay(&mut bench, &name, input),
            None => fuzz(&mut bench, &name, options.seconds),
        };
        match done {
            Ok(line) => say(format_args!("{name}: {line}")),
            Err(broken) => {
                say(tail(&broken.output, 80));
                say(format_args!("failed: {}", broken.why));
                return Ok(Verdict::Bad);
            }
        }
    }
    Ok(Verdict::Good)
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    if !has_compiler() {
        return Ok(Outcome::Skipped("apt install g++".into()));
    }
    let known = targets(bench.root())?;
    for name in &known {
        let longer = LONGER.iter().find(|(target, _)| target == name);
        fuzz(bench, name, longer.map_or(SECONDS, |(_, seconds)| *seconds))?;
    }
    Ok(Outcome::Passed(known.join(", ")))
}

/// libFuzzer is C++ and is built with what it comes in.
fn has_compiler() -> bool {
    let named = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    answers(Command::new(named).arg("--version"))
}

/// The targets there are, by name.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/src/bin"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "rs")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Runs one target for `seconds` and returns the line of figures.
fn fuzz(bench: &mut Bench, name: &str, seconds: u64) -> Result<String, Broken> {
    let program = build(bench, name)?;
    let learned = bench.workspace.target.join("fuzz/corpus").join(name);
    fs::create_dir_all(&learned)?;
    let mut command = Command::new(program);
    command
        .current_dir(bench.root())
        .arg(&learned)
        .arg(format!("fuzz/corpus/{name}"))
        .arg(format!("-max_total_time={seconds}"))
        .arg("-timeout=10")
        .arg("-rss_limit_mb=2048")
        .arg("-print_final_stats=0");
    let output = judge(bench, name, command, BOUND + Duration::from_secs(seconds))?;
    Ok(figures(&output))
}

/// The line of figures: how often it ran, and what the target counted last.
fn figures(output: &str) -> String {
    let last = |start| output.lines().rev().find_map(|line| line.strip_prefix(start));
    let counted = last("figures: ").map_or(String::new(), |counted| format!(": {counted}"));
    format!("{}{counted}, lost 0", last("Done ").unwrap_or("done"))
}

/// Runs one input.
fn replay(bench: &mut Bench, name: &str, input: &Path) -> Result<String, Broken> {
    let input = fs::canonicalize(input)?;
    let mut command = Command::new(build(bench, name)?);
    command.current_dir(bench.root()).arg(&input);
    judge(bench, name, command, BOUND)?;
    Ok("the input is harmless".to_owned())
}

fn judge(
    bench: &mut Bench,
    name: &str,
    mut command: Command,
    bound: Duration,
) -> Result<String, Broken> {
    let found = bench.workspace.target.join("fuzz/found").join(name);
    fs::create_dir_all(&found)?;
    // The sanitizer prints the stack; once is enough.
    command.env("RUST_BACKTRACE", "0").arg(format!("-artifact_prefix={}/", found.display()));
    bench.must_within(&mut command, bound).map_err(|mut broken| {
        let written =
            broken.output.lines().find_map(|line| line.split_once("Test unit written to "));
        if let Some((_, file)) = written {
            let file = Path::new(file.trim());
            let file = file.strip_prefix(bench.root()).unwrap_or(file);
            broken.why =
                format!("{name} broke; again: cargo xtask fuzz {name} --input {}", file.display());
        }
        broken
    })
}

fn build(bench: &mut Bench, name: &str) -> Result<PathBuf, Broken> {
    let host = host()?;
    let target = bench.workspace.target.join("fuzz");
    let mut command = bench.cargo("build --release --locked --manifest-path fuzz/Cargo.toml");
    command
        .args(["--target", &host, "--bin", name])
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS.join(" "));
    bench.must(&mut command)?;
    Ok(target.join(host).join("release").join(name))
}

/// This machine's target.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("rustc -vV does not name its host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_target_counted_last_is_told() {
        let output = "figures: 1 bag\n#9 NEW\nfigures: 3 bags\nDone 7 runs in 2 second(s)\n";
        assert_eq!(figures(output), "7 runs in 2 second(s): 3 bags, lost 0");
        assert_eq!(figures("Done 7 runs in 2 second(s)"), "7 runs in 2 second(s), lost 0");
    }
}
