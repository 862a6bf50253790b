//! The fuzzer's bytes, as one choice after the other.

use abi::bag::{Passport, armed};
use abi::limits;

/// Bytes that are read once; when they are used up, all further ones are zero.
#[derive(Clone, Debug)]
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// The next bytes, fewer at the end.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A number such as somebody writes who wants to be believed, or not.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..192 => u64::from(small & 15),
            192..224 => u64::MAX,
            224..240 => 1 << (self.byte() & 63),
            _ => {
                let mut word = [0; 8];
                for (place, byte) in word.iter_mut().zip(self.bytes(8)) {
                    *place = *byte;
                }
                u64::from_le_bytes(word)
            }
        }
    }

    /// What a port may have been, or not.
    pub fn passport(&mut self) -> Passport {
        let choice = self.byte();
        let odd = if choice & 0x80 == 0 { 0 } else { self.byte() };
        let most = u64::from(limits::CAPACITY_MESSAGES);
        Passport {
            capacity: [8, 0, 1, u64::MAX, 64, most, most + 1, 2][usize::from(choice & 7)],
            pulses: [4, 0, limits::PULSES_MAX, limits::PULSES_MAX + 1][usize::from(odd >> 6)],
            by_priority: choice & 8 != 0,
            merge_pulses: choice & 16 != 0,
            overflow: if odd & 32 == 0 { choice >> 5 & 1 } else { odd & 3 },
            armed: if odd & 16 == 0 { 0 } else { odd & armed::ALL },
            promises: [0, 2, limits::MOVED_PROMISES, u64::MAX][usize::from(odd >> 2 & 3)],
            made: u64::from(odd),
            dropped: u64::from(choice),
            birth: u64::from(choice & 64),
        }
    }
}
