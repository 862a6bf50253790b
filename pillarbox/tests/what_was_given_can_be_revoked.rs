//! What was given can be taken back, wherever it is: in the own task, at a peer,
//! at a peer's peer, or on its way. From then on nothing sent on it enters the
//! queue, and everybody is told.

mod asleep;
mod family;

use family::linked::give;
use family::{Reaped, act, acting, given, long, settled};
use pillarbox::{
    CallError, Capacity, Deadline, Holding, Message, Notification, SendFailure, SendRight, Task,
    Terms,
};

fn is_revoked(right: &SendRight) -> bool {
    let error = right.send(Message::new("late").with_id(99), long()).unwrap_err();
    assert_eq!(error.message.id(), 99);
    error.reason == SendFailure::Revoked
}

#[test]
fn every_copy_and_everything_narrowed_from_it_ends() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(8));
    let (right, revoker) = inbox.make_revocable(&Terms::new().badge(1)).unwrap();
    let copy = right.clone();
    let narrow = copy.attenuate(&Terms::new().ids(0..=0)).unwrap();
    let (inner, inner_revoker) = right.make_revocable(&Terms::new()).unwrap();
    let other = inbox.make_send_with(&Terms::new()).unwrap();
    copy.send(Message::new("accepted"), long()).unwrap();
    assert_eq!(inner_revoker.revoke(), 1);
    assert!(is_revoked(&inner) && !revoker.is_revoked());
    assert_eq!(revoker.revoke(), 3);
    assert_eq!((revoker.revoke(), revoker.is_revoked()), (0, true));
    assert!([&right, &copy, &narrow].into_iter().all(is_revoked));
    // What was accepted before is there, and other rights are what they were.
    assert_eq!(inbox.receive(long()).unwrap().body(), b"accepted");
    other.send(Message::new("other"), long()).unwrap();
    assert_eq!(inbox.status().senders, 1);
}

#[test]
fn a_wait_for_a_place_ends_with_the_revocation() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    inbox.make_send().unwrap().send(Message::new("full"), long()).unwrap();
    let (right, revoker) = inbox.make_revocable(&Terms::new()).unwrap();
    let peer = Task::new();
    let (far, far_revoker) = inbox.make_revocable(&Terms::new()).unwrap();
    let far = give(&task, &peer, far);
    // Who offered it at a door lets go of it in its own time.
    settled(|| inbox.status().senders, |senders| *senders == 2);
    std::thread::scope(|scope| {
        let waits = [&right, &far].map(|right| {
            asleep::spawn_asleep(scope, move || {
                right.send(Message::new("waits"), Deadline::Never).unwrap_err()
            })
        });
        assert_eq!(revoker.revoke() + far_revoker.revoke(), 2);
        for wait in waits {
            let error = wait.join().unwrap();
            assert_eq!((error.reason, error.message.body()), (SendFailure::Revoked, &b"waits"[..]));
        }
    });
    assert_eq!(inbox.receive(long()).unwrap().body(), b"full");
    assert!(inbox.receive(Deadline::Now).is_err());
}

#[test]
fn who_holds_one_is_told_and_no_sender_is_left() {
    let (owner, peer) = (Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(8));
    let news = peer.port(Capacity::Bounded(8));
    let (right, revoker) = inbox.make_revocable(&Terms::new()).unwrap();
    let held = give(&owner, &peer, right.clone());
    held.notify_dead(news.make_send_once().unwrap()).unwrap();
    right.notify_dead(inbox.make_send_once().unwrap()).unwrap();
    inbox.notify_no_senders(inbox.make_send_once().unwrap()).unwrap();
    // Who offered it at a door lets go of it in its own time.
    settled(|| inbox.status().senders, |senders| *senders == 2);
    assert_eq!(revoker.revoke(), 2);
    assert_eq!(news.receive(long()).unwrap().notification(), Some(Notification::DeadName));
    // No sender is left, though rights that lead nowhere are.
    let told = [inbox.receive(long()), inbox.receive(long())]
        .map(|message| message.unwrap().notification().unwrap());
    assert!(told.contains(&Notification::NoSenders) && told.contains(&Notification::DeadName));
    assert!(is_revoked(&held) && is_revoked(&right));
    assert_eq!(owner.census().count(Holding::ExportedSend), 0);
    assert_eq!(peer.census().count(Holding::ImportedSend), 0);
    assert_eq!(peer.census().count(Holding::Dead), 1);
    // Who asks too late is told at once.
    held.notify_dead(news.make_send_once().unwrap()).unwrap();
    assert_eq!(news.receive(long()).unwrap().notification(), Some(Notification::DeadName));
    drop((held, right));
    settled(|| owner.census(), |census| census.count(Holding::Dead) == 0);
    assert_eq!(peer.census().count(Holding::Dead), 0);
}

