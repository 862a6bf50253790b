//! Every interleaving of those who meet at a chute, under loom.
//!
//! The protocol is that of `pillarbox/src/port/{chute,general,standing,receive}.rs`: two
//! ends with a lock each, hints between them, and who finds nothing waits to be called.
//! It is written out here step by step, since that crate knows no loom. Of messages
//! only the number is kept.
//!
//! | race | between                                                               |
//! |------|-----------------------------------------------------------------------|
//! | 11   | who puts a message in, and who found none lying down                  |
//! | 12   | who takes one, and who found no place lying down in line              |
//! | 13   | who is called and gives up at that moment, and others who wait        |
//! | 14   | who is called and comes too late, and the general way, which shuts it |
//!
//! Each has a twin without the step that settles it, which must come to a standstill. A
//! sleeper wakes for its own word and for nothing else. Races 1 to 4 are in `loom.rs`, 5
//! to 8 in `loom_waiters.rs`, 9 and 10 in `loom_lock.rs`.
//!
//! Run: `cargo xtask loom`
#![cfg(loom)]

mod twin;

use loom::sync::atomic::Ordering::{Relaxed, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU32};
use loom::sync::{Arc, Mutex, Notify};
use loom::thread;

/// Switches between threads beside those where one waits.
const PREEMPTIONS: usize = 2;

/// Which step is left out.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Without {
    /// Who found none by the hint waits without a look under the top.
    look: bool,
    /// Who stands in line does not hold the bottom.
    bottom: bool,
    /// Who gives up calls nobody in its place.
    passing_on: bool,
    /// Who was called takes it that it still waits.
    joining: bool,
}

/// A word a thread sleeps on, as the kernel keeps it.
#[derive(Default)]
struct Word {
    count: AtomicU32,
    asleep: Mutex<bool>,
    wake: Notify,
}

#[derive(Default)]
struct Top {
    open: bool,
    posted: u32,
    sent: u32,
    line: Vec<usize>,
    receivers: Vec<usize>,
}

#[derive(Default)]
struct Bottom {
    ready: u32,
    taken: u32,
}

/// The queue, of a chute that is shut.
#[derive(Default)]
struct Queue {
    open: bool,
    messages: u32,
    receivers: Vec<usize>,
}

struct Port {
    without: Without,
    places: u32,
    queue: Mutex<Queue>,
    bottom: Mutex<Bottom>,
    top: Mutex<Top>,
    sent: AtomicU32,
    taken: AtomicU32,
    stands: AtomicBool,
    open: AtomicBool,
    words: [Word; 3],
}

impl Port {
    /// An open chute with so many messages, and these receivers waiting.
    fn new(without: Without, places: u32, messages: u32, receivers: &[usize]) -> Arc<Port> {
        let (open, line) = (true, Vec::new());
        let receivers = receivers.to_vec();
        Arc::new(Port {
            without,
            places,
            queue: Mutex::new(Queue { open, ..Queue::default() }),
            bottom: Mutex::new(Bottom { ready: messages, taken: 0 }),
            top: Mutex::new(Top { open, posted: 0, sent: messages, line, receivers }),
            sent: AtomicU32::new(messages),
            taken: AtomicU32::new(0),
            stands: AtomicBool::new(false),
            open: AtomicBool::new(true),
            words: Default::default(),
        })
    }

    fn raise(&self, who: impl IntoIterator<Item = usize>) {
        for who in who {
            let word = &self.words[who];
            word.count.fetch_add(1, SeqCst);
            let was_asleep = std::mem::take(&mut *word.asleep.lock().unwrap());
            if was_asleep {
                word.wake.notify();
            }
        }
    }

    /// Sleeps until `look` finds something.
    fn wait<T>(&self, me: usize, mut look: impl FnMut() -> Option<T>) -> T {
        let word = &self.words[me];
        loop {
            let seen = word.count.load(SeqCst);
            if let Some(found) = look() {
                return found;
            }
            {
                let mut asleep = word.asleep.lock().unwrap();
                if word.count.load(SeqCst) != seen {
                    continue;
                }
                *asleep = true;
            }
            loop {
                word.wake.wait();
                if !*word.asleep.lock().unwrap() {
                    break;
                }
            }
        }
    }

    /// `Top::call`.
    fn call(top: &mut Top) -> Option<usize> {
        if top.receivers.is_empty() { None } else { Some(top.receivers.remove(0)) }
    }

    fn put(&self, top: &mut Top) -> Option<usize> {
        top.posted += 1;
        top.sent += 1;
        self.sent.store(top.sent, Relaxed);
        Port::call(top)
    }

