//! Descriptors of messages in bags: how many of their packets the peer may have
//! before it reads the bag.
//!
//! They go over the socket before the bag is shown, and the peer keeps
//! [`limits::BAG_DESCRIPTORS_WAITING`] packets: what is one more pushes out the oldest.
//! So we count them, from when they are sent until the peer has read the frame that
//! shows their bag, or that takes them back. What would be one too many stays with us.

use std::collections::VecDeque;

use abi::limits;
use shm::socket::SendPacketError;

use super::Link;
use super::carry::Load;
use super::out::{BAG_DESCRIPTORS, BAG_VOID, Out, descriptor_packet};
use crate::error::SendFailure;
use crate::message::Message;
use crate::wait::parking::lock;

/// The packets of one link that the peer may not have taken.
#[derive(Debug, Default)]
pub(super) struct Bagged {
    next: u32,
    /// In bags that nobody was shown.
    packed: usize,
    /// In bags that were shown, by a frame that may wait for room.
    shown: usize,
    /// And those that the peer has when it has read the lane so far.
    unread: VecDeque<(u64, usize)>,
    /// To be taken back, when the socket has room to say so.
    void: VecDeque<u32>,
}

impl Bagged {
    /// Whether packets wait to be taken back.
    pub(super) fn has_void(&self) -> bool {
        !self.void.is_empty()
    }

    /// How many the peer may have, with the lane filled and read so far. `head` only
    /// where no frame waits for room.
    fn waiting(&mut self, head: Option<u64>, tail: u64) -> usize {
        if let Some(head) = head.filter(|_| self.shown > 0) {
            self.unread.push_back((head, std::mem::take(&mut self.shown)));
        }
        while self.unread.front().is_some_and(|(head, _)| *head <= tail) {
            self.unread.pop_front();
        }
        let unread: usize = self.unread.iter().map(|(_, packets)| packets).sum();
        self.packed + self.shown + unread + self.void.len()
    }
}

impl Link {
    /// Sends the descriptors of a message that is about to be written into a bag.
    ///
    /// # Errors
    /// [`SendFailure::Full`] where the peer has not read as many as it keeps, or the
    /// socket takes none now; [`SendFailure::TooManyDescriptors`] where so many belong
    /// to what goes now.
    pub(super) fn send_bagged(
        &self,
        message: &Message,
        load: &mut Load,
    ) -> Result<(), SendFailure> {
        let mut out = lock(&self.out);
        let sent = self.send_bagged_locked(&mut out, message, load);
        self.publish(out);
        sent
    }

    fn send_bagged_locked(
        &self,
        out: &mut Out,
        message: &Message,
        load: &mut Load,
    ) -> Result<(), SendFailure> {
        if !self.send_void(out) {
            return Err(SendFailure::Full);
        }
        let head = out.nothing_waits().then(|| out.writer.head());
        if out.bagged.waiting(head, self.peer.tail()) >= limits::BAG_DESCRIPTORS_WAITING {
            let packed = out.bagged.packed;
            let alone = packed >= limits::BAG_DESCRIPTORS_WAITING;
            let many = SendFailure::TooManyDescriptors(packed + 1);
            return Err(if alone { many } else { SendFailure::Full });
        }
        load.attached.packet = out.bagged.next;
        let fds = load.descriptors(message);
        let packet = descriptor_packet(load.packet_of(BAG_DESCRIPTORS, &fds), out.bagged.next);
        match self.socket.send(&packet, &fds) {
            Ok(()) => {
                out.bagged.next = out.bagged.next.wrapping_add(1);
                out.bagged.packed += 1;
                Ok(())
            }
            Err(SendPacketError::Full) => Err(SendFailure::Full),
            Err(SendPacketError::TooManyInFlight) => Err(SendFailure::DescriptorsInFlight),
            Err(SendPacketError::Gone) => Err(SendFailure::Dead),
            Err(SendPacketError::System(error)) => Err(SendFailure::System(error.kind())),
        }
    }

    /// The peer was shown, or is by a frame that was said, the bags of so many.
    pub(crate) fn bagged_shown(&self, packets: usize) {
        if packets > 0 {
            let bagged = &mut lock(&self.out).bagged;
            bagged.packed = bagged.packed.saturating_sub(packets);
            bagged.shown += packets;
        }
    }

    /// The descriptors of what was in a bag are nobody's: it does not go.
    pub(crate) fn void_bag_packet(&self, load: &Load) {
        if load.count() == 0 {
            return;
        }
        let mut out = lock(&self.out);
        out.bagged.packed = out.bagged.packed.saturating_sub(1);
        out.bagged.void.push_back(load.attached.packet);
        let _ = self.send_void(&mut out);
        self.publish(out);
    }

    /// Takes packets back. False where the socket has no room for that now.
    pub(super) fn send_void(&self, out: &mut Out) -> bool {
        while let Some(number) = out.bagged.void.front() {
            match self.socket.send(&descriptor_packet(BAG_VOID, *number), &[]) {
                Ok(()) | Err(SendPacketError::Gone) => out.bagged.void.pop_front(),
                Err(_) => {
                    // Nobody says when there is room in a socket.
                    out.again = true;
                    return false;
                }
            };
        }
        true
    }
}
