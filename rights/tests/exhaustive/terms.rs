//! Facets of one port: what each still permits.
//!
//! The rules count and mark as they go. Here what a facet permits is said from
//! its history: what was sent on it and on what was made from it, who was
//! revoked, what time it is. After each operation both must say the same of
//! every facet and every id.

use std::hash::{DefaultHasher, Hash, Hasher};

use rights::terms::{End, Facets, Refusal, Terms};

use crate::search;

/// Facets there may be at a time, and in all.
const AT_A_TIME: usize = 3;
const IN_ALL: usize = 4;
/// Ids of messages.
const IDS: [i32; 2] = [0, 1];
/// The clock stops here: nothing is limited to later.
const LAST: u64 = 2;

/// What restricts a facet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    Nothing,
    Messages(u64),
    Until(u64),
    Id(i32),
}

const LIMITS: [Limit; 5] =
    [Limit::Nothing, Limit::Messages(1), Limit::Messages(2), Limit::Until(LAST), Limit::Id(1)];

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// A facet is made, from another or from the port's own right.
    Make(Option<usize>, Limit),
    /// A message is sent.
    Send(usize, i32),
    Revoke(usize),
    /// Nobody holds it any more.
    Forget(usize),
    Tick,
}

/// A rule broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What is sent is not counted.
    Uncounted,
    /// Only the facet itself is revoked, not what was made from it.
    ChildrenStay,
    /// The wider of two limits holds.
    Wider,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] = [Fault::Uncounted, Fault::ChildrenStay, Fault::Wider];
}

/// What is known of one facet.
#[derive(Clone, Debug, Hash)]
struct Known {
    parent: Option<usize>,
    limit: Limit,
    /// Messages sent on it or on what was made from it.
    sent: u64,
    revoked: bool,
    held: bool,
}

/// The facets of one port, and their history.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    facets: Facets<usize>,
    known: Vec<Known>,
    now_ns: u64,
    fault: Option<Fault>,
}

impl World {
    /// One in which a rule is broken.
    pub(crate) fn broken(fault: Fault) -> Self {
        World { fault: Some(fault), ..World::default() }
    }

    /// The facet and those it was made from.
    fn line(&self, key: usize) -> impl Iterator<Item = &Known> {
        std::iter::successors(self.known.get(key), |known| self.known.get(known.parent?))
    }

    /// From the history: `None` where it has ended.
    fn may(&self, key: usize, id: i32) -> Option<bool> {
        let over = |known: &Known| match known.limit {
            Limit::Messages(most) => known.sent >= most,
            Limit::Until(until) => self.now_ns >= until,
            Limit::Nothing | Limit::Id(_) => false,
        };
        if self.line(key).any(|known| known.revoked || over(known)) {
            return None;
        }
        Some(self.line(key).all(|known| !matches!(known.limit, Limit::Id(only) if only != id)))
    }

    fn held(&self) -> impl Iterator<Item = usize> {
        (0..self.known.len()).filter(|&key| self.known[key].held)
    }

    fn make(&mut self, parent: Option<usize>, limit: Limit) -> Result<(), String> {
        let mut terms = Terms::default();
        let key = self.known.len();
        terms.with_badge(key as u64);
        match limit {
            Limit::Nothing => {}
            Limit::Messages(most) => terms.with_messages(most),
            Limit::Until(until) => terms.with_until(until),
            Limit::Id(id) => terms.with_range(id..=id),
        }
        let wider = self.fault == Some(Fault::Wider);
        let from = if wider { None } else { parent };
        let may = parent.is_none_or(|parent| self.facets.ended(parent).is_none());
        match self.facets.make(key, from, terms) {
            Ok(()) if may => {}
            Err(_) if !may => return Ok(()),
            made => return Err(format!("made from {parent:?}: {made:?}")),
        }
        self.known.push(Known { parent, limit, sent: 0, revoked: false, held: true });
        Ok(())
    }

