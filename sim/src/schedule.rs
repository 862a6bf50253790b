//! Who does what next, by chance.

use abi::board::State;
use abi::frame::{Attached, Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, limits};
use rights::port::Overflow;
use rights::window::Capacity;

use crate::control::NO_SLOT;
use crate::facet::IDS;
use crate::lane::Frame;
use crate::task::{Lead, Nature, Options, Outgoing, Right, RightNumber, Task, TaskNumber};
use crate::world::World;

/// Rights one task keeps at most.
const SPACE: usize = 40;
/// Messages of one task that wait at a time.
const WAITING: usize = 4;
/// Ports that live, of one task.
const PORTS: usize = 4;
/// Tasks that live and die in a run, for each that lives at a time.
const BIRTHS: usize = 4;

impl World {
    /// Ports for everybody, and a tree of links with one right each way.
    pub(crate) fn begin(&mut self) {
        for me in 0..self.crowd {
            let parent = self.chance.below(me as u64) as TaskNumber;
            self.born(parent);
        }
    }

    /// A new task, with a link to the one that made it. The first is its own.
    fn born(&mut self, parent: TaskNumber) {
        let me = self.tasks.len();
        if me >= BIRTHS * self.crowd {
            return;
        }
        // The first are always honest, and in half of all runs everybody is.
        let liar = self.liars && me > 1 && self.chance.below(3) == 0;
        let nature = if liar { Nature::Hostile } else { Nature::Honest };
        self.tasks.push(Task::new(me, nature));
        for _ in 0..2 {
            self.some_port(me);
        }
        if self.open(me, parent) {
            self.send_welcome(me, parent);
            self.send_welcome(parent, me);
        }
    }

    fn some_port(&mut self, me: TaskNumber) {
        let capacity = match self.chance.below(7) {
            0..3 => Capacity::Bounded(1 + self.chance.below(3) as u32),
            3..5 => Capacity::Bounded(12),
            5 => Capacity::Rendezvous,
            _ => Capacity::Unbounded,
        };
        let armed = self.chance.below(2) == 0;
        let overflow = match (capacity, self.chance.below(5)) {
            (Capacity::Bounded(_), 0) => Overflow::DropOldest,
            (Capacity::Bounded(_), 1) => Overflow::DropNewest,
            _ => Overflow::Refuse,
        };
        let pulses = self.chance.below(4) as u32;
        let merge_pulses = self.chance.below(2) == 0;
        let right = self.make_port(me, Options { capacity, overflow, pulses, merge_pulses }, armed);
        if let Some(&Right::OwnSend(lead)) = self.tasks[me].rights.get(&right)
            && self.chance.below(2) == 0
        {
            self.join_set(me, lead.port);
        }
    }

    fn send_welcome(&mut self, me: TaskNumber, peer: TaskNumber) {
        let slot = if self.tasks[me].honest() {
            let port = self.tasks[me].ports.iter().find(|(_, state)| state.alive);
            let port = port.map(|(&port, _)| port);
            let lead = port.map(|port| self.some_lead(me, port));
            let slot = lead.and_then(|lead| self.export(me, peer, lead, RightKind::Send));
            if let (Some(slot), Some(link)) = (slot, self.tasks[me].link(peer)) {
                link.exports.published(slot);
            }
            slot
        } else {
            let slot = Slot { index: 0, generation: 1 };
            self.outbound(me, peer).board.set(slot, State::Live, 5);
            Some(slot)
        };
        let mut rest = Vec::new();
        let attached = Attached {
            rights: slot.map(|slot| RightRef::Mine(RightKind::Send, slot)).into_iter().collect(),
            ..Attached::default()
        };
        let flags = attached.encode(&mut rest);
        let header =
            Header { flags, extra: rest.len() as u32, ..Header::new(Kind::Welcome, NO_SLOT) };
        self.say(me, peer, Frame::new(header, rest));
    }

    /// The port's own right, or a facet just made.
    fn some_lead(&mut self, me: TaskNumber, port: u32) -> Lead {
        let whole = self.tasks[me].keep(Right::OwnSend(Lead::to(port)));
        let narrow = if self.chance.below(2) == 0 { self.narrow(me, whole) } else { None };
        self.tasks[me].rights.remove(&whole);
        let lead = narrow.and_then(|narrow| match self.tasks[me].rights.get(&narrow) {
            Some(&Right::OwnSend(lead)) => Some(lead),
            _ => None,
        });
        self.tasks[me].space.extend(narrow);
        lead.unwrap_or(Lead::to(port))
    }

