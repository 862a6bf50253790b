//! A port moves while messages for it lie unread, and its old owner is killed before
//! it reads them. Whose they are sends them again: also where that is the new owner
//! itself, and where the new owner knows of the death before the sender does.

mod family;

use std::io::{Read, Write};
use std::process::Stdio;

use family::{Reaped, act_with, acting, given, is_part, long, meet, offer};
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, SendRight, Spawn, Task};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// How often it is tried: now and then the old owner reads something after all.
const ROUNDS: usize = 8;

/// Messages that are sent before the port moves.
const BEFORE: u64 = 5;

/// Waits in no call of the library until the parent writes a byte.
fn told_to_go_on() -> bool {
    std::io::stdin().read_exact(&mut [0]).is_ok()
}

fn patient(part: &str) -> Spawn {
    act_with(part, |command| {
        command.stdin(Stdio::piped());
    })
}

fn go_on(child: &mut Reaped) {
    child.0.stdin.as_mut().expect("it has one").write_all(b"!").expect("it reads");
}

/// Gives a port away, and reads nothing any more.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let port = task.port(Capacity::Bounded(64));
    let witness = task.port(Capacity::Bounded(1));
    let parent = offer(&[&port, &witness]);
    if !told_to_go_on() {
        return;
    }
    let _ = parent.send(Message::new("port").with_right(port), long());
    let _ = kill_process(getpid(), Signal::STOP);
}

/// Sends numbers before and after the port moves, and nothing in between: it waits for
/// the old owner in no call of the library.
#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let (port, parent) = (given("port"), given("parent"));
    // The owner's bell is used up with this, and it waits in no call.
    port.status(long()).unwrap();
    number(&port, 1..=BEFORE);
    parent.send(Message::new("sent"), long()).unwrap();
    let new = parent.owner();
    // Not in a wait of the library, which would find more than this.
    while port.owner() != new {
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    parent.send(Message::new("follows"), long()).unwrap();
    if !told_to_go_on() {
        return;
    }
    number(&port, BEFORE + 1..=2 * BEFORE);
    let _ = told_to_go_on();
}

fn number(port: &SendRight, tags: impl Iterator<Item = u64>) {
    for tag in tags {
        port.send(Message::new("a number").with_tag(tag), long()).unwrap();
    }
}

/// The port comes, and its old owner is stopped before it has done anything else.
fn moved(owner: &mut Reaped, inbox: &ReceiveRight) -> ReceiveRight {
    go_on(owner);
    let mut message = inbox.receive(long()).expect("the port comes");
    let stopped = waitpid(Pid::from_raw(owner.pid()), WaitOptions::UNTRACED);
    assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()));
    let right = message.take_rights().pop().expect("a right");
    right.into_receive().expect("a port")
}

fn all_came(port: &ReceiveRight) {
    for tag in 1..=2 * BEFORE {
        let came = port.receive(long()).map(|message| message.tag());
        assert_eq!(came, Ok(tag));
    }
    assert!(port.receive(Deadline::Now).is_err(), "none comes twice");
}

#[test]
fn by_who_has_the_port_now() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| the_new_owner_sends_again());
    }
}

fn the_new_owner_sends_again() {
    let task = Task::current().unwrap();
    // Large enough for places in reserve: the owner is to wait for none, and reads what
    // it was sent whenever it waits.
    let inbox = task.port(Capacity::Bounded(64));
    let (mut owner, [post, _witness]) = meet(patient("owner_part"), &inbox);
    // Its bell is used up with this, and it waits in no call.
    post.status(long()).unwrap();
    number(&post, 1..=BEFORE);
    let port = moved(&mut owner, &inbox);
    owner.kill();
    number(&post, BEFORE + 1..=2 * BEFORE);
    all_came(&port);
}

#[test]
fn by_a_third_task_that_hears_of_the_death_last() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| a_third_task_sends_again());
    }
}

fn a_third_task_sends_again() {
    let task = Task::current().unwrap();
    // Large enough for places in reserve: the owner is to wait for none, and reads what
    // it was sent whenever it waits.
    let inbox = task.port(Capacity::Bounded(64));
    let (mut owner, [post, witness]) = meet(patient("owner_part"), &inbox);
    let reports = task.port(Capacity::Bounded(4));
    let child = patient("sender_part")
        .right("port", post)
        .right("parent", reports.make_send().unwrap())
        .spawn();
    let mut sender = Reaped(child.unwrap());
    assert_eq!(reports.receive(long()).unwrap().body(), b"sent");
    let port = moved(&mut owner, &inbox);
    assert_eq!(reports.receive(long()).unwrap().body(), b"follows");
    sender.stop();
    let news = task.port(Capacity::Bounded(1));
    witness.notify_dead(news.make_send_once().unwrap()).unwrap();
    owner.kill();
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::DeadName));
    // What it finds first is the answer to its claim.
    sender.resume();
    go_on(&mut sender);
    all_came(&port);
}
