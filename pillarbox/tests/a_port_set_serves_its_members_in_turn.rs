//! A receiver of a port set is served by its members in turn: a flood keeps no
//! other waiting, and members come, go and end while somebody waits.

mod executor;
mod family;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use executor::{block_on, poll_once};
use family::{Reaped, act, acting, given, long};
use pillarbox::{
    Capacity, Deadline, Member, Message, ReceiveError, SendFailure, SetError, Task, limits,
};

#[test]
fn a_flooded_member_starves_nobody() {
    let task = Task::new();
    let set = task.port_set();
    let flooded = task.port(Capacity::Unbounded);
    let quiet: Vec<_> = (0..3).map(|_| task.port(Capacity::Unbounded)).collect();
    let post = flooded.make_send().unwrap();
    let _ = set.add(&flooded).unwrap();
    for _ in 0..100 {
        post.send(Message::new("more"), Deadline::Now).unwrap();
    }
    let mut order = Vec::new();
    for port in &quiet {
        order.push(set.add(port).unwrap());
        let post = port.make_send().unwrap();
        post.send(Message::new("first"), Deadline::Now).unwrap();
        post.send(Message::new("second"), Deadline::Now).unwrap();
    }
    for body in ["first", "second"] {
        assert_eq!(set.receive(Deadline::Now).unwrap().0, Member::from(&flooded));
        for member in &order {
            post.send(Message::new("more"), Deadline::Now).unwrap();
            let (from, message) = set.receive(Deadline::Now).unwrap();
            assert_eq!((from, message.body()), (*member, body.as_bytes()));
        }
    }
}

#[test]
fn each_message_comes_once_to_one_of_several_threads_and_sets() {
    const PORTS: usize = 16;
    const EACH: usize = 200;
    let task = Task::new();
    let ports: Vec<_> = (0..PORTS).map(|_| task.port(Capacity::Bounded(4))).collect();
    let sets = [task.port_set(), task.port_set()];
    for port in &ports {
        for set in &sets {
            let _ = set.add(port).unwrap();
        }
    }
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for port in &ports {
            let post = port.make_send().unwrap();
            scope.spawn(move || {
                for number in 0..EACH {
                    post.send(Message::new("").with_tag(number as u64), long()).unwrap();
                }
            });
        }
        for set in sets.iter().chain(&sets) {
            let taken = &taken;
            scope.spawn(move || {
                let mut last: HashMap<Member, u64> = HashMap::new();
                while taken.load(Ordering::SeqCst) < PORTS * EACH {
                    let until = Deadline::after(Duration::from_millis(100));
                    let Ok((member, message)) = set.receive(until) else { continue };
                    taken.fetch_add(1, Ordering::SeqCst);
                    // Of one sender each receiver sees a part, in order.
                    let before = last.insert(member, message.tag());
                    assert!(before.is_none_or(|before| before < message.tag()));
                }
            });
        }
    });
    assert_eq!(taken.load(Ordering::SeqCst), PORTS * EACH);
    assert!(ports.iter().all(|port| port.status().queued == 0));
}

#[test]
fn members_come_go_and_end_while_somebody_waits() {
    let task = Task::new();
    let set = task.port_set();
    let (early, late) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let gone = set.add(&early).unwrap();
    let post = early.make_send().unwrap();
    let late_post = late.make_send().unwrap();
    let ending = task.port(Capacity::Bounded(4));
    let _ = set.add(&ending).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| set.receive(long()));
        assert!(set.remove(gone) && !set.remove(gone));
        // It is a member no more: what comes there is its own receiver's.
        post.send(Message::new("not for the set"), Deadline::Now).unwrap();
        drop(ending);
        late_post.send(Message::new("was there before"), Deadline::Now).unwrap();
        let member = set.add(&late).unwrap();
        let (from, message) = waiting.join().unwrap().unwrap();
        assert_eq!((from, message.body()), (member, &b"was there before"[..]));
    });
    assert_eq!(early.receive(Deadline::Now).unwrap().body(), b"not for the set");
    assert_eq!(set.status().members, 1);
    assert_eq!(set.receive(Deadline::Now).unwrap_err(), ReceiveError::Deadline);
}

#[test]
fn a_member_may_be_received_from_directly() {
    let task = Task::new();
    let set = task.port_set();
    let inbox = task.port(Capacity::Bounded(4));
    let member = set.add(&inbox).unwrap();
    let post = inbox.make_send().unwrap();
    post.send(Message::new("one"), Deadline::Now).unwrap();
    post.send(Message::new("two"), Deadline::Now).unwrap();
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"one");
    let (from, message) = set.receive(Deadline::Now).unwrap();
    assert_eq!((from, message.body()), (member, &b"two"[..]));
    assert!(set.receive(Deadline::Now).is_err());
}

#[test]
fn a_message_that_was_lent_is_ready_again() {
    let task = Task::new();
    let set = task.port_set();
    let inbox = task.port(Capacity::Bounded(4));
    let _ = set.add(&inbox).unwrap();
    inbox.make_send().unwrap().send(Message::new("lent"), Deadline::Now).unwrap();
    let refuse = |_: &Message| {
        assert!(set.receive(Deadline::Now).is_err(), "somebody looks at it");
        false
    };
    assert!(inbox.receive_where(refuse, Deadline::Now).is_err());
    assert_eq!(set.receive(Deadline::Now).unwrap().1.body(), b"lent");
}

