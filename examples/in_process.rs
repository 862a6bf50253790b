//! Threads of one process: ports as channels, with and without room.
//!
//! A port that has never left its task is a plain queue in memory: no
//! descriptor, no system call.
// run: cargo run --example in_process
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::thread;

use pillarbox::{Capacity, Deadline, Message, SendFailure, Task};

fn main() -> Result<(), Box<dyn Error>> {
    let task = Task::current()?;

    // Room for three: the fourth message waits, or is refused and comes back.
    let box_of_three = task.port(Capacity::Bounded(3));
    let post = box_of_three.make_send()?;
    for number in 1..=3 {
        post.send(Message::new("letter").with_id(number), Deadline::Now)?;
    }
    let Err(refused) = post.send(Message::new("letter").with_id(4), Deadline::Now) else {
        return Err("a box of three took four".into());
    };
    assert_eq!(refused.reason, SendFailure::Full);
    println!("letter {} was not posted: {}", refused.message.id(), refused.reason);
    while let Ok(letter) = box_of_three.receive(Deadline::Now) {
        println!("letter {} was posted, as number {}", letter.id(), letter.sequence());
    }

    // No room at all: a sender waits until somebody takes the message.
    let hand_to_hand = task.port(Capacity::Rendezvous);
    let post = hand_to_hand.make_send()?;
    let sender = thread::spawn(move || {
        for number in 1..=3 {
            post.send(Message::new("by hand").with_id(number), Deadline::Never)?;
            println!("  given {number}");
        }
        Ok::<(), pillarbox::SendError>(())
    });
    for _ in 1..=3 {
        let message = hand_to_hand.receive(Deadline::Never)?;
        println!("  taken {}", message.id());
    }
    sender.join().map_err(|_| "the sender panicked")??;

    // A call: a request that carries the right to answer it, once.
    let adder = task.port(Capacity::Bounded(8));
    let ask = adder.make_send()?;
    let server = thread::spawn(move || {
        // It ends with the last send right, which is what it asked to be told.
        adder.notify_no_senders(adder.make_send_once()?)?;
        loop {
            let mut request = adder.receive(Deadline::Never)?;
            if request.notification().is_some() {
                return Ok::<(), Box<dyn Error + Send + Sync>>(());
            }
            let sum: u64 = request.body().iter().map(|byte| u64::from(*byte)).sum();
            request.reply(Message::new(sum.to_string()), Deadline::Never)?;
        }
    });
    let answer = ask.call(Message::new([1, 2, 39]), Deadline::Never)?;
    println!("1 + 2 + 39 = {}", String::from_utf8_lossy(answer.body()));
    drop(ask);
    server.join().map_err(|_| "the server panicked")?.map_err(|error| error.to_string())?;
    println!("nobody asks any more");
    Ok(())
}
