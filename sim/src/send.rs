//! Sending: rights are named, gives published, then the message, then what
//! moved is released. What fails before the message is published is undone.

use abi::board::State;
use abi::frame::{ATTACHED_BYTES, Attached, HEADER_BYTES, Header, Kind};
use abi::right::{Address, Kind as RightKind, REF_BYTES, REF_BYTES_MAX, RightRef};
use abi::{Slot, TaskId, Ticket};
use rights::export::{Export, Released};
use rights::terms::{End, Refusal};

use crate::control::about;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::task::{Lead, Mail, Outgoing, Right, RightNumber, TaskNumber};
use crate::world::{Fact, World};

/// Bytes of a body: which message it is.
const BODY_BYTES: usize = 8;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Accepted; or the sender was killed in the midst of it.
    Done,
    /// No place at the port.
    NoPlace,
    /// No room in a lane, or a right that is not joined yet.
    NoRoom,
    /// The port is gone.
    Dead,
    /// Something else failed; everything was undone.
    Failed,
}

/// A right named in a message, and how to undo that.
#[derive(Clone, Copy, Debug)]
enum Named {
    Export(RightKind, Slot),
    Give(TaskNumber, Slot, Ticket),
    Nothing,
}

impl World {
    /// Tries to send `out`. Its rights leave only where it is done.
    pub(crate) fn try_send(&mut self, me: TaskNumber, out: &Outgoing) -> Sent {
        let Some(&over) = self.tasks[me].rights.get(&out.over) else {
            self.violated("I3", format!("task {me} sends over no right"));
            return Sent::Failed;
        };
        match over {
            Right::Dead(_) => Sent::Dead,
            Right::Joining { .. } => Sent::NoRoom,
            Right::OwnSend(lead) => self.send_home(me, lead, out),
            Right::OwnOnce(lead) => {
                let number = self.accepted(me, me, out);
                self.tasks[me].rights.remove(&out.over);
                let mail = Mail::plain(number, out.carried());
                self.promise_ends(me, lead, Some(mail));
                Sent::Done
            }
            Right::PeerSend(peer, slot) => {
                let (state, grant) = self.look(peer, me, slot);
                let Some(link) = self.tasks[me].link(peer) else {
                    return Sent::Dead;
                };
                let Some(imported) = link.imports.get_mut(&slot.index) else {
                    return Sent::Dead;
                };
                if state == State::Dead {
                    return Sent::Dead;
                }
                imported.import.look(grant);
                if !imported.import.may_send() {
                    return Sent::NoPlace;
                }
                self.send_out(me, peer, slot, out, false)
            }
            Right::PeerOnce(peer, slot) => self.send_out(me, peer, slot, out, true),
        }
    }

    fn send_home(&mut self, me: TaskNumber, lead: Lead, out: &Outgoing) -> Sent {
        let careless = self.is(Fault::NoPlaceNeeded);
        let now_ns = self.now_ns;
        let number = self.number();
        let mail = Mail { facet: lead.facet, ..Mail::plain(number, out.carried()) };
        let Some(state) = self.port(me, lead.port) else {
            return Sent::Dead;
        };
        match state.facets.permits(lead.facet, out.id, now_ns) {
            Ok(()) => {}
            Err(Refusal::Id(_)) => return Sent::Failed,
            Err(Refusal::Ended(why)) => {
                self.end_facet(me, lead, why);
                return Sent::Dead;
            }
        }
        let Some(state) = self.port(me, lead.port) else {
            return Sent::Dead;
        };
        match state.queue.enter(mail) {
            Err(mail) if careless => state.queue.enter_beyond(mail),
            Err(_) => return Sent::NoPlace,
            Ok(()) => {}
        }
        state.charged.insert(number);
        self.note(number, me, me, out);
        if let Ok(Some(facet)) = self.admit(me, lead, out.id) {
            self.end_facet(me, Lead { facet, ..lead }, End::Spent);
        }
        Sent::Done
    }

    fn accepted(&mut self, me: TaskNumber, to: TaskNumber, out: &Outgoing) -> u64 {
        let number = self.number();
        self.note(number, me, to, out);
        number
    }

    fn note(&mut self, number: u64, from: TaskNumber, to: TaskNumber, out: &Outgoing) {
        self.figures.messages += 1;
        self.figures.rights += out.carried().len() as u64;
        if self.tasks[to].honest() {
            self.mail.insert(number, Fact { from, to });
        }
    }

