//! Messages to unbounded ports that find no room, on their way out.
//!
//! They are accepted in memory of their sender's, a run for each slot, which outlives
//! it. The machine of [`rights::spill`] says what must be spilled, what waits behind it,
//! and which mark the lane needs before what follows. Memory is as large as it must be
//! here, and goes by messages: so many in all, beyond that they come back.

use std::collections::{BTreeMap, VecDeque};

use abi::frame::{Attached, Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Offence, Slot};
use rights::port::Overflow;
use rights::spill::{Emptied, NOT_SPILLING, SPILLING};
use rights::window::Capacity;

use crate::control::{NO_SLOT, about};
use crate::fault::Fault;
use crate::lane::Frame;
use crate::send::{BODY_BYTES, Sent};
use crate::task::{PortState, Right, RightNumber, TaskNumber};
use crate::world::World;

/// Messages that one task may have spilled for one other.
pub(crate) const SPILLS: usize = 8;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Lane,
    Spill,
}

/// A message in a spill.
#[derive(Clone, Debug)]
pub(crate) struct Spilled {
    pub(crate) number: u64,
    /// How far the lane was filled before it.
    pub(crate) after: u64,
    pub(crate) frame: Frame,
}

/// What was spilled on one slot and not let go: of the first so many the reader has
/// taken.
#[derive(Clone, Debug, Default)]
struct Run {
    all: VecDeque<Spilled>,
    taken: usize,
}

/// Memory that one task spills into for one other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spills {
    runs: BTreeMap<Slot, Run>,
    /// The last number, as the page says it.
    pub(crate) shown: u64,
}

impl Spills {
    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.runs.keys().copied().collect()
    }

    pub(crate) fn push(&mut self, slot: Slot, spilled: Spilled) {
        self.runs.entry(slot).or_default().all.push_back(spilled);
    }

    /// The first that the reader has not taken.
    pub(crate) fn first(&self, slot: Slot) -> Option<&Spilled> {
        let run = self.runs.get(&slot)?;
        run.all.get(run.taken)
    }

    pub(crate) fn take(&mut self, slot: Slot) -> Option<Spilled> {
        let run = self.runs.get_mut(&slot)?;
        run.taken += 1;
        run.all.get(run.taken - 1).cloned()
    }

    /// What the reader has not taken.
    pub(crate) fn untaken(&self) -> impl Iterator<Item = &Spilled> {
        self.runs.values().flat_map(|run| run.all.iter().skip(run.taken))
    }

    /// What it has, and the writer has still.
    pub(crate) fn taken(&self) -> impl Iterator<Item = &Spilled> {
        self.runs.values().flat_map(|run| run.all.iter().take(run.taken))
    }

    /// All that the writer has, in order.
    fn unfreed(&self) -> Vec<Spilled> {
        let mut all: Vec<Spilled> = self.runs.values().flat_map(|run| &run.all).cloned().collect();
        all.sort_by_key(|spilled| spilled.number);
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.values().map(|run| run.all.len()).sum()
    }

    /// The reader has said that it took these.
    fn let_go(&mut self, slot: Slot, number: u64, over: bool) {
        let Some(run) = self.runs.get_mut(&slot) else { return };
        while run.all.front().is_some_and(|first| first.number <= number) {
            run.all.pop_front();
            run.taken = run.taken.saturating_sub(1);
        }
        if over {
            self.runs.remove(&slot);
        }
    }
}

/// What the board says of a grant.
pub(crate) const fn as_granted(state: &PortState, grant: u64) -> u64 {
    let refuses = matches!(state.options.overflow, Overflow::Refuse);
    if grant == SPILLING && (!refuses || state.spills_nothing) { NOT_SPILLING } else { grant }
}

impl World {
    // ---- the sender ----------------------------------------------------------

    fn grants_spilling(&self, me: TaskNumber, peer: TaskNumber, slot: Slot) -> bool {
        self.look(peer, me, slot).1 == SPILLING || self.is_late(me, peer, slot)
    }

    /// It had looked before the port was about to go.
    fn is_late(&self, me: TaskNumber, peer: TaskNumber, slot: Slot) -> bool {
        self.late == Some((me, peer, slot))
    }

    fn is_spilled(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) -> bool {
        self.tasks[me].link(peer).is_some_and(|link| link.spilled.is_spilled(slot))
    }

