//! Messages left with a full port, and questions for room.
//!
//! A message that is left waits beside the queue with its owner, one of each
//! holder, and outlives its sender. Whoever is named in it is told when it is
//! taken. A question for room is answered once; the right to be told on stays with
//! who asked, and the question follows the port.

use abi::Slot;
use abi::frame::Kind;

use crate::control::{NO_SLOT, about};
use crate::fault::Fault;
use crate::task::{Holder, Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::World;

/// What a question for room is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RoomOf {
    Own(u32),
    Peer(TaskNumber, Slot),
}

/// What was asked about room in one port.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// Who is to be told, and the number of that request.
    pub(crate) to: Option<(u64, RightNumber)>,
    /// The request for which the question was put that is open.
    open: Option<u64>,
    requests: u64,
}

/// The sender of our own, as the window knows it.
const fn own(me: TaskNumber) -> Holder {
    (me, NO_SLOT)
}

impl World {
    // ---- left ----------------------------------------------------------------

    /// Leaves a message of our own task beside the queue of our own port.
    pub(crate) fn leave_home(&mut self, me: TaskNumber, port: u32, mail: Mail) -> Result<(), Mail> {
        let by = self.sender(me);
        match self.port(me, port) {
            Some(state) => state.queue.leave_of(by, own(me), mail),
            None => Err(mail),
        }
    }

    /// A message was received: whoever is named in it is told, and who left it
    /// may leave another.
    pub(crate) fn tell_accepted(&mut self, me: TaskNumber, port: u32, mail: &mut Mail) {
        let told = mail.left.take();
        if self.lefts.contains(&mail.number) && told.is_none() {
            let what = format!("message {} was left, and nobody is told", mail.number);
            self.violated("I7", what);
        }
        if let Some(told) = told {
            mail.rights.retain(|right| *right != told);
            self.notify(me, told);
        }
        self.tell_taken(me, port);
    }

    /// Says to those whose left message was taken that they may leave another.
    pub(crate) fn tell_taken(&mut self, me: TaskNumber, port: u32) {
        let Some(state) = self.port(me, port) else { return };
        for (peer, slot) in state.queue.left_taken() {
            if peer != me && !self.is(Fault::TakenUnsaid) {
                self.say(me, peer, about(Kind::Taken, slot, 0));
            }
        }
    }

    /// The owner has taken what we left.
    pub(crate) fn may_leave_again(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) {
        if let Some(link) = self.tasks[me].link(peer)
            && let Some(known) = link.imports.get_mut(&slot.index).filter(|it| it.slot == slot)
        {
            known.import.left = false;
        }
    }

    /// Against the rule: what a dead task had left goes with it.
    pub(crate) fn throw_away_left(&mut self, me: TaskNumber, peer: TaskNumber) {
        let ports: Vec<u32> = self.tasks[me].ports.keys().copied().collect();
        for port in ports {
            let mail = &self.mail;
            let from = |it: &Mail| mail.get(&it.number).is_some_and(|fact| fact.from == peer);
            let mut dropped = Vec::new();
            if let Some(state) = self.tasks[me].ports.get_mut(&port).filter(|state| state.alive) {
                let mut kept = Vec::new();
                for mut next in state.queue.unload() {
                    if next.message_mut().left.is_some() && from(next.message_mut()) {
                        dropped.push(next.into_message());
                    } else {
                        kept.push(next);
                    }
                }
                state.queue.reload(kept);
            }
            for mail in dropped {
                self.let_go_all(me, mail.rights);
            }
        }
    }

    // ---- room ----------------------------------------------------------------

    /// Asks to hear of room over some right.
    pub(crate) fn some_question_for_room(&mut self, me: TaskNumber) {
        let space: Vec<RightNumber> = self.tasks[me].space.iter().copied().collect();
        let Some(port) = self.some_own_port(me) else { return };
        if let Some(right) = self.chance.pick(&space)
            && let Some(&over) = self.tasks[me].rights.get(right)
            && matches!(over, Right::OwnSend(_) | Right::PeerSend(..))
        {
            let to = self.make_promise(me, port);
            self.figures.rooms += 1;
            self.ask_for_room(me, over, to);
        }
    }

    /// Tells `to` when there is room where this right leads.
    fn ask_for_room(&mut self, me: TaskNumber, over: Right, to: RightNumber) {
        let of = match over {
            Right::OwnSend(lead) if self.gone(me, lead.port).is_some() => {
                // It is asked again when our rights have followed.
                RoomOf::Own(lead.port)
            }
            Right::OwnSend(lead) if self.port(me, lead.port).is_some() => RoomOf::Own(lead.port),
            Right::PeerSend(peer, slot)
                if self.is_away(me, peer, slot)
                    || self.look(peer, me, slot).0 != abi::board::State::Dead =>
            {
                RoomOf::Peer(peer, slot)
            }
            _ => return self.notify(me, to),
        };
        let asked = self.tasks[me].rooms.entry(of).or_default();
        asked.requests += 1;
        let request = asked.requests;
        let before = asked.to.replace((request, to));
        let opens = asked.open.is_none();
        if opens {
            asked.open = Some(request);
        }
        if let Some((_, before)) = before {
            self.let_go(me, before);
        }
        match of {
            RoomOf::Own(port) => {
                if let Some(state) = self.port(me, port) {
                    state.queue.window.watch(own(me));
                }
                self.tell_room(me, port);
            }
            RoomOf::Peer(peer, slot) if opens => self.say(me, peer, about(Kind::Watch, slot, 0)),
            RoomOf::Peer(..) => {}
        }
    }

