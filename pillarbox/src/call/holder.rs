//! What the holder of a reply right sees, and may do before it answers.

use std::sync::Arc;

use abi::{Offence, Slot, TaskId};
use rights::reply::{Gone, ReplyState};

use super::{CallNote, News};
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::link::{Joined, Link};
use crate::message::{Message, Notification};
use crate::port::After;
use crate::right::{Once, SendOnceRight, Sink};

/// Why a part of an answer was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// The caller has declared no room for parts.
    #[error("the caller has declared no room for parts of the answer")]
    NoRoom,
    /// The part would end beyond the room. Nothing of it was written.
    #[error("the part ends beyond the {room} bytes the caller has declared")]
    BeyondRoom {
        /// Bytes the caller has declared.
        room: u64,
    },
    /// Nobody waits for the answer any more, and why.
    #[error("the answer is not wanted any more: {0}")]
    Gone(Gone),
    /// No room in the lane before the deadline.
    #[error("the lane is full; the first {written} bytes of the part were written")]
    Full {
        /// Bytes of the part that were written. The rest may be written later.
        written: usize,
    },
    /// The caller broke the protocol, and how.
    #[error("the caller broke the protocol: {0}")]
    Fault(Offence),
    /// The right was given to us by another task and its owner has not confirmed
    /// it before the deadline.
    #[error("the owner of the right, task {0}, has not confirmed it in time")]
    NotJoined(TaskId),
    /// The right belongs to the process this one was forked from.
    #[error("the right belongs to the parent of this process")]
    Forked,
}

impl SendOnceRight {
    /// Whether an answer is wanted. The caller writes it into its own memory,
    /// which we read: it is the truth of this moment.
    ///
    /// Of a right given to us by another task and not yet confirmed by its owner
    /// nothing is known: it is said to be wanted. So is any right that goes to a
    /// port, while its task lives. One held by a membrane that was revoked is of
    /// no use: nobody waits for it.
    pub fn state(&self) -> ReplyState {
        const DIED: ReplyState = ReplyState::Gone(Gone::Died);
        if self.task().is_none_or(|task| task.check().is_err()) {
            return DIED;
        }
        if self.within().is_some_and(|within| within.iter().any(|membrane| membrane.is_revoked())) {
            return DIED;
        }
        match self.target() {
            Some(Once::Own(Sink::Reply(cell))) => cell.state(),
            Some(Once::Own(sink @ (Sink::Port(_) | Sink::Facet(_)))) if sink.is_open() => {
                ReplyState::Wanted
            }
            Some(Once::Import(link, slot)) => link.reply_state(*slot),
            Some(Once::Joining(join)) => match join.result() {
                None => ReplyState::Wanted,
                Some(Joined::Once(link, slot)) => link.reply_state(*slot),
                Some(_) => DIED,
            },
            Some(Once::Own(Sink::Port(_) | Sink::Facet(_)) | Once::Dead(_)) | None => DIED,
        }
    }

    /// Bytes of the answer that may be written in parts, as the caller has
    /// declared with [`Message::with_reply_room`].
    pub fn reply_room(&self) -> u64 {
        if self.task().is_none_or(|task| task.check().is_err()) {
            return 0;
        }
        match self.target() {
            Some(Once::Own(Sink::Reply(cell))) => cell.room(),
            Some(Once::Import(link, slot)) => link.reply_room(*slot),
            Some(Once::Joining(join)) => match join.result() {
                Some(Joined::Once(link, slot)) => link.reply_room(*slot),
                Some(_) | None => 0,
            },
            Some(Once::Own(Sink::Port(_) | Sink::Facet(_)) | Once::Dead(_)) | None => 0,
        }
    }

