//! A hostile link whose every byte was chosen before it began.
//!
//! The memory is a file until it is sealed, so its words and its lane are written
//! at once and nobody maps it but the task.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::board::{GRANT_AT, LIFE_AT, Life, SLOT_BYTES, State};
use abi::hello::{BYTES, Hello, Purpose};
use abi::page::{BOARD_AT, GRANTED_AT, HEAD_AT, LANE_AT, MAGIC, MAGIC_AT, memory_bytes};
use abi::right::Address;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use shm::socket::{LinkSocket, Received};
use shm::{LaneReader, PeerPage};

use crate::victim::victim;

/// Bytes of the hostile lane.
pub const LANE: usize = abi::limits::LANE_BYTES_MIN as usize;

/// What a link brings.
#[derive(Clone, Debug)]
pub struct Memory(Vec<u8>);

impl Default for Memory {
    /// Such as an honest peer would show, with an empty lane.
    fn default() -> Self {
        let mut memory = Memory(vec![0; memory_bytes(LANE as u32)]);
        memory.set(MAGIC_AT, MAGIC);
        memory.set(GRANTED_AT, u64::MAX);
        for slot in 0..8 {
            let life = Life { generation: 1, state: State::Live };
            memory.set(BOARD_AT + slot * SLOT_BYTES + LIFE_AT, life.encode());
            memory.set(BOARD_AT + slot * SLOT_BYTES + GRANT_AT, u64::MAX);
        }
        memory
    }
}

impl Memory {
    /// Changes a word, wherever it is.
    pub fn set(&mut self, at: usize, word: u64) {
        let at = at % (self.0.len() - 7);
        self.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// Fills the lane and shows all of it.
    pub fn fill(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(LANE)];
        self.0[LANE_AT..LANE_AT + bytes.len()].copy_from_slice(bytes);
        self.set(HEAD_AT, bytes.len().next_multiple_of(8) as u64);
    }

    fn sealed(&self) -> OwnedFd {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("fuzz", flags).expect("memory"));
        file.write_all_at(&self.0, 0).expect("memory can be written");
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).expect("it is ours to seal");
        file.into()
    }
}

/// Links with the victim, says what there is to say on the socket, and waits until
/// all was read or the link has ended.
pub fn attack(memory: &Memory, packets: &[(&[u8], usize)]) {
    let victim = victim();
    let socket = connect(&victim.path);
    let hello = Hello {
        features: 0,
        number: victim.number(),
        lane_bytes: LANE as u32,
        purpose: Purpose::Named,
        address: Address::default(),
    };
    let head = word(&memory.0, HEAD_AT);
    if socket.send(&hello.encode(), &[memory.sealed().as_fd()]).is_err() {
        return;
    }
    for (bytes, descriptors) in packets {
        let null = || OwnedFd::from(File::open("/dev/null").expect("it is there"));
        let fds: Vec<_> = (0..descriptors % 4).map(|_| null()).collect();
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let _ = socket.send(bytes, &fds);
    }
    if let Some((page, ..)) = answer(&socket) {
        // What a lane cannot show is an offence, or nothing.
        wait(&socket, &page, head.min(LANE as u64));
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Connects; waits while too many are at the door.
pub(crate) fn connect(path: &Path) -> LinkSocket {
    loop {
        match LinkSocket::connect_path(path) {
            Ok(socket) => return socket,
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// The victim's memory and where it listens, or nothing where it refuses.
pub(crate) fn answer(socket: &LinkSocket) -> Option<(Arc<PeerPage>, LaneReader, Address)> {
    let mut buffer = [0; 2 * BYTES];
    loop {
        match socket.receive(&mut buffer) {
            Received::Empty => {
                let mut watched = [PollFd::new(socket, PollFlags::IN)];
                let _ = poll(&mut watched, None);
            }
            Received::Packet { bytes, mut descriptors, .. } => {
                let hello = Hello::decode(buffer.get(..bytes)?).ok()?;
                let (page, reader) = PeerPage::open(descriptors.pop()?, hello.lane_bytes).ok()?;
                return Some((page, reader, hello.address));
            }
            Received::End | Received::Failed(_) => return None,
        }
    }
}

/// Waits until all below `head` was read. False where the link has ended before. A
/// lane that is not read in time hangs.
pub(crate) fn wait(socket: &LinkSocket, page: &PeerPage, head: u64) -> bool {
    let until = Instant::now() + Duration::from_secs(8);
    while page.tail() < head {
        if is_over(socket, Duration::from_micros(50)) {
            return false;
        }
        assert!(Instant::now() < until, "{} of {head} bytes were read", page.tail());
    }
    true
}

/// Whether the other side has hung up, or does so soon.
pub(crate) fn is_over(socket: &LinkSocket, soon: Duration) -> bool {
    let mut watched = [PollFd::new(socket, PollFlags::RDHUP)];
    let brief = rustix::time::Timespec { tv_sec: 0, tv_nsec: soon.subsec_nanos().into() };
    let _ = poll(&mut watched, Some(&brief));
    watched[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP)
}
