//! Where each right is, counted over all spaces, lanes and gives; and how a
//! world that is left alone must end.

use abi::right::Kind;
use abi::{Slot, Ticket};
use rights::give::GiveName;

use crate::search::World as _;
use crate::transfer::{Carried, Frame, Joining, Lead, OWNER, Operation, World, id, index};

fn equal(what: &str, is: u64, should: u64) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is}, and should be {should}")) }
}

impl World {
    /// Each right is in exactly one place.
    pub(crate) fn take_census(&self) -> Result<(), String> {
        if self.answered + self.told > 1 {
            return Err(format!(
                "one promise, {} answers and {} notifications",
                self.answered, self.told
            ));
        }
        for peer in 1..self.tasks {
            if !self.has_mourned(OWNER, peer) && !self.has_mourned(peer, OWNER) {
                self.count_sends(peer)?;
                self.count_promises(peer)?;
            }
        }
        if !self.alive[OWNER] {
            return Ok(());
        }
        self.count_gives()?;
        if !self.port_lives {
            return Ok(());
        }
        let ungiven = |peer: usize| {
            let exports = self.exports[peer].iter();
            exports.filter(|(_, export)| export.kind == Kind::SendOnce && !export.given).count()
                as u64
        };
        let given = |kind: Kind| self.gives.iter().filter(|(_, given)| given.kind == kind).count();
        let promise = self.own_once
            + (1..self.tasks).map(ungiven).sum::<u64>()
            + given(Kind::SendOnce) as u64
            + self.answered
            + self.told;
        equal("places of the promise", promise, 1)?;
        let peers = (1..self.tasks)
            .filter(|&peer| self.exports[peer].slot_of(Lead::Port).is_some())
            .count();
        let senders = self.own_send + (peers + given(Kind::Send)) as u64;
        equal("senders counted", self.senders.count(), senders)?;
        if self.no_senders == 0 && senders == 0 {
            return Err("nobody can send and nobody was told".to_owned());
        }
        Ok(())
    }

    /// What the owner counts for a peer is what the peer has, and what is on
    /// the wire either way.
    fn count_sends(&self, peer: usize) -> Result<(), String> {
        let slot = self.exports[peer].slot_of(Lead::Port);
        let granted = slot
            .and_then(|slot| self.exports[peer].get(slot).ok())
            .map_or(0, |export| export.count);
        let holder = &self.holders[peer];
        let mut there = holder.import.map_or(0, |(_, import)| import.count);
        if (there > 0) != (holder.rights > 0) {
            return Err(format!("task {peer} has {} rights of {there}", holder.rights));
        }
        if there > 0 && holder.import.map(|(known, _)| known) != slot {
            return Err(format!("task {peer} names a slot that is not its own"));
        }
        for frame in self.lane(OWNER, peer) {
            there += u64::from(matches!(
                frame,
                Frame::Message(Carried::Mine(Kind::Send, _)) | Frame::Joined(Kind::Send, ..)
            ));
        }
        for frame in self.lane(peer, OWNER) {
            if let Frame::Release(of, count) = frame
                && Some(*of) == slot
            {
                there += count;
            }
        }
        equal(&format!("send rights of task {peer}"), granted, there)
    }

    /// Each promise the owner counts for a peer is in one place.
    fn count_promises(&self, peer: usize) -> Result<(), String> {
        let mut known = 0;
        for (slot, export) in self.exports[peer].iter() {
            if export.kind != Kind::SendOnce {
                continue;
            }
            known += 1;
            let place = self.places_of(peer, slot);
            let last = self.lane(peer, OWNER).iter().rev().find(|frame| {
                matches!(frame, Frame::Release(of, _) | Frame::TakeBack(of, ..) if *of == slot)
            });
            // A right given away waits for its release, or for the news that
            // it was not given away after all. Its giver may have died before
            // it could say either.
            let on_its_way = u64::from(last.is_some() || !self.alive[peer]);
            if place > 1 || place + on_its_way == 0 {
                return Err(format!("the promise of task {peer} is in {place} places"));
            }
        }
        if known == 0 && self.holders[peer].once.is_some() {
            return Err(format!("task {peer} has a promise that was never given"));
        }
        Ok(())
    }

