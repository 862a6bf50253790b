//! Answers to what peers claim.
//!
//! A claim is answered in the turn it is read in. Its give lies in its giver's lane,
//! which is read as far as it shows. Where the giver itself has claimed what it gives
//! on, that claim is answered first, and so along the whole chain. A chain that leads
//! back into itself is some liar's: it ends in a refusal.
//!
//! A giver may use its link with us as soon as it has read the greeting, and we may not
//! have made it yet. So before a claim is refused because nobody knows its giver, the
//! background thread looks, which makes the links.

use std::sync::Arc;

use abi::frame::{Header, Kind, Onward, flag};
use abi::right::Kind as RightKind;
use abi::{Offence, Slot, TaskId, Ticket};
use rights::claim::GivenOn;
use rights::give::GiveName;

use crate::background::Job;
use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::limits::Limit;
use crate::link::{Link, NO_SLOT, Turn};
use crate::message::{Message, Notification};
use crate::wait::parking::lock;

/// A claim of the peer's of a link.
#[derive(Debug)]
pub(crate) struct Claim {
    link: Arc<Link>,
    giver: TaskId,
    ticket: Ticket,
    /// Of a right that follows its port: how many messages went to the old owner.
    sent: u64,
    /// The giver's lane has been read.
    drained: bool,
    /// It comes from the background thread: what is not known now is not there.
    late: bool,
}

/// What must happen before a claim is answered.
enum Before {
    Nothing,
    /// This one is answered.
    Claim(Claim),
    /// The background thread looks for the link with its giver.
    Look,
}

impl Claim {
    fn name(&self) -> GiveName {
        GiveName { giver: self.giver, to: self.link.peer_task(), ticket: self.ticket }
    }
}

impl Link {
    /// The peer claims a right that another task, or nobody, gave it.
    pub(crate) fn take_claim(
        self: &Arc<Self>,
        header: &Header,
        giver: TaskId,
        sent: u64,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let (link, ticket) = (Arc::clone(self), Ticket(header.tag));
        let claim = Claim { link, giver, ticket, sent, drained: false, late: false };
        lock(&self.task.gives).claims.claimed(claim.name())?;
        turn.more().claims.push(claim);
        Ok(())
    }

    /// The peer gives on what it has claimed.
    pub(crate) fn take_give_on(&self, header: &Header, onward: &Onward) -> Result<(), Offence> {
        let Onward { to, giver, ticket } = *onward;
        let (me, task) = (self.peer_task(), &self.task);
        let claim = GiveName { giver, to: me, ticket };
        let next = GiveName { giver: me, to, ticket: Ticket(header.tag) };
        let kind = kind_of(header);
        if giver == task.id && kind == RightKind::SendOnce {
            // An inbox is no promise, and nobody could have told it otherwise.
            return Err(Offence::RightKind);
        }
        let given = lock(&task.gives).claims.give_on(claim, next, kind);
        match given {
            Ok(GivenOn::Now(slot)) => self.take_give(&Header { slot, ..*header }, to),
            Ok(GivenOn::Later | GivenOn::Nothing) => Ok(()),
            // As with gives: this one is refused when it is claimed.
            Err(Offence::GivesExceeded) => {
                task.counters.refuse(Limit::Gives);
                Ok(())
            }
            Err(offence) => Err(offence),
        }
    }

    /// What the peer gave on before its claim was answered with `slot`.
    fn give_answered(&self, slot: Slot, all: Vec<(GiveName, RightKind)>) -> Result<(), Offence> {
        for (next, kind) in all {
            let flags = if kind == RightKind::SendOnce { flag::ONCE } else { 0 };
            let header = Header { flags, tag: next.ticket.0, ..Header::new(Kind::Give, slot) };
            self.take_give(&header, next.to)?;
        }
        Ok(())
    }
}

fn kind_of(header: &Header) -> RightKind {
    if header.flags & flag::ONCE == 0 { RightKind::Send } else { RightKind::SendOnce }
}

impl TaskCore {
    /// Answers the claims that came in this turn.
    pub(crate) fn answer_claims(&self, turn: &mut Turn) {
        while let Some(claim) = turn.next_claim() {
            // A chain, its first give last.
            let mut chain = vec![claim];
            while let Some(mut claim) = chain.pop() {
                match self.comes_before(&mut claim, turn) {
                    Before::Claim(first) => chain.extend([claim, first]),
                    Before::Look => self.job(Job::Claim(Box::new(claim))),
                    Before::Nothing => {
                        let link = Arc::clone(&claim.link);
                        if let Err(offence) = self.answer_claim(claim, turn) {
                            link.fault(offence);
                        }
                    }
                }
            }
        }
    }

