//! Rights on their way: one to my port, sent and used; a port for one reply; a right
//! of a third task's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Task};

use super::server::{BODY, Pair, SMALL, USE, given, hello, patience};
use crate::child::{Casting, Child, Stage};
use crate::clock::{back_to_back, now_ns, sampled};
use crate::figure::Slice;
use crate::place::{Cores, Place};
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of a third task: its owner tells when a message has come, its holder uses
/// the right it was given.
pub(super) const THIRD: &str = "third";

/// Does one thing over and over.
struct Ours(Pair, fn(&Pair) -> Result<()>);

impl Contender for Ours {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let open = descriptors()?;
        let slice = back_to_back(span, || (self.1)(&self.0))?;
        ensure!(descriptors()? <= open, "rights cost descriptors");
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

/// How many descriptors this process has.
fn descriptors() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// A fresh right to our inbox goes there, and a message comes back by it.
fn transfer(pair: &Pair) -> Result<()> {
    let right = pair.inbox.make_send()?;
    let message = Message::new(BODY).with_id(USE).with_right(right);
    pair.post.send(message, Deadline::Never)?;
    let back = pair.inbox.receive(patience())?;
    ensure!(back.body().len() == SMALL, "another message came back");
    Ok(())
}

/// A port is made, a right to it sent, one message received there, and it ends.
fn port_per_call(pair: &Pair) -> Result<()> {
    let port = pair.task.port(Capacity::Bounded(1));
    let message = Message::new(BODY).with_id(USE).with_right(port.make_send()?);
    pair.post.send(message, Deadline::Never)?;
    let back = port.receive(patience())?;
    ensure!(back.body().len() == SMALL, "another message came back");
    Ok(())
}

fn beside(
    row: &Row,
    operation: fn(&Pair) -> Result<()>,
    name: &str,
    other: fn(&Pair) -> Result<()>,
) -> Result<Vec<Entrant>> {
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Ours(Pair::new(row.place)?, operation)),
        Entrant::new(name, Side::Limit, Ours(Pair::new(row.place)?, other)),
    ])
}

pub(super) fn transferred(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    beside(row, transfer, "plain round trip", Pair::round_trip)
}

pub(super) fn port_for_each(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    beside(row, port_per_call, "call", Pair::call)
}

/// Tell the parent, on its line, what time it is.
const TELL: i32 = 10;
/// Use the right that is in the message.
const GIVEN: i32 = 11;
/// Answer: both ends are awake then.
const WAKE: i32 = 12;

/// Owner or holder, until the parent has gone.
pub(super) fn third(stage: &mut Stage) -> Result<()> {
    // Who started it is pinned already.
    Cores::here()?.pin(None)?;
    let task = Task::current()?;
    stage.take_place()?;
    let inbox = task.port(Capacity::Bounded(64));
    let parent = given(&task, "parent")?;
    parent.notify_dead(inbox.make_send_once()?)?;
    parent.send(Message::new("").with_right(inbox.make_send()?), patience())?;
    loop {
        let mut message = inbox.receive(Deadline::Never)?;
        if message.notification().is_some() {
            return Ok(());
        }
        match message.id() {
            TELL => stage.line.say(now_ns())?,
            GIVEN => {
                let right = message.take_rights().pop().and_then(|right| right.into_send().ok());
                let first = Message::new(BODY).with_id(TELL);
                right.context("no right came")?.send(first, patience())?;
            }
            _ => message.reply(Message::new(BODY), Deadline::Never)?,
        }
    }
}

/// Three tasks: we, the owner of a port, and whom we give a right to it.
struct Third {
    task: Task,
    inbox: ReceiveRight,
    owner: Child,
    to_owner: SendRight,
    holder: Option<(Child, SendRight)>,
    /// A new holder for each sample, which has no link with the owner yet.
    first: bool,
}

impl Third {
    fn child(task: &Task, inbox: &ReceiveRight, place: Place) -> Result<(Child, SendRight)> {
        let parent = inbox.make_send()?;
        let child = Casting::of(THIRD, place).start_from(task, [("parent", parent)])?;
        Ok((child, hello(inbox)?))
    }

    fn new(first: bool) -> Result<Third> {
        let task = Task::new();
        let inbox = task.port(Capacity::Bounded(16));
        // Three tasks, two processors: the owner shares ours, as we wait for nobody once
        // the right is on its way.
        let (owner, to_owner) = Self::child(&task, &inbox, Place::OneCore)?;
        Ok(Third { task, inbox, owner, to_owner, holder: None, first })
    }

    /// Nanoseconds from our send until the holder's first message is at the owner.
    fn sample(&mut self) -> Result<u32> {
        if self.first || self.holder.is_none() {
            self.holder = None;
            self.holder = Some(Self::child(&self.task, &self.inbox, Place::TwoCores)?);
            if !self.first {
                self.give()?;
            }
        }
        self.give()
    }

    fn give(&mut self) -> Result<u32> {
        let (_, to_holder) = self.holder.as_ref().context("there is a holder")?;
        for right in [&self.to_owner, to_holder] {
            right.call(Message::new(BODY).with_id(WAKE), patience())?;
        }
        let right = self.to_owner.clone();
        let begun = now_ns();
        let message = Message::new(BODY).with_id(GIVEN).with_right(right);
        to_holder.send(message, patience())?;
        let came = self.owner.line.hear()?;
        Ok(u32::try_from(came.saturating_sub(begun)).unwrap_or(u32::MAX))
    }
}

impl Contender for Third {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        sampled(span, || self.sample())
    }

    fn children(&self) -> Vec<&Child> {
        let holder = self.holder.iter().map(|(child, _)| child);
        holder.chain([&self.owner]).collect()
    }
}

impl Drop for Third {
    fn drop(&mut self) {
        self.task.close();
    }
}

pub(super) fn third_first(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    Ok(vec![Entrant::new("pillarbox", Side::Ours, Third::new(true)?)])
}

pub(super) fn third_later(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    Ok(vec![Entrant::new("pillarbox", Side::Ours, Third::new(false)?)])
}