    /// One step of somebody.
    pub(crate) fn step(&mut self) {
        self.now_ns += match self.chance.below(200) {
            0 => self.chance.below(2 * limits::ORPHAN_GIVE_NS),
            1..20 => self.chance.below(2 * limits::GRANT_IDLE_NS),
            _ => self.chance.below(100_000),
        };
        let awake: Vec<TaskNumber> =
            (0..self.tasks.len()).filter(|&me| self.is_awake(me)).collect();
        let Some(&me) = self.chance.pick(&awake) else {
            return;
        };
        if awake.len() < self.crowd && self.chance.in_thousand(30) {
            return self.born(me);
        }
        self.acts(me);
    }

    fn acts(&mut self, me: TaskNumber) {
        if !self.tasks[me].honest() {
            self.lie(me);
            return;
        }
        self.act(me);
        if self.tasks[me].alive {
            self.look_round(me);
        }
    }

    /// One step of anybody but `me`.
    pub(crate) fn somebody(&mut self, me: Option<TaskNumber>) {
        let awake = |it: &Task| it.alive && it.paused_until <= self.now_ns;
        let others = self.tasks.iter().enumerate();
        let others = others.filter(|(other, task)| Some(*other) != me && awake(task));
        let others: Vec<TaskNumber> = others.map(|(other, _)| other).collect();
        if let Some(&other) = self.chance.pick(&others) {
            self.acts(other);
        }
    }

    fn act(&mut self, me: TaskNumber) {
        match self.chance.below(1000) {
            0..240 => self.some_send(me),
            240..255 => self.some_pulse(me),
            600..700 => self.receive_from_set(me),
            700..725 => self.share(me),
            255..266 => self.some_service(me),
            266..270 => self.some_question_for_room(me),
            270..600 => {
                let full: Vec<TaskNumber> = self.tasks[me]
                    .links
                    .keys()
                    .copied()
                    .filter(|&peer| self.shows(peer, me))
                    .collect();
                if let Some(&peer) = self.chance.pick(&full) {
                    let limit = 1 + self.chance.below(8);
                    self.drain(me, peer, limit);
                }
            }
            725..830 => {
                let ports: Vec<u32> = self.tasks[me]
                    .ports
                    .iter()
                    .filter(|(_, state)| {
                        let rendezvous = state.queue.window.capacity() == Capacity::Rendezvous;
                        rendezvous || !state.queue.is_empty()
                    })
                    .map(|(&port, _)| port)
                    .collect();
                if let Some(&port) = self.chance.pick(&ports) {
                    self.receive(me, port);
                }
            }
            830..870 => {
                if let Some(right) = self.idle_right(me) {
                    self.tasks[me].space.remove(&right);
                    self.let_go(me, right);
                }
            }
            870..900 => {
                let gone: Vec<TaskNumber> = self.tasks[me]
                    .links
                    .iter()
                    .filter(|(peer, link)| !link.ended && self.hung_up(**peer, me))
                    .map(|(&peer, _)| peer)
                    .collect();
                if let Some(&peer) = self.chance.pick(&gone) {
                    self.notice(me, peer);
                }
            }
            900..912 => self.make_some_send(me),
            912..920 => {
                let until = self.now_ns + self.chance.below(4 * limits::GRANT_IDLE_NS);
                self.tasks[me].paused_until = until;
            }
            920..924 => {
                if let Some(right) = self.some_receive(me) {
                    self.tasks[me].space.remove(&right);
                    self.let_go(me, right);
                }
            }
            924..932 => {
                let ports = self.tasks[me].ports.values();
                if ports.filter(|state| state.alive).count() < PORTS {
                    self.some_port(me);
                }
            }
            932..934 => self.kill(me),
            934..954 => {
                let own: Vec<RightNumber> = self.tasks[me].space.iter().copied().collect();
                if let Some(&right) = self.chance.pick(&own)
                    && let Some(narrow) = self.narrow(me, right)
                {
                    self.tasks[me].space.insert(narrow);
                }
            }
            954..957 => self.revoke_some(me),
            957..967 => self.some_change_of_mind(me),
            967..983 => self.some_service(me),
            _ => {
                if let Some(right) = self.idle_right(me)
                    && let Some(copy) = self.copy(me, right)
                {
                    self.tasks[me].space.insert(copy);
                }
            }
        }
    }

