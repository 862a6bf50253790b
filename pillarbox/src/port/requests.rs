//! What the owner of a port may change later: how much it holds, how many rights are
//! counted as made, and who is to be told.

use super::ReceiveRight;
use super::after::After;
use crate::limits::Limit;
use crate::right::SendOnceRight;
use crate::wait::parking::lock;

impl ReceiveRight {
    /// Lets a bounded port hold so many messages from now on, at most what a port of
    /// this task may. Who waits for a place gets one where there are more; where there
    /// are fewer, what is queued or promised stays. With no place at all only what
    /// needs none comes in: what is sent on send-once rights, and notifications.
    ///
    /// Returns whether it is so: a rendezvous and an unbounded port stay what they are.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let post = inbox.make_send()?;
    /// post.send(Message::new("one"), Deadline::Now)?;
    /// assert!(post.send(Message::new("two"), Deadline::Now).is_err());
    /// assert!(inbox.set_capacity(2));
    /// post.send(Message::new("two"), Deadline::Now)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_capacity(&self, places: u32) -> bool {
        let task = &self.core.task;
        if task.check().is_err() {
            return false;
        }
        let most = task.limits.capacity_messages;
        if places > most {
            task.counters.refuse(Limit::CapacityMessages);
        }
        let mut after = After::default();
        let resized = {
            let mut state = lock(&self.core.state);
            let resized = state.queue.window.resize(places.min(most));
            state.hand_out(task.now_ns(), &mut after);
            resized
        };
        after.run();
        resized
    }

    /// Counts on from `made`, where [`ReceiveRight::make_sends`] counts the send rights
    /// that were made.
    pub fn set_make_sends(&self, made: u64) {
        if self.core.task.check().is_ok() {
            lock(&self.core.state).senders.go_on_from(made);
        }
    }

    /// How many send-once rights to the port are out, wherever they are.
    pub fn promises(&self) -> u64 {
        if self.core.task.check().is_ok() { self.core.counts().1 } else { 0 }
    }

    /// Whether somebody asked to be told when nobody can send any more, and was not.
    pub fn is_watched_for_no_senders(&self) -> bool {
        self.core.task.check().is_ok() && lock(&self.core.state).no_senders.is_some()
    }

    /// Whether somebody is to have the receive right when it is let go.
    pub fn is_bequeathed(&self) -> bool {
        self.core.task.check().is_ok() && lock(&self.core.state).destroyed.is_some()
    }

    /// Takes the request of [`ReceiveRight::notify_no_senders`] back, whoever made it.
    ///
    /// # Rights
    /// The right that was to be told on is the caller's.
    pub fn take_no_senders(&self) -> Option<SendOnceRight> {
        self.core.task.check().ok()?;
        let mut state = lock(&self.core.state);
        state.senders.disarm();
        state.no_senders.take().map(|to| *to)
    }

    /// Takes the request of [`ReceiveRight::notify_destroyed`] back, whoever made it.
    ///
    /// # Rights
    /// The right that was to be told on is the caller's.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Task};
    /// let task = Task::new();
    /// let (work, keeper) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    /// work.notify_destroyed(keeper.make_send_once()?)?;
    /// let unused = work.take_destroyed().ok_or("nobody asked")?;
    /// drop(work);
    /// assert!(keeper.receive(Deadline::Now).is_err(), "the port has ended");
    /// # drop(unused);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_destroyed(&self) -> Option<SendOnceRight> {
        self.core.task.check().ok()?;
        lock(&self.core.state).destroyed.take().map(|to| *to)
    }
}
