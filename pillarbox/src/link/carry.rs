//! Rights on their way into and out of messages.
//!
//! A right is in exactly one place (I3). On the way out it is first counted for
//! the peer, then published, and only then taken from the sender; what fails
//! before it is published is counted back. On the way in it is the receiver's
//! from the moment its frame is read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use abi::board::{Life, State};
use abi::frame::{Attached, EVERY_TICKET, Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Offence, Slot, TaskId, Ticket, limits};
use rights::export::Released;
use rights::give::{GiveName, Given};
use shm::arena::Chunk;

use super::entry::Pin;
use super::exports::Exported;
use super::out::lossy;
use super::regions::Carried;
use super::{Entry, Join, Link, Turn};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::giving::HeldGive;
use crate::limits::Limit;
use crate::message::{Message, Notification, Right};
use crate::moving::pack::Pack;
use crate::port::After;
use crate::right::{Looks, Once, SendOnceRight, SendRight, Settled, Sink};
use crate::wait::parking::lock;

/// A message made ready for one link.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) attached: Attached,
    /// The bytes between header and body.
    pub(super) extra: Vec<u8>,
    /// The body, where it is too long for the lane.
    pub(super) body_fd: Option<OwnedFd>,
    /// What else lies outside of the lane.
    carried: Option<Box<Carried>>,
    /// Receive rights that go with it, and those in the queues of their ports.
    pub(crate) packs: Vec<Pack>,
    /// The bags of those it names itself.
    pub(super) bags: Vec<OwnedFd>,
    undo: Vec<Undo>,
    /// Regions may be lent.
    may_lend: bool,
    /// It was accepted before: what was lost since does not keep it.
    was_accepted: bool,
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

    /// Whether the body lies elsewhere than in the frame.
    pub(super) fn holds_body(&self) -> bool {
        self.body_fd.is_some() || self.attached.lent.is_some()
    }

    /// Whether it names memory of ours that must have been offered.
    pub(super) fn lends(&self) -> bool {
        self.attached.lends()
    }

    /// It was written: what it names is the peer's until that returns it.
    pub(super) fn lend(&mut self, message: &Message) {
        if let Some(carried) = &mut self.carried {
            carried.lend(message, &self.attached);
        }
    }

    /// One for a message that was accepted before: what it lost since does not keep it.
    pub(crate) fn of_accepted() -> Self {
        Load { was_accepted: true, ..Load::default() }
    }

    /// The descriptors that go with it, in order. What was lost on its way to us takes
    /// those behind it along: there are fewer then than it says.
    pub(super) fn descriptors<'a>(&'a self, message: &'a Message) -> Vec<BorrowedFd<'a>> {
        if self.attached.region > 0 && self.body_fd.is_none() {
            return Vec::new();
        }
        let body = self.body_fd.iter();
        let mut all: Vec<_> = body.chain(&self.bags).map(AsFd::as_fd).collect();
        let sealed = self.carried.iter().flat_map(|carried| carried.descriptors());
        all.extend(sealed);
        let named =
            usize::from(self.attached.descriptors).saturating_sub(message.descriptors().len());
        if all.len() == named {
            let own = message.descriptors().iter().map_while(crate::message::Descriptor::as_ref);
            all.extend(own.map(AsFd::as_fd));
        }
        all
    }

    /// What it begins with: who takes it is told where some of them were lost.
    pub(super) fn packet_of(&self, what: [u8; 4], fds: &[BorrowedFd<'_>]) -> [u8; 4] {
        let all = fds.len() == usize::from(self.attached.descriptors);
        if all { what } else { lossy(what) }
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
        let bytes = self.body_len() as u64;
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
        if self.descriptors().len() > limits.message_descriptors {
            let many = SendFailure::TooManyDescriptors(self.descriptors().len());
            return refuse(Limit::MessageDescriptors, many);
        }
        if self.regions().len() > limits.message_regions {
            let many = SendFailure::TooManyRegions(self.regions().len());
            return refuse(Limit::MessageRegions, many);
        }
        if self.regions().iter().any(|region| region.is_lost() || region.is_empty()) {
            return Err(SendFailure::RegionLost);
        }
        if self.descriptors().iter().any(|descriptor| descriptor.is_lost()) {
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
        self.load_from(Load::of_accepted(), message, deadline)
    }

    /// The same for a frame of this kind in the lane: a long body may be lent.
    pub(super) fn load_with(
        self: &Arc<Self>,
        kind: Kind,
        message: &mut Message,
        deadline: Deadline,
    ) -> Result<Load, SendFailure> {
        let mut load = Load::default();
        if kind == Kind::Message && message.body_len() > limits::INLINE_BYTES {
            let body = self.place(message.body());
            load.attached.lent = body.as_ref().map(Chunk::loan);
            load.carried.get_or_insert_default().body = body;
        }
        load.may_lend = kind == Kind::Message;
        self.load_from(load, message, deadline)
    }

    fn load_from(
        self: &Arc<Self>,
        load: Load,
        message: &mut Message,
        deadline: Deadline,
    ) -> Result<Load, SendFailure> {
        let jumped = |load| self.undo(load);
        let (load, loaded) =
            shm::jump::held(load, jumped, |load| self.load_all(message, deadline, load));
        match loaded {
            Ok(()) => Ok(load),
            Err(reason) => {
                self.undo(load);
                Err(reason)
            }
        }
    }

    /// The same, as far as it can be; what was done is to be undone where it fails.
    pub(crate) fn load_all(
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
        if let Some(accepted) = message.accepted_mut() {
            load.attached.accepted = Some(self.name_once(accepted, deadline, &mut load.undo)?);
        }
        for right in &mut message.rights {
            let name = match right {
                Right::Send(right) => self.name_send(right, deadline, load)?,
                Right::SendOnce(right) => self.name_once(right, deadline, &mut load.undo)?,
                Right::Receive(right) => {
                    let pack = Pack::begin(self, right.core(), deadline)?;
                    let jumped = |pack: Pack| pack.undo(self);
                    let (mut pack, ready) =
                        shm::jump::held(pack, jumped, |pack| pack.ready(self, deadline));
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
        if !message.regions().is_empty() {
            let carried = load.carried.get_or_insert_default();
            load.attached.regions = match load.was_accepted {
                true => self.name_what_is_left(message, load.may_lend, carried)?,
                false => self.name_regions(message, load.may_lend, carried)?,
            };
        }
        let sealed = load.attached.sealed();
        load.attached.descriptors = (message.descriptors().len() + load.bags.len() + sealed) as u16;
        if load.was_accepted && message.is_body_lost() {
            load.attached.descriptors += 1;
            load.attached.region = 1;
            return Ok(());
        }
        // Looked at here, where no lock is held: what a peer lends is copied and returned.
        if message.body().len() > limits::INLINE_BYTES && load.attached.lent.is_none() {
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
        let mut looks = Looks::default();
        loop {
            match right.settled() {
                Settled::Joining(join) => {
                    if let Some(name) = self.give_on(join, deadline, &mut load.undo)? {
                        return Ok(name);
                    }
                    if !looks.again(deadline) {
                        return Err(SendFailure::NotJoined(join.owner));
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
                    let Some(pin) = entry.link.pin(entry) else {
                        if !looks.again(deadline) {
                            return Err(SendFailure::NotJoined(entry.link.peer_task()));
                        }
                        continue;
                    };
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
                Undo::ExportOnce(slot) => self.withdraw_once(slot),
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
        let accepted = message.take_accepted();
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

    pub(super) fn released(
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
                        after.fire(SendOnceRight::own(sink.clone()), Notification::SendOnceDied);
                    }
                    _ => {}
                }
                sink
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
        self: &Arc<Self>,
        header: &Header,
        to: TaskId,
        after: &mut Turn,
    ) -> Result<(), Offence> {
        if header.tag == EVERY_TICKET {
            let ended = self.call_back_later(to);
            if !ended.is_empty() {
                after.more().ended.extend(ended);
            }
            return Ok(());
        }
        let name = GiveName { giver: self.peer_task(), to, ticket: Ticket(header.tag) };
        // It may have been claimed by a receiver that guessed: then the right
        // is where it was meant to go.
        if lock(&self.task.gives).claims.take_back(name) {
            return Ok(());
        }
        if let Some((given, held)) = self.task.take_give(name) {
            after.more().held.push(held);
            if given.kind == RightKind::SendOnce {
                let _ = self.take_promise_back(given.slot);
            }
        }
        Ok(())
    }

    /// What we hold of the peer's: in which slot, whether it is dead, how often.
    pub(crate) fn import_rows(&self) -> Vec<(u64, bool, u64)> {
        let row = |entry: &Arc<Entry>| {
            (u64::from(entry.slot.index), entry.is_dead(), entry.handles() as u64)
        };
        self.entries().iter().map(row).collect()
    }
}
