//! A peek says what comes next and leaves it to whoever receives.

mod asleep;
mod family;

use std::fs::File;

use family::{Reaped, act, acting, given, is_part, long, settled};
use pillarbox::{Capacity, Deadline, Message, Notification, Order, PortOptions, Task};

#[test]
fn a_peek_tells_everything_and_changes_nothing() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(2));
    assert!(inbox.peek().is_none());
    let post = inbox.make_send().unwrap();
    let message = Message::new("letter")
        .with_id(-4)
        .with_tag(9)
        .with_priority(3)
        .with_right(post.clone())
        .with_reply(inbox.make_send_once().unwrap())
        .with_descriptor(File::open("/dev/null").unwrap().into());
    post.send(message, Deadline::Now).unwrap();
    post.send(Message::new("second"), Deadline::Now).unwrap();
    let before = (inbox.status(), task.census());
    for _ in 0..3 {
        let next = inbox.peek().unwrap();
        assert_eq!((next.id, next.tag, next.priority), (-4, 9, 3));
        assert_eq!((next.bytes, next.rights, next.descriptors), (6, 1, 1));
        assert_eq!((next.wants_reply, next.pulses, next.is_rest), (true, 0, false));
        assert_eq!((next.sender, next.notification), (Some(task.identity()), None));
    }
    assert_eq!((inbox.status(), task.census()), before);
    // A full port is still full.
    assert!(post.send(Message::new("third"), Deadline::Now).is_err());
    let taken = inbox.receive(Deadline::Now).unwrap();
    assert_eq!((taken.body(), taken.sequence()), (&b"letter"[..], 1));
    assert_eq!(inbox.peek().unwrap().bytes, 6);
    drop(taken);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().sequence(), 2);
    let told = inbox.peek().unwrap().notification;
    assert_eq!(told, Some(Notification::SendOnceDropped));
}

#[test]
fn a_peek_sees_the_highest_priority() {
    let inbox = Task::new().port(PortOptions::new(Capacity::Unbounded).order(Order::Priority));
    let post = inbox.make_send().unwrap();
    for priority in [2, 5, 1] {
        post.send(Message::new("").with_priority(priority), Deadline::Now).unwrap();
    }
    assert_eq!(inbox.peek().unwrap().priority, 5);
}

#[test]
fn a_peek_at_a_rendezvous_lets_nobody_in() {
    let inbox = Task::new().port(Capacity::Rendezvous);
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        let sender = asleep::spawn_asleep(scope, || post.send(Message::new("met"), long()));
        assert!(inbox.peek().is_none());
        assert!(!sender.is_finished());
        assert_eq!(inbox.receive(long()).unwrap().body(), b"met");
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    given("inbox").send(Message::new(vec![7; 100_000]).with_id(5), long()).unwrap();
}

#[test]
fn a_peek_finds_what_another_task_has_written() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let child = act("sender_part").right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let pid = child.pid();
    // It ends when its message is accepted: then it is in its lane at least.
    assert!(child.ended_well());
    // Another thread of ours may be taking it out of the lane at this moment.
    settled(|| inbox.peek(), Option::is_some);
    let next = inbox.peek().unwrap();
    assert_eq!((next.id, next.bytes, next.descriptors), (5, 100_000, 0));
    assert_eq!(next.sender.unwrap().pid, pid);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), [7; 100_000]);
    assert!(inbox.peek().is_none());
}
