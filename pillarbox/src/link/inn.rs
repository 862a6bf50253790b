//! What we read: frames to messages, answers, offences.
//!
//! One thread at a time drains a task's links. Nothing of the peer's is
//! believed: each frame is copied once, decoded, and held against what the peer
//! may do. The first offence ends the link.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::frame::{Attached, EVERY_SLOT, Header, Kind, PortStatus, flag, task_of};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Offence, Slot, TaskId, Ticket, limits};
use shm::LaneReader;
use shm::socket::Received;

use super::entry::Imported;
use super::out::{BAG_DESCRIPTORS, DESCRIPTORS, charge_of, charge_of_once};
use super::{Charge, End, Join, Joined, Link};
use crate::core::TaskCore;
use crate::giving::{HeldGive, end_gives};
use crate::limits::Limit;
use crate::message::{Body, Descriptor, Message, Notification};
use crate::port::{After, ReceiveRight};
use crate::right::{SendRight, Sink};
use crate::wait::parking::lock;

/// Frames taken from one link in one turn.
const TURN: u32 = 64;

/// Packets read from one socket in one turn, bells included.
const PACKETS: usize = 256;

/// What a full table of descriptors is called.
const NO_ROOM: std::io::ErrorKind = std::io::ErrorKind::QuotaExceeded;

/// Descriptors that came before their frame.
#[derive(Debug)]
struct Packet {
    number: u32,
    descriptors: Vec<OwnedFd>,
    lost: bool,
}

/// Where a message was read.
#[derive(Clone, Copy, Debug)]
enum From {
    Lane,
    Bag,
}

/// The reading side of a link.
#[derive(Debug)]
pub(crate) struct Inn {
    reader: LaneReader,
    packets: VecDeque<Packet>,
    /// Of messages in bags.
    bag_packets: VecDeque<Packet>,
    announced: u64,
    frames: u64,
}

impl Inn {
    pub(crate) fn new(reader: LaneReader) -> Self {
        let (packets, bag_packets) = (VecDeque::new(), VecDeque::new());
        Inn { reader, packets, bag_packets, announced: 0, frames: 0 }
    }
}

/// What one turn of draining leaves to be done without locks.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) after: After,
    /// Rights that must be claimed from their owners.
    pub(crate) joins: Vec<Arc<Join>>,
    /// Claims of peers', to be answered.
    pub(crate) claims: Vec<(Arc<Link>, TaskId, Ticket, u64)>,
    pub(crate) held: Vec<HeldGive>,
    /// Gives that nobody will claim.
    pub(crate) ended: Vec<HeldGive>,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) rights: Vec<SendRight>,
    pub(crate) messages: Vec<Message>,
    /// Ports that lay in their own queues.
    pub(crate) ports: Vec<ReceiveRight>,
    pub(crate) foreign: Vec<OwnedFd>,
    pub(crate) refused: Vec<Arc<Join>>,
    /// A bell was read, perhaps on the way to descriptors: its number is used up,
    /// and who rests on it must announce anew.
    pub(crate) heard: bool,
}

impl Turn {
    /// Drops and wakes; claims are the task's to start.
    pub(crate) fn finish(self, task: &TaskCore) {
        for join in self.refused {
            let mut after = After::default();
            join.fail(true, &mut after);
            after.run();
        }
        self.after.run();
        end_gives(task, self.ended, Notification::SendOnceDied);
        if !self.foreign.is_empty() {
            shm::close::close_later(self.foreign);
        }
    }
}

/// What was read from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketState {
    Open,
    Ended,
}

impl Link {
    /// Takes a bounded number of frames. Returns whether there were any.
    pub(crate) fn drain(self: &Arc<Self>, turn: &mut Turn) -> bool {
        self.drain_frames(turn, TURN)
    }

