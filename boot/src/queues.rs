//! Queues that the server keeps for services: what is in them outlives the service.
//!
//! Each is a shared mailbox with one reader, the service. The server hands it one
//! message after the other and keeps each until it is answered or acknowledged; what a
//! service that ends had not finished goes to its successor, in order and marked. Send
//! rights lead to the server's port, so they stay good.
//!
//! The mailboxes are futures that the server's own thread polls between two requests,
//! each for a bounded number of messages. What wakes one drops a send-once right, which
//! brings news with a number to the server's port.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use pillarbox::shared::{Held, Policy, SharedMailbox};
use pillarbox::{Capacity, ReceiveRight, SendFailure, SendOnceRight, SendRight, Task, TaskId};

use crate::limits::QUEUE_TURNS;
use crate::step::{self, Step};

/// The number of the news that a queue has something to do.
pub(crate) const NEWS: u64 = u64::from_be_bytes(*b"queues\0\0");

/// Which queue of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueId(pub(crate) usize);

/// What is rung to make the server look after its queues.
#[derive(Debug, Default)]
struct Bell {
    rope: Mutex<Option<SendOnceRight>>,
}

impl Bell {
    fn ring(&self) {
        let rope = lock(&self.rope).take();
        drop(rope);
    }
}

#[derive(Debug)]
struct Flag {
    woken: AtomicBool,
    bell: Arc<Bell>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release); // pairs: queue.woken
        self.bell.ring();
    }
}

/// How it stands with a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueState {
    /// Somebody reads it.
    pub(crate) read: bool,
    /// Messages that were taken from the port and are not finished.
    pub(crate) held: usize,
    /// Nothing of it is anywhere else.
    pub(crate) at_rest: bool,
    /// When anything happened to it last.
    pub(crate) last: Instant,
}

/// What a queue is told from outside.
#[derive(Debug, Default)]
struct Orders {
    /// Nothing is handed out.
    paused: AtomicBool,
    /// Its mailbox is to be given back.
    ends: AtomicBool,
    /// There it is.
    given_back: Mutex<Option<SharedMailbox>>,
}

/// One queue.
struct Queue {
    orders: Arc<Orders>,
    right: SendRight,
    reader: SendRight,
    state: Arc<Mutex<QueueState>>,
    serving: Pin<Box<dyn Future<Output = ()> + Send>>,
    flag: Arc<Flag>,
    over: bool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Queue").field("state", &self.state).finish_non_exhaustive()
    }
}

/// All queues of a server.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    all: Vec<Queue>,
    bell: Arc<Bell>,
}

impl Queues {
    /// Makes a queue.
    pub(crate) fn add(&mut self, task: &Task, capacity: u32) -> Result<QueueId, SendFailure> {
        let port = task.port(Capacity::Bounded(capacity));
        let queue = self.queue(SharedMailbox::new(port, Policy::RoundRobin))?;
        // In the place of one that is closed, if there is any.
        let place = self.all.iter().position(|queue| queue.over);
        match place.and_then(|place| self.all.get_mut(place)) {
            Some(closed) => *closed = queue,
            None => self.all.push(queue),
        }
        Ok(QueueId(place.unwrap_or(self.all.len() - 1)))
    }

    fn queue(&self, mailbox: SharedMailbox) -> Result<Queue, SendFailure> {
        let mailbox = mailbox.take_ahead();
        let right = mailbox.port().make_send()?;
        let reader = mailbox.reader_right()?;
        let held = mailbox.status().held;
        let state = QueueState { read: false, held, at_rest: true, last: Instant::now() };
        let state = Arc::new(Mutex::new(state));
        let orders = Arc::new(Orders::default());
        let serving = Box::pin(serve(mailbox, Arc::clone(&state), Arc::clone(&orders)));
        // It has not been polled yet, and must be.
        let flag = Flag { woken: AtomicBool::new(true), bell: Arc::clone(&self.bell) };
        let flag = Arc::new(flag);
        Ok(Queue { orders, right, reader, state, serving, flag, over: false })
    }

    /// Has the queues hand nothing out, or go on.
    pub(crate) fn pause(&mut self, paused: bool) {
        step::before(Step::Rest);
        for queue in &self.all {
            queue.orders.paused.store(paused, Ordering::Relaxed);
            Arc::clone(&queue.flag).wake();
        }
    }

    /// Whether nothing of any is with its reader.
    pub(crate) fn are_at_rest(&self) -> bool {
        self.all.iter().all(|queue| queue.over || lock(&queue.state).at_rest)
    }

