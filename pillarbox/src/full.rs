//! What else may be done about a full port: leaving one message with its owner,
//! and being told of room.

use crate::deadline::Deadline;
use crate::error::{LeaveError, NotifyError, SendFailure};
use crate::membrane::Passed;
use crate::message::{Message, Notification};
use crate::port::After;
use crate::right::{SendOnceRight, SendRight, Settled, WORD};

/// What became of a message that was to be left.
#[derive(Debug)]
#[must_use = "an unused right speaks when it is dropped"]
pub enum Left {
    /// There was room: it was sent. Here is the right to be told on, unused.
    Sent(SendOnceRight),
    /// It waits with the owner of the port.
    Waiting,
}

impl SendRight {
    /// Sends `message` if a place is free, and leaves it with the owner of the port
    /// otherwise: the fourth answer to a full port, beside waiting for ever, until
    /// a deadline, and not at all.
    ///
    /// A left message waits beside the queue, before all who ask for a place, and
    /// reaches its receiver even if this task dies. When it is taken from the
    /// queue, `accepted` is told [`Notification::MessageAccepted`]; where the port
    /// ends first, that it was dropped. A task may leave one message with a port;
    /// the next when that has been taken.
    ///
    /// # Rights
    /// Gives away every right in the message, and `accepted` where the message is
    /// left. Where it was sent, `accepted` comes back in [`Left::Sent`].
    ///
    /// # Errors
    /// On any error nothing was sent, and both come back. See [`SendFailure`]:
    /// [`SendFailure::NotifyPending`] where a message is left there already,
    /// [`SendFailure::Full`] where even the lane to the owner is full.
    ///
    /// # Blocking
    /// As [`SendRight::send`] with [`Deadline::Now`]: at most 50 ms for the owner's
    /// word, and as long for room in the lane.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Left, Message, Notification, Task};
    /// let task = Task::current()?;
    /// let (small, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Unbounded));
    /// let post = small.make_send()?;
    /// let Left::Sent(unused) = post.leave(Message::new("one"), news.make_send_once()?)? else {
    ///     panic!("there was room");
    /// };
    /// assert!(matches!(post.leave(Message::new("two"), unused)?, Left::Waiting));
    /// assert_eq!(small.receive(Deadline::Now)?.body(), b"one");
    /// assert_eq!(small.receive(Deadline::Now)?.body(), b"two");
    /// let told = news.receive(Deadline::Now)?;
    /// assert_eq!(told.notification(), Some(Notification::MessageAccepted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn leave(&self, message: Message, accepted: SendOnceRight) -> Result<Left, LeaveError> {
        let mut message = message;
        match Passed::on(self, &mut message) {
            Ok(passed) => passed.right(self).leave_out(message, accepted).map_err(|mut error| {
                passed.come_back(&mut error.message);
                error
            }),
            Err(reason) => {
                let message = Box::new(message);
                Err(LeaveError { reason, message, accepted: Some(accepted) })
            }
        }
    }

    /// Leaves what has passed the membranes.
    fn leave_out(&self, message: Message, accepted: SendOnceRight) -> Result<Left, LeaveError> {
        let (mut message, mut accepted) = (Box::new(message), Some(accepted));
        if let Err(reason) = message.check_limits(self.task()) {
            return Err(LeaveError { reason, message, accepted });
        }
        loop {
            if let Settled::Joining(join) = self.settled()
                && let Err(reason) = join.wait(Deadline::after(WORD))
            {
                return Err(LeaveError { reason, message, accepted });
            }
            let settled = self.settled();
            if matches!(settled, Settled::Joining(_)) {
                // Its port went on while we waited: so does the right.
                continue;
            }
            let Some(to) = accepted.take() else {
                return Err(LeaveError { reason: SendFailure::Dead, message, accepted });
            };
            let left = match &settled {
                Settled::Own(port) => port.leave_own(None, *message, to),
                Settled::Facet(facet) => facet.port.leave_own(Some(facet.id), *message, to),
                Settled::Import(entry) => entry.leave(*message, to),
                Settled::Joining(join) => {
                    let reason = SendFailure::NotJoined(join.owner);
                    return Err(LeaveError { reason, message, accepted: Some(to) });
                }
                Settled::Dead => {
                    let reason = SendFailure::Dead;
                    return Err(LeaveError { reason, message, accepted: Some(to) });
                }
            };
            match left {
                Ok(left) => return Ok(left),
                // The port went to another task meanwhile: the right goes after it.
                Err(error) if error.reason == SendFailure::Dead && settled.follows() => {
                    (message, accepted) = (error.message, error.accepted);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells `to`, with [`Notification::SendPossible`], when the port has room for
    /// a message of this task; at once where it has. Where the port ends first,
    /// with [`Notification::DeadName`].
    ///
    /// It is told once and reserves nothing: another sender may be faster. A task
    /// has one such request for each right it was given; a new one replaces it,
    /// and the right of the earlier is dropped. It is taken back as any request:
    /// with [`Armed::cancel`](crate::Armed::cancel), where `to` was made by
    /// [`ReceiveRight::make_news`](crate::ReceiveRight::make_news).
    ///
    /// # Rights
    /// Consumes `to`.
    ///
    /// # Errors
    /// The right comes back in the error: [`SendFailure::Forked`] in a forked
    /// child, [`SendFailure::NotJoined`] where the owner of this right has not
    /// confirmed it.
    ///
    /// # Blocking
    /// Never, but for a right that its owner has not confirmed yet: 50 ms.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Notification, Task};
    /// let task = Task::current()?;
    /// let (small, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Unbounded));
    /// let post = small.make_send()?;
    /// post.send(Message::new("the only one"), Deadline::Now)?;
    /// post.notify_room(news.make_send_once()?)?;
    /// assert!(news.receive(Deadline::Now).is_err());
    /// small.receive(Deadline::Now)?;
    /// let told = news.receive(Deadline::Now)?;
    /// assert_eq!(told.notification(), Some(Notification::SendPossible));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_room(&self, to: SendOnceRight) -> Result<(), NotifyError> {
        if self.task().check().is_err() {
            return Err(NotifyError { reason: SendFailure::Forked, right: to });
        }
        let right = self.resolve();
        if let Settled::Joining(join) = right.settled()
            && !join.follows_port()
            && let Err(reason) = join.wait(Deadline::after(WORD))
        {
            return Err(NotifyError { reason, right: to });
        }
        let mut after = After::default();
        let replaced = match right.settled() {
            Settled::Own(port) => port.watch_room(to),
            Settled::Facet(facet) if !facet.has_ended() => facet.port.watch_room(to),
            Settled::Import(entry) => entry.watch_room(to),
            Settled::Joining(join) if join.follows_port() => join.watch_room(to, &mut after),
            Settled::Joining(join) => {
                return Err(NotifyError { reason: SendFailure::NotJoined(join.owner), right: to });
            }
            Settled::Facet(_) | Settled::Dead => {
                to.notify(Notification::DeadName);
                None
            }
        };
        after.run();
        drop(replaced);
        Ok(())
    }
}
