//! Rights on terms: what comes on them bears their badge, and their owner takes
//! them back when it likes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pillarbox::{Capacity, Revoker, Terms};

use super::held::{Held, Known};
use super::voice::{Cargo, Voice};
use super::{Own, OwnPort, drive, lock};
use crate::kills::ledger::kind;
use crate::kills::letter::{PortId, Stream};

/// A right on terms, as the owner of its port sees it.
#[derive(Debug)]
pub(in crate::kills) struct Facet {
    revoker: Revoker,
    /// How many letters it permits.
    messages: Option<u64>,
    heard: u64,
    pub(super) last: HashMap<Stream, u64>,
    revoked: bool,
}

impl Facet {
    /// One more letter came on it. Says what is wrong about that.
    pub(super) fn hear(&mut self) -> Option<String> {
        self.heard += 1;
        let most = self.messages?;
        (self.heard > most).then(|| format!("{} letters on a right for {most}", self.heard))
    }
}

/// Sends somebody a right on terms, of a new port of ours that has no others.
pub(super) fn send(voice: &mut Voice) {
    let Some(to) = voice.some_send_to_give() else { return };
    if lock(&voice.own.ports).len() >= drive::PORTS {
        return;
    }
    let number = PortId::FIXED | voice.own.next();
    let port = drive::make_port(&voice.own, number, Capacity::Bounded(8).into());
    let count = 1 + voice.chance.below(3);
    let rights: Vec<_> = (0..count).filter_map(|_| make(voice, &port)).collect();
    // There are senders now; where there are none, it ends at once.
    drive::watch_for_no_senders(&voice.own, &port);
    let cargo = Cargo { rights, nonce: voice.own.nonce(), ..Cargo::default() };
    let _ = voice.post(&to, cargo);
}

fn make(voice: &mut Voice, port: &OwnPort) -> Option<Held> {
    let mut terms = Terms::new();
    let (mut messages, mut number) = (None, PortId::FACET | voice.own.next());
    match voice.chance.below(4) {
        0 => {
            let most = 1 + voice.chance.below(12);
            terms = terms.messages(most);
            (messages, number) = (Some(most), number | PortId::LIMITED);
        }
        1 => {
            terms = terms.until(Instant::now() + Duration::from_millis(voice.chance.below(900)));
            number |= PortId::LIMITED;
        }
        _ => {}
    }
    let id = PortId::new(voice.own.life, number);
    let (right, revoker) = port.right.make_revocable(&terms.badge(id.0)).ok()?;
    let facet = Facet { revoker, messages, heard: 0, last: HashMap::new(), revoked: false };
    {
        let mut state = lock(&port.state);
        if state.facets_ended {
            // Another thread ends the port already: it lasts until we let it go.
            voice.own.log.add(kind::ENDED, [id.0, 0, 0]);
        }
        state.facets.insert(id, facet);
    }
    voice.own.count("facets");
    Some(Held::Send(Known::new(right, id, None)))
}

/// Takes one back.
pub(super) fn revoke(voice: &mut Voice) {
    let Some(port) = voice.with_port(|port| !lock(&port.state).facets.is_empty()) else { return };
    let mut state = lock(&port.state);
    let point = voice.chance.place(state.facets.len());
    let Some((id, facet)) = state.facets.iter_mut().nth(point) else { return };
    if !facet.revoked {
        // First the log: who sees it dead must find it there.
        voice.own.log.add(kind::ENDED, [id.0, 0, 0]);
        facet.revoked = true;
        let _ = facet.revoker.revoke();
        voice.own.count("revoked");
    }
}

/// The port ends: after the news that nobody can send any more, or at once.
pub(super) fn close(own: &Own, port: &OwnPort, clean: bool) {
    let facets = {
        let mut state = lock(&port.state);
        state.facets_ended = true;
        std::mem::take(&mut state.facets)
    };
    for (id, facet) in facets {
        if facet.revoked {
            continue;
        }
        if clean && !id.is_limited() {
            for (stream, number) in &facet.last {
                own.log.add(kind::HEARD, [id.0, stream.0, *number]);
            }
            own.log.add(kind::CLEAN, [id.0, 0, 0]);
        }
        own.log.add(kind::ENDED, [id.0, 0, 0]);
    }
}
