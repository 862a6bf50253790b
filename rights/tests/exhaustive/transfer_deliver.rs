//! What each operation does, by the rules.

use abi::right::Kind;
use abi::{Offence, Slot, Ticket};
use rights::claim::GivenOn;
use rights::export::{Exported, Released};
use rights::give::{GiveName, Given};
use rights::import::Import;

use crate::search;
use crate::transfer::{Carried, Fault, Frame, Joining, OWNER, Operation, World, id, index, lead};

fn offence(offence: Offence) -> String {
    format!("an honest task is blamed: {offence}")
}

impl search::World for World {
    type Operation = Operation;

    fn possible(&self) -> Vec<Operation> {
        self.choices()
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Send { to, kind, moved } => {
                let _ = self.link(to);
                let slot = self.export(to, kind)?;
                self.publish(OWNER, to, Frame::Message(Carried::Mine(kind, slot)));
                self.exports[to].published(slot);
                match kind {
                    Kind::SendOnce => self.own_once -= 1,
                    Kind::Send if moved => {
                        self.own_send -= 1;
                        self.ends(Kind::Send);
                    }
                    Kind::Send => {}
                }
            }
            Operation::SendFails { to, kind } => {
                let _ = self.link(to);
                let slot = self.export(to, kind)?;
                // Whoever guesses the slot meanwhile was given nothing: not more
                // can be let go of than was sent.
                let all = self.exports[to].iter().find(|(of, _)| *of == slot);
                let count = all.map_or(0, |(_, export)| export.count);
                if self.exports[to].clone().release(slot, count).is_ok() {
                    return Err(format!("a right for {to} can be let go of before it is sent"));
                }
                match self.exports[to].withdraw(slot).map_err(offence)? {
                    Released::Last(export) if export.kind == Kind::Send => self.ends(Kind::Send),
                    Released::Last(_) | Released::Held => {}
                }
            }
            Operation::Make => {
                self.own_send += 1;
                self.senders.add();
            }
            Operation::DropOwn(Kind::Send) => {
                self.own_send -= 1;
                self.ends(Kind::Send);
            }
            Operation::DropOwn(Kind::SendOnce) => {
                self.own_once -= 1;
                self.ends(Kind::SendOnce);
            }
            Operation::UseOwn => {
                self.own_once -= 1;
                self.answer();
            }
            Operation::PortDies => self.port_lives = false,
            Operation::Home { from, kind, moved } => {
                let slot = self.slot(from, kind)?;
                self.publish(from, OWNER, Frame::Message(Carried::Yours(kind, slot)));
                self.moved(from, kind, moved, false);
            }
            Operation::Give { from, to, kind, moved } => self.give(from, to, kind, moved)?,
            Operation::GiveFails { from, to, kind } => {
                let (slot, ticket) = self.give_begins(from, to, kind)?;
                self.publish(from, OWNER, Frame::TakeBack(slot, to, ticket));
            }
            Operation::GiveCut { from, to, kind } => {
                let _ = self.give_begins(from, to, kind)?;
                self.alive[from] = false;
            }
            Operation::GiveOn { from, to, kind, moved } => {
                let ticket = self.gives_on(from, to, kind, moved)?;
                self.publish(from, to, Frame::Message(Carried::Third(kind, ticket)));
            }
            Operation::GiveOnFails { from, to, kind } => {
                let ticket = self.gives_on(from, to, kind, false)?;
                let nowhere = Slot { index: 0, generation: 0 };
                self.publish(from, OWNER, Frame::TakeBack(nowhere, to, ticket));
            }
            Operation::GiveOnCut { from, to, kind } => {
                let _ = self.gives_on(from, to, kind, true)?;
                self.alive[from] = false;
            }
            Operation::Drop { at, kind } => self.lets_go(at, kind)?,
            Operation::Use { at } => {
                let slot = self.slot(at, Kind::SendOnce)?;
                self.holders[at].once = None;
                self.publish(at, OWNER, Frame::Use(slot));
            }
            Operation::Deliver { from, to } => self.deliver(from, to)?,
            Operation::Dies(task) => self.alive[task] = false,
            Operation::Notice { who, of } => self.notice(who, of)?,
            Operation::Expire => self.expire(),
        }
        Ok(())
    }

    fn census(&self) -> Result<(), String> {
        self.take_census()
    }

    fn settle(self) -> Result<(), String> {
        self.run_out()
    }

    fn fingerprint(&self) -> Option<u128> {
        Some(self.print())
    }
}

