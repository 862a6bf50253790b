//! A liar gives a right of one kind, and says that it is of another.
//!
//! Who gives it on before the owner has answered repeats the lie, in good faith.

use abi::Ticket;
use abi::frame::Attached;
use abi::right::{Address, Kind, RightRef};

use crate::chained::grant;
use crate::claim::give;
use crate::task::{Nature, Outgoing, RightNumber, Task, TaskNumber};
use crate::world::World;

const OWNER: TaskNumber = 0;
const LIAR: TaskNumber = 1;
const MISLED: TaskNumber = 2;
const THIRD: TaskNumber = 3;

/// The misled task gives on what it was given, before or after the owner has read its
/// claim.
fn misled(claim_is_read: bool) -> World {
    let mut world = World::new(1, 4, None);
    (world.liars, world.calm) = (true, true);
    let nature = |task| if task == LIAR { Nature::Hostile } else { Nature::Honest };
    world.tasks = (OWNER..=THIRD).map(|task| Task::new(task, nature(task))).collect();
    for (one, other) in [(OWNER, LIAR), (OWNER, MISLED), (LIAR, MISLED), (MISLED, THIRD)] {
        assert!(world.open(one, other));
    }
    let once = grant(&mut world, OWNER, LIAR, Kind::SendOnce);
    let frame = give(once, World::id(MISLED), Ticket(1), Kind::SendOnce);
    world.outbound(LIAR, OWNER).lane.publish(&frame.encode());
    let (owner, address, ticket) = (World::id(OWNER), Address::default(), Ticket(1));
    let lie = RightRef::Third { kind: Kind::Send, owner, address, ticket };
    let attached = Attached { rights: vec![lie], ..Attached::default() };
    let rights: Vec<RightNumber> = world.accept(MISLED, LIAR, &attached).unwrap();
    let way = grant(&mut world, THIRD, MISLED, Kind::Send);
    let over = world.learn(MISLED, THIRD, Kind::Send, way).unwrap();
    let over = world.tasks[MISLED].keep(over);
    world.tasks[MISLED].space.insert(over);
    let (reply, left, id, deadline_ns) = (None, None, 0, u64::MAX);
    world.submit(MISLED, Outgoing { over, rights, reply, left, id, deadline_ns });
    // It waits for a place, and is granted one.
    world.drain(THIRD, MISLED, 9);
    world.drain(MISLED, THIRD, 9);
    if claim_is_read {
        world.drain(OWNER, MISLED, 9);
        world.drain(OWNER, LIAR, 9);
    }
    world.retry(MISLED);
    for (me, peer) in [(THIRD, MISLED), (OWNER, MISLED), (OWNER, LIAR), (OWNER, THIRD)] {
        world.drain(me, peer, 9);
    }
    world
}

#[test]
fn who_gives_a_lie_on_is_not_blamed() {
    for claim_is_read in [false, true] {
        let mut world = misled(claim_is_read);
        assert_eq!(world.figures.given_on, 1);
        assert_eq!(world.violation, None);
        assert!(world.tasks[OWNER].has_link(MISLED));
        // What it was given is another right than it was told: that one ends aloud.
        world.drain(MISLED, OWNER, 9);
        world.drain(OWNER, MISLED, 9);
        world.check();
        assert_eq!(world.violation, None);
        assert!(world.tasks[OWNER].promises.is_empty());
    }
}
