//! One way: small messages, one after another or streamed, and large bodies by
//! copy, beside a bare ring of frames of the same size that can also sleep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pillarbox::{Deadline, Message};
use shm::bare::BareMemory;

use super::server::{PLACES, Pair, SINK, SMALL};
use crate::child::{Casting, Child, Stage};
use crate::clock::in_batches;
use crate::figure::Slice;
use crate::ring::{Emptier, Filler, Shape};
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of a bare ring's reader.
pub(super) const DRAINS: &str = "bare-drain";

/// Messages of a batch: published together where they are streamed.
const BATCH: u64 = 32;

/// The first byte of a frame that ends a slice.
const LAST: u8 = 0xff;

/// Sends bodies of one size, as many as it can.
struct Ours {
    pair: Pair,
    body: Arc<[u8]>,
    batch: u64,
    /// The messages of a batch are sent together.
    together: bool,
}

impl Contender for Ours {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Ours { pair, body, batch, together } = self;
        let send = || {
            // A large one is copied on its way only, as the ring's is.
            let message = || match body.len() {
                0..=SMALL => Message::new(&**body),
                _ => Message::new(Arc::clone(body)),
            };
            let mut messages = (0..*batch).map(|_| message().with_id(SINK));
            if *together {
                pair.post.send_many(messages, Deadline::Never)?;
                return Ok(());
            }
            Ok(messages.try_for_each(|message| pair.post.send(message, Deadline::Never))?)
        };
        // The answer of a call comes after all that was sent before it was taken.
        in_batches(span, *batch, send, || pair.call())
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.pair.server]
    }
}

/// Fills a bare ring, as fast as it can.
struct Bare {
    ring: BareMemory,
    shape: Shape,
    body: Vec<u8>,
    batch: u64,
    /// Whether each frame is published alone.
    each: bool,
    server: Child,
}

impl Bare {
    fn new(row: &Row, shape: Shape, batch: u64, each: bool) -> Result<Bare> {
        let (ring, fd) = shape.memory()?;
        let server = Casting::of(DRAINS, row.place)
            .argument(shape.frame)
            .argument(shape.frames)
            .descriptor(&fd)
            .start()?;
        Ok(Bare { ring, shape, body: vec![7; shape.frame], batch, each, server })
    }
}

impl Contender for Bare {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        self.server.line.say(0)?;
        let mut filler = Filler::new(&self.ring, self.shape);
        let start = Instant::now();
        let mut operations = 0;
        while operations == 0 || start.elapsed() < span {
            for _ in 0..self.batch {
                filler.fill(&self.body)?;
                if self.each {
                    filler.publish();
                }
            }
            filler.publish();
            operations += self.batch;
        }
        self.body[0] = LAST;
        filler.fill(&self.body)?;
        filler.publish();
        self.body[0] = 0;
        let taken = self.server.line.hear()?;
        ensure!(taken == operations, "a bare ring lost frames");
        Ok(Slice { operations, elapsed: start.elapsed(), ..Slice::default() })
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

/// Takes every frame of a slice, and says how many there were.
pub(super) fn drain(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let ring = BareMemory::open(stage.descriptors.first().context("no ring")?)?;
    let shape = Shape::of(stage.number(0)?, stage.number(1)?).sleeping();
    let mut frame = vec![0; shape.frame];
    while stage.line.hear().is_ok() {
        let mut emptier = Emptier::new(&ring, shape);
        let mut taken = 0;
        frame[0] = 0;
        loop {
            emptier.take(&mut frame)?;
            if frame[0] == LAST {
                break;
            }
            taken += 1;
        }
        drop(emptier);
        stage.line.say(taken)?;
    }
    Ok(())
}

/// A deep ring of small frames.
const DEEP: Shape = Shape::of(SMALL, 4096).sleeping();

/// Small bodies by `pair`.
fn small(pair: Pair, together: bool) -> Ours {
    Ours { pair, body: [7; SMALL].into(), batch: BATCH, together }
}

/// Two whose server receives as many as are there, up to a batch.
fn by_batches(row: &Row) -> Result<Pair> {
    Pair::taking(row.place, PLACES, u32::try_from(BATCH)?)
}

/// Sent one by one, and received as many as are there. Beside it received one by one, too.
pub(super) fn each(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let bare = Bare::new(row, DEEP, BATCH, true)?;
    let one_by_one = small(Pair::with_places(row.place, PLACES)?, false);
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, small(by_batches(row)?, false)),
        Entrant::new("bare ring", Side::Limit, bare),
        Entrant::new("received one by one", Side::Peer, one_by_one),
    ])
}

/// Sent in batches, and received in batches.
pub(super) fn streamed(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let bare = Bare::new(row, DEEP, BATCH, false)?;
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, small(by_batches(row)?, true)),
        Entrant::new("bare ring", Side::Limit, bare),
    ])
}

/// Large bodies that wait at the port: more of them would not stay in the caches.
const LARGE_PLACES: u32 = 4;

/// Large bodies: rings of some depths, the best counts. A shallow one stays in the
/// caches, a deep one never waits.
fn copied(row: &Row, bytes: usize) -> Result<Vec<Entrant>> {
    let pair = Pair::with_places(row.place, LARGE_PLACES)?;
    let ours = Ours { pair, body: vec![7; bytes].into(), batch: 1, together: false };
    let mut entrants = vec![Entrant::new("pillarbox", Side::Ours, ours)];
    entrants.extend(rings(row, bytes)?);
    Ok(entrants)
}

/// Bare rings of large frames.
pub(super) fn rings(row: &Row, bytes: usize) -> Result<Vec<Entrant>> {
    let mut entrants = Vec::new();
    for (name, frames) in [("bare ring of 2", 2), ("bare ring of 8", 8)] {
        let bare = Bare::new(row, Shape::of(bytes, frames).sleeping(), 1, true)?;
        entrants.push(Entrant::new(name, Side::Limit, bare));
    }
    Ok(entrants)
}

pub(super) fn copied_64k(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    copied(row, 64 * 1024)
}

pub(super) fn copied_1m(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    copied(row, 1024 * 1024)
}