impl World {
    fn slot(&self, task: usize, kind: Kind) -> Result<Slot, String> {
        let holder = &self.holders[task];
        match kind {
            Kind::Send => holder.import.map(|(slot, _)| slot),
            Kind::SendOnce => holder.once,
        }
        .ok_or_else(|| format!("task {task} has no {kind:?} right to name"))
    }

    pub(crate) fn export(&mut self, to: usize, kind: Kind) -> Result<Slot, String> {
        let exports = &mut self.exports[to];
        let full = |_| "the table is full".to_owned();
        match kind {
            Kind::Send => {
                let Exported { slot, first } = exports.send(lead(kind)).map_err(full)?;
                if first && self.port_lives {
                    self.senders.add();
                }
                Ok(slot)
            }
            Kind::SendOnce => exports.send_once(lead(kind)).map_err(full),
        }
    }

    fn answer(&mut self) {
        if self.port_lives {
            self.answered += 1;
        }
    }

    /// After the message: a moved right leaves its holder.
    fn moved(&mut self, from: usize, kind: Kind, moved: bool, given: bool) {
        match kind {
            Kind::Send if moved => self.drop_send(from),
            Kind::Send => {}
            Kind::SendOnce => {
                if let Some(slot) = self.holders[from].once.take()
                    && given
                {
                    self.publish(from, OWNER, Frame::Release(slot, 1));
                }
            }
        }
    }

    fn drop_send(&mut self, from: usize) {
        let fault = self.fault;
        let holder = &mut self.holders[from];
        holder.rights -= 1;
        if holder.rights > 0 {
            return;
        }
        if let Some((slot, import)) = &mut holder.import {
            let slot = *slot;
            let mut count = import.let_go();
            if fault == Some(Fault::ReleaseOne) {
                count = 1;
            }
            self.publish(from, OWNER, Frame::Release(slot, count));
        }
    }

    fn give_begins(
        &mut self,
        from: usize,
        to: usize,
        kind: Kind,
    ) -> Result<(Slot, Ticket), String> {
        let slot = self.slot(from, kind)?;
        let holder = &mut self.holders[from];
        holder.tickets += 1;
        let ticket = Ticket(holder.tickets);
        if !holder.gave_to.contains(&to) {
            holder.gave_to.push(to);
        }
        self.publish(from, OWNER, Frame::Give(kind, slot, to, ticket));
        Ok((slot, ticket))
    }

    fn give(&mut self, from: usize, to: usize, kind: Kind, moved: bool) -> Result<(), String> {
        if self.fault == Some(Fault::ReleaseBeforeGive) && kind == Kind::Send && moved {
            let slot = self.slot(from, kind)?;
            self.moved(from, kind, moved, true);
            let ticket = Ticket(99);
            self.publish(from, OWNER, Frame::Give(kind, slot, to, ticket));
            self.publish(from, to, Frame::Message(Carried::Third(kind, ticket)));
            return Ok(());
        }
        let (_, ticket) = self.give_begins(from, to, kind)?;
        self.publish(from, to, Frame::Message(Carried::Third(kind, ticket)));
        self.moved(from, kind, moved, true);
        Ok(())
    }

