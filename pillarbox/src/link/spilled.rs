//! Messages to unbounded ports that found no room: the owner's part.
//!
//! A peer's spills are read beside its lane, as far as its spilled messages are
//! taken from our queues: a port that nobody reads costs its senders their memory,
//! not us ours, and nobody else's port anything. What comes in the lane for a port
//! whose spilled messages were sent before it is held until they have come. A dead
//! peer's spills are read to their end. [`rights::spill`] says what comes when.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::frame::{Attached, Header, Kind, flag};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, limits};
use rights::spill::Incoming;
use shm::{LaneReader, PeerPage};

use super::charge::SlotQueue;
use super::inn::{From, Inn, Packet};
use super::spill::PREFIX_BYTES;
use super::{Charge, End, Link, Turn};
use crate::message::{Message, Part};
use crate::port::PortCore;
use crate::right::Sink;
use crate::wait::parking::lock;

/// What we know of a peer's spills, under the lock of what we read.
#[derive(Debug, Default)]
pub(super) struct Spilled {
    rules: Incoming<Slot, u64>,
    runs: BTreeMap<Slot, Run>,
    packets: VecDeque<Packet>,
    held: VecDeque<Held>,
}

/// The memory offered for one slot.
#[derive(Debug)]
struct Run {
    memories: VecDeque<Memory>,
    /// The first message that is not taken.
    first: Option<Header>,
    queued: Arc<SlotQueue>,
}

#[derive(Debug)]
struct Memory {
    reader: LaneReader,
    /// The number of the last message taken out of it.
    last: u64,
}

impl Memory {
    /// Whether all it shows was taken.
    fn is_read(&self) -> bool {
        self.last > 0 && !self.reader.pending()
    }
}

/// What came in the lane and waits for what was spilled before it.
#[derive(Debug)]
struct Held {
    port: u64,
    /// Spilled messages up to this number go before it.
    until: u64,
    what: Late,
}

#[derive(Debug)]
enum Late {
    /// A message for the slot, and the port it will come to, where it brings ports.
    Message(Slot, RightKind, Box<Message>, Option<Arc<PortCore>>),
    /// A frame that is all header.
    Word(Header),
}

/// What waits in our queues of one peer's spilled messages.
#[derive(Debug, Default)]
pub(super) struct SpillQueue {
    bytes: AtomicU64,
    /// There are spilled messages that did not fit.
    waiting: AtomicBool,
    /// They may fit now.
    ready: AtomicBool,
    /// How many the peer has shown that we looked at.
    seen: AtomicU64,
}

impl SpillQueue {
    /// Whether there may be spilled messages to take, where the peer has shown so
    /// many.
    pub(super) fn has_news(&self, shown: u64) -> bool {
        self.seen.load(Ordering::Relaxed) != shown || self.ready.load(Ordering::Relaxed)
    }
}

