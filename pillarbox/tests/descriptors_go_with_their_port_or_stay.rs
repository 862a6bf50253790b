//! A port moves with every descriptor that lies in its queue, or it stays where it is
//! with all of them: none is lost because there are too many on their way at a time.

mod family;

use std::fs::File;
use std::os::fd::OwnedFd;

use family::linked::give;
use family::{act, acting, is_part, long, meet, offer};
use pillarbox::{
    Capacity, Deadline, Message, ReceiveRight, Right, SendError, SendFailure, Task, limits,
};

/// As many messages with descriptors as may be on their way.
const MOST: usize = limits::BAG_DESCRIPTORS_WAITING;

fn descriptor() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

fn numbered(number: usize) -> Message {
    Message::new("").with_tag(number as u64).with_descriptor(descriptor())
}

/// A port with messages of these numbers.
fn filled(task: &Task, numbers: impl Iterator<Item = usize>) -> ReceiveRight {
    let port = task.port(Capacity::Bounded(2 * MOST as u32));
    let post = port.make_send().unwrap();
    numbers.for_each(|number| post.send(numbered(number), Deadline::Now).unwrap());
    port
}

/// Takes these numbers out of a port, each with its descriptor.
fn take(port: &ReceiveRight, numbers: impl Iterator<Item = usize>) {
    for number in numbers {
        let message = port.receive(long()).unwrap();
        assert_eq!(message.tag(), number as u64);
        assert_eq!(message.descriptors().len(), 1);
        assert!(!message.descriptors()[0].is_lost(), "{number}");
    }
}

fn port_in(mut message: Message) -> ReceiveRight {
    let right = message.take_rights().pop().expect("it carries a port");
    right.into_receive().expect("a receive right")
}

fn back(refused: Result<(), SendError>) -> (SendFailure, ReceiveRight) {
    let error = refused.unwrap_err();
    (error.reason, port_in(*error.message))
}

#[test]
fn one_too_many_stays_with_all_others_and_one_less_goes() {
    if is_part() {
        return;
    }
    let (old, new) = (Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(4));
    let way = give(&new, &old, inbox.make_send().unwrap());
    let port = filled(&old, 0..MOST + 1);
    // Again and again: what was taken back has its room again.
    let mut first = Some(port);
    for _ in 0..3 {
        let port = first.take().unwrap();
        let (reason, port) = back(way.send(Message::new("").with_right(port), long()));
        assert_eq!(reason, SendFailure::TooManyDescriptors(MOST + 1));
        first = Some(port);
    }
    let port = first.unwrap();
    take(&port, 0..1);
    way.send(Message::new("").with_right(port), long()).unwrap();
    take(&port_in(inbox.receive(long()).unwrap()), 1..MOST + 1);
    // Those in the queue of a port in the queue count with it, and so does its bag.
    let (inner, outer) = (filled(&old, 0..MOST / 2 - 1), filled(&old, 0..MOST / 2));
    let post = outer.make_send().unwrap();
    post.send(Message::new("").with_right(inner), Deadline::Now).unwrap();
    post.send(numbered(MOST), Deadline::Now).unwrap();
    let (reason, outer) = back(way.send(Message::new("").with_right(outer), long()));
    assert_eq!(reason, SendFailure::TooManyDescriptors(MOST + 1));
    take(&outer, 0..1);
    way.send(Message::new("").with_right(outer), long()).unwrap();
    let outer = port_in(inbox.receive(long()).unwrap());
    take(&outer, 1..MOST / 2);
    take(&port_in(outer.receive(long()).unwrap()), 0..MOST / 2 - 1);
    take(&outer, MOST..MOST + 1);
    assert!(new.metrics().offences.is_empty() && old.metrics().offences.is_empty());
    old.close();
    new.close();
}

/// Takes ports and looks whether everything is in them.
#[test]
fn taker_part() {
    if !acting("taker_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(64));
    offer(&[&inbox]);
    for _ in 0..3 {
        take(&port_in(inbox.receive(long()).unwrap()), 0..MOST / 2);
    }
}

#[test]
fn what_a_peer_has_not_read_is_waited_for() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    let (mut taker, [way]) = meet(act("taker_part"), &inbox);
    taker.stop();
    let mut refused = None;
    for number in 0..3 {
        let port = filled(&task, 0..MOST / 2);
        let sent = way.send(Message::new("").with_right(port), Deadline::Now);
        match number {
            0 => sent.unwrap(),
            // It may be one bell that has no room beside them.
            1 if sent.is_ok() => {}
            _ => {
                let (reason, port) = back(sent);
                assert_eq!(reason, SendFailure::Full);
                refused = Some(port);
                if number == 1 {
                    taker.resume();
                    way.send(message(refused.take()), long()).unwrap();
                    taker.stop();
                }
            }
        }
    }
    taker.resume();
    way.send(message(refused), long()).unwrap();
    assert!(taker.ended_well());
}

fn message(port: Option<ReceiveRight>) -> Message {
    Message::new("").with_right(Right::from(port.expect("it came back")))
}
