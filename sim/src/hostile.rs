//! A peer that lies: whatever it can write, on its own links.

use abi::frame::{Attached, Header, Kind, Onward, flag};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket};

use crate::lane::Frame;
use crate::spill::{SPILLS, Spilled};
use crate::task::TaskNumber;
use crate::world::World;

/// Kinds that do not at once betray the liar.
const PLAUSIBLE: [Kind; 17] = [
    Kind::Message,
    Kind::Message,
    Kind::Give,
    Kind::GiveOn,
    Kind::TakeBack,
    Kind::Claim,
    Kind::Ask,
    Kind::Look,
    Kind::Dropped,
    Kind::Part,
    Kind::Watch,
    Kind::Room,
    Kind::Taken,
    Kind::Pulse,
    Kind::Spilled,
    Kind::Emptied,
    Kind::Spent,
];

impl World {
    /// One step of a liar.
    pub(crate) fn lie(&mut self, me: TaskNumber) {
        let peers: Vec<TaskNumber> =
            self.tasks[me].links.keys().copied().filter(|&peer| !self.hung_up(peer, me)).collect();
        let other = self.chance.below(self.tasks.len() as u64) as TaskNumber;
        let Some(&peer) = self.chance.pick(&peers) else {
            let _ = self.open(me, other);
            return;
        };
        match self.chance.below(100) {
            0..40 => self.eavesdrop(me, peer),
            40..43 => self.garbage(me, peer),
            43..48 => self.frame_of(me, peer, &Kind::ALL),
            48..65 => self.frame_of(me, peer, &PLAUSIBLE),
            65..75 => self.guess(me, peer),
            75..77 => self.lie_of_a_spill(me, peer),
            77..80 => self.lie_of_a_move(me, peer),
            80..90 => {
                let index = self.chance.below(4) as u32;
                let life = (self.chance.below(3) << 32) | self.chance.below(3);
                let grant = self.chance.below(50);
                self.outbound(me, peer).board.scribble(index, life, grant);
            }
            90..97 => {
                let _ = self.open(me, other);
            }
            97 => self.close(me, peer),
            98 | 99 => self.lie_of_a_move(me, peer),
            _ => {}
        }
    }

    /// Claims what somebody may just have given it: tickets are counts.
    fn guess(&mut self, me: TaskNumber, peer: TaskNumber) {
        let friends: Vec<TaskNumber> = self.tasks[me].links.keys().copied().collect();
        for giver in friends {
            let ticket = Ticket(self.tasks[giver].tickets);
            let frame = crate::claim::claim_frame(World::id(giver), ticket, None);
            self.write(me, peer, &frame.encode());
        }
    }

    /// Reads what it was sent, for names it may try.
    fn eavesdrop(&mut self, me: TaskNumber, peer: TaskNumber) {
        while let Ok(Some(frame)) = self.outbound(peer, me).lane.take() {
            self.outbound(peer, me).lane.announce();
            if frame.header.kind == Kind::Claim {
                self.answer_with_a_lie(me, peer, &frame);
            }
            let mut slots = Vec::new();
            if frame.header.kind == Kind::Joined {
                slots.push(frame.header.slot);
            }
            if let Ok(attached) = Attached::decode(frame.header.flags, frame.parts().0) {
                for right in attached.reply.iter().chain(&attached.rights) {
                    if let RightRef::Mine(_, slot) = *right {
                        slots.push(slot);
                    }
                }
            }
            let seen = &mut self.tasks[me].seen;
            seen.extend(slots.into_iter().map(|slot| (peer, slot)));
            if seen.len() > 32 {
                let _ = seen.drain(..16);
            }
        }
    }

    pub(crate) fn write(&mut self, me: TaskNumber, peer: TaskNumber, bytes: &[u8]) {
        let lane = &mut self.outbound(me, peer).lane;
        if lane.has_room(bytes.len(), true) {
            lane.publish(bytes);
        }
    }

    fn garbage(&mut self, me: TaskNumber, peer: TaskNumber) {
        let words = 1 + self.chance.below(12);
        let mut bytes = Vec::new();
        for _ in 0..words {
            bytes.extend_from_slice(&self.chance.next().to_le_bytes());
        }
        // Now and then with a length and a kind that pass.
        if self.chance.below(2) == 0 {
            let length = bytes.len() as u32;
            if let Some(head) = bytes.first_chunk_mut::<8>() {
                let [a, b, c, d] = length.to_le_bytes();
                *head = [a, b, c, d, head[4] & 15, 0, 0, 0];
            }
        }
        self.write(me, peer, &bytes);
    }

