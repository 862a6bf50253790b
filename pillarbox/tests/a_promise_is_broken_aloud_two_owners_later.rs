//! A promise of a port that has gone on twice goes through both tasks that had it: it
//! is kept through both, and where the first is dead the second says so to the third.

mod family;

use family::linked::give;
use family::{act, acting, is_part, long, meet, offer};
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, SendOnceRight, Task};

/// Gives a port away and keeps two promises of it: one is kept when it is told to,
/// the other until it is killed.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let orders = task.port(Capacity::Bounded(4));
    let parent = offer(&[&orders]);
    let port = task.port(Capacity::Bounded(4));
    let [kept, _broken]: [SendOnceRight; 2] =
        std::array::from_fn(|_| port.make_send_once().unwrap());
    parent.send(Message::new("port").with_right(port), long()).unwrap();
    assert_eq!(orders.receive(long()).unwrap().body(), b"keep one");
    kept.send(Message::new("kept"), long()).unwrap();
    let _ = orders.receive(Deadline::Never);
}

fn received(mut message: Message) -> ReceiveRight {
    let right = message.take_rights().pop().expect("a right");
    right.into_receive().expect("a port")
}

#[test]
fn whoever_has_the_port_hears_of_it() {
    if is_part() {
        return;
    }
    let second = Task::current().unwrap();
    let inbox = second.port(Capacity::Bounded(4));
    let (mut first, [orders]) = meet(act("owner_part"), &inbox);
    let mut port = received(inbox.receive(long()).unwrap());

    let third = Task::new();
    let last = third.port(Capacity::Bounded(4));
    let way = give(&third, &second, last.make_send().unwrap());
    // It goes on as soon as the first owner has said that it follows no more.
    while let Err(error) = way.send(Message::new("port").with_right(port), long()) {
        port = received(*error.message);
    }
    let port = received(last.receive(long()).unwrap());

    orders.send(Message::new("keep one"), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().body(), b"kept");
    assert!(port.receive(Deadline::Now).is_err());
    first.kill();
    let told = port.receive(long()).map(|told| told.notification());
    assert_eq!(told, Ok(Some(Notification::SendOnceDied)));
    assert!(port.receive(Deadline::Now).is_err(), "once");
}
