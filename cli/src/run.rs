//! Running a program: its bytes in, its bytes out.
//!
//! Standard input is written while standard output and standard error are read,
//! by one thread in one poll loop, so no pipe that fills up can stop another. A
//! program that does not read its input, or closes it early, is fine.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use pillarbox::limits;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, OFlags, Timespec, access, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::failure::Failure;
use crate::server::Place;

/// How much is read at a time: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// How long a program whose pipes are closed may take to end.
const GRACE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    words: Vec<OsString>,
    place: Place,
    group: i32,
}

impl Program {
    /// Finds the program as a shell would. Its runs become members of the
    /// process group `group`.
    pub(crate) fn find(words: &[OsString], place: &Place, group: i32) -> Result<Self, Failure> {
        let [name, arguments @ ..] = words else {
            return Err(Failure::usage("no command was given"));
        };
        let path = which(name)?;
        let words = std::iter::once(name).chain(arguments).cloned().collect();
        Ok(Program { path, words, place: place.clone(), group })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        self.words.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Starts one run.
    pub(crate) fn start(&self) -> io::Result<Running> {
        let mut command = Command::new(&self.path);
        if let [name, arguments @ ..] = self.words.as_slice() {
            command.arg0(name).args(arguments);
        }
        self.place.tell(&mut command);
        let mut child = command
            .process_group(self.group)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        if let Some(input) = &input {
            let flags = fcntl_getfl(input)?;
            fcntl_setfl(input, flags | OFlags::NONBLOCK)?;
        }
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        Ok(Running { child, input, output, errors, chunk: vec![0; CHUNK] })
    }
}

/// Looks a program up in `PATH`, or where it says it is.
fn which(name: &OsStr) -> Result<PathBuf, Failure> {
    let shown = name.to_string_lossy().into_owned();
    if name.is_empty() {
        return Err(Failure::usage("the command is empty"));
    }
    if name.as_bytes().contains(&b'/') {
        let path = Path::new(name);
        return match is_program(path) {
            Ok(()) => Ok(path.to_path_buf()),
            Err(error) => Err(Failure::usage(format!("{shown} cannot be started")).because(error)),
        };
    }
    let places = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&places)
        .map(|place| place.join(name))
        .find(|path| is_program(path).is_ok())
        .ok_or_else(|| {
            Failure::usage(format!("{shown} was not found in PATH"))
                .hint("everything after `--` is the command and its arguments")
        })
}

fn is_program(path: &Path) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok(access(path, Access::EXEC_OK)?)
}

/// The exit status as a shell says it: 128+n for signal n.
pub(crate) fn code(status: ExitStatus) -> u8 {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}

/// Why what a run said is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{}", crate::reply::too_long())]
    TooLong,
    #[error("the command cannot be exchanged with: {0}")]
    System(#[from] io::Error),
}

/// What a run has said so far.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// One run of a program.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    chunk: Vec<u8>,
}

impl Running {
    /// Gives it all its input, takes all its output, waits for its end.
    pub(crate) fn finish(mut self, input: &[u8]) -> Result<(ExitStatus, Said), RunError> {
        let mut said = Said::default();
        let done = self.finish_pipes(input, &mut said);
        if done.is_err() {
            self.kill();
        }
        let status = self.child.wait()?;
        done.map(|()| (status, said))
    }

    fn finish_pipes(&mut self, mut input: &[u8], said: &mut Said) -> Result<(), RunError> {
        if input.is_empty() {
            self.input = None;
        }
        while self.output.is_some() || self.errors.is_some() {
            self.step(&mut input, said)?;
            if input.is_empty() {
                self.input = None;
            }
        }
        Ok(())
    }

    /// Whether it still says anything on standard output.
    pub(crate) fn is_open(&self) -> bool {
        self.output.is_some()
    }

    /// Whether it runs and reads on.
    pub(crate) fn is_listening(&mut self) -> bool {
        self.input.is_some() && self.output.is_some() && matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it now.
    pub(crate) fn kill(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
    }

    /// Closes its pipes and waits for its end; one that stays is ended.
    pub(crate) fn end(mut self) -> io::Result<ExitStatus> {
        drop((self.input.take(), self.output.take(), self.errors.take()));
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        let mut polled = [PollFd::new(&process, PollFlags::IN)];
        if !matches!(poll(&mut polled, Some(&GRACE)), Ok(1..)) {
            self.kill();
        }
        self.child.wait()
    }

    /// Moves what can be moved, after waiting until something can. What of
    /// `input` was written is cut off.
    pub(crate) fn step(&mut self, input: &mut &[u8], said: &mut Said) -> Result<(), RunError> {
        if self.input.is_none() {
            *input = &[];
        }
        let ready = self.poll(!input.is_empty())?;
        if ready.input
            && let Some(pipe) = &mut self.input
        {
            match pipe.write(input) {
                Ok(written) => *input = input.get(written..).unwrap_or_default(),
                Err(error) if is_passing(&error) => {}
                // It does not want the rest, which is its own affair.
                Err(_) => {
                    *input = &[];
                    self.input = None;
                }
            }
        }
        if ready.output {
            take(&mut self.output, &mut self.chunk, &mut said.stdout)?;
        }
        if ready.errors {
            take(&mut self.errors, &mut self.chunk, &mut said.stderr)?;
        }
        if said.stdout.len() as u64 + said.stderr.len() as u64 > limits::MESSAGE_BYTES {
            return Err(RunError::TooLong);
        }
        Ok(())
    }

    fn poll(&self, writing: bool) -> io::Result<Ready> {
        let mut fds: Vec<(Which, BorrowedFd<'_>)> = Vec::with_capacity(3);
        if let Some(input) = self.input.as_ref().filter(|_| writing) {
            fds.push((Which::Input, input.as_fd()));
        }
        fds.extend(self.output.as_ref().map(|pipe| (Which::Output, pipe.as_fd())));
        fds.extend(self.errors.as_ref().map(|pipe| (Which::Errors, pipe.as_fd())));
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .map(|(which, fd)| {
                let flags = match which {
                    Which::Input => PollFlags::OUT,
                    Which::Output | Which::Errors => PollFlags::IN,
                };
                PollFd::from_borrowed_fd(*fd, flags)
            })
            .collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = Ready::default();
        for ((which, _), polled) in fds.iter().zip(&polled) {
            if !polled.revents().is_empty() {
                match which {
                    Which::Input => ready.input = true,
                    Which::Output => ready.output = true,
                    Which::Errors => ready.errors = true,
                }
            }
        }
        Ok(ready)
    }
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Input,
    Output,
    Errors,
}

#[derive(Debug, Default)]
struct Ready {
    input: bool,
    output: bool,
    errors: bool,
}

/// Reads once from a pipe that is ready; its end closes it.
fn take(pipe: &mut Option<impl Read>, chunk: &mut [u8], said: &mut Vec<u8>) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(chunk) {
        Ok(0) => *pipe = None,
        Ok(read) => {
            said.try_reserve(read)?;
            said.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
        Err(error) if is_passing(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