    /// Tells `to`, with [`Notification::Withdrawn`], when the caller asks for an
    /// end or waits no longer; at once where that is so already. Replaces an
    /// earlier request, whose right is dropped.
    ///
    /// # Rights
    /// Consumes `to`. It ends in that notification, or is dropped when this
    /// right is used or given on.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn notify_withdrawn(&mut self, to: SendOnceRight) -> Result<(), SendFailure> {
        self.watch(News::Withdrawn, to)
    }

    /// Tells `to`, with [`Notification::Unwanted`], when nobody waits for the
    /// answer any more: the caller has withdrawn its request, its deadline has
    /// passed, or it is gone. At once where that is so already. Replaces an
    /// earlier request, whose right is dropped.
    ///
    /// # Rights
    /// As [`SendOnceRight::notify_withdrawn`].
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn notify_unwanted(&mut self, to: SendOnceRight) -> Result<(), SendFailure> {
        self.watch(News::Unwanted, to)
    }

    fn watch(&mut self, news: News, to: SendOnceRight) -> Result<(), SendFailure> {
        if self.task().is_none_or(|task| task.check().is_err()) {
            return Err(SendFailure::Forked);
        }
        let mut after = After::default();
        match self.settle() {
            Some(Once::Own(Sink::Reply(cell))) => cell.watch(news, to, &mut after),
            // Nobody withdraws what was asked without a call.
            Some(Once::Own(sink @ (Sink::Port(_) | Sink::Facet(_)))) if sink.is_open() => {
                self.watch_here().set(news, to, &mut after);
            }
            Some(Once::Import(link, slot)) => link.watch_reply(*slot, news, to, &mut after),
            Some(Once::Joining(join)) => join.watch_reply(news, to, &mut after),
            Some(Once::Own(Sink::Port(_) | Sink::Facet(_)) | Once::Dead(_)) | None => {
                after.fire(to, told(news))
            }
        }
        let _ = self.watch_here();
        after.run();
        Ok(())
    }

    /// The right is used, or goes elsewhere: nobody is to be told any more.
    pub(crate) fn unwatch(&mut self) {
        let Some(kept) = self.take_watch() else { return };
        let mut after = After::default();
        kept.let_go(&mut after);
        match self.settle() {
            Some(Once::Own(Sink::Reply(cell))) => cell.unwatch(&mut after),
            Some(Once::Import(link, slot)) => link.unwatch_reply(*slot, &mut after),
            Some(Once::Joining(join)) => join.unwatch_reply(&mut after),
            Some(Once::Own(Sink::Port(_) | Sink::Facet(_)) | Once::Dead(_)) | None => {}
        }
        after.run();
    }

    /// Writes `bytes` of the answer at `offset`, while the caller waits.
    ///
    /// The caller places them itself, in the room it has declared with
    /// [`Message::with_reply_room`]. Parts may come in any order and cover each
    /// other; they are seen with the answer and not before. The body of the
    /// answer is everything up to the end of the furthest part, with zeros where
    /// nothing was written, and behind it the body of the message the right is
    /// used for. Parts written before a right was given on count as the next
    /// holder's do.
    ///
    /// # Rights
    /// Borrows the right, which is still to be used.
    ///
    /// # Errors
    /// See [`PartError`].
    ///
    /// # Blocking
    /// Waits for room in the lane until `deadline`: the caller has to read what
    /// was written before. Long parts go in pieces.
    pub fn write_at(
        &mut self,
        offset: u64,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), PartError> {
        if self.task().is_none_or(|task| task.check().is_err()) {
            return Err(PartError::Forked);
        }
        if let Some(join) = self.joining_to() {
            join.wait(deadline).map_err(|_| PartError::NotJoined(join.owner))?;
        }
        match self.begin_part(offset, bytes)? {
            None => Ok(()),
            Some((link, slot)) => {
                let mut written = 0;
                let (_, done) = shm::jump::held(link, drop, |link| {
                    link.wait_at(deadline, || {
                        link.write_part_now(slot, offset, bytes, &mut written, || self.state())
                    })
                });
                done.unwrap_or(Err(PartError::Full { written }))
            }
        }
    }

    /// Sees whether a part may be written; one to a caller of our own task is
    /// placed at once. Returns where else it goes.
    pub(crate) fn begin_part(
        &mut self,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Option<(Arc<Link>, Slot)>, PartError> {
        let _ = self.settle();
        if let ReplyState::Gone(why) = self.state() {
            return Err(PartError::Gone(why));
        }
        let room = self.reply_room();
        if room == 0 {
            return Err(PartError::NoRoom);
        }
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > room) {
            return Err(PartError::BeyondRoom { room });
        }
        match self.target() {
            Some(Once::Own(Sink::Reply(cell))) => {
                cell.part(offset, bytes).map_err(|_| PartError::BeyondRoom { room })?;
                Ok(None)
            }
            Some(Once::Import(link, slot)) => Ok(Some((Arc::clone(link), *slot))),
            Some(Once::Joining(join)) => Err(PartError::NotJoined(join.owner)),
            Some(Once::Own(Sink::Port(_) | Sink::Facet(_)) | Once::Dead(_)) | None => {
                Err(PartError::NoRoom)
            }
        }
    }
}

const fn told(news: News) -> Notification {
    match news {
        News::Withdrawn => Notification::Withdrawn,
        News::Unwanted => Notification::Unwanted,
    }
}

impl Message {
    /// The same message, declaring that parts of its answer, up to `bytes`, may
    /// be written before the answer is complete: see
    /// [`SendOnceRight::write_at`]. The room is this task's memory, used as the
    /// parts come. It counts for a message that is sent by
    /// [`SendRight::call`](crate::SendRight::call) or one of its kind.
    #[must_use]
    pub fn with_reply_room(mut self, bytes: u64) -> Self {
        self.put_note(CallNote::Room(bytes));
        self
    }

    pub(crate) fn room(&self) -> u64 {
        match self.note() {
            Some(CallNote::Room(bytes)) => bytes,
            Some(CallNote::Completion(_)) | None => 0,
        }
    }

    /// Copies bytes of the body from `offset` on into `buffer`. Returns how many
    /// there were: fewer than asked for at the end of the body, and none behind
    /// it. Long bodies are read where they lie.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let from = usize::try_from(offset).ok().and_then(|at| self.body().get(at..));
        let from = from.unwrap_or_default();
        let count = from.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        count
    }

    /// The reply right, where the sender wants an answer: to see with
    /// [`SendOnceRight::state`] whether it still does. It stays the message's.
    ///
    /// # Rights
    /// Borrows it.
    pub const fn reply_right(&self) -> Option<&SendOnceRight> {
        self.reply.as_ref()
    }

    /// The reply right, to write with it or to be told. It stays the message's.
    ///
    /// # Rights
    /// Borrows it.
    pub const fn reply_right_mut(&mut self) -> Option<&mut SendOnceRight> {
        self.reply.as_mut()
    }

    /// The number the caller gave to
    /// [`SendRight::start_call_to`](crate::SendRight::start_call_to), where this
    /// message is what became of that call.
    pub fn completion(&self) -> Option<u64> {
        match self.note() {
            Some(CallNote::Completion(number)) => Some(number),
            Some(CallNote::Room(_)) | None => None,
        }
    }
}
