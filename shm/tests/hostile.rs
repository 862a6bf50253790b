//! A peer that lies, about everything it can lie about.
//!
//! What a peer can do to us is bounded by what it can write: its own memory,
//! its own descriptors, its own packets. Each test writes one lie, and names
//! the offence it must be found out as, or shows that it does no harm.
#![cfg(not(loom))]
#![allow(unsafe_code, reason = "does what a peer does that is not in Rust")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::loan::Loan;
use abi::page::{self, Sleep};
use abi::{Offence, Slot, board, limits};
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;
use shm::arena::LentMemory;
use shm::{Body, LaneReader, LinkSocket, OpenError, OwnPage, PeerPage, WakeWord, Woke, WriteError};

const LANE: u32 = limits::LANE_BYTES_MIN;
const BYTES: u64 = page::memory_bytes(LANE) as u64;
const OUTBOUND: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE);
const SEALED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

/// A memfd before any seal.
fn memfd(bytes: u64) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create(c"hostile", flags).unwrap();
    rustix::fs::ftruncate(&fd, bytes).unwrap();
    fd
}

/// A memfd with something in every page.
fn filled(bytes: u64) -> OwnedFd {
    let fd = memfd(bytes);
    let content = vec![0; bytes as usize];
    assert_eq!(rustix::io::pwrite(&fd, &content, 0), Ok(content.len()));
    rustix::io::pwrite(&fd, &page::MAGIC.to_le_bytes(), 0).unwrap();
    fd
}

fn seal(fd: &OwnedFd, seals: SealFlags) {
    rustix::fs::fcntl_add_seals(fd, seals).unwrap();
}

/// What was found out about `fd`, offered as a page.
fn offence(fd: OwnedFd) -> Option<Offence> {
    match PeerPage::open(fd, LANE) {
        Ok(_) => None,
        Err(OpenError::Offence(offence)) => Some(offence),
        Err(other) => panic!("blamed on the system: {other:?}"),
    }
}

fn body_offence(fd: OwnedFd, bytes: u64) -> Option<Offence> {
    match Body::open(fd, bytes) {
        Ok(_) => None,
        Err(OpenError::Offence(offence)) => Some(offence),
        Err(other) => panic!("blamed on the system: {other:?}"),
    }
}

/// A peer's memory as the peer has it: writable, every word of it.
struct Hostile {
    base: *mut u8,
    bytes: usize,
    fd: OwnedFd,
}

// SAFETY: words are reached by atomics only.
unsafe impl Send for Hostile {}
// SAFETY: as above.
unsafe impl Sync for Hostile {}

impl Hostile {
    fn new() -> Hostile {
        let fd = filled(BYTES);
        let bytes = BYTES as usize;
        // SAFETY: a fresh mapping at an address the kernel chooses.
        let base = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &fd,
                0,
            )
        };
        seal(&fd, OUTBOUND);
        Hostile { base: base.unwrap().cast(), bytes, fd }
    }

    fn open(&self) -> (Arc<PeerPage>, LaneReader) {
        PeerPage::open(self.fd.try_clone().unwrap(), LANE).unwrap()
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at < self.bytes);
        // SAFETY: in the mapping, by the line above.
        let word = unsafe { self.base.add(at) };
        // SAFETY: aligned, in the mapping, and reached by atomics only.
        unsafe { AtomicU64::from_ptr(word.cast()) }
    }

    fn say(&self, at: usize, value: u64) {
        self.word(at).store(value.to_le(), Relaxed);
    }

    /// The low half of the head, as a futex.
    fn head_futex(&self) -> &AtomicU32 {
        let word = self.word(page::HEAD_AT).as_ptr();
        // SAFETY: as in `word`; used by its address only.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        for (number, bytes) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let at = page::LANE_AT + at as usize + number * 8;
            self.word(at).store(u64::from_ne_bytes(*bytes), Relaxed);
        }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and nothing points into it any more.
        unsafe { rustix::mm::munmap(self.base.cast(), self.bytes) }.unwrap();
    }
}

