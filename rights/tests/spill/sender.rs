//! What the sender does, step by step.

use rights::spill::Emptied;

use super::{Fault, Frame, Sending, Slot, Spilled, World};

impl World {
    fn waiting(&self) -> usize {
        self.lane.len() - self.read
    }

    /// Whether a message fits: marks are small.
    fn has_room(&self) -> bool {
        let unread = self.lane.iter().skip(self.read);
        unread.filter(|frame| matches!(frame, Frame::Message(..))).count() < self.lane_holds
    }

    /// Writes the mark that is due. False where it has no room.
    fn settle_mark(&mut self) -> bool {
        let Some(number) = self.out.unmarked() else { return true };
        if self.waiting() > self.lane_holds {
            return false;
        }
        self.lane.push(Frame::Mark(number));
        self.out.mark();
        true
    }

    pub(super) fn sends(&mut self, slot: Slot) -> bool {
        if self.messages_left == 0 || !self.held_rights[slot as usize] {
            return false;
        }
        let message = self.sent + 1;
        let must = self.out.is_spilled(slot) && self.fault != Fault::LaneWhileSpilled;
        let late = self.fault == Fault::MarkedLate;
        if !must && (late || self.settle_mark()) && self.has_room() {
            self.lane.push(Frame::Message(slot, message));
            self.publish();
            self.sent = message;
        } else if slot == Slot::Once {
            return false;
        } else if self.offered.contains(&slot) {
            self.write_spilled(slot);
        } else {
            self.offered.push(slot);
            self.sending = Some(Sending::Write(slot));
        }
        if slot == Slot::Once {
            self.held_rights[slot as usize] = false;
        }
        self.messages_left -= 1;
        true
    }

    fn write_spilled(&mut self, slot: Slot) {
        let (number, message) = (self.out.next(), self.sent + 1);
        let spilled = Spilled { number, after: self.lane.len() as u64, message };
        self.spills.entry(slot).or_default().push(spilled);
        self.out.spilled(slot);
        // Accepted: nobody can take it back.
        self.sent = message;
        let marked = self.lane.len() > self.published;
        self.sending = Some(if marked { Sending::Publish } else { Sending::Show });
    }

    /// What was written into the lane can be read.
    const fn publish(&mut self) {
        self.published = self.lane.len();
    }

    pub(super) fn goes_on_sending(&mut self) -> bool {
        match self.sending.take() {
            None => return false,
            Some(Sending::Write(slot)) => self.write_spilled(slot),
            Some(Sending::Publish) => {
                self.publish();
                self.sending = Some(Sending::Show);
            }
            Some(Sending::Show) => self.shown = self.out.next() - 1,
        }
        true
    }

    /// What was not published is nobody's.
    pub(super) fn is_killed(&mut self) -> bool {
        self.kills_left -= 1;
        self.alive = false;
        self.sending = None;
        self.lane.truncate(self.published);
        true
    }

    pub(super) fn lets_go(&mut self, slot: Slot) -> bool {
        if !std::mem::take(&mut self.held_rights[slot as usize]) {
            return false;
        }
        if self.out.holds_back(slot) && self.fault != Fault::ReleasedTooEarly {
            self.behind.push(slot);
        } else {
            // A protocol frame that finds no room waits beside the lane: as good as
            // written, but with its writer's life.
            self.lane.push(Frame::Release(slot));
            self.publish();
        }
        true
    }

    pub(super) fn hears(&mut self) -> bool {
        let Some(&(slot, number)) = self.back.get(self.read_back) else { return false };
        self.read_back += 1;
        match self.out.emptied(slot, number) {
            Ok(Emptied::Over) if self.behind.contains(&slot) => {
                self.behind.retain(|other| *other != slot);
                self.lane.push(Frame::Release(slot));
                self.publish();
            }
            Ok(Emptied::Over | Emptied::GoesOn) => {}
            Err(_) => self.broken = Some("an honest owner was blamed"),
        }
        true
    }
}