    pub(crate) fn some_slot(&mut self, me: TaskNumber, peer: TaskNumber) -> Slot {
        let seen: Vec<Slot> = self.tasks[me]
            .seen
            .iter()
            .filter(|(of, _)| *of == peer)
            .map(|&(_, slot)| slot)
            .collect();
        let guess = Slot {
            index: self.chance.below(4) as u32,
            generation: 1 + self.chance.below(2) as u32,
        };
        let known = self.chance.below(10) > 0;
        let pick = self.chance.pick(&seen).copied();
        pick.filter(|_| known).unwrap_or(guess)
    }

    /// Spills a message of any number, for any slot, behind anything.
    fn lie_of_a_spill(&mut self, me: TaskNumber, peer: TaskNumber) {
        let slot = self.some_slot(me, peer);
        let other = self.chance.below(8) == 0;
        let kind = if other { Kind::Pulse } else { Kind::Message };
        let mut attached = Attached::default();
        if self.chance.below(2) == 0 {
            attached.rights.push(self.some_right(me, peer, RightKind::Send));
        }
        let mut rest = Vec::new();
        let flags = attached.encode(&mut rest);
        let header = Header { flags, extra: rest.len() as u32, ..Header::new(kind, slot) };
        let frame = Frame::new(header, rest);
        let number = self.chance.below(6);
        let head = self.outbound(me, peer).lane.head();
        let after = if self.chance.below(4) == 0 { u64::MAX } else { head };
        let spills = &mut self.outbound(me, peer).spills;
        if spills.len() < SPILLS {
            spills.push(slot, Spilled { number, after, frame });
        }
        spills.shown = spills.shown.max(number);
    }

    fn some_task(&mut self) -> TaskId {
        World::id(self.chance.below(1 + self.tasks.len() as u64) as TaskNumber)
    }

    pub(crate) fn some_right(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        kind: RightKind,
    ) -> RightRef {
        match self.chance.below(8) {
            0..3 => {
                let slot = Slot {
                    index: self.chance.below(3) as u32 + 3 * u32::from(kind == RightKind::SendOnce),
                    generation: 1,
                };
                RightRef::Mine(kind, slot)
            }
            3..5 => RightRef::Yours(kind, self.some_slot(me, peer)),
            5..7 => RightRef::Third {
                kind,
                owner: self.some_task(),
                address: Address::default(),
                ticket: Ticket(self.chance.below(30)),
            },
            _ => RightRef::Dead(kind),
        }
    }

    fn frame_of(&mut self, me: TaskNumber, peer: TaskNumber, kinds: &[Kind]) {
        let kind = self.chance.pick(kinds).copied().unwrap_or(Kind::Skip);
        let mut header = Header::new(kind, self.some_slot(me, peer));
        header.tag = self.chance.below(30);
        header.id = self.chance.below(2) as i32;
        let mut rest = Vec::new();
        match kind {
            Kind::Message | Kind::Welcome => {
                let mut attached = Attached::default();
                if self.chance.below(3) == 0 {
                    attached.reply = Some(self.some_right(me, peer, RightKind::SendOnce));
                }
                if self.chance.below(8) == 0 {
                    attached.accepted = Some(self.some_right(me, peer, RightKind::SendOnce));
                }
                for _ in 0..self.chance.below(3) {
                    let right = self.some_right(me, peer, RightKind::Send);
                    attached.rights.push(right);
                }
                header.flags = attached.encode(&mut rest);
                header.extra = rest.len() as u32;
                rest.extend_from_slice(&self.chance.next().to_le_bytes());
            }
            Kind::Part => {
                header.tag = 8 * self.chance.below(4);
                rest.extend_from_slice(&[9; 8]);
            }
            Kind::Give | Kind::TakeBack | Kind::Claim | Kind::Joined | Kind::Refused => {
                rest.extend_from_slice(&self.some_task().encode());
                if matches!(kind, Kind::Give | Kind::Joined) && self.chance.below(2) == 0 {
                    header.flags = flag::ONCE;
                }
                if kind == Kind::TakeBack && self.chance.below(4) == 0 {
                    header.tag = abi::frame::EVERY_TICKET;
                }
            }
            Kind::GiveOn => {
                let (to, giver) = (self.some_task(), self.some_task());
                let ticket = Ticket(self.chance.below(30));
                rest.extend_from_slice(&Onward { to, giver, ticket }.encode());
                if self.chance.below(2) == 0 {
                    header.flags = flag::ONCE;
                }
            }
            _ => {}
        }
        let bytes = Frame::new(header, rest).encode();
        self.write(me, peer, &bytes);
    }
}
