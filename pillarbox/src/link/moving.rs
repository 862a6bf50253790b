//! What the writing side does for ports that move.

use std::sync::Arc;

use abi::Slot;
use abi::bag::Origin;
use abi::frame::{Header, Kind, flag};

use super::carry::Load;
use super::out::Blocked;
use super::send::describe;
use super::{Entry, Link};
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::Message;
use crate::moving::bag::Bag;
use crate::moving::pack::Pack;
use crate::port::After;
use crate::wait::parking::lock;

/// A port could not be made ready to go.
pub(crate) struct NotReady(pub(crate) SendFailure);

impl From<NotReady> for Blocked {
    fn from(NotReady(reason): NotReady) -> Self {
        match reason {
            SendFailure::Full | SendFailure::NotJoined(_) => Blocked::Room,
            other => Blocked::Fail(other),
        }
    }
}

impl From<NotReady> for SendFailure {
    fn from(NotReady(reason): NotReady) -> Self {
        reason
    }
}

/// How often a message is tried that may not wait, while messages still come to
/// the port that goes with it.
const TRIES: usize = 8;

impl Link {
    /// Sends again, now and ahead of all others. It comes back where that cannot be.
    pub(super) fn send_again_now(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        mut message: Message,
    ) -> Result<(), (Blocked, Message)> {
        if let Some(end) = self.end() {
            return Err((Blocked::Fail(end.as_send_failure()), message));
        }
        let mut header = Header { flags: flag::AGAIN, ..Header::new(Kind::Message, entry.slot) };
        let entry = Some(entry);
        describe(&mut header, &message);
        let mut load = match self.load(&mut message, Deadline::Now) {
            Ok(load) => load,
            Err(reason) => return Err((Blocked::Fail(reason), message)),
        };
        let mut wanted = false;
        loop {
            let mut out = lock(&self.out);
            let sent =
                self.try_send_locked(&mut out, &header, entry, &message, &mut load, &mut || {});
            self.publish(out);
            match sent {
                Ok(()) => {
                    self.unload(load, message);
                    return Ok(());
                }
                Err(Blocked::Room | Blocked::Grant) if !wanted => {
                    wanted = true;
                    let _ = self.own.raise_want();
                    shm::full_fence(); // pairs: lane.want
                }
                Err(blocked) => {
                    self.undo(load);
                    return Err((blocked, message));
                }
            }
        }
    }

    /// Sends a message that moves a port on a send-once right, if that can be done
    /// now.
    pub(crate) fn send_once_at_once(
        self: &Arc<Self>,
        slot: Slot,
        mut message: Message,
    ) -> Result<(), (SendFailure, Message)> {
        let mut header = Header::new(Kind::Message, slot);
        describe(&mut header, &message);
        let mut load = match self.load(&mut message, Deadline::Now) {
            Ok(load) => load,
            Err(reason) => return Err((reason, message)),
        };
        let mut reason = SendFailure::Full;
        // What comes to the port between two tries goes into its bag at the next.
        for _ in 0..TRIES {
            match self.try_send(&header, None, &message, &mut load) {
                Ok(()) => {
                    self.unload(load, message);
                    return Ok(());
                }
                Err(Blocked::Fail(other)) => {
                    reason = other;
                    break;
                }
                Err(Blocked::Room | Blocked::Grant) => {
                    let _ = self.own.raise_want();
                    shm::full_fence(); // pairs: lane.want
                }
            }
        }
        self.undo(load);
        Err((reason, message))
    }

    /// Tries to send a message that moves ports. Their locks are held from the look
    /// at their queues to the publishing, so that nothing arrives in between.
    pub(super) fn try_move(
        self: &Arc<Self>,
        header: &Header,
        entry: Option<&Arc<Entry>>,
        message: &Message,
        load: &mut Load,
    ) -> Result<(), Blocked> {
        self.move_ports(load, |load, exported, mark| {
            let mut out = lock(&self.out);
            let result = self.try_send_locked(&mut out, header, entry, message, load, mark);
            if result.is_ok() {
                // What the bags name is the new owner's to use from now on.
                out.note_exported(exported.iter().copied());
            }
            self.publish(out);
            result
        })
    }

