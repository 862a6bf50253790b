//! What we export to the peer: slots on our board, and where each leads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::frame::{Attached, Kind};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot};
use rights::export::Exports;

use super::Link;
use crate::error::SendFailure;
use crate::limits::Limit;
use crate::message::{Message, Notification};
use crate::port::{After, PortCore};
use crate::right::Sink;
use crate::wait::parking::{MutexGuard, lock};

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

    pub(super) fn take_sink(&mut self, slot: Slot) -> Option<Sink> {
        self.sinks.get_mut(slot.index as usize)?.take()
    }

    /// A send-once slot is no longer on its way out, or is used up already.
    /// Returns whether it was.
    pub(super) fn loaded(&mut self, slot: Slot) -> bool {
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

/// A slot of ours that was seen to lead to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Led {
    slot: Slot,
    port: u64,
    version: u64,
}

impl Link {
    /// What the peer holds, as the peer may know it: with everything that the
    /// lane shows. A slot in a message that is not published yet is not the
    /// peer's to use, whoever guesses it.
    pub(super) fn exports_seen(&self) -> MutexGuard<'_, Exported> {
        let mut exports = lock(&self.exports);
        if exports.rules.unsent() > 0 {
            self.take_published(|slot| exports.rules.published(slot));
        }
        exports
    }

    /// What was known of a send slot of ours may be so no more. Under the lock of the
    /// exports.
    pub(super) fn leads_elsewhere(&self) {
        self.exports_version.fetch_add(1, Ordering::Release); // pairs: exports.version
    }

    /// Whether `slot` is a send right of the peer's to `port` itself. It is looked up
    /// once, and known for as long as no slot of ours changes.
    pub(super) fn leads_to(&self, known: &mut Option<Led>, slot: Slot, port: &PortCore) -> bool {
        // Before the look: what changes after it counts more.
        let version = self.exports_version.load(Ordering::Acquire); // pairs: exports.version
        let led = Led { slot, port: port.id, version };
        if *known == Some(led) {
            return true;
        }
        let exports = self.exports_seen();
        let leads = exports.rules.get(slot).is_ok_and(|export| export.kind == RightKind::Send)
            && matches!(exports.sink(slot), Some(Sink::Port(sink)) if std::ptr::eq(&**sink, port));
        if leads {
            *known = Some(led);
        }
        leads
    }

    /// The port of ours that a message which comes next in the lane is for, where it has at
    /// most `room` bytes and none of them are lent. `known` is the one that came last.
    pub(crate) fn comes_to(
        &self,
        known: Option<Arc<PortCore>>,
        room: usize,
    ) -> Option<Arc<PortCore>> {
        let mut inn = lock(&self.inn);
        let header = inn.reader.next().ok()??;
        let fits =
            room == usize::MAX || header.body_bytes() <= room && header.flags != Attached::ONE_LOAN;
        if header.kind != Kind::Message || !fits {
            return None;
        }
        if let Some(port) = known
            && self.leads_to(&mut inn.led, header.slot, &port)
        {
            return Some(port);
        }
        let exports = self.exports_seen();
        let export = exports.rules.get(header.slot).ok()?;
        let plain = export.kind == RightKind::Send || !export.given && header.flags == 0;
        match exports.sink(header.slot)? {
            Sink::Port(port) if plain => Some(Arc::clone(port)),
            _ => None,
        }
    }

    /// A right is the peer's from now on: what names it cannot fail.
    pub(crate) fn published(&self, slot: Slot) {
        lock(&self.exports).rules.published(slot);
    }

    pub(crate) fn export_send(self: &Arc<Self>, sink: &Sink) -> Result<Slot, SendFailure> {
        self.add_send(&mut lock(&self.exports), sink)
    }

    /// The same by who holds what the peer holds.
    pub(super) fn add_send(
        self: &Arc<Self>,
        exports: &mut Exported,
        sink: &Sink,
    ) -> Result<Slot, SendFailure> {
        if self.is_dead() {
            return Err(SendFailure::Dead);
        }
        if exports.rules.slot_of(sink.id()).is_none() {
            self.room_for_slot(exports)?;
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
        let exports = &mut *lock(&self.exports);
        let slot = self.add_once(exports, sink)?;
        if loading {
            exports.loading.push(slot);
        } else {
            exports.rules.published(slot);
        }
        Ok(slot)
    }

    /// Counts a send-once right for the peer, by who holds what it holds until the right
    /// is published or [`forgotten`](Link::forget_once).
    pub(super) fn add_once(
        &self,
        exports: &mut Exported,
        sink: &Sink,
    ) -> Result<Slot, SendFailure> {
        if self.is_dead() {
            return Err(SendFailure::Dead);
        }
        self.room_for_slot(exports)?;
        let slot = exports.rules.send_once(sink.id()).map_err(|_| SendFailure::RightsExhausted)?;
        if let Err(failure) = self.make_board(&mut exports.more_boards, slot) {
            let _ = exports.rules.withdraw(slot);
            return Err(failure);
        }
        exports.keep(slot, sink.clone());
        if let Sink::Reply(cell) = sink {
            self.reply_joined(slot, cell);
        }
        Ok(slot)
    }

    /// Whether there is a slot for one right more, whatever it is. Where there is none it
    /// is the general way that says so.
    pub(super) fn has_slot(&self, exports: &Exported) -> bool {
        exports.rules.len() < self.task.limits.slots as usize
    }

    /// Counts back such a right that was not published: where it led.
    pub(super) fn forget_once(&self, exports: &mut Exported, slot: Slot) -> Option<Sink> {
        let _ = exports.rules.withdraw(slot);
        let sink = exports.take_sink(slot);
        self.reply_left(slot, sink.as_ref());
        sink
    }

    /// What the peer holds, for who counts a right for it and publishes the message that
    /// names it before anybody else looks.
    pub(super) fn exports_here(&self) -> MutexGuard<'_, Exported> {
        lock(&self.exports)
    }

    fn room_for_slot(&self, exports: &Exported) -> Result<(), SendFailure> {
        if self.has_slot(exports) {
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

    /// A send-once right has left. If the link was buried meanwhile it died with
    /// the peer, and nobody but us can say so.
    pub(super) fn published_once(&self, slot: Slot) {
        let died = {
            let mut exports = self.exports_seen();
            let unused = exports.loaded(slot);
            if unused && exports.ended { exports.take_sink(slot) } else { None }
        };
        if let Some(sink) = died {
            let mut after = After::default();
            self.end_export(RightKind::SendOnce, sink, Notification::SendOnceDied, &mut after);
            after.run();
        }
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
        self.leads_elsewhere();
        Ok(self.released(&mut exports, slot, released, after))
    }

    /// A send right in a message that was not sent comes back.
    pub(super) fn withdraw(&self, slot: Slot, after: &mut After) -> Option<Sink> {
        let mut exports = lock(&self.exports);
        // Gone already where the link has ended meanwhile.
        let released = exports.rules.withdraw(slot).ok()?;
        self.leads_elsewhere();
        self.released(&mut exports, slot, released, after)
    }

    /// A send-once right in a message that was not sent comes back.
    pub(super) fn withdraw_once(&self, slot: Slot) {
        let sink = {
            let mut exports = lock(&self.exports);
            let _ = exports.rules.withdraw(slot);
            if exports.loaded(slot) { exports.take_sink(slot) } else { None }
        };
        self.reply_left(slot, sink.as_ref());
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
}
