//! Memory that is lent: chunks of ours that a peer reads where they lie, and its own
//! that we read.
//!
//! An arena is all the memory of ours that one peer may read. It grows by whole
//! memories, each as large as all before it, and which chunk of them is whose is
//! counted here, in private memory. A chunk is of one holder, who may write it; when
//! it is *lent* he can no more, and it is free again when the peer has written the
//! generation of the loan into the word of its place. That word is all that is
//! believed of the peer: it frees what it was lent and nothing else. A peer that
//! returns a loan and reads on reads what comes next, which is no more than what it
//! is lent anyway.
//!
//! Races: the peer reads, then returns; we see the return, then write
//! (`loan.returned`).
#![allow(unsafe_code, reason = "chunks as slices, and copies out of a peer's (M1, M3, M13)")]

mod rooms;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::loan::{Loan, PAGE};
use abi::{Offence, limits};

use self::rooms::{Rooms, order_of};
use crate::memory::{OpenError, OwnMemory, PeerMemory, size_of};
use crate::word::{Look, Shown};
use crate::{OwnPage, PeerPage};

/// Why no chunk was to be had.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// All there may be is lent, or was not let go by the peer.
    #[error("all memory that may be lent to this peer is out")]
    Full,
    /// No chunk is so long.
    #[error("no chunk is so long")]
    TooLong,
    /// The peer returned what it does not have.
    #[error("the peer broke the protocol: {0}")]
    Offence(Offence),
    /// The system gave no memory.
    #[error("the system gave no memory")]
    System(#[source] io::Error),
}

/// Memory of ours that one peer may read.
pub struct Arena {
    state: Mutex<State>,
    /// Which places the peer was shown a loan at.
    shown: ShownPlaces,
}

#[derive(Debug)]
struct State {
    memories: BTreeMap<u32, Own>,
    /// Those the peer was asked to let go, and how large they are.
    unmapping: BTreeMap<u32, u64>,
    places: Vec<Place>,
    /// Places that nothing was taken for.
    free: Vec<u32>,
    /// Bytes of all of them.
    bytes: u64,
    next_memory: u32,
    generation: u64,
    /// Chunks taken so far.
    taken: u64,
}

#[derive(Debug)]
struct Own {
    memory: Arc<OwnMemory>,
    bytes: u64,
    rooms: Rooms,
    /// The peer could not have it: nothing more is taken from it.
    refused: bool,
}

/// A word by which the peer returns, and what it would return.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// What the word said when it was believed last.
    said: u64,
    taken: Option<Taken>,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    generation: u64,
    memory: u32,
    page: u32,
    order: u32,
}

impl Arena {
    /// One without memory yet.
    pub fn new() -> Arc<Arena> {
        let places = limits::LOANS as usize;
        Arc::new(Arena {
            state: Mutex::new(State {
                memories: BTreeMap::new(),
                unmapping: BTreeMap::new(),
                places: vec![Place::default(); places],
                free: (0..limits::LOANS).rev().collect(),
                bytes: 0,
                next_memory: 0,
                generation: 0,
                taken: 0,
            }),
            shown: ShownPlaces::default(),
        })
    }

