//! Programs of the house that prove something: built first, then run.
//!
//! By hand their output goes to the terminal, so that one sees how far they
//! are; in `cargo xtask check` it is kept, and the last line, the figures, is
//! shown.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::child::{shown, tail};
use crate::step::{Bench, Broken, Ending, Outcome};
use crate::workspace::Workspace;
use crate::{Verdict, say};

/// How long a program may take in `cargo xtask check`.
const BOUND: Duration = Duration::from_secs(600);

/// A program and what it is to do.
#[derive(Debug)]
pub(crate) struct Program {
    /// The crate.
    pub(crate) package: &'static str,
    /// Its binary.
    pub(crate) name: &'static str,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
}

impl Program {
    /// Runs it for whoever sits at the terminal.
    pub(crate) fn run(&self) -> Result<Verdict> {
        let workspace = Workspace::load()?;
        let mut bench = Bench::new(&workspace, self.name);
        let file = match self.build(&mut bench) {
            Ok(file) => file,
            Err(broken) => {
                say(tail(&broken.output, 300));
                say(format_args!("failed: {}", broken.why));
                return Ok(Verdict::Bad);
            }
        };
        let mut command = Command::new(file);
        command.args(&self.arguments).current_dir(bench.root());
        let line = shown(&command);
        let status = command.status().with_context(|| format!("cannot run {line}"))?;
        if !status.success() {
            say(format_args!("failed: {line} ended with {status}"));
        }
        Ok(Verdict::good_if(status.success()))
    }

    /// Runs it as a step of `cargo xtask check`.
    pub(crate) fn step(&self, bench: &mut Bench) -> Ending {
        let file = self.build(bench)?;
        let mut command = Command::new(file);
        command.args(&self.arguments).current_dir(bench.root());
        let output = bench.must_within(&mut command, BOUND)?;
        let last = output.trim_end().lines().last().unwrap_or_default();
        Ok(Outcome::Passed(last.trim().to_owned()))
    }

    /// Builds it, and says where it lies.
    pub(crate) fn build(&self, bench: &mut Bench) -> Result<PathBuf, Broken> {
        let mut command = bench.cargo("build --quiet --release --locked");
        command.args(["-p", self.package, "--bin", self.name]);
        bench.must(&mut command)?;
        Ok(bench.workspace.target.join("release").join(self.name))
    }
}
