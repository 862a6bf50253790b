//! Messages to unbounded ports that find no room: the sender's part.
//!
//! They go into memory of ours, a *spill* for each slot, which the peer maps and
//! reads as fast as its receivers take them. So the sender never waits, and what
//! was accepted outlives it. The memory is filled once and never lapped; a full one
//! is followed by another, as large as all before it, and what the peer has taken is
//! let go. [`rights::spill`] says what goes where; this acts on it.
//!
//! Memory is offered on the socket, before anything in it counts: neither the
//! offer nor the message needs room in the lane. Only what follows in the lane is
//! preceded by a *mark*, which says what was spilled before it.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;

use abi::frame::{Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Offence, Slot, limits};
use rights::spill::{Emptied, Outgoing, SPILLING};
use shm::socket::SendPacketError;
use shm::{LaneWriter, OwnPage};

use super::carry::Load;
use super::out::{Blocked, Out, descriptor_packet};
use super::{Entry, Link, Turn};
use crate::error::SendFailure;
use crate::limits::Limit;
use crate::message::Message;
use crate::wait::parking::lock;

/// What the packet with the memory of a spill begins with; the slot follows.
pub(super) const SPILL: [u8; 4] = *b"spil";

/// What a packet of descriptors of a spilled message begins with.
pub(super) const SPILL_DESCRIPTORS: [u8; 4] = *b"spld";

/// Bytes before the body of a spilled message: its number, and how far the lane was
/// filled before it.
pub(super) const PREFIX_BYTES: usize = 16;

/// What we have spilled on one link.
#[derive(Debug, Default)]
pub(super) struct Spills {
    rules: Outgoing<Slot>,
    runs: BTreeMap<Slot, VecDeque<Memory>>,
    /// Bytes of memory the peer has not let go.
    bytes: u64,
    packet: u32,
    /// Descriptors in messages that are not taken.
    descriptors: VecDeque<(Slot, u64, usize)>,
    /// How many the peer was shown.
    shown: u64,
    /// Rights that go home when what was spilled before is taken.
    behind: BTreeMap<Slot, u64>,
}

/// Memory of ours that messages are spilled into.
#[derive(Debug)]
struct Memory {
    writer: LaneWriter,
    /// The number of the last message in it.
    last: u64,
}

impl Memory {
    fn bytes(&self) -> u64 {
        u64::from(self.writer.lane_bytes())
    }

    /// Whether a frame of so many bytes fits behind what is there.
    fn fits(&self, room: u64) -> bool {
        self.bytes().saturating_sub(self.writer.head()) >= room
    }
}

impl Spills {
    /// Whether what is sent on `slot` must be spilled.
    pub(super) fn is_spilled(&self, slot: Slot) -> bool {
        self.rules.is_spilled(slot)
    }

    /// Whether nothing is spilled, and the lane need not say of anything.
    pub(super) fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.rules.unmarked().is_none()
    }

    /// What was spilled and not let go, in order, and rights that wait behind it.
    pub(super) fn unread(&self) -> Vec<(Header, Vec<u8>)> {
        let mut all = Vec::new();
        for memory in self.runs.values().flatten() {
            for (mut header, mut rest) in memory.writer.announced() {
                let at = (header.extra as usize).min(rest.len());
                let Some(number) = abi::u64_at(&rest, at) else { continue };
                rest.drain(at..at + PREFIX_BYTES);
                header.length -= PREFIX_BYTES as u32;
                all.push((number, (header, rest)));
            }
        }
        all.sort_by_key(|(number, _)| *number);
        let home = |(slot, count): (&Slot, &u64)| {
            (Header { tag: *count, ..Header::new(Kind::Release, *slot) }, Vec::new())
        };
        all.into_iter().map(|(_, frame)| frame).chain(self.behind.iter().map(home)).collect()
    }

    fn memories(&self) -> usize {
        self.runs.values().map(VecDeque::len).sum()
    }

    fn descriptors_out(&self) -> usize {
        self.descriptors.iter().map(|(.., count)| count).sum()
    }

    /// The peer let go of what it took.
    fn let_go(&mut self, slot: Slot, number: u64, over: bool) {
        let mut freed = 0;
        if let Some(run) = self.runs.get_mut(&slot) {
            while let Some(first) = run.front()
                && (over || (first.last <= number && run.len() > 1))
            {
                freed += first.bytes();
                run.pop_front();
            }
            if run.is_empty() {
                self.runs.remove(&slot);
            }
        }
        self.bytes = self.bytes.saturating_sub(freed);
        self.descriptors.retain(|(on, last, _)| *on != slot || *last > number);
    }
}

impl Link {
    /// Whether a message may be spilled: its port grants it, and nothing in it
    /// binds it to the lane. Who reads the lane must know at once of a port that
    /// moves, and of a message that is left.
    pub(super) fn may_spill(&self, entry: &Entry, load: &Load) -> bool {
        load.attached.accepted.is_none()
            && load.attached.bags() == 0
            && load.packs.is_empty()
            && self.grants_spilling(entry)
    }