    /// What a task does whenever it is awake: says what it had kept, looks
    /// after those who wait, and at its clock.
    pub(crate) fn look_round(&mut self, me: TaskNumber) {
        let peers: Vec<TaskNumber> = self.tasks[me].links.keys().copied().collect();
        for peer in peers {
            self.flush(me, peer);
        }
        for peer in self.tasks[me].links.keys().copied().collect::<Vec<_>>() {
            if self.calm || self.chance.below(2) == 0 {
                self.outbound(peer, me).lane.announce();
            }
            let _ = self.push_again(me, peer);
        }
        self.ask_new_owners(me);
        self.forget_gone(me);
        self.unwatch_gone(me);
        self.forget_rooms(me);
        self.retry(me);
        self.end_left(me, None);
        self.expire_gives(me);
        self.expire_facets(me);
        let now_ns = self.now_ns;
        let due: Vec<u32> = self.tasks[me]
            .ports
            .iter()
            .filter(|(_, state)| state.look_at.is_some_and(|at| at <= now_ns))
            .map(|(&port, _)| port)
            .collect();
        for port in due {
            self.serve(me, port);
        }
    }

    pub(crate) fn is_awake(&self, me: TaskNumber) -> bool {
        self.tasks[me].alive && self.tasks[me].paused_until <= self.now_ns
    }

    pub(crate) fn lane_shows(&self, from: TaskNumber, to: TaskNumber) -> bool {
        let out = self.memory.get(&(from, to));
        self.tasks[to].has_link(from) && out.is_some_and(|out| out.lane.head() > out.lane.tail())
    }

    /// One more send right to a port of our own: more often than not to one that came,
    /// and that not everybody has come after.
    fn make_some_send(&mut self, me: TaskNumber) {
        let task = &self.tasks[me];
        let mut ports: Vec<u32> = Vec::new();
        for right in &task.space {
            if let Some(&Right::Receive(port)) = task.rights.get(right) {
                ports.push(port);
            }
        }
        let open = |port: &u32| {
            let mut adopted = task.adopted.values().filter(|adopted| adopted.port == *port);
            adopted.any(|adopted| !adopted.followers.is_empty())
        };
        let came: Vec<u32> = ports.iter().copied().filter(open).collect();
        if !came.is_empty() {
            ports = came;
        } else if self.chance.below(4) > 0 {
            return;
        }
        if let Some(&port) = self.chance.pick(&ports)
            && let Some(state) = self.port(me, port)
        {
            state.senders.add();
            let right = self.tasks[me].keep(Right::OwnSend(Lead::to(port)));
            self.tasks[me].space.insert(right);
        }
    }

    /// A receive right of the user's.
    fn some_receive(&mut self, me: TaskNumber) -> Option<RightNumber> {
        let task = &self.tasks[me];
        let receives: Vec<RightNumber> =
            task.space.iter().copied().filter(|&it| task.is_receive(it)).collect();
        self.chance.pick(&receives).copied()
    }

    /// A right of the user's that no waiting message goes over, and that is no
    /// receive right.
    fn idle_right(&mut self, me: TaskNumber) -> Option<RightNumber> {
        let task = &self.tasks[me];
        let space: Vec<RightNumber> =
            task.space.iter().copied().filter(|&it| !task.is_receive(it)).collect();
        let right = *self.chance.pick(&space)?;
        (!self.tasks[me].is_busy(right)).then_some(right)
    }