fn header(kind: Kind, length: u32) -> Header {
    let slot = Slot { index: 1, generation: 1 };
    Header { length, ..Header::new(kind, slot) }
}

#[test]
fn lane_size() {
    for lane in [0, 4096, LANE + 1, LANE * 3, limits::LANE_BYTES_MAX * 2] {
        let refused = PeerPage::open(filled(BYTES), lane);
        assert!(
            matches!(refused, Err(OpenError::Offence(Offence::LaneSize(said))) if said == lane)
        );
        assert!(OwnPage::create(lane).is_err());
    }
}

#[test]
fn memory_kind() {
    let kind = Some(Offence::MemoryKind);
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    assert_eq!(offence(reading), kind);
    assert_eq!(offence(writing), kind);
    let (_near, far) = LinkSocket::pair().unwrap();
    assert_eq!(offence(far), kind);
    for path in ["/proc/self/exe", "/", "/dev/zero", "/dev/shm"] {
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        assert_eq!(offence(fd.unwrap()), kind, "{path}");
    }
    // A good memory behind a name that cannot be used, or not for reading.
    for flags in [OFlags::PATH, OFlags::WRONLY] {
        let fd = filled(BYTES);
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let reopened =
            rustix::fs::open(name.as_str(), flags | OFlags::CLOEXEC, Mode::empty()).unwrap();
        seal(&fd, OUTBOUND);
        assert_eq!(offence(reopened), kind);
    }
    let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    assert_eq!(body_offence(eventfd, 8), kind);
}

#[test]
fn huge_pages_are_of_the_wrong_kind() {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB;
    // Where the kernel has no huge pages there is nothing to refuse.
    if let Ok(fd) = rustix::fs::memfd_create(c"huge", flags) {
        rustix::fs::ftruncate(&fd, 2 << 20).unwrap();
        seal(&fd, SEALED);
        assert_eq!(body_offence(fd, 2 << 20), Some(Offence::MemoryKind));
    }
}

#[test]
fn seal_missing() {
    for seals in [OUTBOUND, SEALED] {
        for left_out in seals.iter() {
            let fd = filled(BYTES);
            seal(&fd, seals.difference(left_out));
            let found = match seals {
                OUTBOUND => offence(fd),
                _ => body_offence(fd, BYTES),
            };
            assert_eq!(found, Some(Offence::SealMissing), "{left_out:?}");
        }
    }
    // A file on tmpfs that is no memfd has no seals to give.
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    if let Ok(fd) = rustix::fs::open("/dev/shm", flags, Mode::RUSR | Mode::WUSR) {
        rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, BYTES).unwrap();
        assert_eq!(offence(fd), Some(Offence::SealMissing));
    }
}

#[test]
fn memory_size() {
    for bytes in [4096, BYTES - 4096, BYTES - 1, BYTES + 1, BYTES * 2] {
        let fd = filled(bytes);
        seal(&fd, OUTBOUND);
        assert_eq!(offence(fd), Some(Offence::MemorySize), "{bytes}");
    }
    for bytes in [0, 99, 101, limits::MESSAGE_BYTES + 1, u64::MAX] {
        let fd = Body::create(&[&[1; 100]]).unwrap();
        assert_eq!(body_offence(fd, bytes), Some(Offence::MemorySize));
    }
}

#[test]
fn memory_holes() {
    // Nothing there at all.
    let fd = memfd(BYTES);
    seal(&fd, OUTBOUND);
    assert_eq!(offence(fd), Some(Offence::MemoryHoles));
    // One page punched out.
    let fd = filled(BYTES);
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&fd, punch, 8192, 4096).unwrap();
    seal(&fd, OUTBOUND);
    assert_eq!(offence(fd), Some(Offence::MemoryHoles));
    // And made up for by pages past the end, so that the count is right.
    for seals in [OUTBOUND, SEALED] {
        let fd = filled(BYTES);
        rustix::fs::fallocate(&fd, punch, 8192, 4096).unwrap();
        rustix::fs::fallocate(&fd, FallocateFlags::KEEP_SIZE, BYTES, 16384).unwrap();
        let stat = rustix::fs::fstat(&fd).unwrap();
        assert!(stat.st_blocks as u64 * 512 >= BYTES && stat.st_size as u64 == BYTES);
        seal(&fd, seals);
        let found = match seals {
            OUTBOUND => offence(fd),
            _ => body_offence(fd, BYTES),
        };
        assert_eq!(found, Some(Offence::MemoryHoles));
    }
}

