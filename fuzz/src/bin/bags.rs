//! Fuzzes a port that comes: the bag it comes in, before the move and after it, and
//! while it is read.
//!
//! Whatever lies there, the task takes the port or ends the link, in time; when the
//! link has ended, whoever had it is buried.
//!
//! The first byte is what the port is, the second says how it is moved; after them a
//! byte says what is done, and those behind it with what: see [`Mover::step`].
#![no_main]

use abi::bag::{Origin, OutRight, Passport, Place, armed};
use abi::frame::{Attached, Header, Kind, bag::MORE, flag};
use abi::page::{HEAD_AT, LANE_AT, MAGIC_AT, TAIL_AT};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket};
use libfuzzer_sys::fuzz_target;
use pillarbox_fuzz::bag::{BYTES, Bag, NOWHERE};
use pillarbox_fuzz::figures::{Count, tell};
use pillarbox_fuzz::peer::{INBOX, OPEN, Peer, nulls, own};
use pillarbox_fuzz::script::Script;
use pillarbox_fuzz::victim::{MOVED, PORTS, victim};

/// The ticket of the bag.
const TICKET: Ticket = Ticket(1);

/// Steps of one run.
const STEPS: usize = 64;

static RUNS: Count = Count::new("ports moved");
static READ: Count = Count::new("bags read to their end");
static LATER: Count = Count::new("of them also after the move");
static ON: Count = Count::new("bags that went on");

struct Mover<'a> {
    script: Script<'a>,
    peer: Peer,
    bag: Bag,
    moved: bool,
    later: bool,
    bag_packets: u32,
}

