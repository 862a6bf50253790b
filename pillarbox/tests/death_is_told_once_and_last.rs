//! The death of a task is told once, and after everything it had sent. It comes
//! from the kernel: no sibling that keeps the socket open hides it, and a task
//! that only stands still is not dead.

mod family;

use std::time::{Duration, Instant};

use family::{Random, Reaped, act, acting, is_part, long, meet, offer, seed};
use pillarbox::{
    CallError, Capacity, Deadline, Message, Notification, ReceiveError, ReceiveRight, Right,
    SendFailure, SendRight, Task,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

const STREAM: i32 = 1;
const HOLD: i32 = 2;

/// Streams into the ports it is given, or holds what it is given.
#[test]
fn doomed_part() {
    if !acting("doomed_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(64));
    offer(&[&inbox]);
    let mut held = Vec::new();
    while let Ok(mut order) = inbox.receive(long()) {
        match order.id() {
            STREAM => {
                let rights = order.take_rights().into_iter();
                let ports: Vec<_> = rights.map(|right| right.into_send().unwrap()).collect();
                for number in 0.. {
                    for port in &ports {
                        port.send(Message::new("").with_id(number), long()).unwrap();
                    }
                }
            }
            HOLD => held.push(order),
            _ => {
                order.reply(Message::new("alive"), long()).unwrap();
            }
        }
    }
}

fn doomed(task: &Task) -> (Reaped, SendRight) {
    let inbox = task.port(Capacity::Bounded(1));
    let (child, [post]) = meet(act("doomed_part"), &inbox);
    (child, post)
}

fn empty(port: &ReceiveRight) -> bool {
    matches!(port.receive(Deadline::Now), Err(ReceiveError::Deadline))
}

#[test]
fn the_news_comes_after_everything_that_was_sent() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let seed = seed();
    let mut random = Random::new(seed);
    for round in 0..100 {
        let (mut child, post) = doomed(&task);
        // One of them hears of the death itself: everything else is there then.
        let both = [task.port(Capacity::Bounded(8)), task.port(Capacity::Unbounded)];
        post.notify_dead(both[0].make_send_once().unwrap()).unwrap();
        let order = both.iter().fold(Message::new("").with_id(STREAM), |order, port| {
            order.with_right(port.make_send().unwrap())
        });
        post.send(order, long()).unwrap();
        let moment = Instant::now() + random.micros(3_000);
        let mut next = 0;
        let take = |message: Message, next: &mut i32| {
            assert_eq!(message.id(), *next, "round {round}, seed {seed}");
            *next += 1;
        };
        while let Ok(message) = both[0].receive(Deadline::At(moment)) {
            take(message, &mut next);
        }
        child.kill();
        let news = loop {
            let message = both[0].receive(long()).unwrap();
            if message.notification().is_some() {
                break message;
            }
            take(message, &mut next);
        };
        assert_eq!(news.notification(), Some(Notification::DeadName));
        assert!(news.sender().is_none(), "the kernel's word, not a task's");
        // Nothing more comes to the one; all is there for the other already.
        let mut there = 0;
        while let Ok(message) = both[1].receive(Deadline::Now) {
            take(message, &mut there);
        }
        assert!(there == next || there == next - 1, "{there} and {next}, seed {seed}");
        assert!(empty(&both[0]) && both.iter().all(|port| port.status().senders == 0));
        assert!(post.is_dead());
    }
}

#[test]
fn whatever_the_dead_held_speaks_once() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let (mut child, post) = doomed(&task);
    let promises = task.port(Capacity::Bounded(1));
    let news = task.port(Capacity::Bounded(1));
    let port = task.port(Capacity::Bounded(1));
    let watchers = task.port(Capacity::Bounded(1));
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    while news.receive(Deadline::Now).is_err() {}
    for _ in 0..10 {
        let order = Message::new("")
            .with_id(HOLD)
            .with_right(promises.make_send_once().unwrap())
            .with_right(port.make_send().unwrap())
            .with_reply(promises.make_send_once().unwrap());
        post.send(order, long()).unwrap();
    }
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    for _ in 0..3 {
        post.notify_dead(watchers.make_send_once().unwrap()).unwrap();
    }
    // Calls that wait, in threads of their own, while the server holds them.
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let post = post.clone();
            std::thread::spawn(move || post.call(Message::new("").with_id(HOLD), Deadline::Never))
        })
        .collect();
    assert_eq!(post.call(Message::new(""), long()).unwrap().body(), b"alive");
    child.kill();
    for call in calls {
        let error = call.join().unwrap().unwrap_err();
        // One that had not sent yet has its request back.
        let unsent =
            matches!(&error, CallError::Unsent(error) if error.reason == SendFailure::Dead);
        assert!(unsent || matches!(error, CallError::Died), "{error}");
    }
    for _ in 0..20 {
        let last = promises.receive(long()).unwrap();
        assert_eq!(last.notification(), Some(Notification::SendOnceDied));
    }
    for _ in 0..3 {
        let told = watchers.receive(long()).unwrap();
        assert_eq!(told.notification(), Some(Notification::DeadName));
    }
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::NoSenders));
    // Who asks later is told at once, and once.
    post.notify_dead(watchers.make_send_once().unwrap()).unwrap();
    let late = watchers.receive(long()).unwrap();
    assert_eq!(late.notification(), Some(Notification::DeadName));
    assert!([&promises, &news, &port, &watchers].into_iter().all(empty));
    // A right to the dead arrives as such.
    let message = Message::new("").with_right(post.clone());
    port.make_send().unwrap().send(message, long()).unwrap();
    let mut arrived = port.receive(long()).unwrap();
    assert!(matches!(arrived.take_rights().remove(0), Right::Send(right) if right.is_dead()));
}

