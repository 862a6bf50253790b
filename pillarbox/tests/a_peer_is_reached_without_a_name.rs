//! A task reaches another one that it is linked with, and holds no right of, if
//! that one has opened its inbox for it; and it learns soon where it has not.

mod family;

use family::linked::give;
use family::{Reaped, act, acting, is_part, long, settled};
use pillarbox::{
    Callers, Capacity, Deadline, InboxError, Message, Peer, SendFailure, SendToFailure, Task,
};

/// Two linked tasks, and each as the other sees it.
fn two() -> (Task, Task, Peer, Peer) {
    let (near, far) = (Task::new(), Task::new());
    let port = far.port(Capacity::Bounded(1));
    drop(give(&far, &near, port.make_send().unwrap()));
    let (seen_far, seen_near) =
        (near.peer(far.identity().task).unwrap(), far.peer(near.identity().task).unwrap());
    (near, far, seen_far, seen_near)
}

fn failure(task: &Task, peer: &Peer) -> SendToFailure {
    let error = task.send_to(peer, Message::new("in vain"), long()).unwrap_err();
    assert_eq!(error.message.body(), b"in vain");
    error.reason
}

#[test]
fn an_open_inbox_is_reached_and_answers_the_same_way() {
    let (near, far, seen_far, seen_near) = two();
    let far_inbox = far.open_inbox(Capacity::Bounded(4), Callers::anyone()).unwrap();
    let near_inbox = near.open_inbox(Capacity::Bounded(4), Callers::anyone()).unwrap();
    for text in ["one", "two"] {
        near.send_to(&seen_far, Message::new(text), long()).unwrap();
    }
    let first = far_inbox.receive(long()).unwrap();
    assert_eq!((first.body(), first.peer().as_ref()), (&b"one"[..], Some(&seen_near)));
    assert_eq!(first.sender().unwrap().task, near.identity().task);
    far.send_to(&first.peer().unwrap(), Message::new("three"), long()).unwrap();
    assert_eq!(near_inbox.receive_from(&seen_far, long()).unwrap().body(), b"three");
    assert_eq!(far_inbox.receive(long()).unwrap().body(), b"two");
    // What is kept for the next time needs no answer.
    near.send_to(&seen_far, Message::new("four"), Deadline::Now).unwrap();
    assert_eq!(far_inbox.receive(long()).unwrap().body(), b"four");
}

#[test]
fn a_task_without_an_inbox_is_not_reached_and_says_so() {
    let (near, far, seen_far, _) = two();
    assert_eq!(failure(&near, &seen_far), SendToFailure::NoInbox);
    let inbox = far.open_inbox(Capacity::Bounded(4), Callers::anyone()).unwrap();
    let again = far.open_inbox(Capacity::Bounded(4), Callers::anyone());
    assert!(matches!(again, Err(InboxError::Open)));
    near.send_to(&seen_far, Message::new("now"), long()).unwrap();
    drop(inbox);
    assert_eq!(failure(&near, &seen_far), SendToFailure::NoInbox);
    // Another one is another port, and the next message finds it.
    let inbox = far.open_inbox(Capacity::Bounded(4), Callers::anyone()).unwrap();
    near.send_to(&seen_far, Message::new("again"), long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"again");
}

#[test]
fn who_is_not_among_the_callers_is_told_that_there_is_none() {
    let (near, far, seen_far, _) = two();
    let uid = near.identity().uid;
    for (callers, reached) in [
        (Callers::none(), false),
        (Callers::none().parent().children(), false),
        (Callers::none().task(far.identity().task), false),
        (Callers::none().user(uid + 1), false),
        (Callers::none().task(near.identity().task), true),
        (Callers::none().user(uid), true),
        (Callers::none().group(near.identity().gid), true),
    ] {
        let inbox = far.open_inbox(Capacity::Bounded(4), callers.clone()).unwrap();
        if reached {
            near.send_to(&seen_far, Message::new("in"), long()).unwrap();
            assert_eq!(inbox.receive(long()).unwrap().body(), b"in");
        } else {
            assert_eq!(failure(&near, &seen_far), SendToFailure::NoInbox, "{callers:?}");
        }
    }
}

#[test]
fn a_full_inbox_makes_the_sender_wait_and_the_message_comes_back() {
    let (near, far, seen_far, _) = two();
    let inbox = far.open_inbox(Capacity::Bounded(1), Callers::anyone()).unwrap();
    near.send_to(&seen_far, Message::new("first"), long()).unwrap();
    let error = near.send_to(&seen_far, Message::new("second"), Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendToFailure::Unsent(SendFailure::Full));
    assert_eq!(error.message.body(), b"second");
    assert_eq!(inbox.receive(long()).unwrap().body(), b"first");
    near.send_to(&seen_far, *error.message, long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"second");
}

#[test]
fn a_closed_task_is_gone() {
    let (near, far, seen_far, _) = two();
    let _inbox = far.open_inbox(Capacity::Bounded(1), Callers::anyone()).unwrap();
    near.send_to(&seen_far, Message::new("first"), long()).unwrap();
    far.close();
    settled(|| seen_far.is_gone(), |gone| *gone);
    assert_eq!(failure(&near, &seen_far), SendToFailure::Gone);
}

#[test]
fn child_part() {
    if !acting("child_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.open_inbox(Capacity::Bounded(4), Callers::none().parent()).unwrap();
    let parent = task.parent().unwrap();
    task.send_to(&parent, Message::new("here I am"), long()).unwrap();
    let message = inbox.receive_from(&parent, long()).unwrap();
    assert_eq!(message.body(), b"go on");
    task.send_to(&parent, Message::new("done"), long()).unwrap();
    // Until it is killed.
    let _ = inbox.receive(long());
}

#[test]
fn parent_and_child_talk_without_a_right_given_and_death_is_told() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.open_inbox(Capacity::Bounded(4), Callers::none().children()).unwrap();
    let mut child = Reaped(act("child_part").spawn().unwrap());
    let first = inbox.receive(long()).unwrap();
    assert_eq!((first.body(), first.sender().unwrap().pid), (&b"here I am"[..], child.pid()));
    let peer = first.peer().unwrap();
    task.send_to(&peer, Message::new("go on"), long()).unwrap();
    assert_eq!(inbox.receive_from(&peer, long()).unwrap().body(), b"done");
    child.kill();
    settled(|| peer.is_gone(), |gone| *gone);
    assert_eq!(failure(&task, &peer), SendToFailure::Gone);
}

#[test]
fn silent_part() {
    if !acting("silent_part") {
        return;
    }
    let task = Task::current().unwrap();
    let parent = task.parent().unwrap();
    task.send_to(&parent, Message::new("here I am"), long()).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_task_that_is_stopped_ends_the_wait_at_the_deadline_and_when_it_dies() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let inbox = task.open_inbox(Capacity::Bounded(4), Callers::anyone()).unwrap();
    let mut child = Reaped(act("silent_part").spawn_in(&task).unwrap());
    let peer = inbox.receive(long()).unwrap().peer().unwrap();
    child.stop();
    let soon = Deadline::after(std::time::Duration::from_millis(5));
    let error = task.send_to(&peer, Message::new("hello"), soon).unwrap_err();
    assert_eq!(error.reason, SendToFailure::Unanswered);
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| failure(&task, &peer));
        child.kill();
        assert_eq!(asker.join().unwrap(), SendToFailure::Gone);
    });
}
