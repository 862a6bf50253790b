//! A right of ours whose port has gone to another task.

use std::collections::{BTreeSet, VecDeque};

use abi::board::State;
use abi::{Slot, Ticket};
use rights::moving::{Following, Next};

use super::Follow;
use crate::fault::Fault;
use crate::left::RoomOf;
use crate::task::{Lead, Right, RightNumber, TaskNumber};
use crate::world::World;

type Key = (TaskNumber, Ticket);

impl World {
    /// Whether the port of this right of a peer's has gone away, so that nothing
    /// can be sent on it until its new owner has answered. Whoever asks follows.
    pub(crate) fn is_away(&mut self, me: TaskNumber, old: TaskNumber, slot: Slot) -> bool {
        if self.marked(old, me, slot).is_none() {
            return false;
        }
        self.follow(me, old, slot).is_some()
    }

    /// Begins to follow the port of a marked slot.
    pub(crate) fn follow(&mut self, me: TaskNumber, old: TaskNumber, slot: Slot) -> Option<Key> {
        let moved = self.marked(old, me, slot)?;
        let key = (old, moved.ticket);
        if self.tasks[me].follows.contains_key(&key) {
            return Some(key);
        }
        if moved.owner >= self.tasks.len() {
            return None;
        }
        let dead = !self.tasks[me].has_link(old);
        let mut state = Following::default();
        state.asked(dead);
        let follow = Follow {
            slot,
            owner: moved.owner,
            state,
            to_ask: true,
            kept: false,
            sent: self.sent_on(me, old, slot).unwrap_or(0),
            unread: VecDeque::new(),
            behind: VecDeque::new(),
        };
        self.tasks[me].follows.insert(key, follow);
        Some(key)
    }

    fn sent_on(&self, me: TaskNumber, old: TaskNumber, slot: Slot) -> Option<u64> {
        let link = self.tasks[me].links.get(&old).filter(|link| !link.ended)?;
        let known = link.imports.get(&slot.index).filter(|known| known.slot == slot)?;
        Some(known.import.published)
    }

    /// Follows no further where nobody has the right any more. What was asked is
    /// answered all the same, and goes home.
    fn forget_follows(&mut self, me: TaskNumber) {
        let task = &mut self.tasks[me];
        if task.follows.is_empty() {
            return;
        }
        let wanted: BTreeSet<Right> = task.rights.values().copied().collect();
        task.follows.retain(|key, follow| {
            follow.kept || wanted.contains(&Right::PeerSend(key.0, follow.slot))
        });
    }

    /// Asks whoever is to be asked.
    pub(crate) fn ask_new_owners(&mut self, me: TaskNumber) {
        self.forget_follows(me);
        let keys: Vec<Key> = self.tasks[me]
            .follows
            .iter()
            .filter(|(_, follow)| follow.to_ask)
            .map(|(&key, _)| key)
            .collect();
        for key in keys {
            self.ask_new_owner(me, key);
        }
    }

    fn ask_new_owner(&mut self, me: TaskNumber, key: Key) {
        let (old, ticket) = key;
        let Some(follow) = self.tasks[me].follows.get_mut(&key) else {
            return;
        };
        follow.to_ask = false;
        let (owner, slot) = (follow.owner, follow.slot);
        if owner == me {
            return self.ask_ourselves(me, key, slot);
        }
        let had = self.tasks[me].links.contains_key(&owner);
        if !self.open(me, owner) {
            if let Some(follow) = self.tasks[me].follows.get_mut(&key) {
                follow.state.new_owner_died();
            }
            return self.go_on(me, key);
        }
        self.figures.introductions += u64::from(!had);
        self.claim(me, owner, old, ticket);
    }

    /// How many messages we sent to the old owner, to be told to the new one.
    pub(crate) fn claims_with(&mut self, me: TaskNumber, key: Key) -> Option<u64> {
        let slot = self.tasks[me].follows.get(&key)?.slot;
        let sent = self.sent_on(me, key.0, slot);
        let follow = self.tasks[me].follows.get_mut(&key)?;
        follow.sent = sent.unwrap_or(follow.sent);
        Some(follow.sent)
    }

