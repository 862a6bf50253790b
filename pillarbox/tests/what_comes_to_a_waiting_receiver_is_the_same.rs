//! Who waits for a message may take it out of the lane itself, past the queue. What it
//! gets, and what its sender may send next, is the same as if it had been queued.

mod executor;
mod family;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use executor::block_on;
use family::linked::give;
use family::{LONG, Random, is_part, long, seed, settled};
use pillarbox::{
    Capacity, Deadline, Limits, Member, Message, PortOptions, PortSet, ReceiveRight, SendFailure,
    SendRight, SetReceiveError, Task,
};

fn door() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("pillarbox-waiting-{}-{number}", std::process::id()))
}

/// A port of one task and a right to it in another.
fn linked(limits: Limits, port: impl Into<PortOptions>) -> (Task, ReceiveRight, Task, SendRight) {
    let (owner, caller) = (Task::new_with(limits), Task::new());
    let inbox = owner.port(port);
    let door = door();
    let offer = vec![("inbox".to_owned(), inbox.make_send().unwrap())];
    let listening = owner.listen(&door, offer).unwrap();
    let post = caller.connect(&door, long()).unwrap().remove("inbox").unwrap();
    drop(listening);
    (owner, inbox, caller, post.into_send().unwrap())
}

#[test]
fn it_comes_in_order_with_its_number_and_everything_in_it() {
    const MESSAGES: u64 = 20_000;
    if is_part() {
        return;
    }
    for capacity in [Capacity::Bounded(1), Capacity::Bounded(64), Capacity::Unbounded] {
        let (_owner, inbox, caller, post) = linked(Limits::default(), capacity);
        let seed = seed();
        let sender = std::thread::spawn(move || {
            let mut random = Random::new(seed);
            let home = caller.port(Capacity::Unbounded);
            let mut calls = Vec::new();
            for number in 0..MESSAGES {
                let body = vec![number as u8; random.below(200) as usize];
                let message = Message::new(body).with_tag(number).with_id(number as i32);
                match random.below(16) {
                    0 => {
                        let right = home.make_send().unwrap();
                        post.send(message.with_right(right), long()).unwrap();
                    }
                    1 => calls.push((number, post.start_call(message, long()).unwrap())),
                    _ => post.send(message, long()).unwrap(),
                }
                if random.below(64) == 0 {
                    std::thread::park_timeout(random.micros(50));
                }
            }
            for (number, mut call) in calls {
                assert_eq!(call.wait(long()).unwrap().tag(), number, "seed {seed}");
            }
        });
        for number in 0..MESSAGES {
            let mut message = inbox.receive(long()).unwrap();
            assert_eq!((message.tag(), message.sequence()), (number, number + 1), "seed {seed}");
            assert_eq!(message.id(), number as i32);
            assert!(message.body().iter().all(|byte| *byte == number as u8), "seed {seed}");
            assert_eq!(message.sender().unwrap().pid, std::process::id() as i32);
            if message.reply_right().is_some() {
                message.reply(Message::new("").with_tag(number), long()).unwrap();
            }
        }
        sender.join().unwrap();
        assert!(inbox.receive(Deadline::Now).is_err());
    }
}

#[test]
fn its_place_and_its_bytes_are_its_senders_again() {
    if is_part() {
        return;
    }
    for bytes in [u64::MAX, 0] {
        let mut limits = Limits::default();
        limits.link_queued_bytes = limits.link_queued_bytes.min(bytes);
        let (owner, inbox, caller, post) = linked(limits, Capacity::Bounded(8));
        // Many times as many bytes as may wait at once.
        let most = owner.limits().link_queued_bytes;
        let body = vec![7; 8 << 10];
        let messages = 10 * most / body.len() as u64;
        let sender = std::thread::spawn(move || {
            for number in 0..messages {
                let message = Message::new(body.clone()).with_tag(number);
                post.send(message, long()).unwrap();
            }
            (caller, post)
        });
        for number in 0..messages {
            assert_eq!(inbox.receive(long()).unwrap().tag(), number);
        }
        let (_caller, post) = sender.join().unwrap();
        // No place was won or lost by it.
        for _ in 0..8 {
            post.send(Message::new(""), Deadline::Now).unwrap();
        }
        let full = post.send(Message::new(""), Deadline::Now).unwrap_err();
        assert_eq!(full.reason, SendFailure::Full);
    }
}

#[test]
fn of_several_who_wait_each_message_goes_to_one() {
    const MESSAGES: u64 = 6_000;
    if is_part() {
        return;
    }
    let (_owner, inbox, _caller, post) = linked(Limits::default(), Capacity::Bounded(16));
    let sum = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let message = inbox.receive(long()).unwrap();
                    if message.id() == 1 {
                        return;
                    }
                    sum.fetch_add(message.tag(), Ordering::Relaxed);
                }
            });
        }
        for number in 0..MESSAGES {
            post.send(Message::new("some").with_tag(number), long()).unwrap();
        }
        for _ in 0..3 {
            post.send(Message::new("").with_id(1), long()).unwrap();
        }
    });
    assert_eq!(sum.load(Ordering::Relaxed), MESSAGES * (MESSAGES - 1) / 2);
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn what_waits_already_is_received_first() {
    if is_part() {
        return;
    }
    let (owner, inbox, _caller, post) = linked(Limits::default(), Capacity::Bounded(64));
    let other = owner.port(Capacity::Bounded(1));
    for round in 0..500 {
        post.send(Message::new("first").with_tag(round), long()).unwrap();
        // Whoever looks elsewhere brings what is in the lanes to its queue, or finds
        // another thread at it.
        let queued = || {
            assert!(other.receive(Deadline::Now).is_err());
            inbox.status().queued
        };
        settled(queued, |queued| *queued == 1);
        post.send(Message::new("second").with_tag(round), long()).unwrap();
        let own = inbox.make_send().unwrap();
        own.send(Message::new("third").with_tag(round), long()).unwrap();
        let mut came = Vec::new();
        for _ in 0..3 {
            let message = inbox.receive(long()).unwrap();
            assert_eq!(message.tag(), round);
            came.push(message.into_body());
        }
        let place = |body: &[u8]| came.iter().position(|other| other == body).unwrap();
        assert!(place(b"first") < place(b"second"));
        assert!(place(b"first") < place(b"third"));
    }
}

