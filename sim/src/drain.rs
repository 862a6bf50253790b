//! Reading a lane: each frame is decoded, believed as far as the tables say,
//! and acted on. What a table refuses is the peer's offence.

use abi::frame::{Attached, EVERY_SLOT, EVERY_TICKET, Header, Kind, Onward, back, flag, task_of};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, TaskId, Ticket};
use rights::terms::End;

use crate::call::CALLS;
use crate::lane::Frame;
use crate::left::RoomOf;
use crate::spilled::{Held, Late};
use crate::task::{Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::{Fact, World};

impl World {
    /// Reads up to `limit` frames of what `peer` wrote for us.
    pub(crate) fn drain(&mut self, me: TaskNumber, peer: TaskNumber, limit: u64) {
        for _ in 0..limit {
            if !self.tasks[me].has_link(peer) || !self.tasks[me].alive {
                return;
            }
            let outcome = match self.outbound(peer, me).lane.take() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    self.tell_frame("reads", (peer, me), &frame);
                    self.read(me, peer, &frame)
                }
                Err(offence) => Err(offence),
            };
            match outcome {
                Ok(()) => self.answer_parked(me, peer),
                Err(offence) => return self.offended(me, peer, offence),
            }
        }
        if self.tasks[me].has_link(peer) && self.tasks[me].alive {
            self.take_spilled(me, peer, limit);
        }
    }

    fn read(&mut self, me: TaskNumber, peer: TaskNumber, frame: &Frame) -> Result<(), Offence> {
        if self.hold_word(me, peer, frame) { Ok(()) } else { self.read_word(me, peer, frame) }
    }

    /// Acts on a frame.
    pub(crate) fn read_word(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        frame: &Frame,
    ) -> Result<(), Offence> {
        let header = frame.header;
        let slot = header.slot;
        match header.kind {
            // Nobody lends here.
            Kind::Skip | Kind::Status | Kind::Memory | Kind::Unmap | Kind::Unmapped => Ok(()),
            Kind::Message => self.message(me, peer, frame),
            Kind::Spilled => self.take_mark(me, peer, header.tag),
            Kind::Emptied => self.spill_emptied(me, peer, slot, header.tag),
            Kind::Spent => {
                self.spill_spent(me, peer, slot);
                Ok(())
            }
            Kind::Part => self.take_part(me, peer, frame),
            Kind::Welcome => self.welcome(me, peer, frame),
            Kind::Release => self.unexport(me, peer, slot, header.tag),
            Kind::Dropped => match self.consume(me, peer, slot)? {
                Some(lead) => {
                    self.promise_ends(me, lead, None);
                    Ok(())
                }
                None => Ok(()),
            },
            Kind::Ask => {
                let port = self.send_slot(me, peer, slot)?.port;
                if let Some(state) = self.port(me, port) {
                    state.queue.window.ask((peer, slot), 0);
                    self.serve(me, port);
                } else {
                    self.say(me, peer, crate::control::about(Kind::Look, slot, 0));
                }
                Ok(())
            }
            Kind::Return => {
                let lead = self.send_slot(me, peer, slot)?;
                let port = lead.port;
                if header.id == back::LOST {
                    if let Some(again) = self.sends_again(me, peer, port) {
                        self.came_again(me, again, header.tag);
                    }
                    return Ok(());
                }
                let crossed = !self.is(crate::Fault::CrossedReturnBlamed);
                if let Some(state) = self.port(me, port)
                    && (state.facets.counts(lead.facet) || !crossed)
                {
                    let stop = header.id == back::STOP;
                    let window = &mut state.queue.window;
                    window.hand_back((peer, slot), header.tag, stop)?;
                    self.serve(me, port);
                }
                Ok(())
            }
            Kind::Watch => {
                let lead = self.send_slot(me, peer, slot)?;
                self.peer_asks_for_room(me, (peer, slot), lead);
                Ok(())
            }
            Kind::Room => {
                self.told_of_room(me, RoomOf::Peer(peer, slot));
                Ok(())
            }
            Kind::Taken => {
                self.may_leave_again(me, peer, slot);
                Ok(())
            }
            Kind::Look => {
                self.told_to_look(me, peer, slot);
                Ok(())
            }
            Kind::Give => {
                let kind = kind_of(header.flags);
                self.given(me, peer, slot, task_of(&frame.rest)?, header.tag, kind)
            }
            Kind::GiveOn => {
                let onward = Onward::decode(&frame.rest)?;
                self.given_on(me, peer, onward, header.tag, kind_of(header.flags))
            }
            Kind::TakeBack => {
                let to = task_of(&frame.rest)?;
                let ticket = (header.tag != EVERY_TICKET).then_some(header.tag);
                self.taken_back(me, peer, to, ticket);
                Ok(())
            }
            Kind::Claim => {
                let sent = abi::u64_at(&frame.rest, TaskId::BYTES).unwrap_or(0);
                self.claimed(me, peer, (task_of(&frame.rest)?, header.tag), sent)
            }
            Kind::Joined => {
                let kind = kind_of(header.flags);
                let have = abi::u64_at(&frame.rest, TaskId::BYTES).unwrap_or(0);
                let right = Some((kind, slot, have));
                self.joined(me, peer, (task_of(&frame.rest)?, header.tag), right)
            }
            Kind::Refused => self.joined(me, peer, (task_of(&frame.rest)?, header.tag), None),
            Kind::Pulse => {
                let lead = self.send_slot(me, peer, slot)?;
                self.pulse(me, peer, frame, lead)
            }
            Kind::Bag => self.read_bag(me, peer, Ticket(header.tag)),
            Kind::Port | Kind::Out | Kind::Ended => Err(Offence::FrameKind),
            Kind::Board => Err(Offence::BoardOrder),
            Kind::StatusIs => Err(Offence::AnswerUnasked),
        }
    }

    /// What a send slot leads to.
    pub(crate) fn send_slot(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
    ) -> Result<Lead, Offence> {
        let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
        let export = link.exports.get(slot)?;
        if export.kind == RightKind::SendOnce {
            return Err(Offence::RightKind);
        }
        Ok(export.port)
    }

    /// Uses a send-once slot up. `None` for one that its giver was robbed of:
    /// it had given the right on, its message failed, and somebody had claimed
    /// the ticket by guess. That is no offence of the giver's.
    pub(crate) fn consume(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
    ) -> Result<Option<Lead>, Offence> {
        let blamed = self.is(crate::Fault::RobbedBlamed);
        let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
        let export = *link.exports.get(slot)?;
        if export.given && !blamed {
            if !self.liars {
                let what = format!("task {peer} used a right it had given on, or lost");
                self.violated("I4", what);
            }
            self.unexport(me, peer, slot, 1)?;
            return Ok(None);
        }
        let lead = link.exports.consume(slot)?;
        self.outbound(me, peer).board.free(slot);
        Ok(Some(lead))
    }

    fn told_to_look(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) {
        let forgotten = self.is(crate::Fault::WaitingForgotten);
        let task = &mut self.tasks[me];
        let Some(link) = task.link(peer) else {
            return;
        };
        let every = slot.index == EVERY_SLOT;
        for imported in link.imports.values_mut() {
            if every || imported.slot == slot {
                imported.asked = false;
            }
        }
        let rights = &task.rights;
        let looks = |over| match rights.get(&over) {
            Some(&Right::PeerSend(of, named)) => of == peer && (every || named == slot),
            _ => false,
        };
        if forgotten {
            task.waiting.retain(|waiting| !looks(waiting.out.over));
        }
        for waiting in &mut task.waiting {
            if looks(waiting.out.over) {
                waiting.asleep = false;
            }
        }
        let known = task.link(peer).map(|link| link.imports.values().copied().collect::<Vec<_>>());
        for imported in known.unwrap_or_default() {
            if imported.rights > 0 && (every || imported.slot == slot) {
                let _ = self.is_away(me, peer, imported.slot);
            }
        }
        self.look_at_moved(me, peer);
        self.see_slot(me, peer, (!every).then_some(slot));
        self.see_rooms(me, peer);
    }

    fn welcome(&mut self, me: TaskNumber, peer: TaskNumber, frame: &Frame) -> Result<(), Offence> {
        let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
        if std::mem::replace(&mut link.welcomed, true) {
            return Err(Offence::NeverExported);
        }
        let attached = Attached::decode(frame.header.flags, frame.parts().0)?;
        let rights = self.accept(me, peer, &attached)?;
        self.tasks[me].space.extend(rights);
        Ok(())
    }

    /// A message of the lane enters when what was spilled before it has.
    fn message(&mut self, me: TaskNumber, peer: TaskNumber, frame: &Frame) -> Result<(), Offence> {
        let header = frame.header;
        self.comes_beside(me, peer, frame);
        let (kind, mut mail) = self.unpack_message(me, peer, frame)?;
        if let Some((port, until)) = self.must_hold(me, peer, header.slot) {
            self.break_circles(me, port, &mut mail);
            let Some(link) = self.tasks[me].link(peer) else { return Ok(()) };
            // A liar's is numbered as it is read, and what goes before it is read later.
            let number = mail.number;
            let what = Late::Message(frame.clone(), kind, mail);
            link.held.push_back(Held { port, until, what });
            if !self.tasks[peer].honest() {
                self.detours.insert(number);
            }
            return Ok(());
        }
        self.deliver(me, peer, header, kind, mail)
    }

    /// A message that came, with its rights.
    pub(crate) fn unpack_message(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        frame: &Frame,
    ) -> Result<(RightKind, Mail), Offence> {
        let slot = frame.header.slot;
        let (attached, body) = frame.parts();
        let attached = Attached::decode(frame.header.flags, attached)?;
        let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
        let kind = link.exports.get(slot)?.kind;
        if kind == RightKind::SendOnce && attached.accepted.is_some() {
            return Err(Offence::RightKind);
        }
        let number = body.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let rights = self.accept(me, peer, &attached)?;
        // A liar's number may be anything: its mail is given one nobody has.
        let number = if self.tasks[peer].honest() {
            number
        } else {
            match self.lead_of(me, peer, slot) {
                Some(lead) if lead.is_call() => {
                    let number = self.number();
                    self.note_answer(number, peer, me);
                    number
                }
                lead => self.liars_number(peer, lead.map_or(CALLS, |lead| lead.port)),
            }
        };
        let left = accepted_of(&attached, &rights);
        Ok((kind, Mail { left, ..Mail::plain(number, rights) }))
    }

    /// A message enters the queue it is for.
    pub(crate) fn deliver(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        Header { slot, id, flags, .. }: Header,
        kind: RightKind,
        mail: Mail,
    ) -> Result<(), Offence> {
        let number = mail.number;
        if kind == RightKind::SendOnce {
            match self.consume(me, peer, slot) {
                Ok(Some(lead)) => self.promise_ends_by(me, lead, Some(peer), Some(mail)),
                Ok(None) => self.excuse(me, mail),
                Err(offence) => {
                    self.excuse(me, mail);
                    return Err(offence);
                }
            }
            return Ok(());
        }
        let lead = match self.send_slot(me, peer, slot) {
            Ok(lead) => lead,
            Err(offence) => {
                self.excuse(me, mail);
                return Err(offence);
            }
        };
        let port = lead.port;
        let Some(mut mail) = self.forward(me, port, (Some((peer, slot)), None), mail) else {
            return Ok(());
        };
        if self.port(me, port).is_none() {
            self.excuse(me, mail);
            return Ok(());
        }
        let spent = match self.admit(me, lead, id) {
            Ok(spent) => spent,
            Err(refusal) => return self.refuse(me, (peer, slot), lead, refusal, mail),
        };
        self.break_circles(me, port, &mut mail);
        self.tell(|_| format!("message {number} of {peer} comes to port {port} of {me}"));
        let mail = Mail { facet: lead.facet, ..mail };
        let by = self.sender(peer);
        let again = if flags & flag::AGAIN != 0 { self.sends_again(me, peer, port) } else { None };
        let Some(state) = self.port(me, port) else {
            self.excuse(me, mail);
            return Ok(());
        };
        *state.came.entry((peer, slot)).or_default() += 1;
        let queue = &mut state.queue;
        let twice = |mail| (Offence::LeftTwice, mail);
        let arrived = match (mail.left, again) {
            (Some(_), None) => queue.leave_of(by, (peer, slot), mail).map_err(twice),
            (Some(_), Some(_)) => queue.leave((peer, slot), mail).map_err(twice),
            (None, None) => queue.arrive_of(by, (peer, slot), mail).map(|_| ()),
            (None, Some(_)) => queue.arrive((peer, slot), mail).map(|_| ()),
        };
        match arrived {
            Ok(()) => {
                state.charged.insert(number);
                self.serve(me, port);
                if let Some(again) = again {
                    self.came_again(me, again, 1);
                }
                if let Some(facet) = spent {
                    self.end_facet(me, Lead { facet, ..lead }, End::Spent);
                }
                Ok(())
            }
            Err((offence, mail)) => {
                self.excuse(me, mail);
                Err(offence)
            }
        }
    }

    /// What a liar says is its message's number may be anything.
    pub(crate) fn liars_number(&mut self, from: TaskNumber, port: u32) -> u64 {
        let number = self.number();
        let port = self.first_name(port);
        if let Some(&to) = self.homes.get(&port) {
            self.mail.insert(number, Fact { from, to, port });
        }
        number
    }
}

/// Of the rights of a message, the one on which it is told that it was taken.
pub(crate) fn accepted_of(attached: &Attached, rights: &[RightNumber]) -> Option<RightNumber> {
    attached.accepted.and_then(|_| rights.get(usize::from(attached.reply.is_some())).copied())
}

const fn kind_of(flags: u8) -> RightKind {
    if flags & flag::ONCE != 0 { RightKind::SendOnce } else { RightKind::Send }
}
