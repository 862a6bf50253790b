//! How a thread waits for something another task may bring.
//!
//! Whoever waits also drains: it takes what lies in the lanes, finds perhaps
//! what it waits for, and only then sleeps. Of several sleepers one, the
//! *sentinel*, sleeps on the heads of the active lanes; the others sleep on
//! words of their own. A sentinel that leaves wakes one of them, which takes
//! the seat when it goes back to sleep.
//!
//! No wait has a condition of its own to be woken by: every waker raises a
//! word, every waiter looks again. A wake too many costs a look.
//!
//! A future waits without a thread; what stands for it here is in
//! [`crate::future`].

mod jump;
mod signal;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use abi::limits;
use abi::page::Sleep;
use parking::{Mutex, lock};
use shm::wait::{WakeWord, Woke};

pub use self::jump::{hold_in_wait, let_handlers_jump};
pub use self::signal::heed_signals;

use crate::core::TaskCore;
use crate::deadline::Deadline;
use crate::link::Link;

pub(crate) mod parking {
    //! Locks that outlive a panic of whoever held them.

    use std::sync::Arc;

    pub(crate) use shm::lock::{Mutex, MutexGuard};

    /// What can be locked.
    pub(crate) trait Lock {
        /// What holds it.
        type Guard<'a>
        where
            Self: 'a;

        /// Locks it.
        fn guard(&self) -> Self::Guard<'_>;
    }

    impl<T> Lock for Mutex<T> {
        type Guard<'a>
            = MutexGuard<'a, T>
        where
            T: 'a;

        #[inline]
        fn guard(&self) -> MutexGuard<'_, T> {
            self.lock()
        }
    }

    impl<L: Lock> Lock for Arc<L> {
        type Guard<'a>
            = L::Guard<'a>
        where
            L: 'a;

        fn guard(&self) -> L::Guard<'_> {
            L::guard(self)
        }
    }

    /// Locks, whether or not an earlier holder panicked: our own invariants are
    /// kept by statements, not by unwinding.
    #[inline]
    pub(crate) fn lock<L: Lock>(lock: &L) -> L::Guard<'_> {
        lock.guard()
    }

    /// Locks if nobody holds it.
    #[inline]
    pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        mutex.try_lock()
    }
}

/// Who is to look again: the word one thread sleeps on, which belongs to the
/// thread and not to a wait; or a future, with the waker of whoever polls it.
#[derive(Debug)]
pub(crate) struct Waiter {
    word: WakeWord,
    future: Option<Behind>,
}

/// Who polls a future.
#[derive(Debug, Default)]
struct Behind {
    waker: Mutex<Option<Waker>>,
    /// It was raised and has not been polled since.
    told: AtomicBool,
}

thread_local! {
    static MINE: Arc<Waiter> = Arc::new(Waiter { word: WakeWord::new(), future: None });
}

impl Waiter {
    pub(crate) fn mine() -> Arc<Waiter> {
        MINE.with(Arc::clone)
    }

    /// One that a future stands behind.
    pub(crate) fn of_future() -> Arc<Waiter> {
        Arc::new(Waiter { word: WakeWord::new(), future: Some(Behind::default()) })
    }

