//! Receiving a message as it comes, by the thread that waits for it.
//!
//! Who waits looks into the lanes itself for as long as it may spin. What it finds
//! there for its port it takes, past the queue, where that comes to the same. What else
//! lies there it reads as any thread does that drains, a few turns long; then, and
//! wherever anything is in the way, it goes the general way.

use abi::Slot;

use super::PortCore;
use super::general::General;
use super::receive::taken_out;
use super::state::Holder;
use crate::deadline::Deadline;
use crate::link::{Link, Turn};
use crate::message::Message;
use crate::set::SetCore;
use crate::wait::parking::{lock, try_lock};
use crate::wait::{BURST, Spin};

/// How often who waits for one port reads what is for others before it looks at its
/// deadline.
pub(crate) const TURNS: u32 = 16;

/// A port whose lock is held, which nobody stands in line at.
pub(crate) struct Passing<'a> {
    id: u64,
    state: General<'a>,
}

impl Passing<'_> {
    /// A message of the link's peer comes on `slot` and is received at once. Returns
    /// the number of its turn, or `None` where it must lie in the queue, or may not.
    #[inline]
    pub(crate) fn pass(&mut self, link: &Link, slot: Slot) -> Option<u64> {
        let holder = Holder::Link(link.number, self.id);
        let passed = self.state.queue.pass(holder)?;
        self.state.count_passed(link.number);
        if let Some(raise) = passed.raise {
            link.own_page().set_grant(slot.index, raise.grant);
        }
        Some(passed.sequence)
    }

    /// The same for an answer that a send-once right promised.
    #[inline]
    pub(crate) fn pass_once(&mut self) -> Option<u64> {
        let sequence = self.state.queue.pass_beyond()?;
        self.state.promise_ended(None);
        Some(sequence)
    }

    /// Whether [`Passing::pass_once`] would pass it.
    pub(crate) fn may_pass_once(&self) -> bool {
        self.state.queue.may_pass_beyond()
    }

    /// Whether the port is a member of the set.
    fn is_of(&self, set: &SetCore) -> bool {
        self.state.sets.iter().any(|other| std::ptr::eq(&**other, set))
    }
}

/// Where somebody receives messages as they come: at a port itself, or at a set for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near<'a> {
    pub(crate) port: &'a PortCore,
    pub(crate) set: Option<&'a SetCore>,
}

impl<'a> Near<'a> {
    /// To receive messages here as they come, where nobody stands in line and the port
    /// is here and alive. A set may have lost it, or be closed, since one looked.
    #[inline]
    pub(crate) fn passing(self) -> Option<Passing<'a>> {
        let passing = self.port.passing()?;
        let may = self.set.is_none_or(|set| passing.is_of(set) && set.is_free());
        may.then_some(passing)
    }
}

impl PortCore {
    /// To receive messages here as they come, where nobody stands in line and the port
    /// is here and alive.
    #[inline]
    pub(crate) fn passing(&self) -> Option<Passing<'_>> {
        let state = lock(&self.state);
        let alone = state.receivers.is_empty() && state.alive && self.gone().is_none();
        alone.then_some(Passing { id: self.id, state })
    }

    /// Takes a message out of a lane if one comes while this thread spins.
    #[inline]
    pub(crate) fn receive_awake(&self, deadline: Deadline) -> Option<Message> {
        let task = &self.task;
        let near = Near { port: self, set: None };
        let _hush = task.hush()?;
        let mut spin = Spin::begin(task, deadline);
        let mut turns = 0;
        'turns: loop {
            // What is here goes before what comes.
            if let Some(message) = self.take_posted() {
                return Some(message);
            }
            let by_chute = self.state.is_chute();
            if task.has_business() {
                return None;
            }
            // Where no lane leads to, or another thread looks into them, what comes
            // shows at the chute.
            let linked = !by_chute || task.has_been_linked();
            let Some(mut seat) = linked.then(|| try_lock(&task.seat)).flatten() else {
                if !by_chute {
                    return None;
                }
                while !self.state.stirs() {
                    if !spin.turn() {
                        return None;
                    }
                }
                continue;
            };
            let _ = seat.links(task);
            for look in 0..BURST {
                if by_chute && self.state.stirs() {
                    break;
                }
                if let Some(link) = seat.next_with_frames() {
                    // Where something is here already it does not pass it.
                    if let Some(message) = link.take_plain(near) {
                        return Some(message);
                    }
                    // What waits here goes first. Else a flood would be read into the
                    // queue for ever, and nothing of it pass.
                    turns += 1;
                    if turns > TURNS || !by_chute && lock(&self.state).queue.has_ready() {
                        return None;
                    }
                    let mut turn = Turn::default();
                    let message = link.drain_near(near, &mut turn);
                    task.answer_claims(&mut turn);
                    drop(seat);
                    task.finish_turn(turn);
                    task.tell_pollers();
                    match message {
                        Some(message) => return Some(taken_out(message)),
                        None => continue 'turns,
                    }
                }
                let here = look == 0 && !by_chute && lock(&self.state).queue.has_ready();
                if here || !spin.turn() {
                    return None;
                }
            }
        }
    }
}
