//! What a port holds, under its lock.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use abi::Slot;
use rights::port::{Lent, Port as Queue, Taken};
use rights::pulses::Pulses;
use rights::queue::{Label, Labelled, Spot};
use rights::quick::QuickMap;
use rights::senders::{NoSenders, Senders};
use rights::window::{Capacity, Raise};

use super::after::After;
use super::facets::PortFacets;
use super::{PortCore, PortOptions};
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::link::Link;
use crate::message::Message;
use crate::right::SendOnceRight;
use crate::set::SetCore;
use crate::wait::Waiter;

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

/// Ports that will lie in the queue of another.
pub(super) type HeldInside = Vec<Weak<PortCore>>;

#[derive(Debug)]
pub(crate) struct PortState {
    pub(super) id: u64,
    /// Where the task finds the port.
    pub(super) place: Option<Slot>,
    pub(super) options: PortOptions,
    pub(super) alive: bool,
    pub(super) queue: Queued,
    pub(super) receivers: Vec<Receiver>,
    pub(super) senders: Senders,
    pub(super) once: u64,
    // Few ports have those in boxes, and any port is larger for what it may have.
    pub(super) no_senders: Option<Box<SendOnceRight>>,
    /// Who has the receive right once it is let go.
    pub(super) destroyed: Option<Box<SendOnceRight>>,
    pub(super) dead_name: Vec<SendOnceRight>,
    pub(super) facets: PortFacets,
    /// Ports in messages that are held for this one behind spilled ones: they will lie in
    /// its queue.
    pub(super) held_inside: Option<Box<HeldInside>>,
    /// By link and what the right is: the port itself or a facet of it.
    pub(super) boards: QuickMap<(u32, u64), OnBoard>,
    /// Messages that came of one link's right and passed the queue, not yet counted
    /// with its board.
    passed: Option<(u32, u64)>,
    /// Who of our own is to hear of room.
    pub(super) room: Option<Box<SendOnceRight>>,
    pub(super) own_waiting: QuickMap<u64, OwnSender>,
    /// Futures of our own that wait for a place, and keep their message.
    pub(super) own_asking: QuickMap<u64, Arc<Waiter>>,
    /// The port sets it is a member of.
    pub(super) sets: Vec<Arc<SetCore>>,
    /// The port itself, where the library takes what comes, and whether somebody
    /// does so now.
    pub(super) served: Option<Weak<PortCore>>,
    pub(super) serving: bool,
    /// The port is about to go to another task: nobody spills for it.
    pub(super) spills_nothing: bool,
    /// A message of our own has come, and another may come down the chute.
    pub(super) was_sent_to: bool,
    /// The chute is the queue: the general way shuts it first.
    pub(super) chute_open: bool,
    /// Messages taken since it was shut.
    pub(super) taken_since: u64,
    /// Whose port it is.
    pub(super) task: Weak<TaskCore>,
}

/// A thread of our own that waits for a place. Its message waits with it, and
/// goes into the queue the moment a place is granted.
#[derive(Debug)]
pub(super) struct OwnSender {
    pub(super) via: Option<u64>,
    pub(super) message: Option<Message>,
    pub(super) waiter: Arc<Waiter>,
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

impl PortState {
    #[inline]
    pub(super) fn new(
        id: u64,
        place: Option<Slot>,
        options: &PortOptions,
        task: Weak<TaskCore>,
    ) -> Self {
        PortState {
            id,
            place,
            options: options.clone(),
            alive: true,
            queue: Queue::with(
                options.capacity,
                options.order,
                options.overflow,
                Pulses::new(options.pulses, options.merge_pulses),
            ),
            receivers: Vec::new(),
            senders: Senders::default(),
            once: 0,
            no_senders: None,
            destroyed: None,
            dead_name: Vec::new(),
            facets: PortFacets::default(),
            held_inside: None,
            boards: QuickMap::default(),
            passed: None,
            room: None,
            own_waiting: QuickMap::default(),
            own_asking: QuickMap::default(),
            sets: Vec::new(),
            served: None,
            serving: false,
            spills_nothing: false,
            was_sent_to: false,
            chute_open: false,
            taken_since: 0,
            task,
        }
    }

    /// Counts a message that came on the right of a link's peer to the port itself and
    /// passed the queue. As long as they come of one link no board is looked up.
    #[inline]
    pub(super) fn count_passed(&mut self, link: u32) {
        match &mut self.passed {
            Some((of, count)) if *of == link => *count += 1,
            _ => {
                self.settle_passed();
                self.passed = Some((link, 1));
            }
        }
    }

