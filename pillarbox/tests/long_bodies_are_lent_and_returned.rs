//! A long body lies in memory that its sender lends until the receiver has looked: in one
//! look or in parts, as a request or an answer. Who takes messages and never looks holds
//! up nobody, and what the dead have lent stays.

mod family;

use std::sync::Arc;

use abi::limits::{ARENA_BYTES, INLINE_BYTES, LOANS};
use family::linked::give;
use family::{act, acting, begin, is_part, long, meet, offer, settled};
use pillarbox::{Capacity, Deadline, Limits, Message, ReceiveRight, SendRight, Short, Task};

/// A body in which no page is like another.
fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut random = family::Random::new(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

struct Linked {
    owner: Task,
    sender: Task,
    inbox: ReceiveRight,
    post: SendRight,
}

fn linked(limits: Limits) -> Linked {
    let (owner, sender) = (Task::new(), Task::new_with(limits));
    let inbox = owner.port(Capacity::Bounded(4096));
    let post = give(&owner, &sender, inbox.make_send().unwrap());
    Linked { owner, sender, inbox, post }
}

impl Linked {
    fn close(self) {
        self.sender.close();
        self.owner.close();
    }
}

#[test]
fn messages_that_nobody_looks_at_hold_up_nobody() {
    if is_part() {
        return;
    }
    let linked = linked(Limits::default());
    let kept: Vec<Message> = (0..u64::from(LOANS) + 50)
        .map(|number| {
            linked.post.send(Message::new(body(INLINE_BYTES + 1, number)), long()).unwrap();
            linked.inbox.receive(long()).unwrap()
        })
        .collect();
    for (number, message) in kept.into_iter().enumerate() {
        assert!(message.into_body() == body(INLINE_BYTES + 1, number as u64), "{number}");
    }
    linked.close();
}

#[test]
fn a_body_that_is_shared_is_sent_as_often_as_one_likes_and_stays() {
    if is_part() {
        return;
    }
    let linked = linked(Limits::default());
    let own = linked.inbox.make_send().unwrap();
    for length in [0, 1, 64, 65, 1000, INLINE_BYTES, INLINE_BYTES + 1, 300_000] {
        let bytes: Arc<[u8]> = body(length, length as u64).into();
        for post in [&linked.post, &own, &linked.post] {
            post.send(Message::new(Arc::clone(&bytes)).with_id(7), long()).unwrap();
        }
        for _ in 0..3 {
            let message = linked.inbox.receive(long()).unwrap();
            assert_eq!((message.id(), message.body().len()), (7, length));
            assert!(message.body() == &*bytes, "{length}");
            assert!(message.into_body() == *bytes, "{length}");
        }
        // Nobody has a part in it any more.
        assert_eq!(Arc::strong_count(&bytes), 1, "{length}");
    }
    // What cannot be sent comes back with it.
    let bytes: Arc<[u8]> = body(40_000, 1).into();
    let full = linked.owner.port(Capacity::Bounded(1));
    let post = give(&linked.owner, &linked.sender, full.make_send().unwrap());
    post.send(Message::new(Arc::clone(&bytes)), long()).unwrap();
    let refused = post.send(Message::new(Arc::clone(&bytes)), Deadline::Now).unwrap_err();
    assert!(refused.message.body() == &*bytes);
    assert_eq!(Arc::strong_count(&bytes), 2);
    linked.close();
}

#[test]
fn where_there_is_no_room_it_travels_in_memory_of_its_own() {
    if is_part() {
        return;
    }
    for arena_bytes in [0, 1 << 20, ARENA_BYTES] {
        let linked = linked(Limits { arena_bytes, ..Limits::default() });
        for number in 0..20 {
            linked.post.send(Message::new(body(400_000, number)), long()).unwrap();
        }
        let mut room = vec![0; 400_000];
        for number in 0..20 {
            let sent = body(400_000, number);
            match number % 3 {
                0 => assert!(linked.inbox.receive(long()).unwrap().body() == sent),
                1 => {
                    let part =
                        linked.inbox.receive_into(&mut room, Short::Truncate, long()).unwrap();
                    assert_eq!((part.bytes, part.left), (400_000, 0));
                    assert!(room == sent);
                }
                _ => {
                    let (first, rest) = room.split_at_mut(150_000);
                    let part = linked.inbox.receive_into(first, Short::Split, long()).unwrap();
                    assert_eq!((part.bytes, part.left), (150_000, 250_000));
                    let part = linked.inbox.receive_into(rest, Short::Split, long()).unwrap();
                    assert_eq!((part.bytes, part.left), (250_000, 0));
                    assert!(room == sent);
                }
            }
        }
        linked.close();
    }
}

#[test]
fn sender_part() {
    let Some((_, orders, parent)) = begin("sender_part") else { return };
    for number in 0..3 {
        parent.send(Message::new(body(200_000, number)), long()).unwrap();
    }
    let _ = orders.receive(long());
}

#[test]
fn what_the_dead_have_lent_is_still_read() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(16));
    let to_us = inbox.make_send().unwrap();
    let child = act("sender_part").right("parent", to_us).spawn_in(&task).unwrap();
    let mut child = family::Reaped(child);
    let mut hello = inbox.receive(long()).unwrap();
    let orders = hello.take_rights().remove(0).into_send().unwrap();
    let came: Vec<Message> = (0..3).map(|_| inbox.receive(long()).unwrap()).collect();
    child.kill();
    settled(|| orders.is_dead(), |dead| *dead);
    for (number, message) in came.into_iter().enumerate() {
        assert!(message.body() == body(200_000, number as u64), "{number}");
    }
    task.close();
}

#[test]
fn echo_part() {
    if !acting("echo_part") {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    offer(&[&inbox]);
    while let Ok(mut request) = inbox.receive(long()) {
        let answer = Message::new(request.body());
        request.reply(answer, long()).unwrap();
    }
}

#[test]
fn long_answers_are_lent_as_well() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let (_child, [post]) = meet(act("echo_part"), &inbox);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let post = &post;
            scope.spawn(move || {
                for round in 0..50 {
                    let sent = body(40_000 + 10_000 * round, thread);
                    let answer = post.call(Message::new(sent.clone()), long()).unwrap();
                    assert!(answer.body() == sent);
                }
            });
        }
    });
}
