//! Messages on their way out.
//!
//! A message waits, without the lock of the lane, until its deadline: for room
//! in the lane, for bytes of the window, for a place of the port's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use abi::frame::{Attached, Header, Kind, flag};
use abi::{Slot, limits};

use super::carry::Load;
use super::out::{Blocked, DESCRIPTORS, Out, descriptor_packet};
use super::{Answer, Entry, Link, Question};
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::Message;
use crate::right::WORD;
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// What a send still has to undo or may still do.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// It stands among those who wait for a place, since then.
    asked: Option<Instant>,
    waiting: bool,
    /// It wants the owner's word at once.
    at_once: bool,
    question: Option<Question>,
}

impl Attempt {
    /// It asks for a place once and takes the owner's word.
    pub(super) fn ask_once(&mut self) {
        self.at_once = true;
    }
}

impl Link {
    /// Sends a message on a send right.
    pub(crate) fn send(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        let header = Header::new(Kind::Message, entry.slot);
        self.send_message(header, Some(entry), message, deadline)
    }

    /// Sends a message on a send-once right.
    pub(crate) fn send_once(
        self: &Arc<Self>,
        slot: Slot,
        message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        self.send_message(Header::new(Kind::Message, slot), None, message, deadline)
    }

    /// Sends the rights the peer begins with: the body holds their names.
    pub(crate) fn send_welcome(
        self: &Arc<Self>,
        mut message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        let header = Header::new(Kind::Welcome, Slot { index: 0, generation: 0 });
        let kept = message.open_held();
        self.send_message(header, None, message, deadline).map_err(|(reason, mut message)| {
            kept.come_back(&mut message);
            (reason, message)
        })
    }

    fn send_message(
        self: &Arc<Self>,
        mut header: Header,
        entry: Option<&Arc<Entry>>,
        mut message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        if let Some(end) = self.end() {
            return Err((end.as_send_failure(), message));
        }
        describe(&mut header, &message);
        let (kind, loaded) = (header.kind, message);
        let (loaded, load) =
            shm::jump::held(loaded, drop, |message| self.load_with(kind, message, deadline));
        message = loaded;
        let mut load = match load {
            Ok(load) => load,
            Err(reason) => return Err((reason, message)),
        };
        let mut tried = self.try_send(&header, entry, &message, &mut load);
        if matches!(tried, Err(Blocked::Fail(SendFailure::OverLimit))) && self.task.drain() {
            // The peer may have said that it took some.
            tried = self.try_send(&header, entry, &message, &mut load);
        }
        let sent = match tried {
            Ok(()) => Ok(()),
            Err(Blocked::Fail(reason)) => Err(reason),
            Err(Blocked::Room | Blocked::Grant) => {
                let jumped = |(message, load)| {
                    self.undo(load);
                    drop::<Message>(message);
                };
                let sent;
                ((message, load), sent) =
                    shm::jump::held((message, load), jumped, |(message, load)| {
                        self.send_when_possible(&header, entry, message, load, deadline)
                    });
                sent
            }
        };
        match sent {
            Ok(()) => {
                self.unload(load, message);
                Ok(())
            }
            Err(reason) => {
                self.undo(load);
                Err((reason, message))
            }
        }
    }

    fn send_when_possible(
        self: &Arc<Self>,
        header: &Header,
        entry: Option<&Arc<Entry>>,
        message: &Message,
        load: &mut Load,
        deadline: Deadline,
    ) -> Result<(), SendFailure> {
        let attempt = Attempt { at_once: deadline == Deadline::Now, ..Attempt::default() };
        let jumped = |attempt| self.end_attempt(attempt, entry, &Waiter::mine(), true);
        let (attempt, sent) = shm::jump::held(attempt, jumped, |attempt| {
            // Who may not wait still asks the owner once and takes its word.
            let until = if attempt.at_once { Deadline::after(WORD) } else { deadline };
            let sent = self.task.wait(until, Some(self), |waiter| {
                self.attempt(header, entry, message, load, attempt, waiter)
            });
            // So does one whose deadline was shorter than the way to the owner and
            // back. The silence of an owner that had so long is its word.
            if sent.is_none()
                && let Some(word) = attempt.asked.and_then(|asked| asked.checked_add(WORD))
                && word > Instant::now()
            {
                attempt.at_once = true;
                return self.task.wait(Deadline::At(word), Some(self), |waiter| {
                    self.attempt(header, entry, message, load, attempt, waiter)
                });
            }
            sent
        });
        let sent = sent.unwrap_or(Err(SendFailure::Full));
        self.end_attempt(attempt, entry, &Waiter::mine(), sent.is_err());
        sent
    }

