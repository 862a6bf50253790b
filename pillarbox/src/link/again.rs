//! Messages that are sent again: what dead owners had not read.
//!
//! It was accepted before anything that is sent now, and goes before that on the same
//! right. One thread at a time sends it over a link: two would pass each other. Where
//! the port goes on before there was room, it follows the right: it waits with the
//! claim while that is open, and goes where that leads.
//!
//! Which way that is, and the end of such a claim, are decided under one lock of the
//! task, so that nothing is put where nobody looks any more. A claim whose message is
//! just being tried ends when that is done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::Slot;
use abi::frame::{Header, Kind, back};

use super::entry::Held;
use super::out::Blocked;
use super::{Entry, Join, Joined, Link};
use crate::background::Job;
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::message::Message;
use crate::port::After;
use crate::right::{SendRight, leads_nowhere};
use crate::wait::parking::lock;

/// A message that a dead owner had not read, to be sent to the new one.
#[derive(Debug)]
pub(super) struct Again {
    /// The right does not go home before it.
    to: Held,
    message: Message,
    /// It stands among those who wait for a place.
    asked: bool,
}

/// All that goes to one peer, in order.
#[derive(Debug, Default)]
pub(super) struct AgainQueue {
    waiting: VecDeque<Again>,
    /// A thread sends one, on this slot.
    busy: Option<Slot>,
    /// Another one came meanwhile, perhaps with news of room.
    called: bool,
    /// Claims that end when that one is sent, or is not.
    ends: Vec<(Arc<Join>, Joined, u64)>,
    /// They wait as a future does: for whoever drains.
    counted: bool,
}

/// Held while it is decided which way such messages go.
#[derive(Debug, Default)]
pub(crate) struct Ways(());

/// Which way a message goes to the port that a right led to.
enum Way {
    /// On this right.
    On(Arc<Entry>),
    /// Where this claim leads, when that is known.
    After(Arc<Join>),
    /// Into our own queue.
    Own(SendRight),
    /// The port is gone.
    Nowhere,
}

/// What became of one that was tried.
enum Tried {
    Sent(Held),
    /// It waits.
    For(Lack, Again),
    /// The port has gone elsewhere.
    Moved(Again),
    /// The port is gone, or it can never be sent.
    Over(Again),
}

/// What one waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// Nothing any more.
    Nothing,
    /// Room on the link.
    Room,
    /// A place of the port's.
    Place,
    /// Something that nobody says when it is there.
    Time,
}

impl Again {
    pub(super) const fn new(to: Held, message: Message) -> Self {
        Again { to, message, asked: false }
    }

    fn entry(&self) -> &Arc<Entry> {
        self.to.entry()
    }

    fn slot(&self) -> Slot {
        self.entry().slot
    }

    fn stop_asking(&mut self, gave_up: bool) {
        if std::mem::take(&mut self.asked) {
            self.entry().stop_asking(gave_up);
        }
    }

    /// On another right to the same port.
    pub(super) fn onto(mut self, to: Held, after: &mut After) -> Again {
        self.stop_asking(true);
        let before = std::mem::replace(&mut self.to, to);
        after.drop_joined(Joined::Send(before));
        self
    }

    /// The message, for whoever has the port here.
    pub(super) fn into_message(mut self, after: &mut After) -> Message {
        self.stop_asking(true);
        after.drop_joined(Joined::Send(self.to));
        self.message
    }

    pub(super) fn drop_later(self, after: &mut After) {
        let message = self.into_message(after);
        after.drop_later(message);
    }
}

impl Entry {
    /// Whether something goes before what is sent now.
    pub(super) fn has_again(&self) -> bool {
        self.again.load(Ordering::Relaxed) > 0
    }

    /// Says that so many messages will not be sent again, which the owner waits for.
    pub(super) fn say_lost(&self, count: u64) {
        if count > 0 {
            let header = Header::new(Kind::Return, self.slot);
            let _ = self.say(Header { id: back::LOST, tag: count, ..header });
        }
    }

