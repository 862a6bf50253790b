//! A move that fails, and the last sender is gone meanwhile.

use abi::right::Kind;
use rights::window::Capacity;

use crate::carry::Load;
use crate::chained::hold;
use crate::fault::Fault;
use crate::task::{Nature, Options, Right, Task, TaskNumber};
use crate::world::World;

const OWNER: TaskNumber = 0;
const HOLDER: TaskNumber = 1;
const NEXT: TaskNumber = 2;

fn failed(fault: Option<Fault>) -> World {
    let mut world = World::new(1, 3, fault);
    (world.liars, world.calm) = (false, true);
    world.tasks = (OWNER..=NEXT).map(|task| Task::new(task, Nature::Honest)).collect();
    for peer in [HOLDER, NEXT] {
        assert!(world.open(OWNER, peer));
    }
    // The first port hears of the second.
    world.make_port(OWNER, Options::plain(Capacity::Bounded(1)), false);
    let held = hold(&mut world, OWNER, HOLDER, Kind::Send);
    let port = *world.tasks[OWNER].ports.keys().next_back().unwrap();
    let to = world.make_promise(OWNER, *world.tasks[OWNER].ports.keys().next().unwrap());
    world.arm(OWNER, port, Some(to));
    let own =
        |(_, right): &(&u64, &Right)| matches!(right, Right::OwnSend(lead) if lead.port == port);
    let own = *world.tasks[OWNER].rights.iter().find(own).unwrap().0;
    world.tasks[OWNER].space.remove(&own);
    world.let_go(OWNER, own);
    world.check();
    // It is on its way to the next one when its last sender lets go.
    let receive = world.tasks[OWNER].ports[&port].receive;
    let mut load = Load::default();
    let _ = world.name(OWNER, NEXT, receive, &mut load);
    world.tasks[HOLDER].space.remove(&held);
    world.let_go(HOLDER, held);
    world.drain(OWNER, HOLDER, 9);
    world.undo(OWNER, NEXT, load);
    world.check();
    world
}

#[test]
fn who_hears_of_no_senders_hears_after_a_failed_move() {
    let world = failed(None);
    assert_eq!(world.violation, None);
    assert!(world.promises.values().all(|&ends| ends == 1));
}

#[test]
fn not_asking_again_is_seen() {
    let world = failed(Some(Fault::NotArmedAnew));
    assert_eq!(world.violation.unwrap().invariant, "I3");
}
