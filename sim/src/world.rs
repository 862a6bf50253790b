//! All tasks, the memory between them, one clock and one stream of chance.

use std::collections::{BTreeMap, BTreeSet};

use abi::{Offence, Slot, TaskId, Ticket};

use rights::give::GiveName;

use crate::board::Board;
use crate::fault::Fault;
use crate::lane::Lane;
use crate::moving::Bag;
use crate::pulse::Pulsed;
use crate::seed::Chance;
use crate::share::Handout;
use crate::spill::Spills;
use crate::task::{Link, Task, TaskNumber, id};

/// What one task writes for one other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbound {
    pub(crate) lane: Lane,
    pub(crate) spills: Spills,
    pub(crate) board: Board,
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// What a run counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Steps taken.
    pub steps: u64,
    /// Messages accepted.
    pub messages: u64,
    /// Rights that went with them.
    pub rights: u64,
    /// Tasks killed.
    pub kills: u64,
    /// Offences found.
    pub offences: u64,
    /// Rights of third tasks among them.
    pub gives: u64,
    /// Those that their owners had not confirmed yet.
    pub given_on: u64,
    /// Links opened because a right was claimed.
    pub introductions: u64,
    /// Messages refused because their right had ended or did not permit them.
    pub refused: u64,
    /// Receive rights that went to another task.
    pub moves: u64,
    /// Rights that followed their port to its new owner.
    pub follows: u64,
    /// Messages a dead owner had not read that were sent again.
    pub again: u64,
    /// Ports that would have lain in their own queues.
    pub circles: u64,
    /// Calls begun.
    pub calls: u64,
    /// Calls withdrawn, or whose deadline passed.
    pub withdrawn: u64,
    /// Parts of answers written.
    pub parts: u64,
    /// Messages left with full ports.
    pub left: u64,
    /// Questions for room.
    pub rooms: u64,
    /// Pulses sent.
    pub pulses: u64,
    /// Pulses that became one with an equal neighbour.
    pub merged: u64,
    /// Pulses there was no room for.
    pub no_room: u64,
    /// Messages that ports dropped.
    pub dropped: u64,
    /// Messages handed to readers of shared mailboxes.
    pub handed: u64,
    /// Those that came back unacknowledged.
    pub back: u64,
    /// Messages received from sets.
    pub from_sets: u64,
    /// Messages that found no room and were spilled.
    pub spilled: u64,
    /// Those that would have been too many, and came back.
    pub over_limit: u64,
}

/// What the world knows of an accepted message that nobody has received yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact {
    pub(crate) from: TaskNumber,
    /// Whose the port is now.
    pub(crate) to: TaskNumber,
    /// The port, by its first name.
    pub(crate) port: u32,
}

/// The whole system.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tasks: Vec<Task>,
    /// How many tasks there are to be at a time.
    pub(crate) crowd: usize,
    pub(crate) liars: bool,
    pub(crate) memory: BTreeMap<(TaskNumber, TaskNumber), Outbound>,
    /// Links that one end has closed while both live.
    pub(crate) closed: BTreeSet<(TaskNumber, TaskNumber)>,
    pub(crate) chance: Chance,
    pub(crate) now_ns: u64,
    pub(crate) fault: Option<Fault>,
    pub(crate) figures: Figures,
    pub(crate) violation: Option<Violation>,
    /// Messages accepted and neither received nor excused: a message is excused
    /// when its port or its receiver is gone. What a liar is sent is its own.
    pub(crate) mail: BTreeMap<u64, Fact>,
    /// Promises made, and how often each ended.
    pub(crate) promises: BTreeMap<u64, u32>,
    /// Calls whose callers want no answer any more.
    pub(crate) withdrawn: BTreeSet<u64>,
    /// Where the parts written of each answer end.
    pub(crate) parts: BTreeMap<u64, u64>,
    /// Messages that were left.
    pub(crate) lefts: BTreeSet<u64>,
    /// The calls that hand out messages of shared mailboxes, and what was acknowledged.
    pub(crate) handouts: BTreeMap<u64, Handout>,
    pub(crate) acknowledged: BTreeSet<Handout>,
    /// Pulses, by their sender and the first name of the port.
    pub(crate) pulsed: BTreeMap<(TaskNumber, u32), Pulsed>,
    /// What each port has dropped, by its first name.
    pub(crate) dropped: BTreeMap<u32, u64>,
    /// The last message each port took of each sender, whoever had the port.
    pub(crate) order: BTreeMap<(TaskNumber, u32), u64>,
    pub(crate) numbers: u64,
    /// Messages whose sender keeps them no more: where they are nowhere else they
    /// are lost with the dead.
    pub(crate) given_up: BTreeSet<u64>,
    /// Messages that came on a send-once right through the old owner of a port
    /// that moved: its sender's others may have come before them.
    pub(crate) detours: BTreeSet<u64>,
    /// Gives that their owners rightly refuse: they came back, or came to nothing.
    pub(crate) not_to_come: BTreeSet<(TaskNumber, GiveName)>,
    /// The bags of the ports that moved, by old owner and number.
    pub(crate) bags: BTreeMap<(TaskNumber, Ticket), Bag>,
    /// The first name of each port that came from another task.
    pub(crate) first_names: BTreeMap<u32, u32>,
    /// Whose each port is that lives, by its first name.
    pub(crate) homes: BTreeMap<u32, TaskNumber>,
    /// Who looked whether it may spill, and where, just before it may no longer.
    pub(crate) late: Option<(TaskNumber, TaskNumber, Slot)>,
    /// Somebody acts in the midst of what another does.
    pub(crate) aside: bool,
    /// No more surprises: the run is being wound down.
    pub(crate) calm: bool,
    /// What everybody said, where somebody wants to read it.
    pub(crate) trace: Option<Vec<String>>,
}

