//! Four tasks into one port, beside four bare rings that one reader polls.
//!
//! The one that receives is the parent, on its core; the four share the other.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Task};
use shm::bare::BareMemory;

use super::server::{BODY, SMALL, given, patience};
use crate::child::{Casting, Child, Stage};
use crate::figure::Slice;
use crate::ring::{Emptier, Filler, Shape};
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of a task that sends what it is told to.
pub(super) const SENDS: &str = "sender";
/// The part of a bare ring's writer.
pub(super) const FILLS: &str = "bare-fill";

/// How many send.
const SENDERS: usize = 4;

/// How many are received at once, where so many are there; of a ring as many are taken.
const TOGETHER: usize = 64;

const SHAPE: Shape = Shape::of(SMALL, 4096).sleeping().sharing();

/// How many messages each sends in a slice, so that it takes about its time.
struct Quota(u64);

impl Quota {
    /// Learns from a slice how many are right.
    fn learn(&mut self, span: Duration, elapsed: Duration) {
        let by = span.as_secs_f64() / elapsed.as_secs_f64().max(1e-6);
        self.0 = ((self.0 as f64 * by.clamp(0.25, 4.0)) as u64).clamp(500, 10_000_000);
    }
}

/// Has each child send its quota, and measures until `take` has taken all.
fn gather(
    children: &mut [Child],
    quota: &mut Quota,
    span: Duration,
    take: impl FnOnce(u64) -> Result<()>,
) -> Result<Slice> {
    let start = Instant::now();
    for child in &mut *children {
        child.line.say(quota.0)?;
    }
    let operations = quota.0 * children.len() as u64;
    take(operations)?;
    let elapsed = start.elapsed();
    quota.learn(span, elapsed);
    Ok(Slice { operations, elapsed, ..Slice::default() })
}

struct Ours {
    task: Task,
    inbox: ReceiveRight,
    senders: Vec<Child>,
    quota: Quota,
}

impl Contender for Ours {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Ours { inbox, senders, quota, .. } = self;
        gather(senders, quota, span, |count| {
            let mut messages = Vec::with_capacity(TOGETHER);
            let mut left = count;
            while left > 0 {
                left -= inbox.receive_many(&mut messages, TOGETHER, patience())? as u64;
                let ours = messages.drain(..).all(|message| message.body().len() == SMALL);
                ensure!(ours, "another message came");
            }
            Ok(())
        })
    }

    fn children(&self) -> Vec<&Child> {
        self.senders.iter().collect()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.task.close();
    }
}

pub(super) fn send(stage: &mut Stage) -> Result<()> {
    let task = Task::current()?;
    stage.take_place()?;
    let post = given(&task, "post")?;
    while let Ok(count) = stage.line.hear() {
        for _ in 0..count {
            post.send(Message::new(BODY), Deadline::Never)?;
        }
    }
    Ok(())
}

struct Bare {
    rings: Vec<BareMemory>,
    writers: Vec<Child>,
    quota: Quota,
}

impl Contender for Bare {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Bare { rings, writers, quota } = self;
        let mut emptiers: Vec<_> = rings.iter().map(|ring| Emptier::new(ring, SHAPE)).collect();
        gather(writers, quota, span, |count| {
            let mut frame = [0; SMALL];
            let mut left = count;
            while left > 0 {
                for emptier in &mut emptiers {
                    // As many of one as are there, but not for ever.
                    let mut turns = TOGETHER;
                    while turns > 0 && left > 0 && emptier.ready() {
                        emptier.take(&mut frame)?;
                        turns -= 1;
                        left -= 1;
                    }
                }
            }
            Ok(())
        })
    }

    fn children(&self) -> Vec<&Child> {
        self.writers.iter().collect()
    }
}

pub(super) fn fill(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let ring = BareMemory::open(stage.descriptors.first().context("no ring")?)?;
    let mut filler = Filler::new(&ring, SHAPE);
    while let Ok(count) = stage.line.hear() {
        for _ in 0..count {
            filler.fill(&BODY)?;
            filler.publish();
        }
    }
    Ok(())
}

pub(super) fn four(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(16 * 1024));
    let mut ours = Ours { task, inbox, senders: Vec::new(), quota: Quota(2000) };
    for _ in 0..SENDERS {
        let right = ours.inbox.make_send()?;
        let sender = Casting::of(SENDS, row.place).start_from(&ours.task, [("post", right)])?;
        ours.senders.push(sender);
    }
    let mut bare = Bare { rings: Vec::new(), writers: Vec::new(), quota: Quota(2000) };
    for _ in 0..SENDERS {
        let (ring, fd) = SHAPE.memory()?;
        bare.writers.push(Casting::of(FILLS, row.place).descriptor(&fd).start()?);
        bare.rings.push(ring);
    }
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, ours),
        Entrant::new("4 bare rings", Side::Limit, bare),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_follows_the_time_it_took() {
        let mut quota = Quota(1000);
        quota.learn(Duration::from_millis(10), Duration::from_millis(5));
        assert_eq!(quota.0, 2000);
        quota.learn(Duration::from_millis(10), Duration::from_secs(10));
        assert_eq!(quota.0, 500);
        quota.learn(Duration::from_millis(10), Duration::ZERO);
        assert_eq!(quota.0, 2000);
    }
}
