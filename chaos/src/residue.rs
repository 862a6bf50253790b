//! What a process holds of the system's: it must come back to what it was.

use std::fs;

/// Counts of what could leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Residue {
    descriptors: usize,
    mappings: usize,
    threads: usize,
    children: usize,
    named: Vec<String>,
}

impl Residue {
    /// What this process holds now.
    pub(crate) fn now() -> Residue {
        Residue {
            // The folder that is read is one of them, each time.
            descriptors: entries("/proc/self/fd"),
            mappings: mapped().len(),
            threads: threads(),
            children: children(),
            named: named(),
        }
    }

    /// Whether this is no more than there was `before`.
    pub(crate) fn is_within(&self, before: &Residue) -> bool {
        self.descriptors <= before.descriptors
            && self.mappings <= before.mappings
            && self.threads <= before.threads
            && self.children <= before.children
            && self.named.iter().all(|name| before.named.contains(name))
    }
}

/// The memory files that are mapped, as the kernel lists them.
pub(crate) fn mapped() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter(|line| line.contains("memfd:")).map(str::to_owned).collect()
}

fn entries(dir: &str) -> usize {
    fs::read_dir(dir).map_or(0, |entries| entries.flatten().count())
}

/// The thread that closes what peers sent starts when it is first needed, and
/// stays.
fn threads() -> usize {
    let Ok(own) = fs::read_dir("/proc/self/task") else { return 0 };
    own.flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok())
        .filter(|name| name.trim() != "pillarbox-close")
        .count()
}

fn children() -> usize {
    let Ok(own) = fs::read_dir("/proc/self/task") else { return 0 };
    own.flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .map(|children| children.split_whitespace().count())
        .sum()
}

/// Others on this machine use the place too.
fn named() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/dev/shm") else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("pillarbox")).collect()
}
/// Bytes of memory a process has resident.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
