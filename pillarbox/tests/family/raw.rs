//! A peer that speaks in bytes.
//!
//! It greets as it should and knows how the honest do everything. What it then
//! says is up to the test: any frame, any packet, any byte of its own memory at
//! any time.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use abi::board::{Life, State};
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::hello::Hello;
use abi::page::{HEAD_AT, LANE_AT, Sleep, memory_bytes};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, limits};
use rustix::event::{PollFd, PollFlags, poll};
use shm::socket::{LinkSocket, Received};
use shm::{LaneReader, LaneWriter, OwnPage, PeerPage, WriteError};

/// Bytes of its lane.
pub(crate) const LANE: u32 = limits::LANE_BYTES;

/// The slot it gives of itself.
pub(crate) const OWN: Slot = Slot { index: 0, generation: 1 };

pub(crate) struct Peer {
    pub(crate) socket: LinkSocket,
    pub(crate) own: Arc<OwnPage>,
    pub(crate) writer: LaneWriter,
    pub(crate) page: Arc<PeerPage>,
    pub(crate) reader: LaneReader,
    /// Where the other side listens.
    pub(crate) address: Address,
    /// What it was given, by name.
    pub(crate) given: HashMap<String, Slot>,
    memory: File,
    base: u64,
}

/// Waits until `socket` has something, and takes it.
pub(crate) fn hear(socket: &LinkSocket, buffer: &mut [u8]) -> Received {
    loop {
        match socket.receive(buffer) {
            Received::Empty => {
                let mut watched = [PollFd::new(socket, PollFlags::IN)];
                poll(&mut watched, None).unwrap();
            }
            other => return other,
        }
    }
}

/// Waits until the other side has hung up.
pub(crate) fn wait_for_the_end(socket: &LinkSocket) {
    let mut buffer = [0; 128];
    while !matches!(hear(socket, &mut buffer), Received::End | Received::Failed(_)) {}
}

/// The other side's hello and its memory.
pub(crate) fn hear_hello(socket: &LinkSocket) -> (Hello, OwnedFd) {
    let mut buffer = [0; 2 * abi::hello::BYTES];
    match hear(socket, &mut buffer) {
        Received::Packet { bytes, mut descriptors, .. } => {
            (Hello::decode(&buffer[..bytes]).unwrap(), descriptors.remove(0))
        }
        other => panic!("no hello: {other:?}"),
    }
}

impl Peer {
    /// Greets the parent that started this process and takes its welcome.
    pub(crate) fn of_parent() -> Peer {
        let mut peer = Peer::answer(shm::spawn::inherited().unwrap());
        let (header, body) = peer.next();
        assert_eq!(header.kind, Kind::Welcome);
        let (extra, mut names) = body.split_at(header.extra as usize);
        let attached = Attached::decode(header.flags, extra).unwrap();
        for right in attached.rights {
            let RightRef::Mine(_, slot) = right else { panic!("not of the parent: {right:?}") };
            let (&length, rest) = names.split_first().unwrap();
            let (name, rest) = rest.split_at(usize::from(length));
            peer.given.insert(String::from_utf8(name.to_vec()).unwrap(), slot);
            names = rest;
        }
        peer
    }

    /// Answers who speaks first on `socket`.
    fn answer(socket: LinkSocket) -> Peer {
        let (theirs, memory) = hear_hello(&socket);
        let (own, writer, fd) = OwnPage::create(LANE).unwrap();
        own.set_granted(u64::MAX);
        own.announce(Sleep::Awake);
        let hello = Hello {
            features: 0,
            number: 0,
            lane_bytes: LANE,
            purpose: theirs.purpose,
            address: Address::default(),
        };
        socket.send(&hello.encode(), &[fd.as_fd()]).unwrap();
        let (page, reader) = PeerPage::open(memory, theirs.lane_bytes).unwrap();
        let memory = OpenOptions::new().write(true).open("/proc/self/mem").unwrap();
        let base = own_mapping();
        let (address, given) = (theirs.address, HashMap::new());
        Peer { socket, own, writer, page, reader, address, given, memory, base }
    }

    /// The slot of a right it was given.
    pub(crate) fn slot(&self, name: &str) -> Slot {
        self.given[name]
    }

    // ---- as the honest do ------------------------------------------------------

