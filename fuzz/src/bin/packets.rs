//! Fuzzes what comes on the socket of a link: bells, descriptors, anything, and a
//! lane that may speak of it.
//!
//! A packet is a byte that says how long it is and how many descriptors it brings,
//! and its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_fuzz::memory::{Memory, attack};

fuzz_target!(|data: &[u8]| {
    let Some((&count, mut rest)) = data.split_first() else { return };
    let mut packets = Vec::new();
    for _ in 0..count % 8 {
        let Some((&head, behind)) = rest.split_first() else { break };
        let (bytes, more) = behind.split_at(behind.len().min(usize::from(head & 63)));
        packets.push((bytes, usize::from(head >> 6)));
        rest = more;
    }
    let mut memory = Memory::default();
    memory.fill(rest);
    attack(&memory, &packets);
});
