//! A membrane: everything that is reached through it can be taken back at once.
//!
//! Rights that go out through it become facets of it, made by the owner of the
//! ports, which is this task. Rights that come in through it are held by it: who
//! uses one reaches through the membrane, and what he sends goes out through it.
//! So whatever is given for something that was given is inside too.
//!
//! Locks: a membrane's own, then a port's. Nothing is dropped under either.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use rights::terms::End;

use crate::core::TaskCore;
use crate::error::SendFailure;
use crate::facet::{Facet, FacetError, Terms};
use crate::message::{Message, Right};
use crate::port::{After, ReceiveRight};
use crate::right::{SendOnceRight, SendRight, Settled};
use crate::task::Task;
use crate::wait::parking::{Mutex, lock};

/// The membranes something is inside of, the innermost first.
/// A thin pointer, since every message has room for one.
pub(crate) type Within = Arc<Vec<Arc<MembraneCore>>>;

/// What a membrane and all that is inside it share.
#[derive(Debug)]
pub(crate) struct MembraneCore {
    task: Arc<TaskCore>,
    /// Set under the lock; read without it by those who hold others.
    revoked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What went out, by what it was made from: one facet for each port or facet,
    /// however often it goes out.
    outside: HashMap<u64, Weak<Facet>>,
    /// What came in.
    held: HashMap<u64, Weak<Passage>>,
}

/// A send right that came in through a membrane, as all its copies share it.
#[derive(Debug)]
pub(crate) struct Passage {
    id: u64,
    membrane: Arc<MembraneCore>,
    /// Until the membrane is revoked.
    inner: Mutex<Option<SendRight>>,
}

impl Drop for Passage {
    fn drop(&mut self) {
        // What a forked child inherited is not its own.
        if self.membrane.task.check().is_ok() {
            lock(&self.membrane.state).held.remove(&self.id);
        }
    }
}

impl Passage {
    pub(crate) fn task(&self) -> &Arc<TaskCore> {
        &self.membrane.task
    }

    /// Whether the membrane was revoked.
    pub(crate) fn is_over(self: &Arc<Self>) -> bool {
        self.membrane.is_revoked()
    }

    pub(crate) fn membrane(&self) -> &Arc<MembraneCore> {
        &self.membrane
    }

    /// The membranes around whoever uses it, the innermost first.
    pub(crate) fn within(&self) -> Within {
        let mut all = vec![Arc::clone(&self.membrane)];
        if let Some(inner) = self.open()
            && let Some(outer) = inner.passage()
        {
            all.extend(outer.within().iter().cloned());
        }
        Arc::new(all)
    }

    /// The right as it came, a copy of it. While the copy is there a revocation
    /// does not take it away.
    pub(crate) fn open(&self) -> Option<SendRight> {
        lock(&self.inner).clone()
    }
}

/// A message that has passed the membranes on its way out.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// The right as it came in, where a membrane held it.
    on: Option<SendRight>,
    kept: Vec<Kept>,
}

impl Passed {
    /// On a send right.
    pub(crate) fn on(right: &SendRight, message: &mut Message) -> Result<Passed, SendFailure> {
        right.task().check().map_err(|_| SendFailure::Forked)?;
        let mut passed = Passed::default();
        if let Some(passage) = right.passage() {
            // Opened first: a revocation that comes between is then seen.
            if let Resolved::Open(inner) = right.resolve() {
                passed.on = Some(inner);
            }
            passed.carry_out(passage.within(), message)?;
        }
        if matches!(passed.right(right).settled(), Settled::Import(_) | Settled::Joining(_)) {
            passed.keep(message.open_held());
        }
        Ok(passed)
    }

    /// On a send-once right.
    pub(crate) fn once(
        right: &SendOnceRight,
        message: &mut Message,
    ) -> Result<Passed, SendFailure> {
        let mut passed = Passed::default();
        if right.task().is_none_or(|task| task.check().is_err()) {
            return Err(SendFailure::Forked);
        }
        if let Some(within) = right.within() {
            passed.carry_out(Arc::clone(within), message)?;
        }
        if right.link().is_some() || right.joining_to().is_some() {
            passed.keep(message.open_held());
        }
        Ok(passed)
    }

    /// Through `within`, the innermost first.
    fn carry_out(&mut self, within: Within, message: &mut Message) -> Result<(), SendFailure> {
        for membrane in within.iter() {
            match membrane.carry_out(message) {
                Ok(kept) => self.keep(kept),
                Err(reason) => {
                    std::mem::take(self).come_back(message);
                    return Err(reason);
                }
            }
        }
        // While it waits for room a revocation ends the wait.
        message.put_within(Some(within));
        Ok(())
    }

