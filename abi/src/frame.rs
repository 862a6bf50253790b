//! What lies in a lane.
//!
//! A lane is a ring of frames. A frame begins with a header of 32 bytes, is
//! 8-aligned and never split: what does not fit before the end of the ring is
//! skipped, by a [`Kind::Skip`] frame or, where not even a header fits, silently
//! by both sides.
//!
//! | offset | bytes | field        | in a message          | otherwise           |
//! |--------|-------|--------------|-----------------------|---------------------|
//! | 0      | 4     | `length`     | of the whole frame    | the same            |
//! | 4      | 1     | `kind`       | see [`Kind`]          |                     |
//! | 5      | 1     | `flags`      | see [`flag`]          | see [`flag`]        |
//! | 6      | 2     | `priority`   | of the message        | of a pulse, or zero |
//! | 8      | 4     | `index`      | the port's slot       | the slot spoken of  |
//! | 12     | 4     | `generation` | of that slot          | of that slot        |
//! | 16     | 4     | `id`         | the user's            | a pulse's, or small |
//! | 20     | 4     | `extra`      | bytes before the body | zero                |
//! | 24     | 8     | `tag`        | the user's            | value, count, …     |
//!
//! After the header come `extra` bytes that name rights and descriptors, then
//! the body.

use crate::loan::{self, Loan, RegionRef};
use crate::right::{REF_BYTES, RightRef};
use crate::{Offence, Slot, TaskId, Ticket, limits, u16_at, u32_at, u64_at};

/// Bytes of a header.
pub const HEADER_BYTES: usize = 32;

/// Words of a header.
pub const HEADER_WORDS: usize = HEADER_BYTES / 8;

/// Bytes of an attachment head.
pub const ATTACHED_BYTES: usize = 16;

/// The slot index in a *look* that means every slot.
pub const EVERY_SLOT: u32 = u32::MAX;

/// The ticket no give has. In a *take back* it means every ticket given to that task: it
/// has died, and the owner of the rights may not know it.
pub const EVERY_TICKET: u64 = 0;

/// Bits of `flags`.
pub mod flag {
    /// A reply right follows the header.
    pub const REPLY: u8 = 1;
    /// An attachment head and rights follow.
    pub const ATTACHED: u8 = 2;
    /// The message is a notification.
    pub const NOTIFICATION: u8 = 4;
    /// In a give or an answer to a claim: a send-once right is meant.
    pub const ONCE: u8 = 8;
    /// The message may wait with the owner of a full port. The right on which its
    /// taking is told follows the reply right.
    pub const LEFT: u8 = 16;
    /// Regions follow the rights.
    pub const REGIONS: u8 = 32;
    /// The message was accepted by an owner of the port that has died, and is sent again:
    /// before all that its sender sent to the next owner since.
    pub const AGAIN: u8 = 64;
}

/// What the `id` of an *ask* says.
pub mod ask {
    /// Who asks waits, and looks when it is told to.
    pub const LATER: i32 = 0;
    /// Who asks does not wait, and is told at once where there is no place.
    pub const NOW: i32 = 1;
    /// Two threads ask: one waits, the other does not.
    pub const NOW_AND_LATER: i32 = 2;
}

/// What the `id` of a *return* says.
pub mod back {
    /// The places were asked for, and nobody asks any more.
    pub const STOP: i32 = 1;
    /// They were for messages that would have been sent again, and are lost.
    pub const LOST: i32 = 2;
}

