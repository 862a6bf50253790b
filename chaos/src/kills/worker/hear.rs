//! What comes is the right letter, whole, in order, with its rights.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pillarbox::{Deadline, Message, Notification, ReplyError, SendFailure};

use super::held::Held;
use super::voice::answer_to;
use super::{Own, OwnPort, drive, futures, lock, pulses, shared};
use crate::chance::Chance;
use crate::kills::ledger::kind;
use crate::kills::letter::{Letter, PortId, Sort, Stream};

/// The number of the thread that hears the main port.
const THREAD: u8 = 0;

/// Hears the main port until nobody can send to it any more.
pub(super) fn run(own: &Own) {
    let mut chance = Chance::of(u64::from(own.life), 77);
    // Some are programs with an event loop of their own.
    let events = chance.one_in(3).then(|| own.task.events().ok()).flatten();
    let span = Duration::from_millis(500);
    loop {
        own.step(THREAD);
        let came = match &events {
            Some(events) => futures::receive(own, events, span),
            None => own.main.right.receive(Deadline::after(span)).ok(),
        };
        if let Some(message) = came {
            take(own, &own.main, message, &mut chance);
        }
        if lock(&own.main.state).alone {
            if !own.is_resting() {
                own.broken("no senders, and there is one");
            }
            own.resting.store(true, Ordering::Relaxed);
            return;
        }
    }
}

/// Takes one message that came to `port`.
pub(super) fn take(own: &Own, port: &OwnPort, mut message: Message, chance: &mut Chance) {
    // What a port brought along is as its former worker tells it.
    if let Some(news) = message.notification()
        && (message.sender().is_none() || port.ways > 0)
    {
        return told(own, port, news);
    }
    if let Some(pulse) = message.pulse() {
        let (from, number) = pulses::read(&pulse);
        let to = message.badge().map_or(port.id, PortId);
        return in_order(own, port, to, from, number);
    }
    if message.is_body_lost() {
        return own.log.add(kind::STRIPPED, [port.id.0, 0, 0]);
    }
    let Some(letter) = Letter::decode(message.body()) else {
        let bytes = message.body().len();
        return own.broken(format_args!("{bytes} bytes to {:?} are no letter", port.id));
    };
    own.count("heard");
    let badge = message.badge().map(PortId);
    if letter.to != port.id && Some(letter.to) != badge {
        own.broken(format_args!("{letter:?} came to {:?}", port.id));
    }
    let said_by = message.sender().map(|sender| sender.pid);
    let past = || port.past.iter().any(|pid| said_by == i32::try_from(*pid).ok());
    if said_by != i32::try_from(letter.pid).ok() && !past() {
        own.broken(format_args!("{letter:?} came from process {said_by:?}"));
    }
    in_order(own, port, letter.to, letter.from, letter.number);
    if letter.sort == Sort::Readers {
        return shared::offered(own, &letter, &mut message);
    }
    rights(own, port, &letter, &mut message);
    descriptors(own, port, &letter, &mut message);
    match letter.sort {
        Sort::Rest => own.resting.store(true, Ordering::Relaxed),
        Sort::Request => request(own, &letter, message, chance),
        Sort::Plain => {}
        Sort::Hello | Sort::Answer | Sort::Readers => {
            own.broken(format_args!("{letter:?} is nothing for {:?}", port.id));
        }
    }
}

/// It came to a port that is about to end.
pub(super) fn leave_unheard(own: &Own, message: &Message) {
    // A pulse does not say for which.
    if let Some(letter) = Letter::decode(message.body()) {
        own.log.add(kind::UNHEARD, [letter.to.0, letter.from.0, letter.number]);
    }
}

