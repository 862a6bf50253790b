//! Claims, their answers, and what is given on before these.

use abi::Ticket;
use abi::right::Kind;

use crate::transfer::{Fault, Frame, OWNER, World, index};

impl World {
    /// Behind its claim, in the owner's lane. A right that is moved is not wanted any
    /// more when the answer comes.
    pub(crate) fn gives_on(
        &mut self,
        from: usize,
        to: usize,
        kind: Kind,
        moved: bool,
    ) -> Result<Ticket, String> {
        let holder = &mut self.holders[from];
        let waiting = holder.joining.iter_mut().find(|one| one.kind == kind && one.wanted);
        let joining = waiting.ok_or("there is nothing to give on")?;
        joining.wanted = !moved;
        let claim = (joining.giver, joining.ticket);
        holder.tickets += 1;
        let ticket = Ticket(holder.tickets);
        if !holder.gave_to.contains(&to) {
            holder.gave_to.push(to);
        }
        self.publish(from, OWNER, Frame::GiveOn(kind, claim, to, ticket));
        Ok(ticket)
    }

    /// Nobody lies here: what was given is there, if it was claimed in time.
    pub(crate) fn refuse(
        &mut self,
        from: usize,
        giver: usize,
        ticket: Ticket,
    ) -> Result<(), String> {
        if self.alive[from] && !self.expired {
            return Err(format!("task {from} is refused what task {giver} gave it"));
        }
        let _ = self.claims.answer(self.name(giver, from, ticket), None);
        self.publish(OWNER, from, Frame::Refused(giver, ticket));
        Ok(())
    }

    pub(crate) fn join(
        &mut self,
        from: usize,
        giver: usize,
        ticket: Ticket,
    ) -> Result<bool, String> {
        let name = self.name(giver, from, ticket);
        let Some(given) = self.gives.take(name) else {
            return Ok(false);
        };
        let slot = self.export(from, given.kind)?;
        self.exports[from].published(slot);
        for (next, kind) in self.claims.answer(name, Some((given.kind, slot))) {
            self.given(from, kind, slot, (index(next.to), next.ticket))?;
        }
        if given.kind == Kind::Send {
            self.ends(Kind::Send);
        }
        self.publish(OWNER, from, Frame::Joined(given.kind, slot, giver, ticket));
        Ok(true)
    }

    /// Answers what can be answered, until nothing more can.
    pub(crate) fn answer_parked(&mut self) -> Result<(), String> {
        loop {
            let waiting = std::mem::take(&mut self.parked);
            let before = waiting.len();
            for claim in waiting {
                let (from, giver, ticket, shown) = claim;
                if self.join(from, giver, ticket)? {
                    continue;
                }
                let chained = self.claims.waits_for(self.name(giver, from, ticket)).is_some()
                    && self.fault != Some(Fault::ChainRefused);
                if self.read[giver * self.tasks + OWNER] >= shown && !chained {
                    self.refuse(from, giver, ticket)?;
                } else {
                    self.parked.push(claim);
                }
            }
            if self.parked.len() == before {
                return Ok(());
            }
        }
    }

    /// Reads on until the claims of a dead task are answered: in its giver's lane, or
    /// in that of who gave it to the giver.
    pub(crate) fn press(&mut self, dead: usize) -> Result<(), String> {
        while let Some(&claim) = self.parked.iter().find(|(from, ..)| *from == dead) {
            let (mut from, mut giver, mut ticket, _) = claim;
            while let Some(first) = self.claims.waits_for(self.name(giver, from, ticket)) {
                (from, giver, ticket) = (index(first.to), index(first.giver), first.ticket);
            }
            if self.lane(giver, OWNER).is_empty() {
                return Err(format!("the claim of dead task {dead} cannot be answered"));
            }
            self.deliver(giver, OWNER)?;
        }
        Ok(())
    }
}
