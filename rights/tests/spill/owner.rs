//! What the owner of the port does, step by step.

use std::collections::VecDeque;

use super::{Fault, Frame, Held, Looking, Queued, Slot, Spilled, WINDOW, World};

/// The port all rights lead to.
const PORT: u8 = Slot::Send as u8;

impl World {
    /// Looks at the first message in the spill of `slot` that is not taken.
    fn look(&mut self, slot: Slot) {
        let at = self.taken.get(&slot).copied().unwrap_or(0);
        let first = self.spills.get(&slot).and_then(|all| all.get(at)).copied();
        let Some(Spilled { number, after, .. }) = first else { return };
        if self.inn.seen(slot, number, after).is_err() {
            self.broken = Some("an honest sender was blamed for its numbers");
        }
        if self.fault == Fault::EmptiedEarly {
            self.back.push((slot, number));
        }
    }

    fn read_offers(&mut self) {
        for &slot in &self.offered {
            let port = if self.fault == Fault::PortsConfused { slot as u8 } else { PORT };
            self.inn.offered(slot, port);
        }
    }

    pub(super) fn owner_looks(&mut self) -> bool {
        if self.seen == self.shown {
            return false;
        }
        self.looking = Some(Looking::default());
        self.owner_goes_on_looking()
    }

    /// The next step of a look at all spills: what the page shows, what was offered,
    /// then each spill of which no message is seen.
    pub(super) fn owner_goes_on_looking(&mut self) -> bool {
        let Some(mut look) = self.looking.take() else { return false };
        let read_shown = match self.fault {
            Fault::OffersReadEarly => look.left.is_some(),
            Fault::ShownReadLate => look.left.as_ref().is_some_and(VecDeque::is_empty),
            _ => true,
        };
        if look.shown.is_none() && read_shown {
            self.seen = self.shown;
            look.shown = Some(self.shown);
        } else if let Some(left) = &mut look.left {
            if let Some(slot) = left.pop_front() {
                self.look(slot);
            }
        } else {
            self.read_offers();
            look.left = Some(self.inn.unseen().into());
        }
        match (look.shown, &look.left) {
            (Some(shown), Some(left)) if left.is_empty() => self.inn.looked(shown),
            _ => self.looking = Some(look),
        }
        true
    }

    pub(super) fn owner_reads(&mut self) -> bool {
        let Some(&frame) = self.lane.get(..self.published).and_then(|lane| lane.get(self.read))
        else {
            return false;
        };
        self.read += 1;
        match frame {
            Frame::Mark(number) => {
                if self.inn.mark(number).is_err() {
                    self.broken = Some("an honest sender was blamed for its mark");
                }
                self.looking = Some(Looking::default());
            }
            Frame::Message(slot, message) => {
                if self.spilled_before(slot, message) {
                    self.broken = Some("a message went by the lane beside those spilled before it");
                }
                let until = self.inn.holds(PORT).or(self.held.last().map(|held| held.until));
                match until.filter(|_| self.fault != Fault::NotHeld) {
                    Some(until) => self.held.push(Held { frame, until }),
                    None => self.act(frame),
                }
            }
            Frame::Release(_) => match self.held.last().map(|held| held.until) {
                Some(until) if self.fault != Fault::ReleaseNotHeld => {
                    self.held.push(Held { frame, until });
                }
                _ => self.act(frame),
            },
        }
        true
    }

    /// Whether messages of `slot` itself were spilled before and are not taken.
    fn spilled_before(&self, slot: Slot, message: u8) -> bool {
        let taken = self.taken.get(&slot).copied().unwrap_or(0);
        let mut left = self.spills.get(&slot).into_iter().flatten().skip(taken);
        self.fault != Fault::EmptiedEarly && left.any(|one| one.message < message)
    }

    fn act(&mut self, frame: Frame) {
        match frame {
            Frame::Message(slot, message) => {
                self.use_right(slot);
                self.queue.push(Queued { message, of: None });
            }
            Frame::Release(slot) => self.released.push(slot),
            Frame::Mark(_) => {}
        }
    }

    fn use_right(&mut self, slot: Slot) {
        if self.released.contains(&slot) {
            self.broken = Some("a message came on a right that had gone home");
        }
    }

    pub(super) fn owner_takes(&mut self) -> bool {
        if self.fault == Fault::NotLooked {
            self.inn.looked(u64::MAX);
        }
        let read = if self.fault == Fault::TakenTooEarly { u64::MAX } else { self.read as u64 };
        let queue = &self.queue;
        let ignored = self.fault == Fault::WindowIgnored || self.buried;
        let may = |slot| {
            let here = queue.iter().filter(|queued| queued.of == Some(slot)).count();
            ignored || here < WINDOW
        };
        let Some(slot) = self.inn.first(read, may) else { return false };
        let at = self.taken.entry(slot).or_default();
        let message = self.spills.get(&slot).and_then(|all| all.get(*at)).map(|one| one.message);
        let Some(message) = message else { return false };
        *at += 1;
        self.use_right(slot);
        self.queue.push(Queued { message, of: Some(slot) });
        self.inn.took(slot);
        self.look(slot);
        if !self.inn.has_more(slot)
            && self.fault != Fault::EmptiedEarly
            && let Some(number) = self.inn.emptied(slot)
        {
            self.back.push((slot, number));
        }
        self.let_held_go();
        true
    }

    fn let_held_go(&mut self) {
        while let Some(held) = self.held.first().copied()
            && (self.inn.lets_go(PORT, held.until) || self.fault == Fault::HeldTooShort)
        {
            self.held.remove(0);
            self.act(held.frame);
        }
    }

    pub(super) fn owner_receives(&mut self) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let first = self.queue.remove(0);
        self.received.push(first.message);
        true
    }

    /// The sender is dead, and its lane read to the end.
    pub(super) fn owner_buries(&mut self) -> bool {
        if self.alive || self.buried || self.read < self.lane.len() {
            return false;
        }
        self.buried = true;
        if self.fault != Fault::DeadForgotten {
            self.inn.end();
            self.read_offers();
            for slot in self.inn.unseen() {
                self.look(slot);
            }
        }
        true
    }
}
