//! Sending many messages one after another.

use std::collections::VecDeque;

use super::{SendRight, Target};
use crate::deadline::Deadline;
use crate::error::{SendError, SendManyError};
use crate::message::Message;

/// Messages that are shown to their receiver together.
const RUN: usize = 32;

/// Messages that are sent next.
#[derive(Default)]
struct Run(VecDeque<Message>);

impl Run {
    /// Takes the next ones where there is none. False where there are no more.
    fn fill(&mut self, messages: &mut impl Iterator<Item = Message>) -> bool {
        if self.0.is_empty() {
            self.0.extend(messages.take(RUN));
        }
        !self.0.is_empty()
    }

    /// What is left where one could not be sent.
    fn left(self, sent: usize, error: SendError) -> SendManyError {
        let unsent = std::iter::once(*error.message).chain(self.0).collect();
        SendManyError { sent, reason: error.reason, unsent }
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
        let mut messages = messages.into_iter();
        let mut run = Run::default();
        let mut sent = 0;
        while run.fill(&mut messages) {
            sent += self.send_run(&mut run);
            let Some(message) = run.0.pop_front() else { continue };
            if let Err(error) = self.send(message, deadline) {
                return Err(run.left(sent, error));
            }
            sent += 1;
        }
        Ok(sent)
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
        let mut messages = messages.into_iter();
        let mut run = Run::default();
        let mut sent = 0;
        while run.fill(&mut messages) {
            sent += self.send_run(&mut run);
            let Some(message) = run.0.pop_front() else { continue };
            if let Err(error) = self.send_async(message).await {
                return Err(run.left(sent, error));
            }
            sent += 1;
        }
        Ok(sent)
    }

    /// Sends what goes the short way, together. Returns how many that were.
    fn send_run(&self, run: &mut Run) -> usize {
        let Target::Import(held) = &self.target else { return 0 };
        let sent = held.entry().link.send_run(held.entry(), run.0.make_contiguous());
        drop(run.0.drain(..sent));
        sent
    }
}
