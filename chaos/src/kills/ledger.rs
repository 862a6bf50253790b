//! What all tasks did, held against what they must have seen.
//!
//! Each life writes its own log; nobody else is believed about it. A port that
//! was closed *clean*, after the news that nobody can send to it any more, must
//! have had every message that was accepted for it. Whoever saw a death must
//! have seen it after there was one.
//!
//! Where a port has left a task that was killed, some of that may be missing, as
//! decision 11 lists it. It is counted, and nothing else may be missing anywhere.

use std::collections::HashMap;

use super::letter::{PortId, Stream};
use super::places::Places;
use super::readings::Readings;
use super::sends::Sends;
use crate::log::Record;

/// What a record says.
pub(crate) mod kind {
    /// Port, stream, number and [how](crate::kills::sends::How): that many messages were
    /// accepted.
    pub(crate) const SENT: u64 = 1;
    /// Port: it ends now.
    pub(crate) const ENDED: u64 = 2;
    /// Port: nobody can send to it any more, and all was taken.
    pub(crate) const CLEAN: u64 = 3;
    /// Port, stream, number: that many came, before [`CLEAN`].
    pub(crate) const HEARD: u64 = 4;
    /// Port, the port it was learned through where that has moved, whether its
    /// owner ever confirmed the right: it was seen dead.
    pub(crate) const DEAD: u64 = 5;
    /// An answer will not come, since somebody died.
    pub(crate) const DIED: u64 = 6;
    /// The worker has found something that must not be, and said it.
    pub(crate) const BROKEN: u64 = 7;
    /// The worker has nothing left.
    pub(crate) const DONE: u64 = 8;
    /// Port, where to, number of its way: a letter with it is about to go.
    pub(crate) const MOVING: u64 = 9;
    /// The same: it was accepted.
    pub(crate) const MOVED: u64 = 10;
    /// The same: it came back.
    pub(crate) const BACK: u64 = 11;
    /// Port, nothing, number of its way: it is here.
    pub(crate) const TOOK: u64 = 12;
    /// Port, stream, how many and after which: messages did not come, and later ones did.
    pub(crate) const GAP: u64 = 13;
    /// Port, stream, number: it came to a port that was about to end.
    pub(crate) const UNHEARD: u64 = 16;
    /// Port, how many came, how many were dropped, before [`CLEAN`].
    pub(crate) const DROPPED: u64 = 15;
    /// Port: a body or a descriptor was lost on its way.
    pub(crate) const STRIPPED: u64 = 14;
    /// Mailbox, number and how often it went back, reader: of what is read by several,
    /// as all up to [`ALL_READ`], which [`readings`](crate::kills::readings) tells of.
    pub(crate) const READ: u64 = 32;
    pub(crate) const ACKNOWLEDGING: u64 = 33;
    pub(crate) const ACKNOWLEDGED: u64 = 34;
    pub(crate) const GAVE_BACK: u64 = 35;
    pub(crate) const LEFT: u64 = 36;
    pub(crate) const ATTACHING: u64 = 37;
    pub(crate) const ALL_READ: u64 = 38;
}

/// How long after a death it may still be the cause of somebody's news: a give
/// of the dead waits ten seconds for who may claim it.
const ECHO_NS: u64 = abi::limits::ORPHAN_GIVE_NS + 5_000_000_000;

/// A port that was closed clean, and what came.
#[derive(Debug)]
struct Closed {
    port: PortId,
    heard: HashMap<Stream, u64>,
    time_ns: u64,
}

/// Somebody saw something of a port that needs a reason.
#[derive(Clone, Copy, Debug)]
struct Seen {
    port: PortId,
    what: What,
    by: u32,
    time_ns: u64,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
enum What {
    Dead { learned_through: PortId, confirmed: bool },
    Gap { from: Stream, after: u64, messages: u64 },
    Stripped,
}

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    places: Places,
    readings: Readings,
    sends: Sends,
    last_kill_ns: u64,
    sent: HashMap<PortId, HashMap<Stream, u64>>,
    heard: HashMap<PortId, HashMap<Stream, u64>>,
    /// Of ports that drop: how many came, and how many were dropped.
    dropping: HashMap<PortId, (u64, u64)>,
    /// Closed in this pass over the logs, and in the one before.
    closed: [Vec<Closed>; 2],
    seen: [Vec<Seen>; 2],
    broken: Vec<String>,
    /// Messages that were held against what was accepted.
    pub(crate) verified: u64,
    /// Deaths that were seen, and were.
    pub(crate) deaths: u64,
    /// Messages and rights that went with a port's former task.
    pub(crate) taken: u64,
}

