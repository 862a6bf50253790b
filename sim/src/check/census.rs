//! Each right is in exactly one place (I3), each promise too (I7).

use std::collections::BTreeMap;

use abi::frame::{Kind, task_of};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, Ticket};

use crate::lane::Frame;
use crate::spilled::Late;
use crate::task::{Right, RightNumber, Task, TaskNumber};
use crate::world::{Violation, World};

/// What is on the wire from one task to another: in the lane, or kept until
/// the lane has room.
struct Wire<'a> {
    frames: Vec<&'a Frame>,
    references: Vec<RightRef>,
}

/// How often the rights of a task name each slot of its peers, in order.
type Names = Vec<(TaskNumber, Slot)>;

fn named_in(names: &Names, owner: TaskNumber, slot: Slot) -> u64 {
    let before =
        |end: bool| names.partition_point(|it| *it < (owner, slot) || end && *it == (owner, slot));
    (before(true) - before(false)) as u64
}

fn broken(what: String) -> Violation {
    Violation { invariant: "I3", what }
}

fn equal(what: impl Fn() -> String, is: u64, should: u64) -> Result<(), Violation> {
    if is == should {
        Ok(())
    } else {
        Err(broken(format!("{}: {is}, and should be {should}", what())))
    }
}

fn names_of(task: &Task) -> Names {
    if !task.alive || !task.honest() {
        return Vec::new();
    }
    let slot = |right: &Right| match *right {
        Right::PeerSend(of, slot) | Right::PeerOnce(of, slot) => Some((of, slot)),
        _ => None,
    };
    let mut names: Names = task.rights.values().filter_map(slot).collect();
    names.sort_unstable();
    names
}

impl Wire<'_> {
    fn count(&self, kind: Kind, slot: Slot) -> u64 {
        let about = |frame: &&&Frame| frame.header.kind == kind && frame.header.slot == slot;
        self.frames.iter().filter(about).count() as u64
    }

    fn released(&self, slot: Slot) -> u64 {
        self.frames
            .iter()
            .filter(|frame| frame.header.kind == Kind::Release && frame.header.slot == slot)
            .map(|frame| frame.header.tag)
            .sum()
    }
}

impl World {
    pub(super) fn take_census(&self) -> Result<(), Violation> {
        let names: Vec<Names> = self.tasks.iter().map(names_of).collect();
        for (me, task) in self.tasks.iter().enumerate() {
            if !task.honest() || !task.alive {
                continue;
            }
            self.places(me, task)?;
            self.senders(me, task)?;
            self.promises_of(me, task)?;
            for (&peer, link) in &task.links {
                let other = &self.tasks[peer];
                if other.honest() && other.has_link(me) && !link.ended {
                    self.rights_between(me, peer, &names)?;
                }
            }
            self.gives(me, task)?;
        }
        Ok(())
    }

