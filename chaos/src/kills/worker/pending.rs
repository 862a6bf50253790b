//! Calls that are started, left open beside each other, withdrawn or dropped.

use std::time::{Duration, Instant};

use pillarbox::{CallError, Deadline, Message, PendingCall, Withdraw};

use super::voice::{Cargo, Voice};
use super::{Own, lock};
use crate::kills::ledger::kind;
use crate::kills::letter::{Letter, Sort};
use crate::kills::sends::How;

/// Calls of one worker that are open at a time.
const OPEN: usize = 24;

/// How long one may be open before it counts as neither answered nor told.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call that is open.
#[derive(Debug)]
pub(in crate::kills) struct Open {
    call: PendingCall,
    letter: Letter,
    since: Instant,
    /// Its caller has asked for an end, or wants none any more.
    withdrawn: Option<Withdraw>,
}

/// Starts one.
pub(super) fn start(voice: &mut Voice) {
    if lock(&voice.own.open).len() >= OPEN {
        return;
    }
    let Some(to) = voice.some_send() else { return };
    let cargo = Cargo { nonce: voice.own.nonce(), fill: 50, ..Cargo::default() };
    let (letter, message) = voice.written_as(Sort::Request, &to, cargo);
    match to.right.start_call(message, Deadline::after(Duration::from_secs(2))) {
        Ok(call) => {
            to.confirm();
            voice.accepted(&letter, How::Call);
            voice.own.count("calls");
            let open = Open { call, letter, since: Instant::now(), withdrawn: None };
            lock(&voice.own.open).push(open);
        }
        Err(error) => voice.message_came_back(&letter, &to, error.reason, *error.message),
    }
}

/// Withdraws one, in one way or the other, or drops it.
pub(super) fn withdraw(voice: &mut Voice) {
    let mut open = lock(&voice.own.open);
    if open.is_empty() {
        return;
    }
    let at = voice.chance.place(open.len());
    if voice.chance.one_in(3) {
        let one = open.swap_remove(at);
        drop(open);
        drop(one);
        voice.own.count("withdrawn");
        return;
    }
    let Some(one) = open.get_mut(at) else { return };
    if one.withdrawn.is_none() {
        let how = if voice.chance.one_in(2) { Withdraw::Ask } else { Withdraw::Done };
        if one.call.withdraw(how) {
            one.withdrawn = Some(how);
            voice.own.count("withdrawn");
        }
    }
}

/// Takes what has come; a resting worker waits for the rest.
pub(super) fn look(own: &Own) {
    let mut ended = Vec::new();
    lock(&own.open).retain_mut(|open| match open.call.wait(Deadline::Now) {
        Err(CallError::Deadline) if open.since.elapsed() > PATIENCE => {
            own.broken(format_args!("neither answered nor told: {:?}", open.letter));
            false
        }
        Err(CallError::Deadline) => true,
        answer => {
            ended.push((open.letter.clone(), open.withdrawn, answer));
            false
        }
    });
    for (letter, withdrawn, answer) in ended {
        judge(own, &letter, withdrawn, answer);
    }
}

fn judge(
    own: &Own,
    letter: &Letter,
    withdrawn: Option<Withdraw>,
    answer: Result<Message, CallError>,
) {
    match answer {
        Ok(answer) => match Letter::decode(answer.body()) {
            Some(said) if said.sort == Sort::Answer && said.nonce == letter.nonce => {
                own.count("answered");
                if withdrawn == Some(Withdraw::Done) {
                    own.broken(format_args!("answered after it was withdrawn: {letter:?}"));
                }
            }
            said => own.broken(format_args!("a wrong answer to {letter:?}: {said:?}")),
        },
        Err(CallError::Dropped) => own.count("dropped"),
        Err(CallError::Died) => {
            own.count("died");
            own.log.add(kind::DIED, [0; 3]);
        }
        Err(CallError::Withdrawn) if withdrawn == Some(Withdraw::Done) => {}
        Err(CallError::Refused) if letter.to.is_facet() => own.count("refused"),
        Err(other) => own.broken(format_args!("{letter:?} ended: {other}")),
    }
}
