//! What a thread does next, by chance.

use std::sync::Arc;
use std::time::Duration;

use pillarbox::{Capacity, Deadline, Gone, Order, Overflow, PortOptions, ReplyState, StatusError};

use super::held::{Held, Known};
use super::keep::{self, Due, Promise};
use super::voice::{Cargo, Voice};
use super::{Own, OwnPort, facets, full, lock, moves, pending, pulses};
use crate::kills::letter::PortId;

/// Rights a worker keeps.
const POOL: usize = 96;

/// Ports, and answers waited for, at a time.
pub(super) const PORTS: usize = 12;

/// Answers and news that are waited for at a time.
pub(super) const PROMISES: usize = 4 * PORTS;

/// How long an answer we owe may lie about.
pub(super) const OWED: Duration = Duration::from_secs(1);

/// Something a thread can do.
type Step = fn(&mut Voice);

/// What there is to do, and how often it is done.
const STEPS: &[(u64, Step)] = &[
    (20, send_nothing),
    (20, send_copies),
    (10, send_moved),
    (8, send_new_port),
    (8, send_promise),
    (12, call),
    (8, answer_one),
    (4, give_answer_on),
    (6, let_go),
    (4, watch),
    (4, ask),
    (4, send_descriptor),
    (2, send_long),
    (2, end_port),
    (2, moves::give),
    (12, pulses::send),
    (8, full::leave),
    (4, full::ask_for_room),
    (8, pending::start),
    (3, pending::withdraw),
    (5, facets::send),
    (2, facets::revoke),
    (4, look),
];

/// Does one thing after another until the worker rests.
pub(super) fn run(voice: &mut Voice) {
    let all: u64 = STEPS.iter().map(|(often, _)| often).sum();
    while !voice.own.is_resting() {
        voice.own.step(voice.thread);
        answer_what_is_owed(voice);
        keep_within(voice);
        let mut point = voice.chance.below(all);
        for (often, step) in STEPS {
            if point < *often {
                step(voice);
                break;
            }
            point -= often;
        }
        let pause = voice.chance.micros(voice.own.pace);
        std::thread::park_timeout(pause);
    }
}

fn answer_what_is_owed(voice: &mut Voice) {
    let late =
        voice.draw(|held| matches!(held, Held::Once { since, .. } if since.elapsed() > OWED));
    if let Some(held) = late {
        if voice.chance.one_in(3) { drop(held) } else { voice.answer(held) }
    }
}

fn keep_within(voice: &mut Voice) {
    while lock(&voice.own.pool).len() > POOL {
        let_go(voice);
    }
}

fn cargo(voice: &mut Voice) -> Cargo {
    let fill = match voice.chance.below(20) {
        0 => voice.chance.below(32 * 1024),
        _ => voice.chance.below(200),
    };
    Cargo { fill: fill as u32, nonce: voice.own.nonce(), ..Cargo::default() }
}

fn send_nothing(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let cargo = cargo(voice);
    voice.post(&to, cargo);
}

fn copies(voice: &mut Voice) -> Vec<Held> {
    let many = if voice.chance.one_in(50) { 40 } else { 4 };
    let count = voice.chance.below(many);
    (0..count).filter_map(|_| voice.some_send_to_give().map(Held::Send)).collect()
}

fn send_copies(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let cargo = Cargo { rights: copies(voice), ..cargo(voice) };
    voice.post(&to, cargo);
}

fn send_moved(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let moved = voice.draw(Held::is_fit_to_give).into_iter().collect();
    let cargo = Cargo { rights: moved, ..cargo(voice) };
    voice.post(&to, cargo);
}

fn send_new_port(voice: &mut Voice) {
    if lock(&voice.own.ports).len() >= PORTS {
        return;
    }
    let Some(to) = voice.some_send() else { return };
    let capacity = match voice.chance.below(5) {
        0 => Capacity::Rendezvous,
        1 => Capacity::Bounded(1),
        2 => Capacity::Unbounded,
        _ => Capacity::Bounded(2 + voice.chance.below(20) as u32),
    };
    let (number, overflow) = match voice.chance.below(8) {
        0 => (PortId::DROPPING, Overflow::DropOldest),
        1 => (PortId::DROPPING, Overflow::DropNewest),
        _ => (0, Overflow::Refuse),
    };
    let order = if voice.chance.one_in(4) { Order::Priority } else { Order::Fifo };
    let options = PortOptions::new(capacity).overflow(overflow).order(order);
    let Some(new) = new_port(&voice.own, number, options) else { return };
    let cargo = Cargo { rights: vec![new], ..cargo(voice) };
    voice.post(&to, cargo);
}

/// A port of ours that ends when nobody can send to it any more.
fn new_port(own: &Own, number: u32, options: PortOptions) -> Option<Held> {
    let port = make_port(own, number | own.next(), options);
    let first = port.right.make_send().ok()?;
    watch_for_no_senders(own, &port);
    Some(Held::Send(Known::new(first, port.id, None)))
}