impl Spilled {
    /// Whether the peer has spilled nothing that is not let go.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.held.is_empty()
    }

    /// Bytes of memory the peer cannot let go yet, and how many there are mapped.
    fn mapped(&self) -> (u64, usize) {
        let all = || self.runs.values().flat_map(|run| &run.memories);
        let unread = all().filter(|memory| !memory.is_read());
        (unread.map(|memory| u64::from(memory.reader.lane_bytes())).sum(), all().count())
    }

    /// Looks at the first message of `slot` that is not taken.
    fn look(&mut self, slot: Slot) -> Result<(), Offence> {
        let Some(run) = self.runs.get_mut(&slot) else { return Ok(()) };
        while run.first.is_none()
            && let Some(memory) = run.memories.front_mut()
        {
            let Some(header) = memory.reader.next()? else {
                // The next is offered when this one is full.
                if run.memories.len() > 1 {
                    run.memories.pop_front();
                    continue;
                }
                break;
            };
            let ours = header.kind == Kind::Message
                && header.slot == slot
                && header.flags & flag::LEFT == 0
                && header.body_bytes() >= PREFIX_BYTES;
            if !ours {
                return Err(Offence::SpillMalformed);
            }
            let mut prefix = [0; PREFIX_BYTES];
            memory.reader.body_into(&header, &mut prefix);
            let word = |at| abi::u64_at(&prefix, at).unwrap_or(0);
            self.rules.seen(slot, word(0), word(8))?;
            run.first = Some(header);
        }
        Ok(())
    }

    fn look_at_all(&mut self) -> Result<(), Offence> {
        self.rules.unseen().into_iter().try_for_each(|slot| self.look(slot))
    }

    /// The slot whose first message is taken next, with the lane read so far and so
    /// many bytes waiting.
    fn first(&self, read: u64, queued: u64) -> Option<Slot> {
        self.rules.first(read, |slot| {
            self.runs.get(&slot).is_some_and(|run| {
                let bytes = run.first.map_or(0, |header| u64::from(header.room()));
                run.queued.bytes.load(Ordering::Relaxed) == 0
                    || queued + bytes <= limits::SPILL_QUEUED_BYTES
            })
        })
    }

    /// The slot whose first message is taken next of those for `port`, with so many
    /// bytes of the peer's waiting.
    fn first_for(&self, port: u64, read: u64, queued: u64) -> Option<Slot> {
        self.rules.first(read, |slot| {
            let first = self.runs.get(&slot).and_then(|run| run.first);
            let bytes = first.map_or(0, |header| u64::from(header.room()));
            self.rules.port(slot) == Some(port) && queued + bytes <= limits::SPILL_BYTES
        })
    }

    /// The first of what is held that may go on.
    fn free(&mut self, all: bool) -> Option<Late> {
        let mut barred = Vec::new();
        let place = self.held.iter().position(|held| {
            let may =
                !barred.contains(&held.port) && (all || self.rules.lets_go(held.port, held.until));
            if !may {
                barred.push(held.port);
            }
            may
        })?;
        self.held.remove(place).map(|held| held.what)
    }
}

impl Link {
    // ---- memory ----------------------------------------------------------------

    /// The peer offers memory for messages to `slot`.
    pub(super) fn take_memory(
        self: &Arc<Self>,
        inn: &mut Inn,
        slot: Slot,
        fd: Option<OwnedFd>,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let sink = self.send_sink(slot)?;
        let port = sink.port().map(|port| port.id);
        turn.let_go_later(sink);
        let port = port.ok_or(Offence::RightKind)?;
        let Some(fd) = fd else {
            // Our table was full, and memory is not offered twice.
            self.broken(super::inn::NO_ROOM);
            return Ok(());
        };
        let reader = match PeerPage::open_bag(fd) {
            Ok((_, reader)) => reader,
            Err(shm::OpenError::Offence(offence)) => return Err(offence),
            // What was accepted there is lost: it is better to say so.
            Err(shm::OpenError::System(error)) => {
                self.broken(error.kind());
                return Ok(());
            }
        };
        let (unread, mapped) = inn.spilled.mapped();
        let unread = unread + u64::from(reader.lane_bytes());
        // What is over may not have been said to us yet: as much again is mapped.
        if unread > limits::SPILL_BYTES || mapped >= 2 * limits::SPILLS {
            return Err(Offence::SpillsExceeded);
        }
        inn.spilled.rules.offered(slot, port);
        let run = inn.spilled.runs.entry(slot).or_insert_with(|| Run {
            memories: VecDeque::new(),
            first: None,
            queued: Arc::new(SlotQueue { link: Arc::downgrade(self), bytes: AtomicU64::new(0) }),
        });
        run.memories.push_back(Memory { reader, last: 0 });
        Ok(())
    }

    /// Descriptors of a spilled message.
    pub(super) fn take_spill_packet(&self, inn: &mut Inn, packet: Packet) -> Result<(), Offence> {
        let packets = &mut inn.spilled.packets;
        packets.push_back(packet);
        let waiting: usize = packets.iter().map(|packet| packet.descriptors.len()).sum();
        if waiting > limits::SPILL_DESCRIPTORS || packets.len() > limits::SPILL_DESCRIPTORS {
            return Err(Offence::DescriptorsUnowned);
        }
        Ok(())
    }

