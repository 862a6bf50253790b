//! A hostile link that goes on: it says one thing after the other, and reads what it
//! is told.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::Slot;
use abi::board::{Life, State};
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::page::Sleep;
use shm::{LaneReader, LaneWriter, OwnPage, WriteError};

use super::link::{Greeted, LANE, Linked, PATIENCE, greet, hello};
use super::story::OWN_SLOTS;

/// One end of it.
#[derive(Debug)]
pub(super) struct Live {
    link: Linked,
    own: Arc<OwnPage>,
    writer: LaneWriter,
    reader: LaneReader,
    packets: u32,
    /// Where each frame ends.
    ends: Vec<u64>,
    over: bool,
}

impl Live {
    /// Links with the victim and waits for its welcome: before that nothing of the
    /// victim's is there to be used. `None` where it refuses.
    pub(super) fn link(path: &Path, number: u64) -> Result<Option<Live>, String> {
        let (own, writer, fd) =
            OwnPage::create(LANE).map_err(|error| format!("no memory: {error}"))?;
        own.set_granted(u64::MAX);
        own.announce(Sleep::Awake);
        for slot in 0..OWN_SLOTS {
            own.set_grant(slot, u64::MAX - 1);
            own.set_life(slot, Life { generation: 1, state: State::Live });
        }
        let Greeted::Linked(link, reader) = greet(path, &hello(number), fd)? else {
            return Ok(None);
        };
        let (packets, ends, over) = (0, Vec::new(), false);
        let mut live = Live { link, own, writer, reader, packets, ends, over };
        let until = Instant::now() + PATIENCE;
        while !matches!(live.next()?, Some((Header { kind: Kind::Welcome, .. }, _))) {
            if live.is_over() {
                return Ok(None);
            }
            if Instant::now() > until {
                return Err("nobody is welcomed".to_owned());
            }
            std::thread::park_timeout(Duration::from_micros(20));
        }
        Ok(Some(live))
    }

    /// Whether the victim has hung up.
    pub(super) fn is_over(&mut self) -> bool {
        self.over |= self.link.is_over();
        self.over
    }

    /// Writes a frame, shows it and rings.
    pub(super) fn say(&mut self, header: Header, extra: &[u8], body: &[u8]) -> Result<(), String> {
        let bytes = HEADER_BYTES + extra.len() + body.len();
        let header = Header { length: bytes as u32, extra: extra.len() as u32, ..header };
        while !self.over {
            match self.writer.write(&header, &[extra, body], 0, &self.link.page) {
                Ok(()) => break,
                Err(WriteError::NoRoom) => {
                    self.writer.publish();
                    self.wait_until_read()?;
                }
                Err(error) => return Err(format!("a frame of its own making: {error}")),
            }
        }
        self.writer.publish();
        self.ends.push(self.writer.head());
        self.own.wake_head();
        self.link.socket.ring();
        Ok(())
    }

    /// Sends a message on `slot`, granted or not.
    pub(super) fn send(
        &mut self,
        header: Header,
        attached: &Attached,
        body: &[u8],
    ) -> Result<(), String> {
        let mut extra = Vec::new();
        let flags = header.flags | attached.encode(&mut extra);
        self.say(Header { flags, ..header }, &extra, body)
    }

    /// Sends descriptors for the next frame; returns the number of their packet.
    pub(super) fn send_descriptors(&mut self, fds: &[OwnedFd]) -> u32 {
        let number = self.packets;
        self.packets += 1;
        self.packet(b"desc", number, fds);
        number
    }

    /// Sends a packet of any sort and number.
    pub(super) fn packet(&self, sort: &[u8; 4], number: u32, fds: &[OwnedFd]) {
        let mut packet = [0; 8];
        packet[..4].copy_from_slice(sort);
        packet[4..].copy_from_slice(&number.to_le_bytes());
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let _ = self.link.socket.send(&packet, &fds);
    }

    /// The next frame it was sent, and what lies behind its header.
    pub(super) fn next(&mut self) -> Result<Option<(Header, Vec<u8>)>, String> {
        let next = self.reader.next().map_err(|offence| format!("the victim lies: {offence}"))?;
        let Some(header) = next else { return Ok(None) };
        let mut behind = Vec::new();
        self.reader.extra(&header, &mut behind);
        self.reader.body(&header, &mut behind);
        self.reader.finish(&header);
        self.own.set_tail(self.reader.position());
        Ok(Some((header, behind)))
    }

    /// How many messages it may have sent on a slot of the victim's.
    pub(super) fn granted(&self, slot: Slot) -> u64 {
        self.link.page.grant(slot.index).unwrap_or(0)
    }

    /// The room for parts that a slot of the victim's declares.
    pub(super) fn room(&self, slot: Slot) -> u64 {
        let life = self.link.page.life(slot.index);
        let declared = life.is_some_and(|life| life.generation == slot.generation);
        self.link.page.grant(slot.index).filter(|_| declared).unwrap_or(0)
    }

    /// Waits until all was read; false where the link has ended instead.
    pub(super) fn wait_until_read(&mut self) -> Result<bool, String> {
        self.over = self.over || self.link.wait_until_read(self.writer.head())?;
        Ok(!self.over)
    }

    /// How many of its frames were read.
    pub(super) fn frames_read(&self) -> u64 {
        let tail = self.link.page.tail();
        self.ends.iter().filter(|end| **end <= tail).count() as u64
    }
}

/// A message to `slot` that does what `id` says.
pub(super) const fn message(slot: Slot, id: i32) -> Header {
    Header { id, ..Header::new(Kind::Message, slot) }
}
