//! Who comes to the new owner of a port, and who does not.

use abi::frame::{Header, Kind};
use abi::right::Kind as RightKind;
use abi::{Ticket, limits};
use rights::moving::Claimed;

use crate::control::NO_SLOT;
use crate::fault::Fault;
use crate::lane::Frame;
use crate::spill::as_granted;
use crate::task::{Lead, TaskNumber};
use crate::world::World;

impl World {
    /// A peer claims a right to a port that came here. False where no such right
    /// is out.
    pub(crate) fn claim_follower(
        &mut self,
        me: TaskNumber,
        peer: TaskNumber,
        (giver, ticket): (TaskNumber, Ticket),
        sent: u64,
    ) -> bool {
        let hasty = self.is(Fault::JoinedTooEarly);
        let mut all =
            self.tasks[me].adopted.range_mut((giver, Ticket(0))..=(giver, Ticket(u64::MAX)));
        let Some((&key, adopted)) = all.find(|(_, adopted)| adopted.out.contains_key(&ticket))
        else {
            return false;
        };
        if adopted.out.get(&ticket) != Some(&peer) {
            return false;
        }
        let mut claimed = adopted.followers.claim(ticket, sent);
        if hasty && claimed == Claimed::Wait {
            claimed = Claimed::Join { have: sent };
        }
        match claimed {
            Claimed::Wait => {
                adopted.waiting.insert(ticket, (peer, sent));
                true
            }
            Claimed::Unknown => false,
            Claimed::Join { have } => {
                self.join_follower(me, key, (peer, ticket), sent, have);
                self.settle_follower(me, key, ticket);
                true
            }
        }
    }

    /// What a claim waited for has come.
    pub(crate) fn answer_follower(
        &mut self,
        me: TaskNumber,
        key: (TaskNumber, Ticket),
        ticket: Ticket,
        claimed: Claimed,
    ) {
        let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else {
            return;
        };
        let waiting = adopted.waiting.remove(&ticket);
        let port = adopted.port;
        let Claimed::Join { have } = claimed else {
            self.has_come_after(me, port, ticket);
            if let Some((peer, _)) = waiting {
                self.refuse_follower(me, key.0, (peer, ticket));
            }
            return;
        };
        if let Some((peer, sent)) = waiting {
            self.join_follower(me, key, (peer, ticket), sent, have);
        }
        self.settle_follower(me, key, ticket);
    }

    fn join_follower(
        &mut self,
        me: TaskNumber,
        (giver, bag): (TaskNumber, Ticket),
        (peer, ticket): (TaskNumber, Ticket),
        sent: u64,
        have: u64,
    ) {
        let Some(port) = self.tasks[me].adopted.get(&(giver, bag)).map(|adopted| adopted.port)
        else {
            return;
        };
        if peer == me {
            return self.joined_here(me, (giver, ticket), port, have);
        }
        if !self.tasks[me].has_link(peer) {
            return;
        }
        let Some(slot) = self.export(me, peer, Lead::to(port), RightKind::Send) else {
            return self.refuse_follower(me, giver, (peer, ticket));
        };
        if let Some(link) = self.tasks[me].link(peer) {
            link.exports.published(slot);
        }
        if sent > have
            && let Some(state) = self.port(me, port)
            && let Some(grant) = state.queue.window.grant_more((peer, slot), sent - have)
        {
            let grant = as_granted(state, grant);
            self.outbound(me, peer).board.raise(slot, grant);
        }
        let mut words = World::id(giver).encode().to_vec();
        words.extend_from_slice(&have.to_le_bytes());
        let header = Header { tag: ticket.0, ..Header::new(Kind::Joined, slot) };
        self.say(me, peer, Frame::new(header, words));
    }

    fn refuse_follower(
        &mut self,
        me: TaskNumber,
        giver: TaskNumber,
        (peer, ticket): (TaskNumber, Ticket),
    ) {
        if peer == me {
            return self.follow_refused(me, (giver, ticket));
        }
        let header = Header { tag: ticket.0, ..Header::new(Kind::Refused, NO_SLOT) };
        self.say(me, peer, Frame::new(header, World::id(giver).encode().to_vec()));
    }

    /// A right whose old owner is dead is out no more once it is answered.
    pub(crate) fn settle_follower(
        &mut self,
        me: TaskNumber,
        key: (TaskNumber, Ticket),
        ticket: Ticket,
    ) {
        let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else {
            return;
        };
        let port = adopted.port;
        self.has_come_after(me, port, ticket);
        let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else {
            return;
        };
        let ended = !adopted.followers.iter().any(|out| out == ticket);
        if ended && adopted.out.remove(&ticket).is_some() {
            self.count_off(me, port);
        }
    }

    /// What a holder sent to the old owner is here: what it has sent here since goes on.
    fn has_come_after(&mut self, me: TaskNumber, port: u32, ticket: Ticket) {
        if let Some(state) = self.port(me, port) {
            state.queue.has_come(ticket);
            self.serve(me, port);
        }
    }

    /// Ends the rights of dead owners' that nobody will come for: those of
    /// `holder`, who is dead, or of anybody after so long.
    pub(crate) fn end_left(&mut self, me: TaskNumber, holder: Option<TaskNumber>) {
        let now_ns = self.now_ns;
        let mut ended = Vec::new();
        for adopted in self.tasks[me].adopted.values_mut() {
            let Some(since) = adopted.complete_since else {
                continue;
            };
            let late = now_ns.saturating_sub(since) >= limits::ORPHAN_GIVE_NS;
            let (followers, port) = (&mut adopted.followers, adopted.port);
            adopted.out.retain(|ticket, of| {
                let gone = holder.map_or(late, |holder| *of == holder);
                if gone {
                    let _ = followers.end(*ticket);
                    ended.push((port, *ticket));
                }
                !gone
            });
        }
        for (port, ticket) in ended {
            self.has_come_after(me, port, ticket);
            self.count_off(me, port);
        }
        let over =
            |adopted: &super::Adopted| adopted.complete_since.is_some() && adopted.out.is_empty();
        self.tasks[me].adopted.retain(|_, adopted| !over(adopted));
    }
}
