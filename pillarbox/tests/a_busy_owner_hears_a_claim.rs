//! A right that a third task gave is confirmed though every thread of its owner is in
//! user code: a claim over a link that was just opened rings, whatever the owner's
//! threads announced before they left.

mod family;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use family::linked::give;
use family::{Random, long, seed, tell};
use pillarbox::{Capacity, Deadline, Message, Task};

/// How often a task without a link is given a right.
const ROUNDS: u64 = 60;

#[test]
fn a_claim_over_a_new_link_is_read_though_nobody_receives() {
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let mut random = Random::new(seed);
    let (owner, giver) = (Task::new(), Task::new());
    let port = owner.port(Capacity::Bounded(512));
    let to_owner = give(&owner, &giver, port.make_send().expect("a right"));
    for number in 1..=ROUNDS {
        let last = Task::new();
        let inbox = last.port(Capacity::Bounded(1));
        let to_last = give(&last, &giver, inbox.make_send().expect("a right"));
        let busy = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // It comes and goes for a while, so that it has slept and woken at some
            // time while the link was new, and comes no more.
            scope.spawn(|| {
                let idle = owner.port(Capacity::Bounded(1));
                while !busy.load(Ordering::Relaxed) {
                    let _ = idle.receive(Deadline::after(Duration::from_micros(20)));
                }
            });
            let message = Message::new("right").with_right(to_owner.clone());
            to_last.send(message, long()).expect("it is sent");
            let mut given = inbox.receive(long()).expect("it comes").take_rights();
            let given = given.pop().and_then(|right| right.into_send().ok()).expect("a right");
            std::thread::sleep(random.micros(1500)); // sleep: at any time of the opening
            busy.store(true, Ordering::Relaxed);
            let sent = given.send(Message::new("here").with_tag(number), long());
            sent.unwrap_or_else(|error| panic!("in round {number}: {}", error.reason));
        });
    }
    for number in 1..=ROUNDS {
        assert_eq!(port.receive(long()).expect("it comes").tag(), number);
    }
}
