//! The kernel's own: bytes through a pipe and through a UNIX socket, and the eight bytes
//! an eventfd has. Asleep they are among the limits already.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rows::clock::{back_to_back, in_batches};
use rows::{Casting, Child, Contender, Effort, Part, Peer, Row, Side, Slice, Stage};
use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::{PipeFlags, pipe_with};

const ECHOES: &str = "kernel-echo";
const DRAINS: &str = "kernel-drain";

/// The first byte of a body that ends a slice.
const LAST: u8 = 0xff;

/// Bytes there, and, where there is an answer, bytes back.
struct Ends {
    to: File,
    from: File,
    server: Child,
}

impl Ends {
    fn sockets(row: &Row, part: &'static str, bytes: usize) -> Result<Ends> {
        let (ours, theirs) = UnixStream::pair()?;
        let casting = Casting::of(part, row.place).argument(bytes);
        let other = theirs.try_clone()?;
        let server = casting.descriptor(&theirs).descriptor(&other).start()?;
        let to = File::from(OwnedFd::from(ours.try_clone()?));
        Ok(Ends { to, from: File::from(OwnedFd::from(ours)), server })
    }

    fn pipes(row: &Row, part: &'static str, bytes: usize) -> Result<Ends> {
        let (from_us, to) = pipe_with(PipeFlags::CLOEXEC)?;
        let (from, to_us) = pipe_with(PipeFlags::CLOEXEC)?;
        let casting = Casting::of(part, row.place).argument(bytes);
        let server = casting.descriptor(&from_us).descriptor(&to_us).start()?;
        Ok(Ends { to: File::from(to), from: File::from(from), server })
    }

    fn eventfds(row: &Row, part: &'static str) -> Result<Ends> {
        let (there, back) =
            (eventfd(0, EventfdFlags::CLOEXEC)?, eventfd(0, EventfdFlags::CLOEXEC)?);
        let casting = Casting::of(part, row.place).argument(8);
        let server = casting.descriptor(&there).descriptor(&back).start()?;
        Ok(Ends { to: File::from(there), from: File::from(back), server })
    }
}

/// Bytes there and back, so many.
struct Echo(Ends, usize);

impl Contender for Echo {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Echo(Ends { to, from, .. }, bytes) = self;
        let mut body = [7; 64];
        let body = &mut body[..*bytes];
        back_to_back(span, || {
            to.write_all(body)?;
            from.read_exact(body)?;
            ensure!(body.iter().all(|byte| *byte == 7), "another body came back");
            Ok(())
        })
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

/// What a child was passed: where to read, where to write, and how much at once.
fn passed(stage: &mut Stage) -> Result<(File, File, Vec<u8>)> {
    stage.take_place()?;
    let body = vec![0; stage.number(0)?];
    let mut fds = stage.descriptors.drain(..).map(File::from);
    let mut next = || fds.next().context("too few descriptors");
    Ok((next()?, next()?, body))
}

fn echo(stage: &mut Stage) -> Result<()> {
    let (mut from, mut to, mut body) = passed(stage)?;
    while from.read_exact(&mut body).is_ok() {
        to.write_all(&body)?;
    }
    Ok(())
}

struct Flow(Ends, Vec<u8>);

impl Contender for Flow {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Flow(Ends { to, from, .. }, body) = self;
        body[0] = 0;
        let mut slice = in_batches(span, 1, || Ok(to.write_all(body)?), || Ok(()))?;
        let start = std::time::Instant::now();
        body[0] = LAST;
        to.write_all(body)?;
        from.read_exact(&mut [0])?;
        slice.elapsed += start.elapsed();
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

fn drain(stage: &mut Stage) -> Result<()> {
    let (mut from, mut to, mut body) = passed(stage)?;
    while from.read_exact(&mut body).is_ok() {
        if body[0] == LAST {
            to.write_all(&[0])?;
        }
    }
    Ok(())
}

fn trip_socket(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Echo(Ends::sockets(row, ECHOES, 64)?, 64)))
}

fn trip_pipe(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Echo(Ends::pipes(row, ECHOES, 64)?, 64)))
}

fn trip_eventfd(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Echo(Ends::eventfds(row, ECHOES)?, 8)))
}

fn socket(row: &Row, bytes: usize) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Flow(Ends::sockets(row, DRAINS, bytes)?, vec![7; bytes])))
}

fn pipe(row: &Row, bytes: usize) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Flow(Ends::pipes(row, DRAINS, bytes)?, vec![7; bytes])))
}

const SOCKET: Peer = Peer {
    name: "UNIX socket",
    row: "rtt-awake",
    side: Side::Peer,
    always: false,
    make: trip_socket,
};
const PIPE: Peer = Peer { name: "pipe", make: trip_pipe, ..SOCKET };

pub(crate) const PEERS: &[Peer] = &[
    SOCKET,
    PIPE,
    Peer { name: "eventfd (8 B)", make: trip_eventfd, ..SOCKET },
    Peer { row: "oneway-64", make: |row, _| socket(row, 64), ..SOCKET },
    Peer { row: "oneway-64", make: |row, _| pipe(row, 64), ..PIPE },
    Peer { row: "copy-64k", make: |row, _| socket(row, 64 * 1024), ..SOCKET },
    Peer { row: "copy-64k", make: |row, _| pipe(row, 64 * 1024), ..PIPE },
    Peer { row: "copy-1m", make: |row, _| socket(row, 1024 * 1024), ..SOCKET },
    Peer { row: "copy-1m", make: |row, _| pipe(row, 1024 * 1024), ..PIPE },
];

pub(crate) const PARTS: &[Part] =
    &[Part { name: ECHOES, act: echo }, Part { name: DRAINS, act: drain }];
