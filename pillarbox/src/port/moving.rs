//! What a port does when its receive right goes to another task, or comes here.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use abi::bag::{Origin, Passport, Place, armed};
use abi::board::{Life, State};
use abi::{Slot, TaskId, Ticket};
use rights::queue::Labelled;
use rights::senders::NoSenders;
use rights::window::Capacity;

use super::after::After;
use super::general::PortLock;
use super::options::PortOptions;
use super::state::{Holder, PortState};
use super::{Order, Overflow, PortCore};
use crate::error::SendFailure;
use crate::link::{Join, Link};
use crate::message::{Message, Notification, Right};
use crate::moving::gone::Gone;
use crate::right::SendOnceRight;
use crate::wait::parking::lock;

/// Who sent the pulses that came with a port: no right of ours has this number.
const NOBODY: Holder = Holder::Own(u64::MAX);

/// A message out of the queue of a port that is about to go, with its place.
pub(crate) type Unloaded = rights::port::Unloaded<Message, Holder>;

impl PortCore {
    /// Where the port went.
    pub(crate) fn gone(&self) -> Option<&Arc<Gone>> {
        self.gone.get()
    }

    pub(crate) fn set_gone(&self, gone: Arc<Gone>) {
        let _ = self.gone.set(gone);
    }

    /// Where the port has gone, our own rights have nothing more to follow for.
    pub(crate) fn let_go_of_own(&self, after: &mut After) {
        if let Some(gone) = self.gone() {
            gone.let_go_of_own(after);
        }
    }

    /// It is another task's: none of ours for a census, and nothing is due here.
    pub(crate) fn forget_here(&self) {
        self.task.forget_port(self.place);
    }

    pub(crate) const fn state(&self) -> &PortLock {
        &self.state
    }

    /// What the port knows itself again by where it has been before. Nobody else can
    /// guess it.
    pub(crate) fn birth(&self) -> u64 {
        *self.birth.get_or_init(|| RandomState::new().hash_one(self.id))
    }

    /// Whether both are the same port: now, or before it went and came again.
    pub(crate) fn is_same(&self, other: &PortCore) -> bool {
        let was_here = self.gone().is_some() || other.gone().is_some();
        let births = (self.birth.get(), other.birth.get());
        self.id == other.id || was_here && matches!(births, (Some(mine), Some(its)) if mine == its)
    }

    /// Whether the receive right may go to another task now.
    pub(crate) fn may_move(self: &Arc<Self>) -> Result<(), SendFailure> {
        if self.task.has_followers(self.id) {
            return Err(SendFailure::Unsettled);
        }
        let state = lock(&self.state);
        if !state.alive {
            return Err(SendFailure::Dead);
        }
        if state.once > abi::limits::MOVED_PROMISES {
            return Err(SendFailure::TooManyPromises(state.once));
        }
        let came_in = |message: &Message| message.within().is_some();
        if state.facets.has_any() || state.queue.iter().any(came_in) {
            return Err(SendFailure::HasTerms);
        }
        drop(state);
        let most = abi::limits::BAG_DEPTH;
        if self.depth(most) > most { Err(SendFailure::NestedTooDeep) } else { Ok(()) }
    }

    /// Bytes a bag must hold for what is known now.
    pub(crate) fn bytes_to_move(&self, links: &[Arc<Link>]) -> usize {
        let state = lock(&self.state);
        let head = abi::limits::FRAME_BYTES - abi::limits::INLINE_BYTES;
        let queued: usize = state
            .queue
            .iter()
            .map(|message| {
                let body = message.body_len().min(abi::limits::INLINE_BYTES);
                let rights = (message.rights.len() + 1) * abi::right::REF_BYTES_MAX;
                let regions = (message.regions().len() + 1) * abi::loan::REGION_BYTES;
                (128 + body + rights + regions).min(head + body)
            })
            .sum();
        let unread: usize = state
            .boards
            .keys()
            .filter_map(|(number, _)| links.iter().find(|link| link.number == *number))
            .map(|link| link.unread_bytes())
            .sum();
        // Who was spilling when it was told not to brings one message more.
        let late = match state.queue.window.capacity() {
            Capacity::Unbounded => abi::limits::FRAME_BYTES,
            Capacity::Bounded(_) | Capacity::Rendezvous => 0,
        };
        queued + 2 * unread + state.boards.len() * (1024 + late)
    }

