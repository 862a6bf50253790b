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
        match waiting {
            Some((peer, sent)) => self.join_follower(me, key, (peer, ticket), sent, have),
            None => self.sends_nothing_again(me, key, ticket),
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
            self.sends_nothing_again(me, (giver, bag), ticket);
            return self.joined_here(me, (giver, ticket), port, have);
        }
        if !self.tasks[me].has_link(peer) {
            return self.sends_nothing_again(me, (giver, bag), ticket);
        }
        let Some(slot) = self.export(me, peer, Lead::to(port), RightKind::Send) else {
            self.sends_nothing_again(me, (giver, bag), ticket);
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
        if adopted.followers.sends_again(ticket) && !self.is(Fault::AgainOvertaken) {
            return;
        }
        self.has_come_after(me, port, ticket);
        let Some(adopted) = self.tasks[me].adopted.get_mut(&key) else {
            return;
        };
        let ended = !adopted.followers.iter().any(|out| out == ticket);
        if ended && adopted.out.remove(&ticket).is_some() {
            self.count_off(me, port);
        }
    }

    /// Nobody is there to send anything again on this right.
    fn sends_nothing_again(&mut self, me: TaskNumber, key: (TaskNumber, Ticket), ticket: Ticket) {
        if let Some(adopted) = self.tasks[me].adopted.get_mut(&key) {
            let _ = adopted.followers.came_again(ticket, u64::MAX);
        }
    }

    /// A port is about to go on: what was to be sent again follows it, and may come after
    /// what stands behind now.
    pub(super) fn wait_for_nothing_again(&mut self, me: TaskNumber, port: u32) {
        let adopted = self.tasks[me].adopted.iter().filter(|(_, adopted)| adopted.port == port);
        let open = adopted
            .flat_map(|(&key, adopted)| adopted.followers.iter().map(move |ticket| (key, ticket)));
        for (key, ticket) in open.collect::<Vec<_>>() {
            self.give_up_again(me, key, ticket);
        }
    }

    /// What was to be sent again on this right is waited for no more.
    fn give_up_again(&mut self, me: TaskNumber, key: (TaskNumber, Ticket), ticket: Ticket) {
        let Some(adopted) = self.tasks[me].adopted.get(&key) else { return };
        if !adopted.followers.sends_again(ticket) {
            return;
        }
        let (of, port) = (adopted.out.get(&ticket).copied(), adopted.port);
        let first = self.first_name(port);
        let to_come =
            self.mail.iter().filter(|(_, fact)| Some(fact.from) == of && fact.port == first);
        let late: Vec<u64> = to_come.map(|(&number, _)| number).collect();
        self.detours.extend(late);
        self.sends_nothing_again(me, key, ticket);
        self.settle_follower(me, key, ticket);
    }

    /// The right on which `peer` is to send messages to a port again.
    pub(crate) fn sends_again(
        &self,
        me: TaskNumber,
        peer: TaskNumber,
        port: u32,
    ) -> Option<((TaskNumber, Ticket), Ticket)> {
        self.tasks[me].adopted.iter().filter(|(_, adopted)| adopted.port == port).find_map(
            |(&key, adopted)| {
                let mut out = adopted.out.iter().filter(|(_, of)| **of == peer);
                let (&ticket, _) =
                    out.find(|(ticket, _)| adopted.followers.sends_again(**ticket))?;
                Some((key, ticket))
            },
        )
    }

    /// So many of those have come, or never will.
    pub(crate) fn came_again(
        &mut self,
        me: TaskNumber,
        (key, ticket): ((TaskNumber, Ticket), Ticket),
        count: u64,
    ) {
        let adopted = self.tasks[me].adopted.get_mut(&key);
        if adopted.is_some_and(|adopted| adopted.followers.came_again(ticket, count)) {
            self.settle_follower(me, key, ticket);
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
        let is_late = |adopted: &super::Adopted| {
            let since = adopted.complete_since;
            since.is_some_and(|since| now_ns.saturating_sub(since) >= limits::ORPHAN_GIVE_NS)
        };
        if holder.is_none() {
            let late = self.tasks[me].adopted.values().filter(|adopted| is_late(adopted));
            let ports: Vec<u32> = late.map(|adopted| adopted.port).collect();
            ports.into_iter().for_each(|port| self.wait_for_nothing_again(me, port));
        }
        let mut ended = Vec::new();
        for adopted in self.tasks[me].adopted.values_mut() {
            if adopted.complete_since.is_none() {
                continue;
            }
            let late = is_late(adopted);
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
