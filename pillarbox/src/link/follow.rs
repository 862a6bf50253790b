//! A right of ours whose port has gone to another task.
//!
//! The old owner's board says where. We claim the right there as if it had been
//! given to us, and say how many messages we sent to the old owner; the new one
//! answers when it has them. What a dead owner never read we send again from our
//! own lane. [`rights::moving`] says what to do when answers, looks and deaths
//! cross; this acts on it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use abi::board::State;
use abi::frame::{Attached, HEADER_BYTES, Header, Kind, flag};
use abi::right::{Kind as RightKind, RightRef};
use abi::{Offence, Slot, limits};
use rights::moving::{Following, Next};

use super::again::Again;
use super::entry::{Entry, Imported};
use super::{Join, Joined, Link};
use crate::message::{Body, Descriptor, Message, Notification, Right};
use crate::port::After;
use crate::right::{SendOnceRight, SendRight, Sink, leads_back};
use crate::wait::parking::{Mutex, lock};

/// What a claim follows.
#[derive(Debug)]
pub(crate) struct Follow {
    /// The link with the old owner.
    old: Arc<Link>,
    /// The marked slot there.
    slot: Slot,
    state: Mutex<Following>,
    /// Messages we sent on that slot.
    sent: AtomicU64,
    /// What the old owner died without having read.
    unread: Mutex<VecDeque<Message>>,
    /// What was to be sent again there, and had not found room. Behind all that.
    behind: Mutex<Vec<Again>>,
}

/// Where the rights of one entry lead since its port went away.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) join: Arc<Join>,
    /// Where they lead since it came back and went away again.
    pub(crate) next: OnceLock<Arc<Moved>>,
    /// It is not the first.
    is_later: bool,
}

impl Moved {
    pub(super) fn first(join: Arc<Join>) -> Arc<Moved> {
        Arc::new(Moved { join, next: OnceLock::new(), is_later: false })
    }

    /// One after another that was taken back. The peer may say so any number of times.
    pub(super) fn later(link: &Link, join: Arc<Join>) -> Arc<Moved> {
        let before = link.taken_back.fetch_add(1, Ordering::Relaxed);
        if before >= limits::MOVES_TAKEN_BACK {
            link.fault(Offence::MovesTakenBack);
        }
        Arc::new(Moved { join, next: OnceLock::new(), is_later: true })
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        if self.is_later
            && let Some(follow) = self.join.follow()
        {
            follow.old.taken_back.fetch_sub(1, Ordering::Relaxed);
        }
        // One after the other: it may have gone and come back any number of times.
        let mut next = self.next.take();
        while let Some(moved) = next.and_then(Arc::into_inner).as_mut() {
            next = moved.next.take();
        }
    }
}

impl Join {
    /// The state of a right that follows its port.
    fn following(&self) -> Option<Following> {
        self.follow().map(|follow| *lock(&follow.state))
    }

    /// How many messages we sent to the old owner, to be told to the new one. From
    /// here on no more are.
    pub(crate) fn claims_with(&self) -> Option<u64> {
        let follow = self.follow()?;
        // Who is publishing at this moment has looked before the mark.
        drop(lock(&follow.old.out));
        let sent = follow.old.published_on(follow.slot);
        follow.sent.store(sent, Ordering::Relaxed);
        if follow.old.is_unread() {
            // Its threads may all be busy, and what it has not read we wait for.
            follow.old.ring_now();
        }
        Some(sent)
    }

    /// The new owner knows of no such right, or cannot be reached.
    pub(crate) fn fail(self: &Arc<Self>, refused: bool, after: &mut After) {
        let Some(follow) = self.follow() else {
            self.settle(Joined::Dead, after);
            return;
        };
        {
            let mut state = lock(&follow.state);
            if refused { state.refused() } else { state.new_owner_died() }
        }
        self.go_on(after);
    }

    /// The old owner's board may say something else now.
    fn look_again(self: &Arc<Self>, after: &mut After) {
        let Some(follow) = self.follow() else { return };
        if self.result().is_some() {
            return;
        }
        let dead = follow.old.is_dead();
        {
            let marked = follow.marked();
            let here = marked == Some(self.ticket);
            let early = !here && follow.old.forget_early(self, after);
            let mut state = lock(&follow.state);
            if early {
                state.refused();
            }
            match marked {
                Some(_) if here => state.looked(),
                // Marked anew, by another ticket: it came back in between.
                Some(_) => state.came_back(),
                None if follow.is_live() && !dead => state.came_back(),
                _ => state.ended(),
            }
        }
        self.go_on(after);
    }