    fn lets_go(&mut self, at: usize, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::Send => self.drop_send(at),
            Kind::SendOnce => {
                let slot = self.slot(at, kind)?;
                self.holders[at].once = None;
                self.publish(at, OWNER, Frame::Dropped(slot));
            }
        }
        Ok(())
    }

    pub(crate) fn deliver(&mut self, from: usize, to: usize) -> Result<(), String> {
        let lane = from * self.tasks + to;
        let Some(frame) = self.lanes[lane].pop_front() else {
            return Ok(());
        };
        self.read[lane] += 1;
        if to == OWNER {
            self.owner_reads(from, frame)?;
            self.answer_parked()
        } else {
            self.holder_reads(to, from, frame)
        }
    }

    fn owner_reads(&mut self, from: usize, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::Message(Carried::Yours(Kind::Send, slot)) => {
                self.exports[from].get(slot).map_err(offence)?;
                if self.port_lives {
                    self.own_send += 1;
                    self.senders.add();
                }
            }
            Frame::Message(Carried::Yours(Kind::SendOnce, slot)) => {
                self.exports[from].consume(slot).map_err(offence)?;
                self.own_once += 1;
            }
            Frame::Use(slot) => {
                self.exports[from].consume(slot).map_err(offence)?;
                self.answer();
            }
            Frame::Dropped(slot) => {
                self.exports[from].consume(slot).map_err(offence)?;
                self.ends(Kind::SendOnce);
            }
            Frame::Release(slot, count) => self.released(from, slot, count)?,
            Frame::Give(kind, slot, to, ticket) => self.given(from, kind, slot, (to, ticket))?,
            Frame::GiveOn(kind, (giver, ticket), to, next) => {
                let claim = self.name(giver, from, ticket);
                let next = self.name(from, to, next);
                match self.claims.give_on(claim, next, kind).map_err(offence)? {
                    GivenOn::Now(slot) => self.given(from, kind, slot, (to, next.ticket))?,
                    GivenOn::Later | GivenOn::Nothing => {}
                }
            }
            Frame::TakeBack(_, to, ticket) => {
                let name = self.name(from, to, ticket);
                if !self.claims.take_back(name)
                    && let Some(given) = self.gives.take(name)
                {
                    match given.kind {
                        Kind::Send => self.ends(Kind::Send),
                        Kind::SendOnce => {
                            self.exports[from].take_back(given.slot).map_err(offence)?;
                        }
                    }
                }
            }
            // Whose lane we read, we bury when it is read.
            Frame::TakeBackEvery(to)
                if self.linked[to]
                    && !self.has_mourned(OWNER, to)
                    && self.fault != Some(Fault::CalledBackTooEarly) => {}
            Frame::TakeBackEvery(to) => {
                self.claims.come_back(id(to), id(from));
                for (name, given) in self.gives.come_back(id(to), Some(id(from))) {
                    self.comes_back(name, given)?;
                }
            }
            Frame::Claim(giver, ticket) => {
                self.claims.claimed(self.name(giver, from, ticket)).map_err(offence)?;
                if !self.join(from, giver, ticket)? {
                    let lane = giver * self.tasks + OWNER;
                    let shown = self.read[lane] + self.lanes[lane].len() as u64;
                    if self.fault == Some(Fault::RefusedTooEarly) {
                        self.refuse(from, giver, ticket)?;
                    } else {
                        self.parked.push((from, giver, ticket, shown));
                        self.answer_parked()?;
                    }
                }
            }
            Frame::Message(_) | Frame::Joined(..) | Frame::Refused(..) => {
                return Err(format!("the owner was sent {frame:?}"));
            }
        }
        Ok(())
    }

    /// A peer gives out of its slot.
    pub(crate) fn given(
        &mut self,
        from: usize,
        kind: Kind,
        slot: Slot,
        (to, ticket): (usize, Ticket),
    ) -> Result<(), String> {
        let export = self.exports[from].give(slot).map_err(offence)?;
        let given = Given { port: export.port, kind, slot };
        let name = self.name(from, to, ticket);
        self.gives.give(name, given).map_err(offence)?;
        if kind == Kind::Send && self.port_lives {
            self.senders.add();
        }
        if self.has_mourned(OWNER, to)
            && let Some(given) = self.gives.take(name)
        {
            self.comes_back(name, given)?;
        }
        Ok(())
    }

    pub(crate) fn name(&self, giver: usize, to: usize, ticket: Ticket) -> GiveName {
        GiveName { giver: id(giver), to: id(to), ticket }
    }

    fn released(&mut self, from: usize, slot: Slot, count: u64) -> Result<(), String> {
        match self.exports[from].release(slot, count).map_err(offence)? {
            Released::Last(export) if !export.given => self.ends(export.kind),
            Released::Last(_) | Released::Held => {}
        }
        Ok(())
    }

    /// A give that nobody will claim.
    fn comes_back(
        &mut self,
        name: GiveName,
        given: Given<crate::transfer::Lead>,
    ) -> Result<(), String> {
        let exports = &mut self.exports[index(name.giver)];
        let giver_has_it = exports.get(given.slot).is_ok_and(|export| export.given);
        if giver_has_it && self.fault != Some(Fault::EndsTheGiversRight) {
            exports.take_back(given.slot).map_err(offence)
        } else {
            self.ends(given.kind);
            Ok(())
        }
    }

    fn holder_reads(&mut self, to: usize, from: usize, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::Message(Carried::Mine(kind, slot)) => self.learn(to, kind, slot),
            Frame::Message(Carried::Third(kind, ticket)) => {
                if self.link(to) && !self.has_mourned(to, OWNER) {
                    let joining = Joining { giver: from, kind, ticket, wanted: true };
                    self.holders[to].joining.push(joining);
                    self.publish(to, OWNER, Frame::Claim(from, ticket));
                }
                Ok(())
            }
            Frame::Joined(kind, slot, giver, ticket) => {
                let wanted = self.joins(to, giver, ticket)?;
                self.learn(to, kind, slot)?;
                if wanted {
                    return Ok(());
                }
                match kind {
                    Kind::SendOnce if self.fault != Some(Fault::GivenOnDropped) => {
                        self.moved(to, kind, true, true);
                        Ok(())
                    }
                    _ => self.lets_go(to, kind),
                }
            }
            Frame::Refused(giver, ticket) => self.joins(to, giver, ticket).map(drop),
            other => Err(format!("task {to} was sent {other:?}")),
        }
    }

    fn joins(&mut self, at: usize, giver: usize, ticket: Ticket) -> Result<bool, String> {
        let joining = &mut self.holders[at].joining;
        let asked = |one: &Joining| one.giver == giver && one.ticket == ticket;
        let place = joining.iter().position(asked).ok_or("an answer nobody asked for")?;
        Ok(joining.remove(place).wanted)
    }

    fn learn(&mut self, at: usize, kind: Kind, slot: Slot) -> Result<(), String> {
        let holder = &mut self.holders[at];
        if kind == Kind::SendOnce {
            if holder.once.replace(slot).is_some() {
                return Err(format!("task {at} has the one promise twice"));
            }
            return Ok(());
        }
        match &mut holder.import {
            Some((known, import)) if *known == slot => import.learn(),
            Some((known, import)) if import.count > 0 => {
                return Err(format!("{known} is held and {slot} comes for the same port"));
            }
            stale => {
                let mut import = Import::default();
                import.learn();
                *stale = Some((slot, import));
            }
        }
        holder.rights += 1;
        Ok(())
    }

    fn notice(&mut self, who: usize, of: usize) -> Result<(), String> {
        while !self.lane(of, who).is_empty() {
            self.deliver(of, who)?;
        }
        if who == OWNER && self.fault != Some(Fault::ChainCut) {
            self.press(of)?;
        }
        self.mourned[who * self.tasks + of] = true;
        if who == OWNER {
            self.answer_parked()?;
            self.parked.retain(|&(from, ..)| from != of);
            self.claims.task_died(id(of));
            for (name, given) in self.gives.come_back(id(of), None) {
                self.comes_back(name, given)?;
            }
            for given in self.gives.task_died(id(of), self.now_ns) {
                self.ends(given.kind);
            }
            let gone = std::mem::take(&mut self.exports[of]);
            for (_, export) in gone.iter().filter(|(_, export)| !export.given) {
                self.ends(export.kind);
            }
        } else if of == OWNER {
            let holder = &mut self.holders[who];
            holder.import = None;
            holder.rights = 0;
            holder.once = None;
            holder.joining.clear();
        } else if self.holders[who].gave_to.contains(&of) && self.fault != Some(Fault::DeathUntold)
        {
            self.publish(who, OWNER, Frame::TakeBackEvery(of));
        }
        Ok(())
    }
}
