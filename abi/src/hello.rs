//! The first packet each way.
//!
//! It carries one descriptor, the sender's outbound memory, and the kernel's
//! word about who the sender is. The task that opened the connection speaks
//! first and says why; the other answers, or refuses with a reason.

use crate::right::Address;
use crate::{Offence, TaskId, Ticket, limits, u32_at, u64_at};

/// The version of the protocol. A peer with another one is refused.
pub const VERSION: u32 = 1;

/// What a hello begins with: `PBhello\0`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"PBhello\0");

/// What a refusal begins with: `PBrefus\0`.
pub const REFUSAL_MAGIC: u64 = u64::from_le_bytes(*b"PBrefus\0");

/// Bytes of a hello.
pub const BYTES: usize = 96;

/// Bytes of a refusal.
pub const REFUSAL_BYTES: usize = 24;

/// Why a connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A parent and the child it started.
    Child,
    /// A client of a named socket, who asks for the right offered there.
    Named,
    /// To claim a right that `giver` gave.
    Claim {
        /// The task that gave it.
        giver: TaskId,
        /// What names the give.
        ticket: Ticket,
    },
}

/// The first packet of either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Optional abilities. Bits we do not know are ignored.
    pub features: u64,
    /// Which task of its process the sender is.
    pub number: u64,
    /// Bytes of the lane in the memory that comes with this packet.
    pub lane_bytes: u32,
    /// Why the connection was opened; the answer repeats it.
    pub purpose: Purpose,
    /// Where the sender listens for introductions.
    pub address: Address,
}

impl Hello {
    /// The packet.
    pub fn encode(&self) -> [u8; BYTES] {
        let (purpose, giver, ticket) = match self.purpose {
            Purpose::Child => (1_u32, TaskId { process: 0, number: 0 }, Ticket(0)),
            Purpose::Named => (2, TaskId { process: 0, number: 0 }, Ticket(0)),
            Purpose::Claim { giver, ticket } => (3, giver, ticket),
        };
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&purpose.to_le_bytes());
        bytes.extend_from_slice(&self.features.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.lane_bytes.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&giver.encode());
        bytes.extend_from_slice(&ticket.0.to_le_bytes());
        bytes.extend_from_slice(&self.address.0);
        let mut packet = [0; BYTES];
        if let Some(front) = packet.get_mut(..bytes.len()) {
            front.copy_from_slice(&bytes);
        }
        packet
    }

    /// Reads a packet.
    ///
    /// The version is looked at before anything else, so that a peer of a later
    /// version hears that and not that its packet is malformed.
    ///
    /// # Errors
    /// [`Offence::HelloMalformed`], [`Offence::VersionUnknown`],
    /// [`Offence::LaneSize`].
    pub fn decode(packet: &[u8]) -> Result<Self, Offence> {
        const BAD: Offence = Offence::HelloMalformed;
        if u64_at(packet, 0) != Some(MAGIC) {
            return Err(BAD);
        }
        let theirs = u32_at(packet, 8).ok_or(BAD)?;
        if theirs != VERSION {
            return Err(Offence::VersionUnknown { theirs });
        }
        if packet.len() != BYTES {
            return Err(BAD);
        }
        let lane_bytes = u32_at(packet, 32).ok_or(BAD)?;
        let allowed = limits::LANE_BYTES_MIN..=limits::LANE_BYTES_MAX;
        if !lane_bytes.is_power_of_two() || !allowed.contains(&lane_bytes) {
            return Err(Offence::LaneSize(lane_bytes));
        }
        let purpose = match u32_at(packet, 12).ok_or(BAD)? {
            1 => Purpose::Child,
            2 => Purpose::Named,
            3 => Purpose::Claim {
                giver: TaskId::decode(packet.get(40..).ok_or(BAD)?)?,
                ticket: Ticket(u64_at(packet, 56).ok_or(BAD)?),
            },
            _ => return Err(BAD),
        };
        let mut address = Address::default();
        address.0.copy_from_slice(packet.get(64..79).ok_or(BAD)?);
        Ok(Hello {
            features: u64_at(packet, 16).ok_or(BAD)?,
            number: u64_at(packet, 24).ok_or(BAD)?,
            lane_bytes,
            purpose,
            address,
        })
    }
}

