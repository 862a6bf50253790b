//! A queue with a window: what was accepted, in order.
//!
//! Beside the queue stand in line accepted messages whose place was written off.
//! They are not received and not counted before they have entered. What comes
//! after them joins the line, whether or not it needs a place: the order in which
//! messages came is the order in which they are received, on a port with
//! priorities within one.

mod behind;
mod looking;
mod moving;
mod overflow;
mod passing;
mod pulse;

use std::collections::VecDeque;
use std::hash::Hash;

use abi::Offence;

use self::behind::Behind;
pub use self::looking::Lent;
pub use self::moving::Unloaded;
use self::overflow::Dropping;
pub use self::overflow::Overflow;
pub use self::passing::Passed;
pub use self::pulse::PulseArrived;
use crate::pulses::{PulseRaise, Pulses};
use crate::queue::{Label, Labelled, Order, Queue, Spot};
use crate::quick::QuickMap;
use crate::window::{Arrival, Capacity, Raise, Window};

/// A message in a queue, and whom its place is charged to.
#[derive(Clone, Debug)]
struct Queued<M, K> {
    message: M,
    place: Place<K>,
}

#[derive(Clone, Copy, Debug)]
enum Place<K> {
    /// A place of the window, granted to a holder of another task.
    Holder(K),
    /// A place of the window, taken by a sender of our own.
    Own,
    /// The extra place a holder has for one left message, and which it was.
    Left(K, u64),
    /// Send-once messages and notifications took their place when the right was
    /// made; they never wait.
    Beyond,
    /// A pulse of this holder, and how many it stands for.
    Pulse(K, u64),
}

impl<K> Place<K> {
    /// Whether it needs no place of the window.
    const fn is_free(&self) -> bool {
        matches!(self, Place::Beyond | Place::Pulse(..))
    }
}

/// A message that has left the queue.
#[derive(Debug)]
#[must_use = "a message that was taken is nowhere else"]
pub struct Taken<M, K> {
    /// The number of its turn.
    pub sequence: u64,
    /// The message.
    pub message: M,
    /// How many equal pulses it stands for; zero for what is none.
    pub pulses: u64,
    /// A pulse that was taken may be followed by another.
    pub raise: Option<PulseRaise<K>>,
}

/// Messages that were left, one of each holder.
#[derive(Clone, Debug)]
struct Lefts<K> {
    /// Holders that have left a message, and which.
    holders: QuickMap<K, u64>,
    /// How many were left so far.
    count: u64,
    /// Holders whose left message was taken.
    taken: Vec<K>,
}

