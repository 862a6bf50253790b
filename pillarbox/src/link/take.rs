//! Messages on their way in: from a frame, or from a bag, to a port.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::frame::{Attached, Header, flag};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Offence, Slot, limits};

use super::inn::{From, Inn};
use super::send::charge_of;
use super::turn::Turn;
use super::{Charge, Link};
use crate::limits::Limit;
use crate::message::{Body, Descriptor, Message, Notification, Part};
use crate::port::ReceiveRight;

/// Bytes between header and body that are read without memory of their own.
const FEW: usize = 128;

impl Link {
    pub(super) fn take_message(
        self: &Arc<Self>,
        inn: &mut Inn,
        header: &Header,
        on: Option<RightKind>,
        turn: &mut Turn,
    ) -> Result<Message, Offence> {
        if header.priority > limits::PRIORITY_MAX {
            return Err(Offence::PriorityExceeded(header.priority));
        }
        let mut few = [0; FEW];
        let attached = match header.extra as usize {
            0 => Attached::default(),
            // Nearly all name one right or one loan.
            bytes if bytes <= FEW => {
                let bytes = inn.reader.extra_into(header, &mut few);
                Attached::decode(header.flags, few.get(..bytes).unwrap_or_default())?
            }
            _ => {
                let mut extra = Vec::new();
                inn.reader.extra(header, &mut extra);
                Attached::decode(header.flags, &extra)?
            }
        };
        let mut message = Message::new(Vec::new());
        // What comes on a send-once right had its room when the right was made,
        // but for its descriptors.
        let charge = match on {
            Some(RightKind::Send) => charge_of(header, &attached),
            Some(RightKind::SendOnce) => attached.charge(),
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
        message.part = Part::of(header.flags);
        if header.flags & flag::NOTIFICATION != 0 {
            message.notification = Notification::from_id(header.id);
        }
        let result = self.fill(&mut message, inn, header, attached, turn);
        if let Err(offence) = result {
            // Its rights are dropped with the link, not under its locks.
            turn.more().messages.push(message);
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
        Ok(Charge::lane(self, bytes))
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
        if attached.region == 0 && attached.lent.is_none() {
            if header.body_bytes() > limits::INLINE_BYTES {
                return Err(Offence::FrameOversized);
            }
            message.body = Body::read(&mut inn.reader, header);
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
        if matches!(from, From::Bag) && attached.lends() {
            return Err(Offence::BagMalformed);
        }
        if let Some(loan) = &attached.lent {
            message.body = Body::lent(self.on_loan(inn, loan)?);
            self.task.counters.lost.fetch_add(u64::from(message.is_body_lost()), Ordering::Relaxed);
        }
        let mut regions = Vec::with_capacity(attached.regions.len());
        if attached.descriptors == 0 {
            for named in &attached.regions {
                regions.push(self.take_region(inn, named, &mut std::iter::empty())?);
            }
        }
        if attached.descriptors > 0 {
            let packet = match from {
                From::Lane => self.packet(inn, attached.packet, turn)?,
                From::Bag => self.bag_packet(inn, attached.packet, turn)?,
                From::Spill => self.spill_packet(inn, attached.packet, turn)?,
            };
            let mut due = usize::from(attached.descriptors);
            let came = packet.descriptors.len();
            if came > due || (came < due && !packet.lost) {
                turn.more().foreign.extend(packet.descriptors);
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
            due = due.saturating_sub(attached.sealed());
            for named in &attached.regions {
                regions.push(self.take_region(inn, named, &mut descriptors)?);
            }
            // What the kernel could not install arrives as lost in its place.
            let own = (0..due).map(|_| Descriptor::foreign(descriptors.next()));
            message.put_descriptors(own.collect());
            let lost = message.descriptors().iter().filter(|one| one.is_lost()).count();
            let lost = lost as u64 + u64::from(message.is_body_lost());
            self.task.counters.lost.fetch_add(lost, Ordering::Relaxed);
        }
        let lost = regions.iter().filter(|region| region.is_lost()).count();
        self.task.counters.lost.fetch_add(lost as u64, Ordering::Relaxed);
        message.put_regions(regions);
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
            message.put_accepted(right.into_send_once().ok());
        }
        if let Some(reply) = attached.reply {
            let right = self.take_in(reply, &mut turn.joins)?;
            message.reply = right.into_send_once().ok();
            if let Some(reply) = &mut message.reply {
                reply.read_since(inn.call_read(&self.task));
            }
        }
        message.rights.reserve_exact(attached.rights.len());
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

    /// A message out of a bag or a spill.
    pub(crate) fn unpack(
        self: &Arc<Self>,
        inn: &mut Inn,
        header: &Header,
        attached: Attached,
        from: From,
        body: &[u8],
        turn: &mut Turn,
    ) -> Result<Message, Offence> {
        let mut message = Message::new(Vec::new());
        if header.priority > limits::PRIORITY_MAX {
            return Err(Offence::PriorityExceeded(header.priority));
        }
        let mut waiting = 0;
        if matches!(from, From::Bag) {
            let bytes = u64::from(header.length);
            waiting = self.bag_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
            message.charge = Some(Charge::bag(self, bytes));
        }
        message.id = header.id;
        message.priority = header.priority;
        message.tag = header.tag;
        message.sender = Some(self.who.sender);
        if header.flags & flag::NOTIFICATION != 0 {
            message.notification = Notification::from_id(header.id);
        }
        if waiting > limits::BAG_QUEUED_BYTES {
            turn.more().messages.push(message);
            return Err(Offence::BagOverfull);
        }
        let mut bags = VecDeque::new();
        let result = self
            .fill_attached(&mut message, inn, &attached, from, &mut bags, turn)
            .and_then(|()| match (attached.region, body) {
                (0, body) if attached.lent.is_some() => {
                    if body.is_empty() {
                        Ok(())
                    } else {
                        Err(Offence::BodyMalformed)
                    }
                }
                (0, body) if body.len() > limits::INLINE_BYTES => Err(Offence::FrameOversized),
                (0, body) => {
                    message.body = Body::copied(body);
                    Ok(())
                }
                (_, []) => Ok(()),
                _ => Err(Offence::BodyMalformed),
            });
        let result =
            result.and_then(|()| self.take_rights(&mut message, attached, bags, inn, turn));
        if let Err(offence) = result {
            turn.more().messages.push(message);
            return Err(offence);
        }
        Ok(message)
    }

    pub(super) fn deliver(
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
                        turn.end_ports(message.break_circles(port));
                        let again = self.is_awaited_again(port, &mut message);
                        let arrived = if message.accepted().is_some() {
                            port.arrive_left(self, sink.id(), message, &mut turn.after)
                        } else {
                            port.arrive(self, sink.id(), message, &mut turn.after)
                        };
                        if let Some((adopted, ticket)) = again {
                            adopted.came_again(ticket, 1, &mut turn.after);
                        }
                        arrived
                    }
                    None => {
                        turn.more().messages.push(message);
                        Err(Offence::NeverExported)
                    }
                };
                turn.let_go_later(sink);
                result
            }
            (RightKind::SendOnce, Ok(Some(sink))) => {
                sink.arrive_once(message, &mut turn.after);
                turn.let_go_later(sink);
                Ok(())
            }
            (RightKind::SendOnce, Ok(None)) => {
                turn.more().messages.push(message);
                Ok(())
            }
            (RightKind::Send, Ok(None)) => {
                turn.more().messages.push(message);
                Err(Offence::NeverExported)
            }
            (_, Err(offence)) => {
                turn.more().messages.push(message);
                Err(offence)
            }
        }
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
