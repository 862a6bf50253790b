//! The steps of `cargo xtask check`, in order.
//!
//! A new step is a function here (or in a file of its own) and a row in
//! [`STEPS`].

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::count;
use crate::step::{Bench, Broken, Ending, Outcome, Step};
use crate::{
    as_user, bench, chaos, exhaustive, faces, fuzz, hostile, instructions, loom, sim, tidy,
};

/// How long an example, or the commands of the README, may take.
const SHORT: Duration = Duration::from_secs(120);

/// The other machine whose types and layouts are checked.
const CROSS: &str = "aarch64-unknown-linux-gnu";

/// Every step, in the order in which they run: what is quick to fail first.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "cargo fmt --all --check, also for fuzz/ and bench/peers/",
        run: format,
    },
    Step {
        name: "lint",
        about: "cargo clippy --workspace --all-targets, warnings are errors",
        run: lint,
    },
    Step { name: "tidy", about: "the house rules: cargo xtask tidy", run: tidy::step },
    Step { name: "build", about: "the command pillarbox as users get it", run: build },
    Step { name: "test", about: "cargo test --workspace: every target and doc example", run: test },
    Step {
        name: "refuse",
        about: "each system call refused at each of its places, in a build of its own",
        run: refuse,
    },
    Step {
        name: "features",
        about: "the library with every feature that users may add",
        run: features,
    },
    Step { name: "examples", about: "every example runs and ends well", run: examples },
    Step {
        name: "faces",
        about: "libraries for C programs are installed, and programs built with them run",
        run: faces::step,
    },
    Step {
        name: "valgrind",
        about: "the programs in C touch no memory that is not theirs, by valgrind",
        run: faces::memory::valgrind,
    },
    Step { name: "asan", about: "the same, by AddressSanitizer", run: faces::memory::asan },
    Step {
        name: "pages",
        about: "the pages of the manual are set without a warning",
        run: faces::pages::step,
    },
    Step { name: "readme", about: "the commands of README.md do what it says", run: readme },
    Step {
        name: "as-user",
        about: "tests with several processes, and README.md, without privileges",
        run: as_user::step,
    },
    Step { name: "doc", about: "cargo doc --workspace --no-deps, warnings are errors", run: doc },
    Step { name: "loom", about: "every interleaving of the memory's models", run: loom::step },
    Step { name: "sim", about: "the simulator, 500 seeds", run: sim::step },
    Step {
        name: "exhaustive",
        about: "every sequence of 5 operations of two and three tasks",
        run: exhaustive::step,
    },
    Step { name: "hostile", about: "two million hostile frames", run: hostile::step },
    Step { name: "chaos", about: "300 kills of 20 tasks", run: chaos::step },
    Step { name: "fuzz", about: "every fuzz target, briefly", run: fuzz::step },
    Step { name: "bench", about: "every row of the benchmark gives a figure", run: bench::step },
    Step {
        name: "instructions",
        about: "the hot path takes no more instructions than bench/instructions.toml says",
        run: instructions::step,
    },
    Step { name: "deny", about: "licences, duplicates and sources of dependencies", run: deny },
    Step { name: "cross", about: "cargo check --workspace for aarch64", run: cross },
];

fn passed() -> Ending {
    Ok(Outcome::Passed(String::new()))
}

fn format(bench: &mut Bench) -> Ending {
    if !bench.has_cargo("fmt") {
        return Ok(Outcome::Skipped("rustup component add rustfmt".into()));
    }
    let mut command = bench.cargo("fmt --all --check");
    bench.must(&mut command)?;
    for outside in ["fuzz", "bench/peers"] {
        let words = format!("fmt --manifest-path {outside}/Cargo.toml --check");
        bench.must(&mut bench.cargo(&words))?;
    }
    passed()
}

fn lint(bench: &mut Bench) -> Ending {
    if !bench.has_cargo("clippy") {
        return Ok(Outcome::Skipped("rustup component add clippy".into()));
    }
    let mut command = bench.cargo("clippy --workspace --all-targets --locked -- -D warnings");
    bench.must(&mut command)?;
    passed()
}

fn build(bench: &mut Bench) -> Ending {
    let mut command = bench.cargo("build --release --locked -p pillarbox-cli");
    bench.must(&mut command)?;
    passed()
}

fn test(bench: &mut Bench) -> Ending {
    let mut command = bench.cargo("test --workspace --locked --no-fail-fast");
    let tally = bench.test(&mut command)?;
    Ok(Outcome::Passed(count(tally.passed, "test")))
}

