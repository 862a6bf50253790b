//! Who has read the greeting of a link uses it at once: what it gives on there is
//! found by whoever claims it, though the other end may still be making the link.

mod family;

use std::sync::atomic::{AtomicBool, Ordering};

use family::linked::give;
use family::long;
use pillarbox::{Capacity, Message, SendRight, Task};

/// How often a task without a link gives on what it was given.
const ROUNDS: u64 = 150;

fn right(message: &mut Message) -> SendRight {
    let right = message.take_rights().pop().expect("a right came");
    right.into_send().expect("it is a send right")
}

#[test]
fn what_is_given_on_over_a_new_link_is_found() {
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
        // Threads of the owner that read its lanes, as the background thread does.
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
            let given = right(&mut inbox.receive(long()).expect("it comes"));
            let sent = given.send(Message::new("here").with_tag(number), long());
            over.store(sent.is_err(), Ordering::Relaxed);
            sent.unwrap_or_else(|error| panic!("in round {number}: {}", error.reason));
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(known);
}

/// As above, with one more between, which is gone as soon as it has given on: what it
/// claimed is answered before it is buried, so that what it gave on is found.
#[test]
fn what_the_dead_gave_on_before_their_giver_was_known_is_found() {
    let (owner, giver, last) = (Task::new(), Task::new(), Task::new());
    let port = owner.port(Capacity::Bounded(64));
    let to_owner = give(&owner, &giver, port.make_send().expect("a right"));
    let known = give(&owner, &last, port.make_send().expect("a right"));
    let inbox = last.port(Capacity::Bounded(4));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        for _ in 0..4 {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        scope.spawn(|| {
            for number in 1..=ROUNDS / 3 {
                assert_eq!(port.receive(long()).expect("it comes").tag(), number);
            }
        });
        for number in 1..=ROUNDS / 3 {
            let (between, dying) = (Task::new(), Task::new());
            let stops = [between.port(Capacity::Bounded(1)), dying.port(Capacity::Bounded(1))];
            let to_between = give(&between, &giver, stops[0].make_send().expect("a right"));
            let to_dying = give(&dying, &between, stops[1].make_send().expect("a right"));
            let to_last = give(&last, &dying, inbox.make_send().expect("a right"));
            // Its claim is read at once.
            let known = give(&owner, &dying, port.make_send().expect("a right"));
            let message = Message::new("right").with_right(to_owner.clone());
            to_between.send(message, long()).expect("it is sent");
            let given = right(&mut stops[0].receive(long()).expect("it comes"));
            to_dying.send(Message::new("on").with_right(given), long()).expect("it is sent");
            let given = right(&mut stops[1].receive(long()).expect("it comes"));
            to_last.send(Message::new("on").with_right(given), long()).expect("it is sent");
            dying.close();
            drop(known);
            let given = right(&mut inbox.receive(long()).expect("it comes"));
            let sent = given.send(Message::new("here").with_tag(number), long());
            over.store(sent.is_err(), Ordering::Relaxed);
            sent.unwrap_or_else(|error| panic!("in round {number}: {}", error.reason));
        }
        over.store(true, Ordering::Relaxed);
    });
    drop(known);
}
