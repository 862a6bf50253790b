//! What is claimed, and given on before its owner has answered.
//!
//! Who claims a right may give it on at once: it says so behind its claim, in its
//! lane to the owner. The owner answers one claim after the other, along the chain.

use abi::frame::{Header, Kind, Onward, flag};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Offence, Slot, Ticket};
use rights::claim::GivenOn;
use rights::give::GiveName;

use crate::carry::Named;
use crate::control::{NO_SLOT, about};
use crate::fault::Fault;
use crate::lane::Frame;
use crate::task::{LastWord, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    // ---- who gives on --------------------------------------------------------

    /// Whether a right that its owner has not confirmed can be given to `peer`: it is
    /// claimed, and the owner knows what it gave itself by its slot.
    pub(crate) fn may_go_on(&self, me: TaskNumber, peer: TaskNumber, joining: Right) -> bool {
        let Right::Joining { giver, owner, ticket, .. } = joining else { return false };
        let link = self.tasks[me].links.get(&owner).filter(|link| !link.ended);
        let claimed = link.is_some_and(|link| link.claims_open.contains(&(giver, ticket)));
        owner != peer && giver != me && claimed
    }

    /// Gives `to` what a claim of ours brings.
    pub(crate) fn give_on(
        &mut self,
        me: TaskNumber,
        to: TaskNumber,
        joining: Right,
    ) -> (RightRef, Named) {
        let Right::Joining { giver, owner, ticket, kind } = joining else {
            return (RightRef::Dead(RightKind::Send), Named::Nothing);
        };
        self.figures.gives += 1;
        self.figures.given_on += 1;
        let next = self.ticket(me);
        if let Some(link) = self.tasks[me].link(to) {
            link.gave_of.insert(owner);
        }
        let body = Onward { to: World::id(to), giver: World::id(giver), ticket };
        let flags = if kind == RightKind::SendOnce { flag::ONCE } else { 0 };
        let header = Header { flags, tag: next.0, ..Header::new(Kind::GiveOn, NO_SLOT) };
        let frame = Frame::new(header, body.encode().to_vec());
        self.tell_frame("gives on", (me, owner), &frame);
        self.outbound(me, owner).lane.publish(&frame.encode());
        let (owner_id, address) = (World::id(owner), Address::default());
        let third = RightRef::Third { kind, owner: owner_id, address, ticket: next };
        (third, Named::Give(owner, NO_SLOT, next))
    }

    /// A right went with a message before it was joined: what it turns out to be goes
    /// home.
    pub(crate) fn was_given_on(&mut self, me: TaskNumber, number: RightNumber, joining: Right) {
        self.tasks[me].rights.insert(number, joining);
        self.tasks[me].unwanted.insert(number, LastWord::GivenOn);
        if let Some(to) = self.tasks[me].watched.remove(&number) {
            self.let_go(me, to);
        }
    }

    /// What the user did not want any more is known now, and ends.
    pub(crate) fn say_last_word(&mut self, me: TaskNumber, number: RightNumber, word: LastWord) {
        match self.tasks[me].rights.get(&number) {
            Some(&Right::PeerOnce(peer, slot))
                if word == LastWord::GivenOn && !self.is(Fault::GivenOnAloud) =>
            {
                self.tasks[me].rights.remove(&number);
                self.forget(me, peer, slot);
                self.say(me, peer, about(Kind::Release, slot, 1));
            }
            _ => self.let_go(me, number),
        }
    }

    // ---- the owner -----------------------------------------------------------

    /// A peer gives on what it has claimed.
    pub(crate) fn given_on(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        onward: Onward,
        ticket: u64,
        kind: RightKind,
    ) -> Result<(), Offence> {
        let giver = World::id(peer);
        let claim = GiveName { giver: onward.giver, to: giver, ticket: onward.ticket };
        let next = GiveName { giver, to: onward.to, ticket: Ticket(ticket) };
        match self.tasks[me].claims.give_on(claim, next, kind) {
            Ok(GivenOn::Now(slot)) => self.given(me, peer, slot, onward.to, ticket, kind),
            Ok(GivenOn::Later) => Ok(()),
            Ok(GivenOn::Nothing) => {
                if self.not_to_come.contains(&(me, claim)) {
                    self.not_to_come.insert((me, next));
                }
                Ok(())
            }
            // As with gives: this one is refused when it is claimed.
            Err(Offence::GivesExceeded) => {
                self.not_to_come.insert((me, next));
                Ok(())
            }
            Err(offence) => Err(offence),
        }
    }

    /// What a peer gave on before its claim was answered with `slot`.
    pub(crate) fn give_answered(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        all: Vec<(GiveName, RightKind)>,
    ) -> Result<(), Offence> {
        for (next, kind) in all {
            self.given(me, peer, slot, next.to, next.ticket.0, kind)?;
        }
        Ok(())
    }

    /// A claim brings nothing: nothing of it is given on.
    pub(crate) fn ends_onward(&mut self, me: TaskNumber, claim: GiveName) {
        if self.not_to_come.contains(&(me, claim)) {
            let hang = self.tasks[me].claims.onward().filter(|(_, of)| *of == claim);
            let hang: Vec<_> = hang.map(|(next, _)| (me, next)).collect();
            self.not_to_come.extend(hang);
        }
        let _ = self.tasks[me].claims.answer(claim, None);
    }

    /// Whether a claim is to be answered after another. A chain that leads back into
    /// itself is some liars', and is refused.
    pub(crate) fn hangs_on_another(&self, me: TaskNumber, name: GiveName) -> bool {
        let claims = &self.tasks[me].claims;
        let mut seen = vec![name];
        while let Some(first) = seen.last().and_then(|last| claims.waits_for(*last)) {
            if seen.contains(&first) || self.is(Fault::ChainRefused) {
                return false;
            }
            seen.push(first);
        }
        seen.len() > 1
    }

    /// The peer is dead, and its lane read. What it gave on before its claims were
    /// answered is others': the lanes that the answers are to be found in are read.
    pub(crate) fn answer_what_others_wait_for(&mut self, me: TaskNumber, dead: TaskNumber) {
        let dead_id = World::id(dead);
        while !self.is(Fault::ChainForgotten) && self.tasks[me].alive {
            let hang = self.tasks[me].claims.onward().map(|(_, claim)| claim);
            let Some(mut root) = hang.filter(|claim| claim.to == dead_id).min() else { return };
            let mut steps = 0;
            while let Some(first) = self.tasks[me].claims.waits_for(root)
                && steps <= self.tasks[me].parked.len()
            {
                root = first;
                steps += 1;
            }
            let before = self.tasks[me].parked.len();
            if let Some(giver) = self.find(root.giver) {
                self.drain(me, giver, u64::MAX);
                self.answer_parked(me, giver);
            }
            if self.tasks[me].parked.len() == before {
                return;
            }
        }
    }

    /// Nobody is refused what was given to it in time, where nobody lies. Who follows
    /// a port may be.
    pub(crate) fn is_refused(&mut self, me: TaskNumber, to: TaskNumber, name: GiveName) {
        let given = |right: &Right| match *right {
            Right::Joining { giver, owner, ticket, .. } => {
                giver != to
                    && owner == me
                    && (World::id(giver), ticket) == (name.giver, name.ticket)
            }
            _ => false,
        };
        if !self.liars
            && self.tasks[to].alive
            && !self.not_to_come.contains(&(me, name))
            && self.tasks[to].rights.values().any(given)
        {
            let (ticket, giver) = (name.ticket.0, self.find(name.giver));
            let what = format!("task {to} is refused what task {giver:?} gave it, ticket {ticket}");
            self.violated("I3", format!("{what}, by task {me}"));
        }
    }
}
