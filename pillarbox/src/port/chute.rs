//! The chute: what threads of our own task send to a port that is a plain queue.
//!
//! A message that is a body and nothing else, sent within its task, needs nothing of
//! the port but its order and a place. It goes down the chute: its sender holds one
//! short lock at the top, its receiver another at the bottom, and they meet when the
//! receiver has taken all it had. Nobody sleeps at the bottom: who is about to takes the
//! general way, and that shuts the chute. Who finds no place stands in line at the top.
//!
//! *The general way* is the port's lock. Whoever takes that lock finds the chute shut,
//! and what was in it in the queue; nothing else in this crate knows of the chute.
//! When the lock is let go and the queue is plain again, the chute is open again.
//! `rights::chute` has the rules.
//!
//! Locks: the port's, then the bottom, then the top.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rights::chute::{Bottom, Refused, Top};
use rights::window::Capacity;

use super::PortCore;
use super::after::After;
use super::state::{Holder, OwnSender, PortState};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::message::{Identity, Letter, Message};
use crate::wait::parking::{Lock, Mutex, MutexGuard, lock};
use crate::wait::{Spin, Waiter};

/// Who stands in line: the number of its wait, and its thread.
type Standing = (u64, Arc<Waiter>);

/// A value on lines of the cache that nothing else dirties.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// The chute of one port.
///
/// | word     | written by       | says                                         |
/// |----------|------------------|----------------------------------------------|
/// | `sent`   | who holds top    | so many were put in                          |
/// | `taken`  | who holds bottom | so many were taken out                       |
/// | `stands` | who holds top    | somebody stands in line                      |
/// | `open`   | the general way  | whether it is worth a look                   |
///
/// `taken` and `stands` are `SeqCst`: who stands in line says so and looks at `taken`,
/// who takes says so and looks at `stands`. In one order of all four, one of them sees
/// the other, and nobody stands beside a free place. The others are hints: what they
/// hint at is looked at again under its lock.
#[derive(Debug)]
pub(super) struct Chute {
    top: Apart<Mutex<Top<Letter, Standing>>>,
    sent: Apart<AtomicU64>,
    bottom: Apart<Mutex<Bottom<Letter>>>,
    taken: AtomicU64,
    stands: Apart<AtomicBool>,
    open: AtomicBool,
    sender: Identity,
}

impl Chute {
    fn new(sender: Identity) -> Self {
        Chute {
            top: Apart::default(),
            sent: Apart::default(),
            bottom: Apart::default(),
            taken: AtomicU64::new(0),
            stands: Apart::default(),
            open: AtomicBool::new(false),
            sender,
        }
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst) // pairs: chute.line
    }

    /// Whether something lies in it. A hint.
    fn stirs(&self) -> bool {
        self.sent.0.load(Ordering::Relaxed) != self.taken.load(Ordering::Relaxed)
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    fn len(&self) -> u64 {
        let bottom = lock(&self.bottom.0);
        lock(&self.top.0).sent() - bottom.taken()
    }

    /// Puts the body of a message in. On a failure the message is as it was.
    fn post(&self, message: &mut Message) -> Result<(), Refused> {
        let mut top = lock(&self.top.0);
        top.post(|| self.taken(), || Letter::of(message))?;
        // Relaxed: a hint.
        self.sent.0.store(top.sent(), Ordering::Relaxed);
        Ok(())
    }

    /// Stands in line with it, where there is still no place.
    fn stand(&self, key: u64, waiter: &Arc<Waiter>, message: &mut Message) -> Result<(), Refused> {
        let mut top = lock(&self.top.0);
        if !top.is_open() {
            return Err(Refused::Shut);
        }
        top.stand((key, Arc::clone(waiter)), Letter::of(message));
        self.stands.0.store(true, Ordering::SeqCst); // pairs: chute.line
        let admitted = self.admit(&mut top);
        drop(top);
        raise(admitted);
        Ok(())
    }

    /// Lets in who stands in line, as far as there are places.
    fn admit(&self, top: &mut Top<Letter, Standing>) -> Vec<Standing> {
        let admitted = std::iter::from_fn(|| top.admit(|| self.taken())).collect();
        // Relaxed: a hint.
        self.sent.0.store(top.sent(), Ordering::Relaxed);
        if !top.has_line() {
            self.stands.0.store(false, Ordering::SeqCst); // pairs: chute.line
        }
        admitted
    }

    fn stands(&self, key: u64) -> bool {
        lock(&self.top.0).stands(|(one, _)| *one == key)
    }

    /// Leaves the line, if it still stands there.
    fn leave(&self, key: u64) -> Option<Letter> {
        lock(&self.top.0).leave(|(one, _)| *one == key)
    }

    /// Takes the first message.
    fn take(&self) -> Option<Message> {
        let (sequence, letter) = {
            let mut bottom = lock(&self.bottom.0);
            let first = bottom.take().or_else(|| {
                if !self.stirs() {
                    return None;
                }
                bottom.refill(&mut lock(&self.top.0));
                bottom.take()
            })?;
            self.taken.swap(bottom.taken(), Ordering::SeqCst); // pairs: chute.line
            first
        };
        if self.stands.0.load(Ordering::SeqCst) {
            // pairs: chute.line
            let admitted = self.admit(&mut lock(&self.top.0));
            raise(admitted);
        }
        Some(Message { sender: Some(self.sender), sequence, ..letter.into_message() })
    }

    /// Opens it for a queue that is plain.
    fn open(&self, state: &mut PortState) {
        let Capacity::Bounded(places) = state.queue.window.capacity() else { return };
        let mut bottom = lock(&self.bottom.0);
        bottom.open(&mut lock(&self.top.0), u64::from(places), state.queue.turns());
        // Relaxed: a hint.
        self.open.store(true, Ordering::Relaxed);
        state.chute_open = true;
    }

    /// Shuts it: what lies in it lies in the queue then, and who stands in line waits
    /// there for a place.
    fn shut(&self, state: &mut PortState) {
        let (shut, admitted) = {
            let mut bottom = lock(&self.bottom.0);
            let mut top = lock(&self.top.0);
            let admitted = self.admit(&mut top);
            self.open.store(false, Ordering::Relaxed);
            self.stands.0.store(false, Ordering::SeqCst); // pairs: chute.line
            let shut = bottom.shut(&mut top);
            self.taken.store(bottom.taken(), Ordering::SeqCst); // pairs: chute.line
            (shut, admitted)
        };
        state.chute_open = false;
        state.queue.go_on_from(shut.turns, state.queue.dropped());
        for letter in shut.messages {
            state.queue.adopt(Message { sender: Some(self.sender), ..letter.into_message() });
        }
        for ((key, waiter), letter) in shut.line {
            let message = Message { sender: Some(self.sender), ..letter.into_message() };
            state.stand_in_line(key, None, message, waiter);
        }
        raise(admitted);
    }
}

