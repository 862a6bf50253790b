//! Peers that send garbage of every sort, one after another and several at a
//! time, while honest children work with the same task: no panic anywhere, no
//! honest message lost, late in order, or doubled, and nothing left over.
//!
//! What each single offence is called is told in
//! `each_offence_is_named_and_ends_one_link.rs`; here nobody looks.

mod family;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi::frame::{Attached, Header, Kind, flag};
use abi::loan::{Loan, RegionRef};
use abi::page::{BOARD_AT, GRANTED_AT, HEAD_AT, LANE_AT, SLEEP_AT, TAIL_AT};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Slot, TaskId, Ticket, limits};
use family::raw::{LANE, Peer};
use family::residue::Residue;
use family::{
    Random, Reaped, act, act_with, acting, given, is_part, long, meet, offer, seed, settled, tell,
};
use pillarbox::{Capacity, Deadline, Message, Right, Task};
use shm::socket::LinkSocket;

/// Messages each of two honest children sends one way.
const STREAM: i32 = 450_000;
/// Calls a third one answers: two frames each.
const CALLS: i32 = 50_000;

const SEED: &str = "PILLARBOX_TEST_SEED";

/// How long a hostile peer may go on before it is killed.
const PATIENCE: Duration = Duration::from_millis(150);

// ---- the honest ------------------------------------------------------------------

#[test]
fn stream_part() {
    if !acting("stream_part") {
        return;
    }
    let inbox = given("inbox");
    for number in 0..STREAM {
        inbox.send(Message::new("honest").with_id(number), long()).unwrap();
    }
}

#[test]
fn echo_part() {
    if !acting("echo_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(16));
    offer(&[&inbox]);
    for _ in 0..CALLS {
        let mut request = inbox.receive(long()).unwrap();
        let answer = Message::new(request.body()).with_id(request.id());
        request.reply(answer, long()).unwrap();
    }
}

fn stream(task: &Task) {
    let inbox = task.port(Capacity::Bounded(256));
    let child = act("stream_part").right("inbox", inbox.make_send().unwrap()).spawn();
    let mut child = Reaped(child.unwrap());
    for number in 0..STREAM {
        let message = inbox.receive(long()).unwrap();
        assert_eq!(message.id(), number);
        assert_eq!(message.sender().unwrap().pid, child.pid());
        assert_eq!(message.body(), b"honest");
    }
    assert!(child.ended_well());
}

fn calls(task: &Task) {
    let inbox = task.port(Capacity::Bounded(1));
    let (mut child, [echo]) = meet(act("echo_part"), &inbox);
    for number in 0..CALLS {
        let answer = echo.call(Message::new("honest").with_id(number), long()).unwrap();
        assert_eq!((answer.id(), answer.body()), (number, &b"honest"[..]));
    }
    assert!(child.ended_well());
}

// ---- the hostile -----------------------------------------------------------------

fn odd_number(random: &mut Random) -> u64 {
    match random.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => random.next(),
        3 => 1 << random.below(64),
        _ => random.below(8),
    }
}

fn odd_loan(random: &mut Random) -> Loan {
    Loan {
        memory: random.below(3) as u32,
        place: random.below(u64::from(limits::LOANS) + 2) as u32,
        page: random.below(300) as u32,
        generation: odd_number(random),
        length: odd_number(random),
    }
}

fn odd_region(random: &mut Random) -> RegionRef {
    match random.below(2) {
        0 => RegionRef::Lent(odd_loan(random)),
        _ => RegionRef::Sealed { length: odd_number(random) },
    }
}

fn odd_slot(random: &mut Random) -> Slot {
    let index =
        if random.below(8) == 0 { odd_number(random) as u32 } else { random.below(4) as u32 };
    Slot { index, generation: if random.below(8) == 0 { odd_number(random) as u32 } else { 1 } }
}

fn odd_task(random: &mut Random) -> TaskId {
    TaskId { process: odd_number(random), number: odd_number(random) }
}

fn odd_right(random: &mut Random, peer: &Peer) -> RightRef {
    let kind = if random.below(2) == 0 { RightKind::Send } else { RightKind::SendOnce };
    match random.below(4) {
        0 => RightRef::Yours(kind, odd_slot(random)),
        1 => RightRef::Dead(kind),
        2 => RightRef::Third {
            kind,
            owner: odd_task(random),
            address: peer.address,
            ticket: Ticket(odd_number(random)),
        },
        _ => RightRef::Mine(kind, odd_slot(random)),
    }
}

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

