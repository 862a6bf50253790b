//! Rights on their way into and out of messages.
//!
//! A right is in exactly one place (I3). On the way out it is first counted for
//! the peer, then published, and only then taken from the sender; what fails
//! before it is published is counted back. On the way in it is the receiver's
//! from the moment its frame is read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, MutexGuard};

use abi::board::{Life, State};
use abi::frame::{Attached, EVERY_TICKET, Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Offence, Slot, TaskId, Ticket, limits};
use rights::export::{Exports, Released};
use rights::give::{GiveName, Given};

use super::entry::Pin;
use super::{Entry, Join, Link, Turn};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::giving::HeldGive;
use crate::limits::Limit;
use crate::message::{Message, Notification, Right};
use crate::moving::pack::Pack;
use crate::port::After;
use crate::right::{Once, SendOnceRight, SendRight, Settled, Sink};
use crate::wait::parking::lock;

/// What the peer holds of ours, and what it leads to.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    pub(crate) rules: Exports<u64>,
    sinks: Vec<Option<Sink>>,
    /// Boards there are beside the first.
    more_boards: u32,
    /// Send-once slots in messages that are not published yet.
    loading: Vec<Slot>,
    /// The link is buried.
    ended: bool,
}

impl Exported {
    fn keep(&mut self, slot: Slot, sink: Sink) {
        let index = slot.index as usize;
        if self.sinks.len() <= index {
            self.sinks.resize_with(index + 1, || None);
        }
        if let Some(place) = self.sinks.get_mut(index) {
            *place = Some(sink);
        }
    }

    pub(crate) fn sink(&self, slot: Slot) -> Option<&Sink> {
        self.sinks.get(slot.index as usize)?.as_ref()
    }

    fn take_sink(&mut self, slot: Slot) -> Option<Sink> {
        self.sinks.get_mut(slot.index as usize)?.take()
    }

    /// A send-once slot is no longer on its way out, or is used up already.
    /// Returns whether it was.
    fn loaded(&mut self, slot: Slot) -> bool {
        let place = self.loading.iter().position(|other| *other == slot);
        place.map(|place| self.loading.swap_remove(place)).is_some()
    }

    /// Everything the peer held, for a link that ends. Send-once rights it had
    /// given on are not among it: their promise is the next holder's. Nor are
    /// those in a message that is on its way out: whether the peer ever held
    /// them, its sender says.
    pub(crate) fn take_all(&mut self) -> Vec<(RightKind, Sink)> {
        self.ended = true;
        let all: Vec<_> =
            self.rules.iter().map(|(slot, export)| (slot, export.kind, export.given)).collect();
        self.rules = Exports::default();
        all.into_iter()
            .filter_map(|(slot, kind, given)| {
                if self.loading.contains(&slot) && !given {
                    return None;
                }
                self.loaded(slot);
                let sink = self.take_sink(slot)?;
                (!given).then_some((kind, sink))
            })
            .collect()
    }
}

/// A message made ready for one link.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) attached: Attached,
    /// The bytes between header and body.
    pub(super) extra: Vec<u8>,
    /// The body, where it is too long for the lane.
    pub(super) body_fd: Option<OwnedFd>,
    /// Receive rights that go with it, and those in the queues of their ports.
    pub(crate) packs: Vec<Pack>,
    /// The bags of those it names itself.
    pub(super) bags: Vec<OwnedFd>,
    undo: Vec<Undo>,
    /// Slots of the peer's that it names.
    pins: Vec<Pin>,
}

#[derive(Debug)]
pub(super) enum Undo {
    Export(Slot),
    ExportOnce(Slot),
    Give(Arc<Link>, Slot, Ticket),
}

impl Load {
    /// Our slots it names for the peer.
    pub(crate) fn exported(&self) -> impl Iterator<Item = Slot> {
        self.undo.iter().filter_map(|step| match step {
            Undo::Export(slot) | Undo::ExportOnce(slot) => Some(*slot),
            Undo::Give(..) => None,
        })
    }

