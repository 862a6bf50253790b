//! Messages to unbounded ports that found no room, on their way in.
//!
//! They are taken as fast as the queue is emptied: of each slot one, and so many of a
//! link's. What comes in the lane for a port that has earlier ones spilled is held
//! until they have come. The machine of [`rights::spill`] says what comes when.

use abi::frame::{Kind, flag};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot};

use crate::control::about;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::moving::number_of;
use crate::spill::Spilled;
use crate::task::{Mail, TaskNumber};
use crate::world::World;

/// Spilled messages of one link that wait in queues; beyond that one of each slot of
/// which nothing waits.
pub(crate) const QUEUED: usize = 2;

/// What came in the lane, and waits for what was spilled before it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) port: u32,
    /// Spilled messages up to this number go before it.
    pub(crate) until: u64,
    pub(crate) what: Late,
}

/// A message, whose rights are ours already, or a word of the protocol's.
#[derive(Debug)]
pub(crate) enum Late {
    Message(Frame, RightKind, Mail),
    Word(Frame),
}

/// Which spilled messages are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    /// As far as queues are emptied.
    AsUsual,
    /// All that is for a port which is about to go: nobody receives from it meanwhile.
    For(u32),
    /// All, of a peer that is dead.
    Last,
}

impl World {
    /// Whether something of the peer's is to be read.
    pub(crate) fn shows(&self, from: TaskNumber, to: TaskNumber) -> bool {
        let out = self.memory.get(&(from, to));
        let spilled = out.is_some_and(|out| out.spills.untaken().next().is_some());
        self.lane_shows(from, to) || spilled && self.tasks[to].has_link(from)
    }

    // ---- marks, and what is held ---------------------------------------------------

    /// A mark: everything up to this number was spilled before what follows.
    pub(crate) fn take_mark(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        number: u64,
    ) -> Result<(), Offence> {
        let link = self.tasks[me].link(peer).ok_or(Offence::SpillMalformed)?;
        link.spills.mark(number)?;
        self.look_at_spills(me, peer)
    }

    fn look_at_spills(&mut self, me: TaskNumber, peer: TaskNumber) -> Result<(), Offence> {
        let spills = &self.outbound(peer, me).spills;
        let (shown, slots) = (spills.shown, spills.slots());
        for slot in slots {
            let known = self.tasks[me].link(peer).is_some_and(|it| it.offered.contains(&slot));
            if known {
                continue;
            }
            let lead = self.send_slot(me, peer, slot)?;
            if let Some(link) = self.tasks[me].link(peer) {
                link.offered.insert(slot);
                link.spills.offered(slot, lead.port);
            }
        }
        let unseen = self.tasks[me].link(peer).map(|link| link.spills.unseen());
        for slot in unseen.unwrap_or_default() {
            self.look_at_spill(me, peer, slot)?;
        }
        if let Some(link) = self.tasks[me].link(peer) {
            link.seen = shown;
            link.spills.looked(shown);
        }
        Ok(())
    }

    /// Looks at the first message of a spill that is not taken.
    fn look_at_spill(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
    ) -> Result<(), Offence> {
        let first = self.outbound(peer, me).spills.first(slot);
        let Some(&Spilled { number, after, ref frame }) = first else { return Ok(()) };
        let header = frame.header;
        if header.kind != Kind::Message || header.slot != slot || header.flags & flag::LEFT != 0 {
            return Err(Offence::SpillMalformed);
        }
        let link = self.tasks[me].link(peer).ok_or(Offence::SpillMalformed)?;
        link.spills.seen(slot, number, after)
    }

    /// The port of this slot, where something spilled for it before now is not taken,
    /// and up to which number.
    pub(crate) fn must_hold(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
    ) -> Option<(u32, u64)> {
        let careless = self.is(Fault::SpillNotWaitedFor);
        let link = self.tasks[me].link(peer).filter(|_| !careless)?;
        if link.spills.is_empty() && link.held.is_empty() {
            return None;
        }
        let lead = link.exports.get(slot).ok()?.port;
        if lead.is_call() {
            return None;
        }
        let held = || link.held.iter().rfind(|held| held.port == lead.port);
        let until = link.spills.holds(lead.port).or_else(|| Some(held()?.until))?;
        Some((lead.port, until))
    }

