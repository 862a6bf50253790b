//! A future of our own task that waits for a place in a queue.
//!
//! It is granted a place in turn, as a peer is, and keeps its message until it
//! comes for the place. So it is the poll that says so which queues the
//! message, and nothing happens to a message whose future is not polled.

use std::sync::Arc;

use rights::queue::Labelled;

use super::state::Holder;
use super::{After, PortCore};
use crate::error::SendFailure;
use crate::message::Message;
use crate::wait::Waiter;
use crate::wait::parking::lock;

impl PortCore {
    /// Queues a message of our own task if there is room now.
    pub(crate) fn enter(
        &self,
        via: Option<u64>,
        message: Message,
    ) -> Result<(), (SendFailure, Message)> {
        let mut after = After::default();
        let entered = lock(&self.state).enter(via, message, self.task.now_ns(), &mut after);
        after.tell_pollers_of(&self.task);
        after.run();
        entered
    }

    /// Who of our own task waits for a place looks again.
    pub(crate) fn wake_senders(&self, after: &mut After) {
        lock(&self.state).wake_own_senders(after);
    }

    /// Asks for a place in the queue; `waiter` is told when it is granted.
    pub(crate) fn ask_for_place(&self, key: u64, priority: u16, waiter: &Arc<Waiter>) {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            state.own_asking.insert(key, Arc::clone(waiter));
            let _ = state.queue.window.join(Holder::Own(key));
            state.queue.window.ask(Holder::Own(key), priority);
            state.hand_out(self.task.now_ns(), &mut after);
            state.note_asking(self.task.now_ns(), &mut after);
        }
        after.run();
    }

    /// Queues the message on the place that was asked for. Without a reason it
    /// is not granted yet.
    pub(crate) fn use_place(
        &self,
        key: u64,
        via: Option<u64>,
        mut message: Message,
    ) -> Result<(), (Option<SendFailure>, Message)> {
        let now_ns = self.task.now_ns();
        let mut after = After::default();
        let used = {
            let mut state = lock(&self.state);
            if !state.alive {
                return Err((Some(SendFailure::Dead), message));
            }
            if let Err(failure) = state.permits(via, &message, now_ns) {
                return Err((Some(failure), message));
            }
            state.mark(via, &mut message);
            let (id, label) = (message.id(), message.label());
            let used = state.arrive(Holder::Own(key), message, &mut after);
            if used.is_ok() {
                state.count_own(via, id, now_ns, &mut after);
                state.wake_for(label, &mut after);
                state.let_fall(&mut after);
                // Others may have stood in line before it.
                state.hand_out(now_ns, &mut after);
            }
            used.map(|_| ()).map_err(|(_, message)| (None, message))
        };
        after.tell_pollers_of(&self.task);
        after.run();
        used
    }

    /// Asks no more; a place it was granted and did not use is the next one's.
    pub(crate) fn leave_place(&self, key: u64) {
        let mut after = After::default();
        let gone = {
            let mut state = lock(&self.state);
            let gone = state.own_asking.remove(&key);
            state.queue.window.leave(Holder::Own(key));
            state.hand_out(self.task.now_ns(), &mut after);
            gone
        };
        drop(gone);
        after.run();
    }

    /// Waits no more for a message. If messages are left, the next is told.
    pub(crate) fn leave_receivers(&self, waiter: &Arc<Waiter>, waiting: &mut bool) {
        if *waiting && self.state.open_chute().is_some_and(|chute| chute.go(waiter)) {
            *waiting = false;
            return;
        }
        let mut after = After::default();
        lock(&self.state).leave_receivers(waiter, waiting, self.task.now_ns(), &mut after);
        after.run();
    }
}
