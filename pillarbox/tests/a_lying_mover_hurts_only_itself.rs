//! Who moves ports and lies about it, whom a port moved to, and who should follow
//! one: each hurts its own link, and nobody else. Each lie in a bag is an offence
//! with its name; the ports of others go on, and no wait lasts beyond its deadline.

mod family;

use std::time::Duration;

use abi::bag::{Origin, OutRight, Passport, Place};
use abi::board::{Life, Moved, State};
use abi::frame::{Attached, Header, Kind, back, bag::MORE, flag};
use abi::right::Address;
use abi::{Slot, TaskId, Ticket, limits};
use family::bags::{
    NOWHERE, PORT, RawBag, SOMEBODY, held_by, move_in, out_of_holder, receive_port, send_for_bag,
};
use family::linked::give;
use family::raw::{OWN, Peer, wait_for_the_end};
use family::{Reaped, act_with, acting, is_part, long, settled};
use pillarbox::{Capacity, Deadline, Message, Notification, Offence, SendFailure, Task};

/// The variable that says which lie a peer tells.
const LIE: &str = "PILLARBOX_TEST_LIE";

fn look(peer: &mut Peer, ticket: u64) {
    peer.say(Header { tag: ticket, ..Header::new(Kind::Bag, NOWHERE) }, &[]);
}

struct Lie {
    name: &'static str,
    offence: Offence,
    tell: fn(&mut Peer),
}