    /// Descriptors of the message alone, its long body's first.
    pub(crate) fn count(&self) -> u16 {
        self.attached.descriptors
    }

    pub(super) fn descriptors<'a>(&'a self, message: &'a Message) -> Vec<BorrowedFd<'a>> {
        let body = self.body_fd.iter();
        let own = message.descriptors.iter().filter_map(crate::message::Descriptor::as_ref);
        body.chain(&self.bags).chain(own).map(AsFd::as_fd).collect()
    }
}

impl Message {
    /// What must hold before anything is sent.
    pub(crate) fn check_limits(&self, task: &TaskCore) -> Result<(), SendFailure> {
        let limits = &task.limits;
        let refuse = |limit, failure| {
            task.counters.refuse(limit);
            Err(failure)
        };
        let bytes = self.body().len() as u64;
        if bytes > limits.message_bytes {
            return refuse(Limit::MessageBytes, SendFailure::TooLong { bytes });
        }
        let receives = self.rights.iter().filter(|right| matches!(right, Right::Receive(_)));
        if receives.count() > limits::MESSAGE_RECEIVES {
            return Err(SendFailure::TooManyRights(self.rights.len()));
        }
        if self.priority > limits::PRIORITY_MAX {
            return Err(SendFailure::PriorityTooHigh(self.priority));
        }
        if self.rights.len() > limits.message_rights {
            let many = SendFailure::TooManyRights(self.rights.len());
            return refuse(Limit::MessageRights, many);
        }
        if self.descriptors.len() > limits.message_descriptors {
            let many = SendFailure::TooManyDescriptors(self.descriptors.len());
            return refuse(Limit::MessageDescriptors, many);
        }
        if self.descriptors.iter().any(|descriptor| descriptor.is_lost()) {
            return Err(SendFailure::DescriptorLost);
        }
        Ok(())
    }
}

impl Link {
    // ---- out -----------------------------------------------------------------

    /// Counts every right of `message` for the peer and names it in its words.
    pub(crate) fn load(
        self: &Arc<Self>,
        message: &mut Message,
        deadline: Deadline,
    ) -> Result<Load, SendFailure> {
        let mut load = Load::default();
        match self.load_all(message, deadline, &mut load) {
            Ok(()) => Ok(load),
            Err(reason) => {
                self.undo(load);
                Err(reason)
            }
        }
    }

    fn load_all(
        self: &Arc<Self>,
        message: &mut Message,
        deadline: Deadline,
        load: &mut Load,
    ) -> Result<(), SendFailure> {
        // Tasks of one process can hand each other's rights about; on our link they
        // would be named as ours.
        let held_here =
            |task: Option<&Arc<TaskCore>>| task.is_none_or(|task| Arc::ptr_eq(task, &self.task));
        let ours = message.rights.iter().all(|right| held_here(right.task()))
            && message.reply.as_ref().is_none_or(|reply| held_here(reply.task()));
        if !ours {
            return Err(SendFailure::OtherTask);
        }
        if let Some(reply) = &mut message.reply {
            load.attached.reply = Some(self.name_once(reply, deadline, &mut load.undo)?);
        }
        if let Some(accepted) = &mut message.accepted {
            load.attached.accepted = Some(self.name_once(accepted, deadline, &mut load.undo)?);
        }
        for right in &mut message.rights {
            let name = match right {
                Right::Send(right) => self.name_send(right, deadline, load)?,
                Right::SendOnce(right) => self.name_once(right, deadline, &mut load.undo)?,
                Right::Receive(right) => {
                    let mut pack = Pack::begin(self, right.core(), deadline)?;
                    let ready = pack.ready(self, deadline);
                    let ticket = pack.ticket;
                    let inner = pack.take_inner();
                    load.bags.extend(pack.take_fd());
                    load.packs.push(pack);
                    load.packs.extend(inner);
                    ready?;
                    RightRef::Receive(ticket)
                }
            };
            load.attached.rights.push(name);
        }
        load.attached.descriptors = (message.descriptors.len() + load.bags.len()) as u16;
        if message.body().len() > limits::INLINE_BYTES {
            let fd = shm::body::Body::create(&[message.body()])
                .map_err(|error| SendFailure::System(error.kind()))?;
            load.body_fd = Some(fd);
            load.attached.descriptors += 1;
            load.attached.region = message.body().len() as u64;
        }
        Ok(())
    }

