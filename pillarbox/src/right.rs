//! Send rights and send-once rights.
//!
//! Ownership is the protocol: a right that is moved into a message is given
//! away, a clone is a copy, a drop gives it back. A send-once right that is
//! dropped unused speaks.

mod many;
mod once;
mod sink;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use abi::TaskId;
use abi::frame::PortStatus;

use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{PulseError, SendError, SendFailure, StatusError};
use crate::facet::Facet;
use crate::link::{Entry, Held, Join, Joined, Link};
use crate::membrane::{Passage, Passed};
use crate::message::{Message, Notification};
use crate::port::{After, PortCore};

pub(crate) use self::once::Once;
pub use self::once::SendOnceRight;
pub(crate) use self::sink::Sink;

/// How long a send that may not wait waits for the owner's word.
pub(crate) const WORD: Duration = Duration::from_millis(50);

/// What a send right leads to.
#[derive(Debug)]
pub(crate) enum Target {
    /// A port of this task; and once that has gone to another task, what follows it
    /// there.
    Own(Arc<PortCore>, OnceLock<Arc<Join>>),
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

/// A place on the way to where a right leads.
#[derive(Clone, Copy)]
enum Step<'a> {
    Right(&'a SendRight),
    Entry(&'a Arc<Entry>),
    Join(&'a Arc<Join>),
}

/// Goes from one place to the next until something is settled: a port may have gone
/// to another task, and from that one to a third. Peers say where, and may lie: a way
/// that leads back into itself leads nowhere.
fn go_after(step: Step<'_>) -> Settled<'_> {
    go_until(step, |_| false)
}

/// Whether what a claim led to leads back to an entry: that it came from.
pub(crate) fn leads_back(joined: &Joined, is_it: impl Fn(&Entry) -> bool) -> bool {
    let step = match joined {
        Joined::Send(held) => Step::Entry(held.entry()),
        Joined::Own(right) => Step::Right(right),
        Joined::Once(..) | Joined::Back | Joined::Dead => return false,
    };
    let mut met = false;
    let _ = go_until(step, |entry| {
        met = is_it(entry);
        met
    });
    met
}

/// Whether what led to this entry leads nowhere now.
pub(crate) fn leads_nowhere(entry: &Arc<Entry>) -> bool {
    matches!(go_after(Step::Entry(entry)), Settled::Dead)
}

/// Goes on until `met` says so of an entry on the way.
fn go_until<'a>(mut step: Step<'a>, mut met: impl FnMut(&Entry) -> bool) -> Settled<'a> {
    // A mark that is set anew after twice as many steps each time is met again in a
    // circle, and in nothing else (Brent).
    let (mut mark, mut steps, mut until): (Option<&Arc<Entry>>, u32, u32) = (None, 0, 1);
    loop {
        step = match step {
            Step::Right(right) => match &right.target {
                Target::Own(port, own) => {
                    let Some(gone) = port.gone() else { return Settled::Own(port) };
                    if own.get().is_none()
                        && let Some(join) = gone.own()
                    {
                        let _ = own.set(join);
                    }
                    let Some(join) = own.get() else { return Settled::Dead };
                    Step::Join(join)
                }
                Target::Facet(facet) => return Settled::Facet(facet),
                Target::Import(held) => Step::Entry(held.entry()),
                Target::Joining(join) => Step::Join(join),
                Target::Through(_) | Target::Dead(_) => return Settled::Dead,
            },
            Step::Join(join) => match join.result() {
                None => return Settled::Joining(join),
                Some(Joined::Send(held)) => Step::Entry(held.entry()),
                Some(Joined::Own(right)) => Step::Right(right),
                Some(Joined::Once(..) | Joined::Back | Joined::Dead) => return Settled::Dead,
            },
            Step::Entry(entry) => {
                if met(entry) || mark.is_some_and(|mark| Arc::ptr_eq(mark, entry)) {
                    return Settled::Dead;
                }
                steps += 1;
                if steps == until {
                    (mark, steps, until) = (Some(entry), 0, until.saturating_mul(2));
                }
                let mut last = entry.moved().get();
                while let Some(moved) = last
                    && matches!(moved.join.result(), Some(Joined::Back))
                {
                    last = moved.next.get();
                }
                let Some(moved) = last else { return Settled::Import(entry) };
                Step::Join(&moved.join)
            }
        };
    }
}

/// The looks of one wait for where a port has gone. Whether it goes on for ever peers
/// say, and may lie: so there is an end, a word behind the deadline.
#[derive(Default)]
pub(crate) struct Looks {
    late_since: Option<Instant>,
}

impl Looks {
    /// Whether to look once more.
    pub(crate) fn again(&mut self, deadline: Deadline) -> bool {
        !deadline.has_passed() || self.again_late(Instant::now())
    }

    /// The same behind the deadline.
    fn again_late(&mut self, now: Instant) -> bool {
        now.duration_since(*self.late_since.get_or_insert(now)) < WORD
    }
}

impl Settled<'_> {
    /// Who is to say where it leads.
    fn owner(&self) -> Option<TaskId> {
        match self {
            Settled::Import(entry) => Some(entry.link.peer_task()),
            Settled::Joining(join) => Some(join.owner),
            Settled::Own(_) | Settled::Facet(_) | Settled::Dead => None,
        }
    }

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
        SendRight { target: Target::Own(Arc::clone(port), OnceLock::new()) }
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
        join.hold();
        SendRight { target: Target::Joining(join) }
    }

