//! The rights that were out when ports came here: who has not come, and who waits
//! for that.

use std::collections::HashMap;
use std::sync::Arc;

use abi::{TaskId, Ticket, limits};

use super::adopt::{Adopted, State};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::link::Join;
use crate::port::{After, PortCore};
use crate::wait::parking::lock;
use crate::wait::{Waiter, forget};

impl Adopted {
    /// Ends the rights of a dead owner's that nobody will come for: those of
    /// `holder`, who is dead, or of anybody after so long.
    pub(super) fn end_left(&self, holder: Option<TaskId>, now_ns: u64, after: &mut After) {
        let ended: Vec<Ticket> = {
            let mut state = lock(&self.state);
            let Some(since) = state.complete_since else { return };
            let late = now_ns.saturating_sub(since) >= limits::ORPHAN_GIVE_NS;
            let mut ended = Vec::new();
            let State { out, followers, .. } = &mut *state;
            out.retain(|ticket, right| {
                let gone = holder.map_or(late, |holder| right.holder == holder);
                if gone {
                    let _ = followers.end(*ticket);
                    ended.push(*ticket);
                }
                !gone
            });
            ended
        };
        for ticket in ended {
            self.port.has_come(ticket, after);
            self.port.task.forget_follower(self.giver, ticket);
            after.follower_gone(&self.port);
        }
        self.tell_settled(after);
    }

    fn is_of(&self, port: u64) -> bool {
        self.port.id == port && !lock(&self.state).followers.may_move_on()
    }

    /// Where nobody is out any more, whoever waits for that may go on.
    pub(super) fn tell_settled(&self, after: &mut After) {
        let told = {
            let mut state = lock(&self.state);
            if !state.followers.may_move_on() {
                return;
            }
            std::mem::take(&mut state.settling)
        };
        for waiter in told {
            after.wake(waiter);
        }
    }
}

/// The rights that were out when ports came here, by who gave them out.
pub(crate) type FollowerTable = HashMap<(TaskId, Ticket), Arc<Adopted>>;

impl TaskCore {
    pub(super) fn note_follower(&self, giver: TaskId, ticket: Ticket, adopted: &Arc<Adopted>) {
        lock(&self.followers).insert((giver, ticket), Arc::clone(adopted));
    }

    pub(super) fn forget_follower(&self, giver: TaskId, ticket: Ticket) {
        let gone = lock(&self.followers).remove(&(giver, ticket));
        drop(gone);
        self.look_at_bequests();
    }

    pub(crate) fn follower(&self, giver: TaskId, ticket: Ticket) -> Option<Arc<Adopted>> {
        lock(&self.followers).get(&(giver, ticket)).cloned()
    }

    /// The port came here, and not everybody has come after it.
    fn unsettled(&self, port: u64) -> Option<Arc<Adopted>> {
        let all: Vec<Arc<Adopted>> = lock(&self.followers).values().cloned().collect();
        all.into_iter().find(|adopted| adopted.is_of(port))
    }

    /// Whether rights to this port are still on their way from its old owner.
    pub(crate) fn has_followers(&self, port: u64) -> bool {
        self.unsettled(port).is_some()
    }

    /// A task has died: what it had not claimed of dead owners' ends.
    pub(crate) fn end_followers_of(&self, holder: TaskId, after: &mut After) {
        let all: Vec<Arc<Adopted>> = lock(&self.followers).values().cloned().collect();
        for adopted in all {
            adopted.end_left(Some(holder), self.now_ns(), after);
        }
    }

    /// Ends what nobody came for. Returns when to look again.
    pub(crate) fn expire_followers(&self) -> Option<u64> {
        let all: Vec<Arc<Adopted>> = lock(&self.followers).values().cloned().collect();
        let mut after = After::default();
        let mut next: Option<u64> = None;
        for adopted in all {
            adopted.end_left(None, self.now_ns(), &mut after);
            let state = lock(&adopted.state);
            if let Some(since) = state.complete_since.filter(|_| !state.out.is_empty()) {
                let due = since.saturating_add(limits::ORPHAN_GIVE_NS);
                next = Some(next.map_or(due, |earlier| earlier.min(due)));
            }
        }
        after.run();
        next
    }

    /// We hold a right to a port that came to us: it is our own now.
    pub(crate) fn claim_here(&self, join: &Arc<Join>, after: &mut After) {
        let sent = join.claims_with().unwrap_or(0);
        for last in [false, true] {
            if let Some(adopted) = self.follower(join.giver, join.ticket)
                && adopted.claim_here(join, sent, after).is_some()
            {
                return;
            }
            if !last && let Some(giver) = self.link_with(join.giver) {
                self.drain_link(&giver);
            }
        }
        join.fail(true, after);
    }
}

impl PortCore {
    /// Waits until everybody has come after the port: only then may it go on.
    pub(crate) fn wait_until_settled(&self, deadline: Deadline) -> Result<(), SendFailure> {
        let Some(adopted) = self.task.unsettled(self.id) else { return Ok(()) };
        if deadline == Deadline::Now {
            return Err(SendFailure::Unsettled);
        }
        // Who has let go there says so to the old owner, and that one to us.
        let giver = self.task.link_with(adopted.giver);
        let look = |waiter: &Arc<Waiter>| adopted.stand_until_settled(waiter);
        let settled = self.task.wait(deadline, giver.as_deref(), look);
        forget(&mut lock(&adopted.state).settling, &Waiter::mine());
        settled.ok_or(SendFailure::Unsettled)
    }

    /// Looks whether everybody has come, or leaves the waiter to be told.
    pub(crate) fn stand_until_settled(&self, waiter: &Arc<Waiter>) -> Option<()> {
        let adopted = self.task.unsettled(self.id);
        adopted.map_or(Some(()), |adopted| adopted.stand_until_settled(waiter))
    }
}

impl Adopted {
    fn stand_until_settled(&self, waiter: &Arc<Waiter>) -> Option<()> {
        let mut state = lock(&self.state);
        forget(&mut state.settling, waiter);
        if state.followers.may_move_on() {
            return Some(());
        }
        state.settling.push(Arc::clone(waiter));
        None
    }
}