#[test]
fn page_malformed() {
    let fd = filled(BYTES);
    rustix::io::pwrite(&fd, b"PBpage9", 0).unwrap();
    seal(&fd, OUTBOUND);
    assert_eq!(offence(fd), Some(Offence::PageMalformed));
}

#[test]
fn board_order() {
    let hostile = Hostile::new();
    let (peer, _reader) = hostile.open();
    let board_memory = |number: u32| {
        let bytes = u64::from(board::board_slots(number)) * board::SLOT_BYTES as u64;
        let fd = filled(bytes);
        seal(&fd, OUTBOUND);
        fd
    };
    // The third before the second has another size.
    assert!(matches!(
        peer.add_board(board_memory(3)),
        Err(OpenError::Offence(Offence::MemorySize))
    ));
    for number in 1..limits::BOARDS {
        assert_eq!(peer.grant(board::board_start(number)), None);
        peer.add_board(board_memory(number)).unwrap();
        assert_eq!(peer.grant(board::board_start(number + 1) - 1), Some(0));
    }
    assert!(matches!(
        peer.add_board(board_memory(limits::BOARDS - 1)),
        Err(OpenError::Offence(Offence::BoardOrder))
    ));
    assert_eq!(peer.life(limits::SLOTS), None);
    assert_eq!(peer.life(u32::MAX), None);
}

#[test]
fn a_head_that_lies_is_an_offence() {
    let hostile = Hostile::new();
    for lie in [1, 7, u64::from(LANE) + 8, u64::MAX, u64::MAX - 7, 1 << 32] {
        let (_peer, mut reader) = hostile.open();
        hostile.say(page::HEAD_AT, lie);
        assert!(reader.pending());
        assert_eq!(reader.next(), Err(Offence::HeadImpossible), "{lie}");
        assert_eq!(reader.position(), 0);
    }
}

#[test]
fn a_head_that_goes_back_is_an_offence() {
    let hostile = Hostile::new();
    let (_peer, mut reader) = hostile.open();
    hostile.put(0, &header(Kind::Ask, 32).encode());
    hostile.say(page::HEAD_AT, 32);
    let frame = reader.next().unwrap().unwrap();
    reader.finish(&frame);
    hostile.say(page::HEAD_AT, 0);
    assert_eq!(reader.next(), Err(Offence::HeadImpossible));
}

#[test]
fn a_tail_that_lies_is_an_offence() {
    let hostile = Hostile::new();
    for lie in [1 << 40, u64::MAX, u64::from(LANE)] {
        let (peer, _reader) = hostile.open();
        let (_own, mut writer, _fd) = OwnPage::create(LANE).unwrap();
        let body = [0; 8192 - HEADER_BYTES];
        let frame = header(Kind::Message, 8192);
        hostile.say(page::TAIL_AT, 0);
        for _ in 0..LANE / 8192 - 1 {
            writer.write(&frame, &[&body], 0, &peer).unwrap();
            writer.publish();
        }
        writer.write(&frame, &[&body], 0, &peer).unwrap();
        // Not published yet: so not even the truth may be said of the last.
        hostile.say(page::TAIL_AT, lie);
        assert_eq!(
            writer.write(&frame, &[&body], 0, &peer),
            Err(WriteError::Offence(Offence::TailImpossible)),
            "{lie}"
        );
    }
}

