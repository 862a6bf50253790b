//! The receive right of a port goes from one task to another.
//!
//! The old owner writes what waits in the port, and who may send to it, into a
//! *bag*: memory that outlives it. It marks the slot of each importer *moved*,
//! and publishes the bag in its lane to the new owner. That store is the commit:
//! before it the port is the old owner's and dies with it, after it the new
//! owner's. Nobody is waited for.
//!
//! An importer that sees the mark *follows*: it claims its right at the new owner
//! and says how many messages it sent to the old one. What still reached the old
//! owner is in the bag before its space in the importer's lane is freed. So the
//! new owner answers when the bag has brought that many; and when the old owner
//! is dead and the bag read to its end it answers with how many it has, and the
//! importer sends the rest again from its own lane. Order holds, nothing comes
//! twice, and one death loses nothing.
//!
//! | who            | machine                          |
//! |----------------|----------------------------------|
//! | old owner      | [`Leaving`]                      |
//! | new owner      | [`Followers`]                    |
//! | importer       | [`Following`]                    |

use std::collections::BTreeMap;

/// Whose a port is, as its old owner sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Leaving {
    /// Ours.
    #[default]
    Here,
    /// Its slots are marked; the bag is not published.
    Marked,
    /// The new owner's.
    Gone,
    /// The new owner is dead, and the port with it.
    Ended,
}

/// What the old owner does with what an importer wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what arrived must go somewhere"]
pub enum Arrival {
    /// Into the queue: the port is ours.
    Queue,
    /// Into the bag, before its space in the lane is freed.
    Bag,
    /// Nowhere: the port has ended.
    Drop,
}

impl Leaving {
    /// Where what arrives now goes.
    pub const fn arrival(self) -> Arrival {
        match self {
            Leaving::Here | Leaving::Marked => Arrival::Queue,
            Leaving::Gone => Arrival::Bag,
            Leaving::Ended => Arrival::Drop,
        }
    }

    /// The slots are marked.
    pub fn mark(&mut self) {
        if *self == Leaving::Here {
            *self = Leaving::Marked;
        }
    }

    /// The bag could not be published: the marks are taken back.
    pub fn unmark(&mut self) {
        if *self == Leaving::Marked {
            *self = Leaving::Here;
        }
    }

    /// The bag is published.
    pub fn commit(&mut self) {
        if *self == Leaving::Marked {
            *self = Leaving::Gone;
        }
    }

    /// The new owner has died. True where the port ended with it, and the slots
    /// must say so.
    #[must_use = "the slots of an ended port must say so"]
    pub fn new_owner_died(&mut self) -> bool {
        let ended = *self == Leaving::Gone;
        if ended {
            *self = Leaving::Ended;
        }
        ended
    }
}

/// A right that was out when its port moved, and that its holder has not claimed
/// yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Follower {
    /// Messages that came of it so far, at the old owner and in the bag.
    have: u64,
    /// It has claimed, having sent so many.
    claimed: Option<u64>,
    /// It was answered. The old owner counts it until its holder lets go there;
    /// the same right may be on its way to the holder once more, and is claimed
    /// again then.
    joined: bool,
    /// Messages a dead old owner had not passed on, which its holder sends again.
    again: u64,
}

/// What the new owner does about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a claim must be answered"]
pub enum Claimed {
    /// The right is the claimer's here. So many of its messages have come; the
    /// rest it sends again.
    Join {
        /// How many have come.
        have: u64,
    },
    /// Some of its messages are still on their way: answer later.
    Wait,
    /// No such right was out, or it has ended.
    Unknown,
}

/// The rights that were out when a port moved, at its new owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Followers<K: Ord> {
    out: BTreeMap<K, Follower>,
    /// The old owner is dead and its bag read to the end.
    complete: bool,
}

impl<K: Ord> Default for Followers<K> {
    fn default() -> Self {
        Followers { out: BTreeMap::new(), complete: false }
    }
}

impl<K: Copy + Ord> Followers<K> {
    /// A right was out, and so many messages had come of it.
    pub fn adopt(&mut self, follower: K, have: u64) {
        self.out.insert(follower, Follower { have, claimed: None, joined: false, again: 0 });
    }

    /// The bag brings one more message of a right. Returns the answer to its
    /// claim where this was what the claim waited for.
    pub fn bring(&mut self, follower: K) -> Option<Claimed> {
        let known = self.out.get_mut(&follower)?;
        known.have += 1;
        if known.claimed.is_some_and(|sent| known.have >= sent) {
            known.claimed = None;
            known.joined = true;
            return Some(Claimed::Join { have: known.have });
        }
        None
    }

