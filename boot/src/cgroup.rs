//! What all processes of a service may use together: a cgroup (of version 2) for each, in
//! the part of the tree that was delegated to us.
//!
//! ```text
//! …/pillarbox.service        delegated: ours, and nothing above it
//!   server                   this process, and what is started without a leaf
//!   service.jobs.812.1       a leaf: one process that was started, and all that it starts
//! ```
//!
//! | file       | part                                                          |
//! |------------|---------------------------------------------------------------|
//! | this one   | the tree: to enter it, to give out controllers, to clean up    |
//! | `place.rs` | which part of the tree is ours, by the kernel's and a manager's word |
//! | `leaf.rs`  | one service's own                                             |
//!
//! A process has its limits of its own (`setrlimit`) everywhere; those of a cgroup are in
//! force where one is delegated, and else it is said why they are not.

mod leaf;
mod place;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};

pub(crate) use self::leaf::Leaf;
pub use self::place::{NotDelegated, Subtree};

/// Where the server is.
const SERVER: &str = "server";

/// How the name of a leaf begins.
const LEAF: &str = "service.";

/// How many names are tried for a leaf: others may be in use by what a dead server left.
const TRIES: u32 = 8;

/// What is bounded, and by which controller of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Controller {
    /// Memory, the kernel's own for it and the cache of files included.
    Memory,
    /// Threads.
    Pids,
    /// Time on processors.
    Cpu,
}

impl Controller {
    /// Every one.
    pub const ALL: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

    /// What the kernel calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Cpu => "cpu",
        }
    }

    /// The file that holds its limit.
    const fn file(self) -> &'static str {
        match self {
            Controller::Memory => "memory.max",
            Controller::Pids => "pids.max",
            Controller::Cpu => "cpu.max",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What all processes of one service may use together, as its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) memory_kib: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) cpu_percent: Option<u64>,
    /// Without them it is not started.
    pub(crate) required: bool,
}

impl Bounds {
    /// What is to be written.
    fn values(&self) -> BTreeMap<Controller, String> {
        let mut values = BTreeMap::new();
        if let Some(kib) = self.memory_kib {
            values.insert(Controller::Memory, kib.saturating_mul(1024).to_string());
        }
        if let Some(threads) = self.threads {
            values.insert(Controller::Pids, threads.to_string());
        }
        if let Some(percent) = self.cpu_percent {
            // So many microseconds of each tenth of a second.
            values.insert(Controller::Cpu, format!("{} 100000", percent.saturating_mul(1000)));
        }
        values
    }
}