    /// Where what is for this right goes.
    fn way(self: &Arc<Self>) -> Way {
        if leads_nowhere(self) {
            // It would lead back into itself.
            return Way::Nowhere;
        }
        let mut at = Arc::clone(self);
        loop {
            let next = match at.last_moved() {
                None => return Way::On(at),
                Some(moved) => match moved.join.result() {
                    None => return Way::After(Arc::clone(&moved.join)),
                    Some(Joined::Send(held)) => Arc::clone(held.entry()),
                    Some(Joined::Own(right)) => return Way::Own(right.clone()),
                    Some(Joined::Once(..) | Joined::Back | Joined::Dead) => return Way::Nowhere,
                },
            };
            at = next;
        }
    }
}

impl Link {
    /// Keeps messages to be sent before all others on their rights.
    pub(super) fn keep_again(
        self: &Arc<Self>,
        all: impl Iterator<Item = Again>,
        after: &mut After,
    ) {
        let mut again = lock(&self.again);
        for one in all {
            one.entry().again.fetch_add(1, Ordering::Relaxed);
            again.waiting.push_back(one);
        }
        if again.waiting.is_empty() {
            return;
        }
        self.has_again.store(true, Ordering::Relaxed);
        if !std::mem::replace(&mut again.counted, true) {
            self.task.sleepers.futures.fetch_add(1, Ordering::Relaxed);
            // There the bells are listened for.
            self.task.job(Job::Bequests);
        }
        after.send_again(self);
    }

    /// Whether something goes before what is sent now, on some right.
    pub(super) fn has_again(&self) -> bool {
        self.has_again.load(Ordering::Relaxed)
    }

    /// Sends what dead owners had not read, as far as there is room.
    pub(crate) fn push_again(self: &Arc<Self>) {
        // Those whose ports have no place now.
        let mut full: Vec<Slot> = Vec::new();
        while let Some(next) = self.next_again(&full) {
            let mut after = After::default();
            let slot = next.slot();
            let tried = self.try_one(next, &mut after);
            let (lack, called) = self.tried_one(tried, &mut after);
            after.run();
            match lack {
                Lack::Nothing => {}
                Lack::Room if !called => return,
                Lack::Room => {}
                Lack::Place => full.push(slot),
                Lack::Time => {
                    full.push(slot);
                    self.task.job(Job::Again(self.number));
                }
            }
            if called {
                full.clear();
            }
        }
    }

    /// The next to be sent, if no other thread is at it.
    fn next_again(&self, full: &[Slot]) -> Option<Again> {
        let mut again = lock(&self.again);
        again.called = true;
        if again.busy.is_some() {
            return None;
        }
        if again.waiting.is_empty() {
            // Only now: what is sent after this look is sent after the last.
            self.has_again.store(false, Ordering::Relaxed);
            if std::mem::take(&mut again.counted) {
                self.task.sleepers.futures.fetch_sub(1, Ordering::Relaxed);
            }
            return None;
        }
        let at = again.waiting.iter().position(|one| !full.contains(&one.slot()))?;
        let next = again.waiting.remove(at)?;
        (again.busy, again.called) = (Some(next.slot()), false);
        Some(next)
    }

    fn try_one(self: &Arc<Self>, one: Again, after: &mut After) -> Tried {
        let Again { to, message, asked } = one;
        let entry = Arc::clone(to.entry());
        if message.accepted().is_some() {
            lock(&entry.import).left = true;
        }
        let (blocked, message) = match self.send_again_now(&entry, message) {
            Ok(()) => {
                if asked {
                    entry.stop_asking(false);
                }
                return Tried::Sent(to);
            }
            Err(back) => back,
        };
        let mut one = Again { to, message, asked };
        match blocked {
            Blocked::Room => Tried::For(Lack::Room, one),
            Blocked::Grant => {
                one.asked = true;
                // Where it need not wait there is one after all.
                let waits = entry.ask(one.message.priority, !asked);
                Tried::For(if waits { Lack::Place } else { Lack::Nothing }, one)
            }
            Blocked::Fail(reason) => {
                entry.look(after);
                if entry.has_moved() {
                    Tried::Moved(one)
                } else if entry.is_dead() || is_final(&reason) {
                    Tried::Over(one)
                } else {
                    Tried::For(Lack::Time, one)
                }
            }
        }
    }

