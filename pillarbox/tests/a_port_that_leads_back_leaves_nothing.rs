//! A peer that says of a port that it went away, and answers for it with the very right
//! that was followed, leaves nothing behind: no right keeps itself alive.

mod family;

use std::time::Duration;

use abi::TaskId;
use abi::Ticket;
use abi::board::{Life, Moved, State};
use abi::frame::{Header, Kind};
use family::raw::{OWN, Peer, wait_for_the_end};
use family::residue::Residue;
use family::{Reaped, act, acting, is_part, long, settled};
use pillarbox::{Capacity, Deadline, Message, SendFailure, Task};

/// Circles, one after the other.
const ROUNDS: usize = 3;

/// Says that a port of its own has gone to itself, and that it is where it was.
#[test]
fn circle_part() {
    if !acting("circle_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (go, body) = peer.next();
    let own = TaskId::decode(&body[go.extra as usize..]).unwrap();
    let moved = Moved { ticket: Ticket(77), owner: own, address: peer.address };
    peer.own.set_moved(OWN.index, &moved);
    peer.own.set_life(OWN.index, Life { generation: OWN.generation, state: State::Moved });
    peer.own.bump_change();
    peer.say(Header::new(Kind::Look, OWN), &[]);
    loop {
        let (header, behind) = peer.next();
        if header.kind == Kind::Claim {
            let words = [&behind[..16], &u64::MAX.to_le_bytes()].concat();
            peer.say(Header { tag: header.tag, ..Header::new(Kind::Joined, OWN) }, &words);
            wait_for_the_end(&peer.socket);
            return;
        }
    }
}

fn circle(task: &Task) {
    let inbox = task.port(Capacity::Bounded(8));
    let child = act("circle_part").right("inbox", inbox.make_send().unwrap());
    let child = Reaped(child.spawn().unwrap());
    let mut ready = inbox.receive(long()).unwrap();
    let liar = ready.sender().unwrap().task;
    let post = ready.take_rights().remove(0).into_send().unwrap();
    post.send(Message::new(liar.encode()), long()).unwrap();
    settled(
        || {
            let soon = Deadline::after(Duration::from_millis(20));
            post.send(Message::new("where to?"), soon).map_err(|error| error.reason)
        },
        |sent| *sent == Err(SendFailure::Dead),
    );
    drop(post);
    drop(child);
}

#[test]
fn a_circle_leaves_nothing() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    // What stays is made by the first.
    circle(&task);
    settled(|| task.peers().len(), |&peers| peers == 0);
    let before = Residue::now();
    for _ in 0..ROUNDS {
        circle(&task);
    }
    settled(|| task.peers().len(), |&peers| peers == 0);
    settled(Residue::now, |now| now.is_within(&before));
}
