//! One descriptor tells a foreign event loop of everything: what peers send,
//! what threads of the task itself send, answers, room, deaths. With plain
//! `poll`, one thread serves and calls, and never blocks in the library.

mod executor;
mod family;

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use executor::poll_once;
use family::{LONG, Reaped, act, acting, is_part, long, meet, offer};
use pillarbox::future::Events;
use pillarbox::{CallError, Capacity, Deadline, Message, Notification, SendRight, Task};
use rustix::event::{PollFd, PollFlags, Timespec};

/// Whether the descriptor is readable, at once or within `wait`.
fn readable(events: &Events, wait: Timespec) -> bool {
    let fd = events.as_fd();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&wait)).unwrap() == 1
}

fn is_readable(events: &Events) -> bool {
    readable(events, Timespec::default())
}

/// Sleeps in `poll` until there is something, and takes it in.
fn next(events: &Events) {
    let long = Timespec::try_from(LONG).unwrap();
    assert!(readable(events, long), "nothing was told");
    events.turn();
}

/// Takes in what there is, until it is silent.
fn quiet(events: &Events) {
    for _ in 0..1000 {
        events.turn();
        if !is_readable(events) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("it does not become silent");
}

#[test]
fn what_the_task_sends_itself_is_told_until_a_turn() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    let events = task.events().unwrap();
    quiet(&events);
    for round in 0..100 {
        if round % 2 == 0 {
            post.send(Message::new("1"), Deadline::Now).unwrap();
        } else {
            drop(inbox.make_send_once().unwrap());
        }
        // Level: it stays so, however often it is looked at.
        assert!(is_readable(&events) && is_readable(&events), "round {round}");
        events.turn();
        assert!(!is_readable(&events), "round {round}");
        assert!(inbox.receive(Deadline::Now).is_ok());
    }
    // A message of another thread's wakes a loop that sleeps.
    std::thread::scope(|scope| {
        scope.spawn(|| post.send(Message::new("2"), Deadline::Now));
        next(&events);
        assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"2");
    });
    // Two handles are of one descriptor; the last closes it.
    let other = task.events().unwrap();
    drop(events);
    quiet(&other);
    post.send(Message::new("3"), Deadline::Now).unwrap();
    assert!(is_readable(&other));
}

/// A server that never blocks but in `poll`, and no future in it.
#[test]
fn loop_part() {
    if !acting("loop_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    let events = task.events().unwrap();
    offer(&[&inbox]);
    loop {
        next(&events);
        while let Ok(mut request) = inbox.receive(Deadline::Now) {
            if request.reply_right().is_some() {
                let answer = Message::new(request.body());
                request.reply(answer, Deadline::Now).unwrap();
            }
        }
    }
}

fn start(part: &str) -> (Reaped, SendRight) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let (child, [post]) = meet(act(part), &inbox);
    (child, post)
}

#[test]
fn a_loop_of_poll_serves_and_calls_between_processes() {
    if is_part() {
        return;
    }
    let (mut child, server) = start("loop_part");
    // Callers that block, to a server that polls.
    for number in 0..300_u32 {
        let body = number.to_le_bytes();
        assert_eq!(server.call(Message::new(body), long()).unwrap().body(), body);
    }
    // Calls as futures, driven by poll alone: no executor, no thread.
    let task = Task::current().unwrap();
    let events = task.events().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..300_u32 {
        let body = number.to_le_bytes();
        let mut calls: Vec<_> =
            (0..3).map(|_| Box::pin(server.call_async(Message::new(body)))).collect();
        while !calls.is_empty() {
            calls.retain_mut(|call| match call.as_mut().poll(&mut cx) {
                Poll::Ready(answer) => {
                    assert_eq!(answer.unwrap().body(), body);
                    false
                }
                Poll::Pending => true,
            });
            if !calls.is_empty() {
                next(&events);
            }
        }
    }
    // A death is told to futures, and to ports that asked.
    let news = task.port(Capacity::Bounded(1));
    server.notify_dead(news.make_send_once().unwrap()).unwrap();
    quiet(&events);
    child.kill();
    let told = loop {
        next(&events);
        if let Ok(told) = news.receive(Deadline::Now) {
            break told;
        }
    };
    assert_eq!(told.notification(), Some(Notification::DeadName));
    let mut call = pin!(server.call_async(Message::new("")));
    let Poll::Ready(Err(CallError::Unsent(_))) = poll_once(call.as_mut()) else {
        panic!("it is known to be dead")
    };
    // A link that hung up keeps nobody awake.
    quiet(&events);
}
