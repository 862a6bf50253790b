//! Restricted bootstrap rights: making them, and what is asked on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pillarbox::bootstrap::{Listed, Refused, Request};
use pillarbox::{
    Capacity, ReceiveRight, SendFailure, SendOnceRight, SendRight, TaskId, Terms, check_name,
};

use super::Keeper;
use crate::audit::Attempt;
use crate::authority::{Caller, Ground, Verdict, may_look_up};
use crate::limits::{NAMES_PER_SUBSET, SUBSET_REQUESTS};
use crate::program::ProgramId;
use crate::step::{self, Step};
use crate::subsets::{By, Listing, View};

/// What a restricted right brings to a request.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// It is granted already, by who made the right.
    granted: Option<Ground>,
    /// The right that is found, where it was narrowed.
    pub(super) right: Option<SendRight>,
}

impl Pass {
    /// What is decided, where the rules would say this.
    pub(super) fn or(&self, rules: impl FnOnce() -> Verdict) -> Verdict {
        self.granted.clone().map_or_else(rules, Ok)
    }
}

impl Listing {
    /// What it brings to a request about it.
    pub(super) fn pass(&self, by: By) -> Pass {
        let granted = match by {
            By::Maker(pid) => Some(Ground::Listed(pid)),
            By::Rules => None,
        };
        Pass { granted, right: self.right.clone() }
    }
}

impl Keeper {
    /// Has a request be about the name that is meant, where it came on a restricted right.
    pub(super) fn pass(&mut self, request: &mut Request, caller: &Caller) -> Result<Pass, Refused> {
        let Some(view) = &caller.view else { return Ok(Pass::default()) };
        let (attempt, name) = match request {
            Request::LookUp { name, .. } => (Attempt::LookUp, name),
            Request::Watch { name, .. } => (Attempt::Watch, name),
            Request::CheckIn { name } => (Attempt::CheckIn, name),
            Request::Register { name } => (Attempt::Register, name),
            Request::Unregister { name } => (Attempt::Unregister, name),
            Request::Attend { name } => (Attempt::Attend, name),
            _ => return Ok(Pass::default()),
        };
        let looks = matches!(attempt, Attempt::LookUp | Attempt::Watch);
        let refused = match view.names.get(name) {
            None => Ground::NotListed,
            Some(listing) if !looks && !listing.provides => Ground::Restricted,
            Some(listing) => {
                name.clone_from(&listing.name);
                return Ok(listing.pass(view.by));
            }
        };
        let refusal = refused.refusal();
        self.audit.note(caller, attempt, name, &Err(refused));
        Err(refusal)
    }

    /// Makes a restricted right, for who may look up all that it lists.
    pub(super) fn subset(
        &mut self,
        listed: &[Listed],
        caller: &Caller,
        reply: Option<SendOnceRight>,
    ) {
        let Some(reply) = reply else { return };
        match self.make_subset(listed, caller) {
            Ok(right) => self.send_right(Some(reply), right),
            Err(reason) => self.answers.refuse(Some(reply), reason),
        }
    }

    fn make_subset(&mut self, listed: &[Listed], caller: &Caller) -> Result<SendRight, Refused> {
        if listed.len() > NAMES_PER_SUBSET || !self.subsets.has_room(caller.who.task) {
            return Err(Refused::NoRoom);
        }
        let mut names = BTreeMap::new();
        for one in listed {
            for text in [&one.name, &one.alias] {
                check_name(text.as_bytes()).map_err(|_| Refused::BadName)?;
            }
            let outcome = self.listing(one, caller);
            let verdict = outcome.as_ref().map(|(ground, _)| ground.clone()).map_err(Ground::clone);
            self.audit.note(caller, Attempt::Subset, &one.name, &verdict);
            let (_, listing) = outcome.map_err(|ground| ground.refusal())?;
            if names.insert(one.alias.clone(), listing).is_some() {
                return Err(Refused::BadRequest);
            }
        }
        let view = View { by: By::Maker(caller.who.pid), names };
        self.open(view, Some(caller)).map_err(|_| Refused::NoRoom)
    }

