//! Telling once that a port has room.

use std::sync::{Arc, Weak};

use super::after::After;
use super::state::{Holder, PortState};
use super::{Link, Notification, PortCore, SendOnceRight, lock};

/// The sender of our own that hears of room: there is one.
const OWN: Holder = Holder::Own(0);

impl PortCore {
    /// Tells `to` when there is room for a message of our own task. Returns the
    /// right of an earlier request.
    #[must_use = "what was replaced speaks when it is dropped"]
    pub(crate) fn watch_room(&self, to: SendOnceRight) -> Option<SendOnceRight> {
        let mut after = After::default();
        let before = {
            let mut state = lock(&self.state);
            if state.alive {
                let before = state.room.replace(Box::new(to)).map(|before| *before);
                state.queue.window.watch(OWN);
                state.tell_room(&mut after);
                before
            } else if let Some(own) = self.gone().and_then(|gone| gone.own()) {
                // It went to another task since this was looked up.
                own.watch_room(to, &mut after)
            } else {
                after.fire(to, Notification::DeadName);
                None
            }
        };
        after.run();
        before
    }

    /// A peer wants to hear once that there is room.
    pub(crate) fn peer_watches_room(&self, link: &Arc<Link>, via: u64, after: &mut After) {
        let mut state = lock(&self.state);
        // Where its right has ended the board says so.
        if state.boards.contains_key(&(link.number, via)) {
            state.queue.window.watch(Holder::Link(link.number, via));
            state.tell_room(after);
        }
    }
}

impl PortState {
    /// Tells those who wait for it that there is room. While others wait, for room or
    /// to hear of it, somebody looks for places that lie unused.
    pub(super) fn tell_room(&mut self, after: &mut After) {
        for holder in self.queue.window.tell_room() {
            match holder {
                Holder::Link(number, via) => {
                    let place = self.boards.get(&(number, via));
                    let told = place.and_then(|place| Some((place.link.upgrade()?, place.slot)));
                    after.more().rooms.extend(told);
                }
                Holder::Own(_) => {
                    after
                        .more()
                        .fire
                        .extend(self.room.take().map(|to| (*to, Notification::SendPossible)));
                }
            }
        }
        if let Some(place) = self.place
            && self.queue.window.next_expiry().is_some()
        {
            after.more().watch.push((Weak::clone(&self.task), place));
        }
    }
}
