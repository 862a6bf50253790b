//! What a port holds, under its lock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use abi::{Slot, Ticket};
use rights::port::{Lent, Port as Queue, Taken};
use rights::queue::{Label, Labelled, Spot};
use rights::senders::{NoSenders, Senders};
use rights::window::{Capacity, Raise};

use super::facets::PortFacets;
use super::spilling::OwnQueued;
use super::{PortCore, PortOptions};
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::link::{Charge, Join, Joined, Link};
use crate::message::{Message, Notification};
use crate::moving::gone::Gone;
use crate::right::{SendOnceRight, SendRight};
use crate::set::SetCore;
use crate::special::kernel;
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// Whom a place in a queue is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The right one link's peer holds: to the port itself or a facet of it.
    Link(u32, u64),
    /// A thread of our own that waits for a place.
    Own(u64),
}

/// Where a peer's right to the port lies on our board.
#[derive(Debug)]
pub(crate) struct OnBoard {
    pub(super) link: Weak<Link>,
    pub(super) slot: Slot,
    /// Messages that came of it.
    pub(super) came: u64,
}

/// What was accepted, in order.
pub(super) type Queued = Queue<Message, Holder>;

#[derive(Debug)]
pub(crate) struct PortState {
    pub(super) id: u64,
    pub(super) options: PortOptions,
    pub(super) alive: bool,
    pub(super) queue: Queued,
    pub(super) receivers: Vec<Receiver>,
    pub(super) senders: Senders,
    pub(super) once: u64,
    pub(super) no_senders: Option<SendOnceRight>,
    /// Who has the receive right once it is let go.
    pub(super) destroyed: Option<SendOnceRight>,
    pub(super) dead_name: Vec<SendOnceRight>,
    pub(super) facets: PortFacets,
    /// By link and what the right is: the port itself or a facet of it.
    pub(super) boards: HashMap<(u32, u64), OnBoard>,
    /// Who of our own is to hear of room.
    pub(super) room: Option<SendOnceRight>,
    pub(super) own_waiting: HashMap<u64, OwnSender>,
    /// Futures of our own that wait for a place, and keep their message.
    pub(super) own_asking: HashMap<u64, Arc<Waiter>>,
    /// The port sets it is a member of.
    pub(super) sets: Vec<Arc<SetCore>>,
    /// The port itself, where the library takes what comes, and whether somebody
    /// does so now.
    pub(super) served: Option<Weak<PortCore>>,
    pub(super) serving: bool,
    /// The port is about to go to another task: nobody spills for it.
    pub(super) spills_nothing: bool,
    /// What its task's own messages are charged to.
    pub(super) own: OwnQueued,
    /// Whose port it is.
    pub(super) task: Weak<TaskCore>,
}

/// A thread of our own that waits for a place. Its message waits with it, and
/// goes into the queue the moment a place is granted.
#[derive(Debug)]
pub(super) struct OwnSender {
    via: Option<u64>,
    message: Option<Message>,
    waiter: Arc<Waiter>,
}

/// What a thread that waits at the port may be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Whatever comes first.
    Any,
    /// The first with this id.
    Id(i32),
    /// The first with this tag.
    Tag(u64),
    /// It looks at each message itself.
    Search,
}

/// A thread that waits at the port.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) waiter: Arc<Waiter>,
    pub(super) wants: Wants,
}

