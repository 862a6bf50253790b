//! Rights a worker holds, and what it knows about them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pillarbox::{Deadline, Right, SendOnceRight, SendRight, StatusError};

use super::{OwnPort, drive, lock};
use crate::kills::letter::{Letter, Named, PortId};

/// How long a right may take to be confirmed by its owner.
const JOIN: Duration = Duration::from_secs(15);

/// A send right, which has copies.
#[derive(Clone, Debug)]
pub(in crate::kills) struct Known {
    pub(super) right: SendRight,
    pub(super) port: PortId,
    trust: Arc<Trust>,
}

/// What all copies of a right have seen.
#[derive(Debug)]
pub(in crate::kills) struct Trust {
    port: PortId,
    /// Its owner has confirmed it: from then on nothing but the death of the port
    /// ends it.
    confirmed: AtomicBool,
    /// The port whose queue it came through, where that has moved: its former owner
    /// may have died with it.
    through: Option<PortId>,
    unjoined: Mutex<Option<Instant>>,
}

impl Known {
    /// A right nobody has used yet.
    pub(super) fn new(right: SendRight, port: PortId, through: Option<PortId>) -> Known {
        let (confirmed, unjoined) = (AtomicBool::new(false), Mutex::default());
        let trust = Arc::new(Trust { port, confirmed, through, unjoined });
        Known { right, port, trust }
    }

    /// What is known of the right, without it.
    pub(super) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust)
    }

    /// Its owner has answered, or taken a message.
    pub(super) fn confirm(&self) {
        self.trust.confirmed.store(true, Ordering::Relaxed);
        *lock(&self.trust.unjoined) = None;
    }

    /// The owner has not confirmed it in time. Once may be; for long is too long,
    /// and the right says so itself.
    pub(super) fn is_unjoined_too_long(&self) -> bool {
        let since = *lock(&self.trust.unjoined).get_or_insert_with(Instant::now);
        if since.elapsed() < JOIN {
            return false;
        }
        let late = matches!(self.right.status(Deadline::after(JOIN)), Err(StatusError::Deadline));
        *lock(&self.trust.unjoined) = None;
        late
    }
}

impl Trust {
    /// The words of a record that says it was seen dead.
    pub(super) fn seen_dead(&self) -> [u64; 3] {
        let through = self.through().map_or(0, |port| port.0);
        [self.port.0, through, u64::from(self.confirmed.load(Ordering::Relaxed))]
    }

    /// Where it was learned, if that may be why it is dead.
    fn through(&self) -> Option<PortId> {
        self.through.filter(|_| !self.confirmed.load(Ordering::Relaxed))
    }
}

/// A right the worker holds.
#[derive(Debug)]
pub(in crate::kills) enum Held {
    Send(Known),
    Once { right: SendOnceRight, nonce: u64, since: Instant },
    Receive(Box<OwnPort>),
}

impl Held {
    pub(super) fn named(&self) -> Named {
        match self {
            Held::Send(known) => Named::Send(known.port),
            Held::Once { nonce, .. } => Named::Once(*nonce),
            Held::Receive(port) => Named::Receive(port.id),
        }
    }

    pub(super) fn into_right(self) -> Right {
        match self {
            Held::Send(known) => known.right.into(),
            Held::Once { right, .. } => right.into(),
            Held::Receive(port) => port.right.into(),
        }
    }

    pub(super) const fn is_once(&self) -> bool {
        matches!(self, Held::Once { .. })
    }

    /// Whether it may be given to others. One that may have died with a task that
    /// once had some port is used by us first: who sees it dead must know why.
    pub(super) fn is_fit_to_give(&self) -> bool {
        match self {
            Held::Send(known) => known.trust.through().is_none(),
            Held::Once { .. } => true,
            Held::Receive(_) => false,
        }
    }

    /// Whether it is an answer that lies about for longer than one may.
    pub(super) fn is_owed_too_long(&self) -> bool {
        matches!(self, Held::Once { since, .. } if since.elapsed() > 3 * drive::OWED)
    }

    /// The right a letter names, which came through a port that has moved or not;
    /// `None` where it is another kind.
    pub(super) fn of(
        letter: &Letter,
        named: Named,
        right: Right,
        through: Option<PortId>,
    ) -> Option<Held> {
        Some(match named {
            Named::Send(port) => Held::Send(Known::new(right.into_send().ok()?, port, through)),
            Named::Once(nonce) => Held::once(right.into_send_once().ok()?, nonce),
            Named::Receive(id) => {
                Held::Receive(OwnPort::unpacked(id, right.into_receive().ok()?, &letter.baggage)?)
            }
        })
    }

    /// An answer that is owed from now on.
    pub(super) fn once(right: SendOnceRight, nonce: u64) -> Held {
        Held::Once { right, nonce, since: Instant::now() }
    }
}
