//! What lies in a bag.
//!
//! A bag is an outbound memory of its own, laid out like any other (page, board,
//! lane), whose lane is filled once and never lapped. It holds what a port is when
//! its receive right goes to another task, and afterwards what still reached the
//! old owner. Its frames are those of a lane:
//!
//! | kind      | `tag`  | `id`               | behind the header                  |
//! |-----------|--------|--------------------|------------------------------------|
//! | `Port`    | turns  | 0                  | [`Passport`]; the first with the   |
//! |           | taken  |                    | rights of requests: [`armed`]      |
//! | `Out`     | ticket | 0                  | [`OutRight`]                       |
//! | `Message` | the    | the user's         | what a message has, its body after |
//! |           | user's |                    | an [`Origin`]                      |
//! | `Ended`   | ticket | 0                  | nothing; of ticket 0, last, the    |
//! |           |        |                    | end of the bag                     |
//!
//! A `Port` frame begins the list of rights that are out anew: the one before the
//! move was published counts.

use crate::right::Address;
use crate::{Offence, TaskId, limits, u32_at, u64_at};

/// What is counted one by one does not come so far: who says so lies, and what we
/// count on from there has an end.
pub const COUNT_MAX: u64 = 1 << 62;

/// A count that a peer has written.
///
/// # Errors
/// [`Offence::BagMalformed`] beyond [`COUNT_MAX`].
pub fn counted(count: u64) -> Result<u64, Offence> {
    if count <= COUNT_MAX { Ok(count) } else { Err(Offence::BagMalformed) }
}

/// The requests that go with a port.
pub mod armed {
    /// To hear that nobody can send any more.
    pub const NO_SENDERS: u8 = 1;
    /// To have the receive right when it is let go.
    pub const DESTROYED: u8 = 2;
    /// All there are.
    pub const ALL: u8 = NO_SENDERS | DESTROYED;
}

/// What a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passport {
    /// Messages it holds; zero for a rendezvous, `u64::MAX` for no limit.
    pub capacity: u64,
    /// Pulses each holder may have in it.
    pub pulses: u32,
    /// Whether it orders by priority.
    pub by_priority: bool,
    /// Whether equal pulses become one.
    pub merge_pulses: bool,
    /// What it does with one message too many: 0 refuse it, 1 drop the oldest, 2
    /// drop it.
    pub overflow: u8,
    /// Which requests go with the port: [`armed`]. Their rights are those of the
    /// frame, in this order.
    pub armed: u8,
    /// Send-once rights that are out. What comes on them goes through the bag; the
    /// old owner's death ends those that are left.
    pub promises: u64,
    /// Send rights that were made from the receive right so far.
    pub made: u64,
    /// Messages that its overflow policy dropped so far.
    pub dropped: u64,
    /// A number the port got at its first move: it knows itself again by it.
    pub birth: u64,
}

impl Passport {
    /// Bytes of an encoded passport.
    pub const BYTES: usize = 48;

    /// The passport as it lies in the frame.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.pulses.to_le_bytes());
        bytes[12] = u8::from(self.by_priority);
        bytes[13] = u8::from(self.merge_pulses);
        bytes[14] = self.overflow;
        bytes[15] = self.armed;
        bytes[16..24].copy_from_slice(&self.promises.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.made.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.dropped.to_le_bytes());
        bytes[40..].copy_from_slice(&self.birth.to_le_bytes());
        bytes
    }

    /// Reads a passport.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`], and [`Offence::BagMalformed`] for a port that
    /// nobody could have made.
    pub fn decode(bytes: &[u8]) -> Result<Self, Offence> {
        const SHORT: Offence = Offence::FrameTruncated;
        let flag = |at: usize| match bytes.get(at) {
            Some(&flag) if flag < 2 => Ok(flag == 1),
            Some(_) => Err(Offence::BagMalformed),
            None => Err(SHORT),
        };
        let armed = *bytes.get(15).ok_or(SHORT)?;
        let passport = Passport {
            capacity: u64_at(bytes, 0).ok_or(SHORT)?,
            pulses: u32_at(bytes, 8).ok_or(SHORT)?,
            by_priority: flag(12)?,
            merge_pulses: flag(13)?,
            overflow: *bytes.get(14).ok_or(SHORT)?,
            armed,
            promises: u64_at(bytes, 16).ok_or(SHORT)?,
            made: counted(u64_at(bytes, 24).ok_or(SHORT)?)?,
            dropped: counted(u64_at(bytes, 32).ok_or(SHORT)?)?,
            birth: u64_at(bytes, 40).ok_or(SHORT)?,
        };
        let bounded = u64::from(limits::CAPACITY_MESSAGES);
        let possible = (passport.capacity <= bounded || passport.capacity == u64::MAX)
            && passport.pulses <= limits::PULSES_MAX
            && passport.overflow <= 2
            && passport.armed & !armed::ALL == 0
            && passport.promises <= limits::MOVED_PROMISES;
        if possible { Ok(passport) } else { Err(Offence::BagMalformed) }
    }
}

