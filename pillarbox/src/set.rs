//! Port sets: receiving from any of many ports.
//!
//! A port that has something to take puts itself on the list of each of its
//! sets, once. Whoever receives from the set takes the port whose turn it is, and
//! one message from it. Lock order: a port, then a set; nothing is done under a
//! set's lock but to look at its lists.

mod hot;
mod within;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use rights::ready::Ready;

pub use self::within::SetReceiveError;
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::ReceiveError;
use crate::message::Message;
use crate::port::{After, PortCore, ReceiveRight};
use crate::task::Task;
use crate::wait::Waiter;
use crate::wait::parking::{Mutex, lock};

/// What all who receive from one set share.
#[derive(Debug)]
pub(crate) struct SetCore {
    pub(crate) task: Arc<TaskCore>,
    state: Mutex<SetState>,
}

#[derive(Debug, Default)]
struct SetState {
    ready: Ready<u64>,
    ports: HashMap<u64, Weak<PortCore>>,
    waiting: Vec<Standing>,
    /// Nobody waits here any more.
    closed: bool,
}

/// Somebody who waits at the set, and the ports it is a receiver of meanwhile:
/// those without a queue whose senders ask for one.
#[derive(Debug)]
struct Standing {
    waiter: Arc<Waiter>,
    attends: HashSet<u64>,
}

/// What one finds at a member.
#[derive(Debug)]
pub(crate) enum Visit {
    /// A message.
    Taken(Box<Message>),
    /// One that is longer than there is room for. It is still there.
    TooLong(usize),
    /// Senders that ask for more receivers than there are.
    Asked,
    /// Nothing any more.
    Nothing,
}

/// Whether one receives at a port while it waits at the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attends {
    /// From now on.
    Anew,
    /// It did so before, or does not wait.
    Before,
}

impl SetState {
    fn place(&self, waiter: &Arc<Waiter>) -> Option<usize> {
        self.waiting.iter().rposition(|one| Arc::ptr_eq(&one.waiter, waiter))
    }

    /// Wakes the first who waits.
    fn wake(&self, after: &mut After) {
        let told = |one: &&Standing| !one.waiter.is_told();
        // A future that was told and is not polled keeps nobody else asleep.
        let next = self.waiting.iter().find(told).or(self.waiting.first());
        if let Some(next) = next {
            after.wake(Arc::clone(&next.waiter));
        }
    }
}

impl SetCore {
    // ---- by a port, under its lock -------------------------------------------

    /// The port is a member from now on.
    pub(crate) fn admit(&self, port: &Arc<PortCore>) {
        let mut state = lock(&self.state);
        if state.ready.add(port.id) {
            state.ports.insert(port.id, Arc::downgrade(port));
        }
    }

    /// The port is no member any more. Returns who attended to it from here.
    #[must_use = "they are no receivers of the port any more"]
    pub(crate) fn forget(&self, port: u64) -> Vec<Arc<Waiter>> {
        let mut state = lock(&self.state);
        let _ = state.ready.remove(port);
        state.ports.remove(&port);
        let attending = state.waiting.iter_mut().filter_map(|one| {
            let did = one.attends.remove(&port);
            did.then(|| Arc::clone(&one.waiter))
        });
        attending.collect()
    }

