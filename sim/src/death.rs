//! What a task does when a peer is gone.

use abi::Slot;
use abi::right::Kind;

use crate::claim::take_back_every;
use crate::fault::Fault;
use crate::task::{Right, RightNumber, TaskNumber};
use crate::world::World;

impl World {
    /// The kernel says that `peer` hung up: one last look at its lane, all of
    /// it, and then it is mourned.
    pub(crate) fn notice(&mut self, me: TaskNumber, peer: TaskNumber) {
        if !self.is(Fault::DeadLaneUnread) {
            self.drain(me, peer, u64::MAX);
            self.finish_spills(me, peer, true);
            self.answer_what_others_wait_for(me, peer);
        }
        self.mourn(me, peer);
    }

    /// Ends our end of the link: what the peer held comes back, what we held
    /// of it is dead, and those who need to know are told.
    pub(crate) fn mourn(&mut self, me: TaskNumber, peer: TaskNumber) {
        let now_ns = self.now_ns;
        if !self.tasks[me].has_link(peer) {
            return;
        }
        self.finish_spills(me, peer, false);
        if self.is(Fault::LeftDiesWithSender) {
            self.throw_away_left(me, peer);
        }
        self.complete_bags(me, peer);
        self.new_owner_died(me, peer);
        // Before what it held comes back: rights in what it never read do too.
        self.salvage(me, peer);
        let away = self.away_with(me, peer);
        self.keep_behind(me, peer, &away);
        let task = &mut self.tasks[me];
        let Some(link) = task.link(peer) else {
            return;
        };
        link.ended = true;
        link.control.clear();
        link.behind.clear();
        link.queued.clear();
        link.imports.clear();
        let exports = std::mem::take(&mut link.exports);
        let gave_of = std::mem::take(&mut link.gave_of);
        let again = std::mem::take(&mut link.again);
        task.parked.retain(|parked| parked.from != peer);
        for right in task.rights.values_mut() {
            *right = match *right {
                Right::PeerSend(of, slot) if of == peer && away.contains(&slot) => *right,
                Right::PeerSend(of, _) if of == peer => Right::Dead(Kind::Send),
                Right::PeerOnce(of, _) if of == peer => Right::Dead(Kind::SendOnce),
                Right::Joining { owner, kind, .. } if owner == peer => Right::Dead(kind),
                other => other,
            };
        }
        let rights = &task.rights;
        let settled =
            |number: &RightNumber| !matches!(rights.get(number), Some(Right::Joining { .. }));
        let unwanted: Vec<RightNumber> = task.unwanted.keys().copied().filter(settled).collect();
        for number in &unwanted {
            task.unwanted.remove(number);
        }
        for waiting in &mut task.waiting {
            waiting.asleep = false;
        }
        for number in unwanted {
            self.let_go(me, number);
        }
        for (slot, export) in exports.iter() {
            match export.kind {
                Kind::Send => {
                    self.left(me, export.port.port, (peer, slot));
                    if let Some(port) = self.port(me, export.port.port) {
                        port.forget((peer, slot));
                    }
                    self.sender_gone(me, export.port);
                    self.serve(me, export.port.port);
                }
                Kind::SendOnce if export.given || self.is(Fault::SilentPromise) => {}
                // Its message was not sent: the right is still ours.
                Kind::SendOnce if export.unsent > 0 => {}
                Kind::SendOnce => self.promise_ends(me, export.port, None),
            }
        }
        for (name, given) in self.tasks[me].gives.come_back(World::id(peer), None) {
            self.not_to_come.insert((me, name));
            self.comes_back(me, name, given);
        }
        let back = self.tasks[me].gives.task_died(World::id(peer), now_ns);
        debug_assert!(back.is_empty(), "all of it came back before");
        self.tasks[me].claims.task_died(World::id(peer));
        self.answer_parked(me, peer);
        // The owner of what we gave it may have no link with it.
        if !self.is(Fault::DeathUntold) {
            for owner in gave_of {
                self.say(me, owner, take_back_every(World::id(peer)));
            }
        }
        for one in again {
            self.lose_again(me, one);
        }
        self.look_at_moved(me, peer);
        self.orphaned(me, peer);
        self.own_joined(me);
        self.end_left(me, Some(peer));
        self.see_all_watched(me);
        self.see_rooms(me, peer);
        self.excuse_lost(me, peer);
    }

    /// The slots of a dead peer whose ports went elsewhere: what we have there
    /// follows.
    fn away_with(&mut self, me: TaskNumber, peer: TaskNumber) -> Vec<Slot> {
        let held = self.tasks[me].link(peer).map(|link| link.imports.values().copied());
        let held: Vec<Slot> = held
            .into_iter()
            .flatten()
            .filter(|known| known.rights > 0 && known.kind == Kind::Send)
            .map(|known| known.slot)
            .collect();
        held.into_iter().filter(|&slot| self.is_away(me, peer, slot)).collect()
    }

    /// Ends the gives of dead givers that waited long enough.
    pub(crate) fn expire_gives(&mut self, me: TaskNumber) {
        let now_ns = self.now_ns;
        let before: Vec<_> = self.tasks[me].gives.iter().map(|(name, _)| name).collect();
        let mut ended = self.tasks[me].gives.expire(now_ns);
        if !ended.is_empty() {
            let left: Vec<_> = self.tasks[me].gives.iter().map(|(name, _)| name).collect();
            let over = before.into_iter().filter(|name| !left.contains(name));
            self.not_to_come.extend(over.map(|name| (me, name)));
        }
        ended.sort_unstable_by_key(|given| (given.port, given.slot));
        for given in ended {
            match given.kind {
                Kind::Send => self.sender_gone(me, given.port),
                Kind::SendOnce => self.promise_ends(me, given.port, None),
            }
        }
    }

    /// What we sent to a task that is dead, or lies, has nobody to read it.
    fn excuse_lost(&mut self, me: TaskNumber, peer: TaskNumber) {
        if self.tasks[peer].alive && self.tasks[peer].honest() {
            return;
        }
        self.mail.retain(|_, fact| fact.from != me || fact.to != peer);
    }
}
