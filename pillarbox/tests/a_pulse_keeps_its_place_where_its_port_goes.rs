//! What is sent after a pulse comes after it, also where the port goes to another task
//! before its old owner has read the pulse.

mod family;

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use family::{Reaped, act_with, acting, is_part, long, meet, offer};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendFailure, SendRight, Task};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// How often it is tried: now and then the old owner reads something after all.
const ROUNDS: usize = 4;

/// Pulses that are sent before the port moves.
const PULSES: u64 = 3;

/// Waits in no call of the library until the parent writes a byte, or is gone.
fn wait_for_a_byte() {
    let _ = std::io::stdin().read_exact(&mut [0]);
}

/// Gives a port away, and reads nothing until it runs again.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let port = Task::current().unwrap().port(Capacity::Bounded(64));
    let parent = offer(&[&port]);
    wait_for_a_byte();
    let _ = parent.send(Message::new("port").with_right(port), long());
    let _ = kill_process(getpid(), Signal::STOP);
    wait_for_a_byte();
}

fn go_on(child: &mut Reaped) {
    child.0.stdin.as_mut().expect("it has one").write_all(b"!").expect("it reads");
}

/// Sends pulses, has the port come, and its old owner stopped before it reads them.
fn moved(owner: &mut Reaped, post: &SendRight, inbox: &ReceiveRight) -> ReceiveRight {
    // Its bell is used up with this, and it waits in no call.
    post.status(long()).unwrap();
    for value in 1..=PULSES {
        post.pulse(7, value, 0).unwrap();
    }
    go_on(owner);
    let mut message = inbox.receive(long()).expect("the port comes");
    let stopped = waitpid(Pid::from_raw(owner.pid()), WaitOptions::UNTRACED);
    assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()));
    let right = message.take_rights().pop().expect("a right");
    right.into_receive().expect("a port")
}

#[test]
fn a_message_comes_after_the_pulses_before_it() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| a_message_after_pulses());
    }
}

fn a_message_after_pulses() {
    // Large enough for places in reserve: the owner is to wait for none, and reads what
    // it was sent whenever it waits.
    let inbox = Task::current().unwrap().port(Capacity::Bounded(64));
    let child = act_with("owner_part", |command| {
        command.stdin(Stdio::piped());
    });
    let (mut owner, [post]) = meet(child, &inbox);
    let port = moved(&mut owner, &post, &inbox);
    let early = post.send(Message::new("after"), Deadline::after(Duration::from_millis(50)));
    owner.resume();
    if let Err(back) = early {
        assert!(matches!(back.reason, SendFailure::NotJoined(_)), "{}", back.reason);
        post.send(*back.message, long()).unwrap();
    }
    for value in 1..=PULSES {
        let pulse = port.receive(long()).unwrap().pulse();
        assert_eq!(pulse.map(|pulse| pulse.value), Some(value));
    }
    assert_eq!(port.receive(long()).unwrap().body(), b"after");
}

#[test]
fn where_the_old_owner_is_killed_the_messages_come_without_it() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| messages_without_pulses());
    }
}

fn messages_without_pulses() {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(64));
    let child = act_with("owner_part", |command| {
        command.stdin(Stdio::piped());
    });
    let (mut owner, [post]) = meet(child, &inbox);
    post.send(Message::new("before"), long()).unwrap();
    let port = moved(&mut owner, &post, &inbox);
    owner.kill();
    post.send(Message::new("after"), long()).unwrap();
    let mut bodies = Vec::new();
    while bodies.len() < 2 {
        let message = port.receive(long()).unwrap();
        // A pulse that the old owner had read came along.
        if message.pulse().is_none() {
            bodies.push(message.body().to_vec());
        }
    }
    assert_eq!(bodies, [b"before".to_vec(), b"after".to_vec()]);
}
