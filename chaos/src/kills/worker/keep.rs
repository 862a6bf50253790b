//! Ports of the worker's own, and answers it waits for, until each has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pillarbox::{Deadline, Message, Notification, ReceiveRight};

use super::held::{Held, Trust};
use super::{Own, OwnPort, PATIENCE, facets, hear, lock, pending, sets};
use crate::chance::Chance;
use crate::kills::ledger::kind;
use crate::kills::letter::{Letter, Sort};

/// The number of the thread that keeps them.
const THREAD: u8 = 3;

/// Something that ends in exactly one message.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(super) port: ReceiveRight,
    pub(super) what: Due,
    pub(super) ended: bool,
}

/// What it ends in.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// An answer that says this, or the news that there is none.
    Answer(u64),
    /// The news of this port's death.
    Death(Arc<Trust>),
    /// That a letter was taken from a full port, or never will be.
    Accepted,
    /// That there is room in this port, or its death.
    Room(Arc<Trust>),
}

/// Looks after them until the worker rests and none is left.
pub(super) fn run(own: &Own, seed: u64) {
    let mut chance = Chance::of(seed, u64::from(own.life) << 8 | u64::from(THREAD));
    let mut rests = None;
    loop {
        own.step(THREAD);
        let one_by_one = chance.one_in(2);
        if !one_by_one {
            sets::listen(own, Deadline::after(Duration::from_millis(1)), &mut chance);
        }
        let ports = lock(&own.ports).clone();
        let patient = chance.place(ports.len().max(1));
        for (at, port) in ports.iter().enumerate() {
            // At one of them it waits, as receivers do.
            let deadline = match at == patient {
                true => Deadline::after(Duration::from_millis(1)),
                false => Deadline::Now,
            };
            if one_by_one {
                listen(own, port, deadline, &mut chance);
            }
            end_if_alone(own, port);
        }
        look_at_promises(own);
        pending::look(own);
        // The other threads may all wait for an answer that is owed here.
        lock(&own.pool).retain(|held| !held.is_owed_too_long());
        if ports.is_empty() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        if !own.is_resting() {
            continue;
        }
        lock(&own.pool).clear();
        // While somebody can send to us, a port may come.
        let done = lock(&own.main.state).alone;
        let waits = || !lock(&own.promises).is_empty() || !lock(&own.open).is_empty();
        if done && lock(&own.ports).is_empty() && !waits() {
            return;
        }
        if rests.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            let ports: Vec<_> = lock(&own.ports).iter().map(|port| port.id).collect();
            let due: Vec<_> =
                lock(&own.promises).iter().map(|promise| promise.what.clone()).collect();
            own.broken(format_args!(
                "it rests, and waits for {due:?} and for no senders at {ports:?}; {:?}",
                own.task.census()
            ));
            return;
        }
    }
}

fn listen(own: &Own, port: &Arc<OwnPort>, mut deadline: Deadline, chance: &mut Chance) {
    for _ in 0..16 {
        let Ok(message) = port.right.receive(deadline) else { break };
        deadline = Deadline::Now;
        hear::take(own, port, message, chance);
    }
}

fn end_if_alone(own: &Own, port: &Arc<OwnPort>) {
    if lock(&port.state).alone {
        close_clean(own, port);
        sets::leave(own, port);
        lock(&own.ports).retain(|other| other.id != port.id);
    }
}

/// Closes a port nobody can send to any more: all of it was taken.
pub(super) fn close_clean(own: &Own, port: &OwnPort) {
    facets::close(own, port, true);
    let mut state = lock(&port.state);
    if state.closed {
        return;
    }
    state.closed = true;
    if port.right.receive(Deadline::Now).is_ok() {
        own.broken(format_args!("a message came to {:?} after no senders", port.id));
    }
    for (stream, number) in &state.last {
        own.log.add(kind::HEARD, [port.id.0, stream.0, *number]);
    }
    if port.id.is_dropping() {
        own.log.add(kind::DROPPED, [port.id.0, state.heard, port.right.status().dropped]);
    }
    own.log.add(kind::CLEAN, [port.id.0, 0, 0]);
    own.log.add(kind::ENDED, [port.id.0, 0, 0]);
}

