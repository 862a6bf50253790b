//! Claims of rights whose port came to us, and their answers.

use std::sync::Arc;

use abi::Ticket;
use abi::frame::{Header, Kind};
use rights::moving::Claimed;

use super::adopt::{Adopted, Claimer};
use crate::link::{Join, Joined, Link, NO_SLOT, Turn};
use crate::port::After;
use crate::right::{SendRight, Sink};
use crate::wait::parking::lock;

impl Adopted {
    /// A peer claims a right to a port that came here, having sent so many
    /// messages to its old owner.
    pub(crate) fn claim(
        self: &Arc<Self>,
        link: &Arc<Link>,
        ticket: Ticket,
        sent: u64,
        turn: &mut Turn,
    ) -> bool {
        let claimed = {
            let mut state = lock(&self.state);
            if state.out.get(&ticket).is_none_or(|out| out.holder != link.peer_task()) {
                return false;
            }
            let claimed = state.followers.claim(ticket, sent);
            if claimed == Claimed::Wait {
                state.waiting.insert(ticket, (Claimer::Peer(Arc::downgrade(link)), sent));
                return true;
            }
            claimed
        };
        match claimed {
            Claimed::Join { have } => {
                self.join_peer(link, ticket, have, sent, turn);
                self.settle(ticket, &mut turn.after);
                true
            }
            Claimed::Wait | Claimed::Unknown => false,
        }
    }

    /// We claim a right of our own to a port that came here. `None` where no such
    /// right is out.
    pub(crate) fn claim_here(
        self: &Arc<Self>,
        join: &Arc<Join>,
        sent: u64,
        after: &mut After,
    ) -> Option<()> {
        let claimed = {
            let mut state = lock(&self.state);
            let here = self.port.task.id;
            if state.out.get(&join.ticket).is_none_or(|out| out.holder != here) {
                return None;
            }
            let claimed = state.followers.claim(join.ticket, sent);
            if claimed == Claimed::Wait {
                state.waiting.insert(join.ticket, (Claimer::Here(Arc::clone(join)), sent));
            }
            claimed
        };
        match claimed {
            Claimed::Unknown => None,
            Claimed::Wait => Some(()),
            Claimed::Join { have } => {
                join.follow_joined(Joined::Own(SendRight::own(&self.port)), have, after);
                self.sends_nothing_again(join.ticket);
                self.settle(join.ticket, after);
                Some(())
            }
        }
    }

    pub(super) fn answer(self: &Arc<Self>, ticket: Ticket, claimed: Claimed, turn: &mut Turn) {
        let claimer = lock(&self.state).waiting.remove(&ticket);
        let Claimed::Join { have } = claimed else {
            match claimer {
                Some((Claimer::Peer(link), _)) => {
                    if let Some(link) = link.upgrade() {
                        self.refuse(&link, ticket);
                    }
                }
                Some((Claimer::Here(join), _)) => join.fail(true, &mut turn.after),
                None => {}
            }
            return;
        };
        match claimer {
            Some((Claimer::Peer(link), sent)) => {
                match link.upgrade().filter(|link| !link.is_dead()) {
                    Some(link) => self.join_peer(&link, ticket, have, sent, turn),
                    None => self.sends_nothing_again(ticket),
                }
            }
            Some((Claimer::Here(join), _)) => {
                let own = Joined::Own(SendRight::own(&self.port));
                join.follow_joined(own, have, &mut turn.after);
                self.sends_nothing_again(ticket);
            }
            None => self.sends_nothing_again(ticket),
        }
        self.settle(ticket, &mut turn.after);
    }

    fn join_peer(&self, link: &Arc<Link>, ticket: Ticket, have: u64, sent: u64, turn: &mut Turn) {
        let sink = Sink::Port(Arc::clone(&self.port));
        let answer = match link.export_send(&sink) {
            Ok(slot) => {
                link.published(slot);
                if sent > have {
                    self.port.grant_again(link, sent - have);
                }
                let mut words = self.giver.encode().to_vec();
                words.extend_from_slice(&have.to_le_bytes());
                let header = Header { tag: ticket.0, ..Header::new(Kind::Joined, slot) };
                let said = link.say_answer(header, &words);
                // It lets go at the old owner then, and we may wait for that.
                link.ring_awake();
                said
            }
            Err(_) => {
                turn.let_go_later(sink);
                self.sends_nothing_again(ticket);
                self.port.has_come(ticket, &mut turn.after);
                return self.refuse(link, ticket);
            }
        };
        // What a dead owner had not read it sends again, and that comes first.
        if !lock(&self.state).followers.sends_again(ticket) {
            self.port.has_come(ticket, &mut turn.after);
        }
        turn.let_go_later(sink);
        if let Err(offence) = answer {
            link.fault(offence);
        }
    }

    fn refuse(&self, link: &Arc<Link>, ticket: Ticket) {
        let refused = Header { tag: ticket.0, ..Header::new(Kind::Refused, NO_SLOT) };
        if let Err(offence) = link.say_answer(refused, &self.giver.encode()) {
            link.fault(offence);
        }
        link.ring_awake();
    }

    /// A right whose old owner is dead is out no more once it is answered.
    pub(super) fn settle(&self, ticket: Ticket, after: &mut After) {
        let ended = {
            let mut state = lock(&self.state);
            let ended = !state.followers.iter().any(|out| out == ticket);
            ended && state.out.remove(&ticket).is_some()
        };
        if ended {
            self.port.task.forget_follower(self.giver, ticket);
            after.follower_gone(&self.port);
        }
        self.tell_settled(after);
    }
}
