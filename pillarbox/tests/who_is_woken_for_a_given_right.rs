//! Nobody is woken for a right that is given before it is claimed; whoever is to hear of
//! its release is. And an answer to a claim is rung for,
//! where its claimer does not read it by itself: at once by a thread that answers for
//! others, after a patience by one that sleeps, before it leaves by one that goes.

mod family;

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Instant;

use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::page::Sleep;
use abi::{Slot, TaskId};
use family::raw::{Peer, wait_for_the_end};
use family::{LONG, Reaped, act_with, acting, is_part, long, offer};
use pillarbox::{Capacity, Message, ReceiveRight, SendRight, Task};
use rustix::event::{PollFd, PollFlags, poll};
use shm::socket::Received;

/// The variable that says how the answer is waited for.
const HOW: &str = "PILLARBOX_TEST_HOW";

const NOWHERE: Slot = Slot { index: 0, generation: 0 };
const TICKET: u64 = 5;

fn told_to_go_on() -> bool {
    std::io::stdin().read_exact(&mut [0]).is_ok()
}

fn go_on(child: &mut Reaped) {
    child.0.stdin.as_mut().expect("it has one").write_all(b"!").expect("it reads");
}

/// How many bells lie in the socket.
fn bells(peer: &Peer) -> usize {
    let (mut bells, mut buffer) = (0, [0; 64]);
    loop {
        match peer.socket.receive(&mut buffer) {
            Received::Packet { bytes, .. } => bells += usize::from(bytes == 1),
            Received::Empty => return bells,
            over => panic!("{over:?}"),
        }
    }
}

/// Whether a bell comes some time.
fn is_rung(peer: &Peer) -> bool {
    let until = Instant::now() + LONG / 2;
    while bells(peer) == 0 {
        let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
        let left = rustix::time::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap(),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        poll(&mut [PollFd::new(&peer.socket, PollFlags::IN)], Some(&left)).unwrap();
    }
    true
}

/// A child that can be told to go on, what it offers, and who it is.
fn meet(part: &str, how: &str, task: &Task, inbox: &ReceiveRight) -> (Reaped, SendRight, TaskId) {
    let child = act_with(part, |command| {
        command.stdin(Stdio::piped()).env(HOW, how);
    });
    let to_us = inbox.make_send().unwrap();
    let child = child.right("inbox", to_us).right("port", inbox.make_send().unwrap());
    let child = Reaped(child.spawn_in(task).unwrap());
    let mut ready = inbox.receive(long()).expect("it comes");
    let right = ready.take_rights().remove(0).into_send().unwrap();
    (child, right, ready.sender().unwrap().task)
}

// ---- gives -----------------------------------------------------------------------

/// Owns a port, and hears bells only.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let _ = peer.next();
    let _ = bells(&peer);
    peer.own.announce(Sleep::Bell(1));
    peer.send(peer.slot("inbox"), &Attached::default(), b"asleep");
    if !told_to_go_on() {
        return;
    }
    // A right was given on.
    assert_eq!(peer.next().0.kind, Kind::Give);
    assert_eq!(bells(&peer), 0, "it is woken before anybody claims");
    peer.send(peer.slot("inbox"), &Attached::default(), b"heard nothing");
    assert!(is_rung(&peer), "the right went home");
}

/// Is given rights, and reads nothing.
#[test]
fn holder_part() {
    if acting("holder_part") {
        let port = Task::current().unwrap().port(Capacity::Bounded(1 << 14));
        let _parent = offer(&[&port]);
        let _ = told_to_go_on();
    }
}

#[test]
fn a_give_wakes_nobody_and_a_release_its_owner() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(64));
    let holder = act_with("holder_part", |command| {
        command.stdin(Stdio::piped());
    });
    let (holder, [way]) = family::meet(holder, &inbox);
    holder.stop();
    let (mut owner, post, _) = meet("owner_part", "", &task, &inbox);
    let next = || inbox.receive(long()).expect("it comes").body().to_vec();
    post.send(Message::new("its bell is used up"), long()).unwrap();
    assert_eq!(next(), b"asleep");
    let given = Message::new("right").with_right(post.clone());
    way.send(given, long()).map_err(|error| error.reason).expect("there is room");
    go_on(&mut owner);
    assert_eq!(next(), b"heard nothing");
    drop(post);
    assert!(owner.ended_well());
}

// ---- answers ---------------------------------------------------------------------

/// Gives somebody a right to the port.
#[test]
fn giver_part() {
    if !acting("giver_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (names, behind) = peer.next();
    let to = TaskId::decode(&behind[names.extra as usize..]).unwrap();
    let header = Header { tag: TICKET, ..Header::new(Kind::Give, peer.slot("port")) };
    peer.say(header, &to.encode());
    peer.send(peer.slot("inbox"), &Attached::default(), b"given");
    wait_for_the_end(&peer.socket);
}

impl Peer {
    /// Writes a frame that is not shown yet.
    fn write(&mut self, header: Header, behind: &[u8]) {
        let header = Header { length: (HEADER_BYTES + behind.len()) as u32, ..header };
        self.writer.write(&header, &[behind], 0, &self.page).unwrap();
    }
}

/// Claims the right, and reads no answer.
#[test]
fn claimer_part() {
    if !acting("claimer_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (names, behind) = peer.next();
    let giver = TaskId::decode(&behind[names.extra as usize..]).unwrap();
    if !told_to_go_on() {
        return;
    }
    let claim = Header { tag: TICKET, ..Header::new(Kind::Claim, NOWHERE) };
    match std::env::var(HOW).unwrap().as_str() {
        // No thread of the owner's is in the library but its background thread.
        "busy" => {
            let _ = bells(&peer);
            peer.say(claim, &giver.encode());
        }
        // One sleeps there.
        how => {
            while !matches!(peer.page.sleep(), Sleep::Asleep(_)) {
                std::thread::yield_now();
            }
            let _ = bells(&peer);
            peer.write(claim, &giver.encode());
            if how == "leaves" {
                // It has what it waited for in the same turn.
                peer.write(Header::new(Kind::Message, peer.slot("inbox")), b"come");
            }
            peer.writer.publish();
            peer.own.wake_head();
        }
    }
    assert!(is_rung(&peer), "the answer lies unread");
    assert_eq!(peer.next().0.kind, Kind::Joined);
    if std::env::var(HOW).unwrap() == "sleeps" {
        peer.send(peer.slot("inbox"), &Attached::default(), b"come");
    }
}

fn answer(how: &str) {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(64));
    let (_giver, to_giver, giver_id) = meet("giver_part", how, &task, &inbox);
    let (mut claimer, to_claimer, claimer_id) = meet("claimer_part", how, &task, &inbox);
    to_giver.send(Message::new(claimer_id.encode()), long()).unwrap();
    assert_eq!(inbox.receive(long()).expect("it comes").body(), b"given", "{how}");
    to_claimer.send(Message::new(giver_id.encode()), long()).unwrap();
    go_on(&mut claimer);
    if how != "busy" {
        assert_eq!(inbox.receive(long()).expect("it comes").body(), b"come", "{how}");
    }
    // Nothing of the library is called until it was rung for.
    assert!(claimer.ended_well(), "{how}");
}

#[test]
fn who_answers_for_others_rings_at_once() {
    if !is_part() {
        answer("busy");
    }
}

#[test]
fn who_answers_and_sleeps_rings_after_a_patience() {
    if !is_part() {
        answer("sleeps");
    }
}

#[test]
fn who_answers_and_leaves_rings_before() {
    if !is_part() {
        answer("leaves");
    }
}