/// Ends a port whatever may come to it.
pub(super) fn close_at_once(own: &Own, port: &OwnPort) {
    facets::close(own, port, false);
    sets::leave(own, port);
    let mut state = lock(&port.state);
    if !state.closed {
        state.closed = true;
        // First the log: who sees it dead must find it there.
        own.log.add(kind::ENDED, [port.id.0, 0, 0]);
    }
}

fn look_at_promises(own: &Own) {
    let mut ended = Vec::new();
    {
        let mut promises = lock(&own.promises);
        for promise in promises.iter_mut() {
            if let Ok(message) = promise.port.receive(Deadline::Now) {
                promise.ended = true;
                ended.push((
                    promise.what.clone(),
                    message,
                    promise.port.receive(Deadline::Now).is_ok(),
                ));
            }
        }
        promises.retain(|promise| !promise.ended);
    }
    for (what, message, twice) in ended {
        if twice {
            own.broken(format_args!("{what:?} ended twice"));
        }
        judge(own, &what, &message);
    }
}

fn judge(own: &Own, what: &Due, message: &Message) {
    // That a letter was taken is the word of who has the port.
    let own_word = message.sender().is_none() || matches!(what, Due::Accepted);
    let news = message.notification().filter(|_| own_word);
    match (what, news) {
        (Due::Answer(_), Some(Notification::SendOnceDied)) => {
            own.count("died");
            own.log.add(kind::DIED, [0; 3]);
        }
        (_, Some(Notification::SendOnceDropped | Notification::LetGo)) => own.count("dropped"),
        (Due::Answer(nonce), None) => {
            let letter = Letter::decode(message.body());
            let good = letter.is_some_and(|said| said.sort == Sort::Answer && said.nonce == *nonce);
            if !good {
                own.broken(format_args!("{what:?} ended in {message:?}"));
            }
            own.count("answered");
        }
        (Due::Accepted, Some(Notification::SendOnceDied)) => {
            own.log.add(kind::DIED, [0; 3]);
        }
        (Due::Accepted, Some(Notification::MessageAccepted)) => own.count("left taken"),
        (Due::Room(_), Some(Notification::SendPossible)) => own.count("room told"),
        (Due::Room(port), Some(Notification::DeadName)) => own.saw_dead(port),
        (Due::Death(port), Some(Notification::DeadName)) => {
            own.count("watches");
            own.saw_dead(port);
        }
        _ => own.broken(format_args!("{what:?} ended in {news:?}, {message:?}")),
    }
}

/// The end: the census shows our port and nothing of anybody else's.
pub(super) fn nothing_is_left(own: &Own) {
    lock(&own.pool).clear();
    let until = Instant::now() + PATIENCE;
    let parent = i32::try_from(std::os::unix::process::parent_id()).ok();
    loop {
        let census = own.task.census();
        let peers = own.task.peers();
        let parent = peers
            .iter()
            .find(|peer| Some(peer.identity().pid) == parent)
            .map(|peer| peer.identity().task);
        let left: Vec<_> = census
            .rows
            .iter()
            .filter(|row| row.count > 0 && row.peer.is_some() && row.peer != parent)
            .collect();
        if left.is_empty() {
            return;
        }
        if Instant::now() > until {
            return own.broken(format_args!("rights are left over: {left:?}"));
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A new answer to wait for, and the right that is good for it.
pub(super) fn promise(own: &Own) -> Option<Held> {
    let port = own.task.port(pillarbox::Capacity::Bounded(1));
    let right = port.make_send_once().ok()?;
    let nonce = own.nonce();
    lock(&own.promises).push(Promise { port, what: Due::Answer(nonce), ended: false });
    own.count("promises");
    Some(Held::once(right, nonce))
}
