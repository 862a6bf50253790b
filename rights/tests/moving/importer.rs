//! What the importer does, step by step.

use rights::moving::{Following, Next};

use super::{Answer, Fault, Held, MESSAGES, Slot, Word, World};

impl World {
    /// Looks at the slot before it writes: between the two anything may happen.
    pub(super) fn importer_aims(&mut self, held: Held) -> bool {
        let alive = self.slot == Slot::Live && !self.knows_old_dead;
        let right = self.right(held);
        if right.aimed || !right.held || right.following != Following::Idle || !alive {
            return false;
        }
        right.aimed = true;
        true
    }

    pub(super) fn importer_sends(&mut self) -> bool {
        let number = self.next_message;
        if number > MESSAGES || !self.send.held {
            return false;
        }
        match self.send.following {
            Following::Idle if self.send.aimed => {
                self.send.aimed = false;
                self.send.sent += 1;
                self.to_old.written.push(Word::Message(number));
            }
            Following::Joined if self.send.again.is_empty() => {
                self.to_new.written.push(Word::Message(number));
            }
            _ => return false,
        }
        self.next_message += 1;
        true
    }

    pub(super) fn importer_ends_once(&mut self, how: Word) -> bool {
        if !self.once.held {
            return false;
        }
        match self.once.following {
            Following::Idle if self.once.aimed => {
                self.once.aimed = false;
                self.once.sent = 1;
                self.to_old.written.push(how);
            }
            Following::Joined => self.to_new.written.push(how),
            _ => return false,
        }
        self.once.held = false;
        true
    }

    pub(super) fn importer_lets_go(&mut self) -> bool {
        if !self.send.held || self.next_message <= MESSAGES {
            return false;
        }
        match self.send.following {
            Following::Idle if self.slot == Slot::Live && !self.knows_old_dead => {
                self.to_old.written.push(Word::Release);
            }
            Following::Joined if self.send.again.is_empty() => {
                self.to_new.written.push(Word::Release);
            }
            _ => return false,
        }
        self.send.held = false;
        true
    }

    /// Words about a right that the old owner has not freed.
    pub(super) fn unread(&self, held: Held) -> Vec<Word> {
        let about = |word: &&Word| match word {
            Word::Message(_) | Word::Release => held == Held::Send,
            Word::OnceMessage | Word::Dropped => held == Held::Once,
            Word::Claim(..) | Word::Done(_) | Word::Again(_) => false,
        };
        self.to_old.written[self.to_old.freed..].iter().filter(about).copied().collect()
    }

    pub(super) fn importer_claims(&mut self, held: Held) -> bool {
        let (moved, dead) = (self.slot == Slot::Moved, self.knows_old_dead);
        let unread = self.unread(held);
        let right = self.right(held);
        // What was let go is claimed only where the old owner may not have heard.
        let wanted = right.held || (dead && !unread.is_empty());
        if !wanted || !moved || right.following.next(dead) != Next::Claim {
            return false;
        }
        right.aimed = false;
        right.following.asked(dead);
        let sent = right.sent;
        self.to_new.written.push(Word::Claim(held, sent));
        true
    }

    pub(super) fn importer_reads(&mut self) -> bool {
        let Some(answer) = self.from_new.next() else { return false };
        self.from_new.read += 1;
        match answer {
            Answer::Joined(held, have) => {
                let mut unread = self.unread(held);
                let everything = self.fault == Fault::AllSentAgain;
                let right = self.right(held);
                let sent = u64::from(right.sent);
                let again = right.following.joined(sent, u64::from(have));
                let messages =
                    unread.iter().filter(|word| !matches!(word, Word::Release)).count() as u64;
                let skip = if everything { 0 } else { messages.saturating_sub(again) };
                unread.drain(..skip as usize);
                right.again = unread;
                if !self.knows_old_dead && self.fault != Fault::OldSlotKept {
                    self.to_old.written.push(Word::Done(held));
                }
            }
            Answer::Unknown(held) => {
                let believed = self.fault == Fault::RefusalBelieved;
                let right = self.right(held);
                right.following.refused();
                if believed {
                    right.following = Following::Dead;
                }
            }
        }
        true
    }

    pub(super) fn importer_says_again(&mut self) -> bool {
        for held in [Held::Send, Held::Once] {
            let right = self.right(held);
            if right.following == Following::Joined && !right.again.is_empty() {
                let word = match right.again.remove(0) {
                    Word::Message(number) => Word::Again(number),
                    other => other,
                };
                self.to_new.written.push(word);
                return true;
            }
        }
        false
    }

    pub(super) fn importer_learns(&mut self) -> bool {
        if self.old_alive || self.knows_old_dead {
            return false;
        }
        self.knows_old_dead = true;
        // An aim at a dead task is an error to the sender, who may try again.
        self.send.aimed = false;
        self.once.aimed = false;
        self.look();
        true
    }

    pub(super) fn importer_orphaned(&mut self) -> bool {
        if self.new_alive {
            return false;
        }
        let mut any = false;
        for held in [Held::Send, Held::Once] {
            let right = self.right(held);
            if matches!(
                right.following,
                Following::Asked { .. } | Following::Unknown | Following::Joined
            ) {
                right.following.new_owner_died();
                any = true;
            }
        }
        any
    }

    /// The old owner said *look*.
    pub(super) fn importer_looks(&mut self) -> bool {
        if self.looks_seen == self.looks {
            return false;
        }
        self.looks_seen = self.looks;
        self.look();
        true
    }

    pub(super) fn look(&mut self) {
        let (slot, dead) = (self.slot, self.knows_old_dead);
        for held in [Held::Send, Held::Once] {
            let following = &mut self.right(held).following;
            match slot {
                Slot::Moved => following.looked(),
                Slot::Live if !dead => following.came_back(),
                Slot::Live | Slot::Dead => following.ended(),
            }
        }
    }
}
