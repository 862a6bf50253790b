//! A peer that lies about ports that move: as the new owner, as the old one, as
//! an importer.

use abi::bag::{Origin, OutRight, Passport, Place};
use abi::frame::{Attached, Header, Kind};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, Ticket};

use crate::board::Moved;
use crate::control::{NO_SLOT, about};
use crate::lane::{Frame, Lane};
use crate::moving::Bag;
use crate::task::TaskNumber;
use crate::world::World;

impl World {
    pub(crate) fn lie_of_a_move(&mut self, me: TaskNumber, peer: TaskNumber) {
        match self.chance.below(4) {
            0 => self.move_nothing(me, peer),
            1 => self.mark_a_slot(me, peer),
            2 => self.claim_as_importer(me, peer),
            _ => self.fill_a_bag(me, peer),
        }
    }

    /// Who has not followed asks us: anything may be the answer.
    pub(crate) fn answer_with_a_lie(&mut self, me: TaskNumber, peer: TaskNumber, claim: &Frame) {
        let header = claim.header;
        let (kind, slot) = match self.chance.below(3) {
            0 => return,
            1 => (Kind::Refused, NO_SLOT),
            _ => (Kind::Joined, Slot { index: self.chance.below(3) as u32, generation: 1 }),
        };
        let mut words = claim.rest.iter().copied().take(16).collect::<Vec<u8>>();
        if kind == Kind::Joined {
            words.extend_from_slice(&self.chance.below(5).to_le_bytes());
        }
        let frame = Frame::new(Header { tag: header.tag, ..Header::new(kind, slot) }, words);
        self.write(me, peer, &frame.encode());
    }

    /// A bag of our making, whatever is in it.
    fn move_nothing(&mut self, me: TaskNumber, peer: TaskNumber) {
        let ticket = self.ticket(me);
        let mut lane = Lane::default();
        for _ in 0..self.chance.below(7) {
            let frame = self.bag_frame(me, peer, lane.head() == 0);
            lane.publish(&frame.encode());
        }
        let first = self.number() as u32;
        let bag = Bag {
            lane,
            to: peer,
            first,
            promised: Default::default(),
            relayed: Default::default(),
            unnamed: 0,
        };
        self.bags.insert((me, ticket), bag);
        let attached = Attached {
            rights: vec![RightRef::Receive(ticket)],
            descriptors: 1,
            ..Attached::default()
        };
        let mut rest = Vec::new();
        let flags = attached.encode(&mut rest);
        let extra = rest.len() as u32;
        let slot = self.some_slot(me, peer);
        let header = Header { flags, extra, ..Header::new(Kind::Message, slot) };
        rest.extend_from_slice(&[0; 8]);
        self.write(me, peer, &Frame::new(header, rest).encode());
    }

    fn bag_frame(&mut self, me: TaskNumber, peer: TaskNumber, first: bool) -> Frame {
        let mut attached = Attached::default();
        let mut body = Vec::new();
        let kind = match self.chance.below(8) {
            _ if first && self.chance.below(8) > 0 => Kind::Port,
            0 => Kind::Port,
            1 | 2 => Kind::Out,
            3 => Kind::Ended,
            4..7 => Kind::Message,
            _ => Kind::Give,
        };
        match kind {
            Kind::Port => {
                let capacity = self.chance.below(3);
                let promises = self.chance.below(3);
                let passport = Passport {
                    capacity,
                    pulses: 0,
                    by_priority: false,
                    merge_pulses: false,
                    overflow: 0,
                    armed: 0,
                    promises,
                    made: self.chance.below(3),
                    dropped: self.chance.below(3),
                    birth: self.chance.below(u64::MAX),
                };
                body.extend_from_slice(&passport.encode());
                if self.chance.below(3) == 0 {
                    attached.rights.push(self.some_right(me, peer, RightKind::SendOnce));
                }
            }
            Kind::Out => {
                let holder = World::id(self.chance.below(self.tasks.len() as u64) as TaskNumber);
                let have = self.chance.below(4);
                let out = OutRight { holder, address: Address::default(), have };
                body.extend_from_slice(&out.encode());
            }
            Kind::Message => {
                let place = match self.chance.below(3) {
                    0 => Place::Counted,
                    1 => Place::Beyond,
                    _ => Place::Promised,
                };
                let ticket = self.chance.below(6);
                body.extend_from_slice(
                    &Origin { ticket, place, pulses: self.chance.below(8) / 7 }.encode(),
                );
                body.extend_from_slice(&[7; 8]);
                if self.chance.below(2) == 0 {
                    attached.rights.push(self.some_right(me, peer, RightKind::Send));
                }
            }
            _ => {}
        }
        let mut rest = Vec::new();
        let flags = attached.encode(&mut rest);
        let extra = rest.len() as u32;
        rest.extend_from_slice(&body);
        let tag = self.chance.below(6);
        Frame::new(Header { tag, flags, extra, ..Header::new(kind, NO_SLOT) }, rest)
    }

    /// Something more in a bag of ours.
    fn fill_a_bag(&mut self, me: TaskNumber, peer: TaskNumber) {
        let ours: Vec<Ticket> = self
            .bags
            .range((me, Ticket(0))..=(me, Ticket(u64::MAX)))
            .filter(|(_, bag)| bag.to == peer)
            .map(|((_, ticket), _)| *ticket)
            .collect();
        let Some(&ticket) = self.chance.pick(&ours) else {
            return;
        };
        let frame = self.bag_frame(me, peer, false);
        if let Some(bag) = self.bags.get_mut(&(me, ticket)) {
            bag.lane.publish(&frame.encode());
        }
        self.write(me, peer, &about(Kind::Bag, NO_SLOT, ticket.0).encode());
    }

    /// A slot of ours goes to anybody, under any ticket, and back.
    fn mark_a_slot(&mut self, me: TaskNumber, peer: TaskNumber) {
        let slot = Slot { index: self.chance.below(3) as u32, generation: 1 };
        let owner = self.chance.below(self.tasks.len() as u64) as TaskNumber;
        let ticket = Ticket(self.chance.below(6));
        let back = self.chance.below(3) == 0;
        let board = &mut self.outbound(me, peer).board;
        if back {
            board.unmark(slot);
        } else {
            board.mark(slot, Moved { owner, ticket });
        }
        self.write(me, peer, &about(Kind::Look, slot, 0).encode());
    }

    /// What our slots say, or what others' may, is claimed with any count.
    fn claim_as_importer(&mut self, me: TaskNumber, peer: TaskNumber) {
        let old = self.chance.below(self.tasks.len() as u64) as TaskNumber;
        let marks: Vec<Moved> = self.outbound(old, me).board.marks().collect();
        let guess = Moved { owner: peer, ticket: Ticket(self.chance.below(12)) };
        let moved = self.chance.pick(&marks).copied().unwrap_or(guess);
        let sent = self.chance.below(6);
        let frame = crate::claim::claim_frame(World::id(old), moved.ticket, Some(sent));
        if self.open(me, moved.owner) {
            self.write(me, moved.owner, &frame.encode());
        }
    }
}
