//! The hot path: messages that are a body and nothing else.
//!
//! What a message may bring with it, and what may be in its way, is the business of
//! `send.rs`, `inn.rs` and `take.rs`. Most messages bring nothing, and nothing is in
//! their way: they are written, and read, here. Each of the two first asks whether
//! that is so. Where it is not it has done nothing, and the general way is taken; so
//! nothing is decided here that is not decided there.
//!
//! Going out a message costs one lock, one copy and one fence; coming in, when its
//! receiver waits for it, it never lies in a queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::board::{Life, State};
use abi::frame::{HEADER_BYTES, Header, Kind, flag};
use abi::right::{Kind as RightKind, REF_BYTES, RightRef};
use abi::{Slot, limits};
use rights::import::Import;

use super::inn::Inn;
use super::laden::charge_of_laden;
use super::out::Out;
use super::{Entry, Link};
use crate::call::ReplyCell;
use crate::message::{Body, Message, MessageBody};
use crate::port::{Near, PortCore};
use crate::right::{Once, SendOnceRight, Sink};
use crate::wait::parking::lock;

impl Message {
    /// Its body, where it is that and nothing else, but for a reply right.
    fn plain(&self) -> Option<&[u8]> {
        let alone = self.rights.is_empty() && self.brings_nothing_aside() && self.is_said();
        self.body.plain().filter(|body| alone && body.len() <= limits::INLINE_BYTES)
    }

    /// Whether it is a body, rights and regions and nothing else, but for a reply right.
    #[inline]
    pub(super) fn brings_little(&self) -> bool {
        self.brings_regions_alone() && self.is_said()
    }

    /// Whether it is none of the library's own news, and of a priority there is.
    #[inline]
    fn is_said(&self) -> bool {
        self.notification.is_none() && self.priority <= limits::PRIORITY_MAX
    }
}

/// What comes between header and body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extra<'a> {
    pub(super) bytes: &'a [u8],
    /// How the header says so.
    pub(super) flags: u8,
    /// What it counts against the byte window, beside its own length.
    pub(super) charge: u64,
}

impl Extra<'_> {
    const NONE: Extra<'static> = Extra { bytes: &[], flags: 0, charge: 0 };
}

impl Link {
    /// Sends a message that is a body and nothing else, but for a reply right of a
    /// call, if nothing is in its way. False where it did nothing.
    pub(crate) fn send_plain(self: &Arc<Self>, entry: &Entry, message: &mut Message) -> bool {
        let Some(body) = self.plain_body(message) else { return false };
        let header = Header::new(Kind::Message, entry.slot);
        let Some(reply) = &message.reply else {
            let written = self.write_short(header, Some(entry), message, body, Extra::NONE, || ());
            if written {
                self.ring(true);
            }
            return written;
        };
        let Some(sink) = reply.own_cell(&self.task) else { return false };
        {
            // Held until it is published: nobody sees it half given.
            let exports = &mut *self.exports_here();
            let added = self.has_slot(exports).then(|| self.add_once(exports, sink));
            let Some(Ok(slot)) = added else { return false };
            let name = RightRef::mine(RightKind::SendOnce, slot);
            let extra = Extra { bytes: &name, flags: flag::REPLY, charge: 0 };
            if !self.write_short(header, Some(entry), message, body, extra, || ()) {
                // The reply right keeps it from being the last.
                drop(self.forget_once(exports, slot));
                return false;
            }
            exports.rules.published(slot);
        }
        self.ring(true);
        drop(message.reply.take().map(SendOnceRight::disarm));
        true
    }

    /// The same on a send-once right.
    pub(crate) fn send_once_plain(&self, slot: Slot, message: &Message) -> bool {
        let Some(body) = self.plain_body(message).filter(|_| message.reply.is_none()) else {
            return false;
        };
        let header = Header::new(Kind::Message, slot);
        let written = self.write_short(header, None, message, body, Extra::NONE, || ());
        if written {
            self.ring(true);
        }
        written
    }

