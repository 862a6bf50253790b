//! A port that outlives its receive right: the right arrives in the news.
//!
//! Whoever lets the last hold of a port go, lets go of a [`ReceiveRight`]: user
//! code, a message that dies with it, a queue that ends with that message. If
//! somebody asked for it, the right is not dropped but put into a notification,
//! and that is sent. To a port of our own task it is there at once. To another
//! task's the port moves as in any message, except that nobody is there to wait:
//! what cannot be sent now is kept, and tried again by whoever brings about what
//! was missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Armed, NewsError};
use crate::background::Job;
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::membrane::Passed;
use crate::message::{Message, Notification};
use crate::port::{After, PortCore, ReceiveRight};
use crate::right::{Once, SendOnceRight};
use crate::wait::parking::{Mutex, lock};

/// A receive right on its way to who asked for it.
#[derive(Debug)]
struct Bequest {
    to: SendOnceRight,
    message: Message,
}

/// Those of one task that could not be sent yet.
#[derive(Debug, Default)]
pub(crate) struct Bequests {
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Bequest>,
    /// Somebody is at it, and goes on if it was called meanwhile.
    busy: bool,
    called: bool,
}

/// What became of one attempt.
enum Attempt {
    /// It is sent, or nobody is there: then the port has ended.
    Over,
    /// Something is missing that will come.
    Later(Bequest),
    /// The port was busy, or the system refused something: nobody says when it
    /// will not.
    Refused(Bequest, u32),
}

impl Bequest {
    fn attempt(mut self) -> Attempt {
        let Bequest { to, message } = &mut self;
        // A membrane that was revoked lets nothing out.
        let Ok(passed) = Passed::once(to, message) else { return Attempt::Over };
        let (link, slot) = match to.settle() {
            Some(Once::Own(sink)) => {
                let sink = sink.clone();
                let mut after = After::default();
                to.end_silently();
                self.message.put_within(None);
                sink.arrive_once(self.message, &mut after);
                after.run();
                return Attempt::Over;
            }
            Some(Once::Import(link, slot)) => (Arc::clone(link), *slot),
            Some(Once::Joining(_)) => {
                passed.come_back(message);
                return Attempt::Later(self);
            }
            Some(Once::Dead(_)) | None => return Attempt::Over,
        };
        let Bequest { mut to, message } = self;
        let (reason, mut message) = match link.send_once_at_once(slot, message) {
            Ok(()) => {
                to.end_silently();
                link.let_go_once();
                // What its senders had written before is to go after it, though no
                // thread of ours may wait for anything.
                link.task.job(Job::Bequests);
                return Attempt::Over;
            }
            Err(refused) => refused,
        };
        passed.come_back(&mut message);
        let back = Bequest { to, message };
        match reason {
            SendFailure::Full if link.is_unread() => Attempt::Later(back),
            SendFailure::NotJoined(_) | SendFailure::Unsettled => Attempt::Later(back),
            SendFailure::Full | SendFailure::System(_) | SendFailure::DescriptorsInFlight => {
                Attempt::Refused(back, link.number)
            }
            // It cannot be sent at all: the port ends, and who asked is told so.
            _ => Attempt::Over,
        }
    }
}

impl TaskCore {
    /// Something may have come that was missing. May be called under any lock.
    pub(crate) fn look_at_bequests(&self) {
        // Relaxed: who leaves one behind looks again after that.
        if self.bequests.any.load(Ordering::Relaxed) {
            self.job(Job::Bequests);
        }
    }

    /// Sends those that can be sent now. One thread at a time: who finds another
    /// at it leaves the rest to that one.
    pub(crate) fn send_bequests(&self) {
        let mut due = {
            let mut state = lock(&self.bequests.state);
            state.called = true;
            if std::mem::replace(&mut state.busy, true) {
                return;
            }
            state.called = false;
            std::mem::take(&mut state.waiting)
        };
        loop {
            let mut left = Vec::new();
            for bequest in due {
                match bequest.attempt() {
                    Attempt::Over => {}
                    Attempt::Later(bequest) => left.push(bequest),
                    Attempt::Refused(bequest, link) => {
                        left.push(bequest);
                        self.job(Job::Again(link));
                    }
                }
            }
            let mut state = lock(&self.bequests.state);
            state.waiting.append(&mut left);
            let any = !state.waiting.is_empty();
            let before = self.bequests.any.swap(any, Ordering::Relaxed);
            if !std::mem::take(&mut state.called) {
                state.busy = false;
                drop(state);
                self.wait_as_future(before, any);
                return;
            }
            due = std::mem::take(&mut state.waiting);
            drop(state);
            self.wait_as_future(before, any);
        }
    }