    fn places_of(&self, peer: usize, slot: Slot) -> u64 {
        let coming = self.lane(OWNER, peer).iter().filter(|frame| {
            matches!(
                frame,
                Frame::Message(Carried::Mine(Kind::SendOnce, of))
                    | Frame::Joined(Kind::SendOnce, of, ..) if *of == slot
            )
        });
        let going = self.lane(peer, OWNER).iter().filter(|frame| {
            matches!(
                frame,
                Frame::Use(of) | Frame::Dropped(of)
                    | Frame::Message(Carried::Yours(Kind::SendOnce, of)) if *of == slot
            )
        });
        let held = self.holders[peer].once == Some(slot);
        (coming.count() + going.count()) as u64 + u64::from(held)
    }

    /// Each give is named by one message, one claim, or nobody any more.
    fn count_gives(&self) -> Result<(), String> {
        let given = self.gives.iter().map(|(name, given)| (name, given.kind));
        let onward = self.claims.onward().map(|(next, _)| next);
        let onward = onward.filter_map(|next| self.kind_of_onward(next).map(|kind| (next, kind)));
        for (name, kind) in given.chain(onward) {
            let (giver, to) = (index(name.giver), index(name.to));
            if !self.alive[giver] || !self.alive[to] {
                continue;
            }
            let called_back = self.lane(giver, OWNER).iter().any(|frame| match frame {
                Frame::TakeBack(_, of, ticket) => *of == to && *ticket == name.ticket,
                _ => false,
            });
            let named = self.named(giver, to, kind, name.ticket);
            if named + u64::from(called_back) != 1 {
                return Err(format!("a give of task {giver} to task {to} is named {named} times"));
            }
        }
        for to in 1..self.tasks {
            for &Joining { giver, kind, ticket, .. } in &self.holders[to].joining {
                if self.alive[to] && !self.has_mourned(to, OWNER) {
                    let named = self.named(giver, to, kind, ticket);
                    equal(&format!("places of a joining right of task {to}"), named, 1)?;
                }
            }
        }
        Ok(())
    }

    /// What waits for the answer to a claim is of the kind that was claimed.
    fn kind_of_onward(&self, next: GiveName) -> Option<Kind> {
        let claim = self.claims.waits_for(next)?;
        let joining = self.holders[index(claim.to)].joining.iter();
        let asked = |one: &&Joining| id(one.giver) == claim.giver && one.ticket == claim.ticket;
        joining.copied().find(|one| asked(&one)).map(|one| one.kind)
    }

    fn named(&self, giver: usize, to: usize, kind: Kind, ticket: Ticket) -> u64 {
        let third = Frame::Message(Carried::Third(kind, ticket));
        let coming = self.lane(giver, to).iter().filter(|frame| **frame == third);
        let joining = self.holders[to].joining.iter();
        coming.count() as u64
            + joining.filter(|one| one.giver == giver && one.ticket == ticket).count() as u64
    }

    /// Everything is read, every death is known, every right is let go. Then
    /// nothing is left, and every promise was kept or broken aloud.
    pub(crate) fn run_out(mut self) -> Result<(), String> {
        loop {
            let choices = self.choices();
            let next = choices.iter().copied().find(|choice| {
                matches!(
                    choice,
                    Operation::Deliver { .. } | Operation::Notice { .. } | Operation::Expire
                )
            });
            let next = next.or_else(|| {
                choices
                    .iter()
                    .copied()
                    .find(|choice| matches!(choice, Operation::Drop { .. } | Operation::DropOwn(_)))
            });
            match next {
                Some(operation) => self.apply(operation)?,
                None => break,
            }
            self.take_census()?;
        }
        if !self.alive[OWNER] {
            let left = (1..self.tasks).find(|&task| {
                let holder = &self.holders[task];
                self.alive[task] && (holder.rights > 0 || !holder.joining.is_empty())
            });
            return left.map_or(Ok(()), |task| Err(format!("task {task} waits for a dead owner")));
        }
        let exported = (1..self.tasks).map(|task| self.exports[task].len() as u64);
        equal("exports left", exported.sum(), 0)?;
        equal("gives left", self.gives.len() as u64, 0)?;
        equal("claims left", self.parked.len() as u64, 0)?;
        equal("given on and forgotten", self.claims.onward().count() as u64, 0)?;
        if self.port_lives {
            equal("senders left", self.senders.count(), 0)?;
            equal("told of no senders", self.no_senders, 1)?;
            equal("ends of the promise", self.answered + self.told, 1)?;
        }
        Ok(())
    }
}
