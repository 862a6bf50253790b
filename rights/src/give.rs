//! Rights on their way from one peer of ours to another.
//!
//! The giver publishes the give in its lane to us before it publishes the
//! message that names the ticket, and lanes are memory: whoever saw the message
//! can see the give. So when a receiver asks for a ticket we do not have, we
//! drain what the giver's lane shows and then know.

use std::collections::HashMap;

use abi::right::Kind;
use abi::{Offence, Slot, TaskId, Ticket, limits};

/// What names a give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GiveName {
    /// Who gave.
    pub giver: TaskId,
    /// Who may claim.
    pub to: TaskId,
    /// The giver's number for it.
    pub ticket: Ticket,
}

/// A right that was given and not yet claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given<P> {
    /// What it leads to.
    pub port: P,
    /// Which kind of right.
    pub kind: Kind,
    /// The giver's own slot, for a give that is taken back.
    pub slot: Slot,
}

#[derive(Clone, Debug)]
struct Entry<P> {
    given: Given<P>,
    /// When its giver died.
    orphan_since: Option<u64>,
}

/// All gives that nobody has claimed yet.
#[derive(Clone, Debug)]
pub struct Gives<P> {
    entries: HashMap<GiveName, Entry<P>>,
    /// By the giver's process: which task of it a peer is, it says itself.
    by_giver: HashMap<u64, usize>,
    limit: usize,
}

impl<P> Default for Gives<P> {
    fn default() -> Self {
        Gives { entries: HashMap::new(), by_giver: HashMap::new(), limit: limits::GIVES }
    }
}

impl<P: Copy> Gives<P> {
    /// None yet, and at most `limit` of one giver.
    pub fn with_limit(limit: usize) -> Self {
        Gives { limit, ..Gives::default() }
    }

    /// Notes a give.
    ///
    /// # Errors
    /// [`Offence::TicketReused`], [`Offence::GivesExceeded`].
    pub fn give(&mut self, name: GiveName, given: Given<P>) -> Result<(), Offence> {
        if self.entries.contains_key(&name) {
            return Err(Offence::TicketReused);
        }
        let open = self.by_giver.entry(name.giver.process).or_default();
        if *open >= self.limit {
            return Err(Offence::GivesExceeded);
        }
        *open += 1;
        self.entries.insert(name, Entry { given, orphan_since: None });
        Ok(())
    }

    /// Takes a give out: it was claimed, or its giver takes it back.
    pub fn take(&mut self, name: GiveName) -> Option<Given<P>> {
        let entry = self.entries.remove(&name)?;
        if let Some(open) = self.by_giver.get_mut(&name.giver.process) {
            *open -= 1;
            if *open == 0 {
                self.by_giver.remove(&name.giver.process);
            }
        }
        Some(entry.given)
    }

    /// What was given to `to` and will not be claimed comes back: `to` is dead,
    /// or its giver, if one is named, says so. We may never have had a link
    /// with `to`, so its giver is the only one who can tell us.
    ///
    /// A send-once right goes back into its giver's slot while the giver has
    /// that slot ([`Exports::take_back`](crate::export::Exports::take_back)):
    /// whether its message was sent, only the giver knows. Else its promise is
    /// broken now.
    #[must_use = "a right that comes back is still counted"]
    pub fn come_back(&mut self, to: TaskId, giver: Option<TaskId>) -> Vec<(GiveName, Given<P>)> {
        let mut names: Vec<GiveName> = self
            .entries
            .keys()
            .filter(|name| name.to == to && giver.is_none_or(|giver| name.giver == giver))
            .copied()
            .collect();
        names.sort_unstable();
        names.into_iter().filter_map(|name| self.take(name).map(|given| (name, given))).collect()
    }

    /// A task has died: what was given *to* it comes back, what was given *by*
    /// it waits a while for its claim.
    pub fn task_died(&mut self, task: TaskId, now_ns: u64) -> Vec<Given<P>> {
        for (name, entry) in &mut self.entries {
            if name.giver == task && entry.orphan_since.is_none() {
                entry.orphan_since = Some(now_ns);
            }
        }
        self.take_where(|name, _| name.to == task)
    }

    /// Ends the gives of dead givers that nobody came for.
    pub fn expire(&mut self, now_ns: u64) -> Vec<Given<P>> {
        self.take_where(|_, entry| {
            entry
                .orphan_since
                .is_some_and(|since| now_ns.saturating_sub(since) >= limits::ORPHAN_GIVE_NS)
        })
    }

