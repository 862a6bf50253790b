//! A message with one right, one loan or a long body in it may be written and read by a
//! way of its own, past the queue. What comes, and what is left when it has gone, is the
//! same as by the general way.

mod family;

use std::collections::BTreeSet;

use family::linked::give;
use family::{Random, is_part, long, seed, settled};
use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveRight, Right, SendFailure, SendRight, Task,
};

const LONG_BODY: usize = 40_000;

/// What a message brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Nothing,
    Send,
    SendOnce,
    /// The promise is broken by its sender's peer.
    Dropped,
    TwoRights,
    FreshPort,
    Loan,
    LongBody,
    Call,
}

impl Load {
    /// By number, so that both ends know.
    fn of(tag: u64) -> Load {
        match tag % 11 {
            0 | 1 => Load::Send,
            2 => Load::SendOnce,
            3 => Load::Dropped,
            4 => Load::TwoRights,
            5 => Load::FreshPort,
            6 | 7 => Load::Loan,
            8 => Load::LongBody,
            9 => Load::Call,
            _ => Load::Nothing,
        }
    }
}

/// Sends a message of each load in turn, and takes what comes back.
fn send_all(caller: &Task, post: &SendRight, numbers: u64) {
    let home = caller.port(Capacity::Unbounded);
    let mut promised = BTreeSet::new();
    let mut broken = 0;
    for tag in 0..numbers {
        let message = Message::new([tag as u8; 9]).with_tag(tag);
        match Load::of(tag) {
            Load::Nothing => post.send(message, long()).unwrap(),
            Load::Send => {
                promised.insert(tag);
                post.send(message.with_right(home.make_send().unwrap()), long()).unwrap();
            }
            Load::SendOnce => {
                promised.insert(tag);
                post.send(message.with_right(home.make_send_once().unwrap()), long()).unwrap();
            }
            Load::Dropped => {
                broken += 1;
                post.send(message.with_right(home.make_send_once().unwrap()), long()).unwrap();
            }
            Load::TwoRights => {
                promised.insert(tag);
                let message = message.with_right(home.make_send().unwrap());
                post.send(message.with_right(home.make_send().unwrap()), long()).unwrap();
            }
            Load::FreshPort => {
                let fresh = caller.port(Capacity::Bounded(1));
                post.send(message.with_right(fresh.make_send().unwrap()), long()).unwrap();
                let back = fresh.receive(long()).unwrap();
                assert_eq!((back.tag(), back.sequence()), (tag, 1));
            }
            Load::Loan => {
                let mut loan = post.loan(5_000, long()).unwrap();
                loan.as_mut_slice().fill(tag as u8);
                post.send(message.with_region(loan), long()).unwrap();
            }
            Load::LongBody => {
                let body = vec![tag as u8; LONG_BODY];
                post.send(Message::new(body).with_tag(tag), long()).unwrap();
            }
            Load::Call => assert_eq!(post.call(message, long()).unwrap().tag(), tag),
        }
    }
    while !promised.is_empty() || broken > 0 {
        let back = home.receive(long()).unwrap();
        match back.notification() {
            Some(what) => {
                assert_eq!(what, Notification::SendOnceDropped);
                broken -= 1;
            }
            None => assert!(promised.remove(&back.tag()), "{} came twice", back.tag()),
        }
    }
    // Every right has come home, and each end of a promise was the only one.
    home.notify_no_senders(home.make_send_once().unwrap()).unwrap();
    let last = home.receive(long()).unwrap();
    assert_eq!(last.notification(), Some(Notification::NoSenders));
}