#[test]
fn what_crosses_the_revocation_is_refused_and_answered() {
    let (owner, peer) = (Task::new(), Task::new());
    // Whether anything still lies in the lane when the revoker speaks is the
    // machine's affair: this goes on until something did.
    let refused = (0..500).map(|_| cross_a_revocation(&owner, &peer)).find(|refused| *refused > 0);
    assert!(refused.is_some(), "nothing ever crossed a revocation");
}

/// Sends a hundred messages, revokes the right, and accounts for each. Says how many
/// were refused.
fn cross_a_revocation(owner: &Task, peer: &Task) -> u64 {
    let inbox = owner.port(Capacity::Unbounded);
    let (right, revoker) = inbox.make_revocable(&Terms::new()).unwrap();
    let held = give(owner, peer, right);
    let answers = peer.port(Capacity::Bounded(8));
    held.send(Message::new("first"), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"first");
    let mut crossed = 0;
    for _ in 0..100 {
        let message = Message::new("crosses")
            .with_reply(answers.make_send_once().unwrap())
            .with_right(answers.make_send_once().unwrap());
        crossed += u64::from(held.send(message, long()).is_ok());
    }
    assert_eq!(crossed, 100);
    let before = inbox.status().queued;
    revoker.revoke();
    let mut entered = 0;
    settled(
        || {
            entered += u64::from(inbox.receive(Deadline::Now).is_ok());
            (entered, inbox.refused())
        },
        |(entered, refused)| entered + refused == crossed,
    );
    assert!(entered >= before, "{entered} of {before} that were queued came");
    // Each promise in what was refused, or received and dropped, is broken aloud.
    let mut told = [0; 2];
    for _ in 0..2 * crossed {
        match answers.receive(long()).unwrap().notification() {
            Some(Notification::Refused) => told[0] += 1,
            Some(Notification::SendOnceDropped) => told[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, [inbox.refused(), crossed + entered]);
    assert!(is_revoked(&held));
    inbox.refused()
}

#[test]
fn rights_on_their_way_arrive_dead() {
    let (owner, first, second) = (Task::new(), Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(8));
    let (right, revoker) = inbox.make_revocable(&Terms::new()).unwrap();
    let held = give(&owner, &first, right.clone());
    let mailbox = second.port(Capacity::Bounded(64));
    let to_second = give(&second, &first, mailbox.make_send().unwrap());
    let from_owner = give(&second, &owner, mailbox.make_send().unwrap());
    // Two on their way from a peer, one from the owner, one to the owner.
    for _ in 0..2 {
        to_second.send(Message::new("").with_right(held.clone()), long()).unwrap();
    }
    from_owner.send(Message::new("").with_right(right.clone()), long()).unwrap();
    assert!(revoker.revoke() >= 3);
    from_owner.send(Message::new("").with_right(right), long()).unwrap();
    to_second.send(Message::new("").with_right(held), long()).unwrap();
    for _ in 0..5 {
        let arrived = mailbox.receive(long()).unwrap().take_rights().remove(0);
        let arrived = arrived.into_send().unwrap();
        let error = arrived.send(Message::new("late"), long()).unwrap_err();
        assert!(matches!(error.reason, SendFailure::Dead | SendFailure::Revoked), "{error}");
        assert!(arrived.is_dead());
    }
    assert!(inbox.receive(Deadline::Now).is_err());
    // Nothing of them is left anywhere.
    let left = |task: &Task| {
        let census = task.census();
        census.count(Holding::Dead) + census.count(Holding::Given)
    };
    settled(|| [&owner, &first, &second].map(left), |left| *left == [0; 3]);
    assert_eq!(inbox.status().senders, 0);
}

#[test]
fn holder_part() {
    if !acting("holder_part") {
        return;
    }
    let (held, control) = (given("held"), given("control"));
    assert_eq!(held.call(Message::new("1"), long()).unwrap().body(), b"yes");
    assert_eq!(control.call(Message::new("revoke"), long()).unwrap().body(), b"done");
    match held.call(Message::new("2"), long()) {
        Err(CallError::Unsent(error)) => assert_eq!(error.reason, SendFailure::Revoked),
        other => panic!("{other:?}"),
    }
    assert!(held.is_dead() && !control.is_dead());
}

#[test]
fn another_process_is_told_in_time() {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let (right, revoker) = inbox.make_revocable(&Terms::new()).unwrap();
    let control = inbox.make_send().unwrap();
    let child = act("holder_part").right("held", right).right("control", control).spawn();
    let mut child = Reaped(child.unwrap());
    let mut request = inbox.receive(long()).unwrap();
    request.reply(Message::new("yes"), long()).unwrap();
    let mut request = inbox.receive(long()).unwrap();
    assert_eq!(revoker.revoke(), 1);
    request.reply(Message::new("done"), long()).unwrap();
    assert!(child.ended_well());
    assert!(inbox.receive(Deadline::Now).is_err());
}
