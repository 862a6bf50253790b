//! Many messages sent and received at once are the same messages, in the same order,
//! as so many sent and received one by one; and what is not sent comes back.

mod family;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use family::linked::give;
use family::{Random, is_part, long, seed};
use pillarbox::{
    Capacity, Deadline, Message, Overflow, PortOptions, ReceiveError, ReceiveRight, SendFailure,
    SendRight, Task,
};

/// A port of one task and a right to it in another.
fn linked(port: impl Into<PortOptions>) -> (Task, ReceiveRight, Task, SendRight) {
    let (owner, caller) = (Task::new(), Task::new());
    let inbox = owner.port(port);
    let post = give(&owner, &caller, inbox.make_send().unwrap());
    (owner, inbox, caller, post)
}

fn numbered(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Message> {
    numbers.map(|number| Message::new(number.to_le_bytes()).with_tag(number))
}

/// Takes what there is, and says the tags.
fn tags(inbox: &ReceiveRight, most: usize) -> Vec<u64> {
    let mut messages = Vec::new();
    match inbox.receive_many(&mut messages, most, Deadline::Now) {
        Ok(many) => assert_eq!(many, messages.len()),
        Err(ReceiveError::Deadline) => assert!(messages.is_empty()),
        Err(other) => panic!("{other}"),
    }
    assert!(messages.len() <= most);
    messages.iter().map(Message::tag).collect()
}

#[test]
fn they_come_in_order_with_everything_in_them() {
    const MESSAGES: u64 = 20_000;
    if is_part() {
        return;
    }
    for capacity in [Capacity::Bounded(1), Capacity::Bounded(64), Capacity::Unbounded] {
        let (_owner, inbox, caller, post) = linked(capacity);
        let seed = seed();
        let sender = std::thread::spawn(move || {
            let mut random = Random::new(seed);
            let home = caller.port(Capacity::Unbounded);
            let mut number = 0;
            while number < MESSAGES {
                let many = (1 + random.below(100)).min(MESSAGES - number);
                let batch = (number..number + many).map(|number| {
                    let body = vec![number as u8; random.below(200) as usize];
                    let message = Message::new(body).with_tag(number);
                    match random.below(32) {
                        0 => message.with_right(home.make_send().unwrap()),
                        1 => message.with_reply(home.make_send_once().unwrap()),
                        _ => message,
                    }
                });
                let sent = post.send_many(batch, long()).unwrap();
                assert_eq!(sent as u64, many, "seed {seed}");
                number += many;
                if random.below(8) == 0 {
                    std::thread::park_timeout(random.micros(50));
                }
            }
            // What is sent home finds it.
            (caller, home)
        });
        let (mut next, mut messages) = (0, Vec::new());
        let mut random = Random::new(seed + 1);
        while next < MESSAGES {
            let most = 1 + random.below(50) as usize;
            let many = inbox.receive_many(&mut messages, most, long()).unwrap();
            assert!(many == messages.len() && (1..=most).contains(&many), "seed {seed}");
            for message in messages.drain(..) {
                assert_eq!((message.tag(), message.sequence()), (next, next + 1), "seed {seed}");
                assert!(message.body().iter().all(|byte| *byte == next as u8), "seed {seed}");
                assert_eq!(message.sender().unwrap().pid, std::process::id() as i32);
                next += 1;
            }
        }
        let (_caller, home) = sender.join().unwrap();
        assert!(inbox.receive(Deadline::Now).is_err());
        drop(home);
    }
}

#[test]
fn what_finds_no_place_comes_back() {
    if is_part() {
        return;
    }
    let (_owner, inbox, _caller, post) = linked(Capacity::Bounded(5));
    let own = inbox.make_send().unwrap();
    for right in [&post, &own] {
        let error = right.send_many(numbered(0..9), Deadline::Now).unwrap_err();
        assert_eq!((error.sent, error.reason), (5, SendFailure::Full));
        let unsent: Vec<u64> = error.unsent.iter().map(Message::tag).collect();
        assert_eq!(unsent, [5, 6, 7, 8]);
        assert_eq!(tags(&inbox, 9), [0, 1, 2, 3, 4]);
    }
    // What is behind those at hand stays where it is.
    let mut all = numbered(0..100);
    let error = own.send_many(&mut all, Deadline::Now).unwrap_err();
    assert_eq!(error.sent + error.unsent.len() + all.count(), 100);
    drop(inbox);
    let error = own.send_many(numbered(0..2), Deadline::Never).unwrap_err();
    assert_eq!((error.sent, error.reason, error.unsent.len()), (0, SendFailure::Dead, 2));
    assert_eq!(own.send_many(Vec::new(), Deadline::Never).unwrap(), 0);
}

#[test]
fn no_more_are_received_than_were_asked_for() {
    if is_part() {
        return;
    }
    let (_owner, inbox, _caller, post) = linked(Capacity::Bounded(64));
    assert_eq!(inbox.receive_many(&mut Vec::new(), 0, Deadline::Never).unwrap(), 0);
    assert_eq!(tags(&inbox, 3), []);
    assert_eq!(post.send_many(numbered(0..40), long()).unwrap(), 40);
    let mut came = Vec::new();
    while came.len() < 40 {
        came.extend(tags(&inbox, 3));
    }
    assert!(came.into_iter().eq(0..40));
}

#[test]
fn a_port_that_drops_says_how_many() {
    if is_part() {
        return;
    }
    let options = PortOptions::new(Capacity::Bounded(4)).overflow(Overflow::DropOldest);
    let (_owner, inbox, _caller, post) = linked(options);
    assert_eq!(post.send_many(numbered(0..200), long()).unwrap(), 200);
    let mut came = Vec::new();
    while came.last() != Some(&199) {
        came.extend(tags(&inbox, 50));
    }
    assert!(came.is_sorted(), "{came:?}");
    assert_eq!(came.len() as u64 + inbox.status().dropped, 200);
}

#[test]
fn who_floods_another_port_keeps_nobody_here() {
    if is_part() {
        return;
    }
    let (owner, inbox, caller, post) = linked(Capacity::Bounded(64));
    let other = owner.port(PortOptions::new(Capacity::Bounded(4)).overflow(Overflow::DropOldest));
    let flood = give(&owner, &caller, other.make_send().unwrap());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                flood.send_many(numbered(0..32), long()).unwrap();
            }
        });
        let mut messages = Vec::new();
        for number in 0..200 {
            post.send_many(numbered(number..number + 1), long()).unwrap();
            // Sixteen places: it looks for more each time, and finds none.
            inbox.receive_many(&mut messages, 16, long()).unwrap();
        }
        over.store(true, Ordering::Release);
        assert!(messages.iter().map(Message::tag).eq(0..200));
    });
}

#[test]
fn futures_do_the_same() {
    if is_part() {
        return;
    }
    let (_owner, inbox, _caller, post) = linked(Capacity::Bounded(64));
    let mut cx = Context::from_waker(Waker::noop());
    let mut send = pin!(post.send_many_async(numbered(0..40)));
    let sent = loop {
        if let Poll::Ready(sent) = send.as_mut().poll(&mut cx) {
            break sent.unwrap();
        }
        std::thread::yield_now();
    };
    assert_eq!(sent, 40);
    let mut messages = Vec::new();
    while messages.len() < 40 {
        let mut receive = pin!(inbox.receive_many_async(&mut messages, 7));
        let many = loop {
            if let Poll::Ready(many) = receive.as_mut().poll(&mut cx) {
                break many.unwrap();
            }
            std::thread::yield_now();
        };
        assert!((1..=7).contains(&many));
    }
    assert!(messages.iter().map(Message::tag).eq(0..40));
}
