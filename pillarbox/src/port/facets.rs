//! The facets of one port, under its lock: who holds them and how they end.

use std::collections::BTreeSet;

use abi::Offence;
use abi::board::{Life, State};
use rights::quick::QuickMap;
use rights::senders::NoSenders;
use rights::terms::{Admitted, End, Facets, MakeError, Refusal, Terms};

use super::PortCore;
use super::after::After;
use super::state::{Holder, PortState};
use crate::error::SendFailure;
use crate::link::Link;
use crate::membrane::Within;
use crate::message::{Message, Notification};
use crate::right::SendOnceRight;
use crate::special::keep_watcher;
use crate::wait::parking::lock;

/// Who holds one facet.
#[derive(Debug, Default)]
struct Place {
    /// Send rights in our own space, those on their way between peers included.
    own: u64,
    /// Links whose peers hold it.
    links: BTreeSet<u32>,
    watchers: Vec<SendOnceRight>,
    within: Option<Within>,
}

/// The facets of a port and who holds them.
#[derive(Debug, Default)]
pub(super) struct PortFacets {
    pub(super) rules: Facets<u64>,
    places: QuickMap<u64, Place>,
}

impl PortFacets {
    /// A right to `via` is in our own space now. Returns whether it counts.
    fn add_own(&mut self, via: u64) -> bool {
        let counts = self.rules.ended(via).is_none();
        if counts && let Some(place) = self.places.get_mut(&via) {
            place.own += 1;
        }
        counts
    }

