//! Ports that the hostile move to the victim: bags such as an honest task packs, and
//! others that are wrong in every way, before the move and after it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::bag::{Origin, OutRight, Passport, Place, armed};
use abi::frame::{Attached, EVERY_TICKET, HEADER_BYTES, Header, Kind, bag::MORE};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket, limits};
use shm::{LaneWriter, OwnPage};

use super::link::{LANE, Memory};
use super::live::{Live, message};
use super::story::{OPEN, OWN_SLOTS};
use crate::chance::Chance;

/// Frames of a bag speak of no slot.
const NOWHERE: Slot = Slot { index: 0, generation: 0 };

/// One frame of a bag.
struct Frame {
    header: Header,
    extra: Vec<u8>,
    body: Vec<u8>,
}

impl Frame {
    fn new(kind: Kind, tag: u64, body: &[u8]) -> Frame {
        let header = Header { tag, ..Header::new(kind, NOWHERE) };
        Frame { header, extra: Vec::new(), body: body.to_vec() }
    }

    fn with(mut self, attached: &Attached) -> Frame {
        self.header.flags |= attached.encode(&mut self.extra);
        self
    }

    /// The header, as long as it says.
    fn whole(&self) -> Header {
        let length = HEADER_BYTES + self.extra.len() + self.body.len();
        Header { length: length as u32, extra: self.extra.len() as u32, ..self.header }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.whole().encode()[..], &self.extra, &self.body].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }
}

/// A bag that may be written to when it was shown.
#[derive(Debug)]
struct Growing {
    _page: Arc<OwnPage>,
    writer: LaneWriter,
}

/// Who moves one port after the other.
#[derive(Debug)]
pub(super) struct Mover<'a> {
    pub(super) live: &'a mut Live,
    pub(super) chance: &'a mut Chance,
    /// One frame in so many is wrong; zero for none.
    pub(super) wrong_one_in: u64,
    ticket: u64,
    bag_packets: u32,
    /// Rights that are out, of the port that is being moved.
    outs: Vec<u64>,
    promises: u64,
    /// Frames of bags that were shown.
    pub(super) shown: u64,
}

