//! Who sends to an unbounded port never waits: what the lane does not hold lies in
//! memory of the sender's, up to its limit, and then the message comes back. What
//! was accepted is in order and outlives its sender.

mod family;

use std::fs::File;
use std::time::Instant;

use family::linked::give;
use family::tally::Tally;
use family::{Random, Reaped, act, act_with, acting, given, is_part, long, seed, settled, tell};
use pillarbox::{
    Capacity, Deadline, Limit, Limits, Message, Notification, PulseError, ReceiveRight, Right,
    SendFailure, SendOnceRight, SendRight, Task, Terms,
};

const MIB: usize = 1024 * 1024;

/// Bytes that are accepted while nobody reads.
const ACCEPTED: usize = 60 * MIB;

/// Bodies of the messages: short ones and such as just go inline.
fn length_of(number: u64) -> usize {
    if number.is_multiple_of(64) { 32 * 1024 } else { 1000 + (number % 100) as usize }
}

fn numbered(number: u64) -> Message {
    Message::new(vec![number as u8; length_of(number)]).with_tag(number)
}

fn check(message: &Message, number: u64) {
    assert_eq!(message.tag(), number, "in order, once");
    assert_eq!(message.body().len(), length_of(number), "message {number}");
    assert!(message.body().iter().all(|&byte| byte == number as u8), "message {number}");
}

/// Sends until so many bytes are accepted. How many messages that was.
fn flood(post: &SendRight, from: u64, bytes: usize) -> u64 {
    let (mut number, mut accepted) = (from, 0);
    while accepted < bytes {
        post.send(numbered(number), Deadline::Now).unwrap();
        accepted += length_of(number);
        number += 1;
    }
    number
}

/// Sends until the limit of the sender. How many messages there are then.
fn fill(post: &SendRight, from: u64) -> u64 {
    let mut number = from;
    loop {
        match post.send(numbered(number), Deadline::Never) {
            Ok(()) => number += 1,
            Err(error) => {
                assert_eq!(error.reason, SendFailure::OverLimit);
                check(&error.message, number);
                return number;
            }
        }
    }
}

// ---- a reader that is stopped ----------------------------------------------------

#[test]
fn reader_part() {
    if !acting("reader_part") {
        return;
    }
    let task = Task::current().unwrap();
    let home = given("home");
    let inbox = task.port(Capacity::Unbounded);
    home.send(Message::new("").with_right(inbox.make_send().unwrap()), long()).unwrap();
    for number in 0.. {
        let message = inbox.receive(long()).unwrap();
        if message.id() == -1 {
            home.send(Message::new("").with_tag(number), long()).unwrap();
            return;
        }
        check(&message, number);
    }
}

#[test]
fn a_stopped_reader_makes_nobody_wait_and_loses_nothing() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let home = task.port(Capacity::Bounded(4));
    let reader = act("reader_part").right("home", home.make_send().unwrap());
    let mut reader = Reaped(reader.spawn_in(&task).unwrap());
    let post = home.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let mut number = flood(&post, 0, 10);
    reader.stop();
    number = flood(&post, number, ACCEPTED);
    number = fill(&post, number);
    assert!(task.metrics().refused(Limit::SpillBytes) > 0);
    // With everything in it, whatever the deadline.
    let own = task.port(Capacity::Bounded(1));
    let message = Message::new(vec![0; 32 * 1024])
        .with_right(own.make_send().unwrap())
        .with_descriptor(File::open("/dev/null").unwrap().into());
    let failed = post.send(message, long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::OverLimit);
    assert!(matches!(failed.message.rights(), [Right::Send(_)]));
    assert!(!failed.message.descriptors()[0].is_lost());
    reader.resume();
    let mut last = Message::new("").with_id(-1);
    while let Err(error) = post.send(last, long()) {
        assert_eq!(error.reason, SendFailure::OverLimit);
        last = *error.message;
        std::thread::yield_now();
    }
    assert_eq!(home.receive(long()).unwrap().tag(), number);
    assert!(reader.ended_well());
}