/// What is to be done once the port's lock is let go.
#[derive(Debug, Default)]
#[must_use = "wakes and looks must follow"]
pub(crate) struct After {
    pub(super) wake: Vec<Arc<Waiter>>,
    pub(super) looks: Vec<(Arc<Link>, Slot)>,
    /// Slots whose left message was taken.
    pub(super) takens: Vec<(Arc<Link>, Slot)>,
    /// Slots whose port has room, and their holders are to hear of it.
    pub(super) rooms: Vec<(Arc<Link>, Slot)>,
    pub(super) fire: Vec<(SendOnceRight, Notification)>,
    /// Who is told that nobody can send, and how many rights were made.
    pub(super) no_senders: Vec<(SendOnceRight, u64)>,
    /// Ports that the library is to take something from.
    pub(super) serve: Vec<Weak<PortCore>>,
    pub(super) dropped: Vec<Message>,
    pub(super) refused: Vec<Message>,
    pub(super) let_go: Vec<SendOnceRight>,
    joins_let_go: Vec<Arc<Join>>,
    joined_dropped: Vec<Joined>,
    /// What messages that were passed on counted against their senders.
    charges: Vec<Charge>,
    /// Peers that must read what was said, whatever their threads are doing.
    rings: Vec<Arc<Link>>,
    /// Whoever polls for this task is told.
    tell: Option<Arc<TaskCore>>,
    joins: Vec<Arc<Join>>,
    watches: Vec<(Arc<Join>, SendOnceRight)>,
    rooms_moved: Vec<(Arc<Join>, SendOnceRight)>,
    ask_rooms: Vec<(SendRight, SendOnceRight)>,
    again: Vec<Arc<Link>>,
    forwards: Vec<Arc<Gone>>,
    ended_out: Vec<(Arc<Gone>, Ticket)>,
    armed: Vec<(Arc<PortCore>, SendOnceRight)>,
    followers_gone: Vec<Arc<PortCore>>,
    promises_died: Vec<Arc<PortCore>>,
    owners_died: Vec<Arc<PortCore>>,
    sets: Vec<Arc<SetCore>>,
    /// Ports whose windows may have places to write off.
    pub(super) watch: Vec<(Weak<TaskCore>, u64)>,
}

impl After {
    pub(crate) fn wake(&mut self, waiter: Arc<Waiter>) {
        self.wake.push(waiter);
    }

    /// Something may have entered a queue of `task`.
    pub(super) fn tell_pollers_of(&mut self, task: &Arc<TaskCore>) {
        if task.is_polled() {
            self.tell = Some(Arc::clone(task));
        }
    }

    /// A right is to be claimed.
    pub(crate) fn join(&mut self, join: Arc<Join>) {
        self.joins.push(join);
    }

    /// Nobody has a right any more that this would follow for.
    pub(crate) fn let_join_go(&mut self, join: Arc<Join>) {
        self.joins_let_go.push(join);
    }

    /// An answer to a claim that came to nothing.
    pub(crate) fn drop_joined(&mut self, joined: Joined) {
        self.joined_dropped.push(joined);
    }

    /// Somebody wants to hear of the end of a right that follows its port.
    pub(crate) fn watch(&mut self, join: Arc<Join>, to: SendOnceRight) {
        self.watches.push((join, to));
    }

    /// Somebody wants to hear of room in a port that a right follows.
    pub(crate) fn watch_room(&mut self, join: Arc<Join>, to: SendOnceRight) {
        self.rooms_moved.push((join, to));
    }

    /// The same of a port of our own.
    pub(crate) fn ask_for_room(&mut self, port: SendRight, to: SendOnceRight) {
        self.ask_rooms.push((port, to));
    }

    /// Drops a right later, if there is one.
    pub(crate) fn let_go_of(&mut self, right: Option<SendOnceRight>) {
        self.let_go.extend(right);
    }

    /// A right to a port that has gone is out no more.
    pub(crate) fn end_out(&mut self, gone: Arc<Gone>, ticket: Ticket) {
        self.ended_out.push((gone, ticket));
    }

    /// Messages for a port that has gone wait to be named.
    pub(crate) fn forward(&mut self, gone: Arc<Gone>) {
        self.forwards.push(gone);
    }

    /// A peer is to look at a slot of its.
    pub(crate) fn look(&mut self, link: Arc<Link>, slot: Slot) {
        self.looks.push((link, slot));
    }

    /// Somebody hears when nobody can send to a port that came here.
    pub(crate) fn arm(&mut self, port: &Arc<PortCore>, to: SendOnceRight) {
        self.armed.push((Arc::clone(port), to));
    }

    /// A right that was out when the port came is no more.
    pub(crate) fn follower_gone(&mut self, port: &Arc<PortCore>) {
        self.followers_gone.push(Arc::clone(port));
    }