    /// The descriptors of packet `number` of those for spilled messages.
    pub(super) fn spill_packet(
        self: &Arc<Self>,
        inn: &mut Inn,
        number: u32,
        turn: &mut Turn,
    ) -> Result<Packet, Offence> {
        for last in [false, true] {
            // Of several spills one may be taken later than it was written.
            let here = |packet: &Packet| packet.number == number;
            if let Some(place) = inn.spilled.packets.iter().position(here)
                && let Some(packet) = inn.spilled.packets.remove(place)
            {
                return Ok(packet);
            }
            if !last {
                self.read_all_packets(inn, turn)?;
            }
        }
        Err(Offence::DescriptorsMissing)
    }

    /// Nothing more comes in the memory for `slot`, up to `number`.
    pub(super) fn take_spent(&self, inn: &mut Inn, slot: Slot, number: u64) {
        let spilled = &mut inn.spilled;
        let Some(run) = spilled.runs.get_mut(&slot) else { return };
        while run.memories.front().is_some_and(|memory| memory.is_read() && memory.last <= number) {
            run.memories.pop_front();
        }
        if run.memories.is_empty() {
            spilled.runs.remove(&slot);
            spilled.rules.forget(slot);
        }
    }

    // ---- marks and what is held -----------------------------------------------

    /// A mark: everything up to `number` was spilled before what follows.
    pub(super) fn take_mark(
        self: &Arc<Self>,
        inn: &mut Inn,
        number: u64,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        inn.spilled.rules.mark(number)?;
        self.look_at_spills(inn, turn)
    }

    /// Looks at what the peer has spilled meanwhile.
    fn look_at_spills(self: &Arc<Self>, inn: &mut Inn, turn: &mut Turn) -> Result<(), Offence> {
        let shown = self.peer.spilled();
        self.spill_queue.seen.store(shown, Ordering::Relaxed);
        // Memory is offered before anything in it counts.
        self.read_all_packets(inn, turn)?;
        inn.spilled.look_at_all()?;
        inn.spilled.rules.looked(shown);
        Ok(())
    }

    /// Holds a frame that was sent after spilled messages to its port. False where
    /// it need not wait.
    pub(super) fn hold_word(&self, inn: &mut Inn, header: &Header) -> bool {
        let ordered = matches!(header.kind, Kind::Pulse | Kind::Dropped | Kind::Release);
        let Some((port, until)) = self.must_hold(inn, header.slot).filter(|_| ordered) else {
            return false;
        };
        let port = port.id;
        // A right goes home behind what came on it, and behind that alone.
        let behind = inn.spilled.held.iter().any(|held| held.port == port);
        if header.kind == Kind::Release && !behind {
            return false;
        }
        inn.spilled.held.push_back(Held { port, until, what: Late::Word(*header) });
        true
    }

    /// Delivers a message of the lane, when what was spilled before it has come.
    pub(super) fn deliver_in_order(
        self: &Arc<Self>,
        inn: &mut Inn,
        slot: Slot,
        kind: RightKind,
        mut message: Message,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let Some((port, until)) = self.must_hold(inn, slot) else {
            return self.deliver(slot, kind, message, turn);
        };
        // It is as good as in the queue: nobody receives from a port it brings.
        turn.end_ports(message.break_circles(&port));
        let inside: Vec<_> = message.ports().collect();
        lock(port.state()).hold_inside(&inside);
        let id = port.id;
        let brings = (!inside.is_empty()).then_some(port);
        let what = Late::Message(slot, kind, Box::new(message), brings);
        inn.spilled.held.push_back(Held { port: id, until, what });
        Ok(())
    }

