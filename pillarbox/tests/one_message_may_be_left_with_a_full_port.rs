//! The fourth answer to a full port: one message is left with its owner. It
//! outlives its sender, comes before all who wait for a place, in its sender's
//! order, and whoever is named in it is told once when it is taken. A second is
//! refused while the first waits, with everything back.

mod family;

use family::hand::{BLOCK, JOIN, Told, obey};
use family::{Reaped, act, acting, given, is_part, long, meet, offer};
use pillarbox::{
    Capacity, Deadline, Left, Message, Notification, ReceiveRight, SendFailure, SendRight, Task,
};

#[test]
fn hand_part() {
    obey("hand_part");
}

const TAKE: i32 = 1;
const END: i32 = 2;

/// Owns a port of two places that it reads when it is told to.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let mut port = Some(task.port(Capacity::Bounded(2)));
    let orders = task.port(Capacity::Unbounded);
    offer(&[port.as_ref().unwrap(), &orders]);
    while let Ok(mut order) = orders.receive(long()) {
        let mut answer = Message::new("");
        match order.id() {
            TAKE => answer = port.as_ref().unwrap().receive(long()).unwrap(),
            END => port = None,
            _ => return,
        }
        order.reply(Message::new(answer.body()), long()).unwrap();
    }
}

fn told(news: &ReceiveRight) -> Option<Notification> {
    news.receive(long()).unwrap().notification()
}

fn is_quiet(news: &ReceiveRight) -> bool {
    news.receive(Deadline::Now).is_err()
}

/// The same story wherever the port is; `take` takes one message out of it.
fn story(post: &SendRight, take: impl Fn() -> Vec<u8>, end: impl FnOnce()) {
    let task = Task::current().unwrap();
    let news = task.port(Capacity::Unbounded);
    for turn in 0..50 {
        let leave = |text: &str| {
            let message = Message::new(text).with_right(post.clone());
            post.leave(message, news.make_send_once().unwrap())
        };
        // Room: it is sent, and the right comes back.
        for text in ["first", "second"] {
            let Left::Sent(unused) = leave(text).unwrap() else { panic!("turn {turn}: no room") };
            unused.send(Message::new("unused"), Deadline::Now).unwrap();
            assert_eq!(news.receive(Deadline::Now).unwrap().body(), b"unused");
        }
        // None: it waits there, beside the queue.
        assert!(matches!(leave("left").unwrap(), Left::Waiting));
        assert_eq!(post.status(long()).unwrap().queued, 2);
        let refused = leave("too much").unwrap_err();
        assert_eq!(refused.reason, SendFailure::NotifyPending);
        assert_eq!((refused.message.body(), refused.message.rights().len()), (&b"too much"[..], 1));
        let unused = refused.accepted.unwrap();
        unused.send(Message::new("unused"), Deadline::Now).unwrap();
        assert_eq!(news.receive(long()).unwrap().body(), b"unused");
        // It comes in, and what is sent later comes later.
        assert_eq!(take(), b"first");
        assert!(is_quiet(&news), "told before it was taken");
        let full = post.send(Message::new("late"), Deadline::Now).unwrap_err();
        assert_eq!(full.reason, SendFailure::Full);
        assert_eq!(take(), b"second");
        post.send(Message::new("later"), long()).unwrap();
        assert_eq!(take(), b"left");
        assert_eq!(told(&news), Some(Notification::MessageAccepted));
        assert_eq!(take(), b"later");
        assert!(is_quiet(&news));
    }
    // The port ends with a message left: that is told.
    for text in ["first", "second", "left"] {
        drop(post.leave(Message::new(text), news.make_send_once().unwrap()).unwrap());
    }
    for _ in 0..2 {
        assert_eq!(told(&news), Some(Notification::SendOnceDropped));
    }
    end();
    assert_eq!(told(&news), Some(Notification::SendOnceDropped));
    let dead = post.leave(Message::new("dead"), news.make_send_once().unwrap()).unwrap_err();
    assert_eq!((dead.reason, dead.message.body()), (SendFailure::Dead, &b"dead"[..]));
    assert!(is_quiet(&news));
    drop(dead.accepted);
    assert_eq!(told(&news), Some(Notification::SendOnceDropped));
}

#[test]
fn a_message_is_left_in_one_task() {
    if is_part() {
        return;
    }
    let port = Task::current().unwrap().port(Capacity::Bounded(2));
    let post = port.make_send().unwrap();
    let port = std::cell::RefCell::new(Some(port));
    let take = || port.borrow().as_ref().unwrap().receive(Deadline::Now).unwrap().into_body();
    story(&post, take, || drop(port.take()));
}

#[test]
fn a_message_is_left_with_another_task() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let (_child, [post, orders]) = meet(act("owner_part"), &inbox);
    let tell = |id| orders.call(Message::new("").with_id(id), long()).unwrap().into_body();
    story(&post, || tell(TAKE), || drop(tell(END)));
}

// ---- beyond the sender's death -----------------------------------------------------

/// Leaves a message and waits to be killed.
#[test]
fn leaver_part() {
    if !acting("leaver_part") {
        return;
    }
    let accepted = Task::current().unwrap().port(Capacity::Bounded(1));
    let parent = given("parent");
    let ask = Message::new("").with_right(accepted.make_send().unwrap());
    parent.send(ask, long()).unwrap();
    let mut lent = accepted.receive(long()).unwrap().take_rights();
    let lent = lent.remove(0).into_send_once().unwrap();
    let left = given("full").leave(Message::new("last words"), lent).unwrap();
    assert!(matches!(left, Left::Waiting));
    parent.send(Message::new("left"), long()).unwrap();
    std::thread::park();
}

#[test]
fn what_was_left_outlives_its_sender_and_comes_before_who_waits() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let full = task.port(Capacity::Bounded(1));
    full.make_send().unwrap().send(Message::new("full"), Deadline::Now).unwrap();
    let waiting = Told::start("hand_part");
    waiting.take(full.make_send().unwrap());
    waiting.tell(BLOCK, 0);
    let inbox = task.port(Capacity::Bounded(1));
    let news = task.port(Capacity::Unbounded);
    let child = act("leaver_part")
        .right("parent", inbox.make_send().unwrap())
        .right("full", full.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let lend = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let right = news.make_send_once().unwrap();
    lend.send(Message::new("").with_right(right), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"left");
    child.kill();
    assert!(is_quiet(&news));
    assert_eq!(full.receive(Deadline::Now).unwrap().body(), b"full");
    assert_eq!(full.receive(Deadline::Now).unwrap().body(), b"last words");
    assert_eq!(told(&news), Some(Notification::MessageAccepted));
    assert_eq!(full.receive(long()).unwrap().id(), waiting.pid());
    assert_eq!(waiting.tell(JOIN, 0), 1);
    assert!(is_quiet(&news));
}