    /// Takes a chunk of at least `bytes`, which nobody else uses until it is dropped,
    /// or lent and returned. The arena has `most` bytes at most, in all.
    ///
    /// Where a memory must be made for it, `offer` gets its number and the descriptor
    /// for the peer, who must have it before any loan in it is named.
    ///
    /// # Errors
    /// Those of [`TakeError`]; nothing was taken.
    pub fn take(
        self: &Arc<Self>,
        bytes: usize,
        most: u64,
        peer: &PeerPage,
        offer: impl FnOnce(u32, OwnedFd),
    ) -> Result<Chunk, TakeError> {
        if bytes == 0 || bytes > limits::CHUNK_BYTES {
            return Err(TakeError::TooLong);
        }
        let order = order_of(bytes);
        let mut state = self.lock();
        self.collect(&mut state, peer).map_err(TakeError::Offence)?;
        let place = state.free.pop().ok_or(TakeError::Full)?;
        let found = match state.take(order) {
            Some(found) => Ok(found),
            None => state.grow(order, most, offer),
        };
        let (memory, page) = match found {
            Ok(found) => found,
            Err(error) => {
                state.free.push(place);
                return Err(error);
            }
        };
        state.generation += 1;
        state.taken += 1;
        let generation = state.generation;
        let taken = Taken { generation, memory, page, order };
        let mapped = state.memories.get(&memory).map(|own| Arc::clone(&own.memory));
        let (Some(word), Some(mapped)) = (state.places.get_mut(place as usize), mapped) else {
            return Err(TakeError::Full);
        };
        word.taken = Some(taken);
        drop(state);
        let loan = Loan { memory, place, page, generation, length: bytes as u64 };
        Ok(Chunk { arena: Arc::clone(self), memory: mapped, loan, lent: false })
    }

    /// Looks which loans the peer has returned.
    fn collect(&self, state: &mut State, peer: &PeerPage) -> Result<(), Offence> {
        for number in self.shown.all() {
            let Some(place) = state.places.get_mut(number as usize) else { continue };
            let said = peer.returned(number);
            if said == place.said {
                continue;
            }
            let Some(taken) = place.taken.filter(|taken| taken.generation == said) else {
                return Err(Offence::LoanNotOut);
            };
            // What the peer read it read before it said so.
            Shown::acquire(); // pairs: loan.returned
            *place = Place { said, taken: None };
            self.shown.hide(number);
            state.free(taken);
            state.free.push(number);
        }
        Ok(())
    }

    /// Chunks taken so far: whether it is in use.
    pub fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Bytes of its memories, those counted that the peer has not let go.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Gives up the memories of which nothing is taken. Returns their numbers: the
    /// peer is to be asked to let them go, and they count until it has.
    ///
    /// # Errors
    /// [`Offence::LoanNotOut`].
    pub fn shrink(&self, peer: &PeerPage) -> Result<Vec<u32>, Offence> {
        let mut state = self.lock();
        self.collect(&mut state, peer)?;
        let idle = state.memories.iter().filter(|(_, own)| own.rooms.are_all_free());
        let idle: Vec<u32> = idle.map(|(number, _)| *number).collect();
        let mut gone = Vec::new();
        for number in &idle {
            if let Some(own) = state.memories.remove(number) {
                state.unmapping.insert(*number, own.bytes);
                gone.push(own);
            }
        }
        drop(state);
        drop(gone);
        Ok(idle)
    }

    /// The peer has let go of memory `number`, as it was asked to; or could not have
    /// it, and then nothing more is taken from it.
    ///
    /// # Errors
    /// [`Offence::AnswerUnasked`] where there is no such memory.
    pub fn unmapped(&self, number: u32) -> Result<(), Offence> {
        let mut state = self.lock();
        if let Some(bytes) = state.unmapping.remove(&number) {
            state.bytes -= bytes;
            return Ok(());
        }
        let own = state.memories.get_mut(&number).ok_or(Offence::AnswerUnasked)?;
        if own.refused {
            return Err(Offence::AnswerUnasked);
        }
        own.refused = true;
        state.let_refused_go(number);
        Ok(())
    }

