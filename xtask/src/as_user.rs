//! The step that repeats tests without privileges.
//!
//! Containers run their builds as root, and root may do what users may not:
//! open any process, ignore limits, signal everybody. So what starts processes
//! is run again as a user that owns nothing.
//!
//! A test has the paths of its source and of its programs built in. Where the
//! user cannot reach them (a clone under a private folder), a copy of the
//! sources is built in a place it can.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::child::count;
use crate::step::{Bench, Broken, Ending, Outcome, Tally, answers};
use crate::{steps, tidy};

/// The user and the group, `nobody` and `nogroup` on most machines.
const NOBODY: u32 = 65534;

/// The crates whose tests start processes or pass descriptors.
const CRATES: [&str; 4] = ["shm", "pillarbox", "boot", "cli"];

/// Tests that run the compiler, which this user does not have.
const COMPILING: [&str; 1] = ["ui"];

/// Tests that take minutes and ask for nothing that root may and others may not: once is
/// enough.
const SWEEPS: &str = "killed::";

/// Test programs that take ten seconds and more, most of them waiting, for rules of the
/// library that ask the kernel for nothing it grants to root alone: once is enough.
const WAITING: [&str; 7] = [
    "a_claim_is_read_before_its_give_ends",
    "a_given_right_is_confirmed_or_dead",
    "a_hostile_peer_hurts_only_its_own_link",
    "hostile",
    "nothing_accepted_is_lost",
    "what_a_process_may_give_is_limited",
    "what_was_spilled_survives_its_old_owner",
];

/// How long one test program may take.
const BOUND: Duration = Duration::from_secs(300);

/// A test program, and where it runs.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    file: PathBuf,
    dir: PathBuf,
}

/// The step of `cargo xtask check`.
pub(crate) fn step(bench: &mut Bench) -> Ending {
    if !rustix::process::geteuid().is_root() {
        return Ok(Outcome::NotHere("already without privileges".into()));
    }
    if !answers(Command::new("setpriv").arg("--version")) {
        return Ok(Outcome::Skipped("apt install util-linux".into()));
    }
    let home = Home::make()?;
    let ending = repeat(bench, &home);
    let _ = fs::remove_dir_all(&home.dir);
    ending
}

fn repeat(bench: &mut Bench, home: &Home) -> Ending {
    let mut root = bench.root().to_owned();
    let mut cli = bench.workspace.cli();
    let mut programs = build(bench, &root, None)?;
    if !programs.iter().all(|program| home.reaches(&program.file)) || !home.reaches(&cli) {
        root = home.dir.join("tree");
        let target = home.dir.join("target");
        copy(bench.root(), &root)?;
        programs = build(bench, &root, Some(&target))?;
        let copied = target.join("release/pillarbox");
        fs::create_dir_all(target.join("release"))?;
        fs::copy(&cli, &copied)?;
        cli = copied;
    }
    let mut tally = Tally::default();
    for program in &programs {
        let mut command = home.command(&program.file, &cli);
        command.args(["--color=never", "--skip", SWEEPS]).current_dir(&program.dir);
        let output = bench.must_within(&mut command, BOUND).map_err(|broken| {
            bench.tally.failed += Tally::of(&broken.output).failed.max(1);
            without_privileges(broken, &program.file)
        })?;
        tally.add(Tally::of(&output));
    }
    let demo = steps::demo(&cli, &root)?;
    let mut command = home.command(demo.get_program().as_ref(), &cli);
    command.args(demo.get_args()).current_dir(&root);
    bench
        .must_within(&mut command, BOUND)
        .map_err(|broken| without_privileges(broken, Path::new("pillarbox demo README.md")))?;
    Ok(Outcome::Passed(format!(
        "{} of {} again, as user {NOBODY}",
        count(tally.passed, "test"),
        count(programs.len(), "program"),
    )))
}

fn without_privileges(broken: Broken, program: &Path) -> Broken {
    let name = program.file_name().unwrap_or(program.as_os_str());
    let how = match broken.why.rsplit_once(" ended with ") {
        Some((_, status)) => format!("ended with {status}"),
        None => broken.why,
    };
    Broken { why: format!("{} as user {NOBODY}: {how}", name.display()), output: broken.output }
}

