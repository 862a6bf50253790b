//! A count that outlives whoever counts.
//!
//! Eight bytes of memory without a name, which the child has as its standard
//! input. A pipe would fill up and make the child wait; this never does, and
//! what was stored before a SIGKILL is there after it.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

#[derive(Debug)]
pub(crate) struct Tally(File);

impl Tally {
    /// A count at zero.
    pub(crate) fn new() -> Tally {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("tally", flags).expect("memory"));
        file.write_all_at(&[0; 64], 0).expect("memory can be written");
        Tally(file)
    }

    /// The standard input of the child that counts.
    pub(crate) fn for_child(&self) -> Stdio {
        self.0.try_clone().expect("a descriptor").into()
    }

    /// The count this process was started to keep.
    pub(crate) fn of_parent() -> Tally {
        let own = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
        Tally(File::from(own))
    }

    pub(crate) fn set(&self, count: u64) {
        self.0.write_all_at(&count.to_ne_bytes(), 0).expect("memory can be written");
    }

    pub(crate) fn get(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, 0).expect("memory can be read");
        u64::from_ne_bytes(bytes)
    }
}
