//! What comes is the right letter, whole, in order, with its rights.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pillarbox::{Deadline, Message, Notification, ReplyError, SendFailure};

use super::voice::answer_to;
use super::{Held, Own, OwnPort, lock};
use crate::chance::Chance;
use crate::kills::letter::{Letter, Named, Sort};

/// The number of the thread that hears the main port.
const THREAD: u8 = 0;

/// Hears the main port until nobody can send to it any more.
pub(super) fn run(own: &Own) {
    let mut chance = Chance::of(u64::from(own.life), 77);
    loop {
        own.step(THREAD);
        if let Ok(message) = own.main.right.receive(Deadline::after(Duration::from_millis(500))) {
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
    if let (Some(news), None) = (message.notification(), message.sender()) {
        let mut state = lock(&port.state);
        if news != Notification::NoSenders || state.alone {
            own.broken(format_args!("{news:?} to {:?}, alone: {}", port.id, state.alone));
        }
        state.alone = true;
        return;
    }
    let Some(letter) = Letter::decode(message.body()) else {
        let bytes = message.body().len();
        return own.broken(format_args!("{bytes} bytes to {:?} are no letter", port.id));
    };
    own.count("heard");
    if letter.to != port.id {
        own.broken(format_args!("{letter:?} came to {:?}", port.id));
    }
    let said_by = message.sender().map(|sender| sender.pid);
    if said_by != i32::try_from(letter.pid).ok() {
        own.broken(format_args!("{letter:?} came from process {said_by:?}"));
    }
    {
        let mut state = lock(&port.state);
        if state.alone {
            own.broken(format_args!("{letter:?} came after no senders"));
        }
        let last = state.last.insert(letter.from, letter.number).unwrap_or(0);
        if letter.number != last + 1 {
            own.broken(format_args!("{letter:?} came after number {last}"));
        }
    }
    rights(own, &letter, &mut message);
    descriptors(own, &letter, &mut message);
    match letter.sort {
        Sort::Rest => own.resting.store(true, Ordering::Relaxed),
        Sort::Request => request(own, &letter, message, chance),
        Sort::Plain => {}
        Sort::Hello | Sort::Answer => {
            own.broken(format_args!("{letter:?} is nothing for {:?}", port.id));
        }
    }
}

fn rights(own: &Own, letter: &Letter, message: &mut Message) {
    let rights = message.take_rights();
    if rights.len() != letter.rights.len() {
        own.broken(format_args!("{} rights came with {letter:?}", rights.len()));
    }
    for (named, right) in letter.rights.iter().zip(rights) {
        match Held::of(*named, right) {
            Some(held) => own.hold(held),
            None => own.broken(format_args!("another right came with {letter:?}")),
        }
    }
}

/// Each holds the number of its letter.
fn descriptors(own: &Own, letter: &Letter, message: &mut Message) {
    for descriptor in message.take_descriptors() {
        let held = descriptor.take().and_then(|fd: OwnedFd| {
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
    if !message.wants_reply() {
        return own.broken(format_args!("{letter:?} came without a reply right"));
    }
    match chance.below(10) {
        0 => drop(message),
        1..4 if !own.is_resting() => {
            if let Some(right) = message.take_reply()
                && let Some(held) = Held::of(Named::Once(letter.nonce), right.into())
            {
                own.hold(held);
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
