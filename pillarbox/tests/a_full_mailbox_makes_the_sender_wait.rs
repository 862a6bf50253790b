//! A mailbox holds what it says it holds, whoever sends from wherever: senders
//! wait for a place, each message arrives, each sender's in its order. Who does
//! not want to wait, or not for ever, has its message back. And a mailbox that
//! nobody reads stops nobody but its own senders.

mod family;

use std::time::{Duration, Instant};

use family::{
    Random, Reaped, act, act_with, acting, given, is_part, long, meet, offer, seed, tell,
};
use pillarbox::{Capacity, Deadline, Message, ReplyState, SendFailure, SendRight, Task};

/// Messages of each sender.
const MESSAGES: u64 = 400;

const WHO: &str = "PILLARBOX_TEST_WHO";

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let inbox = given("inbox");
    let who: i32 = std::env::var(WHO).unwrap().parse().unwrap();
    for number in 0..MESSAGES {
        inbox.send(Message::new("").with_id(who).with_tag(number), long()).unwrap();
    }
}

fn fill(task: &Task, capacity: Capacity, senders: u64, random: &mut Random) {
    let inbox = task.port(capacity);
    let children: Vec<_> = (0..senders)
        .map(|who| {
            let child = act_with("sender_part", |command| {
                command.env(WHO, who.to_string());
            });
            Reaped(child.right("inbox", inbox.make_send().unwrap()).spawn().unwrap())
        })
        .collect();
    let most = match capacity {
        Capacity::Rendezvous => 0,
        Capacity::Bounded(places) => u64::from(places),
        Capacity::Unbounded => u64::MAX,
    };
    let mut next = vec![0; senders as usize];
    let (mut taken, mut fullest) = (0, 0);
    while taken < senders * MESSAGES {
        if random.below(8) == 0 {
            // Long enough for the senders to fill it.
            std::thread::park_timeout(random.micros(500));
        }
        for _ in 0..random.below(12) {
            let queued = inbox.status().queued;
            fullest = fullest.max(queued);
            assert!(queued <= most, "{capacity:?} holds {queued} of {senders} senders");
            // A short wait may end with nothing; the rendezvous must survive it.
            let soon = Deadline::after(random.micros(300));
            let deadline = if random.below(4) == 0 { soon } else { long() };
            let Ok(message) = inbox.receive(deadline) else {
                assert!(deadline.has_passed());
                continue;
            };
            let next = &mut next[message.id() as usize];
            assert_eq!(message.tag(), *next, "sender {}", message.id());
            *next += 1;
            taken += 1;
            if taken == senders * MESSAGES {
                break;
            }
        }
    }
    for mut child in children {
        assert!(child.ended_well());
    }
    assert!(inbox.receive(Deadline::Now).is_err());
    tell(&format!("{capacity:?}, {senders} senders: {fullest} queued at most"));
}

#[test]
fn a_port_never_holds_more_than_it_says() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let mut random = Random::new(seed());
    for capacity in
        [Capacity::Rendezvous, Capacity::Bounded(1), Capacity::Bounded(5), Capacity::Bounded(64)]
    {
        for senders in 1..=3 {
            fill(&task, capacity, senders, &mut random);
        }
    }
}

// ---- who will not wait -----------------------------------------------------------

const TAKE: i32 = 1;

/// Owns ports that it reads when it is told to, and one that it always reads.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let deaf = task.port(Capacity::Bounded(1));
    let meeting = task.port(Capacity::Rendezvous);
    let open = task.port(Capacity::Bounded(8));
    offer(&[&deaf, &meeting, &open]);
    while let Ok(mut order) = open.receive(long()) {
        let answer = if order.id() == TAKE {
            let from = if order.tag() == 0 { &deaf } else { &meeting };
            from.receive(long()).unwrap()
        } else {
            Message::new("")
        };
        // Who asked may have stopped waiting: then its deadline is known here.
        if order.reply_right().is_some_and(|reply| reply.state() == ReplyState::Wanted) {
            order.reply(Message::new(answer.body()), long()).unwrap();
        }
    }
}

