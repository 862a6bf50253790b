//! Who may send how many messages to a port.
//!
//! Queue plus grants never exceed the capacity. Where there are at least four
//! places for each holder, a holder keeps some in reserve and sends without
//! asking; where there are fewer, a sender asks, is granted in turn, and sends.
//! Whose message was taken while nobody asked, and half of what is free then stays
//! free, has that one place again: who sends time and again asks once. And who
//! alone can send when it comes has one place to begin with, so that a right which
//! is used once is used without a question. Neither is so where priorities say
//! whose turn it is.
//!
//! A place is *written off* when others need it and its holder lets it lie: a
//! reserve, which it was given unasked, the moment somebody asks and no place is
//! free; a place it asked for after [`abi::limits::GRANT_IDLE_NS`]. Others get that
//! place, and its holder gets no more before it has used or returned it. Its
//! message, if it still comes, is accepted: it waits *beside* the queue, first
//! in line, and enters when a place is free, before anyone who asks. What comes
//! after it stands behind it in line, so that messages are received in the order
//! they came; its place, if it had one, is free.

mod holders;
mod late;
mod line;
mod room;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::Hash;

use abi::Offence;

use self::holders::Holders;

/// Places a new holder begins with, where there are enough. It has its share once it
/// has sent some, so a holder that never sends keeps hardly any from the others.
const FIRST_PLACES: u64 = 2;

/// How much a port holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capacity {
    /// Nothing: a sender waits until a receiver takes the message.
    Rendezvous,
    /// So many messages, over all senders.
    Bounded(u32),
    /// No limit of its own: who sends never waits, and what is too much is refused by
    /// the limits of its task.
    Unbounded,
}

/// A holder may have sent `grant` messages in all from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a raised grant must reach its holder"]
pub struct Raise<K> {
    /// Whose grant.
    pub holder: K,
    /// The new count.
    pub grant: u64,
    /// Whether the holder waits to hear of it.
    pub asked: bool,
}

/// Where a message that was granted a place goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message beside the queue must not enter it"]
pub enum Arrival {
    /// Into the queue.
    Queue,
    /// Beside the queue, until [`Window::admit`] lets it in.
    Beside,
}

/// Whose turn it is: by priority, then by who asked first.
type Turn = (Reverse<u16>, u64);

#[derive(Clone, Debug, Default)]
struct Holder {
    granted: u64,
    arrived: u64,
    asking: Option<Turn>,
    /// When a place it had asked for was granted, until it uses or returns it.
    asked_since: Option<u64>,
    written_off: u64,
    /// Which holder it was, in the order they came.
    number: u64,
}

impl Holder {
    fn unused(&self) -> u64 {
        self.granted - self.arrived
    }

    /// Places that are neither used nor written off.
    #[inline]
    fn ready(&self) -> u64 {
        self.unused() - self.written_off
    }

    /// Fills its reserve up to its `share`, where less than half of that is left, with
    /// what half of the `free` places allow. Returns how many that were.
    #[inline]
    fn refill(&mut self, share: u64, free: u64) -> u64 {
        let unused = self.unused();
        if unused >= share.div_ceil(2) || self.written_off > 0 || self.asking.is_some() {
            return 0;
        }
        let places = (share - unused).min(free / 2);
        self.granted += places;
        places
    }

    /// Ready places it was given unasked.
    fn reserve(&self) -> u64 {
        self.ready().saturating_sub(u64::from(self.asked_since.is_some()))
    }
}

/// The window of one port.
#[derive(Clone, Debug)]
pub struct Window<K> {
    capacity: Capacity,
    by_priority: bool,
    /// Whoever comes may enter: there is no limit, or the owner drops.
    open: bool,
    queued: u64,
    promised: u64,
    beside: u64,
    receivers: u64,
    own_waiting: u64,
    holders: Holders<K>,
    asking: BTreeMap<Turn, K>,
    /// Holders whose question crossed a place they have: they need no other.
    crossed: Vec<K>,
    number: u64,
    /// How many places each holder may keep in reserve.
    share: u64,
    /// Who wants to hear of room once, and reserves none.
    watching: Vec<K>,
    /// No place that lies unused was asked for before.
    oldest: Option<u64>,
}