    /// Ends a queue here, and gives back its port and what is in it.
    pub(crate) fn take_out(&mut self, id: QueueId) -> Option<(ReceiveRight, Vec<Held>)> {
        let queue = self.all.get_mut(id.0).filter(|queue| !queue.over)?;
        step::before(Step::Pack);
        queue.orders.ends.store(true, Ordering::Relaxed);
        let mut cx = Context::from_waker(Waker::noop());
        queue.over = queue.serving.as_mut().poll(&mut cx).is_ready();
        let mailbox = lock(&queue.orders.given_back).take()?;
        Some(mailbox.into_parts())
    }

    /// Goes on with a queue of the server before this one, or that was taken out, in the
    /// place of one.
    pub(crate) fn put_in(
        &mut self,
        id: QueueId,
        (port, held): (ReceiveRight, Vec<Held>),
        before: Option<TaskId>,
    ) {
        let mailbox = SharedMailbox::from_parts(port, Policy::RoundRobin, held, before);
        if let Ok(queue) = self.queue(mailbox)
            && let Some(place) = self.all.get_mut(id.0)
        {
            *place = queue;
        }
    }

    /// Does what the queues have to do now. What happens after this brings news to
    /// `port`.
    pub(crate) fn turn(&mut self, port: &ReceiveRight) {
        if self.all.is_empty() {
            return;
        }
        if lock(&self.bell.rope).is_none()
            && let Ok((rope, _)) = port.make_news(NEWS)
        {
            let before = lock(&self.bell.rope).replace(rope);
            drop(before);
        }
        for queue in &mut self.all {
            // pairs: queue.woken
            if queue.over || !queue.flag.woken.swap(false, Ordering::Acquire) {
                continue;
            }
            step::before(Step::Turn);
            let waker = Waker::from(Arc::clone(&queue.flag));
            let mut cx = Context::from_waker(&waker);
            queue.over = queue.serving.as_mut().poll(&mut cx).is_ready();
        }
    }

    /// Ends a queue, and all that is in it: senders are told, and who waits for an answer.
    pub(crate) fn close(&mut self, id: QueueId) {
        if let Some(queue) = self.all.get_mut(id.0) {
            queue.over = true;
            queue.serving = Box::pin(std::future::ready(()));
            let mut state = lock(&queue.state);
            (state.read, state.held) = (false, 0);
        }
    }

    /// How it stands with one.
    pub(crate) fn state(&self, id: QueueId) -> Option<QueueState> {
        self.all.get(id.0).map(|queue| *lock(&queue.state))
    }

    /// Whether there is a message in any.
    pub(crate) fn hold_anything(&self) -> bool {
        self.all.iter().any(|queue| lock(&queue.state).held > 0)
    }

    /// A send right to it.
    pub(crate) fn right(&self, id: QueueId) -> Option<&SendRight> {
        self.all.get(id.0).map(|queue| &queue.right)
    }

    /// What its reader attaches with.
    pub(crate) fn reader(&self, id: QueueId) -> Option<&SendRight> {
        self.all.get(id.0).map(|queue| &queue.reader)
    }
}

/// Serves a mailbox until this is a forked child.
async fn serve(mut mailbox: SharedMailbox, state: Arc<Mutex<QueueState>>, orders: Arc<Orders>) {
    let mut turns = 0;
    loop {
        match one_turn(&mut mailbox, &orders).await {
            Turn::Done => {}
            Turn::Told => {
                let paused = orders.paused.load(Ordering::Relaxed);
                if paused {
                    mailbox.pause()
                } else {
                    mailbox.go_on()
                }
                lock(&state).at_rest = mailbox.is_at_rest();
                continue;
            }
            Turn::Ends => {
                *lock(&orders.given_back) = Some(mailbox);
                return;
            }
            Turn::Forked => return,
        }
        let status = mailbox.status();
        *lock(&state) = QueueState {
            read: status.readers > 0,
            held: status.held,
            at_rest: mailbox.is_at_rest(),
            last: Instant::now(),
        };
        turns += 1;
        if turns % QUEUE_TURNS == 0 {
            let mut passed = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut passed, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }
}

/// What has become of a turn of a mailbox.
enum Turn {
    Done,
    /// It is to pause, or to go on.
    Told,
    Ends,
    Forked,
}

/// One turn, or what is ordered meanwhile. A turn that is not done has lost nothing.
async fn one_turn(mailbox: &mut SharedMailbox, orders: &Orders) -> Turn {
    let paused = mailbox.is_paused();
    let mut turn = pin!(mailbox.turn_async());
    poll_fn(|cx| {
        if orders.ends.load(Ordering::Relaxed) {
            return Poll::Ready(Turn::Ends);
        }
        if orders.paused.load(Ordering::Relaxed) != paused {
            return Poll::Ready(Turn::Told);
        }
        let done = turn.as_mut().poll(cx);
        done.map(|done| if done.is_ok() { Turn::Done } else { Turn::Forked })
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
