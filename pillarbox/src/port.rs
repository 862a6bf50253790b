//! A port: a queue, and who waits at it.

mod after;
mod asking;
mod chute;
mod coming;
mod counting;
mod ending;
mod entering;
mod facets;
mod general;
mod hot;
mod leaving;
mod many;
mod moving;
mod options;
mod pulse;
mod receive;
mod rendezvous;
mod requests;
mod room;
mod search;
mod served;
mod sets;
mod spilling;
mod standing;
mod state;

use std::sync::{Arc, OnceLock, Weak};

use abi::board::{Life, State};
use abi::frame::ask::{NOW, NOW_AND_LATER};
use abi::frame::{Header, PortStatus};
use abi::{Offence, Slot};
pub use rights::port::Overflow;
use rights::queue::Labelled;
pub use rights::queue::Order;
use rights::window::Arrival;
pub use rights::window::Capacity;

pub(crate) use self::after::After;
pub(crate) use self::general::General;
use self::general::PortLock;
pub(crate) use self::hot::{Near, TURNS};
pub(crate) use self::moving::Unloaded;
pub use self::options::PortOptions;
pub(crate) use self::receive::taken_out;
pub use self::receive::{Part, Short};
pub(crate) use self::search::{Found, Search};
use self::state::{Holder, OnBoard};
pub(crate) use self::state::{PortState, Wants};
use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::error::SendFailure;
use crate::link::Link;
use crate::message::{Message, Notification};
use crate::moving::pack::GoneCell;
use crate::right::{SendOnceRight, SendRight, Sink, WORD};
use crate::special::keep_watcher;
use crate::wait::Waiter;
use crate::wait::parking::lock;

/// What all rights to one port share.
#[derive(Debug)]
pub(crate) struct PortCore {
    pub(crate) id: u64,
    /// Where the task finds it.
    place: Option<Slot>,
    pub(crate) task: Arc<TaskCore>,
    state: PortLock,
    gone: GoneCell,
    /// Drawn when it first goes to another task.
    birth: OnceLock<u64>,
}

impl PortCore {
    pub(crate) fn new(task: &Arc<TaskCore>, options: &PortOptions) -> Arc<Self> {
        let id = task.next_id();
        Arc::new_cyclic(|me| {
            let place = task.check().ok().and_then(|()| task.note_port(me));
            PortCore {
                id,
                place,
                task: Arc::clone(task),
                state: PortLock::new(PortState::new(id, place, options, Weak::clone(&task.me))),
                gone: GoneCell::new(),
                birth: OnceLock::new(),
            }
        })
    }

    // ---- counts --------------------------------------------------------

    #[inline]
    pub(crate) fn add_sender(&self) {
        self.state.beside_the_queue().senders.add();
    }

    #[inline]
    pub(crate) fn remove_sender(&self) {
        let mut after = After::default();
        {
            let mut state = self.state.beside_the_queue();
            let told = state.senders.remove();
            state.tell_no_senders(told, &mut after);
            if state.has_no_senders() {
                self.let_go_of_own(&mut after);
            }
        }
        after.run();
    }

    pub(crate) fn add_once(&self) {
        self.state.beside_the_queue().once += 1;
    }

    /// One more of at most so many that are out or whose message waits.
    pub(crate) fn add_once_below(&self, most: u64) -> bool {
        let mut state = lock(&self.state);
        let may = state.once + (state.queue.len() as u64) < most;
        state.once += u64::from(may);
        may
    }

    pub(crate) fn count_made(&self) {
        self.state.beside_the_queue().senders.make();
    }

    pub(crate) fn make_sends(&self) -> u64 {
        self.state.beside_the_queue().senders.made()
    }

    /// A send-once right to this port has ended, and nothing comes of it.
    pub(crate) fn end_once(&self) {
        self.state.beside_the_queue().promise_ended(self.gone());
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.state.beside_the_queue().alive
    }

    /// Whether it is alive here, or has gone to another task. Who looked up where a
    /// right leads may find here that the port went meanwhile.
    pub(crate) fn is_alive_anywhere(&self) -> bool {
        // In this order: both change under one lock.
        self.is_alive() || self.gone().is_some()
    }

