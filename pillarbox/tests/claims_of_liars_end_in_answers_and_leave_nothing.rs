//! Claims of liars are answered, in a number that is limited, and leave nothing: who
//! claims inboxes without end, who claims and reads no answers, two who each give on
//! what the other is to give them, and who names one ticket twice. Nobody else is
//! blamed or held up.

mod family;

use abi::frame::{Attached, Header, Kind, Onward, flag};
use abi::right::{Address, Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket, limits};
use family::member::{ASK, GOOD, KEEP, Told, obey};
use family::raw::{OWN, Peer, wait_for_the_end};
use family::{LONG, Reaped, act_with, acting, is_part, long, settled};
use pillarbox::{
    Callers, Capacity, Deadline, Holding, Message, Offence, ReceiveRight, SendRight, Task,
};

/// The variable that says what a liar does.
const WAY: &str = "PILLARBOX_TEST_WAY";
/// The variable that names the task it does it to.
const OWNER: &str = "PILLARBOX_TEST_OWNER";

const NOWHERE: Slot = Slot { index: 0, generation: 0 };
/// A giver nobody knows.
const NOBODY: TaskId = TaskId { process: 7, number: 7 };
/// Claims of one that reads the answers.
const CLAIMS: u64 = 3000;

/// What a liar does to the task `owner`.
type Way = fn(&mut Peer, TaskId);

const WAYS: [(&str, Option<Offence>, Way); 6] = [
    ("claims an inbox, and its answers read", None, |peer, owner| {
        let mut slots = Vec::new();
        for ticket in 0..CLAIMS {
            claim(peer, owner, ticket);
            let (answer, _) = answer(peer);
            assert_eq!((answer.kind, answer.tag), (Kind::Joined, ticket));
            slots.push(answer.slot);
        }
        slots.dedup();
        assert_eq!(slots.len(), 1, "one slot, counted");
        say_done(peer);
    }),
    ("claims of nobody, and its answers read", None, |peer, _| {
        for ticket in 0..CLAIMS {
            claim(peer, NOBODY, ticket);
            give_on(peer, (NOBODY, ticket), NOBODY, ticket, 0);
            assert_eq!(answer(peer).0.kind, Kind::Refused);
        }
        say_done(peer);
    }),
    ("claims without reading", Some(Offence::QuestionsExceeded), |peer, owner| {
        for ticket in 0.. {
            if peer.is_over() {
                return;
            }
            claim(peer, owner, ticket);
        }
    }),
    ("gives on by one ticket twice", Some(Offence::TicketReused), |peer, owner| {
        claim(peer, owner, 1);
        for _ in 0..2 {
            give_on(peer, (owner, 1), NOBODY, 5, 0);
        }
    }),
    ("gives on as a promise what is none", Some(Offence::RightKind), |peer, owner| {
        claim(peer, owner, 1);
        give_on(peer, (owner, 1), NOBODY, 5, flag::ONCE);
    }),
    ("gives on what has no end", Some(Offence::FrameTruncated), |peer, owner| {
        peer.say(Header::new(Kind::GiveOn, NOWHERE), &owner.encode());
    }),
];

fn claim(peer: &mut Peer, giver: TaskId, ticket: u64) {
    peer.say(Header { tag: ticket, ..Header::new(Kind::Claim, NOWHERE) }, &giver.encode());
}

fn give_on(peer: &mut Peer, claim: (TaskId, u64), to: TaskId, ticket: u64, flags: u8) {
    let (giver, claimed) = claim;
    let onward = Onward { to, giver, ticket: Ticket(claimed) };
    let header = Header { flags, tag: ticket, ..Header::new(Kind::GiveOn, NOWHERE) };
    peer.say(header, &onward.encode());
}

/// The next answer to a claim.
fn answer(peer: &mut Peer) -> (Header, Vec<u8>) {
    loop {
        let next = peer.next();
        if matches!(next.0.kind, Kind::Joined | Kind::Refused) {
            return next;
        }
    }
}

fn say_done(peer: &mut Peer) {
    peer.send(peer.slot("inbox"), &Attached::default(), b"done");
}

fn task_in(text: &str) -> TaskId {
    let (process, number) = text.split_once('.').unwrap();
    TaskId { process: process.parse().unwrap(), number: number.parse().unwrap() }
}

fn told_of(task: TaskId) -> String {
    format!("{}.{}", task.process, task.number)
}

#[test]
fn liar_part() {
    if !acting("liar_part") {
        return;
    }
    let way = std::env::var(WAY).unwrap();
    let (_, _, lie) = WAYS.iter().find(|(name, ..)| *name == way).unwrap();
    let mut peer = Peer::of_parent();
    lie(&mut peer, task_in(&std::env::var(OWNER).unwrap()));
    peer.ring();
    wait_for_the_end(&peer.socket);
}

#[test]
fn member_part() {
    obey("member_part");
}