    fn some_send(&mut self, me: TaskNumber) {
        if self.tasks[me].waiting.len() >= WAITING {
            return;
        }
        while self.tasks[me].space.len() > SPACE {
            let Some(right) = self.idle_right(me) else {
                break;
            };
            self.tasks[me].space.remove(&right);
            self.let_go(me, right);
        }
        // Replies first, so that promises are kept more often than broken.
        let once = |right: &Right| match right {
            Right::PeerOnce(..) | Right::OwnOnce(_) => true,
            Right::Joining { kind, .. } => *kind == RightKind::SendOnce,
            Right::OwnSend(_) | Right::PeerSend(..) | Right::Receive(_) | Right::Dead(_) => false,
        };
        let task = &self.tasks[me];
        let replies = self.chance.below(3) == 0;
        let ways: Vec<RightNumber> = task
            .space
            .iter()
            .copied()
            .filter(|number| task.rights.get(number).is_some_and(|right| once(right) == replies))
            .filter(|&number| !task.is_receive(number))
            .collect();
        let far = self.far(me, &ways);
        let near = far.is_empty() || self.chance.below(8) == 0;
        let Some(&over) = self.chance.pick(if near { &ways } else { &far }) else {
            return;
        };
        if replies {
            self.tasks[me].space.remove(&over);
        }
        let mut rights = Vec::new();
        for _ in 0..self.chance.below(4) {
            let Some(right) = self.right_to_send(me).filter(|&right| right != over) else {
                continue;
            };
            let copy = (self.chance.below(2) == 0).then(|| self.copy(me, right)).flatten();
            match copy {
                Some(copy) => rights.push(copy),
                None => {
                    self.tasks[me].space.remove(&right);
                    rights.push(right);
                }
            }
        }
        let home = matches!(self.tasks[me].rights.get(&over), Some(Right::OwnSend(_)));
        if self.chance.below(if home { 40 } else { 8 }) == 0
            && let Some(receive) = self.some_receive(me)
        {
            self.tasks[me].space.remove(&receive);
            rights.push(receive);
        }
        let reply = self.some_reply(me);
        let left = self.some_accepted(me, over);
        let deadline_ns = match self.chance.below(10) {
            _ if left.is_some() => self.now_ns,
            0 => self.now_ns,
            1..8 => self.now_ns + self.chance.below(3 * limits::GRANT_IDLE_NS),
            _ => u64::MAX,
        };
        let id = self.chance.below(IDS) as i32;
        let out = Outgoing { over, rights, reply, left, id, deadline_ns };
        self.submit(me, out);
    }

    /// A message over this right may be left, and this is to be told of.
    fn some_accepted(&mut self, me: TaskNumber, over: RightNumber) -> Option<RightNumber> {
        let over = self.tasks[me].rights.get(&over);
        let often = matches!(over, Some(Right::OwnSend(_) | Right::PeerSend(..)));
        if !often || self.chance.below(6) > 0 {
            return None;
        }
        let port = self.some_own_port(me)?;
        Some(self.make_promise(me, port))
    }

    /// Those that lead to other tasks.
    fn far(&self, me: TaskNumber, rights: &[RightNumber]) -> Vec<RightNumber> {
        let rights = rights.iter().copied().filter(|number| {
            matches!(
                self.tasks[me].rights.get(number),
                Some(Right::PeerSend(..) | Right::PeerOnce(..))
            )
        });
        rights.collect()
    }

    /// A right to send along: more often than not one of another task's.
    fn right_to_send(&mut self, me: TaskNumber) -> Option<RightNumber> {
        let space: Vec<RightNumber> = self.tasks[me].space.iter().copied().collect();
        let mut far = self.far(me, &space);
        let rights = &self.tasks[me].rights;
        let joining = |it: &u64| matches!(rights.get(it), Some(Right::Joining { .. }));
        let joining: Vec<RightNumber> = space.into_iter().filter(joining).collect();
        if !joining.is_empty() && self.chance.below(2) == 0 {
            far = joining;
        }
        match self.chance.pick(&far) {
            Some(&right) if self.chance.below(3) > 0 => {
                (!self.tasks[me].is_busy(right)).then_some(right)
            }
            _ => self.idle_right(me),
        }
    }

    fn some_reply(&mut self, me: TaskNumber) -> Option<RightNumber> {
        if self.chance.below(5) > 1 {
            return None;
        }
        if self.chance.below(2) == 0 {
            return Some(self.make_call(me));
        }
        let port = self.some_own_port(me)?;
        Some(self.make_promise(me, port))
    }
}
