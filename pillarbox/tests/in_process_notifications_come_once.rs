//! Within one task: send-once rights, no-senders and dead names speak exactly
//! once.

use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveError, ReceiveRight, SendRight, Task,
};

fn told(port: &ReceiveRight) -> Option<Notification> {
    match port.receive(Deadline::Now) {
        Ok(message) => {
            assert_eq!(message.sender(), None, "the library's own word has no sender");
            Some(message.notification().expect("a notification"))
        }
        Err(error) => {
            assert_eq!(error, ReceiveError::Deadline);
            None
        }
    }
}

/// A port, a send right to it, and a port for news.
fn world() -> (ReceiveRight, SendRight, ReceiveRight) {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    (inbox, post, task.port(Capacity::Bounded(4)))
}

#[test]
fn a_send_once_right_used_does_not_speak() {
    let (_, _, news) = world();
    news.make_send_once().unwrap().send(Message::new("used"), Deadline::Now).unwrap();
    assert_eq!(news.receive(Deadline::Now).unwrap().body(), b"used");
    assert_eq!(told(&news), None);
}

#[test]
fn a_send_once_right_dropped_speaks_once() {
    let (_, _, news) = world();
    drop(news.make_send_once().unwrap());
    assert_eq!(told(&news), Some(Notification::SendOnceDropped));
    assert_eq!(told(&news), None);
}

#[test]
fn a_send_once_right_speaks_where_the_queue_is_full() {
    let (inbox, post, _) = world();
    for _ in 0..4 {
        post.send(Message::new(""), Deadline::Now).unwrap();
    }
    for _ in 0..3 {
        drop(inbox.make_send_once().unwrap());
    }
    assert!(post.send(Message::new(""), Deadline::Now).is_err());
    for _ in 0..4 {
        assert_eq!(inbox.receive(Deadline::Now).unwrap().notification(), None);
    }
    for _ in 0..3 {
        assert_eq!(told(&inbox), Some(Notification::SendOnceDropped));
    }
}

#[test]
fn a_send_once_right_is_usable_after_a_failed_send() {
    let (_, _, news) = world();
    let once = news.make_send_once().unwrap();
    let rights = (0..513).map(|_| news.make_send().unwrap());
    let message = rights.fold(Message::new(""), Message::with_right);
    let error = once.send(message, Deadline::Now).unwrap_err();
    assert_eq!(told(&news), None);
    assert_eq!(error.message.rights().len(), 513);
    error.right.send(Message::new("second try"), Deadline::Now).unwrap();
    assert_eq!(news.receive(Deadline::Now).unwrap().body(), b"second try");
    assert_eq!(told(&news), None);
}

#[test]
fn no_senders_fires_once_and_never_early() {
    let (inbox, post, news) = world();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    let copies: Vec<_> = (0..10).map(|_| post.clone()).collect();
    drop(post);
    assert_eq!(told(&news), None);
    drop(copies);
    assert_eq!(told(&news), Some(Notification::NoSenders));
    // It is used up: the next time is not told.
    drop(inbox.make_send().unwrap());
    drop(inbox);
    assert_eq!(told(&news), None);
}

#[test]
fn no_senders_fires_at_once_where_there_are_none() {
    let (inbox, post, news) = world();
    drop(post);
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    assert_eq!(told(&news), Some(Notification::NoSenders));
    // And can be asked for again.
    let post = inbox.make_send().unwrap();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    assert_eq!(told(&news), None);
    drop(post);
    assert_eq!(told(&news), Some(Notification::NoSenders));
}

#[test]
fn a_send_right_in_a_message_is_a_sender() {
    let (inbox, post, news) = world();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    let task = Task::new();
    let carrier = task.port(Capacity::Bounded(1));
    let carry = carrier.make_send().unwrap();
    carry.send(Message::new("").with_right(post), Deadline::Now).unwrap();
    assert_eq!(told(&news), None);
    let message = carrier.receive(Deadline::Now).unwrap();
    assert_eq!(told(&news), None);
    drop(message);
    assert_eq!(told(&news), Some(Notification::NoSenders));
}

#[test]
fn a_send_once_right_is_no_sender() {
    let (inbox, post, news) = world();
    let _once = inbox.make_send_once().unwrap();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    drop(post);
    assert_eq!(told(&news), Some(Notification::NoSenders));
}

#[test]
fn a_request_that_is_replaced_speaks() {
    let (inbox, post, news) = world();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    assert_eq!(told(&news), Some(Notification::SendOnceDropped));
    drop(post);
    assert_eq!(told(&news), Some(Notification::NoSenders));
    assert_eq!(told(&news), None);
}

#[test]
fn a_request_that_ends_with_its_port_speaks() {
    let (inbox, _post, news) = world();
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    drop(inbox);
    assert_eq!(told(&news), Some(Notification::SendOnceDropped));
    assert_eq!(told(&news), None);
}

#[test]
fn a_dead_name_is_told_when_the_port_goes() {
    let (inbox, post, news) = world();
    post.notify_dead(news.make_send_once().unwrap()).unwrap();
    post.clone().notify_dead(news.make_send_once().unwrap()).unwrap();
    assert_eq!(told(&news), None);
    drop(inbox);
    assert_eq!(told(&news), Some(Notification::DeadName));
    assert_eq!(told(&news), Some(Notification::DeadName));
    assert_eq!(told(&news), None);
}

#[test]
fn a_dead_name_is_told_at_once_where_the_port_is_gone() {
    let (inbox, post, news) = world();
    drop(inbox);
    post.notify_dead(news.make_send_once().unwrap()).unwrap();
    assert_eq!(told(&news), Some(Notification::DeadName));
    assert_eq!(told(&news), None);
}

#[test]
fn the_news_of_a_death_comes_after_what_was_sent_before() {
    let (inbox, _post, news) = world();
    let to_news = news.make_send().unwrap();
    inbox.make_send().unwrap().notify_dead(news.make_send_once().unwrap()).unwrap();
    to_news.send(Message::new("before"), Deadline::Now).unwrap();
    drop(inbox);
    assert_eq!(news.receive(Deadline::Now).unwrap().body(), b"before");
    assert_eq!(told(&news), Some(Notification::DeadName));
}

#[test]
fn senders_that_come_and_go_fire_once_each_time() {
    let (inbox, post, news) = world();
    drop(post);
    for _ in 0..200 {
        let post = inbox.make_send().unwrap();
        inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let copy = post.clone();
                scope.spawn(move || drop(copy));
            }
            scope.spawn(move || drop(post));
        });
        assert_eq!(told(&news), Some(Notification::NoSenders));
        assert_eq!(told(&news), None);
    }
}
