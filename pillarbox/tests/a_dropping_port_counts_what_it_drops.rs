//! A port may be made to drop what is too much: senders never wait, and what was
//! dropped is counted for the owner and for whoever asks from elsewhere. The
//! rights of a dropped message go home, its promises are broken aloud, and what
//! came on a send-once right is never dropped.

mod family;

use family::hand::{SEND_NOW, Told, obey};
use family::{acting, given, is_part, long, settled};
use pillarbox::{Capacity, Deadline, Message, Notification, Order, Overflow, PortOptions, Task};

#[test]
fn hand_part() {
    obey("hand_part");
}

#[test]
fn asker_part() {
    if !acting("asker_part") {
        return;
    }
    let status = given("inbox").status(long()).unwrap();
    let told = Message::new("").with_id(status.queued as i32).with_tag(status.dropped);
    given("news").send(told, long()).unwrap();
}

/// What another process is told of the port: how many wait, and were dropped.
fn asked_from_elsewhere(inbox: &pillarbox::ReceiveRight) -> (i32, u64) {
    let news = Task::current().unwrap().port(Capacity::Bounded(1));
    let child = family::act("asker_part")
        .right("inbox", inbox.make_send().unwrap())
        .right("news", news.make_send().unwrap());
    let mut child = family::Reaped(child.spawn().unwrap());
    let told = news.receive(long()).unwrap();
    assert!(child.ended_well());
    (told.id(), told.tag())
}

#[test]
fn a_sender_elsewhere_never_waits_and_drops_are_counted() {
    if is_part() {
        return;
    }
    let hand = Told::start("hand_part");
    for (overflow, kept) in [(Overflow::DropOldest, 96..=100), (Overflow::DropNewest, 1..=5)] {
        let options = PortOptions::new(Capacity::Bounded(5)).overflow(overflow);
        let inbox = Task::current().unwrap().port(options);
        hand.take(inbox.make_send().unwrap());
        assert_eq!(hand.tell(SEND_NOW, 100), 100);
        settled(|| inbox.status(), |status| status.dropped == 95);
        assert_eq!(asked_from_elsewhere(&inbox), (5, 95));
        for tag in kept {
            assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), tag, "{overflow:?}");
        }
        assert!(inbox.receive(Deadline::Now).is_err());
        // There is room again.
        assert_eq!(hand.tell(SEND_NOW, 1), 1);
        assert_eq!(inbox.receive(long()).unwrap().tag(), 101);
        assert_eq!(inbox.status().dropped, 95);
    }
}

#[test]
fn the_bytes_of_what_was_dropped_are_the_senders_again() {
    if is_part() {
        return;
    }
    let hand = Told::start("hand_part");
    let options = PortOptions::new(Capacity::Bounded(1)).overflow(Overflow::DropNewest);
    let inbox = Task::current().unwrap().port(options);
    hand.take(inbox.make_send().unwrap());
    // Far more than a link may have waiting.
    let many = 2 * abi::limits::LINK_QUEUED_BYTES / abi::frame::HEADER_BYTES as u64;
    let accepted = hand.tell(family::hand::SEND, many);
    assert_eq!(accepted, many);
    settled(|| inbox.status(), |status| status.dropped == many - 1);
}

#[test]
fn what_is_dropped_ends_aloud_and_answers_are_kept() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let news = task.port(Capacity::Unbounded);
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let inbox = task.port(PortOptions::new(Capacity::Bounded(2)).overflow(overflow));
        let post = inbox.make_send().unwrap();
        let answers: Vec<_> = (0..3).map(|_| inbox.make_send_once().unwrap()).collect();
        for answer in answers {
            answer.send(Message::new("an answer"), Deadline::Now).unwrap();
        }
        let given = task.port(Capacity::Bounded(1));
        given.notify_no_senders(news.make_send_once().unwrap()).unwrap();
        assert_eq!(
            news.receive(Deadline::Now).unwrap().notification(),
            Some(Notification::NoSenders)
        );
        for number in 0..3 {
            let message = Message::new("")
                .with_tag(number)
                .with_right(given.make_send().unwrap())
                .with_reply(news.make_send_once().unwrap());
            post.send(message, Deadline::Now).unwrap();
        }
        assert_eq!(inbox.status().dropped, 1);
        assert_eq!(given.status().senders, 2);
        let broken = news.receive(Deadline::Now).unwrap();
        assert_eq!(broken.notification(), Some(Notification::SendOnceDropped));
        assert!(news.receive(Deadline::Now).is_err());
        for _ in 0..3 {
            assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"an answer");
        }
        let first = if overflow == Overflow::DropOldest { 1 } else { 0 };
        for tag in [first, first + 1] {
            assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), tag);
            assert!(news.receive(Deadline::Now).is_ok(), "the promise of a received message");
        }
    }
}

#[test]
fn the_least_urgent_is_dropped_where_priorities_count() {
    if is_part() {
        return;
    }
    let options = PortOptions::new(Capacity::Bounded(3)).order(Order::Priority);
    let inbox = Task::current().unwrap().port(options.overflow(Overflow::DropOldest));
    let post = inbox.make_send().unwrap();
    for (tag, priority) in [(1, 5), (2, 1), (3, 5), (4, 9), (5, 0), (6, 5)] {
        post.send(Message::new("").with_tag(tag).with_priority(priority), Deadline::Now).unwrap();
    }
    // The second made room for the fourth, the fifth was itself the least, and
    // the first made room for the sixth.
    let left: Vec<_> = (0..3).map(|_| inbox.receive(Deadline::Now).unwrap().tag()).collect();
    assert_eq!((left, inbox.status().dropped), (vec![4, 3, 6], 3));
}

#[test]
fn a_dropping_rendezvous_keeps_what_somebody_waits_for() {
    if is_part() {
        return;
    }
    let options = PortOptions::new(Capacity::Rendezvous).overflow(Overflow::DropOldest);
    let inbox = Task::current().unwrap().port(options);
    let post = inbox.make_send().unwrap();
    post.send(Message::new("nobody there"), Deadline::Now).unwrap();
    assert_eq!(inbox.status().dropped, 1);
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| inbox.receive(long()));
        let mut sent = 1;
        while !receiving.is_finished() {
            post.send(Message::new("met"), Deadline::Now).unwrap();
            sent += 1;
            std::thread::yield_now();
        }
        assert_eq!(receiving.join().unwrap().unwrap().body(), b"met");
        assert_eq!(inbox.status().dropped, sent - 1);
    });
}
