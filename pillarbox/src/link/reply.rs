//! Reply rights on a link: what callers still want, and parts of answers.

use std::collections::HashMap;

use abi::board::Life;
use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, limits};
use rights::reply::{Gone, ReplyState};

use super::{End, Link, Turn};
use crate::call::{News, PartError, ReplyCell, Watch};
use crate::error::SendFailure;
use crate::port::After;
use crate::right::{SendOnceRight, Sink};
use crate::wait::parking::lock;

/// Who is to be told of which reply right of the peer's.
pub(crate) type Watches = HashMap<Slot, Watch>;

impl Link {
    // ---- as the caller -------------------------------------------------------

    /// A reply right to `cell` has just got this slot. Under the lock of the
    /// exports. A caller that simply waits needs no word on the board.
    pub(super) fn reply_joined(&self, slot: Slot, cell: &ReplyCell) {
        let (state, room) = cell.joined(self.number, slot);
        if state != ReplyState::Wanted || room > 0 {
            let life = Life { generation: slot.generation, state: state.on_board() };
            // The room first: who sees this life of the slot also sees its room.
            self.own.set_grant(slot.index, room);
            self.own.set_life(slot.index, life);
        }
    }

    /// A slot of a reply right has ended and its promise goes on.
    pub(super) fn reply_left(&self, slot: Slot, sink: Option<&Sink>) {
        if let Some(Sink::Reply(cell)) = sink {
            cell.left(self.number, slot);
        }
    }

    /// The caller wants something else than before: writes it where the holder
    /// sees it, and tells it to look.
    pub(crate) fn show_reply(&self, slot: Slot, cell: &ReplyCell) {
        {
            let exports = lock(&self.exports);
            let leads_here = exports.rules.is_held(slot)
                && matches!(exports.sink(slot), Some(Sink::Reply(sink)) if std::ptr::eq(&**sink, cell));
            if !leads_here {
                return;
            }
            let state = cell.state().on_board();
            self.own.set_life(slot.index, Life { generation: slot.generation, state });
            self.own.bump_change();
        }
        self.say_look(slot);
    }

    /// A part of an answer has come.
    pub(super) fn take_part(
        &self,
        header: &Header,
        bytes: &[u8],
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let sink = {
            let exports = self.exports_seen();
            let export = exports.rules.get(header.slot)?;
            if export.kind != RightKind::SendOnce {
                return Err(Offence::RightKind);
            }
            // Robbed of it by one who guessed the ticket: late, and nobody's
            // offence.
            if export.given {
                return Ok(());
            }
            exports.sink(header.slot).cloned().ok_or(Offence::NeverExported)?
        };
        let placed = match &sink {
            Sink::Reply(cell) => cell.part(header.tag, bytes),
            Sink::Port(_) | Sink::Facet(_) => Err(Offence::PartBeyondRoom),
        };
        turn.let_go_later(sink);
        placed
    }

    // ---- as the holder -------------------------------------------------------

    /// What the caller wants, as its board says.
    pub(crate) fn reply_state(&self, slot: Slot) -> ReplyState {
        if self.is_dead() {
            return ReplyState::Gone(Gone::Died);
        }
        match self.peer.life(slot.index) {
            Some(life) if life.generation == slot.generation => ReplyState::of_board(life.state),
            // Nothing was written in this life of the slot.
            _ => ReplyState::Wanted,
        }
    }

    /// The room the caller has declared for parts.
    pub(crate) fn reply_room(&self, slot: Slot) -> u64 {
        let life = self.peer.life(slot.index);
        if life.is_none_or(|life| life.generation != slot.generation) {
            return 0;
        }
        self.peer.grant(slot.index).unwrap_or(0)
    }

    /// Why nothing may be sent on a send-once right any more.
    pub(super) fn refuses(&self, slot: Slot) -> Option<SendFailure> {
        match self.reply_state(slot) {
            ReplyState::Gone(Gone::Died) => Some(SendFailure::Dead),
            ReplyState::Gone(why) => Some(SendFailure::Withdrawn(why)),
            _ => None,
        }
    }

    pub(crate) fn watch_reply(&self, slot: Slot, news: News, to: SendOnceRight, after: &mut After) {
        let mut watches = lock(&self.reply_watches);
        watches.entry(slot).or_default().set(news, to, after);
        drop(watches);
        // Noted first, then looked: what changes later is told by a look.
        self.see_reply(slot, after);
    }

    /// What was asked for before the owner was known.
    pub(super) fn adopt_watch(&self, slot: Slot, watch: Watch, after: &mut After) {
        if !watch.is_empty() {
            lock(&self.reply_watches).insert(slot, watch);
            self.see_reply(slot, after);
        }
    }

    pub(crate) fn unwatch_reply(&self, slot: Slot, after: &mut After) {
        if let Some(watch) = lock(&self.reply_watches).remove(&slot) {
            watch.let_go(after);
        }
    }

    /// Reads the slot and tells who asked.
    pub(super) fn see_reply(&self, slot: Slot, after: &mut After) {
        let mut watches = lock(&self.reply_watches);
        if let Some(watch) = watches.get_mut(&slot) {
            watch.see(self.reply_state(slot), after);
            if watch.is_empty() {
                watches.remove(&slot);
            }
        }
    }

    /// As [`Link::see_reply`], for every slot.
    pub(super) fn see_replies(&self, after: &mut After) {
        lock(&self.reply_watches).retain(|slot, watch| {
            watch.see(self.reply_state(*slot), after);
            !watch.is_empty()
        });
    }

    /// Writes a part of the answer, in as many frames as it takes, behind the
    /// `written` bytes of it that were written before. `None` where it must wait:
    /// then those who wait at the link are told of room.
    pub(crate) fn write_part_now(
        &self,
        slot: Slot,
        offset: u64,
        bytes: &[u8],
        written: &mut usize,
        state: impl Fn() -> ReplyState,
    ) -> Option<Result<(), PartError>> {
        let may = || match state() {
            ReplyState::Gone(why) => Err(SendFailure::Withdrawn(why)),
            _ => Ok(()),
        };
        while let Some(left) = bytes.get(*written..).filter(|left| !left.is_empty()) {
            let piece = left.get(..limits::INLINE_BYTES).unwrap_or(left);
            let header = Header {
                length: (HEADER_BYTES + piece.len()) as u32,
                tag: offset + *written as u64,
                ..Header::new(Kind::Part, slot)
            };
            let published = self.publish_now(&header, piece, limits::LANE_RESERVE, may, || true)?;
            if let Err(failure) = published {
                return Some(Err(match failure {
                    SendFailure::Withdrawn(why) => PartError::Gone(why),
                    SendFailure::Fault(offence) => PartError::Fault(offence),
                    SendFailure::Forked => PartError::Forked,
                    _ => match self.end() {
                        Some(End::Fault(offence)) => PartError::Fault(offence),
                        _ => PartError::Gone(Gone::Died),
                    },
                }));
            }
            *written += piece.len();
        }
        Some(Ok(()))
    }
}
