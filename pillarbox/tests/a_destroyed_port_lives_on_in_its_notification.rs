//! A port whose receive right is let go lives on where somebody asked for it: the
//! right arrives in a notification, once, whoever let it go and wherever it lay.

mod family;

use family::linked::give;
use family::{Reaped, act, acting, given, long, settled};
use pillarbox::{
    Capacity, Deadline, Message, Notification, PortOptions, ReceiveError, ReceiveRight, Right,
    SendFailure, SendRight, Task, Terms,
};

fn port(task: &Task) -> ReceiveRight {
    task.port(Capacity::Bounded(8))
}

/// The port that comes in the next news.
fn bequest(keeper: &ReceiveRight, deadline: Deadline) -> ReceiveRight {
    let mut news = keeper.receive(deadline).expect("news");
    assert_eq!(news.notification(), Some(Notification::PortDestroyed));
    let mut rights = news.take_rights();
    assert_eq!(rights.len(), 1);
    rights.remove(0).into_receive().expect("a receive right")
}

fn told(keeper: &ReceiveRight, deadline: Deadline) -> Option<Notification> {
    keeper.receive(deadline).ok().map(|news| news.notification().expect("a notification"))
}

fn post(right: &SendRight, tag: u64) {
    right.send(Message::new("").with_tag(tag), long()).expect("it is sent");
}

fn tag(port: &ReceiveRight) -> u64 {
    port.receive(long()).expect("a message").tag()
}

#[test]
fn queue_senders_and_requests_live_on() {
    let task = Task::new();
    let (work, keeper, news) = (port(&task), port(&task), port(&task));
    let sender = work.make_send().unwrap();
    sender.notify_dead(news.make_send_once().unwrap()).unwrap();
    work.notify_no_senders(news.make_send_once().unwrap()).unwrap();
    let promise = work.make_send_once().unwrap();
    work.notify_destroyed(keeper.make_send_once().unwrap()).unwrap();
    post(&sender, 1);
    post(&sender, 2);
    assert_eq!(tag(&work), 1);
    let id = work.id();
    drop(work);
    assert!(!sender.is_dead());
    post(&sender, 3);
    let work = bequest(&keeper, Deadline::Now);
    assert_eq!(work.id(), id);
    let second = work.receive(Deadline::Now).unwrap();
    assert_eq!((second.tag(), second.sequence()), (2, 2));
    assert_eq!(tag(&work), 3);
    promise.send(Message::new("kept"), Deadline::Now).unwrap();
    assert_eq!(work.receive(Deadline::Now).unwrap().body(), b"kept");
    assert_eq!(told(&news, Deadline::Now), None);
    // It was good for one time.
    drop(sender);
    assert_eq!(told(&news, Deadline::Now), Some(Notification::NoSenders));
    drop(work);
    assert_eq!(told(&news, Deadline::Now), Some(Notification::DeadName));
    assert_eq!(told(&keeper, Deadline::Now), None);
}

#[test]
fn it_may_be_let_go_by_a_message_or_a_queue_that_ends() {
    let task = Task::new();
    let (keeper, other) = (port(&task), port(&task));
    for by in 0..3 {
        let work = port(&task);
        let sender = work.make_send().unwrap();
        work.notify_destroyed(keeper.make_send_once().unwrap()).unwrap();
        post(&sender, by);
        let message = Message::new("").with_right(work);
        match by {
            0 => drop(message),
            1 => {
                other.make_send().unwrap().send(message, Deadline::Now).unwrap();
                drop(other.receive(Deadline::Now).unwrap());
            }
            _ => {
                let ends = port(&task);
                ends.make_send().unwrap().send(message, Deadline::Now).unwrap();
                assert_eq!(told(&keeper, Deadline::Now), None, "it lies in a queue");
                drop(ends);
            }
        }
        assert_eq!(tag(&bequest(&keeper, Deadline::Now)), by);
    }
}

#[test]
fn a_request_is_replaced_aloud_and_taken_back_silently() {
    let task = Task::new();
    let keeper = port(&task);
    let work = port(&task);
    let sender = work.make_send().unwrap();
    work.notify_destroyed(keeper.make_send_once().unwrap()).unwrap();
    let (to, armed) = keeper.make_news(7).unwrap();
    work.notify_destroyed(to).unwrap();
    assert_eq!(told(&keeper, Deadline::Now), Some(Notification::SendOnceDropped));
    assert!(armed.cancel());
    drop(work);
    assert!(sender.is_dead());
    assert_eq!(told(&keeper, Deadline::Now), None);
}

