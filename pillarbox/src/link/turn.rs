//! What one turn of draining leaves to be done without locks.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Join;
use crate::claims::Claim;
use crate::core::TaskCore;
use crate::giving::{HeldGive, end_gives};
use crate::message::{Message, Notification};
use crate::port::{After, ReceiveRight};
use crate::right::{SendRight, Sink};

/// What one turn of draining leaves to be done without locks. What is rare lies
/// apart, and is made when there is any.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) after: After,
    /// Rights that must be claimed from their owners.
    pub(crate) joins: Vec<Arc<Join>>,
    sink: Option<Sink>,
    more: Option<Box<More>>,
    /// Bags that are being read, one in a queue in the other.
    pub(crate) bags_open: usize,
    /// A bell was read, perhaps on the way to descriptors: its number is used up,
    /// and who rests on it must announce anew.
    pub(crate) heard: bool,
}

/// What few turns bring.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// Claims of peers', to be answered.
    pub(crate) claims: Vec<Claim>,
    pub(crate) held: Vec<HeldGive>,
    /// Gives that nobody will claim.
    pub(crate) ended: Vec<HeldGive>,
    sinks: Vec<Sink>,
    pub(crate) rights: Vec<SendRight>,
    pub(crate) messages: Vec<Message>,
    /// Ports that lay in their own queues.
    ports: Vec<ReceiveRight>,
    pub(crate) foreign: Vec<OwnedFd>,
    refused: Vec<Arc<Join>>,
}

impl Turn {
    /// What few turns bring, to be added to.
    #[cold]
    pub(crate) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Where something arrived is dropped without a lock.
    pub(crate) fn let_go_later(&mut self, sink: Sink) {
        match &self.sink {
            None => self.sink = Some(sink),
            Some(_) => self.more().sinks.push(sink),
        }
    }

    /// Ports that lay in their own queues end, if there are any.
    pub(crate) fn end_ports(&mut self, ports: Vec<ReceiveRight>) {
        if !ports.is_empty() {
            self.more().ports.extend(ports);
        }
    }

    /// A claim that came to nothing, if somebody still waits for it.
    pub(crate) fn refuse(&mut self, join: Option<Arc<Join>>) {
        if let Some(join) = join {
            self.more().refused.push(join);
        }
    }

    /// A claim that came in this turn.
    pub(crate) fn next_claim(&mut self) -> Option<Claim> {
        self.more.as_mut()?.claims.pop()
    }

    /// Drops and wakes; claims are the task's to start.
    pub(crate) fn finish(self, task: &TaskCore) {
        let Some(mut more) = self.more else {
            self.after.run();
            return;
        };
        for join in std::mem::take(&mut more.refused) {
            let mut after = After::default();
            join.fail(true, &mut after);
            after.run();
        }
        self.after.run();
        end_gives(task, std::mem::take(&mut more.ended), Notification::SendOnceDied);
        if !more.foreign.is_empty() {
            shm::close::close_later(std::mem::take(&mut more.foreign));
        }
    }
}
