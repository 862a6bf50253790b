//! The outbound page and its boards: ours to write, the peer's to read.
//!
//! `abi::page` says which word lies where and what it says. Here each word has
//! its one setter and its one getter. What a getter returns is an allegation of
//! the peer's; the lanes check the counts, the rules check the rest.
//!
//! In a forked child setters do nothing and getters say zero (M5).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::{Arc, OnceLock};

use abi::board::{self, Life, MOVED_AT, MOVED_WORDS, Moved};
use abi::page::{self, Sleep};
use abi::{Offence, limits};

use crate::lane::{LaneReader, LaneWriter};
use crate::memory::{OpenError, OwnMemory, PeerMemory};
use crate::word::{Look, Shown};

/// Boards beyond the first, which lies in the page's own memory.
const FURTHER: usize = limits::BOARDS as usize - 1;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Our own page: the words we announce to one peer.
#[derive(Debug)]
pub struct OwnPage {
    memory: OwnMemory,
    boards: [OnceLock<OwnMemory>; FURTHER],
}

impl OwnPage {
    /// Makes our outbound memory for one link.
    ///
    /// The descriptor is for the peer: sealed, closed on exec, and of no use
    /// but to read.
    ///
    /// # Errors
    /// What the system says, and `InvalidInput` for a lane that is not a power
    /// of two within the limits.
    pub fn create(lane_bytes: u32) -> io::Result<(Arc<OwnPage>, LaneWriter, OwnedFd)> {
        if !lane_allowed(lane_bytes) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (memory, fd) = OwnMemory::create(page::memory_bytes(lane_bytes), |memory| {
            if let Some(word) = memory.word(page::MAGIC_AT) {
                // Relaxed: passing the descriptor orders it.
                word.store(page::MAGIC.to_le(), Relaxed);
            }
        })?;
        let own = Arc::new(OwnPage { memory, boards: [const { OnceLock::new() }; FURTHER] });
        let writer = LaneWriter::new(Arc::clone(&own), lane_bytes);
        Ok((own, writer, fd))
    }

    /// Announces how far we have emptied the peer's lane.
    #[inline]
    pub fn set_tail(&self, tail: u64) {
        self.publish(page::TAIL_AT, tail); // pairs: lane.tail
    }

    /// Announces how many bytes the peer may have sent to our queues, in all.
    #[inline]
    pub fn set_granted(&self, granted: u64) {
        if let Some(word) = self.memory.word(page::GRANTED_AT) {
            // Relaxed: a count that vouches for nothing else.
            word.store(granted.to_le(), Relaxed);
        }
    }

    /// Announces how many messages we have spilled, in all. Call it after they are
    /// in their memory.
    pub fn set_spilled(&self, spilled: u64) {
        self.publish(page::SPILLED_AT, spilled); // pairs: page.spilled
    }

    /// Announces how our reader waits.
    ///
    /// Orders nothing: before the look at the peer's head that must follow,
    /// call [`full_fence`](crate::full_fence).
    pub fn announce(&self, sleep: Sleep) {
        if let Some(word) = self.memory.word(page::SLEEP_AT) {
            // Relaxed: the fence after it orders it (link.look).
            word.store(sleep.encode().to_le(), Relaxed);
        }
    }

    /// Says that a slot of ours has changed its state. Call it after the slot.
    pub fn bump_change(&self) {
        self.count_up(page::CHANGE_AT); // pairs: page.change
    }

    /// Says that our writer begins to wait for room. Returns the number of this
    /// wait, which no earlier one had; zero in a forked child.
    ///
    /// Before the look at the peer's tail that must follow, call
    /// [`full_fence`](crate::full_fence).
    pub fn raise_want(&self) -> u64 {
        self.count_up(page::WANT_AT)
    }

    /// The loan of this generation at `place` is the peer's again.
    pub(crate) fn put_returned(&self, place: u32, generation: u64) {
        if place < limits::LOANS {
            // Release: after everything that was read of it.
            self.publish(page::RETURNED_AT + place as usize * 8, generation);
        }
    }

    /// Writes what has become of the slot at `index`. `false` where no board
    /// of ours has such a slot.
    pub fn set_life(&self, index: u32, life: Life) -> bool {
        self.set_slot(index, board::LIFE_AT, life.encode())
    }

    /// Writes how many messages may have been sent on the slot at `index`, in
    /// all. `false` where no board of ours has such a slot.
    #[inline]
    pub fn set_grant(&self, index: u32, grant: u64) -> bool {
        self.set_slot(index, board::GRANT_AT, grant)
    }