    /// Makes its thread, or who polls its future, look again. A waker is the
    /// user's code: never raise under a lock.
    pub(crate) fn raise(&self) {
        self.word.raise();
        if let Some(behind) = &self.future {
            behind.told.store(true, Ordering::Relaxed);
            let waker = lock(&behind.waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// From now on `waker` is woken, once, by the next raise; `None` for nobody.
    pub(crate) fn set_waker(&self, waker: Option<&Waker>) {
        let Some(behind) = &self.future else { return };
        // Cloned and dropped outside of the lock: both are the user's code.
        let new = waker.cloned();
        let before = std::mem::replace(&mut *lock(&behind.waker), new);
        drop(before);
    }

    /// A future is polled. Returns how often it was raised.
    pub(crate) fn come(&self) -> u32 {
        self.set_waker(None);
        if let Some(behind) = &self.future {
            behind.told.store(false, Ordering::Relaxed);
        }
        self.word.now()
    }

    /// Whether it was told already and has not come yet: a future that nobody
    /// polls must not keep the news from others.
    pub(crate) fn is_told(&self) -> bool {
        self.future.as_ref().is_some_and(|behind| behind.told.load(Ordering::Relaxed))
    }

    /// How often it was raised.
    pub(crate) fn now(&self) -> u32 {
        self.word.now()
    }
}

/// A thread that polls a future in the midst of a wait is woken as by anything it
/// waits for.
impl std::task::Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.raise();
    }
}

/// Something one thread waits for and another brings, once.
#[derive(Debug)]
pub(crate) struct Promise<T> {
    state: Mutex<Promised<T>>,
}

#[derive(Debug)]
struct Promised<T> {
    value: Option<T>,
    waiter: Option<Arc<Waiter>>,
}

impl<T> Default for Promise<T> {
    fn default() -> Self {
        Promise { state: Mutex::new(Promised { value: None, waiter: None }) }
    }
}

impl<T> Promise<T> {
    /// Keeps the promise and returns whom to wake. What came first stays.
    #[must_use = "who waits must be woken"]
    pub(crate) fn keep(&self, value: T) -> Option<Arc<Waiter>> {
        let mut state = lock(&self.state);
        state.value.get_or_insert(value);
        state.waiter.take()
    }

    /// Takes what was brought, or leaves the waiter to be woken.
    pub(crate) fn look(&self, waiter: &Arc<Waiter>) -> Option<T> {
        let mut state = lock(&self.state);
        state.waiter = Some(Arc::clone(waiter));
        state.value.take()
    }
}

/// Takes `waiter` out of a list it may stand in.
pub(crate) fn forget(list: &mut Vec<Arc<Waiter>>, waiter: &Arc<Waiter>) {
    list.retain(|other| !Arc::ptr_eq(other, waiter));
}

/// How many lanes a sentinel sleeps on; the others ring the bell.
const HEADS: usize = 3;

/// The fewest turns of the spin loop before a sleep: long enough for the answer
/// of a peer that is awake.
const SPIN_LEAST: u32 = 1 << 8;

/// The most turns of the spin loop before a sleep.
const SPIN_MOST: u32 = 1 << 11;

/// A sleep that was shorter would have been none, had its thread looked as long as it may.
const SHORT_SLEEP: Duration = Duration::from_micros(50);

thread_local! {
    /// How many turns this thread looks before it sleeps.
    static LOOKS: Cell<u32> = const { Cell::new(SPIN_LEAST) };
}

/// How often who spins looks at the lanes before it looks elsewhere, and lets others
/// drain.
pub(crate) const BURST: u32 = 16;

/// A bounded look whether something comes by itself.
///
/// How long it is follows from the sleeps of this thread: after a short one it looks
/// longer, since a longer look would have spared it; after a long one less.
#[derive(Debug)]
pub(crate) struct Spin {
    left: u32,
}

impl Spin {
    /// Who has no time, or no second processor, does not look twice. All others look a
    /// while, however seldom it helped: two that each sleep at once would never find the
    /// other awake.
    #[inline]
    pub(crate) fn begin(task: &TaskCore, deadline: Deadline) -> Self {
        let may = task.may_spin && deadline != Deadline::Now;
        Spin { left: if may { LOOKS.get() } else { 0 } }
    }

    /// Lets a moment pass. False where it is time to sleep.
    #[inline]
    pub(crate) fn turn(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        std::hint::spin_loop();
        true
    }