    pub(crate) fn status(&self) -> PortStatus {
        let state = self.state.beside_the_queue();
        PortStatus {
            queued: self.state.queued(&state),
            capacity: match state.queue.window.capacity() {
                Capacity::Rendezvous => 0,
                Capacity::Bounded(places) => u64::from(places),
                Capacity::Unbounded => u64::MAX,
            },
            senders: state.senders.count(),
            dropped: state.queue.dropped(),
        }
    }

    /// Senders in our own space, and send-once rights wherever they are.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state.beside_the_queue();
        let elsewhere = state.boards.len() as u64;
        (state.senders.count().saturating_sub(elsewhere), state.once)
    }

    /// Tells `to` when nobody can send any more; at once only if at least `made`
    /// rights were made.
    pub(crate) fn watch_no_senders(&self, to: SendOnceRight, made: u64) {
        let mut after = After::default();
        let before;
        {
            let mut state = lock(&self.state);
            if state.alive {
                before = state.no_senders.replace(Box::new(to)).map(|before| *before);
                let told = state.senders.arm_since(made);
                state.tell_no_senders(told, &mut after);
            } else {
                before = Some(to);
            }
        }
        drop(before);
        after.run();
    }

    /// Tells `to` when the port is gone.
    pub(crate) fn watch_death(&self, to: SendOnceRight) {
        let mut gone = Vec::new();
        let late = {
            let mut state = lock(&self.state);
            if state.alive {
                gone = keep_watcher(&mut state.dead_name, to);
                None
            } else {
                Some(to)
            }
        };
        drop(gone);
        match (late, self.gone().and_then(|gone| gone.own())) {
            (None, _) => {}
            (Some(to), Some(own)) => own.watch_death(to),
            (Some(to), None) => to.notify(Notification::DeadName),
        }
    }

    // ---- what peers hold -----------------------------------------------

    /// A peer was given its first right to this port. Returns whether the port
    /// still lives; its slot on the board says the same.
    pub(crate) fn joined(&self, link: &Arc<Link>, slot: Slot, via: u64) -> bool {
        let mut state = lock(&self.state);
        if let Some(gone) = self.gone()
            && gone.joined(link, slot, via)
        {
            let board = OnBoard { link: Arc::downgrade(link), slot, came: 0 };
            state.senders.add();
            state.boards.insert((link.number, via), board);
            return true;
        }
        let page = link.own_page();
        let ended = via != self.id && state.facets.rules.ended(via).is_some();
        if !state.alive || ended {
            let state = if state.alive { State::Revoked } else { State::Dead };
            page.set_life(slot.index, Life { generation: slot.generation, state });
            return false;
        }
        state.facets.joined(via, link);
        // The right that is on its way counts while it is ours.
        let alone = state.senders.count() <= 1 && state.boards.is_empty();
        state.senders.add();
        let holder = Holder::Link(link.number, via);
        let window = &mut state.queue.window;
        let grant = if alone { window.join_alone(holder) } else { window.join(holder) };
        page.set_pulses(slot.index, state.queue.pulses.join(holder));
        // The grant first: who sees the slot alive also sees what it may send.
        page.set_grant(slot.index, state.as_granted(grant));
        page.set_life(slot.index, Life { generation: slot.generation, state: State::Live });
        state
            .boards
            .insert((link.number, via), OnBoard { link: Arc::downgrade(link), slot, came: 0 });
        true
    }

    /// A peer holds no right to this port any more.
    pub(crate) fn left(&self, link: &Link, via: u64, after: &mut After) {
        let mut state = lock(&self.state);
        if let Some(gone) = self.gone() {
            let held = state.boards.remove(&(link.number, via)).is_some();
            if held {
                let _ = state.senders.remove();
            }
            let alone = held && state.has_no_senders();
            drop(state);
            gone.left(link, via, after);
            if alone {
                gone.let_go_of_own(after);
            }
            return;
        }
        state.settle_passed();
        // One that has ended has left already.
        if state.boards.remove(&(link.number, via)).is_none() {
            return;
        }
        state.facets.left(via, link);
        state.queue.forget(Holder::Link(link.number, via));
        state.queue.pulses.leave(Holder::Link(link.number, via));
        state.hand_out(self.task.now_ns(), after);
        state.wake_for_word(after);
        let told = state.senders.remove();
        state.tell_no_senders(told, after);
    }

    /// A peer wants a place. Returns whether it must be told at once that there
    /// is none.
    pub(crate) fn ask(
        &self,
        link: &Arc<Link>,
        via: u64,
        question: &Header,
        after: &mut After,
    ) -> bool {
        let holder = Holder::Link(link.number, via);
        let mut state = lock(&self.state);
        if self.gone().is_some() || !state.boards.contains_key(&(link.number, via)) {
            // The board says what has become of it.
            return false;
        }
        let asked_before = state.queue.window.is_asking(holder);
        state.queue.window.ask(holder, question.priority);
        state.hand_out(self.task.now_ns(), after);
        state.note_asking(self.task.now_ns(), after);
        if !state.queue.window.is_asking(holder) {
            return false;
        }
        if question.id == NOW && !asked_before {
            // It asked for no place that it could hand back.
            let _ = state.queue.window.hand_back(holder, 0, true);
        }
        question.id == NOW || question.id == NOW_AND_LATER
    }

    /// A peer hands places back.
    pub(crate) fn hand_back(
        &self,
        link: &Link,
        via: u64,
        places: u64,
        stop: bool,
        after: &mut After,
    ) -> Result<(), Offence> {
        let mut state = lock(&self.state);
        if !state.boards.contains_key(&(link.number, via)) {
            // It crossed the end of the right.
            return Ok(());
        }
        state.queue.window.hand_back(Holder::Link(link.number, via), places, stop)?;
        state.hand_out(self.task.now_ns(), after);
        state.wake_for_word(after);
        Ok(())
    }

    /// Writes off places that were granted and left unused, and what an old owner has
    /// not passed on. Returns when to look again.
    pub(crate) fn expire(&self, now_ns: u64) -> Option<u64> {
        let mut after = After::default();
        let next = {
            let mut state = lock(&self.state);
            state.queue.window.write_off(now_ns);
            state.look_behind(now_ns, &mut after);
            state.hand_out(now_ns, &mut after);
            let next = [state.queue.window.next_expiry(), state.queue.next_look_behind()];
            next.into_iter().flatten().min()
        };
        // Who asks looks again by itself.
        after.watch_nothing();
        after.run();
        next
    }

    /// The time, where anything here depends on it.
    fn now_ns(&self, state: &PortState) -> u64 {
        if state.minds_time() { self.task.now_ns() } else { 0 }
    }

    // ---- messages in -----------------------------------------------------

    /// A message came on a send right of a peer.
    pub(crate) fn arrive(
        &self,
        link: &Link,
        via: u64,
        mut message: Message,
        after: &mut After,
    ) -> Result<(), Offence> {
        let mut state = match self.at_home(link, via, |queue, holder| queue.pass_on(holder)) {
            Ok(state) => state,
            Err(away) => return away.take(link, via, message, after),
        };
        let holder = Holder::Link(link.number, via);
        let now_ns = self.now_ns(&state);
        let admitted = match state.admit(self.id, via, &message, now_ns, after) {
            Ok(admitted) => admitted,
            Err(refusal) => return state.refuse(holder, refusal, message, now_ns, after),
        };
        if via != self.id {
            state.mark(Some(via), &mut message);
        }
        let label = message.label();
        match state.arrive(holder, message, after) {
            Ok(arrival) => {
                match arrival {
                    Arrival::Queue => state.wake_for(label, after),
                    Arrival::Beside => {
                        state.hand_out(now_ns, after);
                        state.note_asking(now_ns, after);
                    }
                }
                state.let_fall(after);
                state.queued(admitted, now_ns, after);
                Ok(())
            }
            Err((offence, message)) => {
                after.drop_later(message);
                Err(offence)
            }
        }
    }

    /// A message or notification came on a send-once right.
    pub(crate) fn arrive_once(&self, mut message: Message, after: &mut After) {
        for ended in message.break_circles(self) {
            after.drop_later(Message::default().with_right(ended));
        }
        let mut state = lock(&self.state);
        state.promise_ended(self.gone());
        if let Some(gone) = self.gone() {
            drop(state);
            gone.arrive_once(message, after);
            return;
        }
        if state.alive {
            let label = message.label();
            state.enter_beyond(message, after);
            state.wake_for(label, after);
            after.tell_pollers_of(&self.task);
        } else {
            after.drop_later(message);
        }
    }

    /// Sends a message of our own task.
    pub(crate) fn send_own(
        &self,
        via: Option<u64>,
        message: Message,
        deadline: Deadline,
    ) -> Result<(), (SendFailure, Message)> {
        let mut after = After::default();
        let entered = {
            let mut state = lock(&self.state);
            let now_ns = self.now_ns(&state);
            state.enter(via, message, now_ns, &mut after)
        };
        after.tell_pollers_of(&self.task);
        after.run();
        match entered {
            Err((SendFailure::Full, message)) if deadline != Deadline::Now => {
                self.send_own_later(via, message, deadline)
            }
            other => other,
        }
    }

    /// The receive right is gone: so is everything that was in the queue.
    fn die(&self) {
        let _ = self.end(false);
    }

    /// The same, but where it is to be done only `unless_bequeathed` and somebody is to
    /// have the receive right: then nothing was done. Returns whether the port is none of ours any more.
    fn end(&self, unless_bequeathed: bool) -> bool {
        let mut after = After::default();
        let sets;
        {
            let mut state = lock(&self.state);
            if self.gone().is_some() {
                return true;
            }
            if unless_bequeathed && state.destroyed.is_some() {
                return false;
            }
            state.alive = false;
            sets = state.leave_sets();
            // Most ports end without a word.
            if !state.queue.holds_nothing() || state.has_who_hears() {
                state.tell_end(&mut after);
            }
        }
        self.task.forget_port(self.place);
        drop(sets);
        after.run();
        true
    }
}

