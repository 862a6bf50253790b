//! What a task sends on a right of a port's new owner waits for what it sent to the old
//! one. An old owner that is alive and says nothing of it, since it is stopped or lies,
//! holds that up for a while and no longer: it comes then, whatever the old owner does.
//! What that passes on later comes as well.

mod family;

use std::io::{Read, Write};
use std::ops::RangeInclusive;
use std::process::Stdio;

use abi::bag::{Origin, OutRight, Passport};
use abi::board::{Life, Moved, State};
use abi::frame::{Header, Kind};
use abi::right::Address;
use abi::{TaskId, Ticket};
use family::bags::{NOWHERE, PORT, RawBag, held_by, move_in, out_of_holder};
use family::linked::give;
use family::raw::{OWN, Peer, wait_for_the_end};
use family::{Reaped, act_with, acting, begin, given, is_part, long, offer};
use pillarbox::{Capacity, Deadline, Limit, Limits, Message, ReceiveRight, SendRight, Spawn, Task};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// How often it is tried: now and then the old owner reads something after all.
const ROUNDS: usize = 3;

/// Messages that are sent before the port moves, and after.
const EACH: u64 = 3;

/// As long as a test may wait for an old owner.
const PATIENCE_NS: u64 = 300_000_000;

fn impatient() -> Limits {
    Limits { passing_on_ns: PATIENCE_NS, ..Limits::default() }
}

fn with(limits: Limits) -> (Task, ReceiveRight) {
    let task = Task::new_with(limits);
    let inbox = task.port(Capacity::Bounded(64));
    (task, inbox)
}

/// Starts `child`, and takes what it offers.
fn meet(child: Spawn, task: &Task, inbox: &ReceiveRight) -> (Reaped, SendRight) {
    let child = child.right("parent", inbox.make_send().unwrap());
    let child = Reaped(child.spawn_in(task).unwrap());
    let mut hello = inbox.receive(long()).expect("the child says hello");
    (child, hello.take_rights().remove(0).into_send().unwrap())
}

fn port_in(mut message: Message) -> ReceiveRight {
    message.take_rights().remove(0).into_receive().expect("a port")
}

/// Gives a port away, and reads nothing until it runs again.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let port = Task::current().unwrap().port(Capacity::Bounded(64));
    let parent = offer(&[&port]);
    // In no call of the library: what comes is not read.
    let _ = std::io::stdin().read_exact(&mut [0]);
    let _ = parent.send(Message::new("port").with_right(port), long());
    let _ = kill_process(getpid(), Signal::STOP);
    let _ = std::io::stdin().read_exact(&mut [0]);
}

/// Sends on the right it has, and then on the one it is sent; the last is a call.
#[test]
fn sender_part() {
    let Some((_, orders, parent)) = begin("sender_part") else { return };
    let old = given("old");
    // The bell of the owner is used up with the first of this.
    old.status(long()).unwrap();
    for tag in 1..=EACH {
        old.send(Message::new("before").with_tag(tag), long()).unwrap();
    }
    parent.send(Message::new("sent"), long()).unwrap();
    let new = orders.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    for tag in EACH + 1..=2 * EACH {
        new.send(Message::new("after").with_tag(tag), long()).unwrap();
    }
    let answer = new.call(Message::new("call"), long()).unwrap();
    parent.send(answer, long()).unwrap();
    let _ = orders.receive(long());
}

#[test]
fn where_it_is_stopped() {
    if !is_part() {
        (0..ROUNDS).for_each(|_| an_owner_is_stopped());
    }
}

fn an_owner_is_stopped() {
    let (task, inbox) = with(impatient());
    let owner = act_with("owner_part", |command| {
        command.stdin(Stdio::piped());
    });
    let (mut owner, post) = meet(owner, &task, &inbox);
    let sender = act_with("sender_part", |_| ()).right("old", post);
    let (_sender, orders) = meet(sender, &task, &inbox);
    assert_eq!(inbox.receive(long()).unwrap().body(), b"sent");
    owner.0.stdin.as_mut().unwrap().write_all(b"!").unwrap();
    let port = port_in(inbox.receive(long()).expect("the port comes"));
    let stopped = waitpid(Pid::from_raw(owner.pid()), WaitOptions::UNTRACED);
    assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()));
    let new = Message::new("send on").with_right(port.make_send().unwrap());
    orders.send(new, long()).unwrap();
    // It is stopped all the time. What it did read comes first.
    let (mut before, mut after) = (Vec::new(), Vec::new());
    loop {
        let mut message = port.receive(long()).expect("nobody is held up for ever");
        match message.body() {
            b"before" => before.push(message.tag()),
            b"after" => after.push(message.tag()),
            _ => {
                message.reply(Message::new("answer"), long()).unwrap();
                break;
            }
        }
    }
    assert!(after.into_iter().eq(EACH + 1..=2 * EACH));
    assert_eq!(inbox.receive(long()).expect("the call has ended").body(), b"answer");
    assert!(before.len() as u64 == EACH || task.metrics().refused(Limit::PassingOn) == 1);
    owner.resume();
    while before.len() as u64 != EACH {
        before.push(port.receive(long()).expect("nothing is lost").tag());
    }
    assert!(before.into_iter().eq(1..=EACH));
    assert!(task.metrics().offences.is_empty());
    task.close();
}

