//! Calls where both ends sleep, beside the bare sleepers of the kernel: futex,
//! eventfd, pipe and socket, each with 64 bytes there and 64 back.
//!
//! Before each operation there is a silence in which everybody goes to sleep: the
//! server is woken by the request, the client by the answer.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::{PipeFlags, pipe_with};
use shm::bare::BareMemory;

use super::server::{BODY, Pair, SMALL};
use crate::child::{Casting, Child, Stage};
use crate::clock::with_silences;
use crate::figure::Slice;
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of a bare sleeper's other end.
pub(super) const SLEEPS: &str = "bare-sleeper";

/// Words of the counter there and of the one back; behind each its payload.
const THERE: usize = 0;
const BACK: usize = 64;

/// One wait for a bare sleeper; longer only where the other end is gone.
const LONG: Duration = Duration::from_secs(10);

struct Ours(Pair);

impl Contender for Ours {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        with_silences(span, || self.0.call())
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

/// Sleepers by their names on the command line of the part.
const KINDS: [&str; 4] = ["futex", "eventfd", "pipe", "socket"];

/// One end of a pair that sleeps.
enum End {
    /// Counters in shared memory: ours, the other's, and what we saw of it.
    Futex {
        memory: BareMemory,
        own: usize,
        other: usize,
        seen: u64,
    },
    /// A descriptor to ring, one to sleep on, and the payload in shared memory.
    Event {
        memory: BareMemory,
        own: usize,
        other: usize,
        ring: OwnedFd,
        bell: OwnedFd,
    },
    /// A descriptor to write to and one to read from.
    Bytes {
        to: OwnedFd,
        from: OwnedFd,
    },
    Socket(UnixStream),
}

impl End {
    fn send(&mut self, body: &[u8; SMALL]) -> Result<()> {
        match self {
            End::Futex { memory, own, .. } => {
                store(memory, *own, body);
                let word = &memory.words()[*own];
                word.store(word.load(Relaxed) + 1, Release);
                memory.wake(*own);
            }
            End::Event { memory, own, ring, .. } => {
                store(memory, *own, body);
                rustix::io::write(ring, &1_u64.to_ne_bytes())?;
            }
            End::Bytes { to, .. } => {
                let written = rustix::io::write(to, body)?;
                if written != SMALL {
                    bail!("a pipe took a part");
                }
            }
            End::Socket(socket) => socket.write_all(body)?,
        }
        Ok(())
    }

    fn receive(&mut self, body: &mut [u8; SMALL]) -> Result<()> {
        match self {
            End::Futex { memory, other, seen, .. } => {
                let word = &memory.words()[*other];
                loop {
                    let now = word.load(Acquire);
                    if now != *seen {
                        *seen = now;
                        break;
                    }
                    memory.sleep(*other, now as u32, LONG);
                }
                load(memory, *other, body);
            }
            End::Event { memory, other, bell, .. } => {
                let mut count = [0; 8];
                rustix::io::retry_on_intr(|| rustix::io::read(&*bell, &mut count))?;
                load(memory, *other, body);
            }
            End::Bytes { from, .. } => {
                let read = rustix::io::retry_on_intr(|| rustix::io::read(&*from, &mut body[..]))?;
                if read != SMALL {
                    bail!("the other end of a pipe is gone");
                }
            }
            End::Socket(socket) => socket.read_exact(body)?,
        }
        Ok(())
    }
}

fn store(memory: &BareMemory, counter: usize, body: &[u8; SMALL]) {
    for (word, bytes) in memory.words()[counter + 16..].iter().zip(body.as_chunks::<8>().0) {
        word.store(u64::from_ne_bytes(*bytes), Relaxed);
    }
}

fn load(memory: &BareMemory, counter: usize, body: &mut [u8; SMALL]) {
    for (word, bytes) in memory.words()[counter + 16..].iter().zip(body.as_chunks_mut::<8>().0) {
        *bytes = word.load(Relaxed).to_ne_bytes();
    }
}

/// A bare sleeper, and its other end in another process.
struct Sleeper {
    /// Ends first, so that it does not miss the other end.
    server: Child,
    end: End,
}

impl Sleeper {
    fn new(kind: &'static str, row: &Row) -> Result<Sleeper> {
        let (memory, shared) = BareMemory::create(4096)?;
        let casting = Casting::of(SLEEPS, row.place).argument(kind).descriptor(&shared);
        let (end, server) = match kind {
            "futex" => {
                let end = End::Futex { memory, own: THERE, other: BACK, seen: 0 };
                (end, casting.start()?)
            }
            "eventfd" => {
                let there = eventfd(0, EventfdFlags::CLOEXEC)?;
                let back = eventfd(0, EventfdFlags::CLOEXEC)?;
                let server = casting.descriptor(&back).descriptor(&there).start()?;
                (End::Event { memory, own: THERE, other: BACK, ring: there, bell: back }, server)
            }
            "pipe" => {
                let (from_us, to) = pipe_with(PipeFlags::CLOEXEC)?;
                let (from, to_us) = pipe_with(PipeFlags::CLOEXEC)?;
                let server = casting.descriptor(&to_us).descriptor(&from_us).start()?;
                (End::Bytes { to, from }, server)
            }
            _ => {
                let (ours, theirs) = UnixStream::pair()?;
                (End::Socket(ours), casting.descriptor(&theirs).start()?)
            }
        };
        Ok(Sleeper { server, end })
    }

    fn round_trip(&mut self) -> Result<()> {
        self.end.send(&BODY)?;
        let mut back = [0; SMALL];
        self.end.receive(&mut back)?;
        if back != BODY {
            bail!("another body came back");
        }
        Ok(())
    }
}

impl Contender for Sleeper {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        with_silences(span, || self.round_trip())
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

/// The other end: returns every body. It ends with its parent.
pub(super) fn sleep(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let mut fds = stage.descriptors.drain(..);
    let mut next = || fds.next().context("too few descriptors");
    let memory = BareMemory::open(&next()?)?;
    let mut end = match stage.arguments.first().map_or("", String::as_str) {
        "futex" => End::Futex { memory, own: BACK, other: THERE, seen: 0 },
        "eventfd" => End::Event { memory, own: BACK, other: THERE, ring: next()?, bell: next()? },
        "pipe" => End::Bytes { to: next()?, from: next()? },
        "socket" => End::Socket(UnixStream::from(next()?)),
        other => bail!("nobody sleeps on {other}"),
    };
    let mut body = [0; SMALL];
    loop {
        end.receive(&mut body)?;
        end.send(&body)?;
    }
}

pub(super) fn call(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let mut entrants = vec![Entrant::new("pillarbox", Side::Ours, Ours(Pair::new(row.place)?))];
    for kind in KINDS {
        entrants.push(Entrant::new(kind, Side::PeerAndLimit, Sleeper::new(kind, row)?));
    }
    Ok(entrants)
}
