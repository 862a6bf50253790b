//! Protocol frames that found no room in the lane.
//!
//! They are written before anything later. What is said again about a slot
//! replaces or completes what was said before, so a peer that does not read
//! makes us remember at most a few frames for each slot and
//! [`limits::QUESTIONS`] answers, whatever it does (I8).

use std::collections::{BTreeMap, HashMap};

use abi::Offence;
use abi::frame::{Header, Kind, ask, back};
use abi::limits;

/// A frame that waits.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) header: Header,
    pub(super) body: Vec<u8>,
    /// Whether a question of the peer's caused it.
    answer: bool,
}

/// Frames that wait, in the order they will be written.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    frames: BTreeMap<u64, Late>,
    /// Where the frame of a kind about a slot stands.
    about: HashMap<(Kind, u32), u64>,
    next: u64,
    answers: usize,
}

impl Backlog {
    /// Adds a frame.
    pub(super) fn push(&mut self, mut header: Header, body: &[u8]) {
        let key = (header.kind, header.slot.index);
        match header.kind {
            Kind::Ask => {
                if let Some(before) = self.about.get(&key)
                    && let Some(late) = self.frames.get_mut(before)
                {
                    late.header = both(&late.header, &header);
                    return;
                }
            }
            // These are no places of the window's: what comes again is counted by itself.
            Kind::Return if header.id == back::LOST => {
                self.put(Late { header, body: Vec::new(), answer: false });
                return;
            }
            Kind::Release | Kind::Return => {
                // The sum goes to the back: it must not overtake what was said
                // about the slot in between.
                let before = self.remove(key).filter(|before| before.header.slot == header.slot);
                let question = (Kind::Ask, header.slot.index);
                if header.kind == Kind::Return && header.id == back::STOP {
                    // Who stops asking need not have asked.
                    let _ = self.remove(question);
                }
                if let Some(before) = before {
                    header.tag = header.tag.saturating_add(before.header.tag);
                    // A question that stands was asked after the last stop.
                    if !self.about.contains_key(&question) {
                        header.id = header.id.max(before.header.id);
                    }
                }
            }
            // Said once more, it says the same.
            Kind::Watch | Kind::Room | Kind::Taken => {
                let _ = self.remove(key);
            }
            Kind::Dropped | Kind::Message => {
                // One use ends a send-once slot: a second is the peer's lie.
                let _ = self.remove(key);
            }
            Kind::Spilled => {
                // Nothing came between them: the later says all.
                if let Some(mut last) = self.frames.last_entry()
                    && last.get().header.kind == Kind::Spilled
                {
                    last.get_mut().header = header;
                    return;
                }
                self.put(Late { header, body: Vec::new(), answer: false });
                return;
            }
            _ => {
                self.put(Late { header, body: body.to_vec(), answer: false });
                return;
            }
        }
        let place = self.put(Late { header, body: body.to_vec(), answer: false });
        self.about.insert(key, place);
    }

    /// Adds the answer to a question of the peer's.
    ///
    /// # Errors
    /// [`Offence::QuestionsExceeded`]: it asks more than it may and reads no
    /// answers.
    pub(super) fn push_answer(&mut self, header: Header, body: &[u8]) -> Result<(), Offence> {
        if self.answers >= 2 * limits::QUESTIONS as usize {
            return Err(Offence::QuestionsExceeded);
        }
        self.answers += 1;
        self.put(Late { header, body: body.to_vec(), answer: true });
        Ok(())
    }

    /// The frame that is written next.
    pub(super) fn first(&self) -> Option<&Late> {
        self.frames.first_key_value().map(|(_, late)| late)
    }

    /// The first frame has been written.
    pub(super) fn pop(&mut self) {
        if let Some((place, late)) = self.frames.pop_first() {
            self.answers -= usize::from(late.answer);
            let key = (late.header.kind, late.header.slot.index);
            if self.about.get(&key) == Some(&place) {
                self.about.remove(&key);
            }
        }
    }

    fn put(&mut self, late: Late) -> u64 {
        let place = self.next;
        self.next += 1;
        self.frames.insert(place, late);
        place
    }

    fn remove(&mut self, key: (Kind, u32)) -> Option<Late> {
        let place = self.about.remove(&key)?;
        self.frames.remove(&place)
    }
}

/// Two questions in one: as urgent as the more urgent, and answered as both.
fn both(one: &Header, two: &Header) -> Header {
    Header {
        slot: two.slot,
        id: if one.id == two.id { one.id } else { ask::NOW_AND_LATER },
        tag: one.tag.max(two.tag),
        priority: one.priority.max(two.priority),
        ..*one
    }
}