    pub(crate) fn dead(task: &Arc<TaskCore>) -> Self {
        SendRight { target: Target::Dead(Arc::clone(task)) }
    }

    pub(crate) fn task(&self) -> &Arc<TaskCore> {
        match &self.target {
            Target::Own(port, _) => &port.task,
            Target::Facet(facet) => &facet.port.task,
            Target::Import(held) => &held.entry().link.task,
            Target::Joining(join) => &join.task,
            Target::Through(passage) => passage.task(),
            Target::Dead(task) => task,
        }
    }

    /// Where the right leads. One that a membrane holds is resolved first.
    pub(crate) fn settled(&self) -> Settled<'_> {
        go_after(Step::Right(self))
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
    /// [`SendFailure`]: [`SendFailure::OverLimit`] where the port is unbounded and
    /// what waits for it takes as much memory as this task allows itself.
    ///
    /// # Blocking
    /// Waits for room until `deadline`. Before it says that a port of another
    /// task is full it asks that task once and takes its word: with
    /// [`Deadline::Now`], and with a deadline that leaves no time for the answer,
    /// it waits for that word at most 50 ms. To an unbounded port nobody waits, but
    /// with a receive right in the message, or while the port is about to move.
    pub fn send(&self, mut message: Message, deadline: Deadline) -> Result<(), SendError> {
        match self.send_at_once(&mut message, deadline) {
            Some(Ok(())) => {
                message.let_go();
                return Ok(());
            }
            Some(Err(reason)) => return Err(SendError { reason, message: Box::new(message) }),
            None => {}
        }
        match Passed::on(self, &mut message) {
            Ok(passed) => {
                let (passed, sent) = shm::jump::held(passed, drop, |passed| {
                    passed.right(self).send_out(message, deadline)
                });
                sent.map_err(|mut error| {
                    passed.come_back(&mut error.message);
                    error
                })
            }
            Err(reason) => Err(SendError { reason, message: Box::new(message) }),
        }
    }

    /// Sends what is a body and nothing else, but for a reply right, one right or one loan,
    /// where nothing is in its way. `None` where the general way is to be taken, with nothing done; on a
    /// failure the message is as it was.
    #[inline]
    pub(crate) fn send_at_once(
        &self,
        message: &mut Message,
        deadline: Deadline,
    ) -> Option<Result<(), SendFailure>> {
        match &self.target {
            Target::Import(held) => {
                let (link, entry) = (&held.entry().link, held.entry());
                let sent = link.send_plain(entry, message) || link.send_laden(entry, message);
                sent.then_some(Ok(()))
            }
            Target::Own(port, _) => port.post(message, deadline),
            _ => None,
        }
    }

