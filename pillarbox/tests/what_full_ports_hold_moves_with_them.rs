//! A full port moves with all that stands at it: messages left beside the queue,
//! those in line, pulses, counts of what was made and dropped, and who asked to
//! hear of room. Each right to be told on gets one word.

mod family;

use std::time::Duration;

use family::linked::give;
use family::{long, settled};
use pillarbox::{
    Capacity, Deadline, Left, Message, Notification, Order, Overflow, PortOptions, ReceiveRight,
    SendFailure, SendRight, Task,
};

/// Two linked tasks and a way from the first to the second.
fn pair() -> (Task, Task, ReceiveRight, SendRight) {
    let (old, new) = (Task::new(), Task::new());
    let inbox = new.port(Capacity::Bounded(64));
    let way = give(&new, &old, inbox.make_send().expect("a right"));
    (old, new, inbox, way)
}

fn hand_over(port: ReceiveRight, over: &SendRight, from: &ReceiveRight) -> ReceiveRight {
    over.send(Message::new("port").with_right(port), long()).expect("it is sent");
    let mut message = from.receive(long()).expect("it comes");
    message.take_rights().pop().and_then(|right| right.into_receive().ok()).expect("a port")
}

/// The next news, while the owner of `port` goes on as owners do.
#[track_caller]
fn told_by(port: &ReceiveRight, news: &ReceiveRight) -> Option<Notification> {
    let until = long();
    loop {
        if let Ok(came) = news.receive(Deadline::after(Duration::from_millis(1))) {
            return came.notification();
        }
        assert!(!until.has_passed(), "no news");
        assert!(port.peek().is_none());
    }
}

fn is_quiet(news: &ReceiveRight) -> bool {
    news.receive(Deadline::Now).is_err()
}

#[test]
fn messages_left_and_in_line_are_accepted_once_each() {
    let (old, _new, inbox, way) = pair();
    let third = Task::new();
    let port = old.port(Capacity::Bounded(2));
    let (own, far) = (port.make_send().unwrap(), port.make_send().unwrap());
    let far = give(&old, &third, far);
    let (near_news, far_news) = (old.port(Capacity::Unbounded), third.port(Capacity::Unbounded));
    for tag in 0..2 {
        own.send(Message::new("placed").with_tag(tag), Deadline::Now).unwrap();
    }
    let left = own.leave(Message::new("own").with_tag(2), near_news.make_send_once().unwrap());
    assert!(matches!(left, Ok(Left::Waiting)));
    let left = far.leave(Message::new("far").with_tag(3), far_news.make_send_once().unwrap());
    assert!(matches!(left, Ok(Left::Waiting)));
    let port = hand_over(port, &way, &inbox);
    assert_eq!(port.status().queued, 2);
    assert!(is_quiet(&near_news) && is_quiet(&far_news));
    let tags: Vec<u64> = (0..4).map(|_| port.receive(long()).unwrap().tag()).collect();
    assert_eq!(tags, [0, 1, 2, 3]);
    for news in [&near_news, &far_news] {
        assert_eq!(told_by(&port, news), Some(Notification::MessageAccepted));
    }
    // They may leave again where the port is now, and its end is told once as well.
    for (right, news) in [(&own, &near_news), (&far, &far_news)] {
        while right.send(Message::new("fill"), Deadline::Now).is_ok() {}
        let left = right.leave(Message::new("last"), news.make_send_once().unwrap());
        assert!(matches!(left, Ok(Left::Waiting)));
    }
    drop(port);
    for news in [&near_news, &far_news] {
        assert_eq!(told_by(&inbox, news), Some(Notification::SendOnceDropped));
        assert!(is_quiet(news));
    }
}

#[test]
fn a_message_left_with_the_old_owner_while_the_port_goes_is_accepted_once() {
    let (old, _new, inbox, way) = pair();
    let third = Task::new();
    let port = old.port(Capacity::Bounded(1));
    let far = give(&old, &third, port.make_send().unwrap());
    let news = third.port(Capacity::Unbounded);
    let leaver = std::thread::spawn(move || {
        for tag in 0..200 {
            loop {
                let message = Message::new("left").with_tag(tag);
                match far.leave(message, news.make_send_once().unwrap()) {
                    Ok(Left::Sent(unused)) => {
                        unused.send(Message::new("unused"), long()).unwrap();
                        break;
                    }
                    Ok(Left::Waiting) => break,
                    Err(_) => {
                        // The one before waits still: its word comes first.
                        let _ = news.receive(Deadline::after(Duration::from_millis(1)));
                    }
                }
            }
        }
        drop(far);
        news
    });
    let mut tags: Vec<u64> = (0..20).map(|_| port.receive(long()).unwrap().tag()).collect();
    let port = hand_over(port, &way, &inbox);
    tags.extend((20..200).map(|_| port.receive(long()).unwrap().tag()));
    assert_eq!(tags, (0..200).collect::<Vec<_>>());
    let _news = leaver.join().unwrap();
    assert!(port.receive(Deadline::Now).is_err());
}