/// Features only add. The library is linted with all of them, and what they add
/// is tested.
fn features(bench: &mut Bench) -> Ending {
    const BUILD: &str = "-p pillarbox --features stream,tokio --locked";
    if bench.has_cargo("clippy") {
        let mut command = bench.cargo(&format!("clippy {BUILD} --all-targets -- -D warnings"));
        bench.must(&mut command)?;
    }
    let mut passed = 0;
    for test in ["--test tokio_tasks_receive_and_call", "--doc"] {
        let mut command = bench.cargo(&format!("test {BUILD} {test}"));
        passed += bench.test(&mut command)?.passed;
    }
    let mut command = bench.cargo(&format!("doc {BUILD} --no-deps"));
    bench.must(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed(count(passed, "test")))
}

/// What stands in every binary that can have system calls refused.
const REFUSE_MARK: &[u8] = b"pillarbox: system calls refused";

/// The hooks are a feature that users cannot come by: the binary they get must
/// have nothing of them, and the tests' must.
fn refuse(bench: &mut Bench) -> Ending {
    const BUILD: &str = "-p pillarbox --features refuse --locked";
    if bench.has_cargo("clippy") {
        let mut command = bench.cargo(&format!("clippy {BUILD} --all-targets -- -D warnings"));
        bench.must(&mut command)?;
    }
    let test = "--test a_refused_system_call_leaves_rights_intact";
    let mut command = bench.cargo(&format!("test {BUILD} {test}"));
    let tally = bench.test(&mut command)?;
    let cli = std::fs::read(bench.workspace.cli())?;
    if cli.windows(REFUSE_MARK.len()).any(|bytes| bytes == REFUSE_MARK) {
        return Err(Broken::new("the command pillarbox has hooks that refuse system calls"));
    }
    Ok(Outcome::Passed(count(tally.passed, "sweep")))
}

/// The rule is simple: an example takes no arguments, ends by itself and ends
/// well. One that is in a folder `examples` and that cargo does not know is an
/// error, since nobody would notice when it breaks.
fn examples(bench: &mut Bench) -> Ending {
    let mut known = Vec::new();
    for package in &bench.workspace.packages {
        for target in &package.targets {
            if target.kind == "example" {
                known.push((package.name.clone(), target.clone()));
            }
        }
    }
    for file in tidy::example_files(bench.root())? {
        if known.iter().all(|(_, target)| target.source != file) {
            return Err(Broken::new(format!(
                "{file} is an example of no crate: name it under [[example]] in a Cargo.toml"
            )));
        }
    }
    for (package, target) in &known {
        let mut command = bench.cargo("run --quiet --locked");
        command.args(["-p", package, "--example", &target.name]);
        if !target.features.is_empty() {
            command.args(["--features", &target.features.join(",")]);
        }
        bench.must_within(&mut command, SHORT)?;
    }
    Ok(Outcome::Passed(count(known.len(), "example")))
}

fn readme(bench: &mut Bench) -> Ending {
    let cli = bench.workspace.cli();
    let root = bench.root().to_owned();
    bench.must_within(&mut demo(&cli, &root)?, SHORT)?;
    passed()
}

/// The command that runs what `README.md` in `dir` says, and looks at what
/// comes out.
pub(crate) fn demo(cli: &Path, dir: &Path) -> Result<Command, Broken> {
    for needed in [cli, &dir.join("README.md")] {
        if !needed.exists() {
            let name = needed.strip_prefix(dir).unwrap_or(needed);
            return Err(Broken::new(format!("there is no {}", name.display())));
        }
    }
    let mut command = Command::new(cli);
    command.args(["demo", "README.md"]).current_dir(dir);
    Ok(command)
}

fn doc(bench: &mut Bench) -> Ending {
    let mut command = bench.cargo("doc --workspace --no-deps --locked");
    let output = bench.must(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    // Cargo's own warnings know no flag: two crates that document themselves
    // under one name overwrite each other.
    match output.lines().find(|line| line.starts_with("warning:")) {
        None => passed(),
        Some(line) => Err(Broken { why: line.to_owned(), output }),
    }
}

/// No `advisories`: the database cannot be fetched everywhere, and a check that
/// changes its mind overnight does not belong in front of a commit.
fn deny(bench: &mut Bench) -> Ending {
    if !bench.has_cargo("deny") {
        return Ok(Outcome::Skipped("cargo install cargo-deny --locked".into()));
    }
    // It reads every crate of the lock file, also those of other systems that no
    // build here has fetched.
    bench.must(&mut bench.cargo("fetch --locked"))?;
    let mut command = bench.cargo("deny --offline check --hide-inclusion-graph");
    bench.must(command.args(["licenses", "bans", "sources"]))?;
    passed()
}

/// The standard library of another target comes from rustup alone, never from
/// a package registry; so its absence is told and is nobody's omission.
fn cross(bench: &mut Bench) -> Ending {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", CROSS]);
    let output = command.current_dir(bench.root()).output()?;
    let dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !Path::new(&dir).is_dir() {
        return Ok(Outcome::NotHere(format!("target {CROSS} not installed")));
    }
    let mut command = bench.cargo("check --workspace --locked --target");
    bench.must(command.arg(CROSS))?;
    passed()
}
