//! Whoever breaks the protocol is told apart from the dead: a send to such a
//! peer fails with the very offence, the message and every right in it come
//! back, what the peer held is over, and nobody else notices.

mod family;
mod offences;

use std::fs::File;

use abi::frame::Kind;
use family::raw::{OWN, Peer, wait_for_the_end};
use family::{Reaped, act_with, acting, is_part, long};
use offences::{ACTS, Act, loans, spills};
use pillarbox::{Capacity, LoanError, Message, Notification, Offence, Right, SendFailure, Task};

/// The variable that says which act a peer commits.
const ACT: &str = "PILLARBOX_TEST_ACT";

/// Everything there is to do wrong.
fn all() -> impl Iterator<Item = &'static Act> {
    ACTS.iter().chain(spills::ACTS).chain(loans::ACTS)
}

/// Nobody need wait any more.
const STOP: i32 = i32::MIN;

/// Offenders at a time.
const THREADS: usize = 6;

#[test]
fn offender_part() {
    if !acting("offender_part") {
        return;
    }
    let name = std::env::var(ACT).unwrap();
    let act = all().find(|act| act.name == name).unwrap();
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (go, _) = peer.next();
    assert_eq!((go.kind, go.slot), (Kind::Message, OWN));
    (act.commit)(&mut peer);
    peer.ring();
    wait_for_the_end(&peer.socket);
}

// ---- what becomes of it ----------------------------------------------------------

/// Whether it is the same whatever becomes of messages that came before.
fn lies_in_one_message(offence: Offence) -> bool {
    matches!(
        offence,
        Offence::NeverExported
            | Offence::LoanMalformed
            | Offence::BodyMalformed
            | Offence::FrameTruncated
            | Offence::PriorityExceeded(_)
    )
}

/// With `waits` somebody waits for what the offender sends, and may read it past the
/// queue.
fn offend(task: &Task, act: &Act, waits: bool) {
    let name = act.name;
    let inbox = task.port(Capacity::Bounded(8));
    let open = task.port(Capacity::Unbounded);
    let full = task.port(Capacity::Bounded(1));
    let once = task.port(Capacity::Bounded(1));
    let ended = task.port(Capacity::Bounded(8));
    full.make_send().unwrap().send(Message::new("full"), long()).unwrap();
    let child = act_with("offender_part", |command| {
        command.env(ACT, name);
    })
    .right("inbox", inbox.make_send().unwrap())
    .right("open", open.make_send().unwrap())
    .right("full", full.make_send().unwrap())
    .right("once", once.make_send_once().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut ready = inbox.receive(long()).unwrap_or_else(|_| panic!("{name}"));
    assert_eq!(ready.sender().unwrap().pid, child.pid(), "{name}");
    let post = ready.take_rights().remove(0).into_send().unwrap();
    post.notify_dead(ended.make_send_once().unwrap()).unwrap();
    let stop = inbox.make_send().unwrap();
    let told = std::thread::scope(|scope| {
        if waits {
            scope.spawn(|| while inbox.receive(long()).unwrap().id() != STOP {});
        }
        post.send(Message::new("go"), long()).unwrap();
        if act.offence == Offence::LoanNotOut {
            // Who lends looks at what was returned when it lends again.
            let _ = post.send(Message::new(vec![0; 40_000]), long());
            let told = std::iter::repeat_with(|| post.loan(4096, long())).find_map(Result::err);
            assert_eq!(told, Some(LoanError::Fault(act.offence)));
        }
        if act.offence == Offence::TailImpossible {
            // Only a writer in need of room looks at a tail.
            while post.send(Message::new(vec![0; 4096]), long()).is_ok() {}
        }
        let news = ended.receive(long());
        if waits {
            stop.send(Message::new("").with_id(STOP), long()).unwrap();
        }
        news.map(|news| news.notification())
    });
    drop(stop);
    assert_eq!(told, Ok(Some(Notification::DeadName)), "{name}");

    // The message and its rights come back.
    let own = task.port(Capacity::Bounded(1));
    let message = Message::new("for a friend")
        .with_id(5)
        .with_right(own.make_send().unwrap())
        .with_right(own.make_send_once().unwrap())
        .with_reply(own.make_send_once().unwrap())
        .with_descriptor(File::open("/dev/null").unwrap().into());
    let failed = post.send(message, long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Fault(act.offence), "{name}");
    let mut back = *failed.message;
    assert_eq!((back.body(), back.id()), (&b"for a friend"[..], 5));
    assert!(matches!(back.rights(), [Right::Send(_), Right::SendOnce(_)]));
    assert!(back.reply_right().is_some() && !back.descriptors()[0].is_lost());
    back.reply(Message::new("still good"), long()).unwrap();
    assert_eq!(own.receive(long()).unwrap().body(), b"still good");
    let unused = back.take_rights().remove(1).into_send_once().unwrap();
    unused.send(Message::new("as good"), long()).unwrap();
    assert_eq!(own.receive(long()).unwrap().body(), b"as good");

    // What it held is over.
    for port in [&inbox, &open] {
        port.notify_no_senders(ended.make_send_once().unwrap()).unwrap();
        let news = ended.receive(long()).unwrap();
        assert_eq!(news.notification(), Some(Notification::NoSenders), "{name}");
    }
    let last = once.receive(long()).unwrap();
    let died = last.notification() == Some(Notification::SendOnceDied);
    assert!(died || last.body() == b"once", "{name}");
    // The news of its end came once.
    drop(post);
    assert!(ended.receive(pillarbox::Deadline::Now).is_err(), "{name}");
    assert!(child.ended_well(), "{name}: it was hung up on");
}

#[test]
fn each_offence_is_named_and_ends_one_link() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    // Side by side: what one offender does, the others do not notice. And what
    // an offender gave away waits ten seconds for who may claim it.
    std::thread::scope(|scope| {
        for offset in 0..THREADS {
            let task = &task;
            scope.spawn(move || {
                for act in all().skip(offset).step_by(THREADS) {
                    offend(task, act, false);
                    if lies_in_one_message(act.offence) {
                        offend(task, act, true);
                    }
                }
            });
        }
    });
    family::settled(|| task.census(), |census| census.rows.is_empty());
}