    fn go_on(self: &Arc<Self>, after: &mut After) {
        let Some((follow, state)) = self.follow().zip(self.following()) else { return };
        let dead = follow.old.is_dead();
        match state.next(dead) {
            Next::Claim if follow.marked() != Some(self.ticket) => {
                let goes_on = !dead || follow.marked().is_some();
                let back = if goes_on { Joined::Back } else { Joined::Dead };
                self.end_follow(back, 0, after);
            }
            Next::Claim => {
                lock(&follow.state).asked(dead);
                after.join(Arc::clone(self));
            }
            Next::Dead => self.end_follow(Joined::Dead, 0, after),
            Next::Wait | Next::Look | Next::Joined => {}
        }
    }

    /// The right is ours at the new owner, which has `have` of our messages.
    pub(crate) fn follow_joined(self: &Arc<Self>, joined: Joined, have: u64, after: &mut After) {
        let Some(follow) = self.follow() else {
            self.settle(joined, after);
            return;
        };
        let sent = follow.sent.load(Ordering::Relaxed);
        let joined = if have >= sent {
            joined
        } else {
            match follow.old.keep_early(self, joined, have) {
                Ok(()) => return,
                Err(joined) => joined,
            }
        };
        self.end_follow(joined, have, after);
    }

    /// A claim that follows comes to its end, with all that goes before what is sent on
    /// the right from now on.
    pub(super) fn end_follow(self: &Arc<Self>, joined: Joined, have: u64, after: &mut After) {
        let Some(follow) = self.follow() else {
            self.settle(joined, after);
            return;
        };
        let ways = lock(&self.task.ways);
        if self.result().is_some() {
            after.drop_joined(joined);
            return;
        }
        let end = follow.old.take_again(self, follow.slot, (joined, have), after);
        let Some((mut joined, waiting)) = end else { return };
        let home = match &joined {
            Joined::Own(right) => right.own_port().cloned(),
            _ => None,
        };
        let sent = follow.sent.load(Ordering::Relaxed);
        if leads_back(&joined, |entry| follow.is_of(entry)) {
            // Some of those it leads through lie; which, we do not know. What leads back
            // into itself would be kept for ever.
            after.drop_joined(std::mem::replace(&mut joined, Joined::Dead));
        }
        let mut again = 0;
        if !matches!(joined, Joined::Back | Joined::Dead) {
            let mut state = lock(&follow.state);
            again = state.joined(sent, have);
            if *state != Following::Joined {
                after.drop_joined(std::mem::replace(&mut joined, Joined::Dead));
            }
        }
        let mut unread = std::mem::take(&mut *lock(&follow.unread));
        while unread.len() as u64 > again {
            unread.pop_front().into_iter().for_each(|message| after.drop_later(message));
        }
        unread.retain(|message| message.pulse().is_none());
        // Pulses, and what had been read and had not gone on.
        let lost = again.saturating_sub(unread.len() as u64);
        let behind = std::mem::take(&mut *lock(&follow.behind));
        let behind = behind.into_iter().chain(waiting);
        match &joined {
            Joined::Send(held) => {
                if lost > 0 {
                    // They were granted with the others, and are waited for as they are.
                    held.entry().give_up(lost, unread.len() as u64);
                    held.entry().say_lost(lost);
                }
                for message in unread {
                    self.task.send_after(&ways, Again::new(held.clone(), message), after);
                }
                for one in behind {
                    let one = one.onto(held.clone(), after);
                    self.task.send_after(&ways, one, after);
                }
            }
            // The port has come to us: into its own queue, before anything sent now.
            Joined::Own(right) => {
                let behind = behind.map(|one| one.into_message(after));
                right.adopt_again(unread.into_iter().chain(behind).collect(), after);
            }
            // It goes there, before anything sent now.
            Joined::Back => follow.old.keep_again(behind, after),
            Joined::Once(..) | Joined::Dead => {
                unread.into_iter().for_each(|message| after.drop_later(message));
                behind.for_each(|one| one.drop_later(after));
            }
        }
        if let Some(port) = home {
            // What we have sent there since goes on behind that.
            port.has_come(self.ticket, after);
        }
        let is_over = !matches!(joined, Joined::Back | Joined::Dead);
        self.settle_under(joined, Some(ways), after);
        if is_over {
            follow.old.let_go_of_moved(follow.slot);
        }
    }
}

