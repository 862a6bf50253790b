//! What a peer can do wrong with memory that is lent.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use abi::frame::{Attached, Header, Kind};
use abi::loan::{Loan, RegionRef};
use abi::{Slot, limits};
use pillarbox::Offence;
use shm::arena::Arena;

use super::{Act, holes, pipe, sealed, unsealed};
use crate::family::raw::Peer;

/// A loan in the first memory.
const LOAN: Loan = Loan { memory: 0, place: 0, page: 0, generation: 1, length: 40_000 };

/// Memory such as the honest lend from.
fn memory(peer: &Peer) -> OwnedFd {
    let mut memory = None;
    let arena: Arc<Arena> = Arena::new();
    let _ = arena.take(1, limits::ARENA_BYTES, &peer.page, |_, fd| memory = Some(fd)).unwrap();
    memory.unwrap()
}

/// Offers memory `number`, in a packet of the same number.
fn offer(peer: &mut Peer, number: u32, fd: OwnedFd) {
    peer.send_descriptors(number, &[fd]);
    about(peer, Kind::Memory, number);
}

fn about(peer: &mut Peer, kind: Kind, number: u32) {
    let slot = Slot { index: number, generation: 0 };
    peer.say(Header { tag: u64::from(number), ..Header::new(kind, slot) }, &[]);
}

/// A message whose body lies there.
fn lent(peer: &mut Peer, loan: Loan, body: &[u8]) {
    let attached = Attached { lent: Some(loan), ..Attached::default() };
    peer.send(peer.slot("inbox"), &attached, body);
}

/// The same of memory that is there.
fn lent_after_offer(peer: &mut Peer, loan: Loan) {
    let fd = memory(peer);
    offer(peer, 0, fd);
    lent(peer, loan, &[]);
}

pub(crate) const ACTS: &[Act] = &[
    Act {
        name: "a loan of memory that was not offered",
        offence: Offence::LoanMalformed,
        commit: |peer| lent(peer, LOAN, &[]),
    },
    Act {
        name: "a loan beyond its memory",
        offence: Offence::LoanMalformed,
        commit: |peer| lent_after_offer(peer, Loan { page: 250, ..LOAN }),
    },
    Act {
        name: "a loan of nothing",
        offence: Offence::LoanMalformed,
        commit: |peer| lent_after_offer(peer, Loan { length: 0, ..LOAN }),
    },
    Act {
        name: "a loan that no word returns",
        offence: Offence::LoanMalformed,
        commit: |peer| lent_after_offer(peer, Loan { place: limits::LOANS, ..LOAN }),
    },
    Act {
        name: "a body that is lent and in the frame",
        offence: Offence::BodyMalformed,
        commit: |peer| {
            let fd = memory(peer);
            offer(peer, 0, fd);
            lent(peer, LOAN, b"both");
        },
    },
    Act {
        name: "a region in memory that was not offered",
        offence: Offence::LoanMalformed,
        commit: |peer| {
            let regions = vec![RegionRef::Lent(LOAN)];
            peer.send(peer.slot("inbox"), &Attached { regions, ..Attached::default() }, b"");
        },
    },
    Act {
        name: "a sealed region without its descriptor",
        offence: Offence::BodyMalformed,
        commit: |peer| {
            let regions = vec![RegionRef::Sealed { length: 5 }];
            peer.send(peer.slot("inbox"), &Attached { regions, ..Attached::default() }, b"");
        },
    },
    Act {
        name: "a sealed region that is not sealed",
        offence: Offence::BodyMalformed,
        commit: |peer| region_in(peer, unsealed(5000)),
    },
    Act {
        name: "a sealed region of another length",
        offence: Offence::BodyMalformed,
        commit: |peer| region_in(peer, sealed(&[1; 5001])),
    },
    Act {
        name: "memory to lend from that is a pipe",
        offence: Offence::MemoryKind,
        commit: |peer| offer(peer, 0, pipe()),
    },
    Act {
        name: "memory to lend from that is not sealed",
        offence: Offence::SealMissing,
        commit: |peer| offer(peer, 0, unsealed(1 << 20)),
    },
    Act {
        name: "memory to lend from with holes",
        offence: Offence::MemoryHoles,
        commit: |peer| offer(peer, 0, holes(1 << 20)),
    },
    Act {
        name: "memory to lend from of an odd size",
        offence: Offence::MemorySize,
        commit: |peer| {
            let (_, _, fd) = shm::OwnPage::create(1 << 20).unwrap();
            offer(peer, 0, fd);
        },
    },
    Act {
        name: "memory to lend from out of order",
        offence: Offence::ArenaOrder,
        commit: |peer| {
            let fd = memory(peer);
            peer.send_descriptors(0, &[fd]);
            peer.say(Header::new(Kind::Memory, Slot { index: 1, generation: 0 }), &[]);
        },
    },
    Act {
        name: "too many memories to lend from",
        offence: Offence::ArenaOrder,
        commit: |peer| {
            for number in 0..=limits::ARENA_MEMORIES as u32 {
                let fd = memory(peer);
                offer(peer, number, fd);
            }
        },
    },
    Act {
        name: "memory taken back that was not offered",
        offence: Offence::ArenaOrder,
        commit: |peer| about(peer, Kind::Unmap, 0),
    },
    Act {
        name: "memory taken back while it is lent",
        offence: Offence::ArenaOrder,
        commit: |peer| {
            lent_after_offer(peer, LOAN);
            about(peer, Kind::Unmap, 0);
        },
    },
    Act {
        name: "a return of what is not out",
        offence: Offence::LoanNotOut,
        commit: |peer| (0..limits::LOANS).for_each(|place| peer.own.set_returned(place, 1 << 40)),
    },
    Act {
        name: "memory let go that nobody offered",
        offence: Offence::AnswerUnasked,
        commit: |peer| about(peer, Kind::Unmapped, 0),
    },
];

fn region_in(peer: &mut Peer, fd: OwnedFd) {
    peer.send_descriptors(0, &[fd]);
    let regions = vec![RegionRef::Sealed { length: 5000 }];
    let attached = Attached { descriptors: 1, packet: 0, regions, ..Attached::default() };
    peer.send(peer.slot("inbox"), &attached, b"");
}