/// A right that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutRight {
    /// Who holds it.
    pub holder: TaskId,
    /// Where its holder listens.
    pub address: Address,
    /// Messages that came of it so far.
    pub have: u64,
}

impl OutRight {
    /// Bytes of an encoded right.
    pub const BYTES: usize = 40;

    /// The right as it lies in the frame.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.holder.encode());
        bytes[16..31].copy_from_slice(&self.address.0);
        bytes[32..].copy_from_slice(&self.have.to_le_bytes());
        bytes
    }

    /// Reads a right.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`], and [`Offence::BagMalformed`] for more messages than
    /// can have come.
    pub fn decode(bytes: &[u8]) -> Result<Self, Offence> {
        const SHORT: Offence = Offence::FrameTruncated;
        let mut address = Address::default();
        address.0.copy_from_slice(bytes.get(16..31).ok_or(SHORT)?);
        let have = counted(u64_at(bytes, 32).ok_or(SHORT)?)?;
        Ok(OutRight { holder: TaskId::decode(bytes)?, address, have })
    }
}

/// Which place a message in a bag takes in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// One of the port's.
    #[default]
    Counted,
    /// None: it took its place when its right was made.
    Beyond,
    /// None, and it ends one of the promises that were out when the port moved.
    Promised,
}

/// Where a message in a bag came from, as the old owner says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The ticket of the right it came on, if that is still out; zero where it was
    /// in the queue, or came of the old owner's own.
    pub ticket: u64,
    /// Which place it takes at the new owner.
    pub place: Place,
    /// How many pulses it stands for; zero for what is none.
    pub pulses: u64,
}

impl Origin {
    /// Bytes of an encoded origin.
    pub const BYTES: usize = 24;

    /// The origin as it lies before the body.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.ticket.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.pulses.to_le_bytes());
        bytes[16] = match self.place {
            Place::Counted => 0,
            Place::Beyond => 1,
            Place::Promised => 2,
        };
        bytes
    }

    /// Reads an origin.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Offence> {
        const SHORT: Offence = Offence::FrameTruncated;
        Ok(Origin {
            ticket: u64_at(bytes, 0).ok_or(SHORT)?,
            pulses: counted(u64_at(bytes, 8).ok_or(SHORT)?)?,
            place: match *bytes.get(16).ok_or(SHORT)? {
                0 => Place::Counted,
                1 => Place::Beyond,
                2 => Place::Promised,
                _ => return Err(Offence::BagMalformed),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_bag_comes_back() {
        let passport = Passport {
            capacity: 7,
            pulses: 3,
            by_priority: true,
            merge_pulses: false,
            overflow: 2,
            armed: armed::ALL,
            promises: 5,
            made: 6,
            dropped: 8,
            birth: 9,
        };
        assert_eq!(Passport::decode(&passport.encode()), Ok(passport));
        let out = OutRight {
            holder: TaskId { process: 1, number: 2 },
            address: Address::new(b"00a1").unwrap_or_default(),
            have: 9,
        };
        assert_eq!(OutRight::decode(&out.encode()), Ok(out));
        let origin = Origin { ticket: 4, place: Place::Promised, pulses: 2 };
        assert_eq!(Origin::decode(&origin.encode()), Ok(origin));
        assert_eq!(Passport::decode(&[0; 13]), Err(Offence::FrameTruncated));
        let odd: [fn(&mut Passport); 7] = [
            |odd| odd.armed = armed::ALL + 1,
            |odd| odd.capacity = u64::from(limits::CAPACITY_MESSAGES) + 1,
            |odd| odd.pulses = limits::PULSES_MAX + 1,
            |odd| odd.overflow = 3,
            |odd| odd.promises = limits::MOVED_PROMISES + 1,
            |odd| odd.made = COUNT_MAX + 1,
            |odd| odd.dropped = u64::MAX,
        ];
        for change in odd {
            let mut odd = passport;
            change(&mut odd);
            assert_eq!(Passport::decode(&odd.encode()), Err(Offence::BagMalformed), "{odd:?}");
        }
        let odd = OutRight { have: u64::MAX, ..out };
        assert_eq!(OutRight::decode(&odd.encode()), Err(Offence::BagMalformed));
        let odd = Origin { pulses: COUNT_MAX + 1, ..origin };
        assert_eq!(Origin::decode(&odd.encode()), Err(Offence::BagMalformed));
        assert_eq!(OutRight::decode(&[0; 39]), Err(Offence::FrameTruncated));
        assert_eq!(Origin::decode(&[0; 16]), Err(Offence::FrameTruncated));
    }
}