    /// Takes everything the lane shows now.
    pub(crate) fn drain_all(self: &Arc<Self>, turn: &mut Turn) {
        // A lane holds no more frames than this: a peer that fills it as fast
        // as we read does not keep us here.
        self.drain_frames(turn, limits::LANE_BYTES_MAX / abi::frame::HEADER_BYTES as u32);
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

    fn drain_frames(self: &Arc<Self>, turn: &mut Turn, most: u32) -> bool {
        let mut inn = lock(&self.inn);
        let mut taken = 0;
        let goal = self.peer.head();
        let at_odds = || matches!(self.end(), Some(End::Fault(_) | End::System(_)));
        while taken < most && !at_odds() {
            let header = match inn.reader.next() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(offence) => {
                    self.fault(offence);
                    break;
                }
            };
            taken += 1;
            let result = self.take_frame(&mut inn, &header, turn);
            inn.reader.finish(&header);
            self.position.store(inn.reader.position(), Ordering::Relaxed);
            if let Err(offence) = result {
                self.fault(offence);
                break;
            }
            if most != TURN && inn.reader.position() >= goal {
                break;
            }
        }
        inn.frames += u64::from(taken);
        if inn.reader.position() != inn.announced {
            self.make_room(&mut inn);
            self.note_use();
        }
        taken > 0
    }

    /// Frames and bytes read.
    pub(super) fn was_read(&self) -> (u64, u64) {
        let inn = lock(&self.inn);
        (inn.frames, inn.reader.position())
    }

    fn make_room(&self, inn: &mut Inn) {
        let position = inn.reader.position();
        self.position.store(position, Ordering::Relaxed);
        let freed = position - inn.announced;
        inn.announced = position;
        self.own.set_tail(position);
        // Only a peer with a lane well filled can be waiting for room in it.
        let behind = self.peer.head().saturating_sub(position);
        if freed + behind >= u64::from(inn.reader.lane_bytes()) / 4 {
            self.tell_if_wanted();
        }
    }

    /// Reads bells and descriptors.
    pub(crate) fn read_socket(&self, turn: &mut Turn) -> SocketState {
        let mut inn = lock(&self.inn);
        self.note_use();
        match self.read_packets(&mut inn, turn) {
            Ok(state) => state,
            Err(offence) => {
                self.fault(offence);
                SocketState::Ended
            }
        }
    }

    fn read_packets(&self, inn: &mut Inn, turn: &mut Turn) -> Result<SocketState, Offence> {
        let mut buffer = [0; 16];
        for _ in 0..PACKETS {
            match self.socket.receive(&mut buffer) {
                Received::Empty => break,
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
                    if buffer.starts_with(&DESCRIPTORS) =>
                {
                    let number = u32::from_le_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                    inn.packets.push_back(Packet { number, descriptors, lost });
                    if inn.packets.len() > limits::DESCRIPTORS_WAITING {
                        return Err(Offence::DescriptorsUnowned);
                    }
                }
                Received::Packet { bytes: 8, descriptors, lost, .. }
                    if buffer.starts_with(&BAG_DESCRIPTORS) =>
                {
                    let number = u32::from_le_bytes([buffer[4], buffer[5], buffer[6], buffer[7]]);
                    inn.bag_packets.push_back(Packet { number, descriptors, lost });
                    while inn.bag_packets.len() > limits::BAG_DESCRIPTORS_WAITING {
                        let oldest = inn.bag_packets.pop_front();
                        turn.foreign.extend(oldest.into_iter().flat_map(|old| old.descriptors));
                    }
                }
                Received::Packet { descriptors, .. } => {
                    turn.foreign.extend(descriptors);
                    return Err(Offence::PacketMalformed);
                }
            }
        }
        Ok(SocketState::Open)
    }

    /// The descriptors of packet `number`. They were sent before the frame that
    /// speaks of them was published, so they are here.
    fn packet(&self, inn: &mut Inn, number: u32, turn: &mut Turn) -> Result<Packet, Offence> {
        for last in [false, true] {
            if let Some(packet) = inn.packets.pop_front() {
                if packet.number == number {
                    return Ok(packet);
                }
                // Packets come in the order of their frames; this one's frame
                // was never published.
                turn.foreign.extend(packet.descriptors);
                return Err(Offence::DescriptorsUnowned);
            }
            if !last {
                let _ = self.read_packets(inn, turn)?;
            }
        }
        Err(Offence::DescriptorsMissing)
    }

