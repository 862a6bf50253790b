//! A port that has gone to another task: what its old owner still does for it.
//!
//! What reaches us on rights that have not followed yet goes into the bag before
//! its space in its sender's lane is freed. Send-once rights made before the move
//! do not follow: what comes on them goes through the bag, and our death breaks
//! the promises that are left. When the bag is full it goes on in another memory.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use abi::bag::{Origin, OutRight, Place};
use abi::board::{Life, Moved, State};
use abi::frame::{EVERY_TICKET, Header, Kind};
use abi::{Offence, Ticket, limits};

use super::bag::{Bag, OpenBag};
use crate::background::Job;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::link::{Charge, Join, Link, Load, NO_SLOT};
use crate::message::{Message, Right};
use crate::port::After;
use crate::right::SendRight;
use crate::wait::parking::lock;

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
    /// Our own send rights follow together.
    pub(super) own: Arc<Join>,
    pub(super) own_ended: AtomicBool,
    /// What could not be put into the bag yet, in order.
    pub(super) parked: Mutex<Parked>,
}

/// What waits to be put into the bag.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: VecDeque<Word>,
    busy: bool,
}

/// One word for the new owner.
#[derive(Debug)]
enum Word {
    Message(Origin, Box<Message>),
    /// A right that was out has ended.
    Ended(Ticket),
}

/// What became of one.
enum Put {
    Done,
    /// Its rights cannot be named now: a turn will bring what is missing.
    NextTurn(Word),
    /// The system refused something, and does not say when it has it.
    Soon(Word),
}