#[test]
fn who_waits_at_a_set_is_the_receiver_of_a_rendezvous() {
    let task = Task::new();
    let set = task.port_set();
    let meetings: Vec<_> = (0..4).map(|_| task.port(Capacity::Rendezvous)).collect();
    for meeting in &meetings {
        let _ = set.add(meeting).unwrap();
    }
    let full = meetings[0].make_send().unwrap().send(Message::new(""), Deadline::Now);
    assert_eq!(full.unwrap_err().reason, SendFailure::Full);
    std::thread::scope(|scope| {
        // First those who ask, then one who receives.
        for meeting in &meetings {
            let post = meeting.make_send().unwrap();
            scope.spawn(move || post.send(Message::new("met"), long()).unwrap());
        }
        let mut seen: Vec<_> = meetings.iter().map(|_| set.receive(long()).unwrap().0).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), meetings.len());
    });
    std::thread::scope(|scope| {
        // First one who receives, then one who may not wait.
        let waiting = scope.spawn(|| set.receive(long()));
        let post = meetings[1].make_send().unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(60);
        while post.send(Message::new("at once"), Deadline::Now).is_err() {
            assert!(std::time::Instant::now() < until, "a waiting receiver is none");
            std::thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap().unwrap().0, Member::from(&meetings[1]));
    });
    // Nobody waits any more.
    let full = meetings[1].make_send().unwrap().send(Message::new(""), Deadline::Now);
    assert_eq!(full.unwrap_err().reason, SendFailure::Full);
    assert!(meetings.iter().all(|port| port.status().queued == 0));
}

#[test]
fn a_future_at_a_set_is_woken_and_dropped_without_loss() {
    let task = Task::new();
    let set = task.port_set();
    let inbox = task.port(Capacity::Bounded(4));
    let meeting = task.port(Capacity::Rendezvous);
    let member = set.add(&inbox).unwrap();
    let _ = set.add(&meeting).unwrap();
    let post = inbox.make_send().unwrap();
    {
        let mut given_up = pin!(set.receive_async());
        assert!(poll_once(given_up.as_mut()).is_pending());
        let mut second = pin!(set.receive_async());
        assert!(poll_once(second.as_mut()).is_pending());
        post.send(Message::new("hello"), Deadline::Now).unwrap();
        // The first was told and is never polled again: that loses nothing.
        let Poll::Ready(Ok((from, message))) = poll_once(second.as_mut()) else { panic!("there") };
        assert_eq!((from, message.body()), (member, &b"hello"[..]));
    }
    // It was a receiver of the rendezvous, and is none any more.
    let full = meeting.make_send().unwrap().send(Message::new(""), Deadline::Now);
    assert_eq!(full.unwrap_err().reason, SendFailure::Full);
    std::thread::scope(|scope| {
        scope.spawn(|| post.send(Message::new("later"), long()).unwrap());
        assert_eq!(block_on(set.receive_async()).unwrap().1.body(), b"later");
    });
}

#[test]
fn a_dropped_set_leaves_its_members_as_they_are() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(4));
    let set = task.port_set();
    let _ = set.add(&inbox).unwrap();
    let post = inbox.make_send().unwrap();
    post.send(Message::new("kept"), Deadline::Now).unwrap();
    drop(set);
    assert_eq!(inbox.receive(Deadline::Now).unwrap().body(), b"kept");
    assert!(!post.is_dead());
}

#[test]
fn a_port_joins_sets_of_its_task_up_to_a_limit() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let sets: Vec<_> = (0..=limits::PORT_SETS).map(|_| task.port_set()).collect();
    for set in &sets[1..] {
        assert_eq!(set.add(&inbox), Ok(Member::from(&inbox)));
        assert_eq!(set.add(&inbox), Ok(Member::from(&inbox)));
    }
    assert_eq!(sets[0].add(&inbox), Err(SetError::TooManySets));
    assert_eq!(Task::new().port_set().add(&inbox), Err(SetError::OtherTask));
}

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let (meeting, queue) = (given("meeting"), given("queue"));
    for number in 0..50 {
        queue.send(Message::new("").with_tag(number), long()).unwrap();
        meeting.send(Message::new("").with_tag(number), long()).unwrap();
    }
}

#[test]
fn members_are_filled_by_other_processes() {
    let task = Task::current().unwrap();
    let (meeting, queue) = (task.port(Capacity::Rendezvous), task.port(Capacity::Bounded(2)));
    let set = task.port_set();
    let mut children = Vec::new();
    for port in [&meeting, &queue] {
        let _ = set.add(port).unwrap();
    }
    for _ in 0..2 {
        let child = act("sender_part")
            .right("meeting", meeting.make_send().unwrap())
            .right("queue", queue.make_send().unwrap());
        children.push(Reaped(child.spawn().unwrap()));
    }
    let mut next = HashMap::new();
    for _ in 0..200 {
        let (member, message) = set.receive(long()).unwrap();
        let next = next.entry((member, message.sender().unwrap().task)).or_default();
        assert_eq!(message.tag(), *next);
        *next += 1;
    }
    assert!(children.iter_mut().all(Reaped::ended_well));
}
