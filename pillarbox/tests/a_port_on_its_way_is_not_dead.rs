//! A port that goes from task to task is never seen dead meanwhile: not by those
//! who have it, had it, or only send to it.

mod family;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use family::linked::give;
use family::{long, settled};
use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveRight, SendFailure, SendRight, StatusError,
    Task,
};

/// How often the port goes to the next task.
const WAYS: usize = 60;

/// A task that may have the port, and a way to it.
struct Stop {
    inbox: ReceiveRight,
    /// From the task before it.
    way: SendRight,
}

fn stops(tasks: &[Task]) -> Vec<Stop> {
    let before = |at: usize| &tasks[(at + tasks.len() - 1) % tasks.len()];
    let stop = |(at, task): (usize, &Task)| {
        let inbox = task.port(Capacity::Bounded(4));
        let way = give(task, before(at), inbox.make_send().expect("a right"));
        Stop { inbox, way }
    };
    tasks.iter().enumerate().map(stop).collect()
}

/// Sends the port on; again where it is still followed from its last way.
fn send_on(mut port: ReceiveRight, to: &Stop) -> ReceiveRight {
    loop {
        match to.way.send(Message::new("port").with_right(port), long()) {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(error.reason, SendFailure::Unsettled);
                port = received(*error.message);
                let _ = port.receive(Deadline::after(Duration::from_micros(300)));
            }
        }
    }
    let port = received(to.inbox.receive(long()).expect("it comes"));
    while port.receive(Deadline::Now).is_ok() {}
    port
}

fn received(mut message: Message) -> ReceiveRight {
    let right = message.take_rights().pop().expect("a right");
    right.into_receive().expect("a port")
}

/// Asks in every way whether the port is dead.
fn look(post: &SendRight, own: &Task, way: usize) {
    assert!(!post.is_dead(), "after {way} ways");
    let news = own.port(Capacity::Bounded(1));
    post.notify_dead(news.make_send_once().expect("a right")).expect("it can be watched");
    if way.is_multiple_of(5) {
        let status = post.status(long());
        assert_ne!(status, Err(StatusError::Dead), "after {way} ways");
    }
    if way.is_multiple_of(7) {
        let room = own.port(Capacity::Bounded(1));
        post.notify_room(room.make_send_once().expect("a right")).expect("it can be asked");
        // Whoever asked before is let go of.
        let last = own.port(Capacity::Bounded(1));
        post.notify_room(last.make_send_once().expect("a right")).expect("it can be asked");
        let told = room.receive(long()).expect("it is told or dropped").notification();
        assert_ne!(told, Some(Notification::DeadName), "after {way} ways");
    }
    if let Err(error) = post.send(Message::new("a word"), Deadline::Now) {
        assert_ne!(error.reason, SendFailure::Dead, "after {way} ways");
    }
    let told = news.receive(Deadline::Now).ok().and_then(|told| told.notification());
    assert_ne!(told, Some(Notification::DeadName), "after {way} ways");
}

fn goes_round(tasks: &[Task]) {
    let stops = stops(tasks);
    let port = tasks[0].port(Capacity::Bounded(8));
    let posts: Vec<SendRight> = tasks
        .iter()
        .enumerate()
        .map(|(at, task)| {
            let right = port.make_send().expect("a right");
            if at == 0 { right } else { give(&tasks[0], task, right) }
        })
        .collect();
    let over = AtomicBool::new(false);
    let end = std::thread::scope(|scope| {
        let over = &over;
        for (task, post) in tasks.iter().zip(&posts) {
            scope.spawn(move || {
                for way in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    look(post, task, way);
                }
            });
        }
        let mut port = port;
        for way in 1..=WAYS {
            port = send_on(port, &stops[way % stops.len()]);
        }
        over.store(true, Ordering::Relaxed);
        port
    });
    drop(end);
    for post in posts {
        settled(|| post.is_dead(), |dead| *dead);
    }
}

#[test]
fn between_two_tasks() {
    goes_round(&[Task::new(), Task::new()]);
}

#[test]
fn round_three_tasks() {
    goes_round(&[Task::new(), Task::new(), Task::new()]);
}
