//! Within one task: messages are all received, each sender's in its order and each with
//! the number of its turn, whatever else is done with the port meanwhile.

mod family;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use family::{Random, is_part, long, seed, seeded, tell};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, SendFailure, SendRight, Short, Task};

const SENDERS: u64 = 3;
const EACH: u64 = 400;

/// Sends all of one sender's, some of them patiently and some not.
fn send_all(post: &SendRight, sender: u64, random: &mut Random) {
    for turn in 0..EACH {
        let body = turn.to_le_bytes();
        let mut message = match random.below(3) {
            // Short ones lie in the message itself, long ones do not.
            0 => Message::new(body),
            1 => Message::new(body.to_vec()),
            _ => Message::new([&body[..], &[0; 100]].concat()),
        };
        message = message.with_tag(sender).with_id(random.below(2) as i32);
        loop {
            let deadline = match random.below(4) {
                0 => Deadline::Now,
                1 => Deadline::after(random.micros(80)),
                _ => long(),
            };
            let Err(error) = post.send(message, deadline) else { break };
            assert_eq!(error.reason, SendFailure::Full);
            message = *error.message;
            assert_eq!(message.body()[..8], body, "what was not sent came back changed");
            std::thread::yield_now();
        }
    }
}

/// Does something with the port that takes no message.
fn look_on(inbox: &ReceiveRight, post: &SendRight, places: u64, random: &mut Random) {
    match random.below(8) {
        0 => assert!(inbox.peek().is_none_or(|next| next.bytes >= 8)),
        1 => assert!(inbox.receive_id(7, Deadline::Now).is_err(), "nobody sends that"),
        2 => assert!(inbox.receive_tag(SENDERS, Deadline::after(random.micros(50))).is_err()),
        3 => {
            let set = Task::current().unwrap().port_set();
            let member = set.add(inbox).unwrap();
            std::thread::yield_now();
            assert!(set.remove(member));
        }
        4 => drop(post.clone()),
        5 => assert!(!inbox.make_send().unwrap().is_dead()),
        _ => {
            let queued = inbox.status().queued;
            assert!(queued <= places, "{queued} wait where {places} may");
        }
    }
    std::thread::sleep(random.micros(200)); // sleep: most messages come while nobody looks on
}

fn receive_some_way(inbox: &ReceiveRight, random: &mut Random) -> Option<(Message, Vec<u8>)> {
    if random.below(16) == 0 {
        let mut buffer = [0; 8];
        let part = inbox.receive_into(&mut buffer, Short::Truncate, long()).unwrap();
        return Some((part.message, buffer.to_vec()));
    }
    let deadline = if random.below(3) == 0 { Deadline::Now } else { long() };
    let message = inbox.receive(deadline).ok()?;
    let body = message.body()[..8].to_vec();
    Some((message, body))
}

fn all_in_order(places: u32, seed: u64) {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(places));
    let post = inbox.make_send().unwrap();
    let over = AtomicBool::new(false);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let post = post.clone();
            seeded(seed ^ sender, move |mut random| send_all(&post, sender, &mut random))
        })
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(seed ^ 100);
            while !over.load(Ordering::Acquire) {
                look_on(&inbox, &post, u64::from(places), &mut random);
            }
        });
        let mut random = Random::new(seed ^ 200);
        let mut next: HashMap<u64, u64> = HashMap::new();
        for sequence in 1..=SENDERS * EACH {
            let (message, body) = loop {
                if let Some(found) = receive_some_way(&inbox, &mut random) {
                    break found;
                }
                std::thread::yield_now();
            };
            let turn = u64::from_le_bytes(body.try_into().unwrap());
            let expected = next.entry(message.tag()).or_default();
            assert_eq!((turn, message.sequence()), (*expected, sequence));
            assert_eq!(message.sender().unwrap().pid, std::process::id() as i32);
            *expected += 1;
        }
        over.store(true, Ordering::Release);
    });
    for sender in senders {
        sender.join().unwrap();
    }
    assert!(inbox.receive(Deadline::Now).is_err(), "one message too many");
}

#[test]
fn order_survives_whoever_looks_on() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    for (round, places) in [1, 2, 16, 1024].into_iter().enumerate() {
        all_in_order(places, seed.wrapping_add(round as u64));
    }
}
