//! What a task gave on and died is as good as if it lived, also where it died before
//! the owner had made its end of their link.

mod family;

use std::sync::atomic::{AtomicBool, Ordering};

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Message, SendRight, Task};

/// How often a task gives on what it was given, and is gone.
const ROUNDS: u64 = 150;

fn right(message: &mut Message) -> SendRight {
    let right = message.take_rights().pop().expect("a right came");
    right.into_send().expect("it is a send right")
}

#[test]
fn what_is_given_on_by_a_task_that_dies_at_once_is_good() {
    let (owner, giver, last) = (Task::new(), Task::new(), Task::new());
    let port = owner.port(Capacity::Bounded(64));
    let to_owner = give(&owner, &giver, port.make_send().expect("a right"));
    // The last one is linked with the owner already: its claim is read at once.
    let known = give(&owner, &last, port.make_send().expect("a right"));
    let inbox = last.port(Capacity::Bounded(4));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        // Nobody has a processor for itself.
        for _ in 0..4 {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        // A thread of the owner that reads its lanes, as the background thread does:
        // the giver's news of the death too.
        scope.spawn(|| {
            for number in 1..=ROUNDS {
                assert_eq!(port.receive(long()).expect("it comes").tag(), number);
            }
        });
        for number in 1..=ROUNDS {
            let between = Task::new();
            let stop = between.port(Capacity::Bounded(1));
            let to_between = give(&between, &giver, stop.make_send().expect("a right"));
            let to_last = give(&last, &between, inbox.make_send().expect("a right"));
            let message = Message::new("right").with_right(to_owner.clone());
            to_between.send(message, long()).expect("it is sent");
            let given = right(&mut stop.receive(long()).expect("it comes"));
            to_last.send(Message::new("on").with_right(given), long()).expect("it is sent");
            between.close();
            let given = right(&mut inbox.receive(long()).expect("it comes"));
            let sent = given.send(Message::new("here").with_tag(number), long());
            over.store(sent.is_err(), Ordering::Relaxed);
            sent.unwrap_or_else(|error| panic!("in round {number}: {}", error.reason));
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(known);
}
