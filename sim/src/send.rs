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
use crate::moving::Pack;
use crate::task::{Lead, Mail, Outgoing, Right, RightNumber, TaskNumber};
use crate::world::{Fact, World};

/// Bytes of a body: which message it is.
pub(crate) const BODY_BYTES: usize = 8;

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

/// What a message carries, and how to undo that.
#[derive(Debug, Default)]
pub(crate) struct Load {
    named: Vec<Named>,
    pub(crate) packs: Vec<Pack>,
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
        if out.left.is_none() {
            return self.try_once(me, out);
        }
        let plain = Outgoing { left: None, ..out.clone() };
        match self.try_once(me, &plain) {
            Sent::NoPlace => self.try_once(me, out),
            sent => sent,
        }
    }

    fn try_once(&mut self, me: TaskNumber, out: &Outgoing) -> Sent {
        let twice = self.is(Fault::LeftTwice);
        let Some(&over) = self.tasks[me].rights.get(&out.over) else {
            self.violated("I3", format!("task {me} sends over no right"));
            return Sent::Failed;
        };
        match over {
            Right::Dead(_) | Right::Receive(_) => Sent::Dead,
            Right::Joining { .. } => Sent::NoRoom,
            Right::OwnSend(lead) => self.send_home(me, lead, out),
            Right::OwnOnce(_) | Right::PeerOnce(..) if self.reply_state(me, out.over).is_gone() => {
                Sent::Dead
            }
            Right::OwnOnce(lead) => {
                let number = self.accepted(me, me, Some(lead), out);
                self.tasks[me].rights.remove(&out.over);
                let mail = Mail::plain(number, out.carried());
                self.promise_ends(me, lead, Some(mail));
                Sent::Done
            }
            Right::PeerSend(peer, slot) => {
                if self.is_away(me, peer, slot) {
                    return Sent::NoRoom;
                }
                let (state, grant) = self.look(peer, me, slot);
                if self.tasks[me].has_link(peer) && !self.push_again(me, peer) {
                    return Sent::NoRoom;
                }
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
                if out.left.is_some() {
                    if imported.import.left && !twice {
                        return Sent::Failed;
                    }
                } else if !imported.import.may_send() {
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
        let mail = Mail { facet: lead.facet, left: out.left, ..Mail::plain(number, out.carried()) };
        if self.gone(me, lead.port).is_some() {
            // Our right follows the port, and becomes one of the new owner's.
            return Sent::NoRoom;
        }
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
        let room = out.left.is_some() || state.queue.window.clone().enter();
        if room && self.close_circle(me, lead.port, &mail) {
            return Sent::Dead;
        }
        let Some(state) = self.port(me, lead.port) else {
            return Sent::Dead;
        };
        let entered = match out.left {
            None => state.queue.enter(mail),
            Some(_) => match self.leave_home(me, lead.port, mail) {
                Ok(()) => Ok(()),
                Err(_) => return Sent::Failed,
            },
        };
        let Some(state) = self.port(me, lead.port) else {
            return Sent::Dead;
        };
        match entered {
            Err(mail) if careless => state.queue.enter_beyond(mail),
            Err(_) => return Sent::NoPlace,
            Ok(()) => {}
        }
        state.charged.insert(number);
        self.note(number, me, me, Some(lead), out);
        self.serve(me, lead.port);
        if let Ok(Some(facet)) = self.admit(me, lead, out.id) {
            self.end_facet(me, Lead { facet, ..lead }, End::Spent);
        }
        Sent::Done
    }

    fn accepted(
        &mut self,
        me: TaskNumber,
        to: TaskNumber,
        lead: Option<Lead>,
        out: &Outgoing,
    ) -> u64 {
        let number = self.number();
        self.note(number, me, to, lead, out);
        number
    }

    /// The world takes note of an accepted message.
    fn note(
        &mut self,
        number: u64,
        from: TaskNumber,
        to: TaskNumber,
        lead: Option<Lead>,
        out: &Outgoing,
    ) {
        self.figures.messages += 1;
        if out.left.is_some() {
            self.figures.left += 1;
            self.lefts.insert(number);
        }
        self.figures.rights += out.carried().len() as u64;
        let Some(lead) = lead else { return };
        if lead.is_call() {
            return self.note_answer(number, from, to);
        }
        let port = self.first_name(lead.port);
        if self.tasks[to].honest()
            && let Some(&to) = self.homes.get(&port)
        {
            self.mail.insert(number, Fact { from, to, port });
        }
    }

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
                Some(Right::PeerSend(owner, _) | Right::PeerOnce(owner, _)) if owner != peer => {
                    if let Some(first) = bytes.first_mut().filter(|(to, _)| *to == peer) {
                        first.1 += REF_BYTES_MAX;
                    }
                    bytes.push((owner, HEADER_BYTES + TaskId::BYTES));
                }
                Some(Right::Joining { .. }) => return false,
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
        let along = self.along(me, &out.carried());
        self.others_send(me, &along);
        if !self.nameable(me, peer, &along, BODY_BYTES) {
            return Sent::NoRoom;
        }
        if !self.ports_may_move(me, &along) {
            return Sent::Failed;
        }
        let mut load = Load::default();
        let attached = self.name_all(me, peer, &out.carried(), (out.reply, out.left), &mut load);
        if self.surprise(2) {
            self.kill(me);
            return Sent::Done;
        }
        self.guess_slots(me, peer, &load);
        self.read_meanwhile(me, &load);
        if !self.tasks[me].has_link(peer) {
            self.undo(me, peer, load);
            return Sent::Dead;
        }
        // The socket may say no; a liar can see to it that it does.
        let honest = self.tasks[peer].honest();
        let often = self.hung_up(peer, me) || !honest;
        if self.surprise(if often { 200 } else { 30 }) {
            self.undo(me, peer, load);
            return Sent::Failed;
        }
        if self.came_since(me, &load) {
            self.undo(me, peer, load);
            return Sent::NoRoom;
        }
        self.mark(me, peer, &mut load);
        if !load.packs.is_empty() {
            self.bystanders(me);
            if self.surprise(100) {
                self.kill(me);
                return Sent::Done;
            }
            if self.surprise(100) {
                self.unmark(me, &load);
                self.undo(me, peer, load);
                return Sent::Failed;
            }
        }
        let lead = self.lead_of(peer, me, slot);
        let number = self.accepted(me, peer, lead, out);
        let mut rest = Vec::new();
        let flags = attached.encode(&mut rest);
        let extra = rest.len() as u32;
        let header = Header { flags, extra, id: out.id, ..Header::new(Kind::Message, slot) };
        rest.extend_from_slice(&number.to_le_bytes());
        let bytes = Frame::new(header, rest).encode();
        self.outbound(me, peer).lane.publish(&bytes);
        self.published(me, peer, &load);
        let packs = std::mem::take(&mut load.packs);
        let moving = self.receives_of(me, &packs);
        // What has not been read then must be sent again.
        let unread = packs.iter().flat_map(Pack::holders).any(|it| self.lane_shows(it, me));
        self.commit(me, peer, packs);
        let often = if unread { 400 } else { 60 };
        if self.surprise(if moving.is_empty() { 2 } else { often }) {
            self.kill(me);
            return Sent::Done;
        }
        if once {
            self.tasks[me].rights.remove(&out.over);
            self.forget(me, peer, slot);
        } else if let Some(link) = self.tasks[me].link(peer)
            && let Some(imported) = link.imports.get_mut(&slot.index)
        {
            if out.left.is_some() {
                imported.import.left = true;
                imported.import.was_left();
            } else {
                imported.import.sent();
            }
        }
        for right in out.carried() {
            if !moving.contains(&right) {
                self.moved(me, peer, right);
            }
        }
        Sent::Done
    }

    /// What is named in a message is the peer's from now on.
    pub(crate) fn published(&mut self, me: TaskNumber, peer: TaskNumber, load: &Load) {
        for named in &load.named {
            if let (Named::Export(_, slot), Some(link)) = (named, self.tasks[me].link(peer)) {
                link.exports.published(*slot);
            }
        }
    }

    /// What a slot of `peer` on the board of `owner` leads to.
    pub(crate) fn lead_of(&self, owner: TaskNumber, peer: TaskNumber, slot: Slot) -> Option<Lead> {
        let link = self.tasks[owner].links.get(&peer)?;
        link.exports.get(slot).ok().map(|export| export.port)
    }

    /// Those who may send to the ports that are about to move do so.
    fn others_send(&mut self, me: TaskNumber, along: &[RightNumber]) {
        let ports: Vec<u32> = along
            .iter()
            .filter_map(|right| match self.tasks[me].rights.get(right) {
                Some(&Right::Receive(port)) => Some(port),
                _ => None,
            })
            .collect();
        let holders = ports.into_iter().flat_map(|port| self.holders_of(me, port));
        for (peer, slot) in holders.collect::<Vec<_>>() {
            let task = &self.tasks[peer];
            let over = task.space.iter().copied().find(|right| {
                task.rights.get(right) == Some(&Right::PeerSend(me, slot)) && !task.is_busy(*right)
            });
            if let Some(over) = over.filter(|_| self.surprise(500))
                && self.is_awake(peer)
            {
                let deadline_ns = self.now_ns;
                let (rights, id) = (Vec::new(), 0);
                let out = Outgoing { over, rights, reply: None, left: None, id, deadline_ns };
                self.submit(peer, out);
            }
        }
    }

    /// Others act in the midst of what `me` does.
    fn bystanders(&mut self, me: TaskNumber) {
        if self.calm || self.aside {
            return;
        }
        self.aside = true;
        for _ in 0..self.chance.below(4) {
            self.somebody(Some(me));
        }
        self.aside = false;
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

    /// A liar uses what it was not given yet: slots are counts. We read its lane
    /// in the midst of our sending, as another thread of ours may.
    fn guess_slots(&mut self, me: TaskNumber, peer: TaskNumber, load: &Load) {
        if self.tasks[peer].honest() || !self.surprise(100) {
            return;
        }
        for named in &load.named {
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

    /// Another thread of ours reads while a port is being packed.
    fn read_meanwhile(&mut self, me: TaskNumber, load: &Load) {
        if load.packs.is_empty() || !self.surprise(300) {
            return;
        }
        let peers: Vec<TaskNumber> = self.tasks[me].links.keys().copied().collect();
        for peer in peers {
            let frames = self.chance.below(8);
            self.drain(me, peer, frames);
        }
    }

    fn surprise(&mut self, in_thousand: u64) -> bool {
        !self.calm && self.chance.in_thousand(in_thousand)
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
            let (state, room) =
                if lead.is_call() { self.born_as(me, lead.promise) } else { (state, 0) };
            self.outbound(me, peer).board.set(slot, state, room);
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
                let pulses = port.queue.pulses.join((peer, slot));
                self.outbound(me, peer).board.set_pulses(slot, pulses);
            }
            if !self.exported_gone(me, lead.port, (peer, slot)) {
                self.outbound(me, peer).board.set(slot, state, grant);
            }
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
                self.left(me, export.port.port, (peer, slot));
                if let Some(port) = self.port(me, export.port.port) {
                    port.forget((peer, slot));
                }
                self.sender_gone(me, export.port);
                self.serve(me, export.port.port);
            }
            RightKind::SendOnce if export.given => {}
            // The give had come back: the promise ended with this slot.
            RightKind::SendOnce => self.promise_ends(me, export.port, None),
        }
    }

    fn undo(&mut self, me: TaskNumber, peer: TaskNumber, mut load: Load) {
        self.unpack(me, &mut load);
        for undo in load.named {
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
            Right::OwnOnce(_) | Right::Joining { .. } | Right::Receive(_) | Right::Dead(_) => {}
        }
    }
}

impl Outgoing {
    /// Every right that goes with the message, the reply right first.
    pub(crate) fn carried(&self) -> Vec<RightNumber> {
        self.reply.iter().chain(&self.left).chain(&self.rights).copied().collect()
    }
}
