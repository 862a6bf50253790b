//! What a process holds of the system's: it must come back to what it was.

/// Counts of what could leak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Residue {
    descriptors: Vec<String>,
    mappings: usize,
    threads: usize,
    named: Vec<String>,
}

impl Residue {
    /// What is held now.
    pub(crate) fn now() -> Residue {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("we may read our maps");
        let named = std::fs::read_dir("/dev/shm").map_or_else(
            |_| Vec::new(),
            |entries| {
                let names = entries.flatten().map(|entry| entry.file_name());
                let mut names: Vec<String> =
                    names.map(|name| name.to_string_lossy().into_owned()).collect();
                // Others on this machine use the place too.
                names.retain(|name| name.contains("pillarbox"));
                names.sort();
                names
            },
        );
        Residue {
            descriptors: descriptors(),
            mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
            threads: threads().len(),
            named,
        }
    }
}

impl Residue {
    /// Whether this is no more than there was `before`. It may be less: a link
    /// whose end was known may not have been unmapped yet.
    pub(crate) fn is_within(&self, before: &Residue) -> bool {
        self.descriptors.len() <= before.descriptors.len()
            && self.mappings <= before.mappings
            && self.threads <= before.threads
            && self.named.iter().all(|name| before.named.contains(name))
    }
}

/// The names of our threads. The one that closes what peers sent is started when
/// it is first needed, and stays.
pub(crate) fn threads() -> Vec<String> {
    let own = std::fs::read_dir("/proc/self/task").expect("we may read our threads");
    let names =
        own.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.trim() != "pillarbox-close").collect()
}

/// What each open descriptor is, without its number: kinds, not inodes.
fn descriptors() -> Vec<String> {
    let own = std::fs::read_dir("/proc/self/fd").expect("we may read our descriptors");
    let mut kinds: Vec<String> = own
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| {
            let target = target.to_string_lossy().into_owned();
            target.split(":[").next().unwrap_or_default().to_owned()
        })
        .filter(|target| !target.ends_with("/fd"))
        .collect();
    kinds.sort();
    kinds
}
