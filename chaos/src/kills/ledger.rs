//! What all tasks did, held against what they must have seen.
//!
//! Each life writes its own log; nobody else is believed about it. A port that
//! was closed *clean*, after the news that nobody can send to it any more, must
//! have had every message that was accepted for it. Whoever saw a death must
//! have seen it after there was one.

use std::collections::HashMap;

use super::letter::{PortId, Stream};
use crate::log::Record;

/// What a record says.
pub(crate) mod kind {
    /// Port, stream, number: that many messages were accepted.
    pub(crate) const SENT: u64 = 1;
    /// Port: it ends now.
    pub(crate) const ENDED: u64 = 2;
    /// Port: nobody can send to it any more, and all was taken.
    pub(crate) const CLEAN: u64 = 3;
    /// Port, stream, number: that many came, before [`CLEAN`].
    pub(crate) const HEARD: u64 = 4;
    /// Port: it was seen dead.
    pub(crate) const DEAD: u64 = 5;
    /// An answer will not come, since somebody died.
    pub(crate) const DIED: u64 = 6;
    /// The worker has found something that must not be, and said it.
    pub(crate) const BROKEN: u64 = 7;
    /// The worker has nothing left.
    pub(crate) const DONE: u64 = 8;
}

/// How long after a death it may still be the cause of somebody's news: a give
/// of the dead waits ten seconds for who may claim it.
const ECHO_NS: u64 = abi::limits::ORPHAN_GIVE_NS + 5_000_000_000;

/// A port that was closed clean, and what came.
#[derive(Debug)]
struct Closed {
    port: PortId,
    heard: HashMap<Stream, u64>,
}

/// Somebody saw a port dead.
#[derive(Clone, Copy, Debug)]
struct Seen {
    port: PortId,
    by: u32,
    time_ns: u64,
}

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// When a life was killed, or had nothing left.
    over: HashMap<u32, u64>,
    last_kill_ns: u64,
    ended: HashMap<PortId, u64>,
    sent: HashMap<PortId, HashMap<Stream, u64>>,
    heard: HashMap<PortId, HashMap<Stream, u64>>,
    /// Closed in this pass over the logs, and in the one before.
    closed: [Vec<Closed>; 2],
    seen: [Vec<Seen>; 2],
    broken: Vec<String>,
    /// Messages that were held against what was accepted.
    pub(crate) verified: u64,
    /// Deaths that were seen, and were.
    pub(crate) deaths: u64,
}

impl Ledger {
    /// The life is killed at this time, or a little later.
    pub(crate) fn killed(&mut self, life: u32, time_ns: u64) {
        self.over.insert(life, time_ns);
        self.last_kill_ns = self.last_kill_ns.max(time_ns);
    }

    /// Takes what `life` wrote.
    pub(crate) fn take(&mut self, life: u32, record: Record) {
        let [one, two, three] = record.numbers;
        let port = PortId(one);
        match record.kind {
            kind::SENT => {
                let closing = || self.closed.iter().flatten().any(|closed| closed.port == port);
                if !self.is_over(port) || closing() {
                    self.sent.entry(port).or_default().insert(Stream(two), three);
                }
            }
            kind::HEARD => {
                self.heard.entry(port).or_default().insert(Stream(two), three);
            }
            kind::CLEAN => {
                let heard = self.heard.remove(&port).unwrap_or_default();
                self.closed[0].push(Closed { port, heard });
            }
            kind::ENDED => {
                self.ended.insert(port, record.time_ns);
                if !self.closed.iter().flatten().any(|closed| closed.port == port) {
                    self.sent.remove(&port);
                }
            }
            kind::DEAD => self.seen[0].push(Seen { port, by: life, time_ns: record.time_ns }),
            kind::DIED => {
                if record.time_ns > self.last_kill_ns.saturating_add(ECHO_NS) {
                    let what = format!("life {life} was told of a death, and nobody died");
                    self.broken.push(what);
                }
            }
            kind::DONE => {
                self.over.insert(life, record.time_ns);
            }
            _ => self.broken.push(format!("life {life} found something broken, see above")),
        }
    }