const LIES: &[Lie] = &[
    Lie {
        name: "a bag that is a pipe",
        offence: Offence::MemorySize,
        tell: |peer| move_in(peer, 0, 1, std::io::pipe().unwrap().0.into()),
    },
    Lie {
        name: "a bag with nothing in it",
        offence: Offence::BagMalformed,
        tell: |peer| move_in(peer, 0, 1, RawBag::empty().fd),
    },
    Lie {
        name: "a bag that does not say what the port is",
        offence: Offence::BagMalformed,
        tell: |peer| move_in(peer, 0, 1, RawBag::empty().with_message(Place::Counted).fd),
    },
    Lie {
        name: "a port too large to be one",
        offence: Offence::BagMalformed,
        tell: |peer| {
            let capacity = u64::from(limits::CAPACITY_MESSAGES) + 1;
            move_in(peer, 0, 1, RawBag::of(Passport { capacity, ..PORT }).fd);
        },
    },
    Lie {
        name: "promises without end",
        offence: Offence::BagMalformed,
        tell: |peer| {
            let bag = RawBag::of(Passport { promises: u64::MAX, ..PORT });
            move_in(peer, 0, 1, bag.fd);
        },
    },
    Lie {
        name: "more messages of a right than can have come",
        offence: Offence::BagMalformed,
        tell: |peer| {
            let (holder, address) = (SOMEBODY, Address::default());
            let out = OutRight { holder, address, have: u64::MAX };
            let bag = RawBag::of(PORT).with(Kind::Out, 5, &out.encode());
            let origin = Origin { ticket: 5, ..Origin::default() };
            move_in(peer, 0, 1, bag.with(Kind::Message, 0, &origin.encode()).fd);
        },
    },
    Lie {
        name: "more rights than can have been made",
        offence: Offence::BagMalformed,
        tell: |peer| move_in(peer, 0, 1, RawBag::of(Passport { made: u64::MAX, ..PORT }).fd),
    },
    Lie {
        name: "more messages than can have been dropped",
        offence: Offence::BagMalformed,
        tell: |peer| move_in(peer, 0, 1, RawBag::of(Passport { dropped: u64::MAX, ..PORT }).fd),
    },
    Lie {
        name: "more messages than can have been taken",
        offence: Offence::BagMalformed,
        tell: |peer| {
            let bag = RawBag::empty().with(Kind::Port, u64::MAX, &PORT.encode());
            move_in(peer, 0, 1, bag.fd);
        },
    },
    Lie {
        name: "more pulses in one than can have come",
        offence: Offence::BagMalformed,
        tell: |peer| {
            let origin = Origin { pulses: u64::MAX, ..Origin::default() };
            let bag = RawBag::of(PORT).with(Kind::Message, 0, &origin.encode());
            move_in(peer, 0, 1, bag.fd);
        },
    },
    Lie {
        name: "a request that did not come",
        offence: Offence::BagMalformed,
        tell: |peer| move_in(peer, 0, 1, RawBag::of(Passport { armed: 1, ..PORT }).fd),
    },
    Lie {
        name: "a right that is out twice",
        offence: Offence::OutTwice,
        tell: |peer| move_in(peer, 0, 1, RawBag::of(PORT).with_out(5).with_out(5).fd),
    },
    Lie {
        name: "a promise kept that was not made",
        offence: Offence::PromisesExceeded,
        tell: |peer| {
            let bag = RawBag::of(Passport { promises: 1, ..PORT });
            let bag = bag.with_message(Place::Promised).with_message(Place::Promised);
            move_in(peer, 0, 1, bag.fd);
        },
    },
    Lie {
        name: "a word of a lane in a bag",
        offence: Offence::BagMalformed,
        tell: |peer| move_in(peer, 0, 1, RawBag::of(PORT).with(Kind::Look, 0, &[]).fd),
    },
    Lie {
        name: "a message in a bag of an impossible priority",
        offence: Offence::PriorityExceeded(u16::MAX),
        tell: |peer| {
            let mut bag = RawBag::of(PORT);
            let header = Header::new(Kind::Message, NOWHERE);
            let header = Header { priority: u16::MAX, ..header };
            bag.put(header, &[&Origin::default().encode()]);
            move_in(peer, 0, 1, bag.fd);
        },
    },
    Lie {
        name: "a message in a bag without where it came from",
        offence: Offence::FrameTruncated,
        tell: |peer| move_in(peer, 0, 1, RawBag::of(PORT).with(Kind::Message, 0, b"short").fd),
    },
    Lie {
        name: "a bag that comes again",
        offence: Offence::TicketReused,
        tell: |peer| {
            let bag = RawBag::of(PORT);
            let again = bag.fd.try_clone().unwrap();
            move_in(peer, 0, 1, bag.fd);
            move_in(peer, 1, 1, again);
        },
    },
    Lie {
        name: "another port after the move",
        offence: Offence::BagMalformed,
        tell: |peer| {
            let mut bag = RawBag::of(PORT);
            let fd = bag.fd.try_clone().unwrap();
            move_in(peer, 0, 1, fd);
            peer.wait_until_read();
            bag = bag.with(Kind::Port, 0, &PORT.encode());
            look(peer, 1);
            drop(bag);
        },
    },
    Lie {
        name: "a bag that is lapped",
        offence: Offence::BagOverfull,
        tell: |peer| {
            let mut bag = RawBag::of(PORT);
            let fd = bag.fd.try_clone().unwrap();
            move_in(peer, 0, 1, fd);
            // Little by little: each part is read before it is written over.
            for _ in 0..4 {
                peer.wait_until_read();
                if peer.is_over() {
                    return;
                }
                bag.lap_some();
                look(peer, 1);
            }
        },
    },
    Lie {
        name: "bags in bags",
        offence: Offence::BagOverfull,
        tell: |peer| {
            let mut fd = RawBag::of(PORT).fd;
            let mut packets = Vec::new();
            // The first to be opened is packed last, and finds its packet first.
            let depth = limits::BAG_DEPTH as u32 + 1;
            for packet in (0..depth).rev() {
                let bag = RawBag::of(PORT).with_port(packet, 100 + u64::from(packet));
                packets.push((packet, std::mem::replace(&mut fd, bag.fd)));
            }
            for (packet, fd) in packets.into_iter().rev() {
                send_for_bag(peer, packet, &fd);
            }
            move_in(peer, 0, 1, fd);
        },
    },
    Lie {
        name: "a bag that goes on nowhere",
        offence: Offence::DescriptorsMissing,
        tell: |peer| {
            move_in(peer, 0, 1, RawBag::of(PORT).fd);
            let slot = Slot { index: 1, generation: 0 };
            peer.say(Header { id: MORE, tag: 1, ..Header::new(Kind::Bag, slot) }, &[]);
        },
    },
    Lie {
        name: "a bag that goes on in a pipe",
        offence: Offence::MemorySize,
        tell: |peer| {
            move_in(peer, 0, 1, RawBag::of(PORT).fd);
            peer.send_descriptors(1, &[std::io::pipe().unwrap().0.into()]);
            let slot = Slot { index: 1, generation: 0 };
            peer.say(Header { id: MORE, tag: 1, ..Header::new(Kind::Bag, slot) }, &[]);
        },
    },
];

