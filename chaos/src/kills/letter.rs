//! What lies in the messages the tasks exchange.
//!
//! A letter says everything a receiver needs to know that it is the right one,
//! whole, in its place, and with the rights it was sent with.

use super::readings;

/// Which port: the life that made it, and a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PortId(pub(crate) u64);

impl PortId {
    /// Of a number: it is a right on terms to a port that is fixed.
    pub(crate) const FACET: u32 = 1 << 23;
    /// Of a facet: its messages are used up some time, or its time is over.
    pub(crate) const LIMITED: u32 = 1 << 22;
    /// Of a port: it stays with its task.
    pub(crate) const FIXED: u32 = 1 << 21;
    /// Of a port: it drops what is too much.
    pub(crate) const DROPPING: u32 = 1 << 20;

    /// Of a port: several read it, as the lowest bits say.
    pub(crate) const SHARED: u32 = 1 << 19;

    /// The mailbox of this sort that a life owns.
    pub(super) const fn shared(life: u32, sort: readings::Sort) -> Self {
        PortId::new(life, Self::FIXED | Self::SHARED | sort as u32)
    }

    pub(crate) const fn new(life: u32, number: u32) -> Self {
        PortId((life as u64) << 24 | number as u64 & 0xff_ffff)
    }

    pub(crate) const fn life(self) -> u32 {
        (self.0 >> 24) as u32
    }

    /// The first port of a life: it never goes to another task.
    pub(crate) const fn is_main(self) -> bool {
        self.0 & 0xff_ffff == 0
    }

    pub(crate) const fn is_facet(self) -> bool {
        self.0 as u32 & Self::FACET != 0
    }

    pub(crate) const fn is_limited(self) -> bool {
        self.is_facet() && self.0 as u32 & Self::LIMITED != 0
    }

    pub(crate) const fn is_fixed(self) -> bool {
        self.0 as u32 & (Self::FIXED | Self::DROPPING) != 0 || self.is_facet() || self.is_main()
    }

    pub(crate) const fn is_dropping(self) -> bool {
        !self.is_facet() && self.0 as u32 & Self::DROPPING != 0
    }
}

/// A thread of a life, and a priority: what it sends with that to one port comes in
/// the order sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stream(pub(crate) u64);

impl Stream {
    pub(crate) const fn new(life: u32, thread: u8) -> Self {
        Stream((life as u64) << 8 | thread as u64)
    }

    pub(crate) const fn life(self) -> u32 {
        (self.0 >> 8) as u32
    }

    /// What the thread sends with this priority, of sixteen.
    pub(crate) const fn with_priority(self, priority: u16) -> Self {
        Stream(self.0 | (priority as u64 & 15) << 4)
    }

    pub(crate) const fn priority(self) -> u16 {
        (self.0 >> 4 & 15) as u16
    }
}

/// What a letter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A worker is there.
    Hello = 1,
    /// Rights, a body, or nothing.
    Plain = 2,
    /// It wants an answer.
    Request = 3,
    /// It is one, to a request or a promise.
    Answer = 4,
    /// The run is over.
    Rest = 5,
    /// Rights to read mailboxes.
    Readers = 6,
}

/// A right in a letter: to a port, the port itself, or the one answer with this
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Send(PortId),
    Receive(PortId),
    Once(u64),
}

const ONCE: u64 = 1 << 63;
const RECEIVE: u64 = 1 << 62;

impl Named {
    const fn encode(self) -> u64 {
        match self {
            Named::Send(port) => port.0,
            Named::Receive(port) => port.0 | RECEIVE,
            Named::Once(number) => number | ONCE,
        }
    }

    const fn decode(word: u64) -> Self {
        match (word & ONCE != 0, word & RECEIVE != 0) {
            (true, _) => Named::Once(word & !ONCE),
            (false, true) => Named::Receive(PortId(word & !RECEIVE)),
            (false, false) => Named::Send(PortId(word)),
        }
    }
}

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) sort: Sort,
    pub(crate) from: Stream,
    pub(crate) pid: u32,
    pub(crate) to: PortId,
    /// Counts what the stream sent to the port; zero where nothing is counted.
    pub(crate) number: u64,
    /// What an answer must say again.
    pub(crate) nonce: u64,
    pub(crate) rights: Vec<Named>,
    /// What a port brings along that goes to another task.
    pub(crate) baggage: Vec<u64>,
    /// Bytes behind all this.
    pub(crate) fill: u32,
}

const HEAD: usize = 56;

impl Letter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = self.rights.len() + self.baggage.len();
        let mut bytes = Vec::with_capacity(HEAD + count * 8 + self.fill as usize);
        let words = [
            self.sort as u64,
            self.from.0,
            u64::from(self.pid),
            self.to.0,
            self.number,
            self.nonce,
            (self.baggage.len() as u64) << 48
                | (self.rights.len() as u64) << 32
                | u64::from(self.fill),
        ];
        let rights = self.rights.iter().map(|right| right.encode());
        for word in words.into_iter().chain(rights).chain(self.baggage.iter().copied()) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend((0..self.fill).map(|at| filler(self.nonce, at)));
        bytes
    }

    /// Reads a letter; `None` where a byte of it is wrong.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Letter> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let sort = match word(0)? {
            1 => Sort::Hello,
            2 => Sort::Plain,
            3 => Sort::Request,
            4 => Sort::Answer,
            5 => Sort::Rest,
            6 => Sort::Readers,
            _ => return None,
        };
        let sizes = word(48)?;
        let (count, fill) = ((sizes >> 32) as usize & 0xffff, sizes as u32);
        let all = count + (sizes >> 48) as usize;
        let words: Option<Vec<u64>> = (0..all).map(|at| word(HEAD + at * 8)).collect();
        let (rights, baggage) = words.as_deref()?.split_at_checked(count)?;
        let letter = Letter {
            sort,
            from: Stream(word(8)?),
            pid: u32::try_from(word(16)?).ok()?,
            to: PortId(word(24)?),
            number: word(32)?,
            nonce: word(40)?,
            rights: rights.iter().copied().map(Named::decode).collect(),
            baggage: baggage.to_vec(),
            fill,
        };
        let behind = bytes.get(HEAD + all * 8..)?;
        let whole = behind.len() == fill as usize
            && behind.iter().zip(0..).all(|(byte, at)| *byte == filler(letter.nonce, at));
        whole.then_some(letter)
    }
}

fn filler(nonce: u64, at: u32) -> u8 {
    (nonce as u8).wrapping_add((at % 251) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            sort: Sort::Request,
            from: Stream::new(7, 2),
            pid: 99,
            to: PortId::new(3, 4),
            number: 5,
            nonce: 77,
            rights: vec![
                Named::Send(PortId::new(1, 2)),
                Named::Once(9),
                Named::Receive(PortId::new(8, 1)),
            ],
            baggage: vec![1, u64::MAX],
            fill: 600,
        }
    }

    #[test]
    fn a_letter_comes_back() {
        assert_eq!(Letter::decode(&letter().encode()), Some(letter()));
        assert_eq!((letter().to.life(), letter().from.life()), (3, 7));
    }

    #[test]
    fn a_wrong_byte_is_seen() {
        let bytes = letter().encode();
        assert_eq!(Letter::decode(&bytes[..bytes.len() - 1]), None);
        let mut wrong = bytes;
        wrong[300] ^= 1;
        assert_eq!(Letter::decode(&wrong), None);
        assert_eq!(Letter::decode(&[]), None);
    }
}
