//! The receive right of a port goes to another task, with what waits in its queue,
//! and its senders go after it: nothing is lost, doubled or turned round.

mod family;

use std::time::Duration;

use family::linked::give;
use family::{long, settled};
use pillarbox::{
    Capacity, Deadline, Holding, Message, Notification, Order, PortOptions, ReceiveRight, Right,
    SendFailure, SendRight, Task, Terms,
};

/// Sends the receive right of `port` over `over` and takes it at the other end.
fn hand_over(port: ReceiveRight, over: &SendRight, from: &ReceiveRight) -> ReceiveRight {
    over.send(Message::new("port").with_right(port), long()).expect("it is sent");
    let mut message = from.receive(long()).expect("it comes");
    message.take_rights().pop().and_then(|right| right.into_receive().ok()).expect("a port")
}

/// Two linked tasks and a way from the first to the second.
fn pair() -> (Task, Task, ReceiveRight, SendRight) {
    let (old, new) = (Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(64));
    let way = give(&new, &old, inbox.make_send().expect("a right"));
    (old, new, inbox, way)
}

/// Waits until no right to the port is left anywhere.
fn nobody_sends(port: &ReceiveRight) {
    let look = || {
        assert!(port.receive(Deadline::Now).is_err());
        port.status().senders
    };
    settled(look, |senders| *senders == 0);
}

fn numbers(port: &ReceiveRight, count: usize) -> Vec<u64> {
    (0..count).map(|_| port.receive(long()).expect("a message").tag()).collect()
}

#[test]
fn what_waits_goes_with_it_in_order() {
    let (old, _new, inbox, way) = pair();
    let port = old.port(PortOptions::new(Capacity::Bounded(100)).order(Order::Priority));
    let post = port.make_send().unwrap();
    for tag in 0..20 {
        let message = Message::new(vec![7; 100]).with_tag(tag).with_priority(tag as u16 % 3);
        post.send(message, Deadline::Now).unwrap();
    }
    assert_eq!(port.receive(long()).unwrap().sequence(), 1);
    let port = hand_over(port, &way, &inbox);
    let first = port.receive(long()).unwrap();
    assert_eq!((first.sequence(), first.body().len(), first.priority()), (2, 100, 2));
    let rest = numbers(&port, 18);
    let by_priority: Vec<u64> =
        [2, 1, 0].iter().flat_map(|level| (0..20).filter(move |tag| tag % 3 == *level)).collect();
    assert_eq!(rest, by_priority[2..]);
    // The old owner's own right goes after it.
    post.send(Message::new("later").with_tag(99), long()).unwrap();
    assert_eq!(numbers(&port, 1), [99]);
}

