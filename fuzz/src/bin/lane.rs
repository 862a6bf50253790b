//! Fuzzes the counting of a lane, both ends, without a task around it.
//!
//! A reader whose writer announces any head over any bytes, and a writer whose
//! reader announces any tail: nothing outside the lane is touched, nothing is
//! read twice, and a frame that is returned lies whole within what was shown.
#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use abi::Slot;
use abi::frame::{HEADER_BYTES, Header, Kind};
use libfuzzer_sys::fuzz_target;
use shm::ring::{Emptier, Filler};

const SIZE: u32 = 1024;

fuzz_target!(|data: &[u8]| {
    let Some((choices, bytes)) = data.split_first_chunk::<16>() else { return };
    read(choices, bytes);
    write(choices);
});

fn read(heads: &[u8; 16], bytes: &[u8]) {
    let lane: Vec<AtomicU64> = (0..SIZE as usize / 8)
        .map(|at| {
            let word = bytes.get(at * 8..).and_then(|rest| rest.first_chunk());
            AtomicU64::new(word.map_or(0, |word| u64::from_le_bytes(*word)))
        })
        .collect();
    let mut emptier = Emptier::new(SIZE);
    let mut head = 0u64;
    for step in heads {
        // Mostly forward by some words, now and then anywhere.
        head = match step {
            255 => head.wrapping_sub(8),
            250..255 => head.wrapping_add(u64::from(*step) << 8),
            _ => head.wrapping_add(u64::from(*step) * 8),
        };
        loop {
            let before = emptier.position();
            let Ok(next) = emptier.next(&lane, || head) else { return };
            let Some(header) = next else { break };
            let mut body = vec![0; header.length as usize - HEADER_BYTES];
            let copied = emptier.copy(&lane, 0, &mut body);
            assert_eq!(copied, body.len(), "a frame lies whole in the lane");
            emptier.finish(&header);
            assert!(emptier.position() > before, "no frame is read twice");
            assert!(emptier.position() <= head, "nothing beyond the head");
        }
    }
}

fn write(tails: &[u8; 16]) {
    let lane: Vec<AtomicU64> = (0..SIZE / 8).map(|_| AtomicU64::new(0)).collect();
    let (head, tail) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut filler = Filler::new(SIZE);
    for step in tails {
        let length = HEADER_BYTES + usize::from(*step);
        let slot = Slot { index: 1, generation: 1 };
        let header = Header { length: length as u32, ..Header::new(Kind::Message, slot) };
        let body = vec![*step; usize::from(*step)];
        let look = || tail.load(Ordering::Relaxed);
        let before = filler.position();
        match filler.write(&lane, &head, &header, &[&body], 0, look) {
            Ok(()) => assert!(filler.position() > before),
            Err(shm::WriteError::Offence(_)) => return,
            Err(_) => {}
        }
        filler.publish(&head);
        assert_eq!(head.load(Ordering::Relaxed), filler.position());
        tail.store(filler.position().wrapping_sub(u64::from(*step & 15) * 8), Ordering::Relaxed);
    }
}
