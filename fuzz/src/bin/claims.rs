//! Fuzzes gives, give-ons, claims and their answers, and ports that have gone: two
//! hostile links with one task, each a step of the other's chains.
//!
//! Whatever they say to it and answer it, the task reads it or ends the link, in time;
//! when the links have ended, whoever had them is buried.
//!
//! A byte says who does what, and those behind it with what: see [`Pair::step`].
#![no_main]

use abi::board::{Moved, State};
use abi::frame::{Attached, EVERY_SLOT, Header, Kind, Onward, flag};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket};
use libfuzzer_sys::fuzz_target;
use pillarbox_fuzz::bag::NOWHERE;
use pillarbox_fuzz::figures::{Count, tell};
use pillarbox_fuzz::peer::{INBOX, OPEN, Peer, own};
use pillarbox_fuzz::script::Script;
use pillarbox_fuzz::victim::victim;

/// Steps of one run.
const STEPS: usize = 96;

static RUNS: Count = Count::new("pairs linked");
static JOINED: Count = Count::new("claims joined");
static REFUSED: Count = Count::new("refused");
static ASKED: Count = Count::new("claims of the task answered");
static FOLLOWED: Count = Count::new("of them to follow a port");
static READ: Count = Count::new("links read to their end");

struct Pair<'a> {
    script: Script<'a>,
    ids: [TaskId; 2],
    address: Address,
    peers: [Option<Peer>; 2],
}