    /// Most messages keep nothing, and need no memory for it.
    fn keep(&mut self, kept: Kept) {
        if !kept.0.is_empty() {
            self.kept.push(kept);
        }
    }

    /// What the message goes out on.
    pub(crate) fn right<'a>(&'a self, right: &'a SendRight) -> &'a SendRight {
        self.on.as_ref().unwrap_or(right)
    }

    /// It was not sent: it has its own rights back.
    pub(crate) fn come_back(mut self, message: &mut Message) {
        message.put_within(None);
        while let Some(kept) = self.kept.pop() {
            kept.come_back(message);
        }
    }
}

/// The rights of a message that were replaced on its way out, by their places.
#[derive(Debug, Default)]
#[must_use = "a message that is not sent has its rights back"]
pub(crate) struct Kept(Vec<(usize, SendRight)>);

impl Kept {
    pub(crate) fn come_back(self, message: &mut Message) {
        for (place, right) in self.0 {
            if let Some(there) = message.rights.get_mut(place) {
                *there = right.into();
            }
        }
    }
}

impl Message {
    /// Replaces send rights by what `change` makes of them.
    fn replace_rights<E>(
        &mut self,
        mut change: impl FnMut(&SendRight) -> Result<Option<SendRight>, E>,
    ) -> Result<Kept, E> {
        let mut kept = Kept::default();
        for (place, right) in self.rights.iter_mut().enumerate() {
            let Right::Send(right) = right else { continue };
            match change(right) {
                Ok(None) => {}
                Ok(Some(other)) => kept.0.push((place, std::mem::replace(right, other))),
                Err(error) => {
                    kept.come_back(self);
                    return Err(error);
                }
            }
        }
        Ok(kept)
    }

    /// Rights held by a membrane leave this task as they came. They stay with the
    /// message from here on, whatever becomes of the membrane: their slots are
    /// about to be named.
    pub(crate) fn open_held(&mut self) -> Kept {
        let opened = self.replace_rights(|right| {
            let opened = right.passage().map(|_| match right.resolve() {
                Resolved::Open(inner) => inner,
                Resolved::Plain(_) => SendRight::dead(right.task()),
            });
            Ok::<_, std::convert::Infallible>(opened)
        });
        match opened {
            Ok(kept) => kept,
            Err(never) => match never {},
        }
    }

    /// Whether it goes out through a membrane that was revoked.
    pub(crate) fn is_barred(&self) -> bool {
        let mut within = self.within().into_iter().flat_map(|all| all.iter());
        within.any(|membrane| membrane.is_revoked())
    }

    /// The message leaves its queue, or is shown to somebody.
    pub(crate) fn pass_inside(&mut self) {
        if let Some(within) = self.take_within() {
            self.come_inside(&within);
        }
    }

    /// What the message carries is held by the membranes it came in through.
    pub(crate) fn come_inside(&mut self, within: &Within) {
        // The outermost is passed first.
        for membrane in within.iter().rev() {
            let none = SendRight::dead(&membrane.task);
            for right in &mut self.rights {
                match right {
                    Right::Send(right) => {
                        let came = std::mem::replace(right, none.clone());
                        *right = membrane.hold(came);
                    }
                    // What would be received from it came round the membrane.
                    Right::Receive(right) => *right = ReceiveRight::ended(&membrane.task),
                    Right::SendOnce(_) => {}
                }
            }
        }
        let once = self.rights.iter_mut().filter_map(|right| match right {
            Right::SendOnce(right) => Some(right),
            Right::Send(_) | Right::Receive(_) => None,
        });
        for right in once.chain(&mut self.reply) {
            right.come_inside(within);
        }
    }
}

/// A send right to act on: itself, or what a membrane holds it as.
#[derive(Debug)]
pub(crate) enum Resolved<'a> {
    Plain(&'a SendRight),
    Open(SendRight),
}

impl Deref for Resolved<'_> {
    type Target = SendRight;

    fn deref(&self) -> &SendRight {
        match self {
            Resolved::Plain(right) => right,
            Resolved::Open(right) => right,
        }
    }
}

impl SendRight {
    /// The right to act on. One whose membrane was revoked leads nowhere.
    pub(crate) fn resolve(&self) -> Resolved<'_> {
        let Some(passage) = self.passage() else { return Resolved::Plain(self) };
        if passage.task().check().is_err() {
            return Resolved::Open(SendRight::dead(passage.task()));
        }
        match passage.open() {
            None => Resolved::Open(SendRight::dead(passage.task())),
            // It may have come in through several, one around the other.
            Some(inner) => match inner.passage() {
                None => Resolved::Open(inner),
                Some(_) => match inner.resolve() {
                    Resolved::Open(innermost) => Resolved::Open(innermost),
                    Resolved::Plain(_) => Resolved::Open(SendRight::dead(passage.task())),
                },
            },
        }
    }
}

