//! Every task has a port for news of which nobody said where it should come, with
//! the number of the request; who notifies never waits.

mod family;

use std::collections::BTreeSet;

use family::linked::give;
use family::{Reaped, act, acting, long, offer};
use pillarbox::kernel::{Answer, Request};
use pillarbox::{
    Capacity, Deadline, Left, Message, NewsError, Notification, ReceiveError, Task, limits,
};

/// What comes next to the notify port of `task`, and the number it has.
fn next(task: &Task, deadline: Deadline) -> Option<(Notification, u64)> {
    match task.notify().unwrap().receive(deadline) {
        Ok(news) => Some((news.notification().unwrap(), news.completion().unwrap())),
        Err(error) => {
            assert_eq!(error, ReceiveError::Deadline);
            None
        }
    }
}

#[test]
fn each_kind_comes_once_with_its_number() {
    let task = Task::new();
    let (inbox, other) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let post = inbox.make_send().unwrap();
    let (dead, nobody) = (post.watch_dead(1).unwrap(), other.watch_no_senders(2).unwrap());
    assert_eq!(next(&task, Deadline::Now), Some((Notification::NoSenders, 2)));
    assert!(nobody.is_over() && !nobody.cancel() && !dead.is_over());
    let call = post
        .start_call_to(Message::new("work"), &task.notify().unwrap(), 3, Deadline::Now)
        .unwrap();
    drop(inbox);
    assert!(call.is_over() && dead.is_over());
    let told: BTreeSet<_> = (0..2).map(|_| next(&task, Deadline::Now).unwrap().1).collect();
    assert_eq!(told, BTreeSet::from([1, 3]));
    assert_eq!(next(&task, Deadline::Now), None);
}

#[test]
fn a_request_that_is_taken_back_is_never_told() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let kept = post.watch_dead(1).unwrap();
    let armed = post.watch_dead(2).unwrap();
    assert!(armed.cancel() && !armed.cancel() && armed.is_over());
    drop(inbox);
    assert_eq!(next(&task, Deadline::Now), Some((Notification::DeadName, 1)));
    assert_eq!(next(&task, Deadline::Now), None);
    assert!(!kept.cancel(), "it was told");
}

#[test]
fn a_request_that_replaces_another_ends_it_aloud() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let _ = inbox.watch_no_senders(1).unwrap();
    let _ = inbox.watch_no_senders(2).unwrap();
    assert_eq!(next(&task, Deadline::Now), Some((Notification::SendOnceDropped, 1)));
    drop(post);
    assert_eq!(next(&task, Deadline::Now), Some((Notification::NoSenders, 2)));
}

#[test]
fn the_requests_are_limited_and_no_news_is_lost() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    let mut armed: Vec<_> = (0..limits::NEWS).map(|number| post.watch_dead(number)).collect();
    assert!(armed.iter().all(Result::is_ok));
    assert_eq!(post.watch_dead(0).unwrap_err(), NewsError::TooMany);
    // One that is taken back makes room for one.
    assert!(armed.pop().unwrap().unwrap().cancel());
    let _ = post.watch_dead(limits::NEWS - 1).unwrap();
    drop(inbox);
    assert_eq!(post.watch_dead(0).unwrap_err(), NewsError::TooMany, "nothing was taken yet");
    for number in 0..limits::NEWS {
        assert_eq!(next(&task, Deadline::Now), Some((Notification::DeadName, number)));
    }
    assert_eq!(next(&task, Deadline::Now), None);
}

#[test]
fn asking_and_taking_back_leaves_nothing_behind() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let post = inbox.make_send().unwrap();
    for number in 0..2 * limits::NEWS {
        assert!(post.watch_dead(number).unwrap().cancel());
    }
    let _ = post.watch_dead(7).unwrap();
    drop(inbox);
    assert_eq!(next(&task, Deadline::Now), Some((Notification::DeadName, 7)));
}

#[test]
fn a_closed_task_has_none() {
    let task = Task::new();
    let post = task.port(Capacity::Bounded(1)).make_send().unwrap();
    let _ = task.notify().unwrap();
    task.close();
    assert_eq!(task.notify().unwrap_err(), NewsError::Closed);
    assert_eq!(post.watch_dead(1).unwrap_err(), NewsError::Closed);
}

#[test]
fn mortal_part() {
    if !acting("mortal_part") {
        return;
    }
    let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
    offer(&[&inbox]);
    let _ = inbox.receive(long());
}

#[test]
fn the_death_of_a_process_comes_there() {
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(1));
    let child = act("mortal_part").right("parent", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    let mut hello = inbox.receive(long()).unwrap();
    let post = hello.take_rights().remove(0).into_send().unwrap();
    let _ = post.watch_dead(1).unwrap();
    let _ = hello.peer().unwrap().watch_gone(2).unwrap();
    assert!(post.watch_dead(3).unwrap().cancel());
    child.kill();
    let told = [next(&task, long()).unwrap(), next(&task, long()).unwrap()];
    assert!(told.contains(&(Notification::DeadName, 1)));
    assert!(told.contains(&(Notification::PeerGone, 2)));
    assert_eq!(next(&task, Deadline::Now), None);
}

#[test]
fn what_is_started_without_waiting_is_completed_there() {
    let (task, owner) = (Task::new(), Task::new());
    let notify = task.notify().unwrap();
    let inbox = owner.port(Capacity::Bounded(1));
    let post = give(&owner, &task, inbox.make_send().unwrap());
    // A call.
    let _ = post.start_call_to(Message::new("call"), &notify, 1, long()).unwrap();
    inbox.receive(long()).unwrap().reply(Message::new("answer"), long()).unwrap();
    let answer = notify.receive(long()).unwrap();
    assert_eq!((answer.body(), answer.completion()), (b"answer".as_slice(), Some(1)));
    // A request to a task.
    let kernel = give(&owner, &task, owner.kernel().unwrap());
    let _ = kernel.start_call_to(Request::Identity.message(), &notify, 2, long()).unwrap();
    let told = notify.receive(long()).unwrap();
    assert!(matches!(Answer::of(&told), Ok(Answer::Identity(_))) && told.completion() == Some(2));
    // A message that is left, and room that is waited for.
    post.send(Message::new("full"), long()).unwrap();
    let (to, left) = notify.make_news(3).unwrap();
    assert!(matches!(post.leave(Message::new("left"), to).unwrap(), Left::Waiting));
    let (to, _room) = notify.make_news(4).unwrap();
    post.notify_room(to).unwrap();
    assert!(!left.is_over());
    assert_eq!(inbox.receive(long()).unwrap().body(), b"full");
    assert_eq!(inbox.receive(long()).unwrap().body(), b"left");
    let both = [next(&task, long()).unwrap(), next(&task, long()).unwrap()];
    assert!(both.contains(&(Notification::MessageAccepted, 3)), "{both:?}");
    assert!(both.contains(&(Notification::SendPossible, 4)), "{both:?}");
    // A port that somebody else lets go, and one that is let go here.
    let port = task.port(Capacity::Bounded(1));
    let _ = port.watch_destroyed(5).unwrap();
    drop(port);
    assert_eq!(next(&task, long()), Some((Notification::PortDestroyed, 5)));
    let _ = post.watch_dead(6).unwrap();
    drop(post);
    assert_eq!(next(&task, long()), Some((Notification::LetGo, 6)));
    assert_eq!(next(&task, Deadline::Now), None);
}
