//! A port goes to another task while messages to it wait with its old owner. Who sent
//! them may send on, on a right that was made since: what it sends then comes after them.

mod family;

use std::io::{Read, Write};
use std::process::Stdio;

use family::{Reaped, act_with, acting, begin, given, is_part, long, meet, offer};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Spawn, Task};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// How often each is tried: now and then the old owner reads something after all.
const ROUNDS: usize = 4;

/// Messages that are sent before the port moves.
const BEFORE: u64 = 3;

/// Waits in no call of the library until the parent writes a byte, or is gone.
fn wait_for_a_byte() {
    let _ = std::io::stdin().read_exact(&mut [0]);
}

fn patient(part: &str) -> Spawn {
    act_with(part, |command| {
        command.stdin(Stdio::piped());
    })
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

/// Sends on the right it has, and then on the one it is sent.
#[test]
fn sender_part() {
    let Some((_, orders, parent)) = begin("sender_part") else { return };
    let old = given("old");
    send_before(&old);
    parent.send(Message::new("sent"), long()).unwrap();
    let mut order = orders.receive(long()).expect("a new right comes");
    let new = order.take_rights().pop().and_then(|right| right.into_send().ok());
    send_after(&new.expect("a send right"));
    parent.send(Message::new("sent again"), long()).unwrap();
    let _ = orders.receive(long());
}

/// The bell of the owner is used up with the first of this, and it waits in no call.
fn send_before(post: &SendRight) {
    post.status(long()).unwrap();
    for tag in 1..=BEFORE {
        post.send(Message::new("before").with_tag(tag), long()).unwrap();
    }
}

fn send_after(post: &SendRight) {
    for tag in BEFORE + 1..=2 * BEFORE {
        post.send(Message::new("after").with_tag(tag), Deadline::Now).unwrap();
    }
}

/// Has the port come, and its old owner stopped before it reads any more.
fn moved(owner: &mut Reaped, inbox: &ReceiveRight) -> ReceiveRight {
    owner.0.stdin.as_mut().expect("it has one").write_all(b"!").expect("it reads");
    let mut message = inbox.receive(long()).expect("the port comes");
    let stopped = waitpid(Pid::from_raw(owner.pid()), WaitOptions::UNTRACED);
    assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()));
    let right = message.take_rights().pop().expect("a right");
    right.into_receive().expect("a port")
}

fn come_in_order(port: &ReceiveRight, numbers: u64) {
    let come = (0..numbers).map(|_| port.receive(long()).expect("all come").tag());
    assert!(come.eq(1..=numbers), "they come in the order sent");
}

fn sends_to_itself(end: fn(&mut Reaped)) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(64));
    let (mut owner, [post]) = meet(patient("owner_part"), &inbox);
    send_before(&post);
    let port = moved(&mut owner, &inbox);
    send_after(&port.make_send().unwrap());
    let last = 2 * BEFORE + 1;
    let once = port.make_send_once().unwrap();
    once.send(Message::new("after").with_tag(last), long()).unwrap();
    end(&mut owner);
    come_in_order(&port, last);
}

#[test]
fn of_the_new_owner_itself() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| sends_to_itself(|owner| owner.resume()));
    }
}

#[test]
fn of_the_new_owner_where_the_old_one_is_killed() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| sends_to_itself(Reaped::kill));
    }
}

#[test]
fn of_a_third_task() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| a_third_task_sends(|owner| owner.resume()));
    }
}

#[test]
fn of_a_third_task_where_the_old_owner_is_killed() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| a_third_task_sends(Reaped::kill));
    }
}

fn a_third_task_sends(end: fn(&mut Reaped)) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(64));
    let (mut owner, [post]) = meet(patient("owner_part"), &inbox);
    let (_sender, [orders]) = meet(patient("sender_part").right("old", post), &inbox);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"sent");
    let port = moved(&mut owner, &inbox);
    let new = port.make_send().unwrap();
    orders.send(Message::new("send on").with_right(new), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"sent again");
    end(&mut owner);
    come_in_order(&port, 2 * BEFORE);
}
