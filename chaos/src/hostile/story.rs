//! Frames one after another: most of them such as an honest peer might write,
//! some of them wrong in every way.

use abi::frame::{Attached, HEADER_BYTES, Header, Kind, Onward, flag};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket, limits};

use crate::chance::Chance;

/// The port without a limit, as the door offers it.
pub(super) const OPEN: Slot = Slot { index: 0, generation: 1 };

/// The port with few places.
pub(super) const INBOX: Slot = Slot { index: 1, generation: 1 };

/// The mailboxes that are read by several: each message goes to one, or to all.
pub(super) const SHARED: [Slot; 2] =
    [Slot { index: 4, generation: 1 }, Slot { index: 5, generation: 1 }];

/// Slots of its own that it shows as live, and may name.
pub(super) const OWN_SLOTS: u32 = 16;

/// Questions a story asks without reading an answer.
const QUESTIONS: u64 = 24;

/// Messages it sends to the port with few places, granted or not.
const PLACES: u64 = 2;

/// Readers it wants to be of each shared mailbox: one place each is there for them.
const READERS: u64 = 2;

/// Words it says as a reader, taken or not.
const WORDS: u64 = 256;

/// What readers say: an attachment is asked for, something is done, goes back, or
/// they leave.
const READER_IDS: [i32; 4] = [1, 2, 3, 4];

/// Pulses it sends, taken or not.
const PULSES: u64 = limits::PULSES as u64 / 2;

/// Bytes it has waiting in our queues, at most, while it is good.
const BYTES: u64 = limits::LINK_QUEUED_BYTES / 2;

/// One peer's frames.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) chance: Chance,
    /// One frame in so many is wrong; zero for none.
    pub(super) wrong_one_in: u64,
    /// It gives and gives, to tasks that never come.
    pub(super) hoards: bool,
    /// Where it says that it listens.
    pub(super) address: Address,
    /// To whom it speaks.
    pub(super) victim: TaskId,
    ticket: u64,
    questions: u64,
    places: u64,
    pulses: u64,
    bytes: u64,
    /// Messages it has left, and not heard that they were taken.
    left: bool,
    readers: u64,
    words: u64,
    gives: Vec<(Slot, TaskId, u64)>,
}

impl Story {
    pub(super) fn new(chance: Chance, wrong_one_in: u64, victim: TaskId) -> Self {
        Story {
            chance,
            wrong_one_in,
            hoards: false,
            address: Address::default(),
            victim,
            ticket: 1,
            questions: 0,
            places: 0,
            pulses: 0,
            bytes: 0,
            left: false,
            readers: 0,
            words: 0,
            gives: Vec::new(),
        }
    }

