//! A send right may be narrowed, never widened: to some ids, to so many messages,
//! to a time. The owner enforces it, whatever the holder is.

mod family;

use std::time::{Duration, Instant};

use family::linked::give;
use family::{long, settled};
use pillarbox::{
    CallError, Capacity, Deadline, FacetError, Holding, Message, Notification, SendFailure,
    SendRight, Task, Terms, limits,
};

fn reason(right: &SendRight, id: i32) -> Option<SendFailure> {
    right.send(Message::new("").with_id(id), long()).err().map(|error| error.reason)
}

#[test]
fn in_one_task_a_message_beyond_the_terms_comes_back() {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let range = inbox.make_send_with(&Terms::new().ids(-1..3)).unwrap();
    let listed = inbox.make_send_with(&Terms::new().ids_listed([4, 8])).unwrap();
    let twice = inbox.make_send_with(&Terms::new().messages(2)).unwrap();
    let over = inbox.make_send_with(&Terms::new().until(Instant::now())).unwrap();
    let nothing = inbox.make_send_with(&Terms::new().ids(i32::MAX..i32::MAX)).unwrap();
    let copy = twice.clone();
    let cases = [
        (&range, -2, Some(SendFailure::NotPermitted(-2))),
        (&range, -1, None),
        (&range, 2, None),
        (&range, 3, Some(SendFailure::NotPermitted(3))),
        (&listed, 8, None),
        (&listed, 5, Some(SendFailure::NotPermitted(5))),
        (&twice, 1, None),
        (&copy, 2, None),
        (&twice, 3, Some(SendFailure::Revoked)),
        (&copy, 3, Some(SendFailure::Revoked)),
        (&over, 0, Some(SendFailure::Revoked)),
        (&nothing, i32::MAX, Some(SendFailure::NotPermitted(i32::MAX))),
    ];
    let mut sent = 0;
    for (right, id, failure) in cases {
        assert_eq!(reason(right, id), failure, "{id}");
        sent += u64::from(failure.is_none());
        assert_eq!(inbox.status().queued, sent);
    }
    let message = Message::new("whole").with_id(3).with_right(range.clone());
    let back = range.send(message, long()).unwrap_err().message;
    assert_eq!((back.body(), back.rights().len()), (&b"whole"[..], 1));
    // Who gets the message back need not be told by a count.
    assert_eq!(inbox.refused(), 0);
    assert!(twice.is_dead() && over.is_dead() && !range.is_dead());
}

#[test]
fn a_narrowed_right_is_never_wider_than_what_it_was_made_from() {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let outer = inbox.make_send_with(&Terms::new().badge(1).ids(0..=5).messages(3)).unwrap();
    let inner = outer.attenuate(&Terms::new().badge(2).ids(4..=9).messages(100)).unwrap();
    assert_eq!(reason(&inner, 4), None);
    assert_eq!(inbox.receive(long()).unwrap().badge(), Some(1));
    assert_eq!(reason(&inner, 3), Some(SendFailure::NotPermitted(3)));
    assert_eq!(reason(&inner, 7), Some(SendFailure::NotPermitted(7)));
    // What is sent on either counts on the outer.
    assert_eq!(reason(&outer, 0), None);
    assert_eq!(reason(&inner, 5), None);
    assert_eq!(reason(&inner, 5), Some(SendFailure::Revoked));
    assert_eq!(reason(&outer, 0), Some(SendFailure::Revoked));
    assert_eq!(outer.attenuate(&Terms::new()).unwrap_err(), FacetError::Ended);
    // The port's own right is what it was.
    assert_eq!(reason(&inbox.make_send().unwrap(), 77), None);
}

#[test]
fn what_cannot_be_narrowed_says_why() {
    let (owner, holder) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(4));
    let held = give(&owner, &holder, inbox.make_send().unwrap());
    assert_eq!(
        held.attenuate(&Terms::new()).unwrap_err(),
        FacetError::NotOwner(owner.identity().task)
    );
    let many = limits::FACET_IDS + 1;
    let terms = Terms::new().ids_listed(0..many as i32);
    assert_eq!(inbox.make_send_with(&terms).unwrap_err(), FacetError::TooManyIds(many));
    let mut right = inbox.make_send_with(&Terms::new()).unwrap();
    for _ in 1..limits::FACET_DEPTH {
        right = right.attenuate(&Terms::new()).unwrap();
    }
    assert_eq!(right.attenuate(&Terms::new()).unwrap_err(), FacetError::TooDeep);
    let post = inbox.make_send().unwrap();
    drop(inbox);
    assert_eq!(post.attenuate(&Terms::new()).unwrap_err(), FacetError::Ended);
}

