//! The protocol's own frames: said at once where there is room, else kept and
//! folded together, so that what is kept never outgrows the slots of the link.

use std::collections::VecDeque;

use abi::Slot;
use abi::frame::{Header, Kind};

use crate::lane::Frame;
use crate::task::TaskNumber;
use crate::world::World;

/// A frame about a slot, with a number.
pub(crate) fn about(kind: Kind, slot: Slot, tag: u64) -> Frame {
    let header = Header { tag, ..Header::new(kind, slot) };
    Frame::new(header, Vec::new())
}

/// A slot for frames that are about none.
pub(crate) const NO_SLOT: Slot = Slot { index: 0, generation: 0 };

fn same_bag(kept: &VecDeque<Frame>, frame: &Frame) -> bool {
    let same = |kept: &Frame| kept.header.kind == Kind::Bag && kept.header.tag == frame.header.tag;
    kept.iter().any(same)
}

impl World {
    /// Says `frame` to `peer`, now or as soon as there is room.
    pub(crate) fn say(&mut self, me: TaskNumber, peer: TaskNumber, frame: Frame) {
        if matches!(frame.header.kind, Kind::Dropped | Kind::Message) {
            // It has its place among the messages of its port.
            self.settle_mark(me, peer);
        }
        self.tell_frame("says", (me, peer), &frame);
        let Some(link) = self.tasks[me].link(peer) else {
            return;
        };
        let slot = frame.header.slot;
        let same = |kept: &Frame| kept.header.kind == frame.header.kind && kept.header.slot == slot;
        let kept = link.control.iter().position(same);
        match frame.header.kind {
            Kind::Look if kept.is_some() => {}
            Kind::Bag if same_bag(&link.control, &frame) => {}
            Kind::Release => {
                // Later is always safe for a release, earlier is not: it would
                // overtake what we say of the slot before.
                let mut frame = frame;
                if let Some(kept) = kept.and_then(|at| link.control.remove(at)) {
                    frame.header.tag += kept.header.tag;
                }
                link.control.push_back(frame);
            }
            Kind::Return => {
                let unasked = frame.header.id == 1
                    && link
                        .control
                        .iter()
                        .position(|kept| kept.header.kind == Kind::Ask && kept.header.slot == slot)
                        .and_then(|at| link.control.remove(at))
                        .is_some();
                if !unasked || frame.header.tag > 0 {
                    link.control.push_back(frame);
                }
            }
            _ => link.control.push_back(frame),
        }
        self.flush(me, peer);
    }

    /// Says what was kept, as far as there is room.
    pub(crate) fn flush(&mut self, me: TaskNumber, peer: TaskNumber) {
        let Some(link) = self.tasks[me].links.get_mut(&peer).filter(|link| !link.ended) else {
            return;
        };
        let Some(out) = self.memory.get_mut(&(me, peer)) else {
            return;
        };
        while let Some(frame) = link.control.front()
            && out.lane.has_room(frame.room(), true)
        {
            out.lane.publish(&frame.encode());
            let _ = link.control.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::LANE_BYTES;

    #[test]
    fn a_kept_release_overtakes_nothing_said_of_its_slot() {
        let mut world = World::new(1, 2, None);
        world.begin();
        let slot = Slot { index: 0, generation: 1 };
        world.outbound(0, 1).lane.publish(&[0; LANE_BYTES]);
        world.say(0, 1, about(Kind::Release, slot, 1));
        // The right came again, and its holder asked for a place.
        world.say(0, 1, about(Kind::Ask, slot, 0));
        world.say(0, 1, about(Kind::Release, slot, 1));
        world.say(0, 1, about(Kind::Look, slot, 0));
        world.say(0, 1, about(Kind::Look, slot, 0));
        let kept: Vec<(Kind, u64)> = world.tasks[0].links[&1]
            .control
            .iter()
            .map(|frame| (frame.header.kind, frame.header.tag))
            .collect();
        assert_eq!(kept, [(Kind::Ask, 0), (Kind::Release, 2), (Kind::Look, 0)]);
    }
}
