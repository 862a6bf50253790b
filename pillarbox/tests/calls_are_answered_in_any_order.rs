//! Any number of calls may be under way on one right, and are answered in any
//! order: each caller gets its own answer, and none of them needs a thread. What
//! becomes of a call can also be delivered to a port, with the caller's own
//! number, whatever the server says.

mod family;

use std::time::Duration;

use family::{Random, Reaped, act, acting, is_part, long, meet, offer, seed};
use pillarbox::{
    CallError, Capacity, Deadline, Holding, Message, Notification, PendingCall, Task, Withdraw,
};

/// Calls under way at a time.
const CALLS: u64 = 10_000;

/// Takes all requests first, then answers them in a random order.
#[test]
fn server_part() {
    if !acting("server_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Unbounded);
    offer(&[&inbox]);
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    let mut open = Vec::new();
    loop {
        let message = inbox.receive(long()).unwrap();
        if message.notification().is_some() {
            return;
        }
        open.push(message);
        if open.len() as u64 == CALLS {
            let mut random = Random::new(seed());
            while !open.is_empty() {
                let pick = random.below(open.len() as u64) as usize;
                let mut request = open.swap_remove(pick);
                let answer = Message::new("").with_tag(!request.tag());
                request.reply(answer, long()).unwrap();
            }
        }
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Calls it ten thousand times at once. In a process of its own, where nobody else
/// starts a thread.
#[test]
fn caller_part() {
    if !acting("caller_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let (mut child, [to]) = meet(act("server_part"), &inbox);
    let start = |tag| to.start_call(Message::new("").with_tag(tag), long()).unwrap();
    let mut calls: Vec<(u64, PendingCall)> = (0..CALLS - 1).map(|tag| (tag, start(tag))).collect();
    let before = threads();
    // The server answers none before it has them all.
    let mut waiting = calls.iter_mut().map(|(_, call)| call.wait(Deadline::Now));
    assert!(waiting.all(|answer| matches!(answer, Err(CallError::Deadline))));
    let first = &mut calls[0].1;
    let early = first.wait(Deadline::after(Duration::from_millis(1)));
    assert!(matches!(early, Err(CallError::Deadline)));
    calls.push((CALLS - 1, start(CALLS - 1)));
    let mut random = Random::new(seed());
    while !calls.is_empty() {
        let pick = random.below(calls.len() as u64) as usize;
        let (tag, mut call) = calls.swap_remove(pick);
        assert_eq!(call.wait(long()).unwrap().tag(), !tag);
        assert!(matches!(call.wait(long()), Err(CallError::Withdrawn)));
    }
    assert!(threads() <= before);
    drop(to);
    assert!(child.ended_well());
}

#[test]
fn ten_thousand_calls_to_another_process_need_no_threads() {
    if is_part() {
        return;
    }
    let caller = act("caller_part").spawn().unwrap();
    assert!(Reaped(caller).ended_well());
}

#[test]
fn ten_thousand_calls_within_a_task_are_each_answered_with_their_own() {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    let mut calls: Vec<_> = (0..CALLS)
        .map(|tag| Some(post.start_call(Message::new("").with_tag(tag), Deadline::Now).unwrap()))
        .collect();
    let mut requests: Vec<_> =
        std::iter::from_fn(|| inbox.receive(Deadline::Now).ok()).map(Some).collect();
    let seed = seed();
    let mut random = Random::new(seed);
    for _ in 0..CALLS * 2 {
        if let Some(mut request) = requests[random.below(CALLS) as usize].take() {
            let answer = Message::new("").with_tag(!request.tag());
            request.reply(answer, Deadline::Now).unwrap();
        }
    }
    for (tag, call) in (0..).zip(&mut calls) {
        let answered = requests[tag as usize].is_none();
        let call = call.as_mut().unwrap();
        assert_eq!(call.is_ready(), answered, "seed {seed}");
        match call.wait(Deadline::Now) {
            Err(CallError::Deadline) => assert!(!answered, "seed {seed}"),
            answer => assert_eq!(answer.unwrap().tag(), !tag, "seed {seed}"),
        }
    }
    // The rest is broken aloud, each with its own.
    drop(requests);
    for call in &mut calls {
        let ended = call.as_mut().unwrap().wait(Deadline::Now);
        assert!(matches!(ended, Err(CallError::Dropped | CallError::Withdrawn)));
    }
    drop(calls);
    drop((inbox, post));
    assert_eq!(task.census(), pillarbox::Census::default());
}

#[test]
fn completions_come_to_a_port_with_the_callers_numbers() {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    // Smaller than what comes: an answer has its place from the start.
    let done = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let start = |number| {
        let request = Message::new("").with_tag(number);
        post.start_call_to(request, &done, number << 32, Deadline::Now).unwrap()
    };
    let calls: Vec<_> = (0..100).map(start).collect();
    assert_eq!(task.census().count(Holding::OwnSendOnce), 100);
    let mut requests: Vec<_> = std::iter::from_fn(|| inbox.receive(Deadline::Now).ok()).collect();
    assert!(calls[50].withdraw(Withdraw::Done));
    assert_eq!(task.census().count(Holding::OwnSendOnce), 99);
    for mut request in requests.drain(..).rev() {
        let number = request.tag();
        match number {
            // Says another number than it was given.
            0..50 => request.reply(Message::new("").with_tag(7), Deadline::Now).unwrap(),
            50 => assert!(request.reply(Message::new(""), Deadline::Now).is_err()),
            _ => drop(request),
        }
    }
    for number in (0..100).rev().filter(|number| *number != 50) {
        let ended = done.receive(Deadline::Now).unwrap();
        assert_eq!(ended.completion(), Some(number << 32));
        let told = (number > 50).then_some(Notification::SendOnceDropped);
        assert_eq!((ended.notification(), ended.sender().is_some()), (told, number < 50));
    }
    assert!(done.receive(Deadline::Now).is_err());
    assert!(calls.iter().all(pillarbox::StartedCall::is_over));
    assert_eq!(task.census().count(Holding::OwnSendOnce), 0);
}

#[test]
fn a_call_that_cannot_be_started_gives_back_what_was_put_in() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let done = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    post.send(Message::new("fills it"), Deadline::Now).unwrap();
    let request = || Message::new("back").with_reply(done.make_send_once().unwrap());
    let mut failed = post.start_call(request(), Deadline::Now).unwrap_err();
    let reply = failed.message.take_reply().unwrap();
    reply.send(Message::new("mine"), Deadline::Now).unwrap();
    let mut failed = post.start_call_to(request(), &done, 1, Deadline::Now).unwrap_err();
    assert_eq!(failed.message.body(), b"back");
    let reply = failed.message.take_reply().unwrap();
    reply.send(Message::new("mine too"), Deadline::Now).unwrap();
    assert_eq!(done.receive(Deadline::Now).unwrap().body(), b"mine");
    assert_eq!(done.receive(Deadline::Now).unwrap().body(), b"mine too");
    assert!(done.receive(Deadline::Now).is_err());
    assert_eq!(task.census().count(Holding::OwnSendOnce), 0);
}