#[test]
fn senders_of_a_third_task_go_after_it() {
    let (old, _new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let third = Task::new();
    let post = give(&old, &third, port.make_send().unwrap());
    for tag in 0..5 {
        post.send(Message::new("before").with_tag(tag), long()).unwrap();
    }
    let sender = std::thread::spawn(move || {
        for tag in 5..200 {
            post.send(Message::new("and after").with_tag(tag), long()).expect("it follows");
        }
        post
    });
    let port = hand_over(port, &way, &inbox);
    assert_eq!(numbers(&port, 200), (0..200).collect::<Vec<_>>());
    drop(sender.join().unwrap());
    assert_eq!(port.receive(Deadline::Now).unwrap_err(), pillarbox::ReceiveError::Deadline);
    nobody_sends(&port);
}

#[test]
fn the_new_owner_may_have_been_a_sender() {
    let (old, new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let post = give(&old, &new, port.make_send().unwrap());
    post.send(Message::new("before").with_tag(1), long()).unwrap();
    let port = hand_over(port, &way, &inbox);
    post.send(Message::new("after").with_tag(2), long()).unwrap();
    assert_eq!(numbers(&port, 2), [1, 2]);
    assert_eq!(post.owner(), Some(new.identity().task));
}

#[test]
fn a_port_of_which_facets_are_out_stays() {
    let (old, _new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let narrowed = port.make_send_with(&Terms::new().badge(7)).unwrap();
    let error = way.send(Message::new("port").with_right(port), long()).unwrap_err();
    assert_eq!(error.reason, SendFailure::HasTerms);
    let mut message = *error.message;
    let port = message.take_rights().remove(0).into_receive().unwrap();
    narrowed.send(Message::new("here"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().badge(), Some(7));
    drop(narrowed);
    let port = hand_over(port, &way, &inbox);
    port.make_send().unwrap().send(Message::new("there"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"there");
}

#[test]
fn rights_in_the_queue_go_with_it() {
    let (old, new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let post = port.make_send().unwrap();
    let answers = old.port(Capacity::Bounded(8));
    post.send(Message::new("call").with_reply(answers.make_send_once().unwrap()), long()).unwrap();
    post.send(Message::new("right").with_right(answers.make_send().unwrap()), long()).unwrap();
    let port = hand_over(port, &way, &inbox);
    let mut call = port.receive(long()).unwrap();
    call.reply(Message::new("answer"), long()).unwrap();
    assert_eq!(answers.receive(long()).unwrap().body(), b"answer");
    let right = port.receive(long()).unwrap().take_rights().pop().unwrap().into_send().unwrap();
    right.send(Message::new("by right"), long()).unwrap();
    assert_eq!(answers.receive(long()).unwrap().body(), b"by right");
    drop((right, new));
}

#[test]
fn promises_made_before_are_kept_after() {
    let (old, _new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let (kept, broken) = (port.make_send_once().unwrap(), port.make_send_once().unwrap());
    let port = hand_over(port, &way, &inbox);
    kept.send(Message::new("kept"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"kept");
    drop(broken);
    let told = port.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
}

#[test]
fn who_asked_for_news_of_no_senders_hears_it_from_the_new_owner() {
    let (old, _new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let news = old.port(Capacity::Bounded(8));
    let third = Task::new();
    let post = give(&old, &third, port.make_send().unwrap());
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    let port = hand_over(port, &way, &inbox);
    post.send(Message::new("still"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"still");
    assert!(news.receive(Deadline::Now).is_err());
    drop(post);
    // Who waits at the port hears of the release, as ever.
    let told = std::thread::scope(|scope| {
        let waits = scope.spawn(|| port.receive(Deadline::after(Duration::from_secs(5))));
        let told = news.receive(long());
        drop(waits);
        told
    });
    assert_eq!(told.unwrap().notification(), Some(Notification::NoSenders));
}

#[test]
fn the_last_sender_may_go_while_a_move_fails() {
    let (old, new) = (Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(1));
    let way = give(&new, &old, inbox.make_send().expect("a right"));
    way.send(Message::new("full"), long()).unwrap();
    let port = old.port(Capacity::Bounded(8));
    let news = old.port(Capacity::Bounded(8));
    let post = port.make_send().unwrap();
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    let moving = std::thread::spawn(move || {
        let deadline = Deadline::after(Duration::from_millis(300));
        way.send(Message::new("port").with_right(port), deadline).expect_err("it is full")
    });
    // sleep: the move is to be under way when the sender goes, and holds either way
    std::thread::sleep(Duration::from_millis(100));
    drop(post);
    let mut failed = moving.join().unwrap();
    assert_eq!(failed.reason, SendFailure::Full);
    assert_eq!(failed.message.take_rights().len(), 1);
    assert_eq!(news.receive(long()).unwrap().notification(), Some(Notification::NoSenders));
    assert_eq!(inbox.receive(long()).unwrap().body(), b"full");
}

#[test]
fn a_right_that_does_not_arrive_stays_where_it_was() {
    let (old, _new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let post = port.make_send().unwrap();
    post.send(Message::new("waits").with_tag(3), long()).unwrap();
    drop(inbox);
    settled(|| way.is_dead(), |dead| *dead);
    let error = way.send(Message::new("port").with_right(port), long()).unwrap_err();
    assert_eq!(error.reason, SendFailure::Dead);
    let Some(Right::Receive(port)) = { error.message }.take_rights().pop() else {
        panic!("the port comes back");
    };
    post.send(Message::new("goes on").with_tag(4), long()).unwrap();
    assert_eq!(numbers(&port, 2), [3, 4]);
}

#[test]
fn a_port_in_its_own_queue_ends() {
    let task = Task::new();
    let (one, two) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let (to_one, to_two) = (one.make_send().unwrap(), two.make_send().unwrap());
    to_two.send(Message::new("first into second").with_right(one), long()).unwrap();
    // The second would lie in the queue of the first, which lies in its own.
    let sent = to_one.send(Message::new("and back").with_right(two), long());
    assert_eq!(sent.unwrap_err().reason, SendFailure::Dead);
    assert!(to_one.is_dead() && to_two.is_dead());
    let alone = task.port(Capacity::Bounded(4));
    let to_alone = alone.make_send().unwrap();
    assert!(to_alone.send(Message::new("self").with_right(alone), long()).is_err());
    assert!(to_alone.is_dead());
    // Across tasks it is found where it closes.
    let (old, _new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(4));
    let back = give(&old, &_new, port.make_send().unwrap());
    drop(back);
    way.send(Message::new("port").with_right(port), long()).unwrap();
    let to_inbox = inbox.make_send().unwrap();
    let sent = to_inbox.send(Message::new("inside").with_right(inbox), long());
    assert!(sent.is_err() && way.send(Message::new("late"), long()).is_err());
}

#[test]
fn the_port_outlives_its_old_owner() {
    let (old, new, inbox, way) = pair();
    let port = old.port(Capacity::Bounded(8));
    let third = Task::new();
    let post = give(&old, &third, port.make_send().unwrap());
    post.send(Message::new("before").with_tag(1), long()).unwrap();
    let port = hand_over(port, &way, &inbox);
    old.close();
    post.send(Message::new("after").with_tag(2), long()).unwrap();
    assert_eq!(numbers(&port, 2), [1, 2]);
    drop(post);
    nobody_sends(&port);
    let left = |census: &pillarbox::Census| {
        census.rows.iter().any(|row| row.holding == Holding::Given && row.count > 0)
    };
    assert!(!left(&new.census()));
}
