//! One port and one promise of a reply, and everything that may happen to the
//! rights to them between two or three tasks.
//!
//! Task 0 owns both. The others hold what they are given, give it on, let it
//! go, use it, and die.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use abi::right::Kind;
use abi::{Slot, TaskId, Ticket, limits};
use rights::claim::Claims;
use rights::export::Exports;
use rights::give::Gives;
use rights::import::Import;
use rights::senders::{NoSenders, Senders};

use crate::search::World as _;

/// The owner of the port.
pub(crate) const OWNER: usize = 0;

/// What a right leads to: the port, or the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lead {
    Port,
    Promise,
}

pub(crate) const fn lead(kind: Kind) -> Lead {
    match kind {
        Kind::Send => Lead::Port,
        Kind::SendOnce => Lead::Promise,
    }
}

pub(crate) const fn id(task: usize) -> TaskId {
    TaskId { process: task as u64, number: 0 }
}

pub(crate) const fn index(task: TaskId) -> usize {
    task.process as usize
}

/// A right inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Carried {
    Mine(Kind, Slot),
    Yours(Kind, Slot),
    Third(Kind, Ticket),
}

/// What lies in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    Message(Carried),
    Use(Slot),
    Dropped(Slot),
    Release(Slot, u64),
    Give(Kind, Slot, usize, Ticket),
    /// What was claimed of a giver by a ticket, for whom, and by which.
    GiveOn(Kind, (usize, Ticket), usize, Ticket),
    TakeBack(Slot, usize, Ticket),
    TakeBackEvery(usize),
    Claim(usize, Ticket),
    Joined(Kind, Slot, usize, Ticket),
    Refused(usize, Ticket),
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The owner sends a right, a copy or its own.
    Send { to: usize, kind: Kind, moved: bool },
    /// The owner's message fails after the right was exported for it.
    SendFails { to: usize, kind: Kind },
    /// The owner makes one more send right.
    Make,
    /// The owner lets its own right go.
    DropOwn(Kind),
    /// The owner answers itself.
    UseOwn,
    /// The receive right ends.
    PortDies,
    /// A holder sends the right to its owner.
    Home { from: usize, kind: Kind, moved: bool },
    /// A holder gives the right to another.
    Give { from: usize, to: usize, kind: Kind, moved: bool },
    /// The message that carries a given right is not sent after all.
    GiveFails { from: usize, to: usize, kind: Kind },
    /// The giver dies between the give and its message.
    GiveCut { from: usize, to: usize, kind: Kind },
    /// A task gives on what it has claimed and not heard of.
    GiveOn { from: usize, to: usize, kind: Kind, moved: bool },
    /// The message that carries such a right is not sent after all.
    GiveOnFails { from: usize, to: usize, kind: Kind },
    /// The giver dies between giving it on and its message.
    GiveOnCut { from: usize, to: usize, kind: Kind },
    /// A holder lets the right go.
    Drop { at: usize, kind: Kind },
    /// A holder sends the one message.
    Use { at: usize },
    /// One frame is read.
    Deliver { from: usize, to: usize },
    /// A task is killed.
    Dies(usize),
    /// A task learns of a death: reads the lane to its end, then mourns.
    Notice { who: usize, of: usize },
    /// The gives of the dead have waited long enough.
    Expire,
}

/// A rule broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A moved right is released before the give that names it.
    ReleaseBeforeGive,
    /// The last holder releases one, not what it learned.
    ReleaseOne,
    /// A give that comes back is ended though its giver still has the slot.
    EndsTheGiversRight,
    /// Nobody tells the owner that the receiver of a give is dead.
    DeathUntold,
    /// A claim that came before its give is refused.
    RefusedTooEarly,
    /// So is one that hangs on the answer to another.
    ChainRefused,
    /// What a dead task claimed and gave on is not looked for.
    ChainCut,
    /// What was given to a dead task comes back before its own lane is read.
    CalledBackTooEarly,
    /// A promise that was given on before it was confirmed is let go of aloud.
    GivenOnDropped,
}

