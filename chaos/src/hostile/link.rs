//! A connection by hand, and memory whose every byte was chosen.
//!
//! The memory is a file until it is sealed: all of it, words and lane, is
//! written at once, and nobody maps it but the other side.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::board::{GRANT_AT, LIFE_AT, Life, SLOT_BYTES, State};
use abi::hello::{BYTES, Hello, Purpose};
use abi::page::{BOARD_AT, GRANTED_AT, HEAD_AT, LANE_AT, MAGIC, MAGIC_AT, Sleep, memory_bytes};
use abi::page::{SLEEP_AT, TAIL_AT};
use abi::right::Address;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, SealFlags, memfd_create};
use shm::socket::{LinkSocket, Received};
use shm::{LaneReader, PeerPage};

use super::story::OWN_SLOTS;

/// Bytes of a hostile lane.
pub(super) const LANE: u32 = abi::limits::LANE_BYTES_MIN;

/// How long the other side may take to answer or to read. Beyond it, it hangs.
pub(super) use super::PATIENCE;

/// Memory before it is sealed.
#[derive(Debug)]
pub(super) struct Memory(pub(super) Vec<u8>);

impl Memory {
    /// Such as an honest peer would show, with these bytes in the lane.
    pub(super) fn with_lane(lane: &[u8]) -> Memory {
        let mut memory = Memory(vec![0; memory_bytes(LANE)]);
        memory.set(MAGIC_AT, MAGIC);
        memory.set(HEAD_AT, lane.len() as u64);
        memory.set(GRANTED_AT, u64::MAX);
        memory.set(SLEEP_AT, Sleep::Awake.encode());
        for slot in 0..OWN_SLOTS as usize {
            let life = Life { generation: 1, state: State::Live };
            memory.set(BOARD_AT + slot * SLOT_BYTES + LIFE_AT, life.encode());
            memory.set(BOARD_AT + slot * SLOT_BYTES + GRANT_AT, u64::MAX);
        }
        if let Some(place) = memory.0.get_mut(LANE_AT..LANE_AT + lane.len()) {
            place.copy_from_slice(lane);
        }
        memory
    }

    pub(super) fn set(&mut self, at: usize, word: u64) {
        if let Some(place) = self.0.get_mut(at..at + 8) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    pub(super) fn get(&self, at: usize) -> u64 {
        let word = self.0.get(at..).and_then(|rest| rest.first_chunk::<8>());
        word.map_or(0, |word| u64::from_le_bytes(*word))
    }

    /// The head, the tail and all else that is a word.
    pub(super) const WORDS: [usize; 5] = [HEAD_AT, TAIL_AT, GRANTED_AT, SLEEP_AT, MAGIC_AT];

    /// Writes it and seals it as it must be.
    pub(super) fn sealed(&self) -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL;
        let file = File::from(
            memfd_create("hostile", flags)
                .or_else(|_| memfd_create("hostile", flags - MemfdFlags::NOEXEC_SEAL))?,
        );
        file.write_all_at(&self.0, 0)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(file.into())
    }
}

/// A link with the victim, by hand.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) socket: LinkSocket,
    pub(super) page: Arc<PeerPage>,
}

/// What became of a greeting.
#[derive(Debug)]
pub(super) enum Greeted {
    Linked(Linked, LaneReader),
    /// The other side would not.
    Refused,
}

/// A hello as the honest say it.
pub(super) fn hello(number: u64) -> Hello {
    Hello {
        features: 0,
        number,
        lane_bytes: LANE,
        purpose: Purpose::Named,
        address: Address::default(),
    }
}

/// Connects; waits while too many are at the door.
pub(super) fn connect(path: &Path) -> Result<LinkSocket, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        match LinkSocket::connect_path(path) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::park_timeout(Duration::from_micros(300));
            }
            Err(error) => return Err(format!("the door does not open: {error}")),
        }
    }
}

/// Says hello with `memory` and hears the answer.
pub(super) fn greet(path: &Path, hello: &Hello, memory: OwnedFd) -> Result<Greeted, String> {
    let socket = connect(path)?;
    if socket.send(&hello.encode(), &[memory.as_fd()]).is_err() {
        return Ok(Greeted::Refused);
    }
    let until = Instant::now() + PATIENCE;
    let mut buffer = [0; 2 * BYTES];
    loop {
        match socket.receive(&mut buffer) {
            Received::Empty if Instant::now() > until => {
                return Err("a hello is not answered".to_owned());
            }
            Received::Empty => {
                let mut watched = [PollFd::new(&socket, PollFlags::IN)];
                let _ = poll(&mut watched, None);
            }
            Received::Packet { bytes, mut descriptors, .. } => {
                let answer = Hello::decode(buffer.get(..bytes).unwrap_or_default());
                let (Ok(answer), Some(memory)) = (answer, descriptors.pop()) else {
                    return Ok(Greeted::Refused);
                };
                let (page, reader) = PeerPage::open(memory, answer.lane_bytes)
                    .map_err(|error| format!("the victim's memory: {error:?}"))?;
                return Ok(Greeted::Linked(Linked { socket, page }, reader));
            }
            Received::End | Received::Failed(_) => return Ok(Greeted::Refused),
        }
    }
}

impl Linked {
    /// Whether the other side has hung up.
    pub(super) fn is_over(&self) -> bool {
        let mut watched = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let now = rustix::time::Timespec::default();
        let _ = poll(&mut watched, Some(&now));
        watched[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP)
    }

    /// Waits until all below `head` was read, or the link has ended. Returns
    /// whether it has ended.
    pub(super) fn wait_until_read(&self, head: u64) -> Result<bool, String> {
        let until = Instant::now() + PATIENCE;
        for turn in 0u64.. {
            if self.page.tail() >= head {
                return Ok(false);
            }
            if turn % 8 == 7 && self.is_over() {
                return Ok(true);
            }
            if Instant::now() > until {
                return Err(format!(
                    "what lies in a lane is not read: {} of {head} bytes",
                    self.page.tail()
                ));
            }
            if turn % 256 == 255 {
                let _ = self.socket.ring();
            }
            std::thread::park_timeout(Duration::from_micros(20));
        }
        Ok(true)
    }
}
