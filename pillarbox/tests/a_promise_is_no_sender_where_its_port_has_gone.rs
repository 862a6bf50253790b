//! A port that went to another task with the request for news of no senders on a
//! promise of its own: its old owner passes that promise on, and is no sender for it.

mod family;

use family::linked::give;
use family::{act, acting, is_part, long, meet, offer, settled};
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, SendRight, Task};

fn received(mut message: Message) -> ReceiveRight {
    let right = message.take_rights().pop().expect("a right");
    right.into_receive().expect("a port")
}

/// Sends a port to a task, as soon as it may go on.
fn hand_over(mut port: ReceiveRight, way: &SendRight, inbox: &ReceiveRight) -> ReceiveRight {
    while let Err(error) = way.send(Message::new("port").with_right(port), long()) {
        port = received(*error.message);
    }
    received(inbox.receive(long()).expect("it comes"))
}

/// A port that hears itself when nobody can send to it, and its first sender.
fn port_of(task: &Task) -> (ReceiveRight, SendRight) {
    let port = task.port(Capacity::Bounded(4));
    let post = port.make_send().unwrap();
    port.notify_no_senders(port.make_send_once().unwrap()).unwrap();
    (port, post)
}

fn hears_of_no_senders(port: &ReceiveRight) {
    let told = port.receive(long()).map(|told| told.notification());
    assert_eq!(told, Ok(Some(Notification::NoSenders)));
    assert!(port.receive(Deadline::Now).is_err(), "it is told once");
    assert_eq!(port.status().senders, 0);
}

/// Two linked tasks, the inbox of each, and the way there from the other.
fn pair() -> [(Task, ReceiveRight, SendRight); 2] {
    let (one, two) = (Task::new(), Task::new());
    let (to_one, to_two) = (one.port(Capacity::Bounded(4)), two.port(Capacity::Bounded(4)));
    let back = give(&one, &two, to_one.make_send().unwrap());
    let there = give(&two, &one, to_two.make_send().unwrap());
    [(one, to_one, back), (two, to_two, there)]
}

#[test]
fn the_last_sender_may_be_of_the_old_owner() {
    let [(old, ..), (_new, inbox, way)] = pair();
    let (port, post) = port_of(&old);
    let port = hand_over(port, &way, &inbox);
    post.send(Message::new("after it"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"after it");
    drop(post);
    hears_of_no_senders(&port);
}

#[test]
fn there_may_be_no_sender_left_when_it_goes() {
    let [(old, ..), (_new, inbox, way)] = pair();
    let third = Task::new();
    let (port, post) = port_of(&old);
    drop(give(&old, &third, post));
    let port = hand_over(port, &way, &inbox);
    hears_of_no_senders(&port);
}

#[test]
fn the_last_sender_may_be_a_third_task() {
    let [(old, ..), (_new, inbox, way)] = pair();
    let third = Task::new();
    let (port, post) = port_of(&old);
    let post = give(&old, &third, post);
    let port = hand_over(port, &way, &inbox);
    post.send(Message::new("after it"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"after it");
    drop(post);
    hears_of_no_senders(&port);
}

#[test]
fn the_port_may_come_back() {
    let [(old, old_inbox, back), (_new, inbox, way)] = pair();
    let (port, post) = port_of(&old);
    let port = hand_over(port, &way, &inbox);
    let port = hand_over(port, &back, &old_inbox);
    post.send(Message::new("at home"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"at home");
    let port = hand_over(port, &way, &inbox);
    drop(post);
    hears_of_no_senders(&port);
}

#[test]
fn a_right_may_come_home_to_the_old_owner_after_the_port_has_gone() {
    let [(old, old_inbox, back), (_new, inbox, way)] = pair();
    let third = Task::new();
    let (port, post) = port_of(&old);
    let post = give(&old, &third, post);
    let to_old = give(&old, &third, old_inbox.make_send().unwrap());
    let port = hand_over(port, &way, &inbox);
    to_old.send(Message::new("a right").with_right(post), long()).unwrap();
    let home = old_inbox.receive(long()).unwrap().take_rights().pop().unwrap();
    let home = home.into_send().unwrap();
    home.send(Message::new("by the old owner"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"by the old owner");
    assert!(port.receive(Deadline::Now).is_err());
    drop((home, back));
    hears_of_no_senders(&port);
}

/// Gives a port away that hears itself, and keeps a sender until it is told.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let orders = task.port(Capacity::Bounded(4));
    let parent = offer(&[&orders]);
    let (port, post) = port_of(&task);
    parent.send(Message::new("port").with_right(port), long()).unwrap();
    post.send(Message::new("by another process"), long()).unwrap();
    assert_eq!(orders.receive(long()).unwrap().body(), b"let go");
    drop(post);
    let _ = orders.receive(Deadline::Never);
}

#[test]
fn the_old_owner_may_be_another_process() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    let (mut owner, [orders]) = meet(act("owner_part"), &inbox);
    let port = received(inbox.receive(long()).unwrap());
    assert_eq!(port.receive(long()).unwrap().body(), b"by another process");
    orders.send(Message::new("let go"), long()).unwrap();
    hears_of_no_senders(&port);
    drop(port);
    owner.kill();
    settled(|| task.peers().len(), |peers| *peers == 0);
}