/// The right to receive from a port. There is one per port; dropping it ends
/// the port, unless somebody is to have it then:
/// [`ReceiveRight::notify_destroyed`].
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

    /// The receive right of a port that has ended.
    pub(crate) fn ended(task: &Arc<TaskCore>) -> Self {
        let core = PortCore::new(task, &Capacity::Bounded(1).into());
        core.die();
        ReceiveRight { core }
    }

    pub(crate) fn core(&self) -> &Arc<PortCore> {
        &self.core
    }

    /// Makes a send right to this port.
    ///
    /// # Rights
    /// Makes a send right, which is this task's.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn make_send(&self) -> Result<SendRight, SendFailure> {
        self.core.task.check().map_err(|_| SendFailure::Forked)?;
        self.core.count_made();
        Ok(SendRight::own(&self.core))
    }

    /// Makes a send-once right to this port. What is sent on it, a message or
    /// the news that it was dropped, comes even where the queue is full.
    ///
    /// # Rights
    /// Makes a send-once right, which is this task's.
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
    /// # Rights
    /// Consumes `to`.
    ///
    /// # Errors
    /// [`SendFailure::Forked`] in a forked child.
    pub fn notify_no_senders(&self, to: SendOnceRight) -> Result<(), SendFailure> {
        self.core.task.check().map_err(|_| SendFailure::Forked)?;
        self.core.watch_no_senders(to, 0);
        Ok(())
    }

    /// How full the port is, and how many senders there are: one for each send
    /// right in this task and one for each other task that holds any.
    pub fn status(&self) -> PortStatus {
        // A forked child asks nothing that its parent may have locked.
        if self.core.task.check().is_ok() { self.core.status() } else { PortStatus::default() }
    }

    /// The number this port has in a [`crate::Census`] of its task.
    pub fn id(&self) -> u64 {
        self.core.id
    }
}

impl Drop for ReceiveRight {
    fn drop(&mut self) {
        // In a forked child the port is the parent's, who still has it.
        if self.core.task.check().is_ok() && !self.core.end(true) && !self.core.lives_on() {
            self.core.die();
        }
    }
}
