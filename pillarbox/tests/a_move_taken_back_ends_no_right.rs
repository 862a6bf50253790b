//! An owner says that its port goes to one task, takes that back, gives it to another
//! and dies, while the first is still asked: what it had not read is sent again to the
//! one that has the port, and the right leads there too.

mod family;

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use abi::bag::OutRight;
use abi::board::{Life, Moved, State};
use abi::frame::{Header, Kind};
use abi::right::Address;
use abi::{TaskId, Ticket, limits};
use family::bags::{NOWHERE, PORT, RawBag, move_in};
use family::raw::{OWN, Peer, wait_for_the_end};
use family::{Reaped, act_with, acting, is_part, long, settled};
use pillarbox::{
    Capacity, Deadline, Message, Notification, ReceiveRight, SendFailure, SendRight, Task,
};

/// Bytes of a task's id.
const ID: usize = 16;

fn told_to_go_on() -> bool {
    std::io::stdin().read_exact(&mut [0]).is_ok()
}

fn go_on(child: &mut Reaped) {
    child.0.stdin.as_mut().expect("it has one").write_all(b"!").expect("it reads");
}

/// Says that its own port is about to go to `owner`.
fn mark(peer: &Peer, ticket: u64, owner: TaskId) {
    let life = |state| Life { generation: OWN.generation, state };
    peer.own.set_life(OWN.index, life(State::Live));
    let moved = Moved { ticket: Ticket(ticket), owner, address: Address::default() };
    peer.own.set_moved(OWN.index, &moved);
    peer.own.set_life(OWN.index, life(State::Moved));
    peer.own.bump_change();
}

/// Is asked for a port, and says much later that it knows of none.
#[test]
fn first_part() {
    if !acting("first_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    loop {
        let (header, behind) = peer.next();
        if header.kind == Kind::Claim {
            if told_to_go_on() {
                let refused = Header { tag: header.tag, ..Header::new(Kind::Refused, NOWHERE) };
                peer.say(refused, &behind[..ID]);
                wait_for_the_end(&peer.socket);
            }
            return;
        }
    }
}

/// Has the port, and reads one message.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (go, behind) = peer.next();
    let names = &behind[go.extra as usize..];
    let (first, parent) = (TaskId::decode(names).unwrap(), TaskId::decode(&names[ID..]).unwrap());
    if !told_to_go_on() {
        return;
    }
    mark(&peer, 77, first);
    peer.say(Header::new(Kind::Look, OWN), &[]);
    if !told_to_go_on() {
        return;
    }
    let out = OutRight { holder: parent, address: Address::default(), have: 1 };
    let bag = RawBag::of(PORT).with(Kind::Out, 78, &out.encode());
    mark(&peer, 78, parent);
    move_in(&mut peer, 0, 9, bag.fd);
}

/// A child that offers a right to itself, and who it is.
fn meet(part: &str, inbox: &ReceiveRight) -> (Reaped, SendRight, TaskId) {
    let child = act_with(part, |command| {
        command.stdin(Stdio::piped());
    });
    let child = Reaped(child.right("inbox", inbox.make_send().unwrap()).spawn().unwrap());
    let mut ready = inbox.receive(long()).expect("it comes");
    let right = ready.take_rights().remove(0).into_send().unwrap();
    (child, right, ready.sender().unwrap().task)
}

#[test]
fn what_was_not_read_and_what_is_sent_later_go_the_same_way() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(64));
    let (mut first, _first_right, first_id) = meet("first_part", &inbox);
    let (mut owner, post, owner_id) = meet("owner_part", &inbox);
    let names = [first_id.encode(), task.identity().task.encode()].concat();
    post.send(Message::new(names), long()).unwrap();
    let number = |tag| Message::new("a number").with_tag(tag);
    post.send(number(1), long()).unwrap();
    go_on(&mut owner);
    // Until it follows; what is sent before that is not read either.
    let mut sent = 1;
    let until = long();
    loop {
        assert!(!until.has_passed(), "it does not follow");
        let soon = Deadline::after(Duration::from_millis(20));
        match post.send(number(sent + 1), soon).map_err(|error| error.reason) {
            Ok(()) => sent += 1,
            Err(SendFailure::NotJoined(asked)) if asked == first_id => break,
            Err(other) => panic!("{other}"),
        }
    }
    go_on(&mut owner);
    assert!(owner.ended_well());
    let mut message = inbox.receive(long()).expect("the port comes");
    let port = message.take_rights().pop().unwrap().into_receive().unwrap();
    settled(
        || task.peers().iter().any(|peer| peer.identity().task == owner_id),
        |is_there| !is_there,
    );
    for tag in 1..=sent {
        assert_eq!(port.receive(long()).expect("it is sent again").tag(), tag);
    }
    go_on(&mut first);
    post.send(number(sent + 1), long()).map_err(|error| error.reason).expect("it leads there");
    assert_eq!(port.receive(long()).expect("it comes").tag(), sent + 1);
    let alone = task.port(Capacity::Bounded(1));
    port.notify_no_senders(alone.make_send_once().unwrap()).unwrap();
    drop(post);
    // Nobody is given up for this.
    let soon = Deadline::after(Duration::from_nanos(limits::ORPHAN_GIVE_NS) / 2);
    let news = alone.receive(soon).expect("nobody is out any more").notification();
    assert_eq!(news, Some(Notification::NoSenders));
}
