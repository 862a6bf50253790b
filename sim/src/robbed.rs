//! A liar guesses a ticket and claims what was never sent to it.
//!
//! Tickets are counts, so a task that knows another can guess the next one. A
//! give is published before its message, and the message may fail: in between
//! the guess is good. The giver then takes its right back, as it believes, and
//! uses it.

use abi::right::Kind;
use abi::{Slot, Ticket};
use rights::window::Capacity;

use crate::claim::{claim_frame, give, take_back};
use crate::fault::Fault;
use crate::task::{Nature, Options, Outgoing, Right, Task, TaskNumber};
use crate::world::World;

const OWNER: TaskNumber = 0;
const GIVER: TaskNumber = 1;
const LIAR: TaskNumber = 2;

/// The giver has a send-once right of the owner's, as its only right.
fn given(fault: Option<Fault>) -> (World, Slot) {
    let mut world = World::new(1, 3, fault);
    world.liars = true;
    world.calm = true;
    world.tasks = vec![
        Task::new(OWNER, Nature::Honest),
        Task::new(GIVER, Nature::Honest),
        Task::new(LIAR, Nature::Hostile),
    ];
    for (one, other) in [(OWNER, GIVER), (OWNER, LIAR), (GIVER, LIAR)] {
        assert!(world.open(one, other));
    }
    world.make_port(OWNER, Options::plain(Capacity::Bounded(1)), false);
    let port = *world.tasks[OWNER].ports.keys().next().unwrap();
    let promise = world.make_promise(OWNER, port);
    let Some(Right::OwnOnce(lead)) = world.tasks[OWNER].rights.remove(&promise) else {
        panic!("a promise is a right of its owner's");
    };
    let slot = world.export(OWNER, GIVER, lead, Kind::SendOnce).unwrap();
    world.tasks[OWNER].link(GIVER).unwrap().exports.published(slot);
    let right = world.learn(GIVER, OWNER, Kind::SendOnce, slot).unwrap();
    let right = world.tasks[GIVER].keep(right);
    world.tasks[GIVER].space.insert(right);
    (world, slot)
}

fn robbed(fault: Option<Fault>) -> World {
    let (mut world, slot) = given(fault);
    let (ticket, to) = (Ticket(1), World::id(LIAR));
    let frame = give(slot, to, ticket, Kind::SendOnce);
    world.outbound(GIVER, OWNER).lane.publish(&frame.encode());
    let guess = claim_frame(World::id(GIVER), ticket, None);
    world.outbound(LIAR, OWNER).lane.publish(&guess.encode());
    // The guess is read first: it waits for what the giver's lane shows.
    world.drain(OWNER, LIAR, 9);
    world.drain(OWNER, GIVER, 9);
    world.say(GIVER, OWNER, take_back(slot, to, ticket));
    world.drain(OWNER, GIVER, 9);
    world.check();
    let over = *world.tasks[GIVER].space.first().unwrap();
    world.tasks[GIVER].space.clear();
    let (rights, id, deadline_ns) = (Vec::new(), 0, u64::MAX);
    let out = Outgoing { over, rights, reply: None, left: None, id, deadline_ns };
    world.submit(GIVER, out);
    world.drain(OWNER, GIVER, 9);
    world.check();
    world
}

#[test]
fn who_was_robbed_by_a_guess_is_not_blamed() {
    let mut world = robbed(None);
    assert_eq!(world.violation, None);
    assert!(world.tasks[OWNER].has_link(GIVER));
    // The promise is the liar's now, and ends once: with the liar.
    world.kill(LIAR);
    world.notice(OWNER, LIAR);
    assert_eq!(world.violation, None);
    assert!(world.tasks[OWNER].promises.is_empty());
    assert!(world.promises.values().all(|&ends| ends == 1));
}

#[test]
fn blaming_who_was_robbed_is_seen() {
    let world = robbed(Some(Fault::RobbedBlamed));
    assert_eq!(world.violation.unwrap().invariant, "I2");
}
