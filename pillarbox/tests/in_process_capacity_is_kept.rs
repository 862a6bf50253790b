//! Within one task: a port holds what it may, and who waits for room is served
//! in turn.

mod asleep;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use asleep::{long, spawn_asleep};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Right, SendFailure, SendRight, Task};

fn port(capacity: Capacity) -> (ReceiveRight, SendRight) {
    let inbox = Task::new().port(capacity);
    let post = inbox.make_send().unwrap();
    (inbox, post)
}

fn tagged(tag: u64) -> Message {
    Message::new("").with_tag(tag)
}

#[test]
fn a_bounded_port_never_holds_more_over_all_senders() {
    for places in [1u32, 2, 3, 7, 16] {
        let (inbox, _) = port(Capacity::Bounded(places));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for sender in 0..4 {
                let post = inbox.make_send().unwrap();
                scope.spawn(move || {
                    for turn in 0..500 {
                        // Some wait for ever, some a little, some not at all.
                        let deadline = match (sender + turn) % 3 {
                            0 => Deadline::Now,
                            1 => Deadline::after(Duration::from_micros(100)),
                            _ => long(),
                        };
                        let mut message = tagged(turn);
                        while let Err(error) = post.send(message, deadline) {
                            assert_eq!(error.reason, SendFailure::Full);
                            message = *error.message;
                            std::thread::yield_now();
                        }
                    }
                });
            }
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(inbox.status().queued <= u64::from(places));
                    std::thread::yield_now();
                }
            });
            for _ in 0..4 * 500 {
                assert!(inbox.status().queued <= u64::from(places));
                inbox.receive(long()).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(inbox.status().queued, 0);
    }
}

#[test]
fn a_send_that_may_not_wait_returns_the_message_and_its_rights() {
    let task = Task::new();
    let (inbox, post) = port(Capacity::Bounded(3));
    for tag in 0..3 {
        post.send(tagged(tag), Deadline::Now).unwrap();
    }
    let other = task.port(Capacity::Bounded(1));
    let (_read, write) = std::io::pipe().unwrap();
    let message = Message::new("whole")
        .with_id(1)
        .with_right(other.make_send().unwrap())
        .with_right(other.make_send_once().unwrap())
        .with_reply(other.make_send_once().unwrap())
        .with_descriptor(write.into());
    let error = post.send(message, Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendFailure::Full);
    let mut message = error.message;
    assert_eq!((message.body(), message.id()), (&b"whole"[..], 1));
    assert!(matches!(message.rights(), [Right::Send(_), Right::SendOnce(_)]));
    assert!(message.reply_right().is_some() && !message.descriptors()[0].is_lost());
    // They still work.
    let rights = message.take_rights();
    let [Right::Send(send), Right::SendOnce(_)] = &rights[..] else { panic!("other rights") };
    send.send(Message::new("x"), Deadline::Now).unwrap();
    assert_eq!(other.receive(Deadline::Now).unwrap().body(), b"x");
    // A deadline that is over waits as little.
    let past = Deadline::after(Duration::ZERO);
    assert_eq!(post.send(tagged(9), past).unwrap_err().reason, SendFailure::Full);
    assert_eq!(inbox.status().queued, 3);
}

/// The sender is named by who accepts the message, and nobody has.
#[test]
fn a_message_that_comes_back_has_no_sender() {
    let (_inbox, post) = port(Capacity::Bounded(1));
    post.send(tagged(0), Deadline::Now).unwrap();
    let error = post.send(tagged(1), Deadline::Now).unwrap_err();
    assert_eq!(error.message.sender(), None);
}

#[test]
fn a_sender_that_gave_up_leaves_its_place() {
    let (inbox, post) = port(Capacity::Bounded(1));
    post.send(tagged(0), Deadline::Now).unwrap();
    for _ in 0..3 {
        let soon = Deadline::after(Duration::from_millis(2));
        let error = post.send(tagged(1), soon).unwrap_err();
        assert_eq!(error.reason, SendFailure::Full);
        assert!(soon.has_passed());
    }
    assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), 0);
    post.send(tagged(2), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), 2);
}

