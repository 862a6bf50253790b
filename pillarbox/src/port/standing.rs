//! Threads of our own task that stand in line for a place, each with its message.
//!
//! The line is at the top of the chute while that is open, else at the queue; it goes
//! from one to the other with everything else. So who stands in it looks at both.

use std::time::Duration;

use rights::chute::Refused;

use super::PortCore;
use super::after::After;
use super::chute::Chute;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::Message;
use crate::wait::parking::lock;
use crate::wait::{Spin, Waiter};

/// How many turns who found the chute full lets pass before each look: if it looked at
/// once, it would wake up to one place after the other.
const PAUSE: u32 = 32;

impl PortCore {
    /// Waits for a place in the chute, which was full. `None` where it is shut, with
    /// nothing done.
    #[cold]
    pub(super) fn post_later(
        &self,
        chute: &Chute,
        message: &mut Message,
        deadline: Deadline,
    ) -> Option<Result<(), SendFailure>> {
        if !look_for_room(&self.task, chute, message, deadline) {
            let key = self.task.next_id();
            chute.stand(key, &Waiter::mine(), message).ok()?;
            if let Err((failure, back)) = self.stand_in_line(key, None, deadline) {
                message.body = back.body;
                return Some(Err(failure));
            }
        }
        if self.task.is_polled() {
            self.task.tell_pollers();
        }
        Some(Ok(()))
    }

    /// Waits for a place at the queue.
    pub(super) fn send_own_later(
        &self,
        via: Option<u64>,
        message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        let key = self.task.next_id();
        let mut after = After::default();
        lock(&self.state).wait_to_enter(
            key,
            via,
            message,
            &Waiter::mine(),
            self.task.now_ns(),
            &mut after,
        );
        after.run();
        self.stand_in_line(key, via, deadline)
    }

    /// Stands in line until its message is in, or may not be, or `deadline`.
    fn stand_in_line(
        &self,
        key: u64,
        via: Option<u64>,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        // Where its time is over first, that ends the wait.
        let due = via.and_then(|via| lock(&self.state).facets.rules.due(via));
        let due = due.and_then(|due| self.task.start().checked_add(Duration::from_nanos(due)));
        let until = due.map_or(deadline, |due| Deadline::At(deadline.instant_or(due)));
        let jumped = |()| drop(self.leave_line(key));
        let entered = shm::jump::held((), jumped, |()| {
            self.task.wait(until, None, |_| self.what_became_of(key))
        });
        let entered = entered.1;
        match (entered, self.leave_line(key)) {
            (Some(result), _) => result,
            // Queued between the last look and now, or not at all.
            (None, None) => Ok(()),
            (None, Some(message)) => {
                let permitted = lock(&self.state).permits(via, &message, self.task.now_ns());
                Err((permitted.err().unwrap_or(SendFailure::Full), message))
            }
        }
    }

    /// What has become of a message in line; `None` while it may wait on.
    fn what_became_of(&self, key: u64) -> Option<Result<(), (SendFailure, Message)>> {
        let mut state = self.state.beside_the_queue();
        if state.own_waiting.contains_key(&key) {
            return state.entered(key, self.task.now_ns());
        }
        // The chute is opened and shut under the lock we hold.
        let waits = self.state.chute().is_some_and(|chute| chute.stands(key));
        (!waits).then_some(Ok(()))
    }

    /// Leaves the line. Returns the message where it was not queued.
    fn leave_line(&self, key: u64) -> Option<Message> {
        {
            let state = self.state.beside_the_queue();
            if !state.own_waiting.contains_key(&key) {
                return self.state.chute().and_then(|chute| chute.leave(key));
            }
        }
        let mut after = After::default();
        let left = lock(&self.state).withdraw(key, self.task.now_ns(), &mut after);
        after.run();
        left
    }
}

/// Looks a bounded while for a place. Returns whether the message is in.
fn look_for_room(
    task: &TaskCore,
    chute: &Chute,
    message: &mut Message,
    deadline: Deadline,
) -> bool {
    let mut spin = Spin::begin(task, deadline);
    while (0..PAUSE).all(|_| spin.turn()) {
        match chute.post(message) {
            Ok(()) => {
                return true;
            }
            Err(Refused::Shut) => return false,
            Err(Refused::Full) => {}
        }
    }
    false
}
