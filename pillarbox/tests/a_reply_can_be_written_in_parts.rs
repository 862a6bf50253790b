//! While a caller waits, its answer can be written at offsets, in any order,
//! into the room it has declared. The caller places the parts itself: no rights
//! over its process are needed. What is written is seen with the answer and not
//! before, never beyond the room, and not at all where no answer comes.

mod family;

use family::{Random, Reaped, act, acting, is_part, long, meet, offer, seed};
use pillarbox::{
    CallError, Capacity, Deadline, Gone, Message, PartError, ReceiveRight, SendRight, Task,
    Withdraw, limits,
};

const ROOM: usize = 5 << 20;
const CHECK: i32 = 1;
const DROPPED: i32 = 2;
const DONE: i32 = 3;

fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}

/// Calls with room for parts. Nobody may look into this process.
#[test]
fn caller_part() {
    if !acting("caller_part") {
        return;
    }
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).unwrap();
    let task = Task::current().unwrap();
    let orders = task.port(Capacity::Bounded(1));
    let parent = offer(&[&orders]);
    orders.notify_no_senders(orders.make_send_once().unwrap()).unwrap();
    loop {
        let mut order = orders.receive(long()).unwrap();
        if order.notification().is_some() {
            return;
        }
        let request = Message::new("").with_id(order.id()).with_reply_room(ROOM as u64);
        let mut call = parent.start_call(request, long()).unwrap();
        order.reply(Message::new(""), long()).unwrap();
        match order.id() {
            CHECK => {
                let answer = call.wait(long()).unwrap();
                let body = answer.body();
                assert_eq!(body.len(), ROOM + 4);
                assert!((0..ROOM).all(|at| body[at] == pattern(at)));
                assert_eq!(&body[ROOM..], b"last");
                assert_eq!(answer.id(), 9);
            }
            DROPPED => assert!(matches!(call.wait(long()), Err(CallError::Dropped))),
            _ => {
                let mut go = orders.receive(long()).unwrap();
                assert!(call.withdraw(Withdraw::Done));
                go.reply(Message::new(""), long()).unwrap();
            }
        }
    }
}

struct Caller {
    inbox: ReceiveRight,
    orders: SendRight,
    child: Reaped,
}

fn caller() -> Caller {
    let inbox = Task::current().unwrap().port(Capacity::Bounded(4));
    let (child, [orders]) = meet(act("caller_part"), &inbox);
    Caller { inbox, orders, child }
}