    /// Sets that a port is no member of any more: they may end with this.
    pub(super) fn leave_sets(&mut self, sets: Vec<Arc<SetCore>>) {
        self.sets.extend(sets);
    }

    /// The task a port has just gone to is dead.
    pub(crate) fn owner_died(&mut self, port: &Arc<PortCore>) {
        self.owners_died.push(Arc::clone(port));
    }

    /// A promise that was out when the port came is broken.
    pub(crate) fn promise_died(&mut self, port: &Arc<PortCore>) {
        self.promises_died.push(Arc::clone(port));
    }

    /// What a dead owner had not read is to be sent on this link.
    pub(crate) fn send_again(&mut self, link: &Arc<Link>) {
        self.again.push(Arc::clone(link));
    }

    pub(crate) fn drop_later(&mut self, message: Message) {
        self.dropped.push(message);
    }

    pub(crate) fn fire(&mut self, right: SendOnceRight, what: Notification) {
        self.fire.push((right, what));
    }

    /// Bytes go back to their sender later.
    pub(crate) fn let_charges_go(&mut self, charges: Vec<Charge>) {
        self.charges.extend(charges);
    }

    /// A peer is to read what it was told, though its threads may all be busy.
    pub(crate) fn ring(&mut self, link: Arc<Link>) {
        self.rings.push(link);
    }

    /// Drops a right later.
    pub(crate) fn let_go(&mut self, right: SendOnceRight) {
        self.let_go.push(right);
    }

    pub(crate) fn run(self) {
        for waiter in self.wake {
            waiter.raise();
        }
        for (link, slot) in self.looks {
            link.say_look(slot);
        }
        for link in self.rings {
            link.ring_now();
        }
        for message in self.refused {
            message.refuse();
        }
        for (link, slot) in self.takens {
            link.say_taken(slot);
        }
        for (link, slot) in self.rooms {
            link.say_room(slot);
        }
        for (right, what) in self.fire {
            right.notify(what);
        }
        for (right, made) in self.no_senders {
            right.notify_with(Notification::NoSenders, made);
        }
        for (gone, ticket) in self.ended_out {
            gone.push_ended(ticket);
        }
        for gone in self.forwards {
            gone.push_parked();
        }
        for (port, to) in self.armed {
            port.watch_no_senders(to, 0);
        }
        for port in self.owners_died {
            let mut after = After::default();
            port.new_owner_died(&mut after);
            after.run();
        }
        for port in self.promises_died {
            let mut after = After::default();
            port.promise_died(&mut after);
            after.run();
        }
        for port in self.followers_gone {
            let mut after = After::default();
            lock(port.state()).follower_gone(&mut after);
            after.run();
        }
        for (join, to) in self.watches {
            join.watch_death(to);
        }
        for (join, to) in self.rooms_moved {
            let mut after = After::default();
            let before = join.watch_room(to, &mut after);
            after.let_go_of(before);
            after.run();
        }
        for (port, to) in self.ask_rooms {
            // It comes back where nobody is there any more, and is told so.
            if let Err(error) = port.notify_room(to) {
                error.right.notify(Notification::DeadName);
            }
        }
        for join in self.joins {
            let mut after = After::default();
            let task = Arc::clone(&join.task);
            task.start_join(join, &mut after);
            after.run();
        }
        for link in self.again {
            link.push_again();
        }
        drop(self.sets);
        drop(self.dropped);
        for port in self.serve.iter().filter_map(Weak::upgrade) {
            kernel::serve(&port);
        }
        drop(self.let_go);
        drop(self.joins_let_go);
        drop(self.joined_dropped);
        drop(self.charges);
        if let Some(task) = self.tell {
            task.tell_pollers();
        }
        for (task, port) in self.watch {
            if let Some(task) = task.upgrade() {
                task.watch_window(port);
            }
        }
    }
}

