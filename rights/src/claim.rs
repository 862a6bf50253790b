//! What peers claim of us, and give on before they have read our answer.
//!
//! A claim bears the name of the give it asks for. Its claimer may give on at once
//! what it has claimed: it says so in its lane to us behind the claim, and nobody
//! waits for our answer. What is given on bears a name of its own, by which the next
//! one claims.
//!
//! | a claim is | from | what is given on of it |
//! |---|---|---|
//! | open | its being read | waits for the answer |
//! | answered | our answer, until its claimer must have read that | is given out of the slot that was the answer, where it is of the kind that slot is |
//! | forgotten | then | is nothing: whoever claims it is refused |
//!
//! Which kind of right it gives on a claimer has from who gave it, who may have lied.
//! What is of another kind than the answer is nothing, and nobody's offence.
//!
//! A claimer gives on only what it has not read an answer to, and has no more than
//! [`limits::QUESTIONS`] claims open. So the answers that may still matter are the
//! last so many.

use std::collections::{HashMap, VecDeque};

use abi::right::Kind;
use abi::{Offence, Slot, TaskId, limits};

use crate::give::GiveName;

/// What becomes of something given on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is given on must be noted or is lost"]
pub enum GivenOn {
    /// Its claim was answered with this slot: the peer gives that.
    Now(Slot),
    /// Its claim is open.
    Later,
    /// Its claim was refused, or brought a right of another kind, or there was none.
    Nothing,
}

#[derive(Clone, Debug, Default)]
struct Claimer {
    open: usize,
    onward: usize,
    /// The last answers, the oldest first.
    answered: VecDeque<(GiveName, Option<(Kind, Slot)>)>,
}

/// All claims that are open, and the last answers.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    open: HashMap<GiveName, Vec<(GiveName, Kind)>>,
    /// What waits for the answer to a claim, and to which.
    onward: HashMap<GiveName, GiveName>,
    claimers: HashMap<TaskId, Claimer>,
}

impl Claims {
    /// A claim has come: [`GiveName::to`] claims.
    ///
    /// # Errors
    /// [`Offence::TicketReused`] where the same is open,
    /// [`Offence::QuestionsExceeded`].
    pub fn claimed(&mut self, name: GiveName) -> Result<(), Offence> {
        if self.open.contains_key(&name) {
            return Err(Offence::TicketReused);
        }
        let claimer = self.claimers.entry(name.to).or_default();
        if claimer.open >= limits::QUESTIONS as usize {
            return Err(Offence::QuestionsExceeded);
        }
        claimer.open += 1;
        self.open.insert(name, Vec::new());
        Ok(())
    }

    /// The claimer of `claim` gives on what it brings, as `next`.
    ///
    /// # Errors
    /// [`Offence::TicketReused`]; [`Offence::GivesExceeded`] where as much waits for
    /// answers already, which is not the giver's doing alone.
    pub fn give_on(
        &mut self,
        claim: GiveName,
        next: GiveName,
        kind: Kind,
    ) -> Result<GivenOn, Offence> {
        if self.onward.contains_key(&next) {
            return Err(Offence::TicketReused);
        }
        let Some(claimer) = self.claimers.get_mut(&claim.to) else {
            return Ok(GivenOn::Nothing);
        };
        if let Some(waiting) = self.open.get_mut(&claim) {
            if claimer.onward >= limits::GIVES {
                return Err(Offence::GivesExceeded);
            }
            claimer.onward += 1;
            waiting.push((next, kind));
            self.onward.insert(next, claim);
            return Ok(GivenOn::Later);
        }
        let answer = claimer.answered.iter().rev().find(|(name, _)| *name == claim);
        let right = answer.and_then(|(_, right)| *right).filter(|(is, _)| *is == kind);
        Ok(right.map_or(GivenOn::Nothing, |(_, slot)| GivenOn::Now(slot)))
    }

    /// Whether a claim hangs on the answer to another: that one comes first.
    pub fn waits_for(&self, name: GiveName) -> Option<GiveName> {
        self.onward.get(&name).copied()
    }

