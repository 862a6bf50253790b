//! The general way to a port: its lock.
//!
//! Whoever takes that lock finds the chute shut, and everything and everybody in it in
//! the queue and its lists; nothing but this and the hot path knows of the chute. When
//! the lock is let go and the port is plain, what is in the queue lies in the chute again.
//!
//! To bring over costs a step for each message and each who waits. So the chute is opened
//! when about as many were taken by the general way as are to be brought over: who looks
//! on for ever, and takes nothing, brings each message over once.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use rights::window::Capacity;

use super::chute::{Chute, InChute};
use super::state::{Holder, OwnSender, PortState, Receiver, Wants};
use crate::message::{Letter, Message};
use crate::wait::parking::{Lock, Mutex, MutexGuard, lock};

/// So many are brought over for nothing.
const FEW: u64 = 8;

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

    /// The port, for what leaves its queue and everybody who waits for a message alone.
    pub(super) fn beside_the_queue(&self) -> MutexGuard<'_, PortState> {
        lock(&self.state)
    }

    /// The chute, if there is one.
    pub(super) fn chute(&self) -> Option<&Chute> {
        self.chute.get().map(|chute| &**chute)
    }

    /// The chute, if it is open.
    #[inline]
    pub(super) fn open_chute(&self) -> Option<&Chute> {
        self.chute().filter(|chute| chute.is_open())
    }

    /// Whether the chute is the queue: nothing is ready that does not lie in it.
    #[inline]
    pub(super) fn is_chute(&self) -> bool {
        self.open_chute().is_some()
    }

    /// Whether there may be something to take, but for what waits in the queue of a
    /// chute that is shut.
    #[inline]
    pub(super) fn stirs(&self) -> bool {
        self.chute().is_some_and(|chute| chute.stirs() || !chute.is_open())
    }

    /// How many messages wait.
    pub(super) fn queued(&self, state: &PortState) -> u64 {
        let posted = if state.chute_open { self.chute() } else { None };
        state.queue.len() as u64 + posted.map_or(0, Chute::len)
    }
}

impl Lock for PortLock {
    type Guard<'a> = General<'a>;

    #[inline]
    fn guard(&self) -> General<'_> {
        let mut state = lock(&self.state);
        if state.chute_open
            && let Some(chute) = self.chute()
        {
            state.shut(chute);
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
        self.state.open(chute);
    }
}

impl PortState {
    /// Whether nothing is to be known of the port but the order of its messages and how
    /// many it holds, all are our own task's, and to bring them over was paid for.
    fn is_plain(&self) -> bool {
        self.boards.is_empty()
            && self.alive
            && self.sets.is_empty()
            && self.served.is_none()
            && self.own_asking.is_empty()
            && self.is_paid_for()
            && self.receivers.iter().all(|receiver| receiver.wants == Wants::Any)
            && self.queue.is_plain()
    }

    /// Whether so many were taken since the chute was shut that to open it costs no more.
    fn is_paid_for(&self) -> bool {
        let window = &self.queue.window;
        window.queued() + window.asking() as u64 <= self.taken_since + FEW
    }

    /// Opens the chute of a port that is plain, if all that waits may lie there.
    fn open(&mut self, chute: &Chute) {
        let Capacity::Bounded(places) = self.queue.window.capacity() else { return };
        if self.queue.window.queued() > u64::from(places) {
            // It was made to hold fewer: a chute has places for all that is in it.
            return;
        }
        self.taken_since = 0;
        let line: Vec<_> = self.queue.window.in_turn().collect();
        let may_stand = |holder: &Holder| match holder {
            Holder::Link(..) => false,
            Holder::Own(key) => self.own_waiting.get(key).is_some_and(|own| {
                // One that may come back has nothing that a letter does not keep.
                let may = |message: &Message| message.sequence == 0 && chute.suits(message);
                own.via.is_none() && own.message.as_ref().is_some_and(may)
            }),
        };
        if !line.iter().all(may_stand) {
            return;
        }
        let turns = self.queue.turns();
        let Some(messages) = self.queue.hand_over(|message| chute.suits(message)) else { return };
        let messages = messages.into_iter().map(|mut message| Letter::of(&mut message)).collect();
        let mut contents = InChute { messages, turns, ..InChute::default() };
        for holder in line {
            let Holder::Own(key) = holder else { continue };
            self.queue.window.leave(holder);
            if let Some(OwnSender { message: Some(mut message), waiter, .. }) =
                self.own_waiting.remove(&key)
            {
                contents.line.push_back(((key, waiter), Letter::of(&mut message)));
            }
        }
        contents.receivers = self.receivers.drain(..).map(|receiver| receiver.waiter).collect();
        chute.open(u64::from(places), contents);
        self.chute_open = true;
    }

    /// Shuts the chute: what lies in it lies in the queue then, and who waits there for a
    /// place or a message waits here.
    fn shut(&mut self, chute: &Chute) {
        let contents = chute.shut();
        self.chute_open = false;
        self.taken_since = 0;
        self.queue.go_on_from(contents.turns, self.queue.dropped());
        for letter in contents.messages {
            self.queue.adopt(chute.queued(letter));
        }
        for ((key, waiter), letter) in contents.line {
            self.stand_in_line(key, None, chute.queued(letter), waiter);
        }
        let wants = Wants::Any;
        let receivers = contents.receivers.into_iter();
        self.receivers.extend(receivers.map(|waiter| Receiver { waiter, wants }));
    }
}
