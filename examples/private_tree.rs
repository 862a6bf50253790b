//! A private tree of processes: a parent that is the bootstrap server of its
//! own children, with no daemon and nothing in the file system.
//!
//! The service is started by the first look-up. It is killed with `kill -9`; the
//! parent knows at once, and the next look-up starts it again.
// run: cargo run --example private_tree
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use pillarbox::{Bootstrap, Capacity, Deadline, Message, SendRight, Task};
use rustix::process::{Pid, Signal, kill_process};

const NAME: &str = "com.example.counter";

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("service") { service() } else { parent() }
}

/// Counts its calls, until its server is gone.
fn service() -> Result<(), Box<dyn Error>> {
    let port = Task::current()?.port(Capacity::Bounded(16));
    let server = pillarbox::bootstrap(soon())?;
    // The news comes to the same port as the calls.
    server.right().notify_dead(port.make_send_once()?)?;
    server.check_in(NAME, &port, soon())?;
    let mut calls = 0;
    loop {
        let mut request = port.receive(Deadline::Never)?;
        if request.notification().is_some() {
            return Ok(());
        }
        calls += 1;
        let answer = format!("call {calls} of process {}", std::process::id());
        request.reply(Message::new(answer), soon())?;
    }
}

fn parent() -> Result<(), Box<dyn Error>> {
    let task = Task::current()?;
    let own = std::env::current_exe()?;
    let serving = boot::Server::new(&task)?
        .on_demand(NAME, move || {
            let mut command = Command::new(&own);
            command.arg("service");
            command
        })?
        .start()?;
    let names = Bootstrap::new(serving.right().clone());

    let counter = timed(&names)?;
    call(&counter)?;
    call(&counter)?;

    let pid = names.list(soon())?.first().and_then(|(service, _)| service.pid);
    let pid = pid.ok_or("the service is listed with its process")?;
    let gone = task.port(Capacity::Bounded(1));
    counter.notify_dead(gone.make_send_once()?)?;
    println!("kill -9 {pid}");
    let killed = Instant::now();
    let process = Pid::from_raw(pid).ok_or("0 is no process")?;
    kill_process(process, Signal::KILL)?;
    gone.receive(soon())?;
    println!("we know that it is gone after {:?}", killed.elapsed());
    assert!(counter.send(Message::new(""), Deadline::Now).is_err());

    let counter = timed(&names)?;
    call(&counter)?;
    println!("the server ends: {:?}; so has its child", serving.stop());
    Ok(())
}

fn timed(names: &Bootstrap) -> Result<SendRight, Box<dyn Error>> {
    let begin = Instant::now();
    let counter = names.look_up(NAME, soon())?;
    println!("looked up, which started it: {:?}", begin.elapsed());
    Ok(counter)
}

fn call(counter: &SendRight) -> Result<(), Box<dyn Error>> {
    let answer = counter.call(Message::new(""), soon())?;
    println!("  {}", String::from_utf8_lossy(answer.body()));
    Ok(())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(2))
}
