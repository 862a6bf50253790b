//! Three processes: A gives B a right to C's port, and B uses it.
//!
//! A is the parent of both. C sends A a right to its port; A passes it on to B
//! in a message and is out of it: what B sends goes to C alone, and C sees, by
//! the kernel's word, that B sent it.
// run: cargo run --example give_a_right
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Spawn, Task};

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("b") => b(),
        Some("c") => c(),
        _ => a(),
    }
}

fn a() -> Result<(), Box<dyn Error>> {
    let inbox = Task::current()?.port(Capacity::Bounded(4));
    let (mut b, to_b) = start("b", &inbox)?;
    let (mut c, to_c) = start("c", &inbox)?;
    println!("A is {}, B is {}, C is {}", std::process::id(), b.id(), c.id());

    to_b.send(Message::new("here is C").with_right(to_c), Deadline::Never)?;
    println!("A has given its right to C away");

    let report = inbox.receive(soon())?;
    println!("C says: {}", String::from_utf8_lossy(report.body()));
    assert_eq!(report.body(), format!("got \"hello\" from {}", b.id()).as_bytes());
    println!("B ended with {}, C with {}", b.wait()?, c.wait()?);
    Ok(())
}

/// Waits for a right to somebody, and greets them.
fn b() -> Result<(), Box<dyn Error>> {
    let port = meet_a()?.0;
    let mut message = port.receive(soon())?;
    let somebody = right_in(&mut message)?;
    somebody.send(Message::new("hello"), soon())?;
    Ok(())
}

/// Tells A who it was that sent something.
fn c() -> Result<(), Box<dyn Error>> {
    let (port, to_a) = meet_a()?;
    let message = port.receive(soon())?;
    let sender = message.sender().ok_or("a message has a sender")?;
    let text = String::from_utf8_lossy(message.body());
    to_a.send(Message::new(format!("got {text:?} from {}", sender.pid)), soon())?;
    Ok(())
}

/// Starts a child that acts `part` and waits for its right.
fn start(part: &str, inbox: &ReceiveRight) -> Result<(Child, SendRight), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(part);
    let child = Spawn::new(command).right("a", inbox.make_send()?).spawn()?;
    let right = right_in(&mut inbox.receive(soon())?)?;
    Ok((child, right))
}

/// A child's first step: a port of its own, and the right to it sent to A.
fn meet_a() -> Result<(ReceiveRight, SendRight), Box<dyn Error>> {
    let task = Task::current()?;
    let port = task.port(Capacity::Bounded(4));
    let to_a = task.inherited("a", soon()).ok_or("A gave no right")?;
    let to_a = to_a.into_send().map_err(|_| "not a send right")?;
    to_a.send(Message::new("here I am").with_right(port.make_send()?), soon())?;
    Ok((port, to_a))
}

fn right_in(message: &mut Message) -> Result<SendRight, Box<dyn Error>> {
    let right = message.take_rights().pop().ok_or("no right in the message")?;
    right.into_send().map_err(|_| "not a send right".into())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(2))
}