    /// How many wait here.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.state).waiting.len()
    }

    /// The port has something to take.
    pub(crate) fn note(&self, port: u64, after: &mut After) {
        let mut state = lock(&self.state);
        if state.ready.note(port) {
            state.wake(after);
        }
    }

    /// One who waits here and does not attend to the port yet, and does now.
    pub(crate) fn attendant(&self, port: u64) -> Option<Arc<Waiter>> {
        let mut state = lock(&self.state);
        let free = state.waiting.iter_mut().find(|one| !one.attends.contains(&port))?;
        free.attends.insert(port);
        Some(Arc::clone(&free.waiter))
    }

    /// This one attends to the port, if it waits here.
    pub(crate) fn attend(&self, port: u64, waiter: &Arc<Waiter>) -> Attends {
        let mut state = lock(&self.state);
        let Some(place) = state.place(waiter) else { return Attends::Before };
        let anew = state.waiting.get_mut(place).is_some_and(|one| one.attends.insert(port));
        if anew { Attends::Anew } else { Attends::Before }
    }

    // ---- by who receives -----------------------------------------------------

    /// Takes a message of the member whose turn it is, or waits here. `waiting`
    /// says whether this one does.
    pub(crate) fn poll_receive(
        self: &Arc<Self>,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Option<Result<(Member, Message), ReceiveError>> {
        let taken = self.poll_within(usize::MAX, waiter, waiting)?;
        Some(taken.map_err(ReceiveError::from))
    }

    /// The same for a buffer of `room` bytes.
    pub(crate) fn poll_within(
        self: &Arc<Self>,
        room: usize,
        waiter: &Arc<Waiter>,
        waiting: &mut bool,
    ) -> Option<Result<(Member, Message), SetReceiveError>> {
        let closed = {
            let mut state = lock(&self.state);
            if !state.closed && !std::mem::replace(waiting, true) {
                let one = Standing { waiter: Arc::clone(waiter), attends: HashSet::new() };
                state.waiting.push(one);
            }
            state.closed
        };
        if closed {
            if std::mem::take(waiting) {
                self.leave(waiter, false);
            }
            return Some(Err(SetReceiveError::Closed));
        }
        let mut asked = Vec::new();
        let mut found = None;
        while found.is_none() {
            let (member, port) = {
                let mut state = lock(&self.state);
                let Some(member) = state.ready.turn() else { break };
                (member, state.ports.get(&member).and_then(Weak::upgrade))
            };
            match port.map(|port| port.visit(self, waiter, room)) {
                Some(Visit::Taken(message)) => found = Some(Ok((Member(member), *message))),
                Some(Visit::TooLong(bytes)) => {
                    found = Some(Err(SetReceiveError::TooLong { member: Member(member), bytes }));
                }
                // We do what we can. Who comes next may do more.
                Some(Visit::Asked) => asked.push(member),
                Some(Visit::Nothing) | None => {}
            }
        }
        if !asked.is_empty() {
            let mut state = lock(&self.state);
            for member in asked {
                let _ = state.ready.note(member);
            }
        }
        if found.is_some() {
            *waiting = false;
            self.leave(waiter, false);
        }
        found
    }

    /// Waits no more. With `wanted` it takes what came meanwhile to a port it
    /// attended to.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>, wanted: bool) -> Option<(Member, Message)> {
        let attended: Vec<(u64, Arc<PortCore>)> = {
            let mut state = lock(&self.state);
            let place = state.place(waiter)?;
            let one = state.waiting.remove(place);
            let port = |id: u64| Some((id, state.ports.get(&id)?.upgrade()?));
            one.attends.into_iter().filter_map(port).collect()
        };
        let mut found = None;
        for (id, port) in attended {
            let taken = port.unattend(waiter, wanted && found.is_none());
            found = found.or(taken.map(|message| (Member(id), message)));
        }
        let mut after = After::default();
        {
            let state = lock(&self.state);
            if state.ready.waiting() > 0 {
                state.wake(&mut after);
            }
        }
        after.run();
        found
    }

    fn receive(self: &Arc<Self>, deadline: Deadline) -> Result<(Member, Message), ReceiveError> {
        self.task.check().map_err(|_| ReceiveError::Forked)?;
        if let Some(came) = self.receive_awake(usize::MAX, deadline) {
            return Ok(came);
        }
        let (waiting, found) = shm::jump::held(
            false,
            |waiting| self.jumped(waiting),
            |waiting| self.task.wait(deadline, None, |waiter| self.poll_receive(waiter, waiting)),
        );
        let found = match found {
            // What came since the last look is still ours to take.
            None if waiting => self.leave(&Waiter::mine(), true).map(Ok),
            found => found,
        };
        found.unwrap_or(Err(ReceiveError::Deadline))
    }
}

/// A member of a port set: which port a message came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member(u64);

impl Member {
    /// The port, as [`ReceiveRight::id`] names it.
    pub const fn port(self) -> u64 {
        self.0
    }
}

impl From<&ReceiveRight> for Member {
    fn from(right: &ReceiveRight) -> Self {
        Member(right.id())
    }
}

/// Why a port did not become a member of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The port belongs to another task than the set.
    #[error("the port belongs to another task than the set")]
    OtherTask,
    /// The port is in as many sets as a port may be.
    #[error("the port is in {limit} sets, which is the limit", limit = abi::limits::PORT_SETS)]
    TooManySets,
    /// The set belongs to the process this one was forked from.
    #[error("the set belongs to the parent of this process")]
    Forked,
}

