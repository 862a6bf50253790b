//! What others do in the midst of a sending.

use abi::frame::{Header, Kind};
use abi::right::Kind as RightKind;

use crate::carry::{Load, Named};
use crate::lane::Frame;
use crate::task::{Outgoing, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    /// Those who may send to the ports that are about to move do so.
    pub(crate) fn others_send(&mut self, me: TaskNumber, along: &[RightNumber]) {
        let ports: Vec<u32> = along
            .iter()
            .filter_map(|right| match self.tasks[me].rights.get(right) {
                Some(&Right::Receive(port)) => Some(port),
                _ => None,
            })
            .collect();
        let holders = ports.into_iter().flat_map(|port| self.holders_of(me, port));
        for (peer, slot) in holders.collect::<Vec<_>>() {
            let task = &self.tasks[peer];
            let over = task.space.iter().copied().find(|right| {
                task.rights.get(right) == Some(&Right::PeerSend(me, slot)) && !task.is_busy(*right)
            });
            if let Some(over) = over.filter(|_| self.surprise(500))
                && self.is_awake(peer)
            {
                let deadline_ns = self.now_ns;
                let (rights, id) = (Vec::new(), 0);
                let out = Outgoing { over, rights, reply: None, left: None, id, deadline_ns };
                // It may just have looked whether it may spill.
                self.late = self.surprise(300).then_some((peer, me, slot));
                self.submit(peer, out);
                self.late = None;
            }
        }
    }

    /// Others act in the midst of what `me` does.
    pub(crate) fn bystanders(&mut self, me: TaskNumber) {
        if self.calm || self.aside {
            return;
        }
        self.aside = true;
        for _ in 0..self.chance.below(4) {
            self.somebody(Some(me));
        }
        self.aside = false;
    }

    /// A liar uses what it was not given yet: slots are counts. We read its lane
    /// in the midst of our sending, as another thread of ours may.
    pub(crate) fn guess_slots(&mut self, me: TaskNumber, peer: TaskNumber, load: &Load) {
        if self.tasks[peer].honest() || !self.surprise(100) {
            return;
        }
        for named in &load.named {
            let Named::Export(kind, slot) = *named else { continue };
            let kinds = match kind {
                RightKind::Send => [Kind::Release, Kind::Message],
                RightKind::SendOnce => [Kind::Dropped, Kind::Message],
            };
            let kind = self.chance.pick(&kinds).copied().unwrap_or(Kind::Dropped);
            let header = Header { tag: 1, ..Header::new(kind, slot) };
            let bytes = Frame::new(header, Vec::new()).encode();
            if self.outbound(peer, me).lane.has_room(bytes.len(), true) {
                self.outbound(peer, me).lane.publish(&bytes);
            }
        }
        self.drain(me, peer, 64);
    }

    /// Another thread of ours reads while a port is being packed.
    pub(crate) fn read_meanwhile(&mut self, me: TaskNumber, load: &Load) {
        if load.packs.is_empty() || !self.surprise(300) {
            return;
        }
        let peers: Vec<TaskNumber> = self.tasks[me].links.keys().copied().collect();
        for peer in peers {
            let frames = self.chance.below(8);
            self.drain(me, peer, frames);
        }
    }

    pub(crate) fn surprise(&mut self, in_thousand: u64) -> bool {
        !self.calm && self.chance.in_thousand(in_thousand)
    }
}
