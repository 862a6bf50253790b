//! A message a future sends to a peer, between two polls.
//!
//! The message stays with its sender until the poll that publishes it, which
//! says so: between two polls nothing is accepted. What the peer was counted
//! for is counted back where the sending is given up.

use std::sync::Arc;

use abi::Slot;
use abi::frame::{Header, Kind};

use super::carry::Load;
use super::send::{Attempt, describe};
use super::{Entry, Join, Link};
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::{Message, Right};
use crate::right::{SendOnceRight, Settled};
use crate::wait::Waiter;

/// A message on its way to one peer.
#[derive(Debug)]
pub(crate) struct Posting {
    link: Arc<Link>,
    entry: Option<Arc<Entry>>,
    header: Header,
    waiter: Arc<Waiter>,
    load: Option<Load>,
    attempt: Attempt,
    /// Rights in the message whose owners have not confirmed them. What is not claimed
    /// yet, or must be confirmed, is waited for.
    joins: Vec<Arc<Join>>,
    /// Owners of rights in the message, whose lanes had no room for a give.
    owners: Vec<Arc<Link>>,
}

impl Posting {
    /// On a send right.
    pub(crate) fn to_port(entry: &Arc<Entry>, waiter: &Arc<Waiter>) -> Self {
        let header = Header::new(Kind::Message, entry.slot);
        Posting::new(&entry.link, Some(Arc::clone(entry)), header, waiter)
    }

    /// What it is on its way to, if that is a port.
    pub(crate) fn entry(&self) -> Option<&Arc<Entry>> {
        self.entry.as_ref()
    }

    /// On a send-once right.
    pub(crate) fn once(link: &Arc<Link>, slot: Slot, waiter: &Arc<Waiter>) -> Self {
        Posting::new(link, None, Header::new(Kind::Message, slot), waiter)
    }

    fn new(
        link: &Arc<Link>,
        entry: Option<Arc<Entry>>,
        header: Header,
        waiter: &Arc<Waiter>,
    ) -> Self {
        Posting {
            link: Arc::clone(link),
            entry,
            header,
            waiter: Arc::clone(waiter),
            load: None,
            attempt: Attempt::default(),
            joins: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// The same, taking the owner's word for it that there is no place.
    pub(crate) fn that_asks_once(mut self) -> Self {
        self.attempt.ask_once();
        self
    }

    /// Tries to send. `None` where it must wait; then the waiter is told when to
    /// try again. After `Some(Ok)` comes [`Posting::finish`].
    pub(crate) fn attempt(&mut self, message: &mut Message) -> Option<Result<(), SendFailure>> {
        if let Some(end) = self.link.end() {
            return Some(Err(end.as_send_failure()));
        }
        if self.load.is_none() {
            describe(&mut self.header, message);
            match self.make_ready(message)? {
                Ok(load) => self.load = Some(load),
                Err(reason) => return Some(Err(reason)),
            }
        }
        let Posting { link, entry, header, waiter, load, attempt, .. } = &mut *self;
        link.attempt(header, entry.as_ref(), message, load.as_mut()?, attempt, waiter)
    }

    /// Names every right of the message for the peer, when all are confirmed and
    /// their owners' lanes have room.
    fn make_ready(&mut self, message: &mut Message) -> Option<Result<Load, SendFailure>> {
        self.note_joins(message);
        let mut open = 0;
        for join in &self.joins {
            open += usize::from(join.stand_to_name(&self.link, &self.waiter).is_none());
        }
        for right in &message.rights {
            if let Right::Receive(right) = right {
                for port in right.core().with_all_inside() {
                    open += usize::from(port.stand_until_settled(&self.waiter).is_none());
                }
            }
        }
        if open > 0 {
            return None;
        }
        // The second time as one who is told of room.
        for last in [false, true] {
            match self.link.load_with(Kind::Message, message, Deadline::Now) {
                Ok(load) => return Some(Ok(load)),
                Err(SendFailure::Full | SendFailure::NotJoined(_)) if !last => {
                    self.stand_at_owners(message);
                }
                Err(SendFailure::Full) if has_ports(message) => {
                    // Descriptors of what goes with them may have found no room, and
                    // nobody says when there is.
                    self.link.task.wake_soon(&self.waiter);
                }
                Err(SendFailure::Full | SendFailure::NotJoined(_)) => {}
                // It came here just now, in the queue of another.
                Err(SendFailure::Unsettled) => self.waiter.raise(),
                Err(reason) => return Some(Err(reason)),
            }
        }
        None
    }

    /// It must wait: who does not even read what was written is rung for, once.
    pub(crate) fn be_patient(&self) {
        for link in self.owners.iter().chain(Some(&self.link)) {
            link.task.be_patient(link);
        }
        for join in &self.joins {
            join.be_patient();
        }
    }

    fn note_joins(&mut self, message: &Message) {
        if !self.joins.is_empty() {
            return;
        }
        let rights = message.rights.iter().filter_map(|right| match right {
            Right::Send(right) => match right.settled() {
                Settled::Joining(join) => Some(Arc::clone(join)),
                _ => None,
            },
            Right::SendOnce(right) => right.joining_to(),
            Right::Receive(_) => None,
        });
        let reply = message.reply.as_ref().and_then(|reply| reply.joining_to());
        self.joins.extend(rights.chain(reply));
    }

    fn stand_at_owners(&mut self, message: &Message) {
        if !self.owners.is_empty() {
            return;
        }
        let sends = message.rights.iter().filter_map(|right| match right {
            Right::Send(right) => match right.settled() {
                Settled::Import(entry) => Some(Arc::clone(&entry.link)),
                Settled::Joining(join) => join.claimed().cloned(),
                _ => None,
            },
            Right::SendOnce(right) => owner_of(right),
            Right::Receive(_) => None,
        });
        let reply = message.reply.as_ref().and_then(owner_of);
        for owner in sends.chain(reply) {
            if !Arc::ptr_eq(&owner, &self.link)
                && !self.owners.iter().any(|known| Arc::ptr_eq(known, &owner))
            {
                owner.add_waiter(&self.waiter);
                self.owners.push(owner);
            }
        }
    }

    /// The message was published: its rights are no longer ours.
    pub(crate) fn finish(mut self, message: Message) {
        self.stop(false);
        if let Some(load) = self.load.take() {
            self.link.unload(load, message);
        }
    }

    fn stop(&mut self, gave_up: bool) {
        for join in self.joins.drain(..) {
            join.forget(&self.waiter);
        }
        for owner in self.owners.drain(..) {
            owner.remove_waiter(&self.waiter);
        }
        let attempt = std::mem::take(&mut self.attempt);
        self.link.end_attempt(attempt, self.entry.as_ref(), &self.waiter, gave_up);
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        if self.link.task.check().is_err() {
            return;
        }
        self.stop(true);
        if let Some(load) = self.load.take() {
            self.link.undo(load);
        }
    }
}

/// The link with the owner of a send-once right, confirmed or not.
fn owner_of(right: &SendOnceRight) -> Option<Arc<Link>> {
    right.link().or_else(|| right.joining_to()?.claimed().cloned())
}

fn has_ports(message: &Message) -> bool {
    message.rights.iter().any(|right| matches!(right, Right::Receive(_)))
}
