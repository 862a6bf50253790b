//! A request can be withdrawn in two ways. *Asked*: the server sees it, and what
//! it answers is accepted. *Done*: the answer is refused and comes back whole.
//! The server sees either at once, in the caller's memory, wherever its reply
//! right came from, and is told if it asked to be. So it is with a deadline that
//! has passed and a caller that has died. What crosses on the way is nobody's
//! fault.

mod family;

use std::time::Duration;

use family::{Random, Reaped, act, begin, is_part, long, meet, seed, settled};
use pillarbox::{
    CallError, Capacity, Deadline, Gone, Message, Notification, PendingCall, ReceiveRight,
    ReplyError, ReplyState, SendFailure, SendRight, Task, Withdraw,
};

const ASK: i32 = 1;
const DONE: i32 = 2;
const DEADLINE: i32 = 3;
const DIE: i32 = 4;
const HURRY: i32 = 5;

/// Calls the parent, and withdraws as it is told.
#[test]
fn caller_part() {
    let Some((_, orders, parent)) = begin("caller_part") else { return };
    orders.notify_no_senders(orders.make_send_once().unwrap()).unwrap();
    loop {
        let mut order = orders.receive(long()).unwrap();
        if order.notification().is_some() {
            return;
        }
        let request = Message::new("do it").with_id(order.id());
        match order.id() {
            ASK | DONE | DIE => {
                let mut call = parent.start_call(request, long()).unwrap();
                order.reply(Message::new("called"), long()).unwrap();
                let mut go = orders.receive(long()).unwrap();
                if order.id() == DIE {
                    std::process::abort();
                }
                let how = if order.id() == ASK { Withdraw::Ask } else { Withdraw::Done };
                assert!(call.withdraw(how));
                assert!(!call.withdraw(how));
                go.reply(Message::new("withdrawn"), long()).unwrap();
                let ended = call.wait(long());
                match order.id() {
                    ASK => assert_eq!(ended.unwrap().body(), b"interrupted"),
                    _ => assert!(matches!(ended, Err(CallError::Withdrawn))),
                }
            }
            DEADLINE => {
                order.reply(Message::new(""), long()).unwrap();
                let ended = parent.call(request, Deadline::after(Duration::from_millis(20)));
                assert!(matches!(ended, Err(CallError::Deadline)));
            }
            HURRY => {
                let rounds = order.tag();
                order.reply(Message::new(""), long()).unwrap();
                hurry(&parent, rounds);
            }
            _ => return,
        }
    }
}

/// Withdraws when it pleases, so that much crosses on the wire.
fn hurry(parent: &SendRight, rounds: u64) {
    let mut random = Random::new(seed());
    let mut answered = 0;
    for _ in 0..rounds {
        let request = Message::new("quick").with_id(HURRY);
        let mut call = parent.start_call(request, long()).unwrap();
        std::thread::park_timeout(random.micros(30));
        if random.below(2) == 0 {
            let _ = call.withdraw(Withdraw::Ask);
            std::thread::park_timeout(random.micros(30));
        }
        if call.withdraw(Withdraw::Done) {
            assert!(matches!(call.wait(Deadline::Now), Err(CallError::Withdrawn)));
        } else {
            assert_eq!(call.wait(Deadline::Now).unwrap().body(), b"interrupted");
            answered += 1;
        }
    }
    let end = Message::new("").with_id(DONE).with_tag(answered);
    parent.call(end, long()).unwrap();
}

struct Caller {
    task: Task,
    inbox: ReceiveRight,
    orders: SendRight,
    child: Reaped,
}

fn caller() -> Caller {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(4));
    let (child, [orders]) = meet(act("caller_part"), &inbox);
    Caller { task, inbox, orders, child }
}

fn refused(error: ReplyError) -> (SendFailure, Message) {
    let ReplyError::Unsent(error) = error else { panic!("{error}") };
    (error.reason, *error.message)
}