fn liar(part: &str, task: &Task, way: &str, inbox: SendRight) -> Reaped {
    let child = act_with(part, |command| {
        command.env(WAY, way).env(OWNER, told_of(task.identity().task));
    });
    Reaped(child.right("inbox", inbox).spawn_in(task).unwrap())
}

/// What the task counts for others, by port or on the way.
fn counted(task: &Task, of: &ReceiveRight) -> u64 {
    let rows = task.census().rows.into_iter().filter(|row| {
        matches!(row.holding, Holding::Given | Holding::ExportedSend) && row.port == of.id()
    });
    rows.map(|row| row.count).sum()
}

#[test]
fn whatever_is_claimed_ends_with_who_claimed_it() {
    if is_part() {
        return;
    }
    for (way, offence, _) in WAYS {
        let task = Task::new();
        let news = task.port(Capacity::Unbounded);
        let inbox = task.open_inbox(Capacity::Bounded(4), Callers::anyone()).unwrap();
        let mut child = liar("liar_part", &task, way, news.make_send().unwrap());
        match offence {
            None => {
                // Thousands of turns of two processes: long, where others want the machine.
                let done = news.receive(Deadline::after(6 * LONG));
                assert_eq!(done.unwrap().body(), b"done", "{way}");
                assert!(counted(&task, &inbox) <= CLAIMS, "{way}");
                child.kill();
            }
            Some(offence) => {
                let name = format!("{offence:?}");
                settled(|| task.metrics().offences, |found| found.get(&name) == Some(&1));
            }
        }
        settled(|| counted(&task, &inbox), |&counted| counted == 0);
        settled(|| inbox.status().senders, |&senders| senders == 0);
        settled(|| task.peers().len(), |&peers| peers == 0);
    }
}

/// One of two: each claims of the other, and gives the other what it claims.
#[test]
fn one_of_two_part() {
    if !acting("one_of_two_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("inbox"));
    let (go, body) = peer.next();
    assert_eq!((go.kind, go.slot), (Kind::Message, OWN));
    let other = task_in(std::str::from_utf8(&body).unwrap());
    for round in 0..200 {
        claim(&mut peer, other, round);
        give_on(&mut peer, (other, round), other, round, 0);
        assert_eq!(answer(&mut peer).0.kind, Kind::Refused);
    }
    say_done(&mut peer);
    wait_for_the_end(&peer.socket);
}

#[test]
fn a_chain_that_leads_back_into_itself_is_refused() {
    if is_part() {
        return;
    }
    let task = Task::new();
    let inbox = task.port(Capacity::Unbounded);
    let liars: Vec<Reaped> =
        (0..2).map(|_| liar("one_of_two_part", &task, "", inbox.make_send().unwrap())).collect();
    let mut posts = Vec::new();
    for _ in &liars {
        let mut ready = inbox.receive(long()).unwrap();
        let from = ready.sender().unwrap().task;
        posts.push((from, ready.take_rights().remove(0).into_send().unwrap()));
    }
    for (at, (_, post)) in posts.iter().enumerate() {
        let (other, _) = posts[1 - at];
        post.send(Message::new(told_of(other)), long()).unwrap();
    }
    for _ in &liars {
        assert_eq!(inbox.receive(long()).unwrap().body(), b"done");
    }
    assert!(task.metrics().offences.is_empty());
    assert!(!task.census().rows.iter().any(|row| row.holding == Holding::Given && row.count > 0));
}

/// Names one ticket of an owner it never met in two rights.
#[test]
fn repeater_part() {
    if !acting("repeater_part") {
        return;
    }
    let mut peer = Peer::of_parent();
    let owner = task_in(&std::env::var(OWNER).unwrap());
    let (kind, address) = (RightKind::Send, Address::default());
    let right = RightRef::Third { kind, owner, address, ticket: Ticket(5) };
    let attached = Attached { rights: vec![right, right], ..Attached::default() };
    peer.send(peer.slot("inbox"), &attached, b"two of one");
    wait_for_the_end(&peer.socket);
}

#[test]
fn a_ticket_named_twice_is_the_givers_offence_and_not_the_owners() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let owner = Told::start("member_part");
    let right = owner.port();
    let id = right.owner().unwrap();
    let inbox = task.port(Capacity::Unbounded);
    // The answers come when both are claimed.
    owner.child.stop();
    let child = act_with("repeater_part", |command| {
        command.env(OWNER, told_of(id));
    });
    let _child = Reaped(child.right("inbox", inbox.make_send().unwrap()).spawn().unwrap());
    let mut message = inbox.receive(long()).unwrap();
    settled(|| task.metrics().offences, |found| found.get("TicketReused") == Some(&1));
    owner.child.resume();
    for right in message.take_rights() {
        let right = right.into_send().unwrap();
        assert!(right.status(long()).is_err() && right.is_dead());
    }
    // The owner is as good as before.
    owner.give(KEEP, right.clone());
    assert_eq!(owner.tell(ASK, 0), GOOD);
    assert!(right.status(long()).is_ok());
    const { assert!(limits::QUESTIONS as u64 <= CLAIMS) };
}