impl MembraneCore {
    pub(crate) fn is_revoked(&self) -> bool {
        // Nothing is published by it: what it ends is found under the lock.
        self.revoked.load(Ordering::Relaxed)
    }

    /// Everything inside the message's rights that is ours goes out as a facet of
    /// this membrane.
    pub(crate) fn carry_out(self: &Arc<Self>, message: &mut Message) -> Result<Kept, SendFailure> {
        if self.is_revoked() {
            return Err(SendFailure::Revoked);
        }
        if message.rights.iter().any(|right| matches!(right, Right::Receive(_))) {
            return Err(SendFailure::NotWrapped(FacetError::ReceiveRight));
        }
        message.replace_rights(|right| {
            if let Some(passage) = right.passage() {
                // It goes back out as it came in.
                let own = Arc::ptr_eq(&passage.membrane, self);
                return Ok(if own { passage.open() } else { None });
            }
            match self.wrap(right) {
                Ok(wrapped) => Ok(wrapped),
                Err(FacetError::Ended) if self.is_revoked() => Err(SendFailure::Revoked),
                // It leads nowhere, and arrives so; or it is another task's, whose
                // owner alone could wrap it.
                Err(FacetError::Ended | FacetError::NotOwner(_)) => Ok(None),
                Err(error) => Err(SendFailure::NotWrapped(error)),
            }
        })
    }

    /// A facet of this membrane for `right`; `None` where it is one already.
    fn wrap(self: &Arc<Self>, right: &SendRight) -> Result<Option<SendRight>, FacetError> {
        let (port, parent) = match right.settled() {
            Settled::Own(port) => (port, None),
            Settled::Facet(facet) if facet.is_within(self) => return Ok(None),
            Settled::Facet(facet) => (&facet.port, Some(facet)),
            Settled::Import(entry) => return Err(FacetError::NotOwner(entry.link.peer_task())),
            Settled::Joining(join) => return Err(FacetError::NotOwner(join.owner)),
            Settled::Dead => return Err(FacetError::Ended),
        };
        let key = parent.map_or(port.id, |facet| facet.id);
        let mut state = lock(&self.state);
        if self.is_revoked() {
            return Err(FacetError::Ended);
        }
        if let Some(known) = state.outside.get(&key).and_then(Weak::upgrade) {
            return Ok(Some(SendRight::facet(&known)));
        }
        let facet = Facet::new_within(port, parent, &Terms::new(), Some((self, key)))?;
        state.outside.insert(key, Arc::downgrade(&facet));
        Ok(Some(SendRight::facet(&facet)))
    }

    /// Nobody holds the facet made from `key` any more.
    pub(crate) fn forget(&self, key: u64) {
        let mut state = lock(&self.state);
        // Another may have been made meanwhile.
        if state.outside.get(&key).is_some_and(|facet| facet.strong_count() == 0) {
            state.outside.remove(&key);
        }
    }

    /// A right that came in.
    pub(crate) fn hold(self: &Arc<Self>, right: SendRight) -> SendRight {
        let home = matches!(right.settled(), Settled::Facet(facet) if facet.is_within(self));
        if home || (right.passage().is_none() && matches!(right.settled(), Settled::Dead)) {
            return right;
        }
        let id = self.task.next_id();
        let passage =
            |inner| Arc::new(Passage { id, membrane: Arc::clone(self), inner: Mutex::new(inner) });
        let mut state = lock(&self.state);
        if self.is_revoked() {
            drop(state);
            drop(right);
            return SendRight::through(passage(None));
        }
        let passage = passage(Some(right));
        state.held.insert(id, Arc::downgrade(&passage));
        SendRight::through(passage)
    }
}