/// Why no service has a cgroup of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// None is ours to divide.
    #[error(transparent)]
    NotDelegated(#[from] NotDelegated),
    /// It is ours, and this process could not be moved into a leaf of it.
    #[error("the server cannot move into {path}: {error}")]
    NotEntered {
        /// The leaf.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// A delegated subtree that this process has moved into: services get leaves of it.
///
/// # Examples
/// ```
/// use boot::cgroup::Cgroups;
/// match Cgroups::enter() {
///     Ok(cgroups) => println!("services are bounded in {}", cgroups.path().display()),
///     Err(why) => println!("each process has limits of its own only: {why}"),
/// }
/// ```
#[derive(Debug)]
pub struct Cgroups {
    subtree: Subtree,
    leaves: u64,
}

/// A leaf and its door, and what of its bounds is not in force.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    pub(crate) leaf: Option<(Leaf, File)>,
    pub(crate) lacks: Vec<String>,
}

impl Bounded {
    /// None is to be had.
    pub(crate) fn lacking(why: String) -> Bounded {
        Bounded { leaf: None, lacks: vec![why] }
    }

    /// What is not in force, if anything.
    pub(crate) fn reason(&self) -> Option<String> {
        (!self.lacks.is_empty()).then(|| self.lacks.join("; "))
    }
}

impl Cgroups {
    /// Moves this process, with all its threads, into the leaf `server` of the subtree that
    /// is delegated to it, since a cgroup with processes of its own can be divided no
    /// further; and removes the leaves of servers that were killed, where nobody is in them.
    ///
    /// # Errors
    /// See [`CgroupError`]. Nothing is moved then.
    ///
    /// # Blocking
    /// For a few writes into files of the kernel's.
    pub fn enter() -> Result<Cgroups, CgroupError> {
        let subtree = Subtree::own()?;
        let path = subtree.path().join(SERVER);
        let entered = match std::fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => write(&path.join("cgroup.procs"), "0"),
        };
        entered.map_err(|error| CgroupError::NotEntered { path, error })?;
        let cgroups = Cgroups { subtree, leaves: 0 };
        cgroups.sweep();
        Ok(cgroups)
    }

    /// What is ours.
    pub fn path(&self) -> &Path {
        self.subtree.path()
    }

    /// Makes a leaf for the next process of `service`.
    pub(crate) fn leaf(&mut self, service: &str, bounds: &Bounds) -> Bounded {
        self.sweep();
        let leaf = match self.make(service) {
            Ok(leaf) => leaf,
            Err(error) => {
                let place = self.path().display();
                return Bounded::lacking(format!("no cgroup could be made in {place}: {error}"));
            }
        };
        let door = match leaf.door() {
            Ok(door) => door,
            Err(error) => {
                leaf.remove();
                return Bounded::lacking(format!("its cgroup cannot be entered: {error}"));
            }
        };
        let mut lacks = Vec::new();
        for (controller, value) in bounds.values() {
            let given = self.subtree.give_out(controller);
            let set = given.and_then(|()| {
                leaf.set(controller, &value)
                    .map_err(|error| format!("{} cannot be set: {error}", controller.file()))
            });
            if let Err(why) = set {
                lacks.push(format!("{controller}: {why}"));
            }
        }
        Bounded { leaf: Some((leaf, door)), lacks }
    }

    fn make(&mut self, service: &str) -> io::Result<Leaf> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            self.leaves += 1;
            let name = name(service, std::process::id(), self.leaves);
            match Leaf::make(&self.path().join(name)) {
                // Another's name, or taken away by one that cleans up before it was locked.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AlreadyExists
                            | io::ErrorKind::NotFound
                            | io::ErrorKind::WouldBlock
                    ) =>
                {
                    last = error;
                }
                made => return made,
            }
        }
        Err(last)
    }

    /// The leaf that a process is in which the server before us has started.
    pub(crate) fn leaf_of(&self, pid: i32, process: &OwnedFd) -> Option<Leaf> {
        let path = place::cgroup_of(Some(pid)).ok()?;
        // Asked after that: its number was its own then.
        let mut ended = [PollFd::new(process, PollFlags::IN)];
        if rustix::event::poll(&mut ended, Some(&Timespec::default())) != Ok(0) {
            return None;
        }
        let name = path.strip_prefix(self.path()).ok()?.to_str()?;
        let is_leaf = name.starts_with(LEAF) && !name.contains('/');
        is_leaf.then(|| Leaf::take_over(&path).ok()).flatten()
    }

    /// Removes leaves that nobody has and nobody is in: a server that was killed could not.
    pub(crate) fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(self.path()) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(LEAF)) {
                leaf::remove_if_left(&entry.path());
            }
        }
    }
}

/// A name for a leaf. What is not plain in a label is not needed in it.
fn name(service: &str, pid: u32, number: u64) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() || "-_@".contains(letter) { letter } else { '_' }
    };
    let label: String = service.chars().take(64).map(plain).collect();
    format!("{LEAF}{label}.{pid}.{number}")
}

