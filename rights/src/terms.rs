//! What a send right still permits.
//!
//! A *facet* is a send right with terms: a badge, the message ids it may send,
//! how many messages, until when. The owner of the port keeps one entry for each
//! facet, however many copies of it there are and wherever they are, so that
//! what it counts is counted over all of them.
//!
//! A facet may be made from another. Then both sets of terms hold, and what ends
//! the first ends the second: what was given can be given narrower, never wider.
//! A facet that has ended stays ended.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::ops::RangeInclusive;

use abi::limits;

use crate::quick::QuickMap;

/// The message ids a facet may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Ids {
    #[default]
    All,
    Range(RangeInclusive<i32>),
    Set(BTreeSet<i32>),
}

/// What a facet permits. The default permits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    badge: Option<u64>,
    ids: Ids,
    messages: Option<u64>,
    until_ns: Option<u64>,
}

impl Terms {
    /// The number that comes with each message.
    pub const fn with_badge(&mut self, badge: u64) {
        self.badge = Some(badge);
    }

    /// Only messages with these ids.
    pub fn with_range(&mut self, ids: RangeInclusive<i32>) {
        self.ids = Ids::Range(ids);
    }

    /// Only messages with one of these ids.
    pub fn with_set(&mut self, ids: BTreeSet<i32>) {
        self.ids = Ids::Set(ids);
    }

    /// Only so many messages in all.
    pub const fn with_messages(&mut self, messages: u64) {
        self.messages = Some(messages);
    }

    /// Only before this time.
    pub const fn with_until(&mut self, until_ns: u64) {
        self.until_ns = Some(until_ns);
    }

    fn allows(&self, id: i32) -> bool {
        match &self.ids {
            Ids::All => true,
            Ids::Range(ids) => ids.contains(&id),
            Ids::Set(ids) => ids.contains(&id),
        }
    }
}

/// Why a facet has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Its maker took it back.
    Revoked,
    /// Its time is over.
    Expired,
    /// Its messages are used up.
    Spent,
}

/// Why a message may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The facet has ended.
    Ended(End),
    /// It does not permit this id. It still permits others.
    Id(i32),
}

/// Why a facet was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The one it is made from has ended.
    #[error("the right it is made from has ended")]
    Ended,
    /// As many were made one from the other as may be.
    #[error("rights are narrowed one from the other at most {limit} times", limit = limits::FACET_DEPTH)]
    TooDeep,
    /// More ids are listed than one facet may list.
    #[error("the terms list {0} ids, the limit is {limit}", limit = limits::FACET_IDS)]
    TooManyIds(usize),
}

/// A message may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a facet that was used up must be ended"]
pub struct Admitted<K> {
    /// The badge it carries.
    pub badge: Option<u64>,
    /// The message was the last one of this facet, which has to be ended.
    pub spent: Option<K>,
}

#[derive(Clone, Debug)]
struct Facet<K> {
    parent: Option<K>,
    children: BTreeSet<K>,
    /// How many were made one from the other to come to this one.
    depth: u32,
    badge: Option<u64>,
    terms: Terms,
    used: u64,
    ended: Option<End>,
}

/// Every facet of one port.
#[derive(Clone, Debug)]
pub struct Facets<K> {
    facets: QuickMap<K, Facet<K>>,
    refused: u64,
}

impl<K> Default for Facets<K> {
    fn default() -> Self {
        Facets { facets: QuickMap::default(), refused: 0 }
    }
}

impl<K: Copy + Eq + Ord + Hash> Facets<K> {
    /// Makes a facet, from `parent` or from the port's own right.
    ///
    /// # Errors
    /// See [`MakeError`]. Nothing was made then.
    pub fn make(&mut self, key: K, parent: Option<K>, terms: Terms) -> Result<(), MakeError> {
        if let Ids::Set(ids) = &terms.ids
            && ids.len() > limits::FACET_IDS
        {
            return Err(MakeError::TooManyIds(ids.len()));
        }
        let (depth, badge) = match parent {
            None => (1, None),
            Some(parent) => {
                let from = self.facets.get_mut(&parent).ok_or(MakeError::Ended)?;
                if from.ended.is_some() {
                    return Err(MakeError::Ended);
                }
                if from.depth >= limits::FACET_DEPTH {
                    return Err(MakeError::TooDeep);
                }
                from.children.insert(key);
                (from.depth + 1, from.badge)
            }
        };
        // Whoever made the first facet named who it is for.
        let badge = badge.or(terms.badge);
        let facet =
            Facet { parent, children: BTreeSet::new(), depth, badge, terms, used: 0, ended: None };
        self.facets.insert(key, facet);
        Ok(())
    }

