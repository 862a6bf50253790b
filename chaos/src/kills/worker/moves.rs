//! Ports that go from one worker to another, with what waits in them.
//!
//! A letter that brings a port brings what was heard at it so far, so that its new
//! worker knows what must come next. A port goes into the first port of a worker,
//! which never moves, or into one that is older: so no port ever lies in itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pillarbox::ReceiveRight;

use super::held::Held;
use super::voice::{Cargo, Voice};
use super::{Hearing, Own, OwnPort, lock};
use crate::kills::ledger::kind;
use crate::kills::letter::{PortId, Stream};

/// How long the receiver of a port may take to let it go.
const LET_GO: Duration = Duration::from_millis(300);

impl OwnPort {
    /// What a letter says of it, being about to go.
    fn packed(&self, own: &Own) -> Vec<u64> {
        let pids = self.past.iter().copied().chain([own.pid]);
        let mut words = vec![self.ways + 1, self.past.len() as u64 + 1];
        words.extend(pids.map(u64::from));
        for (stream, number) in &lock(&self.state).last {
            words.extend([stream.0, *number]);
        }
        words
    }

    /// A port as a letter tells it.
    pub(super) fn unpacked(id: PortId, right: ReceiveRight, words: &[u64]) -> Option<Box<OwnPort>> {
        let (&[ways, count], rest) = words.split_first_chunk()?;
        let (past, last) = rest.split_at_checked(count as usize)?;
        let last = last.as_chunks().0.iter().map(|[stream, number]| (Stream(*stream), *number));
        let hearing = Hearing { last: last.collect(), ..Hearing::default() };
        Some(Box::new(OwnPort {
            id,
            right,
            ways,
            past: past.iter().map(|pid| *pid as u32).collect(),
            state: Mutex::new(hearing),
        }))
    }
}

/// Gives a port of ours away.
pub(super) fn give(voice: &mut Voice) {
    let Some(to) = voice.some_send() else { return };
    // Nobody knows what became of one in a letter that was dropped, or refused.
    let certain = to.port.is_main() || !to.port.is_fixed();
    let fits =
        |port: &OwnPort| !port.id.is_fixed() && certain && (to.port.is_main() || to.port < port.id);
    let Some(port) = take_out(&voice.own, fits, voice.chance.next()) else { return };
    let words = [port.id.0, to.port.0, port.ways + 1];
    let cargo = Cargo {
        baggage: port.packed(&voice.own),
        rights: vec![Held::Receive(Box::new(port))],
        nonce: voice.own.nonce(),
        ..Cargo::default()
    };
    // First the log: who is killed now may have sent it or not.
    voice.own.log.add(kind::MOVING, words);
    if voice.post(&to, cargo) {
        voice.own.log.add(kind::MOVED, words);
        voice.own.count("ports moved");
    }
}

/// Some port of ours that nobody receives from at this moment.
fn take_out(own: &Own, fits: impl Fn(&OwnPort) -> bool, chance: u64) -> Option<OwnPort> {
    let mut port = {
        // What is taken from the set at this moment is still heard here.
        let _hearing = lock(&own.sets.hearing);
        let mut ports = lock(&own.ports);
        let start = chance as usize % ports.len().max(1);
        let mut places = (start..ports.len()).chain(0..start);
        let found = places.find(|at| ports.get(*at).is_some_and(|port| fits(port)))?;
        let port = ports.swap_remove(found);
        super::sets::leave(own, &port);
        port
    };
    let until = Instant::now() + LET_GO;
    loop {
        port = match Arc::try_unwrap(port) {
            Ok(port) => {
                let (alone, closed) = {
                    let state = lock(&port.state);
                    (state.alone, state.closed)
                };
                if closed {
                    return None;
                }
                if alone {
                    let _ = own.receive_from(port);
                    return None;
                }
                return Some(port);
            }
            Err(port) if Instant::now() > until => {
                if !lock(&port.state).closed {
                    super::sets::join(own, &port);
                    lock(&own.ports).push(port);
                }
                return None;
            }
            Err(port) => {
                std::thread::park_timeout(Duration::from_micros(100));
                port
            }
        };
    }
}

/// A port has come in a letter.
pub(super) fn take_in(own: &Own, port: OwnPort) {
    own.log.add(kind::TOOK, [port.id.0, 0, port.ways]);
    own.count("ports taken");
    let _ = own.receive_from(port);
}

/// A letter with a port of ours was not sent: it is here as it was.
pub(super) fn take_back(own: &Own, mut port: OwnPort) {
    own.log.add(kind::BACK, [port.id.0, 0, port.ways]);
    port.ways -= 1;
    let _ = port.past.pop();
    let _ = own.receive_from(port);
}