#[test]
fn who_keeps_the_socket_open_does_not_hide_a_death() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let (mut child, post) = doomed(&task);
    // What a forked grandchild would have, we take from the child ourselves: a
    // copy of its every socket, which is not closed when it dies.
    let pidfd = pidfd_open(Pid::from_raw(child.pid()).unwrap(), PidfdFlags::empty()).unwrap();
    let copies: Vec<_> = (0..64)
        .filter_map(|number| pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()).ok())
        .collect();
    assert!(copies.len() > 3);
    let news = task.port(Capacity::Bounded(1));
    post.notify_dead(news.make_send_once().unwrap()).unwrap();
    child.kill();
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::DeadName));
    let failed = post.send(Message::new("late"), Deadline::Never).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Dead);
    drop(copies);
}

#[test]
fn standing_still_is_not_death() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let (child, post) = doomed(&task);
    let news = task.port(Capacity::Bounded(1));
    post.notify_dead(news.make_send_once().unwrap()).unwrap();
    child.stop();
    let call = {
        let post = post.clone();
        std::thread::spawn(move || post.call(Message::new(""), long()))
    };
    // What must not happen within a second does not.
    let second = Deadline::after(Duration::from_secs(1));
    assert!(matches!(news.receive(second), Err(ReceiveError::Deadline)));
    assert!(!post.is_dead() && !call.is_finished());
    child.resume();
    assert_eq!(call.join().unwrap().unwrap().body(), b"alive");
    assert!(empty(&news));
}

#[test]
fn every_send_to_a_port_that_has_ended_fails() {
    let (owner, peer) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Unbounded);
    let post = family::linked::give(&owner, &peer, inbox.make_send().unwrap());
    post.send(Message::new("first"), long()).unwrap();
    drop(inbox);
    // Places are granted without end, and are no good any more.
    for _ in 0..3 {
        let error = post.send(Message::new("late"), long()).unwrap_err();
        assert_eq!(error.reason, pillarbox::SendFailure::Dead);
    }
}
