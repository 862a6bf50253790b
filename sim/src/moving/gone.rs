//! A port that has gone to another task: what its old owner still does for it.

use abi::bag::{Origin, Place};
use abi::frame::{Attached, Kind};
use abi::right::Kind as RightKind;
use abi::{Slot, Ticket};
use rights::moving::Arrival;

use super::pack::{in_bag, out_frame};
use super::{Forwarded, Gone, UNNAMED};
use crate::board::Moved;
use crate::carry::Load;
use crate::control::{NO_SLOT, about};
use crate::fault::Fault;
use crate::lane::Frame;
use crate::left::RoomOf;
use crate::task::{Holder, Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    pub(crate) fn gone(&mut self, me: TaskNumber, port: u32) -> Option<&mut Gone> {
        self.tasks[me].ports.get_mut(&port)?.gone.as_mut()
    }

    /// A message has come for a port that went away. What is not forwarded comes
    /// back.
    pub(crate) fn forward(
        &mut self,
        me: TaskNumber,
        port: u32,
        (from, promise): (Option<Holder>, Option<u64>),
        mut mail: Mail,
    ) -> Option<Mail> {
        if self.gone(me, port).is_some() {
            self.break_circles(me, port, &mut mail);
        }
        let Some(gone) = self.gone(me, port) else {
            return Some(mail);
        };
        if gone.leaving.arrival() != Arrival::Bag {
            self.excuse(me, mail);
            return None;
        }
        let ticket = from.and_then(|from| gone.out.get(&from)).map_or(0, |ticket| ticket.0);
        let place = if promise.is_some() { Place::Promised } else { Place::Counted };
        let (ticket, pulses) = if mail.pulse.is_some() { (0, 1) } else { (ticket, 0) };
        let origin = Origin { ticket, place, pulses };
        let number = mail.number;
        gone.parked.push_back(Forwarded { origin, mail, promise });
        self.tell(|_| format!("message {number} is passed on by port {port} of {me}"));
        self.push_parked(me, port);
        None
    }

    /// Puts what waits into the bag, as far as its rights can be named now.
    pub(crate) fn push_parked(&mut self, me: TaskNumber, port: u32) {
        while let Some(gone) = self.gone(me, port).filter(|gone| !gone.busy)
            && let Some(first) = gone.parked.pop_front()
        {
            gone.busy = true;
            let back = self.put(me, port, first);
            let Some(gone) = self.gone(me, port) else {
                return;
            };
            gone.busy = false;
            if let Some(back) = back {
                gone.parked.push_front(back);
                return;
            }
        }
    }

    /// A port with terms does not move, nor does one that has such a port in its
    /// queue: where their receive rights wait to be passed on they end.
    fn end_what_cannot_move(&mut self, me: TaskNumber, mail: &mut Mail) {
        let along = self.along(me, &mail.rights);
        let fixed = |right: &RightNumber| match self.tasks[me].rights.get(right) {
            Some(Right::Receive(inner)) => self.tasks[me]
                .ports
                .get(inner)
                .is_none_or(|state| !state.alive || !state.facets.rules.is_empty()),
            _ => false,
        };
        if !along.iter().any(fixed) {
            return;
        }
        for at in 0..mail.rights.len() {
            let right = mail.rights[at];
            if matches!(self.tasks[me].rights.get(&right), Some(Right::Receive(_))) {
                mail.rights[at] = self.tasks[me].keep(Right::Dead(RightKind::Send));
                self.let_go(me, right);
            }
        }
    }

    /// Puts one message into the bag. What cannot be named yet comes back.
    fn put(&mut self, me: TaskNumber, port: u32, mut forwarded: Forwarded) -> Option<Forwarded> {
        let to = self.gone(me, port)?.to;
        self.end_what_cannot_move(me, &mut forwarded.mail);
        let Some(stopped) = self.stop_spilling(me, &forwarded.mail.rights) else {
            return Some(forwarded);
        };
        let back = self.put_settled(me, port, to, forwarded);
        // For those that stayed.
        self.spill_again(me, &stopped);
        back
    }

    fn put_settled(
        &mut self,
        me: TaskNumber,
        port: u32,
        to: TaskNumber,
        mut forwarded: Forwarded,
    ) -> Option<Forwarded> {
        // What was spilled for a port of these brought others.
        self.end_what_cannot_move(me, &mut forwarded.mail);
        let along = self.along(me, &forwarded.mail.rights);
        if !self.tasks[me].has_link(to)
            || !self.nameable(me, to, &along, 0)
            || !self.ports_may_move(me, &along)
        {
            return Some(forwarded);
        }
        let Forwarded { origin, mail, promise } = forwarded;
        let mut load = Load::default();
        let frame = self.bagged(me, to, origin, &mail, &mut load);
        self.mark(me, to, &mut load);
        self.put_in_bag(me, port, &frame, promise);
        self.published(me, to, &load);
        let packs = std::mem::take(&mut load.packs);
        let moving = self.receives_of(me, &packs);
        self.commit(me, to, packs);
        for right in mail.rights {
            if !moving.contains(&right) {
                self.moved(me, to, right);
            }
        }
        None
    }

    fn put_in_bag(&mut self, me: TaskNumber, port: u32, frame: &Frame, promise: Option<u64>) {
        let Some(gone) = self.gone(me, port) else {
            return;
        };
        let (to, ticket) = (gone.to, gone.ticket);
        if let Some(bag) = self.bags.get_mut(&(me, ticket)) {
            bag.lane.publish(&frame.encode());
            if let Some(promise) = promise {
                if promise == UNNAMED {
                    bag.unnamed = bag.unnamed.saturating_sub(1);
                }
                bag.relayed.remove(&promise);
                bag.promised.push_back(promise);
            }
        }
        self.say(me, to, about(Kind::Bag, NO_SLOT, ticket.0));
    }

    /// A peer holds a right to it no more.
    pub(crate) fn left(&mut self, me: TaskNumber, port: u32, holder: Holder) {
        let Some(ticket) = self.gone(me, port).and_then(|gone| gone.out.remove(&holder)) else {
            return;
        };
        if !self.is(Fault::EndUntold) {
            self.end_in_bag(me, port, ticket);
        }
    }

    fn end_in_bag(&mut self, me: TaskNumber, port: u32, ticket: Ticket) {
        let frame = in_bag(Kind::Ended, ticket.0, &Attached::default(), &[]);
        if self.gone(me, port).is_some_and(|gone| gone.leaving.arrival() == Arrival::Bag) {
            self.put_in_bag(me, port, &frame, None);
        }
    }

    /// A peer was given a right that was on its way before the move: it follows at
    /// once. False where the port has not gone to anybody.
    pub(crate) fn exported_gone(&mut self, me: TaskNumber, port: u32, holder: Holder) -> bool {
        let Some(gone) = self.gone(me, port) else {
            return false;
        };
        if gone.leaving.arrival() != Arrival::Bag {
            return false;
        }
        let owner = gone.to;
        let ticket = self.ticket(me);
        if let Some(gone) = self.gone(me, port) {
            gone.out.insert(holder, ticket);
        }
        self.put_in_bag(me, port, &out_frame(ticket, holder.0, 0), None);
        let board = &mut self.outbound(me, holder.0).board;
        board.set(holder.1, abi::board::State::Live, 0);
        board.mark(holder.1, Moved { owner, ticket });
        true
    }

    /// Our own rights to the port have become rights of its new owner's.
    pub(crate) fn own_joined(&mut self, me: TaskNumber) {
        let task = &self.tasks[me];
        let mut known = Vec::new();
        for (&port, state) in &task.ports {
            if let Some(gone) = &state.gone
                && let Some(&right) = task.rights.get(&gone.held)
                && !matches!(right, Right::Joining { .. })
            {
                known.push((port, right));
            }
        }
        for (port, right) in known {
            self.own_follow(me, port, right);
        }
    }

    fn own_follow(&mut self, me: TaskNumber, port: u32, becomes: Right) {
        let mut count = 0;
        for right in self.tasks[me].rights.values_mut() {
            if *right == Right::OwnSend(Lead::to(port)) {
                *right = becomes;
                count += 1;
            }
        }
        match becomes {
            Right::PeerSend(owner, slot) if count > 0 => {
                if let Some(link) = self.tasks[me].link(owner)
                    && let Some(imported) = link.imports.get_mut(&slot.index)
                {
                    imported.rights += count;
                }
            }
            Right::OwnSend(lead) => {
                for _ in 0..count {
                    if let Some(state) = self.port(me, lead.port) {
                        state.senders.add();
                    }
                }
            }
            _ => {}
        }
        self.room_moved(me, RoomOf::Own(port), becomes);
        if count > 0 {
            self.figures.follows += count;
            for waiting in &mut self.tasks[me].waiting {
                waiting.asleep = false;
            }
        }
    }

    /// Forgets the ports that went away and that nothing here leads to any more.
    pub(crate) fn forget_gone(&mut self, me: TaskNumber) {
        let gone: Vec<u32> = self.tasks[me]
            .ports
            .iter()
            .filter(|(_, state)| state.gone.is_some())
            .map(|(&port, _)| port)
            .collect();
        for port in gone {
            self.push_parked(me, port);
            let (sends, any) = self.leads_there(me, port);
            let Some(gone) = self.gone(me, port) else { continue };
            if !sends && !std::mem::replace(&mut gone.quiet, true) {
                let (own, held) = (gone.own, gone.held);
                self.end_in_bag(me, port, own);
                self.let_go(me, held);
            }
            if !any {
                self.tasks[me].ports.remove(&port);
            }
        }
    }

    /// Whether a send right here still leads to a port that went away, and whether
    /// anything does. Send-once rights are no senders: if the new owner counted
    /// them it would never hear of no senders on one of them.
    fn leads_there(&self, me: TaskNumber, port: u32) -> (bool, bool) {
        let task = &self.tasks[me];
        let gone = task.ports.get(&port).and_then(|state| state.gone.as_ref());
        let here = task.rights.values().filter_map(|right| match right {
            Right::OwnSend(lead) => Some((lead.port, RightKind::Send)),
            Right::OwnOnce(lead) => Some((lead.port, RightKind::SendOnce)),
            _ => None,
        });
        let exports = task.links.values().flat_map(|link| link.exports.iter());
        let exports = exports.map(|(_, export)| (export.port.port, export.kind));
        let given = task.gives.iter().map(|(_, given)| (given.port.port, given.kind));
        let (mut sends, mut any) = (false, gone.is_some_and(|gone| !gone.parked.is_empty()));
        for (_, kind) in here.chain(exports).chain(given).filter(|(to, _)| *to == port) {
            sends |= kind == RightKind::Send || self.is(Fault::PromisesAreSenders);
            any = true;
        }
        // What an owner before us still passes on goes through us.
        any |= task.relayed.iter().any(|(_, to)| *to == port);
        (sends, any || sends)
    }

    /// The new owner is dead, and with it every port that went to it: whoever has
    /// not followed is told by us.
    pub(crate) fn new_owner_died(&mut self, me: TaskNumber, peer: TaskNumber) {
        let mut ended = Vec::new();
        for (&port, state) in &mut self.tasks[me].ports {
            if let Some(gone) = &mut state.gone
                && gone.to == peer
                && gone.leaving.new_owner_died()
            {
                ended.push((port, std::mem::take(&mut gone.out), std::mem::take(&mut gone.parked)));
            }
        }
        for (port, out, parked) in ended {
            for (peer, slot) in out.into_keys() {
                self.outbound(me, peer).board.die(slot);
                self.say(me, peer, about(Kind::Look, slot, 0));
            }
            for forwarded in parked {
                self.excuse(me, forwarded.mail);
            }
            // Nobody is there to hear how these end.
            for promise in self.tasks[me].promises_to(port) {
                self.tasks[me].promises.remove(&promise);
                self.promises.remove(&promise);
            }
        }
    }

    /// Where the port of a marked slot goes.
    pub(crate) fn marked(&self, owner: TaskNumber, me: TaskNumber, slot: Slot) -> Option<Moved> {
        self.memory.get(&(owner, me))?.board.moved(slot)
    }
}
