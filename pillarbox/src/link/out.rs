//! What we write: messages, the protocol's own frames, bells.
//!
//! One thread at a time writes a lane, under `out`. The protocol's own frames
//! never wait: what finds no room goes to the backlog, which is written before
//! anything else. A message waits, without the lock, until its deadline.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use abi::frame::{Attached, EVERY_SLOT, Header, Kind, flag};
use abi::page::Sleep;
use abi::{Offence, Slot, limits};
use shm::socket::SendPacketError;
use shm::{LaneWriter, WriteError};

use super::backlog::Backlog;
use super::carry::Load;
use super::{Answer, End, Entry, Link, Question};
use crate::background::Job;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::{Message, Notification};
use crate::metrics::Traffic;
use crate::right::WORD;
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// What a packet of descriptors begins with.
pub(super) const DESCRIPTORS: [u8; 4] = *b"desc";

/// What a packet of descriptors of a message in a bag begins with.
pub(super) const BAG_DESCRIPTORS: [u8; 4] = *b"bagd";

/// A board the peer does not have yet.
#[derive(Debug)]
struct NewBoard {
    number: u32,
    /// Until it has been sent.
    fd: Option<OwnedFd>,
    packet: u32,
}

/// The writing side of a link.
#[derive(Debug)]
pub(crate) struct Out {
    writer: LaneWriter,
    backlog: Backlog,
    look_all: bool,
    boards: VecDeque<NewBoard>,
    packet: u32,
    pub(super) bag_packet: u32,
    sent_bytes: u64,
    published: u64,
    fault: Option<Offence>,
    /// The system refused something that must be tried again.
    again: bool,
    /// Slots in messages written, until the exports know of it. Kept here, under
    /// the lock the head is published under: who has seen the message finds them.
    exported: Vec<Slot>,
    messages: u64,
}

impl Out {
    /// Slots of ours that the peer may know from now on.
    pub(super) fn note_exported(&mut self, slots: impl Iterator<Item = Slot>) {
        self.exported.extend(slots);
    }

    /// What we published and the peer has not freed.
    pub(super) fn unread(&self, peer: &shm::PeerPage) -> Vec<(Header, Vec<u8>)> {
        self.writer.unread(peer)
    }

    pub(crate) fn new(writer: LaneWriter) -> Self {
        Out {
            writer,
            backlog: Backlog::default(),
            look_all: false,
            boards: VecDeque::new(),
            packet: 0,
            bag_packet: 0,
            sent_bytes: 0,
            published: 0,
            fault: None,
            again: false,
            exported: Vec::new(),
            messages: 0,
        }
    }
}

/// Why a message cannot be written now.
#[derive(Debug)]
pub(super) enum Blocked {
    /// The lane, the byte window or the socket is full.
    Room,
    /// The port has granted no place.
    Grant,
    /// It will never be.
    Fail(SendFailure),
}

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