impl Pair<'_> {
    fn step(&mut self) {
        let choice = self.script.byte();
        let who = usize::from(choice >> 7);
        match choice & 0x7f {
            0..8 => {
                let (slot, ticket, to) = (self.slot(), self.ticket(), self.task());
                let flags = if choice & 7 == 0 { flag::ONCE } else { 0 };
                let header = Header { flags, tag: ticket, ..Header::new(Kind::Give, slot) };
                self.say(who, header, &to.encode());
            }
            8..12 => {
                let (slot, ticket, to) = (self.slot(), self.ticket(), self.task());
                let ticket = if choice & 3 == 3 { abi::frame::EVERY_TICKET } else { ticket };
                let header = Header { tag: ticket, ..Header::new(Kind::TakeBack, slot) };
                self.say(who, header, &to.encode());
            }
            12..24 => {
                let (ticket, giver) = (self.ticket(), self.task());
                let mut words = giver.encode().to_vec();
                if choice & 3 == 0 {
                    words.extend_from_slice(&self.script.number().to_le_bytes());
                }
                let header = Header { tag: ticket, ..Header::new(Kind::Claim, NOWHERE) };
                self.say(who, header, &words);
            }
            24..32 => {
                let (ticket, to, giver) = (self.ticket(), self.task(), self.task());
                let onward = Onward { to, giver, ticket: Ticket(self.ticket()) };
                let flags = if choice & 7 == 0 { flag::ONCE } else { 0 };
                let header = Header { flags, tag: ticket, ..Header::new(Kind::GiveOn, NOWHERE) };
                self.say(who, header, &onward.encode());
            }
            32..48 => {
                let right = self.third_or_own(choice);
                let attached = Attached { rights: vec![right], ..Attached::default() };
                let id = i32::from_le_bytes([choice & 7, self.script.byte(), 0, 0]);
                if let Some(peer) = &mut self.peers[who] {
                    peer.send(OPEN, id, &attached, b"a right");
                }
            }
            48..56 => {
                let moved = Moved {
                    ticket: Ticket(self.ticket()),
                    owner: self.task(),
                    address: self.address,
                };
                let slot = own(choice & 3);
                if let Some(peer) = &mut self.peers[who] {
                    peer.move_slot(slot, &moved);
                }
            }
            56..60 => {
                let state = [State::Live, State::Dead, State::Revoked, State::Free];
                let state = state[usize::from(choice & 3)];
                let slot = own(self.script.byte() & 3);
                if let Some(peer) = &mut self.peers[who] {
                    peer.set_state(slot, state);
                }
            }
            60..64 => {
                let slot = if choice & 1 == 0 { self.slot() } else { self.joined_slot() };
                let tag = self.script.number();
                self.say(who, Header { tag, ..Header::new(Kind::Release, slot) }, &[]);
            }
            64..84 => self.answer(who, choice),
            84..88 => {
                let mut words = self.task().encode().to_vec();
                if choice & 1 == 0 {
                    words.extend_from_slice(&self.script.number().to_le_bytes());
                }
                let kind = if choice & 2 == 0 { Kind::Joined } else { Kind::Refused };
                let tag = self.ticket();
                self.say(who, Header { tag, ..Header::new(kind, own(choice)) }, &words);
            }
            88..100 => {
                let (one, two) = (self.script.byte(), self.script.byte());
                if let Some(peer) = &mut self.peers[who] {
                    peer.order(choice & 7, one, two);
                }
            }
            100..104 => {
                let tag = self.script.number();
                let slot = if choice & 1 == 0 { OPEN } else { self.joined_slot() };
                self.say(who, Header { tag, ..Header::new(Kind::Status, slot) }, &[]);
            }
            104..112 => {
                if let Some(peer) = &mut self.peers[who] {
                    peer.wait_until_read();
                }
            }
            112..116 => {
                // On what it may have joined.
                let slot = self.joined_slot();
                if let Some(peer) = &mut self.peers[who] {
                    peer.send(slot, 0, &Attached::default(), b"joined");
                }
            }
            116..120 => {
                let index = if choice & 1 == 0 { EVERY_SLOT } else { 3 };
                self.say(who, Header::new(Kind::Look, Slot { index, generation: 1 }), &[]);
            }
            120..126 => {
                let kind = Kind::ALL[usize::from(self.script.byte()) % Kind::ALL.len()];
                let (slot, tag) = (self.slot(), self.script.number());
                let length = usize::from(self.script.byte() & 63);
                let words = self.script.bytes(length);
                self.say(who, Header { tag, ..Header::new(kind, slot) }, words);
            }
            _ => drop(self.peers[who].take()),
        }
    }

    fn say(&mut self, who: usize, header: Header, words: &[u8]) {
        if let Some(peer) = &mut self.peers[who] {
            peer.say(header, &[], words);
        }
    }

    fn slot(&mut self) -> Slot {
        match self.script.byte() & 7 {
            0..4 => OPEN,
            4..7 => INBOX,
            _ => Slot { index: self.script.byte().into(), generation: 1 },
        }
    }

    /// The victim offers two; what it answers to claims comes behind.
    fn joined_slot(&mut self) -> Slot {
        Slot { index: 2 + u32::from(self.script.byte() & 3), generation: 1 }
    }

    /// One of few, so that they meet.
    fn ticket(&mut self) -> u64 {
        u64::from(self.script.byte() & 3)
    }

    fn task(&mut self) -> TaskId {
        match self.script.byte() & 7 {
            0..3 => self.ids[0],
            3..6 => self.ids[1],
            6 => victim().task.identity().task,
            _ => TaskId { process: 7, number: 7 },
        }
    }

    fn third_or_own(&mut self, choice: u8) -> RightRef {
        let kind = if choice & 4 == 0 { RightKind::Send } else { RightKind::SendOnce };
        if choice & 8 == 0 {
            return RightRef::Mine(kind, own(choice & 3));
        }
        let (owner, ticket) = (self.task(), Ticket(self.ticket()));
        RightRef::Third { kind, owner, address: self.address, ticket }
    }

    /// Reads what it was told, and answers what it was asked.
    fn answer(&mut self, who: usize, choice: u8) {
        let Some(mut peer) = self.peers[who].take() else { return };
        while let Some((header, behind)) = peer.next() {
            match header.kind {
                Kind::Joined => JOINED.add(),
                Kind::Refused => REFUSED.add(),
                Kind::Claim => {
                    ASKED.add();
                    if behind.len() > 16 {
                        FOLLOWED.add();
                    }
                    let mut words = behind;
                    match choice & 3 {
                        0 => {}
                        1 => {
                            // Of as many as it was told, or of another number.
                            if let Some(have) = words.get_mut(16) {
                                *have ^= self.script.byte();
                            }
                        }
                        _ => {
                            words.truncate(16);
                            words.extend_from_slice(&self.script.number().to_le_bytes());
                        }
                    }
                    let once = self.script.byte();
                    let (kind, flags) = match once >> 6 {
                        0 | 1 => (Kind::Joined, 0),
                        2 => (Kind::Joined, flag::ONCE),
                        _ => (Kind::Refused, 0),
                    };
                    words.truncate(if kind == Kind::Refused { 16 } else { words.len() });
                    let slot = own(4 + (once & 3));
                    peer.say(
                        Header { flags, tag: header.tag, ..Header::new(kind, slot) },
                        &[],
                        &words,
                    );
                }
                Kind::Status if choice & 4 == 0 => {
                    let header =
                        Header { tag: header.tag, ..Header::new(Kind::StatusIs, header.slot) };
                    peer.say(header, &[], &[0; 32]);
                }
                _ => {}
            }
        }
        self.peers[who] = Some(peer);
    }
}

fuzz_target!(|data: &[u8]| {
    let (Some(one), Some(two)) = (Peer::link(), Peer::link()) else { return };
    RUNS.add();
    let (ids, address) = ([one.id, two.id], one.address());
    let mut pair = Pair { script: Script(data), ids, address, peers: [Some(one), Some(two)] };
    for _ in 0..STEPS {
        if pair.script.is_over() {
            break;
        }
        pair.step();
    }
    for who in [0, 1] {
        if let Some(peer) = &mut pair.peers[who]
            && peer.wait_until_read()
        {
            READ.add();
        }
        pair.answer(who, 0);
    }
    drop(pair);
    victim().wait_alone();
    tell(&[&RUNS, &READ, &JOINED, &REFUSED, &ASKED, &FOLLOWED]);
});
