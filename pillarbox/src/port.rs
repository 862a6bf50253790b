//! A port: a queue, and who waits at it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use abi::board::{Life, State};
use abi::frame::PortStatus;
use abi::{Offence, Slot};
use rights::port::Port as Queue;
use rights::senders::{NoSenders, Senders};
pub use rights::window::Capacity;
use rights::window::Raise;

use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::{ReceiveError, SendFailure};
use crate::link::Link;
use crate::message::{Message, Notification};
use crate::right::{SendOnceRight, SendRight, Sink};
use crate::wait::parking::lock;
use crate::wait::{Waiter, forget};

/// Whom a place in a queue is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The right one link's peer holds.
    Link(u32),
    /// A thread of our own that waits for a place.
    Own(u64),
}

/// Where a peer's right to the port lies on our board.
#[derive(Debug)]
struct OnBoard {
    link: Weak<Link>,
    slot: Slot,
}

#[derive(Debug)]
struct PortState {
    alive: bool,
    queue: Queue<Message, Holder>,
    receivers: Vec<Arc<Waiter>>,
    senders: Senders,
    once: u64,
    no_senders: Option<SendOnceRight>,
    dead_name: Vec<SendOnceRight>,
    boards: HashMap<u32, OnBoard>,
    own_waiting: HashMap<u64, OwnSender>,
}

#[derive(Debug)]
struct OwnSender {
    granted: u64,
    waiter: Arc<Waiter>,
}

/// What is to be done once the port's lock is let go.
#[derive(Debug, Default)]
#[must_use = "wakes and looks must follow"]
pub(crate) struct After {
    wake: Vec<Arc<Waiter>>,
    looks: Vec<(Arc<Link>, Slot)>,
    fire: Vec<(SendOnceRight, Notification)>,
    dropped: Vec<Message>,
}

impl After {
    pub(crate) fn wake(&mut self, waiter: Arc<Waiter>) {
        self.wake.push(waiter);
    }

    pub(crate) fn drop_later(&mut self, message: Message) {
        self.dropped.push(message);
    }

    pub(crate) fn fire(&mut self, right: SendOnceRight, what: Notification) {
        self.fire.push((right, what));
    }

    pub(crate) fn run(self) {
        for waiter in self.wake {
            waiter.raise();
        }
        for (link, slot) in self.looks {
            link.say_look(slot);
        }
        for (right, what) in self.fire {
            right.notify(what);
        }
        drop(self.dropped);
    }
}

/// What all rights to one port share.
#[derive(Debug)]
pub(crate) struct PortCore {
    pub(crate) id: u64,
    pub(crate) task: Arc<TaskCore>,
    state: Mutex<PortState>,
}

impl PortCore {
    pub(crate) fn new(task: &Arc<TaskCore>, capacity: Capacity) -> Arc<Self> {
        let id = task.next_id();
        let core = Arc::new(PortCore {
            id,
            task: Arc::clone(task),
            state: Mutex::new(PortState {
                alive: true,
                queue: Queue::new(capacity),
                receivers: Vec::new(),
                senders: Senders::default(),
                once: 0,
                no_senders: None,
                dead_name: Vec::new(),
                boards: HashMap::new(),
                own_waiting: HashMap::new(),
            }),
        });
        task.note_port(id, Arc::downgrade(&core));
        core
    }

    // ---- counts --------------------------------------------------------

    pub(crate) fn add_sender(&self) {
        lock(&self.state).senders.add();
    }