    /// Writes and shows one message, if nothing is in its way; `written` is called before
    /// it is shown. Who called rings, without locks.
    #[must_use = "who reads is to be rung for"]
    #[inline]
    pub(super) fn write_short(
        &self,
        header: Header,
        entry: Option<&Entry>,
        message: &Message,
        body: &[u8],
        extra: Extra<'_>,
        written: impl FnOnce(),
    ) -> bool {
        let header = described(header, message, extra, body);
        let mut out = lock(&self.out);
        if self.is_dead() || !out.is_clear() {
            return false;
        }
        match entry {
            Some(entry) => {
                let mut import = lock(&entry.import);
                let may = !self.has_again() && self.is_as_seen(entry);
                if !may || !self.write_granted(&mut out, entry, &mut import, &header, extra, body) {
                    return false;
                }
            }
            None => {
                let wanted = self.refuses(header.slot).is_none();
                if !wanted || !self.write_parts(&mut out, &header, extra, body) {
                    return false;
                }
            }
        }
        written();
        out.messages += 1;
        out.announce();
        true
    }

    /// Writes as many of these messages as are a body and nothing else and find nothing
    /// in their way, and shows them together. Returns how many.
    pub(crate) fn send_run(&self, entry: &Entry, run: &[Message]) -> usize {
        let mut out = lock(&self.out);
        if self.is_dead() || !out.is_clear() {
            return 0;
        }
        let mut import = lock(&entry.import);
        if self.has_again() || !self.is_as_seen(entry) {
            return 0;
        }
        let header = Header::new(Kind::Message, entry.slot);
        let written = run.iter().take_while(|message| {
            let body = self.plain_body(message).filter(|_| message.reply.is_none());
            body.is_some_and(|body| {
                let header = described(header, message, Extra::NONE, body);
                self.write_granted(&mut out, entry, &mut import, &header, Extra::NONE, body)
            })
        });
        let written = written.count();
        drop(import);
        if written > 0 {
            out.messages += written as u64;
            out.announce();
            drop(out);
            self.ring(true);
        }
        written
    }

