//! One operation again and again, as a contender: what is measured in most rows.

use std::time::Duration;

use anyhow::Result;

use crate::child::Child;
use crate::clock::{back_to_back, with_silences};
use crate::figure::Slice;
use crate::row::{Row, State};
use crate::rows::server::Pair;
use crate::runner::{Contender, Entrant, Side};

/// An operation that a server in another process answers: one right after the other, or,
/// in a row whose ends sleep, with a silence before each.
pub struct Operation<F> {
    run: F,
    asleep: bool,
    server: Child,
}

impl<F: FnMut() -> Result<()>> Operation<F> {
    /// What `run` does, as `row` has it.
    pub const fn new(row: &Row, server: Child, run: F) -> Self {
        Operation { run, asleep: matches!(row.state, State::Asleep), server }
    }
}

impl<F> std::fmt::Debug for Operation<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("asleep", &self.asleep).finish_non_exhaustive()
    }
}

impl<F: FnMut() -> Result<()>> Contender for Operation<F> {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        if self.asleep {
            with_silences(span, &mut self.run)
        } else {
            back_to_back(span, &mut self.run)
        }
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server]
    }
}

/// Calls of the library's own, which block.
pub(crate) struct Calls {
    pair: Pair,
    asleep: bool,
}

impl Calls {
    /// Starts the server that answers them.
    pub(crate) fn new(row: &Row) -> Result<Self> {
        Calls::of(row, row.state)
    }

    /// The same, with ends that sleep or are awake whatever the row says.
    pub(crate) fn of(row: &Row, state: State) -> Result<Self> {
        Ok(Calls { pair: Pair::new(row.place)?, asleep: state == State::Asleep })
    }
}

impl Contender for Calls {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        if self.asleep {
            with_silences(span, || self.pair.call())
        } else {
            back_to_back(span, || self.pair.call())
        }
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.pair.server]
    }
}

/// The library's own call with 64 bytes each way: what a face's is measured beside.
///
/// # Errors
/// Its server does not start.
pub fn own_call(row: &Row) -> Result<Entrant> {
    Ok(Entrant::new("pillarbox", Side::Limit, Calls::new(row)?))
}
