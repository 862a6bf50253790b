//! What the new owner does, step by step.

use rights::moving::Claimed;

use super::{Answer, Fault, Forwarded, Held, Word, World};

impl World {
    pub(super) fn new_adopts(&mut self) -> bool {
        if !self.committed || self.adopted {
            return false;
        }
        self.adopted = true;
        self.port.clone_from(&self.bag_queue);
        if self.bag_sender_out {
            self.followers.adopt(Held::Send, u64::from(self.bag_arrived));
        }
        if self.bag_once_out {
            self.followers.adopt(Held::Once, 0);
        }
        true
    }

    pub(super) fn answer(&mut self, held: Held, claimed: Claimed) {
        match claimed {
            // Its claimer has died meanwhile, and what it held with it.
            Claimed::Join { .. } if self.buried_importer => {
                let _ = self.followers.came_again(held, u64::MAX);
                self.ends.0 += u8::from(held == Held::Once);
            }
            Claimed::Join { have } => {
                match held {
                    Held::Send => self.sender_joined = true,
                    // A send-once right comes to its holder no second time.
                    Held::Once => {
                        let _ = self.followers.end(held);
                        self.once_joined = true;
                    }
                }
                self.from_new.written.push(Answer::Joined(held, have as u8));
            }
            Claimed::Wait => {}
            Claimed::Unknown => self.from_new.written.push(Answer::Unknown(held)),
        }
    }

    pub(super) fn new_reads_bag(&mut self) -> bool {
        if !self.adopted {
            return false;
        }
        let Some(&forwarded) = self.bag.get(self.bag_read) else { return false };
        self.bag_read += 1;
        match forwarded {
            Forwarded::Message(number) => {
                self.port.push(number);
                if let Some(claimed) = self.followers.bring(Held::Send) {
                    self.answer(Held::Send, claimed);
                }
            }
            Forwarded::OnceMessage | Forwarded::OnceDropped => {
                if self.followers.end(Held::Once) {
                    self.ends.0 += 1;
                }
            }
            Forwarded::Ended(Held::Send) => {
                let _ = self.followers.end(Held::Send);
            }
            Forwarded::Ended(Held::Once) => {
                if self.followers.end(Held::Once) {
                    self.ends.0 += 1;
                }
            }
        }
        true
    }

    pub(super) fn new_reads_importer(&mut self) -> bool {
        let Some(word) = self.to_new.next() else { return false };
        if self.buried_importer {
            return false;
        }
        self.to_new.read += 1;
        match word {
            Word::Claim(held, sent) => {
                // Whoever saw the mark may have seen the commit: read what the
                // old owner's lane shows, then know.
                if self.fault != Fault::AnsweredBlindly {
                    self.new_adopts();
                }
                let mut claimed = self.followers.claim(held, u64::from(sent));
                if self.fault == Fault::JoinedTooEarly && claimed == Claimed::Wait {
                    let _ = self.followers.end(held);
                    claimed = Claimed::Join { have: u64::from(sent) };
                }
                self.answer(held, claimed);
            }
            Word::Message(number) => self.port.push(number),
            Word::Again(number) => {
                self.port.push(number);
                let _ = self.followers.came_again(Held::Send, 1);
            }
            Word::OnceMessage | Word::Dropped => {
                self.once_joined = false;
                self.ends.0 += 1;
            }
            Word::Release => self.sender_joined = false,
            Word::Done(_) => {}
        }
        true
    }

    pub(super) fn new_buries_old(&mut self) -> bool {
        if self.old_alive || self.buried_old {
            return false;
        }
        // One last look at the lane, and at the bag.
        self.new_adopts();
        while self.new_reads_bag() {}
        self.buried_old = true;
        for (held, claimed) in self.followers.complete() {
            self.answer(held, claimed);
        }
        true
    }

    /// What the importer had joined ends with it. What it had not, the old owner
    /// speaks of: that one reads what the importer still sent.
    pub(super) fn new_buries_importer(&mut self) -> bool {
        if self.importer_alive || self.buried_importer || self.to_new.next().is_some() {
            return false;
        }
        self.buried_importer = true;
        self.sender_joined = false;
        if std::mem::take(&mut self.once_joined) {
            self.ends.0 += 1;
        }
        true
    }

    /// The old owner is dead and can speak of nobody: who has not come is looked
    /// for, and ends where it is dead.
    pub(super) fn new_looks_for_followers(&mut self) -> bool {
        if !self.buried_old || !self.buried_importer || self.followers.is_empty() {
            return false;
        }
        let _ = self.followers.end(Held::Send);
        if self.followers.end(Held::Once) {
            self.ends.0 += 1;
        }
        true
    }
}