impl<K> Default for Lefts<K> {
    fn default() -> Self {
        Lefts { holders: QuickMap::default(), count: 0, taken: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash> Lefts<K> {
    /// A holder leaves a message. Returns which it is, and which one it had left before
    /// that was not taken.
    fn note(&mut self, holder: K) -> (u64, Option<u64>) {
        self.count += 1;
        (self.count, self.holders.insert(holder, self.count))
    }

    /// A message that was left is taken.
    fn take(&mut self, holder: K, number: u64) {
        // It may have gone and come again since.
        if self.holders.get(&holder) == Some(&number) {
            self.holders.remove(&holder);
            self.taken.push(holder);
        }
    }
}

/// The queue of one port.
#[derive(Clone, Debug)]
pub struct Port<M, K> {
    /// Who may send.
    pub window: Window<K>,
    /// Who may send pulses.
    pub pulses: Pulses<K>,
    queue: Queue<Queued<M, K>>,
    line: VecDeque<Queued<M, K>>,
    /// How many that stood in line were taken out to go to another task. They are before
    /// whoever stands there now, should they come back.
    line_out: usize,
    /// What entered the queue from the line.
    let_in: Vec<Label>,
    dropping: Dropping<M>,
    /// Who has left messages; few ports are ever left any.
    left: Option<Box<Lefts<K>>>,
    /// Who has not come after the port, where it came from another task.
    behind: Option<Box<Behind<M, K>>>,
    sequence: u64,
}

impl<M: Labelled, K: Copy + Eq + Hash> Port<M, K> {
    /// An empty queue, first in first out, without pulses.
    pub fn new(capacity: Capacity) -> Self {
        Port::with(capacity, Order::Fifo, Overflow::Refuse, Pulses::new(0, false))
    }

    /// An empty queue of this order, which does `overflow` with one message too many. It
    /// is made in one piece: ports are made and dropped by the million.
    #[inline]
    pub fn with(capacity: Capacity, order: Order, overflow: Overflow, pulses: Pulses<K>) -> Self {
        let (by_priority, open) = (order == Order::Priority, overflow != Overflow::Refuse);
        Port {
            window: Window::with(capacity, by_priority, open),
            pulses,
            queue: Queue::new(order),
            line: VecDeque::new(),
            line_out: 0,
            let_in: Vec::new(),
            dropping: Dropping::new(overflow),
            left: None,
            behind: None,
            sequence: 0,
        }
    }

    /// The same empty queue in this order.
    #[must_use]
    pub fn ordered(self, order: Order) -> Self {
        let window = self.window.by_priority(order == Order::Priority);
        Port { window, queue: Queue::new(order), ..self }
    }

    /// The same empty queue, which does this with one message too many.
    #[must_use]
    pub fn overflowing(self, overflow: Overflow) -> Self {
        let window = match overflow {
            Overflow::Refuse => self.window,
            Overflow::DropOldest | Overflow::DropNewest => self.window.open(),
        };
        Port { window, dropping: Dropping::new(overflow), ..self }
    }

    /// How many messages the policy has dropped.
    pub const fn dropped(&self) -> u64 {
        self.dropping.count
    }

    /// The messages that were dropped since this was asked last.
    pub fn fallen(&mut self) -> Vec<M> {
        std::mem::take(&mut self.dropping.fallen)
    }

    /// The same empty queue with so many pulses for each holder.
    #[must_use]
    pub fn with_pulses(self, limit: u32, merge: bool) -> Self {
        Port { pulses: Pulses::new(limit, merge), ..self }
    }

    /// How many messages wait, those that are lent among them.
    pub const fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits, in the queue or beside it, and none may wait behind others.
    pub fn holds_nothing(&self) -> bool {
        self.queue.is_empty() && self.line.is_empty() && self.behind.is_none()
    }

    /// Whether it is nothing but so many places, first in first out: nobody is promised,
    /// keeps or watches one, and none waits but messages of our own.
    pub fn is_plain(&self) -> bool {
        self.queue.order() == Order::Fifo
            && self.dropping.overflow == Overflow::Refuse
            && self.line.is_empty()
            && self.behind.is_none()
            && self.queue.lent() == 0
            && self.window.is_plain()
            && self.window.queued() == self.queue.len() as u64
    }

    /// Takes everything out of a plain queue, in order, where each message has a place of
    /// the window and `suits`. Whose places they were is not known after.
    pub fn hand_over(&mut self, suits: impl Fn(&M) -> bool) -> Option<VecDeque<M>> {
        let plain = |queued: &Queued<M, K>| {
            matches!(queued.place, Place::Own | Place::Holder(_)) && suits(&queued.message)
        };
        if !self.is_plain() || !self.queue.iter().all(plain) {
            return None;
        }
        if self.queue.is_empty() {
            return Some(VecDeque::new());
        }
        self.window.leave_all();
        Some(self.queue.drain().map(|queued| queued.message).collect())
    }

    /// Whether none waits in the queue.
    pub const fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a message waits that is not lent.
    pub const fn has_ready(&self) -> bool {
        self.queue.len() > self.queue.lent()
    }

    /// How many links of the queue were followed so far: what an operation
    /// costs, without a clock.
    pub const fn steps(&self) -> u64 {
        self.queue.steps()
    }

    /// The messages that wait and are not lent, in the queue, beside it and behind, the
    /// first first.
    pub fn iter(&self) -> impl Iterator<Item = &M> {
        let behind = self.behind.iter().flat_map(|behind| behind.iter());
        self.queue.iter().chain(&self.line).map(|queued| &queued.message).chain(behind)
    }

    /// Empties the queue and what is beside it and behind, for a port that ends.
    pub fn drain(&mut self) -> impl Iterator<Item = M> {
        let behind = self.behind.take().into_iter().flat_map(|behind| behind.drain());
        let queued = self.queue.drain().chain(self.line.drain(..));
        queued.map(|queued| queued.message).chain(behind)
    }

    /// What entered the queue from beside it since this was asked last.
    #[must_use = "whoever waits for it must be woken"]
    pub fn let_in(&mut self) -> Vec<Label> {
        std::mem::take(&mut self.let_in)
    }

    /// Lets in who is first in line, then gives free places to those who ask.
    pub fn hand_out(&mut self, now_ns: u64, raises: &mut Vec<Raise<K>>) {
        while self.line_out == 0
            && let Some(first) = self.line.front()
            && (first.place.is_free() || self.is_admitted())
        {
            let Some(first) = self.line.pop_front() else { break };
            self.let_in.push(first.message.label());
            self.push(first);
        }
        self.window.hand_out(now_ns, raises);
    }

    /// Whether who is first in line may enter.
    fn is_admitted(&mut self) -> bool {
        self.window.admit(self.queue.is_empty())
            || self.give_up_place() && self.window.admit(self.queue.is_empty())
    }

    // ---- out -------------------------------------------------------------

    /// Takes the first message, with the number of its turn.
    pub fn take(&mut self, now_ns: u64, raises: &mut Vec<Raise<K>>) -> Option<Taken<M, K>> {
        let first = self.first()?;
        self.take_at(first, now_ns, raises)
    }

    /// The first message.
    pub fn first(&mut self) -> Option<Spot> {
        self.queue.first()
    }

    /// The first message with this id.
    pub fn first_with_id(&mut self, id: i32) -> Option<Spot> {
        self.queue.first_with_id(id)
    }

    /// The first message with this tag.
    pub fn first_with_tag(&mut self, tag: u64) -> Option<Spot> {
        self.queue.first_with_tag(tag)
    }

    /// A message that is here, and how many pulses it stands for.
    pub fn get(&self, spot: Spot) -> Option<(&M, u64)> {
        let Queued { message, place } = self.queue.get(spot)?;
        let pulses = match place {
            Place::Pulse(_, count) => *count,
            Place::Holder(_) | Place::Own | Place::Left(..) | Place::Beyond => 0,
        };
        Some((message, pulses))
    }

    /// A message that is here, to be changed where it lies, and the number of
    /// its turn if it were taken now. Its label must stay as it is.
    pub fn get_mut(&mut self, spot: Spot) -> Option<(u64, &mut M)> {
        let sequence = self.sequence + 1;
        self.queue.get_mut(spot).map(|queued| (sequence, &mut queued.message))
    }

    /// Takes this message. `None` where it is lent or has left.
    pub fn take_at(
        &mut self,
        spot: Spot,
        now_ns: u64,
        raises: &mut Vec<Raise<K>>,
    ) -> Option<Taken<M, K>> {
        let queued = self.queue.remove(spot)?;
        Some(self.taken(queued, now_ns, raises))
    }

    fn taken(
        &mut self,
        Queued { message, place }: Queued<M, K>,
        now_ns: u64,
        raises: &mut Vec<Raise<K>>,
    ) -> Taken<M, K> {
        let (mut pulses, mut raise) = (0, None);
        self.window.receiver_goes();
        match place {
            Place::Holder(holder) => self.window.take(Some(holder), now_ns, raises),
            Place::Own => self.window.take(None, now_ns, raises),
            Place::Left(holder, number) => {
                self.window.take(None, now_ns, raises);
                if let Some(left) = &mut self.left {
                    left.take(holder, number);
                }
            }
            Place::Beyond => {}
            Place::Pulse(holder, count) => {
                pulses = count;
                raise = self.pulses.left_queue(holder);
            }
        }
        self.hand_out(now_ns, raises);
        self.sequence += 1;
        Taken { sequence: self.sequence, message, pulses, raise }
    }

    // ---- looking -----------------------------------------------------------

    // ---- in ----------------------------------------------------------------

    /// Queues a message that `holder` was granted a place for. It joins the line
    /// where the place was written off, or where others stand in line: then what
    /// is free is to be handed out.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`], with the message.
    pub fn arrive(&mut self, holder: K, message: M) -> Result<Arrival, (Offence, M)> {
        let arrival = match self.window.arrive(holder) {
            Ok(arrival) => arrival,
            Err(offence) => return Err((offence, message)),
        };
        let queued = Queued { message, place: Place::Holder(holder) };
        match arrival {
            Arrival::Queue => self.push_placed(queued),
            Arrival::Beside => self.stand_in_line(queued),
        }
        Ok(arrival)
    }

    /// Queues a message of our own task, if there is room for it now.
    ///
    /// # Errors
    /// The message, where there is none.
    pub fn enter(&mut self, message: M) -> Result<(), M> {
        if !self.window.enter() {
            return Err(message);
        }
        self.push_placed(Queued { message, place: Place::Own });
        Ok(())
    }

    /// Leaves a message of `holder` beside the queue, on the one extra place every
    /// holder has for that. Where the owner drops it enters as any other. What is free is
    /// to be handed out then.
    ///
    /// # Errors
    /// The message, where the last one it left has not been taken.
    pub fn leave(&mut self, holder: K, message: M) -> Result<(), M> {
        let Some(number) = self.left_first(holder) else { return Err(message) };
        self.push_left(Queued { message, place: Place::Left(holder, number) });
        Ok(())
    }

    /// What was left stands in line, unless whoever comes may enter.
    fn push_left(&mut self, queued: Queued<M, K>) {
        if self.window.let_in_left() {
            self.let_in.push(queued.message.label());
            self.push_placed(queued);
        } else {
            self.stand_in_line(queued);
        }
    }

    /// Which message `holder` leaves. `None` where the last one has not been taken.
    fn left_first(&mut self, holder: K) -> Option<u64> {
        let left = self.left.get_or_insert_default();
        (!left.holders.contains_key(&holder)).then(|| left.note(holder).0)
    }

    /// Whose left message was taken since this was asked last.
    #[must_use = "who left it may leave another, and must be told"]
    pub fn left_taken(&mut self) -> Vec<K> {
        self.left.as_mut().map(|left| std::mem::take(&mut left.taken)).unwrap_or_default()
    }

    /// A holder goes. What it has sent stays.
    pub fn forget(&mut self, holder: K) {
        self.window.leave(holder);
        if let Some(left) = &mut self.left {
            left.holders.remove(&holder);
        }
    }

    /// Queues a message that took its place when its right was made.
    pub fn enter_beyond(&mut self, message: M) {
        self.push_or_stand(Queued { message, place: Place::Beyond });
    }

    /// What needs no place waits only behind what stands in line.
    fn push_or_stand(&mut self, queued: Queued<M, K>) {
        if self.line.is_empty() && self.line_out == 0 {
            return self.push(queued);
        }
        self.stand_in_line(queued);
        while self.line_out == 0 && self.line.front().is_some_and(|first| first.place.is_free()) {
            if let Some(first) = self.line.pop_front() {
                self.push(first);
            }
        }
    }

    /// Queues what is charged to the capacity, if need be in place of another. Its
    /// window has counted it already.
    fn push_placed(&mut self, queued: Queued<M, K>) {
        if self.dropping.overflow == Overflow::Refuse {
            return self.push(queued);
        }
        if self.window.queued() > self.window.places() {
            self.window.drop_one();
            match self.oldest(self.level_of(&queued)) {
                Some(oldest) => self.fell(oldest),
                None => return self.fell(queued),
            }
        }
        self.push(queued);
    }

    /// What is dropped is as good as taken for who had left it.
    fn fell(&mut self, queued: Queued<M, K>) {
        if let (Place::Left(holder, number), Some(left)) = (queued.place, &mut self.left) {
            left.take(holder, number);
        }
        self.dropping.fell(queued.message);
    }

    /// Among which messages it may be dropped.
    fn level_of(&self, queued: &Queued<M, K>) -> u16 {
        match self.queue.order() {
            Order::Fifo => 0,
            Order::Priority => queued.message.label().priority,
        }
    }

    /// Takes out what is to be dropped for a new message of `level`. `None` where
    /// that is the new one itself.
    fn oldest(&mut self, level: u16) -> Option<Queued<M, K>> {
        if self.dropping.overflow == Overflow::DropNewest {
            return None;
        }
        let Port { dropping, queue, .. } = self;
        for ages in dropping.ages.range_mut(..=level).map(|(_, ages)| ages) {
            // A lent one is somebody's already, as good as taken.
            if let Some(place) = ages.iter().position(|&spot| queue.get(spot).is_some()) {
                return ages.remove(place).and_then(|spot| queue.remove(spot));
            }
        }
        None
    }

    fn push(&mut self, queued: Queued<M, K>) {
        let may_fall = self.dropping.overflow != Overflow::Refuse && !queued.place.is_free();
        let level = self.level_of(&queued);
        let spot = self.queue.push(queued.message.label(), queued);
        if may_fall {
            let queue = &self.queue;
            self.dropping.note(level, spot, |old| queue.holds(old));
        }
    }

    /// At the end of its level.
    fn stand_in_line(&mut self, queued: Queued<M, K>) {
        let priority = queued.message.label().priority;
        let behind = |other: &Queued<M, K>| other.message.label().priority >= priority;
        let place = match self.queue.order() {
            Order::Fifo => self.line.len(),
            Order::Priority => self.line.iter().rposition(behind).map_or(0, |last| last + 1),
        };
        self.line.insert(place, queued);
    }
}