    /// What passed the queue is counted where everything is.
    pub(super) fn settle_passed(&mut self) {
        if let Some((link, count)) = self.passed.take()
            && let Some(board) = self.boards.get_mut(&(link, self.id))
        {
            board.came += count;
        }
    }

    /// Whether what happens here next depends on the time.
    pub(super) fn minds_time(&self) -> bool {
        self.queue.window.minds_time() || self.facets.has_any()
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
        self.was_sent_to = true;
        if !self.charge_own(&mut message) {
            return Err((SendFailure::OverLimit, message));
        }
        // What it goes out through; while it waits, a revocation of that ends it.
        let within = message.within().cloned();
        self.mark(via, &mut message);
        let (id, label) = (message.id(), message.label());
        let mut entered = self.enter_queue(message, after);
        // Somebody may wait at a set for just this.
        if let Err(message) = entered {
            entered = if self.attend(now_ns, after) {
                self.enter_queue(message, after)
            } else {
                Err(message)
            };
        }
        if let Err(message) = entered {
            return Err((SendFailure::Full, message.back_within(within)));
        }
        self.let_fall(after);
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
        self.stand_in_line(key, via, message, Arc::clone(waiter));
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
                        after.more().looks.push((link, place.slot));
                    }
                }
                Holder::Own(key) if self.own_asking.contains_key(&key) => {
                    // It comes with its message when it is polled.
                    if let Some(waiter) = self.own_asking.get(&key) {
                        after.wake(Arc::clone(waiter));
                    }
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
    }

    fn deposit(&mut self, key: u64, now_ns: u64, after: &mut After) {
        let Some(own) = self.own_waiting.get_mut(&key) else { return };
        let (via, waiter) = (own.via, Arc::clone(&own.waiter));
        let Some(mut message) = own.message.take() else { return };
        let arrived = if !message.is_barred() && self.permits(via, &message, now_ns).is_ok() {
            self.mark(via, &mut message);
            let (id, label) = (message.id(), message.label());
            let arrived = self.arrive(Holder::Own(key), message, after);
            if arrived.is_ok() {
                self.count_own(via, id, now_ns, after);
                self.wake_for(label, after);
            }
            arrived.map_err(|(_, message)| message)
        } else {
            // Its terms have ended while it waited: it looks, and is told.
            Err(message)
        };
        after.wake(waiter);
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
                after.wake(Arc::clone(&receiver.waiter));
            }
        }
        self.wake_any(after);
    }

    /// Wakes the first who takes whatever is ready, here and at each set.
    pub(super) fn wake_any(&self, after: &mut After) {
        self.note_ready(after);
        if !self.serving
            && let Some(port) = &self.served
        {
            after.more().serve.push(Weak::clone(port));
        }
        let mut any = self.receivers.iter().filter(|receiver| receiver.wants == Wants::Any);
        let first = any.next();
        // A future that was told and is not polled keeps nobody else asleep.
        let next = first.into_iter().chain(any).find(|receiver| !receiver.waiter.is_told());
        if let Some(receiver) = next.or(first) {
            after.wake(Arc::clone(&receiver.waiter));
        }
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

    /// Whether this thread waits here for that.
    pub(super) fn is_receiver(&self, waiter: &Arc<Waiter>, wants: Wants) -> bool {
        let mut receivers = self.receivers.iter();
        receivers.any(|one| one.wants == wants && Arc::ptr_eq(&one.waiter, waiter))
    }

    /// Waits for a place with a message of our own task. What is free is to be handed
    /// out then.
    pub(super) fn stand_in_line(
        &mut self,
        key: u64,
        via: Option<u64>,
        message: Message,
        waiter: Arc<Waiter>,
    ) {
        let priority = message.priority;
        self.own_waiting.insert(key, OwnSender { via, message: Some(message), waiter });
        let _ = self.queue.window.join(Holder::Own(key));
        self.queue.window.ask(Holder::Own(key), priority);
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
            after.wake(Arc::clone(&own.waiter));
        }
        for waiter in self.own_asking.values() {
            after.wake(Arc::clone(waiter));
        }
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
        self.taken_since += 1;
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
        Some((*to?, self.sets.clone()))
    }

    /// Who is to have it then. Returns who was to before.
    #[must_use = "a right is dropped without a lock"]
    pub(crate) fn bequeath_to(&mut self, to: SendOnceRight) -> Option<SendOnceRight> {
        self.destroyed.replace(Box::new(to)).map(|before| *before)
    }

    #[inline]
    pub(super) fn tell_no_senders(&mut self, told: NoSenders, after: &mut After) {
        match told {
            NoSenders::Quiet => {}
            NoSenders::Fires => {
                let made = self.senders.made();
                if let Some(to) = self.no_senders.take() {
                    after.more().no_senders.push((*to, made));
                }
            }
        }
    }
}
