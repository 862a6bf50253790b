//! What is sent on a right that the new owner of a port has made comes after what its
//! sender had sent to the old one.

use abi::right::Kind;

use super::behind::{move_on, receive_right, send};
use crate::chained::hold;
use crate::fault::Fault;
use crate::task::{Lead, Nature, Right, RightNumber, Task, TaskNumber};
use crate::world::World;

const OWNER: TaskNumber = 0;
const NEXT: TaskNumber = 1;
const SENDER: TaskNumber = 2;

/// The port that came to `owner`.
fn port_that_came(world: &World, owner: TaskNumber) -> u32 {
    match world.tasks[owner].rights.get(&receive_right(world, owner)) {
        Some(&Right::Receive(port)) => port,
        other => panic!("a port came, not {other:?}"),
    }
}

/// One more right to a port, made by its owner for `holder`.
fn another(world: &mut World, owner: TaskNumber, holder: TaskNumber, port: u32) -> RightNumber {
    let slot = world.export(owner, holder, Lead::to(port), Kind::Send).unwrap();
    world.tasks[owner].link(holder).unwrap().exports.published(slot);
    let right = world.learn(holder, owner, Kind::Send, slot).unwrap();
    let right = world.tasks[holder].keep(right);
    world.tasks[holder].space.insert(right);
    right
}

fn sent_on_both(fault: Option<Fault>) -> World {
    let mut world = World::new(1, 3, fault);
    (world.liars, world.calm) = (false, true);
    world.tasks = (OWNER..=SENDER).map(|task| Task::new(task, Nature::Honest)).collect();
    for (one, other) in [(OWNER, NEXT), (OWNER, SENDER), (NEXT, SENDER)] {
        assert!(world.open(one, other));
    }
    let over = hold(&mut world, OWNER, SENDER, Kind::Send);
    // The old owner has not read it when it moves the port.
    send(&mut world, SENDER, OWNER, over, &[]);
    move_on(&mut world, OWNER, NEXT);
    let port = port_that_came(&world, NEXT);
    let new = another(&mut world, NEXT, SENDER, port);
    send(&mut world, SENDER, NEXT, new, &[]);
    world.drain(NEXT, SENDER, 9);
    world.receive(NEXT, port);
    world.check();
    for _ in 0..3 {
        world.drain(OWNER, SENDER, 9);
        world.drain(NEXT, OWNER, 9);
        world.drain(SENDER, OWNER, 9);
        world.look_round(SENDER);
        world.drain(NEXT, SENDER, 9);
        world.drain(SENDER, NEXT, 9);
        world.receive(NEXT, port);
        world.check();
    }
    world
}

#[test]
fn what_is_sent_on_a_new_right_comes_after_what_was_sent_on_the_old() {
    let world = sent_on_both(None);
    assert_eq!(world.violation, None);
    assert!(world.mail.is_empty(), "{:?}", world.mail);
}

#[test]
fn that_it_waits_for_nothing_is_seen() {
    let world = sent_on_both(Some(Fault::NotBehind));
    assert_eq!(world.violation.unwrap().invariant, "I5");
}
