//! A bag: memory that is filled once and outlives who fills it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::bag::{OutRight, Passport};
use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::{Ticket, limits};
use shm::{LaneWriter, OwnPage};

use crate::error::SendFailure;
use crate::limits::Limit;
use crate::link::{Link, Load, NO_SLOT};

/// One of the bags whose last word the peer has not heard: it keeps them mapped, and
/// keeps no more than so many.
#[derive(Debug)]
pub(super) struct OpenBag {
    link: Arc<Link>,
    /// The last word could not be said.
    pub(super) stays: bool,
}

impl OpenBag {
    /// # Errors
    /// [`SendFailure::RightsExhausted`]: so many rights to ports that went to this peer
    /// have not followed that it may keep no further bag.
    pub(super) fn open(link: &Arc<Link>) -> Result<Self, SendFailure> {
        // Half: some that are closed it has perhaps not looked at.
        let most = link.task.limits.gives.min(limits::GIVES / 2);
        let before = link.open_bags.fetch_add(1, Ordering::Relaxed);
        let open = OpenBag { link: Arc::clone(link), stays: false };
        if before < most {
            return Ok(open);
        }
        link.task.counters.refuse(Limit::Gives);
        Err(SendFailure::RightsExhausted)
    }
}

impl Drop for OpenBag {
    fn drop(&mut self) {
        if !self.stays {
            self.link.open_bags.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The old owner's end of a bag.
#[derive(Debug)]
pub(crate) struct Bag {
    /// The memory lasts as long as somebody may write to it.
    _page: Arc<OwnPage>,
    writer: LaneWriter,
}

impl Bag {
    /// Makes a bag with room for so many bytes of frames, and what the new owner
    /// maps it by. `None` where no bag is that large.
    pub(super) fn create(bytes: usize) -> Option<io::Result<(Bag, OwnedFd)>> {
        let bytes = bytes.max(limits::LANE_BYTES_MIN as usize).checked_next_power_of_two()?;
        let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes <= limits::LANE_BYTES_MAX)?;
        Some(OwnPage::create(bytes).map(|(page, writer, fd)| (Bag { _page: page, writer }, fd)))
    }

    /// The next larger bag, before anybody has mapped this one, with the same frames
    /// in it but the lists of rights that are out, which are made anew.
    pub(super) fn larger(&mut self) -> Option<io::Result<(Bag, OwnedFd)>> {
        self.writer.publish();
        let (mut larger, fd) = match Bag::create(self.writer.lane_bytes() as usize * 2)? {
            Ok(made) => made,
            Err(error) => return Some(Err(error)),
        };
        let mut first = true;
        for (header, rest) in self.writer.announced() {
            let listed = header.kind == Kind::Out || header.kind == Kind::Port && !first;
            first = false;
            if !listed && !larger.append(header, &[&rest]) {
                return None;
            }
        }
        Some(Ok((larger, fd)))
    }

    /// An empty one for this to go on in, twice as large where there may be such: few
    /// of them are on their way at a time, however much they bring.
    pub(super) fn next(&self) -> Option<io::Result<(Bag, OwnedFd)>> {
        let bytes = self.writer.lane_bytes().saturating_mul(2).min(limits::LANE_BYTES_MAX);
        Bag::create(bytes as usize)
    }

    /// Writes a frame that nobody sees yet. False where the bag is full.
    pub(crate) fn append(&mut self, header: Header, parts: &[&[u8]]) -> bool {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let header = Header { length: (HEADER_BYTES + bytes) as u32, ..header };
        self.writer.append(&header, parts).is_ok()
    }

    /// What the port is; the rights that are out are listed anew after it.
    pub(super) fn passport(
        &mut self,
        passport: &Passport,
        turns: u64,
        armed: Option<&mut Load>,
    ) -> bool {
        let mut header = Header { tag: turns, ..Header::new(Kind::Port, NO_SLOT) };
        let mut extra = Vec::new();
        if let Some(load) = armed {
            header.flags = load.attached.encode(&mut extra);
            header.extra = extra.len() as u32;
        }
        self.append(header, &[&extra, &passport.encode()])
    }

    /// A right that is out.
    pub(super) fn out(&mut self, ticket: Ticket, out: &OutRight) -> bool {
        self.append(Header { tag: ticket.0, ..Header::new(Kind::Out, NO_SLOT) }, &[&out.encode()])
    }

    /// A right that was out has ended.
    pub(super) fn ended(&mut self, ticket: Ticket) -> bool {
        self.append(Header { tag: ticket.0, ..Header::new(Kind::Ended, NO_SLOT) }, &[])
    }

    /// Shows what was written.
    pub(super) fn publish(&mut self) {
        self.writer.publish();
    }
}
