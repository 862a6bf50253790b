//! An unbounded port goes from one process to another while a third sends more to it
//! than their link holds, and the old owner is killed at any moment: what was accepted
//! comes once and in order, or the port is gone for everybody.

mod family;

use std::time::Duration;

use family::{Random, Reaped, act, acting, given, is_part, long, meet, offer, seed, tell};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendFailure, Task};

/// Messages a sender has for the port: some MiB, more than a lane and its window.
const MESSAGES: u64 = 3_000;

/// Makes a port, reads until there is nothing spilled, and gives it away.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let port = task.port(Capacity::Unbounded);
    let parent = offer(&[&port]);
    let (mut port, mut read) = (port, 0);
    for _ in 0..u64::from(std::process::id()) % 7 * 100 {
        read = port.receive(long()).unwrap().tag();
    }
    // Behind what it has read, all others come to the new owner.
    while let Err(error) = parent.send(Message::new("").with_tag(read).with_right(port), long()) {
        assert_eq!(error.reason, SendFailure::Unsettled);
        let mut message = *error.message;
        port = message.take_rights().remove(0).into_receive().unwrap();
        for _ in 0..50 {
            let Ok(message) = port.receive(Deadline::Now) else { break };
            read = message.tag();
        }
    }
    let wait = task.port(Capacity::Bounded(1));
    let _ = wait.receive(long());
}

/// Sends numbers as fast as it can, in gusts, until it is done or the port is gone, and
/// says how many were accepted.
#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let (port, parent) = (given("port"), given("parent"));
    // A right that is still on its way through an owner dies with that owner.
    port.status(long()).unwrap();
    parent.send(Message::new("joined"), long()).unwrap();
    let mut random = Random::new(u64::from(std::process::id()));
    let (mut accepted, mut gone) = (0, false);
    while accepted < MESSAGES && !gone {
        let gust = random.below(1500);
        while accepted < MESSAGES && accepted % 1500 <= gust {
            let body = vec![accepted as u8; 1200];
            match port.send(Message::new(body).with_tag(accepted + 1), long()) {
                Ok(()) => accepted += 1,
                Err(error) if error.reason == SendFailure::OverLimit => std::thread::yield_now(),
                Err(error) => {
                    assert_eq!(error.reason, SendFailure::Dead);
                    gone = true;
                    break;
                }
            }
        }
        std::thread::park_timeout(random.micros(2_000));
    }
    parent.send(Message::new("done").with_tag(accepted).with_id(i32::from(gone)), long()).unwrap();
}

fn port_in(message: &mut Message) -> ReceiveRight {
    message.take_rights().remove(0).into_receive().unwrap()
}

/// Whether the port came.
fn goes(task: &Task, seed: u64, random: &mut Random) -> bool {
    let (inbox, reports) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(2)));
    let (mut owner, [post]) = meet(act("owner_part"), &inbox);
    let sender = act("sender_part").right("port", post);
    let sender = sender.right("parent", reports.make_send().unwrap());
    let _sender = Reaped(sender.spawn().unwrap());
    assert_eq!(reports.receive(long()).unwrap().body(), b"joined");
    let early = random.below(4) == 0;
    if early {
        std::thread::park_timeout(random.micros(12_000));
        owner.kill();
    }
    let came = loop {
        // What it had published before it died is here when the sender is told.
        let told = early && reports.status().queued > 0;
        let wait = if told { Deadline::Now } else { Deadline::after(Duration::from_millis(20)) };
        match inbox.receive(wait) {
            Ok(message) => break Some(message),
            Err(_) if told => break None,
            Err(_) => {}
        }
    };
    let Some(mut message) = came else {
        let report = reports.receive(long()).unwrap();
        assert_eq!(report.id(), 1, "seed {seed}: the port died with its owner");
        return false;
    };
    let (read, port) = (message.tag(), port_in(&mut message));
    if random.below(4) > 0 {
        std::thread::park_timeout(random.micros(3_000));
        owner.kill();
    }
    for number in read + 1..=MESSAGES {
        let message = port.receive(long());
        let message = message.unwrap_or_else(|_| panic!("no {number} after {read}, seed {seed}"));
        assert_eq!(message.tag(), number, "after {read}, seed {seed}");
        assert_eq!(message.body(), vec![(number - 1) as u8; 1200], "{number}, seed {seed}");
    }
    assert!(port.receive(Deadline::Now).is_err());
    let report = reports.receive(long()).unwrap();
    assert_eq!((report.tag(), report.id()), (MESSAGES, 0), "seed {seed}");
    true
}

#[test]
fn what_was_accepted_comes_whoever_dies() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let task = Task::current().unwrap();
    let mut random = Random::new(seed);
    let came = (0..16).filter(|_| goes(&task, seed, &mut random)).count();
    assert!(came > 0, "most owners live so long");
}
