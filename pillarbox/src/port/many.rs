//! Receiving many messages at once.

use std::sync::atomic::Ordering;

use super::after::After;
use super::state::Wants;
use super::{PortCore, ReceiveRight};
use crate::deadline::Deadline;
use crate::error::ReceiveError;
use crate::message::Message;
use crate::wait::parking::{lock, try_lock};

impl PortCore {
    /// Takes up to `most` of what is here and in the lanes. Never waits.
    fn take_more(&self, into: &mut Vec<Message>, most: usize) {
        let full = into.len() + most;
        let mut drained = false;
        while into.len() < full {
            let before = into.len();
            self.take_queued(into, full);
            self.take_as_they_come(into, full);
            // The lanes are read once: who floods another port keeps nobody here.
            let found = into.len() > before;
            if !found && (std::mem::replace(&mut drained, true) || !self.task.drain()) {
                return;
            }
        }
    }

    /// What waits in the queue.
    fn take_queued(&self, into: &mut Vec<Message>, full: usize) {
        while into.len() < full
            && let Some(message) = self.take_posted()
        {
            into.push(message);
        }
        if into.len() == full || self.state.is_chute() {
            return;
        }
        let mut after = After::default();
        let taken = into.len();
        {
            let mut state = lock(&self.state);
            let now_ns = self.now_ns(&state);
            while into.len() < full
                && let Some(message) = state.take(Wants::Any, now_ns, &mut after)
            {
                into.push(message);
            }
        }
        after.run();
        into.iter_mut().skip(taken).for_each(Message::leave_queue);
    }

    /// What lies first in a lane, and is for this port alone.
    fn take_as_they_come(&self, into: &mut Vec<Message>, full: usize) {
        if self.task.has_business() || self.task.sleepers.futures.load(Ordering::Relaxed) > 0 {
            return;
        }
        let Some(mut seat) = try_lock(&self.task.seat) else { return };
        let _ = seat.links(&self.task);
        while into.len() < full
            && let Some(link) = seat.next_with_frames()
            && link.take_run(self, full - into.len(), into) > 0
        {}
    }
}

impl ReceiveRight {
    /// Waits for a message and puts it behind those in `into`, with as many as there
    /// are, up to `most` in all. Returns how many that were.
    ///
    /// The same as one [`ReceiveRight::receive`] and others with [`Deadline::Now`], and
    /// cheaper.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive`], for each of them.
    ///
    /// # Errors
    /// As [`ReceiveRight::receive`]: nothing was put into `into` then.
    ///
    /// # Blocking
    /// As [`ReceiveRight::receive`], for the first. Never with a `most` of zero.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::current()?.port(Capacity::Bounded(4));
    /// inbox.make_send()?.send_many(["one", "two", "three"].map(Message::new), Deadline::Now)?;
    /// let mut letters = Vec::new();
    /// assert_eq!(inbox.receive_many(&mut letters, 2, Deadline::Now)?, 2);
    /// assert_eq!(inbox.receive_many(&mut letters, 2, Deadline::Now)?, 1);
    /// assert_eq!(letters[2].body(), b"three");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_many(
        &self,
        into: &mut Vec<Message>,
        most: usize,
        deadline: Deadline,
    ) -> Result<usize, ReceiveError> {
        if most == 0 {
            return Ok(0);
        }
        let message = self.receive(deadline)?;
        Ok(self.with_more(message, into, most))
    }

    /// The same without a thread that waits.
    ///
    /// # Rights
    /// As [`ReceiveRight::receive_many`].
    ///
    /// # Errors
    /// As [`ReceiveRight::receive_many`].
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has taken nothing.
    pub async fn receive_many_async(
        &self,
        into: &mut Vec<Message>,
        most: usize,
    ) -> Result<usize, ReceiveError> {
        if most == 0 {
            return Ok(0);
        }
        let message = self.receive_async().await?;
        Ok(self.with_more(message, into, most))
    }

    fn with_more(&self, first: Message, into: &mut Vec<Message>, most: usize) -> usize {
        let before = into.len();
        into.push(first);
        self.core.take_more(into, most - 1);
        into.len() - before
    }
}