    /// A holder claims its right, having sent `sent` messages to the old owner.
    pub fn claim(&mut self, follower: K, sent: u64) -> Claimed {
        let complete = self.complete;
        let Some(known) = self.out.get_mut(&follower) else {
            return Claimed::Unknown;
        };
        if known.have < sent && !complete {
            known.claimed = Some(sent);
            return Claimed::Wait;
        }
        if known.again > 0 {
            // It is answered, and nobody is left who could give it once more.
            return Claimed::Unknown;
        }
        let have = known.have;
        known.joined = true;
        known.again = sent.saturating_sub(have);
        if complete && known.again == 0 {
            self.out.remove(&follower);
        }
        Claimed::Join { have }
    }

    /// Whether its holder was answered, and has not sent again all that a dead old owner
    /// had not passed on. What it sends otherwise comes after that.
    pub fn sends_again(&self, follower: K) -> bool {
        self.out.get(&follower).is_some_and(|known| known.again > 0)
    }

    /// So many of those messages have come, or never will. True with the last: the right
    /// is out no more.
    #[must_use = "what stands behind them may go on"]
    pub fn came_again(&mut self, follower: K, count: u64) -> bool {
        let Some(known) = self.out.get_mut(&follower).filter(|known| known.again > 0) else {
            return false;
        };
        known.again = known.again.saturating_sub(count);
        let over = known.again == 0;
        if over {
            self.out.remove(&follower);
        }
        over
    }

    /// A right has ended at the old owner, or its holder is dead. False where it
    /// was out no more.
    #[must_use = "a right that ended is a sender less"]
    pub fn end(&mut self, follower: K) -> bool {
        self.out.remove(&follower).is_some()
    }

    /// The old owner is dead and its bag read to the end: who waits is answered
    /// now, who was answered and has nothing to send again is out no more, and who has
    /// not claimed may still.
    #[must_use = "claims that waited must be answered"]
    pub fn complete(&mut self) -> Vec<(K, Claimed)> {
        self.complete = true;
        let mut waiting = Vec::new();
        for (&follower, known) in &mut self.out {
            if let Some(sent) = known.claimed.take() {
                known.joined = true;
                known.again = sent.saturating_sub(known.have);
                waiting.push((follower, Claimed::Join { have: known.have }));
            }
        }
        self.out.retain(|_, known| !known.joined || known.again > 0);
        waiting
    }

    /// The rights that the old owner still counts, or left behind.
    pub fn iter(&self) -> impl Iterator<Item = K> {
        self.out.keys().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether everybody has come or gone: only then may the port move on. Who has
    /// something to send again has come: that follows the port.
    pub fn may_move_on(&self) -> bool {
        self.out.values().all(|known| known.again > 0)
    }
}

/// What an importer does next about a slot that was marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "an importer that does nothing waits for ever"]
pub enum Next {
    /// Claim the right at the new owner.
    Claim,
    /// Wait for the answer.
    Wait,
    /// Wait until the old owner's board says something else, or it is dead.
    Look,
    /// The port is gone.
    Dead,
    /// The right is ours at the new owner.
    Joined,
}

/// How far an importer has followed one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Following {
    /// It has not asked.
    #[default]
    Idle,
    /// It has asked; `late` where the old owner was dead by then, so that the
    /// answer is the last word.
    Asked {
        /// Whether the old owner was known to be dead.
        late: bool,
        /// Whether the old owner has said *look* since.
        looked: bool,
    },
    /// The new owner did not know of the port. It may yet.
    Unknown,
    /// The new owner is dead. The old one says whether the port is its own again.
    Orphan,
    /// The right is ours at the new owner.
    Joined,
    /// The port is gone.
    Dead,
}

impl Following {
    /// What to do, knowing whether the old owner is dead.
    pub const fn next(self, old_dead: bool) -> Next {
        match self {
            Following::Idle => Next::Claim,
            Following::Asked { .. } => Next::Wait,
            // It was asked before the old owner died, which may have published
            // the move after that: ask once more, then know.
            Following::Unknown if old_dead => Next::Claim,
            Following::Unknown => Next::Look,
            Following::Orphan if old_dead => Next::Dead,
            Following::Orphan => Next::Look,
            Following::Joined => Next::Joined,
            Following::Dead => Next::Dead,
        }
    }

