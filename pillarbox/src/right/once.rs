//! Send-once rights: a promise of one message.

use std::sync::Arc;

use abi::Slot;

use super::Sink;
use crate::call::Watch;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{SendFailure, SendOnceError};
use crate::link::{Join, Joined, Link};
use crate::membrane::{Passed, Within};
use crate::message::{Message, Notification};
use crate::metrics::Since;
use crate::port::After;

/// What a send-once right leads to.
#[derive(Debug)]
pub(crate) enum Once {
    Own(Sink),
    Import(Arc<Link>, Slot),
    Joining(Arc<Join>),
    Dead(Arc<TaskCore>),
}

/// The right to send one message. It ends in exactly one message, or in one
/// notification that it was dropped or that its holder died.
#[derive(Debug)]
pub struct SendOnceRight {
    target: Option<Once>,
    /// The membranes it came in through, the innermost first.
    within: Option<Within>,
    /// What few of them have.
    aside: Option<Box<Aside>>,
}

/// What is known of few send-once rights.
#[derive(Debug, Default)]
struct Aside {
    /// Somebody is to be told when no answer is wanted any more. Whom, is known
    /// where the promise is; here, of a right to a port of our own, of which
    /// nothing but its end is told.
    watch: Option<Watch>,
    /// When the call it answers was read.
    since: Since,
}

impl SendOnceRight {
    pub(crate) fn own(sink: Sink) -> Self {
        SendOnceRight { target: Some(Once::Own(sink)), within: None, aside: None }
    }

    pub(crate) fn import(link: &Arc<Link>, slot: Slot) -> Self {
        link.hold_once();
        let target = Some(Once::Import(Arc::clone(link), slot));
        SendOnceRight { target, within: None, aside: None }
    }

    pub(crate) fn joining(join: Arc<Join>) -> Self {
        SendOnceRight { target: Some(Once::Joining(join)), within: None, aside: None }
    }

    pub(crate) fn dead(task: &Arc<TaskCore>) -> Self {
        SendOnceRight { target: Some(Once::Dead(Arc::clone(task))), within: None, aside: None }
    }

    /// It answers a call that was read then.
    #[inline]
    pub(crate) fn read_since(&mut self, since: Since) {
        if since != Since::NEVER || self.aside.is_some() {
            self.aside.get_or_insert_default().since = since;
        }
    }

    /// It was used, and the call it answers is over.
    #[inline]
    fn answered(&self, task: &TaskCore) {
        if let Some(aside) = &self.aside {
            aside.since.over(task, |times| &times.answering);
        }
    }