    fn grants_spilling(&self, entry: &Entry) -> bool {
        self.peer.grant(entry.slot.index) == Some(SPILLING)
    }

    /// Spills a message. It never waits.
    pub(super) fn spill(
        &self,
        out: &mut Out,
        header: &Header,
        entry: &Arc<Entry>,
        message: &Message,
        load: &mut Load,
    ) -> Result<(), Blocked> {
        // What its rights are on, and what it lies in, must be offered before it.
        if out.has_boards() && (load.lends() || load.exported().next().is_some()) {
            let _ = self.flush(out);
            if out.has_boards() {
                return Err(Blocked::Room);
            }
        }
        let slot = entry.slot;
        let descriptors = usize::from(load.attached.descriptors);
        if out.spills.descriptors_out() + descriptors > limits::SPILL_DESCRIPTORS {
            return Err(self.over_limit());
        }
        let (mut header, body) = load.compose(header, message, out.spills.packet);
        header.length += PREFIX_BYTES as u32;
        let room = u64::from(header.room());
        if !out.spills.runs.get(&slot).and_then(VecDeque::back).is_some_and(|one| one.fits(room)) {
            self.offer_memory(out, slot)?;
        }
        // Looked at last: an owner that takes it back sees one message more at most.
        if !self.grants_spilling(entry) {
            return Err(Blocked::Room);
        }
        if descriptors > 0 {
            // Before the frame that owns them, so that they are there when it is
            // taken.
            let fds = load.descriptors(message);
            let what = load.packet_of(SPILL_DESCRIPTORS, &fds);
            self.socket
                .send(&descriptor_packet(what, out.spills.packet), &fds)
                .map_err(|error| self.not_offered(error))?;
            out.spills.packet = out.spills.packet.wrapping_add(1);
        }
        let number = out.spills.rules.next();
        let Some(memory) = out.spills.runs.get_mut(&slot).and_then(VecDeque::back_mut) else {
            return Err(Blocked::Room);
        };
        let mut prefix = number.to_le_bytes().to_vec();
        prefix.extend_from_slice(&out.writer.head().to_le_bytes());
        let parts: [&[u8]; 3] = [&load.extra, &prefix, body];
        if let Err(error) = memory.writer.append(&header, &parts) {
            return Err(self.not_written(out, error));
        }
        memory.last = number;
        // Accepted: whoever reads this memory finds it, and we cannot take it back.
        memory.writer.publish();
        load.lend(message);
        out.spills.rules.spilled(slot);
        if descriptors > 0 {
            out.spills.descriptors.push_back((slot, number, descriptors));
        }
        for name in &load.attached.rights {
            if let RightRef::Yours(RightKind::Send, named) = name {
                out.spills.rules.names(*named, slot);
            }
        }
        out.note_exported(load.exported());
        out.messages += 1;
        lock(&entry.import).sent();
        Ok(())
    }

    fn over_limit(&self) -> Blocked {
        self.task.counters.refuse(Limit::SpillBytes);
        Blocked::Fail(SendFailure::OverLimit)
    }

    fn not_offered(&self, error: SendPacketError) -> Blocked {
        match error {
            // A socket full of offers that nobody takes is as full as memory.
            SendPacketError::Full => self.over_limit(),
            SendPacketError::TooManyInFlight => Blocked::Fail(SendFailure::DescriptorsInFlight),
            SendPacketError::Gone => Blocked::Fail(SendFailure::Dead),
            SendPacketError::System(error) => Blocked::Fail(SendFailure::System(error.kind())),
        }
    }

    /// Makes memory for what is spilled on `slot` and offers it to the peer.
    fn offer_memory(&self, out: &mut Out, slot: Slot) -> Result<(), Blocked> {
        let spills = &mut out.spills;
        let left = self.task.limits.spill_bytes.saturating_sub(spills.bytes);
        let before: u64 = spills.runs.get(&slot).into_iter().flatten().map(Memory::bytes).sum();
        let wanted = before.max(u64::from(limits::LANE_BYTES_MIN));
        let bytes = power_below(wanted.min(left)).min(u64::from(limits::LANE_BYTES_MAX));
        if bytes < u64::from(limits::LANE_BYTES_MIN) || spills.memories() >= limits::SPILLS {
            return Err(self.over_limit());
        }
        let bytes = u32::try_from(bytes).unwrap_or(limits::LANE_BYTES_MAX);
        let (_, writer, fd) = OwnPage::create(bytes)
            .map_err(|error| Blocked::Fail(SendFailure::System(error.kind())))?;
        let mut packet = [0; 12];
        packet[..8].copy_from_slice(&descriptor_packet(SPILL, slot.index));
        packet[8..].copy_from_slice(&slot.generation.to_le_bytes());
        self.socket.send(&packet, &[fd.as_fd()]).map_err(|error| self.not_offered(error))?;
        spills.bytes += u64::from(bytes);
        spills.runs.entry(slot).or_default().push_back(Memory { writer, last: 0 });
        Ok(())
    }

    // ---- marks and news -----------------------------------------------------------------