#[test]
fn asked_is_seen_and_the_answer_is_accepted() {
    if is_part() {
        return;
    }
    let Caller { task, inbox, orders, mut child } = caller();
    orders.call(Message::new("").with_id(ASK), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    assert_eq!(request.reply_right().unwrap().state(), ReplyState::Wanted);
    let news = task.port(Capacity::Bounded(1));
    let never = task.port(Capacity::Bounded(1));
    let right = request.reply_right_mut().unwrap();
    right.notify_withdrawn(news.make_send_once().unwrap()).unwrap();
    right.notify_unwanted(never.make_send_once().unwrap()).unwrap();
    assert!(news.receive(Deadline::Now).is_err());
    orders.call(Message::new("go"), long()).unwrap();
    // It is state: seen at once, before any notification.
    assert_eq!(right.state(), ReplyState::Asked);
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::Withdrawn));
    // Who asks late is told at once.
    right.notify_withdrawn(news.make_send_once().unwrap()).unwrap();
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::Withdrawn));
    request.reply(Message::new("interrupted"), long()).unwrap();
    // The other request ended with the right, and says so.
    let told = never.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::SendOnceDropped));
    assert!(news.receive(Deadline::Now).is_err());
    // The state ended with the reply: the next request is a new one.
    orders.call(Message::new("").with_id(ASK), long()).unwrap();
    let mut next = inbox.receive(long()).unwrap();
    assert_eq!(next.reply_right().unwrap().state(), ReplyState::Wanted);
    orders.call(Message::new("go"), long()).unwrap();
    next.reply(Message::new("interrupted"), long()).unwrap();
    drop(orders);
    assert!(child.ended_well());
}

#[test]
fn done_is_seen_and_the_answer_comes_back_whole() {
    if is_part() {
        return;
    }
    let Caller { task, inbox, orders, mut child } = caller();
    orders.call(Message::new("").with_id(DONE), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    let news = task.port(Capacity::Bounded(1));
    let right = request.reply_right_mut().unwrap();
    right.notify_unwanted(news.make_send_once().unwrap()).unwrap();
    orders.call(Message::new("go"), long()).unwrap();
    assert_eq!(right.state(), ReplyState::Gone(Gone::Withdrawn));
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::Unwanted));
    let own = task.port(Capacity::Bounded(1));
    let answer = Message::new("too late").with_right(own.make_send().unwrap());
    let (reason, back) = refused(request.reply(answer, long()).unwrap_err());
    assert_eq!(reason, SendFailure::Withdrawn(Gone::Withdrawn));
    assert_eq!((back.body(), back.rights().len()), (&b"too late"[..], 1));
    assert_eq!(own.status().senders, 1);
    drop(orders);
    assert!(child.ended_well());
}

#[test]
fn a_deadline_that_has_passed_is_told_as_such() {
    if is_part() {
        return;
    }
    let Caller { task, inbox, orders, mut child } = caller();
    orders.call(Message::new("").with_id(DEADLINE), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    let news = task.port(Capacity::Bounded(1));
    let right = request.reply_right_mut().unwrap();
    right.notify_withdrawn(news.make_send_once().unwrap()).unwrap();
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::Withdrawn));
    assert_eq!(right.state(), ReplyState::Gone(Gone::TimedOut));
    let (reason, _) = refused(request.reply(Message::new(""), long()).unwrap_err());
    assert_eq!(reason, SendFailure::Withdrawn(Gone::TimedOut));
    drop(orders);
    assert!(child.ended_well());
}