impl PortState {
    pub(super) fn new(
        id: u64,
        options: &PortOptions,
        task: Weak<TaskCore>,
        own: OwnQueued,
    ) -> Self {
        PortState {
            id,
            options: options.clone(),
            alive: true,
            queue: Queue::new(options.capacity)
                .ordered(options.order)
                .overflowing(options.overflow)
                .with_pulses(options.pulses, options.merge_pulses),
            receivers: Vec::new(),
            senders: Senders::default(),
            once: 0,
            no_senders: None,
            destroyed: None,
            dead_name: Vec::new(),
            facets: PortFacets::default(),
            boards: HashMap::new(),
            room: None,
            own_waiting: HashMap::new(),
            own_asking: HashMap::new(),
            sets: Vec::new(),
            served: None,
            serving: false,
            spills_nothing: false,
            own,
            task,
        }
    }

    /// Queues a message of our own task if there is room now.
    pub(super) fn enter(
        &mut self,
        via: Option<u64>,
        mut message: Message,
        now_ns: u64,
        after: &mut After,
    ) -> Result<(), (SendFailure, Message)> {
        if !self.alive {
            return Err((SendFailure::Dead, message));
        }
        if let Err(failure) = self.permits(via, &message, now_ns) {
            return Err((failure, message));
        }
        if !self.charge_own(&mut message) {
            return Err((SendFailure::OverLimit, message));
        }
        // What it goes out through; while it waits, a revocation of that ends it.
        let within = message.within.clone();
        self.mark(via, &mut message);
        let (id, label) = (message.id(), message.label());
        let mut entered = self.queue.enter(message);
        // Somebody may wait at a set for just this.
        if let Err(message) = entered {
            entered =
                if self.attend(now_ns, after) { self.queue.enter(message) } else { Err(message) };
        }
        if let Err(message) = entered {
            return Err((SendFailure::Full, Message { within, ..message }));
        }
        after.dropped.extend(self.queue.fallen());
        self.count_own(via, id, now_ns, after);
        self.wake_for(label, after);
        Ok(())
    }

    /// Leaves a message of our own task to be queued when a place is granted.
    pub(super) fn wait_to_enter(
        &mut self,
        key: u64,
        via: Option<u64>,
        message: Message,
        waiter: &Arc<Waiter>,
        now_ns: u64,
        after: &mut After,
    ) {
        let priority = message.priority;
        let own = OwnSender { via, message: Some(message), waiter: Arc::clone(waiter) };
        self.own_waiting.insert(key, own);
        let _ = self.queue.window.join(Holder::Own(key));
        self.queue.window.ask(Holder::Own(key), priority);
        self.hand_out(now_ns, after);
        self.note_asking(now_ns, after);
    }

    /// What has become of a message that waits to be queued; `None` while it
    /// waits and may go on waiting.
    pub(super) fn entered(
        &mut self,
        key: u64,
        now_ns: u64,
    ) -> Option<Result<(), (SendFailure, Message)>> {
        let own = self.own_waiting.get(&key)?;
        let Some(message) = &own.message else { return Some(Ok(())) };
        let failure = if !self.alive {
            SendFailure::Dead
        } else if message.is_barred() {
            SendFailure::Revoked
        } else {
            self.permits(own.via, message, now_ns).err()?
        };
        let message = self.own_waiting.get_mut(&key)?.message.take()?;
        Some(Err((failure, message)))
    }

    /// Ends such a wait: the message, if it was not queued.
    pub(super) fn withdraw(&mut self, key: u64, now_ns: u64, after: &mut After) -> Option<Message> {
        let own = self.own_waiting.remove(&key)?;
        self.queue.window.leave(Holder::Own(key));
        self.hand_out(now_ns, after);
        own.message
    }

    /// Lets in who is first in line, then gives free places to those who ask.
    pub(super) fn hand_out(&mut self, now_ns: u64, after: &mut After) {
        let mut raises = Vec::new();
        self.queue.hand_out(now_ns, &mut raises);
        self.apply(raises, now_ns, after);
    }

