//! What the old owner does before a move: the queue goes into a bag, the rights
//! that are out are listed, their slots marked, and the message published.

use std::collections::{BTreeMap, VecDeque};

use abi::Ticket;
use abi::bag::{Origin, OutRight, Passport, Place, armed};
use abi::frame::{Attached, Header, Kind};
use abi::right::{Address, Kind as RightKind};
use rights::moving::Leaving;
use rights::port::{Overflow, Unloaded};
use rights::window::Capacity;

use super::{Bag, Gone};
use crate::board::Moved;
use crate::carry::Load;
use crate::control::{NO_SLOT, about};
use crate::fault::Fault;
use crate::lane::{Frame, Lane};
use crate::pulse::Pulse;
use crate::task::{Holder, Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::World;

/// A receive right that is being sent.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) port: u32,
    ticket: Ticket,
    own: Ticket,
    unloaded: Vec<Unloaded<Mail, Holder>>,
    armed: Option<RightNumber>,
    frames: Vec<Frame>,
    listed: Vec<(Holder, Ticket)>,
}

impl Pack {
    /// Who holds rights that are out.
    pub(crate) fn holders(&self) -> impl Iterator<Item = TaskNumber> {
        self.listed.iter().map(|((holder, _), _)| *holder)
    }
}

/// A frame of a bag.
pub(super) fn in_bag(kind: Kind, tag: u64, attached: &Attached, body: &[u8]) -> Frame {
    let mut rest = Vec::new();
    let flags = attached.encode(&mut rest);
    let extra = rest.len() as u32;
    rest.extend_from_slice(body);
    Frame::new(Header { tag, flags, extra, ..Header::new(kind, NO_SLOT) }, rest)
}

pub(super) fn out_frame(ticket: Ticket, holder: TaskNumber, have: u64) -> Frame {
    let out = OutRight { holder: World::id(holder), address: Address::default(), have };
    in_bag(Kind::Out, ticket.0, &Attached::default(), &out.encode())
}

impl World {
    /// A ticket nobody has.
    pub(crate) fn ticket(&mut self, me: TaskNumber) -> Ticket {
        self.tasks[me].tickets += 1;
        Ticket(self.tasks[me].tickets)
    }

    /// Whether the receive right may go to another task now.
    pub(crate) fn may_move(&self, me: TaskNumber, port: u32) -> bool {
        let task = &self.tasks[me];
        let settled = |port| {
            let mut adopted = task.adopted.values().filter(|adopted| adopted.port == port);
            adopted.all(|adopted| adopted.followers.may_move_on())
        };
        task.ports
            .get(&port)
            .is_some_and(|state| state.alive && state.facets.rules.is_empty() && settled(port))
    }

    /// Every right that goes along with these: those in the queues of ports that
    /// move among them.
    pub(crate) fn along(&self, me: TaskNumber, rights: &[RightNumber]) -> Vec<RightNumber> {
        let task = &self.tasks[me];
        let mut all = rights.to_vec();
        let mut next = 0;
        while let Some(right) = all.get(next) {
            next += 1;
            if let Some(Right::Receive(port)) = task.rights.get(right)
                && let Some(state) = task.ports.get(port)
            {
                all.extend(state.queue.iter().flat_map(|mail| mail.rights.iter().copied()));
                all.extend(state.armed);
            }
        }
        all
    }

    /// The ports among them may move.
    pub(crate) fn ports_may_move(&self, me: TaskNumber, rights: &[RightNumber]) -> bool {
        rights.iter().all(|right| match self.tasks[me].rights.get(right) {
            Some(&Right::Receive(port)) => self.may_move(me, port),
            _ => true,
        })
    }

    /// Puts what is in the queue into a bag that nobody sees yet.
    pub(crate) fn pack(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        port: u32,
        load: &mut Load,
    ) -> Ticket {
        let (ticket, own) = (self.ticket(me), self.ticket(me));
        self.wait_for_nothing_again(me, port);
        let Some(state) = self.port(me, port) else {
            return ticket;
        };
        let armed = state.armed.take();
        let mut unloaded = state.queue.unload();
        let mut attached = Attached::default();
        if let Some(right) = armed {
            attached.rights.push(self.name(me, peer, right, load));
        }
        let mut frames = vec![self.passport(me, port, &attached)];
        for next in &mut unloaded {
            let place = if next.is_beyond() { Place::Beyond } else { Place::Counted };
            let as_one = self.is(Fault::PulsesMoveAsOne);
            let pulses = if as_one { next.pulses().min(1) } else { next.pulses() };
            let origin = Origin { ticket: 0, place, pulses };
            let mail = next.message_mut().clone();
            frames.push(self.bagged(me, peer, origin, &mail, load));
        }
        let listed = Vec::new();
        load.packs.push(Pack { port, ticket, own, unloaded, armed, frames, listed });
        ticket
    }

