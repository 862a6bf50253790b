//! The vectors in docs/wire.md are what the code writes, and the code reads them
//! back.

use abi::board::{Life, State};
use abi::frame::{Attached, Header, Kind, PortStatus};
use abi::hello::{Hello, Purpose, Refusal};
use abi::page::Sleep;
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket, limits};

const BOOK: &str = include_str!("../../docs/wire.md");

/// The vector `name` in the book: a fenced block `golden NAME` of hex digits.
fn golden(name: &str) -> Vec<u8> {
    let fence = format!("```golden {name}\n");
    let start = BOOK.find(&fence).unwrap_or_else(|| panic!("no vector {name} in the book"));
    let rest = &BOOK[start + fence.len()..];
    let digits: Vec<u8> = rest[..rest.find("```").expect("a closed fence")]
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|digit| (digit as char).to_digit(16).expect("a hex digit") as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn show(name: &str, bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    format!("```golden {name}\n{}\n```", hex.join("\n"))
}

fn same(name: &str, made: &[u8]) {
    assert_eq!(golden(name), made, "the book should say:\n{}", show(name, made));
}

const SLOT: Slot = Slot { index: 7, generation: 3 };
const OWNER: TaskId = TaskId { process: 0x1122_3344_5566, number: 1 };

fn third() -> RightRef {
    let address = Address::new(b"00af3").expect("a short name");
    RightRef::Third { kind: RightKind::Send, owner: OWNER, address, ticket: Ticket(9) }
}

fn attached() -> Attached {
    Attached {
        reply: Some(RightRef::Mine(RightKind::SendOnce, Slot { index: 200, generation: 1 })),
        accepted: None,
        rights: vec![RightRef::Yours(RightKind::Send, SLOT), third()],
        descriptors: 2,
        packet: 5,
        region: 65_536,
        lent: None,
        regions: Vec::new(),
    }
}

#[test]
fn a_plain_message_is_as_the_book_says() {
    let header = Header {
        length: 37,
        priority: 2,
        id: -1,
        tag: 0x0102_0304_0506_0708,
        ..Header::new(Kind::Message, SLOT)
    };
    let mut frame = header.encode().to_vec();
    frame.extend_from_slice(b"hello");
    same("message", &frame);
    let bytes = golden("message");
    let front: [u8; 32] = bytes[..32].try_into().expect("a header");
    assert_eq!(Header::decode(&front), Ok(header));
    assert_eq!(&bytes[32..], b"hello");
}

#[test]
fn a_message_with_rights_is_as_the_book_says() {
    let mut extra = Vec::new();
    let flags = attached().encode(&mut extra);
    same("attached", &extra);
    assert_eq!(Attached::decode(flags, &golden("attached")), Ok(attached()));
}

#[test]
fn a_pulse_is_as_the_book_says() {
    let priority = limits::PRIORITY_MAX;
    let header = Header { id: -2, tag: 42, priority, ..Header::new(Kind::Pulse, SLOT) };
    same("pulse", &header.encode());
    let bytes: [u8; 32] = golden("pulse").try_into().expect("a header");
    assert_eq!(Header::decode(&bytes), Ok(header));
}

#[test]
fn a_release_is_as_the_book_says() {
    let header = Header { tag: 2, ..Header::new(Kind::Release, SLOT) };
    same("release", &header.encode());
    let bytes: [u8; 32] = golden("release").try_into().expect("a header");
    assert_eq!(Header::decode(&bytes), Ok(header));
}

#[test]
fn a_hello_is_as_the_book_says() {
    let hello = Hello {
        features: 0,
        number: 1,
        lane_bytes: limits::LANE_BYTES,
        purpose: Purpose::Claim { giver: OWNER, ticket: Ticket(9) },
        address: Address::new(b"00af3").expect("a short name"),
    };
    same("hello", &hello.encode());
    assert_eq!(Hello::decode(&golden("hello")), Ok(hello));
}

#[test]
fn a_refusal_is_as_the_book_says() {
    let refusal = Refusal::Version(1);
    same("refusal", &refusal.encode());
    assert_eq!(Refusal::decode(&golden("refusal")), Some(refusal));
}

#[test]
fn words_are_as_the_book_says() {
    let life = Life { generation: 3, state: State::Dead };
    same("life", &life.encode().to_le_bytes());
    same("sleep", &Sleep::Bell(5).encode().to_le_bytes());
    let status = PortStatus { queued: 3, capacity: 64, senders: 2, dropped: 9 };
    same("status", &status.encode());
    assert_eq!(PortStatus::decode(&golden("status")), Ok(status));
}
