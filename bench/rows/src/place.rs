//! Where threads run: which processors there are, and pinning to them.

use std::fs;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where the two ends of a row run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The client on the first processor, the server on the second.
    TwoCores,
    /// Both on the first.
    OneCore,
    /// Wherever the kernel puts them.
    Anywhere,
}

impl Place {
    /// What the table says of it.
    pub const fn words(self) -> &'static str {
        match self {
            Place::TwoCores => "client on core 0, server on core 1",
            Place::OneCore => "both on core 0",
            Place::Anywhere => "not pinned",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Place::TwoCores => "two-cores",
            Place::OneCore => "one-core",
            Place::Anywhere => "anywhere",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Place> {
        [Place::TwoCores, Place::OneCore, Place::Anywhere]
            .into_iter()
            .find(|place| place.name() == name)
    }

    /// Which of the processors the client runs on.
    pub(crate) const fn client(self) -> Option<usize> {
        match self {
            Place::TwoCores | Place::OneCore => Some(0),
            Place::Anywhere => None,
        }
    }

    /// Which of the processors the server runs on.
    pub(crate) const fn server(self) -> Option<usize> {
        match self {
            Place::TwoCores => Some(1),
            Place::OneCore => Some(0),
            Place::Anywhere => None,
        }
    }
}

/// The variable that tells a child where its parent may run.
const CORES: &str = "PILLARBOX_BENCH_CORES";

/// The processors this process may use, as it was started.
#[derive(Clone, Debug)]
pub struct Cores {
    all: CpuSet,
    usable: Vec<usize>,
}

impl Cores {
    /// Those of this process; of a child, those its parent had before it pinned
    /// itself. They are asked for once, so the first time must be before anything
    /// is pinned.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn here() -> Result<&'static Cores> {
        static HERE: OnceLock<Cores> = OnceLock::new();
        if let Some(cores) = HERE.get() {
            return Ok(cores);
        }
        let cores = match std::env::var(CORES) {
            Ok(list) => Cores::of(list.split(',').filter_map(|core| core.parse().ok())),
            Err(_) => {
                let all = sched_getaffinity(None).context("the kernel hides where we may run")?;
                Cores::of((0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core)))
            }
        };
        Ok(HERE.get_or_init(|| cores))
    }

    fn of(list: impl Iterator<Item = usize>) -> Cores {
        let usable: Vec<usize> = list.filter(|&core| core < CpuSet::MAX_CPU).collect();
        let mut all = CpuSet::new();
        usable.iter().for_each(|&core| all.set(core));
        Cores { all, usable }
    }

    /// The variable that tells a child of them, and its value.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        let list: Vec<_> = self.usable.iter().map(ToString::to_string).collect();
        (CORES, list.join(","))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.usable.len()
    }

    /// Pins the calling thread alone to the `which`-th processor this process may use.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn pin_thread(&self, which: usize) -> Result<()> {
        sched_setaffinity(None, &self.set(Some(which))).context("a thread cannot be pinned")
    }

    /// One of them; all where there are not so many.
    fn set(&self, which: Option<usize>) -> CpuSet {
        let Some(core) = which.and_then(|which| self.usable.get(which)) else {
            return self.all;
        };
        let mut set = CpuSet::new();
        set.set(*core);
        set
    }

    /// Pins every thread of this process to the `which`-th processor it may use,
    /// and those it starts from now on; to any of them where that is `None`, or
    /// where there are not so many.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn pin(&self, which: Option<usize>) -> Result<()> {
        let set = self.set(which);
        for thread in fs::read_dir("/proc/self/task")?.flatten() {
            let id = thread.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
            match sched_setaffinity(id, &set) {
                // It has ended since.
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(errno) => return Err(errno).context("a thread cannot be pinned"),
            }
        }
        Ok(())
    }
}

/// Nanoseconds of processor time a process has used so far, all its threads that
/// are still there together.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ran = |thread: fs::DirEntry| -> Option<u64> {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok()
    };
    threads.filter_map(ran).sum()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// A process of its own with one thread: what a thread used is not counted any
    /// more when it has ended, and the threads of other tests end when they like.
    #[test]
    fn a_process_uses_time_and_it_is_seen() {
        let mut busy = Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let (before, start) = (cpu_ns(busy.id()), Instant::now());
        let mut after = before;
        while after <= before && start.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
            after = cpu_ns(busy.id());
        }
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(after > before, "nothing was seen of what a process used");
    }

    #[test]
    fn one_is_pinned_and_let_go_again() {
        let cores = Cores::here().unwrap();
        std::thread::spawn(|| {
            cores.pin(Some(0)).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
            // One that is not there means: anywhere.
            cores.pin(Some(usize::MAX)).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count() as usize, cores.count());
        })
        .join()
        .unwrap();
    }
}