    /// The next frame, with its room: a multiple of 8 bytes.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        let wrong = self.wrong_one_in > 0 && self.chance.one_in(self.wrong_one_in);
        match (wrong, self.chance.below(4)) {
            (false, _) => self.good(out),
            (true, 0) => self.noise(out),
            (true, 1) => self.odd(out),
            (true, _) => {
                self.good(out);
                self.mutate(out, start);
            }
        }
        out.resize(start + (out.len() - start).next_multiple_of(8), 0);
    }

    /// A frame an honest peer might write.
    fn good(&mut self, out: &mut Vec<u8>) {
        if self.hoards {
            return self.give(out);
        }
        match self.chance.below(24) {
            0..3 if self.bytes < BYTES => self.message(out),
            3 if self.places < PLACES => {
                self.places += 1;
                put(out, Header::new(Kind::Message, INBOX), b"place");
            }
            4 => self.give(out),
            5 => self.take_back(out),
            6 if self.questions < QUESTIONS => {
                self.questions += 1;
                let tag = self.chance.next();
                put(out, Header { tag, ..Header::new(Kind::Status, self.port()) }, &[]);
            }
            7 if self.questions < QUESTIONS => {
                self.questions += 1;
                let (tag, giver) = (self.chance.below(4), self.task());
                put(out, Header { tag, ..Header::new(Kind::Claim, NOWHERE) }, &giver.encode());
            }
            8 => {
                let header = Header::new(Kind::Ask, INBOX);
                put(out, header, &[]);
                put(out, Header { id: 1, ..Header::new(Kind::Return, INBOX) }, &[]);
            }
            9 => {
                let tag = self.chance.next();
                put(out, Header { tag, ..Header::new(Kind::StatusIs, OPEN) }, &[]);
            }
            10 if self.pulses < PULSES => {
                self.pulses += 1;
                let (tag, id) = (self.chance.next(), self.chance.next() as i32);
                put(out, Header { tag, id, ..Header::new(Kind::Pulse, OPEN) }, &[]);
            }
            11 => put(out, Header::new(Kind::Watch, self.port()), &[]),
            12 if self.questions < QUESTIONS => self.give_on(out),
            13 => {
                // Answers to questions that were never put, of no consequence.
                let kind = if self.chance.one_in(2) { Kind::Room } else { Kind::Taken };
                let index = self.chance.below(u64::from(OWN_SLOTS)) as u32;
                put(out, Header::new(kind, Slot { index, generation: 1 }), &[]);
            }
            14 if !self.left => self.leave(out),
            15 if self.readers < READERS => self.attach(out),
            16 | 17 if self.words < WORDS => self.word(out),
            18 if self.questions < QUESTIONS => {
                // Who names the owner as the giver asks for its inbox.
                self.questions += 1;
                self.ticket += 1;
                let header =
                    Header { tag: 1 << 33 | self.ticket, ..Header::new(Kind::Claim, NOWHERE) };
                put(out, header, &self.victim.encode());
            }
            _ => {
                let index = match self.chance.below(3) {
                    0 => abi::frame::EVERY_SLOT,
                    _ => self.chance.below(u64::from(OWN_SLOTS)) as u32,
                };
                let id = self.chance.below(2) as i32;
                put(
                    out,
                    Header { id, ..Header::new(Kind::Look, Slot { index, generation: 1 }) },
                    &[],
                );
            }
        }
    }

    /// Claims, and gives on what that may bring.
    fn give_on(&mut self, out: &mut Vec<u8>) {
        self.questions += 1;
        self.ticket += 1;
        let (giver, to) = (self.task(), self.task());
        // No ticket of another claim: two of one name are an offence.
        let claimed = 1 << 32 | self.ticket;
        put(out, Header { tag: claimed, ..Header::new(Kind::Claim, NOWHERE) }, &giver.encode());
        let onward = Onward { to, giver, ticket: Ticket(claimed) };
        let header = Header { tag: self.ticket, ..Header::new(Kind::GiveOn, NOWHERE) };
        put(out, header, &onward.encode());
    }

    /// A message that may wait with the owner of a full port.
    fn leave(&mut self, out: &mut Vec<u8>) {
        self.left = true;
        let accepted = Slot { index: 100, generation: self.once() };
        let accepted = Some(RightRef::Mine(RightKind::SendOnce, accepted));
        let attached = Attached { accepted, ..Attached::default() };
        let mut behind = Vec::new();
        let flags = attached.encode(&mut behind);
        let extra = behind.len() as u32;
        behind.extend_from_slice(b"left");
        put(out, Header { flags, extra, ..Header::new(Kind::Message, INBOX) }, &behind);
    }

    /// It wants to be a reader of both mailboxes.
    fn attach(&mut self, out: &mut Vec<u8>) {
        self.readers += 1;
        let index = self.chance.below(u64::from(OWN_SLOTS)) as u32;
        let rights = vec![RightRef::Mine(RightKind::Send, Slot { index, generation: 1 })];
        let reply = self.chance.one_in(2).then(|| {
            RightRef::Mine(RightKind::SendOnce, Slot { index: 100, generation: self.once() })
        });
        let attached = Attached { rights, reply, ..Attached::default() };
        for slot in SHARED {
            let mut behind = Vec::new();
            let flags = attached.encode(&mut behind);
            let extra = behind.len() as u32;
            // How many it takes at a time: one byte, as long as it is small.
            behind.push(self.chance.below(100) as u8);
            let [id, ..] = READER_IDS;
            put(out, Header { flags, extra, id, ..Header::new(Kind::Message, slot) }, &behind);
        }
    }

    /// Something of a hand-out it was given, or not.
    fn word(&mut self, out: &mut Vec<u8>) {
        self.words += 1;
        let slot = SHARED[self.chance.place(SHARED.len())];
        let id = READER_IDS[1 + self.chance.place(3)];
        let tag = if self.chance.one_in(8) { self.chance.next() } else { self.chance.below(2000) };
        put(out, Header { id, tag, ..Header::new(Kind::Pulse, slot) }, &[]);
    }

    fn port(&mut self) -> Slot {
        if self.chance.one_in(2) { OPEN } else { INBOX }
    }

    fn message(&mut self, out: &mut Vec<u8>) {
        let few = if self.chance.one_in(50) { 200 } else { 3 };
        let rights = (0..self.chance.below(few)).map(|_| self.right()).collect();
        let reply = self.chance.one_in(4).then(|| {
            RightRef::Mine(RightKind::SendOnce, Slot { index: 100, generation: self.once() })
        });
        let attached = Attached { rights, reply, ..Attached::default() };
        let mut behind = Vec::new();
        let mut flags = attached.encode(&mut behind);
        if self.chance.one_in(9) {
            flags |= flag::NOTIFICATION;
        }
        let extra = behind.len() as u32;
        let most = if self.chance.one_in(40) { 8000 } else { 100 };
        behind.resize(behind.len() + self.chance.below(most) as usize, 7);
        self.bytes += (HEADER_BYTES + behind.len()) as u64;
        let id = self.chance.next() as i32;
        put(out, Header { flags, extra, id, ..Header::new(Kind::Message, OPEN) }, &behind);
    }

    fn once(&mut self) -> u32 {
        1 + self.chance.below(1000) as u32
    }

    fn right(&mut self) -> RightRef {
        match self.chance.below(8) {
            0 => RightRef::Dead(RightKind::Send),
            1 => RightRef::Dead(RightKind::SendOnce),
            2 => RightRef::Yours(RightKind::Send, self.port()),
            3 if self.chance.one_in(20) => {
                let (kind, owner) = (RightKind::Send, self.task());
                let ticket = Ticket(self.chance.below(9));
                RightRef::Third { kind, owner, address: self.address, ticket }
            }
            _ => {
                let index = self.chance.below(u64::from(OWN_SLOTS)) as u32;
                RightRef::Mine(RightKind::Send, Slot { index, generation: 1 })
            }
        }
    }

    fn task(&mut self) -> TaskId {
        TaskId { process: self.chance.below(5), number: self.chance.below(3) }
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        self.ticket += 1;
        let (slot, to, ticket) = (self.port(), self.task(), self.ticket);
        self.gives.push((slot, to, ticket));
        put(out, Header { tag: ticket, ..Header::new(Kind::Give, slot) }, &to.encode());
    }

    fn take_back(&mut self, out: &mut Vec<u8>) {
        let some = self.gives.pop();
        let (slot, to, ticket) = some.unwrap_or((OPEN, TaskId { process: 1, number: 1 }, 0));
        put(out, Header { tag: ticket, ..Header::new(Kind::TakeBack, slot) }, &to.encode());
    }

    /// Bytes that mean nothing, of a length that is believed.
    fn noise(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        let length = 32 + self.chance.below(64) * 8;
        for _ in 0..length / 8 {
            out.extend_from_slice(&self.chance.next().to_le_bytes());
        }
        if self.chance.one_in(2)
            && let Some(front) = out.get_mut(start..start + 8)
        {
            front.copy_from_slice(&(length | self.chance.below(17) << 32).to_le_bytes());
        }
    }

    /// Any kind with any fields.
    fn odd(&mut self, out: &mut Vec<u8>) {
        let kind = Kind::ALL[1 + self.chance.place(Kind::ALL.len() - 1)];
        let slot = Slot { index: self.number() as u32, generation: self.number() as u32 };
        let flags = if self.chance.one_in(3) { self.chance.below(16) as u8 } else { 0 };
        let mut behind = self.task().encode().to_vec();
        let bytes = if self.chance.one_in(2) { 16 } else { self.chance.below(80) };
        behind.resize(bytes as usize, self.chance.next() as u8);
        let extra = if self.chance.one_in(2) { self.chance.below(bytes + 1) as u32 } else { 0 };
        let (id, tag) = (self.number() as i32, self.number());
        let priority = self.number() as u16;
        put(out, Header { flags, extra, id, tag, priority, ..Header::new(kind, slot) }, &behind);
    }

    pub(super) fn number(&mut self) -> u64 {
        match self.chance.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => self.chance.next(),
            3 => 1 << self.chance.below(64),
            _ => self.chance.below(8),
        }
    }

    /// A few bytes of a good frame are others.
    fn mutate(&mut self, out: &mut [u8], start: usize) {
        for _ in 0..1 + self.chance.below(3) {
            let at = start + self.chance.place(out.len() - start);
            if let Some(byte) = out.get_mut(at) {
                *byte = match self.chance.below(3) {
                    0 => *byte ^ 1 << self.chance.below(8),
                    1 => self.chance.next() as u8,
                    _ => [0, 0xff, 0x7f, 0x80][self.chance.place(4)],
                };
            }
        }
    }
}

const NOWHERE: Slot = Slot { index: 0, generation: 0 };

fn put(out: &mut Vec<u8>, header: Header, behind: &[u8]) {
    let header = Header { length: (HEADER_BYTES + behind.len()) as u32, ..header };
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(behind);
    out.resize(out.len().next_multiple_of(8), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const VICTIM: TaskId = TaskId { process: 9, number: 0 };

    #[test]
    fn good_frames_decode() {
        let mut story = Story::new(Chance::new(1), 0, VICTIM);
        let mut bytes = Vec::new();
        for _ in 0..5000 {
            story.next(&mut bytes);
        }
        let mut rest = &bytes[..];
        while let Some(head) = rest.first_chunk::<HEADER_BYTES>() {
            let header = Header::decode(head).unwrap();
            rest = &rest[header.room() as usize..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn wrong_frames_keep_their_room() {
        let mut story = Story::new(Chance::new(2), 1, VICTIM);
        for _ in 0..5000 {
            let mut bytes = Vec::new();
            story.next(&mut bytes);
            assert!(bytes.len() >= HEADER_BYTES && bytes.len().is_multiple_of(8));
        }
    }
}