    /// What lies in a loan of ours that is out: our own bytes.
    pub fn read_back(&self, loan: &Loan) -> Option<Vec<u8>> {
        // Under the lock, so that it stays out.
        let state = self.lock();
        let taken = state.places.get(loan.place as usize)?.taken?;
        let shown = self.shown.has(loan.place);
        let there = taken.generation == loan.generation
            && (taken.memory, taken.page) == (loan.memory, loan.page)
            && loan.length <= PAGE << taken.order;
        if !shown || !there {
            return None;
        }
        let length = loan.length as usize;
        let start =
            state.memories.get(&loan.memory)?.memory.bytes_at(loan.at() as usize, length)?;
        let mut bytes = Vec::with_capacity(length);
        copy(start, bytes.spare_capacity_mut(), length);
        // SAFETY: M13: as many were just copied there.
        unsafe { bytes.set_len(length) };
        Some(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which places the peer was shown a loan at, a bit for each. Not under the lock: a chunk
/// is lent where the lane is written. Who looks for what came back looks at those alone.
#[derive(Debug, Default)]
struct ShownPlaces([AtomicU64; limits::LOANS.div_ceil(64) as usize]);

impl ShownPlaces {
    fn bit(place: u32) -> (usize, u64) {
        ((place / 64) as usize, 1 << (place % 64))
    }

    fn show(&self, place: u32) {
        let (word, bit) = Self::bit(place);
        if let Some(word) = self.0.get(word) {
            word.fetch_or(bit, Release); // pairs: loan.shown
        }
    }

    /// Under the lock, as is who takes the place next.
    fn hide(&self, place: u32) {
        let (word, bit) = Self::bit(place);
        if let Some(word) = self.0.get(word) {
            // Relaxed: nothing is published by it.
            word.fetch_and(!bit, Relaxed);
        }
    }

    fn has(&self, place: u32) -> bool {
        let (word, bit) = Self::bit(place);
        // Who sees it shown sees what it was taken for.
        self.0.get(word).is_some_and(|word| word.load(Acquire) & bit != 0) // pairs: loan.shown
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        (0..).step_by(64).zip(&self.0).flat_map(|(first, word)| {
            let mut left = word.load(Acquire); // pairs: loan.shown
            std::iter::from_fn(move || {
                let next = (left != 0).then(|| first + left.trailing_zeros());
                left &= left.wrapping_sub(1);
                next
            })
        })
    }
}

impl State {
    /// Pages in a memory there is.
    fn take(&mut self, order: u32) -> Option<(u32, u32)> {
        let usable = self.memories.iter_mut().filter(|(_, own)| !own.refused);
        usable.into_iter().find_map(|(number, own)| Some((*number, own.rooms.take(order)?)))
    }

    /// The same in one more: as large as all before it.
    fn grow(
        &mut self,
        order: u32,
        most: u64,
        offer: impl FnOnce(u32, OwnedFd),
    ) -> Result<(u32, u32), TakeError> {
        if self.memories.len() + self.unmapping.len() >= limits::ARENA_MEMORIES {
            return Err(TakeError::Full);
        }
        let chunk = PAGE << order;
        let left = most.min(limits::ARENA_BYTES).saturating_sub(self.bytes);
        let wanted = self.bytes.next_power_of_two().max(chunk);
        let wanted = wanted.clamp(limits::ARENA_MEMORY_MIN, limits::ARENA_MEMORY_MAX);
        let room = if left == 0 { 0 } else { 1 << left.ilog2() };
        let bytes = wanted.min(room);
        if bytes < chunk || bytes < limits::ARENA_MEMORY_MIN {
            return Err(TakeError::Full);
        }
        let (memory, fd) = OwnMemory::create(bytes as usize, |_| ()).map_err(TakeError::System)?;
        let number = self.next_memory;
        self.next_memory += 1;
        self.bytes += bytes;
        let mut rooms = Rooms::new((bytes / PAGE).ilog2());
        let page = rooms.take(order).ok_or(TakeError::Full)?;
        let own = Own { memory: Arc::new(memory), bytes, rooms, refused: false };
        self.memories.insert(number, own);
        offer(number, fd);
        Ok((number, page))
    }

    fn free(&mut self, taken: Taken) {
        let Some(own) = self.memories.get_mut(&taken.memory) else { return };
        own.rooms.give_back(taken.page, taken.order);
        self.let_refused_go(taken.memory);
    }

    /// Memory the peer could not have counts while anything of it is out.
    fn let_refused_go(&mut self, number: u32) {
        let over = |own: &Own| own.refused && own.rooms.are_all_free();
        if self.memories.get(&number).is_some_and(over)
            && let Some(own) = self.memories.remove(&number)
        {
            self.bytes -= own.bytes;
        }
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// A chunk of our memory that nobody else writes, and nobody was told of.
pub struct Chunk {
    arena: Arc<Arena>,
    memory: Arc<OwnMemory>,
    loan: Loan,
    lent: bool,
}

impl Chunk {
    /// What it will be called where it is lent.
    pub fn loan(&self) -> Loan {
        self.loan
    }

    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.loan.length as usize
    }

    /// Never: there is no chunk of nothing.
    pub fn is_empty(&self) -> bool {
        self.loan.length == 0
    }

    /// Whether it is of this arena.
    pub fn is_of(&self, arena: &Arena) -> bool {
        std::ptr::eq(&*self.arena, arena)
    }

    /// What lies in it; nothing in a forked child.
    pub fn bytes(&self) -> &[u8] {
        match self.memory.bytes_at(self.loan.at() as usize, self.len()) {
            // SAFETY: M1, M13: within the mapping, which `self` keeps; nobody else
            // writes it, and we only through `&mut self`.
            Some(start) => unsafe { std::slice::from_raw_parts(start, self.len()) },
            None => &[],
        }
    }

    /// The same, to be written; nothing in a forked child.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self.memory.bytes_at(self.loan.at() as usize, self.len()) {
            // SAFETY: M1, M13: as in `bytes`; the borrow of `self` is the only one.
            Some(start) => unsafe { std::slice::from_raw_parts_mut(start, self.len()) },
            None => &mut [],
        }
    }

    /// Copies `bytes` to `offset`, as far as there is room. Returns how many that was.
    ///
    /// The processor's own copy takes lines that the peer has read without reading them
    /// back first, as stores would.
    pub fn write_at(&mut self, bytes: &[u8], offset: usize) -> usize {
        let to = self.bytes_mut().get_mut(offset..).unwrap_or_default();
        let count = to.len().min(bytes.len());
        // SAFETY: M13: bytes that are there are bytes that may be written, and only
        // bytes are written.
        let to = unsafe { &mut *(std::ptr::from_mut(to) as *mut [MaybeUninit<u8>]) };
        copy(bytes.as_ptr(), to, count);
        count
    }

    /// Lends it to the peer, which is told where it lies before this or right after:
    /// from now on it is free when the peer returns it.
    // Consumed: no slice of it is left when the peer may return it.
    pub fn lend(mut self) {
        self.lent = true;
        self.arena.shown.show(self.loan.place);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // In a forked child somebody may have held the lock for ever.
        if self.lent || self.memory.bytes_at(0, 0).is_none() {
            return;
        }
        let mut state = self.arena.lock();
        let Some(place) = state.places.get_mut(self.loan.place as usize) else { return };
        let Some(taken) = place.taken.take() else { return };
        state.free(taken);
        state.free.push(self.loan.place);
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.loan.length)
    }
}

/// Memory of a peer's, of which it lends us chunks.
#[derive(Debug)]
pub struct LentMemory {
    memory: Arc<PeerMemory>,
    bytes: u64,
}

impl LentMemory {
    /// Checks and maps memory for loans, and closes `fd`.
    ///
    /// # Errors
    /// As for [`PeerPage::open`], with [`Offence::MemorySize`] for a size that is no
    /// power of two within the limits.
    pub fn open(fd: OwnedFd) -> Result<LentMemory, OpenError> {
        let bytes = size_of(&fd)?;
        let allowed = limits::ARENA_MEMORY_MIN..=limits::ARENA_MEMORY_MAX;
        let size = usize::try_from(bytes).map_err(|_| Offence::MemorySize)?;
        let memory = PeerMemory::open(fd, size)?;
        if !bytes.is_power_of_two() || !allowed.contains(&bytes) {
            return Err(Offence::MemorySize.into());
        }
        Ok(LentMemory { memory: Arc::new(memory), bytes })
    }

    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing that was lent of it is still held.
    pub fn is_unused(&self) -> bool {
        Arc::strong_count(&self.memory) == 1
    }

