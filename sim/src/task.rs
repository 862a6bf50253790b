//! What a simulated task has: its rights, ports, links and what waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use abi::right::Kind;
use abi::{Slot, TaskId, Ticket};
use rights::claim::Claims;
use rights::export::Exports;
use rights::give::Gives;
use rights::import::Import;
use rights::port::{Overflow, Port};
use rights::reply::Promised;
use rights::senders::Senders;
use rights::spill;
use rights::window::Capacity;

use crate::facet::PortFacets;
use crate::lane::Frame;
use crate::left::{Asked, RoomOf};
use crate::moving::{Adopted, Again, Follow, Gone};
use crate::pulse::Pulse;
use crate::set::PortSet;
use crate::share::Shared;
use crate::spilled::Held;

/// A task, by its place in the world.
pub(crate) type TaskNumber = usize;
/// A right in one task, wherever in it.
pub(crate) type RightNumber = u64;

/// What a right leads to: a port; for a send right on which facet of it (zero
/// for none), for a send-once right which promise (zero for a send right).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lead {
    pub(crate) port: u32,
    pub(crate) facet: u32,
    pub(crate) promise: u64,
}

impl Lead {
    /// The port's own right.
    pub(crate) const fn to(port: u32) -> Self {
        Lead { port, facet: 0, promise: 0 }
    }
}

/// Who sends to a port: a peer's slot.
pub(crate) type Holder = (TaskNumber, Slot);

/// One right of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    OwnSend(Lead),
    OwnOnce(Lead),
    PeerSend(TaskNumber, Slot),
    PeerOnce(TaskNumber, Slot),
    Joining {
        giver: TaskNumber,
        owner: TaskNumber,
        ticket: Ticket,
        kind: Kind,
    },
    /// The receive right of a port that is here.
    Receive(u32),
    Dead(Kind),
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// Which message; zero for a notification.
    pub(crate) number: u64,
    pub(crate) rights: Vec<RightNumber>,
    /// The facet it came on, if any.
    pub(crate) facet: u32,
    /// Of its rights, the one on which it is told that it was taken.
    pub(crate) left: Option<RightNumber>,
    pub(crate) pulse: Option<Pulse>,
}

impl Mail {
    /// What came on no facet.
    pub(crate) const fn plain(number: u64, rights: Vec<RightNumber>) -> Self {
        Mail { number, rights, facet: 0, left: None, pulse: None }
    }
}

impl rights::queue::Labelled for Mail {
    fn equals(&self, earlier: &Self) -> bool {
        self.pulse == earlier.pulse
    }
}

/// What a port is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) capacity: Capacity,
    pub(crate) overflow: Overflow,
    /// Pulses each holder may have in it, and whether equal ones become one.
    pub(crate) pulses: u32,
    pub(crate) merge_pulses: bool,
}

impl Options {
    /// Without pulses, and refusing what is too much.
    #[cfg(test)]
    pub(crate) const fn plain(capacity: Capacity) -> Self {
        Options { capacity, overflow: Overflow::Refuse, pulses: 0, merge_pulses: false }
    }
}

/// A port and what its owner counts.
#[derive(Debug)]
pub(crate) struct PortState {
    pub(crate) options: Options,
    pub(crate) queue: Port<Mail, Holder>,
    pub(crate) alive: bool,
    /// What it knows itself again by where it has been before.
    pub(crate) birth: u64,
    pub(crate) senders: Senders,
    /// The right that is to hear of no senders.
    pub(crate) armed: Option<RightNumber>,
    pub(crate) receive: RightNumber,
    /// Where it went.
    pub(crate) gone: Option<Gone>,
    /// Messages that came of each holder.
    pub(crate) came: BTreeMap<Holder, u64>,
    /// Messages in the queue or beside it that are charged to the capacity.
    pub(crate) charged: BTreeSet<u64>,
    /// Nobody may spill for it: it is about to go.
    pub(crate) spills_nothing: bool,
    /// When to look for places that lie unused.
    pub(crate) look_at: Option<u64>,
    pub(crate) facets: PortFacets,
}