/// Two ports of one task in a set, and rights to them in another task.
fn linked_set() -> (Task, [ReceiveRight; 2], PortSet, Task, [SendRight; 2]) {
    let (owner, caller) = (Task::new(), Task::new());
    let ports = [(); 2].map(|()| owner.port(Capacity::Bounded(16)));
    let set = owner.port_set();
    for port in &ports {
        let _ = set.add(port).unwrap();
    }
    let posts = ports.each_ref().map(|port| give(&owner, &caller, port.make_send().unwrap()));
    (owner, ports, set, caller, posts)
}

#[test]
fn at_a_set_it_comes_in_order_of_each_member() {
    const MESSAGES: u64 = 20_000;
    if is_part() {
        return;
    }
    let (_owner, ports, set, caller, posts) = linked_set();
    let seed = seed();
    let sender = std::thread::spawn(move || {
        let mut random = Random::new(seed);
        let home = caller.port(Capacity::Unbounded);
        let mut sent = [0u64; 2];
        for _ in 0..MESSAGES {
            let to = random.below(2) as usize;
            let body = vec![sent[to] as u8; random.below(100) as usize];
            let mut message = Message::new(body).with_tag(sent[to]);
            if random.below(16) == 0 {
                message = message.with_right(home.make_send().unwrap());
            }
            posts[to].send(message, long()).unwrap();
            sent[to] += 1;
            if random.below(64) == 0 {
                std::thread::park_timeout(random.micros(50));
            }
        }
    });
    let mut came = [0u64; 2];
    let mut random = Random::new(seed + 1);
    for _ in 0..MESSAGES {
        // Some have less room than some messages are long: those stay where they are.
        let room = if random.below(4) == 0 { 50 } else { usize::MAX };
        let (member, message) = match set.receive_within(room, long()) {
            Ok(taken) => taken,
            Err(SetReceiveError::TooLong { bytes, .. }) => {
                assert!(bytes > room, "seed {seed}");
                set.receive(long()).unwrap()
            }
            Err(error) => panic!("{error}, seed {seed}"),
        };
        assert!(message.body().len() <= room || room == 50, "seed {seed}");
        let of = usize::from(member != Member::from(&ports[0]));
        assert_eq!((message.tag(), message.sequence()), (came[of], came[of] + 1), "seed {seed}");
        assert!(message.body().iter().all(|byte| *byte == came[of] as u8), "seed {seed}");
        came[of] += 1;
    }
    sender.join().unwrap();
    assert!(set.receive(Deadline::Now).is_err());
}

#[test]
fn what_comes_to_a_port_that_has_left_is_not_for_its_set() {
    const ROUNDS: u64 = 1_000;
    if is_part() {
        return;
    }
    let (_owner, [port, other], set, _caller, [post, stop]) = linked_set();
    let member = Member::from(&port);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| set.receive(long()));
        let mut random = Random::new(seed());
        for round in 0..ROUNDS {
            assert!(set.remove(member));
            // Who waits there may be in the midst of a look.
            post.send(Message::new("not for the set").with_tag(round), long()).unwrap();
            assert_eq!(port.receive(long()).unwrap().tag(), round);
            assert_eq!(set.add(&port).unwrap(), member);
            if random.below(8) == 0 {
                std::thread::park_timeout(random.micros(300));
            }
        }
        stop.send(Message::new("stop"), long()).unwrap();
        let (from, message) = waiting.join().unwrap().unwrap();
        assert_eq!((from, message.body()), (Member::from(&other), &b"stop"[..]));
    });
}

#[test]
fn a_future_beside_it_hears_of_what_is_its_own() {
    const ROUNDS: u64 = 500;
    if is_part() {
        return;
    }
    let (owner, caller) = (Task::new(), Task::new());
    let [near, far] = [(); 2].map(|()| owner.port(Capacity::Bounded(16)));
    let [to_near, to_far] =
        [&near, &far].map(|port| give(&owner, &caller, port.make_send().unwrap()));
    std::thread::scope(|scope| {
        let (told, hears) = std::sync::mpsc::channel();
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                told.send(block_on(far.receive_async()).unwrap().tag()).unwrap();
            }
        });
        let mut random = Random::new(seed());
        for round in 0..ROUNDS {
            let before = random.below(2) == 0;
            if before {
                to_far.send(Message::new("").with_tag(round), long()).unwrap();
            }
            let post = &to_near;
            let pause = random.micros(60);
            let sender = scope.spawn(move || {
                std::thread::park_timeout(pause);
                post.send(Message::new("").with_tag(round), long()).unwrap();
            });
            // It looks into the lanes by itself, and then it does so no more.
            assert_eq!(near.receive(long()).unwrap().tag(), round);
            if !before {
                to_far.send(Message::new("").with_tag(round), long()).unwrap();
            }
            assert_eq!(hears.recv_timeout(LONG), Ok(round));
            sender.join().unwrap();
        }
    });
}