    /// A peer wants to hear once of room. Where its right has ended, or went
    /// elsewhere, the board says so.
    pub(crate) fn peer_asks_for_room(&mut self, me: TaskNumber, holder: Holder, lead: Lead) {
        let Some(state) = self.port(me, lead.port) else { return };
        if state.facets.counts(lead.facet) {
            state.queue.window.watch(holder);
            self.tell_room(me, lead.port);
        }
    }

    /// Tells those who wait for it that there is room, and notes when to look again
    /// for the others.
    pub(crate) fn tell_room(&mut self, me: TaskNumber, port: u32) {
        let Some(state) = self.port(me, port) else { return };
        let told = state.queue.window.tell_room();
        state.look_at = state.queue.window.next_expiry();
        for (peer, slot) in told {
            if peer == me {
                self.told_of_room(me, RoomOf::Own(port));
            } else if !self.is(Fault::RoomUntold) {
                self.say(me, peer, about(Kind::Room, slot, 0));
            }
        }
    }

    /// There is room, or was. Of a slot that went home we do not speak any more: who
    /// asked over its right let that go.
    pub(crate) fn told_of_room(&mut self, me: TaskNumber, of: RoomOf) {
        if let RoomOf::Peer(peer, slot) = of
            && !self.holds_slot(me, peer, slot)
        {
            return;
        }
        let Some(asked) = self.tasks[me].rooms.get_mut(&of) else { return };
        let open = asked.open.take();
        match asked.to.take() {
            Some((request, to)) if open == Some(request) || matches!(of, RoomOf::Own(_)) => {
                self.tasks[me].rooms.remove(&of);
                self.notify(me, to);
            }
            // It is the answer to an earlier request. There was room then.
            Some((request, to)) => {
                (asked.open, asked.to) = (Some(request), Some((request, to)));
                if let RoomOf::Peer(peer, slot) = of {
                    self.say(me, peer, about(Kind::Watch, slot, 0));
                }
            }
            None => {}
        }
    }

    /// Whether rights of ours lead to this slot of a peer's.
    fn holds_slot(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) -> bool {
        let known = self.tasks[me].link(peer).and_then(|link| link.imports.get(&slot.index));
        known.is_some_and(|known| known.slot == slot && known.rights > 0)
    }

    /// The port has gone to another task: the question goes after it; or it is
    /// dead.
    pub(crate) fn room_moved(&mut self, me: TaskNumber, of: RoomOf, becomes: Right) {
        if let Some(asked) = self.tasks[me].rooms.remove(&of)
            && let Some((_, to)) = asked.to
        {
            self.ask_for_room(me, becomes, to);
        }
    }

    /// The port is gone: who asked is told.
    pub(crate) fn room_ended(&mut self, me: TaskNumber, of: RoomOf) {
        if let Some(asked) = self.tasks[me].rooms.remove(&of)
            && let Some((_, to)) = asked.to
        {
            self.notify(me, to);
        }
    }

    /// Looks at the slots of a peer's that we asked about.
    pub(crate) fn see_rooms(&mut self, me: TaskNumber, peer: TaskNumber) {
        let asked = self.tasks[me].rooms.keys().filter_map(|of| match *of {
            RoomOf::Peer(to, slot) if to == peer => Some(slot),
            _ => None,
        });
        for slot in asked.collect::<Vec<_>>() {
            if !self.is_away(me, peer, slot)
                && (!self.tasks[me].has_link(peer)
                    || self.look(peer, me, slot).0 == abi::board::State::Dead)
            {
                self.room_ended(me, RoomOf::Peer(peer, slot));
            }
        }
    }

    /// Nobody has the right any more that a question was asked over.
    pub(crate) fn forget_rooms(&mut self, me: TaskNumber) {
        let task = &self.tasks[me];
        if task.rooms.is_empty() {
            return;
        }
        let held = |of: &RoomOf| {
            task.rights.values().any(|right| match *right {
                Right::OwnSend(lead) => *of == RoomOf::Own(lead.port),
                Right::PeerSend(peer, slot) => *of == RoomOf::Peer(peer, slot),
                _ => false,
            })
        };
        let gone = task.rooms.keys().filter(|of| !held(of)).copied().collect::<Vec<_>>();
        for of in gone {
            if let Some((_, to)) = self.tasks[me].rooms.remove(&of).and_then(|asked| asked.to) {
                self.let_go(me, to);
            }
        }
    }

    /// The world has come to rest, and every queue is empty: whoever asked was
    /// told, and everybody may leave another message.
    pub(crate) fn nobody_asks(&mut self, me: TaskNumber) {
        let asks = |(of, asked): (&RoomOf, &Asked)| asked.to.map(|_| *of);
        if let Some(of) = self.tasks[me].rooms.iter().find_map(asks) {
            let what = format!("task {me} was not told of room in {of:?}");
            self.violated("I6", what);
        }
        let links = self.tasks[me].links.iter().filter(|(_, link)| !link.ended);
        let held = links.flat_map(|(&peer, link)| link.imports.values().map(move |it| (peer, *it)));
        let waits = |(peer, known): &(TaskNumber, crate::task::Imported)| {
            known.import.left
                && known.rights > 0
                && self.look(*peer, me, known.slot).0 == abi::board::State::Live
        };
        if let Some((peer, known)) = held.filter(waits).collect::<Vec<_>>().first() {
            let what = format!("task {me} may never leave another message in {}", known.slot);
            let what = format!("{what} of task {peer}");
            self.violated("I6", what);
        }
    }
}
