//! Sending: rights are named, gives published, then the message, then what
//! moved is released. What fails before the message is published is undone.

use abi::Slot;
use abi::board::State;
use abi::frame::{Header, Kind};
use rights::terms::{End, Refusal};

use crate::carry::Load;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::moving::Pack;
use crate::spill::Way;
use crate::task::{Lead, Mail, Outgoing, Right, TaskNumber};
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
                self.promise_ends_by(me, lead, Some(me), Some(mail));
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
        let by = self.sender(me);
        let Some(state) = self.port(me, lead.port) else {
            return Sent::Dead;
        };
        let entered = match out.left {
            None => state.queue.enter_of(by, mail),
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
        self.tell(|_| format!("message {number} of {me} enters its port {}", lead.port));
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
            self.acknowledges(lead.promise);
            return self.note_answer(number, from, to);
        }
        let port = self.first_name(lead.port);
        if self.tasks[to].honest()
            && let Some(&to) = self.homes.get(&port)
        {
            self.mail.insert(number, Fact { from, to, port });
        }
    }

    /// Whether there is a place still. Another thread of ours may have used it since we
    /// looked, or handed it back: a task looks, and counts, under the lock of its lane.
    fn has_place(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) -> bool {
        let link = self.tasks[me].link(peer);
        let known = link.and_then(|link| link.imports.get(&slot.index));
        known.is_some_and(|known| known.slot == slot && known.import.may_send())
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
        let Some(stopped) = self.stop_spilling(me, &out.carried()) else {
            return Sent::Failed;
        };
        let sent = self.send_settled(me, peer, slot, out, once);
        // For those that stayed.
        self.spill_again(me, &stopped);
        sent
    }

    /// Sends what nobody spills for: the ports that go with the message.
    fn send_settled(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        out: &Outgoing,
        once: bool,
    ) -> Sent {
        let along = self.along(me, &out.carried());
        self.others_send(me, &along);
        let way = match self.way(me, (peer, slot), &along, !once && out.left.is_none()) {
            Ok(way) => way,
            Err(sent) => return sent,
        };
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
        if !self.may_go(me, (peer, slot), way) {
            self.unmark(me, &load);
            self.undo(me, peer, load);
            return Sent::NoRoom;
        }
        if !once && out.left.is_none() && !self.has_place(me, peer, slot) {
            self.unmark(me, &load);
            self.undo(me, peer, load);
            return Sent::NoPlace;
        }
        let lead = self.lead_of(peer, me, slot);
        let number = self.accepted(me, peer, lead, out);
        let mut rest = Vec::new();
        let flags = attached.encode(&mut rest);
        let extra = rest.len() as u32;
        let header = Header { flags, extra, id: out.id, ..Header::new(Kind::Message, slot) };
        rest.extend_from_slice(&number.to_le_bytes());
        self.write_message(me, (peer, slot), way, Frame::new(header, rest), &attached);
        self.published(me, peer, &load);
        let packs = std::mem::take(&mut load.packs);
        let moving = self.receives_of(me, &packs);
        // What has not been read then must be sent again.
        let unread = packs.iter().flat_map(Pack::holders).any(|it| self.lane_shows(it, me));
        self.commit(me, peer, packs);
        let often = match way {
            _ if unread => 400,
            _ if !moving.is_empty() => 60,
            Way::Spill => 20,
            Way::Lane => 2,
        };
        if self.surprise(often) {
            self.kill(me);
            return Sent::Done;
        }
        self.show_spilled(me, peer);
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
}