#[test]
fn a_peer_that_sends_what_is_not_permitted_is_told_and_counted() {
    let (owner, holder) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(4));
    let narrow = give(&owner, &holder, inbox.make_send_with(&Terms::new().ids(1..=1)).unwrap());
    let answers = holder.port(Capacity::Bounded(4));
    // Far more than the port has places: a refused one gives its place back.
    for turn in 1..=50 {
        let told = narrow.call(Message::new("forbidden").with_id(2), long());
        assert!(matches!(told, Err(CallError::Refused)), "{told:?}");
        let carried = answers.make_send_once().unwrap();
        narrow.send(Message::new("").with_id(2).with_right(carried), long()).unwrap();
        // Frames lie in the lane until a thread of the owner's comes.
        assert!(inbox.receive(Deadline::Now).is_err());
        let dropped = answers.receive(long()).unwrap();
        assert_eq!(dropped.notification(), Some(Notification::SendOnceDropped));
        assert_eq!(inbox.refused(), 2 * turn);
        assert_eq!(owner.census().count(Holding::Refused), 2 * turn);
        narrow.send(Message::new("permitted").with_id(1), long()).unwrap();
        assert_eq!(inbox.receive(long()).unwrap().id(), 1);
    }
    assert!(inbox.receive(Deadline::Now).is_err());
    assert!(!narrow.is_dead());
}

#[test]
fn messages_are_counted_over_all_copies_wherever_they_are() {
    let (owner, one, two) = (Task::new(), Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(64));
    let right = inbox.make_send_with(&Terms::new().messages(10)).unwrap();
    let at_one = give(&owner, &one, right.clone());
    let at_two = give(&owner, &two, right.clone());
    let mut sent = 0;
    std::thread::scope(|scope| {
        let threads = [&right, &at_one, &at_two].map(|right| {
            scope.spawn(move || (0..20).filter(|&id| reason(right, id).is_none()).count())
        });
        for thread in threads {
            sent += thread.join().unwrap() as u64;
        }
    });
    // What was sent is in the queue or was refused and counted.
    let mut entered = 0;
    let mut drain = || {
        entered += u64::from(inbox.receive(Deadline::Now).is_ok());
        (entered, inbox.refused())
    };
    settled(&mut drain, |(entered, refused)| entered + refused == sent);
    assert_eq!(drain().0, 10);
    for right in [&right, &at_one, &at_two] {
        settled(|| right.is_dead(), |dead| *dead);
        assert_eq!(reason(right, 0), Some(SendFailure::Revoked));
    }
}

#[test]
fn a_right_ends_at_its_time_though_nobody_uses_it() {
    let (owner, holder) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(1));
    let news = holder.port(Capacity::Bounded(4));
    let until = Instant::now() + Duration::from_millis(30);
    let right = inbox.make_send_with(&Terms::new().until(until)).unwrap();
    let inner = right.attenuate(&Terms::new()).unwrap();
    let held = give(&owner, &holder, right);
    held.notify_dead(news.make_send_once().unwrap()).unwrap();
    inner.notify_dead(inbox.make_send_once().unwrap()).unwrap();
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    assert_eq!(news.receive(long()).unwrap().notification(), Some(Notification::DeadName));
    assert!(Instant::now() >= until);
    assert_eq!(reason(&held, 0), Some(SendFailure::Revoked));
    assert_eq!(reason(&inner, 0), Some(SendFailure::Revoked));
    let mut told = [inbox.receive(long()), inbox.receive(long())]
        .map(|message| message.unwrap().notification().unwrap());
    told.sort_unstable_by_key(|told| format!("{told:?}"));
    assert_eq!(told, [Notification::DeadName, Notification::NoSenders]);
}

#[test]
fn a_wait_for_a_place_ends_with_the_right() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    inbox.make_send().unwrap().send(Message::new("full"), long()).unwrap();
    let until = Instant::now() + Duration::from_millis(20);
    let right = inbox.make_send_with(&Terms::new().until(until)).unwrap();
    let error = right.send(Message::new("waits"), Deadline::Never).unwrap_err();
    assert_eq!((error.reason, error.message.body()), (SendFailure::Revoked, &b"waits"[..]));
    assert_eq!(inbox.receive(long()).unwrap().body(), b"full");
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn facets_are_limited_and_who_makes_one_too_many_is_told() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let make = || inbox.make_send_with(&Terms::new());
    let mut all: Vec<SendRight> = (0..limits::FACETS).map(|_| make().unwrap()).collect();
    assert_eq!(make().unwrap_err(), FacetError::TooMany);
    // A copy is not one more, and one let go makes room.
    all.push(all[0].clone());
    all.swap_remove(1);
    let last = make().unwrap();
    assert_eq!(make().unwrap_err(), FacetError::TooMany);
    assert_eq!(reason(&last, 1), None);
    drop((all, last));
    assert_eq!(inbox.status().senders, 0);
    make().unwrap();
}