/// Asks for the news that nobody can send to a port of ours any more.
pub(super) fn watch_for_no_senders(own: &Own, port: &OwnPort) {
    let asked = port.right.make_send_once().and_then(|to| port.right.notify_no_senders(to));
    if let Err(error) = asked {
        own.broken(format_args!("{:?} cannot be watched: {error}", port.id));
    }
}

/// The same, without a right to it yet.
pub(super) fn make_port(own: &Own, number: u32, options: PortOptions) -> Arc<OwnPort> {
    let right = own.task.port(options);
    own.receive_from(OwnPort::new(PortId::new(own.life, number), right))
}

fn send_promise(voice: &mut Voice) {
    if lock(&voice.own.promises).len() >= PROMISES {
        return;
    }
    let Some(to) = voice.some_send() else { return };
    let Some(promise) = keep::promise(&voice.own) else { return };
    let cargo = Cargo { rights: vec![promise], ..cargo(voice) };
    voice.post(&to, cargo);
}

fn call(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let rights = if voice.chance.one_in(3) { copies(voice) } else { Vec::new() };
    let cargo = Cargo { rights, ..cargo(voice) };
    voice.call(&to, cargo);
}

fn answer_one(voice: &mut Voice) {
    if let Some(held) = voice.draw(Held::is_once) {
        voice.answer(held);
    }
}

fn give_answer_on(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let Some(owed) = voice.draw(Held::is_once) else { return };
    let cargo = Cargo { rights: vec![owed], ..cargo(voice) };
    voice.post(&to, cargo);
}

fn let_go(voice: &mut Voice) {
    // The last right to anybody is kept: the swarm must not fall apart.
    if lock(&voice.own.pool).len() > 4 {
        drop(voice.draw(|_| true));
    }
}

fn watch(voice: &mut Voice) {
    if lock(&voice.own.promises).len() >= PROMISES {
        return;
    }
    let Some(known) = voice.some_send() else { return };
    if known.port == voice.own.main.id {
        // That news would come after us.
        return;
    }
    let news = voice.own.task.port(Capacity::Bounded(1));
    let Ok(to) = news.make_send_once() else { return };
    match known.right.notify_dead(to) {
        Ok(()) => {
            let promise = Promise { port: news, what: Due::Death(known.trust()), ended: false };
            lock(&voice.own.promises).push(promise);
        }
        Err(error) => {
            voice.own.broken(format_args!("{:?} cannot be watched: {error}", known.port));
        }
    }
}

fn ask(voice: &mut Voice) {
    let Some(known) = voice.some_send() else { return };
    match known.right.status(Deadline::after(Duration::from_secs(2))) {
        Ok(status) if status.capacity == u64::MAX || status.queued <= status.capacity + 64 => {
            known.confirm();
        }
        Ok(status) => voice.own.broken(format_args!("{:?} says {status:?}", known.port)),
        Err(StatusError::Dead) => voice.own.saw_dead(&known.trust()),
        Err(StatusError::Deadline | StatusError::Busy) => {}
        Err(error) => voice.own.broken(format_args!("{:?} cannot be asked: {error}", known.port)),
    }
}

fn send_descriptor(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let mut cargo = cargo(voice);
    for _ in 0..1 + voice.chance.below(3) {
        let made = rustix::fs::memfd_create("given", rustix::fs::MemfdFlags::CLOEXEC);
        let Ok(fd) = made else { return };
        if rustix::io::pwrite(&fd, &cargo.nonce.to_le_bytes(), 0) != Ok(8) {
            return;
        }
        cargo.descriptors.push(fd);
    }
    voice.post(&to, cargo);
}

fn send_long(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let fill = 32 * 1024 + voice.chance.below(400 * 1024) as u32;
    let cargo = Cargo { fill, ..cargo(voice) };
    voice.own.count("long bodies");
    voice.post(&to, cargo);
}

/// Ends a port of ours though others hold rights to it.
fn end_port(voice: &mut Voice) {
    let port = {
        let mut ports = lock(&voice.own.ports);
        if ports.len() < PORTS / 2 {
            return;
        }
        let place = voice.chance.place(ports.len());
        ports.swap_remove(place)
    };
    keep::close_at_once(&voice.own, &port);
}

fn look(voice: &mut Voice) {
    let Some(held) = voice.draw(|_| true) else { return };
    match held {
        Held::Send(known) if known.right.is_dead() => voice.own.saw_dead(&known.trust()),
        Held::Once { right, nonce, since } => {
            // It may only be that nobody wants the answer any more.
            if right.state() == ReplyState::Gone(Gone::Died) {
                voice.own.saw_owner_dead(nonce);
            }
            voice.own.hold(Held::Once { right, nonce, since });
        }
        held => voice.own.hold(held),
    }
}
