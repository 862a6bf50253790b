//! One message left with a full port.
//!
//! It waits beside the queue with its owner, so it outlives its sender. Whoever
//! is named in it is told when it is taken from the queue; where the port ends
//! first, the right it is told on is dropped with the message.

use std::sync::Arc;

use abi::Offence;

use super::after::After;
use super::state::{Holder, PortState};
use super::{Link, Message, PortCore, SendFailure, SendOnceRight, lock};
use crate::error::LeaveError;
use crate::full::Left;

impl PortCore {
    /// Sends a message of our own task, or leaves it.
    pub(crate) fn leave_own(
        &self,
        via: Option<u64>,
        mut message: Message,
        accepted: SendOnceRight,
    ) -> Result<Left, LeaveError> {
        let (sender, badge) = (message.sender, message.badge);
        message.sender = Some(self.task.own_identity());
        message.notification = None;
        drop(message.break_circles(self));
        let now_ns = self.task.now_ns();
        let mut after = After::default();
        let left = {
            let mut state = lock(&self.state);
            match state.enter(via, message, now_ns, &mut after) {
                Ok(()) => Ok(Left::Sent(accepted)),
                Err((SendFailure::Full, mut message)) => {
                    message.put_accepted(Some(accepted));
                    state.mark(via, &mut message);
                    let id = message.id();
                    match state.leave(Holder::Own(0), message, &mut after) {
                        Ok(()) => {
                            state.count_own(via, id, now_ns, &mut after);
                            state.let_fall(&mut after);
                            state.hand_out(now_ns, &mut after);
                            state.note_asking(now_ns, &mut after);
                            Ok(Left::Waiting)
                        }
                        Err(message) => Err((SendFailure::NotifyPending, None, message)),
                    }
                }
                Err((reason, message)) => Err((reason, Some(accepted), message)),
            }
        };
        after.run();
        left.map_err(|(reason, accepted, mut message)| {
            message.sender = sender;
            message.badge = badge;
            message.put_within(None);
            let accepted = accepted.or_else(|| message.take_accepted());
            LeaveError { reason, message: Box::new(message), accepted }
        })
    }

    /// A peer leaves a message.
    pub(crate) fn arrive_left(
        &self,
        link: &Arc<Link>,
        via: u64,
        mut message: Message,
        after: &mut After,
    ) -> Result<(), Offence> {
        let mut state = match self.at_home(link, via, |queue, holder| queue.pass_on_left(holder)) {
            Ok(state) => state,
            Err(away) => return away.take(link, via, message, after),
        };
        let now_ns = self.task.now_ns();
        let admitted = match state.admit(self.id, via, &message, now_ns, after) {
            Ok(admitted) => admitted,
            Err(_) => {
                after.more().refused.push(message);
                state.facets.rules.count_refused();
                let place = state.boards.get(&(link.number, via));
                if let Some(place) = place {
                    after.more().takens.push((Arc::clone(link), place.slot));
                }
                return Ok(());
            }
        };
        if via != self.id {
            state.mark(Some(via), &mut message);
        }
        if let Err(message) = state.leave(Holder::Link(link.number, via), message, after) {
            after.drop_later(message);
            return Err(Offence::LeftTwice);
        }
        state.let_fall(after);
        state.hand_out(now_ns, after);
        state.note_asking(now_ns, after);
        state.queued(admitted, now_ns, after);
        Ok(())
    }
}

impl PortState {
    /// What the policy has dropped ends, and who had left some of it may leave another.
    pub(super) fn let_fall(&mut self, after: &mut After) {
        after.drop_all(self.queue.fallen());
        self.tell_taken(after);
    }

    /// Lets who left a message know that it may leave another.
    pub(super) fn tell_taken(&mut self, after: &mut After) {
        for holder in self.queue.left_taken() {
            if let Holder::Link(number, via) = holder
                && let Some(place) = self.boards.get(&(number, via))
                && let Some(link) = place.link.upgrade()
            {
                after.more().takens.push((link, place.slot));
            }
        }
    }
}
