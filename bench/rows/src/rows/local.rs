//! Ports that never leave their task, beside the channel of the standard library;
//! `bench/peers` brings the channels people pick instead.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Task};

use super::server::patience;
use crate::channel::{BYTES, Channel, Flow, PLACES, PingPong};
use crate::clock::in_batches;
use crate::figure::Slice;
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// A port of a task that has no link.
struct Port;

impl Channel for Port {
    type Sender = SendRight;
    type Receiver = ReceiveRight;

    fn open() -> Result<(SendRight, ReceiveRight)> {
        let port = Task::current()?.port(Capacity::Bounded(u32::try_from(PLACES)?));
        Ok((port.make_send()?, port))
    }

    #[inline]
    fn send(sender: &SendRight, body: [u8; BYTES]) -> Result<()> {
        Ok(sender.send(Message::new(body), Deadline::Never)?)
    }

    #[inline]
    fn receive(receiver: &mut ReceiveRight) -> Result<[u8; BYTES]> {
        let message = receiver.receive(Deadline::Never)?;
        message.body().try_into().context("another message came")
    }
}

/// `std::sync::mpsc::sync_channel`, which is crossbeam's by descent.
struct Std;

impl Channel for Std {
    type Sender = SyncSender<[u8; BYTES]>;
    type Receiver = Receiver<[u8; BYTES]>;

    fn open() -> Result<(Self::Sender, Self::Receiver)> {
        Ok(sync_channel(PLACES))
    }

    #[inline]
    fn send(sender: &Self::Sender, body: [u8; BYTES]) -> Result<()> {
        Ok(sender.send(body)?)
    }

    #[inline]
    fn receive(receiver: &mut Self::Receiver) -> Result<[u8; BYTES]> {
        Ok(receiver.recv()?)
    }
}

/// Makes a port and lets it go, with so many others alive.
struct Create {
    task: Task,
    alive: Vec<ReceiveRight>,
}

impl Contender for Create {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let make = || {
            for _ in 0..32 {
                drop(std::hint::black_box(self.task.port(Capacity::Bounded(16))));
            }
            Ok(())
        };
        in_batches(span, 32, make, || Ok(()))
    }
}

/// Ports alive while others are made, multiplied by the effort's scale: 10⁶ in a
/// full run.
const ALIVE: usize = 20_000;

pub(super) fn create(_: &Row, effort: &Effort) -> Result<Vec<Entrant>> {
    let task = Task::new();
    let ports = ALIVE * effort.scale;
    let alive = (0..ports).map(|_| task.port(Capacity::Bounded(16))).collect();
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Create { task: task.clone(), alive: Vec::new() }),
        Entrant::new(&format!("{ports} alive"), Side::Peer, Create { task, alive }),
    ])
}

impl Drop for Create {
    fn drop(&mut self) {
        self.alive.clear();
    }
}

fn flow(senders: usize) -> Result<Vec<Entrant>> {
    // Made here, and not by a thread that is kept to one processor: those of a task that
    // is made there never spin.
    let _ = Task::current()?;
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Flow::<Port>::of(senders)),
        Entrant::new("std mpsc", Side::PeerAndLimit, Flow::<Std>::of(senders)),
    ])
}

pub(super) fn one_way(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    flow(1)
}

pub(super) fn fan_in(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    flow(4)
}

pub(super) fn ping_pong(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let _ = Task::current()?;
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, PingPong::<Port>::default()),
        Entrant::new("std mpsc", Side::PeerAndLimit, PingPong::<Std>::default()),
    ])
}

/// Messages that wait unmatched.
const WAITING: u64 = 100_000;

/// The tag of those that are looked for.
const WANTED: u64 = WAITING + 1;

/// Sends one message and receives it by its tag, past those that wait.
struct Select {
    task: Task,
    port: ReceiveRight,
    post: SendRight,
}

impl Select {
    fn past(waiting: u64) -> Result<Select> {
        let task = Task::new();
        let port = task.port(Capacity::Bounded(u32::try_from(WAITING)? + 16));
        let post = port.make_send()?;
        for tag in 0..waiting {
            post.send(Message::new([7; BYTES]).with_tag(tag), Deadline::Now)?;
        }
        Ok(Select { task, port, post })
    }
}

impl Contender for Select {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let start = Instant::now();
        let mut operations = 0;
        while operations == 0 || start.elapsed() < span {
            for _ in 0..16 {
                self.post.send(Message::new([7; BYTES]).with_tag(WANTED), Deadline::Now)?;
                let found = self.port.receive_tag(WANTED, patience())?;
                ensure!(found.tag() == WANTED, "another message was found");
                operations += 1;
            }
        }
        Ok(Slice { operations, elapsed: start.elapsed(), ..Slice::default() })
    }
}

impl Drop for Select {
    fn drop(&mut self) {
        self.task.close();
    }
}

pub(super) fn select(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Select::past(WAITING)?),
        Entrant::new("none waiting", Side::Peer, Select::past(0)?),
    ])
}
