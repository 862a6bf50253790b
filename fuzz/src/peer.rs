//! A hostile link that goes on: it says one thing after the other, and reads what it
//! is told.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use abi::board::{Life, Moved, State};
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::hello::{Hello, Purpose};
use abi::page::Sleep;
use abi::right::Address;
use abi::{Slot, TaskId};
use shm::socket::LinkSocket;
use shm::{LaneReader, LaneWriter, OwnPage, PeerPage, WriteError};

use crate::memory::{LANE, answer, connect, is_over, wait};
use crate::victim::{order, victim};

/// The victim's port without a limit.
pub const OPEN: Slot = Slot { index: 0, generation: 1 };

/// The one with few places.
pub const INBOX: Slot = Slot { index: 1, generation: 1 };

/// Slots of its own that it shows as live.
pub const SLOTS: u32 = 8;

/// One of them.
pub fn own(number: u8) -> Slot {
    Slot { index: u32::from(number) % SLOTS, generation: 1 }
}

/// One end of a link.
#[derive(Debug)]
pub struct Peer {
    /// Which task it says it is.
    pub id: TaskId,
    socket: LinkSocket,
    page: Arc<OwnPage>,
    writer: LaneWriter,
    theirs: Arc<PeerPage>,
    reader: LaneReader,
    address: Address,
    packets: u32,
    over: bool,
}

impl Peer {
    /// Links with the victim, which is told to let go of what others have left.
    pub fn link() -> Option<Peer> {
        let victim = victim();
        let (page, writer, fd) = OwnPage::create(LANE as u32).ok()?;
        page.set_granted(u64::MAX);
        page.announce(Sleep::Awake);
        for slot in 0..SLOTS {
            page.set_grant(slot, u64::MAX - 1);
            page.set_life(slot, Life { generation: 1, state: State::Live });
        }
        let number = victim.number();
        let socket = connect(&victim.path);
        let hello = Hello {
            features: 0,
            number,
            lane_bytes: LANE as u32,
            purpose: Purpose::Named,
            address: Address::default(),
        };
        socket.send(&hello.encode(), &[fd.as_fd()]).ok()?;
        let (theirs, reader, address) = answer(&socket)?;
        let id = TaskId { process: victim.task.identity().task.process, number };
        let (packets, over) = (0, false);
        let mut peer = Peer { id, socket, page, writer, theirs, reader, address, packets, over };
        peer.order(order::FORGET, 0, 0);
        Some(peer)
    }

    /// Where the victim listens.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Whether the link has ended.
    pub fn is_over(&mut self) -> bool {
        self.over |= is_over(&self.socket, Duration::ZERO);
        self.over
    }

    /// Writes a frame and shows it.
    pub fn say(&mut self, header: Header, extra: &[u8], body: &[u8]) {
        let bytes = HEADER_BYTES + extra.len() + body.len();
        let header = Header { length: bytes as u32, extra: extra.len() as u32, ..header };
        while !self.over {
            match self.writer.write(&header, &[extra, body], 0, &self.theirs) {
                Ok(()) => break,
                // Its lane is full: then it is read, or has ended.
                Err(WriteError::NoRoom) => {
                    self.writer.publish();
                    self.ring();
                    self.wait_until_read();
                }
                Err(_) => return,
            }
        }
        self.writer.publish();
        self.ring();
    }

    /// Sends a message on `slot`, granted or not.
    pub fn send(&mut self, slot: Slot, id: i32, attached: &Attached, body: &[u8]) {
        let mut extra = Vec::new();
        let flags = attached.encode(&mut extra);
        self.say(Header { flags, id, ..Header::new(Kind::Message, slot) }, &extra, body);
    }

    /// Tells the victim what to do with what it has.
    pub fn order(&mut self, what: u8, one: u8, two: u8) {
        let id = i32::from_le_bytes([what, one, two, 0]);
        self.send(OPEN, id, &Attached::default(), b"");
    }

    /// Sends descriptors as a packet of this sort; returns its number.
    pub fn send_descriptors(&mut self, fds: &[OwnedFd]) -> u32 {
        let number = self.packets;
        self.packets += 1;
        self.packet(b"desc", number, fds);
        number
    }

    /// Sends a packet of any sort and number.
    pub fn packet(&mut self, sort: &[u8; 4], number: u32, fds: &[OwnedFd]) {
        let mut packet = [0; 8];
        packet[..4].copy_from_slice(sort);
        packet[4..].copy_from_slice(&number.to_le_bytes());
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let _ = self.socket.send(&packet, &fds);
    }

    /// Says on its board that the port of a slot has gone, and tells the victim.
    pub fn move_slot(&mut self, slot: Slot, moved: &Moved) {
        self.page.set_moved(slot.index, moved);
        self.set_state(slot, State::Moved);
    }

    /// Says on its board what became of a slot, and tells the victim.
    pub fn set_state(&mut self, slot: Slot, state: State) {
        self.page.set_life(slot.index, Life { generation: slot.generation, state });
        self.page.bump_change();
        self.say(Header::new(Kind::Look, slot), &[], &[]);
    }

    /// The next frame it was sent, and what lies behind its header.
    pub fn next(&mut self) -> Option<(Header, Vec<u8>)> {
        let header = self.reader.next().expect("the victim writes what is right")?;
        let mut behind = Vec::new();
        self.reader.extra(&header, &mut behind);
        self.reader.body(&header, &mut behind);
        self.reader.finish(&header);
        self.page.set_tail(self.reader.position());
        Some((header, behind))
    }

    /// Waits until the victim has read all that was said; false where the link has
    /// ended instead.
    pub fn wait_until_read(&mut self) -> bool {
        self.over = self.over || !wait(&self.socket, &self.theirs, self.writer.head());
        !self.over
    }

    fn ring(&self) {
        self.page.wake_head();
        self.socket.ring();
    }
}

/// Descriptors of nothing.
pub fn nulls(count: u8) -> Vec<OwnedFd> {
    (0..count).map(|_| File::open("/dev/null").expect("it is there").into()).collect()
}
