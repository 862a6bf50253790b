//! A right that a third task gave is confirmed though every thread of its owner is in
//! user code: a claim over a link that was just opened rings, whatever the owner's
//! threads announced before they left; and so does who depends on the answer and waits
//! for it nowhere.

mod family;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use family::linked::give;
use family::{Random, long, seed, settled, tell};
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, SendRight, Task};

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

/// A right to a port of an owner whose threads have all left the library, having been
/// awake there: its claim is unread.
fn unread_claim(owner: &Task, port: &ReceiveRight, last: &Task) -> SendRight {
    let giver = Task::new();
    let to_owner = give(owner, &giver, port.make_send().expect("a right"));
    let inbox = last.port(Capacity::Bounded(1));
    let to_last = give(last, &giver, inbox.make_send().expect("a right"));
    let idle = owner.port(Capacity::Bounded(1));
    let wake = give(owner, last, idle.make_send().expect("a right"));
    std::thread::scope(|scope| {
        let awake = scope.spawn(|| idle.receive(long()).expect("it comes"));
        wake.send(Message::new("wake up"), long()).expect("it is sent");
        awake.join().expect("it leaves the library awake");
    });
    let message = Message::new("right").with_right(to_owner);
    to_last.send(message, long()).expect("it is sent");
    let mut given = inbox.receive(long()).expect("it comes").take_rights();
    given.pop().and_then(|right| right.into_send().ok()).expect("a right")
}

#[test]
fn who_asks_and_never_waits_is_answered() {
    let (owner, last) = (Task::new(), Task::new());
    let port = owner.port(Capacity::Bounded(8));
    let given = unread_claim(&owner, &port, &last);
    settled(
        || given.send(Message::new("here"), Deadline::Now).map_err(|error| error.reason),
        Result::is_ok,
    );
    assert_eq!(port.receive(long()).expect("it comes").body(), b"here");
}

#[test]
fn who_waits_for_the_news_of_its_end_is_told() {
    let (owner, last) = (Task::new(), Task::new());
    let port = owner.port(Capacity::Bounded(8));
    let given = unread_claim(&owner, &port, &last);
    drop(port);
    let news = last.port(Capacity::Bounded(1));
    given.notify_dead(news.make_send_once().expect("a right")).expect("it is asked");
    let told = news.receive(long()).expect("it is told");
    assert_eq!(told.notification(), Some(Notification::DeadName));
}
