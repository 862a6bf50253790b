//! Receive rights that go to other tasks, and who follows them.
//!
//! | module   | whose part                                    |
//! |----------|-----------------------------------------------|
//! | `pack`   | the old owner's, up to the move               |
//! | `gone`   | the old owner's, after it                     |
//! | `adopt`  | the new owner's                               |
//! | `claims` | who comes to the new owner                    |
//! | `follow` | the importers'                                |
//! | `again`  | what a dead old owner had not read            |
//! | `circle` | a port inside its own queue                   |

mod adopt;
mod again;
#[cfg(test)]
mod behind;
mod circle;
mod claims;
#[cfg(test)]
mod failed;
mod follow;
mod gone;
#[cfg(test)]
mod late;
mod pack;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use abi::bag::Origin;
use abi::{Slot, Ticket};
use rights::moving::{Followers, Following, Leaving};

pub(crate) use self::again::number_of;
pub(crate) use self::pack::Pack;
use crate::lane::Lane;
use crate::task::{Holder, Mail, RightNumber, TaskNumber};

/// The number of every promise that a liar has made.
pub(crate) const UNNAMED: u64 = 0;

/// Memory between the old owner of a port and the new one.
#[derive(Debug)]
pub(crate) struct Bag {
    pub(crate) lane: Lane,
    pub(crate) to: TaskNumber,
    /// The port, by its first name.
    pub(crate) first: u32,
    /// Known to the world: which promises the frames in it end, and which may
    /// still come.
    pub(crate) promised: VecDeque<u64>,
    pub(crate) relayed: BTreeSet<u64>,
    /// How many more a liar has promised, and the world knows nothing of.
    pub(crate) unnamed: u64,
}

/// What is left of a port at its old owner.
#[derive(Debug)]
pub(crate) struct Gone {
    pub(crate) to: TaskNumber,
    /// The bag's number.
    pub(crate) ticket: Ticket,
    pub(crate) leaving: Leaving,
    /// The rights that are out.
    pub(crate) out: BTreeMap<Holder, Ticket>,
    /// Our own rights follow together: their ticket, and the right they become.
    pub(crate) own: Ticket,
    pub(crate) held: RightNumber,
    /// No send right leads here any more: what may still come are promises.
    pub(crate) quiet: bool,
    /// What could not be named for the new owner yet, in order.
    pub(crate) parked: VecDeque<Forwarded>,
    /// One at a time: what one message ends may bring another.
    pub(crate) busy: bool,
}

/// A message on its way into a bag, and the promise it ends.
#[derive(Clone, Debug)]
pub(crate) struct Forwarded {
    pub(crate) origin: Origin,
    pub(crate) mail: Mail,
    pub(crate) promise: Option<u64>,
}

/// A port that came from another task.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) port: u32,
    pub(crate) followers: Followers<Ticket>,
    pub(crate) out: BTreeMap<Ticket, TaskNumber>,
    /// Who waits for the answer to its claim, and how much it sent.
    pub(crate) waiting: BTreeMap<Ticket, (TaskNumber, u64)>,
    /// Promises that come through the bag.
    pub(crate) promises: u64,
    /// The bag was read as far as it was when the port came.
    pub(crate) here: bool,
    pub(crate) complete_since: Option<u64>,
}

/// A right of ours whose port went to another task.
#[derive(Debug)]
pub(crate) struct Follow {
    /// The marked slot on the old owner's board.
    pub(crate) slot: Slot,
    pub(crate) owner: TaskNumber,
    pub(crate) state: Following,
    /// A question is to be asked.
    pub(crate) to_ask: bool,
    /// Whether or not we still have the right: the new owner is to hear from us
    /// what a dead old one did not.
    pub(crate) kept: bool,
    /// Messages we sent on the slot.
    pub(crate) sent: u64,
    /// What the old owner died without having read, or freed.
    pub(crate) unread: VecDeque<Unread>,
    /// What was to be sent again to the old owner, and goes after its port.
    pub(crate) behind: VecDeque<Again>,
}

/// A message that was accepted, on a right that went away.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    pub(crate) number: u64,
    pub(crate) rights: Vec<RightNumber>,
    /// Of its rights, the one on which it is told that it was taken.
    pub(crate) left: Option<RightNumber>,
    pub(crate) id: i32,
}

/// One that is to be sent again, over this right.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    pub(crate) over: RightNumber,
    pub(crate) unread: Unread,
}
