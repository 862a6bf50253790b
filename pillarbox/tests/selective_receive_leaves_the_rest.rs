//! A receiver that chooses takes what it chose and leaves everything else as it
//! was, for everybody else, whatever happens while it looks.

mod asleep;
mod family;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use asleep::spawn_asleep;
use family::{Reaped, act, acting, given, is_part, long};
use pillarbox::{
    Capacity, Deadline, Message, Order, PortOptions, ReceiveError, ReceiveRight, SendRight, Task,
};

fn port() -> (ReceiveRight, SendRight) {
    let inbox = Task::new().port(Capacity::Unbounded);
    let post = inbox.make_send().unwrap();
    (inbox, post)
}

fn send(post: &SendRight, tags: impl IntoIterator<Item = u64>) {
    for tag in tags {
        post.send(Message::new("").with_tag(tag), Deadline::Now).unwrap();
    }
}

fn tags(inbox: &ReceiveRight) -> Vec<u64> {
    std::iter::from_fn(|| inbox.receive(Deadline::Now).ok()).map(|message| message.tag()).collect()
}

#[test]
fn what_is_not_chosen_stays_in_order() {
    let (inbox, post) = port();
    send(&post, 0..10);
    for tag in [7, 0, 9] {
        let chosen = inbox.receive_where(|message| message.tag() == tag, Deadline::Now).unwrap();
        assert_eq!(chosen.tag(), tag);
    }
    let none = inbox.receive_where(|message| message.tag() == 7, Deadline::Now).unwrap_err();
    assert_eq!((none, inbox.status().queued), (ReceiveError::Deadline, 7));
    assert_eq!(tags(&inbox), [1, 2, 3, 4, 5, 6, 8]);
}

#[test]
fn the_first_that_is_wanted_is_taken_by_priority() {
    let inbox = Task::new().port(PortOptions::new(Capacity::Unbounded).order(Order::Priority));
    let post = inbox.make_send().unwrap();
    for (priority, tag) in [(1, 1), (3, 2), (2, 3), (3, 4)] {
        let message = Message::new("").with_priority(priority).with_tag(tag);
        post.send(message, Deadline::Now).unwrap();
    }
    let mut seen = Vec::new();
    let wanted = |message: &Message| {
        seen.push(message.tag());
        message.priority() < 3
    };
    assert_eq!(inbox.receive_where(wanted, Deadline::Now).unwrap().tag(), 3);
    assert_eq!(seen, [2, 4, 3]);
    assert_eq!(tags(&inbox), [2, 4, 1]);
}

#[test]
fn what_was_looked_at_is_not_looked_at_again() {
    let (inbox, post) = port();
    send(&post, 0..100);
    let looks = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let chooser = spawn_asleep(scope, || {
            let wanted = |message: &Message| {
                looks.fetch_add(1, Ordering::Relaxed);
                message.tag() == 1_000
            };
            inbox.receive_where(wanted, long()).unwrap().tag()
        });
        assert_eq!(looks.load(Ordering::Relaxed), 100);
        for tag in 100..200 {
            send(&post, [tag]);
        }
        send(&post, [1_000]);
        assert_eq!(chooser.join().unwrap(), 1_000);
    });
    assert_eq!(looks.load(Ordering::Relaxed), 201);
    assert_eq!(tags(&inbox), (0..200).collect::<Vec<_>>());
}

#[test]
fn what_others_take_meanwhile_is_not_missed_and_not_looked_at_twice() {
    let (inbox, post) = port();
    send(&post, 0..50);
    let mut seen = Vec::new();
    let wanted = |message: &Message| {
        seen.push(message.tag());
        // Whoever comes now takes the first that is not lent, and the last.
        if message.tag().is_multiple_of(2) {
            let _ = inbox.receive(Deadline::Now);
            let _ = inbox.receive_tag(49 - message.tag(), Deadline::Now);
        }
        false
    };
    assert!(inbox.receive_where(wanted, Deadline::Now).is_err());
    let mut once = seen.clone();
    once.dedup();
    assert_eq!(seen, once);
    assert!(seen.is_sorted());
    let left = tags(&inbox);
    assert!(left.iter().all(|tag| seen.contains(tag)), "{left:?} of {seen:?}");
}

#[test]
fn others_pass_by_what_is_looked_at_and_count_it() {
    let (inbox, post) = port();
    send(&post, [1, 2]);
    let (looking, told) = mpsc::channel();
    let (go_on, asked) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let inbox = &inbox;
        let chooser = scope.spawn(move || {
            let wanted = |message: &Message| {
                looking.send(message.tag()).unwrap();
                asked.recv().unwrap();
                false
            };
            inbox.receive_where(wanted, Deadline::Now).unwrap_err()
        });
        assert_eq!(told.recv().unwrap(), 1);
        assert_eq!(inbox.status().queued, 2);
        assert_eq!(inbox.peek().unwrap().tag, 2);
        assert_eq!(inbox.receive(Deadline::Now).unwrap().tag(), 2);
        assert!(inbox.receive(Deadline::Now).is_err());
        assert!(inbox.receive_tag(1, Deadline::Now).is_err());
        assert_eq!(inbox.status().queued, 1);
        // Whoever waits is told when it is back.
        let sleepers = [
            spawn_asleep(scope, || inbox.receive_tag(1, long()).map(|message| message.tag())),
            spawn_asleep(scope, || inbox.receive_where(|_| true, long()).map(|it| it.tag())),
            spawn_asleep(scope, || inbox.receive(long()).map(|message| message.tag())),
        ];
        go_on.send(()).unwrap();
        assert_eq!(chooser.join().unwrap(), ReceiveError::Deadline);
        // One of them has it; the others wait for one each.
        send(&post, [1, 1]);
        for sleeper in sleepers {
            assert_eq!(sleeper.join().unwrap(), Ok(1));
        }
    });
    assert_eq!(inbox.status().queued, 0);
}

