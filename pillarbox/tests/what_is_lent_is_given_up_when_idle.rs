//! The memory of an arena is used again as what lay there is returned, is given up when
//! it is used no more, by both ends, and is there again when it is needed again.

mod family;

use abi::limits::{CHUNK_BYTES, INLINE_BYTES};
use family::linked::give;
use family::{long, settled};
use pillarbox::{Capacity, Message, Task};

/// A body in which no page is like another.
fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut random = family::Random::new(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Mappings of memory that is passed about.
fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("memfd:")).count()
}

#[test]
fn its_memory_is_used_again_and_given_up() {
    let none = mappings();
    let (owner, sender) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(4));
    let post = give(&owner, &sender, inbox.make_send().unwrap());
    let before = mappings();
    let mut most = before;
    let lengths = [INLINE_BYTES + 1, 64 * 1024, 100_000, 1 << 20, INLINE_BYTES + 4096];
    for round in 0..200 {
        let length = lengths[round % lengths.len()];
        let sent = body(length, round as u64);
        post.send(Message::new(sent.clone()), long()).unwrap();
        let came = inbox.receive(long()).unwrap();
        assert!(came.body() == sent, "{length} bytes in round {round}");
        assert!(came.body() == sent, "looked at twice");
        most = most.max(mappings());
    }
    // Each end maps it once, however much goes through it.
    assert!((before + 1..=before + 4).contains(&most), "{most} mappings, {before} before");
    settled(mappings, |now| *now == before);
    // And is there again when it is needed again.
    let sent = body(CHUNK_BYTES, 7);
    post.send(Message::new(sent.clone()), long()).unwrap();
    assert!(inbox.receive(long()).unwrap().into_body() == sent);
    settled(mappings, |now| *now == before);
    drop((post, inbox));
    sender.close();
    owner.close();
    drop((sender, owner));
    settled(mappings, |now| *now <= none);
}