    /// The port came to one of its importers.
    fn ask_ourselves(&mut self, me: TaskNumber, key: Key, _slot: Slot) {
        let sent = self.claims_with(me, key).unwrap_or(0);
        for last in [false, true] {
            if self.claim_follower(me, me, key, sent) {
                return;
            }
            if !last && self.tasks[me].has_link(key.0) {
                self.drain(me, key.0, u64::MAX);
                if self.tasks[me].has_link(key.0)
                    && let Err(offence) = self.read_bags(me, key.0)
                {
                    self.offended(me, key.0, offence);
                }
            }
        }
        self.follow_refused(me, key);
    }

    /// The new owner knows of no such right.
    pub(crate) fn follow_refused(&mut self, me: TaskNumber, key: Key) {
        if let Some(follow) = self.tasks[me].follows.get_mut(&key) {
            follow.state.refused();
            self.go_on(me, key);
        }
    }

    /// The old owner's board may say something else of the ports that went away.
    pub(crate) fn look_at_moved(&mut self, me: TaskNumber, old: TaskNumber) {
        let all = (old, Ticket(0))..=(old, Ticket(u64::MAX));
        let keys: Vec<Key> = self.tasks[me].follows.range(all).map(|(&key, _)| key).collect();
        let dead = !self.tasks[me].has_link(old);
        for key in keys {
            let Some(slot) = self.tasks[me].follows.get(&key).map(|follow| follow.slot) else {
                continue;
            };
            let marked = self.marked(old, me, slot).is_some_and(|moved| moved.ticket == key.1);
            let live = self.look(old, me, slot).0 == State::Live;
            if let Some(follow) = self.tasks[me].follows.get_mut(&key) {
                if marked {
                    follow.state.looked();
                } else if live && !dead {
                    follow.state.came_back();
                } else {
                    follow.state.ended();
                }
            }
            self.go_on(me, key);
        }
    }

    /// The new owner of these is dead.
    pub(crate) fn orphaned(&mut self, me: TaskNumber, owner: TaskNumber) {
        let mut keys = Vec::new();
        for (&key, follow) in &mut self.tasks[me].follows {
            if follow.owner == owner && !follow.to_ask {
                follow.state.new_owner_died();
                keys.push(key);
            }
        }
        for key in keys {
            self.go_on(me, key);
        }
    }

    fn go_on(&mut self, me: TaskNumber, key: Key) {
        let (old, ticket) = key;
        let Some((slot, state)) =
            self.tasks[me].follows.get(&key).map(|follow| (follow.slot, follow.state))
        else {
            return;
        };
        let dead = !self.tasks[me].has_link(old);
        let marked = self.marked(old, me, slot).is_some_and(|moved| moved.ticket == ticket);
        match state.next(dead) {
            Next::Claim if !marked && dead => self.follow_died(me, key),
            // It is its old owner's again.
            Next::Claim if !marked => self.follow_over(me, key),
            Next::Claim => {
                if let Some(follow) = self.tasks[me].follows.get_mut(&key) {
                    follow.state.asked(dead);
                    follow.to_ask = true;
                }
            }
            Next::Dead => self.follow_died(me, key),
            Next::Wait | Next::Look | Next::Joined => {}
        }
    }

    fn follow_over(&mut self, me: TaskNumber, key: Key) {
        let Some(follow) = self.tasks[me].follows.remove(&key) else {
            return;
        };
        for one in follow.unread {
            self.lose(me, one);
        }
        for one in follow.behind {
            self.lose_again(me, one);
        }
        for waiting in &mut self.tasks[me].waiting {
            waiting.asleep = false;
        }
    }

