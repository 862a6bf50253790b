//! What is to be sent again goes after its port, and before what was sent since.
//!
//! A message that a dead owner had not read waits for room at the new one, and the port
//! goes on before there is any. It comes to the last owner all the same, whether or not
//! the one in between lives. And where its sender has another right by then, which the new
//! owner made, what it has sent on that comes after it.

use abi::frame::{Header, Kind};
use abi::right::Kind as RightKind;

use crate::chained::hold;
use crate::control::NO_SLOT;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::task::{Lead, Nature, Outgoing, RightNumber, Task, TaskNumber};
use crate::world::World;

const OWNER: TaskNumber = 0;
const NEXT: TaskNumber = 1;
const LAST: TaskNumber = 2;
const SENDER: TaskNumber = 3;

/// Sends a message that may wait for its place.
pub(super) fn send(
    world: &mut World,
    from: TaskNumber,
    to: TaskNumber,
    over: RightNumber,
    along: &[u64],
) {
    for right in along {
        world.tasks[from].space.remove(right);
    }
    let (rights, reply, left, id, deadline_ns) = (along.to_vec(), None, None, 0, u64::MAX);
    world.submit(from, Outgoing { over, rights, reply, left, id, deadline_ns });
    // Who alone can send has a place; others ask for one. Nobody reads the message here.
    if !world.tasks[from].waiting.is_empty() {
        world.drain(to, from, 9);
        world.drain(from, to, 9);
        world.retry(from);
    }
    world.check();
}

/// The receive right of the port that came or was made last.
pub(super) fn receive_right(world: &World, of: TaskNumber) -> RightNumber {
    let ports = world.tasks[of].ports.values().filter(|state| state.alive);
    ports.map(|state| state.receive).max().expect("a port is there")
}

/// Moves that port.
pub(super) fn move_on(world: &mut World, from: TaskNumber, to: TaskNumber) {
    let receive = receive_right(world, from);
    let over = hold(world, to, from, RightKind::Send);
    send(world, from, to, over, &[receive]);
    world.drain(to, from, 9);
    for port in world.tasks[to].ports.keys().copied().collect::<Vec<_>>() {
        world.receive(to, port);
    }
    world.check();
}

/// No message has room in this lane any more, and words of the protocol's own have.
fn fill(world: &mut World, from: TaskNumber, to: TaskNumber) {
    let skip = Frame::new(Header::new(Kind::Skip, NO_SLOT), vec![0; 64]).encode();
    let lane = &mut world.outbound(from, to).lane;
    while lane.has_room(skip.len(), false) {
        lane.publish(&skip);
    }
}

fn sent_again(next_dies: bool, fault: Option<Fault>) -> World {
    let mut world = World::new(1, 4, fault);
    (world.liars, world.calm) = (false, true);
    world.tasks = (OWNER..=SENDER).map(|task| Task::new(task, Nature::Honest)).collect();
    for (one, other) in [(OWNER, NEXT), (NEXT, LAST), (OWNER, SENDER), (NEXT, SENDER)] {
        assert!(world.open(one, other));
    }
    let over = hold(&mut world, OWNER, SENDER, RightKind::Send);
    send(&mut world, SENDER, OWNER, over, &[]);
    assert_eq!(world.mail.len(), 1);
    move_on(&mut world, OWNER, NEXT);
    // It had not read what was sent.
    world.kill(OWNER);
    fill(&mut world, SENDER, NEXT);
    world.notice(SENDER, OWNER);
    world.look_round(SENDER);
    world.notice(NEXT, OWNER);
    world.drain(NEXT, SENDER, u64::MAX);
    fill(&mut world, SENDER, NEXT);
    world.drain(SENDER, NEXT, 9);
    assert_eq!(world.tasks[SENDER].links[&NEXT].again.len(), 1, "there is no room for it");
    world.check();
    move_on(&mut world, NEXT, LAST);
    if next_dies {
        world.kill(NEXT);
        world.notice(SENDER, NEXT);
        world.notice(LAST, NEXT);
    } else {
        world.drain(SENDER, NEXT, 9);
    }
    for _ in 0..3 {
        world.look_round(SENDER);
        world.drain(LAST, SENDER, 9);
        world.drain(SENDER, LAST, 9);
    }
    for port in world.tasks[LAST].ports.keys().copied().collect::<Vec<_>>() {
        world.receive(LAST, port);
    }
    world.check();
    world
}