impl<K: Copy + Eq + Hash> Window<K> {
    /// The window of an empty port.
    pub fn new(capacity: Capacity) -> Self {
        Window::with(capacity, false, false)
    }

    /// The same, granting by priority, or without limit.
    #[inline]
    pub(crate) fn with(capacity: Capacity, by_priority: bool, open: bool) -> Self {
        Window {
            capacity,
            by_priority,
            open: open || capacity == Capacity::Unbounded,
            queued: 0,
            promised: 0,
            beside: 0,
            receivers: 0,
            own_waiting: 0,
            holders: Holders::default(),
            asking: BTreeMap::new(),
            crossed: Vec::new(),
            number: 0,
            share: 0,
            watching: Vec::new(),
            oldest: None,
        }
    }

    /// The same window, granting by the priority of what is to be sent.
    #[must_use]
    pub fn by_priority(mut self, by_priority: bool) -> Self {
        self.by_priority = by_priority;
        self
    }

    /// The same window, granting without limit: the owner drops.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// How much the port holds.
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// It holds so many from now on. What is queued or promised beyond that stays.
    /// Returns whether it is so: only one that is bounded, and not open, changes. With
    /// [`Window::hand_out`] those who ask get what there is more.
    pub fn resize(&mut self, places: u32) -> bool {
        let Capacity::Bounded(_) = self.capacity else { return false };
        self.capacity = Capacity::Bounded(places);
        self.share_anew();
        true
    }

    /// Messages counted against the capacity.
    pub const fn queued(&self) -> u64 {
        self.queued
    }

    /// Places granted, neither used nor written off.
    pub const fn promised(&self) -> u64 {
        self.promised
    }

    /// Accepted messages that wait beside the queue for a place.
    pub const fn beside(&self) -> u64 {
        self.beside
    }

    /// How many holders wait for a place.
    pub fn asking(&self) -> usize {
        self.asking.len() + self.crossed.len()
    }

    /// Places written off whose messages may still come, beside the queue.
    pub fn written_off(&self) -> u64 {
        self.holders.values().map(|entry| entry.written_off).sum()
    }

    /// Messages there may be in the queue now.
    pub fn places(&self) -> u64 {
        match self.capacity {
            Capacity::Rendezvous => self.receivers,
            Capacity::Bounded(places) => u64::from(places),
            Capacity::Unbounded => u64::MAX,
        }
    }

    /// Whether what happens next depends on the time. Where it does not, any will do.
    pub fn minds_time(&self) -> bool {
        self.capacity == Capacity::Rendezvous
            || self.beside > 0
            || self.own_waiting > 0
            || !self.asking.is_empty()
            || !self.crossed.is_empty()
    }