    fn wire(&self, from: TaskNumber, to: TaskNumber) -> Wire<'_> {
        let (mut frames, mut references) = (Vec::new(), Vec::new());
        if let Some(out) = self.memory.get(&(from, to)) {
            frames.extend(out.lane.frames());
            references.extend_from_slice(out.lane.references());
            for spilled in out.spills.untaken() {
                references.extend(spilled.frame.references());
            }
        }
        if let Some(link) = self.tasks[to].links.get(&from) {
            frames.extend(link.held.iter().map(|held| match &held.what {
                Late::Word(frame) | Late::Message(frame, ..) => frame,
            }));
        }
        if let Some(link) = self.tasks[from].links.get(&to)
            && self.tasks[from].alive
        {
            frames.extend(&link.control);
            frames.extend(link.behind.values());
        }
        let bags = self.bags.range((from, Ticket(0))..=(from, Ticket(u64::MAX)));
        for (_, bag) in bags.filter(|(_, bag)| bag.to == to) {
            frames.extend(bag.lane.frames());
            references.extend_from_slice(bag.lane.references());
        }
        Wire { frames, references }
    }

    /// Each right of a task is in its space, in a queue, or with a message on
    /// its way out.
    fn places(&self, me: TaskNumber, task: &Task) -> Result<(), Violation> {
        let mut places: Vec<RightNumber> = Vec::with_capacity(task.rights.len());
        let mut put = |right: RightNumber| places.push(right);
        task.space.iter().copied().for_each(&mut put);
        task.unwanted.keys().copied().for_each(&mut put);
        task.watched.values().copied().for_each(&mut put);
        if let Some(shared) = &task.shared {
            shared.readers.values().copied().for_each(&mut put);
            shared.items.values().flat_map(|mail| &mail.rights).copied().for_each(&mut put);
        }
        task.rooms.values().filter_map(|asked| asked.to).for_each(|(_, to)| put(to));
        for held in task.links.values().flat_map(|link| &link.held) {
            if let Late::Message(_, _, mail) = &held.what {
                mail.rights.iter().copied().for_each(&mut put);
            }
        }
        for again in task.links.values().flat_map(|link| &link.again) {
            put(again.over);
            again.unread.rights.iter().copied().for_each(&mut put);
        }
        for again in task.follows.values().flat_map(|follow| &follow.behind) {
            put(again.over);
            again.unread.rights.iter().copied().for_each(&mut put);
        }
        for unread in task.follows.values().flat_map(|follow| &follow.unread) {
            unread.rights.iter().copied().for_each(&mut put);
        }
        for state in task.ports.values() {
            state.armed.iter().copied().for_each(&mut put);
            if let Some(gone) = &state.gone {
                if !gone.quiet {
                    put(gone.held);
                }
                for forwarded in &gone.parked {
                    forwarded.mail.rights.iter().copied().for_each(&mut put);
                }
            }
            for mail in state.queue.iter() {
                mail.rights.iter().copied().for_each(&mut put);
            }
        }
        for waiting in &task.waiting {
            waiting.out.carried().into_iter().for_each(&mut put);
            if !task.space.contains(&waiting.out.over) {
                put(waiting.out.over);
            }
        }
        places.sort_unstable();
        if places.iter().eq(task.rights.keys()) {
            return Ok(());
        }
        for right in task.rights.keys() {
            let is = places.iter().filter(|place| *place == right).count() as u64;
            equal(|| format!("places of right {right} of task {me}"), is, 1)?;
        }
        let (rights, all) = (task.rights.len(), places.len());
        let stray = places.into_iter().find(|place| !task.rights.contains_key(place));
        Err(broken(format!("task {me} has {rights} rights in {all} places: {stray:?} is none")))
    }

    /// What a port's owner counts as senders is what there is.
    fn senders(&self, me: TaskNumber, task: &Task) -> Result<(), Violation> {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for right in task.rights.values() {
            if let Right::OwnSend(lead) = right {
                *counts.entry(lead.port).or_default() += u64::from(task.counts(*lead));
            }
        }
        let exports = task.links.values().flat_map(|link| link.exports.iter());
        for (_, export) in exports.filter(|(_, export)| export.kind == RightKind::Send) {
            *counts.entry(export.port.port).or_default() += u64::from(task.counts(export.port));
        }
        for (_, given) in task.gives.iter().filter(|(_, given)| given.kind == RightKind::Send) {
            *counts.entry(given.port.port).or_default() += u64::from(task.counts(given.port));
        }
        for adopted in task.adopted.values() {
            *counts.entry(adopted.port).or_default() += adopted.out.len() as u64;
        }
        for (port, state) in task.ports.iter().filter(|(_, state)| state.alive) {
            let should = counts.get(port).copied().unwrap_or(0);
            let is = state.senders.count();
            equal(|| format!("senders of port {port} of task {me}"), is, should)?;
            if state.armed.is_some() && is == 0 {
                return Err(broken(format!("nobody is told that port {port} has no senders")));
            }
        }
        Ok(())
    }

    /// A promise that is neither kept nor broken is in one place.
    fn promises_of(&self, me: TaskNumber, task: &Task) -> Result<(), Violation> {
        if task.promises.is_empty() {
            return Ok(());
        }
        let mut places: Vec<u64> = Vec::new();
        let mut put = |promise: u64| places.push(promise);
        for right in task.rights.values() {
            if let Right::OwnOnce(lead) = right {
                put(lead.promise);
            }
        }
        for link in task.links.values() {
            for (_, export) in link.exports.iter() {
                if export.kind == RightKind::SendOnce && !export.given {
                    put(export.port.promise);
                }
            }
        }
        for (_, given) in task.gives.iter() {
            if given.kind == RightKind::SendOnce {
                put(given.port.promise);
            }
        }
        places.sort_unstable();
        for promise in task.promises.keys() {
            let before = places.partition_point(|it| it < promise);
            let is = places.iter().skip(before).take_while(|it| *it == promise).count();
            if is != 1 {
                return Err(Violation {
                    invariant: "I7",
                    what: format!("promise {promise} of task {me} is in {is} places"),
                });
            }
        }
        Ok(())
    }

    /// What `me` counts for `peer` is what the peer has and what is on the wire
    /// either way. A task that is dead has what it had when it died.
    fn rights_between(
        &self,
        me: TaskNumber,
        peer: TaskNumber,
        names: &[Names],
    ) -> Result<(), Violation> {
        let (Some(mine), Some(theirs)) =
            (self.tasks[me].links.get(&peer), self.tasks[peer].links.get(&me))
        else {
            return Ok(());
        };
        let out = self.wire(me, peer);
        let back = self.wire(peer, me);
        let (named, returned) = (&out.references, &back.references);
        let mut granted: BTreeMap<u32, Slot> = BTreeMap::new();
        let dead = !self.tasks[peer].alive;
        for (slot, export) in mine.exports.iter() {
            granted.insert(slot.index, slot);
            let name = RightRef::Mine(export.kind, slot);
            let coming = named.iter().filter(|reference| **reference == name).count() as u64
                + out.count(Kind::Joined, slot);
            let held = theirs.imports.get(&slot.index).filter(|known| known.slot == slot);
            if export.kind == RightKind::Send {
                let there = held.map_or(0, |known| known.import.count);
                let is = coming + there + back.released(slot);
                let what = || format!("rights of task {peer} in slot {slot} of task {me}");
                if !(dead && is < export.count) {
                    equal(what, is, export.count)?;
                }
                continue;
            }
            let home = RightRef::Yours(RightKind::SendOnce, slot);
            let going = returned.iter().filter(|reference| **reference == home).count() as u64
                + back.count(Kind::Message, slot)
                + back.count(Kind::Dropped, slot)
                + back.count(Kind::Release, slot);
            let there = u64::from(held.is_some() && !dead);
            let is = coming + there + going;
            // Its holder may have died with it, or in the midst of saying what
            // becomes of it.
            if !dead || is > 1 {
                equal(|| format!("promise in slot {slot} of task {me}"), is, 1)?;
            }
        }
        for known in theirs.imports.values().filter(|known| known.rights > 0) {
            if !dead && granted.get(&known.slot.index) != Some(&known.slot) {
                return Err(broken(format!(
                    "task {peer} holds slot {} that task {me} does not count",
                    known.slot
                )));
            }
        }
        self.slots_are_named(peer, me, names)
    }

    /// A slot is held as often as rights name it.
    fn slots_are_named(
        &self,
        me: TaskNumber,
        peer: TaskNumber,
        names: &[Names],
    ) -> Result<(), Violation> {
        let Some(link) = self.tasks[me].links.get(&peer).filter(|_| self.tasks[me].alive) else {
            return Ok(());
        };
        for known in link.imports.values() {
            let is = names.get(me).map_or(0, |names| named_in(names, peer, known.slot));
            let what = || format!("rights of task {me} that name slot {}", known.slot);
            equal(what, is, known.rights)?;
            if (known.import.count > 0) != (known.rights > 0) {
                return Err(broken(format!("task {me} counts a slot it does not hold")));
            }
        }
        Ok(())
    }

    /// Each give is named by one message or one claim, or is being taken back.
    fn gives(&self, me: TaskNumber, task: &Task) -> Result<(), Violation> {
        let given = task.gives.iter().map(|(name, given)| (name, Some(given.kind)));
        // What waits for the answer to another claim is as good as given.
        for (name, kind) in given.chain(task.claims.onward().map(|(next, _)| (next, None))) {
            let (Some(giver), Some(to)) = (self.find(name.giver), self.find(name.to)) else {
                continue;
            };
            let whole = [giver, to].iter().all(|&other| {
                let task = &self.tasks[other];
                task.alive && task.honest()
            });
            if !whole || self.tasks[giver].links.get(&to).is_none_or(|link| link.ended) {
                continue;
            }
            let back = self.wire(giver, me).frames.iter().any(|frame| {
                frame.header.kind == Kind::TakeBack
                    && frame.header.tag == name.ticket.0
                    && task_of(&frame.rest) == Ok(name.to)
            });
            let is = self.named(me, giver, to, kind, name.ticket) + u64::from(back);
            equal(|| format!("names of a give of task {giver} to task {to}"), is, 1)?;
        }
        Ok(())
    }

    fn named(
        &self,
        owner: TaskNumber,
        giver: TaskNumber,
        to: TaskNumber,
        kind: Option<RightKind>,
        ticket: Ticket,
    ) -> u64 {
        let coming = self.wire(giver, to).references;
        let coming = coming.iter().filter(|reference| {
            matches!(reference, RightRef::Third { kind: of, owner: whose, ticket: named, .. }
                if kind.is_none_or(|kind| *of == kind) && *whose == World::id(owner) && *named == ticket)
        });
        let joining = self.tasks[to].rights.values().filter(|right| {
            matches!(right, Right::Joining { giver: from, owner: whose, ticket: named, .. }
                if *from == giver && *whose == owner && *named == ticket)
        });
        // A right that is not confirmed has copies, and one claim.
        coming.count() as u64 + u64::from(joining.count() > 0)
    }
}
