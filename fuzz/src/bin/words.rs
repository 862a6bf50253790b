//! Fuzzes the words of a page: how far, how much, asleep or not, and what its
//! board says of each slot; then a few frames that make the task look there.
//!
//! A word is two bytes that say where and eight that say what.
#![no_main]

use abi::page::LANE_AT;
use libfuzzer_sys::fuzz_target;
use pillarbox_fuzz::memory::{Memory, attack};

fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else { return };
    let (words, lane) = rest.split_at(rest.len().min(usize::from(count % 16) * 10));
    let mut memory = Memory::default();
    memory.fill(lane);
    for word in words.as_chunks::<10>().0 {
        let [one, two, value @ ..] = word;
        let at = usize::from(u16::from_le_bytes([*one, *two])) % LANE_AT;
        memory.set(at & !7, u64::from_le_bytes(*value));
    }
    attack(&memory, &[]);
});