#[test]
fn it_comes_to_the_notify_port_with_its_number_and_to_a_full_one() {
    let task = Task::new();
    let work = port(&task);
    let armed = work.watch_destroyed(9).unwrap();
    drop(work);
    let news = task.notify().unwrap().receive(Deadline::Now).unwrap();
    assert_eq!(news.notification(), Some(Notification::PortDestroyed));
    assert_eq!((news.completion(), news.rights().len()), (Some(9), 1));
    assert!(armed.is_over() && !armed.cancel());
    let (work, full) = (port(&task), task.port(Capacity::Bounded(1)));
    post(&full.make_send().unwrap(), 1);
    work.notify_destroyed(full.make_send_once().unwrap()).unwrap();
    drop(work);
    assert_eq!(tag(&full), 1);
    let _ = bequest(&full, Deadline::Now);
}

#[test]
fn a_port_that_nobody_can_have_ends() {
    let task = Task::new();
    let (keeper, news) = (port(&task), port(&task));
    let work = port(&task);
    let sender = work.make_send().unwrap();
    work.notify_destroyed(keeper.make_send_once().unwrap()).unwrap();
    drop(keeper);
    drop(work);
    assert!(sender.is_dead());
    // The one it is for leads into itself.
    let work = port(&task);
    let sender = work.make_send().unwrap();
    sender.notify_dead(news.make_send_once().unwrap()).unwrap();
    work.notify_destroyed(work.make_send_once().unwrap()).unwrap();
    drop(work);
    assert_eq!(told(&news, Deadline::Now), Some(Notification::DeadName));
    // Or into a port in its queue, or a call's answer that goes there.
    for by_number in [false, true] {
        let (work, inner) = (port(&task), port(&task));
        let inside = inner.make_send().unwrap();
        let to =
            if by_number { inner.make_news(1).unwrap().0 } else { inner.make_send_once().unwrap() };
        work.notify_destroyed(to).unwrap();
        let sender = work.make_send().unwrap();
        sender.send(Message::new("").with_right(inner), Deadline::Now).unwrap();
        drop(work);
        assert!(sender.is_dead() && inside.is_dead());
    }
    // And so with its task.
    let other = Task::new();
    let work = other.port(Capacity::Bounded(1));
    let keeper = port(&task);
    work.notify_destroyed(keeper.make_send_once().unwrap()).unwrap();
    other.close();
    drop(work);
    assert_eq!(told(&keeper, Deadline::Now), Some(Notification::SendOnceDropped));
}

#[test]
fn it_is_in_no_set_any_more() {
    let task = Task::new();
    let (work, keeper) = (task.port(Capacity::Rendezvous), port(&task));
    let set = task.port_set();
    set.add(&work).unwrap();
    work.notify_destroyed(keeper.make_send_once().unwrap()).unwrap();
    let sender = work.make_send().unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| set.receive(long()).map(|(_, message)| message.tag()));
        settled(|| sender.send(Message::new(""), Deadline::Now).is_ok(), |sent| *sent);
        assert_eq!(waits.join().unwrap(), Ok(0));
    });
    drop(work);
    let error = sender.send(Message::new(""), Deadline::Now).unwrap_err();
    assert_eq!(error.reason, SendFailure::Full, "nobody receives there");
    let work = bequest(&keeper, Deadline::Now);
    let sending = std::thread::spawn(move || sender.send(Message::new("").with_tag(1), long()));
    assert_eq!(tag(&work), 1);
    sending.join().unwrap().unwrap();
    assert!(set.receive(Deadline::Now).is_err());
}

// ---- to other tasks ---------------------------------------------------------------

/// A task with a port, and the way of another task to it.
fn far(near: &Task) -> (Task, ReceiveRight, SendRight) {
    let task = Task::new();
    let inbox = port(&task);
    let way = give(&task, near, inbox.make_send().unwrap());
    (task, inbox, way)
}

/// A send-once right of `keeper`'s, as `way` brings it to the other task.
fn promise(keeper: &ReceiveRight, way: &SendRight, inbox: &ReceiveRight) -> Right {
    way.send(Message::new("").with_right(keeper.make_send_once().unwrap()), long()).unwrap();
    inbox.receive(long()).unwrap().take_rights().remove(0)
}

#[test]
fn it_goes_to_another_task_and_its_senders_follow() {
    let near = Task::new();
    let (far, inbox, way) = far(&near);
    let keeper = port(&near);
    let to = promise(&keeper, &way, &inbox).into_send_once().unwrap();
    let work = port(&far);
    let own = work.make_send().unwrap();
    let third = Task::new();
    let theirs = give(&far, &third, work.make_send().unwrap());
    post(&own, 1);
    post(&theirs, 2);
    settled(|| work.status().queued, |queued| *queued == 2);
    work.notify_destroyed(to).unwrap();
    drop(work);
    let work = bequest(&keeper, long());
    post(&own, 3);
    post(&theirs, 4);
    let mut came: Vec<u64> = (0..4).map(|_| tag(&work)).collect();
    assert_eq!(&came[..2], [1, 2]);
    came.sort_unstable();
    assert_eq!(came, [1, 2, 3, 4]);
    assert_eq!(told(&keeper, Deadline::Now), None);
}

