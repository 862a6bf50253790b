//! What is there when nothing happens: how often anybody runs, and what links and
//! rights cost in memory.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Task};
use rustix::process::{Resource, getrlimit};

use super::server::{BODY, ECHO, PLACES, SERVER, given, hello, patience};
use crate::child::{Casting, Child, Stage};
use crate::figure::Slice;
use crate::place::Place;
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of a client that has called and now waits.
pub(super) const WAITS: &str = "waiter";
/// The part of a task that many others are linked with.
pub(super) const HUB: &str = "hub";
/// The part of those many.
pub(super) const SPOKES: &str = "spokes";
/// The part of who has many ports, and gives rights to them.
pub(super) const GIVES: &str = "giver";
/// The part of who keeps many rights.
pub(super) const KEEPS: &str = "keeper";

/// How often the threads of a process have run.
fn runs(child: &Child) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", child.pid())).into_iter().flatten();
    let switches = |thread: fs::DirEntry| -> u64 {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.filter_map(|line| line.rsplit('\t').next()?.trim().parse::<u64>().ok()).sum()
    };
    threads.flatten().map(switches).sum()
}

struct Idle {
    task: Task,
    server: Child,
    client: Child,
    span: Duration,
}

impl Idle {
    fn runs(&self) -> u64 {
        runs(&self.server) + runs(&self.client)
    }
}

impl Contender for Idle {
    fn slice(&mut self, _: Duration) -> Result<Slice> {
        // Until everybody sleeps where it will stay.
        let until = Instant::now() + Duration::from_secs(20);
        let (mut last, mut alike) = (self.runs(), 0);
        while alike < 4 {
            ensure!(Instant::now() < until, "the pair does not come to rest");
            std::thread::sleep(Duration::from_millis(50));
            let now = self.runs();
            alike = if now == last { alike + 1 } else { 0 };
            last = now;
        }
        std::thread::sleep(self.span);
        let ran = self.runs() - last;
        Ok(Slice { operations: 1, value: Some(ran as f64), elapsed: self.span, ..Slice::default() })
    }

    fn children(&self) -> Vec<&Child> {
        vec![&self.server, &self.client]
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.task.close();
    }
}

pub(super) fn idle(_: &Row, effort: &Effort) -> Result<Vec<Entrant>> {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let casting = Casting::of(SERVER, Place::Anywhere).argument(PLACES).argument(1);
    let server = casting.start_from(&task, [("client", inbox.make_send()?)])?;
    let post = hello(&inbox)?;
    let mut client = Casting::of(WAITS, Place::Anywhere).start_from(&task, [("server", post)])?;
    client.line.hear().context("the client did not call")?;
    let ours = Idle { task, server, client, span: effort.idle };
    Ok(vec![Entrant::new("pillarbox", Side::Ours, ours)])
}

/// Calls for a while, and then waits for what never comes.
pub(super) fn wait(stage: &mut Stage) -> Result<()> {
    let task = Task::current()?;
    let inbox = task.port(Capacity::Bounded(1));
    let server = given(&task, "server")?;
    for _ in 0..1000 {
        server.call(Message::new(BODY).with_id(ECHO), patience())?;
    }
    stage.line.say(1)?;
    while inbox.receive(Deadline::Never).is_ok() {}
    Ok(())
}

/// Bytes this process has in memory, alone or shared.
pub(super) fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let sum = kilobytes("RssAnon:").zip(kilobytes("RssShmem:")).map(|(one, other)| one + other);
    Ok(1024 * sum.context("the kernel does not say how much memory we have")?)
}

/// Measured once: so many things, and the bytes they cost.
pub(super) struct Bytes {
    count: u64,
    bytes: u64,
    /// What costs it, until it was told.
    _children: Vec<Child>,
}

impl Bytes {
    /// So many things, and what they cost; the children are kept until it was told.
    pub(super) fn of(count: u64, bytes: u64, children: Vec<Child>) -> Self {
        Bytes { count, bytes, _children: children }
    }
}

impl Contender for Bytes {
    fn slice(&mut self, _: Duration) -> Result<Slice> {
        let value = self.bytes as f64 / self.count as f64;
        Ok(Slice { operations: self.count, value: Some(value), ..Slice::default() })
    }
}

/// Links where the effort's scale is one: ten thousand in a full run, or as many as the
/// limit of descriptors lets the hub have.
const LINKS: u64 = 200;

/// What a link needs of it: a socket, and what tells of the other process's end.
const LINK_DESCRIPTORS: u64 = 2;

/// What else the hub has open.
const OWN_DESCRIPTORS: u64 = 100;

/// Tasks in one process of those the hub is linked with: they have descriptors of their own.
const IN_ONE_PROCESS: u64 = 1000;

