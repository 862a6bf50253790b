//! What a dead owner had not read is to be sent again, and finds no room at the new
//! owner, which gives the port on before there is: it goes after the port, before all
//! that is sent later, also where nobody holds a place there in reserve. What it lost on
//! its way is missed wherever it comes, and nobody is blamed for it.

mod family;

use std::io::{Read, Write};
use std::process::Stdio;

use family::{Reaped, act_with, acting, given, is_part, long, meet, offer, settled};
use pillarbox::{
    Capacity, Deadline, Limits, Message, ReceiveError, Region, SendRight, Spawn, Task,
};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// How often each is tried: now and then the first owner reads something after all.
const ROUNDS: usize = 4;

/// Messages that are sent before the port moves.
const BEFORE: u64 = 5;

/// The variable that says that the port has no limit.
const UNBOUNDED: &str = "PILLARBOX_TEST_UNBOUNDED";

/// What they say.
const A_NUMBER: &str = "a number";

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

/// Makes a port, gives it away, and reads nothing any more.
#[test]
fn first_part() {
    if !acting("first_part") {
        return;
    }
    let limit = std::env::var_os(UNBOUNDED).map_or(Capacity::Bounded(64), |_| Capacity::Unbounded);
    let port = Task::current().unwrap().port(limit);
    let _parent = offer(&[&port]);
    let second = given("second");
    second.status(long()).unwrap();
    if !told_to_go_on() {
        return;
    }
    let _ = second.send(Message::new("port").with_right(port), long());
    let _ = kill_process(getpid(), Signal::STOP);
}

/// Has little memory for what others send, keeps what it is sent, and gives the port
/// on; perhaps full.
fn give_on(full_of_ours: bool) {
    Task::configure(Limits { link_queued_bytes: 0, ..Limits::default() }).unwrap();
    let task = Task::current().unwrap();
    let (inbox, full) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(1 << 16)));
    let parent = offer(&[&inbox, &full]);
    let mut message = inbox.receive(long()).expect("the port comes");
    let port = message.take_rights().pop().unwrap().into_receive().unwrap();
    if !told_to_go_on() {
        return;
    }
    if full_of_ours {
        let own = port.make_send().unwrap();
        while own.send(Message::new(A_NUMBER), Deadline::Now).is_ok() {}
    }
    parent.send(Message::new("port").with_right(port), long()).unwrap();
    let _ = told_to_go_on();
}

#[test]
fn second_part() {
    if acting("second_part") {
        give_on(false);
    }
}

#[test]
fn second_full_part() {
    if acting("second_full_part") {
        give_on(true);
    }
}

/// Has memory enough, and gives the port on with all that is sent again in its queue.
#[test]
fn second_roomy_part() {
    if !acting("second_roomy_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (inbox, other) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let parent = offer(&[&inbox, &other]);
    let mut message = inbox.receive(long()).expect("the port comes");
    let port = message.take_rights().pop().unwrap().into_receive().unwrap();
    if told_to_go_on() {
        // What lies in a lane is no message of the port's yet: a receive reads the lanes.
        let queued = || {
            let _ = other.receive(Deadline::Now);
            port.status().queued
        };
        settled(queued, |queued| *queued == BEFORE);
        parent.send(Message::new("port").with_right(port), long()).unwrap();
        let _ = told_to_go_on();
    }
}

/// Sends numbers before and after the port moves, and fills the memory of the second
/// owner in between.
#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let (port, full, parent) = (given("port"), given("full"), given("parent"));
    let sizes =
        if full.status(long()).unwrap().capacity > 4 { &[4096, A_NUMBER.len()][..] } else { &[] };
    for &bytes in sizes {
        while full.send(Message::new(vec![0; bytes]), Deadline::Now).is_ok() {}
    }
    // The owner's bell is used up with this, and it waits in no call.
    port.status(long()).unwrap();
    number(&port, 1..BEFORE);
    // What is not in the lane goes with who had not read it.
    let file = std::fs::File::open("/dev/null").unwrap();
    let last = Message::new(A_NUMBER).with_tag(BEFORE).with_descriptor(file.into());
    port.send(last.with_region(Region::sealed(b"a region").unwrap()), long()).unwrap();
    parent.send(Message::new("sent"), long()).unwrap();
    let new = full.owner();
    // Not in a wait of the library, which would find more than this.
    while port.owner() != new {
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    parent.send(Message::new("follows"), long()).unwrap();
    if told_to_go_on() {
        number(&port, BEFORE + 1..=2 * BEFORE);
        let _ = told_to_go_on();
    }
}

fn number(port: &SendRight, tags: impl Iterator<Item = u64>) {
    for tag in tags {
        port.send(Message::new(A_NUMBER).with_tag(tag), long()).unwrap();
    }
}

fn goes_after_its_port(second: &str, is_unbounded: bool) {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(64));
    let (mut second, [to_second, full]) = meet(patient(second), &inbox);
    let first = act_with("first_part", |command| {
        command.stdin(Stdio::piped());
        if is_unbounded {
            command.env(UNBOUNDED, "");
        }
    });
    let (mut first, [post]) = meet(first.right("second", to_second), &inbox);
    let child = patient("sender_part")
        .right("port", post)
        .right("full", full)
        .right("parent", inbox.make_send().unwrap())
        .spawn();
    let mut sender = Reaped(child.unwrap());
    assert_eq!(inbox.receive(long()).unwrap().body(), b"sent");
    go_on(&mut first);
    let stopped = waitpid(Pid::from_raw(first.pid()), WaitOptions::UNTRACED);
    assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()));
    assert_eq!(inbox.receive(long()).unwrap().body(), b"follows");
    first.kill();
    // It waits until the sender has followed to it.
    go_on(&mut second);
    let mut message = inbox.receive(long()).expect("the port comes");
    let port = message.take_rights().pop().unwrap().into_receive().unwrap();
    go_on(&mut sender);
    let mut next = 1;
    while next <= 2 * BEFORE {
        let message = port.receive(long()).expect("all come");
        // What its second owner sent to itself stands between them.
        if message.tag() == 0 {
            continue;
        }
        assert_eq!((message.tag(), message.body()), (next, A_NUMBER.as_bytes()));
        // Perhaps lost, and in its place.
        let outside = usize::from(next == BEFORE);
        assert_eq!((message.descriptors().len(), message.regions().len()), (outside, outside));
        next += 1;
    }
    assert!(port.receive(Deadline::Now).is_err_and(|error| error == ReceiveError::Deadline));
    assert!(task.metrics().offences.is_empty());
}

#[test]
fn when_it_goes_on_before_there_was_room() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| goes_after_its_port("second_part", false));
    }
}

#[test]
fn also_where_it_has_to_ask_for_a_place() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| goes_after_its_port("second_full_part", false));
    }
}

#[test]
fn also_where_it_has_come_there_before() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| goes_after_its_port("second_roomy_part", false));
    }
}

#[test]
fn also_where_it_is_spilled() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| goes_after_its_port("second_part", true));
    }
}