#[test]
fn the_request_goes_with_the_port() {
    let near = Task::new();
    let (far, inbox, way) = far(&near);
    let (keeper, nobody) = (port(&near), port(&near));
    let (work, third) = (port(&near), Task::new());
    let sender = give(&near, &third, work.make_send().unwrap());
    let id = work.id();
    // A move that fails leaves it as it was.
    work.notify_destroyed(keeper.make_news(5).unwrap().0).unwrap();
    work.notify_no_senders(nobody.make_send_once().unwrap()).unwrap();
    let filled = far.port(Capacity::Bounded(1));
    let full = give(&far, &near, filled.make_send().unwrap());
    post(&full, 1);
    let message = Message::new("").with_right(work);
    let mut back = full.send(message, Deadline::Now).unwrap_err().message;
    drop(back.take_rights());
    let mut news = keeper.receive(Deadline::Now).unwrap();
    assert_eq!(news.completion(), Some(5));
    let work = news.take_rights().remove(0).into_receive().unwrap();
    assert_eq!(work.id(), id);

    // One that is done takes both requests along, each to its own.
    work.notify_destroyed(keeper.make_news(6).unwrap().0).unwrap();
    // What the old owner has not read yet is another test's matter.
    post(&sender, 0);
    post(&sender, 1);
    assert_eq!(tag(&work), 0);
    way.send(Message::new("").with_right(work), long()).unwrap();
    let there = inbox.receive(long()).unwrap().take_rights().remove(0).into_receive().unwrap();
    post(&sender, 2);
    assert_eq!(tag(&there), 1);
    assert!(keeper.receive(Deadline::Now).is_err() && nobody.receive(Deadline::Now).is_err());
    drop(there);
    let mut news = keeper.receive(long()).unwrap();
    assert_eq!(news.notification(), Some(Notification::PortDestroyed));
    assert_eq!(news.completion(), Some(6));
    let work = news.take_rights().remove(0).into_receive().unwrap();
    assert_eq!(tag(&work), 2);
    assert!(nobody.receive(Deadline::Now).is_err(), "somebody may send still");
    drop(work);
    assert_eq!(told(&nobody, long()), Some(Notification::SendOnceDropped));
    assert_eq!(told(&keeper, Deadline::Now), None);
}

#[test]
fn what_cannot_go_there_ends_aloud() {
    let near = Task::new();
    let (far, inbox, way) = far(&near);
    let keeper = port(&near);
    let to = promise(&keeper, &way, &inbox).into_send_once().unwrap();
    let work = far.port(PortOptions::new(Capacity::Bounded(8)));
    let sender = work.make_send().unwrap();
    work.notify_destroyed(to).unwrap();
    let narrow = sender.attenuate(&Terms::new().badge(1)).unwrap();
    drop(work);
    match told(&keeper, long()) {
        // Where a port with terms may not move.
        Some(Notification::SendOnceDropped) => assert!(sender.is_dead() && narrow.is_dead()),
        Some(Notification::PortDestroyed) => assert!(!narrow.is_dead()),
        other => panic!("{other:?}"),
    }
}

/// Makes a port, has its parent have it when it is let go, and lets it go in the way
/// the parent says.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (work, orders, done) = (port(&task), port(&task), given("done"));
    let hello = Message::new("")
        .with_right(work.make_send().unwrap())
        .with_right(orders.make_send().unwrap());
    given("parent").send(hello, long()).unwrap();
    let mut order = orders.receive(long()).unwrap();
    work.notify_destroyed(order.take_reply().unwrap()).unwrap();
    done.send(Message::new("armed"), long()).unwrap();
    let mut work = Some(work);
    loop {
        match orders.receive(long()).unwrap().id() {
            1 => {
                drop(work.take());
                done.send(Message::new("let go"), long()).unwrap();
            }
            _ => return,
        }
    }
}