    fn has_place(&self, top: &Top, taken: u32) -> bool {
        top.sent < taken + self.places
    }

    /// `Chute::post`. Returns whether there was a place.
    fn post(&self) -> bool {
        let called = {
            let mut top = self.top.lock().unwrap();
            assert!(top.open, "no model posts into a chute that was shut");
            if !top.line.is_empty() || !self.has_place(&top, self.taken.load(Relaxed)) {
                return false;
            }
            self.put(&mut top)
        };
        self.raise(called);
        true
    }

    /// `Chute::admit`.
    fn admit(&self, taken: u32, top: &mut Top) -> Vec<usize> {
        let mut called = Vec::new();
        while !top.line.is_empty() && self.has_place(top, taken) {
            called.push(top.line.remove(0));
            called.extend(self.put(top));
        }
        self.stands.store(!top.line.is_empty(), Relaxed);
        called
    }

    /// `PortCore::post_later`.
    fn stand_in_line(&self, me: usize) {
        let called = {
            let bottom = (!self.without.bottom).then(|| self.bottom.lock().unwrap());
            let hint = self.taken.load(Relaxed);
            let taken = bottom.as_ref().map_or(hint, |bottom| bottom.taken);
            let mut top = self.top.lock().unwrap();
            top.line.push(me);
            self.stands.store(true, Relaxed);
            let called = self.admit(taken, &mut top);
            drop(top);
            drop(bottom);
            called
        };
        self.raise(called);
        self.wait(me, || (!self.top.lock().unwrap().line.contains(&me)).then_some(()));
    }

    /// `Chute::take`: past the top, where nothing shows.
    fn take(&self) -> bool {
        let called = {
            let mut bottom = self.bottom.lock().unwrap();
            if bottom.ready == 0 {
                if self.sent.load(Relaxed) == self.taken.load(Relaxed) {
                    return false;
                }
                bottom.ready = std::mem::take(&mut self.top.lock().unwrap().posted);
            }
            if bottom.ready == 0 {
                return false;
            }
            self.count_taken(&mut bottom);
            let stands = self.stands.load(Relaxed);
            if stands {
                self.admit(bottom.taken, &mut self.top.lock().unwrap())
            } else {
                Vec::new()
            }
        };
        self.raise(called);
        true
    }

    fn count_taken(&self, bottom: &mut Bottom) {
        bottom.ready -= 1;
        bottom.taken += 1;
        self.taken.store(bottom.taken, Relaxed);
    }

    /// `Chute::look`: whether a message was taken, or `None` where it is shut.
    fn look(&self, me: usize, waiting: &mut bool) -> Option<bool> {
        let mut called = Vec::new();
        {
            let mut bottom = self.bottom.lock().unwrap();
            let hint = self.sent.load(Relaxed) == self.taken.load(Relaxed);
            let mut top = self.top.lock().unwrap();
            if !top.open {
                return None;
            }
            let blind = self.without.look && hint;
            if bottom.ready == 0 && !blind {
                bottom.ready = std::mem::take(&mut top.posted);
            }
            if bottom.ready == 0 {
                if !top.receivers.contains(&me) {
                    top.receivers.push(me);
                }
                *waiting = true;
                return Some(false);
            }
            self.count_taken(&mut bottom);
            if self.stands.load(Relaxed) {
                called = self.admit(bottom.taken, &mut top);
            }
            if std::mem::take(waiting) {
                self.leave(me, &bottom, &mut top, &mut called);
            }
        }
        self.raise(called);
        Some(true)
    }

    fn leave(&self, me: usize, bottom: &Bottom, top: &mut Top, called: &mut Vec<usize>) {
        top.receivers.retain(|one| *one != me);
        if top.sent != bottom.taken && !self.without.passing_on {
            called.extend(Port::call(top));
        }
    }

    /// `Chute::go`.
    fn go(&self, me: usize) {
        let mut called = Vec::new();
        {
            let bottom = self.bottom.lock().unwrap();
            let mut top = self.top.lock().unwrap();
            self.leave(me, &bottom, &mut top, &mut called);
        }
        self.raise(called);
    }

    /// `PortLock::guard` and `PortState::shut`.
    fn shut(&self, queue: &mut Queue) {
        if !std::mem::take(&mut queue.open) {
            return;
        }
        let mut bottom = self.bottom.lock().unwrap();
        let mut top = self.top.lock().unwrap();
        top.open = false;
        self.open.store(false, Relaxed);
        queue.messages = std::mem::take(&mut bottom.ready) + std::mem::take(&mut top.posted);
        queue.receivers = std::mem::take(&mut top.receivers);
        bottom.taken = top.sent;
    }