/// What the `id` of a *bag* says.
pub mod bag {
    /// It is full and goes on in the memory of the packet that the index names.
    pub const MORE: i32 = 1;
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Fills the ring to its end; no meaning.
    Skip = 0,
    /// A message to a slot of the reader's.
    Message = 1,
    /// Named rights for a task that was just linked: a message to no slot.
    Welcome = 2,
    /// `tag` rights of the slot are given back.
    Release = 3,
    /// A send-once right was dropped unused.
    Dropped = 4,
    /// The writer wants a place in the slot's port.
    Ask = 5,
    /// Something about my slot, or about room, has changed: look.
    Look = 6,
    /// I give my right in your slot to another task.
    Give = 7,
    /// A give whose message failed; with [`EVERY_TICKET`] all to a task that died.
    TakeBack = 8,
    /// I hold a ticket to a port of yours.
    Claim = 9,
    /// The claim is good: this slot is yours.
    Joined = 10,
    /// The claim is not good.
    Refused = 11,
    /// Another board; its memory came before.
    Board = 12,
    /// How full is the port of this slot?
    Status = 13,
    /// So full.
    StatusIs = 14,
    /// `tag` granted places are given back unused; what `id` says is in [`back`].
    Return = 15,
    /// A few bytes that never wait: the header is all there is.
    Pulse = 16,
    /// A part of the answer to a call, for offset `tag` of the caller's buffer.
    Part = 17,
    /// In a bag, first: what the port is.
    Port = 18,
    /// In a bag: a right that is out, `tag` its ticket.
    Out = 19,
    /// In a bag: the right with ticket `tag` has ended.
    Ended = 20,
    /// The bag of ticket `tag` holds something new: look.
    Bag = 21,
    /// Say once, when there is room in the slot's port, that there is.
    Watch = 22,
    /// There is room in the port of this slot, or was when this was written.
    Room = 23,
    /// The message that was left with the slot's port has been taken.
    Taken = 24,
    /// What I claimed, and may not have your answer to, I give to another task.
    GiveOn = 25,
    /// Every message spilled so far, up to number `tag`, was sent before what
    /// follows.
    Spilled = 26,
    /// Messages spilled for this slot were taken, up to number `tag`.
    Emptied = 27,
    /// Nothing more comes in the memory offered for the slot's messages up to number
    /// `tag`: let it go.
    Spent = 28,
    /// Memory that loans are made of; its descriptor came before.
    Memory = 29,
    /// Nothing of that memory is lent any more: let it go.
    Unmap = 30,
    /// That memory of yours was let go, or could not be had.
    Unmapped = 31,
}

impl Kind {
    /// Every kind, by its number.
    pub const ALL: [Kind; 32] = [
        Kind::Skip,
        Kind::Message,
        Kind::Welcome,
        Kind::Release,
        Kind::Dropped,
        Kind::Ask,
        Kind::Look,
        Kind::Give,
        Kind::TakeBack,
        Kind::Claim,
        Kind::Joined,
        Kind::Refused,
        Kind::Board,
        Kind::Status,
        Kind::StatusIs,
        Kind::Return,
        Kind::Pulse,
        Kind::Part,
        Kind::Port,
        Kind::Out,
        Kind::Ended,
        Kind::Bag,
        Kind::Watch,
        Kind::Room,
        Kind::Taken,
        Kind::GiveOn,
        Kind::Spilled,
        Kind::Emptied,
        Kind::Spent,
        Kind::Memory,
        Kind::Unmap,
        Kind::Unmapped,
    ];

    #[inline]
    fn flags_allowed(self) -> u8 {
        match self {
            Kind::Port => flag::ATTACHED,
            Kind::Message => {
                flag::REPLY
                    | flag::ATTACHED
                    | flag::NOTIFICATION
                    | flag::LEFT
                    | flag::REGIONS
                    | flag::AGAIN
            }
            Kind::Welcome => flag::REPLY | flag::ATTACHED | flag::NOTIFICATION,
            Kind::Give | Kind::GiveOn | Kind::Joined => flag::ONCE,
            _ => 0,
        }
    }
}

/// The first 32 bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole frame, before rounding up to 8.
    pub length: u32,
    /// What the frame is for.
    pub kind: Kind,
    /// Bits of [`flag`].
    pub flags: u8,
    /// The message's priority.
    pub priority: u16,
    /// The slot the frame is about.
    pub slot: Slot,
    /// The message's id, or a small number.
    pub id: i32,
    /// Bytes between the header and the body.
    pub extra: u32,
    /// The message's tag, or a count or ticket.
    pub tag: u64,
}

impl Header {
    /// A header with nothing behind it.
    #[inline]
    pub const fn new(kind: Kind, slot: Slot) -> Self {
        Header {
            length: HEADER_BYTES as u32,
            kind,
            flags: 0,
            priority: 0,
            slot,
            id: 0,
            extra: 0,
            tag: 0,
        }
    }