    /// Whether it is a number of places that nobody is promised, keeps or watches. Who
    /// asks for one has none.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.capacity, Capacity::Bounded(_))
            && self.promised == 0
            && self.beside == 0
            && self.own_waiting == 0
            && self.crossed.is_empty()
            && self.holders.len() == self.asking.len()
            && self.watching.is_empty()
    }

    /// Those who ask for a place, in their turn.
    pub fn in_turn(&self) -> impl Iterator<Item = K> {
        self.asking.values().copied()
    }

    fn free(&self) -> u64 {
        self.places().saturating_sub(self.queued).saturating_sub(self.promised)
    }

    /// How many places a holder keeps in reserve whose message was taken.
    #[inline]
    fn kept(&self) -> u64 {
        let few = matches!(self.capacity, Capacity::Bounded(_)) && !self.by_priority;
        self.share.max(u64::from(few))
    }

    /// There are more holders, or fewer: how many places each may keep in reserve.
    fn share_anew(&mut self) {
        let Capacity::Bounded(places) = self.capacity else { return };
        let share = u64::from(places) / (self.holders.len() as u64 + 1);
        self.share = if share >= 4 { share } else { 0 };
    }

    /// A new holder comes. Returns its first grant.
    pub fn join(&mut self, holder: K) -> u64 {
        self.number += 1;
        let mut entry = Holder { number: self.number, ..Holder::default() };
        if self.open {
            entry.granted = u64::MAX;
            self.holders.insert(holder, entry);
            return u64::MAX;
        }
        self.holders.insert(holder, entry);
        self.share_anew();
        let grant = self.share.min(self.free() / 2).min(FIRST_PLACES);
        self.promise(holder, grant)
    }

    /// The same of who alone can send: where there are few places it has one to begin
    /// with, if one is free.
    pub fn join_alone(&mut self, holder: K) -> u64 {
        let grant = self.join(holder);
        let may = self.holders.len() == 1
            && self.beside == 0
            && !self.by_priority
            && matches!(self.capacity, Capacity::Bounded(_));
        if grant > 0 || !may || self.free() == 0 {
            return grant;
        }
        self.promise(holder, 1)
    }

    /// A holder goes; what it had not used is free again.
    pub fn leave(&mut self, holder: K) {
        self.watching.retain(|&other| other != holder);
        let Some(gone) = self.holders.remove(&holder) else {
            return;
        };
        self.share_anew();
        if let Some(turn) = gone.asking {
            self.forget_question(holder, turn);
        }
        if !self.open {
            self.promised -= gone.ready();
        }
    }

    fn promise(&mut self, holder: K, places: u64) -> u64 {
        let Some(entry) = self.holders.get_mut(&holder) else {
            return 0;
        };
        entry.granted += places;
        self.promised += places;
        entry.granted
    }

    /// Whether a holder waits for a place.
    pub fn is_asking(&self, holder: K) -> bool {
        self.holders.get(&holder).is_some_and(|entry| entry.asking.is_some())
    }

    /// A holder wants a place for a message of this priority, and waits for it.
    /// Asking twice is asking once, with the higher priority.
    pub fn ask(&mut self, holder: K, priority: u16) {
        let rank = Reverse(if self.by_priority { priority } else { 0 });
        let Some(entry) = self.holders.get_mut(&holder) else {
            return;
        };
        let turn = match entry.asking {
            Some((before, _)) if before <= rank => return,
            Some((_, number)) => (rank, number),
            None => {
                self.number += 1;
                (rank, self.number)
            }
        };
        let before = entry.asking.replace(turn);
        // Its question crossed a place it was given unasked, or one that was
        // written off meanwhile. It sleeps and must be told, and that needs no
        // free place.
        let crossed = entry.unused() > 0;
        if let Some(before) = before {
            self.forget_question(holder, before);
        }
        if crossed {
            self.crossed.push(holder);
        } else {
            self.asking.insert(turn, holder);
        }
    }

    fn forget_question(&mut self, holder: K, turn: Turn) {
        if self.asking.remove(&turn).is_none() {
            self.crossed.retain(|&asker| asker != holder);
        }
    }

    /// A holder hands back `places` it was granted and did not use; with `stop`
    /// it no longer waits for one either.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`]: it hands back more than it had.
    pub fn hand_back(&mut self, holder: K, places: u64, stop: bool) -> Result<(), Offence> {
        let limited = !self.open;
        let entry = self.holders.get_mut(&holder).ok_or(Offence::WindowExceeded)?;
        if places > entry.unused() {
            return Err(Offence::WindowExceeded);
        }
        if limited {
            entry.arrived += places;
            let forgiven = places.min(entry.written_off);
            entry.written_off -= forgiven;
            self.promised -= places - forgiven;
            // A hand-back may cross a grant. The place it has not seen is still
            // one it asked for, and may be written off.
            if entry.ready() == 0 {
                entry.asked_since = None;
            }
        }
        if stop && let Some(turn) = entry.asking.take() {
            self.forget_question(holder, turn);
        }
        Ok(())
    }

    /// A holder sends again what it had sent to another owner: so many places more,
    /// written off from the beginning, since nobody waits for what is free. Returns
    /// its new grant.
    ///
    /// The number is the holder's word. No more were granted than the port holds,
    /// and one message it may have left.
    pub fn grant_more(&mut self, holder: K, places: u64) -> Option<u64> {
        if self.open {
            return None;
        }
        let most = match self.capacity {
            Capacity::Bounded(most) => u64::from(most) + 1,
            Capacity::Rendezvous | Capacity::Unbounded => u64::from(u32::MAX),
        };
        let places = places.min(most);
        let entry = self.holders.get_mut(&holder)?;
        let granted = entry.granted.saturating_add(places);
        entry.written_off += granted - entry.granted;
        entry.granted = granted;
        Some(granted)
    }

    /// A message was taken, or dropped, out of the queue. Its place goes to who
    /// waits longest, else back into the reserve of who sent it.
    pub fn take(&mut self, sender: Option<K>, now_ns: u64, raises: &mut Vec<Raise<K>>) {
        self.leave_queue();
        self.hand_out(now_ns, raises);
        raises.extend(sender.and_then(|sender| self.give_back(sender)));
    }

    /// A message has left the queue. What is free then is to be handed out.
    pub(crate) fn leave_queue(&mut self) {
        self.queued = self.queued.saturating_sub(1);
    }

    /// Everything has left the queue, to be counted elsewhere.
    pub(crate) const fn leave_all(&mut self) {
        self.queued = 0;
    }

    /// A place goes back into the reserve of who sent what left it.
    pub(crate) fn give_back(&mut self, holder: K) -> Option<Raise<K>> {
        if self.open || self.beside > 0 {
            return None;
        }
        let (share, free) = (self.kept(), self.free());
        let entry = self.holders.get_mut(&holder)?;
        let places = entry.refill(share, free);
        self.promised += places;
        (places > 0).then_some(Raise { holder, grant: entry.granted, asked: false })
    }

    /// Counts a message of `holder` that is received as it comes, where nobody waits
    /// and nothing depends on the time. `None` where it must be counted by
    /// [`Window::arrive`], or may not come.
    pub(crate) fn pass(&mut self, holder: K) -> Option<Option<Raise<K>>> {
        let (share, free) = (self.kept(), self.free().saturating_add(1));
        let entry = self.holders.get_mut(&holder)?;
        if self.open {
            // Where nothing may be queued it is dropped.
            return (free > 1).then_some(None);
        }
        if entry.ready() == 0 {
            return None;
        }
        entry.arrived += 1;
        entry.asked_since = None;
        let places = entry.refill(share, free);
        let grant = entry.granted;
        self.promised = self.promised - 1 + places;
        Some((places > 0).then_some(Raise { holder, grant, asked: false }))
    }

    /// A message was dropped for another, or instead of entering.
    pub fn drop_one(&mut self) {
        self.queued = self.queued.saturating_sub(1);
    }

    /// A receiver takes something, and goes: so does its place at a rendezvous.
    /// How many there are is to be said anew.
    pub fn receiver_goes(&mut self) {
        self.receivers = self.receivers.saturating_sub(1);
    }

    /// So many receivers wait now: the places of a rendezvous. One that leaves
    /// writes off the place it had opened, so that what still comes for it waits
    /// for the next.
    pub fn set_receivers(&mut self, receivers: u64) {
        self.receivers = receivers;
        if self.capacity == Capacity::Rendezvous {
            while self.queued + self.promised > receivers && self.displace() {}
        }
    }

    /// So many senders of our own task wait for a place: a place that lies
    /// unused is written off for them as well.
    pub fn set_own_waiting(&mut self, senders: u64) {
        self.own_waiting = senders;
    }

    /// Gives free places to those who ask, in their turn. Messages beside the
    /// queue come first: they are to be admitted before.
    pub fn hand_out(&mut self, now_ns: u64, raises: &mut Vec<Raise<K>>) {
        for holder in std::mem::take(&mut self.crossed) {
            let Some(entry) = self.holders.get_mut(&holder) else {
                continue;
            };
            if entry.unused() > 0 {
                entry.asking = None;
                if entry.ready() > 0 {
                    entry.asked_since.get_or_insert(now_ns);
                    self.oldest.get_or_insert(now_ns);
                }
                raises.push(Raise { holder, grant: entry.granted, asked: true });
            } else if let Some(turn) = entry.asking {
                // It handed that place back meanwhile.
                self.asking.insert(turn, holder);
            }
        }
        while self.beside == 0
            && let Some((&turn, &holder)) = self.asking.first_key_value()
        {
            let free = self.free();
            if free == 0 && !self.reclaim() {
                return;
            }
            let places = self.share.min(free / 2).max(1);
            self.asking.remove(&turn);
            if let Some(entry) = self.holders.get_mut(&holder) {
                entry.asking = None;
                entry.asked_since.get_or_insert(now_ns);
                self.oldest.get_or_insert(now_ns);
            }
            let grant = self.promise(holder, places);
            raises.push(Raise { holder, grant, asked: true });
        }
    }
}

#[cfg(test)]
mod tests;
