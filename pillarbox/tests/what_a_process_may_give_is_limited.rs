//! Rights on their way from task to task are kept by their owner until they are claimed,
//! and how many of them is limited for each process that gives: also for one that comes
//! back as another task each time. What is too much arrives dead, who gives from another
//! process is not concerned, and when nobody comes for them, they end.

mod family;

use family::linked::give;
use family::member::{ASK, GOOD, KEEP, PASS, Told, obey};
use family::raw::{Peer, wait_for_the_end};
use family::{Reaped, act, acting, is_part, long, settled};
use pillarbox::{Capacity, Holding, Limit, Limits, Message, SendRight, Task};

/// Gives that may wait at the owner.
const LIMIT: usize = 8;
/// Gives of each task that comes.
const EACH: usize = 3;
const TASKS: usize = 4;

#[test]
fn member_part() {
    obey("member_part");
}

/// Is given to, and claims nothing.
#[test]
fn deaf_part() {
    if !acting("deaf_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    wait_for_the_end(&peer.socket);
}

fn deaf(giver: &Task) -> (Reaped, SendRight) {
    let inbox = giver.port(Capacity::Bounded(16));
    let child = act("deaf_part").right("inbox", inbox.make_send().unwrap());
    let child = Reaped(child.spawn_in(giver).unwrap());
    let post = inbox.receive(long()).unwrap().take_rights().remove(0).into_send().unwrap();
    (child, post)
}

fn waiting(owner: &Task) -> u64 {
    let rows = owner.census().rows.into_iter();
    rows.filter(|row| row.holding == Holding::Given).map(|row| row.count).sum()
}

#[test]
fn a_process_that_comes_back_as_many_tasks_gives_no_more() {
    if is_part() {
        return;
    }
    let owner = Task::new_with(Limits { gives: LIMIT, ..Limits::default() });
    let port = owner.port(Capacity::Bounded(16));
    // One of another process has a right before.
    let us = Task::current().unwrap();
    let ours = give(&owner, &us, port.make_send().unwrap());
    let (honest, next) = (Told::start("member_part"), Told::start("member_part"));
    honest.give(KEEP, ours);
    assert_eq!(honest.tell(ASK, 0), GOOD);
    honest.before(&next);

    let mut children = Vec::new();
    for _ in 0..TASKS {
        let giver = Task::new();
        let right = give(&owner, &giver, port.make_send().unwrap());
        let (child, post) = deaf(&giver);
        for _ in 0..EACH {
            post.send(Message::new("").with_right(right.clone()), long()).unwrap();
        }
        children.push(child);
        giver.close();
    }
    let too_many = (TASKS * EACH - LIMIT) as u64;
    settled(|| owner.metrics().refused(Limit::Gives), |&refused| refused == too_many);
    assert_eq!(waiting(&owner), LIMIT as u64);
    // No offence of anybody's, and not the other's concern.
    assert!(owner.metrics().offences.is_empty());
    assert_eq!(honest.tell(PASS, 20_000), 1);
    next.holds(1);
    assert_eq!(next.tell(ASK, 0), GOOD);
    // Their givers are gone, and nobody comes.
    settled(|| waiting(&owner), |&waiting| waiting == 0);
    settled(|| port.status().senders, |&senders| senders == 1);
    owner.close();
}
