//! A peer that has read what was written, or was woken to read it, is left in peace for
//! longer than one that lets it lie; but nobody is waited for without a ring.

mod family;

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use abi::frame::Attached;
use abi::page::Sleep;
use family::raw::Peer;
use family::{LONG, Reaped, act_with, acting, is_part, long};
use pillarbox::{CallError, Capacity, Deadline, Message, SendRight, Task};
use rustix::event::{PollFd, PollFlags, poll};
use shm::socket::Received;

/// The variable that says what the peer does.
const HOW: &str = "PILLARBOX_TEST_HOW";

/// Longer than it takes until one that lets it lie is rung, shorter than until any is.
const SOME: Duration = Duration::from_millis(10);

/// How many bells lie in the socket.
fn bells(peer: &Peer) -> u8 {
    let (mut bells, mut buffer) = (0, [0; 64]);
    loop {
        match peer.socket.receive(&mut buffer) {
            Received::Packet { bytes, .. } => bells += u8::from(bytes == 1),
            Received::Empty => return bells,
            over => panic!("{over:?}"),
        }
    }
}

/// Says how it waits, and what it heard; ends when it was rung or told to.
#[test]
fn peer_part() {
    if !acting("peer_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let how = std::env::var(HOW).unwrap();
    if how.starts_with("asleep") {
        peer.own.announce(Sleep::Asleep(7));
    }
    peer.give_own_right(peer.slot("inbox"));
    if how.ends_with("until rung") {
        let until = Instant::now() + LONG;
        while bells(&peer) == 0 {
            assert!(Instant::now() < until, "it is not rung");
            let second = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
            poll(&mut [PollFd::new(&peer.socket, PollFlags::IN)], Some(&second)).unwrap();
        }
        return;
    }
    if how == "reads" {
        let _ = peer.next();
    }
    std::io::stdin().read_exact(&mut [0]).unwrap();
    peer.send(peer.slot("inbox"), &Attached::default(), &[bells(&peer)]);
    std::io::stdin().read_exact(&mut [0]).unwrap();
}

struct Meeting {
    task: Task,
    inbox: pillarbox::ReceiveRight,
    child: Reaped,
    post: SendRight,
}

fn meet(how: &str) -> Meeting {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(64));
    let child = act_with("peer_part", |command| {
        command.stdin(Stdio::piped()).env(HOW, how);
    });
    let child = child.right("inbox", inbox.make_send().unwrap());
    let child = Reaped(child.spawn_in(&task).unwrap());
    let mut ready = inbox.receive(long()).expect("it comes");
    let post = ready.take_rights().remove(0).into_send().unwrap();
    Meeting { task, inbox, child, post }
}

impl Meeting {
    fn go_on(&mut self) {
        self.child.0.stdin.as_mut().expect("it has one").write_all(b"!").expect("it reads");
    }
}

/// How many bells a peer hears while somebody waits for its answer.
fn heard(how: &str) -> u8 {
    let mut meeting = meet(how);
    let answer = meeting.post.call(Message::new("?"), Deadline::after(SOME));
    assert!(matches!(answer, Err(CallError::Deadline)), "{answer:?}");
    meeting.go_on();
    let bells = meeting.inbox.receive(long()).expect("it comes").body()[0];
    meeting.go_on();
    assert!(meeting.child.ended_well());
    meeting.task.close();
    bells
}

/// One that comes to it late is rung, and rightly: it is met again.
fn is_left_in_peace(how: &str) -> bool {
    (0..20).any(|_| heard(how) == 0)
}

#[test]
fn one_that_has_read_is_not_rung() {
    assert!(is_part() || is_left_in_peace("reads"));
}

#[test]
fn one_that_was_woken_is_not_rung() {
    assert!(is_part() || is_left_in_peace("asleep"));
}

/// The peer ends only when its bell was rung.
fn is_rung_in_the_end(how: &str) {
    let mut meeting = meet(how);
    let answer = meeting.post.call(Message::new("?"), long());
    assert!(matches!(answer, Err(CallError::Died)), "{answer:?}");
    assert!(meeting.child.ended_well());
    meeting.task.close();
}

#[test]
fn one_that_lets_it_lie_is_rung() {
    if !is_part() {
        is_rung_in_the_end("awake until rung");
    }
}

#[test]
fn one_that_was_woken_and_lets_it_lie_is_rung() {
    if !is_part() {
        is_rung_in_the_end("asleep until rung");
    }
}