    /// The header as the words of a lane, the first byte lowest.
    #[inline]
    pub const fn words(&self) -> [u64; HEADER_WORDS] {
        [
            self.length as u64
                | (self.kind as u64) << 32
                | (self.flags as u64) << 40
                | (self.priority as u64) << 48,
            self.slot.index as u64 | (self.slot.generation as u64) << 32,
            self.id.cast_unsigned() as u64 | (self.extra as u64) << 32,
            self.tag,
        ]
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.words()) {
            *to = word.to_le_bytes();
        }
        bytes
    }

    /// Reads a header that has been copied out of a lane.
    ///
    /// # Errors
    /// As [`Header::from_words`].
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Offence> {
        let mut words = [0; HEADER_WORDS];
        for (to, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *to = u64::from_le_bytes(*bytes);
        }
        Header::from_words(words)
    }

    /// Reads a header whose words have been copied out of a lane, the first byte
    /// lowest.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`], [`Offence::FrameOversized`],
    /// [`Offence::FrameKind`], [`Offence::FrameFlags`].
    #[inline]
    pub fn from_words(words: [u64; HEADER_WORDS]) -> Result<Self, Offence> {
        let [first, slot, more, tag] = words;
        let (length, flags, extra) = (first as u32, (first >> 40) as u8, (more >> 32) as u32);
        let number = (first >> 32) as u8;
        let kind = *Kind::ALL.get(usize::from(number)).ok_or(Offence::FrameKind)?;
        let Some(behind) = (length as usize).checked_sub(HEADER_BYTES) else {
            return Err(Offence::FrameTruncated);
        };
        let most = match kind {
            Kind::Skip => limits::LANE_BYTES_MAX as usize,
            _ => limits::FRAME_BYTES,
        };
        if length as usize > most {
            return Err(Offence::FrameOversized);
        }
        if flags & !kind.flags_allowed() != 0 {
            return Err(Offence::FrameFlags);
        }
        if extra as usize > behind {
            return Err(Offence::FrameTruncated);
        }
        Ok(Header {
            length,
            kind,
            flags,
            priority: (first >> 48) as u16,
            slot: Slot { index: slot as u32, generation: (slot >> 32) as u32 },
            id: (more as u32).cast_signed(),
            extra,
            tag,
        })
    }

    /// Bytes the frame takes in the lane.
    #[inline]
    pub const fn room(&self) -> u32 {
        self.length.next_multiple_of(8)
    }

    /// Bytes of the body.
    #[inline]
    pub const fn body_bytes(&self) -> usize {
        (self.length as usize).saturating_sub(HEADER_BYTES + self.extra as usize)
    }
}

/// What a message carries beside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// The reply right.
    pub reply: Option<RightRef>,
    /// The right on which it is told that a left message was taken.
    pub accepted: Option<RightRef>,
    /// The rights, in the sender's order.
    pub rights: Vec<RightRef>,
    /// Descriptors in the packet that came before the frame, the body's memory
    /// included.
    pub descriptors: u16,
    /// The number of that packet: counts from zero on each link, wraps.
    pub packet: u32,
    /// Bytes of the body in the packet's first descriptor; zero for an inline
    /// body.
    pub region: u64,
    /// Where the body lies, if it is lent.
    pub lent: Option<Loan>,
    /// The regions, in the sender's order. Descriptors of those that are sealed come
    /// after the bags'.
    pub regions: Vec<RegionRef>,
}

impl Attached {
    /// The most bytes there are between header and body where one thing is attached that
    /// is not a third task's.
    pub const ONE_BYTES: usize = loan::ONE_BYTES;

    /// Appends the bytes between header and body, and says which flags they
    /// need.
    pub fn encode(&self, out: &mut Vec<u8>) -> u8 {
        let mut flags = 0;
        if let Some(reply) = &self.reply {
            reply.encode(out);
            flags |= flag::REPLY;
        }
        if let Some(accepted) = &self.accepted {
            accepted.encode(out);
            flags |= flag::LEFT;
        }
        if !self.rights.is_empty() || self.descriptors > 0 || self.region > 0 {
            flags |= flag::ATTACHED;
            out.extend_from_slice(&(self.rights.len() as u16).to_le_bytes());
            out.extend_from_slice(&self.descriptors.to_le_bytes());
            out.extend_from_slice(&self.packet.to_le_bytes());
            out.extend_from_slice(&self.region.to_le_bytes());
            for right in &self.rights {
                right.encode(out);
            }
        }
        if self.lent.is_some() || !self.regions.is_empty() {
            flags |= flag::REGIONS;
            loan::encode_all(self.lent.as_ref(), &self.regions, out);
        }
        flags
    }

