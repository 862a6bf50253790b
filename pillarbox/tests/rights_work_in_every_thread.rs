//! Rights belong to the task, not to a thread: one received here is used there
//! and dropped elsewhere; many threads call one remote port and each hears its
//! own answer; many threads receive, and each message goes to one of them.

mod family;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use family::{Reaped, act, acting, given, is_part, long, meet, offer, settled};
use pillarbox::{Capacity, Deadline, Message, Notification, SendRight, Task};

const CALLERS: i32 = 8;
const CALLS: i32 = 400;
const STREAM: u64 = 20_000;

/// Serves with three threads, and calls back with as many.
#[test]
fn server_part() {
    if !acting("server_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    offer(&[&inbox]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Ok(mut request) = inbox.receive(long()) {
                    let mut answer = Message::new(request.body()).with_tag(request.tag());
                    for right in request.take_rights() {
                        let right = right.into_send().unwrap();
                        let word = right.call(Message::new(request.body()), long()).unwrap();
                        assert_eq!(word.body(), request.body());
                        answer = answer.with_right(right);
                    }
                    request.reply(answer, long()).unwrap();
                }
            });
        }
    });
}

#[test]
fn stream_part() {
    if !acting("stream_part") {
        return;
    }
    let inbox = given("inbox");
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for who in 0..4 {
            let (inbox, next) = (&inbox, &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= STREAM {
                        return;
                    }
                    inbox.send(Message::new("").with_id(who).with_tag(number), long()).unwrap();
                }
            });
        }
    });
}

fn server(task: &Task) -> (Reaped, SendRight) {
    let inbox = task.port(Capacity::Bounded(1));
    let (child, [post]) = meet(act("server_part"), &inbox);
    (child, post)
}

#[test]
fn eight_threads_call_one_port_and_each_hears_its_own_answer() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let (_child, post) = server(&task);
    std::thread::scope(|scope| {
        for who in 0..CALLERS {
            let (post, task) = (post.clone(), &task);
            scope.spawn(move || {
                let own = task.port(Capacity::Bounded(1));
                for turn in 0..CALLS {
                    let text = format!("{who} {turn}");
                    let mut request = Message::new(text.as_str()).with_tag(turn as u64);
                    let called_back = turn % 20 == 0;
                    if called_back {
                        request = request.with_right(own.make_send().unwrap());
                    }
                    // While we wait for our answer the server calls us.
                    let answer = std::thread::scope(|inner| {
                        if called_back {
                            inner.spawn(|| {
                                let mut word = own.receive(long()).unwrap();
                                assert_eq!(word.body(), text.as_bytes());
                                let body = word.body().to_vec();
                                word.reply(Message::new(body), long()).unwrap();
                            });
                        }
                        post.call(request, long()).unwrap()
                    });
                    assert_eq!(answer.body(), text.as_bytes());
                    assert_eq!(answer.tag(), turn as u64);
                    assert_eq!(answer.rights().len(), usize::from(called_back));
                }
            });
        }
    });
}

#[test]
fn each_message_goes_to_one_of_many_receivers() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(32));
    let child = act("stream_part").right("inbox", inbox.make_send().unwrap()).spawn();
    let mut child = Reaped(child.unwrap());
    let seen = Mutex::new(vec![0_u8; STREAM as usize]);
    let left = AtomicU64::new(STREAM);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Each takes as many as it gets; who finds none left goes.
                while left
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1))
                    .is_ok()
                {
                    let message = inbox.receive(long()).unwrap();
                    seen.lock().unwrap()[message.tag() as usize] += 1;
                }
            });
        }
    });
    assert!(seen.into_inner().unwrap().iter().all(|&times| times == 1));
    assert!(inbox.receive(Deadline::Now).is_err());
    assert!(child.ended_well());
}

#[test]
fn a_right_is_received_here_used_there_and_dropped_elsewhere() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let (_child, post) = server(&task);
    let own = task.port(Capacity::Bounded(1));
    let news = task.port(Capacity::Bounded(1));
    for _ in 0..100 {
        let sent = own.make_send().unwrap();
        let answer = {
            let (post, own) = (&post, &own);
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let mut word = own.receive(long()).unwrap();
                    word.reply(Message::new("there"), long()).unwrap();
                });
                let request = Message::new("there").with_right(sent);
                let call = scope.spawn(move || post.call(request, long()).unwrap());
                call.join().unwrap()
            })
        };
        own.notify_no_senders(news.make_send_once().unwrap()).unwrap();
        let mut answer = answer;
        let right = answer.take_rights().remove(0).into_send().unwrap();
        let used = std::thread::spawn(move || {
            right.send(Message::new("used"), long()).unwrap();
            right
        });
        assert_eq!(own.receive(long()).unwrap().body(), b"used");
        let right = used.join().unwrap();
        assert!(news.receive(Deadline::Now).is_err());
        std::thread::spawn(move || drop(right)).join().unwrap();
        let told = news.receive(long()).unwrap();
        assert_eq!(told.notification(), Some(Notification::NoSenders));
    }
    // A right to the server itself, cloned and dropped by many at once.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2000).for_each(|_| drop(post.clone())));
        }
    });
    post.call(Message::new("still there"), long()).unwrap();
    drop(post);
    settled(|| task.census(), |census| census.count(pillarbox::Holding::ImportedSend) == 0);
}