#[test]
fn parts_are_placed_by_the_caller_in_any_order() {
    if is_part() {
        return;
    }
    let Caller { inbox, orders, mut child } = caller();
    let mut random = Random::new(seed());
    orders.call(Message::new("").with_id(CHECK), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    let right = request.reply_right_mut().unwrap();
    assert_eq!(right.reply_room(), ROOM as u64);
    let whole: Vec<u8> = (0..ROOM).map(pattern).collect();
    // Pieces of many sizes, short ones and some longer than a lane.
    let mut cuts: Vec<usize> = (0..40).map(|_| random.below(ROOM as u64) as usize).collect();
    cuts.extend([0, 1, 2, 300_000, 1_000_000, ROOM]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut pieces: Vec<_> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
    while !pieces.is_empty() {
        let piece = pieces.swap_remove(random.below(pieces.len() as u64) as usize);
        // What was wrong before is covered by what is right.
        let wrong = vec![0xff; piece.len().min(100)];
        right.write_at(piece.start as u64, &wrong, long()).unwrap();
        right.write_at(piece.start as u64, &whole[piece], long()).unwrap();
    }
    let beyond = right.write_at(ROOM as u64 - 1, b"xy", long());
    assert_eq!(beyond, Err(PartError::BeyondRoom { room: ROOM as u64 }));
    let beyond = right.write_at(u64::MAX, b"xy", long());
    assert_eq!(beyond, Err(PartError::BeyondRoom { room: ROOM as u64 }));
    request.reply(Message::new("last").with_id(9), long()).unwrap();
    drop(orders);
    assert!(child.ended_well());
}

#[test]
fn parts_of_an_answer_that_never_comes_vanish() {
    if is_part() {
        return;
    }
    let Caller { inbox, orders, mut child } = caller();
    orders.call(Message::new("").with_id(DROPPED), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    request.reply_right_mut().unwrap().write_at(0, &[1; 100_000], long()).unwrap();
    drop(request);
    orders.call(Message::new("").with_id(DONE), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    let right = request.reply_right_mut().unwrap();
    right.write_at(0, &[1; 100_000], long()).unwrap();
    orders.call(Message::new("go"), long()).unwrap();
    let refused = right.write_at(0, &[1; 100_000], long());
    assert_eq!(refused, Err(PartError::Gone(Gone::Withdrawn)));
    drop((request, orders));
    assert!(child.ended_well());
}

#[test]
fn a_caller_that_reads_nothing_makes_the_writer_wait_and_its_end_ends_that() {
    if is_part() {
        return;
    }
    let Caller { inbox, orders, mut child } = caller();
    orders.call(Message::new("").with_id(CHECK), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    let right = request.reply_right_mut().unwrap();
    child.stop();
    let soon = Deadline::after(std::time::Duration::from_millis(20));
    let Err(PartError::Full { written }) = right.write_at(0, &vec![1; ROOM], soon) else {
        panic!("it cannot have had room")
    };
    assert!(written > 0 && written < limits::LANE_BYTES as usize);
    child.kill();
    let gone = right.write_at(0, &vec![1; ROOM], long());
    assert_eq!(gone, Err(PartError::Gone(Gone::Died)));
}

#[test]
fn within_a_task_it_is_the_same() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(2));
    let post = inbox.make_send().unwrap();
    let start = |room| {
        let request = Message::new("").with_reply_room(room);
        let call = post.start_call(request, Deadline::Now).unwrap();
        (call, inbox.receive(Deadline::Now).unwrap())
    };
    let (mut call, mut request) = start(12);
    let right = request.reply_right_mut().unwrap();
    right.write_at(5, b"world", Deadline::Now).unwrap();
    right.write_at(0, b"hello", Deadline::Now).unwrap();
    let beyond = right.write_at(10, b"!!!", Deadline::Now);
    assert_eq!(beyond, Err(PartError::BeyondRoom { room: 12 }));
    assert!(!call.is_ready());
    request.reply(Message::new("!"), Deadline::Now).unwrap();
    assert_eq!(call.wait(Deadline::Now).unwrap().into_body(), b"helloworld!");

    let (mut call, mut request) = start(0);
    let none = request.reply_right_mut().unwrap().write_at(0, b"x", Deadline::Now);
    assert_eq!(none, Err(PartError::NoRoom));
    request.reply(Message::new("whole"), Deadline::Now).unwrap();
    assert_eq!(call.wait(Deadline::Now).unwrap().body(), b"whole");

    // Parts go to a port of completions as well.
    let done = task.port(Capacity::Bounded(1));
    let request = Message::new("").with_reply_room(4);
    post.start_call_to(request, &done, 3, Deadline::Now).unwrap();
    let mut request = inbox.receive(Deadline::Now).unwrap();
    request.reply_right_mut().unwrap().write_at(2, b"xy", Deadline::Now).unwrap();
    request.reply(Message::new(""), Deadline::Now).unwrap();
    let answer = done.receive(Deadline::Now).unwrap();
    assert_eq!((answer.completion(), answer.body()), (Some(3), &b"\0\0xy"[..]));

    // More room than any message has is refused before anything is sent.
    let request = Message::new("").with_reply_room(limits::MESSAGE_BYTES + 1);
    assert!(post.start_call(request, Deadline::Now).is_err());
    assert!(inbox.receive(Deadline::Now).is_err());
}
