//! What senders may have waiting for an unbounded port: what peers may spill, and
//! what our own senders are charged.

use std::sync::Arc;

use abi::Slot;
use rights::port::Overflow;
use rights::spill::{NOT_SPILLING, SPILLING};
use rights::window::Capacity;

use super::PortCore;
use super::state::PortState;
use crate::error::SendFailure;
use crate::limits::Limit;
use crate::link::{Charge, Link};
use crate::message::Message;
use crate::wait::parking::lock;

impl PortState {
    /// Charges our own task for a message of ours, where nothing else limits what
    /// waits. False where it has as much waiting as it may.
    pub(super) fn charge_own(&self, message: &mut Message) -> bool {
        let dropping = self.options.overflow != Overflow::Refuse;
        if self.queue.window.capacity() != Capacity::Unbounded || dropping {
            return true;
        }
        let bytes = (size_of::<Message>() + message.body_len()) as u64;
        let Some(task) = self.task.upgrade() else { return false };
        message.charge = Charge::own(&task.own_queued, bytes, task.limits.own_queued_bytes);
        let charged = message.charge.is_some();
        if !charged {
            task.counters.refuse(Limit::OwnQueuedBytes);
        }
        charged
    }

    /// What the board says of a grant: who may send without limit is told whether
    /// it may spill. A port that drops has no need of it, its owner drops.
    pub(super) fn as_granted(&self, grant: u64) -> u64 {
        let unbounded = self.queue.window.capacity() == Capacity::Unbounded;
        let spills = unbounded && self.options.overflow == Overflow::Refuse && !self.spills_nothing;
        if grant == SPILLING && !spills { NOT_SPILLING } else { grant }
    }

    /// Lets nobody spill, or everybody again. Returns where the rights are.
    fn let_spill(&mut self, may: bool) -> Vec<(Arc<Link>, Slot)> {
        if self.queue.window.capacity() != Capacity::Unbounded {
            return Vec::new();
        }
        self.spills_nothing = !may;
        let grant = self.as_granted(SPILLING);
        let boards = self.boards.values();
        let places: Vec<_> =
            boards.filter_map(|board| Some((board.link.upgrade()?, board.slot))).collect();
        for (link, slot) in &places {
            link.own_page().set_grant(slot.index, grant);
        }
        places
    }
}

impl PortCore {
    /// The port is about to go to another task. Nobody spills for it from here on,
    /// and what was spilled is read.
    ///
    /// # Errors
    /// [`SendFailure::Unsettled`]: some of it has not come yet. Then whoever spilled may do
    /// so again.
    pub(crate) fn stop_spilling(&self) -> Result<(), SendFailure> {
        let places = lock(&self.state).let_spill(false);
        for (link, _) in places {
            // Who was spilling at this moment brings one message more, through the
            // old owner.
            self.task.drain_link(&link);
            if link.read_spilled_for(self.id) {
                self.spill_again();
                return Err(SendFailure::Unsettled);
            }
        }
        Ok(())
    }

    /// The port stays.
    pub(crate) fn spill_again(&self) {
        let _ = lock(&self.state).let_spill(true);
    }
}
