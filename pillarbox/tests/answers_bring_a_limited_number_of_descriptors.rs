//! However many answers are out, only so many descriptors of one peer wait for
//! us: who sends more waits, or has its message and its right back, and nothing
//! is lost.

mod family;

use std::fs::File;
use std::os::fd::OwnedFd;

use abi::limits::{DESCRIPTOR_CHARGE, LINK_QUEUED_BYTES, MESSAGE_DESCRIPTORS};
use family::{act, acting, is_part, long, meet, offer};
use pillarbox::{Capacity, Deadline, Message, SendFailure, SendOnceRight, Task};

const ANSWERS: usize = 6;

/// How many such answers may wait.
const MOST: usize = (LINK_QUEUED_BYTES / DESCRIPTOR_CHARGE) as usize / MESSAGE_DESCRIPTORS;

fn full_of_descriptors() -> Message {
    let open = || OwnedFd::from(File::open("/dev/null").unwrap());
    (0..MESSAGE_DESCRIPTORS)
        .fold(Message::new("full"), |message, _| message.with_descriptor(open()))
}

/// Answers as often as it may without waiting, says how often, and answers the
/// rest when there is room.
#[test]
fn answering_part() {
    if !acting("answering_part") {
        return;
    }
    let task = Task::current().unwrap();
    let orders = task.port(Capacity::Bounded(1));
    offer(&[&orders]);
    let mut order = orders.receive(long()).unwrap();
    let once = order.take_rights().into_iter().map(|right| right.into_send_once().unwrap());
    let mut once: Vec<SendOnceRight> = once.collect();
    let mut sent = 0;
    while let Some(right) = once.pop() {
        match right.send(full_of_descriptors(), Deadline::Now) {
            Ok(()) => sent += 1,
            Err(error) => {
                assert_eq!(error.reason, SendFailure::Full);
                assert_eq!(error.message.descriptors().len(), MESSAGE_DESCRIPTORS);
                once.push(error.right);
                break;
            }
        }
    }
    // An answer without descriptors never waits.
    once.pop().unwrap().send(Message::new("empty"), Deadline::Now).unwrap();
    order.reply(Message::new("").with_tag(sent), long()).unwrap();
    for right in once {
        right.send(full_of_descriptors(), long()).unwrap();
    }
}

#[test]
fn answers_bring_a_limited_number_of_descriptors() {
    if is_part() {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    let answers = Task::current().unwrap().port(Capacity::Bounded(1));
    let (mut child, [orders]) = meet(act("answering_part"), &inbox);
    let order = (0..ANSWERS)
        .fold(Message::new(""), |order, _| order.with_right(answers.make_send_once().unwrap()));
    let sent = orders.call(order, long()).unwrap().tag();
    assert_eq!(sent as usize, MOST);
    assert_eq!(answers.status().queued as usize, MOST + 1);
    let (mut full, mut empty) = (0, 0);
    for _ in 0..ANSWERS {
        let answer = answers.receive(long()).unwrap();
        match answer.descriptors().len() {
            0 => empty += 1,
            MESSAGE_DESCRIPTORS => full += 1,
            other => panic!("{other} descriptors"),
        }
        assert!(answer.descriptors().iter().all(|one| !one.is_lost()));
    }
    assert_eq!((full, empty), (ANSWERS - 1, 1));
    assert!(child.ended_well());
}
