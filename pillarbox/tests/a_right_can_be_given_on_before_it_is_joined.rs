//! A right is given on before its owner has confirmed it: the owner may be stopped,
//! and the right goes from task to task all the same, without anybody waiting for
//! the owner's answer. When the owner runs again the last holder's right is good and
//! all counts are exact. Whoever is killed on the way, the right arrives alive or
//! dead, nobody hangs, and nothing is left at the owner.

mod family;

use family::member::{
    ANSWER, ASK, CALL, COPY, COUNTED, DEAD, DROP, GOOD, HEARD, KEEP, MOVE, NEWS, ONCE, PASS,
    PASS_ASYNC, SAY, SENDERS, TELL_DEAD, TOLD, Told, obey,
};
use family::{Random, is_part, long, seed, settled, tell};
use pillarbox::{Capacity, Message, ReceiveRight, SendRight, Task};

#[test]
fn member_part() {
    obey("member_part");
}

/// An owner and those that hand its rights on, each to the next.
struct Chain {
    owner: Told,
    members: Vec<Told>,
}

impl Chain {
    /// All are linked with the owner.
    fn new(length: usize) -> Chain {
        let chain = Chain::strangers(length);
        let known = chain.owner.port();
        for member in &chain.members {
            member.give(KEEP, known.clone());
            assert_eq!(member.tell(ASK, 0), GOOD);
            member.tell(DROP, 0);
        }
        chain
    }

    /// Only the first will know the owner.
    fn strangers(length: usize) -> Chain {
        let owner = Told::start("member_part");
        let members: Vec<_> = (0..length).map(|_| Told::start("member_part")).collect();
        for pair in members.windows(2) {
            pair[0].before(&pair[1]);
        }
        Chain { owner, members }
    }

    fn last(&self) -> &Told {
        self.members.last().unwrap()
    }

    /// Gives the first a right to a new port of the owner's.
    fn begin(&self) {
        let right = self.owner.port();
        self.members[0].give(KEEP, right);
        assert_eq!(self.members[0].tell(ASK, 0), GOOD);
        settled(|| self.owner.tell(SENDERS, 0), |&senders| senders == 1);
    }

    /// Passes on what the first keeps, until the last keeps it.
    fn pass(&self, deadline_ms: u64) {
        for pair in self.members.windows(2) {
            assert_eq!(pair[0].tell(PASS, deadline_ms), 1, "nobody waits for the owner");
            pair[1].holds(1);
        }
    }

    fn nothing_is_left(&self) {
        settled(|| self.owner.tell(SENDERS, 0), |&senders| senders == 0);
        settled(|| self.owner.tell(TOLD, 0), |&told| told == 1);
        settled(|| self.owner.tell(COUNTED, 0), |&counted| counted == 0);
    }
}

#[test]
fn a_chain_does_not_wait_for_its_owner() {
    if is_part() {
        return;
    }
    let chain = Chain::new(4);
    for deadline_ms in [20_000, 0] {
        chain.begin();
        chain.owner.child.stop();
        chain.pass(deadline_ms);
        chain.owner.child.resume();
        assert_eq!(chain.last().tell(ASK, 0), GOOD);
        assert_eq!(chain.last().tell(SAY, 1), GOOD);
        // One holder is left, and only it.
        settled(|| chain.owner.tell(SENDERS, 0), |&senders| senders == 1);
        assert_eq!(chain.owner.tell(TOLD, 0), 0);
        chain.last().tell(DROP, 0);
        chain.nothing_is_left();
    }
}

#[test]
fn a_link_that_is_not_there_is_waited_for_and_nothing_else() {
    if is_part() {
        return;
    }
    let chain = Chain::strangers(3);
    chain.begin();
    chain.owner.child.stop();
    assert_eq!(chain.members[0].tell(PASS, 20_000), 1);
    chain.members[1].holds(1);
    // Nobody answers its knock: it keeps the right.
    for deadline_ms in [0, 5] {
        assert_eq!(chain.members[1].tell(PASS, deadline_ms), 0);
        chain.members[1].holds(1);
    }
    chain.owner.child.resume();
    assert_eq!(chain.members[1].tell(PASS, 20_000), 1);
    chain.last().holds(1);
    assert_eq!(chain.last().tell(ASK, 0), GOOD);
    settled(|| chain.owner.tell(SENDERS, 0), |&senders| senders == 1);
    chain.last().tell(DROP, 0);
    chain.nothing_is_left();
}

