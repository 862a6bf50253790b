//! A port whose receive right lies in the last of what a dead owner put into the bag of
//! another comes to light when that bag is read to its end. What its old owner still owed,
//! and who could still send through it, ends with that owner, as for any port.

mod family;

use abi::bag::Passport;
use abi::frame::Kind;
use family::bags::{PORT, RawBag, held_by, move_in, out_of_holder, receive_port, send_for_bag};
use family::linked::give;
use family::raw::Peer;
use family::{Reaped, act_with, acting, is_part, long, settled};
use pillarbox::{Capacity, Notification, Task};

/// Moves a port, puts another into its bag when that was read, says nothing of it, and goes.
#[test]
fn mover_part() {
    if !acting("mover_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let outer = RawBag::of(PORT);
    move_in(&mut peer, 0, 1, outer.fd.try_clone().unwrap());
    peer.wait_until_read();
    let inner = RawBag::of(Passport { promises: 1, ..PORT });
    let inner = inner.with(Kind::Out, 5, &out_of_holder().encode());
    send_for_bag(&peer, 1, &inner.fd);
    drop(outer.with_port(1, 2));
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
    let child = act_with("mover_part", held_by(&holder));
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
