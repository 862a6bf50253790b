//! Each kind of news comes once, to whoever asked, also from and to another task,
//! and not at all once the request was taken back.
//!
//! Within one task dead names, no-senders and send-once rights are the matter of
//! `in_process_notifications_come_once.rs`; room and acceptance that of the tests
//! of full mailboxes; withdrawn calls that of `a_call_can_be_withdrawn.rs`.

mod family;

use family::{act, acting, given, long, meet};
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, Task};

fn told(port: &ReceiveRight, deadline: Deadline) -> Option<Notification> {
    port.receive(deadline).ok().map(|news| news.notification().expect("a notification"))
}

/// Gives its parent two send rights to one port of its own and one to another,
/// asks to be told of the parent's letting go, and says what it was told.
#[test]
fn giver_part() {
    if !acting("giver_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (inbox, news) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let (to, kept) = news.make_news(5).unwrap();
    let (never, armed) = news.make_news(6).unwrap();
    let other = task.port(Capacity::Bounded(4));
    let rights = [&inbox, &inbox, &other].map(|port| port.make_send().unwrap());
    inbox.notify_no_senders_since(to, 3).unwrap();
    other.notify_no_senders(never).unwrap();
    let parent = given("parent");
    let hello = rights.into_iter().fold(Message::new(""), Message::with_right);
    parent.send(hello, long()).unwrap();
    assert!(armed.cancel());
    let gone = news.receive(long()).unwrap();
    assert_eq!(gone.notification(), Some(Notification::NoSenders));
    assert_eq!((gone.completion(), gone.make_sends()), (Some(5), Some(2)));
    assert!(kept.is_over());
    parent.send(Message::new("told"), long()).unwrap();
    // The parent asks on a right of ours who is told of what happens to another.
    let mut asked = other.receive(long()).unwrap();
    let right = asked.take_rights().remove(0).into_send().unwrap();
    right.notify_dead(asked.take_reply().unwrap()).unwrap();
    parent.send(Message::new("asked"), long()).unwrap();
    assert_eq!(other.receive(long()).unwrap().body(), b"enough");
    drop(right);
    assert_eq!(told(&news, Deadline::Now), None);
    assert_eq!(other.receive(long()).unwrap().body(), b"end");
}

#[test]
fn news_crosses_a_link_once() {
    let task = Task::current().unwrap();
    let (inbox, news) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let (mut child, [first, second, other]) = meet(act("giver_part"), &inbox);

    // A right that is let go while its death is watched.
    first.notify_dead(news.make_news(1).unwrap().0).unwrap();
    let (to, armed) = news.make_news(2).unwrap();
    first.notify_dead(to).unwrap();
    assert!(armed.cancel());
    drop(first);
    assert_eq!(told(&news, Deadline::Now), None, "a copy is left");
    drop(second);
    let gone = news.receive(Deadline::Now).unwrap();
    assert_eq!((gone.notification(), gone.completion()), (Some(Notification::LetGo), Some(1)));
    assert_eq!(told(&news, Deadline::Now), None);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"told");

    // The same, asked for by another task with a right of ours.
    let watched = task.port(Capacity::Bounded(1));
    let (to, armed) = news.make_news(3).unwrap();
    let ask = Message::new("").with_right(watched.make_send().unwrap()).with_reply(to);
    other.send(ask, long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"asked");
    other.send(Message::new("enough"), long()).unwrap();
    let gone = news.receive(long()).unwrap();
    assert_eq!((gone.notification(), gone.completion()), (Some(Notification::LetGo), Some(3)));
    assert!(!armed.cancel());

    // And the end of its task is told of what is left, after its last word.
    other.notify_dead(news.make_news(4).unwrap().0).unwrap();
    other.send(Message::new("end"), long()).unwrap();
    let gone = news.receive(long()).unwrap();
    assert_eq!((gone.notification(), gone.completion()), (Some(Notification::DeadName), Some(4)));
    assert!(child.ended_well());
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn the_owner_keeps_its_name_while_it_can_receive() {
    let task = Task::new();
    let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(2)));
    let post = inbox.make_send().unwrap();
    post.notify_dead(news.make_send_once().unwrap()).unwrap();
    drop(post);
    assert_eq!(told(&news, Deadline::Now), None);
    drop(inbox);
    assert_eq!(told(&news, Deadline::Now), Some(Notification::DeadName));
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn made_rights_are_counted_and_copies_are_not() {
    let task = Task::new();
    let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(2)));
    inbox.notify_no_senders_since(news.make_send_once().unwrap(), 1).unwrap();
    assert_eq!(told(&news, Deadline::Now), None, "the first is still to be made");
    let post = inbox.make_send().unwrap();
    let copy = post.clone();
    let _ = inbox.make_send_once().unwrap();
    drop(post);
    assert_eq!(told(&news, Deadline::Now), None);
    drop(copy);
    let gone = news.receive(Deadline::Now).unwrap();
    assert_eq!((gone.notification(), gone.make_sends()), (Some(Notification::NoSenders), Some(1)));
    assert_eq!(inbox.make_sends(), 1);
    // At once for who knows of that one, and not for who knows of another.
    inbox.notify_no_senders_since(news.make_send_once().unwrap(), 1).unwrap();
    assert_eq!(told(&news, Deadline::Now), Some(Notification::NoSenders));
    let (to, armed) = news.make_news(1).unwrap();
    inbox.notify_no_senders_since(to, 2).unwrap();
    assert_eq!(told(&news, Deadline::Now), None);
    assert!(armed.cancel());
    drop(inbox.make_send().unwrap());
    assert_eq!(told(&news, Deadline::Now), None);
}