    /// Lets every holder have what it was granted, and whoever waits know of what
    /// was let in.
    pub(super) fn apply(&mut self, raises: Vec<Raise<Holder>>, now_ns: u64, after: &mut After) {
        let mut raises = VecDeque::from(raises);
        while let Some(raise) = raises.pop_front() {
            match raise.holder {
                Holder::Link(number, via) => {
                    let Some(place) = self.boards.get(&(number, via)) else { continue };
                    let Some(link) = place.link.upgrade() else { continue };
                    link.own_page().set_grant(place.slot.index, raise.grant);
                    if raise.asked {
                        after.looks.push((link, place.slot));
                    }
                }
                Holder::Own(key) if self.own_asking.contains_key(&key) => {
                    // It comes with its message when it is polled.
                    after.wake.extend(self.own_asking.get(&key).cloned());
                }
                Holder::Own(key) => {
                    self.deposit(key, now_ns, after);
                    // It wanted one place: what it was given beyond that is free.
                    self.queue.window.leave(Holder::Own(key));
                    let mut more = Vec::new();
                    self.queue.hand_out(now_ns, &mut more);
                    raises.extend(more);
                }
            }
        }
        for label in self.queue.let_in() {
            self.wake_for(label, after);
        }
        self.tell_taken(after);
        self.tell_room(after);
        if self.queue.window.next_expiry().is_some() {
            after.watch.push((Weak::clone(&self.task), self.id));
        }
    }

    fn deposit(&mut self, key: u64, now_ns: u64, after: &mut After) {
        let Some(own) = self.own_waiting.get_mut(&key) else { return };
        let (via, waiter) = (own.via, Arc::clone(&own.waiter));
        let Some(mut message) = own.message.take() else { return };
        let arrived = if !message.is_barred() && self.permits(via, &message, now_ns).is_ok() {
            self.mark(via, &mut message);
            let (id, label) = (message.id(), message.label());
            let arrived = self.queue.arrive(Holder::Own(key), message);
            if arrived.is_ok() {
                self.count_own(via, id, now_ns, after);
                self.wake_for(label, after);
            }
            arrived.map_err(|(_, message)| message)
        } else {
            // Its terms have ended while it waited: it looks, and is told.
            Err(message)
        };
        after.wake.push(waiter);
        // Not granted after all: it goes on waiting.
        if let (Err(message), Some(own)) = (arrived, self.own_waiting.get_mut(&key)) {
            own.message = Some(message);
        }
    }

    /// Wakes whom a message that has just become ready may be for: everybody
    /// who chooses, and the first who does not. Each of the former looks for
    /// itself; of the latter, who leaves wakes the next.
    pub(super) fn wake_for(&self, label: Label, after: &mut After) {
        for receiver in &self.receivers {
            let may = match receiver.wants {
                Wants::Any => false,
                Wants::Id(id) => id == label.id,
                Wants::Tag(tag) => tag == label.tag,
                Wants::Search => true,
            };
            if may {
                after.wake.push(Arc::clone(&receiver.waiter));
            }
        }
        self.wake_any(after);
    }

    /// Wakes the first who takes whatever is ready, here and at each set.
    pub(super) fn wake_any(&self, after: &mut After) {
        self.note_ready(after);
        if !self.serving {
            after.serve.extend(self.served.clone());
        }
        let mut any = self.receivers.iter().filter(|receiver| receiver.wants == Wants::Any);
        let first = any.next();
        // A future that was told and is not polled keeps nobody else asleep.
        let next = first.into_iter().chain(any).find(|receiver| !receiver.waiter.is_told());
        after.wake.extend(next.or(first).map(|receiver| Arc::clone(&receiver.waiter)));
    }

    /// A thread waits at the port from now on.
    pub(super) fn join_receivers(
        &mut self,
        waiter: &Arc<Waiter>,
        wants: Wants,
        now_ns: u64,
        after: &mut After,
    ) {
        self.receivers.push(Receiver { waiter: Arc::clone(waiter), wants });
        self.note_receivers(now_ns, after);
    }

