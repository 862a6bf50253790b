//! Events: what is to be done somewhere when something happens, and the timers that
//! make things happen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pillarbox::{Deadline, SendRight, TaskId};

use crate::clerk::{self, Request};
use crate::codes::{EAGAIN, EBADF, EINVAL, ENOTSUP, EPERM, ESRCH, Errno, SIDE_CHANNEL};
use crate::letter::{long, word};
use crate::{edge, thread, with};

/// Bytes of a `struct sigevent`.
pub(crate) const BYTES: usize = 64;

/// The most events that are registered at once, and the most timers.
const MOST: usize = 4096;

/// Kinds of events. The first two are what the system's headers call them.
pub(crate) mod kind {
    pub(crate) const SIGNAL: u32 = 0;
    pub(crate) const NONE: u32 = 1;
    pub(crate) const THREAD: u32 = 2;
    pub(crate) const PULSE: u32 = 0x100;
    pub(crate) const UNBLOCK: u32 = 0x101;
    pub(crate) const SIGNAL_CODE: u32 = 0x103;
    pub(crate) const SIGNAL_THREAD: u32 = 0x104;
    /// One that was registered, by its number.
    pub(crate) const REGISTERED: u32 = 0x200;
    /// The kind is below these flags.
    pub(crate) const MASK: u32 = 0xffff;
    /// A server may change the value.
    pub(crate) const UPDATEABLE: u32 = 0x1_0000;
}

/// An event, as bytes of C. What is not ours is carried as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    bytes: [u8; BYTES],
}

impl Event {
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        Some(Event { bytes: bytes.try_into().ok()? })
    }

    pub(crate) fn bytes(&self) -> [u8; BYTES] {
        self.bytes
    }

    pub(crate) fn kind(&self) -> u32 {
        word(&self.bytes, 12) & kind::MASK
    }

    fn is_updateable(&self) -> bool {
        word(&self.bytes, 12) & kind::UPDATEABLE != 0
    }

    pub(crate) fn value(&self) -> u64 {
        long(&self.bytes, 0)
    }

    /// The number of a signal, a connection, or what was registered.
    pub(crate) fn number(&self) -> i32 {
        word(&self.bytes, 8) as i32
    }

    fn code(&self) -> i32 {
        i32::from(word(&self.bytes, 16) as u16 as i16)
    }

    fn priority(&self) -> i32 {
        i32::from((word(&self.bytes, 16) >> 16) as u16 as i16)
    }

    fn with_value(mut self, value: u64) -> Self {
        let to = self.bytes.iter_mut().zip(value.to_ne_bytes());
        to.for_each(|(to, byte)| *to = byte);
        self
    }

    /// The event that stands for this one once it is registered.
    fn as_registered(mut self, number: i32) -> Self {
        let flags = word(&self.bytes, 12) & !kind::MASK | kind::REGISTERED;
        let words = number.to_ne_bytes().into_iter().chain(flags.to_ne_bytes());
        self.bytes.iter_mut().skip(8).zip(words).for_each(|(to, byte)| *to = byte);
        self
    }

    /// Whether such an event can be delivered at all.
    pub(crate) fn check(&self) -> Result<(), Errno> {
        match self.kind() {
            kind::NONE | kind::UNBLOCK => Ok(()),
            kind::PULSE if (-128..=127).contains(&self.code()) => Ok(()),
            kind::SIGNAL | kind::SIGNAL_CODE | kind::SIGNAL_THREAD
                if (1..=64).contains(&self.number()) =>
            {
                Ok(())
            }
            kind::REGISTERED => Ok(()),
            kind::THREAD => Err(ENOTSUP),
            _ => Err(EINVAL),
        }
    }
}

/// Does here what an event says.
fn deliver_here(event: &Event) -> Result<(), Errno> {
    event.check()?;
    match event.kind() {
        kind::PULSE => {
            let connection = with(|space| space.connection(event.number())).ok_or(EBADF)?;
            connection.pulse(event.priority(), event.code(), event.value())
        }
        kind::SIGNAL => edge::signal(event.number(), None),
        kind::SIGNAL_CODE | kind::SIGNAL_THREAD => {
            edge::signal(event.number(), Some(event.value()))
        }
        kind::REGISTERED => Err(EINVAL),
        _ => Ok(()),
    }
}