    fn name_send(
        self: &Arc<Self>,
        right: &SendRight,
        deadline: Deadline,
        load: &mut Load,
    ) -> Result<RightRef, SendFailure> {
        // Its port may go to another task while we wait, and again.
        loop {
            match right.settled() {
                Settled::Joining(join) => {
                    if let Some(name) = self.give_on(join, deadline, &mut load.undo)? {
                        return Ok(name);
                    }
                }
                Settled::Own(port) => {
                    let slot = self.export_send(&Sink::Port(Arc::clone(port)))?;
                    load.undo.push(Undo::Export(slot));
                    return Ok(RightRef::Mine(RightKind::Send, slot));
                }
                Settled::Facet(facet) if facet.has_ended() => {
                    return Ok(RightRef::Dead(RightKind::Send));
                }
                Settled::Facet(facet) => {
                    let slot = self.export_send(&Sink::Facet(Arc::clone(facet)))?;
                    load.undo.push(Undo::Export(slot));
                    return Ok(RightRef::Mine(RightKind::Send, slot));
                }
                Settled::Import(entry) if entry.is_dead() => {
                    let own = std::ptr::eq(&*entry.link, &**self);
                    let dead = RightRef::Dead(RightKind::Send);
                    let yours = RightRef::Yours(RightKind::Send, entry.slot);
                    return Ok(if own { yours } else { dead });
                }
                Settled::Import(entry) => {
                    let Some(pin) = entry.link.pin(entry) else { continue };
                    if std::ptr::eq(&*entry.link, &**self) {
                        load.pins.push(pin);
                        return Ok(RightRef::Yours(RightKind::Send, entry.slot));
                    }
                    // Once the give is published the slot may go home.
                    let (link, slot) = (&entry.link, entry.slot);
                    return self.give(link, slot, RightKind::Send, deadline, &mut load.undo);
                }
                Settled::Dead => return Ok(RightRef::Dead(RightKind::Send)),
            }
        }
    }

    fn name_once(
        self: &Arc<Self>,
        right: &mut SendOnceRight,
        deadline: Deadline,
        undo: &mut Vec<Undo>,
    ) -> Result<RightRef, SendFailure> {
        if let Some(Once::Joining(join)) = right.settle() {
            let join = Arc::clone(join);
            if let Some(name) = self.give_on(&join, deadline, undo)? {
                return Ok(name);
            }
        }
        match right.settle() {
            Some(Once::Own(sink)) => {
                let slot = self.export_once(sink, true)?;
                undo.push(Undo::ExportOnce(slot));
                Ok(RightRef::Mine(RightKind::SendOnce, slot))
            }
            Some(Once::Import(link, slot)) if std::ptr::eq(&**link, &**self) => {
                Ok(RightRef::Yours(RightKind::SendOnce, *slot))
            }
            Some(Once::Import(link, _)) if link.is_dead() => {
                Ok(RightRef::Dead(RightKind::SendOnce))
            }
            Some(Once::Import(link, slot)) => {
                let (link, slot) = (Arc::clone(link), *slot);
                self.give(&link, slot, RightKind::SendOnce, deadline, undo)
            }
            Some(Once::Joining(join)) => Err(SendFailure::NotJoined(join.owner)),
            Some(Once::Dead(_)) | None => Ok(RightRef::Dead(RightKind::SendOnce)),
        }
    }

