//! The bag of a port, as nobody packs it.
//!
//! It begins as memory such as an honest peer makes. What lies in it is written byte
//! by byte, before it is shown and after, also while the other side reads it.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use abi::Slot;
use abi::bag::{Origin, OutRight, Passport};
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::page::{HEAD_AT, LANE_AT};
use shm::OwnPage;

/// Bytes of its lane.
pub const BYTES: u32 = abi::limits::LANE_BYTES_MIN;

/// Frames of a bag speak of no slot.
pub const NOWHERE: Slot = Slot { index: 0, generation: 0 };

/// A bag that is being filled.
#[derive(Debug)]
pub struct Bag {
    _page: Arc<OwnPage>,
    fd: OwnedFd,
    memory: File,
    base: u64,
    filled: u64,
}

impl Default for Bag {
    fn default() -> Self {
        let (page, _, fd) = OwnPage::create(BYTES).expect("memory");
        let memory = OpenOptions::new().write(true).open("/proc/self/mem").expect("our own");
        let base = mapping_of(&fd);
        Bag { _page: page, fd, memory, base, filled: 0 }
    }
}

impl Bag {
    /// What it is mapped by.
    pub fn descriptor(&self) -> OwnedFd {
        self.fd.try_clone().expect("a descriptor")
    }

    /// Writes a frame that nobody sees yet.
    pub fn put(&mut self, header: Header, extra: &[u8], body: &[u8]) {
        let bytes = HEADER_BYTES + extra.len() + body.len();
        let header = Header { length: bytes as u32, extra: extra.len() as u32, ..header };
        self.put_bytes(&[&header.encode(), extra, body].concat());
    }

    /// Writes bytes that nobody sees yet, as far as the bag goes.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        let at = self.filled.min(BYTES.into());
        let fits = bytes.len().min((u64::from(BYTES) - at) as usize);
        self.scribble(LANE_AT + at as usize, &bytes[..fits]);
        self.filled += bytes.len().next_multiple_of(8) as u64;
    }

    /// What the port is.
    pub fn port(&mut self, passport: &Passport, turns: u64, attached: &Attached) {
        let mut extra = Vec::new();
        let flags = attached.encode(&mut extra);
        let header = Header { flags, tag: turns, ..Header::new(Kind::Port, NOWHERE) };
        self.put(header, &extra, &passport.encode());
    }

    /// A right that is out.
    pub fn out(&mut self, ticket: u64, out: &OutRight) {
        self.put(Header { tag: ticket, ..Header::new(Kind::Out, NOWHERE) }, &[], &out.encode());
    }

    /// A message.
    pub fn message(&mut self, header: Header, origin: &Origin, attached: &Attached, body: &[u8]) {
        let mut extra = Vec::new();
        let flags = header.flags | attached.encode(&mut extra);
        self.put(Header { flags, ..header }, &extra, &[&origin.encode()[..], body].concat());
    }

    /// Shows all that was written.
    pub fn show(&self) {
        self.scribble(HEAD_AT, &self.filled.to_le_bytes());
    }

    /// Where the next frame will lie, and so where some do.
    pub fn filled(&self) -> u64 {
        self.filled
    }

    /// Puts any bytes anywhere, while the other side reads.
    pub fn scribble(&self, at: usize, bytes: &[u8]) {
        let _ = self.memory.write_all_at(bytes, self.base + at as u64);
    }
}

/// Where the one mapping of this memory lies that we may write.
fn mapping_of(fd: &OwnedFd) -> u64 {
    let inode = File::from(fd.try_clone().expect("a descriptor")).metadata().expect("it is ours");
    let inode = inode.ino().to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("our own");
    let ours = maps.lines().find(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("rw-s") && words.nth(2) == Some(&inode)
    });
    let start = ours.and_then(|line| line.split_once('-')).expect("it is mapped").0;
    u64::from_str_radix(start, 16).expect("an address")
}
