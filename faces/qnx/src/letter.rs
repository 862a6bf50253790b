//! A request, a reply and a pulse as the library carries them.
//!
//! A request is a call whose body is the caller's bytes, with room for a reply of as
//! many as the caller has room for.
//!
//! | of         | id          | tag                                             |
//! |------------|-------------|-------------------------------------------------|
//! | a request  | connection  | server's number for the client, thread, request |
//! | a reply    | 0, or 1 for an error | the status, or the error               |
//! | a pulse    | code, server's number for the client | its value              |
//!
//! What another task wrote is an allegation. A request whose sender is not the client it
//! names is no request.

use pillarbox::Message;

use crate::codes::Errno;

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

/// Who sent a request, and which of its requests it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct From {
    /// The server's number for the client.
    pub(crate) scoid: u16,
    /// The client's thread.
    pub(crate) thread: u16,
    /// The number of the request.
    pub(crate) request: u32,
}

impl From {
    pub(crate) fn tag(self) -> u64 {
        u64::from(self.scoid) << 48 | u64::from(self.thread) << 32 | u64::from(self.request)
    }

    pub(crate) fn of(tag: u64) -> Self {
        From { scoid: (tag >> 48) as u16, thread: (tag >> 32) as u16, request: tag as u32 }
    }
}

/// What a request ends in at the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The status that the server replied with.
    Status(i64),
    /// The server passed an error.
    Error(i32),
}

const ERROR: i32 = 1;

impl Outcome {
    /// A reply that says so.
    pub(crate) fn with_body(self, body: Vec<u8>) -> Message {
        match self {
            Outcome::Status(status) => Message::new(body).with_tag(status as u64),
            Outcome::Error(error) => {
                Message::new(Vec::new()).with_id(ERROR).with_tag(u64::from(error as u32))
            }
        }
    }

    pub(crate) fn of(reply: &Message) -> Self {
        match reply.id() {
            ERROR => Outcome::Error(reply.tag() as i32),
            _ => Outcome::Status(reply.tag() as i64),
        }
    }
}

/// What is in the id of a pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PulseId {
    pub(crate) code: i8,
    /// The server's number for the client.
    pub(crate) scoid: u16,
    /// It is for who receives, and no pulse: the channel has ended.
    pub(crate) ends: bool,
}

impl PulseId {
    pub(crate) const ENDS: PulseId = PulseId { code: 0, scoid: 0, ends: true };

    pub(crate) fn new(code: i8, scoid: u16) -> Self {
        PulseId { code, scoid, ends: false }
    }

    pub(crate) fn id(self) -> i32 {
        i32::from(self.code as u8) | i32::from(self.scoid) << 8 | i32::from(self.ends) << 24
    }

    pub(crate) fn of(id: i32) -> Self {
        PulseId { code: id as u8 as i8, scoid: (id >> 8) as u16, ends: id & 1 << 24 != 0 }
    }
}

/// What is told of a message: `struct _msg_info`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Info {
    pub(crate) pid: i32,
    pub(crate) thread: u16,
    pub(crate) chid: i32,
    pub(crate) scoid: u16,
    pub(crate) coid: i32,
    pub(crate) priority: u16,
    pub(crate) flags: u16,
    /// Bytes that were received at first, that were sent, and that there is room for.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) room: u64,
}

impl Info {
    pub(crate) fn bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let words = [0, 0, self.pid, i32::from(self.thread), self.chid];
        let words =
            words.into_iter().chain([crate::codes::SCOID | i32::from(self.scoid), self.coid]);
        let halves = [self.priority, self.flags];
        let longs = [self.received, self.sent, self.room];
        let all = words
            .flat_map(i32::to_ne_bytes)
            .chain(halves.into_iter().flat_map(u16::to_ne_bytes))
            .chain(longs.into_iter().flat_map(u64::to_ne_bytes));
        bytes.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
        bytes
    }
}

/// A pulse as it is received: `struct _pulse`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PulseIn {
    pub(crate) id: PulseId,
    pub(crate) value: u64,
    pub(crate) priority: u16,
    /// The process that sent it.
    pub(crate) pid: i32,
}

impl PulseIn {
    /// Bytes of a pulse.
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let scoid = crate::codes::SCOID | i32::from(self.id.scoid);
        let front = [0, 0, 0, 0, self.id.code as u8, 0, 0, 0].into_iter();
        let all = front.chain(self.value.to_ne_bytes()).chain(scoid.to_ne_bytes());
        bytes.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
        bytes
    }
}

/// What a clerk answers, and the other way: an error first, then numbers.
pub(crate) fn answered(answer: &Message) -> Result<(), Errno> {
    match word(answer.body(), 0) as i32 {
        0 => Ok(()),
        error => Err(Errno(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_numbers_comes_out() {
        for (scoid, thread, request) in [(1, 1, 0), (0xffff, 0xffff, u32::MAX), (7, 0, 9)] {
            let from = From { scoid, thread, request };
            assert_eq!(From::of(from.tag()), from);
        }
        for code in [i8::MIN, -35, 0, 127] {
            for id in [PulseId::new(code, 0xffff), PulseId { code, scoid: 1, ends: true }] {
                assert_eq!(PulseId::of(id.id()), id);
            }
        }
        for outcome in [Outcome::Status(-1), Outcome::Status(i64::MAX), Outcome::Error(-1)] {
            assert_eq!(Outcome::of(&outcome.with_body(Vec::new())), outcome);
        }
    }

    #[test]
    fn layouts_are_those_of_the_headers() {
        let info = Info { pid: 9, priority: 10, flags: 0x1000, room: 5, ..Info::default() };
        let bytes = info.bytes();
        assert_eq!((word(&bytes, 8), word(&bytes, 20)), (9, 0x1_0000));
        assert_eq!((word(&bytes, 28), long(&bytes, 48)), (10 | 0x1000 << 16, 5));
        let id = PulseId::new(-33, 2);
        let bytes = PulseIn { id, value: 77, priority: 1, pid: 2 }.bytes();
        assert_eq!((bytes[4] as i8, long(&bytes, 8), word(&bytes, 16)), (-33, 77, 0x1_0002));
    }
}