    /// The port is gone.
    fn follow_died(&mut self, me: TaskNumber, key: Key) {
        let Some(follow) = self.tasks[me].follows.get(&key) else {
            return;
        };
        let follow_slot = follow.slot;
        let gone = Right::PeerSend(key.0, follow_slot);
        if !self.tasks[me].has_link(key.0) {
            for right in self.tasks[me].rights.values_mut().filter(|right| **right == gone) {
                *right = Right::Dead(abi::right::Kind::Send);
            }
        }
        self.room_ended(me, RoomOf::Peer(key.0, follow_slot));
        self.follow_over(me, key);
    }

    /// The right is ours at the new owner, which has `have` of our messages.
    pub(crate) fn follow_joined(&mut self, me: TaskNumber, key: Key, right: Right, have: u64) {
        let held = self.tasks[me].keep(right);
        let Some(follow) = self.tasks[me].follows.get_mut(&key) else {
            return self.let_go(me, held);
        };
        let again = follow.state.joined(follow.sent, have);
        if follow.state != Following::Joined {
            self.follow_died(me, key);
            return self.let_go(me, held);
        }
        let slot = follow.slot;
        let mut unread = std::mem::take(&mut follow.unread);
        while unread.len() as u64 > again {
            if let Some(one) = unread.pop_front() {
                self.let_go_all(me, one.rights);
            }
        }
        let lost = again.saturating_sub(unread.len() as u64);
        let behind = self.take_behind(me, key, slot);
        self.say_lost(me, right, lost);
        self.all_follow(me, (key.0, slot), right);
        self.send_again(me, held, unread);
        self.send_behind(me, behind);
        self.follow_over(me, key);
        if !self.is(Fault::OldSlotKept) {
            self.let_go_of_moved(me, key.0, slot);
        }
    }

    /// We are the new owner ourselves.
    pub(crate) fn joined_here(&mut self, me: TaskNumber, key: Key, port: u32, have: u64) {
        let right = match self.port(me, port) {
            Some(state) => {
                state.senders.add();
                Right::OwnSend(Lead::to(port))
            }
            None => Right::Dead(abi::right::Kind::Send),
        };
        self.follow_joined(me, key, right, have);
    }

    /// Every right of ours on the old slot becomes one of the new owner's.
    fn all_follow(&mut self, me: TaskNumber, (old, slot): (TaskNumber, Slot), becomes: Right) {
        let mut count = 0;
        for right in self.tasks[me].rights.values_mut() {
            if *right == Right::PeerSend(old, slot) {
                *right = becomes;
                count += 1;
            }
        }
        self.figures.follows += count;
        self.room_moved(me, RoomOf::Peer(old, slot), becomes);
        match becomes {
            Right::PeerSend(owner, slot) => {
                if let Some(link) = self.tasks[me].link(owner)
                    && let Some(imported) = link.imports.get_mut(&slot.index)
                {
                    imported.rights += count;
                }
            }
            Right::OwnSend(lead) => {
                if let Some(state) = self.port(me, lead.port) {
                    (0..count).for_each(|_| state.senders.add());
                }
            }
            _ => {}
        }
        if let Some(link) = self.tasks[me].link(old)
            && let Some(imported) = link.imports.get_mut(&slot.index).filter(|it| it.slot == slot)
        {
            imported.rights -= count;
        }
    }

    /// We have followed: the slot at the old owner is of no more use.
    fn let_go_of_moved(&mut self, me: TaskNumber, old: TaskNumber, slot: Slot) {
        let Some(link) = self.tasks[me].link(old) else {
            return;
        };
        let Some(imported) = link.imports.get_mut(&slot.index).filter(|it| it.slot == slot) else {
            return;
        };
        let count = imported.import.let_go();
        if count > 0 {
            self.say_release(me, old, slot, count);
        }
    }

    pub(crate) fn let_go_all(&mut self, me: TaskNumber, rights: Vec<RightNumber>) {
        for right in rights {
            self.let_go(me, right);
        }
    }
}
