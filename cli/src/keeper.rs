//! No program of `serve` outlives it, however it ends.
//!
//! A *keeper* is a process that does nothing but read a pipe whose only writer
//! is `serve`. It leads a process group, and every run of the command is a
//! member. When `serve` ends, by itself, by Ctrl-C or by `kill -9`, the kernel
//! closes the pipe, and the keeper kills the group, itself included. So `serve`
//! needs no clean-up code, and there is no moment in which a run that has just
//! been started is not kept.
//!
//! What a command starts in the background is of the group too; only what makes
//! a group or session of its own stays.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};

use crate::failure::Failure;

/// The verb the keeper runs as. People need not know it.
pub(crate) const VERB: &str = "keep";

/// The keeper, while its pipe is open.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Holds the pipe: it closes when we end.
    process: Child,
}

impl Keeper {
    pub(crate) fn start() -> Result<Self, Failure> {
        let unstarted =
            |error: io::Error| Failure::system("the keeper of the runs cannot be started", error);
        let process = Command::new(std::env::current_exe().map_err(unstarted)?)
            .arg(VERB)
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(unstarted)?;
        Ok(Keeper { process })
    }

    /// The process group of the runs.
    pub(crate) fn group(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap_or(i32::MAX)
    }

    /// Whether somebody has killed it.
    pub(crate) fn is_gone(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Its end is the end of all runs: worth waiting for.
        let _ = self.process.wait();
    }
}

/// What the keeper does.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    if getpgrp() != getpid() {
        return Err(Failure::usage("`keep` is started by `pillarbox serve`"));
    }
    // The end of the pipe and an error of it mean the same.
    let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
    kill_current_process_group(Signal::KILL)
        .map_err(|error| Failure::system("the runs cannot be ended", io::Error::from(error)))?;
    Ok(ExitCode::SUCCESS)
}