/// Frames of every kind that are almost right.
fn almost(peer: &mut Peer, random: &mut Random) {
    // All but the skip, which the lane itself writes.
    let kinds = &Kind::ALL[1..];
    let mut packet = 0;
    while !peer.is_over() {
        let kind = match random.below(3) {
            0 => Kind::Message,
            _ => kinds[random.below(kinds.len() as u64) as usize],
        };
        let slot = odd_slot(random);
        let id = odd_number(random) as i32;
        let header = Header { id, tag: odd_number(random), ..Header::new(kind, slot) };
        if kind == Kind::Message || kind == Kind::Welcome {
            let descriptors = if random.below(4) == 0 { random.below(3) as u16 } else { 0 };
            let rights = (0..random.below(4)).map(|_| odd_right(random, peer)).collect();
            let reply = (random.below(3) == 0).then(|| odd_right(random, peer));
            let accepted = (random.below(8) == 0).then(|| odd_right(random, peer));
            let lent = (random.below(8) == 0).then(|| odd_loan(random));
            let regions = (0..random.below(3)).map(|_| odd_region(random)).collect();
            let attached =
                Attached { reply, accepted, rights, descriptors, packet, region: 0, lent, regions };
            if descriptors > 0 {
                let fds: Vec<_> = (0..descriptors).map(|_| null()).collect();
                peer.send_descriptors(packet, &fds);
                packet += 1;
            }
            let mut behind = Vec::new();
            let mut flags = attached.encode(&mut behind);
            let extra = behind.len() as u32;
            if random.below(5) == 0 {
                flags |= flag::NOTIFICATION;
            }
            behind.resize(behind.len() + random.below(300) as usize, 7);
            peer.say(Header { flags, extra, ..header }, &behind);
        } else {
            let flags = if random.below(4) == 0 { random.below(16) as u8 } else { 0 };
            let bytes = if random.below(2) == 0 { 16 } else { random.below(33) as usize };
            let mut behind = odd_task(random).encode().to_vec();
            behind.resize(bytes, 0);
            peer.say(Header { flags, ..header }, &behind);
        }
    }
}

/// Any bytes as frames.
fn garbage(peer: &mut Peer, random: &mut Random) {
    let mut bytes = vec![0; 8 * (8 + random.below(4096) as usize)];
    for byte in &mut bytes {
        *byte = random.next() as u8;
    }
    if random.below(2) == 0 {
        // As far as the length is looked at, good.
        bytes[..8].copy_from_slice(&[64, 0, 0, 0, random.below(16) as u8, 0, 0, 0]);
        bytes[20..24].copy_from_slice(&(random.below(40) as u32).to_le_bytes());
    }
    bytes.truncate((u64::from(LANE) - peer.writer.head()) as usize);
    peer.frame(&bytes, random.below(bytes.len() as u64 / 8) * 8);
}

/// Good messages, whose bytes change while they are read.
fn changing(peer: &mut Peer, random: &mut Random) {
    let inbox = peer.slot("open");
    let rights = vec![RightRef::Yours(RightKind::Send, inbox); 20];
    while !peer.is_over() {
        let attached = Attached { rights: rights.clone(), ..Attached::default() };
        let before = peer.writer.head();
        peer.send(inbox, &attached, &[3; 500]);
        for _ in 0..8 {
            let at = (before + random.below(900)) % u64::from(LANE - 8);
            let noise = random.next().to_le_bytes();
            peer.scribble(LANE_AT + at as usize, &noise[..1 + random.below(7) as usize]);
        }
    }
}

/// Any number in any word of the page.
fn words(peer: &mut Peer, random: &mut Random) {
    const WORDS: [usize; 5] = [TAIL_AT, GRANTED_AT, SLEEP_AT, SLEEP_AT + 8, SLEEP_AT + 16];
    for _ in 0..500 {
        let at = match random.below(2) {
            0 => BOARD_AT + 8 * random.below(16) as usize,
            // The head not among them: it ends the game.
            _ => WORDS[random.below(WORDS.len() as u64) as usize],
        };
        peer.scribble(at, &odd_number(random).to_le_bytes());
        peer.ring();
        let inbox = peer.slot("open");
        if random.below(4) == 0 {
            peer.send(inbox, &Attached::default(), b"between");
        }
    }
    peer.scribble(HEAD_AT, &odd_number(random).to_le_bytes());
}

/// Bells without end, and descriptors that belong to nothing.
fn bells(peer: &mut Peer, random: &mut Random) {
    for _ in 0..100_000 {
        peer.socket.ring();
        peer.own.wake_head();
    }
    let fds = [null()];
    for _ in 0..1000 {
        peer.send_descriptors(random.below(3) as u32, &fds);
    }
}