    /// The next frame, and everything behind its header.
    pub(crate) fn next(&mut self) -> (Header, Vec<u8>) {
        loop {
            if let Some(header) = self.reader.next().unwrap() {
                let mut behind = Vec::new();
                self.reader.extra(&header, &mut behind);
                self.reader.body(&header, &mut behind);
                self.reader.finish(&header);
                self.own.set_tail(self.reader.position());
                return (header, behind);
            }
            std::thread::yield_now();
        }
    }

    /// Writes a frame, publishes it and rings. Waits for room.
    pub(crate) fn say(&mut self, header: Header, behind: &[u8]) {
        let header = Header { length: (HEADER_BYTES + behind.len()) as u32, ..header };
        loop {
            match self.writer.write(&header, &[behind], 0, &self.page) {
                Ok(()) => break,
                Err(WriteError::NoRoom) => {
                    self.socket.ring();
                    if self.is_over() {
                        return;
                    }
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
        self.writer.publish();
        self.ring();
    }

    /// Sends a message on `slot`, granted or not.
    pub(crate) fn send(&mut self, slot: Slot, attached: &Attached, body: &[u8]) {
        let mut behind = Vec::new();
        let flags = attached.encode(&mut behind);
        let extra = behind.len() as u32;
        behind.extend_from_slice(body);
        self.say(Header { flags, extra, ..Header::new(Kind::Message, slot) }, &behind);
    }

    /// Sends descriptors as those of packet `number`.
    pub(crate) fn send_descriptors(&self, number: u32, fds: &[OwnedFd]) {
        let mut packet = *b"desc....";
        packet[4..].copy_from_slice(&number.to_le_bytes());
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let _ = self.socket.send(&packet, &fds);
    }

    /// Gives a send right to itself, good for any number of messages, none of them
    /// spilled.
    pub(crate) fn give_own_right(&mut self, to: Slot) {
        self.own.set_grant(OWN.index, u64::MAX - 1);
        self.own.set_life(OWN.index, Life { generation: OWN.generation, state: State::Live });
        let attached = mine(RightKind::Send, OWN);
        self.send(to, &attached, b"ready");
    }

    /// Waits until the other side has read all that was said, or has hung up.
    pub(crate) fn wait_until_read(&self) {
        while self.page.tail() != self.writer.head() && !self.is_over() {
            std::thread::yield_now();
        }
    }

    /// Wakes whoever may sleep on the other side.
    pub(crate) fn ring(&self) {
        self.own.wake_head();
        self.socket.ring();
    }

    /// Whether the other side has hung up.
    pub(crate) fn is_over(&self) -> bool {
        let mut watched = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let now = rustix::time::Timespec::default();
        poll(&mut watched, Some(&now)).unwrap();
        watched[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP)
    }

    // ---- as nobody does ----------------------------------------------------------

    /// Puts any bytes anywhere into its own outbound memory, while the other
    /// side reads it.
    pub(crate) fn scribble(&self, at: usize, bytes: &[u8]) {
        self.memory.write_all_at(bytes, self.base + at as u64).unwrap();
    }

    /// Announces any head.
    pub(crate) fn set_head(&self, head: u64) {
        self.scribble(HEAD_AT, &head.to_le_bytes());
        self.ring();
    }

    /// Puts raw bytes where the next frame would be and shows `shown` of them.
    pub(crate) fn frame(&self, bytes: &[u8], shown: u64) {
        let head = self.writer.head();
        self.scribble(LANE_AT + (head % u64::from(LANE)) as usize, bytes);
        self.set_head(head + shown);
    }
}

/// A message that carries one right to a slot of the sender's.
pub(crate) fn mine(kind: RightKind, slot: Slot) -> Attached {
    Attached { rights: vec![RightRef::Mine(kind, slot)], ..Attached::default() }
}

/// Where the one memory lies that we may write.
fn own_mapping() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let size = memory_bytes(LANE) as u64;
    let found = maps.lines().filter(|line| line.contains(" rw-s ") && line.contains("memfd:"));
    let ranges = found.filter_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let end = rest.split_whitespace().next()?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    let mut ours = ranges.filter(|(start, end)| end - start >= size);
    let (start, _) = ours.next().expect("a memory of our own");
    assert!(ours.next().is_none(), "one link only");
    start
}