    /// This thread, or who polls on it, has slept so long after it had looked.
    pub(crate) fn slept(long: Duration) {
        let looks = LOOKS.get();
        let looks = if long < SHORT_SLEEP { looks * 2 } else { looks / 2 };
        LOOKS.set(looks.clamp(SPIN_LEAST, SPIN_MOST));
    }
}

/// The sleeping threads of one task.
#[derive(Debug)]
pub(crate) struct Sleepers {
    pub(crate) seat: Mutex<Seat>,
    followers: AtomicUsize,
    /// Futures that wait.
    pub(crate) futures: AtomicUsize,
}

impl Default for Sleepers {
    fn default() -> Self {
        Sleepers {
            seat: Mutex::default(),
            followers: AtomicUsize::new(0),
            futures: AtomicUsize::new(0),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Seat {
    pub(crate) sentinel: Option<Arc<Waiter>>,
    followers: Vec<Arc<Waiter>>,
    /// A number no earlier sleep had.
    pub(crate) number: u64,
    /// Every link is announced as `bell`, and no bell was heard since.
    pub(crate) on_bells: bool,
}

impl TaskCore {
    /// Waits until `look` finds something, or until `deadline`.
    ///
    /// `look` must leave the waiter where its waker will find it. Where `peer`
    /// is named, its bell is rung once after [`limits::PATIENCE_NS`], or after
    /// [`limits::PATIENCE_READ_NS`] where nothing says that it needs to be.
    pub(crate) fn wait<T>(
        &self,
        deadline: Deadline,
        peer: Option<&Link>,
        mut look: impl FnMut(&Arc<Waiter>) -> Option<T>,
    ) -> Option<T> {
        let mut waiter = Waiter::mine();
        let mut since = None;
        let mut unrung = peer;
        let mut slept = false;
        let mut interrupted = false;
        loop {
            let seen = waiter.word.now();
            if let Some(found) = look(&waiter) {
                if slept {
                    self.read_what_was_rung();
                }
                self.leave_wait();
                return Some(found);
            }
            slept = false;
            let drained = self.drain_in_wait();
            if interrupted || deadline.has_passed() {
                let found = look(&waiter);
                self.leave_wait();
                return found;
            }
            if drained || self.spin(&waiter, seen) {
                continue;
            }
            let now = Instant::now();
            let mut until = deadline.instant();
            if let Some(link) = unrung {
                let patience = if link.will_be_read() {
                    limits::PATIENCE_READ_NS
                } else {
                    limits::PATIENCE_NS
                };
                let patient = *since.get_or_insert(now) + Duration::from_nanos(patience);
                if now >= patient {
                    unrung = None;
                    link.ring_now();
                    continue;
                }
                until = Some(deadline.instant_or(patient));
            }
            let until = self.heard_by(until);
            let woke;
            (waiter, woke) = self.sleep(waiter, seen, until);
            interrupted = woke == Woke::Signal && signal::is_heeded();
            Spin::slept(now.elapsed());
            slept = true;
        }
    }

    /// Who slept on the heads and was woken by something else goes without a look into
    /// the lanes. What was published until it said that it is awake was rung for on its
    /// word, and nobody else hears of that.
    fn read_what_was_rung(&self) {
        if self.links().iter().any(|link| link.has_frames()) {
            self.drain_after_bell(&[]);
        }
    }

    /// Looks a bounded while whether something comes by itself.
    pub(crate) fn spin(&self, waiter: &Waiter, seen: u32) -> bool {
        let links = self.links();
        let mut spin = Spin::begin(self, Deadline::Never);
        loop {
            if waiter.word.now() != seen || links.iter().any(|link| link.has_frames()) {
                return true;
            }
            if !spin.turn() {
                return false;
            }
        }
    }

    /// Sleeps. Where a handler jumps out of it, what was said of this sleep is taken back,
    /// and the wait ends.
    fn sleep(&self, waiter: Arc<Waiter>, seen: u32, until: Option<Instant>) -> (Arc<Waiter>, Woke) {
        shm::jump::about_to_sleep();
        let number = {
            let mut seat = lock(&self.sleepers.seat);
            if seat.sentinel.is_some() {
                seat.followers.push(Arc::clone(&waiter));
                self.sleepers.followers.store(seat.followers.len(), Ordering::Relaxed);
                None
            } else {
                seat.sentinel = Some(Arc::clone(&waiter));
                seat.on_bells = false;
                seat.number += 1;
                Some(seat.number)
            }
        };
        match number {
            None => {
                let jumped = |waiter: Arc<Waiter>| {
                    self.follow_no_more(&waiter);
                    self.leave_wait();
                };
                let slept = shm::jump::held(waiter, jumped, |waiter| {
                    shm::wait::sleep(&waiter.word, seen, &[], until)
                });
                self.follow_no_more(&slept.0);
                slept
            }
            Some(number) => {
                let jumped = |(waiter, _): (Arc<Waiter>, Links)| {
                    drop(waiter);
                    lock(&self.sleepers.seat).sentinel = None;
                    self.read_what_was_rung();
                    self.leave_wait();
                };
                let held = (waiter, self.links());
                let ((waiter, _), woke) = shm::jump::held(held, jumped, |(waiter, links)| {
                    sleep_on_heads(waiter, links, seen, until, number)
                });
                lock(&self.sleepers.seat).sentinel = None;
                (waiter, woke)
            }
        }
    }

    fn follow_no_more(&self, waiter: &Arc<Waiter>) {
        let mut seat = lock(&self.sleepers.seat);
        forget(&mut seat.followers, waiter);
        self.sleepers.followers.store(seat.followers.len(), Ordering::Relaxed);
    }

    /// Makes the sentinel announce its sleep anew: after a bell, whose number is
    /// used up, and for a link it does not know of yet. Where futures wait and
    /// no thread does, it is we who announce.
    pub(crate) fn wake_sentinel(&self) {
        {
            let mut seat = lock(&self.sleepers.seat);
            seat.on_bells = false;
            if let Some(sentinel) = &seat.sentinel {
                sentinel.raise();
            }
        }
        self.listen_for_bells();
    }

    /// Ends a wait: if threads sleep and none of them sits on the heads, one is
    /// woken to take the seat; if futures wait, the bells are listened for.
    fn leave_wait(&self) {
        self.ring_unheard();
        if self.sleepers.followers.load(Ordering::Relaxed) > 0 {
            let seat = lock(&self.sleepers.seat);
            if seat.sentinel.is_none()
                && let Some(next) = seat.followers.first()
            {
                next.raise();
            }
        }
        self.listen_for_bells();
    }
}

type Links = Arc<Vec<Arc<Link>>>;

fn sleep_on_heads(
    waiter: &Waiter,
    links: &[Arc<Link>],
    seen: u32,
    until: Option<Instant>,
    number: u64,
) -> Woke {
    let on_heads = if shm::wait::can_wait_on_heads() { HEADS } else { 0 };
    let mut active: Vec<(&Arc<Link>, u64)> = Vec::with_capacity(HEADS);
    for link in links {
        link.settle_passed();
        if active.len() < on_heads && link.used_lately() {
            // Read before it is announced, and slept on. The number may be rung
            // for a frame that another thread takes before we are asleep, and
            // is not rung twice: on the position after that frame we would
            // sleep through the next.
            active.push((link, link.position()));
            link.announce(Sleep::Asleep(number));
        } else {
            link.announce_bell(number);
        }
    }
    // Announce, fence, look; the writer publishes, fences, looks.
    shm::full_fence(); // pairs: lane.sleep
    if links.iter().any(|link| link.has_frames()) {
        is_awake(active);
        return Woke::Maybe;
    }
    let (active, woke) = shm::jump::held(active, is_awake, |active| {
        let heads: Vec<_> =
            active.iter().map(|(link, position)| (link.peer_page(), *position)).collect();
        let (heads, woke) = shm::jump::held(heads, drop, |heads| {
            shm::wait::sleep(&waiter.word, seen, heads, until)
        });
        drop(heads);
        woke
    });
    is_awake(active);
    woke
}

/// Who slept on these heads does so no more.
fn is_awake(active: Vec<(&Arc<Link>, u64)>) {
    for (link, _) in active {
        link.announce(Sleep::Awake);
    }
    // What is published before that is seen is looked at after it.
    shm::full_fence(); // pairs: lane.sleep
}