#[test]
fn nor_does_a_future_that_gives_it_on() {
    if is_part() {
        return;
    }
    let chain = Chain::new(3);
    chain.begin();
    chain.members[1].give(KEEP, take_promise(&chain));
    chain.owner.child.stop();
    assert_eq!(chain.members[0].tell(PASS_ASYNC, 0), 1);
    // A right and a promise, neither confirmed.
    chain.members[1].holds(2);
    assert_eq!(chain.members[1].tell(PASS_ASYNC, 0), 1);
    chain.last().holds(2);
    chain.owner.child.resume();
    assert_eq!(chain.last().tell(ASK, 0), GOOD);
    chain.last().tell(ANSWER, 0);
    settled(|| chain.owner.tell(HEARD, 0), |&heard| heard == (1 << 32 | 1));
    chain.last().tell(DROP, 0);
    chain.nothing_is_left();
}

/// What is said on a promise before its owner has confirmed it is said when it has.
#[test]
fn what_is_told_on_an_unconfirmed_promise_is_not_lost() {
    if is_part() {
        return;
    }
    let chain = Chain::new(2);
    chain.begin();
    let mut answer = chain.owner.order(Message::new("").with_id(ONCE));
    chain.members[0].tell(DROP, 0);
    chain.members[0].give(KEEP, answer.take_rights().remove(0));
    chain.owner.child.stop();
    chain.pass(20_000);
    chain.last().tell(TELL_DEAD, 0);
    chain.owner.child.resume();
    assert_eq!(chain.owner.tell(NEWS, 0), 1);
}

#[test]
fn copies_stay_with_everybody_on_the_way() {
    if is_part() {
        return;
    }
    let chain = Chain::new(4);
    chain.begin();
    chain.owner.child.stop();
    for pair in chain.members.windows(2) {
        assert_eq!(pair[0].tell(COPY, 20_000), 1);
        pair[1].holds(1);
    }
    // Some let go of it before they know what it is.
    chain.members[2].tell(DROP, 0);
    chain.owner.child.resume();
    for member in [0, 1, 3] {
        assert_eq!(chain.members[member].tell(ASK, 0), GOOD);
    }
    settled(|| chain.owner.tell(SENDERS, 0), |&senders| senders == 3);
    for member in &chain.members {
        member.tell(DROP, 0);
    }
    chain.nothing_is_left();
}

#[test]
fn it_may_come_back_to_who_gave_it() {
    if is_part() {
        return;
    }
    let chain = Chain::new(2);
    chain.members[1].before(&chain.members[0]);
    chain.begin();
    chain.owner.child.stop();
    for _ in 0..3 {
        for (from, to) in [(0, 1), (1, 0)] {
            assert_eq!(chain.members[from].tell(PASS, 20_000), 1);
            chain.members[to].holds(1);
        }
    }
    chain.owner.child.resume();
    assert_eq!(chain.members[0].tell(ASK, 0), GOOD);
    settled(|| chain.owner.tell(SENDERS, 0), |&senders| senders == 1);
    chain.members[0].tell(DROP, 0);
    chain.nothing_is_left();
}

/// Each is killed at each stage, while the owner is stopped: who has it then, has had
/// it, or is to have it, and the owner.
#[test]
fn whoever_is_killed_at_whichever_stage_it_arrives_alive_or_dead() {
    const LENGTH: usize = 4;
    if is_part() {
        return;
    }
    for victim in 0..=LENGTH {
        for stage in 0..LENGTH {
            killed_at(LENGTH, victim, stage);
        }
    }
}

/// `victim` is killed when the member `stage` has the right.
fn killed_at(length: usize, victim: usize, stage: usize) {
    let mut chain = Chain::new(length);
    chain.begin();
    chain.owner.child.stop();
    for (from, to) in (1..length).enumerate() {
        if from == stage {
            kill(&mut chain, victim);
        }
        // To the dead it may be sent until their death is known.
        let gone = from >= stage && (victim == from || victim == to);
        if chain.members[from].try_tell(PASS, 20_000) != Some(1) || gone {
            assert!(gone, "{victim} killed at {stage}: {from} cannot give on");
            break;
        }
        chain.members[to].holds(1);
    }
    if stage == length - 1 {
        kill(&mut chain, victim);
    }
    if victim < length {
        chain.owner.child.resume();
    }
    let found: Vec<u64> = chain
        .members
        .iter()
        .filter_map(|one| one.try_tell(ASK, 0))
        .filter(|&one| one > 0)
        .collect();
    match victim {
        owner if owner == length => assert_eq!(found, [DEAD], "the owner died at {stage}"),
        // Who gave it on and died later has taken nothing away.
        before if before < stage => assert_eq!(found, [GOOD], "{victim} killed at {stage}"),
        holder if holder == stage => assert!(found.is_empty(), "{victim} killed at {stage}"),
        // It came back to who could not give it, or was lost with who was killed.
        _ => assert!(found.is_empty() || found == [GOOD], "{victim} killed at {stage}"),
    }
    if victim < length {
        for member in &chain.members {
            let _ = member.try_tell(DROP, 0);
        }
        chain.nothing_is_left();
    }
}

