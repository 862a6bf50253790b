//! The hot path for what is commonest beside a body: one right to a port of our own, one
//! loan, or a body that is lent.
//!
//! As in `hot.rs` a message is sent here only if nothing is in its way. Where anything is,
//! nothing was done, and the general way decides. The right is counted for the peer, its
//! message published and the count noted as published under one lock: so nothing is
//! written down to be undone.
//!
//! Coming in such a message is received past the queue, as one that is a body alone.

use std::sync::Arc;

use abi::frame::{Attached, Header, Kind};
use abi::loan::Loan;
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, limits};
use shm::arena::Lent;

use super::hot::Extra;
use super::inn::Inn;
use super::{Entry, Link};
use crate::message::{Body, Message, Right};
use crate::port::{After, Near};
use crate::region::Memory;
use crate::right::{SendOnceRight, SendRight, Sink};
use crate::wait::parking::lock;

impl Link {
    /// Sends a message with one right to a port of ours, one loan, or a long body, and
    /// nothing else, if nothing is in its way. False where it did nothing. Otherwise what
    /// it carried is the peer's, but for the send right, which is to be dropped with it.
    pub(crate) fn send_laden(self: &Arc<Self>, entry: &Entry, message: &mut Message) -> bool {
        let limits = &self.task.limits;
        let bytes = message.body_len() as u64;
        if message.reply.is_some()
            || !message.brings_little()
            || bytes > limits.message_bytes
            || self.task.check().is_err()
        {
            return false;
        }
        match (message.rights.len(), message.regions().len()) {
            (1, 0) if limits.message_rights > 0 => self.send_with_right(entry, message),
            (0, 1) if limits.message_regions > 0 => self.send_with_loan(entry, message),
            (0, 0) if bytes > limits::INLINE_BYTES as u64 => self.send_long(entry, message),
            _ => false,
        }
    }

    fn send_with_right(self: &Arc<Self>, entry: &Entry, message: &mut Message) -> bool {
        let Some(body) = inline(message) else { return false };
        let (kind, sink) = match message.rights.first() {
            Some(Right::Send(right)) => match right.own_port() {
                Some(port) if port.gone().is_none() => {
                    (RightKind::Send, Sink::Port(Arc::clone(port)))
                }
                _ => return false,
            },
            Some(Right::SendOnce(right)) => match right.own_port() {
                Some(sink) => (RightKind::SendOnce, sink.clone()),
                None => return false,
            },
            Some(Right::Receive(_)) | None => return false,
        };
        if !Arc::ptr_eq(sink.task(), &self.task) {
            return false;
        }
        let unsent = {
            let exports = &mut *self.exports_here();
            if !self.has_slot(exports) {
                return false;
            }
            let added = match kind {
                RightKind::Send => self.add_send(exports, &sink),
                RightKind::SendOnce => self.add_once(exports, &sink),
            };
            let Ok(slot) = added else { return false };
            let bytes = Attached::one_right(RightRef::mine(kind, slot));
            let extra = Extra { bytes: &bytes, flags: Attached::ONE_RIGHT, charge: 0 };
            let header = Header::new(Kind::Message, entry.slot);
            if self.write_short(header, Some(entry), message, body, extra, || ()) {
                exports.rules.published(slot);
                None
            } else if kind == RightKind::SendOnce {
                let _ = self.forget_once(exports, slot);
                return false;
            } else {
                Some(slot)
            }
        };
        if let Some(slot) = unsent {
            let mut after = After::default();
            let sink = self.withdraw(slot, &mut after);
            drop(sink);
            after.run();
            return false;
        }
        self.ring(true);
        if kind == RightKind::SendOnce
            && let Some(Right::SendOnce(right)) = message.rights.pop()
        {
            drop(SendOnceRight::disarm(right));
        }
        true
    }

    fn send_with_loan(&self, entry: &Entry, message: &Message) -> bool {
        let (Some(body), [region]) = (inline(message), message.regions()) else { return false };
        let Memory::Chunk(chunk, _) = &region.memory else { return false };
        let mut chunk = lock(chunk);
        let Some(loan) = chunk.as_ref().filter(|chunk| self.is_mine(chunk)).map(|one| one.loan())
        else {
            return false;
        };
        let bytes = Attached::one_region(&loan);
        let extra =
            Extra { bytes: &bytes, flags: Attached::ONE_LOAN, charge: limits::DESCRIPTOR_CHARGE };
        let header = Header::new(Kind::Message, entry.slot);
        let lend = || {
            if let Some(chunk) = chunk.take() {
                chunk.lend();
            }
        };
        let written = self.write_short(header, Some(entry), message, body, extra, lend);
        if written {
            self.ring(true);
        }
        written
    }

