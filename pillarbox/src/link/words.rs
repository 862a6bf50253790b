//! Words of the peer's about rights: releases, asks, looks, claims and their
//! answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::frame::{EVERY_SLOT, Header, Kind, Onward, PortStatus, back, flag, task_of};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, TaskId, Ticket};

use super::entry::Imported;
use super::turn::Turn;
use super::{Joined, Link};
use crate::message::{Message, Notification};
use crate::right::{SendRight, Sink};
use crate::wait::parking::lock;

impl Link {
    /// Frames about rights.
    pub(super) fn take_word(
        self: &Arc<Self>,
        header: &Header,
        body: &[u8],
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        match header.kind {
            Kind::Port
            | Kind::Out
            | Kind::Ended
            | Kind::Bag
            | Kind::Pulse
            | Kind::Part
            | Kind::Skip
            | Kind::Message
            | Kind::Welcome
            | Kind::Spilled
            | Kind::Spent
            | Kind::Memory
            | Kind::Unmap
            | Kind::Board => Err(Offence::FrameKind),
            Kind::Unmapped => self.take_unmapped(header, turn),
            Kind::Emptied => self.take_emptied(header.slot, header.tag, turn),
            Kind::Release => {
                if let Some(sink) = self.take_release(header.slot, header.tag, &mut turn.after)? {
                    turn.let_go_later(sink);
                }
                Ok(())
            }
            Kind::Dropped => {
                if let Some(sink) = self.take_once(header.slot)? {
                    let told = Message::notification_of(Notification::SendOnceDropped);
                    sink.arrive_once(told, &mut turn.after);
                    turn.let_go_later(sink);
                }
                Ok(())
            }
            Kind::Ask => {
                let sink = self.send_sink(header.slot)?;
                let Some(port) = sink.port() else { return Ok(()) };
                let full = port.ask(self, sink.id(), header, &mut turn.after);
                turn.let_go_later(sink);
                if full { self.say_full(header.slot, header.tag) } else { Ok(()) }
            }
            Kind::Return => {
                let sink = self.send_sink(header.slot)?;
                let stop = header.id == back::STOP;
                let back = match sink.port() {
                    None => Ok(()),
                    Some(port) if header.id == back::LOST => {
                        self.comes_never_again(port, header.tag, &mut turn.after);
                        Ok(())
                    }
                    Some(port) => {
                        port.hand_back(self, sink.id(), header.tag, stop, &mut turn.after)
                    }
                };
                turn.let_go_later(sink);
                back
            }
            Kind::Look => {
                self.take_look(header, turn);
                Ok(())
            }
            Kind::Give => self.take_give(header, task_of(body)?),
            Kind::GiveOn => self.take_give_on(header, &Onward::decode(body)?),
            Kind::TakeBack => self.take_take_back(header, task_of(body)?, turn),
            Kind::Claim => {
                let sent = abi::u64_at(body, TaskId::BYTES).unwrap_or(0);
                self.take_claim(header, task_of(body)?, sent, turn)
            }
            Kind::Joined => {
                let once = header.flags & flag::ONCE != 0;
                let have = abi::u64_at(body, TaskId::BYTES).unwrap_or(0);
                let key = (task_of(body)?, Ticket(header.tag));
                self.take_joined(key, header.slot, once, have, turn)
            }
            Kind::Refused => {
                let (_, join) = self
                    .claim_answered(task_of(body)?, Ticket(header.tag), &mut turn.after)
                    .ok_or(Offence::AnswerUnasked)?;
                turn.refuse(join);
                Ok(())
            }
            Kind::Status => {
                let sink = self.send_sink(header.slot)?;
                let header = Header { tag: header.tag, ..Header::new(Kind::StatusIs, header.slot) };
                let answer = match sink.port() {
                    Some(port) if sink.is_open() => port.status().encode().to_vec(),
                    _ => Vec::new(),
                };
                turn.let_go_later(sink);
                self.say_answer(header, &answer)
            }
            Kind::Watch => {
                let sink = self.send_sink(header.slot)?;
                if let Some(port) = sink.port() {
                    port.peer_watches_room(self, sink.id(), &mut turn.after);
                }
                turn.let_go_later(sink);
                Ok(())
            }
            Kind::Taken => {
                self.take_taken(header.slot);
                Ok(())
            }
            Kind::Room => {
                if let Some(entry) = self.entry_of(header.slot) {
                    entry.take_room(&mut turn.after);
                }
                Ok(())
            }
            Kind::StatusIs => {
                let cell = lock(&self.status).remove(&header.tag);
                // Who asked may have stopped waiting: then nobody hears it.
                if let Some(cell) = cell {
                    let answer = if body.is_empty() {
                        Err(crate::error::StatusError::Dead)
                    } else {
                        Ok(PortStatus::decode(body)?)
                    };
                    cell.answer(answer, &mut turn.after);
                }
                Ok(())
            }
        }
    }

    pub(super) fn send_sink(&self, slot: Slot) -> Result<Sink, Offence> {
        let exports = self.exports_seen();
        if exports.rules.get(slot)?.kind != RightKind::Send {
            return Err(Offence::RightKind);
        }
        exports.sink(slot).cloned().ok_or(Offence::NeverExported)
    }

    fn take_look(self: &Arc<Self>, header: &Header, turn: &mut Turn) {
        if header.slot.index == EVERY_SLOT {
            for entry in self.entries() {
                entry.look(&mut turn.after);
            }
            self.see_replies(&mut turn.after);
        } else {
            self.see_reply(header.slot, &mut turn.after);
            let entry =
                lock(&self.imports).get(&header.slot.index).and_then(Imported::held).cloned();
            if let Some(entry) = entry.filter(|entry| entry.slot == header.slot) {
                if header.id == 1 {
                    entry.refused.fetch_max(header.tag, Ordering::Relaxed);
                }
                entry.look(&mut turn.after);
            }
        }
        self.look_at_moved(&mut turn.after);
        if self.has_again() {
            turn.after.send_again(self);
        }
        self.wake_waiters(&mut turn.after);
        self.flush_backlog();
        self.task.look_at_bequests();
    }

    fn take_joined(
        self: &Arc<Self>,
        (giver, ticket): (TaskId, Ticket),
        slot: Slot,
        once: bool,
        have: u64,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let (kind, join) =
            self.claim_answered(giver, ticket, &mut turn.after).ok_or(Offence::AnswerUnasked)?;
        if once != (kind == RightKind::SendOnce) {
            turn.refuse(join);
            return Err(Offence::RightKind);
        }
        match kind {
            RightKind::Send => {
                let held = match self.learn(slot) {
                    Ok(held) => held,
                    Err(offence) => {
                        // Nobody will answer the claim again.
                        turn.refuse(join);
                        return Err(offence);
                    }
                };
                match join {
                    Some(join) => {
                        join.follow_joined(Joined::Send(held), have, &mut turn.after);
                        turn.after.let_join_go(join);
                    }
                    // The right was dropped meanwhile: it goes home at once.
                    None => turn.more().rights.push(SendRight::import(held)),
                }
            }
            RightKind::SendOnce => {
                self.hold_once();
                match join {
                    Some(join) => {
                        join.settle(Joined::Once(Arc::clone(self), slot), &mut turn.after);
                    }
                    None => {
                        self.let_go_once();
                        self.say_dropped(slot);
                    }
                }
            }
        }
        Ok(())
    }
}