#[cfg(test)]
mod tests {
    use abi::Slot;

    use super::*;

    const SLOT: Slot = Slot { index: 4, generation: 2 };

    fn said(kind: Kind, tag: u64) -> Header {
        Header { tag, ..Header::new(kind, SLOT) }
    }

    fn written(backlog: &mut Backlog) -> Vec<(Kind, u64)> {
        let mut all = Vec::new();
        while let Some(late) = backlog.first() {
            all.push((late.header.kind, late.header.tag));
            backlog.pop();
        }
        all
    }

    #[test]
    fn releases_add_up_and_go_to_the_back() {
        let mut backlog = Backlog::default();
        backlog.push(said(Kind::Release, 1), &[]);
        backlog.push(said(Kind::Ask, 0), &[]);
        backlog.push(said(Kind::Release, 2), &[]);
        assert_eq!(written(&mut backlog), [(Kind::Ask, 0), (Kind::Release, 3)]);
    }

    #[test]
    fn a_question_that_waits_is_answered_for_all_who_ask() {
        let mut backlog = Backlog::default();
        let asks = [(ask::LATER, 0, 3), (ask::NOW, 7, 1), (ask::NOW, 8, 2)];
        for (id, tag, priority) in asks {
            backlog.push(Header { id, priority, ..said(Kind::Ask, tag) }, &[]);
        }
        let header = backlog.first().map(|late| late.header);
        let all = Header { id: ask::NOW_AND_LATER, priority: 3, ..said(Kind::Ask, 8) };
        assert_eq!(header, Some(all));
        assert_eq!(written(&mut backlog), [(Kind::Ask, 8)]);
    }

    #[test]
    fn only_a_stop_takes_a_question_back() {
        let stop = Header { id: back::STOP, ..said(Kind::Return, 1) };
        let lost = Header { id: back::LOST, ..said(Kind::Return, 5) };
        let ids = |backlog: &mut Backlog| {
            let mut all = Vec::new();
            while let Some(late) = backlog.first() {
                all.push((late.header.kind, late.header.id, late.header.tag));
                backlog.pop();
            }
            all
        };
        let mut backlog = Backlog::default();
        for frame in [said(Kind::Ask, 0), said(Kind::Return, 1), lost, said(Kind::Return, 1)] {
            backlog.push(frame, &[]);
        }
        let said_all = [(Kind::Ask, 0, 0), (Kind::Return, back::LOST, 5), (Kind::Return, 0, 2)];
        assert_eq!(ids(&mut backlog), said_all);
        // A stop is not forgotten for places that follow.
        for frame in [said(Kind::Ask, 0), stop, said(Kind::Return, 2)] {
            backlog.push(frame, &[]);
        }
        assert_eq!(ids(&mut backlog), [(Kind::Return, back::STOP, 3)]);
        // Nor does it take back what was asked after it.
        for frame in [stop, said(Kind::Ask, 0), said(Kind::Return, 2)] {
            backlog.push(frame, &[]);
        }
        assert_eq!(ids(&mut backlog), [(Kind::Ask, 0, 0), (Kind::Return, 0, 3)]);
    }

    #[test]
    fn asking_and_returning_never_pile_up() {
        let mut backlog = Backlog::default();
        for _ in 0..1000 {
            backlog.push(said(Kind::Ask, 0), &[]);
            backlog.push(Header { id: back::STOP, ..said(Kind::Return, 1) }, &[]);
        }
        backlog.push(said(Kind::Ask, 0), &[]);
        assert_eq!(written(&mut backlog), [(Kind::Return, 1000), (Kind::Ask, 0)]);
        assert!(backlog.about.is_empty());
    }

    #[test]
    fn answers_are_limited_and_our_own_frames_are_not_blamed() {
        let mut backlog = Backlog::default();
        for index in 0..1000 {
            let slot = Slot { index, generation: 1 };
            backlog.push(Header { tag: 1, ..Header::new(Kind::Release, slot) }, &[]);
        }
        for _ in 0..2 * limits::QUESTIONS {
            backlog.push_answer(said(Kind::StatusIs, 1), &[]).unwrap();
        }
        let refused = backlog.push_answer(said(Kind::StatusIs, 1), &[]);
        assert_eq!(refused, Err(Offence::QuestionsExceeded));
        assert_eq!(written(&mut backlog).len(), 1000 + 2 * limits::QUESTIONS as usize);
        backlog.push_answer(said(Kind::StatusIs, 1), &[]).unwrap();
    }
}
