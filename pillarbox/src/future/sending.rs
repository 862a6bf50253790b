//! Sending a message.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::standing::Standing;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{SendError, SendFailure, SendOnceError};
use crate::link::{Join, Posting};
use crate::membrane::Passed;
use crate::message::Message;
use crate::port::{After, PortCore};
use crate::right::{Once, SendOnceRight, SendRight, Settled, Sink};
use crate::wait::Waiter;

/// Where a sending stands between two polls.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Nowhere,
    /// With a right that its owner has not confirmed.
    Joining(Arc<Join>),
    /// At a port of our own task, perhaps on a facet of it.
    Own(Arc<PortCore>, u64, Option<u64>),
    /// At the link with a peer.
    Peer(Box<Posting>),
}

/// A send between two polls. Its message is accepted in the poll that says so,
/// and in no other moment.
#[derive(Debug)]
pub(crate) struct Sending {
    standing: Standing,
    // Before the message: what was counted for a peer is counted back first.
    place: Place,
    /// Once it has passed the membranes on its way.
    passed: Option<Passed>,
    message: Option<Message>,
}

impl Sending {
    pub(crate) fn new(message: Message) -> Self {
        Sending {
            standing: Standing::default(),
            place: Place::Nowhere,
            passed: None,
            message: Some(message),
        }
    }

    /// The message, if it was not accepted.
    pub(crate) fn into_message(mut self) -> Option<Message> {
        self.message.is_some().then(|| self.give_up())
    }

    /// What a first poll refuses, and every poll in a forked child.
    fn refused(&self, task: Option<&Arc<TaskCore>>) -> Option<SendFailure> {
        let Some(task) = task.filter(|task| task.check().is_ok()) else {
            return Some(SendFailure::Forked);
        };
        match (&self.place, &self.message) {
            (Place::Nowhere, Some(message)) => message.check_limits(task).err(),
            _ => None,
        }
    }

    /// Polled again after it was ready, it has no message: it stays pending.
    pub(crate) fn poll(
        &mut self,
        right: &SendRight,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        let new = self.is_new();
        let task = right.task();
        let refused = self.refused(Some(task));
        let Some(message) = &mut self.message else { return Poll::Pending };
        if new && let Some(Ok(())) = right.send_at_once(message, Deadline::Now) {
            self.sent_at_once();
            return Poll::Ready(Ok(()));
        }
        let refused = refused.or_else(|| pass(&mut self.passed, || Passed::on(right, message)));
        let right = self.passed.as_ref().map_or(right, |passed| passed.right(right));
        let place = &mut self.place;
        let polled = match refused {
            Some(reason) => Poll::Ready(Err(reason)),
            None => self.standing.poll(task, cx, |waiter| send(right, place, message, waiter)),
        };
        match polled {
            Poll::Ready(Ok(())) => {
                self.accepted();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(reason)) => {
                let message = Box::new(self.give_up());
                Poll::Ready(Err(SendError { reason, message }))
            }
            Poll::Pending => {
                self.be_patient();
                Poll::Pending
            }
        }
    }

    fn poll_once(
        &mut self,
        right: &mut SendOnceRight,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), (SendFailure, Box<Message>)>> {
        let new = self.is_new();
        let task = right.task().cloned();
        let refused = self.refused(task.as_ref());
        let Some(message) = &mut self.message else { return Poll::Pending };
        if new && right.send_at_once(message) {
            self.sent_at_once();
            return Poll::Ready(Ok(()));
        }
        let refused = refused.or_else(|| pass(&mut self.passed, || Passed::once(right, message)));
        let place = &mut self.place;
        let polled = match (refused, task) {
            (None, Some(task)) => {
                self.standing.poll(&task, cx, |waiter| send_once(right, place, message, waiter))
            }
            (reason, _) => Poll::Ready(Err(reason.unwrap_or(SendFailure::Forked))),
        };
        match polled {
            Poll::Ready(Ok(())) => {
                self.accepted();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(reason)) => Poll::Ready(Err((reason, Box::new(self.give_up())))),
            Poll::Pending => {
                self.be_patient();
                Poll::Pending
            }
        }
    }

    /// Whether nothing was done yet.
    const fn is_new(&self) -> bool {
        matches!(self.place, Place::Nowhere) && self.passed.is_none()
    }

    fn sent_at_once(&mut self) {
        if let Some(message) = self.message.take() {
            message.let_go();
        }
    }

    fn be_patient(&self) {
        match &self.place {
            Place::Nowhere | Place::Own(..) => {}
            Place::Joining(join) => join.be_patient(),
            Place::Peer(posting) => posting.be_patient(),
        }
    }

    fn accepted(&mut self) {
        let message = self.message.take();
        if let (Place::Peer(posting), Some(message)) = (std::mem::take(&mut self.place), message) {
            posting.finish(message);
        }
    }

    /// The message back, whole.
    fn give_up(&mut self) -> Message {
        self.place.leave(self.standing.waiter());
        let mut message = self.message.take().unwrap_or_default();
        if let Some(passed) = self.passed.take() {
            passed.come_back(&mut message);
        }
        message
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.place.leave(self.standing.waiter());
    }
}

