//! A right another task gave is confirmed by its owner, or arrives dead: also where
//! the owner says that it has a connection with us already, and has none.

mod family;

use std::os::fd::AsFd;

use abi::frame::Attached;
use abi::hello::{BYTES, Refusal};
use abi::right::{Kind as RightKind, RightRef};
use abi::{TaskId, Ticket};
use family::raw::{Peer, hear};
use family::{Reaped, act, acting, is_part, long};
use pillarbox::{Capacity, Notification, Task};
use rustix::event::{PollFd, PollFlags, poll};
use shm::socket::{Listener, Received};

/// Gives a right of nobody's, at whose door it says to all who come that they are
/// linked already.
#[test]
fn liar_part() {
    if !acting("liar_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let (door, address) = Listener::bind_abstract().unwrap();
    let owner = TaskId { process: 77, number: 1 };
    let right = RightRef::Third { kind: RightKind::Send, owner, address, ticket: Ticket(5) };
    let attached = Attached { rights: vec![right], ..Attached::default() };
    peer.send(peer.slot("inbox"), &attached, b"a right");
    let mut buffer = [0; 2 * BYTES];
    while !peer.is_over() {
        let mut watched = [
            PollFd::new(&door, PollFlags::IN),
            PollFd::from_borrowed_fd(peer.socket.as_fd(), PollFlags::RDHUP),
        ];
        poll(&mut watched, None).unwrap();
        if let Ok(Some(caller)) = door.accept()
            && let Received::Packet { .. } = hear(&caller, &mut buffer)
        {
            let _ = caller.send(&Refusal::Duplicate { number: 1 }.encode(), &[]);
        }
    }
}

#[test]
fn an_owner_that_only_says_it_is_linked_is_given_up() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Unbounded);
    let news = task.port(Capacity::Bounded(4));
    let child = act("liar_part").right("inbox", inbox.make_send().unwrap()).spawn();
    let _child = Reaped(child.unwrap());
    let mut message = inbox.receive(long()).unwrap();
    let right = message.take_rights().remove(0).into_send().unwrap();
    right.notify_dead(news.make_send_once().unwrap()).unwrap();
    let told = news.receive(long()).map(|news| news.notification());
    assert_eq!(told, Ok(Some(Notification::DeadName)));
    assert!(right.is_dead());
}
