//! How much memory a set of processes has resident, now and at most.
//!
//! We read `VmRSS` and `VmHWM` from `/proc/PID/status` and add them up. A page
//! that two processes share is counted in each, so the sum is never below what
//! the processes together hold: the figure to claim an upper limit with. (`Pss`
//! would split shared pages, but to read it the kernel walks all page tables of
//! the process, which disturbs what we measure.)
//!
//! `VmRSS` is now; what happens between two samples is not in it. `VmHWM` is
//! the kernel's own high-water mark of the process and misses nothing. The sum
//! of all high-water marks is therefore an upper limit that holds whenever each
//! process was sampled after its peak.
//!
//! Since Linux 6.2 the kernel counts resident pages per processor and adds up
//! when it must. Both figures may be off by some 100 KiB per processor that the
//! process runs on.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// The resident memory of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// Bytes resident now.
    pub(crate) now_bytes: u64,
    /// The most bytes that were ever resident.
    pub(crate) peak_bytes: u64,
}

impl Resident {
    /// Reads the figures of the process `pid`.
    ///
    /// A process that is dead, reaped or not, holds nothing.
    ///
    /// # Errors
    /// Whatever the kernel says, but for "no such process".
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        const NO_SUCH_PROCESS: Option<i32> = Some(3);
        match fs::read(format!("/proc/{pid}/status")) {
            Ok(status) => Ok(Self::parse(&status)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) if error.raw_os_error() == NO_SUCH_PROCESS => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Finds the two lines. A dead process that nobody has waited for has none.
    fn parse(status: &[u8]) -> Self {
        let mut resident = Self::default();
        for line in status.split(|&byte| byte == b'\n') {
            if let Some(figure) = line.strip_prefix(b"VmRSS:") {
                resident.now_bytes = bytes_of(figure);
            } else if let Some(figure) = line.strip_prefix(b"VmHWM:") {
                resident.peak_bytes = bytes_of(figure);
            }
        }
        resident
    }
}

/// Reads a figure such as `   3072 kB`.
fn bytes_of(figure: &[u8]) -> u64 {
    let digits = figure.iter().filter(|byte| byte.is_ascii_digit());
    let kib =
        digits.fold(0, |n: u64, byte| n.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
    kib.saturating_mul(1024)
}

/// The most that was resident over all samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peak {
    sampled_bytes: u64,
    /// The last high-water mark of each process.
    marks: BTreeMap<u32, u64>,
}

impl Peak {
    /// Starts with nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds up what the processes hold now, and returns it.
    ///
    /// The processes may be others each time; one that has died counts as zero
    /// and keeps its high-water mark. Nothing is sampled on an error.
    pub(crate) fn sample(&mut self, pids: &[u32]) -> io::Result<u64> {
        let each = pids.iter().map(|&pid| Ok((pid, Resident::of(pid)?)));
        let each = each.collect::<io::Result<Vec<_>>>()?;
        Ok(self.take(&each))
    }

    fn take(&mut self, each: &[(u32, Resident)]) -> u64 {
        let sum = each.iter().map(|(_, resident)| resident.now_bytes).sum();
        self.sampled_bytes = self.sampled_bytes.max(sum);
        for (pid, resident) in each {
            let mark = self.marks.entry(*pid).or_default();
            *mark = resident.peak_bytes.max(*mark);
        }
        sum
    }

    /// Returns the largest sum of a sample.
    pub(crate) fn sampled_bytes(&self) -> u64 {
        self.sampled_bytes
    }

    /// Returns the sum of the high-water marks of all processes ever sampled.
    ///
    /// An upper limit of what was resident at any one time, and a generous one:
    /// processes have their peaks at different times, and one that was killed
    /// and replaced counts beside its successor.
    pub(crate) fn marks_bytes(&self) -> u64 {
        self.marks.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_status_is_read_by_its_lines() {
        let cases: &[(&[u8], u64, u64)] = &[
            (b"Name:\tcat\nVmHWM:\t    1024 kB\nVmRSS:\t     512 kB\nThreads:\t1\n", 512, 1024),
            (b"Name:\tVmRSS: 9 kB\nVmRSS:\t1 kB\n", 1, 0),
            (b"Name:\tdefunct\nState:\tZ (zombie)\n", 0, 0),
            (b"Name:\t\xff\xfe\nVmRSS:\t7 kB", 7, 0),
            (b"", 0, 0),
            (b"VmRSS:\nVmHWM: none\n", 0, 0),
        ];
        for (status, now, peak) in cases {
            let want = Resident { now_bytes: now * 1024, peak_bytes: peak * 1024 };
            assert_eq!(Resident::parse(status), want, "{}", status.escape_ascii());
        }
    }

    #[test]
    fn our_own_memory_is_seen() {
        let pid = std::process::id();
        let block = vec![1u8; 64 << 20];
        let with = Resident::of(pid).unwrap();
        assert!(with.now_bytes >= 48 * MIB, "{with:?}");
        drop(std::hint::black_box(block));
        let after = Resident::of(pid).unwrap();
        assert!(after.peak_bytes >= 48 * MIB, "{after:?}");
    }

    #[test]
    fn a_dead_process_counts_as_zero() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let mut peak = Peak::new();
        let alive = peak.sample(&[pid]).unwrap();
        assert!(alive > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(peak.sample(&[pid]).unwrap(), 0);
        assert_eq!(Resident::of(pid).unwrap(), Resident::default());
        assert_eq!(peak.sampled_bytes(), alive);
        assert!(peak.marks_bytes() > 0);
    }

    #[test]
    fn the_peak_is_that_of_the_sum() {
        let resident = |now_bytes, peak_bytes| Resident { now_bytes, peak_bytes };
        let mut peak = Peak::new();
        assert_eq!(peak.take(&[(1, resident(5, 9)), (2, resident(5, 5))]), 10);
        assert_eq!(peak.take(&[(1, resident(8, 9)), (2, resident(1, 6))]), 9);
        assert_eq!(peak.take(&[(1, resident(0, 0)), (3, resident(2, 2))]), 2);
        assert_eq!((peak.sampled_bytes(), peak.marks_bytes()), (10, 17));
    }
}
