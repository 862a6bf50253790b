//! ipc-channel: bytes from one process to another and back, as its one-shot server
//! introduces them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel,
};
use rows::clock::{back_to_back, in_batches, with_silences};
use rows::{Casting, Child, Contender, Effort, Part, Peer, Row, Side, Slice, Stage, State};

const ECHOES: &str = "servo-echo";
const DRAINS: &str = "servo-drain";

/// A body of one byte ends a slice of messages that nobody answers.
const LAST: &[u8] = &[1];

/// The ends of this process.
struct Ends {
    to: IpcBytesSender,
    from: IpcBytesReceiver,
    server: Child,
}

impl Ends {
    fn new(row: &Row, part: &'static str) -> Result<Ends> {
        let (meeting, name) = IpcOneShotServer::<(IpcBytesSender, IpcBytesReceiver)>::new()?;
        let server = Casting::of(part, row.place).argument(name).start()?;
        let (_, (to, from)) = meeting.accept()?;
        Ok(Ends { to, from, server })
    }
}

/// The ends of the child, which makes both channels and sends the parent its ends.
fn meet(stage: &Stage) -> Result<(IpcBytesSender, IpcBytesReceiver)> {
    let name = stage.arguments.first().context("no name to meet at")?.clone();
    let (to_us, from_parent) = bytes_channel()?;
    let (to_parent, from_us) = bytes_channel()?;
    let meeting: IpcSender<(IpcBytesSender, IpcBytesReceiver)> = IpcSender::connect(name)?;
    meeting.send((to_us, from_us))?;
    Ok((to_parent, from_parent))
}

struct Echo {
    ends: Ends,
    asleep: bool,
}

impl Contender for Echo {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let trip = || {
            self.ends.to.send(&[7; 64])?;
            ensure!(self.ends.from.recv()?.len() == 64, "another body came back");
            Ok(())
        };
        if self.asleep { with_silences(span, trip) } else { back_to_back(span, trip) }
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.ends.server]
    }
}

fn echo(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let (to, from) = meet(stage)?;
    while let Ok(body) = from.recv() {
        to.send(&body)?;
    }
    Ok(())
}

struct Flow {
    ends: Ends,
    body: Vec<u8>,
}

impl Contender for Flow {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Ends { to, from, .. } = &self.ends;
        in_batches(
            span,
            1,
            || Ok(to.send(&self.body)?),
            || {
                to.send(LAST)?;
                from.recv()?;
                Ok(())
            },
        )
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.ends.server]
    }
}

fn drain(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let (to, from) = meet(stage)?;
    while let Ok(body) = from.recv() {
        if body == LAST {
            to.send(LAST)?;
        }
    }
    Ok(())
}

fn trips(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    let asleep = row.state == State::Asleep;
    Ok(Box::new(Echo { ends: Ends::new(row, ECHOES)?, asleep }))
}

fn flow(row: &Row, bytes: usize) -> Result<Box<dyn Contender>> {
    Ok(Box::new(Flow { ends: Ends::new(row, DRAINS)?, body: vec![7; bytes] }))
}

const PEER: Peer =
    Peer { name: "ipc-channel", row: "rtt-awake", side: Side::Peer, always: false, make: trips };

pub(crate) const PEERS: &[Peer] = &[
    PEER,
    Peer { row: "call-asleep-two-cores", ..PEER },
    Peer { row: "call-asleep-one-core", ..PEER },
    Peer { row: "oneway-64", make: |row, _| flow(row, 64), ..PEER },
    Peer { row: "copy-64k", make: |row, _| flow(row, 64 * 1024), ..PEER },
    Peer { row: "copy-1m", make: |row, _| flow(row, 1024 * 1024), ..PEER },
];

pub(crate) const PARTS: &[Part] =
    &[Part { name: ECHOES, act: echo }, Part { name: DRAINS, act: drain }];
