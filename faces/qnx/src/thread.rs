//! What is each thread's own: its number, its priority, and the one timeout it may
//! have set.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use pillarbox::Deadline;

use crate::boost::AtWork;
use crate::channel::Channel;
use crate::codes::{PRIORITY, PRIORITY_MOST};
use crate::{channel, edge};

/// Numbers of threads that are in use, once for each fork: whoever had a lock then may
/// not be there to let it go. The first is the one that runs `main`.
static NUMBERS: [Mutex<BTreeSet<u16>>; crate::FORKS] =
    [const { Mutex::new(BTreeSet::new()) }; crate::FORKS];

fn numbers() -> MutexGuard<'static, BTreeSet<u16>> {
    NUMBERS[crate::depth()].lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the last request of this process.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// How long the next call may wait, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// The states it counts in, as bits.
    pub(crate) states: u32,
    pub(crate) deadline: Deadline,
}

impl Timeout {
    /// The deadline in a state, if it is one of those it counts in.
    pub(crate) fn within(timeout: Option<Timeout>, state: u32) -> Option<Deadline> {
        timeout.filter(|timeout| timeout.states & state != 0).map(|timeout| timeout.deadline)
    }
}

#[derive(Debug)]
struct Thread {
    number: u16,
    /// What it was given, and what it has of whom it serves.
    own_priority: Cell<u16>,
    /// How the kernel schedules it, where that is by priority.
    policy: Cell<Option<i32>>,
    lent_priority: Cell<Option<u16>>,
    timeout: Cell<Option<Timeout>>,
    /// Where it is at work, and what it was raised to for who waits there.
    works_at: RefCell<Weak<Channel>>,
    raised: Arc<AtomicU16>,
    /// The channel it received on last.
    serves: Cell<Option<i32>>,
    /// Channels it received on: they may want to hear of its end.
    received_on: RefCell<BTreeSet<i32>>,
}

impl Thread {
    fn new() -> Self {
        let real = edge::real_priority();
        Thread {
            number: take_number(),
            own_priority: Cell::new(real.map_or(PRIORITY, |(_, priority)| priority)),
            policy: Cell::new(real.map(|(policy, _)| policy)),
            lent_priority: Cell::new(None),
            works_at: RefCell::default(),
            raised: Arc::default(),
            timeout: Cell::new(None),
            serves: Cell::new(None),
            received_on: RefCell::default(),
        }
    }
}

impl Thread {
    /// Nobody raises it any more.
    fn end_work(&self) {
        if let Some(channel) = self.works_at.take().upgrade() {
            channel.servers.end(edge::kernel_thread());
        }
        self.raised.store(0, Ordering::Relaxed); // read by this thread only
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.end_work();
        let channels = std::mem::take(&mut *self.received_on.borrow_mut());
        // So late in a thread's life a panic would be the end of the process.
        let _ = catch_unwind(AssertUnwindSafe(|| channel::thread_ends(self.number, &channels)));
        numbers().remove(&self.number);
    }
}

fn take_number() -> u16 {
    let mut numbers = numbers();
    let first = if edge::is_main_thread() { 1 } else { 2 };
    let free = (first..u16::MAX).find(|number| !numbers.contains(number));
    let number = free.unwrap_or(u16::MAX);
    numbers.insert(number);
    number
}

thread_local! {
    static THREAD: Thread = Thread::new();
}

/// Does something with what is this thread's; at its very end there is nothing more.
fn mine<R>(act: impl FnOnce(&Thread) -> R, ended: R) -> R {
    THREAD.try_with(act).unwrap_or(ended)
}

/// The number of this thread.
pub(crate) fn number() -> u16 {
    mine(|thread| thread.number, u16::MAX)
}

/// A number for a request that no other of this process has for long.
pub(crate) fn next_request() -> u32 {
    REQUESTS.fetch_add(1, Ordering::Relaxed)
}