#[test]
fn who_asked_to_hear_of_room_hears_it_from_the_new_owner() {
    let (old, _new, inbox, way) = pair();
    let third = Task::new();
    let port = old.port(Capacity::Bounded(1));
    let own = port.make_send().unwrap();
    let far = give(&old, &third, port.make_send().unwrap());
    own.send(Message::new("full"), Deadline::Now).unwrap();
    let (near_news, far_news) = (old.port(Capacity::Unbounded), third.port(Capacity::Unbounded));
    own.notify_room(near_news.make_send_once().unwrap()).unwrap();
    far.notify_room(far_news.make_send_once().unwrap()).unwrap();
    let port = hand_over(port, &way, &inbox);
    // The rights have followed, and nobody was told by the way.
    assert!(far.status(long()).is_ok() && own.status(long()).is_ok());
    assert!(is_quiet(&near_news) && is_quiet(&far_news));
    assert_eq!(port.receive(long()).unwrap().body(), b"full");
    for news in [&near_news, &far_news] {
        assert_eq!(told_by(&port, news), Some(Notification::SendPossible));
        assert!(is_quiet(news));
    }
    // A request can be taken back wherever the port is.
    own.send(Message::new("full again"), long()).unwrap();
    let (to, armed) = far_news.make_news(1).unwrap();
    far.notify_room(to).unwrap();
    assert!(armed.cancel(), "it was not answered");
    drop(port);
    settled(|| far.is_dead(), |dead| *dead);
    assert!(is_quiet(&far_news));
}

#[test]
fn what_was_counted_is_counted_on() {
    let (old, new, inbox, way) = pair();
    let options = PortOptions::new(Capacity::Bounded(2)).overflow(Overflow::DropOldest);
    let port = old.port(options.order(Order::Priority));
    let own = port.make_send().unwrap();
    let _second = port.make_send().unwrap();
    for tag in 0..5 {
        own.send(Message::new("").with_tag(tag), Deadline::Now).unwrap();
    }
    assert_eq!(port.receive(long()).unwrap().sequence(), 1);
    let port = hand_over(port, &way, &inbox);
    assert_eq!((port.status().queued, port.status().dropped), (1, 3));
    own.send(Message::new("").with_tag(5), long()).unwrap();
    own.send(Message::new("").with_tag(6), long()).unwrap();
    settled(|| own.status(long()).unwrap().dropped, |dropped| *dropped == 4);
    let first = port.receive(long()).unwrap();
    assert_eq!((first.tag(), first.sequence()), (5, 2));
    // Two rights were made at the old owner, one here: the third is the last.
    let _third = port.make_send().unwrap();
    let news = new.port(Capacity::Unbounded);
    port.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    drop((own, _second, _third));
    let gone = std::thread::scope(|scope| {
        let waits = scope.spawn(|| port.receive(long()));
        let told = news.receive(long());
        let _ = waits;
        old.close();
        told
    });
    let gone = gone.unwrap();
    assert_eq!((gone.notification(), gone.tag()), (Some(Notification::NoSenders), 3));
}

#[test]
fn what_is_too_much_for_a_bag_stays_and_says_so() {
    let (old, _new, inbox, way) = pair();
    let refused = |port: ReceiveRight| {
        let error = way.send(Message::new("port").with_right(port), long()).unwrap_err();
        let mut message = *error.message;
        let back = message.take_rights().pop().and_then(|right| right.into_receive().ok());
        (error.reason, back.expect("it comes back"))
    };
    // More promises than a bag tells of.
    let port = old.port(Capacity::Bounded(1));
    let most = pillarbox::limits::MOVED_PROMISES;
    let mut promises: Vec<_> = (0..=most).map(|_| port.make_send_once().unwrap()).collect();
    let (reason, port) = refused(port);
    assert_eq!(reason, SendFailure::TooManyPromises(most + 1));
    drop(promises.pop());
    assert!(port.receive(long()).unwrap().notification().is_some());
    drop(hand_over(port, &way, &inbox));
    drop(promises);
    // Ports in the queues of ports, deeper than bags lie in bags.
    let mut outer = old.port(Capacity::Bounded(1));
    for _ in 0..pillarbox::limits::BAG_DEPTH {
        let around = old.port(Capacity::Bounded(1));
        around.make_send().unwrap().send(Message::new("").with_right(outer), long()).unwrap();
        outer = around;
    }
    let (reason, outer) = refused(outer);
    assert_eq!(reason, SendFailure::NestedTooDeep);
    drop(outer);
}
