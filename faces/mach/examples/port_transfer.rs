//! A right goes to another thread in a message, as it would to a program in C: the
//! messages are those of `mach_msg`.
// run: cargo run -p pillarbox-mach --example port_transfer
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::thread;

use pillarbox::{Capacity, Deadline, Task};
use pillarbox_mach::{Descriptor, Message};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let task = Task::current()?;
    let inbox = task.port(Capacity::Bounded(5));
    let post = inbox.make_send()?;

    let server = thread::spawn(move || -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let request = inbox.receive(Deadline::Never).map_err(|error| said(&error))?;
        let request = Message::open(request).map_err(|_| "no message of this kind")?;
        for descriptor in request.descriptors {
            let Descriptor::Port(carried) = descriptor else { continue };
            let right = carried.into_send().ok_or("no send right came")?;
            let word = Message::new(2, "for the port that came");
            right.send(word.into(), Deadline::Never).map_err(|error| said(&error))?;
        }
        Ok(())
    });

    let own = task.port(Capacity::Bounded(5));
    let request = Message::new(1, "a port for you").with_port(own.make_send()?);
    post.send(request.into(), Deadline::Never)?;
    let came = Message::open(own.receive(Deadline::Never)?).map_err(|_| "not one of ours")?;
    println!("{} says: {}", came.id, String::from_utf8_lossy(&came.body).trim_end_matches('\0'));
    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}
