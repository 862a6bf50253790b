//! Rights in a message that came: each becomes a right of ours, or the
//! message is its sender's offence.

use abi::frame::Attached;
use abi::right::{Kind, RightRef};
use abi::{Offence, Slot, Ticket, limits};
use rights::import::Import;
use rights::moving::Arrival;

use crate::task::{Imported, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    /// Takes all rights of a message, or none.
    pub(crate) fn accept(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        attached: &Attached,
    ) -> Result<Vec<RightNumber>, Offence> {
        let mut accepted = Vec::new();
        for reference in attached.reply.iter().chain(&attached.accepted).chain(&attached.rights) {
            match self.accept_one(me, peer, *reference) {
                Ok(right) => {
                    accepted.push(right);
                    // It may have come home to a port that our own have followed.
                    self.own_joined(me);
                }
                Err(offence) => {
                    for right in accepted {
                        self.let_go(me, right);
                    }
                    return Err(offence);
                }
            }
        }
        Ok(accepted)
    }

    fn accept_one(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        reference: RightRef,
    ) -> Result<RightNumber, Offence> {
        let right = match reference {
            RightRef::Dead(kind) => Right::Dead(kind),
            RightRef::Receive(ticket) => match self.adopt(me, peer, ticket)? {
                Right::Receive(port) => {
                    let known = self.port(me, port).map(|state| state.receive);
                    return known.ok_or(Offence::BodyMalformed);
                }
                ended => ended,
            },
            RightRef::Mine(kind, slot) => self.learn(me, peer, kind, slot)?,
            RightRef::Yours(Kind::Send, slot) => {
                let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
                let export = *link.exports.get(slot)?;
                if export.kind != Kind::Send {
                    return Err(Offence::RightKind);
                }
                let went = self.relays(me, export.port.port);
                match self.port(me, export.port.port) {
                    // Where it went, our own rights go.
                    None if went => Right::OwnSend(export.port),
                    Some(port) if port.facets.counts(export.port.facet) => {
                        port.senders.add();
                        Right::OwnSend(export.port)
                    }
                    _ => Right::Dead(Kind::Send),
                }
            }
            RightRef::Yours(Kind::SendOnce, slot) => match self.consume(me, peer, slot)? {
                Some(lead) if lead.is_call() || self.relays(me, lead.port) => Right::OwnOnce(lead),
                Some(_) | None => Right::Dead(Kind::SendOnce),
            },
            RightRef::Third { kind, owner, ticket, .. } => {
                if owner == World::id(me) || owner == World::id(peer) {
                    return Err(Offence::WrongTask);
                }
                return match self.find(owner) {
                    Some(owner) => self.join(me, peer, owner, ticket, kind),
                    None => Ok(self.tasks[me].keep(Right::Dead(kind))),
                };
            }
        };
        Ok(self.tasks[me].keep(right))
    }

    /// Whether what is sent to this port still gets there, here or elsewhere.
    pub(crate) fn relays(&mut self, me: TaskNumber, port: u32) -> bool {
        let arrival = self.gone(me, port).map(|gone| gone.leaving.arrival());
        arrival == Some(Arrival::Bag) || self.port(me, port).is_some()
    }

    fn join(
        &mut self,
        me: TaskNumber,
        giver: TaskNumber,
        owner: TaskNumber,
        ticket: Ticket,
        kind: Kind,
    ) -> Result<RightNumber, Offence> {
        let right = Right::Joining { giver, owner, ticket, kind };
        let same = |joining: &Right| match *joining {
            Right::Joining { giver: from, owner: of, ticket: named, .. } => {
                from == giver && of == owner && named == ticket
            }
            _ => false,
        };
        if self.tasks[me].rights.values().any(same) {
            return Err(Offence::TicketReused);
        }
        let had = self.tasks[me].links.contains_key(&owner);
        if !self.open(me, owner) {
            return Ok(self.tasks[me].keep(Right::Dead(kind)));
        }
        self.figures.introductions += u64::from(!had);
        let number = self.tasks[me].keep(right);
        self.claim(me, owner, giver, ticket);
        Ok(number)
    }

    /// A right of the peer's is ours from now on.
    pub(crate) fn learn(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        kind: Kind,
        slot: Slot,
    ) -> Result<Right, Offence> {
        if slot.index >= limits::SLOTS {
            return Err(Offence::NeverExported);
        }
        let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
        let fresh = Imported { slot, kind, import: Import::default(), rights: 0, asked: false };
        let imported = link.imports.entry(slot.index).or_insert(fresh);
        if imported.slot != slot {
            if imported.rights > 0 {
                return Err(Offence::GenerationReused);
            }
            *imported = fresh;
        }
        if imported.kind != kind {
            return Err(Offence::RightKind);
        }
        if kind == Kind::SendOnce && imported.rights > 0 {
            return Err(Offence::GenerationReused);
        }
        imported.import.learn();
        imported.rights += 1;
        Ok(match kind {
            Kind::Send => Right::PeerSend(peer, slot),
            Kind::SendOnce => Right::PeerOnce(peer, slot),
        })
    }
}
