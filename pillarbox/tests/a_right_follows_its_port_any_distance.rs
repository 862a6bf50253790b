//! A right follows its port however often that moves on, and what is kept of the way
//! needs no stack: a thread with little of it sends on the right and drops it.

mod family;

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Message, ReceiveRight, SendRight, Task};

/// How often the port moves on, from one to the other and back.
const MOVES: u64 = 1_200;

/// A stack too small for as many calls, one in the other.
const STACK: usize = 256 * 1024;

fn hand_over(port: ReceiveRight, way: &SendRight, inbox: &ReceiveRight) -> ReceiveRight {
    way.send(Message::new("port").with_right(port), long()).expect("it is sent");
    let mut message = inbox.receive(long()).expect("it comes");
    let right = message.take_rights().pop().expect("a right");
    right.into_receive().expect("a port")
}

#[test]
fn a_thread_with_little_stack_sends_far_and_lets_go() {
    let tasks = [Task::new(), Task::new()];
    let sender = Task::new();
    let inboxes = [0, 1].map(|at: usize| tasks[at].port(Capacity::Bounded(8)));
    let ways = [0, 1].map(|at: usize| {
        let right = inboxes[1 - at].make_send().expect("a right");
        give(&tasks[1 - at], &tasks[at], right)
    });
    let mut port = tasks[0].port(Capacity::Bounded(8));
    let far = give(&tasks[0], &sender, port.make_send().expect("a right"));
    let near = port.make_send().expect("a right");
    for number in 0..MOVES {
        let at = (number % 2) as usize;
        port = hand_over(port, &ways[at], &inboxes[1 - at]);
        for right in [&far, &near] {
            right.send(Message::new("").with_tag(number), long()).expect("it is sent");
            assert_eq!(port.receive(long()).expect("it comes").tag(), number);
        }
    }
    let small = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        for right in [far, near] {
            right.send(Message::new("last"), long()).expect("it is sent");
            drop(right);
        }
    });
    small.expect("a thread").join().expect("it ends");
    for _ in 0..2 {
        assert_eq!(port.receive(long()).expect("it comes").body(), b"last");
    }
}
