//! Facets of simulated ports: made, narrowed, used up, expired and revoked at
//! any step, and what the checkers need to know of that.

use std::collections::{BTreeMap, BTreeSet};

use abi::board::State;
use abi::frame::Kind;
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, limits};
use rights::terms::{End, Facets, Refusal, Terms};

use crate::control::about;
use crate::fault::Fault;
use crate::task::{Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::World;

/// Ids of messages are below this.
pub(crate) const IDS: u64 = 3;
/// Facets of one port.
const FACETS: usize = 8;

/// The facets of one port.
#[derive(Debug, Default)]
pub(crate) struct PortFacets {
    pub(crate) rules: Facets<u32>,
    /// Known to the world, not to the rules: what each was made from, how many
    /// messages it was good for, how many entered on it, what was in the queue
    /// when it ended.
    pub(crate) parents: BTreeMap<u32, u32>,
    pub(crate) most: BTreeMap<u32, u64>,
    pub(crate) entered: BTreeMap<u32, u64>,
    pub(crate) before: BTreeMap<u32, BTreeSet<u64>>,
}

impl PortFacets {
    /// Whether a right on this facet is one that may send.
    pub(crate) fn counts(&self, facet: u32) -> bool {
        facet == 0 || self.rules.ended(facet).is_none()
    }

    pub(crate) fn permits(&self, facet: u32, id: i32, now_ns: u64) -> Result<(), Refusal> {
        if facet == 0 { Ok(()) } else { self.rules.permits(facet, id, now_ns) }
    }
}

impl World {
    /// Makes a narrower right from one of ours.
    pub(crate) fn narrow(&mut self, me: TaskNumber, from: RightNumber) -> Option<RightNumber> {
        let Right::OwnSend(lead) = *self.tasks[me].rights.get(&from)? else {
            return None;
        };
        let facet = self.number() as u32;
        let mut terms = Terms::default();
        let mut most = None;
        match self.chance.below(4) {
            0 => terms.with_range(0..=1),
            1 => {
                let messages = 1 + self.chance.below(4);
                terms.with_messages(messages);
                most = Some(messages);
            }
            2 => terms.with_until(self.now_ns + self.chance.below(20 * limits::GRANT_IDLE_NS)),
            _ => {}
        }
        let state = self.port(me, lead.port)?;
        if state.facets.rules.len() >= FACETS {
            return None;
        }
        let parent = (lead.facet != 0).then_some(lead.facet);
        state.facets.rules.make(facet, parent, terms).ok()?;
        state.facets.parents.extend(parent.map(|parent| (facet, parent)));
        state.facets.most.extend(most.map(|most| (facet, most)));
        state.senders.add();
        Some(self.tasks[me].keep(Right::OwnSend(Lead { facet, ..lead })))
    }

    /// Revokes some facet of ours.
    pub(crate) fn revoke_some(&mut self, me: TaskNumber) {
        let leads: BTreeSet<Lead> = self.leads(me).filter(|lead| lead.facet != 0).collect();
        let leads: Vec<Lead> = leads.into_iter().collect();
        if let Some(&lead) = self.chance.pick(&leads) {
            self.end_facet(me, lead, End::Revoked);
        }
    }

    /// What our send rights lead to, wherever they are.
    fn leads(&self, me: TaskNumber) -> impl Iterator<Item = Lead> {
        let task = &self.tasks[me];
        let own = task.rights.values().filter_map(|right| match right {
            Right::OwnSend(lead) => Some(*lead),
            _ => None,
        });
        let exports = task.links.values().flat_map(|link| link.exports.iter());
        let exports = exports.filter(|(_, export)| export.kind == RightKind::Send);
        own.chain(exports.map(|(_, export)| export.port))
    }

    /// Ends a facet and all that was made from it, wherever they are.
    pub(crate) fn end_facet(&mut self, me: TaskNumber, lead: Lead, why: End) {
        let Some(state) = self.port(me, lead.port) else {
            return;
        };
        for facet in state.facets.rules.end(lead.facet, why) {
            self.ended(me, Lead { facet, ..lead });
        }
        for waiting in &mut self.tasks[me].waiting {
            waiting.asleep = false;
        }
        self.serve(me, lead.port);
    }

    fn ended(&mut self, me: TaskNumber, lead: Lead) {
        if let Some(state) = self.port(me, lead.port) {
            let queued = state.queue.iter().filter(|mail| mail.facet == lead.facet);
            let queued = queued.map(|mail| mail.number).collect();
            state.facets.before.insert(lead.facet, queued);
        }
        let task = &mut self.tasks[me];
        let mut gone = task.gives.iter().filter(|(_, given)| given.port == lead).count();
        for right in task.rights.values_mut() {
            if *right == Right::OwnSend(lead) {
                *right = Right::Dead(RightKind::Send);
                gone += 1;
            }
        }
        let slots = task.links.iter().filter_map(|(&peer, link)| {
            let slot = link.exports.slot_of(lead)?;
            (!link.ended).then_some((peer, slot))
        });
        for (peer, slot) in slots.collect::<Vec<_>>() {
            if let Some(state) = self.port(me, lead.port) {
                state.queue.forget((peer, slot));
                state.queue.pulses.leave((peer, slot));
            }
            self.outbound(me, peer).board.set(slot, State::Revoked, 0);
            self.say(me, peer, about(Kind::Look, slot, 0));
            gone += usize::from(!self.is(Fault::RevokedStillCounted));
        }
        for _ in 0..gone {
            self.count_off(me, lead.port);
        }
    }

    /// Ends the facets whose time is over.
    pub(crate) fn expire_facets(&mut self, me: TaskNumber) {
        let now_ns = self.now_ns;
        let over: BTreeSet<Lead> = self
            .leads(me)
            .filter(|lead| {
                let port = self.tasks[me].ports.get(&lead.port).filter(|port| port.alive);
                port.is_some_and(|port| {
                    port.facets.counts(lead.facet)
                        && port.facets.rules.due(lead.facet).is_some_and(|due| due <= now_ns)
                })
            })
            .collect();
        for lead in over {
            self.end_facet(me, lead, End::Expired);
        }
    }

    /// Counts a message that is about to enter. Returns the facet it uses up.
    pub(crate) fn admit(
        &mut self,
        me: TaskNumber,
        lead: Lead,
        id: i32,
    ) -> Result<Option<u32>, Refusal> {
        let (now_ns, uncounted) = (self.now_ns, self.is(Fault::UseUncounted));
        let Some(state) = self.port(me, lead.port).filter(|_| lead.facet != 0) else {
            return Ok(None);
        };
        let facets = &mut state.facets;
        let spent = if uncounted {
            facets.rules.permits(lead.facet, id, now_ns)?;
            None
        } else {
            facets.rules.admit(lead.facet, id, now_ns)?.spent
        };
        let mut next = Some(lead.facet);
        while let Some(facet) = next {
            *facets.entered.entry(facet).or_default() += 1;
            next = facets.parents.get(&facet).copied();
        }
        Ok(spent)
    }

    /// A peer's message may not enter: what it carries ends here.
    pub(crate) fn refuse(
        &mut self,
        me: TaskNumber,
        (peer, slot): (TaskNumber, Slot),
        lead: Lead,
        refusal: Refusal,
        mail: Mail,
    ) -> Result<(), Offence> {
        self.figures.refused += 1;
        match refusal {
            Refusal::Ended(why) => self.end_facet(me, lead, why),
            Refusal::Id(_) if mail.left.is_some() => {
                self.say(me, peer, about(Kind::Taken, slot, 0));
            }
            Refusal::Id(_) => {
                let mut arrived = Ok(());
                if let Some(state) = self.port(me, lead.port) {
                    arrived = state.queue.window.hand_back((peer, slot), 1, false);
                }
                self.serve(me, lead.port);
                if arrived.is_err() {
                    self.excuse(me, mail);
                    return arrived;
                }
            }
        }
        if self.is(Fault::RevokedEnters)
            && let Some(state) = self.port(me, lead.port)
        {
            state.queue.enter_beyond(Mail { facet: lead.facet, ..mail });
            self.note_ready(me, lead.port);
            return Ok(());
        }
        self.excuse(me, mail);
        Ok(())
    }
}