/// Threads that were let in look again. Not one of them is a future: a thread is raised
/// by a word of ours, under any lock.
fn raise(admitted: Vec<Standing>) {
    for (_, waiter) in admitted {
        waiter.raise();
    }
}

/// The lock of a port, and the chute past it, once there is one.
#[derive(Debug)]
pub(crate) struct PortLock {
    state: Mutex<PortState>,
    chute: OnceLock<Box<Chute>>,
}

/// A port by the general way: the chute is shut meanwhile.
#[derive(Debug)]
pub(crate) struct General<'a> {
    state: MutexGuard<'a, PortState>,
    port: &'a PortLock,
}

impl PortLock {
    pub(super) fn new(state: PortState) -> Self {
        PortLock { state: Mutex::new(state), chute: OnceLock::new() }
    }

    /// The port, for what leaves its queue and everybody who waits at it alone.
    pub(super) fn beside_the_queue(&self) -> MutexGuard<'_, PortState> {
        lock(&self.state)
    }

    /// The chute, if it is open.
    fn open_chute(&self) -> Option<&Chute> {
        self.chute.get().map(|chute| &**chute).filter(|chute| chute.is_open())
    }

    /// Whether the chute is the queue: nothing is ready that does not lie in it.
    pub(super) fn is_chute(&self) -> bool {
        self.open_chute().is_some()
    }

    /// Whether there may be something to take, but for what waits in the queue of a
    /// chute that is shut.
    pub(super) fn stirs(&self) -> bool {
        self.chute.get().is_some_and(|chute| chute.stirs() || !chute.is_open())
    }

    /// How many messages wait.
    pub(super) fn queued(&self, state: &PortState) -> u64 {
        let posted = if state.chute_open { self.chute.get() } else { None };
        state.queue.len() as u64 + posted.map_or(0, |chute| chute.len())
    }
}

impl Lock for PortLock {
    type Guard<'a> = General<'a>;

    fn guard(&self) -> General<'_> {
        let mut state = lock(&self.state);
        if state.chute_open
            && let Some(chute) = self.chute.get()
        {
            chute.shut(&mut state);
        }
        General { state, port: self }
    }
}

impl Deref for General<'_> {
    type Target = PortState;

    fn deref(&self) -> &PortState {
        &self.state
    }
}

impl DerefMut for General<'_> {
    fn deref_mut(&mut self) -> &mut PortState {
        &mut self.state
    }
}

