//! Into the queue, or behind what its sender sent to an owner before us.
//!
//! `rights::port` has the rule; every message of a sender's goes through here. What it
//! sends again, since an owner before us had not read it, stands behind nothing. Nothing
//! does for ever: the task looks after it, as after places that lie unused.

use std::sync::Weak;

use abi::Offence;
use rights::port::PulseArrived;
use rights::window::Arrival;

use super::After;
use super::state::{Holder, PortState};
use crate::limits::Limit;
use crate::message::Message;

impl PortState {
    /// A message that was granted a place has come.
    pub(super) fn arrive(
        &mut self,
        holder: Holder,
        mut message: Message,
        after: &mut After,
    ) -> Result<Arrival, (Offence, Message)> {
        let again = message.part.take_again();
        let arrived = match message.sender {
            Some(sender) if !again => self.queue.arrive_of(sender.task, holder, message),
            _ => self.queue.arrive(holder, message),
        };
        self.note_behind(after);
        arrived
    }

    /// A message of our own takes a place, if one is free.
    pub(super) fn enter_queue(
        &mut self,
        message: Message,
        after: &mut After,
    ) -> Result<(), Message> {
        let entered = match message.sender {
            Some(sender) => self.queue.enter_of(sender.task, message),
            None => self.queue.enter(message),
        };
        self.note_behind(after);
        entered
    }

    /// A message is left beside the queue.
    pub(super) fn leave(
        &mut self,
        holder: Holder,
        mut message: Message,
        after: &mut After,
    ) -> Result<(), Message> {
        let again = message.part.take_again();
        let left = match message.sender {
            Some(sender) if !again => self.queue.leave_of(sender.task, holder, message),
            _ => self.queue.leave(holder, message),
        };
        self.note_behind(after);
        left
    }

    /// A message has come that has its place already.
    pub(super) fn enter_beyond(&mut self, message: Message, after: &mut After) {
        match message.sender {
            Some(sender) => self.queue.enter_beyond_of(sender.task, message),
            None => self.queue.enter_beyond(message),
        }
        self.note_behind(after);
    }

    /// A pulse has come.
    pub(super) fn take_pulse(
        &mut self,
        holder: Holder,
        pulse: Message,
        after: &mut After,
    ) -> Result<PulseArrived<Message, Holder>, (Offence, Message)> {
        let queued = match pulse.sender {
            Some(sender) => self.queue.pulse_of(sender.task, holder, pulse),
            None => self.queue.pulse(holder, pulse),
        };
        self.note_behind(after);
        queued
    }

    /// Where something has begun to stand behind, somebody must look after it.
    fn note_behind(&self, after: &mut After) {
        if let Some(place) = self.place
            && self.queue.next_look_behind() == Some(0)
        {
            after.more().watch.push((Weak::clone(&self.task), place));
        }
    }

    /// Lets in what has stood behind for too long: an old owner is silent that is not
    /// dead. What is free is to be handed out then.
    pub(super) fn look_behind(&mut self, now_ns: u64, after: &mut After) {
        let Some(task) = self.task.upgrade() else { return };
        if self.queue.look_behind(now_ns, task.limits.passing_on_ns) {
            task.counters.refuse(Limit::PassingOn);
            self.let_fall(after);
            after.tell_pollers_of(&task);
        }
    }
}
