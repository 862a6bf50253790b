//! A message of this face as the library carries it, and back.
//!
//! The body is what stands behind the header in the sender's buffer: with
//! descriptors, their count and they first. In descriptors the names are replaced: 1
//! where a right travels with the message, in their order; 0 and all ones where none
//! does. Memory and arrays of rights lie one behind the other in one region.
//!
//! | bits of the tag | say                                                 |
//! |-----------------|-----------------------------------------------------|
//! | 40..64          | `Mac`: that it is a message of this face            |
//! | 32..40          | flags, below                                        |
//! | 0..32           | the fifth word of the header, which nobody looks at |
//!
//! What another task wrote is an allegation: a body that does not add up is
//! delivered as plain bytes, without rights.

use pillarbox::Message;

use crate::codes::notify;
use crate::names::Name;

/// What the tag of what this face sends begins with: `Mac`.
const TAG: u64 = 0x4d_6163;

/// It has descriptors.
pub(crate) const COMPLEX: u32 = 1;
/// It was sent on a send-once right.
pub(crate) const ONCE: u32 = 2;
/// The first of its rights is the reply right.
pub(crate) const REPLY: u32 = 4;
/// The reply right was dead.
pub(crate) const REPLY_DEAD: u32 = 8;
/// The dead reply right was to be a send-once right.
pub(crate) const REPLY_ONCE: u32 = 0x10;
/// It is news of the sender's own task.
pub(crate) const NEWS: u32 = 0x20;

/// What stands for a right that travels.
pub(crate) const TRAVELS: Name = 1;

/// How the bytes of numbers lie in messages of interfaces, as each says.
const NDR: [u8; 8] = [0, 0, 0, 0, cfg!(target_endian = "little") as u8, 0, 0, 0];

/// A number of four bytes.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, u32::from_ne_bytes)
}

/// A number of eight bytes.
pub(crate) fn long(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok());
    eight.map_or(0, u64::from_ne_bytes)
}

/// Writes bytes, where there is room for all of them.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(to) = bytes.get_mut(at..at + value.len()) {
        to.copy_from_slice(value);
    }
}

/// A message of this face.
pub(crate) fn seal(flags: u32, voucher: u32, inline: &[u8], id: i32) -> Message {
    let tag = TAG << 40 | u64::from(flags & 0xff) << 32 | u64::from(voucher);
    Message::new(inline).with_id(id).with_tag(tag)
}

/// Its flags and the word nobody looks at, if it is one.
pub(crate) fn open(message: &Message) -> Option<(u32, u32, &[u8])> {
    let tag = message.tag();
    if tag >> 40 != TAG || message.notification().is_some() {
        return None;
    }
    Some(((tag >> 32) as u32 & 0xff, tag as u32, message.body()))
}

/// The news that something became of a name.
pub(crate) fn notification(id: i32, name: Option<Name>) -> Message {
    let inline = notification_bytes(id, name.unwrap_or_default());
    seal(ONCE | NEWS, 0, &inline, id)
}

/// What stands behind the header in a notification.
pub(crate) fn notification_bytes(id: i32, number: u32) -> Vec<u8> {
    if id == notify::SEND_ONCE {
        return Vec::new();
    }
    let mut bytes = NDR.to_vec();
    bytes.extend_from_slice(&number.to_ne_bytes());
    bytes
}

/// A descriptor, by where it lies behind the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descriptor {
    Port { at: usize, name: Name, how: u8 },
    Memory { at: usize, address: u64, size: u32, deallocate: bool, copy: u8 },
    Ports { at: usize, address: u64, count: u32, deallocate: bool, how: u8 },
    Guarded { at: usize, context: u64, flags: u16, name: Name, how: u8 },
}

/// The descriptors of a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) descriptors: Vec<Descriptor>,
    /// One is of no kind there is; what comes after it is not known.
    pub(crate) strange: bool,
}

