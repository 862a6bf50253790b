//! What `send` has accepted arrives, once and in order, even if the sender is
//! killed the next instant. What it has refused comes back whole. And when
//! somebody was killed, nothing is left of it: no descriptor, no mapping, no
//! thread, no name.
//!
//! The moments are random; the seed is the name of the thread that panics, and
//! `PILLARBOX_SEED` replays it as far as the scheduler does.

mod family;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

use family::residue::Residue;
use family::tally::Tally;
use family::{
    Random, Reaped, act_with, acting, given, is_part, long, meet, offer, seed, seeded, settled,
};
use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveRight, Right, SendFailure, Task, limits,
};

/// Kills of either kind.
const ROUNDS: u32 = 500;

/// The variable that says how much the receiver's port holds.
const CAPACITY: &str = "PILLARBOX_TEST_CAPACITY";

const CAPACITIES: [Capacity; 5] = [
    Capacity::Rendezvous,
    Capacity::Bounded(1),
    Capacity::Bounded(5),
    Capacity::Bounded(500),
    Capacity::Unbounded,
];

// ---- messages that can be told apart ------------------------------------------

fn length_of(number: i32) -> usize {
    match number % 29 {
        // Longer than the lane copies: it travels in memory of its own.
        28 => limits::INLINE_BYTES + 4096,
        27 => limits::INLINE_BYTES,
        rest => rest as usize * 37,
    }
}

/// Message `number`: its length, bytes, rights and descriptors follow from it.
fn numbered(number: i32, own: &ReceiveRight, spare: &OwnedFd) -> Message {
    let mut message = Message::new(vec![number as u8; length_of(number)])
        .with_id(number)
        .with_tag(number as u64 * 3);
    if number % 7 == 3 {
        message = message.with_right(own.make_send().unwrap());
    }
    if number % 7 == 5 {
        message = message.with_reply(own.make_send_once().unwrap());
    }
    if number % 11 == 4 {
        message = message.with_descriptor(spare.try_clone().unwrap());
    }
    message
}

/// Whether `message` is whole, whichever it is.
fn check(message: &Message) {
    let number = message.id();
    assert_eq!(message.tag(), number as u64 * 3);
    assert!(!message.is_body_lost());
    assert_eq!(message.body().len(), length_of(number), "message {number}");
    assert!(message.body().iter().all(|&byte| byte == number as u8));
    let rights = usize::from(number % 7 == 3);
    assert!(message.rights().iter().all(|right| matches!(right, Right::Send(_))));
    assert_eq!(message.rights().len(), rights, "message {number}");
    assert_eq!(message.reply_right().is_some(), number % 7 == 5, "message {number}");
    assert_eq!(message.descriptors().len(), usize::from(number % 11 == 4));
    assert!(message.descriptors().iter().all(|descriptor| !descriptor.is_lost()));
}

fn spare() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

// ---- the sender is killed -----------------------------------------------------

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let task = Task::current().unwrap();
    let tally = Tally::of_parent();
    let inbox = given("inbox");
    let own = task.port(Capacity::Unbounded);
    let spare = spare();
    for number in 0.. {
        let mut message = numbered(number, &own, &spare);
        while let Err(error) = inbox.send(message, long()) {
            // An unbounded port takes no more until its owner has read some.
            if error.reason != SendFailure::OverLimit {
                return;
            }
            message = *error.message;
            std::thread::yield_now();
        }
        tally.set(number as u64 + 1);
    }
}

fn kill_a_sender(task: &Task, random: &mut Random, round: u32) {
    let inbox = task.port(CAPACITIES[round as usize % CAPACITIES.len()]);
    let watch = task.port(Capacity::Bounded(1));
    let tally = Tally::new();
    let mut child = Reaped(
        act_with("sender_part", |command| {
            command.stdin(tally.for_child());
        })
        .right("inbox", inbox.make_send().unwrap())
        .spawn()
        .unwrap(),
    );
    inbox.notify_no_senders(watch.make_send_once().unwrap()).unwrap();
    let mut next = 0;
    // Half of them die while they begin, the others while they send.
    let mut moment = Instant::now() + random.micros(12_000);
    if random.below(2) == 0 {
        let first = inbox.receive(long()).unwrap();
        assert_eq!(first.id(), 0);
        check(&first);
        next = 1;
        moment = Instant::now() + random.micros(2_000);
    }
    let mut take = |deadline| match inbox.receive(deadline) {
        Ok(message) => {
            assert_eq!(message.id(), next, "in order, once (round {round})");
            check(&message);
            next += 1;
            true
        }
        Err(_) => false,
    };
    while Instant::now() < moment {
        take(Deadline::At(moment));
    }
    child.kill();
    // Some of it is taken before the death is known, the rest after.
    for _ in 0..random.below(4) {
        take(Deadline::Now);
    }
    let news = watch.receive(long()).unwrap();
    assert_eq!(news.notification(), Some(Notification::NoSenders));
    while take(Deadline::Now) {}
    let accepted = tally.get();
    let came = next as u64;
    // It may have died between the acceptance and the count.
    assert!(
        came == accepted || came == accepted + 1,
        "round {round}: {accepted} were accepted, {came} came"
    );
}

