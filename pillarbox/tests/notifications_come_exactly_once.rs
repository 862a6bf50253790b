//! Each kind of news comes once, to whoever asked, also from and to another task,
//! and not at all once the request was taken back.
//!
//! Within one task dead names, no-senders and send-once rights are the matter of
//! `in_process_notifications_come_once.rs`; room and acceptance that of the tests
//! of full mailboxes; withdrawn calls that of `a_call_can_be_withdrawn.rs`.

mod family;

use family::linked::give;
use family::{Reaped, act, acting, given, long, meet};
use pillarbox::{Capacity, Deadline, Left, Message, Notification, ReceiveRight, Task, Terms};

fn told(port: &ReceiveRight, deadline: Deadline) -> Option<Notification> {
    port.receive(deadline).ok().map(|news| news.notification().expect("a notification"))
}

/// Gives its parent two send rights to one port of its own and one to another,
/// asks to be told of the parent's letting go, and says what it was told.
#[test]
fn giver_part() {
    if !acting("giver_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (inbox, news) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let (to, kept) = news.make_news(5).unwrap();
    let (never, armed) = news.make_news(6).unwrap();
    let other = task.port(Capacity::Bounded(4));
    let rights = [&inbox, &inbox, &other].map(|port| port.make_send().unwrap());
    inbox.notify_no_senders_since(to, 3).unwrap();
    other.notify_no_senders(never).unwrap();
    let parent = given("parent");
    let hello = rights.into_iter().fold(Message::new(""), Message::with_right);
    parent.send(hello, long()).unwrap();
    assert!(armed.cancel());
    let gone = news.receive(long()).unwrap();
    assert_eq!(gone.notification(), Some(Notification::NoSenders));
    assert_eq!((gone.completion(), gone.make_sends()), (Some(5), Some(2)));
    assert!(kept.is_over());
    parent.send(Message::new("told"), long()).unwrap();
    // The parent asks on a right of ours who is told of what happens to another.
    let mut asked = other.receive(long()).unwrap();
    let right = asked.take_rights().remove(0).into_send().unwrap();
    right.notify_dead(asked.take_reply().unwrap()).unwrap();
    parent.send(Message::new("asked"), long()).unwrap();
    assert_eq!(other.receive(long()).unwrap().body(), b"enough");
    drop(right);
    assert_eq!(told(&news, Deadline::Now), None);
    assert_eq!(other.receive(long()).unwrap().body(), b"end");
}

#[test]
fn news_crosses_a_link_once() {
    let task = Task::current().unwrap();
    let (inbox, news) = (task.port(Capacity::Bounded(4)), task.port(Capacity::Bounded(4)));
    let (mut child, [first, second, other]) = meet(act("giver_part"), &inbox);

    // A right that is let go while its death is watched.
    first.notify_dead(news.make_news(1).unwrap().0).unwrap();
    let (to, armed) = news.make_news(2).unwrap();
    first.notify_dead(to).unwrap();
    assert!(armed.cancel());
    drop(first);
    assert_eq!(told(&news, Deadline::Now), None, "a copy is left");
    drop(second);
    let gone = news.receive(Deadline::Now).unwrap();
    assert_eq!((gone.notification(), gone.completion()), (Some(Notification::LetGo), Some(1)));
    assert_eq!(told(&news, Deadline::Now), None);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"told");

    // The same, asked for by another task with a right of ours.
    let watched = task.port(Capacity::Bounded(1));
    let (to, armed) = news.make_news(3).unwrap();
    let ask = Message::new("").with_right(watched.make_send().unwrap()).with_reply(to);
    other.send(ask, long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().body(), b"asked");
    other.send(Message::new("enough"), long()).unwrap();
    let gone = news.receive(long()).unwrap();
    assert_eq!((gone.notification(), gone.completion()), (Some(Notification::LetGo), Some(3)));
    assert!(!armed.cancel());

    // And the end of its task is told of what is left, after its last word.
    other.notify_dead(news.make_news(4).unwrap().0).unwrap();
    other.send(Message::new("end"), long()).unwrap();
    let gone = news.receive(long()).unwrap();
    assert_eq!((gone.notification(), gone.completion()), (Some(Notification::DeadName), Some(4)));
    assert!(child.ended_well());
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn the_owner_keeps_its_name_while_it_can_receive() {
    let task = Task::new();
    let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(2)));
    let post = inbox.make_send().unwrap();
    post.notify_dead(news.make_send_once().unwrap()).unwrap();
    drop(post);
    assert_eq!(told(&news, Deadline::Now), None);
    drop(inbox);
    assert_eq!(told(&news, Deadline::Now), Some(Notification::DeadName));
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn made_rights_are_counted_and_copies_are_not() {
    let task = Task::new();
    let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(2)));
    inbox.notify_no_senders_since(news.make_send_once().unwrap(), 1).unwrap();
    assert_eq!(told(&news, Deadline::Now), None, "the first is still to be made");
    let post = inbox.make_send().unwrap();
    let copy = post.clone();
    let _ = inbox.make_send_once().unwrap();
    drop(post);
    assert_eq!(told(&news, Deadline::Now), None);
    drop(copy);
    let gone = news.receive(Deadline::Now).unwrap();
    assert_eq!((gone.notification(), gone.make_sends()), (Some(Notification::NoSenders), Some(1)));
    assert_eq!(inbox.make_sends(), 1);
    // At once for who knows of that one, and not for who knows of another.
    inbox.notify_no_senders_since(news.make_send_once().unwrap(), 1).unwrap();
    assert_eq!(told(&news, Deadline::Now), Some(Notification::NoSenders));
    let (to, armed) = news.make_news(1).unwrap();
    inbox.notify_no_senders_since(to, 2).unwrap();
    assert_eq!(told(&news, Deadline::Now), None);
    assert!(armed.cancel());
    drop(inbox.make_send().unwrap());
    assert_eq!(told(&news, Deadline::Now), None);
}

