//! What we read: a lane and a socket, frame by frame.
//!
//! One thread at a time drains a task's links. Nothing of the peer's is
//! believed: each frame is copied once, decoded, and held against what the peer
//! may do. The first offence ends the link.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::frame::{HEADER_BYTES, Header, Kind, Onward, PortStatus, bag, flag};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, Ticket, limits};
use shm::LaneReader;
use shm::socket::Received;

use super::arena::Borrowed;
use super::exports::Led;
use super::out::{BAG_DESCRIPTORS, BAG_VOID, DESCRIPTORS, lossy};
use super::spill::{SPILL, SPILL_DESCRIPTORS};
use super::spilled::Spilled;
use super::turn::Turn;
use super::{End, Link};
use crate::core::TaskCore;
use crate::message::Message;
use crate::metrics::Since;
use crate::port::Near;
use crate::wait::parking::lock;

/// Frames taken from one link in one turn.
const TURN: u32 = 64;

/// Bytes in a lane that are read in one turn, whatever frames they are.
pub(super) const READ_AT_ONCE: u64 = TURN as u64 * HEADER_BYTES as u64;

/// The share of the window that may be with us though nothing of it waits.
const PASSED: u64 = 16;

/// Packets read from one socket in one turn, bells included.
const PACKETS: usize = 256;

/// Turns in which all is read that a socket held when they began: bells of a peer that
/// waits may lie before what is looked for. A socket holds some 300 packets, more only
/// where its system allows.
const TURNS: usize = 16;

/// The longest body of a frame that is no message.
const WORD_BYTES: usize = max(PortStatus::BYTES, Onward::BYTES);

const fn max(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

/// What a full table of descriptors is called.
pub(super) const NO_ROOM: std::io::ErrorKind = std::io::ErrorKind::QuotaExceeded;

/// Descriptors that came before their frame.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) number: u32,
    pub(super) descriptors: Vec<OwnedFd>,
    pub(super) lost: bool,
}

/// Where a message was read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    Lane,
    Bag,
    Spill,
}

/// The reading side of a link.
#[derive(Debug)]
pub(crate) struct Inn {
    pub(super) reader: LaneReader,
    packets: VecDeque<Packet>,
    /// Of messages in bags.
    bag_packets: VecDeque<Packet>,
    announced: u64,
    frames: u64,
    pub(super) spilled: Spilled,
    pub(super) borrowed: Borrowed,
    /// Calls that were read.
    calls: u64,
    /// The slot a message came on last that was received as it came.
    pub(super) led: Option<Led>,
}

impl Inn {
    pub(crate) fn new(reader: LaneReader) -> Self {
        let (packets, bag_packets) = (VecDeque::new(), VecDeque::new());
        Inn {
            reader,
            packets,
            bag_packets,
            announced: 0,
            frames: 0,
            spilled: Spilled::default(),
            borrowed: Borrowed::default(),
            calls: 0,
            led: None,
        }
    }

    /// A call is read. Returns when, if it is to be timed.
    #[inline]
    pub(super) fn call_read(&mut self, task: &TaskCore) -> Since {
        self.calls += 1;
        Since::of(self.calls, task)
    }
}

/// What was read from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketState {
    Open,
    /// It may hold more than one turn reads.
    Unread,
    Ended,
}

impl Link {
    /// Takes a bounded number of frames. Returns whether there were any.
    pub(crate) fn drain(self: &Arc<Self>, turn: &mut Turn) -> bool {
        self.drain_frames(turn, TURN, None).0
    }

    /// The same as far as the first message that who waits at the port would receive next:
    /// that one is received as it comes. And as far as the first message behind other
    /// frames: they may have been all that was in its way.
    pub(crate) fn drain_near(self: &Arc<Self>, near: Near<'_>, turn: &mut Turn) -> Option<Message> {
        self.drain_frames(turn, TURN, Some(near)).1
    }

    /// Takes everything the lane shows now.
    pub(crate) fn drain_all(self: &Arc<Self>, turn: &mut Turn) {
        // A lane holds no more frames than this: a peer that fills it as fast
        // as we read does not keep us here.
        self.drain_frames(turn, limits::LANE_BYTES_MAX / abi::frame::HEADER_BYTES as u32, None);
    }