    /// What is left waits as a future does: for whoever drains.
    fn wait_as_future(&self, before: bool, any: bool) {
        match (before, any) {
            (false, true) => {
                self.sleepers.futures.fetch_add(1, Ordering::Relaxed);
                // There the bells are listened for.
                self.job(Job::Bequests);
            }
            (true, false) => {
                self.sleepers.futures.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn bequeath(&self, bequest: Bequest) {
        lock(&self.bequests.state).waiting.push(bequest);
        self.send_bequests();
    }

    /// The task ends, and its ports with it.
    pub(crate) fn end_bequests(&self) {
        let mut state = lock(&self.bequests.state);
        let ended = std::mem::take(&mut state.waiting);
        drop(state);
        drop(ended);
    }
}

impl PortCore {
    /// The receive right is let go. Returns whether it arrives somewhere instead.
    pub(crate) fn lives_on(self: &Arc<Self>) -> bool {
        if self.task.is_closed() || self.gone().is_some() {
            return false;
        }
        let Some((to, sets)) = lock(self.state()).bequeath() else { return false };
        if to.is_taken_back() {
            return false;
        }
        for set in sets {
            let _ = self.leave_set(&set);
        }
        let right = ReceiveRight::new(Arc::clone(self));
        let message = Message::notification_of(Notification::PortDestroyed).with_right(right);
        self.task.bequeath(Bequest { to, message });
        true
    }
}

impl ReceiveRight {
    /// Gives the receive right to whoever holds the other end of `to` when it is
    /// let go: it comes in a notification, [`Notification::PortDestroyed`], the
    /// one right of that message. The port lives on, with its queue, its senders
    /// and its other requests; nobody who holds a right to it notices.
    ///
    /// Let go it is by being dropped, here or in a message or a queue that ends.
    /// The request is good for one time. It goes with the receive right to another
    /// task. Replaces an earlier request, whose right is dropped.
    ///
    /// The port ends as any other where `to` leads nowhere any more, where it
    /// leads into the port itself, where the task ends, and where it cannot go to
    /// the task of `to` at all ([`SendFailure::HasTerms`]). A right that is then
    /// still good ends in [`Notification::SendOnceDropped`].
    ///
    /// # Rights
    /// Consumes `to`.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    ///
    /// # Blocking
    /// Never, nor does letting the right go: where the way to another task is not
    /// free then, the port waits on it.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, Notification, Task};
    /// let task = Task::new();
    /// let (work, keeper) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    /// let post = work.make_send()?;
    /// work.notify_destroyed(keeper.make_send_once()?)?;
    /// post.send(Message::new("undone"), Deadline::Now)?;
    /// drop(work);
    /// let mut news = keeper.receive(Deadline::Now)?;
    /// assert_eq!(news.notification(), Some(Notification::PortDestroyed));
    /// let work = news.take_rights().remove(0).into_receive().unwrap();
    /// assert_eq!(work.receive(Deadline::Now)?.body(), b"undone");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_destroyed(&self, to: SendOnceRight) -> Result<(), SendFailure> {
        self.core().task.check().map_err(|_| SendFailure::Forked)?;
        let before = lock(self.core().state()).bequeath_to(to);
        drop(before);
        Ok(())
    }

    /// As [`ReceiveRight::notify_destroyed`]; the right comes to
    /// [`Task::notify`](crate::Task::notify) with this number. Replaces an earlier
    /// request.
    ///
    /// # Errors
    /// See [`NewsError`].
    pub fn watch_destroyed(&self, number: u64) -> Result<Armed, NewsError> {
        let (to, armed) = self.core().task.ask_for_news(number)?;
        self.notify_destroyed(to)?;
        Ok(armed)
    }
}