    /// The new owner is dead, and the port with it: whoever has not followed is
    /// told by us.
    pub(crate) fn new_owner_died(&self, after: &mut After) {
        let mut state = lock(&self.state);
        let boards: Vec<_> = state.boards.drain().map(|(_, board)| board).collect();
        for board in boards {
            let _ = state.senders.remove();
            let Some(link) = board.link.upgrade() else { continue };
            let life = Life { generation: board.slot.generation, state: State::Dead };
            link.own_page().set_life(board.slot.index, life);
            link.own_page().bump_change();
            after.look(link, board.slot);
        }
        if state.has_no_senders() {
            self.let_go_of_own(after);
        }
        if let Some(gone) = self.gone() {
            gone.end_relay();
        }
    }

    /// Makes a port as another task had it.
    pub(crate) fn adopted(
        task: &Arc<crate::core::TaskCore>,
        passport: &Passport,
        turns: u64,
    ) -> Arc<Self> {
        let capacity = match passport.capacity {
            0 => Capacity::Rendezvous,
            u64::MAX => Capacity::Unbounded,
            places => Capacity::Bounded(u32::try_from(places).unwrap_or(u32::MAX)),
        };
        let order = if passport.by_priority { Order::Priority } else { Order::Fifo };
        let overflow = match passport.overflow {
            1 => Overflow::DropOldest,
            2 => Overflow::DropNewest,
            _ => Overflow::Refuse,
        };
        let mut options = PortOptions::new(capacity).order(order).overflow(overflow);
        options.pulses = passport.pulses.min(abi::limits::PULSES_MAX);
        options.merge_pulses = passport.merge_pulses;
        let port = PortCore::new(task, &options);
        let _ = port.birth.set(passport.birth);
        {
            let mut state = lock(&port.state);
            state.queue.go_on_from(turns, passport.dropped);
            state.senders.go_on_from(passport.made);
            state.options = options;
        }
        port
    }

    /// The requests that came with the port. Nobody knows it yet who could have made
    /// others: whoever has it may move it on at once.
    pub(crate) fn arm(&self, requests: Vec<(u8, SendOnceRight)>, after: &mut After) {
        let mut state = lock(&self.state);
        for (bit, to) in requests {
            let before = if bit == armed::DESTROYED {
                state.bequeath_to(to)
            } else {
                let before = state.no_senders.replace(Box::new(to)).map(|before| *before);
                let told = state.senders.arm();
                state.tell_no_senders(told, after);
                before
            };
            before.into_iter().for_each(|right| after.let_go(right));
        }
    }

    /// A message that came with the port, or through its old owner.
    pub(crate) fn adopt(&self, message: Message, origin: &Origin, after: &mut After) {
        let (place, pulses) = (origin.place, origin.pulses);
        if place == Place::Promised {
            self.arrive_once(message, after);
            return;
        }
        let mut state = lock(&self.state);
        if let Some(gone) = self.gone() {
            // It has gone on meanwhile. The right it came on is nobody's there.
            drop(state);
            gone.forward(Origin { ticket: 0, ..*origin }, message, after);
            return;
        }
        if !state.alive {
            drop(state);
            after.drop_later(message);
            return;
        }
        let label = message.label();
        match place {
            Place::Counted if pulses > 0 => {
                state.queue.adopt_pulses(NOBODY, message, pulses);
            }
            Place::Counted => state.queue.adopt(message),
            Place::Beyond | Place::Promised => state.queue.enter_beyond(message),
        }
        state.wake_for(label, after);
        state.let_fall(after);
        let now_ns = self.task.now_ns();
        state.hand_out(now_ns, after);
        state.note_asking(now_ns, after);
    }

