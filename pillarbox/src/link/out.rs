//! What we write: the lane itself, the protocol's own frames, bells.
//!
//! One thread at a time writes a lane, under `out`. The protocol's own frames
//! never wait: what finds no room goes to the backlog, which is written before
//! anything else.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::frame::bag::MORE;
use abi::frame::{EVERY_SLOT, Header, Kind, flag};
use abi::page::Sleep;
use abi::{Offence, Slot, Ticket, limits};
use shm::socket::SendPacketError;
use shm::{LaneWriter, WriteError};

use super::backlog::Backlog;
use super::bagged::Bagged;
use super::inn::READ_AT_ONCE;
use super::spill::Spills;
use super::{End, Entry, Link};
use crate::background::Job;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::Notification;
use crate::metrics::Traffic;
use crate::wait::parking::{MutexGuard, lock};

/// What a packet of descriptors begins with.
pub(super) const DESCRIPTORS: [u8; 4] = *b"desc";

/// What a packet of descriptors of a message in a bag begins with.
pub(super) const BAG_DESCRIPTORS: [u8; 4] = *b"bagd";

/// What such packets begin with where the last of their descriptors were lost before.
pub(super) const fn lossy([a, b, c, _]: [u8; 4]) -> [u8; 4] {
    [a, b, c, b'l']
}

/// What a packet begins with that takes one of those back.
pub(super) const BAG_VOID: [u8; 4] = *b"bagv";

/// Memory the peer does not have yet.
#[derive(Debug)]
struct NewMemory {
    what: Memory,
    /// Until it has been sent.
    fd: Option<OwnedFd>,
    packet: u32,
}

#[derive(Clone, Copy, Debug)]
enum Memory {
    /// The next board.
    Board(u32),
    /// Where a bag goes on.
    Bag(Ticket),
    /// What we lend from.
    Lent(u32),
}

impl NewMemory {
    /// The frame that says so.
    fn header(&self) -> Header {
        match self.what {
            Memory::Board(number) => {
                let slot = Slot { index: abi::board::board_start(number), generation: 0 };
                Header { tag: u64::from(self.packet), ..Header::new(Kind::Board, slot) }
            }
            Memory::Bag(ticket) => {
                let slot = Slot { index: self.packet, generation: 0 };
                Header { id: MORE, tag: ticket.0, ..Header::new(Kind::Bag, slot) }
            }
            Memory::Lent(number) => {
                let tag = u64::from(self.packet);
                Header { tag, ..super::arena::about(Kind::Memory, number) }
            }
        }
    }
}

/// The writing side of a link.
#[derive(Debug)]
pub(crate) struct Out {
    pub(super) writer: LaneWriter,
    backlog: Backlog,
    look_all: bool,
    memories: VecDeque<NewMemory>,
    pub(super) packet: u32,
    pub(super) bagged: Bagged,
    pub(super) sent_bytes: u64,
    /// The bytes the peer granted when it was last looked at: it goes on writing
    /// there.
    pub(super) granted: u64,
    published: u64,
    fault: Option<Offence>,
    /// The system refused something that must be tried again.
    pub(super) again: bool,
    /// Slots in messages written, until the exports know of it. Kept here, under
    /// the lock the head is published under: who has seen the message finds them.
    exported: Vec<Slot>,
    pub(super) messages: u64,
    pub(super) spills: Spills,
}

impl Out {
    /// Whether boards wait to be offered.
    pub(super) fn has_boards(&self) -> bool {
        !self.memories.is_empty()
    }

    /// Whether no frame of the protocol's waits for room.
    pub(super) fn nothing_waits(&self) -> bool {
        !self.has_boards() && self.backlog.first().is_none()
    }

    /// Whether nothing is before a message that is written now.
    #[inline]
    pub(super) fn is_clear(&self) -> bool {
        self.nothing_waits()
            && !self.look_all
            && !self.bagged.has_void()
            && self.spills.is_idle()
            && self.fault.is_none()
    }