/// Takes all of them, uses what they bring, and looks whether it is what was sent.
fn take_all(inbox: &ReceiveRight, numbers: u64, mut receive: impl FnMut() -> Message) {
    for tag in 0..numbers {
        let mut message = receive();
        assert_eq!((message.tag(), message.sequence()), (tag, tag + 1));
        assert_eq!(message.sender().unwrap().pid, std::process::id() as i32);
        let load = Load::of(tag);
        let length = if load == Load::LongBody { LONG_BODY } else { 9 };
        assert_eq!(message.body(), vec![tag as u8; length]);
        let regions: Vec<_> = message.take_regions();
        assert_eq!(regions.len(), usize::from(load == Load::Loan));
        assert!(regions.iter().all(|region| region.to_vec() == [tag as u8; 5_000]));
        let answer = || Message::new("").with_tag(tag);
        let mut rights = message.take_rights();
        assert_eq!(
            rights.len(),
            match load {
                Load::Send | Load::SendOnce | Load::Dropped | Load::FreshPort => 1,
                Load::TwoRights => 2,
                Load::Nothing | Load::Loan | Load::LongBody | Load::Call => 0,
            }
        );
        match (load, rights.pop()) {
            (Load::Dropped, right) => drop(right),
            (_, Some(Right::Send(right))) => right.send(answer(), long()).unwrap(),
            (_, Some(Right::SendOnce(right))) => right.send(answer(), long()).unwrap(),
            _ => {}
        }
        if load == Load::Call {
            message.reply(answer(), long()).unwrap();
        }
    }
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn by_who_waits_and_out_of_the_queue() {
    const NUMBERS: u64 = 2_200;
    if is_part() {
        return;
    }
    for capacity in [Capacity::Bounded(1), Capacity::Bounded(64), Capacity::Unbounded] {
        for queued in [false, true] {
            let (owner, caller) = (Task::new(), Task::new());
            let inbox = owner.port(capacity);
            let post = give(&owner, &caller, inbox.make_send().unwrap());
            let mut random = Random::new(seed());
            std::thread::scope(|scope| {
                scope.spawn(|| send_all(&caller, &post, NUMBERS));
                take_all(&inbox, NUMBERS, || {
                    if queued && random.below(2) == 0 {
                        // Who looks for what never comes reads the lane into the queue.
                        assert!(inbox.receive_tag(u64::MAX, Deadline::Now).is_err());
                    }
                    inbox.receive(long()).unwrap()
                });
            });
            // Nobody was blamed for it, and what was lent has come back.
            for task in [&owner, &caller] {
                assert!(task.metrics().offences.is_empty(), "{:?}", task.metrics().offences);
            }
            assert!(post.loan(1 << 20, long()).is_ok());
            drop(post);
            settled(|| inbox.status().senders, |senders| *senders == 0);
            caller.close();
            owner.close();
        }
    }
}

#[test]
fn what_is_not_sent_comes_back_with_what_it_carries() {
    if is_part() {
        return;
    }
    let (owner, caller) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(1));
    let post = give(&owner, &caller, inbox.make_send().unwrap());
    let home = caller.port(Capacity::Bounded(8));
    post.send(Message::new("the only place"), long()).unwrap();
    let full = |message: Message| {
        let error = post.send(message, Deadline::Now).unwrap_err();
        assert_eq!(error.reason, SendFailure::Full);
        error.message
    };
    let mut back = full(Message::new("").with_right(home.make_send().unwrap()));
    let right = back.take_rights().pop().unwrap().into_send().unwrap();
    right.send(Message::new("it is still ours").with_id(1), Deadline::Now).unwrap();
    drop(right);
    let mut back = full(Message::new("").with_right(home.make_send_once().unwrap()));
    let promise = back.take_rights().pop().unwrap().into_send_once().unwrap();
    promise.send(Message::new("").with_id(2), Deadline::Now).unwrap();
    let mut loan = post.loan(3, long()).unwrap();
    loan.as_mut_slice().copy_from_slice(b"abc");
    let mut back = full(Message::new("").with_region(loan));
    assert_eq!(back.take_regions()[0].to_vec(), b"abc");
    assert_eq!(full(Message::new(vec![7; LONG_BODY])).body(), [7; LONG_BODY]);
    assert_eq!(home.receive(Deadline::Now).unwrap().id(), 1);
    assert_eq!(home.receive(Deadline::Now).unwrap().id(), 2);
    assert_eq!(home.status().senders, 0);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"the only place");
    assert!(inbox.receive(Deadline::Now).is_err());
    caller.close();
    owner.close();
}
