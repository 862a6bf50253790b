//! Round trips and calls while both ends are awake, beside two bare rings.

use std::time::Duration;

use anyhow::{Context, Result};
use shm::bare::BareMemory;

use super::server::{Pair, SMALL};
use crate::child::{Casting, Child, Stage};
use crate::clock::back_to_back;
use crate::figure::Slice;
use crate::ring::{Emptier, Filler, Shape};
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of the other end of two bare rings.
pub(super) const ECHOES: &str = "bare-echo";

/// Two bare rings of small frames.
const SHAPE: Shape = Shape::of(SMALL, 64);

/// The first byte of a frame that ends a slice.
const LAST: u8 = 0xff;

/// What ours does.
struct Ours(Pair, fn(&Pair) -> Result<()>);

impl Contender for Ours {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        back_to_back(span, || (self.1)(&self.0))
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

/// A ring there and a ring back.
struct Bare {
    there: BareMemory,
    back: BareMemory,
    server: Child,
}

impl Bare {
    fn new(row: &Row) -> Result<Bare> {
        let (there, there_fd) = SHAPE.memory()?;
        let (back, back_fd) = SHAPE.memory()?;
        let server =
            Casting::of(ECHOES, row.place).descriptor(&there_fd).descriptor(&back_fd).start()?;
        Ok(Bare { there, back, server })
    }
}

impl Contender for Bare {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        self.server.line.say(0)?;
        let mut filler = Filler::new(&self.there, SHAPE);
        let mut emptier = Emptier::new(&self.back, SHAPE);
        let mut frame = [0; SMALL];
        let mut trip = |first: u8| {
            frame[0] = first;
            filler.fill(&frame)?;
            filler.publish();
            emptier.take(&mut frame)
        };
        trip(0)?;
        let slice = back_to_back(span, || trip(0))?;
        trip(LAST)?;
        Ok(slice)
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

/// Returns every frame, from a word of the parent's until the last of a slice.
pub(super) fn echo(stage: &mut Stage) -> Result<()> {
    stage.take_place()?;
    let mut memories = stage.descriptors.iter().map(BareMemory::open);
    let there = memories.next().context("no ring")??;
    let back = memories.next().context("no ring back")??;
    while stage.line.hear().is_ok() {
        let mut emptier = Emptier::new(&there, SHAPE);
        let mut filler = Filler::new(&back, SHAPE);
        let mut frame = [0; SMALL];
        while frame[0] != LAST {
            emptier.take(&mut frame)?;
            filler.fill(&frame)?;
            filler.publish();
        }
    }
    Ok(())
}

fn beside_the_ring(row: &Row, operation: fn(&Pair) -> Result<()>) -> Result<Vec<Entrant>> {
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, Ours(Pair::new(row.place)?, operation)),
        Entrant::new("bare ring", Side::Limit, Bare::new(row)?),
    ])
}

pub(super) fn round_trip(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    beside_the_ring(row, Pair::round_trip)
}

pub(super) fn call(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    beside_the_ring(row, Pair::call)
}