    #[inline]
    fn is_watched(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.watch.is_some())
    }

    /// Whom to tell when no answer is wanted any more.
    pub(crate) fn watch_here(&mut self) -> &mut Watch {
        self.aside.get_or_insert_default().watch.get_or_insert_default()
    }

    /// Nobody is to be told any more. Returns who was.
    pub(crate) fn take_watch(&mut self) -> Option<Watch> {
        self.aside.as_mut()?.watch.take()
    }

    /// Where it leads, if it is one of this task's to the answer of a call and nobody
    /// watches it.
    pub(crate) fn own_cell(&self, task: &Arc<TaskCore>) -> Option<&Sink> {
        match &self.target {
            Some(Once::Own(sink @ Sink::Reply(cell)))
                if self.within.is_none()
                    && self.aside.is_none()
                    && Arc::ptr_eq(&cell.task, task) =>
            {
                Some(sink)
            }
            _ => None,
        }
    }

    /// Where it leads, if that is a port of our own and nothing else is to be said of it.
    pub(crate) fn own_port(&self) -> Option<&Sink> {
        match &self.target {
            Some(Once::Own(sink @ Sink::Port(_)))
                if self.within.is_none() && self.aside.is_none() =>
            {
                Some(sink)
            }
            _ => None,
        }
    }

    /// The peer's slot it is, if nothing else is to be said of it.
    fn plain_slot(&self) -> Option<(&Arc<Link>, Slot)> {
        match &self.target {
            Some(Once::Import(link, slot)) if self.within.is_none() && !self.is_watched() => {
                Some((link, *slot))
            }
            _ => None,
        }
    }

    /// Sends what is a body and nothing else, where nothing is in its way. False where
    /// the general way is to be taken, with nothing done.
    pub(crate) fn send_at_once(&mut self, message: &Message) -> bool {
        let sent = self.plain_slot().filter(|(link, slot)| link.send_once_plain(*slot, message));
        let Some((link, _)) = sent else { return false };
        self.answered(&link.task);
        link.let_go_once();
        self.target = None;
        true
    }

    pub(crate) fn within(&self) -> Option<&Within> {
        self.within.as_ref()
    }

    /// It came in through these membranes: what is sent on it goes out through
    /// them.
    pub(crate) fn come_inside(&mut self, within: &Within) {
        self.within = Some(match self.within.take() {
            None => Arc::clone(within),
            Some(before) => Arc::new(within.iter().chain(before.iter()).cloned().collect()),
        });
    }

    /// What it leads to, as was known last.
    pub(crate) fn target(&self) -> Option<&Once> {
        self.target.as_ref()
    }

    /// What it leads to now.
    pub(crate) fn settle(&mut self) -> Option<&Once> {
        if let Some(Once::Joining(join)) = &self.target
            && let Some(result) = join.result()
        {
            let task = Arc::clone(&join.task);
            self.target = Some(match result {
                Joined::Once(link, slot) if join.take_once() => {
                    Once::Import(Arc::clone(link), *slot)
                }
                _ => Once::Dead(task),
            });
        }
        self.target.as_ref()
    }

    /// Whether naming it for the peer of `link` waits for nobody.
    pub(crate) fn is_simple_for(&self, link: &Arc<Link>) -> bool {
        match &self.target {
            Some(Once::Import(owner, _)) => Arc::ptr_eq(owner, link),
            Some(Once::Joining(_)) => false,
            Some(Once::Own(_) | Once::Dead(_)) | None => true,
        }
    }

    /// The right is used up.
    pub(crate) fn end_silently(&mut self) {
        self.unwatch();
        self.target = None;
    }

    /// Ends the right without a word: its promise has gone elsewhere.
    pub(crate) fn disarm(mut self) -> Option<Once> {
        self.unwatch();
        self.target.take()
    }

    /// Sends `message` and uses the right up.
    ///
    /// # Rights
    /// Consumes the right and gives away every right in the message.
    ///
    /// # Errors
    /// On any error nothing was sent; the message and the unused right come
    /// back. See [`SendFailure`]; [`SendFailure::Withdrawn`] where the answer is
    /// wanted no more. An answer that crosses its withdrawal on the way is
    /// dropped.
    ///
    /// # Blocking
    /// Waits for room in the lane until `deadline`, never for room in the queue.
    pub fn send(mut self, mut message: Message, deadline: Deadline) -> Result<(), SendOnceError> {
        if self.send_at_once(&message) {
            message.let_go();
            return Ok(());
        }
        match Passed::once(&self, &mut message) {
            Ok(passed) => {
                let ((right, passed), sent) =
                    shm::jump::held((self, passed), drop, |(right, _)| {
                        right.send_out(message, deadline)
                    });
                sent.map_err(|(reason, mut message)| {
                    passed.come_back(&mut message);
                    SendOnceError { reason, message: Box::new(message), right }
                })
            }
            Err(reason) => Err(SendOnceError { reason, message: Box::new(message), right: self }),
        }
    }

    fn send_out(
        &mut self,
        mut message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        let checked = self.task().map_or(Ok(()), |task| message.check_limits(task));
        if let Err(reason) = checked {
            return Err((reason, message));
        }
        if let Some(Once::Joining(join)) = self.settle() {
            let (held, waited) =
                shm::jump::held((Arc::clone(join), message), drop, |(join, _)| join.wait(deadline));
            message = held.1;
            if let Err(reason) = waited {
                return Err((reason, message));
            }
        }
        let sent = match self.settle() {
            Some(Once::Own(Sink::Port(port))) if !port.is_alive_anywhere() => {
                Err((SendFailure::Dead, message))
            }
            Some(Once::Own(sink)) => {
                let sink = sink.clone();
                let mut message = message;
                let before = message.sender.replace(sink.task().own_identity());
                message.badge = None;
                message.put_within(None);
                message.notification = None;
                let mut after = After::default();
                let sent = sink.offer_once(message, &mut after).map_err(|mut message| {
                    message.sender = before;
                    (sink.refusal(), message)
                });
                after.run();
                sent
            }
            Some(Once::Import(link, slot)) => link.send_once(*slot, message, deadline),
            Some(Once::Joining(join)) => Err((SendFailure::NotJoined(join.owner), message)),
            Some(Once::Dead(_)) | None => Err((SendFailure::Dead, message)),
        };
        sent?;
        self.unwatch();
        if let Some(Once::Import(link, _)) = self.target.take() {
            self.answered(&link.task);
            link.let_go_once();
        }
        Ok(())
    }

    /// Ends the right in a notification. Never waits.
    pub(crate) fn notify(self, what: Notification) {
        self.notify_with(what, 0);
    }

    /// As [`SendOnceRight::notify`], with a number that belongs to the news.
    pub(crate) fn notify_with(mut self, what: Notification, tag: u64) {
        self.settle();
        self.unwatch();
        match self.target.take() {
            Some(Once::Own(sink)) => {
                let mut after = After::default();
                sink.arrive_once(Message::notification_of(what).with_tag(tag), &mut after);
                after.run();
            }
            Some(Once::Import(link, slot)) => {
                link.say_notification(slot, what, tag);
                link.let_go_once();
            }
            Some(Once::Joining(join)) => join.notify_later(what),
            Some(Once::Dead(_)) | None => {}
        }
    }

    /// Whose owner has not confirmed it yet.
    pub(crate) fn joining_to(&self) -> Option<Arc<Join>> {
        match self.target.as_ref()? {
            Once::Joining(join) if join.result().is_none() => Some(Arc::clone(join)),
            _ => None,
        }
    }

    /// The link with its owner, where that is another task.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        match self.target.as_ref()? {
            Once::Import(link, _) => Some(Arc::clone(link)),
            Once::Joining(join) => match join.result()? {
                Joined::Once(link, _) => Some(Arc::clone(link)),
                _ => None,
            },
            Once::Own(_) | Once::Dead(_) => None,
        }
    }

    pub(crate) fn task(&self) -> Option<&Arc<TaskCore>> {
        Some(match self.target.as_ref()? {
            Once::Own(sink) => sink.task(),
            Once::Import(link, _) => &link.task,
            Once::Joining(join) => &join.task,
            Once::Dead(task) => task,
        })
    }
}

impl Drop for SendOnceRight {
    fn drop(&mut self) {
        if self.task().is_none_or(|task| task.check().is_err()) {
            return;
        }
        self.settle();
        self.unwatch();
        match self.target.take() {
            Some(Once::Own(sink)) => {
                let mut after = After::default();
                let told = Message::notification_of(Notification::SendOnceDropped);
                sink.arrive_once(told, &mut after);
                after.run();
            }
            Some(Once::Import(link, slot)) => {
                link.say_dropped(slot);
                link.let_go_once();
            }
            Some(Once::Joining(join)) => join.notify_later(Notification::SendOnceDropped),
            Some(Once::Dead(_)) | None => {}
        }
    }
}
