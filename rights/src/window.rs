//! Who may send how many messages to a port.
//!
//! Queue plus grants never exceed the capacity. Where there are at least four
//! places for each holder, a holder keeps some in reserve and sends without
//! asking; where there are fewer, nobody does: a sender asks, is granted in
//! turn, and sends. Reserves never take the last free place, so an idle holder
//! cannot shut the port to the others.
//!
//! A place granted to one who asked and left unused for
//! [`limits::GRANT_IDLE_NS`] while others wait is written off: they get its
//! place, and its holder gets no other until it has used or returned it. Its
//! message, if it still comes, waits beside the queue.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use abi::{Offence, limits};

/// Places a new holder begins with, where there are enough. Its reserve grows
/// with what it sends, so a holder that never sends keeps hardly any from the
/// others.
const FIRST_PLACES: u64 = 2;

/// How much a port holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capacity {
    /// Nothing: a sender waits until a receiver takes the message.
    Rendezvous,
    /// So many messages, over all senders.
    Bounded(u32),
    /// No limit of its own; bytes are limited per link.
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

#[derive(Clone, Debug, Default)]
struct Holder {
    granted: u64,
    arrived: u64,
    asking: bool,
    /// When a place it had asked for was granted, until it uses or returns it.
    asked_since: Option<u64>,
    written_off: u64,
}

impl Holder {
    fn unused(&self) -> u64 {
        self.granted - self.arrived
    }

    /// Places that are neither used nor written off.
    fn ready(&self) -> u64 {
        self.unused() - self.written_off
    }
}

/// The window of one port.
#[derive(Clone, Debug)]
pub struct Window<K> {
    capacity: Capacity,
    queued: u64,
    promised: u64,
    receivers: u64,
    own_waiting: u64,
    holders: HashMap<K, Holder>,
    asking: VecDeque<K>,
}

impl<K: Copy + Eq + Hash> Window<K> {
    /// The window of an empty port.
    pub fn new(capacity: Capacity) -> Self {
        Window {
            capacity,
            queued: 0,
            promised: 0,
            receivers: 0,
            own_waiting: 0,
            holders: HashMap::new(),
            asking: VecDeque::new(),
        }
    }

    /// How much the port holds.
    pub const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Messages counted against the capacity.
    pub const fn queued(&self) -> u64 {
        self.queued
    }

    /// Places granted and not yet used.
    pub const fn promised(&self) -> u64 {
        self.promised
    }

    /// How many holders wait for a place.
    pub fn asking(&self) -> usize {
        self.asking.len()
    }

    /// Places written off whose messages may still come, beside the queue.
    pub fn written_off(&self) -> u64 {
        self.holders.values().map(|entry| entry.written_off).sum()
    }

    /// Whether a holder asks who may be given a place.
    fn anyone_waits(&self) -> bool {
        self.asking
            .iter()
            .any(|asker| self.holders.get(asker).is_some_and(|entry| entry.written_off == 0))
    }

    fn places(&self) -> u64 {
        match self.capacity {
            Capacity::Rendezvous => self.receivers,
            Capacity::Bounded(places) => u64::from(places),
            Capacity::Unbounded => u64::MAX,
        }
    }

    fn free(&self) -> u64 {
        self.places().saturating_sub(self.queued).saturating_sub(self.promised)
    }

    /// How many places each holder may keep in reserve.
    fn share(&self) -> u64 {
        let Capacity::Bounded(places) = self.capacity else {
            return 0;
        };
        let share = u64::from(places) / (self.holders.len() as u64 + 1);
        if share >= 4 { share } else { 0 }
    }

    /// A new holder comes. Returns its first grant.
    pub fn join(&mut self, holder: K) -> u64 {
        if self.capacity == Capacity::Unbounded {
            let unlimited = Holder { granted: u64::MAX, ..Holder::default() };
            self.holders.insert(holder, unlimited);
            return u64::MAX;
        }
        self.holders.insert(holder, Holder::default());
        let grant = self.share().min(self.free() / 2).min(FIRST_PLACES);
        self.promise(holder, grant)
    }

