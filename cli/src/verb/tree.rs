//! `pillarbox tree`: who holds which rights to what, and who waits there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use pillarbox::kernel::{Line, PortCounts};
use pillarbox::{Holding, TaskId};
use serde::Serialize;

use crate::argument::{self, Patience};
use crate::asking::Asking;
use crate::failure::{Failure, Kind};
use crate::output::{self, Reader};
use crate::server::Place;
use crate::watch::{self, Depth, Said, Told, Watched};

/// How long the server may take.
const USUAL: Duration = Duration::from_secs(5);

/// The end of `--help`, before the exit codes.
pub(crate) const HELP: &str = "\
Every task that may be looked at tells which ports it has, who holds rights to them, what
is queued, who waits for a place or a message, and what it holds of others; what it does
not tell within 250 ms is left out, and the task marked. It is the task's own word. Who
only holds rights is told by those it holds them of: a process by its number, and, in
parentheses, by what /proc calls it, which is advisory.

Ports of no name that nobody else holds anything of, where nothing waits, are left out
without --all. `kernel` is the port at which the task itself is asked.

Examples:
  pillarbox tree
  pillarbox tree com.example.upper
  pillarbox tree --json | jq -r '.ports[] | select(.queued > 0).names[]'

JSON, one object for each task: \"task\", \"pid\", \"uid\", \"names\", \"seen\", \"answered\",
  \"more_ports\"; \"ports\", each with \"port\", \"names\", \"kernel\", \"queued\", \"capacity\"
  (null: unbounded), \"taken\", \"dropped\", \"refused\", \"waiting_receivers\",
  \"waiting_senders\", \"waiting\" (\"task\", \"pid\") and \"holders\" (\"holding\", \"task\",
  \"pid\", \"count\"; null: the task itself); and \"holds\": \"holding\", \"task\", \"pid\",
  \"count\".";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A name, or the pid of a process: only its tasks
    #[arg(value_name = "NAME|PID")]
    what: Option<OsString>,
    /// Show ports too at which there is nothing to see
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    patience: Patience,
    /// Print one object for each task
    #[arg(long)]
    pub(crate) json: bool,
}

/// The object `--json` prints for each task.
#[derive(Serialize)]
struct Object<'a> {
    task: String,
    pid: i32,
    uid: u32,
    names: Vec<&'a str>,
    seen: bool,
    answered: bool,
    more_ports: bool,
    ports: Vec<Port<'a>>,
    holds: Vec<Held>,
}

/// One port, and who has to do with it.
#[derive(Serialize)]
pub(crate) struct Port<'a> {
    port: u64,
    names: Vec<&'a str>,
    kernel: bool,
    queued: u64,
    capacity: Option<u64>,
    taken: u64,
    dropped: u64,
    refused: u64,
    pub(crate) waiting_receivers: u64,
    pub(crate) waiting_senders: u64,
    pub(crate) waiting: Vec<Who>,
    pub(crate) holders: Vec<Held>,
}

/// A task, as another one knows it.
#[derive(Serialize)]
pub(crate) struct Who {
    task: String,
    pid: Option<i32>,
}