impl<'a> Mover<'a> {
    pub(super) fn new(live: &'a mut Live, chance: &'a mut Chance, wrong_one_in: u64) -> Mover<'a> {
        let (outs, ticket) = (Vec::new(), 0);
        Mover { live, chance, wrong_one_in, ticket, bag_packets: 0, outs, promises: 0, shown: 0 }
    }

    /// Moves some ports. Returns whether all was right.
    pub(super) fn run(&mut self) -> Result<bool, String> {
        for _ in 0..1 + self.chance.below(4) {
            if self.live.is_over() {
                break;
            }
            if self.chance.one_in(3) { self.growing()? } else { self.at_once()? }
        }
        Ok(self.wrong_one_in == 0)
    }

    fn is_wrong(&mut self) -> bool {
        self.wrong_one_in > 0 && self.chance.one_in(self.wrong_one_in)
    }

    // ---- frames ----------------------------------------------------------------

    /// What the port is: the first frame.
    fn first(&mut self) -> Frame {
        let armed = if self.chance.one_in(3) { self.chance.below(4) as u8 } else { 0 };
        let passport = Passport {
            capacity: [0, 1, 8, 4096, u64::from(limits::CAPACITY_MESSAGES), u64::MAX]
                [self.chance.place(6)],
            pulses: self.chance.below(100) as u32,
            by_priority: self.chance.one_in(2),
            merge_pulses: self.chance.one_in(2),
            overflow: self.chance.below(3) as u8,
            armed,
            promises: if self.chance.one_in(3) { self.chance.below(20) } else { 0 },
            made: self.chance.below(9),
            dropped: self.chance.below(9),
            birth: self.chance.next(),
        };
        self.outs.clear();
        self.promises = passport.promises;
        let due = [armed::NO_SENDERS, armed::DESTROYED].iter().filter(|bit| armed & **bit != 0);
        let rights = due.map(|_| self.once()).collect::<Vec<_>>();
        let attached = Attached { rights, ..Attached::default() };
        Frame::new(Kind::Port, self.chance.below(50), &passport.encode()).with(&attached)
    }

    fn once(&mut self) -> RightRef {
        let generation = 1 + self.chance.below(1000) as u32;
        RightRef::Mine(RightKind::SendOnce, Slot { index: 100, generation })
    }

    /// A message: of the queue, or what still came to the old owner.
    fn message(&mut self, moved: bool) -> Frame {
        let mut origin = Origin::default();
        if moved && !self.outs.is_empty() && self.chance.one_in(2) {
            origin.ticket = self.outs[self.chance.place(self.outs.len())];
        } else if moved && self.promises > 0 && self.chance.one_in(2) {
            self.promises -= 1;
            origin.place = Place::Promised;
        } else if self.chance.one_in(4) {
            origin.place = Place::Beyond;
        }
        let rights = (0..self.chance.below(4)).map(|_| self.right()).collect();
        let reply = self.chance.one_in(4).then(|| self.once());
        let attached = Attached { rights, reply, ..Attached::default() };
        let longest = if self.chance.one_in(20) { 8000 } else { 60 };
        let bytes = self.chance.place(longest);
        let body = [&origin.encode()[..], &vec![7; bytes]].concat();
        let mut frame = Frame::new(Kind::Message, self.chance.next(), &body).with(&attached);
        frame.header.priority = self.chance.below(u64::from(limits::PRIORITY_MAX)) as u16;
        frame.header.id = self.chance.next() as i32;
        frame
    }

    fn right(&mut self) -> RightRef {
        match self.chance.below(4) {
            0 => RightRef::Dead(RightKind::Send),
            1 => RightRef::Yours(RightKind::Send, OPEN),
            2 => self.once(),
            _ => {
                let index = self.chance.below(u64::from(OWN_SLOTS)) as u32;
                RightRef::Mine(RightKind::Send, Slot { index, generation: 1 })
            }
        }
    }

    /// A right that is out, with a task that never comes.
    fn out(&mut self) -> Frame {
        self.ticket += 1;
        self.outs.push(self.ticket);
        let holder = TaskId { process: self.chance.below(5), number: self.chance.below(3) };
        let out = OutRight { holder, address: Address::default(), have: self.chance.below(3) };
        Frame::new(Kind::Out, self.ticket, &out.encode())
    }

    /// A port in the queue of the port, whose bag goes before.
    fn inner(&mut self) -> Result<Frame, String> {
        let (outs, promises) = (std::mem::take(&mut self.outs), self.promises);
        let mut bytes = self.first().bytes();
        for _ in 0..self.chance.below(4) {
            bytes.extend(self.message(false).bytes());
        }
        (self.outs, self.promises) = (outs, promises);
        let packet = self.bag_packets;
        self.bag_packets += 1;
        self.live.packet(b"bagd", packet, &[sealed(&bytes)?]);
        self.ticket += 1;
        let rights = vec![RightRef::Receive(Ticket(self.ticket))];
        let attached = Attached { rights, descriptors: 1, packet, ..Attached::default() };
        Ok(Frame::new(Kind::Message, 0, &Origin::default().encode()).with(&attached))
    }

    fn next(&mut self, moved: bool) -> Result<Frame, String> {
        let mut frame = match self.chance.below(12) {
            0..3 if !moved => self.out(),
            3 if moved && !self.outs.is_empty() => {
                let ended = self.outs.swap_remove(self.chance.place(self.outs.len()));
                Frame::new(Kind::Ended, ended, &[])
            }
            4 => self.inner()?,
            _ => self.message(moved),
        };
        if self.is_wrong() {
            self.spoil(&mut frame);
        }
        Ok(frame)
    }

    /// Something of a good frame is other than it should be.
    fn spoil(&mut self, frame: &mut Frame) {
        match self.chance.below(5) {
            0 => frame.header.kind = Kind::ALL[1 + self.chance.place(Kind::ALL.len() - 1)],
            1 => frame.header.tag = self.chance.below(4),
            2 => frame.header.priority = self.chance.next() as u16,
            3 => frame.body.truncate(self.chance.place(frame.body.len() + 1)),
            _ => {
                let bytes = if frame.extra.is_empty() { &mut frame.body } else { &mut frame.extra };
                let at = self.chance.place(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = self.chance.next() as u8;
                }
            }
        }
    }

    // ---- bags ------------------------------------------------------------------

    /// A bag whose every byte was chosen before the port moves.
    fn at_once(&mut self) -> Result<(), String> {
        let mut bytes = self.first().bytes();
        let mut frames = 1;
        for _ in 0..self.chance.below(40) {
            let more = self.next(false)?.bytes();
            if bytes.len() + more.len() > LANE as usize {
                break;
            }
            bytes.extend(more);
            frames += 1;
        }
        if self.is_wrong() {
            for _ in 0..1 + self.chance.below(4) {
                let at = self.chance.place(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = self.chance.next() as u8;
                }
            }
        }
        let fd = if self.is_wrong() { odd()? } else { sealed(&bytes)? };
        self.shown += frames;
        let ticket = self.announce(fd)?;
        if self.chance.one_in(2) {
            self.look(ticket, 0, NOWHERE)?;
        }
        Ok(())
    }

    /// A bag that grows when the port has moved, and goes on in others.
    fn growing(&mut self) -> Result<(), String> {
        let (mut bag, fd) = grows()?;
        let first = self.first();
        self.append(&mut bag, &first);
        for _ in 0..self.chance.below(8) {
            let frame = self.next(false)?;
            self.append(&mut bag, &frame);
        }
        let ticket = self.announce(fd)?;
        for _ in 0..self.chance.below(12) {
            if self.chance.one_in(4) {
                let fd;
                (bag, fd) = grows()?;
                let packet = self.live.send_descriptors(&[fd]);
                self.look(ticket, MORE, Slot { index: packet, generation: 0 })?;
            }
            let frame = self.next(true)?;
            self.append(&mut bag, &frame);
            self.look(ticket, 0, NOWHERE)?;
        }
        if self.chance.one_in(2) {
            let last = Frame::new(Kind::Ended, EVERY_TICKET, &[]);
            self.append(&mut bag, &last);
        }
        self.look(ticket, 0, NOWHERE)
    }

    fn append(&mut self, bag: &mut Growing, frame: &Frame) {
        if bag.writer.append(&frame.whole(), &[&frame.extra, &frame.body]).is_ok() {
            self.shown += 1;
        }
        bag.writer.publish();
    }

    /// The message that moves the port. Returns the ticket of its bag.
    fn announce(&mut self, fd: OwnedFd) -> Result<u64, String> {
        self.ticket += 1;
        let packet = self.live.send_descriptors(&[fd]);
        let rights = vec![RightRef::Receive(Ticket(self.ticket))];
        let attached = Attached { rights, descriptors: 1, packet, ..Attached::default() };
        self.live.send(message(OPEN, 0), &attached, b"a port")?;
        Ok(self.ticket)
    }

    fn look(&mut self, ticket: u64, id: i32, slot: Slot) -> Result<(), String> {
        self.live.say(Header { id, tag: ticket, ..Header::new(Kind::Bag, slot) }, &[], &[])
    }
}

fn sealed(lane: &[u8]) -> Result<OwnedFd, String> {
    Memory::with_lane(lane).sealed().map_err(|error| format!("no memory: {error}"))
}

fn grows() -> Result<(Growing, OwnedFd), String> {
    let (page, writer, fd) =
        OwnPage::create(LANE).map_err(|error| format!("no memory: {error}"))?;
    Ok((Growing { _page: page, writer }, fd))
}

fn odd() -> Result<OwnedFd, String> {
    File::open("/dev/null").map(OwnedFd::from).map_err(|error| error.to_string())
}