impl Mover<'_> {
    fn first(&mut self) {
        let passport = self.script.passport();
        match self.script.byte() {
            // Something else comes first, or nothing.
            255 => {}
            how => {
                let attached = self.armed(&passport, how);
                self.bag.port(&passport, u64::from(how), &attached);
            }
        }
    }

    /// The rights of as many requests as the port says, or not.
    fn armed(&self, passport: &Passport, how: u8) -> Attached {
        let bits = [armed::NO_SENDERS, armed::DESTROYED];
        let due = bits.iter().filter(|bit| passport.armed & **bit != 0).count();
        let once = Slot { index: 100, generation: u32::from(how) };
        let mut rights = vec![RightRef::Mine(RightKind::SendOnce, once); due];
        if how & 0xf0 == 0xf0 {
            rights.push(RightRef::Dead(RightKind::Send));
        }
        Attached { rights, ..Attached::default() }
    }

    fn step(&mut self) {
        match self.script.byte() % 18 {
            0 | 1 => self.message(),
            2 => {
                let ticket = u64::from(self.script.byte() & 7);
                let out = OutRight {
                    holder: self.task(),
                    address: self.address(),
                    have: self.script.number(),
                };
                self.bag.out(ticket, &out);
            }
            3 => {
                let tag = u64::from(self.script.byte() & 7);
                self.bag.put(Header { tag, ..Header::new(Kind::Ended, NOWHERE) }, &[], &[]);
            }
            4 => {
                let passport = self.script.passport();
                self.bag.port(&passport, 1, &Attached::default());
            }
            5 => self.rights(),
            6 => {
                let count = usize::from(self.script.byte());
                let bytes = self.script.bytes(count);
                self.bag.put_bytes(bytes);
            }
            7 => self.bag.show(),
            8 => self.move_or_look(),
            9 => {
                self.move_or_look();
                self.later |= self.moved && self.peer.wait_until_read();
            }
            10 => self.go_on(),
            11 => {
                let (at, word) = self.word();
                self.bag.scribble(at, &word.to_le_bytes());
            }
            12 => self.shake(),
            13 => {
                let ticket = u64::from(self.script.byte() & 7);
                let words = [&self.task().encode()[..], &self.script.number().to_le_bytes()];
                let header = Header { tag: ticket, ..Header::new(Kind::Claim, NOWHERE) };
                self.peer.say(header, &[], &words.concat());
            }
            14 => {
                let choice = self.script.byte();
                let sort = if choice & 0x80 == 0 { b"bagd" } else { b"bagv" };
                let fds = nulls(choice >> 3 & 3);
                self.peer.packet(sort, u32::from(choice & 7), &fds);
            }
            15 => self.inner(),
            16 => {
                let kind = Kind::ALL[usize::from(self.script.byte()) % Kind::ALL.len()];
                let tag = self.script.number();
                self.bag.put(Header { tag, ..Header::new(kind, NOWHERE) }, &[], &[0; 40]);
            }
            _ => {
                let (what, one, two) = (self.script.byte(), self.script.byte(), self.script.byte());
                let rights = vec![RightRef::Mine(RightKind::Send, own(one))];
                let id = i32::from_le_bytes([what & 7, one, two, 0]);
                self.peer.send(OPEN, id, &Attached { rights, ..Attached::default() }, b"");
            }
        }
    }

    fn origin(&mut self) -> Origin {
        let choice = self.script.byte();
        let place = [Place::Counted, Place::Beyond, Place::Promised, Place::Counted];
        let pulses = if choice & 32 == 0 { 0 } else { self.script.number() };
        let place = place[usize::from(choice >> 3 & 3)];
        Origin { ticket: u64::from(choice & 7), place, pulses }
    }

    fn message(&mut self) {
        let origin = self.origin();
        let (how, body) = (self.script.byte(), self.script.byte());
        let body = self.script.bytes(usize::from(body & 63));
        let flags = if how & 0x40 == 0 { 0 } else { flag::NOTIFICATION };
        let header = Header {
            flags,
            priority: u16::from(how & 3) << (how >> 4 & 15),
            id: i32::from(how & 15),
            tag: origin.ticket,
            ..Header::new(Kind::Message, NOWHERE)
        };
        self.bag.message(header, &origin, &Attached::default(), body);
    }

    fn right(&mut self) -> RightRef {
        let choice = self.script.byte();
        let kind = if choice & 0x80 == 0 { RightKind::Send } else { RightKind::SendOnce };
        match choice & 7 {
            0 | 1 => RightRef::Mine(kind, own(choice >> 3)),
            2 => RightRef::Mine(RightKind::SendOnce, Slot { index: 90, generation: 1 }),
            3 => RightRef::Yours(kind, if choice & 8 == 0 { OPEN } else { INBOX }),
            4 => {
                let ticket = Ticket(u64::from(choice >> 3));
                RightRef::Third { kind, owner: self.task(), address: self.address(), ticket }
            }
            5 => RightRef::Receive(Ticket(u64::from(choice >> 3))),
            _ => RightRef::Dead(kind),
        }
    }

    /// A message with rights and perhaps descriptors that came or not.
    fn rights(&mut self) {
        let origin = self.origin();
        let how = self.script.byte();
        let rights = (0..how & 3).map(|_| self.right()).collect();
        let reply = (how & 4 != 0).then(|| self.right());
        let descriptors = u16::from(how >> 3 & 3);
        let packet = u32::from(how >> 5);
        if how & 0x80 != 0 {
            let fds = nulls(descriptors as u8);
            self.peer.packet(b"bagd", packet, &fds);
        }
        let attached = Attached { rights, reply, descriptors, packet, ..Attached::default() };
        self.bag.message(Header::new(Kind::Message, NOWHERE), &origin, &attached, b"rights");
    }

    /// A port in the queue of the port.
    fn inner(&mut self) {
        let passport = self.script.passport();
        let how = self.script.byte();
        let mut bag = Bag::default();
        let attached = self.armed(&passport, how);
        bag.port(&passport, 3, &attached);
        for _ in 0..how & 3 {
            bag.message(
                Header::new(Kind::Message, NOWHERE),
                &Origin::default(),
                &Attached::default(),
                b"within",
            );
        }
        if how & 4 != 0 {
            let out = OutRight { holder: self.peer.id, address: Address::default(), have: 0 };
            bag.out(u64::from(how >> 3), &out);
        }
        bag.show();
        let packet = 1000 + self.bag_packets;
        self.bag_packets += 1;
        self.peer.packet(b"bagd", packet, &[bag.descriptor()]);
        let rights = vec![RightRef::Receive(Ticket(2 + u64::from(how >> 5)))];
        let attached = Attached { rights, descriptors: 1, packet, ..Attached::default() };
        let origin = Origin::default();
        self.bag.message(Header::new(Kind::Message, NOWHERE), &origin, &attached, b"a port");
    }

    /// The message that moves the port, or that there is something new in its bag.
    fn move_or_look(&mut self) {
        self.bag.show();
        if self.moved {
            let header = Header { tag: TICKET.0, ..Header::new(Kind::Bag, NOWHERE) };
            self.peer.say(header, &[], &[]);
            return;
        }
        self.moved = true;
        let packet = self.peer.send_descriptors(&[self.bag.descriptor()]);
        let rights = vec![RightRef::Receive(TICKET)];
        let attached = Attached { rights, descriptors: 1, packet, ..Attached::default() };
        self.peer.send(OPEN, 0, &attached, b"a port");
    }

    /// The bag is full, and goes on in another.
    fn go_on(&mut self) {
        let how = self.script.byte();
        self.bag.show();
        let bag = Bag::default();
        let packet = match how & 7 {
            0 => self.peer.send_descriptors(&[]),
            1 => self.peer.send_descriptors(&nulls(1)),
            _ => self.peer.send_descriptors(&[bag.descriptor()]),
        };
        let slot = Slot { index: packet + u32::from(how & 7 == 2), generation: 0 };
        let header = Header { id: MORE, tag: TICKET.0, ..Header::new(Kind::Bag, slot) };
        self.peer.say(header, &[], &[]);
        self.bag = bag;
        if how & 8 != 0 && self.peer.wait_until_read() {
            ON.add();
        }
    }

    /// A word of the bag's memory: of its page, its board, or what it holds.
    fn word(&mut self) -> (usize, u64) {
        let choice = self.script.byte();
        let at = match choice & 7 {
            0 => HEAD_AT,
            1 => [MAGIC_AT, TAIL_AT, 256, 384][usize::from(choice >> 3 & 3)],
            _ => {
                let within = u64::from(self.script.byte()) << (choice >> 3 & 7) & !7;
                LANE_AT + (within % self.bag.filled().clamp(8, BYTES.into())) as usize
            }
        };
        let word = self.script.number();
        let word = if choice & 7 == 0 { word.wrapping_mul(8) } else { word };
        (at, word)
    }

    /// Changes words again and again, whether the other side is reading or not.
    fn shake(&mut self) {
        let (at, one) = self.word();
        let (other_at, other) = self.word();
        let times = self.script.byte();
        for _ in 0..times {
            self.bag.scribble(at, &one.to_le_bytes());
            self.bag.scribble(other_at, &other.to_le_bytes());
        }
    }

    fn task(&mut self) -> TaskId {
        match self.script.byte() & 3 {
            0 | 1 => self.peer.id,
            2 => victim().task.identity().task,
            _ => TaskId { process: 7, number: 7 },
        }
    }

    fn address(&self) -> Address {
        self.peer.address()
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(peer) = Peer::link() else { return };
    let (bag, moved, later, bag_packets) = (Bag::default(), false, false, 0);
    let mut mover = Mover { script: Script(data), peer, bag, moved, later, bag_packets };
    mover.first();
    for _ in 0..STEPS {
        if mover.script.is_over() || mover.peer.is_over() {
            break;
        }
        mover.step();
    }
    // Whatever was written is shown and read, or the link has ended.
    mover.move_or_look();
    RUNS.add();
    if mover.peer.wait_until_read() && !mover.peer.is_over() {
        READ.add();
        if mover.later {
            LATER.add();
        }
    }
    drop(mover);
    victim().wait_alone();
    tell(&[&RUNS, &READ, &LATER, &ON, &PORTS, &MOVED]);
});
