//! Send rights and send-once rights.
//!
//! Ownership is the protocol: a right that is moved into a message is given
//! away, a clone is a copy, a drop gives it back. A send-once right that is
//! dropped unused speaks.

use std::sync::Arc;
use std::time::Duration;

use abi::frame::PortStatus;
use abi::{Slot, TaskId};
use rights::reply::{Gone, ReplyState};

use crate::call::{ReplyCell, Watch};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{PulseError, SendError, SendFailure, SendOnceError, StatusError};
use crate::facet::Facet;
use crate::link::{Entry, Held, Join, Joined, Link};
use crate::membrane::{Passage, Passed, Within};
use crate::message::{Message, Notification};
use crate::port::{After, PortCore};

/// What a right of our own task leads to.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    Port(Arc<PortCore>),
    Facet(Arc<Facet>),
    Reply(Arc<ReplyCell>),
}

impl Sink {
    pub(crate) fn id(&self) -> u64 {
        match self {
            Sink::Port(port) => port.id,
            Sink::Facet(facet) => facet.id,
            Sink::Reply(cell) => cell.id,
        }
    }

    pub(crate) fn task(&self) -> &Arc<TaskCore> {
        match self {
            Sink::Port(port) => &port.task,
            Sink::Facet(facet) => &facet.port.task,
            Sink::Reply(cell) => &cell.task,
        }
    }

    /// The port whose queue it leads to, if it leads to one.
    pub(crate) fn port(&self) -> Option<&Arc<PortCore>> {
        match self {
            Sink::Port(port) => Some(port),
            Sink::Facet(facet) => Some(&facet.port),
            Sink::Reply(_) => None,
        }
    }

    /// Whether it is a facet that has ended.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Sink::Facet(facet) if facet.has_ended())
    }

    /// The peer of `link` holds no send right to it any more.
    pub(crate) fn left(&self, link: &Link, after: &mut After) {
        if let Some(port) = self.port() {
            port.left(link, self.id(), after);
        }
    }

    /// Whether anybody is there to take a message.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Sink::Port(port) => port.is_alive() || port.gone().is_some(),
            Sink::Facet(facet) => facet.port.is_alive() && !facet.has_ended(),
            Sink::Reply(cell) => !cell.state().is_gone(),
        }
    }

    /// The one message, or the one notification, of a send-once right.
    pub(crate) fn arrive_once(&self, message: Message, after: &mut After) {
        match self {
            Sink::Port(port) => port.arrive_once(message, after),
            Sink::Facet(facet) => facet.port.arrive_once(message, after),
            Sink::Reply(cell) => cell.arrive(message, after),
        }
    }

    /// As [`Sink::arrive_once`], but what nobody waits for comes back.
    fn offer_once(&self, message: Message, after: &mut After) -> Result<(), Message> {
        match self {
            Sink::Reply(cell) => cell.offer(message, after),
            Sink::Port(_) | Sink::Facet(_) => {
                self.arrive_once(message, after);
                Ok(())
            }
        }
    }

    /// Why a message was not taken.
    fn refusal(&self) -> SendFailure {
        match self {
            Sink::Reply(cell) => match cell.state() {
                ReplyState::Gone(why) if why != Gone::Died => SendFailure::Withdrawn(why),
                _ => SendFailure::Dead,
            },
            Sink::Port(_) | Sink::Facet(_) => SendFailure::Dead,
        }
    }
}

/// What a send right leads to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A port of this task.
    Own(Arc<PortCore>),
    /// A port of this task, on terms.
    Facet(Arc<Facet>),
    /// A slot on a peer's board.
    Import(Held),
    /// A port of a task that has not confirmed the right yet.
    Joining(Arc<Join>),
    /// What a membrane holds.
    Through(Arc<Passage>),
    /// Nothing any more.
    Dead(Arc<TaskCore>),
}

