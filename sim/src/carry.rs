//! Rights that go with a message: named for its receiver, given where they are a
//! third task's, and taken back where it was not sent.

use abi::frame::{ATTACHED_BYTES, Attached, HEADER_BYTES, Kind, Onward};
use abi::right::{Address, Kind as RightKind, REF_BYTES, REF_BYTES_MAX, RightRef};
use abi::{Slot, TaskId, Ticket};

use crate::control::about;
use crate::fault::Fault;
use crate::moving::Pack;
use crate::task::{Lead, Outgoing, Right, RightNumber, TaskNumber};
use crate::world::World;

/// What a message carries, and how to undo that.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) named: Vec<Named>,
    pub(crate) packs: Vec<Pack>,
}

/// A right named in a message, and how to undo that.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    Export(RightKind, Slot),
    Give(TaskNumber, Slot, Ticket),
    Nothing,
}

impl World {
    /// Whether these rights can be named for `peer` now, and whether everything
    /// that must be said first, and the message, has room. Of a frame in a bag
    /// there are no `bytes`.
    pub(crate) fn nameable(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        along: &[RightNumber],
        bytes: usize,
    ) -> bool {
        let mut bytes = match bytes {
            0 => Vec::new(),
            body => vec![(peer, HEADER_BYTES + ATTACHED_BYTES + body)],
        };
        for right in along {
            match self.tasks[me].rights.get(right).copied() {
                Some(Right::PeerSend(owner, slot)) if self.is_away(me, owner, slot) => {
                    return false;
                }
                Some(Right::OwnSend(lead)) if self.gone(me, lead.port).is_some() => return false,
                // What was sent before a give arrives before what comes of it.
                Some(Right::PeerSend(owner, slot))
                    if owner != peer && self.must_spill(me, owner, slot) =>
                {
                    return false;
                }
                Some(Right::PeerSend(owner, _) | Right::PeerOnce(owner, _)) if owner != peer => {
                    if let Some(first) = bytes.first_mut().filter(|(to, _)| *to == peer) {
                        first.1 += REF_BYTES_MAX;
                    }
                    bytes.push((owner, HEADER_BYTES + TaskId::BYTES));
                }
                Some(joining @ Right::Joining { owner, .. }) => {
                    if !self.may_go_on(me, peer, joining) {
                        return false;
                    }
                    if let Some(first) = bytes.first_mut().filter(|(to, _)| *to == peer) {
                        first.1 += REF_BYTES_MAX;
                    }
                    bytes.push((owner, HEADER_BYTES + Onward::BYTES));
                }
                _ => {
                    if let Some(first) = bytes.first_mut().filter(|(to, _)| *to == peer) {
                        first.1 += REF_BYTES;
                    }
                }
            }
        }
        for &(to, _) in &bytes {
            self.flush(me, to);
            let all: usize = bytes
                .iter()
                .filter(|&&(of, _)| of == to)
                .map(|&(_, bytes)| bytes.next_multiple_of(8))
                .sum();
            let quiet = self.tasks[me].link(to).is_none_or(|link| link.control.is_empty());
            if !quiet || !self.outbound(me, to).lane.has_room(all, false) {
                return false;
            }
        }
        true
    }

    /// Names all rights of a message.
    pub(crate) fn name_all(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        rights: &[RightNumber],
        (reply, left): (Option<RightNumber>, Option<RightNumber>),
        load: &mut Load,
    ) -> Attached {
        let mut attached = Attached::default();
        for &right in rights {
            let reference = self.name(me, peer, right, load);
            if Some(right) == reply {
                attached.reply = Some(reference);
            } else if Some(right) == left {
                attached.accepted = Some(reference);
            } else {
                attached.rights.push(reference);
            }
        }
        attached.descriptors = attached.bags() as u16;
        attached
    }