/// Tells one lie to its parent.
#[test]
fn liar_part() {
    if !acting("liar_part") {
        return;
    }
    let name = std::env::var(LIE).unwrap();
    let lie = LIES.iter().find(|lie| lie.name == name).unwrap();
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let _ = peer.next();
    (lie.tell)(&mut peer);
    peer.ring();
    wait_for_the_end(&peer.socket);
}

fn listen_to(task: &Task, lie: &Lie) {
    let name = lie.name;
    let inbox = task.port(Capacity::Bounded(8));
    let ended = task.port(Capacity::Bounded(8));
    let child = act_with("liar_part", |command| {
        command.env(LIE, name);
    });
    let child = child.right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut ready = inbox.receive(long()).unwrap_or_else(|_| panic!("{name}"));
    let post = ready.take_rights().remove(0).into_send().unwrap();
    post.notify_dead(ended.make_send_once().unwrap()).unwrap();
    post.send(Message::new("go"), long()).unwrap();
    let told = ended.receive(long()).map(|news| news.notification());
    assert_eq!(told, Ok(Some(Notification::DeadName)), "{name}");
    let failed = post.send(Message::new("late"), long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Fault(lie.offence), "{name}");
    assert!(child.ended_well(), "{name}");
}

#[test]
fn each_lie_in_a_bag_is_an_offence() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    for lie in LIES {
        listen_to(&task, lie);
    }
    settled(|| task.census(), |census| census.rows.is_empty());
}

// ---- those it would hurt -----------------------------------------------------------

