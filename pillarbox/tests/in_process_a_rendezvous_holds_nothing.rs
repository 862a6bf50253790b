//! A rendezvous has no places: a send that has returned was taken by a receiver.

mod asleep;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use asleep::{long, spawn_asleep};
use pillarbox::{Capacity, Deadline, Message, Task};

/// A receiver that only looks either takes the message of a sender that waits,
/// or changes nothing.
#[test]
fn a_poll_leaves_no_message_behind() {
    let inbox = Task::new().port(Capacity::Rendezvous);
    let post = inbox.make_send().unwrap();
    for turn in 0..100 {
        std::thread::scope(|scope| {
            let sending =
                spawn_asleep(scope, || post.send(Message::new("").with_tag(turn), long()));
            loop {
                if let Ok(message) = inbox.receive(Deadline::Now) {
                    assert_eq!(message.tag(), turn);
                    break;
                }
                // Nobody receives now, so nothing may be accepted.
                assert!(!sending.is_finished(), "sent, and nobody had taken it");
                assert_eq!(inbox.status().queued, 0);
                std::thread::yield_now();
            }
            sending.join().unwrap().unwrap();
        });
    }
}

/// The same for a receiver whose deadline ends as the message comes.
#[test]
fn a_receiver_that_gives_up_leaves_no_message_behind() {
    let inbox = Task::new().port(Capacity::Rendezvous);
    let post = inbox.make_send().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for tag in 0..500 {
                post.send(Message::new("").with_tag(tag), long()).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut next = 0;
        while next < 500 {
            match inbox.receive(Deadline::after(Duration::from_micros(next % 60))) {
                Ok(message) => {
                    assert_eq!(message.tag(), next);
                    next += 1;
                }
                Err(_) => assert_eq!(inbox.status().queued, 0),
            }
        }
    });
    assert!(done.load(Ordering::Acquire));
}