impl Link {
    // ---- messages ----------------------------------------------------------

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
        let mut load = match self.load(&mut message, deadline) {
            Ok(load) => load,
            Err(reason) => return Err((reason, message)),
        };
        let sent = match self.try_send(&header, entry, &message, &mut load) {
            Ok(()) => Ok(()),
            Err(Blocked::Fail(reason)) => Err(reason),
            Err(Blocked::Room | Blocked::Grant) => {
                self.send_when_possible(&header, entry, &message, &mut load, deadline)
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
        let mut attempt = Attempt { at_once: deadline == Deadline::Now, ..Attempt::default() };
        // Who may not wait still asks the owner once and takes its word.
        let until = if attempt.at_once { Deadline::after(WORD) } else { deadline };
        let mut sent = self.task.wait(until, Some(self), |waiter| {
            self.attempt(header, entry, message, load, &mut attempt, waiter)
        });
        // So does one whose deadline was shorter than the way to the owner and
        // back. The silence of an owner that had so long is its word.
        if sent.is_none()
            && let Some(word) = attempt.asked.and_then(|asked| asked.checked_add(WORD))
            && word > Instant::now()
        {
            attempt.at_once = true;
            sent = self.task.wait(Deadline::At(word), Some(self), |waiter| {
                self.attempt(header, entry, message, load, &mut attempt, waiter)
            });
        }
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

    fn try_send(
        self: &Arc<Self>,
        header: &Header,
        entry: Option<&Arc<Entry>>,
        message: &Message,
        load: &mut Load,
    ) -> Result<(), Blocked> {
        if self.has_again() && entry.is_some() {
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
        if !self.flush(out) {
            return Err(Blocked::Room);
        }
        let (mut flags, body): (u8, &[u8]) = match load.body_fd {
            Some(_) => (0, &[]),
            None => (0, message.body()),
        };
        load.extra.clear();
        if !load.attached.is_plain() {
            load.attached.packet = out.packet;
            flags |= load.attached.encode(&mut load.extra);
        }
        if message.notification.is_some() {
            flags |= flag::NOTIFICATION;
        }
        let header = Header {
            length: (abi::frame::HEADER_BYTES + load.extra.len() + body.len()) as u32,
            flags,
            extra: load.extra.len() as u32,
            ..*header
        };
        // What goes on a send-once right has its room already, but for its
        // descriptors.
        let charge = match (entry, header.kind) {
            (Some(_), _) => charge_of(&header, load.attached.descriptors),
            (None, Kind::Message) => charge_of_once(load.attached.descriptors),
            (None, _) => 0,
        };
        if out.sent_bytes + charge > self.peer.granted() {
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
            let sent = self.send_descriptors(out.packet, &fds);
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
        out.sent_bytes += charge;
        out.note_exported(load.exported());
        out.messages += 1;
        if let Some(entry) = entry {
            let mut import = lock(&entry.import);
            if left { import.was_left() } else { import.sent() }
        }
        Ok(())
    }

    /// What has gone over this link so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let (frames_read, bytes_read) = self.was_read();
        let out = lock(&self.out);
        Traffic {
            messages_sent: out.messages,
            frames_read,
            bytes_written: out.published,
            bytes_read,
            bells_rung: self.bells.load(Ordering::Relaxed),
        }
    }

    /// Slots named in messages that are published and not noted as such.
    pub(super) fn take_published(&self) -> Vec<Slot> {
        std::mem::take(&mut lock(&self.out).exported)
    }

    /// Whether the port lives and has granted a place.
    fn may_send(&self, entry: &Entry) -> Result<(), Blocked> {
        let change = self.peer.change();
        if entry.change_seen.load(Ordering::Relaxed) != change {
            entry.change_seen.store(change, Ordering::Relaxed);
            let mut after = crate::port::After::default();
            entry.look(&mut after);
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

    fn send_descriptors(&self, packet: u32, fds: &[BorrowedFd<'_>]) -> Result<(), Blocked> {
        match self.socket.send(&descriptor_packet(DESCRIPTORS, packet), fds) {
            Ok(()) => Ok(()),
            Err(SendPacketError::Full) => Err(Blocked::Room),
            Err(SendPacketError::TooManyInFlight) => {
                Err(Blocked::Fail(SendFailure::DescriptorsInFlight))
            }
            Err(SendPacketError::Gone) => Err(Blocked::Fail(SendFailure::Dead)),
            Err(SendPacketError::System(error)) => {
                Err(Blocked::Fail(SendFailure::System(error.kind())))
            }
        }
    }

    fn not_written(&self, out: &mut Out, error: WriteError) -> Blocked {
        match error {
            WriteError::Offence(offence) => {
                out.fault = Some(offence);
                Blocked::Fail(End::Fault(offence).as_send_failure())
            }
            WriteError::Forked => Blocked::Fail(SendFailure::Forked),
            WriteError::NoRoom => Blocked::Room,
            WriteError::Length => {
                debug_assert!(false, "a frame of ours is of an impossible length");
                Blocked::Room
            }
        }
    }

    /// Writes a frame of the user's that is all header, if there is room for it
    /// now. False where there is none; nothing is kept for later.
    pub(super) fn write_now(&self, header: &Header) -> bool {
        let mut out = lock(&self.out);
        let written = self.flush(&mut out)
            && match out.writer.write(header, &[], limits::LANE_RESERVE, &self.peer) {
                Ok(()) => true,
                Err(error) => {
                    let _ = self.not_written(&mut out, error);
                    false
                }
            };
        self.publish(out);
        written
    }

    /// Tells the owner of a right, in its own lane, that the peer of another
    /// link may claim it. Waits for room: the message that names the ticket may
    /// only follow what is published.
    pub(crate) fn publish_give(
        self: &Arc<Self>,
        header: Header,
        to: abi::TaskId,
        deadline: Deadline,
    ) -> Result<(), SendFailure> {
        let header = Header { length: (abi::frame::HEADER_BYTES + 16) as u32, ..header };
        self.publish_when_possible(&header, &to.encode(), 0, deadline, || Ok(()))
    }

    /// Writes one frame, waiting for room while it still `may` be written.
    pub(super) fn publish_when_possible(
        self: &Arc<Self>,
        header: &Header,
        body: &[u8],
        reserve: u32,
        deadline: Deadline,
        may: impl Fn() -> Result<(), SendFailure>,
    ) -> Result<(), SendFailure> {
        let mut waiting = false;
        let written = self.task.wait(deadline, Some(self), |waiter| {
            if !waiting {
                waiting = true;
                self.add_waiter(waiter);
            }
            if let Some(end) = self.end() {
                return Some(Err(end.as_send_failure()));
            }
            if let Err(refused) = may() {
                return Some(Err(refused));
            }
            for last in [false, true] {
                let mut out = lock(&self.out);
                let written =
                    self.flush(&mut out) && self.write_above(&mut out, header, body, reserve);
                self.publish(out);
                if written {
                    return Some(Ok(()));
                }
                if !last {
                    let _ = self.own.raise_want();
                    shm::full_fence(); // pairs: lane.want
                }
            }
            None
        });
        if waiting {
            self.remove_waiter(&Waiter::mine());
        }
        written.unwrap_or(Err(SendFailure::Full))
    }

    // ---- the protocol's own frames ---------------------------------------------

    /// Writes a protocol frame, now or when there is room. Never waits.
    pub(crate) fn say(&self, header: Header, body: &[u8]) {
        let _ = self.say_or_keep(header, body, false);
    }

    /// An answer to a question of the peer's.
    ///
    /// # Errors
    /// [`Offence::QuestionsExceeded`]: it does not read our answers.
    pub(crate) fn say_answer(&self, header: Header, body: &[u8]) -> Result<(), Offence> {
        self.say_or_keep(header, body, true)
    }

    fn say_or_keep(&self, header: Header, body: &[u8], answer: bool) -> Result<(), Offence> {
        if self.is_dead() {
            return Ok(());
        }
        let length = (abi::frame::HEADER_BYTES + body.len()) as u32;
        let header = Header { length, ..header };
        let mut out = lock(&self.out);
        let mut kept = Ok(());
        if !self.flush(&mut out) || !self.write(&mut out, &header, body) {
            if answer {
                kept = out.backlog.push_answer(header, body);
            } else {
                out.backlog.push(header, body);
            }
            let _ = self.own.raise_want();
            shm::full_fence(); // pairs: lane.want
            self.flush(&mut out);
        }
        self.publish(out);
        kept
    }

    /// The peer should look at `slot` on our board.
    pub(crate) fn say_look(&self, slot: Slot) {
        if self.is_dead() {
            return;
        }
        let header = Header::new(Kind::Look, slot);
        let mut out = lock(&self.out);
        if !self.flush(&mut out) || !self.write(&mut out, &header, &[]) {
            // One look always has room: the one that means every slot.
            out.look_all = true;
            let _ = self.own.raise_want();
            shm::full_fence(); // pairs: lane.want
            self.flush(&mut out);
        }
        self.publish(out);
    }

    pub(crate) fn say_dropped(&self, slot: Slot) {
        self.say(Header::new(Kind::Dropped, slot), &[]);
    }

    /// A notification on a send-once right of the peer's.
    pub(crate) fn say_notification(&self, slot: Slot, what: Notification, tag: u64) {
        let (flags, id) = (flag::NOTIFICATION, what.id());
        let header = Header { flags, id, tag, ..Header::new(Kind::Message, slot) };
        self.say(header, &[]);
    }

    /// A board for the peer to map, before the first frame that speaks of it.
    pub(super) fn offer_board(&self, number: u32, fd: OwnedFd) {
        let mut out = lock(&self.out);
        out.boards.push_back(NewBoard { number, fd: Some(fd), packet: 0 });
    }

    /// Writes what had no room. False where some of it still has none.
    fn flush(&self, out: &mut Out) -> bool {
        while let Some(board) = out.boards.front_mut() {
            if let Some(fd) = &board.fd {
                if self
                    .socket
                    .send(&descriptor_packet(DESCRIPTORS, out.packet), &[fd.as_fd()])
                    .is_err()
                {
                    // No room in the socket, or the system has none: neither says
                    // when it has.
                    out.again = true;
                    return false;
                }
                board.fd = None;
                board.packet = out.packet;
                out.packet = out.packet.wrapping_add(1);
            }
            let index = abi::board::board_start(board.number);
            let header = Header {
                tag: u64::from(board.packet),
                ..Header::new(Kind::Board, Slot { index, generation: 0 })
            };
            if !self.write(out, &header, &[]) {
                return false;
            }
            out.boards.pop_front();
        }
        while let Some(late) = out.backlog.first() {
            match out.writer.write(&late.header, &[&late.body], 0, &self.peer) {
                Ok(()) => out.backlog.pop(),
                Err(error) => {
                    let _ = self.not_written(out, error);
                    return false;
                }
            }
        }
        if out.look_all {
            let header = Header::new(Kind::Look, Slot { index: EVERY_SLOT, generation: 0 });
            if !self.write(out, &header, &[]) {
                return false;
            }
            out.look_all = false;
        }
        true
    }

    fn write(&self, out: &mut Out, header: &Header, body: &[u8]) -> bool {
        self.write_above(out, header, body, 0)
    }

    /// Writes a frame that leaves `reserve` bytes of the lane free.
    fn write_above(&self, out: &mut Out, header: &Header, body: &[u8], reserve: u32) -> bool {
        match out.writer.write(header, &[body], reserve, &self.peer) {
            Ok(()) => true,
            Err(error) => {
                let _ = self.not_written(out, error);
                false
            }
        }
    }

    /// Announces what was written, lets the lane go, and rings if the reader
    /// sleeps.
    pub(super) fn publish(&self, mut out: std::sync::MutexGuard<'_, Out>) {
        let fault = out.fault.take();
        let again = std::mem::take(&mut out.again);
        let news = out.writer.head() != out.published;
        if news {
            out.writer.publish();
            out.published = out.writer.head();
        }
        drop(out);
        if let Some(offence) = fault {
            self.fault(offence);
        }
        if news {
            self.ring();
        }
        if again && !self.is_dead() {
            self.task.job(Job::Again(self.number));
        }
    }

    fn ring(&self) {
        // Publish, fence, look; the reader announces, fences, looks.
        shm::full_fence(); // pairs: lane.sleep
        let (number, bell) = match self.peer.sleep() {
            Sleep::Awake => return,
            Sleep::Asleep(number) => (number, false),
            Sleep::Bell(number) => (number, true),
        };
        let mark = number << 1 | u64::from(bell);
        if self.rung.swap(mark, Ordering::Relaxed) == mark {
            return;
        }
        self.bells.fetch_add(1, Ordering::Relaxed);
        if bell {
            if !self.socket.ring() {
                self.task.job(Job::Again(self.number));
            }
        } else {
            self.own.wake_head();
        }
    }

    /// Whether the peer has not read all we wrote, as far as it says.
    pub(crate) fn is_unread(&self) -> bool {
        !self.is_dead() && lock(&self.out).writer.head() != self.peer.tail()
    }

    /// Rings whatever the peer announced: that reaches a task whose threads are
    /// all busy.
    pub(crate) fn ring_now(&self) {
        self.own.wake_head();
        if !self.socket.ring() {
            self.task.job(Job::Again(self.number));
        }
    }

    pub(crate) fn flush_backlog(&self) {
        let mut out = lock(&self.out);
        if !self.flush(&mut out) {
            // What is left waits for more room, and must say so anew.
            let _ = self.own.raise_want();
            shm::full_fence(); // pairs: lane.want
            self.flush(&mut out);
        }
        self.publish(out);
    }
}

/// What a message says of itself in its header.
pub(super) fn describe(header: &mut Header, message: &Message) {
    header.priority = message.priority;
    header.id = message.id;
    header.tag = message.tag;
}

/// What a frame with so many descriptors counts against the byte window. Both
/// sides count alike.
pub(super) fn charge_of(header: &Header, descriptors: u16) -> u64 {
    u64::from(header.room()) + charge_of_once(descriptors)
}

/// The same for a message on a send-once right.
pub(super) fn charge_of_once(descriptors: u16) -> u64 {
    u64::from(descriptors) * limits::DESCRIPTOR_CHARGE
}

pub(super) fn descriptor_packet(what: [u8; 4], number: u32) -> [u8; 8] {
    let mut packet = [0; 8];
    packet[..4].copy_from_slice(&what);
    packet[4..].copy_from_slice(&number.to_le_bytes());
    packet
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
    }
}