/// Goes on sending on a right whose port has gone.
#[test]
fn stubborn_part() {
    if !acting("stubborn_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let port = peer.slot("port");
    let _ = peer.next();
    while peer.page.life(port.index).map(|life| life.state) == Some(State::Live) {
        std::thread::yield_now();
    }
    for _ in 0..30 {
        peer.send(port, &Attached::default(), b"stubborn");
    }
    peer.ring();
    wait_for_the_end(&peer.socket);
}

#[test]
fn who_does_not_follow_has_what_it_was_granted_and_no_more() {
    if is_part() {
        return;
    }
    let (task, new, honest) = (Task::current().unwrap(), Task::new(), Task::new());
    let inbox = task.port(Capacity::Bounded(8));
    let (there, port) = (new.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
    let way = give(&new, &task, there.make_send().unwrap());
    let friend = give(&task, &honest, port.make_send().unwrap());
    let child = act_with("stubborn_part", |_| ())
        .right("inbox", inbox.make_send().unwrap())
        .right("port", port.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut ready = inbox.receive(long()).unwrap();
    let post = ready.take_rights().remove(0).into_send().unwrap();
    friend.send(Message::new("honest").with_tag(1), long()).unwrap();
    post.send(Message::new("go"), long()).unwrap();
    way.send(Message::new("port").with_right(port), long()).unwrap();
    let port = receive_port(&there);
    let mut honest_ones = 0;
    let mut stubborn = 0;
    friend.send(Message::new("honest").with_tag(2), long()).unwrap();
    while honest_ones < 2 {
        let message = port.receive(long()).unwrap();
        if message.body() == b"honest" {
            honest_ones += 1;
            assert_eq!(message.tag(), honest_ones);
        } else {
            stubborn += 1;
        }
    }
    assert!(child.ended_well());
    settled(|| post.is_dead(), |dead| *dead);
    let failed = post.send(Message::new("late"), long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Fault(Offence::WindowExceeded));
    while let Ok(message) = port.receive(Deadline::after(Duration::from_millis(20))) {
        assert_eq!(message.body(), b"stubborn");
        stubborn += 1;
    }
    assert!(stubborn <= 8, "{stubborn} came");
    friend.send(Message::new("honest").with_tag(3), long()).unwrap();
    assert_eq!(port.receive(long()).unwrap().tag(), 3);
}

/// Says that a port of its own has gone to its parent, who knows of none.
#[test]
fn boaster_part() {
    if !acting("boaster_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (go, body) = peer.next();
    assert_eq!((go.kind, go.slot), (Kind::Message, OWN));
    let parent = TaskId::decode(&body[go.extra as usize..]).unwrap();
    let moved = Moved { ticket: Ticket(77), owner: parent, address: peer.address };
    peer.own.set_moved(OWN.index, &moved);
    peer.own.set_life(OWN.index, Life { generation: OWN.generation, state: State::Moved });
    peer.own.bump_change();
    peer.say(Header::new(Kind::Look, OWN), &[]);
    wait_for_the_end(&peer.socket);
}

#[test]
fn who_says_that_a_port_went_where_it_did_not_keeps_nobody_beyond_a_deadline() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let child = act_with("boaster_part", |_| ());
    let child = child.right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut ready = inbox.receive(long()).unwrap();
    let post = ready.take_rights().remove(0).into_send().unwrap();
    post.send(Message::new(task.identity().task.encode()), long()).unwrap();
    let soon = || Deadline::after(Duration::from_millis(20));
    let refused = |reason: &SendFailure| matches!(reason, SendFailure::NotJoined(_));
    settled(
        || post.send(Message::new("where to?"), soon()).map_err(|error| error.reason),
        |sent| sent.as_ref().is_err_and(refused),
    );
    let ended = task.port(Capacity::Bounded(1));
    post.notify_dead(ended.make_send_once().unwrap()).unwrap();
    child.kill();
    assert_eq!(ended.receive(long()).unwrap().notification(), Some(Notification::DeadName));
    let failed = post.send(Message::new("late"), long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Dead);
}

/// Says that a port of its own goes elsewhere, takes it back, and so on, each time
/// when it was heard.
#[test]
fn waverer_part() {
    if !acting("waverer_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let mut ticket = 0;
    while !peer.is_over() {
        ticket += 1;
        let owner = TaskId { number: ticket, ..SOMEBODY };
        let moved = Moved { ticket: Ticket(ticket), owner, address: Address::default() };
        peer.own.set_moved(OWN.index, &moved);
        for state in [State::Moved, State::Live] {
            peer.own.set_life(OWN.index, Life { generation: OWN.generation, state });
            peer.own.bump_change();
            peer.say(Header::new(Kind::Look, OWN), &[]);
            peer.wait_until_read();
        }
    }
}

#[test]
fn moves_taken_back() {
    if is_part() {
        return;
    }
    let (task, honest) = (Task::new(), Task::new());
    let (inbox, other) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
    let friend = give(&task, &honest, other.make_send().unwrap());
    let child = act_with("waverer_part", |_| ()).right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    let mut ready = inbox.receive(long()).unwrap();
    let post = ready.take_rights().remove(0).into_send().unwrap();
    let name = format!("{:?}", Offence::MovesTakenBack);
    settled(|| task.metrics().offences, |found| found.get(&name) == Some(&1));
    assert!(child.ended_well());
    settled(|| post.is_dead(), |dead| *dead);
    drop(post);
    friend.send(Message::new("fine"), long()).unwrap();
    assert_eq!(other.receive(long()).unwrap().body(), b"fine");
    let TaskId { number, .. } = honest.identity().task;
    let others = |task: &Task| {
        task.peers().iter().filter(|peer| peer.identity().task.number != number).count()
    };
    settled(|| others(&task), |&others| others == 0);
}

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

#[test]
fn a_port_that_leads_back_to_itself_leads_nowhere() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(8));
    let child = act_with("circle_part", |_| ()).right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
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
    assert!(post.is_dead());
    drop(post);
    child.kill();
}

/// Takes a port and answers nobody who follows it; claims what is not its own.
#[test]
fn taker_part() {
    if !acting("taker_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    for ticket in 0..40 {
        let words = [&SOMEBODY.encode()[..], &u64::MAX.to_le_bytes()].concat();
        peer.say(Header { tag: ticket, ..Header::new(Kind::Claim, NOWHERE) }, &words);
    }
    loop {
        let (header, behind) = peer.next();
        if header.kind == Kind::Claim {
            // As if it were somebody's that it never gave.
            let words = [&behind[..16], &u64::MAX.to_le_bytes()].concat();
            let slot = Slot { index: limits::SLOTS, generation: 1 };
            peer.say(Header { tag: header.tag, ..Header::new(Kind::Joined, slot) }, &words);
            wait_for_the_end(&peer.socket);
            return;
        }
    }
}

#[test]
fn a_new_owner_that_lies_takes_its_own_port_only() {
    if is_part() {
        return;
    }
    let (task, honest) = (Task::current().unwrap(), Task::new());
    let inbox = task.port(Capacity::Bounded(8));
    let child = act_with("taker_part", |_| ());
    let child = child.right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let mut ready = inbox.receive(long()).unwrap();
    let way = ready.take_rights().remove(0).into_send().unwrap();
    let (port, other) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
    let own = port.make_send().unwrap();
    let far = give(&task, &honest, port.make_send().unwrap());
    let friend = give(&task, &honest, other.make_send().unwrap());
    way.send(Message::new("port").with_right(port), long()).unwrap();
    assert!(child.ended_well());
    // It went with the liar, and both are told.
    for right in [&own, &far] {
        let ended = right.send(Message::new("late"), long()).unwrap_err();
        assert_eq!(ended.reason, SendFailure::Dead);
    }
    friend.send(Message::new("fine"), long()).unwrap();
    assert_eq!(other.receive(long()).unwrap().body(), b"fine");
    let failed = way.send(Message::new("late"), long()).unwrap_err();
    assert_eq!(failed.reason, SendFailure::Fault(Offence::NeverExported));
}

/// Says that it sends again what nobody waits for, and that more of it is lost.
#[test]
fn repeater_part() {
    if !acting("repeater_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let inbox = peer.slot("inbox");
    let lost = Header { id: back::LOST, tag: u64::MAX, ..Header::new(Kind::Return, inbox) };
    peer.say(lost, &[]);
    let again = Header { flags: flag::AGAIN, ..Header::new(Kind::Message, inbox) };
    // As many as it holds places for.
    for tag in 0..2 {
        peer.say(Header { tag, ..again }, b"again");
        peer.say(lost, &[]);
    }
    wait_for_the_end(&peer.socket);
}

#[test]
fn what_is_sent_again_and_not_waited_for_is_a_message_like_any_other() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let inbox = task.port(Capacity::Bounded(8));
    let child = act_with("repeater_part", |_| ()).right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn_in(&task).unwrap());
    for tag in 0..2 {
        let message = inbox.receive(long()).unwrap();
        assert_eq!((message.body(), message.tag()), (&b"again"[..], tag));
    }
    assert!(task.metrics().offences.is_empty());
    task.close();
    assert!(child.ended_well());
}

/// Says the last word of a bag though somebody is out and something is owed, and goes.
#[test]
fn leaver_part() {
    if !acting("leaver_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let bag = RawBag::of(Passport { promises: 1, ..PORT });
    let bag = bag.with(Kind::Out, 5, &out_of_holder().encode()).with(Kind::Ended, 0, &[]);
    move_in(&mut peer, 0, 1, bag.fd);
    peer.wait_until_read();
}

#[test]
fn a_last_word_that_comes_too_early_keeps_no_port_for_ever() {
    if is_part() {
        return;
    }
    let (task, holder) = (Task::current().unwrap(), Task::new());
    let (inbox, other) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
    // So that its end is seen.
    let linked = give(&task, &holder, other.make_send().unwrap());
    let child = act_with("leaver_part", held_by(&holder));
    let child = child.right("inbox", inbox.make_send().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    let port = receive_port(&inbox);
    assert!(child.ended_well());
    settled(|| task.peers().iter().any(|peer| peer.identity().pid == child.pid()), |there| !there);
    let alone = task.port(Capacity::Bounded(1));
    port.notify_no_senders(alone.make_send_once().unwrap()).unwrap();
    drop(linked);
    holder.close();
    let news = alone.receive(long()).expect("nobody is out any more").notification();
    assert_eq!(news, Some(Notification::NoSenders));
}

#[test]
fn a_port_may_come_back_to_who_sent_it() {
    if is_part() {
        return;
    }
    let (one, two) = (Task::new(), Task::new());
    let (here, there) = (one.port(Capacity::Bounded(8)), two.port(Capacity::Bounded(8)));
    let go = give(&two, &one, there.make_send().unwrap());
    let back = give(&one, &two, here.make_send().unwrap());
    let mut port = one.port(Capacity::Bounded(8));
    let (mine, yours) = (port.make_send().unwrap(), give(&one, &two, port.make_send().unwrap()));
    for turn in 0..40 {
        mine.send(Message::new("").with_tag(turn), long()).unwrap();
        go.send(Message::new("port").with_right(port), long()).unwrap();
        port = receive_port(&there);
        yours.send(Message::new("").with_tag(turn), long()).unwrap();
        // To itself it goes as anything does.
        let own = two.port(Capacity::Bounded(1));
        own.make_send().unwrap().send(Message::new("").with_right(port), long()).unwrap();
        port = receive_port(&own);
        back.send(Message::new("port").with_right(port), long()).unwrap();
        port = receive_port(&here);
        for _ in 0..2 {
            assert_eq!(port.receive(long()).unwrap().tag(), turn);
        }
    }
}
