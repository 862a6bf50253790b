//! A reader of a shared mailbox, and what it is handed.

use std::sync::Arc;

use abi::limits;

use super::{ABOUT, ATTACH, About, Attach, Attached, BACK, DONE, LEAVE};
use crate::deadline::Deadline;
use crate::error::{CallError, ReceiveError, ReplyError, SendFailure};
use crate::message::{Message, Sender};
use crate::port::{Capacity, ReceiveRight};
use crate::right::SendRight;
use crate::task::Task;

/// Why a reader was not attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The owner was not asked, or did not answer.
    #[error("the owner of the mailbox did not answer: {0}")]
    Call(#[from] CallError),
    /// The mailbox, or this task, has as many readers as it may.
    #[error("the mailbox has as many readers as it may")]
    TooMany,
    /// What came is no answer: the right does not lead to a shared mailbox.
    #[error("the answer makes no sense: the right leads to no shared mailbox")]
    BadAnswer,
    /// The right is the parent's of this process, or the owner is gone.
    #[error(transparent)]
    Unsent(#[from] SendFailure),
}

/// Why a message was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// The owner was not told. If it is there, the message goes back when this
    /// reader leaves.
    #[error("the owner of the mailbox was not told: {0}")]
    Unsent(SendFailure),
}

/// One reader of a shared mailbox.
///
/// Dropping it leaves the mailbox: what it was handed and did not acknowledge goes
/// to others.
#[derive(Debug)]
pub struct SharedReader {
    right: Arc<SendRight>,
    inbox: ReceiveRight,
    number: u64,
    about: Option<About>,
    ended: bool,
}

impl SharedReader {
    /// Attaches to the mailbox that `right` leads to. The owner hands out at most
    /// `prefetch` messages more than were acknowledged: at least 1, at most
    /// [`limits::SHARED_PREFETCH`].
    ///
    /// # Rights
    /// Consumes the reader right; clone it to attach again.
    ///
    /// # Errors
    /// See [`AttachError`].
    ///
    /// # Blocking
    /// Waits until `deadline` for the owner, who answers when it serves.
    pub fn attach(
        task: &Task,
        right: SendRight,
        prefetch: u32,
        deadline: Deadline,
    ) -> Result<Self, AttachError> {
        let prefetch = prefetch.clamp(1, limits::SHARED_PREFETCH);
        // Two messages for each, and the news that it is over.
        let inbox = task.port(Capacity::Bounded(2 * prefetch));
        let body = postcard::to_stdvec(&Attach { prefetch }).map_err(|_| AttachError::BadAnswer)?;
        right.notify_dead(inbox.make_send_once()?)?;
        let request = Message::new(body).with_id(ATTACH).with_right(inbox.make_send()?);
        let answer = right.call(request, deadline)?;
        match postcard::from_bytes(answer.body()) {
            Ok(Attached::As(number)) => {
                let right = Arc::new(right);
                Ok(SharedReader { right, inbox, number, about: None, ended: false })
            }
            Ok(Attached::TooMany) => Err(AttachError::TooMany),
            Err(_) => Err(AttachError::BadAnswer),
        }
    }

    /// Takes what is handed out next.
    ///
    /// # Errors
    /// [`ReceiveError::Deadline`], [`ReceiveError::Forked`]. `Ok(None)` where the
    /// mailbox is gone, the reader right was revoked, or the owner makes no sense:
    /// nothing comes any more.
    ///
    /// # Blocking
    /// Waits until `deadline`.
    pub fn receive(&mut self, deadline: Deadline) -> Result<Option<Delivery>, ReceiveError> {
        while !self.ended {
            let message = self.inbox.receive(deadline)?;
            let Some(about) = self.about.take() else {
                self.about = match postcard::from_bytes(message.body()) {
                    Ok(about) if message.id() == ABOUT => Some(about),
                    _ => None,
                };
                self.ended = self.about.is_none();
                continue;
            };
            if message.is_own_notification() {
                self.ended = true;
                break;
            }
            let right = Arc::clone(&self.right);
            return Ok(Some(Delivery { right, about, message, is_over: false }));
        }
        Ok(None)
    }
}

impl Drop for SharedReader {
    fn drop(&mut self) {
        // Behind what was acknowledged before. Where it cannot be said, the end of
        // the inbox says it.
        let _ = self.right.pulse(LEAVE, self.number, 0);
    }
}

/// A message that was handed out to a reader.
///
/// Dropped without being acknowledged or answered it goes back, to the front.
#[derive(Debug)]
#[must_use = "a delivery that is dropped goes back"]
pub struct Delivery {
    right: Arc<SendRight>,
    about: About,
    message: Message,
    is_over: bool,
}

impl Delivery {
    /// The message. Its [`Message::sender`] is the owner of the mailbox.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message, to take rights and descriptors out of it.
    pub fn message_mut(&mut self) -> &mut Message {
        &mut self.message
    }

    /// How often it was handed out before: then it may have been worked on, by one
    /// that died or gave it back.
    pub fn redelivered(&self) -> u32 {
        self.about.times
    }

    /// Who sent it to the mailbox: the word of the mailbox's owner, with the pid as
    /// the owner sees it.
    pub fn origin(&self) -> Option<Sender> {
        self.about.sender()
    }

    /// The badge it came with: the word of the mailbox's owner.
    pub fn badge(&self) -> Option<u64> {
        self.about.badge
    }

    /// It is done: no other reader gets it. A caller that waits for an answer is
    /// told that there is none; [`Delivery::reply`] gives one.
    ///
    /// # Errors
    /// [`AcknowledgeError::Unsent`].
    ///
    /// # Blocking
    /// Mostly never; where the way to the owner is full, until `deadline`.
    pub fn acknowledge(mut self, deadline: Deadline) -> Result<(), AcknowledgeError> {
        self.is_over = true;
        let number = self.about.number;
        if self.right.pulse(DONE, number, 0).is_ok() {
            return Ok(());
        }
        let word = Message::new(Vec::new()).with_id(DONE).with_tag(number);
        self.right.send(word, deadline).map_err(|error| AcknowledgeError::Unsent(error.reason))
    }

    /// Answers its sender, which acknowledges it too. The owner forwards the answer.
    ///
    /// # Errors
    /// As [`Message::reply`]; then it goes back.
    ///
    /// # Blocking
    /// As [`Message::reply`].
    pub fn reply(mut self, answer: Message, deadline: Deadline) -> Result<(), ReplyError> {
        self.message.reply(answer, deadline)?;
        self.is_over = true;
        Ok(())
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.is_over {
            let number = self.about.number;
            if self.right.pulse(BACK, number, 0).is_err() {
                let word = Message::new(Vec::new()).with_id(BACK).with_tag(number);
                // Else it goes back when this reader leaves.
                let _ = self.right.send(word, Deadline::Now);
            }
        }
    }
}
