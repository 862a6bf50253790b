//! Pulses on their way: a frame that is all header.

use std::sync::Arc;

use abi::frame::{HEADER_BYTES, Header, Kind};
use abi::{Offence, limits};

use super::{End, Entry, Link, Turn};
use crate::error::PulseError;
use crate::message::Message;
use crate::port::After;
use crate::wait::parking::lock;

impl Entry {
    /// Sends a pulse to the port, now or not at all.
    pub(crate) fn pulse(&self, id: i32, value: u64, priority: u16) -> Result<(), PulseError> {
        match self.link.end() {
            Some(End::Died) => return Err(PulseError::Dead),
            Some(End::Fault(offence)) => return Err(PulseError::Fault(offence)),
            Some(End::System(kind)) => return Err(PulseError::System(kind)),
            None => {}
        }
        if self.has_moved() {
            let mut after = After::default();
            self.look(&mut after);
            self.link.task.run_later(after);
            return Err(PulseError::NotJoined(self.link.peer_task()));
        }
        if self.is_dead() {
            let revoked = self.is_revoked();
            return Err(if revoked { PulseError::Revoked } else { PulseError::Dead });
        }
        if self.has_again() {
            // What a dead owner had not read goes first.
            self.link.task.send_again_later(&self.link);
            return Err(PulseError::NoRoom);
        }
        let board = || self.link.peer_page().pulses(self.slot.index).unwrap_or(0);
        // Counted first: of two threads no more send than may.
        if !lock(&self.import).pulses.send(board) {
            return Err(PulseError::NoRoom);
        }
        let header = Header { id, priority, tag: value, ..Header::new(Kind::Pulse, self.slot) };
        if self.link.write_now(self, &header) {
            return Ok(());
        }
        lock(&self.import).pulses.not_sent();
        Err(PulseError::NoRoom)
    }
}

impl Link {
    /// A pulse of the peer's.
    pub(super) fn take_pulse(
        self: &Arc<Self>,
        header: &Header,
        turn: &mut Turn,
    ) -> Result<(), Offence> {
        if header.length as usize != HEADER_BYTES {
            return Err(Offence::FrameOversized);
        }
        if header.priority > limits::PRIORITY_MAX {
            return Err(Offence::PriorityExceeded(header.priority));
        }
        let sink = self.send_sink(header.slot)?;
        let pulse = Message::pulse_of(header.id, header.tag, header.priority, self.who.sender);
        let result = match sink.port() {
            Some(port) => port.pulse_arrives(self, sink.id(), pulse, &mut turn.after),
            None => Err(Offence::NeverExported),
        };
        turn.let_go_later(sink);
        result
    }
}
