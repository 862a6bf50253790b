//! Facets: send rights with terms, and taking back what was given out.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use abi::{TaskId, limits};
use rights::terms::{self, End, MakeError};

use crate::core::TaskCore;
use crate::limits::Limit;
use crate::membrane::{MembraneCore, Within};
use crate::port::PortCore;
use crate::right::{SendRight, Settled};
use crate::wait::parking::lock;

/// What a send right permits, and the badge its messages carry.
///
/// Where nothing is said nothing is restricted. The owner of the port enforces
/// the terms as messages arrive, whatever the holder believes.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, SendFailure, Task, Terms};
/// let inbox = Task::current()?.port(Capacity::Bounded(8));
/// let reader = inbox.make_send_with(&Terms::new().badge(7).ids(1..=2))?;
/// reader.send(Message::new("read").with_id(1), Deadline::Never)?;
/// assert_eq!(inbox.receive(Deadline::Never)?.badge(), Some(7));
/// let error = reader.send(Message::new("write").with_id(3), Deadline::Never).unwrap_err();
/// assert_eq!(error.reason, SendFailure::NotPermitted(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    rules: terms::Terms,
    until: Option<Instant>,
}

impl Terms {
    /// Terms that restrict nothing.
    pub fn new() -> Self {
        Terms::default()
    }

    /// A number that comes with every message: [`crate::Message::badge`]. The
    /// sender neither sees nor chooses it.
    #[must_use]
    pub fn badge(mut self, badge: u64) -> Self {
        self.rules.with_badge(badge);
        self
    }

    /// Only messages with an id in this range.
    #[must_use]
    pub fn ids(mut self, ids: impl RangeBounds<i32>) -> Self {
        let first = match ids.start_bound() {
            Bound::Included(&first) => Some(first),
            Bound::Excluded(&before) => before.checked_add(1),
            Bound::Unbounded => Some(i32::MIN),
        };
        let last = match ids.end_bound() {
            Bound::Included(&last) => Some(last),
            Bound::Excluded(&behind) => behind.checked_sub(1),
            Bound::Unbounded => Some(i32::MAX),
        };
        match (first, last) {
            (Some(first), Some(last)) => self.rules.with_range(first..=last),
            // Nothing lies beyond the last number there is.
            _ => self.rules.with_set([].into()),
        }
        self
    }

    /// Only messages with one of these ids, of which there may be
    /// [`limits::FACET_IDS`].
    #[must_use]
    pub fn ids_listed(mut self, ids: impl IntoIterator<Item = i32>) -> Self {
        self.rules.with_set(ids.into_iter().collect());
        self
    }

    /// Only so many messages, over all copies of the right wherever they are.
    #[must_use]
    pub fn messages(mut self, messages: u64) -> Self {
        self.rules.with_messages(messages);
        self
    }

    /// Only before `until`, by the clock of the port's owner at the arrival.
    #[must_use]
    pub fn until(mut self, until: Instant) -> Self {
        self.until = Some(until);
        self
    }

    fn rules(&self, task: &TaskCore) -> terms::Terms {
        let mut rules = self.rules.clone();
        if let Some(until) = self.until {
            let after = until.saturating_duration_since(task.start());
            rules.with_until(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
        }
        rules
    }
}

/// Why a send right was not narrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FacetError {
    /// The port is another task's. Only its owner enforces terms, so only its
    /// owner can set them.
    #[error("the port belongs to task {0}, and only its owner can narrow a right to it")]
    NotOwner(TaskId),
    /// The right leads nowhere any more.
    #[error("the right leads nowhere any more")]
    Ended,
    /// It was narrowed as often as may be, one right made from the other.
    #[error("a right is narrowed at most {limit} times", limit = limits::FACET_DEPTH)]
    TooDeep,
    /// More ids are listed than one right may list.
    #[error("the terms list {0} ids, the limit is {limit}", limit = limits::FACET_IDS)]
    TooManyIds(usize),
    /// A receive right: what is received from its port would go round a membrane.
    #[error("a receive right passes through no membrane")]
    ReceiveRight,
    /// This task has as many facets as it may.
    #[error("the task has as many rights with terms as it may")]
    TooMany,
    /// The right belongs to the process this one was forked from.
    #[error("the right belongs to the parent of this process")]
    Forked,
}

impl From<MakeError> for FacetError {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::TooDeep => FacetError::TooDeep,
            MakeError::TooManyIds(ids) => FacetError::TooManyIds(ids),
            _ => FacetError::Ended,
        }
    }
}