/// Where a send right leads once it is settled.
pub(crate) enum Settled<'a> {
    Own(&'a Arc<PortCore>),
    Facet(&'a Arc<Facet>),
    Import(&'a Arc<Entry>),
    Joining(&'a Arc<Join>),
    Dead,
}

/// Where the rights of an entry lead: its port may have gone to another task, and
/// that one's to a third.
fn settled_entry(entry: &Arc<Entry>) -> Settled<'_> {
    let mut next = entry.moved().get();
    while let Some(moved) = next {
        match moved.join.result() {
            None => return Settled::Joining(&moved.join),
            Some(Joined::Send(held)) => return settled_entry(held.entry()),
            Some(Joined::Own(right)) => return right.settled(),
            Some(Joined::Back) => next = moved.next.get(),
            Some(Joined::Once(..) | Joined::Dead) => return Settled::Dead,
        }
    }
    Settled::Import(entry)
}

/// Where our own rights to a port that we gave away lead.
fn settled_join(join: &Arc<Join>) -> Settled<'_> {
    match join.result() {
        None => Settled::Joining(join),
        Some(Joined::Send(held)) => settled_entry(held.entry()),
        Some(Joined::Own(right)) => right.settled(),
        Some(_) => Settled::Dead,
    }
}

impl Settled<'_> {
    /// Whether the port has gone to another task since this was looked up.
    pub(crate) fn follows(&self) -> bool {
        match self {
            Settled::Own(port) => port.gone().is_some(),
            Settled::Import(entry) => {
                let mut after = After::default();
                entry.look(&mut after);
                after.run();
                entry.has_moved()
            }
            Settled::Facet(_) | Settled::Joining(_) | Settled::Dead => false,
        }
    }
}

/// The right to send to a port, any number of times. A clone is a right of its
/// own.
#[derive(Debug)]
pub struct SendRight {
    target: Target,
}

impl SendRight {
    pub(crate) fn own(port: &Arc<PortCore>) -> Self {
        port.add_sender();
        SendRight { target: Target::Own(Arc::clone(port)) }
    }

    pub(crate) fn facet(facet: &Arc<Facet>) -> Self {
        facet.port.add_facet_sender(facet.id);
        SendRight { target: Target::Facet(Arc::clone(facet)) }
    }

    pub(crate) fn through(passage: Arc<Passage>) -> Self {
        SendRight { target: Target::Through(passage) }
    }

    /// How a membrane holds it, if one does.
    pub(crate) fn passage(&self) -> Option<&Arc<Passage>> {
        match &self.target {
            Target::Through(passage) => Some(passage),
            _ => None,
        }
    }

    pub(crate) fn import(held: Held) -> Self {
        SendRight { target: Target::Import(held) }
    }

    pub(crate) fn joining(join: Arc<Join>) -> Self {
        SendRight { target: Target::Joining(join) }
    }

    pub(crate) fn dead(task: &Arc<TaskCore>) -> Self {
        SendRight { target: Target::Dead(Arc::clone(task)) }
    }

    pub(crate) fn task(&self) -> &Arc<TaskCore> {
        match &self.target {
            Target::Own(port) => &port.task,
            Target::Facet(facet) => &facet.port.task,
            Target::Import(held) => &held.entry().link.task,
            Target::Joining(join) => &join.task,
            Target::Through(passage) => passage.task(),
            Target::Dead(task) => task,
        }
    }