/// Everything that is reached through one right, to be taken back at once.
///
/// *Out* through the membrane goes what is wrapped in it, and what this task
/// sends in answer to a message that came in through it or on a right that came
/// in through it. Each send right in there to a port of this task is wrapped in
/// the same membrane. *In* comes what is sent on a right wrapped in it, and the
/// answer to a call on a right that came in through it. Each send right in there
/// is held by the membrane. So both sides of a whole graph of objects are inside,
/// however they were come by.
///
/// A receive right passes through no membrane, since what is received from its port
/// would go round it: going out it is refused, with
/// [`SendFailure::NotWrapped`]; coming in its port ends.
///
/// What is not inside: rights to ports of other tasks that go out, which only
/// their owners could take back; send-once rights of this task that go out, each
/// good for its one message; descriptors and bodies; what this task sends on
/// rights that came in some other way. A send-once right that came in is inside:
/// what is sent on it is wrapped, and after a revocation it can only be dropped.
///
/// Dropping a membrane revokes nothing. It costs no descriptor; each port that
/// went out through it counts once against [`crate::limits::FACETS`].
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, SendFailure, Task};
/// let task = Task::current()?;
/// let (counter, inbox) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
/// let membrane = task.membrane();
/// let front = membrane.wrap(&inbox.make_send()?)?;
/// let answers = task.port(Capacity::Bounded(8));
/// let ask = Message::new("a counter, please").with_reply(answers.make_send_once()?);
/// front.send(ask, Deadline::Never)?;
///
/// // The server answers with a right to another port: it is inside too.
/// let mut asked = inbox.receive(Deadline::Never)?;
/// asked.reply(Message::new("").with_right(counter.make_send()?), Deadline::Never)?;
/// let got = answers.receive(Deadline::Never)?.take_rights().remove(0).into_send().unwrap();
/// membrane.revoke();
/// let error = got.send(Message::new("late"), Deadline::Never).unwrap_err();
/// assert_eq!(error.reason, SendFailure::Revoked);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Membrane {
    core: Arc<MembraneCore>,
}

impl Task {
    /// Makes a membrane with nothing inside.
    pub fn membrane(&self) -> Membrane {
        let task = Arc::clone(&self.core);
        let revoked = AtomicBool::new(false);
        Membrane { core: Arc::new(MembraneCore { task, revoked, state: Mutex::default() }) }
    }
}

impl Membrane {
    /// Makes a right to the same port that is inside the membrane. What `right`
    /// permits is permitted, and its badge stays.
    ///
    /// # Rights
    /// Borrows `right`; the new one is this task's.
    ///
    /// # Errors
    /// See [`FacetError`]: [`FacetError::NotOwner`] for a port of another task,
    /// [`FacetError::Ended`] where the membrane is revoked.
    pub fn wrap(&self, right: &SendRight) -> Result<SendRight, FacetError> {
        self.core.task.check().map_err(|_| FacetError::Forked)?;
        if let Some(passage) = right.passage()
            && Arc::ptr_eq(&passage.membrane, &self.core)
        {
            return Ok(right.clone());
        }
        if !Arc::ptr_eq(right.task(), &self.core.task) {
            return Err(FacetError::NotOwner(right.task().id));
        }
        Ok(self.core.wrap(&right.resolve())?.unwrap_or_else(|| right.clone()))
    }

    /// Ends everything inside: from now on nothing that is sent on a right that
    /// went out enters, and nothing can be sent on one that came in. Sends fail
    /// with [`SendFailure::Revoked`] on both sides; see [`crate::Revoker::revoke`]
    /// for what becomes of a message that crosses the news. A send that waits for
    /// room on a right that came in ends, too. Who asked to be told of the death
    /// of such a right is told that the request was dropped.
    ///
    /// # Rights
    /// Those that came in go home to their owners, whoever of this task has them.
    ///
    /// Returns how many send rights were ended: as [`crate::PortStatus`] counts
    /// senders, and one for each that had come in.
    pub fn revoke(&self) -> u64 {
        if self.core.task.check().is_err() {
            return 0;
        }
        let (outside, held) = {
            let state = lock(&self.core.state);
            self.core.revoked.store(true, Ordering::Relaxed);
            let outside: Vec<_> = state.outside.values().filter_map(Weak::upgrade).collect();
            let held: Vec<_> = state.held.values().filter_map(Weak::upgrade).collect();
            (outside, held)
        };
        let mut ended = 0;
        for facet in &outside {
            ended += facet.port.end_facet(facet.id, End::Revoked);
        }
        // Sends that wait for room look again, and are told.
        let mut after = After::default();
        for passage in &held {
            let Some(inner) = lock(&passage.inner).take() else { continue };
            ended += 1;
            match inner.settled() {
                Settled::Own(port) => port.wake_senders(&mut after),
                Settled::Facet(facet) => facet.port.wake_senders(&mut after),
                Settled::Import(_) | Settled::Joining(_) | Settled::Dead => {}
            }
        }
        for link in self.core.task.links().iter() {
            link.wake_waiters(&mut after);
        }
        after.run();
        ended
    }

    /// Whether it was revoked.
    pub fn is_revoked(&self) -> bool {
        self.core.task.check().is_err() || self.core.is_revoked()
    }

    /// How many ports and facets of this task are reachable through it from
    /// outside, and how many rights it holds that came in.
    pub fn reach(&self) -> (usize, usize) {
        let state = lock(&self.core.state);
        (state.outside.len(), state.held.len())
    }
}
