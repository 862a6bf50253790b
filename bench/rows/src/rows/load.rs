//! The bootstrap server under load: many services declared, many names, many clients.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use boot::Server;
use boot::service::find;
use pillarbox::bootstrap::{BOOTSTRAP, Bootstrap};
use pillarbox::{Capacity, Right, Task};

use super::idle::{Bytes, resident};
use super::server::patience;
use crate::child::{Casting, Child, Stage};
use crate::clock::{now_ns, sample, sampled};
use crate::figure::Slice;
use crate::place::Place;
use crate::row::Row;
use crate::runner::{Contender, Effort, Entrant, Side};

/// The part of a server that reads service files and says when it answers.
pub(super) const DECLARES: &str = "declares";
/// The part of a server that keeps names.
pub(super) const NAMES: &str = "names";

/// Services that are declared. None of them runs.
const SERVICES: u32 = 1_000;

/// A folder of service files, which goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = place("services");
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder(path);
        for number in 0..SERVICES {
            let text = format!(
                "program = \"/usr/libexec/service-{number}\"\n\
                 arguments = [\"--number\", \"{number}\"]\n\
                 names = [\"com.example.service-{number}\"]\n"
            );
            fs::write(folder.0.join(format!("service-{number}.toml")), text)?;
        }
        Ok(folder)
    }

    /// A server with these services, and when it has answered.
    fn served(&self) -> Result<(Child, u64)> {
        let casting = Casting::of(DECLARES, Place::Anywhere).argument(self.0.display());
        let mut server = casting.start()?;
        let answered = server.line.hear().context("the server did not answer")?;
        Ok((server, answered))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A path of this process's own.
fn place(what: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pillarbox-bench-{}-{what}", std::process::id()))
}

struct Boots {
    folder: Folder,
    server: Option<Child>,
}

impl Contender for Boots {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        sampled(span, || {
            // The last one ends before the next begins.
            self.server = None;
            let begun = now_ns();
            let (server, answered) = self.folder.served()?;
            self.server = Some(server);
            Ok(u32::try_from(answered.saturating_sub(begun)).unwrap_or(u32::MAX))
        })
    }
}

pub(super) fn boots(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let ours = Boots { folder: Folder::new()?, server: None };
    Ok(vec![Entrant::new("pillarbox", Side::Ours, ours)])
}

pub(super) fn declared_bytes(_: &Row, _: &Effort) -> Result<Vec<Entrant>> {
    let folder = Folder::new()?;
    let (mut server, _) = folder.served()?;
    server.line.say(0)?;
    let bytes = server.line.hear().context("the server did not say what it has")?;
    let ours = Bytes::of(1, bytes, vec![server]);
    Ok(vec![Entrant::new("pillarbox", Side::Ours, ours)])
}

/// Declares what it finds, answers, and says when, and what it has in memory.
pub(super) fn declare(stage: &mut Stage) -> Result<()> {
    let folder = PathBuf::from(stage.arguments.first().context("no folder to look into")?);
    let mut server = Server::new(&Task::current()?)?;
    for found in find(&[folder])? {
        let file = found.file.map_err(|problems| anyhow!("{problems:?}"))?;
        server = server.service(found.label, file)?;
    }
    let serving = server.start()?;
    let names = Bootstrap::new(serving.right().clone()).list(patience())?;
    let answered = now_ns();
    ensure!(names.len() == SERVICES as usize, "{} names are there", names.len());
    stage.line.say(answered)?;
    drop(names);
    if stage.line.hear().is_ok() {
        stage.line.say(resident()?)?;
        let _ = stage.line.hear();
    }
    Ok(())
}

/// Names and clients where the effort's scale is large, and where it is one.
const MANY: (usize, usize) = (10_000, 1_000);
const FEW: (usize, usize) = (2_000, 100);

struct LookUps {
    clients: Vec<(Task, Bootstrap)>,
    /// How many names are looked up.
    held: usize,
    turn: usize,
    _server: Child,
}

/// Of so many names, those that the server's own task has. The others are declared, and
/// nobody has them: a right to a third task would be introduced, which another row is of.
const fn held(names: usize) -> usize {
    names * 2 / 5
}

fn name(number: usize) -> String {
    format!("com.example.name-{number}")
}

/// A task of its own that is linked with the server.
fn client(path: &Path) -> Result<(Task, Bootstrap)> {
    let task = Task::new();
    let right = task.connect(path, patience())?.remove(BOOTSTRAP).map(Right::into_send);
    let right = right.and_then(Result::ok).context("the server offers no right")?;
    Ok((task, Bootstrap::new(right)))
}

impl Contender for LookUps {
    fn slice(&mut self, span: Duration) -> Result<Slice> {
        sampled(span, || {
            // Another client each time, and a name that is not the neighbour of the last.
            self.turn += 1;
            let (_, client) = &self.clients[self.turn % self.clients.len()];
            let name = name(self.turn * 7_919 % self.held);
            let begun = Instant::now();
            let right = client.look_up_running(&name, patience())?;
            let found = Instant::now();
            drop(right);
            Ok(sample(found.saturating_duration_since(begun)))
        })
    }
}

impl Drop for LookUps {
    fn drop(&mut self) {
        for (task, _) in &self.clients {
            task.close();
        }
        // The server is killed, and leaves it.
        let _ = fs::remove_file(place("names.sock"));
    }
}

pub(super) fn look_ups(_: &Row, effort: &Effort) -> Result<Vec<Entrant>> {
    let (names, clients) = if effort.scale >= 4 { MANY } else { FEW };
    let path = place("names.sock");
    let casting = Casting::of(NAMES, Place::Anywhere).argument(path.display()).argument(names);
    let mut server = casting.start()?;
    server.line.hear().context("the server does not listen")?;
    let clients = (0..clients).map(|_| client(&path)).collect::<Result<Vec<_>>>()?;
    let ours = LookUps { clients, held: held(names), turn: 0, _server: server };
    Ok(vec![Entrant::new("pillarbox", Side::Ours, ours)])
}

/// Keeps names, until the parent has gone.
pub(super) fn keep_names(stage: &mut Stage) -> Result<()> {
    let path = stage.arguments.first().context("no place to listen at")?.clone();
    let count = stage.number(1)?;
    let task = Task::current()?;
    let declared: Vec<String> = (held(count)..count).map(name).collect();
    let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
    let server = Server::new(&task)?.on_demand_many(&declared, || Command::new("/bin/true"))?;
    let serving = server.listen(path)?.start()?;
    let names = Bootstrap::new(serving.right().clone());
    let port = task.port(Capacity::Bounded(16));
    for number in 0..held(count) {
        names.check_in(&name(number), &port, patience())?;
    }
    stage.line.say(1)?;
    let _ = stage.line.hear();
    drop(serving);
    Ok(())
}
