//! A reply right that was taken from a message is given on, to a task that has
//! never met the caller, and answers all the same: once. What the caller wants
//! meanwhile is seen by whoever holds the right, whether it changed before the
//! right was given on, on its way, or after. Parts that its holders wrote one
//! after another are one answer.
//!
//! The test process is the server (S). The caller (A) and the worker (B) are its
//! children.

mod family;

use family::{Reaped, act, acting, is_part, long, meet, offer};
use pillarbox::{
    CallError, Capacity, Deadline, Gone, Message, Notification, PendingCall, ReceiveRight,
    ReplyState, SendOnceRight, SendRight, Task, Withdraw,
};

// Orders to the caller.
const START: i32 = 1;
const ASK: i32 = 2;
const DONE: i32 = 3;
const WAIT: i32 = 4;
const DIE: i32 = 5;
// Orders to the worker.
const KEEP: i32 = 10;
const STATE: i32 = 11;
const ANSWER: i32 = 12;
const DROP: i32 = 13;
const WATCH: i32 = 14;
const HEAR: i32 = 15;
const PART: i32 = 16;

/// What became of a call, in an id.
const ANSWERED: i32 = 1;
const DROPPED: i32 = 2;
const DIED: i32 = 3;
const WITHDRAWN: i32 = 4;

const ROOM: u64 = 1 << 20;

#[test]
fn caller_part() {
    if !acting("caller_part") {
        return;
    }
    let orders = Task::current().unwrap().port(Capacity::Bounded(1));
    let parent = offer(&[&orders]);
    let mut call: Option<PendingCall> = None;
    obey(&orders, |order, _| {
        let answer = Message::new("");
        match order.id() {
            START => {
                let request = Message::new("request").with_reply_room(ROOM);
                call = Some(parent.start_call(request, long()).unwrap());
                answer
            }
            ASK => answer.with_id(call.as_mut().unwrap().withdraw(Withdraw::Ask).into()),
            DONE => answer.with_id(call.as_mut().unwrap().withdraw(Withdraw::Done).into()),
            WAIT => match call.take().unwrap().wait(long()) {
                Ok(came) => Message::new(came.body()).with_id(ANSWERED),
                Err(CallError::Dropped) => answer.with_id(DROPPED),
                Err(CallError::Died) => answer.with_id(DIED),
                Err(CallError::Withdrawn) => answer.with_id(WITHDRAWN),
                Err(error) => panic!("{error}"),
            },
            _ => answer,
        }
    });
}

#[test]
fn worker_part() {
    if !acting("worker_part") {
        return;
    }
    let task = Task::current().unwrap();
    let news = task.port(Capacity::Bounded(1));
    let mut kept: Option<SendOnceRight> = None;
    let orders = task.port(Capacity::Bounded(1));
    offer(&[&orders]);
    obey(&orders, |order, rights| {
        let answer = Message::new("");
        match order.id() {
            KEEP => kept = rights.pop(),
            STATE => {
                return answer.with_id(match kept.as_ref().unwrap().state() {
                    ReplyState::Wanted => 0,
                    ReplyState::Asked => 1,
                    ReplyState::Gone(Gone::Withdrawn) => 2,
                    ReplyState::Gone(Gone::Died) => 3,
                    other => panic!("{other:?}"),
                });
            }
            ANSWER => {
                let sent = kept.take().unwrap().send(Message::new(order.body()), long());
                return answer.with_id(sent.is_ok().into());
            }
            DROP => kept = None,
            WATCH => {
                let right = kept.as_mut().unwrap();
                right.notify_withdrawn(news.make_send_once().unwrap()).unwrap();
            }
            HEAR => {
                let told = news.receive(long()).unwrap();
                assert_eq!(told.notification(), Some(Notification::Withdrawn));
            }
            PART => {
                let right = kept.as_mut().unwrap();
                right.write_at(order.tag(), order.body(), long()).unwrap();
            }
            _ => {}
        }
        answer
    });
}

fn obey(orders: &ReceiveRight, mut act: impl FnMut(&Message, &mut Vec<SendOnceRight>) -> Message) {
    orders.notify_no_senders(orders.make_send_once().unwrap()).unwrap();
    loop {
        let mut order = orders.receive(long()).unwrap();
        if order.notification().is_some() {
            return;
        }
        if order.id() == DIE {
            std::process::abort();
        }
        let rights = order.take_rights().into_iter();
        let mut rights = rights.map(|right| right.into_send_once().unwrap()).collect();
        let answer = act(&order, &mut rights);
        order.reply(answer, long()).unwrap();
    }
}

struct Three {
    inbox: ReceiveRight,
    caller: SendRight,
    worker: SendRight,
    caller_child: Reaped,
    worker_child: Reaped,
}

fn three() -> Three {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let (caller_child, [caller]) = meet(act("caller_part"), &inbox);
    let (worker_child, [worker]) = meet(act("worker_part"), &inbox);
    Three { inbox, caller, worker, caller_child, worker_child }
}

fn tell(who: &SendRight, id: i32) -> Message {
    who.call(Message::new("").with_id(id), long()).unwrap()
}

fn tell_with(who: &SendRight, message: Message) -> Message {
    who.call(message, long()).unwrap()
}

impl Three {
    /// A reply right of the caller's.
    fn asked(&self) -> SendOnceRight {
        tell(&self.caller, START);
        self.inbox.receive(long()).unwrap().take_reply().unwrap()
    }

    fn give(&self, right: SendOnceRight) {
        tell_with(&self.worker, Message::new("").with_id(KEEP).with_right(right));
    }

    /// What the worker sees, once it does: until the caller has confirmed the
    /// right, it is said to be wanted.
    fn worker_sees(&self, state: i32) {
        family::settled(|| tell(&self.worker, STATE).id(), |seen| *seen == state);
    }