/// Builds the tests and says where they are. All of the workspace's, as the
/// step before did, so that nothing is built twice.
fn build(bench: &mut Bench, root: &Path, target: Option<&Path>) -> Result<Vec<Program>, Broken> {
    let mut command = bench.cargo("test --no-run --workspace --locked --message-format=json");
    command.current_dir(root);
    if let Some(target) = target {
        command.arg("--manifest-path").arg(root.join("Cargo.toml")).env("CARGO_TARGET_DIR", target);
    }
    let output = bench.must(&mut command)?;
    if let Some(name) = WAITING.iter().find(|name| !output.contains(&format!("/tests/{name}.rs"))) {
        return Err(Broken::new(format!("there is no test {name} to leave out")));
    }
    Ok(programs(&output, root))
}

/// The test programs among what cargo says it has built.
fn programs(output: &str, root: &Path) -> Vec<Program> {
    let dirs = CRATES.map(|dir| root.join(dir));
    let mut found = Vec::new();
    for line in output.lines().filter(|line| line.starts_with('{')) {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let is_left_out = COMPILING.contains(&name) || WAITING.contains(&name);
        if message["profile"]["test"] != true || is_left_out {
            continue;
        }
        let manifest = message["manifest_path"].as_str().map(Path::new);
        if let Some(file) = message["executable"].as_str()
            && let Some(dir) = manifest.and_then(Path::parent)
            && dirs.iter().any(|known| known == dir)
        {
            found.push(Program { file: file.into(), dir: dir.to_owned() });
        }
    }
    found
}

/// Copies the sources, readable for everybody.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in tidy::files(from)? {
        let (source, copy) = (from.join(&file), to.join(&file));
        if let Some(dir) = copy.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::copy(&source, &copy)?;
        let mode = fs::metadata(&source)?.mode();
        fs::set_permissions(&copy, Permissions::from_mode(mode | 0o444))?;
    }
    Ok(())
}

/// What the user owns: one folder that is gone afterwards.
#[derive(Debug)]
struct Home {
    dir: PathBuf,
}

impl Home {
    fn make() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("pillarbox-as-user-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        let home = Home { dir };
        for name in ["home", "run", "tmp"] {
            let dir = home.dir.join(name);
            fs::create_dir(&dir)?;
            fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
            chown(&dir, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(home)
    }

    /// `program` run by the user, who knows nothing of our environment.
    fn command(&self, program: &Path, cli: &Path) -> Command {
        let mut path = cli.parent().unwrap_or(Path::new("/")).as_os_str().to_owned();
        path.push(":/usr/local/bin:/usr/bin:/bin");
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg("--inh-caps=-all")
            .arg("--")
            .arg(program)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.dir.join("home"))
            .env("TMPDIR", self.dir.join("tmp"))
            .env("XDG_RUNTIME_DIR", self.dir.join("run"));
        command
    }

    /// Whether the user can run `file`.
    fn reaches(&self, file: &Path) -> bool {
        let mut command = self.command(Path::new("test"), Path::new("/usr/bin/test"));
        answers(command.arg("-x").arg(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_programs_are_taken() {
        let output = r#"
   Compiling something
{"manifest_path":"/r/shm/Cargo.toml","profile":{"test":true},"executable":"/t/two-1","target":{"name":"two"}}
{"manifest_path":"/r/shm/Cargo.toml","profile":{"test":true},"executable":"/t/ui-1","target":{"name":"ui"}}
{"manifest_path":"/r/shm/Cargo.toml","profile":{"test":false},"executable":"/t/cli","target":{"name":"cli"}}
{"manifest_path":"/r/abi/Cargo.toml","profile":{"test":true},"executable":"/t/abi-1","target":{"name":"abi"}}
{"reason":"build-finished","success":true}
"#;
        let two = Program { file: "/t/two-1".into(), dir: "/r/shm".into() };
        assert_eq!(programs(output, Path::new("/r")), [two]);
    }
}
