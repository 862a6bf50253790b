//! A port as a member of port sets.
//!
//! Under the port's lock, a port that has something to take, or whose senders
//! ask for a receiver, stands in the list of each of its sets, or somebody who
//! waits at the set is about to look at it.

use std::sync::Arc;

use rights::window::Capacity;

use super::PortCore;
use super::after::After;
use super::receive::taken_out;
use super::state::{PortState, Wants};
use crate::message::Message;
use crate::set::{Attends, SetCore, SetError, Visit};
use crate::wait::Waiter;
use crate::wait::parking::lock;

impl PortState {
    /// Something may be taken: each set hears of it.
    pub(super) fn note_ready(&self, after: &mut After) {
        for set in &self.sets {
            set.note(self.id, after);
        }
    }

    /// Whether senders ask for a receiver, or their messages wait for one.
    fn is_asked(&self) -> bool {
        let window = &self.queue.window;
        window.capacity() == Capacity::Rendezvous && (window.asking() > 0 || window.beside() > 0)
    }

    /// Somebody who waits at a set receives here, too, from now on. Returns
    /// whether there was one.
    pub(super) fn attend(&mut self, now_ns: u64, after: &mut After) -> bool {
        if self.queue.window.capacity() != Capacity::Rendezvous {
            return false;
        }
        let attendant = self.sets.iter().find_map(|set| set.attendant(self.id));
        let found = attendant.is_some();
        if let Some(waiter) = attendant {
            self.join_receivers(&waiter, Wants::Any, now_ns, after);
        }
        found
    }

    /// Senders may ask for a receiver: who waits at a set is one now, or is one
    /// as soon as it comes.
    pub(super) fn note_asking(&mut self, now_ns: u64, after: &mut After) {
        // Who attends has let us look again.
        if !self.sets.is_empty() && self.is_asked() && !self.attend(now_ns, after) {
            self.note_ready(after);
        }
    }

    /// Takes the first message if its body is no longer than `room`; else says how
    /// long it is.
    fn take_within(
        &mut self,
        room: usize,
        now_ns: u64,
        after: &mut After,
    ) -> Option<Result<Message, usize>> {
        if room < usize::MAX {
            let spot = self.queue.first()?;
            let bytes = self.queue.get(spot)?.0.body_len();
            if bytes > room {
                return Some(Err(bytes));
            }
        }
        self.take(Wants::Any, now_ns, after).map(Ok)
    }

    /// The port is in no set any more.
    #[inline]
    #[must_use = "sets are let go without a lock"]
    pub(super) fn leave_sets(&mut self) -> Vec<Arc<SetCore>> {
        for set in &self.sets {
            let _ = set.forget(self.id);
        }
        std::mem::take(&mut self.sets)
    }
}

impl PortCore {
    /// The port becomes a member of `set`.
    pub(crate) fn join_set(self: &Arc<Self>, set: &Arc<SetCore>) -> Result<(), SetError> {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            if state.sets.iter().any(|other| Arc::ptr_eq(other, set)) {
                return Ok(());
            }
            if state.sets.len() >= abi::limits::PORT_SETS {
                return Err(SetError::TooManySets);
            }
            state.sets.push(Arc::clone(set));
            set.admit(self);
            if state.queue.has_ready() {
                set.note(self.id, &mut after);
            }
            state.note_asking(self.task.now_ns(), &mut after);
        }
        after.run();
        Ok(())
    }

    /// The port is a member of `set` no more. Returns whether it was.
    pub(crate) fn leave_set(&self, set: &Arc<SetCore>) -> bool {
        let mut after = After::default();
        let gone;
        {
            let mut state = lock(&self.state);
            gone = state.sets.extract_if(.., |other| Arc::ptr_eq(other, set)).next();
            for waiter in set.forget(self.id) {
                state.leave_receivers(&waiter, &mut true, self.task.now_ns(), &mut after);
            }
        }
        after.run();
        gone.is_some()
    }

    /// Somebody who waits at `set` looks here, and has so much room.
    pub(crate) fn visit(&self, set: &Arc<SetCore>, waiter: &Arc<Waiter>, room: usize) -> Visit {
        let now_ns = self.task.now_ns();
        let mut after = After::default();
        let visit = {
            let mut state = lock(&self.state);
            if !state.sets.iter().any(|other| Arc::ptr_eq(other, set)) {
                return Visit::Nothing;
            }
            let mut taken = state.take_within(room, now_ns, &mut after);
            if taken.is_none() && state.is_asked() && set.attend(self.id, waiter) == Attends::Anew {
                // A sender of our own has its message queued by that.
                state.join_receivers(waiter, Wants::Any, now_ns, &mut after);
                taken = state.take_within(room, now_ns, &mut after);
            }
            if state.queue.has_ready() || taken.is_some() && state.is_asked() {
                set.note(self.id, &mut after);
            }
            match taken {
                Some(Ok(message)) => Visit::Taken(Box::new(message)),
                Some(Err(bytes)) => Visit::TooLong(bytes),
                None if state.is_asked() => Visit::Asked,
                None => Visit::Nothing,
            }
        };
        after.run();
        match visit {
            Visit::Taken(message) => Visit::Taken(Box::new(taken_out(*message))),
            other => other,
        }
    }

    /// Somebody who waited at a set receives here no more. With `wanted` it takes
    /// what came meanwhile.
    pub(crate) fn unattend(&self, waiter: &Arc<Waiter>, wanted: bool) -> Option<Message> {
        let now_ns = self.task.now_ns();
        let mut after = After::default();
        let taken = {
            let mut state = lock(&self.state);
            let taken = wanted.then(|| state.take(Wants::Any, now_ns, &mut after)).flatten();
            state.leave_receivers(waiter, &mut true, now_ns, &mut after);
            taken
        };
        after.run();
        taken.map(taken_out)
    }
}