impl Join {
    /// The right at the old owner.
    pub(super) fn old_entry(&self) -> Option<Arc<Entry>> {
        self.follow().and_then(|follow| {
            lock(&follow.old.imports).get(&follow.slot.index).and_then(Imported::held).cloned()
        })
    }

    /// Who wanted to hear of the port's end hears it from its old owner again.
    pub(super) fn back_to_old(&self, watchers: Vec<SendOnceRight>) {
        let entry = self.old_entry();
        for to in watchers {
            match &entry {
                Some(entry) => entry.watch_death(to),
                None => to.notify(Notification::DeadName),
            }
        }
    }
}

impl Follow {
    /// What was to be sent again waits until the claim is settled: under the lock that
    /// is done under.
    pub(super) fn wait_behind(&self, one: Again) {
        lock(&self.behind).push(one);
    }

    /// Whether the marked slot is that of this entry.
    fn is_of(&self, entry: &Entry) -> bool {
        self.slot == entry.slot && Arc::ptr_eq(&self.old, &entry.link)
    }

    fn life(&self) -> Option<State> {
        let life = self.old.peer.life(self.slot.index)?;
        (life.generation == self.slot.generation).then_some(life.state)
    }

    /// The ticket the slot is marked with.
    fn marked(&self) -> Option<abi::Ticket> {
        (self.life() == Some(State::Moved))
            .then(|| self.old.peer.moved(self.slot.index))?
            .map(|moved| moved.ticket)
    }

    fn is_live(&self) -> bool {
        self.life() == Some(State::Live)
    }
}

impl Link {
    /// Whether the port of a slot of the peer's has gone to another task.
    pub(crate) fn slot_has_moved(&self, slot: Slot) -> bool {
        self.peer
            .life(slot.index)
            .is_some_and(|life| life.generation == slot.generation && life.state == State::Moved)
    }

    /// Begins to follow the port of a marked slot. The claim is made by who runs
    /// `after`.
    pub(crate) fn follow(self: &Arc<Self>, slot: Slot, after: &mut After) -> Option<Arc<Join>> {
        let moved = self.peer.moved(slot.index)?;
        let mut follows = lock(&self.follows);
        follows.retain(|known| known.strong_count() > 0);
        let same = |join: &Arc<Join>| {
            join.ticket == moved.ticket
                && join.result().is_none()
                && join.follow().is_some_and(|follow| follow.slot == slot)
        };
        if let Some(join) = follows.iter().filter_map(Weak::upgrade).find(same) {
            return Some(join);
        }
        let mut state = Following::default();
        state.asked(self.is_dead());
        let follow = Follow {
            old: Arc::clone(self),
            slot,
            state: Mutex::new(state),
            sent: AtomicU64::new(0),
            unread: Mutex::default(),
            behind: Mutex::default(),
        };
        let join = Join::following_to(
            &self.task,
            RightKind::Send,
            (moved.owner, moved.address),
            (self.peer_task(), moved.ticket),
            follow,
        );
        follows.push(Arc::downgrade(&join));
        drop(follows);
        after.join(Arc::clone(&join));
        Some(join)
    }

    /// The peer's board may say something else of the ports that went away.
    pub(super) fn look_at_moved(&self, after: &mut After) {
        let follows: Vec<Arc<Join>> =
            lock(&self.follows).iter().filter_map(Weak::upgrade).collect();
        for join in follows {
            join.look_again(after);
        }
    }

    fn published_on(&self, slot: Slot) -> u64 {
        match lock(&self.imports).get(&slot.index) {
            Some(Imported::Held(entry)) if entry.slot == slot => lock(&entry.import).published,
            Some(Imported::Rested(rested, import)) if *rested == slot => import.published,
            _ => 0,
        }
    }

    /// We have followed: the slot at the old owner is of no more use.
    fn let_go_of_moved(&self, slot: Slot) {
        if self.is_dead() {
            return;
        }
        let entry = lock(&self.imports).get(&slot.index).and_then(Imported::held).cloned();
        if let Some(entry) = entry.filter(|entry| entry.slot == slot) {
            self.release_moved(&entry);
        }
    }