#[test]
fn a_frame_that_lies_is_an_offence() {
    let message = header(Kind::Message, 32);
    let with = |change: fn(&mut [u8; HEADER_BYTES])| {
        let mut bytes = message.encode();
        change(&mut bytes);
        bytes
    };
    let lies = [
        (with(|bytes| bytes[0] = 31), Offence::FrameTruncated),
        (with(|bytes| bytes[0] = 0), Offence::FrameTruncated),
        (with(|bytes| bytes[20] = 1), Offence::FrameTruncated),
        (with(|bytes| bytes[0] = 33), Offence::FrameOversized),
        (with(|bytes| bytes[3] = 0xff), Offence::FrameOversized),
        (with(|bytes| bytes[4] = 200), Offence::FrameKind),
        (with(|bytes| bytes[5] = 0xf0), Offence::FrameFlags),
        (header(Kind::Skip, 32).encode(), Offence::FrameOversized),
        (header(Kind::Skip, LANE).encode(), Offence::FrameOversized),
        (header(Kind::Skip, u32::MAX).encode(), Offence::FrameOversized),
    ];
    for (bytes, offence) in lies {
        let hostile = Hostile::new();
        let (_peer, mut reader) = hostile.open();
        hostile.put(0, &bytes);
        hostile.say(page::HEAD_AT, 32);
        assert_eq!(reader.next(), Err(offence), "{bytes:?}");
    }
}

#[test]
fn a_frame_that_changes_after_the_look_stays_what_it_was() {
    let hostile = Hostile::new();
    let (_peer, mut reader) = hostile.open();
    hostile.put(0, &header(Kind::Message, 64).encode());
    hostile.say(page::HEAD_AT, 64);
    let frame = reader.next().unwrap().unwrap();
    // Now it says that it is as long as anything can be.
    hostile.put(0, &[0xff; 64]);
    hostile.say(page::HEAD_AT, u64::MAX);
    let mut body = Vec::new();
    reader.body(&frame, &mut body);
    assert_eq!(body, [0xff; 32]);
    reader.finish(&frame);
    assert_eq!(reader.position(), 64);
}

/// A generator that is the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// One scribble: mostly frames and counts that could be true, for those go
/// furthest; sometimes anything anywhere.
fn scribble(hostile: &Hostile, random: &mut Random, near: u64) {
    let lane = u64::from(LANE);
    match random.below(128) {
        0 => hostile.say(random.below(BYTES / 8) as usize * 8, random.next()),
        1 => hostile.say(page::HEAD_AT, near + random.below(lane + 64) / 8 * 8),
        2 => hostile.say(page::HEAD_AT, random.next()),
        3 => {
            let mut bytes = [0; HEADER_BYTES];
            bytes.fill_with(|| random.next() as u8);
            // Not past the end of the memory, which is the lane's.
            let last = lane - HEADER_BYTES as u64;
            hostile.put(((near + random.below(64) * 8) % lane).min(last), &bytes);
        }
        _ => {
            let kind = match random.below(32) {
                0 => Kind::Skip,
                1 => Kind::Look,
                _ => Kind::Message,
            };
            let length = match random.below(16) {
                0 => random.below(1 << 17),
                1 => lane - near % lane,
                _ => 32 + random.below(256),
            } as u32;
            let mut frame = header(kind, length);
            let slack = if random.below(16) == 0 { 8 } else { 0 };
            let most = u64::from(length.saturating_sub(32)) + slack;
            frame.extra = random.below(most + 1) as u32;
            if near % lane + 32 <= lane {
                hostile.put(near % lane, &frame.encode());
            }
            hostile.say(page::HEAD_AT, near + u64::from(length).next_multiple_of(8));
        }
    }
}