    /// Where the right leads. One that a membrane holds is resolved first.
    pub(crate) fn settled(&self) -> Settled<'_> {
        match &self.target {
            Target::Own(port) => match port.gone() {
                None => Settled::Own(port),
                Some(gone) => settled_join(gone.own()),
            },
            Target::Facet(facet) => Settled::Facet(facet),
            Target::Import(held) => settled_entry(held.entry()),
            Target::Through(_) | Target::Dead(_) => Settled::Dead,
            Target::Joining(join) => match join.result() {
                None => Settled::Joining(join),
                Some(Joined::Send(held)) => settled_entry(held.entry()),
                Some(Joined::Own(right)) => right.settled(),
                Some(Joined::Once(..) | Joined::Back | Joined::Dead) => Settled::Dead,
            },
        }
    }

    /// Sends `message` and gives away every right it carries.
    ///
    /// Messages from one task to one port arrive in the order sent; nothing is
    /// promised between two senders. Once this returns `Ok` the message is
    /// accepted: it reaches the mailbox even if this process is killed the next
    /// instant.
    ///
    /// # Rights
    /// Borrows the send right. Rights in the message leave this space only once
    /// the send has succeeded.
    ///
    /// # Errors
    /// On any error nothing was sent and the message comes back whole. See
    /// [`SendFailure`].
    ///
    /// # Blocking
    /// Waits for room until `deadline`. Before it says that a port of another
    /// task is full it asks that task once and takes its word: with
    /// [`Deadline::Now`], and with a deadline that leaves no time for the answer,
    /// it waits for that word at most 50 ms.
    pub fn send(&self, message: Message, deadline: Deadline) -> Result<(), SendError> {
        let mut message = message;
        match Passed::on(self, &mut message) {
            Ok(passed) => passed.right(self).send_out(message, deadline).map_err(|mut error| {
                passed.come_back(&mut error.message);
                error
            }),
            Err(reason) => Err(SendError { reason, message: Box::new(message) }),
        }
    }

    /// Sends what has passed the membranes.
    fn send_out(&self, message: Message, deadline: Deadline) -> Result<(), SendError> {
        let fail = |reason, message| Err(SendError { reason, message: Box::new(message) });
        if let Err(reason) = message.check_limits(self.task()) {
            return fail(reason, message);
        }
        let mut message = message;
        loop {
            if let Settled::Joining(join) = self.settled()
                && let Err(reason) = join.wait(deadline)
            {
                return fail(reason, message);
            }
            let settled = self.settled();
            let sent = match &settled {
                Settled::Own(port) => send_own(port, None, message, deadline),
                Settled::Facet(facet) => send_own(&facet.port, Some(facet.id), message, deadline),
                Settled::Import(entry) => entry.link.send(entry, message, deadline),
                Settled::Joining(join) => Err((SendFailure::NotJoined(join.owner), message)),
                Settled::Dead => Err((SendFailure::Dead, message)),
            };
            match sent {
                Ok(()) => return Ok(()),
                // The port went to another task meanwhile: the right goes after it.
                Err((SendFailure::Dead, back)) if settled.follows() => message = back,
                Err((reason, message)) => return fail(reason, message),
            }
        }
    }

    /// Sends a pulse: an id, a value, and a priority as a message has it.
    ///
    /// A pulse stands in the same queue and order as messages, needs no place in
    /// it, and is received as a message without a body, of which
    /// [`Message::pulse`] tells. Each holder of a right may have as many pulses
    /// waiting as the port was made with: [`crate::PortOptions::pulses`].
    ///
    /// # Rights
    /// Borrows the send right. To a right with terms a pulse is a message.
    ///
    /// # Errors
    /// See [`PulseError`]. Nothing was sent then.
    ///
    /// # Blocking
    /// Never.
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, PulseError, PortOptions, Task};
    /// let inbox = Task::current()?.port(PortOptions::new(Capacity::Bounded(1)).pulses(1));
    /// let post = inbox.make_send()?;
    /// post.pulse(7, 42, 0)?;
    /// assert_eq!(post.pulse(7, 43, 0), Err(PulseError::NoRoom));
    /// let pulse = inbox.receive(Deadline::Now)?.pulse().ok_or("no pulse")?;
    /// assert_eq!((pulse.id, pulse.value), (7, 42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pulse(&self, id: i32, value: u64, priority: u16) -> Result<(), PulseError> {
        let task = self.task();
        task.check().map_err(|_| PulseError::Forked)?;
        if priority > abi::limits::PRIORITY_MAX {
            return Err(PulseError::PriorityTooHigh(priority));
        }
        let own = || Message::pulse_of(id, value, priority, task.own_identity());
        match self.resolve().settled() {
            Settled::Own(port) => port.pulse_own(None, own()),
            Settled::Facet(facet) => facet.port.pulse_own(Some(facet.id), own()),
            Settled::Import(entry) => entry.pulse(id, value, priority),
            Settled::Joining(join) => Err(PulseError::NotJoined(join.owner)),
            Settled::Dead if self.passage().is_some_and(Passage::is_over) => {
                Err(PulseError::Revoked)
            }
            Settled::Dead => Err(PulseError::Dead),
        }
    }

    /// Tells `to`, with [`Notification::DeadName`], when the port is gone; at
    /// once where it is gone already.
    ///
    /// The news comes after everything the dead task had sent to this one.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn notify_dead(&self, to: SendOnceRight) -> Result<(), SendFailure> {
        self.task().check().map_err(|_| SendFailure::Forked)?;
        match self.resolve().settled() {
            Settled::Own(port) => port.watch_death(to),
            Settled::Facet(facet) => {
                if facet.is_timed() {
                    // Somebody must be there when its time is over.
                    let _ = facet.port.task.start_background();
                }
                facet.port.watch_facet(facet.id, to);
            }
            Settled::Import(entry) => entry.watch_death(to),
            Settled::Joining(join) => join.watch_death(to),
            Settled::Dead => to.notify(Notification::DeadName),
        }
        Ok(())
    }

    /// Whether the port is known to be gone.
    pub fn is_dead(&self) -> bool {
        // In a forked child it leads nowhere.
        if self.task().check().is_err() {
            return true;
        }
        match self.resolve().settled() {
            Settled::Own(port) => !port.is_alive(),
            Settled::Facet(facet) => !facet.port.is_alive() || facet.has_ended(),
            Settled::Import(entry) => entry.is_dead(),
            Settled::Joining(_) => false,
            Settled::Dead => true,
        }
    }

    /// Asks the owner how full the port is. The library answers for the owner,
    /// whatever its own threads are doing.
    ///
    /// # Errors
    /// See [`StatusError`].
    ///
    /// # Blocking
    /// Waits for the owner until `deadline`.
    pub fn status(&self, deadline: Deadline) -> Result<PortStatus, StatusError> {
        self.task().check().map_err(|_| StatusError::Forked)?;
        let right = self.resolve();
        loop {
            if let Settled::Joining(join) = right.settled()
                && join.wait(deadline).is_err()
            {
                return Err(StatusError::Deadline);
            }
            let settled = right.settled();
            let status = match &settled {
                Settled::Own(port) if port.is_alive() => Ok(port.status()),
                Settled::Facet(facet) if facet.port.is_alive() && !facet.has_ended() => {
                    Ok(facet.port.status())
                }
                Settled::Import(entry) => entry.status(deadline),
                Settled::Joining(_) => Err(StatusError::Deadline),
                Settled::Own(_) | Settled::Facet(_) | Settled::Dead => Err(StatusError::Dead),
            };
            // The port went to another task meanwhile: that one knows.
            if status != Err(StatusError::Dead) || !settled.follows() {
                return status;
            }
        }
    }

    /// Whether naming it for the peer of `link` waits for nobody.
    pub(crate) fn is_simple_for(&self, link: &Arc<Link>) -> bool {
        match self.resolve().settled() {
            Settled::Own(_) | Settled::Facet(_) | Settled::Dead => true,
            Settled::Import(entry) => Arc::ptr_eq(&entry.link, link),
            Settled::Joining(_) => false,
        }
    }

    /// Whether the port of a send that found it gone has gone to another task.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        match self.settled() {
            Settled::Joining(_) => true,
            Settled::Own(port) => port.is_alive(),
            settled @ Settled::Import(entry) => settled.follows() || !entry.is_dead(),
            Settled::Facet(_) | Settled::Dead => false,
        }
    }

    /// The task that owns the port, where it is known.
    pub fn owner(&self) -> Option<TaskId> {
        match self.resolve().settled() {
            Settled::Own(port) => Some(port.task.id),
            Settled::Facet(facet) => Some(facet.port.task.id),
            Settled::Import(entry) => Some(entry.link.peer_task()),
            Settled::Joining(join) => Some(join.owner),
            Settled::Dead => None,
        }
    }

    /// Whether both rights lead to the same port. Of another task's port, rights
    /// with different terms are not known to lead to the same one.
    pub fn same_port(&self, other: &SendRight) -> bool {
        match (self.resolve().settled(), other.resolve().settled()) {
            (Settled::Own(one), Settled::Own(two)) => Arc::ptr_eq(one, two),
            (Settled::Facet(one), Settled::Facet(two)) => Arc::ptr_eq(&one.port, &two.port),
            (Settled::Own(port), Settled::Facet(facet))
            | (Settled::Facet(facet), Settled::Own(port)) => Arc::ptr_eq(port, &facet.port),
            (Settled::Import(one), Settled::Import(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Clone for SendRight {
    fn clone(&self) -> Self {
        let target = match &self.target {
            Target::Own(port) => {
                if port.task.check().is_ok() {
                    port.add_sender();
                }
                Target::Own(Arc::clone(port))
            }
            Target::Facet(facet) => {
                if facet.port.task.check().is_ok() {
                    facet.port.add_facet_sender(facet.id);
                }
                Target::Facet(Arc::clone(facet))
            }
            Target::Import(held) => Target::Import(held.clone()),
            Target::Joining(join) => Target::Joining(Arc::clone(join)),
            Target::Through(passage) => Target::Through(Arc::clone(passage)),
            Target::Dead(task) => Target::Dead(Arc::clone(task)),
        };
        SendRight { target }
    }
}

impl Drop for SendRight {
    fn drop(&mut self) {
        // What a forked child inherited is not its own to give back.
        match &self.target {
            Target::Own(port) if port.task.check().is_ok() => port.remove_sender(),
            Target::Facet(facet) if facet.port.task.check().is_ok() => {
                facet.port.remove_facet_sender(facet.id);
            }
            _ => {}
        }
    }
}

/// Sends a message of our own task to a port of it, on a facet or on none.
fn send_own(
    port: &PortCore,
    via: Option<u64>,
    mut message: Message,
    deadline: Deadline,
) -> Result<(), (SendFailure, Message)> {
    let sender = message.sender.replace(port.task.own_identity());
    let badge = message.badge;
    message.notification = None;
    drop(message.break_circles(port));
    port.send_own(via, message, deadline).map_err(|(reason, mut message)| {
        message.sender = sender;
        message.badge = badge;
        message.within = None;
        (reason, message)
    })
}

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
    /// Somebody is to be told when no answer is wanted any more. Whom, is known
    /// where the promise is; here, of a right to a port of our own, of which
    /// nothing but its end is told.
    pub(crate) watched: Option<Box<Watch>>,
}

impl SendOnceRight {
    pub(crate) fn own(sink: Sink) -> Self {
        SendOnceRight { target: Some(Once::Own(sink)), within: None, watched: None }
    }

    pub(crate) fn import(link: &Arc<Link>, slot: Slot) -> Self {
        link.hold_once();
        let target = Some(Once::Import(Arc::clone(link), slot));
        SendOnceRight { target, within: None, watched: None }
    }

    pub(crate) fn joining(join: Arc<Join>) -> Self {
        SendOnceRight { target: Some(Once::Joining(join)), within: None, watched: None }
    }

    pub(crate) fn dead(task: &Arc<TaskCore>) -> Self {
        SendOnceRight { target: Some(Once::Dead(Arc::clone(task))), within: None, watched: None }
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
    pub fn send(self, mut message: Message, deadline: Deadline) -> Result<(), SendOnceError> {
        match Passed::once(&self, &mut message) {
            Ok(passed) => self.send_out(message, deadline).map_err(|mut error| {
                passed.come_back(&mut error.message);
                error
            }),
            Err(reason) => Err(SendOnceError { reason, message: Box::new(message), right: self }),
        }
    }

    fn send_out(mut self, message: Message, deadline: Deadline) -> Result<(), SendOnceError> {
        let fail = |right, reason, message| {
            Err(SendOnceError { reason, message: Box::new(message), right })
        };
        let checked = self.task().map_or(Ok(()), |task| message.check_limits(task));
        if let Err(reason) = checked {
            return fail(self, reason, message);
        }
        if let Some(Once::Joining(join)) = self.settle() {
            let join = Arc::clone(join);
            if let Err(reason) = join.wait(deadline) {
                return fail(self, reason, message);
            }
        }
        let sent = match self.settle() {
            Some(Once::Own(Sink::Port(port))) if !port.is_alive() && port.gone().is_none() => {
                Err((SendFailure::Dead, message))
            }
            Some(Once::Own(sink)) => {
                let sink = sink.clone();
                let mut message = message;
                let before = message.sender.replace(sink.task().own_identity());
                message.badge = None;
                message.within = None;
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
        match sent {
            Ok(()) => {
                self.unwatch();
                if let Some(Once::Import(link, _)) = self.target.take() {
                    link.let_go_once();
                }
                Ok(())
            }
            Err((reason, message)) => fail(self, reason, message),
        }
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

    /// Whether whoever waits for this right is known to be gone.
    pub fn is_dead(&mut self) -> bool {
        if self.task().is_none_or(|task| task.check().is_err()) {
            return true;
        }
        match self.settle() {
            Some(Once::Own(sink)) => !sink.is_open(),
            Some(Once::Import(link, slot)) => link.reply_state(*slot).is_gone(),
            Some(Once::Joining(_)) => false,
            Some(Once::Dead(_)) | None => true,
        }
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

/// How long a send that may not wait waits for the owner's word.
pub(crate) const WORD: Duration = Duration::from_millis(50);
