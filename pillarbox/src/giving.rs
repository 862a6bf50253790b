//! Rights that one peer of ours gave to another, until they are claimed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use abi::frame::{Header, Kind, flag};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, TaskId, Ticket};
use rights::give::{GiveName, Given, Gives};

use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::link::{Link, NO_SLOT, Turn};
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
        gives.let_go()
    }

    /// Answers the claims that came in this turn.
    pub(crate) fn answer_claims(&self, turn: &mut Turn) {
        while let Some((link, giver, ticket, sent)) = turn.claims.pop() {
            if giver == self.id {
                // Nobody gives in our name: it asks for our inbox.
                if let Err(offence) = self.answer_inbox(&link, ticket, turn) {
                    link.fault(offence);
                }
                continue;
            }
            let name = GiveName { giver, to: link.peer_task(), ticket };
            let mut found = self.take_give(name);
            if found.is_none()
                && let Some(giver) = self.link_with(giver)
            {
                // Whoever saw the message can see the give: drain, then know.
                giver.drain_all(turn);
                // The same of a bag, where the port came to us.
                giver.read_bags(turn);
                found = self.take_give(name);
            }
            if found.is_none()
                && let Some(adopted) = self.follower(giver, ticket)
                && adopted.claim(&link, ticket, sent, turn)
            {
                continue;
            }
            let refused = Header { tag: ticket.0, ..Header::new(Kind::Refused, NO_SLOT) };
            let answered = match found {
                None => link.say_answer(refused, &giver.encode()),
                Some((given, held)) => {
                    let once = given.kind == RightKind::SendOnce;
                    let slot = if held.sink.has_ended() {
                        Err(SendFailure::Revoked)
                    } else if once {
                        link.export_once(&held.sink, false)
                    } else {
                        link.export_send(&held.sink).inspect(|slot| link.published(*slot))
                    };
                    let answer = match slot {
                        Ok(slot) => Header {
                            tag: ticket.0,
                            flags: if once { flag::ONCE } else { 0 },
                            ..Header::new(Kind::Joined, slot)
                        },
                        Err(_) => {
                            if once {
                                let told = Message::notification_of(Notification::SendOnceDied);
                                held.sink.arrive_once(told, &mut turn.after);
                            }
                            refused
                        }
                    };
                    turn.held.push(held);
                    link.say_answer(answer, &giver.encode())
                }
            };
            if let Err(offence) = answered {
                link.fault(offence);
            }
        }
    }

    /// Answers a question for the inbox.
    fn answer_inbox(
        &self,
        link: &Arc<Link>,
        ticket: Ticket,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let sink = self.inbox_for(link.peer_core());
        let slot = sink.as_ref().and_then(|sink| link.export_send(sink).ok());
        slot.iter().for_each(|slot| link.published(*slot));
        turn.sinks.extend(sink);
        let answer = match slot {
            Some(slot) => Header::new(Kind::Joined, slot),
            None => Header::new(Kind::Refused, NO_SLOT),
        };
        link.say_answer(Header { tag: ticket.0, ..answer }, &self.id.encode())
    }

    /// Whether a stranger's ticket is good, before anything of his is mapped.
    pub(crate) fn knows_give(&self, giver: TaskId, to: TaskId, ticket: Ticket) -> bool {
        let name = GiveName { giver, to, ticket };
        if lock(&self.gives).held.contains_key(&name) || self.follower(giver, ticket).is_some() {
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
        lock(&self.gives).held.contains_key(&name) || self.follower(giver, ticket).is_some()
    }
}

impl GiveTable {
    /// None yet, and at most `limit` of one giver.
    pub(crate) fn new(limit: usize) -> Self {
        GiveTable { rules: Gives::with_limit(limit), held: HashMap::new() }
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
