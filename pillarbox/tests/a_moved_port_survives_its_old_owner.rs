//! A port goes from one process to another while a third sends to it, and old or
//! new owner are killed at any moment: what was accepted comes once and in order,
//! or the port is gone for everybody.

mod family;

use std::time::Duration;

use family::{Random, Reaped, act, acting, given, is_part, long, meet, offer, seed, tell};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Right, SendFailure, SendRight, Task};

/// Messages a sender has for the port.
const MESSAGES: u64 = 2_000;

/// Makes a port, lets it fill, and gives it away.
#[test]
fn owner_part() {
    if !acting("owner_part") {
        return;
    }
    let task = Task::current().unwrap();
    let port = task.port(Capacity::Bounded(64));
    let parent = offer(&[&port]);
    let wait = task.port(Capacity::Bounded(1));
    let pause = Duration::from_micros(u64::from(std::process::id()) % 7 * 400);
    let _ = wait.receive(Deadline::after(pause));
    let _ = parent.send(Message::new("port").with_right(port), long());
    let _ = wait.receive(long());
}

/// Takes a port and keeps it until it is killed.
#[test]
fn taker_part() {
    if !acting("taker_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(1));
    offer(&[&inbox]);
    let Ok(mut message) = inbox.receive(long()) else { return };
    let port = message.take_rights().pop().and_then(|right| right.into_receive().ok()).unwrap();
    while port.receive(long()).is_ok() {}
}

/// Sends numbers until it is done or the port is gone, and says how many were
/// accepted.
#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let (port, parent) = (given("port"), given("parent"));
    // A right that is still on its way through an owner dies with that owner.
    port.status(long()).unwrap();
    parent.send(Message::new("joined"), long()).unwrap();
    let mut accepted = 0;
    let mut gone = false;
    for tag in 1..=MESSAGES {
        match port.send(Message::new("number").with_tag(tag), long()) {
            Ok(()) => accepted = tag,
            Err(error) => {
                assert_eq!(error.reason, SendFailure::Dead);
                gone = true;
                break;
            }
        }
    }
    parent.send(Message::new("done").with_tag(accepted).with_id(i32::from(gone)), long()).unwrap();
    drop(port);
}

fn right(message: &mut Message) -> Right {
    message.take_rights().pop().expect("a right came")
}

/// A sender for `port`, and where it reports.
fn sender(task: &Task, port: SendRight) -> (Reaped, ReceiveRight) {
    let reports = task.port(Capacity::Bounded(1));
    let child = act("sender_part")
        .right("port", port)
        .right("parent", reports.make_send().unwrap())
        .spawn();
    let child = Reaped(child.unwrap());
    assert_eq!(reports.receive(long()).unwrap().body(), b"joined");
    (child, reports)
}

/// Takes all there is of `port`; the numbers must be those accepted.
fn take_all(port: &ReceiveRight, reports: &ReceiveRight, seed: u64) {
    let mut next = 1;
    while next <= MESSAGES {
        let message = port.receive(long()).unwrap_or_else(|_| panic!("no {next}, seed {seed}"));
        assert_eq!(message.tag(), next, "seed {seed}");
        next += 1;
    }
    assert!(port.receive(Deadline::Now).is_err());
    let report = reports.receive(long()).unwrap();
    assert_eq!((report.tag(), report.id()), (MESSAGES, 0), "seed {seed}");
}

fn kill_the_old_owner(task: &Task, seed: u64, random: &mut Random) -> bool {
    let inbox = task.port(Capacity::Bounded(4));
    let (mut owner, [port]) = meet(act("owner_part"), &inbox);
    let (_sender, reports) = sender(task, port);
    if random.below(2) == 0 {
        // Before, in the midst of it, or after.
        std::thread::park_timeout(random.micros(12_000));
        owner.kill();
    }
    let came = loop {
        match inbox.receive(Deadline::after(Duration::from_millis(20))) {
            Ok(mut message) => break Some(right(&mut message)),
            Err(_) if matches!(owner.0.try_wait(), Ok(Some(_))) => {
                break inbox.receive(Deadline::Now).ok().map(|mut message| right(&mut message));
            }
            Err(_) => {}
        }
    };
    let Some(Right::Receive(port)) = came else {
        let report = reports.receive(long()).unwrap();
        assert_eq!(report.id(), 1, "seed {seed}: the port died with its owner");
        return false;
    };
    if random.below(2) == 0 {
        std::thread::park_timeout(random.micros(2_000));
        owner.kill();
    }
    take_all(&port, &reports, seed);
    true
}

fn kill_the_new_owner(task: &Task, seed: u64, random: &mut Random) -> bool {
    let inbox = task.port(Capacity::Bounded(4));
    let (mut taker, [way]) = meet(act("taker_part"), &inbox);
    let port = task.port(Capacity::Bounded(64));
    let (_sender, reports) = sender(task, port.make_send().unwrap());
    let pause = random.micros(6_000);
    let killer = std::thread::spawn(move || {
        std::thread::park_timeout(pause);
        taker.kill();
    });
    std::thread::park_timeout(random.micros(6_000));
    let sent = way.send(Message::new("port").with_right(port), long());
    killer.join().unwrap();
    match sent {
        Err(error) => {
            let Right::Receive(port) = right(&mut { *error.message }) else { panic!("a port") };
            take_all(&port, &reports, seed);
            false
        }
        Ok(()) => {
            let report = reports.receive(long()).unwrap();
            let all = report.tag() == MESSAGES;
            assert!(report.id() == 1 || all, "seed {seed}: {} were accepted", report.tag());
            true
        }
    }
}

#[test]
fn whoever_dies_nothing_is_lost_or_doubled() {
    const ROUNDS: u32 = 12;
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let seed = seed();
    let mut random = Random::new(seed);
    let (mut moved, mut taken) = (0, 0);
    for _ in 0..ROUNDS {
        moved += u32::from(kill_the_old_owner(&task, seed, &mut random));
        taken += u32::from(kill_the_new_owner(&task, seed, &mut random));
    }
    tell(&format!("of {ROUNDS} ports each {moved} outlived their owner, {taken} died with theirs"));
}
