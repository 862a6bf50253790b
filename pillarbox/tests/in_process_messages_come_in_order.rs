//! Within one task: each sender's messages come in order, each to one receiver.

mod asleep;

use std::collections::HashMap;
use std::time::Duration;

use asleep::{long, spawn_asleep};
use pillarbox::{Capacity, Deadline, Message, ReceiveError, Task};

fn in_order(capacity: Capacity, senders: u64, each: u64) {
    let task = Task::new();
    let inbox = task.port(capacity);
    std::thread::scope(|scope| {
        for sender in 0..senders {
            let post = inbox.make_send().unwrap();
            scope.spawn(move || {
                for turn in 0..each {
                    let message = Message::new(turn.to_le_bytes()).with_tag(sender);
                    post.send(message, long()).unwrap();
                }
            });
        }
        let mut next: HashMap<u64, u64> = HashMap::new();
        for sequence in 1..=senders * each {
            let message = inbox.receive(long()).unwrap();
            assert_eq!(message.sequence(), sequence);
            let expected = next.entry(message.tag()).or_default();
            assert_eq!(message.body(), expected.to_le_bytes());
            *expected += 1;
        }
        assert!(next.values().all(|&count| count == each));
    });
    assert_eq!(inbox.receive(Deadline::Now).unwrap_err(), ReceiveError::Deadline);
}

#[test]
fn an_unbounded_port_keeps_each_senders_order() {
    in_order(Capacity::Unbounded, 4, 5_000);
}

#[test]
fn a_bounded_port_keeps_each_senders_order() {
    in_order(Capacity::Bounded(1), 3, 1_000);
    in_order(Capacity::Bounded(3), 4, 2_000);
    in_order(Capacity::Bounded(64), 4, 5_000);
}

#[test]
fn a_rendezvous_keeps_each_senders_order() {
    in_order(Capacity::Rendezvous, 3, 1_000);
}

fn each_once(capacity: Capacity) {
    const SENDERS: usize = 2;
    const RECEIVERS: usize = 4;
    const EACH: usize = 2_000;
    let inbox = Task::new().port(capacity);
    let mut taken: Vec<u64> = std::thread::scope(|scope| {
        let receivers: Vec<_> = (0..RECEIVERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut taken = Vec::new();
                    loop {
                        let message = inbox.receive(long()).unwrap();
                        if message.id() < 0 {
                            return taken;
                        }
                        taken.push(message.tag());
                    }
                })
            })
            .collect();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let post = inbox.make_send().unwrap();
                scope.spawn(move || {
                    for turn in 0..EACH {
                        let number = (sender * EACH + turn) as u64;
                        post.send(Message::new("").with_tag(number), long()).unwrap();
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        let post = inbox.make_send().unwrap();
        for _ in 0..RECEIVERS {
            post.send(Message::new("").with_id(-1), long()).unwrap();
        }
        receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect()
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..(SENDERS * EACH) as u64).collect::<Vec<_>>());
    assert_eq!(inbox.status().queued, 0);
}

#[test]
fn of_many_receivers_each_message_goes_to_one() {
    each_once(Capacity::Unbounded);
    each_once(Capacity::Bounded(2));
    each_once(Capacity::Rendezvous);
}

#[test]
fn as_many_sleeping_receivers_wake_as_messages_come() {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        let sleepers: Vec<_> =
            (0..4).map(|_| spawn_asleep(scope, || inbox.receive(long()).unwrap().tag())).collect();
        for tag in 0..4 {
            post.send(Message::new("").with_tag(tag), Deadline::Now).unwrap();
        }
        let mut tags: Vec<_> = sleepers.into_iter().map(|it| it.join().unwrap()).collect();
        tags.sort_unstable();
        assert_eq!(tags, [0, 1, 2, 3]);
    });
}

#[test]
fn a_receive_ends_at_its_deadline() {
    let inbox = Task::new().port(Capacity::Bounded(1));
    assert_eq!(inbox.receive(Deadline::Now).unwrap_err(), ReceiveError::Deadline);
    let deadline = Deadline::after(Duration::from_millis(20));
    assert_eq!(inbox.receive(deadline).unwrap_err(), ReceiveError::Deadline);
    assert!(deadline.has_passed());
    // What came meanwhile is taken though the deadline is over.
    inbox.make_send().unwrap().send(Message::new("late"), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(deadline).unwrap().body(), b"late");
}

#[test]
fn a_receiver_that_gave_up_takes_no_wake_with_it() {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        for turn in 0..200u64 {
            // First in the list, and gone at about the time the message comes.
            let first = scope.spawn(|| inbox.receive(Deadline::after(Duration::from_micros(50))));
            let second = scope.spawn(|| inbox.receive(Deadline::after(Duration::from_secs(60))));
            post.send(Message::new("").with_tag(turn), Deadline::Now).unwrap();
            match first.join().unwrap() {
                Ok(message) => {
                    assert_eq!(message.tag(), turn);
                    post.send(Message::new("").with_tag(turn), Deadline::Now).unwrap();
                }
                Err(error) => assert_eq!(error, ReceiveError::Deadline),
            }
            assert_eq!(second.join().unwrap().unwrap().tag(), turn);
        }
    });
}

#[test]
fn a_right_received_in_one_thread_is_used_and_dropped_in_another() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let target = task.port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    let message = Message::new("")
        .with_right(target.make_send().unwrap())
        .with_right(target.make_send_once().unwrap());
    post.send(message, Deadline::Now).unwrap();
    let rights =
        std::thread::spawn(move || inbox.receive(long()).unwrap().take_rights()).join().unwrap();
    std::thread::spawn(move || {
        let mut rights = rights.into_iter();
        let send = rights.next().unwrap().into_send().unwrap();
        send.send(Message::new("used"), long()).unwrap();
        // The other is dropped unused.
        drop(rights);
    })
    .join()
    .unwrap();
    assert_eq!(target.receive(Deadline::Now).unwrap().body(), b"used");
    let told = target.receive(Deadline::Now).unwrap().notification();
    assert_eq!(told, Some(pillarbox::Notification::SendOnceDropped));
    assert_eq!(target.status().senders, 0);
}

#[test]
fn a_message_comes_as_it_was_sent() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let message = Message::new("body").with_id(-7).with_priority(3).with_tag(u64::MAX);
    assert!(message.sender().is_none());
    post.send(message, Deadline::Now).unwrap();
    let mut message = inbox.receive(Deadline::Now).unwrap();
    assert_eq!((message.body(), message.id()), (&b"body"[..], -7));
    assert_eq!((message.priority(), message.tag()), (3, u64::MAX));
    assert_eq!(message.sender(), Some(task.identity()));
    assert_eq!(message.notification(), None);
    assert!(message.reply_right().is_none() && message.take_reply().is_none());
}
