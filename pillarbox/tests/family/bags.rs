//! Bags as nobody packs them.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;

use abi::bag::{Origin, OutRight, Passport, Place};
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::right::{Address, RightRef};
use abi::{Slot, TaskId, Ticket, limits};
use pillarbox::{ReceiveRight, Task};
use shm::{LaneWriter, OwnPage, PeerPage};

use super::long;
use super::raw::Peer;

pub(crate) const NOWHERE: Slot = Slot { index: 0, generation: 0 };
pub(crate) const SOMEBODY: TaskId = TaskId { process: 7, number: 7 };
pub(crate) const BYTES: u32 = limits::LANE_BYTES_MIN;

pub(crate) const PORT: Passport = Passport {
    capacity: 8,
    pulses: 0,
    by_priority: true,
    merge_pulses: false,
    overflow: 0,
    armed: 0,
    promises: 0,
    made: 0,
    dropped: 0,
    birth: 0,
};

/// One whose every frame is up to the test.
pub(crate) struct RawBag {
    _page: Arc<OwnPage>,
    pub(crate) writer: LaneWriter,
    pub(crate) fd: OwnedFd,
}

impl RawBag {
    pub(crate) fn empty() -> RawBag {
        let (page, writer, fd) = OwnPage::create(BYTES).unwrap();
        RawBag { _page: page, writer, fd }
    }

    pub(crate) fn of(passport: Passport) -> RawBag {
        RawBag::empty().with(Kind::Port, 0, &passport.encode())
    }

    pub(crate) fn put(&mut self, header: Header, parts: &[&[u8]]) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let header = Header { length: (HEADER_BYTES + bytes) as u32, ..header };
        self.writer.append(&header, parts).unwrap();
        self.writer.publish();
    }

    pub(crate) fn with(mut self, kind: Kind, tag: u64, body: &[u8]) -> RawBag {
        self.put(Header { tag, ..Header::new(kind, NOWHERE) }, &[body]);
        self
    }

    pub(crate) fn with_out(self, ticket: u64) -> RawBag {
        let out = OutRight { holder: SOMEBODY, address: Address::default(), have: 0 };
        self.with(Kind::Out, ticket, &out.encode())
    }

    pub(crate) fn with_message(self, place: Place) -> RawBag {
        self.with(Kind::Message, 0, &Origin { place, ..Origin::default() }.encode())
    }
}

impl RawBag {
    /// With a message that brings the port whose bag comes as packet `packet`.
    pub(crate) fn with_port(mut self, packet: u32, ticket: u64) -> RawBag {
        let rights = vec![RightRef::Receive(Ticket(ticket))];
        let attached = Attached { rights, descriptors: 1, packet, ..Attached::default() };
        let mut extra = Vec::new();
        let flags = attached.encode(&mut extra);
        let header = Header::new(Kind::Message, NOWHERE);
        let header = Header { flags, extra: extra.len() as u32, ..header };
        self.put(header, &[&extra, &Origin::default().encode()]);
        self
    }
}

/// Sends what a message in a bag brings, as packet `packet`.
pub(crate) fn send_for_bag(peer: &Peer, packet: u32, fd: &OwnedFd) {
    let mut words = *b"bagd....";
    words[4..].copy_from_slice(&packet.to_le_bytes());
    peer.socket.send(&words, &[fd.as_fd()]).unwrap();
}

/// The variable that says whose rights are out.
const HOLDER: &str = "PILLARBOX_TEST_HOLDER";

/// Has a part say that rights of this task's are out.
pub(crate) fn held_by(holder: &Task) -> impl FnOnce(&mut Command) + use<> {
    let TaskId { process, number } = holder.identity().task;
    move |command| {
        command.env(HOLDER, format!("{process} {number}"));
    }
}

/// In the part: a right of that task's that is out.
pub(crate) fn out_of_holder() -> OutRight {
    let holder = std::env::var(HOLDER).unwrap();
    let (process, number) = holder.split_once(' ').unwrap();
    let holder = TaskId { process: process.parse().unwrap(), number: number.parse().unwrap() };
    OutRight { holder, address: Address::default(), have: 0 }
}

/// Receives the receive right of a port.
pub(crate) fn receive_port(inbox: &ReceiveRight) -> ReceiveRight {
    let mut message = inbox.receive(long()).expect("it comes");
    message.take_rights().pop().and_then(|right| right.into_receive().ok()).expect("a port")
}

/// Moves a port in a bag.
pub(crate) fn move_in(peer: &mut Peer, packet: u32, ticket: u64, fd: OwnedFd) {
    peer.send_descriptors(packet, &[fd]);
    let rights = vec![RightRef::Receive(Ticket(ticket))];
    let attached = Attached { rights, descriptors: 1, packet, ..Attached::default() };
    peer.send(peer.slot("inbox"), &attached, b"a port");
}

impl RawBag {
    /// Half a memory more, over what was read.
    pub(crate) fn lap_some(&mut self) {
        let (other, _, fd) = OwnPage::create(BYTES).unwrap();
        let (believed, _) = PeerPage::open(fd, BYTES).unwrap();
        let frame = Header { tag: 9, ..Header::new(Kind::Ended, NOWHERE) };
        for _ in 0..BYTES as usize / HEADER_BYTES / 2 {
            other.set_tail(self.writer.head());
            self.writer.write(&frame, &[], 0, &believed).unwrap();
            self.writer.publish();
        }
    }
}