impl Drop for General<'_> {
    fn drop(&mut self) {
        // The first message that is sent makes the chute: many ports never see one.
        if !self.state.was_sent_to || !self.state.is_plain() {
            return;
        }
        let sender = || self.state.task.upgrade().map(|task| task.own_identity());
        let chute = match self.port.chute.get() {
            Some(chute) => chute,
            None => match sender() {
                Some(sender) => self.port.chute.get_or_init(|| Box::new(Chute::new(sender))),
                None => return,
            },
        };
        chute.open(&mut self.state);
    }
}

impl PortState {
    /// Whether nothing is to be known of the port but the order of its messages and how
    /// many it holds, and all are our own task's.
    fn is_plain(&self) -> bool {
        self.alive
            && self.boards.is_empty()
            && self.receivers.is_empty()
            && self.sets.is_empty()
            && self.served.is_none()
            && self.own_waiting.is_empty()
            && self.own_asking.is_empty()
            && self.queue.is_plain()
    }

    /// Waits for a place with a message of our own task. What is free is to be handed
    /// out then.
    pub(super) fn stand_in_line(
        &mut self,
        key: u64,
        via: Option<u64>,
        message: Message,
        waiter: Arc<Waiter>,
    ) {
        let priority = message.priority;
        self.own_waiting.insert(key, OwnSender { via, message: Some(message), waiter });
        let _ = self.queue.window.join(Holder::Own(key));
        self.queue.window.ask(Holder::Own(key), priority);
    }
}

/// How many turns who found the chute full lets pass before each look: if it looked at
/// once, it would wake up to one place after the other.
const PAUSE: u32 = 32;

impl PortCore {
    /// Sends a message of our own task down the chute. `None` where the general way is
    /// to be taken, with nothing done. On a failure the message is as it was.
    pub(crate) fn post(
        &self,
        message: &mut Message,
        deadline: Deadline,
    ) -> Option<Result<(), SendFailure>> {
        let chute = self.state.open_chute()?;
        if self.task.check().is_err() || !message.is_letter(&self.task) {
            return None;
        }
        match chute.post(message) {
            Ok(()) => {}
            Err(Refused::Shut) => return None,
            Err(Refused::Full) if deadline == Deadline::Now => return Some(Err(SendFailure::Full)),
            Err(Refused::Full) => return self.post_later(chute, message, deadline),
        }
        if self.task.is_polled() {
            self.task.tell_pollers();
        }
        Some(Ok(()))
    }

    #[cold]
    fn post_later(
        &self,
        chute: &Chute,
        message: &mut Message,
        deadline: Deadline,
    ) -> Option<Result<(), SendFailure>> {
        if look_for_room(&self.task, chute, message, deadline) {
            return Some(Ok(()));
        }
        let key = self.task.next_id();
        chute.stand(key, &Waiter::mine(), message).ok()?;
        // Where the chute is shut meanwhile, it waits on at the queue.
        let mut at_queue = false;
        let entered = self.task.wait(deadline, None, |_| {
            if chute.stands(key) {
                return None;
            }
            let mut state = self.state.beside_the_queue();
            at_queue = state.own_waiting.contains_key(&key);
            if at_queue { state.entered(key, self.task.now_ns()) } else { Some(Ok(())) }
        });
        if entered.is_none()
            && let Some(letter) = chute.leave(key)
        {
            message.body = letter.into_body();
            return Some(Err(SendFailure::Full));
        }
        if !at_queue && matches!(entered, Some(Ok(()))) {
            return Some(Ok(()));
        }
        let mut after = After::default();
        let left = lock(&self.state).withdraw(key, self.task.now_ns(), &mut after);
        after.run();
        let (failure, back) = match (entered, left) {
            (Some(Err((failure, back))), _) => (failure, back),
            (None, Some(back)) => (SendFailure::Full, back),
            (Some(Ok(())) | None, _) => return Some(Ok(())),
        };
        message.body = back.body;
        Some(Err(failure))
    }

    /// Takes what came down the chute.
    pub(super) fn take_posted(&self) -> Option<Message> {
        self.state.open_chute()?.take()
    }
}

/// Looks a bounded while for a place. Returns whether the message is in.
fn look_for_room(
    task: &TaskCore,
    chute: &Chute,
    message: &mut Message,
    deadline: Deadline,
) -> bool {
    let mut spin = Spin::begin(task, deadline);
    while (0..PAUSE).all(|_| spin.turn()) {
        match chute.post(message) {
            Ok(()) => {
                spin.helped();
                return true;
            }
            Err(Refused::Shut) => return false,
            Err(Refused::Full) => {}
        }
    }
    false
}
