//! Senders that wait for a place in a full port are served in the order they
//! asked, wherever they are.

mod family;

use family::hand::{BLOCK, JOIN, Told, obey};
use family::{Random, is_part, long, seed, tell};
use pillarbox::{Capacity, Deadline, Message, Task};

#[test]
fn hand_part() {
    obey("hand_part");
}

const SENDERS: usize = 4;

#[test]
fn blocked_senders_take_turns() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let mut random = Random::new(seed);
    let senders: Vec<_> = (0..SENDERS).map(|_| Told::start("hand_part")).collect();
    for round in 0..40 {
        let places = 1 + (round % 3);
        let inbox = Task::current().unwrap().port(Capacity::Bounded(places));
        let own = inbox.make_send().unwrap();
        for sender in &senders {
            sender.take(inbox.make_send().unwrap());
        }
        for _ in 0..places {
            own.send(Message::new("first"), Deadline::Now).unwrap();
        }
        // One after the other begins to wait, in some order.
        let mut order: Vec<usize> = (0..SENDERS).collect();
        for last in (1..SENDERS).rev() {
            order.swap(last, random.below(last as u64 + 1) as usize);
        }
        for &at in &order {
            senders[at].tell(BLOCK, 0);
        }
        for _ in 0..places {
            assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"first");
            // Each place that is free belongs to who waits longest: nobody
            // comes before.
            assert!(own.send(Message::new("pushed in"), Deadline::Now).is_err());
        }
        let mut left = order.clone();
        while !left.is_empty() {
            let came = inbox.receive(long()).unwrap();
            let at = left.iter().position(|&at| senders[at].pid() == came.id()).unwrap();
            // Several places are granted at once, and their messages may pass
            // each other on the way.
            assert!(at < places as usize, "{order:?}, and {} came", left[at]);
            left.remove(at);
        }
        for sender in &senders {
            assert_eq!(sender.tell(JOIN, 0), 1);
        }
    }
}
