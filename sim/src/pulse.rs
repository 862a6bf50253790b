//! Pulses: a few bytes that never wait for a place, of which each holder may have
//! so many on their way; and what ports drop that have no room.

use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::{Offence, Slot};
use rights::port::PulseArrived;
use rights::pulses::PulseRaise;
use rights::terms::{End, Refusal};

use crate::control::NO_SLOT;
use crate::facet::IDS;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::spilled::Late;
use crate::task::{Holder, Lead, Mail, Right, RightNumber, TaskNumber};
use crate::world::World;

/// Values of pulses are below this: equal ones are to meet.
const VALUES: u64 = 2;

/// What a pulse is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) from: TaskNumber,
    pub(crate) value: u64,
}

impl Pulse {
    /// The words that stand for it in a bag, where no message has a number.
    pub(crate) const fn word(self) -> u64 {
        self.from as u64 * VALUES + self.value
    }

    pub(crate) const fn of_word(word: u64) -> Self {
        Pulse { from: (word / VALUES) as TaskNumber, value: word % VALUES }
    }
}

/// Pulses of one task to one port, as the world counts them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pulsed {
    sent: u64,
    /// Received, or refused by terms.
    over: u64,
    /// Some may have been lost, with the task that had the port when they came.
    lossy: bool,
}

/// Who holds the pulses that came with a port.
pub(crate) const NOBODY: Holder = (TaskNumber::MAX, NO_SLOT);

impl World {
    // ---- the sender ----------------------------------------------------------

    pub(crate) fn some_pulse(&mut self, me: TaskNumber) {
        let task = &self.tasks[me];
        let sends = |right: &&RightNumber| {
            matches!(task.rights.get(right), Some(Right::OwnSend(_) | Right::PeerSend(..)))
        };
        let all: Vec<RightNumber> = task.space.iter().filter(sends).copied().collect();
        let Some(&right) = self.chance.pick(&all) else { return };
        // A few at a time: limits are to be reached.
        for _ in 0..=self.chance.below(3) {
            let (id, value) = (self.chance.below(IDS) as i32, self.chance.below(VALUES));
            let pulse = Pulse { from: me, value };
            match self.tasks[me].rights.get(&right) {
                Some(&Right::OwnSend(lead)) => self.pulse_home(me, lead, id, pulse),
                Some(&Right::PeerSend(peer, slot)) => self.pulse_out(me, (peer, slot), id, pulse),
                _ => {}
            }
        }
    }

    fn pulse_home(&mut self, me: TaskNumber, lead: Lead, id: i32, pulse: Pulse) {
        let now_ns = self.now_ns;
        let Some(state) = self.port(me, lead.port) else { return };
        if state.facets.permits(lead.facet, id, now_ns).is_err() {
            return;
        }
        let mail = Mail { pulse: Some(pulse), facet: lead.facet, ..Mail::plain(0, Vec::new()) };
        if self.queue_pulse(me, lead.port, (me, NO_SLOT), mail).is_ok() {
            self.pulse_sent(pulse, lead);
            if let Ok(Some(facet)) = self.admit(me, lead, id) {
                self.end_facet(me, Lead { facet, ..lead }, End::Spent);
            }
        }
    }

    fn pulse_out(
        &mut self,
        me: TaskNumber,
        (peer, slot): (TaskNumber, Slot),
        id: i32,
        pulse: Pulse,
    ) {
        let dead = self.look(peer, me, slot).0 == abi::board::State::Dead;
        if self.is_away(me, peer, slot) || dead || !self.push_again(me, peer) {
            return;
        }
        if self.must_spill(me, peer, slot) {
            // It would pass what was spilled before it.
            return;
        }
        self.settle_mark(me, peer);
        self.flush(me, peer);
        let board = self.outbound(peer, me).board.pulses(slot);
        let uncounted = self.is(Fault::PulseUncounted);
        let Some(link) = self.tasks[me].link(peer) else { return };
        let quiet = link.control.is_empty();
        let Some(known) = link.imports.get_mut(&slot.index) else { return };
        let before = known.import;
        if !known.import.pulses.send(|| board) {
            self.figures.no_room += 1;
            return self.no_room_for_pulse(me, (peer, slot));
        }
        if uncounted || !quiet {
            known.import = before;
        }
        if !quiet || !self.outbound(me, peer).lane.has_room(HEADER_BYTES, false) {
            if let Some(link) = self.tasks[me].link(peer)
                && let Some(known) = link.imports.get_mut(&slot.index)
            {
                known.import = before;
            }
            return;
        }
        let header = Header { id, tag: pulse.value, ..Header::new(Kind::Pulse, slot) };
        self.outbound(me, peer).lane.publish(&Frame::new(header, Vec::new()).encode());
        if let Some(lead) = self.lead_of(peer, me, slot) {
            self.pulse_sent(pulse, lead);
        }
    }

    fn pulse_sent(&mut self, pulse: Pulse, lead: Lead) {
        self.figures.pulses += 1;
        let first = self.first_name(lead.port);
        if self.homes.contains_key(&first) {
            self.pulsed.entry((pulse.from, first)).or_default().sent += 1;
        }
    }