    /// The body of a message that is nothing else, if this task may send it.
    #[inline]
    fn plain_body<'a>(&self, message: &'a Message) -> Option<&'a [u8]> {
        let may = |body: &&[u8]| body.len() as u64 <= self.task.limits.message_bytes;
        message.plain().filter(may).filter(|_| self.task.check().is_ok())
    }

    /// Writes a message on a right, if its owner has granted a place for it, and bytes.
    #[inline]
    fn write_granted(
        &self,
        out: &mut Out,
        entry: &Entry,
        import: &mut Import,
        header: &Header,
        extra: Extra<'_>,
        body: &[u8],
    ) -> bool {
        let charge = u64::from(header.room()) + extra.charge;
        let may = self.has_window(out, charge)
            && (import.may_send() || {
                import.look(self.peer.grant(entry.slot.index).unwrap_or(0));
                import.may_send()
            });
        if !may || !self.write_parts(out, header, extra, body) {
            return false;
        }
        import.sent();
        out.sent_bytes += charge;
        true
    }

    fn write_parts(&self, out: &mut Out, header: &Header, extra: Extra<'_>, body: &[u8]) -> bool {
        let written = match extra.bytes {
            [] => out.writer.write(header, &[body], limits::LANE_RESERVE, &self.peer),
            names => out.writer.write(header, &[names, body], limits::LANE_RESERVE, &self.peer),
        };
        written.is_ok()
    }

    /// Whether a message on this right would most likely find nothing in its way.
    pub(super) fn looks_clear(&self, entry: &Entry) -> bool {
        let mut out = lock(&self.out);
        let charge = limits::DESCRIPTOR_CHARGE + limits::FRAME_BYTES as u64;
        if self.is_dead() || !out.is_clear() || !self.has_window(&mut out, charge) {
            return false;
        }
        let mut import = lock(&entry.import);
        import.look(self.peer.grant(entry.slot.index).unwrap_or(0));
        import.may_send()
    }

    /// Whether so many bytes may be sent, with some of the window left for others.
    fn has_window(&self, out: &mut Out, charge: u64) -> bool {
        let after = out.sent_bytes + charge + limits::WINDOW_KEPT;
        if after > out.granted {
            out.granted = self.peer.granted();
        }
        after <= out.granted
    }

    /// Whether the slot is as it was when it was seen alive: the peer has changed nothing
    /// on its board since, or not this.
    #[inline]
    fn is_as_seen(&self, entry: &Entry) -> bool {
        let change = self.peer.change();
        (change == entry.change_seen.load(Ordering::Relaxed) || self.is_seen(entry, change))
            && entry.moved().get().is_none()
            && !entry.was_seen_dead()
    }

    /// Looks whether the slot is alive, under a change count that was read before. Anything
    /// else that is seen there is acted on by the general way.
    #[inline]
    fn is_seen(&self, entry: &Entry, change: u64) -> bool {
        let here =
            |life: Life| life.generation == entry.slot.generation && life.state == State::Live;
        let alive = self.peer.life(entry.slot.index).is_some_and(here);
        if alive {
            entry.change_seen.store(change, Ordering::Relaxed);
        }
        alive
    }

    /// Takes what lies first in the lane, if it is a message for the port, a body and
    /// nothing else but a reply right, one right or one loan, and would be received next.
    /// Under the seat.
    #[inline]
    pub(crate) fn take_plain(self: &Arc<Self>, near: Near<'_>) -> Option<Message> {
        let mut inn = lock(&self.inn);
        // What is wrong with a frame is said by who reads it next.
        let header = inn.reader.next().ok()??;
        if !is_plain(&header) {
            let message = self.take_laden(near, &mut inn, &header)?;
            inn.reader.finish(&header);
            self.count_passed(&mut inn, 1, charge_of_laden(&header));
            return Some(message);
        }
        if !inn.spilled.is_empty() {
            return None;
        }
        if !self.leads_to(&mut inn.led, header.slot, near.port) {
            if header.flags != 0 {
                return None;
            }
            let (sequence, promise) = self.pass_promised(near, header.slot)?;
            let body = self.read_body(&mut inn, &header, 0);
            drop(inn);
            drop(promise);
            return Some(Message { sequence, ..self.message(&header, body) });
        }
        let reply = match header.flags {
            0 => None,
            _ => Some(self.take_reply(&mut inn, &header)?),
        };
        let passed = near.passing().and_then(|mut port| port.pass(self, header.slot));
        let Some(sequence) = passed else {
            // The right comes again, to who reads the frame.
            if let Some(Once::Import(link, _)) = reply.and_then(SendOnceRight::disarm) {
                link.let_go_once();
            }
            return None;
        };
        let body = self.read_body(&mut inn, &header, u64::from(header.room()));
        Some(Message { reply, sequence, ..self.message(&header, body) })
    }

    /// A message comes on a send-once right to the port and is received at once. Returns the
    /// number of its turn, and what the right led to; `None` where nothing was done.
    fn pass_promised(&self, near: Near<'_>, slot: Slot) -> Option<(u64, Option<Sink>)> {
        let mut exports = self.exports_seen();
        let export = exports.rules.get(slot).ok()?;
        let here = export.kind == RightKind::SendOnce
            && !export.given
            && matches!(exports.sink(slot), Some(Sink::Port(port)) if std::ptr::eq(&**port, near.port));
        if !here {
            return None;
        }
        let sequence = {
            let mut passing = near.passing()?;
            // Nothing is passed where the right is not used up, and the other way.
            if !passing.may_pass_once() || exports.rules.consume(slot).is_err() {
                return None;
            }
            passing.pass_once()?
        };
        exports.loaded(slot);
        Some((sequence, exports.take_sink(slot)))
    }

    /// Takes up to `most` messages that lie first in the lane, if all came on one right
    /// to `port` and are a body and nothing else. Under the seat. Returns how many.
    pub(crate) fn take_run(
        self: &Arc<Self>,
        port: &PortCore,
        most: usize,
        into: &mut Vec<Message>,
    ) -> usize {
        let mut inn = lock(&self.inn);
        let (mut taken, mut bytes) = (0, 0);
        let mut on = None;
        let mut passing = None;
        while taken < most
            && let Ok(Some(header)) = inn.reader.next()
            && is_plain(&header)
            && header.flags == 0
            && inn.spilled.is_empty()
            && on.is_none_or(|on| on == header.slot)
        {
            if on.is_none() && !self.leads_to(&mut inn.led, header.slot, port) {
                break;
            }
            on = Some(header.slot);
            let passing = passing.get_or_insert_with(|| port.passing());
            let Some(sequence) =
                passing.as_mut().and_then(|passing| passing.pass(self, header.slot))
            else {
                break;
            };
            let body = Body::read(&mut inn.reader, &header);
            inn.reader.finish(&header);
            into.push(Message { sequence, ..self.message(&header, body) });
            bytes += u64::from(header.room());
            taken += 1;
        }
        drop(passing);
        if taken > 0 {
            self.count_passed(&mut inn, taken as u64, bytes);
        }
        taken
    }

    /// Takes what lies first in the lane, if it is the answer that `cell` waits for, a
    /// body and nothing else. Under the seat.
    pub(crate) fn take_answer(self: &Arc<Self>, cell: &ReplyCell) -> Option<Message> {
        let mut inn = lock(&self.inn);
        let header = inn.reader.next().ok()??;
        if !is_plain(&header) || header.flags != 0 {
            return None;
        }
        let sink = {
            let mut exports = self.exports_seen();
            let export = exports.rules.get(header.slot).ok()?;
            let here = export.kind == RightKind::SendOnce
                && !export.given
                && matches!(exports.sink(header.slot), Some(Sink::Reply(sink)) if std::ptr::eq(&**sink, cell))
                && cell.passes();
            if !here || exports.rules.consume(header.slot).is_err() {
                return None;
            }
            exports.loaded(header.slot);
            exports.take_sink(header.slot)
        };
        let body = self.read_body(&mut inn, &header, 0);
        drop(inn);
        cell.answered();
        drop(sink);
        Some(self.message(&header, body))
    }

    /// The reply right in a frame, where it is one of the peer's own.
    fn take_reply(self: &Arc<Self>, inn: &mut Inn, header: &Header) -> Option<SendOnceRight> {
        let mut name = [0; REF_BYTES];
        if header.extra as usize != REF_BYTES
            || inn.reader.extra_into(header, &mut name) != REF_BYTES
        {
            return None;
        }
        match RightRef::decode(&name).ok()?.0 {
            name @ RightRef::Mine(RightKind::SendOnce, _) => {
                let mut right = self.take_in(name, &mut Vec::new()).ok()?.into_send_once().ok()?;
                right.read_since(inn.call_read(&self.task));
                Some(right)
            }
            _ => None,
        }
    }

    /// The body of a frame, which is left behind and counts so many bytes.
    #[inline]
    fn read_body(&self, inn: &mut Inn, header: &Header, bytes: u64) -> Body {
        let body = Body::read(&mut inn.reader, header);
        inn.reader.finish(header);
        self.count_passed(inn, 1, bytes);
        body
    }

    /// The message of a frame that is a body and nothing else.
    #[inline]
    pub(super) fn message(&self, header: &Header, body: Body) -> Message {
        Message {
            id: header.id,
            priority: header.priority,
            tag: header.tag,
            sender: Some(self.who.sender),
            via: Some(Arc::clone(&self.peer_core)),
            ..Message::new(MessageBody(body))
        }
    }
}

/// The header of a message's frame with this between it and the body.
#[inline]
fn described(header: Header, message: &Message, extra: Extra<'_>, body: &[u8]) -> Header {
    Header {
        length: (HEADER_BYTES + extra.bytes.len() + body.len()) as u32,
        flags: extra.flags,
        extra: extra.bytes.len() as u32,
        priority: message.priority,
        id: message.id,
        tag: message.tag,
        ..header
    }
}

/// Whether a frame is a message with nothing but a body, and perhaps a reply right.
fn is_plain(header: &Header) -> bool {
    header.kind == Kind::Message
        && (header.flags == 0 && header.extra == 0 || header.flags == flag::REPLY)
        && header.priority <= limits::PRIORITY_MAX
        && header.body_bytes() <= limits::INLINE_BYTES
}
