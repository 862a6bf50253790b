//! What else may be done about a full port: leaving one letter, and asking for room.

use pillarbox::{Capacity, Left};

use super::keep::{Due, Promise};
use super::voice::{Cargo, Voice};
use super::{Own, lock};
use crate::kills::sends::How;

/// Sends a letter, or leaves it with a port that is full.
pub(super) fn leave(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    let Some(news) = news(&voice.own) else { return };
    let Ok(accepted) = news.make_send_once() else { return };
    let cargo = Cargo { nonce: voice.own.nonce(), fill: 20, ..Cargo::default() };
    let (letter, message) = voice.written(&to, cargo);
    match to.right.leave(message, accepted) {
        Ok(Left::Sent(unused)) => {
            drop(unused);
            to.confirm();
            voice.accepted(&letter, How::AtOnce);
        }
        Ok(Left::Waiting) => {
            to.confirm();
            voice.accepted(&letter, How::Left);
            voice.own.count("left");
            let promise = Promise { port: news, what: Due::Accepted, ended: false };
            lock(&voice.own.promises).push(promise);
        }
        Err(error) => {
            if error.accepted.is_none() {
                voice.own.broken(format_args!("the right to be told on did not come back"));
            }
            voice.message_came_back(&letter, &to, error.reason, *error.message);
        }
    }
}

/// Asks to be told of room.
pub(super) fn ask_for_room(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    if to.port == voice.own.main.id {
        // That news would come after us.
        return;
    }
    let Some(news) = news(&voice.own) else { return };
    let Ok(right) = news.make_send_once() else { return };
    match to.right.notify_room(right) {
        Ok(()) => {
            let promise = Promise { port: news, what: Due::Room(to.trust()), ended: false };
            lock(&voice.own.promises).push(promise);
            if voice.chance.one_in(4) {
                // Asked again: the right of the request before is dropped, and says so.
                let again = voice.own.task.port(Capacity::Bounded(1));
                let _ = again.make_send_once().map(|news| to.right.notify_room(news));
            }
        }
        Err(error) => voice.failed_plainly(error.reason, &to),
    }
}

/// Where one answer may come, unless too many are waited for.
fn news(own: &Own) -> Option<pillarbox::ReceiveRight> {
    let few = lock(&own.promises).len() < super::drive::PROMISES;
    few.then(|| own.task.port(Capacity::Bounded(1)))
}