    /// A holder goes; what it had not used is free again.
    pub fn leave(&mut self, holder: K) {
        let Some(gone) = self.holders.remove(&holder) else {
            return;
        };
        if gone.asking {
            self.asking.retain(|&asker| asker != holder);
        }
        if self.capacity != Capacity::Unbounded {
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
        self.holders.get(&holder).is_some_and(|entry| entry.asking)
    }

    /// A holder wants a place and waits for it. Asking twice is asking once.
    pub fn ask(&mut self, holder: K) {
        if let Some(entry) = self.holders.get_mut(&holder)
            && !entry.asking
        {
            entry.asking = true;
            // Its question crossed a place it was given unasked. It sleeps and
            // must be told, and that needs no free place: it goes first.
            if entry.ready() > 0 {
                self.asking.push_front(holder);
            } else {
                self.asking.push_back(holder);
            }
        }
    }

    /// A holder hands back `places` it was granted and did not use; with `stop`
    /// it no longer waits for one either.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`]: it hands back more than it had.
    pub fn hand_back(&mut self, holder: K, places: u64, stop: bool) -> Result<(), Offence> {
        let limited = self.capacity != Capacity::Unbounded;
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
        if stop && entry.asking {
            entry.asking = false;
            self.asking.retain(|&asker| asker != holder);
        }
        Ok(())
    }

    /// A message of `holder` has come.
    ///
    /// # Errors
    /// [`Offence::WindowExceeded`]: it was not granted.
    pub fn arrive(&mut self, holder: K) -> Result<(), Offence> {
        let entry = self.holders.get_mut(&holder).ok_or(Offence::WindowExceeded)?;
        if self.capacity == Capacity::Unbounded {
            self.queued += 1;
            return Ok(());
        }
        if entry.unused() == 0 {
            return Err(Offence::WindowExceeded);
        }
        entry.arrived += 1;
        entry.asked_since = None;
        if entry.written_off > 0 {
            entry.written_off -= 1;
        } else {
            self.promised -= 1;
        }
        self.queued += 1;
        Ok(())
    }

    /// A sender of our own task takes a place at once, if one is free and
    /// nobody was there before it. One who lets a place lie is not before it.
    #[must_use = "without a place nothing may be queued"]
    pub fn enter(&mut self) -> bool {
        let may = self.free() > 0 && !self.anyone_waits();
        if may {
            self.queued += 1;
        }
        may
    }

    /// A message had its place when the port was another task's.
    pub fn adopt(&mut self) {
        self.queued += 1;
    }

    /// A holder sends again what it had sent to another owner: so many places more,
    /// whatever is free. Returns its new grant.
    pub fn grant_more(&mut self, holder: K, places: u64) -> Option<u64> {
        if self.capacity == Capacity::Unbounded || !self.holders.contains_key(&holder) {
            return None;
        }
        Some(self.promise(holder, places))
    }

    /// A message was taken, or dropped, out of the queue. Its place goes to who
    /// waits longest, else back into the reserve of who sent it.
    pub fn take(&mut self, sender: Option<K>, now_ns: u64, raises: &mut Vec<Raise<K>>) {
        self.queued = self.queued.saturating_sub(1);
        self.hand_out(now_ns, raises);
        let share = self.share();
        if let Some(holder) = sender
            && share > 0
            && let Some(entry) = self.holders.get(&holder)
            && entry.unused() < share
            && entry.written_off == 0
            && !entry.asking
            && self.free() > 1
        {
            let grant = self.promise(holder, 1);
            raises.push(Raise { holder, grant, asked: false });
        }
    }

    /// So many receivers wait now: the places of a rendezvous.
    pub fn set_receivers(&mut self, receivers: u64) {
        self.receivers = receivers;
    }

    /// So many senders of our own task wait for a place: a place that lies
    /// unused is written off for them as well.
    pub fn set_own_waiting(&mut self, senders: u64) {
        self.own_waiting = senders;
    }

    /// Gives free places to those who ask, in the order they asked.
    pub fn hand_out(&mut self, now_ns: u64, raises: &mut Vec<Raise<K>>) {
        let mut looked_at = self.asking.len();
        while looked_at > 0 {
            looked_at -= 1;
            let Some(holder) = self.asking.pop_front() else {
                return;
            };
            let free = self.free();
            let mut places = self.share().min(free / 2).max(1);
            let Some(entry) = self.holders.get_mut(&holder) else {
                continue;
            };
            if entry.ready() > 0 {
                places = 0;
            } else if free == 0 {
                self.asking.push_front(holder);
                return;
            }
            // One who let a place lie gets no other before it has used it.
            if entry.written_off > 0 {
                self.asking.push_back(holder);
                continue;
            }
            entry.asking = false;
            entry.asked_since.get_or_insert(now_ns);
            let grant = self.promise(holder, places);
            raises.push(Raise { holder, grant, asked: true });
        }
    }

    /// Writes off what was asked for and left unused too long while others
    /// wait, and hands it out. Returns when to look again, if ever.
    #[must_use = "somebody must look again at that time"]
    pub fn expire(&mut self, now_ns: u64, raises: &mut Vec<Raise<K>>) -> Option<u64> {
        if self.own_waiting == 0 && !self.anyone_waits() {
            return None;
        }
        let mut next: Option<u64> = None;
        for entry in self.holders.values_mut() {
            let Some(since) = entry.asked_since else {
                continue;
            };
            let due = since.saturating_add(limits::GRANT_IDLE_NS);
            if due > now_ns {
                next = Some(next.map_or(due, |earlier| earlier.min(due)));
                continue;
            }
            let lost = entry.ready();
            entry.written_off += lost;
            entry.asked_since = None;
            self.promised -= lost;
        }
        self.hand_out(now_ns, raises);
        // Who was just granted a place may let it lie in turn.
        if !self.asking.is_empty() && !raises.is_empty() {
            let again = now_ns.saturating_add(limits::GRANT_IDLE_NS);
            next = Some(next.map_or(again, |earlier| earlier.min(again)));
        }
        next
    }
}

#[cfg(test)]
mod tests;
