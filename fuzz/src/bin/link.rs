//! Fuzzes a whole link: the frames of its lane, at a real task.
//!
//! Messages, releases, gives, claims, questions: whatever the bytes, the task
//! reads them or ends the link, in time, and does not panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_fuzz::memory::{Memory, attack};

fuzz_target!(|data: &[u8]| {
    let mut memory = Memory::default();
    memory.fill(data);
    attack(&memory, &[]);
});
