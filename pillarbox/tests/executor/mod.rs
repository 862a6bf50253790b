//! An executor as small as one can be: a queue of futures and some threads.
//!
//! It knows nothing of this library, and this library nothing of it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Generous: a test that needs it fails anyway.
const LONG: Duration = Duration::from_secs(60);

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls `future` on this thread until it is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let until = Instant::now() + LONG;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "nobody woke a future that waits");
        std::thread::park_timeout(left);
    }
}

/// Polls it once.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Count(pub(crate) AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    pub(crate) fn times(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Job {
    work: Mutex<Option<Work>>,
    queued: Mutex<bool>,
    home: Arc<Home>,
}

struct Home {
    ready: Mutex<VecDeque<Arc<Job>>>,
    changed: Condvar,
    open: AtomicUsize,
    polls: AtomicU64,
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        let mut queued = self.queued.lock().unwrap();
        if !std::mem::replace(&mut *queued, true) {
            drop(queued);
            let home = Arc::clone(&self.home);
            home.ready.lock().unwrap().push_back(self);
            home.changed.notify_one();
        }
    }
}

/// Futures, and the threads that poll them.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Home>);

impl Executor {
    pub(crate) fn new() -> Self {
        Executor(Arc::new(Home {
            ready: Mutex::default(),
            changed: Condvar::new(),
            open: AtomicUsize::new(0),
            polls: AtomicU64::new(0),
        }))
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.open.fetch_add(1, Ordering::SeqCst);
        let work = Mutex::new(Some(Box::pin(work) as Work));
        let home = Arc::clone(&self.0);
        Arc::new(Job { work, queued: Mutex::new(false), home }).wake();
    }

    /// How often futures were polled.
    pub(crate) fn polls(&self) -> u64 {
        self.0.polls.load(Ordering::SeqCst)
    }

    /// Polls until every future is done, with so many threads.
    pub(crate) fn run(&self, threads: usize) {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| while self.turn(true) {});
            }
        });
    }

    /// Polls what is ready now, on this thread.
    pub(crate) fn run_ready(&self) {
        while self.turn(false) {}
    }

    fn turn(&self, wait: bool) -> bool {
        let until = Instant::now() + LONG;
        let mut ready = self.0.ready.lock().unwrap();
        let job = loop {
            if let Some(job) = ready.pop_front() {
                break job;
            }
            if !wait || self.0.open.load(Ordering::SeqCst) == 0 {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody woke a future that waits");
            ready = self.0.changed.wait_timeout(ready, left).unwrap().0;
        };
        drop(ready);
        *job.queued.lock().unwrap() = false;
        let waker = Waker::from(Arc::clone(&job));
        let mut work = job.work.lock().unwrap();
        let Some(running) = &mut *work else { return true };
        self.0.polls.fetch_add(1, Ordering::SeqCst);
        if running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            *work = None;
            if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
                let _ready = self.0.ready.lock().unwrap();
                self.0.changed.notify_all();
            }
        }
        true
    }
}
