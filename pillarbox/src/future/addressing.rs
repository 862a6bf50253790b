//! Sending to a task without a right it gave.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::sending::Sending;
use super::standing::Standing;
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::inbox::{SendToError, SendToFailure, inbox_answer, unsent};
use crate::link::{Join, Link};
use crate::message::Message;
use crate::peer::Peer;
use crate::right::SendRight;
use crate::task::Task;

/// How far a message to an inbox has come.
#[derive(Debug)]
enum Stage {
    New(Box<Message>),
    /// The task is asked for its inbox.
    Asking(Box<Message>, Arc<Link>, Arc<Join>),
    Sending(Box<Sending>, Arc<Link>, SendRight),
    Done,
}

/// What [`Task::send_to_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct SendToFuture<'a> {
    task: &'a Arc<TaskCore>,
    peer: &'a Peer,
    standing: Standing,
    stage: Stage,
    /// An inbox that was asked for before was closed meanwhile.
    again: bool,
}

impl SendToFuture<'_> {
    /// Goes on until it must wait.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), (SendToFailure, Box<Message>)>> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::New(message) => {
                    let link = self.task.link_with(self.peer.task());
                    let Some(link) = link.filter(|link| !link.is_dead()) else {
                        return Poll::Ready(Err((SendToFailure::Gone, message)));
                    };
                    let kept = link.peer_core().inbox().filter(|right| !right.is_dead());
                    self.stage = match kept {
                        Some(right) => {
                            Stage::Sending(Box::new(Sending::new(*message)), link, right)
                        }
                        None => {
                            let join = self.task.begin_inbox(&link);
                            Stage::Asking(message, link, join)
                        }
                    };
                }
                Stage::Asking(message, link, join) => {
                    if self.standing.poll(self.task, cx, |waiter| join.stand(waiter)).is_pending() {
                        join.be_patient();
                        self.stage = Stage::Asking(message, link, join);
                        return Poll::Pending;
                    }
                    match inbox_answer(&link, join) {
                        Ok(right) => {
                            let sending = Box::new(Sending::new(*message));
                            self.stage = Stage::Sending(sending, link, right);
                        }
                        Err(reason) => return Poll::Ready(Err((reason, message))),
                    }
                }
                Stage::Sending(mut sending, link, right) => match sending.poll(&right, cx) {
                    Poll::Pending => {
                        self.stage = Stage::Sending(sending, link, right);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(error)) => match unsent(error.reason, &link, self.again) {
                        Some(reason) => return Poll::Ready(Err((reason, error.message))),
                        None => {
                            self.again = true;
                            self.stage = Stage::New(error.message);
                        }
                    },
                },
                Stage::Done => return Poll::Pending,
            }
        }
    }
}

impl Future for SendToFuture<'_> {
    type Output = Result<(), SendToError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.task.check().is_err() && !matches!(self.stage, Stage::Sending(..)) {
            let (Stage::New(message) | Stage::Asking(message, ..)) =
                std::mem::replace(&mut self.stage, Stage::Done)
            else {
                return Poll::Pending;
            };
            let reason = SendToFailure::Unsent(SendFailure::Forked);
            return Poll::Ready(Err(SendToError { reason, message }));
        }
        let sent = ready!(self.advance(cx));
        Poll::Ready(sent.map_err(|(reason, message)| SendToError { reason, message }))
    }
}

impl Drop for SendToFuture<'_> {
    fn drop(&mut self) {
        // What is being sent sees to itself.
        if let Stage::Asking(_, _, join) = &self.stage
            && self.task.check().is_ok()
        {
            join.forget(self.standing.waiter());
        }
    }
}

impl Task {
    /// Sends `message` to the inbox of a task that this one is linked with, as
    /// [`Task::send_to`] does, without a thread that waits.
    ///
    /// # Rights
    /// As [`SendRight::send_async`].
    ///
    /// # Errors
    /// On any error nothing was sent and the message comes back whole. See
    /// [`SendToFailure`]; `Unanswered` is none of them.
    ///
    /// # Blocking
    /// Never. It has no deadline. A task that dies ends the wait.
    ///
    /// # Cancel safety
    /// The message is accepted in the poll that returns `Ok`. Dropped before that
    /// nothing was sent: the message is dropped with the future.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Message, Task};
    ///
    /// /// Tells whoever sent `request` something it has not asked for.
    /// async fn tell(task: &Task, request: &Message, news: &str) -> Result<(), std::io::Error> {
    ///     let Some(peer) = request.peer() else { return Ok(()) };
    ///     let sent = task.send_to_async(&peer, Message::new(news)).await;
    ///     sent.map_err(std::io::Error::other)
    /// }
    /// # let _ = tell;
    /// ```
    pub fn send_to_async<'a>(&'a self, peer: &'a Peer, message: Message) -> SendToFuture<'a> {
        SendToFuture {
            task: &self.core,
            peer,
            standing: Standing::default(),
            stage: Stage::New(Box::new(message)),
            again: false,
        }
    }
}
