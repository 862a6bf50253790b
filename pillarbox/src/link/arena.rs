//! Memory that is lent: ours to the peer, and the peer's to us.
//!
//! A long body is copied once into a chunk of our arena, its frame says where it lies,
//! and who takes the message copies it out and returns the chunk by a store, with no
//! frame and no system call. Where there is no chunk, the body travels in sealed memory
//! of its own: nobody waits for an arena.
//!
//! The arena is made when it is first needed, grows by whole memories, and gives up
//! those of which nothing is lent once it was not used for
//! [`ARENA_IDLE_NS`](abi::limits::ARENA_IDLE_NS).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use abi::frame::{Header, Kind};
use abi::loan::Loan;
use abi::{Offence, Slot, limits};
use shm::arena::{Arena, Chunk, Lent, LentMemory, TakeError};

use super::inn::Inn;
use super::turn::Turn;
use super::{End, Link, NO_SLOT};
use crate::background::Job;
use crate::deadline::Deadline;
use crate::limits::Limit;

/// What we lend the peer.
#[derive(Debug, Default)]
pub(super) struct Lending {
    arena: OnceLock<Arc<Arena>>,
    /// Somebody will look whether it is still used.
    watched: AtomicBool,
    /// Chunks taken when that was looked at last.
    taken: AtomicU64,
}

/// What the peer lends us.
#[derive(Debug, Default)]
pub(super) struct Borrowed {
    /// Its memories by number; none where it could not be mapped here.
    memories: BTreeMap<u32, Option<LentMemory>>,
    next: u32,
}

impl Borrowed {
    /// What lies in a loan, if it can be read here and is none that nobody could lend.
    pub(super) fn lent(&self, loan: &Loan) -> Option<Lent> {
        self.memories.get(&loan.memory)?.as_ref()?.lent(loan).ok()
    }
}

/// What a peer lends us, until it is dropped.
#[derive(Debug)]
pub(crate) struct OnLoan {
    lent: Option<Lent>,
    loan: Loan,
    link: Arc<Link>,
}

impl OnLoan {
    /// What lies there, as far as it is mapped here.
    pub(crate) fn lent(&self) -> Option<&Lent> {
        self.lent.as_ref()
    }

    /// Bytes of it.
    pub(crate) fn len(&self) -> usize {
        self.loan.length as usize
    }
}

impl Drop for OnLoan {
    fn drop(&mut self) {
        // First, so that who sees it returned finds nothing held.
        drop(self.lent.take());
        if self.link.task.check().is_ok() {
            self.link.own.set_returned(self.loan.place, self.loan.generation);
            self.link.tell_if_wanted();
        }
    }
}

impl Link {
    // ---- ours ----------------------------------------------------------------------

    /// Takes a chunk of the arena. No lock of the link's may be held.
    pub(super) fn take_chunk(&self, bytes: usize) -> Result<Chunk, TakeError> {
        let taken = self.take_chunk_now(bytes);
        if matches!(taken, Err(TakeError::Full)) {
            self.task.counters.refuse(Limit::ArenaBytes);
        }
        taken
    }

    /// The same of who takes another way where there is none, which says so then.
    fn take_chunk_now(&self, bytes: usize) -> Result<Chunk, TakeError> {
        let most = self.task.limits.arena_bytes;
        let arena = self.lending.arena.get_or_init(Arena::new);
        let offer = |number, fd| self.offer_lent_memory(number, fd);
        let taken = arena.take(bytes, most, &self.peer, offer);
        match &taken {
            Ok(_) => self.watch_arena(),
            Err(TakeError::Offence(offence)) => self.fault(*offence),
            Err(TakeError::Full | TakeError::TooLong | TakeError::System(_)) => {}
        }
        taken
    }

    /// Whether a chunk is of the arena that the peer reads.
    pub(super) fn is_mine(&self, chunk: &Chunk) -> bool {
        self.lending.arena.get().is_some_and(|arena| chunk.is_of(arena))
    }

    /// Takes a chunk, waiting for one until `deadline`.
    pub(crate) fn lend_chunk(
        self: &Arc<Self>,
        bytes: usize,
        deadline: Deadline,
    ) -> Result<Result<Chunk, TakeError>, End> {
        if let Some(end) = self.end() {
            return Err(end);
        }
        match self.take_chunk_now(bytes) {
            Err(TakeError::Full) => {}
            taken => return Ok(taken),
        }
        let taken = self.wait_at(deadline, || self.look_for_chunk(bytes));
        taken.unwrap_or(Ok(Err(TakeError::Full)))
    }

    /// One look of who waits for a chunk. `None` where there is none: then those who wait
    /// at the link are told of one.
    pub(crate) fn look_for_chunk(
        &self,
        bytes: usize,
    ) -> Option<Result<Result<Chunk, TakeError>, End>> {
        for last in [false, true] {
            if let Some(end) = self.end() {
                return Some(Err(end));
            }
            match self.take_chunk(bytes) {
                Err(TakeError::Full) if last => break,
                // Raise, fence, look; the reader returns, fences, looks.
                Err(TakeError::Full) => {
                    // What is free may be too small, and in the way.
                    self.shrink_arena();
                    let _ = self.own.raise_want();
                    shm::full_fence(); // pairs: lane.want
                }
                taken => return Some(Ok(taken)),
            }
        }
        None
    }

    /// A copy of `body` in a chunk, where there is one for it.
    pub(super) fn place(&self, body: &[u8]) -> Option<Chunk> {
        Self::filled(self.take_chunk(body.len()).ok()?, body)
    }