    /// A promise that came with the port is broken by the death of an owner before
    /// us. Where the port has gone on, its new owner counts it too, and hears it from
    /// us.
    pub(crate) fn promise_died(&self, after: &mut After) {
        self.arrive_once(Message::notification_of(Notification::SendOnceDied), after);
    }

    /// Messages of our own to a port that came here, which a dead owner had not read.
    /// Nobody else has them.
    pub(crate) fn adopt_own(&self, messages: VecDeque<Message>, after: &mut After) {
        for mut message in messages {
            for ended in message.break_circles(self) {
                after.drop_later(Message::default().with_right(ended));
            }
            message.sender = Some(self.task.own_identity());
            self.adopt(message, &Origin::default(), after);
        }
    }

    /// A right of `who` was out when the port came: what it sends here waits until it
    /// has come after it.
    pub(crate) fn wait_for(&self, right: Ticket, who: TaskId) {
        lock(&self.state).queue.wait_for(right, who);
    }

    /// All that was sent on this right to the old owner is here.
    pub(crate) fn has_come(&self, right: Ticket, after: &mut After) {
        let now_ns = self.task.now_ns();
        let mut state = lock(&self.state);
        state.queue.has_come(right);
        state.let_fall(after);
        state.hand_out(now_ns, after);
        state.note_asking(now_ns, after);
        after.tell_pollers_of(&self.task);
    }

    /// What the last passport before the move said, and how many of the promises in
    /// it are still out.
    pub(crate) fn go_on_as(&self, passport: &Passport, promises: u64, turns: u64) {
        let mut state = lock(&self.state);
        state.queue.go_on_from(turns, passport.dropped);
        state.once = promises;
    }

    /// Raises what one holder may send by what it sends again.
    pub(crate) fn grant_again(&self, link: &Arc<Link>, messages: u64) {
        let mut state = lock(&self.state);
        let holder = Holder::Link(link.number, self.id);
        let grant = state.queue.window.grant_more(holder, messages);
        if let (Some(grant), Some(board)) = (grant, state.boards.get(&(link.number, self.id))) {
            link.own_page().set_grant(board.slot.index, grant);
        }
    }
}

impl PortState {
    /// Whether neither we nor a peer can send here.
    pub(crate) const fn has_no_senders(&self) -> bool {
        self.senders.count() == 0
    }

    /// Whether promises of a message are out.
    pub(crate) const fn has_promises(&self) -> bool {
        self.once > 0
    }

    /// A promise has ended, and what came of it, if anything did, is here.
    pub(super) fn promise_ended(&mut self, gone: Option<&Arc<Gone>>) {
        self.once = self.once.saturating_sub(1);
        if self.once == 0
            && let Some(gone) = gone
        {
            gone.end_relay();
        }
    }

    pub(crate) fn passport(&self) -> (Passport, u64) {
        let capacity = match self.queue.window.capacity() {
            Capacity::Rendezvous => 0,
            Capacity::Bounded(places) => u64::from(places),
            Capacity::Unbounded => u64::MAX,
        };
        let passport = Passport {
            capacity,
            pulses: self.options.pulses,
            by_priority: self.options.order == Order::Priority,
            merge_pulses: self.options.merge_pulses,
            overflow: match self.options.overflow {
                Overflow::DropOldest => 1,
                Overflow::DropNewest => 2,
                _ => 0,
            },
            armed: 0,
            promises: self.once,
            made: self.senders.made(),
            dropped: self.queue.dropped(),
            birth: 0,
        };
        (passport, self.queue.turns())
    }

    /// The passport, and the rights of the requests that go with the port, taken
    /// out.
    pub(crate) fn packed(&mut self) -> (Passport, u64, Message) {
        let (mut passport, turns) = self.passport();
        let mut requests = Message::default();
        for (bit, to) in
            [(armed::NO_SENDERS, self.no_senders.take()), (armed::DESTROYED, self.destroyed.take())]
        {
            if let Some(to) = to {
                passport.armed |= bit;
                requests.rights.push((*to).into());
            }
        }
        requests.id = i32::from(passport.armed);
        (passport, turns, requests)
    }

