//! Work shared among three processes, one of which is killed in the midst of it.
//!
//! The parent owns the mailbox and hands out twelve pieces of work. The first
//! worker that reports is killed; what it had not acknowledged goes to the others.
// run: cargo run --example shared_work
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::HashSet;
use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Spawn, Task};

const PIECES: u64 = 12;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("worker") { worker() } else { owner() }
}

fn owner() -> Result<(), Box<dyn Error>> {
    let task = Task::current()?;
    let work = task.port(Capacity::Unbounded);
    let post = work.make_send()?;
    let reports = task.port(Capacity::Unbounded);
    let mut mailbox = SharedMailbox::new(work, Policy::LeastLoaded);
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(start(&mailbox, &reports)?);
    }
    for piece in 0..PIECES {
        post.send(Message::new("a piece").with_tag(piece), Deadline::Never)?;
    }
    let mut done = HashSet::new();
    let mut killed = false;
    while (done.len() as u64) < PIECES || mailbox.status().held > 0 {
        mailbox.serve(soon(10))?;
        while let Ok(report) = reports.receive(Deadline::Now) {
            let pid = report.sender().map_or(0, |sender| sender.pid);
            println!("worker {pid} did piece {}", report.tag());
            done.insert(report.tag());
            if let Some(worker) = workers.iter_mut().find(|it| i64::from(it.id()) == i64::from(pid))
                && !killed
            {
                killed = true;
                worker.kill()?;
                println!("worker {pid} is killed");
            }
        }
    }
    // Without the mailbox nothing comes any more, and the workers end.
    drop(mailbox);
    for mut worker in workers {
        worker.wait()?;
    }
    println!("all {} pieces are done", done.len());
    Ok(())
}

fn start(mailbox: &SharedMailbox, reports: &ReceiveRight) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("worker");
    let child = Spawn::new(command).right("work", mailbox.reader_right()?);
    Ok(child.right("report", reports.make_send()?).spawn()?)
}

fn worker() -> Result<(), Box<dyn Error>> {
    let task = Task::current()?;
    let right = |name: &str| -> Result<SendRight, Box<dyn Error>> {
        let right = task.inherited(name, soon(2_000)).ok_or("the parent gave no right")?;
        right.into_send().map_err(|_| "not a send right".into())
    };
    let report = right("report")?;
    let mut reader = SharedReader::attach(&task, right("work")?, 2, soon(2_000))?;
    while let Some(piece) = reader.receive(Deadline::Never)? {
        // What takes long is done here.
        report.send(Message::new("done").with_tag(piece.message().tag()), soon(2_000))?;
        piece.acknowledge(soon(2_000))?;
    }
    Ok(())
}

fn soon(millis: u64) -> Deadline {
    Deadline::after(Duration::from_millis(millis))
}