impl Gone {
    /// The claim of our own send rights.
    pub(crate) const fn own(&self) -> &Arc<Join> {
        &self.own
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

    /// A pulse has come. It is no message: its sender does not count it.
    pub(crate) fn pulse(
        self: &Arc<Self>,
        pulse: Message,
        granted: Result<(), Offence>,
        after: &mut After,
    ) -> Result<(), Offence> {
        if let Err(offence) = granted {
            after.drop_later(pulse);
            return Err(offence);
        }
        self.forward(Origin { pulses: 1, ..Origin::default() }, pulse, after);
        Ok(())
    }

    /// A message, or the news of its end, has come on a send-once right.
    pub(crate) fn arrive_once(self: &Arc<Self>, message: Message, after: &mut After) {
        let origin = Origin { place: Place::Promised, ..Origin::default() };
        self.forward(origin, message, after);
    }

    /// A message is for whoever has the port now.
    pub(crate) fn forward(
        self: &Arc<Self>,
        origin: Origin,
        mut message: Message,
        after: &mut After,
    ) {
        message.charge = None;
        let word = Word::Message(origin, Box::new(message));
        {
            let mut parked = lock(&self.parked);
            let Word::Message(_, message) = &word else { return };
            if parked.busy || !parked.waiting.is_empty() || !message.is_simple_for(&self.link) {
                // Naming rights may wait for others, and we hold a lane.
                parked.waiting.push_back(word);
                drop(parked);
                after.forward(Arc::clone(self));
                return;
            }
            parked.busy = true;
        }
        let put = self.put(word);
        let mut parked = lock(&self.parked);
        parked.busy = false;
        let more = !parked.waiting.is_empty();
        if let Put::NextTurn(back) | Put::Soon(back) = put {
            parked.waiting.push_front(back);
        } else if !more {
            return;
        }
        drop(parked);
        after.forward(Arc::clone(self));
    }

    /// Puts what waits into the bag, as far as it can be now. One thread at a time:
    /// who finds another at it leaves the rest to that one.
    pub(crate) fn push_parked(self: &Arc<Self>) {
        loop {
            // Read before the try: what a turn brings after it is tried again.
            let turns = self.link.task.turns();
            let first = {
                let mut parked = lock(&self.parked);
                if parked.busy {
                    return;
                }
                let Some(first) = parked.waiting.pop_front() else { return };
                parked.busy = true;
                first
            };
            let (back, soon) = match self.put(first) {
                Put::Done => (None, false),
                Put::NextTurn(back) => (Some(back), false),
                Put::Soon(back) => (Some(back), true),
            };
            let mut parked = lock(&self.parked);
            parked.busy = false;
            let Some(back) = back else { continue };
            parked.waiting.push_front(back);
            drop(parked);
            self.link.task.park(self);
            if soon {
                self.link.task.job(Job::Again(self.link.number));
                return;
            }
            if self.link.task.turns() == turns {
                return;
            }
        }
    }

    fn put(&self, word: Word) -> Put {
        match word {
            Word::Message(origin, message) => self.put_message(origin, message),
            Word::Ended(ticket) => {
                if self.write(|bag| bag.ended(ticket)) {
                    Put::Done
                } else {
                    Put::Soon(word)
                }
            }
        }
    }

    /// Puts one message into the bag.
    fn put_message(&self, origin: Origin, mut message: Box<Message>) -> Put {
        let mut load = match self.link.load(&mut message, Deadline::Now) {
            Ok(load) => load,
            // The new owner is gone, and with it the port.
            Err(_) if self.link.is_dead() => return Put::Done,
            Err(SendFailure::Full | SendFailure::NotJoined(_) | SendFailure::Unsettled) => {
                return Put::NextTurn(Word::Message(origin, message));
            }
            // Others go at this moment.
            Err(SendFailure::TooManyDescriptors(_)) if may_go_alone(&message) => {
                return Put::Soon(Word::Message(origin, message));
            }
            Err(
                SendFailure::RightsExhausted
                | SendFailure::DescriptorsInFlight
                | SendFailure::System(_),
            ) => return Put::Soon(Word::Message(origin, message)),
            Err(_) if self.end_ports_in(&mut message) => {
                return self.put_message(origin, message);
            }
            // In a forked child it is the parent's to send.
            Err(_) => return Put::Done,
        };
        let put = self.link.move_ports(&mut load, |load, exported, mark| {
            mark();
            self.put_loaded(&origin, &message, load, exported)
        });
        match put {
            Ok(()) => {
                self.link.unload(load, *message);
                Put::Done
            }
            Err(SendFailure::Dead) => {
                self.link.undo(load);
                Put::Done
            }
            Err(_) => {
                self.link.undo(load);
                Put::Soon(Word::Message(origin, message))
            }
        }
    }

    /// Writes one message, its rights named by `load`, and shows it.
    fn put_loaded(
        &self,
        origin: &Origin,
        message: &Message,
        load: &mut Load,
        exported: &[abi::Slot],
    ) -> Result<(), SendFailure> {
        let mut put = Ok(());
        let written = self.write(|bag| {
            put = self.link.write_into(bag, origin, message, load);
            match &put {
                Ok(()) => {
                    self.link.note_exported(load, exported);
                    true
                }
                // Not for want of room: another memory would not help.
                Err(why) => !matches!(why, SendFailure::TooLong { .. }),
            }
        });
        if !written {
            return Err(SendFailure::Full);
        }
        if put.is_ok() {
            self.link.bagged_shown(usize::from(load.count() > 0));
        }
        put
    }

    /// Receive rights that cannot go further end here; the message goes without.
    /// False where it has none.
    fn end_ports_in(&self, message: &mut Message) -> bool {
        let mut any = false;
        for right in &mut message.rights {
            if matches!(right, Right::Receive(_)) {
                any = true;
                *right = SendRight::dead(&self.link.task).into();
            }
        }
        any
    }

    /// Writes into the bag and shows it, going on in another memory where there is no
    /// room for it. False where the system has none.
    fn write(&self, mut frame: impl FnMut(&mut Bag) -> bool) -> bool {
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
            self.end(ticket, after);
        }
    }

    /// A right that was out is out no more. Behind all that came of it.
    fn end(self: &Arc<Self>, ticket: Ticket, after: &mut After) {
        lock(&self.parked).waiting.push_back(Word::Ended(ticket));
        after.forward(Arc::clone(self));
    }

    /// Our own rights have followed.
    pub(crate) fn own_followed(self: &Arc<Self>, after: &mut After) {
        if !self.own_ended.swap(true, Ordering::Relaxed) {
            self.end(self.own.ticket, after);
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
    }
}

/// Whether the ports in a message have no more descriptors in their queues than may go
/// at a time.
fn may_go_alone(message: &Message) -> bool {
    let ports = message.rights.iter().filter_map(|right| match right {
        Right::Receive(right) => Some(right.core().with_all_inside()),
        Right::Send(_) | Right::SendOnce(_) => None,
    });
    let packets: usize = ports.flatten().map(|port| lock(port.state()).packets_inside()).sum();
    packets <= limits::BAG_DESCRIPTORS_WAITING
}

impl Drop for Gone {
    fn drop(&mut self) {
        // No right of ours leads here any more, and none will.
        let task = &self.link.task;
        if task.check().is_ok() && !task.closed.load(Ordering::Relaxed) {
            let (own, ended) = (self.own.ticket, self.own_ended.load(Ordering::Relaxed));
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
