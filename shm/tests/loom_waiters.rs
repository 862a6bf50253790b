//! Every interleaving of the threads that wait in one task, under loom.
//!
//! The protocol is that of `pillarbox/src/wait.rs`: whoever waits drains; of
//! several sleepers one, the *sentinel*, sleeps on the head, the others on words
//! of their own; a sentinel that leaves wakes one of them. It is written out
//! here step by step, since that crate knows no loom; the numbers say which
//! statement there is meant.
//!
//! | race | between                                                           |
//! |------|-------------------------------------------------------------------|
//! | 5    | a sentinel that leaves, and a follower that lies down             |
//! | 6    | who drains a frame of another's, and the other lying down         |
//! | 7    | two that want the drain: the loser lies down on what the winner takes |
//! | 8    | a ring for a frame that another takes, and the sleep on the next  |
//!
//! Races 1 to 4 are in `loom.rs`. Races 5, 6 and 8 have a twin without the step
//! that settles them, which must fail; race 7 is settled by 6. A sleeper wakes for what it sleeps on and for
//! nothing else: a wake too many would hide one too few.
//!
//! loom goes through every schedule with up to [`PREEMPTIONS`] switches that
//! nobody asked for; each of the twins fails with fewer.
//!
//! Run: `cargo xtask loom`
#![cfg(loom)]

mod twin;

use loom::sync::atomic::Ordering::{Relaxed, SeqCst};
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};
use loom::sync::{Arc, Mutex, Notify};
use loom::thread;

/// Switches between threads beside those where one waits.
const PREEMPTIONS: usize = 2;

/// What the kernel knows of sleepers. Nobody holds its lock while asleep, so that
/// a model that comes to a standstill unwinds.
struct Kernel {
    asleep: Mutex<Asleep>,
    wakes: [Notify; 2],
}

#[derive(Default)]
struct Asleep {
    asleep: [bool; 2],
    /// Who sleeps on the head too.
    on_head: [bool; 2],
}

impl Kernel {
    fn new() -> Kernel {
        Kernel { asleep: Mutex::default(), wakes: [Notify::new(), Notify::new()] }
    }

    /// Sleeps unless `moved`, which is looked at under the lock, as a futex does.
    fn sleep(&self, me: usize, on_head: bool, moved: impl Fn() -> bool) {
        {
            let mut asleep = self.asleep.lock().unwrap();
            if moved() {
                return;
            }
            asleep.asleep[me] = true;
            asleep.on_head[me] = on_head;
        }
        loop {
            self.wakes[me].wait();
            if !self.asleep.lock().unwrap().asleep[me] {
                return;
            }
        }
    }

    fn wake_word(&self, who: usize) {
        let was_asleep = std::mem::take(&mut self.asleep.lock().unwrap().asleep[who]);
        if was_asleep {
            self.wakes[who].notify();
        }
    }

    fn wake_head(&self) {
        for who in 0..2 {
            let on_head = self.asleep.lock().unwrap().on_head[who];
            if on_head {
                self.wake_word(who);
            }
        }
    }
}

/// Which steps are left out.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Without {
    /// A sentinel that leaves wakes nobody.
    promotion: bool,
    /// Who takes another's frame does not raise its word.
    raise: bool,
    /// A sentinel sleeps on the position it has after it has said so.
    early: bool,
}

/// One task with two threads that wait, and the lane they wait on.
struct Task {
    without: Without,
    kernel: Kernel,
    /// The peer's: how many frames were published.
    head: AtomicU64,
    /// Ours: zero for awake, else the number of the sleep.
    sleep: AtomicU64,
    /// Frames taken: who holds the lock drains.
    drain: Mutex<()>,
    position: AtomicU64,
    words: [AtomicU32; 2],
    /// Whose frame came. The first is for thread 0, the second for thread 1.
    items: [Mutex<bool>; 2],
    seat: Mutex<Seat>,
    followers: AtomicUsize,
}

#[derive(Default)]
struct Seat {
    sentinel: Option<usize>,
    followers: Vec<usize>,
    number: u64,
}

impl Task {
    fn new(without: Without) -> Arc<Task> {
        Arc::new(Task {
            without,
            kernel: Kernel::new(),
            head: AtomicU64::new(0),
            sleep: AtomicU64::new(0),
            drain: Mutex::new(()),
            position: AtomicU64::new(0),
            words: Default::default(),
            items: Default::default(),
            seat: Mutex::default(),
            followers: AtomicUsize::new(0),
        })
    }

    fn raise(&self, who: usize) {
        self.words[who].fetch_add(1, SeqCst);
        self.kernel.wake_word(who);
    }