impl Fault {
    pub(crate) const ALL: [Fault; 5] = [
        Fault::ReleaseBeforeGive,
        Fault::ReleaseOne,
        Fault::EndsTheGiversRight,
        Fault::DeathUntold,
        Fault::RefusedTooEarly,
    ];

    /// Those that show where a right is given on before it is confirmed.
    pub(crate) const OF_CHAINS: [Fault; 4] =
        [Fault::ChainRefused, Fault::ChainCut, Fault::CalledBackTooEarly, Fault::GivenOnDropped];
}

/// A right that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Joining {
    pub(crate) giver: usize,
    pub(crate) kind: Kind,
    pub(crate) ticket: Ticket,
    /// It was not given away.
    pub(crate) wanted: bool,
}

/// What a task that is not the owner has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holder {
    /// The send right's slot and what we count about it, for the slot's life.
    pub(crate) import: Option<(Slot, Import)>,
    /// How many rights the user has.
    pub(crate) rights: u64,
    pub(crate) once: Option<Slot>,
    pub(crate) joining: Vec<Joining>,
    pub(crate) gave_to: Vec<usize>,
    pub(crate) tickets: u64,
}

/// The owner, the holders and what is between them.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) tasks: usize,
    pub(crate) port_lives: bool,
    pub(crate) own_send: u64,
    pub(crate) own_once: u64,
    pub(crate) senders: Senders,
    pub(crate) no_senders: u64,
    pub(crate) answered: u64,
    pub(crate) told: u64,
    pub(crate) exports: Vec<Exports<Lead>>,
    pub(crate) gives: Gives<Lead>,
    pub(crate) claims: Claims,
    /// Claims that wait until their giver's lane is read so far.
    pub(crate) parked: Vec<(usize, usize, Ticket, u64)>,
    pub(crate) holders: Vec<Holder>,
    pub(crate) lanes: Vec<VecDeque<Frame>>,
    pub(crate) read: Vec<u64>,
    pub(crate) alive: Vec<bool>,
    /// Who has a link with the owner. Without one it does not learn of a death.
    pub(crate) linked: Vec<bool>,
    pub(crate) mourned: Vec<bool>,
    pub(crate) now_ns: u64,
    /// Something given was not claimed in time.
    pub(crate) expired: bool,
    /// Only what concerns a chain happens, and no more than two deaths.
    pub(crate) chain: bool,
    pub(crate) fault: Option<Fault>,
}

impl World {
    pub(crate) fn new(tasks: usize) -> Self {
        let mut senders = Senders::default();
        senders.add();
        assert_eq!(senders.arm(), NoSenders::Quiet);
        World {
            tasks,
            port_lives: true,
            own_send: 1,
            own_once: 1,
            senders,
            no_senders: 0,
            answered: 0,
            told: 0,
            exports: vec![Exports::default(); tasks],
            gives: Gives::default(),
            claims: Claims::default(),
            parked: Vec::new(),
            holders: vec![Holder::default(); tasks],
            lanes: vec![VecDeque::new(); tasks * tasks],
            read: vec![0; tasks * tasks],
            alive: vec![true; tasks],
            linked: vec![false; tasks],
            mourned: vec![false; tasks * tasks],
            now_ns: 0,
            expired: false,
            chain: false,
            fault: None,
        }
    }

    /// The owner has given its right, of either kind, to the first task, which has
    /// given it to the second. The owner has read nothing yet.
    pub(crate) fn chained(kind: Kind) -> Self {
        let mut world = World::new(4);
        let other = if kind == Kind::Send { Kind::SendOnce } else { Kind::Send };
        for step in [
            Operation::DropOwn(other),
            Operation::Send { to: 1, kind, moved: true },
            Operation::Deliver { from: OWNER, to: 1 },
            Operation::Give { from: 1, to: 2, kind, moved: true },
            Operation::Deliver { from: 1, to: 2 },
        ] {
            let done = world.apply(step);
            assert_eq!(done, Ok(()), "{step:?}");
        }
        world.chain = true;
        world
    }