    /// The same of who takes another way where there is none.
    pub(super) fn place_now(&self, body: &[u8]) -> Option<Chunk> {
        Self::filled(self.take_chunk_now(body.len()).ok()?, body)
    }

    fn filled(mut chunk: Chunk, body: &[u8]) -> Option<Chunk> {
        // Fewer only in a forked child.
        (chunk.write_at(body, 0) == body.len()).then_some(chunk)
    }

    /// What a loan of ours holds that the dead peer did not return.
    pub(super) fn read_loan_back(&self, loan: &Loan) -> Option<Vec<u8>> {
        self.lending.arena.get()?.read_back(loan)
    }

    fn watch_arena(&self) {
        if !self.lending.watched.swap(true, Ordering::Relaxed) {
            self.task.job(Job::WatchArena(self.number));
        }
    }

    /// Gives up memory of which nothing is lent, where the arena is used no more.
    /// Returns whether it must be looked at again.
    pub(crate) fn rest_arena(&self) -> bool {
        let Some(arena) = self.lending.arena.get().filter(|_| !self.is_dead()) else {
            return false;
        };
        let taken = arena.taken();
        if self.lending.taken.swap(taken, Ordering::Relaxed) != taken {
            return true;
        }
        // Before it is looked at: what is taken from now on is watched anew.
        self.lending.watched.store(false, Ordering::Relaxed);
        self.shrink_arena();
        false
    }

    /// Gives up memory of which nothing is lent.
    fn shrink_arena(&self) {
        let Some(arena) = self.lending.arena.get() else { return };
        let idle = match arena.shrink(&self.peer) {
            Ok(idle) => idle,
            Err(offence) => return self.fault(offence),
        };
        if idle.is_empty() {
            return;
        }
        for number in idle {
            self.say(about(Kind::Unmap, number), &[]);
        }
        // No thread of the peer's may be waiting for anything.
        self.ring_awake();
    }

    /// The peer let go of memory of ours, or could not have it.
    pub(super) fn take_unmapped(&self, header: &Header, turn: &mut Turn) -> Result<(), Offence> {
        let arena = self.lending.arena.get().ok_or(Offence::AnswerUnasked)?;
        arena.unmapped(header.slot.index)?;
        self.wake_waiters(&mut turn.after);
        Ok(())
    }

    // ---- the peer's --------------------------------------------------------------------

    /// The peer offers memory to lend from.
    pub(super) fn take_lent_memory(
        self: &Arc<Self>,
        inn: &mut Inn,
        header: &Header,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let packet = u32::try_from(header.tag).map_err(|_| Offence::DescriptorsMissing)?;
        let mut packet = self.packet(inn, packet, turn)?;
        let number = header.slot.index;
        if number != inn.borrowed.next || inn.borrowed.memories.len() >= limits::ARENA_MEMORIES {
            turn.more().foreign.append(&mut packet.descriptors);
            return Err(Offence::ArenaOrder);
        }
        inn.borrowed.next = inn.borrowed.next.wrapping_add(1);
        let fd = packet.descriptors.pop();
        turn.more().foreign.append(&mut packet.descriptors);
        let memory = match fd.map(LentMemory::open) {
            Some(Ok(memory)) => Some(memory),
            Some(Err(shm::OpenError::Offence(offence))) => return Err(offence),
            None if !packet.lost => return Err(Offence::DescriptorsMissing),
            // Our table was full, or we could not map it: what was sent with it is
            // lost, and nothing more will be.
            Some(Err(shm::OpenError::System(_))) | None => None,
        };
        let mapped = inn.borrowed.memories.values().flatten().chain(&memory);
        if mapped.map(LentMemory::bytes).sum::<u64>() > limits::ARENA_BYTES {
            return Err(Offence::ArenaOrder);
        }
        let lost = memory.is_none();
        inn.borrowed.memories.insert(number, memory);
        if lost { self.say_answer(about(Kind::Unmapped, number), &[]) } else { Ok(()) }
    }

    /// The peer takes memory back of which nothing is lent.
    pub(super) fn take_unmap(&self, inn: &mut Inn, header: &Header) -> Result<(), Offence> {
        let number = header.slot.index;
        match inn.borrowed.memories.remove(&number) {
            Some(Some(memory)) if memory.is_unused() => {
                drop(memory);
                self.say_answer(about(Kind::Unmapped, number), &[])
            }
            // It was said when it came.
            Some(None) => Ok(()),
            Some(Some(_)) | None => Err(Offence::ArenaOrder),
        }
    }

    /// What was found where the peer lent it, ours to read until it is dropped.
    pub(super) fn lent_here(self: &Arc<Self>, lent: Lent, loan: Loan) -> OnLoan {
        OnLoan { lent: Some(lent), loan, link: Arc::clone(self) }
    }

    /// What the peer lends us.
    pub(super) fn on_loan(self: &Arc<Self>, inn: &Inn, loan: &Loan) -> Result<OnLoan, Offence> {
        let memory = inn.borrowed.memories.get(&loan.memory).ok_or(Offence::LoanMalformed)?;
        let lent = memory.as_ref().map(|memory| memory.lent(loan)).transpose()?;
        Ok(OnLoan { lent, loan: *loan, link: Arc::clone(self) })
    }
}

/// A frame about memory that is lent.
pub(super) fn about(kind: Kind, number: u32) -> Header {
    Header::new(kind, Slot { index: number, ..NO_SLOT })
}
