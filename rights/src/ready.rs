//! Which members of a port set have something to take, in turn.
//!
//! A member that becomes ready stands in the list once, however much it has.
//! Who takes something from it puts it at the end if there is more. So a member
//! that is never empty comes once in each round, and what it costs to find the
//! next does not depend on how many members have nothing.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The members of a set, and those that are ready in the order of their turn.
#[derive(Clone, Debug)]
pub struct Ready<K> {
    /// Each member, and its turn if it stands in the list.
    members: HashMap<K, Option<u64>>,
    turns: BTreeMap<u64, K>,
    last: u64,
    steps: u64,
}

impl<K> Default for Ready<K> {
    fn default() -> Self {
        Ready { members: HashMap::new(), turns: BTreeMap::new(), last: 0, steps: 0 }
    }
}

impl<K: Copy + Eq + Hash> Ready<K> {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many members stand in the list.
    pub fn waiting(&self) -> usize {
        self.turns.len()
    }

    /// How often a member had its turn: what receiving costs, without a clock.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// A member comes. Returns whether it is new.
    pub fn add(&mut self, member: K) -> bool {
        let new = !self.members.contains_key(&member);
        if new {
            self.members.insert(member, None);
        }
        new
    }

    /// A member goes, with its turn. Returns whether it was one.
    pub fn remove(&mut self, member: K) -> bool {
        let Some(turn) = self.members.remove(&member) else { return false };
        if let Some(turn) = turn {
            self.turns.remove(&turn);
        }
        true
    }

    /// A member has something: it stands at the end of the list if it did not
    /// stand there. Returns whether it is a member.
    pub fn note(&mut self, member: K) -> bool {
        let Some(turn) = self.members.get_mut(&member) else { return false };
        if turn.is_none() {
            self.last += 1;
            *turn = Some(self.last);
            self.turns.insert(self.last, member);
        }
        true
    }

    /// Whose turn it is. It stands in the list no more.
    pub fn turn(&mut self) -> Option<K> {
        let (_, member) = self.turns.pop_first()?;
        if let Some(listed) = self.members.get_mut(&member) {
            *listed = None;
        }
        self.steps += 1;
        Some(member)
    }

    /// Every member.
    pub fn iter(&self) -> impl Iterator<Item = K> {
        self.members.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_never_empty_take_turns() {
        let mut ready = Ready::default();
        for member in ["flood", "one", "two"] {
            assert!(ready.add(member));
            assert!(ready.note(member));
        }
        let mut seen = Vec::new();
        for _ in 0..6 {
            let member = ready.turn().unwrap();
            seen.push(member);
            assert!(ready.note(member));
            // More of the same moves nobody.
            assert!(ready.note("flood"));
        }
        assert_eq!(seen, ["flood", "one", "two", "flood", "one", "two"]);
    }

    #[test]
    fn a_member_that_goes_takes_its_turn_along() {
        let mut ready = Ready::default();
        assert!(ready.add(1) && ready.add(2) && !ready.add(2));
        assert!(ready.note(1) && ready.note(2));
        assert!(ready.remove(1) && !ready.remove(1) && !ready.note(1));
        assert_eq!((ready.turn(), ready.turn(), ready.len()), (Some(2), None, 1));
        // It comes again, with nothing.
        assert!(ready.add(1));
        assert_eq!((ready.turn(), ready.waiting()), (None, 0));
    }

    #[test]
    fn the_idle_are_not_looked_at() {
        let mut ready = Ready::default();
        for member in 0..100_000 {
            assert!(ready.add(member));
        }
        for member in [7, 70_000] {
            assert!(ready.note(member) && ready.note(member));
        }
        assert_eq!((ready.turn(), ready.turn(), ready.turn()), (Some(7), Some(70_000), None));
        assert_eq!(ready.steps(), 2);
    }

    /// Every sequence of so many operations on three members, against plain lists.
    #[test]
    fn it_is_what_a_plain_list_would_be() {
        const LENGTH: u32 = 5;
        const CHOICES: u32 = 10;
        for code in 0..CHOICES.pow(LENGTH) {
            let (mut ready, mut left) = (Ready::default(), code);
            let (mut members, mut list): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
            for _ in 0..LENGTH {
                let (choice, member) = (left % CHOICES, left % CHOICES % 3);
                left /= CHOICES;
                match choice {
                    0..=2 => {
                        let new = !members.contains(&member);
                        members.extend(new.then_some(member));
                        assert_eq!(ready.add(member), new);
                    }
                    3..=5 => {
                        let known = members.contains(&member);
                        list.extend((known && !list.contains(&member)).then_some(member));
                        assert_eq!(ready.note(member), known);
                    }
                    6..=8 => {
                        let known = members.contains(&member);
                        members.retain(|&other| other != member);
                        list.retain(|&other| other != member);
                        assert_eq!(ready.remove(member), known);
                    }
                    _ => {
                        let first = (!list.is_empty()).then(|| list.remove(0));
                        assert_eq!(ready.turn(), first);
                    }
                }
                assert_eq!((ready.len(), ready.waiting()), (members.len(), list.len()));
            }
        }
    }
}