#[test]
fn a_predicate_that_panics_leaves_the_message_in_its_place() {
    let (inbox, post) = port();
    send(&post, [1, 2, 3]);
    std::thread::scope(|scope| {
        // One more waits, and must not be forgotten.
        let other = spawn_asleep(scope, || inbox.receive_id(9, long()).unwrap().tag());
        let chooser = scope.spawn(|| {
            let wanted = |message: &Message| {
                assert!(message.tag() < 2, "on purpose");
                false
            };
            inbox.receive_where(wanted, long())
        });
        let panic = chooser.join().unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(tags(&inbox), [1, 2, 3]);
        post.send(Message::new("").with_id(9).with_tag(4), Deadline::Now).unwrap();
        assert_eq!(other.join().unwrap(), 4);
    });
}

#[test]
fn a_predicate_may_use_the_port_it_chooses_from() {
    let (inbox, post) = port();
    send(&post, [1, 2]);
    let mut inner = Vec::new();
    let wanted = |message: &Message| {
        if message.tag() == 1 {
            send(&post, [3]);
            inner.push(inbox.receive_where(|it| it.tag() == 3, long()).unwrap().tag());
            inner.push(inbox.status().queued);
        }
        message.tag() == 2
    };
    assert_eq!(inbox.receive_where(wanted, long()).unwrap().tag(), 2);
    assert_eq!((inner, tags(&inbox)), (vec![3, 2], vec![1]));
}

#[test]
fn a_predicate_that_receives_leaves_its_own_wait_in_place() {
    let (inbox, post) = port();
    send(&post, [1]);
    std::thread::scope(|scope| {
        let chooser = spawn_asleep(scope, || {
            let wanted = |message: &Message| {
                // It waits at the same port, in vain, in the midst of a wait.
                if message.tag() == 1 {
                    assert!(inbox.receive_tag(9, Deadline::Now).is_err());
                }
                message.tag() == 2
            };
            inbox.receive_where(wanted, long()).unwrap().tag()
        });
        send(&post, [2]);
        assert_eq!(chooser.join().unwrap(), 2);
    });
}

#[test]
fn a_choice_ends_at_its_deadline_however_fast_messages_come() {
    let (inbox, post) = port();
    let mut next = 0;
    let wanted = |_: &Message| {
        // Each look brings one more to look at.
        next += 1;
        send(&post, [next]);
        false
    };
    send(&post, [0]);
    let deadline = Deadline::after(Duration::from_millis(5));
    assert_eq!(inbox.receive_where(wanted, deadline).unwrap_err(), ReceiveError::Deadline);
    assert!(deadline.has_passed());
    assert_eq!(tags(&inbox), (0..=next).collect::<Vec<_>>());
}

#[test]
fn what_one_refuses_wakes_the_next_it_may_be_for() {
    for turn in 0..100 {
        let (inbox, post) = port();
        std::thread::scope(|scope| {
            // In every order of coming: those who refuse, and who does not.
            let takers: Vec<_> = (0..3)
                .map(|place| {
                    let inbox = &inbox;
                    let wants = (place + turn) % 3;
                    scope.spawn(move || {
                        let wanted = |message: &Message| message.tag() == wants;
                        inbox.receive_where(wanted, long()).unwrap().tag()
                    })
                })
                .collect();
            let plain = scope.spawn(|| inbox.receive(long()).unwrap().tag());
            send(&post, [5, 0, 1, 2, 0, 1, 2]);
            for taker in takers {
                assert!(taker.join().unwrap() < 3);
            }
            plain.join().unwrap();
        });
        assert_eq!(tags(&inbox).len(), 3);
    }
}

#[test]
fn chatter_part() {
    if !acting("chatter_part") {
        return;
    }
    let post = given("inbox");
    for number in 0..1_000_u64 {
        post.send(Message::new(number.to_le_bytes()).with_tag(number % 10), long()).unwrap();
    }
}

#[test]
fn a_chooser_reads_two_tasks_at_once_and_each_in_its_order() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4_096));
    let mut children: Vec<Reaped> = (0..2)
        .map(|_| {
            let child = act("chatter_part").right("inbox", inbox.make_send().unwrap());
            Reaped(child.spawn().unwrap())
        })
        .collect();
    let number = |message: &Message| u64::from_le_bytes(message.body().try_into().unwrap());
    for tag in (0..10).rev() {
        let mut last = std::collections::HashMap::new();
        for _ in 0..200 {
            let message = inbox.receive_where(|it| it.tag() == tag, long()).unwrap();
            let before = last.insert(message.sender().unwrap().task, number(&message));
            assert!(before.is_none_or(|before| before < number(&message)));
        }
    }
    assert_eq!(inbox.status().queued, 0);
    assert!(children.iter_mut().all(Reaped::ended_well));
}
