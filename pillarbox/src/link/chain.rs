//! A right given on before its owner has confirmed it.
//!
//! The claim lies in our lane to the owner already. Behind it we write for whom what
//! it brings is, and then the message to that one: lane order is all that is needed,
//! nobody waits for the owner. What goes back to the owner itself, and what follows a
//! port that went away, is confirmed first.

use std::sync::Arc;

use abi::Ticket;
use abi::frame::{HEADER_BYTES, Header, Kind, Onward, flag};
use abi::right::{Kind as RightKind, RightRef};

use super::carry::Undo;
use super::{Join, Link, NO_SLOT};
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::wait::Waiter;

impl Join {
    /// Whether it can be named for the peer of `to`: it is confirmed, or claimed and
    /// may be given on as such.
    fn may_be_named(&self, to: &Link) -> bool {
        self.result().is_some() || (self.may_go_on(to) && self.claimed().is_some())
    }

    /// Whether it may be given on before it is confirmed.
    fn may_go_on(&self, to: &Link) -> bool {
        // The owner knows its own by slot. What follows a port is confirmed when the
        // port has come so far, which need not be in the turn it is claimed in.
        self.follow().is_none() && self.giver != self.task.id && self.owner != to.peer_task()
    }

    /// Looks whether it can be named for the peer of `to`, or leaves the waiter to be
    /// told.
    pub(super) fn stand_to_name(&self, to: &Link, waiter: &Arc<Waiter>) -> Option<()> {
        self.stand_until(waiter, || self.may_be_named(to))
    }

    /// Waits until it can be named for the peer of `to`: for the link with its owner,
    /// or for the owner's answer.
    fn wait_to_name(&self, to: &Link, deadline: Deadline) -> Result<(), SendFailure> {
        if self.may_be_named(to) {
            return Ok(());
        }
        let found = self.wait_for(deadline, |waiter| self.stand_to_name(to, waiter));
        found.ok_or_else(|| self.not_joined())
    }
}

impl Link {
    /// Gives the peer of this link what a claim of ours brings. `None` where the
    /// owner has answered it: then it is named as what it turned out to be.
    pub(super) fn give_on(
        self: &Arc<Self>,
        join: &Arc<Join>,
        deadline: Deadline,
        undo: &mut Vec<Undo>,
    ) -> Result<Option<RightRef>, SendFailure> {
        join.wait_to_name(self, deadline)?;
        let owner = match (join.result(), join.claimed()) {
            (None, Some(owner)) => Arc::clone(owner),
            _ => return Ok(None),
        };
        let ticket = Ticket(self.task.next_id());
        let header = Header {
            length: (HEADER_BYTES + Onward::BYTES) as u32,
            flags: if join.kind == RightKind::SendOnce { flag::ONCE } else { 0 },
            tag: ticket.0,
            ..Header::new(Kind::GiveOn, NO_SLOT)
        };
        let body = Onward { to: self.peer_task(), giver: join.giver, ticket: join.ticket };
        // Looked at under the lock of the lane: the owner forgets its answers in the
        // order in which we may read them.
        let open = || join.result().is_none();
        match owner.publish_while(&header, &body.encode(), deadline, open) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // Of the right, not of the message: that goes to another.
            Err(_) if owner.is_dead() => return Ok(Some(RightRef::Dead(join.kind))),
            Err(reason) => return Err(reason),
        }
        undo.push(Undo::Give(Arc::clone(&owner), NO_SLOT, ticket));
        self.note_give_for(&owner);
        let (owner, address) = (join.owner, owner.address());
        Ok(Some(RightRef::Third { kind: join.kind, owner, address, ticket }))
    }

    /// A send-once right whose promise went on to another task: its slot here ends
    /// without a word.
    pub(super) fn let_go_of_given(&self, slot: abi::Slot) {
        self.say(Header { tag: 1, ..Header::new(Kind::Release, slot) }, &[]);
    }
}