// ---- a sender that is killed --------------------------------------------------------

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let tally = Tally::of_parent();
    let inbox = given("inbox");
    let mut number = 0;
    loop {
        match inbox.send(numbered(number), Deadline::Now) {
            Ok(()) => {
                number += 1;
                tally.set(number);
            }
            Err(error) if error.reason == SendFailure::OverLimit => std::thread::yield_now(),
            Err(_) => return,
        }
    }
}

fn kill_a_sender(read_before: u64, moment: impl Fn(u64) -> bool) {
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let news = task.port(Capacity::Bounded(1));
    let tally = Tally::new();
    let child = act_with("sender_part", |command| {
        command.stdin(tally.for_child());
    });
    let child = child.right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    inbox.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    for number in 0..read_before {
        check(&inbox.receive(long()).unwrap(), number);
    }
    settled(|| tally.get(), |accepted| moment(*accepted));
    child.kill();
    let accepted = tally.get();
    for number in read_before..accepted {
        check(&inbox.receive(long()).unwrap(), number);
    }
    // One more may have been accepted and not been counted.
    let told = news.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::NoSenders));
    let more = inbox.receive(Deadline::Now);
    more.into_iter().for_each(|message| check(&message, accepted));
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn what_a_killed_sender_spilled_arrives() {
    if is_part() {
        return;
    }
    // Some 60 MiB, of which nothing was read.
    let mean = (32 * 1024 + 63 * 1050) / 64;
    kill_a_sender(0, |accepted| accepted > (ACCEPTED / mean) as u64);
}

#[test]
fn a_sender_is_killed_at_any_moment() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let mut random = Random::new(seed);
    for _ in 0..12 {
        let until = Instant::now() + random.micros(60_000);
        kill_a_sender(random.below(3) * 5000, |_| Instant::now() > until);
    }
}

// ---- order -----------------------------------------------------------------------------

/// A port of one task and what leads to it from another: a right, a facet of it, and
/// send-once rights.
struct Met {
    owner: Task,
    inbox: ReceiveRight,
    sender: Task,
    post: SendRight,
    facet: SendRight,
    once: Vec<SendOnceRight>,
}

fn meet(limits: Limits, once: usize) -> Met {
    let (owner, sender) = (Task::new(), Task::new_with(limits));
    let inbox = owner.port(Capacity::Unbounded);
    let post = give(&owner, &sender, inbox.make_send().unwrap());
    let home = sender.port(Capacity::Bounded(4));
    post.send(Message::new("").with_right(home.make_send().unwrap()), long()).unwrap();
    let back = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    let mut more = Message::new("").with_right(inbox.make_send_with(&Terms::new()).unwrap());
    for _ in 0..once {
        more = more.with_right(inbox.make_send_once().unwrap());
    }
    back.send(more, long()).unwrap();
    let mut rights = home.receive(long()).unwrap().take_rights();
    let facet = rights.remove(0).into_send().unwrap();
    let once = rights.into_iter().map(|right| right.into_send_once().unwrap()).collect();
    Met { owner, inbox, sender, post, facet, once }
}

impl Met {
    fn close(self) {
        self.owner.close();
        self.sender.close();
    }
}

/// What is to come: a message or pulse with this number, or the news that a promise
/// was dropped.
#[derive(Debug, PartialEq)]
enum Due {
    Number(u64),
    Dropped,
}

fn came(message: &Message) -> Due {
    match message.notification() {
        Some(Notification::SendOnceDropped) => Due::Dropped,
        Some(other) => panic!("{other:?}"),
        None => Due::Number(message.tag()),
    }
}