impl PortState {
    /// A holder goes.
    pub(crate) fn forget(&mut self, holder: Holder) {
        self.queue.forget(holder);
        self.queue.pulses.leave(holder);
        self.came.remove(&holder);
    }

    /// Whether a right is in a message that waits here.
    pub(crate) fn holds_right(&self, right: RightNumber) -> bool {
        self.queue.iter().any(|mail| mail.rights.contains(&right))
    }
}

/// What we know of one slot of a peer's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Imported {
    pub(crate) slot: Slot,
    pub(crate) kind: Kind,
    pub(crate) import: Import,
    /// How many rights of ours name it.
    pub(crate) rights: u64,
    /// Whether we asked for a place and wait to be told.
    pub(crate) asked: bool,
}

/// One end of a link.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) exports: Exports<Lead>,
    pub(crate) imports: BTreeMap<u32, Imported>,
    /// Frames of the protocol's own that found no room yet.
    pub(crate) control: VecDeque<Frame>,
    /// Claims asked and not answered, and those that wait to be asked.
    pub(crate) claims_open: BTreeSet<(TaskNumber, Ticket)>,
    pub(crate) claims_waiting: VecDeque<(TaskNumber, Ticket)>,
    /// Owners of rights that we gave to this peer.
    pub(crate) gave_of: BTreeSet<TaskNumber>,
    /// What dead owners had not read, to be sent to this one before anything else.
    pub(crate) again: VecDeque<Again>,
    /// What we spilled, and rights that go home behind it.
    pub(crate) spilled: spill::Outgoing<Slot>,
    pub(crate) behind: BTreeMap<Slot, Frame>,
    /// What the peer spilled, by the ports: up to where we looked, in which slots, and
    /// which of it waits in our queues.
    pub(crate) spills: spill::Incoming<Slot, u32>,
    pub(crate) seen: u64,
    pub(crate) offered: BTreeSet<Slot>,
    pub(crate) queued: BTreeMap<u64, Slot>,
    pub(crate) held: VecDeque<Held>,
    pub(crate) welcomed: bool,
    /// We have mourned the peer: the link is no more.
    pub(crate) ended: bool,
}

/// A claim that waits until its giver's lane is read so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    pub(crate) from: TaskNumber,
    pub(crate) giver: TaskNumber,
    pub(crate) ticket: Ticket,
    /// How many messages its holder sent to a port's old owner.
    pub(crate) sent: u64,
    pub(crate) shown: u64,
}

/// How a right ended before it was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastWord {
    LetGo,
    /// What it brings is another task's.
    GivenOn,
}

/// A message on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) over: RightNumber,
    pub(crate) rights: Vec<RightNumber>,
    pub(crate) reply: Option<RightNumber>,
    /// Where there is no place it is left, and this is told of.
    pub(crate) left: Option<RightNumber>,
    pub(crate) id: i32,
    pub(crate) deadline_ns: u64,
}

/// A message that waits for a place or for room.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) out: Outgoing,
    /// Sleeps until it is told to look.
    pub(crate) asleep: bool,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    Honest,
    Hostile,
}

/// One task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) nature: Nature,
    pub(crate) alive: bool,
    pub(crate) paused_until: u64,
    pub(crate) rights: BTreeMap<RightNumber, Right>,
    /// What the user has.
    pub(crate) space: BTreeSet<RightNumber>,
    /// What the user let go of, or gave on, before it was joined.
    pub(crate) unwanted: BTreeMap<RightNumber, LastWord>,
    pub(crate) ports: BTreeMap<u32, PortState>,
    /// Promises of ours that are neither kept nor broken yet, by where they lead.
    pub(crate) promises: BTreeMap<u64, u32>,
    /// Calls whose reply right has not ended: what is wanted of each.
    pub(crate) calls: BTreeMap<u64, Promised>,
    /// Reply rights whose callers may change their minds, and who is told.
    pub(crate) watched: BTreeMap<RightNumber, RightNumber>,
    /// Promises of other tasks that come through the bags of ports of ours. Known
    /// to the world: we only count them.
    pub(crate) relayed: BTreeSet<(u64, u32)>,
    pub(crate) links: BTreeMap<TaskNumber, Link>,
    pub(crate) gives: Gives<Lead>,
    pub(crate) claims: Claims,
    pub(crate) parked: Vec<Parked>,
    /// Ports that came here, by who moved them and the number of their bag.
    pub(crate) adopted: BTreeMap<(TaskNumber, Ticket), Adopted>,
    /// Rights of ours whose ports went away, by their old owner and ticket.
    pub(crate) follows: BTreeMap<(TaskNumber, Ticket), Follow>,
    pub(crate) waiting: Vec<Waiting>,
    /// The mailbox it shares out.
    pub(crate) shared: Option<Shared>,
    /// Some of its ports, to be received from in turn.
    pub(crate) set: PortSet,
    /// Who is to hear of room, and where.
    pub(crate) rooms: BTreeMap<RoomOf, Asked>,
    pub(crate) tickets: u64,
    pub(crate) names: u64,
    /// What a hostile task has seen and may try.
    pub(crate) seen: Vec<(TaskNumber, Slot)>,
}