    fn send_long(&self, entry: &Entry, message: &Message) -> bool {
        // Looked at first: what is copied for nothing is copied once more.
        if message.body.plain().is_none() || !self.looks_clear(entry) {
            return false;
        }
        let Some(chunk) = self.place_now(message.body()) else { return false };
        let bytes = Attached::lent_body(&chunk.loan());
        let extra =
            Extra { bytes: &bytes, flags: Attached::ONE_LOAN, charge: limits::DESCRIPTOR_CHARGE };
        let header = Header::new(Kind::Message, entry.slot);
        let written = self.write_short(header, Some(entry), message, &[], extra, || chunk.lend());
        if written {
            self.ring(true);
        }
        written
    }
}

/// What a message brings that is received by the hot path.
enum Brought {
    Right(RightKind, Slot),
    /// The message's body, or its region.
    Loan(Lent, Loan, bool),
}

impl Link {
    /// The message in a frame, if it is one for the port that would be received next, with
    /// one right of the peer's own or one loan and nothing else. Under the seat; the frame
    /// is then to be left behind. What is wrong with it is said by who reads it next.
    pub(super) fn take_laden(
        self: &Arc<Self>,
        near: Near<'_>,
        inn: &mut Inn,
        header: &Header,
    ) -> Option<Message> {
        if header.kind != Kind::Message
            || header.priority > limits::PRIORITY_MAX
            || header.body_bytes() > limits::INLINE_BYTES
            || !inn.spilled.is_empty()
        {
            return None;
        }
        let brought = self.brought(inn, header)?;
        if !self.leads_to(&mut inn.led, header.slot, near.port) {
            return None;
        }
        let sequence = near.passing()?.pass(self, header.slot)?;
        // From here on it fails for an offence alone, which ends the link.
        let mut message = match brought {
            Brought::Right(RightKind::Send, slot) => {
                let right = SendRight::import(self.learn(slot).ok()?);
                let mut message = self.message(header, Body::read(&mut inn.reader, header));
                message.rights = vec![right.into()];
                message
            }
            Brought::Right(RightKind::SendOnce, slot) => {
                let mut message = self.message(header, Body::read(&mut inn.reader, header));
                message.rights = vec![SendOnceRight::import(self, slot).into()];
                message
            }
            Brought::Loan(lent, loan, true) => {
                self.message(header, Body::lent(self.lent_here(lent, loan)))
            }
            Brought::Loan(lent, loan, false) => {
                let mut message = self.message(header, Body::read(&mut inn.reader, header));
                message.put_regions(vec![Memory::Lent(self.lent_here(lent, loan)).into()]);
                message
            }
        };
        message.sequence = sequence;
        Some(message)
    }

    /// What such a message brings. Nothing has changed for it.
    fn brought(&self, inn: &mut Inn, header: &Header) -> Option<Brought> {
        let mut bytes = [0; Attached::ONE_BYTES];
        let bytes = bytes.get_mut(..header.extra as usize)?;
        if inn.reader.extra_into(header, bytes) != bytes.len() {
            return None;
        }
        if let Some(name) = Attached::the_right(header.flags, bytes) {
            let RightRef::Mine(kind, slot) = name else { return None };
            let is_there = slot.generation > 0 && self.peer.life(slot.index).is_some();
            return is_there.then_some(Brought::Right(kind, slot));
        }
        let (loan, is_body) = Attached::the_loan(header.flags, bytes)?;
        if is_body && header.body_bytes() > 0 {
            return None;
        }
        let lent = inn.borrowed.lent(&loan)?;
        Some(Brought::Loan(lent, loan, is_body))
    }
}

/// What such a message counts against the byte window.
pub(super) fn charge_of_laden(header: &Header) -> u64 {
    let lent = u64::from(header.flags == Attached::ONE_LOAN);
    u64::from(header.room()) + lent * limits::DESCRIPTOR_CHARGE
}

/// The body, where it goes through the lane.
fn inline(message: &Message) -> Option<&[u8]> {
    message.body.plain().filter(|body| body.len() <= limits::INLINE_BYTES)
}
