//! What a peer can do wrong once it is linked, one act after another.

pub(crate) mod loans;
pub(crate) mod spills;

use std::os::fd::OwnedFd;

use abi::frame::{Attached, HEADER_BYTES, Header, Kind, flag};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, TaskId, limits};
use pillarbox::{NameError, Offence};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::family::raw::{LANE, OWN, Peer, mine};

/// What a peer does wrong, and what it must be called.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) offence: Offence,
    pub(crate) commit: fn(&mut Peer),
}

const NOWHERE: Slot = Slot { index: 0, generation: 0 };
const SOMEBODY: TaskId = TaskId { process: 7, number: 7 };

/// The bytes of a frame with some of its header changed.
fn frame(kind: Kind, change: impl FnOnce(&mut [u8; HEADER_BYTES])) -> [u8; HEADER_BYTES] {
    let mut bytes = Header::new(kind, NOWHERE).encode();
    change(&mut bytes);
    bytes
}

fn sealed(bytes: &[u8]) -> OwnedFd {
    shm::Body::create(&[bytes]).unwrap()
}

fn unsealed(bytes: usize) -> OwnedFd {
    let fd = rustix::fs::memfd_create("odd", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::io::pwrite(&fd, &vec![1; bytes], 0).unwrap();
    fd
}

/// Memory that is sealed as it must be, of this size, and has holes.
fn holes(bytes: usize) -> OwnedFd {
    let fd = rustix::fs::memfd_create("odd", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&fd, bytes as u64).unwrap();
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE;
    rustix::fs::fcntl_add_seals(&fd, seals | SealFlags::WRITE).unwrap();
    fd
}

fn pipe() -> OwnedFd {
    std::io::pipe().unwrap().0.into()
}

/// A message whose body lies in `fd`, said to be of `bytes`.
fn body_in(peer: &mut Peer, fd: OwnedFd, bytes: u64) {
    peer.send_descriptors(0, &[fd]);
    let attached = Attached { descriptors: 1, packet: 0, region: bytes, ..Attached::default() };
    peer.send(peer.slot("inbox"), &attached, b"");
}

fn board_in(peer: &mut Peer, number: u32, fd: OwnedFd) {
    peer.send_descriptors(number, &[fd]);
    let slot = Slot { index: 0, generation: 0 };
    peer.say(Header { tag: u64::from(number), ..Header::new(Kind::Board, slot) }, &[]);
}

fn give(peer: &mut Peer, slot: Slot, ticket: u64) {
    let header = Header { tag: ticket, ..Header::new(Kind::Give, slot) };
    peer.say(header, &SOMEBODY.encode());
}

/// Leaves a message, to be told on a slot of its own.
fn leave(peer: &mut Peer, slot: Slot, index: u32) {
    let accepted = Some(RightRef::Mine(RightKind::SendOnce, Slot { index, generation: 1 }));
    peer.send(slot, &Attached { accepted, ..Attached::default() }, b"left");
}

fn named(peer: &mut Peer, name: &[u8]) {
    let mut behind = Vec::new();
    let flags = mine(RightKind::Send, OWN).encode(&mut behind);
    let extra = behind.len() as u32;
    behind.push(name.len() as u8);
    behind.extend_from_slice(name);
    peer.say(Header { flags, extra, ..Header::new(Kind::Welcome, NOWHERE) }, &behind);
}

pub(crate) const ACTS: &[Act] = &[
    Act {
        name: "a frame shorter than its header",
        offence: Offence::FrameTruncated,
        commit: |peer| peer.frame(&frame(Kind::Look, |bytes| bytes[0] = 16), 32),
    },
    Act {
        name: "a head in the middle of a header",
        offence: Offence::FrameTruncated,
        commit: |peer| peer.frame(&frame(Kind::Look, |_| ()), 24),
    },
    Act {
        name: "an attachment longer than its frame",
        offence: Offence::FrameTruncated,
        commit: |peer| peer.frame(&frame(Kind::Message, |bytes| bytes[20] = 1), 32),
    },
    Act {
        name: "a give that names nobody",
        offence: Offence::FrameTruncated,
        commit: |peer| peer.say(Header::new(Kind::Give, peer.slot("inbox")), &[0; 15]),
    },
    Act {
        name: "a frame longer than the limit",
        offence: Offence::FrameOversized,
        commit: |peer| {
            let length = (limits::FRAME_BYTES as u32 + 1).to_le_bytes();
            let bytes = frame(Kind::Message, |bytes| bytes[..4].copy_from_slice(&length));
            peer.frame(&bytes, limits::FRAME_BYTES as u64 + 8);
        },
    },
    Act {
        name: "a frame longer than what was announced",
        offence: Offence::FrameOversized,
        commit: |peer| peer.frame(&frame(Kind::Message, |bytes| bytes[1] = 16), 64),
    },
    Act {
        name: "more pulses than were granted",
        offence: Offence::PulsesExceeded,
        commit: |peer| {
            let slot = peer.slot("inbox");
            let granted = peer.page.pulses(slot.index).unwrap();
            for _ in 0..=granted {
                peer.say(Header::new(Kind::Pulse, slot), &[]);
            }
        },
    },
    Act {
        name: "a pulse with a body",
        offence: Offence::FrameOversized,
        commit: |peer| peer.say(Header::new(Kind::Pulse, peer.slot("inbox")), &[1]),
    },
    Act {
        name: "a pulse on a send-once right",
        offence: Offence::RightKind,
        commit: |peer| peer.say(Header::new(Kind::Pulse, peer.slot("once")), &[]),
    },
    Act {
        name: "a pulse on a right that was never given",
        offence: Offence::NeverExported,
        commit: |peer| {
            let slot = Slot { index: limits::BOARD_SLOTS - 1, generation: 1 };
            peer.say(Header::new(Kind::Pulse, slot), &[]);
        },
    },
    Act {
        name: "a pulse of an impossible priority",
        offence: Offence::PriorityExceeded(u16::MAX),
        commit: |peer| {
            let header = Header::new(Kind::Pulse, peer.slot("inbox"));
            peer.say(Header { priority: u16::MAX, ..header }, &[]);
        },
    },
    Act {
        name: "a message of an impossible priority",
        offence: Offence::PriorityExceeded(limits::PRIORITY_MAX + 1),
        commit: |peer| {
            let header = Header::new(Kind::Message, peer.slot("inbox"));
            peer.say(Header { priority: limits::PRIORITY_MAX + 1, ..header }, &[]);
        },
    },
    Act {
        name: "a body longer than the lane copies",
        offence: Offence::FrameOversized,
        commit: |peer| {
            peer.send(peer.slot("inbox"), &Attached::default(), &[1; limits::INLINE_BYTES + 1]);
        },
    },
    Act {
        name: "a word longer than any",
        offence: Offence::FrameOversized,
        commit: |peer| peer.say(Header::new(Kind::Look, NOWHERE), &[0; 64]),
    },
    Act {
        name: "a skip that skips nothing",
        offence: Offence::FrameOversized,
        commit: |peer| peer.frame(&frame(Kind::Skip, |_| ()), 32),
    },
    Act {
        name: "a frame of an unknown kind",
        offence: Offence::FrameKind,
        commit: |peer| peer.frame(&frame(Kind::Look, |bytes| bytes[4] = 99), 32),
    },
    Act {
        name: "a flag that fits no release",
        offence: Offence::FrameFlags,
        commit: |peer| {
            let header = Header::new(Kind::Release, peer.slot("inbox"));
            peer.say(Header { flags: flag::REPLY, ..header }, &[]);
        },
    },
    Act {
        name: "a head a lane ahead",
        offence: Offence::HeadImpossible,
        commit: |peer| peer.set_head(peer.writer.head() + u64::from(LANE) + 8),
    },
    Act {
        name: "a head that goes back",
        offence: Offence::HeadImpossible,
        commit: |peer| peer.set_head(peer.writer.head() - 8),
    },
    Act {
        name: "a head between words",
        offence: Offence::HeadImpossible,
        commit: |peer| peer.set_head(peer.writer.head() + 33),
    },
    Act {
        name: "a tail beyond what was written",
        offence: Offence::TailImpossible,
        commit: |peer| peer.own.set_tail(1 << 40),
    },
    Act {
        name: "an index nobody gave",
        offence: Offence::NeverExported,
        commit: |peer| {
            peer.send(Slot { index: 77, generation: 1 }, &Attached::default(), b"guess");
        },
    },
    Act {
        name: "a right on a board there is not",
        offence: Offence::NeverExported,
        commit: |peer| {
            let slot = Slot { index: limits::BOARD_SLOTS, generation: 1 };
            peer.send(peer.slot("inbox"), &mine(RightKind::Send, slot), b"");
        },
    },
    Act {
        name: "a right of generation zero",
        offence: Offence::NeverExported,
        commit: |peer| {
            peer.send(peer.slot("inbox"), &mine(RightKind::SendOnce, NOWHERE), b"");
        },
    },
    Act {
        name: "another life of a slot",
        offence: Offence::GenerationStale,
        commit: |peer| {
            let slot = Slot { generation: 2, ..peer.slot("inbox") };
            peer.send(slot, &Attached::default(), b"guess");
        },
    },
    Act {
        name: "a send-once right used twice",
        offence: Offence::GenerationStale,
        commit: |peer| {
            peer.send(peer.slot("once"), &Attached::default(), b"once");
            peer.send(peer.slot("once"), &Attached::default(), b"twice");
        },
    },
    Act {
        name: "a slot used again while it is held",
        offence: Offence::GenerationReused,
        commit: |peer| {
            let slot = Slot { generation: OWN.generation + 1, ..OWN };
            peer.send(peer.slot("inbox"), &mine(RightKind::Send, slot), b"");
        },
    },
    Act {
        name: "more releases than rights",
        offence: Offence::ReleasedTooMany,
        commit: |peer| {
            peer.say(Header { tag: 2, ..Header::new(Kind::Release, peer.slot("inbox")) }, &[]);
        },
    },
    Act {
        name: "a release of none",
        offence: Offence::ReleasedTooMany,
        commit: |peer| peer.say(Header::new(Kind::Release, peer.slot("inbox")), &[]),
    },
    Act {
        name: "more messages than granted",
        offence: Offence::WindowExceeded,
        commit: |peer| {
            for _ in 0..30 {
                peer.send(peer.slot("inbox"), &Attached::default(), b"flood");
            }
        },
    },
    Act {
        name: "places handed back that it never had",
        offence: Offence::WindowExceeded,
        commit: |peer| {
            let header = Header::new(Kind::Return, peer.slot("inbox"));
            peer.say(Header { tag: u64::MAX, ..header }, &[]);
        },
    },
    Act {
        name: "a second message left",
        offence: Offence::LeftTwice,
        commit: |peer| (1..=2).for_each(|index| leave(peer, peer.slot("full"), index)),
    },
    Act {
        name: "a message left on a send-once right",
        offence: Offence::RightKind,
        commit: |peer| leave(peer, peer.slot("once"), 1),
    },
    Act {
        name: "more bytes than granted",
        offence: Offence::BytesExceeded,
        commit: |peer| {
            let body = vec![9; limits::INLINE_BYTES];
            for _ in 0..limits::LINK_QUEUED_BYTES / body.len() as u64 + 1 {
                peer.send(peer.slot("open"), &Attached::default(), &body);
            }
        },
    },
    Act {
        name: "more descriptors than granted",
        offence: Offence::BytesExceeded,
        commit: |peer| {
            let many: Vec<_> = (0..32).map(|_| unsealed(1)).collect();
            for number in 0..8 {
                peer.send_descriptors(number, &many);
                let attached = Attached { descriptors: 32, packet: number, ..Attached::default() };
                peer.send(peer.slot("open"), &attached, b"");
            }
        },
    },
    Act {
        name: "a question on a send-once right",
        offence: Offence::RightKind,
        commit: |peer| peer.say(Header::new(Kind::Ask, peer.slot("once")), &[]),
    },
    Act {
        name: "a part of an answer on a send right",
        offence: Offence::RightKind,
        commit: |peer| peer.say(Header::new(Kind::Part, peer.slot("inbox")), b"part"),
    },
    Act {
        name: "a part of an answer nobody made room for",
        offence: Offence::PartBeyondRoom,
        commit: |peer| peer.say(Header::new(Kind::Part, peer.slot("once")), b"part"),
    },
    Act {
        name: "a send right dropped as if it were send-once",
        offence: Offence::RightKind,
        commit: |peer| peer.say(Header::new(Kind::Dropped, peer.slot("inbox")), &[]),
    },
    Act {
        name: "a right given as another kind",
        offence: Offence::RightKind,
        commit: |peer| give(peer, peer.slot("once"), 1),
    },
    Act {
        name: "a reply right that could be used twice",
        offence: Offence::RightKind,
        commit: |peer| {
            let reply = Some(RightRef::Mine(RightKind::Send, OWN));
            peer.send(peer.slot("inbox"), &Attached { reply, ..Attached::default() }, b"");
        },
    },
    Act {
        name: "descriptors announced and not sent",
        offence: Offence::DescriptorsMissing,
        commit: |peer| {
            let attached = Attached { descriptors: 1, ..Attached::default() };
            peer.send(peer.slot("inbox"), &attached, b"");
        },
    },
    Act {
        name: "fewer descriptors than announced",
        offence: Offence::DescriptorsMissing,
        commit: |peer| {
            peer.send_descriptors(0, &[pipe()]);
            let attached = Attached { descriptors: 2, ..Attached::default() };
            peer.send(peer.slot("inbox"), &attached, b"");
        },
    },
    Act {
        name: "descriptors of a frame that never came",
        offence: Offence::DescriptorsUnowned,
        commit: |peer| {
            peer.send_descriptors(7, &[pipe()]);
            peer.send_descriptors(8, &[pipe()]);
            let attached = Attached { descriptors: 1, packet: 8, ..Attached::default() };
            peer.send(peer.slot("inbox"), &attached, b"");
        },
    },
    Act {
        name: "descriptors no frame owns",
        offence: Offence::DescriptorsUnowned,
        commit: |peer| {
            let fd = [pipe()];
            for number in 0..=limits::DESCRIPTORS_WAITING as u32 {
                peer.send_descriptors(number, &fd);
            }
        },
    },
    Act {
        name: "a packet of an odd length",
        offence: Offence::PacketMalformed,
        commit: |peer| peer.socket.send(b"xyz", &[]).unwrap(),
    },
    Act {
        name: "a bell with a descriptor",
        offence: Offence::PacketMalformed,
        commit: |peer| {
            use std::os::fd::AsFd;
            peer.socket.send(&[0], &[pipe().as_fd()]).unwrap();
        },
    },
    Act {
        name: "an endless packet",
        offence: Offence::PacketMalformed,
        commit: |peer| peer.socket.send(&[b'd'; 4096], &[]).unwrap(),
    },
    Act {
        name: "a body that is not sealed",
        offence: Offence::BodyMalformed,
        commit: |peer| body_in(peer, unsealed(5000), 5000),
    },
    Act {
        name: "a body of another size",
        offence: Offence::BodyMalformed,
        commit: |peer| body_in(peer, sealed(&[1; 5000]), 5001),
    },
    Act {
        name: "a body that is a pipe",
        offence: Offence::BodyMalformed,
        commit: |peer| body_in(peer, pipe(), 5000),
    },
    Act {
        name: "a body with holes",
        offence: Offence::BodyMalformed,
        commit: |peer| body_in(peer, holes(1 << 20), 1 << 20),
    },
    Act {
        name: "an answer to a claim nobody made",
        offence: Offence::AnswerUnasked,
        commit: |peer| peer.say(Header::new(Kind::Refused, NOWHERE), &SOMEBODY.encode()),
    },
    Act {
        name: "a right nobody claimed",
        offence: Offence::AnswerUnasked,
        commit: |peer| peer.say(Header::new(Kind::Joined, OWN), &SOMEBODY.encode()),
    },
    Act {
        name: "questions without end",
        offence: Offence::QuestionsExceeded,
        commit: |peer| {
            for _ in 0..8000 {
                peer.say(Header::new(Kind::Status, peer.slot("inbox")), &[]);
            }
        },
    },
    Act {
        name: "a ticket used twice",
        offence: Offence::TicketReused,
        commit: |peer| (0..2).for_each(|_| give(peer, peer.slot("inbox"), 5)),
    },
    Act {
        name: "a promise given on a used ticket",
        offence: Offence::TicketReused,
        commit: |peer| {
            give(peer, peer.slot("inbox"), 5);
            let header = Header { tag: 5, ..Header::new(Kind::Give, peer.slot("once")) };
            peer.say(Header { flags: flag::ONCE, ..header }, &SOMEBODY.encode());
        },
    },
    Act {
        name: "a board too many",
        offence: Offence::BoardOrder,
        commit: |peer| {
            for number in 1..limits::BOARDS {
                let (_, fd) = peer.own.add_board().unwrap();
                board_in(peer, number - 1, fd);
            }
            board_in(peer, limits::BOARDS - 1, pipe());
        },
    },
    Act {
        name: "a board that is a pipe",
        offence: Offence::MemoryKind,
        commit: |peer| board_in(peer, 0, pipe()),
    },
    Act {
        name: "a board that is not sealed",
        offence: Offence::SealMissing,
        commit: |peer| board_in(peer, 0, unsealed(abi::page::BOARD_BYTES)),
    },
    Act {
        name: "a board of another size",
        offence: Offence::MemorySize,
        commit: |peer| {
            let (_, _, fd) = shm::OwnPage::create(LANE).unwrap();
            board_in(peer, 0, fd);
        },
    },
    Act {
        name: "a board with holes",
        offence: Offence::MemoryHoles,
        commit: |peer| board_in(peer, 0, holes(abi::page::BOARD_BYTES)),
    },
    Act {
        name: "a name that is none",
        offence: Offence::Name(NameError::Control),
        commit: |peer| named(peer, b"a\nb"),
    },
];