    /// Sends what has passed the membranes.
    fn send_out(&self, message: Message, deadline: Deadline) -> Result<(), SendError> {
        let fail = |reason, message| Err(SendError { reason, message: Box::new(message) });
        if let Err(reason) = message.check_limits(self.task()) {
            return fail(reason, message);
        }
        let (mut message, mut looks) = (message, Looks::default());
        loop {
            if let Settled::Joining(join) = self.settled() {
                let waited;
                (message, waited) = shm::jump::held(message, drop, |_| join.wait(deadline));
                if let Err(reason) = waited {
                    return fail(reason, message);
                }
            }
            let settled = self.settled();
            let sent = match &settled {
                Settled::Own(port) => send_own(port, None, message, deadline),
                Settled::Facet(facet) => send_own(&facet.port, Some(facet.id), message, deadline),
                Settled::Import(entry) => entry.link.send(entry, message, deadline),
                // Its port went on while we waited: so does the right.
                Settled::Joining(join) if !looks.again(deadline) => {
                    Err((SendFailure::NotJoined(join.owner), message))
                }
                Settled::Joining(_) => continue,
                Settled::Dead => Err((SendFailure::Dead, message)),
            };
            match sent {
                Ok(()) => return Ok(()),
                // The port went to another task meanwhile: the right goes after it.
                Err((SendFailure::Dead, back)) if settled.follows() => {
                    if let Some(owner) = settled.owner()
                        && !looks.again(deadline)
                    {
                        return fail(SendFailure::NotJoined(owner), back);
                    }
                    message = back;
                }
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
            Settled::Joining(join) => {
                join.be_patient();
                Err(PulseError::NotJoined(join.owner))
            }
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
    /// # Rights
    /// Consumes `to`.
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
            Settled::Own(port) => !port.is_alive_anywhere(),
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
        let mut looks = Looks::default();
        loop {
            if let Settled::Joining(join) = right.settled()
                && join.wait(deadline).is_err()
            {
                return Err(StatusError::Deadline);
            }
            if !looks.again(deadline) {
                return Err(StatusError::Deadline);
            }
            let settled = right.settled();
            let status = match &settled {
                Settled::Own(port) if port.is_alive() => Ok(port.status()),
                Settled::Facet(facet) if facet.port.is_alive() && !facet.has_ended() => {
                    Ok(facet.port.status())
                }
                Settled::Import(entry) => entry.status(deadline),
                // Its port went on while we waited: so does the right.
                Settled::Joining(_) => continue,
                Settled::Own(_) | Settled::Facet(_) | Settled::Dead => Err(StatusError::Dead),
            };
            // The port went to another task meanwhile: that one knows.
            if status != Err(StatusError::Dead) || !settled.follows() {
                return status;
            }
        }
    }

    /// Reads what the owner has written to us so far.
    pub(crate) fn read_owner(&self) {
        if let Settled::Import(entry) = self.resolve().settled() {
            entry.link.task.drain_link(&entry.link);
        }
    }

    /// The port of our own that it is a right to.
    pub(crate) fn own_port(&self) -> Option<&Arc<PortCore>> {
        match &self.target {
            Target::Own(port, _) => Some(port),
            _ => None,
        }
    }

    /// Puts messages that the port's dead owner had not read into its queue here.
    pub(crate) fn adopt_again(&self, messages: VecDeque<Message>, after: &mut After) {
        match &self.target {
            Target::Own(port, _) => port.adopt_own(messages, after),
            _ => messages.into_iter().for_each(|message| after.drop_later(message)),
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
    /// Where it was `found` on this entry, the same entry is no other place: its peer
    /// may have hung up, and the thread that buries it not have come so far.
    pub(crate) fn leads_elsewhere(&self, found: Option<&Arc<Entry>>) -> bool {
        match self.settled() {
            Settled::Joining(_) => true,
            Settled::Own(port) => port.is_alive_anywhere(),
            settled @ Settled::Import(entry) => {
                let same = found.is_some_and(|found| Arc::ptr_eq(entry, found));
                settled.follows() || !same && !entry.is_dead()
            }
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

    /// Of a right to a port of its own task, the number of that port, as
    /// [`ReceiveRight::id`](crate::ReceiveRight::id) tells it.
    pub fn port_id(&self) -> Option<u64> {
        match self.resolve().settled() {
            Settled::Own(port) => Some(port.id),
            Settled::Facet(facet) => Some(facet.port.id),
            Settled::Import(_) | Settled::Joining(_) | Settled::Dead => None,
        }
    }

    /// Whether both rights lead to the same port. Of another task's port, rights
    /// with different terms are not known to lead to the same one.
    ///
    /// # Rights
    /// Borrows both.
    pub fn same_port(&self, other: &SendRight) -> bool {
        match (self.resolve().settled(), other.resolve().settled()) {
            (Settled::Own(one), Settled::Own(two)) => Arc::ptr_eq(one, two),
            (Settled::Facet(one), Settled::Facet(two)) => Arc::ptr_eq(&one.port, &two.port),
            (Settled::Own(port), Settled::Facet(facet))
            | (Settled::Facet(facet), Settled::Own(port)) => Arc::ptr_eq(port, &facet.port),
            (Settled::Import(one), Settled::Import(two)) => Arc::ptr_eq(one, two),
            // Of two that are not confirmed only their copies are known to.
            (Settled::Joining(one), Settled::Joining(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Clone for SendRight {
    fn clone(&self) -> Self {
        let target = match &self.target {
            Target::Own(port, own) => {
                if port.task.check().is_ok() {
                    port.add_sender();
                }
                Target::Own(Arc::clone(port), own.clone())
            }
            Target::Facet(facet) => {
                if facet.port.task.check().is_ok() {
                    facet.port.add_facet_sender(facet.id);
                }
                Target::Facet(Arc::clone(facet))
            }
            Target::Import(held) => Target::Import(held.clone()),
            Target::Joining(join) => {
                join.hold();
                Target::Joining(Arc::clone(join))
            }
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
            Target::Own(port, _) if port.task.check().is_ok() => port.remove_sender(),
            Target::Facet(facet) if facet.port.task.check().is_ok() => {
                facet.port.remove_facet_sender(facet.id);
            }
            Target::Joining(join) if join.task.check().is_ok() => join.let_go(),
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
        message.put_within(None);
        (reason, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_end_a_word_behind_the_deadline() {
        let (mut looks, late) = (Looks::default(), Instant::now());
        assert!(looks.again(Deadline::Never) && looks.again_late(late));
        assert!(looks.again_late(late + WORD / 2));
        assert!(!looks.again_late(late + WORD));
        assert!(looks.again(Deadline::Never));
    }
}