    /// Nobody has a right to `key` any more, nor to one made from it.
    pub fn forget(&mut self, key: K) {
        if let Some(gone) = self.facets.remove(&key)
            && let Some(parent) = gone.parent.and_then(|parent| self.facets.get_mut(&parent))
        {
            parent.children.remove(&key);
        }
    }

    /// Why it has ended, if it has. One that is not known has.
    pub fn ended(&self, key: K) -> Option<End> {
        self.facets.get(&key).map_or(Some(End::Revoked), |facet| facet.ended)
    }

    /// The badge its messages carry.
    pub fn badge(&self, key: K) -> Option<u64> {
        self.facets.get(&key)?.badge
    }

    /// The facet and those it was made from, itself first.
    fn line(&self, key: K) -> impl Iterator<Item = (K, &Facet<K>)> {
        let mut next = Some(key);
        std::iter::from_fn(move || {
            let key = next?;
            let facet = self.facets.get(&key)?;
            next = facet.parent;
            Some((key, facet))
        })
    }

    /// Whether a message with this id may enter now.
    ///
    /// # Errors
    /// Why not.
    pub fn permits(&self, key: K, id: i32, now_ns: u64) -> Result<(), Refusal> {
        if let Some(end) = self.ended(key) {
            return Err(Refusal::Ended(end));
        }
        for (_, facet) in self.line(key) {
            if facet.terms.until_ns.is_some_and(|until| until <= now_ns) {
                return Err(Refusal::Ended(End::Expired));
            }
            if facet.terms.messages.is_some_and(|most| most <= facet.used) {
                return Err(Refusal::Ended(End::Spent));
            }
        }
        if self.line(key).any(|(_, facet)| !facet.terms.allows(id)) {
            return Err(Refusal::Id(id));
        }
        Ok(())
    }

    /// A message enters, if it may: it is counted on the facet and on all that it
    /// was made from.
    ///
    /// # Errors
    /// Why it may not. Nothing was counted then.
    pub fn admit(&mut self, key: K, id: i32, now_ns: u64) -> Result<Admitted<K>, Refusal> {
        self.permits(key, id, now_ns)?;
        let mut admitted = Admitted { badge: None, spent: None };
        let mut next = Some(key);
        while let Some(of) = next {
            let Some(facet) = self.facets.get_mut(&of) else { break };
            if of == key {
                admitted.badge = facet.badge;
            }
            facet.used += 1;
            if facet.terms.messages == Some(facet.used) {
                // The farthest one: what ends it ends those made from it.
                admitted.spent = Some(of);
            }
            next = facet.parent;
        }
        Ok(admitted)
    }

    /// A message of a peer's was refused.
    pub const fn count_refused(&mut self) {
        self.refused += 1;
    }

    /// How many messages of peers were refused.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Ends `key` and all that was made from it. Returns those that had not ended
    /// before.
    #[must_use = "who holds one must be told"]
    pub fn end(&mut self, key: K, why: End) -> Vec<K> {
        let mut ended = Vec::new();
        let mut open = vec![key];
        while let Some(key) = open.pop() {
            let Some(facet) = self.facets.get_mut(&key) else { continue };
            if facet.ended.is_some() {
                // All that was made from it has ended with it.
                continue;
            }
            facet.ended = Some(why);
            open.extend(&facet.children);
            ended.push(key);
        }
        ended
    }

