//! Where the answer of a call arrives.

use std::sync::{Arc, Mutex};

use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::CallError;
use crate::link::Link;
use crate::message::{Message, Notification};
use crate::port::After;
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// A port for one message, without a queue.
#[derive(Debug)]
pub(crate) struct ReplyCell {
    pub(crate) id: u64,
    pub(crate) task: Arc<TaskCore>,
    state: Mutex<CellState>,
}

#[derive(Debug)]
enum CellState {
    /// Nobody looks yet.
    Open,
    /// This thread looks.
    Waited(Arc<Waiter>),
    /// Here it is.
    Answered(Box<Message>),
    /// Nobody looks any more.
    Closed,
}

impl ReplyCell {
    pub(crate) fn new(task: &Arc<TaskCore>) -> Arc<Self> {
        let id = task.next_id();
        Arc::new(ReplyCell { id, task: Arc::clone(task), state: Mutex::new(CellState::Open) })
    }

    pub(crate) fn arrive(&self, message: Message, after: &mut After) {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, CellState::Closed) {
            CellState::Open => *state = CellState::Answered(Box::new(message)),
            CellState::Waited(waiter) => {
                *state = CellState::Answered(Box::new(message));
                after.wake(waiter);
            }
            earlier @ CellState::Answered(_) => {
                *state = earlier;
                after.drop_later(message);
            }
            CellState::Closed => after.drop_later(message),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*lock(&self.state), CellState::Closed)
    }

    /// Nobody looks any more: what still comes is dropped.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut *lock(&self.state), CellState::Closed);
        drop(before);
    }

    pub(crate) fn wait(
        &self,
        deadline: Deadline,
        link: Option<&Link>,
    ) -> Result<Message, CallError> {
        match self.task.wait(deadline, link, |waiter| self.look(waiter)) {
            Some(answer) => ReplyCell::verdict(*answer),
            None => {
                self.close();
                Err(CallError::Deadline)
            }
        }
    }

    /// Takes what was answered, or leaves the waiter to be told.
    pub(crate) fn look(&self, waiter: &Arc<Waiter>) -> Option<Box<Message>> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, CellState::Closed) {
            CellState::Answered(message) => Some(message),
            CellState::Open | CellState::Waited(_) => {
                *state = CellState::Waited(Arc::clone(waiter));
                None
            }
            CellState::Closed => None,
        }
    }

    /// An answer, or what became of the promise of one.
    pub(crate) fn verdict(mut answer: Message) -> Result<Message, CallError> {
        answer.charge = None;
        match answer.notification {
            Some(Notification::SendOnceDropped) if answer.sender.is_none() => {
                Err(CallError::Dropped)
            }
            Some(Notification::SendOnceDied) if answer.sender.is_none() => Err(CallError::Died),
            Some(Notification::Refused) => Err(CallError::Refused),
            _ => Ok(answer),
        }
    }
}