    /// The flags of a message with one right and nothing else.
    pub const ONE_RIGHT: u8 = flag::ATTACHED;

    /// The flags of a message with one loan, or with a body that is lent, and nothing
    /// else.
    pub const ONE_LOAN: u8 = flag::REGIONS;

    /// What [`Attached::encode`] says of one right and nothing else.
    #[inline]
    pub fn one_right(right: [u8; REF_BYTES]) -> [u8; ATTACHED_BYTES + REF_BYTES] {
        let mut bytes = [0; ATTACHED_BYTES + REF_BYTES];
        bytes[0] = 1;
        bytes[ATTACHED_BYTES..].copy_from_slice(&right);
        bytes
    }

    /// Reads what says of one right and nothing else. `None` for whatever else it is.
    #[inline]
    pub fn the_right(flags: u8, bytes: &[u8]) -> Option<RightRef> {
        let (head, right) = bytes.split_at_checked(ATTACHED_BYTES)?;
        // One right, and nothing in a packet, whatever its number.
        let alone = u32_at(head, 0) == Some(1) && u64_at(head, 8) == Some(0);
        let known = flags == Attached::ONE_RIGHT && right.len() == REF_BYTES && alone;
        known.then(|| RightRef::decode(right).ok())?.map(|(right, _)| right)
    }

    /// Reads what says of one loan and nothing else, and whether it is the body. `None`
    /// for whatever else it is.
    #[inline]
    pub fn the_loan(flags: u8, bytes: &[u8]) -> Option<(Loan, bool)> {
        if flags == Attached::ONE_LOAN { loan::the_one(bytes) } else { None }
    }

    /// What it says of one region that is lent and nothing else.
    pub fn one_region(loan: &Loan) -> [u8; loan::ONE_BYTES] {
        loan::one(loan, false)
    }

    /// What it says of a body that is lent and nothing else.
    pub fn lent_body(loan: &Loan) -> [u8; loan::ONE_BYTES] {
        loan::one(loan, true)
    }

    /// How many regions have a descriptor of their own.
    pub fn sealed(&self) -> usize {
        self.regions.iter().filter(|region| matches!(region, RegionRef::Sealed { .. })).count()
    }

    /// Whether anything of it is lent.
    pub fn lends(&self) -> bool {
        self.lent.is_some() || self.regions.len() > self.sealed()
    }

    /// What it counts against the byte window beside its frame.
    pub fn charge(&self) -> u64 {
        let lent = self.regions.len() - self.sealed() + usize::from(self.lent.is_some());
        (u64::from(self.descriptors) + lent as u64) * limits::DESCRIPTOR_CHARGE
    }

    /// How many receive rights there are, and descriptors of their bags.
    pub fn bags(&self) -> usize {
        self.rights.iter().filter(|right| matches!(right, RightRef::Receive(_))).count()
    }