/// Writes into a file that the kernel has made.
fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    // In one call: each is a command of its own.
    std::fs::File::options().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_leaf_is_plain_and_says_whose_it_is() {
        assert_eq!(name("jobs", 7, 1), "service.jobs.7.1");
        assert_eq!(name("../a\nb c", 7, 2), "service.___a_b_c.7.2");
        assert!(name(&"x".repeat(500), 7, 3).len() < 100);
    }

    #[test]
    fn bounds_are_written_as_the_kernel_reads_them() {
        let bounds = Bounds {
            memory_kib: Some(64),
            threads: Some(5),
            cpu_percent: Some(150),
            required: true,
        };
        let values: Vec<(&str, String)> =
            bounds.values().into_iter().map(|(of, value)| (of.file(), value)).collect();
        let expected = [("memory.max", "65536"), ("pids.max", "5"), ("cpu.max", "150000 100000")];
        assert_eq!(values, expected.map(|(file, value)| (file, value.to_owned())));
        assert!(Bounds::default().values().is_empty());
        let most = Bounds { memory_kib: Some(u64::MAX), ..Bounds::default() };
        assert_eq!(most.values()[&Controller::Memory], u64::MAX.to_string());
    }

    /// A directory that stands in for what the kernel here does not offer.
    struct StandIn(PathBuf);

    impl StandIn {
        fn new(name: &str, offered: &str) -> StandIn {
            let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("cgroup.controllers"), offered).unwrap();
            std::fs::write(path.join("cgroup.subtree_control"), "").unwrap();
            StandIn(path)
        }

        fn read(&self, file: &str) -> String {
            std::fs::read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for StandIn {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn controllers_are_given_out_one_by_one_and_what_is_not_offered_is_told() {
        let place = StandIn::new("pillarbox-cgroup-given", "cpuset cpu pids\n");
        let subtree = Subtree::at(place.0.clone());
        assert_eq!(subtree.give_out(Controller::Pids), Ok(()));
        assert_eq!(place.read("cgroup.subtree_control"), "+pids");
        let told = subtree.give_out(Controller::Memory).unwrap_err();
        assert!(told.contains("not offered"), "{told}");
        assert_eq!(place.read("cgroup.subtree_control"), "+pids");
        // It is as the kernel writes it then, and nothing is asked for twice.
        std::fs::write(place.0.join("cgroup.subtree_control"), "cpu pids\n").unwrap();
        assert_eq!(subtree.give_out(Controller::Cpu), Ok(()));
        assert_eq!(place.read("cgroup.subtree_control"), "cpu pids\n");
        assert_eq!(subtree.controllers(), [Controller::Pids, Controller::Cpu]);
        std::fs::remove_file(place.0.join("cgroup.subtree_control")).unwrap();
        assert!(subtree.give_out(Controller::Cpu).unwrap_err().contains("cannot be given out"));
    }

    #[test]
    fn a_limit_is_written_into_the_leaf_and_a_file_that_is_missing_is_told() {
        let place = StandIn::new("pillarbox-cgroup-leaf", "cpu\n");
        let leaf = Leaf::make(&place.0.join("service.a.1.1")).unwrap();
        let missing = leaf.set(Controller::Memory, "1").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        std::fs::write(place.0.join("service.a.1.1/cpu.max"), "max 100000\n").unwrap();
        leaf.set(Controller::Cpu, "50000 100000").unwrap();
        assert!(place.read("service.a.1.1/cpu.max").starts_with("50000 100000"));
    }

    #[test]
    fn a_leaf_that_somebody_has_is_not_swept_away() {
        let place = StandIn::new("pillarbox-cgroup-swept", "");
        let mut cgroups = Cgroups { subtree: Subtree::at(place.0.clone()), leaves: 0 };
        std::fs::create_dir(place.0.join("service.left.7.1")).unwrap();
        std::fs::create_dir(place.0.join("somebodys")).unwrap();
        cgroups.sweep();
        let kept = cgroups.make("kept").unwrap();
        assert!(!place.0.join("service.left.7.1").exists(), "a dead server's is gone");
        assert!(place.0.join("somebodys").exists(), "what is not a leaf is left alone");
        cgroups.sweep();
        let name = format!("service.kept.{}.1", std::process::id());
        assert!(place.0.join(&name).exists());
        drop(kept);
        cgroups.sweep();
        assert!(!place.0.join(&name).exists());
    }

    #[test]
    fn a_name_that_is_in_use_is_passed_over() {
        let place = StandIn::new("pillarbox-cgroup-name", "");
        let mut cgroups = Cgroups { subtree: Subtree::at(place.0.clone()), leaves: 0 };
        let used = place.0.join(name("a", std::process::id(), 1));
        let _used = Leaf::make(&used).unwrap();
        assert!(cgroups.make("a").is_ok());
        assert_eq!(cgroups.leaves, 2);
    }
}
