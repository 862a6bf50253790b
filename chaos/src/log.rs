//! What a process did, readable after its SIGKILL.
//!
//! Memory without a name, which the process has as its standard input: a page
//! of counters that are overwritten, then records that are only added. A pipe
//! would fill up and make the writer wait; this never does, and what was
//! written before a SIGKILL is there after it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

const RECORDS_AT: u64 = 4096;
const RECORD: u64 = 64;
const WORDS: usize = 6;

/// Nanoseconds of the clock all processes share.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// A record: what happened, and three numbers about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: u64,
    pub(crate) numbers: [u64; 3],
    pub(crate) time_ns: u64,
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    next: AtomicU64,
}

impl Log {
    /// The log this process was started to keep.
    pub(crate) fn of_parent() -> io::Result<Log> {
        let own = std::io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Log { file: File::from(own), next: AtomicU64::new(0) })
    }

    /// Adds a record.
    pub(crate) fn add(&self, kind: u64, numbers: [u64; 3]) {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; RECORD as usize];
        let words = [kind, numbers[0], numbers[1], numbers[2], now_ns(), u64::MAX];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        // A log that cannot be written shows as a process that does nothing.
        let _ = self.file.write_all_at(&bytes, RECORDS_AT + at * RECORD);
    }

    /// A counter, for what the other end asks by it.
    pub(crate) fn get(&self, counter: usize) -> u64 {
        counter_of(&self.file, counter)
    }

    /// Overwrites a counter.
    pub(crate) fn set(&self, counter: usize, value: u64) {
        let _ = self.file.write_all_at(&value.to_le_bytes(), counter as u64 * 8);
    }
}

/// The reading end.
#[derive(Debug)]
pub(crate) struct Reading {
    file: File,
    read: u64,
}

impl Reading {
    /// An empty log, to be given to a child.
    pub(crate) fn new() -> io::Result<Reading> {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("log", flags)?);
        file.write_all_at(&[0; RECORDS_AT as usize], 0)?;
        Ok(Reading { file, read: 0 })
    }

    /// The standard input of the child that writes it.
    pub(crate) fn for_child(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    pub(crate) fn counter(&self, counter: usize) -> u64 {
        counter_of(&self.file, counter)
    }

    /// Asks something of the writer: a counter that it reads.
    pub(crate) fn ask(&self, counter: usize) {
        let _ = self.file.write_all_at(&1u64.to_le_bytes(), counter as u64 * 8);
    }

    /// The records added since the last time. Of a process that is `over`, those
    /// behind one that was never finished too.
    pub(crate) fn news(&mut self, over: bool, mut take: impl FnMut(Record)) {
        let mut bytes = [0; RECORD as usize];
        let end = self.file.metadata().map_or(0, |about| about.len());
        while RECORDS_AT + (self.read + 1) * RECORD <= end {
            if self.file.read_exact_at(&mut bytes, RECORDS_AT + self.read * RECORD).is_err() {
                return;
            }
            let mut words = [0; WORDS];
            for (word, place) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*place);
            }
            let [kind, one, two, three, time_ns, whole] = words;
            if whole == u64::MAX {
                take(Record { kind, numbers: [one, two, three], time_ns });
            } else if !over {
                return;
            }
            self.read += 1;
        }
    }
}

fn counter_of(file: &File, counter: usize) -> u64 {
    let mut bytes = [0; 8];
    let _ = file.read_exact_at(&mut bytes, counter as u64 * 8);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_once_and_in_order() {
        let mut reading = Reading::new().unwrap();
        let log = Log { file: reading.file.try_clone().unwrap(), next: AtomicU64::new(0) };
        log.add(1, [2, 3, 4]);
        log.add(5, [6, 7, 8]);
        log.set(9, 10);
        let mut seen = Vec::new();
        reading.news(false, |record| seen.push((record.kind, record.numbers)));
        assert_eq!(seen, [(1, [2, 3, 4]), (5, [6, 7, 8])]);
        reading.news(false, |_| panic!("it was read"));
        assert_eq!(reading.counter(9), 10);
    }

    #[test]
    fn an_unfinished_record_is_waited_for_and_left_out_in_the_end() {
        let mut reading = Reading::new().unwrap();
        let log = Log { file: reading.file.try_clone().unwrap(), next: AtomicU64::new(1) };
        log.add(5, [6, 7, 8]);
        reading.news(false, |_| panic!("the first one is not finished"));
        let mut seen = 0;
        reading.news(true, |_| seen += 1);
        assert_eq!(seen, 1);
    }
}
