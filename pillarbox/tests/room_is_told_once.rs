//! Who asked is told once that there is room in a port, in this task and in
//! another: at once where there is, else when a place has become free that
//! nobody waits for. It can be replaced and taken back, and the end of the port
//! is told instead.

mod family;

use abi::frame::{Header, Kind};
use family::hand::{SEND, SEND_NOW, Told, obey};
use family::raw::Peer;
use family::{Reaped, act, acting, is_part, long, meet, offer, settled};
use pillarbox::{Capacity, Deadline, Message, Notification, ReceiveRight, SendRight, Task};

#[test]
fn hand_part() {
    obey("hand_part");
}

const PLACES: u32 = 2;

const TAKE: i32 = 1;
const END: i32 = 2;
const WAIT: i32 = 3;

/// Owns a port that it reads when it is told to.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let capacity = if std::env::var_os("RENDEZVOUS").is_some() {
        Capacity::Rendezvous
    } else {
        Capacity::Bounded(PLACES)
    };
    let mut port = Some(task.port(capacity));
    let orders = task.port(Capacity::Unbounded);
    offer(&[port.as_ref().unwrap(), &orders]);
    while let Ok(mut order) = orders.receive(long()) {
        match order.id() {
            TAKE => drop(port.as_ref().unwrap().receive(long()).unwrap()),
            END => port = None,
            WAIT => {
                order.reply(Message::new(""), long()).unwrap();
                drop(port.as_ref().unwrap().receive(long()).unwrap());
                continue;
            }
            _ => return,
        }
        order.reply(Message::new(""), long()).unwrap();
    }
}

struct Owner {
    _child: Reaped,
    post: SendRight,
    orders: SendRight,
}

impl Owner {
    fn start(rendezvous: bool) -> Owner {
        let inbox = Task::current().unwrap().port(Capacity::Bounded(1));
        let child = family::act_with("owner_part", |command| {
            if rendezvous {
                command.env("RENDEZVOUS", "1");
            }
        });
        let (child, [post, orders]) = meet(child, &inbox);
        Owner { _child: child, post, orders }
    }

    fn tell(&self, id: i32) {
        self.orders.call(Message::new("").with_id(id), long()).unwrap();
    }
}

fn told(news: &ReceiveRight) -> Option<Notification> {
    news.receive(long()).unwrap().notification()
}

fn ask(post: &SendRight, news: &ReceiveRight) {
    post.notify_room(news.make_send_once().unwrap()).unwrap();
}

/// The same story wherever the port is; `take` takes one message out of it.
fn story(post: &SendRight, take: impl Fn(), end: impl FnOnce()) {
    let task = Task::current().unwrap();
    let news = task.port(Capacity::Unbounded);
    // At once where there is room.
    ask(post, &news);
    assert_eq!(told(&news), Some(Notification::SendPossible));
    for turn in 0..50 {
        while post.send(Message::new(""), Deadline::Now).is_ok() {}
        ask(post, &news);
        // The owner has heard of it when it answers what was asked later.
        post.status(long()).unwrap();
        assert!(news.receive(Deadline::Now).is_err(), "turn {turn}: told of room there is not");
        take();
        assert_eq!(told(&news), Some(Notification::SendPossible));
        // Once, and nothing was reserved: any sender may have it.
        take();
        post.status(long()).unwrap();
        assert!(news.receive(Deadline::Now).is_err());
        post.send(Message::new(""), Deadline::Now).unwrap();
    }
    // Replaced: the earlier right is dropped, the later told.
    while post.send(Message::new(""), Deadline::Now).is_ok() {}
    ask(post, &news);
    let other = task.port(Capacity::Unbounded);
    ask(post, &other);
    assert_eq!(told(&news), Some(Notification::SendOnceDropped));
    take();
    assert_eq!(told(&other), Some(Notification::SendPossible));
    // Taken back: nothing comes.
    post.send(Message::new(""), Deadline::Now).unwrap();
    let (to, armed) = news.make_news(1).unwrap();
    post.notify_room(to).unwrap();
    assert!(armed.cancel() && !armed.cancel());
    take();
    post.status(long()).unwrap();
    assert!(news.receive(Deadline::Now).is_err());
    // A later request is not answered with what was said to an earlier.
    post.send(Message::new(""), Deadline::Now).unwrap();
    ask(post, &news);
    post.status(long()).unwrap();
    assert!(news.receive(Deadline::Now).is_err());
    end();
    assert_eq!(told(&news), Some(Notification::DeadName));
    ask(post, &news);
    assert_eq!(told(&news), Some(Notification::DeadName));
    assert!(news.receive(Deadline::Now).is_err());
}