/// Passes the membranes, once: why it may not.
fn pass(
    passed: &mut Option<Passed>,
    through: impl FnOnce() -> Result<Passed, SendFailure>,
) -> Option<SendFailure> {
    if passed.is_some() {
        return None;
    }
    match through() {
        Ok(done) => {
            *passed = Some(done);
            None
        }
        Err(reason) => Some(reason),
    }
}

impl Place {
    fn leave(&mut self, waiter: &Arc<Waiter>) {
        match std::mem::take(self) {
            Place::Nowhere | Place::Peer(_) => {}
            Place::Joining(join) => {
                if join.task.check().is_ok() {
                    join.forget(waiter);
                }
            }
            Place::Own(port, key, _) => {
                if port.task.check().is_ok() {
                    port.leave_place(key);
                }
            }
        }
    }
}

/// What one look has found.
enum Look {
    Found(Option<Result<(), SendFailure>>),
    /// Where to send it is known better now.
    Again,
}

/// The looks of one poll of a send on a send right. After `Some(Ok)` the message is
/// gone, but for one to a peer, which is then published.
fn send(
    right: &SendRight,
    place: &mut Place,
    message: &mut Message,
    waiter: &Arc<Waiter>,
) -> Option<Result<(), SendFailure>> {
    loop {
        let found = loop {
            if let Look::Found(found) = look_once(right, place, message, waiter) {
                break found;
            }
        };
        let tried = match place {
            Place::Peer(posting) => posting.entry(),
            _ => None,
        };
        let moved = matches!(found, Some(Err(SendFailure::Dead))) && right.leads_elsewhere(tried);
        if !moved {
            return found;
        }
        // The port went to another task: the right goes after it.
        place.leave(waiter);
    }
}

fn look_once(
    right: &SendRight,
    place: &mut Place,
    message: &mut Message,
    waiter: &Arc<Waiter>,
) -> Look {
    if let Place::Joining(join) = place {
        if join.stand(waiter).is_none() {
            return Look::Found(None);
        }
        *place = Place::Nowhere;
    }
    if message.is_barred() {
        return Look::Found(Some(Err(SendFailure::Revoked)));
    }
    match place {
        Place::Joining(_) => Look::Found(None),
        Place::Own(port, key, via) => {
            let before = (message.sender, message.badge, message.within().cloned());
            match port.use_place(*key, *via, as_ours(message, &port.task)) {
                Ok(()) => {
                    port.leave_place(*key);
                    *place = Place::Nowhere;
                    Look::Found(Some(Ok(())))
                }
                Err((reason, back)) => {
                    let (sender, badge, within) = before;
                    *message = Message { sender, badge, ..back }.back_within(within);
                    Look::Found(reason.map(Err))
                }
            }
        }
        Place::Peer(posting) => Look::Found(posting.attempt(message)),
        Place::Nowhere => match right.settled() {
            Settled::Own(port) => match enter(port, None, place, message, waiter) {
                None => Look::Again,
                entered => Look::Found(entered),
            },
            Settled::Facet(facet) => {
                match enter(&facet.port, Some(facet.id), place, message, waiter) {
                    None => {
                        if facet.is_timed() {
                            // Somebody must be there when its time is over.
                            let _ = facet.port.task.start_background();
                        }
                        Look::Again
                    }
                    entered => Look::Found(entered),
                }
            }
            Settled::Import(entry) => {
                *place = Place::Peer(Box::new(Posting::to_port(entry, waiter)));
                Look::Again
            }
            Settled::Joining(join) => {
                *place = Place::Joining(Arc::clone(join));
                Look::Again
            }
            Settled::Dead => Look::Found(Some(Err(SendFailure::Dead))),
        },
    }
}

/// Enters a queue of our own task at once, or asks for a place in it, which may
/// be granted at once.
fn enter(
    port: &Arc<PortCore>,
    via: Option<u64>,
    place: &mut Place,
    message: &mut Message,
    waiter: &Arc<Waiter>,
) -> Option<Result<(), SendFailure>> {
    let (sender, badge, within) = (message.sender, message.badge, message.within().cloned());
    drop(message.break_circles(port));
    let Err((reason, back)) = port.enter(via, as_ours(message, &port.task)) else {
        return Some(Ok(()));
    };
    *message = Message { sender, badge, ..back }.back_within(within);
    if reason != SendFailure::Full {
        return Some(Err(reason));
    }
    let key = port.task.next_id();
    *place = Place::Own(Arc::clone(port), key, via);
    port.ask_for_place(key, message.priority, waiter);
    None
}