    /// The receivers that wait are the places of a rendezvous.
    pub(super) fn note_receivers(&mut self, now_ns: u64, after: &mut After) {
        if self.queue.window.capacity() == Capacity::Rendezvous {
            self.queue.window.set_receivers(self.receivers.len() as u64);
            self.hand_out(now_ns, after);
            self.note_asking(now_ns, after);
        }
    }

    /// A thread no longer waits at the port. If messages are ready, the next is
    /// woken for them.
    pub(super) fn leave_receivers(
        &mut self,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
        now_ns: u64,
        after: &mut After,
    ) {
        if std::mem::take(waiting) {
            // The last: a predicate may receive in the midst of a receive.
            let here = |receiver: &Receiver| Arc::ptr_eq(&receiver.waiter, waiter);
            if let Some(place) = self.receivers.iter().rposition(here) {
                self.receivers.remove(place);
            }
        }
        self.note_receivers(now_ns, after);
        if self.queue.has_ready() {
            self.wake_any(after);
        }
    }

    /// Every sender of our own that waits looks again.
    pub(super) fn wake_own_senders(&self, after: &mut After) {
        for own in self.own_waiting.values() {
            after.wake.push(Arc::clone(&own.waiter));
        }
        after.wake.extend(self.own_asking.values().cloned());
    }

    /// Takes the first message of those wanted.
    pub(super) fn take(&mut self, wants: Wants, now_ns: u64, after: &mut After) -> Option<Message> {
        let spot = match wants {
            Wants::Any => self.queue.first(),
            Wants::Id(id) => self.queue.first_with_id(id),
            Wants::Tag(tag) => self.queue.first_with_tag(tag),
            Wants::Search => None,
        };
        self.take_at(spot?, now_ns, after)
    }

    /// Takes this message.
    pub(super) fn take_at(
        &mut self,
        spot: Spot,
        now_ns: u64,
        after: &mut After,
    ) -> Option<Message> {
        let mut raises = Vec::new();
        let taken = self.queue.take_at(spot, now_ns, &mut raises)?;
        Some(self.taken(taken, raises, now_ns, after))
    }

    /// Takes a lent message for good.
    pub(super) fn keep(
        &mut self,
        lent: Lent<Message, Holder>,
        now_ns: u64,
        after: &mut After,
    ) -> Message {
        let mut raises = Vec::new();
        let taken = self.queue.keep(lent, now_ns, &mut raises);
        self.taken(taken, raises, now_ns, after)
    }

    /// Puts a lent message back. Who may have passed it by looks again.
    pub(super) fn give_back(&mut self, lent: Lent<Message, Holder>, after: &mut After) {
        let label = lent.message().label();
        if self.queue.give_back(lent) {
            self.wake_for(label, after);
        } else {
            self.wake_any(after);
        }
    }

    fn taken(
        &mut self,
        taken: Taken<Message, Holder>,
        raises: Vec<Raise<Holder>>,
        now_ns: u64,
        after: &mut After,
    ) -> Message {
        self.apply(raises, now_ns, after);
        let mut message = taken.message;
        message.sequence = taken.sequence;
        message.pulses = taken.pulses;
        self.raise_pulses(taken.raise);
        message
    }

    /// Who is to have the receive right, now that it is let go, and the sets the
    /// port is in.
    pub(crate) fn bequeath(&mut self) -> Option<(SendOnceRight, Vec<Arc<SetCore>>)> {
        let to = if self.alive { self.destroyed.take() } else { None };
        Some((to?, self.sets.clone()))
    }

    /// Who is to have it then. Returns who was to before.
    #[must_use = "a right is dropped without a lock"]
    pub(crate) fn bequeath_to(&mut self, to: SendOnceRight) -> Option<SendOnceRight> {
        self.destroyed.replace(to)
    }

    pub(super) fn tell_no_senders(&mut self, told: NoSenders, after: &mut After) {
        match told {
            NoSenders::Quiet => {}
            NoSenders::Fires => {
                let made = self.senders.made();
                after.no_senders.extend(self.no_senders.take().map(|to| (to, made)));
            }
        }
    }
}