/// Takes what there is as a reader does, and says whether the lane is still of
/// use.
fn read_on(reader: &mut LaneReader, out: &mut Vec<u8>) -> Result<bool, Offence> {
    let before = reader.position();
    let Some(frame) = reader.next()? else {
        return Ok(false);
    };
    out.clear();
    reader.extra(&frame, out);
    assert_eq!(out.len(), frame.extra as usize);
    out.clear();
    reader.body(&frame, out);
    assert_eq!(out.len(), frame.body_bytes());
    assert!(out.len() <= limits::FRAME_BYTES);
    reader.finish(&frame);
    let step = reader.position() - before;
    assert!(step >= 32 && step <= u64::from(LANE) * 2);
    Ok(true)
}

#[test]
fn a_million_scribbles_do_no_harm() {
    let hostile = Hostile::new();
    let mut random = Random(0x5eed_0001);
    let mut out = Vec::new();
    let (mut frames, mut offences) = (0, 0);
    let (mut peer, mut reader) = hostile.open();
    // We write, too, to a reader whose tail is anything.
    let (_, mut writer, _) = OwnPage::create(LANE).unwrap();
    let (mut written, mut lies) = (0, 0);
    while frames + offences < 1_000_000 {
        scribble(&hostile, &mut random, reader.position());
        match read_on(&mut reader, &mut out) {
            Ok(true) => frames += 1,
            Ok(false) => {}
            Err(_) => {
                offences += 1;
                hostile.say(page::MAGIC_AT, page::MAGIC);
                (peer, reader) = hostile.open();
            }
        }
        match random.below(512) {
            0 => hostile.say(page::TAIL_AT, random.next()),
            1 => hostile.say(page::TAIL_AT, random.below(writer.head() + 64)),
            _ => hostile.say(page::TAIL_AT, writer.head()),
        }
        let body = [7; 1000];
        let body = &body[..random.below(1001) as usize];
        let frame = header(Kind::Message, 32 + body.len() as u32);
        match writer.write(&frame, &[body], limits::LANE_RESERVE, &peer) {
            Ok(()) => written += 1,
            Err(WriteError::NoRoom) => {}
            Err(WriteError::Offence(Offence::TailImpossible)) => {
                lies += 1;
                (_, writer, _) = OwnPage::create(LANE).unwrap();
            }
            Err(other) => panic!("{other}"),
        }
        writer.publish();
        let index = random.next() as u32;
        let _ = (peer.sleep(), peer.change(), peer.life(index), peer.want());
    }
    assert!(frames > 10_000 && offences > 10_000, "{frames} {offences}");
    assert!(written > 10_000 && lies > 10, "{written} {lies}");
}

#[test]
fn a_peer_that_scribbles_while_we_read_does_no_harm() {
    let hostile = Hostile::new();
    let stop = AtomicBool::new(false);
    let position = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(0x5eed_0002);
            while !stop.load(Relaxed) {
                scribble(&hostile, &mut random, position.load(Relaxed));
            }
        });
        let mut out = Vec::new();
        let mut seen = 0;
        let (_, mut reader) = hostile.open();
        while seen < 200_000 {
            match read_on(&mut reader, &mut out) {
                Ok(true) => seen += 1,
                Ok(false) => std::thread::yield_now(),
                Err(_) => {
                    seen += 1;
                    // The magic may be scribbled over at any moment, too.
                    reader = loop {
                        hostile.say(page::MAGIC_AT, page::MAGIC);
                        let fd = hostile.fd.try_clone().unwrap();
                        if let Ok((_, fresh)) = PeerPage::open(fd, LANE) {
                            break fresh;
                        }
                    };
                }
            }
            position.store(reader.position(), Relaxed);
        }
        stop.store(true, Relaxed);
    });
}