/// Why a connection was refused, as told to the one who opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Another version is spoken here.
    #[error("the other side speaks protocol version {0}")]
    Version(u32),
    /// The packet, or the memory with it, was not acceptable.
    #[error("the other side did not accept the hello")]
    Malformed,
    /// The ticket is not known here.
    #[error("the other side knows no such ticket")]
    Ticket,
    /// There is a link between the two already, or one that takes precedence.
    #[error("the two tasks have a link already")]
    Duplicate {
        /// Which task of its process says so.
        number: u64,
    },
    /// Nothing is offered to this caller.
    #[error("the other side offers nothing to this caller")]
    NotAllowed,
    /// Too many links or strangers.
    #[error("the other side has too many connections")]
    Busy,
}

impl Refusal {
    /// The packet.
    pub fn encode(self) -> [u8; REFUSAL_BYTES] {
        let (code, value) = match self {
            Refusal::Version(ours) => (1_u32, u64::from(ours)),
            Refusal::Malformed => (2, 0),
            Refusal::Ticket => (3, 0),
            Refusal::Duplicate { number } => (4, number),
            Refusal::NotAllowed => (5, 0),
            Refusal::Busy => (6, 0),
        };
        let mut packet = [0; REFUSAL_BYTES];
        packet[..8].copy_from_slice(&REFUSAL_MAGIC.to_le_bytes());
        packet[8..12].copy_from_slice(&VERSION.to_le_bytes());
        packet[12..16].copy_from_slice(&code.to_le_bytes());
        packet[16..24].copy_from_slice(&value.to_le_bytes());
        packet
    }

    /// Reads a packet, or `None` where it is not a refusal.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        if u64_at(packet, 0) != Some(REFUSAL_MAGIC) {
            return None;
        }
        match u32_at(packet, 12)? {
            1 => Some(Refusal::Version(u32_at(packet, 16)?)),
            3 => Some(Refusal::Ticket),
            4 => Some(Refusal::Duplicate { number: u64_at(packet, 16)? }),
            5 => Some(Refusal::NotAllowed),
            6 => Some(Refusal::Busy),
            _ => Some(Refusal::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Hello {
        let giver = TaskId { process: 5, number: 1 };
        Hello {
            features: 0x8000_0000_0000_0001,
            number: 3,
            lane_bytes: limits::LANE_BYTES,
            purpose: Purpose::Claim { giver, ticket: Ticket(77) },
            address: Address::new(b"0001c").unwrap_or_default(),
        }
    }

    #[test]
    fn a_hello_comes_back() {
        for purpose in [Purpose::Child, Purpose::Named, sample().purpose] {
            let hello = Hello { purpose, ..sample() };
            assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        }
    }

    #[test]
    fn an_unknown_version_is_named_whatever_its_length() {
        let mut packet = sample().encode();
        packet[8] = 9;
        let unknown = Err(Offence::VersionUnknown { theirs: 9 });
        assert_eq!(Hello::decode(&packet), unknown);
        assert_eq!(Hello::decode(&packet[..40]), unknown);
    }

    #[test]
    fn a_lane_outside_the_limits_is_an_offence() {
        for lane_bytes in [0, 100_000, 1 << 30] {
            let hello = Hello { lane_bytes, ..sample() };
            assert_eq!(Hello::decode(&hello.encode()), Err(Offence::LaneSize(lane_bytes)));
        }
    }

    #[test]
    fn a_short_or_foreign_packet_is_malformed() {
        let packet = sample().encode();
        for end in 0..BYTES {
            assert_eq!(Hello::decode(&packet[..end]), Err(Offence::HelloMalformed));
        }
        assert_eq!(Hello::decode(&[0; BYTES]), Err(Offence::HelloMalformed));
    }

    #[test]
    fn refusals_come_back() {
        let duplicate = Refusal::Duplicate { number: 1 << 40 };
        for refusal in [Refusal::Version(4), Refusal::Ticket, duplicate, Refusal::Busy] {
            assert_eq!(Refusal::decode(&refusal.encode()), Some(refusal));
        }
        assert_eq!(Refusal::decode(&sample().encode()), None);
    }
}