    /// Reads the bytes between header and body.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`], [`Offence::FrameOversized`] (more than a
    /// message may carry, or bytes left over), [`Offence::RightKind`],
    /// [`Offence::BodyMalformed`].
    pub fn decode(flags: u8, mut bytes: &[u8]) -> Result<Self, Offence> {
        const SHORT: Offence = Offence::FrameTruncated;
        let mut attached = Attached::default();
        if flags & flag::REPLY != 0 {
            attached.reply = Some(once(&mut bytes)?);
        }
        if flags & flag::LEFT != 0 {
            attached.accepted = Some(once(&mut bytes)?);
        }
        if flags & flag::ATTACHED != 0 {
            let rights = usize::from(u16_at(bytes, 0).ok_or(SHORT)?);
            attached.descriptors = u16_at(bytes, 2).ok_or(SHORT)?;
            attached.packet = u32_at(bytes, 4).ok_or(SHORT)?;
            attached.region = u64_at(bytes, 8).ok_or(SHORT)?;
            let region = attached.region > 0;
            let most = limits::MESSAGE_DESCRIPTORS
                + limits::MESSAGE_RECEIVES
                + limits::MESSAGE_REGIONS
                + usize::from(region);
            if rights > limits::MESSAGE_RIGHTS
                || usize::from(attached.descriptors) > most
                || attached.region > limits::MESSAGE_BYTES
            {
                return Err(Offence::FrameOversized);
            }
            if region && attached.descriptors == 0 {
                return Err(Offence::BodyMalformed);
            }
            bytes = bytes.get(ATTACHED_BYTES..).ok_or(SHORT)?;
            attached.rights.reserve_exact(rights.min(bytes.len() / REF_BYTES));
            for _ in 0..rights {
                let (right, used) = RightRef::decode(bytes)?;
                attached.rights.push(right);
                bytes = bytes.get(used..).ok_or(SHORT)?;
            }
        }
        if flags & flag::REGIONS != 0 {
            let (lent, regions, used) = loan::decode_all(bytes)?;
            (attached.lent, attached.regions) = (lent, regions);
            bytes = bytes.get(used..).ok_or(SHORT)?;
        }
        let bags = attached.bags();
        if bags > limits::MESSAGE_RECEIVES {
            return Err(Offence::FrameOversized);
        }
        let owned = bags + attached.sealed() + usize::from(attached.region > 0);
        if owned > usize::from(attached.descriptors)
            || (attached.region > 0 && attached.lent.is_some())
        {
            return Err(Offence::BodyMalformed);
        }
        if bytes.is_empty() { Ok(attached) } else { Err(Offence::FrameOversized) }
    }
}

/// Reads a right that must be a send-once right.
fn once(bytes: &mut &[u8]) -> Result<RightRef, Offence> {
    let (right, used) = RightRef::decode(bytes)?;
    let kind = match right {
        RightRef::Mine(kind, _)
        | RightRef::Yours(kind, _)
        | RightRef::Third { kind, .. }
        | RightRef::Dead(kind) => kind,
        RightRef::Receive(_) => return Err(Offence::RightKind),
    };
    if kind != crate::right::Kind::SendOnce {
        return Err(Offence::RightKind);
    }
    *bytes = bytes.get(used..).ok_or(Offence::FrameTruncated)?;
    Ok(right)
}

/// The answer to a [`Kind::Status`] question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStatus {
    /// Messages that wait in the queue.
    pub queued: u64,
    /// Messages the queue may hold; `u64::MAX` for one without a limit of its
    /// own, zero for a rendezvous.
    pub capacity: u64,
    /// Send rights there are.
    pub senders: u64,
    /// Messages the port has dropped because it was full, in all.
    pub dropped: u64,
}

impl PortStatus {
    /// Bytes of an encoded answer.
    pub const BYTES: usize = 32;

    /// The body of the answering frame.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.queued.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.capacity.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.senders.to_le_bytes());
        bytes[24..].copy_from_slice(&self.dropped.to_le_bytes());
        bytes
    }

    /// Reads the body of the answering frame.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`].
    pub fn decode(body: &[u8]) -> Result<Self, Offence> {
        const SHORT: Offence = Offence::FrameTruncated;
        Ok(PortStatus {
            queued: u64_at(body, 0).ok_or(SHORT)?,
            capacity: u64_at(body, 8).ok_or(SHORT)?,
            senders: u64_at(body, 16).ok_or(SHORT)?,
            dropped: u64_at(body, 24).ok_or(SHORT)?,
        })
    }
}

/// Reads the task a give, take-back, claim or its answer is about.
///
/// # Errors
/// [`Offence::FrameTruncated`].
pub fn task_of(body: &[u8]) -> Result<TaskId, Offence> {
    TaskId::decode(body)
}

/// Behind the header of a *give on*: for whom it is, and the claim it speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Onward {
    /// Who may claim it.
    pub to: TaskId,
    /// Who gave what was claimed.
    pub giver: TaskId,
    /// By which ticket it was claimed.
    pub ticket: Ticket,
}

impl Onward {
    /// Bytes of the body.
    pub const BYTES: usize = 2 * TaskId::BYTES + 8;