#[test]
fn room_is_told_once_in_one_task() {
    if is_part() {
        return;
    }
    let port = Task::current().unwrap().port(Capacity::Bounded(PLACES));
    let post = port.make_send().unwrap();
    let port = std::cell::RefCell::new(Some(port));
    let take = || drop(port.borrow().as_ref().unwrap().receive(Deadline::Now).unwrap());
    story(&post, take, || drop(port.take()));
}

#[test]
fn room_is_told_once_in_another_task() {
    if is_part() {
        return;
    }
    let owner = Owner::start(false);
    story(&owner.post, || owner.tell(TAKE), || owner.tell(END));
}

#[test]
fn a_rendezvous_has_room_while_somebody_receives() {
    if is_part() {
        return;
    }
    let owner = Owner::start(true);
    let news = Task::current().unwrap().port(Capacity::Unbounded);
    for _ in 0..20 {
        ask(&owner.post, &news);
        owner.post.status(long()).unwrap();
        assert!(news.receive(Deadline::Now).is_err());
        owner.tell(WAIT);
        assert_eq!(told(&news), Some(Notification::SendPossible));
        owner.post.send(Message::new(""), long()).unwrap();
    }
}

#[test]
fn a_place_somebody_waits_for_is_not_room() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let news = task.port(Capacity::Unbounded);
    let waiting = Told::start("hand_part");
    waiting.take(inbox.make_send().unwrap());
    assert_eq!(waiting.tell(SEND, 1), 1);
    waiting.tell(family::hand::BLOCK, 0);
    let post = inbox.make_send().unwrap();
    ask(&post, &news);
    inbox.receive(Deadline::Now).unwrap();
    // The place went to who waits.
    inbox.receive(long()).unwrap();
    assert_eq!(told(&news), Some(Notification::SendPossible));
    assert!(news.receive(Deadline::Now).is_err());
    assert_eq!(waiting.tell(SEND_NOW, 1), 1);
    assert_eq!(waiting.tell(family::hand::JOIN, 0), 1);
    settled(|| inbox.status().queued, |queued| *queued == 1);
}

/// Asks for the only place there is, and lets it lie.
#[test]
fn idle_part() {
    if !acting("idle_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let (post, ready) = (peer.slot("post"), peer.slot("ready"));
    peer.say(Header::new(Kind::Ask, post), &[]);
    while peer.page.grant(post.index) != Some(1) {
        std::thread::yield_now();
    }
    peer.send(ready, &Default::default(), b"");
    family::raw::wait_for_the_end(&peer.socket);
}

#[test]
fn a_place_that_lies_unused_is_room() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    let (ready, news) = (task.port(Capacity::Unbounded), task.port(Capacity::Unbounded));
    let child = act("idle_part")
        .right("post", inbox.make_send().unwrap())
        .right("ready", ready.make_send().unwrap());
    let _child = Reaped(child.spawn().unwrap());
    ready.receive(long()).unwrap();
    // Nobody waits for a place, so nothing but the time frees this one.
    let post = inbox.make_send().unwrap();
    ask(&post, &news);
    assert_eq!(told(&news), Some(Notification::SendPossible));
    post.send(Message::new(""), Deadline::Now).unwrap();
}