// ---- the receiver is killed ----------------------------------------------------

#[test]
fn receiver_part() {
    if !acting("receiver_part") {
        return;
    }
    let task = Task::current().unwrap();
    let which: usize = std::env::var(CAPACITY).unwrap().parse().unwrap();
    let inbox = task.port(CAPACITIES[which]);
    offer(&[&inbox]);
    let mut last = -1;
    while let Ok(message) = inbox.receive(long()) {
        check(&message);
        assert_eq!(message.id(), last + 1);
        last = message.id();
    }
}

fn kill_a_receiver(task: &Task, random: &mut Random, round: u32) {
    let which = round as usize % CAPACITIES.len();
    let inbox = task.port(Capacity::Bounded(1));
    let child = act_with("receiver_part", |command| {
        command.env(CAPACITY, which.to_string());
    });
    let (mut child, [post]) = meet(child, &inbox);
    let watch = task.port(Capacity::Bounded(1));
    post.notify_dead(watch.make_send_once().unwrap()).unwrap();

    // What the messages carry is ours: it must all come home.
    let own = task.port(Capacity::Unbounded);
    let nobody = task.port(Capacity::Bounded(1));
    let spare = spare();
    let (go, gone) = channel::<()>();
    let moment = random.micros(3_000);
    let killer = std::thread::spawn(move || {
        assert_eq!(gone.recv_timeout(moment), Err(RecvTimeoutError::Timeout));
        child.kill();
        child
    });
    let mut accepted = 0;
    let mut message = numbered(accepted, &own, &spare);
    let failed = loop {
        match post.send(message, long()) {
            Ok(()) => {
                accepted += 1;
                message = numbered(accepted, &own, &spare);
            }
            // An unbounded port takes no more until its owner has read some.
            Err(failed) if failed.reason == SendFailure::OverLimit => {
                message = *failed.message;
                std::thread::yield_now();
            }
            Err(failed) => break failed,
        }
    };
    assert_eq!(failed.reason, SendFailure::Dead, "round {round}");
    assert_eq!(failed.message.id(), accepted);
    check(&failed.message);
    drop(failed);
    drop(killer.join().unwrap());
    drop(go);
    let news = watch.receive(long()).unwrap();
    assert_eq!(news.notification(), Some(Notification::DeadName));
    // Each send-once right in what was accepted ends in one notification.
    let promises = (0..accepted).filter(|number| number % 7 == 5).count();
    for _ in 0..promises {
        let broken = own.receive(long()).unwrap();
        assert!(matches!(
            broken.notification(),
            Some(Notification::SendOnceDied | Notification::SendOnceDropped)
        ));
    }
    // The one that came back was dropped by us, if it was one.
    let ours = usize::from(accepted % 7 == 5);
    assert_eq!(std::iter::from_fn(|| own.receive(Deadline::Now).ok()).count(), ours);
    own.notify_no_senders(nobody.make_send_once().unwrap()).unwrap();
    let news = nobody.receive(long()).unwrap();
    assert_eq!(news.notification(), Some(Notification::NoSenders), "no right was lost");
}

#[test]
fn a_kill_loses_nothing_and_leaves_nothing() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let seed = seed();
    // Threads that are started once and stay, and what else comes with the
    // first link, are there before we count.
    let mut random = Random::new(seed);
    for round in 0..CAPACITIES.len() as u32 {
        kill_a_sender(&task, &mut random, round);
        kill_a_receiver(&task, &mut random, round);
    }
    settled(|| task.census(), |census| census.rows.is_empty());
    let before = Residue::now();
    let senders = {
        let task = task.clone();
        seeded(seed, move |mut random| {
            (0..ROUNDS).for_each(|round| kill_a_sender(&task, &mut random, round));
        })
    };
    let receivers = {
        let task = task.clone();
        seeded(seed ^ 1, move |mut random| {
            (0..ROUNDS).for_each(|round| kill_a_receiver(&task, &mut random, round));
        })
    };
    senders.join().unwrap();
    receivers.join().unwrap();
    settled(|| task.census(), |census| census.rows.is_empty());
    settled(|| task.peers().len(), |&peers| peers == 0);
    settled(Residue::now, |now| now.is_within(&before));
}