    /// Such a right is gone. Returns whether it counted.
    fn remove_own(&mut self, via: u64) -> bool {
        match self.places.get_mut(&via) {
            Some(place) if place.own > 0 => {
                place.own -= 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn joined(&mut self, via: u64, link: &Link) {
        if let Some(place) = self.places.get_mut(&via) {
            place.links.insert(link.number);
        }
    }

    pub(super) fn left(&mut self, via: u64, link: &Link) {
        if let Some(place) = self.places.get_mut(&via) {
            place.links.remove(&link.number);
        }
    }

    /// Whether there is any.
    pub(super) fn has_any(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether anybody holds one.
    pub(super) fn has_places(&self) -> bool {
        !self.places.is_empty()
    }

    /// Everybody who asked to be told, for a port that ends.
    pub(super) fn take_watchers(&mut self) -> Vec<SendOnceRight> {
        self.places.values_mut().flat_map(|place| place.watchers.drain(..)).collect()
    }
}

/// What a sender of our own is told.
pub(super) const fn as_failure(refusal: Refusal) -> SendFailure {
    match refusal {
        Refusal::Ended(_) => SendFailure::Revoked,
        Refusal::Id(id) => SendFailure::NotPermitted(id),
    }
}

impl PortState {
    /// Ends a facet and all that was made from it. Returns how many send rights
    /// end with it.
    pub(super) fn end_facet(&mut self, via: u64, why: End, now_ns: u64, after: &mut After) -> u64 {
        let mut count = 0;
        let mut told = NoSenders::Quiet;
        let ended = self.facets.rules.end(via, why);
        if ended.is_empty() {
            return 0;
        }
        for key in ended {
            let Some(place) = self.facets.places.get_mut(&key) else { continue };
            let mut gone = std::mem::take(&mut place.own);
            for link in std::mem::take(&mut place.links) {
                let Some(board) = self.boards.remove(&(link, key)) else { continue };
                self.queue.forget(Holder::Link(link, key));
                self.queue.pulses.leave(Holder::Link(link, key));
                gone += 1;
                let Some(link) = board.link.upgrade() else { continue };
                let life = Life { generation: board.slot.generation, state: State::Revoked };
                link.own_page().set_life(board.slot.index, life);
                link.own_page().bump_change();
                after.more().looks.push((link, board.slot));
            }
            for to in place.watchers.drain(..) {
                after.fire(to, Notification::DeadName);
            }
            for _ in 0..gone {
                if self.senders.remove() == NoSenders::Fires {
                    told = NoSenders::Fires;
                }
            }
            count += gone;
        }
        self.tell_no_senders(told, after);
        self.hand_out(now_ns, after);
        self.wake_own_senders(after);
        count
    }

    /// Counts a message on the right it came on, if that permits it: the badge it
    /// carries then, and whether a facet is to be ended once it is queued.
    pub(super) fn admit(
        &mut self,
        own: u64,
        via: u64,
        message: &Message,
        now_ns: u64,
        after: &mut After,
    ) -> Result<Admitted<u64>, Refusal> {
        if via == own {
            return Ok(Admitted { badge: None, spent: None });
        }
        self.facets.rules.admit(via, message.id(), now_ns).inspect_err(|refusal| {
            if let Refusal::Ended(why) = *refusal {
                // The time of one it was made from may be over: that one is
                // found by the background thread, this one now.
                let _ = self.end_facet(via, why, now_ns, after);
            }
        })
    }

    /// What the right it is sent on gives to a message.
    pub(super) fn mark(&self, via: Option<u64>, message: &mut Message) {
        message.badge = via.and_then(|via| self.facets.rules.badge(via));
        let place = via.and_then(|via| self.facets.places.get(&via));
        message.put_within(place.and_then(|place| place.within.clone()));
    }

    /// A message of our own was queued that was permitted just now.
    pub(super) fn count_own(&mut self, via: Option<u64>, id: i32, now_ns: u64, after: &mut After) {
        if let Some(via) = via
            && let Ok(admitted) = self.facets.rules.admit(via, id, now_ns)
        {
            self.queued(admitted, now_ns, after);
        }
    }

    /// A peer's message may not enter. Its right may still be good for others:
    /// then it has used a place, which is free again.
    pub(super) fn refuse(
        &mut self,
        holder: Holder,
        refusal: Refusal,
        message: Message,
        now_ns: u64,
        after: &mut After,
    ) -> Result<(), Offence> {
        after.more().refused.push(message);
        if let Refusal::Id(_) = refusal {
            self.queue.window.hand_back(holder, 1, false)?;
            self.hand_out(now_ns, after);
        }
        self.facets.rules.count_refused();
        Ok(())
    }

    /// A message was queued: what it was the last one of ends.
    pub(super) fn queued(&mut self, admitted: Admitted<u64>, now_ns: u64, after: &mut After) {
        if let Some(spent) = admitted.spent {
            let _ = self.end_facet(spent, End::Spent, now_ns, after);
        }
    }

    /// Whether the right `via` permits this message now.
    pub(super) fn permits(
        &self,
        via: Option<u64>,
        message: &Message,
        now_ns: u64,
    ) -> Result<(), SendFailure> {
        via.map_or(Ok(()), |via| self.facets.rules.permits(via, message.id(), now_ns))
            .map_err(as_failure)
    }
}

impl PortCore {
    /// Makes a facet, and says when its time is over.
    pub(crate) fn make_facet(
        &self,
        id: u64,
        parent: Option<u64>,
        terms: Terms,
        within: Option<Within>,
    ) -> Result<Option<u64>, MakeError> {
        let mut state = lock(&self.state);
        if !state.alive {
            return Err(MakeError::Ended);
        }
        state.facets.rules.make(id, parent, terms)?;
        state.facets.places.insert(id, Place { within, ..Place::default() });
        Ok(state.facets.rules.due(id))
    }

    /// Nobody holds the facet any more.
    pub(crate) fn forget_facet(&self, id: u64) {
        let place = {
            let mut state = lock(&self.state);
            state.facets.rules.forget(id);
            state.facets.places.remove(&id)
        };
        // Its end would be nothing to us any more.
        for to in place.into_iter().flat_map(|place| place.watchers) {
            to.notify(Notification::LetGo);
        }
    }

    pub(crate) fn facet_end(&self, id: u64) -> Option<End> {
        let state = lock(&self.state);
        let over = || state.facets.rules.due(id).is_some_and(|due| due <= self.task.now_ns());
        state.facets.rules.ended(id).or_else(|| over().then_some(End::Expired))
    }

    pub(crate) fn end_facet(&self, id: u64, why: End) -> u64 {
        let mut after = After::default();
        let count = lock(&self.state).end_facet(id, why, self.task.now_ns(), &mut after);
        after.run();
        count
    }

    pub(crate) fn refused(&self) -> u64 {
        lock(&self.state).facets.rules.refused()
    }

    pub(crate) fn add_facet_sender(&self, id: u64) {
        let mut state = lock(&self.state);
        if state.facets.add_own(id) {
            state.senders.add();
        }
    }

    pub(crate) fn remove_facet_sender(&self, id: u64) {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            if state.facets.remove_own(id) {
                let told = state.senders.remove();
                state.tell_no_senders(told, &mut after);
            }
        }
        after.run();
    }

    /// Tells `to` when the facet has ended, or its port.
    pub(crate) fn watch_facet(&self, id: u64, to: SendOnceRight) {
        let mut gone = Vec::new();
        let late = {
            let mut state = lock(&self.state);
            let lives = state.alive && state.facets.rules.ended(id).is_none();
            match state.facets.places.get_mut(&id) {
                Some(place) if lives => {
                    gone = keep_watcher(&mut place.watchers, to);
                    None
                }
                _ => Some(to),
            }
        };
        drop(gone);
        if let Some(to) = late {
            to.notify(Notification::DeadName);
        }
    }
}