    /// What is listed, if the caller may list it so.
    fn listing(&mut self, one: &Listed, caller: &Caller) -> Result<(Ground, Listing), Ground> {
        let (name, pass) = match &caller.view {
            None => (one.name.clone(), Pass::default()),
            Some(view) => match view.names.get(&one.name) {
                Some(listing) => (listing.name.clone(), listing.pass(view.by)),
                None => return Err(Ground::NotListed),
            },
        };
        let known = self.names.get(&name);
        let guard = known.and_then(|known| known.guard.as_deref());
        let ground = pass.or(|| may_look_up(guard, &name, caller))?;
        let (mut right, mut revoker) = (pass.right, None);
        if one.ids.is_some() || one.messages.is_some() {
            let queue = known.and_then(|known| self.queues.right(known.queue?));
            let held = known.and_then(|known| Some(&known.holder.as_ref()?.right));
            let whole = right.as_ref().or(queue).or(held).ok_or(Ground::NotNarrowed)?;
            let mut terms = Terms::new();
            if let Some((first, last)) = one.ids {
                terms = terms.ids(first..=last);
            }
            if let Some(messages) = one.messages {
                terms = terms.messages(messages);
            }
            // Of another task's port it fails.
            let (narrowed, ends) = whole.make_revocable(&terms).map_err(|_| Ground::NotNarrowed)?;
            (right, revoker) = (Some(narrowed), Some(Arc::new(ends)));
        }
        Ok((ground, Listing { name, right, revoker, provides: false }))
    }

    /// Opens a port that leads to this, for as long as anybody holds a right to it.
    fn open(&mut self, view: View, maker: Option<&Caller>) -> Result<SendRight, SendFailure> {
        let port = self.task.port(Capacity::Bounded(SUBSET_REQUESTS));
        let right = port.make_send()?;
        self.keep_open(port, view, maker.map(|maker| maker.who.task))?;
        Ok(right)
    }

    /// Has a port lead to this.
    pub(super) fn keep_open(
        &mut self,
        port: ReceiveRight,
        view: View,
        maker: Option<TaskId>,
    ) -> Result<(), SendFailure> {
        let (news, _) = self.port.make_news(port.id())?;
        port.notify_no_senders(news)?;
        let member = self.set.add(&port).map_err(|_| SendFailure::Forked)?;
        self.subsets.add(port, member, view, maker);
        Ok(())
    }

    /// Nobody can send to the port of a restricted right any more. What was sent before
    /// is still answered.
    pub(super) fn subset_is_over(&mut self, port: u64) {
        while let Some(rest) = self.subsets.port(port)
            && let Ok(message) = rest.receive(pillarbox::Deadline::Now)
        {
            self.take_request(port, message);
        }
        step::before(Step::Forget);
        self.subsets.remove(port);
    }

    /// The bootstrap right of a program's child: where its file says so, a restricted one.
    pub(super) fn right_of(&mut self, id: ProgramId) -> Option<SendRight> {
        let program = self.programs.get(id.0)?;
        let Some(only) = &program.only else { return Some(self.right.clone()) };
        if let Some(right) = &program.restricted {
            return Some(right.clone());
        }
        let listed = only.iter().map(|listed| {
            let name = listed.name.clone();
            (listed.alias.clone(), Listing { name, right: None, revoker: None, provides: false })
        });
        let own = program.names.iter().map(|name| {
            let name = name.clone();
            (name.clone(), Listing { name, right: None, revoker: None, provides: true })
        });
        let view = View { by: By::Rules, names: listed.chain(own).collect() };
        let right = self.open(view, None).ok()?;
        self.programs.get_mut(id.0)?.restricted = Some(right.clone());
        Some(right)
    }
}
