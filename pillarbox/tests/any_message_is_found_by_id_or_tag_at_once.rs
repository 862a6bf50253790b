//! A message is received by its id or its tag, however many others wait, and
//! the others stay as they are.

mod asleep;
mod family;

use asleep::spawn_asleep;
use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::{Capacity, Deadline, Message, Order, PortOptions, ReceiveError, Task};
use rights::port::Port;
use rights::queue::{Label, Labelled};

/// A message of the rules, which are counted here by themselves.
struct Numbered(i32, u64);

impl Labelled for Numbered {
    fn label(&self) -> Label {
        Label { id: self.0, tag: self.1, ..Label::default() }
    }
}

/// How many steps the rules take to find and take `what` of so many.
fn steps(length: i32, order: Order, by_tag: bool) -> u64 {
    let mut port: Port<Numbered, u8> = Port::new(Capacity::Unbounded).ordered(order);
    let find = |port: &mut Port<Numbered, u8>, at: i32| {
        if by_tag { port.first_with_tag(at as u64) } else { port.first_with_id(at) }
    };
    // The first question is what makes the port keep an index.
    assert!(find(&mut port, 0).is_none());
    for number in 0..length {
        assert!(port.enter(Numbered(number, number as u64)).is_ok());
    }
    let before = port.steps();
    for at in [length - 1, 0, length / 2] {
        let found = find(&mut port, at).unwrap();
        let taken = port.take_at(found, 0, &mut Vec::new()).unwrap();
        assert_eq!((taken.message.0, taken.message.1), (at, at as u64));
    }
    port.steps() - before
}

#[test]
fn it_takes_as_many_steps_among_ten_as_among_a_hundred_thousand() {
    for order in [Order::Fifo, Order::Priority] {
        for by_tag in [false, true] {
            let few = steps(10, order, by_tag);
            assert_eq!((steps(1_000, order, by_tag), steps(100_000, order, by_tag)), (few, few));
        }
    }
}

#[test]
fn the_others_stay_in_order() {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    for number in 0..9 {
        let message = Message::new("").with_id(number % 3).with_tag(number as u64);
        post.send(message, Deadline::Now).unwrap();
    }
    assert_eq!(inbox.receive_id(2, Deadline::Now).unwrap().tag(), 2);
    assert_eq!(inbox.receive_id(2, Deadline::Now).unwrap().tag(), 5);
    assert_eq!(inbox.receive_tag(4, Deadline::Now).unwrap().id(), 1);
    for absent in [2, 4, 5, 9] {
        let none = inbox.receive_tag(absent, Deadline::Now).unwrap_err();
        assert_eq!(none, ReceiveError::Deadline);
    }
    // What comes later is found as well.
    post.send(Message::new("").with_id(7).with_tag(9), Deadline::Now).unwrap();
    assert_eq!(inbox.receive_id(7, Deadline::Now).unwrap().tag(), 9);
    let rest: Vec<u64> = (0..6).map(|_| inbox.receive(Deadline::Now).unwrap().tag()).collect();
    assert_eq!(rest, [0, 1, 3, 6, 7, 8]);
    assert_eq!(inbox.status().queued, 0);
}

#[test]
fn of_one_id_the_higher_priority_comes_first() {
    let inbox = Task::new().port(PortOptions::new(Capacity::Unbounded).order(Order::Priority));
    let post = inbox.make_send().unwrap();
    for (id, priority) in [(1, 3), (2, 9), (1, 5), (1, 3)] {
        let message = Message::new("").with_id(id).with_priority(priority);
        post.send(message, Deadline::Now).unwrap();
    }
    let taken: Vec<u16> =
        (0..3).map(|_| inbox.receive_id(1, Deadline::Now).unwrap().priority()).collect();
    assert_eq!(taken, [5, 3, 3]);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().id(), 2);
}

#[test]
fn a_sleeper_wakes_for_its_own_message_only() {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    std::thread::scope(|scope| {
        let by_id = spawn_asleep(scope, || inbox.receive_id(5, long()).unwrap().tag());
        let by_tag = spawn_asleep(scope, || inbox.receive_tag(50, long()).unwrap().id());
        let any = spawn_asleep(scope, || inbox.receive(long()).unwrap().tag());
        post.send(Message::new("").with_id(1).with_tag(10), Deadline::Now).unwrap();
        assert_eq!(any.join().unwrap(), 10);
        post.send(Message::new("").with_id(6).with_tag(50), Deadline::Now).unwrap();
        assert_eq!(by_tag.join().unwrap(), 6);
        post.send(Message::new("").with_id(5).with_tag(51), Deadline::Now).unwrap();
        assert_eq!(by_id.join().unwrap(), 51);
    });
    assert_eq!(inbox.status().queued, 0);
}

#[test]
fn asker_part() {
    if !acting("asker_part") {
        return;
    }
    let post = given("inbox");
    for tag in 0..500 {
        post.send(Message::new("").with_id((tag % 7) as i32).with_tag(tag), long()).unwrap();
    }
}

#[test]
fn requests_of_another_task_are_taken_in_any_order() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(512));
    let child = act("asker_part").right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    for tag in (0..500).rev() {
        assert_eq!(inbox.receive_tag(tag, long()).unwrap().id(), (tag % 7) as i32);
    }
    assert_eq!(inbox.status().queued, 0);
    assert!(child.ended_well());
}
