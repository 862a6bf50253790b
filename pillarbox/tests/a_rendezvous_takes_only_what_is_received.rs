//! A rendezvous between processes holds nothing: a receiver that only looks
//! takes the message of a sender that waits, and what it does not take was not
//! accepted, or is the next receiver's.

mod family;

use std::time::Duration;

use family::hand::{BLOCK, BLOCK_MICROS, JOIN, Told, obey};
use family::{Random, is_part, long, seed, tell};
use pillarbox::{Capacity, Deadline, Task};

#[test]
fn hand_part() {
    obey("hand_part");
}

#[test]
fn a_look_takes_the_message_of_a_sender_that_waits() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Rendezvous);
    let sender = Told::start("hand_part");
    sender.take(inbox.make_send().unwrap());
    for turn in 1..=200 {
        assert!(inbox.receive(Deadline::Now).is_err());
        sender.tell(BLOCK, 0);
        assert_eq!(inbox.status().queued, 0);
        assert_eq!(inbox.receive(Deadline::Now).map(|came| came.tag()), Ok(turn));
        assert_eq!(sender.tell(JOIN, 0), 1);
    }
}

#[test]
fn what_was_accepted_was_received() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let mut random = Random::new(seed);
    let inbox = Task::current().unwrap().port(Capacity::Rendezvous);
    let senders = [Told::start("hand_part"), Told::start("hand_part")];
    for sender in &senders {
        sender.take(inbox.make_send().unwrap());
    }
    let (mut accepted, mut received) = (0, 0);
    for _ in 0..300 {
        for sender in &senders {
            sender.tell(BLOCK_MICROS, random.below(1500));
        }
        for _ in 0..random.below(4) {
            let deadline = match random.below(3) {
                0 => Deadline::Now,
                _ => Deadline::after(random.micros(800)),
            };
            received += u64::from(inbox.receive(deadline).is_ok());
            assert_eq!(inbox.status().queued, 0);
        }
        accepted += senders.iter().map(|sender| sender.tell(JOIN, 0)).sum::<u64>();
        assert_eq!(inbox.status().queued, 0);
        // What came too late for a receiver waits for the next.
        while received < accepted {
            inbox.receive(long()).unwrap();
            received += 1;
        }
        assert_eq!(received, accepted);
    }
    assert!(inbox.receive(Deadline::after(Duration::from_millis(1))).is_err());
}

#[test]
fn a_stopped_sender_meets_the_next_receiver() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Rendezvous);
    let sender = Told::start("hand_part");
    sender.take(inbox.make_send().unwrap());
    for turn in 1..=5 {
        sender.tell(BLOCK, 0);
        sender.child.stop();
        assert!(inbox.receive(Deadline::Now).is_err());
        assert_eq!(inbox.status().queued, 0);
        sender.child.resume();
        // It finds the place it was given and sends; nobody is there.
        assert_eq!(sender.tell(JOIN, 0), 1);
        assert_eq!(inbox.status().queued, 0);
        assert_eq!(inbox.receive(Deadline::Now).map(|came| came.tag()), Ok(turn));
    }
}