const fn pair(one: TaskNumber, other: TaskNumber) -> (TaskNumber, TaskNumber) {
    if one < other { (one, other) } else { (other, one) }
}

impl World {
    pub(crate) fn new(seed: u64, tasks: usize, fault: Option<Fault>) -> Self {
        let mut chance = Chance::new(seed);
        let liars = chance.below(2) == 0;
        World {
            tasks: Vec::new(),
            crowd: tasks,
            liars,
            memory: BTreeMap::new(),
            closed: BTreeSet::new(),
            chance,
            now_ns: 1,
            fault,
            figures: Figures::default(),
            violation: None,
            mail: BTreeMap::new(),
            promises: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            parts: BTreeMap::new(),
            lefts: BTreeSet::new(),
            handouts: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            pulsed: BTreeMap::new(),
            dropped: BTreeMap::new(),
            order: BTreeMap::new(),
            numbers: 0,
            given_up: BTreeSet::new(),
            detours: BTreeSet::new(),
            not_to_come: BTreeSet::new(),
            bags: BTreeMap::new(),
            first_names: BTreeMap::new(),
            homes: BTreeMap::new(),
            late: None,
            aside: false,
            calm: false,
            trace: None,
        }
    }

    /// A number nothing else has. Numbers grow, so they also say what came
    /// first.
    pub(crate) const fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn violated(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what });
        }
    }

    pub(crate) fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The task of an id, if it is one of this world.
    pub(crate) fn find(&self, id: TaskId) -> Option<TaskNumber> {
        self.tasks.iter().position(|task| task.id == id)
    }

    /// What `from` writes for `to`.
    pub(crate) fn outbound(&mut self, from: TaskNumber, to: TaskNumber) -> &mut Outbound {
        self.memory.entry((from, to)).or_default()
    }

    /// What the board of `owner` says about a slot `peer` was given.
    pub(crate) fn look(
        &self,
        owner: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
    ) -> (abi::board::State, u64) {
        self.memory
            .get(&(owner, peer))
            .map_or((abi::board::State::Dead, 0), |out| out.board.read(slot))
    }

    /// Whether the kernel says that the other end of the link is gone.
    pub(crate) fn hung_up(&self, peer: TaskNumber, me: TaskNumber) -> bool {
        !self.tasks[peer].alive || self.closed.contains(&pair(me, peer))
    }

    /// Opens a link, unless there is or was one. Says whether there is one now.
    pub(crate) fn open(&mut self, me: TaskNumber, other: TaskNumber) -> bool {
        if self.tasks[me].links.contains_key(&other) {
            return self.tasks[me].has_link(other);
        }
        if me == other || !self.tasks[me].alive || !self.tasks[other].alive {
            return false;
        }
        for (from, to) in [(me, other), (other, me)] {
            self.tasks[from].links.insert(to, Link::default());
            self.memory.insert((from, to), Outbound::default());
        }
        true
    }

    /// One end hangs up.
    pub(crate) fn close(&mut self, me: TaskNumber, peer: TaskNumber) {
        self.closed.insert(pair(me, peer));
    }

    /// A peer broke the protocol: its link ends, and nothing else.
    pub(crate) fn offended(&mut self, me: TaskNumber, peer: TaskNumber, offence: Offence) {
        self.blame(me, peer, offence);
        self.close(me, peer);
        self.mourn(me, peer);
    }

    /// A peer lies, or we are wrong.
    pub(crate) fn blame(&mut self, me: TaskNumber, peer: TaskNumber, offence: Offence) {
        self.figures.offences += 1;
        if self.tasks[peer].honest() {
            self.violated("I2", format!("task {me} blames honest task {peer}: {offence}"));
        }
    }

    /// The kernel ends a task where it stands. Its memory stays.
    pub(crate) fn kill(&mut self, victim: TaskNumber) {
        if std::mem::replace(&mut self.tasks[victim].alive, false) {
            self.figures.kills += 1;
            self.pulses_die_with(victim);
        }
    }

    /// Who sends, as ports that came from elsewhere know it.
    pub(crate) fn sender(&self, number: TaskNumber) -> TaskId {
        if self.is(Fault::NotBehind) { id(TaskNumber::MAX - 1000) } else { id(number) }
    }

    /// Task ids of this world are told apart by their number.
    pub(crate) const fn id(number: TaskNumber) -> TaskId {
        id(number)
    }
}