    /// Names a right for `peer`.
    pub(crate) fn name(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        right: RightNumber,
        load: &mut Load,
    ) -> RightRef {
        let (reference, undo) = match self.tasks[me].rights.get(&right).copied() {
            Some(Right::OwnSend(lead)) => self.name_own(me, peer, lead, RightKind::Send),
            Some(Right::OwnOnce(lead)) => self.name_own(me, peer, lead, RightKind::SendOnce),
            Some(Right::PeerSend(owner, slot)) if owner == peer => {
                (RightRef::Yours(RightKind::Send, slot), Named::Nothing)
            }
            Some(Right::PeerOnce(owner, slot)) if owner == peer => {
                (RightRef::Yours(RightKind::SendOnce, slot), Named::Nothing)
            }
            Some(Right::PeerSend(owner, slot)) => self.give(me, owner, slot, peer, RightKind::Send),
            Some(Right::PeerOnce(owner, slot)) => {
                self.give(me, owner, slot, peer, RightKind::SendOnce)
            }
            Some(Right::Receive(port)) => {
                (RightRef::Receive(self.pack(me, peer, port, load)), Named::Nothing)
            }
            Some(joining @ Right::Joining { .. }) if self.may_go_on(me, peer, joining) => {
                self.give_on(me, peer, joining)
            }
            Some(Right::Dead(kind) | Right::Joining { kind, .. }) => {
                (RightRef::Dead(kind), Named::Nothing)
            }
            None => (RightRef::Dead(RightKind::Send), Named::Nothing),
        };
        load.named.push(undo);
        reference
    }

    fn name_own(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        lead: Lead,
        kind: RightKind,
    ) -> (RightRef, Named) {
        match self.export(me, peer, lead, kind) {
            Some(slot) => (RightRef::Mine(kind, slot), Named::Export(kind, slot)),
            None => (RightRef::Dead(kind), Named::Nothing),
        }
    }

    fn give(
        &mut self,
        me: TaskNumber,
        owner: TaskNumber,
        slot: Slot,
        to: TaskNumber,
        kind: RightKind,
    ) -> (RightRef, Named) {
        self.figures.gives += 1;
        let ticket = self.ticket(me);
        if let Some(link) = self.tasks[me].link(to) {
            link.gave_of.insert(owner);
        }
        let give = crate::claim::give(slot, World::id(to), ticket, kind);
        self.tell_frame("gives", (me, owner), &give);
        self.outbound(me, owner).lane.publish(&give.encode());
        let third =
            RightRef::Third { kind, owner: World::id(owner), address: Address::default(), ticket };
        (third, Named::Give(owner, slot, ticket))
    }

    /// What is named in a message is the peer's from now on.
    pub(crate) fn published(&mut self, me: TaskNumber, peer: TaskNumber, load: &Load) {
        for named in &load.named {
            if let (Named::Export(_, slot), Some(link)) = (named, self.tasks[me].link(peer)) {
                link.exports.published(*slot);
            }
        }
    }

    pub(crate) fn undo(&mut self, me: TaskNumber, peer: TaskNumber, mut load: Load) {
        // Before anybody uses them: what is back in a queue may be, and so is a notification's
        // right where the last sender has gone.
        for undo in std::mem::take(&mut load.named) {
            match undo {
                Named::Export(..) if self.is(Fault::ExportLeftBehind) => {}
                Named::Export(_, slot) => self.withdraw(me, peer, slot),
                Named::Give(owner, slot, ticket) => {
                    if !self.is(Fault::TakeBackForgotten) {
                        let frame = crate::claim::take_back(slot, World::id(peer), ticket);
                        self.say(me, owner, frame);
                    }
                }
                Named::Nothing => {}
            }
        }
        self.unpack(me, &mut load);
    }

    /// The message is out: a right that went with it leaves us.
    pub(crate) fn moved(&mut self, me: TaskNumber, peer: TaskNumber, number: RightNumber) {
        let Some(right) = self.tasks[me].rights.remove(&number) else {
            return self.violated("I3", format!("right {number} of task {me} moved twice"));
        };
        match right {
            Right::OwnSend(lead) => self.sender_gone(me, lead),
            Right::PeerSend(owner, slot) => self.drop_send(me, owner, slot),
            Right::PeerOnce(owner, slot) => {
                self.forget(me, owner, slot);
                if owner != peer {
                    self.say(me, owner, about(Kind::Release, slot, 1));
                }
            }
            Right::Joining { .. } => self.was_given_on(me, number, right),
            Right::OwnOnce(_) | Right::Receive(_) | Right::Dead(_) => {}
        }
    }
}

impl Outgoing {
    /// Every right that goes with the message, the reply right first.
    pub(crate) fn carried(&self) -> Vec<RightNumber> {
        self.reply.iter().chain(&self.left).chain(&self.rights).copied().collect()
    }
}
