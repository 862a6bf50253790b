//! A port with priorities is read from the highest down, and within one priority
//! in the order sent; a plain port carries them only.

mod family;

use family::{Random, Reaped, act, acting, given, is_part, long};
use pillarbox::limits::PRIORITY_MAX;
use pillarbox::{Capacity, Deadline, Message, Order, PortOptions, ReceiveRight, SendFailure, Task};

/// Messages each sender sends.
const EACH: u64 = 2_000;

fn by_priority(task: &Task) -> ReceiveRight {
    task.port(PortOptions::new(Capacity::Unbounded).order(Order::Priority))
}

#[test]
fn the_higher_priority_comes_first() {
    let inbox = by_priority(&Task::new());
    let post = inbox.make_send().unwrap();
    let mut random = Random::new(7);
    let mut sent = Vec::new();
    for turn in 0..3_000 {
        // Few levels and many, so that some are crowded.
        let levels = [4, u64::from(PRIORITY_MAX) + 1][turn as usize % 2];
        let priority = random.below(levels) as u16;
        let message = Message::new("").with_priority(priority).with_tag(turn);
        post.send(message, Deadline::Now).unwrap();
        sent.push((priority, turn));
    }
    sent.sort_by_key(|&(priority, turn)| (std::cmp::Reverse(priority), turn));
    for (priority, turn) in sent {
        let message = inbox.receive(Deadline::Now).unwrap();
        assert_eq!((message.priority(), message.tag()), (priority, turn));
    }
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn a_plain_port_carries_priorities_only() {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    for priority in [1, PRIORITY_MAX, 0] {
        post.send(Message::new("").with_priority(priority), Deadline::Now).unwrap();
    }
    for priority in [1, PRIORITY_MAX, 0] {
        assert_eq!(inbox.receive(Deadline::Now).unwrap().priority(), priority);
    }
}

#[test]
fn a_priority_above_the_highest_is_refused_and_the_message_comes_back() {
    let inbox = by_priority(&Task::new());
    let own = inbox.make_send().unwrap();
    let too_high = PRIORITY_MAX + 1;
    let message = Message::new("back").with_priority(too_high).with_right(own.clone());
    let failed = own.send(message, Deadline::Now).unwrap_err();
    assert_eq!(failed.reason, SendFailure::PriorityTooHigh(too_high));
    assert_eq!((failed.message.body(), failed.message.rights().len()), (&b"back"[..], 1));
    assert_eq!(inbox.status().queued, 0);
}

#[test]
fn waiting_senders_of_a_full_port_are_read_by_priority_once_they_are_in() {
    let inbox = Task::new().port(PortOptions::new(Capacity::Bounded(2)).order(Order::Priority));
    let post = inbox.make_send().unwrap();
    for priority in [1, 2] {
        post.send(Message::new("").with_priority(priority), Deadline::Now).unwrap();
    }
    let failed = post.send(Message::new("").with_priority(9), Deadline::Now).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Full);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().priority(), 2);
    post.send(*failed.message, Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().priority(), 9);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().priority(), 1);
}

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let post = given("inbox");
    let refused = post.send(Message::new("").with_priority(PRIORITY_MAX + 1), Deadline::Now);
    assert_eq!(refused.unwrap_err().reason, SendFailure::PriorityTooHigh(PRIORITY_MAX + 1));
    for turn in 0..EACH {
        let priority = (turn * 7 % 5) as u16;
        let message = Message::new("").with_priority(priority).with_tag(turn);
        post.send(message, long()).unwrap();
    }
    given("done").send(Message::new("done"), long()).unwrap();
}

#[test]
fn what_other_tasks_sent_comes_by_priority_and_each_ones_in_order() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = by_priority(&task);
    let done = task.port(Capacity::Bounded(4));
    let mut children: Vec<Reaped> = (0..3)
        .map(|_| {
            let child = act("sender_part")
                .right("inbox", inbox.make_send().unwrap())
                .right("done", done.make_send().unwrap());
            Reaped(child.spawn().unwrap())
        })
        .collect();
    for _ in &children {
        done.receive(long()).unwrap();
    }
    // Each has sent all before it said so.
    let mut last = (u16::MAX, std::collections::HashMap::new());
    for _ in 0..EACH * children.len() as u64 {
        let message = inbox.receive(Deadline::Now).unwrap();
        assert!(message.priority() <= last.0, "{} after {}", message.priority(), last.0);
        if message.priority() < last.0 {
            last = (message.priority(), std::collections::HashMap::new());
        }
        let before = last.1.insert(message.sender().unwrap().task, message.tag());
        assert!(before.is_none_or(|before| before < message.tag()));
    }
    assert!(inbox.receive(Deadline::Now).is_err());
    assert!(children.iter_mut().all(Reaped::ended_well));
}