    /// Whether a message for this slot would pass those spilled before it.
    pub(crate) fn must_spill(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) -> bool {
        self.is_spilled(me, peer, slot) && !self.is(Fault::BesideTheSpill)
    }

    /// Which way a message goes that carries these rights. What `may` not be spilled
    /// waits for room, as does what binds the reader of the lane.
    pub(crate) fn way(
        &mut self,
        me: TaskNumber,
        (peer, slot): (TaskNumber, Slot),
        along: &[RightNumber],
        may: bool,
    ) -> Result<Way, Sent> {
        let bound = along.iter().any(|&right| self.tasks[me].is_receive(right));
        let spills = may && !bound && self.grants_spilling(me, peer, slot);
        if !self.must_spill(me, peer, slot) {
            self.settle_mark(me, peer);
            // The window of bytes may be full though the lane is not.
            let full = spills && (self.surprise(250) || self.is_late(me, peer, slot));
            if !full && self.nameable(me, peer, along, BODY_BYTES) {
                return Ok(Way::Lane);
            }
        }
        if !spills || !self.nameable(me, peer, along, 0) {
            return Err(Sent::NoRoom);
        }
        if self.outbound(me, peer).spills.len() >= SPILLS {
            self.figures.over_limit += 1;
            let lost = self.is(Fault::OverLimitLost);
            return Err(if lost { Sent::Done } else { Sent::Failed });
        }
        Ok(Way::Spill)
    }

    /// Whether it may go this way still: others have acted meanwhile.
    pub(crate) fn may_go(&mut self, me: TaskNumber, to: (TaskNumber, Slot), way: Way) -> bool {
        let (peer, slot) = to;
        let due = self.tasks[me].link(peer).is_some_and(|link| link.spilled.unmarked().is_some());
        way == Way::Spill || !(self.must_spill(me, peer, slot) || due)
    }

    /// Writes a message where it goes. What is spilled shows when
    /// [`show_spilled`](World::show_spilled) says so, and is accepted at once.
    pub(crate) fn write_message(
        &mut self,
        me: TaskNumber,
        (peer, slot): (TaskNumber, Slot),
        way: Way,
        frame: Frame,
        attached: &Attached,
    ) {
        let what = if way == Way::Lane { "writes" } else { "spills" };
        self.tell_frame(what, (me, peer), &frame);
        if way == Way::Lane {
            return self.outbound(me, peer).lane.publish(&frame.encode());
        }
        self.figures.spilled += 1;
        let Some(link) = self.tasks[me].link(peer) else { return };
        let number = link.spilled.next();
        link.spilled.spilled(slot);
        for name in &attached.rights {
            if let RightRef::Yours(RightKind::Send, named) = *name {
                link.spilled.names(named, slot);
            }
        }
        let out = self.outbound(me, peer);
        let after = out.lane.head();
        out.spills.push(slot, Spilled { number, after, frame });
    }

    /// Shows the peer what was spilled.
    pub(crate) fn show_spilled(&mut self, me: TaskNumber, peer: TaskNumber) {
        let last = self.tasks[me].link(peer).map(|link| link.spilled.next() - 1);
        if let Some(last) = last {
            self.outbound(me, peer).spills.shown = last;
        }
    }

    /// Says in the lane what was spilled before what follows.
    pub(crate) fn settle_mark(&mut self, me: TaskNumber, peer: TaskNumber) {
        let unsaid = self.is(Fault::SpillUnmarked);
        let Some(link) = self.tasks[me].link(peer) else { return };
        let Some(number) = link.spilled.unmarked() else { return };
        link.spilled.mark();
        if unsaid {
            return;
        }
        let header = Header { tag: number, ..Header::new(Kind::Spilled, NO_SLOT) };
        // Nothing came between them: the later says all.
        match link.control.back_mut().filter(|kept| kept.header.kind == Kind::Spilled) {
            Some(kept) => kept.header = Header { length: kept.header.length, ..header },
            None => self.say(me, peer, Frame::new(header, Vec::new())),
        }
    }

    /// Rights to a slot of the peer's go home, behind everything that was sent on them.
    pub(crate) fn say_release(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot, count: u64) {
        let early = self.is(Fault::SpillReleasedEarly);
        let Some(link) = self.tasks[me].link(peer) else { return };
        if early || !link.spilled.holds_back(slot) {
            return self.say(me, peer, about(Kind::Release, slot, count));
        }
        let behind = link.behind.entry(slot).or_insert_with(|| about(Kind::Release, slot, 0));
        behind.header.tag += count;
    }

