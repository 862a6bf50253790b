//! A server that is busy runs with the priority of who waits for it.
//!
//! A thread that the kernel schedules by priority takes its client's when it receives.
//! Who comes later, and is of more weight, would wait for a thread of low priority, and
//! with it for all that run in between. So each thread that is at work is known to its
//! channel, and one thread of the process looks at what waits there: the *watch*. It is
//! started with the first such thread, has the highest priority there is, and sleeps until
//! something comes to this process. It gives priorities to threads of its own process only;
//! a client does nothing but send.
//!
//! | who                         | does                                              |
//! |-----------------------------|---------------------------------------------------|
//! | a thread that has received  | stands among those at work, and looks once itself |
//! | the watch, when any comes   | raises those at work to the first that waits      |
//! | a thread about to receive   | stands there no more, and nobody raises it        |
//!
//! All three are done under the lock of the channel's list, so a thread is never raised
//! that has gone on, or has ended.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox::Task;
use pillarbox::future::Events;

use crate::channel::Channel;
use crate::{edge, with};

/// A thread that serves somebody, and that the kernel schedules by priority.
#[derive(Clone, Debug)]
pub(crate) struct AtWork {
    /// Its number at the kernel.
    pub(crate) thread: i32,
    pub(crate) policy: i32,
    /// What it was raised to; 0 for nothing. What it sends has that priority, too.
    pub(crate) raised: Arc<AtomicU16>,
}

/// Those at work for one channel, each with the priority it runs at.
#[derive(Debug, Default)]
pub(crate) struct Servers(Mutex<Vec<(AtWork, u16)>>);

impl Servers {
    fn lock(&self) -> MutexGuard<'_, Vec<(AtWork, u16)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// A thread has something to do, at this priority.
    fn begin(&self, server: AtWork, priority: u16) {
        self.lock().push((server, priority));
    }

    /// A thread waits again, or ends.
    pub(crate) fn end(&self, thread: i32) {
        self.lock().retain(|(server, _)| server.thread != thread);
    }

    /// Somebody of this priority waits.
    fn raise(&self, priority: u16) {
        for (server, runs_at) in &mut *self.lock() {
            if *runs_at < priority {
                *runs_at = priority;
                server.raised.store(priority, Ordering::Relaxed); // read by its own thread only
                edge::schedule(server.thread, server.policy, priority);
            }
        }
    }
}

impl Channel {
    /// A thread has received something of this priority here.
    pub(crate) fn begin_work(&self, server: AtWork, priority: u16) {
        watch();
        self.servers.begin(server, priority);
        // Who came while it stood nowhere.
        self.raise_servers();
    }

    /// Has those at work run for who waits.
    fn raise_servers(&self) {
        if let Some(first) = self.port.peek() {
            self.servers.raise(first.priority);
        }
    }
}

/// Starts the watch of this process, if there is none. Where the system refuses what it
/// needs nobody is raised.
fn watch() {
    let task =
        with(|space| (!std::mem::replace(&mut space.has_watch, true)).then(|| space.task.clone()));
    if task.is_some_and(|task| start(&task).is_none()) {
        with(|space| space.has_watch = false);
    }
}

fn start(task: &Task) -> Option<()> {
    let events = task.events().ok()?;
    let thread = std::thread::Builder::new().name("pillarbox-qnx-w".into());
    edge::without_signals(|| thread.spawn(move || keep(&events))).ok()?;
    Some(())
}

/// What the watch does for as long as the process is there.
fn keep(events: &Events) {
    edge::schedule_above_all();
    loop {
        // What comes after this is a new event: so it is looked at after it.
        events.turn();
        let busy = |channel: &&Arc<Channel>| !channel.servers.is_empty();
        let channels: Vec<_> =
            with(|space| space.channels.values().filter(busy).map(Arc::clone).collect());
        for channel in channels {
            channel.raise_servers();
        }
        edge::wait_readable(events);
    }
}