impl Ledger {
    /// The life is killed at this time, or a little later.
    pub(crate) fn killed(&mut self, life: u32, time_ns: u64) {
        self.places.killed(life, time_ns);
        self.readings.killed(life, time_ns);
        self.last_kill_ns = self.last_kill_ns.max(time_ns);
    }

    /// Takes what `life` wrote.
    pub(crate) fn take(&mut self, life: u32, record: Record) {
        if self.readings.take(record) {
            return;
        }
        let [one, two, three] = record.numbers;
        let (port, time_ns) = (PortId(one), record.time_ns);
        let mut seen = |what| self.seen[0].push(Seen { port, what, by: life, time_ns });
        match record.kind {
            kind::SENT => {
                let number = self.sends.sent(port, Stream(two), three, time_ns);
                let closing = || self.closed.iter().flatten().any(|closed| closed.port == port);
                if !self.places.is_over(port, u64::MAX) || closing() {
                    let count = self.sent.entry(port).or_default().entry(Stream(two)).or_default();
                    *count = number.max(*count);
                } else {
                    self.sends.forget(port);
                }
            }
            kind::HEARD => {
                self.heard.entry(port).or_default().insert(Stream(two), three);
            }
            kind::CLEAN => {
                let heard = self.heard.remove(&port).unwrap_or_default();
                self.closed[0].push(Closed { port, heard, time_ns });
            }
            kind::ENDED => {
                self.places.ended(port, time_ns);
                if !self.closed.iter().flatten().any(|closed| closed.port == port) {
                    self.sent.remove(&port);
                    self.sends.forget(port);
                }
            }
            kind::DEAD => {
                seen(What::Dead { learned_through: PortId(two), confirmed: three != 0 });
            }
            kind::DIED => {
                if time_ns > self.last_kill_ns.saturating_add(ECHO_NS) {
                    let what = format!("life {life} was told of a death, and nobody died");
                    self.broken.push(what);
                }
            }
            kind::DONE => {
                self.places.done(life, time_ns);
                self.last_kill_ns = self.last_kill_ns.max(time_ns);
            }
            kind::MOVING => self.places.goes(life, port, PortId(two), three, false),
            kind::MOVED => self.places.goes(life, port, PortId(two), three, true),
            kind::BACK => self.places.came_back(life, port, three),
            kind::TOOK => self.places.took(life, port, three),
            kind::GAP => {
                let (after, messages) = (three >> 32, three & 0xffff_ffff);
                seen(What::Gap { from: Stream(two), after, messages });
            }
            kind::UNHEARD => self.sends.unheard(port, Stream(two), three),
            kind::DROPPED => {
                self.dropping.insert(port, (two, three));
            }
            kind::STRIPPED => seen(What::Stripped),
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
        let judged: Vec<PortId> = due.iter().map(|closed| closed.port).collect();
        for closed in due {
            let sent = self.sent.remove(&closed.port).unwrap_or_default();
            if let Some((heard, dropped)) = self.dropping.remove(&closed.port) {
                self.check_dropping(closed.port, sent.values().sum(), heard, dropped);
                continue;
            }
            for (stream, accepted) in sent {
                let heard = closed.heard.get(&stream).copied().unwrap_or(0);
                self.verified += heard.min(accepted);
                if heard >= accepted {
                    continue;
                }
                if self.places.left_one_over(closed.port, closed.time_ns) {
                    self.taken += accepted - heard;
                    continue;
                }
                self.broken.push(format!(
                    "{} of {accepted} messages accepted from life {} by port {:x} of life {} \
                     are lost; {}, {}",
                    accepted - heard,
                    stream.life(),
                    closed.port.0,
                    closed.port.life(),
                    self.places.tell(closed.port, closed.time_ns),
                    self.sends.tell(closed.port, stream, heard + 1, accepted - heard),
                ));
            }
        }
        let due = std::mem::take(&mut self.seen[1]);
        self.seen.swap(0, 1);
        for seen in due {
            if let Err(what) = self.explain(&seen) {
                self.broken.push(format!(
                    "life {} saw port {:x} of life {} {what}; {}",
                    seen.by,
                    seen.port.0,
                    seen.port.life(),
                    self.places.tell(seen.port, seen.time_ns),
                ));
            }
        }
        judged.into_iter().for_each(|port| self.sends.forget(port));
        match self.broken.is_empty() {
            true => Ok(()),
            false => Err(self.broken.join("\n")),
        }
    }

    /// What was accepted by a port that drops came, or was counted.
    fn check_dropping(&mut self, port: PortId, accepted: u64, heard: u64, dropped: u64) {
        // Who was killed may have sent more than it could write down.
        self.verified += heard;
        if accepted > heard + dropped {
            self.broken.push(format!(
                "{accepted} messages were accepted by port {:x} of life {}: {heard} came, \
                 {dropped} were dropped",
                port.0,
                port.life(),
            ));
        }
    }

    /// Counts what was seen where there is a reason for it.
    fn explain(&mut self, seen: &Seen) -> Result<(), String> {
        let Seen { port, what, time_ns, .. } = *seen;
        let left_one_over = self.places.left_one_over(port, time_ns);
        match what {
            What::Dead { .. } if self.places.is_over(port, time_ns) => self.deaths += 1,
            // It ends by itself, and only its owner knows when.
            What::Dead { .. } if port.is_limited() => self.deaths += 1,
            What::Dead { learned_through, confirmed: false }
                if left_one_over || self.places.left_one_over(learned_through, time_ns) =>
            {
                self.taken += 1;
            }
            What::Dead { learned_through, confirmed } => {
                return Err(format!(
                    "dead, which was alive (confirmed: {confirmed}, learned through port {:x})",
                    learned_through.0
                ));
            }
            What::Gap { messages, .. } if left_one_over => self.taken += messages,
            What::Gap { from, after, messages } => {
                let told = self.sends.tell(port, from, after + 1, messages);
                return Err(format!("without {messages} messages of life {}, {told}", from.life()));
            }
            What::Stripped if left_one_over => self.taken += 1,
            What::Stripped => return Err("with a letter that lost something".to_owned()),
        }
        Ok(())
    }

    /// The end: every port that outlived the killing was closed clean.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.judge()?;
        self.judge()?;
        self.readings.judge()?;
        self.verified += self.readings.verified;
        let ports = self.sent.keys().copied().chain(self.places.moved());
        let left: Vec<_> = ports
            .filter_map(|port| Some((port, self.places.never_ended(port)?)))
            .map(|(port, life)| format!("port {:x} never ended, last of life {life}", port.0))
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
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
            ledger.take(2, record(kind::DEAD, [PORT.0, 0, 1], seen));
            assert_eq!(ledger.finish().is_ok(), well, "{seen}");
            let mut ledger = Ledger::default();
            ledger.take(2, record(kind::DEAD, [PORT.0, 0, 1], seen));
            ledger.take(1, record(kind::ENDED, [PORT.0, 0, 0], 10));
            assert_eq!(ledger.finish().is_ok(), well, "{seen}");
        }
    }

    #[test]
    fn what_a_former_task_took_along_is_counted_and_nothing_else() {
        for (killed, well) in [(1, true), (3, false)] {
            let mut ledger = Ledger::default();
            ledger.take(2, record(kind::SENT, [PORT.0, FROM.0, 3], 4));
            ledger.take(1, record(kind::MOVED, [PORT.0, PortId::new(4, 0).0, 1], 5));
            ledger.take(4, record(kind::TOOK, [PORT.0, 0, 1], 6));
            ledger.killed(killed, 7);
            ledger.take(4, record(kind::GAP, [PORT.0, FROM.0, 1], 8));
            ledger.take(4, record(kind::HEARD, [PORT.0, FROM.0, 2], 8));
            ledger.take(4, record(kind::CLEAN, [PORT.0, 0, 0], 8));
            ledger.take(4, record(kind::ENDED, [PORT.0, 0, 0], 9));
            assert_eq!(ledger.finish().is_ok(), well, "{killed}");
            assert_eq!(ledger.taken, if well { 2 } else { 0 });
        }
    }

    #[test]
    fn only_a_right_that_was_never_confirmed_dies_with_a_former_task() {
        for (confirmed, well) in [(0, true), (1, false)] {
            let mut ledger = Ledger::default();
            ledger.take(1, record(kind::MOVED, [PORT.0, PortId::new(4, 0).0, 1], 5));
            ledger.take(4, record(kind::TOOK, [PORT.0, 0, 1], 6));
            ledger.killed(1, 7);
            ledger.take(2, record(kind::DEAD, [PORT.0, 0, confirmed], 8));
            ledger.take(4, record(kind::ENDED, [PORT.0, 0, 0], 9));
            assert_eq!(ledger.finish().is_ok(), well, "{confirmed}");
        }
    }

    #[test]
    fn a_port_that_was_lost_on_its_way_is_found() {
        let mut ledger = Ledger::default();
        ledger.take(1, record(kind::MOVED, [PORT.0, PortId::new(4, 0).0, 1], 5));
        ledger.take(1, record(kind::DONE, [0; 3], 6));
        assert!(ledger.finish().is_err());
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