    /// Whether everything that must be said first, and the message, has room.
    fn has_room(&mut self, me: TaskNumber, peer: TaskNumber, out: &Outgoing) -> bool {
        let mut bytes = vec![(peer, HEADER_BYTES + ATTACHED_BYTES + BODY_BYTES)];
        for right in out.carried() {
            match self.tasks[me].rights.get(&right) {
                Some(&(Right::PeerSend(owner, _) | Right::PeerOnce(owner, _))) if owner != peer => {
                    bytes[0].1 += REF_BYTES_MAX;
                    bytes.push((owner, HEADER_BYTES + TaskId::BYTES));
                }
                Some(Right::Joining { .. }) => return false,
                _ => bytes[0].1 += REF_BYTES,
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

    fn send_out(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        out: &Outgoing,
        once: bool,
    ) -> Sent {
        if !self.tasks[me].has_link(peer) {
            return Sent::Dead;
        }
        if !self.has_room(me, peer, out) {
            return Sent::NoRoom;
        }
        let mut attached = Attached::default();
        let mut named = Vec::new();
        for right in out.carried() {
            let (reference, undo) = self.name(me, peer, right);
            named.push(undo);
            if Some(right) == out.reply {
                attached.reply = Some(reference);
            } else {
                attached.rights.push(reference);
            }
        }
        if self.surprise(2) {
            self.kill(me);
            return Sent::Done;
        }
        self.guess_slots(me, peer, &named);
        if !self.tasks[me].has_link(peer) {
            self.undo(me, peer, &named);
            return Sent::Dead;
        }
        // The socket may say no; a liar can see to it that it does.
        let honest = self.tasks[peer].honest();
        let often = self.hung_up(peer, me) || !honest;
        if self.surprise(if often { 200 } else { 30 }) {
            self.undo(me, peer, &named);
            return Sent::Failed;
        }
        let number = self.accepted(me, peer, out);
        let mut rest = Vec::new();
        let flags = attached.encode(&mut rest);
        let extra = rest.len() as u32;
        let header = Header { flags, extra, id: out.id, ..Header::new(Kind::Message, slot) };
        rest.extend_from_slice(&number.to_le_bytes());
        let bytes = Frame::new(header, rest).encode();
        self.outbound(me, peer).lane.publish(&bytes);
        for named in &named {
            if let (Named::Export(_, slot), Some(link)) = (named, self.tasks[me].link(peer)) {
                link.exports.published(*slot);
            }
        }
        if self.surprise(2) {
            self.kill(me);
            return Sent::Done;
        }
        if once {
            self.tasks[me].rights.remove(&out.over);
            self.forget(me, peer, slot);
        } else if let Some(link) = self.tasks[me].link(peer)
            && let Some(imported) = link.imports.get_mut(&slot.index)
        {
            imported.import.sent();
        }
        for right in out.carried() {
            self.moved(me, peer, right);
        }
        Sent::Done
    }

    /// A liar uses what it was not given yet: slots are counts. We read its lane
    /// in the midst of our sending, as another thread of ours may.
    fn guess_slots(&mut self, me: TaskNumber, peer: TaskNumber, named: &[Named]) {
        if self.tasks[peer].honest() || !self.surprise(100) {
            return;
        }
        for named in named {
            let Named::Export(kind, slot) = *named else { continue };
            let kinds = match kind {
                RightKind::Send => [Kind::Release, Kind::Message],
                RightKind::SendOnce => [Kind::Dropped, Kind::Message],
            };
            let kind = self.chance.pick(&kinds).copied().unwrap_or(Kind::Dropped);
            let header = Header { tag: 1, ..Header::new(kind, slot) };
            let bytes = Frame::new(header, Vec::new()).encode();
            if self.outbound(peer, me).lane.has_room(bytes.len(), true) {
                self.outbound(peer, me).lane.publish(&bytes);
            }
        }
        self.drain(me, peer, 64);
    }

    fn surprise(&mut self, in_thousand: u64) -> bool {
        !self.calm && self.chance.in_thousand(in_thousand)
    }

    /// Names a right for `peer`.
    fn name(&mut self, me: TaskNumber, peer: TaskNumber, right: RightNumber) -> (RightRef, Named) {
        let dead = |kind| (RightRef::Dead(kind), Named::Nothing);
        match self.tasks[me].rights.get(&right).copied() {
            Some(Right::OwnSend(lead)) => {
                let kind = RightKind::Send;
                match self.export(me, peer, lead, kind) {
                    Some(slot) => (RightRef::Mine(kind, slot), Named::Export(kind, slot)),
                    None => dead(kind),
                }
            }
            Some(Right::OwnOnce(lead)) => {
                let kind = RightKind::SendOnce;
                match self.export(me, peer, lead, kind) {
                    Some(slot) => (RightRef::Mine(kind, slot), Named::Export(kind, slot)),
                    None => dead(kind),
                }
            }
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
            Some(Right::Dead(kind)) => dead(kind),
            Some(Right::Joining { kind, .. }) => dead(kind),
            None => dead(RightKind::Send),
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
        self.tasks[me].tickets += 1;
        let ticket = Ticket(self.tasks[me].tickets);
        if let Some(link) = self.tasks[me].link(to) {
            link.gave_of.insert(owner);
        }
        let give = crate::claim::give(slot, World::id(to), ticket, kind);
        self.outbound(me, owner).lane.publish(&give.encode());
        let third =
            RightRef::Third { kind, owner: World::id(owner), address: Address::default(), ticket };
        (third, Named::Give(owner, slot, ticket))
    }

    /// Gives `peer` one more right of ours, on its board.
    pub(crate) fn export(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        lead: Lead,
        kind: RightKind,
    ) -> Option<Slot> {
        let alive = self.port(me, lead.port).is_some();
        let usable = self.is(Fault::UsableUnsent);
        let exports = &mut self.tasks[me].link(peer)?.exports;
        let state = if alive { State::Live } else { State::Dead };
        if kind == RightKind::SendOnce {
            let slot = exports.send_once(lead).ok()?;
            if usable {
                exports.published(slot);
            }
            self.outbound(me, peer).board.set(slot, state, 0);
            return Some(slot);
        }
        let exported = exports.send(lead).ok()?;
        let slot = exported.slot;
        if usable {
            exports.published(slot);
        }
        let counts = self.port(me, lead.port).is_some_and(|port| port.facets.counts(lead.facet));
        let state = if alive && !counts { State::Revoked } else { state };
        if exported.first {
            let mut grant = 0;
            if counts && let Some(port) = self.port(me, lead.port) {
                port.senders.add();
                grant = port.queue.window.join((peer, slot));
            }
            self.outbound(me, peer).board.set(slot, state, grant);
        }
        Some(slot)
    }

    /// A peer gave rights of a slot back; where it was the last, the slot ends.
    pub(crate) fn unexport(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        count: u64,
    ) -> Result<(), abi::Offence> {
        let Some(link) = self.tasks[me].link(peer) else {
            return Ok(());
        };
        let released = link.exports.release(slot, count)?;
        self.export_ended(me, peer, slot, released);
        Ok(())
    }

    /// What was named in a message that was not sent comes back.
    fn withdraw(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) {
        let Some(link) = self.tasks[me].link(peer) else {
            return;
        };
        let silent = link.exports.withdraw(slot).map(|released| match released {
            Released::Last(export) => Released::Last(Export { given: true, ..export }),
            Released::Held => Released::Held,
        });
        if let Ok(released) = silent {
            self.export_ended(me, peer, slot, released);
        }
    }

    fn export_ended(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        released: Released<Lead>,
    ) {
        let Released::Last(export) = released else {
            return;
        };
        self.outbound(me, peer).board.free(slot);
        match export.kind {
            RightKind::Send => {
                if let Some(port) = self.port(me, export.port.port) {
                    port.queue.window.leave((peer, slot));
                }
                self.sender_gone(me, export.port);
                self.serve(me, export.port.port);
            }
            RightKind::SendOnce if export.given => {}
            // The give had come back: the promise ended with this slot.
            RightKind::SendOnce => self.promise_ends(me, export.port, None),
        }
    }

    fn undo(&mut self, me: TaskNumber, peer: TaskNumber, named: &[Named]) {
        for &undo in named {
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
    }

    /// The message is out: a right that went with it leaves us.
    fn moved(&mut self, me: TaskNumber, peer: TaskNumber, number: RightNumber) {
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
            Right::OwnOnce(_) | Right::Joining { .. } | Right::Dead(_) => {}
        }
    }
}

impl Outgoing {
    /// Every right that goes with the message, the reply right first.
    pub(crate) fn carried(&self) -> Vec<RightNumber> {
        self.reply.iter().chain(&self.rights).copied().collect()
    }
}
