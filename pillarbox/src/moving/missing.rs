//! What a dead owner had not read, as its sender sends it again to us.
//!
//! Until all of it is here, what that task sends otherwise stands behind. It marks each
//! message that it sends again, and says how many it cannot. Who is marked and is waited
//! for by nobody is a message like any other: the port may have gone on since.

use std::sync::Arc;

use abi::Ticket;

use super::adopt::Adopted;
use crate::link::Link;
use crate::message::{Message, Part};
use crate::port::{After, PortCore};
use crate::wait::parking::lock;

impl Adopted {
    /// So many of the messages have come again, or never will.
    pub(crate) fn came_again(&self, ticket: Ticket, count: u64, after: &mut After) {
        let over = lock(&self.state).followers.came_again(ticket, count);
        if over {
            self.port.has_come(ticket, after);
            self.settle(ticket, after);
        }
    }

    /// Nobody is there to send anything again on this right.
    pub(super) fn sends_nothing_again(&self, ticket: Ticket) {
        let _ = lock(&self.state).followers.came_again(ticket, u64::MAX);
    }
}

impl PortCore {
    /// The port goes on, and with it what stands behind: what was to be sent again
    /// follows later.
    pub(super) fn wait_for_nothing_again(&self) {
        let all: Vec<Arc<Adopted>> = lock(&self.task.followers).values().cloned().collect();
        let mut after = After::default();
        for adopted in all.into_iter().filter(|adopted| adopted.port.id == self.id) {
            let tickets: Vec<Ticket> = lock(&adopted.state).followers.iter().collect();
            for ticket in tickets {
                adopted.came_again(ticket, u64::MAX, &mut after);
            }
        }
        after.run();
    }
}

impl Link {
    /// Whether the peer is to send messages to `port` again, and on which right it had.
    fn sends_again(&self, port: &PortCore) -> Option<(Arc<Adopted>, Ticket)> {
        let all: Vec<Arc<Adopted>> = lock(&self.task.followers).values().cloned().collect();
        all.into_iter().filter(|adopted| adopted.port.id == port.id).find_map(|adopted| {
            let state = lock(&adopted.state);
            let out = state.out.iter().filter(|(_, out)| out.holder == self.peer_task());
            let mut tickets = out.map(|(ticket, _)| *ticket);
            let ticket = tickets.find(|ticket| state.followers.sends_again(*ticket))?;
            drop(state);
            Some((adopted, ticket))
        })
    }

    /// Whether a message is one of those, by its own word and ours.
    pub(crate) fn is_awaited_again(
        &self,
        port: &PortCore,
        message: &mut Message,
    ) -> Option<(Arc<Adopted>, Ticket)> {
        if message.part != Part::Again {
            return None;
        }
        let awaited = self.sends_again(port);
        if awaited.is_none() {
            let _ = message.part.take_again();
        }
        awaited
    }

    /// The peer has lost so many of them.
    pub(crate) fn comes_never_again(&self, port: &PortCore, count: u64, after: &mut After) {
        if let Some((adopted, ticket)) = self.sends_again(port) {
            adopted.came_again(ticket, count, after);
        }
    }
}
