//! A port that has gone to another task: what its old owner still does for it.
//!
//! What reaches us on rights that have not followed yet goes into the bag before
//! its space in its sender's lane is freed. Send-once rights made before the move
//! do not follow: what comes on them goes through the bag, and our death breaks
//! the promises that are left. When the bag is full it goes on in another memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::bag::{Origin, OutRight, Place};
use abi::board::{Life, Moved, State};
use abi::frame::{EVERY_TICKET, Header, Kind};
use abi::{Offence, Ticket};

use super::bag::{Bag, OpenBag};
use super::parked::Parked;
use crate::link::{Charge, Join, Link, NO_SLOT};
use crate::message::Message;
use crate::port::After;
use crate::wait::parking::{Mutex, lock};

/// What is left of a port at its old owner.
#[derive(Debug)]
pub(crate) struct Gone {
    /// The link with the new owner.
    pub(super) link: Arc<Link>,
    /// The bag's number.
    pub(super) ticket: Ticket,
    pub(super) bag: Mutex<Bag>,
    pub(super) open: Option<OpenBag>,
    /// The rights that are out, by link and what the right is.
    pub(super) out: Mutex<HashMap<(u32, u64), Ticket>>,
    /// What came of them counts against their holders until they have followed: one
    /// that does not follow runs out of bytes.
    pub(super) charges: Mutex<HashMap<(u32, u64), Vec<Charge>>>,
    /// Our own send rights follow together, while there are any.
    pub(super) own: Mutex<Option<Arc<Join>>>,
    pub(super) own_ticket: Ticket,
    pub(super) own_ended: AtomicBool,
    /// Promises are out that we pass on.
    pub(super) relays: AtomicBool,
    /// What could not be put into the bag yet, in order.
    pub(super) parked: Mutex<Parked>,
}

impl Gone {
    pub(super) const fn new_owner(&self) -> &Arc<Link> {
        &self.link
    }

    /// The claim of our own send rights, while there are any.
    pub(crate) fn own(&self) -> Option<Arc<Join>> {
        lock(&self.own).clone()
    }

    /// Nobody can send here any more, and nobody will: neither we nor a peer has a
    /// right to the port as it was here. What keeps it are promises at most, and those
    /// are no senders.
    pub(crate) fn let_go_of_own(self: &Arc<Self>, after: &mut After) {
        let own = lock(&self.own).take();
        if let Some(own) = own {
            self.own_followed(after);
            after.let_join_go(own);
        }
    }

    /// A message has come on a right of the peer of `link`, which was `granted` it
    /// before the move.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        link: &Link,
        via: u64,
        mut message: Message,
        granted: Result<(), Offence>,
        after: &mut After,
    ) -> Result<(), Offence> {
        if let Err(offence) = granted {
            after.drop_later(message);
            return Err(offence);
        }
        let key = (link.number, via);
        if let Some(charge) = message.charge.take() {
            lock(&self.charges).entry(key).or_default().push(charge);
        }
        let ticket = lock(&self.out).get(&key).map_or(0, |ticket| ticket.0);
        self.forward(Origin { ticket, place: Place::Counted, pulses: 0 }, message, after);
        Ok(())
    }

    /// A pulse has come, on the right of a link: what follows it there waits for it.
    pub(crate) fn pulse(
        self: &Arc<Self>,
        key: (u32, u64),
        pulse: Message,
        granted: Result<(), Offence>,
        after: &mut After,
    ) -> Result<(), Offence> {
        if let Err(offence) = granted {
            after.drop_later(pulse);
            return Err(offence);
        }
        let ticket = lock(&self.out).get(&key).map_or(0, |ticket| ticket.0);
        self.forward(Origin { ticket, pulses: 1, ..Origin::default() }, pulse, after);
        Ok(())
    }

    /// A message, or the news of its end, has come on a send-once right.
    pub(crate) fn arrive_once(self: &Arc<Self>, message: Message, after: &mut After) {
        let origin = Origin { place: Place::Promised, ..Origin::default() };
        self.forward(origin, message, after);
    }

    /// Writes into the bag and shows it, going on in another memory where there is no
    /// room for it. False where the system has none.
    pub(super) fn write(&self, mut frame: impl FnMut(&mut Bag) -> bool) -> bool {
        {
            let mut bag = lock(&self.bag);
            if !frame(&mut bag) {
                // Large enough for any frame, and ever fewer for ever more.
                let Some(Ok((mut more, fd))) = bag.next() else { return false };
                if !frame(&mut more) {
                    return false;
                }
                bag.publish();
                more.publish();
                *bag = more;
                // Under the lock: the next memory is offered after this one.
                self.link.offer_bag(self.ticket, fd);
            }
            bag.publish();
        }
        self.say_look();
        true
    }

    /// The peer of `link` holds a right no more.
    pub(crate) fn left(self: &Arc<Self>, link: &Link, via: u64, after: &mut After) {
        let key = (link.number, via);
        after.let_charges_go(lock(&self.charges).remove(&key).unwrap_or_default());
        // A task that closes leaves its peers their rights, as one that is killed.
        if link.task.closed.load(Ordering::Relaxed) {
            return;
        }
        let ticket = lock(&self.out).remove(&key);
        if let Some(ticket) = ticket {
            after.end_out(Arc::clone(self), ticket);
        }
    }

    /// Our own rights have followed.
    pub(crate) fn own_followed(self: &Arc<Self>, after: &mut After) {
        if !self.own_ended.swap(true, Ordering::Relaxed) {
            after.end_out(Arc::clone(self), self.own_ticket);
        }
    }

    /// A peer was given a right that was on its way before the move: it follows at
    /// once. False where the system refused what that takes.
    pub(crate) fn joined(&self, link: &Arc<Link>, slot: abi::Slot, via: u64) -> bool {
        let ticket = Ticket(link.task.next_id());
        let holder = OutRight { holder: link.peer_task(), address: link.address(), have: 0 };
        if !self.write(|bag| bag.out(ticket, &holder)) {
            return false;
        }
        lock(&self.out).insert((link.number, via), ticket);
        link.mark_moved(slot, &self.moved(ticket));
        true
    }

    pub(super) fn moved(&self, ticket: Ticket) -> Moved {
        Moved { ticket, owner: self.link.peer_task(), address: self.link.address() }
    }

    fn say_look(&self) {
        self.link.say(Header { tag: self.ticket.0, ..Header::new(Kind::Bag, NO_SLOT) }, &[]);
        if !lock(&self.out).is_empty() {
            // Who follows waits for what it sent to come there, though no thread of the
            // new owner's may wait for anything.
            self.link.ring_awake();
        }
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        // No right of ours leads here any more, and none will.
        self.end_relay();
        let task = &self.link.task;
        if task.check().is_ok() && !task.closed.load(Ordering::Relaxed) {
            let (own, ended) = (self.own_ticket, self.own_ended.load(Ordering::Relaxed));
            let said =
                self.write(|bag| (ended || bag.ended(own)) && bag.ended(Ticket(EVERY_TICKET)));
            if let Some(open) = &mut self.open {
                open.stays = !said;
            }
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
