//! What every task says of itself that may be looked at, asked of all at once.
//!
//! The server gives the rights to look; each task answers for itself, whatever its own
//! threads are doing. One that is stopped does not, and keeps nobody waiting. What a
//! task says is its own word: a number too large is shown, and believed by nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use boot::admin::Admin;
use pillarbox::bootstrap::Service;
use pillarbox::kernel::{Counts, Identity, Kernel, KernelError, Line, PortCounts};
use pillarbox::{Deadline, SendRight, Task, TaskId};

use crate::asking::Asking;
use crate::failure::Failure;
use crate::server::Place;

/// The most threads that ask.
const ASKERS: usize = 1024;

/// Rights that are presented in one question.
const PRESENTED: usize = 64;

/// Pages that are read of one task.
const PAGES: usize = 16;

/// A task, and what it said.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) task: TaskId,
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    /// Its names, in order.
    pub(crate) names: Vec<Name>,
    pub(crate) said: Said,
    pub(crate) memory: Memory,
    /// When it was asked.
    pub(crate) at: Instant,
}

/// A name, and the number of the port it leads to, as far as its owner says so.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) port: Option<u64>,
}

/// What a task said.
#[derive(Debug)]
pub(crate) enum Said {
    /// This.
    All(Box<Told>),
    /// Nothing in time, or nothing that makes sense.
    Nothing,
    /// Nobody asked: it gave the server no right to look at it.
    Unseen,
}

/// What a task said of itself.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) counts: Counts,
    /// The number of its kernel port.
    pub(crate) kernel: Option<u64>,
    pub(crate) rights: Vec<Line>,
    pub(crate) peers: Vec<Identity>,
}

/// The memory of a process, by the word of our own kernel.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) shared_bytes: Option<u64>,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What was counted.
    Counts,
    /// And who holds which rights.
    Rights,
}

impl Watched {
    pub(crate) fn told(&self) -> Option<&Told> {
        match &self.said {
            Said::All(told) => Some(told),
            Said::Nothing | Said::Unseen => None,
        }
    }

    pub(crate) fn ports(&self) -> &[PortCounts] {
        self.told().map_or(&[], |told| &told.counts.ports)
    }

    /// Its ports, but the one at which it is asked.
    pub(crate) fn own_ports(&self) -> impl Iterator<Item = &PortCounts> {
        let kernel = self.told().and_then(|told| told.kernel);
        self.ports().iter().filter(move |port| Some(port.port) != kernel)
    }

    /// The sum of something over those.
    pub(crate) fn sum(&self, of: impl Fn(&PortCounts) -> u64) -> u64 {
        self.own_ports().fold(0, |sum, port| sum.saturating_add(of(port)))
    }

    /// The names that lead to this port.
    pub(crate) fn names_of(&self, port: u64) -> Vec<&str> {
        let here = self.names.iter().filter(|name| name.port == Some(port));
        here.map(|name| name.name.as_str()).collect()
    }
}

