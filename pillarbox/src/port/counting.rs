//! What a port has counted, and who waits at it: read beside the queue, which nobody
//! notices.

use rights::window::Capacity;

use super::PortCore;
use super::state::Holder;
use crate::special::kernel::PortCounts;

impl PortCore {
    /// What is known here without disturbing anybody.
    pub(crate) fn counted(&self) -> PortCounts {
        let links = self.task.links();
        let state = self.state.beside_the_queue();
        let chute = if state.chute_open { self.state.chute() } else { None };
        let chute = chute.map(|chute| chute.counts());
        let window = &state.queue.window;
        let standing = chute.map_or(0, |chute| chute.standing);
        let who = |holder| match holder {
            Holder::Own(_) => Some(self.task.id),
            Holder::Link(number, _) => {
                let link = links.iter().find(|link| link.number == number);
                link.map(|link| link.peer_task())
            }
        };
        let own = std::iter::repeat_n(self.task.id, standing);
        let waiting = window.in_turn().filter_map(who).chain(own);
        let waiting = waiting.take(PortCounts::NAMED);
        // Who waits at a set for a rendezvous is counted with its port.
        let at_sets = match window.capacity() {
            Capacity::Rendezvous => 0,
            Capacity::Bounded(_) | Capacity::Unbounded => {
                state.sets.iter().map(|set| set.waiting()).sum()
            }
        };
        let receivers = state.receivers.len() + at_sets + chute.map_or(0, |chute| chute.waiting);
        PortCounts {
            port: self.id,
            capacity: match window.capacity() {
                Capacity::Rendezvous => Some(0),
                Capacity::Bounded(places) => Some(u64::from(places)),
                Capacity::Unbounded => None,
            },
            queued: self.state.queued(&state),
            taken: chute.map_or(state.queue.turns(), |chute| chute.turns),
            dropped: state.queue.dropped(),
            refused: state.facets.rules.refused(),
            senders: state.senders.count(),
            waiting_senders: (window.asking() + standing) as u64,
            waiting: waiting.map(|task| (task.process, task.number)).collect(),
            waiting_receivers: receivers as u64,
        }
    }
}