/// An event that was registered, and who may deliver it.
#[derive(Clone, Copy, Debug)]
struct Registered {
    event: Event,
    /// The connection with the only server that may; none for any.
    server: Option<i32>,
}

/// All that are registered, by number. Numbers are not used again soon: an old one is
/// nobody's.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    last: i32,
    events: BTreeMap<i32, Registered>,
}

impl Registry {
    fn add(&mut self, registered: Registered) -> Result<i32, Errno> {
        if self.events.len() >= MOST {
            return Err(EAGAIN);
        }
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.events.contains_key(&self.last) {
                self.events.insert(self.last, registered);
                return Ok(self.last);
            }
        }
    }
}

/// Has an event delivered only by the server behind a connection. Returns what stands
/// for it.
pub(crate) fn register(event: &Event, coid: i32) -> Result<Event, Errno> {
    event.check()?;
    let server = match coid {
        -1 | SIDE_CHANNEL => None,
        coid => {
            with(|space| space.connection(coid)).ok_or(EBADF)?;
            Some(coid)
        }
    };
    let number = with(|space| space.registered.add(Registered { event: *event, server }))?;
    Ok(event.as_registered(number))
}

/// Lets a registered event go.
pub(crate) fn unregister(event: &Event) -> Result<(), Errno> {
    if event.kind() != kind::REGISTERED {
        return Err(EINVAL);
    }
    let removed = with(|space| space.registered.events.remove(&event.number()));
    removed.map(drop).ok_or(EINVAL)
}

/// Whether another process may have us do this with no word of ours before: signals that
/// a program can heed, and pulses to channels of our own. To others it may send them
/// itself, if it may.
fn may_be_asked(event: &Event) -> Result<(), Errno> {
    match event.kind() {
        kind::PULSE => {
            let connection = with(|space| space.connection(event.number())).ok_or(EBADF)?;
            if connection.is_own() { Ok(()) } else { Err(EPERM) }
        }
        _ if matches!(event.number(), libc::SIGKILL | libc::SIGSTOP) => Err(EPERM),
        _ => Ok(()),
    }
}

/// Does what an event says that a task has sent.
pub(crate) fn deliver_from(event: &Event, from: TaskId) -> Result<(), Errno> {
    if event.kind() != kind::REGISTERED {
        if with(|space| !space.is_own(from)) {
            may_be_asked(event)?;
        }
        return deliver_here(event);
    }
    let known = with(|space| space.registered.events.get(&event.number()).copied());
    let known = known.ok_or(EINVAL)?;
    if let Some(coid) = known.server {
        let connection = with(|space| space.connection(coid)).ok_or(EBADF)?;
        if !connection.is_served_by(from) {
            return Err(EPERM);
        }
    }
    let value = if known.event.is_updateable() { event.value() } else { known.event.value() };
    deliver_here(&known.event.with_value(value))
}

/// Who hears of an event for the client a request was of; this process itself for 0.
fn hearer(rcvid: i32) -> Result<Option<SendRight>, Errno> {
    if rcvid == 0 {
        return Ok(None);
    }
    with(|space| {
        let held = space.held.get(&rcvid).ok_or(ESRCH)?;
        let client = space.clients.get(&held.scoid).ok_or(ESRCH)?;
        match &client.clerk {
            _ if client.is_gone() => Err(ESRCH),
            Some(clerk) if clerk.is_dead() => Err(ESRCH),
            Some(clerk) => Ok(Some(clerk.clone())),
            None if space.is_own(client.who.task) => Ok(None),
            // Who gave no clerk to attach with hears of nothing.
            None => Err(ESRCH),
        }
    })
}

/// Whether an event could be sent to a client.
pub(crate) fn verify(rcvid: i32, event: &Event) -> Result<(), Errno> {
    event.check()?;
    hearer(rcvid).map(drop)
}

