//! Into the queue, or behind what its sender sent to an owner before us.
//!
//! `rights::port` has the rule; every message of a sender's goes through here, but what
//! comes on a send-once right.

use abi::Offence;
use rights::window::Arrival;

use super::state::{Holder, PortState};
use crate::message::Message;

impl PortState {
    /// A message that was granted a place has come.
    pub(super) fn arrive(
        &mut self,
        holder: Holder,
        message: Message,
    ) -> Result<Arrival, (Offence, Message)> {
        match message.sender {
            Some(sender) => self.queue.arrive_of(sender.task, holder, message),
            None => self.queue.arrive(holder, message),
        }
    }

    /// A message of our own takes a place, if one is free.
    pub(super) fn enter_queue(&mut self, message: Message) -> Result<(), Message> {
        match message.sender {
            Some(sender) => self.queue.enter_of(sender.task, message),
            None => self.queue.enter(message),
        }
    }

    /// A message is left beside the queue.
    pub(super) fn leave(&mut self, holder: Holder, message: Message) -> Result<(), Message> {
        match message.sender {
            Some(sender) => self.queue.leave_of(sender.task, holder, message),
            None => self.queue.leave(holder, message),
        }
    }
}