    /// Holds a word that was sent after spilled messages to its port. False where it
    /// need not wait.
    pub(crate) fn hold_word(&mut self, me: TaskNumber, peer: TaskNumber, frame: &Frame) -> bool {
        let kind = frame.header.kind;
        if !matches!(kind, Kind::Pulse | Kind::Dropped | Kind::Release) {
            return false;
        }
        let Some((port, until)) = self.must_hold(me, peer, frame.header.slot) else {
            return false;
        };
        let Some(link) = self.tasks[me].link(peer) else { return false };
        // A right goes home behind what came on it, and behind that alone.
        if kind == Kind::Release && !link.held.iter().any(|held| held.port == port) {
            return false;
        }
        link.held.push_back(Held { port, until, what: Late::Word(frame.clone()) });
        true
    }

    /// Lets go on what is held for nothing any more, or all of it.
    fn let_held_go(&mut self, me: TaskNumber, peer: TaskNumber, all: bool) -> Result<(), Offence> {
        while let Some(late) = self.first_free(me, peer, all) {
            match late {
                Late::Message(frame, kind, mail) => {
                    self.deliver(me, peer, frame.header, kind, mail)?;
                }
                Late::Word(frame) => self.read_word(me, peer, &frame)?,
            }
        }
        Ok(())
    }

    fn first_free(&mut self, me: TaskNumber, peer: TaskNumber, all: bool) -> Option<Late> {
        let link = self.tasks[me].link(peer)?;
        let mut barred = Vec::new();
        let place = link.held.iter().position(|held| {
            let goes = all || link.spills.lets_go(held.port, held.until);
            let may = goes && !barred.contains(&held.port);
            if !may {
                barred.push(held.port);
            }
            may
        })?;
        link.held.remove(place).map(|held| held.what)
    }

    // ---- messages --------------------------------------------------------------

    /// Spilled messages that wait in queues of ours, by their slots.
    pub(crate) fn waiting_of(&self, me: TaskNumber, peer: TaskNumber) -> Vec<Slot> {
        let task = &self.tasks[me];
        let Some(link) = task.links.get(&peer).filter(|link| !link.queued.is_empty()) else {
            return Vec::new();
        };
        let queues = task.ports.values().flat_map(|state| state.queue.iter());
        queues.filter_map(|mail| link.queued.get(&mail.number).copied()).collect()
    }

    /// Counts no more what was received.
    fn forget_received(&mut self, me: TaskNumber, peer: TaskNumber) {
        let Some(task) = self.tasks.get_mut(me) else { return };
        let Some(link) = task.links.get_mut(&peer).filter(|link| !link.queued.is_empty()) else {
            return;
        };
        let queues = task.ports.values().flat_map(|state| state.queue.iter());
        let here: Vec<u64> = queues.map(|mail| mail.number).collect();
        link.queued.retain(|number, _| here.contains(number));
    }

    /// What comes by the lane is behind what was spilled on its slot before: else we
    /// would keep as much of it as anybody sends.
    pub(crate) fn comes_beside(&mut self, me: TaskNumber, peer: TaskNumber, frame: &Frame) {
        let (slot, honest) = (frame.header.slot, self.tasks[peer].honest());
        let first = self.outbound(peer, me).spills.first(slot);
        if honest && first.is_some_and(|first| number_of(&first.frame) < number_of(frame)) {
            let what = format!("task {peer} sends in the lane what comes behind its spill {slot}");
            self.violated("I8", what);
        }
    }

    /// Takes up to `most` spilled messages that may be taken now.
    pub(crate) fn take_spilled(&mut self, me: TaskNumber, peer: TaskNumber, most: u64) {
        let shown = self.outbound(peer, me).spills.shown;
        let seen = self.tasks[me].link(peer).map(|link| (link.seen, link.offered.is_empty()));
        let result = match seen {
            None => return,
            Some((seen, true)) if seen == shown => return,
            Some((seen, _)) if seen == shown => Ok(()),
            Some(_) => self.look_at_spills(me, peer),
        };
        let taken = result.and_then(|()| {
            for _ in 0..most {
                if !self.take_next(me, peer, Take::AsUsual)? {
                    break;
                }
            }
            Ok(())
        });
        if let Err(offence) = taken {
            self.offended(me, peer, offence);
        }
    }

