//! Calls: a promise of a reply that goes to its caller and to no port.
//!
//! What the caller wants of the answer is state in the slot of the reply right,
//! wherever the right has been given on to. The caller may ask for an end,
//! withdraw, or see its deadline pass at any step; the holder may ask to be told
//! of that, write parts of the answer, answer, or let the right go.

use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot};
use rights::reply::{Comes, Gone, Promised, ReplyState};

use crate::control::about;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::task::{Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::{Fact, World};

/// The port of every call: none.
pub(crate) const CALLS: u32 = 0;
/// Bytes of one part of an answer.
const PART_BYTES: u64 = 8;
/// Parts an answer has room for.
const PARTS: u64 = 3;

impl Lead {
    /// The reply right of a call.
    pub(crate) const fn call(promise: u64) -> Self {
        Lead { port: CALLS, facet: 0, promise }
    }

    pub(crate) const fn is_call(self) -> bool {
        self.port == CALLS
    }
}

impl World {
    // ---- the caller ----------------------------------------------------------

    /// Begins a call: its reply right.
    pub(crate) fn make_call(&mut self, me: TaskNumber) -> RightNumber {
        let promise = self.number();
        let room = PART_BYTES * self.chance.below(PARTS + 1);
        self.figures.calls += 1;
        self.promises.insert(promise, 0);
        self.tasks[me].promises.insert(promise, CALLS);
        self.tasks[me].calls.insert(promise, Promised::new(room));
        self.tasks[me].keep(Right::OwnOnce(Lead::call(promise)))
    }

    /// The caller of some call changes its mind.
    pub(crate) fn some_change_of_mind(&mut self, me: TaskNumber) {
        let calls = self.tasks[me].calls.iter();
        let open = calls.filter(|(promise, call)| call.is_open() && !self.is_handout(**promise));
        let open: Vec<u64> = open.map(|(&promise, _)| promise).collect();
        let Some(&promise) = self.chance.pick(&open) else { return };
        let why = match self.chance.below(4) {
            0 => Some(Gone::TimedOut),
            1 | 2 => Some(Gone::Withdrawn),
            _ => None,
        };
        let Some(call) = self.tasks[me].calls.get_mut(&promise) else { return };
        let news = match why {
            Some(why) => call.end(why),
            None => call.ask(),
        };
        if !news {
            return;
        }
        if why.is_some() {
            self.figures.withdrawn += 1;
            self.withdrawn.insert(promise);
        }
        self.show_call(me, promise);
    }

    /// Writes what the caller wants into every slot of the reply right.
    fn show_call(&mut self, me: TaskNumber, promise: u64) {
        let Some(call) = self.tasks[me].calls.get(&promise).copied() else { return };
        let ends = self.is(Fault::WithdrawnSlotEnds) && call.state().is_gone();
        for (peer, slot) in self.places_of_call(me, promise) {
            let board = &mut self.outbound(me, peer).board;
            board.set(slot, call.state().on_board(), call.room());
            self.say(me, peer, about(Kind::Look, slot, 0));
            if ends && let Some(link) = self.tasks[me].link(peer) {
                let _ = link.exports.consume(slot);
            }
        }
        self.see_all_watched(me);
    }

    /// The slots of a reply right.
    pub(crate) fn places_of_call(&self, me: TaskNumber, promise: u64) -> Vec<(TaskNumber, Slot)> {
        let mut places = Vec::new();
        for (&peer, link) in self.tasks[me].links.iter().filter(|(_, link)| !link.ended) {
            let here = link.exports.iter().filter(|(_, export)| export.port == Lead::call(promise));
            places.extend(here.map(|(slot, _)| (peer, slot)));
        }
        places.sort_unstable();
        places
    }

    /// What is written into a slot that a reply right is given: what is wanted,
    /// and the room for parts.
    pub(crate) fn born_as(&self, me: TaskNumber, promise: u64) -> (abi::board::State, u64) {
        match self.tasks[me].calls.get(&promise) {
            Some(call) if self.is(Fault::BornWithoutState) => {
                (abi::board::State::Live, call.room())
            }
            Some(call) => (call.state().on_board(), call.room()),
            None => (abi::board::State::Dead, 0),
        }
    }

    /// The one message, or the one notification, that a reply right ends in.
    pub(crate) fn answered(&mut self, me: TaskNumber, promise: u64, mail: Option<Mail>) {
        self.tasks[me].promises.remove(&promise);
        let Some(mut call) = self.tasks[me].calls.remove(&promise) else {
            return self.violated("I7", format!("call {promise} of task {me} ended twice"));
        };
        if call.comes() == Comes::Late && !self.is(Fault::LateIsKept) {
            if let Some(mail) = mail {
                self.excuse(me, mail);
            }
            return;
        }
        self.promise_counts(me, promise);
        if self.withdrawn.contains(&promise) {
            let what = format!("task {me} withdrew call {promise}, and its answer came");
            self.violated("I7", what);
        }
        self.handed_back(me, promise, mail.is_some());
        let Some(mail) = mail else { return };
        let written = self.parts.get(&promise).copied().unwrap_or(0);
        if call.written() != written && !self.liars {
            let what = format!(
                "the parts of the answer to call {promise} end at {}, and {written} were written",
                call.written()
            );
            self.violated("I4", what);
        }
        self.tasks[me].space.extend(mail.rights);
        if self.mail.remove(&mail.number).is_none() {
            self.violated("I4", format!("answer {} came twice", mail.number));
        }
    }

    /// The world takes note of an answer on its way.
    pub(crate) fn note_answer(&mut self, number: u64, from: TaskNumber, to: TaskNumber) {
        if self.tasks[to].honest() {
            self.mail.insert(number, Fact { from, to, port: CALLS });
        }
    }

    /// A part of an answer has come.
    pub(crate) fn take_part(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        frame: &Frame,
    ) -> Result<(), Offence> {
        let slot = frame.header.slot;
        let link = self.tasks[me].link(peer).ok_or(Offence::NeverExported)?;
        let export = *link.exports.get(slot)?;
        if export.kind != RightKind::SendOnce {
            return Err(Offence::RightKind);
        }
        // Robbed of it by one who guessed the ticket: late, and nobody's offence.
        if export.given {
            return Ok(());
        }
        let lost = self.is(Fault::PartLost);
        let call = self.tasks[me].calls.get_mut(&export.port.promise);
        let Some(call) = call.filter(|_| export.port.is_call()) else {
            return Err(Offence::PartBeyondRoom);
        };
        let mut part = *call;
        let _ = part.part(frame.header.tag, frame.rest.len() as u64)?;
        if !lost {
            *call = part;
        }
        Ok(())
    }

    // ---- the holder ----------------------------------------------------------

    /// What the caller wants of a send-once right of ours.
    pub(crate) fn reply_state(&self, me: TaskNumber, right: RightNumber) -> ReplyState {
        const DIED: ReplyState = ReplyState::Gone(Gone::Died);
        match self.tasks[me].rights.get(&right) {
            Some(&Right::OwnOnce(lead)) if lead.is_call() => {
                self.tasks[me].calls.get(&lead.promise).map_or(DIED, Promised::state)
            }
            Some(Right::OwnOnce(_) | Right::Joining { .. }) => ReplyState::Wanted,
            Some(&Right::PeerOnce(peer, slot)) if self.tasks[me].has_link(peer) => {
                let out = self.memory.get(&(peer, me));
                out.map_or(DIED, |out| out.board.reply(slot))
            }
            _ => DIED,
        }
    }

    fn some_once(&mut self, me: TaskNumber) -> Option<RightNumber> {
        let task = &self.tasks[me];
        let once = |right: &&RightNumber| {
            matches!(
                task.rights.get(right),
                Some(Right::OwnOnce(_) | Right::PeerOnce(..))
                    | Some(Right::Joining { kind: RightKind::SendOnce, .. })
            )
        };
        let all: Vec<RightNumber> = task.space.iter().filter(once).copied().collect();
        self.chance.pick(&all).copied()
    }

    /// Writes some part of an answer, or asks to be told that none is wanted.
    pub(crate) fn some_service(&mut self, me: TaskNumber) {
        let Some(right) = self.some_once(me) else { return };
        if self.chance.below(3) == 0 {
            self.watch(me, right);
        } else {
            self.write_part(me, right);
        }
    }

    fn write_part(&mut self, me: TaskNumber, right: RightNumber) {
        if self.reply_state(me, right).is_gone() {
            return;
        }
        let offset = PART_BYTES * self.chance.below(PARTS);
        let end = offset + PART_BYTES;
        match self.tasks[me].rights.get(&right) {
            Some(&Right::OwnOnce(lead)) if lead.is_call() => {
                if let Some(call) = self.tasks[me].calls.get_mut(&lead.promise)
                    && call.part(offset, PART_BYTES).is_ok()
                {
                    self.part_written(lead.promise, end);
                }
            }
            Some(&Right::PeerOnce(peer, slot)) => {
                let bytes = HEADER_BYTES + PART_BYTES as usize;
                let out = self.outbound(peer, me);
                if out.board.room(slot) < end {
                    return;
                }
                self.flush(me, peer);
                let quiet = self.tasks[me].link(peer).is_some_and(|link| link.control.is_empty());
                if !quiet || !self.outbound(me, peer).lane.has_room(bytes, false) {
                    return;
                }
                let header = Header { tag: offset, ..Header::new(Kind::Part, slot) };
                let frame = Frame::new(header, vec![7; PART_BYTES as usize]);
                self.outbound(me, peer).lane.publish(&frame.encode());
                if let Some(lead) = self.lead_of(peer, me, slot) {
                    self.part_written(lead.promise, end);
                }
            }
            _ => {}
        }
    }

    fn part_written(&mut self, promise: u64, end: u64) {
        self.figures.parts += 1;
        let written = self.parts.entry(promise).or_default();
        *written = end.max(*written);
    }

    /// A right of ours is to hear when nobody waits for this answer, or its
    /// caller asks for an end.
    fn watch(&mut self, me: TaskNumber, right: RightNumber) {
        let Some(port) = self.some_own_port(me) else { return };
        let to = self.make_promise(me, port);
        if let Some(before) = self.tasks[me].watched.insert(right, to) {
            self.let_go(me, before);
        }
        self.see_watched(me, right);
    }

    /// Tells who asked, where there is something to tell.
    pub(crate) fn see_watched(&mut self, me: TaskNumber, right: RightNumber) {
        if self.tasks[me].watched.contains_key(&right)
            && self.reply_state(me, right) != ReplyState::Wanted
            && let Some(to) = self.tasks[me].watched.remove(&right)
        {
            self.notify(me, to);
        }
    }

    pub(crate) fn see_all_watched(&mut self, me: TaskNumber) {
        for right in self.tasks[me].watched.keys().copied().collect::<Vec<_>>() {
            self.see_watched(me, right);
        }
    }

    /// A peer wrote something into a slot: who asked about it is told.
    pub(crate) fn see_slot(&mut self, me: TaskNumber, peer: TaskNumber, slot: Option<Slot>) {
        let task = &self.tasks[me];
        let named = |right: &&RightNumber| match task.rights.get(right) {
            Some(&Right::PeerOnce(of, named)) => of == peer && slot.is_none_or(|it| it == named),
            _ => false,
        };
        for right in task.watched.keys().filter(named).copied().collect::<Vec<_>>() {
            self.see_watched(me, right);
        }
    }

    /// Nobody is told of a reply right that was used, or went elsewhere.
    pub(crate) fn unwatch_gone(&mut self, me: TaskNumber) {
        let task = &self.tasks[me];
        let gone = task.watched.keys().filter(|right| !task.rights.contains_key(right));
        for right in gone.copied().collect::<Vec<_>>() {
            if let Some(to) = self.tasks[me].watched.remove(&right) {
                self.let_go(me, to);
            }
        }
    }
}
