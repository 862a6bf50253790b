//! What the end of a port leaves to be said.

use abi::board::{Life, State};

use super::after::After;
use super::state::PortState;
use crate::message::Notification;

impl PortState {
    /// Whether the end of the port is to be said to anybody.
    pub(super) fn has_who_hears(&self) -> bool {
        !self.boards.is_empty()
            || !self.own_waiting.is_empty()
            || !self.own_asking.is_empty()
            || !self.dead_name.is_empty()
            || self.facets.has_places()
            || self.room.is_some()
            || self.no_senders.is_some()
            || self.destroyed.is_some()
    }

    /// The port has ended: what lay in it falls out, and whoever is to hear of it does.
    #[cold]
    pub(super) fn tell_end(&mut self, after: &mut After) {
        if !self.queue.holds_nothing() {
            after.drop_all(self.queue.drain().collect());
        }
        for place in self.boards.values() {
            let Some(link) = place.link.upgrade() else { continue };
            let life = Life { generation: place.slot.generation, state: State::Dead };
            link.own_page().set_life(place.slot.index, life);
            link.own_page().bump_change();
            after.more().looks.push((link, place.slot));
        }
        self.wake_own_senders(after);
        if let Some(to) = self.room.take() {
            after.fire(*to, Notification::DeadName);
        }
        let watchers = self.facets.take_watchers();
        for watcher in self.dead_name.drain(..).chain(watchers) {
            after.fire(watcher, Notification::DeadName);
        }
        let untold = self.no_senders.take().into_iter().chain(self.destroyed.take());
        for to in untold {
            after.fire(*to, Notification::SendOnceDropped);
        }
    }
}