#[test]
fn what_is_sent_again_goes_after_its_port() {
    for next_dies in [false, true] {
        let world = sent_again(next_dies, None);
        assert_eq!(world.violation, None);
        assert!(world.mail.is_empty(), "{next_dies}: {:?}", world.mail);
        assert_eq!(world.figures.again, 1);
    }
}

#[test]
fn that_it_stays_is_seen() {
    for next_dies in [false, true] {
        let world = sent_again(next_dies, Some(Fault::AgainStays));
        assert_eq!(world.figures.again, 0, "{next_dies}");
        // With the one in between it would be lost as what that one had not read is.
        assert!(next_dies || !world.mail.is_empty() || world.violation.is_some());
    }
}

/// A right to the port that came to `owner`, which it gives to `holder`.
fn new_right(world: &mut World, owner: TaskNumber, holder: TaskNumber) -> RightNumber {
    let port = world.tasks[owner].adopted.values().next().expect("a port has come").port;
    let slot = world.export(owner, holder, Lead::to(port), RightKind::Send).unwrap();
    world.tasks[owner].link(holder).unwrap().exports.published(slot);
    let right = world.learn(holder, owner, RightKind::Send, slot).unwrap();
    let right = world.tasks[holder].keep(right);
    world.tasks[holder].space.insert(right);
    right
}

fn sent_since(fault: Option<Fault>) -> World {
    let mut world = World::new(1, 4, fault);
    (world.liars, world.calm) = (false, true);
    world.tasks = (OWNER..=SENDER).map(|task| Task::new(task, Nature::Honest)).collect();
    for (one, other) in [(OWNER, NEXT), (OWNER, SENDER), (NEXT, SENDER)] {
        assert!(world.open(one, other));
    }
    let over = hold(&mut world, OWNER, SENDER, RightKind::Send);
    send(&mut world, SENDER, OWNER, over, &[]);
    move_on(&mut world, OWNER, NEXT);
    let new = new_right(&mut world, NEXT, SENDER);
    send(&mut world, SENDER, NEXT, new, &[]);
    world.drain(NEXT, SENDER, 9);
    assert_eq!(world.mail.len(), 2);
    // It had not read the first.
    world.kill(OWNER);
    world.notice(NEXT, OWNER);
    world.notice(SENDER, OWNER);
    for _ in 0..3 {
        world.look_round(SENDER);
        world.drain(NEXT, SENDER, 9);
        for port in world.tasks[NEXT].ports.keys().copied().collect::<Vec<_>>() {
            world.receive(NEXT, port);
        }
        world.drain(SENDER, NEXT, 9);
    }
    for port in world.tasks[NEXT].ports.keys().copied().collect::<Vec<_>>() {
        world.receive(NEXT, port);
    }
    world.check();
    world
}

#[test]
fn what_is_sent_again_goes_before_what_was_sent_since() {
    let world = sent_since(None);
    assert_eq!(world.violation, None);
    assert!(world.mail.is_empty(), "{:?}", world.mail);
    assert_eq!(world.figures.again, 1);
    assert!(world.tasks[NEXT].adopted.values().all(|adopted| adopted.followers.is_empty()));
}

#[test]
fn that_it_comes_later_is_seen() {
    let world = sent_since(Some(Fault::AgainOvertaken));
    assert_eq!(world.violation.map(|violation| violation.invariant), Some("I5"));
}