    /// The descriptors of a message in a bag. Those before it were of a move that
    /// failed; what is not here was pushed out by later ones.
    fn bag_packet(&self, inn: &mut Inn, number: u32, turn: &mut Turn) -> Result<Packet, Offence> {
        let _ = self.read_packets(inn, turn)?;
        while let Some(packet) = inn.bag_packets.front() {
            let ahead = packet.number.wrapping_sub(number);
            if ahead != 0 && ahead < u32::MAX / 2 {
                break;
            }
            let Some(packet) = inn.bag_packets.pop_front() else { break };
            if ahead == 0 {
                return Ok(packet);
            }
            turn.foreign.extend(packet.descriptors);
        }
        Ok(Packet { number, descriptors: Vec::new(), lost: true })
    }

    fn take_frame(
        self: &Arc<Self>,
        inn: &mut Inn,
        header: &Header,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        match header.kind {
            Kind::Skip => Ok(()),
            Kind::Message => {
                let kind = self.exports_seen().rules.get(header.slot)?.kind;
                if kind == RightKind::SendOnce && header.flags & flag::LEFT != 0 {
                    return Err(Offence::RightKind);
                }
                let message = self.take_message(inn, header, Some(kind), turn)?;
                self.deliver(header.slot, kind, message, turn)
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
                turn.foreign.append(&mut packet.descriptors);
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
            Kind::Part => {
                let mut part = Vec::new();
                if header.body_bytes() > limits::INLINE_BYTES {
                    return Err(Offence::FrameOversized);
                }
                inn.reader.body(header, &mut part);
                self.take_part(header, &part, turn)
            }
            Kind::Bag => self.look_into_bag(Ticket(header.tag), inn, turn),
            _ => {
                let mut body = Vec::new();
                if header.body_bytes() > PortStatus::BYTES {
                    return Err(Offence::FrameOversized);
                }
                inn.reader.body(header, &mut body);
                self.take_word(header, &body, turn)
            }
        }
    }

    /// Frames about rights.
    fn take_word(
        self: &Arc<Self>,
        header: &Header,
        body: &[u8],
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        match header.kind {
            Kind::Port
            | Kind::Out
            | Kind::Ended
            | Kind::Bag
            | Kind::Pulse
            | Kind::Part
            | Kind::Skip
            | Kind::Message
            | Kind::Welcome
            | Kind::Board => Err(Offence::FrameKind),
            Kind::Release => {
                turn.sinks.extend(self.take_release(header.slot, header.tag, &mut turn.after)?);
                Ok(())
            }
            Kind::Dropped => {
                if let Some(sink) = self.take_once(header.slot)? {
                    let told = Message::notification_of(Notification::SendOnceDropped);
                    sink.arrive_once(told, &mut turn.after);
                    turn.sinks.push(sink);
                }
                Ok(())
            }
            Kind::Ask => {
                let sink = self.send_sink(header.slot)?;
                let Some(port) = sink.port() else { return Ok(()) };
                let full = port.ask(self, sink.id(), header, &mut turn.after);
                turn.sinks.push(sink);
                if full { self.say_full(header.slot, header.tag) } else { Ok(()) }
            }
            Kind::Return => {
                let sink = self.send_sink(header.slot)?;
                let stop = header.id == 1;
                let back = sink.port().map_or(Ok(()), |port| {
                    port.hand_back(self, sink.id(), header.tag, stop, &mut turn.after)
                });
                turn.sinks.push(sink);
                back
            }
            Kind::Look => {
                self.take_look(header, turn);
                Ok(())
            }
            Kind::Give => self.take_give(header, task_of(body)?),
            Kind::TakeBack => self.take_take_back(header, task_of(body)?, turn),
            Kind::Claim => {
                let sent = abi::u64_at(body, TaskId::BYTES).unwrap_or(0);
                turn.claims.push((Arc::clone(self), task_of(body)?, Ticket(header.tag), sent));
                Ok(())
            }
            Kind::Joined => {
                let once = header.flags & flag::ONCE != 0;
                let have = abi::u64_at(body, TaskId::BYTES).unwrap_or(0);
                let key = (task_of(body)?, Ticket(header.tag));
                self.take_joined(key, header.slot, once, have, turn)
            }
            Kind::Refused => {
                let (_, join) = self
                    .claim_answered(task_of(body)?, Ticket(header.tag), &mut turn.after)
                    .ok_or(Offence::AnswerUnasked)?;
                turn.refused.extend(join.upgrade());
                Ok(())
            }
            Kind::Status => {
                let sink = self.send_sink(header.slot)?;
                let header = Header { tag: header.tag, ..Header::new(Kind::StatusIs, header.slot) };
                let answer = match sink.port() {
                    Some(port) if sink.is_open() => port.status().encode().to_vec(),
                    _ => Vec::new(),
                };
                turn.sinks.push(sink);
                self.say_answer(header, &answer)
            }
            Kind::Watch => {
                let sink = self.send_sink(header.slot)?;
                if let Some(port) = sink.port() {
                    port.peer_watches_room(self, sink.id(), &mut turn.after);
                }
                turn.sinks.push(sink);
                Ok(())
            }
            Kind::Taken => {
                self.take_taken(header.slot);
                Ok(())
            }
            Kind::Room => {
                if let Some(entry) = self.entry_of(header.slot) {
                    entry.take_room(&mut turn.after);
                }
                Ok(())
            }
            Kind::StatusIs => {
                let cell = lock(&self.status).remove(&header.tag);
                // Who asked may have stopped waiting: then nobody hears it.
                if let Some(cell) = cell {
                    let answer = if body.is_empty() {
                        Err(crate::error::StatusError::Dead)
                    } else {
                        Ok(PortStatus::decode(body)?)
                    };
                    cell.answer(answer, &mut turn.after);
                }
                Ok(())
            }
        }
    }

    pub(super) fn send_sink(&self, slot: Slot) -> Result<Sink, Offence> {
        let exports = self.exports_seen();
        if exports.rules.get(slot)?.kind != RightKind::Send {
            return Err(Offence::RightKind);
        }
        exports.sink(slot).cloned().ok_or(Offence::NeverExported)
    }

    fn take_message(
        self: &Arc<Self>,
        inn: &mut Inn,
        header: &Header,
        on: Option<RightKind>,
        turn: &mut Turn,
    ) -> Result<Message, Offence> {
        if header.priority > limits::PRIORITY_MAX {
            return Err(Offence::PriorityExceeded(header.priority));
        }
        let mut attached = Attached::default();
        if header.extra > 0 {
            let mut extra = Vec::new();
            inn.reader.extra(header, &mut extra);
            attached = Attached::decode(header.flags, &extra)?;
        }
        let mut message = Message::new(Vec::new());
        // What comes on a send-once right had its room when the right was made,
        // but for its descriptors.
        let charge = match on {
            Some(RightKind::Send) => charge_of(header, attached.descriptors),
            Some(RightKind::SendOnce) => charge_of_once(attached.descriptors),
            None => 0,
        };
        if charge > 0 {
            message.charge = Some(self.charge(charge)?);
        }
        message.id = header.id;
        message.priority = header.priority;
        message.tag = header.tag;
        message.sender = Some(self.who.sender);
        message.via = Some(Arc::clone(self.peer_core()));
        if header.flags & flag::NOTIFICATION != 0 {
            message.notification = Notification::from_id(header.id);
        }
        let result = self.fill(&mut message, inn, header, attached, turn);
        if let Err(offence) = result {
            // Its rights are dropped with the link, not under its locks.
            turn.messages.push(message);
            return Err(offence);
        }
        Ok(message)
    }

    /// Counts bytes that wait in our queues against the peer.
    fn charge(self: &Arc<Self>, bytes: u64) -> Result<Charge, Offence> {
        let arrived = self.arrived_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let taken = self.taken_bytes.load(Ordering::Relaxed);
        if arrived.saturating_sub(taken) > self.task.limits.link_queued_bytes {
            self.task.counters.refuse(Limit::LinkQueuedBytes);
            return Err(Offence::BytesExceeded);
        }
        Ok(Charge { link: Arc::clone(self), bytes })
    }

    fn fill(
        self: &Arc<Self>,
        message: &mut Message,
        inn: &mut Inn,
        header: &Header,
        attached: Attached,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let mut bags = VecDeque::new();
        self.fill_attached(message, inn, &attached, From::Lane, &mut bags, turn)?;
        if attached.region == 0 {
            if header.body_bytes() > limits::INLINE_BYTES {
                return Err(Offence::FrameOversized);
            }
            let mut body = Vec::with_capacity(header.body_bytes());
            inn.reader.body(header, &mut body);
            message.body = Body::Bytes(body);
        } else if header.body_bytes() > 0 {
            return Err(Offence::BodyMalformed);
        }
        self.take_rights(message, attached, bags, inn, turn)
    }

    /// Descriptors, bags and a long body, as they came before the frame.
    fn fill_attached(
        self: &Arc<Self>,
        message: &mut Message,
        inn: &mut Inn,
        attached: &Attached,
        from: From,
        bags: &mut VecDeque<Option<OwnedFd>>,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        if attached.descriptors > 0 {
            let packet = match from {
                From::Lane => self.packet(inn, attached.packet, turn)?,
                From::Bag => self.bag_packet(inn, attached.packet, turn)?,
            };
            let mut due = usize::from(attached.descriptors);
            let came = packet.descriptors.len();
            if came > due || (came < due && !packet.lost) {
                turn.foreign.extend(packet.descriptors);
                return Err(Offence::DescriptorsMissing);
            }
            let mut descriptors = packet.descriptors.into_iter();
            if attached.region > 0 {
                due -= 1;
                match descriptors.next() {
                    Some(fd) => message.body = open_body(fd, attached.region)?,
                    None => message.body = Body::Lost,
                }
            }
            for _ in 0..attached.bags() {
                due -= 1;
                bags.push_back(descriptors.next());
            }
            // What the kernel could not install arrives as lost in its place.
            message.descriptors =
                (0..due).map(|_| Descriptor::foreign(descriptors.next())).collect();
            let lost = message.descriptors.iter().filter(|one| one.is_lost()).count();
            let lost = lost as u64 + u64::from(message.is_body_lost());
            self.task.counters.lost.fetch_add(lost, Ordering::Relaxed);
        }
        Ok(())
    }

    fn take_rights(
        self: &Arc<Self>,
        message: &mut Message,
        attached: Attached,
        mut bags: VecDeque<Option<OwnedFd>>,
        inn: &mut Inn,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        if let Some(accepted) = attached.accepted {
            let right = self.take_in(accepted, &mut turn.joins)?;
            message.accepted = right.into_send_once().ok().map(Box::new);
        }
        if let Some(reply) = attached.reply {
            let right = self.take_in(reply, &mut turn.joins)?;
            message.reply = right.into_send_once().ok();
        }
        for name in attached.rights {
            let right = match name {
                RightRef::Receive(ticket) => match bags.pop_front().flatten() {
                    Some(fd) => self.adopt(ticket, fd, inn, turn)?,
                    // The kernel could not install the bag: the port ends here.
                    None => ReceiveRight::ended(&self.task).into(),
                },
                name => self.take_in(name, &mut turn.joins)?,
            };
            message.rights.push(right);
        }
        Ok(())
    }

    /// A message out of a bag.
    pub(crate) fn unpack(
        self: &Arc<Self>,
        inn: &mut Inn,
        header: &Header,
        attached: Attached,
        body: &[u8],
        turn: &mut Turn,
    ) -> Result<Message, Offence> {
        let mut message = Message::new(Vec::new());
        message.id = header.id;
        message.priority = header.priority;
        message.tag = header.tag;
        message.sender = Some(self.who.sender);
        if header.flags & flag::NOTIFICATION != 0 {
            message.notification = Notification::from_id(header.id);
        }
        let mut bags = VecDeque::new();
        let result = self
            .fill_attached(&mut message, inn, &attached, From::Bag, &mut bags, turn)
            .and_then(|()| match (attached.region, body) {
                (0, body) if body.len() > limits::INLINE_BYTES => Err(Offence::FrameOversized),
                (0, body) => {
                    message.body = Body::Bytes(body.to_vec());
                    Ok(())
                }
                (_, []) => Ok(()),
                _ => Err(Offence::BodyMalformed),
            });
        let result =
            result.and_then(|()| self.take_rights(&mut message, attached, bags, inn, turn));
        if let Err(offence) = result {
            turn.messages.push(message);
            return Err(offence);
        }
        Ok(message)
    }

    fn deliver(
        self: &Arc<Self>,
        slot: Slot,
        kind: RightKind,
        message: Message,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let sink = match kind {
            RightKind::Send => self.send_sink(slot).map(Some),
            RightKind::SendOnce => self.take_once(slot),
        };
        match (kind, sink) {
            (RightKind::Send, Ok(Some(sink))) => {
                let result = match sink.port() {
                    Some(port) => {
                        let mut message = message;
                        turn.ports.extend(message.break_circles(port));
                        if message.accepted.is_some() {
                            port.arrive_left(self, sink.id(), message, &mut turn.after)
                        } else {
                            port.arrive(self, sink.id(), message, &mut turn.after)
                        }
                    }
                    None => {
                        turn.messages.push(message);
                        Err(Offence::NeverExported)
                    }
                };
                turn.sinks.push(sink);
                result
            }
            (RightKind::SendOnce, Ok(Some(sink))) => {
                sink.arrive_once(message, &mut turn.after);
                turn.sinks.push(sink);
                Ok(())
            }
            (RightKind::SendOnce, Ok(None)) => {
                turn.messages.push(message);
                Ok(())
            }
            (RightKind::Send, Ok(None)) => {
                turn.messages.push(message);
                Err(Offence::NeverExported)
            }
            (_, Err(offence)) => {
                turn.messages.push(message);
                Err(offence)
            }
        }
    }

    fn take_look(self: &Arc<Self>, header: &Header, turn: &mut Turn) {
        if header.slot.index == EVERY_SLOT {
            for entry in self.entries() {
                entry.look(&mut turn.after);
            }
            self.see_replies(&mut turn.after);
        } else {
            self.see_reply(header.slot, &mut turn.after);
            let entry =
                lock(&self.imports).get(&header.slot.index).and_then(Imported::held).cloned();
            if let Some(entry) = entry.filter(|entry| entry.slot == header.slot) {
                if header.id == 1 {
                    entry.refused.fetch_max(header.tag, Ordering::Relaxed);
                }
                entry.look(&mut turn.after);
            }
        }
        self.look_at_moved(&mut turn.after);
        if self.has_again() {
            turn.after.send_again(self);
        }
        self.wake_waiters(&mut turn.after);
        self.flush_backlog();
    }

    fn take_joined(
        self: &Arc<Self>,
        (giver, ticket): (TaskId, Ticket),
        slot: Slot,
        once: bool,
        have: u64,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let (kind, join) =
            self.claim_answered(giver, ticket, &mut turn.after).ok_or(Offence::AnswerUnasked)?;
        if once != (kind == RightKind::SendOnce) {
            turn.refused.extend(join.upgrade());
            return Err(Offence::RightKind);
        }
        let join = join.upgrade();
        match kind {
            RightKind::Send => {
                let held = self.learn(slot)?;
                match join {
                    Some(join) => join.follow_joined(Joined::Send(held), have, &mut turn.after),
                    // The right was dropped meanwhile: it goes home at once.
                    None => turn.rights.push(SendRight::import(held)),
                }
            }
            RightKind::SendOnce => {
                self.hold_once();
                match join {
                    Some(join) => {
                        join.settle(Joined::Once(Arc::clone(self), slot), &mut turn.after);
                    }
                    None => {
                        self.let_go_once();
                        self.say_dropped(slot);
                    }
                }
            }
        }
        Ok(())
    }
}

fn open_body(fd: OwnedFd, bytes: u64) -> Result<Body, Offence> {
    match shm::body::Body::open(fd, bytes) {
        Ok(body) => Ok(Body::Sealed(Arc::new(body))),
        Err(shm::OpenError::Offence(_)) => Err(Offence::BodyMalformed),
        // We have no room to map it: the message comes without its body.
        Err(shm::OpenError::System(_)) => Ok(Body::Lost),
    }
}