/// A child that acts `owner_part`: the way to its port, to itself, and what it says.
fn owner(task: &Task, keeper: &ReceiveRight) -> (Reaped, SendRight, SendRight, ReceiveRight) {
    let (inbox, done) = (port(task), port(task));
    let child = act("owner_part")
        .right("parent", inbox.make_send().unwrap())
        .right("done", done.make_send().unwrap());
    let child = Reaped(child.spawn_in(task).unwrap());
    let mut rights = inbox.receive(long()).unwrap().take_rights().into_iter();
    let mut right = || rights.next().unwrap().into_send().unwrap();
    let (work, orders) = (right(), right());
    let arm = Message::new("").with_reply(keeper.make_send_once().unwrap());
    orders.send(arm, long()).unwrap();
    assert_eq!(done.receive(long()).unwrap().body(), b"armed");
    (child, work, orders, done)
}

#[test]
fn it_outlives_the_process_that_let_it_go() {
    let task = Task::new();
    let keeper = port(&task);
    let (mut child, work, orders, done) = owner(&task, &keeper);
    for number in 0..5 {
        post(&work, number);
    }
    orders.send(Message::new("").with_id(1), long()).unwrap();
    let port = bequest(&keeper, long());
    assert_eq!(done.receive(long()).unwrap().body(), b"let go");
    child.kill();
    post(&work, 5);
    for number in 0..6 {
        assert_eq!(tag(&port), number);
    }
    assert_eq!(port.receive(Deadline::Now).unwrap_err(), ReceiveError::Deadline);
}

#[test]
fn it_dies_with_a_process_that_is_killed() {
    let task = Task::new();
    let keeper = port(&task);
    let (mut child, work, _orders, _done) = owner(&task, &keeper);
    child.kill();
    assert_eq!(told(&keeper, long()), Some(Notification::SendOnceDied));
    settled(|| work.is_dead(), |dead| *dead);
    assert_eq!(told(&keeper, Deadline::Now), None);
}

/// Gives a send-once right of a port of its own, and says what came to it.
#[test]
fn keeper_part() {
    if !acting("keeper_part") {
        return;
    }
    let task = Task::current().unwrap();
    let (keeper, noise) = (port(&task), task.port(Capacity::Unbounded));
    let parent = given("parent");
    let hello = Message::new("")
        .with_right(keeper.make_send_once().unwrap())
        .with_right(noise.make_send().unwrap());
    parent.send(hello, long()).unwrap();
    let work = bequest(&keeper, long());
    let first = tag(&work);
    parent.send(Message::new("").with_tag(first), long()).unwrap();
    assert_eq!(tag(&work), 2);
}

#[test]
fn who_lets_it_go_does_not_wait_for_a_full_lane() {
    let task = Task::new();
    let inbox = port(&task);
    let child = act("keeper_part").right("parent", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    let mut hello = inbox.receive(long()).unwrap().take_rights().into_iter();
    let to = hello.next().unwrap().into_send_once().unwrap();
    let noise = hello.next().unwrap().into_send().unwrap();
    child.stop();
    while noise.send(Message::new([0; 4096]), Deadline::Now).is_ok() {}
    let work = port(&task);
    let sender = work.make_send().unwrap();
    post(&sender, 1);
    work.notify_destroyed(to).unwrap();
    drop(work);
    assert!(!sender.is_dead(), "it waits on its way");
    child.resume();
    assert_eq!(tag(&inbox), 1);
    post(&sender, 2);
    assert!(child.ended_well());
    settled(|| sender.is_dead(), |dead| *dead);
}

/// Holds a right to a port until it is let run.
#[test]
fn idle_part() {
    if !acting("idle_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = port(&task);
    let (work, parent) = (given("work"), given("parent"));
    let hello = Message::new("").with_right(inbox.make_send().unwrap());
    parent.send(hello, long()).unwrap();
    assert_eq!(inbox.receive(long()).unwrap().tag(), 1);
    drop(work);
    assert_eq!(inbox.receive(long()).unwrap().tag(), 2);
}

#[test]
fn it_waits_until_it_may_move_on() {
    let near = Task::new();
    let (_far, inbox, way) = far(&near);
    let (keeper, hello) = (port(&near), port(&near));
    let work = port(&near);
    let child = act("idle_part")
        .right("parent", hello.make_send().unwrap())
        .right("work", work.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&near).unwrap());
    let wake = hello.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    child.stop();
    work.notify_destroyed(keeper.make_send_once().unwrap()).unwrap();
    way.send(Message::new("").with_right(work), long()).unwrap();
    let there = inbox.receive(long()).unwrap().take_rights().remove(0).into_receive().unwrap();
    drop(there);
    // While the child has not followed it there, it may not go on.
    assert!(keeper.receive(Deadline::Now).is_err());
    child.resume();
    post(&wake, 1);
    let work = bequest(&keeper, long());
    post(&work.make_send().unwrap(), 3);
    assert_eq!(tag(&work), 3);
    post(&wake, 2);
    assert!(child.ended_well());
}