/// What all copies of one facet share. Its terms and what is counted on them lie
/// in the port, as plain data.
#[derive(Debug)]
pub(crate) struct Facet {
    pub(crate) id: u64,
    pub(crate) port: Arc<PortCore>,
    due: Option<u64>,
    /// What it was made from lasts as long as it does.
    _parent: Option<Arc<Facet>>,
    /// The membranes it is inside of, the innermost first.
    within: Option<Within>,
    /// The membrane that made it, and from what.
    made_by: Option<(Arc<MembraneCore>, u64)>,
}

impl Facet {
    pub(crate) fn new(
        port: &Arc<PortCore>,
        parent: Option<&Arc<Facet>>,
        terms: &Terms,
    ) -> Result<Arc<Facet>, FacetError> {
        Facet::new_within(port, parent, terms, None)
    }

    /// A facet that `made_by` makes; what is made from one inside a membrane is
    /// inside too.
    pub(crate) fn new_within(
        port: &Arc<PortCore>,
        parent: Option<&Arc<Facet>>,
        terms: &Terms,
        made_by: Option<(&Arc<MembraneCore>, u64)>,
    ) -> Result<Arc<Facet>, FacetError> {
        let task = &port.task;
        task.check().map_err(|_| FacetError::Forked)?;
        if task.facets.fetch_add(1, Ordering::Relaxed) >= task.limits.facets {
            task.facets.fetch_sub(1, Ordering::Relaxed);
            task.counters.refuse(Limit::Facets);
            return Err(FacetError::TooMany);
        }
        let id = task.next_id();
        let inner = parent.and_then(|parent| parent.within.clone());
        let within = match made_by {
            None => inner,
            Some((membrane, _)) => {
                let inner = inner.iter().flat_map(|all| all.iter());
                Some(Arc::new(inner.chain([membrane]).cloned().collect()))
            }
        };
        let from = parent.map(|parent| parent.id);
        let made = port.make_facet(id, from, terms.rules(task), within.clone());
        let due = made.inspect_err(|_| {
            task.facets.fetch_sub(1, Ordering::Relaxed);
        })?;
        let parent = parent.map(Arc::clone);
        let made_by = made_by.map(|(membrane, key)| (Arc::clone(membrane), key));
        let port = Arc::clone(port);
        let facet = Arc::new(Facet { id, port, due, _parent: parent, within, made_by });
        if let Some(due) = due {
            task.end_facet_at(due, &facet);
        }
        Ok(facet)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.port.facet_end(self.id).is_some()
    }

    /// Whether it is inside this membrane.
    pub(crate) fn is_within(&self, membrane: &Arc<MembraneCore>) -> bool {
        self.within.iter().flat_map(|all| all.iter()).any(|one| Arc::ptr_eq(one, membrane))
    }

    /// Whether time alone may end it.
    pub(crate) const fn is_timed(&self) -> bool {
        self.due.is_some()
    }
}

impl Drop for Facet {
    fn drop(&mut self) {
        let task = &self.port.task;
        if task.check().is_err() {
            return;
        }
        self.port.forget_facet(self.id);
        if let Some((membrane, key)) = &self.made_by {
            membrane.forget(*key);
        }
        task.facets.fetch_sub(1, Ordering::Relaxed);
        if let Some(due) = self.due {
            lock(&task.facet_ends).remove(&(due, self.id));
        }
    }
}

/// Facets that end at a time, the first first.
pub(crate) type FacetEnds = BTreeMap<(u64, u64), Weak<Facet>>;

impl TaskCore {
    fn end_facet_at(&self, due: u64, facet: &Arc<Facet>) {
        let key = (due, facet.id);
        let first = {
            let mut ends = lock(&self.facet_ends);
            ends.insert(key, Arc::downgrade(facet));
            ends.first_key_value().is_some_and(|(first, _)| *first == key)
        };
        if first {
            self.poke();
        }
    }

    /// Ends the facets whose time is over. Returns when to look again.
    pub(crate) fn expire_facets(&self) -> Option<u64> {
        loop {
            let (due, facet) = {
                let mut ends = lock(&self.facet_ends);
                let entry = ends.first_entry()?;
                let due = entry.key().0;
                if due > self.now_ns() {
                    return Some(due);
                }
                (due, entry.remove().upgrade())
            };
            if let Some(facet) = facet {
                debug_assert!(due <= self.now_ns(), "a facet ends before its time");
                let _ = facet.port.end_facet(facet.id, End::Expired);
            }
        }
    }
}

/// Takes back what was given out.
///
/// Dropping it revokes nothing.
#[derive(Debug)]
pub struct Revoker {
    facet: Arc<Facet>,
}

