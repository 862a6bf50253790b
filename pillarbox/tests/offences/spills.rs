//! What a peer can do wrong with what it spills.

use std::os::fd::{AsFd, OwnedFd};

use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::right::RightRef;
use abi::{Slot, Ticket, limits};
use pillarbox::Offence;
use shm::{LaneWriter, OwnPage};

use super::{Act, NOWHERE, pipe, unsealed};
use crate::family::raw::{OWN, Peer};

/// Memory a peer spills into, for as long as it likes.
struct Spill {
    writer: LaneWriter,
    fd: OwnedFd,
}

impl Spill {
    fn new() -> Spill {
        let (_, writer, fd) = OwnPage::create(limits::LANE_BYTES_MIN).unwrap();
        Spill { writer, fd }
    }

    /// Spills a message to `slot`.
    fn message(&mut self, slot: Slot, number: u64, attached: &Attached) {
        let mut extra = Vec::new();
        let flags = attached.encode(&mut extra);
        let header = Header { flags, ..Header::new(Kind::Message, slot) };
        self.frame(header, &extra, number);
    }

    fn frame(&mut self, header: Header, extra: &[u8], number: u64) {
        let mut rest = extra.to_vec();
        rest.extend_from_slice(&number.to_le_bytes());
        rest.extend_from_slice(&0_u64.to_le_bytes());
        rest.extend_from_slice(b"spilled");
        let length = (HEADER_BYTES + rest.len()) as u32;
        let header = Header { length, extra: extra.len() as u32, ..header };
        self.writer.append(&header, &[&rest]).unwrap();
        self.writer.publish();
    }
}

/// Offers memory for what is spilled to `slot`.
fn offer(peer: &Peer, slot: Slot, fd: &OwnedFd) {
    let mut packet = *b"spil........";
    packet[4..8].copy_from_slice(&slot.index.to_le_bytes());
    packet[8..].copy_from_slice(&slot.generation.to_le_bytes());
    let _ = peer.socket.send(&packet, &[fd.as_fd()]);
}

fn mark(peer: &mut Peer, number: u64) {
    peer.say(Header { tag: number, ..Header::new(Kind::Spilled, NOWHERE) }, &[]);
}

/// Offers memory for an unbounded port with this in it, and says so.
fn spill(peer: &mut Peer, name: &str, fill: impl FnOnce(&mut Spill, Slot)) {
    let slot = peer.slot(name);
    let mut spill = Spill::new();
    fill(&mut spill, slot);
    offer(peer, slot, &spill.fd);
    mark(peer, 1);
}

pub(crate) const ACTS: &[Act] = &[
    Act {
        name: "a mark that says no more than the last",
        offence: Offence::SpillMalformed,
        commit: |peer| mark(peer, 0),
    },
    Act {
        name: "a spilled frame that is no message",
        offence: Offence::SpillMalformed,
        commit: |peer| {
            spill(peer, "open", |spill, slot| {
                spill.frame(Header { tag: 1, ..Header::new(Kind::Release, slot) }, &[], 1);
            });
        },
    },
    Act {
        name: "a message spilled for another right",
        offence: Offence::SpillMalformed,
        commit: |peer| {
            let other = peer.slot("inbox");
            spill(peer, "open", |spill, _| spill.message(other, 1, &Attached::default()));
        },
    },
    Act {
        name: "a spilled message with the number of the last",
        offence: Offence::SpillMalformed,
        commit: |peer| {
            spill(peer, "open", |spill, slot| {
                (0..2).for_each(|_| spill.message(slot, 1, &Attached::default()));
            });
        },
    },
    Act {
        name: "a spilled receive right",
        offence: Offence::SpillMalformed,
        commit: |peer| {
            let rights = vec![RightRef::Receive(Ticket(5))];
            let attached = Attached { rights, descriptors: 1, ..Attached::default() };
            spill(peer, "open", |spill, slot| spill.message(slot, 1, &attached));
        },
    },
    Act {
        name: "spilled messages beyond the window",
        offence: Offence::WindowExceeded,
        commit: |peer| {
            spill(peer, "inbox", |spill, slot| {
                (1..64).for_each(|number| spill.message(slot, number, &Attached::default()));
            });
            // What was neither shown nor marked is not taken.
            mark(peer, 63);
        },
    },
    Act {
        name: "more spills than may wait",
        offence: Offence::SpillsExceeded,
        commit: |peer| {
            let slot = peer.slot("open");
            for _ in 0..=2 * limits::SPILLS {
                offer(peer, slot, &Spill::new().fd);
                peer.ring();
            }
        },
    },
    Act {
        name: "memory for a promise",
        offence: Offence::RightKind,
        commit: |peer| offer(peer, peer.slot("once"), &Spill::new().fd),
    },
    Act {
        name: "memory for a right that was never given",
        offence: Offence::NeverExported,
        commit: |peer| offer(peer, Slot { index: 99, generation: 1 }, &Spill::new().fd),
    },
    Act {
        name: "a spill of no size",
        offence: Offence::MemorySize,
        commit: |peer| offer(peer, peer.slot("open"), &pipe()),
    },
    Act {
        name: "a spill that is not sealed",
        offence: Offence::SealMissing,
        commit: |peer| {
            let bytes = abi::page::memory_bytes(limits::LANE_BYTES_MIN);
            offer(peer, peer.slot("open"), &unsealed(bytes));
        },
    },
    Act {
        name: "a spilled message whose descriptors never came",
        offence: Offence::DescriptorsMissing,
        commit: |peer| {
            let attached = Attached { descriptors: 1, ..Attached::default() };
            spill(peer, "open", |spill, slot| spill.message(slot, 1, &attached));
        },
    },
    Act {
        name: "descriptors that no spilled message owns",
        offence: Offence::DescriptorsUnowned,
        commit: |peer| {
            for _ in 0..=limits::SPILL_DESCRIPTORS {
                let _ = peer.socket.send(b"spld\0\0\0\0", &[pipe().as_fd()]);
                peer.ring();
            }
        },
    },
    Act {
        name: "more taken than was spilled",
        offence: Offence::EmptiedImpossible,
        commit: |peer| peer.say(Header { tag: 1, ..Header::new(Kind::Emptied, OWN) }, &[]),
    },
];
