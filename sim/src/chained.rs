//! A right goes from its owner over two tasks to a third, and the owner reads nothing
//! meanwhile: whoever may die, and whatever is read first, the last one gets it.

use abi::Slot;
use abi::right::Kind;
use rights::window::Capacity;

use crate::fault::Fault;
use crate::task::{Nature, Options, Outgoing, Right, RightNumber, Task, TaskNumber};
use crate::world::{Violation, World};

const OWNER: TaskNumber = 0;
const FIRST: TaskNumber = 1;
const SECOND: TaskNumber = 2;
const LAST: TaskNumber = 3;

/// `holder` has a right of `owner`'s.
pub(crate) fn grant(world: &mut World, owner: TaskNumber, holder: TaskNumber, kind: Kind) -> Slot {
    let made = world.make_port(owner, Options::plain(Capacity::Bounded(3)), false);
    let Some(&Right::OwnSend(lead)) = world.tasks[owner].rights.get(&made) else {
        panic!("a port is made with a right to it");
    };
    let lead = match kind {
        Kind::Send => lead,
        Kind::SendOnce => {
            let promise = world.make_promise(owner, lead.port);
            match world.tasks[owner].rights.remove(&promise) {
                Some(Right::OwnOnce(lead)) => lead,
                _ => panic!("a promise is a right of its owner's"),
            }
        }
    };
    let slot = world.export(owner, holder, lead, kind).unwrap();
    world.tasks[owner].link(holder).unwrap().exports.published(slot);
    slot
}

/// `holder` has a right of `owner`'s in its space.
pub(crate) fn hold(
    world: &mut World,
    owner: TaskNumber,
    holder: TaskNumber,
    kind: Kind,
) -> RightNumber {
    let slot = grant(world, owner, holder, kind);
    let right = world.learn(holder, owner, kind, slot).unwrap();
    let right = world.tasks[holder].keep(right);
    world.tasks[holder].space.insert(right);
    right
}

/// Sends `along` from one task to another, whose reply right it is.
fn hand(world: &mut World, from: TaskNumber, to: TaskNumber, along: RightNumber) {
    let over = hold(world, to, from, Kind::SendOnce);
    for right in [over, along] {
        world.tasks[from].space.remove(&right);
    }
    let (rights, reply, left, id, deadline_ns) = (vec![along], None, None, 0, u64::MAX);
    world.submit(from, Outgoing { over, rights, reply, left, id, deadline_ns });
    world.drain(to, from, 9);
    let ports: Vec<u32> = world.tasks[to].ports.keys().copied().collect();
    for port in ports {
        world.receive(to, port);
    }
}

/// The right has been handed from one to the next. The owner has read nothing.
fn handed_on(kind: Kind, fault: Option<Fault>) -> World {
    let mut world = World::new(1, 4, fault);
    (world.liars, world.calm) = (false, true);
    world.tasks = (OWNER..=LAST).map(|task| Task::new(task, Nature::Honest)).collect();
    for (one, other) in [(OWNER, FIRST), (FIRST, SECOND), (SECOND, LAST)] {
        assert!(world.open(one, other));
    }
    let right = hold(&mut world, OWNER, FIRST, kind);
    hand(&mut world, FIRST, SECOND, right);
    let task = &world.tasks[SECOND];
    let joining = task
        .space
        .iter()
        .copied()
        .find(|right| matches!(task.rights.get(right), Some(Right::Joining { .. })));
    hand(&mut world, SECOND, LAST, joining.expect("its owner has not answered"));
    assert_eq!((world.figures.gives, world.figures.given_on), (2, 1));
    world
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The owner reads what this one wrote.
    Reads(TaskNumber),
    /// This one is killed.
    Dies(TaskNumber),
    /// The first task hears that the second is dead, and says so to the owner.
    FirstHears,
    /// The owner hears that the second is dead.
    OwnerHears,
}

use Step::{Dies, FirstHears, OwnerHears, Reads};

/// In which order things may happen.
const ORDERS: [&[Step]; 6] = [
    &[Reads(FIRST), Reads(SECOND), Reads(LAST)],
    &[Reads(LAST), Reads(SECOND), Reads(FIRST)],
    &[Reads(SECOND), Reads(LAST), Reads(FIRST)],
    &[Dies(SECOND), OwnerHears, Reads(LAST)],
    &[Dies(SECOND), Reads(LAST), OwnerHears],
    &[Dies(SECOND), FirstHears, Reads(FIRST), Reads(LAST), OwnerHears],
];

/// Goes through the steps, and then everybody reads what there is.
fn after(kind: Kind, steps: &[Step], fault: Option<Fault>) -> (World, Option<Violation>) {
    let mut world = handed_on(kind, fault);
    for step in steps {
        match *step {
            Reads(peer) => world.drain(OWNER, peer, 9),
            Dies(task) => world.kill(task),
            FirstHears => world.notice(FIRST, SECOND),
            OwnerHears => world.notice(OWNER, SECOND),
        }
        world.check();
    }
    for _ in 0..3 {
        for (me, peer) in [(SECOND, OWNER), (LAST, OWNER), (OWNER, SECOND), (OWNER, FIRST)] {
            if world.tasks[me].alive {
                world.drain(me, peer, 9);
            }
        }
        world.check();
    }
    let violation = world.violation.take();
    (world, violation)
}

#[test]
fn the_last_one_gets_what_was_handed_on() {
    for kind in [Kind::Send, Kind::SendOnce] {
        for steps in ORDERS {
            let (world, violation) = after(kind, steps, None);
            assert_eq!(violation, None, "{kind:?} {steps:?}");
            let rights = &world.tasks[LAST].rights;
            let is = |right: &Right| match *right {
                Right::PeerSend(OWNER, _) => kind == Kind::Send,
                Right::PeerOnce(OWNER, _) => kind == Kind::SendOnce,
                _ => false,
            };
            assert!(rights.values().any(is), "{kind:?} {steps:?}: {rights:?}");
        }
    }
}

#[test]
fn each_broken_rule_of_it_is_seen() {
    let faults = [
        (Fault::ChainRefused, Kind::Send, "I3"),
        (Fault::ChainForgotten, Kind::Send, "I3"),
        (Fault::CalledBackUnread, Kind::Send, "I3"),
        (Fault::GivenOnAloud, Kind::SendOnce, "I4"),
    ];
    for (fault, kind, invariant) in faults {
        let seen = ORDERS.iter().find_map(|steps| after(kind, steps, Some(fault)).1);
        assert_eq!(seen.map(|seen| seen.invariant), Some(invariant), "{fault:?}");
    }
}