    /// Writes how many pulses may have been sent on the slot at `index`, in all.
    /// `false` where no board of ours has such a slot.
    pub fn set_pulses(&self, index: u32, pulses: u64) -> bool {
        self.set_slot(index, board::PULSES_AT, pulses)
    }

    /// Writes where the port of the slot at `index` went. Its life says that it
    /// went, and is written after. `false` where no board of ours has such a slot.
    pub fn set_moved(&self, index: u32, moved: &Moved) -> bool {
        MOVED_AT.into_iter().zip(moved.encode()).all(|(at, word)| self.set_slot(index, at, word))
    }

    /// Makes the next board. Returns its number and the descriptor for the
    /// peer, who must get it before any slot of it is named.
    ///
    /// # Errors
    /// What the system says, and `QuotaExceeded` when all boards exist.
    pub fn add_board(&self) -> io::Result<(u32, OwnedFd)> {
        for number in 1..limits::BOARDS {
            let Some(cell) = further(&self.boards, number) else {
                break;
            };
            if cell.get().is_some() {
                continue;
            }
            let (memory, fd) = OwnMemory::create(board_bytes(number), |_| ())?;
            // Another thread may have made this one meanwhile: then the next.
            if cell.set(memory).is_ok() {
                return Ok((number, fd));
            }
        }
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    /// Wakes every thread of the peer's that sleeps on our head. A system call,
    /// whoever sleeps; errors are ignored.
    pub fn wake_head(&self) {
        self.memory.wake(page::HEAD_AT);
    }

    /// The word our lane announces its head in.
    #[inline(always)]
    pub(crate) fn head_word(&self) -> Option<&AtomicU64> {
        self.memory.word(page::HEAD_AT)
    }

    /// The words of our lane.
    #[inline(always)]
    pub(crate) fn lane(&self, lane_bytes: u32) -> Option<&[AtomicU64]> {
        self.memory.words(page::LANE_AT, lane_bytes as usize / 8)
    }

    fn publish(&self, at: usize, value: u64) {
        if let Some(word) = self.memory.word(at) {
            word.store(value.to_le(), Release); // pairs: caller
        }
    }

    fn count_up(&self, at: usize) -> u64 {
        let Some(word) = self.memory.word(at) else {
            return 0;
        };
        let step = |count: u64| Some(u64::from_le(count).wrapping_add(1).to_le());
        // pairs: page.change. Several threads of ours may count at once.
        match word.fetch_update(AcqRel, Relaxed, step) {
            Ok(before) | Err(before) => u64::from_le(before).wrapping_add(1),
        }
    }

    fn set_slot(&self, index: u32, at: usize, value: u64) -> bool {
        let Some((number, offset)) = slot_at(index) else {
            return false;
        };
        let word = match further(&self.boards, number) {
            None => self.memory.word(page::BOARD_AT + offset + at),
            Some(cell) => cell.get().and_then(|memory| memory.word(offset + at)),
        };
        if let Some(word) = word {
            word.store(value.to_le(), Release); // pairs: page.change
        }
        word.is_some()
    }
}

/// The peer's page: what it announces to us, each word an allegation.
#[derive(Debug)]
pub struct PeerPage {
    memory: PeerMemory,
    boards: [OnceLock<PeerMemory>; FURTHER],
}

impl PeerPage {
    /// Checks and maps the outbound memory a peer passed, and closes `fd`.
    ///
    /// # Errors
    /// [`OpenError::Offence`] where the memory is not what it must be:
    /// [`Offence::LaneSize`], [`Offence::MemoryKind`], [`Offence::SealMissing`],
    /// [`Offence::MemorySize`], [`Offence::MemoryHoles`],
    /// [`Offence::PageMalformed`].
    pub fn open(fd: OwnedFd, lane_bytes: u32) -> Result<(Arc<PeerPage>, LaneReader), OpenError> {
        if !lane_allowed(lane_bytes) {
            return Err(Offence::LaneSize(lane_bytes).into());
        }
        let memory = PeerMemory::open(fd, page::memory_bytes(lane_bytes))?;
        if memory.load(page::MAGIC_AT) != Some(page::MAGIC) {
            return Err(Offence::PageMalformed.into());
        }
        let peer = Arc::new(PeerPage { memory, boards: [const { OnceLock::new() }; FURTHER] });
        let reader = LaneReader::new(Arc::clone(&peer), lane_bytes);
        Ok((peer, reader))
    }