/// What came is the next of its stream.
fn in_order(own: &Own, port: &OwnPort, to: PortId, from: Stream, number: u64) {
    let mut state = lock(&port.state);
    state.heard += 1;
    if state.alone {
        own.broken(format_args!("number {number} of {from:?} to {to:?} came after no senders"));
    }
    let streams = if to == port.id {
        &mut state.last
    } else {
        // One that was taken back may have been forgotten; what was in the queue stays.
        let Some(facet) = state.facets.get_mut(&to) else { return };
        if let Some(what) = facet.hear() {
            own.broken(format_args!("{what}: {to:?}"));
        }
        &mut facet.last
    };
    let last = streams.insert(from, number).unwrap_or(0);
    if number <= last {
        own.broken(format_args!("number {number} of {from:?} to {to:?} came after {last}"));
    } else if number > last + 1 && !to.is_dropping() {
        // Only a former worker that died may have taken some along.
        own.log.add(kind::GAP, [to.0, from.0, last << 32 | (number - last - 1)]);
    }
}

/// News about the port itself.
fn told(own: &Own, port: &OwnPort, news: Notification) {
    let mut state = lock(&port.state);
    match news {
        Notification::NoSenders if !state.alone => state.alone = true,
        // The news would have come through a worker that is dead: we ask anew.
        Notification::SendOnceDied if port.ways > 0 && !state.alone => {
            drop(state);
            own.log.add(kind::DIED, [0; 3]);
            drive::watch_for_no_senders(own, port);
        }
        _ => own.broken(format_args!("{news:?} to {:?}, alone: {}", port.id, state.alone)),
    }
}

fn rights(own: &Own, port: &OwnPort, letter: &Letter, message: &mut Message) {
    let through = (port.ways > 0).then_some(port.id);
    let rights = message.take_rights();
    if rights.len() != letter.rights.len() {
        own.broken(format_args!("{} rights came with {letter:?}", rights.len()));
    }
    for (named, right) in letter.rights.iter().zip(rights) {
        match Held::of(letter, *named, right, through) {
            Some(held) => own.hold(held),
            None => own.broken(format_args!("another right came with {letter:?}")),
        }
    }
}

/// Each holds the number of its letter.
fn descriptors(own: &Own, port: &OwnPort, letter: &Letter, message: &mut Message) {
    for descriptor in message.take_descriptors() {
        let taken = descriptor.take();
        if taken.is_none() && port.ways > 0 {
            own.log.add(kind::STRIPPED, [port.id.0, 0, 0]);
            continue;
        }
        let held = taken.and_then(|fd: OwnedFd| {
            let mut bytes = [0; 8];
            let read = rustix::io::pread(&fd, &mut bytes, 0).ok()?;
            (read == 8).then_some(u64::from_le_bytes(bytes))
        });
        if held != Some(letter.nonce) {
            own.broken(format_args!("a descriptor of {letter:?} holds {held:?}"));
        }
        own.count("descriptors");
    }
}

/// Answers, refuses, or lets another do it.
fn request(own: &Own, letter: &Letter, mut message: Message, chance: &mut Chance) {
    if message.reply_right().is_none() {
        return own.broken(format_args!("{letter:?} came without a reply right"));
    }
    match chance.below(10) {
        0 => drop(message),
        1..4 if !own.is_resting() => {
            if let Some(right) = message.take_reply() {
                own.hold(Held::once(right, letter.nonce));
            }
        }
        _ => {
            let answer = answer_to(own, letter.nonce, chance.below(300) as u32);
            let answer = Message::new(answer.encode());
            match message.reply(answer, Deadline::after(Duration::from_secs(1))) {
                Ok(()) => {}
                Err(ReplyError::Unsent(error)) if error.reason == SendFailure::Dead => {
                    own.saw_owner_dead(letter.nonce);
                }
                // The caller's deadline has passed.
                Err(ReplyError::Unsent(error))
                    if matches!(error.reason, SendFailure::Full | SendFailure::Withdrawn(_)) => {}
                Err(error) => own.broken(format_args!("the answer to {letter:?}: {error}")),
            }
        }
    }
}