impl Revoker {
    /// From now on nothing that is sent on the right, on a copy of it, or on a
    /// right narrowed from it enters the queue. What is in the queue stays.
    ///
    /// Holders see it at once: a send fails with [`crate::SendFailure::Revoked`]
    /// or, where it has crossed the news, is refused by the owner and counted. A
    /// reply right in such a message tells its caller so. Rights that are on
    /// their way arrive dead, and who asked to be told of a dead name is told.
    ///
    /// Returns how many send rights were ended, as [`crate::PortStatus`] counts
    /// them: one for each in this task, one for each other task that holds some,
    /// and one for each that is on its way between two others.
    pub fn revoke(&self) -> u64 {
        if self.facet.port.task.check().is_err() {
            return 0;
        }
        self.facet.port.end_facet(self.facet.id, End::Revoked)
    }

    /// Whether the right has ended: it was revoked, its time is over, or its
    /// messages are used up.
    pub fn is_revoked(&self) -> bool {
        self.facet.port.task.check().is_err() || self.facet.has_ended()
    }
}

impl crate::ReceiveRight {
    /// Makes a send right to this port that permits what `terms` say.
    ///
    /// # Rights
    /// Makes a send right, which is this task's.
    ///
    /// # Errors
    /// See [`FacetError`].
    pub fn make_send_with(&self, terms: &Terms) -> Result<SendRight, FacetError> {
        let facet = Facet::new(self.core(), None, terms)?;
        self.core().count_made();
        Ok(SendRight::facet(&facet))
    }

    /// Makes a send right that can be taken back.
    ///
    /// # Rights
    /// Makes a send right, which is this task's.
    ///
    /// # Errors
    /// See [`FacetError`].
    ///
    /// # Examples
    /// ```
    /// use pillarbox::{Capacity, Deadline, Message, SendFailure, Task, Terms};
    /// let inbox = Task::current()?.port(Capacity::Bounded(8));
    /// let (right, revoker) = inbox.make_revocable(&Terms::new())?;
    /// assert_eq!(revoker.revoke(), 1);
    /// let error = right.send(Message::new("late"), Deadline::Never).unwrap_err();
    /// assert_eq!(error.reason, SendFailure::Revoked);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn make_revocable(&self, terms: &Terms) -> Result<(SendRight, Revoker), FacetError> {
        let facet = Facet::new(self.core(), None, terms)?;
        self.core().count_made();
        Ok((SendRight::facet(&facet), Revoker { facet }))
    }

    /// How many messages of other tasks were refused, because the right they came
    /// on had been revoked, its terms had ended, or they did not permit them.
    pub fn refused(&self) -> u64 {
        if self.core().task.check().is_ok() { self.core().refused() } else { 0 }
    }
}

impl SendRight {
    /// Makes a right to the same port that permits what this one permits and
    /// `terms` permit too: narrower, never wider. What ends this one ends that
    /// one; what is sent on that one counts on both. The badge of this one stays,
    /// if it has one.
    ///
    /// # Rights
    /// Borrows this right; the new one is this task's.
    ///
    /// # Errors
    /// See [`FacetError`]: [`FacetError::NotOwner`] for a port of another task.
    pub fn attenuate(&self, terms: &Terms) -> Result<SendRight, FacetError> {
        Ok(self.held_alike(SendRight::facet(&self.make_facet(terms)?)))
    }

    /// As [`SendRight::attenuate`], and what was made can be taken back.
    ///
    /// # Rights
    /// Makes a send right, which is this task's.
    ///
    /// # Errors
    /// See [`FacetError`].
    pub fn make_revocable(&self, terms: &Terms) -> Result<(SendRight, Revoker), FacetError> {
        let facet = self.make_facet(terms)?;
        Ok((self.held_alike(SendRight::facet(&facet)), Revoker { facet }))
    }

    /// What is made from a right that a membrane holds is held by it.
    fn held_alike(&self, made: SendRight) -> SendRight {
        match self.passage() {
            Some(passage) => passage.membrane().hold(made),
            None => made,
        }
    }

    fn make_facet(&self, terms: &Terms) -> Result<Arc<Facet>, FacetError> {
        self.task().check().map_err(|_| FacetError::Forked)?;
        match self.resolve().settled() {
            Settled::Own(port) => Facet::new(port, None, terms),
            Settled::Facet(facet) => Facet::new(&facet.port, Some(facet), terms),
            Settled::Import(entry) => Err(FacetError::NotOwner(entry.link.peer_task())),
            Settled::Joining(join) => Err(FacetError::NotOwner(join.owner)),
            Settled::Dead => Err(FacetError::Ended),
        }
    }
}