#[test]
fn the_callers_death_is_told() {
    if is_part() {
        return;
    }
    let Caller { task, inbox, orders, child: _child } = caller();
    orders.call(Message::new("").with_id(DIE), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    let news = task.port(Capacity::Bounded(2));
    let right = request.reply_right_mut().unwrap();
    right.notify_withdrawn(news.make_send_once().unwrap()).unwrap();
    right.notify_unwanted(news.make_send_once().unwrap()).unwrap();
    orders.send(Message::new("go"), long()).unwrap();
    let mut told: Vec<_> =
        (0..2).map(|_| news.receive(long()).unwrap().notification().unwrap()).collect();
    told.sort_by_key(|told| *told == Notification::Unwanted);
    assert_eq!(told, [Notification::Withdrawn, Notification::Unwanted]);
    assert_eq!(right.state(), ReplyState::Gone(Gone::Died));
    let (reason, _) = refused(request.reply(Message::new(""), long()).unwrap_err());
    assert_eq!(reason, SendFailure::Dead);
}

#[test]
fn what_crosses_a_withdrawal_is_nobodys_fault() {
    const ROUNDS: u64 = 3_000;
    if is_part() {
        return;
    }
    let Caller { task, inbox, orders, mut child } = caller();
    let seed = seed();
    let mut random = Random::new(seed);
    let own = task.port(Capacity::Unbounded);
    let hurry = Message::new("").with_id(HURRY).with_tag(ROUNDS);
    orders.call(hurry, long()).unwrap();
    let (mut accepted, mut refused_ones) = (0, 0);
    loop {
        let mut request = inbox.receive(long()).unwrap();
        if request.id() == DONE {
            // What was accepted and not answered was dropped on the way.
            assert!(request.tag() <= accepted, "seed {seed}");
            request.reply(Message::new(""), long()).unwrap();
            break;
        }
        std::thread::park_timeout(random.micros(30));
        let answer = Message::new("interrupted").with_right(own.make_send().unwrap());
        match request.reply(answer, long()) {
            Ok(()) => accepted += 1,
            Err(error) => {
                let (reason, back) = refused(error);
                assert_eq!(reason, SendFailure::Withdrawn(Gone::Withdrawn), "seed {seed}");
                assert_eq!(back.rights().len(), 1);
                refused_ones += 1;
            }
        }
    }
    assert_eq!(accepted + refused_ones, ROUNDS);
    // Whatever crossed, every right in it has come home, once it is looked for.
    let senders = || {
        assert!(inbox.peek().is_none(), "seed {seed}");
        own.status().senders
    };
    settled(senders, |senders| *senders == 0);
    assert!(task.peers().iter().any(|peer| peer.identity().pid == child.pid()), "seed {seed}");
    drop(orders);
    assert!(child.ended_well());
}

/// Another thread withdraws `call` at any moment from before its wait until it sleeps.
fn by_another_thread(mut call: PendingCall, random: &mut Random) {
    let (withdrawer, moment) = (call.withdrawer(), random.micros(100));
    let other = std::thread::spawn(move || {
        std::thread::park_timeout(moment);
        // It may ask, which ends nothing, before.
        assert!(withdrawer.withdraw(Withdraw::Ask));
        assert!(withdrawer.withdraw(Withdraw::Done));
        assert!(!withdrawer.clone().withdraw(Withdraw::Done));
    });
    assert!(matches!(call.wait(long()), Err(CallError::Withdrawn)));
    other.join().unwrap();
}

#[test]
fn another_thread_withdraws_what_one_waits_for() {
    if is_part() {
        return;
    }
    let seed = seed();
    let mut random = Random::new(seed);
    let here = Task::new().port(Capacity::Unbounded);
    let post = here.make_send().unwrap();
    let Caller { orders, mut child, .. } = caller();
    // Nothing that it is asked is answered.
    child.stop();
    for _ in 0..300 {
        by_another_thread(post.start_call(Message::new(""), long()).unwrap(), &mut random);
        drop(here.receive(long()).unwrap());
        let asked = Message::new("").with_id(DEADLINE);
        let mut call = post.start_call(asked, long()).unwrap();
        let mut request = here.receive(long()).unwrap();
        let withdrawer = call.withdrawer();
        request.reply(Message::new("here"), long()).unwrap();
        // What is here stays, and is no business of a withdrawer any more.
        assert!(!withdrawer.withdraw(Withdraw::Done), "seed {seed}");
        assert_eq!(call.wait(long()).unwrap().body(), b"here");
        drop(call);
        assert!(!withdrawer.withdraw(Withdraw::Ask));
    }
    for _ in 0..100 {
        by_another_thread(orders.start_call(Message::new(""), long()).unwrap(), &mut random);
    }
    child.kill();
}

#[test]
fn within_a_task_it_is_the_same() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(2));
    let news = task.port(Capacity::Bounded(2));
    let post = inbox.make_send().unwrap();
    let call = post.start_call(Message::new(""), Deadline::Now).unwrap();
    let mut request = inbox.receive(Deadline::Now).unwrap();
    let right = request.reply_right_mut().unwrap();
    right.notify_withdrawn(news.make_send_once().unwrap()).unwrap();
    assert!(call.withdraw(Withdraw::Ask));
    assert_eq!(right.state(), ReplyState::Asked);
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::Withdrawn));
    right.notify_unwanted(news.make_send_once().unwrap()).unwrap();
    assert!(news.receive(Deadline::Now).is_err());
    drop(call);
    assert_eq!(right.state(), ReplyState::Gone(Gone::Withdrawn));
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::Unwanted));
    let (reason, _) = refused(request.reply(Message::new(""), Deadline::Now).unwrap_err());
    assert_eq!(reason, SendFailure::Withdrawn(Gone::Withdrawn));

    // An answer that is here stays, whatever is withdrawn after it.
    let mut call = post.start_call(Message::new(""), Deadline::Now).unwrap();
    inbox.receive(Deadline::Now).unwrap().reply(Message::new("here"), Deadline::Now).unwrap();
    assert!(!call.withdraw(Withdraw::Ask) && !call.withdraw(Withdraw::Done));
    assert_eq!(call.wait(Deadline::Now).unwrap().body(), b"here");
}