    /// One look of a send that waits: whether it could be done, and what it asks
    /// for where it could not.
    pub(super) fn attempt(
        self: &Arc<Self>,
        header: &Header,
        entry: Option<&Arc<Entry>>,
        message: &Message,
        load: &mut Load,
        attempt: &mut Attempt,
        waiter: &Arc<Waiter>,
    ) -> Option<Result<(), SendFailure>> {
        if !attempt.waiting {
            attempt.waiting = true;
            self.add_waiter(waiter);
        }
        // What we have asked for, and may sleep on.
        let (mut grant, mut room) = (false, false);
        match self.try_send(header, entry, message, load) {
            Ok(()) => return Some(Ok(())),
            Err(Blocked::Fail(reason)) => return Some(Err(reason)),
            Err(Blocked::Grant) if attempt.at_once => {
                let entry = entry?;
                grant = true;
                match attempt.question.map(|question| entry.answer_to(&question)) {
                    Some(Answer::Full) => return Some(Err(SendFailure::Full)),
                    Some(Answer::None) => {}
                    // Another thread was faster.
                    Some(Answer::Granted) | None => {
                        attempt.question = Some(entry.ask_once(header.priority));
                    }
                }
            }
            Err(Blocked::Grant) => {
                grant = entry?.ask(header.priority, attempt.asked.is_none());
                attempt.asked.get_or_insert_with(Instant::now);
            }
            Err(Blocked::Room) => {
                // Raise, fence, look; the reader makes room, fences, looks.
                let _ = self.own.raise_want();
                shm::full_fence(); // pairs: lane.want
                room = true;
            }
        }
        match self.try_send(header, entry, message, load) {
            Ok(()) => Some(Ok(())),
            Err(Blocked::Fail(reason)) => Some(Err(reason)),
            Err(blocked) => {
                // It is the other that is missing now, or another thread
                // has just used the place: nobody would wake us.
                let asked = if matches!(blocked, Blocked::Room) { room } else { grant };
                if !asked {
                    waiter.raise();
                }
                None
            }
        }
    }

    /// Such a send waits no more.
    pub(super) fn end_attempt(
        &self,
        attempt: Attempt,
        entry: Option<&Arc<Entry>>,
        waiter: &Arc<Waiter>,
        gave_up: bool,
    ) {
        if attempt.waiting {
            self.remove_waiter(waiter);
        }
        if let (Some(_), Some(entry)) = (attempt.asked, entry) {
            entry.stop_asking(gave_up);
        }
    }

    pub(super) fn try_send(
        self: &Arc<Self>,
        header: &Header,
        entry: Option<&Arc<Entry>>,
        message: &Message,
        load: &mut Load,
    ) -> Result<(), Blocked> {
        if self.has_again() && entry.is_some_and(|entry| entry.has_again()) {
            // What a dead owner had not read goes first.
            self.task.send_again_later(self);
            return Err(Blocked::Room);
        }
        if !load.packs.is_empty() {
            return self.try_move(header, entry, message, load);
        }
        let mut out = lock(&self.out);
        let result = self.try_send_locked(&mut out, header, entry, message, load, &mut || {});
        self.publish(out);
        result
    }

    pub(super) fn try_send_locked(
        self: &Arc<Self>,
        out: &mut Out,
        header: &Header,
        entry: Option<&Arc<Entry>>,
        message: &Message,
        load: &mut Load,
        mark: &mut dyn FnMut(),
    ) -> Result<(), Blocked> {
        if let Some(end) = self.end() {
            return Err(Blocked::Fail(end.as_send_failure()));
        }
        if message.is_barred() {
            return Err(Blocked::Fail(SendFailure::Revoked));
        }
        // What is left with the owner has its own place.
        let left = load.attached.accepted.is_some();
        match entry {
            Some(entry) => match self.may_send(entry) {
                Err(Blocked::Grant) if left => {}
                other => other?,
            },
            None if header.kind == Kind::Message => {
                if let Some(refused) = self.refuses(header.slot) {
                    return Err(Blocked::Fail(refused));
                }
            }
            None => {}
        }
        let Some(entry) = entry else {
            return self.write_message(out, header, None, message, load, mark);
        };
        let spills = self.may_spill(entry, load);
        if out.spills.is_spilled(entry.slot) {
            // Behind those spilled before it (I5).
            return if spills {
                self.spill(out, header, entry, message, load)
            } else {
                Err(Blocked::Room)
            };
        }
        match self.write_message(out, header, Some((entry, spills)), message, load, mark) {
            Err(Blocked::Room) if spills => self.spill(out, header, entry, message, load),
            other => other,
        }
    }