/// The priority that what this thread sends has.
pub(crate) fn priority() -> u16 {
    let of = |thread: &Thread| {
        let lent = thread.lent_priority.get().unwrap_or_else(|| thread.own_priority.get());
        lent.max(thread.raised.load(Ordering::Relaxed)) // it decides nothing else
    };
    mine(of, PRIORITY)
}

/// The priority this thread was given, whomever it serves.
pub(crate) fn own_priority() -> u16 {
    mine(|thread| thread.own_priority.get(), PRIORITY)
}

/// The kernel schedules this thread by priority from now on, or not.
pub(crate) fn set_policy(policy: Option<i32>) {
    mine(|thread| thread.policy.set(policy), ());
}

/// This thread is about to wait for whoever comes. Whom it serves it will know when it
/// runs, and it must run to know: so it wakes above all that it may serve, and takes
/// their priority then. Who waits is in nobody's way.
pub(crate) fn wait_above_all() {
    mine(
        |thread| {
            thread.end_work();
            if let Some(policy) = thread.policy.get() {
                edge::schedule_this(policy, u16::MAX);
            }
        },
        (),
    );
}

/// Runs with the priority of what it sends.
fn run_as_it_sends(thread: &Thread) {
    if let Some(policy) = thread.policy.get() {
        let priority = thread.lent_priority.get().unwrap_or_else(|| thread.own_priority.get());
        edge::schedule_this(policy, priority);
    }
}

/// Gives this thread a priority.
pub(crate) fn set_own_priority(priority: u16) {
    mine(
        |thread| {
            thread.end_work();
            thread.own_priority.set(priority.clamp(1, PRIORITY_MOST));
            thread.lent_priority.set(None);
        },
        (),
    );
}

/// From now on this thread runs for whoever sent with this priority; `None` for itself.
pub(crate) fn lend_priority(priority: Option<u16>) {
    mine(
        |thread| {
            thread.end_work();
            thread.lent_priority.set(priority);
            run_as_it_sends(thread);
        },
        (),
    );
}

/// This thread has received something of this priority: from now until it receives again
/// it runs for whoever waits there, too.
pub(crate) fn begin_work(channel: &Arc<Channel>, priority: u16) {
    mine(
        |thread| {
            let Some(policy) = thread.policy.get() else { return };
            let raised = Arc::clone(&thread.raised);
            thread.works_at.replace(Arc::downgrade(channel));
            let server = AtWork { thread: edge::kernel_thread(), policy, raised };
            channel.begin_work(server, priority);
        },
        (),
    );
}

/// Sets a timeout for the next call, in place of one that was set.
pub(crate) fn set_timeout(timeout: Option<Timeout>) {
    mine(|thread| thread.timeout.set(timeout), ());
}

/// The timeout of this call. The next has none.
pub(crate) fn take_timeout() -> Option<Timeout> {
    mine(|thread| thread.timeout.take(), None)
}

/// This thread receives on a channel: it is one of its servers.
pub(crate) fn serves(chid: i32) {
    mine(
        |thread| {
            if thread.serves.replace(Some(chid)) != Some(chid) {
                thread.received_on.borrow_mut().insert(chid);
            }
        },
        (),
    );
}

/// This thread serves no channel any more.
pub(crate) fn serves_none() {
    mine(
        |thread| {
            thread.end_work();
            thread.serves.set(None);
            thread.lent_priority.set(None);
            run_as_it_sends(thread);
        },
        (),
    );
}

/// In a forked child there is one thread, and it is the first.
pub(crate) fn forked() {
    mine(
        |thread| {
            numbers().insert(thread.number);
            thread.timeout.set(None);
            thread.works_at.take();
            thread.raised.store(0, Ordering::Relaxed); // read by this thread only
            thread.serves.set(None);
            thread.lent_priority.set(None);
            thread.received_on.borrow_mut().clear();
        },
        (),
    );
}

/// How long after `deadline` it is, for who asks what was left: nanoseconds.
pub(crate) fn left_ns(deadline: Deadline) -> u64 {
    match deadline {
        Deadline::At(when) => {
            let left = when.saturating_duration_since(Instant::now());
            u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)
        }
        Deadline::Never | Deadline::Now => 0,
    }
}