    /// Says in the lane what was spilled before what follows. Where it has no room
    /// it waits with what follows.
    pub(super) fn settle_mark(&self, out: &mut Out) {
        let Some(number) = out.spills.rules.unmarked() else { return };
        let header = Header { tag: number, ..Header::new(Kind::Spilled, super::NO_SLOT) };
        let _ = self.write_or_keep(out, header, &[], false);
        out.spills.rules.mark();
    }

    /// Shows the peer what was spilled since this was done last. True where there
    /// was something.
    pub(super) fn show_spilled(&self, spills: &mut Spills) -> bool {
        let last = spills.rules.next() - 1;
        let news = std::mem::replace(&mut spills.shown, last) != last;
        if news {
            self.own.set_spilled(last);
        }
        news
    }

    // ---- what waits behind -------------------------------------------------------

    /// Rights to a slot of the peer's go home, after everything that was sent on
    /// them.
    pub(super) fn say_release(&self, slot: Slot, count: u64) {
        if self.is_dead() {
            return;
        }
        let mut out = lock(&self.out);
        if out.spills.rules.holds_back(slot) {
            *out.spills.behind.entry(slot).or_default() += count;
        } else {
            let header = Header { tag: count, ..Header::new(Kind::Release, slot) };
            let _ = self.write_or_keep(&mut out, header, &[], false);
        }
        self.publish(out);
    }

    /// The peer has taken what was spilled for `slot`, up to `number`.
    pub(super) fn take_emptied(
        &self,
        slot: Slot,
        number: u64,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let mut out = lock(&self.out);
        let emptied = out.spills.rules.emptied(slot, number)?;
        out.spills.let_go(slot, number, emptied == Emptied::Over);
        if emptied == Emptied::Over {
            let header = Header { tag: number, ..Header::new(Kind::Spent, slot) };
            let _ = self.write_or_keep(&mut out, header, &[], false);
        }
        let Spills { rules, behind, .. } = &mut out.spills;
        let mut home = Vec::new();
        behind.retain(|slot, count| {
            let waits = rules.holds_back(*slot);
            if !waits {
                home.push((*slot, *count));
            }
            waits
        });
        for (slot, count) in home {
            let header = Header { tag: count, ..Header::new(Kind::Release, slot) };
            let _ = self.write_or_keep(&mut out, header, &[], false);
        }
        self.publish(out);
        self.wake_waiters(&mut turn.after);
        Ok(())
    }

    /// The peer is dead: nobody reads what was spilled.
    pub(super) fn end_spills(&self) {
        let ended = {
            let mut out = lock(&self.out);
            let rules = out.spills.rules.clone();
            std::mem::replace(&mut out.spills, Spills { rules, ..Spills::default() })
        };
        drop(ended);
    }
}

/// The largest power of two that is not above `bytes`; zero for zero.
const fn power_below(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { 1 << bytes.ilog2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(index: u32) -> Slot {
        Slot { index, generation: 1 }
    }

    /// Spills a message whose words are its number three times.
    fn spilled(spills: &mut Spills, slot: Slot, number: u64) {
        let (extra, body) = ([number as u8; 8], [number as u8; 24]);
        let mut header = Header::new(Kind::Message, slot);
        header.extra = extra.len() as u32;
        header.length += (extra.len() + PREFIX_BYTES + body.len()) as u32;
        let run = spills.runs.entry(slot).or_default();
        if run.is_empty() {
            let (_, writer, _) = OwnPage::create(limits::LANE_BYTES_MIN).unwrap();
            run.push_back(Memory { writer, last: 0 });
        }
        let memory = run.back_mut().unwrap();
        let prefix = [number.to_le_bytes(), [0; 8]].concat();
        memory.writer.append(&header, &[&extra, &prefix, &body]).unwrap();
        memory.writer.publish();
        memory.last = number;
        spills.rules.spilled(slot);
    }

    #[test]
    fn what_a_dead_owner_did_not_read_is_found_in_order_as_it_was_sent() {
        let mut spills = Spills::default();
        for (number, on) in [(1, 7), (2, 5), (3, 7), (4, 5)] {
            spilled(&mut spills, slot(on), number);
        }
        spills.behind.insert(slot(5), 2);
        let mut unread = spills.unread();
        let (home, _) = unread.pop().unwrap();
        assert_eq!((home.kind, home.slot, home.tag), (Kind::Release, slot(5), 2));
        let found: Vec<_> = unread.iter().map(|(header, rest)| (header.slot.index, rest)).collect();
        let sent = [[1; 32], [2; 32], [3; 32], [4; 32]].map(Vec::from);
        assert_eq!(found, [(7, &sent[0]), (5, &sent[1]), (7, &sent[2]), (5, &sent[3])]);
        for (header, rest) in &unread {
            let head = abi::frame::HEADER_BYTES;
            assert_eq!((header.length as usize, header.extra), (head + rest.len(), 8));
        }
    }

    #[test]
    fn memory_goes_by_powers_of_two() {
        let below = [(0, 0), (1, 1), (3, 2), (64, 64), (65, 64)];
        assert!(below.iter().all(|(bytes, power)| power_below(*bytes) == *power));
    }
}