    /// Writes a message into the lane, if there is room for it now.
    fn write_message(
        &self,
        out: &mut Out,
        header: &Header,
        entry: Option<(&Arc<Entry>, bool)>,
        message: &Message,
        load: &mut Load,
        mark: &mut dyn FnMut(),
    ) -> Result<(), Blocked> {
        self.settle_mark(out);
        if !self.flush(out) {
            return Err(Blocked::Room);
        }
        let (header, body) = load.compose(header, message, out.packet);
        // What goes on a send-once right has its room already, but for its
        // descriptors.
        let charge = match (entry, header.kind) {
            (Some(_), _) => charge_of(&header, &load.attached),
            (None, Kind::Message) => load.attached.charge(),
            (None, _) => 0,
        };
        // What may be spilled leaves some of the window to what may not.
        let kept = if entry.is_some_and(|(_, spills)| spills) { limits::WINDOW_KEPT } else { 0 };
        if out.sent_bytes + charge + kept > self.peer.granted() {
            return Err(Blocked::Room);
        }
        match out.writer.make_room(header.length, limits::LANE_RESERVE, &self.peer) {
            Ok(()) => {}
            Err(error) => return Err(self.not_written(out, error)),
        }
        if load.attached.descriptors > 0 {
            // Before the frame that owns them, so that they are there when it
            // is seen.
            let fds = load.descriptors(message);
            let packet = descriptor_packet(load.packet_of(DESCRIPTORS, &fds), out.packet);
            let sent = self.send_descriptors(packet, &fds);
            // Nobody says when there is room in a socket.
            out.again |= matches!(sent, Err(Blocked::Room));
            sent?;
            out.packet = out.packet.wrapping_add(1);
        }
        mark();
        match out.writer.write(&header, &[&load.extra, body], limits::LANE_RESERVE, &self.peer) {
            Ok(()) => {}
            Err(error) => return Err(self.not_written(out, error)),
        }
        load.lend(message);
        out.sent_bytes += charge;
        out.note_exported(load.exported());
        out.messages += 1;
        if let Some((entry, _)) = entry {
            let mut import = lock(&entry.import);
            // What is left with the owner has its own place.
            if load.attached.accepted.is_some() { import.was_left() } else { import.sent() }
        }
        Ok(())
    }

    /// Whether the port lives and has granted a place.
    fn may_send(&self, entry: &Entry) -> Result<(), Blocked> {
        let change = self.peer.change();
        // What was claimed at another task was claimed with how much came here: from
        // then on no more does, whatever was granted before.
        if entry.moved().get().is_some() && entry.has_moved() {
            return Err(Blocked::Fail(SendFailure::Dead));
        }
        if entry.change_seen.load(Ordering::Relaxed) != change {
            let mut after = crate::port::After::default();
            entry.look(&mut after);
            entry.change_seen.store(change, Ordering::Relaxed);
            if entry.has_moved() {
                self.task.run_later(after);
                return Err(Blocked::Fail(SendFailure::Dead));
            }
            if entry.is_dead() {
                // The watchers are told by whoever reads the look that follows.
                self.task.run_later(after);
                return Err(Blocked::Fail(entry.failure()));
            }
        }
        // Another thread may have seen that it went away.
        if entry.moved().get().is_some() && entry.has_moved() {
            return Err(Blocked::Fail(SendFailure::Dead));
        }
        // What was granted before does not make a dead port alive.
        if entry.was_seen_dead() {
            return Err(Blocked::Fail(entry.failure()));
        }
        let mut import = lock(&entry.import);
        if import.may_send() {
            return Ok(());
        }
        import.look(self.peer.grant(entry.slot.index).unwrap_or(0));
        if import.may_send() {
            return Ok(());
        }
        drop(import);
        if entry.is_dead() || entry.has_moved() {
            Err(Blocked::Fail(entry.failure()))
        } else {
            Err(Blocked::Grant)
        }
    }
}

/// What a message says of itself in its header.
pub(super) fn describe(header: &mut Header, message: &Message) {
    header.priority = message.priority;
    header.id = message.id;
    header.tag = message.tag;
}

/// What a frame with so much attached counts against the byte window; on a send-once
/// right only what is attached. Both sides count alike.
pub(super) fn charge_of(header: &Header, attached: &Attached) -> u64 {
    u64::from(header.room()) + attached.charge()
}

impl Load {
    /// The header of the message's frame and the body in it. What comes between is
    /// in `extra`.
    pub(super) fn compose<'a>(
        &mut self,
        header: &Header,
        message: &'a Message,
        packet: u32,
    ) -> (Header, &'a [u8]) {
        let mut flags = header.flags;
        let body: &[u8] = if self.holds_body() { &[] } else { message.body() };
        self.extra.clear();
        if !self.attached.is_plain() {
            self.attached.packet = packet;
            flags |= self.attached.encode(&mut self.extra);
        }
        if message.notification.is_some() {
            flags |= flag::NOTIFICATION;
        }
        let header = Header {
            length: (abi::frame::HEADER_BYTES + self.extra.len() + body.len()) as u32,
            flags,
            extra: self.extra.len() as u32,
            ..*header
        };
        (header, body)
    }
}

/// Whether there is anything between header and body.
trait Plain {
    fn is_plain(&self) -> bool;
}

impl Plain for Attached {
    fn is_plain(&self) -> bool {
        self.reply.is_none()
            && self.accepted.is_none()
            && self.rights.is_empty()
            && self.descriptors == 0
            && self.region == 0
            && self.lent.is_none()
            && self.regions.is_empty()
    }
}