    /// The peer says that it took what was spilled on a slot.
    pub(crate) fn spill_emptied(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        number: u64,
    ) -> Result<(), Offence> {
        let link = self.tasks[me].link(peer).ok_or(Offence::EmptiedImpossible)?;
        let over = link.spilled.emptied(slot, number)? == Emptied::Over;
        self.outbound(me, peer).spills.let_go(slot, number, over);
        if over {
            self.say(me, peer, about(Kind::Spent, slot, number));
        }
        let Some(link) = self.tasks[me].link(peer) else { return Ok(()) };
        let rules = &link.spilled;
        let (wait, home) = std::mem::take(&mut link.behind)
            .into_iter()
            .partition(|(slot, _)| rules.holds_back(*slot));
        link.behind = wait;
        let home: BTreeMap<Slot, Frame> = home;
        for frame in home.into_values() {
            self.say(me, peer, frame);
        }
        Ok(())
    }

    /// What a dead owner had not let go of, and rights that wait behind it.
    pub(crate) fn spills_back(&mut self, me: TaskNumber, peer: TaskNumber) -> Vec<Frame> {
        let mut frames = Vec::new();
        if !self.is(Fault::SpillNotSentAgain) {
            let spills = self.outbound(me, peer).spills.unfreed();
            frames.extend(spills.into_iter().map(|spilled| spilled.frame));
        }
        let behind = self.tasks[me].link(peer).map(|link| std::mem::take(&mut link.behind));
        frames.extend(behind.into_iter().flat_map(BTreeMap::into_values));
        frames
    }

    // ---- ports that are about to go ------------------------------------------------

    /// Lets nobody spill for the ports among these, and reads what was spilled. `None`
    /// where not all of it may be read yet: then everything is as it was.
    pub(crate) fn stop_spilling(
        &mut self,
        me: TaskNumber,
        rights: &[RightNumber],
    ) -> Option<Vec<u32>> {
        let mut stopped = Vec::new();
        if !rights.iter().any(|&right| self.tasks[me].is_receive(right)) {
            return Some(stopped);
        }
        loop {
            let along = self.along(me, rights);
            let port = |right: &RightNumber| match self.tasks[me].rights.get(right) {
                Some(&Right::Receive(port)) if !stopped.contains(&port) => Some(port),
                _ => None,
            };
            let Some(port) = along.iter().find_map(port) else { return Some(stopped) };
            stopped.push(port);
            if !self.let_spill(me, port, false) {
                continue;
            }
            for peer in self.spillers(me, port) {
                self.drain(me, peer, u64::MAX);
                self.take_spilled_for(me, peer, port);
            }
            if self.is_spilled_for(me, port) {
                self.spill_again(me, &stopped);
                return None;
            }
        }
    }

    /// These ports may be spilled for again, those that stayed.
    pub(crate) fn spill_again(&mut self, me: TaskNumber, ports: &[u32]) {
        for &port in ports {
            let _ = self.let_spill(me, port, true);
        }
    }

    /// Lets nobody spill for a port, or everybody again. False where nobody ever may.
    fn let_spill(&mut self, me: TaskNumber, port: u32, may: bool) -> bool {
        let Some(state) = self.port(me, port) else { return false };
        if state.queue.window.capacity() != Capacity::Unbounded {
            return false;
        }
        state.spills_nothing = !may;
        let grant = as_granted(state, SPILLING);
        for (peer, slot) in self.holders_of_all(me, port) {
            self.outbound(me, peer).board.raise(slot, grant);
        }
        true
    }

    fn spillers(&mut self, me: TaskNumber, port: u32) -> Vec<TaskNumber> {
        let mut peers: Vec<TaskNumber> =
            self.holders_of_all(me, port).into_iter().map(|(peer, _)| peer).collect();
        peers.dedup();
        peers
    }

    /// Whether something spilled for this port is not taken, or is held.
    pub(crate) fn is_spilled_for(&mut self, me: TaskNumber, port: u32) -> bool {
        self.holders_of_all(me, port).into_iter().any(|(peer, slot)| {
            let out = self.memory.get(&(peer, me));
            let held = self.tasks[me].links.get(&peer);
            out.is_some_and(|out| out.spills.first(slot).is_some())
                || held.is_some_and(|link| link.held.iter().any(|held| held.port == port))
        })
    }
}