    /// Takes the next spilled message. False where none may be taken.
    fn take_next(&mut self, me: TaskNumber, peer: TaskNumber, take: Take) -> Result<bool, Offence> {
        self.forget_received(me, peer);
        let waiting = self.waiting_of(me, peer);
        let early = self.is(Fault::SpillTakenEarly);
        let read = if early { u64::MAX } else { self.outbound(peer, me).lane.tail() };
        let all = take == Take::Last || self.is(Fault::SpillWindowIgnored);
        let Some(link) = self.tasks[me].link(peer) else { return Ok(false) };
        let spills = &link.spills;
        let may = |slot| match take {
            Take::For(port) => spills.port(slot) == Some(port),
            Take::AsUsual | Take::Last => all || waiting.len() < QUEUED || !waiting.contains(&slot),
        };
        let Some(slot) = spills.first(read, may) else { return Ok(false) };
        let Some(spilled) = self.outbound(peer, me).spills.take(slot) else { return Ok(false) };
        if let Some(link) = self.tasks[me].link(peer) {
            link.spills.took(slot);
        }
        let (kind, mail) = self.unpack_message(me, peer, &spilled.frame)?;
        if take == Take::AsUsual
            && let Some(link) = self.tasks[me].link(peer)
        {
            link.queued.insert(mail.number, slot);
        }
        self.deliver(me, peer, spilled.frame.header, kind, mail)?;
        self.look_at_spill(me, peer, slot)?;
        self.say_emptied(me, peer, slot, spilled.number);
        self.let_held_go(me, peer, false)?;
        Ok(true)
    }

    /// Tells the peer how far a slot was taken, when it shows no more; or before, as
    /// where memory is let go.
    fn say_emptied(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot, number: u64) {
        let Some(link) = self.tasks[me].link(peer) else { return };
        if (!link.spills.has_more(slot) || number.is_multiple_of(2))
            && let Some(taken) = link.spills.emptied(slot)
        {
            self.say(me, peer, about(Kind::Emptied, slot, taken));
        }
    }

    /// Nothing more comes in the memory for this slot, up to `number`.
    pub(crate) fn spill_spent(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) {
        let more = self.outbound(peer, me).spills.first(slot).is_some();
        if let Some(link) = self.tasks[me].link(peer)
            && !more
            && !link.spills.has_more(slot)
        {
            link.spills.forget(slot);
            link.offered.remove(&slot);
        }
    }

    /// Takes what the peer has spilled for a port that is about to go.
    pub(crate) fn take_spilled_for(&mut self, me: TaskNumber, peer: TaskNumber, port: u32) {
        let mut result = Ok(true);
        while self.tasks[me].has_link(peer) && result == Ok(true) {
            result = self.take_next(me, peer, Take::For(port));
        }
        if let Err(offence) = result {
            self.offended(me, peer, offence);
        }
    }

    /// The peer is dead, and its lane read to the end: what it spilled is taken,
    /// whatever waits. Where it is blamed, only what came in its lane is.
    pub(crate) fn finish_spills(&mut self, me: TaskNumber, peer: TaskNumber, dead: bool) {
        if !self.tasks[me].has_link(peer) {
            return;
        }
        if dead && !self.is(Fault::SpillDiesWithSender) {
            let mut result = self.look_at_spills(me, peer);
            if let Some(link) = self.tasks[me].link(peer) {
                link.spills.end();
            }
            while result.is_ok() {
                match self.take_next(me, peer, Take::Last) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(offence) => result = Err(offence),
                }
            }
            if let Err(offence) = result {
                self.blame(me, peer, offence);
            }
        }
        while let Err(offence) = self.let_held_go(me, peer, true) {
            self.blame(me, peer, offence);
        }
    }
}
