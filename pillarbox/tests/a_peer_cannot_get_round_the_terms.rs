//! A peer that speaks in bytes and knows no terms: it sends what its rights do
//! not permit, more than they permit, after their time, and on what was revoked.
//! None of it enters; all of it is counted; the link goes on.

mod family;

use std::time::{Duration, Instant};

use abi::board::State;
use abi::frame::{Attached, HEADER_BYTES, Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, TaskId};
use family::raw::Peer;
use family::{Reaped, act, acting, long, settled};
use pillarbox::{Capacity, Holding, Task, Terms};

const IDS: u64 = 1;
const THREE: u64 = 2;
const TIMED: u64 = 3;
const REVOKED: u64 = 4;

/// The id of the peer's last message: how many it sent on the timed right is in
/// its tag.
const DONE: i32 = 1000;

const SOMEBODY: TaskId = TaskId { process: 7, number: 7 };

fn send(peer: &mut Peer, slot: Slot, id: i32, tag: u64) {
    let length = HEADER_BYTES as u32;
    peer.say(Header { length, id, tag, ..Header::new(Kind::Message, slot) }, &[]);
}

fn wait_for_the_end(peer: &Peer, slot: Slot) {
    while peer.page.life(slot.index).unwrap().state != State::Revoked {
        std::thread::yield_now();
    }
}

#[test]
fn rogue_part() {
    if !acting("rogue_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let slots = ["ids", "three", "timed", "revoked"].map(|name| peer.slot(name));
    let [ids, three, timed, revoked] = slots;
    let control = peer.slot("control");
    for id in 0..10 {
        send(&mut peer, ids, id, 0);
        send(&mut peer, three, id, 0);
    }
    let mut sent = 0;
    let mut beyond = 0;
    while beyond < 10 {
        send(&mut peer, timed, 0, 0);
        sent += 1;
        if peer.page.life(timed.index).unwrap().state == State::Revoked {
            beyond += 1;
        }
        std::thread::yield_now();
    }
    send(&mut peer, control, 1, 0);
    wait_for_the_end(&peer, revoked);
    for slot in [revoked, three, timed] {
        for id in 0..10 {
            send(&mut peer, slot, id, 0);
        }
        // As if it lived: questions, places handed back, gives, another holder.
        peer.say(Header::new(Kind::Ask, slot), &[]);
        peer.say(Header { id: 1, ..Header::new(Kind::Ask, slot) }, &[]);
        peer.say(Header { tag: 1 << 40, id: 1, ..Header::new(Kind::Return, slot) }, &[]);
        peer.say(Header { tag: 5, ..Header::new(Kind::Status, slot) }, &[]);
        let ticket = u64::from(slot.index) + 1;
        for kind in [Kind::Give, Kind::TakeBack] {
            peer.say(Header { tag: ticket, ..Header::new(kind, slot) }, &SOMEBODY.encode());
        }
        let home = RightRef::Yours(RightKind::Send, slot);
        let attached = Attached { rights: vec![home], ..Attached::default() };
        peer.send(control, &attached, b"");
    }
    send(&mut peer, control, DONE, sent + 10);
    // The other side has hung up on nobody; it hears of this end.
    while peer.page.tail() != peer.writer.head() {
        std::thread::yield_now();
    }
    assert!(!peer.is_over());
}

#[test]
fn what_the_terms_refuse_never_enters() {
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Unbounded);
    let badged = |badge| Terms::new().badge(badge);
    let until = Instant::now() + Duration::from_millis(500);
    let (revocable, revoker) = inbox.make_revocable(&badged(REVOKED)).unwrap();
    let child = act("rogue_part")
        .right("ids", inbox.make_send_with(&badged(IDS).ids(4..=5)).unwrap())
        .right("three", inbox.make_send_with(&badged(THREE).messages(3)).unwrap())
        .right("timed", inbox.make_send_with(&badged(TIMED).until(until)).unwrap())
        .right("revoked", revocable)
        .right("control", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut entered = [0; 5];
    let timed = loop {
        let mut message = inbox.receive(long()).unwrap();
        match (message.badge(), message.id()) {
            (None, 1) => assert_eq!(revoker.revoke(), 1),
            (None, DONE) => break message.tag(),
            (None, _) => {
                let back = message.take_rights().remove(0).into_send().unwrap();
                assert!(back.is_dead() && back.same_port(&inbox.make_send().unwrap()));
            }
            (Some(badge), id) => {
                assert!(badge != IDS || [4, 5].contains(&id));
                entered[badge as usize] += 1;
            }
        }
    };
    assert_eq!((entered[1], entered[2], entered[4]), (2, 3, 0));
    // Nineteen of the timed ones came after the board said that the time was over.
    assert!(entered[TIMED as usize] <= timed - 19);
    let refused = 8 + 7 + (timed - entered[TIMED as usize]) + 10 + 10;
    assert_eq!(inbox.refused(), refused);
    assert_eq!(task.census().count(Holding::Refused), refused);
    assert!(child.ended_well());
    drop((inbox, revoker));
    settled(|| task.census(), |census| census.rows.is_empty());
}