    /// The rights of the requests come back. What happened meanwhile is told now.
    pub(crate) fn rearm(&mut self, mut requests: Message, after: &mut After) {
        let bits = requests.id;
        let rights = requests.take_rights().into_iter();
        let mut rights = rights.filter_map(|right| right.into_send_once().ok());
        for (bit, place) in
            [(armed::NO_SENDERS, &mut self.no_senders), (armed::DESTROYED, &mut self.destroyed)]
        {
            if bits & i32::from(bit) != 0 {
                *place = rights.next().map(Box::new);
            }
        }
        if self.no_senders.is_some() && !self.senders.is_armed() {
            self.tell_no_senders(NoSenders::Fires, after);
        }
    }

    /// Takes everything out of the queue, places and all.
    pub(crate) fn unload(&mut self) -> Vec<Unloaded> {
        self.queue.unload()
    }

    /// Puts it back before what has come since.
    pub(crate) fn reload_front(&mut self, back: Vec<Unloaded>) {
        let since = self.queue.unload();
        self.queue.reload(back.into_iter().chain(since));
    }

    /// The ports whose receive rights lie in the queue, or in what is held for it.
    pub(crate) fn ports_inside(&self) -> Vec<Arc<PortCore>> {
        let held = self.held_inside.iter().flat_map(|held| held.iter()).filter_map(Weak::upgrade);
        self.queue.iter().flat_map(Message::ports).chain(held).collect()
    }

    /// A message with these ports is held for this one.
    pub(crate) fn hold_inside(&mut self, ports: &[Arc<PortCore>]) {
        if !ports.is_empty() {
            self.held_inside.get_or_insert_default().extend(ports.iter().map(Arc::downgrade));
        }
    }

    /// It is held no more.
    pub(crate) fn let_go_inside(&mut self, ports: &[Arc<PortCore>]) {
        for port in ports {
            let here = |held: &Weak<PortCore>| std::ptr::eq(held.as_ptr(), Arc::as_ptr(port));
            if let Some(held) = &mut self.held_inside
                && let Some(place) = held.iter().position(here)
            {
                held.swap_remove(place);
            }
        }
        self.held_inside.take_if(|held| held.is_empty());
    }

    /// How many messages in the queue go with descriptors of their own, their bodies',
    /// or the bags of ports they carry.
    pub(crate) fn packets_inside(&self) -> usize {
        let with_any = |message: &&Message| {
            !message.descriptors().is_empty()
                || !message.regions().is_empty()
                || message.body_len() > abi::limits::INLINE_BYTES
                || message.rights.iter().any(|right| matches!(right, Right::Receive(_)))
        };
        self.queue.iter().filter(with_any).count()
    }

    pub(crate) fn is_unloaded(&self) -> bool {
        self.queue.holds_nothing()
    }

    /// The rights peers hold: by link, what they are, and how much came of them.
    pub(crate) fn out(&mut self) -> Vec<(u32, u64, Weak<Link>, u64)> {
        self.settle_passed();
        let row = |(key, board): (&(u32, u64), &super::state::OnBoard)| {
            (key.0, key.1, Weak::clone(&board.link), board.came)
        };
        let mut rows: Vec<_> = self.boards.iter().map(row).collect();
        rows.sort_unstable_by_key(|row| (row.0, row.1));
        rows
    }

    pub(crate) fn board_of(&self, number: u32, via: u64) -> Option<(Arc<Link>, Slot)> {
        let board = self.boards.get(&(number, via))?;
        Some((board.link.upgrade()?, board.slot))
    }

    /// The port is another task's from now on.
    pub(crate) fn go(&mut self, after: &mut After, own: &Arc<Join>) {
        self.alive = false;
        self.wake_own_senders(after);
        after.leave_sets(self.leave_sets());
        if let Some(to) = self.room.take() {
            after.watch_room(Arc::clone(own), *to);
        }
        for to in self.dead_name.drain(..) {
            after.watch(Arc::clone(own), to);
        }
    }
}
