//! What a dead old owner had not read: taken back out of our own lane, and sent
//! again to the new owner.

use std::collections::VecDeque;

use abi::bag::Place;
use abi::frame::{Attached, Header, Kind, back, flag};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, Ticket};

use super::{Again, Unread};
use crate::carry::Load;
use crate::control::about;
use crate::drain::accepted_of;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::spill::Way;
use crate::task::{Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    /// The peer is dead. What it had not read of what we sent to ports that had
    /// gone elsewhere is kept; the rest is lost with it.
    pub(crate) fn salvage(&mut self, me: TaskNumber, peer: TaskNumber) {
        let mut frames = self.outbound(me, peer).lane.unfreed();
        // What was spilled was sent after what the lane still shows.
        frames.extend(self.spills_back(me, peer));
        for frame in frames {
            let slot = frame.header.slot;
            if !matches!(frame.header.kind, Kind::Message | Kind::Release) {
                continue;
            }
            let send = self.marked(peer, me, slot).is_some();
            let key = if send { self.follow(me, peer, slot) } else { None };
            if let Some(follow) = key.and_then(|key| self.tasks[me].follows.get_mut(&key)) {
                follow.kept = true;
            }
            if frame.header.kind == Kind::Release {
                continue;
            }
            let number = number_of(&frame);
            let Some(key) = key else {
                self.given_up.insert(number);
                continue;
            };
            let (rights, left) = self.rights_back(me, peer, &frame);
            let unread = Unread { number, rights, left, id: frame.header.id };
            if let Some(follow) = self.tasks[me].follows.get_mut(&key) {
                follow.unread.push_back(unread);
            }
        }
    }

    /// The rights in a message that the dead peer never read, those that were ours
    /// to give. The others were on their way to the dead.
    fn rights_back(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        frame: &Frame,
    ) -> (Vec<RightNumber>, Option<RightNumber>) {
        let attached = Attached::decode(frame.header.flags, frame.parts().0).unwrap_or_default();
        let mut rights = Vec::new();
        for name in attached.reply.iter().chain(&attached.accepted).chain(&attached.rights) {
            let right = match *name {
                RightRef::Mine(RightKind::Send, slot) => {
                    let link = self.tasks[me].link(peer);
                    let lead = link.and_then(|link| Some(link.exports.get(slot).ok()?.port));
                    lead.map_or(Right::Dead(RightKind::Send), |lead| self.own_again(me, lead))
                }
                RightRef::Mine(RightKind::SendOnce, slot) => {
                    let link = self.tasks[me].link(peer);
                    // One that the dead peer had given on is the next holder's.
                    let mine = link.and_then(|link| link.exports.consume(slot).ok());
                    match mine {
                        Some(lead) => {
                            self.outbound(me, peer).board.free(slot);
                            Right::OwnOnce(lead)
                        }
                        None => Right::Dead(RightKind::SendOnce),
                    }
                }
                RightRef::Yours(kind, _) | RightRef::Third { kind, .. } | RightRef::Dead(kind) => {
                    Right::Dead(kind)
                }
                RightRef::Receive(_) => Right::Dead(RightKind::Send),
            };
            rights.push(self.tasks[me].keep(right));
        }
        let left = accepted_of(&attached, &rights);
        (rights, left)
    }

    fn own_again(&mut self, me: TaskNumber, lead: Lead) -> Right {
        let went = self.relays(me, lead.port);
        match self.port(me, lead.port) {
            Some(state) if state.facets.counts(lead.facet) => {
                state.senders.add();
                Right::OwnSend(lead)
            }
            None if went => Right::OwnSend(lead),
            _ => Right::Dead(RightKind::Send),
        }
    }

    /// Says that messages are lost which the new owner waits for.
    pub(super) fn say_lost(&mut self, me: TaskNumber, becomes: Right, count: u64) {
        if let Right::PeerSend(owner, slot) = becomes
            && count > 0
            && self.tasks[me].has_link(owner)
        {
            let header = Header { id: back::LOST, tag: count, ..Header::new(Kind::Return, slot) };
            self.say(me, owner, Frame::new(header, Vec::new()));
        }
    }

    /// What was unread goes to the new owner before anything else.
    pub(crate) fn send_again(
        &mut self,
        me: TaskNumber,
        held: RightNumber,
        unread: VecDeque<Unread>,
    ) {
        match self.tasks[me].rights.get(&held) {
            Some(&Right::PeerSend(owner, _)) => {
                for unread in unread {
                    let Some(over) = self.copy(me, held) else {
                        self.lose(me, unread);
                        continue;
                    };
                    if let Some(link) = self.tasks[me].link(owner) {
                        link.again.push_back(Again { over, unread });
                    }
                }
                self.push_again(me, owner);
            }
            Some(&Right::OwnSend(lead)) => {
                for Unread { number, rights, left, .. } in unread {
                    self.figures.again += 1;
                    let mail = Mail { left, ..Mail::plain(number, rights) };
                    self.adopt_mail(me, lead.port, mail, Place::Counted);
                }
            }
            _ => {
                for one in unread {
                    self.lose(me, one);
                }
            }
        }
        self.let_go(me, held);
    }

    /// What was to be sent again on a right, and goes after its port: it comes behind
    /// what the port's old owner had not read.
    pub(super) fn take_behind(
        &mut self,
        me: TaskNumber,
        key: (TaskNumber, Ticket),
        slot: Slot,
    ) -> VecDeque<Again> {
        let follow = self.tasks[me].follows.get_mut(&key);
        let mut behind =
            follow.map(|follow| std::mem::take(&mut follow.behind)).unwrap_or_default();
        behind.extend(self.again_on(me, (key.0, slot)));
        behind
    }

    /// Takes what waits to be sent again on this right.
    fn again_on(&mut self, me: TaskNumber, (peer, slot): (TaskNumber, Slot)) -> VecDeque<Again> {
        if self.is(Fault::AgainStays) {
            return VecDeque::new();
        }
        let task = &mut self.tasks[me];
        let Some(link) = task.links.get_mut(&peer) else { return VecDeque::new() };
        let rights = &task.rights;
        let on = |one: &Again| rights.get(&one.over) == Some(&Right::PeerSend(peer, slot));
        let (taken, rest) = std::mem::take(&mut link.again).into_iter().partition(on);
        link.again = rest;
        taken
    }

    /// The old owner is dead: what was to be sent again to it waits with the claim.
    pub(crate) fn keep_behind(&mut self, me: TaskNumber, peer: TaskNumber, away: &[Slot]) {
        for &slot in away {
            let behind = self.again_on(me, (peer, slot));
            let key = self.follow(me, peer, slot);
            match key.and_then(|key| self.tasks[me].follows.get_mut(&key)) {
                Some(follow) => follow.behind.extend(behind),
                None => behind.into_iter().for_each(|one| self.lose_again(me, one)),
            }
        }
    }

    /// The right is where its port is: what was to go on it goes there.
    pub(super) fn send_behind(&mut self, me: TaskNumber, behind: VecDeque<Again>) {
        for one in behind {
            match self.tasks[me].rights.get(&one.over) {
                Some(&Right::PeerSend(owner, _)) if self.tasks[me].has_link(owner) => {
                    if let Some(link) = self.tasks[me].link(owner) {
                        link.again.push_back(one);
                    }
                }
                Some(&Right::OwnSend(lead)) => {
                    let Again { over, unread: Unread { number, rights, left, .. } } = one;
                    self.figures.again += 1;
                    let mail = Mail { left, ..Mail::plain(number, rights) };
                    self.adopt_mail(me, lead.port, mail, Place::Counted);
                    self.let_go(me, over);
                }
                _ => self.lose_again(me, one),
            }
        }
    }

    /// Sends what dead owners had not read, as far as there is room. Returns
    /// whether all of it is sent.
    pub(crate) fn push_again(&mut self, me: TaskNumber, peer: TaskNumber) -> bool {
        loop {
            let Some(link) = self.tasks[me].link(peer) else {
                return false;
            };
            let Some(Again { over, unread }) = link.again.front().cloned() else {
                return true;
            };
            let along = self.along(me, &unread.rights);
            let slot = match self.tasks[me].rights.get(&over) {
                Some(&Right::PeerSend(owner, slot)) if owner == peer => slot,
                _ => return false,
            };
            if self.is_away(me, peer, slot) {
                return false;
            }
            let may = unread.left.is_none();
            let Ok(way) = self.way(me, (peer, slot), &along, may) else { return false };
            let (state, grant) = self.look(peer, me, slot);
            if let Some(link) = self.tasks[me].link(peer)
                && let Some(imported) = link.imports.get_mut(&slot.index)
            {
                imported.import.look(grant);
                let may = unread.left.is_some() || imported.import.may_send();
                if state == abi::board::State::Live && !may {
                    // Where it went after its port, nobody keeps a place for it.
                    if !std::mem::replace(&mut imported.asked, true) {
                        self.say(me, peer, about(Kind::Ask, slot, 0));
                    }
                    return false;
                }
                let _ = link.again.pop_front();
            }
            if state == abi::board::State::Dead {
                self.lose(me, unread);
                self.let_go(me, over);
                continue;
            }
            self.say_again(me, (peer, slot), way, unread);
            self.let_go(me, over);
        }
    }

    fn say_again(
        &mut self,
        me: TaskNumber,
        (peer, slot): (TaskNumber, Slot),
        way: Way,
        unread: Unread,
    ) {
        self.figures.again += 1;
        let mut load = Load::default();
        let attached = self.name_all(me, peer, &unread.rights, (None, unread.left), &mut load);
        let mut rest = Vec::new();
        let flags = attached.encode(&mut rest) | flag::AGAIN;
        let extra = rest.len() as u32;
        let header = Header { flags, extra, id: unread.id, ..Header::new(Kind::Message, slot) };
        rest.extend_from_slice(&unread.number.to_le_bytes());
        self.write_message(me, (peer, slot), way, Frame::new(header, rest), &attached);
        self.show_spilled(me, peer);
        self.published(me, peer, &load);
        if let Some(link) = self.tasks[me].link(peer)
            && let Some(imported) = link.imports.get_mut(&slot.index)
        {
            if unread.left.is_some() {
                imported.import.left = true;
                imported.import.was_left();
            } else {
                imported.import.sent();
            }
        }
        for right in unread.rights {
            self.moved(me, peer, right);
        }
    }

    /// Where it was to be sent again the port is gone.
    pub(crate) fn lose_again(&mut self, me: TaskNumber, Again { over, unread }: Again) {
        self.lose(me, unread);
        self.let_go(me, over);
    }

    /// A message that was on its way to a port that is gone.
    pub(crate) fn lose(&mut self, me: TaskNumber, unread: Unread) {
        self.given_up.insert(unread.number);
        self.let_go_all(me, unread.rights);
    }
}

/// Which message it is.
pub(crate) fn number_of(frame: &Frame) -> u64 {
    frame.parts().1.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