/// Reads the descriptors. `None` where they do not fit in.
pub(crate) fn walk(inline: &[u8]) -> Option<Walk> {
    let mut walk = Walk::default();
    let count = word(inline.get(..4)?, 0) as usize;
    let smallest = count.checked_mul(12)?.checked_add(4)?;
    if smallest > inline.len() {
        return None;
    }
    let mut at = 4;
    for _ in 0..count {
        let kind = *inline.get(at + 11)?;
        if kind > 4 {
            walk.strange = true;
            return Some(walk);
        }
        let size = if kind == 0 { 12 } else { 16 };
        let it = inline.get(at..at + size)?;
        let (how, deallocate) = (*it.get(10)?, *it.get(8)? != 0);
        walk.descriptors.push(match kind {
            0 => Descriptor::Port { at, name: word(it, 0), how },
            1 | 3 => {
                let (address, copy) = (long(it, 0), *it.get(9)?);
                Descriptor::Memory { at, address, size: word(it, 12), deallocate, copy }
            }
            2 => {
                Descriptor::Ports { at, address: long(it, 0), count: word(it, 12), deallocate, how }
            }
            _ => {
                let flags = u16::from_ne_bytes([*it.get(8)?, *it.get(9)?]);
                Descriptor::Guarded { at, context: long(it, 0), flags, name: word(it, 12), how }
            }
        });
        at += size;
    }
    Some(walk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(count: u32, descriptors: &[&[u8]]) -> Vec<u8> {
        let mut bytes = count.to_ne_bytes().to_vec();
        descriptors.iter().for_each(|one| bytes.extend_from_slice(one));
        bytes
    }

    const PORT: [u8; 12] = [3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0];
    const MEMORY: [u8; 16] = [0, 16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 5, 0, 0, 0];

    #[test]
    fn descriptors_are_found_by_the_type_of_each() {
        let walk = walk(&body(2, &[&MEMORY, &PORT])).unwrap();
        let memory =
            Descriptor::Memory { at: 4, address: 0x1000, size: 5, deallocate: true, copy: 0 };
        assert_eq!(walk.descriptors, [memory, Descriptor::Port { at: 20, name: 0x103, how: 19 }]);
        assert!(!walk.strange);
    }

    #[test]
    fn descriptors_that_run_past_the_end_are_none() {
        for (count, bytes) in [(1, &[][..]), (2, &[&PORT[..]][..]), (u32::MAX, &[&PORT[..]][..])] {
            assert_eq!(walk(&body(count, bytes)), None);
        }
        // Its kind says that it is longer.
        assert_eq!(walk(&body(1, &[&MEMORY[..12]])), None);
        assert_eq!(walk(&[]), None);
    }

    #[test]
    fn a_descriptor_of_no_kind_ends_the_walk() {
        let mut strange = MEMORY;
        strange[11] = 9;
        let walk = walk(&body(2, &[&strange, &PORT])).unwrap();
        assert!(walk.strange && walk.descriptors.is_empty());
    }

    #[test]
    fn any_bytes_are_walked_without_harm() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let length = (state >> 33) as usize % 80;
            let mut bytes: Vec<u8> = Vec::new();
            for _ in 0..length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                bytes.push((state >> 60) as u8);
            }
            if let Some(walk) = walk(&bytes) {
                assert!(walk.descriptors.len() * 12 <= bytes.len());
            }
        }
    }

    #[test]
    fn what_is_sealed_opens_again() {
        let message = seal(COMPLEX, 7, b"body", 3);
        assert_eq!(open(&message), Some((COMPLEX, 7, &b"body"[..])));
        assert_eq!(open(&Message::new("from elsewhere")), None);
        let news = notification(notify::DEAD_NAME, Some(0x103));
        let (flags, _, inline) = open(&news).unwrap();
        assert_eq!((flags, inline.len(), word(inline, 8)), (ONCE | NEWS, 12, 0x103));
    }
}