    fn has_frames(&self) -> bool {
        self.head.load(Relaxed) != self.position.load(Relaxed)
    }

    /// `TaskCore::wait`.
    fn wait(&self, me: usize) {
        loop {
            let seen = self.words[me].load(SeqCst);
            if *self.items[me].lock().unwrap() {
                return self.leave();
            }
            if self.take_frames(me) {
                continue;
            }
            self.lie_down(me, seen);
        }
    }

    /// `TaskCore::drain`.
    fn take_frames(&self, me: usize) -> bool {
        if !self.has_frames() {
            return false;
        }
        let Ok(seat) = self.drain.try_lock() else { return false };
        let head = self.head.load(Relaxed);
        let position = self.position.load(Relaxed);
        for whose in position..head {
            let whose = whose as usize;
            *self.items[whose].lock().unwrap() = true;
        }
        self.position.store(head, Relaxed);
        drop(seat);
        // What was found to wake is woken after.
        for whose in position..head {
            let whose = whose as usize;
            if whose != me && !self.without.raise {
                self.raise(whose);
            }
        }
        head != position
    }

    /// `TaskCore::sleep` and `sleep_on_heads`.
    fn lie_down(&self, me: usize, seen: u32) {
        let number = {
            let mut seat = self.seat.lock().unwrap();
            if seat.sentinel.is_some() {
                seat.followers.push(me);
                self.followers.store(seat.followers.len(), Relaxed);
                None
            } else {
                seat.sentinel = Some(me);
                seat.number += 1;
                Some(seat.number)
            }
        };
        let raised = || self.words[me].load(SeqCst) != seen;
        let Some(number) = number else {
            self.kernel.sleep(me, false, raised);
            let mut seat = self.seat.lock().unwrap();
            seat.followers.retain(|other| *other != me);
            self.followers.store(seat.followers.len(), Relaxed);
            return;
        };
        let early = self.position.load(Relaxed);
        self.sleep.store(number, Relaxed);
        fence(SeqCst);
        if self.has_frames() {
            // Another drains: in a model one must say that one turns in place.
            thread::yield_now();
        } else {
            let late = self.position.load(Relaxed);
            let position = if self.without.early { late } else { early };
            let moved = || self.head.load(Relaxed) != position || raised();
            self.kernel.sleep(me, true, moved);
        }
        self.sleep.store(0, Relaxed);
        self.seat.lock().unwrap().sentinel = None;
    }

    /// `TaskCore::leave_wait`.
    fn leave(&self) {
        if self.followers.load(Relaxed) == 0 || self.without.promotion {
            return;
        }
        let next = {
            let seat = self.seat.lock().unwrap();
            if seat.sentinel.is_none() { seat.followers.first().copied() } else { None }
        };
        if let Some(next) = next {
            self.raise(next);
        }
    }

    /// `Link::publish` and `ring` of the peer: one frame more. A number is rung
    /// once.
    fn publish(&self, rung: &mut u64) {
        self.head.fetch_add(1, Relaxed);
        fence(SeqCst);
        let number = self.sleep.load(Relaxed);
        if number != 0 && number != *rung {
            *rung = number;
            self.kernel.wake_head();
        }
    }
}

fn run(without: Without) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(move || {
        let task = Task::new(without);
        let other = {
            let task = Arc::clone(&task);
            thread::spawn(move || task.wait(0))
        };
        let peer = {
            let task = Arc::clone(&task);
            thread::spawn(move || {
                let mut rung = 0;
                task.publish(&mut rung);
                task.publish(&mut rung);
            })
        };
        task.wait(1);
        other.join().unwrap();
        peer.join().unwrap();
    });
}

/// Races 5 to 8: both threads get their frames and nobody stays asleep.
#[test]
fn every_waiter_wakes_for_its_frame() {
    run(Without::default());
}

/// Acts for the tests below; alone it does nothing.
#[test]
fn a_twin() {
    let whole = Without::default();
    match twin::asked().as_deref() {
        Some("promotion") => run(Without { promotion: true, ..whole }),
        Some("raise") => run(Without { raise: true, ..whole }),
        Some("early") => run(Without { early: true, ..whole }),
        _ => {}
    }
}

/// Race 5.
#[test]
fn without_promotion_a_follower_sleeps_on_its_frame() {
    twin::comes_to_a_standstill("promotion");
}

/// Race 6.
#[test]
fn without_a_raise_the_owner_of_a_frame_sleeps_on_it() {
    twin::comes_to_a_standstill("raise");
}

/// Race 8: the number is used up by the ring for a frame that the other thread
/// takes, and nobody rings for the next.
#[test]
fn a_position_read_late_is_slept_on_without_a_ring() {
    twin::comes_to_a_standstill("early");
}
