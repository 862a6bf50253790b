//! A port whose receive right lies in the last of what a dead owner put into the bag of
//! another comes to light when that bag is read to its end. What its old owner still owed,
//! and who could still send through it, ends with that owner, as for any port.

mod family;

use std::os::fd::AsFd;

use abi::TaskId;
use abi::Ticket;
use abi::bag::{Origin, OutRight, Passport};
use abi::frame::{Attached, Header, Kind};
use abi::right::{Address, RightRef};
use family::bags::{NOWHERE, PORT, RawBag, move_in};
use family::linked::give;
use family::raw::Peer;
use family::{Reaped, act_with, acting, is_part, long, settled};
use pillarbox::{Capacity, Notification, ReceiveRight, Task};

/// The variable that says for whom a right is out.
const HOLDER: &str = "PILLARBOX_TEST_HOLDER";

/// Moves a port, puts another into its bag when that was read, says nothing of it, and goes.
#[test]
fn mover_part() {
    if !acting("mover_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let holder = std::env::var(HOLDER).unwrap();
    let (process, number) = holder.split_once(' ').unwrap();
    let holder = TaskId { process: process.parse().unwrap(), number: number.parse().unwrap() };
    let outer = RawBag::of(PORT);
    move_in(&mut peer, 0, 1, outer.fd.try_clone().unwrap());
    peer.wait_until_read();

    let out = OutRight { holder, address: Address::default(), have: 0 };
    let inner = RawBag::of(Passport { promises: 1, ..PORT }).with(Kind::Out, 5, &out.encode());
    let mut words = *b"bagd....";
    words[4..].copy_from_slice(&1_u32.to_le_bytes());
    peer.socket.send(&words, &[inner.fd.as_fd()]).unwrap();
    let rights = vec![RightRef::Receive(Ticket(2))];
    let attached = Attached { rights, descriptors: 1, packet: 1, ..Attached::default() };
    let mut extra = Vec::new();
    let flags = attached.encode(&mut extra);
    let header = Header::new(Kind::Message, NOWHERE);
    let header = Header { flags, extra: extra.len() as u32, ..header };
    let mut outer = outer;
    outer.put(header, &[&extra, &Origin::default().encode()]);
}

fn receive_port(inbox: &ReceiveRight) -> ReceiveRight {
    let mut message = inbox.receive(long()).expect("it comes");
    message.take_rights().pop().and_then(|right| right.into_receive().ok()).expect("a port")
}

#[test]
fn what_its_old_owner_owed_ends_with_that_owner() {
    if is_part() {
        return;
    }
    let (task, holder) = (Task::current().unwrap(), Task::new());
    let (inbox, other) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
    // So that its end is seen.
    let linked = give(&task, &holder, other.make_send().unwrap());
    let TaskId { process, number } = holder.identity().task;
    let child = act_with("mover_part", |command| {
        command.env(HOLDER, format!("{process} {number}"));
    });
    let child = child.right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let outer = receive_port(&inbox);
    assert!(child.ended_well());

    let inner = receive_port(&outer);
    let broken = inner.receive(long()).expect("a promise is broken").notification();
    assert_eq!(broken, Some(Notification::SendOnceDied));
    let alone = task.port(Capacity::Bounded(1));
    inner.notify_no_senders(alone.make_send_once().unwrap()).unwrap();
    drop(linked);
    holder.close();
    let news = alone.receive(long()).expect("nobody is out any more").notification();
    assert_eq!(news, Some(Notification::NoSenders));
    drop((inner, outer, inbox, other, alone));
    settled(|| task.census(), |census| census.rows.is_empty());
}
