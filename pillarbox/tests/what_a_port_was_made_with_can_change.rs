//! The owner of a port may change how much it holds, and whom it tells.

mod family;

use std::time::Duration;

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Deadline, Message, Notification, SendFailure, Task};

#[test]
fn more_places_let_in_who_waits() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    post.send(Message::new("one"), Deadline::Now).unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let post = post.clone();
            std::thread::spawn(move || post.send(Message::new("more"), Deadline::Never).is_ok())
        })
        .collect();
    assert!(inbox.set_capacity(3));
    assert!(waiting.into_iter().all(|thread| thread.join().unwrap()));
    assert_eq!((inbox.status().queued, inbox.status().capacity), (3, 3));
}

#[test]
fn fewer_places_keep_what_is_queued() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    for _ in 0..4 {
        post.send(Message::new("kept"), Deadline::Now).unwrap();
    }
    assert!(inbox.set_capacity(2));
    for queued in (2..4).rev() {
        inbox.receive(Deadline::Now).unwrap();
        assert_eq!(inbox.status().queued, queued);
        let full = post.send(Message::new("more"), Deadline::Now).unwrap_err();
        assert_eq!(full.reason, SendFailure::Full);
    }
    inbox.receive(Deadline::Now).unwrap();
    post.send(Message::new("more"), Deadline::Now).unwrap();
}

#[test]
fn without_places_only_what_needs_none_comes_in() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let post = inbox.make_send().unwrap();
    assert!(inbox.set_capacity(0));
    let soon = Deadline::after(Duration::from_millis(5));
    let full = post.send(Message::new("never"), soon).unwrap_err();
    assert_eq!(full.reason, SendFailure::Full);
    inbox.make_send_once().unwrap().send(Message::new("once"), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"once");
    assert!(inbox.set_capacity(1));
    post.send(Message::new("now"), Deadline::Now).unwrap();
    assert!(!task.port(Capacity::Unbounded).set_capacity(1), "it has no places to count");
}

#[test]
fn another_tasks_sender_gets_the_new_places() {
    let (owner, sender) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(1));
    let post = give(&owner, &sender, inbox.make_send().unwrap());
    post.send(Message::new("one"), long()).unwrap();
    let full = post.send(Message::new("two"), Deadline::Now).unwrap_err();
    assert_eq!(full.reason, SendFailure::Full);
    let waiting = std::thread::spawn(move || post.send(Message::new("two"), long()).is_ok());
    assert!(inbox.set_capacity(2));
    assert!(waiting.join().unwrap());
    for body in ["one", "two"] {
        assert_eq!(inbox.receive(long()).unwrap().body(), body.as_bytes());
    }
    owner.close();
    sender.close();
}

#[test]
fn a_request_is_taken_back_by_the_owner() {
    let task = Task::new();
    let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let post = inbox.make_send().unwrap();
    assert_eq!((inbox.is_watched_for_no_senders(), inbox.is_bequeathed()), (false, false));
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    inbox.notify_destroyed(news.make_send_once().unwrap()).unwrap();
    assert_eq!((inbox.is_watched_for_no_senders(), inbox.is_bequeathed()), (true, true));
    assert_eq!(news.promises(), 2);
    let unused = (inbox.take_no_senders().unwrap(), inbox.take_destroyed().unwrap());
    assert!(inbox.take_no_senders().is_none() && inbox.take_destroyed().is_none());
    drop(post);
    drop(inbox);
    assert!(news.receive(Deadline::Now).is_err(), "nobody is told any more");
    drop(unused);
    for _ in 0..2 {
        let told = news.receive(Deadline::Now).unwrap();
        assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
    }
    assert_eq!(news.promises(), 0);
}

#[test]
fn make_sends_are_counted_on_from_any_number() {
    let task = Task::new();
    let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let post = inbox.make_send().unwrap();
    assert_eq!(post.port_id(), Some(inbox.id()));
    inbox.set_make_sends(0);
    drop(post);
    inbox.notify_no_senders_since(news.make_send_once().unwrap(), 1).unwrap();
    assert!(news.receive(Deadline::Now).is_err(), "none was made since");
    drop(inbox.make_send().unwrap());
    assert_eq!(news.receive(Deadline::Now).unwrap().make_sends(), Some(1));
}