    /// A sender was told that there is no room: as many as it may have are there.
    fn no_room_for_pulse(&mut self, me: TaskNumber, (peer, slot): (TaskNumber, Slot)) {
        let there = &self.tasks[peer];
        let Some(lead) = self.lead_of(peer, me, slot) else { return };
        let Some(state) = there.ports.get(&lead.port).filter(|state| state.alive) else { return };
        if !there.honest() || !there.alive || !there.counts(lead) {
            return;
        }
        let pulse = |frame: &&Frame| frame.header.kind == Kind::Pulse && frame.header.slot == slot;
        let out = self.memory.get(&(me, peer));
        let coming = out.map_or(0, |out| out.lane.frames().iter().filter(pulse).count());
        let here = |mail: &&Mail| mail.pulse.is_some_and(|pulse| pulse.from == me);
        let there = coming + state.queue.iter().filter(here).count();
        let held = self.tasks[peer].links.get(&me).map_or(0, |link| {
            let words = link.held.iter().filter(|held| match &held.what {
                Late::Word(frame) => pulse(&frame),
                Late::Message(..) => false,
            });
            words.count()
        });
        let there = there + held;
        if (there as u64) < u64::from(state.options.pulses) {
            let what = format!(
                "task {me} is told of no room for pulses in slot {slot} of task {peer}, and \
                 {there} of {} are there",
                state.options.pulses
            );
            self.violated("I6", what);
        }
    }

    // ---- the owner -----------------------------------------------------------

    /// A pulse of a peer's has come.
    pub(crate) fn pulse(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        frame: &Frame,
        lead: Lead,
    ) -> Result<(), Offence> {
        let (slot, id) = (frame.header.slot, frame.header.id);
        let pulse = Pulse { from: peer, value: frame.header.tag % VALUES };
        let mail = Mail { pulse: Some(pulse), facet: lead.facet, ..Mail::plain(0, Vec::new()) };
        let from = (Some((peer, slot)), None);
        let Some(mail) = self.forward(me, lead.port, from, mail) else {
            return Ok(());
        };
        if self.port(me, lead.port).is_none() {
            return Ok(());
        }
        match self.admit(me, lead, id) {
            Ok(spent) => {
                self.queue_pulse(me, lead.port, (peer, slot), mail)?;
                if let Some(facet) = spent {
                    self.end_facet(me, Lead { facet, ..lead }, End::Spent);
                }
            }
            Err(refusal) => {
                self.pulse_over(pulse, lead.port, 1);
                if let Refusal::Id(_) = refusal
                    && let Some(state) = self.port(me, lead.port)
                {
                    let raise = state.queue.refuse_pulse((peer, slot))?;
                    self.raise_pulses(me, raise);
                }
            }
        }
        Ok(())
    }

    fn queue_pulse(
        &mut self,
        me: TaskNumber,
        port: u32,
        holder: Holder,
        mail: Mail,
    ) -> Result<(), Offence> {
        let by = self.sender(holder.0);
        let Some(state) = self.port(me, port) else { return Ok(()) };
        match state.queue.pulse_of(by, holder, mail) {
            Ok(PulseArrived::Queued) => self.note_ready(me, port),
            Ok(PulseArrived::Merged(_, raise)) => {
                self.figures.merged += 1;
                self.raise_pulses(me, raise);
            }
            Err((offence, _)) => return Err(offence),
        }
        Ok(())
    }

    /// A holder may send so many pulses from now on: it finds that on the board.
    pub(crate) fn raise_pulses(&mut self, me: TaskNumber, raise: Option<PulseRaise<Holder>>) {
        if let Some(PulseRaise { holder: (peer, slot), granted }) = raise
            && peer < self.tasks.len()
            && peer != me
            && !self.is(Fault::PulsesUnraised)
        {
            self.outbound(me, peer).board.set_pulses(slot, granted);
        }
    }

    /// Pulses were received, or refused.
    pub(crate) fn pulse_over(&mut self, pulse: Pulse, port: u32, count: u64) {
        let first = self.first_name(port);
        if let Some(pulsed) = self.pulsed.get_mut(&(pulse.from, first)) {
            pulsed.over += count;
            if pulsed.over > pulsed.sent {
                let what =
                    format!("port {first} has more pulses of task {} than it sent", pulse.from);
                self.violated("I4", what);
            }
        }
    }

    /// A task is killed: what it was to pass on to the new owners of ports, and had
    /// not read, is nobody's to send again.
    pub(crate) fn pulses_die_with(&mut self, victim: TaskNumber) {
        let ports = &self.tasks[victim].ports;
        let gone = ports.iter().filter(|(_, state)| state.gone.is_some()).map(|(&port, _)| port);
        let gone: Vec<u32> = gone.map(|port| self.first_name(port)).collect();
        for ((_, port), pulsed) in &mut self.pulsed {
            pulsed.lossy |= gone.contains(port);
        }
    }

    /// In the end every pulse was received.
    pub(crate) fn no_pulse_is_left(&mut self) {
        let home = |port: &u32| {
            self.homes.get(port).is_some_and(|&to| self.tasks[to].alive && self.tasks[to].honest())
        };
        let lost = self
            .pulsed
            .iter()
            .find(|((_, port), pulsed)| pulsed.over != pulsed.sent && !pulsed.lossy && home(port));
        if let Some((&(from, port), pulsed)) = lost {
            let what = format!(
                "of {} pulses of task {from} to port {port} {} came",
                pulsed.sent, pulsed.over
            );
            self.violated("I4", what);
        }
    }

    // ---- what is dropped -----------------------------------------------------

    /// The port has dropped messages: their rights end, and they are counted.
    pub(crate) fn let_fall(&mut self, me: TaskNumber, port: u32) {
        let Some(state) = self.port(me, port) else { return };
        let fallen = state.queue.fallen();
        if fallen.is_empty() {
            return;
        }
        for mail in &fallen {
            state.charged.remove(&mail.number);
        }
        self.figures.dropped += fallen.len() as u64;
        let first = self.first_name(port);
        *self.dropped.entry(first).or_default() += fallen.len() as u64;
        self.tell_taken(me, port);
        for mail in fallen {
            self.mail.remove(&mail.number);
            if !self.is(Fault::FallenKept) {
                self.let_go_all(me, mail.rights);
            }
        }
    }
}