    pub(crate) fn remove_sender(&self) {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            let told = state.senders.remove();
            state.tell_no_senders(told, &mut after);
        }
        after.run();
    }

    pub(crate) fn add_once(&self) {
        lock(&self.state).once += 1;
    }

    pub(crate) fn is_alive(&self) -> bool {
        lock(&self.state).alive
    }

    pub(crate) fn status(&self) -> PortStatus {
        let state = lock(&self.state);
        PortStatus {
            queued: state.queue.len() as u64,
            capacity: match state.queue.window.capacity() {
                Capacity::Rendezvous => 0,
                Capacity::Bounded(places) => u64::from(places),
                Capacity::Unbounded => u64::MAX,
            },
            senders: state.senders.count(),
        }
    }

    /// Senders in our own space, and send-once rights wherever they are.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = lock(&self.state);
        let elsewhere = state.boards.len() as u64;
        (state.senders.count().saturating_sub(elsewhere), state.once)
    }

    pub(crate) fn watch_no_senders(&self, to: SendOnceRight) {
        let mut after = After::default();
        let before;
        {
            let mut state = lock(&self.state);
            before = state.no_senders.replace(to);
            let told = state.senders.arm();
            state.tell_no_senders(told, &mut after);
        }
        drop(before);
        after.run();
    }

    /// Tells `to` when the port is gone.
    pub(crate) fn watch_death(&self, to: SendOnceRight) {
        let late = {
            let mut state = lock(&self.state);
            if state.alive {
                state.dead_name.push(to);
                None
            } else {
                Some(to)
            }
        };
        if let Some(to) = late {
            to.notify(Notification::DeadName);
        }
    }

    // ---- what peers hold -----------------------------------------------

    /// A peer was given its first right to this port. Returns whether the port
    /// still lives; its slot on the board says the same.
    pub(crate) fn joined(&self, link: &Arc<Link>, slot: Slot) -> bool {
        let mut state = lock(&self.state);
        let page = link.own_page();
        if !state.alive {
            page.set_life(slot.index, Life { generation: slot.generation, state: State::Dead });
            return false;
        }
        state.senders.add();
        let grant = state.queue.window.join(Holder::Link(link.number));
        // The grant first: who sees the slot alive also sees what it may send.
        page.set_grant(slot.index, grant);
        page.set_life(slot.index, Life { generation: slot.generation, state: State::Live });
        state.boards.insert(link.number, OnBoard { link: Arc::downgrade(link), slot });
        true
    }

    /// A peer holds no right to this port any more.
    pub(crate) fn left(&self, link: &Link, after: &mut After) {
        let mut state = lock(&self.state);
        if state.boards.remove(&link.number).is_none() {
            return;
        }
        state.queue.window.leave(Holder::Link(link.number));
        let mut raises = Vec::new();
        state.queue.window.hand_out(self.task.now_ns(), &mut raises);
        state.apply(raises, after);
        let told = state.senders.remove();
        state.tell_no_senders(told, after);
    }

    /// A peer wants a place. With `now_or_never` it does not wait for one:
    /// returns whether it must be told that there is none.
    pub(crate) fn ask(&self, link: &Arc<Link>, now_or_never: bool, after: &mut After) -> bool {
        let holder = Holder::Link(link.number);
        let mut state = lock(&self.state);
        let mut raises = Vec::new();
        let asked_before = state.queue.window.is_asking(holder);
        state.queue.window.ask(holder);
        state.queue.window.hand_out(self.task.now_ns(), &mut raises);
        let granted = raises.iter().any(|raise| raise.holder == holder);
        state.apply(raises, after);
        if granted {
            return false;
        }
        if now_or_never {
            if !asked_before {
                // It asked for no place that it could hand back.
                let _ = state.queue.window.hand_back(holder, 0, true);
            }
            return true;
        }
        drop(state);
        self.task.watch_window(self);
        false
    }

    /// A peer hands places back.
    pub(crate) fn hand_back(
        &self,
        link: &Link,
        places: u64,
        stop: bool,
        after: &mut After,
    ) -> Result<(), Offence> {
        let mut state = lock(&self.state);
        state.queue.window.hand_back(Holder::Link(link.number), places, stop)?;
        let mut raises = Vec::new();
        state.queue.window.hand_out(self.task.now_ns(), &mut raises);
        state.apply(raises, after);
        Ok(())
    }

    /// Writes off places that were granted and left unused. Returns when to
    /// look again.
    pub(crate) fn expire(&self, now_ns: u64) -> Option<u64> {
        let mut after = After::default();
        let next = {
            let mut state = lock(&self.state);
            let mut raises = Vec::new();
            let next = state.queue.window.expire(now_ns, &mut raises);
            state.apply(raises, &mut after);
            next
        };
        after.run();
        next
    }

    // ---- messages in -----------------------------------------------------

    /// A message came on a send right of a peer.
    pub(crate) fn arrive(
        &self,
        link: &Link,
        message: Message,
        after: &mut After,
    ) -> Result<(), Offence> {
        let mut state = lock(&self.state);
        if !state.alive {
            // It was on its way when the port ended: its rights end with it.
            after.dropped.push(message);
            return Ok(());
        }
        match state.queue.arrive(Holder::Link(link.number), message) {
            Ok(()) => {
                state.wake_one(after);
                Ok(())
            }
            Err((offence, message)) => {
                after.dropped.push(message);
                Err(offence)
            }
        }
    }

    /// A message or notification came on a send-once right.
    pub(crate) fn arrive_once(&self, message: Message, after: &mut After) {
        let mut state = lock(&self.state);
        state.once = state.once.saturating_sub(1);
        if state.alive {
            state.queue.enter_beyond(message);
            state.wake_one(after);
        } else {
            after.dropped.push(message);
        }
    }

    /// Sends a message of our own task.
    pub(crate) fn send_own(
        &self,
        message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        let mut offered = Some(message);
        let mut key = None;
        let sent = self.task.wait(deadline, None, |waiter| {
            let message = offered.take()?;
            match self.try_send_own(message, &mut key, waiter, deadline) {
                Ok(()) => Some(Ok(())),
                Err((Some(failure), message)) => Some(Err((failure, message))),
                Err((None, message)) => {
                    offered = Some(message);
                    None
                }
            }
        });
        if let Some(key) = key {
            self.withdraw(key);
        }
        match (sent, offered) {
            (Some(result), _) => result,
            (None, Some(message)) => Err((SendFailure::Full, message)),
            // `look` puts the message back whenever it finds nothing.
            (None, None) => Ok(()),
        }
    }

    fn try_send_own(
        &self,
        message: Message,
        key: &mut Option<u64>,
        waiter: &Arc<Waiter>,
        deadline: Deadline,
    ) -> Result<(), (Option<SendFailure>, Message)> {
        let mut after = After::default();
        let result = {
            let mut state = lock(&self.state);
            state.offer(message, key, waiter, deadline, &self.task, &mut after)
        };
        after.run();
        result
    }

    fn withdraw(&self, key: u64) {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            state.own_waiting.remove(&key);
            state.queue.window.leave(Holder::Own(key));
            let mut raises = Vec::new();
            state.queue.window.hand_out(self.task.now_ns(), &mut raises);
            state.apply(raises, &mut after);
        }
        after.run();
    }

    // ---- messages out ----------------------------------------------------

    fn poll_receive(&self, waiter: &Arc<Waiter>, waiting: &mut bool) -> Option<Message> {
        let mut after = After::default();
        let taken = {
            let mut state = lock(&self.state);
            let mut raises = Vec::new();
            let taken = state.queue.take(self.task.now_ns(), &mut raises);
            match (&taken, *waiting) {
                (Some(_), true) => {
                    *waiting = false;
                    forget(&mut state.receivers, waiter);
                    state.note_receivers(self.task.now_ns(), &mut raises);
                }
                (None, false) => {
                    *waiting = true;
                    state.receivers.push(Arc::clone(waiter));
                    state.note_receivers(self.task.now_ns(), &mut raises);
                }
                (Some(_), false) | (None, true) => {}
            }
            if taken.is_some() && !state.queue.is_empty() {
                state.wake_one(&mut after);
            }
            state.apply(raises, &mut after);
            taken
        };
        after.run();
        taken.map(|(sequence, mut message)| {
            message.sequence = sequence;
            message.charge = None;
            message
        })
    }

    fn stop_receiving(&self, waiter: &Arc<Waiter>) {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            forget(&mut state.receivers, waiter);
            let mut raises = Vec::new();
            state.note_receivers(self.task.now_ns(), &mut raises);
            state.apply(raises, &mut after);
            // A wake meant for us goes to the next.
            if !state.queue.is_empty() {
                state.wake_one(&mut after);
            }
        }
        after.run();
    }

    /// The receive right is gone: so is everything that was in the queue.
    fn die(&self) {
        let mut after = After::default();
        {
            let mut state = lock(&self.state);
            state.alive = false;
            after.dropped.extend(state.queue.drain());
            for place in state.boards.values() {
                let Some(link) = place.link.upgrade() else { continue };
                let life = Life { generation: place.slot.generation, state: State::Dead };
                link.own_page().set_life(place.slot.index, life);
                link.own_page().bump_change();
                after.looks.push((link, place.slot));
            }
            for (_, own) in state.own_waiting.drain() {
                after.wake.push(own.waiter);
            }
            for watcher in state.dead_name.drain(..) {
                after.fire.push((watcher, Notification::DeadName));
            }
            after
                .fire
                .extend(state.no_senders.take().map(|to| (to, Notification::SendOnceDropped)));
        }
        self.task.forget_port(self.id);
        after.run();
    }
}

