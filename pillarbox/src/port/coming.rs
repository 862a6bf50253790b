//! What a peer sent, before it is admitted: is the port still here?

use std::sync::Arc;

use abi::Offence;

use super::PortCore;
use super::after::After;
use super::general::General;
use super::state::{Holder, Queued};
use crate::link::Link;
use crate::message::Message;
use crate::moving::gone::Gone;
use crate::wait::parking::lock;

/// Why a message does not stay at a port it has come to.
pub(super) enum Away<'a> {
    /// The port went to another task; whether its sender had a place.
    Gone(&'a Arc<Gone>, Result<(), Offence>),
    /// It ended while the message was on its way.
    Ended,
}

impl PortCore {
    /// Counts a message of a peer's as come, where the port is here and alive.
    /// Where it has gone, `pass_on` gives the place of the message up.
    pub(super) fn at_home(
        &self,
        link: &Link,
        via: u64,
        pass_on: impl FnOnce(&mut Queued, Holder) -> Result<(), Offence>,
    ) -> Result<General<'_>, Away<'_>> {
        let mut state = lock(&self.state);
        if let Some(gone) = self.gone() {
            return Err(Away::Gone(
                gone,
                pass_on(&mut state.queue, Holder::Link(link.number, via)),
            ));
        }
        if let Some(board) = state.boards.get_mut(&(link.number, via)) {
            board.came += 1;
        }
        if state.alive { Ok(state) } else { Err(Away::Ended) }
    }
}

impl Away<'_> {
    /// Sends the message after its port. Where that has ended its rights end with it.
    pub(super) fn take(
        self,
        link: &Link,
        via: u64,
        message: Message,
        after: &mut After,
    ) -> Result<(), Offence> {
        match self {
            Away::Gone(gone, granted) => gone.arrive(link, via, message, granted, after),
            Away::Ended => {
                after.drop_later(message);
                Ok(())
            }
        }
    }
}