/// Rights of one sort that somebody holds.
#[derive(Serialize)]
pub(crate) struct Held {
    holding: &'static str,
    #[serde(flatten)]
    who: Option<Who>,
    count: u64,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<ExitCode, Failure> {
    let deadline = arguments.patience.or(USUAL);
    let mut all = watch::everybody(place, Depth::Rights, Asking::of_a_list, deadline)?;
    if let Some(what) = &arguments.what {
        let what = argument::name(what)?;
        let named = |task: &Watched| task.names.iter().any(|name| name.name == what);
        if all.iter().any(named) {
            all.retain(named);
        } else {
            all.retain(|task| what.parse() == Ok(task.pid));
        }
        if all.is_empty() {
            return Err(Failure::new(Kind::NoSuchName, format!("nobody has the name {what}"))
                .hint(
                    "`pillarbox tree` shows all there are; one that is not running has no task",
                ));
        }
    }
    for (at, task) in all.iter().enumerate() {
        let reader = if arguments.json {
            output::json(&object(task, arguments.all))?
        } else {
            let gap: &[u8] = if at == 0 { b"" } else { b"\n" };
            output::bytes(&[gap, text(task, arguments.all).as_bytes()])?
        };
        if reader == Reader::Gone {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The sorts of rights others hold to a port, and the words for them.
const TO_A_PORT: [(Holding, &str); 6] = [
    (Holding::OwnSend, "send"),
    (Holding::OwnSendOnce, "send-once"),
    (Holding::ExportedSend, "send"),
    (Holding::ExportedSendOnce, "send-once"),
    (Holding::Given, "given"),
    (Holding::Dead, "dead"),
];

/// The sorts of rights a task holds of others.
const OF_OTHERS: [(Holding, &str); 4] = [
    (Holding::ImportedSend, "send"),
    (Holding::ImportedSendOnce, "send-once"),
    (Holding::Joining, "joining"),
    (Holding::Dead, "dead"),
];

/// The word for what a line says is held. What is none of these is left out: a task may
/// say what it likes.
fn word(line: &Line, words: &[(Holding, &'static str)]) -> Option<&'static str> {
    words.iter().find(|(holding, _)| holding.name() == line.holding).map(|(_, word)| *word)
}

/// A task by its process, as far as this one knows it.
fn who(told: &Told, (process, number): (u64, u64)) -> Who {
    let here =
        |peer: &&pillarbox::kernel::Identity| (peer.process, peer.number) == (process, number);
    let pid = told.peers.iter().find(here).map(|peer| peer.pid);
    Who { task: TaskId { process, number }.to_string(), pid }
}

/// The ports of a task, and who has to do with each.
pub(crate) fn ports<'a>(task: &'a Watched, told: &'a Told) -> Vec<Port<'a>> {
    let mut holders: BTreeMap<u64, Vec<Held>> = BTreeMap::new();
    for line in &told.rights {
        let imported = OF_OTHERS.iter().any(|(holding, _)| holding.name() == line.holding);
        // What is dead may be either; of a port of its own it is told there.
        let ours = !imported || told.counts.ports.iter().any(|port| port.port == line.port);
        if let Some(holding) = word(line, &TO_A_PORT).filter(|_| ours) {
            let who = line.peer.map(|peer| who(told, peer));
            holders.entry(line.port).or_default().push(Held { holding, who, count: line.count });
        }
    }
    let port = |port: &PortCounts| Port {
        port: port.port,
        names: task.names_of(port.port),
        kernel: told.kernel == Some(port.port),
        queued: port.queued,
        capacity: port.capacity,
        taken: port.taken,
        dropped: port.dropped,
        refused: port.refused,
        waiting_receivers: port.waiting_receivers,
        waiting_senders: port.waiting_senders,
        waiting: port
            .waiting
            .iter()
            .map(|&waiting| {
                if waiting == (task.task.process, task.task.number) {
                    Who { task: task.task.to_string(), pid: Some(task.pid) }
                } else {
                    who(told, waiting)
                }
            })
            .collect(),
        holders: holders.remove(&port.port).unwrap_or_default(),
    };
    told.counts.ports.iter().map(port).collect()
}

/// What a task holds of others, added up for each.
fn holds(told: &Told) -> Vec<Held> {
    let mut sums: BTreeMap<((u64, u64), &'static str), u64> = BTreeMap::new();
    for line in &told.rights {
        let own = told.counts.ports.iter().any(|port| port.port == line.port);
        let dead = line.holding == Holding::Dead.name();
        if let (Some(peer), Some(word), false) = (line.peer, word(line, &OF_OTHERS), dead && own) {
            let sum = sums.entry((peer, word)).or_default();
            *sum = sum.saturating_add(line.count);
        }
    }
    let held = |((peer, holding), count)| Held { holding, who: Some(who(told, peer)), count };
    sums.into_iter().map(held).collect()
}

impl Port<'_> {
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// Whether there is anything to see but the port itself.
    fn stirs(&self) -> bool {
        !self.names.is_empty()
            || self.queued + self.waiting_senders + self.dropped > 0
            || self.holders.iter().any(|held| held.who.is_some())
    }
}

fn object(task: &Watched, all: bool) -> Object<'_> {
    let told = task.told();
    let mut ports = told.map_or_else(Vec::new, |told| ports(task, told));
    ports.retain(|port| all || port.stirs());
    Object {
        task: task.task.to_string(),
        pid: task.pid,
        uid: task.uid,
        names: task.names.iter().map(|name| name.name.as_str()).collect(),
        seen: !matches!(task.said, Said::Unseen),
        answered: told.is_some(),
        more_ports: told.is_some_and(|told| told.counts.next.is_some()),
        ports,
        holds: told.map_or_else(Vec::new, holds),
    }
}

/// A process by its number, and what it is called.
fn process(pid: i32) -> String {
    match watch::called(pid) {
        Some(called) => format!("pid {pid} ({called})"),
        None => format!("pid {pid}"),
    }
}

impl Who {
    pub(crate) fn text(&self) -> String {
        self.pid.map_or_else(|| format!("task {}", self.task), process)
    }
}

impl Held {
    pub(crate) fn text(&self) -> String {
        let who = self.who.as_ref().map_or("the task itself".to_owned(), Who::text);
        format!("{who}: {} {}", self.count, self.holding)
    }
}

fn text(task: &Watched, all: bool) -> String {
    let object = object(task, all);
    let names = if object.names.is_empty() { "-".to_owned() } else { object.names.join(" ") };
    let mark = match (object.seen, object.answered) {
        (false, _) => "  (not to be seen)",
        (true, false) => "  (does not answer)",
        (true, true) if object.more_ports => "  (and more ports)",
        (true, true) => "",
    };
    let mut lines = vec![format!("{}  uid {}  {names}{mark}", process(task.pid), task.uid)];
    let parts = object.ports.len() + usize::from(!object.holds.is_empty());
    for (at, port) in object.ports.iter().enumerate() {
        branch(&mut lines, at + 1 == parts, port_line(port), port_leaves(port));
    }
    if !object.holds.is_empty() {
        let leaves = object.holds.iter().map(Held::text).collect();
        branch(&mut lines, true, "holds of others".to_owned(), leaves);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn port_line(port: &Port<'_>) -> String {
    let of = port.capacity.map_or("no limit".to_owned(), |places| places.to_string());
    let mut line = format!("port {}", port.port);
    for name in &port.names {
        line.push_str(&format!("  {name}"));
    }
    if port.kernel {
        line.push_str("  kernel");
    }
    line.push_str(&format!("  {} of {of} queued, {} taken", port.queued, port.taken));
    for (count, what) in [(port.dropped, "dropped"), (port.refused, "refused")] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    for (count, one, many) in [
        (port.waiting_receivers, "receiver waits", "receivers wait"),
        (port.waiting_senders, "sender waits", "senders wait"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {}", if count == 1 { one } else { many }));
        }
    }
    line
}

fn port_leaves(port: &Port<'_>) -> Vec<String> {
    let holders = port.holders.iter().map(Held::text);
    let waiting = port.waiting.iter().map(|who| format!("{}: waits for a place", who.text()));
    holders.chain(waiting).collect()
}

/// Adds a branch and its leaves.
fn branch(lines: &mut Vec<String>, last: bool, head: String, leaves: Vec<String>) {
    lines.push(format!("{} {head}", if last { "└─" } else { "├─" }));
    let before = if last { "  " } else { "│ " };
    let count = leaves.len();
    for (at, leaf) in leaves.into_iter().enumerate() {
        lines.push(format!("{before} {} {leaf}", if at + 1 == count { "└─" } else { "├─" }));
    }
}