    /// The body of the frame.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.to.encode());
        bytes[16..32].copy_from_slice(&self.giver.encode());
        bytes[32..].copy_from_slice(&self.ticket.0.to_le_bytes());
        bytes
    }

    /// Reads the body of the frame.
    ///
    /// # Errors
    /// [`Offence::FrameTruncated`].
    pub fn decode(body: &[u8]) -> Result<Self, Offence> {
        const SHORT: Offence = Offence::FrameTruncated;
        Ok(Onward {
            to: TaskId::decode(body)?,
            giver: TaskId::decode(body.get(TaskId::BYTES..).ok_or(SHORT)?)?,
            ticket: Ticket(u64_at(body, 2 * TaskId::BYTES).ok_or(SHORT)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::right::{Address, Kind as RightKind};

    const SLOT: Slot = Slot { index: 3, generation: 9 };

    #[test]
    fn every_header_comes_back() {
        for kind in Kind::ALL {
            let header = Header {
                length: 40,
                flags: kind.flags_allowed(),
                priority: 5,
                id: -3,
                extra: 8,
                tag: u64::MAX,
                ..Header::new(kind, SLOT)
            };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn bad_headers_are_told_apart() {
        let good = Header::new(Kind::Message, SLOT);
        let with = |change: fn(&mut [u8; HEADER_BYTES])| {
            let mut bytes = good.encode();
            change(&mut bytes);
            Header::decode(&bytes)
        };
        assert_eq!(with(|bytes| bytes[0] = 31), Err(Offence::FrameTruncated));
        assert_eq!(with(|bytes| bytes[2] = 0xff), Err(Offence::FrameOversized));
        assert_eq!(with(|bytes| bytes[4] = 99), Err(Offence::FrameKind));
        assert_eq!(with(|bytes| bytes[5] = flag::ONCE), Err(Offence::FrameFlags));
        assert_eq!(with(|bytes| bytes[20] = 1), Err(Offence::FrameTruncated));
    }

    #[test]
    fn attachments_come_back() {
        let owner = TaskId { process: 1, number: 2 };
        let third = RightRef::Third {
            kind: RightKind::Send,
            owner,
            address: Address::default(),
            ticket: Ticket(4),
        };
        let attached = Attached {
            reply: Some(RightRef::Mine(RightKind::SendOnce, SLOT)),
            accepted: Some(RightRef::Yours(RightKind::SendOnce, SLOT)),
            rights: vec![third, RightRef::Yours(RightKind::Send, SLOT)],
            descriptors: 2,
            packet: 11,
            region: 1 << 20,
            lent: None,
            regions: vec![RegionRef::Sealed { length: 9 }],
        };
        let mut bytes = Vec::new();
        let flags = attached.encode(&mut bytes);
        assert_eq!(Attached::decode(flags, &bytes), Ok(attached));
        for end in 0..bytes.len() {
            assert_eq!(Attached::decode(flags, &bytes[..end]), Err(Offence::FrameTruncated));
        }
        bytes.push(0);
        assert_eq!(Attached::decode(flags, &bytes), Err(Offence::FrameOversized));
    }

    #[test]
    fn what_is_given_on_comes_back() {
        let task = |process| TaskId { process, number: 2 };
        let onward = Onward { to: task(1), giver: task(3), ticket: Ticket(4) };
        let bytes = onward.encode();
        assert_eq!(Onward::decode(&bytes), Ok(onward));
        for end in 0..bytes.len() {
            assert_eq!(Onward::decode(&bytes[..end]), Err(Offence::FrameTruncated));
        }
    }

    #[test]
    fn a_reply_right_that_could_be_used_twice_is_an_offence() {
        let mut bytes = Vec::new();
        RightRef::Mine(RightKind::Send, SLOT).encode(&mut bytes);
        assert_eq!(Attached::decode(flag::REPLY, &bytes), Err(Offence::RightKind));
    }

    #[test]
    fn the_longest_frame_leaves_room_in_the_smallest_lane() {
        const { assert!(limits::FRAME_BYTES * 2 + 64 < limits::LANE_BYTES as usize) };
        const { assert!(limits::FRAME_BYTES < limits::LANE_BYTES_MIN as usize) };
    }
}