    pub(crate) fn lane(&self, from: usize, to: usize) -> &VecDeque<Frame> {
        &self.lanes[from * self.tasks + to]
    }

    pub(crate) fn publish(&mut self, from: usize, to: usize, frame: Frame) {
        if !self.has_mourned(from, to) {
            self.lanes[from * self.tasks + to].push_back(frame);
        }
    }

    pub(crate) fn has_mourned(&self, who: usize, of: usize) -> bool {
        self.mourned[who * self.tasks + of]
    }

    fn have_link(&self, one: usize, other: usize) -> bool {
        match (one, other) {
            (OWNER, peer) | (peer, OWNER) => self.linked[peer],
            _ => true,
        }
    }

    /// Opens a link with the owner where there is none; the dead open none.
    pub(crate) fn link(&mut self, peer: usize) -> bool {
        self.linked[peer] |= self.alive[peer] && self.alive[OWNER];
        self.linked[peer]
    }

    fn may_send(&self, from: usize, to: usize) -> bool {
        from != to
            && self.alive[from]
            && (self.alive[to] || self.have_link(from, to))
            && !self.has_mourned(from, to)
            && self.lane(from, to).len() < 4
    }

    fn has(&self, task: usize, kind: Kind) -> bool {
        if task == OWNER {
            return match kind {
                Kind::Send => self.own_send > 0,
                Kind::SendOnce => self.own_once > 0,
            };
        }
        match kind {
            Kind::Send => self.holders[task].rights > 0,
            Kind::SendOnce => self.holders[task].once.is_some(),
        }
    }

    /// What can happen next.
    pub(crate) fn choices(&self) -> Vec<Operation> {
        let mut out = Vec::new();
        for from in 0..self.tasks {
            for to in 0..self.tasks {
                if !self.lane(from, to).is_empty() && self.alive[to] {
                    out.push(Operation::Deliver { from, to });
                }
                if !self.alive[from]
                    && self.alive[to]
                    && !self.has_mourned(to, from)
                    && self.have_link(from, to)
                {
                    out.push(Operation::Notice { who: to, of: from });
                }
                if !self.may_send(from, to) {
                    continue;
                }
                for kind in [Kind::Send, Kind::SendOnce] {
                    if self.has(from, kind) {
                        self.transfers(from, to, kind, &mut out);
                    }
                    if to != OWNER && self.may_send(from, OWNER) && self.waits(from, kind) {
                        out.push(Operation::GiveOn { from, to, kind, moved: true });
                        out.push(Operation::GiveOnFails { from, to, kind });
                        out.push(Operation::GiveOnCut { from, to, kind });
                        if kind == Kind::Send {
                            out.push(Operation::GiveOn { from, to, kind, moved: false });
                        }
                    }
                }
            }
            if self.alive[from] {
                self.alone(from, &mut out);
            }
        }
        if self.gives.next_expiry().is_some() {
            out.push(Operation::Expire);
        }
        if self.chain {
            let dead = self.alive.iter().filter(|&&alive| !alive).count();
            out.retain(|choice| match choice {
                Operation::Dies(_) | Operation::GiveCut { .. } | Operation::GiveOnCut { .. } => {
                    dead < 2
                }
                Operation::Send { .. }
                | Operation::SendFails { .. }
                | Operation::Home { .. }
                | Operation::Make
                | Operation::PortDies
                | Operation::UseOwn
                | Operation::DropOwn(_) => false,
                _ => true,
            });
        }
        out
    }

    /// Whether a task has claimed such a right, and has not heard of it.
    fn waits(&self, task: usize, kind: Kind) -> bool {
        self.holders[task].joining.iter().any(|one| one.kind == kind && one.wanted)
    }

