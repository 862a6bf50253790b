//! Within one task: when a receive right is dropped, everyone who has to do with
//! the port hears of it, and nothing is kept.

mod asleep;

use asleep::{long, spawn_asleep};
use pillarbox::{
    CallError, Capacity, Deadline, Gone, Holding, Message, Notification, ReplyState, Right,
    SendFailure, Task,
};

#[test]
fn blocked_senders_wake_and_get_their_messages_back() {
    for capacity in [Capacity::Rendezvous, Capacity::Bounded(1)] {
        let task = Task::new();
        let inbox = task.port(capacity);
        let other = task.port(Capacity::Bounded(8));
        let post = inbox.make_send().unwrap();
        let _ = post.send(Message::new(""), Deadline::Now);
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..4)
                .map(|tag| {
                    let message = Message::new("back")
                        .with_tag(tag)
                        .with_right(other.make_send().unwrap())
                        .with_right(other.make_send_once().unwrap());
                    let post = post.clone();
                    spawn_asleep(scope, move || post.send(message, Deadline::Never))
                })
                .collect();
            drop(inbox);
            for (tag, sender) in (0..).zip(senders) {
                let error = sender.join().unwrap().unwrap_err();
                assert_eq!(error.reason, SendFailure::Dead);
                assert_eq!((error.message.body(), error.message.tag()), (&b"back"[..], tag));
                let rights = error.message.rights();
                assert!(matches!(rights, [Right::Send(_), Right::SendOnce(_)]));
            }
        });
        assert!(post.is_dead());
        assert_eq!(task.census().count(Holding::OwnSend), 0);
    }
}

#[test]
fn a_send_to_a_dead_port_returns_everything() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    drop(inbox);
    assert!(post.is_dead());
    let other = task.port(Capacity::Bounded(1));
    let message = Message::new("back").with_right(other.make_send_once().unwrap());
    let error = post.send(message, Deadline::Never).unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead);
    assert!(matches!(error.message.rights(), [Right::SendOnce(_)]));
    assert!(other.receive(Deadline::Now).is_err());
}

/// A send that returned `Ok` to a port that is gone would have lost the message.
#[test]
fn a_send_once_to_a_dead_port_returns_everything() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let once = inbox.make_send_once().unwrap();
    drop(inbox);
    assert_eq!(once.state(), ReplyState::Gone(Gone::Died));
    let other = task.port(Capacity::Bounded(1));
    let message = Message::new("back").with_right(other.make_send_once().unwrap());
    let error = once.send(message, Deadline::Never).unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead);
    assert!(matches!(error.message.rights(), [Right::SendOnce(_)]));
    assert!(other.receive(Deadline::Now).is_err());
}

#[test]
fn queued_requests_tell_their_callers() {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                let post = post.clone();
                spawn_asleep(scope, move || post.call(Message::new(""), Deadline::Never))
            })
            .collect();
        assert_eq!(inbox.status().queued, 4);
        drop(inbox);
        for caller in callers {
            let error = caller.join().unwrap().unwrap_err();
            assert!(matches!(error, CallError::Dropped), "{error}");
        }
    });
}

#[test]
fn a_caller_that_waits_for_room_gets_its_request_back() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    post.send(Message::new(""), Deadline::Now).unwrap();
    let right = task.port(Capacity::Bounded(1));
    let request = Message::new("back").with_right(right.make_send().unwrap());
    std::thread::scope(|scope| {
        let caller = spawn_asleep(scope, || post.call(request, Deadline::Never));
        drop(inbox);
        let CallError::Unsent(error) = caller.join().unwrap().unwrap_err() else {
            panic!("it was not sent")
        };
        assert_eq!(error.reason, SendFailure::Dead);
        assert_eq!(error.message.body(), b"back");
        assert!(error.message.reply_right().is_none());
        assert_eq!(right.status().senders, 1);
    });
}

#[test]
fn rights_in_queued_messages_end_with_the_port() {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let other = task.port(Capacity::Unbounded);
    let news = task.port(Capacity::Unbounded);
    other.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    let post = inbox.make_send().unwrap();
    for _ in 0..3 {
        let message = Message::new("")
            .with_right(other.make_send().unwrap())
            .with_right(other.make_send_once().unwrap());
        post.send(message, Deadline::Now).unwrap();
    }
    // The request was armed before there was a sender: it has fired then.
    assert_eq!(news.receive(Deadline::Now).unwrap().notification(), Some(Notification::NoSenders));
    other.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    assert!(news.receive(Deadline::Now).is_err());
    drop(inbox);
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::NoSenders));
    for _ in 0..3 {
        let told = other.receive(Deadline::Now).unwrap();
        assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
    }
    assert!(other.receive(Deadline::Now).is_err());
    drop(post);
    let census = task.census();
    assert_eq!(census.count(Holding::OwnSend), 0);
    assert_eq!(census.count(Holding::OwnSendOnce), 0);
    assert_eq!(census.count(Holding::Receive), 2);
}

#[test]
fn a_port_whose_queue_holds_its_own_rights_ends() {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    for _ in 0..100 {
        let message = Message::new("")
            .with_right(inbox.make_send().unwrap())
            .with_right(inbox.make_send_once().unwrap());
        post.send(message, Deadline::Now).unwrap();
    }
    drop(inbox);
    assert!(post.is_dead());
    drop(post);
    assert_eq!(task.census(), pillarbox::Census::default());
}

/// Ports in a chain, each with the only right to the next in its queue: the end
/// of the first is told to the last, without a stack that grows with the chain.
#[test]
fn a_long_chain_of_ports_ends() {
    let task = Task::new();
    let mut ports = Vec::new();
    for _ in 0..20_000 {
        ports.push(task.port(Capacity::Unbounded));
    }
    for pair in ports.windows(2) {
        let message = Message::new("")
            .with_right(pair[1].make_send().unwrap())
            .with_right(pair[1].make_send_once().unwrap());
        pair[0].make_send().unwrap().send(message, Deadline::Now).unwrap();
    }
    ports.drain(..).for_each(drop);
    assert_eq!(task.census(), pillarbox::Census::default());
}

#[test]
fn a_status_of_a_dead_port_is_an_error() {
    let inbox = Task::new().port(Capacity::Bounded(3));
    let post = inbox.make_send().unwrap();
    post.send(Message::new(""), Deadline::Now).unwrap();
    let status = post.status(long()).unwrap();
    assert_eq!((status.queued, status.capacity, status.senders), (1, 3, 1));
    drop(inbox);
    assert_eq!(post.status(long()).unwrap_err(), pillarbox::StatusError::Dead);
}