    /// A claim is answered, with a right or with a refusal. Returns what its claimer
    /// has given on of it; of a refused one, or as another kind, that is nothing.
    #[must_use = "what was given on is to be given now"]
    pub fn answer(&mut self, name: GiveName, right: Option<(Kind, Slot)>) -> Vec<(GiveName, Kind)> {
        let Some(mut waiting) = self.open.remove(&name) else { return Vec::new() };
        for (next, _) in &waiting {
            self.onward.remove(next);
        }
        if let Some(claimer) = self.claimers.get_mut(&name.to) {
            claimer.open -= 1;
            claimer.onward -= waiting.len();
            if claimer.answered.len() >= limits::QUESTIONS as usize {
                claimer.answered.pop_front();
            }
            claimer.answered.push_back((name, right));
        }
        waiting.retain(|(_, kind)| right.is_some_and(|(is, _)| is == *kind));
        waiting
    }

    /// What was given on is taken back before its claim was answered. False where it
    /// is not so.
    pub fn take_back(&mut self, next: GiveName) -> bool {
        let Some(claim) = self.onward.remove(&next) else { return false };
        if let Some(waiting) = self.open.get_mut(&claim) {
            waiting.retain(|(name, _)| *name != next);
        }
        if let Some(claimer) = self.claimers.get_mut(&claim.to) {
            claimer.onward -= 1;
        }
        true
    }

    /// All that `giver` has given on to `to`, and that waits for answers, is taken
    /// back.
    pub fn come_back(&mut self, to: TaskId, giver: TaskId) {
        let ours = |next: &&GiveName| next.to == to && next.giver == giver;
        let back: Vec<GiveName> = self.onward.keys().filter(ours).copied().collect();
        for next in back {
            let _ = self.take_back(next);
        }
    }

    /// A claimer is dead, and its lane is read.
    pub fn task_died(&mut self, task: TaskId) {
        let open: Vec<GiveName> =
            self.open.keys().filter(|name| name.to == task).copied().collect();
        for name in open {
            let _ = self.answer(name, None);
        }
        self.claimers.remove(&task);
    }

    /// What waits for an answer, and for which.
    pub fn onward(&self) -> impl Iterator<Item = (GiveName, GiveName)> {
        self.onward.iter().map(|(next, claim)| (*next, *claim))
    }

    /// The last answers to a claimer, the oldest first.
    pub fn answered(&self, to: TaskId) -> impl Iterator<Item = (GiveName, Option<(Kind, Slot)>)> {
        self.claimers.get(&to).into_iter().flat_map(|claimer| claimer.answered.iter().copied())
    }

    /// Whether no claim is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.onward.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use abi::Ticket;

    use super::*;

    const SLOT: Slot = Slot { index: 3, generation: 1 };
    const SEND: (Kind, Slot) = (Kind::Send, SLOT);

    const fn task(process: u64) -> TaskId {
        TaskId { process, number: 0 }
    }

    fn name(giver: u64, to: u64, ticket: u64) -> GiveName {
        GiveName { giver: task(giver), to: task(to), ticket: Ticket(ticket) }
    }

    #[test]
    fn what_is_given_on_before_the_answer_comes_with_it() {
        let mut claims = Claims::default();
        claims.claimed(name(1, 2, 7)).unwrap();
        let on = claims.give_on(name(1, 2, 7), name(2, 3, 8), Kind::Send);
        assert_eq!(on, Ok(GivenOn::Later));
        assert_eq!(claims.waits_for(name(2, 3, 8)), Some(name(1, 2, 7)));
        let given = claims.answer(name(1, 2, 7), Some(SEND));
        assert_eq!(given, [(name(2, 3, 8), Kind::Send)]);
        assert_eq!(claims.waits_for(name(2, 3, 8)), None);
        assert!(claims.is_empty());
    }

    #[test]
    fn what_is_given_on_after_the_answer_is_given_at_once() {
        let mut claims = Claims::default();
        for (ticket, slot) in [(7, Some(SEND)), (8, None)] {
            claims.claimed(name(1, 2, ticket)).unwrap();
            assert!(claims.answer(name(1, 2, ticket), slot).is_empty());
        }
        let on = claims.give_on(name(1, 2, 7), name(2, 3, 9), Kind::Send);
        assert_eq!(on, Ok(GivenOn::Now(SLOT)));
        for of in [name(1, 2, 8), name(1, 2, 99), name(1, 4, 7)] {
            let on = claims.give_on(of, name(of.to.process, 3, 10), Kind::Send);
            assert_eq!(on, Ok(GivenOn::Nothing));
        }
    }