    /// When the time of this facet, or of one it was made from, is over.
    pub fn due(&self, key: K) -> Option<u64> {
        self.line(key).filter_map(|(_, facet)| facet.terms.until_ns).min()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.facets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.facets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(change: impl FnOnce(&mut Terms)) -> Terms {
        let mut terms = Terms::default();
        change(&mut terms);
        terms
    }

    #[test]
    fn a_facet_permits_what_its_terms_say() {
        let mut facets = Facets::default();
        facets.make('r', None, terms(|terms| terms.with_range(2..=4))).unwrap();
        facets.make('s', None, terms(|terms| terms.with_set([1, 9].into()))).unwrap();
        facets.make('u', None, terms(|terms| terms.with_until(100))).unwrap();
        facets.make('n', None, terms(|terms| terms.with_messages(0))).unwrap();
        let cases = [
            ('r', 1, 0, Err(Refusal::Id(1))),
            ('r', 2, 0, Ok(())),
            ('r', 4, 0, Ok(())),
            ('r', 5, 0, Err(Refusal::Id(5))),
            ('s', 9, 0, Ok(())),
            ('s', 2, 0, Err(Refusal::Id(2))),
            ('u', 0, 99, Ok(())),
            ('u', 0, 100, Err(Refusal::Ended(End::Expired))),
            ('n', 0, 0, Err(Refusal::Ended(End::Spent))),
            ('x', 0, 0, Err(Refusal::Ended(End::Revoked))),
        ];
        for (key, id, now_ns, may) in cases {
            assert_eq!(facets.permits(key, id, now_ns), may, "{key} {id} {now_ns}");
        }
    }

    #[test]
    fn messages_are_counted_over_all_that_was_made_from_it() {
        let mut facets = Facets::default();
        facets.make('a', None, terms(|terms| terms.with_messages(2))).unwrap();
        facets.make('b', Some('a'), terms(|terms| terms.with_messages(9))).unwrap();
        facets.make('c', Some('b'), Terms::default()).unwrap();
        assert_eq!(facets.admit('b', 0, 0), Ok(Admitted { badge: None, spent: None }));
        assert_eq!(facets.admit('c', 0, 0), Ok(Admitted { badge: None, spent: Some('a') }));
        for key in ['a', 'b', 'c'] {
            assert_eq!(facets.admit(key, 0, 0), Err(Refusal::Ended(End::Spent)));
        }
        let mut ended = facets.end('a', End::Spent);
        ended.sort_unstable();
        assert_eq!(ended, ['a', 'b', 'c']);
    }

    #[test]
    fn what_is_made_from_a_facet_is_never_wider() {
        let mut facets = Facets::default();
        let narrow = terms(|terms| {
            terms.with_range(0..=5);
            terms.with_until(10);
        });
        facets.make('a', None, narrow).unwrap();
        let wide = terms(|terms| {
            terms.with_range(3..=9);
            terms.with_until(20);
        });
        facets.make('b', Some('a'), wide).unwrap();
        assert_eq!(facets.permits('b', 4, 0), Ok(()));
        assert_eq!(facets.permits('b', 1, 0), Err(Refusal::Id(1)));
        assert_eq!(facets.permits('b', 7, 0), Err(Refusal::Id(7)));
        assert_eq!(facets.permits('b', 4, 15), Err(Refusal::Ended(End::Expired)));
        assert_eq!(facets.due('b'), Some(10));
    }

    #[test]
    fn the_first_badge_stays() {
        let mut facets = Facets::default();
        facets.make('a', None, Terms::default()).unwrap();
        facets.make('b', Some('a'), terms(|terms| terms.with_badge(2))).unwrap();
        facets.make('c', Some('b'), terms(|terms| terms.with_badge(3))).unwrap();
        let badges = ['a', 'b', 'c'].map(|key| facets.admit(key, 0, 0).unwrap().badge);
        assert_eq!(badges, [None, Some(2), Some(2)]);
    }

    #[test]
    fn what_ends_one_ends_all_that_was_made_from_it_once() {
        let mut facets = Facets::default();
        facets.make('a', None, Terms::default()).unwrap();
        facets.make('b', Some('a'), Terms::default()).unwrap();
        facets.make('c', Some('a'), Terms::default()).unwrap();
        assert_eq!(facets.end('b', End::Expired), ['b']);
        let mut ended = facets.end('a', End::Revoked);
        ended.sort_unstable();
        assert_eq!(ended, ['a', 'c']);
        assert!(facets.end('a', End::Revoked).is_empty());
        assert_eq!(facets.ended('b'), Some(End::Expired));
        assert_eq!(facets.make('d', Some('a'), Terms::default()), Err(MakeError::Ended));
        facets.forget('c');
        assert_eq!(facets.ended('c'), Some(End::Revoked));
        assert_eq!(facets.len(), 2);
    }

    #[test]
    fn how_narrow_terms_may_be_is_limited() {
        let mut facets = Facets::default();
        facets.make(0, None, Terms::default()).unwrap();
        for depth in 1..limits::FACET_DEPTH {
            facets.make(depth, Some(depth - 1), Terms::default()).unwrap();
        }
        let deepest = Some(limits::FACET_DEPTH - 1);
        assert_eq!(facets.make(1000, deepest, Terms::default()), Err(MakeError::TooDeep));
        let ids: BTreeSet<i32> = (0..=limits::FACET_IDS as i32).collect();
        let many = MakeError::TooManyIds(ids.len());
        let listed = terms(|terms| terms.with_set(ids));
        assert_eq!(facets.make(1000, None, listed), Err(many));
        facets.make(1000, None, Terms::default()).unwrap();
    }
}