/// One look of a send on a send-once right.
fn send_once(
    right: &mut SendOnceRight,
    place: &mut Place,
    message: &mut Message,
    waiter: &Arc<Waiter>,
) -> Option<Result<(), SendFailure>> {
    if let Place::Joining(join) = place {
        join.stand(waiter)?;
        *place = Place::Nowhere;
    }
    if let Place::Peer(posting) = place {
        return posting.attempt(message);
    }
    match right.settle() {
        Some(Once::Own(Sink::Port(port))) if !port.is_alive() && port.gone().is_none() => {
            Some(Err(SendFailure::Dead))
        }
        Some(Once::Own(sink)) => {
            let sink = sink.clone();
            let (sender, badge) = (message.sender, message.badge);
            let mut after = After::default();
            let sent = sink.offer_once(as_ours(message, sink.task()), &mut after);
            after.run();
            Some(sent.map_err(|back| {
                *message = Message { sender, badge, ..back }.back_within(None);
                sink.refusal()
            }))
        }
        Some(Once::Import(link, slot)) => {
            *place = Place::Peer(Box::new(Posting::once(link, *slot, waiter)));
            send_once(right, place, message, waiter)
        }
        Some(Once::Joining(join)) => {
            *place = Place::Joining(Arc::clone(join));
            send_once(right, place, message, waiter)
        }
        Some(Once::Dead(_)) | None => Some(Err(SendFailure::Dead)),
    }
}

/// Takes the message, as its receiver in our own task is to see it.
fn as_ours(message: &mut Message, task: &Arc<TaskCore>) -> Message {
    let mut message = std::mem::take(message);
    message.sender = Some(task.own_identity());
    message.badge = None;
    message.put_within(None);
    message.notification = None;
    message
}

/// What [`SendRight::send_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct SendFuture<'a> {
    right: &'a SendRight,
    sending: Sending,
}

impl Future for SendFuture<'_> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let right = self.right;
        self.sending.poll(right, cx)
    }
}

impl SendRight {
    /// Sends `message`, as [`SendRight::send`] does, without a thread that
    /// waits.
    ///
    /// # Rights
    /// Borrows the send right. Rights in the message leave this space only once
    /// the send has succeeded.
    ///
    /// # Errors
    /// On any error nothing was sent and the message comes back whole. See
    /// [`SendFailure`]; `Full` is none of them, since it waits.
    ///
    /// # Blocking
    /// Never. It has no deadline: drop it, or wrap it in a timeout of your
    /// runtime.
    ///
    /// # Cancel safety
    /// The message is accepted in the poll that returns `Ok`, and at no other
    /// time. Dropped before that, nothing was sent: the message and every right
    /// in it are dropped with the future.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let post = inbox.make_send()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    ///
    /// assert!(pin!(post.send_async(Message::new("one"))).poll(&mut cx).is_ready());
    /// let mut second = pin!(post.send_async(Message::new("two")));
    /// assert!(second.as_mut().poll(&mut cx).is_pending(), "the mailbox is full");
    /// assert_eq!(inbox.receive(Deadline::Now)?.body(), b"one");
    /// let Poll::Ready(sent) = second.poll(&mut cx) else { panic!("there is room") };
    /// sent?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_async(&self, message: Message) -> SendFuture<'_> {
        SendFuture { right: self, sending: Sending::new(message) }
    }
}

/// What [`SendOnceRight::send_async`] returns.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct SendOnceFuture {
    // Before the right: the message is given up before the right speaks.
    sending: Sending,
    right: Option<SendOnceRight>,
}

impl Future for SendOnceFuture {
    type Output = Result<(), SendOnceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut right) = self.right.take() else { return Poll::Pending };
        match self.sending.poll_once(&mut right, cx) {
            Poll::Pending => {
                self.right = Some(right);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                if let Some(Once::Import(link, _)) = right.disarm() {
                    link.let_go_once();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err((reason, message))) => {
                Poll::Ready(Err(SendOnceError { reason, message, right }))
            }
        }
    }
}

impl SendOnceRight {
    /// Sends `message` and uses the right up, as [`SendOnceRight::send`] does,
    /// without a thread that waits.
    ///
    /// # Rights
    /// Consumes the right and gives away every right in the message.
    ///
    /// # Errors
    /// On any error nothing was sent; the message and the unused right come
    /// back. See [`SendFailure`].
    ///
    /// # Blocking
    /// Never. It has no deadline, and waits for room in the lane only.
    ///
    /// # Cancel safety
    /// The message is accepted in the poll that returns `Ok`. Dropped before
    /// that, nothing was sent: the message is dropped with the future, and so is
    /// the right, which tells who waits for it.
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// use pillarbox::{Capacity, Deadline, Message, Notification, Task};
    /// let inbox = Task::new().port(Capacity::Bounded(1));
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let once = inbox.make_send_once()?;
    /// assert!(pin!(once.send_async(Message::new("once"))).poll(&mut cx).is_ready());
    /// assert_eq!(inbox.receive(Deadline::Now)?.body(), b"once");
    ///
    /// drop(inbox.make_send_once()?.send_async(Message::new("never polled")));
    /// let told = inbox.receive(Deadline::Now)?.notification();
    /// assert_eq!(told, Some(Notification::SendOnceDropped));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_async(self, message: Message) -> SendOnceFuture {
        SendOnceFuture { sending: Sending::new(message), right: Some(self) }
    }
}

impl SendOnceFuture {
    /// The right, where it was not used.
    pub(super) fn into_right(self) -> Option<SendOnceRight> {
        self.right
    }
}