/// Waits for the next news, and says what it is.
fn news_of(port: &ReceiveRight) -> (Option<Notification>, Option<u64>) {
    let news = port.receive(long()).expect("news");
    (news.notification(), news.completion())
}

#[test]
fn a_watch_whose_right_goes_elsewhere_is_told_so_once() {
    let (near, owner, third) = (Task::new(), Task::new(), Task::new());
    let inbox = owner.port(Capacity::Bounded(8));
    let news = near.port(Capacity::Bounded(1));
    let right = give(&owner, &near, inbox.make_send().unwrap());
    let beyond = third.port(Capacity::Bounded(8));
    let way = give(&third, &near, beyond.make_send().unwrap());

    // A copy goes, and one is left: nothing is told. Then the last goes.
    right.notify_dead(news.make_news(1).unwrap().0).unwrap();
    way.send(Message::new("").with_right(right.clone()), long()).unwrap();
    assert_eq!(told(&news, Deadline::Now), None);
    way.send(Message::new("").with_right(right), long()).unwrap();
    assert_eq!(news_of(&news), (Some(Notification::LetGo), Some(1)));

    // It came back, and goes home to its owner.
    let there = |message: &mut Message| message.take_rights().remove(0).into_send().unwrap();
    let right = there(&mut beyond.receive(long()).unwrap());
    drop(there(&mut beyond.receive(long()).unwrap()));
    let home = near.port(Capacity::Bounded(1));
    let back = give(&near, &third, home.make_send().unwrap());
    back.send(Message::new("").with_right(right), long()).unwrap();
    let right = there(&mut home.receive(long()).unwrap());
    right.notify_dead(news.make_news(2).unwrap().0).unwrap();
    let post = right.clone();
    post.send(Message::new("").with_right(right), long()).unwrap();
    assert_eq!(told(&news, Deadline::Now), None);
    drop(post);
    assert_eq!(news_of(&news), (Some(Notification::LetGo), Some(2)));

    // And its death later is nothing to who asked.
    drop(inbox);
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn a_right_that_is_let_go_before_its_owner_confirms_it_is_told_so_too() {
    let (giver, near) = (Task::new(), Task::new());
    let hello = giver.port(Capacity::Bounded(1));
    let child = act("busy_owner_part").right("parent", hello.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&giver).unwrap());
    let mut rights = hello.receive(long()).unwrap().take_rights().into_iter();
    let mut right = || rights.next().unwrap().into_send().unwrap();
    let (theirs, end) = (right(), right());
    let (inbox, news) = (near.port(Capacity::Bounded(1)), near.port(Capacity::Bounded(1)));
    let way = give(&near, &giver, inbox.make_send().unwrap());
    child.stop();
    way.send(Message::new("").with_right(theirs), long()).unwrap();
    let right = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    right.notify_dead(news.make_news(1).unwrap().0).unwrap();
    let (to, armed) = news.make_news(2).unwrap();
    right.notify_dead(to).unwrap();
    assert!(armed.cancel());
    let copy = right.clone();
    drop(right);
    assert_eq!(told(&news, Deadline::Now), None);
    drop(copy);
    assert_eq!(news_of(&news), (Some(Notification::LetGo), Some(1)));
    child.resume();
    end.send(Message::new("end"), long()).unwrap();
    assert!(child.ended_well());
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn busy_owner_part() {
    if !acting("busy_owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (given_on, end) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let rights = [&given_on, &end].map(|port| port.make_send().unwrap());
    let hello = rights.into_iter().fold(Message::new(""), Message::with_right);
    given("parent").send(hello, long()).unwrap();
    assert_eq!(end.receive(long()).unwrap().body(), b"end");
}

#[test]
fn a_narrowed_right_that_is_let_go_is_told_so() {
    let task = Task::new();
    let (inbox, news) = (task.port(Capacity::Bounded(1)), task.port(Capacity::Bounded(1)));
    let narrow = inbox.make_send_with(&Terms::new().badge(1)).unwrap();
    narrow.notify_dead(news.make_news(1).unwrap().0).unwrap();
    let copy = narrow.clone();
    drop(narrow);
    assert_eq!(told(&news, Deadline::Now), None);
    drop(copy);
    assert_eq!(news_of(&news), (Some(Notification::LetGo), Some(1)));
    drop(inbox);
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn a_right_whose_port_has_gone_is_let_go_as_any_other() {
    let (near, far) = (Task::new(), Task::new());
    let (work, news) = (near.port(Capacity::Bounded(1)), near.port(Capacity::Bounded(1)));
    let inbox = far.port(Capacity::Bounded(8));
    let way = give(&far, &near, inbox.make_send().unwrap());
    let post = work.make_send().unwrap();
    post.notify_dead(news.make_news(1).unwrap().0).unwrap();
    way.send(Message::new("").with_right(work), long()).unwrap();
    let work = inbox.receive(long()).unwrap().take_rights().remove(0).into_receive().unwrap();
    post.send(Message::new(""), long()).unwrap();
    assert_eq!(told(&news, Deadline::Now), None, "it lives on");
    drop(post);
    assert_eq!(news_of(&news), (Some(Notification::LetGo), Some(1)));
    drop(work);
    assert_eq!(told(&news, Deadline::Now), None);
}

#[test]
fn news_needs_no_room() {
    for capacity in [Capacity::Rendezvous, Capacity::Bounded(1)] {
        let (task, far) = (Task::new(), Task::new());
        let full = task.port(capacity);
        let to = || full.make_send_once().unwrap();
        if capacity != Capacity::Rendezvous {
            full.make_send().unwrap().send(Message::new("full"), Deadline::Now).unwrap();
        }
        let port = || task.port(Capacity::Bounded(1));
        let (dead, nobody, left, kept) = (port(), port(), port(), port());
        let theirs = far.port(Capacity::Bounded(1));
        let right = give(&far, &task, theirs.make_send().unwrap());
        dead.make_send().unwrap().notify_dead(to()).unwrap();
        nobody.notify_no_senders(to()).unwrap();
        kept.notify_destroyed(to()).unwrap();
        right.notify_dead(to()).unwrap();
        task.peer(far.identity().task).unwrap().notify_gone(to()).unwrap();
        drop(to());
        let post = left.make_send().unwrap();
        post.send(Message::new(""), Deadline::Now).unwrap();
        let waits = post.leave(Message::new(""), to()).unwrap();
        assert!(matches!(waits, Left::Waiting));
        post.notify_room(to()).unwrap();
        drop((dead, kept, left.receive(Deadline::Now).unwrap()));
        drop(left.receive(Deadline::Now).unwrap());
        far.close();
        let mut wanted = vec![
            Notification::NoSenders,
            Notification::SendOnceDropped,
            Notification::DeadName,
            Notification::PortDestroyed,
            Notification::MessageAccepted,
            Notification::SendPossible,
            Notification::DeadName,
            Notification::PeerGone,
        ];
        while !wanted.is_empty() {
            let news = full.receive(long()).unwrap();
            let Some(news) = news.notification() else { continue };
            let place = wanted.iter().position(|other| *other == news);
            wanted.remove(place.unwrap_or_else(|| panic!("{news:?} once more")));
        }
        assert_eq!(told(&full, Deadline::Now), None);
    }
}