/// Sends an event to the client a request was of; for 0 it is this process's own.
pub(crate) fn deliver(rcvid: i32, event: &Event) -> Result<(), Errno> {
    event.check()?;
    match hearer(rcvid)? {
        None => deliver_from(event, with(|space| space.identity().task)),
        Some(clerk) => {
            clerk::tell(&clerk, &Request::Deliver { event: *event });
            Ok(())
        }
    }
}

// ---- timers ------------------------------------------------------------------------

/// A timer that sends an event.
#[derive(Debug)]
struct Timer {
    event: Event,
    due: Option<Instant>,
    every: Option<Duration>,
    priority: u16,
    clock: i32,
}

/// All timers, by number.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    last: u64,
    timers: BTreeMap<u64, Timer>,
}

fn timers<R>(act: impl FnOnce(&mut u64, &mut BTreeMap<u64, Timer>) -> R) -> R {
    with(|space| act(&mut space.timers.last, &mut space.timers.timers))
}

/// Makes a timer, which is not running. Returns its number.
pub(crate) fn new_timer(clock: i32, event: &Event) -> Result<u64, Errno> {
    event.check()?;
    clerk::ensure().ok_or(EAGAIN)?;
    let priority = thread::own_priority();
    timers(|next, timers| {
        if timers.len() >= MOST {
            return Err(EAGAIN);
        }
        *next += 1;
        timers.insert(*next, Timer { event: *event, due: None, every: None, priority, clock });
        Ok(*next)
    })
}

/// How long until a timer is due, and how often then.
pub(crate) type Running = (Option<Duration>, Option<Duration>);

fn running(timer: &Timer) -> Running {
    let left = timer.due.map(|due| due.saturating_duration_since(Instant::now()));
    // One that runs has something left.
    (left.map(|left| left.max(Duration::from_nanos(1))), timer.every)
}

/// Starts a timer, or stops it. Returns what it was about to do.
pub(crate) fn set_timer(
    number: u64,
    first: Option<Duration>,
    every: Option<Duration>,
) -> Result<Running, Errno> {
    let before = timers(|_, timers| {
        let timer = timers.get_mut(&number).ok_or(EINVAL)?;
        let before = running(timer);
        timer.due = first.and_then(|first| Instant::now().checked_add(first));
        timer.every = every;
        Ok(before)
    })?;
    clerk::poke();
    Ok(before)
}

pub(crate) fn timer(number: u64) -> Result<Running, Errno> {
    timers(|_, timers| timers.get(&number).map(running).ok_or(EINVAL))
}

/// The clock that a timer goes by.
pub(crate) fn clock_of(number: u64) -> Result<i32, Errno> {
    timers(|_, timers| timers.get(&number).map(|timer| timer.clock).ok_or(EINVAL))
}

pub(crate) fn end_timer(number: u64) -> Result<(), Errno> {
    timers(|_, timers| timers.remove(&number).map(drop).ok_or(EINVAL))
}

/// Sends the events of timers that are due. Returns when the next one is.
pub(crate) fn fire_due() -> Deadline {
    loop {
        let now = Instant::now();
        let mut due = Vec::new();
        let next = timers(|_, timers| {
            for timer in timers.values_mut() {
                let Some(when) = timer.due.filter(|when| *when <= now) else { continue };
                due.push((timer.event, timer.priority));
                // What was missed is not made up for.
                timer.due = timer.every.and_then(|every| {
                    let missed = now.duration_since(when).as_nanos() / every.as_nanos().max(1);
                    let periods = u32::try_from(missed + 1).unwrap_or(u32::MAX);
                    when.checked_add(every.saturating_mul(periods))
                });
            }
            timers.values().filter_map(|timer| timer.due).min()
        });
        if due.is_empty() {
            return next.map_or(Deadline::Never, Deadline::At);
        }
        let own = with(|space| space.identity().task);
        for (event, priority) in due {
            thread::set_own_priority(priority);
            let _ = deliver_from(&event, own);
        }
    }
}
