//! What a task has counted, for who watches it: by port, and of itself.
//!
//! Counts only grow; a rate is the difference of two, over that of their times.

use serde::{Deserialize, Serialize};

use crate::core::TaskCore;
use crate::limits;
use crate::message::Right;
pub use crate::metrics::Latencies;
use crate::wait::parking::lock;

/// What a task has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// When this was read: nanoseconds since the task was made.
    pub at_ns: u64,
    /// Messages sent to other tasks.
    pub messages_sent: u64,
    /// Frames of any kind that came from them.
    pub frames_read: u64,
    /// Bytes written to them.
    pub bytes_written: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Tasks it is linked with.
    pub links: u64,
    /// Ports it has.
    pub ports_in_all: u64,
    /// How long calls of its own took, of those that were timed: from the request to
    /// the answer.
    pub calling: Latencies,
    /// How long it took to answer calls of other tasks, of those that were timed: from
    /// when the request was read to when the answer was written. What is asked of the
    /// kernel port is not counted.
    pub answering: Latencies,
    /// Some of its ports, in the order they were made.
    pub ports: Vec<PortCounts>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
    /// Of each right that came with the question, the number of the port it leads to,
    /// where that is one of the task's own.
    pub asked: Vec<Option<u64>>,
}

/// What one port has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounts {
    /// Its number, as in a census of its task.
    pub port: u64,
    /// Messages it holds; zero for a rendezvous, none for no limit.
    pub capacity: Option<u64>,
    /// Messages that wait to be received.
    pub queued: u64,
    /// Messages and notifications that were received.
    pub taken: u64,
    /// Messages that were dropped because it was full.
    pub dropped: u64,
    /// Messages that came on a right that did not permit them.
    pub refused: u64,
    /// Senders: one for each send right in its task and for each other task that has
    /// any.
    pub senders: u64,
    /// Senders that wait for a place, each other task counted once.
    pub waiting_senders: u64,
    /// Their tasks, by process and number, in their turn: at most
    /// [`PortCounts::NAMED`].
    pub waiting: Vec<(u64, u64)>,
    /// Threads and futures that wait for a message, here or at a set it is in.
    pub waiting_receivers: u64,
}

impl PortCounts {
    /// How many of those who wait for a place are named.
    pub const NAMED: usize = 16;

    /// Messages that came, whatever became of them.
    pub fn came(&self) -> u64 {
        // Another task may say what it likes.
        self.taken.saturating_add(self.queued).saturating_add(self.dropped)
    }
}

impl TaskCore {
    /// What was counted, of ports after so many, and where these rights lead.
    pub(crate) fn counts(&self, after: u64, rights: &[Right]) -> Counts {
        let traffic = self.metrics().traffic;
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let (ports, in_all) = {
            let ports = lock(&self.ports);
            let here = ports.iter().skip(after).take(limits::KERNEL_ROWS);
            let here: Vec<_> = here.filter_map(|(_, port)| port.upgrade()).collect();
            (here, ports.len())
        };
        let next = after.saturating_add(limits::KERNEL_ROWS);
        let led = |right: &Right| match right {
            Right::Send(right) => right.port_id(),
            Right::SendOnce(_) | Right::Receive(_) => None,
        };
        let times = &self.counters.times;
        Counts {
            at_ns: self.now_ns(),
            messages_sent: traffic.messages_sent,
            frames_read: traffic.frames_read,
            bytes_written: traffic.bytes_written,
            bytes_read: traffic.bytes_read,
            links: self.links().len() as u64,
            ports_in_all: in_all as u64,
            calling: lock(&times.calling).clone(),
            answering: lock(&times.answering).clone(),
            ports: ports.iter().map(|port| port.counted()).collect(),
            next: (next < in_all).then_some(next as u64),
            asked: rights.iter().map(led).collect(),
        }
    }
}