impl PortState {
    fn offer(
        &mut self,
        message: Message,
        key: &mut Option<u64>,
        waiter: &Arc<Waiter>,
        deadline: Deadline,
        task: &TaskCore,
        after: &mut After,
    ) -> Result<(), (Option<SendFailure>, Message)> {
        if !self.alive {
            return Err((Some(SendFailure::Dead), message));
        }
        let Some(own) = *key else {
            return match self.queue.enter(message) {
                Ok(()) => {
                    self.wake_one(after);
                    Ok(())
                }
                Err(message) if deadline == Deadline::Now => {
                    Err((Some(SendFailure::Full), message))
                }
                Err(message) => {
                    let new = task.next_id();
                    *key = Some(new);
                    let granted = self.queue.window.join(Holder::Own(new));
                    let own = OwnSender { granted, waiter: Arc::clone(waiter) };
                    self.own_waiting.insert(new, own);
                    self.queue.window.ask(Holder::Own(new));
                    let mut raises = Vec::new();
                    self.queue.window.hand_out(task.now_ns(), &mut raises);
                    self.apply(raises, after);
                    // Granted at once or not: the next look decides.
                    waiter.raise();
                    Err((None, message))
                }
            };
        };
        if self.own_waiting.get(&own).is_none_or(|waiting| waiting.granted == 0) {
            return Err((None, message));
        }
        match self.queue.arrive(Holder::Own(own), message) {
            Ok(()) => {
                self.wake_one(after);
                Ok(())
            }
            Err((_, message)) => Err((None, message)),
        }
    }