struct Owner {
    child: Reaped,
    deaf: SendRight,
    meeting: SendRight,
    open: SendRight,
}

fn owner() -> Owner {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let (child, [deaf, meeting, open]) = meet(act("owner_part"), &inbox);
    Owner { child, deaf, meeting, open }
}

fn take(owner: &Owner, from: u64) -> Vec<u8> {
    let order = Message::new("").with_id(TAKE).with_tag(from);
    owner.open.call(order, long()).unwrap().into_body()
}

fn full(right: &SendRight, text: &str, deadline: Deadline) {
    let failed = right.send(Message::new(text).with_right(right.clone()), deadline).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Full);
    assert_eq!(failed.message.body(), text.as_bytes());
    assert_eq!(failed.message.rights().len(), 1);
    assert!(deadline.has_passed());
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(20))
}

#[test]
fn who_does_not_wait_has_its_message_back() {
    if is_part() {
        return;
    }
    let owner = owner();
    owner.deaf.send(Message::new("first"), Deadline::Now).unwrap();
    for turn in 0..10 {
        full(&owner.deaf, "refused", Deadline::Now);
        full(&owner.deaf, "late", soon());
        full(&owner.meeting, "nobody there", Deadline::Now);
        full(&owner.meeting, "nobody came", soon());
        // What was refused never comes; the place is good for the next.
        assert_eq!(take(&owner, 0), if turn == 0 { &b"first"[..] } else { &b"next"[..] });
        owner.deaf.send(Message::new("next"), Deadline::Now).unwrap();
    }
    // A rendezvous is kept with whoever waits.
    let waiting = {
        let meeting = owner.meeting.clone();
        std::thread::spawn(move || meeting.send(Message::new("met"), long()))
    };
    assert_eq!(take(&owner, 1), b"met");
    waiting.join().unwrap().unwrap();
    full(&owner.meeting, "gone again", Deadline::Now);
}

#[test]
fn an_unread_port_blocks_no_other_of_its_link() {
    if is_part() {
        return;
    }
    let owner = owner();
    owner.deaf.send(Message::new("first"), long()).unwrap();
    let blocked: Vec<_> = [&owner.deaf, &owner.meeting]
        .map(|right| {
            let right = right.clone();
            std::thread::spawn(move || right.send(Message::new("second"), long()))
        })
        .into_iter()
        .collect();
    for _ in 0..1000 {
        owner.open.call(Message::new("through"), long()).unwrap();
    }
    assert!(blocked.iter().all(|thread| !thread.is_finished()));
    assert_eq!(take(&owner, 0), b"first");
    assert_eq!(take(&owner, 0), b"second");
    assert_eq!(take(&owner, 1), b"second");
    for thread in blocked {
        thread.join().unwrap().unwrap();
    }
}

#[test]
fn a_stopped_receiver_holds_nobody_beyond_its_deadline() {
    if is_part() {
        return;
    }
    let owner = owner();
    owner.deaf.send(Message::new("first"), long()).unwrap();
    owner.child.stop();
    full(&owner.deaf, "later", Deadline::Now);
    full(&owner.deaf, "later", soon());
    full(&owner.meeting, "later", soon());
    assert!(owner.open.call(Message::new(""), soon()).is_err());
    assert!(owner.open.status(soon()).is_err());
    // What was granted in advance is accepted by a task that stands still.
    let start = Instant::now();
    let mut accepted = 0;
    while owner.open.send(Message::new(vec![0; 16 * 1024]), soon()).is_ok() {
        accepted += 1;
    }
    assert!((1..8).contains(&accepted) && start.elapsed() >= Duration::from_millis(20));
    owner.child.resume();
    assert_eq!(take(&owner, 0), b"first");
}