    fn content(mut self) {
        drop((self.caller, self.worker));
        assert!(self.caller_child.ended_well() && self.worker_child.ended_well());
    }
}

#[test]
fn a_third_task_answers_once() {
    if is_part() {
        return;
    }
    let three = three();
    for turn in 0..50 {
        three.give(three.asked());
        let text = format!("answer {turn}");
        let answer = Message::new(text.as_bytes()).with_id(ANSWER);
        assert_eq!(tell_with(&three.worker, answer).id(), 1);
        let came = tell(&three.caller, WAIT);
        assert_eq!((came.id(), came.body()), (ANSWERED, text.as_bytes()));
    }
    three.give(three.asked());
    tell(&three.worker, DROP);
    assert_eq!(tell(&three.caller, WAIT).id(), DROPPED);
    three.content();
}

#[test]
fn what_the_caller_wants_is_seen_wherever_the_right_is() {
    if is_part() {
        return;
    }
    let three = three();
    // Before it is given on.
    let right = three.asked();
    assert_eq!(right.state(), ReplyState::Wanted);
    assert_eq!(tell(&three.caller, ASK).id(), 1);
    assert_eq!(right.state(), ReplyState::Asked);
    three.give(right);
    three.worker_sees(1);
    assert_eq!(tell_with(&three.worker, Message::new("yes").with_id(ANSWER)).id(), 1);
    assert_eq!(tell(&three.caller, WAIT).body(), b"yes");
    // While it is on its way: the worker has it and may not have claimed it.
    for _ in 0..20 {
        three.give(three.asked());
        assert_eq!(tell(&three.caller, DONE).id(), 1);
        three.worker_sees(2);
        assert_eq!(tell_with(&three.worker, Message::new("no").with_id(ANSWER)).id(), 0);
        assert_eq!(tell(&three.caller, WAIT).id(), WITHDRAWN);
    }
    // After, and it is told, once it is there.
    three.give(three.asked());
    tell(&three.worker, WATCH);
    assert_eq!(tell(&three.worker, STATE).id(), 0);
    assert_eq!(tell(&three.caller, ASK).id(), 1);
    tell(&three.worker, HEAR);
    assert_eq!(tell(&three.worker, STATE).id(), 1);
    assert_eq!(tell(&three.caller, DONE).id(), 1);
    three.worker_sees(2);
    tell(&three.worker, DROP);
    // A right that comes back to the server is as good as before.
    let again = three.asked();
    assert_eq!(again.state(), ReplyState::Wanted);
    again.send(Message::new("own"), long()).unwrap();
    assert_eq!(tell(&three.caller, WAIT).body(), b"own");
    three.content();
}

#[test]
fn parts_of_two_holders_are_one_answer() {
    if is_part() {
        return;
    }
    let three = three();
    let mut right = three.asked();
    let first = vec![b'S'; 100_000];
    right.write_at(0, &first, long()).unwrap();
    three.give(right);
    let part = Message::new(vec![b'B'; 30_000]).with_id(PART).with_tag(90_000);
    tell_with(&three.worker, part);
    assert_eq!(tell_with(&three.worker, Message::new("end").with_id(ANSWER)).id(), 1);
    let came = tell(&three.caller, WAIT);
    let mut expected = vec![b'S'; 90_000];
    expected.extend([b'B'; 30_000]);
    expected.extend(b"end");
    assert!(came.body() == expected);
    three.content();
}

#[test]
fn whoever_dies_the_promise_ends_once() {
    if is_part() {
        return;
    }
    // The worker, holding it.
    let mut three = three();
    three.give(three.asked());
    three.worker_sees(0);
    three.worker.send(Message::new("").with_id(DIE), long()).unwrap();
    assert_eq!(tell(&three.caller, WAIT).id(), DIED);
    assert!(!three.worker_child.ended_well());
    drop(three.caller);
    assert!(three.caller_child.ended_well());

    // The caller, while the worker has it.
    let mut three = self::three();
    three.give(three.asked());
    tell(&three.worker, WATCH);
    three.caller.send(Message::new("").with_id(DIE), long()).unwrap();
    tell(&three.worker, HEAR);
    three.worker_sees(3);
    assert_eq!(tell_with(&three.worker, Message::new("no").with_id(ANSWER)).id(), 0);
    assert!(!three.caller_child.ended_well());
    drop(three.worker);
    assert!(three.worker_child.ended_well());
}

#[test]
fn within_a_task_a_withdrawn_right_is_seen_in_any_hand() {
    let task = Task::new();
    let (front, back) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let to_front = front.make_send().unwrap();
    let to_back = back.make_send().unwrap();
    let mut call = to_front.start_call(Message::new("x"), Deadline::Now).unwrap();
    let mut right = front.receive(Deadline::Now).unwrap().take_reply().unwrap();
    let news = task.port(Capacity::Bounded(1));
    right.notify_withdrawn(news.make_send_once().unwrap()).unwrap();
    let on = Message::new("you do it").with_reply(right);
    to_back.send(on, Deadline::Now).unwrap();
    let mut passed = back.receive(Deadline::Now).unwrap();
    assert_eq!(passed.reply_right().unwrap().state(), ReplyState::Wanted);
    assert!(call.withdraw(Withdraw::Ask));
    assert_eq!(passed.reply_right().unwrap().state(), ReplyState::Asked);
    // Within its task the right stays the same one, and so does its watch.
    let told = news.receive(Deadline::Now).unwrap();
    assert_eq!(told.notification(), Some(Notification::Withdrawn));
    passed.reply(Message::new("done"), Deadline::Now).unwrap();
    assert_eq!(call.wait(Deadline::Now).unwrap().body(), b"done");
}
