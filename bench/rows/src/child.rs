//! The other process of a row: this program once more, acting a part.
//!
//! It has a socket to its parent as its standard input. Over it come the
//! descriptors it needs, first; then words of eight bytes each way, for starting
//! and ending slices. When the parent is gone the socket says so, and so it ends.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pillarbox::{Spawn, Task};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::Signal;

use crate::place::{Cores, Place, cpu_ns};

/// The variable that says which part a process is to act, where, and with which
/// arguments.
const PART: &str = "PILLARBOX_BENCH_PART";

/// How long a word of the other side may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most descriptors a child is given.
const DESCRIPTORS: usize = 8;

/// A part that a child can act.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Acts it, until the parent has gone.
    pub act: fn(&mut Stage) -> Result<()>,
}

/// What a child works with.
#[derive(Debug)]
pub struct Stage {
    /// The parent's words.
    pub line: Line,
    /// What the parent passed.
    pub descriptors: Vec<OwnedFd>,
    /// What the parent said besides the name of the part.
    pub arguments: Vec<String>,
    place: Place,
    cores: &'static Cores,
}

impl Stage {
    /// Pins the process where the row wants it. A task looks at its making how
    /// many processors there are, and spins on more than one only: a part of a
    /// row on two cores makes its task first.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn take_place(&self) -> Result<()> {
        self.cores.pin(self.place.server())
    }

    /// The part's argument at `index`, as a number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, index: usize) -> Result<usize> {
        let word = self.arguments.get(index).context("the part lacks an argument")?;
        word.parse().context("the part's argument is no number")
    }
}

/// Words of eight bytes to and from the other process.
#[derive(Debug)]
pub struct Line(UnixStream);

impl Line {
    /// Says a word.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn say(&mut self, word: u64) -> Result<()> {
        self.0.write_all(&word.to_le_bytes()).context("the other process is gone")
    }

    /// Waits for a word, without an end: for who serves.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn hear(&mut self) -> Result<u64> {
        let mut word = [0; 8];
        self.0.read_exact(&mut word).context("the other process is gone")?;
        Ok(u64::from_le_bytes(word))
    }

    /// The socket.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A child; it ends when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    /// What it says, and is told.
    pub line: Line,
}

/// How a child is started.
#[derive(Debug)]
pub struct Casting<'a> {
    part: &'static str,
    arguments: Vec<String>,
    place: Place,
    descriptors: Vec<BorrowedFd<'a>>,
    variables: Vec<(String, String)>,
}

impl<'a> Casting<'a> {
    /// A child that acts `part`, where servers of such a row run.
    pub fn of(part: &'static str, place: Place) -> Self {
        Casting {
            part,
            arguments: Vec::new(),
            place,
            descriptors: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// With one argument more.
    #[must_use]
    pub fn argument(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// With one descriptor more.
    #[must_use]
    pub fn descriptor(mut self, fd: &'a impl AsFd) -> Self {
        self.descriptors.push(fd.as_fd());
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(self) -> Result<Child> {
        self.start_by(|mut command| Ok(command.spawn()?))
    }

    /// Starts it as a child of `task`, with such rights.
    ///
    /// # Errors
    /// What the system says.
    pub fn start_from(
        self,
        task: &Task,
        rights: impl IntoIterator<Item = (&'static str, pillarbox::SendRight)>,
    ) -> Result<Child> {
        self.start_by(|command| {
            let spawn = rights
                .into_iter()
                .fold(Spawn::new(command), |spawn, (name, right)| spawn.right(name, right));
            Ok(spawn.spawn_in(task)?)
        })
    }

    fn start_by(self, start: impl FnOnce(Command) -> Result<std::process::Child>) -> Result<Child> {
        let (ours, theirs) = UnixStream::pair().context("no socket for a child")?;
        let mut command = Command::new(std::env::current_exe()?);
        let mut words = vec![self.part.to_owned(), self.place.name().to_owned()];
        words.extend(self.arguments);
        let (name, list) = Cores::here()?.variable();
        command
            .env(name, list)
            .env(PART, words.join(" "))
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(Stdio::null()).envs(self.variables);
        let process = start(command).with_context(|| format!("{} cannot start", self.part))?;
        ours.set_read_timeout(Some(PATIENCE))?;
        send_descriptors(&ours, &self.descriptors)?;
        Ok(Child { process, line: Line(ours) })
    }
}

impl Child {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Nanoseconds of processor time it has used.
    pub(crate) fn cpu_ns(&self) -> u64 {
        cpu_ns(self.pid())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("a child has a pid")?, signal)?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn send_descriptors(socket: &UnixStream, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        bail!("too many descriptors for one child");
    }
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)
        .context("descriptors cannot be passed to a child")?;
    Ok(())
}

fn receive_descriptors(socket: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(fds)
}

/// Whether this process was started to act a part.
pub fn acts() -> bool {
    std::env::var_os(PART).is_some()
}

/// Where this process was started to act a part, acts it. Every program that runs
/// rows begins with this.
///
/// # Errors
/// What stopped it, the end of its parent left out.
pub fn act(parts: &[Part]) -> Option<Result<()>> {
    let asked = std::env::var(PART).ok()?;
    Some(play(&asked, parts))
}

fn play(asked: &str, parts: &[Part]) -> Result<()> {
    let mut words = asked.split(' ').map(str::to_owned);
    let name = words.next().unwrap_or_default();
    let place = words.next().and_then(|place| Place::named(&place));
    let place = place.context("the parent did not say where")?;
    let part = parts.iter().chain(crate::rows::PARTS).find(|part| part.name == name);
    let part = part.with_context(|| format!("no part is called {name}"))?;
    // Whatever it waits for, it does not outlive its parent.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let cores = Cores::here()?;
    // The parent is pinned, and so were we when we were born. A task looks at its
    // making whether it may spin.
    cores.pin(if place == Place::OneCore { place.server() } else { None })?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let socket = UnixStream::from(socket);
    let descriptors = receive_descriptors(&socket).context("the parent passed nothing")?;
    let line = Line(socket);
    (part.act)(&mut Stage { line, descriptors, arguments: words.collect(), place, cores })
}