/// KERNEL-FACTS: a hostile owner of a word can move its sleepers to where
/// nobody wakes them; our own word wakes them there.
#[test]
fn a_sleeper_that_was_requeued_is_still_woken() {
    if !shm::wait::can_wait_on_heads() {
        return;
    }
    let hostile = Hostile::new();
    let (peer, _reader) = hostile.open();
    let own = WakeWord::new();
    let elsewhere = AtomicU32::new(0);
    let seen = own.now();
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            while own.now() == seen {
                assert_eq!(shm::sleep(&own, seen, &[(&peer, 0)], None), Woke::Maybe);
            }
        });
        // Until somebody was there to be moved.
        let head = hostile.head_futex();
        let nobody = futex::Flags::empty();
        while futex::cmp_requeue(head, nobody, 0, 1, &elsewhere, 0) != Ok(1) {
            std::thread::yield_now();
        }
        assert_eq!(futex::wake(head, nobody, u32::MAX >> 1), Ok(0));
        own.raise();
        sleeper.join().unwrap();
    });
}

/// KERNEL-FACTS: a hostile reader can make waking our head fail.
#[test]
fn a_head_that_cannot_be_woken_is_no_matter_of_ours() {
    let (own, mut writer, fd) = OwnPage::create(LANE).unwrap();
    let (peer, _reader) = PeerPage::open(fd.try_clone().unwrap(), LANE).unwrap();
    let bytes = BYTES as usize;
    // SAFETY: a fresh read-only mapping, as a peer has it.
    let base = unsafe {
        rustix::mm::mmap(ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::SHARED, &fd, 0)
    };
    let base = base.unwrap() as usize;
    let target = AtomicU32::new(0);
    let waiting = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            let until = now + rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            waiting.store(true, Relaxed);
            // SAFETY: valid addresses; the call ends at its time at the latest.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    (base + page::HEAD_AT) as *const u32,
                    libc::FUTEX_WAIT_REQUEUE_PI,
                    0,
                    &raw const until,
                    target.as_ptr(),
                    0,
                )
            };
            waiting.store(false, Relaxed);
        });
        while !waiting.load(Relaxed) {
            std::thread::yield_now();
        }
        // As long as it waits, and after.
        while waiting.load(Relaxed) {
            own.wake_head();
        }
        own.wake_head();
    });
    writer.write(&header(Kind::Ask, 32), &[], 0, &peer).expect("the lane is as good as before");
}

/// KERNEL-FACTS: what the seals keep everybody from, the owner included.
#[test]
fn nobody_else_can_write_what_we_passed_on() {
    let (own, _writer, fd) = OwnPage::create(LANE).unwrap();
    let bytes = BYTES as usize;
    let map = |fd: BorrowedFd<'_>, access| {
        // SAFETY: a fresh mapping at an address the kernel chooses.
        unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, access, MapFlags::SHARED, fd, 0) }
    };
    let writable = ProtFlags::READ | ProtFlags::WRITE;
    assert!(map(fd.as_fd(), writable).is_err());
    let readable = map(fd.as_fd(), ProtFlags::READ).unwrap();
    let more = rustix::mm::MprotectFlags::READ | rustix::mm::MprotectFlags::WRITE;
    // SAFETY: our own mapping just made.
    assert!(unsafe { rustix::mm::mprotect(readable, bytes, more) }.is_err());
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
    if let Ok(again) =
        rustix::fs::open(name.as_str(), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
    {
        assert!(map(again.as_fd(), writable).is_err());
        assert!(rustix::io::pwrite(&again, b"x", 0).is_err());
    }
    assert!(rustix::io::pwrite(&fd, b"x", 0).is_err());
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert!(rustix::fs::fallocate(&fd, punch, 0, 4096).is_err());
    assert!(rustix::fs::ftruncate(&fd, 0).is_err());
    assert!(rustix::fs::fcntl_add_seals(&fd, SealFlags::WRITE).is_err());
    // Not executable, where the kernel knows of it, and closed on exec.
    let mode = rustix::fs::fstat(&fd).unwrap().st_mode;
    let seals = rustix::fs::fcntl_get_seals(&fd).unwrap();
    assert!(!seals.contains(SealFlags::EXEC) || mode & 0o111 == 0);
    assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    drop(own);
}

