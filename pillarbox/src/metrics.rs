//! What a task has counted: who hit which limit, who broke the protocol how.
//!
//! Counts of what goes over a link lie with the link, under the locks its lanes
//! have anyhow; here they are summed when somebody asks. The others are of what
//! seldom happens.

mod latencies;
mod times;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::Offence;

pub use self::latencies::Latencies;
pub(crate) use self::times::{Since, Times};
use crate::core::TaskCore;
use crate::limits::Limit;
use crate::wait::parking::{Mutex, lock};

/// What went over links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages sent to other tasks, answers and greetings among them.
    pub messages_sent: u64,
    /// Frames of any kind that came.
    pub frames_read: u64,
    /// Bytes of all frames written.
    pub bytes_written: u64,
    /// Bytes of all frames read.
    pub bytes_read: u64,
    /// Bells rung for sleeping peers.
    pub bells_rung: u64,
}

impl Traffic {
    pub(crate) fn add(&mut self, other: Traffic) {
        self.messages_sent += other.messages_sent;
        self.frames_read += other.frames_read;
        self.bytes_written += other.bytes_written;
        self.bytes_read += other.bytes_read;
        self.bells_rung += other.bells_rung;
    }
}

/// What a task has counted since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// What was refused because of a limit. Limits that were not hit are left out.
    pub refused: BTreeMap<Limit, u64>,
    /// How often a peer broke the protocol, by the offence's name.
    pub offences: BTreeMap<String, u64>,
    /// Bodies and descriptors that came and for which we had no room.
    pub lost: u64,
    /// Links that ended because our own system refused what they need.
    pub broken_links: u64,
    /// What went over links, those that have ended included.
    pub traffic: Traffic,
}

impl Metrics {
    /// How often this limit was hit.
    pub fn refused(&self, limit: Limit) -> u64 {
        self.refused.get(&limit).copied().unwrap_or(0)
    }
}

/// The counters of one task.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    // Relaxed throughout: counts that vouch for nothing.
    refused: [AtomicU64; Limit::ALL.len()],
    offences: Mutex<BTreeMap<String, u64>>,
    pub(crate) lost: AtomicU64,
    pub(crate) broken_links: AtomicU64,
    pub(crate) times: Times,
    /// Of links that have ended.
    past: Mutex<Traffic>,
}

impl Counters {
    pub(crate) fn refuse(&self, limit: Limit) {
        if let Some(count) = self.refused.get(limit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn offend(&self, offence: Offence) {
        let name = format!("{offence:?}");
        let name = name.split(|one: char| !one.is_alphanumeric()).next().unwrap_or_default();
        *lock(&self.offences).entry(name.to_owned()).or_default() += 1;
    }

    pub(crate) fn link_ended(&self, traffic: Traffic) {
        lock(&self.past).add(traffic);
    }
}

impl TaskCore {
    pub(crate) fn metrics(&self) -> Metrics {
        let counters = &self.counters;
        let refused = Limit::ALL.iter().zip(&counters.refused);
        let refused = refused.map(|(limit, count)| (*limit, count.load(Ordering::Relaxed)));
        let mut traffic = *lock(&counters.past);
        for link in self.links().iter() {
            traffic.add(link.traffic());
        }
        Metrics {
            refused: refused.filter(|(_, count)| *count > 0).collect(),
            offences: lock(&counters.offences).clone(),
            lost: counters.lost.load(Ordering::Relaxed),
            broken_links: counters.broken_links.load(Ordering::Relaxed),
            traffic,
        }
    }
}