    /// The claim was sent.
    pub fn asked(&mut self, old_dead: bool) {
        *self = Following::Asked { late: old_dead, looked: false };
    }

    /// The old owner said *look*, and the slot is still marked: it has published
    /// the move, or tries once more.
    pub fn looked(&mut self) {
        *self = match *self {
            Following::Asked { late, .. } => Following::Asked { late, looked: true },
            Following::Unknown => Following::Idle,
            other => other,
        };
    }

    /// The right is ours at the new owner, which has `have` of the `sent`
    /// messages. Returns how many of the last are to be sent again.
    #[must_use = "what the new owner does not have is sent again"]
    pub fn joined(&mut self, sent: u64, have: u64) -> u64 {
        if *self == Following::Dead {
            return 0;
        }
        *self = Following::Joined;
        sent.saturating_sub(have)
    }

    /// The new owner knows of no such right.
    pub fn refused(&mut self) {
        *self = match *self {
            Following::Asked { late: true, .. } => Following::Dead,
            // The question may have come before the move was published.
            Following::Asked { looked: true, .. } => Following::Idle,
            Following::Asked { .. } => Following::Unknown,
            other => other,
        };
    }

    /// The new owner is dead.
    pub fn new_owner_died(&mut self) {
        *self = match *self {
            Following::Dead | Following::Joined => Following::Dead,
            _ => Following::Orphan,
        };
    }

    /// The old owner's board says that the port is its own again. What was asked
    /// is asked all the same: its answer must find the question.
    pub fn came_back(&mut self) {
        *self = match *self {
            Following::Unknown | Following::Orphan => Following::Idle,
            Following::Asked { late, .. } => Following::Asked { late, looked: true },
            other => other,
        };
    }

    /// The old owner's board says that the port is gone.
    pub fn ended(&mut self) {
        if *self != Following::Joined {
            *self = Following::Dead;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_waits_for_what_is_on_its_way() {
        let mut followers = Followers::default();
        followers.adopt('i', 2);
        assert_eq!(followers.claim('i', 4), Claimed::Wait);
        assert_eq!(followers.bring('i'), None);
        assert_eq!(followers.bring('i'), Some(Claimed::Join { have: 4 }));
        // The same right came to its holder once more, from the old owner.
        assert_eq!(followers.claim('i', 4), Claimed::Join { have: 4 });
        assert!(followers.end('i'));
        assert_eq!(followers.claim('i', 4), Claimed::Unknown);
        assert!(followers.is_empty());
    }

    #[test]
    fn a_dead_owner_brings_nothing_more() {
        let mut followers = Followers::default();
        followers.adopt('i', 2);
        followers.adopt('k', 0);
        assert_eq!(followers.claim('i', 5), Claimed::Wait);
        assert_eq!(followers.complete(), [('i', Claimed::Join { have: 2 })]);
        assert_eq!(followers.claim('k', 3), Claimed::Join { have: 0 });
    }

    #[test]
    fn what_a_dead_owner_did_not_bring_is_waited_for() {
        let mut followers = Followers::default();
        followers.adopt('i', 2);
        followers.adopt('k', 1);
        assert_eq!(followers.claim('i', 5), Claimed::Wait);
        let _ = followers.complete();
        assert!(followers.sends_again('i') && !followers.sends_again('k'));
        assert!(!followers.may_move_on());
        assert_eq!(followers.claim('i', 9), Claimed::Unknown);
        // Who has nothing to send again is out no more at once.
        assert_eq!(followers.claim('k', 1), Claimed::Join { have: 1 });
        assert!(followers.may_move_on() && !followers.is_empty());
        assert!(!followers.came_again('i', 2) && !followers.came_again('k', 1));
        assert!(followers.came_again('i', 2) && !followers.sends_again('i'));
        assert!(followers.is_empty());
    }

    #[test]
    fn a_refusal_is_the_last_word_only_after_the_old_owners_death() {
        let mut following = Following::default();
        following.asked(false);
        following.refused();
        assert_eq!(following.next(false), Next::Look);
        assert_eq!(following.next(true), Next::Claim);
        following.asked(true);
        following.refused();
        assert_eq!(following.next(true), Next::Dead);
    }

    #[test]
    fn when_the_new_owner_dies_the_old_one_has_the_word() {
        let mut following = Following::default();
        following.asked(false);
        following.new_owner_died();
        assert_eq!(following.next(false), Next::Look);
        assert_eq!(following.next(true), Next::Dead);
        following.came_back();
        assert_eq!(following.next(false), Next::Claim);
    }
}
