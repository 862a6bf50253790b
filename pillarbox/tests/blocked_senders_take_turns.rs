//! Senders that wait for a place in a full port are served in the order they
//! asked, wherever they are.

mod family;

use std::time::{Duration, Instant};

use family::hand::{BLOCK, JOIN, Told, obey};
use family::{Random, is_part, long, seed, tell};
use pillarbox::{Capacity, Deadline, Message, Task};

#[test]
fn hand_part() {
    obey("hand_part");
}

const SENDERS: usize = 4;

/// A place that is not used for so long while others wait goes to the next.
const WRITTEN_OFF: Duration = Duration::from_millis(10);

/// Rounds in which everybody came in turn, and the most that are tried.
const ROUNDS: [usize; 2] = [40, 2000];

#[test]
fn blocked_senders_take_turns() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let mut random = Random::new(seed);
    let senders: Vec<_> = (0..SENDERS).map(|_| Told::start("hand_part")).collect();
    let in_turn = (0..ROUNDS[1]).filter(|round| come_in_turn(*round, &senders, &mut random));
    assert_eq!(in_turn.take(ROUNDS[0]).count(), ROUNDS[0], "mostly they did not come in turn");
}

/// Lets all wait in some order and come. Whether they came in turn; that they may
/// only miss where the round took so long that a place may have been written off.
fn come_in_turn(round: usize, senders: &[Told], random: &mut Random) -> bool {
    let places = 1 + (round as u32 % 3);
    let inbox = Task::current().unwrap().port(Capacity::Bounded(places));
    let own = inbox.make_send().unwrap();
    for sender in senders {
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
    let start = Instant::now();
    let slow = || start.elapsed() >= WRITTEN_OFF;
    let mut in_turn = true;
    for _ in 0..places {
        assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"first");
        // Each place that is free belongs to who waits longest: nobody comes before.
        let pushed_in = own.send(Message::new("pushed in"), Deadline::Now).is_ok();
        assert!(!pushed_in || slow(), "{order:?}, and another came before");
        in_turn &= !pushed_in;
    }
    let mut left = order.clone();
    while !left.is_empty() {
        let came = inbox.receive(long()).unwrap();
        if came.body() == b"pushed in" {
            continue;
        }
        let at = left.iter().position(|&at| senders[at].pid() == came.id()).unwrap();
        // Several places are granted at once, and their messages may pass each other
        // on the way.
        let passed = at >= places as usize;
        assert!(!passed || slow(), "{order:?}, and {} came", left[at]);
        in_turn &= !passed;
        left.remove(at);
    }
    for sender in senders {
        assert_eq!(sender.tell(JOIN, 0), 1);
    }
    in_turn
}