    /// Reads what the bags of ports that came from the peer show.
    pub(crate) fn read_bags(self: &Arc<Self>, turn: &mut Turn) {
        let tickets: Vec<Ticket> = self.bags().keys().copied().collect();
        if tickets.is_empty() {
            return;
        }
        let mut inn = lock(&self.inn);
        for ticket in tickets {
            if let Err(offence) = self.look_into_bag(ticket, &mut inn, turn) {
                self.fault(offence);
            }
        }
    }

    /// The peer is dead: the bags of ports that came from it are read to their end.
    pub(crate) fn complete_all_bags(self: &Arc<Self>, turn: &mut Turn) {
        let mut inn = lock(&self.inn);
        self.complete_bags(&mut inn, turn);
    }

    fn drain_frames(
        self: &Arc<Self>,
        turn: &mut Turn,
        most: u32,
        near: Option<Near<'_>>,
    ) -> (bool, Option<Message>) {
        let mut inn = lock(&self.inn);
        let (mut taken, mut messages, mut received) = (0, false, None);
        let goal = self.peer.head();
        let at_odds = || {
            matches!(self.end(), Some(End::Fault(_) | End::System(_)))
                || self.task.reads_no_more.load(Ordering::Relaxed)
        };
        while taken < most && !at_odds() {
            let header = match inn.reader.next() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(offence) => {
                    self.fault(offence);
                    break;
                }
            };
            let is_message = header.kind == Kind::Message;
            if near.is_some() && is_message && taken > 0 && !messages {
                // It may be received with less ado.
                break;
            }
            taken += 1;
            messages |= is_message;
            let result = match near.filter(|_| is_message) {
                Some(near) => self.take_near(near, &mut inn, &header, turn),
                None => self.take_frame(&mut inn, &header, turn).map(|()| None),
            };
            inn.reader.finish(&header);
            self.position.store(inn.reader.position(), Ordering::Relaxed);
            match result {
                Ok(None) => {}
                Ok(message) => {
                    received = message;
                    break;
                }
                Err(offence) => {
                    self.fault(offence);
                    break;
                }
            }
            if most != TURN && inn.reader.position() >= goal {
                break;
            }
        }
        let more = received.is_none() && !at_odds();
        let spilled = if more { self.take_spilled(&mut inn, most, turn) } else { 0 };
        taken += spilled;
        inn.frames += u64::from(taken);
        self.give_passed_back(&mut inn);
        if inn.reader.position() != inn.announced {
            self.make_room(&mut inn);
            self.note_use();
        }
        (taken > 0, received)
    }

    /// Frames and bytes read.
    pub(super) fn was_read(&self) -> (u64, u64) {
        let inn = lock(&self.inn);
        (inn.frames, inn.reader.position())
    }

    /// So many messages were read and received at once.
    #[inline]
    pub(super) fn count_passed(&self, inn: &mut Inn, messages: u64, bytes: u64) {
        inn.frames += messages;
        // Changed under the lock of the lane alone.
        let passed = self.passed.load(Ordering::Relaxed) + bytes;
        self.passed.store(passed, Ordering::Relaxed);
        // What few messages count goes back with others': nobody waits for that little.
        if passed >= self.task.limits.link_queued_bytes / PASSED {
            self.give_passed_back(inn);
        }
        self.make_room(inn);
        self.note_use();
    }

    fn give_passed_back(&self, _: &mut Inn) {
        let bytes = self.passed.load(Ordering::Relaxed);
        if bytes > 0 {
            self.passed.store(0, Ordering::Relaxed);
            self.arrived_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.return_bytes(bytes);
        }
    }

    /// What was received as it came counts no more, before whoever read it sleeps.
    pub(crate) fn settle_passed(&self) {
        if self.passed.load(Ordering::Relaxed) > 0 {
            self.give_passed_back(&mut lock(&self.inn));
        }
    }

    fn make_room(&self, inn: &mut Inn) {
        let position = inn.reader.position();
        self.shown.store(inn.reader.shown(), Ordering::Relaxed);
        self.position.store(position, Ordering::Relaxed);
        let freed = position - inn.announced;
        inn.announced = position;
        self.own.set_tail(position);
        // Only a peer with a lane well filled can be waiting for room in it.
        let behind = inn.reader.shown().saturating_sub(position);
        if freed + behind >= u64::from(inn.reader.lane_bytes()) / 4 {
            self.tell_if_wanted();
        }
    }

    /// Reads bells and descriptors.
    pub(crate) fn read_socket(self: &Arc<Self>, turn: &mut Turn) {
        let mut inn = lock(&self.inn);
        self.note_use();
        if let Err(offence) = self.read_packets(&mut inn, turn) {
            self.fault(offence);
        }
    }

    fn read_packets(
        self: &Arc<Self>,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<SocketState, Offence> {
        let mut buffer = [0; 16];
        for _ in 0..PACKETS {
            match self.socket.receive(&mut buffer) {
                Received::Empty => return Ok(SocketState::Open),
                Received::End => return Ok(SocketState::Ended),
                Received::Failed(error) => {
                    self.broken(error.kind());
                    return Ok(SocketState::Ended);
                }
                Received::Packet { bytes: 1, descriptors, lost: false, .. }
                    if descriptors.is_empty() =>
                {
                    turn.heard = true;
                }
                Received::Packet { bytes: 8, descriptors, lost, .. }
                    if let Some(before) = begins(&buffer, DESCRIPTORS) =>
                {
                    let lost = lost || before;
                    let number = u32::from_le_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                    inn.packets.push_back(Packet { number, descriptors, lost });
                    let all = inn.packets.iter().map(|packet| packet.descriptors.len().max(1));
                    if all.sum::<usize>() > limits::DESCRIPTORS_WAITING {
                        return Err(Offence::DescriptorsUnowned);
                    }
                }
                Received::Packet { bytes: 8, descriptors, lost, .. }
                    if let Some(before) = begins(&buffer, BAG_DESCRIPTORS) =>
                {
                    let lost = lost || before;
                    let number = u32::from_le_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                    inn.bag_packets.push_back(Packet { number, descriptors, lost });
                    while inn.bag_packets.len() > limits::BAG_DESCRIPTORS_WAITING {
                        let oldest = inn.bag_packets.pop_front();
                        turn.more()
                            .foreign
                            .extend(oldest.into_iter().flat_map(|old| old.descriptors));
                    }
                }
                Received::Packet { bytes: 8, descriptors, .. }
                    if buffer.starts_with(&BAG_VOID) && descriptors.is_empty() =>
                {
                    let number = u32::from_le_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                    let void = take_packet(&mut inn.bag_packets, number);
                    turn.more()
                        .foreign
                        .extend(void.into_iter().flat_map(|packet| packet.descriptors));
                }
                Received::Packet { bytes: 12, mut descriptors, .. }
                    if buffer.starts_with(&SPILL) =>
                {
                    let word = |at| abi::u32_at(&buffer, at).unwrap_or(0);
                    let slot = Slot { index: word(4), generation: word(8) };
                    let fd = descriptors.pop();
                    turn.more().foreign.append(&mut descriptors);
                    self.take_memory(inn, slot, fd, turn)?;
                }
                Received::Packet { bytes: 8, descriptors, lost, .. }
                    if let Some(before) = begins(&buffer, SPILL_DESCRIPTORS) =>
                {
                    let lost = lost || before;
                    let number = u32::from_le_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                    self.take_spill_packet(inn, Packet { number, descriptors, lost })?;
                }
                Received::Packet { descriptors, .. } => {
                    turn.more().foreign.extend(descriptors);
                    return Err(Offence::PacketMalformed);
                }
            }
        }
        Ok(SocketState::Unread)
    }

    /// The same to the end, for a link that is buried.
    pub(crate) fn read_out_socket(self: &Arc<Self>, turn: &mut Turn) {
        let mut inn = lock(&self.inn);
        if let Err(offence) = self.read_all_packets(&mut inn, turn) {
            self.fault(offence);
        }
    }

    /// Reads everything the socket holds now.
    pub(super) fn read_all_packets(
        self: &Arc<Self>,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        for _ in 0..TURNS {
            if self.read_packets(inn, turn)? != SocketState::Unread {
                break;
            }
        }
        Ok(())
    }

    /// The descriptors of packet `number`. They were sent before the frame that
    /// speaks of them was published, so they are here.
    pub(super) fn packet(
        self: &Arc<Self>,
        inn: &mut Inn,
        number: u32,
        turn: &mut Turn,
    ) -> Result<Packet, Offence> {
        for last in [false, true] {
            if let Some(packet) = inn.packets.pop_front() {
                if packet.number == number {
                    return Ok(packet);
                }
                // Packets come in the order of their frames; this one's frame
                // was never published.
                turn.more().foreign.extend(packet.descriptors);
                return Err(Offence::DescriptorsUnowned);
            }
            if !last {
                self.read_all_packets(inn, turn)?;
            }
        }
        Err(Offence::DescriptorsMissing)
    }

    /// The descriptors of a message in a bag: in any order, since ports lie in the
    /// queues of ports. What is not here was pushed out by later ones.
    pub(super) fn bag_packet(
        self: &Arc<Self>,
        inn: &mut Inn,
        number: u32,
        turn: &mut Turn,
    ) -> Result<Packet, Offence> {
        self.read_all_packets(inn, turn)?;
        let packet = take_packet(&mut inn.bag_packets, number);
        Ok(packet.unwrap_or(Packet { number, descriptors: Vec::new(), lost: true }))
    }

    pub(super) fn take_frame(
        self: &Arc<Self>,
        inn: &mut Inn,
        header: &Header,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        if self.hold_word(inn, header) {
            return Ok(());
        }
        match header.kind {
            Kind::Skip => Ok(()),
            Kind::Spilled => self.take_mark(inn, header.tag, turn),
            Kind::Spent => {
                self.take_spent(inn, header.slot, header.tag);
                Ok(())
            }
            Kind::Message => {
                let kind = self.exports_seen().rules.get(header.slot)?.kind;
                if kind == RightKind::SendOnce && header.flags & flag::LEFT != 0 {
                    return Err(Offence::RightKind);
                }
                let message = self.take_message(inn, header, Some(kind), turn)?;
                self.deliver_in_order(inn, header.slot, kind, message, turn)
            }
            Kind::Welcome => {
                let message = self.take_message(inn, header, None, turn)?;
                self.task.welcomed(message, &mut turn.after)
            }
            Kind::Pulse => self.take_pulse(header, turn),
            Kind::Board => {
                let number = u32::try_from(header.tag).map_err(|_| Offence::DescriptorsMissing)?;
                let mut packet = self.packet(inn, number, turn)?;
                if packet.lost {
                    // Our table was full, and a board is not sent twice.
                    self.broken(NO_ROOM);
                }
                let fd = packet.descriptors.pop().ok_or(Offence::DescriptorsMissing)?;
                turn.more().foreign.append(&mut packet.descriptors);
                match self.peer.add_board(fd) {
                    Ok(()) => Ok(()),
                    Err(shm::OpenError::Offence(offence)) => Err(offence),
                    // We could not map it. Rights on it would lead nowhere, so
                    // it is better to say so.
                    Err(shm::OpenError::System(error)) => {
                        self.broken(error.kind());
                        Ok(())
                    }
                }
            }
            Kind::Memory => self.take_lent_memory(inn, header, turn),
            Kind::Unmap => self.take_unmap(inn, header),
            Kind::Part => {
                let mut part = Vec::new();
                if header.body_bytes() > limits::INLINE_BYTES {
                    return Err(Offence::FrameOversized);
                }
                inn.reader.body(header, &mut part);
                self.take_part(header, &part, turn)
            }
            Kind::Bag if header.id == bag::MORE => {
                let mut packet = self.packet(inn, header.slot.index, turn)?;
                if packet.lost {
                    // Our table was full, and it is not sent twice.
                    self.broken(NO_ROOM);
                }
                let fd = packet.descriptors.pop().ok_or(Offence::DescriptorsMissing)?;
                turn.more().foreign.append(&mut packet.descriptors);
                self.bag_goes_on(Ticket(header.tag), fd, inn, turn)
            }
            Kind::Bag => self.look_into_bag(Ticket(header.tag), inn, turn),
            _ => {
                let mut body = Vec::new();
                if header.body_bytes() > WORD_BYTES {
                    return Err(Offence::FrameOversized);
                }
                inn.reader.body(header, &mut body);
                self.take_word(header, &body, turn)
            }
        }
    }
}

/// Whether a packet is one of these, and then whether some were lost before it was sent.
fn begins(buffer: &[u8; 16], what: [u8; 4]) -> Option<bool> {
    let lost = buffer.starts_with(&lossy(what));
    (lost || buffer.starts_with(&what)).then_some(lost)
}

/// Takes the packet of this number out of those that wait.
fn take_packet(packets: &mut VecDeque<Packet>, number: u32) -> Option<Packet> {
    let at = packets.iter().position(|packet| packet.number == number)?;
    packets.remove(at)
}
