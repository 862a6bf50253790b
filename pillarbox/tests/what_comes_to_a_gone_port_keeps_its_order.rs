//! What was on its way to the old owner of a port when that gave it away goes on to the
//! new one in the order sent: also what brings rights of third tasks, or ports, which
//! the old owner cannot name at once.

mod family;

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Message, ReceiveRight, SendRight, Task};

/// How often.
const ROUNDS: usize = 8;

/// A message of this number.
fn number(tag: u64) -> Message {
    Message::new("a number").with_tag(tag)
}

fn receive(port: &ReceiveRight, tag: u64) -> Message {
    let message = port.receive(long()).expect("all come");
    assert_eq!(message.tag(), tag);
    message
}

fn send(right: &SendRight, message: Message) {
    right.send(message, long()).expect("it is sent");
}

/// The threads of a task have all left the library, having been awake there.
fn leave_awake(task: &Task, peer: &Task) {
    let idle = task.port(Capacity::Bounded(1));
    let wake = give(task, peer, idle.make_send().expect("a right"));
    std::thread::scope(|scope| {
        let awake = scope.spawn(|| idle.receive(long()).expect("it comes"));
        send(&wake, Message::new("wake up"));
        awake.join().expect("it leaves the library awake");
    });
}

fn goes_on(capacity: Capacity) {
    let [old, new, sender, third] = [(); 4].map(|()| Task::new());
    let port = old.port(capacity);
    let post = give(&old, &sender, port.make_send().expect("a right"));
    let there = new.port(Capacity::Bounded(8));
    let way = give(&new, &old, there.make_send().expect("a right"));
    let far = third.port(Capacity::Bounded(8));
    let to_far = give(&third, &sender, far.make_send().expect("a right"));
    let inner = sender.port(Capacity::Bounded(4));
    let to_inner = inner.make_send().expect("a right");
    send(&to_inner, Message::new("inside"));
    // Nothing of this is read before the port goes.
    leave_awake(&old, &sender);
    send(&post, number(1));
    send(&post, number(2).with_right(to_far));
    send(&post, number(3));
    send(&post, number(4).with_right(inner));
    send(&post, number(5));
    send(&way, Message::new("port").with_right(port));
    let mut message = there.receive(long()).expect("the port comes");
    let port = message.take_rights().pop().and_then(|right| right.into_receive().ok());
    let port = port.expect("a port");
    send(&post, number(6));
    receive(&port, 1);
    let mut message = receive(&port, 2);
    let to_far = message.take_rights().pop().and_then(|right| right.into_send().ok());
    receive(&port, 3);
    let mut message = receive(&port, 4);
    let inner = message.take_rights().pop().and_then(|right| right.into_receive().ok());
    receive(&port, 5);
    receive(&port, 6);
    send(&to_far.expect("a right of the third"), Message::new("far"));
    assert_eq!(far.receive(long()).expect("it comes").body(), b"far");
    let inner = inner.expect("a port of the sender");
    assert_eq!(inner.receive(long()).expect("it came along").body(), b"inside");
    send(&to_inner, Message::new("after it"));
    assert_eq!(inner.receive(long()).expect("it follows").body(), b"after it");
    for task in [&old, &new, &sender, &third] {
        assert!(task.metrics().offences.is_empty());
    }
}

#[test]
fn what_others_must_confirm_keeps_its_place() {
    (0..ROUNDS).for_each(|_| goes_on(Capacity::Bounded(64)));
}

#[test]
fn also_where_nobody_keeps_a_place() {
    (0..ROUNDS).for_each(|_| goes_on(Capacity::Unbounded));
}