    /// Moves the ports of a load: `publish` is the move. It is given what their bags
    /// export, and what marks their slots just before.
    pub(crate) fn move_ports<E: From<NotReady>>(
        self: &Arc<Self>,
        load: &mut Load,
        publish: impl FnOnce(&mut Load, &[Slot], &mut dyn FnMut()) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut packs = std::mem::take(&mut load.packs);
        let mut after = After::default();
        let result = self.move_packs(&mut packs, load, publish, &mut after);
        load.packs = packs;
        after.run();
        result
    }

    fn move_packs<E: From<NotReady>>(
        self: &Arc<Self>,
        packs: &mut Vec<Pack>,
        load: &mut Load,
        publish: impl FnOnce(&mut Load, &[Slot], &mut dyn FnMut()) -> Result<(), E>,
        after: &mut After,
    ) -> Result<(), E> {
        let mut next = 0;
        while let Some(pack) = packs.get_mut(next) {
            pack.ready(self, Deadline::Now).map_err(NotReady)?;
            let inner = pack.take_inner();
            packs.extend(inner);
            next += 1;
        }
        let ports: Vec<_> = packs.iter().map(Pack::port).collect();
        let mut held = Vec::new();
        for port in &ports {
            // What came since is put into the bag at the next try.
            held.push(Pack::hold(port).ok_or(NotReady(SendFailure::Full))?);
        }
        let mut bags = load.bags.iter_mut();
        for (pack, state) in packs.iter_mut().zip(&mut held) {
            pack.list(self, state).map_err(NotReady)?;
            if pack.is_inside() {
                continue;
            }
            if let Some(bag) = bags.next()
                && let Some(larger) = pack.take_fd()
            {
                *bag = larger;
            }
        }
        let exported: Vec<Slot> = packs.iter().flat_map(Pack::exported).collect();
        let mut marked = false;
        let mut mark = || {
            marked = true;
            for (pack, state) in packs.iter().zip(&held) {
                pack.mark(self, state);
            }
        };
        let result = publish(load, &exported, &mut mark);
        for (pack, state) in packs.iter_mut().zip(&mut held) {
            match &result {
                Ok(()) => pack.commit(self, state, after),
                Err(_) if marked => pack.unmark(state, after),
                Err(_) => {}
            }
        }
        result
    }

    /// What a bag names is the peer's to use: it is about to be shown.
    pub(crate) fn note_exported(&self, load: &Load, with_ports: &[Slot]) {
        let slots = load.exported().chain(with_ports.iter().copied());
        lock(&self.out).note_exported(slots);
    }

    /// Writes a message into a bag, its rights named by `load`. Its descriptors go
    /// before it, as for a lane.
    ///
    /// # Errors
    /// Those of [`Link::send_bagged`], and [`SendFailure::TooLong`] where the bag is
    /// full.
    pub(crate) fn write_into(
        &self,
        bag: &mut Bag,
        origin: &Origin,
        message: &Message,
        load: &mut Load,
    ) -> Result<(), SendFailure> {
        let mut header = Header::new(Kind::Message, super::NO_SLOT);
        describe(&mut header, message);
        if load.count() > 0 {
            self.send_bagged(message, load)?;
        }
        let mut extra = Vec::new();
        header.flags = load.attached.encode(&mut extra);
        header.extra = extra.len() as u32;
        if message.notification.is_some() {
            header.flags |= flag::NOTIFICATION;
        }
        let body: &[u8] = if load.holds_body() { &[] } else { message.body() };
        if bag.append(header, &[&extra, &origin.encode(), body]) {
            Ok(())
        } else {
            self.void_bag_packet(load);
            Err(SendFailure::TooLong { bytes: message.body().len() as u64 })
        }
    }
}
