//! Sending many messages one after another.

use std::collections::VecDeque;

use super::{SendRight, Target};
use crate::deadline::Deadline;
use crate::error::{SendError, SendManyError};
use crate::message::Message;

/// Messages that are shown to their receiver together.
const RUN: usize = 32;

/// Messages that are sent next, and how many were.
#[derive(Default)]
struct Run {
    next: VecDeque<Message>,
    sent: usize,
}

impl Run {
    /// Sends what goes the short way, together, up to one that does not: that is to be
    /// sent by itself. `None` where there are no more.
    fn go_on(
        &mut self,
        right: &SendRight,
        messages: &mut impl Iterator<Item = Message>,
    ) -> Option<Message> {
        loop {
            if self.next.is_empty() {
                self.next.extend(messages.take(RUN));
            }
            if let Target::Import(held) = &right.target {
                let link = &held.entry().link;
                let sent = link.send_run(held.entry(), self.next.make_contiguous());
                drop(self.next.drain(..sent));
                self.sent += sent;
                if sent > 0 && self.next.is_empty() {
                    continue;
                }
            }
            return self.next.pop_front();
        }
    }

    /// What is left where one could not be sent.
    fn left(self, error: SendError) -> SendManyError {
        let unsent = std::iter::once(*error.message).chain(self.next).collect();
        SendManyError { sent: self.sent, reason: error.reason, unsent }
    }
}

impl SendRight {
    /// Sends what `messages` yields, one after another, until there is no more or one
    /// could not be sent. Returns how many there were.
    ///
    /// The same as so many [`SendRight::send`]s, and cheaper: up to 32 messages that are
    /// a body and nothing else are shown to their receiver together, and it is woken
    /// once for them. So many are taken out of `messages` before the first is sent.
    ///
    /// # Rights
    /// As [`SendRight::send`], for each of them.
    ///
    /// # Errors
    /// [`SendManyError`] tells how many were sent, in order, and brings back the one
    /// that was not, and those behind it that had been taken out of `messages`.
    ///
    /// # Blocking
    /// Waits for room until `deadline`, which is one for all of them. Before it says that
    /// a port is full it asks its owner, as [`SendRight::send`] does.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(2));
    /// let post = inbox.make_send()?;
    /// let letters = ["one", "two", "three"].map(Message::new);
    /// let error = post.send_many(letters, Deadline::Now).unwrap_err();
    /// assert_eq!((error.sent, error.unsent[0].body()), (2, &b"three"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many(
        &self,
        messages: impl IntoIterator<Item = Message>,
        deadline: Deadline,
    ) -> Result<usize, SendManyError> {
        let (mut messages, mut run) = (messages.into_iter(), Run::default());
        while let Some(message) = run.go_on(self, &mut messages) {
            match self.send(message, deadline) {
                Ok(()) => run.sent += 1,
                Err(error) => return Err(run.left(error)),
            }
        }
        Ok(run.sent)
    }

    /// The same without a thread that waits.
    ///
    /// # Rights
    /// As [`SendRight::send_many`].
    ///
    /// # Errors
    /// As [`SendRight::send_many`].
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, an unknown number of messages was sent, in order;
    /// the others are dropped.
    pub async fn send_many_async(
        &self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<usize, SendManyError> {
        let (mut messages, mut run) = (messages.into_iter(), Run::default());
        while let Some(message) = run.go_on(self, &mut messages) {
            match self.send_async(message).await {
                Ok(()) => run.sent += 1,
                Err(error) => return Err(run.left(error)),
            }
        }
        Ok(run.sent)
    }
}