fn kill(chain: &mut Chain, victim: usize) {
    match chain.members.get_mut(victim) {
        Some(member) => member.child.kill(),
        None => chain.owner.child.kill(),
    }
}

/// Killed at a random moment while all run: no stage is known.
#[test]
fn a_kill_at_any_moment_loses_nobodys_count() {
    const ROUNDS: u64 = 12;
    if is_part() {
        return;
    }
    let seed = seed();
    let mut random = Random::new(seed);
    let mut alive = 0;
    for _ in 0..ROUNDS {
        let mut chain = Chain::new(4);
        chain.begin();
        let victim = random.below(4) as usize;
        // They give on as soon as they have it.
        for member in &chain.members[..3] {
            let order = Message::new("").with_id(PASS).with_tag(20_000);
            member.orders.send(order, long()).unwrap();
        }
        std::thread::park_timeout(random.micros(2_000));
        chain.members[victim].child.kill();
        for member in &chain.members {
            let held = member.try_tell(family::member::HELD, 0);
            if held.is_some_and(|held| held > 0) {
                let found = member.try_tell(ASK, 0);
                assert!(found == Some(GOOD) || found == Some(DEAD), "seed {seed}");
                alive += u64::from(found == Some(GOOD));
            }
            let _ = member.try_tell(DROP, 0);
        }
        // What came after it was asked.
        for member in &chain.members {
            let _ = member.try_tell(DROP, 0);
        }
        chain.nothing_is_left();
    }
    tell(&format!("seed {seed}: {alive} of {ROUNDS} rights were held alive when asked"));
}

#[test]
fn a_promise_of_a_reply_goes_along_the_chain_and_is_kept_or_broken_once() {
    const LENGTH: usize = 4;
    if is_part() {
        return;
    }
    // Nobody is killed, or one is, before or after the last has it.
    for victim in [None, Some(0), Some(1), Some(2), Some(3)] {
        let mut chain = Chain::new(LENGTH);
        let promise = take_promise(&chain);
        chain.members[0].give(KEEP, promise);
        chain.owner.child.stop();
        chain.pass(20_000);
        if let Some(victim) = victim {
            chain.members[victim].child.kill();
        }
        chain.owner.child.resume();
        let _ = chain.last().try_tell(ANSWER, 0);
        let answered = u64::from(victim != Some(LENGTH - 1));
        let ended = 1 << 32 | answered;
        settled(|| chain.owner.tell(HEARD, 0), |&heard| heard == ended);
    }
}

/// The promise of a call of the owner's.
fn take_promise(chain: &Chain) -> pillarbox::SendOnceRight {
    let task = Task::current().unwrap();
    let questions = task.port(Capacity::Bounded(1));
    chain.owner.give(CALL, questions.make_send().unwrap());
    questions.receive(long()).unwrap().take_reply().unwrap()
}

/// The port moves while the right to it is under way.
#[test]
fn the_right_finds_a_port_that_moved_meanwhile() {
    if is_part() {
        return;
    }
    for before in [false, true] {
        let chain = Chain::new(4);
        chain.begin();
        // Moved before the owner has heard of any of it, or while it hears.
        if before {
            let port = moved(&chain.owner);
            chain.pass(20_000);
            arrives(&chain, &port);
        } else {
            let moving = {
                let orders = chain.owner.orders.clone();
                std::thread::spawn(move || take_port(&orders))
            };
            chain.pass(20_000);
            arrives(&chain, &moving.join().unwrap());
        }
    }
}

fn moved(owner: &Told) -> ReceiveRight {
    take_port(&owner.orders)
}

fn take_port(orders: &SendRight) -> ReceiveRight {
    let mut answer = orders.call(Message::new("").with_id(MOVE), long()).unwrap();
    answer.take_rights().remove(0).into_receive().unwrap()
}

fn arrives(chain: &Chain, port: &ReceiveRight) {
    assert_eq!(chain.last().tell(SAY, 7), GOOD);
    assert_eq!(port.receive(long()).unwrap().tag(), 7);
    settled(|| port.status().senders, |&senders| senders == 1);
    chain.last().tell(DROP, 0);
    settled(|| port.status().senders, |&senders| senders == 0);
}