#[test]
fn all_that_one_task_sends_to_the_port_is_in_order() {
    if is_part() {
        return;
    }
    let seed = seed();
    tell(&format!("PILLARBOX_SEED={seed}"));
    let mut random = Random::new(seed);
    let Met { owner, inbox, sender, post, facet, mut once } = meet(Limits::default(), 200);
    let mut facet = Some(facet);
    let mut due = Vec::new();
    let mut read = 0;
    for number in 0..24_000 {
        let body = vec![0; random.below(1200) as usize];
        let message = Message::new(body).with_tag(number);
        match random.below(100) {
            0..70 => post.send(message, Deadline::Now).unwrap(),
            70..97 => {
                let right = facet.as_ref().unwrap_or(&post);
                right.send(message, Deadline::Now).unwrap();
            }
            97 => match (once.pop(), random.below(2)) {
                (None, _) => continue,
                (Some(right), 0) => right.send(message, long()).unwrap(),
                (Some(right), _) => {
                    drop(right);
                    due.push(Due::Dropped);
                    continue;
                }
            },
            _ => {
                let right = facet.as_ref().unwrap_or(&post);
                match right.pulse(0, number, 0) {
                    Ok(()) => {}
                    Err(PulseError::NoRoom) => continue,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        due.push(Due::Number(number));
        if number == 18_000 {
            facet = None;
        }
        // Nothing is read at first, then some, then all there is.
        let most = if number < 9_000 { 0 } else { random.below(3) };
        for _ in 0..most {
            let Ok(message) = inbox.receive(Deadline::Now) else { break };
            assert_eq!(came(&message), due[read]);
            read += 1;
        }
        if number % 5000 == 4999 && number > 15_000 {
            while read < due.len() {
                assert_eq!(came(&inbox.receive(long()).unwrap()), due[read]);
                read += 1;
            }
        }
    }
    while read < due.len() {
        assert_eq!(came(&inbox.receive(long()).unwrap()), due[read]);
        read += 1;
    }
    assert!(inbox.receive(Deadline::Now).is_err());
    owner.close();
    sender.close();
}

#[test]
fn nobody_can_send_is_told_after_what_was_spilled() {
    if is_part() {
        return;
    }
    let met = meet(Limits::default(), 0);
    let number = flood(&met.post, 0, 20 * MIB);
    // A right that goes home in a spilled message, and all that is left.
    let home = Message::new("").with_tag(number).with_right(met.post.clone());
    met.post.send(home, Deadline::Now).unwrap();
    drop((met.post, met.facet));
    met.inbox.notify_no_senders(met.inbox.make_send_once().unwrap()).unwrap();
    for number in 0..number {
        check(&met.inbox.receive(long()).unwrap(), number);
    }
    let last = met.inbox.receive(long()).unwrap();
    assert!(matches!(last.rights(), [Right::Send(_)]), "{last:?}");
    drop(last);
    let told = met.inbox.receive(long()).unwrap();
    assert_eq!(told.notification(), Some(Notification::NoSenders));
    assert!(met.owner.metrics().offences.is_empty());
    met.owner.close();
    met.sender.close();
}

#[test]
fn rights_and_descriptors_are_spilled_up_to_a_limit() {
    if is_part() {
        return;
    }
    let met = meet(Limits::default(), 0);
    let own = met.sender.port(Capacity::Bounded(1));
    flood(&met.post, 0, 10 * MIB);
    let with = || {
        Message::new(vec![1; 100_000])
            .with_right(own.make_send().unwrap())
            .with_reply(own.make_send_once().unwrap())
            .with_descriptor(File::open("/dev/null").unwrap().into())
    };
    // One descriptor each: the long body is lent.
    let fit = pillarbox::limits::SPILL_DESCRIPTORS;
    for _ in 0..fit {
        met.post.send(with(), Deadline::Now).unwrap();
    }
    let failed = met.post.send(with(), Deadline::Never).unwrap_err();
    assert_eq!(failed.reason, SendFailure::OverLimit);
    assert!(!failed.message.descriptors()[0].is_lost());
    while let Ok(message) = met.inbox.receive(Deadline::after(family::LONG)) {
        if message.body().len() == 100_000 {
            assert!(message.reply_right().is_some() && !message.descriptors()[0].is_lost());
            assert!(matches!(message.rights(), [Right::Send(_)]));
            break;
        }
    }
    for _ in 1..fit {
        assert_eq!(met.inbox.receive(long()).unwrap().body().len(), 100_000);
    }
    met.close();
}

// ---- limits -----------------------------------------------------------------------------

#[test]
fn the_limit_is_the_senders_own() {
    if is_part() {
        return;
    }
    let limits = Limits { spill_bytes: 128 * 1024, ..Limits::default() };
    let met = meet(limits, 0);
    let number = fill(&met.post, 0);
    assert!(met.sender.metrics().refused(Limit::SpillBytes) > 0);
    assert_eq!(met.owner.metrics().refused(Limit::SpillBytes), 0);
    for number in 0..number {
        check(&met.inbox.receive(long()).unwrap(), number);
    }
    // There is room again when all was taken.
    let mut next = numbered(0);
    while let Err(error) = met.post.send(next, Deadline::Now) {
        next = *error.message;
        std::thread::yield_now();
    }
    check(&met.inbox.receive(long()).unwrap(), 0);
    met.close();
}

#[test]
fn a_task_limits_what_waits_in_its_own_ports() {
    let task = Task::new_with(Limits { own_queued_bytes: 10_000, ..Limits::default() });
    let (inbox, other) = (task.port(Capacity::Unbounded), task.port(Capacity::Unbounded));
    let (post, more) = (inbox.make_send().unwrap(), other.make_send().unwrap());
    let mut sent = 0;
    let refused = loop {
        match post.send(Message::new(vec![0; 1000]), Deadline::Never) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.reason, SendFailure::OverLimit);
    assert_eq!(refused.message.body().len(), 1000);
    assert!((1..10).contains(&sent), "{sent}");
    assert_eq!(task.metrics().refused(Limit::OwnQueuedBytes), 1);
    // Whichever of its ports it is.
    assert!(more.send(Message::new(vec![0; 1000]), Deadline::Never).is_err());
    inbox.receive(Deadline::Now).unwrap();
    more.send(Message::new(vec![0; 1000]), Deadline::Never).unwrap();
    assert!(post.send(Message::new(vec![0; 1000]), Deadline::Never).is_err());
    // What is bounded otherwise is not charged.
    let bounded = task.port(Capacity::Bounded(1));
    bounded.make_send().unwrap().send(Message::new(vec![0; 9000]), Deadline::Now).unwrap();
    drop(inbox);
    for _ in 1..sent {
        more.send(Message::new(vec![0; 1000]), Deadline::Never).unwrap();
    }
}

// ---- moves ------------------------------------------------------------------------------

#[test]
fn a_port_moves_with_what_was_spilled() {
    if is_part() {
        return;
    }
    let met = meet(Limits::default(), 0);
    drop(met.facet);
    let next = Task::new();
    let arrivals = next.port(Capacity::Bounded(4));
    let there = give(&next, &met.owner, arrivals.make_send().unwrap());
    let count = flood(&met.post, 0, 20 * MIB);
    let mut inbox = met.inbox;
    // The end of the facet is on its way. Of what was spilled nothing is received, so it
    // makes no room for itself: it is read to its end.
    while let Err(error) = there.send(Message::new("").with_right(inbox), long()) {
        assert_eq!(error.reason, SendFailure::HasTerms);
        let mut message = *error.message;
        inbox = message.take_rights().remove(0).into_receive().unwrap();
    }
    let mut came = arrivals.receive(long()).unwrap();
    let Right::Receive(inbox) = came.take_rights().remove(0) else { panic!("it came") };
    let post = met.post.clone();
    let sending = std::thread::spawn(move || {
        // Who follows the port waits for its new owner's word, once.
        post.send(numbered(count), long()).unwrap();
        flood(&post, count + 1, 20 * MIB)
    });
    for number in 0..count + 1000 {
        check(&inbox.receive(long()).unwrap(), number);
    }
    let all = sending.join().unwrap();
    for number in count + 1000..all {
        check(&inbox.receive(long()).unwrap(), number);
    }
    for task in [met.owner, met.sender, next] {
        task.close();
    }
}