    /// The port of `slot`, where something was spilled for it before now and is not
    /// taken, and up to which number.
    fn must_hold(&self, inn: &Inn, slot: Slot) -> Option<(Arc<PortCore>, u64)> {
        let spilled = &inn.spilled;
        if spilled.is_empty() {
            return None;
        }
        let port = {
            let exports = self.exports_seen();
            exports.rules.get(slot).ok()?;
            exports.sink(slot).and_then(Sink::port).map(Arc::clone)?
        };
        let last = || spilled.held.iter().rfind(|held| held.port == port.id).map(|held| held.until);
        let until = spilled.rules.holds(port.id).or_else(last)?;
        Some((port, until))
    }

    fn let_held_go(
        self: &Arc<Self>,
        inn: &mut Inn,
        all: bool,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        while let Some(late) = inn.spilled.free(all) {
            match late {
                Late::Message(slot, kind, message, brings) => {
                    let inside: Vec<_> = message.ports().collect();
                    let delivered = self.deliver(slot, kind, *message, turn);
                    if let Some(port) = brings {
                        lock(port.state()).let_go_inside(&inside);
                    }
                    delivered?;
                }
                Late::Word(header) if header.kind == Kind::Pulse => {
                    self.take_pulse(&header, turn)?;
                }
                Late::Word(header) => self.take_word(&header, &[], turn)?,
            }
        }
        Ok(())
    }

    // ---- messages --------------------------------------------------------------

    /// Takes up to `most` spilled messages that may be taken now. Returns how many.
    pub(super) fn take_spilled(self: &Arc<Self>, inn: &mut Inn, most: u32, turn: &mut Turn) -> u32 {
        let queue = &self.spill_queue;
        queue.ready.store(false, Ordering::Relaxed);
        if queue.seen.load(Ordering::Relaxed) != self.peer.spilled()
            && let Err(offence) = self.look_at_spills(inn, turn)
        {
            self.fault(offence);
            return 0;
        }
        if inn.spilled.is_empty() {
            return 0;
        }
        // Says that something waits, fences, looks at what is queued; who takes
        // out of a queue counts down, fences, looks whether something waits.
        queue.waiting.store(true, Ordering::Relaxed);
        shm::full_fence();
        let mut taken = 0;
        let read = inn.reader.position();
        while let Some(slot) = inn.spilled.first(read, queue.bytes.load(Ordering::Relaxed)) {
            if taken == most {
                queue.ready.store(true, Ordering::Relaxed);
                break;
            }
            taken += 1;
            let result = self
                .take_one(inn, slot, true, turn)
                .and_then(|()| self.let_held_go(inn, false, turn));
            if let Err(offence) = result {
                self.fault(offence);
                break;
            }
        }
        if inn.spilled.rules.first(read, |_| true).is_none() {
            queue.waiting.store(false, Ordering::Relaxed);
        }
        taken
    }

    fn take_one(
        self: &Arc<Self>,
        inn: &mut Inn,
        slot: Slot,
        charged: bool,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let Some(run) = inn.spilled.runs.get_mut(&slot) else { return Ok(()) };
        let Some((header, memory)) = run.first.take().zip(run.memories.front_mut()) else {
            return Ok(());
        };
        let queued = Arc::clone(&run.queued);
        let (mut extra, mut body) = (Vec::new(), Vec::new());
        memory.reader.extra(&header, &mut extra);
        memory.reader.body(&header, &mut body);
        memory.reader.finish(&header);
        inn.spilled.rules.took(slot);
        memory.last = inn.spilled.rules.taken(slot);
        let body = body.get(PREFIX_BYTES..).unwrap_or_default();
        let attached = if extra.is_empty() {
            Attached::default()
        } else {
            Attached::decode(header.flags, &extra)?
        };
        if attached.bags() > 0 {
            return Err(Offence::SpillMalformed);
        }
        if header.priority > limits::PRIORITY_MAX {
            return Err(Offence::PriorityExceeded(header.priority));
        }
        let mut message = self.unpack(inn, &header, attached, From::Spill, body, turn)?;
        message.via = Some(Arc::clone(self.peer_core()));
        message.part = Part::of(header.flags);
        if charged {
            let bytes = u64::from(header.room());
            queued.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.spill_queue.bytes.fetch_add(bytes, Ordering::Relaxed);
            message.charge = Some(Charge::spilled(&queued, bytes));
        }
        self.deliver(slot, RightKind::Send, message, turn)?;
        inn.spilled.look(slot)?;
        self.say_emptied(inn, slot);
        Ok(())
    }

