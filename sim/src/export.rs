//! What peers hold of ours: its slots on their boards.

use abi::Slot;
use abi::board::State;
use abi::right::Kind as RightKind;
use rights::export::{Export, Released};

use crate::fault::Fault;
use crate::spill::as_granted;
use crate::task::{Lead, TaskNumber};
use crate::world::World;

impl World {
    /// Gives `peer` one more right of ours, on its board.
    pub(crate) fn export(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        lead: Lead,
        kind: RightKind,
    ) -> Option<Slot> {
        let alive = self.port(me, lead.port).is_some();
        let usable = self.is(Fault::UsableUnsent);
        let exports = &mut self.tasks[me].link(peer)?.exports;
        let state = if alive { State::Live } else { State::Dead };
        if kind == RightKind::SendOnce {
            let slot = exports.send_once(lead).ok()?;
            if usable {
                exports.published(slot);
            }
            let (state, room) =
                if lead.is_call() { self.born_as(me, lead.promise) } else { (state, 0) };
            self.outbound(me, peer).board.set(slot, state, room);
            return Some(slot);
        }
        let exported = exports.send(lead).ok()?;
        let slot = exported.slot;
        if usable {
            exports.published(slot);
        }
        let counts = self.port(me, lead.port).is_some_and(|port| port.facets.counts(lead.facet));
        let state = if alive && !counts { State::Revoked } else { state };
        if exported.first {
            let mut grant = 0;
            if counts && let Some(port) = self.port(me, lead.port) {
                let alone = port.senders.count() <= 1;
                port.senders.add();
                let window = &mut port.queue.window;
                grant =
                    if alone { window.join_alone((peer, slot)) } else { window.join((peer, slot)) };
                grant = as_granted(port, grant);
                let pulses = port.queue.pulses.join((peer, slot));
                self.outbound(me, peer).board.set_pulses(slot, pulses);
            }
            if !self.exported_gone(me, lead.port, (peer, slot)) {
                self.outbound(me, peer).board.set(slot, state, grant);
            }
        }
        Some(slot)
    }

    /// A peer gave rights of a slot back; where it was the last, the slot ends.
    pub(crate) fn unexport(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        count: u64,
    ) -> Result<(), abi::Offence> {
        let Some(link) = self.tasks[me].link(peer) else {
            return Ok(());
        };
        let released = link.exports.release(slot, count)?;
        self.export_ended(me, peer, slot, released);
        Ok(())
    }

    /// What was named in a message that was not sent comes back.
    pub(crate) fn withdraw(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) {
        let Some(link) = self.tasks[me].link(peer) else {
            return;
        };
        let silent = link.exports.withdraw(slot).map(|released| match released {
            Released::Last(export) => Released::Last(Export { given: true, ..export }),
            Released::Held => Released::Held,
        });
        if let Ok(released) = silent {
            self.export_ended(me, peer, slot, released);
        }
    }

    fn export_ended(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        slot: Slot,
        released: Released<Lead>,
    ) {
        let Released::Last(export) = released else {
            return;
        };
        self.outbound(me, peer).board.free(slot);
        match export.kind {
            RightKind::Send => {
                self.left(me, export.port.port, (peer, slot));
                if let Some(port) = self.port(me, export.port.port) {
                    port.forget((peer, slot));
                }
                self.sender_gone(me, export.port);
                self.serve(me, export.port.port);
            }
            RightKind::SendOnce if export.given => {}
            // The give had come back: the promise ended with this slot.
            RightKind::SendOnce => self.promise_ends(me, export.port, None),
        }
    }

    /// What a slot of `peer` on the board of `owner` leads to.
    pub(crate) fn lead_of(&self, owner: TaskNumber, peer: TaskNumber, slot: Slot) -> Option<Lead> {
        let link = self.tasks[owner].links.get(&peer)?;
        link.exports.get(slot).ok().map(|export| export.port)
    }
}
