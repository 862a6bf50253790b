//! A port goes round a ring of four tasks, 200 times from one to the next, while
//! two others send to it. Each pass has a deadline and waits for the senders to
//! follow. What was accepted comes once and in order, also where one of the four is
//! killed on the way: unless the port was with the dead, when all are told.

mod family;

use std::time::Duration;

use family::{Random, Reaped, act, acting, given, is_part, long, seed, tell};
use pillarbox::{Capacity, Deadline, Message, ReceiveRight, Right, SendFailure, SendRight, Task};

/// Passes from one to the next.
const PASSES: u64 = 200;

/// Messages of each sender.
const MESSAGES: u64 = 1_500;

const SENDERS: usize = 2;

/// What travels beside the port: how often it was passed on, and the number each
/// sender's next message must have.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    passes: u64,
    next: [u64; SENDERS],
}

impl State {
    fn encode(self) -> Vec<u8> {
        [self.passes, self.next[0], self.next[1]].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn decode(body: &[u8]) -> State {
        let at = |at: usize| u64::from_le_bytes(body[at * 8..at * 8 + 8].try_into().unwrap());
        State { passes: at(0), next: [at(1), at(2)] }
    }

    /// Takes one message, which must be the next of its sender's.
    fn take(&mut self, port: &ReceiveRight, deadline: Deadline) -> bool {
        let Ok(message) = port.receive(deadline) else { return false };
        let sender = usize::try_from(message.id()).unwrap();
        assert_eq!(message.tag(), self.next[sender], "of sender {sender}, at {self:?}");
        self.next[sender] += 1;
        true
    }

    fn is_done(&self) -> bool {
        self.next.iter().all(|next| *next == MESSAGES)
    }
}

/// Takes a few messages and passes the port on to the first that lives.
fn pass_on(mut state: State, port: ReceiveRight, others: &[SendRight]) {
    for _ in 0..6 {
        state.take(&port, Deadline::after(Duration::from_millis(1)));
    }
    state.passes += 1;
    let mut message = Message::new(state.encode()).with_right(port);
    for other in others {
        match other.send(message, long()) {
            Ok(()) => return,
            Err(error) => {
                assert_eq!(error.reason, SendFailure::Dead, "{state:?}");
                message = *error.message;
            }
        }
    }
    panic!("nobody lives");
}

fn unpack(mut message: Message) -> (State, ReceiveRight) {
    let state = State::decode(message.body());
    let right = message.take_rights().pop().and_then(|right| right.into_receive().ok());
    (state, right.expect("a port"))
}

#[test]
fn member_part() {
    if !acting("member_part") {
        return;
    }
    let task = Task::current().unwrap();
    let inbox = task.port(Capacity::Bounded(8));
    let hello = Message::new("hello").with_right(inbox.make_send().unwrap());
    given("parent").send(hello, long()).unwrap();
    let others = inbox.receive(long()).unwrap().take_rights();
    let others: Vec<SendRight> = others.into_iter().map(|one| one.into_send().unwrap()).collect();
    while let Ok(message) = inbox.receive(long()) {
        if message.body().is_empty() {
            return;
        }
        let (state, port) = unpack(message);
        pass_on(state, port, &others);
    }
}

#[test]
fn sender_part() {
    if !acting("sender_part") {
        return;
    }
    let (port, parent) = (given("port"), given("parent"));
    let number: i32 = std::env::var("SENDER").unwrap().parse().unwrap();
    port.status(long()).unwrap();
    parent.send(Message::new("joined"), long()).unwrap();
    let mut accepted = 0;
    while accepted < MESSAGES {
        let message = Message::new("number").with_id(number).with_tag(accepted);
        match port.send(message, long()) {
            Ok(()) => accepted += 1,
            Err(error) => {
                assert_eq!(error.reason, SendFailure::Dead);
                break;
            }
        }
    }
    parent.send(Message::new("done").with_id(number).with_tag(accepted), long()).unwrap();
}

struct Ring {
    members: Vec<Reaped>,
    _senders: Vec<Reaped>,
    inbox: ReceiveRight,
    others: Vec<SendRight>,
    post: SendRight,
    reports: ReceiveRight,
}

impl Ring {
    /// Three members beside ourselves, and those who send; the port begins here.
    fn start(task: &Task) -> (Ring, ReceiveRight) {
        let inbox = task.port(Capacity::Bounded(8));
        let mut members = Vec::new();
        let mut others = Vec::new();
        for _ in 0..3 {
            let child = act("member_part").right("parent", inbox.make_send().unwrap()).spawn();
            members.push(Reaped(child.unwrap()));
            let right = inbox.receive(long()).unwrap().take_rights().pop();
            let Some(Right::Send(way)) = right else { panic!("a way") };
            others.push(way);
        }
        for at in 0..3 {
            // Whoever comes next in the ring is tried first; we come last.
            let after = others[at + 1..].iter().cloned();
            let before = others[..at].iter().cloned();
            let all = after.chain(Some(inbox.make_send().unwrap())).chain(before);
            let message = all.fold(Message::new("ring"), Message::with_right);
            others[at].send(message, long()).unwrap();
        }
        let port = task.port(Capacity::Bounded(32));
        let reports = task.port(Capacity::Bounded(8));
        let senders = (0..SENDERS).map(|number| {
            let child = family::act_with("sender_part", |command| {
                command.env("SENDER", number.to_string());
            });
            let child = child
                .right("port", port.make_send().unwrap())
                .right("parent", reports.make_send().unwrap())
                .spawn();
            assert_eq!(reports.receive(long()).unwrap().body(), b"joined");
            Reaped(child.unwrap())
        });
        let senders = senders.collect();
        let post = port.make_send().unwrap();
        (Ring { members, _senders: senders, inbox, others, post, reports }, port)
    }

