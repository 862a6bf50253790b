//! How a right ends that its task no longer wants.

use abi::Slot;
use abi::frame::Kind;

use crate::control::about;
use crate::fault::Fault;
use crate::task::{LastWord, Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    /// Lets a right go that is in no other place.
    pub(crate) fn let_go(&mut self, me: TaskNumber, number: RightNumber) {
        let Some(&right) = self.tasks[me].rights.get(&number) else {
            return self.violated("I3", format!("right {number} of task {me} ended twice"));
        };
        if let Right::Joining { .. } = right {
            // Its owner counts it until we claim it: first joined, then let go.
            self.tasks[me].unwanted.insert(number, LastWord::LetGo);
            return;
        }
        self.tasks[me].rights.remove(&number);
        match right {
            Right::OwnSend(lead) => self.sender_gone(me, lead),
            Right::OwnOnce(lead) => self.promise_ends(me, lead, None),
            Right::PeerSend(peer, slot) => self.drop_send(me, peer, slot),
            Right::PeerOnce(peer, slot) => {
                self.forget(me, peer, slot);
                self.say(me, peer, about(Kind::Dropped, slot, 0));
            }
            Right::Receive(port) => self.end_port(me, port),
            Right::Joining { .. } | Right::Dead(_) => {}
        }
    }

    /// A send-once right has left us: nothing of it is counted on.
    pub(crate) fn forget(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) {
        if let Some(link) = self.tasks[me].link(peer) {
            link.imports.remove(&slot.index);
        }
    }

    /// One right of ours to a peer's port ends; the last releases as many as
    /// ever came.
    pub(crate) fn drop_send(&mut self, me: TaskNumber, peer: TaskNumber, slot: Slot) {
        let (sent_forgotten, release_one) =
            (self.is(Fault::SentForgotten), self.is(Fault::ReleaseOne));
        let Some(link) = self.tasks[me].link(peer) else {
            return;
        };
        let Some(imported) = link.imports.get_mut(&slot.index) else {
            return;
        };
        imported.rights -= 1;
        if imported.rights > 0 {
            return;
        }
        let mut count = imported.import.let_go();
        if release_one {
            count = 1;
        }
        if sent_forgotten {
            link.imports.remove(&slot.index);
        }
        self.say_release(me, peer, slot, count);
    }

    /// One more of a right we have.
    pub(crate) fn copy(&mut self, me: TaskNumber, number: RightNumber) -> Option<RightNumber> {
        let right = *self.tasks[me].rights.get(&number)?;
        match right {
            Right::OwnSend(lead) => self.port(me, lead.port)?.senders.add(),
            Right::PeerSend(peer, slot) => {
                let imported = self.tasks[me].link(peer)?.imports.get_mut(&slot.index)?;
                imported.rights += 1;
            }
            Right::Dead(abi::right::Kind::Send)
            | Right::Joining { kind: abi::right::Kind::Send, .. } => {}
            _ => return None,
        }
        Some(self.tasks[me].keep(right))
    }
}