/// Connections to the other side's door that say nothing, or nonsense.
fn knocks(peer: &mut Peer, random: &mut Random) {
    let mut silent = Vec::new();
    for _ in 0..500 {
        let Ok(socket) = LinkSocket::connect(&peer.address) else { continue };
        let mut packet = vec![0; random.below(200) as usize];
        for byte in &mut packet {
            *byte = random.next() as u8;
        }
        let hello = abi::hello::MAGIC.to_le_bytes();
        let length = packet.len().min(8);
        match random.below(3) {
            0 => silent.push(socket),
            1 => drop(socket.send(&packet, &[null().as_fd()])),
            _ => {
                packet[..length].copy_from_slice(&hello[..length]);
                drop(socket.send(&packet, &[]));
            }
        }
    }
}

#[test]
fn hostile_part() {
    if !acting("hostile_part") {
        return;
    }
    let mut random = Random::new(std::env::var(SEED).unwrap().parse().unwrap());
    let mut peer = Peer::of_parent();
    peer.give_own_right(peer.slot("open"));
    match random.below(8) {
        0..3 => almost(&mut peer, &mut random),
        3 => garbage(&mut peer, &mut random),
        4 => changing(&mut peer, &mut random),
        5 => words(&mut peer, &mut random),
        6 => bells(&mut peer, &mut random),
        _ => knocks(&mut peer, &mut random),
    }
    peer.ring();
}

/// Takes what a hostile peer sends, as long as it lives, and uses it.
fn suffer(task: &Task, random: &mut Random) -> u64 {
    let inbox = task.port(Capacity::Bounded(16));
    let open = task.port(Capacity::Unbounded);
    let once = task.port(Capacity::Bounded(1));
    let over = task.port(Capacity::Bounded(1));
    let child = act_with("hostile_part", |command| {
        command.env(SEED, random.next().to_string()).stderr(std::process::Stdio::null());
    });
    let child = child
        .right("inbox", inbox.make_send().unwrap())
        .right("open", open.make_send().unwrap())
        .right("once", once.make_send_once().unwrap());
    let mut child = Reaped(child.spawn().unwrap());
    open.notify_no_senders(over.make_send_once().unwrap()).unwrap();
    let until = Instant::now() + PATIENCE;
    let mut taken = 0;
    let mut kept = Vec::new();
    let soon = || Deadline::after(Duration::from_millis(2));
    while Instant::now() < until && over.receive(Deadline::Now).is_err() {
        let Ok(mut message) = open.receive(soon()).or_else(|_| inbox.receive(Deadline::Now)) else {
            continue;
        };
        taken += 1;
        let _ = message.reply(Message::new("thank you"), Deadline::Now);
        for right in message.take_rights() {
            match right {
                Right::Send(right) => {
                    let _ = right.send(Message::new("you"), soon());
                    let _ = right.status(soon());
                    kept.push(right);
                }
                Right::SendOnce(right) => drop(right.send(Message::new("once"), soon())),
                _ => {}
            }
        }
        kept.truncate(random.below(32) as usize);
    }
    child.kill();
    taken
}

#[test]
fn the_honest_notice_nothing() {
    static PANICS: AtomicU64 = AtomicU64::new(0);
    if is_part() {
        return;
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
    let task = Task::current().unwrap();
    let seed = seed();
    for round in 0..8 {
        let _ = suffer(&task, &mut Random::new(round));
    }
    settled(|| task.census(), |census| census.rows.is_empty());
    let before = Residue::now();

    let done = AtomicBool::new(false);
    let (rounds, frames) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let honest = [
            scope.spawn(|| stream(&task)),
            scope.spawn(|| stream(&task)),
            scope.spawn(|| calls(&task)),
        ];
        for offset in 0..2 {
            let (task, done, rounds, frames) = (&task, &done, &rounds, &frames);
            let mut random = Random::new(seed.wrapping_add(offset));
            let thread = std::thread::Builder::new().name(format!("PILLARBOX_SEED={seed}"));
            let hostile = thread.spawn_scoped(scope, move || {
                while !done.load(Ordering::Relaxed) {
                    frames.fetch_add(suffer(task, &mut random), Ordering::Relaxed);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
            drop(hostile.unwrap());
        }
        for thread in honest {
            // A panic of theirs must not keep the others at it.
            if thread.join().is_err() {
                done.store(true, Ordering::Relaxed);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(rounds.load(Ordering::Relaxed) > 10, "there was hostility");
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "seed {seed}");
    settled(|| task.peers().len(), |&peers| peers == 0);
    settled(Residue::now, |now| now.is_within(&before));
    settled(|| task.census(), |census| census.rows.is_empty());
    let (rounds, frames) = (rounds.into_inner(), frames.into_inner());
    tell(&format!("{rounds} hostile peers, {frames} of their messages taken"));
}