    /// What the peer lent.
    ///
    /// # Errors
    /// [`Offence::LoanMalformed`] where it does not lie in this memory.
    pub fn lent(&self, loan: &Loan) -> Result<Lent, Offence> {
        let end = loan.at().checked_add(loan.length);
        if loan.length == 0 || end.is_none_or(|end| end > self.bytes) {
            return Err(Offence::LoanMalformed);
        }
        let at = loan.at() as usize;
        Ok(Lent { memory: Arc::clone(&self.memory), at, length: loan.length as usize })
    }
}

/// A chunk that a peer lends us. The peer may write it at any time: so it is copied,
/// and what is copied twice may differ.
#[derive(Debug)]
pub struct Lent {
    memory: Arc<PeerMemory>,
    at: usize,
    length: usize,
}

impl Lent {
    /// Bytes of it.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Never: there is no loan of nothing.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies what lies from `offset` on, as far as `out` has room. Returns the bytes
    /// copied; none in a forked child.
    pub fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        let count = self.length.saturating_sub(offset).min(out.len());
        let start = self.at.checked_add(offset).and_then(|at| self.memory.bytes_at(at, count));
        let (Some(start), Some(out)) = (start, out.get_mut(..count)) else { return 0 };
        // SAFETY: M13: bytes that are there are bytes that may be written, and only
        // bytes are written.
        let out = unsafe { &mut *(std::ptr::from_mut(out) as *mut [MaybeUninit<u8>]) };
        copy(start, out, count);
        count
    }