    fn passport(&self, me: TaskNumber, port: u32, attached: &Attached) -> Frame {
        let Some(state) = self.tasks[me].ports.get(&port) else {
            return in_bag(Kind::Port, 0, attached, &[]);
        };
        let promises = self.tasks[me].promised_to(port);
        let passport = Passport {
            capacity: match state.queue.window.capacity() {
                Capacity::Rendezvous => 0,
                Capacity::Bounded(places) => u64::from(places),
                Capacity::Unbounded => u64::MAX,
            },
            pulses: state.options.pulses,
            by_priority: false,
            merge_pulses: state.options.merge_pulses,
            overflow: match state.options.overflow {
                Overflow::DropOldest => 1,
                Overflow::DropNewest => 2,
                _ => 0,
            },
            armed: if attached.rights.is_empty() { 0 } else { armed::NO_SENDERS },
            promises,
            made: state.senders.made(),
            dropped: state.queue.dropped(),
            birth: state.birth,
        };
        in_bag(Kind::Port, state.queue.turns(), attached, &passport.encode())
    }

    /// A message as it lies in a bag.
    pub(super) fn bagged(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        origin: Origin,
        mail: &Mail,
        load: &mut Load,
    ) -> Frame {
        let attached = self.name_all(me, peer, &mail.rights, (None, mail.left), load);
        let mut body = origin.encode().to_vec();
        let word = mail.pulse.map_or(mail.number, Pulse::word);
        body.extend_from_slice(&word.to_le_bytes());
        in_bag(Kind::Message, 0, &attached, &body)
    }

    /// Whether anything has come to these ports since they were packed.
    pub(crate) fn came_since(&self, me: TaskNumber, load: &Load) -> bool {
        load.packs.iter().any(|pack| {
            let state = self.tasks[me].ports.get(&pack.port);
            state.is_none_or(|state| !state.alive || !state.queue.holds_nothing())
        })
    }

    /// Lists the rights that are out, and marks their slots.
    pub(crate) fn mark(&mut self, me: TaskNumber, peer: TaskNumber, load: &mut Load) {
        for at in 0..load.packs.len() {
            let (port, own) = (load.packs[at].port, load.packs[at].own);
            let mut frames =
                vec![self.passport(me, port, &Attached::default()), out_frame(own, me, 0)];
            for (holder, have) in self.holders(me, port) {
                let ticket = self.ticket(me);
                frames.push(out_frame(ticket, holder.0, have));
                load.packs[at].listed.push((holder, ticket));
                if !self.is(Fault::MarkForgotten) {
                    let moved = Moved { owner: peer, ticket };
                    self.outbound(me, holder.0).board.mark(holder.1, moved);
                }
            }
            load.packs[at].frames.append(&mut frames);
        }
    }

    /// The rights to a port that peers hold, and how many messages came of each.
    fn holders(&self, me: TaskNumber, port: u32) -> Vec<(Holder, u64)> {
        let task = &self.tasks[me];
        let mut holders = Vec::new();
        for (&peer, link) in task.links.iter().filter(|(_, link)| !link.ended) {
            for (slot, export) in link.exports.iter() {
                if export.kind == RightKind::Send && export.port == Lead::to(port) {
                    let came =
                        task.ports.get(&port).and_then(|state| state.came.get(&(peer, slot)));
                    holders.push(((peer, slot), came.copied().unwrap_or(0)));
                }
            }
        }
        holders.sort_unstable();
        holders
    }

    /// All who hold rights to a port.
    pub(crate) fn holders_of_all(&self, me: TaskNumber, port: u32) -> Vec<Holder> {
        self.holders(me, port).into_iter().map(|(holder, _)| holder).collect()
    }

    /// The honest ones among those who hold rights to a port.
    pub(crate) fn holders_of(&self, me: TaskNumber, port: u32) -> Vec<Holder> {
        let holders = self.holders(me, port).into_iter().map(|(holder, _)| holder);
        holders.filter(|(peer, _)| self.tasks[*peer].honest()).collect()
    }