    /// As [`open`](PeerPage::open), for a bag, whose lane is as large as its memory
    /// allows.
    ///
    /// # Errors
    /// As for [`open`](PeerPage::open).
    pub fn open_bag(fd: OwnedFd) -> Result<(Arc<PeerPage>, LaneReader), OpenError> {
        let size = crate::memory::size_of(&fd)?;
        let lane = size.checked_sub(page::LANE_AT as u64).and_then(|lane| u32::try_from(lane).ok());
        PeerPage::open(fd, lane.ok_or(Offence::MemorySize)?)
    }

    /// How far the peer says it has filled its lane.
    #[inline]
    pub fn head(&self) -> u64 {
        self.look(page::HEAD_AT)
    }

    /// How many messages the peer says it has spilled, in all. What it had spilled
    /// when it counted is seen by who saw the count.
    #[inline]
    pub fn spilled(&self) -> u64 {
        let spilled = self.look(page::SPILLED_AT);
        Shown::acquire(); // pairs: page.spilled
        spilled
    }

    /// How far the peer says it has emptied our lane.
    #[inline]
    pub fn tail(&self) -> u64 {
        self.look(page::TAIL_AT)
    }

    /// How many bytes the peer says we may have sent to its queues, in all.
    #[inline]
    pub fn granted(&self) -> u64 {
        self.look(page::GRANTED_AT)
    }

    /// How the peer says it waits.
    ///
    /// After publishing, call [`full_fence`](crate::full_fence) before this.
    #[inline]
    pub fn sleep(&self) -> Sleep {
        Sleep::decode(self.look(page::SLEEP_AT))
    }

    /// How often a slot of the peer's has changed. What was in the slots when
    /// it counted is seen by who saw the count.
    #[inline]
    pub fn change(&self) -> u64 {
        let change = self.look(page::CHANGE_AT);
        Shown::acquire(); // pairs: page.change
        change
    }

    /// How often the peer's writer has begun to wait for room.
    ///
    /// After announcing a tail, call [`full_fence`](crate::full_fence) before
    /// this.
    #[inline]
    pub fn want(&self) -> u64 {
        self.look(page::WANT_AT)
    }

    /// Which loan of ours the peer says it returned last at `place`.
    pub(crate) fn returned(&self, place: u32) -> u64 {
        self.look(page::RETURNED_AT + place as usize * 8)
    }

    /// What has become of the peer's slot at `index`. `None` where the peer has
    /// offered no board with such a slot.
    #[inline]
    pub fn life(&self, index: u32) -> Option<Life> {
        let word = self.slot(index, board::LIFE_AT)?;
        Shown::acquire(); // pairs: page.change
        Some(Life::decode(word))
    }

    /// How many messages the peer says we may have sent on its slot at `index`,
    /// in all. `None` where the peer has offered no board with such a slot.
    #[inline]
    pub fn grant(&self, index: u32) -> Option<u64> {
        self.slot(index, board::GRANT_AT)
    }

    /// How many pulses the peer says we may have sent on its slot at `index`, in
    /// all. `None` where the peer has offered no board with such a slot.
    pub fn pulses(&self, index: u32) -> Option<u64> {
        self.slot(index, board::PULSES_AT)
    }

    /// Where the port of the peer's slot at `index` went, as the peer says. Read
    /// its life first. `None` where the peer has offered no board with such a
    /// slot.
    pub fn moved(&self, index: u32) -> Option<Moved> {
        let mut words = [0; MOVED_WORDS];
        for (word, at) in words.iter_mut().zip(MOVED_AT) {
            *word = self.slot(index, at)?;
        }
        Some(Moved::decode(words))
    }

    /// Checks and maps the next board, and closes `fd`.
    ///
    /// # Errors
    /// As for [`open`](PeerPage::open), and [`Offence::BoardOrder`] when all
    /// boards are there.
    pub fn add_board(&self, fd: OwnedFd) -> Result<(), OpenError> {
        for number in 1..limits::BOARDS {
            let Some(cell) = further(&self.boards, number) else {
                break;
            };
            if cell.get().is_none() {
                let memory = PeerMemory::open(fd, board_bytes(number))?;
                // Packets of one link are taken by one thread at a time; were
                // it two, the boards would have come in no order.
                return cell.set(memory).map_err(|_| Offence::BoardOrder.into());
            }
        }
        Err(Offence::BoardOrder.into())
    }

