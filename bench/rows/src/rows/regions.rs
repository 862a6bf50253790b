//! Memory that goes with a message: lent and read where it lies, or sealed once for
//! many, beside a bare ring of frames as large and a plain round trip.

use std::time::Duration;

use anyhow::{Result, ensure};
use pillarbox::{Deadline, Message, Region};

use super::server::{BODY, PING, Pair, READ, SMALL, patience};
use super::stream;
use crate::child::Child;
use crate::clock::{back_to_back, in_batches};
use crate::figure::Slice;
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// Regions that wait at the port: more of them would not stay in the caches.
const PLACES: u32 = 4;

/// Bytes of a large region.
const LARGE: usize = 1024 * 1024;

/// Lends memory, written each time, to a server that copies it out.
struct Lends {
    pair: Pair,
    bytes: usize,
    fill: u8,
}

impl Contender for Lends {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Lends { pair, bytes, fill } = self;
        let send = || {
            let mut loan = pair.post.loan(*bytes, Deadline::Never)?;
            *fill = fill.wrapping_add(1);
            loan.as_mut_slice().fill(*fill);
            let message = Message::new([*fill]).with_id(READ).with_region(loan);
            pair.post.send(message, Deadline::Never)?;
            Ok(())
        };
        // The answer of a call comes after all that was sent before it was taken.
        in_batches(span, 1, send, || pair.call())
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.pair.server]
    }
}

fn lent(row: &Row, bytes: usize) -> Result<Vec<Entrant>> {
    let pair = Pair::with_places(row.place, PLACES)?;
    let mut entrants = vec![Entrant::new("pillarbox", Side::Ours, Lends { pair, bytes, fill: 0 })];
    entrants.extend(stream::rings(row, bytes)?);
    Ok(entrants)
}

pub(super) fn lent_64k(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    lent(row, 64 * 1024)
}

pub(super) fn lent_1m(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    lent(row, LARGE)
}

/// One thing after the other.
struct Trips(Pair, fn(&Pair) -> Result<()>);

impl Contender for Trips {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        back_to_back(span, || (self.1)(&self.0))
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.0.server]
    }
}

/// A large loan there that nobody touches, and a small message back.
fn untouched(pair: &Pair) -> Result<()> {
    let loan = pair.post.loan(LARGE, Deadline::Never)?;
    pair.post.send(Message::new(BODY).with_id(PING).with_region(loan), Deadline::Never)?;
    let back = pair.inbox.receive(patience())?;
    ensure!(back.body().len() == SMALL, "another message came back");
    Ok(())
}

pub(super) fn lent_untouched(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let trips = |operation| Ok::<_, anyhow::Error>(Trips(Pair::new(row.place)?, operation));
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, trips(untouched)?),
        Entrant::new("plain round trip", Side::Limit, trips(Pair::round_trip)?),
    ])
}

/// Receivers of one sealed region.
const READERS: usize = 8;

/// Sends each reader something, and waits until all have answered.
struct ToMany {
    pairs: Vec<Pair>,
    region: Option<Region>,
}

impl ToMany {
    fn new(row: &Row, region: Option<Region>) -> Result<ToMany> {
        let pairs = (0..READERS).map(|_| Pair::new(row.place)).collect::<Result<_>>()?;
        Ok(ToMany { pairs, region })
    }
}

impl Contender for ToMany {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        back_to_back(span, || {
            for pair in &self.pairs {
                let message = Message::new(BODY).with_id(PING);
                let message = match &self.region {
                    Some(region) => message.with_region(region.clone()),
                    None => message,
                };
                pair.post.send(message, Deadline::Never)?;
            }
            for pair in &self.pairs {
                let back = pair.inbox.receive(patience())?;
                ensure!(back.body().len() == SMALL, "another message came back");
            }
            Ok(())
        })
    }

    fn children(&self) -> Vec<&Child> {
        self.pairs.iter().map(|pair| &pair.server).collect()
    }
}

pub(super) fn sealed_to_many(row: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let sealed = Region::sealed(&vec![7; LARGE])?;
    Ok(vec![
        Entrant::new("pillarbox", Side::Ours, ToMany::new(row, Some(sealed))?),
        Entrant::new("nothing with it", Side::Peer, ToMany::new(row, None)?),
    ])
}
