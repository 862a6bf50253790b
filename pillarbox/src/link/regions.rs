//! Regions on their way into and out of messages.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use abi::Offence;
use abi::frame::Attached;
use abi::loan::{Loan, RegionRef};
use shm::arena::Chunk;
use shm::body::Sealed;

use super::Link;
use super::inn::Inn;
use crate::error::SendFailure;
use crate::message::Message;
use crate::region::{Memory, Region};
use crate::wait::parking::lock;

/// What the regions of a message, and its long body, need on their way.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// A body that is lent.
    pub(super) body: Option<Chunk>,
    /// Copies of regions that lay elsewhere.
    chunks: Vec<Chunk>,
    sealed: Vec<Arc<Sealed>>,
    /// Whether regions of the message itself are lent as they are.
    in_place: bool,
}

impl Carried {
    /// Descriptors of what is sealed, in order.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sealed.iter().map(|sealed| sealed.as_fd())
    }

    /// Its frame was written: what it names is the peer's until that returns it.
    pub(super) fn lend(&mut self, message: &Message, attached: &Attached) {
        for chunk in self.body.take().into_iter().chain(self.chunks.drain(..)) {
            chunk.lend();
        }
        if !std::mem::take(&mut self.in_place) {
            return;
        }
        for (region, named) in message.regions().iter().zip(&attached.regions) {
            let RegionRef::Lent(named) = named else { continue };
            let Memory::Chunk(chunk, _) = &region.memory else { continue };
            // A copy has a name of its own.
            let lent = lock(chunk).take_if(|chunk| chunk.loan() == *named);
            if let Some(chunk) = lent {
                chunk.lend();
            }
        }
    }
}

impl Link {
    /// Names the regions of a message. Those that may not be lent are sealed: what goes
    /// into a bag is read by nobody knows whom.
    pub(super) fn name_regions(
        &self,
        message: &Message,
        may_lend: bool,
        carried: &mut Carried,
    ) -> Result<Vec<RegionRef>, SendFailure> {
        let mut named = Vec::with_capacity(message.regions().len());
        for region in message.regions() {
            named.push(self.name_region(region, may_lend, carried)?);
        }
        Ok(named)
    }

    /// The same of a message that was accepted before, perhaps with fewer than it had.
    /// One that is lost takes those with descriptors behind it along.
    pub(super) fn name_what_is_left(
        &self,
        message: &Message,
        may_lend: bool,
        carried: &mut Carried,
    ) -> Result<Vec<RegionRef>, SendFailure> {
        let mut named = Vec::with_capacity(message.regions().len());
        let mut sealed = None;
        for region in message.regions() {
            if region.is_lost() || region.is_empty() {
                sealed.get_or_insert(carried.sealed.len());
                named.push(RegionRef::Sealed { length: region.len().max(1) as u64 });
            } else {
                named.push(self.name_region(region, may_lend, carried)?);
            }
        }
        carried.sealed.truncate(sealed.unwrap_or(usize::MAX));
        Ok(named)
    }

    fn name_region(
        &self,
        region: &Region,
        may_lend: bool,
        carried: &mut Carried,
    ) -> Result<RegionRef, SendFailure> {
        if let Memory::Sealed(sealed) = &region.memory {
            carried.sealed.push(Arc::clone(sealed));
            return Ok(RegionRef::Sealed { length: sealed.len() as u64 });
        }
        if region.is_lost() || region.is_empty() {
            return Err(SendFailure::RegionLost);
        }
        if may_lend && let Some(loan) = self.in_place(region) {
            carried.in_place = true;
            return Ok(RegionRef::Lent(loan));
        }
        let copy;
        let bytes = match region.as_slice() {
            Some(bytes) => bytes,
            None => {
                copy = region.to_vec();
                copy.as_slice()
            }
        };
        if may_lend && let Some(chunk) = self.place(bytes) {
            let loan = chunk.loan();
            carried.chunks.push(chunk);
            return Ok(RegionRef::Lent(loan));
        }
        let sealed = Sealed::create(bytes).map_err(|error| SendFailure::System(error.kind()))?;
        carried.sealed.push(Arc::new(sealed));
        Ok(RegionRef::Sealed { length: bytes.len() as u64 })
    }

    /// What a region is called that lies where the peer can read it.
    fn in_place(&self, region: &Region) -> Option<Loan> {
        let Memory::Chunk(chunk, _) = &region.memory else { return None };
        let chunk = lock(chunk);
        chunk.as_ref().filter(|chunk| self.is_mine(chunk)).map(Chunk::loan)
    }

    /// A region the peer named.
    pub(super) fn take_region(
        self: &Arc<Self>,
        inn: &Inn,
        named: &RegionRef,
        descriptors: &mut impl Iterator<Item = OwnedFd>,
    ) -> Result<Region, Offence> {
        let memory = match named {
            RegionRef::Lent(loan) => match self.on_loan(inn, loan)? {
                lent if lent.lent().is_some() => Memory::Lent(lent),
                lent => Memory::Lost(lent.len()),
            },
            RegionRef::Sealed { length } => match descriptors.next() {
                Some(fd) => match Sealed::open(fd, *length) {
                    Ok(sealed) => Memory::Sealed(Arc::new(sealed)),
                    Err(shm::OpenError::Offence(_)) => return Err(Offence::BodyMalformed),
                    Err(shm::OpenError::System(_)) => Memory::Lost(*length as usize),
                },
                None => Memory::Lost(*length as usize),
            },
        };
        Ok(memory.into())
    }

    /// A region of a message that the dead peer did not read.
    pub(super) fn region_back(&self, named: &RegionRef) -> Region {
        match named {
            RegionRef::Lent(loan) => match self.read_loan_back(loan) {
                Some(bytes) => bytes.into(),
                None => Memory::Lost(loan.length as usize).into(),
            },
            RegionRef::Sealed { length } => Memory::Lost(*length as usize).into(),
        }
    }
}
