//! A right is counted for its receiver before the message that names it is
//! published. A receiver that guesses its slot meanwhile was given nothing: it
//! commits an offence, and the message comes back with every right in it unused.

mod family;

use abi::Slot;
use abi::board::{Life, State};
use abi::frame::{Attached, Header, Kind};
use abi::right::{Kind as RightKind, RightRef};
use family::raw::{OWN, Peer, mine, wait_for_the_end};
use family::{Reaped, act_with, acting, is_part, long};
use pillarbox::{Capacity, Deadline, Message, Offence, SendFailure, Task};

/// The variable that says which way the liar tries.
const WAY: &str = "PILLARBOX_TEST_WAY";

/// Does something with the slot of the send-once right, or of the other.
type Way = fn(&mut Peer, Slot, Slot);

/// What can be done with a slot, once it is known.
const WAYS: [(&str, Way); 7] = [
    ("use", |peer, once, _| peer.send(once, &Attached::default(), b"guess")),
    ("drop", |peer, once, _| peer.say(Header::new(Kind::Dropped, once), &[])),
    ("bring home", |peer, once, _| bring(peer, RightKind::SendOnce, once)),
    ("give on", |peer, once, _| {
        let to = [0; abi::TaskId::BYTES];
        let flags = abi::frame::flag::ONCE;
        peer.say(Header { tag: 1, flags, ..Header::new(Kind::Give, once) }, &to);
    }),
    ("post", |peer, _, often| peer.send(often, &Attached::default(), b"guess")),
    ("release", |peer, _, often| {
        peer.say(Header { tag: 1, ..Header::new(Kind::Release, often) }, &[]);
    }),
    ("bring the other home", |peer, _, often| bring(peer, RightKind::Send, often)),
];

fn bring(peer: &mut Peer, kind: RightKind, slot: Slot) {
    let yours = RightRef::Yours(kind, slot);
    let inbox = peer.slot("inbox");
    peer.send(inbox, &Attached { rights: vec![yours], ..Attached::default() }, b"");
}

#[test]
fn liar_part() {
    if !acting("liar_part") {
        return;
    }
    let way = std::env::var(WAY).unwrap();
    let (_, commit) = WAYS.iter().find(|(name, _)| *name == way).unwrap();
    let mut peer = Peer::of_parent();
    // A right without a place: who sends on it must ask, and waits.
    peer.own.set_grant(OWN.index, 0);
    peer.own.set_life(OWN.index, Life { generation: OWN.generation, state: State::Live });
    let inbox = peer.slot("inbox");
    peer.send(inbox, &mine(RightKind::Send, OWN), b"ready");
    let (asked, _) = peer.next();
    assert_eq!((asked.kind, asked.slot), (Kind::Ask, OWN));
    // The rights in the message that waits come after those we have.
    let next = 1 + peer.given.values().map(|slot| slot.index).max().unwrap();
    let slot = |index| Slot { index, generation: 1 };
    commit(&mut peer, slot(next), slot(next + 1));
    peer.ring();
    wait_for_the_end(&peer.socket);
}

#[test]
fn a_slot_in_a_message_that_waits_is_nobodys_to_use() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    for (way, _) in WAYS {
        let inbox = task.port(Capacity::Bounded(8));
        let child = act_with("liar_part", |command| {
            command.env(WAY, way);
        });
        let child = child.right("inbox", inbox.make_send().unwrap());
        let mut child = Reaped(child.spawn().unwrap());
        let mut ready = inbox.receive(long()).unwrap();
        let post = ready.take_rights().remove(0).into_send().unwrap();

        let own = task.port(Capacity::Bounded(2));
        let message = Message::new("waits")
            .with_right(own.make_send_once().unwrap())
            .with_right(own.make_send().unwrap());
        let failed = post.send(message, long()).unwrap_err();
        assert_eq!(failed.reason, SendFailure::Fault(Offence::NeverExported), "{way}");
        let mut back = failed.message;
        assert_eq!(back.body(), b"waits", "{way}");
        let mut rights = back.take_rights();
        assert!(own.receive(Deadline::Now).is_err(), "{way}: nothing came of the guess");
        let often = rights.remove(1).into_send().unwrap();
        let once = rights.remove(0).into_send_once().unwrap();
        once.send(Message::new("once"), long()).unwrap();
        often.send(Message::new("often"), long()).unwrap();
        for expected in [&b"once"[..], b"often"] {
            let came = own.receive(long()).unwrap();
            assert_eq!((came.body(), came.notification()), (expected, None), "{way}");
        }
        drop(often);
        own.notify_no_senders(own.make_send_once().unwrap()).unwrap();
        let news = own.receive(long()).unwrap().notification();
        assert_eq!(news, Some(pillarbox::Notification::NoSenders), "{way}");
        assert!(child.ended_well(), "{way}");
    }
}
