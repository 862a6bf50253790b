//! The owner of a shared mailbox hands each message to one reader: in turn, to
//! who has least, or by key; once, while all live.

mod family;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use family::linked::give;
use family::long;
use pillarbox::shared::{Policy, SharedMailbox, SharedReader};
use pillarbox::{Capacity, Deadline, Message, ReceiveError, SendRight, Task};

fn mailbox(policy: Policy) -> (SharedMailbox, SendRight) {
    let port = Task::new().port(Capacity::Unbounded);
    let post = port.make_send().unwrap();
    (SharedMailbox::new(port, policy), post)
}

/// Serves while `work` runs, which attaches and reads.
fn serving<T: Send>(mailbox: &mut SharedMailbox, work: impl FnOnce() -> T + Send) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let result = work();
            over.store(true, Ordering::Release);
            result
        });
        while !over.load(Ordering::Acquire) && !worker.is_finished() {
            mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
        }
        // What was said last is heard.
        mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
        worker.join().unwrap()
    })
}

#[test]
fn each_goes_to_one_and_none_is_lost() {
    let policies = [Policy::RoundRobin, Policy::LeastLoaded, Policy::by_tag()];
    for policy in policies {
        let name = format!("{policy:?}");
        let (mut mailbox, post) = mailbox(policy);
        let right = mailbox.reader_right().unwrap();
        for number in 0..200_u64 {
            let message = Message::new(number.to_le_bytes()).with_tag(number % 7);
            post.send(message, Deadline::Now).unwrap();
        }
        let seen = serving(&mut mailbox, || {
            let tasks = [(); 3].map(|()| Task::new());
            let mut readers = tasks
                .each_ref()
                .map(|task| SharedReader::attach(task, right.clone(), 2, long()).unwrap());
            let mut seen: HashMap<u64, usize> = HashMap::new();
            let mut keys: HashMap<u64, (usize, u64)> = HashMap::new();
            while seen.len() < 200 {
                for (at, reader) in readers.iter_mut().enumerate() {
                    let soon = Deadline::after(Duration::from_millis(1));
                    let Ok(Some(delivery)) = reader.receive(soon) else { continue };
                    let message = delivery.message();
                    let number = u64::from_le_bytes(message.body().try_into().unwrap());
                    assert_eq!(delivery.redelivered(), 0);
                    assert!(seen.insert(number, at).is_none(), "{name}: {number} came twice");
                    let (owner, last) = *keys.entry(message.tag()).or_insert((at, number));
                    if name == "ByKey" {
                        assert!(owner == at && last <= number, "{number} of {}", message.tag());
                    }
                    keys.insert(message.tag(), (owner, number));
                    delivery.acknowledge(long()).unwrap();
                }
            }
            seen
        });
        assert!((0..3).all(|at| seen.values().any(|reader| *reader == at)), "{name}: {seen:?}");
        assert_eq!(mailbox.status().held, 0);
    }
}

#[test]
fn a_caller_is_answered_through_the_owner() {
    let [owner, task, caller] = [(); 3].map(|()| Task::new());
    let port = owner.port(Capacity::Bounded(4));
    let post = give(&owner, &caller, port.make_send().unwrap());
    let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin);
    let right = give(&owner, &task, mailbox.reader_right().unwrap());
    serving(&mut mailbox, || {
        let mut reader = SharedReader::attach(&task, right, 1, long()).unwrap();
        let mut call = post.start_call(Message::new("two"), long()).unwrap();
        let delivery = reader.receive(long()).unwrap().unwrap();
        assert_eq!(delivery.message().body(), b"two");
        assert_eq!(delivery.origin().unwrap().task, caller.identity().task);
        // Given back, it keeps its caller.
        drop(delivery);
        let delivery = reader.receive(long()).unwrap().unwrap();
        assert_eq!(delivery.redelivered(), 1);
        delivery.reply(Message::new("deux"), long()).unwrap();
        assert_eq!(call.wait(long()).unwrap().body(), b"deux");
    });
    assert_eq!(mailbox.status().held, 0);
}

#[test]
fn who_acknowledges_what_it_does_not_hold_changes_nothing() {
    let (mut mailbox, post) = mailbox(Policy::RoundRobin);
    let right = mailbox.reader_right().unwrap();
    post.send(Message::new("one"), Deadline::Now).unwrap();
    serving(&mut mailbox, || {
        let task = Task::new();
        for number in 0..50 {
            right.pulse(2, number, 0).unwrap();
        }
        right.send(Message::new("no request").with_id(1), long()).unwrap();
        let mut reader = SharedReader::attach(&task, right.clone(), 1, long()).unwrap();
        let delivery = reader.receive(long()).unwrap().unwrap();
        assert_eq!((delivery.message().body(), delivery.redelivered()), (&b"one"[..], 0));
        delivery.acknowledge(long()).unwrap();
    });
    assert!(mailbox.status().strange >= 51);
    assert_eq!(mailbox.status().held, 0);
}

#[test]
fn one_message_is_taken_ahead_of_the_first_reader_and_is_still_the_first() {
    let task = Task::new();
    let port = task.port(Capacity::Bounded(4));
    let post = port.make_send().unwrap();
    let mut mailbox = SharedMailbox::new(port, Policy::RoundRobin).take_ahead();
    let right = mailbox.reader_right().unwrap();
    assert_eq!(mailbox.turn(Deadline::Now), Err(ReceiveError::Deadline));
    for tag in 0..5 {
        // One more than the capacity: the first is not in the port any more.
        post.send(Message::new("").with_tag(tag), Deadline::Now).unwrap();
        let _ = mailbox.turn(Deadline::Now);
    }
    let status = mailbox.status();
    assert_eq!((status.readers, status.held, mailbox.port().status().queued), (0, 1, 4));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = SharedReader::attach(&task, right, 2, long()).unwrap();
            for tag in 0..5 {
                let delivery = reader.receive(long()).unwrap().unwrap();
                assert_eq!((delivery.message().tag(), delivery.redelivered()), (tag, 0));
                delivery.acknowledge(long()).unwrap();
            }
        });
        while !reading.is_finished() {
            mailbox.serve(Deadline::after(Duration::from_millis(1))).unwrap();
        }
        reading.join().unwrap();
    });
    let all = SharedMailbox::new(task.port(Capacity::Bounded(4)), Policy::All).take_ahead();
    let post = all.port().make_send().unwrap();
    post.send(Message::new(""), Deadline::Now).unwrap();
    let mut all = all;
    assert_eq!(all.turn(Deadline::Now), Err(ReceiveError::Deadline));
    assert_eq!(all.status().held, 0);
}