    /// Takes the marks back: whoever has seen one looks again.
    pub(crate) fn unmark(&mut self, me: TaskNumber, load: &Load) {
        for pack in &load.packs {
            for &((peer, slot), _) in &pack.listed {
                self.outbound(me, peer).board.unmark(slot);
                self.say(me, peer, about(Kind::Look, slot, 0));
            }
        }
    }

    /// The move was not published: everything is as it was.
    pub(crate) fn unpack(&mut self, me: TaskNumber, load: &mut Load) {
        for pack in std::mem::take(&mut load.packs).into_iter().rev() {
            let Some(state) = self.port(me, pack.port) else {
                continue;
            };
            let since = state.queue.unload();
            state.queue.reload(pack.unloaded.into_iter().chain(since));
            // The last sender may have gone meanwhile.
            let forgotten = self.is(Fault::NotArmedAnew);
            match self.port(me, pack.port) {
                Some(state) if forgotten => state.armed = pack.armed,
                _ => self.arm(me, pack.port, pack.armed),
            }
            self.serve(me, pack.port);
        }
    }

    /// The message that moves the ports is published: that was the move.
    pub(crate) fn commit(&mut self, me: TaskNumber, peer: TaskNumber, packs: Vec<Pack>) {
        let receives = self.receives_of(me, &packs);
        for receive in &receives {
            self.tasks[me].rights.remove(receive);
        }
        for pack in packs {
            self.figures.moves += 1;
            self.leave_set(me, pack.port);
            let relayed = self.tasks[me].promises_to(pack.port);
            let mut lane = Lane::default();
            for frame in &pack.frames {
                lane.publish(&frame.encode());
            }
            let first = self.first_name(pack.port);
            let unnamed =
                self.tasks[me].promised_to(pack.port).saturating_sub(relayed.len() as u64);
            let bag = Bag { lane, to: peer, first, promised: VecDeque::new(), relayed, unnamed };
            self.bags.insert((me, pack.ticket), bag);
            self.rehome(pack.port, peer);
            let held =
                Right::Joining { giver: me, owner: peer, ticket: pack.own, kind: RightKind::Send };
            let held = self.tasks[me].keep(held);
            let mut leaving = Leaving::Here;
            leaving.mark();
            leaving.commit();
            let out: BTreeMap<Holder, Ticket> = pack.listed.iter().copied().collect();
            if let Some(state) = self.port(me, pack.port) {
                state.alive = false;
                state.look_at = None;
                state.charged.clear();
                state.gone = Some(Gone {
                    to: peer,
                    ticket: pack.ticket,
                    leaving,
                    out,
                    own: pack.own,
                    held,
                    quiet: false,
                    parked: VecDeque::new(),
                    busy: false,
                });
            }
            for waiting in &mut self.tasks[me].waiting {
                waiting.asleep = false;
            }
            let carried = pack.unloaded.into_iter().flat_map(|next| next.into_message().rights);
            for right in carried.chain(pack.armed).collect::<Vec<_>>() {
                if !receives.contains(&right) {
                    self.moved(me, peer, right);
                }
            }
            self.claim(me, peer, me, pack.own);
            if !self.is(Fault::CommitUnsaid) {
                for ((peer, slot), _) in pack.listed {
                    self.say(me, peer, about(Kind::Look, slot, 0));
                }
            }
        }
    }

    /// The receive rights that go.
    pub(crate) fn receives_of(&self, me: TaskNumber, packs: &[Pack]) -> Vec<RightNumber> {
        let ports = packs.iter().filter_map(|pack| self.tasks[me].ports.get(&pack.port));
        ports.map(|state| state.receive).collect()
    }

    /// The world takes note of whose a port is now.
    fn rehome(&mut self, port: u32, to: TaskNumber) {
        let first = self.first_name(port);
        if self.tasks[to].honest() {
            self.homes.insert(first, to);
            for fact in self.mail.values_mut().filter(|fact| fact.port == first) {
                fact.to = to;
            }
        } else {
            self.homes.remove(&first);
            self.mail.retain(|_, fact| fact.port != first);
        }
    }

    /// What a port was called before it ever moved.
    pub(crate) fn first_name(&self, port: u32) -> u32 {
        self.first_names.get(&port).copied().unwrap_or(port)
    }
}