    /// When to look again for gives that nobody comes for.
    pub fn next_expiry(&self) -> Option<u64> {
        self.entries
            .values()
            .filter_map(|entry| entry.orphan_since)
            .min()
            .map(|since| since.saturating_add(limits::ORPHAN_GIVE_NS))
    }

    fn take_where(
        &mut self,
        mut choose: impl FnMut(&GiveName, &Entry<P>) -> bool,
    ) -> Vec<Given<P>> {
        let names: Vec<GiveName> = self
            .entries
            .iter()
            .filter(|(name, entry)| choose(name, entry))
            .map(|(name, _)| *name)
            .collect();
        names.into_iter().filter_map(|name| self.take(name)).collect()
    }

    /// Every give that waits.
    pub fn iter(&self) -> impl Iterator<Item = (GiveName, Given<P>)> {
        self.entries.iter().map(|(name, entry)| (*name, entry.given))
    }

    /// How many gives wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn task(process: u64) -> TaskId {
        TaskId { process, number: 0 }
    }

    const GIVEN: Given<char> =
        Given { port: 'p', kind: Kind::Send, slot: Slot { index: 0, generation: 1 } };

    fn name(giver: u64, to: u64, ticket: u64) -> GiveName {
        GiveName { giver: task(giver), to: task(to), ticket: Ticket(ticket) }
    }

    #[test]
    fn a_ticket_is_good_once_and_for_one_task() {
        let mut gives = Gives::default();
        gives.give(name(1, 2, 7), GIVEN).unwrap();
        assert_eq!(gives.give(name(1, 2, 7), GIVEN), Err(Offence::TicketReused));
        assert_eq!(gives.take(name(1, 3, 7)), None);
        assert_eq!(gives.take(name(1, 2, 7)), Some(GIVEN));
        assert_eq!(gives.take(name(1, 2, 7)), None);
    }

    #[test]
    fn gives_to_the_dead_come_back_and_gives_of_the_dead_wait_a_while() {
        let mut gives = Gives::default();
        gives.give(name(1, 2, 1), GIVEN).unwrap();
        gives.give(name(3, 1, 2), GIVEN).unwrap();
        assert_eq!(gives.task_died(task(1), 5), [GIVEN]);
        assert_eq!(gives.next_expiry(), Some(5 + limits::ORPHAN_GIVE_NS));
        assert!(gives.expire(6).is_empty());
        assert_eq!(gives.expire(5 + limits::ORPHAN_GIVE_NS), [GIVEN]);
        assert!(gives.is_empty());
    }

    #[test]
    fn a_giver_calls_back_what_nobody_will_claim() {
        let mut gives = Gives::default();
        gives.give(name(1, 2, 1), GIVEN).unwrap();
        gives.give(name(1, 2, 2), GIVEN).unwrap();
        gives.give(name(3, 2, 1), GIVEN).unwrap();
        gives.give(name(1, 4, 1), GIVEN).unwrap();
        assert_eq!(
            gives.come_back(task(2), Some(task(1))),
            [(name(1, 2, 1), GIVEN), (name(1, 2, 2), GIVEN)]
        );
        assert_eq!(gives.come_back(task(2), None), [(name(3, 2, 1), GIVEN)]);
        assert_eq!(gives.len(), 1);
    }

    #[test]
    fn open_gives_are_limited_per_giver() {
        let mut gives = Gives::default();
        for ticket in 0..limits::GIVES as u64 {
            gives.give(name(1, 2, ticket), GIVEN).unwrap();
        }
        assert_eq!(gives.give(name(1, 2, u64::MAX), GIVEN), Err(Offence::GivesExceeded));
        gives.give(name(4, 2, 0), GIVEN).unwrap();
        let _ = gives.take(name(1, 2, 0));
        gives.give(name(1, 2, u64::MAX), GIVEN).unwrap();
    }

    #[test]
    fn a_process_of_many_tasks_gives_no_more_than_one_of_one() {
        let mut gives = Gives::default();
        let by = |number: u64| {
            let giver = TaskId { process: 1, number };
            GiveName { giver, ..name(1, 2, number) }
        };
        for number in 0..limits::GIVES as u64 {
            gives.give(by(number), GIVEN).unwrap();
            assert!(gives.task_died(by(number).giver, 5).is_empty());
        }
        // Though each of these givers is dead, what it gave waits for its claim.
        assert_eq!(gives.give(by(u64::MAX), GIVEN), Err(Offence::GivesExceeded));
        assert_eq!(gives.expire(5 + limits::ORPHAN_GIVE_NS).len(), limits::GIVES);
        gives.give(by(u64::MAX), GIVEN).unwrap();
    }
}
