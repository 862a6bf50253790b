//! How and when the last messages of each stream were sent: what is told of one that
//! is lost.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::letter::{PortId, Stream};

/// How many of a stream are remembered.
const LAST: usize = 64;

/// How a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Waiting,
    AtOnce,
    Future,
    Call,
    Pulse,
    Left,
}

const ALL: [How; 6] = [How::Waiting, How::AtOnce, How::Future, How::Call, How::Pulse, How::Left];

impl How {
    /// A record's number of a message, and how it was sent.
    pub(super) const fn with(self, number: u64) -> u64 {
        (self as u64 + 1) << 32 | number
    }

    /// What such a number says.
    pub(super) fn read(word: u64) -> (u64, Option<How>) {
        let how = (word >> 32).checked_sub(1).and_then(|how| ALL.get(how as usize));
        (word & 0xffff_ffff, how.copied())
    }
}

/// One that was accepted.
#[derive(Clone, Copy)]
struct Sent {
    number: u64,
    how: Option<How>,
    time_ns: u64,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} by {:?} at {}", self.number, self.how, self.time_ns)
    }
}

/// The last messages to each port that has not ended.
#[derive(Debug, Default)]
pub(super) struct Sends {
    last: HashMap<PortId, HashMap<Stream, VecDeque<Sent>>>,
    unheard: HashMap<PortId, Vec<(Stream, u64)>>,
}

impl Sends {
    /// One was accepted. Returns its number.
    pub(super) fn sent(&mut self, port: PortId, stream: Stream, word: u64, time_ns: u64) -> u64 {
        let (number, how) = How::read(word);
        let last = self.last.entry(port).or_default().entry(stream).or_default();
        if last.len() == LAST {
            let _ = last.pop_front();
        }
        last.push_back(Sent { number, how, time_ns });
        number
    }

    /// One was taken by a worker that did not know its port any more.
    pub(super) fn unheard(&mut self, port: PortId, stream: Stream, number: u64) {
        self.unheard.entry(port).or_default().push((stream, number));
    }

    /// The port has ended, and was judged.
    pub(super) fn forget(&mut self, port: PortId) {
        self.last.remove(&port);
        self.unheard.remove(&port);
    }

    /// What is known of so many messages from this one on.
    pub(super) fn tell(&self, port: PortId, stream: Stream, first: u64, count: u64) -> String {
        let missing = first..first + count;
        let last = self.last.get(&port).and_then(|streams| streams.get(&stream));
        let sent: Vec<_> =
            last.into_iter().flatten().filter(|one| missing.contains(&one.number)).collect();
        let unheard = self.unheard.get(&port).into_iter().flatten();
        let unheard: Vec<_> = unheard
            .filter(|(from, number)| *from == stream && missing.contains(number))
            .map(|(_, number)| number)
            .collect();
        let thread = stream.0 & 15;
        format!(
            "of its thread {thread}: {sent:?}, of them thrown away by the receiver: {unheard:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: PortId = PortId::new(1, 1);
    const FROM: Stream = Stream::new(2, 1);

    #[test]
    fn it_is_told_how_a_lost_one_was_sent() {
        let mut sends = Sends::default();
        assert_eq!(sends.sent(PORT, FROM, How::Waiting.with(6), 70), 6);
        assert_eq!(sends.sent(PORT, FROM, How::Left.with(7), 71), 7);
        sends.unheard(PORT, FROM, 7);
        let told = sends.tell(PORT, FROM, 7, 1);
        assert!(told.contains("number 7 by Some(Left) at 71") && told.ends_with("[7]"));
        assert!(!told.contains("Waiting"), "{told}");
        sends.forget(PORT);
        assert!(!sends.tell(PORT, FROM, 7, 1).contains("Left"));
    }

    #[test]
    fn each_way_to_send_is_read_again() {
        for how in ALL {
            assert_eq!(How::read(how.with(9)), (9, Some(how)));
        }
        assert_eq!(How::read(9), (9, None));
    }
}