/// Everybody who may be looked at or has a name, in the order of their processes.
pub(crate) fn everybody(
    place: &Place,
    depth: Depth,
    asking: fn() -> Asking,
    deadline: Deadline,
) -> Result<Vec<Watched>, Failure> {
    let server = place.reach(deadline)?;
    let seen = Admin::new(&server)
        .seen(deadline)
        .map_err(|error| Failure::admin(error, "to be looked at", &place.path()))?;
    let names = server.list(deadline).map_err(|error| Failure::bootstrap(error, &place.path()))?;
    let mut by_owner: HashMap<TaskId, Vec<(Service, SendRight)>> = HashMap::new();
    for (service, right) in names {
        if let Some(right) = right
            && let Some(owner) = right.owner()
        {
            by_owner.entry(owner).or_default().push((service, right));
        }
    }
    let asking = asking();
    let mut watched: BTreeMap<(i32, u64), Watched> = BTreeMap::new();
    std::thread::scope(|scope| {
        let askers: Vec<_> = seen
            .into_iter()
            .take(ASKERS)
            .map(|task| {
                let Identity { process, number, pid, uid, .. } = task.identity;
                let id = TaskId { process, number };
                let names = by_owner.remove(&id).unwrap_or_default();
                let shown: Vec<String> = names.iter().map(|(one, _)| one.name.clone()).collect();
                let ask = move || {
                    let ask = |until| ask(&task.kernel, &names, depth, until);
                    asking.ask(Some(pid), ask, |said| said.is_err())
                };
                // Without a thread, what that task says stays unknown.
                let asker = std::thread::Builder::new().stack_size(256 * 1024);
                (id, pid, uid, shown, asker.spawn_scoped(scope, ask).ok())
            })
            .collect();
        for (task, pid, uid, shown, asker) in askers {
            let answer = asker.and_then(|asker| asker.join().ok()?.ok());
            let (said, names) = match answer {
                Some((told, names)) => (Said::All(Box::new(told)), names),
                None => {
                    let unknown = shown.into_iter().map(|name| Name { name, port: None });
                    (Said::Nothing, unknown.collect())
                }
            };
            let (memory, at) = (memory(pid), Instant::now());
            let one = Watched { task, pid, uid, names, said, memory, at };
            watched.insert((pid, task.number), one);
        }
    });
    for (task, names) in by_owner {
        let Some((first, _)) = names.first() else { continue };
        let (pid, uid) = (first.pid.unwrap_or(0), first.uid.unwrap_or(0));
        let names = names.into_iter().map(|(one, _)| Name { name: one.name, port: None });
        let (names, memory, at) = (names.collect(), memory(pid), Instant::now());
        let one = Watched { task, pid, uid, names, said: Said::Unseen, memory, at };
        watched.insert((pid, task.number), one);
    }
    Ok(watched.into_values().collect())
}

fn ask(
    kernel: &Kernel,
    names: &[(Service, SendRight)],
    depth: Depth,
    deadline: Deadline,
) -> Result<(Told, Vec<Name>), KernelError> {
    let mut counts = kernel.counts(0, &[kernel.right().clone()], deadline)?;
    let own = counts.asked.first().copied().flatten();
    for _ in 1..PAGES {
        let Some(next) = counts.next else { break };
        let page = kernel.counts(next, &[], deadline)?;
        counts.ports.extend(page.ports);
        counts.next = page.next;
    }
    let mut known = Vec::with_capacity(names.len());
    for some in names.chunks(PRESENTED) {
        let rights: Vec<SendRight> = some.iter().map(|(_, right)| right.clone()).collect();
        let asked = kernel.counts(u64::MAX, &rights, deadline)?.asked;
        let ports = asked.into_iter().chain(std::iter::repeat(None));
        known.extend(
            some.iter().zip(ports).map(|((one, _), port)| Name { name: one.name.clone(), port }),
        );
    }
    let (mut rights, peers) = match depth {
        Depth::Counts => (Vec::new(), Vec::new()),
        Depth::Rights => (kernel.census(deadline)?, kernel.peers(deadline)?),
    };
    // What we hold to ask is not what was asked about.
    let us = Task::current().ok().map(|task| task.identity().task);
    rights.retain(|line| {
        let peer = line.peer.map(|(process, number)| TaskId { process, number });
        peer.is_none() || peer != us
    });
    let led: BTreeSet<u64> = known.iter().filter_map(|name| name.port).chain(own).collect();
    for port in &mut counts.ports {
        port.senders = port.senders.saturating_sub(u64::from(led.contains(&port.port)));
    }
    Ok((Told { counts, kernel: own, rights, peers }, known))
}

/// What our own kernel says of a process, if it is there and ours to see.
fn memory(pid: i32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Memory { resident_bytes: field("VmRSS:"), shared_bytes: field("RssShmem:") }
}

/// The word for a number of processes: what `/proc` says it is called now, which the
/// process itself can change.
pub(crate) fn called(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().escape_debug().to_string())
}