    #[test]
    fn of_a_refused_claim_nothing_is_given_on() {
        let mut claims = Claims::default();
        claims.claimed(name(1, 2, 7)).unwrap();
        let _ = claims.give_on(name(1, 2, 7), name(2, 3, 8), Kind::Send).unwrap();
        assert!(claims.answer(name(1, 2, 7), None).is_empty());
        assert_eq!(claims.waits_for(name(2, 3, 8)), None);
    }

    #[test]
    fn what_its_giver_lied_about_is_not_given_on() {
        let mut claims = Claims::default();
        claims.claimed(name(1, 2, 7)).unwrap();
        let on = claims.give_on(name(1, 2, 7), name(2, 3, 8), Kind::SendOnce);
        assert_eq!(on, Ok(GivenOn::Later));
        assert!(claims.answer(name(1, 2, 7), Some(SEND)).is_empty());
        let on = claims.give_on(name(1, 2, 7), name(2, 3, 9), Kind::SendOnce);
        assert_eq!(on, Ok(GivenOn::Nothing));
        assert!(claims.is_empty());
    }

    #[test]
    fn what_is_taken_back_is_not_given() {
        let mut claims = Claims::default();
        claims.claimed(name(1, 2, 7)).unwrap();
        for (to, ticket) in [(3, 8), (3, 9), (4, 10)] {
            let _ = claims.give_on(name(1, 2, 7), name(2, to, ticket), Kind::Send).unwrap();
        }
        assert!(claims.take_back(name(2, 3, 8)));
        assert!(!claims.take_back(name(2, 3, 8)));
        claims.come_back(task(3), task(2));
        assert_eq!(claims.answer(name(1, 2, 7), Some(SEND)), [(name(2, 4, 10), Kind::Send)]);
    }

    #[test]
    fn as_many_claims_are_open_and_answers_kept_as_questions_may_be() {
        let mut claims = Claims::default();
        let most = u64::from(limits::QUESTIONS);
        for ticket in 0..most {
            claims.claimed(name(1, 2, ticket)).unwrap();
        }
        assert_eq!(claims.claimed(name(1, 2, 0)), Err(Offence::TicketReused));
        assert_eq!(claims.claimed(name(1, 2, most)), Err(Offence::QuestionsExceeded));
        claims.claimed(name(1, 3, 0)).unwrap();
        for ticket in 0..most {
            assert!(claims.answer(name(1, 2, ticket), Some(SEND)).is_empty());
        }
        claims.claimed(name(1, 2, most)).unwrap();
        let _ = claims.answer(name(1, 2, most), Some(SEND));
        assert_eq!(claims.answered(task(2)).count(), most as usize);
        let of = |claims: &mut Claims, ticket| {
            claims.give_on(name(1, 2, ticket), name(2, 3, ticket), Kind::Send)
        };
        assert_eq!(of(&mut claims, 0), Ok(GivenOn::Nothing));
        assert_eq!(of(&mut claims, 1), Ok(GivenOn::Now(SLOT)));
        claims.task_died(task(2));
        assert_eq!(of(&mut claims, 1), Ok(GivenOn::Nothing));
    }

    #[test]
    fn what_waits_for_answers_is_limited() {
        let mut claims = Claims::default();
        claims.claimed(name(1, 2, 7)).unwrap();
        for ticket in 0..limits::GIVES as u64 {
            let _ = claims.give_on(name(1, 2, 7), name(2, 3, ticket), Kind::Send).unwrap();
        }
        let one_more = claims.give_on(name(1, 2, 7), name(2, 3, u64::MAX), Kind::Send);
        assert_eq!(one_more, Err(Offence::GivesExceeded));
        let again = claims.give_on(name(1, 2, 7), name(2, 3, 0), Kind::Send);
        assert_eq!(again, Err(Offence::TicketReused));
        claims.task_died(task(2));
        assert!(claims.is_empty());
    }
}