    /// Every link there is has been made: what such a claim asks for is known now.
    pub(crate) fn answer_late(&self, claim: Claim) {
        let seat = lock(&self.seat);
        let mut turn = Turn::default();
        turn.more().claims.push(Claim { late: true, ..claim });
        self.answer_claims(&mut turn);
        drop(seat);
        self.finish_turn(turn);
    }

    /// What comes before the answer to a claim: the answer to another it hangs on, if
    /// it does. One that is in the chain already is none: the chain leads back into
    /// itself.
    fn comes_before(&self, claim: &mut Claim, turn: &mut Turn) -> Before {
        let name = claim.name();
        if claim.giver == self.id || self.holds_give(name) {
            return Before::Nothing;
        }
        if !claim.drained
            && let Some(giver) = self.link_with(claim.giver)
        {
            claim.drained = true;
            // Whoever saw the message can see the give: drain, then know.
            giver.drain_all(turn);
            // The same of a bag, where the port came to us.
            giver.read_bags(turn);
        }
        let first = lock(&self.gives).claims.waits_for(name);
        let place = turn.more().claims.iter().position(|other| Some(other.name()) == first);
        // What it hangs on may itself be looked for, and is before it there.
        let unknown = || {
            first.is_some()
                || !(claim.drained
                    || self.holds_give(name)
                    || self.follower(claim.giver, claim.ticket).is_some())
        };
        match place {
            Some(place) => Before::Claim(turn.more().claims.swap_remove(place)),
            None if !claim.late && unknown() => Before::Look,
            None => Before::Nothing,
        }
    }

    fn answer_claim(&self, claim: Claim, turn: &mut Turn) -> Result<(), Offence> {
        let name = claim.name();
        let Claim { link, giver, ticket, sent, .. } = claim;
        if giver == self.id {
            // Nobody gives in our name: it asks for our inbox.
            return self.answer_inbox(&link, name, turn);
        }
        let Some((given, held)) = self.take_give(name) else {
            // One whose port came to us may have to wait, and is not given on
            // meanwhile.
            let _ = lock(&self.gives).claims.answer(name, None);
            if let Some(adopted) = self.follower(giver, ticket)
                && adopted.claim(&link, ticket, sent, turn)
            {
                return Ok(());
            }
            return link.say_answer(refusal(ticket), &giver.encode());
        };
        let once = given.kind == RightKind::SendOnce;
        let slot = if held.sink.has_ended() {
            Err(SendFailure::Revoked)
        } else if once {
            link.export_once(&held.sink, false)
        } else {
            link.export_send(&held.sink).inspect(|slot| link.published(*slot))
        };
        let right = slot.as_ref().ok().map(|slot| (given.kind, *slot));
        let onward = lock(&self.gives).claims.answer(name, right);
        if slot.is_err() && once {
            let told = Message::notification_of(Notification::SendOnceDied);
            held.sink.arrive_once(told, &mut turn.after);
        }
        turn.more().held.push(held);
        let answer = match slot {
            Ok(slot) => {
                // While the peer must still hold it.
                link.give_answered(slot, onward)?;
                let flags = if once { flag::ONCE } else { 0 };
                Header { tag: ticket.0, flags, ..Header::new(Kind::Joined, slot) }
            }
            Err(_) => refusal(ticket),
        };
        let said = link.say_answer(answer, &giver.encode());
        // Its last word may wait for this, or a right that was let go meanwhile goes
        // home with it, and nobody waits for it.
        self.ring_later(&link);
        said
    }

    /// Answers a question for the inbox.
    fn answer_inbox(
        &self,
        link: &Arc<Link>,
        name: GiveName,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        let sink = self.inbox_for(link.peer_core());
        let slot = sink.as_ref().and_then(|sink| link.export_send(sink).ok());
        slot.iter().for_each(|slot| link.published(*slot));
        if let Some(sink) = sink {
            turn.let_go_later(sink);
        }
        let right = slot.map(|slot| (RightKind::Send, slot));
        let onward = lock(&self.gives).claims.answer(name, right);
        let answer = match slot {
            Some(slot) => {
                link.give_answered(slot, onward)?;
                Header { tag: name.ticket.0, ..Header::new(Kind::Joined, slot) }
            }
            None => refusal(name.ticket),
        };
        link.say_answer(answer, &self.id.encode())
    }
}

fn refusal(ticket: Ticket) -> Header {
    Header { tag: ticket.0, ..Header::new(Kind::Refused, NO_SLOT) }
}