    /// Gives the peer of this link a right whose owner is the peer of `owner`.
    fn give(
        self: &Arc<Self>,
        owner: &Arc<Link>,
        slot: Slot,
        kind: RightKind,
        deadline: Deadline,
        undo: &mut Vec<Undo>,
    ) -> Result<RightRef, SendFailure> {
        let ticket = Ticket(self.task.next_id());
        let header = Header {
            flags: if kind == RightKind::SendOnce { abi::frame::flag::ONCE } else { 0 },
            tag: ticket.0,
            ..Header::new(Kind::Give, slot)
        };
        match owner.publish_give(header, self.peer_task(), deadline) {
            Ok(()) => {}
            // Of the right, not of the message: that goes to another.
            Err(_) if owner.is_dead() => return Ok(RightRef::Dead(kind)),
            Err(reason) => return Err(reason),
        }
        undo.push(Undo::Give(Arc::clone(owner), slot, ticket));
        self.note_give_for(owner);
        Ok(RightRef::Third { kind, owner: owner.peer_task(), address: owner.address(), ticket })
    }

    pub(super) fn note_give_for(&self, owner: &Arc<Link>) {
        let mut gave_for = lock(&self.gave_for);
        gave_for.retain(|known| known.strong_count() > 0);
        if !gave_for.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(owner))) {
            gave_for.push(Arc::downgrade(owner));
        }
    }

    /// What the peer holds, as the peer may know it: with everything that the
    /// lane shows. A slot in a message that is not published yet is not the
    /// peer's to use, whoever guesses it.
    pub(super) fn exports_seen(&self) -> MutexGuard<'_, Exported> {
        let mut exports = lock(&self.exports);
        if exports.rules.unsent() > 0 {
            for slot in self.take_published() {
                exports.rules.published(slot);
            }
        }
        exports
    }

    /// A right is the peer's from now on: what names it cannot fail.
    pub(crate) fn published(&self, slot: Slot) {
        lock(&self.exports).rules.published(slot);
    }

    pub(crate) fn export_send(self: &Arc<Self>, sink: &Sink) -> Result<Slot, SendFailure> {
        let mut exports = lock(&self.exports);
        if self.is_dead() {
            return Err(SendFailure::Dead);
        }
        if exports.rules.slot_of(sink.id()).is_none() {
            self.room_for_slot(&exports)?;
        }
        let exported = exports.rules.send(sink.id()).map_err(|_| SendFailure::RightsExhausted)?;
        if exported.first {
            if let Err(failure) = self.make_board(&mut exports.more_boards, exported.slot) {
                let _ = exports.rules.withdraw(exported.slot);
                return Err(failure);
            }
            exports.keep(exported.slot, sink.clone());
            if let Some(port) = sink.port() {
                // A dead port's slot says so on the board.
                let _ = port.joined(self, exported.slot, sink.id());
            }
        }
        Ok(exported.slot)
    }

    /// Gives the peer a send-once right: in a message, until which is published
    /// it is `loading`, or at once.
    pub(crate) fn export_once(
        self: &Arc<Self>,
        sink: &Sink,
        loading: bool,
    ) -> Result<Slot, SendFailure> {
        let mut exports = lock(&self.exports);
        if self.is_dead() {
            return Err(SendFailure::Dead);
        }
        self.room_for_slot(&exports)?;
        let slot = exports.rules.send_once(sink.id()).map_err(|_| SendFailure::RightsExhausted)?;
        if let Err(failure) = self.make_board(&mut exports.more_boards, slot) {
            let _ = exports.rules.withdraw(slot);
            return Err(failure);
        }
        exports.keep(slot, sink.clone());
        if let Sink::Reply(cell) = sink {
            self.reply_joined(slot, cell);
        }
        if loading {
            exports.loading.push(slot);
        } else {
            exports.rules.published(slot);
        }
        Ok(slot)
    }

    fn room_for_slot(&self, exports: &Exported) -> Result<(), SendFailure> {
        if exports.rules.len() < self.task.limits.slots as usize {
            return Ok(());
        }
        self.task.counters.refuse(Limit::Slots);
        Err(SendFailure::RightsExhausted)
    }

    /// Makes sure that `slot` is on a board.
    fn make_board(&self, more_boards: &mut u32, slot: Slot) -> Result<(), SendFailure> {
        let (board, _) = abi::board::place(slot.index).ok_or(SendFailure::RightsExhausted)?;
        while *more_boards < board {
            let (number, fd) =
                self.own.add_board().map_err(|error| SendFailure::System(error.kind()))?;
            *more_boards = number;
            self.offer_board(number, fd);
        }
        Ok(())
    }

    /// Counts back what was never published.
    pub(crate) fn undo(self: &Arc<Self>, load: Load) {
        for pack in load.packs {
            pack.undo(self);
        }
        for step in load.undo {
            match step {
                Undo::Export(slot) => {
                    let mut after = After::default();
                    let sink = self.withdraw(slot, &mut after);
                    drop(sink);
                    after.run();
                }
                Undo::ExportOnce(slot) => {
                    let mut exports = lock(&self.exports);
                    let _ = exports.rules.withdraw(slot);
                    let sink = if exports.loaded(slot) { exports.take_sink(slot) } else { None };
                    drop(exports);
                    self.reply_left(slot, sink.as_ref());
                    drop(sink);
                }
                Undo::Give(owner, slot, ticket) => {
                    let header = Header { tag: ticket.0, ..Header::new(Kind::TakeBack, slot) };
                    owner.say(header, &self.peer_task().encode());
                }
            }
        }
    }

    /// The message is published: its rights are no longer ours.
    pub(crate) fn unload(self: &Arc<Self>, load: Load, mut message: Message) {
        for pack in load.packs {
            pack.unload(self);
        }
        if !load.undo.is_empty() {
            drop(self.exports_seen());
        }
        for step in &load.undo {
            if let Undo::ExportOnce(slot) = step {
                self.published_once(*slot);
            }
        }
        let once = message.rights.extract_if(.., |right| matches!(right, Right::SendOnce(_)));
        let once: Vec<SendOnceRight> =
            once.filter_map(|right| right.into_send_once().ok()).collect();
        let accepted = message.accepted.take().map(|right| *right);
        for right in once.into_iter().chain(message.reply.take()).chain(accepted) {
            match right.disarm() {
                Some(Once::Import(link, slot)) => {
                    link.let_go_once();
                    // Given to a third task: the owner ends our slot silently.
                    if !Arc::ptr_eq(&link, self) {
                        link.let_go_of_given(slot);
                    }
                }
                Some(Once::Joining(join)) => join.was_given_on(),
                Some(Once::Own(_) | Once::Dead(_)) | None => {}
            }
        }
        drop(message);
    }

    /// A send-once right has left. If the link was buried meanwhile it died with
    /// the peer, and nobody but us can say so.
    fn published_once(&self, slot: Slot) {
        let died = {
            let mut exports = lock(&self.exports);
            let unused = exports.loaded(slot);
            if unused && exports.ended { exports.take_sink(slot) } else { None }
        };
        if let Some(sink) = died {
            let mut after = After::default();
            self.end_export(RightKind::SendOnce, sink, Notification::SendOnceDied, &mut after);
            after.run();
        }
    }

    // ---- in --------------------------------------------------------------------

    /// A right the peer named in a message, as a right of ours.
    pub(crate) fn take_in(
        self: &Arc<Self>,
        name: RightRef,
        claims: &mut Vec<Arc<Join>>,
    ) -> Result<Right, Offence> {
        let task = &self.task;
        Ok(match name {
            RightRef::Mine(RightKind::Send, slot) => SendRight::import(self.learn(slot)?).into(),
            RightRef::Mine(RightKind::SendOnce, slot) => {
                if slot.generation == 0 || self.peer.life(slot.index).is_none() {
                    return Err(Offence::NeverExported);
                }
                SendOnceRight::import(self, slot).into()
            }
            RightRef::Yours(RightKind::Send, slot) => {
                let exports = self.exports_seen();
                if exports.rules.get(slot)?.kind != RightKind::Send {
                    return Err(Offence::RightKind);
                }
                match exports.sink(slot) {
                    Some(Sink::Port(port)) => SendRight::own(port).into(),
                    Some(Sink::Facet(facet)) => SendRight::facet(facet).into(),
                    Some(Sink::Reply(_)) | None => SendRight::dead(task).into(),
                }
            }
            RightRef::Yours(RightKind::SendOnce, slot) => match self.take_once(slot)? {
                Some(sink) => {
                    self.reply_left(slot, Some(&sink));
                    SendOnceRight::own(sink).into()
                }
                None => SendOnceRight::dead(task).into(),
            },
            RightRef::Dead(RightKind::Send) => SendRight::dead(task).into(),
            RightRef::Dead(RightKind::SendOnce) => SendOnceRight::dead(task).into(),
            // It is taken with its bag.
            RightRef::Receive(_) => return Err(Offence::RightKind),
            RightRef::Third { kind, owner, address, ticket } => {
                let giver = self.peer_task();
                let join = Join::new(task, kind, owner, address, giver, ticket);
                claims.push(Arc::clone(&join));
                match kind {
                    RightKind::Send => SendRight::joining(join).into(),
                    RightKind::SendOnce => SendOnceRight::joining(join).into(),
                }
            }
        })
    }

    /// Uses up a send-once right of the peer's. `None` for one it had given on:
    /// a liar may have claimed it before its give came back, and then the use is
    /// late and nobody's offence.
    pub(super) fn take_once(&self, slot: Slot) -> Result<Option<Sink>, Offence> {
        let mut exports = self.exports_seen();
        let given = exports.rules.get(slot)?.given;
        if given {
            let _ = exports.rules.release(slot, 1)?;
        } else {
            exports.rules.consume(slot)?;
        }
        exports.loaded(slot);
        let sink = exports.take_sink(slot).ok_or(Offence::NeverExported)?;
        drop(exports);
        if given {
            self.reply_left(slot, Some(&sink));
        }
        Ok((!given).then_some(sink))
    }

    /// A promise that was given on comes back to its giver's slot. False where
    /// the giver has let go of that.
    pub(crate) fn take_promise_back(&self, slot: Slot) -> bool {
        lock(&self.exports).rules.take_back(slot).is_ok()
    }

    /// The peer gives `count` rights back.
    pub(super) fn take_release(
        &self,
        slot: Slot,
        count: u64,
        after: &mut After,
    ) -> Result<Option<Sink>, Offence> {
        let mut exports = self.exports_seen();
        let released = exports.rules.release(slot, count)?;
        Ok(self.released(&mut exports, slot, released, after))
    }

    /// A send right in a message that was not sent comes back.
    fn withdraw(&self, slot: Slot, after: &mut After) -> Option<Sink> {
        let mut exports = lock(&self.exports);
        // Gone already where the link has ended meanwhile.
        let released = exports.rules.withdraw(slot).ok()?;
        self.released(&mut exports, slot, released, after)
    }

    fn released(
        &self,
        exports: &mut Exported,
        slot: Slot,
        released: Released<u64>,
        after: &mut After,
    ) -> Option<Sink> {
        match released {
            Released::Held => None,
            Released::Last(export) => {
                let life = Life { generation: slot.generation, state: State::Free };
                self.own.set_life(slot.index, life);
                exports.loaded(slot);
                let sink = exports.take_sink(slot);
                self.reply_left(slot, sink.as_ref());
                match (export.kind, &sink) {
                    // Under the lock: the slot's next life must find it gone.
                    (RightKind::Send, Some(sink)) => sink.left(self, after),
                    // Released though its give came back: the giver had let go of it
                    // before it heard that the new holder is dead.
                    (RightKind::SendOnce, Some(sink)) if !export.given => {
                        let told = Message::notification_of(Notification::SendOnceDied);
                        sink.arrive_once(told, after);
                    }
                    _ => {}
                }
                sink
            }
        }
    }

    /// A right the peer held ends with its link.
    pub(super) fn end_export(
        &self,
        kind: RightKind,
        sink: Sink,
        what: Notification,
        after: &mut After,
    ) {
        match kind {
            RightKind::Send => sink.left(self, after),
            RightKind::SendOnce => {
                sink.arrive_once(Message::notification_of(what), after);
            }
        }
    }

    /// The peer gives a right of its own to another task.
    pub(crate) fn take_give(&self, header: &Header, to: TaskId) -> Result<(), Offence> {
        let exports = &mut *self.exports_seen();
        // Looked at before it is marked: a promise in a give that comes to
        // nothing is still the giver's, to be broken aloud with its link.
        let once = header.flags & abi::frame::flag::ONCE != 0;
        if once != (exports.rules.get(header.slot)?.kind == RightKind::SendOnce) {
            return Err(Offence::RightKind);
        }
        let sink = exports.sink(header.slot).cloned().ok_or(Offence::NeverExported)?;
        let export = exports.rules.give(header.slot)?;
        let right = match (&sink, export.kind) {
            // Counted as a sender while it is on its way.
            (Sink::Port(port), RightKind::Send) => Some(SendRight::own(port)),
            (Sink::Facet(facet), RightKind::Send) => Some(SendRight::facet(facet)),
            _ => None,
        };
        let name = GiveName { giver: self.peer_task(), to, ticket: Ticket(header.tag) };
        let given = Given { port: sink.id(), kind: export.kind, slot: header.slot };
        match self.task.note_give(name, given, HeldGive { name, slot: header.slot, sink, right }) {
            Ok(()) => Ok(()),
            Err(offence) => {
                let _ = exports.rules.take_back(header.slot);
                // Too many unclaimed gives are their receivers' doing as well:
                // this one is refused when it is claimed.
                if offence == Offence::GivesExceeded {
                    self.task.counters.refuse(Limit::Gives);
                    Ok(())
                } else {
                    Err(offence)
                }
            }
        }
    }

    /// A give of the peer's failed on its way.
    pub(super) fn take_take_back(
        &self,
        header: &Header,
        to: TaskId,
        after: &mut Turn,
    ) -> Result<(), Offence> {
        if header.tag == EVERY_TICKET {
            // Whom we are linked with we bury ourselves, when we have read what it
            // claimed and gave on.
            if self.task.link_with(to).is_some() {
                return Ok(());
            }
            let ended = self.task.call_back_gives(to, self.peer_task());
            after.ended.extend(ended);
            return Ok(());
        }
        let name = GiveName { giver: self.peer_task(), to, ticket: Ticket(header.tag) };
        // It may have been claimed by a receiver that guessed: then the right
        // is where it was meant to go.
        if lock(&self.task.gives).claims.take_back(name) {
            return Ok(());
        }
        if let Some((given, held)) = self.task.take_give(name) {
            after.held.push(held);
            if given.kind == RightKind::SendOnce {
                let _ = self.take_promise_back(given.slot);
            }
        }
        Ok(())
    }

    /// What the peer holds: of which port, whether it has ended, how often.
    pub(crate) fn export_rows(&self) -> Vec<(u64, RightKind, bool, u64)> {
        let exports = lock(&self.exports);
        let rows = exports.rules.iter().map(|(slot, export)| {
            let sink = exports.sink(slot);
            let port = sink.and_then(Sink::port).map_or(export.port, |port| port.id);
            (port, export.kind, sink.is_some_and(Sink::has_ended), export.count)
        });
        rows.collect()
    }

    /// What we hold of the peer's: in which slot, whether it is dead, how often.
    pub(crate) fn import_rows(&self) -> Vec<(u64, bool, u64)> {
        let row = |entry: &Arc<Entry>| {
            (u64::from(entry.slot.index), entry.is_dead(), entry.handles() as u64)
        };
        self.entries().iter().map(row).collect()
    }
}