/// Reads what is sent to a port, gives the port away, and passes what it read on when it
/// is told to.
#[test]
fn late_part() {
    if !acting("late_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (_, parent) = peer.next();
    let holder = TaskId::decode(&parent).unwrap();
    for _ in 1..EACH {
        let _ = peer.next();
    }
    let moved = Moved { ticket: Ticket(5), owner: holder, address: peer.address };
    peer.own.set_moved(OWN.index, &moved);
    peer.own.set_life(OWN.index, Life { generation: OWN.generation, state: State::Moved });
    peer.own.bump_change();
    let out = OutRight { holder, address: Address::default(), have: 0 };
    let mut bag = RawBag::of(Passport { by_priority: false, ..PORT });
    bag = bag.with(Kind::Out, 5, &out.encode());
    move_in(&mut peer, 0, 1, bag.fd.try_clone().unwrap());
    peer.say(Header::new(Kind::Look, OWN), &[]);
    let _ = std::io::stdin().read_exact(&mut [0]);
    for tag in 1..=EACH {
        let origin = Origin { ticket: 5, ..Origin::default() };
        bag.put(Header { tag, ..Header::new(Kind::Message, NOWHERE) }, &[&origin.encode()]);
    }
    peer.say(Header { tag: 1, ..Header::new(Kind::Bag, NOWHERE) }, &[]);
    wait_for_the_end(&peer.socket);
}

/// A task, the port that came to it, the old owner, and a right to the port from there
/// on which something was sent.
fn with_late(limits: Limits) -> (Task, ReceiveRight, Reaped, SendRight) {
    let (task, inbox) = with(limits);
    let late = act_with("late_part", |command| {
        command.stdin(Stdio::piped());
    });
    let late = late.right("inbox", inbox.make_send().unwrap());
    let late = Reaped(late.spawn_in(&task).unwrap());
    let old = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    for _ in 1..=EACH {
        old.send(Message::new(task.identity().task.encode()), long()).unwrap();
    }
    let port = port_in(inbox.receive(long()).expect("the port comes"));
    (task, port, late, old)
}

/// Sends on rights that its new owner has made.
fn send_after(port: &ReceiveRight) {
    let new = port.make_send().unwrap();
    for tag in EACH + 1..=2 * EACH {
        new.send(Message::new("after").with_tag(tag), long()).unwrap();
    }
    let once = port.make_send_once().unwrap();
    once.send(Message::new("after").with_tag(2 * EACH + 1), long()).unwrap();
}

fn go_on(late: &mut Reaped) {
    late.0.stdin.as_mut().unwrap().write_all(b"!").unwrap();
}

fn come(port: &ReceiveRight, numbers: RangeInclusive<u64>) {
    let come = numbers.clone().map(|_| port.receive(long()).expect("it comes").tag());
    assert!(come.eq(numbers));
}

#[test]
fn what_it_passes_on_later_comes_later() {
    if is_part() {
        return;
    }
    let (task, port, mut late, old) = with_late(impatient());
    send_after(&port);
    come(&port, EACH + 1..=2 * EACH + 1);
    go_on(&mut late);
    come(&port, 1..=EACH);
    // The old right has followed, and nothing stands in its way.
    old.send(Message::new("follow").with_tag(0), long()).unwrap();
    come(&port, 0..=0);
    assert!(task.metrics().offences.is_empty());
    task.close();
}

#[test]
fn what_it_passes_on_in_time_comes_first() {
    if is_part() {
        return;
    }
    let (task, port, mut late, _old) = with_late(Limits::default());
    send_after(&port);
    assert!(port.receive(Deadline::Now).is_err());
    go_on(&mut late);
    come(&port, 1..=2 * EACH + 1);
    assert_eq!(task.metrics().refused(Limit::PassingOn), 0);
    task.close();
}

/// Gives a port away to which, as it says, somebody has sent it something. It never
/// passes that on.
#[test]
fn liar_part() {
    if !acting("liar_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let out = out_of_holder();
    let bag = RawBag::of(PORT).with(Kind::Out, 5, &out.encode()).with(Kind::Out, 6, &out.encode());
    move_in(&mut peer, 0, 1, bag.fd);
    wait_for_the_end(&peer.socket);
}

#[test]
fn where_it_lies() {
    if is_part() {
        return;
    }
    let ((task, inbox), third) = (with(impatient()), Task::new());
    let other = task.port(Capacity::Bounded(8));
    let friend = give(&task, &third, other.make_send().unwrap());
    let liar = act_with("liar_part", held_by(&third));
    let _liar = Reaped(liar.right("inbox", inbox.make_send().unwrap()).spawn_in(&task).unwrap());
    let port = port_in(inbox.receive(long()).expect("the port comes"));
    let home = third.port(Capacity::Bounded(8));
    let way = Message::new("").with_right(home.make_send().unwrap());
    friend.send(way, long()).unwrap();
    let way = other.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    way.send(Message::new("").with_right(port.make_send().unwrap()), long()).unwrap();
    let post = home.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    for tag in 1..=EACH {
        post.send(Message::new("accepted").with_tag(tag), long()).unwrap();
    }
    let come = (0..EACH).map(|_| port.receive(long()).expect("what was accepted comes").tag());
    assert!(come.eq(1..=EACH));
    assert_eq!(task.metrics().refused(Limit::PassingOn), 1);
    // It is waited for no more.
    std::thread::scope(|scope| {
        scope.spawn(|| post.call(Message::new("call"), long()).expect("a call ends"));
        port.receive(long()).unwrap().reply(Message::new("answer"), long()).unwrap();
    });
    assert_eq!(task.metrics().refused(Limit::PassingOn), 1);
    task.close();
    third.close();
}