    /// Tells the peer how far `slot` was taken, when it shows no more.
    fn say_emptied(&self, inn: &mut Inn, slot: Slot) {
        let spilled = &mut inn.spilled;
        let begun = spilled
            .runs
            .get(&slot)
            .and_then(|run| run.memories.front())
            .is_some_and(|memory| memory.last == 0);
        // Memory was let go, or nothing is left.
        if (begun || !spilled.rules.has_more(slot))
            && let Some(number) = spilled.rules.emptied(slot)
        {
            self.say(Header { tag: number, ..Header::new(Kind::Emptied, slot) }, &[]);
            // What waits for this may wait with nobody looking.
            self.ring_now();
        }
    }

    /// The peer is dead, and its lane read to the end: what it spilled is read, and
    /// nothing is held any more.
    pub(crate) fn finish_spills(self: &Arc<Self>, turn: &mut Turn) {
        let mut inn = lock(&self.inn);
        let inn = &mut *inn;
        if inn.spilled.is_empty() {
            return;
        }
        if !matches!(self.end(), Some(End::Fault(_) | End::System(_))) {
            let result = self.finish_all(inn, turn);
            if let Err(offence) = result {
                self.fault(offence);
            }
        }
        while let Err(offence) = self.let_held_go(inn, true, turn) {
            self.fault(offence);
        }
        inn.spilled = Spilled::default();
    }

    fn finish_all(self: &Arc<Self>, inn: &mut Inn, turn: &mut Turn) -> Result<(), Offence> {
        inn.spilled.rules.end();
        inn.spilled.look_at_all()?;
        while let Some(slot) = inn.spilled.rules.first(u64::MAX, |_| true) {
            self.take_one(inn, slot, false, turn)?;
            self.let_held_go(inn, false, turn)?;
        }
        Ok(())
    }

    /// Takes what the peer has spilled for `port`, which is about to go: nobody receives
    /// from it meanwhile, so there is never more room for it than now. Whether some of it
    /// has not come yet.
    pub(crate) fn read_spilled_for(self: &Arc<Self>, port: u64) -> bool {
        let mut turn = Turn::default();
        let read = self.take_spilled_for(port, &mut turn);
        turn.finish(&self.task);
        read.unwrap_or_else(|offence| {
            self.fault(offence);
            false
        })
    }

    fn take_spilled_for(self: &Arc<Self>, port: u64, turn: &mut Turn) -> Result<bool, Offence> {
        let mut inn = lock(&self.inn);
        let inn = &mut *inn;
        self.look_at_spills(inn, turn)?;
        let (read, queue) = (inn.reader.position(), &self.spill_queue);
        while let Some(slot) =
            inn.spilled.first_for(port, read, queue.bytes.load(Ordering::Relaxed))
        {
            self.take_one(inn, slot, true, turn)?;
            self.let_held_go(inn, false, turn)?;
        }
        let held = inn.spilled.held.iter().any(|held| held.port == port);
        Ok(held || inn.spilled.rules.is_open(port))
    }

    /// A spilled message was taken out of its queue.
    pub(super) fn return_spilled(&self, bytes: u64, queued: &AtomicU64) {
        queued.fetch_sub(bytes, Ordering::Relaxed);
        self.spill_queue.bytes.fetch_sub(bytes, Ordering::Relaxed);
        shm::full_fence();
        if self.spill_queue.waiting.load(Ordering::Relaxed)
            && !self.spill_queue.ready.swap(true, Ordering::Relaxed)
        {
            self.task.wake_sentinel();
            self.task.tell_pollers();
        }
    }
}