    /// Announces what was written.
    #[inline]
    pub(super) fn announce(&mut self) {
        self.writer.publish();
        self.published = self.writer.head();
    }

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
            memories: VecDeque::new(),
            packet: 0,
            bagged: Bagged::default(),
            sent_bytes: 0,
            granted: 0,
            published: 0,
            fault: None,
            again: false,
            exported: Vec::new(),
            messages: 0,
            spills: Spills::default(),
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

impl Link {
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
    pub(super) fn take_published(&self, note: impl FnMut(Slot)) {
        lock(&self.out).exported.drain(..).for_each(note);
    }

    pub(super) fn send_descriptors(
        &self,
        packet: [u8; 8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Blocked> {
        match self.socket.send(&packet, fds) {
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

    pub(super) fn not_written(&self, out: &mut Out, error: WriteError) -> Blocked {
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
    pub(super) fn write_now(&self, entry: &Entry, header: &Header) -> bool {
        let mut out = lock(&self.out);
        self.settle_mark(&mut out);
        let written = !entry.has_moved()
            && !out.spills.is_spilled(header.slot)
            && self.flush(&mut out)
            && match out.writer.write(header, &[], limits::LANE_RESERVE, &self.peer) {
                Ok(()) => {
                    lock(&entry.import).pulsed();
                    true
                }
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
        self.publish_when_possible(&header, &to.encode(), deadline, || true)
    }

    /// Writes one frame, waiting for room, unless it is not `wanted` when there is.
    /// Returns whether it was written.
    pub(super) fn publish_while(
        self: &Arc<Self>,
        header: &Header,
        body: &[u8],
        deadline: Deadline,
        wanted: impl Fn() -> bool,
    ) -> Result<bool, SendFailure> {
        let unwanted = std::cell::Cell::new(false);
        self.publish_when_possible(header, body, deadline, || {
            unwanted.set(!wanted());
            !unwanted.get()
        })?;
        Ok(!unwanted.get())
    }

    /// Writes one frame, waiting for room. What is not `wanted` when there is room,
    /// is not written.
    fn publish_when_possible(
        self: &Arc<Self>,
        header: &Header,
        body: &[u8],
        deadline: Deadline,
        wanted: impl Fn() -> bool,
    ) -> Result<(), SendFailure> {
        let written =
            self.wait_at(deadline, || self.publish_now(header, body, 0, || Ok(()), &wanted));
        written.unwrap_or(Err(SendFailure::Full))
    }

    /// One look of a frame that waits for room while it still `may` be written. `None`
    /// where it must wait: then those who wait at the link are told of room.
    pub(super) fn publish_now(
        &self,
        header: &Header,
        body: &[u8],
        reserve: u32,
        may: impl Fn() -> Result<(), SendFailure>,
        wanted: impl Fn() -> bool,
    ) -> Option<Result<(), SendFailure>> {
        if let Some(end) = self.end() {
            return Some(Err(end.as_send_failure()));
        }
        if let Err(refused) = may() {
            return Some(Err(refused));
        }
        for last in [false, true] {
            let mut out = lock(&self.out);
            // What was sent before a give arrives before what comes of it.
            let after_all = header.kind != Kind::Give || !out.spills.is_spilled(header.slot);
            let written = after_all
                && self.flush(&mut out)
                && (!wanted() || self.write_above(&mut out, header, body, reserve));
            if written && header.kind == Kind::Give && self.has_read_most(&out) {
                // Who claims it wakes its owner, who reads this first.
                self.publish_quietly(out);
            } else {
                self.publish(out);
            }
            if written {
                return Some(Ok(()));
            }
            if !last {
                let _ = self.own.raise_want();
                shm::full_fence(); // pairs: lane.want
            }
        }
        None
    }

    // ---- the protocol's own frames ---------------------------------------------

    /// Writes a protocol frame, now or when there is room. Never waits.
    pub(crate) fn say(&self, header: Header, body: &[u8]) {
        let _ = self.say_or_keep(header, body, false, || true);
    }

    /// The same about a right of ours, unless its port has gone elsewhere: then its
    /// slot may have gone home by another thread, and is not ours to speak of. That
    /// is written under the same lock. Returns whether it was said.
    pub(super) fn say_of(&self, entry: &Entry, header: Header) -> bool {
        let mut said = false;
        let may = || {
            said = !entry.has_moved();
            said
        };
        let _ = self.say_or_keep(header, &[], false, may);
        said
    }

    /// Says that places go back, as many as there are when it is written, and whether
    /// their holder waits no more.
    pub(super) fn say_return(&self, entry: &Entry, stop: bool, places: impl FnOnce() -> u64) {
        if self.is_dead() {
            return;
        }
        let mut out = lock(&self.out);
        if entry.has_moved() {
            return;
        }
        let places = places();
        if stop || places > 0 {
            let header = Header::new(Kind::Return, entry.slot);
            let header = Header { id: i32::from(stop), tag: places, ..header };
            let _ = self.write_or_keep(&mut out, header, &[], false);
        }
        self.publish(out);
    }

    /// An answer to a question of the peer's.
    ///
    /// # Errors
    /// [`Offence::QuestionsExceeded`]: it does not read our answers.
    pub(crate) fn say_answer(&self, header: Header, body: &[u8]) -> Result<(), Offence> {
        self.say_or_keep(header, body, true, || true)
    }

    fn say_or_keep(
        &self,
        header: Header,
        body: &[u8],
        answer: bool,
        may: impl FnOnce() -> bool,
    ) -> Result<(), Offence> {
        if self.is_dead() {
            return Ok(());
        }
        let mut out = lock(&self.out);
        if !may() {
            return Ok(());
        }
        if matches!(header.kind, Kind::Dropped | Kind::Message) {
            // It has its place among the messages of its port.
            self.settle_mark(&mut out);
        }
        let kept = self.write_or_keep(&mut out, header, body, answer);
        self.publish(out);
        kept
    }

    /// The same, where the lane is ours already and is published after.
    pub(super) fn write_or_keep(
        &self,
        out: &mut Out,
        header: Header,
        body: &[u8],
        answer: bool,
    ) -> Result<(), Offence> {
        let length = (abi::frame::HEADER_BYTES + body.len()) as u32;
        let header = Header { length, ..header };
        let mut kept = Ok(());
        if !self.flush(out) || !self.write(out, &header, body) {
            if answer {
                kept = out.backlog.push_answer(header, body);
            } else {
                out.backlog.push(header, body);
            }
            let _ = self.own.raise_want();
            shm::full_fence(); // pairs: lane.want
            self.flush(out);
        }
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
        out.memories.push_back(NewMemory { what: Memory::Board(number), fd: Some(fd), packet: 0 });
    }

    /// Memory to lend from, before the first frame that names a loan in it.
    pub(super) fn offer_lent_memory(&self, number: u32, fd: OwnedFd) {
        let mut out = lock(&self.out);
        out.memories.push_back(NewMemory { what: Memory::Lent(number), fd: Some(fd), packet: 0 });
    }

    /// Where a bag goes on, for the peer to map. In order with all other memory.
    pub(crate) fn offer_bag(&self, ticket: Ticket, fd: OwnedFd) {
        let mut out = lock(&self.out);
        out.memories.push_back(NewMemory { what: Memory::Bag(ticket), fd: Some(fd), packet: 0 });
        self.flush(&mut out);
        self.publish(out);
    }

    /// Writes what had no room. False where some of it still has none.
    pub(super) fn flush(&self, out: &mut Out) -> bool {
        if out.bagged.has_void() {
            // Nothing in the lane waits for it.
            let _ = self.send_void(out);
        }
        while let Some(memory) = out.memories.front_mut() {
            if let Some(fd) = &memory.fd {
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
                memory.fd = None;
                memory.packet = out.packet;
                out.packet = out.packet.wrapping_add(1);
            }
            let header = memory.header();
            if !self.write(out, &header, &[]) {
                return false;
            }
            out.memories.pop_front();
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
    pub(super) fn publish(&self, out: MutexGuard<'_, Out>) {
        if let Some(news) = self.publish_quietly(out) {
            self.ring(news);
        }
    }

    /// The same, and rings nobody: what to ring for, if anything.
    fn publish_quietly(&self, mut out: MutexGuard<'_, Out>) -> Option<bool> {
        let fault = out.fault.take();
        let again = std::mem::take(&mut out.again);
        let news = out.writer.head() != out.published;
        if news {
            out.announce();
        }
        // After the lane: it holds what was sent before.
        let spilled = self.show_spilled(&mut out.spills);
        drop(out);
        if let Some(offence) = fault {
            self.fault(offence);
        }
        if again && !self.is_dead() {
            self.task.job(Job::Again(self.number));
        }
        (news || spilled).then_some(news)
    }

    /// Whether little of what was written is unread: what is written now may lie there.
    fn has_read_most(&self, out: &Out) -> bool {
        let unread = out.writer.head().saturating_sub(self.peer.tail());
        unread < u64::from(out.writer.lane_bytes()) / 8
    }

    /// Rings for something in the lane; without it for what was spilled alone.
    pub(super) fn ring(&self, lane: bool) {
        // Publish, fence, look; the reader announces, fences, looks.
        shm::full_fence(); // pairs: lane.sleep
        let (number, bell) = match self.peer.sleep() {
            Sleep::Awake => return,
            Sleep::Asleep(number) => (number, false),
            Sleep::Bell(number) => (number, true),
        };
        let mark = number << 1 | u64::from(bell);
        let known = self.rung.load(Ordering::Relaxed) == mark;
        if known || self.rung.swap(mark, Ordering::Relaxed) == mark {
            return;
        }
        self.bells.fetch_add(1, Ordering::Relaxed);
        if !bell {
            self.own.wake_head();
        }
        // A head that did not move does not keep who is about to sleep on it awake.
        if (bell || !lane) && !self.socket.ring() {
            self.task.job(Job::Again(self.number));
        }
    }

    /// Whether the peer has not read all we wrote, as far as it says.
    pub(crate) fn is_unread(&self) -> bool {
        !self.is_dead() && lock(&self.out).writer.head() != self.peer.tail()
    }

    /// Whether the peer has read what we wrote, or will without another ring: a thread of
    /// its says that it sleeps on our head, that sleep was rung for, and it is no more than
    /// who wakes reads at once. A bell that was rung says nothing: it is used up until
    /// somebody waits there. A peer that lies here keeps only who waits for it.
    pub(crate) fn will_be_read(&self) -> bool {
        let unread = lock(&self.out).writer.head().wrapping_sub(self.peer.tail());
        let rung_for = match self.peer.sleep() {
            Sleep::Asleep(number) => self.rung.load(Ordering::Relaxed) == number << 1,
            Sleep::Awake | Sleep::Bell(_) => false,
        };
        unread == 0 || rung_for && unread <= READ_AT_ONCE
    }

    /// Rings whatever the peer announced: that reaches a task whose threads are
    /// all busy.
    pub(crate) fn ring_now(&self) {
        self.own.wake_head();
        if !self.socket.ring() {
            self.task.job(Job::Again(self.number));
        }
    }

    /// The same where no thread of the peer's says that it sleeps: they may all be in
    /// user code, its bell may be used up, and others depend on what it does with what
    /// was said.
    pub(crate) fn ring_awake(&self) {
        shm::full_fence(); // pairs: lane.sleep
        match self.peer.sleep() {
            Sleep::Awake | Sleep::Bell(_) => self.ring_now(),
            Sleep::Asleep(_) => {}
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

pub(super) fn descriptor_packet(what: [u8; 4], number: u32) -> [u8; 8] {
    let mut packet = [0; 8];
    packet[..4].copy_from_slice(&what);
    packet[4..].copy_from_slice(&number.to_le_bytes());
    packet
}