pub(super) fn links(_: &Row, effort: &Effort) -> Result<Vec<Entrant>> {
    let may = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let fit = may.saturating_sub(OWN_DESCRIPTORS) / LINK_DESCRIPTORS;
    let count = (LINKS * effort.scale as u64).min(fit);
    let place = std::env::temp_dir().join(format!("pillarbox-bench-{}.sock", std::process::id()));
    let place = place.to_str().context("the temporary folder has a name that is no text")?;
    let mut hub = Casting::of(HUB, Place::Anywhere).argument(place).start()?;
    let before = hub.line.hear().context("the hub does not listen")?;
    let mut children = Vec::new();
    let mut left = count;
    while left > 0 {
        let some = left.min(IN_ONE_PROCESS);
        let casting = Casting::of(SPOKES, Place::Anywhere).argument(place).argument(some);
        let mut spokes = casting.start()?;
        spokes.line.hear().context("the links could not be made")?;
        children.push(spokes);
        left -= some;
    }
    hub.line.say(0)?;
    let after = hub.line.hear()?;
    hub.line.say(0)?;
    let _ = hub.line.hear();
    children.push(hub);
    let bytes = after.saturating_sub(before);
    let ours = Bytes { count, bytes, _children: children };
    Ok(vec![Entrant::new("pillarbox", Side::Ours, ours)])
}

/// Says what it has in memory, whenever it is asked.
pub(super) fn hub(stage: &mut Stage) -> Result<()> {
    let place = stage.arguments.first().context("no place to listen at")?;
    let task = Task::current()?;
    let inbox = task.port(Capacity::Bounded(1));
    let listening = task.listen(place, vec![("hub".to_owned(), inbox.make_send()?)])?;
    stage.line.say(resident()?)?;
    stage.line.hear()?;
    stage.line.say(resident()?)?;
    // The file goes before we do.
    stage.line.hear()?;
    drop(listening);
    stage.line.say(0)?;
    let _ = stage.line.hear();
    Ok(())
}

/// Makes many tasks, each of which is linked with the hub.
pub(super) fn spokes(stage: &mut Stage) -> Result<()> {
    let place = stage.arguments.first().context("no place to connect to")?.clone();
    let count = stage.number(1)?;
    let mut kept = Vec::new();
    for _ in 0..count {
        let task = Task::new();
        let rights = task.connect(&place, patience())?;
        kept.push((task, rights));
    }
    stage.line.say(1)?;
    let _ = stage.line.hear();
    Ok(())
}

/// Tasks among which the rights are spread.
const KEEPERS: usize = 10;

/// Rights where the effort's scale is one: 10⁶ in a full run.
const RIGHTS: u64 = 20_000;

pub(super) fn rights(_: &Row, effort: &Effort) -> Result<Vec<Entrant>> {
    let count = RIGHTS * effort.scale as u64;
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let mut keepers = Vec::new();
    let mut posts: Vec<(&'static str, SendRight)> = Vec::new();
    let mut before = 0;
    for name in NAMES {
        let parent = inbox.make_send()?;
        let casting = Casting::of(KEEPS, Place::Anywhere);
        let mut keeper = casting.start_from(&task, [("parent", parent)])?;
        posts.push((name, hello(&inbox)?));
        before += keeper.line.hear()?;
        keepers.push(keeper);
    }
    let casting = Casting::of(GIVES, Place::Anywhere).argument(count / KEEPERS as u64);
    let mut giver = casting.start_from(&task, posts)?;
    giver.line.hear().context("the rights could not be given")?;
    let mut after = 0;
    for keeper in &mut keepers {
        keeper.line.say(0)?;
        after += keeper.line.hear()?;
    }
    task.close();
    keepers.push(giver);
    let bytes = u64::saturating_sub(after, before);
    let ours = Bytes { count, bytes, _children: keepers };
    Ok(vec![Entrant::new("pillarbox", Side::Ours, ours)])
}

/// What the giver calls the rights to the keepers.
const NAMES: [&str; KEEPERS] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// Rights in one message.
const TOGETHER: usize = 100;

/// Makes ports and gives every keeper rights to some.
pub(super) fn give(stage: &mut Stage) -> Result<()> {
    let each = stage.number(0)?;
    let task = Task::current()?;
    let mut ports: Vec<ReceiveRight> = Vec::new();
    for name in NAMES {
        let keeper = given(&task, name)?;
        let mut left = each;
        while left > 0 {
            let some = left.min(TOGETHER);
            let mut message = Message::new("");
            for _ in 0..some {
                let port = task.port(Capacity::Bounded(1));
                message = message.with_right(port.make_send()?);
                ports.push(port);
            }
            // Answered when it was taken.
            keeper.call(message, patience())?;
            left -= some;
        }
    }
    stage.line.say(ports.len() as u64)?;
    let _ = stage.line.hear();
    Ok(())
}

/// Keeps every right it is sent.
pub(super) fn keep(stage: &mut Stage) -> Result<()> {
    let task = Task::current()?;
    let inbox = task.port(Capacity::Bounded(16));
    let parent = given(&task, "parent")?;
    parent.send(Message::new("").with_right(inbox.make_send()?), patience())?;
    stage.line.say(resident()?)?;
    std::thread::spawn(move || -> Result<()> {
        let mut kept = Vec::new();
        loop {
            let mut message = inbox.receive(Deadline::Never)?;
            kept.extend(message.take_rights());
            message.reply(Message::new(""), patience())?;
        }
    });
    stage.line.hear()?;
    stage.line.say(resident()?)?;
    let _ = stage.line.hear();
    Ok(())
}
