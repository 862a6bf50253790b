//! Messages with something in them, received as they come by who waits for them.
//!
//! They are read as any other message, and counted as any other. But where that comes to
//! the same they never lie in a queue, and who waits stands in no line there.

use std::sync::Arc;

use abi::Offence;
use abi::frame::{Header, flag};
use abi::right::Kind as RightKind;

use super::Link;
use super::inn::Inn;
use super::turn::Turn;
use crate::message::{Message, Right};
use crate::port::Near;

impl Link {
    /// Takes a message. One for the port that its receiver would take next is received at
    /// once; whatever else it is goes the general way, and so does one with a receive
    /// right in it: a port may be on its way into its own queue.
    pub(super) fn take_near(
        self: &Arc<Self>,
        near: Near<'_>,
        inn: &mut Inn,
        header: &Header,
        turn: &mut Turn,
    ) -> Result<Option<Message>, Offence> {
        if header.flags & (flag::LEFT | flag::AGAIN) != 0
            || !inn.spilled.is_empty()
            || !self.leads_to(&mut inn.led, header.slot, near.port)
        {
            return self.take_frame(inn, header, turn).map(|()| None);
        }
        let kind = RightKind::Send;
        let mut message = self.take_message(inn, header, Some(kind), turn)?;
        let moves = message.rights.iter().any(|right| matches!(right, Right::Receive(_)));
        let passing = if moves { None } else { near.passing() };
        match passing.and_then(|mut passing| passing.pass(self, header.slot)) {
            Some(sequence) => {
                message.sequence = sequence;
                Ok(Some(message))
            }
            None => self.deliver(header.slot, kind, message, turn).map(|()| None),
        }
    }
}