    /// Passes the port round until it has gone far enough, or died.
    fn turn(&self, port: ReceiveRight) -> Option<(State, ReceiveRight)> {
        let mut held = Some((State::default(), port));
        let until = Deadline::after(3 * family::LONG);
        loop {
            if let Some((state, port)) = held.take() {
                if state.passes >= PASSES {
                    return Some((state, port));
                }
                pass_on(state, port, &self.others);
            }
            match self.inbox.receive(Deadline::after(Duration::from_millis(20))) {
                Ok(message) => held = Some(unpack(message)),
                // Our own right has gone all the way with it.
                Err(_) if self.post.is_dead() => return None,
                Err(_) => assert!(!until.has_passed(), "it came round no more"),
            }
        }
    }

    fn finish(self, mut state: State, port: &ReceiveRight) {
        while !state.is_done() {
            let came = state.take(port, long());
            let report = || self.reports.receive(Deadline::Now).map(|one| (one.id(), one.tag()));
            assert!(came, "{state:?}, reported {:?}", [report(), report()]);
        }
        assert!(port.receive(Deadline::Now).is_err());
        for _ in 0..SENDERS {
            assert_eq!(self.reports.receive(long()).unwrap().tag(), MESSAGES);
        }
    }
}

#[test]
fn it_comes_round_with_all_that_was_sent() {
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let (ring, port) = Ring::start(&task);
    let (state, port) = ring.turn(port).expect("nobody died");
    tell(&format!("after {} passes {:?} had come", state.passes, state.next));
    ring.finish(state, &port);
}

#[test]
fn one_of_them_is_killed() {
    const ROUNDS: usize = 3;
    if is_part() {
        return;
    }
    let task = Task::current().unwrap();
    let seed = seed();
    let mut random = Random::new(seed);
    let mut lived = 0;
    for _ in 0..ROUNDS {
        let (mut ring, port) = Ring::start(&task);
        let mut victim = ring.members.swap_remove(usize::try_from(random.below(3)).unwrap());
        let pause = random.micros(300_000);
        let killer = std::thread::spawn(move || {
            std::thread::park_timeout(pause);
            victim.kill();
        });
        let came = ring.turn(port);
        killer.join().unwrap();
        if let Some((state, port)) = came {
            lived += 1;
            ring.finish(state, &port);
        } else {
            // Both are told, and nobody waits for ever.
            for _ in 0..SENDERS {
                assert!(ring.reports.receive(long()).is_ok(), "seed {seed}");
            }
        }
    }
    tell(&format!("of {ROUNDS} ports {lived} outlived a task of their ring"));
}