/// How a set is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetStatus {
    /// How many members there are.
    pub members: usize,
    /// How many of them have something to take, or senders that ask for a
    /// receiver.
    pub ready: usize,
    /// How many members were looked at so far: what receiving has cost.
    pub visits: u64,
}

/// A set of ports, to receive from whichever has a message.
///
/// The members take turns: each receive takes one message from the member whose
/// turn it is among those that have any, so one that is flooded keeps none of the
/// others waiting for more than a round. What a receive costs does not depend on
/// how many members have nothing. A set costs no descriptor.
///
/// Members come and go while others wait at the set, and a port may be in several
/// sets. A port that ends leaves all of its sets without a word; a set without
/// members is waited at as any other. A member may be received from directly, too
/// (Mach's own port sets forbid that in their first version, and allow it in
/// their second): each message goes to one of those who look.
///
/// To a port without a queue, a waiting receiver of its set is a receiver while
/// senders ask for one. If it is given something else meanwhile, what they send
/// waits for the next, as where a receiver of the port itself leaves.
///
/// Dropping the set ends no port.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, Task};
/// let task = Task::current()?;
/// let (orders, news) = (task.port(Capacity::Bounded(8)), task.port(Capacity::Bounded(8)));
/// let set = task.port_set();
/// let from_orders = set.add(&orders)?;
/// let _ = set.add(&news)?;
/// orders.make_send()?.send(Message::new("tea"), Deadline::Never)?;
/// let (member, message) = set.receive(Deadline::Never)?;
/// assert_eq!((member, message.body()), (from_orders, &b"tea"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PortSet {
    core: Arc<SetCore>,
}

impl Task {
    /// Makes an empty port set.
    pub fn port_set(&self) -> PortSet {
        let task = Arc::clone(&self.core);
        PortSet { core: Arc::new(SetCore { task, state: Mutex::default() }) }
    }
}

impl PortSet {
    pub(crate) fn core(&self) -> &Arc<SetCore> {
        &self.core
    }

    /// Makes the port a member. What waits there is received from here on. One
    /// that is a member stays one.
    ///
    /// # Rights
    /// Borrows the receive right: it stays the caller's, and the port ends when it
    /// is dropped.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn add(&self, port: &ReceiveRight) -> Result<Member, SetError> {
        self.core.task.check().map_err(|_| SetError::Forked)?;
        if !Arc::ptr_eq(&self.core.task, &port.core().task) {
            return Err(SetError::OtherTask);
        }
        port.core().join_set(&self.core)?;
        Ok(Member(port.id()))
    }

    /// Takes a member out of the set. What waits there stays there. Returns
    /// whether it was a member; a port that has ended is none.
    pub fn remove(&self, member: Member) -> bool {
        if self.core.task.check().is_err() {
            return false;
        }
        let port = lock(&self.core.state).ports.get(&member.0).and_then(Weak::upgrade);
        port.is_some_and(|port| port.leave_set(&self.core))
    }

    /// Takes the next message of the member whose turn it is, and says which that
    /// was. Messages of one member come as they would from the port itself.
    /// Several threads may receive from one set; each message goes to one of them.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// [`ReceiveError::Deadline`] where none came in time,
    /// [`ReceiveError::Closed`] once the set is closed, [`ReceiveError::Forked`] in a
    /// forked child.
    ///
    /// # Blocking
    /// Sleeps until a member has a message, at most until `deadline`. With
    /// [`Deadline::Now`] it looks once.
    pub fn receive(&self, deadline: Deadline) -> Result<(Member, Message), ReceiveError> {
        self.core.receive(deadline)
    }

    /// How many members there are, how many are ready, and what receiving has
    /// cost.
    pub fn status(&self) -> SetStatus {
        if self.core.task.check().is_err() {
            return SetStatus::default();
        }
        let state = lock(&self.core.state);
        SetStatus {
            members: state.ready.len(),
            ready: state.ready.waiting(),
            visits: state.ready.steps(),
        }
    }
}

impl Drop for PortSet {
    fn drop(&mut self) {
        if self.core.task.check().is_err() {
            return;
        }
        let ports: Vec<_> = lock(&self.core.state).ports.values().cloned().collect();
        for port in ports.iter().filter_map(Weak::upgrade) {
            let _ = port.leave_set(&self.core);
        }
    }
}