    fn send(&mut self, key: usize, id: i32) {
        let may = if self.fault == Some(Fault::Uncounted) {
            self.facets.permits(key, id, self.now_ns).map(|()| None)
        } else {
            self.facets.admit(key, id, self.now_ns).map(|admitted| admitted.spent)
        };
        match may {
            Ok(spent) => {
                let mut next = Some(key);
                while let Some(known) = next.and_then(|key| self.known.get_mut(key)) {
                    known.sent += 1;
                    next = known.parent;
                }
                if let Some(spent) = spent {
                    let _ = self.facets.end(spent, End::Spent);
                }
            }
            Err(Refusal::Ended(why)) => {
                let _ = self.facets.end(key, why);
            }
            Err(Refusal::Id(_)) => {}
        }
    }
}

impl search::World for World {
    type Operation = Operation;

    fn possible(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        if self.known.len() < IN_ALL && self.held().count() < AT_A_TIME {
            for parent in std::iter::once(None).chain(self.held().map(Some)) {
                all.extend(LIMITS.map(|limit| Operation::Make(parent, limit)));
            }
        }
        for key in self.held() {
            all.extend(IDS.map(|id| Operation::Send(key, id)));
            if !self.known[key].revoked {
                all.push(Operation::Revoke(key));
            }
            // What was made from it holds it.
            if !self.held().any(|other| self.known[other].parent == Some(key)) {
                all.push(Operation::Forget(key));
            }
        }
        if self.now_ns < LAST {
            all.push(Operation::Tick);
        }
        all
    }

    fn apply(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Make(parent, limit) => return self.make(parent, limit),
            Operation::Send(key, id) => self.send(key, id),
            Operation::Revoke(key) => {
                self.known[key].revoked = true;
                let before: Vec<usize> =
                    self.held().filter(|&key| self.facets.ended(key).is_none()).collect();
                let ended = if self.fault == Some(Fault::ChildrenStay) && self.has_children(key) {
                    Vec::new()
                } else {
                    self.facets.end(key, End::Revoked)
                };
                for key in before {
                    let is = self.facets.ended(key).is_some();
                    let told = ended.iter().filter(|&&other| other == key).count();
                    if told != usize::from(is) {
                        return Err(format!("the end of {key} is told {told} times"));
                    }
                }
            }
            Operation::Forget(key) => {
                self.known[key].held = false;
                self.facets.forget(key);
            }
            Operation::Tick => self.now_ns += 1,
        }
        Ok(())
    }

    fn census(&self) -> Result<(), String> {
        if self.facets.len() != self.held().count() {
            return Err(format!("{} facets are kept", self.facets.len()));
        }
        for key in self.held() {
            for id in IDS {
                let is = match self.facets.permits(key, id, self.now_ns) {
                    Ok(()) => Some(true),
                    Err(Refusal::Id(_)) => Some(false),
                    Err(Refusal::Ended(_)) => None,
                };
                let should = self.may(key, id);
                if is != should {
                    return Err(format!("{key} permits {id}: {is:?}, and should {should:?}"));
                }
            }
            let first = self.line(key).count() - 1;
            let mut oldest = key;
            for _ in 0..first {
                oldest = self.known[oldest].parent.unwrap_or(oldest);
            }
            if self.facets.badge(key) != Some(oldest as u64) {
                return Err(format!("the badge of {key} is {:?}", self.facets.badge(key)));
            }
        }
        Ok(())
    }

    fn settle(mut self) -> Result<(), String> {
        // The last made goes first; then nothing is kept.
        for key in (0..self.known.len()).rev() {
            if std::mem::take(&mut self.known[key].held) {
                self.facets.forget(key);
            }
        }
        if self.facets.is_empty() { Ok(()) } else { Err("facets are left".to_owned()) }
    }

    fn fingerprint(&self) -> Option<u128> {
        let ended: Vec<bool> = self.held().map(|key| self.facets.ended(key).is_some()).collect();
        let print = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            (salt, &self.known, &ended, self.now_ns).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Some(print(1) << 64 | print(2))
    }
}

impl World {
    fn has_children(&self, key: usize) -> bool {
        self.known.iter().any(|known| known.held && known.parent == Some(key))
    }
}