    fn transfers(&self, from: usize, to: usize, kind: Kind, out: &mut Vec<Operation>) {
        let ways: &[bool] = match kind {
            Kind::Send => &[false, true],
            Kind::SendOnce => &[true],
        };
        for &moved in ways {
            out.push(if from == OWNER {
                Operation::Send { to, kind, moved }
            } else if to == OWNER {
                Operation::Home { from, kind, moved }
            } else if self.may_send(from, OWNER) {
                Operation::Give { from, to, kind, moved }
            } else {
                continue;
            });
        }
        if from == OWNER {
            out.push(Operation::SendFails { to, kind });
        } else if to != OWNER && self.may_send(from, OWNER) {
            out.push(Operation::GiveFails { from, to, kind });
            out.push(Operation::GiveCut { from, to, kind });
        }
    }

    fn alone(&self, task: usize, out: &mut Vec<Operation>) {
        for kind in [Kind::Send, Kind::SendOnce] {
            if self.has(task, kind) {
                out.push(if task == OWNER {
                    Operation::DropOwn(kind)
                } else {
                    Operation::Drop { at: task, kind }
                });
            }
        }
        if task == OWNER {
            if self.port_lives {
                out.push(Operation::PortDies);
                if self.own_send < 2 {
                    out.push(Operation::Make);
                }
            }
            if self.own_once > 0 {
                out.push(Operation::UseOwn);
            }
        } else if self.holders[task].once.is_some() {
            out.push(Operation::Use { at: task });
        }
        out.push(Operation::Dies(task));
    }

    /// What tells this state from others. The order in which the tables will
    /// use their free places again is left out: it names nothing.
    pub(crate) fn print(&self) -> u128 {
        let mut halves = [DefaultHasher::new(), DefaultHasher::new()];
        1u8.hash(&mut halves[1]);
        for half in &mut halves {
            self.hash_into(half);
        }
        let [low, high] = halves.map(|half| half.finish());
        u128::from(high) << 64 | u128::from(low)
    }

    fn hash_into(&self, hasher: &mut DefaultHasher) {
        (self.port_lives, self.own_send, self.own_once).hash(hasher);
        (self.senders.count(), self.no_senders, self.answered, self.told).hash(hasher);
        for exports in &self.exports {
            exports.len().hash(hasher);
            for (slot, export) in exports.iter() {
                let counts = (export.count, export.unsent, export.given);
                (slot, export.port, export.kind, counts).hash(hasher);
            }
        }
        let mut gives: Vec<_> = self.gives.iter().collect();
        gives.sort_unstable_by_key(|(name, _)| *name);
        for (name, given) in gives {
            (name, given.slot, given.kind).hash(hasher);
        }
        (self.gives.next_expiry(), &self.parked, self.expired).hash(hasher);
        let mut onward: Vec<_> = self.claims.onward().collect();
        onward.sort_unstable();
        onward.hash(hasher);
        for (task, holder) in self.holders.iter().enumerate() {
            // Only of what it has not heard of a task gives on.
            for (name, slot) in self.claims.answered(id(task)) {
                let waits = |one: &&Joining| {
                    one.wanted && one.ticket == name.ticket && id(one.giver) == name.giver
                };
                if holder.joining.iter().any(|one| waits(&one)) {
                    (name, slot).hash(hasher);
                }
            }
            let import = holder.import.map(|(slot, import)| (slot, import.count));
            (import, holder.rights, holder.once, &holder.joining).hash(hasher);
            (&holder.gave_to, holder.tickets).hash(hasher);
        }
        // Read counts matter only to claims that wait for them.
        if !self.parked.is_empty() {
            self.read.hash(hasher);
        }
        (&self.lanes, &self.alive, &self.mourned, &self.linked, self.now_ns).hash(hasher);
    }

    /// Lets time pass until the gives of the dead end.
    pub(crate) fn expire(&mut self) {
        self.now_ns += limits::ORPHAN_GIVE_NS;
        for given in self.gives.expire(self.now_ns) {
            self.expired = true;
            self.ends(given.kind);
        }
    }

    /// A right that was counted at the owner ends.
    pub(crate) fn ends(&mut self, kind: Kind) {
        if !self.port_lives {
            return;
        }
        match kind {
            Kind::Send => {
                if self.senders.remove() == NoSenders::Fires {
                    self.no_senders += 1;
                }
            }
            Kind::SendOnce => self.told += 1,
        }
    }
}
