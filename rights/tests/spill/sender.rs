//! What the sender does, step by step.

use rights::spill::Emptied;

use super::{Fault, Frame, LANE, RESERVE, Slot, Spilled, World};

impl World {
    fn waiting(&self) -> usize {
        self.lane.len() - self.read
    }

    /// Whether a message fits: marks are small.
    fn has_room(&self) -> bool {
        let unread = self.lane.iter().skip(self.read);
        unread.filter(|frame| matches!(frame, Frame::Message(..))).count() < LANE
    }

    /// Writes the mark that is due. False where it has no room.
    fn settle_mark(&mut self) -> bool {
        let Some(number) = self.out.unmarked() else { return true };
        if self.waiting() >= RESERVE {
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
        } else if slot == Slot::Once {
            return false;
        } else {
            let number = self.out.next();
            let after = self.lane.len() as u64;
            let spilled = Spilled { number, after, message };
            self.spills.entry(slot).or_default().push(spilled);
            self.out.spilled(slot);
        }
        if slot == Slot::Once {
            self.held_rights[slot as usize] = false;
        }
        self.sent = message;
        self.messages_left -= 1;
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
            }
            Ok(Emptied::Over | Emptied::GoesOn) => {}
            Err(_) => self.broken = Some("an honest owner was blamed"),
        }
        true
    }
}
