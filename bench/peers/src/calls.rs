//! Calls with 64 bytes each way: one contender for every peer that can answer.

use std::time::Duration;

use anyhow::Result;
use rows::clock::{back_to_back, with_silences};
use rows::{Child, Contender, Effort, Peer, Row, Side, Slice, State};
use tokio::runtime::{Builder, Runtime};

/// The body of a request, and of its answer.
pub(crate) const BODY: [u8; 64] = [7; 64];

/// Somebody who calls another process.
pub(crate) trait Caller: Sized + 'static {
    /// Starts the other process and is ready to call it.
    fn meet(row: &Row) -> Result<Self>;

    /// Calls it with [`BODY`], which must come back.
    fn call(&mut self) -> Result<()>;

    /// The other process.
    fn server(&self) -> &Child;
}

/// What those of tokio run on: one thread, as everybody has at either end.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

struct Calls<C> {
    caller: C,
    asleep: bool,
}

impl<C: Caller> Contender for Calls<C> {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        let Calls { caller, asleep } = self;
        if *asleep {
            with_silences(span, || caller.call())
        } else {
            back_to_back(span, || caller.call())
        }
    }

    fn children(&self) -> Vec<&Child> {
        vec![self.caller.server()]
    }
}

fn make<C: Caller>(row: &Row, _: &Effort) -> Result<Box<dyn Contender>> {
    let asleep = row.state == State::Asleep;
    Ok(Box::new(Calls { caller: C::meet(row)?, asleep }))
}

/// The peer in `row`.
pub(crate) const fn peer<C: Caller>(name: &'static str, row: &'static str) -> Peer {
    Peer { name, row, side: Side::Peer, always: false, make: make::<C> }
}
