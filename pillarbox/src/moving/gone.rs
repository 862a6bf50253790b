//! A port that has gone to another task: what its old owner still does for it.
//!
//! What reaches us on rights that have not followed yet goes into the bag before
//! its space in its sender's lane is freed. Send-once rights made before the move
//! do not follow: what comes on them goes through the bag, and our death breaks
//! the promises that are left.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use abi::Ticket;
use abi::bag::{Origin, OutRight, Place};
use abi::board::{Life, Moved, State};
use abi::frame::{Header, Kind};

use super::bag::Bag;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::link::{Join, Link, NO_SLOT};
use crate::message::Message;
use crate::port::After;
use crate::wait::parking::lock;

/// What is left of a port at its old owner.
#[derive(Debug)]
pub(crate) struct Gone {
    /// The link with the new owner.
    pub(super) link: Arc<Link>,
    /// The bag's number.
    pub(super) ticket: Ticket,
    pub(super) bag: Mutex<Bag>,
    /// The rights that are out, by link and what the right is.
    pub(super) out: Mutex<HashMap<(u32, u64), Ticket>>,
    /// Our own send rights follow together.
    pub(super) own: Arc<Join>,
    /// What could not be named for the new owner yet, in order.
    pub(super) parked: Mutex<Parked>,
}

/// Messages that wait until their rights can be named.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: VecDeque<Forwarded>,
    busy: bool,
}

/// A message on its way into the bag.
#[derive(Debug)]
struct Forwarded {
    origin: Origin,
    message: Message,
}

impl Gone {
    /// The claim of our own send rights.
    pub(crate) const fn own(&self) -> &Arc<Join> {
        &self.own
    }

    /// A message has come on a right of the peer of `link`.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        link: &Link,
        via: u64,
        message: Message,
        after: &mut After,
    ) {
        let ticket = lock(&self.out).get(&(link.number, via)).map_or(0, |ticket| ticket.0);
        self.forward(Origin { ticket, place: Place::Counted, pulses: 0 }, message, after);
    }

    /// A pulse has come. It is no message: its sender does not count it.
    pub(crate) fn pulse(self: &Arc<Self>, pulse: Message, after: &mut After) {
        self.forward(Origin { pulses: 1, ..Origin::default() }, pulse, after);
    }

    /// A message, or the news of its end, has come on a send-once right.
    pub(crate) fn arrive_once(self: &Arc<Self>, message: Message, after: &mut After) {
        let origin = Origin { place: Place::Promised, ..Origin::default() };
        self.forward(origin, message, after);
    }

    fn forward(self: &Arc<Self>, origin: Origin, message: Message, after: &mut After) {
        let now = {
            let mut parked = lock(&self.parked);
            let now = parked.waiting.is_empty() && message.is_simple_for(&self.link);
            parked.waiting.push_back(Forwarded { origin, message });
            now
        };
        if now {
            self.push_parked();
        } else {
            // Naming its rights may wait for others, and we hold a lane.
            after.forward(Arc::clone(self));
        }
    }

    /// Puts what waits into the bag, as far as its rights can be named now. One
    /// thread at a time: who finds another at it leaves the rest to that one.
    pub(crate) fn push_parked(self: &Arc<Self>) {
        loop {
            let first = {
                let mut parked = lock(&self.parked);
                if parked.busy {
                    return;
                }
                let Some(first) = parked.waiting.pop_front() else { return };
                parked.busy = true;
                first
            };
            let back = self.put(first);
            let mut parked = lock(&self.parked);
            parked.busy = false;
            if let Some(back) = back {
                parked.waiting.push_front(back);
                drop(parked);
                self.link.task.park(self);
                return;
            }
        }
    }

    /// Puts one message into the bag. What cannot be named yet comes back.
    fn put(&self, Forwarded { origin, mut message }: Forwarded) -> Option<Forwarded> {
        let mut load = match self.link.load(&mut message, Deadline::Now) {
            Ok(load) => load,
            Err(SendFailure::Full | SendFailure::NotJoined(_)) => {
                return Some(Forwarded { origin, message });
            }
            // The new owner is gone, or cannot take it: so is the port.
            Err(_) => {
                drop(message);
                return None;
            }
        };
        let written = {
            let mut bag = lock(&self.bag);
            let written = self.link.write_into(&mut bag, &origin, &message, &mut load);
            if written.is_ok() {
                self.link.note_exported(&load);
            }
            bag.publish();
            written
        };
        match written {
            Ok(()) => {
                self.link.unload(load, message);
                self.say_look();
                None
            }
            Err(SendFailure::Full) => {
                self.link.undo(load);
                Some(Forwarded { origin, message })
            }
            Err(_) => {
                self.link.undo(load);
                None
            }
        }
    }

    /// The peer of `link` holds a right no more.
    pub(crate) fn left(&self, link: &Link, via: u64) {
        // A task that closes leaves its peers their rights, as one that is killed.
        if link.task.closed.load(Ordering::Relaxed) {
            return;
        }
        let ticket = lock(&self.out).remove(&(link.number, via));
        if let Some(ticket) = ticket {
            let mut bag = lock(&self.bag);
            let _ = bag.ended(ticket);
            bag.publish();
            drop(bag);
            self.say_look();
        }
    }

    /// A peer was given a right that was on its way before the move: it follows at
    /// once. False where the bag is full.
    pub(crate) fn joined(&self, link: &Arc<Link>, slot: abi::Slot, via: u64) -> bool {
        let ticket = Ticket(link.task.next_id());
        let holder = OutRight { holder: link.peer_task(), address: link.address(), have: 0 };
        let mut bag = lock(&self.bag);
        if !bag.out(ticket, &holder) {
            return false;
        }
        bag.publish();
        lock(&self.out).insert((link.number, via), ticket);
        drop(bag);
        link.mark_moved(slot, &self.moved(ticket));
        self.say_look();
        true
    }

    pub(super) fn moved(&self, ticket: Ticket) -> Moved {
        Moved { ticket, owner: self.link.peer_task(), address: self.link.address() }
    }

    fn say_look(&self) {
        self.link.say(Header { tag: self.ticket.0, ..Header::new(Kind::Bag, NO_SLOT) }, &[]);
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        // No right of ours leads here any more, and none will.
        let task = &self.link.task;
        if task.check().is_ok() && !task.closed.load(Ordering::Relaxed) {
            let mut bag = lock(&self.bag);
            let _ = bag.ended(self.own.ticket);
            bag.publish();
            drop(bag);
            self.say_look();
        }
    }
}

impl Link {
    /// Marks a slot of the peer's: its port is, or is about to be, another task's.
    pub(super) fn mark_moved(&self, slot: abi::Slot, moved: &Moved) {
        self.own_page().set_moved(slot.index, moved);
        self.own_page()
            .set_life(slot.index, Life { generation: slot.generation, state: State::Moved });
        self.own_page().bump_change();
    }

    /// Takes such a mark back.
    pub(super) fn unmark_moved(&self, slot: abi::Slot) {
        self.own_page()
            .set_life(slot.index, Life { generation: slot.generation, state: State::Live });
        self.own_page().bump_change();
    }
}