    /// Asks the processor for the first lines of the frame at `position` of the peer's
    /// lane, which is about to be read: a header and a short body lie there, and are
    /// fetched beside each other and whatever comes before they are read.
    #[inline(always)]
    pub fn prefetch_frame(&self, position: u64) {
        let lane = self.memory.bytes() - page::LANE_AT;
        let at = position as usize & (lane - 1);
        self.memory.prefetch(page::LANE_AT + at);
        self.memory.prefetch(page::LANE_AT + at + LINE);
    }

    /// The words of the peer's lane.
    #[inline(always)]
    pub(crate) fn lane(&self, lane_bytes: u32) -> Option<&[Shown]> {
        self.memory.words(page::LANE_AT, lane_bytes as usize / 8)
    }

    /// The address a thread sleeps on until the head moves.
    pub(crate) fn head_address(&self) -> Option<*mut libc::c_void> {
        self.memory.sleep_address(page::HEAD_AT)
    }

    #[inline(always)]
    fn look(&self, at: usize) -> u64 {
        self.memory.load(at).unwrap_or(0)
    }

    #[inline]
    fn slot(&self, index: u32, at: usize) -> Option<u64> {
        let (number, offset) = slot_at(index)?;
        match further(&self.boards, number) {
            None => self.memory.load(page::BOARD_AT + offset + at),
            Some(cell) => cell.get()?.load(offset + at),
        }
    }
}

fn lane_allowed(lane_bytes: u32) -> bool {
    let allowed = limits::LANE_BYTES_MIN..=limits::LANE_BYTES_MAX;
    lane_bytes.is_power_of_two() && allowed.contains(&lane_bytes)
}

fn board_bytes(number: u32) -> usize {
    board::board_slots(number) as usize * board::SLOT_BYTES
}

/// Which board the slot at `index` is on, and at which byte of it.
#[inline]
fn slot_at(index: u32) -> Option<(u32, usize)> {
    let (number, place) = board::place(index)?;
    Some((number, place as usize * board::SLOT_BYTES))
}

/// The cell of board `number`; `None` for the first, which needs none.
#[inline]
fn further<T>(boards: &[T; FURTHER], number: u32) -> Option<&T> {
    boards.get((number as usize).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::board::State;

    const LANE: u32 = limits::LANE_BYTES_MIN;

    fn pair() -> (Arc<OwnPage>, Arc<PeerPage>) {
        let (own, _, fd) = OwnPage::create(LANE).unwrap();
        let (peer, _) = PeerPage::open(fd, LANE).unwrap();
        (own, peer)
    }

    #[test]
    fn every_word_arrives_where_it_is_looked_for() {
        let (own, peer) = pair();
        let before = (peer.head(), peer.tail(), peer.granted(), peer.change());
        assert_eq!(before, (0, 0, 0, 0));
        assert_eq!(peer.sleep(), Sleep::Awake);
        own.set_tail(11);
        own.set_granted(22);
        own.announce(Sleep::Asleep(33));
        own.bump_change();
        own.bump_change();
        assert_eq!((own.raise_want(), own.raise_want()), (1, 2));
        let after = (peer.tail(), peer.granted(), peer.change(), peer.want());
        assert_eq!(after, (11, 22, 2, 2));
        assert_eq!(peer.sleep(), Sleep::Asleep(33));
        assert_eq!(peer.head(), 0);
    }

    #[test]
    fn slots_are_there_once_their_board_is() {
        let (own, peer) = pair();
        let life = Life { generation: 9, state: State::Live };
        let mut known = limits::BOARD_SLOTS;
        for board in 1..limits::BOARDS {
            let last = known - 1;
            assert!(own.set_life(last, life) && own.set_grant(last, u64::from(last)));
            assert_eq!(peer.life(last), Some(life));
            assert_eq!(peer.grant(last), Some(last.into()));
            assert!(!own.set_life(known, life) && !own.set_grant(known, 1));
            assert_eq!(peer.life(known), None);
            let (number, fd) = own.add_board().unwrap();
            assert_eq!(number, board);
            peer.add_board(fd).unwrap();
            known += board::board_slots(board);
        }
        assert_eq!(known, limits::SLOTS);
        let full = own.add_board().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(full, Err(io::ErrorKind::QuotaExceeded));
        assert!(!own.set_life(u32::MAX, life));
    }

    #[test]
    fn a_lane_that_does_not_move_cannot_be_made() {
        for lane in [0, 1, LANE - 1, LANE / 2, limits::LANE_BYTES_MAX * 2] {
            assert!(OwnPage::create(lane).is_err(), "{lane}");
        }
    }
}
