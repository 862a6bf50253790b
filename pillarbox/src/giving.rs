//! Rights that one peer of ours gave to another, until they are claimed.

use std::collections::{HashMap, HashSet};

use abi::{Offence, Slot, TaskId, Ticket};
use rights::claim::Claims;
use rights::give::{GiveName, Given, Gives};

use crate::core::TaskCore;
use crate::link::Turn;
use crate::message::{Message, Notification};
use crate::port::After;
use crate::right::{SendRight, Sink};
use crate::wait::parking::lock;

/// A give that waits for its claim: what keeps the right alive meanwhile.
#[derive(Debug)]
pub(crate) struct HeldGive {
    pub(crate) name: GiveName,
    /// The giver's slot for it.
    pub(crate) slot: Slot,
    pub(crate) sink: Sink,
    /// Counts as a sender; `None` for a send-once right.
    pub(crate) right: Option<SendRight>,
}

#[derive(Debug)]
pub(crate) struct GiveTable {
    pub(crate) rules: Gives<u64>,
    pub(crate) claims: Claims,
    held: HashMap<GiveName, HeldGive>,
}

impl TaskCore {
    pub(crate) fn note_give(
        &self,
        name: GiveName,
        given: Given<u64>,
        held: HeldGive,
    ) -> Result<(), Offence> {
        let mut gives = lock(&self.gives);
        let noted = gives.rules.give(name, given);
        match noted {
            Ok(()) => {
                gives.held.insert(name, held);
                Ok(())
            }
            Err(offence) => {
                drop(gives);
                drop(held);
                Err(offence)
            }
        }
    }

    pub(crate) fn take_give(&self, name: GiveName) -> Option<(Given<u64>, HeldGive)> {
        let mut gives = lock(&self.gives);
        let given = gives.rules.take(name)?;
        Some((given, gives.held.remove(&name)?))
    }

    /// The task ends, and nobody will be let in to claim anything.
    pub(crate) fn end_all_gives(&self) {
        let none = GiveTable::new(self.limits.gives);
        let gives = std::mem::replace(&mut *lock(&self.gives), none);
        end_gives(self, gives.held.into_values().collect(), Notification::SendOnceDied);
    }

    /// A giver calls back what it gave to a task that has died.
    pub(crate) fn call_back_gives(&self, to: TaskId, giver: TaskId) -> Vec<HeldGive> {
        let mut gives = lock(&self.gives);
        let _ = gives.rules.come_back(to, Some(giver));
        gives.claims.come_back(to, giver);
        gives.let_go()
    }

    /// Gives of the dead are about to end: who claimed one in time is read first. Nobody
    /// may have rung for it, and we may have been stopped.
    pub(crate) fn read_late_claims(&self) {
        let due = lock(&self.gives).rules.next_expiry();
        if due.is_some_and(|due| due <= self.now_ns()) {
            for link in self.links().iter() {
                self.drain_link(link);
            }
        }
    }

    /// Whether a stranger's ticket is good, before anything of his is mapped.
    pub(crate) fn knows_give(&self, giver: TaskId, to: TaskId, ticket: Ticket) -> bool {
        let name = GiveName { giver, to, ticket };
        if self.holds_give(name) || self.follower(giver, ticket).is_some() {
            return true;
        }
        if let Some(giver) = self.link_with(giver) {
            let seat = lock(&self.seat);
            let mut turn = Turn::default();
            giver.drain_all(&mut turn);
            self.answer_claims(&mut turn);
            drop(seat);
            self.finish_turn(turn);
        }
        self.holds_give(name)
            || self.follower(giver, ticket).is_some()
            // What it hangs on is still looked for.
            || lock(&self.gives).claims.waits_for(name).is_some()
    }

    pub(crate) fn holds_give(&self, name: GiveName) -> bool {
        lock(&self.gives).held.contains_key(&name)
    }
}

impl GiveTable {
    /// None yet, and at most `limit` of one giver.
    pub(crate) fn new(limit: usize) -> Self {
        let (claims, held) = (Claims::default(), HashMap::new());
        GiveTable { rules: Gives::with_limit(limit), claims, held }
    }

    /// Takes out what the rules have ended.
    pub(crate) fn let_go(&mut self) -> Vec<HeldGive> {
        if self.held.len() == self.rules.len() {
            return Vec::new();
        }
        let open: HashSet<GiveName> = self.rules.iter().map(|(name, _)| name).collect();
        self.held.extract_if(|name, _| !open.contains(name)).map(|(_, held)| held).collect()
    }
}

/// Gives that nobody will claim. A promise of a reply goes back to the giver's
/// slot while there is one, and is broken aloud where there is none.
pub(crate) fn end_gives(task: &TaskCore, ended: Vec<HeldGive>, what: Notification) {
    for held in ended {
        let goes_back = || {
            task.link_with(held.name.giver).is_some_and(|giver| giver.take_promise_back(held.slot))
        };
        if held.right.is_none() && !goes_back() {
            let mut after = After::default();
            held.sink.arrive_once(Message::notification_of(what), &mut after);
            after.run();
        }
    }
}
