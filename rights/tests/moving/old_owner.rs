//! What the old owner does, step by step.

use rights::moving::{Arrival, Leaving};

use super::{Fault, Forwarded, Held, Slot, Word, World};

impl World {
    pub(super) fn old_reads(&mut self) -> bool {
        let Some(word) = self.to_old.next() else { return false };
        if self.buried_importer_old {
            return false;
        }
        if self.fault == Fault::FreedTooEarly && self.to_old.freed == self.to_old.read {
            self.to_old.freed += 1;
            return true;
        }
        self.to_old.read += 1;
        match (word, self.leaving.arrival()) {
            (Word::Message(number), Arrival::Queue) => {
                self.queue.push(number);
                self.arrived += 1;
            }
            (Word::Message(number), Arrival::Bag) => self.bag.push(Forwarded::Message(number)),
            (Word::OnceMessage | Word::Dropped, Arrival::Queue) => {
                self.once_at_old = false;
                self.ends.0 += 1;
            }
            (Word::OnceMessage, Arrival::Bag) => self.bag.push(Forwarded::OnceMessage),
            (Word::Dropped, Arrival::Bag) => self.bag.push(Forwarded::OnceDropped),
            (Word::Release, Arrival::Queue) => self.sender_at_old = false,
            (Word::Release, Arrival::Bag) => {
                if self.fault != Fault::EndUntold {
                    self.bag.push(Forwarded::Ended(Held::Send));
                }
            }
            (Word::Done(held), Arrival::Bag) => self.bag.push(Forwarded::Ended(held)),
            (_, Arrival::Drop) | (Word::Claim(..) | Word::Done(_) | Word::Again(_), _) => {}
        }
        true
    }

    pub(super) fn old_frees(&mut self) -> bool {
        let behind = self.to_old.freed < self.to_old.read;
        self.to_old.freed = self.to_old.freed.max(self.to_old.read);
        behind
    }

    pub(super) fn old_receives(&mut self) -> bool {
        if self.leaving != Leaving::Here || self.queue.is_empty() {
            return false;
        }
        let number = self.queue.remove(0);
        self.taken.push(number);
        true
    }

    pub(super) fn old_marks(&mut self) -> bool {
        if self.leaving != Leaving::Here || self.buried_new || self.marks_left == 0 {
            return false;
        }
        self.marks_left -= 1;
        if self.fault == Fault::CommitBeforeMarks {
            self.leaving.mark();
            return true;
        }
        self.leaving.mark();
        self.slot = Slot::Moved;
        true
    }

    pub(super) fn old_commits(&mut self) -> bool {
        if self.leaving == Leaving::Gone && self.slot == Slot::Live {
            self.slot = Slot::Moved;
            return true;
        }
        if self.leaving != Leaving::Marked || self.buried_new {
            return false;
        }
        // What came since the marks is still in the queue: the bag has it too.
        self.bag_queue = std::mem::take(&mut self.queue);
        self.bag_sender_out = self.sender_at_old;
        self.bag_once_out = self.once_at_old;
        self.bag_arrived = self.arrived;
        self.committed = true;
        self.leaving.commit();
        if self.fault != Fault::CommitUnsaid {
            self.looks += 1;
        }
        true
    }

    pub(super) fn old_unmarks(&mut self) -> bool {
        if self.leaving != Leaving::Marked {
            return false;
        }
        self.leaving.unmark();
        self.slot = Slot::Live;
        self.looks += 1;
        true
    }

    pub(super) fn old_buries_new(&mut self) -> bool {
        if self.new_alive || self.buried_new {
            return false;
        }
        self.buried_new = true;
        if self.leaving == Leaving::Marked {
            self.old_unmarks();
        }
        if self.leaving.new_owner_died() {
            self.slot = Slot::Dead;
            self.looks += 1;
        }
        true
    }

    pub(super) fn old_buries_importer(&mut self) -> bool {
        if self.importer_alive || self.buried_importer_old || self.to_old.next().is_some() {
            return false;
        }
        self.buried_importer_old = true;
        match self.leaving.arrival() {
            Arrival::Queue => {
                self.sender_at_old = false;
                if std::mem::take(&mut self.once_at_old) {
                    self.ends.0 += 1;
                }
            }
            Arrival::Bag if self.fault != Fault::EndUntold => {
                self.bag.push(Forwarded::Ended(Held::Send));
                self.bag.push(Forwarded::Ended(Held::Once));
            }
            Arrival::Bag | Arrival::Drop => {}
        }
        true
    }
}