#[test]
fn blocked_senders_are_served_in_the_order_they_came() {
    for capacity in [Capacity::Bounded(1), Capacity::Bounded(5), Capacity::Rendezvous] {
        let (inbox, post) = port(capacity);
        let places = inbox.status().capacity;
        for tag in 0..places {
            post.send(tagged(tag), Deadline::Now).unwrap();
        }
        std::thread::scope(|scope| {
            let senders: Vec<_> = (places..places + 6)
                .map(|tag| {
                    let post = post.clone();
                    spawn_asleep(scope, move || post.send(tagged(tag), long()).unwrap())
                })
                .collect();
            assert_eq!(inbox.status().queued, places);
            for (turn, sender) in (0..).zip(senders) {
                // Each message taken lets one sender in: the one that came first.
                assert_eq!(inbox.receive(long()).unwrap().tag(), turn, "{capacity:?}");
                sender.join().unwrap();
            }
            for turn in 6..6 + places {
                assert_eq!(inbox.receive(long()).unwrap().tag(), turn, "{capacity:?}");
            }
        });
    }
}

#[test]
fn nobody_overtakes_a_blocked_sender() {
    let (inbox, post) = port(Capacity::Bounded(1));
    post.send(tagged(0), Deadline::Now).unwrap();
    std::thread::scope(|scope| {
        let first = post.clone();
        let blocked = spawn_asleep(scope, move || first.send(tagged(1), long()).unwrap());
        assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), 0);
        // The place is promised, whether the sender has woken by now or not.
        assert_eq!(post.send(tagged(2), Deadline::Now).unwrap_err().reason, SendFailure::Full);
        assert_eq!(inbox.receive(long()).unwrap().tag(), 1);
        blocked.join().unwrap();
    });
    post.send(tagged(2), Deadline::Now).unwrap();
}

#[test]
fn who_gives_up_lets_the_next_come() {
    let (inbox, post) = port(Capacity::Bounded(1));
    post.send(tagged(0), Deadline::Now).unwrap();
    std::thread::scope(|scope| {
        let (first, second) = (post.clone(), post.clone());
        let gives_up = spawn_asleep(scope, move || {
            first.send(tagged(1), Deadline::after(Duration::from_millis(50)))
        });
        let waits = spawn_asleep(scope, move || second.send(tagged(2), long()));
        let gave_up = gives_up.join().unwrap();
        assert_eq!(gave_up.unwrap_err().reason, SendFailure::Full);
        assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), 0);
        assert_eq!(inbox.receive(long()).unwrap().tag(), 2);
        waits.join().unwrap().unwrap();
    });
}

#[test]
fn an_unbounded_port_always_has_room() {
    let (inbox, post) = port(Capacity::Unbounded);
    for tag in 0..20_000 {
        post.send(tagged(tag), Deadline::Now).unwrap();
    }
    assert_eq!(inbox.status().queued, 20_000);
    for tag in 0..20_000 {
        assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), tag);
    }
}

#[test]
fn a_rendezvous_sender_waits_until_a_receiver_takes() {
    let (inbox, post) = port(Capacity::Rendezvous);
    assert_eq!(post.send(tagged(0), Deadline::Now).unwrap_err().reason, SendFailure::Full);
    std::thread::scope(|scope| {
        let sender = post.clone();
        let sending = spawn_asleep(scope, move || sender.send(tagged(1), long()));
        assert_eq!(inbox.status().queued, 0);
        assert!(!sending.is_finished());
        assert_eq!(inbox.receive(long()).unwrap().tag(), 1);
        sending.join().unwrap().unwrap();

        // The other way round: a receiver that waits is enough of a place.
        let receiving = spawn_asleep(scope, || inbox.receive(long()).unwrap().tag());
        post.send(tagged(2), Deadline::Now).unwrap();
        assert_eq!(receiving.join().unwrap(), 2);
    });
    assert_eq!(post.send(tagged(3), Deadline::Now).unwrap_err().reason, SendFailure::Full);
}

#[test]
fn a_rendezvous_takes_one_message_for_each_waiting_receiver() {
    let (inbox, post) = port(Capacity::Rendezvous);
    std::thread::scope(|scope| {
        let receivers: Vec<_> =
            (0..2).map(|_| spawn_asleep(scope, || inbox.receive(long()).unwrap().tag())).collect();
        let sent: Vec<_> =
            (0..3).map(|tag| post.send(tagged(tag), Deadline::Now).is_ok()).collect();
        // The third may have met no receiver, and never is one message lost.
        assert_eq!(sent, [true, true, false]);
        let mut tags: Vec<_> = receivers.into_iter().map(|it| it.join().unwrap()).collect();
        tags.sort_unstable();
        assert_eq!(tags, [0, 1]);
    });
    assert_eq!(inbox.status().queued, 0);
}