    /// The peer is dead. What it had not read of what we sent to ports that had
    /// gone elsewhere is kept, to be sent again there.
    pub(super) fn salvage(self: &Arc<Self>, after: &mut After) -> Vec<Arc<Join>> {
        let unread = {
            let out = lock(&self.out);
            // What was spilled was sent after what the lane still shows.
            let spilled = out.spills.unread();
            out.unread(&self.peer).into_iter().chain(spilled)
        };
        let mut kept = Vec::new();
        for (header, rest) in unread {
            let wanted = matches!(header.kind, Kind::Message | Kind::Pulse | Kind::Release);
            if !wanted || !self.slot_has_moved(header.slot) {
                continue;
            }
            // Also where nobody holds the right any more: the new owner is to hear
            // of that from us.
            let Some(join) = self.follow(header.slot, after) else { continue };
            if let Some(entry) = self.entry_of(header.slot) {
                entry.follow_next(&join);
            }
            if let Some(follow) = join.follow() {
                let unread = match header.kind {
                    Kind::Message => Some(self.taken_back(&header, &rest)),
                    // Counted among what was sent, and not sent again.
                    Kind::Pulse => Some(self.lost_pulse(&header)),
                    _ => None,
                };
                lock(&follow.unread).extend(unread);
            }
            if !kept.iter().any(|other| Arc::ptr_eq(other, &join)) {
                kept.push(join);
            }
        }
        kept
    }

    /// A pulse that the dead peer never read.
    fn lost_pulse(&self, header: &Header) -> Message {
        let Header { id, tag, priority, .. } = *header;
        let mut pulse = Message::pulse_of(id, tag, priority, self.task.own_identity());
        pulse.pulses = 1;
        pulse
    }

    /// A message that the dead peer never read, with those of its rights that were
    /// ours to give. The others were on their way to the dead.
    fn taken_back(self: &Arc<Self>, header: &Header, rest: &[u8]) -> Message {
        let mut message = Message::new(Vec::new())
            .with_id(header.id)
            .with_priority(header.priority)
            .with_tag(header.tag);
        if header.flags & flag::NOTIFICATION != 0 {
            message.notification = Notification::from_id(header.id);
        }
        let (extra, body) = rest.split_at_checked(header.extra as usize).unwrap_or((rest, &[]));
        debug_assert_eq!(rest.len() + HEADER_BYTES, header.length as usize, "a frame of ours");
        let attached = Attached::decode(header.flags, extra).unwrap_or_default();
        message.body = match &attached.lent {
            Some(loan) => self.read_loan_back(loan).map_or(Body::Lost, Body::Bytes),
            None if attached.region > 0 => Body::Lost,
            None => Body::copied(body),
        };
        let lost = usize::from(attached.descriptors)
            .saturating_sub(usize::from(attached.region > 0) + attached.bags() + attached.sealed());
        message.put_descriptors((0..lost).map(|_| Descriptor::foreign(None)).collect());
        let regions = attached.regions.iter().map(|named| self.region_back(named));
        message.put_regions(regions.collect());
        message.reply = attached.reply.map(|name| self.once_back(name));
        message.put_accepted(attached.accepted.map(|name| self.once_back(name)));
        for name in attached.rights {
            let right: Right = match name {
                RightRef::Mine(RightKind::Send, slot) => self.send_back(slot).into(),
                RightRef::Mine(RightKind::SendOnce, _)
                | RightRef::Yours(RightKind::SendOnce, _)
                | RightRef::Dead(RightKind::SendOnce)
                | RightRef::Third { kind: RightKind::SendOnce, .. } => self.once_back(name).into(),
                _ => SendRight::dead(&self.task).into(),
            };
            message.rights.push(right);
        }
        message
    }

    fn send_back(&self, slot: Slot) -> SendRight {
        match lock(&self.exports).sink(slot) {
            Some(Sink::Port(port)) => SendRight::own(port),
            Some(Sink::Facet(facet)) => SendRight::facet(facet),
            Some(Sink::Reply(_)) | None => SendRight::dead(&self.task),
        }
    }

    fn once_back(&self, name: RightRef) -> SendOnceRight {
        // One that the dead peer had given on is the next holder's.
        let sink = match name {
            RightRef::Mine(_, slot) => self.take_once(slot).ok().flatten(),
            _ => None,
        };
        sink.map_or_else(|| SendOnceRight::dead(&self.task), SendOnceRight::own)
    }
}