    /// One was tried: it waits on, or goes after its port. Returns what it waits for,
    /// and whether another thread came meanwhile.
    fn tried_one(self: &Arc<Self>, tried: Tried, after: &mut After) -> (Lack, bool) {
        let (lack, called, ends) = {
            let ways = lock(&self.task.ways);
            let (mut lack, mut back) = (Lack::Nothing, None);
            match tried {
                Tried::Sent(to) => {
                    to.entry().again.fetch_sub(1, Ordering::Relaxed);
                    after.drop_joined(Joined::Send(to));
                }
                Tried::Over(one) => {
                    one.entry().again.fetch_sub(1, Ordering::Relaxed);
                    one.entry().say_lost(1);
                    one.drop_later(after);
                }
                Tried::For(what, one) => (lack, back) = (what, Some(one)),
                Tried::Moved(one) => match one.entry().way() {
                    // It has come back, or is about to go.
                    Way::On(at) if Arc::ptr_eq(&at, one.entry()) => {
                        (lack, back) = (Lack::Time, Some(one));
                    }
                    way => {
                        one.entry().again.fetch_sub(1, Ordering::Relaxed);
                        self.task.send_on(&ways, way, one, after);
                    }
                },
            }
            let mut again = lock(&self.again);
            back.into_iter().for_each(|one| again.waiting.push_front(one));
            again.busy = None;
            (lack, again.called, std::mem::take(&mut again.ends))
        };
        // Who waits behind it may perhaps go now.
        self.wake_waiters(after);
        for (join, joined, have) in ends {
            join.end_follow(joined, have, after);
        }
        (lack, called)
    }

    /// Takes what was to go on a right before all others: its claim ends. `None` where a
    /// thread is just trying one of them, which ends the claim when it is done.
    pub(super) fn take_again(
        self: &Arc<Self>,
        join: &Arc<Join>,
        slot: Slot,
        (joined, have): (Joined, u64),
        after: &mut After,
    ) -> Option<(Joined, Vec<Again>)> {
        let mut again = lock(&self.again);
        if again.busy == Some(slot) {
            again.ends.push((Arc::clone(join), joined, have));
            return None;
        }
        if !again.waiting.iter().any(|one| one.slot() == slot) {
            return Some((joined, Vec::new()));
        }
        let all = std::mem::take(&mut again.waiting);
        let (taken, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.slot() == slot);
        again.waiting = rest.into();
        for one in &taken {
            one.entry().again.fetch_sub(1, Ordering::Relaxed);
        }
        after.send_again(self);
        Some((joined, taken))
    }
}

impl TaskCore {
    /// A message goes where the right to its port led to leads now.
    pub(super) fn send_after(&self, ways: &Ways, one: Again, after: &mut After) {
        let way = one.entry().way();
        self.send_on(ways, way, one, after);
    }

    fn send_on(&self, _: &Ways, way: Way, mut one: Again, after: &mut After) {
        match way {
            _ if self.closed.load(Ordering::Relaxed) => one.drop_later(after),
            Way::On(at) => {
                if !Arc::ptr_eq(&at, one.entry()) {
                    one = one.onto(at.hold(), after);
                }
                at.link.keep_again(std::iter::once(one), after);
            }
            Way::After(join) => {
                one.stop_asking(true);
                match join.follow() {
                    Some(follow) => follow.wait_behind(one),
                    None => one.drop_later(after),
                }
            }
            Way::Own(right) => {
                right.adopt_again(VecDeque::from([one.into_message(after)]), after);
                after.drop_joined(Joined::Own(right));
            }
            Way::Nowhere => one.drop_later(after),
        }
    }
}

/// Whether what was refused for this will always be.
const fn is_final(reason: &SendFailure) -> bool {
    !matches!(
        reason,
        SendFailure::Full
            | SendFailure::NotJoined(_)
            | SendFailure::Unsettled
            | SendFailure::OverLimit
            | SendFailure::RightsExhausted
            | SendFailure::DescriptorsInFlight
            | SendFailure::System(_)
            | SendFailure::Dead
    )
}
