//! Hearing once that a port of the peer's has room.
//!
//! The right to be told on stays with us: the peer only says, once for each
//! question, that there is room. So a request can be taken back or replaced at
//! any time, and its right ends in one word whatever crosses on the wire.

use std::sync::Arc;

use abi::frame::{Header, Kind};
use abi::{Offence, Slot};

use super::{Entry, Join, Link};
use crate::message::Notification;
use crate::port::After;
use crate::right::SendOnceRight;
use crate::wait::parking::{Mutex, lock};

/// What was asked about room in one port.
#[derive(Debug, Default)]
pub(super) struct Room {
    state: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// Who is to be told, and the number of that request.
    to: Option<(u64, SendOnceRight)>,
    /// The request for which the question was put that is open.
    open: Option<u64>,
    requests: u64,
    dead: bool,
}

impl Entry {
    /// Tells `to` when there is room. Returns the right of an earlier request.
    #[must_use = "what was replaced speaks when it is dropped"]
    pub(crate) fn watch_room(&self, to: SendOnceRight) -> Option<SendOnceRight> {
        let mut after = After::default();
        let (before, new) = {
            let mut asked = lock(&self.room.state);
            if asked.dead {
                after.fire(to, Notification::DeadName);
                (None, false)
            } else {
                asked.requests += 1;
                let request = asked.requests;
                let before = asked.to.replace((request, to));
                let new = asked.open.is_none();
                asked.open.get_or_insert(request);
                (before.map(|(_, to)| to), new)
            }
        };
        if new {
            // Without the lock: who holds that of the lane may come for this one.
            let _ = self.say(Header::new(Kind::Watch, self.slot));
        }
        self.look(&mut after);
        after.run();
        // No thread of ours waits for the peer, whose own may all be busy.
        self.link.task.be_patient(&self.link);
        before
    }

    /// Nobody wants to be told any more. Returns who did.
    pub(crate) fn forget_room(&self) -> Option<SendOnceRight> {
        lock(&self.room.state).to.take().map(|(_, to)| to)
    }

    /// The peer says that there is room.
    pub(super) fn take_room(&self, after: &mut After) {
        let again = {
            let mut asked = lock(&self.room.state);
            let open = asked.open.take();
            match asked.to.take() {
                Some((request, to)) if open == Some(request) => {
                    after.fire(to, Notification::SendPossible);
                    false
                }
                // It is the answer to an earlier request. There was room then.
                Some((request, to)) => {
                    asked.open = Some(request);
                    asked.to = Some((request, to));
                    true
                }
                None => false,
            }
        };
        if again {
            let _ = self.say(Header::new(Kind::Watch, self.slot));
        }
    }

    /// The port has gone to another task: the question goes after it.
    pub(super) fn room_moved(&self, join: &Arc<Join>, after: &mut After) {
        let to = {
            let mut asked = lock(&self.room.state);
            asked.open = None;
            asked.to.take()
        };
        if let Some((_, to)) = to {
            after.watch_room(Arc::clone(join), to);
        }
    }

    /// The port is gone.
    pub(super) fn end_room(&self, after: &mut After) {
        let mut asked = lock(&self.room.state);
        asked.dead = true;
        if let Some((_, to)) = asked.to.take() {
            after.fire(to, Notification::DeadName);
        }
    }
}

impl Link {
    /// The port of `slot` has no place for one who asked and would not wait.
    pub(crate) fn say_full(&self, slot: Slot, question: u64) -> Result<(), Offence> {
        self.say_answer(Header { id: 1, tag: question, ..Header::new(Kind::Look, slot) }, &[])
    }

    /// The port of `slot` has room.
    pub(crate) fn say_room(&self, slot: Slot) {
        self.say(Header::new(Kind::Room, slot), &[]);
    }

    /// The message left with the port of `slot` has been taken.
    pub(crate) fn say_taken(&self, slot: Slot) {
        self.say(Header::new(Kind::Taken, slot), &[]);
    }
}