    fn apply(&mut self, raises: Vec<Raise<Holder>>, after: &mut After) {
        for raise in raises {
            match raise.holder {
                Holder::Link(number) => {
                    let Some(place) = self.boards.get(&number) else { continue };
                    let Some(link) = place.link.upgrade() else { continue };
                    link.own_page().set_grant(place.slot.index, raise.grant);
                    if raise.asked {
                        after.looks.push((link, place.slot));
                    }
                }
                Holder::Own(key) => {
                    let Some(own) = self.own_waiting.get_mut(&key) else { continue };
                    own.granted = raise.grant;
                    after.wake.push(Arc::clone(&own.waiter));
                }
            }
        }
    }

    fn wake_one(&self, after: &mut After) {
        after.wake.extend(self.receivers.first().cloned());
    }

    fn note_receivers(&mut self, now_ns: u64, raises: &mut Vec<Raise<Holder>>) {
        if self.queue.window.capacity() == Capacity::Rendezvous {
            self.queue.window.set_receivers(self.receivers.len() as u64);
            self.queue.window.hand_out(now_ns, raises);
        }
    }

    fn tell_no_senders(&mut self, told: NoSenders, after: &mut After) {
        match told {
            NoSenders::Quiet => {}
            NoSenders::Fires => {
                after.fire.extend(self.no_senders.take().map(|to| (to, Notification::NoSenders)));
            }
        }
    }
}

/// The right to receive from a port. There is one per port; dropping it ends
/// the port.
///
/// # Examples
/// ```
/// use pillarbox::{Capacity, Deadline, Message, Task};
/// let inbox = Task::current()?.port(Capacity::Bounded(8));
/// inbox.make_send()?.send(Message::new("hello"), Deadline::Never)?;
/// assert_eq!(inbox.receive(Deadline::Never)?.body(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReceiveRight {
    core: Arc<PortCore>,
}

impl ReceiveRight {
    pub(crate) fn new(core: Arc<PortCore>) -> Self {
        ReceiveRight { core }
    }

    /// Takes the next message.
    ///
    /// Messages of one sender come in the order it sent them. Several threads
    /// may receive from one port; each message goes to one of them.
    ///
    /// # Rights
    /// Every right in the message is now this task's.
    ///
    /// # Errors
    /// [`ReceiveError::Deadline`] where none came in time,
    /// [`ReceiveError::Forked`] in a forked child.
    ///
    /// # Blocking
    /// Sleeps until a message comes, at most until `deadline`. With
    /// [`Deadline::Now`] it looks once.
    pub fn receive(&self, deadline: Deadline) -> Result<Message, ReceiveError> {
        self.core.task.check().map_err(|_| ReceiveError::Forked)?;
        let mut waiting = false;
        let found = self
            .core
            .task
            .wait(deadline, None, |waiter| self.core.poll_receive(waiter, &mut waiting));
        if waiting {
            self.core.stop_receiving(&Waiter::mine());
        }
        found.ok_or(ReceiveError::Deadline)
    }

    /// Makes a send right to this port.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn make_send(&self) -> Result<SendRight, SendFailure> {
        self.core.task.check().map_err(|_| SendFailure::Forked)?;
        Ok(SendRight::own(&self.core))
    }

    /// Makes a send-once right to this port. What is sent on it, a message or
    /// the news that it was dropped, comes even where the queue is full.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn make_send_once(&self) -> Result<SendOnceRight, SendFailure> {
        self.core.task.check().map_err(|_| SendFailure::Forked)?;
        self.core.add_once();
        Ok(SendOnceRight::own(Sink::Port(Arc::clone(&self.core))))
    }

    /// Tells `to` once nobody can send to this port any more; at once where that
    /// is so already. Replaces an earlier request, whose right is dropped.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn notify_no_senders(&self, to: SendOnceRight) -> Result<(), SendFailure> {
        self.core.task.check().map_err(|_| SendFailure::Forked)?;
        self.core.watch_no_senders(to);
        Ok(())
    }

    /// How full the port is, and how many senders there are: one for each send
    /// right in this task and one for each other task that holds any.
    pub fn status(&self) -> PortStatus {
        self.core.status()
    }

    /// The number this port has in a [`crate::Census`] of its task.
    pub fn id(&self) -> u64 {
        self.core.id
    }
}

impl Drop for ReceiveRight {
    fn drop(&mut self) {
        // In a forked child the port is the parent's, who still has it.
        if self.core.task.check().is_ok() {
            self.core.die();
        }
    }
}