    /// Every log was read once more. What is due by now is checked.
    ///
    /// A sender's log may be read before the receiver's: so what was seen in one
    /// pass is judged after the next.
    pub(crate) fn judge(&mut self) -> Result<(), String> {
        let due = std::mem::take(&mut self.closed[1]);
        self.closed.swap(0, 1);
        for closed in due {
            let sent = self.sent.remove(&closed.port).unwrap_or_default();
            for (stream, accepted) in sent {
                let heard = closed.heard.get(&stream).copied().unwrap_or(0);
                if heard < accepted {
                    self.broken.push(format!(
                        "{} of {accepted} messages accepted from life {} by port {:x} of life {} \
                         are lost",
                        accepted - heard,
                        stream.life(),
                        closed.port.0,
                        closed.port.life(),
                    ));
                }
                self.verified += accepted;
            }
        }
        let due = std::mem::take(&mut self.seen[1]);
        self.seen.swap(0, 1);
        for seen in due {
            let ends = [self.over.get(&seen.port.life()), self.ended.get(&seen.port)];
            if ends.into_iter().flatten().any(|end| *end <= seen.time_ns) {
                self.deaths += 1;
            } else {
                self.broken.push(format!(
                    "life {} saw port {:x} of life {} dead, which was alive",
                    seen.by,
                    seen.port.0,
                    seen.port.life(),
                ));
            }
        }
        match self.broken.is_empty() {
            true => Ok(()),
            false => Err(self.broken.join("\n")),
        }
    }

    /// The end: every port that outlived the killing was closed clean.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.judge()?;
        self.judge()?;
        self.sent.retain(|port, _| !self.ended.contains_key(port));
        let over = &self.over;
        match self.sent.keys().find(|port| !over.contains_key(&port.life())) {
            None => Ok(()),
            Some(port) => Err(format!("port {:x} of life {} never ended", port.0, port.life())),
        }
    }

    fn is_over(&self, port: PortId) -> bool {
        self.over.contains_key(&port.life()) || self.ended.contains_key(&port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: PortId = PortId::new(1, 1);
    const FROM: Stream = Stream::new(2, 0);

    fn record(kind: u64, numbers: [u64; 3], time_ns: u64) -> Record {
        Record { kind, numbers, time_ns }
    }

    fn close(ledger: &mut Ledger, heard: u64) {
        ledger.take(1, record(kind::HEARD, [PORT.0, FROM.0, heard], 5));
        ledger.take(1, record(kind::CLEAN, [PORT.0, 0, 0], 5));
        ledger.take(1, record(kind::ENDED, [PORT.0, 0, 0], 6));
    }

    #[test]
    fn what_was_accepted_and_heard_is_well() {
        let mut ledger = Ledger::default();
        ledger.take(2, record(kind::SENT, [PORT.0, FROM.0, 3], 4));
        close(&mut ledger, 3);
        assert_eq!(ledger.finish(), Ok(()));
        assert_eq!(ledger.verified, 3);
    }

    #[test]
    fn what_was_accepted_and_not_heard_is_lost() {
        let mut ledger = Ledger::default();
        ledger.take(2, record(kind::SENT, [PORT.0, FROM.0, 3], 4));
        close(&mut ledger, 2);
        assert!(ledger.finish().is_err_and(|what| what.starts_with("1 of 3 ")));
    }

    #[test]
    fn a_log_read_late_still_counts() {
        let mut ledger = Ledger::default();
        close(&mut ledger, 2);
        assert_eq!(ledger.judge(), Ok(()));
        ledger.take(2, record(kind::SENT, [PORT.0, FROM.0, 3], 4));
        assert!(ledger.judge().is_err());
    }

    #[test]
    fn what_a_killed_task_had_is_nobodys_loss() {
        let mut ledger = Ledger::default();
        ledger.take(2, record(kind::SENT, [PORT.0, FROM.0, 3], 4));
        ledger.killed(1, 5);
        assert_eq!(ledger.finish(), Ok(()));
    }

    #[test]
    fn a_port_that_never_ends_is_found() {
        let mut ledger = Ledger::default();
        ledger.take(2, record(kind::SENT, [PORT.0, FROM.0, 3], 4));
        assert!(ledger.finish().is_err());
    }

    #[test]
    fn a_death_is_seen_after_it_was() {
        for (seen, well) in [(9, false), (10, true)] {
            let mut ledger = Ledger::default();
            ledger.killed(1, 10);
            ledger.take(2, record(kind::DEAD, [PORT.0, 0, 0], seen));
            assert_eq!(ledger.finish().is_ok(), well, "{seen}");
            let mut ledger = Ledger::default();
            ledger.take(2, record(kind::DEAD, [PORT.0, 0, 0], seen));
            ledger.take(1, record(kind::ENDED, [PORT.0, 0, 0], 10));
            assert_eq!(ledger.finish().is_ok(), well, "{seen}");
        }
    }

    #[test]
    fn news_of_a_death_nobody_died_is_found() {
        let mut ledger = Ledger::default();
        ledger.take(2, record(kind::DIED, [0; 3], ECHO_NS + 1));
        assert!(ledger.finish().is_err());
        let mut ledger = Ledger::default();
        ledger.killed(1, 2);
        ledger.take(2, record(kind::DIED, [0; 3], 3));
        assert_eq!(ledger.finish(), Ok(()));
    }
}
