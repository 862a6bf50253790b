//! How a right is named inside a message.
//!
//! A right in a message is named from the *sender's* point of view, and only
//! means something on the link it travels on:
//!
//! | kind    | says                                                    | bytes |
//! |---------|---------------------------------------------------------|-------|
//! | `Mine`  | a slot on my board, which is yours to use from now on   | 16    |
//! | `Yours` | a slot on your board, which you gave me                 | 16    |
//! | `Third` | another task's port: who owns it, and the ticket        | 56    |
//! | `Dead`  | the right of a port that is gone                        | 16    |
//! | `Receive` | the receive right itself; its bag came before         | 16    |

use crate::{Offence, Slot, TaskId, Ticket, u32_at, u64_at};

/// Bytes of the longest reference.
pub const REF_BYTES_MAX: usize = 56;
/// Bytes of a reference without a third party.
pub const REF_BYTES: usize = 16;

const MINE: u8 = 1;
const YOURS: u8 = 2;
const THIRD: u8 = 3;
const DEAD: u8 = 4;
const RECEIVE: u8 = 5;

/// The abstract socket name a task listens on, as the kernel chose it.
///
/// Unused bytes are zero. A task that listens nowhere has an empty address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Address(pub [u8; 15]);

impl Address {
    /// Takes a name the kernel bound, without its leading zero byte. `None`
    /// where it is longer than an autobound name can be.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; 15];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Address(bytes))
    }

    /// The name without its padding.
    pub fn name(&self) -> &[u8] {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        self.0.get(..end).unwrap_or_default()
    }
}

/// Whether a right may be used many times or once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A send right.
    Send,
    /// A send-once right.
    SendOnce,
}

/// A right, as named inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightRef {
    /// A slot on the sender's board.
    Mine(Kind, Slot),
    /// A slot on the receiver's board.
    Yours(Kind, Slot),
    /// A port of a third task.
    Third {
        /// Which kind of right.
        kind: Kind,
        /// The task that owns the port.
        owner: TaskId,
        /// Where that task listens.
        address: Address,
        /// What names the give at the owner.
        ticket: Ticket,
    },
    /// A right whose port is gone.
    Dead(Kind),
    /// The receive right of a port: its bag is one of the message's descriptors,
    /// which come in the order of these.
    Receive(Ticket),
}

impl RightRef {
    /// Appends the reference to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (tag, kind) = match self {
            RightRef::Mine(kind, _) => (MINE, kind),
            RightRef::Yours(kind, _) => (YOURS, kind),
            RightRef::Third { kind, .. } => (THIRD, kind),
            RightRef::Dead(kind) => (DEAD, kind),
            RightRef::Receive(_) => (RECEIVE, &Kind::Send),
        };
        let kind = match kind {
            Kind::Send => 0,
            Kind::SendOnce => 1,
        };
        out.extend_from_slice(&[tag, kind, 0, 0, 0, 0, 0, 0]);
        match self {
            RightRef::Mine(_, slot) | RightRef::Yours(_, slot) => {
                out.extend_from_slice(&slot.index.to_le_bytes());
                out.extend_from_slice(&slot.generation.to_le_bytes());
            }
            RightRef::Third { owner, address, ticket, .. } => {
                out.extend_from_slice(&ticket.0.to_le_bytes());
                out.extend_from_slice(&owner.encode());
                out.extend_from_slice(&address.0);
                out.extend_from_slice(&[0; 9]);
            }
            RightRef::Receive(ticket) => out.extend_from_slice(&ticket.0.to_le_bytes()),
            RightRef::Dead(_) => out.extend_from_slice(&[0; 8]),
        }
    }

    /// The bytes of a right of the writer's own.
    #[inline]
    pub fn mine(kind: Kind, slot: Slot) -> [u8; REF_BYTES] {
        let mut bytes = [0; REF_BYTES];
        let front = u64::from(MINE) | u64::from(kind == Kind::SendOnce) << 8;
        let back = u64::from(slot.index) | u64::from(slot.generation) << 32;
        let words = bytes.as_chunks_mut::<8>().0;
        for (place, word) in words.iter_mut().zip([front, back]) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// Reads one reference from the front of `bytes` and says how long it was.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`] or [`Offence::RightKind`].
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), Offence> {
        let tag = *bytes.first().ok_or(Offence::FrameTruncated)?;
        let kind = match bytes.get(1).ok_or(Offence::FrameTruncated)? {
            0 => Kind::Send,
            1 => Kind::SendOnce,
            _ => return Err(Offence::RightKind),
        };
        let index = u32_at(bytes, 8).ok_or(Offence::FrameTruncated)?;
        let generation = u32_at(bytes, 12).ok_or(Offence::FrameTruncated)?;
        let slot = Slot { index, generation };
        match tag {
            MINE => Ok((RightRef::Mine(kind, slot), REF_BYTES)),
            YOURS => Ok((RightRef::Yours(kind, slot), REF_BYTES)),
            DEAD => Ok((RightRef::Dead(kind), REF_BYTES)),
            RECEIVE if kind == Kind::Send => {
                let ticket = u64_at(bytes, 8).ok_or(Offence::FrameTruncated)?;
                Ok((RightRef::Receive(Ticket(ticket)), REF_BYTES))
            }
            THIRD => {
                let ticket = Ticket(u64_at(bytes, 8).ok_or(Offence::FrameTruncated)?);
                let rest = bytes.get(16..REF_BYTES_MAX).ok_or(Offence::FrameTruncated)?;
                let owner = TaskId::decode(rest)?;
                let mut address = Address::default();
                address.0.copy_from_slice(rest.get(16..31).ok_or(Offence::FrameTruncated)?);
                Ok((RightRef::Third { kind, owner, address, ticket }, REF_BYTES_MAX))
            }
            _ => Err(Offence::RightKind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_comes_back() {
        let slot = Slot { index: 7, generation: 3 };
        let owner = TaskId { process: 0x1122_3344, number: 2 };
        let address = Address::new(b"00af3").unwrap_or_default();
        for right in [
            RightRef::Mine(Kind::SendOnce, slot),
            RightRef::Yours(Kind::Send, slot),
            RightRef::Third { kind: Kind::Send, owner, address, ticket: Ticket(9) },
            RightRef::Dead(Kind::SendOnce),
            RightRef::Receive(Ticket(11)),
        ] {
            let mut bytes = Vec::new();
            right.encode(&mut bytes);
            assert_eq!(RightRef::decode(&bytes), Ok((right, bytes.len())));
            for end in 0..bytes.len() {
                assert_eq!(RightRef::decode(&bytes[..end]), Err(Offence::FrameTruncated));
            }
        }
        assert_eq!(address.name(), b"00af3");
    }

    #[test]
    fn an_unknown_kind_of_right_is_an_offence() {
        assert_eq!(RightRef::decode(&[9; 16]), Err(Offence::RightKind));
        assert_eq!(RightRef::decode(&[MINE, 2, 0, 0, 0, 0, 0, 0]), Err(Offence::RightKind));
        assert_eq!(RightRef::decode(&[9, 0].repeat(8)), Err(Offence::RightKind));
    }
}
