//! Within one task: of many who wait for a message each that comes wakes one, whoever
//! else gives up, looks on or takes it first; and who waits for a place has it.

mod family;

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use family::{Random, is_part, long, seed, tell};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendRight, Short, Task};

const RECEIVERS: u64 = 4;
const SENDERS: u64 = 3;
const EACH: u64 = 200;

/// The id of the message after which a receiver goes.
const LAST: i32 = 1;

/// Sends in bursts, with silence between them in which receivers sleep. Returns how many.
fn send_all(post: &SendRight, sender: u64, random: &mut Random) -> u64 {
    let mut turn = 0;
    while turn < EACH {
        for _ in 0..random.below(8) {
            let message = Message::new(turn.to_le_bytes()).with_tag(sender);
            post.send(message, long()).unwrap();
            turn += 1;
        }
        if random.below(4) == 0 {
            std::thread::sleep(random.micros(300)); // sleep: receivers fall asleep meanwhile
        }
    }
    turn
}

/// What one message was: the number of its turn, its sender, and which of its own.
type Seen = (u64, u64, u64);

/// Some message, what is in it, or nothing.
fn receive_some_way(inbox: &ReceiveRight, random: &mut Random) -> Option<(Message, Vec<u8>)> {
    let message = match random.below(8) {
        0 => inbox.receive(Deadline::Now).ok(),
        1 => inbox.receive(Deadline::after(random.micros(100))).ok(),
        2 => {
            let mut buffer = [0; 16];
            let part = inbox.receive_into(&mut buffer, Short::Keep, long()).unwrap();
            return Some((part.message, buffer[..part.bytes].to_vec()));
        }
        3 => {
            // A future that waits, is told perhaps, and is dropped.
            let mut waits = pin!(inbox.receive_async());
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..random.below(3) {
                if let Poll::Ready(message) = waits.as_mut().poll(&mut cx) {
                    let message = message.unwrap();
                    let body = message.body().to_vec();
                    return Some((message, body));
                }
                std::thread::yield_now();
            }
            None
        }
        4 => {
            let _ = inbox.peek();
            None
        }
        _ => Some(inbox.receive(long()).unwrap()),
    }?;
    let body = message.body().to_vec();
    Some((message, body))
}

/// Receives until the last message comes.
fn receive_all(inbox: &ReceiveRight, seen: &Mutex<Vec<Seen>>, random: &mut Random) {
    loop {
        let Some((message, body)) = receive_some_way(inbox, random) else { continue };
        if message.id() == LAST {
            return;
        }
        let turn = u64::from_le_bytes(body.try_into().unwrap());
        seen.lock().unwrap().push((message.sequence(), message.tag(), turn));
    }
}

fn all_are_woken(places: u32, seed: u64) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(places));
    let post = inbox.make_send().unwrap();
    let seen = Mutex::new(Vec::new());
    let sent: Vec<u64> = std::thread::scope(|scope| {
        let (inbox, seen) = (&inbox, &seen);
        let receivers: Vec<_> = (0..RECEIVERS)
            .map(|receiver| {
                let mut random = Random::new(seed ^ (100 + receiver));
                scope.spawn(move || receive_all(inbox, seen, &mut random))
            })
            .collect();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (post, mut random) = (post.clone(), Random::new(seed ^ sender));
                scope.spawn(move || send_all(&post, sender, &mut random))
            })
            .collect();
        let sent = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        for _ in 0..RECEIVERS {
            post.send(Message::default().with_id(LAST), long()).unwrap();
        }
        for receiver in receivers {
            receiver.join().unwrap();
        }
        sent
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    let mut next = [0; SENDERS as usize];
    for (sequence, sender, turn) in seen {
        let expected = &mut next[sender as usize];
        assert_eq!(turn, *expected, "turn {sequence} of the port");
        *expected += 1;
    }
    assert_eq!(next[..], sent, "some were lost");
    assert!(inbox.receive(Deadline::Now).is_err(), "one message too many");
}

#[test]
fn every_message_wakes_somebody() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    for (round, places) in [1, 2, 16, 1024].into_iter().enumerate() {
        all_are_woken(places, seed.wrapping_add(round as u64));
    }
}
