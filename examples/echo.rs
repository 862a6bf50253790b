//! Two processes: a parent that calls, and a child that answers.
//!
//! The parent starts itself again as a child and gives it one right. The child
//! sends a right of its own through it; from then on the two call and answer
//! through shared memory, with nobody in between.
// run: cargo run --example echo
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use pillarbox::{Capacity, Deadline, Message, Spawn, Task};

const CALLS: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("child") { echo() } else { call() }
}

/// The child: whatever comes, it goes back.
fn echo() -> Result<(), Box<dyn Error>> {
    let task = Task::current()?;
    let port = task.port(Capacity::Bounded(16));
    let parent = task.inherited("parent", Deadline::Never).ok_or("no parent")?;
    let parent = parent.into_send().map_err(|_| "not a send right")?;
    parent.send(Message::new("ready").with_right(port.make_send()?), Deadline::Never)?;
    loop {
        let mut request = port.receive(Deadline::Never)?;
        if request.body() == b"end" {
            return Ok(());
        }
        let answer = Message::new(request.body());
        request.reply(answer, Deadline::Never)?;
    }
}

/// The parent: a thousand calls, and how long they took.
fn call() -> Result<(), Box<dyn Error>> {
    let inbox = Task::current()?.port(Capacity::Bounded(16));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("child");
    let mut child = Spawn::new(command).right("parent", inbox.make_send()?).spawn()?;
    println!("the child is process {}", child.id());

    let mut ready = inbox.receive(Deadline::after(Duration::from_secs(1)))?;
    let echo = ready.take_rights().pop().ok_or("no right came")?;
    let echo = echo.into_send().map_err(|_| "not a send right")?;

    let mut took: Vec<Duration> = Vec::new();
    for number in 0..CALLS {
        let begin = Instant::now();
        let answer = echo.call(Message::new(number.to_string()), Deadline::Never)?;
        took.push(begin.elapsed());
        assert_eq!(answer.body(), number.to_string().as_bytes());
    }
    took.sort_unstable();
    println!("{CALLS} calls to another process and back:");
    println!(
        "  fastest {:?}, half of them within {:?}, slowest {:?}",
        took[0], took[500], took[999]
    );

    echo.send(Message::new("end"), Deadline::Never)?;
    println!("the child ended with {}", child.wait()?);
    Ok(())
}