    /// `PortCore::poll_take`.
    fn poll(&self, me: usize, waiting: &mut bool) -> Option<()> {
        if self.open.load(Relaxed)
            && let Some(taken) = self.look(me, waiting)
        {
            return taken.then_some(());
        }
        let mut queue = self.queue.lock().unwrap();
        self.shut(&mut queue);
        if queue.messages > 0 {
            queue.messages -= 1;
            return Some(());
        }
        let waits = *waiting && (self.without.joining || queue.receivers.contains(&me));
        if !waits {
            *waiting = true;
            queue.receivers.push(me);
        }
        None
    }

    fn receive(&self, me: usize, mut waiting: bool) {
        self.wait(me, || self.poll(me, &mut waiting));
    }

    /// `PortCore::receive_awake`: one look past the top, and then in earnest.
    fn receive_awake(&self, me: usize) {
        if !self.take() {
            self.receive(me, false);
        }
    }

    /// A peek: the chute is shut, and is not opened again.
    fn look_on(&self) {
        self.shut(&mut self.queue.lock().unwrap());
    }

    /// `PortCore::send_own`, of something that is no letter: the chute stays shut.
    fn send_by_the_queue(&self) {
        let first = {
            let mut queue = self.queue.lock().unwrap();
            self.shut(&mut queue);
            queue.messages += 1;
            queue.receivers.first().copied()
        };
        self.raise(first);
    }
}

/// Runs `work` of two threads and this one on a port.
fn run(port: impl Fn() -> Arc<Port> + Send + Sync + 'static, work: [fn(&Port); 3]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(move || {
        let port = port();
        let [first, second, own] = work;
        let threads = [first, second].map(|work| {
            let port = Arc::clone(&port);
            thread::spawn(move || work(&port))
        });
        own(&port);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Two put a message in each, two of which one may wait take one each.
fn race_11(without: Without) {
    run(
        move || Port::new(without, 2, 0, &[]),
        [
            |port| port.receive(0, false),
            |port| assert!(port.post(), "there are two places"),
            |port| {
                assert!(port.post(), "there are two places");
                port.receive(1, false);
            },
        ],
    );
}

/// One stands in line for the only place there is, and two take what is there.
fn race_12(without: Without) {
    run(
        move || Port::new(without, 1, 1, &[]),
        [|port| port.stand_in_line(0), |port| port.receive_awake(1), |port| port.receive_awake(2)],
    );
}

/// Two wait, and one gives up when it may have been called.
fn race_13(without: Without) {
    run(
        move || Port::new(without, 2, 0, &[0, 1]),
        [|port| port.go(0), |port| port.receive(1, true), |port| assert!(port.post(), "room")],
    );
}

/// One waits and is called, another takes the message, somebody looks on, and what comes
/// next does not go down the chute.
fn race_14(without: Without) {
    run(
        move || Port::new(without, 2, 0, &[0]),
        [
            |port| port.receive(0, true),
            |port| port.receive(1, false),
            |port| {
                assert!(port.post(), "there are two places");
                port.look_on();
                port.send_by_the_queue();
            },
        ],
    );
}

#[test]
fn who_finds_nothing_is_called_for_what_comes() {
    race_11(Without::default());
}

#[test]
fn who_stands_in_line_has_the_place_that_comes_free() {
    race_12(Without::default());
}

#[test]
fn who_gives_up_leaves_nobody_asleep_beside_a_message() {
    race_13(Without::default());
}

#[test]
fn who_is_called_too_late_waits_where_the_queue_is() {
    race_14(Without::default());
}

/// Acts for the tests below; alone it does nothing.
#[test]
fn a_twin() {
    let whole = Without::default();
    match twin::asked().as_deref() {
        Some("look") => race_11(Without { look: true, ..whole }),
        Some("bottom") => race_12(Without { bottom: true, ..whole }),
        Some("passing on") => race_13(Without { passing_on: true, ..whole }),
        Some("joining") => race_14(Without { joining: true, ..whole }),
        _ => {}
    }
}

/// Race 11: the hint may be old.
#[test]
fn who_trusts_the_hint_sleeps_beside_a_message() {
    twin::comes_to_a_standstill("look");
}

/// Race 12: each reads what the other has not yet shown.
#[test]
fn who_does_not_hold_the_bottom_stands_beside_a_free_place() {
    twin::comes_to_a_standstill("bottom");
}

/// Race 13.
#[test]
fn who_gives_up_and_passes_nothing_on_keeps_a_message_from_all() {
    twin::comes_to_a_standstill("passing on");
}

/// Race 14.
#[test]
fn who_was_called_and_joins_nobody_waits_nowhere() {
    twin::comes_to_a_standstill("joining");
}