#[test]
fn a_body_cannot_change_while_it_is_borrowed() {
    let fd = Body::create(&[b"for ", b"ever"]).unwrap();
    let kept = fd.try_clone().unwrap();
    let body = Body::open(fd, 8).unwrap();
    assert!(rustix::io::pwrite(&kept, b"x", 0).is_err());
    assert!(rustix::fs::ftruncate(&kept, 0).is_err());
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert!(rustix::fs::fallocate(&kept, punch, 0, 8).is_err());
    assert_eq!(&*body, b"for ever");
    assert_eq!(format!("{body:?}"), "Body(8 bytes)");
    assert!(Body::create(&[b"", b""]).is_err());
}

#[test]
fn unknown_words_cost_the_liar_a_byte() {
    let hostile = Hostile::new();
    let (peer, _reader) = hostile.open();
    hostile.say(page::SLEEP_AT, u64::MAX);
    assert_eq!(peer.sleep(), Sleep::Bell(u64::MAX >> 2));
}

/// The word of every page a copy may begin with.
fn filled_with(byte: u8) -> Vec<u8> {
    vec![byte; limits::ARENA_MEMORY_MIN as usize]
}

#[test]
fn what_is_lent_may_change_and_is_only_copied() {
    let bytes = limits::ARENA_MEMORY_MIN;
    let fd = memfd(bytes);
    assert_eq!(rustix::io::pwrite(&fd, &filled_with(1), 0), Ok(bytes as usize));
    // SAFETY: a fresh mapping at an address the kernel chooses.
    let base = unsafe {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        rustix::mm::mmap(ptr::null_mut(), bytes as usize, access, MapFlags::SHARED, &fd, 0)
    }
    .unwrap();
    seal(&fd, OUTBOUND);
    let memory = LentMemory::open(fd).unwrap();
    let loan = Loan { memory: 0, place: 0, page: 1, generation: 1, length: 100_000 };
    let lent = memory.lent(&loan).unwrap();
    assert_eq!(lent.to_vec(0), vec![1; 100_000]);
    let over = AtomicBool::new(false);
    let address = base as usize;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut value = 0_u64;
            while !over.load(Relaxed) {
                value = value.wrapping_add(0x0101_0101_0101_0101);
                for at in (4096..110_000).step_by(8) {
                    let word = ptr::with_exposed_provenance_mut::<u64>(address + at);
                    // SAFETY: within the mapping, aligned, by atomics only.
                    unsafe { AtomicU64::from_ptr(word) }.store(value, Relaxed);
                }
            }
        });
        for _ in 0..1000 {
            // Whatever came is as long as it must be, and never looked at again.
            let copy = lent.to_vec(0);
            assert_eq!(copy.len(), 100_000);
        }
        over.store(true, Relaxed);
    });
    drop(memory);
    // What refers to it keeps it mapped.
    assert_eq!(lent.to_vec(99_999).len(), 1);
    // SAFETY: nothing points into it.
    unsafe { rustix::mm::munmap(base, bytes as usize) }.unwrap();
}

#[test]
fn memory_to_lend_from_is_checked_as_any_other() {
    let open = |fd| match LentMemory::open(fd) {
        Ok(_) => None,
        Err(OpenError::Offence(offence)) => Some(offence),
        Err(other) => panic!("blamed on the system: {other:?}"),
    };
    let of = |bytes: u64, seals| {
        let fd = memfd(bytes);
        rustix::io::pwrite(&fd, &vec![1; bytes as usize], 0).unwrap();
        seal(&fd, seals);
        fd
    };
    let least = limits::ARENA_MEMORY_MIN;
    assert_eq!(open(of(least, OUTBOUND)), None);
    assert_eq!(open(of(least / 2, OUTBOUND)), Some(Offence::MemorySize));
    assert_eq!(open(of(least + 4096, OUTBOUND)), Some(Offence::MemorySize));
    assert_eq!(open(of(least, SealFlags::SHRINK)), Some(Offence::SealMissing));
    let sparse = memfd(least);
    seal(&sparse, OUTBOUND);
    assert_eq!(open(sparse), Some(Offence::MemoryHoles));
}