impl Task {
    pub(crate) fn new(number: TaskNumber, nature: Nature) -> Self {
        Task {
            id: id(number),
            nature,
            alive: true,
            paused_until: 0,
            rights: BTreeMap::new(),
            space: BTreeSet::new(),
            unwanted: BTreeMap::new(),
            ports: BTreeMap::new(),
            promises: BTreeMap::new(),
            calls: BTreeMap::new(),
            watched: BTreeMap::new(),
            relayed: BTreeSet::new(),
            links: BTreeMap::new(),
            gives: Gives::default(),
            claims: Claims::default(),
            parked: Vec::new(),
            adopted: BTreeMap::new(),
            follows: BTreeMap::new(),
            waiting: Vec::new(),
            shared: None,
            set: PortSet::default(),
            rooms: BTreeMap::new(),
            tickets: 0,
            names: 0,
            seen: Vec::new(),
        }
    }

    pub(crate) fn honest(&self) -> bool {
        self.nature == Nature::Honest
    }

    /// Keeps a right that is not yet anywhere.
    pub(crate) fn keep(&mut self, right: Right) -> RightNumber {
        self.names += 1;
        self.rights.insert(self.names, right);
        self.names
    }

    /// The link with `peer`, while there is one.
    pub(crate) fn link(&mut self, peer: TaskNumber) -> Option<&mut Link> {
        self.links.get_mut(&peer).filter(|link| !link.ended)
    }

    pub(crate) fn has_link(&self, peer: TaskNumber) -> bool {
        self.links.get(&peer).is_some_and(|link| !link.ended)
    }

    /// Whether a send right to `lead` is one that may send.
    pub(crate) fn counts(&self, lead: Lead) -> bool {
        self.ports.get(&lead.port).is_none_or(|state| state.facets.counts(lead.facet))
    }

    /// The promises that lead to a port of ours.
    pub(crate) fn promises_to(&self, port: u32) -> BTreeSet<u64> {
        let ours = self.promises.iter().map(|(&promise, &to)| (promise, to));
        let all = ours.chain(self.relayed.iter().copied());
        all.filter(|(_, to)| *to == port).map(|(promise, _)| promise).collect()
    }

    /// How many messages on send-once rights may still come to a port, as far as the task
    /// itself knows: a liar it has the port from may have promised any number.
    pub(crate) fn promised_to(&self, port: u32) -> u64 {
        let ours = self.promises.values().filter(|to| **to == port).count() as u64;
        let bags = self.adopted.values().filter(|adopted| adopted.port == port);
        ours + bags.map(|adopted| adopted.promises).sum::<u64>()
    }

    pub(crate) fn is_receive(&self, right: RightNumber) -> bool {
        matches!(self.rights.get(&right), Some(Right::Receive(_)))
    }

    /// Whether a waiting message goes over this right.
    pub(crate) fn is_busy(&self, right: RightNumber) -> bool {
        self.waiting.iter().any(|waiting| waiting.out.over == right)
    }
}

/// The id of the task at a place of the world.
pub(crate) const fn id(number: TaskNumber) -> TaskId {
    TaskId { process: 1000 + number as u64, number: 0 }
}