    /// A copy of all that lies from `offset` on; nothing in a forked child.
    pub fn to_vec(&self, offset: usize) -> Vec<u8> {
        let count = self.length.saturating_sub(offset);
        let start = self.at.checked_add(offset).and_then(|at| self.memory.bytes_at(at, count));
        let Some(start) = start else { return Vec::new() };
        let mut bytes = Vec::with_capacity(count);
        copy(start, bytes.spare_capacity_mut(), count);
        // SAFETY: M13: as many were just copied there.
        unsafe { bytes.set_len(count) };
        bytes
    }

    /// The bytes where they lie; none in a forked child.
    ///
    /// # Safety
    /// The peer must not write them while the slice lives. Its promise is all there is:
    /// nothing keeps a peer from it.
    pub unsafe fn as_slice(&self) -> &[u8] {
        match self.memory.bytes_at(self.at, self.length) {
            // SAFETY: M1: within the mapping, which `self` keeps; and the caller says
            // that they do not change.
            Some(start) => unsafe { std::slice::from_raw_parts(start, self.length) },
            None => &[],
        }
    }
}

/// Copies `count` bytes, which must be there, into the front of `to`, which has room for
/// them. The compiler sees nothing of the memory they come from, which may change
/// meanwhile.
fn copy(from: *const u8, to: &mut [MaybeUninit<u8>], count: usize) {
    assert!(count <= to.len(), "cut to what there is");
    #[cfg(target_arch = "x86_64")]
    // SAFETY: M1, M13: the callers looked that there are `count` bytes there, and
    // `to` has; the direction flag is clear by the ABI.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") count => _, inout("rdi") to.as_mut_ptr() => _, inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for (at, to) in to.iter_mut().take(count).enumerate() {
        // SAFETY: M1: below `count`, which are there.
        let byte = unsafe { from.add(at) };
        // SAFETY: M3: one relaxed load of one byte.
        let byte = unsafe { std::sync::atomic::AtomicU8::from_ptr(byte.cast_mut()) };
        to.write(byte.load(Relaxed));
    }
}

impl OwnPage {
    /// Returns the loan of this generation at a place of the peer's. Call it after the
    /// last look at what was lent.
    pub fn set_returned(&self, place: u32, generation: u64) {
        self.put_returned(place, generation); // pairs: loan.returned
    }
}

#[cfg(test)]
mod tests;
